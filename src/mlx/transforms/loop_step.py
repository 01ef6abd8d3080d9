"""One step of a loop: running its function on nodes, so that `scan` can record it as a body.

What the function changes besides its arguments, arrays that it updates in place and entries of modules and optimizers
that it assigns, is carried too, since that is what the loop in Python would do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mlx.arrays.array import array, wrap
from mlx.ir.changes import ABSENT, Assignment, Changes, Update, holds_arrays, note_assignment, note_update
from mlx.ir.node import Node, next_serial
from mlx.ir.walk import ancestors
from mlx.ops.random_state import thread_state
from mlx.transforms.differentiated import describe
from mlx.transforms.tracing import filled, template
from mlx.transforms.trees import entries, is_container, leaves, leaves_with_paths


class Step:
    """A function of a carry and of one entry of `xs`, to be run on nodes: what it carries, then the entry.

    It carries the arrays of some places outside of the function, then `init`; `carries` are the nodes of all that. When
    it has run, `carry` and `output` are templates of what it returned, and `changed` are the places that it changed.
    """

    def __init__(self, fun: Callable[[Any, Any], Any], init: Any, xs: Any, places: Sequence[Place] = ()) -> None:
        self.fun = fun
        self.places = places
        self.carries: list[Node] = []
        self.changed: list[Place] = []
        self.made: set[Any] = set()  # where it put what is the same in all steps: a table that is made once, say
        self.carry: Any = None
        self.output: Any = None
        found = [place.get() for place in places]
        self._init = template([*found, init], self.carries)
        self._leaves = [_leaves_of(place.name, tree) for place, tree in zip(places, found, strict=True)]
        self._leaves_of_carry = _leaves_of("carry", init)
        self._containers_of_carry = _containers_of("carry", init)
        self._xs = template(xs, [])

    def run(self, nodes: list[Node], key: Sequence[Node] = ()) -> list[Node]:
        """What it carries to the next step, and its output. What it changes outside is put back.

        `key` is the node of the random state where that is one of the body's inputs.
        """
        inputs = [*nodes, *key]
        since = inputs[0].serial if inputs else next_serial()
        with Changes() as changes:
            try:
                outputs = self._run(nodes)
                found = _changes_outside(changes, since)
                made = [self._is_made_once(change, inputs, since) for change in found]
            finally:
                changes.restore()
        self.changed = [Place(change) for change, is_made in zip(found, made, strict=True) if not is_made]
        for change, is_made in zip(found, made, strict=True):
            if is_made:
                assert isinstance(change, Assignment)
                place = Place(change)
                place.put(change.new)
                self.made.add(place.identity)
        return outputs

    def _is_made_once(self, change: Assignment | Update, inputs: Sequence[Node], since: int) -> bool:
        """Whether it puts what is the same in all steps where there was nothing."""
        if isinstance(change, Update) or change.new is ABSENT:
            return False
        if holds_arrays(change.old) and Place(change).identity not in self.made:
            return False
        nodes = [leaf._node for leaf in leaves(change.new) if isinstance(leaf, array)]
        return set(inputs).isdisjoint(ancestors(nodes, since))

    def run_drawing(self, nodes: list[Node]) -> list[Node]:
        """The same, with the random state as last entry and what it becomes as last output."""
        thread_state()[0] = wrap(nodes[-1])
        return [*self.run(nodes[:-1], nodes[-1:]), thread_state()[0]._node]

    def put(self, nodes: list[Node]) -> Any:
        """Leave the arrays of the last step in the places; returns the carry."""
        *left, carry = filled(self.carry, nodes)
        for place, value in zip(self.places, left, strict=True):
            place.put(value)
        return carry

    def _run(self, nodes: list[Node]) -> list[Node]:
        count = len(self.carries)
        *found, carry = filled(self._init, nodes[:count])
        for place, value in zip(self.places, found, strict=True):
            place.put(value)
        returned = self.fun(carry, filled(self._xs, nodes[count:]))
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise ValueError(f"[scan] fun must return a pair (carry, output), got {describe(returned)}.")
        _check_carry(self._leaves_of_carry, self._containers_of_carry, returned[0])
        left = [place.get() for place in self.places]
        for place, wanted, tree in zip(self.places, self._leaves, left, strict=True):
            _check_left(place.name, wanted, tree)
        outputs: list[Node] = []
        self.carry = template([*left, returned[0]], outputs)
        check_leaves("the output of fun", returned[1])
        self.output = template(returned[1], outputs)
        return outputs


class Place:
    """Where a function changes what outlives it: an entry of a container, or an array that it updates in place."""

    def __init__(self, change: Assignment | Update) -> None:
        self._container: Any = None
        self._key: Any = None
        self._handle: Any = None
        if isinstance(change, Update):
            self._handle = change.handle
            self.name = f"an array of shape {change.old.shape} that it updates in place"
        else:
            self._container, self._key = change.container, change.key
            self.name = f"{change.key!r} of a {type(change.container).__name__}"

    @property
    def identity(self) -> tuple[int, Any]:
        """The same for two places that are one."""
        return id(self._container if self._handle is None else self._handle), self._key

    def get(self) -> Any:
        """The array there, or the tree of arrays.

        Raises:
            ValueError: there is none.
        """
        if self._handle is not None:
            return self._handle
        container, key = self._container, self._key
        if isinstance(container, dict):
            held = container.get(key, ABSENT)
        else:
            held = container[key] if key < len(container) else ABSENT
        if not holds_arrays(held):
            raise ValueError(
                f"[scan] fun assigns {self.name}, which holds no array before the first step or after one. Put one "
                "there that is like it (into an optimizer with optimizer.init(parameters)), or return it as output."
            )
        if _holds_objects(held):
            raise ValueError(
                f"[scan] fun assigns {self.name}, which holds a module. Arrays can go from step to step, modules not: "
                "assign their arrays."
            )
        return held

    def put(self, value: Any) -> None:
        if self._handle is not None:
            note_update(self._handle)
            self._handle._node = value._node
        else:
            note_assignment(self._container)
            if isinstance(self._container, dict):
                getattr(self._container, "__dict__", {}).pop(self._key, None)  # or it would hide the entry
                dict.__setitem__(self._container, self._key, value)  # by the method of dict, which modules may override
            else:
                self._container[self._key : self._key + 1] = [value]


def _changes_outside(changes: Changes, since: int) -> list[Assignment | Update]:
    """The changes of what was there before serial number `since`, each once."""
    updates = changes.updates()
    nodes_before = {id(update.handle): update.old for update in updates}

    def is_old(tree: Any) -> bool:
        arrays = [leaf for leaf in leaves(tree) if isinstance(leaf, array)]
        return all(nodes_before.get(id(x), x._node).serial < since for x in arrays)

    assigned = [change for change in changes.assignments() if change.old is ABSENT or is_old(change.old)]
    moved = {id(leaf) for change in assigned for leaf in leaves(change.new)}
    updated = [change for change in updates if change.old.serial < since and id(change.handle) not in moved]
    return [*assigned, *updated]


def _holds_objects(tree: Any) -> bool:
    """Whether a tree has modules or other containers in it that are more than their entries."""
    if not is_container(tree):
        return False
    is_plain = isinstance(tree, tuple) or type(tree) in (dict, list)
    return not is_plain or any(_holds_objects(child) for _, child in entries(tree))


def check_leaves(root: str, tree: Any) -> None:
    """Refuse a tree with leaves that are neither arrays nor None."""
    for path, value in leaves_with_paths(tree, root):
        if not isinstance(value, array) and value is not None:
            raise TypeError(f"[scan] {path} must be an array, got {describe(value)}; make it one with mx.array.")


def _leaves_of(root: str, tree: Any) -> dict[str, Any]:
    """Shape and dtype of every array of a tree, and its other leaves, by path."""
    return {
        path: (leaf._node.shape, leaf._node.dtype) if isinstance(leaf, array) else leaf
        for path, leaf in leaves_with_paths(tree, root)
    }


def _containers_of(path: str, tree: Any) -> dict[str, type]:
    """What the containers of a tree are, by path: dicts and lists, of subclasses too, or a type of tuples."""
    if not is_container(tree):
        return {}
    kind = next((base for base in (dict, list) if isinstance(tree, base)), type(tree))
    found = {path: kind}
    for key, child in entries(tree):
        found.update(_containers_of(f"{path}[{key!r}]", child))
    return found


def _check_carry(wanted: dict[str, Any], containers: dict[str, type], carry: Any) -> None:
    given = _leaves_of("carry", carry)
    for path, kind in _containers_of("carry", carry).items():
        if containers.get(path, kind) is not kind:
            raise ValueError(
                f"[scan] {path} that fun returns is a {kind.__name__}, but that of init is a "
                f"{containers[path].__name__}. Every step's carry must be like the first: return one, or make init so."
            )
    if list(wanted) != list(given):
        raise ValueError(
            f"[scan] fun must return a carry of the structure of init, with the leaves {list(wanted)}, but it has "
            f"{list(given)}."
        )
    for path, value in leaves_with_paths(carry, "carry"):
        if not isinstance(value, array) and value is not None:
            raise TypeError(f"[scan] {path} that fun returns must be an array, got {describe(value)}.")
    for path, kind in wanted.items():
        if (kind is None) != (given[path] is None):
            raise ValueError("[scan] fun must return arrays where init has arrays, and None where it has None.")
        if kind is not None and (given[path][0] != kind[0] or given[path][1] is not kind[1]):
            raise ValueError(
                f"[scan] {path} that fun returns is of shape {given[path][0]} and {given[path][1]}, but that of init "
                f"is of shape {kind[0]} and {kind[1]}. Every step's carry must be like the first: cast it, or make "
                "init so."
            )


def _check_left(name: str, wanted: dict[str, Any], tree: Any) -> None:
    given = _leaves_of(name, tree)
    if given != wanted:
        raise ValueError(
            f"[scan] fun leaves {_described(given)}, but found {_described(wanted)}. What a step leaves in a module "
            "or an optimizer must be like what it found there, in structure, shapes and dtypes."
        )


def _described(kinds: dict[str, Any]) -> str:
    return ", ".join(
        f"{path} of shape {kind[0]} and {kind[1]}" if isinstance(kind, tuple) else f"{path} = {kind!r}"
        for path, kind in kinds.items()
    )

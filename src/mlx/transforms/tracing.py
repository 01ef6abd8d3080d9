"""Tracing: running a function once on placeholders, and what is needed to call the program that this recorded.

Captured state, containers that the function reads or changes besides its arguments, is put back as it was. What the
function returns and leaves in captured state is kept as templates, to be filled with the outputs of every call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

from mlx.arrays.array import array, wrap
from mlx.ir.changes import note_assignment, note_update
from mlx.ir.node import Node, OpenTransform, Shape, next_serial, recorder
from mlx.ir.sizes import Sizes
from mlx.ir.trace import Trace, placeholder, set_apart, specialised
from mlx.ir.walk import ancestors
from mlx.ops.random_state import RandomState, thread_state
from mlx.transforms.trees import entries, is_container, rebuild_tuple


class Slot:
    """Stands in a template for an output of the trace."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


class Traced:
    """A traced function: the program, and templates of its result and of the state that it leaves.

    `sizes` are those that the placeholders of a shapeless trace have for extents.
    """

    __slots__ = ("result", "sizes", "state", "trace")

    def __init__(self, trace: Trace, result: Any, state: Any, sizes: Sizes | None = None) -> None:
        self.trace = trace
        self.result = result
        self.state = state
        self.sizes = sizes

    def specialised(self, shapes: Sequence[Shape]) -> Traced | None:
        """What a shapeless trace becomes for arguments of these shapes; None where it does not serve them."""
        assert self.sizes is not None
        trace = specialised(self.trace, self.sizes, shapes)
        return None if trace is None else Traced(trace, self.result, self.state)


def trace_function(
    transform: str,
    fun: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any],
    inputs: Any = None,
    outputs: Any = None,
    shapeless: bool = False,
) -> Traced:
    """Run `fun` on placeholders for the arrays of `args`, `kwargs` and captured `inputs`, in this order.

    The placeholders of a shapeless trace have sizes for extents.

    Raises:
        ValueError: `fun` uses an array that an argument holds without having got it as its argument.
    """
    since = next_serial()
    sizes = Sizes() if shapeless else None
    with OpenTransform(), sizes or nullcontext():
        arguments = _Arguments(transform, sizes)
        try:
            filled = [arguments.fill(x) for x in args]
            named = {name: arguments.fill(x) for name, x in kwargs.items()}
            arguments.capture(inputs)
            arguments.remember(outputs)
            found: list[Node] = []
            result = template(fun(*filled, **named), found)
            state = template(outputs, found)
        except BaseException:
            set_apart(arguments.placeholders, since)
            raise
        finally:
            arguments.restore()
        trace = Trace(arguments.placeholders, found, since)
        set_apart([*trace.inputs, *trace.nodes], since)
    if not recorder().open_transforms:
        _check_captured(transform, trace, arguments.nodes)
    return Traced(trace, result, state, sizes)


class _Arguments:
    """The arrays that a function is traced on: their nodes, the placeholders for them, and how to put all back."""

    def __init__(self, transform: str, sizes: Sizes | None) -> None:
        self.transform = transform
        self.sizes = sizes
        self.nodes: list[Node] = []
        self.placeholders: list[Node] = []
        self._handles: list[tuple[array, Node]] = []
        self._containers: list[tuple[Any, Any]] = []

    def _placeholder(self, node: Node) -> Node:
        shape = node.shape if self.sizes is None else self.sizes.of_input(len(self.nodes), node.shape)
        mine = placeholder(self.transform, shape, node.dtype)
        self.nodes.append(node)
        self.placeholders.append(mine)
        return mine

    def fill(self, tree: Any) -> Any:
        """An argument with placeholders for its arrays. Objects that only look like containers are filled in place."""
        kind = type(tree)
        if kind is array:
            return wrap(self._placeholder(tree._node))
        if kind is dict:
            return {key: self.fill(child) for key, child in tree.items()}
        if kind is list:
            return [self.fill(child) for child in tree]
        if isinstance(tree, tuple):
            return rebuild_tuple(tree, [self.fill(child) for child in tree])
        if is_container(tree):
            tree = self._remembered(tree)
            for key, child in entries(tree):
                tree[key] = self.fill(child)
        return tree

    def capture(self, tree: Any) -> None:
        """Put placeholders in the arrays of captured state, where other parts of the program see them as well."""
        if type(tree) is array:
            node = tree._node
            note_update(tree)
            self._handles.append((tree, node))
            tree._node = self._placeholder(node)
        elif is_container(tree):
            for _, child in entries(self._remembered(tree)):
                self.capture(child)

    def remember(self, tree: Any) -> None:
        """Note what captured state holds, to restore it."""
        if type(tree) is array:
            self._handles.append((tree, tree._node))
        elif is_container(tree):
            for _, child in entries(self._remembered(tree)):
                self.remember(child)

    def _remembered(self, container: Any) -> Any:
        """The container itself, whose entries are noted; that of this thread for the random state."""
        if type(container) is RandomState:
            container = thread_state()
        elif not isinstance(container, tuple):
            note_assignment(container)
        if isinstance(container, dict):
            self._containers.append((container, dict(container)))
        elif isinstance(container, list):
            self._containers.append((container, list(container)))
        return container

    def restore(self) -> None:
        # Backwards, since what was remembered second may have been remembered with placeholders in it.
        for container, held in reversed(self._containers):
            if isinstance(container, dict):  # by the methods of dict, which subclasses override
                dict.clear(container)
                dict.update(container, held)
            else:
                container[:] = held
        for handle, node in reversed(self._handles):
            handle._node = node


def _check_captured(transform: str, trace: Trace, arguments: list[Node]) -> None:
    """Refuse a function that reads an argument's array behind the argument's back, since it would become constant."""
    given = set(arguments)
    unknown = [node for node in trace.captured if node.value is None]
    if not given.isdisjoint(trace.captured) or not given.isdisjoint(ancestors(unknown)):
        raise ValueError(
            f"[{transform}] The function has uncaptured inputs: it uses an array, or something computed from it, that "
            "is also passed as an argument. Use the argument in the function, or capture the state that holds it with "
            "`inputs`."
        )


def template(tree: Any, found: list[Node]) -> Any:
    """The tree with slots in place of its arrays, whose nodes are added to `found`."""
    if type(tree) is array:
        found.append(tree._node)
        return Slot(len(found) - 1)
    if isinstance(tree, dict):
        return {key: template(child, found) for key, child in tree.items()}
    if isinstance(tree, list):
        return [template(child, found) for child in tree]
    if isinstance(tree, tuple):
        return rebuild_tuple(tree, [template(child, found) for child in tree])
    return tree


def filled(tree: Any, nodes: list[Node]) -> Any:
    """A template's tree with arrays in its slots."""
    kind = type(tree)
    if kind is Slot:
        return wrap(nodes[tree.index])
    if kind is dict:
        return {
            key: wrap(nodes[child.index]) if type(child) is Slot else filled(child, nodes)
            for key, child in tree.items()
        }
    if kind is list:
        return [wrap(nodes[child.index]) if type(child) is Slot else filled(child, nodes) for child in tree]
    if isinstance(tree, tuple):
        return rebuild_tuple(tree, [filled(child, nodes) for child in tree])
    return tree


def write_back(state: Any, tree: Any, nodes: list[Node]) -> None:
    """Leave captured state as the template says, with arrays in its slots; its containers stay the same objects."""
    kind = type(tree)
    places: Iterable[tuple[Any, Any]]
    if kind is dict:
        note_assignment(state)
        if state.keys() != tree.keys():
            for key in state.keys() - tree.keys():
                del state[key]
        places = tree.items()
    elif kind is list:
        if type(state) is not RandomState:
            note_assignment(state)
        if len(state) != len(tree):
            state[:] = filled(tree, nodes)
            return
        places = enumerate(tree)
    else:
        _write_into_tuple(state, tree, nodes)
        return
    for key, child in places:
        of = type(child)
        if of is Slot:
            state[key] = wrap(nodes[child.index])
        elif of is dict or of is list or isinstance(child, tuple):
            mine = state.get(key) if isinstance(state, dict) else state[key]
            if _corresponds(mine, child):
                write_back(mine, child, nodes)
            else:
                state[key] = filled(child, nodes)
        else:
            state[key] = child


def _write_into_tuple(state: tuple[Any, ...], tree: tuple[Any, ...], nodes: list[Node]) -> None:
    for mine, child in zip(state, tree, strict=True):
        if type(child) is Slot:  # changed in place, since a tuple holds it
            note_update(mine)
            mine._node = nodes[child.index]
        elif is_container(child):
            write_back(mine, child, nodes)


def _corresponds(state: Any, tree: Any) -> bool:
    """Whether an entry of captured state is a container whose entries the template describes."""
    if isinstance(tree, tuple):
        return isinstance(state, tuple) and len(state) == len(tree)
    return isinstance(state, type(tree))

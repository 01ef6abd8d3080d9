"""Walking gradients, parameters and optimizer state side by side, and taking a failed walk back.

A parameter tree is nested from dicts (modules among them), lists and tuples with arrays as leaves. The state
tree mirrors it with dicts and lists; each leaf of it is the dict that one parameter's state lives in. Nothing
here knows a formula: what happens at a leaf is the optimizer's ``init_single`` and ``apply_single``.
"""

from collections.abc import Callable, Iterable
from copy import copy
from itertools import zip_longest
from typing import Any, NamedTuple

import mlx.core as mx
from mlx.core.changes import note_assignment

# Where a walk stands: () at the root, otherwise (path of the container, key). Growing such a pair costs next
# to nothing on every step; the readable form is made only for an error.
Path = tuple[Any, ...]

Init = Callable[[mx.array, dict], None]
Apply = Callable[[mx.array, mx.array, dict], Any]


class StateLog:
    """What containers of state held before an update, so that an update that fails can be taken back."""

    __slots__ = ("_saved",)

    def __init__(self) -> None:
        self._saved: list[tuple[Any, Any]] = []

    def save(self, container: dict | list) -> None:
        """Remember the entries of one container."""
        note_assignment(container)
        self._saved.append((container, container.copy()))

    def save_tree(self, tree: Any) -> None:
        """Remember the entries of a container and of all containers below it."""
        if isinstance(tree, (dict, list)):
            self.save(tree)
        if isinstance(tree, (dict, list, tuple)):
            for child in tree.values() if isinstance(tree, dict) else tree:
                self.save_tree(child)

    def restore(self) -> None:
        """Put every remembered entry back, into the same container objects."""
        for container, entries in reversed(self._saved):
            container.clear()
            if isinstance(container, dict):
                container.update(entries)
            else:
                container.extend(entries)


class Leaf(NamedTuple):
    """What an optimizer's formula gets for one parameter."""

    gradient: mx.array
    parameter: mx.array
    state: dict


class Leaves(list[Leaf]):
    """The leaves that a walk comes by."""

    def add(self, gradient: mx.array, parameter: mx.array, state: dict) -> int:
        """Add a leaf, and return its number."""
        self.append(Leaf(gradient, parameter, state))
        return len(self) - 1


class TreeUpdate:
    """One optimizer step over whole trees: a single walk that applies an optimizer at each leaf.

    Args:
        name: the optimizer's name, for errors.
        init: called as ``init(gradient, state)`` where a leaf has no state yet.
        apply: called as ``apply(gradient, parameter, state)``; what it returns stands in the new tree.
        log: receives what the state held before.
    """

    __slots__ = ("_apply", "_init", "_log", "_name")

    def __init__(self, name: str, init: Init, apply: Apply, log: StateLog) -> None:
        self._name = name
        self._init = init
        self._apply = apply
        self._log = log

    def updated(self, gradients: Any, parameters: Any, state: Any, path: Path) -> Any:
        """New parameters in the structure of ``gradients``, which may cover only a part of ``parameters``."""
        if isinstance(gradients, mx.array):
            if not isinstance(parameters, mx.array):
                raise self._structure_error(gradients, parameters, path)
            if gradients.shape != parameters.shape:
                raise self._shape_error(gradients, parameters, path)
            if gradients.dtype != parameters.dtype:
                self._check_dtypes(gradients.dtype, parameters.dtype, path)
            if not isinstance(state, dict):
                raise _state_error(self._name, state, "dict", path)
            self._log.save(state)
            if not state:
                self._init(gradients, state)
            return self._apply(gradients, parameters, state)
        if isinstance(gradients, dict):
            return self._updated_dict(gradients, parameters, state, path)
        if isinstance(gradients, (list, tuple)):
            return self._updated_sequence(gradients, parameters, state, path)
        raise _not_an_array(f"{self._name}.update", "gradients", gradients, path)

    def _updated_dict(self, gradients: dict, parameters: Any, state: Any, path: Path) -> dict:
        if not gradients:
            return {}
        if not isinstance(parameters, dict):
            raise self._structure_error(gradients, parameters, path)
        if not isinstance(state, dict):
            raise _state_error(self._name, state, "dict", path)
        new_parameters = {}
        for key, gradient in gradients.items():
            here = (path, key)
            if key not in parameters:
                raise self._unknown_leaf(parameters, here)
            child = state.get(key)
            if child is None:
                self._log.save(state)
                child = state[key] = completed_state(self._name, gradient, None, self._init, here)
            new_parameters[key] = self.updated(gradient, parameters[key], child, here)
        return new_parameters

    def _updated_sequence(self, gradients: list | tuple, parameters: Any, state: Any, path: Path) -> Any:
        if not gradients:
            return rebuilt(gradients, ())
        if not isinstance(parameters, (list, tuple)):
            raise self._structure_error(gradients, parameters, path)
        if not isinstance(state, list):
            raise _state_error(self._name, state, "list", path)
        if len(gradients) > len(parameters):
            raise self._unknown_leaf(parameters, (path, len(parameters)))
        if len(state) < len(gradients):
            self._log.save(state)
            for index in range(len(state), len(gradients)):
                here = (path, index)
                state.append(completed_state(self._name, gradients[index], None, self._init, here))
        new_parameters = [
            self.updated(gradient, parameters[index], state[index], (path, index))
            for index, gradient in enumerate(gradients)
        ]
        return rebuilt(gradients, new_parameters)

    def _shape_error(self, gradient: mx.array, parameter: mx.array, path: Path) -> ValueError:
        return ValueError(
            f"[{self._name}.update] {readable('gradients', path)} has shape {gradient.shape} but the "
            f"parameter has {parameter.shape}; pass gradients of the same tree that is updated."
        )

    def _check_dtypes(self, gradient: mx.Dtype, parameter: mx.Dtype, path: Path) -> None:
        """Refuse gradients that the formula would round to nothing or that would make a real parameter complex.

        Floats of other widths are welcome: gradients are often kept in more or fewer digits than parameters.
        """
        if not mx.issubdtype(gradient, mx.inexact):
            remedy = f"gradients must be floats: cast them with astype({parameter})"
        elif mx.issubdtype(gradient, mx.complexfloating) and not mx.issubdtype(parameter, mx.complexfloating):
            remedy = "complex gradients belong to complex parameters: take the real part with mx.real"
        else:
            return
        raise ValueError(
            f"[{self._name}.update] {readable('gradients', path)} has dtype {gradient} but the parameter has "
            f"{parameter}; {remedy}."
        )

    def _structure_error(self, gradients: Any, parameters: Any, path: Path) -> ValueError:
        return ValueError(
            f"[{self._name}.update] {readable('gradients', path)} is of type {type(gradients).__name__} but "
            f"{readable('parameters', path)} is of type {type(parameters).__name__}; gradients must have the "
            "structure of the parameters, from which whole entries may be left out."
        )

    def _unknown_leaf(self, parameters: dict | list | tuple, path: Path) -> ValueError:
        if isinstance(parameters, dict):
            there = f"the keys there are {list(parameters)}"
        else:
            there = f"there are {len(parameters)} entries"
        return ValueError(
            f"[{self._name}.update] {readable('gradients', path)} has no parameter: {there}; pass gradients "
            "of the same tree that is updated."
        )


def completed_state(name: str, parameters: Any, state: Any, init: Init, path: Path) -> Any:
    """State for every leaf of ``parameters``: what ``state`` already holds stays, the rest is initialised."""
    if isinstance(parameters, mx.array):
        state = _container(name, state, dict, path)
        if not state:
            init(parameters, state)
    elif isinstance(parameters, dict):
        state = _container(name, state, dict, path)
        for key, parameter in parameters.items():
            state[key] = completed_state(name, parameter, state.get(key), init, (path, key))
    elif isinstance(parameters, (list, tuple)):
        state = _container(name, state, list, path)
        state.extend(None for _ in range(len(state), len(parameters)))
        for index, parameter in enumerate(parameters):
            state[index] = completed_state(name, parameter, state[index], init, (path, index))
    return state


def arrange_state(name: str, parameters: Any, state: Any, init: Init, path: Path) -> None:
    """Check state that was set against ``parameters``, and give it the order in which ``init`` makes it.

    Files sort what they hold, and a program whose outputs are in another order may be compiled to other roundings.
    """
    if isinstance(parameters, mx.array):
        if isinstance(state, dict) and state:
            fresh: dict[str, Any] = {}
            init(parameters, fresh)
            for entry, array in fresh.items():
                _check_entry(name, state, entry, array, path)
                state[entry] = state.pop(entry)
    elif isinstance(parameters, dict) and isinstance(state, dict):
        for key, parameter in parameters.items():
            if key in state:
                arrange_state(name, parameter, state[key], init, (path, key))
                state[key] = state.pop(key)
    elif isinstance(parameters, (list, tuple)) and isinstance(state, (list, tuple)):
        for index, (parameter, child) in enumerate(zip(parameters, state, strict=False)):
            arrange_state(name, parameter, child, init, (path, index))


def _check_entry(name: str, state: dict, entry: str, wanted: Any, path: Path) -> None:
    if entry not in state:
        raise ValueError(
            f"[{name}.update] {readable('state', path)} has {list(state)} but no {entry!r}; load the state of an "
            "optimizer with the same settings."
        )
    saved = state[entry]
    if isinstance(saved, mx.array) and isinstance(wanted, mx.array) and saved.shape != wanted.shape:
        raise ValueError(
            f"[{name}.update] {readable('state', (path, entry))} has shape {saved.shape} where the parameter needs "
            f"{wanted.shape}; load the state that was saved with these parameters."
        )


def check_arrays(function: str, root: str, tree: Any, path: Path = ()) -> None:
    """Raise a TypeError that names the first leaf of ``tree`` that is no array."""
    if isinstance(tree, dict):
        for key, child in tree.items():
            check_arrays(function, root, child, (path, key))
    elif isinstance(tree, (list, tuple)):
        for index, child in enumerate(tree):
            check_arrays(function, root, child, (path, index))
    elif not isinstance(tree, mx.array):
        raise _not_an_array(function, root, tree, path)


def with_arrays(numbered: Any, arrays: list[mx.array]) -> Any:
    """The tree with arrays in place of their numbers."""
    if isinstance(numbered, int):
        return arrays[numbered]
    if isinstance(numbered, dict):
        return {key: with_arrays(child, arrays) for key, child in numbered.items()}
    return rebuilt(numbered, [with_arrays(child, arrays) for child in numbered])


def with_untouched(updated: Any, parameters: Any) -> Any:
    """``updated``, completed by those entries of ``parameters`` that it does not cover."""
    if isinstance(updated, mx.array):
        return updated
    if isinstance(parameters, dict):
        return {key: with_untouched(updated.get(key, {}), parameter) for key, parameter in parameters.items()}
    if isinstance(parameters, (list, tuple)):
        pairs = zip_longest(updated, parameters, fillvalue={})
        return rebuilt(parameters, [with_untouched(new, parameter) for new, parameter in pairs])
    return parameters


def copied(tree: Any) -> Any:
    """The same tree in containers and arrays of its own, which cost nothing; tuples are shared."""
    if isinstance(tree, dict):
        return {key: copied(child) for key, child in tree.items()}
    if isinstance(tree, list):
        return [copied(child) for child in tree]
    return copy(tree) if isinstance(tree, mx.array) else tree


def rebuilt(like: list | tuple, items: Iterable[Any]) -> Any:
    """A sequence of the same kind as ``like``: tuples keep their class, lists of any class become lists."""
    if isinstance(like, list):
        return list(items)
    if hasattr(like, "_fields"):
        return type(like)(*items)
    return type(like)(items)


def readable(root: str, path: Path) -> str:
    """A path as it would be written in Python: ``gradients['layers'][0]['weight']``."""
    keys = []
    while path:
        path, key = path
        keys.append(f"[{key!r}]")
    return root + "".join(reversed(keys))


def _container(name: str, state: Any, kind: type, path: Path) -> Any:
    """``state`` as a container of the wanted kind; where nothing is stored yet, a new one."""
    if isinstance(state, kind):
        return state
    if kind is list and isinstance(state, tuple):
        return list(state)
    if state is None or (isinstance(state, (dict, list, tuple)) and not state):
        return kind()
    raise _state_error(name, state, kind.__name__, path)


def _state_error(name: str, state: Any, wanted: str, path: Path) -> ValueError:
    return ValueError(
        f"[{name}.update] {readable('state', path)} is of type {type(state).__name__} where the parameters "
        f"need a {wanted}; the optimizer's state belongs to other parameters: use a new optimizer, or load "
        "the state that was saved with these."
    )


def _not_an_array(function: str, root: str, leaf: Any, path: Path) -> TypeError:
    return TypeError(
        f"[{function}] {readable(root, path)} must be an array but is of type {type(leaf).__name__}; "
        "make it one with mx.array, or leave it out."
    )

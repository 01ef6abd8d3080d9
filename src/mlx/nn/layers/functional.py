"""Calling a module as a function of its parameters, of the state that a call updates, and of a random key."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import mlx.core as mx
from mlx.core.changes import Changes, note_assignment
from mlx.nn.layers.matching import match_parameters
from mlx.utils import Path, format_path, tree_map

Place = tuple[Any, Any, mx.array]  # a container inside a module, a key into it, and the array that belongs there


def call_with(
    module: Any,
    parameters: dict[str, Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    method: str | Callable[..., Any] | None,
    state: dict[str, Any] | None,
    key: mx.array | None,
) -> Any:
    """What ``module.apply`` does with a tree of parameters."""
    function = _function(module, method)
    _check_names(function, method=method, state=state, key=key)
    places = match_parameters(module, parameters, "Module.apply")
    if state is None:
        with _drawing_from(key), _holding(places):
            return function(*args, **kwargs)
    given = match_parameters(module, state, "Module.apply")
    with _drawing_from(key), _Unchanged(module) as call:
        call.put(places, given)
        with Changes() as changes:
            result = function(*args, **kwargs)
        call.check_changes(given, changes)
        updated = iter([container[name] for container, name, _ in given])
        return result, tree_map(lambda array: next(updated), state)


def _function(module: Any, method: str | Callable[..., Any] | None) -> Callable[..., Any]:
    if method is None:
        return module
    if isinstance(method, str):
        return getattr(module, method)
    if callable(method):
        return lambda *args, **kwargs: method(module, *args, **kwargs)
    raise TypeError(
        f"[Module.apply] method must be the name of a method or a function of the module, got {type(method).__name__}."
    )


def _check_names(function: Callable[..., Any], **options: Any) -> None:
    """Refuse an option of ``apply`` that could be meant for the function."""
    names = [name for name, value in options.items() if value is not None]
    taken = inspect.signature(function).parameters if names else {}
    for name in names:
        if name in taken and taken[name].kind is not inspect.Parameter.VAR_KEYWORD:
            raise TypeError(
                f"[Module.apply] {name} is an option of apply and also an argument of what it calls; pass the argument "
                "by position."
            )


@contextmanager
def _holding(places: list[Place]) -> Iterator[None]:
    """The arrays are in their places, and afterwards the module's own ones again."""
    own = [container[name] for container, name, _ in places]
    try:
        for container, name, array in places:
            note_assignment(container)
            _write(container, name, array.__copy__())  # at no cost: an update in place does not reach the caller's
        yield
    finally:
        for (container, name, _), array in zip(places, own, strict=True):
            _write(container, name, array)


def _write(container: Any, name: Any, value: Any) -> None:
    """As dicts and lists do, since modules would note the assignment once more."""
    if isinstance(container, dict):
        dict.__setitem__(container, name, value)
    else:
        container[name] = value


@contextmanager
def _drawing_from(key: mx.array | None) -> Iterator[None]:
    """Random numbers come from the key, and the global state stays as it is."""
    if key is None:
        yield
        return
    if not isinstance(key, mx.array) or key.shape != (2,) or key.dtype != mx.uint32:
        what = f"shape {key.shape} and {key.dtype}" if isinstance(key, mx.array) else type(key).__name__
        raise ValueError(f"[Module.apply] key must be a key such as mx.random.key(0) makes, got {what}.")
    own = mx.random.state[0]
    mx.random.state[0] = key
    try:
        yield
    finally:
        mx.random.state[0] = own


def put(places: Iterable[Place]) -> None:
    """Put arrays in their places."""
    for container, name, array in places:
        note_assignment(container)
        container[name] = array


class _Unchanged:
    """A module that is as it was when all is over, whatever is put into it, assigned to it or updated in it meanwhile.

    Meanwhile it holds copies of arrays, which cost nothing, so that updates in place reach neither the module's own
    arrays nor the caller's.
    """

    def __init__(self, module: Any) -> None:
        self._held: list[tuple[Path, Any, Any]] = []
        self._put: list[Any] = []
        self._remember(module, ())

    def _remember(self, container: Any, path: Path) -> None:
        copied = dict(container) if isinstance(container, dict) else list(container)
        self._held.append((path, container, copied))
        for name, value in copied.items() if isinstance(copied, dict) else enumerate(copied):
            if isinstance(value, (dict, list)):
                self._remember(value, (path, name))

    def __enter__(self) -> _Unchanged:
        return self

    def __exit__(self, *exception: object) -> None:
        for _, container, entries in self._held:
            if isinstance(container, dict):
                dict.clear(container)
                dict.update(container, entries)  # by the method of dict, which modules override
            else:
                container[:] = entries

    def put(self, parameters: list[Place], state: list[Place]) -> None:
        """Put arrays in their places."""
        taken = {(id(container), name) for container, name, _ in parameters}
        for container, name, _ in state:
            if (id(container), name) in taken:
                raise ValueError(f"[Module.apply] '{self._name(container, name)}' is in params and in state.")
        taken |= {(id(container), name) for container, name, _ in state}
        copies: dict[int, mx.array] = {}  # arrays that are one stay one
        for _, container, entries in self._held:
            note_assignment(container)
            for name, value in entries.items() if isinstance(entries, dict) else enumerate(entries):
                if isinstance(value, mx.array) and (id(container), name) not in taken:
                    container[name] = copies.setdefault(id(value), value.__copy__())
        for container, name, array in (*parameters, *state):
            container[name] = array.__copy__()
        self._put = [dict(c) if isinstance(c, dict) else dict(enumerate(c)) for _, c, _ in self._held]

    def check_changes(self, allowed: list[Place], changes: Changes) -> None:
        """Refuse a call that assigned an array elsewhere, since the assignment would be lost."""
        places = {(id(container), name) for container, name, _ in allowed}
        for (_, container, _), before in zip(self._held, self._put, strict=True):
            for name, value in container.items() if isinstance(container, dict) else enumerate(container):
                assigned = value is not before.get(name)
                changed = isinstance(value, mx.array) and (assigned or changes.is_updated(value))
                if changed and (id(container), name) not in places:
                    raise ValueError(
                        f"[Module.apply] The call assigns '{self._name(container, name)}', which is not in state; pass "
                        "state=module.frozen_parameters(), or a tree that has it."
                    )

    def _name(self, container: Any, name: Any) -> str:
        path = next(path for path, other, _ in self._held if other is container)
        return format_path((path, name))

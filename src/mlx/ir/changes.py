"""Changes that a function makes to what outlives it: arrays that it updates in place, and entries of containers.

A transform that runs a function on arrays without values has a log open meanwhile, from which it tells what to carry
on and what to put back. Arrays are told here by having a node.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from weakref import ref

from mlx.ir.node import Node

ABSENT: Any = object()  # what a container holds where it has no such entry


class _Open(threading.local):
    """The logs that are open in a thread."""

    def __init__(self) -> None:
        self.logs: list[Changes] = []


_open = _Open()
_open_anywhere = 0  # logs in all threads: most programs have none, and are held up by nothing else
_counting = threading.Lock()


def _count(difference: int) -> None:
    global _open_anywhere
    with _counting:
        _open_anywhere += difference


def note_update(handle: Any) -> None:
    """Say that an array is about to be updated in place."""
    if _open_anywhere:
        for log in _open.logs:
            log.note_update(handle)


def note_assignment(container: Any) -> None:
    """Say that entries of a dict or a list, or of plain ones in it, are about to be replaced.

    Classes that keep arrays, as `nn.Module` and optimizers do, call it, and so does what exchanges entries for a while:
    otherwise what it put in would be taken for what had been there.
    """
    if _open_anywhere:
        for log in _open.logs:
            log.note_assignment(container)


def note_creation(container: Any) -> None:
    """Say that a dict or a list is new, with plain ones in it: what they will hold changes nothing that was there."""
    if _open_anywhere:
        for log in _open.logs:
            log.note_creation(container)


@contextmanager
def unnoted() -> Iterator[None]:
    """For changes to copies that nobody else holds: they are none to what outlives the function."""
    logs, _open.logs = _open.logs, []
    try:
        yield
    finally:
        _open.logs = logs


class Update(NamedTuple):
    """An array that was updated in place, and its nodes before and after."""

    handle: Any
    old: Node
    new: Node


class Assignment(NamedTuple):
    """An entry that was replaced by another one; one of the two is an array or holds some."""

    container: Any
    key: Any
    old: Any
    new: Any


class Changes:
    """A log of what is noted in this thread while it is open."""

    def __init__(self) -> None:
        self._handles: dict[int, tuple[Callable[[], Any], Node]] = {}
        self._containers: dict[int, tuple[Callable[[], Any], Any, dict[str, Any]]] = {}

    def __enter__(self) -> Changes:
        _open.logs.append(self)
        _count(1)
        return self

    def __exit__(self, *exception: object) -> None:
        _count(-1)
        _open.logs.remove(self)

    def note_update(self, handle: Any) -> None:
        known = self._handles.get(id(handle))
        if known is None or known[0]() is not handle:
            self._handles[id(handle)] = ref(handle), handle._node

    def note_assignment(self, container: Any) -> None:
        known = self._containers.get(id(container))
        if known is None or known[0]() is not container:
            entries = dict(container) if isinstance(container, dict) else list(container)
            attributes = dict(getattr(container, "__dict__", {}))
            self._containers[id(container)] = _reference(container), entries, attributes
            for child in entries.values() if isinstance(entries, dict) else entries:
                if type(child) is list or type(child) is dict:
                    self.note_assignment(child)

    def note_creation(self, container: Any) -> None:
        self._containers[id(container)] = _reference(container), None, {}
        for child in container.values() if isinstance(container, dict) else container:
            if type(child) is list or type(child) is dict:
                self.note_creation(child)

    def is_updated(self, handle: Any) -> bool:
        """Whether an array was updated in place."""
        known = self._handles.get(id(handle))
        return known is not None and known[0]() is handle and handle._node is not known[1]

    def updates(self) -> list[Update]:
        """The arrays that were updated in place and are still held."""
        found = [(handle(), old) for handle, old in self._handles.values()]
        return [Update(x, old, x._node) for x, old in found if x is not None and x._node is not old]

    def assignments(self) -> list[Assignment]:
        """The entries that were replaced."""
        return [
            Assignment(container, key, old, new)
            for container, entries, _ in self._held()
            for key, old, new in _differences(entries, container)
        ]

    def _held(self) -> list[tuple[Any, Any, dict[str, Any]]]:
        """The containers that were there before and still are, what they held, and their attributes."""
        found = [(container(), entries, attributes) for container, entries, attributes in self._containers.values()]
        return [held for held in found if held[0] is not None and held[1] is not None]

    def restore(self) -> None:
        """Put back what there was."""
        for handle, old, _ in self.updates():
            handle._node = old
        for container, entries, attributes in self._held():
            if isinstance(container, list):
                if any(_differences(entries, container)):
                    container[:] = entries
                continue
            for key, old, _ in list(_differences(entries, container)):
                if old is not ABSENT:
                    dict.__setitem__(container, key, old)  # by the method of dict, which modules may override
                    if key not in attributes:
                        getattr(container, "__dict__", {}).pop(key, None)
                else:
                    dict.pop(container, key, None)
                    if key in attributes:  # there was an attribute of another kind
                        vars(container).setdefault(key, attributes[key])


def _reference(container: Any) -> Callable[[], Any]:
    """A weak reference where there can be one: a module that only the log holds outlives nothing."""
    try:
        return ref(container)
    except TypeError:
        return lambda: container


def _differences(entries: Any, container: Any) -> Iterator[tuple[Any, Any, Any]]:
    """(key, old, new) of every entry that is another one now, where one of the two is an array or holds some."""
    before = entries if isinstance(entries, dict) else dict(enumerate(entries))
    after = container if isinstance(container, dict) else dict(enumerate(container))
    for key in [*before, *(key for key in after if key not in before)]:
        old, new = before.get(key, ABSENT), after.get(key, ABSENT)
        if old is not new and (holds_arrays(old) or holds_arrays(new)):
            yield key, old, new


def holds_arrays(value: Any) -> bool:
    """Whether a value is an array, or a container with arrays in it."""
    if isinstance(value, dict):
        return any(map(holds_arrays, value.values()))
    if isinstance(value, list | tuple):
        return any(map(holds_arrays, value))
    return hasattr(value, "_node")

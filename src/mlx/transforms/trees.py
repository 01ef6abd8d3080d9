"""Trees of arrays as arguments of transforms: leaves with the path that the user would write.

A tree is a list, tuple, named tuple, dict or a subclass of them (nn.Module is a dict), nested to any depth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def is_container(value: Any) -> bool:
    return isinstance(value, dict | list | tuple)


def entries(container: Any) -> list[tuple[Any, Any]]:
    """(key or index, child) of a container, in order."""
    return list(container.items()) if isinstance(container, dict) else list(enumerate(container))


def leaves_with_paths(tree: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every leaf with its path, for example `params['layers'][0]['weight']`."""
    if is_container(tree):
        for key, child in entries(tree):
            yield from leaves_with_paths(child, f"{path}[{key!r}]")
    else:
        yield path, tree


def leaves(tree: Any) -> list[Any]:
    """Every leaf, in order."""
    found: list[Any] = []
    _collect(tree, found)
    return found


def _collect(tree: Any, found: list[Any]) -> None:
    if isinstance(tree, dict):
        for child in tree.values():
            _collect(child, found)
    elif isinstance(tree, list | tuple):
        for child in tree:
            _collect(child, found)
    else:
        found.append(tree)


def rebuild_tuple(like: tuple[Any, ...], children: list[Any]) -> tuple[Any, ...]:
    """A tuple of the type of `like`, which may be a named tuple."""
    if type(like) is tuple:
        return tuple(children)
    if hasattr(like, "_fields"):
        return type(like)(*children)
    return type(like)(children)


def map_plain(function: Callable[[Any], Any], tree: Any) -> Any:
    """Apply `function` to every leaf. Dicts and lists (modules too) come back as plain ones, tuples keep their type."""
    if isinstance(tree, dict):
        return {key: map_plain(function, child) for key, child in tree.items()}
    if isinstance(tree, list):
        return [map_plain(function, child) for child in tree]
    if isinstance(tree, tuple):
        return rebuild_tuple(tree, [map_plain(function, child) for child in tree])
    return function(tree)

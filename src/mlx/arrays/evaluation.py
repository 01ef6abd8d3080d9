"""`eval` and `async_eval`: asking for the values of trees of arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlx.ir.node import Node, hooks, recorder


def eval(*args: Any) -> None:
    """Compute the values of arrays, together with what is pending and shares work with them, and wait for them.

    Args:
        *args: arrays and trees (lists, tuples, dicts, modules) of arrays. Other leaves are passed over.

    Raises:
        ValueError: an array depends on an argument of `vmap` or `compile` that has no value.

    Example:
        >>> import mlx.core as mx
        >>> x = mx.array([1.0, 2.0]) * 2
        >>> mx.eval({"x": x, "more": [x + 1, "no array"]})
    """
    nodes = list(_nodes_in(args))
    hooks.evaluate(nodes)
    for node in nodes:
        if node.value is not None:
            node.value.wait()


def async_eval(*args: Any) -> None:
    """Start to compute the values of arrays and return at once, so that Python runs on meanwhile.

    Args:
        *args: arrays and trees of arrays. Other leaves are passed over.

    Raises:
        ValueError: called inside a function that is being transformed, on what it computes.

    Example:
        >>> import mlx.core as mx
        >>> x = mx.array([1.0, 2.0]) * 2
        >>> mx.async_eval(x)
        >>> x.tolist()
        [2.0, 4.0]
    """
    nodes = list(_nodes_in(args))
    mine = recorder()
    if mine.open_transforms and any(node.value is None and node.serial >= mine.first_open_serial for node in nodes):
        raise ValueError("[async_eval] Not allowed inside a graph transformation; use mx.eval, or call it outside.")
    hooks.evaluate(nodes)


def synchronize(stream: Any = None) -> None:
    """Wait until everything that was started has been computed.

    Args:
        stream: taken for compatibility; XLA orders the work itself.
    """
    hooks.synchronize()


def _nodes_in(trees: tuple[Any, ...]) -> Iterator[Node]:
    """The nodes of every array in nested containers."""
    stack = list(trees)
    while stack:
        tree = stack.pop()
        node = getattr(tree, "_node", None)
        if type(node) is Node:
            yield node
        elif isinstance(tree, dict):
            stack.extend(tree.values())
        elif isinstance(tree, list | tuple):
            stack.extend(tree)

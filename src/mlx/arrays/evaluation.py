"""`eval` and `async_eval`: asking for the values of trees of arrays; and what memory these take."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlx.ir.buffer import Buffer
from mlx.ir.node import Node, hooks, recorder

__all__ = [
    "eval",
    "async_eval",
    "synchronize",
    "get_array_buffer_size",
]


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
    nodes = _nodes_in(args)
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
    nodes = _nodes_in(args)
    mine = recorder()
    if mine.open_transforms and any(node.value is None and node.serial >= mine.first_open_serial for node in nodes):
        raise ValueError("[async_eval] Not allowed inside a graph transformation; use mx.eval, or call it outside.")
    hooks.evaluate(nodes)


def synchronize(stream: Any = None) -> None:
    """Wait until everything that was started has been computed.

    Args:
        stream: a stream or a device. Work on all of them is waited for, since XLA orders it itself.

    Raises:
        TypeError: `stream` is neither.
        ValueError: the device is not available.
        RuntimeError: the stream belongs to another thread.

    Example:
        >>> import mlx.core as mx
        >>> mx.async_eval(mx.ones(3) + 1)
        >>> mx.synchronize()
    """
    if stream is not None:
        hooks.check_stream(stream, "synchronize")
    hooks.synchronize()


def get_array_buffer_size(*args: Any) -> int:
    """Bytes of the values of arrays; memory that several of them lie in counts once.

    Args:
        *args: arrays and trees of arrays. Other leaves are passed over.

    Raises:
        ValueError: an array has not been evaluated.

    Example:
        >>> import mlx.core as mx
        >>> weights = {"w": mx.ones((3, 4)), "b": mx.zeros(4)}
        >>> mx.eval(weights)
        >>> mx.get_array_buffer_size(weights, weights["w"])
        64
    """
    nodes = set(_nodes_in(args))
    if any(node.value is None for node in nodes):
        raise ValueError("[get_array_buffer_size] An array is not evaluated, so that it takes no memory: mx.eval it.")
    sizes: dict[int, int] = {}  # by the memory that values lie in, which reshaped and transposed ones share
    for node in nodes:
        memory = _memory_of(node.value)  # type: ignore[arg-type]
        sizes[id(memory)] = max(node.nbytes, sizes.get(id(memory), 0))
    return sum(sizes.values())


def _memory_of(value: Buffer) -> Any:
    memory = value.device if value.host is None else value.host
    while isinstance(memory, np.ndarray) and memory.base is not None:
        memory = memory.base
    return memory


def _nodes_in(trees: tuple[Any, ...]) -> list[Node]:
    """The nodes of every array in nested containers."""
    nodes = []
    stack = list(trees)
    while stack:
        tree = stack.pop()
        if isinstance(tree, dict):
            stack.extend(tree.values())
        elif isinstance(tree, (list, tuple)):
            stack.extend(tree)
        else:
            node = getattr(tree, "_node", None)
            if type(node) is Node:
                nodes.append(node)
    return nodes

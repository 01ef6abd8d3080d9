"""Keys, and the state of each thread from which draws without a key take theirs. The distributions live in `random`."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import uint32
from mlx.ir.node import Node, Shape, record
from mlx.ir.primitive import data_node
from mlx.ops.arguments import StreamOrDevice, check_stream, integer_or_none, one_integer
from mlx.primitives.random import RANDOM_BITS, SPLIT_KEY, split_in_two
from mlx.primitives.structure import PROJECT

__all__ = ["key", "seed", "split"]

_KEY_SHAPE = (2,)
_KEY_PAIR = ((2,), (2,)), (uint32, uint32)


def key(seed: int) -> array:
    """The key of a seed.

    Args:
        seed: an integer of 64 bits, not negative.

    Returns:
        Array (2,) of uint32: the seed's upper and lower 32 bits.

    Raises:
        TypeError: `seed` is no such integer.

    Example:
        >>> import mlx.core as mx
        >>> mx.random.key(42)
        array([0, 42], dtype=uint32)
    """
    return wrap(_key_of_seed(seed, "key"))


def _key_of_seed(seed: int, function: str) -> Node:
    number = integer_or_none(seed)
    if number is None or not 0 <= number < 2**64:
        raise TypeError(f"[{function}] seed must be an integer from 0 to 2**64 - 1, got {seed!r}.")
    return data_node(np.array(divmod(number, 2**32), np.uint32), uint32)


class _Thread(threading.local):
    """The state of each thread: a list of one key. Streams that nobody seeded differ between threads and processes."""

    def __init__(self) -> None:
        self.state: list[array] = [key(int.from_bytes(os.urandom(8), "little"))]


_thread = _Thread()


def thread_state() -> list[array]:
    """The list whose one element is the key that this thread's next draw splits."""
    return _thread.state


class RandomState(list[array]):
    """The state of whichever thread looks at it: one list for all threads, so that it can be captured once."""

    def __len__(self) -> int:
        return len(_thread.state)

    def __iter__(self) -> Iterator[array]:
        return iter(_thread.state)

    def __getitem__(self, index: Any) -> Any:
        return _thread.state[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        _thread.state[index] = value

    def __eq__(self, other: object) -> bool:
        return _thread.state == other

    def __repr__(self) -> str:
        return repr(_thread.state)

    __hash__ = None


random_state = RandomState()


def set_state(value: Sequence[array]) -> None:
    """Continue from a state that was saved; ValueError where it is no sequence of one key."""
    if not isinstance(value, list | tuple) or len(value) != 1 or not isinstance(value[0], array):
        raise ValueError("[random.state] must be a list of one key, such as list(mx.random.state) gives.")
    checked_key(value[0])
    _thread.state[:] = value


def seed(seed: int) -> None:
    """Start this thread's stream of random numbers anew.

    Args:
        seed: an integer of 64 bits, not negative.

    Raises:
        TypeError: `seed` is no such integer.

    Example:
        >>> import mlx.core as mx
        >>> mx.random.seed(7)
        >>> mx.random.state[0]
        array([0, 7], dtype=uint32)
    """
    _thread.state[:] = [wrap(_key_of_seed(seed, "seed"))]


def checked_key(key: array) -> Node:
    """The node of a key; ValueError where its shape or dtype is not that of one."""
    node = getattr(key, "_node", None)
    if type(node) is not Node:
        raise TypeError(f"[random] key must be an array that mx.random.key made, got {type(key).__name__}.")
    if node.dtype is not uint32:
        raise ValueError(f"[bits] Expected key type uint32 but received {node.dtype.name}. mx.random.key makes keys.")
    if node.shape != _KEY_SHAPE:
        raise ValueError(f"[bits] Expected key shape (2) but received {node.shape}. mx.vmap draws from many keys.")
    return node


def draw_key(key: array | None) -> Node:
    """The key of a draw: the one given, or the second half of the thread's state, whose first half stays the state.

    A known state is split at once. Recorded, the splits would form a chain that grows with every draw, and be compiled.
    """
    if key is not None:
        return checked_key(key)
    state = _thread.state
    node = checked_key(state[0])
    if node.value is not None:
        rest, drawn = split_in_two(node.value.numpy())
        state[0] = wrap(data_node(rest, uint32))
        return data_node(drawn, uint32)
    pair = record(SPLIT_KEY, (node,), (), *_KEY_PAIR)  # type: ignore[arg-type]
    state[0] = wrap(record(PROJECT, (pair,), (0,), _KEY_SHAPE, uint32))
    return record(PROJECT, (pair,), (1,), _KEY_SHAPE, uint32)


def split(key: array, num: int = 2, stream: StreamOrDevice = None) -> array:
    """Make several keys from one.

    Args:
        key: array (2,) of uint32.
        num: how many.

    Returns:
        Array (num, 2) of uint32 whose rows are keys.

    Raises:
        TypeError: `key` is no array or `num` no integer.
        ValueError: `key` is no key, or `num` is negative.

    Example:
        >>> import mlx.core as mx
        >>> mx.random.split(mx.random.key(0))
        array([[4146024105, 967050713],
               [2718843009, 1272950319]], dtype=uint32)
    """
    if stream is not None:
        check_stream(stream, "split")
    count = one_integer(num, "split", "num")
    return wrap(RANDOM_BITS(checked_key(key), checked_draw_shape((count, 2), "split"), uint32))


def checked_draw_shape(shape: Sequence[int], function: str) -> Shape:
    """A shape as a tuple of Python ints; TypeError if it is no sequence of integers, ValueError if one is negative."""
    try:
        extents = tuple([extent.__index__() for extent in shape])
    except (TypeError, AttributeError):
        raise TypeError(f"[{function}] shape must be a sequence of integers, got {shape!r}.") from None
    for extent in extents:
        if extent < 0:
            raise ValueError(f"[{function}] Negative dimensions not allowed, got shape {extents}.")
    return extents

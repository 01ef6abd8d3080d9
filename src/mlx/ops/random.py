"""Random numbers: keys, the state of the thread, and the distributions.

The same seed gives the numbers that MLX gives: bit for bit where words or integers are drawn, within rounding
elsewhere.
"""

from __future__ import annotations

import math
import secrets
import threading
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from mlx.arrays.array import array, wrap
from mlx.arrays.operands import is_number, node_of
from mlx.ir.dtypes import Dtype, complex64, float32, float64, uint32
from mlx.ir.node import Node, Shape, record
from mlx.ir.primitive import SCALAR, broadcast_shape, data_node, scalar_node
from mlx.ops.arguments import StreamOrDevice
from mlx.primitives.random import RANDOM_BITS, RANDOM_NORMAL, RANDOM_UNIFORM, SPLIT_KEY
from mlx.primitives.shape import reshape
from mlx.primitives.structure import PROJECT, cast
from mlx.primitives.views import VIEW

Scalar: TypeAlias = bool | int | float | complex

_KEY_SHAPE = (2,)
_KEY_PAIR = ((2,), (2,)), (uint32, uint32)
_ROOT_OF_2 = math.sqrt(2.0)

# ---------------------------------------------------------------------- keys and the state


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
    if not isinstance(seed, int) or not 0 <= seed < 2**64:
        raise TypeError(f"[{function}] seed must be an integer from 0 to 2**64 - 1, got {seed!r}.")
    return data_node(np.array(divmod(int(seed), 2**32), np.uint32), uint32)


class _Thread(threading.local):
    """The state of each thread: a list of one key. Streams that nobody seeded differ between threads and processes."""

    def __init__(self) -> None:
        self.state: list[array] = [key(secrets.randbits(64))]


_thread = _Thread()


def thread_state() -> list[array]:
    """The list whose one element is the key that this thread's next draw splits."""
    return _thread.state


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


def _draw_key(key: array | None) -> Node:
    """The key of a draw: the one given, or the second half of the thread's state, whose first half stays the state."""
    if key is not None:
        return checked_key(key)
    state = _thread.state
    pair = record(SPLIT_KEY, (checked_key(state[0]),), (), *_KEY_PAIR)  # type: ignore[arg-type]
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
    if not isinstance(num, int):
        raise TypeError(f"[split] num must be an integer, got {type(num).__name__}.")
    return wrap(RANDOM_BITS(checked_key(key), checked_draw_shape((num, 2), "split"), uint32))


# ---------------------------------------------------------------------- what distributions share


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


def _checked_floating(dtype: Dtype | None, function: str, what: str) -> Dtype:
    if dtype is None:
        return float32
    if not isinstance(dtype, Dtype):
        raise TypeError(f"[{function}] dtype must be a Dtype such as mx.float32, got {dtype!r}.")
    if not dtype.is_floating:
        raise ValueError(f"[{function}] Can only generate {what} with real floating point type, got {dtype.name}.")
    return dtype


def _parameter(value: Scalar | array, dtype: Dtype, function: str, name: str) -> Node:
    """A parameter of a distribution in the dtype of the draw; a Python number stays one."""
    if is_number(value):
        number: Any = value
        return scalar_node(number if dtype.is_complex else number.real, dtype)
    return cast(node_of(value, function, name), dtype)


def _uniform_between(low: Node, high: Node, shape: Shape, key: array | None, function: str) -> Node:
    """Uniform numbers of `shape` in the dtype of the bounds, which broadcast to it."""
    dtype = high.dtype
    if low.shape or high.shape:
        broadcasted = broadcast_shape(shape, broadcast_shape(low.shape, high.shape))
        if broadcasted != shape:
            raise ValueError(
                f"[{function}] Cannot generate random values of shape {shape} from broadcasted shape {broadcasted}."
            )
    x = RANDOM_UNIFORM(_draw_key(key), shape, dtype)
    if low.primitive is SCALAR and high.primitive is SCALAR:
        width = float(high.value.numpy() - low.value.numpy())  # type: ignore[union-attr]
        if width != 1:
            x = x * scalar_node(width, dtype)
        return x + low if low.params[0] else x
    return x * (high - low) + low


# ---------------------------------------------------------------------- distributions


def uniform(
    low: Scalar | array = 0,
    high: Scalar | array = 1,
    shape: Sequence[int] = [],
    dtype: Dtype | None = float32,
    key: array | None = None,
    stream: StreamOrDevice = None,
) -> array:
    """Numbers that are uniform in the half-open interval [low, high).

    Args:
        low: lower bound, a number or an array that broadcasts to `shape`.
        high: upper bound, likewise.
        shape: shape of the result.
        dtype: float32, float16 or bfloat16; None is float32.
        key: key to draw from; by default the thread's state.

    Returns:
        Array of `shape`. Differentiable in `low` and `high`.

    Raises:
        ValueError: `dtype` is not floating, the bounds do not broadcast to `shape`, or an extent is negative.
        RuntimeError: `dtype` is float64.

    Example:
        >>> import mlx.core as mx
        >>> mx.random.uniform(shape=(2,), key=mx.random.key(0))
        array([0.216295, 0.804124], dtype=float32)
    """
    dtype = _checked_floating(dtype, "uniform", "uniform numbers")
    if dtype is float64:
        raise RuntimeError("[uniform] Unsupported type float64. Draw in float32 and use astype(mx.float64).")
    first, last = _parameter(low, dtype, "uniform", "low"), _parameter(high, dtype, "uniform", "high")
    return wrap(_uniform_between(first, last, checked_draw_shape(shape, "uniform"), key, "uniform"))


def normal(
    shape: Sequence[int] = [],
    dtype: Dtype | None = float32,
    loc: Scalar | array | None = None,
    scale: Scalar | array | None = None,
    key: array | None = None,
    stream: StreamOrDevice = None,
) -> array:
    """Numbers of the normal distribution, by inversion of its distribution function.

    Args:
        shape: shape of the result.
        dtype: a floating dtype, or complex64 for numbers whose real and imaginary parts have variance 1/2 each; None is
            float32.
        loc: mean, a number or an array that broadcasts to `shape`; 0 by default.
        scale: standard deviation, likewise; 1 by default.
        key: key to draw from; by default the thread's state.

    Returns:
        Array of `shape`. Differentiable in `loc` and `scale`.

    Raises:
        ValueError: `dtype` is not floating or complex, `loc` or `scale` do not broadcast to `shape`, or an extent is
            negative.

    Example:
        >>> import mlx.core as mx
        >>> mx.random.normal((2,), key=mx.random.key(0))
        array([-0.784766, 0.856352], dtype=float32)
    """
    if dtype is None:
        dtype = float32
    elif not isinstance(dtype, Dtype) or not dtype.is_inexact:
        raise ValueError(f"[normal] Only floating point and complex64 types are supported, got {dtype!r}.")
    extents = checked_draw_shape(shape, "normal")
    if dtype is complex64:
        x = reshape(VIEW(RANDOM_NORMAL(_draw_key(key), (*extents, 2), float32), complex64), extents)
    else:
        x = RANDOM_NORMAL(_draw_key(key), extents, dtype)
        scale = 1 if scale is None else scale
    if scale is not None:
        width = _parameter(scale, dtype, "normal", "scale")
        x = x * (width if dtype is complex64 else _times_root_of_2(width))
    if loc is not None:
        x = x + _parameter(loc, dtype, "normal", "loc")
    return wrap(x)


def _times_root_of_2(width: Node) -> Node:
    """`width` sqrt(2), rounded to its dtype."""
    root = scalar_node(_ROOT_OF_2, width.dtype)
    if width.primitive is not SCALAR:
        return width * root
    if width.params[0] == 1:
        return root
    return scalar_node(float(width.value.numpy() * root.value.numpy()), width.dtype)  # type: ignore[union-attr]

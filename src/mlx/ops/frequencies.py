"""The frequencies that Fourier transforms give, and shifts of the zero frequency to the centre and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import float32
from mlx.ir.node import Node
from mlx.ir.primitive import scalar_node
from mlx.ops.arguments import (
    StreamOrDevice,
    array_node,
    check_stream,
    checked_axis,
    checked_extent,
    one_integer,
    one_or_more_integers,
    real_number,
)
from mlx.primitives.creation import ARANGE
from mlx.primitives.joining import ROLL

__all__ = ["fftfreq", "fftshift", "ifftshift", "rfftfreq"]


def _frequencies(numbers: Node, n: int, d: float, function: str) -> array:
    spacing = real_number(d, function, "d")
    if spacing == 0:
        raise ValueError(f"[{function}] d must be non-zero.")
    return wrap(numbers * (1 / (float(n) * spacing)))


def _sample_count(n: int, function: str) -> int:
    n = checked_extent(one_integer(n, function, "n"), function)
    if n < 1:
        raise ValueError(f"[{function}] n must be greater than 0, got {n}.")
    return n


def _counted(first: int, count: int) -> Node:
    return ARANGE(scalar_node(first, float32), scalar_node(1, float32), count)


def fftfreq(n: int, d: float = 1.0, stream: StreamOrDevice = None) -> array:
    """The frequencies that `fft` gives, in its order: zero and the positive ones, then the negative ones.

    Args:
        n: number of samples.
        d: distance between samples; frequencies are in cycles for each unit of it.

    Returns:
        Array of shape (n,), dtype float32: 0, 1, ..., -2, -1 divided by n d. For an even n the highest is negative.

    Raises:
        ValueError: `n` is less than one or `d` is zero.

    Example:
        >>> import mlx.core as mx
        >>> mx.fft.fftfreq(4, d=0.5)
        array([0, 0.5, -1, -0.5], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "fftfreq")
    n = _sample_count(n, "fftfreq")
    negative = n // 2
    return _frequencies(ROLL(_counted(0 - negative, n), ((n - negative) % n,), (0,)), n, d, "fftfreq")


def rfftfreq(n: int, d: float = 1.0, stream: StreamOrDevice = None) -> array:
    """The frequencies that `rfft` gives: zero and the positive ones.

    Args:
        n: number of samples.
        d: distance between samples; frequencies are in cycles for each unit of it.

    Returns:
        Array of shape (n // 2 + 1,), dtype float32: 0, 1, ... divided by n d.

    Raises:
        ValueError: `n` is less than one or `d` is zero.

    Example:
        >>> import mlx.core as mx
        >>> mx.fft.rfftfreq(4, d=0.5)
        array([0, 0.5, 1], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "rfftfreq")
    n = _sample_count(n, "rfftfreq")
    return _frequencies(_counted(0, n // 2 + 1), n, d, "rfftfreq")


def _shifted(a: Any, axes: Any, shift: Callable[[int], int], function: str) -> array:
    x = array_node(a, function)
    if axes is None:
        over = tuple(range(x.ndim))
    else:
        over = tuple(checked_axis(axis, x.ndim, function) for axis in one_or_more_integers(axes, function, "axes"))
    return wrap(ROLL(x, tuple(shift(x.shape[axis]) for axis in over), over) if over else x)


def fftshift(a: array, axes: int | Sequence[int] | None = None, stream: StreamOrDevice = None) -> array:
    """Move the zero frequency from the beginning of axes to their centre.

    Args:
        a: array of any shape and dtype.
        axes: the axis or axes; all by default.

    Returns:
        The array, each of those axes of n elements shifted cyclically by n // 2.

    Raises:
        IndexError: an axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.fft.fftshift(mx.fft.fftfreq(5, d=0.2))
        array([-2, -1, 0, 1, 2], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "fftshift")
    return _shifted(a, axes, lambda n: n // 2, "fftshift")


def ifftshift(a: array, axes: int | Sequence[int] | None = None, stream: StreamOrDevice = None) -> array:
    """The inverse of `fftshift`, which for an odd number of elements is another shift.

    Args:
        a: array of any shape and dtype.
        axes: the axis or axes; all by default.

    Returns:
        The array, each of those axes of n elements shifted cyclically by n // 2 towards the beginning.

    Raises:
        IndexError: an axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.fft.ifftshift(mx.array([-2, -1, 0, 1, 2]))
        array([0, 1, 2, -2, -1], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "ifftshift")
    return _shifted(a, axes, lambda n: (n - n // 2) % n if n else 0, "ifftshift")

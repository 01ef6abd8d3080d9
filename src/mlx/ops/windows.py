"""Window functions of signal processing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlx.arrays.array import array, wrap
from mlx.arrays.conversion import node_from_numpy
from mlx.ir.dtypes import float32
from mlx.ops.arguments import StreamOrDevice, check_stream, one_integer

__all__ = ["bartlett", "blackman", "hamming", "hanning"]


def _window(function: Callable[[int], Any], count: int) -> array:
    """The values of a window, which NumPy has all of, as an array."""
    values = function(one_integer(count, function.__name__, "M"))
    return wrap(node_from_numpy(np.maximum(values, 0.0), float32))  # blackman ends a rounding error below 0


def bartlett(M: int, *, stream: StreamOrDevice = None) -> array:
    """The Bartlett window: a triangle that is zero at its ends.

    Args:
        M: number of points; none or fewer give an empty array.

    Returns:
        Array of shape (M,), dtype float32: 1 - |2 n / (M - 1) - 1|.

    Example:
        >>> import mlx.core as mx
        >>> mx.bartlett(5)
        array([0, 0.5, 1, 0.5, 0], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "bartlett")
    return _window(np.bartlett, M)


def blackman(M: int, *, stream: StreamOrDevice = None) -> array:
    """The Blackman window, with little leakage.

    Args:
        M: number of points; none or fewer give an empty array.

    Returns:
        Array of shape (M,), dtype float32: 0.42 - 0.5 cos(2 pi n / (M - 1)) + 0.08 cos(4 pi n / (M - 1)).

    Example:
        >>> import mlx.core as mx
        >>> mx.blackman(3)
        array([0, 1, 0], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "blackman")
    return _window(np.blackman, M)


def hamming(M: int, *, stream: StreamOrDevice = None) -> array:
    """The Hamming window: a raised cosine that does not reach zero.

    Args:
        M: number of points; none or fewer give an empty array.

    Returns:
        Array of shape (M,), dtype float32: 0.54 - 0.46 cos(2 pi n / (M - 1)).

    Example:
        >>> import mlx.core as mx
        >>> mx.hamming(3)
        array([0.08, 1, 0.08], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "hamming")
    return _window(np.hamming, M)


def hanning(M: int, *, stream: StreamOrDevice = None) -> array:
    """The Hann window: a raised cosine that is zero at its ends.

    Args:
        M: number of points; none or fewer give an empty array.

    Returns:
        Array of shape (M,), dtype float32: 0.5 - 0.5 cos(2 pi n / (M - 1)).

    Example:
        >>> import mlx.core as mx
        >>> mx.hanning(3)
        array([0, 1, 0], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "hanning")
    return _window(np.hanning, M)

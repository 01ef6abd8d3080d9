"""The Walsh-Hadamard transform."""

from __future__ import annotations

import math

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import float32
from mlx.ir.primitive import scalar_node
from mlx.ir.sizes import fixed
from mlx.ops.arguments import StreamOrDevice, array_node, check_stream, real_number
from mlx.primitives.arithmetic import MULTIPLY
from mlx.primitives.hadamard import HADAMARD
from mlx.primitives.shape import reshape
from mlx.primitives.structure import cast

__all__ = ["hadamard_transform"]


def hadamard_transform(a: array, scale: float | None = None, stream: StreamOrDevice = None) -> array:
    """The Walsh-Hadamard transform along the last axis: its product with a matrix of 1 and -1 with orthogonal rows.

    The matrix is the Kronecker product of one of order m, by Paley or Williamson, and Sylvester's of order 2^k. Those
    with m = 20 and 28 are not symmetric, and their derivative is the transform by the transposed matrix.

    Args:
        a: array whose last axis has m 2^k elements with m = 1, 12, 20 or 28; or a scalar. Booleans and integers
            become float32.
        scale: factor of the result, by default the one that keeps the norm: 1 / sqrt(elements of the last axis).

    Returns:
        Array of the shape of `a`. Half precision is rounded once, at the end.

    Raises:
        ValueError: the last axis has another length, or the array no elements.
        TypeError: `scale` is no real number.

    Example:
        >>> import mlx.core as mx
        >>> mx.hadamard_transform(mx.array([1.0, 2.0, 3.0, 4.0]), scale=1.0)
        array([10, -2, -4, 0], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "hadamard_transform")
    x = array_node(a, "hadamard_transform")
    if x.size == 0:
        raise ValueError(f"[hadamard_transform] Does not support empty arrays, got shape {x.shape}.")
    dtype = x.dtype if x.dtype.is_inexact else float32
    wide = cast(x, float32 if dtype.is_half else dtype)
    out = HADAMARD(wide if x.shape else reshape(wide, (1,)), False)
    known = scale is not None
    factor = real_number(scale, "hadamard_transform", "scale") if known else 1 / math.sqrt(fixed(out.shape[-1]))
    return wrap(cast(MULTIPLY(reshape(out, x.shape), scalar_node(factor, wide.dtype)), dtype))

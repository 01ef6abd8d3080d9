"""Reductions: sums, products, extrema, means and their kin."""

from __future__ import annotations

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import Dtype, bool_, int8, int16, int32, uint8, uint16, uint32
from mlx.ops.arguments import Axes, StreamOrDevice, checked_axes
from mlx.primitives.shape import SUM
from mlx.primitives.structure import cast

_SUM_DTYPE = {bool_: int32, int8: int32, int16: int32, uint8: uint32, uint16: uint32}


def sum(a: array, /, axis: Axes = None, keepdims: bool = False, *, stream: StreamOrDevice = None) -> array:
    """Sum over axes.

    Args:
        a: array of any dtype. Integers of less than 32 bits are summed in 32.
        axis: an axis or several, negative ones counted from the end; all by default.
        keepdims: keep reduced axes with extent 1.

    Returns:
        The sums. An empty sum is 0.

    Example:
        >>> import mlx.core as mx
        >>> mx.sum(mx.array([[1, 2], [3, 4]]), axis=0)
        array([4, 6], dtype=int32)
    """
    x = a._node
    x = cast(x, _SUM_DTYPE.get(x.dtype, x.dtype))
    axes = checked_axes(axis, x.ndim, "sum")
    return wrap(SUM(x, axes, bool(keepdims)))

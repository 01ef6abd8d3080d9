"""Other views of an array's elements or bits, and differences and products made from shifted views."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from mlx.arrays.array import array, wrap
from mlx.arrays.operands import node_of
from mlx.ir.dtypes import Dtype, bool_
from mlx.ir.node import Shape
from mlx.ir.sizes import fixed
from mlx.ops.arguments import (
    StreamOrDevice,
    array_node,
    check_stream,
    checked_axis,
    checked_extent,
    checked_shape,
    dtype_argument,
    flag,
    integers,
    one_integer,
)
from mlx.primitives.arithmetic import NOT_EQUAL
from mlx.primitives.shape import reshape
from mlx.primitives.slicing import slice_axis
from mlx.primitives.views import AS_STRIDED, VIEW

__all__ = ["as_strided", "contiguous", "diff", "kron", "view"]


def _row_major_strides(shape: Shape) -> tuple[int, ...]:
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def as_strided(
    a: array,
    /,
    shape: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
    offset: int = 0,
    *,
    stream: StreamOrDevice = None,
) -> array:
    """The elements of an array, taken in row-major order, at positions `offset` + sum of index times stride.

    Args:
        a: array of any shape and dtype.
        shape: the shape of the result; by default that of `a`.
        strides: for each axis of the result how far apart in `a` neighbours are, counted in elements; zero and
            negative ones are allowed. By default those of an array of that shape in row-major order.
        offset: the position of the first element.

    Returns:
        An array of that shape. Where elements of `a` occur several times, their gradients add up.

    Raises:
        ValueError: a position lies outside of `a`, or there is not one stride for each axis.

    Example:
        >>> import mlx.core as mx
        >>> mx.as_strided(mx.array([1, 2, 3, 4]), (3, 2), (1, 1))
        array([[1, 2],
               [2, 3],
               [3, 4]], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "as_strided")
    x = array_node(a, "as_strided")
    sizes = x.shape if shape is None else checked_shape(integers(shape, "as_strided", "shape"), "as_strided")
    steps = _row_major_strides(sizes) if strides is None else integers(strides, "as_strided", "strides")
    offset = one_integer(offset, "as_strided", "offset")
    if len(steps) != len(sizes):
        raise ValueError(f"[as_strided] Got {len(steps)} strides for the {len(sizes)} axes of shape {sizes}.")
    if 0 not in sizes:
        reaches = [(size - 1) * step for size, step in zip(sizes, steps, strict=True)]
        lowest = offset + sum(reach for reach in reaches if reach < 0)
        highest = offset + sum(reach for reach in reaches if reach > 0)
        if lowest < 0 or highest >= x.size:
            raise ValueError(
                f"[as_strided] shape {sizes}, strides {steps} and offset {offset} reach from position {lowest} to "
                f"{highest}, but the array has {x.size} elements."
            )
    return wrap(AS_STRIDED(reshape(x, (x.size,)), sizes, steps, offset))


def view(a: Any, dtype: Dtype, stream: StreamOrDevice = None) -> array:
    """The bits of an array as elements of another dtype.

    Args:
        a: array or Python number.
        dtype: the dtype to read the bits as. Where its size differs from that of the array's dtype, the last axis
            becomes longer or shorter.

    Returns:
        An array of that dtype. It passes no gradient where the dtype changes.

    Raises:
        ValueError: the bytes along the last axis do not make whole elements, or an array without axes would change
            its size.

    Example:
        >>> import mlx.core as mx
        >>> mx.view(mx.array([1.0, -1.0]), mx.uint32)
        array([1065353216, 3212836864], dtype=uint32)
    """
    if stream is not None:
        check_stream(stream, "view")
    x = node_of(a, "view")
    wanted = dtype_argument(dtype, "view")
    if x.dtype is wanted:
        return wrap(x)
    if x.dtype.size != wanted.size:
        if not x.shape:
            raise ValueError(
                f"[view] An array without axes can only be viewed as a dtype of the same size, "
                f"{wanted.name} has not the size of {x.dtype.name}."
            )
        if x.shape[-1] * x.dtype.size % wanted.size:
            raise ValueError(
                f"[view] The {x.shape[-1] * x.dtype.size} bytes of the last axis are no multiple of the "
                f"{wanted.size} bytes of {wanted.name}."
            )
    return wrap(VIEW(x, wanted))


def contiguous(a: array, /, allow_col_major: bool = False, *, stream: StreamOrDevice = None) -> array:
    """The array, in row-major order in memory: as every array is here.

    Args:
        a: array of any shape and dtype.
        allow_col_major: has no effect.

    Returns:
        The same array.

    Example:
        >>> import mlx.core as mx
        >>> mx.contiguous(mx.array([1, 2]))
        array([1, 2], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "contiguous")
    x = array_node(a, "contiguous")
    flag(allow_col_major, "contiguous", "allow_col_major")
    return wrap(x)


def diff(a: array, /, n: int = 1, axis: int = -1, *, stream: StreamOrDevice = None) -> array:
    """Differences of neighbours along an axis.

    Args:
        a: array of any dtype with at least one axis. Booleans differ where they are not equal.
        n: how many times to take differences.
        axis: the axis.

    Returns:
        An array whose extent along the axis is less by `n`, but not less than zero.

    Raises:
        ValueError: `n` is negative.
        IndexError: the axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.diff(mx.array([1, 4, 9, 16]))
        array([3, 5, 7], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "diff")
    x = array_node(a, "diff")
    n = one_integer(n, "diff", "n")
    axis = checked_axis(axis, x.ndim, "diff")
    if n < 0:
        raise ValueError(f"[diff] The order n must be non-negative, got {n}.")
    for _ in range(fixed(min(n, x.shape[axis]))):
        size = x.shape[axis] - 1
        later, earlier = slice_axis(x, axis, 1, size), slice_axis(x, axis, 0, size)
        x = NOT_EQUAL(later, earlier) if x.dtype is bool_ else later - earlier
    return wrap(x)


def kron(a: array, b: array, *, stream: StreamOrDevice = None) -> array:
    """The Kronecker product: every element of `a` times the whole of `b`, side by side.

    Args:
        a: array of any shape and dtype.
        b: array of any shape and dtype; the two are promoted to one dtype. Missing axes are added in front.

    Returns:
        An array whose extents are the products of those of `a` and `b`.

    Raises:
        ValueError: an array is empty.

    Example:
        >>> import mlx.core as mx
        >>> mx.kron(mx.array([1, 2]), mx.array([1, 10]))
        array([1, 10, 2, 20], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "kron")
    left, right = array_node(a, "kron"), array_node(b, "kron", "b")
    ndim = max(left.ndim, right.ndim)
    rows = (*(1,) * (ndim - left.ndim), *left.shape)
    columns = (*(1,) * (ndim - right.ndim), *right.shape)
    if left.size == 0 or right.size == 0:
        raise ValueError(f"[kron] Input arrays cannot be empty, got the shapes {left.shape} and {right.shape}.")
    shape = tuple(checked_extent(m * n, "kron") for m, n in zip(rows, columns, strict=True))
    spread = tuple(number for extent in rows for number in (extent, 1))
    inner = tuple(number for extent in columns for number in (1, extent))
    product = wrap(reshape(left, spread)) * wrap(reshape(right, inner))
    return wrap(reshape(product._node, shape))

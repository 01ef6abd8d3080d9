"""Sorting, the largest elements, order statistics and search in what is sorted."""

from __future__ import annotations

from math import prod

from mlx.arrays.array import array, wrap
from mlx.arrays.operands import operand_pair
from mlx.ir.node import Node
from mlx.ops.arguments import (
    Axes,
    StreamOrDevice,
    array_node,
    at_least_float,
    check_stream,
    checked_axes,
    checked_axis,
    flag,
    one_integer,
    word,
)
from mlx.primitives.classification import ISNAN
from mlx.primitives.elementwise import SELECT
from mlx.primitives.indexing import take_along_axis
from mlx.primitives.shape import reduced_shape, reshape, transpose
from mlx.primitives.slicing import slice_axis
from mlx.primitives.sorting import ARGSORT, ARGTOPK, SEARCHSORTED, SORT

__all__ = ["argpartition", "argsort", "median", "partition", "searchsorted", "sort", "topk"]


def _line(a: array, axis: int | None, function: str) -> tuple[Node, int]:
    """The node of `a`, flattened for axis None, and the non-negative axis."""
    x = a._node if type(a) is array else array_node(a, function)
    if axis is None:
        return reshape(x, (x.size,)), 0
    return x, checked_axis(axis, x.ndim, function)


def sort(a: array, /, axis: int | None = -1, *, stream: StreamOrDevice = None) -> array:
    """Sort ascending along an axis.

    Equal elements keep their order, NaNs come last, complex numbers are ordered by real part, then by imaginary part.

    Args:
        a: array of any dtype.
        axis: the axis, the last by default; None sorts the flattened array.

    Returns:
        Array of the shape of `a`, or flat.

    Raises:
        IndexError: the axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.sort(mx.array([3, 1, 2]))
        array([1, 2, 3], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "sort")
    return wrap(SORT(*_line(a, axis, "sort")))


def argsort(a: array, /, axis: int | None = -1, *, stream: StreamOrDevice = None) -> array:
    """Positions that sort ascending along an axis.

    Args:
        a: array of any dtype, ordered as in `mx.sort`.
        axis: the axis, the last by default; None sorts the flattened array.

    Returns:
        uint32 array of the shape of `a`, or flat: the element at the first of these positions is the smallest.

    Raises:
        IndexError: the axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.argsort(mx.array([3, 1, 2]))
        array([1, 2, 0], dtype=uint32)
    """
    if stream is not None:
        check_stream(stream, "argsort")
    return wrap(ARGSORT(*_line(a, axis, "argsort")))


def _check_kth(kth: int, x: Node, axis: int, function: str) -> None:
    extent = x.shape[axis]
    if not -extent <= kth < extent:
        raise ValueError(
            f"[{function}] Received invalid kth {kth} along axis {axis} for array with shape {x.shape}: "
            f"it must lie in [{-extent}, {extent})."
        )


def partition(a: array, /, kth: int, axis: int | None = -1, *, stream: StreamOrDevice = None) -> array:
    """Rearrange so that no element before position `kth` is larger, and none after it smaller.

    All elements are sorted here, which is one such arrangement.

    Args:
        a: array of any dtype, ordered as in `mx.sort`.
        kth: the position, negative ones counted from the end.
        axis: the axis, the last by default; None partitions the flattened array.

    Returns:
        Array of the shape of `a`, or flat.

    Raises:
        IndexError: the axis is out of range.
        ValueError: `kth` is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.partition(mx.array([3, 1, 2]), 1)
        array([1, 2, 3], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "partition")
    kth = one_integer(kth, "partition", "kth")
    x, along = _line(a, axis, "partition")
    _check_kth(kth, x, along, "partition")
    return wrap(SORT(x, along))


def argpartition(a: array, /, kth: int, axis: int | None = -1, *, stream: StreamOrDevice = None) -> array:
    """Positions that rearrange as `mx.partition` does.

    Args:
        a: array of any dtype, ordered as in `mx.sort`.
        kth: the position, negative ones counted from the end.
        axis: the axis, the last by default; None partitions the flattened array.

    Returns:
        uint32 array of the shape of `a`, or flat.

    Raises:
        IndexError: the axis is out of range.
        ValueError: `kth` is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.argpartition(mx.array([3, 1, 2]), 1)
        array([1, 2, 0], dtype=uint32)
    """
    if stream is not None:
        check_stream(stream, "argpartition")
    kth = one_integer(kth, "argpartition", "kth")
    x, along = _line(a, axis, "argpartition")
    _check_kth(kth, x, along, "argpartition")
    return wrap(ARGSORT(x, along))


def topk(a: array, /, k: int, axis: int | None = -1, *, stream: StreamOrDevice = None) -> array:
    """The `k` largest elements along an axis, in ascending order.

    Args:
        a: array of any dtype, ordered as in `mx.sort`: NaNs are the largest.
        k: how many.
        axis: the axis, the last by default; None takes the flattened array.

    Returns:
        Array of the shape of `a` with extent `k` along the axis.

    Raises:
        IndexError: the axis is out of range.
        ValueError: `k` is negative or larger than the extent of the axis.

    Example:
        >>> import mlx.core as mx
        >>> mx.topk(mx.array([5, 2, 9, 1, 7]), 2)
        array([7, 9], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "topk")
    k = one_integer(k, "topk", "k")
    x, along = _line(a, axis, "topk")
    if not 0 <= k <= x.shape[along]:
        raise ValueError(
            f"[topk] Received invalid k={k} along axis {axis} for array with shape {x.shape}: "
            f"it must lie between 0 and {x.shape[along]}."
        )
    return wrap(take_along_axis(x, ARGTOPK(x, k, along), along))


def median(a: array, /, axis: Axes = None, keepdims: bool = False, *, stream: StreamOrDevice = None) -> array:
    """Median over axes: the middle element, or the mean of the two in the middle.

    Args:
        a: array of any dtype. Booleans and integers become float32. A NaN among the elements is the result.
        axis: an axis or several, negative ones counted from the end; all by default.
        keepdims: keep reduced axes with extent 1.

    Returns:
        The medians.

    Raises:
        IndexError: an axis is out of range.
        ValueError: an axis is given twice, or has no elements.

    Example:
        >>> import mlx.core as mx
        >>> mx.median(mx.array([[5, 1, 3], [1, 2, 100]]), axis=1)
        array([3, 2], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "median")
    x = a._node if type(a) is array else array_node(a, "median")
    axes = checked_axes(axis, x.ndim, "median")
    kept = flag(keepdims, "median", "keepdims")
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    count = prod(x.shape[i] for i in axes)
    if count == 0:
        raise ValueError("[median] Cannot take median along empty axis.")
    last = len(rest)
    moved = transpose(at_least_float(x), rest + axes)
    ordered = SORT(reshape(moved, (*(x.shape[i] for i in rest), count)), last)
    middle = slice_axis(ordered, last, (count - 1) // 2, 1)
    if count % 2 == 0:
        middle = middle * 0.5 + slice_axis(ordered, last, count // 2, 1) * 0.5
    largest = slice_axis(ordered, last, count - 1, 1)
    middle = SELECT(ISNAN(largest), largest, middle)
    return wrap(reshape(middle, reduced_shape(x.shape, axes, kept)))


def searchsorted(
    sorted_sequence: array, values: array, /, side: str = "left", *, stream: StreamOrDevice = None
) -> array:
    """Positions at which values would have to be inserted to keep a sequence sorted.

    Args:
        sorted_sequence: array of shape (n,) in ascending order, NaNs last.
        values: array of any shape. Both are promoted to one dtype.
        side: "left" inserts before equal elements, "right" after them.

    Returns:
        uint32 array of the shape of `values`, from 0 to n.

    Raises:
        TypeError: an argument is no array, or `side` no string.
        ValueError: `sorted_sequence` has not one axis, or `side` is another word.

    Example:
        >>> import mlx.core as mx
        >>> mx.searchsorted(mx.array([1, 2, 2, 3]), mx.array([2, 5]))
        array([1, 4], dtype=uint32)
        >>> mx.searchsorted(mx.array([1, 2, 2, 3]), mx.array([2, 5]), side="right")
        array([3, 4], dtype=uint32)
    """
    if stream is not None:
        check_stream(stream, "searchsorted")
    array_node(sorted_sequence, "searchsorted", "sorted_sequence")
    array_node(values, "searchsorted", "values")
    if sorted_sequence.ndim != 1:
        raise ValueError(f"[searchsorted] The sorted sequence must be 1-D but has {sorted_sequence.ndim} dimensions.")
    if word(side, "searchsorted", "side") not in ("left", "right"):
        raise ValueError(f"[searchsorted] Invalid side {side!r}. Expected 'left' or 'right'.")
    line, wanted = operand_pair("searchsorted", sorted_sequence, values)
    return wrap(SEARCHSORTED(line, wanted, side == "right"))

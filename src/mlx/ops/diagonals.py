"""Diagonals and triangles of matrices."""

from __future__ import annotations

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import Dtype, float32
from mlx.ir.node import Node
from mlx.ops.arguments import (
    StreamOrDevice,
    array_node,
    check_stream,
    checked_axis,
    checked_extent,
    checked_shape,
    dtype_argument,
    one_integer,
)
from mlx.ops.reductions import sum as sum_over
from mlx.primitives.creation import EYE, TRI
from mlx.primitives.elementwise import SELECT
from mlx.primitives.shape import reshape, transpose
from mlx.primitives.slicing import SLICE, place
from mlx.primitives.structure import cast

__all__ = ["diag", "diagonal", "eye", "identity", "trace", "tri", "tril", "triu"]


def eye(
    n: int,
    m: int | None = None,
    k: int = 0,
    dtype: Dtype | None = float32,
    *,
    stream: StreamOrDevice = None,
) -> array:
    """A matrix with ones on a diagonal and zeros elsewhere.

    Args:
        n: number of rows.
        m: number of columns; by default as many as rows.
        k: the diagonal: 0 for the main one, positive above it, negative below.
        dtype: the element type; None means float32.

    Returns:
        An array of shape (n, m).

    Raises:
        ValueError: `n` or `m` is negative.

    Example:
        >>> import mlx.core as mx
        >>> mx.eye(2, 3, 1)
        array([[0, 1, 0],
               [0, 0, 1]], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "eye")
    rows = one_integer(n, "eye", "n")
    shape = checked_shape((rows, rows if m is None else one_integer(m, "eye", "m")), "eye")
    return wrap(EYE(*shape, one_integer(k, "eye", "k"), float32 if dtype is None else dtype_argument(dtype, "eye")))


def identity(n: int, dtype: Dtype | None = float32, *, stream: StreamOrDevice = None) -> array:
    """The identity matrix.

    Args:
        n: number of rows and columns.
        dtype: the element type; None means float32.

    Returns:
        An array of shape (n, n).

    Raises:
        ValueError: `n` is negative.

    Example:
        >>> import mlx.core as mx
        >>> mx.identity(2)
        array([[1, 0],
               [0, 1]], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "identity")
    shape = checked_shape((one_integer(n, "identity", "n"),) * 2, "identity")
    return wrap(EYE(*shape, 0, float32 if dtype is None else dtype_argument(dtype, "identity")))


def tri(
    n: int, m: int | None = None, k: int = 0, dtype: Dtype | None = None, *, stream: StreamOrDevice = None
) -> array:
    """A matrix with ones at and below a diagonal and zeros above.

    Args:
        n: number of rows.
        m: number of columns; by default as many as rows.
        k: the diagonal: 0 for the main one, positive above it, negative below.
        dtype: the element type; None means float32.

    Returns:
        An array of shape (n, m).

    Example:
        >>> import mlx.core as mx
        >>> mx.tri(2, 3, 1)
        array([[1, 1, 0],
               [1, 1, 1]], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "tri")
    rows = max(one_integer(n, "tri", "n"), 0)
    shape = checked_shape((rows, rows if m is None else max(one_integer(m, "tri", "m"), 0)), "tri")
    return wrap(
        cast(TRI(*shape, one_integer(k, "tri", "k")), float32 if dtype is None else dtype_argument(dtype, "tri"))
    )


def _triangle(x: Node, k: int, function: str) -> Node:
    if x.ndim < 2:
        raise ValueError(f"[{function}] array must be at least 2-D, got shape {x.shape}.")
    return TRI(x.shape[-2], x.shape[-1], k)


def tril(x: array, k: int = 0, *, stream: StreamOrDevice = None) -> array:
    """The lower triangles of matrices: zeros above a diagonal.

    Args:
        x: array of shape (..., m, n) and any dtype.
        k: the diagonal up to which elements are kept: 0 for the main one, positive above it, negative below.

    Returns:
        An array of the shape and dtype of `x`.

    Raises:
        ValueError: `x` has fewer than two axes.

    Example:
        >>> import mlx.core as mx
        >>> mx.tril(mx.array([[1, 2], [3, 4]]))
        array([[1, 0],
               [3, 4]], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "tril")
    node = array_node(x, "tril", "x")
    return wrap(SELECT(_triangle(node, one_integer(k, "tril", "k"), "tril"), node, 0))


def triu(x: array, k: int = 0, *, stream: StreamOrDevice = None) -> array:
    """The upper triangles of matrices: zeros below a diagonal.

    Args:
        x: array of shape (..., m, n) and any dtype.
        k: the diagonal from which elements are kept: 0 for the main one, positive above it, negative below.

    Returns:
        An array of the shape and dtype of `x`.

    Raises:
        ValueError: `x` has fewer than two axes.

    Example:
        >>> import mlx.core as mx
        >>> mx.triu(mx.array([[1, 2], [3, 4]]))
        array([[1, 2],
               [0, 4]], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "triu")
    node = array_node(x, "triu", "x")
    return wrap(SELECT(_triangle(node, one_integer(k, "triu", "k") - 1, "triu"), 0, node))


def _diagonal(a: array, offset: int, axis1: int, axis2: int, function: str) -> Node:
    """A diagonal as the last axis. In a flattened matrix its elements lie in equal steps."""
    x = array_node(a, function)
    ndim = x.ndim
    if ndim < 2:
        raise ValueError(f"[{function}] Array must have at least two dimensions, but got {ndim} dimensions.")
    first, second = checked_axis(axis1, ndim, function, "axis1"), checked_axis(axis2, ndim, function, "axis2")
    if first == second:
        raise ValueError(f"[{function}] axis1 and axis2 cannot be the same axis, got {axis1} and {axis2}.")
    rest = tuple(axis for axis in range(ndim) if axis not in (first, second))
    x = transpose(x, (*rest, first, second))
    *lead, rows, columns = x.shape
    offset = one_integer(offset, function, "offset")
    row, column = max(-offset, 0), max(offset, 0)
    length = max(min(rows - row, columns - column), 0)
    start = row * columns + column if length else 0
    zeros, ones = (0,) * len(lead), (1,) * len(lead)
    flat = reshape(x, (*lead, rows * columns))
    return SLICE(flat, (*zeros, start), (*lead, length), (*ones, columns + 1))


def diagonal(a: array, offset: int = 0, axis1: int = 0, axis2: int = 1, stream: StreamOrDevice = None) -> array:
    """Diagonals of the matrices that two axes span.

    Args:
        a: array of any dtype with at least two axes.
        offset: the diagonal: 0 for the main one, positive above it, negative below.
        axis1: the axis of the rows.
        axis2: the axis of the columns.

    Returns:
        The array without the two axes and with the diagonal as its last one.

    Raises:
        ValueError: `a` has fewer than two axes, or the axes are the same.
        IndexError: an axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.diagonal(mx.array([[1, 2], [3, 4]]))
        array([1, 4], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "diagonal")
    return wrap(_diagonal(a, offset, axis1, axis2, "diagonal"))


def diag(a: array, /, k: int = 0, *, stream: StreamOrDevice = None) -> array:
    """The diagonal of a matrix, or the matrix that has a vector as its diagonal.

    Args:
        a: array of one or two axes and any dtype.
        k: the diagonal: 0 for the main one, positive above it, negative below.

    Returns:
        For a matrix its diagonal; for a vector of length n a matrix of n + |k| rows and columns, zero elsewhere.

    Raises:
        ValueError: `a` has neither one axis nor two.

    Example:
        >>> import mlx.core as mx
        >>> mx.diag(mx.array([1, 2]), 1)
        array([[0, 1, 0],
               [0, 0, 2],
               [0, 0, 0]], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "diag")
    x = array_node(a, "diag")
    if x.ndim == 2:
        return wrap(_diagonal(a, one_integer(k, "diag", "k"), 0, 1, "diag"))
    if x.ndim != 1:
        raise ValueError(f"[diag] array must be 1-D or 2-D, got array with {x.ndim} dimensions.")
    k = one_integer(k, "diag", "k")
    extent = checked_extent(x.size + abs(k), "diag")
    start = (max(-k, 0) * extent + max(k, 0)) if x.size else 0
    return wrap(reshape(place(x, (start,), (extent * extent,), (extent + 1,)), (extent, extent)))


def trace(
    a: array,
    /,
    offset: int = 0,
    axis1: int = 0,
    axis2: int = 1,
    dtype: Dtype | None = None,
    *,
    stream: StreamOrDevice = None,
) -> array:
    """Sums along diagonals of the matrices that two axes span.

    Args:
        a: array of any dtype with at least two axes.
        offset: the diagonal: 0 for the main one, positive above it, negative below.
        axis1: the axis of the rows.
        axis2: the axis of the columns.
        dtype: the dtype in which to sum, by default that of `a`; integers of less than 32 bits are summed in 32.

    Returns:
        The array without the two axes.

    Raises:
        ValueError: `a` has fewer than two axes, or the axes are the same.
        IndexError: an axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.trace(mx.array([[1, 2], [3, 4]]))
        array(5, dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "trace")
    line = _diagonal(a, offset, axis1, axis2, "trace")
    return sum_over(wrap(line if dtype is None else cast(line, dtype_argument(dtype, "trace"))), -1)

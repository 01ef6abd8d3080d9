"""Taking and putting at indices along an axis. Indexing with brackets lives beside the array class."""

from __future__ import annotations

from mlx.arrays.array import array, wrap
from mlx.arrays.selection import IndexOutOfRange
from mlx.ir.dtypes import int32
from mlx.ir.node import Node
from mlx.ir.primitive import broadcast_shape
from mlx.ops.arguments import StreamOrDevice, array_node, check_stream, checked_axis
from mlx.primitives.indexing import GATHER, SCATTER, along_axis
from mlx.primitives.indexing import take_along_axis as along
from mlx.primitives.shape import broadcast, reshape
from mlx.primitives.slicing import slice_axis
from mlx.primitives.structure import cast

__all__ = ["put_along_axis", "take", "take_along_axis"]


def take(a: array, /, indices: int | array, axis: int | None = None, *, stream: StreamOrDevice = None) -> array:
    """Read entries along an axis.

    Args:
        a: array of any shape and dtype.
        indices: an integer or an array of integers of any type; negative ones count from the end. Indices in an array
            that lie outside mean the nearest end.
        axis: the axis along which to take; by default `a` is flattened.

    Returns:
        An array of the dtype of `a` and its shape, with `axis` replaced by the axes of `indices`.

    Raises:
        ValueError: an integer that is out of range, indices that are no integers, or a non-empty take from nothing.
        IndexError: `axis` is out of range.
        TypeError: `indices` is neither an integer nor an array.

    Example:
        >>> import mlx.core as mx
        >>> mx.take(mx.array([[1, 2, 3], [4, 5, 6]]), mx.array([2, 0]), axis=1)
        array([[3, 1],
               [6, 4]], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "take")
    x = array_node(a, "take")
    if not isinstance(indices, int):
        array_node(indices, "take", "indices")
    if axis is None:
        x, axis = reshape(x, (x.size,)), 0
    else:
        axis = checked_axis(axis, x.ndim, "take")
    extent = x.shape[axis]
    if isinstance(indices, int):
        if not -extent <= indices < extent:
            raise IndexOutOfRange(f"[take] Index {indices} is out of range for axis {axis} with size {extent}.")
        part = slice_axis(x, axis, indices % extent, 1)
        return wrap(reshape(part, (*x.shape[:axis], *x.shape[axis + 1 :])))
    index = _index_node(indices, "take")
    if extent == 0 and index.size:
        raise ValueError("[take] Cannot do a non-empty take from an empty axis.")
    return wrap(GATHER([x, index], (axis,), axis, True))


def take_along_axis(a: array, /, indices: array, axis: int | None = -1, *, stream: StreamOrDevice = None) -> array:
    """Read entries along an axis, at indices of their own for each line.

    Args:
        a: array of any shape and dtype.
        indices: array of integers with as many axes as `a`, which broadcasts with it but along `axis`; negative ones
            count from the end, those that lie outside mean the nearest end.
        axis: the axis along which to take; None flattens `a`, and `indices` has one axis.

    Returns:
        An array of the dtype of `a` and the shape of `indices`, broadcast with that of `a` but along `axis`.

    Raises:
        ValueError: the numbers of axes differ, shapes do not fit, or indices are no integers.
        IndexError: `axis` is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.take_along_axis(mx.array([[1, 2, 3], [4, 5, 6]]), mx.array([[2], [0]]), axis=1)
        array([[3],
               [4]], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "take_along_axis")
    x, index, axis = _lines(a, indices, axis, "take_along_axis")
    return wrap(along(x, index, axis))


def put_along_axis(
    a: array,
    /,
    indices: array,
    values: array,
    axis: int | None = None,
    *,
    stream: StreamOrDevice = None,
) -> array:
    """A copy with entries along an axis replaced, at indices of their own for each line.

    Args:
        a: array of any shape and dtype.
        indices: array of integers with as many axes as `a`, which broadcasts to it but along `axis`; negative ones
            count from the end, those that lie outside are passed over. Of equal ones the last counts.
        values: array that broadcasts with `indices`; it is cast to the dtype of `a`.
        axis: the axis along which to put; by default `a` is flattened, and `indices` has one axis.

    Returns:
        An array of the shape and dtype of `a`.

    Raises:
        ValueError: the numbers of axes differ, shapes do not fit, or indices are no integers.
        IndexError: `axis` is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.put_along_axis(mx.zeros((2, 3)), mx.array([[2], [0]]), mx.array(7.0), axis=1)
        array([[0, 0, 7],
               [7, 0, 0]], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "put_along_axis")
    written = array_node(values, "put_along_axis", "values")
    x, index, axis = _lines(a, indices, axis, "put_along_axis")
    update = cast(written, x.dtype)
    excess = max(update.ndim - x.ndim, 0)
    if update.shape[:excess] == (1,) * excess:
        update = reshape(update, update.shape[excess:])
    common = broadcast_shape(update.shape, index.shape)
    count = common[axis]
    wanted = (*x.shape[:axis], count, *x.shape[axis + 1 :])
    if broadcast_shape(common, wanted) != wanted:
        raise ValueError(
            f"[put_along_axis] values of shape {values.shape} and indices of shape {index.shape} do not broadcast "
            f"into shape {wanted}."
        )
    index = broadcast(index, (*index.shape[:axis], count, *index.shape[axis + 1 :]))
    every = tuple(range(x.ndim))
    out = SCATTER([x, broadcast(update, wanted), *along_axis(x.shape, index, axis)], every, 0, False)
    return wrap(reshape(out, a._node.shape))


def _lines(a: array, indices: array, axis: int | None, function: str) -> tuple[Node, Node, int]:
    """Array, indices and axis of a function that works line by line, checked."""
    x = array_node(a, function)
    array_node(indices, function, "indices")
    if axis is None:
        x, axis = reshape(x, (x.size,)), 0
    else:
        axis = checked_axis(axis, x.ndim, function)
    index = _index_node(indices, function)
    if index.ndim != x.ndim:
        raise ValueError(f"[{function}] Indices of dimension {index.ndim} do not match an array of dimension {x.ndim}.")
    broadcast_shape(_without(x.shape, axis), _without(index.shape, axis))
    return x, index, axis


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def _index_node(indices: array, function: str) -> Node:
    index = array_node(indices, function, "indices")
    if index.size == 0:
        return cast(index, int32)  # mx.array([]) is float32
    if not index.dtype.is_integer:
        raise ValueError(f"[{function}] indices must be integers, got {index.dtype.name}.")
    return index

"""Slices whose start is an array, so that it can be computed. Those whose start is a number are written as indices."""

from __future__ import annotations

from collections.abc import Sequence

from mlx.arrays.array import array, wrap
from mlx.ir.node import Node
from mlx.ops.arguments import StreamOrDevice, array_node, axes_in_order, check_stream, checked_shape, integers
from mlx.primitives.dynamic_slicing import DYNAMIC_SLICE, DYNAMIC_UPDATE
from mlx.primitives.shape import broadcast, reshape
from mlx.primitives.structure import cast

__all__ = ["slice", "slice_update"]


def _start_node(start_indices: array, axes: Sequence[int], ndim: int, function: str) -> tuple[Node, tuple[int, ...]]:
    """The start of a slice as an array of one axis, and the axes that it counts in."""
    start = array_node(start_indices, function, "start_indices")
    within = axes_in_order(integers(axes, function, "axes"), ndim, function)
    if not start.dtype.is_integer:
        raise ValueError(f"[{function}] Start indices must be integers, got type {start.dtype.name}.")
    if start.ndim > 1:
        raise ValueError(f"[{function}] Start indices must have at most one axis, got shape {start.shape}.")
    if start.size != len(within):
        raise ValueError(
            f"[{function}] Number of starting indices {start.size} does not match number of axes {len(within)}."
        )
    return reshape(start, (len(within),)), within


def slice(
    a: array, start_indices: array, axes: Sequence[int], slice_size: Sequence[int], *, stream: StreamOrDevice = None
) -> array:
    """A slice whose start is an array, so that it may be computed, and change, without a new program.

    Args:
        a: array of any shape and dtype.
        start_indices: integer array of shape (k,), or () for one axis: where the slice begins along `axes`. A slice
            that would reach over an end is moved inside.
        axes: the k axes that `start_indices` counts in. Along others the slice begins at 0.
        slice_size: the shape of the slice, with an extent for every axis of `a`.

    Returns:
        An array of shape `slice_size`.

    Raises:
        ValueError: the numbers of indices, axes and extents do not fit, or the slice is larger than the array.
        IndexError: an axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.slice(mx.array([1, 2, 3, 4]), mx.array([1]), (0,), (2,))
        array([2, 3], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "slice")
    x = array_node(a, "slice")
    given = integers(slice_size, "slice", "slice_size")
    start, within = _start_node(start_indices, axes, x.ndim, "slice")
    sizes = checked_shape(given, "slice")
    if len(sizes) != x.ndim or any(size > extent for size, extent in zip(sizes, x.shape, strict=True)):
        raise ValueError(f"[slice] Invalid slice size {sizes} for array with shape {x.shape}.")
    return wrap(DYNAMIC_SLICE(x, start, within, sizes))


def slice_update(
    a: array, update: array, start_indices: array, axes: Sequence[int], *, stream: StreamOrDevice = None
) -> array:
    """An array with a slice replaced, whose start is an array.

    Args:
        a: array of any shape and dtype.
        update: what to write; it is cast to the dtype of `a`. Its shape is that of the slice; along axes that it
            lacks in front, the slice has extent 1 where they are in `axes` and covers the array where not.
        start_indices: integer array of shape (k,), or () for one axis: where the slice begins along `axes`. A slice
            that would reach over an end is moved inside.
        axes: the k axes that `start_indices` counts in. Along others the slice begins at 0.

    Returns:
        The updated array; `a` stays as it is.

    Raises:
        ValueError: the numbers of indices and axes do not fit, or the update is larger than the array.
        IndexError: an axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.slice_update(mx.zeros((4,)), mx.ones((2,)), mx.array([1]), (0,))
        array([0, 1, 1, 0], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "slice_update")
    x = array_node(a, "slice_update")
    written = array_node(update, "slice_update", "update")
    start, within = _start_node(start_indices, axes, x.ndim, "slice_update")
    lead = x.ndim - written.ndim
    sizes = (*(1 if axis in within else extent for axis, extent in enumerate(x.shape[: max(lead, 0)])), *written.shape)
    if lead < 0 or any(size > extent for size, extent in zip(sizes, x.shape, strict=True)):
        raise ValueError(f"[slice_update] Invalid update shape {written.shape} for array with shape {x.shape}.")
    return wrap(DYNAMIC_UPDATE(x, broadcast(cast(written, x.dtype), sizes), start, within))

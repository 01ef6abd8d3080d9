"""Slices whose start is an array: reading one and writing one.

`start` has shape (*lead, k) for the k axes that it counts in; the leading axes, which batching makes, are axes of the
array as well: each of these subarrays has a start of its own. A slice that would reach over an end is moved inside.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive
from mlx.primitives.shape import Dims, batch_size, batch_to_front, move_axis
from mlx.primitives.slicing import zeros

Axes = tuple[int, ...]


def _place(x: Any, start: Any, axes: Axes, sizes: Shape) -> tuple[Any, tuple[Any, ...]]:
    """An array and the index that picks the slices from it: `x` for a single one, else a view of all its windows."""
    start = np.clip(start.astype(np.int64), 0, [x.shape[axis] - sizes[axis] for axis in axes])
    if start.ndim == 1:
        selection = [slice(0, size) for size in sizes]
        for axis, first in zip(axes, start.tolist(), strict=True):
            selection[axis] = slice(first, first + sizes[axis])
        return x, tuple(selection)
    lead = start.ndim - 1
    trailing = tuple(range(lead, x.ndim))
    windows = np.lib.stride_tricks.sliding_window_view(x, sizes[lead:], trailing, writeable=x.flags.writeable)
    starts: list[Any] = [0] * len(trailing)
    for position, axis in enumerate(axes):
        starts[axis - lead] = start[..., position]
    return windows, (*np.ix_(*(range(extent) for extent in start.shape[:-1])), *starts)


def _dynamic_slice(x: Any, start: Any, axes: Axes, sizes: Shape) -> Any:
    source, index = _place(x, start, axes, sizes)
    return source[index]


def _dynamic_update(x: Any, update: Any, start: Any, axes: Axes) -> Any:
    out = x.copy()
    target, index = _place(out, start, axes, update.shape)
    target[index] = update
    return out


def _starts_xla(xla: Any, x: Any, start: Any, axes: Axes) -> list[Any]:
    starts = [xla.jnp.zeros((), np.int64)] * x.ndim
    for position, axis in enumerate(axes):
        starts[axis] = start[position].astype(np.int64)
    return starts


def _dynamic_slice_xla(xla: Any, x: Any, start: Any, axes: Axes, sizes: Shape) -> Any:
    if start.ndim == 1:
        return xla.lax.dynamic_slice(x, _starts_xla(xla, x, start, axes), sizes, allow_negative_indices=False)
    lead = start.ndim - 1
    batch = prod(sizes[:lead])
    numbers = xla.lax.GatherDimensionNumbers(
        offset_dims=tuple(range(1, x.ndim - lead + 1)),
        collapsed_slice_dims=(),
        start_index_map=tuple(axis - lead + 1 for axis in axes),
        operand_batching_dims=(0,),
        start_indices_batching_dims=(0,),
    )
    windows = xla.lax.gather(
        x.reshape(batch, *x.shape[lead:]),
        start.reshape(batch, len(axes)).astype(np.int64),
        numbers,
        (1, *sizes[lead:]),
        mode=xla.lax.GatherScatterMode.CLIP,
    )
    return windows.reshape(sizes)


def _dynamic_update_xla(xla: Any, x: Any, update: Any, start: Any, axes: Axes) -> Any:
    if start.ndim == 1:
        starts = _starts_xla(xla, x, start, axes)
        return xla.lax.dynamic_update_slice(x, update, starts, allow_negative_indices=False)
    lead = start.ndim - 1
    batch = prod(x.shape[:lead])
    numbers = xla.lax.ScatterDimensionNumbers(
        update_window_dims=tuple(range(1, x.ndim - lead + 1)),
        inserted_window_dims=(),
        scatter_dims_to_operand_dims=tuple(axis - lead + 1 for axis in axes),
        operand_batching_dims=(0,),
        scatter_indices_batching_dims=(0,),
    )
    updated = xla.lax.scatter(
        x.reshape(batch, *x.shape[lead:]),
        start.reshape(batch, len(axes)).astype(np.int64),
        update.reshape(batch, *update.shape[lead:]),
        numbers,
        indices_are_sorted=True,
        unique_indices=True,
        mode=xla.lax.GatherScatterMode.CLIP,
    )
    return updated.reshape(x.shape)


def _batch_dynamic_slice(inputs: Sequence[Node], dims: Dims, axes: Axes, sizes: Shape) -> tuple[Node, int]:
    x, start = inputs
    size = batch_size(inputs, dims)
    moved = tuple(axis + 1 for axis in axes)
    if dims[1] is None:
        lead = start.ndim - 1
        assert dims[0] is not None
        x = move_axis(x, dims[0], lead)
        return DYNAMIC_SLICE(x, start, moved, (*sizes[:lead], size, *sizes[lead:])), lead
    x = batch_to_front(x, dims[0], size)
    return DYNAMIC_SLICE(x, move_axis(start, dims[1], 0), moved, (size, *sizes)), 0


def _batch_dynamic_update(inputs: Sequence[Node], dims: Dims, axes: Axes) -> tuple[Node, int]:
    size = batch_size(inputs, dims)
    x, update = (batch_to_front(operand, dim, size) for operand, dim in zip(inputs[:2], dims[:2], strict=True))
    start = inputs[2]
    moved = tuple(axis + 1 for axis in axes)
    if dims[2] is None:
        lead = start.ndim - 1
        return DYNAMIC_UPDATE(move_axis(x, 0, lead), move_axis(update, 0, lead), start, moved), lead
    return DYNAMIC_UPDATE(x, update, move_axis(start, dims[2], 0), moved), 0


DYNAMIC_SLICE = Primitive(
    "dynamic_slice",
    arity=2,
    shape=lambda x, start, axes, sizes: (sizes, x.dtype),
    kernel=_dynamic_slice,
    lower=_dynamic_slice_xla,
    vjp=(
        lambda g, out, x, start, axes, sizes: DYNAMIC_UPDATE(zeros(x.shape, g.dtype), g, start, axes),
        None,
    ),
    linear=(0,),
    batch=_batch_dynamic_slice,
    moves_data=True,
)


def _dynamic_update_tangent(
    tangents: Sequence[Node | None], out: Node, x: Node, update: Node, start: Node, axes: Axes
) -> Node | None:
    moving, written, _ = tangents
    if moving is None and written is None:
        return None
    return DYNAMIC_UPDATE(
        zeros(x.shape, x.dtype) if moving is None else moving,
        zeros(update.shape, update.dtype) if written is None else written,
        start,
        axes,
    )


DYNAMIC_UPDATE = Primitive(
    "dynamic_update",
    arity=3,
    shape=lambda x, update, start, axes: (x.shape, x.dtype),
    kernel=_dynamic_update,
    lower=_dynamic_update_xla,
    vjp=(
        lambda g, out, x, update, start, axes: DYNAMIC_UPDATE(g, zeros(update.shape, g.dtype), start, axes),
        lambda g, out, x, update, start, axes: DYNAMIC_SLICE(g, start, axes, update.shape),
        None,
    ),
    jvp=_dynamic_update_tangent,
    batch=_batch_dynamic_update,
    moves_data=True,
)

"""Slices at starts given as numbers: reading one, placing one in a constant, writing one into an array; and flips.

Starts, sizes and strides have an entry for every axis. Starts are non-negative and strides positive: a slice
that runs backwards is a flip of one that runs forwards. Starts are dynamic parameters, so that a loop over
batches compiles once; for starts given as an array see `dynamic_slicing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive, scalar_node
from mlx.ir.sizes import same_shape
from mlx.primitives.shape import RESHAPE, SUM, Dims, batch_size, batch_to_front, broadcast

Numbers = tuple[int, ...]


def zeros(shape: Shape, dtype: Dtype) -> Node:
    """Zeros as a node, for rules."""
    return broadcast(scalar_node(0, dtype), shape)


def slice_axis(x: Node, axis: int, start: int, size: int) -> Node:
    """`size` elements along one axis, from `start` on."""
    shape = x.shape
    if same_shape((size,), shape[axis : axis + 1]):
        return x
    starts = (*(0,) * axis, start, *(0,) * (len(shape) - axis - 1))
    return SLICE(x, starts, (*shape[:axis], size, *shape[axis + 1 :]), (1,) * len(shape))


def place(x: Node, starts: Numbers, shape: Shape, strides: Numbers) -> Node:
    """`x` at a slice of an array of zeros: the transpose of slicing."""
    return PAD(x, 0, starts, shape, strides)


def _slices(starts: Numbers, sizes: Numbers, strides: Numbers) -> tuple[slice, ...]:
    return tuple(
        slice(start, start + span, stride)
        for start, span, stride in zip(starts, _spans(sizes, strides), strides, strict=True)
    )


def _spans(sizes: Numbers, strides: Numbers) -> Numbers:
    """How far slices reach: what lies between the elements included."""
    return tuple((size - 1) * stride + 1 if size else 0 for size, stride in zip(sizes, strides, strict=True))


def _are_traced(starts: Sequence[Any]) -> bool:
    return not all(isinstance(start, int) for start in starts)


def _slice_xla(xla: Any, x: Any, starts: Sequence[Any], sizes: Numbers, strides: Numbers) -> Any:
    spans = _spans(sizes, strides)
    if _are_traced(starts):
        x = xla.lax.dynamic_slice(x, starts, spans, allow_negative_indices=False)
        starts = (0,) * len(sizes)
    limits = [start + span for start, span in zip(starts, spans, strict=True)]
    return xla.lax.slice(x, starts, limits, strides)


def _batch_slice(
    inputs: Sequence[Node], dims: Dims, starts: Numbers, sizes: Numbers, strides: Numbers
) -> tuple[Node, int]:
    x = batch_to_front(inputs[0], dims[0], 1)
    return SLICE(x, (0, *starts), (x.shape[0], *sizes), (1, *strides)), 0


SLICE = Primitive(
    "slice",
    arity=1,
    shape=lambda x, starts, sizes, strides: (sizes, x.dtype),
    kernel=lambda x, starts, sizes, strides: x[_slices(starts, sizes, strides)],
    lower=_slice_xla,
    vjp=(lambda g, out, x, starts, sizes, strides: place(g, starts, x.shape, strides),),
    linear=(0,),
    batch=_batch_slice,
    dynamic=True,
    moves_data=True,
    nanoseconds=0.25,
)


def _pad(x: Any, value: Any, starts: Numbers, shape: Shape, strides: Numbers) -> Any:
    out = np.full(shape, value, x.dtype)
    out[_slices(starts, x.shape, strides)] = x
    return out


def _pad_xla(xla: Any, x: Any, value: Any, starts: Sequence[Any], shape: Shape, strides: Numbers) -> Any:
    if _are_traced(starts):
        if 0 in x.shape:
            return xla.lax.broadcast(value, shape)
        x = xla.lax.pad(x, value, [(0, 0, stride - 1) for stride in strides])
        whole = xla.lax.broadcast(value, shape)
        return xla.lax.dynamic_update_slice(whole, x, starts, allow_negative_indices=False)
    spans = _spans(x.shape, strides)
    return xla.lax.pad(
        x,
        value,
        [
            (start, extent - start - span, stride - 1)
            for start, extent, span, stride in zip(starts, shape, spans, strides, strict=True)
        ],
    )


def _pad_value_cotangent(
    g: Node, out: Node, x: Node, value: Node, starts: Numbers, shape: Shape, strides: Numbers
) -> Node:
    outside = SLICE_UPDATE(g, zeros(x.shape, g.dtype), starts, x.shape, strides)
    return SUM(outside, tuple(range(g.ndim)), False)


def _pad_tangent(
    tangents: Sequence[Node | None],
    out: Node,
    x: Node,
    value: Node,
    starts: Numbers,
    shape: Shape,
    strides: Numbers,
) -> Node:
    moving, filling = tangents
    if moving is None:
        moving = zeros(x.shape, x.dtype)
    return PAD(moving, 0 if filling is None else filling, starts, shape, strides)


def _batch_pad(inputs: Sequence[Node], dims: Dims, starts: Numbers, shape: Shape, strides: Numbers) -> tuple[Node, int]:
    size = batch_size(inputs, dims)
    x = batch_to_front(inputs[0], dims[0], size)
    value = inputs[1]
    starts, strides = (0, *starts), (1, *strides)
    if dims[1] is None:
        return PAD(x, value, starts, (size, *shape), strides), 0
    whole = broadcast(RESHAPE(value, (size, *(1,) * len(shape))), (size, *shape))
    return SLICE_UPDATE(whole, x, starts, x.shape, strides), 0


# `x` at a slice of an array that is filled with the number `value`.
PAD = Primitive(
    "pad",
    arity=2,
    shape=lambda x, value, starts, shape, strides: (shape, x.dtype),
    kernel=_pad,
    lower=_pad_xla,
    vjp=(
        lambda g, out, x, value, starts, shape, strides: SLICE(g, starts, x.shape, strides),
        _pad_value_cotangent,
    ),
    jvp=_pad_tangent,
    batch=_batch_pad,
    dynamic=True,
    moves_data=True,
)


def _slice_update(x: Any, update: Any, starts: Numbers, sizes: Numbers, strides: Numbers) -> Any:
    out = x.copy()
    out[_slices(starts, sizes, strides)] = update
    return out


def _slice_update_xla(xla: Any, x: Any, update: Any, starts: Sequence[Any], sizes: Numbers, strides: Numbers) -> Any:
    lax = xla.lax
    if 0 in sizes:
        return x
    if sizes == x.shape:
        return update
    spans = _spans(sizes, strides)
    if spans != sizes:
        # A scatter would be slow: merge within the window that the slice spans, then write the window.
        gaps = [(0, 0, stride - 1) for stride in strides]
        window = lax.dynamic_slice(x, starts, spans, allow_negative_indices=False)
        written = lax.pad(xla.jnp.ones(sizes, bool), np.False_, gaps)
        update = lax.select(written, lax.pad(update, xla.jnp.zeros((), x.dtype), gaps), window)
    return lax.dynamic_update_slice(x, update, starts, allow_negative_indices=False)


def _slice_update_tangent(
    tangents: Sequence[Node | None],
    out: Node,
    x: Node,
    update: Node,
    starts: Numbers,
    sizes: Numbers,
    strides: Numbers,
) -> Node:
    moving, written = tangents
    if moving is None:
        assert written is not None
        return place(written, starts, x.shape, strides)
    return SLICE_UPDATE(moving, written or zeros(sizes, x.dtype), starts, sizes, strides)


def _batch_slice_update(
    inputs: Sequence[Node], dims: Dims, starts: Numbers, sizes: Numbers, strides: Numbers
) -> tuple[Node, int]:
    size = batch_size(inputs, dims)
    x, update = (batch_to_front(operand, dim, size) for operand, dim in zip(inputs, dims, strict=True))
    return SLICE_UPDATE(x, update, (0, *starts), (size, *sizes), (1, *strides)), 0


# `x` with `update` (of exactly the slice's shape) written at a slice.
SLICE_UPDATE = Primitive(
    "slice_update",
    arity=2,
    shape=lambda x, update, starts, sizes, strides: (x.shape, x.dtype),
    kernel=_slice_update,
    lower=_slice_update_xla,
    vjp=(
        lambda g, out, x, update, starts, sizes, strides: SLICE_UPDATE(
            g, zeros(sizes, g.dtype), starts, sizes, strides
        ),
        lambda g, out, x, update, starts, sizes, strides: SLICE(g, starts, sizes, strides),
    ),
    jvp=_slice_update_tangent,
    batch=_batch_slice_update,
    dynamic=True,
    moves_data=True,
)


def _batch_flip(inputs: Sequence[Node], dims: Dims, axes: Numbers) -> tuple[Node, int]:
    return FLIP(batch_to_front(inputs[0], dims[0], 1), tuple(axis + 1 for axis in axes)), 0


FLIP = Primitive(
    "flip",
    arity=1,
    shape=lambda x, axes: (x.shape, x.dtype),
    kernel=lambda x, axes: np.flip(x, axes),
    lower=lambda xla, x, axes: xla.lax.rev(x, axes),
    vjp=(lambda g, out, x, axes: FLIP(g, axes),),
    linear=(0,),
    batch=_batch_flip,
    moves_data=True,
    nanoseconds=0.25,
)

"""Joining and going round: concatenation along an axis and cyclic shifts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive
from mlx.primitives.shape import Dims, batch_size, batch_to_front
from mlx.primitives.slicing import SLICE, zeros


def _concatenate_shape(inputs: Sequence[Node], axis: int) -> tuple[Shape, Dtype]:
    shape = list(inputs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in inputs)
    return tuple(shape), inputs[0].dtype


def _part(i: int, g: Node, out: Node, inputs: Sequence[Node], axis: int) -> Node:
    start = sum(x.shape[axis] for x in inputs[:i])
    ndim = g.ndim
    starts = tuple(start if a == axis else 0 for a in range(ndim))
    return SLICE(g, starts, inputs[i].shape, (1,) * ndim)


def _concatenate_tangent(tangents: Sequence[Node | None], out: Node, inputs: Sequence[Node], axis: int) -> Node:
    moving = [zeros(x.shape, x.dtype) if t is None else t for t, x in zip(tangents, inputs, strict=True)]
    return CONCATENATE(moving, axis)


def _batch_concatenate(inputs: Sequence[Node], dims: Dims, axis: int) -> tuple[Node, int]:
    size = batch_size(inputs, dims)
    batched = [batch_to_front(x, dim, size) for x, dim in zip(inputs, dims, strict=True)]
    return CONCATENATE(batched, axis + 1), 0


# Inputs of one dtype whose shapes differ at most along `axis`.
CONCATENATE = Primitive(
    "concatenate",
    arity=None,
    shape=_concatenate_shape,
    kernel=lambda arrays, axis: np.concatenate(arrays, axis),
    lower=lambda xla, arrays, axis: xla.lax.concatenate(arrays, axis),
    vjp=_part,
    jvp=_concatenate_tangent,
    batch=_batch_concatenate,
    moves_data=True,
)


def _roll(x: Any, shifts: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    return np.roll(x, shifts, axes)


def _roll_xla(xla: Any, x: Any, shifts: Sequence[Any], axes: tuple[int, ...]) -> Any:
    lax = xla.lax
    for shift, axis in zip(shifts, axes, strict=True):
        extent = x.shape[axis]
        if isinstance(shift, int):
            if shift:
                front = lax.slice_in_dim(x, extent - shift, extent, axis=axis)
                x = lax.concatenate([front, lax.slice_in_dim(x, 0, extent - shift, axis=axis)], axis)
        elif extent:
            twice = lax.concatenate([x, x], axis)
            x = lax.dynamic_slice_in_dim(twice, extent - shift, extent, axis=axis)
    return x


def _opposite(x: Node, shifts: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-shift % x.shape[axis] if shift else 0 for shift, axis in zip(shifts, axes, strict=True))


def _batch_roll(inputs: Sequence[Node], dims: Dims, shifts: tuple[int, ...], axes: tuple[int, ...]) -> tuple[Node, int]:
    return ROLL(batch_to_front(inputs[0], dims[0], 1), shifts, tuple(axis + 1 for axis in axes)), 0


# A cyclic shift along each of `axes` (which may repeat); shifts lie in [0, extent).
ROLL = Primitive(
    "roll",
    arity=1,
    shape=lambda x, shifts, axes: (x.shape, x.dtype),
    kernel=_roll,
    lower=_roll_xla,
    vjp=(lambda g, out, x, shifts, axes: ROLL(g, _opposite(x, shifts, axes), axes),),
    linear=(0,),
    batch=_batch_roll,
    dynamic=True,
    moves_data=True,
)

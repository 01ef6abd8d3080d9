"""One element from each row, and its transpose: an array of zeros with one element in each row.

A gather and a scatter could do the same. On XLA these are comparisons with a range, which become part of what is
computed from or added to their results: the gradient of a cross entropy is written once, and not made of two arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive
from mlx.primitives.shape import Dims, batch_size, batch_to_front

Array = Any


def _pick(x: Array, index: Array) -> Array:
    index = np.clip(index, 0, x.shape[-1] - 1)
    return np.take_along_axis(x, index[..., None], -1)[..., 0]


def _pick_xla(xla: Any, x: Array, index: Array) -> Array:
    index = xla.jnp.clip(index, 0, x.shape[-1] - 1)[..., None]
    return xla.jnp.take_along_axis(x, index, -1, mode="clip")[..., 0]


def _put(g: Array, index: Array, count: int) -> Array:
    out = np.zeros((*g.shape, count), g.dtype)
    np.put_along_axis(out, np.clip(index, 0, count - 1)[..., None], g[..., None], -1)
    return out


def _put_xla(xla: Any, g: Array, index: Array, count: int) -> Array:
    index = xla.jnp.clip(index, 0, count - 1)[..., None]
    places = xla.lax.broadcasted_iota(index.dtype, (*g.shape, count), g.ndim)
    return xla.jnp.where(places == index, g[..., None], xla.jnp.zeros((), g.dtype))


def _put_shape(g: Node, index: Node, count: int) -> tuple[Shape, Dtype]:
    return (*g.shape, count), g.dtype


def _together(inputs: Sequence[Node], dims: Dims) -> list[Node]:
    size = batch_size(inputs, dims)
    return [batch_to_front(x, dim, size) for x, dim in zip(inputs, dims, strict=True)]


# x[..., index]: an index for each row, from 0; what lies outside picks the nearest end.
PICK = Primitive(
    "pick",
    arity=2,
    shape=lambda x, index: (index.shape, x.dtype),
    kernel=_pick,
    lower=_pick_xla,
    vjp=(lambda g, out, x, index: PUT(g, index, x.shape[-1]), None),
    linear=(0,),
    batch=lambda inputs, dims: (PICK(*_together(inputs, dims)), 0),
    moves_data=True,
)

# Zeros, and g where `PICK` would pick.
PUT = Primitive(
    "put",
    arity=2,
    shape=_put_shape,
    kernel=_put,
    lower=_put_xla,
    vjp=(lambda g, out, x, index, count: PICK(g, index), None),
    linear=(0,),
    batch=lambda inputs, dims, count: (PUT(*_together(inputs, dims), count), 0),
    moves_data=True,
)

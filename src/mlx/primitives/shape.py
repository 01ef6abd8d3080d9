"""Shapes: reshape, transpose, broadcast and its transpose, the sum; the recording functions that rules share.

Slicing, joining and padding live in `slicing`; reductions other than the sum in `reductions`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive
from mlx.ir.sizes import same_shape
from mlx.primitives.cpu_reductions import sum_over

Dims = Sequence[int | None]


def inverse_permutation(axes: Sequence[int]) -> tuple[int, ...]:
    inverse = [0] * len(axes)
    for position, axis in enumerate(axes):
        inverse[axis] = position
    return tuple(inverse)


def reduced_shape(shape: Shape, axes: Sequence[int], keepdims: bool) -> Shape:
    """The shape after reducing `axes` (non-negative)."""
    if len(axes) == len(shape):
        return (1,) * len(shape) if keepdims else ()
    if len(axes) == 1:
        axis = axes[0]
        return shape[:axis] + ((1,) if keepdims else ()) + shape[axis + 1 :]
    if keepdims:
        return tuple(1 if axis in axes else extent for axis, extent in enumerate(shape))
    return tuple(extent for axis, extent in enumerate(shape) if axis not in axes)


def reshape(x: Node, shape: Shape) -> Node:
    return x if same_shape(x.shape, shape) else RESHAPE(x, shape)


def transpose(x: Node, axes: tuple[int, ...]) -> Node:
    return x if axes == tuple(range(len(axes))) else TRANSPOSE(x, axes)


def broadcast(x: Node, shape: Shape) -> Node:
    return x if same_shape(x.shape, shape) else BROADCAST(x, shape)


def unbroadcast(g: Node, shape: Shape) -> Node:
    """Sum `g` down to `shape`, of which it is a broadcast: the transpose of broadcasting."""
    if g.shape == shape:
        return g
    lead = len(g.shape) - len(shape)
    axes = tuple(range(lead)) + tuple(
        axis for axis, extent in enumerate(shape, lead) if extent == 1 and g.shape[axis] != 1
    )
    return reshape(SUM(g, axes, False), shape) if axes else reshape(g, shape)


def move_axis(x: Node, source: int, destination: int) -> Node:
    """`x` with one axis moved (non-negative axes)."""
    axes = [axis for axis in range(x.ndim) if axis != source]
    axes.insert(destination, source)
    return transpose(x, tuple(axes))


def batch_to_front(x: Node, dim: int | None, size: int) -> Node:
    """`x` with its batch axis first; an unbatched one is repeated `size` times."""
    if dim is None:
        return BROADCAST(x, (size, *x.shape))
    return move_axis(x, dim, 0)


def batch_size(inputs: Sequence[Node], dims: Dims) -> int:
    return next(x.shape[dim] for x, dim in zip(inputs, dims, strict=True) if dim is not None)


def align_batches(inputs: Sequence[Node], dims: Dims) -> list[Node]:
    """Inputs of a broadcasting primitive with batch axes first and ranks equal, so that they broadcast as before."""
    rank = max(x.ndim - (dim is not None) for x, dim in zip(inputs, dims, strict=True))
    aligned = []
    for x, dim in zip(inputs, dims, strict=True):
        if dim is not None:
            x = move_axis(x, dim, 0)
            x = reshape(x, (x.shape[0], *(1,) * (rank - x.ndim + 1), *x.shape[1:]))
        aligned.append(x)
    return aligned


def _no_cost(node: Node) -> float:
    return 0.0


def _batch_reshape(inputs: Sequence[Node], dims: Dims, shape: Shape) -> tuple[Node, int]:
    x = batch_to_front(inputs[0], dims[0], 1)
    return RESHAPE(x, (x.shape[0], *shape)), 0


RESHAPE = Primitive(
    "reshape",
    arity=1,
    shape=lambda x, shape: (shape, x.dtype),
    kernel=lambda x, shape: np.reshape(x, shape),
    lower=lambda xla, x, shape: xla.lax.reshape(x, shape),
    vjp=(lambda g, out, x, shape: reshape(g, x.shape),),
    linear=(0,),
    batch=_batch_reshape,
    moves_data=True,
    cost=_no_cost,
)


def _batch_transpose(inputs: Sequence[Node], dims: Dims, axes: tuple[int, ...]) -> tuple[Node, int]:
    x = batch_to_front(inputs[0], dims[0], 1)
    return TRANSPOSE(x, (0, *(axis + 1 for axis in axes))), 0


TRANSPOSE = Primitive(
    "transpose",
    arity=1,
    shape=lambda x, axes: (tuple(x.shape[axis] for axis in axes), x.dtype),
    kernel=lambda x, axes: x.transpose(axes),
    lower=lambda xla, x, axes: xla.lax.transpose(x, axes),
    vjp=(lambda g, out, x, axes: TRANSPOSE(g, inverse_permutation(axes)),),
    linear=(0,),
    batch=_batch_transpose,
    moves_data=True,
    cost=_no_cost,
)


def _batch_broadcast(inputs: Sequence[Node], dims: Dims, shape: Shape) -> tuple[Node, int]:
    x = batch_to_front(inputs[0], dims[0], 1)
    batch, *rest = x.shape
    x = reshape(x, (batch, *(1,) * (len(shape) - len(rest)), *rest))
    return BROADCAST(x, (batch, *shape)), 0


BROADCAST = Primitive(
    "broadcast",
    arity=1,
    shape=lambda x, shape: (shape, x.dtype),
    kernel=lambda x, shape: np.broadcast_to(x, shape),
    lower=lambda xla, x, shape: (
        xla.lax.broadcast_in_dim(x, shape, range(len(shape) - x.ndim, len(shape)))
        if 1 not in x.shape
        else xla.jnp.broadcast_to(x, shape)
    ),
    vjp=(lambda g, out, x, shape: unbroadcast(g, x.shape),),
    linear=(0,),
    batch=_batch_broadcast,
    moves_data=True,
    cost=_no_cost,
)


def _sum_shape(x: Node, axes: tuple[int, ...], keepdims: bool) -> tuple[Shape, Dtype]:
    return reduced_shape(x.shape, axes, keepdims), x.dtype


def _spread(g: Node, out: Node, x: Node, axes: tuple[int, ...], keepdims: bool) -> Node:
    if axes != tuple(range(len(axes))):  # leading axes come back by broadcasting alone
        g = reshape(g, reduced_shape(x.shape, axes, True))
    return BROADCAST(g, x.shape)


def _batch_sum(inputs: Sequence[Node], dims: Dims, axes: tuple[int, ...], keepdims: bool) -> tuple[Node, int]:
    x = batch_to_front(inputs[0], dims[0], 1)
    return SUM(x, tuple(axis + 1 for axis in axes), keepdims), 0


def _sum(xla: Any, x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    # XLA adds in the dtype that it is given, and in half precision 256 + 1 can be 256.
    wide = x.astype(np.float32) if x.dtype.kind in "fV" and x.dtype.itemsize == 2 else x
    return sum_over(xla, wide, axes).astype(x.dtype).reshape(reduced_shape(x.shape, axes, keepdims))


SUM = Primitive(
    "sum",
    arity=1,
    shape=_sum_shape,
    kernel=lambda x, axes, keepdims: np.add.reduce(x, axis=axes, keepdims=keepdims, dtype=x.dtype),
    lower=_sum,
    vjp=(_spread,),
    linear=(0,),
    batch=_batch_sum,
    cost=lambda node: 0.5 * math.prod(node.inputs[0].shape) if node.inputs else 0.0,
)

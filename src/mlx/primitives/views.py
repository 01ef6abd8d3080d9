"""Other views of the same memory: windows by strides, the sum that transposes them, the bits as another dtype."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive
from mlx.primitives.shape import RESHAPE, Dims, batch_to_front

Strides = tuple[int, ...]


def _as_strided(x: Any, shape: Shape, strides: Strides, offset: int) -> Any:
    if 0 in shape:
        return np.empty(shape, x.dtype)
    x = np.ascontiguousarray(x).reshape(-1)
    _check_positions(shape, strides, offset, x.size)  # NumPy does not, and this is memory of the process
    steps = [stride * x.itemsize for stride in strides]
    return np.lib.stride_tricks.as_strided(x[offset:], shape, steps, writeable=False)


def _positions(shape: Shape, strides: Strides, offset: int) -> Any:
    """The position in the flat array that every element of a strided view comes from."""
    positions = np.full((1,) * len(shape), offset)
    for axis, (extent, stride) in enumerate(zip(shape, strides, strict=True)):
        steps = np.arange(extent) * stride
        positions = positions + steps.reshape((extent,) + (1,) * (len(shape) - axis - 1))
    return np.broadcast_to(positions, shape)


def _positions_xla(xla: Any, shape: Shape, strides: Strides, offset: int) -> Any:
    """The same, computed by the program, so that no table of them is stored in it."""
    positions = xla.jnp.full(shape, offset, np.int64)
    for axis, stride in enumerate(strides):
        positions = positions + xla.lax.broadcasted_iota(np.int64, shape, axis) * np.int64(stride)
    return positions


def _as_strided_xla(xla: Any, x: Any, shape: Shape, strides: Strides, offset: int) -> Any:
    if 0 in shape:
        return xla.jnp.zeros(shape, x.dtype)
    return x.at[_positions_xla(xla, shape, strides, offset)].get(mode="promise_in_bounds")


def _batch_as_strided(
    inputs: Sequence[Node], dims: Dims, shape: Shape, strides: Strides, offset: int
) -> tuple[Node, int]:
    x = batch_to_front(inputs[0], dims[0], 1)
    batch, size = x.shape
    return AS_STRIDED(RESHAPE(x, (batch * size,)), (batch, *shape), (size, *strides), offset), 0


def _strided_shape(x: Node, shape: Shape, strides: Strides, offset: int) -> tuple[Shape, Dtype]:
    _check_positions(shape, strides, offset, x.size)
    return shape, x.dtype


def _check_positions(shape: Shape, strides: Strides, offset: int, size: int) -> None:
    """ValueError for a view that reaches beyond its array: kernels read and write wherever they are told to."""
    if 0 not in shape:
        spans = [(extent - 1) * stride for extent, stride in zip(shape, strides, strict=True)]
        if offset + sum(min(span, 0) for span in spans) < 0 or offset + sum(max(span, 0) for span in spans) >= size:
            raise ValueError(f"[as_strided] A view of shape {shape} reaches beyond its array of {size} elements.")


# A view of a flat array; strides count elements and may be zero or negative.
AS_STRIDED = Primitive(
    "as_strided",
    arity=1,
    shape=_strided_shape,
    kernel=_as_strided,
    lower=_as_strided_xla,
    vjp=(lambda g, out, x, shape, strides, offset: ADD_STRIDED(g, x.size, strides, offset),),
    linear=(0,),
    batch=_batch_as_strided,
    moves_data=True,
)


def _add_strided(g: Any, size: int, strides: Strides, offset: int) -> Any:
    out = np.zeros(size, g.dtype)
    np.add.at(out, _positions(g.shape, strides, offset).ravel(), g.ravel())
    return out


def _add_strided_xla(xla: Any, g: Any, size: int, strides: Strides, offset: int) -> Any:
    wide = g.astype(np.float32) if g.dtype.kind in "fV" and g.dtype.itemsize == 2 else g  # or it would add in halves
    out = xla.jnp.zeros(size, wide.dtype)
    if 0 not in g.shape:
        positions = _positions_xla(xla, g.shape, strides, offset)
        out = out.at[positions.ravel()].add(wide.ravel(), mode="promise_in_bounds")
    return out.astype(g.dtype)


def _added_shape(g: Node, size: int, strides: Strides, offset: int) -> tuple[Shape, Dtype]:
    _check_positions(g.shape, strides, offset, size)
    return (size,), g.dtype


def _batch_add_strided(
    inputs: Sequence[Node], dims: Dims, size: int, strides: Strides, offset: int
) -> tuple[Node, int]:
    g = batch_to_front(inputs[0], dims[0], 1)
    batch = g.shape[0]
    return RESHAPE(ADD_STRIDED(g, batch * size, (size, *strides), offset), (batch, size)), 0


# A flat array of `size` elements into which a strided view is added: where windows overlap, their elements add up.
ADD_STRIDED = Primitive(
    "add_strided",
    arity=1,
    shape=_added_shape,
    kernel=_add_strided,
    lower=_add_strided_xla,
    vjp=(lambda g, out, x, size, strides, offset: AS_STRIDED(g, x.shape, strides, offset),),
    linear=(0,),
    batch=_batch_add_strided,
    cost=lambda node: 10.0 * prod(node.inputs[0].shape) if node.inputs else 0.0,
)


def viewed_shape(shape: Shape, size: int, wanted: int) -> Shape:
    """The shape of an array of elements of `size` bytes as one of elements of `wanted` bytes."""
    return shape if size == wanted else (*shape[:-1], shape[-1] * size // wanted)


def _view(x: Any, dtype: Dtype) -> Any:
    if x.dtype.itemsize == dtype.size:
        return x.view(dtype.numpy)
    if x.size == 0:
        return np.empty(viewed_shape(x.shape, x.dtype.itemsize, dtype.size), dtype.numpy)
    return np.ascontiguousarray(x).view(dtype.numpy)


_BITS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def _to_bits(xla: Any, x: Any) -> Any:
    """The bits as unsigned integers; a complex number as two of them along a further last axis."""
    if x.dtype == np.bool_:
        return x.astype(np.uint8)
    if x.dtype == np.complex64:
        x = xla.jnp.stack([x.real, x.imag], -1)
    return xla.lax.bitcast_convert_type(x, _BITS[x.dtype.itemsize])


def _view_xla(xla: Any, x: Any, dtype: Dtype) -> Any:
    shape = viewed_shape(x.shape, x.dtype.itemsize, dtype.size)
    bits = _to_bits(xla, x)
    width = 4 if dtype.is_complex else dtype.size  # a complex number is built from two of 4 bytes
    lanes = (*shape, 2) if dtype.is_complex else shape
    held = bits.dtype.itemsize
    if held < width:
        bits = bits.reshape(*lanes, width // held)
    bits = xla.lax.bitcast_convert_type(bits, _BITS[width]).reshape(lanes)
    if dtype.is_complex:
        parts = xla.lax.bitcast_convert_type(bits, np.float32)
        return xla.lax.complex(parts[..., 0], parts[..., 1])
    if dtype.numpy == np.bool_:
        return bits != 0
    return xla.lax.bitcast_convert_type(bits, dtype.numpy)


# The bits of an array as another dtype; where the sizes differ, the last axis grows or shrinks. No derivative.
VIEW = Primitive(
    "view",
    arity=1,
    shape=lambda x, dtype: (viewed_shape(x.shape, x.dtype.size, dtype.size), dtype),
    kernel=_view,
    lower=_view_xla,
    batch=lambda inputs, dims, dtype: (VIEW(batch_to_front(inputs[0], dims[0], 1), dtype), 0),
    moves_data=True,
    nanoseconds=0.25,
)

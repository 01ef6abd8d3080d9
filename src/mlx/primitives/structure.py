"""Primitives that hold the program together: the identity that marks a transform's inputs, stopped gradients, the
projection out of many outputs, the barrier, and the cast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype, bool_, int64, uint32, uint64
from mlx.ir.node import Node
from mlx.ir.primitive import Primitive


def _no_cost(node: Node) -> float:
    return 0.0


# Marks an input that is differentiated: the backward walk ends here, so its own rules are never asked.
TRACER = Primitive(
    "tracer",
    arity=1,
    shape=lambda x: (x.shape, x.dtype),
    kernel=lambda x: x,
    lower=lambda xla, x: x,
    vjp=(lambda g, out, x: g,),
    linear=(0,),
    batch=lambda inputs, dims: (TRACER(inputs[0]), dims[0]),
    moves_data=True,
    cost=_no_cost,
)

STOP_GRADIENT = Primitive(
    "stop_gradient",
    arity=1,
    shape=lambda x: (x.shape, x.dtype),
    kernel=lambda x: x,
    lower=lambda xla, x: x,
    batch=lambda inputs, dims: (STOP_GRADIENT(inputs[0]), dims[0]),
    moves_data=True,
    cost=_no_cost,
)


def cast(x: Node, dtype: Dtype) -> Node:
    return x if x.dtype is dtype else CAST(x, dtype)


def _cast_kernel(x: Any, dtype: Dtype) -> Any:
    x = np.asarray(x)
    if x.dtype.kind == "c" and not dtype.is_complex and dtype is not bool_:
        x = x.real
    if dtype.is_integer and x.dtype.kind in "fV":
        return _float_to_integer(np, x, dtype)
    return x.astype(dtype.numpy)


def _cast_xla(xla: Any, x: Any, dtype: Dtype) -> Any:
    if dtype is bool_:
        return x != 0
    if x.dtype.kind == "c" and not dtype.is_complex:
        x = xla.lax.real(x)
    if dtype.is_integer and x.dtype.kind in "fV":
        return _float_to_integer(xla.jnp, x, dtype)
    return x.astype(dtype.numpy)


def _float_to_integer(library: Any, x: Any, dtype: Dtype) -> Any:
    """Truncated as a 64-bit x86 processor does it; `library` is NumPy or its counterpart on XLA.

    Types of 32 bits and less wrap what a conversion to int32 (uint32: int64) gives; NaN and what that cannot hold
    become its smallest number.
    """
    if x.dtype.itemsize == 2:
        x = x.astype(np.float32)
    if dtype is uint64:
        large = x >= 2.0**63
        low = _to_signed(library, library.where(large, x - np.asarray(2.0**63, x.dtype), x), np.int64)
        return low.astype(np.uint64) ^ (large.astype(np.uint64) << np.uint64(63))
    wide = np.int64 if dtype is int64 or dtype is uint32 else np.int32
    return _to_signed(library, x, wide).astype(dtype.numpy)


def _to_signed(library: Any, x: Any, wide: Any) -> Any:
    lowest = np.iinfo(wide).min
    bound = np.asarray(lowest, x.dtype)
    fits = (x >= bound) & (x < -bound)
    return library.where(fits, library.where(fits, x, np.zeros_like(bound)).astype(wide), np.asarray(lowest, wide))


def _cast_cotangent(g: Node, out: Node, x: Node, dtype: Dtype) -> Node | None:
    return cast(g, x.dtype) if dtype.is_inexact else None


def _cast_tangent(tangents: Sequence[Node], out: Node, x: Node, dtype: Dtype) -> Node | None:
    return CAST(tangents[0], dtype) if dtype.is_inexact else None


# A cast to an integer or boolean type passes no derivative.
CAST = Primitive(
    "cast",
    arity=1,
    shape=lambda x, dtype: (x.shape, dtype),
    kernel=_cast_kernel,
    lower=_cast_xla,
    vjp=(_cast_cotangent,),
    jvp=_cast_tangent,
    batch=lambda inputs, dims, dtype: (CAST(inputs[0], dtype), dims[0]),
    moves_data=True,
)

# Picks one output of a node that has many.
PROJECT = Primitive(
    "project",
    arity=1,
    shape=lambda x, index: (x.shape[index], x.dtype[index]),
    kernel=lambda x, index: x[index],
    lower=lambda xla, x, index: x[index],
    vjp=(None,),  # the walks hand the cotangent to the node that it projects
    moves_data=True,
    cost=_no_cost,
)


def _barrier_tangents(tangents: Sequence[Node | None], out: Node, inputs: Sequence[Node]) -> Sequence[Node | None]:
    return tangents


# Passes its inputs through once all of them are there; the compiler moves nothing across it.
BARRIER = Primitive(
    "barrier",
    arity=None,
    shape=lambda inputs: (tuple(x.shape for x in inputs), tuple(x.dtype for x in inputs)),
    kernel=tuple,
    lower=lambda xla, values: xla.lax.optimization_barrier(tuple(values)),
    vjp=lambda i, g, out, inputs: g[i],
    jvp=_barrier_tangents,
    batch=lambda inputs, dims: (BARRIER(inputs), dims),
    many=True,
    moves_data=True,
    cost=_no_cost,
)


def tied(inputs: Sequence[Node]) -> list[Node]:
    """The inputs, none of which is available before all of them are."""
    barrier = BARRIER(inputs)
    return [PROJECT(barrier, index) for index in range(len(inputs))]

"""Primitives that hold the program together: the identity that marks a transform's inputs, stopped gradients, the
projection out of many outputs, and the cast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype
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
    return np.asarray(x).astype(dtype.numpy)


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
    lower=lambda xla, x, dtype: x.astype(dtype.numpy),
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

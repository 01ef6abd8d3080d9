"""Arrays made from nothing but numbers: ranges, ones on a diagonal, triangles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlx.ir.dtypes import bool_
from mlx.ir.node import Node
from mlx.ir.primitive import Primitive, scalar_node
from mlx.primitives.shape import Dims, batch_size, batch_to_front, reshape


def _arange(start: Any, step: Any, count: int) -> Any:
    return start + step * np.arange(count).astype(start.dtype)


def _arange_xla(xla: Any, start: Any, step: Any, count: int) -> Any:
    dtype = start.dtype
    wide = np.float32 if dtype.itemsize == 2 and not np.issubdtype(dtype, np.integer) else dtype
    numbers = xla.lax.iota(np.int64, count).astype(wide)
    return (start.astype(wide) + step.astype(wide) * numbers).astype(dtype)


def _batch_arange(inputs: Sequence[Node], dims: Dims, count: int) -> tuple[Node, int]:
    size = batch_size(inputs, dims)
    start, step = (reshape(batch_to_front(x, dim, size), (size, 1)) for x, dim in zip(inputs, dims, strict=True))
    return start + step * ARANGE(scalar_node(0, start.dtype), scalar_node(1, start.dtype), count), 0


# start + i step. The two are numbers of the program, never differentiated.
ARANGE = Primitive(
    "arange",
    arity=2,
    shape=lambda start, step, count: ((count,), start.dtype),
    kernel=_arange,
    lower=_arange_xla,
    batch=_batch_arange,
)


def _diagonal_distance(xla: Any, rows: int, columns: int) -> Any:
    shape = (rows, columns)
    return xla.lax.broadcasted_iota(np.int32, shape, 1) - xla.lax.broadcasted_iota(np.int32, shape, 0)


# Ones on diagonal k and zeros elsewhere.
EYE = Primitive(
    "eye",
    arity=0,
    shape=lambda rows, columns, k, dtype: ((rows, columns), dtype),
    kernel=lambda rows, columns, k, dtype: np.eye(rows, columns, k, dtype.numpy),
    lower=lambda xla, rows, columns, k, dtype: (_diagonal_distance(xla, rows, columns) == k).astype(dtype.numpy),
)

# True on diagonal k and below it.
TRI = Primitive(
    "tri",
    arity=0,
    shape=lambda rows, columns, k: ((rows, columns), bool_),
    kernel=lambda rows, columns, k: np.tri(rows, columns, k, bool),
    lower=lambda xla, rows, columns, k: _diagonal_distance(xla, rows, columns) <= k,
)

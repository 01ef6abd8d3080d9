"""Products of matrices of which one operand is picked from a stack by an index: mixtures of experts.

Two primitives that are each other's derivatives. With an index that has an entry for each matrix of `a`:

    GATHERED_MATMUL(a, b, index)[i] = a[i] @ b[index[i]]
    GROUPED_PRODUCT(a, g, index)[e] = sum of transpose(a[i]) @ g[i] over the i with index[i] == e

Neither engine makes a copy of a picked matrix for every entry, which would be the stack many times over: NumPy
multiplies each matrix once, with all entries that picked it; XLA works through the entries in chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype, int32
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive, scalar_node
from mlx.primitives.arithmetic import LESS, MAXIMUM, MINIMUM
from mlx.primitives.elementwise import SELECT
from mlx.primitives.indexing import counting
from mlx.primitives.shape import Dims, batch_size, batch_to_front, move_axis, reshape, transpose
from mlx.primitives.structure import cast

Array = Any

_FLOPS_A_NANOSECOND = 30.0
_CHUNK_BYTES = 2**26  # of picked matrices that XLA copies at a time


def index_within(index: Node, extent: int) -> Node:
    """An index as the primitives here take it: int32, counted from the front; what lies outside is the nearest end."""
    index = cast(index, int32)
    count = scalar_node(extent, int32)
    from_front = SELECT(LESS(index, 0), index + count, index)
    return MAXIMUM(MINIMUM(from_front, count - scalar_node(1, int32)), scalar_node(0, int32))


def swapped(x: Node) -> Node:
    """A stack of transposed matrices."""
    return transpose(x, (0, 2, 1))


# ---------------------------------------------------------------------- kernels


def _groups(index: Array) -> Iterator[tuple[int, Any]]:
    """The different entries of an index with where they are: a slice where the index is sorted."""
    is_sorted = bool((index[1:] >= index[:-1]).all())
    order = None if is_sorted else np.argsort(index, kind="stable")
    ordered = index if order is None else index[order]
    bounds = [0, *(np.flatnonzero(ordered[1:] != ordered[:-1]) + 1), index.size] if index.size else []
    for start, stop in pairwise(bounds):
        yield int(ordered[start]), slice(start, stop) if order is None else order[start:stop]


def _gathered_kernel(a: Array, b: Array, index: Array) -> Array:
    entries, rows, inner = a.shape
    columns = b.shape[2]
    out = np.empty((entries, rows, columns), a.dtype)
    for picked, where in _groups(index):
        mine = a[where]
        out[where] = (mine.reshape(len(mine) * rows, inner) @ b[picked]).reshape(len(mine), rows, columns)
    return out


def _grouped_kernel(a: Array, g: Array, index: Array, count: int) -> Array:
    _, rows, inner = a.shape
    columns = g.shape[2]
    out = np.zeros((count, inner, columns), a.dtype)
    for picked, where in _groups(index):
        left, right = a[where], g[where]
        many = len(left) * rows
        out[picked] = left.reshape(many, inner).T @ right.reshape(many, columns)
    return out


# ---------------------------------------------------------------------- lowerings


def _products(xla: Any, a: Array, b: Array, contracted: tuple[int, int]) -> Array:
    """Products of two stacks of matrices, pair by pair, summed in float32 at least."""
    dimensions = (((contracted[0],), (contracted[1],)), ((0,), (0,)))
    if a.dtype.itemsize > 2:
        return xla.lax.dot_general(a, b, dimensions)
    return xla.lax.dot_general(a, b, dimensions, preferred_element_type=np.float32)


def _chunks(xla: Any, x: Array, size: int) -> Array:
    """The first axis in chunks of a size, of which the last is filled up with zeros."""
    missing = -x.shape[0] % size
    if missing:
        x = xla.jnp.concatenate([x, xla.jnp.zeros((missing, *x.shape[1:]), x.dtype)])
    return x.reshape(-1, size, *x.shape[1:])


def _chunk_size(entries: int, bytes_each: int) -> int:
    """How many entries to work on at a time, of which each needs a matrix of its own."""
    return max(1, min(entries, _CHUNK_BYTES // bytes_each))


def _gathered_xla(xla: Any, a: Array, b: Array, index: Array) -> Array:
    entries, rows, _ = a.shape
    shape = (entries, rows, b.shape[2])
    if 0 in shape or 0 in b.shape:
        return xla.jnp.zeros(shape, a.dtype)
    size = _chunk_size(entries, b.shape[1] * b.shape[2] * b.dtype.itemsize)

    def step(carry: None, chunk: tuple[Array, Array]) -> tuple[None, Array]:
        mine, picked = chunk
        matrices = b.at[picked].get(mode="promise_in_bounds")
        return carry, _products(xla, mine, matrices, (2, 1)).astype(a.dtype)

    if size == entries:
        return step(None, (a, index))[1]
    _, out = xla.lax.scan(step, None, (_chunks(xla, a, size), _chunks(xla, index, size)))
    return out.reshape(-1, *shape[1:])[:entries]


def _grouped_xla(xla: Any, a: Array, g: Array, index: Array, count: int) -> Array:
    entries, _, inner = a.shape
    shape = (count, inner, g.shape[2])
    if 0 in a.shape or 0 in g.shape or not count:
        return xla.jnp.zeros(shape, a.dtype)
    zeros = xla.jnp.zeros(shape, np.float32 if a.dtype.itemsize == 2 else a.dtype)
    size = _chunk_size(entries, inner * shape[2] * zeros.dtype.itemsize)

    def step(total: Array, chunk: tuple[Array, Array, Array]) -> tuple[Array, None]:
        left, right, picked = chunk
        return total.at[picked].add(_products(xla, left, right, (1, 1)), mode="promise_in_bounds"), None

    if size == entries:
        return step(zeros, (a, g, index))[0].astype(a.dtype)
    chunks = tuple(_chunks(xla, x, size) for x in (a, g, index))
    return xla.lax.scan(step, zeros, chunks)[0].astype(a.dtype)


# ---------------------------------------------------------------------- batching


def _batch_gathered(inputs: Sequence[Node], dims: Dims) -> tuple[Node, int]:
    a, b, index = inputs
    if dims[1] is None and dims[2] is None:  # more rows of the same matrices
        a = move_axis(a, dims[0], 1)  # type: ignore[arg-type]
        entries, batch, rows, inner = a.shape
        out = GATHERED_MATMUL(reshape(a, (entries, batch * rows, inner)), b, index)
        return reshape(out, (entries, batch, rows, b.shape[2])), 1
    size = batch_size(inputs, dims)
    a = batch_to_front(a, dims[0], size)
    _, entries, rows, _ = a.shape
    count = None
    if dims[1] is not None:
        b = move_axis(b, dims[1], 0)
        count = b.shape[1]
    stack = b if count is None else _merged(b)
    index = _batched_index(index, dims[2], size, count)
    out = GATHERED_MATMUL(_merged(a), stack, index)
    return reshape(out, (size, entries, rows, stack.shape[2])), 0


def _batch_grouped(inputs: Sequence[Node], dims: Dims, count: int) -> tuple[Node, int]:
    size = batch_size(inputs, dims)
    a, g = (_merged(batch_to_front(x, dim, size)) for x, dim in zip(inputs[:2], dims[:2], strict=True))
    index = _batched_index(inputs[2], dims[2], size, count)
    out = GROUPED_PRODUCT(a, g, index, size * count)
    return reshape(out, (size, count, a.shape[2], g.shape[2])), 0


def _merged(x: Node) -> Node:
    """`x` with its first two axes as one."""
    return reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:]))


def _batched_index(index: Node, dim: int | None, size: int, stride: int | None) -> Node:
    """The index of a whole batch, in which each member has `stride` matrices of its own (None: all have the same)."""
    index = batch_to_front(index, dim, size)
    if stride is not None:
        index = index + reshape(counting(size), (size, 1)) * scalar_node(stride, int32)
    return _merged(index)


# ---------------------------------------------------------------------- primitives


def _gathered_shape(a: Node, b: Node, index: Node) -> tuple[Shape, Dtype]:
    return (a.shape[0], a.shape[1], b.shape[2]), a.dtype


def _grouped_shape(a: Node, g: Node, index: Node, count: int) -> tuple[Shape, Dtype]:
    return (count, a.shape[2], g.shape[2]), a.dtype


def _cost(node: Node) -> float:
    if not node.inputs:
        return 0.0
    a, b, _ = node.inputs
    return 2.0 * a.size * b.shape[2] / _FLOPS_A_NANOSECOND + 3000.0 * min(a.shape[0], 64)


GATHERED_MATMUL = Primitive(
    "gathered_matmul",
    arity=3,
    shape=_gathered_shape,
    kernel=_gathered_kernel,
    lower=_gathered_xla,
    vjp=(
        lambda g, out, a, b, index: GATHERED_MATMUL(g, swapped(b), index),
        lambda g, out, a, b, index: GROUPED_PRODUCT(a, g, index, b.shape[0]),
        None,
    ),
    linear=(0, 1),
    batch=_batch_gathered,
    library_bound=True,
    cost=_cost,
)

GROUPED_PRODUCT = Primitive(
    "grouped_product",
    arity=3,
    shape=_grouped_shape,
    kernel=_grouped_kernel,
    lower=_grouped_xla,
    vjp=(
        lambda u, out, a, g, index, count: GATHERED_MATMUL(g, swapped(u), index),
        lambda u, out, a, g, index, count: GATHERED_MATMUL(a, u, index),
        None,
    ),
    linear=(0, 1),
    batch=_batch_grouped,
    library_bound=True,
    cost=_cost,
)

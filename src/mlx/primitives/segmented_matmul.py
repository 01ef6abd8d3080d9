"""Products of two matrices whose sum is taken over segments of the inner axis, each with a result of its own.

Two primitives that are each other's derivatives. With rows [start, stop) of `segments`, not negative:

    SEGMENTED_MATMUL(a, b, segments)[s]  = a[:, start:stop] @ b[start:stop]
    SEGMENTED_PRODUCT(g, b, segments)[:, start:stop] = sum of g[s] @ transpose(b[start:stop]) over all s

Neither engine looks at anything outside of a segment: the work grows with the lengths of the segments, not with
their number times the inner extent. NumPy multiplies segment by segment; XLA, which has to know the sizes of what it
multiplies, goes through each in pieces of one size, of which it cuts the last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive, scalar_node
from mlx.primitives.gathered_matmul import swapped
from mlx.primitives.indexing import counting
from mlx.primitives.shape import Dims, batch_size, batch_to_front, move_axis, reshape, transpose

Array = Any

_FLOPS_A_NANOSECOND = 30.0
_SMALLEST_PIECE, _LARGEST_PIECE = 16, 512


# ---------------------------------------------------------------------- kernels


def _segmented_kernel(a: Array, b: Array, segments: Array) -> Array:
    out = np.empty((len(segments), a.shape[0], b.shape[1]), a.dtype)
    for product, (start, stop) in zip(out, segments, strict=True):
        np.matmul(a[:, start:stop], b[start:stop], out=product)
    return out


def _product_kernel(g: Array, b: Array, segments: Array) -> Array:
    out = np.zeros((g.shape[1], b.shape[0]), g.dtype)
    for weights, (start, stop) in zip(g, segments, strict=True):
        out[:, start:stop] += weights @ b[start:stop].T
    return out


# ---------------------------------------------------------------------- lowerings


def _piece_size(inner: int, count: int) -> int:
    """How many elements of the inner axis to multiply at a time: as many as a segment would have if none overlapped."""
    usual = inner // count
    return min(inner, _LARGEST_PIECE, max(_SMALLEST_PIECE, usual))


def _by_pieces(
    xla: Any, segments: Array, inner: int, size: int, out: Array, add: Callable[[Array, Array, Array, Array], Array]
) -> Array:
    """Call `add(out, segment, start, inside)` for all pieces of all segments, one after the other.

    A piece starts where `size` elements follow; `inside` tells which of them belong to it.
    """
    jnp, count = xla.jnp, np.int32(len(segments))
    segments = jnp.minimum(segments.astype(np.int32), np.int32(inner))
    within = jnp.arange(size, dtype=np.int32)

    def is_unfinished(state: tuple[Array, ...]) -> Array:
        return state[0] < count

    def step(state: tuple[Array, ...]) -> tuple[Array, ...]:
        segment, position, out = state
        first, stop = segments[segment, 0], segments[segment, 1]
        position = jnp.maximum(position, first)
        start = jnp.minimum(position, np.int32(inner - size))
        inside = (start + within >= position) & (start + within < stop)
        out = add(out, segment, start, inside)
        after = position + np.int32(size)
        is_done = after >= stop
        return jnp.where(is_done, segment + np.int32(1), segment), jnp.where(is_done, np.int32(0), after), out

    return xla.lax.while_loop(is_unfinished, step, (np.int32(0), np.int32(0), out))[2]


def _wide(dtype: Any) -> Any:
    """The dtype to sum in."""
    return np.dtype(np.float32) if dtype.itemsize == 2 else dtype


def _segmented_xla(xla: Any, a: Array, b: Array, segments: Array) -> Array:
    (rows, inner), columns, count = a.shape, b.shape[1], len(segments)
    out = xla.jnp.zeros((count, rows, columns), _wide(a.dtype))
    if not out.size or not inner:
        return out.astype(a.dtype)
    lax, size = xla.lax, _piece_size(inner, count)

    def add(out: Array, segment: Array, start: Array, inside: Array) -> Array:
        left = lax.dynamic_slice_in_dim(a, start, size, 1)
        right = lax.dynamic_slice_in_dim(b, start, size, 0)
        left, right = xla.jnp.where(inside, left, 0), xla.jnp.where(inside[:, None], right, 0)
        product = lax.dot(left.astype(a.dtype), right.astype(a.dtype), preferred_element_type=out.dtype)
        return out.at[segment].add(product, mode="promise_in_bounds")

    return _by_pieces(xla, segments, inner, size, out, add).astype(a.dtype)


def _product_xla(xla: Any, g: Array, b: Array, segments: Array) -> Array:
    count, rows, _ = g.shape
    inner = b.shape[0]
    out = xla.jnp.zeros((rows, inner), _wide(g.dtype))
    if not out.size or not g.size:
        return out.astype(g.dtype)
    lax, size = xla.lax, _piece_size(inner, count)

    def add(out: Array, segment: Array, start: Array, inside: Array) -> Array:
        right = lax.dynamic_slice_in_dim(b, start, size, 0)
        product = lax.dot_general(g[segment], right, (((1,), (1,)), ((), ())), preferred_element_type=out.dtype)
        sum_so_far = lax.dynamic_slice_in_dim(out, start, size, 1)
        sum_so_far = xla.jnp.where(inside, sum_so_far + product, sum_so_far)
        return lax.dynamic_update_slice_in_dim(out, sum_so_far, start, 1)

    return _by_pieces(xla, segments, inner, size, out, add).astype(g.dtype)


# ---------------------------------------------------------------------- batching


def _joined_segments(segments: Node, inner: int) -> Node:
    """The segments of a whole batch in inner axes that are joined to one."""
    size, count, _ = segments.shape
    offsets = reshape(counting(size), (size, 1, 1)) * scalar_node(inner, segments.dtype)
    return reshape(segments + offsets, (size * count, 2))


def _joined_rows(x: Node) -> Node:
    """The matrices of a stack one below the other."""
    return reshape(x, (x.shape[0] * x.shape[1], x.shape[2]))


def _batch_segmented(inputs: Sequence[Node], dims: Dims) -> tuple[Node, int]:
    a, b, segments = inputs
    if dims[1] is None and dims[2] is None:  # more rows of one matrix
        a = move_axis(a, dims[0], 0)  # type: ignore[arg-type]
        out = SEGMENTED_MATMUL(_joined_rows(a), b, segments)
        return reshape(out, (out.shape[0], a.shape[0], a.shape[1], out.shape[2])), 1
    size = batch_size(inputs, dims)
    a, b = batch_to_front(a, dims[0], size), batch_to_front(b, dims[1], size)
    segments = batch_to_front(segments, dims[2], size)
    rows, inner = a.shape[1], a.shape[2]
    beside = reshape(transpose(a, (1, 0, 2)), (rows, size * inner))
    out = SEGMENTED_MATMUL(beside, _joined_rows(b), _joined_segments(segments, inner))
    return reshape(out, (size, segments.shape[1], rows, b.shape[2])), 0


def _batch_product(inputs: Sequence[Node], dims: Dims) -> tuple[Node, int]:
    size = batch_size(inputs, dims)
    g, b = batch_to_front(inputs[0], dims[0], size), batch_to_front(inputs[1], dims[1], size)
    inner = b.shape[1]
    segments = _joined_segments(batch_to_front(inputs[2], dims[2], size), inner)
    stack = reshape(g, (size * g.shape[1], g.shape[2], g.shape[3]))
    out = SEGMENTED_PRODUCT(stack, _joined_rows(b), segments)
    return reshape(out, (out.shape[0], size, inner)), 1


# ---------------------------------------------------------------------- primitives


def _segmented_shape(a: Node, b: Node, segments: Node) -> tuple[Shape, Dtype]:
    return (segments.shape[0], a.shape[0], b.shape[1]), a.dtype


def _product_shape(g: Node, b: Node, segments: Node) -> tuple[Shape, Dtype]:
    return (g.shape[1], b.shape[0]), g.dtype


def _segmented_cost(node: Node) -> float:
    """As if the segments covered the inner axis once."""
    if not node.inputs:
        return 0.0
    a, b, segments = node.inputs
    return 2.0 * a.size * b.shape[1] / _FLOPS_A_NANOSECOND + 2000.0 * segments.shape[0]


def _product_cost(node: Node) -> float:
    if not node.inputs:
        return 0.0
    g, b, segments = node.inputs
    return 2.0 * b.size * g.shape[1] / _FLOPS_A_NANOSECOND + 2000.0 * segments.shape[0]


def _flipped(x: Node) -> Node:
    return transpose(x, (1, 0))


SEGMENTED_MATMUL = Primitive(
    "segmented_matmul",
    arity=3,
    shape=_segmented_shape,
    kernel=_segmented_kernel,
    lower=_segmented_xla,
    vjp=(
        lambda g, out, a, b, segments: SEGMENTED_PRODUCT(g, b, segments),
        lambda g, out, a, b, segments: _flipped(SEGMENTED_PRODUCT(swapped(g), _flipped(a), segments)),
        None,
    ),
    linear=(0, 1),
    batch=_batch_segmented,
    library_bound=True,
    cost=_segmented_cost,
)

SEGMENTED_PRODUCT = Primitive(
    "segmented_product",
    arity=3,
    shape=_product_shape,
    kernel=_product_kernel,
    lower=_product_xla,
    vjp=(
        lambda u, out, g, b, segments: SEGMENTED_MATMUL(u, b, segments),
        lambda u, out, g, b, segments: _flipped(SEGMENTED_PRODUCT(swapped(g), _flipped(u), segments)),
        None,
    ),
    linear=(0, 1),
    batch=_batch_product,
    library_bound=True,
    cost=_product_cost,
)

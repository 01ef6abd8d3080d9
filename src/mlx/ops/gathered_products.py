"""Products of matrices that indices pick from stacks."""

from __future__ import annotations

from mlx.arrays.array import array, wrap
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import broadcast_shape
from mlx.ops.arguments import StreamOrDevice, array_node, check_stream, flag
from mlx.ops.products import product_dtype
from mlx.primitives.gathered_matmul import GATHERED_MATMUL, index_within, swapped
from mlx.primitives.indexing import GATHER, counting
from mlx.primitives.matmul import matmul
from mlx.primitives.shape import broadcast, reshape
from mlx.primitives.structure import cast

__all__ = ["gather_mm"]


def gather_mm(
    a: array,
    b: array,
    /,
    lhs_indices: array | None = None,
    rhs_indices: array | None = None,
    *,
    sorted_indices: bool = False,
    stream: StreamOrDevice = None,
) -> array:
    """Products of matrices picked from two stacks: `a[lhs_indices] @ b[rhs_indices]` without a copy of what is picked.

    Mixtures of experts multiply each token by the weights of the experts that it is sent to so.

    Args:
        a: array of shape `(..., m, k)`, or a vector of shape `(k,)`.
        b: array of shape `(..., k, n)`, or a vector of shape `(k,)`.
        lhs_indices: integers that pick from the matrices of `a` as if its batch axes were one; negative ones count
            from the end, those outside mean the nearest end. None picks all of them, in the shape of the batch axes.
        rhs_indices: likewise for `b`. The shapes of both broadcast to one shape.
        sorted_indices: a promise that the indices ascend, which is not needed here.

    Returns:
        An array of that shape followed by `(m, n)`; without the axis of an operand that is a vector.

    Raises:
        ValueError: shapes do not fit, indices are no integers, or the operands no real floating numbers.

    Example:
        >>> import mlx.core as mx
        >>> experts = mx.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 2.0], [2.0, 0.0]]])
        >>> mx.gather_mm(mx.array([[[1.0, 3.0]]]), experts, rhs_indices=mx.array([1, 0]))
        array([[[6, 2]],
               [[1, 3]]], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "gather_mm")
    x, y = array_node(a, "gather_mm", "a"), array_node(b, "gather_mm", "b")
    flag(sorted_indices, "gather_mm", "sorted_indices")
    dtype = product_dtype((x.dtype, y.dtype), "gather_mm")
    if dtype.is_complex:
        raise ValueError(
            f"[gather_mm] Only real floating point types are supported but {x.dtype.name} and {y.dtype.name} were "
            f"provided. Use mx.matmul on what mx.take picks."
        )
    x, y = cast(x, dtype), cast(y, dtype)
    _check_inner(x.shape, y.shape)
    left = reshape(x, (1, *x.shape)) if x.ndim == 1 else x
    right = reshape(y, (*y.shape, 1)) if y.ndim == 1 else y
    out = gathered_product(left, right, lhs_indices, rhs_indices, "gather_mm")
    if x.ndim == 1 or y.ndim == 1:
        rows = () if x.ndim == 1 else (x.shape[-2],)
        columns = () if y.ndim == 1 else (y.shape[-1],)
        out = reshape(out, (*out.shape[:-2], *rows, *columns))
    return wrap(out)


def gathered_product(a: Node, b: Node, lhs: array | None, rhs: array | None, function: str) -> Node:
    """The products of stacks of matrices of one dtype, picked by indices."""
    if lhs is None and rhs is None:
        broadcast_shape(a.shape[:-2], b.shape[:-2])
        return matmul(a, b)
    lhs_index, rhs_index = _flat_index(a, lhs, "lhs_indices", function), _flat_index(b, rhs, "rhs_indices", function)
    batch = broadcast_shape(lhs_index.shape, rhs_index.shape)
    rows, columns = a.shape[-2], b.shape[-1]
    # The larger matrices are picked from the stack by the primitive, the smaller ones are copied.
    if rows <= columns:
        out = GATHERED_MATMUL(_picked(a, lhs, lhs_index, batch), _stack(b), _entries(rhs_index, batch))
    else:
        left = swapped(_picked(b, rhs, rhs_index, batch))
        out = swapped(GATHERED_MATMUL(left, swapped(_stack(a)), _entries(lhs_index, batch)))
    return reshape(out, (*batch, rows, columns))


def _check_inner(a: Shape, b: Shape) -> None:
    if not a or not b:
        raise ValueError(
            f"[gather_mm] {'b' if a else 'a'} has no axes, but it must be a vector or a stack of matrices."
        )
    if a[-1] != b[-2 if len(b) > 1 else 0]:
        raise ValueError(
            f"[gather_mm] Last dimension of first input with shape {a} must match second to last dimension of second "
            f"input with shape {b}."
        )


def _count(shape: Shape) -> int:
    count = 1
    for extent in shape:
        count *= extent
    return count


def _flat_index(x: Node, indices: array | None, argument: str, function: str) -> Node:
    """Which matrices of a stack are picked, counted over all batch axes."""
    batch = x.shape[:-2]
    count = _count(batch)
    if indices is None:
        return reshape(counting(count), batch)
    index = array_node(indices, function, argument)
    if not index.dtype.is_integer:
        raise ValueError(
            f"[{function}] Got indices with invalid dtype. Indices must be integral, but {argument} is "
            f"{index.dtype.name}."
        )
    if count == 0 and index.size:
        raise ValueError(f"[{function}] {argument} cannot pick from a stack of shape {x.shape}, which is empty.")
    return index_within(index, count)


def _stack(x: Node) -> Node:
    """The matrices of all batch axes along one."""
    return reshape(x, (_count(x.shape[:-2]), x.shape[-2], x.shape[-1]))


def _entries(index: Node, batch: Shape) -> Node:
    """An index for each product."""
    return reshape(broadcast(index, batch), (_count(batch),))


def _picked(x: Node, indices: array | None, index: Node, batch: Shape) -> Node:
    """The matrix of `x` for each product."""
    if indices is None and index.shape == batch:
        return _stack(x)
    return GATHER([_stack(x), _entries(index, batch)], (0,), 0, True)

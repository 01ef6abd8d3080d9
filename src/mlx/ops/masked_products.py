"""Matrix products of which blocks are masked, or whose sum is taken over segments."""

from __future__ import annotations

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import Dtype, bool_, int32, int64, promote_types, uint64
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import broadcast_shape, scalar_node
from mlx.ops.arguments import StreamOrDevice, array_node, check_stream, one_integer
from mlx.ops.products import matmul
from mlx.primitives.arithmetic import LESS, MAXIMUM, MINIMUM, MULTIPLY
from mlx.primitives.elementwise import SELECT
from mlx.primitives.matmul import matmul as product_of
from mlx.primitives.segmented_matmul import SEGMENTED_MATMUL
from mlx.primitives.shape import broadcast, reshape
from mlx.primitives.slicing import slice_axis
from mlx.primitives.structure import cast

__all__ = ["block_masked_mm", "segmented_mm"]

_BLOCK_SIZES = (32, 64)


def _real_dtype(a: Dtype, b: Dtype, function: str) -> Dtype:
    dtype = promote_types(a, b)
    if not dtype.is_floating:
        raise ValueError(
            f"[{function}] Only real floating point types are supported but {a.name} and {b.name} were provided, "
            f"which results in {dtype.name}. Cast an operand with .astype(mx.float32)."
        )
    return dtype


# ---------------------------------------------------------------------- masked blocks


def block_masked_mm(
    a: array,
    b: array,
    /,
    block_size: int = 64,
    mask_out: array | None = None,
    mask_lhs: array | None = None,
    mask_rhs: array | None = None,
    *,
    stream: StreamOrDevice = None,
) -> array:
    """The matrix product of arrays in which whole blocks are masked, in the operands and in the result.

    A mask has an element for each block of `block_size` rows and columns, the last of which may be smaller. Where a
    boolean mask is False the block is zero, whatever it holds; other masks are factors of their blocks, and have
    derivatives.

    Args:
        a: array of shape `(..., m, k)`, or a vector of shape `(k,)`.
        b: array of shape `(..., k, n)`, or a vector of shape `(k,)`.
        block_size: 32 or 64.
        mask_out: mask of the result, which broadcasts to `(..., ceil(m / block_size), ceil(n / block_size))`, the
            batch axes being those of the result. None masks nothing.
        mask_lhs: mask of `a`, likewise.
        mask_rhs: mask of `b`, likewise.

    Returns:
        The products, of shape `(..., m, n)`; without the axis `m` or `n` where the operand is a vector.

    Raises:
        ValueError: there is a mask and `block_size` is neither 32 nor 64, shapes do not fit, the operands are no
            real floating numbers, or a mask is complex.

    Example:
        >>> import mlx.core as mx
        >>> out = mx.block_masked_mm(mx.ones((64, 2)), mx.ones((2, 1)), 32, mx.array([[True], [False]]))
        >>> out[0], out[63]
        (array([2], dtype=float32), array([0], dtype=float32))
    """
    if stream is not None:
        check_stream(stream, "block_masked_mm")
    block_size = one_integer(block_size, "block_masked_mm", "block_size")
    if mask_out is None and mask_lhs is None and mask_rhs is None:
        return matmul(a, b)
    x, y = array_node(a, "block_masked_mm", "a"), array_node(b, "block_masked_mm", "b")
    if block_size not in _BLOCK_SIZES:
        raise ValueError(f"[block_masked_mm] block_size must be 32 or 64, got {block_size}.")
    dtype = _real_dtype(x.dtype, y.dtype, "block_masked_mm")
    _check_inner(x.shape, y.shape)
    is_row, is_column = x.ndim == 1, y.ndim == 1
    x = reshape(cast(x, dtype), (1, *x.shape) if is_row else x.shape)
    y = reshape(cast(y, dtype), (*y.shape, 1) if is_column else y.shape)
    batch = broadcast_shape(x.shape[:-2], y.shape[:-2])
    x = _masked(x, mask_lhs, block_size, batch, "mask_lhs")
    y = _masked(y, mask_rhs, block_size, batch, "mask_rhs")
    out = _masked(product_of(x, y), mask_out, block_size, batch, "mask_out")
    rows, columns = out.shape[-2:]
    return wrap(reshape(out, (*batch, *(() if is_row else (rows,)), *(() if is_column else (columns,)))))


def _check_inner(a: Shape, b: Shape) -> None:
    if not a or not b:
        raise ValueError(f"[block_masked_mm] {'b' if a else 'a'} has no axes, but it must have one at least.")
    if a[-1] != b[-2 if len(b) > 1 else 0]:
        raise ValueError(
            f"[block_masked_mm] Last dimension of first input with shape {a} must match second to last dimension of "
            f"second input with shape {b}."
        )


def _masked(x: Node, mask: array | None, block_size: int, batch: Shape, argument: str) -> Node:
    """A stack of matrices whose blocks are masked; it has the batch axes `batch` if the mask needs them."""
    if mask is None:
        return x
    factors = array_node(mask, "block_masked_mm", argument)
    if factors.dtype.is_complex:
        raise ValueError(f"[block_masked_mm] {argument} must be boolean or real, but it is {factors.dtype.name}.")
    rows, columns = x.shape[-2:]
    blocks = (-(-rows // block_size), -(-columns // block_size))
    wanted = (*batch, *blocks)
    if not _broadcasts_to(factors.shape, wanted):
        raise ValueError(
            f"[block_masked_mm] {argument} of shape {factors.shape} must broadcast to {wanted}, an element for each "
            f"block of {block_size} rows and columns."
        )
    lead = factors.shape[:-2]
    factors = _over_elements(broadcast(factors, (*lead, *blocks)), block_size, rows, columns)
    if factors.dtype is not bool_:
        return MULTIPLY(x, cast(factors, x.dtype))
    shape = broadcast_shape(x.shape, factors.shape)
    return SELECT(broadcast(factors, shape), broadcast(x, shape), 0)


def _broadcasts_to(shape: Shape, wanted: Shape) -> bool:
    return len(shape) <= len(wanted) and all(
        extent in (1, other) for extent, other in zip(shape[::-1], wanted[::-1], strict=False)
    )


def _over_elements(mask: Node, block_size: int, rows: int, columns: int) -> Node:
    """A mask of blocks with an entry for each row and column."""
    *lead, block_rows, block_columns = mask.shape
    spread = reshape(mask, (*lead, block_rows, 1, block_columns, 1))
    spread = broadcast(spread, (*lead, block_rows, block_size, block_columns, block_size))
    whole = reshape(spread, (*lead, block_rows * block_size, block_columns * block_size))
    return slice_axis(slice_axis(whole, len(lead), 0, rows), len(lead) + 1, 0, columns)


# ---------------------------------------------------------------------- segments


def segmented_mm(a: array, b: array, /, segments: array, *, stream: StreamOrDevice = None) -> array:
    """Matrix products summed over segments of the inner axis: `a[:, start:stop] @ b[start:stop]` for each of them.

    The work grows with the lengths of the segments, which may be empty, overlap, or leave gaps. The weight gradients of
    a mixture of experts are such products, the tokens of each expert being a segment.

    Args:
        a: array of shape `(m, k)`.
        b: array of shape `(k, n)`.
        segments: integers of shape `(..., 2)`: where each segment starts and before which element it stops, as in a
            slice: negative ones count from the end, and one that stops before it starts is empty.

    Returns:
        An array of shape `(..., m, n)`, zero for empty segments.

    Raises:
        ValueError: an operand is no matrix or the shapes do not fit, the operands are no real floating numbers, or
            segments are no integers.

    Example:
        >>> import mlx.core as mx
        >>> a, b = mx.ones((1, 5)), mx.array([[1.0], [2.0], [3.0], [4.0], [5.0]])
        >>> mx.segmented_mm(a, b, mx.array([[0, 2], [2, 5], [4, 4]])).reshape(3)
        array([3, 12, 0], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "segmented_mm")
    x, y = array_node(a, "segmented_mm", "a"), array_node(b, "segmented_mm", "b")
    bounds = array_node(segments, "segmented_mm", "segments")
    if x.ndim != 2 or y.ndim != 2:
        raise ValueError(
            f"[segmented_mm] Batched matmul not supported: a and b must be matrices, got the shapes {x.shape} and "
            f"{y.shape}. Use mx.vmap for batches."
        )
    if x.shape[1] != y.shape[0]:
        raise ValueError(
            f"[segmented_mm] Last dimension of first input with shape {x.shape} must match first dimension of second "
            f"input with shape {y.shape}."
        )
    dtype = _real_dtype(x.dtype, y.dtype, "segmented_mm")
    lead = _check_segments(bounds)
    bounds = reshape(_within(bounds, x.shape[1]), (bounds.size // 2, 2))
    out = SEGMENTED_MATMUL(cast(x, dtype), cast(y, dtype), bounds)
    return wrap(reshape(out, (*lead, x.shape[0], y.shape[1])))


def _check_segments(segments: Node) -> Shape:
    """The shape of the axes that segments are along."""
    if not segments.dtype.is_integer:
        raise ValueError(
            f"[segmented_mm] Got segments with invalid dtype. Segments must be integral, but they are "
            f"{segments.dtype.name}."
        )
    if not segments.shape or segments.shape[-1] != 2:
        raise ValueError(f"[segmented_mm] The segments should have shape (..., 2) but {segments.shape} was provided.")
    return segments.shape[:-1]


def _within(bounds: Node, extent: int) -> Node:
    """Ends of slices as int32, counted from the front and not outside."""
    if bounds.dtype is uint64:  # int64 does not hold all of them
        bounds = MINIMUM(bounds, scalar_node(extent, uint64))
    bounds = cast(bounds, int64)
    length = scalar_node(extent, int64)
    bounds = SELECT(LESS(bounds, 0), bounds + length, bounds)
    return cast(MAXIMUM(MINIMUM(bounds, length), scalar_node(0, int64)), int32)

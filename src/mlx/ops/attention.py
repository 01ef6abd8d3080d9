"""What attention is made of: rotary encoding of positions, and the product of scores and values."""

from __future__ import annotations

import math
from typing import Any

from mlx.arrays.array import array, wrap
from mlx.arrays.operands import node_of
from mlx.ir.dtypes import Dtype, bool_, finfo, promote_types
from mlx.ir.node import Node
from mlx.ir.primitive import broadcast_shape, scalar_node
from mlx.ops.arguments import StreamOrDevice, array_node, check_stream, flag, one_integer, real_number
from mlx.ops.joining import concatenate, stack
from mlx.ops.shape import reshape
from mlx.ops.trigonometric import cos, sin
from mlx.primitives.elementwise import SELECT
from mlx.primitives.flash_attention import ATTENTION, causal_mask, wide_dtype
from mlx.primitives.indexing import counting
from mlx.primitives.joining import CONCATENATE
from mlx.primitives.linalg import matrix_transpose
from mlx.primitives.matmul import matmul
from mlx.primitives.shape import broadcast
from mlx.primitives.shape import reshape as node_reshape
from mlx.primitives.slicing import SLICE
from mlx.primitives.softmax import SOFTMAX
from mlx.primitives.structure import PROJECT, cast

__all__ = ["rope", "scaled_dot_product_attention"]


# ---------------------------------------------------------------------- rotary encoding


def rope(
    a: array,
    dims: int,
    *,
    traditional: bool,
    base: float | None,
    scale: float,
    offset: int | array,
    freqs: array | None = None,
    stream: StreamOrDevice = None,
) -> array:
    """Turn pairs of features by angles that grow with the position.

    Pair i at position t is turned by (t + offset) * scale * base^(-2 i / dims), so that the scalar product of a query
    and a key depends on the distance of their positions. Su et al. 2021, "RoFormer".

    Args:
        a: array of shape (B, ..., T, D) with three axes or more, of real floating numbers.
        dims: how many features to turn, even; those after them are returned as they are.
        traditional: whether neighbours (2 i, 2 i + 1) are a pair; otherwise (i, i + dims / 2) are.
        base: of the angles; None if `freqs` is given.
        scale: factor for the positions.
        offset: position of the first element: an integer, or an array of them of shape (), (1,) or (B,).
        freqs: array of shape (dims / 2,) by which positions are divided, in place of powers of `base`.

    Returns:
        Array of the shape and dtype of `a`.

    Raises:
        ValueError: shapes, dtypes or `dims` do not fit, or not exactly one of `base` and `freqs` is given.

    Example:
        >>> import mlx.core as mx
        >>> x = mx.array([[[1.0, 0.0], [1.0, 0.0]]])
        >>> mx.fast.rope(x, 2, traditional=True, base=10.0, scale=mx.pi / 2, offset=1).astype(mx.int32)
        array([[[0, 1],
                [-1, 0]]], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "rope")
    node = array_node(a, "rope", "a")
    if node.ndim < 3:
        raise ValueError(f"[rope] Input must have at least 3 dimensions but got input with {node.ndim} dimensions.")
    if not node.dtype.is_inexact or node.dtype.is_complex:
        raise ValueError(f"[rope] Input must be a floating type but got {node.dtype.name}.")
    dims = one_integer(dims, "rope", "dims")
    _check_dims(dims, node.shape[-1])
    traditional = flag(traditional, "rope", "traditional")
    angles = _angles(node, dims, base, scale, offset, freqs)
    cosines, sines = cos(angles), sin(angles)
    turned = wrap(cast(node, wide_dtype(node.dtype)))
    if traditional:
        first, second = turned[..., 0:dims:2], turned[..., 1:dims:2]
    else:
        first, second = turned[..., : dims // 2], turned[..., dims // 2 : dims]
    pair = [first * cosines - second * sines, first * sines + second * cosines]
    if traditional:
        out = reshape(stack(pair, -1), (*node.shape[:-1], dims))
    else:
        out = concatenate(pair, -1)
    out = wrap(cast(out._node, node.dtype))
    return out if dims == node.shape[-1] else concatenate([out, a[..., dims:]], -1)


def _check_dims(dims: int, features: int) -> None:
    if dims <= 0:
        raise ValueError(f"[rope] dims must be positive but got {dims}.")
    if dims % 2:
        raise ValueError(f"[rope] dims must be even but got {dims}.")
    if dims > features:
        raise ValueError(f"[rope] dims must not exceed the input's last dimension ({features}) but got {dims}.")


def _angles(x: Node, dims: int, base: float | None, scale: float, offset: int | array, freqs: array | None) -> array:
    """Angles of shape (T, dims / 2), or (B, 1, ..., T, dims / 2) where each example has its own offset."""
    dtype = wide_dtype(x.dtype)
    half = dims // 2
    positions = wrap(counting(x.shape[-2]))
    if isinstance(offset, int):
        positions = positions + offset
    else:
        positions = positions + _offsets(x, offset)
    positions = wrap(cast(positions._node, dtype)) * real_number(scale, "rope", "scale")
    if freqs is not None:
        given = array_node(freqs, "rope", "freqs")
        if base is not None:
            raise ValueError("[rope] Only one of base or freqs can have a value.")
        if given.shape != (half,):
            raise ValueError(f"[rope] freqs must be one dimensional with size {half} but got shape {given.shape}.")
        return positions[..., None] / wrap(cast(given, dtype))
    if base is None:
        raise ValueError("[rope] Neither base nor freqs has a value.")
    if real_number(base, "rope", "base") <= 0:
        raise ValueError(f"[rope] base must be positive, got {base}.")
    exponents = wrap(cast(counting(half), dtype)) * (-math.log(base) / half)
    return positions[..., None] * exponents.exp()


def _offsets(x: Node, offset: Any) -> array:
    """Offsets as integers of shape (), or (B, 1, ..., 1) with an axis for the positions."""
    node = node_of(offset, "rope", "offset")
    if node.ndim > 1:
        raise ValueError(f"[rope] offset must have at most one dimension but has shape {node.shape}.")
    if not node.dtype.is_integer:
        raise ValueError(f"[rope] offset must be an integer but got type {node.dtype.name}.")
    if node.ndim == 0:
        return wrap(node)
    if node.shape[0] not in (1, x.shape[0]):
        raise ValueError(
            f"[rope] offset must be a scalar or vector with {x.shape[0]} elements but has shape {node.shape}."
        )
    return reshape(wrap(node), (node.shape[0], *(1,) * (x.ndim - 2)))


# ---------------------------------------------------------------------- attention

_ATTENTION = "scaled_dot_product_attention"

# Scores of a head from which on they are not held at once. Measured on CPUs with 8 heads of 64 features, forward and
# backward: below it blocks gain nothing; 2048 x 2048 scores take two thirds of the time and half of the memory, 4096 x
# 4096 a sixth of the time, and 370 MB in place of 2100. On one H100 the time is about the same, and the memory less.
SCORES_IN_BLOCKS = 1024 * 1024
ROWS, COLUMNS = 256, 512


def scaled_dot_product_attention(
    q: array,
    k: array,
    v: array,
    *,
    scale: float,
    mask: str | array | None = None,
    sinks: array | None = None,
    force_fused: bool = False,
    stream: StreamOrDevice = None,
) -> array:
    """Attention of several heads: softmax(scale Q K^T + mask) V, with the softmax in float32.

    Vaswani et al. 2017, "Attention Is All You Need". Several query heads can share a head of keys and values (Ainslie
    et al. 2023); these are not to be repeated.

    Args:
        q: queries of shape (B, N_q, T_q, D).
        k: keys of shape (B, N_kv, T_kv, D), where N_kv divides N_q.
        v: values of shape (B, N_kv, T_kv, D_v).
        scale: factor of the scores, usually D^-0.5.
        mask: array that broadcasts to (B, N_q, T_q, T_kv): truth values that say what is attended to, or numbers that
            are added to the scores; or "causal", where the last query is aligned with the last key. Where a mask of
            truth values or "causal" leaves a query nothing, it attends to all alike.
        sinks: array of shape (N_q,): a score for each head that takes part in its softmax and stands for no value.
        force_fused: never hold all scores at once, whatever the lengths. Long sequences (T_q T_kv of a million and
            more) are always worked through in blocks, and so are their first derivatives.

    Returns:
        Array of shape (B, N_q, T_q, D_v), of the dtype that queries, keys and values promote to.

    Raises:
        ValueError: shapes or dtypes do not fit.

    Example:
        >>> import mlx.core as mx
        >>> q, k = mx.zeros((1, 1, 2, 4)), mx.zeros((1, 1, 2, 4))
        >>> v = mx.array([1.0, 3.0]).reshape(1, 1, 2, 1)
        >>> mx.fast.scaled_dot_product_attention(q, k, v, scale=1.0, mask="causal").reshape(2)
        array([1, 2], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "scaled_dot_product_attention")
    nodes = [array_node(x, _ATTENTION, name) for x, name in ((q, "q"), (k, "k"), (v, "v"))]
    _check_heads(*nodes)
    dtype = promote_types(promote_types(nodes[0].dtype, nodes[1].dtype), nodes[2].dtype)
    if not dtype.is_inexact or dtype.is_complex:
        raise ValueError(f"[{_ATTENTION}] Received unsupported type {dtype.name}: cast q, k and v to a floating one.")
    length, keys = nodes[0].shape[2], nodes[1].shape[2]
    mask_node, is_causal = _mask(mask, (*nodes[0].shape[:3], keys), dtype)
    sink_node = None if sinks is None else _sinks(sinks, nodes[0].shape[1], dtype)
    queries = cast(nodes[0], dtype) * scalar_node(real_number(scale, _ATTENTION, "scale"), dtype)
    by_blocks = flag(force_fused, _ATTENTION, "force_fused") or length * keys >= SCORES_IN_BLOCKS
    attend = _by_blocks if by_blocks else _at_once
    return wrap(attend(queries, cast(nodes[1], dtype), cast(nodes[2], dtype), mask_node, sink_node, is_causal))


def _check_heads(q: Node, k: Node, v: Node) -> None:
    for x in (q, k, v):
        if x.ndim != 4:
            raise ValueError(f"[{_ATTENTION}] input with shape {x.shape} expected to be rank 4.")
        if x.shape[0] != q.shape[0]:
            raise ValueError(f"[{_ATTENTION}] mismatching batch dimension for input with shape {x.shape}.")
    if q.shape[-1] != k.shape[-1]:
        raise ValueError(
            f"[{_ATTENTION}] query, keys expected to have matching last dimension; found query shape {q.shape} for "
            f"keys shape {k.shape}."
        )
    if k.shape[1:3] != v.shape[1:3]:
        raise ValueError(
            f"[{_ATTENTION}] keys, values expected to have matching heads and lengths; found keys shape {k.shape} for "
            f"values shape {v.shape}."
        )
    if k.shape[1] == 0 or q.shape[1] % k.shape[1] != 0:
        raise ValueError(
            f"[{_ATTENTION}] n_heads must be a multiple of n_kv_heads, found n_heads {q.shape[1]} for n_kv_heads "
            f"{k.shape[1]}."
        )


def _mask(mask: Any, scores: tuple[int, ...], dtype: Dtype) -> tuple[Node | None, bool]:
    """A mask with four axes that broadcasts to scores, and whether it is the causal one, which needs no array."""
    if mask is None:
        return None, False
    if isinstance(mask, str):
        if mask != "causal":
            raise ValueError(f"[{_ATTENTION}] invalid mask option {mask!r}. Must be 'causal', or an array.")
        return None, True
    node = array_node(mask, _ATTENTION, "mask")
    if node.ndim > 4:
        raise ValueError(f"[{_ATTENTION}] the mask with shape {node.shape} expected to have at most rank 4.")
    if broadcast_shape(node.shape, scores) != scores:
        raise ValueError(f"[{_ATTENTION}] the mask with shape {node.shape} does not broadcast to {scores}.")
    if node.dtype is not bool_:
        _check_promotes(node.dtype, dtype, "Mask type")
        node = cast(node, dtype)
    return node_reshape(node, (*(1,) * (4 - node.ndim), *node.shape)), False


def _sinks(sinks: array, heads: int, dtype: Dtype) -> Node:
    node = array_node(sinks, _ATTENTION, "sinks")
    if node.shape != (heads,):
        raise ValueError(f"[{_ATTENTION}] Received invalid shape for sinks {node.shape}: it must be {(heads,)}.")
    _check_promotes(node.dtype, dtype, "Type of sinks")
    return node_reshape(cast(node, wide_dtype(dtype)), (1, heads))


def _check_promotes(mine: Dtype, dtype: Dtype, what: str) -> None:
    if promote_types(mine, dtype) is not dtype:
        raise ValueError(f"[{_ATTENTION}] {what} must promote to output type {dtype.name}, got {mine.name}.")


def _by_blocks(q: Node, k: Node, v: Node, mask: Node | None, sinks: Node | None, is_causal: bool) -> Node:
    inputs = [q, k, v, *(x for x in (mask, sinks) if x is not None)]
    attention = ATTENTION(inputs, is_causal, mask is not None, sinks is not None, ROWS, COLUMNS)
    return PROJECT(attention, 0)


def _at_once(q: Node, k: Node, v: Node, mask: Node | None, sinks: Node | None, is_causal: bool) -> Node:
    batch, heads, length, features = q.shape
    groups, keys = k.shape[1:3]
    wide = wide_dtype(q.dtype)
    if groups != heads:  # an axis for the heads that share
        q = node_reshape(q, (batch, groups, heads // groups, length, features))
        k, v = (node_reshape(x, (batch, groups, 1, keys, x.shape[3])) for x in (k, v))
    scores = cast(matmul(q, matrix_transpose(k)), wide)
    split = scores.shape
    scores = node_reshape(scores, (batch, heads, length, keys))
    seen = causal_mask(length, keys) if is_causal else None
    if mask is not None:
        seen, scores = (mask, scores) if mask.dtype is bool_ else (None, scores + cast(mask, wide))
    if seen is not None:
        scores = SELECT(seen, scores, float(finfo(wide).min))
    if sinks is not None:  # takes part like a key
        column = broadcast(node_reshape(sinks, (1, heads, 1, 1)), (batch, heads, length, 1))
        scores = CONCATENATE([column, scores], 3)
    weights = SOFTMAX(scores, (3,))
    if sinks is not None:
        weights = SLICE(weights, (0, 0, 0, 1), (batch, heads, length, keys), (1, 1, 1, 1))
    out = matmul(node_reshape(cast(weights, q.dtype), split), v)
    return node_reshape(out, (batch, heads, length, v.shape[-1]))

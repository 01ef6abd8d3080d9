"""Attention by blocks: scores exist for one block of queries and keys at a time, and are found again for derivatives.

Dao et al. 2022, "FlashAttention", for the method. `ATTENTION` gives the output and, for every query, what normalises
its weights: a shift m and the logarithm t of a total, such that the weight of a score s is exp(s - m - t). Only their
sum has a meaning, so derivatives treat the shift as a constant. `ATTENTION_GRADIENT` gives the cotangents from these.

Queries have the shape (..., H, L, D), keys (..., G, S, D) and values (..., G, S, E); r = H / G query heads share a head
of keys. A mask has the shape (..., H, L, S) with 1 in place of any extent, and holds truth values or numbers that are
added; sinks have the shape (..., H), with 1 in place of any but H. Inside, heads are two axes (G, r).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlx.ir.dtypes import Dtype, bool_, finfo, float32, float64, int32
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive, scalar_node
from mlx.primitives.arithmetic import GREATER_EQUAL
from mlx.primitives.attention_blocks import Blocks, attend, attend_xla, pull_back, pull_back_xla, split_heads
from mlx.primitives.elementwise import SELECT
from mlx.primitives.exponential import EXP
from mlx.primitives.indexing import counting
from mlx.primitives.linalg import matrix_transpose
from mlx.primitives.matmul import matmul
from mlx.primitives.shape import SUM, Dims, batch_size, batch_to_front, broadcast, reshape, unbroadcast
from mlx.primitives.structure import PROJECT, cast

# ---------------------------------------------------------------------- shapes


def wide_dtype(dtype: Dtype) -> Dtype:
    """What scores are computed in."""
    return float64 if dtype is float64 else float32


def _attention_shape(inputs: Sequence[Node], *params: Any) -> tuple[tuple[Shape, ...], tuple[Dtype, ...]]:
    q, _, v = inputs[:3]
    wide = wide_dtype(q.dtype)
    rows = q.shape[:-1]
    return ((*rows, v.shape[-1]), rows, rows), (q.dtype, wide, wide)


def _gradient_shape(inputs: Sequence[Node], *params: Any) -> tuple[tuple[Shape, ...], tuple[Dtype, ...]]:
    q, k, v, *_ = inputs
    of = (q, k, v, inputs[3]) if params[2] else (q, k, v)
    return tuple(x.shape for x in of), tuple(x.dtype for x in of)


# ---------------------------------------------------------------------- derivatives


class _Attention(Primitive):
    """Its cotangents come from one node, whatever inputs they are wanted for."""

    def pull_back(self, node: Node, g: Any, wanted: Sequence[int]) -> list[Node | None]:
        blocks = Blocks(*node.params)  # type: ignore[arg-type]
        mask = node.inputs[3] if blocks.masked else None
        out, log_total, shift = (PROJECT(node, index) for index in range(3))
        g_out = broadcast(scalar_node(0, out.dtype), out.shape) if g[0] is None else g[0]
        delta = SUM(cast(g_out, log_total.dtype) * cast(out, log_total.dtype), (out.ndim - 1,), False)
        if g[1] is not None:
            delta = delta - g[1]
        found: list[Node | None] = [None] * len(node.inputs)
        if blocks.has_sinks and len(node.inputs) - 1 in wanted:
            sinks = node.inputs[-1]
            weights = EXP(reshape(sinks, (*sinks.shape, 1)) - shift - log_total)
            found[-1] = unbroadcast(-SUM(weights * delta, (delta.ndim - 1,), False), sinks.shape)
        of_mask = mask is not None and 3 in wanted and mask.dtype is not bool_
        if of_mask or not {0, 1, 2}.isdisjoint(wanted):
            count = 3 if mask is None else 4
            inputs = [*node.inputs[:count], g_out, log_total, shift, delta]
            gradient = ATTENTION_GRADIENT(inputs, blocks.causal, blocks.masked, of_mask, blocks.rows, blocks.columns)
            for index in range(4 if of_mask else 3):
                found[index] = PROJECT(gradient, index)
        return [found[index] for index in wanted]


class _AttentionGradient(Primitive):
    """Its own derivatives are made of whole matrices of scores.

    With P = exp(S - m - t) and Z = P (G V^T - delta) its outputs are Z K, Z^T Q, P^T G and Z.
    """

    def pull_back(self, node: Node, g: Any, wanted: Sequence[int]) -> list[Node | None]:
        causal, masked, of_mask, _, _ = node.params
        q, k, v, *rest = node.inputs
        mask = rest.pop(0) if masked else None
        log_total, shift, delta = rest[1:]
        wide, groups = log_total.dtype, k.shape[-3]

        def heads(x: Node, axis: int = -3) -> Node:
            return cast(reshape(x, split_heads(x.shape, axis, groups)), wide)

        def shared(x: Node) -> Node:
            return cast(reshape(x, _shared_shape(x.shape)), wide)

        def column(x: Node) -> Node:
            split = heads(x, -2)
            return reshape(split, (*split.shape, 1))

        q5, g5, k5, v5 = heads(q), heads(rest[0]), shared(k), shared(v)
        scores = matmul(q5, matrix_transpose(k5))
        seen = None
        if mask is not None:
            seen = reshape(mask, split_heads(mask.shape, -3, groups)) if mask.dtype is bool_ else None
            scores = scores + heads(mask) if seen is None else scores
        if causal:
            before = causal_mask(q.shape[-2], k.shape[-2])
            seen = before if seen is None else SELECT(seen, before, seen)
        if seen is not None:
            scores = SELECT(seen, scores, float(finfo(wide).min))
        weights = EXP(scores - column(shift) - column(log_total))
        inner = matmul(g5, matrix_transpose(v5)) - column(delta)
        z = _only(seen, weights * inner)
        a = None if g[0] is None else heads(g[0])
        b, c = (None if x is None else shared(x) for x in g[1:3])
        e = None if not of_mask or g[3] is None else broadcast(heads(g[3]), z.shape)
        moved = _only(seen, _total(_product(a, _turned(k5)), _product(q5, _turned(b)), e))
        through = _times(moved, weights)
        of_scores = _times(_total(_product(g5, _turned(c)), _times(moved, inner)), weights)
        of_seen = _only(seen, of_scores)
        found = [
            _total(_product(of_seen, k5), _product(z, b)),
            _total(_product(_turned(of_seen), q5), _product(_turned(z), a)),
            _product(_turned(through), g5),
            *([] if mask is None else [None if mask.dtype is bool_ else of_seen]),
            _total(_product(through, v5), _product(weights, c)),
            _row_sums(of_scores),
            None,
            _row_sums(through),
        ]
        return [_as_input(found[index], node.inputs[index], index in (1, 2), log_total.ndim) for index in wanted]


def causal_mask(queries: int, keys: int) -> Node:
    """Which keys each query comes after; the last query is aligned with the last key."""
    last = counting(queries) + (scalar_node(keys, int32) - scalar_node(queries, int32))
    return GREATER_EQUAL(reshape(last, (queries, 1)), counting(keys))


def _shared_shape(shape: Shape) -> Shape:
    """A shape of keys or values with an axis for the query heads that share a head of them."""
    return (*shape[:-2], 1, *shape[-2:])


def _total(*terms: Node | None) -> Node | None:
    total = None
    for term in terms:
        if term is not None:
            total = term if total is None else total + term
    return total


def _product(a: Node | None, b: Node | None) -> Node | None:
    return None if a is None or b is None else matmul(a, b)


def _times(a: Node | None, b: Node) -> Node | None:
    return None if a is None else a * b


def _turned(x: Node | None) -> Node | None:
    return None if x is None else matrix_transpose(x)


def _row_sums(x: Node | None) -> Node | None:
    return None if x is None else -SUM(x, (x.ndim - 1,), False)


def _only(seen: Node | None, x: Any) -> Any:
    return x if seen is None or x is None else SELECT(seen, x, 0)


def _as_input(cotangent: Node | None, x: Node, is_shared: bool, row_rank: int) -> Node | None:
    """A cotangent with two axes of heads, summed and cast to what an input is."""
    if cotangent is None:
        return None
    groups_axis = cotangent.ndim - (3 if x.ndim == row_rank else 4)
    groups = cotangent.shape[groups_axis]
    shape = _shared_shape(x.shape) if is_shared else split_heads(x.shape, -2 if x.ndim == row_rank else -3, groups)
    return cast(reshape(unbroadcast(cotangent, shape), x.shape), x.dtype)


# ---------------------------------------------------------------------- batches


def _batched(inputs: Sequence[Node], dims: Dims, whole: Sequence[int]) -> list[Node]:
    """Inputs with the batch axis in front; those at `whole` have all its entries, others one where all are alike."""
    size = batch_size(inputs, dims)
    return [
        reshape(x, (1, *x.shape)) if dim is None and i not in whole else batch_to_front(x, dim, size)
        for i, (x, dim) in enumerate(zip(inputs, dims, strict=True))
    ]


def _batch_attention(inputs: Sequence[Node], dims: Dims, *params: Any) -> tuple[Node, tuple[int, ...]]:
    return ATTENTION(_batched(inputs, dims, (0, 1, 2)), *params), (0, 0, 0)


def _batch_gradient(inputs: Sequence[Node], dims: Dims, *params: Any) -> tuple[Node, tuple[int, ...]]:
    _, masked, of_mask, *_ = params
    shared = 3 if masked and not of_mask else None  # a mask that is not differentiated
    out = ATTENTION_GRADIENT(_batched(inputs, dims, [i for i in range(len(inputs)) if i != shared]), *params)
    return out, (0,) * len(out.shape)


# ---------------------------------------------------------------------- the primitives


def _scores_cost(nanoseconds: float) -> Any:
    """An estimate by the number of scores and of the features that make them."""

    def cost(node: Node) -> float:
        if not node.inputs:
            return 0.0
        q, k = node.inputs[:2]
        return float(q.size * k.shape[-2]) * (nanoseconds / max(q.shape[-1], 1) + 0.07)

    return cost


ATTENTION = _Attention(
    "attention",
    arity=None,
    shape=_attention_shape,
    kernel=attend,
    lower=attend_xla,
    vjp=lambda i, g, out, inputs, *params: ATTENTION.pull_back(out, g, (i,))[0],
    batch=_batch_attention,
    many=True,
    cost=_scores_cost(5.0),
)

# Of (q, k, v, mask where there is one, g, t, m, delta): the cotangents of q, k, v and, where `of_mask`, of the mask.
# The parameters are (causal, masked, of_mask, rows, columns).
ATTENTION_GRADIENT = _AttentionGradient(
    "attention_gradient",
    arity=None,
    shape=_gradient_shape,
    kernel=pull_back,
    lower=pull_back_xla,
    vjp=lambda i, g, out, inputs, *params: ATTENTION_GRADIENT.pull_back(out, g, (i,))[0],
    batch=_batch_gradient,
    many=True,
    cost=_scores_cost(10.0),
)

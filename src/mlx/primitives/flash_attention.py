"""Attention by blocks: scores exist for one block of queries and keys at a time, and are found again for derivatives.

Dao et al. 2022, "FlashAttention", for the method. `ATTENTION` gives the output and, for every query, what normalises
its weights: a shift m and the logarithm t of a total, such that the weight of a score s is exp(s - m - t). Only their
sum has a meaning, so derivatives treat the shift as a constant. `ATTENTION_GRADIENT` gives the cotangents from these.

Queries have the shape (..., H, L, D), keys (..., G, S, D) and values (..., G, S, E); r = H / G query heads share a head
of keys. A mask has the shape (..., H, L, S) with 1 in place of any extent, and holds truth values or numbers that are
added; sinks have the shape (..., H), with 1 in place of any but H. Inside, heads are two axes (G, r).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mlx.ir.dtypes import Dtype, bool_, finfo, float32, float64, int32
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive, scalar_node
from mlx.primitives.arithmetic import GREATER_EQUAL
from mlx.primitives.elementwise import SELECT
from mlx.primitives.exponential import EXP
from mlx.primitives.indexing import counting
from mlx.primitives.linalg import matrix_transpose
from mlx.primitives.matmul import matmul
from mlx.primitives.shape import SUM, Dims, batch_size, batch_to_front, broadcast, reshape, unbroadcast
from mlx.primitives.structure import PROJECT, cast

Array = Any


class Blocks(NamedTuple):
    """The parameters of `ATTENTION`: what the inputs after q, k and v are, and the extents of a block."""

    causal: bool  # the last query is aligned with the last key
    masked: bool
    has_sinks: bool
    rows: int
    columns: int


def wide_dtype(dtype: Dtype) -> Dtype:
    """What scores are computed in."""
    return float64 if dtype is float64 else float32


# ---------------------------------------------------------------------- shapes


def _attention_shape(inputs: Sequence[Node], *params: Any) -> tuple[tuple[Shape, ...], tuple[Dtype, ...]]:
    q, _, v = inputs[:3]
    wide = wide_dtype(q.dtype)
    rows = q.shape[:-1]
    return ((*rows, v.shape[-1]), rows, rows), (q.dtype, wide, wide)


def _gradient_shape(inputs: Sequence[Node], *params: Any) -> tuple[tuple[Shape, ...], tuple[Dtype, ...]]:
    q, k, v, *_ = inputs
    of = (q, k, v, inputs[3]) if params[2] else (q, k, v)
    return tuple(x.shape for x in of), tuple(x.dtype for x in of)


def _split(shape: Shape, axis: int, groups: int) -> Shape:
    """A shape with two axes in place of that of the heads; its extent can be 1."""
    axis += len(shape)
    heads = shape[axis]
    pair = (1, 1) if heads == 1 else (groups, heads // groups if groups else 1)
    return (*shape[:axis], *pair, *shape[axis + 1 :])


def _folded(library: Any, x: Array, lead: Shape) -> Array:
    """An array with one axis in place of `lead`: of extent 1 where all of its own are."""
    mine, rest = x.shape[: len(lead)], x.shape[len(lead) :]
    if mine != lead and math.prod(mine) != 1:
        x, mine = library.broadcast_to(x, (*lead, *rest)), lead
    return x.reshape(math.prod(mine), *rest)


# ---------------------------------------------------------------------- scores of one block


class _Scores:
    """Scores of blocks, on NumPy or XLA arrays: `library` has the functions of NumPy."""

    def __init__(
        self, library: Any, q: Array, k: Array, mask: Array | None, causal: bool, rows: int, columns: int
    ) -> None:
        self.library = library
        groups = k.shape[1]
        self.q = q.reshape(_split(q.shape, -3, groups))
        self.k = k
        self.mask = None if mask is None else mask.reshape(_split(mask.shape, -3, groups))
        self.causal = causal
        self.length, self.keys = q.shape[2], k.shape[2]
        self.rows, self.columns = min(rows, self.length), min(columns, self.keys)
        self.wide = np.dtype(np.float64 if q.dtype == np.float64 else np.float32)
        self.lowest = np.asarray(np.finfo(self.wide).min, self.wide)
        self.row_blocks = -(-self.length // self.rows)
        self.column_blocks = -(-self.keys // self.columns)

    @property
    def ahead(self) -> int:
        """How many keys more than queries there are: those that the first query sees, without its own."""
        return self.keys - self.length

    def visible(self, mask: Array | None, row: Any, column: Any) -> Array | None:
        """Truth values for the block at a row and a column, or None where all is visible."""
        seen = None if mask is None or mask.dtype != bool else mask
        if self.causal:
            rows = row + self.library.arange(self.rows, dtype=np.int32)
            columns = column + self.library.arange(self.columns, dtype=np.int32)
            before = columns[None, :] <= rows[:, None] + np.int32(self.ahead)
            seen = before if seen is None else seen & before
        return seen

    def masked(self, scores: Array, mask: Array | None, seen: Array | None) -> Array:
        if mask is not None and mask.dtype != bool:
            scores = scores + mask.astype(self.wide)
        return scores if seen is None else self.library.where(seen, scores, self.lowest)


# ---------------------------------------------------------------------- the NumPy kernels


def _rows_of(x: Array, start: int, stop: int) -> Array:
    return x[..., start:stop, :] if x.shape[-2] != 1 else x


def _numpy_blocks(scores: _Scores) -> Any:
    """For each block of rows: its start and stop, its queries, its scores against all keys and what it sees of them."""
    keys = np.swapaxes(scores.k, -1, -2)[:, :, None]
    for start in range(0, scores.length, scores.rows):
        stop = min(start + scores.rows, scores.length)
        q = scores.q[..., start:stop, :]
        mask = None if scores.mask is None else _rows_of(scores.mask, start, stop)
        scores.rows, rows = stop - start, scores.rows
        seen = scores.visible(mask, np.int32(start), np.int32(0))
        scores.rows = rows
        yield start, stop, q, scores.masked(np.matmul(q, keys), mask, seen), seen


def _attend(inputs: Sequence[Array], *params: Any) -> tuple[Array, ...]:
    blocks = Blocks(*params)
    shape, lead = inputs[0].shape, inputs[0].shape[:-3]
    if _is_nothing(inputs):
        return _nothing(np, inputs)
    q, k, v, *rest = (_folded(np, x, lead) for x in inputs)
    mask = rest.pop(0) if blocks.masked else None
    scores = _Scores(np, q, k, mask, blocks.causal, blocks.rows, k.shape[2])
    out = np.empty((*scores.q.shape[:-1], v.shape[-1]), scores.wide)
    shift, log_total = (np.empty(scores.q.shape[:-1], scores.wide) for _ in range(2))
    sinks = rest[0].reshape(_split(rest[0].shape, -1, k.shape[1]))[..., None, None] if rest else None
    for start, stop, _, s, _ in _numpy_blocks(scores):
        m = s.max(-1, keepdims=True)
        m = m if sinks is None else np.maximum(m, sinks)
        m = np.where(np.isfinite(m), m, 0)
        p = np.exp(s - m)
        total = p.sum(-1, keepdims=True)
        total = total if sinks is None else total + np.exp(sinks - m)
        out[..., start:stop, :] = np.matmul(p, v[:, :, None]) / total
        shift[..., start:stop] = m[..., 0]
        log_total[..., start:stop] = np.log(total)[..., 0]
    rows = shape[:-1]
    return out.reshape(*rows, v.shape[-1]), log_total.reshape(rows), shift.reshape(rows)


def _is_nothing(inputs: Sequence[Array]) -> bool:
    """Whether there are no queries or no keys, so that all sums are empty."""
    return 0 in inputs[0].shape[:-1] or inputs[1].shape[-2] == 0


def _nothing(library: Any, inputs: Sequence[Array]) -> tuple[Array, ...]:
    q, _, v = inputs[:3]
    wide = np.float64 if q.dtype == np.float64 else np.float32
    rows = library.zeros(q.shape[:-1], wide)
    return library.zeros((*q.shape[:-1], v.shape[-1]), q.dtype), rows, rows


def _pull_back(inputs: Sequence[Array], *params: Any) -> tuple[Array, ...]:
    causal, masked, of_mask, rows, _ = params
    lead = inputs[0].shape[:-3]
    of = inputs[: 4 if of_mask else 3]
    if _is_nothing(inputs):
        return tuple(np.zeros(x.shape, x.dtype) for x in of)
    q, k, v, *rest = (_folded(np, x, lead) for x in inputs)
    mask = rest.pop(0) if masked else None
    scores = _Scores(np, q, k, mask, causal, rows, k.shape[2])
    g = rest[0].reshape(_split(rest[0].shape, -3, k.shape[1]))
    log_total, shift, delta = (x.reshape(_split(x.shape, -2, k.shape[1])) for x in rest[1:])
    g_q = np.zeros(scores.q.shape, scores.wide)
    g_k, g_v = (np.zeros(x.shape, scores.wide) for x in (k, v))
    g_mask = np.zeros(scores.mask.shape, scores.wide) if of_mask else None  # type: ignore[union-attr]
    values = np.swapaxes(v, -1, -2)[:, :, None]
    for start, stop, q_block, s, seen in _numpy_blocks(scores):
        here = slice(start, stop)
        p = np.exp(s - shift[..., here, None] - log_total[..., here, None])
        g_v += np.matmul(np.swapaxes(p, -1, -2), g[..., here, :]).sum(2)
        z = p * (np.matmul(g[..., here, :], values) - delta[..., here, None])
        z = z if seen is None else np.where(seen, z, 0)
        g_q[..., here, :] = np.matmul(z, k[:, :, None])
        g_k += np.matmul(np.swapaxes(z, -1, -2), q_block).sum(2)
        if g_mask is not None:
            where = _rows_of(g_mask, start, stop)
            where += _summed(np, z, where.shape)
    found = g_q, g_k, g_v, g_mask
    return tuple(_unfolded(np, x, y.shape, lead) for x, y in zip(found, of, strict=False))


def _unfolded(library: Any, x: Array, shape: Shape, lead: Shape) -> Array:
    """The inverse of `_folded`: summed where an array was repeated."""
    rest = shape[len(lead) :]
    if math.prod(shape) == x.size:
        return x.reshape(shape)
    return _summed(library, x.reshape(*lead, *rest), shape)


def _summed(library: Any, z: Array, shape: Shape) -> Array:
    """`z` summed over the axes that have extent 1 in `shape`."""
    axes = tuple(axis for axis, extent in enumerate(shape) if extent == 1 != z.shape[axis])
    return library.sum(z, axis=axes, keepdims=True) if axes else z


# ---------------------------------------------------------------------- the lowerings


class _XlaScores(_Scores):
    """Scores of blocks whose place is known only when the program runs.

    The last block is moved back to where it ends with the array, and what the block before had already is left out.
    """

    def __init__(self, xla: Any, *arguments: Any) -> None:
        super().__init__(xla.jnp, *arguments)
        self.lax = xla.lax
        if xla.platform != "cpu":  # a step of a loop costs more there than what blocks of this size leave unused
            self.rows, self.columns = min(4 * self.rows, self.length), min(2 * self.columns, self.keys)
            self.row_blocks = -(-self.length // self.rows)
            self.column_blocks = -(-self.keys // self.columns)

    def start(self, block: Any, size: int, extent: int) -> Any:
        return self.lax.min(block * np.int32(size), np.int32(extent - size))

    def is_new(self, block: Any, size: int, extent: int) -> Any | None:
        """Which rows or columns of a block no block before it had; None for all."""
        if extent % size == 0:
            return None
        start = self.start(block, size, extent)
        return start + self.library.arange(size, dtype=np.int32) >= block * np.int32(size)

    def part(self, x: Array, start: Any, size: int, axis: int) -> Array:
        return x if x.shape[axis] == 1 else self.lax.dynamic_slice_in_dim(x, start, size, axis)

    def product(self, a: Array, b: Array, summed_a: tuple[int, ...], summed_b: tuple[int, ...]) -> Array:
        """A product of arrays with two leading axes in common, summed in the wide dtype."""
        dimensions = ((summed_a, summed_b), ((0, 1), (0, 1)))
        return self.lax.dot_general(a, b.astype(a.dtype), dimensions, preferred_element_type=self.wide)

    def block(self, i: Any, j: Any, q: Array, k: Array) -> tuple[Array, Array | None]:
        """The scores of block (i, j), minus infinity for columns that are not new, and what it sees."""
        row, column = self.start(i, self.rows, self.length), self.start(j, self.columns, self.keys)
        mask = self.mask
        if mask is not None:
            mask = self.part(self.part(mask, row, self.rows, 3), column, self.columns, 4)
        seen = self.visible(mask, row, column)
        s = self.masked(self.product(q, k, (4,), (3,)), mask, seen)
        new = self.is_new(j, self.columns, self.keys)
        return (s if new is None else self.library.where(new, s, np.asarray(-np.inf, self.wide))), seen


def _attend_xla(xla: Any, inputs: Sequence[Array], *params: Any) -> tuple[Array, ...]:
    blocks = Blocks(*params)
    lax, jnp = xla.lax, xla.jnp
    if _is_nothing(inputs):
        return _nothing(jnp, inputs)
    heads, lead = inputs[0].shape[:-1], inputs[0].shape[:-3]
    q, k, v, *rest = (_folded(jnp, x, lead) for x in inputs)
    mask = rest.pop(0) if blocks.masked else None
    scores = _XlaScores(xla, q, k, mask, blocks.causal, blocks.rows, blocks.columns)
    shape, wide = scores.q.shape[:-1], scores.wide
    block_shape = (*shape[:-1], scores.rows)
    if rest:
        sinks = rest[0].reshape(_split(rest[0].shape, -1, k.shape[1]))[..., None]
        first_shift, first_total = jnp.broadcast_to(sinks, block_shape), jnp.ones(block_shape, wide)
    else:
        first_shift, first_total = jnp.full(block_shape, -np.inf, wide), jnp.zeros(block_shape, wide)
    first = first_shift, first_total, jnp.zeros((*block_shape, v.shape[-1]), wide)

    def rows(i: Any, done: Any) -> Any:
        start = scores.start(i, scores.rows, scores.length)
        q_block = scores.part(scores.q, start, scores.rows, 3)

        def columns(j: Any, so_far: Any) -> Any:
            largest, total, out = so_far
            column = scores.start(j, scores.columns, scores.keys)
            s, _ = scores.block(i, j, q_block, scores.part(k, column, scores.columns, 2))
            before, largest = largest, jnp.maximum(largest, jnp.max(s, axis=-1))
            shift = _finite(jnp, largest)
            p = jnp.exp(s - shift[..., None])
            fading = jnp.exp(before - shift)
            total = total * fading + jnp.sum(p, axis=-1)
            term = scores.product(p.astype(v.dtype), scores.part(v, column, scores.columns, 2), (4,), (2,))
            return largest, total, out * fading[..., None] + term

        stop = scores.column_blocks
        if blocks.causal and scores.ahead >= 0:  # or there are queries that see nothing, and attend to all alike
            stop = (start + np.int32(scores.rows + scores.ahead + scores.columns - 1)) // np.int32(scores.columns)
            stop = lax.min(stop, np.int32(scores.column_blocks))
        largest, total, out = lax.fori_loop(np.int32(0), stop, columns, first)
        results = out / total[..., None], jnp.log(total), _finite(jnp, largest)
        return tuple(
            lax.dynamic_update_slice_in_dim(whole, part.astype(whole.dtype), start, 3)
            for whole, part in zip(done, results, strict=True)
        )

    empty = jnp.zeros((*shape, v.shape[-1]), q.dtype), jnp.zeros(shape, wide), jnp.zeros(shape, wide)
    out, log_total, shift = lax.fori_loop(np.int32(0), np.int32(scores.row_blocks), rows, empty)
    return out.reshape(*heads, v.shape[-1]), log_total.reshape(heads), shift.reshape(heads)


def _finite(jnp: Any, largest: Array) -> Array:
    return jnp.where(jnp.isfinite(largest), largest, jnp.zeros_like(largest))


def _pull_back_xla(xla: Any, inputs: Sequence[Array], *params: Any) -> tuple[Array, ...]:
    causal, masked, of_mask, row_extent, column_extent = params
    lax, jnp = xla.lax, xla.jnp
    lead = inputs[0].shape[:-3]
    of = inputs[: 4 if of_mask else 3]
    if _is_nothing(inputs):
        return tuple(jnp.zeros(x.shape, x.dtype) for x in of)
    q, k, v, *rest = (_folded(jnp, x, lead) for x in inputs)
    mask = rest.pop(0) if masked else None
    scores = _XlaScores(xla, q, k, mask, causal, row_extent, column_extent)
    g = rest[0].reshape(_split(rest[0].shape, -3, k.shape[1]))
    log_total, shift, delta = (x.reshape(_split(x.shape, -2, k.shape[1])) for x in rest[1:])

    def columns(j: Any, done: Any) -> Any:
        column = scores.start(j, scores.columns, scores.keys)
        k_block, v_block = (scores.part(x, column, scores.columns, 2) for x in (k, v))

        def rows(i: Any, so_far: Any) -> Any:
            g_q, g_k, g_v, *g_mask = so_far
            row = scores.start(i, scores.rows, scores.length)
            q_block, g_block = (scores.part(x, row, scores.rows, 3) for x in (scores.q, g))
            normaliser, delta_block = (scores.part(x, row, scores.rows, 3)[..., None] for x in (log_total, delta))
            s, seen = scores.block(i, j, q_block, k_block)
            p = jnp.exp(s - scores.part(shift, row, scores.rows, 3)[..., None] - normaliser)
            new = scores.is_new(i, scores.rows, scores.length)
            if new is not None:
                p = jnp.where(new[:, None], p, jnp.zeros_like(p))
            z = p * (scores.product(g_block, v_block, (4,), (3,)) - delta_block)
            if seen is not None:
                z = jnp.where(seen, z, jnp.zeros_like(z))
            narrow = z.astype(q.dtype)
            g_q = _add_at(lax, g_q, scores.product(narrow, k_block, (4,), (2,)), row, 3)
            g_k = g_k + scores.product(narrow, q_block, (2, 3), (2, 3))
            g_v = g_v + scores.product(p.astype(g.dtype), g_block, (2, 3), (2, 3))
            if g_mask:
                g_mask = [_add_block(scores, g_mask[0], z, row, column)]
            return g_q, g_k, g_v, *g_mask

        g_q, g_k, g_v, *g_mask = done
        first = np.int32(0)
        if causal and scores.ahead >= 0:
            first = lax.max(column - np.int32(scores.ahead), np.int32(0)) // np.int32(scores.rows)
        zeros = (jnp.zeros(x.shape, scores.wide) for x in (k_block, v_block))
        g_q, mine_k, mine_v, *g_mask = lax.fori_loop(first, np.int32(scores.row_blocks), rows, (g_q, *zeros, *g_mask))
        return g_q, _add_at(lax, g_k, mine_k, column, 2), _add_at(lax, g_v, mine_v, column, 2), *g_mask

    whole = [scores.q, k, v, *([scores.mask] if of_mask else [])]
    start = tuple(jnp.zeros(x.shape, scores.wide) for x in whole)
    found = lax.fori_loop(np.int32(0), np.int32(scores.column_blocks), columns, start)
    return tuple(_unfolded(jnp, x, y.shape, lead).astype(y.dtype) for x, y in zip(found, of, strict=True))


def _add_at(lax: Any, whole: Array, part: Array, start: Any, axis: int) -> Array:
    before = lax.dynamic_slice_in_dim(whole, start, part.shape[axis], axis)
    return lax.dynamic_update_slice_in_dim(whole, before + part, start, axis)


def _add_block(scores: _XlaScores, whole: Array, z: Array, row: Any, column: Any) -> Array:
    """Add a block's cotangents of scores to that of the mask, whose axes can have extent 1."""
    starts = [np.int32(0)] * 3 + [np.int32(0) if whole.shape[3] == 1 else row]
    starts.append(np.int32(0) if whole.shape[4] == 1 else column)
    part = _summed(scores.library, z, whole.shape)
    before = scores.lax.dynamic_slice(whole, starts, part.shape)
    return scores.lax.dynamic_update_slice(whole, before + part, starts)


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
            return cast(reshape(x, _split(x.shape, axis, groups)), wide)

        def shared(x: Node) -> Node:
            return cast(reshape(x, _shared_shape(x.shape)), wide)

        def column(x: Node) -> Node:
            split = heads(x, -2)
            return reshape(split, (*split.shape, 1))

        q5, g5, k5, v5 = heads(q), heads(rest[0]), shared(k), shared(v)
        scores = matmul(q5, matrix_transpose(k5))
        seen = None
        if mask is not None:
            seen = reshape(mask, _split(mask.shape, -3, groups)) if mask.dtype is bool_ else None
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
    shape = _shared_shape(x.shape) if is_shared else _split(x.shape, -2 if x.ndim == row_rank else -3, groups)
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
    kernel=_attend,
    lower=_attend_xla,
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
    kernel=_pull_back,
    lower=_pull_back_xla,
    vjp=lambda i, g, out, inputs, *params: ATTENTION_GRADIENT.pull_back(out, g, (i,))[0],
    batch=_batch_gradient,
    many=True,
    cost=_scores_cost(10.0),
)

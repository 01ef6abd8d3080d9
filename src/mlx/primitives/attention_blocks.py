"""How attention by blocks and its cotangents are computed: kernels and lowerings. `flash_attention` has their meaning.

NumPy takes blocks of rows with all keys; XLA takes blocks of both and never has more scores than those of one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mlx.ir.node import Shape

Array = Any


class Blocks(NamedTuple):
    """The parameters of `ATTENTION`: what the inputs after q, k and v are, and the extents of a block."""

    causal: bool  # the last query is aligned with the last key
    masked: bool
    has_sinks: bool
    rows: int
    columns: int


def split_heads(shape: Shape, axis: int, groups: int) -> Shape:
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
        self.q = q.reshape(split_heads(q.shape, -3, groups))
        self.k = k
        self.mask = None if mask is None else mask.reshape(split_heads(mask.shape, -3, groups))
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


def attend(inputs: Sequence[Array], *params: Any) -> tuple[Array, ...]:
    blocks = Blocks(*params)
    shape, lead = inputs[0].shape, inputs[0].shape[:-3]
    if _is_nothing(inputs):
        return _nothing(np, inputs)
    q, k, v, *rest = (_folded(np, x, lead) for x in inputs)
    mask = rest.pop(0) if blocks.masked else None
    scores = _Scores(np, q, k, mask, blocks.causal, blocks.rows, k.shape[2])
    out = np.empty((*scores.q.shape[:-1], v.shape[-1]), scores.wide)
    shift, log_total = (np.empty(scores.q.shape[:-1], scores.wide) for _ in range(2))
    sinks = rest[0].reshape(split_heads(rest[0].shape, -1, k.shape[1]))[..., None, None] if rest else None
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


def pull_back(inputs: Sequence[Array], *params: Any) -> tuple[Array, ...]:
    causal, masked, of_mask, rows, _ = params
    lead = inputs[0].shape[:-3]
    of = inputs[: 4 if of_mask else 3]
    if _is_nothing(inputs):
        return tuple(np.zeros(x.shape, x.dtype) for x in of)
    q, k, v, *rest = (_folded(np, x, lead) for x in inputs)
    mask = rest.pop(0) if masked else None
    scores = _Scores(np, q, k, mask, causal, rows, k.shape[2])
    g = rest[0].reshape(split_heads(rest[0].shape, -3, k.shape[1]))
    log_total, shift, delta = (x.reshape(split_heads(x.shape, -2, k.shape[1])) for x in rest[1:])
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


def attend_xla(xla: Any, inputs: Sequence[Array], *params: Any) -> tuple[Array, ...]:
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
        sinks = rest[0].reshape(split_heads(rest[0].shape, -1, k.shape[1]))[..., None]
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


def pull_back_xla(xla: Any, inputs: Sequence[Array], *params: Any) -> tuple[Array, ...]:
    causal, masked, of_mask, row_extent, column_extent = params
    lax, jnp = xla.lax, xla.jnp
    lead = inputs[0].shape[:-3]
    of = inputs[: 4 if of_mask else 3]
    if _is_nothing(inputs):
        return tuple(jnp.zeros(x.shape, x.dtype) for x in of)
    q, k, v, *rest = (_folded(jnp, x, lead) for x in inputs)
    mask = rest.pop(0) if masked else None
    scores = _XlaScores(xla, q, k, mask, causal, row_extent, column_extent)
    g = rest[0].reshape(split_heads(rest[0].shape, -3, k.shape[1]))
    log_total, shift, delta = (x.reshape(split_heads(x.shape, -2, k.shape[1])) for x in rest[1:])

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

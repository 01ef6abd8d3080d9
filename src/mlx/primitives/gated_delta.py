"""The gated delta rule, which updates a matrix of state at every step of a sequence, and the recurrence behind it.

The state is worked out chunk by chunk: what happens inside of a chunk is a few products of matrices, and a recurrence
leads from one chunk to the next. Only the states between chunks are kept, and the derivatives need no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive
from mlx.ir.sizes import same_shape
from mlx.primitives.creation import EYE, TRI
from mlx.primitives.elementwise import SELECT
from mlx.primitives.joining import CONCATENATE
from mlx.primitives.linalg import SOLVE_TRIANGULAR, matrix_transpose
from mlx.primitives.matmul import matmul
from mlx.primitives.scans import CUMPROD, previous
from mlx.primitives.shape import Dims, batch_size, batch_to_front, broadcast, reshape, transpose
from mlx.primitives.slicing import PAD, slice_axis

Array = Any

CHUNK = 64  # steps; of 16, 32, 64 and 128 the fastest with its derivatives on CPUs

# ---------------------------------------------------------------------- the recurrence of matrices


def _state_shape(a: Node, b: Node, reverse: bool) -> tuple[Shape, Dtype]:
    return b.shape, b.dtype


def _states(a: Array, b: Array, reverse: bool) -> Array:
    out = np.empty_like(b)
    state: Array = np.zeros(b.shape[1:], b.dtype)
    for step in range(len(b) - 1, -1, -1) if reverse else range(len(b)):
        state = out[step] = np.matmul(state, a[step]) + b[step]
    return out


def _states_xla(xla: Any, a: Array, b: Array, reverse: bool) -> Array:
    if not b.size or not a.size:
        return b
    wide = np.float32 if b.dtype.itemsize == 2 else b.dtype

    def step(state: Any, row: Any) -> Any:
        factor, term = row
        state = xla.jnp.matmul(state, factor) + term
        return state, state

    rows = a.astype(wide), b.astype(wide)
    return xla.lax.scan(step, xla.jnp.zeros(b.shape[1:], wide), rows, reverse=reverse)[1].astype(b.dtype)


def _term_cotangent(g: Node, a: Node, reverse: bool) -> Node:
    """The cotangent of b: the recurrence run backwards."""
    return STATE_RECURRENCE(previous(matrix_transpose(a), 0, not reverse, 0), g, not reverse)


def _factor_cotangent(g: Node, out: Node, a: Node, b: Node, reverse: bool) -> Node:
    return matmul(matrix_transpose(previous(out, 0, reverse, 0)), _term_cotangent(g, a, reverse))


def _state_tangent(tangents: Sequence[Node | None], out: Node, a: Node, b: Node, reverse: bool) -> Node | None:
    factor, term = tangents
    if factor is not None:
        change = matmul(previous(out, 0, reverse, 0), factor)
        term = change if term is None else term + change
    return None if term is None else STATE_RECURRENCE(a, term, reverse)


def _batch_states(inputs: Sequence[Node], dims: Dims, reverse: bool) -> tuple[Node, int]:
    size = batch_size(inputs, dims)
    a, b = (batch_to_front(x, dim, size) for x, dim in zip(inputs, dims, strict=True))
    a, b = (transpose(x, (1, 0, *range(2, x.ndim))) for x in (a, b))
    return STATE_RECURRENCE(a, b, reverse), 1


# out[n] = out[n - 1] @ a[n] + b[n] along the first axis, from zero on; with `reverse` from the end to the start.
STATE_RECURRENCE = Primitive(
    "state_recurrence",
    arity=2,
    shape=_state_shape,
    kernel=_states,
    lower=_states_xla,
    vjp=(_factor_cotangent, lambda g, out, a, b, reverse: _term_cotangent(g, a, reverse)),
    jvp=_state_tangent,
    batch=_batch_states,
    cost=lambda node: float(node.size) * (node.inputs[0].shape[-1] / 10 + 1) if node.inputs else 0.0,
)

# ---------------------------------------------------------------------- the gated delta rule


def gated_delta(q: Node, k: Node, v: Node, gamma: Node, beta: Node, state: Node) -> tuple[Node, Node]:
    """Outputs S[t] q[t] of shape (B, T, Hk, r, Dv) and the last state, with

        S[t] = gamma[t] S[t-1] + beta[t] (v[t] - gamma[t] S[t-1] k[t]) k[t]^T.

    Args:
        q, k: queries and keys of shape (B, T, Hk, 1, Dk).
        v: values of shape (B, T, Hk, r, Dv).
        gamma, beta: of shape (B, T, Hk, r, 1).
        state: S before the first step, of shape (B, Hk, r, Dv, Dk).

    With Gamma[i] the product of all gammas of a chunk up to i and D[i, j] that of those after j, its states are

        S[i] = Gamma[i] S[0] + sum over j <= i of D[i, j] u[j] k[j]^T
        u[i] = beta[i] (v[i] - Gamma[i] S[0] k[i] - sum over j < i of D[i, j] (k[i] . k[j]) u[j]),

    so that u solves a triangular system. Yang et al. 2024, "Gated Delta Networks".
    """
    length = q.shape[1]
    size = CHUNK if length >= CHUNK else length
    q, k, v, beta = (_chunks(x, size, 0) for x in (q, k, v, beta))
    gamma = _chunks(gamma, size, 1)
    from_start, between = _decays(gamma, size)
    weights = SELECT(TRI(size, size, -1), beta * between * matmul(k, matrix_transpose(k)), 0)
    system = weights + EYE(size, size, 0, v.dtype)
    faded = beta * from_start * k
    both = SOLVE_TRIANGULAR(system, CONCATENATE([beta * v, faded], v.ndim - 1), False)
    free = slice_axis(both, v.ndim - 1, 0, v.shape[-1])  # u where there were no state before: u = free - bound S[0]^T
    bound = _last(both, v.ndim - 1, faded.shape[-1])
    to_end = matrix_transpose(_last(between, between.ndim - 2, 1))
    left = to_end * k
    features = k.shape[-1]
    factors = _last(from_start, v.ndim - 2, 1) * EYE(features, features, 0, v.dtype) - matmul(
        matrix_transpose(bound), left
    )
    terms = matmul(matrix_transpose(free), left)
    before, last = _between_chunks(factors, terms, state)
    before = matrix_transpose(before)
    read = SELECT(TRI(size, size, 0), between * matmul(q, matrix_transpose(k)), 0)
    outputs = from_start * matmul(q, before) + matmul(read, free - matmul(bound, before))
    return _joined(outputs, length), last


def _chunks(x: Node, size: int, filler: int) -> Node:
    """(B, T, Hk, r, D) as (chunks, B, Hk, r, size, D), filled up at the end."""
    batch, length, *heads, features = x.shape
    count = (length + size - 1) // size
    padded = (batch, count * size, *heads, features)
    if not same_shape(padded, x.shape):
        x = PAD(x, filler, (0,) * x.ndim, padded, (1,) * x.ndim)
    return transpose(reshape(x, (batch, count, size, *heads, features)), (1, 0, 3, 4, 2, 5))


def _joined(x: Node, length: int) -> Node:
    """The inverse of `_chunks`."""
    count, batch, *heads, size, features = x.shape
    whole = reshape(transpose(x, (1, 0, 4, 2, 3, 5)), (batch, count * size, *heads, features))
    return slice_axis(whole, 1, 0, length)


def _decays(gamma: Node, size: int) -> tuple[Node, Node]:
    """Products of gammas from the start of each chunk, of shape (..., size, 1), and those of all that come after a
    step, of shape (..., size, size). No step divides, so that a gamma of zero does no harm.
    """
    rows = gamma.ndim - 2
    spread = broadcast(gamma, (*gamma.shape[:-1], size))
    return CUMPROD(gamma, rows, False), CUMPROD(SELECT(TRI(size, size, -1), spread, 1), rows, False)


def _last(x: Node, axis: int, count: int) -> Node:
    return slice_axis(x, axis, x.shape[axis] - count, count)


def _between_chunks(factors: Node, terms: Node, state: Node) -> tuple[Node, Node]:
    """The states before each chunk, and the one after the last."""
    shape = terms.shape
    first = reshape(state, (1, *shape[1:]))
    factors = broadcast(factors, (*shape[:-2], *factors.shape[-2:]))
    start = matmul(first, slice_axis(factors, 0, 0, 1))
    entered = PAD(start, 0, (0,) * len(shape), shape, (1,) * len(shape))
    states = STATE_RECURRENCE(factors, terms + entered, False)
    before = CONCATENATE([first, slice_axis(states, 0, 0, shape[0] - 1)], 0)
    return before, reshape(_last(states, 0, 1), shape[1:])

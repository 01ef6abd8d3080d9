"""Cases of contractions: every way in which axes of two arrays are batched, contracted and left over."""

from __future__ import annotations

from typing import Any

import numpy as np
from case import FLOATS, Case, sample

import mlx.core as mx
from mlx.arrays.array import wrap
from mlx.primitives.matmul import DOT

PRECISE = (*FLOATS, "complex64")


def flat(*arrays: Any) -> Any:
    """Several results as one array."""
    return mx.concatenate([mx.flatten(x) for x in arrays])


def flat_numpy(*arrays: Any) -> Any:
    return np.concatenate([np.ravel(x) for x in arrays])


def dot(a: Any, b: Any, *contraction: tuple[int, ...]) -> Any:
    return wrap(DOT(a._node, b._node, *contraction))


def all_layouts(a: Any, b: Any) -> Any:
    """One product from operands that are transposed, reversed and taken out of larger arrays."""
    wide = mx.concatenate([b, b], axis=1)
    return flat(a @ b, (b.T @ a.T).T, a[::-1] @ b, a @ wide[:, ::2], mx.transpose(a.T) @ mx.transpose(b.T))


def all_layouts_numpy(a: Any, b: Any) -> Any:
    wide = np.concatenate([b, b], axis=1)
    return flat_numpy(a @ b, a @ b, a[::-1] @ b, a @ wide[:, ::2], a @ b)


def heads(q: Any, k: Any) -> Any:
    """Scores of attention: the heads lie between the positions and the features."""
    return mx.transpose(q, (0, 2, 1, 3)) @ mx.transpose(k, (0, 2, 3, 1))


def heads_numpy(q: Any, k: Any) -> Any:
    return np.einsum("bthe,bshe->bhts", q, k)


def product(label: str, a: Any, b: Any, **options: Any) -> Case:
    return Case(
        "dot", lambda x, y: x @ y, (a, b), (0, 1), PRECISE, reference=lambda x, y: x @ y, label=label, **options
    )


CASES = [
    product("matrices", sample(3, 4), sample(4, 2, seed=1)),
    product("vectors", sample(4), sample(4, seed=1)),
    product("matrix-vector", sample(3, 4), sample(4, seed=1)),
    product("vector-matrix", sample(4), sample(4, 3, seed=1)),
    product("batch", sample(2, 3, 4), sample(2, 4, 2, seed=1)),
    product("batch-of-left", sample(2, 3, 4), sample(4, 2, seed=1)),
    product("batch-of-right", sample(3, 4), sample(2, 4, 2, seed=1)),
    product("broadcast-batch", sample(2, 1, 3, 4), sample(3, 4, 2, seed=1)),
    product("broadcast-both-ways", sample(2, 1, 3, 2), sample(1, 3, 2, 2, seed=1)),
    product("no-rows", np.zeros((0, 3)), sample(3, 2)),
    product("nothing-summed", np.zeros((2, 0)), np.zeros((0, 3))),
    product("no-batch", np.zeros((0, 2, 3)), sample(3, 2)),
    Case(
        "dot",
        all_layouts,
        (sample(3, 4), sample(4, 2, seed=1)),
        (0, 1),
        PRECISE,
        reference=all_layouts_numpy,
        label="layouts",
    ),
    Case(
        "dot",
        heads,
        (sample(2, 3, 2, 4), sample(2, 5, 2, 4, seed=1)),
        (0, 1),
        PRECISE,
        reference=heads_numpy,
        label="heads",
    ),
    Case(
        "dot",
        lambda a, b: dot(a, b, (3, 1), (0, 2), (2,), (1,)),
        (sample(2, 3, 2, 4), sample(4, 2, 3, 2, seed=1)),
        (0, 1),
        PRECISE,
        reference=lambda a, b: np.einsum("isbt,tbso->bio", a, b),
        label="scattered-axes",
    ),
    Case(
        "dot",
        lambda a, b: mx.broadcast_to(mx.sum(a), (3, 4)) @ b,
        (sample(2), sample(4, 2, seed=1)),
        (0, 1),
        PRECISE,
        reference=lambda a, b: np.full((3, 4), a.sum()) @ b,
        label="repeated-element",
    ),
]

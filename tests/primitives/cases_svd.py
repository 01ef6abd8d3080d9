"""Cases of the singular value decomposition.

Vectors are compared by what does not depend on their signs and phases, nor on the basis of a null space.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from case import Case, sample
from cases_linalg import SMOOTH, empty, regular, strided
from cases_shape import flat, flat_numpy

import mlx.core as mx

DTYPES = ("float32", "float64", "complex64")


def graded(rows: int, columns: int, *lead: int) -> np.ndarray:
    """Matrices whose singular values keep apart from each other and from zero."""
    matrices = sample(*lead, rows, columns, seed=3, low=-0.3, high=0.3)
    k = min(rows, columns)
    matrices[..., range(k), range(k)] += 1.5 * np.arange(1, k + 1)
    return matrices


def invariants(x: Any) -> Any:
    """Sums of outer products of vectors, weighted differently, and what is orthogonal to all of them."""
    u, s, vh = mx.linalg.svd(x)
    k = s.shape[-1]
    left, right = u[..., :k], vh[..., :k, :]
    weights = mx.cumsum(mx.ones_like(s), -1)[..., None, :]

    def product(a: Any, b: Any) -> Any:
        return mx.real(a @ b) if x.dtype == mx.complex64 else a @ b

    def adjoint(a: Any) -> Any:
        return mx.swapaxes(mx.conj(a), -1, -2)

    rest_left, rest_right = u[..., k:], vh[..., k:, :]
    return flat(
        s,
        product(left * weights, right),
        product(left * weights, adjoint(left)),
        product(adjoint(right) * weights, right),
        product(rest_left, adjoint(rest_left)),
        product(adjoint(rest_right), rest_right),
    )


def invariants_numpy(x: Any) -> Any:
    u, s, vh = np.linalg.svd(x)
    k = s.shape[-1]
    left, right, weights = u[..., :k], vh[..., :k, :], np.arange(1, k + 1)
    adjoint_left, adjoint_right = (np.swapaxes(np.conj(a), -1, -2) for a in (left, right))
    whole_left, whole_right = np.eye(u.shape[-1]), np.eye(vh.shape[-1])
    return flat_numpy(
        s,
        np.real((left * weights) @ right),
        np.real((left * weights) @ adjoint_left),
        np.real((adjoint_right * weights) @ right),
        np.real(whole_left - left @ adjoint_left),
        np.real(whole_right - adjoint_right @ right),
    )


def of_all_shapes(x: Any) -> Any:
    hollow = [invariants(empty(x, *shape)) for shape in ((0, 0), (0, 2, 2))]
    identities = [part for shape in ((2, 0, 3), (3, 0)) for part in mx.linalg.svd(empty(x, *shape))]
    parts = (x, strided(x), x[..., :2], x[..., :2, :], x[0])
    return flat(*(invariants(part) for part in parts), *hollow, *(mx.abs(part) for part in identities))


def of_all_shapes_numpy(x: Any) -> Any:
    parts = (x, x, x[..., :2], x[..., :2, :], x[0])
    return flat_numpy(*(invariants_numpy(y) for y in parts), np.eye(3), np.eye(3), np.eye(3))


def values(x: Any) -> Any:
    return mx.linalg.svd(x, compute_uv=False)


def values_numpy(x: Any) -> Any:
    return np.linalg.svd(x, compute_uv=False)


def values_of_all_shapes(x: Any) -> Any:
    hollow = [values(empty(x, *shape)) for shape in ((0, 0), (0, 2, 2), (2, 0, 3))]
    return flat(*(values(part) for part in (x, strided(x), x[..., :2], x[..., :2, :], x[0])), *hollow)


def pseudo_inverses(x: Any) -> Any:
    """Of matrices of all shapes, and of products of fewer columns and rows, which have no full rank."""
    parts = (x, strided(x), x[..., :2], x[..., :2, :], x[..., :1] @ x[..., :1, :], x[..., :2] @ x[..., :2, :], x[0])
    hollow = [mx.linalg.pinv(empty(x, *shape)) for shape in ((0, 0), (3, 0), (0, 2), (0, 2, 2))]
    return flat(*map(mx.linalg.pinv, parts), *hollow)


def pseudo_inverses_numpy(x: Any) -> Any:
    parts = (x, x, x[..., :2], x[..., :2, :], x[..., :1] @ x[..., :1, :], x[..., :2] @ x[..., :2, :], x[0])
    return flat_numpy(*(np.linalg.pinv(y, rcond=1e-5) for y in parts))


CASES = [
    Case("svd", invariants, [graded(3, 3)], label="square", dtypes=DTYPES, smooth=SMOOTH, reference=invariants_numpy),
    Case("svd", invariants, [graded(4, 2)], label="tall", dtypes=DTYPES, smooth=SMOOTH, reference=invariants_numpy),
    Case("svd", invariants, [graded(2, 3, 2)], label="wide", dtypes=DTYPES, smooth=SMOOTH, reference=invariants_numpy),
    Case(
        "svd",
        of_all_shapes,
        [graded(3, 3, 2)],
        wrt=(),
        dtypes=DTYPES,
        smooth=SMOOTH,
        reference=of_all_shapes_numpy,
        label="shapes",
    ),
    Case("singular_values", values, [graded(3, 2, 2)], dtypes=DTYPES, smooth=SMOOTH, reference=values_numpy),
    Case(
        "singular_values",
        values_of_all_shapes,
        [regular(2, 3, 3)],
        wrt=(),
        dtypes=DTYPES,
        smooth=SMOOTH,
        reference=lambda x: flat_numpy(
            *(values_numpy(y) for y in (x, x, x[..., :2], x[..., :2, :], x[0])),
        ),
        label="shapes",
    ),
    Case(
        "singular_values",
        lambda x: flat(*(mx.linalg.norm(x, ord, axis=(-2, -1)) for ord in ("nuc", 2, -2))),
        [graded(3, 4, 2)],
        smooth=SMOOTH,
        reference=lambda x: flat_numpy(*(np.linalg.norm(x, ord, axis=(-2, -1)) for ord in ("nuc", 2, -2))),
        label="norms",
    ),
    Case(
        "pseudo_inverse",
        pseudo_inverses,
        [graded(3, 3, 2)],
        dtypes=("float32", "float64"),
        smooth=2e-3,
        reference=pseudo_inverses_numpy,
    ),
]

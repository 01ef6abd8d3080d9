"""Cases of factorisations, linear systems, inverses and determinants, and of the projection out of many outputs.

Public functions write determinants up to order 3 as polynomials, so those primitives are recorded here directly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from case import Case, sample
from cases_shape import flat, flat_numpy

import mlx.core as mx
from mlx.arrays.array import wrap
from mlx.primitives.determinants import COFACTOR, COFACTOR_CHANGE, DETERMINANT, LOG_DETERMINANT
from mlx.primitives.linalg import DEAD_MATRIX
from mlx.primitives.structure import PROJECT

REAL = ("float32", "float64")
SMOOTH = 2e-4  # conditioning multiplies rounding errors of float32


def regular(*shape: int, seed: int = 0) -> np.ndarray:
    """Well conditioned square matrices that are not symmetric."""
    return sample(*shape, seed=seed, low=-0.5, high=0.5) + 1.5 * np.eye(shape[-1])


def reflected(*shape: int) -> np.ndarray:
    """Well conditioned square matrices with negative determinants."""
    matrices = regular(*shape)
    matrices[..., 0, :] *= -1
    return matrices


def positive(*shape: int) -> np.ndarray:
    half = regular(*shape)
    return half @ np.swapaxes(half, -1, -2)


def strided(x: Any) -> Any:
    """The same matrices as a view that is contiguous in neither axis."""
    return mx.swapaxes(mx.repeat(mx.swapaxes(x, -1, -2), 2, -1)[..., ::2], -1, -2)


def empty(x: Any, *shape: int) -> Any:
    return mx.zeros(shape, x.dtype)


def both(pair: Any) -> Any:
    return flat(*pair)


def projected(x: Any) -> Any:
    """Both outputs in one expression, the first alone, and the second alone."""
    q, r = mx.linalg.qr(x)
    return flat(mx.matmul(q, r * r), mx.linalg.qr(x * 2)[0], mx.linalg.qr(x * 3)[1])


def projected_numpy(x: Any) -> Any:
    q, r = np.linalg.qr(x)
    return flat_numpy(q @ (r * r), q, 3 * r)


def qr_of_all_shapes(x: Any) -> Any:
    pairs = [mx.linalg.qr(part) for part in (x, strided(x), x[..., :2], x[..., :2, :], x[0])]
    hollow = [mx.linalg.qr(empty(x, *shape)) for shape in ((0, 0), (3, 0), (0, 3), (0, 2, 2))]
    return flat(*(part for pair in pairs + hollow for part in pair))


def qr_of_all_shapes_numpy(x: Any) -> Any:
    return flat_numpy(*(part for y in (x, x, x[..., :2], x[..., :2, :], x[0]) for part in np.linalg.qr(y)))


def hollow(function: Any, x: Any) -> list[Any]:
    """A function of square matrices on matrices without elements, and on no matrices."""
    return [function(empty(x, *shape)) for shape in ((0, 0), (3, 0, 0), (0, 2, 2))]


def factored(x: Any) -> Any:
    """The rows, both factors, and the same packed with the pivots."""
    parts = (*mx.linalg.lu(x), *mx.linalg.lu_factor(x))
    return flat(*(part.astype(x.dtype) for part in parts))


def factored_numpy(x: Any) -> Any:
    packed, pivots = scipy.linalg.lu_factor(x)
    return flat_numpy(*scipy.linalg.lu(x, p_indices=True), packed, pivots)


def lu_of_all_shapes(x: Any) -> Any:
    hollow = [factored(empty(x, *shape)) for shape in ((0, 0), (3, 0), (0, 3), (0, 2, 2))]
    parts = (x, strided(x), x[..., :2], x[..., :2, :], x[..., :1], x[0])
    return mx.concatenate([factored(part) for part in parts] + hollow)


def lu_of_all_shapes_numpy(x: Any) -> Any:
    def each(x: Any) -> Any:
        return flat_numpy(*map(np.stack, zip(*(parts_numpy(y) for y in x), strict=True)))

    def parts_numpy(x: Any) -> Any:
        return (*scipy.linalg.lu(x, p_indices=True), *scipy.linalg.lu_factor(x))

    rows = np.arange(3)  # of three rows without columns
    stacks = [each(y) for y in (x, x, x[..., :2], x[..., :2, :], x[..., :1])]
    return np.concatenate([*stacks, factored_numpy(x[0]), rows])


def determinant(x: Any) -> Any:
    return wrap(DETERMINANT(x._node))


def cofactor(x: Any) -> Any:
    return wrap(COFACTOR(x._node))


def cofactor_numpy(x: Any) -> Any:
    return np.linalg.det(x)[..., None, None] * np.swapaxes(np.linalg.inv(x), -1, -2)


def cofactor_change(x: Any, g: Any) -> Any:
    return wrap(COFACTOR_CHANGE(x._node, g._node))


def cofactor_change_numpy(x: Any, g: Any) -> Any:
    """det(A) (tr(B G) B - B G B)^T with B the inverse of A."""
    b = np.linalg.inv(x)
    trace = np.trace(b @ g, axis1=-2, axis2=-1)[..., None, None]
    return np.linalg.det(x)[..., None, None] * np.swapaxes(trace * b - b @ g @ b, -1, -2)


def log_determinant(x: Any) -> tuple[Any, Any]:
    pair = LOG_DETERMINANT(x._node)
    return wrap(PROJECT(pair, 0)), wrap(PROJECT(pair, 1))


def dead_matrix(g: Any, x: Any) -> Any:
    return wrap(DEAD_MATRIX(g._node, x._node))


def solved(function: Any, **named: Any) -> Any:
    def solutions(a: Any, b: Any) -> Any:
        return flat(
            function(a, b, **named),
            function(strided(a), strided(b), **named),
            function(a[0], b, **named),
            function(a, b[0, :, 0], **named),
            function(a, b[..., :0], **named),
            function(empty(a, 0, 0), empty(b, 0, 2), **named),
            function(empty(a, 0, 3, 3), empty(b, 0, 3, 2), **named),
        )

    return solutions


def solved_numpy(triangle: Any) -> Any:
    def solutions(a: Any, b: Any) -> Any:
        a = triangle(a)
        column = np.broadcast_to(b[0, :, :1], (*a.shape[:-1], 1))
        return flat_numpy(
            np.linalg.solve(a, b),
            np.linalg.solve(a, b),
            np.linalg.solve(np.broadcast_to(a[0], a.shape), b),
            np.linalg.solve(a, column),
        )

    return solutions


STACK = regular(2, 3, 3)
SIDES = sample(2, 3, 2, seed=5)
WITH_ZEROS = np.array([[[0.0, 0.0]], [[1.0, 0.0]], [[0.0, 0.0]]])
WITH_NAN = np.array([[[np.nan, 1.0]], [[np.inf, 1.0]], [[2.0, 1.0]]])

CASES = [
    Case("project", projected, [regular(3, 3)], dtypes=REAL, smooth=SMOOTH, reference=projected_numpy),
    Case(
        "project",
        lambda x: both(mx.linalg.qr(mx.linalg.qr(x)[1] + x)),
        [regular(3, 3)],
        label="nested",
        smooth=SMOOTH,
    ),
    Case("qr", lambda x: both(mx.linalg.qr(x)), [sample(4, 3)], label="tall", smooth=SMOOTH),
    Case("qr", lambda x: both(mx.linalg.qr(x)), [sample(3, 5, seed=1)], label="wide", smooth=SMOOTH),
    Case("qr", lambda x: both(mx.linalg.qr(x)), [sample(2, 4, 2)], label="batch", smooth=SMOOTH),
    Case(
        "qr",
        qr_of_all_shapes,
        [STACK],
        wrt=(),
        dtypes=REAL,
        reference=qr_of_all_shapes_numpy,
        label="shapes",
        smooth=SMOOTH,
    ),
    Case("lu", factored, [regular(3, 3)], dtypes=REAL, reference=factored_numpy, smooth=SMOOTH),
    Case("lu", factored, [regular(3, 3)[[1, 2, 0]]], reference=factored_numpy, label="exchanged", smooth=SMOOTH),
    Case("lu", factored, [sample(4, 2, seed=2)], reference=factored_numpy, label="tall", smooth=SMOOTH),
    Case("lu", factored, [sample(2, 4, seed=1)], reference=factored_numpy, label="wide", smooth=SMOOTH),
    Case(
        "lu",
        lu_of_all_shapes,
        [sample(2, 3, 3, seed=3)],
        wrt=(),
        dtypes=REAL,
        reference=lu_of_all_shapes_numpy,
        label="shapes",
        smooth=SMOOTH,
    ),
    Case(
        "solve",
        solved(mx.linalg.solve),
        [STACK, SIDES],
        wrt=(0, 1),
        dtypes=REAL,
        reference=solved_numpy(lambda a: a),
        smooth=SMOOTH,
    ),
    Case(
        "solve_triangular",
        solved(mx.linalg.solve_triangular),
        [STACK, SIDES],
        wrt=(0, 1),
        dtypes=REAL,
        reference=solved_numpy(np.tril),
        label="lower",
        smooth=SMOOTH,
    ),
    Case(
        "solve_triangular",
        solved(mx.linalg.solve_triangular, upper=True),
        [STACK, SIDES],
        wrt=(0, 1),
        dtypes=REAL,
        reference=solved_numpy(np.triu),
        label="upper",
        smooth=SMOOTH,
    ),
    Case(
        "solve_triangular",
        lambda x: flat(mx.linalg.tri_inv(x), mx.linalg.tri_inv(x, True), mx.linalg.cholesky_inv(x)),
        [STACK],
        dtypes=REAL,
        reference=lambda x: flat_numpy(
            np.linalg.inv(np.tril(x)),
            np.linalg.inv(np.triu(x)),
            np.linalg.inv(np.tril(x) @ np.swapaxes(np.tril(x), -1, -2)),
        ),
        label="inverse",
        smooth=SMOOTH,
    ),
    Case(
        "inverse",
        lambda x: flat(mx.linalg.inv(x), mx.linalg.inv(strided(x)), *hollow(mx.linalg.inv, x)),
        [STACK],
        dtypes=REAL,
        reference=lambda x: flat_numpy(np.linalg.inv(x), np.linalg.inv(x)),
        smooth=SMOOTH,
    ),
    Case(
        "cholesky",
        lambda x: flat(
            mx.linalg.cholesky(x),
            mx.linalg.cholesky(strided(x)),
            mx.linalg.cholesky(x, True),
            *hollow(mx.linalg.cholesky, x),
        ),
        [positive(2, 3, 3)],
        dtypes=REAL,
        reference=lambda x: flat_numpy(
            np.linalg.cholesky(x), np.linalg.cholesky(x), np.swapaxes(np.linalg.cholesky(x), -1, -2)
        ),
        smooth=SMOOTH,
    ),
    Case(
        "determinant",
        lambda x: flat(determinant(x), determinant(strided(x)), *hollow(determinant, x)),
        [STACK],
        dtypes=REAL,
        reference=lambda x: flat_numpy(np.linalg.det(x), np.linalg.det(x), [1.0], [1.0] * 3),
        smooth=SMOOTH,
    ),
    Case("determinant", mx.linalg.det, [reflected(4, 4)], label="negative", smooth=SMOOTH),
    Case(
        "cofactor",
        lambda x: flat(cofactor(x), cofactor(strided(x)), *hollow(cofactor, x)),
        [np.stack([regular(3, 3), reflected(3, 3)])],
        dtypes=REAL,
        reference=lambda x: flat_numpy(cofactor_numpy(x), cofactor_numpy(x)),
        smooth=SMOOTH,
    ),
    Case(
        "cofactor_change",
        lambda x, g: flat(
            cofactor_change(x, g), cofactor_change(strided(x), g), *hollow(lambda y: cofactor_change(y, y), x)
        ),
        [np.stack([regular(3, 3), reflected(3, 3)]), sample(2, 3, 3, seed=8)],
        wrt=(0, 1),
        dtypes=REAL,
        reference=lambda x, g: flat_numpy(cofactor_change_numpy(x, g), cofactor_change_numpy(x, g)),
        smooth=SMOOTH,
    ),
    Case("cofactor", cofactor, [reflected(4, 4)], label="larger", smooth=SMOOTH),
    Case(
        "log_determinant",
        lambda x: flat(
            *log_determinant(x),
            *log_determinant(strided(x)),
            *(part for pair in hollow(log_determinant, x) for part in pair),
        ),
        [np.stack([regular(3, 3), reflected(3, 3)])],
        dtypes=REAL,
        reference=lambda x: flat_numpy(*np.linalg.slogdet(x), *np.linalg.slogdet(x), [1.0, 0.0], [1.0] * 3, [0.0] * 3),
        smooth=SMOOTH,
    ),
    Case("log_determinant", lambda x: both(mx.linalg.slogdet(x)), [reflected(4, 4)], label="negative", smooth=SMOOTH),
    Case(
        "dead_matrix",
        lambda g, x: flat(dead_matrix(g, x), dead_matrix(g[:0], x[:0]), dead_matrix(g[..., :0], x[..., :0])),
        [WITH_ZEROS, WITH_NAN],
        wrt=(),
        dtypes=REAL,
        reference=lambda g, x: np.array([True, False, False, False, False, False]),
    ),
]

"""Factorisations of real matrices into triangular and orthogonal ones: Cholesky, QR and LU. Those by eigenvalues and
singular values live in `eigen` and `svd`, and what linear algebra shares in `linalg`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype, uint32
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive
from mlx.primitives.creation import EYE, TRI
from mlx.primitives.elementwise import SELECT
from mlx.primitives.indexing import take_along_axis
from mlx.primitives.joining import CONCATENATE
from mlx.primitives.linalg import (
    SOLVE_TRIANGULAR,
    Precise,
    as_column,
    batched_matrices,
    below_diagonal,
    cubic_cost,
    diagonal,
    each_matrix,
    half_triangle,
    identity_like,
    matrix_transpose,
    of_finite_matrices,
    product,
    same_as_first,
    triangle,
    triangular_inverse,
    unless_empty,
    unused,
)
from mlx.primitives.matmul import matmul
from mlx.primitives.slicing import slice_axis
from mlx.primitives.structure import PROJECT

# ---------------------------------------------------------------------- Cholesky


def _semidefinite_column(library: Any, a: Any, factor: Any, j: Any) -> Any:
    """Column j of the Cholesky factor, from those before it; zero where the pivot is not positive.

    NaN where that is not due to rounding: the pivot is too far below zero, or its column has too much left.
    """
    order = a.shape[-1]
    rows = np.arange(order)
    left = a[..., :, j] - library.matmul(factor, factor[..., j, :, None])[..., 0]
    diagonal = library.abs(library.diagonal(a, axis1=-2, axis2=-1))
    pivot = left[..., j, None]
    rounding = 64 * order * float(np.finfo(a.dtype).eps) * diagonal[..., j, None]
    vanishes = pivot <= 0
    remains = ((left * left > rounding * diagonal) & (rows > j)).any(axis=-1, keepdims=True)
    impossible = vanishes & ((pivot < -rounding) | remains)
    zero, one, nan = (np.asarray(x, a.dtype) for x in (0, 1, np.nan))
    column = library.where(vanishes, zero, left / library.sqrt(library.where(vanishes, one, pivot)))
    return library.where(rows < j, zero, library.where(impossible, nan, column))


def _all_or_none(library: Any, x: Any) -> Any:
    """`x` with NaN all over the matrices that have it somewhere."""
    return library.where(library.isnan(x).any(axis=(-2, -1), keepdims=True), np.asarray(np.nan, x.dtype), x)


def _semidefinite_cholesky(a: Any) -> Any:
    factor = np.zeros_like(a)
    for j in range(a.shape[-1]):
        factor[:, j] = _semidefinite_column(np, a, factor, j)
    return _all_or_none(np, factor)


def _semidefinite_cholesky_xla(xla: Any, a: Any) -> Any:
    def with_column(j: Any, factor: Any) -> Any:
        return factor.at[..., :, j].set(_semidefinite_column(Precise(xla), a, factor, j))

    factor = xla.lax.fori_loop(0, a.shape[-1], with_column, xla.jnp.zeros_like(a))
    return _all_or_none(xla.jnp, factor)


def _cholesky(a: Any) -> Any:
    return np.tril(each_matrix(np.linalg.cholesky, a, otherwise=_semidefinite_cholesky))


def _cholesky_xla(xla: Any, a: Any) -> Any:
    jnp = xla.jnp
    factor = xla.lax.linalg.cholesky(a, symmetrize_input=False)
    failed = jnp.isnan(factor).any(axis=(-2, -1), keepdims=True)

    def with_semidefinite() -> Any:
        return jnp.where(failed, _semidefinite_cholesky_xla(xla, a), factor)

    return jnp.tril(xla.lax.cond(failed.any(), with_semidefinite, lambda: factor))


def _cholesky_cotangent(g: Node, out: Node, a: Node) -> Node:
    """For dA = dL L^T + L dL^T. As the upper triangle of A is not read, the lower one gets what both would."""
    inverse = triangular_inverse(out, False)
    dead = unused((g,), inverse)
    factor, inverse = SELECT(dead, 0, out), SELECT(dead, 0, inverse)
    inner = half_triangle(product(matrix_transpose(factor), g))
    whole = product(matrix_transpose(inverse), inner, inverse)
    return half_triangle(whole + matrix_transpose(whole))


# The lower triangular L with L L^T = A, of which only the lower triangle is read. A matrix that is semidefinite up to
# rounding has one, too, with columns of zeros.
CHOLESKY = Primitive(
    "cholesky",
    arity=1,
    shape=same_as_first,
    kernel=_cholesky,
    lower=unless_empty(_cholesky_xla),
    vjp=(_cholesky_cotangent,),
    cost=cubic_cost(0.5),
    library_bound=True,
)
CHOLESKY.batch = batched_matrices(CHOLESKY)


# ---------------------------------------------------------------------- QR


def _qr_shape(a: Node) -> tuple[tuple[Shape, Shape], tuple[Dtype, Dtype]]:
    *lead, _, columns = a.shape
    return (a.shape, (*lead, columns, columns)), (a.dtype, a.dtype)


def _qr_xla(xla: Any, a: Any) -> tuple[Any, Any]:
    if 0 in a.shape:
        columns = a.shape[-1]
        return xla.jnp.zeros(a.shape, a.dtype), xla.jnp.zeros((*a.shape[:-2], columns, columns), a.dtype)
    return xla.lax.linalg.qr(a, full_matrices=False)


def _qr_cotangent(g: Sequence[Node | None], out: Node, a: Node) -> Node:
    """For dA = dQ R + Q dR with Q^T dQ antisymmetric and dR upper triangular.

    Walter & Lehmann, "Algorithmic differentiation of linear algebra functions with application in optimum
    experimental design", 2010.
    """
    inverse = triangular_inverse(PROJECT(out, 1), True)
    dead = unused(g, inverse)
    q, r, inverse = (SELECT(dead, 0, x) for x in (PROJECT(out, 0), PROJECT(out, 1), inverse))
    g_q, g_r = g
    inner = None
    if g_r is not None:
        inner = product(r, matrix_transpose(g_r))
    if g_q is not None:
        turned = product(matrix_transpose(g_q), q)
        inner = -turned if inner is None else inner - turned
    assert inner is not None
    order = a.shape[-1]
    symmetric = SELECT(TRI(order, order, 0), inner, matrix_transpose(inner))
    moved = product(q, symmetric)
    if g_q is not None:
        moved = g_q + moved
    return product(moved, matrix_transpose(inverse))


# Orthonormal columns Q and upper triangular R with Q R = A, for at least as many rows as columns, by Householder
# reflections, whose signs LAPACK has settled.
QR = Primitive(
    "qr",
    arity=1,
    shape=_qr_shape,
    kernel=lambda a: tuple(np.linalg.qr(a)),
    lower=_qr_xla,
    vjp=(_qr_cotangent,),
    many=True,
    cost=cubic_cost(1.0),
    library_bound=True,
)
QR.batch = batched_matrices(QR)

# ---------------------------------------------------------------------- LU

_PANEL = 32  # columns that are eliminated one by one, before those to the right follow by products of matrices


def _lu_shape(a: Node) -> tuple[tuple[Shape, Shape, Shape], tuple[Dtype, Dtype, Dtype]]:
    *lead, rows, columns = a.shape
    order = rows if rows < columns else columns
    return (a.shape, (*lead, order), (*lead, rows)), (a.dtype, uint32, uint32)


def _exchange(x: Any, first: int, second: Any) -> None:
    """Exchange entry `first` of each member of a batch with its entry `second`."""
    members = np.arange(x.shape[0])
    x[members, second], x[:, first] = x[:, first].copy(), x[members, second]


def _eliminate_column(x: Any, column: int, end: int) -> Any:
    """Exchange rows for the largest pivot of a column, and eliminate below it up to column `end`; the rows chosen."""
    pivots = column + np.abs(x[:, column:, column]).argmax(-1)
    _exchange(x, column, pivots)
    pivot = x[:, column, column, None]
    below = x[:, column + 1 :, column]
    below /= np.where(pivot == 0, np.ones_like(pivot), pivot)  # without a pivot there are only zeros
    x[:, column + 1 :, column + 1 : end] -= below[..., None] * x[:, column, None, column + 1 : end]
    return pivots


def _factored(a: Any) -> tuple[Any, Any, Any]:
    *lead, rows, columns = a.shape
    order = min(rows, columns)
    x = a.reshape(-1, rows, columns) if a.size else np.zeros((math.prod(lead), rows, columns), a.dtype)
    x = x.copy()
    pivots = np.zeros((x.shape[0], order), np.uint32)
    places = np.tile(np.arange(rows, dtype=np.uint32), (x.shape[0], 1))
    for start in range(0, order if x.size else 0, _PANEL):
        end = min(start + _PANEL, order)
        for column in range(start, end):
            pivots[:, column] = chosen = _eliminate_column(x, column, end)
            _exchange(places, column, chosen)
        lower = np.tril(x[:, start:end, start:end], -1) + np.eye(end - start, dtype=x.dtype)
        right = x[:, start:end, end:] = np.linalg.solve(lower, x[:, start:end, end:])
        x[:, end:, end:] -= x[:, end:, start:end] @ right
    return x.reshape(a.shape), pivots.reshape(*lead, order), _inverted(np, places).reshape(*lead, rows)


def _inverted(library: Any, places: Any) -> Any:
    """Inverse permutations: for each row of the matrix, where it has gone."""
    numbers = np.arange(places.shape[-1], dtype=np.uint32)
    found = places[..., :, None] == numbers
    return library.where(found, numbers[:, None], np.uint32(0)).sum(-2, dtype=np.uint32)


def _lu_xla(xla: Any, a: Any) -> tuple[Any, Any, Any]:
    if 0 in a.shape:
        *lead, rows, columns = a.shape
        places = xla.jnp.broadcast_to(np.arange(rows, dtype=np.uint32), (*lead, rows))
        return a, xla.jnp.zeros((*lead, min(rows, columns)), np.uint32), places

    def factored(a: Any) -> tuple[Any, Any, Any]:
        factors, pivots, permutation = xla.lax.linalg.lu(a)
        return factors, pivots.astype(np.uint32), _inverted(xla.jnp, permutation)

    return of_finite_matrices(xla.jnp, factored, a)


def unpacked(factors: Node) -> tuple[Node, Node]:
    """The unit lower triangular and the upper triangular factor of what `LU` has packed into one matrix."""
    rows, columns = factors.shape[-2:]
    ndim = factors.ndim
    if rows < columns:
        lower = slice_axis(factors, ndim - 1, 0, rows)
        return below_diagonal(lower) + identity_like(lower), triangle(factors, True)
    upper = triangle(slice_axis(factors, ndim - 2, 0, columns), True)
    ones = EYE(rows, columns, 0, factors.dtype)
    return below_diagonal(factors) + ones, upper


def _lu_cotangent(g: Sequence[Node | None], out: Node, a: Node) -> Node | None:
    """For P dA = dL U + L dU in the leading square, beside which U = L^-1 P A and below which L = P A U^-1."""
    g_packed = g[0]
    if g_packed is None:
        return None
    rows, columns = a.shape[-2:]
    order = rows if rows < columns else columns
    down, across = a.ndim - 2, a.ndim - 1

    def square(x: Node) -> Node:
        return slice_axis(slice_axis(x, down, 0, order), across, 0, order)

    def over_lower(x: Node) -> Node:
        return SOLVE_TRIANGULAR(matrix_transpose(lower), x, True)

    def over_upper(x: Node) -> Node:
        return matrix_transpose(SOLVE_TRIANGULAR(upper, matrix_transpose(x), True))

    factors = PROJECT(out, 0)
    dead = unused((g_packed,), as_column(1 / diagonal(square(factors))))
    factors = SELECT(dead, EYE(rows, columns, 0, a.dtype), factors)
    lower, upper = unpacked(square(factors))
    g_lower, g_upper = below_diagonal(square(g_packed)), triangle(square(g_packed), True)
    rest, axis = None, across
    if rows < columns:
        beside, g_beside = (slice_axis(x, across, rows, columns - rows) for x in (factors, g_packed))
        rest = over_lower(g_beside)
        g_lower = g_lower - below_diagonal(matmul(rest, matrix_transpose(beside)))
    elif columns < rows:
        under, g_under = (slice_axis(x, down, columns, rows - columns) for x in (factors, g_packed))
        rest, axis = over_upper(g_under), down
        g_upper = g_upper - triangle(matmul(matrix_transpose(under), rest), True)
    inner = below_diagonal(matmul(matrix_transpose(lower), g_lower) - matmul(g_upper, matrix_transpose(upper)))
    moved = over_lower(g_upper + over_upper(inner))
    if rest is not None:
        moved = CONCATENATE((moved, rest), axis)
    return take_along_axis(moved, as_column(PROJECT(out, 2)), down)


# Of P A = L U: L below the diagonal (which is all ones) and U on and above it, in one matrix; for each step of the
# elimination the row that is exchanged with its own; and for each row of A the row of P A where it has gone.
LU = Primitive(
    "lu",
    arity=1,
    shape=_lu_shape,
    kernel=lambda a: of_finite_matrices(np, _factored, a),
    lower=_lu_xla,
    vjp=(_lu_cotangent,),
    many=True,
    cost=lambda node: 30_000.0 * node.inputs[0].shape[-1] + cubic_cost(0.5)(node) if node.inputs else 0.0,
)
LU.batch = batched_matrices(LU)

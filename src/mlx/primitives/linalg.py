"""Factorisations, inverses and determinants of real matrices, which are the last two axes; leading axes are batches.

Matrices for which a result does not exist (a singular one has no inverse, an indefinite one no Cholesky factor) get NaN
on both engines, and leave the others of their batch alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype, bool_
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive
from mlx.primitives.creation import EYE, TRI
from mlx.primitives.elementwise import SELECT, weigh
from mlx.primitives.joining import CONCATENATE
from mlx.primitives.matmul import matmul
from mlx.primitives.shape import SUM, Dims, batch_size, batch_to_front, broadcast, reshape, transpose
from mlx.primitives.structure import PROJECT

# ---------------------------------------------------------------------- what rules, kernels and lowerings share


def matrix_transpose(x: Node) -> Node:
    """`x` with its last two axes exchanged."""
    ndim = x.ndim
    return transpose(x, (*range(ndim - 2), ndim - 1, ndim - 2))


def identity_like(x: Node) -> Node:
    """The identity matrix of the order and dtype of `x`, without its batches."""
    return EYE(x.shape[-1], x.shape[-1], 0, x.dtype)


def triangle(x: Node, upper: bool) -> Node:
    """The square matrices `x` with zeros outside one triangle."""
    order = x.shape[-1]
    return SELECT(TRI(order, order, -1), 0, x) if upper else SELECT(TRI(order, order, 0), x, 0)


def _half_triangle(x: Node) -> Node:
    """The lower triangle of `x` with its diagonal halved."""
    order = x.shape[-1]
    return SELECT(TRI(order, order, -1), x, SELECT(TRI(order, order, 0), x * 0.5, 0))


def _product(first: Node, *others: Node) -> Node:
    for other in others:
        first = matmul(first, other)
    return first


def _unused(g: Node, x: Node) -> Node:
    """True for the matrices of `x` that are not finite and get a zero cotangent `g`: so they may count as zero."""
    return DEAD_MATRIX(g, x)


def batched_matrices(primitive: Primitive) -> Callable[..., tuple[Node, Any]]:
    """The batching rule of a primitive that takes and gives matrices with batch axes in front."""

    def batch(inputs: Sequence[Node], dims: Dims, *params: Any) -> tuple[Node, Any]:
        size = batch_size(inputs, dims)
        fronts = [batch_to_front(x, dim, size) for x, dim in zip(inputs, dims, strict=True)]
        out = primitive(*fronts, *params)
        return out, (0,) * len(out.shape) if primitive.many else 0

    return batch


def cubic_cost(nanoseconds: float) -> Callable[[Node], float]:
    """An estimate that grows with the cube of the order of the first input's matrices."""

    def cost(node: Node) -> float:
        if not node.inputs:
            return 0.0
        a = node.inputs[0]
        rows, columns = a.shape[-2:]
        return a.size * min(rows, columns) * nanoseconds

    return cost


def _nan_like(*matrices: Any) -> Any:
    return np.full_like(matrices[-1], np.nan)


def _each(function: Callable[..., Any], *matrices: Any, otherwise: Callable[..., Any] = _nan_like) -> Any:
    """`function` of batches of matrices; where it raises LinAlgError for some of them, those get `otherwise`."""
    try:
        return function(*matrices)
    except np.linalg.LinAlgError:
        lead = matrices[0].shape[:-2]
        if not lead:
            return otherwise(*matrices)
        out = np.empty_like(matrices[-1])
        for index in np.ndindex(lead):
            out[index] = _each(function, *(x[index] for x in matrices), otherwise=otherwise)
        return out


def _unless_empty(lower: Callable[..., Any]) -> Callable[..., Any]:
    """The lowering of a function of matrices shaped like the last one; XLA's solvers refuse those without elements."""

    def lowered(xla: Any, *arguments: Any) -> Any:
        matrices = [x for x in arguments if hasattr(x, "shape")]
        if any(0 in x.shape for x in matrices):
            return xla.jnp.zeros(matrices[-1].shape, matrices[-1].dtype)
        return lower(xla, *arguments)

    return lowered


def _diagonal(xla: Any, x: Any) -> Any:
    return xla.jnp.diagonal(x, axis1=-2, axis2=-1)


def _nan_where_singular(xla: Any, triangular: Any, x: Any) -> Any:
    """`x`, or NaN where the triangular matrix that it was divided by has a zero on its diagonal."""
    singular = xla.jnp.any(_diagonal(xla, triangular) == 0, axis=-1)[..., None, None]
    return xla.jnp.where(singular, np.asarray(np.nan, x.dtype), x)


def _dead_matrix(g: Any, x: Any) -> Any:
    finite = np.isfinite(x).all(axis=(-2, -1), keepdims=True)
    return ~finite & np.equal(g, 0).all(axis=(-2, -1), keepdims=True)


def _dead_matrix_xla(xla: Any, g: Any, x: Any) -> Any:
    jnp = xla.jnp
    finite = jnp.all(jnp.isfinite(x), axis=(-2, -1), keepdims=True)
    return ~finite & jnp.all(g == 0, axis=(-2, -1), keepdims=True)


# For each matrix of x whether it is not finite while that of the cotangent g is zero. Not differentiated, as DEAD.
DEAD_MATRIX = Primitive(
    "dead_matrix",
    arity=2,
    shape=lambda g, x: ((*x.shape[:-2], 1, 1), bool_),
    kernel=_dead_matrix,
    lower=_dead_matrix_xla,
    cost=lambda node: sum(float(x.size) for x in node.inputs),
)
DEAD_MATRIX.batch = batched_matrices(DEAD_MATRIX)

# ---------------------------------------------------------------------- linear systems


def _same_as_first(a: Node) -> tuple[Shape, Dtype]:
    return a.shape, a.dtype


def _same_as_second(a: Node, b: Node, *params: Any) -> tuple[Shape, Dtype]:
    return b.shape, b.dtype


def _solve_xla(xla: Any, a: Any, b: Any) -> Any:
    linalg = xla.lax.linalg
    factors, _, permutation = linalg.lu(a)
    b = xla.jnp.take_along_axis(b, permutation[..., None], axis=-2)
    y = linalg.triangular_solve(factors, b, left_side=True, lower=True, unit_diagonal=True)
    x = linalg.triangular_solve(factors, y, left_side=True, lower=False)
    return _nan_where_singular(xla, factors, x)


def _solve_cotangent_b(g: Node, out: Node, a: Node, b: Node) -> Node:
    regular = SELECT(_unused(g, out), identity_like(a), a)
    return SOLVE(matrix_transpose(regular), g)


def _solve_cotangent_a(g: Node, out: Node, a: Node, b: Node) -> Node:
    x = SELECT(_unused(g, out), 0, out)
    return -_product(_solve_cotangent_b(g, out, a, b), matrix_transpose(x))


# x with a x = b for square matrices a and matrices b of the same batches.
SOLVE = Primitive(
    "solve",
    arity=2,
    shape=_same_as_second,
    kernel=lambda a, b: _each(np.linalg.solve, a, b),
    lower=_unless_empty(_solve_xla),
    vjp=(_solve_cotangent_a, _solve_cotangent_b),
    cost=cubic_cost(0.5),
    library_bound=True,
)
SOLVE.batch = batched_matrices(SOLVE)


def _solve_triangular(a: Any, b: Any, upper: bool) -> Any:
    """By substitution: on an upper triangular matrix the general solver has nothing to eliminate or exchange."""
    if upper:
        return _each(np.linalg.solve, np.triu(a), b)
    return _each(np.linalg.solve, np.tril(a)[..., ::-1, ::-1], b[..., ::-1, :])[..., ::-1, :]


def _solve_triangular_xla(xla: Any, a: Any, b: Any, upper: bool) -> Any:
    x = xla.lax.linalg.triangular_solve(a, b, left_side=True, lower=not upper)
    return _nan_where_singular(xla, a, x)


def _triangular_cotangent_b(g: Node, out: Node, a: Node, b: Node, upper: bool) -> Node:
    regular = SELECT(_unused(g, out), identity_like(a), a)
    return SOLVE_TRIANGULAR(matrix_transpose(regular), g, not upper)


def _triangular_cotangent_a(g: Node, out: Node, a: Node, b: Node, upper: bool) -> Node:
    x = SELECT(_unused(g, out), 0, out)
    whole = _product(_triangular_cotangent_b(g, out, a, b, upper), matrix_transpose(x))
    return triangle(-whole, upper)


# The same for triangular a: the other triangle is not read.
SOLVE_TRIANGULAR = Primitive(
    "solve_triangular",
    arity=2,
    shape=_same_as_second,
    kernel=_solve_triangular,
    lower=_unless_empty(_solve_triangular_xla),
    vjp=(_triangular_cotangent_a, _triangular_cotangent_b),
    cost=cubic_cost(0.5),
    library_bound=True,
)
SOLVE_TRIANGULAR.batch = batched_matrices(SOLVE_TRIANGULAR)


def _inverse_xla(xla: Any, a: Any) -> Any:
    identity = xla.jnp.broadcast_to(xla.jnp.eye(a.shape[-1], dtype=a.dtype), a.shape)
    return _solve_xla(xla, a, identity)


def _inverse_cotangent(g: Node, out: Node, a: Node) -> Node:
    inverse = matrix_transpose(SELECT(_unused(g, out), 0, out))
    return -_product(inverse, g, inverse)


INVERSE = Primitive(
    "inverse",
    arity=1,
    shape=_same_as_first,
    kernel=lambda a: _each(np.linalg.inv, a),
    lower=_unless_empty(_inverse_xla),
    vjp=(_inverse_cotangent,),
    cost=cubic_cost(1.0),
    library_bound=True,
)
INVERSE.batch = batched_matrices(INVERSE)


def triangular_inverse(a: Node, upper: bool) -> Node:
    """The inverse of triangular matrices; the other triangle of `a` is not read and exactly zero in the result."""
    return triangle(SOLVE_TRIANGULAR(a, broadcast(identity_like(a), a.shape), upper), upper)


def cholesky_inverse(factor: Node) -> Node:
    """The inverse of L L^T, exactly symmetric. By a second solution, since products do not annihilate."""
    inverse = SOLVE_TRIANGULAR(matrix_transpose(factor), triangular_inverse(factor, False), True)
    order = inverse.shape[-1]
    return SELECT(TRI(order, order, 0), inverse, matrix_transpose(inverse))


# ---------------------------------------------------------------------- factorisations


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
        return factor.at[..., :, j].set(_semidefinite_column(xla.jnp, a, factor, j))

    factor = xla.lax.fori_loop(0, a.shape[-1], with_column, xla.jnp.zeros_like(a))
    return _all_or_none(xla.jnp, factor)


def _cholesky(a: Any) -> Any:
    return np.tril(_each(np.linalg.cholesky, a, otherwise=_semidefinite_cholesky))


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
    unused = _unused(g, inverse)
    factor, inverse = SELECT(unused, 0, out), SELECT(unused, 0, inverse)
    inner = _half_triangle(_product(matrix_transpose(factor), g))
    whole = _product(matrix_transpose(inverse), inner, inverse)
    return _half_triangle(whole + matrix_transpose(whole))


# The lower triangular L with L L^T = A, of which only the lower triangle is read. A matrix that is semidefinite up to
# rounding has one, too, with columns of zeros.
CHOLESKY = Primitive(
    "cholesky",
    arity=1,
    shape=_same_as_first,
    kernel=_cholesky,
    lower=_unless_empty(_cholesky_xla),
    vjp=(_cholesky_cotangent,),
    cost=cubic_cost(0.5),
    library_bound=True,
)
CHOLESKY.batch = batched_matrices(CHOLESKY)


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
    arrived = [cotangent for cotangent in g if cotangent is not None]
    inverse = triangular_inverse(PROJECT(out, 1), True)
    unused = _unused(CONCATENATE(arrived, a.ndim - 2), inverse)
    q, r, inverse = (SELECT(unused, 0, x) for x in (PROJECT(out, 0), PROJECT(out, 1), inverse))
    g_q, g_r = g
    inner = None
    if g_r is not None:
        inner = _product(r, matrix_transpose(g_r))
    if g_q is not None:
        turned = _product(matrix_transpose(g_q), q)
        inner = -turned if inner is None else inner - turned
    assert inner is not None
    order = a.shape[-1]
    symmetric = SELECT(TRI(order, order, 0), inner, matrix_transpose(inner))
    moved = _product(q, symmetric)
    if g_q is not None:
        moved = g_q + moved
    return _product(moved, matrix_transpose(inverse))


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

# ---------------------------------------------------------------------- determinants


def _pivots(xla: Any, a: Any) -> tuple[Any, Any]:
    """The diagonal that Gaussian elimination leaves, and the sign of the exchange of rows."""
    factors, exchanged, _ = xla.lax.linalg.lu(a)
    moves = xla.jnp.sum(exchanged != np.arange(a.shape[-1], dtype=np.int32), axis=-1)
    sign = xla.jnp.where(moves % 2 == 1, np.asarray(-1, a.dtype), np.asarray(1, a.dtype))
    return _diagonal(xla, factors), sign


def _determinant_xla(xla: Any, a: Any) -> Any:
    if 0 in a.shape:
        return xla.jnp.ones(a.shape[:-2], a.dtype)
    pivots, sign = _pivots(xla, a)
    return sign * xla.jnp.prod(pivots, axis=-1)


def _log_determinant_xla(xla: Any, a: Any) -> tuple[Any, Any]:
    jnp = xla.jnp
    if 0 in a.shape:
        return jnp.ones(a.shape[:-2], a.dtype), jnp.zeros(a.shape[:-2], a.dtype)
    pivots, sign = _pivots(xla, a)
    logarithm = jnp.sum(jnp.log(jnp.abs(pivots)), axis=-1)
    return _signed(jnp, sign * jnp.prod(jnp.sign(pivots), axis=-1), logarithm)


def _log_determinant(a: Any) -> tuple[Any, Any]:
    return _signed(np, *np.linalg.slogdet(a))


def _signed(library: Any, sign: Any, logarithm: Any) -> tuple[Any, Any]:
    """The sign 1 goes with a determinant that is not a number."""
    return library.where(library.isnan(logarithm), library.ones_like(sign), sign), logarithm


def _as_matrices(x: Node) -> Node:
    """A number for each matrix as matrices of one element, which broadcast."""
    return reshape(x, (*x.shape, 1, 1))


def _log_determinant_cotangent(g: Sequence[Node | None], out: Node, a: Node) -> Node | None:
    """The inverse transposed; the sign is constant wherever it has a derivative."""
    _, g_logarithm = g
    return None if g_logarithm is None else weigh(_as_matrices(g_logarithm), matrix_transpose(INVERSE(a)))


# The sign of the determinant and the logarithm of its modulus.
LOG_DETERMINANT = Primitive(
    "log_determinant",
    arity=1,
    shape=lambda a: ((a.shape[:-2], a.shape[:-2]), (a.dtype, a.dtype)),
    kernel=_log_determinant,
    lower=_log_determinant_xla,
    vjp=(_log_determinant_cotangent,),
    many=True,
    cost=cubic_cost(0.5),
    library_bound=True,
)
LOG_DETERMINANT.batch = batched_matrices(LOG_DETERMINANT)

DETERMINANT = Primitive(
    "determinant",
    arity=1,
    shape=lambda a: (a.shape[:-2], a.dtype),
    kernel=np.linalg.det,
    lower=_determinant_xla,
    vjp=(lambda g, out, a: weigh(_as_matrices(g), COFACTOR(a)),),
    cost=cubic_cost(0.5),
    library_bound=True,
)
DETERMINANT.batch = batched_matrices(DETERMINANT)


def _cofactor(library: Any, u: Any, singular_values: Any, vh: Any, sign: Any) -> Any:
    """det(U V) U D V, where D has on its diagonal the products of all singular values but one."""
    one = np.eye(singular_values.shape[-1], dtype=bool)
    others = library.where(one, np.ones((), u.dtype), singular_values[..., None, :])
    return sign[..., None, None] * library.matmul(u * library.prod(others, axis=-1)[..., None, :], vh)


def _cofactor_kernel(a: Any) -> Any:
    u, singular_values, vh = np.linalg.svd(a)
    return _cofactor(np, u, singular_values, vh, np.sign(np.linalg.det(u) * np.linalg.det(vh)))


def _cofactor_xla(xla: Any, a: Any) -> Any:
    u, singular_values, vh = xla.lax.linalg.svd(a, full_matrices=False)
    sign = xla.jnp.sign(_determinant_xla(xla, u) * _determinant_xla(xla, vh))
    return _cofactor(xla.jnp, u, singular_values, vh, sign)


def _cofactor_cotangent(g: Node, out: Node, a: Node) -> Node:
    """For dC = tr(A^-1 dA) C - A^-T dA^T C with C = det(A) A^-T."""
    inverse = INVERSE(a)
    inverse = matrix_transpose(SELECT(_unused(g, inverse), 0, inverse))
    scale = SUM(g * out, (a.ndim - 2, a.ndim - 1), True)
    return scale * inverse - _product(out, matrix_transpose(g), inverse)


# The derivative of the determinant. By singular values, so that it is right where the matrix is singular, too.
COFACTOR = Primitive(
    "cofactor",
    arity=1,
    shape=_same_as_first,
    kernel=lambda a: _each(_cofactor_kernel, a),
    lower=_unless_empty(_cofactor_xla),
    vjp=(_cofactor_cotangent,),
    cost=cubic_cost(10.0),
    library_bound=True,
)
COFACTOR.batch = batched_matrices(COFACTOR)

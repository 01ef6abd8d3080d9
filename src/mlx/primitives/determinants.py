"""Determinants of real matrices and their derivatives. What linear algebra shares lives in `linalg`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlx.ir.node import Node
from mlx.ir.primitive import Primitive
from mlx.primitives.elementwise import SELECT, weigh
from mlx.primitives.linalg import (
    INVERSE,
    Precise,
    batched_matrices,
    cubic_cost,
    diagonal,
    diagonal_xla,
    each_matrix,
    identity_like,
    matrix_transpose,
    same_as_first,
    unless_empty,
    unused,
)
from mlx.primitives.matmul import matmul
from mlx.primitives.shape import SUM, reshape


def _pivots(xla: Any, a: Any) -> tuple[Any, Any]:
    """The diagonal that Gaussian elimination leaves, and the sign of the exchange of rows."""
    factors, exchanged, _ = xla.lax.linalg.lu(a)
    moves = xla.jnp.sum(exchanged != np.arange(a.shape[-1], dtype=np.int32), axis=-1)
    sign = xla.jnp.where(moves % 2 == 1, np.asarray(-1, a.dtype), np.asarray(1, a.dtype))
    return diagonal_xla(xla, factors), sign


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


def _by_singular_values(a: Any) -> tuple[Any, Any, Any, Any]:
    """U, the singular values, V and the sign of det(U V), as matrices of one element."""
    u, s, v = np.linalg.svd(a)
    return u, s, v, np.sign(np.linalg.det(u) * np.linalg.det(v))[..., None, None]


def _by_singular_values_xla(xla: Any, a: Any) -> tuple[Any, Any, Any, Any]:
    u, s, v = xla.lax.linalg.svd(a, full_matrices=False)
    return u, s, v, xla.jnp.sign(_determinant_xla(xla, u) * _determinant_xla(xla, v))[..., None, None]


def _cofactor_of_diagonal(library: Any, s: Any) -> Any:
    """The cofactor of diag(s): on its diagonal the products of all of `s` but one."""
    one = np.eye(s.shape[-1], dtype=bool)
    others = library.where(one, np.ones((), s.dtype), s[..., None, :])
    return library.where(one, library.prod(others, axis=-1)[..., None, :], np.zeros((), s.dtype))


def _products_without_two(library: Any, s: Any) -> Any:
    """At row i and column j the product of all of `s` but those two; zeros on the diagonal.

    For i < j it is that of the ones before i, between the two, and after j.
    """
    order = s.shape[-1]
    one = np.ones((), s.dtype)
    earlier = np.tri(order, k=-1, dtype=bool)
    before = library.prod(library.where(earlier, s[..., None, :], one), axis=-1)
    after = library.prod(library.where(earlier.T, s[..., None, :], one), axis=-1)
    up_to = library.cumprod(library.where(earlier.T, s[..., None, :], one), axis=-1)
    between = library.concatenate([library.ones_like(up_to[..., :1]), up_to[..., :-1]], axis=-1)
    half = library.where(earlier.T, before[..., :, None] * between * after[..., None, :], np.zeros((), s.dtype))
    return half + library.swapaxes(half, -1, -2)


def _change_of_diagonal(library: Any, s: Any, change: Any) -> Any:
    """How the cofactor of diag(s) changes with the matrix."""
    products = _products_without_two(library, s)
    diagonal = library.diagonal(change, axis1=-2, axis2=-1)
    of_diagonal = library.matmul(products, diagonal[..., None])
    one = np.eye(s.shape[-1], dtype=bool)
    return library.where(one, of_diagonal, -products * library.swapaxes(change, -1, -2))


def _cofactor(library: Any, u: Any, s: Any, v: Any, sign: Any) -> Any:
    return sign * library.matmul(library.matmul(u, _cofactor_of_diagonal(library, s)), v)


def _cofactor_change(library: Any, u: Any, s: Any, v: Any, sign: Any, g: Any) -> Any:
    turned = library.matmul(library.matmul(library.swapaxes(u, -1, -2), g), library.swapaxes(v, -1, -2))
    return sign * library.matmul(library.matmul(u, _change_of_diagonal(library, s, turned)), v)


def _cofactor_cotangent(g: Node, out: Node, a: Node) -> Node:
    return COFACTOR_CHANGE(SELECT(unused((g,), a), identity_like(a), a), g)


# The derivative of the determinant. By singular values, so that it is right where the matrix is singular, too.
COFACTOR = Primitive(
    "cofactor",
    arity=1,
    shape=same_as_first,
    kernel=lambda a: each_matrix(lambda a: _cofactor(np, *_by_singular_values(a)), a),
    lower=unless_empty(lambda xla, a: _cofactor(Precise(xla), *_by_singular_values_xla(xla, a))),
    vjp=(_cofactor_cotangent,),
    cost=cubic_cost(10.0),
    library_bound=True,
)
COFACTOR.batch = batched_matrices(COFACTOR)


def _trace(x: Node) -> Node:
    """The traces of matrices, as matrices of one element."""
    return _as_matrices(SUM(diagonal(x), (x.ndim - 2,), False))


def _third_derivative(u: Node, out: Node, a: Node, g: Node) -> Node:
    """What the third derivative of the determinant makes of two directions, by the inverse of a regular matrix."""
    inverse = INVERSE(a)
    for direction in (u, g):
        inverse = SELECT(unused((direction,), inverse), 0, inverse)
    with_u, with_g = matmul(inverse, u), matmul(inverse, g)
    of_u, of_g = _trace(with_u), _trace(with_g)
    both = matmul(with_u, with_g)
    inner = (
        (of_u * of_g - _trace(both)) * identity_like(a) - of_u * with_g - of_g * with_u + both + matmul(with_g, with_u)
    )
    return _as_matrices(DETERMINANT(a)) * matrix_transpose(matmul(inner, inverse))


# The change of the cofactor as `a` changes by `g`, which is linear in `g` and its own transpose.
COFACTOR_CHANGE = Primitive(
    "cofactor_change",
    arity=2,
    shape=lambda a, g: (a.shape, a.dtype),
    kernel=lambda a, g: each_matrix(lambda a, g: _cofactor_change(np, *_by_singular_values(a), g), a, g),
    lower=unless_empty(lambda xla, a, g: _cofactor_change(Precise(xla), *_by_singular_values_xla(xla, a), g)),
    vjp=(_third_derivative, lambda u, out, a, g: COFACTOR_CHANGE(a, u)),
    cost=cubic_cost(10.0),
    library_bound=True,
)
COFACTOR_CHANGE.batch = batched_matrices(COFACTOR_CHANGE)

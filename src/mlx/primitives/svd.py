"""The singular value decomposition of real and complex matrices, which are the last two axes; leading axes are batches.
And the pseudo-inverse, which is found by it.

A matrix whose decomposition is not found (it has elements that are not finite) gets NaN on both engines, and leaves the
others of its batch alone. What linear algebra shares lives in `linalg`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype, bool_, float64
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive
from mlx.primitives.arithmetic import ABS, LESS_EQUAL
from mlx.primitives.creation import EYE
from mlx.primitives.elementwise import SELECT, real_part_dtype
from mlx.primitives.factorisations import QR
from mlx.primitives.linalg import (
    Precise,
    adjoint,
    as_row,
    batched_matrices,
    cubic_cost,
    decomposed,
    matrix_transpose,
    of_finite_matrices,
    product,
    unused,
)
from mlx.primitives.matmul import matmul
from mlx.primitives.reductions import MAX
from mlx.primitives.slicing import place, slice_axis, zeros
from mlx.primitives.structure import PROJECT, cast

# ---------------------------------------------------------------------- kernels


def _svd(a: Any) -> tuple[Any, Any, Any]:
    return of_finite_matrices(np, lambda a: decomposed(lambda a: tuple(np.linalg.svd(a)), a), a)


def _svd_xla(xla: Any, a: Any) -> tuple[Any, Any, Any]:
    if 0 in a.shape:  # an orthonormal basis of what is left, as NumPy has it
        jnp = xla.jnp
        *lead, rows, columns = a.shape
        u, vh = (jnp.broadcast_to(jnp.eye(n, dtype=a.dtype), (*lead, n, n)) for n in (rows, columns))
        return u, jnp.zeros((*lead, min(rows, columns)), a.real.dtype), vh
    return of_finite_matrices(xla.jnp, lambda a: tuple(xla.lax.linalg.svd(a, full_matrices=True)), a)


def _values_alone(a: Any) -> Any:
    return of_finite_matrices(np, lambda a: decomposed(lambda a: (np.linalg.svd(a, compute_uv=False),), a), a)[0]


def _values_alone_xla(xla: Any, a: Any) -> Any:
    if 0 in a.shape:
        return xla.jnp.zeros((*a.shape[:-2], min(a.shape[-2:])), a.real.dtype)

    def values(a: Any) -> tuple[Any, ...]:
        found = xla.lax.linalg.svd(a, compute_uv=False)
        return tuple(found) if isinstance(found, tuple | list) else (found,)

    return of_finite_matrices(xla.jnp, values, a)[0]


# ---------------------------------------------------------------------- derivatives

_ROUNDING = 8  # units of rounding of the largest of them by which numbers that coincide may differ


def rounding_of(sizes: Node) -> Node:
    """By how much numbers may differ by rounding, as matrices of one element, where rows hold their moduli."""
    if sizes.shape[-1] == 0:
        return zeros((*sizes.shape[:-1], 1), sizes.dtype)
    unit = np.finfo(np.float64 if sizes.dtype is float64 else np.float32).eps
    return MAX(sizes, (sizes.ndim - 1,), True) * (_ROUNDING * float(unit))


def reciprocal(x: Node, rounding: Node) -> Node:
    """1 / x, and zero where x is zero up to rounding."""
    vanishes = LESS_EQUAL(ABS(x), rounding)
    return SELECT(vanishes, 0, 1 / SELECT(vanishes, 1, x))


def _svd_shape(a: Node) -> tuple[tuple[Shape, Shape, Shape], tuple[Dtype, Dtype, Dtype]]:
    *lead, rows, columns = a.shape
    shapes = (*lead, rows, rows), (*lead, min(rows, columns)), (*lead, columns, columns)
    return shapes, (a.dtype, real_part_dtype(a), a.dtype)


def _fitted(x: Node, shape: Shape) -> Node:
    """The square matrices `x` cut or filled with zeros to the last two extents of `shape`, one of which is theirs."""
    rows, columns = shape[-2:]
    axis = x.ndim - 1
    if x.shape[-1] > columns:
        return slice_axis(x, axis, 0, columns)
    if x.shape[-1] > rows:
        return slice_axis(x, axis - 1, 0, rows)
    if columns > x.shape[-1] or rows > x.shape[-1]:
        return place(x, (0,) * x.ndim, shape, (1,) * x.ndim)
    return x


def _rotation(g: Node | None, basis: Node) -> Node:
    """What turns the columns of a unitary `basis` with cotangent `g` into each other; antihermitian."""
    if g is None:
        return zeros(basis.shape, basis.dtype)
    turned = matmul(adjoint(basis), g)
    return turned - adjoint(turned)


def _padded(x: Node, size: int) -> Node:
    """Vectors filled with zeros to `size` elements."""
    return place(x, (0,) * x.ndim, (*x.shape[:-1], size), (1,) * x.ndim)


def _svd_cotangent(g: Sequence[Node | None], out: Node, a: Node) -> Node:
    """From dA = dU S V^H + U dS V^H + U S dV^H with antihermitian U^H dU and V^H dV.

    With P = U^H dA V those two are P S^T + S P^H and S^T P + P^H S, divided by differences of squared singular values.
    Split into partial fractions, the terms that do not depend on a small difference are not multiplied by it.
    """
    g_u, g_s, g_vh = g
    rows, columns = a.shape[-2:]
    diagonal = EYE(rows, columns, 0, bool_)
    dead = unused((g_u, None if g_s is None else as_row(g_s), g_vh), as_row(PROJECT(out, 1)))
    u, vh = SELECT(dead, 0, PROJECT(out, 0)), SELECT(dead, 0, PROJECT(out, 2))
    s = SELECT(dead, 0, as_row(PROJECT(out, 1)))
    inner = None
    if g_u is not None or g_vh is not None:
        left = _fitted(_rotation(g_u, u), a.shape)
        right = _fitted(_rotation(None if g_vh is None else adjoint(g_vh), adjoint(vh)), a.shape)
        of_rows, of_columns = matrix_transpose(_padded(s, rows)), _padded(s, columns)
        rounding = rounding_of(s)
        # On the diagonal only the second term counts, for the phases of complex vectors; in real ones it is zero.
        apart = SELECT(diagonal, 0, reciprocal(of_columns - of_rows, rounding))
        together = reciprocal(of_columns + of_rows, rounding)
        inner = (left + right) * cast(apart * 0.5, a.dtype) + (left - right) * cast(together * 0.5, a.dtype)
    if g_s is not None:
        of_values = SELECT(diagonal, cast(matrix_transpose(_padded(as_row(g_s), rows)), a.dtype), 0)
        inner = of_values if inner is None else inner + of_values
    assert inner is not None
    return product(u, inner, vh)


def _values_cotangent(g: Node, out: Node, a: Node) -> Node:
    """dS is the diagonal of U^H dA V; where values coincide, too, for functions that do not tell them apart."""
    dead = unused((as_row(g),), as_row(out))
    u, vh = (SELECT(dead, 0, x) for x in _leading_vectors(a))
    return matmul(u * cast(as_row(g), a.dtype), vh)


def _leading_vectors(a: Node) -> tuple[Node, Node]:
    """The vectors that belong to singular values, as columns and rows.

    Those of a high matrix are found from its triangular factor, since a basis of all of its columns can be far larger
    than the matrix. The triangular factorisation of complex matrices has no derivative here.
    """
    rows, columns = a.shape[-2:]
    if rows == columns or a.dtype.is_complex:
        decomposed = SVD(a)
        count = min(rows, columns)
        u = slice_axis(PROJECT(decomposed, 0), a.ndim - 1, 0, count)
        return u, slice_axis(PROJECT(decomposed, 2), a.ndim - 2, 0, count)
    if rows < columns:
        v, uh = _leading_vectors(matrix_transpose(a))
        return matrix_transpose(uh), matrix_transpose(v)
    factors = QR(a)
    decomposed = SVD(PROJECT(factors, 1))
    return matmul(PROJECT(factors, 0), PROJECT(decomposed, 0)), PROJECT(decomposed, 2)


# Unitary U and V^H of shapes (m, m) and (n, n), and the singular values s in descending order: A = U diag(s) V^H.
# Where singular values coincide only the space that their vectors span is determined, and likewise that of the further
# columns of U or rows of V^H where A is not square: what turns vectors within such a space passes no derivative.
SVD = Primitive(
    "svd",
    arity=1,
    shape=_svd_shape,
    kernel=_svd,
    lower=_svd_xla,
    vjp=(_svd_cotangent,),
    many=True,
    cost=cubic_cost(10.0),
    library_bound=True,
)
SVD.batch = batched_matrices(SVD)

SINGULAR_VALUES = Primitive(
    "singular_values",
    arity=1,
    shape=lambda a: (_svd_shape(a)[0][1], real_part_dtype(a)),
    kernel=_values_alone,
    lower=_values_alone_xla,
    vjp=(_values_cotangent,),
    cost=cubic_cost(5.0),
    library_bound=True,
)
SINGULAR_VALUES.batch = batched_matrices(SINGULAR_VALUES)

# ---------------------------------------------------------------------- the pseudo-inverse

_CUTOFF = 10  # units of rounding, times the larger extent, from which a singular value counts, relative to the largest


def _inverted(library: Any, u: Any, s: Any, vh: Any) -> Any:
    """V diag(1 / s) U^H, where singular values that are zero up to rounding stay zero."""
    extent = max(u.shape[-2], vh.shape[-1])
    counts = s > _CUTOFF * extent * float(np.finfo(s.dtype).eps) * s.max(axis=-1, keepdims=True)
    inverses = library.where(counts, 1 / library.where(counts, s, np.ones((), s.dtype)), np.zeros((), s.dtype))
    v, uh = (library.conj(library.swapaxes(x, -1, -2)) for x in (vh, u))
    return library.matmul(v * inverses[..., None, :].astype(v.dtype), uh)


def _pseudo_inverse(library: Any, decompose: Callable[[Any], tuple[Any, ...]], a: Any) -> Any:
    if 0 in a.shape:
        return library.zeros((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)
    return of_finite_matrices(library, lambda a: (_inverted(library, *decompose(a)),), a)[0]


def _thin_svd(a: Any) -> tuple[Any, ...]:
    return decomposed(lambda a: tuple(np.linalg.svd(a, full_matrices=False)), a)


def _thin_svd_xla(xla: Any) -> Callable[[Any], tuple[Any, ...]]:
    return lambda a: tuple(xla.lax.linalg.svd(a, full_matrices=False))


def _pseudo_inverse_cotangent(g: Node, out: Node, a: Node) -> Node:
    """For dB = -B dA B + B B^H dA^H (1 - A B) + (1 - B A) dA^H B^H B with the pseudo-inverse B of A.

    Golub & Pereyra, "The differentiation of pseudo-inverses and nonlinear least squares problems whose variables
    separate", 1973. It holds while the rank stays as it is.
    """
    dead = unused((g,), out)
    a, b = SELECT(dead, 0, a), SELECT(dead, 0, out)
    a_adjoint, b_adjoint, g_adjoint = adjoint(a), adjoint(b), adjoint(g)
    from_right = product(g_adjoint, b, b_adjoint)
    from_left = product(b_adjoint, b, g_adjoint)
    return (
        from_right
        - product(b_adjoint, a_adjoint, from_right)
        + from_left
        - product(from_left, a_adjoint, b_adjoint)
        - product(b_adjoint, g, b_adjoint)
    )


# The B with A B A = A and B A B = B for which A B and B A are Hermitian.
PSEUDO_INVERSE = Primitive(
    "pseudo_inverse",
    arity=1,
    shape=lambda a: ((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype),
    kernel=lambda a: _pseudo_inverse(np, _thin_svd, a),
    lower=lambda xla, a: _pseudo_inverse(Precise(xla), _thin_svd_xla(xla), a),
    vjp=(_pseudo_inverse_cotangent,),
    cost=cubic_cost(10.0),
    library_bound=True,
)
PSEUDO_INVERSE.batch = batched_matrices(PSEUDO_INVERSE)

"""The singular value decomposition of real and complex matrices, which are the last two axes; leading axes are batches.

A matrix whose decomposition is not found (it has elements that are not finite) gets NaN on both engines, and leaves the
others of its batch alone. What linear algebra shares lives in `linalg`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype, bool_
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive
from mlx.primitives.creation import EYE
from mlx.primitives.elementwise import SELECT, conjugate, real_part_dtype, weigh
from mlx.primitives.linalg import QR, batched_matrices, cubic_cost, matrix_transpose
from mlx.primitives.matmul import matmul
from mlx.primitives.shape import reshape
from mlx.primitives.slicing import place, slice_axis, zeros
from mlx.primitives.structure import PROJECT, cast


def adjoint(x: Node) -> Node:
    """The conjugate transposes of matrices."""
    return conjugate(matrix_transpose(x))


def _row(x: Node) -> Node:
    return reshape(x, (*x.shape[:-1], 1, x.shape[-1]))


def _column(x: Node) -> Node:
    return reshape(x, (*x.shape, 1))


# ---------------------------------------------------------------------- kernels


def _decomposed(a: Any) -> tuple[Any, Any, Any]:
    """NumPy's decomposition; NaN for the matrices of which it finds none."""
    try:
        return tuple(np.linalg.svd(a, full_matrices=True))  # type: ignore[return-value]
    except np.linalg.LinAlgError:
        *lead, rows, columns = a.shape
        shapes = (rows, rows), (min(rows, columns),), (columns, columns)
        dtypes = a.dtype, a.real.dtype, a.dtype
        outputs = tuple(np.full((*lead, *s), np.nan, d) for s, d in zip(shapes, dtypes, strict=True))
        if lead:
            for index in np.ndindex(*lead):
                for out, part in zip(outputs, _decomposed(a[index]), strict=True):
                    out[index] = part
        return outputs  # type: ignore[return-value]


def _decomposed_xla(xla: Any, a: Any) -> tuple[Any, Any, Any]:
    if 0 in a.shape:  # an orthonormal basis of what is left, as NumPy has it
        jnp = xla.jnp
        *lead, rows, columns = a.shape
        u, vh = (jnp.broadcast_to(jnp.eye(n, dtype=a.dtype), (*lead, n, n)) for n in (rows, columns))
        return u, jnp.zeros((*lead, min(rows, columns)), a.real.dtype), vh
    return tuple(xla.lax.linalg.svd(a, full_matrices=True))


def _values_alone(a: Any) -> Any:
    try:
        return np.linalg.svd(a, compute_uv=False)
    except np.linalg.LinAlgError:
        lead = a.shape[:-2]
        out = np.full((*lead, min(a.shape[-2:])), np.nan, a.real.dtype)
        if lead:
            for index in np.ndindex(lead):
                out[index] = _values_alone(a[index])
        return out


def _values_alone_xla(xla: Any, a: Any) -> Any:
    if 0 in a.shape:
        return xla.jnp.zeros((*a.shape[:-2], min(a.shape[-2:])), a.real.dtype)
    values = xla.lax.linalg.svd(a, compute_uv=False)
    return values[0] if isinstance(values, tuple | list) else values


# ---------------------------------------------------------------------- derivatives


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
    u, s, vh = (PROJECT(out, index) for index in range(3))
    g_u, g_s, g_vh = g
    rows, columns = a.shape[-2:]
    diagonal = EYE(rows, columns, 0, bool_)
    inner = None
    if g_u is not None or g_vh is not None:
        left = _fitted(_rotation(g_u, u), a.shape)
        right = _fitted(_rotation(None if g_vh is None else adjoint(g_vh), adjoint(vh)), a.shape)
        of_rows, of_columns = _column(_padded(s, rows)), _row(_padded(s, columns))
        # On the diagonal only the second term counts, for the phases of complex vectors; in real ones it is zero.
        apart = SELECT(diagonal, 0, 1 / SELECT(diagonal, 1, of_columns - of_rows))
        together = 1 / (of_columns + of_rows)
        inner = weigh((left + right) * 0.5, cast(apart, a.dtype)) + weigh((left - right) * 0.5, cast(together, a.dtype))
    if g_s is not None:
        of_values = SELECT(diagonal, cast(_column(_padded(g_s, rows)), a.dtype), 0)
        inner = of_values if inner is None else inner + of_values
    assert inner is not None
    return matmul(matmul(u, inner), vh)


def _values_cotangent(g: Node, out: Node, a: Node) -> Node:
    """dS is the diagonal of U^H dA V; where values coincide, too, for functions that do not tell them apart."""
    u, vh = _leading_vectors(a)
    return matmul(u * cast(_row(g), a.dtype), vh)


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
# columns of U or rows of V^H where A is not square: within such a space the vectors have no derivative.
SVD = Primitive(
    "svd",
    arity=1,
    shape=_svd_shape,
    kernel=_decomposed,
    lower=_decomposed_xla,
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

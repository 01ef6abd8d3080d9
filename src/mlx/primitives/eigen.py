"""Eigenvalues and eigenvectors of matrices, which are the last two axes; leading axes are batches.

A matrix whose decomposition is not found (it has elements that are not finite) gets NaN on both engines, and leaves the
others of its batch alone. What linear algebra shares lives in `linalg`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype, bool_, complex64, int32
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive, scalar_node
from mlx.primitives.arithmetic import ABS, EQUAL
from mlx.primitives.complex import IMAG, REAL
from mlx.primitives.creation import ARANGE, EYE
from mlx.primitives.elementwise import SELECT, conjugate, real_part_dtype, weigh
from mlx.primitives.linalg import (
    SOLVE,
    adjoint,
    as_column,
    as_row,
    batched_matrices,
    cubic_cost,
    decomposed,
    half_triangle,
    identity_like,
    of_finite_matrices,
    product,
    unused,
)
from mlx.primitives.matmul import matmul
from mlx.primitives.reductions import ARGMAX
from mlx.primitives.shape import SUM
from mlx.primitives.structure import PROJECT, cast
from mlx.primitives.svd import reciprocal, rounding_of


def _values_and_vectors(a: Node) -> tuple[Shape, Shape]:
    return a.shape[:-1], a.shape


def _on_diagonal(values: Node, dtype: Dtype) -> Node:
    """Diagonal matrices."""
    order = values.shape[-1]
    return SELECT(EYE(order, order, 0, bool_), cast(as_row(values), dtype), 0)


def _over_differences(values: Node) -> Node:
    """At row i and column j 1 / (w_j - w_i), and zero where the two eigenvalues coincide up to rounding."""
    return reciprocal(as_row(values) - as_column(values), rounding_of(ABS(as_row(values))))


# ---------------------------------------------------------------------- Hermitian matrices


def _eigh(a: Any) -> tuple[Any, Any]:
    return of_finite_matrices(np, lambda a: decomposed(lambda a: tuple(np.linalg.eigh(a)), a), np.tril(a))


def _eigh_xla(xla: Any, a: Any) -> tuple[Any, Any]:
    if 0 in a.shape:
        return xla.jnp.zeros(a.shape[:-1], a.real.dtype), a

    def found(a: Any) -> tuple[Any, Any]:
        vectors, values = xla.lax.linalg.eigh(a, lower=True, symmetrize_input=False)
        return values, vectors

    return of_finite_matrices(xla.jnp, found, xla.jnp.tril(a))


def _eigvalsh(a: Any) -> Any:
    return of_finite_matrices(np, lambda a: decomposed(lambda a: (np.linalg.eigvalsh(a),), a), np.tril(a))[0]


def _of_lower_triangle(whole: Node) -> Node:
    """The cotangent of the lower triangle, which stands for both, from that of a Hermitian matrix."""
    return half_triangle(whole + adjoint(whole))


def _eigh_cotangent(g: Sequence[Node | None], out: Node, a: Node) -> Node:
    """For dw_i = p_ii and dV = V (p_ij / (w_j - w_i)) with p = V^H dA V."""
    g_w, g_v = g
    dead = unused((None if g_w is None else as_row(g_w), g_v), PROJECT(out, 1))
    v = SELECT(dead, 0, PROJECT(out, 1))
    inner = None
    if g_v is not None:
        turned = matmul(adjoint(v), g_v)
        over_differences = SELECT(dead, 0, _over_differences(PROJECT(out, 0)))
        inner = (turned - adjoint(turned)) * cast(over_differences * 0.5, a.dtype)
    if g_w is not None:
        of_values = _on_diagonal(g_w, a.dtype)
        inner = of_values if inner is None else inner + of_values
    assert inner is not None
    return _of_lower_triangle(product(v, inner, adjoint(v)))


# Real eigenvalues w in ascending order and orthonormal vectors, the columns of V: A V = V diag(w). Only the lower
# triangle is read. Where eigenvalues coincide only the space that their vectors span is determined: what turns vectors
# within it passes no derivative; neither do the phases of complex vectors.
EIGH = Primitive(
    "eigh",
    arity=1,
    shape=lambda a: (_values_and_vectors(a), (real_part_dtype(a), a.dtype)),
    kernel=_eigh,
    lower=_eigh_xla,
    vjp=(_eigh_cotangent,),
    many=True,
    cost=cubic_cost(5.0),
    library_bound=True,
)
EIGH.batch = batched_matrices(EIGH)


def _eigvalsh_cotangent(g: Node, out: Node, a: Node) -> Node:
    dead = unused((as_row(g),), as_row(out))
    v = SELECT(dead, 0, PROJECT(EIGH(a), 1))
    return _of_lower_triangle(matmul(v * cast(as_row(g), a.dtype), adjoint(v)))


# The eigenvalues alone.
EIGVALSH = Primitive(
    "eigvalsh",
    arity=1,
    shape=lambda a: (a.shape[:-1], real_part_dtype(a)),
    kernel=_eigvalsh,
    lower=lambda xla, a: _eigh_xla(xla, a)[0],
    vjp=(_eigvalsh_cotangent,),
    cost=cubic_cost(2.0),
    library_bound=True,
)
EIGVALSH.batch = batched_matrices(EIGVALSH)

# ---------------------------------------------------------------------- matrices in general


def _in_complex64(function: Callable[[Any], tuple[Any, ...]]) -> Callable[[Any], tuple[Any, ...]]:
    return lambda a: tuple(x.astype(np.complex64) for x in function(a))


def _eig(a: Any) -> tuple[Any, Any]:
    found = _in_complex64(lambda a: tuple(np.linalg.eig(a)))
    return of_finite_matrices(np, lambda a: decomposed(found, a), a)


_WITH_EIG = ("cpu", "gpu", "cuda", "rocm")  # platforms for which XLA has it; for GPUs it may compute on the host


def _eig_xla(xla: Any, a: Any) -> tuple[Any, Any]:
    if 0 in a.shape:
        return xla.jnp.zeros(a.shape[:-1], np.complex64), a.astype(np.complex64)
    if xla.platform not in _WITH_EIG:
        raise RuntimeError(
            f"[linalg.eig] XLA has no eigenvalues of general matrices for {xla.platform}: compute them on the CPU, "
            f"under mx.stream(mx.cpu), or take eigh of symmetric matrices."
        )
    found = _in_complex64(lambda a: tuple(xla.lax.linalg.eig(a, compute_left_eigenvectors=False)))
    return of_finite_matrices(xla.jnp, found, a)


def _of_directions(g: Node, v: Node) -> Node:
    """The cotangent of vectors of any length and phase, from that of vectors of length 1 with a real largest component.

    That is what v -> v / |v| and then v -> v |v_k| / v_k make of it, where v_k is the component that is real already.
    """
    if v.shape[-1] == 0:
        return g
    down = v.ndim - 2
    real = SELECT(EQUAL(IMAG(v), 0), ABS(REAL(v)), 0)
    rows = ARANGE(scalar_node(0, int32), scalar_node(1, int32), v.shape[-1])
    pinned = EQUAL(as_column(rows), as_row(cast(ARGMAX(real, down), int32)))
    along = SUM(conjugate(v) * g, (down,), True)
    pivot = SUM(SELECT(pinned, REAL(v), 0), (down,), True)
    turn = weigh(IMAG(along), 1 / pivot)
    return g - v * cast(REAL(along), complex64) - SELECT(pinned, cast(turn, complex64) * 1j, 0)


def _eig_cotangent(g: Sequence[Node | None], out: Node, a: Node) -> Node:
    """For dw_i = p_ii and, up to lengths and phases, dV = V (p_ij / (w_j - w_i)) with p = V^-1 dA V."""
    g_w, g_v = g
    dead = unused((None if g_w is None else as_row(g_w), g_v), PROJECT(out, 1))
    v = SELECT(dead, identity_like(PROJECT(out, 1)), PROJECT(out, 1))
    inner = None
    if g_v is not None:
        over_differences = SELECT(dead, 0, _over_differences(PROJECT(out, 0)))
        inner = matmul(adjoint(v), _of_directions(g_v, v)) * conjugate(over_differences)
    if g_w is not None:
        of_values = _on_diagonal(g_w, complex64)
        inner = of_values if inner is None else inner + of_values
    assert inner is not None
    return cast(SOLVE(adjoint(v), matmul(inner, adjoint(v))), a.dtype)


# Complex eigenvalues w and vectors, the columns of V, of length 1 with a real largest component: A V = V diag(w).
# Derivatives need vectors that are linearly independent; of eigenvalues that coincide the same holds as for `EIGH`.
EIG = Primitive(
    "eig",
    arity=1,
    shape=lambda a: (_values_and_vectors(a), (complex64, complex64)),
    kernel=_eig,
    lower=_eig_xla,
    vjp=(_eig_cotangent,),
    many=True,
    cost=cubic_cost(20.0),
    library_bound=True,
)
EIG.batch = batched_matrices(EIG)

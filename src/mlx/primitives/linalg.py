"""Linear systems and inverses, and what all of linear algebra shares. Matrices are the last two axes; leading axes are
batches.

Matrices for which a result does not exist (a singular one has no inverse, an indefinite one no Cholesky factor) get NaN
on both engines, and leave the others of their batch alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype, bool_
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive
from mlx.primitives.creation import EYE, TRI
from mlx.primitives.elementwise import SELECT, conjugate
from mlx.primitives.matmul import matmul
from mlx.primitives.shape import SUM, Dims, batch_size, batch_to_front, broadcast, reshape, transpose

# ---------------------------------------------------------------------- what rules share


def matrix_transpose(x: Node) -> Node:
    """`x` with its last two axes exchanged."""
    ndim = x.ndim
    return transpose(x, (*range(ndim - 2), ndim - 1, ndim - 2))


def adjoint(x: Node) -> Node:
    """The conjugate transposes of matrices."""
    return conjugate(matrix_transpose(x))


def as_row(x: Node) -> Node:
    """Vectors as matrices of one row."""
    return reshape(x, (*x.shape[:-1], 1, x.shape[-1]))


def as_column(x: Node) -> Node:
    """Vectors as matrices of one column."""
    return reshape(x, (*x.shape, 1))


def identity_like(x: Node) -> Node:
    """The identity matrix of the order and dtype of `x`, without its batches."""
    return EYE(x.shape[-1], x.shape[-1], 0, x.dtype)


def triangle(x: Node, upper: bool) -> Node:
    """The matrices `x` with zeros outside one triangle."""
    rows, columns = x.shape[-2:]
    return SELECT(TRI(rows, columns, -1), 0, x) if upper else SELECT(TRI(rows, columns, 0), x, 0)


def below_diagonal(x: Node) -> Node:
    """The matrices `x` with zeros on and above the diagonal."""
    return SELECT(TRI(x.shape[-2], x.shape[-1], -1), x, 0)


def half_triangle(x: Node) -> Node:
    """The lower triangle of `x` with its diagonal halved."""
    order = x.shape[-1]
    return SELECT(TRI(order, order, -1), x, SELECT(TRI(order, order, 0), x * 0.5, 0))


def diagonal(x: Node) -> Node:
    """The diagonals of square matrices."""
    order = x.shape[-1]
    return SUM(SELECT(EYE(order, order, 0, bool_), x, 0), (x.ndim - 1,), False)


def product(first: Node, *others: Node) -> Node:
    """The product of matrices."""
    for other in others:
        first = matmul(first, other)
    return first


def unused(arrived: Sequence[Node | None], x: Node) -> Node:
    """True for the matrices of `x` that are not finite and get only zeros as cotangents: so they may count as zero.

    Cotangents are matrices with the same batches; None is one that nothing reached.
    """
    dead = [DEAD_MATRIX(cotangent, x) for cotangent in arrived if cotangent is not None]
    all_dead, *others = dead
    for other in others:
        all_dead = SELECT(all_dead, other, all_dead)
    return all_dead


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


# ---------------------------------------------------------------------- what kernels and lowerings share


def nan_like(*matrices: Any) -> Any:
    """NaN in the shape of the last argument."""
    return np.full_like(matrices[-1], np.nan)


def each_matrix(function: Callable[..., Any], *matrices: Any, otherwise: Callable[..., Any] = nan_like) -> Any:
    """`function` of batches of matrices; where it raises LinAlgError for some of them, those get `otherwise`."""
    try:
        return function(*matrices)
    except np.linalg.LinAlgError:
        lead = matrices[0].shape[:-2]
        if not lead:
            return otherwise(*matrices)
        out = np.empty_like(matrices[-1])
        for index in np.ndindex(lead):
            out[index] = each_matrix(function, *(x[index] for x in matrices), otherwise=otherwise)
        return out


def of_finite_matrices(library: Any, function: Callable[[Any], tuple[Any, ...]], a: Any) -> tuple[Any, ...]:
    """What `function` gives of the matrices that are finite, and NaN for the others, of which libraries make anything.

    `library` is NumPy or its counterpart on XLA. Outputs that are no floating-point numbers stay as they are.
    """
    finite = library.isfinite(a).all(axis=(-2, -1))
    outputs = function(library.where(finite[..., None, None], a, np.zeros((), a.dtype)))
    lead = finite.ndim

    def or_nan(x: Any) -> Any:
        if x.dtype.kind not in "fc":
            return x
        return library.where(finite[(..., *(None,) * (x.ndim - lead))], x, np.asarray(np.nan, x.dtype))

    return tuple(map(or_nan, outputs))


def decomposed(function: Callable[[Any], tuple[Any, ...]], a: Any) -> tuple[Any, ...]:
    """The arrays that a function of NumPy gives of each matrix; NaN for the matrices of which it finds none."""
    try:
        return function(a)
    except np.linalg.LinAlgError:
        lead = a.shape[:-2]
        outputs = tuple(np.full_like(x, np.nan) for x in function(np.zeros_like(a)))
        if lead:
            for index in np.ndindex(*lead):
                for out, part in zip(outputs, decomposed(function, a[index]), strict=True):
                    out[index] = part
        return outputs


def unless_empty(lower: Callable[..., Any]) -> Callable[..., Any]:
    """The lowering of a function of matrices shaped like the last one; XLA's solvers refuse those without elements."""

    def lowered(xla: Any, *arguments: Any) -> Any:
        matrices = [x for x in arguments if hasattr(x, "shape")]
        if any(0 in x.shape for x in matrices):
            return xla.jnp.zeros(matrices[-1].shape, matrices[-1].dtype)
        return lower(xla, *arguments)

    return lowered


class Precise:
    """JAX's counterpart of NumPy, multiplying matrices of float32 in full precision, which GPUs do on demand alone."""

    def __init__(self, xla: Any) -> None:
        self._library = xla.jnp
        self.matmul = partial(xla.jnp.matmul, precision=xla.lax.Precision.HIGHEST)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)


def diagonal_xla(xla: Any, x: Any) -> Any:
    """The diagonals of matrices."""
    return xla.jnp.diagonal(x, axis1=-2, axis2=-1)


def _nan_where_singular(xla: Any, triangular: Any, x: Any) -> Any:
    """`x`, or NaN where the triangular matrix that it was divided by has a zero on its diagonal."""
    singular = xla.jnp.any(diagonal_xla(xla, triangular) == 0, axis=-1)[..., None, None]
    return xla.jnp.where(singular, np.asarray(np.nan, x.dtype), x)


# The library for CPUs solves triangular systems with as many right-hand sides or more in threads that wait for each
# other. On cores that others use, too, they stall: 64 right-hand sides of order 64 were seen to take 8 ms in place of
# 0.03, and a batch of a hundred of them 1200 in place of 3. The loop here took 0.04 to 0.1, and 2 to 4 over the batch.
_THREADED_FROM = 8
_SUBSTITUTED_TO = 128  # the order from which the library is faster by more than it stalls


def _substituted(xla: Any, a: Any, b: Any, lower: bool) -> Any:
    """The solution of a x = b with triangular `a`, of which the other triangle is not read."""
    order, columns = b.shape[-2:]
    if xla.platform != "cpu" or columns < _THREADED_FROM or order > _SUBSTITUTED_TO:
        return xla.lax.linalg.triangular_solve(a, b, left_side=True, lower=lower)
    jnp, entry, numbers = xla.jnp, xla.lax.dynamic_index_in_dim, np.arange(order, dtype=np.int32)

    def with_row(step: Any, x: Any) -> Any:
        i = step if lower else order - 1 - step
        row = entry(a, i, -2)
        known = jnp.where(numbers < i if lower else numbers > i, row, np.zeros((), a.dtype))
        solved = (entry(b, i, -2) - jnp.matmul(known, x)) / entry(row, i, -1)
        return xla.lax.dynamic_update_index_in_dim(x, solved, i, x.ndim - 2)

    return xla.lax.fori_loop(0, order, with_row, jnp.zeros_like(b))


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


def same_as_first(a: Node) -> tuple[Shape, Dtype]:
    """The shape rule of functions of matrices to such matrices."""
    return a.shape, a.dtype


def _same_as_second(a: Node, b: Node, *params: Any) -> tuple[Shape, Dtype]:
    return b.shape, b.dtype


def _solve_xla(xla: Any, a: Any, b: Any) -> Any:
    """What eliminates in `a` is applied to `b` beside it: so neither its permutation nor its lower factor is needed."""
    order = a.shape[-1]
    eliminated, _, _ = xla.lax.linalg.lu(xla.jnp.concatenate([a, b], axis=-1))
    upper, y = eliminated[..., :order], eliminated[..., order:]
    return _nan_where_singular(xla, upper, _substituted(xla, upper, y, lower=False))


def _solve_cotangent_b(g: Node, out: Node, a: Node, b: Node) -> Node:
    regular = SELECT(unused((g,), out), identity_like(a), a)
    return SOLVE(adjoint(regular), g)


def _solve_cotangent_a(g: Node, out: Node, a: Node, b: Node) -> Node:
    x = SELECT(unused((g,), out), 0, out)
    return -matmul(_solve_cotangent_b(g, out, a, b), adjoint(x))


# x with a x = b for square matrices a and matrices b of the same batches.
SOLVE = Primitive(
    "solve",
    arity=2,
    shape=_same_as_second,
    kernel=lambda a, b: each_matrix(np.linalg.solve, a, b),
    lower=unless_empty(_solve_xla),
    vjp=(_solve_cotangent_a, _solve_cotangent_b),
    cost=cubic_cost(0.5),
    library_bound=True,
)
SOLVE.batch = batched_matrices(SOLVE)


def _solve_triangular(a: Any, b: Any, upper: bool) -> Any:
    """By substitution: on an upper triangular matrix the general solver has nothing to eliminate or exchange."""
    if upper:
        return each_matrix(np.linalg.solve, np.triu(a), b)
    return each_matrix(np.linalg.solve, np.tril(a)[..., ::-1, ::-1], b[..., ::-1, :])[..., ::-1, :]


def _solve_triangular_xla(xla: Any, a: Any, b: Any, upper: bool) -> Any:
    return _nan_where_singular(xla, a, _substituted(xla, a, b, lower=not upper))


def _triangular_cotangent_b(g: Node, out: Node, a: Node, b: Node, upper: bool) -> Node:
    regular = SELECT(unused((g,), out), identity_like(a), a)
    return SOLVE_TRIANGULAR(adjoint(regular), g, not upper)


def _triangular_cotangent_a(g: Node, out: Node, a: Node, b: Node, upper: bool) -> Node:
    x = SELECT(unused((g,), out), 0, out)
    whole = matmul(_triangular_cotangent_b(g, out, a, b, upper), adjoint(x))
    return triangle(-whole, upper)


# The same for triangular a: the other triangle is not read.
SOLVE_TRIANGULAR = Primitive(
    "solve_triangular",
    arity=2,
    shape=_same_as_second,
    kernel=_solve_triangular,
    lower=unless_empty(_solve_triangular_xla),
    vjp=(_triangular_cotangent_a, _triangular_cotangent_b),
    cost=cubic_cost(0.5),
    library_bound=True,
)
SOLVE_TRIANGULAR.batch = batched_matrices(SOLVE_TRIANGULAR)


def _inverse_xla(xla: Any, a: Any) -> Any:
    identity = xla.jnp.broadcast_to(xla.jnp.eye(a.shape[-1], dtype=a.dtype), a.shape)
    return _solve_xla(xla, a, identity)


def _inverse_cotangent(g: Node, out: Node, a: Node) -> Node:
    inverse = adjoint(SELECT(unused((g,), out), 0, out))
    return -product(inverse, g, inverse)


INVERSE = Primitive(
    "inverse",
    arity=1,
    shape=same_as_first,
    kernel=lambda a: each_matrix(np.linalg.inv, a),
    lower=unless_empty(_inverse_xla),
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

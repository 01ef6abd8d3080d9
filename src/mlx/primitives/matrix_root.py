"""The square root of symmetric positive semi-definite matrices, which turns independent normal numbers into jointly
normal ones. Factorisations of matrices in general live in `linalg`.

The root R of A = R R is found from the eigenvalues of A, but its derivative is not: dA = R dR + dR R has one solution
dR however many eigenvalues are equal, which covariances such as the identity need.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mlx.ir.node import Node
from mlx.ir.primitive import Primitive
from mlx.primitives.matmul import matmul
from mlx.primitives.shape import batch_size, batch_to_front, transpose


def _transposed(x: Node) -> Node:
    ndim = x.ndim
    return transpose(x, (*range(ndim - 2), ndim - 1, ndim - 2))


def _cost(node: Node) -> float:
    order = node.shape[-1]
    return 20_000.0 + 10.0 * math.prod(node.shape) * order


def _root(library: Any, a: Any) -> Any:
    values, vectors = library.linalg.eigh(a)
    roots = library.sign(values) * library.sqrt(library.abs(values))
    return (vectors * roots[..., None, :]) @ library.swapaxes(vectors, -1, -2)


# The symmetric R with R R = A for a symmetric positive semi-definite A.
MATRIX_ROOT = Primitive(
    "matrix_root",
    arity=1,
    shape=lambda a: (a.shape, a.dtype),
    kernel=lambda a: _root(np, a),
    lower=lambda xla, a: _root(xla.jnp, a),
    vjp=(lambda g, out, a: ROOT_CHANGE(out, g),),  # the map from dA to dR is its own transpose
    jvp=lambda tangents, out, a: ROOT_CHANGE(out, tangents[0]),
    batch=lambda inputs, dims: (MATRIX_ROOT(batch_to_front(inputs[0], dims[0], 1)), 0),
    cost=_cost,
)


def _root_change(library: Any, r: Any, c: Any) -> Any:
    """In the eigenvectors of R the equation is (r_i + r_j) x_ij = c_ij; 0 / 0 counts as 0."""
    values, vectors = library.linalg.eigh(r)
    adjoint = library.swapaxes(vectors, -1, -2)
    inner = adjoint @ c @ vectors
    sums = values[..., :, None] + values[..., None, :]
    solved = library.where(inner == 0, library.zeros_like(inner), inner / sums)
    return vectors @ solved @ adjoint


def _cotangent_of_root(u: Node, out: Node, r: Node, c: Node) -> Node:
    """From R dX + dX R = -(dR X + X dR)."""
    solved = ROOT_CHANGE(r, u)
    x = _transposed(out)
    return -(matmul(solved, x) + matmul(x, solved))


def _tangent(tangents: Sequence[Node | None], out: Node, r: Node, c: Node) -> Node:
    of_r, of_c = tangents
    if of_r is None:
        assert of_c is not None
        return ROOT_CHANGE(r, of_c)
    change = -(matmul(of_r, out) + matmul(out, of_r))
    return ROOT_CHANGE(r, change if of_c is None else change + of_c)


def _batch_root_change(inputs: Sequence[Node], dims: Sequence[int | None]) -> tuple[Node, int]:
    size = batch_size(inputs, dims)
    return ROOT_CHANGE(*(batch_to_front(x, dim, size) for x, dim in zip(inputs, dims, strict=True))), 0


# The X with R X + X R = C, for a symmetric R.
ROOT_CHANGE = Primitive(
    "root_change",
    arity=2,
    shape=lambda r, c: (c.shape, c.dtype),
    kernel=lambda r, c: _root_change(np, r, c),
    lower=lambda xla, r, c: _root_change(xla.jnp, r, c),
    vjp=(_cotangent_of_root, lambda u, out, r, c: ROOT_CHANGE(r, u)),
    jvp=_tangent,
    batch=_batch_root_change,
    cost=_cost,
)

"""The Walsh-Hadamard transform of the last axis, of m 2^k elements with m = 1, 12, 20 or 28.

The matrix is the Kronecker product of a Hadamard matrix of order m with Sylvester's of order 2^k. Orders 12, 20 and 28
are Paley's and Williamson's constructions, of which there are several: these are the ones that MLX has.

    R. E. A. C. Paley, "On orthogonal matrices", 1933; J. Williamson, "Hadamard's determinant theorem and the sum of
    four squares", 1944.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive
from mlx.ir.sizes import fixed
from mlx.primitives.shape import Dims, batch_to_front

Array = Any

_LARGEST_FACTOR = 64  # order of the matrices that a transform is composed of; measured: 32 to 128 take as long
_FLOPS_A_NANOSECOND = 30.0


# ---------------------------------------------------------------------- the matrices


def _paley(prime: int) -> Array:
    """Paley's second construction: symmetric, of order 2 (prime + 1), for a prime of the form 4 n + 1."""
    squares = {i * i % prime for i in range(1, prime)}
    conference = np.ones((prime + 1, prime + 1))
    for i in range(prime):
        for j in range(prime):
            conference[i + 1, j + 1] = 1 if (i - j) % prime in squares else -1
    np.fill_diagonal(conference, 0)
    # An element of the diagonal becomes the second of these matrices, another one itself times the first.
    return np.kron(conference, [[1, 1], [1, -1]]) + np.kron(np.eye(prime + 1), [[1, -1], [-1, -1]])


def _circulant(order: int, positive: Sequence[int]) -> Array:
    """A symmetric circulant matrix: 1 where row and column differ by one of these (modulo the order), otherwise -1."""
    difference = np.subtract.outer(np.arange(order), np.arange(order)) % order
    return np.where(np.isin(np.minimum(difference, order - difference), positive), 1.0, -1.0)


def _williamson(order: int, *positive: Sequence[int]) -> Array:
    """Williamson's construction from four symmetric circulant matrices."""
    a, b, c, d = (_circulant(order, differences) for differences in positive)
    return np.block([[a, b, -c, -d], [-b, a, d, -c], [c, -d, a, -b], [d, c, b, a]])


BASES = (28, 20, 12, 1)


@cache
def _base(order: int) -> Array:
    if order == 12:
        return _paley(5)
    if order == 20:
        return _williamson(5, [0], [0], [2], [1])
    if order == 28:
        return _williamson(7, [0], [0, 1], [1, 3], [1, 2])
    return np.ones((1, 1))


def base_order(size: int) -> int | None:
    """m where the size is m 2^k; None where there is no such m."""
    for order in BASES:
        quotient, rest = divmod(size, order)
        if rest == 0 and quotient > 0 and quotient & (quotient - 1) == 0:
            return order
    return None


@cache
def factors(size: int) -> tuple[Array, ...]:
    """Matrices whose Kronecker product is the Hadamard matrix of this order, all small and about as large."""
    order = base_order(size)
    assert order is not None
    doublings = (size // order).bit_length() - 1
    per_factor = _LARGEST_FACTOR.bit_length() - 1
    with_base = min(doublings, max(0, (_LARGEST_FACTOR // order).bit_length() - 1)) if order > 1 else 0
    rest = doublings - with_base
    count = -(-rest // per_factor)
    parts = [rest // count + (i < rest % count) for i in range(count)]
    leading = [_doubled(_base(order), with_base)] if order > 1 or not parts else []
    matrices = [*leading, *(_doubled(_base(1), part) for part in parts)]
    for matrix in matrices:
        matrix.flags.writeable = False
    return tuple(matrices)


def _doubled(matrix: Array, times: int) -> Array:
    for _ in range(times):
        matrix = np.kron(matrix, [[1.0, 1.0], [1.0, -1.0]])
    return np.array(matrix)


# ---------------------------------------------------------------------- the primitive


def _oriented(size: int, dtype: Any, transposed: bool) -> list[Array]:
    return [(matrix.T if transposed else matrix).astype(dtype) for matrix in factors(size)]


def _hadamard(x: Array, transposed: bool) -> Array:
    """Factor by factor: each multiplies an axis of the elements, arranged in as many axes as there are factors."""
    shape, after = x.shape, x.shape[-1]
    for matrix in _oriented(shape[-1], x.dtype, transposed):
        order = len(matrix)
        after //= order
        x = x.reshape(-1, order) @ matrix.T if after == 1 else np.matmul(matrix, x.reshape(-1, order, after))
    return x.reshape(shape)


def _hadamard_xla(xla: Any, x: Array, transposed: bool) -> Array:
    """Each product takes the first axis of the elements and puts its own last, so that all come back in order."""
    lax, shape = xla.lax, x.shape
    matrices = _oriented(shape[-1], x.dtype, transposed)
    x = x.reshape(x.size // shape[-1], *(len(matrix) for matrix in matrices))
    for matrix in matrices:
        dimensions = (((1,), (1,)), ((), ()))
        x = lax.dot_general(x, matrix, dimensions, precision=lax.Precision.HIGHEST)
    return x.reshape(shape)


def _hadamard_shape(x: Node, transposed: bool) -> tuple[Shape, Dtype]:
    size = fixed(x.shape[-1])
    if base_order(size) is None:
        raise ValueError(
            f"[hadamard_transform] Only supports n = m*2^k where m in {BASES[::-1]} along the last axis, got {size}. "
            f"Pad the array with zeros (mx.pad)."
        )
    return x.shape, x.dtype


def _batch_hadamard(inputs: Sequence[Node], dims: Dims, transposed: bool) -> tuple[Node, int]:
    return HADAMARD(batch_to_front(inputs[0], dims[0], 1), transposed), 0


def _cost(node: Node) -> float:
    if not node.inputs:
        return 0.0
    width = sum(len(matrix) for matrix in factors(node.shape[-1]))
    return 2.0 * node.size * width / _FLOPS_A_NANOSECOND


# The product of the Hadamard matrix, or its transpose, with the last axis; not scaled.
HADAMARD = Primitive(
    "hadamard",
    arity=1,
    shape=_hadamard_shape,
    kernel=_hadamard,
    lower=_hadamard_xla,
    vjp=(lambda g, out, x, transposed: HADAMARD(g, not transposed),),
    linear=(0,),
    batch=_batch_hadamard,
    cost=_cost,
)

"""Linear systems and inverses of matrices (`mlx.core.linalg`)."""

from __future__ import annotations

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import float32, float64, promote_types
from mlx.ir.node import Node
from mlx.ir.primitive import broadcast_shape
from mlx.ops.arguments import StreamOrDevice, array_node, check_stream, flag
from mlx.ops.matrices import matrices, real_matrices, square
from mlx.primitives.linalg import (
    INVERSE,
    SOLVE,
    SOLVE_TRIANGULAR,
    cholesky_inverse,
    matrix_transpose,
    triangular_inverse,
)
from mlx.primitives.shape import broadcast, reshape
from mlx.primitives.structure import cast
from mlx.primitives.svd import PSEUDO_INVERSE

__all__ = ["cholesky_inv", "inv", "pinv", "solve", "solve_triangular", "tri_inv"]


def inv(a: array, *, stream: StreamOrDevice = None) -> array:
    """The inverse of square matrices.

    Args:
        a: matrices of shape (..., n, n), float32 or float64.

    Returns:
        The inverses, of the shape of `a`. A singular matrix gets NaN, where MLX raises RuntimeError: what is
        computed together with it stays valid.

    Raises:
        ValueError: `a` has fewer than two axes, is not square, or has another dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.linalg.inv(mx.array([[2.0, 0.0], [0.0, 4.0]]))
        array([[0.5, 0],
               [0, 0.25]], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "linalg.inv")
    return wrap(INVERSE(square(real_matrices(a, "inv"), "inv")))


def pinv(a: array, *, stream: StreamOrDevice = None) -> array:
    """The pseudo-inverse of Moore and Penrose, found by singular values.

    Args:
        a: matrices of shape (..., m, n), float32 or float64.

    Returns:
        The pseudo-inverses, of shape (..., n, m). Singular values count as zero up to 10 max(m, n) eps times the
        largest of their matrix. A matrix with elements that are not finite gets NaN, where MLX raises RuntimeError.

    Raises:
        ValueError: `a` has fewer than two axes or another dtype.

    Note:
        Derivatives are those among matrices of the same rank: where the rank is not full it changes with almost every
        step, and the pseudo-inverse jumps.

    Example:
        >>> import mlx.core as mx
        >>> mx.linalg.pinv(mx.array([[2.0, 0.0], [0.0, 0.0], [0.0, 4.0]]))
        array([[0.5, 0, 0],
               [0, 0, 0.25]], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "linalg.pinv")
    return wrap(PSEUDO_INVERSE(real_matrices(a, "pinv")))


def tri_inv(a: array, upper: bool = False, *, stream: StreamOrDevice = None) -> array:
    """The inverse of triangular matrices.

    Args:
        a: matrices of shape (..., n, n), float32 or float64. Only the one triangle is read.
        upper: whether they are upper triangular.

    Returns:
        The inverses, of the shape of `a` and triangular as well; NaN in the triangle of a singular matrix.

    Raises:
        ValueError: `a` has fewer than two axes, is not square, or has another dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.linalg.tri_inv(mx.array([[2.0, 0.0], [1.0, 1.0]]))
        array([[0.5, 0],
               [-0.5, 1]], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "linalg.tri_inv")
    return wrap(triangular_inverse(square(real_matrices(a, "tri_inv"), "tri_inv"), flag(upper, "tri_inv", "upper")))


def cholesky_inv(a: array, upper: bool = False, *, stream: StreamOrDevice = None) -> array:
    """The inverse of symmetric positive definite matrices, given their Cholesky factor.

    Args:
        a: triangular factors of shape (..., n, n), float32 or float64, as `cholesky` returns them. Only the one
            triangle is read.
        upper: whether they are upper triangular.

    Returns:
        The inverse of L L^T (of U^T U for `upper`), of the shape of `a`; NaN for a singular factor.

    Raises:
        ValueError: `a` has fewer than two axes, is not square, or has another dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.linalg.cholesky_inv(mx.linalg.cholesky(mx.array([[4.0, 0.0], [0.0, 0.25]])))
        array([[0.25, 0],
               [0, 4]], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "linalg.cholesky_inv")
    x = square(real_matrices(a, "cholesky_inv"), "cholesky_inv")
    return wrap(cholesky_inverse(matrix_transpose(x) if flag(upper, "cholesky_inv", "upper") else x))


def _system(a: array, b: array, function: str) -> tuple[Node, Node]:
    """Matrices a and right-hand sides b (at least matrices of one column) of one dtype and the same batches."""
    x = square(matrices(a, function), function)
    y = array_node(b, f"linalg.{function}", "b")
    if y.ndim == 0:
        raise ValueError(f"[linalg.{function}] b must have at least one axis, got a scalar.")
    dtype = promote_types(x.dtype, y.dtype)
    if dtype is not float32 and dtype is not float64:
        raise ValueError(
            f"[linalg.{function}] a and b must promote to float32 or float64, got {x.dtype.name} and {y.dtype.name}. "
            f"Cast them with .astype(mx.float32)."
        )
    if y.ndim == 1:
        y = reshape(y, (*y.shape, 1))
    if x.shape[-1] != y.shape[-2]:
        raise ValueError(
            f"[linalg.{function}] a of shape {x.shape} and b of shape {b.shape} do not fit: b must be a vector of "
            f"{x.shape[-1]} elements or matrices of as many rows."
        )
    lead = broadcast_shape(x.shape[:-2], y.shape[:-2])
    x, y = (broadcast(cast(z, dtype), (*lead, *z.shape[-2:])) for z in (x, y))
    return x, y


def _solution(x: Node, b: array) -> array:
    """The solutions `x` as vectors where `b` is one."""
    return wrap(x if b.ndim > 1 else reshape(x, x.shape[:-1]))


def solve(a: array, b: array, *, stream: StreamOrDevice = None) -> array:
    """The solution x of the systems of linear equations a x = b.

    Args:
        a: square matrices of shape (..., n, n).
        b: right-hand sides of shape (..., n, k), or one of shape (n,). Leading axes broadcast with those of `a`;
            both are cast to the dtype that they promote to, float32 or float64.

    Returns:
        The solutions, of shape (..., n, k), or (..., n) where `b` is a vector. A singular matrix gets NaN, where MLX
        raises RuntimeError: what is computed together with it stays valid.

    Raises:
        ValueError: `a` is not square, the shapes do not fit, or the dtypes promote to another dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.linalg.solve(mx.array([[2.0, 0.0], [0.0, 4.0]]), mx.array([1.0, 1.0]))
        array([0.5, 0.25], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "linalg.solve")
    return _solution(SOLVE(*_system(a, b, "solve")), b)


def solve_triangular(a: array, b: array, *, upper: bool = False, stream: StreamOrDevice = None) -> array:
    """The solution x of the systems of linear equations a x = b with triangular a, by substitution.

    Args:
        a: matrices of shape (..., n, n), of which only the one triangle is read.
        b: right-hand sides of shape (..., n, k), or one of shape (n,). Leading axes broadcast with those of `a`;
            both are cast to the dtype that they promote to, float32 or float64.
        upper: whether `a` is upper triangular.

    Returns:
        The solutions, of shape (..., n, k), or (..., n) where `b` is a vector; NaN where a diagonal has a zero.

    Raises:
        ValueError: `a` is not square, the shapes do not fit, or the dtypes promote to another dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.linalg.solve_triangular(mx.array([[2.0, 0.0], [1.0, 1.0]]), mx.array([1.0, 1.0]))
        array([0.5, 0.5], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "linalg.solve_triangular")
    return _solution(SOLVE_TRIANGULAR(*_system(a, b, "solve_triangular"), flag(upper, "solve_triangular", "upper")), b)

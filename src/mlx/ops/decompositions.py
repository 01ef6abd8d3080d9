"""Factorisations of matrices: QR, Cholesky, LU and singular values (`mlx.core.linalg`). Eigenvalues live in `eigen`."""

from __future__ import annotations

from typing import Literal, overload

from mlx.arrays.array import array, wrap
from mlx.ops.arguments import StreamOrDevice, check_stream, flag
from mlx.ops.matrices import inexact_matrices, real_matrices, square
from mlx.primitives.factorisations import CHOLESKY, LU, QR, unpacked
from mlx.primitives.joining import CONCATENATE
from mlx.primitives.linalg import matrix_transpose
from mlx.primitives.matmul import matmul
from mlx.primitives.slicing import slice_axis
from mlx.primitives.structure import PROJECT
from mlx.primitives.svd import SINGULAR_VALUES, SVD

__all__ = ["cholesky", "lu", "lu_factor", "qr", "svd"]


def qr(a: array, *, stream: StreamOrDevice = None) -> tuple[array, array]:
    """The QR factorisation: a = Q R with orthonormal columns in Q and an upper triangular R.

    Args:
        a: matrices of shape (..., m, n), float32 or float64.

    Returns:
        Q of shape (..., m, k) and R of shape (..., k, n), where k = min(m, n). The signs are those of LAPACK.

    Raises:
        ValueError: `a` has fewer than two axes or another dtype.

    Note:
        Derivatives exist where the first k columns are linearly independent; elsewhere they are NaN.

    Example:
        >>> import mlx.core as mx
        >>> q, r = mx.linalg.qr(mx.array([[3.0, 1.0], [4.0, 3.0]]))
        >>> mx.allclose(r, mx.array([[-5.0, -3.0], [0.0, 1.0]])).item()
        True
    """
    if stream is not None:
        check_stream(stream, "linalg.qr")
    x = real_matrices(a, "qr")
    rows, columns = x.shape[-2:]
    if rows >= columns:
        factors = QR(x)
        return wrap(PROJECT(factors, 0)), wrap(PROJECT(factors, 1))
    # Reflections are made from the first columns alone; the others are only reflected.
    factors = QR(slice_axis(x, x.ndim - 1, 0, rows))
    q = PROJECT(factors, 0)
    rest = slice_axis(x, x.ndim - 1, rows, columns - rows)
    r = CONCATENATE((PROJECT(factors, 1), matmul(matrix_transpose(q), rest)), x.ndim - 1)
    return wrap(q), wrap(r)


def cholesky(a: array, upper: bool = False, *, stream: StreamOrDevice = None) -> array:
    """The Cholesky factor of symmetric positive definite matrices: a = L L^T, or U^T U.

    Args:
        a: matrices of shape (..., n, n), float32 or float64. Only the lower triangle is read (the upper one for
            `upper`), so the gradient is zero in the other.
        upper: return the upper triangular U in place of the lower triangular L.

    Returns:
        The triangular factors, of the shape of `a`. Matrices that are singular up to rounding get a factor with zeros
        on its diagonal, which has no derivative; indefinite ones get NaN.

    Raises:
        ValueError: `a` has fewer than two axes, is not square, or has another dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.linalg.cholesky(mx.array([[4.0, 2.0], [2.0, 10.0]]))
        array([[2, 0],
               [1, 3]], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "linalg.cholesky")
    x = square(real_matrices(a, "cholesky"), "cholesky")
    reads_upper = flag(upper, "cholesky", "upper")
    return wrap(matrix_transpose(CHOLESKY(matrix_transpose(x))) if reads_upper else CHOLESKY(x))


def lu(a: array, *, stream: StreamOrDevice = None) -> tuple[array, array, array]:
    """The LU factorisation by Gaussian elimination with exchanges of rows: a = L[P, :] U.

    For batches of matrices that is mx.take_along_axis(L, P[..., None], axis=-2) @ U.

    Args:
        a: matrices of shape (..., m, n), float32 or float64.

    Returns:
        The rows P of shape (..., m), uint32; L of shape (..., m, k), lower triangular with ones on its diagonal; and
        U of shape (..., k, n), upper triangular, where k = min(m, n). A matrix with elements that are not finite gets
        NaN.

    Raises:
        ValueError: `a` has fewer than two axes or another dtype.

    Note:
        L and U have derivatives while the same rows are exchanged, and where the first k pivots on the diagonal of U
        are not zero; elsewhere they are NaN. P has none.

    Example:
        >>> import mlx.core as mx
        >>> rows, lower, upper = mx.linalg.lu(mx.array([[2.0, 1.0], [4.0, 6.0]]))
        >>> rows
        array([1, 0], dtype=uint32)
        >>> lower[rows] @ upper
        array([[2, 1],
               [4, 6]], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "linalg.lu")
    both = LU(real_matrices(a, "lu"))
    lower, upper = unpacked(PROJECT(both, 0))
    return wrap(PROJECT(both, 2)), wrap(lower), wrap(upper)


def lu_factor(a: array, *, stream: StreamOrDevice = None) -> tuple[array, array]:
    """The LU factorisation in a compact form.

    Args:
        a: matrices of shape (..., m, n), float32 or float64.

    Returns:
        L and U in one array of the shape of `a`, U on and above the diagonal and L, whose diagonal is all ones, below;
        and the pivots of shape (..., min(m, n)), uint32: step i exchanged row i with row pivots[i].

    Raises:
        ValueError: `a` has fewer than two axes or another dtype.

    Note:
        Derivatives are those of `lu`.

    Example:
        >>> import mlx.core as mx
        >>> factors, pivots = mx.linalg.lu_factor(mx.array([[2.0, 1.0], [4.0, 6.0]]))
        >>> factors
        array([[4, 6],
               [0.5, -2]], dtype=float32)
        >>> pivots
        array([1, 1], dtype=uint32)
    """
    if stream is not None:
        check_stream(stream, "linalg.lu_factor")
    both = LU(real_matrices(a, "lu_factor"))
    return wrap(PROJECT(both, 0)), wrap(PROJECT(both, 1))


@overload
def svd(a: array, compute_uv: Literal[True] = True, *, stream: StreamOrDevice = None) -> tuple[array, array, array]: ...
@overload
def svd(a: array, compute_uv: Literal[False], *, stream: StreamOrDevice = None) -> array: ...
@overload
def svd(a: array, compute_uv: bool, *, stream: StreamOrDevice = None) -> tuple[array, array, array] | array: ...
def svd(a: array, compute_uv: bool = True, *, stream: StreamOrDevice = None) -> tuple[array, array, array] | array:
    """The singular value decomposition: a = U[:, :k] diag(S) Vt[:k] with unitary U and Vt, where k = min(m, n).

    Args:
        a: matrices of shape (..., m, n), float32, float64 or complex64.
        compute_uv: return the vectors, too; without them it is cheaper.

    Returns:
        U of shape (..., m, m), S of shape (..., k) in descending order and real, and Vt of shape (..., n, n); only S
        with `compute_uv=False`. A matrix with elements that are not finite gets NaN.

    Raises:
        ValueError: `a` has fewer than two axes or another dtype.

    Note:
        Gradients are finite everywhere. Vectors are determined up to signs (phases where they are complex), and the
        rows or columns beyond the k-th as a basis of what is orthogonal to the others: functions of them must not
        depend on more. Where singular values coincide (up to rounding) or are zero, only the spaces of their vectors
        are determined, and what turns vectors within these passes no derivative. There gradients are right for
        functions of the spaces, and of S for ones that do not tell equal values apart, such as the nuclear norm (at
        zero: a subgradient); not for ones that weigh the vectors by their singular values, nor at second order.

    Example:
        >>> import mlx.core as mx
        >>> u, s, vt = mx.linalg.svd(mx.array([[3.0, 0.0], [4.0, 5.0]]))
        >>> mx.allclose(s * s, mx.array([45.0, 5.0])).item()
        True
    """
    if stream is not None:
        check_stream(stream, "linalg.svd")
    x = inexact_matrices(a, "svd")
    if not flag(compute_uv, "svd", "compute_uv"):
        return wrap(SINGULAR_VALUES(x))
    factors = SVD(x)
    return wrap(PROJECT(factors, 0)), wrap(PROJECT(factors, 1)), wrap(PROJECT(factors, 2))

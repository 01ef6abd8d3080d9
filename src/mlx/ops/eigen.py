"""Eigenvalues and eigenvectors of matrices (`mlx.core.linalg`)."""

from __future__ import annotations

from mlx.arrays.array import array, wrap
from mlx.ir.node import Node
from mlx.ops.arguments import StreamOrDevice, check_stream, word
from mlx.ops.matrices import inexact_matrices, square
from mlx.primitives.eigen import EIG, EIGH, EIGVALSH
from mlx.primitives.linalg import adjoint
from mlx.primitives.structure import PROJECT

__all__ = ["eig", "eigh", "eigvals", "eigvalsh"]


def _hermitian(a: array, triangle: str, function: str) -> Node:
    """Matrices whose lower triangle is the one to read."""
    x = square(inexact_matrices(a, function), function)
    if word(triangle, f"linalg.{function}", "UPLO") not in ("L", "U"):
        raise ValueError(f"[linalg.{function}] UPLO must be 'L' for the lower triangle or 'U', got {triangle!r}.")
    return x if triangle == "L" else adjoint(x)


def eigh(a: array, UPLO: str = "L", *, stream: StreamOrDevice = None) -> tuple[array, array]:
    """Eigenvalues and eigenvectors of real symmetric or complex Hermitian matrices.

    Args:
        a: matrices of shape (..., n, n), float32, float64 or complex64. Only one triangle is read, so the gradient is
            zero in the other.
        UPLO: the triangle that is read: the lower one with "L", the upper one with "U".

    Returns:
        The eigenvalues in ascending order, real and of shape (..., n), and the orthonormal eigenvectors, which are the
        columns of an array of the shape of `a`. A matrix with elements that are not finite gets NaN.

    Raises:
        ValueError: `a` has fewer than two axes, is not square, or has another dtype; `UPLO` is something else.

    Note:
        Eigenvectors are determined up to signs, or phases where they are complex: functions of them must not depend on
        phases. Where eigenvalues coincide (up to rounding) only the space of their vectors is determined, and what
        turns vectors within it passes no derivative. So gradients are finite everywhere. There they are right for
        functions of the space, such as the projection on it, and for symmetric functions of the eigenvalues, such as
        their sum; not for ones that weigh the vectors by their eigenvalues, nor at second order.

    Example:
        >>> import mlx.core as mx
        >>> w, v = mx.linalg.eigh(mx.array([[2.0, 1.0], [1.0, 2.0]]))
        >>> mx.allclose(w, mx.array([1.0, 3.0])).item()
        True
        >>> mx.allclose((v * w) @ v.T, mx.array([[2.0, 1.0], [1.0, 2.0]]), atol=1e-6).item()
        True
    """
    if stream is not None:
        check_stream(stream, "linalg.eigh")
    both = EIGH(_hermitian(a, UPLO, "eigh"))
    return wrap(PROJECT(both, 0)), wrap(PROJECT(both, 1))


def eigvalsh(a: array, UPLO: str = "L", *, stream: StreamOrDevice = None) -> array:
    """Eigenvalues of real symmetric or complex Hermitian matrices.

    Args:
        a: matrices of shape (..., n, n), float32, float64 or complex64. Only one triangle is read, so the gradient is
            zero in the other.
        UPLO: the triangle that is read: the lower one with "L", the upper one with "U".

    Returns:
        The eigenvalues in ascending order, real and of shape (..., n). A matrix with elements that are not finite gets
        NaN.

    Raises:
        ValueError: `a` has fewer than two axes, is not square, or has another dtype; `UPLO` is something else.

    Note:
        Gradients are finite everywhere. Where eigenvalues coincide they are right for symmetric functions of these,
        such as their sum; second derivatives are not.

    Example:
        >>> import mlx.core as mx
        >>> w = mx.linalg.eigvalsh(mx.array([[2.0, 1.0], [1.0, 2.0]]))
        >>> mx.allclose(w, mx.array([1.0, 3.0])).item()
        True
    """
    if stream is not None:
        check_stream(stream, "linalg.eigvalsh")
    return wrap(EIGVALSH(_hermitian(a, UPLO, "eigvalsh")))


def eig(a: array, *, stream: StreamOrDevice = None) -> tuple[array, array]:
    """Eigenvalues and eigenvectors of square matrices.

    Args:
        a: matrices of shape (..., n, n), float32, float64 or complex64.

    Returns:
        The eigenvalues, of shape (..., n) and in no particular order, and the eigenvectors, which are the columns of an
        array of the shape of `a`, of length 1 and with a real largest component. Both are complex64, also where all
        eigenvalues are real, and also of float64. A matrix with elements that are not finite gets NaN.

    Raises:
        ValueError: `a` has fewer than two axes, is not square, or has another dtype.
        RuntimeError: at evaluation, on an accelerator other than a GPU.

    Note:
        Derivatives are computed in complex64, with any dtype of `a`. They exist where the eigenvectors are linearly
        independent: those of a defective matrix, such as [[0, 1], [0, 0]], are infinite or NaN. Where eigenvalues
        coincide (up to rounding) and still have vectors enough, the same holds as for `eigh`.

    Example:
        >>> import mlx.core as mx
        >>> w, v = mx.linalg.eig(mx.array([[0.0, -1.0], [1.0, 0.0]]))
        >>> mx.allclose(mx.abs(w.imag), mx.array([1.0, 1.0])).item()
        True
    """
    if stream is not None:
        check_stream(stream, "linalg.eig")
    both = EIG(square(inexact_matrices(a, "eig"), "eig"))
    return wrap(PROJECT(both, 0)), wrap(PROJECT(both, 1))


def eigvals(a: array, *, stream: StreamOrDevice = None) -> array:
    """Eigenvalues of square matrices.

    Args:
        a: matrices of shape (..., n, n), float32, float64 or complex64.

    Returns:
        The eigenvalues, complex64 and of shape (..., n), in the order of those of `eig`. A matrix with elements that
        are not finite gets NaN.

    Raises:
        ValueError: `a` has fewer than two axes, is not square, or has another dtype.
        RuntimeError: at evaluation, on an accelerator other than a GPU.

    Note:
        Derivatives are computed in complex64. They exist where the eigenvectors are linearly independent, and where
        eigenvalues coincide for symmetric functions of these, such as their sum.

    Example:
        >>> import mlx.core as mx
        >>> w = mx.linalg.eigvals(mx.array([[0.0, -1.0], [1.0, 0.0]]))
        >>> mx.allclose(mx.abs(w.imag), mx.array([1.0, 1.0])).item()
        True
    """
    if stream is not None:
        check_stream(stream, "linalg.eigvals")
    # An algorithm for values alone could put them in another order than the vectors that their derivatives need.
    return wrap(PROJECT(EIG(square(inexact_matrices(a, "eigvals"), "eigvals")), 0))

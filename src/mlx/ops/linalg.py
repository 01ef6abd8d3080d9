"""Linear algebra: factorisations, linear systems, inverses, determinants and the cross product (`mlx.core.linalg`).

Norms live in `norms`.
"""

from __future__ import annotations

from typing import Literal, overload

from mlx.arrays.array import array, wrap
from mlx.arrays.operands import operand_pair
from mlx.ir.dtypes import complex64, float32, float64, promote_types
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import broadcast_shape, scalar_node
from mlx.ir.sizes import fixed
from mlx.ops.arguments import StreamOrDevice, array_node, at_least_float, checked_axis
from mlx.primitives.arithmetic import ABS, SIGN
from mlx.primitives.exponential import LOG
from mlx.primitives.joining import CONCATENATE
from mlx.primitives.linalg import (
    CHOLESKY,
    DETERMINANT,
    INVERSE,
    LOG_DETERMINANT,
    QR,
    SOLVE,
    SOLVE_TRIANGULAR,
    cholesky_inverse,
    matrix_transpose,
    triangular_inverse,
)
from mlx.primitives.matmul import matmul
from mlx.primitives.shape import SUM, broadcast, reshape
from mlx.primitives.slicing import slice_axis, zeros
from mlx.primitives.structure import PROJECT, cast
from mlx.primitives.svd import SINGULAR_VALUES, SVD

__all__ = [
    "cholesky",
    "cholesky_inv",
    "cross",
    "det",
    "inv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "tri_inv",
]

# ---------------------------------------------------------------------- checking arguments


def _matrices(a: array, function: str, argument: str = "a") -> Node:
    """The node of an array of matrices; ValueError for fewer than two axes."""
    x = array_node(a, f"linalg.{function}", argument)
    if x.ndim < 2:
        raise ValueError(
            f"[linalg.{function}] {argument} must have at least two axes, which are matrices, got shape {x.shape}."
        )
    return x


def _real_matrices(a: array, function: str) -> Node:
    """The same; ValueError for another dtype than float32 and float64."""
    x = _matrices(a, function)
    if x.dtype is not float32 and x.dtype is not float64:
        raise ValueError(
            f"[linalg.{function}] a must have type float32 or float64, got {x.dtype.name}. "
            f"Cast it with .astype(mx.float32)."
        )
    return x


def _square(x: Node, function: str, argument: str = "a") -> Node:
    """`x`; ValueError where its matrices are not square."""
    if x.shape[-1] != x.shape[-2]:
        raise ValueError(f"[linalg.{function}] {argument} must be square matrices, got shape {x.shape}.")
    return x


# ---------------------------------------------------------------------- factorisations


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
    x = _real_matrices(a, "qr")
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
    x = _square(_real_matrices(a, "cholesky"), "cholesky")
    return wrap(matrix_transpose(CHOLESKY(matrix_transpose(x))) if upper else CHOLESKY(x))


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
        S has derivatives where singular values differ, and also where some coincide or are zero, for functions that
        do not tell these apart, such as the nuclear norm (at zero: a subgradient). U and Vt have derivatives where the
        singular values differ and are not zero, save that the rows or columns beyond the k-th are only determined as
        a basis of what is orthogonal to the others: functions have to depend on no more than that space (and for
        complex matrices on no phases). Where singular values coincide, a function that depends on their vectors gets
        infinite or undefined derivatives; one whose cotangent is exactly zero there gets zero.

    Example:
        >>> import mlx.core as mx
        >>> u, s, vt = mx.linalg.svd(mx.array([[3.0, 0.0], [4.0, 5.0]]))
        >>> mx.allclose(s * s, mx.array([45.0, 5.0])).item()
        True
    """
    x = _matrices(a, "svd")
    if x.dtype not in (float32, float64, complex64):
        raise ValueError(
            f"[linalg.svd] a must have type float32, float64 or complex64, got {x.dtype.name}. "
            f"Cast it with .astype(mx.float32)."
        )
    if not compute_uv:
        return wrap(SINGULAR_VALUES(x))
    factors = SVD(x)
    return wrap(PROJECT(factors, 0)), wrap(PROJECT(factors, 1)), wrap(PROJECT(factors, 2))


# ---------------------------------------------------------------------- linear systems and inverses


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
    return wrap(INVERSE(_square(_real_matrices(a, "inv"), "inv")))


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
    return wrap(triangular_inverse(_square(_real_matrices(a, "tri_inv"), "tri_inv"), bool(upper)))


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
    x = _square(_real_matrices(a, "cholesky_inv"), "cholesky_inv")
    return wrap(cholesky_inverse(matrix_transpose(x) if upper else x))


def _system(a: array, b: array, function: str) -> tuple[Node, Node]:
    """Matrices a and right-hand sides b (at least matrices of one column) of one dtype and the same batches."""
    x = _square(_matrices(a, function), function)
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
    return _solution(SOLVE_TRIANGULAR(*_system(a, b, "solve_triangular"), bool(upper)), b)


# ---------------------------------------------------------------------- determinants

CLOSED_FORM = 3  # the order up to which a determinant is a short polynomial, exact where that is


def _determined(a: array, function: str) -> Node:
    """The node of square matrices in float32 or float64."""
    x = _square(_matrices(a, function), function)
    if x.dtype.is_complex:
        raise ValueError(f"[linalg.{function}] Complex matrices are not supported, got {x.dtype.name}.")
    return cast(x, float32) if x.dtype.is_half else at_least_float(x)


def _element(x: Node, row: int, column: int) -> Node:
    """One element of each matrix."""
    chosen = slice_axis(slice_axis(x, x.ndim - 2, row, 1), x.ndim - 1, column, 1)
    return reshape(chosen, x.shape[:-2])


def _polynomial(x: Node) -> Node:
    """Determinants of matrices of order 3 at most, as polynomials in their elements."""
    order = x.shape[-1]
    if order == 0:
        return broadcast(scalar_node(1, x.dtype), x.shape[:-2])
    if order == 1:
        return _element(x, 0, 0)
    if order == 2:
        return _element(x, 0, 0) * _element(x, 1, 1) - _element(x, 0, 1) * _element(x, 1, 0)
    first, second, third = (slice_axis(x, x.ndim - 2, row, 1) for row in range(3))
    return SUM(first * _cross(second, third, x.ndim - 1, x.ndim - 1), (x.ndim - 2, x.ndim - 1), False)


def det(a: array, *, stream: StreamOrDevice = None) -> array:
    """The determinant of square matrices.

    Args:
        a: matrices of shape (..., n, n). Integers and booleans are taken as float32; half precision is computed in it.

    Returns:
        The determinants, of shape (...).

    Raises:
        ValueError: `a` has fewer than two axes, is not square, or is complex.

    Example:
        >>> import mlx.core as mx
        >>> mx.linalg.det(mx.array([[1, 2], [3, 4]]))
        array(-2, dtype=float32)
    """
    x = _determined(a, "det")
    determinant = _polynomial(x) if x.shape[-1] <= CLOSED_FORM else DETERMINANT(x)
    return wrap(cast(determinant, a.dtype) if a.dtype.is_half else determinant)


def slogdet(a: array, *, stream: StreamOrDevice = None) -> tuple[array, array]:
    """The sign of the determinant of square matrices and the natural logarithm of its modulus.

    Args:
        a: matrices of shape (..., n, n). Integers and booleans are taken as float32; half precision is computed in it.

    Returns:
        The signs (-1, 0 or 1) and the logarithms (-inf where the matrix is singular), both of shape (...).

    Raises:
        ValueError: `a` has fewer than two axes, is not square, or is complex.

    Example:
        >>> import mlx.core as mx
        >>> sign, logarithm = mx.linalg.slogdet(mx.array([[0.0, 1.0], [1.0, 0.0]]))
        >>> sign.item(), logarithm.item()
        (-1.0, 0.0)
    """
    x = _determined(a, "slogdet")
    if x.shape[-1] <= CLOSED_FORM:
        determinant = _polynomial(x)
        sign, logarithm = SIGN(determinant), LOG(ABS(determinant))
    else:
        both = LOG_DETERMINANT(x)
        sign, logarithm = PROJECT(both, 0), PROJECT(both, 1)
    if a.dtype.is_half:
        sign, logarithm = cast(sign, a.dtype), cast(logarithm, a.dtype)
    return wrap(sign), wrap(logarithm)


# ---------------------------------------------------------------------- the cross product


def _components(x: Node, axis: int) -> list[Node]:
    return [slice_axis(x, axis, i, 1) for i in range(fixed(x.shape[axis]))]


def _minor(a: list[Node], b: list[Node], i: int, j: int) -> Node | None:
    """a_i b_j - a_j b_i, where components that are not there count as zero; None where all is."""
    plus = a[i] * b[j] if i < len(a) and j < len(b) else None
    minus = a[j] * b[i] if j < len(a) and i < len(b) else None
    if minus is None:
        return plus
    return 0 - minus if plus is None else plus - minus


def _cross(x: Node, y: Node, x_axis: int, y_axis: int) -> Node:
    """The cross product of vectors of 2 or 3 components along an axis of each."""
    a, b = _components(x, x_axis), _components(y, y_axis)
    last = _minor(a, b, 0, 1)
    assert last is not None
    parts = [_minor(a, b, 1, 2), _minor(a, b, 2, 0), last]
    filled = [zeros(last.shape, last.dtype) if part is None else part for part in parts]
    return CONCATENATE(filled, x_axis if x.ndim >= y.ndim else y_axis)


def _with_extent(shape: Shape, axis: int, extent: int) -> Shape:
    return (*shape[:axis], extent, *shape[axis + 1 :])


def cross(a: array, b: array, axis: int = -1, *, stream: StreamOrDevice = None) -> array:
    """The cross product of vectors of 2 or 3 components; a missing third component is zero.

    Args:
        a: vectors along `axis`.
        b: vectors along `axis`; the other axes broadcast with those of `a`.
        axis: the axis of the components, in both arrays.

    Returns:
        The products, with 3 components along `axis`.

    Raises:
        IndexError: `axis` is out of range.
        ValueError: vectors have neither 2 nor 3 components, or the other axes do not broadcast.

    Example:
        >>> import mlx.core as mx
        >>> mx.linalg.cross(mx.array([1, 0, 0]), mx.array([0, 1, 0]))
        array([0, 0, 1], dtype=int32)
    """
    array_node(a, "linalg.cross", "a")
    array_node(b, "linalg.cross", "b")
    x, y = operand_pair("linalg.cross", a, b)
    x_axis, y_axis = (checked_axis(axis, z.ndim, "linalg.cross") for z in (x, y))
    for name, extent in (("a", x.shape[x_axis]), ("b", y.shape[y_axis])):
        if extent not in (2, 3):
            raise ValueError(
                f"[linalg.cross] {name} must have 2 or 3 components along axis {axis}, got {extent} "
                f"(shape {x.shape if name == 'a' else y.shape})."
            )
    # So that the axes of the components meet: they do not where a positive axis is counted in arrays of unlike rank.
    broadcast_shape(*(_with_extent(z.shape, at, 3) for z, at in ((x, x_axis), (y, y_axis))))
    return wrap(_cross(x, y, x_axis, y_axis))

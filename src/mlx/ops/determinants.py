"""Determinants of matrices (`mlx.core.linalg`)."""

from __future__ import annotations

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import float32
from mlx.ir.node import Node
from mlx.ir.primitive import scalar_node
from mlx.ops.arguments import StreamOrDevice, at_least_float, check_stream
from mlx.ops.cross import cross_product
from mlx.ops.matrices import matrices, square
from mlx.primitives.arithmetic import ABS, SIGN
from mlx.primitives.determinants import DETERMINANT, LOG_DETERMINANT
from mlx.primitives.exponential import LOG
from mlx.primitives.shape import SUM, broadcast, reshape
from mlx.primitives.slicing import slice_axis
from mlx.primitives.structure import PROJECT, cast

__all__ = ["det", "slogdet"]

CLOSED_FORM = 3  # the order up to which a determinant is a short polynomial, exact where that is


def _determined(a: array, function: str) -> Node:
    """The node of square matrices in float32 or float64."""
    x = square(matrices(a, function), function)
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
    return SUM(first * cross_product(second, third, x.ndim - 1, x.ndim - 1), (x.ndim - 2, x.ndim - 1), False)


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
    if stream is not None:
        check_stream(stream, "linalg.det")
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
    if stream is not None:
        check_stream(stream, "linalg.slogdet")
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

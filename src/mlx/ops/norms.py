"""Norms of vectors and matrices."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import bool_, float32
from mlx.ir.node import Node
from mlx.ir.primitive import Primitive, scalar_node
from mlx.ops.arguments import (
    StreamOrDevice,
    array_node,
    at_least_float,
    check_stream,
    checked_axes,
    checked_axis,
    flag,
    real_number,
)
from mlx.primitives.arithmetic import ABS, ADD, EQUAL, POWER, SQUARE, integer_power
from mlx.primitives.complex import IMAG, REAL
from mlx.primitives.elementwise import SELECT
from mlx.primitives.reductions import MAX, MIN, ROOT, Reduction
from mlx.primitives.shape import SUM, reduced_shape, reshape, transpose
from mlx.primitives.structure import cast
from mlx.primitives.svd import SINGULAR_VALUES

__all__ = ["norm"]

Axes = tuple[int, ...]


def norm(
    a: array,
    /,
    ord: int | float | str | None = None,
    axis: int | Sequence[int] | None = None,
    keepdims: bool = False,
    *,
    stream: StreamOrDevice = None,
) -> array:
    """Norm of vectors or matrices.

    The gradient of the 2-norm, of p-norms and of the Frobenius norm at zero is 0.

    Args:
        a: array of any dtype. Booleans and integers become float32; half precision is computed in float32.
        ord: of vectors 0 (the number of elements that are not zero), 1, 2, inf, -inf or any other number p,
            which means sum(abs(a)**p)**(1/p). Of matrices "fro" (or "f"), 1 and -1 (the largest and smallest sum of
            a column's absolute values), inf and -inf (the same of rows), 2 and -2 (the largest and smallest singular
            value), "nuc" (the sum of the singular values). None is the square root of the sum of all squares.
        axis: one axis for vectors, two for matrices (rows, columns); all by default.
        keepdims: keep reduced axes with extent 1.

    Returns:
        The norms. Of complex numbers they are float32 for `ord` None, "fro", "nuc" and the 2-norm of vectors, and
        complex64 otherwise.

    Raises:
        ValueError: `ord` is no norm of vectors or matrices, or does not fit the number of axes.
        IndexError: an axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.linalg.norm(mx.array([3.0, 4.0]))
        array(5, dtype=float32)
        >>> mx.linalg.norm(mx.array([[1.0, -2.0], [3.0, 4.0]]), ord=1)
        array(6, dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "norm")
    given = a._node if type(a) is array else array_node(a, "linalg::norm")
    x = cast(given, float32) if given.dtype.is_half else at_least_float(given)
    axes = _axes_in_order(axis, x.ndim)
    if not (ord is None or isinstance(ord, str)):
        ord = real_number(ord, "linalg::norm", "ord")
    if ord is None and (axis is None or len(axes) < 3):
        out = _euclidean(x, axes)
    elif isinstance(ord, str):
        out = _named_norm(x, ord, axes)
    elif len(axes) == 1:
        out = _vector_norm(x, ord, axes)  # type: ignore[arg-type]
    elif len(axes) == 2:
        out = _matrix_norm(x, ord, *axes)  # type: ignore[arg-type]
    else:
        raise ValueError(
            f"[linalg::norm] Received too many axes for norm: ord {ord} takes one axis or two, got {len(axes)}."
        )
    if given.dtype.is_half:
        out = cast(out, given.dtype)
    if given.dtype.is_complex and ord not in (None, "fro", "f", "nuc") and (ord != 2 or len(axes) > 1):
        out = cast(out, given.dtype)
    return wrap(
        out if flag(keepdims, "linalg::norm", "keepdims") else reshape(out, reduced_shape(x.shape, axes, False))
    )


def _axes_in_order(axis: int | Sequence[int] | None, ndim: int) -> Axes:
    """Non-negative axes in the order given, which tells rows from columns."""
    axes = checked_axes(axis, ndim, "linalg::norm")
    if len(axes) > 1 and axis is not None and not isinstance(axis, int):
        return tuple(checked_axis(one, ndim, "linalg::norm") for one in axis)
    return axes


# These keep reduced axes with extent 1.


def _euclidean(x: Node, axes: Axes) -> Node:
    squares = ADD(SQUARE(REAL(x)), SQUARE(IMAG(x))) if x.dtype.is_complex else SQUARE(x)
    return ROOT(SUM(squares, axes, True))


def _named_norm(x: Node, ord: str, axes: Axes) -> Node:
    if len(axes) != 2:
        raise ValueError(
            f"[linalg::norm] Norm '{ord}' only supported for matrices, but received {len(axes)} axis/axes."
        )
    if ord in ("fro", "f"):
        return _euclidean(x, axes)
    if ord == "nuc":
        return _of_singular_values(SUM, x, axes)
    raise ValueError(
        f"[linalg::norm] Invalid ord value '{ord}' for matrix norm: use 'fro', 'nuc', 1, -1, 2, -2, inf or -inf."
    )


def _of_singular_values(primitive: Primitive, x: Node, axes: Axes) -> Node:
    """A reduction of the singular values of the matrices in two axes."""
    others = tuple(axis for axis in range(x.ndim) if axis not in axes)
    values = SINGULAR_VALUES(transpose(x, (*others, *axes)))
    return reshape(primitive(values, (values.ndim - 1,), True), reduced_shape(x.shape, axes, True))


def _vector_norm(x: Node, ord: float, axes: Axes) -> Node:
    if ord == 2:
        return _euclidean(x, axes)
    if ord == 0:
        size = ABS(x).dtype if x.dtype.is_complex else x.dtype
        return SUM(cast(cast(x, bool_), size), axes, True)
    size = ABS(x)
    if ord == 1:
        return SUM(size, axes, True)
    if ord in (inf, -inf):
        return _extremum(MAX if ord > 0 else MIN, size, axes)
    powers = integer_power(size, int(ord)) if ord == int(ord) else POWER(size, float(ord))
    total = SUM(powers, axes, True)
    # At zero the root's derivative is infinite; the subgradient 0 is taken.
    zero = EQUAL(total, 0)
    root = POWER(SELECT(zero, 1, total), scalar_node(1.0 / ord, total.dtype))
    return SELECT(zero, 0, root)


def _matrix_norm(x: Node, ord: float, row_axis: int, column_axis: int) -> Node:
    if ord in (1, -1, inf, -inf):
        summed, compared = (row_axis, column_axis) if ord in (1, -1) else (column_axis, row_axis)
        return _extremum(MAX if ord > 0 else MIN, SUM(ABS(x), (summed,), True), (compared,))
    if ord in (2, -2):
        for axis in (row_axis, column_axis):
            _check_not_empty(x, axis)
        return _of_singular_values(MAX if ord > 0 else MIN, x, (row_axis, column_axis))
    raise ValueError(f"[linalg::norm] Invalid ord {ord} for matrix norm: use 'fro', 'nuc', 1, -1, 2, -2, inf or -inf.")


def _extremum(primitive: Reduction, x: Node, axes: Axes) -> Node:
    for axis in axes:
        _check_not_empty(x, axis)
    return primitive(x, axes, True)


def _check_not_empty(x: Node, axis: int) -> None:
    if x.shape[axis] == 0:
        raise ValueError(f"[linalg::norm] Cannot reduce over axis {axis} with size 0: it has no extremum.")

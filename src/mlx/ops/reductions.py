"""Reductions: sums, products, extrema and their positions, means and their kin."""

from __future__ import annotations

import builtins

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import Dtype, bool_, float32, float64, int8, int16, int32, uint8, uint16, uint32
from mlx.ir.node import Node, record
from mlx.ir.primitive import Primitive, scalar_node
from mlx.ir.sizes import Size
from mlx.ops.arguments import (
    Axes,
    StreamOrDevice,
    array_node,
    at_least_float,
    check_stream,
    checked_axes,
    checked_axis,
    flag,
    one_integer,
    one_or_more_integers,
)
from mlx.primitives.arithmetic import ADD, DIVIDE, MULTIPLY, SQUARE, SUBTRACT
from mlx.primitives.complex import IMAG, REAL
from mlx.primitives.reductions import ALL, ANY, ARGMAX, ARGMIN, MAX, MIN, PROD, ROOT, Reduction
from mlx.primitives.shape import SUM, reduced_shape, reshape
from mlx.primitives.softmax import LOGSUMEXP
from mlx.primitives.softmax import softmax as softmax_of
from mlx.primitives.structure import cast

__all__ = [
    "all",
    "any",
    "argmax",
    "argmin",
    "count_nonzero",
    "logsumexp",
    "max",
    "mean",
    "min",
    "minmax",
    "prod",
    "softmax",
    "std",
    "sum",
    "var",
]

_SUM_DTYPE = {bool_: int32, int8: int32, int16: int32, uint8: uint32, uint16: uint32}


def _node(a: array, function: str) -> Node:
    return a._node if type(a) is array else array_node(a, function)


def _reduce(primitive: Primitive, x: Node, axes: tuple[int, ...], keepdims: bool) -> Node:
    """Record a reduction that keeps the dtype, without asking its shape rule."""
    shape = reduced_shape(x.shape, axes, keepdims)
    return record(primitive, (x,), (axes, keepdims), shape, x.dtype)


# ---------------------------------------------------------------------- sums and products


def _summable(x: Node) -> Node:
    return x if x.dtype.is_inexact else cast(x, _SUM_DTYPE.get(x.dtype, x.dtype))


def sum(a: array, /, axis: Axes = None, keepdims: bool = False, *, stream: StreamOrDevice = None) -> array:
    """Sum over axes.

    Args:
        a: array of any dtype. Integers of less than 32 bits are summed in 32.
        axis: an axis or several, negative ones counted from the end; all by default.
        keepdims: keep reduced axes with extent 1.

    Returns:
        The sums. An empty sum is 0.

    Raises:
        IndexError: an axis is out of range.
        ValueError: an axis is given twice.

    Example:
        >>> import mlx.core as mx
        >>> mx.sum(mx.array([[1, 2], [3, 4]]), axis=0)
        array([4, 6], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "sum")
    x = _node(a, "sum")
    axes = checked_axes(axis, x.ndim, "sum")
    return wrap(_reduce(SUM, _summable(x), axes, flag(keepdims, "sum", "keepdims")))


def prod(a: array, /, axis: Axes = None, keepdims: bool = False, *, stream: StreamOrDevice = None) -> array:
    """Product over axes.

    The gradient is right where factors are zero, to any order.

    Args:
        a: array of any dtype. Integers of less than 32 bits are multiplied in 32.
        axis: an axis or several, negative ones counted from the end; all by default.
        keepdims: keep reduced axes with extent 1.

    Returns:
        The products. An empty product is 1.

    Raises:
        IndexError: an axis is out of range.
        ValueError: an axis is given twice.

    Example:
        >>> import mlx.core as mx
        >>> mx.grad(mx.prod)(mx.array([0.0, 2.0, 3.0]))
        array([6, 0, 0], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "prod")
    x = _node(a, "prod")
    axes = checked_axes(axis, x.ndim, "prod")
    return wrap(_reduce(PROD, _summable(x), axes, flag(keepdims, "prod", "keepdims")))


def count_nonzero(a: array, /, axis: Axes = None, keepdims: bool = False, *, stream: StreamOrDevice = None) -> array:
    """Count the elements that are not zero.

    Args:
        a: array of any dtype. NaN counts as not zero.
        axis: an axis or several, negative ones counted from the end; all by default.
        keepdims: keep reduced axes with extent 1.

    Returns:
        int32 array of the counts.

    Raises:
        IndexError: an axis is out of range.
        ValueError: an axis is given twice.

    Example:
        >>> import mlx.core as mx
        >>> mx.count_nonzero(mx.array([[0, 1], [2, 3]]), axis=1)
        array([1, 2], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "count_nonzero")
    x = _node(a, "count_nonzero")
    axes = checked_axes(axis, x.ndim, "count_nonzero")
    return wrap(SUM(cast(cast(x, bool_), int32), axes, flag(keepdims, "count_nonzero", "keepdims")))


# ---------------------------------------------------------------------- extrema


def _extremum(primitive: Reduction, a: array, axis: Axes, keepdims: bool, function: str) -> array:
    x = _node(a, function)
    axes = checked_axes(axis, x.ndim, function)
    for one in axes:
        if x.shape[one] == 0:
            raise ValueError(
                f"[{function}] Cannot {function} reduce over axis {one} with size 0: an empty array has no extremum."
            )
    return wrap(_reduce(primitive, x, axes, flag(keepdims, function, "keepdims")))


def max(a: array, /, axis: Axes = None, keepdims: bool = False, *, stream: StreamOrDevice = None) -> array:
    """Largest element over axes.

    Elements that tie share the gradient equally. Complex numbers are ordered by real part, then by imaginary part.

    Args:
        a: array of any dtype. A NaN among the elements is the result.
        axis: an axis or several, negative ones counted from the end; all by default.
        keepdims: keep reduced axes with extent 1.

    Returns:
        Array of the dtype of `a`.

    Raises:
        IndexError: an axis is out of range.
        ValueError: an axis is given twice, or has no elements.

    Example:
        >>> import mlx.core as mx
        >>> mx.max(mx.array([[1, 5], [7, 2]]), axis=1)
        array([5, 7], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "max")
    return _extremum(MAX, a, axis, keepdims, "max")


def min(a: array, /, axis: Axes = None, keepdims: bool = False, *, stream: StreamOrDevice = None) -> array:
    """Smallest element over axes.

    Elements that tie share the gradient equally. Complex numbers are ordered by real part, then by imaginary part.

    Args:
        a: array of any dtype. A NaN among the elements is the result.
        axis: an axis or several, negative ones counted from the end; all by default.
        keepdims: keep reduced axes with extent 1.

    Returns:
        Array of the dtype of `a`.

    Raises:
        IndexError: an axis is out of range.
        ValueError: an axis is given twice, or has no elements.

    Example:
        >>> import mlx.core as mx
        >>> mx.min(mx.array([[1, 5], [7, 2]]), axis=1)
        array([1, 2], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "min")
    return _extremum(MIN, a, axis, keepdims, "min")


def minmax(
    a: array, /, axis: Axes = None, keepdims: bool = False, *, stream: StreamOrDevice = None
) -> tuple[array, array]:
    """Smallest and largest element over axes.

    Args:
        a: array of any dtype. A NaN among the elements is both results.
        axis: an axis or several, negative ones counted from the end; all by default.
        keepdims: keep reduced axes with extent 1.

    Returns:
        The minimum and the maximum, of the dtype of `a`.

    Raises:
        IndexError: an axis is out of range.
        ValueError: an axis is given twice, or has no elements.

    Example:
        >>> import mlx.core as mx
        >>> mx.minmax(mx.array([3, 1, 2]))
        (array(1, dtype=int32), array(3, dtype=int32))
    """
    if stream is not None:
        check_stream(stream, "minmax")
    return _extremum(MIN, a, axis, keepdims, "minmax"), _extremum(MAX, a, axis, keepdims, "minmax")


def _position(primitive: Primitive, a: array, axis: int | None, keepdims: bool, function: str) -> array:
    x = _node(a, function)
    shape = x.shape
    if axis is None:
        x, where = reshape(x, (x.size,)), 0
        kept = (1,) * len(shape)
    else:
        where = checked_axis(axis, x.ndim, function)
        kept = (*shape[:where], 1, *shape[where + 1 :])
    if 0 in shape:
        raise ValueError(f"[{function}] Cannot {function} reduce zero size array: it has no extremum.")
    out = primitive(x, where)
    return wrap(reshape(out, kept) if flag(keepdims, function, "keepdims") else out)


def argmax(a: array, /, axis: int | None = None, keepdims: bool = False, *, stream: StreamOrDevice = None) -> array:
    """Position of the largest element along an axis.

    Args:
        a: array of any dtype.
        axis: the axis, negative ones counted from the end; None takes the position in the flattened array.
        keepdims: keep the reduced axis, or all for None, with extent 1.

    Returns:
        uint32 array of positions: of the first of equal elements, or of the first NaN where there is one.

    Raises:
        IndexError: the axis is out of range.
        ValueError: the array has no elements.

    Example:
        >>> import mlx.core as mx
        >>> mx.argmax(mx.array([[1, 5], [7, 2]]), axis=1)
        array([1, 0], dtype=uint32)
    """
    if stream is not None:
        check_stream(stream, "argmax")
    return _position(ARGMAX, a, axis, keepdims, "argmax")


def argmin(a: array, /, axis: int | None = None, keepdims: bool = False, *, stream: StreamOrDevice = None) -> array:
    """Position of the smallest element along an axis.

    Args:
        a: array of any dtype.
        axis: the axis, negative ones counted from the end; None takes the position in the flattened array.
        keepdims: keep the reduced axis, or all for None, with extent 1.

    Returns:
        uint32 array of positions: of the first of equal elements, or of the first NaN where there is one.

    Raises:
        IndexError: the axis is out of range.
        ValueError: the array has no elements.

    Example:
        >>> import mlx.core as mx
        >>> mx.argmin(mx.array([[1, 5], [7, 2]]), axis=1)
        array([0, 1], dtype=uint32)
    """
    if stream is not None:
        check_stream(stream, "argmin")
    return _position(ARGMIN, a, axis, keepdims, "argmin")


# ---------------------------------------------------------------------- truth


def all(a: array, /, axis: Axes = None, keepdims: bool = False, *, stream: StreamOrDevice = None) -> array:
    """Whether all elements over axes are true.

    Args:
        a: array of any dtype; numbers are true where they are not 0.
        axis: an axis or several, negative ones counted from the end; all by default.
        keepdims: keep reduced axes with extent 1.

    Returns:
        Boolean array. Of no elements, all are true.

    Raises:
        IndexError: an axis is out of range.
        ValueError: an axis is given twice.

    Example:
        >>> import mlx.core as mx
        >>> mx.all(mx.array([[True, False], [True, True]]), axis=1)
        array([False, True], dtype=bool)
    """
    if stream is not None:
        check_stream(stream, "all")
    x = _node(a, "all")
    return wrap(ALL(cast(x, bool_), checked_axes(axis, x.ndim, "all"), flag(keepdims, "all", "keepdims")))


def any(a: array, /, axis: Axes = None, keepdims: bool = False, *, stream: StreamOrDevice = None) -> array:
    """Whether any element over axes is true.

    Args:
        a: array of any dtype; numbers are true where they are not 0.
        axis: an axis or several, negative ones counted from the end; all by default.
        keepdims: keep reduced axes with extent 1.

    Returns:
        Boolean array. Of no elements, none is true.

    Raises:
        IndexError: an axis is out of range.
        ValueError: an axis is given twice.

    Example:
        >>> import mlx.core as mx
        >>> mx.any(mx.array([[True, False], [False, False]]), axis=1)
        array([True, False], dtype=bool)
    """
    if stream is not None:
        check_stream(stream, "any")
    x = _node(a, "any")
    return wrap(ANY(cast(x, bool_), checked_axes(axis, x.ndim, "any"), flag(keepdims, "any", "keepdims")))


# ---------------------------------------------------------------------- means and spreads


def _scaled_sum(x: Node, axes: tuple[int, ...], keepdims: bool, ddof: int) -> Node:
    """The sum over axes divided by the number of its terms less `ddof`."""
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    if ddof:
        count = builtins.max(count - ddof, 0)
    total = _reduce(SUM, x, axes, keepdims)
    if type(count) is Size:
        scale = cast(DIVIDE(scalar_node(1, float64), scalar_node(count, float64)), x.dtype)
    else:
        scale = scalar_node(1.0 / count if count else float("inf"), x.dtype)
    return record(MULTIPLY, (total, scale), (), total.shape, total.dtype)


def _wide(x: Node) -> Node:
    """`x` in a dtype whose sums neither overflow nor lose what is small: float32 for half precision and integers."""
    return cast(x, float32) if x.dtype.is_half else at_least_float(x)


def _narrow(out: Node, dtype: Dtype) -> Node:
    return cast(out, dtype) if dtype.is_half else out


def mean(a: array, /, axis: Axes = None, keepdims: bool = False, *, stream: StreamOrDevice = None) -> array:
    """Arithmetic mean over axes.

    Args:
        a: array of any dtype. Booleans and integers become float32; half precision is summed in float32.
        axis: an axis or several, negative ones counted from the end; all by default.
        keepdims: keep reduced axes with extent 1.

    Returns:
        The means. The mean of nothing is NaN.

    Raises:
        IndexError: an axis is out of range.
        ValueError: an axis is given twice.

    Example:
        >>> import mlx.core as mx
        >>> mx.mean(mx.array([[1, 2], [3, 4]]), axis=0)
        array([2, 3], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "mean")
    x = _node(a, "mean")
    axes = checked_axes(axis, x.ndim, "mean")
    return wrap(_narrow(_scaled_sum(_wide(x), axes, flag(keepdims, "mean", "keepdims"), 0), x.dtype))


def _variance(x: Node, axes: tuple[int, ...], keepdims: bool, ddof: int) -> Node:
    deviation = record(SUBTRACT, (x, _scaled_sum(x, axes, True, 0)), (), x.shape, x.dtype)
    if x.dtype.is_complex:
        squares = ADD(SQUARE(REAL(deviation)), SQUARE(IMAG(deviation)))
    else:
        squares = record(SQUARE, (deviation,), (), x.shape, x.dtype)
    return _scaled_sum(squares, axes, keepdims, ddof)


def var(
    a: array,
    /,
    axis: Axes = None,
    keepdims: bool = False,
    ddof: int = 0,
    *,
    correction: int | None = None,
    stream: StreamOrDevice = None,
) -> array:
    """Variance over axes: the mean of the squared distances from the mean.

    Args:
        a: array of any dtype. Booleans and integers become float32; half precision is summed in float32.
        axis: an axis or several, negative ones counted from the end; all by default.
        keepdims: keep reduced axes with extent 1.
        ddof: the sum of squares is divided by the number of elements less this.
        correction: another name for `ddof`.

    Returns:
        The variances; float32 for complex numbers.

    Raises:
        IndexError: an axis is out of range.
        ValueError: an axis is given twice.

    Example:
        >>> import mlx.core as mx
        >>> mx.var(mx.array([1.0, 2.0, 3.0]), ddof=1)
        array(1, dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "var")
    x = _node(a, "var")
    axes = checked_axes(axis, x.ndim, "var")
    kept = flag(keepdims, "var", "keepdims")
    return wrap(_narrow(_variance(_wide(x), axes, kept, _ddof(ddof, correction, "var")), x.dtype))


def std(
    a: array,
    /,
    axis: Axes = None,
    keepdims: bool = False,
    ddof: int = 0,
    *,
    correction: int | None = None,
    stream: StreamOrDevice = None,
) -> array:
    """Standard deviation over axes: the square root of the variance.

    Its gradient at elements that are all equal is 0.

    Args:
        a: array of any dtype. Booleans and integers become float32; half precision is summed in float32.
        axis: an axis or several, negative ones counted from the end; all by default.
        keepdims: keep reduced axes with extent 1.
        ddof: the sum of squares is divided by the number of elements less this.
        correction: another name for `ddof`.

    Returns:
        The standard deviations; float32 for complex numbers.

    Raises:
        IndexError: an axis is out of range.
        ValueError: an axis is given twice.

    Example:
        >>> import mlx.core as mx
        >>> mx.std(mx.array([1.0, 3.0]))
        array(1, dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "std")
    x = _node(a, "std")
    axes = checked_axes(axis, x.ndim, "std")
    kept = flag(keepdims, "std", "keepdims")
    variance = _variance(_wide(x), axes, kept, _ddof(ddof, correction, "std"))
    return wrap(_narrow(ROOT(variance), x.dtype))


def _ddof(ddof: int, correction: int | None, function: str) -> int:
    return one_integer(ddof if correction is None else correction, function, "ddof")


# ---------------------------------------------------------------------- exponentials


def logsumexp(a: array, /, axis: Axes = None, keepdims: bool = False, *, stream: StreamOrDevice = None) -> array:
    """Logarithm of the sum of exponentials over axes, without overflow.

    Its gradient is the softmax; where all elements are -inf it is 0.

    Args:
        a: array of any dtype. Booleans and integers become float32.
        axis: an axis or several, negative ones counted from the end; all by default.
        keepdims: keep reduced axes with extent 1.

    Returns:
        log(sum(exp(a))).

    Raises:
        IndexError: an axis is out of range.
        ValueError: an axis has no elements or is given twice, or one is given for an array without axes.

    Example:
        >>> import mlx.core as mx
        >>> mx.logsumexp(mx.array([1000.0, 1000.0])) - mx.log(mx.array(2.0))
        array(1000, dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "logsumexp")
    x = _node(a, "logsumexp")
    axes = _axes_of_exponentials(axis, x, "logsumexp")
    if 0 in [x.shape[one] for one in axes]:
        raise ValueError("[logsumexp] Received empty array along the axes to reduce, of which there is no logsumexp.")
    return wrap(_reduce(LOGSUMEXP, at_least_float(x), axes, flag(keepdims, "logsumexp", "keepdims")))


def softmax(a: array, /, axis: Axes = None, *, precise: bool = False, stream: StreamOrDevice = None) -> array:
    """Exponentials divided by their sum over axes, without overflow.

    Args:
        a: array of any dtype. Booleans and integers become float32.
        axis: an axis or several, negative ones counted from the end; all by default.
        precise: compute half precision in float32. This is always done here.

    Returns:
        exp(a) / sum(exp(a)), of the shape of `a`. NaN where all elements are -inf, or one is inf.

    Raises:
        IndexError: an axis is out of range.
        ValueError: an axis is given twice, or any for an array without axes.

    Example:
        >>> import mlx.core as mx
        >>> mx.softmax(mx.array([[0.0, 0.0], [1000.0, 0.0]]), axis=-1)
        array([[0.5, 0.5],
               [1, 0]], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "softmax")
    x = _node(a, "softmax")
    axes = _axes_of_exponentials(axis, x, "softmax")
    flag(precise, "softmax", "precise")
    return wrap(softmax_of(at_least_float(x), axes))


def _axes_of_exponentials(axis: Axes, x: Node, function: str) -> tuple[int, ...]:
    if not x.shape and axis is not None and one_or_more_integers(axis, function, "axis"):
        raise ValueError(f"[{function}] Received non-empty axes for array with 0 dimensions.")
    return checked_axes(axis, x.ndim, function)

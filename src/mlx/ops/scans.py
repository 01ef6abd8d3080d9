"""Scans along an axis: cumulative sums, products, extrema and logarithms of sums of exponentials."""

from __future__ import annotations

from math import inf

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import Dtype, bool_, float32, iinfo, int32
from mlx.ir.node import Node
from mlx.ops.arguments import StreamOrDevice, array_node, at_least_float, check_stream, checked_axis, flag
from mlx.primitives.scans import CUMMAX, CUMMIN, CUMPROD, CUMSUM, LOGCUMSUMEXP, Scan, previous
from mlx.primitives.shape import reshape
from mlx.primitives.structure import cast

__all__ = ["cummax", "cummin", "cumprod", "cumsum", "logcumsumexp"]


def _scan(
    primitive: Scan, x: Node, axis: int | None, reverse: bool, inclusive: bool, border: complex, function: str
) -> array:
    """Record a scan; an exclusive one starts at `border`, the value for no elements."""
    if axis is None:
        x, along = reshape(x, (x.size,)), 0
    else:
        along = checked_axis(axis, x.ndim, function)
    backwards = flag(reverse, function, "reverse")
    out = primitive(x, along, backwards)
    return wrap(out if flag(inclusive, function, "inclusive") else previous(out, along, backwards, border))


def _node(a: array, function: str, dtype: Dtype | None = None) -> Node:
    x = a._node if type(a) is array else array_node(a, function)
    if dtype is None:
        return x
    if type(dtype) is not Dtype:
        raise TypeError(f"[{function}] dtype must be an mlx Dtype such as mx.float32, got {dtype!r}.")
    return cast(x, dtype)


def cumsum(
    a: array,
    /,
    axis: int | None = None,
    *,
    reverse: bool = False,
    inclusive: bool = True,
    dtype: Dtype | None = None,
    stream: StreamOrDevice = None,
) -> array:
    """Sums of the elements up to each position along an axis.

    Args:
        a: array of any dtype.
        axis: the axis; None takes the flattened array.
        reverse: sum from the end to each position.
        inclusive: count the element at the position itself; otherwise the first sum is 0.
        dtype: cast the elements to it first. Booleans are summed in int32.

    Returns:
        Array of the shape of `a`, or flat.

    Raises:
        IndexError: the axis is out of range.
        TypeError: `dtype` is no Dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.cumsum(mx.array([1, 2, 3]))
        array([1, 3, 6], dtype=int32)
        >>> mx.cumsum(mx.array([1, 2, 3]), inclusive=False)
        array([0, 1, 3], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "cumsum")
    x = _node(a, "cumsum", dtype)
    if x.dtype is bool_:
        x = cast(x, int32)
    return _scan(CUMSUM, x, axis, reverse, inclusive, 0, "cumsum")


def cumprod(
    a: array,
    /,
    axis: int | None = None,
    *,
    reverse: bool = False,
    inclusive: bool = True,
    dtype: Dtype | None = None,
    stream: StreamOrDevice = None,
) -> array:
    """Products of the elements up to each position along an axis.

    The gradient is right where factors are zero, to any order.

    Args:
        a: array of any dtype.
        axis: the axis; None takes the flattened array.
        reverse: multiply from the end to each position.
        inclusive: take in the element at the position itself; otherwise the first product is 1.
        dtype: cast the elements to it first.

    Returns:
        Array of the shape of `a`, or flat.

    Raises:
        IndexError: the axis is out of range.
        TypeError: `dtype` is no Dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.cumprod(mx.array([2, 3, 4]))
        array([2, 6, 24], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "cumprod")
    return _scan(CUMPROD, _node(a, "cumprod", dtype), axis, reverse, inclusive, 1, "cumprod")


def _lowest(dtype: Dtype) -> complex:
    if dtype is bool_:
        return False
    return complex(-inf, -inf) if dtype.is_complex else -inf if dtype.is_floating else iinfo(dtype).min


def _highest(dtype: Dtype) -> complex:
    if dtype is bool_:
        return True
    return complex(inf, inf) if dtype.is_complex else inf if dtype.is_floating else iinfo(dtype).max


def cummax(
    a: array,
    /,
    axis: int | None = None,
    *,
    reverse: bool = False,
    inclusive: bool = True,
    stream: StreamOrDevice = None,
) -> array:
    """Largest of the elements up to each position along an axis.

    The gradient goes to the latest of equal elements.

    Args:
        a: array of any dtype. From a NaN on, all results are NaN.
        axis: the axis; None takes the flattened array.
        reverse: look from the end to each position.
        inclusive: look at the element at the position itself; otherwise the first result is the lowest value of the
            dtype.

    Returns:
        Array of the shape of `a`, or flat.

    Raises:
        IndexError: the axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.cummax(mx.array([1, 3, 2, 5]))
        array([1, 3, 3, 5], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "cummax")
    x = _node(a, "cummax")
    return _scan(CUMMAX, x, axis, reverse, inclusive, _lowest(x.dtype), "cummax")


def cummin(
    a: array,
    /,
    axis: int | None = None,
    *,
    reverse: bool = False,
    inclusive: bool = True,
    stream: StreamOrDevice = None,
) -> array:
    """Smallest of the elements up to each position along an axis.

    The gradient goes to the latest of equal elements.

    Args:
        a: array of any dtype. From a NaN on, all results are NaN.
        axis: the axis; None takes the flattened array.
        reverse: look from the end to each position.
        inclusive: look at the element at the position itself; otherwise the first result is the highest value of the
            dtype.

    Returns:
        Array of the shape of `a`, or flat.

    Raises:
        IndexError: the axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.cummin(mx.array([4, 3, 5, 1]))
        array([4, 3, 3, 1], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "cummin")
    x = _node(a, "cummin")
    return _scan(CUMMIN, x, axis, reverse, inclusive, _highest(x.dtype), "cummin")


def logcumsumexp(
    a: array,
    /,
    axis: int | None = None,
    *,
    reverse: bool = False,
    inclusive: bool = True,
    stream: StreamOrDevice = None,
) -> array:
    """Logarithms of the sums of exponentials up to each position along an axis, without overflow.

    Args:
        a: array of any dtype. Booleans and integers become float32.
        axis: the axis; None takes the flattened array.
        reverse: sum from the end to each position.
        inclusive: take in the element at the position itself; otherwise the first result is -inf.

    Returns:
        Array of the shape of `a`, or flat.

    Raises:
        IndexError: the axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.logcumsumexp(mx.array([-1000.0, 0.0, 0.0]))
        array([-1000, 0, 0.693147], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "logcumsumexp")
    given = _node(a, "logcumsumexp")
    if given.dtype.is_half:  # the derivative takes exponentials of differences from the results
        out = _scan(LOGCUMSUMEXP, cast(given, float32), axis, reverse, inclusive, -inf, "logcumsumexp")
        return wrap(cast(out._node, given.dtype))
    return _scan(LOGCUMSUMEXP, at_least_float(given), axis, reverse, inclusive, -inf, "logcumsumexp")

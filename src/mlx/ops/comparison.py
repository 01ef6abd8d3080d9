"""Comparisons, tests of single elements, and equality within tolerances."""

from __future__ import annotations

import math

from mlx.arrays.array import array, wrap
from mlx.arrays.operands import is_operand, node_of, operand_pair
from mlx.ir.dtypes import bool_
from mlx.ir.primitive import scalar_node
from mlx.ops.arguments import StreamOrDevice, array_node, check_stream, flag, real_number
from mlx.ops.recording import Scalar, record_comparison, record_test, to_float32
from mlx.ops.reductions import all
from mlx.primitives.arithmetic import ABS, EQUAL, GREATER, GREATER_EQUAL, LESS, LESS_EQUAL, NOT_EQUAL
from mlx.primitives.bitwise import LOGICAL_AND, LOGICAL_OR
from mlx.primitives.classification import ISFINITE, ISINF, ISNAN
from mlx.primitives.shape import broadcast

__all__ = [
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "isnan",
    "isinf",
    "isfinite",
    "isposinf",
    "isneginf",
    "isclose",
    "allclose",
    "array_equal",
]


def equal(a: Scalar | array, b: Scalar | array, stream: StreamOrDevice = None) -> array:
    """Whether elements are equal. NaN equals nothing.

    Args:
        a: array or number of any dtype.
        b: array or number that broadcasts with `a`.

    Returns:
        Boolean array of the common shape.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> import mlx.core as mx
        >>> mx.equal(mx.array([1, 2, 3]), 2)
        array([False, True, False], dtype=bool)
    """
    if stream is not None:
        check_stream(stream, "equal")
    return record_comparison(EQUAL, a, b)


def not_equal(a: Scalar | array, b: Scalar | array, stream: StreamOrDevice = None) -> array:
    """Whether elements differ. NaN differs from everything.

    Args:
        a: array or number of any dtype.
        b: array or number that broadcasts with `a`.

    Returns:
        Boolean array of the common shape.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> import mlx.core as mx
        >>> mx.not_equal(mx.array([1, 2, 3]), 2)
        array([True, False, True], dtype=bool)
    """
    if stream is not None:
        check_stream(stream, "not_equal")
    return record_comparison(NOT_EQUAL, a, b)


def less(a: Scalar | array, b: Scalar | array, stream: StreamOrDevice = None) -> array:
    """Whether elements of `a` are less than those of `b`.

    Complex numbers are ordered by their real part, then by their imaginary part.

    Args:
        a: array or number of any dtype.
        b: array or number that broadcasts with `a`.

    Returns:
        Boolean array of the common shape.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> import mlx.core as mx
        >>> mx.less(mx.array([1, 2, 3]), 2)
        array([True, False, False], dtype=bool)
    """
    if stream is not None:
        check_stream(stream, "less")
    return record_comparison(LESS, a, b)


def less_equal(a: Scalar | array, b: Scalar | array, stream: StreamOrDevice = None) -> array:
    """Whether elements of `a` are less than those of `b` or equal.

    Complex numbers are ordered by their real part, then by their imaginary part.

    Args:
        a: array or number of any dtype.
        b: array or number that broadcasts with `a`.

    Returns:
        Boolean array of the common shape.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> import mlx.core as mx
        >>> mx.less_equal(mx.array([1, 2, 3]), 2)
        array([True, True, False], dtype=bool)
    """
    if stream is not None:
        check_stream(stream, "less_equal")
    return record_comparison(LESS_EQUAL, a, b)


def greater(a: Scalar | array, b: Scalar | array, stream: StreamOrDevice = None) -> array:
    """Whether elements of `a` are greater than those of `b`.

    Complex numbers are ordered by their real part, then by their imaginary part.

    Args:
        a: array or number of any dtype.
        b: array or number that broadcasts with `a`.

    Returns:
        Boolean array of the common shape.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> import mlx.core as mx
        >>> mx.greater(mx.array([1, 2, 3]), 2)
        array([False, False, True], dtype=bool)
    """
    if stream is not None:
        check_stream(stream, "greater")
    return record_comparison(GREATER, a, b)


def greater_equal(a: Scalar | array, b: Scalar | array, stream: StreamOrDevice = None) -> array:
    """Whether elements of `a` are greater than those of `b` or equal.

    Complex numbers are ordered by their real part, then by their imaginary part.

    Args:
        a: array or number of any dtype.
        b: array or number that broadcasts with `a`.

    Returns:
        Boolean array of the common shape.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> import mlx.core as mx
        >>> mx.greater_equal(mx.array([1, 2, 3]), 2)
        array([False, True, True], dtype=bool)
    """
    if stream is not None:
        check_stream(stream, "greater_equal")
    return record_comparison(GREATER_EQUAL, a, b)


def isnan(a: array, stream: StreamOrDevice = None) -> array:
    """Whether elements are NaN; for complex numbers, whether a part is.

    Args:
        a: array of any dtype.

    Returns:
        Boolean array of the shape of `a`.

    Example:
        >>> import mlx.core as mx
        >>> mx.isnan(mx.array([float("nan"), float("inf"), 1.0]))
        array([True, False, False], dtype=bool)
    """
    if stream is not None:
        check_stream(stream, "isnan")
    return record_test(ISNAN, a)


def isinf(a: array, stream: StreamOrDevice = None) -> array:
    """Whether elements are infinite; for complex numbers, whether a part is.

    Args:
        a: array of any dtype.

    Returns:
        Boolean array of the shape of `a`.

    Example:
        >>> import mlx.core as mx
        >>> mx.isinf(mx.array([float("nan"), float("inf"), 1.0]))
        array([False, True, False], dtype=bool)
    """
    if stream is not None:
        check_stream(stream, "isinf")
    return record_test(ISINF, a)


def isfinite(a: array, stream: StreamOrDevice = None) -> array:
    """Whether elements are neither NaN nor infinite.

    Args:
        a: array of any dtype.

    Returns:
        Boolean array of the shape of `a`.

    Example:
        >>> import mlx.core as mx
        >>> mx.isfinite(mx.array([float("nan"), float("inf"), 1.0]))
        array([False, False, True], dtype=bool)
    """
    if stream is not None:
        check_stream(stream, "isfinite")
    return record_test(ISFINITE, a)


def _equals(a: array, function: str, value: float) -> array:
    """Whether elements are this infinity; never so for dtypes without one."""
    x = node_of(a, function)
    if not x.dtype.is_inexact:
        return wrap(broadcast(scalar_node(False, bool_), x.shape))
    return wrap(EQUAL(x, value))


def isposinf(a: array, stream: StreamOrDevice = None) -> array:
    """Whether elements are positive infinity.

    Args:
        a: array of any dtype.

    Returns:
        Boolean array of the shape of `a`.

    Example:
        >>> import mlx.core as mx
        >>> mx.isposinf(mx.array([float("inf"), -float("inf"), 1.0]))
        array([True, False, False], dtype=bool)
    """
    if stream is not None:
        check_stream(stream, "isposinf")
    return _equals(a, "isposinf", math.inf)


def isneginf(a: array, stream: StreamOrDevice = None) -> array:
    """Whether elements are negative infinity.

    Args:
        a: array of any dtype.

    Returns:
        Boolean array of the shape of `a`.

    Example:
        >>> import mlx.core as mx
        >>> mx.isneginf(mx.array([float("inf"), -float("inf"), 1.0]))
        array([False, True, False], dtype=bool)
    """
    if stream is not None:
        check_stream(stream, "isneginf")
    return _equals(a, "isneginf", -math.inf)


def isclose(
    a: array,
    b: array,
    /,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    *,
    equal_nan: bool = False,
    stream: StreamOrDevice = None,
) -> array:
    """Whether elements are equal within a tolerance: |a - b| <= atol + rtol |b|.

    Args:
        a: array of any dtype.
        b: array that broadcasts with `a`.
        rtol: relative tolerance, in units of |b|.
        atol: absolute tolerance.
        equal_nan: whether NaN counts as close to NaN.

    Returns:
        Boolean array of the common shape. Infinities are close where they are equal.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> import mlx.core as mx
        >>> mx.isclose(mx.array([1.0, 1.0]), mx.array([1.000001, 1.1]))
        array([True, False], dtype=bool)
    """
    if stream is not None:
        check_stream(stream, "isclose")
    for operand, argument in ((a, "a"), (b, "b")):
        if not is_operand(operand):
            array_node(operand, "isclose", argument)
    flag(equal_nan, "isclose", "equal_nan")
    relative, absolute = real_number(rtol, "isclose", "rtol"), real_number(atol, "isclose", "atol")
    x, y = operand_pair("isclose", a, b)
    if not x.dtype.is_inexact:
        x, y = to_float32(x), to_float32(y)
    near = LESS_EQUAL(ABS(x - y), ABS(y) * relative + absolute)
    close = LOGICAL_OR(EQUAL(x, y), LOGICAL_AND(near, ISFINITE(y)))
    if equal_nan:
        close = LOGICAL_OR(close, LOGICAL_AND(ISNAN(x), ISNAN(y)))
    return wrap(close)


def allclose(
    a: array,
    b: array,
    /,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    *,
    equal_nan: bool = False,
    stream: StreamOrDevice = None,
) -> array:
    """Whether all elements are equal within a tolerance; see `mx.isclose`.

    Args:
        a: array of any dtype.
        b: array that broadcasts with `a`.
        rtol: relative tolerance, in units of |b|.
        atol: absolute tolerance.
        equal_nan: whether NaN counts as close to NaN.

    Returns:
        Boolean array without axes. True where there are no elements.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> import mlx.core as mx
        >>> mx.allclose(mx.array([1.0, 2.0]), mx.array([1.000001, 2.0]))
        array(True, dtype=bool)
    """
    if stream is not None:
        check_stream(stream, "allclose")
    return all(isclose(a, b, rtol, atol, equal_nan=equal_nan))


def array_equal(a: Scalar | array, b: Scalar | array, equal_nan: bool = False, stream: StreamOrDevice = None) -> array:
    """Whether two arrays have the same shape and equal elements. Their dtypes may differ.

    Args:
        a: array or number of any dtype.
        b: array or number of any dtype.
        equal_nan: whether NaN counts as equal to NaN.

    Returns:
        Boolean array without axes.

    Example:
        >>> import mlx.core as mx
        >>> mx.array_equal(mx.array([1, 2]), mx.array([1.0, 2.0]))
        array(True, dtype=bool)
    """
    if stream is not None:
        check_stream(stream, "array_equal")
    flag(equal_nan, "array_equal", "equal_nan")
    x, y = operand_pair("array_equal", a, b)
    if x.shape != y.shape:
        return wrap(scalar_node(False, bool_))
    same = EQUAL(x, y)
    if equal_nan and x.dtype.is_inexact:
        same = LOGICAL_OR(same, LOGICAL_AND(ISNAN(x), ISNAN(y)))
    return all(wrap(same))

"""Arithmetic: sums, products, quotients, powers, roots, extrema and signs."""

from __future__ import annotations

from mlx.arrays.array import array, wrap
from mlx.arrays.operands import is_operand, node_of
from mlx.ir.dtypes import bool_, dtype_with_scalar, float32
from mlx.ir.node import record
from mlx.ops.arguments import StreamOrDevice, array_node, at_least_float, check_stream
from mlx.ops.recording import Scalar, record_binary, record_floating, record_floating_binary
from mlx.primitives.arithmetic import (
    ABS,
    ADD,
    DIVIDE,
    MAXIMUM,
    MINIMUM,
    MULTIPLY,
    NEGATIVE,
    POWER,
    RSQRT,
    SIGN,
    SQRT,
    SQUARE,
    SUBTRACT,
    integer_power,
)
from mlx.primitives.structure import cast

_STATIC_EXPONENT = 8  # integer exponents up to this are part of the program; others are operands

__all__ = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "negative",
    "positive",
    "abs",
    "sign",
    "square",
    "sqrt",
    "rsqrt",
    "reciprocal",
    "power",
    "maximum",
    "minimum",
    "clip",
]


def add(a: Scalar | array, b: Scalar | array, stream: StreamOrDevice = None) -> array:
    """The sum a + b.

    Args:
        a: array or number of any dtype.
        b: array or number that broadcasts with `a`.

    Returns:
        Array of the common shape and the dtype that both promote to.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> import mlx.core as mx
        >>> mx.add(mx.array([1, 2]), 0.5)
        array([1.5, 2.5], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "add")
    return record_binary(ADD, a, b)


def subtract(a: Scalar | array, b: Scalar | array, stream: StreamOrDevice = None) -> array:
    """The difference a - b.

    Args:
        a: array or number of any dtype.
        b: array or number that broadcasts with `a`.

    Returns:
        Array of the common shape and the dtype that both promote to.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> import mlx.core as mx
        >>> mx.subtract(mx.array([1, 2]), 3)
        array([-2, -1], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "subtract")
    return record_binary(SUBTRACT, a, b)


def multiply(a: Scalar | array, b: Scalar | array, stream: StreamOrDevice = None) -> array:
    """The product of elements.

    Args:
        a: array or number of any dtype.
        b: array or number that broadcasts with `a`.

    Returns:
        Array of the common shape and the dtype that both promote to.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> import mlx.core as mx
        >>> mx.multiply(mx.array([1, 2]), mx.array([3, 4]))
        array([3, 8], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "multiply")
    return record_binary(MULTIPLY, a, b)


def divide(a: Scalar | array, b: Scalar | array, stream: StreamOrDevice = None) -> array:
    """The quotient a / b; infinite or NaN where `b` is 0.

    Args:
        a: array or number of any dtype.
        b: array or number that broadcasts with `a`.

    Returns:
        Array of the common shape; float32 where both are integers or booleans.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> import mlx.core as mx
        >>> mx.divide(mx.array([1, 2]), 4)
        array([0.25, 0.5], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "divide")
    return record_floating_binary(DIVIDE, a, b)


def negative(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The negative -a.

    Args:
        a: array of any dtype but boolean. Unsigned integers wrap.

    Returns:
        Array of the same shape and dtype.

    Raises:
        ValueError: `a` is boolean.

    Example:
        >>> import mlx.core as mx
        >>> mx.negative(mx.array([1, -2]))
        array([-1, 2], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "negative")
    x = a._node if type(a) is array else node_of(a, "negative")
    if x.dtype is bool_:
        raise ValueError("[negative] Not supported for bool, use logical_not instead.")
    return wrap(record(NEGATIVE, (x,), (), x.shape, x.dtype))


def positive(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The same values.

    Args:
        a: array of any dtype.

    Returns:
        Array of the same shape and dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.positive(mx.array([1, -2]))
        array([1, -2], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "positive")
    return wrap(array_node(a, "positive"))


def abs(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The absolute value; of complex numbers, the modulus. Its derivative at 0 is 0.

    Args:
        a: array of any dtype. The smallest number of a signed integer type stays negative.

    Returns:
        Array of the same shape and dtype; float32 for complex numbers.

    Example:
        >>> import mlx.core as mx
        >>> mx.abs(mx.array([-1.5, 2.0]))
        array([1.5, 2], dtype=float32)
        >>> mx.abs(mx.array([3 + 4j]))
        array([5], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "abs")
    x = a._node if type(a) is array else node_of(a, "abs")
    return wrap(record(ABS, (x,), (), x.shape, float32 if x.dtype.is_complex else x.dtype))


def sign(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """-1 for negative numbers, 1 for positive ones, 0 for 0 and NaN; of complex numbers, a / |a|.

    Args:
        a: array of any dtype.

    Returns:
        Array of the same shape and dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.sign(mx.array([-2.5, 0.0, 3.0]))
        array([-1, 0, 1], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "sign")
    x = a._node if type(a) is array else node_of(a, "sign")
    return wrap(x if x.dtype is bool_ else record(SIGN, (x,), (), x.shape, x.dtype))


def square(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The square a * a.

    Args:
        a: array of any dtype. Integers wrap.

    Returns:
        Array of the same shape and dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.square(mx.array([1.5, -2.0]))
        array([2.25, 4], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "square")
    x = a._node if type(a) is array else node_of(a, "square")
    return wrap(x if x.dtype is bool_ else record(SQUARE, (x,), (), x.shape, x.dtype))


def sqrt(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The square root.

    Its derivative at 0 is infinite.

    Args:
        a: array of any dtype; integers and booleans count as float32.

    Returns:
        Array of the shape of `a`, in its floating or complex dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.sqrt(mx.array([4.0, 9.0]))
        array([2, 3], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "sqrt")
    return record_floating(SQRT, a)


def rsqrt(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The reciprocal of the square root.

    Args:
        a: array of any dtype; integers and booleans count as float32.

    Returns:
        Array of the shape of `a`, in its floating or complex dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.rsqrt(mx.array([4.0, 16.0]))
        array([0.5, 0.25], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "rsqrt")
    return record_floating(RSQRT, a)


def reciprocal(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The reciprocal 1 / a.

    Args:
        a: array of any dtype; integers and booleans count as float32.

    Returns:
        Array of the shape of `a`, in its floating or complex dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.reciprocal(mx.array([2.0, 4.0]))
        array([0.5, 0.25], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "reciprocal")
    return wrap(1.0 / at_least_float(node_of(a, "reciprocal")))


def power(a: Scalar | array, b: Scalar | array, /, *, stream: StreamOrDevice = None) -> array:
    """The power a**b.

    A small integer exponent given as a Python number is known while recording, so that the derivative is right at 0 and
    for negative `a`, to any order.

    Args:
        a: array or number of any dtype.
        b: array or number that broadcasts with `a`.

    Returns:
        Array of the common shape and the dtype that both promote to. Integers wrap, and are 0 for negative exponents.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> import mlx.core as mx
        >>> mx.power(mx.array([2.0, 3.0]), 3)
        array([8, 27], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "power")
    kind = type(b)
    if (kind is int or kind is float) and -_STATIC_EXPONENT <= b <= _STATIC_EXPONENT and b == int(b):  # type: ignore
        x = a._node if type(a) is array else node_of(a, "power")
        dtype = dtype_with_scalar(x.dtype, b)
        if dtype.is_inexact:
            return wrap(integer_power(cast(x, dtype), int(b)))  # type: ignore[arg-type]
    return record_binary(POWER, a, b)


def maximum(a: Scalar | array, b: Scalar | array, /, *, stream: StreamOrDevice = None) -> array:
    """The larger of two elements; NaN where one of them is.

    At a tie the whole gradient goes to `b`.

    Args:
        a: array or number of any dtype.
        b: array or number that broadcasts with `a`.

    Returns:
        Array of the common shape and the dtype that both promote to.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> import mlx.core as mx
        >>> mx.maximum(mx.array([1, 5]), mx.array([3, 2]))
        array([3, 5], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "maximum")
    return record_binary(MAXIMUM, a, b)


def minimum(a: Scalar | array, b: Scalar | array, /, *, stream: StreamOrDevice = None) -> array:
    """The smaller of two elements; NaN where one of them is.

    At a tie the whole gradient goes to `b`.

    Args:
        a: array or number of any dtype.
        b: array or number that broadcasts with `a`.

    Returns:
        Array of the common shape and the dtype that both promote to.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> import mlx.core as mx
        >>> mx.minimum(mx.array([1, 5]), mx.array([3, 2]))
        array([1, 2], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "minimum")
    return record_binary(MINIMUM, a, b)


def clip(
    a: array,
    /,
    a_min: Scalar | array | None,
    a_max: Scalar | array | None,
    *,
    stream: StreamOrDevice = None,
) -> array:
    """Limit the elements to a range: min(max(a, a_min), a_max).

    The gradient passes inside the range, and goes to the limits outside of it and at ties.

    Args:
        a: array of any dtype.
        a_min: lower limit, an array or number that broadcasts with `a`; None for no limit.
        a_max: upper limit, likewise. Where it is below `a_min`, it is the result.

    Returns:
        Array of the common shape and the dtype that all promote to.

    Raises:
        ValueError: both limits are None, or the shapes do not fit together.

    Example:
        >>> import mlx.core as mx
        >>> mx.clip(mx.array([-1.0, 0.5, 2.0]), 0, 1)
        array([0, 0.5, 1], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "clip")
    if not is_operand(a):
        array_node(a, "clip")
    if a_min is None and a_max is None:
        raise ValueError("[clip] At most one of a_min and a_max may be None.")
    if a_min is not None:
        a = record_binary(MAXIMUM, a, a_min)
    if a_max is not None:
        a = record_binary(MINIMUM, a, a_max)
    return a

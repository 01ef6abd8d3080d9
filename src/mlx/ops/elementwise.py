"""Elementwise functions that choose, convert or pass on: `where`, `astype`, complex parts, `stop_gradient`."""

from __future__ import annotations

import math

from mlx.arrays.array import array, wrap
from mlx.arrays.operands import is_operand, node_of, operand_pair
from mlx.ir.dtypes import Dtype, bool_, finfo
from mlx.ir.node import record
from mlx.ir.primitive import broadcast_shape, scalar_node
from mlx.ops.arguments import StreamOrDevice, array_node, check_stream, real_number
from mlx.ops.recording import Scalar, refuse_complex
from mlx.primitives.arithmetic import EQUAL
from mlx.primitives.classification import ISNAN
from mlx.primitives.complex import IMAG, REAL
from mlx.primitives.elementwise import CONJUGATE, SELECT
from mlx.primitives.shape import broadcast
from mlx.primitives.structure import STOP_GRADIENT, cast

__all__ = ["where", "astype", "stop_gradient", "real", "imag", "conj", "conjugate", "nan_to_num"]


def where(
    condition: Scalar | array, x: Scalar | array, y: Scalar | array, /, *, stream: StreamOrDevice = None
) -> array:
    """Take elements of `x` where a condition holds and of `y` elsewhere.

    The branch not taken passes no gradient, not even where its derivative is infinite or undefined.

    Args:
        condition: boolean array; other dtypes count as true where they are not 0.
        x: array or number.
        y: array or number. The three are broadcast against each other, `x` and `y` promoted to one dtype.

    Returns:
        Array of the common shape, of the dtype of `x` and `y`.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> import mlx.core as mx
        >>> x = mx.array([0.0, 4.0])
        >>> mx.where(x > 0, mx.sqrt(x), -1)
        array([-1, 2], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "where")
    test = condition._node if type(condition) is array else node_of(condition, "where", "condition")
    if test.dtype is not bool_:
        test = cast(test, bool_)
    left, right = operand_pair("where", x, y)
    shape = left.shape
    if shape != right.shape:
        shape = broadcast_shape(shape, right.shape)
    if shape != test.shape:
        shape = broadcast_shape(shape, test.shape)
    return wrap(record(SELECT, (test, left, right), (), shape, left.dtype))


def astype(a: array, /, dtype: Dtype, *, stream: StreamOrDevice = None) -> array:
    """Convert the elements to another dtype.

    Floats lose their fraction on the way to integers, and wrap where the integer type is too narrow. A conversion to an
    integer or boolean type passes no gradient.

    Args:
        a: array of any dtype.
        dtype: the dtype wanted, such as `mx.float16`.

    Returns:
        Array of the shape of `a`.

    Raises:
        TypeError: `dtype` is no Dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.astype(mx.array([1.7, -1.7]), mx.int32)
        array([1, -1], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "astype")
    if type(dtype) is not Dtype:
        raise TypeError(f"[astype] dtype must be an mlx Dtype such as mx.float32, got {dtype!r}.")
    if type(a) is array:
        return wrap(cast(a._node, dtype))
    return wrap(cast(node_of(a, "astype") if is_operand(a) else array_node(a, "astype"), dtype))


def stop_gradient(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The same values, through which no gradient passes.

    Args:
        a: array of any dtype.

    Returns:
        Array of the same shape and dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.grad(lambda x: x * mx.stop_gradient(x))(mx.array(3.0))
        array(3, dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "stop_gradient")
    return wrap(STOP_GRADIENT(a._node if type(a) is array else array_node(a, "stop_gradient")))


def real(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The real part.

    Args:
        a: array of any dtype.

    Returns:
        float32 array of the shape of `a`; `a` itself where it is not complex.

    Example:
        >>> import mlx.core as mx
        >>> mx.real(mx.array([1 + 2j, 3 - 4j]))
        array([1, 3], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "real")
    x = node_of(a, "real")
    return wrap(REAL(x) if x.dtype.is_complex else x)


def imag(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The imaginary part.

    Args:
        a: array of any dtype.

    Returns:
        float32 array of the shape of `a`; zeros of its dtype where it is not complex.

    Example:
        >>> import mlx.core as mx
        >>> mx.imag(mx.array([1 + 2j, 3 - 4j]))
        array([2, -4], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "imag")
    x = node_of(a, "imag")
    if x.dtype.is_complex:
        return wrap(IMAG(x))
    return wrap(broadcast(scalar_node(0, x.dtype), x.shape))


def conjugate(a: array, *, stream: StreamOrDevice = None) -> array:
    """The complex conjugate.

    Args:
        a: array of any dtype.

    Returns:
        Array of the same shape and dtype; `a` itself where it is not complex.

    Example:
        >>> import mlx.core as mx
        >>> mx.conjugate(mx.array([1 + 2j]))
        array([1-2j], dtype=complex64)
    """
    if stream is not None:
        check_stream(stream, "conjugate")
    return _conjugated(a, "conjugate")


def conj(a: array, *, stream: StreamOrDevice = None) -> array:
    """Same as `mx.conjugate`."""
    if stream is not None:
        check_stream(stream, "conj")
    return _conjugated(a, "conj")


def _conjugated(a: array, function: str) -> array:
    x = node_of(a, function)
    return wrap(CONJUGATE(x) if x.dtype.is_complex else x)


def nan_to_num(
    a: Scalar | array,
    nan: float = 0,
    posinf: float | None = None,
    neginf: float | None = None,
    *,
    stream: StreamOrDevice = None,
) -> array:
    """Replace NaN and infinities by numbers.

    Args:
        a: array or number of any dtype. Complex numbers need `posinf` and `neginf`, and are replaced as a whole.
        nan: what replaces NaN.
        posinf: what replaces infinity; by default the largest number of the dtype.
        neginf: what replaces negative infinity; by default the smallest number of the dtype.

    Returns:
        Array of the same shape and dtype.

    Raises:
        ValueError: `a` is complex and an infinity has no number to replace it.
        TypeError: a replacement is no real number.

    Example:
        >>> import mlx.core as mx
        >>> mx.nan_to_num(mx.array([float("nan"), float("inf"), 1.0]), posinf=9.0)
        array([0, 9, 1], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "nan_to_num")
    x = node_of(a, "nan_to_num")
    if not x.dtype.is_inexact:
        return wrap(x)
    if posinf is None or neginf is None:
        refuse_complex("nan_to_num", x)
    limits = finfo(x.dtype)
    replaced = SELECT(ISNAN(x), real_number(nan, "nan_to_num", "nan"), x)
    high = limits.max if posinf is None else real_number(posinf, "nan_to_num", "posinf")
    low = limits.min if neginf is None else real_number(neginf, "nan_to_num", "neginf")
    return wrap(SELECT(EQUAL(x, -math.inf), low, SELECT(EQUAL(x, math.inf), high, replaced)))

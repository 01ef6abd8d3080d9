"""Exponentials, logarithms, the sigmoid and the error function."""

from __future__ import annotations

from mlx.arrays.array import array
from mlx.ops.arguments import StreamOrDevice, check_stream
from mlx.ops.recording import Scalar, record_floating, record_floating_binary, record_real
from mlx.primitives.error_function import ERF, ERFINV
from mlx.primitives.exponential import EXP, EXPM1, LOG, LOG1P, LOG2, LOG10, LOGADDEXP, SIGMOID

__all__ = ["exp", "expm1", "log", "log2", "log10", "log1p", "logaddexp", "sigmoid", "erf", "erfinv"]


def exp(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The exponential e**a.

    Args:
        a: array of any dtype; integers and booleans count as float32.

    Returns:
        Array of the shape of `a`, in its floating or complex dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.exp(mx.array([0.0, 1.0]))
        array([1, 2.71828], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "exp")
    return record_floating(EXP, a)


def expm1(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The exponential less one, e**a - 1, without cancellation near 0.

    Args:
        a: array of any dtype that is not complex; integers and booleans count as float32.

    Returns:
        Array of the shape of `a`, in its floating dtype.

    Raises:
        ValueError: `a` is complex.

    Example:
        >>> import mlx.core as mx
        >>> mx.expm1(mx.array([0.0, 1e-7]))
        array([0, 1e-07], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "expm1")
    return record_real(EXPM1, a)


def log(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The natural logarithm.

    Args:
        a: array of any dtype; integers and booleans count as float32.

    Returns:
        Array of the shape of `a`, in its floating or complex dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.log(mx.array([1.0, 2.71828]))
        array([0, 0.999999], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "log")
    return record_floating(LOG, a)


def log2(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The logarithm to base 2.

    Args:
        a: array of any dtype; integers and booleans count as float32.

    Returns:
        Array of the shape of `a`, in its floating or complex dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.log2(mx.array([1.0, 8.0]))
        array([0, 3], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "log2")
    return record_floating(LOG2, a)


def log10(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The logarithm to base 10.

    Args:
        a: array of any dtype; integers and booleans count as float32.

    Returns:
        Array of the shape of `a`, in its floating or complex dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.log10(mx.array([1.0, 100.0]))
        array([0, 2], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "log10")
    return record_floating(LOG10, a)


def log1p(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The natural logarithm of 1 + a, without cancellation near 0.

    Args:
        a: array of any dtype; integers and booleans count as float32.

    Returns:
        Array of the shape of `a`, in its floating or complex dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.log1p(mx.array([0.0, 1e-7]))
        array([0, 1e-07], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "log1p")
    return record_floating(LOG1P, a)


def logaddexp(a: Scalar | array, b: Scalar | array, /, *, stream: StreamOrDevice = None) -> array:
    """The logarithm of e**a + e**b, without overflow.

    Args:
        a: array or number of any dtype.
        b: array or number that broadcasts with `a`.

    Returns:
        Array of the common shape; float32 where both are integers or booleans.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> import mlx.core as mx
        >>> mx.logaddexp(mx.array([0.0, 1000.0]), mx.array([0.0, 1000.0]))
        array([0.693147, 1000.69], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "logaddexp")
    return record_floating_binary(LOGADDEXP, a, b)


def sigmoid(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The logistic function 1 / (1 + e**-a).

    Args:
        a: array of any dtype that is not complex; integers and booleans count as float32.

    Returns:
        Array of the shape of `a`, in its floating dtype.

    Raises:
        ValueError: `a` is complex.

    Example:
        >>> import mlx.core as mx
        >>> mx.sigmoid(mx.array([0.0, 2.0]))
        array([0.5, 0.880797], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "sigmoid")
    return record_real(SIGMOID, a)


def erf(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The error function, 2 / sqrt(pi) times the integral of e**(-t**2) from 0 to a.

    Args:
        a: array of any dtype that is not complex; integers and booleans count as float32.

    Returns:
        Array of the shape of `a`, in its floating dtype.

    Raises:
        ValueError: `a` is complex.

    Example:
        >>> import mlx.core as mx
        >>> mx.erf(mx.array([0.0, 1.0]))
        array([0, 0.842701], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "erf")
    return record_real(ERF, a)


def erfinv(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The inverse of the error function.

    Args:
        a: array of any dtype that is not complex; integers and booleans count as float32. NaN outside of [-1, 1].

    Returns:
        Array of the shape of `a`, in its floating dtype.

    Raises:
        ValueError: `a` is complex.

    Example:
        >>> import mlx.core as mx
        >>> mx.erfinv(mx.array([0.0, 0.842701]))
        array([0, 1], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "erfinv")
    return record_real(ERFINV, a)

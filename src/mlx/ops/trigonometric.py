"""Trigonometric and hyperbolic functions, their inverses, and angles."""

from __future__ import annotations

import math

from mlx.arrays.array import array, wrap
from mlx.arrays.operands import node_of
from mlx.ops.arguments import StreamOrDevice, at_least_float, check_stream
from mlx.ops.recording import Scalar, record_floating, record_floating_binary, refuse_complex
from mlx.primitives.trigonometric import (
    ARCCOS,
    ARCCOSH,
    ARCSIN,
    ARCSINH,
    ARCTAN,
    ARCTAN2,
    ARCTANH,
    COS,
    COSH,
    SIN,
    SINH,
    TAN,
    TANH,
)

__all__ = [
    "sin",
    "cos",
    "tan",
    "arcsin",
    "arccos",
    "arctan",
    "sinh",
    "cosh",
    "tanh",
    "arcsinh",
    "arccosh",
    "arctanh",
    "arctan2",
    "degrees",
    "radians",
]


def sin(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The sine of an angle in radians.

    Args:
        a: array of any dtype; integers and booleans count as float32.

    Returns:
        Array of the shape of `a`, in its floating or complex dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.sin(mx.array([0.0, 1.0]))
        array([0, 0.841471], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "sin")
    return record_floating(SIN, a)


def cos(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The cosine of an angle in radians.

    Args:
        a: array of any dtype; integers and booleans count as float32.

    Returns:
        Array of the shape of `a`, in its floating or complex dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.cos(mx.array([0.0, 1.0]))
        array([1, 0.540302], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "cos")
    return record_floating(COS, a)


def tan(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The tangent of an angle in radians.

    Args:
        a: array of any dtype; integers and booleans count as float32.

    Returns:
        Array of the shape of `a`, in its floating or complex dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.tan(mx.array([0.0, 1.0]))
        array([0, 1.55741], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "tan")
    return record_floating(TAN, a)


def arcsin(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The inverse sine, in radians.

    Args:
        a: array of any dtype; integers and booleans count as float32.

    Returns:
        Array of the shape of `a`, in its floating or complex dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.arcsin(mx.array([0.0, 1.0]))
        array([0, 1.5708], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "arcsin")
    return record_floating(ARCSIN, a)


def arccos(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The inverse cosine, in radians.

    Args:
        a: array of any dtype; integers and booleans count as float32.

    Returns:
        Array of the shape of `a`, in its floating or complex dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.arccos(mx.array([0.0, 1.0]))
        array([1.5708, 0], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "arccos")
    return record_floating(ARCCOS, a)


def arctan(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The inverse tangent, in radians.

    Args:
        a: array of any dtype; integers and booleans count as float32.

    Returns:
        Array of the shape of `a`, in its floating or complex dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.arctan(mx.array([0.0, 1.0]))
        array([0, 0.785398], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "arctan")
    return record_floating(ARCTAN, a)


def sinh(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The hyperbolic sine.

    Args:
        a: array of any dtype; integers and booleans count as float32.

    Returns:
        Array of the shape of `a`, in its floating or complex dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.sinh(mx.array([0.0, 1.0]))
        array([0, 1.1752], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "sinh")
    return record_floating(SINH, a)


def cosh(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The hyperbolic cosine.

    Args:
        a: array of any dtype; integers and booleans count as float32.

    Returns:
        Array of the shape of `a`, in its floating or complex dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.cosh(mx.array([0.0, 1.0]))
        array([1, 1.54308], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "cosh")
    return record_floating(COSH, a)


def tanh(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The hyperbolic tangent.

    Args:
        a: array of any dtype; integers and booleans count as float32.

    Returns:
        Array of the shape of `a`, in its floating or complex dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.tanh(mx.array([0.0, 1.0]))
        array([0, 0.761594], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "tanh")
    return record_floating(TANH, a)


def arcsinh(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The inverse hyperbolic sine.

    Args:
        a: array of any dtype; integers and booleans count as float32.

    Returns:
        Array of the shape of `a`, in its floating or complex dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.arcsinh(mx.array([0.0, 1.0]))
        array([0, 0.881374], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "arcsinh")
    return record_floating(ARCSINH, a)


def arccosh(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The inverse hyperbolic cosine.

    Args:
        a: array of any dtype; integers and booleans count as float32.

    Returns:
        Array of the shape of `a`, in its floating or complex dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.arccosh(mx.array([1.0, 2.0]))
        array([0, 1.31696], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "arccosh")
    return record_floating(ARCCOSH, a)


def arctanh(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The inverse hyperbolic tangent.

    Args:
        a: array of any dtype; integers and booleans count as float32.

    Returns:
        Array of the shape of `a`, in its floating or complex dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.arctanh(mx.array([0.0, 0.5]))
        array([0, 0.549306], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "arctanh")
    return record_floating(ARCTANH, a)


def arctan2(a: Scalar | array, b: Scalar | array, /, *, stream: StreamOrDevice = None) -> array:
    """The angle, in radians, between the positive x axis and the point (b, a).

    Args:
        a: array or number: the y coordinate.
        b: array or number that broadcasts with `a`: the x coordinate.

    Returns:
        Array of the common shape; float32 where both are integers or booleans.

    Raises:
        ValueError: the shapes do not fit together.
        ValueError: an operand is complex.

    Example:
        >>> import mlx.core as mx
        >>> mx.arctan2(mx.array([0.0, 1.0, -1.0]), mx.array([-1.0, 0.0, 1.0]))
        array([3.14159, 1.5708, -0.785398], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "arctan2")
    for operand in (a, b):
        refuse_complex("arctan2", node_of(operand, "arctan2"))
    return record_floating_binary(ARCTAN2, a, b)


def degrees(a: Scalar | array, /, *, stream: StreamOrDevice = None) -> array:
    """Convert angles from radians to degrees.

    Args:
        a: angles in radians; integers and booleans count as float32.

    Returns:
        Angles in degrees, of the shape of `a`, in its floating or complex dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.degrees(mx.array([0.0, 1.0]))
        array([0, 57.2958], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "degrees")
    return _scaled(a, "degrees", 180.0 / math.pi)


def radians(a: Scalar | array, /, *, stream: StreamOrDevice = None) -> array:
    """Convert angles from degrees to radians.

    Args:
        a: angles in degrees; integers and booleans count as float32.

    Returns:
        Angles in radians, of the shape of `a`, in its floating or complex dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.radians(mx.array([0.0, 180.0]))
        array([0, 3.14159], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "radians")
    return _scaled(a, "radians", math.pi / 180.0)


def _scaled(a: Scalar | array, function: str, factor: float) -> array:
    return wrap(at_least_float(node_of(a, function)) * factor)

"""Logical functions of truth values, and operations on the bits of integers."""

from __future__ import annotations

from typing import Any

from mlx.arrays.array import array, wrap
from mlx.arrays.operands import node_of, operand_pair
from mlx.ir.dtypes import bool_, uint8
from mlx.ir.node import Node, record
from mlx.ir.primitive import Primitive, broadcast_shape
from mlx.ops.arguments import StreamOrDevice, check_stream
from mlx.ops.recording import Scalar
from mlx.primitives import bitwise
from mlx.primitives.arithmetic import NOT_EQUAL
from mlx.primitives.structure import cast

__all__ = [
    "logical_and",
    "logical_or",
    "logical_not",
    "logical_xor",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "bitwise_invert",
    "left_shift",
    "right_shift",
]


def _truth(a: Any, function: str, argument: str) -> Node:
    x = a._node if type(a) is array else node_of(a, function, argument)
    return x if x.dtype is bool_ else cast(x, bool_)


def _logical(primitive: Primitive, function: str, a: Any, b: Any) -> array:
    x, y = _truth(a, function, "a"), _truth(b, function, "b")
    shape = x.shape
    if shape != y.shape:
        shape = broadcast_shape(shape, y.shape)
    return wrap(record(primitive, (x, y), (), shape, bool_))


def logical_and(a: Scalar | array, b: Scalar | array, /, *, stream: StreamOrDevice = None) -> array:
    """Whether both elements are true, that is not 0.

    Args:
        a: array or number of any dtype.
        b: array or number that broadcasts with `a`.

    Returns:
        Boolean array.

    Example:
        >>> import mlx.core as mx
        >>> mx.logical_and(mx.array([True, True]), mx.array([True, False]))
        array([True, False], dtype=bool)
    """
    if stream is not None:
        check_stream(stream, "logical_and")
    return _logical(bitwise.LOGICAL_AND, "logical_and", a, b)


def logical_or(a: Scalar | array, b: Scalar | array, /, *, stream: StreamOrDevice = None) -> array:
    """Whether one of the elements is true, that is not 0.

    Args:
        a: array or number of any dtype.
        b: array or number that broadcasts with `a`.

    Returns:
        Boolean array.

    Example:
        >>> import mlx.core as mx
        >>> mx.logical_or(mx.array([False, True]), mx.array([False, False]))
        array([False, True], dtype=bool)
    """
    if stream is not None:
        check_stream(stream, "logical_or")
    return _logical(bitwise.LOGICAL_OR, "logical_or", a, b)


def logical_xor(a: Scalar | array, b: Scalar | array, /, *, stream: StreamOrDevice = None) -> array:
    """Whether exactly one of the elements is true, that is not 0.

    Args:
        a: array or number of any dtype.
        b: array or number that broadcasts with `a`.

    Returns:
        Boolean array.

    Example:
        >>> import mlx.core as mx
        >>> mx.logical_xor(mx.array([True, True]), mx.array([True, False]))
        array([False, True], dtype=bool)
    """
    if stream is not None:
        check_stream(stream, "logical_xor")
    return _logical(NOT_EQUAL, "logical_xor", a, b)


def logical_not(a: Scalar | array, /, *, stream: StreamOrDevice = None) -> array:
    """Whether the element is false, that is 0.

    Args:
        a: array or number of any dtype.

    Returns:
        Boolean array of the shape of `a`.

    Example:
        >>> import mlx.core as mx
        >>> mx.logical_not(mx.array([0, 1, 2]))
        array([True, False, False], dtype=bool)
    """
    if stream is not None:
        check_stream(stream, "logical_not")
    x = _truth(a, "logical_not", "a")
    return wrap(record(bitwise.LOGICAL_NOT, (x,), (), x.shape, bool_))


def _bits(primitive: Primitive, a: Any, b: Any) -> array:
    x, y = operand_pair(primitive.name, a, b)
    if x.dtype.is_inexact:
        given = [node_of(operand, primitive.name).dtype.name for operand in (a, b)]
        raise RuntimeError(
            f"[{primitive.name}] Only allowed on integer or boolean types but got types {given[0]} and {given[1]}. "
            f"Cast them with astype first."
        )
    if x.dtype is bool_ and primitive in _SHIFTS:
        x, y = cast(x, uint8), cast(y, uint8)
    shape = x.shape
    if shape != y.shape:
        shape = broadcast_shape(shape, y.shape)
    return wrap(record(primitive, (x, y), (), shape, x.dtype))


_SHIFTS = (bitwise.LEFT_SHIFT, bitwise.RIGHT_SHIFT)


def bitwise_and(a: Scalar | array, b: Scalar | array, stream: StreamOrDevice = None) -> array:
    """The bits that are set in both integers.

    Args:
        a: array of an integer or boolean dtype, or an int.
        b: array or int that broadcasts with `a`.

    Returns:
        Array of the common dtype.

    Raises:
        RuntimeError: an operand is floating or complex.

    Example:
        >>> import mlx.core as mx
        >>> mx.bitwise_and(mx.array([6, 5]), 3)
        array([2, 1], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "bitwise_and")
    return _bits(bitwise.BITWISE_AND, a, b)


def bitwise_or(a: Scalar | array, b: Scalar | array, stream: StreamOrDevice = None) -> array:
    """The bits that are set in one of the integers or in both.

    Args:
        a: array of an integer or boolean dtype, or an int.
        b: array or int that broadcasts with `a`.

    Returns:
        Array of the common dtype.

    Raises:
        RuntimeError: an operand is floating or complex.

    Example:
        >>> import mlx.core as mx
        >>> mx.bitwise_or(mx.array([6, 5]), 3)
        array([7, 7], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "bitwise_or")
    return _bits(bitwise.BITWISE_OR, a, b)


def bitwise_xor(a: Scalar | array, b: Scalar | array, stream: StreamOrDevice = None) -> array:
    """The bits that are set in exactly one of the integers.

    Args:
        a: array of an integer or boolean dtype, or an int.
        b: array or int that broadcasts with `a`.

    Returns:
        Array of the common dtype.

    Raises:
        RuntimeError: an operand is floating or complex.

    Example:
        >>> import mlx.core as mx
        >>> mx.bitwise_xor(mx.array([6, 5]), 3)
        array([5, 6], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "bitwise_xor")
    return _bits(bitwise.BITWISE_XOR, a, b)


def bitwise_invert(a: Scalar | array, stream: StreamOrDevice = None) -> array:
    """The integer with every bit flipped; of a boolean, its negation.

    Args:
        a: array of an integer or boolean dtype, or an int.

    Returns:
        Array of the same shape and dtype.

    Raises:
        ValueError: `a` is floating or complex.

    Example:
        >>> import mlx.core as mx
        >>> mx.bitwise_invert(mx.array([0, 5]))
        array([-1, -6], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "bitwise_invert")
    x = node_of(a, "bitwise_invert")
    if x.dtype.is_inexact:
        raise ValueError(f"[bitwise_invert] Bitwise inverse only allowed on integer types, got {x.dtype.name}.")
    return wrap(record(bitwise.BITWISE_INVERT, (x,), (), x.shape, x.dtype))


def left_shift(a: Scalar | array, b: Scalar | array, stream: StreamOrDevice = None) -> array:
    """The bits of an integer moved to higher places; those that leave its width are lost.

    Args:
        a: array of an integer or boolean dtype (booleans become uint8), or an int.
        b: by how many places, modulo the width (modulo 32 for narrower types); broadcasts with `a`.

    Returns:
        Array of the common dtype.

    Raises:
        RuntimeError: an operand is floating or complex.

    Example:
        >>> import mlx.core as mx
        >>> mx.left_shift(mx.array([1, 3]), 4)
        array([16, 48], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "left_shift")
    return _bits(bitwise.LEFT_SHIFT, a, b)


def right_shift(a: Scalar | array, b: Scalar | array, stream: StreamOrDevice = None) -> array:
    """The bits of an integer moved to lower places; the sign is kept.

    Args:
        a: array of an integer or boolean dtype (booleans become uint8), or an int.
        b: by how many places, modulo the width (modulo 32 for narrower types); broadcasts with `a`.

    Returns:
        Array of the common dtype.

    Raises:
        RuntimeError: an operand is floating or complex.

    Example:
        >>> import mlx.core as mx
        >>> mx.right_shift(mx.array([48, -48]), 4)
        array([3, -3], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "right_shift")
    return _bits(bitwise.RIGHT_SHIFT, a, b)

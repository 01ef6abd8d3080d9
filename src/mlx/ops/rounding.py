"""Rounding to integers and to decimals, and the division that rounds: floor_divide, remainder, divmod."""

from __future__ import annotations

from typing import Any

from mlx.arrays.array import array, wrap
from mlx.arrays.operands import node_of, operand_pair
from mlx.ir.dtypes import bool_, float32
from mlx.ir.node import Node
from mlx.ir.primitive import Primitive
from mlx.ops.arguments import StreamOrDevice, array_node, check_stream, one_integer
from mlx.ops.recording import Scalar, refuse_complex, to_float32
from mlx.primitives.arithmetic import DIVIDE
from mlx.primitives.bitwise import LOGICAL_AND
from mlx.primitives.classification import ISFINITE
from mlx.primitives.elementwise import SELECT
from mlx.primitives.rounding import CEIL, FLOOR, FLOOR_DIVIDE, REMAINDER, ROUND, TRUNC
from mlx.primitives.structure import STOP_GRADIENT, cast

__all__ = ["floor", "ceil", "trunc", "round", "floor_divide", "remainder", "divmod"]


def _rounded(primitive: Primitive, a: Any) -> array:
    x = a._node if type(a) is array else node_of(a, primitive.name)
    refuse_complex(primitive.name, x)
    return wrap(primitive(x) if x.dtype.is_floating else x)


def floor(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The largest integer that is not above.

    Args:
        a: array of any dtype that is not complex. Integers and booleans stay as they are.

    Returns:
        Array of the same shape and dtype. It passes no gradient.

    Raises:
        ValueError: `a` is complex.

    Example:
        >>> import mlx.core as mx
        >>> mx.floor(mx.array([1.7, -1.2]))
        array([1, -2], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "floor")
    return _rounded(FLOOR, a)


def ceil(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The smallest integer that is not below.

    Args:
        a: array of any dtype that is not complex. Integers and booleans stay as they are.

    Returns:
        Array of the same shape and dtype. It passes no gradient.

    Raises:
        ValueError: `a` is complex.

    Example:
        >>> import mlx.core as mx
        >>> mx.ceil(mx.array([1.2, -1.7]))
        array([2, -1], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "ceil")
    return _rounded(CEIL, a)


def trunc(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """The integer without the fraction.

    Args:
        a: array of any dtype that is not complex. Integers and booleans stay as they are.

    Returns:
        Array of the same shape and dtype. It passes no gradient.

    Raises:
        ValueError: `a` is complex.

    Example:
        >>> import mlx.core as mx
        >>> mx.trunc(mx.array([1.7, -1.7]))
        array([1, -1], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "trunc")
    array_node(a, "trunc")
    return _rounded(TRUNC, a)


def round(a: array, /, decimals: int = 0, stream: StreamOrDevice = None) -> array:
    """The nearest number of so many decimals; halves go to the even neighbour.

    Args:
        a: array of any dtype. Of complex numbers both parts are rounded.
        decimals: how many; negative ones round to tens, hundreds and so on.

    Returns:
        Array of the same shape and dtype. It passes no gradient.

    Raises:
        TypeError: `decimals` is no int.

    Example:
        >>> import mlx.core as mx
        >>> mx.round(mx.array([0.5, 1.5, 2.345]))
        array([0, 2, 2], dtype=float32)
        >>> mx.round(mx.array([123, 155]), -1)
        array([120, 160], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "round")
    x = node_of(a, "round")
    decimals = one_integer(decimals, "round", "decimals")
    if decimals == 0:
        return wrap(ROUND(x) if x.dtype.is_inexact else x)
    if x.dtype.is_inexact:
        return wrap(cast(_rounded_to(cast(x, float32) if x.dtype.is_half else x, decimals), x.dtype))
    if decimals > 0:
        return wrap(x)
    return wrap(cast(_rounded_to(to_float32(x), decimals), x.dtype))


def _rounded_to(x: Node, decimals: int) -> Node:
    scale = float(10 ** (decimals if decimals > 0 else -decimals))
    rounded = ROUND(x * scale) / scale if decimals > 0 else ROUND(x / scale) * scale
    if x.dtype.is_complex:
        return rounded
    return SELECT(ISFINITE(rounded), rounded, STOP_GRADIENT(x))  # what is so large that the way there overflows stays


def floor_divide(a: Scalar | array, b: Scalar | array, stream: StreamOrDevice = None) -> array:
    """The quotient a / b, rounded down.

    Args:
        a: array or number of any dtype.
        b: array or number that broadcasts with `a`.

    Returns:
        Array of the common shape and the dtype that both promote to. Integers divided by 0 give 0. Complex quotients
        are not rounded. It passes no gradient.

    Raises:
        ValueError: the shapes do not fit together.

    Example:
        >>> import mlx.core as mx
        >>> mx.floor_divide(mx.array([7, -7]), 2)
        array([3, -4], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "floor_divide")
    x, y = operand_pair("floor_divide", a, b)
    return wrap(_quotient(x, y))


def _quotient(x: Node, y: Node) -> Node:
    if x.dtype.is_complex:
        return DIVIDE(x, y)
    return LOGICAL_AND(x, y) if x.dtype is bool_ else FLOOR_DIVIDE(x, y)


def _remainder(function: str, x: Node, y: Node) -> Node:
    if x.dtype.is_complex:
        raise ValueError(f"[{function}] Complex type not supported.")
    return REMAINDER(x, y)


def remainder(a: Scalar | array, b: Scalar | array, stream: StreamOrDevice = None) -> array:
    """What remains of `a` after division by `b`; it has the sign of `b`, as Python's % does.

    Args:
        a: array or number of any dtype that is not complex.
        b: array or number that broadcasts with `a`.

    Returns:
        Array of the common shape and the dtype that both promote to. Integers divided by 0 remain as they are.

    Raises:
        ValueError: an operand is complex, or the shapes do not fit together.

    Example:
        >>> import mlx.core as mx
        >>> mx.remainder(mx.array([7, -7]), 3)
        array([1, 2], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "remainder")
    x, y = operand_pair("remainder", a, b)
    return wrap(_remainder("remainder", x, y))


def divmod(a: Scalar | array, b: Scalar | array, stream: StreamOrDevice = None) -> list[array]:
    """The quotient rounded down, and the remainder.

    Args:
        a: array or number of any dtype that is not complex.
        b: array or number that broadcasts with `a`.

    Returns:
        [floor_divide(a, b), remainder(a, b)].

    Raises:
        ValueError: an operand is complex, or the shapes do not fit together.

    Example:
        >>> import mlx.core as mx
        >>> mx.divmod(mx.array([7, -7]), 3)
        [array([2, -3], dtype=int32), array([1, 2], dtype=int32)]
    """
    if stream is not None:
        check_stream(stream, "divmod")
    x, y = operand_pair("divmod", a, b)
    rest = _remainder("divmod", x, y)
    return [wrap(_quotient(x, y)), wrap(rest)]

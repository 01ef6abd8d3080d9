"""Numbers of 8 bits: conversion to and from the floating-point format E4M3."""

from __future__ import annotations

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import Dtype, bfloat16, uint8
from mlx.ir.primitive import scalar_node
from mlx.ops.arguments import StreamOrDevice, array_node, check_stream, dtype_argument
from mlx.primitives.classification import ISNAN
from mlx.primitives.elementwise import SELECT
from mlx.primitives.quantization import DECODE, E4M3, ENCODE
from mlx.primitives.structure import cast

__all__ = ["from_fp8", "to_fp8"]


def to_fp8(x: array, *, stream: StreamOrDevice = None) -> array:
    """The codes of the nearest numbers of the floating-point format E4M3: a sign, 4 bits of exponent and 3 of fraction.

    The largest number of the format is 448, the smallest above zero 2^-9. What lies halfway between two goes to the
    even one, what lies beyond 448 (infinities and NaNs as well) to 448 with its sign.

    Args:
        x: array of real floating numbers.

    Returns:
        uint8 array of the shape of `x`. It passes no gradient, as no cast to an integer type does.

    Raises:
        ValueError: `x` has another dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.to_fp8(mx.array([1.0, -1.0, 1000.0]))
        array([56, 184, 126], dtype=uint8)
    """
    if stream is not None:
        check_stream(stream, "to_fp8")
    numbers = array_node(x, "to_fp8", "x")
    if not numbers.dtype.is_floating:
        raise ValueError(
            f"[to_fp8] Only real floating types are supported but x has dtype {numbers.dtype.name}. "
            f"Cast it with .astype(mx.float32)."
        )
    codes = ENCODE(numbers, E4M3)
    return wrap(SELECT(ISNAN(numbers), codes - scalar_node(1, uint8), codes))  # after the largest number comes NaN


def from_fp8(x: array, dtype: Dtype = bfloat16, *, stream: StreamOrDevice = None) -> array:
    """The numbers that codes of the floating-point format E4M3 stand for, which `mx.to_fp8` gives.

    Args:
        x: uint8 array of codes. 127 and 255 are NaN.
        dtype: the dtype of the result, a real floating one. All hold every number of the format.

    Returns:
        Array of the shape of `x`.

    Raises:
        ValueError: `x` is no uint8 array, or `dtype` no real floating dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.from_fp8(mx.array([56, 184, 126], mx.uint8), mx.float32)
        array([1, -1, 448], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "from_fp8")
    codes = array_node(x, "from_fp8", "x")
    wanted = dtype_argument(dtype, "from_fp8")
    if codes.dtype is not uint8:
        raise ValueError(f"[from_fp8] Input must have type uint8 but x has dtype {codes.dtype.name}.")
    if not wanted.is_floating:
        raise ValueError(f"[from_fp8] Only real floating types are supported but dtype is {wanted.name}.")
    return wrap(cast(DECODE(codes, E4M3), wanted))

"""Operations on bits and truth values. None of them passes a derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlx.primitives.elementwise import Elementwise, boolean

LOGICAL_AND = Elementwise("logical_and", 2, np.logical_and, "bitwise_and", dtype=boolean)  # of booleans
LOGICAL_OR = Elementwise("logical_or", 2, np.logical_or, "bitwise_or", dtype=boolean)
LOGICAL_NOT = Elementwise("logical_not", 1, np.logical_not, "bitwise_not", dtype=boolean)


def _on_unsigned(function: str) -> Callable[..., Any]:
    """Lowering through unsigned integers: XLA's CPU compiler crashes where signed operands come from a cast."""

    def lowered(xla: Any, a: Any, b: Any) -> Any:
        compute = getattr(xla.lax, function)
        if a.dtype.kind != "i":
            return compute(a, b)
        unsigned = np.dtype(f"u{a.dtype.name}")
        bits = [xla.lax.bitcast_convert_type(x, unsigned) for x in (a, b)]
        return xla.lax.bitcast_convert_type(compute(*bits), a.dtype)

    return lowered


BITWISE_AND = Elementwise("bitwise_and", 2, np.bitwise_and, _on_unsigned("bitwise_and"))
BITWISE_OR = Elementwise("bitwise_or", 2, np.bitwise_or, _on_unsigned("bitwise_or"))
BITWISE_XOR = Elementwise("bitwise_xor", 2, np.bitwise_xor, "bitwise_xor")
BITWISE_INVERT = Elementwise("bitwise_invert", 1, np.bitwise_not, "bitwise_not")


def _shift(function: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Kernel and lowering of a shift as processors do it: by the count modulo the width, of 32 bits at least."""

    def kernel(a: Any, count: Any) -> Any:
        wide, masked = _operands(a, count)
        return getattr(np, function)(wide, masked).astype(a.dtype)

    def lowered(xla: Any, a: Any, count: Any) -> Any:
        wide, masked = _operands(a, count)
        return (wide << masked if function == "left_shift" else wide >> masked).astype(a.dtype)

    return kernel, lowered


def _operands(a: Any, count: Any) -> tuple[Any, Any]:
    if a.dtype.itemsize < 4:
        a, count = a.astype(np.int32), count.astype(np.int32)
    return a, count & np.asarray(8 * a.dtype.itemsize - 1, a.dtype)


LEFT_SHIFT = Elementwise("left_shift", 2, *_shift("left_shift"))
RIGHT_SHIFT = Elementwise("right_shift", 2, *_shift("right_shift"))

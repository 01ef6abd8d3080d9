"""Rounding, and the division that rounds down. Derivatives are zero, save that of the remainder."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlx.primitives.cpu_remainder import remainder
from mlx.primitives.elementwise import Elementwise

ZERO = (None,)

FLOOR = Elementwise("floor", 1, np.floor, "floor", ZERO)
CEIL = Elementwise("ceil", 1, np.ceil, "ceil", ZERO)
TRUNC = Elementwise(
    "trunc",
    1,
    np.trunc,
    lambda xla, x: xla.lax.select(x < 0, xla.lax.ceil(x), xla.lax.floor(x)),
    ZERO,
)


def _round_xla(xla: Any, x: Any) -> Any:
    lax = xla.lax
    nearest = lax.RoundingMethod.TO_NEAREST_EVEN
    if x.dtype.kind == "c":
        return lax.complex(lax.round(lax.real(x), nearest), lax.round(lax.imag(x), nearest))
    return lax.round(x, nearest)


ROUND = Elementwise("round", 1, np.rint, _round_xla, ZERO)


def _floor_divide(a: Any, b: Any) -> Any:
    # NumPy's division of floats gives NaN where the quotient is infinite; its integers divided by 0 give 0.
    return np.floor_divide(a, b) if a.dtype.kind in "iu" else np.floor(np.divide(a, b))


def _floor_divide_xla(xla: Any, a: Any, b: Any) -> Any:
    lax, jnp = xla.lax, xla.jnp
    if a.dtype.kind not in "iu":
        wide = np.promote_types(a.dtype, np.float32)  # or half precision would round the quotient up to an integer
        return lax.floor(lax.div(a.astype(wide), b.astype(wide))).astype(a.dtype)
    by_zero = b == 0
    divisor = lax.select(by_zero, jnp.ones_like(b), b)
    quotient = lax.div(a, divisor)
    if a.dtype.kind == "i":
        inexact = lax.rem(a, divisor) != 0
        quotient = quotient - (inexact & ((a < 0) != (divisor < 0))).astype(a.dtype)
    return lax.select(by_zero, jnp.zeros_like(a), quotient)


FLOOR_DIVIDE = Elementwise("floor_divide", 2, _floor_divide, _floor_divide_xla, (None, None), nanoseconds=4.0)


def _remainder(a: Any, b: Any) -> Any:
    if a.dtype == bool:
        return a & ~b
    if a.dtype.kind in "iu":
        return np.where(b == 0, a, np.remainder(a, b))
    rest = np.fmod(a, b)
    return np.where((rest != 0) & ((rest < 0) != (b < 0)), rest + b, rest)


def _remainder_xla(xla: Any, a: Any, b: Any) -> Any:
    lax, jnp = xla.lax, xla.jnp
    if a.dtype.kind == "b":
        return a & ~b
    if a.dtype.kind == "u":
        return lax.select(b == 0, a, lax.rem(a, lax.select(b == 0, jnp.ones_like(b), b)))
    if a.dtype.kind == "i":
        by_zero = b == 0
        b = lax.select(by_zero, jnp.ones_like(b), b)
        rest = lax.rem(a, b)
        rest = lax.select((rest != 0) & ((rest < 0) != (b < 0)), rest + b, rest)
        return lax.select(by_zero, a, rest)
    return _remainder_of_floats(xla, a, b)


def _remainder_of_floats_xla(xla: Any, a: Any, b: Any) -> Any:
    rest = xla.lax.rem(a, b)
    return xla.lax.select((rest != 0) & ((rest < 0) != (b < 0)), rest + b, rest)


_remainder_of_floats = remainder(_remainder_of_floats_xla)

REMAINDER = Elementwise(
    "remainder",
    2,
    _remainder,
    _remainder_xla,
    (1, lambda out, a, b: -FLOOR_DIVIDE(a, b)),
    nanoseconds=20.0,
)

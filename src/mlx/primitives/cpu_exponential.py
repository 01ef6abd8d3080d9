"""The logarithm of 1 + x and powers in single precision, as vectors on CPUs.

They are right to 1.6 and 1.1 units in the last place. Times of 1e6 elements with jax 0.10.2 on 2 cores, in
milliseconds:

    logarithm of 1 + x    0.56 -> 0.37        power    2.5 -> 1.0
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mlx.primitives.cpu_elementwise import bits_of, flip, in_single_precision, polynomial, sign_of

Array = Any

_ROOT_OF_HALF = int(np.float32(np.sqrt(0.5)).view(np.int32))
_BIAS = 127  # of the exponent, that lies above 23 bits of mantissa


def _exponent(xla: Any, x: Array) -> Array:
    """The integer n for which x / 2**n lies between the square roots of 1/2 and 2, for positive x."""
    return (bits_of(xla, x, np.int32) - np.int32(_ROOT_OF_HALF)) >> np.int32(23)


def _power_of_two(xla: Any, n: Array) -> Array:
    """2**n for integers from -126 to 127."""
    return bits_of(xla, (n + np.int32(_BIAS)) << np.int32(23), np.float32)


# ---------------------------------------------------------------------- logarithm of 1 + x

# Between the square roots of 1/2 and 2, less 1, log(1 + f) is f - f**2 / 2 + f**3 P(f) but for 2**-27.
_LOGARITHM = (
    0.3333333170770012,
    -0.2500082103434536,
    0.20001226876371878,
    -0.16623357343718576,
    0.1420175799920848,
    -0.1316018239575604,
    0.12761577044565173,
    -0.07634496528104992,
)
_LOG_TWO = (np.float32(355 / 512), np.float32(np.log(2) - 355 / 512))  # few bits, for exact multiples, and the rest


def _logarithm_of_one_plus(xla: Any, x: Array) -> Array:
    where = xla.jnp.where
    is_huge = x > np.float32(2.0**100)
    small = where(is_huge, x * np.float32(2.0**-64), x)
    n = _exponent(xla, 1 + small)
    scale = _power_of_two(xla, -n)
    f = (scale - 1) + small * scale  # (1 + x) / 2**n - 1 without rounding 1 + x; x itself where n is 0
    square = f * f
    n = (n + where(is_huge, np.int32(64), np.int32(0))).astype(np.float32)
    rest = n * _LOG_TWO[1] - (square * np.float32(0.5) - square * f * polynomial(_LOGARITHM, f))
    out = n * _LOG_TWO[0] + (f + rest)
    is_regular = (x > -1) & (x < np.inf) & (x != 0)
    return where(is_regular, out, where(x == -1, np.float32(-np.inf), where(x < -1, np.float32(np.nan), x)))


logarithm_of_one_plus = in_single_precision(_logarithm_of_one_plus, "log1p")

# ---------------------------------------------------------------------- power

# Between the square roots of 1/2 and 2, less 1, the binary logarithm of 1 + f is f P(f) but for 2**-36 of it.
_BINARY_LOGARITHM = (
    1.442695040868705,
    -0.7213475208687425,
    0.4808983613956702,
    -0.36067367483066176,
    0.2885372934582867,
    -0.24045316544270381,
    0.20617535969662762,
    -0.18030060468732248,
    0.1587698018425929,
    -0.1431564275778601,
    0.14474841608412461,
    -0.14283944320286032,
    0.07737054810492933,
)
# For |r| <= 1/2, 2**r is 1 + r P(r) but for 2**-29.
_POWER_OF_TWO = (
    0.693147202855766,
    0.24022647913531517,
    0.05550332469812231,
    0.009618437364485637,
    0.0013398874892741148,
    0.0001535336106008319,
)
_LARGEST_POWER = 160.0  # of two; beyond it, positive or negative, float32 has infinity and zero


def _power(xla: Any, a: Array, b: Array) -> Array:
    lax, where = xla.lax, xla.jnp.where
    size = lax.abs(a)
    n = _exponent(xla, size)
    f = (bits_of(xla, bits_of(xla, size, np.int32) - (n << np.int32(23)), np.float32) - 1).astype(np.float64)
    logarithm = n.astype(np.float64) + f * polynomial(_BINARY_LOGARITHM, f)
    logarithm = where(size == 0, -np.inf, where(size == np.inf, np.inf, logarithm))
    exponent = lax.clamp(-_LARGEST_POWER, logarithm * b.astype(np.float64), _LARGEST_POWER)
    whole = lax.round(exponent, lax.RoundingMethod.TO_NEAREST_EVEN)
    r = (exponent - whole).astype(np.float32)
    whole = whole.astype(np.int32)
    half = whole >> np.int32(1)  # for 2**whole itself may not be a normal number
    value = (1 + r * polynomial(_POWER_OF_TWO, r)) * _power_of_two(xla, half) * _power_of_two(xla, whole - half)
    value = where((size == 1) | (b == 0), np.float32(1), where((a != a) | (b != b), a + b, value))

    is_integer = b == lax.floor(b)
    is_odd = is_integer & (lax.floor(b * np.float32(0.5)) != b * np.float32(0.5))
    value = flip(xla, value, where(is_odd, sign_of(xla, a), np.uint32(0)))
    return where((a < 0) & (a > -np.inf) & ~is_integer, np.float32(np.nan), value)


power = in_single_precision(_power, "pow")

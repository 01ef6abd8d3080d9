"""Trigonometric functions as they are lowered for CPUs, compiled: arguments of every size, against double precision."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import mlx.core as mx

COUNT = 2**16  # more than from where on they are lowered in a way of their own
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 3.4e38, -3.4e38, 1.2e-38, -1.2e-38], np.float32)


def compiled(function: Callable[..., Any], *operands: np.ndarray, dtype: Any = mx.float32) -> np.ndarray:
    with mx.engine("xla"), mx.stream(mx.cpu):
        return np.array(function(*[mx.array(x, dtype) for x in operands]).astype(mx.float32))


def filled(values: Any) -> np.ndarray:
    """The values again and again, so that they are enough."""
    return np.resize(np.array(values, np.float32), COUNT)


def floats_of_every_size(seed: int) -> np.ndarray:
    """Normal floats with random bits."""
    bits = np.random.default_rng(seed).integers(0x00800000, 0x7F800000, COUNT).astype(np.uint32)
    return bits.view(np.float32) * np.where(bits & 1, np.float32(1), np.float32(-1))


def units_in_the_last_place(result: np.ndarray, exact: np.ndarray) -> np.ndarray:
    place = np.spacing(np.maximum(np.abs(exact), 2.0**-126).astype(np.float32))
    return np.abs(result - exact) / place


@pytest.mark.parametrize("name", ["sin", "cos", "tan", "arctan"])
def test_values(name: str) -> None:
    exact = getattr(np, name)
    rng = np.random.default_rng(0)
    for x in (
        floats_of_every_size(1),
        rng.normal(size=COUNT).astype(np.float32),
        (rng.uniform(-1, 1, COUNT) * 1e4).astype(np.float32),
        (np.arange(COUNT) * (np.pi / 2)).astype(np.float32),
    ):
        result = compiled(getattr(mx, name), x)
        assert units_in_the_last_place(result, exact(x.astype(np.float64))).max() < 1.6


def machin(digits: int) -> Fraction:
    """pi = 16 arctan(1/5) - 4 arctan(1/239)"""

    def arctangent(inverse: int) -> Fraction:
        total, power, k = Fraction(0), Fraction(1, inverse), 1
        while power > Fraction(1, 10**digits):
            total += power / k if k % 4 == 1 else -power / k
            power /= inverse**2
            k += 2
        return total

    return 16 * arctangent(5) - 4 * arctangent(239)


PI = machin(90)


def sine_and_cosine(x: Fraction) -> tuple[float, float]:
    """By their series, for small x."""
    sine = cosine = Fraction(0)
    term = Fraction(1)
    for k in range(1, 12, 2):
        cosine += term
        term *= x / k
        sine += term
        term *= -x / (k + 1)
    return float(sine), float(cosine)


@pytest.mark.parametrize(("mantissa", "exponent"), [(16367173, 72), (16367173, 73), (13176795, -22), (13176795, -21)])
def test_arguments_that_nearly_are_a_multiple_of_a_quarter_turn(mantissa: int, exponent: int) -> None:
    x = Fraction(mantissa) * Fraction(2) ** exponent
    quarters = round(x / (PI / 2))
    rest = x - quarters * PI / 2
    assert abs(rest) < 2.0**-20
    sine, cosine = sine_and_cosine(rest)
    expected = [(sine, cosine), (cosine, -sine), (-sine, -cosine), (-cosine, sine)][quarters % 4]
    for function, value in zip((mx.sin, mx.cos), expected, strict=True):
        for sign in (1, -1):
            result = compiled(function, filled([sign * float(x)]))
            wanted = value * (sign if function is mx.sin else 1)
            assert units_in_the_last_place(result, np.full(COUNT, wanted)).max() < 1.6


@pytest.mark.parametrize("name", ["arcsin", "arccos"])
def test_values_of_the_inverses(name: str) -> None:
    rng = np.random.default_rng(1)
    for x in (rng.uniform(-1, 1, COUNT), 1 - rng.random(COUNT) * 1e-3, rng.normal(size=COUNT) * 1e-5):
        x = x.astype(np.float32)
        exact = getattr(np, name)(x.astype(np.float64))
        assert units_in_the_last_place(compiled(getattr(mx, name), x), exact).max() < 2.1


def test_values_of_the_arctangent_of_two() -> None:
    a, b = floats_of_every_size(2), floats_of_every_size(3)
    rng = np.random.default_rng(4)
    c, d = rng.normal(size=(2, COUNT)).astype(np.float32)
    for height, width in ((a, b), (c, d), (c, c * (1 + d * np.float32(1e-3))), (c, np.zeros_like(c))):
        exact = np.arctan2(height.astype(np.float64), width.astype(np.float64))
        exact[np.abs(exact) < 2.0**-126] = 0  # the compiler flushes denormals
        assert units_in_the_last_place(compiled(mx.arctan2, height, width), exact).max() < 1.6


def test_special_pairs() -> None:
    a, b = (x.reshape(-1) for x in np.meshgrid(SPECIAL, SPECIAL))
    expected = np.arctan2(a, b)
    expected[np.abs(expected) < 2.0**-126] *= 0
    result = compiled(mx.arctan2, filled(a), filled(b))[: len(a)]
    np.testing.assert_allclose(result, expected, rtol=2e-7)
    is_number = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(result[is_number]), np.signbit(expected[is_number]))


@pytest.mark.parametrize("name", ["sin", "cos", "tan", "arcsin", "arccos", "arctan"])
def test_special_points(name: str) -> None:
    with np.errstate(invalid="ignore"):
        expected = getattr(np, name)(SPECIAL.astype(np.float64)).astype(np.float32)
    result = compiled(getattr(mx, name), filled(SPECIAL))[: len(SPECIAL)]
    np.testing.assert_allclose(result, expected, rtol=3e-7)
    np.testing.assert_array_equal(np.signbit(result[:2]), np.signbit(expected[:2]))


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
@pytest.mark.parametrize("name", ["sin", "cos", "tan", "arctan"])
def test_half_precision_is_rounded_once(name: str, dtype: Any) -> None:
    x = np.array(mx.array(np.linspace(-600, 600, COUNT), dtype).astype(mx.float32))
    exact = mx.array(getattr(np, name)(x.astype(np.float64)).astype(np.float32))
    np.testing.assert_array_equal(compiled(getattr(mx, name), x, dtype=dtype), np.array(exact.astype(dtype)))

"""Logarithms of 1 + x, powers and remainders as they are lowered for CPUs, compiled, against double precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mlx.core as mx

COUNT = 2**16  # more than from where on they are lowered in a way of their own
SPECIAL = np.array([0.0, -0.0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 1e9, 1e-9, np.inf, -np.inf, np.nan, 1e38], np.float32)


def compiled(function: Callable[..., Any], *operands: np.ndarray, dtype: Any = mx.float32) -> np.ndarray:
    with mx.engine("xla"), mx.stream(mx.cpu):
        return np.array(function(*[mx.array(x.astype(np.float32), dtype) for x in operands]).astype(mx.float32))


def units_in_the_last_place(result: np.ndarray, exact: np.ndarray) -> np.ndarray:
    place = np.spacing(np.maximum(np.abs(exact), 2.0**-126).astype(np.float32))
    return np.abs(result - exact) / place


def single(x: Any) -> np.ndarray:
    return np.asarray(x).astype(np.float32).astype(np.float64)


def test_logarithm_of_one_plus() -> None:
    rng = np.random.default_rng(0)
    normal = rng.normal(size=COUNT)
    for x in (np.abs(normal) * 1e-5, -rng.random(COUNT), -1 + rng.random(COUNT) * 1e-6, normal**2, np.exp(normal * 15)):
        x = single(np.clip(x, -1 + 1e-7, 3e38))
        assert units_in_the_last_place(compiled(mx.log1p, x), np.log1p(x)).max() < 1.6


def test_logarithm_of_one_plus_at_special_points() -> None:
    with np.errstate(all="ignore"):
        expected = np.log1p(SPECIAL.astype(np.float64)).astype(np.float32)
    result = compiled(mx.log1p, np.resize(SPECIAL, COUNT))[: len(SPECIAL)]
    np.testing.assert_allclose(result, expected, rtol=2e-7)
    np.testing.assert_array_equal(np.signbit(result[:2]), [False, True])


def test_powers() -> None:
    rng = np.random.default_rng(1)
    size = np.exp(rng.normal(size=COUNT) * 10)
    for a, b in (
        (np.abs(rng.normal(size=COUNT)), rng.normal(size=COUNT)),
        (size, rng.uniform(-80, 80, COUNT) / np.maximum(np.abs(np.log(size)), 0.1)),  # all but overflow
        (1 + rng.normal(size=COUNT) * 1e-4, rng.normal(size=COUNT) * 1e4),
        (-size, rng.integers(-3, 4, COUNT)),
    ):
        a, b = single(a), single(b)
        exact = np.power(a, b)
        exact[np.abs(exact) < 2.0**-126] = 0  # the compiler flushes denormals
        is_finite = np.abs(exact) < 3.4e38
        result = compiled(mx.power, a, b)
        assert units_in_the_last_place(result[is_finite], exact[is_finite]).max() < 1.1
        assert is_finite.mean() > 0.9


@pytest.mark.parametrize("name", ["power", "remainder"])
def test_special_pairs(name: str) -> None:
    a, b = (x.reshape(-1) for x in np.meshgrid(SPECIAL, SPECIAL))
    with np.errstate(all="ignore"):
        expected = np.power(a, b) if name == "power" else remainder(a, b)
    expected[np.abs(expected) < 2.0**-126] *= 0
    for together in (True, False):  # so that quotients that are too large for a division are among them, and are not
        kept = together | ~(np.abs(single(a)) >= 1e8) | (name == "power")
        result = compiled(getattr(mx, name), np.resize(a[kept], COUNT), np.resize(b[kept], COUNT))[: kept.sum()]
        np.testing.assert_allclose(result, expected[kept], rtol=2e-7)
        is_number = ~np.isnan(result)
        np.testing.assert_array_equal(np.signbit(result)[is_number], np.signbit(expected[kept])[is_number])


def remainder(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    rest = np.fmod(a, b)
    return np.where((rest != 0) & ((rest < 0) != (b < 0)), rest + b, rest)


@pytest.mark.parametrize("spread", [1, 4, 12])
def test_remainders_are_exact(spread: int) -> None:
    rng = np.random.default_rng(spread)
    a, b = np.exp(rng.normal(size=(2, COUNT)) * spread) * rng.choice([-1, 1], (2, COUNT))
    a, b = a.astype(np.float32), b.astype(np.float32)
    quotient_is_small = np.abs(a / b) < 1e8
    assert quotient_is_small.all() == (spread == 1)
    small = np.where(quotient_is_small, a, b)
    for dividend in (a, small):
        np.testing.assert_array_equal(compiled(mx.remainder, dividend, b), remainder(dividend, b))


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
def test_half_precision_is_rounded_once(dtype: Any) -> None:
    x = np.array(mx.array(np.linspace(0.01, 5, COUNT), dtype).astype(mx.float32))
    for function, exact in (
        (mx.log1p, np.log1p(x)),
        (lambda x: mx.power(x, x), x**x),
        (lambda x: mx.remainder(x, 0.5), x % np.float32(0.5)),
    ):
        rounded = mx.array(exact.astype(np.float32)).astype(dtype).astype(mx.float32)
        np.testing.assert_array_equal(compiled(function, x, dtype=dtype), np.array(rounded))

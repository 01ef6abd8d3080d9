"""Scans of a few long lines, which CPUs run in strips, compiled, against NumPy in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx

# Above and below the extent that matters, and such that leave a strip unfilled.
SHAPES = [((20000,), 0), ((4096,), 0), ((4095,), 0), ((20003,), 0), ((3, 9001), 1), ((9001, 3), 0), ((2, 5003, 2), 1)]
FUNCTIONS = {
    "cumsum": np.add,
    "cummax": np.maximum,
    "cummin": np.minimum,
    "logcumsumexp": np.logaddexp,
}


def scanned(name: str, x: np.ndarray, dtype: Any = mx.float32, **options: Any) -> np.ndarray:
    with mx.engine("xla"), mx.stream(mx.cpu):
        return np.array(getattr(mx, name)(mx.array(x, dtype), **options).astype(mx.float64))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("shape", "axis"), SHAPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_values(name: str, shape: tuple[int, ...], axis: int, reverse: bool) -> None:
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    ordered = np.flip(x, axis) if reverse else x
    expected = FUNCTIONS[name].accumulate(ordered.astype(np.float64), axis)
    expected = np.flip(expected, axis) if reverse else expected
    result = scanned(name, x, axis=axis, reverse=reverse)
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=5e-4 if name == "cumsum" else 1e-5)


def test_exclusive_sums_of_integers_are_exact() -> None:
    x = np.random.default_rng(1).integers(-(2**31), 2**31, 10001)
    result = scanned("cumsum", x, mx.int32, inclusive=False)
    wrapped = np.cumsum(x) - x
    np.testing.assert_array_equal(result, wrapped.astype(np.int32))


@pytest.mark.parametrize("place", [3, 2600, 9999])
def test_what_follows_a_nan_or_an_infinity(place: int) -> None:
    x = np.random.default_rng(2).standard_normal(10000).astype(np.float32)
    for special in (np.nan, np.inf, -np.inf):
        x[place] = special
        for name, function in FUNCTIONS.items():
            result = scanned(name, x)
            with np.errstate(invalid="ignore"):
                expected = function.accumulate(x.astype(np.float64))
            np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4, err_msg=f"{name} {special}")


def test_products_after_a_zero_are_zero() -> None:
    x = np.full(10000, 1e5, np.float32)
    x[5] = 0
    np.testing.assert_array_equal(scanned("cumprod", x)[5:], 0)

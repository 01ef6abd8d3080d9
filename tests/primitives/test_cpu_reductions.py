"""Sums and extrema of the shapes that are lowered in a way of their own on CPUs, compiled, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx

# Rows and columns above and below the extents that matter, also such that leave a rest.
REDUCED = [
    ((500, 97), (1,)),
    ((64, 512), (1,)),
    ((700, 47), (1,)),
    ((1100, 31), (1,)),
    ((64, 1000), (1,)),
    ((2, 160, 3, 50), (2, 3)),
    ((2, 160, 3, 50), (3, 2)),
    ((530, 70), (0,)),
    ((40, 13, 70), (0, 1)),
    ((40, 13, 70), (1,)),
    ((40, 13, 70), (0, 2)),
    ((200, 200), (0, 1)),
    ((128, 97), (1,)),
    ((20000, 64), (0,)),
    ((50001,), (0,)),
    ((3, 20000), (1,)),
    ((2000, 40), (0, 1)),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32, np.float16])
@pytest.mark.parametrize(("shape", "axes"), REDUCED)
def test_values(shape: tuple[int, ...], axes: tuple[int, ...], dtype: Any) -> None:
    x = (np.random.default_rng(0).standard_normal(shape) * 8).astype(dtype)
    with mx.engine("xla"), mx.stream(mx.cpu):
        a = mx.array(x, dtype=getattr(mx, x.dtype.name))
        summed = np.array(mx.sum(a, axis=axes))
        largest, smallest = np.array(mx.max(a, axis=axes)), np.array(mx.min(a, axis=axes, keepdims=True))
    exact = x.astype(np.float64).sum(axis=axes)
    assert summed.dtype == dtype
    assert summed.shape == exact.shape
    close = {np.float16: 2e-3, np.float32: 1e-5}.get(dtype, 1e-12) * np.sqrt(x.size / exact.size) * 8
    np.testing.assert_allclose(summed, exact, rtol=close, atol=close)
    np.testing.assert_array_equal(largest, x.max(axis=axes))
    np.testing.assert_array_equal(smallest, x.min(axis=axes, keepdims=True))


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.uint8])
@pytest.mark.parametrize(("shape", "axis"), [((50001,), 0), ((3, 20000), 1), ((700, 97), 1), ((97, 700), 0)])
def test_positions(shape: tuple[int, ...], axis: int, dtype: Any) -> None:
    x = (np.random.default_rng(2).standard_normal(shape) * 8).astype(np.int32).astype(dtype)  # with many ties
    with mx.engine("xla"), mx.stream(mx.cpu):
        a = mx.array(x)
        np.testing.assert_array_equal(np.array(mx.argmax(a, axis=axis)), x.argmax(axis))
        np.testing.assert_array_equal(np.array(mx.argmin(a, axis=axis)), x.argmin(axis))
        if dtype == np.float32:
            x[..., 69] = np.nan
            np.testing.assert_array_equal(np.array(mx.argmax(mx.array(x), axis=axis)), x.argmax(axis))


@pytest.mark.parametrize("place", [0, 40, 96])
def test_nan_and_infinity_are_found_wherever_they_are(place: int) -> None:
    x = np.random.default_rng(1).standard_normal((512, 97)).astype(np.float32)
    x[3, place], x[5, place], x[7, place] = np.nan, np.inf, -np.inf
    x[9] = -np.inf
    with mx.engine("xla"), mx.stream(mx.cpu):
        a = mx.array(x, dtype=getattr(mx, x.dtype.name))
        np.testing.assert_array_equal(np.array(mx.max(a, axis=1)), x.max(axis=1))
        np.testing.assert_array_equal(np.array(mx.min(a, axis=1)), x.min(axis=1))
        np.testing.assert_array_equal(np.array(mx.argmax(a, axis=1)), x.argmax(axis=1))
        np.testing.assert_allclose(np.array(mx.sum(a, axis=1)), x.sum(axis=1), rtol=1e-5, atol=1e-5)
        weights = np.array(mx.softmax(a, axis=1))
    assert np.isnan(weights[[3, 5, 9]]).any(axis=1).all()
    assert weights[7, place] == 0
    np.testing.assert_allclose(weights[[0, 7, 511]].sum(axis=1), 1, rtol=1e-6)

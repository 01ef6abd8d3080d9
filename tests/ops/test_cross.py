"""The cross product: values by hand and from NumPy, broadcasting, dtypes, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx


def close(x: Any, expected: Any, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(np.array(x, np.float64), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("a", "b", "axis", "expected"),
    [
        ([1, 2, 3], [0, 1, 4], -1, [5, -4, 1]),
        ([1, 2], [0, 1], -1, [0, 0, 1]),
        ([1, 2, 3], [0, 1], -1, [-3, 0, 1]),
        ([1, 2], [0, 1, 4], -1, [8, -4, 1]),
        ([[1, 2], [3, 4], [5, 6]], [[0, 1], [4, 9], [16, 25]], 0, [[28, 46], [-16, -44], [4, 14]]),
        ([[1, 2, 3], [4, 5, 6]], [0, 1, 4], -1, [[5, -4, 1], [14, -16, 4]]),
    ],
)
def test_cross(a: Any, b: Any, axis: int, expected: Any) -> None:
    x = mx.linalg.cross(mx.array(a), mx.array(b), axis)
    assert x.dtype == mx.int32
    assert x.tolist() == expected


def test_cross_broadcasts_and_promotes() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 1, 3)), rng.normal(size=(4, 3))
    close(mx.linalg.cross(mx.array(a, mx.float64), mx.array(b, mx.float64)), np.cross(a, b), 1e-12)
    assert mx.linalg.cross(mx.array([1.0, 2.0, 3.0], mx.float16), mx.array([1, 2, 3])).dtype == mx.float16
    true = mx.array([True, True])
    assert mx.linalg.cross(true, mx.array([True, True, True])).tolist() == [True, True, False]
    assert mx.linalg.cross(mx.zeros((0, 3)), mx.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize(
    ("a", "b", "axis", "error"),
    [
        ((3,), (3,), 1, IndexError),
        ((3,), (3,), -2, IndexError),
        ((2, 3), (3,), 1, IndexError),
        ((4,), (4,), -1, ValueError),
        ((1,), (3,), -1, ValueError),
        ((4, 3), (5, 3), -1, ValueError),
        ((3, 2), (3,), 0, ValueError),
        ((3, 4), (5, 3, 4), 0, ValueError),
        ((3,), (3,), None, TypeError),
    ],
)
def test_cross_refuses(a: Any, b: Any, axis: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        mx.linalg.cross(mx.ones(a), mx.ones(b), axis)

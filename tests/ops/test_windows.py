"""Window functions of signal processing, against NumPy's and their symmetry."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx

WINDOWS = ("bartlett", "blackman", "hamming", "hanning")


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("count", [-3, 0, 1, 2, 3, 4, 7, 12, 1000])
def test_values(name: str, count: int) -> None:
    window = getattr(mx, name)(count)
    assert window.dtype == mx.float32
    assert window.shape == (max(count, 0),)
    np.testing.assert_allclose(window, getattr(np, name)(count), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(window, np.array(window)[::-1], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", WINDOWS)
@pytest.mark.parametrize("count", [2.0, None, "3"])
def test_the_number_of_points_is_an_int(name: str, count: Any) -> None:
    with pytest.raises(TypeError, match=rf"^\[{name}\] M must be an int"):
        getattr(mx, name)(count)

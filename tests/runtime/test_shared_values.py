"""What products, convolutions and others use together is computed once in a compiled program, and so are draws."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import mlx.core as mx

USES: dict[str, Callable[[mx.array, mx.array], tuple[mx.array, mx.array]]] = {
    "as it is": lambda h, w: (h @ w, mx.exp(h)),
    "in two shapes": lambda h, w: (h.reshape(-1, 64) @ w, mx.exp(h)),
    "in one other shape": lambda h, w: ((flat := h.reshape(-1, 64)) @ w, mx.exp(flat)),
    "by a convolution": lambda h, w: (mx.conv1d(h, w.T.reshape(64, 1, 64)), mx.exp(h)),
    "without a gradient": lambda h, w: (mx.stop_gradient(h) @ w, mx.exp(h)),
}


@pytest.mark.parametrize("use", USES)
def test_a_value_that_a_product_reads_is_computed_once(use: str, programs: list[str]) -> None:
    x = np.random.default_rng(0).standard_normal((32, 8, 64)).astype(np.float32)
    w = np.random.default_rng(1).standard_normal((64, 64)).astype(np.float32)
    with mx.engine("xla"), mx.stream(mx.cpu):
        product, powers = USES[use](mx.maximum(mx.array(x), 0.5), mx.array(w))
        out = product.reshape(32, 8, 64) + powers.reshape(32, 8, 64)
        mx.eval(out)
    np.testing.assert_allclose(out, np.maximum(x, 0.5) @ w + np.exp(np.maximum(x, 0.5)), rtol=1e-4, atol=1e-4)
    assert programs[-1].count(" maximum(") == 1


def test_numbers_are_drawn_once(programs: list[str]) -> None:
    key = mx.random.key(1)
    with mx.engine("xla"), mx.stream(mx.cpu):
        drawn = mx.random.normal((16, 10), key=key)
        errors = drawn - mx.ones((10,))
        loss, gradient = mx.mean(errors**2), mx.exp(errors)
        mx.eval(loss, gradient)
    with mx.engine("numpy"):
        expected = np.array(mx.random.normal((16, 10), key=key)) - 1
    np.testing.assert_allclose(loss.item(), (expected**2).mean(), rtol=1e-5)
    np.testing.assert_allclose(gradient, np.exp(expected), rtol=1e-4)
    assert programs[-1].count(" shift-left(") == 20  # rounds of the cipher

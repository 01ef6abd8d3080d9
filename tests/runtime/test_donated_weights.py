"""A compiled training step updates its weights where they lie: it neither copies them nor overwrites them too early."""

from __future__ import annotations

import numpy as np
import pytest

import mlx.core as mx

RATE = 0.5
STEPS = 4


def by_hand(x: np.ndarray, weights: list[np.ndarray]) -> list[np.ndarray]:
    """Steps of descent on half the mean square of x through products with the transposed weights, in float64."""
    for _ in range(STEPS):
        values = [x]
        for w in weights:
            values.append(values[-1] @ w.T)
        cotangent = values[-1] / values[-1].size
        gradients = []
        for value, w in zip(values[-2::-1], weights[::-1], strict=True):
            gradients.insert(0, cotangent.T @ value)
            cotangent = cotangent @ w
        weights = [w - RATE * g for w, g in zip(weights, gradients, strict=True)]
    return weights


@pytest.mark.parametrize("shared", [False, True])
def test_weights_are_updated_in_place(shared: bool, programs: list[str]) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((32, 256))
    first = [rng.standard_normal((256, 256)) / 16 for _ in range(1 if shared else 3)]

    def loss(weights: list[mx.array], x: mx.array) -> mx.array:
        for w in weights * 3 if shared else weights:
            x = x @ w.T
        return mx.mean(mx.square(x)) / 2

    with mx.engine("xla"), mx.stream(mx.cpu):
        inputs = mx.array(x.astype(np.float32))
        weights = [mx.array(w.astype(np.float32)) for w in first]
        for _ in range(STEPS):
            gradients = mx.grad(loss)(weights, inputs)
            weights = [w - RATE * g for w, g in zip(weights, gradients, strict=True)]
            mx.eval(weights)
    assert "input_output_alias={" in programs[-1]
    assert not [line for line in programs[-1].splitlines() if "f32[256,256]" in line and " copy(%arg" in line]
    if not shared:
        for w, expected in zip(weights, by_hand(x, first), strict=True):
            np.testing.assert_allclose(w, expected, rtol=1e-4, atol=1e-5)

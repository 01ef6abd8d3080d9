"""`checkpoint`: same values and gradients, from a second run of the function."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn


@pytest.mark.parametrize("engine", ["numpy", "xla"])
def test_gradients_are_those_of_the_function(engine: str) -> None:
    def layer(params: Any, x: Any) -> Any:
        return mx.tanh(x @ params["w"]) * params["b"]

    def loss(params: Any, x: Any, layer: Any) -> Any:
        for _ in range(3):
            x = layer(params, x)
        return (x * x).sum()

    rng = np.random.default_rng(0)
    params = {"w": mx.array(rng.normal(size=(4, 4)), mx.float64), "b": mx.array(rng.normal(size=(4,)), mx.float64)}
    x = mx.array(rng.normal(size=(5, 4)), mx.float64)
    with mx.engine(engine):
        value, expected = mx.value_and_grad(loss)(params, x, layer)
        again, gradient = mx.value_and_grad(loss)(params, x, mx.checkpoint(layer))
        assert again.item() == pytest.approx(value.item(), rel=1e-12)
        for name in params:
            np.testing.assert_allclose(np.array(gradient[name]), np.array(expected[name]), rtol=1e-12)


def test_the_function_runs_again_for_the_gradient() -> None:
    calls = []

    def fun(x: Any, *, scale: float) -> Any:
        calls.append(1)
        return mx.sin(x) * scale

    checkpointed = mx.checkpoint(fun)
    assert checkpointed(mx.array(0.0), scale=2.0).item() == 0.0
    assert len(calls) == 1
    assert mx.grad(checkpointed)(mx.array(0.0), scale=2.0).item() == 2.0
    assert len(calls) == 3


def test_second_derivatives() -> None:
    second = mx.grad(mx.grad(mx.checkpoint(lambda x: x * x * x)))
    assert second(mx.array(2.0)).item() == 12.0


def test_several_outputs_of_which_one_is_used() -> None:
    fun = mx.checkpoint(lambda x, y: {"a": x * y, "b": x + y})
    gradients = mx.grad(lambda x, y: fun(x, y)["a"], argnums=(0, 1))(mx.array(2.0), mx.array(3.0))
    assert [g.item() for g in gradients] == [3.0, 2.0]


def test_a_checkpointed_module() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    x = mx.array(np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3))
    step = nn.value_and_grad(model, lambda x: model(x).sum())
    checkpointed = nn.utils.checkpoint(model)
    again = nn.value_and_grad(model, lambda x: checkpointed(x).sum())
    _, expected = step(x)
    _, gradient = again(x)
    for name in ("weight", "bias"):
        left, right = gradient["layers"][0][name], expected["layers"][0][name]
        np.testing.assert_allclose(np.array(left), np.array(right), rtol=1e-6)


def test_depends_returns_its_inputs() -> None:
    x, y = mx.array([1.0, 2.0]), mx.array(3.0)
    assert mx.depends(x, y).tolist() == [1.0, 2.0]
    assert [z.tolist() for z in mx.depends([x, y], [x])] == [[1.0, 2.0], 3.0]
    assert mx.grad(lambda x: (mx.depends(x * 2, y) * 3).sum())(x).tolist() == [6.0, 6.0]
    with pytest.raises(TypeError, match="dependencies must be an array"):
        mx.depends(x, 3)

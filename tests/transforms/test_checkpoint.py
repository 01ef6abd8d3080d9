"""`checkpoint`: same values and gradients, from a second run of the function."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn
from mlx.runtime import compiler


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


def test_python_runs_once_a_call() -> None:
    calls = []

    def fun(x: Any, *, scale: float) -> Any:
        calls.append(1)
        return mx.sin(x) * scale

    checkpointed = mx.checkpoint(fun)
    assert checkpointed(mx.array(0.0), scale=2.0).item() == 0.0
    assert len(calls) == 1
    assert mx.grad(checkpointed)(mx.array(0.0), scale=2.0).item() == 2.0
    assert len(calls) == 2


def test_gradients_reach_what_is_captured() -> None:
    x = mx.array([1.0, 2.0])
    assert mx.grad(lambda w: mx.checkpoint(lambda x: (x * w).sum())(x))(mx.array(3.0)).item() == 3.0
    assert mx.grad(lambda w: mx.checkpoint(lambda x: (x * w).sum())(x * w))(mx.array(3.0)).item() == 18.0


def test_the_same_random_numbers_are_drawn_again() -> None:
    mx.random.seed(0)
    x = mx.ones(100)

    def dropped(x: Any) -> Any:
        return mx.sin(x * mx.random.bernoulli(0.5, (100,)))

    y, gradient = mx.value_and_grad(lambda x: (mx.checkpoint(dropped)(x), None)[0].sum())(x)
    kept = np.array(gradient) != 0
    np.testing.assert_allclose(np.array(gradient)[kept], np.cos(1.0), rtol=1e-6)
    assert y.item() == pytest.approx(kept.sum() * np.sin(1.0), rel=1e-5)
    assert 20 < kept.sum() < 80


def test_evaluating_inside_is_allowed() -> None:
    def fun(x: Any) -> Any:
        y = mx.sin(x)
        return y * 2 if y.sum().item() > 0 else y * 3

    gradient = mx.grad(lambda x: mx.checkpoint(fun)(x).sum())
    for sign, factor in ((1.0, 2.0), (-1.0, 3.0)):
        x = np.array([0.5, 1.0]) * sign
        np.testing.assert_allclose(np.array(gradient(mx.array(x, mx.float64))), factor * np.cos(x), rtol=1e-12)


def test_nested_checkpoints() -> None:
    inner = mx.checkpoint(mx.sin)
    outer = mx.checkpoint(lambda x: inner(inner(x)) * x)
    x = 0.7
    slope = np.cos(np.sin(x)) * np.cos(x) * x + np.sin(np.sin(x))
    assert mx.grad(outer)(mx.array(x, mx.float64)).item() == pytest.approx(slope, rel=1e-12)


@pytest.mark.parametrize("engine", ["numpy", "xla"])
def test_with_other_transforms(engine: str) -> None:
    fun = mx.checkpoint(lambda x, w: mx.sin(x) * w)
    x, w = np.array([0.5, 1.0, -2.0]), np.array([2.0, 3.0, 4.0])
    a, b = mx.array(x, mx.float64), mx.array(w, mx.float64)
    one = mx.ones(3, mx.float64)
    with mx.engine(engine):
        _, (pushed,) = mx.jvp(fun, [a, b], [one, one])
        np.testing.assert_allclose(np.array(pushed), np.cos(x) * w + np.sin(x), rtol=1e-12)
        for mapped in (mx.vmap(mx.grad(fun, argnums=(0, 1))), mx.grad(lambda x, w: mx.vmap(fun)(x, w).sum(), (0, 1))):
            by_x, by_w = mapped(a, b)
            np.testing.assert_allclose(np.array(by_x), np.cos(x) * w, rtol=1e-12)
            np.testing.assert_allclose(np.array(by_w), np.sin(x), rtol=1e-12)
        shared = mx.grad(lambda x, w: mx.vmap(fun, in_axes=(0, None))(x, w).sum(), (0, 1))
        by_x, by_w = shared(a, b[0])
        np.testing.assert_allclose(np.array(by_x), np.cos(x) * w[0], rtol=1e-12)
        assert by_w.item() == pytest.approx(np.sin(x).sum(), rel=1e-12)
        compiled = mx.compile(mx.grad(lambda x, w: fun(x, w).sum()))
        for _ in range(2):
            np.testing.assert_allclose(np.array(compiled(a, b)), np.cos(x) * w, rtol=1e-12)
        around = mx.grad(lambda x: mx.compile(fun)(x, b).sum())
        for _ in range(2):
            np.testing.assert_allclose(np.array(around(a)), np.cos(x) * w, rtol=1e-12)
        second = mx.hvp(lambda x: fun(x, b).sum())
        np.testing.assert_allclose(np.array(second(one, a)), -np.sin(x) * w, rtol=1e-12)


def test_shapeless_compile_of_and_inside() -> None:
    fun = mx.checkpoint(lambda x: mx.sin(x).sum() * x)
    inside = mx.compile(mx.grad(lambda x: fun(x).sum()), shapeless=True)
    around = mx.compile(fun, shapeless=True)
    for size in (2, 3, 5):
        x = np.linspace(0.1, 1.0, size)
        expected = np.cos(x) * x.sum() + np.sin(x).sum()
        np.testing.assert_allclose(np.array(inside(mx.array(x, mx.float64))), expected, rtol=1e-12)
        gradient = mx.grad(lambda x: around(x).sum())(mx.array(x, mx.float64))
        np.testing.assert_allclose(np.array(gradient), expected, rtol=1e-12)


# ------------------------------------------------------------------ memory

LAYERS, WIDTH, BATCH = 8, 64, 2048
ACTIVATION = BATCH * WIDTH * 4  # bytes


def deep_network(checkpointed: bool) -> tuple[Any, list[mx.array], mx.array]:
    """The gradient of a loss through layers of several activations each."""

    def block(x: Any, w: Any) -> Any:
        h = x @ w
        for _ in range(6):
            h = mx.tanh(h) * mx.sigmoid(h) + mx.sin(h)
        return x + h

    layer = mx.checkpoint(block) if checkpointed else block

    def loss(weights: list[Any], x: Any) -> Any:
        for w in weights:
            x = layer(x, w)
        return (x * x).mean()

    rng = np.random.default_rng(0)
    weights = [mx.array(rng.normal(size=(WIDTH, WIDTH)).astype(np.float32) * 0.1) for _ in range(LAYERS)]
    x = mx.array(rng.normal(size=(BATCH, WIDTH)).astype(np.float32))
    mx.eval(weights, x)
    return mx.grad(loss), weights, x


@pytest.mark.parametrize("compiled", [False, True])
def test_temporary_memory_of_the_compiled_program_falls(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    executables: list[Any] = []
    compile_plan = compiler.Compiled._compile

    def noted(self: Any, arguments: list[Any]) -> Any:
        executables.append(compile_plan(self, arguments))
        return executables[-1]

    monkeypatch.setattr(compiler.Compiled, "_compile", noted)
    temporary, gradients = [], []
    for checkpointed in (False, True):
        gradient, weights, x = deep_network(checkpointed)
        executables.clear()
        with mx.engine("xla"):
            result = (mx.compile(gradient) if compiled else gradient)(weights, x)
            mx.eval(result)
        gradients.append([np.array(g) for g in result])
        temporary.append(max(executable.memory_analysis().temp_size_in_bytes for executable in executables))
        if checkpointed:
            assert "opt-barrier(" in executables[-1].as_text()  # to the end, or nothing holds the order
    # What each layer reads is kept, and besides it no more than one layer works with.
    assert temporary[1] < (LAYERS + 4) * ACTIVATION
    assert temporary[0] > 10 * LAYERS * ACTIVATION
    for left, right in zip(*gradients, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("compiled", [False, True])
def test_peak_memory_of_the_interpreter_falls(compiled: bool) -> None:
    peaks = []
    for checkpointed in (False, True):
        gradient, weights, x = deep_network(checkpointed)
        if compiled:
            gradient = mx.compile(gradient)
        with mx.engine("numpy"):
            tracemalloc.start()
            mx.eval(gradient(weights, x))
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < peaks[0] / 4  # all values of one layer and what the others read, instead of all values of eight


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

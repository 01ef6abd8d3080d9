"""`stop_gradient` and `depends` under every transform."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx

ENGINES = ("numpy", "xla")
X = np.array([0.5, 1.0, -2.0])


def points() -> mx.array:
    return mx.array(X, mx.float64)


def half_stopped(x: Any) -> Any:
    """x times a constant that happens to be sin x."""
    return x * mx.stop_gradient(mx.sin(x))


@pytest.mark.parametrize("engine", ENGINES)
def test_reverse_mode(engine: str) -> None:
    with mx.engine(engine):
        for gradient in (
            mx.grad(lambda x: half_stopped(x).sum()),
            lambda x: mx.vjp(half_stopped, [x], [mx.ones_like(x)])[1][0],
            mx.grad(lambda x: mx.checkpoint(half_stopped)(x).sum()),
            mx.compile(mx.grad(lambda x: half_stopped(x).sum())),
            mx.grad(lambda x: mx.compile(half_stopped)(x).sum()),
            mx.vmap(mx.grad(half_stopped)),
            mx.grad(lambda x: mx.vmap(half_stopped)(x).sum()),
        ):
            np.testing.assert_allclose(np.array(gradient(points())), np.sin(X), rtol=1e-12)
        assert mx.grad(lambda x: mx.stop_gradient(x).sum())(points()).tolist() == [0.0] * 3


@pytest.mark.parametrize("engine", ENGINES)
def test_forward_mode(engine: str) -> None:
    with mx.engine(engine):
        ones = mx.ones(3, mx.float64)
        _, (pushed,) = mx.jvp(half_stopped, [points()], [ones])
        np.testing.assert_allclose(np.array(pushed), np.sin(X), rtol=1e-12)
        np.testing.assert_allclose(np.array(mx.jacfwd(half_stopped)(points())), np.diag(np.sin(X)), rtol=1e-12)
        _, push_forward = mx.linearize(half_stopped)(points())
        np.testing.assert_allclose(np.array(push_forward(ones)), np.sin(X), rtol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_second_derivatives(engine: str) -> None:
    """What is stopped is a constant to the first derivative, which differentiates the outer factor only."""
    with mx.engine(engine):
        second = mx.grad(lambda x: mx.grad(lambda x: (half_stopped(x) * x).sum())(x).sum())(points())
        np.testing.assert_allclose(np.array(second), 2 * np.sin(X), rtol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_mapped_over_an_axis(engine: str) -> None:
    with mx.engine(engine):
        x = mx.array([[1.0, 2.0], [3.0, 4.0]])
        assert mx.vmap(mx.stop_gradient, in_axes=1, out_axes=1)(x).tolist() == x.tolist()


@pytest.mark.parametrize("engine", ENGINES)
def test_depends_under_every_transform(engine: str) -> None:
    def fun(x: Any) -> Any:
        a, b = mx.depends([mx.sin(x), x * x], [mx.exp(x)])
        return a * b

    value = np.sin(X) * X**2
    slope = np.cos(X) * X**2 + 2 * X * np.sin(X)
    ones = mx.ones(3, mx.float64)
    with mx.engine(engine):
        for function in (fun, mx.compile(fun), mx.vmap(fun), mx.checkpoint(fun)):
            np.testing.assert_allclose(np.array(function(points())), value, rtol=1e-12)
            gradient = mx.grad(lambda x, function=function: function(x).sum())
            np.testing.assert_allclose(np.array(gradient(points())), slope, rtol=1e-12)
            _, (pushed,) = mx.jvp(function, [points()], [ones])
            np.testing.assert_allclose(np.array(pushed), slope, rtol=1e-12)

"""Backward passes that are recorded again: each function comes often enough for its pass to be known, and is then told
from what only resembles it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn
from mlx.ir.outline import Outlines
from mlx.primitives.recipe import Recipe
from mlx.transforms import reverse

TIMES = 5  # a pass is learned the second time


@pytest.fixture(autouse=True)
def taken(monkeypatch: pytest.MonkeyPatch) -> list[Recipe]:
    """The passes that were recorded again; none is known before the test."""
    found: list[Recipe] = []
    finish = Recipe._from

    def noted(self: Recipe, sources: Any, outputs: Any) -> list[Any]:
        found.append(self)
        return finish(self, sources, outputs)

    monkeypatch.setattr(Recipe, "_from", noted)
    monkeypatch.setattr(reverse, "_known", Outlines())
    return found


def test_the_pass_of_a_loop_is_recorded_again(taken: list[Recipe]) -> None:
    w = mx.array([1.0, -2.0])
    for step in range(TIMES):
        x = mx.array([float(step), 1.0])
        gradient = mx.grad(lambda w, x=x: ((w * x) ** 2).sum())(w)
        assert gradient.tolist() == [2.0 * step * step, -4.0]
    assert len(taken) == TIMES - 2


@pytest.mark.parametrize("power", [2, 3, 0.5, 1, 0])
def test_a_number_that_a_rule_looks_at(power: float) -> None:
    for _ in range(TIMES):
        assert mx.grad(lambda x: x**2.5)(mx.array(4.0)).item() == pytest.approx(2.5 * 4**1.5)
    for _ in range(TIMES):
        assert mx.grad(lambda x: x**power)(mx.array(4.0)).item() == pytest.approx(power * 4 ** (power - 1))


def test_a_factor_that_changes_in_every_step() -> None:
    for step in range(1, 12):
        assert mx.grad(lambda x, step=step: (x * x * float(step)).sum())(mx.array([3.0])).item() == 6.0 * step


def test_starts_of_slices_that_change() -> None:
    x = mx.arange(8.0)
    for start in range(6):
        gradient = mx.grad(lambda x, start=start: (x[start : start + 2] * 3).sum())(x)
        assert gradient.tolist() == [3.0 if start <= i < start + 2 else 0.0 for i in range(8)]


def test_other_cotangents(taken: list[Recipe]) -> None:
    for cotangent in (1.0, 2.0, 3.0, 4.0, 0.0):
        _, (product,) = mx.vjp(mx.sin, [mx.array(0.0)], [mx.array(cotangent)])
        assert product.item() == cotangent
    assert taken


def test_the_same_steps_from_other_arguments() -> None:
    def product(x: Any, y: Any) -> Any:
        return (x * y * y).sum()

    x, y = mx.array([2.0]), mx.array([5.0])
    for _ in range(TIMES):
        assert mx.grad(product, argnums=0)(x, y).item() == 25.0
        assert mx.grad(product, argnums=1)(x, y).item() == 20.0
        assert [g.item() for g in mx.grad(product, argnums=(0, 1))(x, y)] == [25.0, 20.0]
        assert mx.grad(product, argnums=(0, 1))(x, x)[0].item() == 4.0


def test_a_function_that_returns_something_else_of_the_same_steps() -> None:
    def steps(x: Any, first: bool) -> Any:
        a, b = x * 2.0, x * 3.0
        return a if first else b

    for first in (True, True, True, False, True, False):
        assert mx.grad(steps)(mx.array(1.0), first).item() == (2.0 if first else 3.0)


def test_what_is_evaluated_in_between() -> None:
    def fun(x: Any, looks: bool) -> Any:
        y = x * x
        if looks:
            assert y.item() == 9.0
        return y * y

    for looks in (False, False, False, True, False, True, True, True, False):
        assert mx.grad(fun)(mx.array(3.0), looks).item() == 108.0


def test_an_array_of_the_function_in_the_place_of_one_from_outside() -> None:
    outside = mx.array(3.0)
    for _ in range(TIMES):
        assert mx.grad(lambda x: (x * x) * outside)(mx.array(2.0)).item() == 12.0
    assert mx.grad(lambda x: (x * x) * x)(mx.array(2.0)).item() == 12.0
    assert mx.grad(lambda x: (outside * outside) * x)(mx.array(2.0)).item() == 9.0


def test_rules_of_the_user_are_asked_every_time(taken: list[Recipe]) -> None:
    asked = []

    @mx.custom_function
    def double(x: Any) -> Any:
        return x * 2

    @double.vjp
    def double_vjp(primal: Any, cotangent: Any, output: Any) -> Any:
        asked.append(1)
        return cotangent * len(asked)

    for _ in range(TIMES):
        gradient = mx.grad(double)(mx.array(1.0))
        assert gradient.item() == len(asked)
    assert len(asked) == TIMES
    assert not taken


def test_derivatives_of_derivatives(taken: list[Recipe]) -> None:
    third = mx.grad(mx.grad(mx.grad(lambda x: mx.sin(x) * x)))
    for step in range(TIMES):
        x = 0.3 + step
        assert third(mx.array(x)).item() == pytest.approx(-3 * np.sin(x) - x * np.cos(x), rel=1e-5)
    assert taken


def test_under_vmap_and_compile(taken: list[Recipe]) -> None:
    x = mx.array([1.0, 2.0, 3.0])
    for _ in range(TIMES):
        assert mx.vmap(mx.grad(lambda x: x**3))(x).tolist() == pytest.approx([3.0, 12.0, 27.0])
        assert mx.compile(lambda x: mx.grad(lambda x: (x**3).sum())(x))(x).tolist() == pytest.approx([3.0, 12.0, 27.0])
    assert taken


def test_a_checkpoint_computes_again_every_time() -> None:
    x = mx.array([0.5, 1.0])
    for _ in range(TIMES):
        gradient = mx.grad(lambda x: mx.checkpoint(lambda x: mx.tanh(x) ** 2)(x).sum())(x)
        np.testing.assert_allclose(gradient, 2 * np.tanh([0.5, 1.0]) / np.cosh([0.5, 1.0]) ** 2, rtol=1e-5)


def test_a_layer_that_changes_its_mode(taken: list[Recipe]) -> None:
    norm = nn.BatchNorm(2)
    x = mx.array([[1.0, 2.0], [3.0, 6.0]])
    norm(x)
    for training in (True, True, True, False, False, False, True, False):
        norm.train(training)
        gradient = mx.grad(lambda x: (norm(x)[0]).sum())(x)
        if training:  # the sum of a normalised pair of each column is zero, so opposite elements pull the same way
            np.testing.assert_allclose(gradient.sum(axis=0), [0.0, 0.0], atol=1e-5)
        else:
            np.testing.assert_allclose(gradient[1], [0.0, 0.0], atol=1e-7)
            assert (np.array(gradient[0]) > 0).all()
    assert taken


def test_a_sequence_that_is_longer_each_time() -> None:
    def last(w: Any, steps: int) -> Any:
        x = w
        for _ in range(steps):
            x = x * w
        return x

    for steps in (1, 2, 3, 3, 3, 2, 1, 4):
        assert mx.grad(last)(mx.array(2.0), steps).item() == (steps + 1) * 2.0**steps

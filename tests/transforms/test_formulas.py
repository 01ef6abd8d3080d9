"""Formulas that are recorded as one step: told by key and kinds, and never where they read something else."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import mlx.core as mx
from mlx.core.formulas import Formulas

TIMES = 4


class Counted:
    """A formula, and how often it was computed step by step."""

    def __init__(self, formulas: Formulas) -> None:
        self.formulas = formulas
        self.computed = 0

    def __call__(self, x: Any, y: Any, factor: float = 2.0) -> tuple[Any, Any]:
        def compute() -> list[Any]:
            self.computed += 1
            total = mx.exp(x * factor) * y + x
            return [total, total * total]

        first, second = self.formulas(factor, [x, y], compute)
        return first, second


@pytest.fixture
def counted() -> Counted:
    return Counted(Formulas())


def test_it_is_computed_once_for_each_key_and_kind(counted: Counted) -> None:
    one = mx.array([0.0])
    for step in range(TIMES):
        first, second = counted(one, mx.array([float(step)]))
        assert [first.item(), second.item()] == [step, step * step]
    assert counted.computed == 1
    counted(one, mx.array([1.0]), 3.0)
    assert counted.computed == 2
    assert counted(one.astype(mx.float16), mx.array([1.0], mx.float16))[0].dtype == mx.float16
    assert counted(mx.zeros(3), mx.ones(3))[0].shape == (3,)
    assert counted.computed == 4
    assert counted(mx.array([0.0]), mx.array([5.0]))[0].item() == 5.0
    assert counted.computed == 4


def test_an_array_that_is_given_twice(counted: Counted) -> None:
    x = mx.array([0.0])
    assert counted(x, x)[0].item() == 0.0  # which of the two an operand was cannot be told
    assert counted(mx.array([0.0]), mx.array([4.0]))[0].item() == 4.0
    assert counted.computed == 2
    y = mx.array([1.0])
    assert counted(y, y)[0].item() == pytest.approx(2.718281828**2 + 1)
    assert counted.computed == 2


def test_an_array_from_outside_is_read_anew() -> None:
    formulas = Formulas()
    x = mx.array([1.0])
    for step in range(TIMES):
        outside = mx.array([float(step)])
        (result,) = formulas(None, [x], lambda outside=outside: [mx.exp(x - 1) * outside + 1 - 1])
        assert result.item() == step


def test_inside_of_transforms_every_step_is_there(counted: Counted) -> None:
    x, y = mx.array(0.0), mx.array(3.0)
    for _ in range(TIMES):
        counted(x, y)
        assert mx.grad(lambda x: counted(x, y)[0])(x).item() == 7.0
        assert mx.vmap(lambda x: counted(x, y)[0])(mx.zeros(2)).tolist() == [3.0, 3.0]
        assert mx.compile(lambda x, y: counted(x, y)[0])(x, y).item() == 3.0


def test_copies_begin_anew() -> None:
    formulas = Formulas()
    x = mx.array([1.0])
    formulas(None, [x], lambda: [x * 2 + 1])
    for other in (copy.deepcopy(formulas), pickle.loads(pickle.dumps(formulas))):
        (result,) = other(None, [x], lambda: [x * 3 + 1])
        assert result.item() == 4.0

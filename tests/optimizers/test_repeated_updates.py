"""Updates that are recorded as one step: the same numbers as by the formula itself, whatever changes in between."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mlx.core as mx
import mlx.optimizers as optim
from mlx.optimizers import Optimizer
from mlx.utils import tree_flatten

STEPS = 6

MAKERS: dict[str, Callable[[], Optimizer]] = {
    "SGD": lambda: optim.SGD(0.1, momentum=0.9, weight_decay=0.01, nesterov=True, dampening=0.0),
    "SGD, plain": lambda: optim.SGD(0.1),
    "RMSprop": lambda: optim.RMSprop(0.01),
    "Adagrad": lambda: optim.Adagrad(0.1),
    "AdaDelta": lambda: optim.AdaDelta(0.1),
    "Adam": lambda: optim.Adam(0.1),
    "Adam, corrected": lambda: optim.Adam(0.1, betas=[0.8, 0.9], bias_correction=True),
    "AdamW": lambda: optim.AdamW(0.1, weight_decay=0.1),
    "Adamax": lambda: optim.Adamax(0.1),
    "Lion": lambda: optim.Lion(0.01, weight_decay=0.1),
    "Adafactor": lambda: optim.Adafactor(0.1, relative_step=False),
    "Adafactor, relative": lambda: optim.Adafactor(),
    "Muon": lambda: optim.Muon(0.1),
    "scheduled": lambda: optim.AdamW(optim.cosine_decay(0.1, 10)),
}


def parameters() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "w": mx.array(rng.normal(size=(4, 3)).astype(np.float32)),
        "layers": [
            {"w": mx.array(rng.normal(size=(3, 3)).astype(np.float32))},
            {"b": mx.array(np.ones(3, np.float32))},
        ],
    }


def gradients(step: int) -> dict[str, Any]:
    rng = np.random.default_rng(step + 1)
    return {
        "w": mx.array(rng.normal(size=(4, 3)).astype(np.float32)),
        "layers": [
            {"w": mx.array(rng.normal(size=(3, 3)).astype(np.float32))},
            {"b": mx.array(rng.normal(size=3).astype(np.float32))},
        ],
    }


def leaves(tree: Any) -> list[Any]:
    return [np.array(leaf).tolist() for _, leaf in tree_flatten(tree)]


def trained(optimizer: Optimizer, between: Callable[[Optimizer, int], Any] | None = None) -> tuple[Any, Any]:
    params = parameters()
    for step in range(STEPS):
        if between is not None:
            between(optimizer, step)
        params = optimizer.update(params, gradients(step))
        mx.eval(params, optimizer.state)
    return leaves(params), leaves(optimizer.state)


def by_the_formula(make: Callable[[], Optimizer], monkeypatch: pytest.MonkeyPatch, *between: Any) -> tuple[Any, Any]:
    """What the same updates give if each is recorded by the formula."""
    with monkeypatch.context() as patch:
        patch.setattr(Optimizer, "_settings", lambda self: None)
        return trained(make(), *between)


@pytest.mark.parametrize("name", MAKERS)
def test_every_optimizer(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make = MAKERS[name]
    optimizer = make()
    applied = []
    single = type(optimizer).apply_single

    def counted(self: Any, *arguments: Any) -> Any:
        applied.append(1)
        return single(self, *arguments)

    monkeypatch.setattr(type(optimizer), "apply_single", counted)
    results = trained(optimizer)
    assert len(applied) in (3, 6)  # in the first step, and the second if the first one made a step scalar
    assert results == by_the_formula(make, monkeypatch)


@pytest.mark.parametrize("name", ["eps", "bias_correction", "weight_decay", "betas"])
def test_a_setting_that_changes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(optimizer: Any, step: int) -> None:
        if step == 3:
            value = {"eps": 0.1, "bias_correction": True, "weight_decay": 0.5, "betas": (0.5, 0.5)}[name]
            setattr(optimizer, name, value)

    def make() -> Optimizer:
        return optim.AdamW(0.1)

    changed = trained(make(), change)
    assert changed == by_the_formula(make, monkeypatch, change)
    assert changed != trained(make())


def test_a_list_of_settings_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(optimizer: Any, step: int) -> None:
        if step == 3:
            optimizer.betas[0] = 0.5

    def make() -> Optimizer:
        return optim.Adam(0.1, betas=[0.9, 0.999])

    changed = trained(make(), change)
    assert changed == by_the_formula(make, monkeypatch, change)
    assert changed != trained(make())


def test_a_learning_rate_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(optimizer: Any, step: int) -> None:
        optimizer.learning_rate = 0.1 * (step + 1)

    def make() -> Optimizer:
        return optim.Adam(0.1)

    assert trained(make(), change) == by_the_formula(make, monkeypatch, change)


def test_formulas_of_others_are_asked_every_time() -> None:
    class Growing(optim.SGD):
        calls = 0

        def apply_single(self, gradient: Any, parameter: Any, state: Any) -> Any:
            Growing.calls += 1
            return parameter - Growing.calls * gradient

    optimizer = Growing(0.1)
    w = mx.array([0.0])
    for _ in range(4):
        w = optimizer.update({"w": w}, {"w": mx.array([1.0])})["w"]
    assert w.item() == -10.0


def test_a_formula_that_an_object_was_given() -> None:
    optimizer = optim.SGD(1.0)
    w = mx.array([0.0])
    w = optimizer.update({"w": w}, {"w": mx.array([1.0])})["w"]
    w = optimizer.update({"w": w}, {"w": mx.array([1.0])})["w"]
    optimizer.apply_single = lambda gradient, parameter, state: parameter + gradient
    w = optimizer.update({"w": w}, {"w": mx.array([1.0])})["w"]
    assert w.item() == -1.0


def test_some_of_the_gradients() -> None:
    optimizer = optim.SGD(1.0, momentum=0.5)
    params = {"a": mx.array([0.0]), "b": mx.array([0.0])}
    one = mx.array([1.0])
    for given in (("a", "b"), ("a",), ("a",), ("b",), ("a", "b"), ("b", "a")):
        params = optimizer.update(params, dict.fromkeys(given, one))
    velocity, position = 0.0, 0.0
    for _ in range(5):
        velocity = 0.5 * velocity + 1
        position -= velocity
    assert params["a"].item() == position
    velocity, position = 0.0, 0.0
    for _ in range(4):
        velocity = 0.5 * velocity + 1
        position -= velocity
    assert params["b"].item() == position


def test_gradients_of_another_width() -> None:
    optimizer = optim.SGD(1.0, momentum=0.5)
    w = mx.array([0.0])
    for dtype in (mx.float32, mx.float16, mx.float16, mx.float32, mx.bfloat16):
        w = optimizer.update({"w": w}, {"w": mx.array([1.0], dtype)})["w"]
    velocity, position = 0.0, 0.0
    for _ in range(5):
        velocity = 0.5 * velocity + 1
        position -= velocity
    assert w.item() == pytest.approx(position, rel=1e-3)


def test_parameters_that_are_one_array() -> None:
    for shared_first in (True, False):
        optimizer = optim.SGD(1.0)
        for step in range(4):
            a, b = mx.array([1.0]), mx.array([2.0])
            if shared_first == (step < 2):
                b = a
            params = optimizer.update({"a": a, "b": b}, {"a": mx.array([0.5]), "b": mx.array([0.25])})
            assert params["a"].item() == 0.5
            assert params["b"].item() == b.item() - 0.25


def test_a_failed_update_changes_nothing() -> None:
    optimizer = optim.Adam(0.1)
    params = parameters()
    for step in range(3):
        params = optimizer.update(params, gradients(step))
    before = leaves(optimizer.state)
    bad = gradients(3)
    bad["layers"][1]["b"] = mx.zeros(5)
    with pytest.raises(ValueError, match=r"gradients\['layers'\]\[1\]\['b'\]"):
        optimizer.update(params, bad)
    assert leaves(optimizer.state) == before


def test_copies_and_pickles_go_on() -> None:
    optimizer = optim.AdamW(0.1)
    params = parameters()
    for step in range(3):
        params = optimizer.update(params, gradients(step))
    expected = leaves(copy.deepcopy(optimizer).update(params, gradients(3)))
    assert leaves(pickle.loads(pickle.dumps(optimizer)).update(params, gradients(3))) == expected
    assert leaves(copy.copy(optimizer).update(params, gradients(3))) == expected

"""Shapes that change with every step: how many of them are compiled, and which."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.runtime import calls, engine
from mlx.runtime import evaluate as evaluation
from mlx.runtime.compiler import Compiled

FORMS = ("undecorated", "compiled", "shapeless")


class Compilations:
    """Programs that are compiled from now on; one that is compiled again to overwrite its inputs is the same."""

    def __init__(self) -> None:
        self.programs: list[Compiled] = []

    @property
    def number(self) -> int:
        return len(self.programs)


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> Compilations:
    """A runtime that has seen nothing yet, and what it compiles."""
    evaluation.evaluate_held()
    monkeypatch.setattr(evaluation, "_programs", evaluation.Programs())
    monkeypatch.setattr(calls, "_kept", OrderedDict())
    monkeypatch.setattr(engine, "_families", defaultdict(engine.Family))
    monkeypatch.setattr(engine.Candidate, "compiled_nodes", 0)
    monkeypatch.setattr(engine, "ASKED_AT_ONCE", 5)  # as 8 would be, in less time
    found = Compilations()
    compile_ = Compiled._compile

    def noted(program: Compiled, arguments: Any) -> Any:
        if program not in found.programs:
            found.programs.append(program)
        return compile_(program, arguments)

    monkeypatch.setattr(Compiled, "_compile", noted)
    return found


def in_form(form: str, fun: Callable[..., Any]) -> Callable[..., Any]:
    return fun if form == "undecorated" else mx.compile(fun, shapeless=form == "shapeless")


def chain(x: mx.array) -> mx.array:
    """Worth compiling from a few thousand elements."""
    y = x
    for _ in range(10):
        y = mx.sin(y) * mx.exp(y) + x
    return y


def elements(number: int) -> mx.array:
    return mx.array(np.linspace(-1, 0, number, dtype=np.float32))


def as_numpy_has_it(number: int) -> Any:
    x = y = np.linspace(-1, 0, number, dtype=np.float32)
    for _ in range(10):
        y = np.sin(y) * np.exp(y) + x
    return y


@pytest.mark.parametrize(("form", "most"), [("undecorated", 1), ("compiled", 5), ("shapeless", 5)])
def test_ever_other_lengths(form: str, most: int, compilations: Compilations) -> None:
    fun = in_form(form, chain)
    for number in range(20_000, 20_040):
        y = fun(elements(number))
        np.testing.assert_allclose(np.array(y), as_numpy_has_it(number), rtol=1e-5, atol=1e-6)
    assert compilations.number == most


@pytest.mark.parametrize(("form", "most"), [("undecorated", 4), ("compiled", 5)])
def test_loops_of_ever_other_lengths(form: str, most: int, compilations: Compilations) -> None:
    def repeated(x: mx.array, times: int) -> mx.array:
        for _ in range(times):
            x = mx.sin(x) * 1.5
        return x

    fun = in_form(form, repeated)
    x = elements(40_000)
    for times in range(5, 20):
        mx.eval(fun(x, times))
    assert compilations.number == most


@pytest.mark.parametrize("form", ["undecorated", "compiled"])
def test_training_on_sequences_of_ever_other_lengths(form: str, compilations: Compilations) -> None:
    mx.random.seed(0)
    model = nn.TransformerEncoderLayer(32, 2, 64, norm_first=True)
    optimizer = optim.AdamW(1e-2)

    def loss(model: nn.TransformerEncoderLayer, x: mx.array) -> mx.array:
        return mx.mean((model(x, None) - x[:, ::-1]) ** 2)

    def update(x: mx.array) -> mx.array:
        value, gradients = nn.value_and_grad(model, partial(loss, model))(x)
        optimizer.update(model, gradients)
        return value

    state = [model.state, optimizer.state]
    step = update if form == "undecorated" else mx.compile(update, inputs=state, outputs=state)
    lengths = np.random.default_rng(0).permutation(np.arange(16, 36))
    rng = np.random.default_rng(1)
    losses = []
    for length in lengths:
        value = step(mx.array(rng.standard_normal((4, int(length), 32), dtype=np.float32)))
        mx.eval(value, state)
        losses.append(value.item())
    # Undecorated, the first step, which makes the optimizer's state, is a structure of its own.
    assert compilations.number <= (4 if form == "undecorated" else 7)
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


@pytest.mark.parametrize(("form", "most"), [("undecorated", 2), ("compiled", 6), ("shapeless", 6)])
def test_a_cache_that_grows(form: str, most: int, compilations: Compilations) -> None:
    def attend(query: mx.array, cache: mx.array) -> tuple[mx.array, mx.array]:
        cache = mx.concatenate([cache, query], axis=1)
        for _ in range(4):
            query = mx.softmax(query @ cache.swapaxes(1, 2), axis=-1) @ cache + chain(query)
        return query, cache

    fun = in_form(form, attend)
    query, cache = elements(64 * 64).reshape(64, 1, 64), mx.zeros((64, 20, 64))
    for _ in range(40):
        out, cache = fun(query, cache)
        mx.eval(out, cache)
    assert cache.shape == (64, 60, 64)
    np.testing.assert_array_equal(np.array(cache[:, -40:]), np.repeat(np.array(query), 40, axis=1))
    assert compilations.number <= most


@pytest.mark.parametrize("form", FORMS)
def test_the_last_batch_of_an_epoch(form: str, compilations: Compilations) -> None:
    fun = in_form(form, chain)
    for _ in range(3):  # both shapes are compiled, the smaller one as soon as the larger one has run
        for number in [50_000] * 9 + [20_000]:
            mx.eval(fun(elements(number)))
    assert compilations.number == 2


@pytest.mark.parametrize("form", FORMS)
def test_lengths_that_come_again_are_compiled_for_the_work_they_were(
    form: str, compilations: Compilations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SHAPES_AT_SIGHT", 1)
    monkeypatch.setattr(engine, "ASKED_AT_ONCE", 1)
    fun = in_form(form, chain)
    lengths = range(30_000, 30_003)

    def run(times: int) -> None:
        for _ in range(times):
            for number in lengths:
                y = fun(elements(number))
                np.testing.assert_allclose(np.array(y), as_numpy_has_it(number), rtol=1e-5, atol=1e-6)

    run(3)
    assert compilations.number == 1
    monkeypatch.setattr(engine, "EARNED_A_NODE", 0.0)
    run(1)
    assert compilations.number == 3
    run(3)
    assert compilations.number == 3


def test_what_has_earned_to_be_compiled_takes_a_bounded_memory(
    compilations: Compilations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "SHAPES_AT_SIGHT", 1)
    monkeypatch.setattr(engine, "EARNED_A_NODE", 0.0)
    monkeypatch.setattr(engine, "NODES_COMPILED", 100)  # of 40 each
    for number in range(30_000, 30_010):
        mx.eval(chain(elements(number)))
    assert compilations.number == 1 + 2


def test_traces_of_the_same_program_share_what_it_earned(
    compilations: Compilations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "ASKED_AT_ONCE", 0)
    monkeypatch.setattr(engine, "IDLE_AT_SIGHT", 0)
    first, second = mx.compile(lambda x: chain(x)), mx.compile(lambda x: chain(x))
    x = elements(25_000)
    mx.eval(first(x), second(x))
    assert compilations.number == 0
    monkeypatch.setattr(engine, "EARNED_A_NODE", 0.0)
    mx.eval(first(x))
    mx.eval(second(x))
    assert compilations.number == 1

"""Updates as pure functions of parameters, gradients and state; steps that non-finite gradients skip."""

import math
from functools import partial

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.ir.node import recorder
from mlx.runtime import evaluate as evaluation
from mlx.utils import tree_flatten, tree_map

OPTIMIZERS = {
    "SGD": lambda: optim.SGD(0.1, momentum=0.9, weight_decay=0.01),
    "RMSprop": lambda: optim.RMSprop(0.1),
    "Adagrad": lambda: optim.Adagrad(0.1),
    "AdaDelta": lambda: optim.AdaDelta(0.1),
    "Adam": lambda: optim.Adam(0.1, bias_correction=True),
    "AdamW": lambda: optim.AdamW(optim.cosine_decay(0.1, 10)),
    "Adamax": lambda: optim.Adamax(0.1),
    "Lion": lambda: optim.Lion(0.1, weight_decay=0.1),
    "Adafactor": lambda: optim.Adafactor(),
    "Muon": lambda: optim.Muon(0.1),
    "Multi": lambda: optim.MultiOptimizer(
        [optim.Muon(0.1), optim.Adam(0.01)], [lambda path, array: path.endswith("weight")]
    ),
    "skip_nonfinite": lambda: optim.skip_nonfinite(optim.Adam(0.1)),
}


@pytest.fixture(autouse=True)
def numpy_engine():
    """What is tested does not depend on the engine, and many small programs would be compiled."""
    with mx.engine("numpy"):
        yield


def parameters(seed=0):
    keys = mx.random.split(mx.random.key(seed), 2)
    return {"layers": [{"weight": mx.random.normal((3, 2), key=keys[0]), "bias": mx.random.normal((3,), key=keys[1])}]}


def gradients(step, seed=0):
    return tree_map(lambda p: mx.sin(p * (step + 1)), parameters(seed + 10))


def equal(a, b):
    a, b = tree_flatten(a), tree_flatten(b)
    return [path for path, _ in a] == [path for path, _ in b] and all(
        mx.array_equal(x, y).item() for (_, x), (_, y) in zip(a, b, strict=True)
    )


def close(a, b):
    for (path, x), (_, y) in zip(tree_flatten(a), tree_flatten(b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6, err_msg=path)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_pure_form_gives_what_the_other_gives(name):
    stateful, pure = OPTIMIZERS[name](), OPTIMIZERS[name]()
    params = mine = parameters()
    state = pure.init(params)
    first = tree_map(lambda x: x, state)
    for step in range(4):
        params = stateful.update(params, gradients(step))
        mine, state = pure.update(mine, gradients(step), state)
        assert equal(mine, params)
        assert equal(state, stateful.state)
    assert pure.step.item() == 0
    assert equal(first, OPTIMIZERS[name]().init(parameters()))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_update_leaves_the_state_that_it_is_given(name):
    optimizer = OPTIMIZERS[name]()
    params = parameters()
    state = optimizer.init(params)
    held = tree_flatten(state)
    optimizer.update(params, gradients(0), state)
    assert all(x is y for (_, x), (_, y) in zip(tree_flatten(state), held, strict=True))


def test_a_formula_that_updates_in_place_leaves_the_state_that_it_is_given():
    class Momentum(optim.Optimizer):
        def __init__(self):
            super().__init__()
            self._maybe_schedule("learning_rate", 0.5)

        def init_single(self, parameter, state):
            state["v"] = mx.zeros_like(parameter)

        def apply_single(self, gradient, parameter, state):
            state["v"] += gradient
            return parameter - self.learning_rate * state["v"]

    params, grads = {"w": mx.array([1.0])}, {"w": mx.array([2.0])}
    optimizer = Momentum()
    state = optimizer.init(params)
    params, new = optimizer.update(params, grads, state)
    params, newer = optimizer.update(params, grads, new)
    assert [s["w"]["v"].tolist() for s in (state, new, newer)] == [[0.0], [2.0], [4.0]]
    assert params["w"].tolist() == [1.0 - 0.5 * 2.0 - 0.5 * 4.0]
    optimizer.update(params, grads)
    assert state["w"]["v"].tolist() == [0.0]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_can_be_compiled(name):
    optimizer = OPTIMIZERS[name]()
    params = mine = parameters()
    state = own = optimizer.init(params)
    compiled = mx.compile(optimizer.update)
    for step in range(3):
        params, state = optimizer.update(params, gradients(step), state)
        mine, own = compiled(mine, gradients(step), own)
    close(mine, params)
    close(own, state)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_ensemble_is_one_vmap(name):
    optimizer = OPTIMIZERS[name]()
    members = [parameters(seed) for seed in range(3)]
    stacked = tree_map(lambda *xs: mx.stack(xs), *members)
    state = mx.vmap(optimizer.init)(stacked)
    for step in range(2):
        given = tree_map(lambda *xs: mx.stack(xs), *(gradients(step, seed) for seed in range(3)))
        stacked, state = mx.vmap(optimizer.update)(stacked, given, state)
    for seed, params in enumerate(members):
        own = OPTIMIZERS[name]()
        for step in range(2):
            params = own.update(params, gradients(step, seed))
        close(tree_map(lambda x, seed=seed: x[seed], stacked), params)


def test_members_may_have_rates_of_their_own():
    optimizer = optim.SGD(0.0)
    w = mx.array([1.0, 1.0])
    state = {"step": mx.zeros((2,), mx.uint64), "learning_rate": mx.array([0.5, 2.0]), "w": {}}
    updated, _ = mx.vmap(optimizer.update)({"w": w}, {"w": mx.array([1.0, 1.0])}, state)
    assert updated["w"].tolist() == [0.5, -1.0]


def test_a_state_that_fits_nothing_is_refused():
    params = {"w": mx.array([1.0])}
    for state in ({}, {"step": mx.array(0)}, [mx.array(0)]):
        with pytest.raises(ValueError, match=r"\[Adam\.update\] state must be .* with 'learning_rate', 'step' in it"):
            optim.Adam(0.1).update(params, params, state)
    with pytest.raises(ValueError, match=r"\[MultiOptimizer\.update\] state\['states'\] must hold 1 states"):
        optim.MultiOptimizer([optim.SGD(0.1)]).update(params, params, {"states": []})
    with pytest.raises(ValueError, match=r"\[skip_nonfinite\] state must be what init"):
        optim.skip_nonfinite(optim.SGD(0.1)).update(params, params, {"step": mx.array(0)})
    optimizer = optim.Adam(0.1)
    with pytest.raises(ValueError, match=r"gradients\['w'\] has shape \(2,\)"):
        optimizer.update(params, {"w": mx.array([1.0, 2.0])}, optimizer.init(params))
    with pytest.raises(TypeError, match=r"model\.trainable_parameters\(\)"):
        optimizer.update(nn.Linear(1, 1), {}, optimizer.init({}))


# ------------------------------------------------------------------------------------ non-finite gradients


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("make", [lambda: optim.Adam(0.1), OPTIMIZERS["Multi"], lambda: optim.SGD(0.1, momentum=0.9)])
def test_a_step_with_a_bad_gradient_changes_nothing_but_the_count(make, bad):
    plain, skipping = make(), optim.skip_nonfinite(make())
    params = mine = parameters()
    for step in range(4):
        given = gradients(step)
        if step == 1:
            given["layers"][0]["bias"] = mx.array([1.0, bad, 2.0])
        else:
            params = plain.update(params, given)
        mine = skipping.update(mine, given)
        close(mine, params)
        close(skipping.state["optimizer"], plain.state)
    assert skipping.skipped.item() == 1
    assert skipping.step.item() == 3


def test_a_bad_first_step_leaves_the_first_state():
    optimizer = optim.skip_nonfinite(optim.Adam(0.1))
    params = {"w": mx.array([1.0, 2.0])}
    assert optimizer.update(params, {"w": mx.array([math.nan, 1.0])})["w"].tolist() == [1.0, 2.0]
    assert optimizer.state["optimizer"]["w"]["m"].tolist() == [0.0, 0.0]
    assert optimizer.state["optimizer"]["step"].item() == 0


def test_modules_are_updated_in_place_or_not_at_all():
    model = nn.Linear(2, 1)
    optimizer = optim.skip_nonfinite(optim.SGD(0.5))
    before = {name: value.tolist() for name, value in model.parameters().items()}
    optimizer.update(model, {"weight": mx.array([[math.inf, 1.0]]), "bias": mx.array([1.0])})
    assert {name: value.tolist() for name, value in model.parameters().items()} == before
    optimizer.update(model, {"bias": mx.array([1.0])})
    assert model.bias.tolist() == pytest.approx([before["bias"][0] - 0.5], rel=1e-6)
    assert model.weight.tolist() == before["weight"]


def test_nothing_is_evaluated_to_decide():
    optimizer = optim.skip_nonfinite(optim.SGD(0.5))

    @mx.compile
    def step(params, given, state):
        return optimizer.update(params, given, state)

    params = {"w": mx.array([1.0])}
    state = optimizer.init(params)
    for value, expected in ((1.0, 0.5), (math.nan, 0.5), (1.0, 0.0)):
        params, state = step(params, {"w": mx.array([value])}, state)
        assert params["w"].item() == expected
    assert state["skipped"].item() == 1


@pytest.mark.parametrize(
    "make",
    [
        OPTIMIZERS["skip_nonfinite"],
        lambda: optim.skip_nonfinite(OPTIMIZERS["Multi"]()),
        lambda: optim.skip_nonfinite(OPTIMIZERS["AdamW"]()),
    ],
)
def test_a_step_is_recorded_and_not_evaluated(make, monkeypatch):
    optimizer, params = make(), parameters()
    bad = tree_map(lambda g: g / 0, gradients(0))
    params = optimizer.update(params, gradients(0))
    mx.eval(params, optimizer.state, bad)
    runs = []
    run = evaluation._run
    monkeypatch.setattr(evaluation, "_run", lambda plan: (runs.append(plan), run(plan)))
    recorded = []
    for given in (gradients(1), bad, gradients(2)):
        before = len(recorder().pending)
        params = optimizer.update(params, given)
        recorded.append(len(recorder().pending) - before)
    assert runs == []
    assert recorded[0] > 0
    assert len(set(recorded)) == 1
    mx.eval(params, optimizer.state)
    assert len(runs) == 1
    assert optimizer.skipped.item() == 1


# -------------------------------------------------------------------------------- schedules and compilation

RATES = {
    "exponential_decay": (optim.exponential_decay(1.0, 0.5), lambda t: 0.5**t),
    "step_decay": (optim.step_decay(1.0, 0.5, 3), lambda t: 0.5 ** (t // 3)),
    "cosine_decay": (optim.cosine_decay(1.0, 6, 0.2), lambda t: 0.2 + 0.4 * (1 + math.cos(math.pi * min(t, 6) / 6))),
    "linear_schedule": (optim.linear_schedule(0.0, 1.0, 5), lambda t: min(t, 5) / 5),
    "cosine with warm-up": (
        optim.join_schedules([optim.linear_schedule(0.0, 1.0, 4), optim.cosine_decay(1.0, 4)], [4]),
        lambda t: t / 4 if t < 4 else (1 + math.cos(math.pi * min(t - 4, 4) / 4)) / 2,
    ),
}


@pytest.mark.parametrize("name", RATES)
@pytest.mark.parametrize("engine", ["numpy", "xla"])
def test_a_schedule_runs_inside_a_step_that_is_traced_once(name, engine):
    schedule, formula = RATES[name]
    model, optimizer = nn.Linear(1, 1, bias=False), optim.SGD(schedule)
    start = model.weight.item()
    optimizer.init(model.trainable_parameters())
    state, traces = [model.state, optimizer.state], []

    @partial(mx.compile, inputs=state, outputs=state)
    def step(x):
        traces.append(x)
        optimizer.update(model, {"weight": x})

    expected = start
    with mx.engine(engine):
        for t in range(10):
            step(mx.full((1, 1), 2.0))
            expected -= 2.0 * formula(t)
            np.testing.assert_allclose(optimizer.learning_rate.item(), formula(t), rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(model.weight.item(), expected, rtol=1e-5, atol=1e-5)
    assert optimizer.step.item() == 10
    assert len(traces) == 1


def test_a_failing_update_leaves_everything():
    optimizer = optim.skip_nonfinite(optim.Adam(0.1))
    params = {"w": mx.array([1.0])}
    optimizer.update(params, {"w": mx.array([1.0])})
    before = {path: value.tolist() for path, value in tree_flatten(optimizer.state)}
    with pytest.raises(ValueError, match=r"gradients\['v'\] has no parameter"):
        optimizer.update(params, {"v": mx.array([1.0])})
    assert {path: value.tolist() for path, value in tree_flatten(optimizer.state)} == before


def test_its_state_can_be_saved_and_restored():
    optimizer = optim.skip_nonfinite(optim.Adam(0.1))
    params = {"w": mx.array([1.0])}
    params = optimizer.update(params, {"w": mx.array([math.nan])})
    params = optimizer.update(params, {"w": mx.array([0.5])})
    saved = tree_map(lambda x: x, optimizer.state)
    other = optim.skip_nonfinite(optim.Adam(0.1))
    other.state = saved
    assert equal(other.update(params, {"w": mx.array([0.25])}), optimizer.update(params, {"w": mx.array([0.25])}))
    assert other.skipped.item() == 1
    other.learning_rate = 0.5
    assert other.learning_rate.item() == 0.5
    assert other.optimizer.learning_rate.item() == 0.5


def test_it_wraps_optimizers_only():
    with pytest.raises(TypeError, match=r"\[skip_nonfinite\] optimizer must be an Optimizer, got float"):
        optim.skip_nonfinite(0.1)

"""Schedules against their formulas, alone and inside an optimizer."""

import copy
import math
import pickle

import numpy as np
import pytest

import mlx.core as mx
import mlx.optimizers as optim


def exponential(step):
    return 0.1 * 0.9**step


def stairs(step):
    return 0.1 * 0.5 ** (step // 7)


def cosine(step):
    return 0.01 + (0.1 - 0.01) * (1 + math.cos(math.pi * min(step, 20) / 20)) / 2


def line(step):
    return 0.3 + (0.05 - 0.3) * min(step, 15) / 15


def joined(step):
    return line(step) if step < 10 else cosine(step - 10) if step < 18 else stairs(step - 18)


SCHEDULES = {
    "exponential_decay": (optim.exponential_decay(0.1, 0.9), exponential),
    "step_decay": (optim.step_decay(0.1, 0.5, 7), stairs),
    "cosine_decay": (optim.cosine_decay(0.1, 20, 0.01), cosine),
    "linear_schedule": (optim.linear_schedule(0.3, 0.05, 15), line),
    "join_schedules": (
        optim.join_schedules(
            [
                optim.linear_schedule(0.3, 0.05, 15),
                optim.cosine_decay(0.1, 20, 0.01),
                optim.step_decay(0.1, 0.5, 7),
            ],
            [10, 18],
        ),
        joined,
    ),
}


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_an_optimizer_goes_on_with_its_schedule_when_it_is_copied(name, again):
    schedule, formula = SCHEDULES[name]
    optimizer = optim.SGD(schedule, momentum=0.5)
    params = optimizer.update({"w": mx.array([1.0])}, {"w": mx.array([2.0])})
    twin = again(optimizer)
    # velocity 2 and then 3, each times the rate of its step
    assert twin.update(params, {"w": mx.array([2.0])})["w"].item() == pytest.approx(
        1 - 2 * formula(0) - 3 * formula(1), rel=1e-5
    )
    assert (twin.step.item(), optimizer.step.item()) == (2, 1)
    assert optimizer.state["w"]["v"].tolist() == [2.0]


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_follows_its_formula(name):
    schedule, formula = SCHEDULES[name]
    for step in range(40):
        np.testing.assert_allclose(np.array(schedule(step)), formula(step), rtol=1e-5)
        value = schedule(mx.array(step, mx.uint64))
        assert value.dtype == mx.float32
        np.testing.assert_allclose(value.item(), formula(step), rtol=1e-5)


@pytest.mark.parametrize("name", SCHEDULES)
def test_an_optimizer_uses_the_value_of_the_step_that_it_performs(name):
    schedule, formula = SCHEDULES[name]
    opt = optim.SGD(schedule)
    params = {"w": mx.array(0.0)}
    np.testing.assert_allclose(opt.learning_rate.item(), formula(0), rtol=1e-5)
    total = 0.0
    for step in range(25):
        params = opt.update(params, {"w": mx.array(1.0)})
        np.testing.assert_allclose(opt.learning_rate.item(), formula(step), rtol=1e-5)
        total += formula(step)
        np.testing.assert_allclose(params["w"].item(), -total, rtol=1e-5)


@pytest.mark.parametrize(
    ("boundaries", "values"),
    [
        # Three schedules of 1, 10 and 100 times the steps counted from the boundary at which each takes over.
        ([2, 4], [0, 1, 0, 10, 0, 100, 200]),
        ([3, 3], [0, 1, 2, 0, 100, 200, 300]),
        ([0, 1], [0, 0, 100, 200, 300, 400, 500]),
        ([5, 2], [0, 1, 0, 100, 200, 300, 400]),
        ([100, 200], [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_schedules_take_over_at_their_boundaries(boundaries, values):
    joined = optim.join_schedules([lambda s, f=factor: f * s for factor in (1.0, 10.0, 100.0)], boundaries)
    assert [joined(mx.array(step, mx.uint64)).item() for step in range(7)] == values
    assert [np.array(joined(step)).item() for step in range(7)] == values


def test_cosine_ends_exactly():
    assert optim.cosine_decay(0.1, 10, 0.05)(20).item() == np.float32(0.05)


def test_a_schedule_may_return_numbers():
    opt = optim.SGD(lambda step: 0.25)
    assert opt.update({"w": mx.array(1.0)}, {"w": mx.array(1.0)})["w"].item() == 0.75


def test_a_schedule_overrides_a_learning_rate_that_was_set():
    opt = optim.SGD(optim.exponential_decay(1.0, 0.5))
    opt.update({}, {})
    opt.learning_rate = 7.0
    opt.update({}, {})
    assert opt.learning_rate.item() == 0.5


def test_schedulers_can_drive_any_entry_of_the_state():
    opt = optim.Optimizer({"temperature": optim.linear_schedule(1.0, 0.0, 4)})
    for expected in (1.0, 0.75, 0.5):
        opt.update({}, {})
        assert opt.state["temperature"].item() == expected


def test_a_failing_schedule_leaves_the_step():
    def schedule(step):
        if step == 1:
            raise RuntimeError("no more")
        return 0.5

    opt = optim.SGD(schedule, momentum=0.5)
    params = opt.update({"w": mx.array(1.0)}, {"w": mx.array(1.0)})
    with pytest.raises(RuntimeError, match="no more"):
        opt.update(params, {"w": mx.array(1.0)})
    assert opt.step.item() == 1
    assert opt.state["w"]["v"].item() == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.step_decay(0.1, 0.5, 0), r"\[step_decay\] step_size must be greater than 0, got 0"),
        (lambda: optim.cosine_decay(0.1, -1), r"\[cosine_decay\] decay_steps must be greater than 0, got -1"),
        (lambda: optim.linear_schedule(0.1, 0.5, 0), r"\[linear_schedule\] steps must be greater than 0"),
        (lambda: optim.join_schedules([], []), r"\[join_schedules\] .* at least one schedule"),
        (lambda: optim.join_schedules([abs, abs], [1, 2]), "2 schedules need 1 boundaries, got 2"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()

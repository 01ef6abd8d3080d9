"""Plans that are taken over from nodes that were pending before: each case comes often enough to be known, and is
then told from what only resembles it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mlx.core as mx
import mlx.runtime.evaluate as evaluation
from mlx.ir.node import recorder
from mlx.runtime import known_plans, planning
from mlx.runtime.plan import Plan, plan_of

TIMES = 6  # a plan is learned the second time, or the fourth


@pytest.fixture(autouse=True)
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """The plans that were taken over, each checked against one that is made of the same nodes anew."""
    taken: list[Plan] = []
    take = planning.plan_as_before

    def checked(pending: list[Any], roots: Any) -> tuple[Any, Any]:
        plan, draft = take(pending, roots)
        if plan is not None:
            taken.append(plan)
            fresh = plan_of(plan.recorded, plan.held)
            try:
                assert plan.key == fresh.key
                assert plan.uses == fresh.count_uses(fresh.recorded)
                assert list(plan.params) == list(fresh.params)
                for part in ("leaves", "leaf_numbers", "scalars", "numbers", "output_numbers", "size"):
                    assert getattr(plan, part) == getattr(fresh, part), part
            finally:
                fresh.release()
        return plan, draft

    mx.eval(mx.zeros(1))
    recorder().pending.clear()
    monkeypatch.setattr(known_plans, "_known", type(known_plans._known)())
    monkeypatch.setattr(planning, "plan_as_before", checked)
    return taken


def polynomial(x: Any, factor: float = 0.5) -> Any:
    """Ten steps."""
    for _ in range(5):
        x = x * factor + 0.25
    return x


def polynomial_numpy(x: Any, factor: float = 0.5) -> Any:
    for _ in range(5):
        x = x * factor + 0.25
    return x


def test_the_plan_of_a_loop_is_taken_over(plans: list[Plan]) -> None:
    x = mx.array([1.0, 2.0])
    expected = np.array([1.0, 2.0])
    for _ in range(TIMES):
        x = polynomial(x)
        mx.eval(x)
        expected = polynomial_numpy(expected)
    assert len(plans) == TIMES - 2
    np.testing.assert_allclose(x, expected, rtol=1e-6)


def test_numbers_that_change_are_those_of_the_step(plans: list[Plan]) -> None:
    for step in range(TIMES):
        factor = 0.3 + 0.1 * step
        np.testing.assert_allclose(polynomial(mx.array([2.0]), factor), polynomial_numpy(2.0, factor), rtol=1e-6)
    assert plans
    for factor in (1.0, 0.0, -1.0):  # on which rules simplify, so that it is another program
        np.testing.assert_allclose(polynomial(mx.array([2.0]), factor), polynomial_numpy(2.0, factor), rtol=1e-6)


def test_what_is_held_besides_is_computed_as_well(plans: list[Plan]) -> None:
    def step(holds: bool) -> tuple[Any, Any]:
        x = mx.array([1.0, 2.0])
        middle = polynomial(x)
        last = polynomial(middle)
        return last, middle if holds else None

    for holds in (False, True, False, True, True, False, True, False):
        last, middle = step(holds)
        mx.eval(last)
        assert last._node.value is not None
        if middle is not None:
            assert middle._node.value is not None
            np.testing.assert_allclose(middle, polynomial_numpy(np.array([1.0, 2.0])), rtol=1e-6)
        np.testing.assert_allclose(last, polynomial_numpy(polynomial_numpy(np.array([1.0, 2.0]))), rtol=1e-6)
    assert plans


def test_what_is_asked_for_decides_what_stays_pending(plans: list[Plan]) -> None:
    for wanted in ("first", "second", "first", "second", "first", "second", "first", "both"):
        first, second = polynomial(mx.array(1.0)), polynomial(mx.array(3.0))
        mx.eval(*{"first": [first], "second": [second], "both": [first, second]}[wanted])
        assert (first._node.value is not None) is (wanted != "second")
        assert (second._node.value is not None) is (wanted != "first")
        assert first.item() == pytest.approx(polynomial_numpy(1.0))
        assert second.item() == pytest.approx(polynomial_numpy(3.0))
    assert plans


def test_one_array_in_the_place_of_two() -> None:
    def step(x: Any, y: Any) -> Any:
        for _ in range(5):
            x = x * y + y
        return x

    for _ in range(TIMES):
        assert step(mx.array(2.0), mx.array(0.5)).item() == pytest.approx(
            0.5 * (1 + 1 / 2 + 1 / 4 + 1 / 8 + 1 / 16) + 2 / 32
        )
    same = mx.array(0.5)
    assert step(same, same).item() == pytest.approx(sum(0.5**power for power in range(1, 7)))
    for _ in range(TIMES):
        assert step(same, same).item() == pytest.approx(sum(0.5**power for power in range(1, 7)))
    assert step(mx.array(2.0), mx.array(0.5)).item() == pytest.approx(
        0.5 * (1 + 1 / 2 + 1 / 4 + 1 / 8 + 1 / 16) + 2 / 32
    )


def test_an_array_without_axes_in_the_place_of_a_number(plans: list[Plan]) -> None:
    factor = mx.array(0.5)
    for _ in range(TIMES):
        assert polynomial(mx.array([2.0]), 0.5).item() == pytest.approx(polynomial_numpy(2.0))
        assert polynomial(mx.array([2.0]), factor).item() == pytest.approx(polynomial_numpy(2.0))  # type: ignore[arg-type]
    assert plans


def test_starts_of_slices_that_change(plans: list[Plan]) -> None:
    x = mx.arange(100.0)
    mx.eval(x)
    for start in range(TIMES):
        parts = [x[start + offset : start + offset + 3] for offset in range(8)]
        total = sum(parts[1:], parts[0])
        assert total.tolist() == [sum(start + offset + i for offset in range(8)) for i in range(3)]
    assert plans


def test_other_shapes_and_dtypes(plans: list[Plan]) -> None:
    for size in (2, 2, 2, 3, 3, 2, 3, 4, 4, 4, 2):
        for dtype in (mx.float32, mx.float16):
            y = polynomial(mx.ones(size, dtype))
            assert (y.shape, y.dtype) == ((size,), dtype)
            np.testing.assert_allclose(y, np.full(size, polynomial_numpy(1.0)), rtol=1e-3)
    assert plans


def test_another_engine_in_the_middle(plans: list[Plan]) -> None:
    expected = polynomial_numpy(2.0)
    for engine in ("numpy", "numpy", "numpy", "xla", "xla", "numpy", "auto", "xla"):
        with mx.engine(engine):
            assert polynomial(mx.array([2.0])).item() == pytest.approx(expected)
            assert polynomial(mx.array([2.0]), 1.0).item() == pytest.approx(3.25)
    assert plans


def test_a_plan_leaves_no_numbers_in_nodes_that_live_on(plans: list[Plan]) -> None:
    x = mx.array([2.0])
    for engine in ("numpy", "numpy", "numpy", "xla"):
        with mx.engine(engine):
            mx.eval(polynomial(x, 1.0))
    assert plans
    plan = plans[-1]
    operands = [operand for node in plan.nodes for operand in node.inputs]
    assert {node.index for node in [*plan.nodes, *operands]} == {-1}


def test_what_another_thread_asks_for() -> None:
    for _ in range(TIMES):
        x = polynomial(mx.array(1.0))
        y = polynomial(mx.array(3.0))
        values: list[float] = []
        thread = threading.Thread(target=lambda x=x, values=values: values.append(x.item()))
        thread.start()
        thread.join()
        assert values == [pytest.approx(polynomial_numpy(1.0))]
        assert (x + y).item() == pytest.approx(polynomial_numpy(1.0) + polynomial_numpy(3.0))


def test_a_failed_run_leaves_everything_pending(plans: list[Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(plan: Plan) -> Any:
        raise MemoryError

    for _ in range(TIMES):
        mx.eval(polynomial(mx.array(1.0)))
    x = polynomial(mx.array(1.0))
    count = len(plans)
    with monkeypatch.context() as patch:
        patch.setattr(evaluation, "_program", failing)
        with pytest.raises(MemoryError):
            mx.eval(x)
    assert len(plans) == count + 1
    assert x.item() == pytest.approx(polynomial_numpy(1.0))


def test_inputs_that_are_held_are_not_overwritten(plans: list[Plan]) -> None:
    with mx.engine("xla"):
        for step in range(2 * TIMES):
            x = mx.array(np.full(100_000, float(step), np.float32))
            held = x if step % 3 == 0 else None
            x = polynomial(x)
            mx.eval(x)
            assert x[0].item() == pytest.approx(polynomial_numpy(float(step)), rel=1e-5)
            if held is not None:
                assert held[-1].item() == step
    assert plans


@pytest.mark.parametrize("evaluates", [True, False])
def test_a_training_loop_is_what_it_is_without(
    evaluates: bool, plans: list[Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    def losses(steps: int = 12) -> list[float]:
        rng = np.random.default_rng(0)
        w = mx.array(rng.normal(size=(4, 3)).astype(np.float32))
        b = mx.zeros(3)
        found = []
        for _ in range(steps):
            x = mx.array(rng.normal(size=(5, 4)).astype(np.float32))
            value, (dw, db) = mx.value_and_grad(loss, argnums=(0, 1))(w, b, x)
            w, b = w - 0.1 * dw, b - 0.1 * db
            found.append(value)
            if evaluates:
                mx.eval(value, w, b)
        return [value.item() for value in found]

    def loss(w: Any, b: Any, x: Any) -> Any:
        return mx.mean((mx.tanh(x @ w + b) - 1) ** 2)

    with_known = losses()
    assert len(plans) >= 8
    nothing: Callable[..., Any] = lambda pending, roots: (None, None)  # noqa: E731
    monkeypatch.setattr(planning, "plan_as_before", nothing)
    assert losses() == with_known


def test_programs_that_have_not_run_for_long_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "_programs", evaluation.Programs())
    monkeypatch.setattr(evaluation, "STEPS_KEPT", 35)  # three programs of ten steps

    def run(size: int) -> None:
        np.testing.assert_allclose(polynomial(mx.ones(size)), np.full(size, polynomial_numpy(1.0)), rtol=1e-6)

    for size in (1, 2, 3):
        run(size)
    first, second, third = evaluation._programs.values()
    run(1)
    run(4)
    kept = list(evaluation._programs.values())
    assert kept[:2] == [third, first]
    assert second not in kept
    assert len(kept) == 3
    assert evaluation._programs.steps == sum(len(program.steps) for program in kept)

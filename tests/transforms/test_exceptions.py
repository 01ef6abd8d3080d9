"""An exception in a function or a rule, inside any transform, leaves nothing half open: the next call works."""

from __future__ import annotations

import contextlib
import gc
import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest
from transform_table import POINT, TRANSFORMS, Nesting, expected, function, name_of, transformed

import mlx.core as mx
from mlx.ir.node import FIRST_LIMIT, recorder
from mlx.ir.sizes import open_sizes

PAIRS = list(itertools.product(TRANSFORMS, repeat=2))


class Mishap(Exception):
    """What the functions here raise."""


class Fails:
    """The function of the table, which raises as long as it is told to: before it records something, or after."""

    def __init__(self, error: type[BaseException] = Mishap, late: bool = True) -> None:
        self.error: type[BaseException] | None = error
        self.late = late

    def __call__(self, x: Any) -> Any:
        if self.error and not self.late:
            raise self.error()
        y = function(x)
        if self.error:
            raise self.error()
        return y


def point() -> Any:
    return mx.array(POINT, mx.float64)


def check_nothing_is_open() -> None:
    mine = recorder()
    assert mine.open_transforms == 0
    assert mine.evaluated_inside == []
    assert open_sizes == []
    assert len(mine.pending) <= 3 * FIRST_LIMIT


def check_fails_and_recovers(fails: Fails, f: Callable[[Any], Any], nesting: Nesting) -> None:
    """The first call raises what the function does; the next one of the same wrapped function is right."""
    with pytest.raises(fails.error) as raised:  # it holds what was recorded until the function has failed
        f(point())
    check_nothing_is_open()
    fails.error = None
    assert f(point()).item() == pytest.approx(expected(nesting), rel=1e-12)
    check_nothing_is_open()
    del raised


@pytest.mark.parametrize("late", [False, True], ids=["early", "late"])
@pytest.mark.parametrize("error", [Mishap, KeyboardInterrupt])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_each_transform(name: str, error: type[BaseException], late: bool) -> None:
    fails = Fails(error, late)
    check_fails_and_recovers(fails, transformed((name,), fails), (name,))


@pytest.mark.parametrize("nesting", PAIRS, ids=name_of)
def test_pairs(nesting: Nesting) -> None:
    fails = Fails()
    check_fails_and_recovers(fails, transformed(nesting, fails), nesting)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_what_failed_is_not_looked_at_again(name: str) -> None:
    """Neither a sweep of what is pending nor an evaluation stumbles over what the exceptions still hold."""
    held = []
    for _ in range(20):
        fails = Fails()
        with pytest.raises(Mishap) as raised:
            transformed((name,), fails)(point())
        held.append(raised)
    total = mx.array(0.0)
    for _ in range(2 * FIRST_LIMIT):
        total = total + 1
    assert total.item() == 2 * FIRST_LIMIT
    assert mx.grad(mx.sin)(mx.array(0.0)).item() == 1
    check_nothing_is_open()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_failing_for_ever_takes_no_memory(name: str) -> None:
    gc.collect()  # what other tests hold in cycles
    f = transformed((name,), Fails())
    for _ in range(FIRST_LIMIT // 2):
        with contextlib.suppress(Mishap):
            f(point())
    check_nothing_is_open()
    mx.eval(mx.array(1.0) + 1)
    assert len(recorder().pending) <= 1


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_loop_without_evaluation_records_a_bounded_program(name: str) -> None:
    f = transformed((name,))
    for _ in range(FIRST_LIMIT // 2):
        f(point())
    check_nothing_is_open()


def test_evaluating_inside_before_failing() -> None:
    def fails(x: Any) -> Any:
        y = mx.sin(x)
        assert y.item() > 0
        raise Mishap

    for _ in range(3):
        with pytest.raises(Mishap):
            mx.value_and_grad(mx.grad(fails))(point())
        check_nothing_is_open()


# ---------------------------------------------------------------------- rules of custom functions


def failing_rule(rule: str, switch: dict[str, bool]) -> mx.custom_function:
    custom = mx.custom_function(function)

    def watched(result: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            if switch["fails"]:
                mx.exp(arguments[0])
                raise Mishap
            return result(*arguments)

        return call

    rules = {
        "vjp": lambda x, cotangent, output: cotangent * mx.grad(function)(x),
        "jvp": lambda x, tangent: tangent * mx.grad(function)(x),
        "vmap": lambda x, axis: (mx.vmap(function, in_axes=axis)(x), 0),
    }
    getattr(custom, rule)(watched(rules[rule]))
    return custom


BY_RULE = {
    "vjp": ("grad", "value_and_grad", "vjp", "jacrev", "hessian", "hvp"),
    "jvp": ("jvp", "jacfwd", "linearize"),  # a Hessian takes the tangent of what reverse mode recorded
    "vmap": ("vmap",),
}
RULES = [
    (rule, (*outer, name))
    for rule, names in BY_RULE.items()
    for name in names
    for outer in ((), ("compile",), ("grad",), ("vmap",), ("checkpoint",), ("custom_rules",), ("shapeless",))
]


@pytest.mark.parametrize(("rule", "nesting"), RULES, ids=lambda x: x if isinstance(x, str) else name_of(x))
def test_rules(rule: str, nesting: Nesting) -> None:
    switch = {"fails": True}
    f = transformed(nesting, failing_rule(rule, switch))
    with pytest.raises(Mishap):
        f(point())
    check_nothing_is_open()
    switch["fails"] = False
    assert f(point()).item() == pytest.approx(expected(nesting), rel=1e-12)
    check_nothing_is_open()


def test_a_callback_of_an_export() -> None:
    def callback(part: dict[str, Any]) -> None:
        raise Mishap

    with pytest.raises(Mishap):
        mx.export_function(callback, function, point())
    check_nothing_is_open()


def test_a_failed_export_leaves_the_old_file(tmp_path: Any) -> None:
    path = str(tmp_path / "function.mlxfn")
    mx.export_function(path, function, point())
    with pytest.raises(Mishap):
        mx.export_function(path, Fails(), point())
    assert mx.import_function(path)(point())[0].item() == pytest.approx(expected(()), rel=1e-12)


# ---------------------------------------------------------------------- threads


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_thread_that_fails_disturbs_no_other(name: str) -> None:
    """While this thread is inside a transform another one fails in the same."""
    outcome: list[Any] = []

    def other() -> None:
        try:
            transformed((name,), Fails())(point())
        except Mishap:
            outcome.append(recorder().open_transforms)
        outcome.append(transformed((name,))(point()).item())

    def with_other_thread(x: Any) -> Any:
        y = function(x)
        if not outcome:
            thread = threading.Thread(target=other)
            thread.start()
            # A trace is recorded by one thread at a time, so the other one may have to wait until this one is done.
            thread.join(timeout=0.05)
            threads.append(thread)
        return y

    threads: list[threading.Thread] = []
    value = transformed((name,), with_other_thread)(point()).item()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert value == pytest.approx(expected((name,)), rel=1e-12)
    assert outcome[:2] == [0, pytest.approx(expected((name,)), rel=1e-12)]
    check_nothing_is_open()

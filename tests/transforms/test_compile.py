"""`compile`: one trace a signature, captured state, and everything that can go wrong on the way."""

from __future__ import annotations

import gc
import inspect
import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.ir.node import Node
from mlx.runtime import calls
from mlx.transforms import compile as module

ENGINES = ("numpy", "xla")


class Counted:
    """A function that counts how often Python runs it."""

    def __init__(self, fun: Callable[..., Any]) -> None:
        self.fun = fun
        self.runs = 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.runs += 1
        return self.fun(*args, **kwargs)


# ------------------------------------------------------------------ signatures


@pytest.mark.parametrize("engine", ENGINES)
def test_python_runs_once_for_a_signature(engine: str) -> None:
    counted = Counted(lambda x, y: (mx.sin(x) + y, x * 2))
    compiled = mx.compile(counted)
    with mx.engine(engine):
        for start in (0.0, 1.0, 2.0):
            x = mx.array([start, start + 1])
            first, second = compiled(x, mx.array(3.0))
            np.testing.assert_allclose(np.array(first), np.sin([start, start + 1]) + 3, rtol=1e-6)
            assert second.tolist() == [2 * start, 2 * start + 2]
    assert counted.runs == 1


def test_shapes_dtypes_and_structure_are_part_of_the_signature() -> None:
    counted = Counted(lambda tree: tree["a"] + 1)
    compiled = mx.compile(counted)
    arguments = [
        {"a": mx.zeros(2)},
        {"a": mx.zeros(3)},
        {"a": mx.zeros((1, 2))},
        {"a": mx.zeros(2, mx.int32)},
        {"a": mx.zeros(2), "b": mx.zeros(2)},
        {"a": mx.zeros(2), "b": [mx.zeros(2)]},
        {"a": mx.zeros(2), "b": (mx.zeros(2),)},
    ]
    for _ in range(2):
        for tree in arguments:
            assert compiled(tree).shape == tree["a"].shape
            assert compiled(tree).dtype == tree["a"].dtype
    assert counted.runs == len(arguments)


def test_constants_count_by_type_and_value() -> None:
    counted = Counted(lambda x, c: (x, repr(c)))
    compiled = mx.compile(counted)
    constants = [1, 1.0, True, 0, 0.0, -0.0, False, None, "1", "", math.nan, math.inf, 2**70, (1, 2), [1, 2], [[1], 2]]
    for _ in range(2):
        for constant in constants:
            assert compiled(mx.array(1), constant)[1] == repr(constant)
    assert counted.runs == len(constants)
    assert compiled(mx.array(1), float("nan"))[1] == "nan"
    assert counted.runs == len(constants)


def test_positional_and_keyword_arguments() -> None:
    one = mx.array(1)
    compiled = mx.compile(lambda x, y=2, *, z=one: x * y - z)
    assert compiled(mx.array(3)).item() == 5
    assert compiled(mx.array(3), 3).item() == 8
    assert compiled(mx.array(3), y=4, z=mx.array(0)).item() == 12
    assert compiled(mx.array(3), z=mx.array(0), y=4).item() == 12


@pytest.mark.parametrize("value", [object(), {1, 2}, 1j, b"bytes", np.ones(2), mx.float32])
def test_other_types_are_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"\[compile\] Function arguments must be trees of arrays or constants"):
        mx.compile(lambda x, y: x)(mx.array(1), value)
    with pytest.raises(ValueError, match=type(value).__name__):
        mx.compile(lambda x, y: x)(mx.array(1), y=[value])


def test_a_function_is_required() -> None:
    with pytest.raises(TypeError, match=r"\[compile\] fun must be callable, got int"):
        mx.compile(3)  # type: ignore[arg-type]


def test_signatures_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SIGNATURES_KEPT", 4)
    counted = Counted(lambda x, n: x + n)
    compiled = mx.compile(counted)
    for n in range(6):
        assert compiled(mx.array(0), n).item() == n
    assert compiled(mx.array(0), 5).item() == 5
    assert counted.runs == 6
    assert compiled(mx.array(0), 0).item() == 0
    assert counted.runs == 7


# ------------------------------------------------------------------ results


class Pair(NamedTuple):
    a: Any
    b: Any


def test_results_keep_their_structure() -> None:
    marker = object()
    compiled = mx.compile(lambda x: {"pair": Pair(x + 1, [x, 2, "s", None]), "marker": marker})
    for _ in range(2):
        result = compiled(mx.array(1))
        assert isinstance(result["pair"], Pair)
        assert result["pair"].a.item() == 2
        assert result["pair"].b[0].item() == 1
        assert result["pair"].b[1:] == [2, "s", None]
        assert result["marker"] is marker
    assert compiled(mx.array(1)) is not compiled(mx.array(1))


def test_one_array_in_several_places() -> None:
    def fun(x: Any) -> Any:
        y = x + 1
        return y, [y, x], x

    a, (b, c), d = mx.compile(fun)(mx.array(1))
    assert [a.item(), b.item(), c.item(), d.item()] == [2, 2, 1, 1]


def test_results_without_arguments_and_without_arrays() -> None:
    assert mx.compile(lambda: mx.zeros((2, 2)) + 1)().tolist() == [[1, 1], [1, 1]]
    assert mx.compile(lambda x: None)(mx.array(1)) is None
    assert mx.compile(lambda: 3)() == 3


def test_name_documentation_and_signature_are_kept() -> None:
    def fun(x: mx.array, y: str = "a") -> mx.array:
        """What it does."""
        return x

    compiled = mx.compile(fun)
    assert (compiled.__name__, compiled.__doc__) == ("fun", "What it does.")
    assert inspect.signature(compiled) == inspect.signature(fun)


def test_methods_lambdas_and_partials() -> None:
    class Scale:
        def __init__(self) -> None:
            self.by = mx.array(3.0)

        def times(self, x: Any) -> Any:
            return x * self.by

    assert mx.compile(Scale().times)(mx.array(2.0)).item() == 6
    assert mx.compile(lambda x: -x)(mx.array(2.0)).item() == -2
    assert mx.compile(partial(mx.add, mx.array(1.0)))(mx.array(2.0)).item() == 3

    @partial(mx.compile, shapeless=True)
    def doubled(x: Any) -> Any:
        return x * 2

    assert doubled(mx.array([1, 2])).tolist() == [2, 4]


# ------------------------------------------------------------------ what a function reads besides its arguments


def test_captured_arrays_and_globals_are_constants() -> None:
    state = {"w": mx.array(2.0) + 1, "n": 10}
    compiled = mx.compile(lambda x: x * state["w"] + state["n"])
    assert compiled(mx.array(1.0)).item() == 13
    state["w"], state["n"] = mx.array([7.0, 7.0]), 0
    assert compiled(mx.array(1.0)).item() == 13


@pytest.mark.parametrize("evaluated", [True, False])
def test_an_argument_that_is_also_captured_is_refused(evaluated: bool) -> None:
    x = mx.array([1.0, 2.0]) + 1
    if evaluated:
        mx.eval(x)
    for fun in (lambda a: a + x, lambda a: a * (x + 1)):
        with pytest.raises(ValueError, match=r"\[compile\] The function has uncaptured inputs"):
            mx.compile(fun)(x)


def test_numbers_drawn_without_captured_state_are_constants() -> None:
    compiled = mx.compile(lambda: mx.random.uniform(shape=(4,)))
    assert compiled().tolist() == compiled().tolist()


@pytest.mark.parametrize("engine", ENGINES)
def test_the_random_state_is_captured(engine: str) -> None:
    draw = partial(mx.compile, inputs=mx.random.state, outputs=mx.random.state)(lambda: mx.random.normal((3,)))
    with mx.engine(engine):
        mx.random.seed(3)
        expected = [mx.random.normal((3,)).tolist() for _ in range(3)]
        mx.random.seed(3)
        for values in expected:
            np.testing.assert_allclose(draw().tolist(), values, rtol=1e-6)


def test_each_thread_draws_from_its_own_random_state() -> None:
    state = [{"unused": mx.array(0.0)}, mx.random.state]
    draw = partial(mx.compile, inputs=state, outputs=state)(lambda: mx.random.uniform(shape=(2,)))
    drawn: dict[int, list[Any]] = {}

    def worker(seed: int) -> None:
        mx.random.seed(seed)
        drawn[seed] = [draw().tolist(), draw().tolist()]

    for seed in (1, 2):
        thread = threading.Thread(target=worker, args=(seed,))
        thread.start()
        thread.join()
    for seed, values in drawn.items():
        mx.random.seed(seed)
        assert values == [mx.random.uniform(shape=(2,)).tolist() for _ in range(2)]


# ------------------------------------------------------------------ captured state


@pytest.mark.parametrize("engine", ENGINES)
def test_state_is_read_anew_and_written_back(engine: str) -> None:
    state: dict[str, Any] = {"sum": mx.array(0.0), "last": [mx.array(0.0)], "fixed": (mx.array(2.0),)}
    inner = state["last"]

    @partial(mx.compile, inputs=state, outputs=state)
    def add(x: Any) -> Any:
        state["sum"] = state["sum"] + x * state["fixed"][0]
        state["last"][0] = x
        return state["sum"] - x

    with mx.engine(engine):
        assert [add(mx.array(v)).item() for v in (1.0, 2.0)] == [1.0, 4.0]
        assert state["sum"].item() == 6.0
        assert state["last"] is inner
        assert inner[0].item() == 2.0
        state["sum"] = mx.array(100.0)
        assert add(mx.array(1.0)).item() == 101.0
        assert state["fixed"][0].item() == 2.0


def test_keys_that_come_and_go() -> None:
    state: dict[str, Any] = {"old": mx.array(1)}

    @partial(mx.compile, inputs=state, outputs=state)
    def step(x: Any) -> Any:
        y = state.get("new", mx.array(0))
        state["new"] = x + y
        state.pop("old", None)
        return y

    assert step(mx.array(5)).item() == 0
    assert list(state) == ["new"]
    assert step(mx.array(5)).item() == 5
    assert state["new"].item() == 10


def test_state_changed_in_place() -> None:
    held = mx.array([1.0, 2.0])
    state = [held, (held, mx.array(1.0))]

    @partial(mx.compile, inputs=state, outputs=state)
    def step(x: Any) -> None:
        state[0][0] = x
        state[0] += 1
        state[1][1].__iadd__(x)

    step(mx.array(5.0))
    step(mx.array(7.0))
    assert state[0].tolist() == [8.0, 4.0]
    assert state[1][1].item() == 13.0


def test_lists_that_grow() -> None:
    history: list[Any] = []

    @partial(mx.compile, outputs=history)
    def note(x: Any) -> None:
        history.append(x * 2)

    note(mx.array(1))
    assert [x.item() for x in history] == [2]


def test_captured_inputs_that_are_no_outputs_stay() -> None:
    state = {"w": mx.array(1.0)}

    @partial(mx.compile, inputs=state)
    def step(x: Any) -> Any:
        state["w"] = state["w"] * 2
        state["more"] = x
        return state["w"] + x

    for _ in range(2):
        assert step(mx.array(1.0)).item() == 3.0
    assert list(state) == ["w"]
    assert state["w"].item() == 1.0


def training(compiled: bool, engine: str) -> list[float]:
    mx.random.seed(0)
    model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.2), nn.Tanh(), nn.BatchNorm(8), nn.Linear(8, 1))
    optimizer = optim.AdamW(1e-2)
    state = [model.state, optimizer.state, mx.random.state]
    loss_and_grad = nn.value_and_grad(model, lambda x, y: ((model(x) - y) ** 2).mean())
    rng = np.random.default_rng(0)
    x = mx.array(rng.normal(size=(16, 3)).astype(np.float32))
    y = (x * mx.array([1.0, -2.0, 0.5])).sum(axis=1, keepdims=True)

    def step(x: Any, y: Any) -> Any:
        loss, grads = loss_and_grad(x, y)
        optimizer.update(model, grads)
        return loss

    if compiled:
        step = mx.compile(step, inputs=state, outputs=state)
    with mx.engine(engine):  # type: ignore[arg-type]
        losses = [step(x, y) for _ in range(6)]
        model.eval()
        return [loss.item() for loss in losses] + [float(model(x).sum().item())]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_training_step_is_that_of_the_undecorated_function(engine: str) -> None:
    np.testing.assert_allclose(training(True, engine), training(False, engine), rtol=2e-4)


def test_whether_a_module_trains_is_part_of_the_signature() -> None:
    model = nn.Dropout(0.5)
    compiled = mx.compile(lambda x: model(x), inputs=[model.state, mx.random.state], outputs=mx.random.state)
    x = mx.ones(200)
    assert 0 < (compiled(x) == 0).sum().item() < 200
    model.eval()
    assert compiled(x).tolist() == [1.0] * 200


def test_a_module_as_argument() -> None:
    mx.random.seed(0)
    first, second = nn.Linear(2, 1), nn.Linear(2, 1)
    compiled = mx.compile(lambda model, x: model(x))
    for model in (first, second):
        weight, bias = np.array(model.weight), np.array(model.bias)
        np.testing.assert_allclose(np.array(compiled(model, mx.ones((1, 2)))), [weight.sum(1) + bias], rtol=1e-6)


# ------------------------------------------------------------------ with other transforms


@pytest.mark.parametrize("engine", ENGINES)
def test_inside_and_around_other_transforms(engine: str) -> None:
    def fun(x: Any) -> Any:
        return (mx.sin(x) * x).sum()

    x = np.array([0.5, 1.0, -2.0])
    slope = np.cos(x) * x + np.sin(x)
    curvature = 2 * np.cos(x) - x * np.sin(x)
    points = mx.array(x, mx.float64)
    ones = mx.ones(3, mx.float64)
    with mx.engine(engine):
        for gradient in (mx.grad(mx.compile(fun)), mx.compile(mx.grad(fun)), mx.compile(mx.grad(mx.compile(fun)))):
            for _ in range(2):
                np.testing.assert_allclose(np.array(gradient(points)), slope, rtol=1e-12)
        pushed = mx.compile(lambda x, t: mx.jvp(mx.grad(mx.compile(fun)), [x], [t])[1][0])
        np.testing.assert_allclose(np.array(pushed(points, ones)), curvature, rtol=1e-12)
        each = mx.compile(mx.vmap(mx.grad(mx.compile(lambda x: mx.sin(x) * x))))
        np.testing.assert_allclose(np.array(each(points)), slope, rtol=1e-12)
        value, gradient = mx.compile(mx.value_and_grad(mx.checkpoint(fun)))(points)
        assert value.item() == pytest.approx((np.sin(x) * x).sum(), rel=1e-12)
        np.testing.assert_allclose(np.array(gradient), slope, rtol=1e-12)


def test_python_does_not_run_again_inside_a_transform() -> None:
    counted = Counted(lambda x: (x * x).sum())
    compiled = mx.compile(counted)
    for _ in range(3):
        assert mx.grad(compiled)(mx.array([1.0, 2.0])).tolist() == [2.0, 4.0]
        assert mx.vmap(compiled)(mx.array([[1.0, 2.0]])).tolist() == [5.0]
        assert compiled(mx.array([1.0, 2.0])).item() == 5.0
    assert counted.runs == 1


def test_a_function_that_captures_what_is_being_differentiated() -> None:
    def loss(w: Any, x: Any) -> Any:
        return mx.compile(lambda x: (x * w).sum())(x)

    for scale in (1.0, 2.0):
        assert mx.grad(loss)(mx.array(3.0), mx.array([scale, 1.0])).item() == scale + 1

    w = mx.array(3.0)
    holder = {}
    compiled = mx.compile(lambda x: x * holder["w"])

    def through(v: Any) -> Any:
        holder["w"] = v
        return compiled(mx.array(2.0))

    for value in (1.0, 5.0):
        result, gradient = mx.value_and_grad(through)(w * value)
        assert (result.item(), gradient.item()) == (6.0 * value, 2.0)


def test_nested_with_state() -> None:
    state = [mx.array(1.0)]
    inner = mx.compile(lambda x: x * 3)

    @partial(mx.compile, inputs=state, outputs=state)
    def outer(x: Any) -> Any:
        state[0] = inner(state[0]) + inner(x)
        return state[0]

    assert [outer(mx.array(1.0)).item(), outer(mx.array(1.0)).item()] == [6.0, 21.0]


# ------------------------------------------------------------------ on and off


def test_disable_and_enable() -> None:
    counted = Counted(lambda x: x + 1)
    compiled = mx.compile(counted)
    try:
        mx.disable_compile()
        for _ in range(3):
            assert compiled(mx.array(1)).item() == 2
        assert counted.runs == 3
    finally:
        mx.enable_compile()
    for _ in range(3):
        assert compiled(mx.array(1)).item() == 2
    assert counted.runs == 4


def test_the_environment_variable_disables() -> None:
    program = "import mlx.core as mx; f = mx.compile(lambda x: print('ran') or x); f(mx.array(1)); f(mx.array(1))"
    for value, runs in (("1", 2), ("0", 1)):
        env = {**os.environ, "MLX_DISABLE_COMPILE": value, "PYTHONPATH": os.pathsep.join(sys.path)}
        printed = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, check=True)
        assert printed.stdout.split() == ["ran"] * runs


# ------------------------------------------------------------------ mistakes


def line_of(function: Callable[..., Any], text: str) -> int:
    lines, first = inspect.getsourcelines(function)
    return first + next(i for i, line in enumerate(lines) if text in line)


def test_evaluating_inside_names_the_line() -> None:
    def fun(x: Any) -> Any:
        y = x * 2
        if (y > 0).all():
            return y
        return -y

    with pytest.raises(ValueError, match=r"\[eval\] Attempting to eval an array during function transf") as caught:
        mx.compile(fun)(mx.ones(3))
    assert f"{__file__}, line {line_of(fun, 'if (y > 0)')}" in str(caught.value)
    assert "mx.where" in str(caught.value)


@pytest.mark.parametrize("look", [mx.eval, np.array, float, str, lambda x: x.item(), lambda x: x.tolist()])
def test_every_way_to_look_at_a_value_is_refused(look: Callable[[Any], Any]) -> None:
    with pytest.raises(ValueError, match=r"inside mx\.compile"):
        mx.compile(lambda x: look(x))(mx.array(1.0))


def test_a_leaked_placeholder_says_so() -> None:
    leaked = []
    mx.compile(lambda x: leaked.append(x + 1))(mx.array(1))
    with pytest.raises(ValueError, match=r"mx.compile traced, and was kept when the function had returned"):
        leaked[0].item()
    assert (mx.array(1) + 1).item() == 2


def test_an_exception_leaves_state_and_program_as_they_were() -> None:
    state = {"w": mx.array([1.0, 2.0]), "inner": [mx.array(3.0)]}
    weight, inner = state["w"], state["inner"]
    fails = True

    @partial(mx.compile, inputs=state, outputs=state)
    def step(x: Any) -> Any:
        state["w"] = state["w"] + x
        state["inner"][0] += x
        state["new"] = x
        if fails:
            raise KeyError("mine")
        return state["w"].sum()

    with pytest.raises(KeyError, match="mine"):
        step(mx.array(1.0))
    assert list(state) == ["w", "inner"]
    assert state["w"] is weight
    assert state["inner"] is inner
    assert (weight.tolist(), inner[0].item()) == ([1.0, 2.0], 3.0)
    fails = False
    assert step(mx.array(1.0)).item() == 5.0
    assert inner[0].item() == 4.0


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_that_fails_can_be_repeated(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    state = [mx.array([1.0, 2.0])]
    step = mx.compile(lambda x: state.__setitem__(0, state[0] * x), inputs=state, outputs=state)
    with mx.engine(engine):
        step(mx.array(2.0))
        with monkeypatch.context() as patch:
            patch.setattr(calls.Program, "run", lambda self, leaves: (_ for _ in ()).throw(MemoryError()))
            with pytest.raises(MemoryError):
                mx.eval(state)
        assert state[0].tolist() == [2.0, 4.0]
        step(mx.array(3.0))
        assert state[0].tolist() == [6.0, 12.0]


# ------------------------------------------------------------------ laziness, threads, memory


def test_a_call_runs_when_its_result_is_asked_for() -> None:
    compiled = mx.compile(lambda x: mx.broadcast_to(x, (1024, 1024)) * 2)
    x = mx.array(1.0)
    mx.eval(x)
    before = mx.get_active_memory()
    y = compiled(x)
    assert mx.get_active_memory() == before
    mx.eval(y)
    assert mx.get_active_memory() == before + 4 * 2**20
    del y
    mx.reset_peak_memory()
    compiled(x)  # nobody holds the result
    mx.eval(x + 1)
    assert mx.get_peak_memory() < 2**20


def test_calls_and_ordinary_operations_mix() -> None:
    compiled = mx.compile(lambda x, y: (x + y, x * y))
    x = mx.array([1.0, 2.0])
    total = mx.zeros(2)
    for _ in range(5):
        a, b = compiled(x, total * 0.5)
        total = a - b + total
        x = x + a * 0
    a, b, expected = np.array([1.0, 2.0]), None, np.zeros(2)
    for _ in range(5):
        left, right = a + 0.5 * expected, a * 0.5 * expected
        expected = left - right + expected
    np.testing.assert_allclose(np.array(total), expected, rtol=1e-6)


def test_another_thread_asks_for_the_result() -> None:
    compiled = mx.compile(lambda x: x * 2)
    pending = compiled(mx.array([1.0, 2.0]))
    later = pending + 1
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append((later.tolist(), pending.tolist())))
    thread.start()
    thread.join()
    assert seen == [([3.0, 5.0], [2.0, 4.0])]
    assert later.tolist() == [3.0, 5.0]


def address(x: mx.array) -> int:
    return np.asarray(x, copy=False).__array_interface__["data"][0]


def test_memory_of_an_argument_that_nobody_holds_is_taken() -> None:
    compiled = mx.compile(lambda x: mx.sin(x) + 1)
    x = mx.arange(16, dtype=mx.float32)
    mx.eval(x)
    before = address(x)
    y = compiled(x)
    del x
    assert address(y) == before
    np.testing.assert_allclose(np.array(y), np.sin(np.arange(16)) + 1, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [16, 65536])
def test_what_somebody_holds_or_sees_is_never_overwritten(engine: str, size: int) -> None:
    compiled = mx.compile(lambda x: x * 2 + 1)
    expected = np.arange(size, dtype=np.float32)
    with mx.engine(engine):
        for _ in range(5):
            x = mx.arange(size, dtype=mx.float32)
            mx.eval(x)
            y = compiled(x)
            mx.eval(y)
            np.testing.assert_array_equal(np.array(x), expected)
            view = np.asarray(x, copy=False)
            y = compiled(x)
            del x
            mx.eval(y)
            np.testing.assert_array_equal(view, expected)
            np.testing.assert_array_equal(np.array(y), expected * 2 + 1)


@pytest.mark.parametrize("something_unread", [False, True])
def test_state_is_donated(something_unread: bool, tmp_path: Path) -> None:
    mx.save(tmp_path / "unread.npy", mx.ones((1000,)))
    unread = mx.load(tmp_path / "unread.npy") if something_unread else None  # elsewhere in the program
    state = [mx.zeros((512, 512))]
    step = mx.compile(lambda: state.__setitem__(0, state[0] + 1), inputs=state, outputs=state)
    with mx.engine("xla"):
        for _ in range(10):
            step()
        mx.eval(state)
        addresses = set()
        for _ in range(6):
            step()
            mx.eval(state)
            addresses.add(state[0]._node.value.device.unsafe_buffer_pointer())
    assert len(addresses) == 1
    assert state[0][0, 0].item() == 16
    assert unread is None or unread.sum().item() == 1000


def living_nodes() -> int:
    gc.collect()
    return sum(type(x) is Node for x in gc.get_objects())


@pytest.mark.parametrize("shapeless", [False, True])
def test_ten_thousand_compiled_functions_leave_nothing_behind(shapeless: bool) -> None:
    x = mx.ones((8, 8))
    constant = mx.ones((8, 8))

    def cycle() -> None:
        state = [mx.array(0.0)]

        @partial(mx.compile, inputs=state, outputs=state, shapeless=shapeless)
        def fun(x: Any) -> Any:
            state[0] = state[0] + 1
            return mx.tanh(x @ constant).sum() * state[0]

        fun(x).item()
        fun(x)

    for _ in range(100):
        cycle()
    nodes, memory, objects = living_nodes(), mx.get_active_memory(), len(gc.get_objects())
    for _ in range(10_000):
        cycle()
    assert living_nodes() <= nodes + 16
    assert mx.get_active_memory() <= memory + 4096
    assert len(gc.get_objects()) <= objects + 200


def test_ten_thousand_evaluations_leave_nothing_behind() -> None:
    x = mx.ones((8, 8))
    compiled = mx.compile(lambda x: mx.tanh(x @ x))

    def cycle() -> None:
        y = compiled(x) + 1
        mx.eval(y)

    for _ in range(100):
        cycle()
    nodes, memory, objects = living_nodes(), mx.get_active_memory(), len(gc.get_objects())
    for _ in range(10_000):
        cycle()
    assert living_nodes() <= nodes + 16
    assert mx.get_active_memory() <= memory + 4096
    assert len(gc.get_objects()) <= objects + 200


def test_constants_are_freed_with_the_function() -> None:
    before = mx.get_active_memory()
    constant = mx.ones((256, 256))
    mx.eval(constant)
    compiled = mx.compile(partial(lambda constant, x: x + constant, constant))
    compiled(mx.array(1.0)).sum().item()
    del constant, compiled
    gc.collect()
    assert mx.get_active_memory() <= before + 1024


def test_threads_share_a_compiled_step() -> None:
    state = {"count": mx.array(0), "seen": [mx.zeros(3)]}

    @partial(mx.compile, inputs=state, outputs=state)
    def step(x: Any) -> Any:
        state["count"] = state["count"] + 1
        state["seen"][0] = state["seen"][0] + x
        return x * 2

    errors: list[BaseException] = []

    def worker() -> None:
        try:
            for i in range(100):
                assert step(mx.full((3,) if i % 2 else (1,), 1.0)).sum().item() == (6.0 if i % 2 else 2.0)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=worker) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert state["count"].item() == 400
    assert state["seen"][0].tolist() == [400.0] * 3


def test_results_that_another_thread_awaits_are_arguments() -> None:
    compiled = mx.compile(lambda x: x * 2)
    pending = compiled(mx.array([1.0, 2.0]))
    seen: list[Any] = []
    for function in (lambda: compiled(pending).tolist(), pending.tolist):
        thread = threading.Thread(target=lambda function=function: seen.append(function()))
        thread.start()
        thread.join()
    assert seen == [[4.0, 8.0], [2.0, 4.0]]

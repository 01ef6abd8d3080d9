"""How the executable of a program is called again and again: on arrays that are on its device, and on others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import mlx.core as mx
from mlx.runtime.compiler import HANDED_OVER_TIMES, Compiled, _directly


@pytest.fixture(autouse=True)
def compiled_programs() -> Iterator[None]:
    with mx.engine("xla"), mx.stream(mx.cpu):
        yield


@pytest.fixture
def own_calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of calls that are made by the executable itself, with all that it looks at."""
    calls: list[Any] = []
    compile_program: Callable[..., Any] = Compiled._compile

    def recorded(self: Any, arguments: Any) -> Any:
        executable = compile_program(self, arguments)

        class Recorded:
            _executable, _params = executable._executable, executable._params

            def __call__(self, *arguments: Any) -> Any:
                calls.append(arguments)
                return executable(*arguments)

        return Recorded()

    monkeypatch.setattr(Compiled, "_compile", recorded)
    return calls


def test_arrays_on_the_device_go_straight_there(own_calls: list[Any]) -> None:
    step = mx.compile(lambda x, y: (x * 2 + y, y + 1))
    x, y = mx.array([1.0, 2.0]), mx.array([[3.0], [4.0]])
    for _ in range(6):
        x, y = step(x, y)
        x = x[0]
    expected, other = np.array([1.0, 2.0]), np.array([[3.0], [4.0]])
    for _ in range(6):
        expected, other = (expected * 2 + other)[0], other + 1
    np.testing.assert_array_equal(x, expected)
    np.testing.assert_array_equal(y, other)
    assert len([arguments for arguments in own_calls if len(arguments) == 2 and arguments[0].shape == (2,)]) == 1


def test_a_host_array_that_comes_again_and_again_is_put_on_the_device(own_calls: list[Any]) -> None:
    times = mx.compile(lambda x: x * 7)
    x = mx.array([1, 2, 3])
    for _ in range(HANDED_OVER_TIMES + 5):
        assert times(x).tolist() == [7, 14, 21]
    assert len(own_calls) == HANDED_OVER_TIMES + 1
    assert x.tolist() == [1, 2, 3]


def test_what_is_written_to_a_view_is_seen_by_the_next_call() -> None:
    times = mx.compile(lambda x: x * 11)
    x = mx.array([1, 2])
    view = np.asarray(x, copy=False)
    for value in range(HANDED_OVER_TIMES + 5):
        view[0] = value
        assert times(x).tolist() == [11 * value, 22]


@pytest.mark.parametrize("dtype", [mx.int64, mx.uint64, mx.float64, mx.complex64, mx.bfloat16, mx.bool_])
def test_dtypes_stay_in_every_call(dtype: mx.Dtype) -> None:
    both = mx.compile(lambda x: (x, mx.concatenate([x, x])))
    x = mx.array([1, 0, 1]).astype(dtype)
    for _ in range(4):
        x, twice = both(x)
        mx.eval(twice)
        assert x.dtype == twice.dtype == dtype
        assert twice.astype(mx.int32).tolist() == [1, 0, 1, 1, 0, 1]


def test_numbers_that_change_are_seen() -> None:
    x = mx.ones((300, 300))
    for number in (2.0, 2.0, 3.0, float("nan"), float("nan"), 2.0):
        np.testing.assert_array_equal((x * number - 0.5)[0, 0].item(), number - 0.5)


def test_a_small_call_is_started_at_once() -> None:
    doubled = mx.compile(lambda x: x * 2)
    x = mx.array([1.0, 2.0])
    mx.eval(doubled(x))  # makes the program
    y = doubled(x)
    assert y._node.value is not None
    assert y.tolist() == [2.0, 4.0]


@pytest.mark.parametrize("size", [2**14, 2**16])
def test_a_call_waits_where_that_saves_memory(size: int) -> None:
    doubled = mx.compile(lambda x: mx.broadcast_to(x[:1], (size,)) * 2)
    x = mx.ones((size,))
    mx.eval(doubled(x))
    y = doubled(x)
    assert y._node.value is None
    np.testing.assert_array_equal(y, np.full(size, 2.0))


def test_a_call_waits_for_arguments_that_are_not_computed_yet() -> None:
    doubled = mx.compile(lambda x: x * 2)
    x = mx.array([1.0, 2.0])
    mx.eval(doubled(x))
    y = doubled(x + 1)
    assert y._node.value is None
    assert y.tolist() == [4.0, 6.0]


def test_an_executable_without_the_known_insides_is_called_as_documented() -> None:
    assert _directly(lambda *arguments: [sum(arguments)])([1, 2, 3]) == [6]


@pytest.mark.parametrize("what", ["ordered_effects", "has_host_callbacks", "has_unordered_effects", "mut"])
def test_an_executable_that_does_more_than_compute_is_called_as_documented(what: str) -> None:
    class Inside(SimpleNamespace):
        def execute_sharded(self, arguments: list[int]) -> None:
            raise AssertionError

    class Executable(SimpleNamespace):
        def __call__(self, *arguments: int) -> list[int]:
            return [sum(arguments)]

    usual = {"ordered_effects": (), "has_unordered_effects": False, "has_host_callbacks": False, "mut": None}
    for facts, runs_directly in ((usual, True), ({**usual, what: ["something"]}, False)):
        inside = Inside(local_devices=lambda: ["one"])
        known = SimpleNamespace(**facts, xla_executable=inside, out_handler=SimpleNamespace(handlers=[]))
        executable = Executable(_executable=SimpleNamespace(unsafe_call=known), _params=SimpleNamespace(const_args=[]))
        with pytest.raises(AssertionError) if runs_directly else nullcontext():
            assert _directly(executable)([1, 2, 3]) == [6]

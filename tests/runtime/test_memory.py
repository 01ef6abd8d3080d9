"""Memory: what arrays hold is counted to the byte."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mlx.core as mx
from mlx.runtime import compiler

KIB = 1024


def test_active_memory_is_what_arrays_hold() -> None:
    gc.collect()
    before = mx.get_active_memory()
    x = mx.array([0.0] * 256 * KIB)
    assert mx.get_active_memory() - before == KIB * KIB
    y = x + 1
    assert mx.get_active_memory() - before == KIB * KIB
    mx.eval(y)
    assert mx.get_active_memory() - before == 2 * KIB * KIB
    del x
    assert mx.get_active_memory() - before == KIB * KIB
    del y
    assert mx.get_active_memory() == before


def test_what_nobody_needs_holds_no_memory() -> None:
    gc.collect()
    before = mx.get_active_memory()
    x = mx.array([0.0] * 256 * KIB)
    y, z = mx.divmod(x, x)
    del x, y, z  # recorded, never computed
    assert mx.get_active_memory() == before


@pytest.mark.parametrize("engine", ["numpy", "xla"])
def test_peak_memory(engine: str) -> None:
    gc.collect()
    x = mx.zeros((256, KIB))
    mx.eval(x)
    before = mx.get_active_memory()
    mx.reset_peak_memory()
    assert mx.get_peak_memory() == 0
    with mx.engine(engine):
        y = mx.exp(x)
        mx.eval(y)
        assert mx.get_peak_memory() == before + KIB * KIB
        del y
        mx.eval(x + 1)
    assert mx.get_peak_memory() == before + KIB * KIB
    assert mx.get_active_memory() == before


def test_a_loop_that_drops_its_values_has_a_flat_peak() -> None:
    x = mx.zeros((64, KIB))
    mx.eval(x)
    gc.collect()
    mx.reset_peak_memory()
    before = mx.get_active_memory()
    for _ in range(50):
        x = x * 0.5 + 1
        mx.eval(x)
    assert mx.get_active_memory() == before
    assert mx.get_peak_memory() <= before + 64 * KIB * 4


def test_no_cache_is_kept() -> None:
    mx.eval(mx.zeros(KIB) + 1)
    assert mx.get_cache_memory() == 0
    mx.clear_cache()
    assert mx.get_cache_memory() == 0


def test_limits_are_noted() -> None:
    for set_limit in (mx.set_memory_limit, mx.set_cache_limit, mx.set_wired_limit):
        before = set_limit(10)
        assert before >= 0
        assert set_limit(before) == 10
        assert set_limit(before) == before
        for limit in (-1, "a", 1.5, None, 2**64):
            with pytest.raises(TypeError, match=r"\[set_\w+_limit\] limit must"):
                set_limit(limit)  # type: ignore[arg-type]
    assert mx.get_memory_limit() > 2**20


def test_size_of_buffers() -> None:
    x, y = mx.zeros((3, 4)), mx.ones(2, mx.int8)
    mx.eval(x, y)
    assert mx.get_array_buffer_size(x) == 48
    assert mx.get_array_buffer_size({"a": [x, (y, "text")]}, x, None) == 50
    assert mx.get_array_buffer_size() == 0
    with pytest.raises(ValueError, match=r"\[get_array_buffer_size\] An array is not evaluated"):
        mx.get_array_buffer_size(x, x + 1)


def test_memory_that_arrays_share_counts_once() -> None:
    x = mx.array([[1.0, 2.0], [3.0, 4.0]])
    views = [x.reshape(4), x.T, mx.array(x)]
    mx.eval(views)
    assert mx.get_array_buffer_size(x, views) == 16
    y = x + 1
    mx.eval(y)
    assert mx.get_array_buffer_size(x, y) == 32
    with mx.engine("xla"):
        z = x * 2
        mx.eval(z)
    assert mx.get_array_buffer_size(x, z, z) == 32


def test_metal_has_the_same_functions() -> None:
    assert not mx.metal.is_available()
    assert mx.metal.device_info() == {}
    assert mx.metal.get_active_memory() == mx.get_active_memory()
    assert mx.metal.start_capture("trace") is None
    assert mx.metal.stop_capture() is None
    with pytest.raises(TypeError, match=r"\[metal\.start_capture\] path must be a string"):
        mx.metal.start_capture(1)  # type: ignore[arg-type]
    for name in ("clear_cache", "get_cache_memory", "get_peak_memory", "reset_peak_memory"):
        assert getattr(mx.metal, name) is getattr(mx, name)
    for name in ("set_cache_limit", "set_memory_limit", "set_wired_limit"):
        assert getattr(mx.metal, name) is getattr(mx, name)


def test_a_program_that_returns_an_input_as_it_is_overwrites_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiler for GPUs was seen to reuse such an input before it had copied it."""
    programs: list[compiler.Compiled] = []
    run = compiler.Compiled.run
    monkeypatch.setattr(compiler, "DONATED_ON_CPU", 1)
    monkeypatch.setattr(compiler.Compiled, "run", lambda self, inputs: programs.append(self) or run(self, inputs))
    for passes, function in ((True, mx.stop_gradient), (True, lambda x: x.reshape(2, -1)), (False, lambda x: x + 1)):
        with mx.engine("xla"):
            x = mx.zeros(40_000) + 3
            mx.eval(x)
            for _ in range(compiler.DONATIONS_MISSED + 2):
                x = x * 1.5
                mx.eval(x)
            a, b = function(x), x * 2
            del x
            mx.eval(a, b)
        assert bool(programs[-1].donated) is not passes
        assert (b.reshape(-1)[0] / 2).item() == a.reshape(-1)[0].item() - (0 if passes else 1)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.reshape(2, -1),
        lambda x: x.T,
        lambda x: mx.broadcast_to(x, (3, 256, 256)),
        lambda x: x[1:],
        lambda x: x.reshape(-1)[512:].reshape(-1, 256),
    ],
)
def test_what_lies_in_the_memory_of_another_array_is_not_counted_again(function: Callable[[Any], Any]) -> None:
    gc.collect()
    before = mx.get_active_memory()
    with mx.engine("numpy"):
        x = mx.array([[0.0] * 256] * 256)
        y = function(x)
        mx.eval(y)
        assert np.may_share_memory(y._numpy(), x._numpy())
        assert mx.get_active_memory() - before == 256 * KIB
        del x  # the memory stays
        assert mx.get_active_memory() - before == 256 * KIB
        del y
    assert mx.get_active_memory() == before

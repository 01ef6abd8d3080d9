"""How programs are compiled: with options that the installed compiler may not know, and nothing besides the program."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import mlx.core as mx
from mlx.runtime import compiler


@pytest.fixture
def no_option_unknown() -> Iterator[None]:
    before = set(compiler._unknown_options)
    compiler._unknown_options.clear()
    yield
    compiler._unknown_options.clear()
    compiler._unknown_options.update(before)


def test_options_that_the_compiler_does_not_know_are_left_out(
    monkeypatch: pytest.MonkeyPatch, no_option_unknown: None
) -> None:
    options = {"xla_allow_excess_precision": False, "xla_no_such_option": True}
    asked = []
    is_known = compiler._is_known

    def noted(option: str, value: Any) -> bool:
        asked.append(option)
        return is_known(option, value)

    monkeypatch.setattr(compiler, "compiler_options", lambda *arguments: options)
    monkeypatch.setattr(compiler, "_is_known", noted)
    with mx.engine("xla"):
        assert (mx.array([1.0, 2.0]) * 3.5 + 7.25).tolist() == [10.75, 14.25]
        assert (mx.array([1.0, 2.0]) * 3.5 - 7.25).tolist() == [-3.75, -0.25]
    assert asked == list(options)  # once, not for every program
    assert compiler._unknown_options == {"xla_no_such_option"}


def test_a_program_that_the_compiler_refuses_is_an_error(
    monkeypatch: pytest.MonkeyPatch, no_option_unknown: None
) -> None:
    import jax

    class Refused:
        def compile(self, compiler_options: dict[str, Any]) -> None:
            raise jax.errors.JaxRuntimeError("no room")

    with pytest.raises(jax.errors.JaxRuntimeError, match="no room"):
        compiler._compile_lowered(Refused(), {"xla_allow_excess_precision": False})
    assert compiler._unknown_options == set()


@pytest.mark.parametrize("is_enabled", [True, False])
def test_the_collector_is_afterwards_as_it_was(is_enabled: bool) -> None:
    was_enabled = gc.isenabled()
    try:
        (gc.enable if is_enabled else gc.disable)()
        with compiler.collector_at_rest():
            assert not gc.isenabled()
        assert gc.isenabled() is is_enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()


FIRST_STEP = """
import jax
import numpy as np

compiled = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **_: compiled.append(event) if event.endswith("backend_compile_duration") else None
)
import mlx.core as mx
import mlx.nn as nn
from mlx.optimizers import AdamW

net = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 10))
params, optimizer = net.parameters(), AdamW(1e-3)
x, y = mx.array(np.ones((128, 32), np.float32)), mx.array(np.ones((128, 10), np.float32))
loss, grads = mx.value_and_grad(lambda p: mx.mean((net.apply(p, x) - y) ** 2))(params)
params = optimizer.update(params, grads)
mx.eval(loss, params)
print(len(compiled))
"""


def test_the_first_step_compiles_one_program() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", FIRST_STEP], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == "1"


@pytest.mark.parametrize(("steps", "trims"), [(2, 0), (compiler.LEAVES_MUCH_MEMORY, 1)])
def test_what_compiling_a_large_program_freed_goes_back_to_the_system(
    steps: int, trims: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    trimmed: list[int] = []
    monkeypatch.setattr(compiler, "_trim", lambda: trimmed.append)
    x = mx.array([0.25])
    with mx.engine("xla"), mx.stream(mx.cpu):
        for _ in range(steps):
            x = mx.square(x)
        mx.eval(x)
    assert trimmed == [0] * trims

"""Which engine runs a program: by cost, by request, in one thread, and from the environment."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

import mlx.core as mx
from mlx.runtime import engine as choice


def ran_on(x: Any) -> str:
    """The engine that computes a pending array."""
    mx.eval(x)
    return "xla" if x._node.value.device is not None else "numpy"


def test_a_small_program_is_interpreted_and_a_large_one_compiled() -> None:
    assert ran_on(mx.array([1.0, 2.0]) * 2 + 1) == "numpy"
    x = mx.array(np.linspace(0, 1, 500_000, dtype=np.float32))
    assert ran_on(mx.sin(x) * mx.exp(x)) == "xla"


def test_a_single_product_is_left_to_the_library_of_numpy() -> None:
    x = mx.array(np.ones((600, 600), np.float32))
    assert ran_on(x @ x) == "numpy"
    assert ran_on(mx.tanh(mx.exp(x @ x))) == "xla"


def test_a_loop_of_tiny_steps_is_interpreted() -> None:
    w, h = mx.array(np.full((4, 4), 0.1, np.float32)), mx.array(np.ones((2, 4), np.float32))
    for _ in range(200):  # compiling 400 of them takes seconds, and saves a third of a millisecond a run
        h = mx.tanh(h @ w)
    assert ran_on(h) == "numpy"


def test_the_choice_for_a_block() -> None:
    x = mx.array([1.0, 2.0])
    with mx.engine("xla"):
        assert ran_on(x * 3 + 1) == "xla"
        with mx.engine("numpy"):
            assert ran_on(x * 3 + 1) == "numpy"
        with mx.engine("auto"):
            assert ran_on(x * 3 + 1) == "numpy"
        assert ran_on(x * 3 + 1) == "xla"
    assert ran_on(x * 3 + 1) == "numpy"


def test_the_choice_is_taken_back_after_an_exception() -> None:
    with pytest.raises(KeyError), mx.engine("xla"):
        raise KeyError
    assert choice.pinned() is None


def test_the_choice_is_one_thread_s() -> None:
    seen = []
    with mx.engine("xla"):
        thread = threading.Thread(target=lambda: seen.append(choice.pinned()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_an_unknown_engine() -> None:
    with pytest.raises(ValueError, match="'numpy', 'xla' or 'auto', got 'torch'"), mx.engine("torch"):  # type: ignore[arg-type]
        pass


@pytest.mark.parametrize(("setting", "expected"), [("numpy", "numpy"), ("xla", "xla"), ("auto", "None")])
def test_the_environment(setting: str, expected: str) -> None:
    done = run_with(setting)
    assert done.stdout.strip() == expected


def test_an_unknown_engine_in_the_environment() -> None:
    done = run_with("torch")
    assert done.returncode != 0
    assert "MLX_XLA_ENGINE must be auto, numpy or xla, not 'torch'" in done.stderr


def run_with(setting: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MLX_XLA_ENGINE": setting, "PYTHONPATH": os.pathsep.join(sys.path)}
    script = "import mlx.core; from mlx.runtime import engine; print(engine.pinned())"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)

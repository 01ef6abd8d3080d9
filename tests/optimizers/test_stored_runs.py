"""Ten steps of every optimizer, against the numbers that MLX computed, and interrupted and resumed."""

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_runs import RUNS, SCHEDULES, SETTINGS, STEPS, draw, run, vector

import mlx.core as mx
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_unflatten

STORED = mx.load(str(Path(__file__).parent / "fixtures" / "runs.safetensors"))

# Rounding errors of half precision add up over ten steps, in Muon over five products of matrices in each of them.
TOLERANCES = {"float16": 5e-3, "bfloat16": 4e-2}


def test_every_option_of_every_optimizer_has_a_run():
    optimizers = {value for value in vars(optim).values() if isinstance(value, type)}
    assert optimizers == {*SETTINGS, optim.Optimizer, optim.MultiOptimizer}
    for optimizer, (rate, settings) in SETTINGS.items():
        for option in inspect.signature(optimizer).parameters.values():
            values = [keywords[option.name] for keywords in settings if option.name in keywords]
            if option.name == "learning_rate" and rate is not None:
                values.append(rate)
            assert any(value != option.default for value in values), (optimizer, option.name)
    schedules = {name for name in vars(optim) if "decay" in name or "schedule" in name} - {"schedulers"}
    assert schedules == SCHEDULES.keys() - {"function"}


def test_random_numbers_are_the_same():
    np.testing.assert_allclose(vector(list(draw())), STORED["drawn"], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", RUNS)
def test_parameters_and_state_after_ten_steps(name):
    optimizer, parameters = run(name)
    np.testing.assert_allclose(vector(parameters), STORED[f"{name} float32 parameters"], rtol=2e-5, atol=2e-5)
    np.testing.assert_allclose(vector(optimizer.state), STORED[f"{name} float32 state"], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16], ids=str)
@pytest.mark.parametrize("name", RUNS)
def test_half_precision_after_ten_steps(name, dtype):
    with mx.engine("numpy"):  # which compiles nothing; every engine has tests of its own of half precision
        _, parameters = run(name, dtype)
    assert {leaf.dtype for _, leaf in tree_flatten(parameters)} == {dtype}
    label = str(dtype).rpartition(".")[2]
    expected = np.array(STORED[f"{name} {label} parameters"].astype(mx.float32))
    np.testing.assert_allclose(vector(parameters), expected, rtol=TOLERANCES[label], atol=TOLERANCES[label])


def steps(optimizer: optim.Optimizer, parameters: Any, gradients: list[Any]) -> Any:
    for gradient in gradients:
        parameters = optimizer.update(parameters, gradient)
        mx.eval(parameters, optimizer.state)
    return parameters


@pytest.mark.parametrize(
    ("name", "engine"),
    [*((name, "numpy") for name in RUNS), ("MultiOptimizer", "xla"), ("AdamW(join_schedules)", "xla")],
)
def test_a_run_that_is_saved_and_resumed_gives_the_same_bits(name, engine, tmp_path):
    with mx.engine(engine):
        check_resuming(name, tmp_path)


def check_resuming(name: str, tmp_path: Path) -> None:
    parameters, gradients = draw()
    optimizer = RUNS[name]()
    halfway = steps(optimizer, parameters, gradients[: STEPS // 2])
    mx.save_safetensors(str(tmp_path / "state.safetensors"), tree_flatten(optimizer.state, destination={}))
    expected = steps(optimizer, halfway, gradients[STEPS // 2 :])
    resumed = RUNS[name]()
    resumed.state = tree_unflatten(mx.load(str(tmp_path / "state.safetensors")))
    actual = steps(resumed, halfway, gradients[STEPS // 2 :])
    assert vector(actual).tolist() == vector(expected).tolist()
    assert {path: leaf.tolist() for path, leaf in tree_flatten(resumed.state)} == {
        path: leaf.tolist() for path, leaf in tree_flatten(optimizer.state)
    }

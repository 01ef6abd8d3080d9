"""Weights and outputs that MLX wrote: they load here by name, give the same outputs, and are written the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_models import MODELS, Collection, build, drawn

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_unflatten

FOLDER = Path(__file__).parent / "fixtures"
FILES = sorted(
    path.name
    for path in FOLDER.iterdir()
    if path.suffix in (".safetensors", ".npz") and ".run" not in path.name and path.name.split(".")[0] in MODELS
)

# A bfloat16 has 8 digits, and engines may keep more of them between operations.
TOLERANCE = {"half_precision": 2e-2, "quantized": 1e-4}

WITHOUT_PARAMETERS = {
    *(f"{kind}Pool{dims}d" for kind in ("Avg", "Max") for dims in (1, 2, 3)),
    "FullyShardedModule",  # has those of the module inside
    "RoPE",
    "SinusoidalPositionalEncoding",
    "Upsample",
}


def loaded(file: str) -> tuple[Collection, dict[str, Any]]:
    """The model with the file's weights, in evaluation mode, and what the reference computed with them."""
    name = file.split(".")[0]
    mx.random.seed(99)
    model, _ = build(name)
    model.eval()
    model.load_weights(str(FOLDER / file), strict=True)
    return model, tree_unflatten(mx.load(str(FOLDER / f"{name}.run.safetensors")))


def check(actual: Any, expected: Any, tolerance: float) -> None:
    actual, expected = (dict(tree_flatten(tree)) for tree in (actual, expected))
    assert actual.keys() == expected.keys()
    for name, array in expected.items():
        assert (actual[name].shape, actual[name].dtype) == (array.shape, array.dtype), name
        np.testing.assert_allclose(
            np.array(actual[name].astype(mx.float32)),
            np.array(array.astype(mx.float32)),
            rtol=tolerance,
            atol=tolerance,
            err_msg=name,
        )


@pytest.mark.parametrize("file", FILES)
def test_loaded_weights_give_the_same_outputs(file):
    model, run = loaded(file)
    tolerance = TOLERANCE.get(file.split(".")[0], 1e-5)
    inputs = run["inputs"]
    check(tree_unflatten(list(model(inputs).items())), run["eval"], tolerance)
    model.train()
    if "train" in run:
        check(tree_unflatten(list(model(inputs).items())), run["train"], tolerance)
    if "after" in run:
        statistics = [(path, array) for path, array in tree_flatten(model.parameters()) if "running" in path]
        check(tree_unflatten(statistics), run["after"], tolerance)


@pytest.mark.parametrize("file", FILES)
def test_written_weights_have_the_same_names_shapes_dtypes_and_bits(file, tmp_path):
    model, _ = loaded(file)
    model.save_weights(str(tmp_path / file))
    written, original = mx.load(str(tmp_path / file)), mx.load(str(FOLDER / file))
    assert written.keys() == original.keys()
    for name, array in original.items():
        assert (written[name].shape, written[name].dtype) == (array.shape, array.dtype), name
        assert mx.array_equal(written[name], array).item(), name


@pytest.mark.parametrize("name", MODELS)
def test_initial_parameters_and_random_numbers_are_those_of_the_reference_for_a_seed(name):
    model, inputs = drawn(name)
    original = mx.load(str(FOLDER / f"{name}.safetensors"))
    check(model.parameters(), tree_unflatten(original), 1e-6)
    stored = tree_unflatten(mx.load(str(FOLDER / f"{name}.run.safetensors")))
    check(inputs, stored["inputs"], 1e-6)


def test_every_layer_with_parameters_is_in_a_model():
    stored = {type(module).__name__ for name in MODELS for module in build(name)[0].modules()}
    layers = {
        name: value for name, value in vars(nn).items() if isinstance(value, type) and issubclass(value, nn.Module)
    }
    missing = layers.keys() - stored - WITHOUT_PARAMETERS
    for name in sorted(missing):  # all that is left are activations and the like, which need no arguments
        assert not layers[name]().parameters(), name

"""Layers whose weights take a few bits each, and how models get them."""

from typing import Any

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn
from mlx.optimizers import SGD
from mlx.utils import tree_flatten

MODES = ["affine", "mxfp4", "mxfp8", "nvfp4"]


def names(tree: Any) -> list[str]:
    return sorted(name for name, _ in tree_flatten(tree))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_that_with_the_dequantized_weights(mode: str, bias: bool) -> None:
    linear = nn.Linear(64, 5, bias=bias)
    layer = linear.to_quantized(mode=mode)
    weights = mx.dequantize(
        layer.weight, layer.scales, layer.get("biases"), layer.group_size, layer.bits, mode, dtype=mx.float32
    )
    x = mx.random.normal((2, 3, 64))
    expected = np.array(x) @ np.array(weights).T + (np.array(linear.bias) if bias else 0)
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-4)
    # Codes of 4 bits are off by up to a sixth of the largest number, and a scale of 3 digits by a sixteenth.
    np.testing.assert_allclose(weights, linear.weight, atol=0.25 * np.abs(np.array(linear.weight)).max())


@pytest.mark.parametrize("mode", MODES)
def test_embedding_is_that_with_the_dequantized_table(mode: str) -> None:
    embedding = nn.Embedding(7, 64)
    layer = embedding.to_quantized(mode=mode)
    parts = (layer.weight, layer.scales, layer.get("biases"), layer.group_size, layer.bits, mode)
    table = mx.dequantize(*parts)
    for index in (mx.array([[1, 6], [0, 1]]), mx.array(3), mx.zeros((0,), mx.int32)):
        assert layer(index).shape == (*index.shape, 64)
        assert mx.array_equal(layer(index), table[index])
    x = mx.random.normal((2, 64))
    expected = np.array(x) @ np.array(mx.dequantize(*parts, dtype=mx.float32)).T
    np.testing.assert_allclose(layer.as_linear(x), expected, rtol=1e-4, atol=1e-4)


def test_settings_are_those_of_the_mode_unless_given() -> None:
    shown = {
        repr(nn.Linear(64, 32).to_quantized()): "QuantizedLinear(input_dims=64, output_dims=32, bias=True, "
        "group_size=64, bits=4, mode=affine)",
        repr(nn.QuantizedLinear(64, 32, bias=False, group_size=32, bits=3)): "QuantizedLinear(input_dims=64, "
        "output_dims=32, bias=False, group_size=32, bits=3, mode=affine)",
        repr(nn.QuantizedEmbedding(10, 64, mode="nvfp4")): "QuantizedEmbedding(10, 64, group_size=16, bits=4, "
        "mode=nvfp4)",
        repr(nn.QQLinear(64, 32, mode="mxfp8")): "QQLinear(input_dims=64, output_dims=32, group_size=32, bits=8, "
        "mode=mxfp8)",
    }
    for mine, expected in shown.items():
        assert mine == expected


def test_initial_weights_for_a_seed() -> None:
    mx.random.seed(3)
    layer = nn.QuantizedLinear(64, 4)
    assert layer.weight[0, :3].tolist() == [1931185478, 3395574294, 3252544631]  # computed with the reference
    assert not layer.bias.any().item()
    mx.random.seed(3)
    assert mx.array_equal(nn.Linear(64, 4).to_quantized().weight, layer.weight)
    mx.random.seed(3)
    table = nn.QuantizedEmbedding(4, 64).weight
    mx.random.seed(3)
    assert mx.array_equal(nn.Embedding(4, 64).to_quantized().weight, table)


def test_packed_weights_are_frozen_and_stay_so() -> None:
    model = nn.Sequential(nn.QuantizedLinear(64, 32), nn.QuantizedEmbedding(4, 64, mode="mxfp4"))
    assert names(model.trainable_parameters()) == []
    assert names(nn.Linear(64, 8).to_quantized().trainable_parameters()) == ["bias"]
    model.unfreeze()
    assert names(model.trainable_parameters()) == ["layers.0.bias", "layers.0.biases", "layers.0.scales"]
    model.freeze()
    model.unfreeze(keys=["scales"])
    assert names(model.trainable_parameters()) == ["layers.0.scales"]


def test_scales_can_be_trained() -> None:
    mx.random.seed(0)
    layer = nn.QuantizedLinear(64, 8).unfreeze()
    x, y = mx.random.normal((32, 64)), mx.random.normal((32, 8))
    optimizer = SGD(1e-3)
    step = nn.value_and_grad(layer, lambda: mx.square(layer(x) - y).mean())
    losses = []
    for _ in range(5):
        loss, gradients = step()
        optimizer.update(layer, gradients)
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)


# Whole models


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.parts = {"first": [nn.Linear(64, 64)], "table": nn.Embedding(3, 64)}
        self.attention = nn.MultiHeadAttention(64, 2)
        self.norm = nn.LayerNorm(64)


def kinds(model: nn.Module) -> dict[str, str]:
    return {path: type(module).__name__ for path, module in model.named_modules() if not module.children()}


def test_all_layers_that_can_be_are_quantized() -> None:
    model = Nested()
    nn.quantize(model)
    found = kinds(model)
    assert found["parts.first.0"] == found["attention.query_proj"] == "QuantizedLinear"
    assert found["parts.table"] == "QuantizedEmbedding"
    assert found["norm"] == "LayerNorm"
    before = model.parts["first"][0]
    nn.quantize(model)
    assert model.parts["first"][0] is before


def test_predicate_chooses() -> None:
    seen = []

    def last(path: str, module: nn.Module) -> Any:
        seen.append((path, type(module).__name__))
        return {"bits": 8, "group_size": 32} if path == "layers.2" else None

    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64))
    nn.quantize(model, mode="mxfp4", class_predicate=last)
    assert sorted(seen) == [("layers.0", "Linear"), ("layers.1", "ReLU"), ("layers.2", "Linear")]
    assert list(kinds(model).values()).count("QuantizedLinear") == 1
    chosen = model.layers[2]
    assert (chosen.bits, chosen.group_size, chosen.mode) == (8, 32, "affine")


def test_layers_of_ones_own() -> None:
    class Mine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = mx.ones(3)

        def to_quantized(self, **arguments: Any) -> nn.Module:
            got.append(arguments)
            return nn.Identity()

    got: list[dict[str, Any]] = []
    nn.quantize(nn.Sequential(Mine()), mode="nvfp4")
    nn.quantize(nn.Sequential(Mine()), 32, 8, mode="mxfp8", quantize_input=True)
    nn.quantize(nn.Sequential(Mine()), class_predicate=lambda path, module: {"x": 1})
    assert got == [
        {"group_size": None, "bits": None, "mode": "nvfp4"},
        {"group_size": 32, "bits": 8, "mode": "mxfp8", "quantize_input": True},
        {"x": 1},
    ]


@pytest.mark.parametrize(
    ("layers", "arguments", "error", "message"),
    [
        ([nn.Linear(60, 3)], {}, ValueError, "divisible by the quantization group size 64"),
        ([nn.ReLU()], {"class_predicate": lambda path, module: True}, ValueError, "Unable to quantize 'layers.1'"),
        ([nn.Linear(64, 3)], {"class_predicate": lambda path, module: "yes"}, ValueError, "must return a bool"),
        ([nn.Linear(64, 3)], {"mode": "q4"}, ValueError, "The modes are"),
        ([nn.Linear(64, 3)], {"mode": "nvfp4", "quantize_input": True}, NotImplementedError, "no bias"),
        ([nn.Linear(64, 3, bias=False)], {"quantize_input": True}, ValueError, "only supported for nvfp4 and mxfp8"),
        ([nn.Embedding(3, 64)], {"mode": "mxfp8", "quantize_input": True}, ValueError, "class_predicate"),
    ],
)
def test_a_model_that_cannot_be_quantized_stays_as_it_was(
    layers: list[nn.Module], arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    first = nn.Linear(64, 64, bias=False)
    model = nn.Sequential(first, *layers)
    with pytest.raises(error, match=message):
        nn.quantize(model, **arguments)
    assert model.layers[0] is first


# Inputs quantised as well


@pytest.mark.parametrize("mode", ["nvfp4", "mxfp8"])
def test_inputs_are_quantized_as_well(mode: str) -> None:
    mx.random.seed(0)
    linear = nn.Linear(64, 5, bias=False)
    model = nn.Sequential(linear)
    nn.quantize(model, mode=mode, quantize_input=True)
    (layer,) = model.layers
    x = mx.random.normal((3, 64))
    rounded = [mx.dequantize(*mx.quantize(a, mode=mode), mode=mode, dtype=mx.float32) for a in (x, linear.weight)]
    expected = np.array(rounded[0]) @ np.array(rounded[1]).T
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(layer(x[0]), expected[0], rtol=1e-4, atol=1e-4)

    gradients = nn.value_and_grad(model, lambda: layer(x).sum())()[1]
    np.testing.assert_allclose(
        gradients["layers"][0]["weight"], np.tile(np.array(rounded[0]).sum(0), (5, 1)), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(
        mx.grad(lambda x: layer(x).sum())(x), np.tile(np.array(rounded[1]).sum(0), (3, 1)), rtol=1e-4, atol=1e-4
    )

    model.eval()
    assert layer.weight.dtype == mx.uint32
    np.testing.assert_allclose(model(x), expected, rtol=1e-4, atol=1e-4)
    model.train()
    assert layer.weight.dtype == mx.float32
    np.testing.assert_array_equal(layer.weight, rounded[1])


def test_layers_in_evaluation_are_packed_at_once() -> None:
    layer = nn.Linear(64, 5, bias=False).eval().to_quantized(mode="nvfp4", quantize_input=True)
    assert layer.weight.shape == (5, 8)
    assert not layer.training


def test_only_two_modes_quantize_inputs() -> None:
    with pytest.raises(ValueError, match="only supported for nvfp4 and mxfp8"):
        nn.QQLinear(64, 5, mode="mxfp4")

"""What every layer holds: gradients by finite differences, half precision, an empty batch, constructors of all kinds.

What each computes is tested by itself, in the file of its family, and against stored numbers of MLX.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from reference_models import MODELS, build

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_unflatten


@dataclass(frozen=True)
class Layer:
    """How to make a layer, and the shapes of its inputs, whose first axis is the batch."""

    make: Callable[[], nn.Module]
    shapes: tuple[tuple[int, ...], ...]
    batched: bool = True  # takes an empty batch
    shift: float = 1e-5  # of finite differences; large for linear maps that compute in single precision
    widens: bool = False  # gives float32 for half precision


ACTIVATIONS = {
    "CELU": nn.CELU,
    "CELU alpha": lambda: nn.CELU(0.5),
    "ELU": nn.ELU,
    "ELU alpha": lambda: nn.ELU(2.0),
    "GELU": nn.GELU,
    "GELU fast": lambda: nn.GELU("fast"),
    "GELU precise": lambda: nn.GELU("precise"),
    "GELU tanh": lambda: nn.GELU("tanh"),
    "GLU": nn.GLU,
    "GLU axis": lambda: nn.GLU(axis=1),
    "HardShrink": nn.HardShrink,
    "HardShrink lambda": lambda: nn.HardShrink(0.25),
    "HardTanh": nn.HardTanh,
    "Hardswish": nn.Hardswish,
    "LeakyReLU": nn.LeakyReLU,
    "LeakyReLU slope": lambda: nn.LeakyReLU(0.5),
    "LogSigmoid": nn.LogSigmoid,
    "LogSoftmax": nn.LogSoftmax,
    "Mish": nn.Mish,
    "PReLU": nn.PReLU,
    "PReLU each": lambda: nn.PReLU(6, 0.3),
    "ReLU": nn.ReLU,
    "ReLU2": nn.ReLU2,
    "ReLU6": nn.ReLU6,
    "SELU": nn.SELU,
    "SiLU": nn.SiLU,
    "Sigmoid": nn.Sigmoid,
    "Softmax": nn.Softmax,
    "Softmin": nn.Softmin,
    "Softplus": nn.Softplus,
    "Softshrink": nn.Softshrink,
    "Softshrink lambda": lambda: nn.Softshrink(0.25),
    "Softsign": nn.Softsign,
    "Tanh": nn.Tanh,
}

LAYERS = {
    **{name: Layer(make, ((3, 4, 6),)) for name, make in ACTIVATIONS.items()},
    "Identity": Layer(nn.Identity, ((3, 4),)),
    "Linear": Layer(lambda: nn.Linear(4, 3), ((2, 4),)),
    "Linear without bias": Layer(lambda: nn.Linear(4, 3, bias=False), ((2, 5, 4),)),
    "Bilinear": Layer(lambda: nn.Bilinear(3, 4, 2), ((2, 3), (2, 4))),
    "Bilinear without bias": Layer(lambda: nn.Bilinear(3, 4, 2, bias=False), ((2, 3), (2, 4))),
    "Sequential": Layer(lambda: nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)), ((2, 4),)),
    "Dropout": Layer(lambda: nn.Dropout(0.3), ((3, 4),)),
    "Dropout2d": Layer(lambda: nn.Dropout2d(0.3), ((3, 2, 2, 4),)),
    "Dropout3d": Layer(lambda: nn.Dropout3d(0.3), ((3, 2, 2, 2, 4),)),
    "Dropout evaluating": Layer(lambda: nn.Dropout(0.3).eval(), ((3, 4),)),
    "Conv1d": Layer(lambda: nn.Conv1d(2, 3, 3), ((2, 6, 2),)),
    "Conv1d options": Layer(lambda: nn.Conv1d(4, 2, 3, 2, 1, 2, groups=2, bias=False), ((2, 8, 4),)),
    "Conv2d": Layer(lambda: nn.Conv2d(2, 3, 2), ((2, 4, 4, 2),)),
    "Conv2d options": Layer(lambda: nn.Conv2d(2, 4, (3, 2), (2, 1), (1, 0), (1, 2), 2, False), ((2, 5, 5, 2),)),
    "Conv3d": Layer(lambda: nn.Conv3d(1, 2, 2), ((2, 3, 3, 3, 1),)),
    "Conv3d options": Layer(lambda: nn.Conv3d(2, 2, (2, 1, 2), (1, 2, 1), (0, 0, 1), 2, False), ((1, 4, 3, 2, 2),)),
    "ConvTranspose1d": Layer(lambda: nn.ConvTranspose1d(2, 3, 3), ((2, 4, 2),)),
    "ConvTranspose1d options": Layer(lambda: nn.ConvTranspose1d(2, 3, 3, 2, 1, 2, 1, False), ((2, 4, 2),)),
    "ConvTranspose2d": Layer(lambda: nn.ConvTranspose2d(2, 3, 2), ((2, 3, 3, 2),)),
    "ConvTranspose2d options": Layer(
        lambda: nn.ConvTranspose2d(2, 1, (3, 2), (2, 1), (1, 0), (1, 2), (1, 0), False), ((2, 3, 3, 2),)
    ),
    "ConvTranspose3d": Layer(lambda: nn.ConvTranspose3d(1, 2, 2), ((1, 2, 3, 2, 1),)),
    "ConvTranspose3d options": Layer(
        lambda: nn.ConvTranspose3d(1, 2, 2, (2, 1, 1), (0, 1, 0), (1, 1, 2), (1, 0, 0), False), ((1, 2, 3, 2, 1),)
    ),
    "AvgPool1d": Layer(lambda: nn.AvgPool1d(2, 1, 1), ((2, 5, 2),)),
    "AvgPool2d": Layer(lambda: nn.AvgPool2d((2, 3), (2, 1), (0, 1)), ((2, 4, 4, 2),)),
    "AvgPool3d": Layer(lambda: nn.AvgPool3d(2), ((2, 4, 2, 2, 1),)),
    "AvgPool3d options": Layer(lambda: nn.AvgPool3d(2, (2, 1, 1), (0, 1, 0)), ((2, 4, 2, 2, 1),)),
    "MaxPool1d": Layer(lambda: nn.MaxPool1d(2, 1, 1), ((2, 5, 2),)),
    "MaxPool2d": Layer(lambda: nn.MaxPool2d((2, 3), (2, 1), (0, 1)), ((2, 4, 4, 2),)),
    "MaxPool3d": Layer(lambda: nn.MaxPool3d(2), ((2, 4, 2, 2, 1),)),
    "MaxPool3d options": Layer(lambda: nn.MaxPool3d(2, (2, 1, 1), (0, 1, 0)), ((2, 4, 2, 2, 1),)),
    "BatchNorm": Layer(lambda: nn.BatchNorm(4), ((3, 2, 4),), batched=False),
    "BatchNorm alone": Layer(
        lambda: nn.BatchNorm(4, affine=False, track_running_stats=False), ((3, 4),), batched=False
    ),
    "BatchNorm evaluating": Layer(lambda: nn.BatchNorm(4).eval(), ((3, 4),)),
    "GroupNorm": Layer(lambda: nn.GroupNorm(2, 4), ((3, 5, 4),)),
    "GroupNorm options": Layer(lambda: nn.GroupNorm(2, 4, 0.1, affine=False, pytorch_compatible=True), ((3, 5, 4),)),
    "InstanceNorm": Layer(lambda: nn.InstanceNorm(4), ((3, 5, 4),)),
    "InstanceNorm affine": Layer(lambda: nn.InstanceNorm(4, 0.1, affine=True), ((3, 5, 2, 4),)),
    "LayerNorm": Layer(lambda: nn.LayerNorm(4), ((3, 5, 4),)),
    "LayerNorm options": Layer(lambda: nn.LayerNorm(4, 1e-3, bias=False), ((3, 4),)),
    "LayerNorm plain": Layer(lambda: nn.LayerNorm(4, affine=False), ((3, 4),)),
    "RMSNorm": Layer(lambda: nn.RMSNorm(4), ((3, 5, 4),)),
    "RMSNorm eps": Layer(lambda: nn.RMSNorm(4, 0.1), ((3, 5, 4),)),
    "ALiBi": Layer(nn.ALiBi, ((2, 4, 3, 3),)),
    "RoPE": Layer(lambda: nn.RoPE(4), ((2, 3, 4),), shift=0.5),
    "RoPE options": Layer(lambda: nn.RoPE(4, True, 100.0, 0.5), ((2, 2, 3, 6),), shift=0.5),
    "MultiHeadAttention": Layer(lambda: nn.MultiHeadAttention(4, 2), ((2, 3, 4), (2, 5, 4), (2, 5, 4))),
    "MultiHeadAttention options": Layer(
        lambda: nn.MultiHeadAttention(4, 2, 3, 5, 6, 8, 2, bias=True), ((2, 3, 3), (2, 4, 5), (2, 4, 6))
    ),
    "TransformerEncoder": Layer(
        lambda: nn.TransformerEncoder(1, 4, 2, 6), ((2, 3, 4), (3, 3))
    ),
    "TransformerEncoder norm last": Layer(
        lambda: nn.TransformerEncoder(1, 4, 2, 6, activation=nn.gelu, norm_first=False, checkpoint=True),
        ((2, 3, 4), (3, 3)),
    ),
    "TransformerEncoder with dropout": Layer(lambda: nn.TransformerEncoder(1, 4, 2, 6, 0.3), ((2, 3, 4), (3, 3))),
    "TransformerDecoder": Layer(
        lambda: nn.TransformerDecoder(1, 4, 2, 6), ((2, 3, 4), (2, 4, 4), (3, 3), (3, 4))
    ),
    "TransformerDecoder options": Layer(
        lambda: nn.TransformerDecoder(1, 4, 2, 6, 0.3, nn.gelu, False, True), ((2, 3, 4), (2, 4, 4), (3, 3), (3, 4))
    ),
    "Transformer": Layer(
        lambda: nn.Transformer(4, 2, 1, 1, 6), ((2, 3, 4), (2, 4, 4), (3, 3), (4, 4), (4, 3)), batched=False
    ),
    "Transformer options": Layer(
        lambda: nn.Transformer(4, 2, 1, 1, 6, 0.3, nn.gelu, norm_first=False, checkpoint=True),
        ((2, 3, 4), (2, 4, 4), (3, 3), (4, 4), (4, 3)),
        batched=False,
    ),
    "RNN": Layer(lambda: nn.RNN(3, 2), ((2, 4, 3),)),
    "RNN options": Layer(lambda: nn.RNN(3, 2, bias=False, nonlinearity=nn.silu), ((2, 4, 3), (2, 2))),
    "GRU": Layer(lambda: nn.GRU(3, 2), ((2, 4, 3), (2, 2))),
    "GRU without bias": Layer(lambda: nn.GRU(3, 2, bias=False), ((2, 4, 3),)),
    "LSTM": Layer(lambda: nn.LSTM(3, 2), ((2, 4, 3), (2, 2), (2, 2))),
    "LSTM without bias": Layer(lambda: nn.LSTM(3, 2, bias=False), ((2, 4, 3),)),
    "Upsample nearest": Layer(lambda: nn.Upsample(2), ((2, 3, 2),)),
    "Upsample linear": Layer(lambda: nn.Upsample((2, 1.5), "linear"), ((2, 3, 2, 1),), shift=1e-2, widens=True),
    "Upsample cubic": Layer(
        lambda: nn.Upsample(1.5, "cubic", align_corners=True), ((2, 4, 1),), shift=1e-2, widens=True
    ),
    "Upsample antialias": Layer(
        lambda: nn.Upsample(0.5, "cubic", antialias=True), ((2, 6, 1),), shift=1e-2, widens=True
    ),
    "AllToShardedLinear": Layer(lambda: nn.AllToShardedLinear(4, 3), ((2, 4),)),
    "AllToShardedLinear options": Layer(
        lambda: nn.AllToShardedLinear(4, 3, bias=False, group=mx.distributed.init()), ((2, 4),)
    ),
    "ShardedToAllLinear": Layer(lambda: nn.ShardedToAllLinear(4, 3), ((2, 4),)),
    "ShardedToAllLinear options": Layer(
        lambda: nn.ShardedToAllLinear(4, 3, bias=False, group=mx.distributed.init()), ((2, 4),)
    ),
    "FullyShardedModule": Layer(lambda: nn.FullyShardedModule(nn.Linear(4, 3)), ((2, 4),)),
    "FullyShardedModule group": Layer(
        lambda: nn.FullyShardedModule(nn.Linear(4, 3), mx.distributed.init()), ((2, 4),)
    ),
}  # fmt: skip

# Those whose input or output are integers or that are packed have tests of their own.
ELSEWHERE = {
    "Step",
    *("Embedding", "SinusoidalPositionalEncoding", "QuantizedEmbedding", "QuantizedLinear", "QQLinear"),
    *("QuantizedAllToShardedLinear", "QuantizedShardedToAllLinear"),
    *("Module", "TransformerEncoderLayer", "TransformerDecoderLayer"),  # in what is made of them
}


def made(layer: Layer, dtype: mx.Dtype) -> nn.Module:
    mx.random.seed(3)
    return layer.make().set_dtype(dtype)


def inputs_of(layer: Layer) -> list[np.ndarray]:
    """Numbers away from the corners of the activations (0, 0.25, 0.5, 1, 3, 6) and from each other."""
    rng = np.random.default_rng(1)
    inputs = []
    for shape in layer.shapes:
        count = int(np.prod(shape))
        spread = (rng.permutation(count) + 0.3) / count * 4 - 2
        corners = np.array([-3, -1, -0.5, -0.25, 0, 0.25, 0.5, 1, 3])
        nearest = corners[np.abs(spread[:, None] - corners).argmin(1)]
        spread = np.where(np.abs(spread - nearest) < 2e-3, nearest + 4e-3, spread)
        inputs.append(spread.reshape(shape))
    return inputs


def outputs(result: Any) -> list[mx.array]:
    return list(result) if isinstance(result, tuple) else [result]


def test_every_layer_is_in_the_table():
    names = {
        name for name in dir(nn) if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)
    }
    assert names - ELSEWHERE == {name.split()[0] for name in LAYERS}


# Options whose tests need more than one layer and one input.
OPTIONS_ELSEWHERE = {
    ("FullyShardedModule", "compute_dtype"),
    ("QuantizedAllToShardedLinear", "group"),
    ("QuantizedShardedToAllLinear", "group"),
}


def test_every_option_is_given_another_value_somewhere(monkeypatch):
    given: set[tuple[str, str]] = set()
    options: set[tuple[str, str]] = set()

    def watch(layer: type[nn.Module]) -> None:
        signature, original = inspect.signature(layer.__init__), layer.__init__

        def initialise(self: nn.Module, *args: Any, **kwargs: Any) -> None:
            if type(self) is layer:
                for option, value in signature.bind(self, *args, **kwargs).arguments.items():
                    if value != signature.parameters[option].default:
                        given.add((layer.__name__, option))
            original(self, *args, **kwargs)

        for parameter in list(signature.parameters.values())[1:]:
            if parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
                options.add((layer.__name__, parameter.name))
        monkeypatch.setattr(layer, "__init__", initialise)

    for layer in {value for value in vars(nn).values() if isinstance(value, type) and issubclass(value, nn.Module)}:
        watch(layer)
    for layer in LAYERS.values():
        layer.make()
    for name in MODELS:
        build(name)
    assert options - given == OPTIONS_ELSEWHERE


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_are_those_of_finite_differences(name):
    layer = LAYERS[name]
    module = made(layer, mx.float64)
    params = {path: np.array(x) for path, x in tree_flatten(module.trainable_parameters())}
    given = {**params, **{f"input {i}": x for i, x in enumerate(inputs_of(layer))}}

    def loss(*values: mx.array) -> mx.array:
        mx.random.seed(5)
        by_name = dict(zip(given, values, strict=True))
        tree = tree_unflatten([(path, by_name[path]) for path in params]) if params else {}
        arguments = [value for path, value in by_name.items() if path.startswith("input ")]
        state = module.frozen_parameters()
        results, _ = module.apply(tree, *arguments, state=state)
        total = mx.array(0.0, mx.float64)
        for y in outputs(results):
            weights = mx.cos(mx.arange(y.size).astype(mx.float64) + 0.5).reshape(y.shape)
            total = total + (weights * y).sum()
        return total

    values = [mx.array(x, mx.float64) for x in given.values()]
    with mx.engine("numpy"):
        gradients = mx.vjp(loss, values, [mx.array(1.0, mx.float64)])[1]
        for index, (path, x) in enumerate(given.items()):
            places = np.random.default_rng(0).permutation(x.size)[:6]
            for place in places:
                ends = []
                for shift in (layer.shift, -layer.shift):
                    moved = x.copy()
                    moved.flat[place] += shift
                    ends.append(loss(*values[:index], mx.array(moved, mx.float64), *values[index + 1 :]).item())
                slope = (ends[0] - ends[1]) / (2 * layer.shift)
                mine = np.array(gradients[index]).flat[place]
                np.testing.assert_allclose(mine, slope, rtol=1e-4, atol=1e-6, err_msg=f"{path} at {place}")


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
@pytest.mark.parametrize("name", LAYERS)
def test_half_precision_is_kept_and_close(name, dtype):
    layer = LAYERS[name]
    half, full = made(layer, dtype), made(layer, mx.float32)
    half_inputs = [mx.array(x).astype(dtype) for x in inputs_of(layer)]
    with mx.engine("numpy"):
        mx.random.seed(5)
        mine = outputs(half(*half_inputs))
        full.update(tree_unflatten([(path, x.astype(mx.float32)) for path, x in tree_flatten(half.parameters())]) or {})
        mx.random.seed(5)
        expected = outputs(full(*[x.astype(mx.float32) for x in half_inputs]))
        for y, wanted in zip(mine, expected, strict=True):
            assert y.dtype == (mx.float32 if layer.widens else dtype)
            assert wanted.dtype == mx.float32
            tolerance = 0.02 if dtype == mx.float16 else 0.1
            np.testing.assert_allclose(y.astype(mx.float32), wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
@pytest.mark.parametrize("name", LAYERS)
def test_half_precision_meets_parameters_in_single_precision(name, dtype):
    layer = LAYERS[name]
    module = made(layer, mx.float32)
    has_parameters = bool(tree_flatten(module.trainable_parameters()))
    with mx.engine("numpy"):
        for y in outputs(module(*[mx.array(x).astype(dtype) for x in inputs_of(layer)])):
            assert y.dtype == (mx.float32 if has_parameters or layer.widens else dtype)
            mx.eval(y)


@pytest.mark.parametrize("name", [name for name, layer in LAYERS.items() if layer.batched])
def test_an_empty_batch_gives_an_empty_result(name):
    layer = LAYERS[name]
    module = made(layer, mx.float32)
    inputs = inputs_of(layer)
    batch = layer.shapes[0][0]
    with mx.engine("numpy"):
        expected = [y.shape for y in outputs(module(*[mx.array(x, mx.float32) for x in inputs]))]
        none = [mx.zeros((0, *x.shape[1:])) if x.shape[0] == batch else mx.array(x, mx.float32) for x in inputs]
        for y, shape in zip(outputs(module(*none)), expected, strict=True):
            assert y.shape == (0, *shape[1:])
            assert y.dtype == mx.float32
            mx.eval(y)

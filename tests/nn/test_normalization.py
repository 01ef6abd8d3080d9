"""Normalisation layers against their formulas in NumPy."""

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_map

GENERATOR = np.random.default_rng(0)
EPS = 1e-5


def random(*shape):
    return GENERATOR.normal(size=shape).astype(np.float32)


def standardised(x, axes, eps=EPS):
    x = x.astype(np.float64)
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def grouped(x, groups, neighbours):
    """Group normalisation, channel by channel."""
    channels = x.shape[-1]
    group_of = [c // (channels // groups) if neighbours else c % groups for c in range(channels)]
    y = np.empty(x.shape)
    for group in range(groups):
        members = [c for c in range(channels) if group_of[c] == group]
        y[..., members] = standardised(x[..., members], tuple(range(1, x.ndim)))
    return y


# name -> (layer for eight features, shape, formula without weight and bias)
LAYERS = {
    "LayerNorm": (lambda: nn.LayerNorm(8), (3, 4, 8), lambda x: standardised(x, -1)),
    "LayerNorm of a vector": (lambda: nn.LayerNorm(8), (8,), lambda x: standardised(x, -1)),
    "LayerNorm eps": (lambda: nn.LayerNorm(8, eps=0.5), (3, 8), lambda x: standardised(x, -1, 0.5)),
    "LayerNorm without bias": (lambda: nn.LayerNorm(8, bias=False), (3, 8), lambda x: standardised(x, -1)),
    "LayerNorm alone": (lambda: nn.LayerNorm(8, affine=False), (3, 8), lambda x: standardised(x, -1)),
    "RMSNorm": (
        lambda: nn.RMSNorm(8),
        (3, 4, 8),
        lambda x: x / np.sqrt((x.astype(np.float64) ** 2).mean(-1, keepdims=True) + EPS),
    ),
    "InstanceNorm": (lambda: nn.InstanceNorm(8), (3, 5, 8), lambda x: standardised(x, 1)),
    "InstanceNorm affine": (
        lambda: nn.InstanceNorm(8, affine=True),
        (2, 3, 5, 8),
        lambda x: standardised(x, (1, 2)),
    ),
    "GroupNorm": (lambda: nn.GroupNorm(2, 8), (3, 5, 8), lambda x: grouped(x, 2, neighbours=False)),
    "GroupNorm of vectors": (lambda: nn.GroupNorm(4, 8), (3, 8), lambda x: grouped(x, 4, neighbours=False)),
    "GroupNorm of neighbours": (
        lambda: nn.GroupNorm(2, 8, pytorch_compatible=True),
        (3, 4, 5, 8),
        lambda x: grouped(x, 2, neighbours=True),
    ),
    "GroupNorm alone": (
        lambda: nn.GroupNorm(4, 8, affine=False, pytorch_compatible=True),
        (3, 4, 8),
        lambda x: grouped(x, 4, neighbours=True),
    ),
    "BatchNorm of vectors": (lambda: nn.BatchNorm(8), (6, 8), lambda x: standardised(x, 0)),
    "BatchNorm of images": (lambda: nn.BatchNorm(8), (2, 3, 5, 8), lambda x: standardised(x, (0, 1, 2))),
    "BatchNorm alone": (lambda: nn.BatchNorm(8, affine=False), (2, 3, 8), lambda x: standardised(x, (0, 1))),
}


def with_random_scale(layer):
    trainable = layer.trainable_parameters()
    layer.update(tree_map(lambda array: mx.array(random(*array.shape)), trainable))
    weight = np.array(layer.weight) if "weight" in layer else 1.0
    bias = np.array(layer.bias) if "bias" in layer else 0.0
    return layer, weight, bias


@pytest.mark.parametrize("name", LAYERS)
def test_layers_compute_their_formula(name):
    make, shape, formula = LAYERS[name]
    layer, weight, bias = with_random_scale(make())
    x = 3 * random(*shape) + 1
    np.testing.assert_allclose(layer(mx.array(x)), weight * formula(x) + bias, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(mx.float16, 5e-3), (mx.bfloat16, 5e-2)])
def test_half_precision(name, dtype, tolerance):
    make, shape, formula = LAYERS[name]
    x = mx.array(random(*shape)).astype(dtype)
    layer, weight, bias = with_random_scale(make())
    promoted = layer(x)
    assert promoted.dtype == (mx.float32 if "weight" in layer else dtype)
    layer.set_dtype(dtype)
    y = layer(x)
    assert y.dtype == dtype
    expected = weight * formula(np.array(x.astype(mx.float32))) + bias
    np.testing.assert_allclose(y.astype(mx.float32), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("make", [nn.LayerNorm, nn.RMSNorm])
def test_half_precision_statistics_do_not_overflow(make):
    layer = make(4).set_dtype(mx.float16)
    y = layer(mx.array([[-60000.0, 60000.0, -60000.0, 60000.0]], mx.float16))
    assert y.tolist() == [[-1, 1, -1, 1]]


def test_batch_norm_statistics_do_not_overflow_in_half_precision():
    y = nn.BatchNorm(1, affine=False)(mx.array([[-60000.0], [60000.0]], mx.float16))
    assert y.tolist() == [[-1], [1]]


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_are_slopes(name):
    make, shape, formula = LAYERS[name]
    layer, weight, bias = with_random_scale(make())
    x, direction, cotangent = random(*shape), random(*shape), random(*shape)

    def loss(x):
        return np.sum(cotangent * (weight * formula(x) + bias))

    slope = (loss(x + 1e-3 * direction) - loss(x - 1e-3 * direction)) / 2e-3
    grad = mx.grad(lambda x: (mx.array(cotangent) * layer(x)).sum())(mx.array(x))
    assert np.sum(np.array(grad) * direction) == pytest.approx(slope, rel=1e-2, abs=1e-2)


def test_batch_norm_running_statistics():
    layer = nn.BatchNorm(2, momentum=0.25)
    x = mx.array([[1.0, 2.0], [3.0, 6.0], [5.0, 4.0]])  # means 3 and 4, unbiased variances 4 and 4
    layer(x)
    np.testing.assert_allclose(layer.running_mean, [0.75, 1.0], rtol=1e-6)
    np.testing.assert_allclose(layer.running_var, [1.75, 1.75], rtol=1e-6)
    layer.eval()
    np.testing.assert_allclose(
        layer(x)[0], [(1 - 0.75) / np.sqrt(1.75 + EPS), (2 - 1) / np.sqrt(1.75 + EPS)], rtol=1e-6
    )
    np.testing.assert_allclose(layer.running_mean, [0.75, 1.0], rtol=1e-6)


def test_batch_norm_running_statistics_are_parameters_that_are_not_trained():
    layer = nn.BatchNorm(2)
    assert sorted(layer.parameters()) == ["bias", "running_mean", "running_var", "weight"]
    assert sorted(layer.trainable_parameters()) == ["bias", "weight"]
    assert sorted(layer.unfreeze().trainable_parameters()) == ["bias", "weight"]
    layer.unfreeze(keys="running_mean")
    assert sorted(layer.trainable_parameters()) == ["bias", "weight"]
    layer.freeze().unfreeze(keys="weight")
    assert sorted(layer.trainable_parameters()) == ["weight"]


def test_batch_norm_without_running_statistics():
    layer = nn.BatchNorm(1, track_running_stats=False)
    assert sorted(layer.parameters()) == ["bias", "weight"]
    x = mx.array([[1.0], [3.0]])
    assert layer.eval()(x).tolist() == layer.train()(x).tolist()


def test_batch_norm_in_training_needs_two_values():
    with pytest.raises(ValueError, match=r"\[BatchNorm\] Training needs more than one value"):
        nn.BatchNorm(4)(mx.zeros((1, 4)))
    nn.BatchNorm(4).eval()(mx.zeros((1, 4)))


@pytest.mark.parametrize("eps", [-1.0, 0.0])
@pytest.mark.parametrize(
    "make",
    [
        lambda eps: nn.LayerNorm(4, eps=eps),
        lambda eps: nn.RMSNorm(4, eps=eps),
        lambda eps: nn.GroupNorm(2, 4, eps=eps),
        lambda eps: nn.InstanceNorm(4, eps=eps),
        lambda eps: nn.BatchNorm(4, eps=eps),
    ],
)
def test_eps_must_be_positive(make, eps):
    with pytest.raises(ValueError, match="'eps' must be positive"):
        make(eps)
    make(1e-30)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.GroupNorm(4, 6), r"\[GroupNorm\] .* must divide dims, got num_groups=4 and dims=6"),
        (lambda: nn.GroupNorm(0, 8), r"\[GroupNorm\]"),
        (lambda: nn.GroupNorm(2, 0), r"\[GroupNorm\]"),
        (lambda: nn.LayerNorm(4)(mx.zeros((2, 5))), r"\[LayerNorm\] Expected 4 features .* \(2, 5\)"),
        (lambda: nn.RMSNorm(4)(mx.zeros((2, 5))), r"\[RMSNorm\] Expected 4 features"),
        (lambda: nn.GroupNorm(2, 4)(mx.zeros((2, 5))), r"\[GroupNorm\] Expected 4 features"),
        (lambda: nn.BatchNorm(4)(mx.zeros((2, 5))), r"\[BatchNorm\] Expected 4 features"),
        (lambda: nn.BatchNorm(4)(mx.zeros((4,))), r"\[BatchNorm\] Expected 2, 3 or 4 dimensions"),
        (lambda: nn.BatchNorm(4)(mx.zeros((2, 2, 2, 2, 4))), r"\[BatchNorm\] Expected 2, 3 or 4 dimensions"),
        (lambda: nn.InstanceNorm(4)(mx.zeros((2, 4))), r"\[InstanceNorm\] Expected an example axis"),
        (lambda: nn.InstanceNorm(4, affine=True)(mx.zeros((2, 3, 5))), r"\[InstanceNorm\] Expected 4 features"),
    ],
)
def test_shapes_that_do_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_repr_shows_the_settings():
    assert repr(nn.LayerNorm(4)) == "LayerNorm(4, eps=1e-05, affine=True)"
    assert repr(nn.RMSNorm(4)) == "RMSNorm(4, eps=1e-05)"
    assert repr(nn.InstanceNorm(3)) == "InstanceNorm(3, eps=1e-05, affine=False)"
    assert repr(nn.GroupNorm(2, 4)) == "GroupNorm(2, 4, eps=1e-05, affine=True, pytorch_compatible=False)"
    assert repr(nn.BatchNorm(4)) == "BatchNorm(4, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)"

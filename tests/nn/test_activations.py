"""Activation functions against their formulas in NumPy, their gradients at kinks, and the layers."""

import math

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn

erf = np.vectorize(math.erf)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0)


def softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


# name -> (function of an array, formula in NumPy, layer that computes the same)
ELEMENTWISE = {
    "sigmoid": (nn.sigmoid, sigmoid, nn.Sigmoid()),
    "relu": (nn.relu, lambda x: np.maximum(x, 0), nn.ReLU()),
    "relu2": (nn.relu2, lambda x: np.maximum(x, 0) ** 2, nn.ReLU2()),
    "relu6": (nn.relu6, lambda x: np.clip(x, 0, 6), nn.ReLU6()),
    "leaky_relu": (nn.leaky_relu, lambda x: np.where(x > 0, x, 0.01 * x), nn.LeakyReLU()),
    "leaky_relu 0.3": (
        lambda x: nn.leaky_relu(x, 0.3),
        lambda x: np.where(x > 0, x, 0.3 * x),
        nn.LeakyReLU(0.3),
    ),
    "elu": (nn.elu, lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1), nn.ELU()),
    "elu 0.5": (
        lambda x: nn.elu(x, 0.5),
        lambda x: np.where(x > 0, x, 0.5 * (np.exp(np.minimum(x, 0)) - 1)),
        nn.ELU(0.5),
    ),
    "celu": (nn.celu, lambda x: np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1), nn.CELU()),
    "celu 0.5": (
        lambda x: nn.celu(x, 0.5),
        lambda x: np.where(x > 0, x, 0.5 * (np.exp(np.minimum(x, 0) / 0.5) - 1)),
        nn.CELU(0.5),
    ),
    "selu": (
        nn.selu,
        lambda x: 1.0507 * np.where(x > 0, x, 1.67326 * (np.exp(np.minimum(x, 0)) - 1)),
        nn.SELU(),
    ),
    "silu": (nn.silu, lambda x: x * sigmoid(x), nn.SiLU()),
    "hardswish": (nn.hardswish, lambda x: x * np.clip(x + 3, 0, 6) / 6, nn.Hardswish()),
    "mish": (nn.mish, lambda x: x * np.tanh(softplus(x)), nn.Mish()),
    "gelu": (nn.gelu, lambda x: x * (1 + erf(x / math.sqrt(2))) / 2, nn.GELU()),
    "gelu_approx": (
        nn.gelu_approx,
        lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
        nn.GELU("tanh"),
    ),
    "gelu_fast_approx": (nn.gelu_fast_approx, lambda x: x * sigmoid(1.702 * x), nn.GELU("fast")),
    "hard_tanh": (nn.hard_tanh, lambda x: np.clip(x, -1, 1), nn.HardTanh()),
    "hard_shrink": (nn.hard_shrink, lambda x: np.where(np.abs(x) > 0.5, x, 0), nn.HardShrink()),
    "softshrink": (
        nn.softshrink,
        lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
        nn.Softshrink(),
    ),
    "softshrink 0.7": (
        lambda x: nn.softshrink(x, 0.7),
        lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.7, 0),
        nn.Softshrink(0.7),
    ),
    "tanh": (nn.tanh, np.tanh, nn.Tanh()),
    "softplus": (nn.softplus, softplus, nn.Softplus()),
    "softsign": (nn.softsign, lambda x: x / (1 + np.abs(x)), nn.Softsign()),
    "log_sigmoid": (nn.log_sigmoid, lambda x: -softplus(-x), nn.LogSigmoid()),
    "softmax": (nn.softmax, softmax, nn.Softmax()),
    "softmin": (nn.softmin, lambda x: softmax(-x), nn.Softmin()),
    "log_softmax": (nn.log_softmax, lambda x: np.log(softmax(x)), nn.LogSoftmax()),
}

POINTS = np.linspace(-8, 8, 66).reshape(6, 11)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_functions_and_layers_compute_their_formula(name):
    function, formula, layer = ELEMENTWISE[name]
    x = mx.array(POINTS.astype(np.float32))
    np.testing.assert_allclose(function(x), formula(POINTS), rtol=1e-4, atol=1e-6)
    assert layer(x).tolist() == function(x).tolist()
    assert layer.parameters() == {}


@pytest.mark.parametrize("name", ELEMENTWISE)
@pytest.mark.parametrize(("dtype", "tolerance"), [(mx.float16, 4e-3), (mx.bfloat16, 3e-2)])
def test_half_precision_stays_half_precision(name, dtype, tolerance):
    function, formula, _ = ELEMENTWISE[name]
    x = mx.array(POINTS.astype(np.float32)).astype(dtype)
    y = function(x)
    assert y.dtype == dtype
    expected = formula(np.array(x.astype(mx.float32), np.float64))
    np.testing.assert_allclose(y.astype(mx.float32), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_gradients_are_the_slopes_of_the_formula(name):
    function, formula, _ = ELEMENTWISE[name]
    points = np.array([[-6.3, -2.9, -1.3, -0.8, -0.2, 0.2, 0.8, 1.3, 2.9, 5.7]])  # no kinks here
    weights = np.arange(1, 11)
    step = 1e-6 * np.eye(10)
    slopes = [np.sum(weights * (formula(points + h) - formula(points - h)) / 2e-6) for h in step[:, None, :]]
    grad = mx.grad(lambda x: (function(x) * mx.array(weights)).sum())(mx.array(points.astype(np.float32)))
    np.testing.assert_allclose(grad[0], slopes, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("function", "point", "slope"),
    [
        (nn.relu, 0.0, 0.0),
        (nn.relu6, 0.0, 0.0),
        (nn.elu, 0.0, 1.0),
        (nn.softshrink, 0.5, 0.0),
        (nn.hard_shrink, -0.5, 0.0),
        (nn.softsign, 0.0, 1.0),
    ],
)
def test_gradients_at_kinks(function, point, slope):
    assert mx.grad(function)(mx.array(point)).item() == slope


@pytest.mark.parametrize("name", ["softplus", "log_sigmoid", "silu", "mish", "celu", "sigmoid", "log_softmax"])
def test_large_inputs_neither_overflow_nor_give_nan(name):
    function, _, _ = ELEMENTWISE[name]
    x = mx.array([[-1e4, -200.0, 200.0, 1e4]])
    assert mx.all(mx.isfinite(function(x))).item()
    assert mx.all(mx.isfinite(mx.grad(lambda x: function(x).sum())(x))).item()


@pytest.mark.parametrize("size", [1.0, 1e4, 1e8, 1e20, 1e36])
def test_log_softmax_of_equal_logits_of_any_size(size):
    np.testing.assert_allclose(nn.log_softmax(mx.array([size, size])), [-math.log(2)] * 2, rtol=1e-6)


def test_softmax_family_along_another_axis():
    x = mx.array(POINTS.astype(np.float32))
    for function in (nn.softmax, nn.softmin, nn.log_softmax):
        np.testing.assert_allclose(function(x, axis=0), function(x.T).T, rtol=1e-6)


def test_glu_gates_one_half_by_the_other():
    x = np.array([[1.0, 2.0, 3.0, 4.0]])
    np.testing.assert_allclose(nn.glu(mx.array(x)), [[sigmoid(3.0), 2 * sigmoid(4.0)]], rtol=1e-6)
    np.testing.assert_allclose(nn.GLU(axis=0)(mx.array(x.T)), nn.glu(mx.array(x)).T, rtol=1e-6)
    with pytest.raises(ValueError, match="split"):
        nn.glu(mx.zeros((3,)))


def test_step_includes_the_threshold():
    x = mx.array([-1.0, 0.0, 1.0])
    assert nn.step(x).tolist() == [0, 1, 1]
    assert nn.Step(threshold=1.0)(x).tolist() == [0, 0, 1]


# The dtypes that the reference gives for int32 and for booleans; None where it refuses them.
FLOAT, SAME = ("float32", "float32"), ("int32", "int32")
OF_INTEGERS = {
    **dict.fromkeys(("celu", "elu", "gelu", "gelu_approx", "gelu_fast_approx", "glu", "hard_tanh", "hardswish"), FLOAT),
    **dict.fromkeys(("leaky_relu", "log_softmax", "mish", "relu6", "selu", "sigmoid", "silu", "softmax"), FLOAT),
    **dict.fromkeys(("softplus", "softshrink", "softsign", "tanh"), FLOAT),
    **dict.fromkeys(("hard_shrink", "relu", "relu2", "step"), SAME),
    **dict.fromkeys(("log_sigmoid", "softmin"), ("float32", None)),
}


@pytest.mark.parametrize("name", OF_INTEGERS)
def test_dtypes_for_integers_and_booleans(name):
    function, x = getattr(nn, name), mx.array([0, 1, 2, 3])
    for dtype, expected in zip((mx.int32, mx.bool_), OF_INTEGERS[name], strict=True):
        if expected is None:
            with pytest.raises(ValueError, match="bool"):
                function(x.astype(dtype))
        else:
            assert function(x.astype(dtype)).dtype == getattr(mx, expected)


# What values and slopes are far out, on the left and on the right.
FAR = {
    "celu": ((-1, 0), ("x", 1)),
    "elu": ((-1, 0), ("x", 1)),
    "gelu": ((0, 0), ("x", 1)),
    "gelu_approx": ((0, 0), ("x", 1)),
    "gelu_fast_approx": ((0, 0), ("x", 1)),
    "hard_shrink": (("x", 1), ("x", 1)),
    "hard_tanh": ((-1, 0), (1, 0)),
    "hardswish": ((0, 0), ("x", 1)),
    "log_sigmoid": (("x", 1), (0, 0)),
    "mish": ((0, 0), ("x", 1)),
    "relu": ((0, 0), ("x", 1)),
    "relu6": ((0, 0), (6, 0)),
    "selu": ((-1.67326 * 1.0507, 0), ("selu", 1.0507)),
    "sigmoid": ((0, 0), (1, 0)),
    "silu": ((0, 0), ("x", 1)),
    "softplus": ((0, 0), ("x", 1)),
    "tanh": ((-1, 0), (1, 0)),
}


@pytest.mark.parametrize("engine", ["numpy", "xla"])
@pytest.mark.parametrize("name", FAR)
def test_values_and_slopes_far_out(name, engine):
    function = getattr(nn, name)
    x = [-1e4, -200.0, 200.0, 1e4]
    with mx.engine(engine):
        values = function(mx.array(x))
        slopes = mx.grad(lambda x: function(x).sum())(mx.array(x))
        mx.eval(values, slopes)
    for at, value, slope in zip(x, values.tolist(), slopes.tolist(), strict=True):
        wanted, wanted_slope = FAR[name][at > 0]
        wanted = {"x": at, "selu": 1.0507 * at}.get(wanted, wanted)
        np.testing.assert_allclose([value, slope], [wanted, wanted_slope], rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("shape", [(2, 4), (3, 1), ()])
def test_prelu_wants_as_many_features_as_slopes(shape):
    with pytest.raises(ValueError, match=r"^\[PReLU\] The last axis of x must be of size 3, got shape \("):
        nn.PReLU(3)(mx.zeros(shape))
    assert nn.PReLU()(mx.zeros(shape)).shape == (shape or (1,))  # as the slope has an axis


def test_prelu_learns_its_slopes():
    x = mx.array([[-1.0, -2.0, 3.0]])
    assert nn.PReLU()(x).tolist() == [[-0.25, -0.5, 3.0]]
    layer = nn.PReLU(3, init=0.5)
    assert layer(x).tolist() == [[-0.5, -1.0, 3.0]]
    _, grads = nn.value_and_grad(layer, lambda x: layer(x).sum())(x)
    assert grads["weight"].tolist() == [-1.0, -2.0, 0.0]


def test_gelu_approximations_stay_near():
    x = mx.arange(-6.0, 6.0, 0.12)
    assert mx.abs(nn.gelu(x) - nn.gelu_approx(x)).max().item() < 0.0005
    assert mx.abs(nn.gelu(x) - nn.gelu_fast_approx(x)).max().item() < 0.025
    assert nn.GELU("precise")(x).tolist() == nn.gelu_approx(x).tolist()
    with pytest.raises(ValueError, match=r"\[GELU\] approx must be one of .* got 'exact'"):
        nn.GELU("exact")

"""Linear layers, embeddings, dropout, convolutions and pooling against their formulas in NumPy."""

import itertools
import re

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn

GENERATOR = np.random.default_rng(0)


def random(*shape):
    return GENERATOR.normal(size=shape).astype(np.float32)


# Linear maps


def test_initial_weights_for_a_seed():
    mx.random.seed(7)
    linear = nn.Linear(3, 2)
    np.testing.assert_allclose(
        linear.weight,
        [[0.14001107, -0.26554731, 0.37597203], [0.35946834, -0.10616103, -0.35417169]],
        rtol=1e-6,
    )
    np.testing.assert_allclose(linear.bias, [0.34790403, -0.36438924], rtol=1e-6)
    mx.random.seed(7)
    bilinear = nn.Bilinear(2, 1, 2)
    np.testing.assert_allclose(bilinear.weight, [[[-0.59715754, -0.24017566]], [[0.47043294, -0.25223729]]], rtol=1e-6)
    np.testing.assert_allclose(bilinear.bias, [0.42609364, -0.44628388], rtol=1e-6)
    mx.random.seed(7)
    np.testing.assert_allclose(
        nn.Embedding(2, 2).weight, [[-1.00437331, -0.31073332], [0.68212861, -0.32747105]], rtol=1e-5
    )
    mx.random.seed(7)
    np.testing.assert_allclose(
        nn.Conv1d(4, 2, 2, groups=2).weight,
        [
            [[-0.2607075, 0.14635676], [-0.2478433, 0.33886921]],
            [[0.00656539, -0.31474501], [0.32715094, 0.11948597]],
        ],
        rtol=1e-5,
    )
    mx.random.seed(7)
    np.testing.assert_allclose(
        nn.ConvTranspose2d(1, 2, (1, 2)).weight.reshape(-1),
        [-0.59715754, -0.24017566, 0.47043294, -0.25223729],
        rtol=1e-6,
    )


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5), (0, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear(shape, bias):
    layer = nn.Linear(5, 4, bias=bias)
    x = random(*shape)
    expected = x @ np.array(layer.weight).T
    if bias:
        expected += np.array(layer.bias)
    assert ("bias" in layer) == bias
    np.testing.assert_allclose(layer(mx.array(x)), expected, rtol=1e-5, atol=1e-6)


def test_linear_gradients():
    layer = nn.Linear(2, 1)
    x = mx.array([[1.0, 2.0], [3.0, 4.0]])
    _, grads = nn.value_and_grad(layer, lambda: layer(x).sum())()
    assert grads["weight"].tolist() == [[4.0, 6.0]]
    assert grads["bias"].tolist() == [2.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.Linear(4, 3)(mx.zeros((2, 5))), r"[Linear] The last axis of x must be of size 4, got shape (2, 5)"),
        (lambda: nn.Linear(4, 3, bias=False)(mx.array(1.0)), "[Linear] The last axis of x must be of size 4, got"),
        (lambda: nn.Bilinear(2, 3, 4)(mx.zeros(3), mx.zeros(3)), "[Bilinear] The last axis of x1 must be of size 2"),
        (lambda: nn.Bilinear(2, 3, 4)(mx.zeros(2), mx.zeros(2)), "[Bilinear] The last axis of x2 must be of size 3"),
        (lambda: nn.Embedding(5, 3).as_linear(mx.zeros(2)), "[Embedding.as_linear] The last axis of x must be of size"),
        (lambda: nn.MultiHeadAttention(4, 2)(*[mx.zeros((1, 2, 3))] * 3), "[Linear] The last axis of x must be of"),
        (lambda: nn.Linear(0, 3), "[Linear] input_dims must be positive, got 0"),
        (lambda: nn.Linear(-1, 3), "[Linear] input_dims must be positive, got -1"),
        (lambda: nn.Bilinear(0, 3, 4), "[Bilinear] input1_dims must be positive, got 0"),
        (lambda: nn.Embedding(5, 0), "[Embedding] dims must be positive, got 0"),
    ],
)
def test_sizes_that_do_not_fit(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


@pytest.mark.parametrize("x", [[1.0, 2.0], np.ones(2, np.float32), None])
def test_what_is_no_array_is_refused(x):
    with pytest.raises(TypeError, match=r"must be an mx.array, got (list|ndarray|NoneType)"):
        nn.Linear(2, 3)(x)


@pytest.mark.parametrize("batch", [(), (6,), (5, 6)])
@pytest.mark.parametrize("bias", [True, False])
def test_bilinear(batch, bias):
    layer = nn.Bilinear(2, 3, 4, bias=bias)
    x1, x2 = random(*batch, 2), random(*batch, 3)
    expected = np.einsum("...i,kji,...j->...k", x1, np.array(layer.weight), x2)
    if bias:
        expected = expected + np.array(layer.bias)
    np.testing.assert_allclose(layer(mx.array(x1), mx.array(x2)), expected, rtol=1e-4, atol=1e-5)


def test_identity_takes_any_arguments():
    x = mx.array([1.0])
    assert nn.Identity(1, other=2)(x) is x


def test_embedding():
    layer = nn.Embedding(5, 3)
    weight = np.array(layer.weight)
    indices = mx.array([[0, 4], [4, 1]])
    np.testing.assert_array_equal(layer(indices), weight[[[0, 4], [4, 1]]])
    np.testing.assert_array_equal(layer(2), weight[2])
    _, grads = nn.value_and_grad(layer, lambda: layer(indices).sum())()
    assert grads["weight"].tolist() == [[1] * 3, [1] * 3, [0] * 3, [0] * 3, [2] * 3]
    x = random(2, 3)
    np.testing.assert_allclose(layer.as_linear(mx.array(x)), x @ weight.T, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("indices", [mx.int8, mx.uint8, mx.int32, mx.uint32, mx.int64], ids=str)
@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16], ids=str)
def test_embeddings_of_every_dtype(dtype, indices):
    layer = nn.Embedding(5, 3)
    layer.set_dtype(dtype)
    y = layer(mx.array([[0, 4], [1, 1]]).astype(indices))
    assert (y.shape, y.dtype) == ((2, 2, 3), dtype)
    assert y.tolist() == [[layer.weight[0].tolist(), layer.weight[4].tolist()], [layer.weight[1].tolist()] * 2]
    assert layer.as_linear(mx.ones((2, 3), dtype)).dtype == dtype
    assert layer(mx.zeros((0, 2), indices)).shape == (0, 2, 3)


def test_embeddings_count_from_the_end_and_take_integers_only():
    layer = nn.Embedding(5, 3)
    assert layer(mx.array([-1])).tolist() == [layer.weight[4].tolist()]
    with pytest.raises(ValueError, match=r"must be integral, got float32; cast with astype"):
        layer(mx.array([1.0]))
    with pytest.raises(ValueError, match="Boolean indices are not supported"):
        layer(mx.array([True]))


def test_sequential_takes_modules_and_functions():
    model = nn.Sequential(nn.Linear(2, 3), mx.exp, nn.Linear(3, 1))
    x = mx.array(random(4, 2))
    first, function, last = model.layers
    assert model(x).tolist() == last(function(first(x))).tolist()
    assert nn.Sequential()(x) is x


# Dropout


def test_dropout_masks_for_a_seed():
    mx.random.seed(11)
    ramp = np.arange(1.0, 11.0)
    mask = np.array([1, 1, 1, 1, 1, 0, 1, 1, 1, 1])
    np.testing.assert_allclose(nn.Dropout(0.3)(mx.array(ramp)), ramp * mask / 0.7, rtol=1e-6)
    mx.random.seed(11)
    layer = nn.Dropout(0.5)
    assert layer(mx.ones(8)).tolist() == [0, 0, 0, 2, 2, 0, 0, 0]
    assert layer(mx.ones(8)).tolist() == [0, 0, 0, 0, 2, 0, 0, 0]
    mx.random.seed(11)
    assert nn.Dropout2d(0.5)(mx.ones((1, 2, 1, 6))).tolist() == [[[[0, 0, 2, 0, 0, 0]]] * 2]
    mx.random.seed(11)
    assert nn.Dropout3d(0.5)(mx.ones((2, 1, 1, 2, 3))).reshape(4, 3).tolist() == [
        [0, 0, 2],
        [0, 0, 2],
        [0, 0, 0],
        [0, 0, 0],
    ]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Dropout(0.5), (7,)),
        (nn.Dropout2d(0.5), (2, 4, 4, 8)),
        (nn.Dropout2d(0.5), (4, 4, 8)),
        (nn.Dropout3d(0.5), (2, 3, 4, 4, 8)),
        (nn.Dropout3d(0.5), (3, 4, 4, 8)),
    ],
)
@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16])
def test_dropout_keeps_shape_and_dtype_and_drops_whole_channels(layer, shape, dtype):
    x = mx.ones(shape, dtype)
    y = layer(x)
    assert (y.shape, y.dtype) == (shape, dtype)
    assert set(y.astype(mx.float32).reshape(-1).tolist()) <= {0.0, 2.0}
    spatial = {nn.Dropout: 0, nn.Dropout2d: 2, nn.Dropout3d: 3}[type(layer)]
    if spatial:
        axes = tuple(range(-1 - spatial, -1))
        assert mx.array_equal(y.min(axis=axes), y.max(axis=axes)).item()
    layer.eval()
    assert layer(x) is x
    layer.train()


def test_dropout_keeps_the_mean():
    mx.random.seed(0)
    y = nn.Dropout(0.2)(mx.ones((20000,)))
    assert y.mean().item() == pytest.approx(1.0, abs=0.02)
    assert mx.mean(y == 0).item() == pytest.approx(0.2, abs=0.02)


def test_dropout_with_probability_zero_draws_nothing():
    x = mx.ones((3,))
    assert nn.Dropout(0.0)(x) is x


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5])
@pytest.mark.parametrize("kind", [nn.Dropout, nn.Dropout2d, nn.Dropout3d])
def test_dropout_probability_must_be_in_range(kind, p):
    with pytest.raises(ValueError, match=rf"\[{kind.__name__}\] p must be at least 0 and less than 1"):
        kind(p)


def test_dropout_of_channels_needs_spatial_axes():
    with pytest.raises(ValueError, match=r"\[Dropout2d\] Expected 3 or 4 dimensions"):
        nn.Dropout2d(0.5)(mx.ones((2, 2)))
    with pytest.raises(ValueError, match=r"\[Dropout3d\] Expected 4 or 5 dimensions"):
        nn.Dropout3d(0.5).eval()(mx.ones((2, 2, 2)))


# Convolutions


def convolved(x, weight, stride, padding, dilation, groups=1):
    """The sum over kernel and channels, one output position at a time."""
    spatial = x.ndim - 2
    x = np.pad(x, [(0, 0), *[(p, p) for p in padding], (0, 0)])
    kernel = weight.shape[1:-1]
    sizes = [(x.shape[1 + a] - dilation[a] * (kernel[a] - 1) - 1) // stride[a] + 1 for a in range(spatial)]
    out_per_group, in_per_group = weight.shape[0] // groups, weight.shape[-1]
    y = np.zeros((x.shape[0], *sizes, weight.shape[0]))
    for position in itertools.product(*map(range, sizes)):
        window = tuple(
            slice(p * s, p * s + d * (k - 1) + 1, d)
            for p, s, d, k in zip(position, stride, dilation, kernel, strict=True)
        )
        patch = x[(slice(None), *window)]
        for group in range(groups):
            inputs = patch[..., group * in_per_group : (group + 1) * in_per_group]
            outputs = slice(group * out_per_group, (group + 1) * out_per_group)
            kernels = weight[outputs].reshape(out_per_group, -1)
            y[(slice(None), *position, outputs)] = inputs.reshape(len(x), -1) @ kernels.T
    return y


def transposed(x, weight, stride, padding, dilation, output_padding):
    """Each input element adds a copy of the kernel to the output."""
    spatial, kernel = x.ndim - 2, weight.shape[1:-1]
    full = [(x.shape[1 + a] - 1) * stride[a] + dilation[a] * (kernel[a] - 1) + 1 for a in range(spatial)]
    y = np.zeros((x.shape[0], *[f + o for f, o in zip(full, output_padding, strict=True)], weight.shape[0]))
    for position in itertools.product(*map(range, x.shape[1:-1])):
        for tap in itertools.product(*map(range, kernel)):
            place = tuple(p * s + t * d for p, s, t, d in zip(position, stride, tap, dilation, strict=True))
            y[(slice(None), *place)] += x[(slice(None), *position)] @ weight[(slice(None), *tap)].T
    cut = tuple(slice(p, n - p) for p, n in zip(padding, y.shape[1:-1], strict=True))
    return y[(slice(None), *cut)]


@pytest.mark.parametrize(
    ("layer", "shape", "settings"),
    [
        (lambda: nn.Conv1d(4, 6, 3), (2, 9, 4), ((1,), (0,), (1,))),
        (lambda: nn.Conv1d(4, 6, 3, 2, 1, 2, groups=2), (2, 9, 4), ((2,), (1,), (2,), 2)),
        (lambda: nn.Conv2d(3, 5, 3), (2, 6, 7, 3), ((1, 1), (0, 0), (1, 1))),
        (
            lambda: nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2),
            (2, 7, 6, 4),
            ((2, 1), (1, 0), (1, 2), 2),
        ),
        (lambda: nn.Conv3d(2, 3, 2, stride=2, padding=1), (2, 4, 5, 3, 2), ((2,) * 3, (1,) * 3, (1,) * 3)),
    ],
)
def test_convolutions(layer, shape, settings):
    layer, x = layer(), random(*shape)
    assert layer.bias.tolist() == [0.0] * layer.weight.shape[0]
    layer.bias = mx.array(random(layer.weight.shape[0]))
    expected = convolved(x, np.array(layer.weight), *settings) + np.array(layer.bias)
    np.testing.assert_allclose(layer(mx.array(x)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "shape", "settings"),
    [
        (lambda: nn.ConvTranspose1d(2, 3, 4), (2, 5, 2), ((1,), (0,), (1,), (0,))),
        (
            lambda: nn.ConvTranspose1d(2, 3, 4, stride=2, padding=1, dilation=2, output_padding=1),
            (2, 5, 2),
            ((2,), (1,), (2,), (1,)),
        ),
        (
            lambda: nn.ConvTranspose2d(2, 3, (3, 2), stride=2, padding=(1, 0), output_padding=(1, 0)),
            (2, 4, 5, 2),
            ((2, 2), (1, 0), (1, 1), (1, 0)),
        ),
        (
            lambda: nn.ConvTranspose3d(2, 3, 2, stride=2),
            (1, 3, 2, 3, 2),
            ((2,) * 3, (0,) * 3, (1,) * 3, (0,) * 3),
        ),
    ],
)
def test_transposed_convolutions(layer, shape, settings):
    layer, x = layer(), random(*shape)
    layer.bias = mx.array(random(layer.weight.shape[0]))
    expected = transposed(x, np.array(layer.weight), *settings) + np.array(layer.bias)
    np.testing.assert_allclose(layer(mx.array(x)), expected, rtol=1e-4, atol=1e-5)


def test_convolutions_without_bias():
    for layer in (
        nn.Conv1d(1, 1, 1, bias=False),
        nn.Conv2d(1, 1, 1, bias=False),
        nn.Conv3d(1, 1, 1, bias=False),
        nn.ConvTranspose1d(1, 1, 1, bias=False),
        nn.ConvTranspose2d(1, 1, 1, bias=False),
        nn.ConvTranspose3d(1, 1, 1, bias=False),
    ):
        assert list(layer.parameters()) == ["weight"]


@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d])
@pytest.mark.parametrize(("channels", "groups"), [((3, 4), 2), ((4, 3), 2), ((4, 4), 0)])
def test_groups_must_divide_the_channels(kind, channels, groups):
    with pytest.raises(ValueError, match=rf"\[{kind.__name__}\] groups must divide"):
        kind(*channels, 3, groups=groups)


CONVOLUTIONS = [nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d]


@pytest.mark.parametrize("kind", CONVOLUTIONS)
@pytest.mark.parametrize("kernel_size", [0, -1, (2, 2, 2, 2), ()])
def test_a_kernel_has_one_size_for_each_axis(kind, kernel_size):
    spatial = int(kind.__name__[-2])
    message = (
        rf"\[{kind.__name__}\] kernel_size must be a positive integer or a tuple of {spatial} positive integers?, "
    )
    with pytest.raises(ValueError, match=message + re.escape(f"got {kernel_size}.")):
        kind(2, 3, kernel_size)
    with pytest.raises(ValueError, match=rf"\[{kind.__name__}\] in_channels must be positive, got 0"):
        kind(0, 3, 2)


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_inputs_of_convolutions_that_do_not_fit(kind):
    spatial = int(kind.__name__[-2])
    layer = kind(2, 3, 2)
    with pytest.raises(ValueError, match=r"\[conv.*\] .*got shapes? .*\(1, (4, )+5\)"):
        layer(mx.zeros((1, *[4] * spatial, 5)))
    with pytest.raises(ValueError, match=r"\[conv.*\] .*\[N, \.\.\., C_in\], got shape \((4, )+2\)"):
        layer(mx.zeros((*[4] * spatial, 2)))
    with pytest.raises(ValueError, match=r"\[conv.*\] .* must be positive, got"):
        kind(2, 3, 2, stride=0)(mx.zeros((1, *[4] * spatial, 2)))
    with pytest.raises(TypeError, match=r"\[conv.*\] stride must be an int or"):
        kind(2, 3, 2, stride=(1, 1, 1, 1))(mx.zeros((1, *[4] * spatial, 2)))


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_a_kernel_of_numpy_sizes(kind):
    spatial = int(kind.__name__[-2])
    assert kind(2, 3, np.int64(2)).weight.shape == (3, *[2] * spatial, 2)


def test_convolution_repr():
    assert repr(nn.Conv2d(4, 6, (3, 2), groups=2)) == (
        "Conv2d(4, 6, kernel_size=(3, 2), stride=(1, 1), padding=(0, 0), dilation=1, groups=2, bias=True)"
    )
    assert repr(nn.ConvTranspose1d(4, 8, 3, bias=False)) == (
        "ConvTranspose1d(4, 8, kernel_size=3, stride=1, padding=0, dilation=1, output_padding=0, bias=False)"
    )
    assert "kernel_size=(2, 3, 4)" in repr(nn.ConvTranspose3d(4, 8, (2, 3, 4)))


# Pooling


def pooled(x, kernel, stride, padding, reduce, padding_value):
    x = np.pad(x.astype(np.float64), [(0, 0), *[(p, p) for p in padding], (0, 0)], constant_values=padding_value)
    sizes = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:-1], kernel, stride, strict=True)]
    y = np.zeros((x.shape[0], *sizes, x.shape[-1]))
    for position in itertools.product(*map(range, sizes)):
        window = tuple(slice(p * s, p * s + k) for p, s, k in zip(position, stride, kernel, strict=True))
        y[(slice(None), *position)] = reduce(x[(slice(None), *window)], axis=tuple(range(1, 1 + len(kernel))))
    return y


POOLS = [
    # settings as given, shape, kernel, stride, padding
    ((2,), (2, 8, 3), (2,), (2,), (0,)),
    ((2,), (2, 9, 3), (2,), (2,), (0,)),
    ((3, 1), (2, 9, 3), (3,), (1,), (0,)),
    ((2, 3), (2, 9, 3), (2,), (3,), (0,)),
    ((3, 2, 1), (2, 9, 3), (3,), (2,), (1,)),
    ((2, None, 1), (2, 8, 3), (2,), (2,), (1,)),
    ((2,), (2, 8, 7, 3), (2, 2), (2, 2), (0, 0)),
    (((2, 4), (3, 1), (1, 2)), (2, 8, 7, 3), (2, 4), (3, 1), (1, 2)),
    ((3, 2, 1), (2, 8, 7, 3), (3, 3), (2, 2), (1, 1)),
    ((2,), (1, 4, 5, 6, 2), (2,) * 3, (2,) * 3, (0,) * 3),
    (((1, 2, 3), (2, 1, 1), (0, 1, 1)), (1, 4, 5, 6, 2), (1, 2, 3), (2, 1, 1), (0, 1, 1)),
]


@pytest.mark.parametrize(("settings", "shape", "kernel", "stride", "padding"), POOLS)
def test_pooling(settings, shape, kernel, stride, padding):
    x = random(*shape)
    spatial = len(kernel)
    max_pool = getattr(nn, f"MaxPool{spatial}d")(*settings)
    avg_pool = getattr(nn, f"AvgPool{spatial}d")(*settings)
    np.testing.assert_array_equal(max_pool(mx.array(x)), pooled(x, kernel, stride, padding, np.max, -np.inf))
    np.testing.assert_allclose(
        avg_pool(mx.array(x)), pooled(x, kernel, stride, padding, np.mean, 0.0), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(("settings", "shape", "kernel", "stride", "padding"), POOLS)
def test_pooling_gradients(settings, shape, kernel, stride, padding):
    x, direction = random(*shape), random(*shape)
    for pool, reduce, padding_value in (("Max", np.max, -np.inf), ("Avg", np.mean, 0.0)):
        layer = getattr(nn, f"{pool}Pool{len(kernel)}d")(*settings)
        cotangent = random(*layer(mx.array(x)).shape)

        def loss(step, reduce=reduce, padding_value=padding_value, cotangent=cotangent):
            y = pooled(x + step * direction.astype(np.float64), kernel, stride, padding, reduce, padding_value)
            return np.sum(cotangent * y)

        slope = (loss(1e-6) - loss(-1e-6)) / 2e-6
        grad = mx.grad(lambda x, layer=layer, c=cotangent: (mx.array(c) * layer(x)).sum())(mx.array(x))
        assert np.sum(np.array(grad) * direction) == pytest.approx(slope, rel=1e-3, abs=1e-3)


def test_max_pooling_divides_the_gradient_among_equal_elements():
    def gradient(layer, length):
        return mx.grad(lambda x: layer(x).sum())(mx.ones((1, length, 1))).reshape(-1)

    assert gradient(nn.MaxPool1d(2), 4).tolist() == [0.5] * 4
    np.testing.assert_allclose(gradient(nn.MaxPool1d(3, 1), 5), [1 / 3, 2 / 3, 1, 2 / 3, 1 / 3], rtol=1e-6)


@pytest.mark.parametrize("dtype", [mx.int32, mx.uint8, mx.float16, mx.bfloat16])
def test_max_pooling_pads_below_every_element(dtype):
    x = mx.array([[[-3], [-4]]] if dtype != mx.uint8 else [[[0], [1]]]).astype(dtype)
    y = nn.MaxPool1d(2, 2, 1)(x)
    assert y.dtype == dtype
    assert y.tolist() == x.tolist()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: nn.MaxPool1d((2, 3)),
            r"\[MaxPool1d\] 'kernel_size' must be an integer or a tuple of 1 integer",
        ),
        (lambda: nn.MaxPool2d((2, 3, 4)), r"\[MaxPool2d\] 'kernel_size' .* tuple of 2 integers"),
        (lambda: nn.AvgPool1d(2, (1, 2)), r"\[AvgPool1d\] 'stride' must be"),
        (lambda: nn.AvgPool2d(2, 1, 0.5), r"\[AvgPool2d\] 'padding' must be"),
        (lambda: nn.AvgPool3d("a"), r"\[AvgPool3d\] 'kernel_size' must be"),
        (lambda: nn.MaxPool1d(0), r"'kernel_size' must be positive, got \(0,\)"),
        (lambda: nn.MaxPool1d(2, 0), r"'stride' must be positive"),
        (lambda: nn.MaxPool1d(2, 1, -1), r"'padding' must be non-negative"),
        (lambda: nn.MaxPool2d(2)(mx.zeros((4, 4, 1))), r"\[MaxPool2d\] Expected an example axis, 2 spatial"),
        (lambda: nn.MaxPool1d(4)(mx.zeros((1, 3, 1))), r"\[MaxPool1d\] A window of \(4,\) does not fit"),
    ],
)
def test_pooling_settings_that_do_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_pooling_repr():
    assert repr(nn.MaxPool1d(3, padding=2)) == "MaxPool1d(kernel_size=(3,), stride=(3,), padding=(2,))"
    assert repr(nn.AvgPool2d((1, 2), 2, (1, 2))) == "AvgPool2d(kernel_size=(1, 2), stride=(2, 2), padding=(1, 2))"

"""Attention, positional encodings and transformers against their formulas in NumPy."""

import math

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_map

GENERATOR = np.random.default_rng(0)


def random(*shape):
    return GENERATOR.normal(size=shape).astype(np.float32)


def with_random_parameters(module):
    """Parameters large enough that every part of the formula counts, biases included."""
    return module.update(tree_map(lambda array: mx.array(0.4 * random(*array.shape)), module.parameters()))


def linear(layer, x):
    y = x @ np.array(layer.weight).T
    return y + np.array(layer.bias) if "bias" in layer else y


def layer_norm(layer, x):
    normalised = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + layer.eps)
    return normalised * np.array(layer.weight) + np.array(layer.bias)


def attention(layer, queries, keys, values, mask=0.0):
    """One head after the other."""
    q, k, v = linear(layer.query_proj, queries), linear(layer.key_proj, keys), linear(layer.value_proj, values)
    mask = np.broadcast_to(mask, (len(q), layer.num_heads, q.shape[1], k.shape[1]))
    heads = []
    for head, (qh, kh, vh) in enumerate(zip(*(np.split(x, layer.num_heads, axis=-1) for x in (q, k, v)), strict=True)):
        scores = qh @ kh.swapaxes(1, 2) / math.sqrt(qh.shape[-1]) + mask[:, head]
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        heads.append(weights / weights.sum(-1, keepdims=True) @ vh)
    return linear(layer.out_proj, np.concatenate(heads, axis=-1))


# Attention


@pytest.mark.parametrize("bias", [False, True])
def test_attention(bias):
    layer = with_random_parameters(nn.MultiHeadAttention(8, 2, bias=bias))
    q, k, v = random(2, 4, 8), random(2, 6, 8), random(2, 6, 8)
    np.testing.assert_allclose(
        layer(mx.array(q), mx.array(k), mx.array(v)), attention(layer, q, k, v), rtol=1e-4, atol=1e-5
    )


def test_attention_with_other_sizes():
    layer = nn.MultiHeadAttention(
        8, 2, query_input_dims=3, key_input_dims=4, value_input_dims=5, value_dims=6, value_output_dims=7
    )
    q, k, v = random(2, 4, 3), random(2, 6, 4), random(2, 6, 5)
    y = layer(mx.array(q), mx.array(k), mx.array(v))
    assert y.shape == (2, 4, 7)
    np.testing.assert_allclose(y, attention(layer, q, k, v), rtol=1e-4, atol=1e-5)
    assert nn.MultiHeadAttention(8, 2, key_input_dims=5).value_proj.weight.shape == (8, 5)


def test_initial_projections_for_a_seed():
    mx.random.seed(7)
    layer = nn.MultiHeadAttention(2, 1)
    np.testing.assert_allclose(
        layer.query_proj.weight, [[-0.59715754, -0.24017566], [0.47043294, -0.25223729]], rtol=1e-6
    )
    np.testing.assert_allclose(layer.out_proj.weight, [[0.41932005, 0.39261252], [-0.59788698, 0.14153588]], rtol=1e-6)


def test_attention_masks():
    layer = with_random_parameters(nn.MultiHeadAttention(8, 2))
    x = random(2, 5, 8)
    allowed = np.tril(np.ones((5, 5), bool))
    additive = np.where(allowed, 0.0, -1e30)
    expected = attention(layer, x, x, x, additive)
    inputs = (mx.array(x),) * 3
    for mask in (
        mx.array(allowed),
        mx.array(additive),
        nn.MultiHeadAttention.create_additive_causal_mask(5),
        "causal",
    ):
        np.testing.assert_allclose(layer(*inputs, mask), expected, rtol=1e-4, atol=1e-5)
    for_each_head = random(2, 2, 5, 5)
    np.testing.assert_allclose(
        layer(*inputs, mx.array(for_each_head)), attention(layer, x, x, x, for_each_head), rtol=1e-4, atol=1e-5
    )


def test_causal_attention_of_few_queries_sees_all_earlier_keys():
    layer = with_random_parameters(nn.MultiHeadAttention(8, 2))
    q, k = random(1, 2, 8), random(1, 5, 8)
    allowed = np.array([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]], bool)
    expected = attention(layer, q, k, k, np.where(allowed, 0.0, -1e30))
    y = layer(mx.array(q), mx.array(k), mx.array(k), "causal")
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_a_query_that_may_see_nothing_averages_everything():
    layer = with_random_parameters(nn.MultiHeadAttention(4, 2))
    x = random(1, 3, 4)
    y = layer(*(mx.array(x),) * 3, mx.zeros((3, 3), mx.bool_))
    expected = linear(layer.out_proj, linear(layer.value_proj, x).mean(1, keepdims=True))
    np.testing.assert_allclose(y, np.repeat(expected, 3, axis=1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(mx.float16, 1e-2), (mx.bfloat16, 8e-2)])
def test_attention_in_half_precision(dtype, tolerance):
    layer = with_random_parameters(nn.MultiHeadAttention(8, 2))
    x = random(2, 5, 8)
    expected = attention(layer, x, x, x, np.where(np.tril(np.ones((5, 5), bool)), 0.0, -1e30))
    layer.set_dtype(dtype)
    for mask_dtype in (dtype, mx.float32):
        mask = nn.MultiHeadAttention.create_additive_causal_mask(5, mask_dtype)
        y = layer(*(mx.array(x).astype(dtype),) * 3, mask)
        assert y.dtype == dtype
        np.testing.assert_allclose(y.astype(mx.float32), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float32])
def test_causal_mask_is_finite(dtype):
    mask = nn.MultiHeadAttention.create_additive_causal_mask(3, dtype)
    assert mask.dtype == dtype
    lowest = float(mx.finfo(dtype).min)
    assert mask.tolist() == [[0, lowest, lowest], [0, 0, lowest], [0, 0, 0]]


def test_attention_gradients_are_slopes():
    layer = with_random_parameters(nn.MultiHeadAttention(4, 2))
    x, direction, cotangent = random(1, 3, 4), random(1, 3, 4), random(1, 3, 4)

    def loss(step):
        moved = x + step * direction.astype(np.float64)
        return np.sum(cotangent * attention(layer, moved, moved, moved))

    slope = (loss(1e-5) - loss(-1e-5)) / 2e-5
    grad = mx.grad(lambda x: (mx.array(cotangent) * layer(x, x, x)).sum())(mx.array(x))
    assert np.sum(np.array(grad) * direction) == pytest.approx(slope, rel=1e-3, abs=1e-4)


def test_attention_mistakes():
    with pytest.raises(ValueError, match=r"\[MultiHeadAttention\] num_heads must divide dims"):
        nn.MultiHeadAttention(8, 3)
    with pytest.raises(ValueError, match="num_heads=0"):
        nn.MultiHeadAttention(8, 0)
    layer, x = nn.MultiHeadAttention(8, 2), mx.zeros((3, 8))
    with pytest.raises(ValueError, match=r"must be of shape \(N, L, dims\), got \(3, 8\)"):
        layer(x, x, x)
    with pytest.raises(ValueError, match=r"mask must be an array, 'causal' or None"):
        layer(x[None], x[None], x[None], "full")
    with pytest.raises(TypeError, match=r"mask must be an array, 'causal' or None, got list"):
        layer(x[None], x[None], x[None], [[0.0]])
    with pytest.raises(
        ValueError, match=r"mask of shape \(5, 3\) does not broadcast .* head, query and key: \(1, 2, 3, 3\)"
    ):
        layer(x[None], x[None], x[None], mx.zeros((5, 3)))
    with pytest.raises(ValueError, match=r"same second, got \(1, 3, 8\), \(1, 4, 8\) and \(1, 5, 8\)"):
        layer(x[None], mx.zeros((1, 4, 8)), mx.zeros((1, 5, 8)))
    with pytest.raises(ValueError, match=r"same first axis.* got \(2, 3, 8\), \(3, 4, 8\) and \(3, 4, 8\)"):
        layer(mx.zeros((2, 3, 8)), mx.zeros((3, 4, 8)), mx.zeros((3, 4, 8)))
    with pytest.raises(ValueError, match="num_heads must divide value_dims, got num_heads=2 and value_dims=5"):
        nn.MultiHeadAttention(8, 2, value_dims=5)


def test_one_memory_serves_all_examples():
    layer = nn.MultiHeadAttention(8, 2)
    queries, memory = mx.array(random(3, 4, 8)), mx.array(random(1, 5, 8))
    repeated = mx.repeat(memory, 3, axis=0)
    np.testing.assert_allclose(layer(queries, memory, memory), layer(queries, repeated, repeated), rtol=1e-5, atol=1e-6)


# Positional encodings


def rotated(x, dims, traditional=False, base=10000.0, scale=1.0, offset=0):
    """Each pair as a complex number, turned by multiplication."""
    half = dims // 2
    pairs = (range(0, dims, 2), range(1, dims, 2)) if traditional else (range(half), range(half, dims))
    angles = scale * (offset + np.arange(x.shape[-2]))[:, None] * base ** (-np.arange(half) / half)
    turned = (x[..., list(pairs[0])] + 1j * x[..., list(pairs[1])]) * np.exp(1j * angles)
    y = x.astype(np.float64)
    y[..., list(pairs[0])], y[..., list(pairs[1])] = turned.real, turned.imag
    return y


@pytest.mark.parametrize(
    "settings",
    [{}, {"traditional": True}, {"base": 100.0}, {"scale": 0.25}, {"traditional": True, "scale": 2.0}],
)
@pytest.mark.parametrize(("shape", "dims"), [((2, 5, 8), 8), ((2, 3, 5, 8), 4)])
@pytest.mark.parametrize("offset", [0, 3])
def test_rope(settings, shape, dims, offset):
    x = random(*shape)
    y = nn.RoPE(dims, **settings)(mx.array(x), offset=offset)
    np.testing.assert_allclose(y, rotated(x, dims, offset=offset, **settings), rtol=1e-4, atol=1e-5)


def test_rope_with_an_offset_for_each_example():
    x = random(2, 3, 5, 8)
    y = nn.RoPE(8)(mx.array(x), offset=mx.array([1, 7]))
    np.testing.assert_allclose(y[0], rotated(x, 8, offset=1)[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(y[1], rotated(x, 8, offset=7)[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(nn.RoPE(8)(mx.array(x), mx.array(2)), rotated(x, 8, offset=2), rtol=1e-4, atol=1e-5)


def test_rope_keeps_half_precision():
    x = random(1, 300, 8)
    y = nn.RoPE(8)(mx.array(x).astype(mx.float16))
    assert y.dtype == mx.float16
    np.testing.assert_allclose(y.astype(mx.float32), rotated(x, 8), atol=5e-3)


def test_rope_makes_scores_depend_on_distances():
    rope, q, k = nn.RoPE(8), mx.array(random(1, 1, 8)), mx.array(random(1, 1, 8))
    near = (rope(q, 2) * rope(k, 5)).sum().item()
    far = (rope(q, 102) * rope(k, 105)).sum().item()
    assert near == pytest.approx(far, rel=1e-3)


@pytest.mark.parametrize(
    ("dims", "x", "message"),
    [
        (4, mx.zeros((3, 4)), "Expected at least 3 dimensions"),
        (5, mx.zeros((1, 3, 5)), "dims must be even"),
        (8, mx.zeros((1, 3, 4)), "at most the size of the last axis"),
        (4, mx.zeros((1, 3, 4), mx.int32), "floating dtype"),
    ],
)
def test_rope_mistakes(dims, x, message):
    with pytest.raises(ValueError, match=rf"\[RoPE\] .*{message}"):
        nn.RoPE(dims)(x)


def test_sinusoidal_encoding():
    # frequencies 1, 0.1, 0.01
    angles = np.arange(4)[:, None] * np.array([1.0, 0.1, 0.01])
    expected = np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)
    layer = nn.SinusoidalPositionalEncoding(6, min_freq=0.01)
    y = layer(mx.arange(4))
    np.testing.assert_allclose(y, expected * math.sqrt(2 / 6), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose((y * y).sum(-1), [1.0] * 4, rtol=1e-5)
    assert layer.parameters() == {}


def test_sinusoidal_encoding_settings():
    angles = 2 * math.pi * np.arange(3)[:, None] * np.array([0.5, 0.25])
    layer = nn.SinusoidalPositionalEncoding(4, 0.25, 0.5, scale=3.0, cos_first=True, full_turns=True)
    expected = 3 * np.concatenate([np.cos(angles), np.sin(angles)], axis=-1)
    np.testing.assert_allclose(layer(mx.arange(3)), expected, rtol=1e-5, atol=1e-5)
    assert nn.SinusoidalPositionalEncoding(4, scale=0.0)(mx.arange(3)).tolist() == [[0] * 4] * 3
    assert nn.SinusoidalPositionalEncoding(2)(mx.zeros((2, 3))).shape == (2, 3, 2)
    for dims in (0, 1, 3):
        with pytest.raises(ValueError, match="dims must be positive and even"):
            nn.SinusoidalPositionalEncoding(dims)


def test_alibi():
    slopes = [2**-4, 2**-8]
    distances = np.abs(np.arange(3)[:, None] - np.arange(4))
    expected = [-slope * distances for slope in slopes]
    np.testing.assert_allclose(nn.ALiBi()(mx.zeros((1, 2, 3, 4)))[0], expected, rtol=1e-6)
    np.testing.assert_allclose(nn.ALiBi.create_alibi_matrix(3, 4, 2)[0], expected, rtol=1e-6)
    shifted = nn.ALiBi()(mx.zeros((1, 2, 1, 4)), offset=2)
    np.testing.assert_allclose(shifted[0, 1, 0], -(2**-8) * np.array([2, 1, 0, 1]), rtol=1e-6)


def test_alibi_slopes():
    def slopes(heads):
        return nn.ALiBi.create_alibi_slope(heads).reshape(-1).tolist()

    assert slopes(1) == [2**-8]
    assert slopes(4) == [2**-2, 2**-4, 2**-6, 2**-8]
    assert slopes(6) == [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3]


def test_alibi_keeps_half_precision_and_takes_masks():
    scores = mx.zeros((1, 2, 2, 2), mx.float16)
    assert nn.ALiBi()(scores).dtype == mx.float16
    y = nn.ALiBi()(scores, mask=mx.array([[True, False], [True, True]]))
    assert y[0, 0].tolist() == [[0, -65504], [-0.0625, 0]]


# Transformers


def mlp(layer, x):
    return linear(layer.linear2, np.maximum(linear(layer.linear1, x), 0))


def encoder_layer(layer, x, mask):
    if layer.norm_first:
        y = layer_norm(layer.ln1, x)
        x = x + attention(layer.attention, y, y, y, mask)
        return x + mlp(layer, layer_norm(layer.ln2, x))
    x = layer_norm(layer.ln1, x + attention(layer.attention, x, x, x, mask))
    return layer_norm(layer.ln2, x + mlp(layer, x))


def decoder_layer(layer, x, memory, mask):
    if layer.norm_first:
        y = layer_norm(layer.ln1, x)
        x = x + attention(layer.self_attention, y, y, y, mask)
        x = x + attention(layer.cross_attention, layer_norm(layer.ln2, x), memory, memory)
        return x + mlp(layer, layer_norm(layer.ln3, x))
    x = layer_norm(layer.ln1, x + attention(layer.self_attention, x, x, x, mask))
    x = layer_norm(layer.ln2, x + attention(layer.cross_attention, x, memory, memory))
    return layer_norm(layer.ln3, x + mlp(layer, x))


@pytest.mark.parametrize("norm_first", [True, False])
def test_transformer(norm_first):
    model = with_random_parameters(
        nn.Transformer(8, 2, num_encoder_layers=2, num_decoder_layers=2, norm_first=norm_first)
    )
    source, target = random(2, 5, 8), random(2, 3, 8)
    causal = nn.MultiHeadAttention.create_additive_causal_mask(3)
    memory = source
    for layer in model.encoder.layers:
        memory = encoder_layer(layer, memory, 0.0)
    memory = layer_norm(model.encoder.ln, memory)
    np.testing.assert_allclose(model.encoder(mx.array(source), None), memory, rtol=1e-3, atol=1e-4)
    y = target
    for layer in model.decoder.layers:
        y = decoder_layer(layer, y, memory, np.array(causal))
    y = layer_norm(model.decoder.ln, y)
    out = model(mx.array(source), mx.array(target), None, causal, None)
    np.testing.assert_allclose(out, y, rtol=1e-3, atol=1e-4)


def test_memory_mask_hides_the_memory():
    layer = nn.TransformerDecoderLayer(8, 2)
    x, memory = mx.array(random(1, 3, 8)), random(1, 4, 8)
    hides_last = mx.array([[True, True, True, False]])
    changed = memory.copy()
    changed[:, -1] += 1
    y = layer(x, mx.array(memory), None, hides_last)
    np.testing.assert_allclose(layer(x, mx.array(changed), None, hides_last), y, rtol=1e-5, atol=1e-6)
    assert mx.abs(layer(x, mx.array(changed), None, None) - y).max().item() > 1e-3


def test_transformer_settings():
    layer = nn.TransformerEncoderLayer(8, 2, mlp_dims=5, activation=nn.gelu, dropout=0.5)
    assert layer.linear1.weight.shape == (5, 8)
    assert layer.activation is nn.gelu
    assert nn.TransformerEncoderLayer(8, 2).linear1.weight.shape == (32, 8)
    x = mx.array(random(1, 4, 8))
    assert not mx.array_equal(layer(x, None), layer(x, None)).item()
    layer.eval()
    assert mx.array_equal(layer(x, None), layer(x, None)).item()
    identity = nn.Identity()
    model = nn.Transformer(8, 2, 1, 1, custom_encoder=identity)
    assert model.encoder is identity
    assert len(model.decoder.layers) == 1


def test_initial_transformer_weights_for_a_seed():
    mx.random.seed(7)
    layer = nn.TransformerEncoderLayer(2, 1, mlp_dims=1)
    np.testing.assert_allclose(layer.linear2.weight, [[0.06497598], [0.07070863]], rtol=1e-5)
    mx.random.seed(7)
    decoder = nn.TransformerDecoder(1, 2, 1, mlp_dims=1)
    np.testing.assert_allclose(decoder.layers[0].linear2.weight, [[-0.61477202], [0.16039717]], rtol=1e-5)


# What the reference computes from SOURCE and TARGET with a dropout of a half after mx.random.seed(3).
SOURCE = (np.arange(12).reshape(1, 3, 4) * 0.73) % 1 - 0.5
TARGET = (np.arange(8).reshape(1, 2, 4) * 0.37) % 1 - 0.5
WITH_DROPOUT = {
    ("TransformerEncoderLayer", True): [
        -1.842675,
        -0.335778,
        0.545856,
        -0.596963,
        -1.64681,
        1.262081,
        1.593864,
        0.276956,
    ],
    ("TransformerDecoderLayer", True): [
        -0.799769,
        0.986612,
        -0.567808,
        -0.21198,
        -0.3953,
        0.987279,
        0.108719,
        0.554813,
    ],
    ("Transformer", True): [-1.705437, 0.445153, 0.85265, 0.407634, -1.390817, 1.207158, -0.451966, 0.635625],
    ("TransformerEncoderLayer", False): [
        -1.355959,
        0.284496,
        1.403603,
        -0.33214,
        -1.541839,
        1.254936,
        0.201302,
        0.0856,
    ],
    ("TransformerDecoderLayer", False): [
        -1.335616,
        1.246353,
        0.618526,
        -0.529264,
        -0.806959,
        1.39104,
        -1.080461,
        0.49638,
    ],
    ("Transformer", False): [-1.549938, 0.506945, 1.152663, -0.10967, -0.910594, 1.486083, -0.918912, 0.343423],
}


@pytest.mark.parametrize(("name", "norm_first"), WITH_DROPOUT)
def test_dropout_is_where_the_reference_has_it(name, norm_first):
    source, target = mx.array(SOURCE), mx.array(TARGET)
    mx.random.seed(3)
    if name == "TransformerEncoderLayer":
        y = nn.TransformerEncoderLayer(4, 2, 6, 0.5, norm_first=norm_first)(target, None)
    elif name == "TransformerDecoderLayer":
        y = nn.TransformerDecoderLayer(4, 2, 6, 0.5, norm_first=norm_first)(target, source, None, None)
    else:
        y = nn.Transformer(4, 2, 1, 1, 6, 0.5, norm_first=norm_first)(source, target, None, None, None)
    np.testing.assert_allclose(y.flatten(), WITH_DROPOUT[name, norm_first], rtol=1e-4, atol=1e-5)


def test_transformers_can_be_trained():
    model = nn.TransformerEncoder(2, 8, 2)
    x = mx.array(random(2, 5, 8))
    loss, grads = nn.value_and_grad(model, lambda: model(x, None).square().mean())()
    assert loss.item() > 0
    gradients = dict(tree_flatten(grads))
    assert gradients.keys() == dict(tree_flatten(model.parameters())).keys()
    assert all(mx.all(mx.isfinite(gradient)).item() for gradient in gradients.values())
    assert mx.abs(gradients["layers.0.attention.query_proj.weight"]).max().item() > 0

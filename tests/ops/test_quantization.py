"""Arrays of few bits an element: `mx.quantize` and what computes with its results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx

ENGINES = ("numpy", "xla")
AFFINE = [(size, bits) for size in (32, 64, 128) for bits in (1, 2, 3, 4, 5, 6, 8)]
FLOAT_MODES = ("mxfp4", "mxfp8", "nvfp4")
# Magnitudes of the reference's formats with 4 bits.
E2M1 = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]


def matrix(*shape: int, seed: int = 0, dtype: Any = mx.float32) -> Any:
    rng = np.random.default_rng(seed)
    scale = np.exp2(rng.integers(-4, 5, (*shape[:-1], 1)))
    return mx.array(rng.standard_normal(shape) * scale, mx.float32).astype(dtype)


def unpacked(words: Any, bits: int) -> Any:
    stream = np.unpackbits(np.array(words).view(np.uint8), axis=-1, bitorder="little")
    return stream.reshape(*words.shape[:-1], -1, bits) @ (1 << np.arange(bits))


# ---------------------------------------------------------------------- affine

# Computed with the reference: words, scales and biases of one group of 32.
WRITTEN_DOWN = [
    (1, [2.5, -1.0, 2.0, 0.5], [0x00000005], 3.5, -1.0),
    (2, [2.5, -1.0, 2.0, 0.5], [0xAAAAAA8C, 0xAAAAAAAA], -1.25, 2.5),
    (4, [2.5, -1.0, 2.0, 0.5], [0xBBBB92F0, 0xBBBBBBBB, 0xBBBBBBBB, 0xBBBBBBBB], -0.22727273404598236, 2.5),
    (4, [1.0, -4.0, 2.0, 0.5], [0xAAAABF0C], 0.4000000059604645, -4.0),
    (8, [0.5, -0.5], [0x7F7FFE00], -0.003937007859349251, 0.5),
    (4, [3e-7, 0.0], [0x33333330], -1.0000000116860974e-07, 3.000000106112566e-07),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("bits", "start", "words", "scale", "bias"), WRITTEN_DOWN)
def test_affine_format(bits: int, start: list[float], words: list[int], scale: float, bias: float, engine: str) -> None:
    with mx.engine(engine):
        packed, scales, biases = mx.quantize(mx.array([start + [0.0] * (32 - len(start))]), 32, bits)
        assert packed[0, : len(words)].tolist() == words
        assert scales.tolist() == [[scale]]
        assert biases.tolist() == [[bias]]


@pytest.mark.parametrize(("size", "bits"), AFFINE)
def test_affine_is_within_half_a_step(size: int, bits: int) -> None:
    w = matrix(2, 6, 384)
    packed, scales, biases = mx.quantize(w, group_size=size, bits=bits)
    assert packed.shape == (2, 6, 384 * bits // 32)
    assert scales.shape == biases.shape == (2, 6, 384 // size)
    back = mx.dequantize(packed, scales, biases, group_size=size, bits=bits)
    error = np.abs(np.array(back - w)).reshape(2, 6, -1, size)
    # Moving an end onto a step that zero lies on costs up to one more half.
    assert (error <= np.abs(np.array(scales))[..., None] * 1.001).all()
    integers = unpacked(packed, bits).reshape(2, 6, -1, size)
    expected = integers * np.array(scales)[..., None] + np.array(biases)[..., None]
    np.testing.assert_allclose(np.array(back).reshape(expected.shape), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float32, mx.float64])
@pytest.mark.parametrize("compiled", [False, True])
def test_engines_pack_the_same_bits(dtype: Any, compiled: bool) -> None:
    w = matrix(8, 256, dtype=dtype)
    for options in [{"bits": 2}, {"bits": 3}, {"bits": 8}, *({"mode": mode} for mode in FLOAT_MODES)]:
        results = []
        for engine in ENGINES:
            with mx.engine(engine):
                function = mx.compile(lambda w: mx.quantize(w, **options)) if compiled else mx.quantize  # noqa: B023
                results.append(function(w) if compiled else mx.quantize(w, **options))
                mx.eval(results[-1])
        for mine, theirs in zip(*results, strict=True):
            assert mine.dtype == theirs.dtype
            assert mx.array_equal(mine, theirs)


def test_constant_groups() -> None:
    for value in (0.0, 3.0, -1.5):
        w = mx.full((2, 64), value)
        for bits in (1, 4, 8):
            assert mx.array_equal(mx.dequantize(*mx.quantize(w, bits=bits), bits=bits), w)


NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize("engine", ENGINES)
def test_affine_groups_that_are_not_finite(engine: str) -> None:
    # Computed with the reference: NaN counts as nothing, and an infinity spoils its group.
    ramp = np.arange(32.0) - 7
    with mx.engine(engine):
        packed, scales, biases = mx.quantize(mx.array(np.where(ramp == -2, NAN, ramp)[None], mx.float32), 32)
        assert packed.tolist() == [[0xCC0EEEFF, 0x889AAABC, 0x44566678, 0x00122234]]
        assert (scales.item(), biases.item()) == (-2.0, 24.0)
        for infinite in (INFINITE, -INFINITE):
            spoilt = np.where(ramp == -2, infinite, np.where(ramp == 1, NAN, ramp))
            packed, scales, biases = mx.quantize(mx.array(spoilt[None], mx.float32), 32)
            assert packed.tolist() == [[0, 0, 0, 0]]
            assert np.isnan(scales.item())
            assert biases.item() == infinite


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("mode", FLOAT_MODES)
def test_float_groups_that_are_not_finite(mode: str, engine: str) -> None:
    w = np.full((3, 64), 3.0, np.float32)
    w[0, 5], w[1, 5], w[2, 5] = INFINITE, -INFINITE, NAN
    with mx.engine(engine):
        packed, scales = mx.quantize(mx.array(w), mode=mode)
        back = np.array(mx.dequantize(packed, scales, mode=mode, dtype=mx.float32))
    assert back[0, 5] == -back[1, 5] == (2688.0 if mode == "nvfp4" else INFINITE)
    assert np.isnan(back[2, :16]).all()
    np.testing.assert_array_equal(back[:, 32:], 3.0)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float32, mx.float64])
def test_engines_dequantize_to_the_same_bits(dtype: Any) -> None:
    w = matrix(8, 256, dtype=dtype)
    for options in [{"bits": 2}, {"bits": 3}, {"bits": 8}, *({"mode": mode} for mode in FLOAT_MODES)]:
        results = []
        for engine in ENGINES:
            with mx.engine(engine):
                results.append(mx.dequantize(*mx.quantize(w, **options), **options))
                mx.eval(results[-1])
        assert mx.array_equal(*results)


def test_quantizing_in_pieces() -> None:
    for options, columns in (({"mode": "nvfp4"}, 48), ({"bits": 3, "group_size": 32}, 96), ({"mode": "mxfp8"}, 32)):
        w = matrix(4097, columns)
        whole = mx.quantize(w, **options)
        for start in (0, 1365, 4000):
            for part, all_of_it in zip(mx.quantize(w[start : start + 97], **options), whole, strict=True):
                assert mx.array_equal(part, all_of_it[start : start + 97])


@pytest.mark.parametrize("rows", [1, 2, 255, 256])
@pytest.mark.parametrize("options", [{"group_size": 32, "bits": 2}, {"group_size": 64, "bits": 3}, {"mode": "nvfp4"}])
def test_quantizing_what_the_same_program_computes(rows: int, options: dict[str, Any]) -> None:
    # Fused into the ends of groups of 32, these normal numbers took the compiler minutes.
    key = mx.random.key(1)
    with mx.engine("xla"):
        packed = mx.quantize(mx.random.normal((rows, 128), key=key), **options)
        mx.eval(*packed)
        w = mx.random.normal((rows, 128), key=key)
        mx.eval(w)
        for mine, theirs in zip(packed, mx.quantize(w, **options), strict=True):
            assert mx.array_equal(mine, theirs)


def test_quantizing_what_a_step_draws() -> None:
    # Where nothing kept the two apart, the compiler took minutes over this loop.
    def step(total: Any, key: Any) -> Any:
        x, w = mx.random.normal((2, 128), key=key), mx.random.normal((256, 128), key=key)
        packed = mx.quantize(w, 32, 2)
        out = mx.quantized_matmul(x, *packed, True, 32, 2)
        return total + mx.abs(out - x @ mx.dequantize(*packed, 32, 2).T).max(), packed[0]

    keys = mx.random.split(mx.random.key(0), 3)
    with mx.engine("xla"):
        error, packed = mx.scan(step, mx.array(0.0), keys)
        mx.eval(error, packed)
        assert error.item() < 1e-3
        for i in range(3):
            w = mx.random.normal((256, 128), key=keys[i])
            mx.eval(w)
            assert mx.array_equal(packed[i], mx.quantize(w, 32, 2)[0])


def test_dtypes_of_results() -> None:
    for dtype in (mx.float16, mx.bfloat16, mx.float32, mx.float64):
        packed, scales, biases = mx.quantize(matrix(2, 64, dtype=dtype))
        assert (packed.dtype, scales.dtype, biases.dtype) == (mx.uint32, dtype, dtype)
        assert mx.dequantize(packed, scales, biases).dtype == dtype
        assert mx.dequantize(packed, scales, biases, dtype=mx.float16).dtype == mx.float16
    assert mx.dequantize(packed, scales.astype(mx.float16), biases.astype(mx.float32)).dtype == mx.float32


def test_empty() -> None:
    packed, scales, biases = mx.quantize(mx.ones((0, 64)))
    assert (packed.shape, scales.shape, biases.shape) == ((0, 8), (0, 1), (0, 1))
    assert mx.dequantize(packed, scales, biases).shape == (0, 64)


# ---------------------------------------------------------------------- floating-point modes


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("mode", FLOAT_MODES)
def test_numbers_of_the_format_are_kept(mode: str, engine: str) -> None:
    rng = np.random.default_rng(0)
    w = np.array(E2M1)[rng.integers(0, 8, (4, 64))] * rng.choice([-1, 1], (4, 64))
    w[:, ::16] = 6.0
    w[1] *= 0.25
    w[2] *= 64.0
    with mx.engine(engine):
        packed, scales = mx.quantize(mx.array(w, mx.float32), mode=mode)
        assert scales.dtype == mx.uint8
        np.testing.assert_array_equal(mx.dequantize(packed, scales, mode=mode, dtype=mx.float32), w)
        assert mx.dequantize(packed, scales, mode=mode).dtype == mx.bfloat16


# Computed with the reference: the first words and scales of groups that start with 448, 160, -2.5, 0.3.
@pytest.mark.parametrize(
    ("mode", "word", "scale", "values"),
    [
        ("mxfp4", 0x00000025, 134, [384, 128, 0, 0]),
        ("mxfp8", 0x2AC2727E, 127, [448, 160, -2.5, 0.3125]),
        ("nvfp4", 0x00000047, 105, [432, 144, 0, 0]),
    ],
)
def test_float_formats(mode: str, word: int, scale: int, values: list[float]) -> None:
    packed, scales = mx.quantize(mx.array([[448.0, 160.0, -2.5, 0.3, *[0.0] * 28]]), mode=mode)
    assert packed[0, 0].item() == word
    assert scales[0, 0].item() == scale
    assert mx.dequantize(packed, scales, mode=mode, dtype=mx.float32)[0, :4].tolist() == values


def test_zeros_in_every_mode() -> None:
    for mode in FLOAT_MODES:
        assert not mx.dequantize(*mx.quantize(mx.zeros((2, 64)), mode=mode), mode=mode).any().item()


def test_global_scale_brings_scales_into_range() -> None:
    w = matrix(4, 64) * 1e4
    largest = mx.abs(w).max()
    packed, scales = mx.quantize(w, mode="nvfp4", global_scale=largest)
    back = mx.dequantize(packed, scales, mode="nvfp4", global_scale=largest)
    assert back.dtype == mx.float32
    assert scales.max().item() == 126  # the code of 448
    again = mx.quantize(w, mode="nvfp4", global_scale=largest.reshape(1, 1))
    assert mx.array_equal(again[0], packed)
    groups = np.array(w).reshape(4, 4, 16)
    error = np.abs(np.array(back).reshape(groups.shape) - groups)
    assert (error <= np.abs(groups).max(-1, keepdims=True) * 0.2).all()


# ---------------------------------------------------------------------- products


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("mode", ["affine", *FLOAT_MODES])
@pytest.mark.parametrize("transposed", [True, False])
def test_products_are_those_with_the_dequantized(mode: str, transposed: bool, engine: str) -> None:
    with mx.engine(engine):
        for shape, batch in [((3, 64), ()), ((64,), ()), ((2, 1, 3, 64), ()), ((3, 64), (5,)), ((2, 1, 3, 64), (5,))]:
            x = mx.array(np.random.default_rng(1).standard_normal(shape), mx.float32)
            w = matrix(*batch, *((32, 64) if transposed else (64, 32)))
            options = {"mode": mode} if mode != "affine" else {"group_size": 32, "bits": 5}
            packed = mx.quantize(w, **options)
            full = mx.dequantize(*packed, **options, dtype=mx.float32)
            out = mx.quantized_matmul(x, *packed, transpose=transposed, **options)
            expected = np.array(x) @ np.array(full.swapaxes(-1, -2) if transposed else full)
            np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize(("dtype", "rounding"), [(mx.float16, 2.0**-11), (mx.bfloat16, 2.0**-8)])
def test_half_precision_products_are_rounded_once(dtype: Any, rounding: float, transposed: bool, engine: str) -> None:
    with mx.engine(engine):
        x, w = matrix(4, 512, seed=1, dtype=dtype), matrix(512, 512, dtype=dtype)
        packed, *rest = mx.quantize(w, bits=8)
        out = mx.quantized_matmul(x, packed, *rest, bits=8, transpose=transposed)
        assert out.dtype == dtype
        full = np.array(mx.dequantize(packed, *[part.astype(mx.float64) for part in rest], bits=8))
        expected = np.array(x.astype(mx.float64)) @ (full.T if transposed else full)
        error = np.abs(np.array(out.astype(mx.float64)) - expected)
        size = np.abs(np.array(x.astype(mx.float64))).sum(-1, keepdims=True) * np.abs(full).max()
        assert (error <= np.abs(expected) * rounding + size * 2.0**-22).all()


@pytest.mark.parametrize("mode", ["affine", "mxfp8"])
@pytest.mark.parametrize("transposed", [True, False])
@pytest.mark.parametrize("rows", [1, 5])
def test_large_products_are_made_in_pieces(rows: int, transposed: bool, mode: str) -> None:
    w, x = matrix(1100, 1536), matrix(rows, 1536 if transposed else 1100, seed=1)
    options = {"mode": mode} if mode != "affine" else {"group_size": 128, "bits": 6}
    packed = mx.quantize(w, **options)
    full = np.array(mx.dequantize(*packed, **options, dtype=mx.float32), np.float64)
    full = full.T if transposed else full
    expected, size = np.array(x, np.float64) @ full, np.abs(np.array(x)) @ np.abs(full)
    for engine in ENGINES:
        with mx.engine(engine):
            out = mx.quantized_matmul(x, *packed, transpose=transposed, **options)
            assert (np.abs(np.array(out) - expected) <= size * 4e-6).all()


def test_dtypes_of_products() -> None:
    w = mx.quantize(matrix(8, 64, dtype=mx.float16))
    for x_dtype, expected in [
        (mx.float16, mx.float16),
        (mx.float32, mx.float32),
        (mx.bfloat16, mx.float32),
        (mx.int32, mx.float16),
    ]:
        assert mx.quantized_matmul(mx.ones((1, 64), x_dtype), *w).dtype == expected
    packed, scales = mx.quantize(matrix(8, 64), mode="mxfp4")
    assert mx.quantized_matmul(mx.ones((1, 64), mx.float16), packed, scales, mode="mxfp4").dtype == mx.float16


@pytest.mark.parametrize("mode", ["affine", "nvfp4"])
@pytest.mark.parametrize("transposed", [True, False])
def test_gathered_products(mode: str, transposed: bool) -> None:
    x, w = matrix(4, 2, 3, 64, seed=1), matrix(5, *((32, 64) if transposed else (64, 32)))
    options = {"mode": mode} if mode != "affine" else {"group_size": 32}
    packed = mx.quantize(w, **options)
    full = np.array(mx.dequantize(*packed, **options, dtype=mx.float32))
    lhs, rhs = np.array([[7, 6], [4, 1], [0, 2]]), np.array([[2], [0], [4]])
    names = {"transpose": transposed, **options}
    out = mx.gather_qmm(x, *packed, lhs_indices=mx.array(lhs), rhs_indices=mx.array(rhs), **names)
    picked = full[np.broadcast_to(rhs, lhs.shape)]
    expected = np.array(x).reshape(8, 3, 64)[lhs] @ (picked.swapaxes(-1, -2) if transposed else picked)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-2)
    broadcast = mx.gather_qmm(x[:, :1], *packed, **names)
    np.testing.assert_allclose(broadcast, mx.quantized_matmul(x[:, :1], *packed, **names), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("stack", [(), (3,), (2, 2)])
def test_gathered_products_with_a_global_scale_of_each_matrix(stack: tuple[int, ...]) -> None:
    w, x = matrix(*stack, 8, 64), matrix(1, 2, 64, seed=1)
    globals_ = mx.max(mx.abs(w), (-2, -1))
    matrices, each = w.reshape(-1, 8, 64), globals_.reshape(-1)
    packed = [mx.quantize(m, mode="nvfp4", global_scale=g) for m, g in zip(matrices, each, strict=True)]
    full = [
        np.array(mx.dequantize(*parts, mode="nvfp4", global_scale=g)) for parts, g in zip(packed, each, strict=True)
    ]
    words, scales = (mx.stack(list(part)).reshape(*stack, 8, -1) for part in zip(*packed, strict=True))
    picked = mx.array([len(full) - 1, 0])
    out = mx.gather_qmm(x, words, scales, rhs_indices=picked, mode="nvfp4", global_scale=globals_)
    np.testing.assert_allclose(out, [np.array(x[0]) @ full[-1].T, np.array(x[0]) @ full[0].T], rtol=1e-4, atol=1e-3)
    with pytest.raises(ValueError, match=r"^\[gather_qmm\] Global scale must have one entry per matrix"):
        mx.gather_qmm(x, words, scales, rhs_indices=picked, mode="nvfp4", global_scale=mx.ones((5,)))


def test_one_trace_serves_other_sizes() -> None:
    packed = mx.quantize(matrix(4, 32, 64))
    index = mx.array([0, 1, 2, 3])
    single = [part[0] for part in packed]
    count = 0

    def both(x: Any) -> Any:
        nonlocal count
        count += 1
        gathered = mx.gather_qmm(x, *packed, lhs_indices=index, rhs_indices=index)
        return gathered + mx.quantized_matmul(x, *single)

    compiled = mx.compile(both, shapeless=True)
    for rows in (4, 8, 11):
        x = matrix(4, rows, 64, seed=rows)
        np.testing.assert_allclose(compiled(x), both(x), rtol=1e-4, atol=1e-3)
    assert count == 4
    quantizer = mx.compile(lambda w: mx.dequantize(*mx.quantize(w)), shapeless=True)
    for shape in [(2, 64), (3, 128)]:
        w = matrix(*shape)
        np.testing.assert_allclose(quantizer(w), mx.dequantize(*mx.quantize(w)), rtol=1e-5, atol=1e-5)


# ---------------------------------------------------------------------- both operands quantised


def rounded(x: Any, mode: str) -> Any:
    return mx.dequantize(*mx.quantize(x, mode=mode), mode=mode, dtype=mx.float32)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("mode", ["nvfp4", "mxfp8"])
def test_products_of_two_quantized(mode: str, engine: str) -> None:
    with mx.engine(engine):
        x, w = matrix(4, 3, 64, seed=1), matrix(5, 8, 64)
        x_hat, w_hat = np.array(rounded(x, mode)), np.array(rounded(w, mode))
        packed = mx.quantize(w, mode=mode)
        for given in ((w,), packed):
            one = [part[2] for part in given]
            np.testing.assert_allclose(mx.qqmm(x, *one, mode=mode), x_hat @ w_hat[2].T, rtol=1e-4, atol=1e-3)
            np.testing.assert_allclose(
                mx.qqmm(x[0, 0], *one, mode=mode), x_hat[0, 0] @ w_hat[2].T, rtol=1e-4, atol=1e-3
            )
            out = mx.gather_qqmm(x, *given, lhs_indices=mx.array([0, 3]), rhs_indices=mx.array([[1], [4]]), mode=mode)
            expected = x_hat[[[0, 3], [0, 3]]] @ w_hat[[[1, 1], [4, 4]]].swapaxes(-1, -2)
            np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-3)


def test_products_of_two_with_global_scales() -> None:
    x, w = matrix(4, 64, seed=1) * 100, matrix(8, 64) * 1e4
    scales = mx.abs(x).max(), mx.abs(w).max()
    hats = [
        np.array(mx.dequantize(*mx.quantize(a, mode="nvfp4", global_scale=g), mode="nvfp4", global_scale=g))
        for a, g in zip((x, w), scales, strict=True)
    ]
    out = mx.qqmm(x, w, global_scale_x=scales[0], global_scale_w=scales[1])
    np.testing.assert_allclose(out, hats[0] @ hats[1].T, rtol=1e-4)
    packed = mx.quantize(w, mode="nvfp4", global_scale=scales[1])
    again = mx.qqmm(x, *packed, global_scale_x=scales[0], global_scale_w=scales[1])
    np.testing.assert_allclose(again, out, rtol=1e-5)


def test_gradients_pass_straight_through() -> None:
    x, w = matrix(3, 64, seed=1), matrix(5, 64)
    dx, dw = mx.grad(lambda x, w: mx.qqmm(x, w).sum(), (0, 1))(x, w)
    np.testing.assert_allclose(dx, np.tile(np.array(rounded(w, "nvfp4")).sum(0), (3, 1)), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(dw, np.tile(np.array(rounded(x, "nvfp4")).sum(0), (5, 1)), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((mx.ones((3, 64)), mx.ones((5, 64))), {"mode": "affine"}, "in the modes nvfp4 and mxfp8 only, got 'affine'"),
        ((mx.ones((3, 64)), mx.ones((5, 32))), {}, "does not match that of the weights"),
        ((mx.ones((3, 64), mx.int32), mx.ones((5, 64))), {}, "x has type int32"),
        ((mx.ones((3, 64)), mx.ones((5, 8), mx.uint32)), {}, "no scales are given"),
        ((mx.ones((3, 64)), mx.ones((5, 64))), {"group_size": 32}, "group size 32 is not supported"),
        ((mx.ones((3, 24)), mx.ones((5, 24))), {}, "divisible by the quantization group size 16"),
        ((mx.ones((3, 64)), mx.ones((5, 64))), {"global_scale_x": mx.array(1.0)}, "global_scale_w is missing"),
        ((mx.ones((3, 64)), mx.ones((5, 64))), {"global_scale_w": mx.array(1.0)}, "global_scale_x is missing"),
        (
            (mx.ones((3, 64)), mx.ones((5, 64))),
            {"mode": "mxfp8", "global_scale_x": mx.array(1.0), "global_scale_w": mx.array(1.0)},
            "only supported for 'nvfp4'",
        ),
    ],
)
def test_bad_products_of_two(arguments: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    for function, name in ((mx.qqmm, "qqmm"), (mx.gather_qqmm, "gather_qqmm")):
        with pytest.raises(ValueError, match=rf"^\[{name}\].*{message}"):
            function(*arguments, **options)


# ---------------------------------------------------------------------- transforms


def test_gradients_of_a_product() -> None:
    x, w = matrix(3, 64, seed=1), matrix(8, 64)
    packed, scales, biases = mx.quantize(w, group_size=32)

    def loss(x: Any, scales: Any, biases: Any) -> Any:
        return mx.square(mx.quantized_matmul(x, packed, scales, biases, group_size=32)).sum()

    def same(x: Any, scales: Any, biases: Any) -> Any:
        integers = mx.array(unpacked(packed, 4)).reshape(8, 2, 32)
        full = integers * scales[..., None] + biases[..., None]
        return mx.square(x @ full.reshape(8, 64).T).sum()

    gradients = mx.grad(loss, (0, 1, 2))(x, scales, biases)
    for mine, theirs in zip(gradients, mx.grad(same, (0, 1, 2))(x, scales, biases), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-2)
    _, (tangent,) = mx.jvp(loss, [x, scales, biases], [x, scales, biases])
    expected = sum((g * v).sum().item() for g, v in zip(gradients, (x, scales, biases), strict=True))
    assert tangent.item() == pytest.approx(expected, rel=1e-4)


def test_gradient_of_quantizing_reaches_the_ends_of_a_group() -> None:
    w = mx.array([[0.0, 1.0, -8.0, 5.0, *[0.5] * 28]])
    gradient = mx.grad(lambda w: mx.quantize(w, 32)[1].sum())(w)
    # The scale is -8 over the nearest integer to -8 / (13 / 15), which is -9.
    np.testing.assert_allclose(gradient, np.eye(32)[2:3] / -9, rtol=1e-6)


def test_codes_have_no_derivative() -> None:
    packed, scales = mx.quantize(matrix(2, 64), mode="mxfp4")
    for function in (
        lambda s: mx.dequantize(packed, s, mode="mxfp4").sum(),
        lambda s: mx.quantized_matmul(mx.ones((1, 64)), packed, s, mode="mxfp4").sum(),
    ):
        with pytest.raises(ValueError, match="have no derivative"):
            mx.grad(function)(scales)


def test_vmap() -> None:
    w, x = matrix(3, 4, 64), matrix(3, 5, 64, seed=1)
    for options in ({}, {"mode": "nvfp4"}):
        mapped = mx.vmap(lambda w: mx.quantize(w, **options))(w)  # noqa: B023
        for mine, theirs in zip(mapped, mx.quantize(w, **options), strict=True):
            assert mx.array_equal(mine, theirs)
        product = mx.vmap(lambda x, *packed: mx.quantized_matmul(x, *packed, **options))(x, *mapped)  # noqa: B023
        np.testing.assert_allclose(product, mx.quantized_matmul(x, *mapped, **options), rtol=1e-4, atol=1e-3)


# ---------------------------------------------------------------------- errors

PACKED, SCALES, BIASES = mx.quantize(mx.ones((8, 64)))
CODES = mx.quantize(mx.ones((8, 64)), mode="nvfp4")


@pytest.mark.parametrize(
    ("w", "options", "error", "message"),
    [
        (mx.ones(64), {}, ValueError, "at least 2 dimension"),
        (mx.ones((8, 60)), {}, ValueError, "divisible by the quantization group size 64"),
        (mx.ones((8, 64)), {"bits": 7}, ValueError, "supported bits are: 1, 2, 3, 4, 5, 6, 8"),
        (mx.ones((8, 64)), {"bits": 4.0}, TypeError, "bits must be an int"),
        (mx.ones((8, 64)), {"group_size": 16}, ValueError, "sizes are: 32, 64, 128"),
        (mx.ones((8, 64)), {"group_size": 64, "mode": "mxfp8"}, ValueError, "not supported in mode 'mxfp8'"),
        (mx.ones((8, 64)), {"mode": "q4"}, ValueError, "The modes are affine, mxfp4, mxfp8, nvfp4"),
        (mx.ones((8, 64), mx.int32), {}, ValueError, "int32"),
        (mx.ones((8, 64), mx.complex64), {}, ValueError, "complex64"),
        (mx.ones((8, 64)), {"global_scale": mx.array(1.0)}, ValueError, "only supported for 'nvfp4'"),
        (mx.ones((8, 64)), {"mode": "nvfp4", "global_scale": mx.array(1)}, ValueError, "dtype float32 but got int32"),
        (mx.ones((8, 64)), {"mode": "nvfp4", "global_scale": mx.ones(2)}, ValueError, "must be a scalar"),
        ([[1.0]], {}, TypeError, "w must be an mx.array"),
    ],
)
def test_bad_arguments_of_quantize(w: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=rf"^\[quantize\].*{message}"):
        mx.quantize(w, **options)


@pytest.mark.parametrize(
    ("parts", "options", "message"),
    [
        ((PACKED, SCALES), {}, "Biases must be provided"),
        ((PACKED.astype(mx.float32), SCALES, BIASES), {}, "should be uint32"),
        ((PACKED, SCALES[:4], BIASES[:4]), {}, "does not match the matrix"),
        ((PACKED, SCALES, BIASES[:4]), {}, "does not match the matrix"),
        ((PACKED, SCALES, BIASES), {"group_size": 32}, "group_size=32 and bits=4"),
        ((PACKED, SCALES, BIASES), {"bits": 2}, "group_size=64 and bits=2"),
        ((PACKED, SCALES.astype(mx.int32), BIASES.astype(mx.int32)), {}, "Only real floating types"),
        ((PACKED[0], SCALES[0], BIASES[0]), {}, "at least 2 dimensions"),
        ((*CODES, SCALES), {"mode": "nvfp4"}, "Biases must be null"),
        ((PACKED, SCALES), {"mode": "mxfp4"}, "Scale type must be uint8"),
        ((PACKED, SCALES, BIASES), {"mode": "q4"}, "Invalid quantization mode"),
    ],
)
def test_bad_parts(parts: tuple[Any, ...], options: dict[str, Any], message: str) -> None:
    x = mx.ones((2, 64))
    for name, call in [
        ("dequantize", lambda: mx.dequantize(*parts, **options)),
        ("quantized_matmul", lambda: mx.quantized_matmul(x, *parts, **options)),
        ("gather_qmm", lambda: mx.gather_qmm(x, *parts, rhs_indices=mx.array(0), **options)),
    ]:
        with pytest.raises(ValueError, match=rf"^\[{name}\].*{message}"):
            call()


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (mx.ones((3, 8)), {}, "does not match the expanded quantized matrix"),
        (mx.ones((3, 64)), {"transpose": False}, "does not match the expanded quantized matrix"),
        (mx.ones((3, 64), mx.complex64), {}, "complex64"),
    ],
)
def test_bad_products(x: Any, options: dict[str, Any], message: str) -> None:
    for function, more in [(mx.quantized_matmul, {}), (mx.gather_qmm, {"rhs_indices": mx.array(0)})]:
        with pytest.raises(ValueError, match=message):
            function(x, PACKED, SCALES, BIASES, **options, **more)


def test_other_errors() -> None:
    with pytest.raises(ValueError, match=r"^\[dequantize\].*output dtype is int32"):
        mx.dequantize(PACKED, SCALES, BIASES, dtype=mx.int32)
    with pytest.raises(ValueError, match="at least two dimensions"):
        mx.gather_qmm(mx.ones(64), PACKED, SCALES, BIASES, rhs_indices=mx.array(0))
    with pytest.raises(ValueError, match="Indices must be integral"):
        mx.gather_qmm(mx.ones((1, 64)), PACKED, SCALES, BIASES, rhs_indices=mx.array(0.0))
    with pytest.raises(ValueError, match="cannot be broadcast"):
        mx.quantized_matmul(mx.ones((2, 1, 64)), *mx.quantize(mx.ones((3, 8, 64))))

"""Rotary encoding and attention: `mx.fast.rope` and `mx.fast.scaled_dot_product_attention`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx

ENGINES = ("numpy", "xla")
attention = mx.fast.scaled_dot_product_attention


def numbers(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape)


def central_differences(function: Any, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    out = np.zeros_like(x)
    for entry in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[entry] = 1e-6
        ends = [function(mx.array(x + sign * step, mx.float64)).item() for sign in (1, -1)]
        out[entry] = (ends[0] - ends[1]) / 2e-6
    return out


# ---------------------------------------------------------------------- rope


def turned(x: Any, dims: int, traditional: bool, divisors: Any, scale: float, offset: Any) -> Any:
    """Pairs of features as complex numbers, times those of the angles."""
    positions = (np.arange(x.shape[-2]) + np.reshape(offset, (-1, *[1] * (x.ndim - 2)))) * scale
    rotation = np.exp(1j * positions[..., None] / divisors)
    first, second = (
        (x[..., 0:dims:2], x[..., 1:dims:2]) if traditional else (x[..., : dims // 2], x[..., dims // 2 : dims])
    )
    pairs = (first + 1j * second) * rotation
    out = np.array(np.broadcast_to(x, pairs.shape[:-1] + x.shape[-1:]))
    if traditional:
        out[..., 0:dims:2], out[..., 1:dims:2] = pairs.real, pairs.imag
    else:
        out[..., : dims // 2], out[..., dims // 2 : dims] = pairs.real, pairs.imag
    return out


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("traditional", [True, False])
@pytest.mark.parametrize("dtype", [mx.float16, mx.float32, mx.float64])
def test_rope_turns_pairs(traditional: bool, dtype: Any, engine: str) -> None:
    tolerance = {mx.float16: 2e-3, mx.float32: 1e-5, mx.float64: 1e-12}[dtype]
    divisors = np.array([1.0, 3.0, 7.0, 20.0])
    powers = 100.0 ** (np.arange(4) / 4)
    with mx.engine(engine):
        for shape, dims, base, offset in [
            ((2, 3, 4, 8), 8, 100.0, 0),
            ((2, 3, 4, 10), 8, 100.0, 5),
            ((2, 4, 10), 8, None, mx.array(3)),
            ((2, 3, 4, 10), 8, None, mx.array([1, 6])),
            ((2, 1, 3, 4, 8), 8, 100.0, mx.array([2])),
        ]:
            x = mx.array(numbers(*shape), mx.float64).astype(dtype)
            freqs = mx.array(divisors, mx.float64) if base is None else None
            out = mx.fast.rope(x, dims, traditional=traditional, base=base, scale=0.5, offset=offset, freqs=freqs)
            assert out.dtype == dtype
            expected = turned(
                np.array(x, np.float64), dims, traditional, divisors if base is None else powers, 0.5, np.array(offset)
            )
            np.testing.assert_allclose(np.array(out), expected, rtol=tolerance, atol=tolerance)


def test_rope_derivatives() -> None:
    x, freqs, weight = numbers(2, 3, 6), np.array([1.0, 4.0]), mx.array(numbers(2, 3, 6, seed=1), mx.float64)

    def loss(x: Any, freqs: Any) -> Any:
        out = mx.fast.rope(x, 4, traditional=False, base=None, scale=1.5, offset=2, freqs=freqs)
        return (out * weight).sum()

    point = mx.array(x, mx.float64), mx.array(freqs, mx.float64)
    gradients = mx.grad(loss, (0, 1))(*point)
    np.testing.assert_allclose(gradients[0], central_differences(lambda x: loss(x, point[1]), x), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(
        gradients[1], central_differences(lambda f: loss(point[0], f), freqs), rtol=1e-6, atol=1e-8
    )


def test_rope_mapped_and_for_other_sizes() -> None:
    def rotary(x: Any) -> Any:
        return mx.fast.rope(x, 4, traditional=True, base=100.0, scale=1.0, offset=3)

    x = mx.array(numbers(3, 2, 5, 6), mx.float32)
    mapped = mx.vmap(rotary)(x)
    np.testing.assert_allclose(mapped, mx.stack([rotary(part) for part in x]), rtol=1e-5, atol=1e-6)
    compiled = mx.compile(rotary, shapeless=True)
    for shape in [(2, 5, 6), (4, 7, 6), (1, 1, 6)]:
        x = mx.array(numbers(*shape), mx.float32)
        np.testing.assert_allclose(compiled(x), rotary(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"a": mx.ones((4, 8))}, "at least 3 dimensions"),
        ({"a": mx.ones((2, 4, 8), mx.int32)}, "floating type but got int32"),
        ({"dims": 0}, "must be positive"),
        ({"dims": 7}, "must be even"),
        ({"dims": 10}, "must not exceed"),
        ({"offset": mx.array([1, 2, 3])}, "vector with 2 elements"),
        ({"offset": mx.zeros((2, 1), mx.int32)}, "at most one dimension"),
        ({"offset": mx.array(0.5)}, "offset must be an integer"),
        ({"base": None}, "Neither base nor freqs"),
        ({"freqs": mx.ones(4)}, "Only one of base or freqs"),
        ({"base": None, "freqs": mx.ones(3)}, "with size 4 but got shape"),
    ],
)
def test_bad_arguments_of_rope(change: dict[str, Any], message: str) -> None:
    arguments = {
        "a": mx.ones((2, 4, 8)),
        "dims": 8,
        "traditional": False,
        "base": 10.0,
        "scale": 1.0,
        "offset": 0,
        **change,
    }
    with pytest.raises(ValueError, match=rf"^\[rope\].*{message}"):
        mx.fast.rope(**arguments)


# ---------------------------------------------------------------------- attention


def attended(q: Any, k: Any, v: Any, scale: float, keep: Any = True, add: Any = 0.0, sinks: Any = None) -> Any:
    """The definition: keys and values repeated, weights from exponentials in doubles."""
    k, v = (np.repeat(x, q.shape[1] // x.shape[1], 1) for x in (k, v))
    scores = np.where(keep, scale * q @ k.swapaxes(-1, -2) + add, -np.inf)
    weights = np.exp(scores)
    total = weights.sum(-1, keepdims=True)
    if sinks is not None:
        total = total + np.exp(sinks)[:, None, None]
    return weights / total @ v


Q, K, V = numbers(2, 4, 5, 8), numbers(2, 2, 6, 8, seed=1), numbers(2, 2, 6, 3, seed=2)
CAUSAL = np.arange(6) <= np.arange(5)[:, None] + 1


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float32, mx.float64])
def test_attention(dtype: Any, engine: str) -> None:
    tolerance = {mx.float16: 4e-3, mx.bfloat16: 4e-2, mx.float32: 1e-5, mx.float64: 1e-12}[dtype]
    added = numbers(4, 5, 6, seed=3)
    sinks = np.array([0.0, 1.0, -2.0, 3.0])
    with mx.engine(engine):
        q, k, v, bias, sink = (mx.array(x, mx.float64).astype(dtype) for x in (Q, K, V, added, sinks))
        for options, expected in [
            ({}, attended(Q, K, V, 0.5)),
            ({"mask": "causal"}, attended(Q, K, V, 0.5, CAUSAL)),
            ({"mask": mx.array(CAUSAL)}, attended(Q, K, V, 0.5, CAUSAL)),
            ({"mask": bias}, attended(Q, K, V, 0.5, add=added)),
            ({"sinks": sink, "mask": "causal"}, attended(Q, K, V, 0.5, CAUSAL, sinks=sinks)),
        ]:
            out = attention(q, k, v, scale=0.5, **options)
            assert (out.shape, out.dtype) == ((2, 4, 5, 3), dtype)
            np.testing.assert_allclose(np.array(out.astype(mx.float64)), expected, rtol=tolerance, atol=tolerance)
        every = attention(q, k, v, scale=0.5, mask=mx.zeros((5, 6), mx.bool_))
        mean = np.repeat(V.mean(2, keepdims=True), 2, 1)
        np.testing.assert_allclose(
            np.array(every.astype(mx.float64)), np.broadcast_to(mean, (2, 4, 5, 3)), rtol=tolerance, atol=tolerance
        )


def test_attention_derivatives() -> None:
    parts = [Q[:1, :2, :2], K[:1, :1, :3], V[:1, :1, :3], np.array([0.5, -1.0]), numbers(2, 3, seed=4)]
    weight = mx.array(numbers(1, 2, 2, 3, seed=5), mx.float64)

    def loss(q: Any, k: Any, v: Any, sinks: Any, mask: Any) -> Any:
        return (attention(q, k, v, scale=0.7, sinks=sinks, mask=mask) * weight).sum()

    point = [mx.array(x, mx.float64) for x in parts]
    for i, gradient in enumerate(mx.grad(loss, (0, 1, 2, 3, 4))(*point)):
        moved = central_differences(lambda x, i=i: loss(*point[:i], x, *point[i + 1 :]), parts[i])
        np.testing.assert_allclose(gradient, moved, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", [mx.float16, mx.float32])
def test_long_sequences_by_blocks(dtype: Any, engine: str) -> None:
    """Lengths that end inside a block, against the definition; with half of the keys masked, or those to come."""
    tolerance = {mx.float16: 4e-3, mx.float32: 1e-4}[dtype]
    q, k, v = numbers(1, 2, 1100, 8), numbers(1, 1, 1300, 8, seed=1), numbers(1, 1, 1300, 4, seed=2)
    odd = np.arange(1300) % 2 == 1
    before = np.arange(1300) <= np.arange(1100)[:, None] + 200
    sinks = np.array([2.0, -1.0])
    with mx.engine(engine):
        given = [mx.array(x).astype(dtype) for x in (q, k, v)]
        for options, expected in [
            ({"mask": mx.array(odd)}, attended(q, k, v, 0.5, odd)),
            ({"mask": "causal"}, attended(q, k, v, 0.5, before)),
            ({"sinks": mx.array(sinks).astype(dtype)}, attended(q, k, v, 0.5, sinks=sinks)),
        ]:
            out = attention(*given, scale=0.5, **options)
            assert out.dtype == dtype
            np.testing.assert_allclose(np.array(out), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("engine", ENGINES)
def test_no_whole_matrix_of_scores_in_long_sequences(engine: str) -> None:
    """Neither forward nor backward does a node have as many elements as there are scores."""
    q = mx.zeros((1, 2, 1024, 8))
    largest = 0

    def walk(*parts: Any) -> Any:
        nonlocal largest
        out = mx.grad(lambda *parts: attention(*parts, scale=0.5, mask="causal").sum(), (0, 1, 2))(*parts)
        pending, seen = [x._node for x in out], set()
        while pending:
            node = pending.pop()
            if node in seen:
                continue
            seen.add(node)
            pending.extend(node.inputs)
            shapes = node.shape if node.primitive.many else (node.shape,)
            largest = max([largest, *(int(np.prod(shape)) for shape in shapes)])
        return out

    with mx.engine(engine):
        mx.eval(mx.compile(walk)(q, q, q))
    assert largest == q.size


def test_blocks_on_request_give_the_same() -> None:
    q, k, v = (mx.array(x, mx.float64) for x in (Q, K, V))
    options: dict[str, Any]
    for options in (
        {},
        {"mask": "causal"},
        {"mask": mx.array(CAUSAL)},
        {"mask": mx.zeros((5, 6), mx.bool_)},
        {"mask": mx.array(numbers(4, 5, 6, seed=3), mx.float64)},
        {"mask": mx.array(numbers(2, 1, 1, 6, seed=3), mx.float64), "sinks": mx.zeros(4)},
    ):

        def loss(q: Any, k: Any, v: Any, options: Any = options, **more: Any) -> Any:
            return mx.sin(attention(q, k, v, scale=0.5, **options, **more)).sum()

        at_once, by_blocks = (
            mx.value_and_grad(lambda *parts, f=f, loss=loss: loss(*parts, force_fused=f), (0, 1, 2))(q, k, v)
            for f in (False, True)
        )
        np.testing.assert_allclose(by_blocks[0], at_once[0], rtol=1e-12)
        for mine, expected in zip(by_blocks[1], at_once[1], strict=True):
            np.testing.assert_allclose(mine, expected, rtol=1e-10, atol=1e-12)


def test_more_queries_than_keys() -> None:
    """The first queries see no key, and attend to all alike."""
    q, k, v = numbers(1, 1, 4, 3), numbers(1, 1, 2, 3, seed=1), numbers(1, 1, 2, 2, seed=2)
    expected = np.concatenate(
        [np.repeat(v.mean(2, keepdims=True), 2, 2), attended(q[:, :, 2:], k, v, 1.0, np.tri(2) > 0)], 2
    )
    for by_blocks in (False, True):
        parts = [mx.array(x, mx.float64) for x in (q, k, v)]
        out = attention(*parts, scale=1.0, mask="causal", force_fused=by_blocks)
        np.testing.assert_allclose(out, expected, rtol=1e-12)


def test_attention_mapped_and_for_other_sizes() -> None:
    def causal(q: Any, k: Any, v: Any) -> Any:
        return attention(q, k, v, scale=0.5, mask="causal", sinks=mx.zeros(4))

    q, k, v = (mx.array(np.stack([x, 0.5 * x]), mx.float32) for x in (Q, K, V))
    mapped = mx.vmap(causal)(q, k, v)
    np.testing.assert_allclose(mapped, mx.stack([causal(q[i], k[i], v[i]) for i in range(2)]), rtol=1e-5, atol=1e-6)
    compiled = mx.compile(causal, shapeless=True)
    for batch, queries, keys in [(2, 5, 6), (1, 2, 4), (3, 3, 9)]:
        given = [
            mx.array(numbers(*shape), mx.float32)
            for shape in [(batch, 4, queries, 8), (batch, 2, keys, 8), (batch, 2, keys, 3)]
        ]
        np.testing.assert_allclose(compiled(*given), causal(*given), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"q": mx.ones((4, 5, 8))}, ValueError, "expected to be rank 4"),
        ({"q": mx.ones((2, 3, 5, 8))}, ValueError, "n_heads must be a multiple of n_kv_heads"),
        ({"q": mx.ones((2, 4, 5, 4))}, ValueError, "matching last dimension"),
        ({"v": mx.ones((2, 2, 5, 8))}, ValueError, "matching heads and lengths"),
        ({"k": mx.ones((1, 2, 6, 8))}, ValueError, "mismatching batch dimension"),
        ({"mask": "upper"}, ValueError, "invalid mask option 'upper'"),
        ({"mask": mx.ones((1, 1, 1, 5, 6))}, ValueError, "at most rank 4"),
        ({"mask": mx.ones((5, 7))}, ValueError, "cannot be broadcast"),
        ({"mask": mx.ones((5, 6), mx.complex64)}, ValueError, "Mask type must promote"),
        ({"mask": 3}, TypeError, "mask must be an mx.array"),
        ({"sinks": mx.zeros(3)}, ValueError, "invalid shape for sinks"),
    ],
)
def test_bad_arguments_of_attention(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments = {"q": mx.ones((2, 4, 5, 8)), "k": mx.ones((2, 2, 6, 8)), "v": mx.ones((2, 2, 6, 8)), **change}
    with pytest.raises(error, match=message):
        attention(arguments.pop("q"), arguments.pop("k"), arguments.pop("v"), scale=1.0, **arguments)


def test_integers_are_refused() -> None:
    whole = mx.ones((1, 1, 2, 2), mx.int32)
    with pytest.raises(ValueError, match="unsupported type int32"):
        attention(whole, whole, whole, scale=1.0)

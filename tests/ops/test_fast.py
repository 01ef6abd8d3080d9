"""Functions of networks in one step: `mx.fast`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx

ENGINES = ("numpy", "xla")
LARGE_MEAN = np.random.default_rng(0).standard_normal((8, 256)) * 2 + 100


def normalised(x: Any, weight: Any = 1.0, bias: Any = 0.0, eps: float = 1e-5) -> Any:
    deviation = x - x.mean(-1, keepdims=True)
    return deviation / np.sqrt((deviation**2).mean(-1, keepdims=True) + eps) * weight + bias


def scaled(x: Any, weight: Any = 1.0, eps: float = 1e-5) -> Any:
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * weight


def doubles(x: Any) -> Any:
    return np.array(x.astype(mx.float32) if x.dtype == mx.bfloat16 else x).astype(np.float64)


# At these means a computation in half precision would lose all digits. `exact` is what the wide one is off by.
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("dtype", "rounding", "exact"),
    [(mx.float16, 2**-11, 1e-4), (mx.bfloat16, 2**-8, 1e-4), (mx.float32, 1e-6, 1e-4), (mx.float64, 1e-14, 1e-12)],
)
def test_normalisations_round_once(dtype: Any, rounding: float, exact: float, engine: str) -> None:
    rng = np.random.default_rng(1)
    with mx.engine(engine):
        x = mx.array(LARGE_MEAN, mx.float64).astype(dtype)
        weight, bias = (mx.array(rng.standard_normal(256), mx.float64).astype(dtype) for _ in range(2))
        out = mx.fast.layer_norm(x, weight, bias, 1e-5)
        expected = normalised(doubles(x), doubles(weight), doubles(bias))
        assert out.dtype == dtype
        np.testing.assert_allclose(doubles(out), expected, rtol=1.01 * rounding, atol=exact)
        out = mx.fast.rms_norm(x, weight, 1e-5)
        np.testing.assert_allclose(
            doubles(out), scaled(doubles(x), doubles(weight)), rtol=1.01 * rounding, atol=exact / 100
        )


def test_parameters_are_optional() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 5))
    weight, bias = np.arange(5.0) + 1, np.arange(5.0) - 2
    given = mx.array(x, mx.float32)
    w, b = mx.array(weight, mx.float32), mx.array(bias, mx.float32)
    for out, expected in [
        (mx.fast.layer_norm(given, None, None, 1e-3), normalised(x, eps=1e-3)),
        (mx.fast.layer_norm(given, w, None, 1e-3), normalised(x, weight, eps=1e-3)),
        (mx.fast.layer_norm(given, None, b, 1e-3), normalised(x, bias=bias, eps=1e-3)),
        (mx.fast.layer_norm(x=given, weight=w, bias=b, eps=1e-3), normalised(x, weight, bias, 1e-3)),
        (mx.fast.rms_norm(given, None, 1e-3), scaled(x, eps=1e-3)),
        (mx.fast.rms_norm(given, w, eps=1e-3), scaled(x, weight, 1e-3)),
    ]:
        np.testing.assert_allclose(out, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("function", ["layer_norm", "rms_norm"])
def test_derivatives_are_finite_differences(function: str) -> None:
    rng = np.random.default_rng(3)
    x, weight, direction = (rng.standard_normal(shape) for shape in [(2, 5), (5,), (2, 5)])

    def loss(x: Any, weight: Any) -> Any:
        if function == "rms_norm":
            out = mx.fast.rms_norm(x, weight, 1e-3)
        else:
            out = mx.fast.layer_norm(x, weight, weight * 0.5, 1e-3)
        return (out * mx.array(direction, mx.float64)).sum()

    point = [mx.array(x, mx.float64), mx.array(weight, mx.float64)]
    gradients = mx.grad(loss, (0, 1))(*point)
    for position in (0, 1):
        for entry in np.ndindex(point[position].shape):
            step = np.zeros(point[position].shape)
            step[entry] = 1e-6
            ends = []
            for sign in (1, -1):
                moved = list(point)
                moved[position] = point[position] + mx.array(sign * step, mx.float64)
                ends.append(loss(*moved).item())
            assert gradients[position][entry].item() == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6, abs=1e-8)


def test_mapped_over_inputs_and_parameters() -> None:
    x, w = mx.random.normal((3, 4)), mx.random.normal((3, 4))
    both = mx.vmap(lambda x, w: mx.fast.layer_norm(x, w, w, 1e-5))(x, w)
    weights = mx.vmap(lambda w: mx.fast.rms_norm(x, w, 1e-5))(w)
    for k in range(3):
        np.testing.assert_allclose(both[k], mx.fast.layer_norm(x[k], w[k], w[k], 1e-5), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(weights[k], mx.fast.rms_norm(x, w[k], 1e-5), rtol=1e-5, atol=1e-6)


def test_one_trace_serves_other_sizes() -> None:
    count = 0

    def both(x: Any, w: Any) -> Any:
        nonlocal count
        count += 1
        return mx.fast.layer_norm(x, w, None, 1e-5) + mx.fast.rms_norm(x, w, 1e-5)

    compiled = mx.compile(both, shapeless=True)
    for shape in [(2, 8), (5, 8), (3, 12)]:
        x, w = mx.random.normal(shape), mx.random.normal(shape[1:])
        np.testing.assert_allclose(compiled(x, w), both(x, w), rtol=1e-5, atol=1e-6)
    assert count == 4


def test_dtypes_promote() -> None:
    x, w = mx.ones((2, 4)), mx.ones(4)
    for x_dtype, w_dtype, expected in [
        (mx.float16, mx.float32, mx.float32),
        (mx.float16, mx.bfloat16, mx.float32),
        (mx.float16, mx.int32, mx.float16),
        (mx.int32, mx.float32, mx.float32),
    ]:
        assert mx.fast.layer_norm(x.astype(x_dtype), w.astype(w_dtype), None, 1e-5).dtype == expected
        assert mx.fast.rms_norm(x.astype(x_dtype), w.astype(w_dtype), 1e-5).dtype == expected


def test_empty() -> None:
    assert mx.fast.layer_norm(mx.zeros((0, 4)), mx.ones(4), None, 1e-5).shape == (0, 4)
    assert mx.fast.rms_norm(mx.zeros((3, 0)), None, 1e-5).shape == (3, 0)


@pytest.mark.parametrize("function", ["layer_norm", "rms_norm"])
@pytest.mark.parametrize(
    ("x", "weight", "error", "message"),
    [
        (mx.array(1.0), None, ValueError, "at least 1 dimension"),
        (mx.ones((2, 4)), mx.ones(3), ValueError, "weight must have the same size as the last dimension of x"),
        (mx.ones((2, 4)), mx.ones((1, 4)), ValueError, "weight must have 1 dimension but has 2"),
        (mx.ones((2, 4), mx.int32), None, ValueError, "unsupported type int32"),
        (mx.ones((2, 4), mx.complex64), None, ValueError, "unsupported type complex64"),
        ([1.0, 2.0], None, TypeError, "x must be an mx.array"),
    ],
)
def test_bad_arguments(function: str, x: Any, weight: Any, error: type[Exception], message: str) -> None:
    bias = (None,) if function == "layer_norm" else ()
    with pytest.raises(error, match=rf"^\[{function}\].*{message}"):
        getattr(mx.fast, function)(x, weight, *bias, 1e-5)


# ---------------------------------------------------------------------- cross entropy


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(mx.float32, 1e-6), (mx.float64, 1e-6), (mx.bfloat16, 1e-6)])
def test_cross_entropy(dtype: Any, tolerance: float, engine: str) -> None:
    with mx.engine(engine):
        logits = mx.array(np.random.default_rng(0).standard_normal((2, 3, 7)) * 5, mx.float64).astype(dtype)
        targets = np.array([[0, 6, -1], [3, 3, 2]])
        out = mx.fast.cross_entropy(logits, mx.array(targets))
        assert out.dtype == mx.float32
        exact = doubles(logits)
        chosen = np.take_along_axis(exact, targets[..., None], -1)[..., 0]
        np.testing.assert_allclose(out, np.log(np.exp(exact).sum(-1)) - chosen, rtol=tolerance, atol=tolerance)
        gradient = mx.grad(lambda x: mx.fast.cross_entropy(x, mx.array(targets)).sum())(logits)
        softmax = np.exp(exact) / np.exp(exact).sum(-1, keepdims=True)
        rounding = 2.0**-8 if dtype == mx.bfloat16 else 1e-6
        np.testing.assert_allclose(doubles(gradient), softmax - np.eye(7)[targets], rtol=rounding, atol=rounding)


@pytest.mark.parametrize(
    ("logits", "targets", "message"),
    [
        (mx.array(1.0), mx.array(0), "at least 1 dimension"),
        (mx.ones((3, 7), mx.int32), mx.zeros(3, mx.int32), "unsupported logits type int32"),
        (mx.ones((3, 7)), mx.zeros(3), "must be integer class indices but got float32"),
        (mx.ones((3, 7)), mx.zeros((3, 1), mx.int32), "does not match logits shape"),
        (mx.ones((3, 0)), mx.zeros(3, mx.int32), "no classes"),
    ],
)
def test_bad_arguments_of_cross_entropy(logits: Any, targets: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"^\[cross_entropy\].*{message}"):
        mx.fast.cross_entropy(logits, targets)

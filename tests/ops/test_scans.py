"""Scans: directions, inclusion, dtypes, special values and errors as the reference has them; gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx
from mlx.ir.dtypes import ALL_DTYPES

INF, NAN = float("inf"), float("nan")
SCANS = (mx.cumsum, mx.cumprod, mx.cummax, mx.cummin, mx.logcumsumexp)


@pytest.fixture(params=("numpy", "xla"))
def engine(request: Any) -> Any:
    with mx.engine(request.param):
        yield


def close(result: Any, expected: Any, tolerance: float = 1e-6) -> None:
    np.testing.assert_allclose(np.array(result), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("scan", "forward", "backward", "before", "after"),
    [
        (mx.cumsum, [1, 3, 6], [6, 5, 3], [0, 1, 3], [5, 3, 0]),
        (mx.cumprod, [1, 2, 6], [6, 6, 3], [1, 1, 2], [6, 3, 1]),
        (mx.cummax, [1, 2, 3], [3, 3, 3], [-INF, 1, 2], [3, 3, -INF]),
        (mx.cummin, [1, 1, 1], [1, 2, 3], [INF, 1, 1], [2, 3, INF]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_directions_and_inclusion(
    engine: None, scan: Any, forward: Any, backward: Any, before: Any, after: Any
) -> None:
    x = mx.array([1.0, 2.0, 3.0])
    assert scan(x).tolist() == forward
    assert scan(x, reverse=True).tolist() == backward
    assert scan(x, inclusive=False).tolist() == before
    assert scan(x, reverse=True, inclusive=False).tolist() == after


def test_logcumsumexp(engine: None) -> None:
    x = mx.array([1.0, 2.0, 3.0])
    close(mx.logcumsumexp(x), [1.0, 2.3132617, 3.4076059])
    close(mx.logcumsumexp(x, reverse=True), [3.4076059, 3.3132617, 3.0])
    close(mx.logcumsumexp(x, inclusive=False), [-INF, 1.0, 2.3132617])
    close(mx.logcumsumexp(mx.array([-1000.0, -1000.0, 1000.0])), [-1000, -1000 + np.log(2), 1000])
    assert mx.logcumsumexp(mx.array([-INF, -INF, 0.0, INF])).tolist() == [-INF, -INF, 0, INF]


@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=lambda dtype: dtype.name)
def test_dtypes(dtype: Any) -> None:
    x = mx.array([1, 2, 3]).astype(dtype)
    assert mx.cumsum(x).dtype == (mx.int32 if dtype == mx.bool_ else dtype)
    for same in (mx.cumprod, mx.cummax, mx.cummin):
        assert same(x).dtype == same(x, inclusive=False).dtype == dtype
    assert mx.logcumsumexp(x).dtype == (dtype if mx.issubdtype(dtype, mx.inexact) else mx.float32)


def test_starts_of_exclusive_extrema(engine: None) -> None:
    for dtype, lowest, highest in (
        (mx.bool_, False, True),
        (mx.uint8, 0, 255),
        (mx.int8, -128, 127),
        (mx.uint64, 0, 2**64 - 1),
        (mx.int64, -(2**63), 2**63 - 1),
        (mx.float16, -INF, INF),
        (mx.complex64, complex(-INF, -INF), complex(INF, INF)),
    ):
        x = mx.array([1, 1]).astype(dtype)
        assert mx.cummax(x, inclusive=False).tolist() == [lowest, 1]
        assert mx.cummin(x, inclusive=False).tolist() == [highest, 1]


def test_dtype_argument(engine: None) -> None:
    assert mx.cumsum(mx.array([200, 100], mx.uint8)).tolist() == [200, 44]
    assert mx.cumsum(mx.array([200, 100], mx.uint8), dtype=mx.int32).tolist() == [200, 300]
    assert mx.cumsum(mx.array([1, 2]), dtype=mx.bool_).dtype == mx.int32
    assert mx.cumprod(mx.array([True, True]), dtype=mx.float16).dtype == mx.float16
    with pytest.raises(TypeError, match=r"\[cumsum\] dtype must be an mlx Dtype"):
        mx.cumsum(mx.array([1, 2]), dtype=int)


def test_axes(engine: None) -> None:
    x = mx.arange(6).reshape(2, 3)
    assert mx.cumsum(x).tolist() == [0, 1, 3, 6, 10, 15]
    assert mx.cumsum(x, 0).tolist() == [[0, 1, 2], [3, 5, 7]]
    assert x.cumsum(-1, reverse=True).tolist() == [[3, 3, 2], [12, 9, 5]]
    for scan in SCANS:
        assert scan(mx.array(2.0)).tolist() == [2]
        assert scan(mx.zeros((0, 3)), 0).shape == scan(mx.zeros((0, 3)), 1, inclusive=False).shape == (0, 3)
        assert scan(mx.zeros((0, 3))).shape == (0,)
        with pytest.raises(IndexError, match=r"^\[\w+\] .*axis 2"):
            scan(x, 2)
        with pytest.raises(IndexError):
            scan(mx.array(2.0), 0)
        with pytest.raises(TypeError, match=r"^\[\w+\] axis must be an int"):
            scan(x, (0, 1))
        with pytest.raises(TypeError, match=r"^\[\w+\] a must be an mx.array"):
            scan([1.0, 2.0])


def test_nan_stays(engine: None) -> None:
    x = mx.array([1.0, NAN, 3.0, -1.0])
    for scan in SCANS:
        assert np.isnan(scan(x).tolist()).tolist() == [False, True, True, True]


def test_half_precision_is_accumulated_in_single(engine: None) -> None:
    assert mx.cumsum(mx.full((4099,), 1, mx.float16))[-1].item() == 4100


@pytest.mark.parametrize(
    ("function", "point", "expected"),
    [
        (mx.cumprod, [1.0, 0.0, 3.0], [1, 4, 0]),
        (mx.cumprod, [0.0, 0.0, 3.0], [1, 0, 0]),
        (lambda x: mx.cumprod(x, reverse=True), [3.0, 0.0, 1.0], [0, 4, 1]),
        (lambda x: mx.cumprod(x, inclusive=False), [2.0, 0.0, 5.0], [1, 2, 0]),
        (mx.cummax, [1.0, 3.0, 2.0, 3.0], [1, 2, 0, 1]),
        (mx.cummin, [1.0, 3.0, 2.0, 1.0], [3, 0, 0, 1]),
        (lambda x: mx.cummax(x, reverse=True), [1.0, 3.0, 2.0, 3.0], [0, 2, 0, 2]),
        (lambda x: mx.cumsum(x, inclusive=False), [1.0, 3.0, 2.0, 1.0], [3, 2, 1, 0]),
        (lambda x: mx.cumsum(x, reverse=True), [1.0, 3.0, 2.0, 1.0], [1, 2, 3, 4]),
        (mx.logcumsumexp, [1.0, 3.0, 2.0, 1.0], [1.2918280, 2.1563334, 0.4692435, 0.0825945]),
        (mx.logcumsumexp, [-INF, 0.0, 0.0], [0, 1.5, 0.5]),
        (mx.logcumsumexp, [-1000.0, 1000.0], [1, 1]),
    ],
)
def test_gradients(engine: None, function: Any, point: list[float], expected: list[float]) -> None:
    close(mx.grad(lambda x: function(x).sum())(mx.array(point)), expected)


def test_second_derivative_of_cumprod_with_zeros(engine: None) -> None:
    x = mx.array([2.0, 0.0, 0.0])
    # The last entry is x0 x1 x2, of which d2 / dx1 dx = [x2, 0, x0].
    mixed = mx.grad(lambda x: mx.grad(lambda x: mx.cumprod(x)[2])(x)[1])(x)
    assert mixed.tolist() == [0, 0, 2]


@pytest.mark.parametrize("function", [mx.cumprod, mx.logcumsumexp, mx.cumsum], ids=lambda f: f.__name__)
def test_complex_gradients(engine: None, function: Any) -> None:
    """dl/dx + i dl/dy by central differences in NumPy's double precision."""
    z = np.array([1 + 2j, 0.5 - 1j, -0.3 + 0.2j])
    weight = np.array([0.3 + 0.1j, -1 + 0.4j, 0.7j])
    in_numpy = {
        "cumprod": np.cumprod,
        "cumsum": np.cumsum,
        "logcumsumexp": lambda z: np.log(np.cumsum(np.exp(z))),
    }[function.__name__]
    step, expected = 1e-6, []
    for unit in np.eye(3):
        slopes = [
            (weight * (in_numpy(z + step * d * unit) - in_numpy(z - step * d * unit))).sum().real / (2 * step)
            for d in (1, 1j)
        ]
        expected.append(complex(*slopes))
    grad = mx.grad(lambda z: (function(z) * mx.array(weight.astype(np.complex64))).real.sum())
    close(grad(mx.array(z.astype(np.complex64))), expected, 2e-5)


def test_long_recurrences(engine: None) -> None:
    x = np.random.default_rng(0).uniform(0.9, 1.1, 1000)
    gradient = mx.grad(lambda x: mx.cumprod(x).sum())(mx.array(x, mx.float64))
    products = np.cumprod(x)
    close(gradient, np.cumsum(products[::-1])[::-1] / x, 1e-9)

"""Reductions: dtypes, axes, special values and errors as the reference has them; gradients at singular points."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx
from mlx.ir.dtypes import ALL_DTYPES

INF, NAN = float("inf"), float("nan")
ENGINES = ("numpy", "xla")
SUMS = {"bool": "int32", "int8": "int32", "int16": "int32", "uint8": "uint32", "uint16": "uint32"}
WITH_AXES = (
    mx.sum,
    mx.prod,
    mx.max,
    mx.min,
    mx.mean,
    mx.var,
    mx.std,
    mx.all,
    mx.any,
    mx.logsumexp,
    mx.softmax,
    mx.median,
    mx.minmax,
)


@pytest.fixture(params=ENGINES)
def engine(request: Any) -> Any:
    with mx.engine(request.param):
        yield


def close(result: Any, expected: Any, tolerance: float = 1e-6) -> None:
    np.testing.assert_allclose(np.array(result), expected, rtol=tolerance, atol=tolerance)


def floating(dtype: Any) -> Any:
    return dtype if mx.issubdtype(dtype, mx.inexact) else mx.float32


@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=lambda dtype: dtype.name)
def test_dtypes(dtype: Any) -> None:
    x = mx.array([3, 1, 2]).astype(dtype)
    summed = SUMS.get(dtype.name, dtype.name)
    assert mx.sum(x).dtype.name == summed
    assert mx.prod(x).dtype.name == summed
    for same in (mx.max, mx.min):
        assert same(x).dtype == dtype
    for function in (mx.mean, mx.logsumexp, mx.softmax, mx.median):
        assert function(x).dtype == floating(dtype)
    for spread in (mx.var, mx.std):
        assert spread(x).dtype == (mx.float32 if dtype == mx.complex64 else floating(dtype))
    for truth in (mx.all, mx.any):
        assert truth(x).dtype == mx.bool_
    for position in (mx.argmax, mx.argmin):
        assert position(x).dtype == mx.uint32
    assert mx.count_nonzero(x).dtype == mx.int32
    assert [y.dtype for y in mx.minmax(x)] == [dtype, dtype]


def test_values_by_hand(engine: None) -> None:
    x = mx.array([[1.0, 5.0, 3.0], [4.0, 2.0, 9.0]])
    assert mx.sum(x).item() == 24
    assert mx.sum(x, 0).tolist() == [5, 7, 12]
    assert mx.prod(x, axis=1).tolist() == [15, 72]
    assert mx.max(x, axis=[-1], keepdims=True).tolist() == [[5], [9]]
    assert mx.min(x, (0, 1), keepdims=True).tolist() == [[1]]
    assert mx.mean(x, 1).tolist() == [3, 5]
    assert mx.argmax(x).item() == 5
    assert mx.argmax(x, 0).tolist() == [1, 0, 1]
    assert mx.argmin(x, 1, keepdims=True).tolist() == [[0], [1]]
    assert mx.argmax(x, keepdims=True).tolist() == [[5]]
    assert mx.minmax(x)[0].item() == 1
    assert mx.minmax(x, 1)[1].tolist() == [5, 9]
    assert mx.all(x > 1, 1).tolist() == [False, True]
    assert mx.any(x > 4, 0).tolist() == [False, True, True]
    assert mx.count_nonzero(x - 4, axis=1, keepdims=True).tolist() == [[3], [2]]
    close(mx.var(x), 20 / 3)
    close(mx.var(x, 1), [8 / 3, 26 / 3])
    close(mx.std(x, 1, ddof=1), np.sqrt([4, 13]))
    close(mx.logsumexp(mx.array([0.0, 0.0, np.log(2.0)])), np.log(4))
    close(mx.softmax(mx.array([0.0, np.log(3.0)])), [0.25, 0.75])


def test_methods_are_the_functions() -> None:
    x = mx.array([[1.0, 5.0, 3.0], [4.0, 2.0, 9.0]])
    for name in ("sum", "prod", "max", "min", "mean", "var", "std", "all", "any", "logsumexp", "argmax", "argmin"):
        method, function = getattr(x, name), getattr(mx, name)
        assert method().tolist() == function(x).tolist()
        assert method(axis=1, keepdims=True).tolist() == function(x, axis=1, keepdims=True).tolist()
    assert x.var(correction=1).item() == x.var(ddof=1).item() == mx.var(x, ddof=1).item() == mx.var(x, correction=1)


def test_divisor_of_the_variance(engine: None) -> None:
    x = mx.array([1.0, 2.0, 4.0])
    close([mx.var(x, ddof=ddof).item() for ddof in (-1, 0, 1, 3, 5)], [7 / 6, 14 / 9, 7 / 3, INF, INF])
    assert np.isnan(mx.var(mx.array([1.0, 1.0]), ddof=2).item())


def test_empty_arrays(engine: None) -> None:
    nothing = mx.zeros((0, 3))
    assert mx.sum(nothing, 0).tolist() == [0, 0, 0]
    assert mx.prod(nothing).item() == 1
    assert mx.all(nothing).item() is True
    assert mx.any(nothing, 0).tolist() == [False] * 3
    assert np.isnan(mx.mean(nothing, 0).tolist()).all()
    assert np.isnan(mx.var(nothing).item())
    assert mx.max(nothing, 1).shape == mx.mean(nothing, 1).shape == mx.median(nothing, 1).shape == (0,)
    assert mx.softmax(nothing, 0).shape == (0, 3)
    assert mx.count_nonzero(nothing).item() == 0
    for function in (mx.max, mx.min):
        with pytest.raises(ValueError, match=r"reduce over axis 0 with size 0"):
            function(nothing)
    for function in (mx.argmax, mx.argmin):
        with pytest.raises(ValueError, match="zero size array"):
            function(nothing, 1)
    with pytest.raises(ValueError, match=r"\[logsumexp\] Received empty array"):
        mx.logsumexp(nothing, 0)
    assert mx.logsumexp(nothing, 1).shape == (0,)
    assert mx.logsumexp(nothing, 1, keepdims=True).shape == (0, 1)
    with pytest.raises(ValueError, match=r"\[median\] Cannot take median along empty axis"):
        mx.median(nothing, 0)


def test_arrays_without_axes(engine: None) -> None:
    x = mx.array(2.0)
    for function in (mx.sum, mx.prod, mx.max, mx.min, mx.mean, mx.logsumexp, mx.median):
        assert function(x).item() == 2
        assert function(x, ()).item() == 2
    assert mx.softmax(x).item() == 1
    assert mx.var(x).item() == mx.std(x).item() == mx.argmax(x).item() == 0
    for function in (mx.logsumexp, mx.softmax):
        with pytest.raises(ValueError, match="Received non-empty axes for array with 0 dimensions"):
            function(x, 0)


@pytest.mark.parametrize("function", WITH_AXES, ids=lambda function: function.__name__)
def test_errors_of_axes(function: Any) -> None:
    x = mx.zeros((2, 3))
    for axis in (2, -3, (0, 2)):
        with pytest.raises(IndexError, match=r"^\[\w+\] .*dimensions"):
            function(x, axis)
    with pytest.raises(ValueError, match=r"^\[\w+\] .*[Dd]uplicate"):
        function(x, (1, -1))
    with pytest.raises(TypeError, match=r"^\[\w+\] axis must be an int"):
        function(x, 1.0)
    with pytest.raises(TypeError, match=r"^\[\w+\] a must be an mx.array, got list"):
        function([1.0, 2.0])


def test_errors_of_positions() -> None:
    for function in (mx.argmax, mx.argmin):
        with pytest.raises(IndexError, match="Invalid axis 2 for array with 2 dimensions"):
            function(mx.zeros((2, 3)), 2)
        with pytest.raises(TypeError, match="axis must be an int"):
            function(mx.zeros((2, 3)), (0, 1))
    with pytest.raises(TypeError, match="ddof must be an int"):
        mx.var(mx.zeros(3), ddof=1.5)


def test_nan_and_infinity(engine: None) -> None:
    x = mx.array([1.0, NAN, 3.0, NAN])
    for dtype in (mx.float16, mx.bfloat16, mx.float32, mx.float64):
        for function in (mx.max, mx.min, mx.mean, mx.var, mx.logsumexp, mx.median):
            assert np.isnan(function(x.astype(dtype)).item())
        assert mx.argmax(x.astype(dtype)).item() == mx.argmin(x.astype(dtype)).item() == 1
    assert mx.all(x).item() is True
    assert mx.logsumexp(mx.array([INF, 1.0])).item() == INF
    assert mx.logsumexp(mx.array([-INF, -INF])).item() == -INF
    assert mx.logsumexp(mx.array([-INF, 2.0])).item() == 2
    assert mx.softmax(mx.array([-INF, 2.0])).tolist() == [0, 1]
    assert np.isnan(mx.softmax(mx.array([-INF, -INF])).tolist()).all()


def test_the_softmax_of_a_transposed_array_has_the_same_bits() -> None:
    a = mx.random.uniform(shape=(32, 32, 32), key=mx.random.key(0))
    order = (2, 0, 1)
    for axis, moved in ((0, 1), (2, 0), ((0, 2), (1, 0)), (None, None)):
        expected = mx.softmax(a, axis)
        difference = mx.softmax(a.transpose(order), moved) - expected.transpose(order)
        assert mx.abs(difference).max().item() == 0
        np.testing.assert_allclose(mx.sum(expected, axis), np.ones(mx.sum(expected, axis).shape), rtol=1e-4)


def test_half_precision_is_summed_in_single(engine: None) -> None:
    assert mx.sum(mx.full((4099,), 1, mx.float16)).item() == 4100
    assert mx.sum(mx.full((1001, 2), 1, mx.bfloat16), 0).tolist() == [1000, 1000]
    assert mx.mean(mx.full((70000,), 2, mx.float16)).item() == 2
    close(mx.var(mx.array([300.0, -300.0], mx.float16) * 200), INF)
    close(mx.std(mx.array([3000.0, -3000.0], mx.float16)), 3000)
    close(mx.softmax(mx.array([1.0, 2.0], mx.float16), precise=True), [0.269, 0.731], 1e-3)


def test_integers_wrap(engine: None) -> None:
    assert mx.sum(mx.array([2**32 - 1, 2], mx.uint32)).item() == 1
    assert mx.sum(mx.array([100, 100], mx.int8)).item() == 200
    assert mx.prod(mx.array([200, 200], mx.uint8)).item() == 40000
    assert mx.sum(mx.array([2**62, 2**62], mx.int64)).item() == -(2**63)


def test_mean_is_two_nodes() -> None:
    node = mx.mean(mx.zeros((2, 3)))._node
    assert node.primitive.name == "multiply"
    assert node.inputs[0].primitive.name == "sum"


def test_extrema_share_gradients_among_ties(engine: None) -> None:
    assert mx.grad(mx.max)(mx.array([2.0, 2.0, 1.0])).tolist() == [0.5, 0.5, 0]
    close(mx.grad(mx.min)(mx.array([1.0, 1.0, 1.0, 2.0])), [1 / 3, 1 / 3, 1 / 3, 0])
    x = mx.array([[1.0, 3.0], [3.0, 3.0]])
    assert mx.grad(lambda x: mx.max(x, 1).sum())(x).tolist() == [[0, 1], [0.5, 0.5]]
    assert np.isnan(mx.grad(mx.max)(mx.array([2.0, NAN])).tolist()).all()
    assert mx.grad(lambda x: 0 * mx.max(x))(mx.array([2.0, NAN])).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.0, 2.0, 3.0], [6, 0, 0]), ([0.0, 0.0, 3.0], [0, 0, 0]), ([1.0, 2.0, 3.0], [6, 3, 2])],
)
def test_gradient_of_products_with_zeros(engine: None, values: list[float], expected: list[float]) -> None:
    assert mx.grad(mx.prod)(mx.array(values)).tolist() == expected


def test_second_derivative_of_products_with_zeros(engine: None) -> None:
    x = mx.array([0.0, 0.0, 3.0])
    mixed = mx.grad(lambda x: mx.grad(mx.prod)(x)[0])(x)  # d2 (x0 x1 x2) / dx0 dx = [0, x2, x1]
    assert mixed.tolist() == [0, 3, 0]


def test_gradients_at_singular_points(engine: None) -> None:
    ones = mx.ones((3,))
    assert mx.grad(mx.std)(ones).tolist() == [0, 0, 0]
    assert mx.grad(mx.logsumexp)(mx.array([-INF, -INF])).tolist() == [0, 0]
    assert mx.grad(mx.logsumexp)(mx.array([INF, 1.0])).tolist() == [1, 0]
    close(mx.grad(mx.logsumexp)(mx.array([-INF, 1.0, 1.0])), [0, 0.5, 0.5])
    close(mx.grad(mx.logsumexp)(mx.array([1000.0, 999.0])), [0.73105858, 0.26894142])
    close(mx.grad(mx.logsumexp)(mx.array([100.0, 99.0], mx.bfloat16)).astype(mx.float32), [0.7311, 0.2689], 2e-3)
    tangent = mx.jvp(mx.std, [ones], [mx.array([1.0, 2.0, 3.0])])[1][0]
    assert tangent.item() == 0

    def masked(x: Any) -> Any:
        return mx.where(mx.array([[True], [False]]), mx.softmax(x, 1), 0).sum()

    rows = mx.array([[1.0, 2.0], [-INF, -INF]])
    close(mx.grad(masked)(rows), np.zeros((2, 2)))


def test_hessian_of_logsumexp_is_that_of_the_softmax(engine: None) -> None:
    x = mx.array([0.5, -1.0, 2.0])
    p = np.array(mx.softmax(x))
    rows = [mx.grad(lambda x, i=i: mx.grad(mx.logsumexp)(x)[i])(x).tolist() for i in range(3)]
    close(rows, np.diag(p) - np.outer(p, p))
    close(mx.grad(lambda x: mx.softmax(x)[1])(x), p[1] * (np.eye(3)[1] - p))


def complex_loss(y: Any) -> Any:
    return (y * mx.array([0.3 + 0.1j, -1 + 0.4j, 0.7j]) if y.shape == (3,) else y).real.sum()


@pytest.mark.parametrize(
    "function",
    [mx.sum, mx.prod, mx.mean, mx.var, mx.std, mx.softmax, mx.logsumexp],
    ids=lambda function: function.__name__,
)
def test_complex_gradients(engine: None, function: Any) -> None:
    """The gradient of a real loss is dl/dx + i dl/dy, here by central differences."""
    z = np.array([1 + 2j, 0.5 - 1j, -0.3 + 0.2j], np.complex64)

    def loss(z: Any) -> Any:
        return complex_loss(function(z)) if function(z).dtype == mx.complex64 else function(z)

    step = 5e-3
    expected = []
    for i in range(3):
        slopes = []
        for direction in (1, 1j):
            change = np.zeros(3, np.complex64)
            change[i] = step * direction
            ahead, behind = loss(mx.array(z + change)).item(), loss(mx.array(z - change)).item()
            slopes.append((ahead - behind) / (2 * step))
        expected.append(complex(*slopes))
    close(mx.grad(loss)(mx.array(z)), expected, 3e-3)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16], ids=["float16", "bfloat16"])
def test_half_precision_is_summed_in_float32(engine: None, dtype: Any) -> None:
    """Ones whose sum, taken in half precision, would stop at 2048 or at 256."""
    x = mx.ones((50, 60, 3), dtype)
    column_sums = mx.array(3000.0, dtype).item()  # bfloat16 has no 3000
    assert mx.sum(x, axis=(0, 1)).tolist() == [column_sums] * 3
    assert mx.sum(x, axis=1).tolist() == [[60.0] * 3] * 50
    assert mx.mean(x, axis=(0, 1)).tolist() == [1.0] * 3
    bias = mx.zeros((3,), dtype)
    assert mx.grad(lambda b: mx.sum((x + b).astype(mx.float32)))(bias).tolist() == [column_sums] * 3
    assert mx.grad(lambda b: mx.sum(mx.as_strided(b, (3000,), (0,)).astype(mx.float32)))(bias)[0].item() == column_sums

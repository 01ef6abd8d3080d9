"""Functions that make arrays: values by hand, by NumPy or written down from the reference, dtypes, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx
from mlx.ir.dtypes import ALL_DTYPES

NAN = float("nan")


def a(shape: tuple[int, ...]) -> Any:
    return mx.zeros(shape)


@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=lambda dtype: dtype.name)
def test_constants_in_every_dtype(dtype: Any) -> None:
    for array, value in (
        (mx.zeros((2, 3), dtype), 0),
        (mx.ones((2, 3), dtype), 1),
        (mx.zeros_like(mx.ones((2, 3)), dtype), 0),
        (mx.empty((2, 3), dtype), 0),
        (mx.empty_like(mx.ones((2, 3)), dtype), 0),
        (mx.ones_like(mx.zeros((2, 3), dtype)), 1),
        (mx.full((2, 3), 1, dtype), 1),
        (mx.full_like(mx.zeros((2, 3), dtype), 1), 1),
    ):
        assert array.dtype == dtype
        assert array.tolist() == [[value] * 3] * 2


def test_shapes_of_constants() -> None:
    assert mx.zeros(3).shape == (3,)
    assert mx.ones([2, 1]).shape == (2, 1)
    assert mx.zeros(()).item() == 0.0
    assert mx.full((0,), 7).shape == (0,)
    assert mx.zeros((2,), None).dtype == mx.float32


def test_full_takes_the_dtype_of_its_value() -> None:
    assert mx.full(2, True).dtype == mx.bool_
    assert mx.full(2, 3).dtype == mx.int32
    assert mx.full(2, 2**40).dtype == mx.int64
    assert mx.full(2, 1j).tolist() == [1j, 1j]
    assert mx.full((2, 2), mx.array([1, 2], mx.int8)).dtype == mx.int8
    assert mx.full((2, 2), mx.array([1, 2])).tolist() == [[1, 2], [1, 2]]
    assert mx.full(2, np.array([1, 2])).dtype == mx.int64


def test_full_in_a_dtype_that_is_asked_for() -> None:
    assert mx.full(2, 3.7, mx.int32).tolist() == [3, 3]
    assert mx.full(2, mx.array([1.5, 2.5]), mx.int32).tolist() == [1, 2]
    assert mx.full(2, 3, mx.float16).dtype == mx.float16
    assert mx.full_like(mx.array([1, 2]), 3.5).tolist() == [3, 3]
    assert mx.full_like(mx.array([1, 2]), 3.5, mx.float16).tolist() == [3.5, 3.5]
    assert mx.full_like(mx.zeros((2, 2)), mx.array([1, 2])).tolist() == [[1.0, 2.0]] * 2


def test_full_passes_the_gradient_to_its_value() -> None:
    assert mx.grad(lambda v: mx.full((2, 3), v).sum())(mx.array(1.5)).item() == 6.0


@pytest.mark.parametrize(
    ("arguments", "named", "expected", "dtype"),
    [
        ((5,), {}, [0, 1, 2, 3, 4], mx.int32),
        ((5.0,), {}, [0, 1, 2, 3, 4], mx.float32),
        ((2, 5), {}, [2, 3, 4], mx.int32),
        ((2, 5, 2), {}, [2, 4], mx.int32),
        ((5, 2, -1), {}, [5, 4, 3], mx.int32),
        ((5, 2), {}, [], mx.int32),
        ((0, 5, 2.0), {}, [0, 2, 4], mx.float32),
        ((0, 5, None), {}, [0, 1, 2, 3, 4], mx.int32),
        ((5, None, 2), {}, [0, 2, 4], mx.int32),
        ((3,), {"step": 2}, [0, 2], mx.int32),
        ((), {"stop": 3}, [0, 1, 2], mx.int32),
        ((1,), {"stop": 3}, [1, 2], mx.int32),
        ((), {"start": 1, "stop": 3, "step": 1.0}, [1, 2], mx.float32),
        ((7, 3, mx.float32), {}, [0, 3, 6], mx.float32),
        ((0.5, 3), {"dtype": mx.int32}, [0, 1, 2], mx.int32),
        ((-0.5, 3, 1, mx.int32), {}, [0, 0, 0, 0], mx.int32),
        ((0, 1, 0.3, mx.int32), {}, [0, 0, 0, 0], mx.int32),
        ((250, 260), {"dtype": mx.uint8}, [250, 251, 252, 253, 254, 255, 0, 1, 2, 3], mx.uint8),
        ((3, -3, -1), {"dtype": mx.uint8}, [3, 2, 1, 0, 255, 254], mx.uint8),
        ((2**31, 2**31 + 2), {}, [2**31, 2**31 + 1], mx.int64),
        ((2**53 + 1, 2**53 + 3), {}, [2**53 + 1, 2**53 + 2], mx.int64),
        ((3,), {"dtype": mx.complex64}, [0, 1, 2], mx.complex64),
        ((np.int64(3),), {}, [0, 1, 2], mx.int32),
        ((0, 10, float("inf")), {}, [0], mx.float32),
        ((0, 10, float("-inf")), {}, [], mx.float32),
        ((10, 0, float("-inf"), mx.int32), {}, [10], mx.int32),
    ],
)
@pytest.mark.parametrize("engine", ["numpy", "xla"])
def test_arange(arguments: Any, named: Any, expected: Any, dtype: Any, engine: Any) -> None:
    with mx.engine(engine):
        x = mx.arange(*arguments, **named)
        mx.eval(x)
    assert x.dtype == dtype
    assert x.tolist() == expected


def test_arange_of_fractions() -> None:
    np.testing.assert_allclose(np.array(mx.arange(0, 1, 0.3)), [0, 0.3, 0.6, 0.9], rtol=1e-6)
    np.testing.assert_allclose(np.array(mx.arange(0, 1000, 0.1)), np.arange(0, 1000, 0.1), rtol=1e-6)
    assert mx.arange(0, 10, 0.1, mx.float64).tolist() == pytest.approx(np.arange(0, 10, 0.1).tolist(), rel=1e-13)
    assert mx.arange(3, dtype=mx.bfloat16).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "named", "expected"),
    [
        ((0, 1, 5), {}, [0, 0.25, 0.5, 0.75, 1]),
        ((0, 1, 5, False), {}, [0, 0.2, 0.4, 0.6, 0.8]),
        ((1, 0, 3), {}, [1, 0.5, 0]),
        ((0, 1, 1), {}, [0]),
        ((2, 1, 1), {"endpoint": False}, [2]),
        ((0, 1, 0), {}, []),
        ((0, 1, 0), {"endpoint": False}, []),
        ((-3.3, 2.7, 7), {}, [-3.3, -2.3, -1.3, -0.3, 0.7, 1.7, 2.7]),
        ((0.1, 0.7, 5), {"endpoint": False, "dtype": mx.float64}, [0.1, 0.22, 0.34, 0.46, 0.58]),
        ((0, 10, 5), {"dtype": mx.int32}, [0, 2, 5, 7, 10]),
        ((0, 1, 7), {"dtype": mx.bfloat16}, [0, 0.1669921875, 0.333984375, 0.5, 0.66796875, 0.83203125, 1]),
        ((0, 5, 3), {"dtype": mx.bool_}, [False, True, True]),
    ],
)
def test_linspace(arguments: Any, named: Any, expected: Any) -> None:
    x = mx.linspace(*arguments, **named)
    assert x.dtype == named.get("dtype", mx.float32)
    assert x.shape == (len(expected),)
    np.testing.assert_allclose(np.array(x.astype(mx.float64)), np.asarray(expected, float), rtol=1e-6, atol=1e-7)


def test_linspace_defaults_to_fifty_and_takes_arrays() -> None:
    assert mx.linspace(0, 1).shape == (50,)
    slope = mx.grad(lambda end: mx.linspace(0, end, 3).sum())(mx.array(4.0))
    assert slope.item() == 1.5


def test_identity_matrices_and_triangles() -> None:
    assert mx.eye(2, 3).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert mx.eye(3, 2, -1, mx.int32).tolist() == [[0, 0], [1, 0], [0, 1]]
    assert mx.eye(2, 2, 7).tolist() == [[0, 0], [0, 0]]
    assert mx.eye(0).shape == (0, 0)
    assert mx.eye(2, dtype=None).dtype == mx.float32
    assert mx.identity(2, mx.int8).tolist() == [[1, 0], [0, 1]]
    assert mx.tri(2, 3, 1).tolist() == [[1, 1, 0], [1, 1, 1]]
    assert mx.tri(2, k=-1, dtype=mx.bool_).tolist() == [[False, False], [True, False]]
    assert mx.tri(-3).shape == (0, 0)


@pytest.mark.parametrize("k", [-3, -1, 0, 1, 5])
def test_triangles_of_matrices(k: int) -> None:
    x = np.arange(1, 25).reshape(2, 3, 4)
    assert mx.tril(mx.array(x), k).tolist() == np.tril(x, k).tolist()
    assert mx.triu(mx.array(x), k).tolist() == np.triu(x, k).tolist()


def test_a_triangle_hides_what_is_not_finite() -> None:
    x = mx.array([[NAN, 1.0], [NAN, 2.0]])
    assert mx.triu(x, 1).tolist() == [[0, 1], [0, 0]]
    gradient = mx.grad(lambda x: mx.triu(mx.log(x), 1).sum())(mx.array([[0.0, 2.0], [-1.0, 0.0]]))
    assert gradient.tolist() == [[0, 0.5], [0, 0]]


@pytest.mark.parametrize("k", [-7, -2, -1, 0, 1, 3, 7])
def test_diagonals(k: int) -> None:
    x = np.arange(12).reshape(3, 4)
    assert mx.diag(mx.array(x), k).tolist() == np.diag(x, k).tolist()
    assert mx.diagonal(mx.array(x), k).tolist() == np.diagonal(x, k).tolist()
    assert mx.trace(mx.array(x), k).item() == np.trace(x, k)
    assert mx.diag(mx.array([5, 6]), k).tolist() == np.diag([5, 6], k).tolist()
    x = np.arange(24).reshape(2, 3, 4)
    for axes in ((0, 1), (1, 2), (2, 1), (-1, 0)):
        assert mx.diagonal(mx.array(x), k, *axes).tolist() == np.diagonal(x, k, *axes).tolist()
        assert mx.trace(mx.array(x), k, *axes).tolist() == np.trace(x, k, *axes).tolist()


def test_diagonals_with_nothing_in_them() -> None:
    assert mx.diag(a((0,))).shape == (0, 0)
    assert mx.diag(a((0,)), 1).tolist() == [[0.0]]
    assert mx.diagonal(a((0, 3))).shape == (0,)
    assert mx.diag(a((2, 0)), 1).shape == (0,)


def test_dtypes_of_traces() -> None:
    ones = mx.ones((3, 3))
    for dtype, expected in ((mx.int8, mx.int32), (mx.bool_, mx.int32), (mx.uint8, mx.uint32), (mx.int64, mx.int64)):
        total = mx.trace(ones.astype(dtype))
        assert (total.item(), total.dtype) == (3, expected)
    assert mx.trace(mx.full((3, 3), 0.6), dtype=mx.int32).item() == 0
    assert mx.trace(mx.array([[1, 2], [3, 4]]), dtype=mx.float32).dtype == mx.float32


def test_gradients_of_diagonals() -> None:
    x = mx.array([[1.0, 2.0], [3.0, 4.0]])
    assert mx.grad(lambda x: (mx.diag(x) * mx.array([5.0, 6.0])).sum())(x).tolist() == [[5, 0], [0, 6]]
    assert mx.grad(lambda x: mx.trace(x * x, 1))(x).tolist() == [[0, 4], [0, 0]]
    matrix = mx.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
    assert mx.grad(lambda v: (mx.diag(v, -1) * matrix).sum())(mx.array([1.0, 1.0])).tolist() == [4, 8]


def test_meshgrid() -> None:
    vectors = [np.arange(2), np.arange(3), np.arange(4)]
    for sparse in (False, True):
        for indexing in ("xy", "ij"):
            for count in (0, 1, 2, 3):
                expected = np.meshgrid(*vectors[:count], sparse=sparse, indexing=indexing)
                actual = mx.meshgrid(*map(mx.array, vectors[:count]), sparse=sparse, indexing=indexing)
                assert isinstance(actual, tuple)
                assert [x.tolist() for x in actual] == [x.tolist() for x in expected]
    assert [x.shape for x in mx.meshgrid(a((2, 2)), mx.array(1))] == [(1, 4), (1, 4)]


@pytest.mark.parametrize("name", ["bartlett", "blackman", "hamming", "hanning"])
@pytest.mark.parametrize("count", [-3, 0, 1, 2, 7, 12])
def test_windows(name: str, count: int) -> None:
    x = getattr(mx, name)(count)
    expected = getattr(np, name)(count)
    assert (x.shape, x.dtype) == (expected.shape, mx.float32)
    np.testing.assert_allclose(np.array(x), expected, atol=1e-7)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: mx.zeros((-1,)), ValueError, r"\[zeros\] Negative dimensions not allowed"),
        (lambda: mx.zeros(2**31), OverflowError, "2147483648"),
        (lambda: mx.ones([-(2**31) - 1]), OverflowError, "-2147483649"),
        (lambda: mx.ones((2.0,)), TypeError, r"\[ones\] shape must be a sequence of ints"),
        (lambda: mx.zeros((2,), np.float32), TypeError, r"\[zeros\] dtype must be a Dtype"),
        (lambda: mx.zeros((2,), "float32"), TypeError, r"\[zeros\] dtype must be a Dtype"),
        (lambda: mx.zeros_like(3), TypeError, r"\[zeros_like\] a must be an mx.array"),
        (lambda: mx.full((2,), -1, mx.uint8), ValueError, "would result in overflow"),
        (lambda: mx.full_like(mx.zeros((2,), mx.uint8), 300), ValueError, "would result in overflow"),
        (lambda: mx.full((2,), mx.array([1, 2, 3])), ValueError, "cannot be broadcast"),
        (lambda: mx.full((2,), mx.array([[1, 2]])), ValueError, r"\[full\] Cannot broadcast vals"),
        (lambda: mx.full((2,), [1, 2]), ValueError, r"\[full\] vals must be an array or a number"),
        (lambda: mx.full((2,), "a"), ValueError, r"\[full\] vals must be an array or a number"),
        (lambda: mx.arange(0, 5, 0), ValueError, r"\[arange\] step must be nonzero"),
        (lambda: mx.arange(float("inf")), ValueError, r"\[arange\] Cannot compute length"),
        (lambda: mx.arange(NAN), ValueError, r"\[arange\] Cannot compute length"),
        (lambda: mx.arange(2**31), ValueError, r"\[arange\] Maximum size exceeded"),
        (lambda: mx.arange(True), ValueError, r"\[arange\] bool is not supported"),
        (lambda: mx.arange(5, dtype=mx.bool_), ValueError, r"\[arange\] dtype bool is not supported"),
        (lambda: mx.arange(mx.array(3)), TypeError, r"\[arange\] stop must be an int or a float"),
        (lambda: mx.arange(None), TypeError, r"\[arange\] stop is missing"),
        (lambda: mx.arange(start=1), TypeError, r"\[arange\] stop is missing"),
        (lambda: mx.arange(1, 2, stop=3), TypeError, r"\[arange\] stop was given twice"),
        (lambda: mx.arange(1, 2, 3, mx.int32, 4), TypeError, r"\[arange\] takes at most 4"),
        (lambda: mx.linspace(0, 1, -1), ValueError, r"\[linspace\] number of samples, -1"),
        (lambda: mx.linspace(0, 1, None), TypeError, r"\[linspace\] num must be an int"),
        (lambda: mx.linspace(0, 1 + 1j, 3), TypeError, r"\[linspace\] stop must be a real number"),
        (lambda: mx.eye(-1), ValueError, r"\[eye\] Negative dimensions not allowed"),
        (lambda: mx.identity(-1), ValueError, r"\[identity\] Negative dimensions not allowed"),
        (lambda: mx.tril(a((3,))), ValueError, r"\[tril\] array must be at least 2-D"),
        (lambda: mx.triu(a(())), ValueError, r"\[triu\] array must be at least 2-D"),
        (lambda: mx.tril(3), TypeError, r"\[tril\] x must be an mx.array"),
        (lambda: mx.diag(mx.array(1)), ValueError, r"\[diag\] array must be 1-D or 2-D"),
        (lambda: mx.diagonal(a((3,))), ValueError, r"\[diagonal\] Array must have at least two dimensions"),
        (lambda: mx.diagonal(a((2, 3)), 0, 1, -1), ValueError, r"\[diagonal\] axis1 and axis2 cannot be the same"),
        (lambda: mx.diagonal(a((2, 3)), 0, 1, 5), IndexError, r"\[diagonal\] Invalid axis 5"),
        (lambda: mx.trace(a((3,))), ValueError, r"\[trace\] Array must have at least two dimensions"),
        (lambda: mx.meshgrid(a((2,)), indexing="xx"), ValueError, r"\[meshgrid\] Invalid indexing value 'xx'"),
        (lambda: mx.meshgrid(1, 2), TypeError, r"\[meshgrid\] arrays\[0\] must be an mx.array"),
        (lambda: mx.hanning(5.0), TypeError, r"\[hanning\] M must be an int"),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()

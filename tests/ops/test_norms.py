"""Norms: every order and kind of axes against NumPy, dtypes and errors of the reference, gradients at zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx
from mlx.ir.dtypes import ALL_DTYPES
from mlx.ops import norm

INF = float("inf")
MATRIX = np.array([[1.0, -2.0, 3.0], [4.0, 5.0, -6.0]])


@pytest.fixture(params=("numpy", "xla"))
def engine(request: Any) -> Any:
    with mx.engine(request.param):
        yield


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("order", [None, 0, 1, 2, 3, -1, -2, INF, -INF, 0.5, 2.5])
def test_vectors_as_numpy(order: float | None, keepdims: bool) -> None:
    for axis in (0, -1):
        expected = np.linalg.norm(MATRIX, order, axis, keepdims)
        out = norm(mx.array(MATRIX), order, axis, keepdims)
        assert out.shape == expected.shape
        np.testing.assert_allclose(np.array(out), expected, rtol=1e-6)


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("order", [None, "fro", 1, -1, INF, -INF])
def test_matrices_as_numpy(order: Any, keepdims: bool) -> None:
    for axis in (None, (0, 1), (1, 0), [0, -1]):
        expected = np.linalg.norm(MATRIX, order, None if axis is None else tuple(axis), keepdims)
        out = norm(mx.array(MATRIX), order, axis, keepdims)
        assert out.shape == expected.shape
        np.testing.assert_allclose(np.array(out), expected, rtol=1e-6)
    assert norm(mx.array(MATRIX), "f").item() == norm(mx.array(MATRIX), "fro").item()


def test_all_elements_of_any_array(engine: None) -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    assert norm(mx.array(x)).item() == pytest.approx(np.sqrt((x**2).sum()))
    assert norm(mx.array(-2.0)).item() == 2
    assert norm(mx.zeros((0,))).item() == norm(mx.zeros((0,)), 1).item() == 0
    assert norm(mx.array(MATRIX), axis=()).tolist() == np.abs(MATRIX).tolist()


@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=lambda dtype: dtype.name)
def test_dtypes(dtype: Any) -> None:
    x = mx.array([1, 0, 1]).astype(dtype)
    real = mx.float32 if dtype == mx.complex64 or not mx.issubdtype(dtype, mx.inexact) else dtype
    assert norm(x).dtype == norm(x, 2).dtype == real
    for order in (0, 1, 3, INF):
        assert norm(x, order).dtype == (mx.complex64 if dtype == mx.complex64 else real)


def test_half_precision_does_not_overflow(engine: None) -> None:
    assert norm(mx.array([300.0, 400.0], mx.float16)).item() == 500


def test_complex_numbers(engine: None) -> None:
    z = mx.array([3 + 4j, 1 + 0j, 0j])
    assert norm(z).item() == pytest.approx(np.sqrt(26))
    assert norm(z, 1).item() == 6
    assert norm(z, INF).item() == 5
    assert norm(z, 0).item() == 2


def test_gradients(engine: None) -> None:
    def grad(x: Any, **how: Any) -> Any:
        return mx.grad(lambda x: norm(x, **how).sum())(mx.array(x)).tolist()

    np.testing.assert_allclose(grad([3.0, 4.0]), [0.6, 0.8], rtol=1e-6)
    for order in (None, 1, 2, 3, 1.5, INF):
        assert grad([0.0, 0.0], ord=order) == [0, 0]
    assert grad([[0.0, 0.0], [3.0, 4.0]], axis=1)[0] == [0, 0]
    assert grad([[0.0, 0.0], [0.0, 0.0]], ord="fro") == [[0, 0], [0, 0]]
    assert grad([2.0, -2.0, 1.0], ord=INF) == [0.5, -0.5, 0]
    assert grad([2.0, -2.0, 0.0], ord=1) == [1, -1, 0]
    np.testing.assert_allclose(grad([2.0, -2.0, 0.0], ord=3), [0.62996, -0.62996, 0], rtol=1e-5)


@pytest.mark.parametrize("ord", [None, 1, 2, 3, INF])
def test_second_derivatives_at_zero_are_zero(engine: None, ord: Any) -> None:
    assert np.array(mx.hessian(lambda x: norm(x, ord))(mx.zeros((2,)))).tolist() == [[0, 0], [0, 0]]


def test_errors() -> None:
    x = mx.array(MATRIX)
    for order in (0, 3, 0.5):
        with pytest.raises(ValueError, match=r"^\[linalg::norm\] Invalid ord .* for matrix norm"):
            norm(x, order)
    with pytest.raises(ValueError, match="Invalid ord value 'bad' for matrix norm"):
        norm(x, "bad")
    for order in ("fro", "bad"):
        with pytest.raises(ValueError, match="only supported for matrices, but received 1 axis/axes"):
            norm(x, order, 0)
    with pytest.raises(ValueError, match="too many axes"):
        norm(mx.zeros((2, 2, 2)), 1)
    with pytest.raises(ValueError, match="too many axes"):
        norm(mx.zeros((2, 2, 2)), axis=(0, 1, 2))
    with pytest.raises(ValueError, match="axis 0 with size 0"):
        norm(mx.zeros((0,)), INF)
    with pytest.raises(ValueError, match="duplicate axes"):
        norm(x, axis=(1, 1))
    with pytest.raises(IndexError):
        norm(x, axis=5)
    with pytest.raises(TypeError, match=r"a must be an mx\.array"):
        norm([3.0, 4.0])


@pytest.mark.parametrize("ord", ["nuc", 2, -2])
@pytest.mark.parametrize("axis", [(0, 1), (2, 0), (-1, -2)])
def test_norms_by_singular_values(ord: Any, axis: Any) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    for keepdims in (False, True):
        norms = np.array(mx.linalg.norm(mx.array(x), ord, axis=axis, keepdims=keepdims))
        np.testing.assert_allclose(norms, np.linalg.norm(x, ord, axis=axis, keepdims=keepdims), rtol=1e-5)


def test_norms_by_singular_values_of_no_elements_and_complex_numbers() -> None:
    assert mx.linalg.norm(mx.zeros((0, 3)), "nuc").item() == 0
    with pytest.raises(ValueError, match="size 0"):
        mx.linalg.norm(mx.zeros((0, 3)), 2)
    z = mx.array([[3j, 0], [0, 4]], mx.complex64)
    assert mx.linalg.norm(z, "nuc").item() == pytest.approx(7)
    assert mx.linalg.norm(z, "nuc").dtype == mx.float32
    assert mx.linalg.norm(z, 2).dtype == mx.complex64

"""Determinants: values by hand and from NumPy, singular matrices, dtypes, gradients, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx

ENGINES = ("numpy", "xla")


def matrix(*rows: Any, dtype: Any = mx.float32) -> Any:
    return mx.array(list(rows), dtype)


def close(x: Any, expected: Any, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(np.array(x, np.float64), expected, rtol=tolerance, atol=tolerance)


SINGULAR = matrix([1.0, 2.0], [2.0, 4.0])


@pytest.mark.parametrize("engine", ENGINES)
def test_determinants(engine: Any) -> None:
    rng = np.random.default_rng(3)
    with mx.engine(engine):
        for shape in ((1, 1), (2, 2), (3, 3), (5, 5), (3, 4, 4), (2, 3, 3, 3)):
            a = rng.normal(size=shape)
            sign, logarithm = mx.linalg.slogdet(mx.array(a, mx.float64))
            close(mx.linalg.det(mx.array(a, mx.float64)), np.linalg.det(a), 1e-10)
            close(sign, np.linalg.slogdet(a)[0], 0)
            close(logarithm, np.linalg.slogdet(a)[1], 1e-10)


@pytest.mark.parametrize("engine", ENGINES)
def test_determinants_of_singular_matrices(engine: Any) -> None:
    with mx.engine(engine):
        for a in (SINGULAR, matrix([1.0, 2, 3], [4, 5, 6], [7, 8, 9]), mx.ones((4, 4)), mx.zeros((5, 5))):
            sign, logarithm = mx.linalg.slogdet(a)
            assert (mx.linalg.det(a).item(), sign.item(), logarithm.item()) == (0.0, 0.0, -np.inf)


def test_determinants_that_no_float_holds() -> None:
    sign, logarithm = mx.linalg.slogdet(0.1 * mx.eye(100))
    assert sign.item() == 1
    assert logarithm.item() == pytest.approx(100 * np.log(0.1), abs=1e-3)


def test_determinants_without_elements() -> None:
    assert mx.linalg.det(mx.zeros((0, 0))).item() == 1
    assert mx.linalg.det(mx.zeros((3, 0, 0))).tolist() == [1, 1, 1]
    sign, logarithm = mx.linalg.slogdet(mx.zeros((2, 0, 0)))
    assert (sign.tolist(), logarithm.tolist()) == ([1, 1], [0, 0])


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("bool_", "float32"),
        ("int32", "float32"),
        ("float16", "float16"),
        ("bfloat16", "bfloat16"),
        ("float64", "float64"),
    ],
)
@pytest.mark.parametrize("order", [3, 4])
def test_dtypes_of_determinants(dtype: str, expected: str, order: int) -> None:
    a = mx.eye(order).astype(getattr(mx, dtype))
    determinant, (sign, logarithm) = mx.linalg.det(a), mx.linalg.slogdet(a)
    assert {x.dtype for x in (determinant, sign, logarithm)} == {getattr(mx, expected)}
    assert (determinant.item(), sign.item(), logarithm.item()) == (1, 1, 0)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_determinant_has_a_gradient_where_it_is_zero(engine: Any) -> None:
    a = np.diag([1.0, 2.0, 0.0, 3.0])
    with mx.engine(engine):
        gradient = mx.grad(mx.linalg.det)(mx.array(a, mx.float64))
        close(gradient, np.diag([0.0, 0.0, 6.0, 0.0]), 1e-12)
        close(mx.grad(mx.linalg.det)(SINGULAR), [[4, -2], [-2, 1]])
        assert mx.grad(mx.linalg.det)(mx.ones((4, 4))).abs().max().item() < 1e-5


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("order", [3, 5])
def test_the_determinant_has_a_second_derivative_where_it_is_zero(order: int, engine: Any) -> None:
    """Differences of the gradient, which is a polynomial, at matrices of rank order - 1 and order - 2."""
    rng = np.random.default_rng(2)
    direction = rng.normal(size=(order, order))

    def along(a: Any) -> Any:
        return (mx.grad(mx.linalg.det)(a) * mx.array(direction, mx.float64)).sum()

    for rank in (order - 1, order - 2):
        a = rng.normal(size=(order, rank)) @ rng.normal(size=(rank, order))
        with mx.engine(engine):
            second = np.array(mx.grad(along)(mx.array(a, mx.float64)))
        for index in ((0, 0), (1, 2), (2, 1)):
            unit = np.zeros((order, order))
            unit[index] = 1e-4
            moved = [along(mx.array(a + sign * unit, mx.float64)).item() for sign in (1, -1)]
            assert second[index] == pytest.approx((moved[0] - moved[1]) / 2e-4, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("order", [2, 4])
def test_the_logarithm_has_no_finite_gradient_where_the_determinant_is_zero(order: int, engine: Any) -> None:
    with mx.engine(engine):
        gradient = np.array(mx.grad(lambda a: mx.linalg.slogdet(a)[1])(mx.ones((order, order))))
    assert not np.isfinite(gradient).any()


@pytest.mark.parametrize("name", ["det", "slogdet"])
@pytest.mark.parametrize("order", [2, 4])
def test_complex_determinants(name: str, order: int) -> None:
    with pytest.raises(ValueError, match=rf"^\[linalg.{name}\] Complex matrices are not supported"):
        getattr(mx.linalg, name)(mx.eye(order).astype(mx.complex64))

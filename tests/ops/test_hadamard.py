"""The Walsh-Hadamard transform: its matrices row by row, scale, dtypes, derivative and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.linalg import hadamard

import mlx.core as mx

ENGINES = ("numpy", "xla")

# Rows of MLX's matrices of order 12, 20 and 28: the first, the last, and one in each block between.
ROWS = {
    12: {0: "+-++++++++++", 3: "+---+--+-++-", 6: "++--+++-++--", 11: "+-+--+-++---"},
    20: {
        0: "+----+----++--++-++-",
        7: "++-++--+---+-+--+++-",
        12: "+---++-+-+--+--++-++",
        19: "+--+--++------+----+",
    },
    28: {
        0: "+------++----++-+--+-+--++--",
        10: "++---++---+----++-++--+-+-+-",
        17: "+-+-+-++--+--+---+---++---++",
        27: "++--++-+-++-+-+----++------+",
    },
}


def matrix(size: int) -> np.ndarray[Any, Any]:
    """The matrix that the transform multiplies by: its columns are the transforms of the unit vectors."""
    return np.array(mx.hadamard_transform(mx.eye(size), scale=1.0)).T


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("order", ROWS)
def test_the_bases_are_those_of_mlx(engine: str, order: int) -> None:
    with mx.engine(engine):
        base = matrix(order)
    for row, signs in ROWS[order].items():
        assert "".join("+" if number == 1 else "-" for number in base[row]) == signs
    np.testing.assert_array_equal(base @ base.T, order * np.eye(order))
    np.testing.assert_array_equal(abs(base), 1)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size", [1, 2, 8, 64, 128, 1024])
def test_powers_of_two_are_sylvesters(engine: str, size: int) -> None:
    x = np.random.default_rng(size).standard_normal((3, size)).astype(np.float32)
    with mx.engine(engine):
        out = mx.hadamard_transform(mx.array(x))
        np.testing.assert_allclose(out, x @ hadamard(size).T / np.sqrt(size), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("order", "power"), [(12, 1), (12, 7), (20, 2), (28, 3), (28, 8)])
def test_products_with_a_base(engine: str, order: int, power: int) -> None:
    x = np.random.default_rng(order).standard_normal((2, order << power)).astype(np.float32)
    expected = x @ np.kron(matrix(order), hadamard(1 << power)).T * 0.3
    with mx.engine(engine):
        np.testing.assert_allclose(mx.hadamard_transform(mx.array(x), 0.3), expected, rtol=1e-4, atol=1e-4)


def test_scale() -> None:
    assert mx.hadamard_transform(mx.array([1.0, 2.0, 3.0, 4.0])).tolist() == [5, -1, -2, 0]
    assert mx.hadamard_transform(mx.array([1.0, 2.0]), scale=0.0).tolist() == [0, 0]
    assert mx.hadamard_transform(mx.array(5)).item() == 5
    assert mx.hadamard_transform(mx.array(5.0), 0.5).item() == 2.5


@pytest.mark.parametrize("dtype", [mx.bool_, mx.uint8, mx.int64, mx.float16, mx.bfloat16, mx.float64, mx.complex64])
def test_dtypes(dtype: mx.Dtype) -> None:
    out = mx.hadamard_transform(mx.array([[1, 0, 1, 1]]).astype(dtype))
    assert out.dtype == (dtype if mx.issubdtype(dtype, mx.inexact) else mx.float32)
    assert out.tolist() == [[1.5, 0.5, -0.5, 0.5]]


def test_half_precision_is_rounded_once() -> None:
    """The sums of 4096 elements would overflow float16 before they are scaled."""
    out = mx.hadamard_transform(mx.full((4096,), 1000.0, mx.float16))
    assert out[0].item() == 64000
    assert not mx.any(out[1:]).item()


def test_the_derivative_is_the_transposed_matrix() -> None:
    x = mx.array(np.random.default_rng(0).standard_normal(20), mx.float64)
    for row in (0, 7, 19):
        gradient = mx.grad(lambda x, row=row: mx.hadamard_transform(x, scale=1.0)[row])(x)
        np.testing.assert_array_equal(gradient, matrix(20)[row])
    _, (tangent,) = mx.jvp(mx.hadamard_transform, [x], [x * 2])
    np.testing.assert_allclose(tangent, mx.hadamard_transform(x * 2))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_vmap_along_any_axis(axis: int) -> None:
    x = np.random.default_rng(0).standard_normal((4, 4, 4)).astype(np.float32)
    rows = np.moveaxis(x, axis, 0) @ hadamard(4) / 2
    out = mx.vmap(mx.hadamard_transform, axis, axis)(mx.array(x))
    np.testing.assert_allclose(out, np.moveaxis(rows, 0, axis), rtol=1e-5, atol=1e-6)


def test_a_compiled_function_serves_other_numbers_of_rows() -> None:
    compiled = mx.compile(mx.hadamard_transform, shapeless=True)
    for rows, size in ((2, 12), (5, 12), (3, 24)):
        x = mx.array(np.random.default_rng(rows).standard_normal((rows, size)).astype(np.float32))
        np.testing.assert_allclose(compiled(x), mx.hadamard_transform(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [3, 6, 7, 14, 36, 44, 10])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=rf"^\[hadamard_transform\] Only supports .* got {size}"):
        mx.hadamard_transform(mx.ones((2, size)))


def test_errors() -> None:
    for shape in ((0,), (2, 0), (0, 4)):
        with pytest.raises(ValueError, match=r"^\[hadamard_transform\] Does not support empty arrays"):
            mx.hadamard_transform(mx.zeros(shape))
    with pytest.raises(TypeError, match=r"must be an mx\.array"):
        mx.hadamard_transform([1.0, 2.0])  # type: ignore[arg-type]
    for scale in ("1", 1j, [1.0]):
        with pytest.raises(TypeError, match=r"^\[hadamard_transform\] scale must be a real number"):
            mx.hadamard_transform(mx.ones((2,)), scale)  # type: ignore[arg-type]

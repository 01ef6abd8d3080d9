"""Conversion to and from E4M3: every float16, the edges of rounding, every code, and what has no derivative."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import mlx.core as mx

ENGINES = ("numpy", "xla")
HALVES = np.arange(2**16).astype(np.uint16)
CODES = np.arange(256).astype(np.uint8)


def codes_of(x: Any) -> Any:
    """By ml_dtypes, with what lies beyond the largest number, and NaN, moved to it."""
    x = np.where(np.isnan(x), np.copysign(np.float32(448), x), np.clip(x, -448, 448))
    return x.astype(ml_dtypes.float8_e4m3fn).view(np.uint8)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("dtype", "numpy_dtype"), [(mx.float16, np.float16), (mx.bfloat16, ml_dtypes.bfloat16)])
def test_every_half(engine: str, dtype: mx.Dtype, numpy_dtype: Any) -> None:
    with mx.engine(engine):
        codes = np.array(mx.to_fp8(mx.array(HALVES).view(dtype)))
    np.testing.assert_array_equal(codes, codes_of(HALVES.view(numpy_dtype).astype(np.float32)))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("dtype", "numpy_dtype"), [(mx.float32, np.float32), (mx.float64, np.float64)])
def test_edges_of_rounding(engine: str, dtype: mx.Dtype, numpy_dtype: Any) -> None:
    numbers = CODES[:127].view(ml_dtypes.float8_e4m3fn).astype(numpy_dtype)
    middles = (numbers[1:] + numbers[:-1]) / 2
    below, above = np.nextafter(middles, numpy_dtype(0)), np.nextafter(middles, numpy_dtype(1000))
    expected = np.concatenate([CODES[:127], CODES[:126], CODES[1:127], (CODES[:126] + 1) // 2 * 2])
    with mx.engine(engine):
        x = np.concatenate([numbers, below, above, middles])
        np.testing.assert_array_equal(mx.to_fp8(mx.array(x, dtype)), expected)
        np.testing.assert_array_equal(mx.to_fp8(mx.array(-x, dtype)), expected + 128)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_too_large_or_no_number_becomes_the_largest(engine: str) -> None:
    """As MLX 0.32.4 gives it."""
    with mx.engine(engine):
        numbers = mx.array([464.0, 465.0, 1e30, mx.inf, mx.nan, -mx.inf, -0.0, 1e-30])
        assert mx.to_fp8(numbers).tolist() == [126, 126, 126, 126, 126, 254, 128, 0]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float32, mx.float64])
def test_every_code(engine: str, dtype: mx.Dtype) -> None:
    with mx.engine(engine):
        out = mx.from_fp8(mx.array(CODES), dtype)
        assert out.dtype == dtype
        values = np.array(out.astype(mx.float32))
        np.testing.assert_array_equal(values, CODES.view(ml_dtypes.float8_e4m3fn).astype(np.float32))
        assert np.signbit(values[128])
        numbers = ~np.isnan(values)
        np.testing.assert_array_equal(np.array(mx.to_fp8(out))[numbers], CODES[numbers])


def test_shapes_and_defaults() -> None:
    assert mx.from_fp8(mx.array([1, 2, 3], mx.uint8)).dtype == mx.bfloat16
    assert mx.to_fp8(mx.zeros((0, 3))).shape == (0, 3)
    assert mx.to_fp8(mx.array(1.0)).tolist() == 56
    assert mx.vmap(lambda x: mx.from_fp8(mx.to_fp8(x)))(mx.array([1.0, 2.1])).tolist() == [1, 2]


def test_no_gradient_passes() -> None:
    rounded = mx.grad(lambda x: mx.from_fp8(mx.to_fp8(x), mx.float32).sum())
    assert rounded(mx.array([1.0, 2.0])).tolist() == [0, 0]
    with pytest.raises(ValueError, match="have no derivative"):
        mx.grad(lambda codes: mx.from_fp8(codes, mx.float32).sum())(mx.array([1, 2], mx.uint8))


@pytest.mark.parametrize("dtype", [mx.bool_, mx.uint8, mx.int32, mx.complex64])
def test_other_dtypes_are_refused(dtype: mx.Dtype) -> None:
    with pytest.raises(ValueError, match=r"^\[to_fp8\] Only real floating types"):
        mx.to_fp8(mx.ones((2,), dtype))
    with pytest.raises(ValueError, match=r"^\[from_fp8\] Only real floating types"):
        mx.from_fp8(mx.zeros((2,), mx.uint8), dtype)
    if dtype != mx.uint8:
        with pytest.raises(ValueError, match=r"^\[from_fp8\] Input must have type uint8"):
            mx.from_fp8(mx.ones((2,), dtype))


def test_other_types_are_refused() -> None:
    with pytest.raises(TypeError, match=r"x must be an mx\.array"):
        mx.to_fp8(1.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="dtype must be a Dtype"):
        mx.from_fp8(mx.zeros((2,), mx.uint8), "float32")  # type: ignore[arg-type]

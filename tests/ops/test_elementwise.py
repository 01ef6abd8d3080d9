"""Public elementwise functions: dtypes, promotion, values at the edges, errors, complex gradients.

Numbers of integer division, shifts, casts and rounding are those that MLX gives on Linux.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mlx.core as mx

INTEGERS = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
FLOATS = ("float16", "bfloat16", "float32", "float64")
ALL = ("bool_", *INTEGERS, *FLOATS, "complex64")
ENGINES = ("numpy", "xla")
nan, inf = math.nan, math.inf


def ones(dtype: str) -> Any:
    return mx.array([1, 1]).astype(getattr(mx, dtype))


def same(actual: Any, expected: list[Any]) -> None:
    """Equal element by element; NaN equals NaN."""
    np.testing.assert_array_equal(np.array(actual), np.array(expected))


# ---------------------------------------------------------------------- dtypes

KEEP = ("abs", "square", "sign", "positive", "round", "stop_gradient", "real", "imag", "conj", "conjugate")
FLOATING = (
    *("sqrt", "rsqrt", "reciprocal", "exp", "log", "log1p", "log2", "log10", "sin", "cos", "tan", "arcsin", "arccos"),
    *("arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "degrees", "radians"),
)
FLOATING_AND_REAL = ("expm1", "erf", "erfinv", "sigmoid")
TESTS = ("logical_not", "isnan", "isinf", "isfinite", "isposinf", "isneginf")


@pytest.mark.parametrize("name", KEEP)
def test_functions_that_keep_the_dtype(name: str) -> None:
    for dtype in ALL:
        expected = mx.float32 if dtype == "complex64" and name in ("abs", "real", "imag") else getattr(mx, dtype)
        result = getattr(mx, name)(ones(dtype))
        assert result.dtype == expected, dtype
        assert result.tolist() == ([0, 0] if name == "imag" else [1, 1]), dtype


@pytest.mark.parametrize("name", FLOATING + FLOATING_AND_REAL)
def test_functions_of_floating_numbers_take_integers_as_float32(name: str) -> None:
    for dtype in ALL:
        if dtype == "complex64" and name in FLOATING_AND_REAL:
            with pytest.raises(ValueError, match=rf"\[{name}\] Not supported for complex64"):
                getattr(mx, name)(ones(dtype))
            continue
        expected = getattr(mx, dtype) if dtype in (*FLOATS, "complex64") else mx.float32
        assert getattr(mx, name)(ones(dtype)).dtype == expected, dtype


@pytest.mark.parametrize("name", TESTS)
def test_tests_are_boolean(name: str) -> None:
    for dtype in ALL:
        result = getattr(mx, name)(ones(dtype))
        assert result.dtype == mx.bool_
        assert result.tolist() == [name == "isfinite"] * 2


@pytest.mark.parametrize("name", ["floor", "ceil", "trunc"])
def test_rounding_keeps_the_dtype_and_refuses_complex(name: str) -> None:
    for dtype in ALL[:-1]:
        assert getattr(mx, name)(ones(dtype)).dtype == getattr(mx, dtype)
    with pytest.raises(ValueError, match=rf"\[{name}\] Not supported for complex64"):
        getattr(mx, name)(ones("complex64"))


def test_negative_of_a_boolean_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[negative\] Not supported for bool, use logical_not instead"):
        mx.negative(mx.array([True]))
    same(mx.negative(mx.array([1, 0], mx.uint8)), [255, 0])


BINARY = ("add", "subtract", "multiply", "maximum", "minimum", "power", "floor_divide")
PROMOTIONS = [
    ("bool_", "bool_", "bool_"),
    ("bool_", "int8", "int8"),
    ("uint8", "int8", "int16"),
    ("uint16", "int8", "int32"),
    ("uint32", "int32", "int64"),
    ("uint64", "int8", "float32"),
    ("int64", "float16", "float16"),
    ("float16", "bfloat16", "float32"),
    ("float32", "float64", "float64"),
    ("float64", "complex64", "complex64"),
]


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize(("a", "b", "expected"), PROMOTIONS)
def test_promotion_of_arrays(name: str, a: str, b: str, expected: str) -> None:
    assert getattr(mx, name)(ones(a), ones(b)).dtype == getattr(mx, expected)
    assert getattr(mx, name)(ones(b), ones(a)).dtype == getattr(mx, expected)


@pytest.mark.parametrize("name", ["divide", "logaddexp", "arctan2"])
def test_true_division_of_integers_is_float32(name: str) -> None:
    function = getattr(mx, name)
    assert function(ones("int64"), ones("uint8")).dtype == mx.float32
    assert function(ones("bool_"), ones("bool_")).dtype == mx.float32
    assert function(ones("int32"), ones("float16")).dtype == mx.float16
    assert function(ones("int32"), 2).dtype == mx.float32
    assert function(1, 2).dtype == mx.float32


@pytest.mark.parametrize(
    ("dtype", "number", "expected"),
    [
        ("bool_", True, "bool_"),
        ("bool_", 2, "int32"),
        ("uint8", 2, "uint8"),
        ("uint8", True, "uint8"),
        ("int16", 2.5, "float32"),
        ("float16", 2.5, "float16"),
        ("bfloat16", 3, "bfloat16"),
        ("float64", 2.5, "float64"),
        ("float64", 1j, "complex64"),
        ("int32", 1j, "complex64"),
    ],
)
def test_python_numbers_are_weak(dtype: str, number: Any, expected: str) -> None:
    for name in ("add", "maximum", "multiply"):
        assert getattr(mx, name)(ones(dtype), number).dtype == getattr(mx, expected)
        assert getattr(mx, name)(number, ones(dtype)).dtype == getattr(mx, expected)


def test_pairs_of_python_numbers() -> None:
    assert mx.add(1, 2).dtype == mx.int32
    assert mx.add(2**31, 1).item() == 2**31 + 1
    assert mx.add(True, 2.5).item() == 3.5
    assert mx.power(2, 3.0).item() == 8.0
    assert mx.logical_and(1, 0).item() is False


def test_numbers_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="Converting 300 to uint8 would result in overflow"):
        mx.add(ones("uint8"), 300)
    with pytest.raises(ValueError, match="Converting -3 to uint16 would result in overflow"):
        mx.maximum(ones("uint16"), -3)
    with pytest.raises(ValueError, match="Converting 2147483648 to int32 would result in overflow"):
        mx.add(ones("int32"), 2**31)
    assert mx.add(mx.array([0], mx.uint64), -1).item() == 2**64 - 1


def test_arrays_of_numpy_take_the_dtype_of_the_array_they_meet() -> None:
    half = mx.add(ones("float16"), np.array([1.0, 2.5]))
    assert (half.dtype, half.tolist()) == (mx.float16, [2.0, 3.5])
    whole = mx.add(np.array([1.0, 2.7]), ones("int32"))
    assert (whole.dtype, whole.tolist()) == (mx.int32, [2, 3])
    assert mx.multiply(ones("int8"), np.float32(2.7)).tolist() == [2, 2]
    assert mx.add(np.array([1.0, 2.0]), 1.5).dtype == mx.float32
    assert mx.add(ones("int32"), np.float64(0.5)).dtype == mx.float32  # numpy.float64 is a Python float


def test_bad_operands() -> None:
    with pytest.raises(TypeError, match=r"\[add\] a must be an array or a number, got NoneType"):
        mx.add(None, 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\[exp\] a must be an array or a number, got list"):
        mx.exp([1.0])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\[less\] b must be an array or a number, got str"):
        mx.less(ones("int32"), "s")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="broadcast"):
        mx.multiply(mx.array([1, 2]), mx.array([1, 2, 3]))
    with pytest.raises(TypeError, match=r"\[astype\] dtype must be an mlx Dtype"):
        mx.astype(ones("int32"), "float32")  # type: ignore[arg-type]


# ---------------------------------------------------------------------- integers


@pytest.mark.parametrize("engine", ENGINES)
def test_division_of_integers_rounds_down(engine: str) -> None:
    with mx.engine(engine):
        for dtype in ("int8", "int32", "int64"):
            a = mx.array([7, -7, 7, -7, -128, 5], getattr(mx, dtype))
            b = mx.array([3, 3, -3, -3, 3, 0], getattr(mx, dtype))
            same(mx.floor_divide(a, b), [2, -3, -3, 2, -43, 0])
            same(mx.remainder(a, b), [1, 2, -2, -1, 1, 5])
            quotient, rest = mx.divmod(a, b)
            same(quotient, [2, -3, -3, 2, -43, 0])
            same(rest, [1, 2, -2, -1, 1, 5])
        a, b = mx.array([7, 8, 0, 255, 3], mx.uint8), mx.array([3, 3, 5, 2, 0], mx.uint8)
        same(mx.floor_divide(a, b), [2, 2, 0, 127, 0])
        same(mx.remainder(a, b), [1, 2, 0, 1, 3])
        same(mx.floor_divide(mx.array([True, True]), mx.array([True, False])), [True, False])
        same(mx.remainder(mx.array([True, False]), mx.array([True, True])), [False, False])


@pytest.mark.parametrize("engine", ENGINES)
def test_division_of_floats_at_the_edges(engine: str) -> None:
    a = [7.0, -7, 7, -7, 0.0, -0.0, inf, -inf, nan, 1, 5, -5, 5, -5, 1, -1, 0, -1e-8, 5.5, -5.5, 6, -6]
    b = [3.0, 3, -3, -3, 5, 5, 2, 2, 1, nan, inf, inf, -inf, -inf, 0, 0, 0, 1, 2, 2, -3, 3]
    quotient = [2, -3, -3, 2, 0, -0.0, inf, -inf, nan, nan, 0, -0.0, -0.0, 0, inf, -inf, nan, -1, 2, -3, -2, -2]
    rest = [1, 2, -2, -1, 0, -0.0, nan, nan, nan, nan, 5, inf, -inf, -5, nan, nan, nan, 1, 1.5, 0.5, 0, -0.0]
    with mx.engine(engine):
        same(mx.floor_divide(mx.array(a), mx.array(b)), quotient)
        same(mx.remainder(mx.array(a), mx.array(b)), rest)


@pytest.mark.parametrize("engine", ENGINES)
def test_shifts_go_modulo_the_width(engine: str) -> None:
    with mx.engine(engine):
        for dtype in INTEGERS:
            kind = getattr(mx, dtype)
            width = max(32, 8 * kind.size)
            counts = [0, 1, width - 1, width, width + 1]
            count = mx.array(counts).astype(kind)
            one = mx.array([1] * 5, kind)
            wrapped = [1, 2, 1 << (width - 1), 1, 2]
            expected = np.array(wrapped, np.uint64).astype(np.dtype(dtype))
            np.testing.assert_array_equal(np.array(mx.left_shift(one, count)), expected)
            same(mx.right_shift(mx.array([100] * 5, kind), count), [100, 50, 0, 100, 50])
        same(mx.right_shift(mx.array([-100, -1, -100]), mx.array([3, 31, 32])), [-13, -1, -100])
        same(mx.left_shift(mx.array([3, 1]), mx.array([-1, -33])), [-(2**31), -(2**31)])
        shifted = mx.left_shift(mx.array([True, False]), mx.array([True, True]))
        assert (shifted.dtype, shifted.tolist()) == (mx.uint8, [2, 0])


@pytest.mark.parametrize("engine", ENGINES)
def test_powers_of_integers_wrap(engine: str) -> None:
    with mx.engine(engine):
        same(mx.power(mx.array([2, -2, 0, 5, 0, 1, -1]), mx.array([-1, -1, -1, -2, 0, -5, -3])), [0, 0, 0, 0, 1, 0, 0])
        same(mx.power(mx.array([3]), mx.array([40])), [689956897])
        same(mx.power(mx.array([2, 3], mx.uint8), mx.array([9, 7], mx.uint8)), [0, 139])
        same(mx.power(mx.array([2, 3], mx.int8), mx.array([7, 7], mx.int8)), [-128, -117])
        truth = mx.power(mx.array([True, False, True, False]), mx.array([True, True, False, False]))
        assert truth.tolist() == [True, False, True, True]
        same(mx.array([2, -3]) ** 3, [8, -27])


def test_integers_at_their_limits() -> None:
    same(mx.abs(mx.array([-128, 127], mx.int8)), [-128, 127])
    same(mx.square(mx.array([200], mx.uint8)), [64])
    same(mx.sign(mx.array([-5, 0, 7])), [-1, 0, 1])
    same(mx.bitwise_invert(mx.array([0, 1], mx.uint8)), [255, 254])
    same(mx.bitwise_invert(mx.array([True, False])), [False, True])


@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift"])
def test_bits_are_those_of_integers(name: str) -> None:
    with pytest.raises(
        RuntimeError, match=rf"\[{name}\] Only allowed on integer or boolean types but got types float32"
    ):
        getattr(mx, name)(ones("float32"), ones("int32"))


def test_bits_of_floats_are_not_inverted() -> None:
    with pytest.raises(ValueError, match=r"\[bitwise_invert\] Bitwise inverse only allowed on integer types"):
        mx.bitwise_invert(ones("float32"))


@pytest.mark.parametrize("engine", ENGINES)
def test_conjunctions_of_casts(engine: str) -> None:
    with mx.engine(engine):  # XLA's own lowering of this crashes its compiler
        a, b = mx.array([3, -1, 6], mx.int64), mx.array([5, 7, 3], mx.int64)
        for dtype in (mx.int8, mx.int16, mx.int32):
            same(mx.bitwise_and(a.astype(dtype), b.astype(dtype)), [1, 7, 2])
            same(mx.bitwise_or(a.astype(dtype), b.astype(dtype)), [7, -1, 7])


# ---------------------------------------------------------------------- casts

TOO_LARGE = [-1.5, 300.7, -300.7, 70000.5, 3e9, -3e9, nan, inf, -inf]
LOWEST = -(2**31)
CASTS = {
    "int8": [-1, 44, -44, 112, 0, 0, 0, 0, 0],
    "uint8": [255, 44, 212, 112, 0, 0, 0, 0, 0],
    "int16": [-1, 300, -300, 4464, 0, 0, 0, 0, 0],
    "uint16": [65535, 300, 65236, 4464, 0, 0, 0, 0, 0],
    "int32": [-1, 300, -300, 70000, LOWEST, LOWEST, LOWEST, LOWEST, LOWEST],
    "uint32": [2**32 - 1, 300, 2**32 - 300, 70000, 3 * 10**9, 2**32 - 3 * 10**9, 0, 0, 0],
    "int64": [-1, 300, -300, 70000, 3 * 10**9, -3 * 10**9, -(2**63), -(2**63), -(2**63)],
    "uint64": [2**64 - 1, 300, 2**64 - 300, 70000, 3 * 10**9, 2**64 - 3 * 10**9, 2**63, 0, 2**63],
    "bool_": [True] * 9,
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", CASTS)
def test_casts_of_floats_to_integers(dtype: str, engine: str) -> None:
    with mx.engine(engine):
        for source in (mx.float32, mx.float64):
            cast = mx.array(TOO_LARGE, source).astype(getattr(mx, dtype))
            assert cast.tolist() == CASTS[dtype]


@pytest.mark.parametrize("engine", ENGINES)
def test_casts_of_complex_numbers_take_the_real_part(engine: str) -> None:
    with mx.engine(engine):
        z = mx.array([1 + 2j, -3.7 + 0j, 300 + 1j, 1j])
        same(z.astype(mx.float32), np.array([1, -3.7, 300, 0], np.float32).tolist())
        same(z.astype(mx.int32), [1, -3, 300, 0])
        same(z.astype(mx.uint8), [1, 253, 44, 0])
        same(z.astype(mx.bool_), [True, True, True, True])


def test_a_cast_to_an_integer_type_passes_no_gradient() -> None:
    slope = mx.grad(lambda x: (x.astype(mx.int32).astype(mx.float32) * x).sum())(mx.array([2.5, -1.5]))
    same(slope, [2, -1])


# ---------------------------------------------------------------------- values


def test_signs_and_extrema_of_nan() -> None:
    same(mx.sign(mx.array([nan, -0.0, 0.0, -2, inf])), [0, 0, 0, -1, 1])
    same(mx.maximum(mx.array([nan, 1, nan]), mx.array([1, nan, nan])), [nan] * 3)
    same(mx.minimum(mx.array([nan, 1, 2]), mx.array([1, nan, 1])), [nan, nan, 1])


@pytest.mark.parametrize("engine", ENGINES)
def test_round(engine: str) -> None:
    with mx.engine(engine):
        same(mx.round(mx.array([0.5, 1.5, 2.5, -0.5, -1.5, 2.4999])), [0, 2, 2, -0.0, -2, 2])
        same(mx.round(mx.array([1234.5, 155, 145]), -1), [1230, 160, 140])
        same(mx.round(mx.array([1234, 155, 145, -15, -25, 25, 35]), -1), [1230, 160, 140, -20, -20, 20, 40])
        same(mx.round(mx.array([1234, 155]), 1), [1234, 155])
        same(mx.round(mx.array([250, 149], mx.uint8), -2), [200, 100])
        same(mx.round(mx.array([1.5 + 2.5j, 0.5 - 0.5j])), [2 + 2j, 0 - 0j])
        np.testing.assert_allclose(np.array(mx.round(mx.array([1.2345, -2.675]), 2)), [1.23, -2.68], rtol=1e-6)


def test_clip() -> None:
    same(mx.clip(mx.array([1, 2, 3]), 2.5, None), [2.5, 2.5, 3])
    same(mx.clip(mx.array([1.0, 2, nan]), 3, 1), [1, 1, nan])
    same(mx.clip(mx.array([1, 2, 3]), mx.array([2, 2, 5]), 10), [2, 2, 5])
    assert mx.clip(ones("int8"), ones("int32"), None).dtype == mx.int32
    with pytest.raises(ValueError, match="At most one of a_min and a_max may be None"):
        mx.clip(ones("int8"), None, None)


def test_nan_to_num() -> None:
    x = mx.array([nan, inf, -inf, 1.0])
    largest = float(np.finfo(np.float32).max)
    same(mx.nan_to_num(x), np.array([0, largest, -largest, 1], np.float32).tolist())
    same(mx.nan_to_num(x, nan=5, posinf=6, neginf=-7), [5, 6, -7, 1])
    same(mx.nan_to_num(x[:3].astype(mx.float16)), [0, 65504, -65504])
    same(mx.nan_to_num(mx.array([1, 2]), nan=3), [1, 2])
    with pytest.raises(ValueError, match=r"\[nan_to_num\]"):
        mx.nan_to_num(ones("complex64"))


def test_closeness() -> None:
    a, b = mx.array([inf, -inf, inf, nan, 1.0, 1]), mx.array([inf, -inf, -inf, nan, 1 + 1e-6, 1.1])
    assert mx.isclose(a, b).tolist() == [True, True, False, False, True, False]
    assert mx.isclose(mx.array([nan, 1.0]), mx.array([nan, nan]), equal_nan=True).tolist() == [True, False]
    assert mx.isclose(mx.array([1, 2]), mx.array([1, 3]), rtol=1).tolist() == [True, True]
    assert mx.isclose(mx.array([0.0]), mx.array([1e-3]), atol=1e-2).item()
    assert mx.allclose(mx.array([]), mx.array([])).item()
    assert mx.allclose(mx.array([1 + 1j]), mx.array([1 + 1.000001j])).item()
    assert not mx.allclose(mx.array([1.0, 2.0]), mx.array([1.0, 2.1])).item()


def test_array_equal() -> None:
    assert mx.array_equal(mx.array([1, 2]), mx.array([1.0, 2.0])).item()
    assert not mx.array_equal(mx.array([nan]), mx.array([nan])).item()
    assert mx.array_equal(mx.array([nan, 1]), mx.array([nan, 1]), equal_nan=True).item()
    assert not mx.array_equal(mx.array([[1]]), mx.array([1])).item()
    assert mx.array_equal(mx.array([]), mx.array([])).item()
    assert mx.array_equal(1, 1).item()


def test_where_promotes_its_branches_and_reads_any_condition() -> None:
    same(mx.where(mx.array([0.0, -0.0, nan, 0.5]), 1, 0), [0, 0, 1, 1])
    assert mx.where(mx.array([True, False]), mx.array([1, 2], mx.int8), 3).dtype == mx.int8
    assert mx.where(True, 1, 2.5).dtype == mx.float32
    assert mx.where(mx.array([[True], [False]]), mx.array([1, 2, 3]), 0).tolist() == [[1, 2, 3], [0, 0, 0]]
    assert mx.where(mx.array(True), 1, mx.array([2, 3])).tolist() == [1, 1]


def test_logic_reads_any_dtype() -> None:
    assert mx.logical_and(mx.array([nan, 0.0, 1, -0.0]), mx.array([1.0, 1, 1, 1])).tolist() == [
        True,
        False,
        True,
        False,
    ]
    assert mx.logical_or(mx.array([0, 2]), mx.array([0.0, 0.0])).tolist() == [False, True]
    assert mx.logical_xor(mx.array([2, 0]), mx.array([1, 1])).tolist() == [False, True]
    assert mx.logical_not(mx.array([nan, 0.0, 1j])).tolist() == [False, True, False]
    assert mx.subtract(mx.array([True, True, False]), mx.array([True, False, True])).tolist() == [False, True, True]


@pytest.mark.parametrize("engine", ENGINES)
def test_exponentials_do_not_overflow_on_the_way(engine: str) -> None:
    with mx.engine(engine):
        same(mx.sigmoid(mx.array([-1000.0, 1000.0, -inf, inf, 0.0])), [0, 1, 0, 1, 0.5])
        same(
            mx.logaddexp(mx.array([1000.0, -inf, inf, inf, -inf]), mx.array([0.0, -inf, inf, -inf, 5.0])),
            [1000, -inf, inf, inf, 5],
        )
        np.testing.assert_allclose(np.array(mx.log1p(mx.array([1e-10, 1e-20]))), [1e-10, 1e-20], rtol=1e-6)
        np.testing.assert_allclose(np.array(mx.expm1(mx.array([1e-10, -1e-20]))), [1e-10, -1e-20], rtol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_erf_and_its_inverse(engine: str) -> None:
    x = np.concatenate([np.linspace(-6.5, 6.5, 131), [1e-30, -1e-12, 1e-3]])
    expected = np.array([math.erf(v) for v in x])
    with mx.engine(engine):
        np.testing.assert_allclose(np.array(mx.erf(mx.array(x, mx.float64))), expected, rtol=2e-15)
        single = np.array(mx.erf(mx.array(x.astype(np.float32))))
        np.testing.assert_allclose(single, expected, rtol=1e-6)
        same(mx.erf(mx.array([0.0, -0.0, inf, -inf, nan])), [0.0, -0.0, 1, -1, nan])
        y = np.concatenate([np.linspace(-0.999, 0.999, 101), [1e-30, 1 - 1e-7, 1e-9 - 1]])
        round_trip = np.array([math.erf(v) for v in np.array(mx.erfinv(mx.array(y, mx.float64)))])
        np.testing.assert_allclose(round_trip, y, rtol=1e-13)
        same(mx.erfinv(mx.array([1.0, -1.0, 0.0, 1.5, nan])), [inf, -inf, 0, nan, nan])


@pytest.mark.parametrize("engine", ENGINES)
def test_powers_of_floats_at_the_edges(engine: str) -> None:
    a = [-2.0, -2, 0, 0, 0, inf, -inf, nan, 1, 0.0, -0.0, -8]
    b = [2.0, 0.5, 0, -1, 1, -1, 3, 0, nan, 0.5, -1, 1 / 3]
    with mx.engine(engine):
        same(mx.power(mx.array(a), mx.array(b)), [4, nan, 1, inf, 0, 0, -inf, 1, 1, 0, -inf, nan])
        same(mx.array([-2.0, 0.0, 3.0]) ** 3, [-8, 0, 27])
        same(mx.array([-2.0, 0.0, nan]) ** 0, [1, 1, 1])
        same(mx.array([-2.0, 4.0]) ** -2, [0.25, 0.0625])
        same(mx.array([2, 3]) ** 2.0, [4, 9])
        same(mx.array([0j, 1j]) ** 2, [0, -1])


def test_angles() -> None:
    np.testing.assert_allclose(mx.degrees(mx.array(math.pi, mx.float64)).item(), 180.0, rtol=1e-15)
    np.testing.assert_allclose(mx.radians(mx.array(90.0, mx.float64)).item(), math.pi / 2, rtol=1e-15)
    assert mx.degrees(mx.array([1, 2])).dtype == mx.float32


@pytest.mark.parametrize("engine", ENGINES)
def test_complex_numbers_are_ordered_by_real_then_imaginary_part(engine: str) -> None:
    with mx.engine(engine):
        a, b = mx.array([1 + 2j, 1 + 1j, 2 + 0j, 1 + 1j]), mx.array([1 + 1j, 1 + 2j, 1 + 5j, 1 + 1j])
        assert mx.less(a, b).tolist() == [False, True, False, False]
        assert mx.less_equal(a, b).tolist() == [False, True, False, True]
        assert mx.greater(a, b).tolist() == [True, False, True, False]
        assert mx.greater_equal(a, b).tolist() == [True, False, True, True]
        same(mx.maximum(a, b), [1 + 2j, 1 + 2j, 2, 1 + 1j])
        same(mx.minimum(a, b), [1 + 1j, 1 + 1j, 1 + 5j, 1 + 1j])


# ---------------------------------------------------------------------- complex gradients

Z = np.array([0.3 + 0.4j, -1.5 + 0.2j], np.complex64)
W = np.array([1 - 2j, 0.5 + 1j], np.complex64)


def real_loss(value: Any) -> Any:
    """2 Re + Im, so that both parts count."""
    return (mx.real(value) * 2 + mx.imag(value)).sum()


def gradient_by_differences(function: Callable[[Any], Any], z: np.ndarray) -> np.ndarray:
    """dl/dx + i dl/dy by central differences in float32, hence to three digits or so."""
    step = 2.0**-8
    gradient = np.zeros_like(z)
    for k in range(z.size):
        for unit in (1, 1j):
            moved = [z.copy(), z.copy()]
            moved[0][k] += unit * step
            moved[1][k] -= unit * step
            above, below = (float(function(mx.array(m)).item()) for m in moved)
            gradient[k] += unit * (above - below) / (2 * step)
    return gradient


COMPLEX_FUNCTIONS = {
    **{name: getattr(mx, name) for name in FLOATING if name not in ("log2", "radians")},
    **{name: getattr(mx, name) for name in ("square", "negative", "sign", "conjugate")},
    "abs": lambda z: mx.abs(z) * (1 + 1j),
    "product": lambda z: z * mx.array(W),
    "quotient": lambda z: mx.array(W) / z,
    "power": lambda z: z ** mx.array(W),
    "exponent": lambda z: mx.array(W) ** z,
    "square by power": lambda z: z**2,
    "cube": lambda z: z**3,
    "logaddexp": lambda z: mx.logaddexp(z, mx.array(W)),
    "real": lambda z: mx.real(z) * (2 - 1j),
    "imaginary": lambda z: mx.imag(z) * (2 - 1j),
    "where": lambda z: mx.where(mx.array([True, False]), z * z, 1j),
    "times its conjugate": lambda z: z * mx.conj(z) * z,
}


@pytest.mark.parametrize("name", COMPLEX_FUNCTIONS)
def test_complex_gradients_are_dx_plus_i_dy(name: str) -> None:
    def loss(z: Any) -> Any:
        return real_loss(COMPLEX_FUNCTIONS[name](z))

    expected = gradient_by_differences(loss, Z)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(np.array(mx.grad(loss)(mx.array(Z))), expected, rtol=4e-3, atol=2e-3 * scale)


def test_complex_gradients_to_second_order() -> None:
    def slope(z: Any) -> Any:
        return real_loss(mx.grad(lambda z: real_loss(mx.abs(z * z) * mx.exp(z)))(z))

    expected = gradient_by_differences(slope, Z)
    np.testing.assert_allclose(np.array(mx.grad(slope)(mx.array(Z))), expected, rtol=2e-3, atol=2e-2)


def test_complex_gradients_that_mlx_gives() -> None:
    z, w = mx.array(Z), mx.array(W)
    dz, dw = mx.grad(lambda z, w: mx.abs(z * w).sum(), [0, 1])(z, w)
    # d|z w| = |w| z/|z|, |z| w/|w|
    np.testing.assert_allclose(np.array(dz), np.abs(W) * Z / np.abs(Z), rtol=1e-5)
    np.testing.assert_allclose(np.array(dw), np.abs(Z) * W / np.abs(W), rtol=1e-5)
    np.testing.assert_allclose(np.array(mx.grad(lambda z: (mx.abs(z) ** 2).sum())(z)), 2 * Z, rtol=1e-5)


def test_real_inputs_of_complex_programs_get_real_gradients() -> None:
    x = mx.array([0.7, -0.3])
    slope = mx.grad(lambda x: mx.abs(x * mx.array(Z)).sum())(x)
    assert slope.dtype == mx.float32
    np.testing.assert_allclose(np.array(slope), np.abs(Z) * np.sign([0.7, -0.3]), rtol=1e-6)


R = math.acosh(2.0)  # what the inverse functions have in common at 2
CUTS = [  # name, a point on the upper or right side of a branch cut and the value there, and the same on the other side
    ("sqrt", complex(-4, 0.0), 2j, complex(-4, -0.0), -2j),
    ("arccos", complex(2, 0.0), complex(0, -R), complex(2, -0.0), complex(0, R)),
    ("arccos", complex(-2, 0.0), complex(math.pi, -R), complex(-2, -0.0), complex(math.pi, R)),
    ("arcsin", complex(2, 0.0), complex(math.pi / 2, R), complex(2, -0.0), complex(math.pi / 2, -R)),
    ("arccosh", complex(-2, 0.0), complex(R, math.pi), complex(-2, -0.0), complex(R, -math.pi)),
    ("arccosh", complex(0.5, 0.0), 1j * math.pi / 3, complex(0.5, -0.0), -1j * math.pi / 3),
    ("arcsinh", complex(0.0, 2), complex(R, math.pi / 2), complex(-0.0, 2), complex(-R, math.pi / 2)),
    ("log", complex(-1, 0.0), 1j * math.pi, complex(-1, -0.0), -1j * math.pi),
]


@pytest.mark.parametrize("engine", ENGINES)
def test_both_sides_of_branch_cuts(engine: Any) -> None:
    results = [getattr(mx, name)(mx.array(np.array([one, other], np.complex64))) for name, one, _, other, _ in CUTS]
    with mx.engine(engine):
        mx.eval(results)
    for result, (name, _, one, _, other) in zip(results, CUTS, strict=True):
        np.testing.assert_allclose(np.array(result), [one, other], 1e-5, 1e-6, err_msg=name)


@pytest.mark.parametrize("engine", ENGINES)
def test_logarithms_of_a_complex_zero(engine: Any) -> None:
    with mx.engine(engine):
        for function in (mx.log, mx.log2, mx.log10):
            assert function(mx.array([0j]))[0].item() == complex(-inf, 0)

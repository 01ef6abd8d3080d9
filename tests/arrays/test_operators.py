"""Operators: values by NumPy, and the dtypes of arrays with arrays, Python numbers and NumPy's on either side."""

from __future__ import annotations

import array as standard_array
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mlx.core as mx
from mlx.ir.dtypes import ALL_DTYPES, Dtype

by_name = pytest.mark.parametrize("dtype", ALL_DTYPES, ids=lambda dtype: dtype.name)

ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
BITS: dict[str, Callable[[Any, Any], Any]] = {
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "<<": operator.lshift,
    ">>": operator.rshift,
}
IN_PLACE: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.iadd,
    "-": operator.isub,
    "*": operator.imul,
    "/": operator.itruediv,
    "//": operator.ifloordiv,
    "%": operator.imod,
    "**": operator.ipow,
    "&": operator.iand,
    "|": operator.ior,
    "^": operator.ixor,
    "<<": operator.ilshift,
    ">>": operator.irshift,
}


def check(x: Any, dtype: Dtype, values: Any) -> None:
    assert type(x) is mx.array
    assert x.dtype is dtype
    assert x.tolist() == values


# ---------------------------------------------------------------------- values


@pytest.mark.parametrize("symbol", [*ARITHMETIC, *COMPARISONS])
def test_values_of_floats(symbol: str) -> None:
    function = (ARITHMETIC | COMPARISONS)[symbol]
    a = np.array([7.5, -7.5, 2.0, 0.5], np.float32)
    b = np.array([2.0, 2.0, 2.0, -2.0], np.float32)
    for left, right in ((a, b), (a, 2.0), (2.0, b), (a, 3), (3, b), (a, 2), (a, 0.5)):
        with np.errstate(invalid="ignore"):
            expected = function(left, right)
        ours = [mx.array(x) if isinstance(x, np.ndarray) else x for x in (left, right)]
        result = function(*ours)
        assert result.dtype is (mx.bool_ if symbol in COMPARISONS else mx.float32)
        np.testing.assert_allclose(np.array(result), expected, rtol=1e-6)


@pytest.mark.parametrize("symbol", [*ARITHMETIC, *COMPARISONS, *BITS])
def test_values_of_ints(symbol: str) -> None:
    function = (ARITHMETIC | COMPARISONS | BITS)[symbol]
    a, b = np.array([7, -7, 2, 5], np.int32), np.array([2, 3, 1, 4], np.int32)
    for left, right in ((a, b), (a, 3), (3, b)):
        ours = [mx.array(x) if isinstance(x, np.ndarray) else x for x in (left, right)]
        result = function(*ours)
        expected = mx.bool_ if symbol in COMPARISONS else mx.float32 if symbol == "/" else mx.int32
        assert result.dtype is expected
        np.testing.assert_allclose(np.array(result), function(left, right), rtol=1e-6)


def test_unary_operators() -> None:
    x = mx.array([1, -2])
    check(-x, mx.int32, [-1, 2])
    check(-mx.array([1, 2], mx.uint8), mx.uint8, [255, 254])
    check(+x, mx.int32, [1, -2])
    check(abs(x), mx.int32, [1, 2])
    check(~x, mx.int32, [-2, 1])
    check(~mx.array([True, False]), mx.bool_, [False, True])
    check(abs(mx.array([3 + 4j])), mx.float32, [5.0])
    with pytest.raises(ValueError, match=r"\[negative\]"):
        -mx.array(True)


def test_matrix_product() -> None:
    a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    for left, right in ((mx.array(a), mx.array(b)), (mx.array(a), b), (a, mx.array(b))):
        check(left @ right, mx.float32, (a @ b).tolist())
    x = mx.array([[2.0, 0.0], [0.0, 3.0]])
    y = x
    y @= x
    check(x, mx.float32, [[4.0, 0.0], [0.0, 9.0]])
    for other in (2.0, None, "a", [1.0], object()):
        for call in (lambda other=other: x @ other, lambda other=other: other @ x):
            with pytest.raises(TypeError, match=r"\[matmul\] Both operands of @ must be arrays, got"):
                call()


# ---------------------------------------------------------------------- dtypes


def weak(dtype: Dtype, number: complex) -> Dtype:
    """The dtype of an array of `dtype` with a Python number: numbers only widen the category."""
    if isinstance(number, bool):
        return dtype
    if isinstance(number, int):
        return mx.int32 if dtype is mx.bool_ else dtype
    if isinstance(number, float):
        return dtype if mx.issubdtype(dtype, mx.inexact) else mx.float32
    return mx.complex64


@by_name
def test_python_numbers_are_weak(dtype: Dtype) -> None:
    x = mx.array([1, 1], dtype)
    for number in (True, 1, 1.0, 1 + 0j):
        expected = weak(dtype, number)
        for result in (x + number, number + x, x * number, number * x):
            assert result.dtype is expected
        assert (x - number).tolist() == (number - x).tolist() == [0, 0]
        quotient = expected if mx.issubdtype(expected, mx.inexact) else mx.float32
        check(x / number, quotient, [1, 1])
        check(number / x, quotient, [1, 1])
        check(x == number, mx.bool_, [True, True])
        check(number != x, mx.bool_, [False, False])
        if not isinstance(number, complex):
            check(x >= number, mx.bool_, [True, True])


def test_numbers_of_other_types_are_weak_as_well() -> None:
    half = mx.array([1.0], mx.float16)
    for number in (np.float64(0.5), np.float32(0.5), np.int64(1), np.array(0.5)):
        assert (half * number).dtype is mx.float16
        assert (number * half).dtype is mx.float16
    assert (mx.array([1]) * np.float64(0.5)).dtype is mx.float32


@pytest.mark.parametrize("symbol", [*ARITHMETIC, *COMPARISONS])
def test_ints_that_a_dtype_cannot_hold(symbol: str) -> None:
    function = (ARITHMETIC | COMPARISONS)[symbol]
    for dtype, number in ((mx.uint8, 256), (mx.uint8, -1), (mx.int8, 128), (mx.int32, 2**31), (mx.int64, 2**63)):
        x = mx.array([1], dtype)
        for operands in ((x, number), (number, x)):
            with pytest.raises(ValueError, match=f"Converting {number} to {dtype.name} would result in overflow"):
                function(*operands)


def test_large_ints_with_floats() -> None:
    for dtype in (mx.float16, mx.bfloat16, mx.float32, mx.float64, mx.complex64):
        x = mx.array([0.0], dtype)
        expected = float("inf") if dtype is mx.float16 else 2.0**70
        assert (x + 2**70).tolist() == (2**70 + x).tolist() == [expected]
    check(mx.array([1], mx.uint64) + -1, mx.uint64, [0])
    check(mx.array([0], mx.uint64) + (2**64 - 1), mx.uint64, [2**64 - 1])


PROMOTIONS = [
    (mx.bool_, mx.uint8, mx.uint8),
    (mx.uint8, mx.int8, mx.int16),
    (mx.uint16, mx.int8, mx.int32),
    (mx.uint32, mx.int32, mx.int64),
    (mx.uint64, mx.int64, mx.float32),
    (mx.uint64, mx.float16, mx.float16),
    (mx.int64, mx.bfloat16, mx.bfloat16),
    (mx.float16, mx.bfloat16, mx.float32),
    (mx.float32, mx.float64, mx.float64),
    (mx.float64, mx.complex64, mx.complex64),
]


@pytest.mark.parametrize(("a", "b", "expected"), PROMOTIONS)
def test_promotion_of_two_arrays(a: Dtype, b: Dtype, expected: Dtype) -> None:
    x, y = mx.array([1, 2], a), mx.array([1, 2], b)
    assert (x + y).dtype is expected
    assert (y * x).dtype is expected
    check(x == y, mx.bool_, [True, a is not mx.bool_])


# ---------------------------------------------------------------------- NumPy and other libraries


def test_numpy_on_either_side_gives_an_array() -> None:
    x, other = mx.array([1.0, 2.0]), np.array([3.0, 4.0])
    check(x + other, mx.float32, [4.0, 6.0])
    check(other + x, mx.float32, [4.0, 6.0])
    check(other - x, mx.float32, [2.0, 2.0])
    check(other / x, mx.float32, [3.0, 2.0])
    check(other > x, mx.bool_, [True, True])
    check(np.float32(3) - x, mx.float32, [2.0, 1.0])
    check(mx.array([1, 2], mx.int8) + np.array([1, 1]), mx.int8, [2, 3])


def test_derivatives_pass_through_operators_with_numpy() -> None:
    weights = np.array([3.0, 4.0], np.float32)
    gradient = mx.grad(lambda x: (weights * x).sum() + (np.float32(2) * x).sum())(mx.array([1.0, 1.0]))
    assert gradient.tolist() == [5.0, 6.0]


def test_buffers_and_arraylikes() -> None:
    class Two:
        def __mlx_array__(self) -> mx.array:
            return mx.array([2, 2])

    x = mx.array([1.0, 2.0])
    check(x + standard_array.array("f", [1, 2]), mx.float32, [2.0, 4.0])
    check(x * Two(), mx.float32, [2.0, 4.0])
    check(Two() - x, mx.float32, [1.0, 0.0])


# ---------------------------------------------------------------------- bits


@by_name
def test_bits_of_every_dtype(dtype: Dtype) -> None:
    x = mx.array([1, 1], dtype)
    for symbol, function in BITS.items():
        if mx.issubdtype(dtype, mx.inexact):
            for other in (x, 1, True):
                with pytest.raises(ValueError, match=r"\[\w+\] Floating point types have no bits"):
                    function(x, other)
                with pytest.raises(ValueError, match=r"\[\w+\] Floating point types have no bits"):
                    IN_PLACE[symbol](mx.array(x), other)
        else:
            expected = [int(function(1, 1))] * 2
            assert function(x, x).tolist() == expected
            assert function(x, 1).tolist() == expected
            assert function(1, x).tolist() == expected
            with pytest.raises(ValueError, match="Floating point types have no bits"):
                function(x, 0.5)
            with pytest.raises(ValueError, match="Floating point types have no bits"):
                function(x, mx.array([0.5, 0.5]))


def test_bits_of_booleans() -> None:
    x = mx.array([True, False])
    check(x & True, mx.bool_, [True, False])
    check(x | True, mx.bool_, [True, True])
    check(x ^ x, mx.bool_, [False, False])
    check(True & x, mx.bool_, [True, False])


# ---------------------------------------------------------------------- in place


@pytest.mark.parametrize("symbol", IN_PLACE)
def test_in_place_operators_change_every_name(symbol: str) -> None:
    values = [4.0, 6.0] if symbol == "/" else [4, 6]
    plain = (ARITHMETIC | BITS)[symbol]
    for other in (2, mx.array([2, 1]), np.array([2, 1])):
        x = mx.array(values)
        same, old = x, x + 0
        expected = plain(old, other)
        x = IN_PLACE[symbol](x, other)
        assert x is same
        check(same, expected.dtype, expected.tolist())
        assert old.tolist() == values


def test_in_place_operators_widen() -> None:
    x = mx.array([1, 2])
    x += 0.5
    check(x, mx.float32, [1.5, 2.5])
    x = mx.array([1, 2])
    x += mx.array([[1], [2]])
    check(x, mx.int32, [[2, 3], [3, 4]])


def test_integers_are_not_divided_in_place() -> None:
    for dtype in (mx.bool_, mx.uint8, mx.int64):
        x = mx.array([2], dtype)
        for other in (2, 2.0, mx.array([2.0])):
            with pytest.raises(ValueError, match=r"\[divide\] In place division cannot turn \w+ into a floating"):
                x /= other
        assert x.dtype is dtype


# ---------------------------------------------------------------------- what is no operand


class Strange:
    pass


@pytest.mark.parametrize("other", ["a", [1.0], (1.0,), {}, {1}, Strange(), len, range(2)])
def test_other_objects(other: Any) -> None:
    x = mx.array([1.0, 2.0])
    assert (x == other) is False
    assert (other == x) is False
    assert (x != other) is True
    ordered = [COMPARISONS[symbol] for symbol in ("<", "<=", ">", ">=")]
    for function in [*ARITHMETIC.values(), *ordered, *IN_PLACE.values()]:
        with pytest.raises(ValueError, match=r"^\[\w+\] Expected an array or a number as the other operand, got"):
            function(x, other)
    for function in [*(f for s, f in ARITHMETIC.items() if s != "%" or other != "a"), *ordered]:
        with pytest.raises(ValueError, match=r"^\[\w+\] Expected an array or a number as the other operand, got"):
            function(other, x)
    assert x.tolist() == [1.0, 2.0]


def test_none_is_no_operand() -> None:
    x = mx.array([1.0])
    for function in ARITHMETIC.values():
        with pytest.raises(TypeError, match="got NoneType"):
            function(x, None)
        with pytest.raises(TypeError, match="got NoneType"):
            function(None, x)
    with pytest.raises(TypeError, match="got NoneType"):
        assert x < None
    assert (x == None) is False  # noqa: E711
    assert (x != None) is True  # noqa: E711


def test_lists_are_pointed_to_array() -> None:
    with pytest.raises(ValueError, match=r"got list\. Convert it with mx\.array first\."):
        mx.array([1.0]) + [1.0]


def test_builtins_that_use_operators() -> None:
    assert sum([mx.array(1.0), mx.array(2.0)]).item() == 3.0
    assert max([mx.array(1.0), mx.array(2.0)]).item() == 2.0
    assert 2 in mx.array([1, 2])
    assert 3 not in mx.array([1, 2])
    assert sorted([mx.array(3), mx.array(1)], key=int)[0].item() == 1

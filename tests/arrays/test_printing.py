"""How arrays print: texts written down from the reference."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import mlx.core as mx


def test_one_element() -> None:
    assert repr(mx.array(7)) == "array(7, dtype=int32)"
    assert str(mx.array(7, mx.uint8)) == "array(7, dtype=uint8)"
    assert repr(mx.array(True)) == "array(True, dtype=bool)"
    assert repr(mx.array(2.0)) == "array(2, dtype=float32)"
    assert repr(mx.array(1.5, mx.bfloat16)) == "array(1.5, dtype=bfloat16)"
    assert repr(mx.array(1 - 2j)) == "array(1-2j, dtype=complex64)"
    assert repr(mx.array(-1j)) == "array(-0-1j, dtype=complex64)"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1 / 3, "0.333333"),
        (-0.0, "-0"),
        (123456.0, "123456"),
        (1234567.0, "1.23457e+06"),
        (1e20, "1e+20"),
        (1e-4, "0.0001"),
        (1e-5, "1e-05"),
        (0.000123456789, "0.000123457"),
        (12345.6789, "12345.7"),
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
        (float("nan"), "nan"),
    ],
)
def test_floats(value: float, text: str) -> None:
    assert repr(mx.array(value)) == f"array({text}, dtype=float32)"
    assert repr(mx.array([value, 1])) == f"array([{text}, 1], dtype=float32)"
    assert repr(mx.array(value, mx.float64)) == f"array({text}, dtype=float64)"


def test_halves_print_their_own_digits() -> None:
    assert repr(mx.array([0.1], mx.float16)) == "array([0.0999756], dtype=float16)"
    assert repr(mx.array([0.1], mx.bfloat16)) == "array([0.100098], dtype=bfloat16)"


def test_nested() -> None:
    assert repr(mx.array([[1, 2], [3, 4]])) == "array([[1, 2],\n       [3, 4]], dtype=int32)"
    expected = "array([[[0, 1],\n        [2, 3]],\n       [[4, 5],\n        [6, 7]]], dtype=int32)"
    assert repr(mx.arange(8).reshape(2, 2, 2)) == expected


def test_empty() -> None:
    assert repr(mx.array([])) == "array([], dtype=float32)"
    assert repr(mx.zeros((0, 3))) == "array([], dtype=float32)"
    assert repr(mx.zeros((2, 0), mx.int8)) == "array([[],\n       []], dtype=int8)"


def test_long_axes_leave_out_their_middle() -> None:
    assert repr(mx.arange(6)) == "array([0, 1, 2, 3, 4, 5], dtype=int32)"
    assert repr(mx.arange(7)) == "array([0, 1, 2, ..., 4, 5, 6], dtype=int32)"
    expected = (
        "array([[0, 1, 2, ..., 4, 5, 6],\n"
        "       [7, 8, 9, ..., 11, 12, 13],\n"
        "       [14, 15, 16, ..., 18, 19, 20],\n"
        "       ...,\n"
        "       [35, 36, 37, ..., 39, 40, 41],\n"
        "       [42, 43, 44, ..., 46, 47, 48],\n"
        "       [49, 50, 51, ..., 53, 54, 55]], dtype=int32)"
    )
    assert repr(mx.arange(56).reshape(8, 7)) == expected


@pytest.mark.parametrize(
    ("precision", "text"),
    [
        (0, "[0, 123457, 0, 2]"),
        (1, "[0.3, 123456.8, 0.0, 2.0]"),
        (3, "[0.333, 123456.789, 0.000, 2.000]"),
        (8, "[0.33333334, 123456.78906250, 0.00000000, 2.00000000]"),
        (-1, "[0.333333, 123457, 1e-09, 2]"),
    ],
)
def test_precision(precision: int, text: str) -> None:
    x = mx.array([1 / 3, 123456.789, 1e-9, 2.0])
    with mx.printoptions(precision=precision):
        assert repr(x) == f"array({text}, dtype=float32)"
        assert repr(mx.array([3])) == "array([3], dtype=int32)"
    assert repr(x) == "array([0.333333, 123457, 1e-09, 2], dtype=float32)"


def test_precision_of_complex_numbers() -> None:
    with mx.printoptions(3):
        assert repr(mx.array([1 / 3 + 1j / 7])) == "array([0.333+0.143j], dtype=complex64)"


def test_print_options() -> None:
    assert mx.get_printoptions().precision == -1
    try:
        mx.set_printoptions(precision=2)
        assert mx.get_printoptions().precision == 2
        seen: list[str] = []
        thread = threading.Thread(target=lambda: seen.append(repr(mx.array(0.5))))
        thread.start()
        thread.join()
        assert seen == ["array(0.50, dtype=float32)"]
        with pytest.raises(ZeroDivisionError), mx.printoptions(precision=4):
            1 / (mx.get_printoptions().precision - 4)
        assert mx.get_printoptions().precision == 2
        with mx.printoptions(precision=4) as options:
            assert options.precision == 4
    finally:
        mx.set_printoptions()
    mx.get_printoptions().precision = 5  # a copy
    assert mx.get_printoptions().precision == -1
    assert mx.PrintOptions(3).precision == 3


@pytest.mark.parametrize("precision", ["2", 2.5, None, 2**31])
def test_precision_must_be_an_int(precision: Any) -> None:
    for function in (mx.set_printoptions, mx.printoptions, mx.PrintOptions):
        with pytest.raises(TypeError, match=rf"\[{function.__name__}\] precision must be an int"):
            function(precision)


def test_all_dimensions_leave_out_their_middle() -> None:
    row = "[0, 0, 0, ..., 0, 0, 0]"
    matrix = f"[{row}]"
    blocks = [matrix, matrix, matrix, "...", matrix, matrix, matrix]
    assert repr(mx.zeros((7, 1, 7), mx.int16)) == "array([" + ",\n       ".join(blocks) + "], dtype=int16)"
    assert repr(mx.zeros((1, 7))) == f"array([{row}], dtype=float32)"
    assert repr(mx.zeros((2, 1, 0))) == "array([[[]],\n       [[]]], dtype=float32)"


def test_parts_of_complex_numbers_that_are_not_finite() -> None:
    nan, inf = float("nan"), float("inf")
    x = mx.array([complex(nan, 1), complex(inf, -inf), complex(1, nan), complex(-0.0, -0.0)])
    assert repr(x) == "array([nan+1j, inf-infj, 1+nanj, -0+-0j], dtype=complex64)"


def test_format() -> None:
    assert f"{mx.array(0.35487):.1f}" == "0.4"
    assert f"{mx.arange(3)[2]:03d}" == "002"
    assert f"{mx.array(2)}" == "2"
    assert f"{mx.array(True)}" == "True"
    assert f"{mx.array([1, 2, 3])}" == "array([1, 2, 3], dtype=int32)"
    assert f"{mx.array(1.5, mx.bfloat16):.2f}" == "1.50"
    for x in (mx.array([1.0]), mx.arange(3)):
        with pytest.raises(TypeError, match=r"\[format\] Only 0-dimensional arrays take a format"):
            format(x, ".2f")


def test_printing_evaluates_inside_a_gradient() -> None:
    texts: list[str] = []

    def loss(x: mx.array) -> mx.array:
        y = x * 2
        texts.append(str(y))
        return y * x

    assert mx.grad(loss)(mx.array(3.0)).item() == 12.0
    assert texts == ["array(6, dtype=float32)"]

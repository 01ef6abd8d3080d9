"""What goes into `mx.array` and what comes out again: values by hand, by NumPy or written down from the reference."""

from __future__ import annotations

import array as standard_array
import copy
import pickle
from typing import Any

import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings

import mlx.core as mx
from mlx.ir.dtypes import ALL_DTYPES, Dtype

NAN, INF = float("nan"), float("inf")
by_name = pytest.mark.parametrize("dtype", ALL_DTYPES, ids=lambda dtype: dtype.name)


def check(x: mx.array, dtype: Dtype, values: Any) -> None:
    assert x.dtype is dtype
    assert x.tolist() == values


# ---------------------------------------------------------------------- numbers and sequences


def test_default_dtypes() -> None:
    check(mx.array(True), mx.bool_, True)
    check(mx.array(7), mx.int32, 7)
    check(mx.array(2**31), mx.int64, 2**31)
    check(mx.array(-(2**31)), mx.int32, -(2**31))
    check(mx.array(0.5), mx.float32, 0.5)
    check(mx.array(1 + 2j), mx.complex64, 1 + 2j)
    check(mx.array([True, 2]), mx.int32, [1, 2])
    check(mx.array([True, 2.5]), mx.float32, [1.0, 2.5])
    check(mx.array([1, 2**40]), mx.int64, [1, 2**40])
    check(mx.array([1, 1j]), mx.complex64, [1, 1j])
    check(mx.array([]), mx.float32, [])


def test_nested_sequences() -> None:
    check(mx.array([[1, 2], (3, 4)]), mx.int32, [[1, 2], [3, 4]])
    check(mx.array(((1.0, True), (2, 0.5))), mx.float32, [[1.0, 1.0], [2.0, 0.5]])
    assert mx.array([[], []]).shape == (2, 0)
    assert mx.array([[[1], [2]]] * 3).shape == (3, 2, 1)


@by_name
def test_numbers_in_every_dtype(dtype: Dtype) -> None:
    for value in (0, 1, True, 1.0):
        check(mx.array(value, dtype), dtype, value)
        check(mx.array([value, [1][0]], dtype), dtype, [value, 1])


def test_casts_of_numbers() -> None:
    check(mx.array([300, -1], mx.uint8), mx.uint8, [44, 255])
    check(mx.array(-1, mx.uint32), mx.uint32, 2**32 - 1)
    check(mx.array(2**32 + 5, mx.int8), mx.int8, 5)
    check(mx.array(2**63, mx.uint64), mx.uint64, 2**63)
    check(mx.array([2**64 - 1], mx.uint64), mx.uint64, [2**64 - 1])
    check(mx.array([1.9, -1.9], mx.int32), mx.int32, [1, -1])
    check(mx.array([0.5, 0, NAN], mx.bool_), mx.bool_, [True, False, True])
    check(mx.array([1j, 2 + 1j], mx.float32), mx.float32, [0.0, 2.0])
    check(mx.array([1j, 2 + 1j], mx.bool_), mx.bool_, [False, True])  # the real part
    check(mx.array([0.1], mx.float64), mx.float64, [0.1])
    check(mx.array([0.1]), mx.float32, [float(np.float32(0.1))])
    check(mx.array(2**100, mx.bfloat16), mx.bfloat16, 2.0**100)
    check(mx.array([1e300, -1e300]), mx.float32, [INF, -INF])
    # Rounded to float32 first: 1 + 2**-11 is then in the middle of two float16.
    check(mx.array(1 + 2**-11 + 2**-40, mx.float16), mx.float16, 1.0)


def test_floats_beyond_the_integers() -> None:
    values = [NAN, INF, 1e20, -1e20, 300.7, -1.5]
    check(mx.array(values, mx.int32), mx.int32, [-(2**31)] * 4 + [300, -1])
    check(mx.array(values, mx.uint8), mx.uint8, [0, 0, 0, 0, 44, 255])
    check(mx.array(np.array(values), mx.uint8), mx.uint8, [0, 0, 0, 0, 44, 255])


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (2**63, None),
        ([2**64], None),
        (-(2**63) - 1, mx.int8),
        ([2**31], mx.int8),
        ([-1], mx.uint32),
        ([-1], mx.uint64),
        ([2**40], mx.int32),
    ],
)
def test_ints_out_of_range(value: Any, dtype: Dtype | None) -> None:
    with pytest.raises(RuntimeError, match=r"\[array\] -?\d+ is out of range for \w+; pass a wider dtype"):
        mx.array(value, dtype)


@pytest.mark.parametrize("value", [[[1], [1, 2]], [1, [2]], [[1], 2], [[[1]], [1]], [[1], []]])
def test_ragged_sequences(value: Any) -> None:
    with pytest.raises(ValueError, match=r"\[array\] Initialization encountered non-uniform length"):
        mx.array(value)


@pytest.mark.parametrize("value", ["abc", ["a"], {1}, {}, object(), len, range(3), [None], [np.float32(1)], [{}]])
def test_what_is_no_array(value: Any) -> None:
    with pytest.raises(ValueError, match=r"\[array\] Invalid type \w+ received"):
        mx.array(value)


def test_arguments_of_array() -> None:
    with pytest.raises(TypeError, match=r"\[array\] Invalid type NoneType"):
        mx.array(None)
    for dtype in ("float32", np.float32, float):
        with pytest.raises(TypeError, match=r"\[array\] dtype must be an mlx dtype such as mx.float32"):
            mx.array(1, dtype)  # type: ignore[arg-type]
    check(mx.array(val=1, dtype=mx.float16), mx.float16, 1.0)


def test_lists_of_arrays() -> None:
    x, y = mx.array([1, 2]), mx.array([3.5, 4])
    check(mx.array([x, y]), mx.float32, [[1.0, 2.0], [3.5, 4.0]])
    check(mx.array([x, [5, 6]]), mx.int32, [[1, 2], [5, 6]])
    check(mx.array([[5, 6], x], mx.float16), mx.float16, [[5.0, 6.0], [1.0, 2.0]])
    check(mx.array([mx.array(1), 2.5]), mx.float32, [1.0, 2.5])
    check(mx.array([[mx.array(1), 2], [3, mx.array(4)]]), mx.int32, [[1, 2], [3, 4]])
    check(mx.array((x[0], x[1])), mx.int32, [1, 2])
    for ragged in ([x, 1], [1, x], [x, mx.array([1])], [[x], x]):
        with pytest.raises(ValueError, match="non-uniform length: entries have the shapes"):
            mx.array(ragged)


def test_lists_of_arrays_stay_in_the_program() -> None:
    gradient = mx.grad(lambda x: mx.array([x * x, 3 * x, mx.array(1.0)]).sum())(mx.array(2.0))
    assert gradient.item() == 7.0


def test_arrays_of_arrays() -> None:
    x = mx.array([1.5, 2.5])
    check(mx.array(x), mx.float32, [1.5, 2.5])
    check(mx.array(x, mx.int32), mx.int32, [1, 2])
    y = mx.array(x)
    y += 1
    assert x.tolist() == [1.5, 2.5]


# ---------------------------------------------------------------------- NumPy and other libraries

FROM_NUMPY = [
    ("?", mx.bool_),
    ("b", mx.int8),
    ("B", mx.uint8),
    ("h", mx.int16),
    ("H", mx.uint16),
    ("i", mx.int32),
    ("I", mx.uint32),
    ("q", mx.int64),
    ("Q", mx.uint64),
    ("e", mx.float16),
    ("f", mx.float32),
    ("d", mx.float32),
    ("F", mx.complex64),
    ("D", mx.complex64),
]


@pytest.mark.parametrize(("code", "dtype"), FROM_NUMPY)
def test_numpy_arrays_of_every_layout(code: str, dtype: Dtype) -> None:
    source = np.arange(24).astype(code).reshape(4, 6)
    frozen = source.copy()
    frozen.flags.writeable = False
    layouts = [
        source,
        source.T,
        source[::2, 1::3],
        source[::-1],
        source[:, :0],
        np.asfortranarray(source),
        np.broadcast_to(source[0], (3, 6)),
        source.astype(f">{code}"),
        source.reshape(2, 3, 4).swapaxes(0, 2),
        frozen,
        np.array(source[1, 1]),
        source[1, 1],
    ]
    for layout in layouts:
        x = mx.array(layout)
        assert x.shape == layout.shape
        check(x, dtype, layout.tolist())


@by_name
def test_numpy_arrays_in_every_dtype(dtype: Dtype) -> None:
    for source in (np.array([0, 1, 2, 100]), np.array([0.0, 1, 2, 100]), np.array([0, 1, 2, 100], np.complex128)):
        expected = [False, True, True, True] if dtype is mx.bool_ else [0, 1, 2, 100]
        check(mx.array(source, dtype), dtype, expected)


def test_float64_is_kept_where_it_is_asked_for() -> None:
    check(mx.array(np.array([0.1]), mx.float64), mx.float64, [0.1])
    assert mx.array(np.array([0.1])).item() == float(np.float32(0.1))


def test_numpy_arrays_are_copied() -> None:
    for size in (4, 5000):
        source = np.zeros(size, np.float32)
        x = mx.array(source)
        source[:] = 1
        assert float(x.sum()) == 0.0


def test_large_memory_is_aligned() -> None:
    for count in (1025, 5000, 12345):
        for code in "bhifd":
            host = mx.array(np.ones(count * 8, code), mx.float32)._node.value.numpy()  # type: ignore[union-attr]
            assert host.__array_interface__["data"][0] % 64 == 0
            assert host.flags.c_contiguous


def test_half_precision_numpy_arrays() -> None:
    check(mx.array(np.array([1.5, -2], ml_dtypes.bfloat16)), mx.bfloat16, [1.5, -2.0])
    check(mx.array(np.array([1.5, -2], ml_dtypes.bfloat16), mx.int8), mx.int8, [1, -2])


@pytest.mark.parametrize(
    "value", [np.array(["a"]), np.array([None]), np.zeros(2, "M8[D]"), np.zeros(2, "i4,f4"), np.zeros(2, np.longdouble)]
)
def test_numpy_dtypes_without_counterpart(value: np.ndarray) -> None:
    for error in (RuntimeError, ValueError):  # MLX raises the former
        with pytest.raises(error, match=r"\[array\] NumPy arrays of dtype .* have no counterpart"):
            mx.array(value)


@pytest.mark.parametrize("code", "?bhilBHILefdFD")
def test_every_byte_order_and_layout_of_numpy(code: str) -> None:
    with np.errstate(all="ignore"):
        values = np.array([[0, 1, 2], [3, 4, 5]]).astype(code)
    dtype = mx.array(values).dtype
    for order in "<>=":
        swapped = values.astype(values.dtype.newbyteorder(order))
        for layout in (
            swapped,
            np.asfortranarray(swapped),
            swapped[::-1, ::2],
            swapped.T[1:],
            swapped[:0],
            swapped[1, 1:2],
        ):
            check(mx.array(layout), dtype, layout.tolist())
            check(mx.array(layout, mx.float64), mx.float64, layout.real.astype(np.float64).tolist())


def test_axes_beyond_32_bits() -> None:
    long = np.lib.stride_tricks.as_strided(np.zeros(1, np.bool_), (2**31,), (0,))
    with pytest.raises(OverflowError, match=r"\[array\] An axis of extent 2147483648 is too long"):
        mx.array(long)


def test_buffers() -> None:
    check(mx.array(b"abc"), mx.uint8, [97, 98, 99])
    check(mx.array(bytearray([1, 2])), mx.uint8, [1, 2])
    check(mx.array(memoryview(np.arange(6, dtype=np.int16).reshape(2, 3))), mx.int16, [[0, 1, 2], [3, 4, 5]])
    check(mx.array(standard_array.array("d", [1.5, 2])), mx.float32, [1.5, 2.0])


class SpeaksDlpack:
    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __dlpack__(self, **options: Any) -> Any:
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.values.__dlpack_device__()


class OnAnotherDevice:
    def __dlpack__(self, **options: Any) -> Any:
        raise BufferError("the data lie on the moon.")

    def __dlpack_device__(self) -> tuple[int, int]:
        return (99, 0)


class HasOnlyAnArray:
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array([[1, 2]], np.int16)


class SaysItsArrayIsANumber:
    def __mlx_array__(self) -> Any:
        return 3


class SaysItsArray:
    def __mlx_array__(self) -> mx.array:
        return mx.array([1, 2])


def test_other_libraries() -> None:
    check(mx.array(SpeaksDlpack(np.array([1.5, 2]))), mx.float32, [1.5, 2.0])
    check(mx.array(SpeaksDlpack(np.array([1, 2], np.int8)), mx.float16), mx.float16, [1.0, 2.0])
    check(mx.array(SaysItsArray()), mx.int32, [1, 2])
    check(mx.array(SaysItsArray(), mx.float16), mx.float16, [1.0, 2.0])
    check(mx.array(HasOnlyAnArray()), mx.int16, [[1, 2]])
    check(mx.array(HasOnlyAnArray(), mx.float32), mx.float32, [[1.0, 2.0]])
    with pytest.raises(RuntimeError, match=r"SaysItsArrayIsANumber\.__mlx_array__ must return an array, got int"):
        mx.array(SaysItsArrayIsANumber())
    check(mx.exp(SaysItsArray()) > 3, mx.bool_, [False, True])
    with pytest.raises(ValueError, match=r"Cannot read a .*OnAnotherDevice: the data lie on the moon"):
        mx.array(OnAnotherDevice())


def test_from_dlpack() -> None:
    check(mx.from_dlpack(SpeaksDlpack(np.arange(6, dtype=np.int8).reshape(2, 3).T)), mx.int8, [[0, 3], [1, 4], [2, 5]])
    check(mx.from_dlpack(np.array([1.5])), mx.float32, [1.5])
    check(mx.from_dlpack(mx.array([1, 2])), mx.int32, [1, 2])
    with pytest.raises(ValueError, match=r"\[from_dlpack\] Cannot make an array without a copy"):
        mx.from_dlpack(np.array([1.5]), copy=False)
    for value in (3, [1], None):
        with pytest.raises(TypeError, match=r"\[from_dlpack\] Expected an object with __dlpack__"):
            mx.from_dlpack(value)


def test_asarray() -> None:
    check(mx.asarray([(1, 2), (3, 4)]), mx.int32, [[1, 2], [3, 4]])
    check(mx.asarray(np.array([1.5]), mx.float16), mx.float16, [1.5])
    x = mx.array([1, 2])
    for made in (mx.asarray(x), mx.asarray(x, copy=True), mx.asarray(x, mx.int32)):
        made += 1
        check(made, mx.int32, [2, 3])
    check(x, mx.int32, [1, 2])
    for value in (x, np.array([1, 2], np.int32), [1, 2]):
        with pytest.raises(ValueError, match=r"\[asarray\] Cannot make an array without a copy"):
            mx.asarray(value, copy=False)


def test_questions_about_dtypes() -> None:
    x = mx.array([1], mx.int8)
    assert mx.result_type(x, mx.int16, mx.uint8) is mx.int16
    assert mx.result_type(mx.float16, mx.bfloat16) is mx.float32
    assert mx.can_cast(x, mx.int32)
    assert not mx.can_cast(mx.float64, mx.float32)
    assert mx.isdtype(mx.uint8, ("bool", "unsigned integer"))
    assert mx.isdtype(mx.float32, mx.float32)
    assert not mx.isdtype(mx.bool_, "numeric")
    for call in (
        lambda: mx.result_type(),
        lambda: mx.result_type(1.0),  # type: ignore[arg-type]
        lambda: mx.can_cast("int8", mx.int8),  # type: ignore[arg-type]
        lambda: mx.isdtype(mx.int8, "whole"),
        lambda: mx.isdtype(mx.int8, ["integral"]),  # type: ignore[arg-type]
    ):
        with pytest.raises(ValueError, match=r"^\[\w+\] "):
            call()
    with pytest.raises(TypeError, match=r"\[isdtype\] Expected a dtype"):
        mx.isdtype(x, "integral")  # type: ignore[arg-type]


# ---------------------------------------------------------------------- out of arrays


@by_name
def test_numpy_gets_a_copy_where_it_asks_for_one(dtype: Dtype) -> None:
    x = mx.array([0, 1, 1], dtype)
    for made in (x.__array__(copy=True), x.__array__(np.complex128)):
        assert made.tolist() == [0, 1, 1]
        made[0] = 1
    assert x.tolist() == [0, 1, 1]
    assert x.__array__(np.complex128).dtype == np.complex128
    with pytest.raises(ValueError, match="cannot be seen as complex128 without a copy"):
        x.__array__(np.complex128, copy=False)
    with pytest.raises(TypeError, match="copy must be a bool"):
        x.__array__(copy=1)  # pyright: ignore[reportArgumentType]


@by_name
def test_bytes(dtype: Dtype) -> None:
    for value in ([0, 1, 1], 1, []):
        assert bytes(mx.array(value, dtype)) == np.array(value).astype(dtype.numpy).tobytes()


@by_name
def test_copies_and_pickles(dtype: Dtype) -> None:
    x = mx.array([[0, 1], [1, 0]], dtype)
    for made in (copy.copy(x), copy.deepcopy(x), *[pickle.loads(pickle.dumps(x, n)) for n in range(6)]):
        check(made, dtype, [[0, 1], [1, 0]])
        made[0] = 1
        check(x, dtype, [[0, 1], [1, 0]])
    for state in (None, (1,), ([0, 1], mx.int32)):
        with pytest.raises(TypeError, match=r"\[array\] A pickled array has its values and its dtype as state"):
            x.__setstate__(state)  # type: ignore[arg-type]
    both = copy.deepcopy([x, x])
    assert both[0] is both[1]
    assert pickle.loads(pickle.dumps(mx.array(2**31))).item() == 2**31


def test_array_namespace() -> None:
    assert mx.array(1).__array_namespace__() is mx
    assert mx.array(1).__array_namespace__(api_version="2023.12") is mx
    with pytest.raises(ValueError, match="is not known"):
        mx.array(1).__array_namespace__(api_version="1999.01")


@settings(max_examples=100, deadline=None)
@given(
    arrays.arrays(
        st.sampled_from([np.bool_, np.int8, np.uint64, np.float16, np.float32, np.complex64]),
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    )
)
def test_round_trips(value: np.ndarray) -> None:
    x = mx.array(value)
    assert x.shape == value.shape
    np.testing.assert_array_equal(np.array(x), value)
    np.testing.assert_array_equal(np.from_dlpack(x), value)
    if value.size and value.ndim:
        np.testing.assert_array_equal(np.array(mx.array(value.tolist(), x.dtype)), value)


def test_functions_of_numpy_compute_with_the_values() -> None:
    x = mx.array([[1.0, 2.0], [3.0, 4.0]])
    assert np.sum(x) == 10.0
    assert np.mean(x, axis=0).tolist() == [2.0, 3.0]
    assert np.all(np.array([[1.0, 2.0], [3.0, 4.0]], np.float32) == x)
    assert isinstance(np.concatenate([x, np.zeros((1, 2))]), np.ndarray)
    assert np.concatenate([x, np.zeros((1, 2))]).tolist() == [[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]]
    assert np.shape(x) == (2, 2)
    assert np.where(x > 2, x, 0).tolist() == [[0.0, 0.0], [3.0, 4.0]]
    assert np.allclose(x, x)

"""Class `array` itself: what it says of itself, its value as Python's numbers, its methods, and errors that teach."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mlx.core as mx
from mlx.ir.dtypes import ALL_DTYPES, Dtype

by_name = pytest.mark.parametrize("dtype", ALL_DTYPES, ids=lambda dtype: dtype.name)


# ---------------------------------------------------------------------- what it is


@by_name
def test_attributes(dtype: Dtype) -> None:
    x = mx.zeros((2, 0, 3), dtype)
    assert (x.shape, x.ndim, x.size, x.nbytes) == ((2, 0, 3), 3, 0, 0)
    x = mx.zeros((2, 5, 3), dtype)
    assert (x.dtype, x.itemsize, x.size, x.nbytes) == (dtype, dtype.numpy.itemsize, 30, 30 * dtype.numpy.itemsize)
    assert (mx.array(1, dtype).shape, mx.array(1, dtype).size) == ((), 1)


def test_attributes_need_no_evaluation() -> None:
    x = mx.zeros((2, 3)) + 1
    assert (x.shape, len(x), x.T.shape, x.dtype) == ((2, 3), 2, (3, 2), mx.float32)
    assert x._node.value is None


def test_transposes() -> None:
    value = np.arange(24).reshape(2, 3, 4)
    x = mx.array(value)
    assert x.T.tolist() == value.T.tolist()
    assert x.mT.tolist() == value.swapaxes(1, 2).tolist()


def test_parts() -> None:
    x = mx.array([1 + 2j, 3 - 4j])
    assert x.real.tolist() == [1.0, 3.0]
    assert x.imag.tolist() == [2.0, -4.0]
    assert mx.array([1.5]).real.tolist() == [1.5]
    assert mx.array([1.5]).imag.tolist() == [0.0]


def test_length_and_iteration() -> None:
    x = mx.arange(6).reshape(3, 2)
    assert len(x) == 3
    assert [row.tolist() for row in x] == [[0, 1], [2, 3], [4, 5]]
    a, b, c = x
    assert (a + b + c).tolist() == [6, 9]
    iterator = iter(x)
    assert iter(iterator) is iterator
    assert next(iterator).tolist() == [0, 1]
    assert list(mx.zeros((0, 2))) == []
    assert dict(zip("ab", mx.array([1, 2]), strict=True))["b"].item() == 2
    for call in (lambda: len(mx.array(1)), lambda: iter(mx.array(1))):
        with pytest.raises(TypeError, match="0-dimensional array"):
            call()


def test_hash_is_identity() -> None:
    x, y = mx.array([1, 2]), mx.array([1, 2])
    assert {x: 1, y: 2}[y] == 2
    assert len({x, y, x}) == 2
    before = hash(x)
    x += 1
    assert hash(x) == before


def test_weak_references() -> None:
    x = mx.array([1, 2])
    reference = weakref.ref(x)
    assert reference() is x
    del x
    gc.collect()
    assert reference() is None


def test_long_chains_are_built_and_freed() -> None:
    x = mx.array([1.0, 2.0])
    for _ in range(50_000):
        x = x + 1
    assert x.tolist() == [50_001.0, 50_002.0]
    for _ in range(50_000):
        x = x + 1
    del x


# ---------------------------------------------------------------------- its value


@by_name
def test_numbers(dtype: Dtype) -> None:
    x = mx.array(1, dtype)
    kind = type(x.item())
    assert kind is (
        bool
        if dtype is mx.bool_
        else int
        if mx.issubdtype(dtype, mx.integer)
        else float
        if mx.issubdtype(dtype, mx.floating)
        else complex
    )
    assert mx.array([[1]], dtype).item() == 1
    assert mx.array([[1, 0]], dtype).tolist() == [[1, 0]]
    assert type(mx.array([1], dtype).tolist()[0]) is kind
    assert x.tolist() == 1
    assert bool(x) is True
    assert bool(mx.array([0], dtype)) is False
    assert complex(x) == 1 + 0j
    if dtype is not mx.complex64:
        assert (int(x), float(x)) == (1, 1.0)


def test_values_of_every_width() -> None:
    assert mx.array(0.1).item() == float(np.float32(0.1))
    assert mx.array(0.1, mx.float64).item() == 0.1
    assert mx.array(0.1, mx.bfloat16).item() == 0.10009765625
    assert mx.array(2**64 - 1, mx.uint64).item() == 2**64 - 1
    assert mx.array(-(2**63), mx.int64).tolist() == -(2**63)
    assert math.isnan(mx.array(float("nan"), mx.float16).item())
    assert int(mx.array(-1.9)) == -1
    assert math.sqrt(mx.array(4.0)) == 2.0


def test_only_one_element_is_a_number() -> None:
    for shape in ((2,), (0,), (2, 1)):
        x = mx.zeros(shape)
        for convert in (int, float, complex, bool, mx.array.item):
            with pytest.raises(ValueError, match=r"^\[convert\] Only length-1 arrays can be converted"):
                convert(x)


def test_complex_numbers_are_no_real_ones() -> None:
    for convert in (int, float):
        with pytest.raises(TypeError, match="complex"):
            convert(mx.array(1j))


@by_name
def test_index(dtype: Dtype) -> None:
    x = mx.array(2, dtype)
    if mx.issubdtype(dtype, mx.integer):
        assert [10, 20, 30][x] == 30
        assert list(range(x)) == [0, 1]
    else:
        with pytest.raises(TypeError, match=r"\[index\] Only 0-dimensional integer arrays"):
            range(x)
    with pytest.raises(TypeError, match=r"\[index\] Only 0-dimensional integer arrays"):
        [1, 2][mx.array([1], dtype)]


def test_branches_on_values() -> None:
    x = mx.array(3.0)
    while x > 1:
        x = x / 2
    assert x.item() == 0.75
    assert not mx.array(0.0)
    assert (mx.array(0) or "zero") == "zero"


# ---------------------------------------------------------------------- methods

x23 = mx.array([[1.0, -2.0, 0.5], [4.0, 5.0, -0.25]])
METHODS: dict[str, tuple[Callable[[mx.array], Any], Callable[[mx.array], Any]]] = {
    "abs": (lambda x: x.abs(), lambda x: mx.abs(x)),
    "all": (lambda x: x.all(axis=1, keepdims=True), lambda x: mx.all(x, 1, True)),
    "any": (lambda x: x.any(0), lambda x: mx.any(x, 0)),
    "argmax": (lambda x: x.argmax(axis=1), lambda x: mx.argmax(x, 1)),
    "argmin": (lambda x: x.argmin(1, True), lambda x: mx.argmin(x, 1, True)),
    "astype": (lambda x: x.astype(mx.int32), lambda x: mx.array([[1, -2, 0], [4, 5, 0]])),
    "conj": (lambda x: x.conj(), lambda x: mx.conj(x)),
    "cos": (lambda x: x.cos(), lambda x: mx.cos(x)),
    "cummax": (lambda x: x.cummax(axis=1), lambda x: mx.cummax(x, 1)),
    "cummin": (lambda x: x.cummin(0, reverse=True), lambda x: mx.cummin(x, 0, reverse=True)),
    "cumprod": (lambda x: x.cumprod(1, inclusive=False), lambda x: mx.cumprod(x, 1, inclusive=False)),
    "cumsum": (lambda x: x.cumsum(axis=0), lambda x: mx.cumsum(x, 0)),
    "diag": (lambda x: x.diag(k=1), lambda x: mx.diag(x, 1)),
    "diagonal": (lambda x: x.diagonal(1), lambda x: mx.diagonal(x, 1)),
    "exp": (lambda x: x.exp(), lambda x: mx.exp(x)),
    "flatten": (lambda x: x.flatten(), lambda x: mx.flatten(x)),
    "log": (lambda x: x.abs().log(), lambda x: mx.log(mx.abs(x))),
    "log10": (lambda x: x.abs().log10(), lambda x: mx.log10(mx.abs(x))),
    "log1p": (lambda x: x.abs().log1p(), lambda x: mx.log1p(mx.abs(x))),
    "log2": (lambda x: x.abs().log2(), lambda x: mx.log2(mx.abs(x))),
    "logcumsumexp": (lambda x: x.logcumsumexp(1), lambda x: mx.logcumsumexp(x, 1)),
    "logsumexp": (lambda x: x.logsumexp(axis=-1), lambda x: mx.logsumexp(x, -1)),
    "max": (lambda x: x.max(0), lambda x: mx.max(x, 0)),
    "mean": (lambda x: x.mean((0, 1), keepdims=True), lambda x: mx.mean(x, keepdims=True)),
    "min": (lambda x: x.min(), lambda x: mx.min(x)),
    "moveaxis": (lambda x: x.moveaxis(0, 1), lambda x: mx.transpose(x)),
    "prod": (lambda x: x.prod(axis=0), lambda x: mx.prod(x, 0)),
    "reciprocal": (lambda x: x.reciprocal(), lambda x: 1 / x),
    "reshape": (lambda x: x.reshape(3, 2), lambda x: mx.reshape(x, (3, 2))),
    "reshape of a sequence": (lambda x: x.reshape([-1, 1]), lambda x: mx.reshape(x, (6, 1))),
    "round": (lambda x: x.round(decimals=1), lambda x: mx.round(x, 1)),
    "rsqrt": (lambda x: x.abs().rsqrt(), lambda x: mx.rsqrt(mx.abs(x))),
    "sin": (lambda x: x.sin(), lambda x: mx.sin(x)),
    "split": (lambda x: x.split(3, axis=1)[2], lambda x: mx.split(x, 3, 1)[2]),
    "sqrt": (lambda x: x.abs().sqrt(), lambda x: mx.sqrt(mx.abs(x))),
    "square": (lambda x: x.square(), lambda x: x * x),
    "squeeze": (lambda x: x.reshape(2, 1, 3).squeeze(1), lambda x: x),
    "std": (lambda x: x.std(axis=1, ddof=1), lambda x: mx.std(x, 1, ddof=1)),
    "std with correction": (lambda x: x.std(axis=1, correction=1), lambda x: mx.std(x, 1, ddof=1)),
    "sum": (lambda x: x.sum(axis=1), lambda x: mx.sum(x, 1)),
    "swapaxes": (lambda x: x.swapaxes(0, 1), lambda x: mx.transpose(x)),
    "transpose": (lambda x: x.transpose(), lambda x: mx.transpose(x)),
    "transpose of axes": (lambda x: x.transpose(1, 0), lambda x: mx.transpose(x)),
    "transpose of a sequence": (lambda x: x.transpose([0, 1]), lambda x: x),
    "var": (lambda x: x.var(0), lambda x: mx.var(x, 0)),
    "var with correction": (lambda x: x.var(0, correction=1), lambda x: mx.var(x, 0, ddof=1)),
    "view": (lambda x: x.view(mx.uint32), lambda x: mx.view(x, mx.uint32)),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_their_functions(name: str) -> None:
    method, function = METHODS[name]
    ours, expected = method(x23), function(x23)
    assert ours.dtype is expected.dtype
    assert ours.tolist() == expected.tolist()


def test_every_method_is_tried() -> None:
    public = {name for name, value in vars(mx.array).items() if callable(value) and not name.startswith("_")}
    assert public - {name.split()[0] for name in METHODS} == {"item", "tolist"}


def test_methods_take_streams() -> None:
    assert mx.array([1.0, 2.0]).sum(stream=mx.cpu).item() == 3.0


# ---------------------------------------------------------------------- errors that teach


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("backward", "use mx.value_and_grad"),
        ("grad", "use mx.value_and_grad"),
        ("requires_grad_", "every argument of mx.grad is differentiated"),
        ("detach", "use mx.stop_gradient(x)"),
        ("numpy", "use numpy.array(x)"),
        ("cuda", "need no moving"),
        ("to", "use x.astype(dtype)"),
        ("unsqueeze", "use mx.expand_dims(x, axis)"),
        ("sigmoid", "use mx.sigmoid(x)"),
        ("tanh", "use mx.tanh(x)"),
        ("repeat", "use mx.repeat(x)"),
        ("add_", "write x += y"),
    ],
)
def test_habits_from_elsewhere(name: str, remedy: str) -> None:
    with pytest.raises(AttributeError) as error:
        getattr(mx.array(1.0), name)
    assert str(error.value).startswith(f"'array' object has no attribute '{name}': ")
    assert remedy in str(error.value)


def test_unknown_attributes() -> None:
    x = mx.array(1.0)
    with pytest.raises(AttributeError, match=r"^'array' object has no attribute 'nonsense'$"):
        x.nonsense  # noqa: B018
    assert not hasattr(x, "joining")  # a module of functions
    assert getattr(x, "nonsense", 3) == 3


@pytest.mark.parametrize("name", ["note", "grad", "shape", "dtype", "T"])
def test_arrays_take_no_attributes(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(mx.array(1.0), name, 1)

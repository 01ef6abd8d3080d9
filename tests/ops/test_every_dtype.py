"""Functions made of others, on every dtype, against NumPy: differences, products, sums of diagonals, medians, views.

Numbers are small integers, which every dtype holds and all arithmetic here keeps exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mlx.core as mx

INTEGERS = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
INEXACT = ("float16", "bfloat16", "float32", "float64", "complex64")
ALL = ("bool_", *INTEGERS, *INEXACT)


def sample(dtype: str, *shape: int, seed: int = 0) -> mx.array:
    numbers = np.random.default_rng(seed).integers(0 if dtype[0] in "ub" else -3, 2 if dtype == "bool_" else 5, shape)
    x = mx.array(numbers.astype(np.float32)).astype(getattr(mx, dtype))
    return x + 1j * x[..., ::-1] if dtype == "complex64" else x


def wide(x: mx.array) -> Any:
    """The same numbers in a NumPy dtype that no result here overflows."""
    if x.dtype in (mx.float16, mx.bfloat16):
        x = x.astype(mx.float32)
    values = np.array(x)
    kind = values.dtype.kind
    return values if kind == "b" else values.astype({"c": np.complex128, "f": np.float64}.get(kind, np.int64))


def check(mine: mx.array, expected: Any, dtype: mx.Dtype) -> None:
    assert mine.dtype == dtype
    assert mine.shape == np.shape(expected)
    if mx.issubdtype(dtype, mx.unsignedinteger):
        np.testing.assert_array_equal(mine, np.asarray(expected).astype(np.array(mine).dtype))  # modulo the word
    else:
        np.testing.assert_array_equal(wide(mine), expected)


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize(("n", "axis"), [(0, 0), (1, 0), (1, -1), (2, 1), (9, 1)])
def test_diff(dtype: str, n: int, axis: int) -> None:
    x = sample(dtype, 3, 4)
    check(mx.diff(x, n, axis), np.diff(wide(x), n, axis), x.dtype)
    check(mx.diff(x[:, :0], n, axis), np.diff(wide(x)[:, :0], n, axis), x.dtype)


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize("shapes", [((2,), (3,)), ((), (2,)), ((), ()), ((2, 2), (3,)), ((2, 1, 2), (2, 3))])
def test_kron(dtype: str, shapes: Any) -> None:
    a, b = (sample(dtype, *shape, seed=i) if shape else sample(dtype, 1)[0] for i, shape in enumerate(shapes))
    check(mx.kron(a, b), np.kron(wide(a), wide(b)), a.dtype)


@pytest.mark.parametrize("dtype", ALL)
def test_outer(dtype: str) -> None:
    a, b = sample(dtype, 2, 2), sample(dtype, 3, seed=1)
    check(mx.outer(a, b), np.outer(wide(a), wide(b)), a.dtype)
    check(mx.outer(a, b[:0]), np.zeros((4, 0)), a.dtype)


def summed(dtype: str) -> mx.Dtype:
    """The dtype of a sum."""
    if dtype in ("bool_", "int8", "int16"):
        return mx.int32
    return mx.uint32 if dtype in ("uint8", "uint16") else getattr(mx, dtype)


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize(("offset", "axes"), [(0, (0, 1)), (1, (0, 1)), (-1, (1, 0)), (0, (-1, 0)), (7, (1, 2))])
def test_trace(dtype: str, offset: int, axes: tuple[int, int]) -> None:
    x = sample(dtype, 3, 4, 2)
    expected = np.trace(wide(x), offset, *axes)
    check(mx.trace(x, offset, *axes), expected, mx.trace(x).dtype)
    check(mx.trace(x, offset, *axes, dtype=mx.complex64), expected, mx.complex64)
    assert mx.trace(x).dtype == summed(dtype)


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_vecdot(dtype: str, axis: int) -> None:
    a, b = sample(dtype, 2, 3), sample(dtype, 2, 3, seed=1)
    check(mx.vecdot(a, b, axis=axis), np.sum(wide(a).conj() * wide(b), axis), summed(dtype))


@pytest.mark.parametrize("dtype", ALL)
def test_products_that_are_sums(dtype: str) -> None:
    a, b = sample(dtype, 2, 3), sample(dtype, 4, 3, seed=1)
    calls: list[tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = [
        (mx.inner, np.inner),
        (lambda a, b: mx.inner(a[:, :0], b[:, :0]), lambda a, b: np.zeros((2, 4))),
        (lambda a, b: mx.tensordot(a, b.T, 1), lambda a, b: np.tensordot(a, b.T, 1)),
        (lambda a, b: mx.tensordot(a, b, [[-1], [1]]), lambda a, b: np.tensordot(a, b, [[-1], [1]])),
        (lambda a, b: mx.tensordot(a, b, 0), lambda a, b: np.tensordot(a, b, 0)),
    ]
    for mine, reference in calls:
        if dtype in INEXACT:
            check(mine(a, b), reference(wide(a), wide(b)), a.dtype)
        else:
            with pytest.raises(ValueError, match="Only inexact types"):
                mine(a, b)
    assert mx.inner(a, a[0, 0]).dtype == a.dtype


@pytest.mark.parametrize("dtype", ALL)
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("sizes", [(5, 3), (3, 5), (4, 4), (5, 2), (2, 4), (1, 1)])
def test_convolve(dtype: str, mode: Any, sizes: tuple[int, int]) -> None:
    a, v = (sample(dtype, size, seed=i) for i, size in enumerate(sizes))
    if dtype in INEXACT and dtype != "complex64":
        check(mx.convolve(a, v, mode), np.convolve(wide(a), wide(v), mode), a.dtype)
    else:
        with pytest.raises(ValueError, match="floating"):
            mx.convolve(a, v, mode)


@pytest.mark.parametrize("dtype", [name for name in ALL if name != "complex64"])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (0, 1, 2)])
def test_median(dtype: str, axis: Any) -> None:
    x = sample(dtype, 3, 2, 4)
    for keepdims in (False, True):
        expected = np.median(wide(x).astype(np.float64), axis=axis, keepdims=keepdims)
        check(mx.median(x, axis, keepdims), expected, x.dtype if dtype in INEXACT else mx.float32)


@pytest.mark.parametrize("dtype", [name for name in ALL if name != "bool_"])
@pytest.mark.parametrize("other", ALL)
def test_views_are_the_same_bits(dtype: str, other: str) -> None:
    x = sample(dtype, 3, 16)
    view = mx.view(x, getattr(mx, other))
    assert view.shape == (3, 16 * x.itemsize // view.itemsize)
    if other != "bool_":  # any bits but zero are True
        assert bytes(mx.view(view, mx.uint8)) == bytes(mx.view(x, mx.uint8))
        np.testing.assert_array_equal(wide(mx.view(view, x.dtype)), wide(x))
    assert mx.view(x[:, :0], view.dtype).shape == (3, 0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_nan_to_num(dtype: str) -> None:
    kind = getattr(mx, dtype)
    x = mx.array([mx.nan, mx.inf, -mx.inf, 1.5]).astype(kind)
    largest = mx.finfo(kind).max
    check(mx.nan_to_num(x), [0, largest, -largest, 1.5], kind)
    check(mx.nan_to_num(x, nan=2, posinf=3, neginf=-4), [2, 3, -4, 1.5], kind)

"""Sorting, partitions, largest elements, medians and search: values, ties, NaNs, dtypes, gradients and errors."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import mlx.core as mx
from mlx.ir.dtypes import ALL_DTYPES

INF, NAN = float("inf"), float("nan")


@pytest.fixture(params=("numpy", "xla"))
def engine(request: Any) -> Any:
    with mx.engine(request.param):
        yield


@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=lambda dtype: dtype.name)
def test_dtypes(dtype: Any) -> None:
    x = mx.array([1, 0, 1]).astype(dtype)
    for values in (mx.sort(x), mx.partition(x, 1), mx.topk(x, 3)):
        assert values.dtype == dtype
        assert values.tolist() == [0, 1, 1]
    for positions in (mx.argsort(x), mx.argpartition(x, 1)):
        assert positions.dtype == mx.uint32
        assert positions.tolist() == [1, 0, 2]
    found = mx.searchsorted(mx.sort(x), x, side="right")
    assert found.dtype == mx.uint32
    assert found.tolist() == [3, 1, 3]


def test_axes(engine: None) -> None:
    x = mx.array([[5, 2, 4], [1, 6, 3]])
    assert mx.sort(x).tolist() == [[2, 4, 5], [1, 3, 6]]
    assert mx.sort(x, 0).tolist() == [[1, 2, 3], [5, 6, 4]]
    assert mx.sort(x, None).tolist() == [1, 2, 3, 4, 5, 6]
    assert mx.argsort(x, -2).tolist() == [[1, 0, 1], [0, 1, 0]]
    assert mx.topk(x, 2, 1).tolist() == [[4, 5], [3, 6]]
    assert mx.topk(x, 1, 0).tolist() == [[5, 6, 4]]
    assert mx.topk(x, 2, None).tolist() == [5, 6]
    assert mx.sort(mx.zeros((0, 3)), 0).shape == (0, 3)
    assert mx.topk(mx.zeros((0,)), 0).shape == (0,)
    assert mx.sort(mx.array(1.0), None).tolist() == [1]


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float32, mx.float64], ids=lambda dtype: dtype.name)
def test_order_of_special_values(engine: None, dtype: Any) -> None:
    x = mx.array([NAN, 1, NAN, -INF, INF, -NAN, 0.0, -0.0], dtype)
    np.testing.assert_array_equal(np.array(mx.sort(x).astype(mx.float32)), [-INF, 0, 0, 1, INF, NAN, NAN, NAN])
    assert mx.argsort(x).tolist() == [3, 6, 7, 1, 4, 0, 2, 5]
    assert np.isnan(mx.topk(x, 3).tolist()).all()


def test_order_of_complex_numbers(engine: None) -> None:
    x = mx.array([complex(NAN, 1), 1 + 2j, complex(1, NAN), complex(0, NAN), 5 + 1j, 1 - 5j, -1 + 7j])
    assert mx.argsort(x).tolist() == [6, 5, 1, 4, 0, 2, 3]
    assert mx.sort(x)[:4].tolist() == [-1 + 7j, 1 - 5j, 1 + 2j, 5 + 1j]


def test_equal_elements_keep_their_order(engine: None) -> None:
    x = np.random.default_rng(0).integers(0, 3, (4, 200))
    for dtype in (mx.int32, mx.float32, mx.uint8, mx.int64, mx.float64, mx.bool_):
        sorted_as = mx.array(x).astype(dtype)
        expected = np.argsort(np.array(sorted_as), kind="stable")
        np.testing.assert_array_equal(np.array(mx.argsort(sorted_as)), expected)


def test_extreme_integers(engine: None) -> None:
    for dtype in (mx.int32, mx.uint32, mx.int64, mx.uint64):
        limits = mx.iinfo(dtype)
        x = mx.array([limits.max, 1, limits.min], dtype)
        assert mx.argsort(x).tolist() == [2, 1, 0]
        assert mx.topk(x, 1).tolist() == [limits.max]


def test_partition_separates(engine: None) -> None:
    x = mx.array(np.random.default_rng(1).normal(size=(3, 50)))
    for kth in (0, 20, -1, -50):
        parts = np.array(mx.partition(x, kth))
        pivot = parts[:, kth][:, None]
        where = kth % 50
        assert (parts[:, :where] <= pivot).all()
        assert (parts[:, where:] >= pivot).all()
        positions = np.array(mx.argpartition(x, kth)).astype(np.intp)
        np.testing.assert_array_equal(np.take_along_axis(np.array(x), positions, 1)[:, kth], pivot[:, 0])


@pytest.mark.parametrize("k", [0, 1, 3, 40, 200])
def test_topk_as_numpy(engine: None, k: int) -> None:
    x = np.random.default_rng(k).integers(0, 30, (2, 200, 3))
    for dtype in (mx.float32, mx.int32, mx.bfloat16):
        top = mx.topk(mx.array(x).astype(dtype), k, axis=1)
        np.testing.assert_array_equal(np.array(top.astype(mx.int32)), np.sort(x, 1)[:, 200 - k :])


def test_errors() -> None:
    x = mx.zeros((2, 3))
    for function in (mx.sort, mx.argsort):
        with pytest.raises(IndexError, match=r"^\[\w+\] .*axis 2"):
            function(x, 2)
        with pytest.raises(IndexError):
            function(mx.array(1.0))
        with pytest.raises(TypeError, match="axis must be an int"):
            function(x, (0, 1))
        with pytest.raises(TypeError, match=r"a must be an mx\.array"):
            function([2, 1])
    for function in (mx.partition, mx.argpartition):
        for kth in (3, -4):
            with pytest.raises(ValueError, match=r"^\[\w+\] Received invalid kth"):
                function(x, kth)
    for k in (4, -1):
        with pytest.raises(ValueError, match=r"^\[topk\] Received invalid k="):
            mx.topk(x, k)
    with pytest.raises(TypeError, match="k must be an int"):
        mx.topk(x, 1.0)


def test_gradients_go_back_where_values_came_from(engine: None) -> None:
    x = mx.array([3.0, 1.0, 2.0])
    weight = mx.array([10.0, 20.0, 30.0])
    assert mx.grad(lambda x: (mx.sort(x) * weight).sum())(x).tolist() == [30, 10, 20]
    assert mx.grad(lambda x: mx.partition(x, 1)[0])(x).tolist() == [0, 1, 0]
    assert mx.grad(lambda x: (mx.topk(x, 2) * weight[:2]).sum())(x).tolist() == [20, 0, 10]
    assert mx.grad(lambda x: (mx.sort(x) ** 2 * weight).sum())(x).tolist() == [180, 20, 80]
    assert mx.grad(lambda x: mx.argsort(x).astype(mx.float32).sum())(x).tolist() == [0, 0, 0]


def test_median(engine: None) -> None:
    x = mx.array([[5, 1, 3, 2], [1, 2, 100, 4]])
    assert mx.median(x).item() == 2.5
    assert mx.median(x, 1).tolist() == [2.5, 3]
    assert mx.median(x, 0, True).tolist() == [[3, 1.5, 51.5, 3]]
    assert mx.median(mx.arange(24).reshape(2, 3, 4), (2, 0)).tolist() == [7.5, 11.5, 15.5]
    assert mx.median(mx.arange(24).reshape(2, 3, 4), (0, 2), keepdims=True).shape == (1, 3, 1)
    assert np.isnan(mx.median(mx.array([1.0, NAN, 3.0, -1.0, 7.0])).item())
    assert np.isnan(mx.median(mx.array([INF, -INF])).item())
    assert mx.median(mx.array([60000.0, 60000.0], mx.float16)).item() == 60000
    assert mx.grad(mx.median)(mx.array([3.0, 1.0, 2.0, 5.0])).tolist() == [0.5, 0, 0.5, 0]
    assert mx.grad(mx.median)(mx.array([3.0, 1.0, 2.0])).tolist() == [0, 0, 1]
    with pytest.raises(IndexError, match=r"\[median\] Invalid axis 1 for array with 1 dim"):
        mx.median(mx.zeros((3,)), (0, 1))


def test_searchsorted(engine: None) -> None:
    line = mx.array([1.0, 2.0, 2.0, 3.0])
    values = mx.array([[2.0, 0.0], [5.0, NAN]])
    assert mx.searchsorted(line, values).tolist() == [[1, 0], [4, 4]]
    assert mx.searchsorted(line, values, side="right").tolist() == [[3, 0], [4, 4]]
    with_nan = mx.array([1.0, 2.0, NAN, NAN])
    assert mx.searchsorted(with_nan, mx.array([NAN, 3.0, 1.0])).tolist() == [2, 2, 0]
    assert mx.searchsorted(with_nan, mx.array([NAN, 3.0, 1.0]), side="right").tolist() == [4, 2, 1]
    assert mx.searchsorted(mx.array([1, 2], mx.int8), mx.array([300])).tolist() == [2]
    assert mx.searchsorted(mx.array([1, 2]), mx.array([1.5])).tolist() == [1]
    assert mx.searchsorted(mx.zeros((0,)), mx.array([1.0])).tolist() == [0]
    assert mx.searchsorted(line, mx.zeros((0,))).shape == (0,)
    assert mx.searchsorted(line, mx.array(2.5)).item() == 3
    for n in (1, 2, 3, 7, 8, 9):
        evens = mx.arange(0, 2 * n, 2)
        asked = np.arange(-1, 2 * n + 1)
        expected = np.searchsorted(np.arange(0, 2 * n, 2), asked)
        np.testing.assert_array_equal(np.array(mx.searchsorted(evens, mx.array(asked))), expected)


def test_errors_of_searchsorted() -> None:
    line, values = mx.array([1, 2]), mx.array([1])
    with pytest.raises(ValueError, match="Invalid side 'x'"):
        mx.searchsorted(line, values, side="x")
    for shape in ((), (2, 2)):
        with pytest.raises(ValueError, match="must be 1-D but has"):
            mx.searchsorted(mx.zeros(shape), values)
    with pytest.raises(TypeError, match=r"values must be an mx\.array"):
        mx.searchsorted(line, 1)
    with pytest.raises(TypeError, match=r"sorted_sequence must be an mx\.array"):
        mx.searchsorted([1, 2], values)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("side", ["left", "right"])
def test_search_in_lines_of_their_own(side: Any) -> None:
    rng = np.random.default_rng(0)
    lines = np.sort(rng.integers(0, 9, (4, 3, 7)).astype(np.float32), -1)
    values = rng.integers(-1, 10, (4, 3, 5)).astype(np.float32)
    lines[0, 0, -2:] = values[0, 0, 0] = NAN

    def search(line: Any, wanted: Any) -> Any:
        return mx.searchsorted(line, wanted, side=side)

    def check(mapped: Any, lines: Any, values: Any) -> None:
        lines, values = np.broadcast_to(lines, (4, 3, 7)), np.broadcast_to(values, (4, 3, 5))
        expected = [[np.searchsorted(lines[i, j], values[i, j], side) for j in range(3)] for i in range(4)]
        np.testing.assert_array_equal(np.array(mapped), expected)

    check(mx.vmap(mx.vmap(search))(mx.array(lines), mx.array(values)), lines, values)
    for inner, outer in itertools.product([(0, 0), (0, None), (None, 0)], repeat=2):
        # Along an axis that is not mapped all entries are the first one.
        mine = [
            x[:: 1 if out == 0 else 4, :: 1 if within == 0 else 3]
            for x, out, within in zip((lines, values), outer, inner, strict=True)
        ]
        arguments = [
            mx.array(x[tuple(slice(None) if axis == 0 else 0 for axis in (out, within))])
            for x, out, within in zip(mine, outer, inner, strict=True)
        ]
        check(mx.vmap(mx.vmap(search, inner), outer)(*arguments), *mine)

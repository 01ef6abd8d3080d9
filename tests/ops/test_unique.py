"""The different elements of an array: values, index, inverse and counts against NumPy, and what is left over."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx

ENGINES = ("numpy", "xla")
DTYPES = (
    *(mx.bool_, mx.uint8, mx.uint16, mx.uint32, mx.uint64, mx.int8, mx.int16, mx.int32, mx.int64),
    *(mx.float16, mx.bfloat16, mx.float32, mx.float64, mx.complex64),
)


def all_of(*arguments: Any, **options: Any) -> Any:
    return [np.array(out) for out in mx.unique(*arguments, True, True, True, **options)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shape", [(50,), (5, 10), (1,), ()])
def test_like_numpy_where_the_size_fits(engine: str, shape: tuple[int, ...]) -> None:
    a = np.random.default_rng(0).integers(-9, 9, shape).astype(np.int32)
    expected = np.unique(a, True, True, True)
    with mx.engine(engine):
        values, index, inverse, counts = all_of(mx.array(a), len(expected[0]))
    for mine, theirs in zip((values, index, counts), (expected[0], expected[1], expected[3]), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert inverse.shape == shape
    np.testing.assert_array_equal(values[inverse], a)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(engine: str, dtype: mx.Dtype) -> None:
    with mx.engine(engine):
        a = mx.array([1, 0, 1, 1]).astype(dtype)
        values, index, inverse, counts = mx.unique(a, 3, True, True, True)
        assert [x.dtype for x in (values, index, inverse, counts)] == [dtype, mx.uint32, mx.uint32, mx.int32]
        assert values.tolist() == [0, 1, 0]
        assert index.tolist() == [1, 0, 1]
        assert inverse.tolist() == [1, 0, 1, 1]
        assert counts.tolist() == [1, 3, 0]


@pytest.mark.parametrize("engine", ENGINES)
def test_sizes_too_small_and_too_large(engine: str) -> None:
    """As MLX 0.32.4 gives it."""
    a = mx.array([[2, 1, 2], [3, 1, 7]])
    expected = {
        0: ([], [], [[0, 0, 0], [0, 0, 0]], []),
        1: ([1], [1], [[0, 0, 0], [0, 0, 0]], [2]),
        2: ([1, 2], [1, 0], [[1, 0, 1], [1, 0, 1]], [2, 2]),
        4: ([1, 2, 3, 7], [1, 0, 3, 5], [[1, 0, 1], [2, 0, 3]], [2, 2, 1, 1]),
        6: ([1, 2, 3, 7, 1, 1], [1, 0, 3, 5, 1, 1], [[1, 0, 1], [2, 0, 3]], [2, 2, 1, 1, 0, 0]),
        8: ([1, 2, 3, 7] + [1] * 4, [1, 0, 3, 5] + [1] * 4, [[1, 0, 1], [2, 0, 3]], [2, 2, 1, 1] + [0] * 4),
    }
    with mx.engine(engine):
        for size, outputs in expected.items():
            assert tuple(out.tolist() for out in all_of(a, size)) == outputs


@pytest.mark.parametrize("engine", ENGINES)
def test_nans_differ_and_zeros_are_equal(engine: str) -> None:
    with mx.engine(engine):
        a = mx.array([mx.nan, 1.0, mx.nan, mx.inf, -mx.inf, 0.0, -0.0, mx.nan])
        values, index, inverse, counts = all_of(a, 8)
        np.testing.assert_array_equal(values, [-np.inf, 0, 1, np.inf, np.nan, np.nan, np.nan, -np.inf])
        assert index.tolist() == [4, 5, 1, 3, 0, 2, 7, 4]
        assert inverse.tolist() == [4, 2, 5, 3, 0, 1, 1, 6]
        assert counts.tolist() == [1, 2, 1, 1, 1, 1, 1, 0]
        assert (1 / mx.unique(mx.array([-0.0, 0.0]), 1)).item() == -np.inf  # the first one


def test_complex_numbers_are_ordered_as_sorted() -> None:
    a = mx.array([1 + 2j, 1 + 1j, 1 + 2j, complex(np.nan, 1), complex(1, np.nan)])
    values, index, inverse, counts = all_of(a, 5)
    np.testing.assert_array_equal(values, np.array(mx.sort(a))[[0, 1, 3, 4, 0]])
    assert (index.tolist(), inverse.tolist(), counts.tolist()) == ([1, 0, 3, 4, 1], [1, 0, 1, 2, 3], [1, 2, 1, 1, 0])


def test_what_is_asked_for_is_returned_in_order() -> None:
    a = mx.array([4, 2, 4])
    assert mx.unique(a, 2).tolist() == [2, 4]
    for options in ({"return_index": True}, {"return_inverse": True}, {"return_counts": True}):
        outputs = mx.unique(a, 2, **options)
        assert isinstance(outputs, tuple)
        assert len(outputs) == 2
    assert [x.tolist() for x in mx.unique(a, size=2, return_index=True, return_counts=True)] == [[2, 4], [1, 0], [1, 2]]


@pytest.mark.parametrize(
    ("fill", "expected"), [(0, 0), (0.7, 0), (True, 1), (mx.array(9.5), 9), (mx.array([[9]]), 9), (np.int64(3), 3)]
)
def test_fill_values(fill: Any, expected: int) -> None:
    values, index, _, counts = all_of(mx.array([5, 6]), 4, fill_value=fill)
    assert values.tolist() == [5, 6, expected, expected]
    assert (index.tolist(), counts.tolist()) == ([0, 1, 0, 0], [1, 1, 0, 0])


@pytest.mark.parametrize("shape", [(0,), (2, 0, 3)])
def test_nothing(shape: tuple[int, ...]) -> None:
    values, index, inverse, counts = all_of(mx.zeros(shape), 3, fill_value=2.0)
    assert (values.tolist(), index.tolist(), counts.tolist()) == ([2, 2, 2], [0, 0, 0], [0, 0, 0])
    assert inverse.shape == shape
    assert mx.unique(mx.zeros(shape), 0).shape == (0,)
    with pytest.raises(ValueError, match=r"^\[unique\] A fill value is required"):
        mx.unique(mx.zeros(shape), 3)


@pytest.mark.parametrize("engine", ENGINES)
def test_gradients_go_to_the_first_occurrences(engine: str) -> None:
    weights = mx.array([1.0, 2.0, 3.0, 4.0, 5.0])

    def weighed(x: Any, fill: Any = None) -> Any:
        return (mx.unique(x, 5, fill_value=fill) * weights).sum()

    with mx.engine(engine):
        x = mx.array([3.0, 1.0, 3.0, 2.0])
        assert mx.grad(weighed)(x).tolist() == [3, 1 + 4 + 5, 0, 2]
        gradients = mx.grad(weighed, (0, 1))(x, mx.array(7.0))
        assert [g.tolist() for g in gradients] == [[3, 1, 0, 2], 9]
        _, (tangent,) = mx.jvp(lambda x: mx.unique(x, 3), [x], [mx.array([1.0, 10.0, 100.0, 1000.0])])
        assert tangent.tolist() == [10, 1000, 1]


def test_vmap_and_compile() -> None:
    a = mx.array([[1, 1, 2, 9], [3, 2, 1, 2]])

    def function(x: Any) -> Any:
        return mx.unique(x, 3, True, True, True)

    expected = [function(row) for row in a]
    for function_of_all in (mx.vmap(function), mx.compile(mx.vmap(function))):
        for mine, theirs in zip(function_of_all(a), zip(*expected, strict=True), strict=True):
            np.testing.assert_array_equal(mine, mx.stack(list(theirs)))
    shapeless = mx.compile(function, shapeless=True)
    for row in (a[0], a[1, :3], mx.array([5] * 7)):
        for mine, theirs in zip(shapeless(row), function(row), strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1, 2], 2), TypeError, "a must be an mx.array"),
        ((mx.array([1]), 2.0), TypeError, "size must be an int"),
        ((mx.array([1]), 2, 1), TypeError, "return_index must be True or False"),
        ((mx.array([1]), 2, False, False, "yes"), TypeError, "return_counts must be True or False"),
        ((mx.array([1]), -1), ValueError, "negative size -1"),
        ((mx.array([1]), 2, False, False, False, mx.array([1, 2])), ValueError, "must have one element"),
        ((mx.array([1]), 2, False, False, False, [1]), ValueError, "fill_value must be"),
        ((mx.array([1], mx.uint8), 2, False, False, False, 300), ValueError, "overflow"),
    ],
)
def test_errors(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mx.unique(*arguments)

"""`take`, `take_along_axis` and `put_along_axis`: NumPy over shapes and axes, dtypes, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx
from mlx.ir.dtypes import ALL_DTYPES

X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
ENGINES = ("numpy", "xla")


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize(
    "indices", [np.array([1, 0, -1]), np.array([[1], [-2]]), np.array(1), np.zeros((0,), np.int64)]
)
def test_take_as_numpy(axis: int | None, indices: np.ndarray) -> None:
    expected = np.take(X, indices, axis)
    for engine in ENGINES:
        with mx.engine(engine):
            taken = mx.take(mx.array(X), mx.array(indices), axis)
            assert taken.shape == expected.shape
            np.testing.assert_array_equal(np.array(taken), expected)


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("index", [0, 1, -1])
def test_take_one_as_numpy(axis: int | None, index: int) -> None:
    np.testing.assert_array_equal(np.array(mx.take(mx.array(X), index, axis)), np.take(X, index, axis))


def test_take_from_nothing_and_from_a_number() -> None:
    assert mx.take(mx.zeros((0, 3)), mx.array([0, 1]), axis=1).shape == (0, 2)
    assert mx.take(mx.zeros((0, 3)), mx.array([], mx.int32)).shape == (0,)
    nothing = mx.array([])
    assert mx.put_along_axis(nothing, nothing, nothing).shape == (0,)
    assert mx.take(mx.array(3.0), mx.array([0, 0])).tolist() == [3, 3]
    assert mx.take(mx.array(3.0), 0).item() == 3


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("count", [0, 1, 5])
def test_along_axis_as_numpy(axis: int, count: int) -> None:
    rng = np.random.default_rng(count)
    shape = list(X.shape)
    shape[axis] = count
    extent = X.shape[axis]
    indices = rng.integers(-extent, extent, shape)
    values = rng.normal(size=shape).astype(np.float32)
    written = X.copy()
    np.put_along_axis(written, indices, values, axis)
    for engine in ENGINES:
        with mx.engine(engine):
            x, i = mx.array(X), mx.array(indices)
            np.testing.assert_array_equal(
                np.array(mx.take_along_axis(x, i, axis)), np.take_along_axis(X, indices, axis)
            )
            np.testing.assert_array_equal(np.array(mx.put_along_axis(x, i, mx.array(values), axis)), written)


def test_along_the_flattened_axis() -> None:
    x, i = mx.array(X), mx.array([5, -1, 5])
    assert mx.take_along_axis(x, i, None).tolist() == [5, 23, 5]
    written = mx.put_along_axis(x, i, mx.array([1.0, 2, 3]))
    assert written.shape == x.shape
    assert written.reshape(-1)[i].tolist() == [3, 2, 3]  # the last of equal ones counts


def test_lines_broadcast() -> None:
    x = mx.array(X)
    row = mx.take_along_axis(x[:1], mx.array([[[0]], [[1]]]), axis=1)
    assert row.tolist() == [[[0, 1, 2, 3]], [[4, 5, 6, 7]]]
    assert mx.take_along_axis(x, mx.array([[[3, 0]]]), axis=2).shape == (2, 3, 2)
    z = mx.zeros((3, 4))
    for values in (mx.array([[1.0], [2], [3]]), mx.array([[[1.0], [2], [3]]])):
        assert mx.put_along_axis(z, mx.array([[0, 2]]), values, axis=1).tolist() == [
            [1, 0, 1, 0],
            [2, 0, 2, 0],
            [3, 0, 3, 0],
        ]
    assert mx.put_along_axis(z, mx.array([[1]]), mx.array([[5.0, 6]]), axis=1)[0].tolist() == [0, 6, 0, 0]


@pytest.mark.parametrize("engine", ENGINES)
def test_every_dtype(engine: str) -> None:
    with mx.engine(engine):
        for dtype in ALL_DTYPES:
            x = mx.array([[0, 1], [1, 1]]).astype(dtype)
            i = mx.array([[1], [0]], mx.uint32)
            results = (mx.take(x, i, 0), mx.take_along_axis(x, i, 1), mx.put_along_axis(x, i, mx.array(0.0), 1))
            assert all(result.dtype == dtype for result in results)
            assert [result.astype(mx.int32).tolist() for result in results] == [
                [[[1, 1]], [[0, 1]]],
                [[1], [1]],
                [[0, 0], [0, 1]],
            ]


@pytest.mark.parametrize("engine", ENGINES)
def test_indices_outside(engine: str) -> None:
    with mx.engine(engine):
        x, i = mx.array([[1, 2], [3, 4]]), mx.array([[5, 0], [-5, 1]])
        assert mx.take_along_axis(x, i, 1).tolist() == [[2, 1], [3, 4]]
        assert mx.put_along_axis(x, i, mx.array(0), 1).tolist() == [[0, 2], [3, 0]]
        assert mx.take(x, mx.array([9, -9])).tolist() == [4, 1]
        assert mx.take_along_axis(mx.zeros((2, 0)), i, 1).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_gradient_of_picking_classes(engine: str) -> None:
    classes = mx.array([[2], [0]])

    def loss(logits: Any) -> Any:
        return (mx.take_along_axis(logits, classes, axis=1) * mx.array([[3.0], [5.0]])).sum()

    with mx.engine(engine):
        assert mx.grad(loss)(mx.zeros((2, 3))).tolist() == [[0, 0, 3], [5, 0, 0]]
        gradients = mx.grad(lambda x, v: (mx.put_along_axis(x, classes, v, 1) * mx.array([1.0, 2, 4])).sum(), (0, 1))
        x, values = gradients(mx.zeros((2, 3)), mx.ones((2, 1)))
    assert x.tolist() == [[1, 2, 0], [0, 2, 4]]
    assert values.tolist() == [[4], [1]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x, i: mx.take(x, 24), ValueError, r"^\[take\] Index 24 is out of range"),
        (lambda x, i: mx.take(x, -4, axis=1), IndexError, "axis 1 with size 3"),
        (lambda x, i: mx.take(x, i, axis=3), IndexError, r"^\[take\] Invalid axis 3"),
        (lambda x, i: mx.take(x, [0, 1]), TypeError, "indices must be an mx.array"),
        (lambda x, i: mx.take(x, 1.0), TypeError, "float"),
        (lambda x, i: mx.take([1, 2], i), TypeError, "a must be an mx.array"),
        (lambda x, i: mx.take(x, mx.array([0.0])), ValueError, "integers, got float32"),
        (lambda x, i: mx.take(x, mx.array([True])), ValueError, "integers, got bool"),
        (lambda x, i: mx.take(mx.zeros((0, 3)), i, axis=0), ValueError, "non-empty take"),
        (lambda x, i: mx.take_along_axis(x, i), ValueError, "dimension 1 do not match an array of dimension 3"),
        (lambda x, i: mx.take_along_axis(x, i, axis=-4), IndexError, "Invalid axis -4"),
        (lambda x, i: mx.take_along_axis(x, i[:, None, None] * 1.0, axis=1), ValueError, "integers"),
        (lambda x, i: mx.take_along_axis(x, mx.zeros((2, 1, 3), mx.int32), axis=1), ValueError, "broadcast"),
        (lambda x, i: mx.put_along_axis(x, i, 1.0), TypeError, "values must be an mx.array"),
        (lambda x, i: mx.put_along_axis(x, i, mx.zeros(3)), ValueError, "broadcast"),
        (lambda x, i: mx.put_along_axis(x, i, mx.zeros((2, 2))), ValueError, "broadcast"),
        (
            lambda x, i: mx.put_along_axis(x[:1], mx.zeros((2, 1, 4), mx.int32), mx.array(1), axis=1),
            ValueError,
            "put_along_axis",
        ),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(mx.array(X), mx.array([0, 1]))


def test_integer_indices_are_not_differentiated() -> None:
    x, i = mx.array([1.0, 2.0, 3.0]), mx.array([0, 2])
    with pytest.raises(ValueError, match="stop_gradient"):
        mx.grad(lambda x, i: mx.take(x, i).sum(), argnums=(0, 1))(x, i)
    gradients = mx.grad(lambda x, i: mx.take(x, mx.stop_gradient(i)).sum(), argnums=(0, 1))(x, i)
    assert gradients[0].tolist() == [1.0, 0.0, 1.0]
    assert gradients[1].tolist() == [0, 0]

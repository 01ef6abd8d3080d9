"""Broadcasting: every pair of shapes gives what NumPy gives, or an error where NumPy refuses it."""

from __future__ import annotations

import operator
from typing import Any

import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import mlx.core as mx

SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3)
FUNCTIONS = {
    operator.add: np.add,
    operator.sub: np.subtract,
    operator.lt: np.less,
    mx.maximum: np.maximum,
    mx.arctan2: np.arctan2,
}
many = settings(max_examples=200, deadline=None)
few = settings(max_examples=10, deadline=None)  # each is compiled


def numbered(shape: tuple[int, ...], start: float) -> np.ndarray:
    return (np.arange(np.prod(shape, dtype=int), dtype=np.float32) + start).reshape(shape)


def compare(function: Any, a: np.ndarray, b: np.ndarray) -> None:
    x, y = mx.array(a), mx.array(b)
    try:
        expected = FUNCTIONS[function](a, b)
    except ValueError:
        with pytest.raises(ValueError, match=r"^\[broadcast_shapes\] Shapes \(.*\) and \(.*\) cannot be broadcast"):
            function(x, y)
        return
    result = function(x, y)
    assert result.shape == expected.shape
    np.testing.assert_allclose(np.array(result), expected, rtol=1e-6)


@many
@given(st.sampled_from(list(FUNCTIONS)), SHAPES, SHAPES)
def test_any_two_shapes(function: Any, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    compare(function, numbered(a, 1), numbered(b, 2))


@many
@given(st.sampled_from(list(FUNCTIONS)), arrays.mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_dims=5))
def test_two_shapes_that_fit(function: Any, shapes: Any) -> None:
    a, b = shapes.input_shapes
    compare(function, numbered(a, 1), numbered(b, 2))


@few
@given(arrays.mutually_broadcastable_shapes(num_shapes=2, min_side=0, max_dims=4))
def test_two_shapes_that_fit_compiled(shapes: Any) -> None:
    a, b = shapes.input_shapes
    with mx.engine("xla"):
        compare(operator.add, numbered(a, 1), numbered(b, 2))


@many
@given(arrays.mutually_broadcastable_shapes(num_shapes=2, min_side=1, max_side=4, max_dims=4))
def test_gradients_have_the_shapes_of_their_operands(shapes: Any) -> None:
    a, b = (numbered(shape, 1) for shape in shapes.input_shapes)
    grads = mx.grad(lambda x, y: (x * y).sum(), argnums=(0, 1))(mx.array(a), mx.array(b))
    both = np.broadcast_shapes(a.shape, b.shape)
    for gradient, mine, other in zip(grads, (a, b), (b, a), strict=True):
        assert gradient.shape == mine.shape
        # Each entry is the sum of what it was multiplied with: weights of 1 in its place select that.
        expected = np.zeros_like(mine)
        positions = np.broadcast_to(np.arange(mine.size).reshape(mine.shape), both)
        np.add.at(expected.reshape(-1), positions.reshape(-1), np.broadcast_to(other, both).reshape(-1))
        np.testing.assert_allclose(np.array(gradient), expected, rtol=1e-5)


@many
@given(SHAPES, SHAPES)
def test_broadcast_to(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    value = numbered(a, 0)
    try:
        expected = np.broadcast_to(value, b)
    except ValueError:
        with pytest.raises(ValueError, match=r"^\[broadcast_to\]|^\[broadcast"):
            mx.broadcast_to(mx.array(value), b)
        return
    np.testing.assert_array_equal(np.array(mx.broadcast_to(mx.array(value), b)), expected)

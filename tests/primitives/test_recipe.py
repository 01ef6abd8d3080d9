"""Recipes: recorded steps on other operands, one by one and as one call."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import mlx.core as mx
import mlx.runtime.evaluate as evaluation
from mlx.arrays.array import wrap
from mlx.ir.node import Node, recorder
from mlx.primitives.recipe import CALL, Recipe


def recipe_of(arrays: list[Any], results: list[Any], since: int) -> Recipe:
    nodes = recorder().pending[since:]
    return Recipe([x._node for x in arrays], nodes, [None if x is None else x._node for x in results])


def made(numbers: list[float]) -> tuple[list[Any], int]:
    """Arrays of these numbers, and how many nodes are pending."""
    arrays = [mx.array([number]) for number in numbers]
    mx.eval(arrays)
    return arrays, len(recorder().pending)


def test_the_steps_on_other_operands() -> None:
    (x, y), since = made([2.0, 3.0])
    product = x * y
    recipe = recipe_of([x, y], [product * 2 + x, None, y, product], since)
    for method in (recipe.record, recipe.call):
        (a, b), _ = made([5.0, 7.0])
        total, nothing, passed, part = method([a._node, b._node])
        assert nothing is None
        assert passed is b._node
        assert [wrap(total).item(), wrap(part).item()] == [75.0, 35.0]


def test_a_call_is_one_node_and_one_for_each_result() -> None:
    (x, y), since = made([2.0, 3.0])
    total = mx.tanh(x * y + x) * 0.5 - y
    recipe = recipe_of([x, y], [total, mx.exp(total)], since)
    mx.eval(total)
    before = len(recorder().pending)
    results = recipe.call([x._node, y._node])
    assert [node.primitive.name for node in recorder().pending[before:]] == ["call", "project", "project"]
    expected = np.tanh(8.0) * 0.5 - 3
    np.testing.assert_allclose([wrap(node).item() for node in results], [expected, np.exp(expected)], rtol=1e-6)


def test_few_steps_are_recorded_one_by_one() -> None:
    (x,), since = made([2.0])
    recipe = recipe_of([x], [x + 1, x + 2], since)
    (one, two) = recipe.call([x._node])
    assert CALL not in {one.primitive, two.primitive}
    assert [wrap(one).item(), wrap(two).item()] == [3.0, 4.0]


def test_what_no_result_needs_is_left_out() -> None:
    (x,), since = made([2.0])
    y = x + 1
    aside = [mx.exp(y), mx.sin(y)]
    recipe = recipe_of([x], [y * 3], since)
    before = len(recorder().pending)
    (result,) = recipe.record([x._node])
    assert [node.primitive.name for node in recorder().pending[before:]] == ["add", "multiply"]
    assert wrap(result).item() == 9.0
    assert len(aside) == 2


def test_a_result_that_nobody_holds_is_not_computed() -> None:
    (x,), since = made([2.0])
    y = mx.exp(x * 0.5)
    recipe = recipe_of([x], [y, mx.sin(y) * y + 3], since)
    mx.eval(x)
    first, _ = recipe.call([x._node])
    assert wrap(first).item() == pytest.approx(np.e)


def test_it_holds_nothing_that_has_memory() -> None:
    (x,), since = made([2.0])
    y = mx.exp(x * 0.5) - 1
    recipe = recipe_of([x], [y], since)
    gone = weakref.ref(x)
    mx.eval(y)
    del x, y
    gc.collect()
    assert gone() is None
    (z,), _ = made([4.0])
    assert wrap(recipe.record([z._node])[0]).item() == pytest.approx(np.exp(2.0) - 1)


def test_something_else_that_is_read_is_an_error() -> None:
    (x, y), since = made([2.0, 3.0])
    with pytest.raises(LookupError):
        recipe_of([x], [x * y], since)
    with pytest.raises(LookupError):
        recipe_of([x], [y], since)


@pytest.mark.parametrize("engine", ["numpy", "xla"])
def test_a_program_of_calls_is_the_program_of_their_steps(engine: Any) -> None:
    def steps(x: Any, y: Any) -> Any:
        return mx.tanh(x * y + 0.25) * y - x * 0.125

    (x, y), since = made([0.3, 0.7])
    with mx.engine(engine):
        z = steps(x, y)
        recipe = recipe_of([x, y], [z], since)
        mx.eval(z)
        expected = z.item()
        known = len(evaluation._programs)
        for _ in range(6):  # planned, learned, and known
            (node,) = recipe.call([x._node, y._node])
            assert isinstance(node, Node)
            assert wrap(node).item() == expected
        assert len(evaluation._programs) == known

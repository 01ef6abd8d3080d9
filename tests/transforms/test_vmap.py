"""`vmap`: axes and trees of them, nesting with itself and with gradients, and its errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx

X = np.arange(6, dtype=np.float32).reshape(2, 3)
Y = np.array([1.0, 10.0, 100.0], np.float32)


def test_every_argument_along_its_first_axis() -> None:
    mapped = mx.vmap(lambda x, y: (x * y).sum())(mx.array(X), mx.array(X + 1))
    np.testing.assert_array_equal(np.array(mapped), (X * (X + 1)).sum(1))


@pytest.mark.parametrize(("in_axis", "out_axis"), [(0, 0), (1, 0), (-1, 1), (0, -1)])
def test_axes_of_arguments_and_results(in_axis: int, out_axis: int) -> None:
    mapped = mx.vmap(lambda x: x * 2, in_axes=in_axis, out_axes=out_axis)(mx.array(X))
    np.testing.assert_array_equal(np.array(mapped), np.moveaxis(X * 2, in_axis, out_axis))


def test_an_argument_that_is_the_same_for_all() -> None:
    mapped = mx.vmap(lambda x, y: x @ y, in_axes=(0, None))(mx.array(X), mx.array(Y))
    np.testing.assert_array_equal(np.array(mapped), X @ Y)


def test_trees_of_axes() -> None:
    def fun(tree: Any, scale: Any) -> Any:
        return {"sum": tree["a"].sum() * scale, "b": tree["b"][0]}

    tree = {"a": mx.array(X), "b": [mx.array(Y)]}
    mapped = mx.vmap(fun, in_axes=({"a": 1, "b": [0]}, None), out_axes={"sum": 0, "b": 0})(tree, mx.array(2.0))
    np.testing.assert_array_equal(np.array(mapped["sum"]), X.sum(0) * 2)
    np.testing.assert_array_equal(np.array(mapped["b"]), Y)


def test_a_dict_of_axes_is_that_of_a_single_argument() -> None:
    tree = {"a": mx.array(X), "b": (mx.array(X.T), mx.array(Y))}
    mapped = mx.vmap(lambda t: (t["a"] * t["b"][0] * t["b"][1]).sum(), in_axes={"a": 0, "b": (1, None)})(tree)
    np.testing.assert_allclose(np.array(mapped), (X * X * Y).sum(1), rtol=1e-6)


def test_a_result_that_does_not_depend_on_the_mapped_axis() -> None:
    y = mx.array(Y)
    assert mx.vmap(lambda x: y * 2, out_axes=0)(mx.array(X)).shape == (2, 3)
    assert mx.vmap(lambda x: y * 2, out_axes=None)(mx.array(X)).shape == (3,)


def test_nested() -> None:
    outer = mx.vmap(mx.vmap(lambda x, y: x * y, in_axes=(None, 0)), in_axes=(0, None))
    np.testing.assert_array_equal(np.array(outer(mx.array(Y), mx.array(Y))), np.outer(Y, Y))


def test_gradients_of_each_example() -> None:
    w = mx.array(Y)
    per_example = mx.vmap(mx.grad(lambda w, x: (w * x).sum() ** 2), in_axes=(None, 0))(w, mx.array(X))
    np.testing.assert_allclose(np.array(per_example), 2 * (X @ Y)[:, None] * X, rtol=1e-6)


def test_the_gradient_of_a_mapped_function() -> None:
    gradient = mx.grad(lambda w: mx.vmap(lambda x: (w * x).sum() ** 2)(mx.array(X)).sum())(mx.array(Y))
    np.testing.assert_allclose(np.array(gradient), (2 * (X @ Y)[:, None] * X).sum(0), rtol=1e-6)


def test_asking_for_a_value_inside_is_refused_and_leaves_nothing_open() -> None:
    with pytest.raises(ValueError, match=r"mx\.vmap"):
        mx.vmap(lambda x: x * x.item())(mx.array(Y))
    assert mx.vmap(lambda x: x * 2)(mx.array(Y)).tolist() == [2.0, 20.0, 200.0]


def test_a_leaked_argument_is_refused() -> None:
    leaked = []
    mx.vmap(lambda x: leaked.append(x) or x)(mx.array(Y))
    with pytest.raises(ValueError, match=r"mx\.vmap"):
        mx.eval(leaked[0] + 1)


def test_an_output_that_is_the_same_for_all_entries() -> None:
    """The barrier's second output depends on the batch in time alone; what is computed from it is not batched."""

    def function(x: Any) -> Any:
        first, second = mx.depends([x, mx.array([1.0, 2.0])], [x])
        return first.sum() * mx.sort(second * 3)[::-1]

    x = mx.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert mx.vmap(function)(x).tolist() == [[18, 9], [42, 21], [66, 33]]
    assert mx.vmap(lambda x: mx.depends([x, mx.array([1.0, 2.0])], [x])[1] + 1)(x).tolist() == [[2, 3]] * 3


def test_gradients_of_a_checkpoint() -> None:
    gradient = mx.grad(mx.checkpoint(lambda x: (x * x * x).sum()))
    x = mx.array([[1.0, 2.0], [3.0, 4.0]])
    assert mx.vmap(gradient)(x).tolist() == [[3, 12], [27, 48]]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mx.vmap(lambda x, y: x)(mx.array(X), mx.array(Y)), "Inconsistent axis sizes"),
        (lambda: mx.vmap(lambda x: x, in_axes=2)(mx.array(X)), "invalid for an array of shape"),
        (lambda: mx.vmap(lambda x: x, in_axes=None)(mx.array(X)), "At least one of in_axes"),
        (lambda: mx.vmap(lambda x: x, in_axes=(0, 0))(mx.array(X)), "structure of in_axes"),
        (lambda: mx.vmap(lambda x: x, out_axes=3)(mx.array(X)), "invalid for a result"),
        (lambda: mx.vmap(lambda x: x, out_axes=None)(mx.array(X)), "differs between the entries"),
        (lambda: mx.vmap(lambda x: "text")(mx.array(X)), "should return arrays"),
        (lambda: mx.vmap(lambda x: x)(3.0), "only arrays can be"),
    ],
)
def test_errors(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()

"""`vmap`: axes and trees of them, nesting with itself and with gradients, and its errors."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

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
        (lambda: mx.vmap(lambda x: x, in_axes=None)(mx.array(X)), "At least one of in_axes"),
        (lambda: mx.vmap(lambda x: x, in_axes=(0, 0))(mx.array(X)), "structure of in_axes"),
        (lambda: mx.vmap(lambda x: x, out_axes=None)(mx.array(X)), "differs between the entries"),
        (lambda: mx.vmap(lambda x: "text")(mx.array(X)), "should return arrays"),
        (lambda: mx.vmap(lambda x: x)(3.0), "only arrays can be"),
    ],
)
def test_errors(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("error", [IndexError, ValueError])
@pytest.mark.parametrize("axis", [2, -3])
def test_axes_out_of_range(axis: int, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"in_axes\[0\] is -?\d, invalid for an array of shape \(2, 3\)"):
        mx.vmap(lambda x: x, in_axes=axis)(mx.array(X))
    with pytest.raises(error, match=r"out_axes is -?\d, invalid for a result of shape \(2, 3\)"):
        mx.vmap(lambda x: x, out_axes=axis)(mx.array(X))


def test_keyword_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match=r"\[vmap\] Keyword arguments are not supported, got \['y'\]"):
        mx.vmap(lambda x, y: x)(mx.array(X), y=mx.array(X))
    with pytest.raises(TypeError, match=r"\[vmap\] fun must be callable, got int"):
        mx.vmap(3)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- trees of axes


class Pair(NamedTuple):
    left: Any
    right: Any


@pytest.mark.parametrize(
    ("in_axes", "left", "right"),
    [(0, 0, 0), (-1, 1, 1), ((0,), 0, 0), ((Pair(0, 1),), 0, 1), ((Pair(1, None),), 1, None), ([(-2, 0)], 0, 0)],
)
def test_axes_of_a_named_tuple(in_axes: Any, left: int, right: int | None) -> None:
    x, y = np.arange(9.0).reshape(3, 3), np.arange(9.0)[::-1].reshape(3, 3)
    mapped = mx.vmap(lambda pair: Pair(pair.left + 1, pair.left @ pair.right), in_axes)(
        Pair(mx.array(x, mx.float64), mx.array(y, mx.float64))
    )
    assert isinstance(mapped, Pair)
    entries = [(np.take(x, i, left), y if right is None else np.take(y, i, right)) for i in range(3)]
    np.testing.assert_allclose(np.array(mapped.left), [a + 1 for a, _ in entries])
    np.testing.assert_allclose(np.array(mapped.right), [a @ b for a, b in entries])


def test_axes_of_nested_results() -> None:
    def fun(x: Any) -> Any:
        return x, [x * 2, {"a": x * 3, "b": (x.sum(), y)}]

    y = mx.array(Y)
    mapped = mx.vmap(fun, out_axes=(0, [1, {"a": -1, "b": (0, None)}]))(mx.array(X))
    np.testing.assert_array_equal(np.array(mapped[0]), X)
    np.testing.assert_array_equal(np.array(mapped[1][0]), 2 * X.T)
    np.testing.assert_array_equal(np.array(mapped[1][1]["a"]), 3 * X.T)
    np.testing.assert_array_equal(np.array(mapped[1][1]["b"][0]), X.sum(1))
    np.testing.assert_array_equal(np.array(mapped[1][1]["b"][1]), Y)


def test_constants_and_objects_that_are_not_mapped() -> None:
    mapped = mx.vmap(lambda x, factor, name: x * factor if name == "times" else x, in_axes=(0, None, None))
    np.testing.assert_array_equal(np.array(mapped(mx.array(X), 3, "times")), 3 * X)


def test_three_levels_each_with_axes_of_its_own() -> None:
    """Over the first axis, then the last, then the last but one; one axis of vectors remains."""
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    innermost = mx.vmap(mx.cumsum, in_axes=1, out_axes=1)  # from (3, 4) to (3, 4)
    middle = mx.vmap(innermost, in_axes=-1)  # from (3, 4, 5) to (5, 3, 4)
    outermost = mx.vmap(middle, in_axes=0, out_axes=2)  # to (5, 3, 2, 4)
    expected = np.cumsum(x, axis=1).transpose(3, 1, 0, 2)
    np.testing.assert_allclose(np.array(outermost(mx.array(x))), expected, rtol=1e-5, atol=1e-5)


# ---------------------------------------------------------------------- families of operations, against loops


def looped(f: Callable[..., Any], inputs: Sequence[Any], axes: Sequence[int | None]) -> np.ndarray:
    size = next(x.shape[axis] for x, axis in zip(inputs, axes, strict=True) if axis is not None)
    entries = [
        [x if axis is None else mx.take(x, i, axis) for x, axis in zip(inputs, axes, strict=True)] for i in range(size)
    ]
    return np.stack([np.array(f(*entry)) for entry in entries])


def check_against_loop(f: Callable[..., Any], inputs: Sequence[Any], axes: Sequence[int | None]) -> None:
    mapped = mx.vmap(f, in_axes=tuple(axes))(*inputs)
    np.testing.assert_allclose(np.array(mapped), looped(f, inputs, axes), rtol=1e-5, atol=1e-5)


def normal(*shape: int, seed: int = 0) -> Any:
    return mx.array(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


@pytest.mark.parametrize(
    ("left", "right"),
    [((4,), (4,)), ((4,), (4, 5)), ((3, 4), (4,)), ((3, 4), (4, 5)), ((2, 3, 4), (4, 5)), ((3, 4), (2, 4, 5))]
    + [((2, 3, 4), (2, 4, 5)), ((2, 1, 3, 4), (6, 4, 5)), ((4,), (2, 4, 5)), ((2, 3, 4), (4,))],
)
@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0), (-1, 0), (0, -1), (-1, None), (None, -1), (-1, -1)])
def test_matmul_with_any_batching(left: tuple[int, ...], right: tuple[int, ...], axes: tuple[Any, Any]) -> None:
    inputs = []
    for shape, axis, seed in ((left, axes[0], 1), (right, axes[1], 2)):
        whole = shape if axis is None else (7, *shape) if axis == 0 else (*shape, 7)
        inputs.append(normal(*whole, seed=seed))
    check_against_loop(mx.matmul, inputs, axes)


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0), (2, 1), (None, -1), (-1, None)])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("transposed", [False, True])
def test_convolution_with_inputs_or_weights_mapped(axes: tuple[Any, Any], groups: int, transposed: bool) -> None:
    def convolve(x: Any, w: Any) -> Any:
        if transposed:
            return mx.conv_transpose1d(x, w, stride=2, padding=1, groups=groups)
        return mx.conv1d(x, w, stride=2, padding=1, groups=groups)

    x, w = normal(2, 9, 4), normal(6, 3, 4 // groups, seed=1)
    inputs = [
        y if axis is None else mx.moveaxis(mx.stack([y, 2 * y, y - 1]), 0, axis)
        for y, axis in zip((x, w), axes, strict=True)
    ]
    check_against_loop(convolve, inputs, axes)
    check_against_loop(mx.grad(lambda x, w: (convolve(x, w) ** 2).sum(), argnums=1), inputs, axes)


HALF = normal(3, 4, 4)
SPD = HALF @ HALF.swapaxes(-1, -2) + 4 * mx.eye(4)
ROWS = mx.array([[0, 2], [4, 4], [1, 0]])

# A function, and its arguments for each of three entries, along the first axis.
OPERATIONS: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "inv": (mx.linalg.inv, [SPD]),
    "cholesky": (mx.linalg.cholesky, [SPD]),
    "det": (mx.linalg.det, [SPD]),
    "svd": (lambda x: mx.linalg.svd(x, compute_uv=False), [normal(3, 4, 5)]),
    "qr": (lambda x: mx.linalg.qr(x)[1], [normal(3, 5, 2)]),
    "solve": (mx.linalg.solve, [SPD, normal(3, 4)]),
    "nuclear norm": (lambda x: mx.linalg.norm(x, "nuc"), [normal(3, 4, 5)]),
    "gather": (lambda x, i: x[i], [normal(3, 5, 2), ROWS]),
    "gather along two axes": (lambda x, i, j: x[i, j], [normal(3, 5, 5), ROWS, ROWS]),
    "scatter": (lambda x, i, u: x.at[i].add(u), [normal(3, 5), ROWS, normal(3, 2)]),
    "take along axis": (lambda x, i: mx.take_along_axis(x, i, 0), [normal(3, 3), mx.array([[0, 2], [1, 1], [2, 0]])]),
    "sort": (mx.sort, [normal(3, 4, 5)]),
    "argsort": (mx.argsort, [normal(3, 4, 5)]),
    "partition": (lambda x: mx.sort(mx.partition(x, 2)[:2]), [normal(3, 5)]),
    "topk": (lambda x: mx.sort(mx.topk(x, 2)), [normal(3, 5)]),
    "einsum": (lambda a, b: mx.einsum("ij,kj->ki", a, b), [normal(3, 4, 5), normal(3, 2, 5)]),
    "softmax": (lambda x: mx.softmax(x, axis=-1), [normal(3, 4, 5)]),
    "scan": (lambda x: mx.cumsum(x, axis=0, reverse=True), [normal(3, 4, 5)]),
    "pad": (lambda x: mx.pad(x, ((1, 2), (0, 1))), [normal(3, 4, 5)]),
    "pad with a number each": (
        lambda x, value: mx.pad(x, (1, 2), constant_values=value),
        [normal(3, 4), mx.array([1.0, 2.0, 3.0])],
    ),
    "as strided": (lambda x: mx.as_strided(x, (3, 2), (1, 2), 1), [normal(3, 8)]),
    "dynamic slice": (lambda x, i: mx.slice(x, i, (0,), (2, 3)), [normal(3, 5, 3), mx.array([[0], [3], [1]])]),
    "quantized matmul": (
        lambda x, w: mx.quantized_matmul(x, *mx.quantize(w, 32, 4), group_size=32, bits=4),
        [normal(3, 2, 32), normal(3, 4, 32)],
    ),
    "attention": (
        lambda q, k, v: mx.fast.scaled_dot_product_attention(q, k, v, scale=0.5),
        [normal(3, 1, 2, 5, 4), normal(3, 1, 2, 6, 4, seed=1), normal(3, 1, 2, 6, 4, seed=2)],
    ),
    "layer norm": (lambda x, w: mx.fast.layer_norm(x, w, None, 1e-5), [normal(3, 4, 5), normal(3, 5)]),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_are_loops(name: str) -> None:
    """Mapped over each choice of arguments, along the first or the last axis of each."""
    f, arguments = OPERATIONS[name]
    for axes in itertools.product((None, 0, -1), repeat=len(arguments)):
        if any(axis is not None for axis in axes):
            inputs = [
                x[0] if axis is None else mx.moveaxis(x, 0, axis) for x, axis in zip(arguments, axes, strict=True)
            ]
            check_against_loop(f, inputs, axes)


RANDOM = {
    "uniform": lambda key: mx.random.uniform(shape=(3,), key=key),
    "normal": lambda key: mx.random.normal((2, 3), key=key),
    "bernoulli": lambda key: mx.random.bernoulli(0.4, (5,), key=key),
    "randint": lambda key: mx.random.randint(0, 100, (5,), key=key),
    "gumbel": lambda key: mx.random.gumbel((5,), key=key),
    "laplace": lambda key: mx.random.laplace((5,), key=key),
    "truncated_normal": lambda key: mx.random.truncated_normal(-1.0, 1.0, (5,), key=key),
    "categorical": lambda key: mx.random.categorical(mx.zeros((4, 5)), key=key),
    "permutation": lambda key: mx.random.permutation(mx.arange(7), key=key),
    "multivariate_normal": lambda key: mx.random.multivariate_normal(mx.zeros(2), mx.eye(2), (3,), key=key),
    "split": lambda key: mx.random.split(key, 3),
    "split and draw": lambda key: mx.random.uniform(shape=(2,), key=mx.random.split(key)[1]),
}


@pytest.mark.parametrize("name", RANDOM)
def test_random_functions_with_mapped_keys_draw_what_each_key_draws(name: str) -> None:
    keys = mx.random.split(mx.random.key(3), 4)
    check_against_loop(RANDOM[name], [keys], (0,))
    check_against_loop(RANDOM[name], [keys.T], (1,))


def test_numbers_drawn_without_a_key_are_the_same_for_all_entries() -> None:
    mx.random.seed(5)
    mapped = np.array(mx.vmap(lambda x: x * 0 + mx.random.uniform(shape=(3,)))(mx.array(X)))
    mx.random.seed(5)
    np.testing.assert_array_equal(mapped, np.stack([np.array(mx.random.uniform(shape=(3,)))] * 2))


# ---------------------------------------------------------------------- with other transforms


def test_values_and_gradients_of_each_example() -> None:
    loss = mx.value_and_grad(lambda w, x: ((w["a"] * x).sum() + w["b"]) ** 2)
    weights = {"a": mx.array(Y), "b": mx.array(2.0)}
    values, gradients = mx.vmap(loss, in_axes=(None, 0))(weights, mx.array(X))
    outer = X @ Y + 2
    np.testing.assert_allclose(np.array(values), outer**2, rtol=1e-6)
    np.testing.assert_allclose(np.array(gradients["a"]), 2 * outer[:, None] * X, rtol=1e-6)
    np.testing.assert_allclose(np.array(gradients["b"]), 2 * outer, rtol=1e-6)


def test_an_ensemble_of_models_in_training() -> None:
    """Each model of a batch takes the steps that it takes alone."""
    x, y = normal(16, 3), normal(16, 1, seed=1)

    def step(w: Any) -> Any:
        return w - 0.1 * mx.grad(lambda w: ((x @ w - y) ** 2).mean())(w)

    together = alone = normal(4, 3, 1, seed=2)
    for _ in range(3):
        together = mx.vmap(step)(together)
        alone = mx.stack([step(w) for w in alone])
    np.testing.assert_allclose(np.array(together), np.array(alone), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("shapeless", [False, True])
def test_compiled(inside: bool, shapeless: bool) -> None:
    def f(x: Any, y: Any) -> Any:
        return (mx.sin(x) * y).sum(), x[0]

    if inside:
        mapped = mx.vmap(mx.compile(f, shapeless=shapeless), in_axes=(0, None), out_axes=(0, 0))
    else:
        mapped = mx.compile(mx.vmap(f, in_axes=(0, None), out_axes=(0, 0)), shapeless=shapeless)
    for rows in (2, 5):
        x = np.random.default_rng(rows).normal(size=(rows, 3)).astype(np.float32)
        total, first = mapped(mx.array(x), mx.array(Y))
        np.testing.assert_allclose(np.array(total), np.sin(x) @ Y, rtol=1e-5, atol=1e-4)
        np.testing.assert_array_equal(np.array(first), x[:, 0])


def test_a_custom_rule_sees_the_batch_and_its_axes() -> None:
    seen = []

    @mx.custom_function
    def f(x: Any, y: Any) -> Any:
        return x * y

    @f.vmap
    def f_vmap(primals: Any, axes: Any) -> Any:
        seen.append((primals[0].shape, primals[1].shape, axes))
        return primals[0] * primals[1][:, None] + 1, 1

    mapped = mx.vmap(f, in_axes=(1, None))(mx.array(X), mx.array(Y[:2]))
    assert seen == [((2, 3), (2,), (1, None))]
    np.testing.assert_allclose(np.array(mapped), (X * Y[:2, None] + 1).T)


def test_in_place_updates_of_arguments_stay_inside() -> None:
    def f(x: Any) -> Any:
        x[0] = x[1] * 10
        return x

    x = mx.array(X)
    np.testing.assert_array_equal(np.array(mx.vmap(f)(x)), np.stack([X[:, 1] * 10, X[:, 1], X[:, 2]], 1))
    np.testing.assert_array_equal(np.array(x), X)


def test_one_array_as_two_arguments_along_different_axes() -> None:
    x = mx.array(np.arange(9.0).reshape(3, 3), mx.float64)
    mapped = mx.vmap(lambda a, b: a @ b, in_axes=(0, 1))(x, x)
    np.testing.assert_allclose(np.array(mapped), np.diag(np.array(x) @ np.array(x)))

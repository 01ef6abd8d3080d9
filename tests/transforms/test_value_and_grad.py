"""`value_and_grad`, bullet by bullet of what it promises: arguments, trees, results, errors, side effects, nesting."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any, NamedTuple

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn


def square_sum(x: Any) -> Any:
    return (x * x).sum()


# ---------------------------------------------------------------------- which arguments


def test_the_first_argument_by_default() -> None:
    value, gradient = mx.value_and_grad(lambda x, y: x * x * y)(mx.array(3.0), mx.array(5.0))
    assert (value.item(), gradient.item()) == (45.0, 30.0)


def test_several_positions_come_in_ascending_order() -> None:
    def fun(x: Any, y: Any, z: Any) -> Any:
        return x + 2 * y + 3 * z

    gradients = mx.grad(fun, argnums=[2, 0])(mx.array(1.0), mx.array(1.0), mx.array(1.0))
    assert isinstance(gradients, tuple)
    assert [g.item() for g in gradients] == [1.0, 3.0]


def test_a_sequence_of_one_position_gives_the_gradient_itself() -> None:
    gradient = mx.grad(lambda x, y: x * y, argnums=[1])(mx.array(2.0), mx.array(1.0))
    assert gradient.item() == 2.0


def test_names_give_a_pair() -> None:
    def fun(x: Any, *, scale: Any, shift: Any) -> Any:
        return x * scale + shift

    gradient = mx.grad(fun, argnames="scale")(mx.array(2.0), scale=mx.array(3.0), shift=mx.array(1.0))
    assert gradient[0] is None
    assert gradient[1]["scale"].item() == 2.0
    gradient = mx.grad(fun, argnums=0, argnames=["shift", "scale"])(
        mx.array(2.0), scale=mx.array(3.0), shift=mx.array(1.0)
    )
    assert gradient[0].item() == 3.0
    assert {name: g.item() for name, g in gradient[1].items()} == {"shift": 1.0, "scale": 2.0}


# ---------------------------------------------------------------------- trees


class Pair(NamedTuple):
    left: Any
    right: Any


def test_trees_of_every_kind() -> None:
    tree = {
        "list": [mx.array(1.0), (mx.array(2.0), {"deep": mx.array(3.0)})],
        "pair": Pair(mx.array(4.0), [mx.array(5.0)]),
        "ordered": OrderedDict(a=mx.array(6.0)),
        "empty": [],
    }

    def fun(t: Any) -> Any:
        total = t["list"][0] + 2 * t["list"][1][0] + 3 * t["list"][1][1]["deep"]
        return total + 4 * t["pair"].left + 5 * t["pair"].right[0] + 6 * t["ordered"]["a"]

    value, gradient = mx.value_and_grad(fun)(tree)
    assert value.item() == 1 + 4 + 9 + 16 + 25 + 36
    assert gradient["list"][0].item() == 1
    assert gradient["list"][1][0].item() == 2
    assert gradient["list"][1][1]["deep"].item() == 3
    assert isinstance(gradient["pair"], Pair)
    assert gradient["pair"].left.item() == 4
    assert gradient["pair"].right[0].item() == 5
    assert type(gradient["ordered"]) is dict
    assert gradient["ordered"]["a"].item() == 6
    assert gradient["empty"] == []


def test_a_module_as_argument_gives_a_plain_dict() -> None:
    layer = nn.Linear(2, 1, bias=False)
    layer.weight = mx.array([[1.0, 2.0]])
    gradient = mx.grad(lambda m: m(mx.array([[3.0, 4.0]])).sum())(layer)
    assert type(gradient) is dict
    assert gradient["weight"].tolist() == [[3.0, 4.0]]


def test_other_arguments_can_be_anything() -> None:
    def fun(x: Any, label: str, table: dict[str, Any], nothing: None) -> Any:
        assert label == "label"
        assert nothing is None
        return x * table["factor"]

    assert mx.grad(fun)(mx.array(1.0), "label", {"factor": 4, "other": object()}, None).item() == 4.0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_gradients_have_the_shape_and_dtype_of_their_parameter(dtype: str) -> None:
    x = mx.zeros((2, 3), getattr(mx, dtype))
    gradient = mx.grad(lambda x: (x.astype(mx.float32) * 2).sum())(x)
    assert gradient.shape == (2, 3)
    assert gradient.dtype == getattr(mx, dtype)
    assert gradient.tolist() == [[2.0] * 3] * 2


def test_an_input_that_nothing_reaches_gets_zeros() -> None:
    gradients = mx.grad(lambda x, y: x.sum(), argnums=(0, 1))(mx.ones((2,)), mx.ones((3, 1), mx.float16))
    assert gradients[1].tolist() == [[0.0]] * 3
    assert gradients[1].dtype == mx.float16


def test_the_same_array_in_two_places_gets_a_gradient_in_each() -> None:
    x = mx.array(3.0)
    gradient = mx.grad(lambda t: t[0] * t[0] * t[1])([x, x])
    assert [g.item() for g in gradient] == [18.0, 9.0]


def test_captured_arrays_are_constants() -> None:
    x = mx.array(3.0)
    assert mx.grad(lambda y: x * y)(x).item() == 3.0


# ---------------------------------------------------------------------- results


def test_auxiliary_results_of_every_kind_come_back() -> None:
    marker = object()

    def fun(x: Any) -> Any:
        return x * 2, {"seen": x + 1}, "text", None, marker, [x, 3]

    (loss, seen, text, none, same, mixed), gradient = mx.value_and_grad(fun)(mx.array(4.0))
    assert loss.item() == 8.0
    assert seen["seen"].item() == 5.0
    assert (text, none, mixed[1]) == ("text", None, 3)
    assert same is marker
    assert mixed[0].item() == 4.0
    assert gradient.item() == 2.0


def test_auxiliary_arrays_are_ordinary_arrays() -> None:
    (_, auxiliary), _ = mx.value_and_grad(lambda x: (x * 2, x * 3))(mx.array(4.0))
    assert mx.grad(lambda y: y * auxiliary)(mx.array(1.0)).item() == 12.0


def test_the_documented_losses() -> None:
    params = {"w": mx.array([[1.0], [2.0]])}
    inputs, targets = mx.array([[1.0, 2.0], [3.0, 4.0]]), mx.array([[4.0], [12.0]])

    def forward(params: Any, inputs: Any) -> Any:
        return inputs @ params["w"]

    def mse(params: Any, inputs: Any, targets: Any) -> Any:
        outputs = forward(params, inputs)
        lvalue = (outputs - targets).square().mean()
        return lvalue

    lvalue, grads = mx.value_and_grad(mse)(params, inputs, targets)
    assert lvalue.item() == 1.0  # outputs 5 and 11
    assert grads["w"].tolist() == [[1 - 3], [2 - 4]]

    def lasso(params: Any, inputs: Any, targets: Any, a: float = 1.0, b: float = 1.0) -> Any:
        outputs = forward(params, inputs)
        mse = (outputs - targets).square().mean()
        l1 = mx.abs(outputs - targets).mean()

        loss = a * mse + b * l1

        return loss, mse, l1

    (loss, mse_value, l1), grads = mx.value_and_grad(lasso)(params, inputs, targets)
    assert (loss.item(), mse_value.item(), l1.item()) == (2.0, 1.0, 1.0)
    assert grads["w"].tolist() == [[-3.0], [-3.0]]


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: mx.value_and_grad(square_sum, argnums=-1), ValueError, "negative argument index -1"),
        (lambda: mx.grad(square_sum, argnums=[0, -2]), ValueError, "negative argument index -2"),
        (lambda: mx.grad(square_sum, argnums=(1, 1)), ValueError, "Duplicate argument index 1"),
        (lambda: mx.grad(square_sum, argnums=[]), ValueError, "no argument requested"),
        (lambda: mx.grad(square_sum, argnames=["a", "a"]), ValueError, "Duplicate keyword argument 'a'"),
        (lambda: mx.grad(square_sum, argnums="x"), TypeError, "argnums must be an int"),
        (lambda: mx.grad(square_sum, argnums=1.0), TypeError, "argnums must be an int"),
        (lambda: mx.grad(square_sum, argnums=[True]), TypeError, "argnums must be an int"),
        (lambda: mx.grad(square_sum, argnames=None), TypeError, "argnames must be a string"),
        (lambda: mx.grad(square_sum, argnames=[1]), TypeError, "argnames must be a string"),
        (lambda: mx.grad(3), TypeError, "fun must be callable"),
    ],
)
def test_errors_when_the_transform_is_made(make: Any, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        make()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mx.grad(square_sum, argnums=1)(mx.array(1.0)), "argument index 1 because .* only 1 positional"),
        (lambda: mx.grad(square_sum, argnames="y")(mx.array(1.0)), "keyword argument 'y'"),
        (lambda: mx.grad(square_sum)(1.0), r"\[grad\] .* only arrays, but x is .* float"),
        (lambda: mx.grad(square_sum)({"a": [mx.array(1.0), "b"]}), r"x\['a'\]\[1\] is .* str"),
        (lambda: mx.grad(square_sum)(None), "only arrays, but x is"),
        (lambda: mx.value_and_grad(lambda x: x)(mx.ones((128, 10))), r"shape \(128, 10\) .* mx.mean"),
        (lambda: mx.value_and_grad(lambda x: ())(mx.array(1.0)), "whose first value is a scalar array"),
        (lambda: mx.value_and_grad(lambda x: (1.0, x))(mx.array(1.0)), "float was returned.* without .item"),
        (lambda: mx.value_and_grad(lambda x: [x, x])(mx.array(1.0)), "list was returned. Return a tuple"),
        (lambda: mx.value_and_grad(lambda x: None)(mx.array(1.0)), "return statement missing"),
        (lambda: mx.grad(lambda x: np.square(np.array(x)))(mx.array(1.0)), "functions of mx"),
        (lambda: mx.grad(lambda x: (x, 1))(mx.array(1.0)), "should be a scalar array; but .*tuple"),
    ],
)
def test_errors_at_the_call(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()


def test_habits_from_other_frameworks_are_answered() -> None:
    with pytest.raises(AttributeError, match="value_and_grad"):
        mx.array(1.0).backward()
    with pytest.raises(AttributeError, match="stop_gradient"):
        mx.array(1.0).detach()


# ---------------------------------------------------------------------- containers and exceptions


def test_containers_hold_their_own_arrays_afterwards() -> None:
    w, b = mx.array(1.0), mx.array(2.0)
    params = {"w": w, "rest": [b]}
    seen = []

    def fun(p: Any) -> Any:
        seen.append(p)
        return p["w"] * p["rest"][0]

    mx.grad(fun)(params)
    assert seen[0] is params
    assert params["w"] is w
    assert params["rest"][0] is b


def test_what_the_function_assigned_stays() -> None:
    b = mx.array(2.0)
    params = {"w": mx.array(1.0), "b": b}

    def fun(p: Any) -> Any:
        loss = p["w"] * p["b"]
        p["w"] = p["b"] * 10
        p["new"] = mx.array(7.0)
        return loss

    gradient = mx.grad(fun)(params)
    assert params["w"].item() == 20.0
    assert params["new"].item() == 7.0
    assert params["b"] is b
    assert gradient["w"].item() == 2.0


def test_an_exception_restores_and_leaves_nothing_open() -> None:
    w = mx.array(1.0)
    params = [w]

    def fails(p: Any) -> Any:
        raise KeyError("mine")

    for _ in range(3):
        with pytest.raises(KeyError, match="mine"):
            mx.grad(lambda p: mx.grad(fails)(p)[0])(params)
        assert params[0] is w
    assert mx.grad(lambda p: p[0] * p[0])(params)[0].item() == 2.0


def test_side_effects_happen_once_a_call() -> None:
    calls = []

    def fun(x: Any) -> Any:
        calls.append(1)
        return x * x

    transformed = mx.value_and_grad(fun)
    transformed(mx.array(1.0))
    transformed(mx.array(1.0))
    assert len(calls) == 2


# ---------------------------------------------------------------------- evaluation, branches, in-place updates


def test_evaluation_inside_cuts_nothing() -> None:
    def fun(x: Any) -> Any:
        y = x * 3
        mx.eval(y)
        assert y.item() == 6.0
        assert "array(6" in str(y)
        assert y.tolist() == 6.0
        return y * y

    value, gradient = mx.value_and_grad(fun)(mx.array(2.0))
    assert (value.item(), gradient.item()) == (36.0, 36.0)


def test_a_branch_on_a_value() -> None:
    gradient = mx.grad(lambda x: x * x if x > 0 else -x)
    assert gradient(mx.array(3.0)).item() == 6.0
    assert gradient(mx.array(-3.0)).item() == -1.0


def test_in_place_updates_are_differentiated() -> None:
    def fun(x: Any) -> Any:
        y = x * 2
        y += x
        y *= y
        z = mx.zeros((3,))
        z[1] = y
        z[0] = x
        return z.sum()

    assert mx.grad(fun)(mx.array(2.0)).item() == 2 * 9 * 2.0 + 1.0


def test_in_place_updates_of_an_argument_do_not_reach_the_caller() -> None:
    x = mx.array([1.0, 2.0])

    def fun(x: Any) -> Any:
        x[0] = 5.0
        return (x * x).sum()

    assert mx.grad(fun)(x).tolist() == [0.0, 4.0]
    assert x.tolist() == [1.0, 2.0]


def test_async_eval_inside_is_refused() -> None:
    def fun(x: Any) -> Any:
        y = x + 1
        mx.async_eval(y)
        return y

    with pytest.raises(ValueError, match="async_eval"):
        mx.grad(fun)(mx.array(1.0))


# ---------------------------------------------------------------------- nesting


def test_nesting_to_third_order() -> None:
    function = mx.sin
    expected = [math.cos, lambda x: -math.sin(x), lambda x: -math.cos(x)]
    for derivative in expected:
        function = mx.grad(function)
        assert function(mx.array(0.7)).item() == pytest.approx(derivative(0.7), rel=1e-6)


def test_mixed_second_derivatives() -> None:
    def fun(x: Any, y: Any) -> Any:
        return x * x * y * y * y

    mixed = mx.grad(mx.grad(fun, argnums=0), argnums=1)(mx.array(2.0), mx.array(3.0))
    assert mixed.item() == 2 * 2 * 3 * 9.0


def test_a_gradient_inside_a_loss() -> None:
    def penalty(w: Any, x: Any) -> Any:
        slope = mx.grad(lambda x: (w * x * x).sum())(x)
        return (slope * slope).sum()

    # slope = 2 w x, so the penalty is 4 w^2 x^2 and its derivative in w is 8 w x^2.
    assert mx.grad(penalty)(mx.array(3.0), mx.array([1.0, 2.0])).item() == 8 * 3 * 5.0


def test_an_inner_gradient_sees_outer_variables_as_constants() -> None:
    def outer(x: Any) -> Any:
        return x * mx.grad(lambda y: x * y)(mx.array(1.0))

    assert mx.grad(outer)(mx.array(5.0)).item() == 10.0


def test_closures_and_methods() -> None:
    class Model:
        factor = mx.array(4.0)

        def loss(self, x: Any) -> Any:
            return self.factor * x

    assert mx.grad(Model().loss)(mx.array(1.0)).item() == 4.0


def test_stop_gradient() -> None:
    assert mx.grad(lambda x: x * mx.stop_gradient(x))(mx.array(3.0)).item() == 3.0


def test_a_cast_to_integers_passes_zero() -> None:
    gradient = mx.grad(lambda x: (x.astype(mx.int32).astype(mx.float32) * x).sum())(mx.array([2.7]))
    assert gradient.tolist() == [2.0]


def test_an_index_computed_from_differentiated_values_gets_zero() -> None:
    def fun(x: Any) -> Any:
        return x[mx.argmax(x)] * 2

    assert mx.grad(fun)(mx.array([1.0, 5.0, 2.0])).tolist() == [0.0, 2.0, 0.0]


# ---------------------------------------------------------------------- vjp, jvp


def test_vjp_of_several_outputs() -> None:
    outputs, products = mx.vjp(
        lambda x, y: (x * y, x + y), [mx.array(2.0), mx.array(3.0)], [mx.array(1.0), mx.array(10.0)]
    )
    assert [output.item() for output in outputs] == [6.0, 5.0]
    assert [product.item() for product in products] == [13.0, 12.0]


def test_vjp_errors() -> None:
    one = mx.array(1.0)
    with pytest.raises(ValueError, match=r"Number of outputs .* \(2\)"):
        mx.vjp(lambda x: (x, x), [one], [one])
    with pytest.raises(ValueError, match=r"Output shape \(\) does not match cotangent shape \(2,\)"):
        mx.vjp(lambda x: x, [one], [mx.ones((2,))])
    with pytest.raises(TypeError, match="primals must be a list"):
        mx.vjp(lambda x: x, one, one)


def test_jvp_and_its_errors() -> None:
    x = mx.array([1.0, 2.0])
    outputs, products = mx.jvp(lambda x: (x * x, x.sum()), [x], [mx.array([1.0, 10.0])])
    assert outputs[0].tolist() == [1.0, 4.0]
    assert products[0].tolist() == [2.0, 40.0]
    assert products[1].item() == 11.0
    with pytest.raises(ValueError, match="Number of inputs"):
        mx.jvp(lambda x: x, [x], [])
    with pytest.raises(ValueError, match="tangent shape"):
        mx.jvp(lambda x: x, [x], [mx.array(1.0)])


def test_forward_over_reverse_gives_a_hessian_vector_product() -> None:
    x, v = mx.array([1.0, 2.0, 3.0]), mx.array([1.0, 0.0, -1.0])
    _, (product,) = mx.jvp(mx.grad(lambda x: (x * x * x).sum()), [x], [v])
    assert product.tolist() == [6.0, 0.0, -18.0]


# ---------------------------------------------------------------------- depth


@pytest.mark.timeout(120)
def test_a_chain_of_a_hundred_thousand_nodes() -> None:
    def fun(x: Any) -> Any:
        for _ in range(100_000):
            x = x * 1.00001
        return x

    with mx.engine("numpy"):
        value, gradient = mx.value_and_grad(fun)(mx.array(1.0))
        assert gradient.item() == pytest.approx(math.e, rel=1e-2)
        assert value.item() == pytest.approx(math.e, rel=1e-2)

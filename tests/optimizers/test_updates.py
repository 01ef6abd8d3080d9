"""What an update does to trees and modules, whole, in part, or not at all because it failed."""

import re
from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_map

ONE, TWO = mx.array([1.0]), mx.array([1.0, 2.0])


def frozen_copy(tree: Any) -> Any:
    """Containers copied, arrays as values: what must not change."""
    if isinstance(tree, dict):
        return {key: frozen_copy(child) for key, child in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [frozen_copy(child) for child in tree]
    return tree.tolist()


# ------------------------------------------------------------------------------------ the functional form


def test_a_tree_is_updated_into_a_new_one():
    params, grads = {"layers": [{"w": mx.array([1.0, 2.0])}]}, {"layers": [{"w": mx.array([3.0, -4.0])}]}
    held = [params, params["layers"], params["layers"][0], grads, grads["layers"], grads["layers"][0]]
    w, gradient = params["layers"][0]["w"], grads["layers"][0]["w"]
    opt = optim.SGD(0.5, momentum=0.5)
    for method in (opt.update, lambda p, g: opt.apply_gradients(g, p)):
        new = method(params, grads)
        assert not any(part is old for part in (new, new["layers"], new["layers"][0]) for old in held)
        assert params["layers"][0]["w"] is w
        assert grads["layers"][0]["w"] is gradient
        assert frozen_copy([params, grads]) == [{"layers": [{"w": [1, 2]}]}, {"layers": [{"w": [3, -4]}]}]
    assert new["layers"][0]["w"].tolist() == [-1.25, 5]  # the second step: v = 1.5 g


def test_trees_of_every_kind():
    Pair = namedtuple("Pair", ["first", "second"])
    one, grad = mx.array(1.0), mx.array(2.0)
    for params, grads in [
        ([one, one], [grad, grad]),
        ((one, [one]), (grad, [grad])),
        (Pair(one, {"x": one}), Pair(grad, {"x": grad})),
        ({"t": (one, Pair(one, one))}, {"t": (grad, Pair(grad, grad))}),
        (one, grad),
    ]:
        opt = optim.SGD(0.25, momentum=0.5)
        new = params
        for expected in (0.5, -0.25):
            new = opt.update(new, grads)
            assert [leaf.item() for _, leaf in tree_flatten(new)] == [expected] * len(tree_flatten(params))
        assert type(new) is type(params)
        if isinstance(params, dict):
            assert type(new["t"][1]) is Pair


def test_parameters_without_gradient_stay():
    w, frozen = mx.array(1.0), {"deep": [mx.array(5.0), (mx.array(6.0),)]}
    params = {"frozen": frozen, "w": w, "list": [mx.array(7.0), w], "last": w}
    opt = optim.SGD(0.5)
    new = opt.update(params, {"w": mx.array(1.0), "list": [{}, mx.array(1.0)]})
    assert list(new) == ["frozen", "w", "list", "last"]
    assert [leaf.item() for _, leaf in tree_flatten(new)] == [5, 6, 0.5, 7, 0.5, 1]
    assert new["frozen"]["deep"][1][0] is frozen["deep"][1][0]
    assert new["frozen"] is not frozen
    applied = opt.apply_gradients({"w": mx.array(1.0), "list": [{}, mx.array(1.0)]}, params)
    assert list(applied) == ["w", "list"]
    assert applied["list"][0] == {}


def test_the_documented_loop_without_eval():
    mx.random.seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    params = net.parameters()
    start = [np.array(leaf) for _, leaf in tree_flatten(params)]
    opt = optim.AdamW(1e-2)

    def loss_fn(p, x, y):
        logits = net.apply(p, x)
        return mx.mean((logits - y) ** 2)

    losses = []
    for _ in range(100):
        x = mx.random.normal((32, 4))
        y = x.sum(axis=1, keepdims=True)
        val, grads = mx.value_and_grad(loss_fn)(params, x, y)
        params = opt.update(params, grads)
        losses.append(val)
    assert losses[-1].item() < 0.1 * losses[0].item()
    for before, (_, leaf) in zip(start, tree_flatten(net.parameters()), strict=True):
        np.testing.assert_array_equal(leaf, before)


def test_a_module_is_updated_in_place():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    functional = optim.Adam(0.1)
    grads = tree_map(mx.ones_like, model.parameters())
    expected = functional.update(model.parameters(), grads)
    assert optim.Adam(0.1).update(model, grads) is None
    for (_, value), (_, leaf) in zip(tree_flatten(expected), tree_flatten(model.parameters()), strict=True):
        assert mx.array_equal(leaf, value)


def test_frozen_layers_of_a_module_stay():
    model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    model.layers[0].freeze()
    before = np.array(model.layers[0].weight)
    optim.SGD(0.1).update(model, tree_map(mx.ones_like, model.trainable_parameters()))
    np.testing.assert_array_equal(model.layers[0].weight, before)


# ---------------------------------------------------------------------------------------- failed updates

LAYERS = "gradients['layers']"
BAD_GRADIENTS = [
    ({"a": ONE, "layers": [{"w": TWO}, {"w": ONE}]}, f"{LAYERS}[1]['w'] has shape (1,) but the"),
    ({"a": ONE, "layers": [{"w": TWO}, {"w": ONE[0]}]}, f"{LAYERS}[1]['w'] has shape () but the"),
    ({"a": ONE, "extra": ONE}, "gradients['extra'] has no parameter"),
    ({"a": ONE, "layers": [{"w": TWO}, {"bias": TWO}]}, f"{LAYERS}[1]['bias'] has no parameter"),
    ({"a": ONE, "layers": [{}, {}, {"w": TWO}]}, f"{LAYERS}[2] has no parameter"),
    ({"a": ONE, "layers": TWO}, f"{LAYERS} is of type array but parameters['layers'] is of type list"),
    ({"a": [ONE]}, "gradients['a'] is of type list but parameters['a'] is of type array"),
    ({"a": ONE, "layers": {"0": {"w": TWO}}}, f"{LAYERS} is of type dict but parameters['layers'] is"),
    ((ONE, TWO), "gradients is of type tuple but parameters is of type dict"),
]  # fmt: skip


def two_optimizers() -> optim.Optimizer:
    return optim.MultiOptimizer([optim.Adam(0.1), optim.SGD(0.1, momentum=0.9)], [lambda path, _: path == "a"])


@pytest.mark.parametrize("steps_before", [0, 1])
@pytest.mark.parametrize("make", [lambda: optim.Adam(optim.exponential_decay(0.1, 0.5)), two_optimizers])
@pytest.mark.parametrize(("gradients", "message"), BAD_GRADIENTS)
def test_a_failed_update_changes_nothing(gradients, message, make, steps_before):
    opt = make()
    params = {"a": ONE, "layers": [{"w": TWO}, {"w": TWO}]}
    for _ in range(steps_before):
        params = opt.update(params, {"a": ONE, "layers": [{"w": TWO}]})
    before, state_before = frozen_copy(params), frozen_copy(opt.state)
    with pytest.raises(ValueError, match=r"\[\w+.update\] " + re.escape(message)):
        opt.update(params, gradients)
    assert frozen_copy(params) == before
    assert frozen_copy(opt.state) == state_before
    good = {"a": ONE, "layers": [{"w": TWO}, {"w": TWO}]}
    after_failure, fresh = opt.update(params, good), make()
    other = {"a": ONE, "layers": [{"w": TWO}, {"w": TWO}]}
    for _ in range(steps_before):
        other = fresh.update(other, {"a": ONE, "layers": [{"w": TWO}]})
    assert frozen_copy(after_failure) == frozen_copy(fresh.update(other, good))


BAD_DTYPES = {
    mx.int32: "int32 but the parameter has mlx.core.float32; gradients must be floats: cast them with astype(",
    mx.bool_: "bool but the parameter has mlx.core.float32; gradients must be floats: cast them with astype(",
    mx.complex64: "complex64 but the parameter has mlx.core.float32; complex gradients belong to complex parameters",
}


@pytest.mark.parametrize("steps_before", [0, 1])
@pytest.mark.parametrize("make", [lambda: optim.Adam(optim.exponential_decay(0.1, 0.5)), two_optimizers])
@pytest.mark.parametrize("dtype", BAD_DTYPES, ids=str)
def test_dtypes_that_the_last_leaf_cannot_have(dtype, make, steps_before):
    opt = make()
    params = {"a": ONE, "layers": [{"w": TWO}, {"w": TWO}]}
    for _ in range(steps_before):
        params = opt.update(params, params)
    before, state_before = frozen_copy(params), frozen_copy(opt.state)
    given = {"a": ONE, "layers": [{"w": TWO}, {"w": TWO.astype(dtype)}]}
    message = f"update] gradients['layers'][1]['w'] has dtype mlx.core.{BAD_DTYPES[dtype]}"
    with pytest.raises(ValueError, match=re.escape(message)):
        opt.update(params, given)
    assert frozen_copy(params) == before
    assert frozen_copy(opt.state) == state_before


@pytest.mark.parametrize(
    ("gradient", "parameter"),
    [
        (mx.float16, mx.float32),
        (mx.bfloat16, mx.float32),
        (mx.float32, mx.float16),
        (mx.float32, mx.complex64),
        (mx.complex64, mx.complex64),
    ],
    ids=str,
)
def test_dtypes_that_go_together(gradient, parameter):
    new = optim.SGD(0.5).update({"w": TWO.astype(parameter)}, {"w": TWO.astype(gradient)})
    assert new["w"].dtype == mx.result_type(TWO.astype(gradient), TWO.astype(parameter))
    assert new["w"].tolist() == [0.5, 1.0]


def test_a_formula_that_fails_takes_the_whole_step_back():
    class Fails(optim.Adam):
        def apply_single(self, gradient, parameter, state):
            if parameter.size == 2:
                raise RuntimeError("no")
            return super().apply_single(gradient, parameter, state)

    opt = Fails(0.1)
    opt.init({"a": ONE, "b": TWO})
    before = frozen_copy(opt.state)
    with pytest.raises(RuntimeError, match="no"):
        opt.update({"a": ONE, "b": TWO}, {"a": ONE, "b": TWO})
    assert frozen_copy(opt.state) == before


def test_a_module_is_left_alone_by_a_failed_update():
    model = nn.Linear(2, 3)
    before = frozen_copy(model.parameters())
    opt = optim.SGD(0.1, momentum=0.9)
    grads = {"weight": mx.ones((3, 2)), "bias": mx.ones((4,))}
    with pytest.raises(ValueError, match=r"gradients\['bias'\] has shape \(4,\) but the parameter has \(3,\)"):
        opt.update(model, grads)
    assert frozen_copy(model.parameters()) == before
    assert list(opt.state) == ["step", "learning_rate"]
    assert opt.step.item() == 0


@pytest.mark.parametrize("leaf", [None, 1.0, np.ones(1)], ids=["None", "float", "numpy"])
@pytest.mark.parametrize("steps_before", [0, 1])
def test_leaves_must_be_arrays(leaf, steps_before):
    opt = optim.SGD(0.1)
    for _ in range(steps_before):
        opt.update({"w": [ONE]}, {"w": [ONE]})
    with pytest.raises(TypeError, match=r"\[SGD.update\] gradients\['w'\]\[0\] must be an array"):
        opt.update({"w": [ONE]}, {"w": [leaf]})
    with pytest.raises(TypeError, match=r"\[SGD.init\] parameters\['w'\]\[0\] must be an array"):
        opt.init({"w": [leaf]})
    assert opt.step.item() == steps_before


def test_parameters_named_like_state_are_refused():
    for name in ("step", "learning_rate"):
        with pytest.raises(ValueError, match=f"'{name}'.* own state"):
            optim.SGD(0.1).update({name: ONE}, {name: ONE})


# ----------------------------------------------------------------------------------------- MultiOptimizer


def test_each_optimizer_gets_what_its_filter_picks():
    seen = []

    def is_matrix(path, leaf):
        seen.append(path)
        return leaf.ndim > 1

    opt = optim.MultiOptimizer([optim.SGD(1.0, momentum=0.5), optim.Lion(0.25), optim.SGD(0.5)], [
        is_matrix,
        lambda path, _: path.endswith("bias"),
    ])  # fmt: skip
    params = {
        "layers": [{"weight": mx.zeros((1, 1)), "bias": mx.zeros(1)}, {}, {"weight": mx.zeros((1, 1))}],
        "pair": (mx.zeros((1, 1)), mx.zeros(1)),
        "scale": mx.zeros(1),
    }
    new = opt.update(params, tree_map(lambda leaf: mx.full(leaf.shape, 8.0), params))
    assert set(seen) == {
        "layers.0.weight", "layers.0.bias", "layers.2.weight", "pair.0", "pair.1", "scale",
    }  # fmt: skip
    assert {path: leaf.item() for path, leaf in tree_flatten(new)} == {
        "layers.0.weight": -8, "layers.0.bias": -0.25, "layers.2.weight": -8, "pair.0": -8, "pair.1": -4,
        "scale": -4,
    }  # fmt: skip
    assert isinstance(new["pair"], tuple)
    states = [dict(tree_flatten(state)) for state in opt.state["states"]]
    assert set(states[0]) - {"step", "learning_rate"} == {
        "layers.0.weight.v", "layers.2.weight.v", "pair.0.v",
    }  # fmt: skip
    assert set(states[1]) - {"step", "learning_rate"} == {"layers.0.bias.m"}
    assert opt.step.item() == 1


def test_multi_optimizer_state_and_learning_rate():
    opt = optim.MultiOptimizer([optim.Adam(0.25), optim.SGD(0.5)], [lambda _, leaf: leaf.ndim > 0])
    opt.init({"w": TWO, "b": mx.array(0.0)})
    assert opt.learning_rate.item() == 0.25
    opt.learning_rate = 2.0
    assert [state["learning_rate"].item() for state in opt.state["states"]] == [2, 2]
    other = optim.MultiOptimizer([optim.Adam(0.25), optim.SGD(0.5)], [lambda _, leaf: leaf.ndim > 0])
    other.state = opt.state
    assert other.learning_rate.item() == 2
    with pytest.raises(ValueError, match="must hold 2 states"):
        other.state = {"states": [{}]}


def test_a_module_with_parameterless_layers_under_two_optimizers():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    before = frozen_copy(model.parameters())
    opt = optim.MultiOptimizer([optim.SGD(1.0), optim.SGD(2.0)], [lambda _, leaf: leaf.ndim > 1])
    opt.update(model, tree_map(mx.ones_like, model.parameters()))
    for index in (0, 2):
        layer = model.layers[index]
        np.testing.assert_allclose(layer.weight, np.array(before["layers"][index]["weight"]) - 1, rtol=1e-6)
        np.testing.assert_allclose(layer.bias, np.array(before["layers"][index]["bias"]) - 2, rtol=1e-6)

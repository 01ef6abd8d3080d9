"""nn.value_and_grad: gradients with respect to a model, which keeps its own arrays."""

import pytest

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten


def line():
    model = nn.Linear(1, 1)
    model.weight, model.bias = mx.array([[2.0]]), mx.array([1.0])
    return model


def test_value_and_gradient_of_a_model():
    model = line()
    weight = model.weight

    def loss_fn(x, y):
        return mx.mean((model(x) - y) ** 2)

    # residual 2 x + 1 - y is 3 at both points
    loss, grads = nn.value_and_grad(model, loss_fn)(mx.array([[1.0], [3.0]]), mx.array([[0.0], [4.0]]))
    assert loss.item() == 9
    assert grads["weight"].tolist() == [[12.0]]
    assert grads["bias"].tolist() == [6.0]
    assert model.weight is weight


def test_auxiliary_outputs_and_keyword_arguments_pass_through():
    model = line()

    def loss_fn(x, *, note):
        y = model(x)
        return y.sum(), y, note

    (loss, y, note), grads = nn.value_and_grad(model, loss_fn)(mx.array([[3.0]]), note="hello")
    assert (loss.item(), y.tolist(), note) == (7, [[7.0]], "hello")
    assert grads["weight"].tolist() == [[3.0]]


def test_only_trainable_parameters_have_gradients():
    model = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), mx.exp, nn.Linear(2, 1))
    model.layers[0].freeze()
    model.layers[3].freeze(keys="bias")
    _, grads = nn.value_and_grad(model, lambda x: model(x).sum())(mx.ones((1, 1)))
    assert [path for path, _ in tree_flatten(grads)] == ["layers.3.weight"]
    model.freeze()
    with pytest.raises(ValueError, match=r"no trainable parameters.*unfreeze"):
        nn.value_and_grad(model, lambda x: model(x).sum())(mx.ones((1, 1)))


def test_the_model_keeps_its_arrays_after_an_exception():
    model = line()
    weight, bias = model.weight, model.bias

    def loss_fn():
        assert model.weight is not weight
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        nn.value_and_grad(model, loss_fn)()
    assert model.weight is weight
    assert model.bias is bias


def test_what_the_function_assigns_stays():
    model = nn.BatchNorm(1)
    model.seen = mx.array(0.0)
    weight = model.weight

    def loss_fn(x):
        model.seen = model.seen + 1
        return model(x).sum()

    nn.value_and_grad(model, loss_fn)(mx.array([[1.0], [3.0]]))
    assert model.seen.item() == 1
    assert model.running_mean.tolist() == pytest.approx([0.2])
    assert model.weight is weight


def test_mistakes_are_explained():
    with pytest.raises(TypeError, match=r"model must be a Module.*nn\.value_and_grad\(model, fn\)"):
        nn.value_and_grad(lambda x: x, line())
    with pytest.raises(TypeError, match="fn must be a function"):
        nn.value_and_grad(line(), 3)


def test_the_function_keeps_its_name():
    def my_loss():
        """Documented."""

    transformed = nn.value_and_grad(line(), my_loss)
    assert (transformed.__name__, transformed.__doc__) == ("my_loss", "Documented.")


def test_a_module_is_an_argument_of_the_plain_transform():
    model = line()
    grads = mx.grad(lambda model, x: model(x).sum())(model, mx.array([[3.0]]))
    assert grads["weight"].tolist() == [[3.0]]
    assert type(grads) is dict


def test_what_the_function_updates_in_place_stays():
    model = line()
    model.calls = mx.array(0.0)
    calls, weight = model.calls, model.weight

    def loss_fn(x):
        model.calls += 1
        return (model.calls * model(x)).sum()

    for step in (1.0, 2.0):
        _, grads = nn.value_and_grad(model, loss_fn)(mx.array([[3.0]]))
        assert model.calls.item() == step
        # calls (2 x + 1), in calls and in the weight
        assert grads["calls"].item() == 7.0
        assert grads["weight"].tolist() == [[3.0 * step]]
    assert calls.item() == 0.0
    assert model.weight is weight

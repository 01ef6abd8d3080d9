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


def test_arguments_may_have_any_name():
    model = line()

    def loss_fn(parameters, *, args, fun, self):
        return (model(parameters) * args + fun * self).sum()

    loss, grads = nn.value_and_grad(model, loss_fn)(parameters=mx.array([[3.0]]), args=2.0, fun=10.0, self=1.0)
    assert loss.item() == 24.0
    assert grads["weight"].tolist() == [[6.0]]


def test_it_nests_and_goes_together_with_other_transforms():
    model = line()
    x = mx.array([[3.0]])

    def gradient_norm(x):
        """The gradient in the weight of (w x + b)^2, which is 2 x (w x + b), and its square."""
        _, grads = nn.value_and_grad(model, lambda x: (model(x) ** 2).sum())(x)
        return (grads["weight"] ** 2).sum()

    value, grads = nn.value_and_grad(model, gradient_norm)(x)
    # f = (2 x (w x + b))^2 = (6 * 7)^2; df/dw = 2 * 42 * 2 x^2 = 1512; df/db = 2 * 42 * 2 x = 504
    assert value.item() == 1764.0
    assert grads["weight"].tolist() == [[1512.0]]
    assert grads["bias"].tolist() == [504.0]
    of_x = mx.grad(lambda x: nn.value_and_grad(model, lambda x: (model(x) ** 2).sum())(x)[1]["bias"].sum())(x)
    assert of_x.tolist() == [[4.0]]  # of 2 (w x + b)
    together = mx.vmap(lambda x: nn.value_and_grad(model, lambda x: (model(x) ** 2).sum())(x)[1]["weight"])
    assert together(mx.array([[[1.0]], [[3.0]]])).tolist() == [[[6.0]], [[42.0]]]
    compiled = mx.compile(nn.value_and_grad(model, gradient_norm), inputs=model.state)
    assert compiled(x)[1]["bias"].tolist() == [504.0]
    model.bias = mx.array([0.0])
    assert compiled(x)[1]["bias"].tolist() == [432.0]  # 2 * 36 * 6
    assert (model.weight.tolist(), model.bias.tolist()) == ([[2.0]], [0.0])


def test_checkpoint_gives_the_same_gradients():
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    x = mx.array([[1.0, -2.0], [0.5, 3.0]])
    loss, grads = nn.value_and_grad(model, lambda x: model(x).sum())(x)
    for layer in (nn.utils.checkpoint(model), nn.utils.checkpoint(model, lambda x: model(x))):
        again, same = nn.value_and_grad(model, lambda x, layer=layer: layer(x).sum())(x)
        assert again.item() == pytest.approx(loss.item(), rel=1e-6)
        for (path, a), (_, b) in zip(tree_flatten(grads), tree_flatten(same), strict=True):
            assert mx.allclose(a, b, rtol=1e-5, atol=1e-6), path
    assert mx.grad(lambda x: nn.utils.checkpoint(model)(x).sum())(x).shape == x.shape

"""`Module.apply` as a pure function: under every transform, with methods, with state, with a random key."""

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_map


class Net(nn.Module):
    """Batch normalisation and dropout between linear maps, one of them in a list."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.parts = [nn.BatchNorm(4), nn.Dropout(0.5)]
        self.last = nn.Linear(4, 2)

    def __call__(self, x):
        return self.last(self.hidden(x))

    def hidden(self, x, scale=1.0):
        x = self.first(x)
        for part in self.parts:
            x = part(x)
        return scale * x


class Affine(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = mx.array(2.0)

    def __call__(self, x):
        return self.scale * x

    def shifted(self, x, shift):
        return self.scale * x + shift


def contents(module):
    return {path: id(array) for path, array in tree_flatten(module)}


X = mx.random.normal((6, 3), key=mx.random.key(1))


@pytest.fixture
def net():
    mx.random.seed(0)
    return Net()


def test_frozen_parameters_are_what_trainable_parameters_leave_out(net):
    assert tree_flatten(net.frozen_parameters(), destination={}).keys() == {
        "parts.0.running_mean",
        "parts.0.running_var",
    }
    net.first.freeze(keys="bias")
    trainable = tree_flatten(net.trainable_parameters(), destination={})
    frozen = tree_flatten(net.frozen_parameters(), destination={})
    assert "first.bias" in frozen
    assert not trainable.keys() & frozen.keys()
    assert trainable.keys() | frozen.keys() == tree_flatten(net.parameters(), destination={}).keys()
    net.freeze()
    assert tree_flatten(net.frozen_parameters()) == tree_flatten(net.parameters())
    module = nn.Module()
    module.table = {"a": mx.array(1.0), "b": [mx.array(2.0)]}
    module.freeze(keys="table")
    assert sorted(path for path, _ in tree_flatten(module.frozen_parameters())) == ["table.a", "table.b.0"]


def test_state_is_returned_and_the_module_stays(net):
    params, state = net.trainable_parameters(), net.frozen_parameters()
    before = contents(net)
    y, new = net.apply(params, X, state=state, key=mx.random.key(0))
    assert contents(net) == before
    assert y.shape == (6, 2)
    hidden = np.array(net.first(X))
    np.testing.assert_allclose(new["parts"][0]["running_mean"], 0.1 * hidden.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(new["parts"][0]["running_var"], 0.9 + 0.1 * hidden.var(0, ddof=1), rtol=1e-4)
    assert state["parts"][0]["running_mean"].tolist() == [0, 0, 0, 0]
    _, newer = net.apply(params, X, state=new, key=mx.random.key(0))
    np.testing.assert_allclose(newer["parts"][0]["running_mean"], 0.19 * hidden.mean(0), rtol=1e-4, atol=1e-6)


def test_the_key_decides_and_the_global_state_stays(net):
    params, state = net.trainable_parameters(), net.frozen_parameters()
    mx.random.seed(5)
    expected = mx.random.uniform().item()
    mx.random.seed(5)
    first, _ = net.apply(params, X, state=state, key=mx.random.key(0))
    again, _ = net.apply(params, X, state=state, key=mx.random.key(0))
    other, _ = net.apply(params, X, state=state, key=mx.random.key(1))
    assert mx.array_equal(first, again)
    assert not mx.array_equal(first, other)
    assert mx.random.uniform().item() == expected


def test_it_is_the_same_compiled_and_checkpointed(net):
    def pure(params, state, key, x):
        return net.apply(params, x, state=state, key=key)

    arguments = (net.trainable_parameters(), net.frozen_parameters(), mx.random.key(3), X)
    y, state = pure(*arguments)
    for transformed in (mx.compile(pure), mx.checkpoint(pure), mx.compile(pure, shapeless=True)):
        for _ in range(2):
            mine, new = transformed(*arguments)
            np.testing.assert_allclose(mine, y, rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(new["parts"][0]["running_var"], state["parts"][0]["running_var"], rtol=1e-5)


def test_gradients_and_tangents_agree(net):
    params, state, key = net.trainable_parameters(), net.frozen_parameters(), mx.random.key(3)

    def loss(params):
        y, new = net.apply(params, X, state=state, key=key)
        return y.square().sum(), new

    before = contents(net)
    gradient = mx.value_and_grad(loss)(params)[1]
    assert contents(net) == before
    direction = tree_map(lambda p: mx.cos(mx.arange(p.size)).reshape(p.shape), params)
    (_, _), push = mx.linearize(loss)(params)
    product, of_state = push(direction)
    expected = sum(
        (g * d).sum() for (_, g), (_, d) in zip(tree_flatten(gradient), tree_flatten(direction), strict=True)
    )
    np.testing.assert_allclose(product, expected, rtol=1e-4)
    assert abs(of_state["parts"][0]["running_mean"]).sum().item() > 0
    checkpointed = mx.value_and_grad(mx.checkpoint(loss))(params)[1]
    np.testing.assert_allclose(checkpointed["first"]["weight"], gradient["first"]["weight"], rtol=1e-5, atol=1e-6)


def test_an_ensemble_is_a_vmap(net):
    members = [Net() for _ in range(3)]
    stack = lambda *arrays: mx.stack(arrays)  # noqa: E731
    params = tree_map(stack, *(m.trainable_parameters() for m in members))
    state = tree_map(stack, *(m.frozen_parameters() for m in members))
    keys = mx.random.split(mx.random.key(0), 3)

    def one(params, state, key):
        return net.apply(params, X, state=state, key=key)

    before = contents(net)
    ys, states = mx.vmap(one)(params, state, keys)
    assert contents(net) == before
    for i, member in enumerate(members):
        y, new = member.apply({}, X, state=member.frozen_parameters(), key=keys[i])
        np.testing.assert_allclose(ys[i], y, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(states["parts"][0]["running_mean"][i], new["parts"][0]["running_mean"], rtol=1e-4)


def test_methods_by_name_and_as_functions():
    module = Affine()
    params = {"scale": mx.array(3.0)}
    assert module.apply(params, mx.array(2.0), mx.array(1.0), method="shifted").item() == 7.0
    assert module.apply(params, mx.array(2.0), method=Affine.shifted, shift=mx.array(0.5)).item() == 6.5
    assert module.apply(params, mx.array(2.0), method=lambda m, x: m(m(x))).item() == 18.0
    assert module.scale.item() == 2.0
    with pytest.raises(AttributeError, match="shfited"):
        module.apply(params, method="shfited")
    with pytest.raises(TypeError, match="method must be the name of a method or a function"):
        module.apply(params, method=3)


def test_an_exception_changes_nothing(net):
    before = contents(net)
    for mode in ({}, {"state": net.frozen_parameters()}, {"key": mx.random.key(0)}):
        mx.random.seed(1)
        expected = mx.random.uniform().item()
        mx.random.seed(1)
        with pytest.raises(ValueError, match=r"Linear|matmul|addmm"):
            net.apply(net.trainable_parameters(), mx.ones((6, 7)), **mode)
        assert contents(net) == before
        assert mx.random.uniform().item() == expected


def test_what_would_be_lost_is_refused(net):
    before = contents(net)
    with pytest.raises(ValueError, match=r"assigns 'parts\.0\.running_mean', which is not in state; pass state=module"):
        net.apply(net.trainable_parameters(), X, state={})
    with pytest.raises(ValueError, match=r"assigns 'parts\.0\.running_mean', which is not in state"):
        net.apply(net.parameters(), X, state={})
    with pytest.raises(ValueError, match=r"'parts\.0\.running_mean' is in params and in state"):
        net.apply(net.parameters(), X, state=net.frozen_parameters())
    assert contents(net) == before
    net.eval()
    y, state = net.apply(net.parameters(), X, state={})
    assert state == {}
    np.testing.assert_allclose(y, net(X), rtol=1e-5)


def test_shared_modules_are_no_conflict():
    layer = nn.Linear(2, 2)
    twice = nn.Sequential(layer, nn.BatchNorm(2), layer)
    params, state = twice.trainable_parameters(), twice.frozen_parameters()
    y, _ = twice.apply(params, mx.ones((3, 2)), state=state)
    assert y.shape == (3, 2)


def test_options_are_not_mistaken_for_arguments():
    class Stateful(nn.Module):
        def __call__(self, x, state=None):
            return x if state is None else x + state

    module = Stateful()
    assert module.apply({}, mx.array(1.0), mx.array(2.0)).item() == 3.0
    with pytest.raises(TypeError, match="state is an option of apply and also an argument of what it calls"):
        module.apply({}, mx.array(1.0), state={})


def test_a_key_is_a_key(net):
    for key, what in ((7, "int"), (mx.array([1, 2, 3]), r"shape \(3,\)"), (mx.array([1.0, 2.0]), "float32")):
        with pytest.raises(ValueError, match=r"\[Module\.apply\] key must be a key such as .*" + what):
            net.apply({}, X, key=key)


class Counting(nn.Module):
    """Counts its calls by an update in place."""

    def __init__(self):
        super().__init__()
        self.scale = mx.array(2.0)
        self.calls = [mx.array(0.0)]
        self.freeze(keys="calls")

    def __call__(self, x):
        self.calls[0] += 1
        return self.scale * x


def test_updates_in_place_reach_neither_the_module_nor_what_it_is_given():
    module, x = Counting(), mx.array(3.0)
    params, state = module.trainable_parameters(), module.frozen_parameters()
    y, new = module.apply(params, x, state=state)
    assert (y.item(), new["calls"][0].item()) == (6.0, 1.0)
    assert state["calls"][0].item() == 0.0
    assert module.calls[0].item() == 0.0
    _, newer = module.apply(params, x, state=new)
    assert (newer["calls"][0].item(), new["calls"][0].item()) == (2.0, 1.0)
    given = {"calls": [mx.array(7.0)]}
    module.apply(given, x)
    assert given["calls"][0].item() == 7.0
    assert module.calls[0].item() == 0.0
    with pytest.raises(ValueError, match=r"assigns 'calls\.0', which is not in state"):
        module.apply(params, x, state={})
    assert module.calls[0].item() == 0.0
    module.apply(params, x)  # in module style it stays, like an assignment
    assert module.calls[0].item() == 1.0


def test_arrays_that_are_one_stay_one_inside():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = mx.array(1.0)
            self.second = self.first

        def __call__(self):
            assert self.first is self.second
            return self.first

    module = Tied()
    first = module.first
    module.apply({}, state={})
    assert module.first is first
    assert module.second is first


def in_jvp(pure):
    def pushed(params, state, key, x):
        return mx.jvp(lambda x: pure(params, state, key, x)[0], [x], [x])

    return pushed


def in_scan(pure):
    def looped(params, state, key, x):
        return mx.scan(lambda state, x: pure(params, state, key, x)[::-1], state, mx.stack([x, x]))

    return looped


def in_vmap(pure):
    mapped = mx.vmap(pure, (None, None, None, 0))
    return lambda params, state, key, x: mapped(params, state, key, mx.stack([x, x]))


TRANSFORMS = {
    "grad": lambda pure: mx.value_and_grad(lambda *arguments: pure(*arguments)[0].sum()),
    "jvp": in_jvp,
    "vmap": in_vmap,
    "compile": mx.compile,
    "checkpoint": lambda pure: mx.grad(mx.checkpoint(lambda *arguments: pure(*arguments)[0].sum())),
    "scan": in_scan,
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_no_transform_leaves_a_trace_in_the_module(net, transform):
    arguments = (net.trainable_parameters(), net.frozen_parameters(), mx.random.key(3), X)
    before, random = contents(net), mx.random.state[0].tolist()

    def pure(params, state, key, x):
        return net.apply(params, x, state=state, key=key)

    def failing_inside(params, state, key, x):
        return net.apply(params, mx.ones((6, 7)), state=state, key=key)

    def failing_behind(params, state, key, x):
        pure(params, state, key, x)
        raise ValueError("behind")

    transform(pure)(*arguments)
    for failing, message in ((failing_inside, "Linear|matmul|addmm"), (failing_behind, "behind")):
        with pytest.raises(ValueError, match=message):
            transform(failing)(*arguments)
    assert contents(net) == before
    assert mx.random.state[0].tolist() == random
    assert [part.training for part in net.modules()] == [True] * 5
    mx.eval(net.parameters())


def test_methods_under_transforms(net):
    params, state, key = net.trainable_parameters(), net.frozen_parameters(), mx.random.key(3)

    def hidden(params, x):
        return net.apply(params, x, scale=2.0, method="hidden", state=state, key=key)[0]

    weight, bias = np.array(net.first.weight), np.array(net.first.bias)
    linear = np.array(X) @ weight.T + bias
    normalised = (linear - linear.mean(0)) / np.sqrt(linear.var(0) + 1e-5)
    kept = np.array(hidden(params, X)) != 0
    wanted = np.where(kept, 2 * 2 * normalised, 0)  # of dropout 2, since it keeps one half
    assert 0 < kept.sum() < kept.size
    for of_one in (hidden, mx.compile(hidden), mx.checkpoint(hidden)):
        np.testing.assert_allclose(of_one(params, X), wanted, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(mx.vmap(hidden, (None, 0))(params, X[None])[0], wanted, rtol=1e-3, atol=1e-4)
    # the gain of the normalisation: the sum of what it is multiplied with
    gradient = mx.grad(lambda params: hidden(params, X).sum())(params)
    np.testing.assert_allclose(gradient["parts"][0]["weight"], wanted.sum(0), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(gradient["parts"][0]["bias"], 4 * kept.sum(0), rtol=1e-4)


def test_members_of_an_ensemble_learn_what_each_would_alone():
    def member():
        # (no bias before the normalisation: its gradient is zero but for rounding, which Adam would blow up)
        return nn.Sequential(nn.Linear(3, 8, bias=False), nn.BatchNorm(8), nn.Dropout(0.25), nn.Tanh(), nn.Linear(8, 1))

    mx.random.seed(4)
    members, optimizer = [member() for _ in range(3)], optim.AdamW(optim.linear_schedule(3e-2, 0.0, 40))
    net, y = members[0], mx.sin(X.sum(axis=1, keepdims=True))

    def step(params, state, moments, key):
        def loss_fn(params):
            predicted, new = net.apply(params, X, state=state, key=key)
            return nn.losses.mse_loss(predicted, y), new

        (loss, state), grads = mx.value_and_grad(loss_fn)(params)
        return *optimizer.update(params, grads, moments), state, loss

    def stacked(*arrays):
        return mx.stack(arrays)

    params = tree_map(stacked, *(m.trainable_parameters() for m in members))
    state = tree_map(stacked, *(m.frozen_parameters() for m in members))
    moments = mx.vmap(optimizer.init)(params)
    assert moments["step"].tolist() == [0, 0, 0]
    keys = [mx.random.split(mx.random.key(i), 3) for i in range(20)]
    together, losses = mx.compile(mx.vmap(step)), []
    for key in keys:
        params, moments, state, loss = together(params, state, moments, key)
        losses.append(loss)
    assert mx.all(losses[-1] < 0.5 * losses[0]).item()
    for i, m in enumerate(members):
        alone = (m.trainable_parameters(), optimizer.init(m.trainable_parameters()), m.frozen_parameters(), None)
        for key in keys:
            alone = step(alone[0], alone[2], alone[1], key[i])
        np.testing.assert_allclose(losses[-1][i], alone[3], rtol=1e-3)
        for (path, array), (_, wanted) in zip(
            tree_flatten([params, state]), tree_flatten([alone[0], alone[2]]), strict=True
        ):
            np.testing.assert_allclose(array[i], wanted, rtol=1e-2, atol=1e-3, err_msg=path)
    assert optimizer.step.item() == 0


@pytest.mark.parametrize(
    ("transform", "remedy"),
    [
        (mx.compile, r"name the state that holds it: mx\.compile\(fun, outputs=model\.state\)"),
        (mx.vmap, r"comes back from module\.apply\(params, x, state=state\)"),
    ],
    ids=["compile", "vmap"],
)
def test_a_statistic_without_a_value_says_how_to_get_one(transform, remedy):
    norm = nn.BatchNorm(3)
    transform(lambda x: norm(x))(mx.stack([X, X]))
    with pytest.raises(ValueError, match=r"^\[eval\] .*" + remedy):
        norm.running_mean.tolist()

"""Modules and optimizers that a step of `mx.scan` changes: as the loop in Python does, or all is left as it was."""

import copy

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten

XS = mx.random.normal((5, 4, 2), key=mx.random.key(0))
FINAL_MEAN = sum(0.1 * 0.9 ** (4 - i) * np.array(x).mean(0) for i, x in enumerate(XS))
FINAL_VARIANCE = 0.9**5 + sum(0.1 * 0.9 ** (4 - i) * np.array(x).var(0, ddof=1) for i, x in enumerate(XS))


def contents(tree):
    return {path: id(leaf) for path, leaf in tree_flatten(tree) if isinstance(leaf, mx.array)}


@pytest.fixture(params=["numpy", "xla"])
def engine(request):
    with mx.engine(request.param):
        yield request.param


def test_running_statistics_go_from_step_to_step(engine):
    norm = nn.BatchNorm(2)
    _, ys = mx.scan(lambda c, x: (c, norm(x)), None, XS)
    x = np.array(XS)
    wanted = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(ys, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.running_mean, FINAL_MEAN, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(norm.running_var, FINAL_VARIANCE, rtol=1e-5)
    norm.eval()(XS[0])


def test_backwards_the_first_entry_is_the_last(engine):
    norm = nn.BatchNorm(2)
    mx.scan(lambda c, x: (c, norm(x)), None, XS, reverse=True)
    wanted = sum(0.1 * 0.9**i * np.array(x).mean(0) for i, x in enumerate(XS))
    np.testing.assert_allclose(norm.running_mean, wanted, rtol=1e-4, atol=1e-6)


def loop_in_a_loop(norm):
    def outer(c, xs):
        return mx.scan(lambda c, x: (c, norm(x)), c, xs)

    mx.scan(outer, None, XS[None])


def compiled_loop(norm):
    @mx.compile
    def unused(x):
        return x

    loop = mx.compile(lambda xs: mx.scan(lambda c, x: (c, norm(x)), None, xs)[1], inputs=norm.state, outputs=norm.state)
    loop(unused(XS))


def loop_of_a_compiled_step(norm):
    state = [norm.state, mx.random.state]
    step = mx.compile(lambda x: norm(x) + mx.random.normal(x.shape), inputs=state, outputs=state)
    mx.scan(lambda c, x: (c, step(x)), None, XS)


def differentiated_loop(norm):
    def loss(xs):
        return mx.scan(lambda c, x: (c + mx.checkpoint(norm)(x).square().sum(), None), mx.array(0.0), xs)[0]

    assert mx.grad(loss)(XS).shape == XS.shape


def loop_of_gradients_in_a_module(norm):
    mx.scan(lambda c, x: (c, nn.value_and_grad(norm, lambda x: norm(x).sum())(x)[0]), None, XS)


def loop_of_gradients_in_an_argument(norm):
    norm.freeze().unfreeze()
    mx.scan(lambda c, x: (c, mx.grad(lambda m, x: m(x).sum())(norm, x)["weight"]), None, XS)


@pytest.mark.parametrize(
    "run",
    [
        loop_in_a_loop,
        compiled_loop,
        loop_of_a_compiled_step,
        differentiated_loop,
        loop_of_gradients_in_a_module,
        loop_of_gradients_in_an_argument,
    ],
    ids=lambda run: run.__name__,
)
def test_it_goes_together_with_every_transform(run):
    norm = nn.BatchNorm(2)
    run(norm)
    np.testing.assert_allclose(norm.running_mean, FINAL_MEAN, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(norm.running_var, FINAL_VARIANCE, rtol=1e-5)
    assert norm.weight.tolist() == [1, 1]


OPTIMIZERS = {
    "adamw": lambda: optim.AdamW(optim.cosine_decay(1e-2, 100)),
    "several": lambda: optim.MultiOptimizer(
        [optim.SGD(0.1, momentum=0.9), optim.Adam(1e-2)], [lambda p, _: "bias" in p]
    ),
    "skipping": lambda: optim.skip_nonfinite(optim.Lion(1e-3)),
}


def training_step(model, optimizer):
    loss_and_grads = nn.value_and_grad(model, lambda x, y: nn.losses.mse_loss(model(x), y))

    def step(carry, batch):
        loss, grads = loss_and_grads(*batch)
        optimizer.update(model, grads)
        return carry, loss

    return step


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_training_in_module_style_is_a_loop(make):
    mx.random.seed(1)
    x = mx.random.normal((6, 8, 3))
    y = mx.sin(x.sum(axis=-1, keepdims=True))
    # (no bias before the normalisation: its gradient is zero but for rounding, which Adam would blow up)
    model = nn.Sequential(nn.Linear(3, 4, bias=False), nn.BatchNorm(4), nn.Tanh(), nn.Dropout(0.3), nn.Linear(4, 1))
    twin = copy.deepcopy(model)
    optimizer, other = make(), make()
    optimizer.init(model.trainable_parameters())
    other.init(twin.trainable_parameters())

    mx.random.seed(2)
    step = training_step(twin, other)
    losses = [step(None, batch)[1] for batch in zip(x, y, strict=True)]
    state = mx.random.state[0].tolist()
    mx.random.seed(2)
    _, scanned = mx.scan(training_step(model, optimizer), None, (x, y))

    np.testing.assert_allclose(scanned, mx.stack(losses), rtol=1e-5)
    assert mx.random.state[0].tolist() == state
    assert optimizer.step.item() == 6
    for (path, array), (_, wanted) in zip(
        tree_flatten([model, optimizer.state]), tree_flatten([twin, other.state]), strict=True
    ):
        np.testing.assert_allclose(array, wanted, rtol=2e-4, atol=1e-6, err_msg=path)
    optimizer.update(model, training_gradients(model, x[0], y[0]))


def training_gradients(model, x, y):
    return nn.value_and_grad(model, lambda x, y: nn.losses.mse_loss(model(x), y))(x, y)[1]


class Counting(nn.Module):
    """Everything that a call can change: in place, in a list, as a tuple, as a plain attribute."""

    def __init__(self):
        super().__init__()
        self.calls = mx.array(0)
        self.sums = [mx.array(0.0)]
        self.latest = (mx.array(0.0), mx.array(0.0))
        self.ndim = None

    def __call__(self, x):
        self.calls += 1
        self.sums[0] += x.sum()
        self.latest = (self.latest[1], x.sum())
        self.ndim = x.ndim
        self.sizes = x.shape
        return x


def test_updates_in_place_and_tuples_are_carried(engine):
    module, total = Counting(), mx.zeros((4, 2))
    calls = module.calls

    def step(_, x):
        total[:, 0] += x[:, 0]
        return None, module(x)

    mx.scan(step, None, XS)
    x = np.array(XS)
    assert module.calls.item() == 5
    assert module.calls is calls
    np.testing.assert_allclose(module.sums[0], x.sum(), rtol=1e-5)
    np.testing.assert_allclose(module.latest, [x[3].sum(), x[4].sum()], rtol=1e-5)
    np.testing.assert_allclose(total, np.stack([x[:, :, 0].sum(0), np.zeros(4)], 1), rtol=1e-5)
    assert (module.ndim, module.sizes) == (2, (4, 2))


class Calling(nn.Module):
    """Holds arrays `a` and `b`, and calls a function of itself and the input."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.a, self.b = mx.array(0.0), mx.array(5.0)

    def __call__(self, x):
        return self.function(self, x)


def test_an_array_is_updated_in_place_and_then_replaced(engine):
    def double(module, x):
        module.a += x
        module.a = module.a * 2
        return module.a + 0

    module = Calling(double)
    _, ys = mx.scan(lambda c, x: (c, module(x)), None, mx.arange(4.0))
    assert ys.tolist() == [0, 2, 8, 22]
    assert module.a.item() == 22


def test_two_arrays_change_places_after_an_update_in_place(engine):
    def exchange(module, x):
        module.a += x
        module.a, module.b = module.b, module.a
        return module.b + 0

    module = Calling(exchange)
    _, ys = mx.scan(lambda c, x: (c, module(x)), None, mx.arange(4.0))
    assert ys.tolist() == [0, 6, 2, 9]  # 0 + 0, 5 + 1, 0 + 2, 6 + 3
    assert (module.a.item(), module.b.item()) == (2, 9)


def test_entries_that_are_assigned_as_those_of_a_dict_are_carried(engine):
    def add(module, x):
        module["a"] = module["a"] + x
        return module["a"]

    module = Calling(add)
    _, ys = mx.scan(lambda c, x: (c, module(x)), None, mx.arange(4.0))
    assert ys.tolist() == [0, 1, 3, 6]
    assert module.a.item() == 6


@pytest.mark.parametrize("xs", [mx.arange(4.0), None])
def test_drawn_arrays_that_hold_nothing_before_are_refused(xs):
    def draw(module, x):
        module.noise = mx.random.normal((2,))
        return module.noise

    module = Calling(draw)
    with pytest.raises(ValueError, match="put an array there before the first step"):
        mx.scan(lambda c, x: (c, module(x)), None, xs, length=4)
    assert not hasattr(module, "noise")


@pytest.mark.parametrize("xs", [mx.arange(4.0), None])
def test_a_table_that_is_drawn_once_leaves_the_random_state_of_the_loop(xs):
    def draw_once(module):
        if not hasattr(module, "table"):
            module.table = mx.random.normal((2,))
        return module.table

    looped, scanned = Calling(None), Calling(None)
    mx.random.seed(3)
    for _ in range(4):
        draw_once(looped)
    wanted = [looped.table.tolist(), mx.random.normal((2,)).tolist()]
    mx.random.seed(3)
    mx.scan(lambda c, x: (c, draw_once(scanned)), None, xs, length=4)
    assert [scanned.table.tolist(), mx.random.normal((2,)).tolist()] == wanted
    assert wanted[0] != wanted[1]


def test_a_table_is_not_kept_where_the_second_run_fails():
    def fail_second(module, x):
        if hasattr(module, "table"):
            raise RuntimeError("inside")
        module.table = mx.arange(3.0)
        module.a = module.a + x
        return x

    module = Calling(fail_second)
    with pytest.raises(RuntimeError, match="inside"):
        mx.scan(lambda c, x: (c, module(x)), None, mx.arange(4.0))
    assert not hasattr(module, "table")
    assert module.a.item() == 0


def test_no_step_changes_nothing():
    norm, module = nn.BatchNorm(2), Counting()
    mx.scan(lambda c, x: (c, module(norm(x))), None, XS[:0])
    assert norm.running_mean.tolist() == [0, 0]
    assert norm.running_var.tolist() == [1, 1]
    assert module.calls.item() == 0


def test_an_exception_leaves_all_as_it_was():
    norm, module = nn.BatchNorm(2), Counting()
    before = contents([norm, module])

    def failing(c, x):
        module(norm(x))
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        mx.scan(failing, None, XS)
    assert contents([norm, module]) == before
    assert module.calls.item() == 0
    assert module.sums[0].item() == 0


class Remembering(nn.Module):
    def __init__(self):
        super().__init__()
        self.seen = mx.zeros((0, 2))
        self.last = None

    def grow(self, x):
        self.seen = mx.concatenate([self.seen, x])
        return x

    def keep(self, x):
        self.last = x
        return x

    def forget(self, x):
        self.seen = None
        return x

    def add(self, x):
        self.parts = [x]
        return x


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("grow", r"fun leaves 'seen' of a Remembering of shape \(4, 2\) .* but found .* of shape \(0, 2\)"),
        ("keep", r"fun assigns 'last' of a Remembering, which holds no array before .* or after one\. Put one there"),
        ("forget", r"fun assigns 'seen' of a Remembering, which holds no array before .* or after one"),
        ("add", r"fun assigns 'parts' of a Remembering, which holds no array"),
    ],
)
def test_what_cannot_be_carried_is_refused_and_all_as_it_was(method, message):
    module = Remembering()
    seen = module.seen
    with pytest.raises(ValueError, match=r"^\[scan\] " + message):
        mx.scan(lambda c, x: (c, getattr(module, method)(x)), None, XS)
    assert module.seen is seen
    assert module.last is None
    assert not hasattr(module, "parts")


def test_an_optimizer_without_state_is_told_to_get_one_first():
    model = nn.Linear(2, 1)
    optimizer = optim.Adam(1e-2)
    before = contents(model)
    ys = mx.zeros((5, 4, 1))
    with pytest.raises(ValueError, match=r"optimizer\.init\(parameters\)"):
        mx.scan(training_step(model, optimizer), None, (XS, ys))
    assert contents(model) == before
    optimizer.init(model.trainable_parameters())
    mx.scan(training_step(model, optimizer), None, (XS, ys))
    assert optimizer.step.item() == 5


def set_attribute(optimizer):
    optimizer.learning_rate = optimizer.learning_rate * 0.5


def set_entry(optimizer):
    optimizer.state["learning_rate"] = optimizer.state["learning_rate"] * 0.5


@pytest.mark.parametrize("halve", [set_attribute, set_entry])
@pytest.mark.parametrize("wrap", [lambda optimizer: optimizer, optim.skip_nonfinite], ids=["alone", "in another"])
def test_what_a_step_sets_in_an_optimizer_is_carried(halve, wrap, engine):
    inner = optim.SGD(8.0, momentum=0.5)
    optimizer = wrap(inner)
    weights = {"w": mx.array(0.0)}
    optimizer.init(weights)

    def step(weights, x):
        halve(inner)
        return optimizer.apply_gradients({"w": x}, weights), inner.learning_rate

    after, rates = mx.scan(step, weights, mx.ones((3,)))
    assert rates.tolist() == [4, 2, 1]
    assert optimizer.learning_rate.item() == 1
    assert after["w"].item() == -(4 * 1 + 2 * 1.5 + 1 * 1.75)  # the momentum is 1, 1 + 1/2, 1 + 1.5/2


@pytest.mark.parametrize("wrap", [lambda optimizer: optimizer, optim.skip_nonfinite], ids=["alone", "in another"])
def test_an_optimizer_that_a_step_makes_is_its_own(wrap, engine):
    def step(weights, x):
        optimizer = wrap(optim.SGD(1.0, momentum=0.5))
        optimizer.learning_rate = 2.0
        for _ in range(2):
            weights = optimizer.apply_gradients({"w": x}, weights)
        return weights, optimizer.step

    after, steps = mx.scan(step, {"w": mx.array(0.0)}, mx.array([1.0, 10.0]))
    assert after["w"].item() == -2 * (1 + 1.5) * 11
    assert steps.tolist() == [2, 2]


@pytest.mark.parametrize("updates", [0, 1])
def test_a_copy_of_an_optimizer_in_a_step_is_its_own(updates, engine):
    optimizer = optim.SGD(1.0, momentum=0.5)
    for _ in range(updates):
        optimizer.apply_gradients({"w": mx.array(4.0)}, {"w": mx.array(0.0)})
    before = contents(optimizer.state)

    def step(weights, x):
        return copy.deepcopy(optimizer).apply_gradients({"w": x}, weights), None

    after, _ = mx.scan(step, {"w": mx.array(0.0)}, mx.array([1.0, 10.0]))
    assert after["w"].item() == -(11 + 2 * updates * 2)  # each step starts from the momentum of 0 or 4, halved
    assert contents(optimizer.state) == before


@pytest.mark.parametrize("exchange", [lambda m: (m.b, m.a), lambda m: (m.a * 2, [m.b])], ids=["modules", "a list"])
def test_modules_cannot_change_places(exchange):
    module = Calling(None)
    module.b = layer = nn.Linear(2, 2)
    first = module.a

    def step(c, x):
        module.a, module.b = exchange(module)
        return c, x

    with pytest.raises(ValueError, match=r"\[scan\] fun assigns '[ab]' of a Calling, which holds a module"):
        mx.scan(step, None, XS)
    assert module.a is first
    assert module.b is layer


def test_an_optimizer_is_as_it_was_after_an_exception():
    optimizer = optim.SGD(8.0, momentum=0.5)
    before, entries = optimizer.state, dict(optimizer.state)

    def failing(c, x):
        optimizer.init({"w": x})
        set_entry(optimizer)
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        mx.scan(failing, None, mx.ones((3,)))
    assert optimizer.state is before
    assert contents(before) == contents(entries)
    assert optimizer.learning_rate.item() == 8


def test_the_functional_forms_change_nothing_outside():
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm(3), nn.Dropout(0.5))
    optimizer = optim.Adam(1e-2)
    params, state = net.trainable_parameters(), net.frozen_parameters()
    moments = optimizer.init(params)
    before = contents([net, params, state, moments, optimizer.state])
    runs = []

    def step(carry, x):
        runs.append(1)
        params, state, moments = carry

        def loss(params):
            y, new = net.apply(params, x, state=state, key=mx.random.key(0))
            return y.square().mean(), new

        (value, state), grads = mx.value_and_grad(loss)(params)
        return (
            *optimizer.update(params, grads, moments)[:1],
            state,
            optimizer.update(params, grads, moments)[1],
        ), value

    (_, state_after, moments_after), losses = mx.scan(step, (params, state, moments), XS)
    assert len(runs) == 1  # nothing outside was changed, so nothing had to be carried
    assert losses.shape == (5,)
    assert moments_after["step"].item() == 5
    assert np.abs(state_after["layers"][1]["running_mean"]).sum() > 0
    assert contents([net, params, state, moments, optimizer.state]) == before


def test_one_step_from_a_state_that_is_not_carried():
    weights = {"w": mx.array([1.0, 2.0])}
    optimizer = optim.SGD(0.5, momentum=0.9)
    state = optimizer.init(weights)

    def step(total, x):
        adapted, _ = optimizer.update(weights, {"w": x}, state)
        return total + adapted["w"].sum(), None

    xs = mx.array([[1.0, 0.0], [0.0, 4.0]])
    # a first step with momentum goes down by 0.5 x
    assert mx.scan(step, mx.array(0.0), xs)[0].item() == (3 - 0.5) + (3 - 2)


def test_a_table_that_is_made_in_the_first_call_is_kept():
    class Positions(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = None

        def __call__(self, x):
            if self.table is None:
                self.table = mx.arange(x.shape[0], dtype=mx.float32)[:, None]
            self.whole = [self.table * 2]
            return x + self.table

    positions, norm = Positions(), nn.BatchNorm(2)
    runs = []

    def step(c, x):
        runs.append(1)
        return c, positions(norm(x))

    _, ys = mx.scan(step, None, XS)
    assert len(runs) == 2  # the second time with the statistics carried
    assert positions.table.tolist() == [[0], [1], [2], [3]]
    assert positions.whole[0].tolist() == [[0], [2], [4], [6]]
    x = np.array(XS)
    wanted = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5) + np.arange(4)[:, None]
    np.testing.assert_allclose(ys, wanted, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(norm.running_mean, FINAL_MEAN, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("export", [mx.export_function, mx.export_to_stablehlo], ids=["function", "stablehlo"])
def test_a_module_that_is_exported_stays_as_it_was(tmp_path, export):
    norm, module = nn.BatchNorm(2), Counting()
    before = contents([norm, module])
    export(str(tmp_path / "program"), lambda x: module(norm(x)), XS[0])
    assert contents([norm, module]) == before
    assert norm.running_var.tolist() == [1, 1]
    assert module.calls.item() == 0
    if export is mx.export_function:
        (y,) = mx.import_function(str(tmp_path / "program"))(XS[0])
        np.testing.assert_allclose(y, norm(XS[0]), rtol=1e-5, atol=1e-6)


def test_a_layer_that_is_made_in_the_first_call_is_kept():
    class Lazy(nn.Module):
        def __call__(self, x):
            if "layer" not in self:
                self.layer = nn.BatchNorm(x.shape[-1], momentum=1.0)
                self.layer.weight = 2 * self.layer.weight
            return self.layer.weight * x

    lazy = Lazy()
    _, ys = mx.scan(lambda c, x: (c, lazy(x)), None, XS)
    np.testing.assert_allclose(ys, 2 * np.array(XS), rtol=1e-6)
    assert lazy.layer.weight.tolist() == [2, 2]
    assert lazy.layer.running_mean.tolist() == [0, 0]
    np.testing.assert_allclose(lazy.layer(XS[0]).sum(), 0, atol=1e-4)


class Cached(nn.Module):
    """Keeps arrays in plain containers."""

    def __init__(self):
        super().__init__()
        self.cache = [{"k": mx.zeros((4, 2))}, {"k": mx.zeros((2,))}]
        self.sums = {"all": mx.array(0.0), "deep": [mx.zeros((2,))]}

    def __call__(self, x):
        self.cache[0]["k"] = x
        self.cache[1]["k"] = self.cache[1]["k"] + x[0]
        self.sums["all"] = self.sums["all"] + x.sum()
        deep = self.sums["deep"]
        deep[0] = mx.maximum(deep[0], x.max(axis=0))
        return x

    def append(self, x):
        self.cache.append(x)
        return x

    def append_the_same(self, x):
        if len(self.cache) == 2:
            self.cache.append(mx.ones((2,)))
        return x + self.cache[2]


def test_containers_inside_a_module_are_carried(engine):
    module = Cached()
    cache = module.cache
    mx.scan(lambda c, x: (c, module(x)), None, XS)
    x = np.array(XS)
    assert module.cache is cache
    np.testing.assert_array_equal(module.cache[0]["k"], x[4])
    np.testing.assert_allclose(module.cache[1]["k"], x[:, 0].sum(0), rtol=1e-5)
    np.testing.assert_allclose(module.sums["all"], x.sum(), rtol=1e-5)
    np.testing.assert_allclose(module.sums["deep"][0], np.maximum(x.max((0, 1)), 0), rtol=1e-6)


def test_lists_do_not_grow_in_a_loop():
    module = Cached()
    before = contents(module)
    with pytest.raises(ValueError, match=r"^\[scan\] fun assigns 2 of a list, which holds no array before"):
        mx.scan(lambda c, x: (c, module.append(x)), None, XS)
    assert contents(module) == before
    _, ys = mx.scan(lambda c, x: (c, module.append_the_same(x)), None, XS)
    np.testing.assert_allclose(ys, np.array(XS) + 1, rtol=1e-6)
    assert module.cache[2].tolist() == [1, 1]

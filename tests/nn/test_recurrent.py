"""RNN, GRU and LSTM against loops in NumPy: values, gradients, arguments, dtypes, empty input and long input."""

import time
import tracemalloc

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn
from mlx.ir.node import recorder

LENGTH, INPUTS, HIDDEN = 5, 3, 2


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rnn(p, x, h, c, f=np.tanh):
    states = []
    for t in range(x.shape[-2]):
        h = f(x[..., t, :] @ p["Wxh"].T + h @ p["Whh"].T + p.get("bias", 0))
        states.append(h)
    return [np.stack(states, -2)]


def gru(p, x, h, c):
    states = []
    for t in range(x.shape[-2]):
        of_x = np.split(x[..., t, :] @ p["Wx"].T + p.get("b", 0), 3, -1)
        of_h = np.split(h @ p["Wh"].T, 3, -1)
        r, z = sigmoid(of_x[0] + of_h[0]), sigmoid(of_x[1] + of_h[1])
        n = np.tanh(of_x[2] + r * (of_h[2] + p.get("bhn", 0)))
        h = (1 - z) * n + z * h
        states.append(h)
    return [np.stack(states, -2)]


def lstm(p, x, h, c):
    states, cells = [], []
    for t in range(x.shape[-2]):
        i, f, g, o = np.split(x[..., t, :] @ p["Wx"].T + h @ p["Wh"].T + p.get("bias", 0), 4, -1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
        cells.append(c)
    return [np.stack(states, -2), np.stack(cells, -2)]


LAYERS = [(nn.RNN, rnn), (nn.GRU, gru), (nn.LSTM, lstm)]


def outputs(result):
    return list(result) if isinstance(result, tuple) else [result]


def numbers(layer):
    return {name: np.array(value, np.float64) for name, value in layer.parameters().items()}


def sample(*shape, seed=0):
    return mx.random.normal(shape, key=mx.random.key(seed))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
@pytest.mark.parametrize(("layer", "reference"), LAYERS)
def test_values(layer, reference, batch, bias):
    module = layer(INPUTS, HIDDEN, bias=bias)
    x, h, c = sample(*batch, LENGTH, INPUTS), sample(*batch, HIDDEN, seed=1), sample(*batch, HIDDEN, seed=2)
    zeros = np.zeros((*batch, HIDDEN))
    given = (h, c) if layer is nn.LSTM else (h,)
    for start, (first, second) in (((), (zeros, zeros)), (given, (np.array(h), np.array(c)))):
        expected = reference(numbers(module), np.array(x, np.float64), first, second)
        for mine, wanted in zip(outputs(module(x, *start)), expected, strict=True):
            np.testing.assert_allclose(mine, wanted, rtol=1e-5, atol=1e-6)


def test_nonlinearity():
    module = nn.RNN(INPUTS, HIDDEN, nonlinearity=nn.relu)
    x = sample(4, LENGTH, INPUTS)
    (expected,) = rnn(numbers(module), np.array(x), np.zeros((4, HIDDEN)), None, lambda v: np.maximum(v, 0))
    np.testing.assert_allclose(module(x), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="nonlinearity must be callable, got 3"):
        nn.RNN(INPUTS, HIDDEN, nonlinearity=3)


@pytest.mark.parametrize("engine", ["numpy", "xla"])
@pytest.mark.parametrize(("layer", "reference"), LAYERS)
def test_gradients_are_those_of_finite_differences(layer, reference, engine):
    module = layer(INPUTS, HIDDEN).set_dtype(mx.float64)
    x = sample(2, LENGTH, INPUTS).astype(mx.float64)
    weights = np.cos(np.arange(2 * LENGTH * HIDDEN)).reshape(2, LENGTH, HIDDEN)

    def loss(params, x):
        return sum((mx.array(weights, mx.float64) * y).sum() for y in outputs(module.apply(params, x)))

    with mx.engine(engine):
        gradients, of_x = mx.grad(loss, argnums=(0, 1))(module.parameters(), x)
        mx.eval(gradients, of_x)
    zeros = np.zeros((2, HIDDEN))
    given = {"x": np.array(x), **numbers(module)}
    for name, gradient in {"x": of_x, **gradients}.items():
        difference = np.zeros_like(given[name])
        for place in np.ndindex(difference.shape):
            values = []
            for shift in (1e-5, -1e-5):
                moved = {key: value.copy() for key, value in given.items()}
                moved[name][place] += shift
                results = reference(
                    {key: value for key, value in moved.items() if key != "x"}, moved["x"], zeros, zeros
                )
                values.append(sum((weights * y).sum() for y in results))
            difference[place] = (values[0] - values[1]) / 2e-5
        np.testing.assert_allclose(gradient, difference, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float32])
@pytest.mark.parametrize(("layer", "reference"), LAYERS)
def test_dtypes_and_empty_input(layer, reference, dtype):
    module = layer(INPUTS, HIDDEN).set_dtype(dtype)
    x = sample(2, LENGTH, INPUTS).astype(dtype)
    expected = reference(numbers(module), np.array(x.astype(mx.float32)), np.zeros((2, HIDDEN)), np.zeros((2, HIDDEN)))
    for mine, wanted in zip(outputs(module(x)), expected, strict=True):
        assert mine.dtype == dtype
        tolerance = 1e-5 if dtype == mx.float32 else 0.05
        np.testing.assert_allclose(mine.astype(mx.float32), wanted, rtol=tolerance, atol=tolerance)
    for shape in ((0, LENGTH), (2, 0)):
        for mine in outputs(module(mx.zeros((*shape, INPUTS), dtype))):
            assert mine.shape == (*shape, HIDDEN)
            assert mine.dtype == dtype


@pytest.mark.parametrize("layer", [nn.RNN, nn.GRU, nn.LSTM])
def test_a_state_may_be_wider_than_the_input(layer):
    module = layer(INPUTS, HIDDEN)
    one, many = sample(LENGTH, INPUTS), mx.stack([sample(HIDDEN), sample(HIDDEN, seed=1)])
    for mine in outputs(module(one.astype(mx.float16), many)):
        assert mine.shape == (2, LENGTH, HIDDEN)
        assert mine.dtype == mx.float32
    separate = [outputs(module(one, h))[0] for h in many]
    np.testing.assert_allclose(outputs(module(one, many))[0], mx.stack(separate), rtol=1e-5, atol=1e-6)


def test_a_cell_alone_can_be_given():
    module = nn.LSTM(INPUTS, HIDDEN)
    x, c = sample(LENGTH, INPUTS), sample(3, HIDDEN)
    expected = lstm(numbers(module), np.array(x), np.zeros((3, HIDDEN)), np.array(c))
    for mine, wanted in zip(module(x, cell=c), expected, strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layer", [nn.RNN, nn.GRU, nn.LSTM])
def test_wrong_input_is_named(layer):
    name, module = layer.__name__, layer(INPUTS, HIDDEN)
    with pytest.raises(ValueError, match=rf"\[{name}\] x must have the shape \(\.\.\., length, 3\), got \(3,\)"):
        module(mx.zeros((INPUTS,)))
    with pytest.raises(ValueError, match=rf"\[{name}\] The last axis of x must be of size 3, got shape \(5, 4\)"):
        module(mx.zeros((5, 4)))
    with pytest.raises(ValueError, match=rf"\[{name}\] The last axis of hidden must be of size 2, got shape \(4,\)"):
        module(mx.zeros((5, INPUTS)), mx.zeros((4,)))
    with pytest.raises(
        ValueError, match=rf"\[{name}\] The axes of hidden but the last must go with \(4,\), .* \(5, 2\)"
    ):
        module(mx.zeros((4, LENGTH, INPUTS)), mx.zeros((5, HIDDEN)))
    with pytest.raises(ValueError, match=rf"\[{name}\] hidden_size must be positive, got 0"):
        layer(INPUTS, 0)


def test_parameters_start_within_their_limits_and_are_shown():
    shapes = {
        nn.RNN: {"Wxh": (4, 3), "Whh": (4, 4), "bias": (4,)},
        nn.GRU: {"Wx": (12, 3), "Wh": (12, 4), "b": (12,), "bhn": (4,)},
        nn.LSTM: {"Wx": (16, 3), "Wh": (16, 4), "bias": (16,)},
    }
    for layer, expected in shapes.items():
        module = layer(3, 4)
        assert {name: value.shape for name, value in module.parameters().items()} == expected
        assert all(abs(value).max().item() <= 0.5 for value in module.parameters().values())
        assert abs(module.parameters()["Wh" if "Wh" in expected else "Whh"]).max().item() > 0.3
    assert repr(nn.LSTM(3, 4)) == "LSTM(input_dims=3, hidden_size=4, bias=True)"
    assert repr(nn.GRU(3, 4, bias=False)) == "GRU(input_dims=3, hidden_size=4, bias=False)"


def score(results):
    """A number that all outputs have a part in, each another."""
    return sum((y.flatten() * mx.cos(mx.arange(y.size).astype(y.dtype))).sum() for y in results)


@pytest.mark.parametrize("layer", [nn.RNN, nn.GRU, nn.LSTM])
def test_one_call_is_what_a_loop_over_steps_is(layer):
    module, x = layer(INPUTS, HIDDEN), sample(2, LENGTH, INPUTS)

    def whole(params, x):
        return outputs(module.apply(params, x))

    def unrolled(params, x):
        state, steps = [], []
        for t in range(LENGTH):
            results = outputs(module.apply(params, x[:, t : t + 1], *state))
            state = [y[:, 0] for y in results]
            steps.append(results)
        return [mx.concatenate(parts, axis=1) for parts in zip(*steps, strict=True)]

    with mx.engine("numpy"):
        for mine, wanted in zip(whole(module.parameters(), x), unrolled(module.parameters(), x), strict=True):
            np.testing.assert_allclose(mine, wanted, rtol=1e-5, atol=1e-6)
        mine, wanted = (
            mx.grad(lambda params, x, run=run: score(run(params, x)), argnums=(0, 1))(module.parameters(), x)
            for run in (whole, unrolled)
        )
        np.testing.assert_allclose(mine[1], wanted[1], rtol=1e-4, atol=1e-5)
        for name, gradient in mine[0].items():
            np.testing.assert_allclose(gradient, wanted[0][name], rtol=1e-4, atol=1e-5, err_msg=name)


LONG = 5000


@pytest.mark.parametrize("engine", ["numpy", "xla"])
@pytest.mark.parametrize(("layer", "reference"), LAYERS)
def test_gradients_of_a_long_sequence(layer, reference, engine):
    module = layer(INPUTS, HIDDEN).set_dtype(mx.float64)
    x = sample(LONG, INPUTS).astype(mx.float64)
    with mx.engine(engine):
        gradients, of_x = mx.grad(lambda p, x: score(outputs(module.apply(p, x))), argnums=(0, 1))(
            module.parameters(), x
        )
        mx.eval(gradients, of_x)
    weights = np.cos(np.arange(LONG * HIDDEN)).reshape(LONG, HIDDEN)
    generator = np.random.default_rng(0)
    start = {"x": np.array(x), **numbers(module)}
    direction = {name: generator.normal(size=value.shape) for name, value in start.items()}
    values = []
    for shift in (1e-6, -1e-6):
        moved = {name: value + shift * direction[name] for name, value in start.items()}
        x = moved.pop("x")
        values.append(sum((weights * y).sum() for y in reference(moved, x, np.zeros(HIDDEN), np.zeros(HIDDEN))))
    slope = sum((np.array(g) * direction[name]).sum() for name, g in {"x": of_x, **gradients}.items())
    assert slope == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-6)


@pytest.mark.parametrize("layer", [nn.RNN, nn.GRU, nn.LSTM])
def test_a_long_sequence_is_as_small_a_program_as_a_short_one(layer):
    module = layer(INPUTS, HIDDEN)
    mx.eval(module.parameters())

    def recorded(length):
        before = len(recorder().pending)
        loss = mx.grad(lambda p, x: sum(y.sum() for y in outputs(module.apply(p, x))))
        gradients = loss(module.parameters(), mx.ones((length, INPUTS)))
        count = len(recorder().pending) - before
        mx.eval(gradients)
        return count

    assert recorded(LONG) == recorded(3)


@pytest.mark.parametrize("layer", [nn.RNN, nn.GRU, nn.LSTM])
def test_time_and_memory_grow_no_faster_than_the_sequence(layer):
    module = layer(INPUTS, HIDDEN)
    mx.eval(module.parameters())

    def step(length):
        x = mx.ones((length, INPUTS))
        started = time.perf_counter()
        mx.eval(mx.value_and_grad(lambda p: score(outputs(module.apply(p, x))))(module.parameters()))
        return time.perf_counter() - started

    def peak(length):
        tracemalloc.start()
        step(length)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    with mx.engine("numpy"):
        step(LONG // 10)
        # Were a step to cost more the longer the sequence is, ten times as long would cost a hundred times as much.
        assert min(step(LONG) for _ in range(2)) < 40 * min(step(LONG // 10) for _ in range(3))
        assert peak(LONG) < 20 * peak(LONG // 10)

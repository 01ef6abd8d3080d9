"""Each optimizer against its formula in NumPy float64, its arguments and its state."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mlx.core as mx
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_map, tree_unflatten

STEPS = 5
SHAPES = {"vector": (7,), "matrix": (5, 3), "wide": (3, 6), "cube": (2, 3, 4), "tall": (2, 4, 3), "scalar": ()}


def random_trees() -> tuple[dict, list[dict]]:
    """Parameters and five gradients in float32, as NumPy arrays."""
    generator = np.random.default_rng(0)

    def draw() -> dict:
        return {name: generator.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}

    return draw(), [draw() for _ in range(STEPS)]


def arrays(tree: Any, dtype: mx.Dtype = mx.float32) -> Any:
    return tree_map(lambda leaf: mx.array(leaf).astype(dtype), tree)


# ------------------------------------------------------------------------------ formulas in NumPy, float64
# Each takes (gradient, parameter, state, step) and the keywords of the optimizer, fills the dict `state`, and
# returns the new parameter. `step` counts from 1.


def sgd(g, w, s, t, learning_rate, momentum=0.0, weight_decay=0.0, dampening=0.0, nesterov=False):
    g = g + weight_decay * w
    if momentum == 0:
        s["v"] = np.zeros_like(g)
        return w - learning_rate * g
    s["v"] = momentum * s.get("v", 0) + (1 - dampening) * g
    return w - learning_rate * (g + momentum * s["v"] if nesterov else s["v"])


def rmsprop(g, w, s, t, learning_rate, alpha=0.99, eps=1e-8):
    s["v"] = alpha * s.get("v", 0) + (1 - alpha) * g**2
    return w - learning_rate * g / (np.sqrt(s["v"]) + eps)


def adagrad(g, w, s, t, learning_rate, eps=1e-8):
    s["v"] = s.get("v", 0) + g**2
    return w - learning_rate * g / (np.sqrt(s["v"]) + eps)


def adadelta(g, w, s, t, learning_rate, rho=0.9, eps=1e-6):
    s["v"] = rho * s.get("v", 0) + (1 - rho) * g**2
    delta = np.sqrt(s.get("u", 0) + eps) / np.sqrt(s["v"] + eps) * g
    s["u"] = rho * s.get("u", 0) + (1 - rho) * delta**2
    return w - learning_rate * delta


def adam(g, w, s, t, learning_rate, betas=(0.9, 0.999), eps=1e-8, bias_correction=False):
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["v"] = betas[1] * s.get("v", 0) + (1 - betas[1]) * g**2
    m, v = s["m"], s["v"]
    if bias_correction:
        m, v = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
    return w - learning_rate * m / (np.sqrt(v) + eps)


def adamw(g, w, s, t, learning_rate, weight_decay=0.01, **others):
    return adam(g, w * (1 - learning_rate * weight_decay), s, t, learning_rate, **others)


def adamax(g, w, s, t, learning_rate, betas=(0.9, 0.999), eps=1e-8):
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["v"] = np.maximum(betas[1] * s.get("v", 0), np.abs(g))
    return w - learning_rate * s["m"] / (s["v"] + eps)


def lion(g, w, s, t, learning_rate, betas=(0.9, 0.99), weight_decay=0.0):
    direction = np.sign(betas[0] * s.get("m", 0) + (1 - betas[0]) * g)
    s["m"] = betas[1] * s.get("m", 0) + (1 - betas[1]) * g
    return w - learning_rate * (direction + weight_decay * w)


def adafactor(
    g,
    w,
    s,
    t,
    learning_rate=None,
    eps=(1e-30, 1e-3),
    clip_threshold=1.0,
    decay_rate=-0.8,
    beta_1=None,
    weight_decay=0.0,
    scale_parameter=True,
    relative_step=True,
    warmup_init=False,
):
    def rms(x):
        return np.sqrt(np.mean(x**2))

    step_size = learning_rate
    if relative_step:
        step_size = min(1e-6 * t if warmup_init else 1e-2, t**-0.5)
    if scale_parameter:
        step_size = step_size * max(eps[1], rms(w))
    kept = 1 - t**decay_rate
    square = g**2 + eps[0]
    if g.ndim < 2:
        moment = s["exp_avg_sq"] = kept * s.get("exp_avg_sq", 0) + (1 - kept) * square
    else:
        row = s["exp_avg_sq_row"] = kept * s.get("exp_avg_sq_row", 0) + (1 - kept) * square.mean(-1)
        col = s["exp_avg_sq_col"] = kept * s.get("exp_avg_sq_col", 0) + (1 - kept) * square.mean(-2)
        moment = row[..., :, None] * col[..., None, :] / row.mean(-1)[..., None, None]
    update = g / np.sqrt(moment)
    update = step_size * update / max(1.0, rms(update) / clip_threshold)
    if beta_1 is not None:
        update = s["exp_avg"] = beta_1 * s.get("exp_avg", 0) + (1 - beta_1) * update
    return w * (1 - weight_decay * step_size) - update


def muon(g, w, s, t, learning_rate, momentum=0.95, weight_decay=0.01, nesterov=True, ns_steps=5):
    g = g + weight_decay * w
    s["v"] = momentum * s.get("v", 0) + (1 - momentum) * g
    update = momentum * s["v"] + (1 - momentum) * g if nesterov else s["v"]
    if g.ndim >= 2:
        x = update.reshape(len(update), -1)
        scale = np.sqrt(max(1.0, g.shape[-2] / g.shape[-1]))
        # The polynomial acts on singular values alone, so the decomposition gives what the iteration gives.
        left, values, right = np.linalg.svd(x / np.linalg.norm(x), full_matrices=False)
        for _ in range(ns_steps):
            values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
        update = scale * (left * values @ right).reshape(g.shape)
    return w - learning_rate * update


CASES: list[tuple[type[optim.Optimizer], Callable, dict]] = [
    (optim.SGD, sgd, {"learning_rate": 0.1}),
    (optim.SGD, sgd, {"learning_rate": 0.1, "weight_decay": 0.03}),
    (optim.SGD, sgd, {"learning_rate": 0.1, "momentum": 0.9}),
    (optim.SGD, sgd, {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.02}),
    (optim.RMSprop, rmsprop, {"learning_rate": 0.01}),
    (optim.RMSprop, rmsprop, {"learning_rate": 0.01, "alpha": 0.7, "eps": 1e-3}),
    (optim.Adagrad, adagrad, {"learning_rate": 0.01}),
    (optim.Adagrad, adagrad, {"learning_rate": 0.01, "eps": 0.1}),
    (optim.AdaDelta, adadelta, {"learning_rate": 0.3}),
    (optim.AdaDelta, adadelta, {"learning_rate": 0.3, "rho": 0.7, "eps": 1e-3}),
    (optim.Adam, adam, {"learning_rate": 0.01}),
    (optim.Adam, adam, {"learning_rate": 0.01, "betas": [0.8, 0.95], "eps": 1e-4}),
    (optim.Adam, adam, {"learning_rate": 0.01, "bias_correction": True}),
    (optim.AdamW, adamw, {"learning_rate": 0.01}),
    (optim.AdamW, adamw, {"learning_rate": 0.01, "weight_decay": 0.3, "bias_correction": True}),
    (optim.Adamax, adamax, {"learning_rate": 0.01}),
    (optim.Adamax, adamax, {"learning_rate": 0.01, "betas": [0.5, 0.9], "eps": 0.1}),
    (optim.Lion, lion, {"learning_rate": 0.01}),
    (optim.Lion, lion, {"learning_rate": 0.01, "betas": [0.5, 0.8], "weight_decay": 0.3}),
    (optim.Adafactor, adafactor, {}),
    (optim.Adafactor, adafactor, {"warmup_init": True, "beta_1": 0.5, "decay_rate": -0.5}),
    (optim.Adafactor, adafactor, {"learning_rate": 0.05, "relative_step": False, "weight_decay": 0.1}),
    (optim.Adafactor, adafactor, {"scale_parameter": False, "clip_threshold": 0.3, "eps": (1e-2, 1e-3)}),
    (optim.Muon, muon, {"learning_rate": 0.02}),
    (optim.Muon, muon, {"learning_rate": 0.02, "nesterov": False, "weight_decay": 0.0, "ns_steps": 2}),
]
CASE_NAMES = [
    f"{optimizer.__name__}({', '.join(f'{k}={v}' for k, v in keywords.items())})" for optimizer, _, keywords in CASES
]
DEFAULTS = [case for case in CASES if set(case[2]) <= {"learning_rate"}]
DEFAULT_NAMES = [optimizer.__name__ for optimizer, _, _ in DEFAULTS]


@pytest.mark.parametrize(("optimizer", "formula", "keywords"), CASES, ids=CASE_NAMES)
def test_five_steps_follow_the_formula(optimizer, formula, keywords):
    parameters, gradients = random_trees()
    expected = {name: leaf.astype(np.float64) for name, leaf in parameters.items()}
    expected_state: dict[str, dict] = {name: {} for name in SHAPES}
    opt, params = optimizer(**keywords), arrays(parameters)
    for step in range(STEPS):
        params = opt.update(params, arrays(gradients[step]))
        for name, gradient in gradients[step].items():
            expected[name] = formula(
                gradient.astype(np.float64), expected[name], expected_state[name], step + 1, **keywords
            )
            np.testing.assert_allclose(params[name], expected[name], rtol=2e-5, atol=2e-5)
            assert set(opt.state[name]) == set(expected_state[name])
            for entry, value in expected_state[name].items():
                np.testing.assert_allclose(opt.state[name][entry], value, rtol=2e-5, atol=2e-6)
    assert opt.step.item() == STEPS
    assert opt.step.dtype == mx.uint64


# What the reference library returns for the parameters [1, -2] and the gradients [0.5, -0.25] five times, in
# half precision, where rounding after each operation is part of the formula.
HALF = {
    ("SGD", "float16"): [0.7509765625, -1.873046875],
    ("SGD", "bfloat16"): [0.74609375, -1.8828125],
    ("RMSprop", "float16"): [0.67578125, -1.67578125],
    ("RMSprop", "bfloat16"): [0.671875, -1.6796875],
    ("Adagrad", "float16"): [0.96826171875, -1.9677734375],
    ("Adagrad", "bfloat16"): [0.96875, -1.9609375],
    ("AdaDelta", "float16"): [0.9951171875, -1.9951171875],
    ("AdaDelta", "bfloat16"): [1.0, -2.0],
    ("Adam", "float16"): [0.76416015625, -1.763671875],
    ("Adam", "bfloat16"): [0.76171875, -1.7734375],
    ("AdamW", "float16"): [0.76416015625, -1.763671875],
    ("AdamW", "bfloat16"): [0.76171875, -1.7734375],
    ("Adamax", "float16"): [0.98681640625, -1.986328125],
    ("Adamax", "bfloat16"): [0.98828125, -1.9921875],
    ("Lion", "float16"): [0.951171875, -1.951171875],
    ("Lion", "bfloat16"): [0.94140625, -1.9609375],
    ("Adafactor", "float16"): [0.9228515625, -1.921875],
    ("Adafactor", "bfloat16"): [0.921875, -1.921875],
    ("Muon", "float16"): [0.990234375, -1.9951171875],
    ("Muon", "bfloat16"): [0.9921875, -2.0],
}


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16], ids=str)
@pytest.mark.parametrize(("optimizer", "formula", "keywords"), DEFAULTS, ids=DEFAULT_NAMES)
def test_half_precision(optimizer, formula, keywords, dtype):
    opt = optimizer(**keywords)
    params, gradients = {"w": mx.array([1.0, -2.0], dtype)}, {"w": mx.array([0.5, -0.25], dtype)}
    for _ in range(STEPS):
        params = opt.update(params, gradients)
    assert params["w"].dtype == dtype
    assert all(entry.dtype == dtype for entry in opt.state["w"].values())
    expected = HALF[optimizer.__name__, str(dtype).rpartition(".")[2]]
    # Engines may keep more digits between operations: two units in the last place.
    np.testing.assert_allclose(params["w"].tolist(), expected, rtol=2 * mx.finfo(dtype).eps)


def test_dampening_holds_from_the_first_step():
    opt = optim.SGD(1.0, momentum=0.5, dampening=0.25)
    params = {"w": mx.array([0.0])}
    for expected in (-0.75, -1.875):  # v: 0.75, then 0.5 * 0.75 + 0.75
        params = opt.update(params, {"w": mx.array([1.0])})
        assert params["w"].item() == expected


def test_mixed_dtypes_promote_and_take_the_rate_in_the_gradients_dtype():
    new = optim.SGD(0.1).update({"w": mx.zeros((1,))}, {"w": mx.ones((1,), mx.float16)})
    assert new["w"].dtype == mx.float32
    assert new["w"].item() == -float(np.float16(0.1))


# ------------------------------------------------------------------------------------- constructor errors


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.SGD(0.1, nesterov=True), "nesterov needs a momentum"),
        (lambda: optim.SGD(0.1, momentum=0.9, dampening=0.1, nesterov=True), "no dampening"),
        (lambda: optim.RMSprop(0.1, alpha=-1.0), "alpha should be >=0"),
        (lambda: optim.RMSprop(0.1, eps=0.0), "eps should be >0"),
        (lambda: optim.Adagrad(0.1, eps=0.0), "eps should be >0"),
        (lambda: optim.AdaDelta(0.1, rho=-1.0), "rho should be >=0"),
        (lambda: optim.AdaDelta(0.1, eps=-1.0), "eps should be >0"),
        (lambda: optim.Adam(0.1, betas=[0.9, 1.0]), "betas should be two numbers"),
        (lambda: optim.AdamW(0.1, betas=[0.9]), r"\[AdamW\] betas should be two numbers"),
        (lambda: optim.Adamax(0.1, eps=-1.0), r"\[Adamax\] eps should be >=0"),
        (lambda: optim.Lion(0.1, betas=[-0.1, 0.9]), "betas should be two numbers"),
        (lambda: optim.MultiOptimizer([]), "at least one optimizer"),
        (lambda: optim.MultiOptimizer([optim.SGD(1.0)] * 2), "2 optimizers need 1 filters, got 0"),
        (lambda: optim.AdamW("0.1"), r"\[AdamW\] learning_rate must be a number"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_adafactor_without_relative_step_needs_a_rate():
    with pytest.raises(KeyError, match="needs a learning_rate"):
        optim.Adafactor(relative_step=False).update({"w": mx.ones(1)}, {"w": mx.ones(1)})


# -------------------------------------------------------------------------------------------- state


def test_state_mirrors_the_parameters():
    opt = optim.Adam(0.1)
    assert opt.state["step"].dtype == mx.uint64
    assert opt.state["learning_rate"].dtype == mx.float32
    opt.init({"layers": [{"weight": mx.ones((2, 3), mx.float16)}, {}], "bias": mx.ones((4,))})
    assert list(opt.state) == ["step", "learning_rate", "layers", "bias"]
    assert opt.state["layers"][1] == {}
    assert opt.state["layers"][0]["weight"]["m"].dtype == mx.float16
    assert opt.state["bias"]["v"].tolist() == [0, 0, 0, 0]
    assert opt.step.item() == 0


def test_init_keeps_what_is_there():
    opt = optim.SGD(0.1, momentum=0.9)
    opt.update({"w": mx.zeros((1,))}, {"w": mx.ones((1,))})
    opt.init({"w": mx.zeros((1,)), "b": mx.zeros((2,))})
    assert opt.state["w"]["v"].item() == 1
    assert opt.state["b"]["v"].tolist() == [0, 0]


def test_an_update_keeps_the_containers_of_the_state():
    # mx.compile holds on to the tree that it is given as inputs and outputs.
    opt = optim.Adam(0.1)
    opt.init({"w": mx.zeros((1,))})
    state, leaf = opt.state, opt.state["w"]
    opt.update({"w": mx.zeros((1,))}, {"w": mx.ones((1,))})
    assert opt.state is state
    assert opt.state["w"] is leaf


def test_saved_state_continues_where_it_was():
    parameters, gradients = random_trees()
    params = {"layers": [arrays(parameters), {}, arrays(parameters)]}
    grads = [{"layers": [arrays(gradient), {}, arrays(gradient)]} for gradient in gradients]
    opt = optim.AdamW(0.1, bias_correction=True)
    for gradient in grads[:2]:
        params = opt.update(params, gradient)
    loaded = optim.AdamW(0.7, bias_correction=True)
    loaded.state = tree_unflatten(tree_flatten(opt.state))
    there, here = opt.update(params, grads[2]), loaded.update(params, grads[2])
    for (_, expected), (_, actual) in zip(tree_flatten(there), tree_flatten(here), strict=True):
        assert mx.array_equal(actual, expected)
    assert loaded.step.item() == 3


def test_state_from_a_file_gets_the_order_in_which_it_is_made():
    params = {"b": [mx.zeros((2,))], "a": mx.zeros(())}
    opt = optim.Adam(0.1)
    opt.update(params, params)
    names = [path for path, _ in tree_flatten(opt.state)]
    loaded = optim.Adam(0.1)
    loaded.state = tree_unflatten(sorted(tree_flatten(opt.state)))
    loaded.update(params, params)
    assert [path for path, _ in tree_flatten(loaded.state)] == names


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"m": mx.zeros((3,)), "v": mx.zeros((2,))}, r"state\['w'\]\['m'\] has shape \(3,\) where .* needs \(2,\)"),
        ({"v": mx.zeros((2,))}, r"state\['w'\] has \['v'\] but no 'm'"),
    ],
)
def test_state_of_other_parameters_is_refused(entries, message):
    opt = optim.Adam(0.1)
    opt.state = {"step": mx.array(3, mx.uint64), "learning_rate": mx.array(0.1), "w": dict(entries)}
    before = {path: leaf.tolist() for path, leaf in tree_flatten(opt.state)}
    with pytest.raises(ValueError, match=rf"^\[Adam\.update\] {message}"):
        opt.update({"w": mx.zeros((2,))}, {"w": mx.ones((2,))})
    assert {path: leaf.tolist() for path, leaf in tree_flatten(opt.state)} == before


@pytest.mark.parametrize(
    "optimizer", [optim.Muon, optim.Adafactor, optim.SGD], ids=lambda optimizer: optimizer.__name__
)
def test_empty_parameters(optimizer):
    for shape in ((0,), (0, 3), (3, 0), (2, 0, 3)):
        new = optimizer(learning_rate=0.1).update({"w": mx.zeros(shape)}, {"w": mx.zeros(shape)})
        assert new["w"].tolist() == mx.zeros(shape).tolist()


def test_parameters_unfrozen_later_start_their_state_then():
    opt = optim.SGD(0.5, momentum=0.5)
    params = {"a": mx.zeros((1,)), "b": [mx.zeros((1,)), mx.zeros((1,))]}
    params = opt.update(params, {"a": mx.ones((1,))})
    params = opt.update(params, {"a": mx.ones((1,)), "b": [{}, mx.ones((1,))]})
    assert params["a"].item() == -1.25
    assert [leaf.item() for leaf in params["b"]] == [0, -0.5]


def test_learning_rate_can_be_set():
    opt = optim.SGD(1.0)
    opt.learning_rate = 0.25
    assert opt.update({"w": mx.array(1.0)}, {"w": mx.array(1.0)})["w"].item() == 0.75
    assert opt.learning_rate.item() == 0.25


def test_a_learning_rate_array_is_not_shared():
    rate = mx.array(1.0)
    opt = optim.SGD(rate)
    opt.learning_rate *= 0.5
    assert (rate.item(), opt.learning_rate.item()) == (1.0, 0.5)


def test_an_update_is_differentiable_in_the_learning_rate():
    def loss(rate):
        opt = optim.SGD(rate)
        return opt.update({"w": mx.array([1.0, 2.0])}, {"w": mx.array([3.0, 4.0])})["w"].sum()

    assert mx.grad(loss)(mx.array(0.5)).item() == -7


def test_a_new_optimizer_is_two_methods():
    class Descent(optim.Optimizer):
        def __init__(self, rate):
            super().__init__()
            self._maybe_schedule("rate", rate)

        def init_single(self, parameter, state):
            state["seen"] = mx.array(0)

        def apply_single(self, gradient, parameter, state):
            state["seen"] = state["seen"] + 1
            return parameter - self.state["rate"] * gradient

    opt = Descent(lambda step: 1.0 + step)
    params = {"w": mx.array(0.0)}
    for expected in (-1, -3):
        params = opt.update(params, {"w": mx.array(1.0)})
        assert params["w"].item() == expected
    assert opt.state["w"]["seen"].item() == 2


def test_the_base_class_has_no_formula():
    with pytest.raises(NotImplementedError, match=r"\[Optimizer.init_single\]"):
        optim.Optimizer().update({"w": mx.ones(1)}, {"w": mx.ones(1)})

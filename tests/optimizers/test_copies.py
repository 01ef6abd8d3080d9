"""Copies and pickles of optimizers go on exactly as the original would, and apart from it."""

import copy
import pickle

import pytest

import mlx.core as mx
import mlx.optimizers as optim
from mlx.utils import tree_flatten


def is_matrix(path, array):
    return array.ndim == 2


WARM = optim.join_schedules([optim.linear_schedule(0.0, 0.1, 3), optim.cosine_decay(0.1, 20)], [3])

OPTIMIZERS = {
    "SGD": lambda: optim.SGD(optim.step_decay(0.1, 0.5, 2), momentum=0.9, nesterov=True),
    "RMSprop": lambda: optim.RMSprop(0.01),
    "Adagrad": lambda: optim.Adagrad(WARM),
    "AdaDelta": lambda: optim.AdaDelta(0.5),
    "Adam": lambda: optim.Adam(optim.exponential_decay(0.1, 0.9), bias_correction=True),
    "AdamW": lambda: optim.AdamW(WARM),
    "Adamax": lambda: optim.Adamax(0.1),
    "Lion": lambda: optim.Lion(0.01),
    "Adafactor": lambda: optim.Adafactor(),
    "Muon": lambda: optim.Muon(0.02),
    "MultiOptimizer": lambda: optim.MultiOptimizer([optim.Muon(0.02), optim.Adam(WARM)], [is_matrix]),
    "skip_nonfinite": lambda: optim.skip_nonfinite(optim.AdamW(WARM)),
}


def gradients(step):
    return {
        "w": mx.random.normal((3, 4), key=mx.random.key(step)),
        "parts": [{"b": mx.random.normal((4,), key=mx.random.key(step + 100))}],
    }


def trained(optimizer, params, steps):
    """The parameters after some steps; evaluated after each, since only the same programs give the same bits."""
    for step in steps:
        params = optimizer.update(params, gradients(step))
        mx.eval(params, optimizer.state)
    return params


def bits(tree):
    return [(path, array.dtype, array.tolist()) for path, array in tree_flatten(tree)]


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("updates", [0, 2])
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_copies_go_on_as_the_original_would(make, updates, again):
    start = {"w": mx.ones((3, 4)), "parts": [{"b": mx.zeros((4,))}]}
    mx.eval(start)
    optimizer = make()
    params = trained(optimizer, start, range(updates))
    twin = again(optimizer)
    assert type(twin) is type(optimizer)
    before = bits(optimizer.state)
    assert bits(twin.state) == before
    theirs = trained(twin, params, range(updates, updates + 2))
    assert bits(optimizer.state) == before
    mine = trained(optimizer, params, range(updates, updates + 2))
    assert bits(theirs) == bits(mine)
    assert bits(twin.state) == bits(optimizer.state)
    assert bits(mine) != bits(params)

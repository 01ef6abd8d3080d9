"""Losses and their gradients against the numbers that PyTorch computed."""

from pathlib import Path

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn

STORED = dict(np.load(Path(__file__).parent / "fixtures" / "losses.npz"))
DRAWN = {name: mx.array(array) for name, array in STORED.items() if "/" not in name}
losses = nn.losses

# By name: the input that is differentiated, and the loss of it.
LOSSES = {
    "cross_entropy": ("x", lambda x, **k: losses.cross_entropy(x, DRAWN["classes"], **k)),
    "cross_entropy smoothed": ("x", lambda x, **k: losses.cross_entropy(x, DRAWN["classes"], label_smoothing=0.1, **k)),
    "cross_entropy of probabilities": ("x", lambda x, **k: losses.cross_entropy(x, DRAWN["probabilities"], **k)),
    "cross_entropy of probabilities, smoothed": (
        "x",
        lambda x, **k: losses.cross_entropy(x, DRAWN["probabilities"], label_smoothing=0.3, **k),
    ),
    "cross_entropy of images": (
        "image",
        lambda x, **k: losses.cross_entropy(x, DRAWN["image_classes"], axis=1, label_smoothing=0.2, **k),
    ),
    "nll_loss": ("x", lambda x, **k: losses.nll_loss(x, DRAWN["classes"], **k)),
    "nll_loss of images": ("image", lambda x, **k: losses.nll_loss(x, DRAWN["image_classes"], axis=1, **k)),
    "binary_cross_entropy": ("x", lambda x, **k: losses.binary_cross_entropy(x, DRAWN["targets"], **k)),
    "binary_cross_entropy weighted": (
        "x",
        lambda x, **k: losses.binary_cross_entropy(x, DRAWN["targets"], DRAWN["weights"], **k),
    ),
    "binary_cross_entropy of probabilities": (
        "probabilities",
        lambda x, **k: losses.binary_cross_entropy(x, DRAWN["targets"], DRAWN["weights"], with_logits=False, **k),
    ),
    "l1_loss": ("x", lambda x, **k: losses.l1_loss(x, DRAWN["y"], **k)),
    "mse_loss": ("x", lambda x, **k: losses.mse_loss(x, DRAWN["y"], **k)),
    "smooth_l1_loss": ("x", lambda x, **k: losses.smooth_l1_loss(x, DRAWN["y"], beta=0.3, **k)),
    "huber_loss": ("x", lambda x, **k: losses.huber_loss(x, DRAWN["y"], delta=0.3, **k)),
    "gaussian_nll_loss": (
        "x",
        lambda x, **k: losses.gaussian_nll_loss(x, DRAWN["y"], DRAWN["variances"], eps=0.2, **k),
    ),
    "gaussian_nll_loss full": (
        "x",
        lambda x, **k: losses.gaussian_nll_loss(x, DRAWN["y"], DRAWN["variances"], full=True, **k),
    ),
    "margin_ranking_loss": (
        "x",
        lambda x, **k: losses.margin_ranking_loss(x, DRAWN["y"], DRAWN["signs"], margin=0.4, **k),
    ),
}


def test_every_stored_loss_is_tested():
    assert {name.split("/")[0] for name in STORED if "/" in name} == LOSSES.keys()


@pytest.mark.parametrize("engine", ["numpy", "xla"])
@pytest.mark.parametrize("name", LOSSES)
def test_values_reductions_and_gradients(name, engine):
    argument, loss = LOSSES[name]
    x = DRAWN[argument]
    with mx.engine(engine):
        for reduction in ("none", "mean", "sum"):
            expected = STORED[f"{name}/{reduction}"]
            mine = loss(x, reduction=reduction)
            assert mine.shape == expected.shape
            np.testing.assert_allclose(mine, expected, rtol=2e-5, atol=1e-6)
        gradient = mx.grad(lambda x: loss(x, reduction="sum"))(x)
        np.testing.assert_allclose(gradient, STORED[f"{name}/gradient"], rtol=2e-5, atol=1e-6)

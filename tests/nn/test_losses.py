"""Losses against their formulas in NumPy, their gradients, reductions and errors."""

import math
import re

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn

GENERATOR = np.random.default_rng(0)
A, B, C = (GENERATOR.normal(size=(5, 4)) for _ in range(3))
SIGNS = np.sign(C)
CLASSES = np.array([0, 3, 1, 2, 2])
ROWS = np.arange(5)


def log_softmax(x, axis=-1):
    return x - np.log(np.exp(x).sum(axis, keepdims=True))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def norm(x, p=2, axis=-1, eps=0.0):
    return ((np.abs(x) ** p).sum(axis) + eps) ** (1 / p)


PROBABILITIES = np.exp(log_softmax(B))
COLUMNS = np.exp(log_softmax(B, 0))
losses = nn.losses

# name -> (loss of an array and settings, the same in NumPy)
LOSSES = {
    "cross_entropy": (
        lambda x, **k: losses.cross_entropy(x, mx.array(CLASSES), **k),
        lambda x: -log_softmax(x)[ROWS, CLASSES],
    ),
    "cross_entropy of probabilities": (
        lambda x, **k: losses.cross_entropy(x, mx.array(PROBABILITIES), **k),
        lambda x: -(PROBABILITIES * log_softmax(x)).sum(-1),
    ),
    "cross_entropy smoothed": (
        lambda x, **k: losses.cross_entropy(x, mx.array(CLASSES), label_smoothing=0.2, **k),
        lambda x: -(0.8 * log_softmax(x)[ROWS, CLASSES] + 0.2 * log_softmax(x).mean(-1)),
    ),
    "cross_entropy weighted": (
        lambda x, **k: losses.cross_entropy(x, mx.array(CLASSES), weights=mx.arange(5.0), **k),
        lambda x: -log_softmax(x)[ROWS, CLASSES] * ROWS,
    ),
    "cross_entropy along columns": (
        lambda x, **k: losses.cross_entropy(x, mx.array(CLASSES[:4]), axis=0, **k),
        lambda x: -log_softmax(x, 0)[CLASSES[:4], np.arange(4)],
    ),
    "cross_entropy smoothed, weighted, of probabilities along columns": (
        lambda x, **k: losses.cross_entropy(
            x, mx.array(COLUMNS), weights=mx.arange(4.0), axis=0, label_smoothing=0.3, **k
        ),
        lambda x: -((0.7 * COLUMNS + 0.3 / 5) * log_softmax(x, 0)).sum(0) * np.arange(4),
    ),
    "binary_cross_entropy": (
        lambda x, **k: losses.binary_cross_entropy(x, mx.array(PROBABILITIES), **k),
        lambda x: -(PROBABILITIES * np.log(sigmoid(x)) + (1 - PROBABILITIES) * np.log(1 - sigmoid(x))),
    ),
    "binary_cross_entropy weighted": (
        lambda x, **k: losses.binary_cross_entropy(x, mx.array(PROBABILITIES), weights=mx.array(C), **k),
        lambda x: -C * (PROBABILITIES * np.log(sigmoid(x)) + (1 - PROBABILITIES) * np.log(1 - sigmoid(x))),
    ),
    "l1_loss": (lambda x, **k: losses.l1_loss(x, mx.array(B), **k), lambda x: np.abs(x - B)),
    "mse_loss": (lambda x, **k: losses.mse_loss(x, mx.array(B), **k), lambda x: (x - B) ** 2),
    "nll_loss": (
        lambda x, **k: losses.nll_loss(x, mx.array(CLASSES), **k),
        lambda x: -x[ROWS, CLASSES],
    ),
    "nll_loss along columns": (
        lambda x, **k: losses.nll_loss(x, mx.array(CLASSES[:4]), axis=0, **k),
        lambda x: -x[CLASSES[:4], np.arange(4)],
    ),
    "gaussian_nll_loss": (
        lambda x, **k: losses.gaussian_nll_loss(x, mx.array(B), mx.array(np.abs(C)), **k),
        lambda x: 0.5 * (np.log(np.abs(C)) + (x - B) ** 2 / np.abs(C)),
    ),
    "gaussian_nll_loss full": (
        lambda x, **k: losses.gaussian_nll_loss(x, mx.array(B), mx.array(C), full=True, eps=0.1, **k),
        lambda x: 0.5 * (np.log(np.maximum(C, 0.1)) + (x - B) ** 2 / np.maximum(C, 0.1) + math.log(2 * math.pi)),
    ),
    "kl_div_loss": (
        lambda x, **k: losses.kl_div_loss(x, mx.array(np.log(PROBABILITIES)), **k),
        lambda x: (PROBABILITIES * (np.log(PROBABILITIES) - x)).sum(-1),
    ),
    "kl_div_loss of columns": (
        lambda x, **k: losses.kl_div_loss(x, mx.array(np.log(COLUMNS)), axis=0, **k),
        lambda x: (COLUMNS * (np.log(COLUMNS) - x)).sum(0),
    ),
    "binary_cross_entropy of probabilities": (
        lambda x, **k: losses.binary_cross_entropy(mx.sigmoid(x), mx.array(PROBABILITIES), with_logits=False, **k),
        lambda x: -(PROBABILITIES * np.log(sigmoid(x)) + (1 - PROBABILITIES) * np.log(1 - sigmoid(x))),
    ),
    "smooth_l1_loss": (
        lambda x, **k: losses.smooth_l1_loss(x, mx.array(B), beta=0.5, **k),
        lambda x: np.where(np.abs(x - B) < 0.5, (x - B) ** 2, np.abs(x - B) - 0.25),
    ),
    "smooth_l1_loss without parabola": (
        lambda x, **k: losses.smooth_l1_loss(x, mx.array(B), beta=0.0, **k),
        lambda x: np.abs(x - B),
    ),
    "huber_loss": (
        lambda x, **k: losses.huber_loss(x, mx.array(B), delta=0.5, **k),
        lambda x: np.where(np.abs(x - B) < 0.5, 0.5 * (x - B) ** 2, 0.5 * (np.abs(x - B) - 0.25)),
    ),
    "log_cosh_loss": (
        lambda x, **k: losses.log_cosh_loss(x, mx.array(B), **k),
        lambda x: np.log(np.cosh(x - B)),
    ),
    "hinge_loss": (
        lambda x, **k: losses.hinge_loss(x, mx.array(SIGNS), **k),
        lambda x: np.maximum(1 - x * SIGNS, 0),
    ),
    "triplet_loss": (
        lambda x, **k: losses.triplet_loss(x, mx.array(B), mx.array(C), **k),
        lambda x: np.maximum(norm(x - B, eps=1e-6) - norm(x - C, eps=1e-6) + 1, 0),
    ),
    "triplet_loss of degree 3": (
        lambda x, **k: losses.triplet_loss(x, mx.array(B), mx.array(C), axis=0, p=3, margin=2.0, eps=0.1, **k),
        lambda x: np.maximum(norm(x - B, 3, 0, 0.1) - norm(x - C, 3, 0, 0.1) + 2, 0),
    ),
    "cosine_similarity_loss": (
        lambda x, **k: losses.cosine_similarity_loss(x, mx.array(B), **k),
        lambda x: (x * B).sum(1) / (norm(x) * norm(B)),
    ),
    "cosine_similarity_loss of columns": (
        lambda x, **k: losses.cosine_similarity_loss(x, mx.array(B), axis=0, eps=5.0, **k),
        lambda x: (x * B).sum(0) / np.maximum(norm(x, axis=0) * norm(B, axis=0), 5.0),
    ),
    "margin_ranking_loss": (
        lambda x, **k: losses.margin_ranking_loss(x, mx.array(B), mx.array(SIGNS), margin=0.2, **k),
        lambda x: np.maximum(-SIGNS * (x - B) + 0.2, 0),
    ),
}

MEAN_BY_DEFAULT = {"binary_cross_entropy", "l1_loss", "mse_loss", "gaussian_nll_loss", "smooth_l1_loss"}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_compute_their_formula(name):
    loss, formula = LOSSES[name]
    x, expected = mx.array(A), formula(A)
    np.testing.assert_allclose(loss(x, reduction="none"), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(loss(x, reduction="mean"), expected.mean(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(loss(x, reduction="sum"), expected.sum(), rtol=1e-4, atol=1e-4)
    assert loss(x).ndim == (0 if name.split()[0] in MEAN_BY_DEFAULT else expected.ndim)
    with pytest.raises(ValueError, match=rf"\[{name.split()[0]}\] Invalid reduction 'max'"):
        loss(x, reduction="max")


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_slopes(name):
    loss, formula = LOSSES[name]
    direction = GENERATOR.normal(size=A.shape)
    slope = (formula(A + 1e-6 * direction).sum() - formula(A - 1e-6 * direction).sum()) / 2e-6
    grad = mx.grad(lambda x: loss(x, reduction="sum"))(mx.array(A))
    assert np.sum(np.array(grad) * direction) == pytest.approx(slope, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_class_losses_keep_half_precision(name):
    loss, formula = LOSSES[name]
    for dtype, tolerance in ((mx.float16, 5e-3), (mx.bfloat16, 5e-2)):
        y = loss(mx.array(A).astype(dtype))
        assert y.dtype == dtype
        np.testing.assert_allclose(y.astype(mx.float32), formula(A), rtol=tolerance, atol=tolerance)


def test_cross_entropy_gradient_is_softmax_minus_target():
    grad = mx.grad(lambda x: losses.cross_entropy(x, mx.array([1]), reduction="sum"))(mx.zeros((1, 4)))
    np.testing.assert_allclose(grad, [[0.25, -0.75, 0.25, 0.25]], rtol=1e-6)


@pytest.mark.parametrize("size", [1.0, 1e4, 1e8, 1e20])
def test_cross_entropy_of_large_logits(size):
    loss = losses.cross_entropy(mx.array([[size, size]]), mx.array([0]))
    np.testing.assert_allclose(loss, [math.log(2)], rtol=1e-6)


def test_cross_entropy_of_infinite_logits():
    logits = mx.array([[0.0, -math.inf], [-math.inf, 0.0]])
    assert losses.cross_entropy(logits, mx.array([0, 1])).tolist() == [0, 0]
    assert losses.cross_entropy(logits, mx.array([1, 0])).tolist() == [math.inf, math.inf]


def test_cross_entropy_of_images():
    logits = GENERATOR.normal(size=(2, 3, 3, 4))
    targets = GENERATOR.integers(0, 4, size=(2, 3, 3))
    expected = -np.take_along_axis(log_softmax(logits), targets[..., None], -1)[..., 0]
    loss = losses.cross_entropy(mx.array(logits), mx.array(targets))
    np.testing.assert_allclose(loss, expected, rtol=1e-4, atol=1e-5)


def test_binary_cross_entropy_of_certain_predictions():
    probabilities, targets = mx.array([0.0, 1.0, 0.0, 1.0]), mx.array([0.0, 1.0, 1.0, 0.0])
    loss = losses.binary_cross_entropy(probabilities, targets, with_logits=False, reduction="none")
    assert loss.tolist() == [0, 0, 100, 100]
    logits = mx.array([500.0, -500.0, 500.0])
    loss = losses.binary_cross_entropy(logits, mx.array([1, 0, 0]), reduction="none")
    assert loss.tolist() == [0, 0, 500]


def test_binary_cross_entropy_of_probabilities():
    p, t = sigmoid(A), PROBABILITIES
    loss = losses.binary_cross_entropy(mx.array(p), mx.array(t), with_logits=False, reduction="none")
    np.testing.assert_allclose(loss, -(t * np.log(p) + (1 - t) * np.log(1 - p)), rtol=1e-4, atol=1e-5)


def test_losses_of_large_differences_stay_finite():
    assert losses.log_cosh_loss(mx.array([1000.0]), mx.array([0.0])).item() == pytest.approx(1000 - math.log(2))
    assert losses.gaussian_nll_loss(mx.array([0.0]), mx.array([0.0]), mx.array([0.0])).item() == (
        pytest.approx(0.5 * math.log(1e-6))
    )
    assert losses.cosine_similarity_loss(mx.zeros((1, 2)), mx.ones((1, 2))).tolist() == [0]


# logits, target, label smoothing, then the loss and its gradient, softmax less target, worked out by hand
EXTREME_LOGITS = [
    ([1e4, -1e4], 0, 0.0, 0.0, [0.0, 0.0]),
    ([1e4, -1e4], 1, 0.0, 2e4, [1.0, -1.0]),
    ([1e4, -1e4], 0, 0.1, 1e3, [0.05, -0.05]),
    ([1e4, -1e4], 1, 0.1, 1.9e4, [0.95, -0.95]),
    ([-1e4, -1e4], 1, 0.0, math.log(2), [0.5, -0.5]),
    ([1e38, -1e38], 0, 0.0, 0.0, [0.0, 0.0]),
    ([0.0, -math.inf], 0, 0.0, 0.0, [0.0, 0.0]),
    ([0.0, -math.inf], 1, 0.0, math.inf, [1.0, -1.0]),
    ([0.0, -math.inf], 0, 0.1, math.inf, [0.05, -0.05]),
]


@pytest.mark.parametrize("engine", ["numpy", "xla"])
@pytest.mark.parametrize(("logits", "target", "smoothing", "value", "slopes"), EXTREME_LOGITS)
def test_cross_entropy_and_its_gradient_of_extreme_logits(logits, target, smoothing, value, slopes, engine):
    def loss(x):
        return losses.cross_entropy(x, mx.array([target]), label_smoothing=smoothing, reduction="sum")

    with mx.engine(engine):
        mine, gradient = mx.value_and_grad(loss)(mx.array([logits]))
        np.testing.assert_allclose(mine, value, rtol=1e-6)
        np.testing.assert_allclose(gradient, [slopes], rtol=1e-6, atol=1e-6)
        if smoothing == 0 and value < math.inf:
            probabilities = mx.eye(2)[target : target + 1]
            if -math.inf not in logits:  # where zero times the logarithm of zero is not a number
                mine = losses.cross_entropy(mx.array([logits]), probabilities)
                np.testing.assert_allclose(mine, [value], rtol=1e-6)
            gradient = mx.grad(lambda x: losses.cross_entropy(x, probabilities, reduction="sum"))(mx.array([logits]))
            np.testing.assert_allclose(gradient, [slopes], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
def test_cross_entropy_of_the_largest_logits_in_half_precision(dtype):
    largest = float(mx.finfo(dtype).max)
    logits = mx.array([[largest, 0.0]], dtype)
    loss, gradient = mx.value_and_grad(lambda x: losses.cross_entropy(x, mx.array([1]), reduction="sum"))(logits)
    assert loss.item() == largest
    assert gradient.tolist() == [[1, -1]]


@pytest.mark.parametrize("engine", ["numpy", "xla"])
@pytest.mark.parametrize(
    ("logit", "target", "value", "slope"),
    [
        (1e4, 1.0, 0.0, 0.0),
        (1e4, 0.0, 1e4, 1.0),
        (1e4, 0.3, 7e3, 0.7),
        (-1e4, 1.0, 1e4, -1.0),
        (-1e4, 0.0, 0.0, 0.0),
        (-1e4, 0.3, 3e3, -0.3),
        (-math.inf, 1.0, math.inf, -1.0),
    ],
)
def test_binary_cross_entropy_and_its_gradient_of_extreme_logits(logit, target, value, slope, engine):
    def loss(x):
        return losses.binary_cross_entropy(x, mx.array([target]), reduction="sum")

    with mx.engine(engine):
        mine, gradient = mx.value_and_grad(loss)(mx.array([logit]))
        np.testing.assert_allclose(mine, value, rtol=1e-6)
        np.testing.assert_allclose(gradient, [slope], rtol=1e-6)


def test_binary_cross_entropy_of_certain_probabilities_has_finite_gradients():
    # Beyond the cut of the logarithms they are constant; the other logarithm has the slope 1 there.
    p, t = mx.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]), mx.array([0.0, 1.0, 0.25, 0.0, 1.0, 0.25])
    gradient = mx.grad(lambda p: losses.binary_cross_entropy(p, t, with_logits=False, reduction="sum"))(p)
    assert gradient.tolist() == [1.0, 0.0, 0.75, 0.0, -1.0, -0.25]


@pytest.mark.parametrize("engine", ["numpy", "xla"])
@pytest.mark.parametrize(
    ("name", "slopes"),
    [
        ("l1_loss", [1.0, -1.0, 1.0, -1.0]),
        ("smooth_l1_loss", [1.0, -1.0, 1.0, -1.0]),
        ("huber_loss", [1.0, -1.0, 1.0, -1.0]),
        ("log_cosh_loss", [1.0, -1.0, 1.0, -1.0]),
        ("hinge_loss", [-0.0, -1.0, -0.0, -1.0]),
        ("mse_loss", [2e4, -2e4, math.inf, -math.inf]),
    ],
)
def test_slopes_of_extreme_differences(name, slopes, engine):
    x = mx.array([1e4, -1e4, math.inf, -math.inf])
    targets = mx.ones(4) if name == "hinge_loss" else mx.zeros(4)
    with mx.engine(engine):
        gradient = mx.grad(lambda x: getattr(losses, name)(x, targets, reduction="sum"))(x)
        assert gradient.tolist() == slopes


# name -> (loss of arrays and settings, how many arrays of the shape of the first there are)
OF_ARRAYS = {
    "cross_entropy": (lambda x, y, **k: losses.cross_entropy(x, mx.softmax(y), axis=-1, **k), 2),
    "binary_cross_entropy": (lambda x, y, **k: losses.binary_cross_entropy(x, mx.sigmoid(y), **k), 2),
    "nll_loss": (lambda x, **k: losses.nll_loss(x, mx.zeros(x.shape[:1], mx.int32), **k), 1),
    "l1_loss": (losses.l1_loss, 2),
    "mse_loss": (losses.mse_loss, 2),
    "gaussian_nll_loss": (lambda x, y, z, **k: losses.gaussian_nll_loss(x, y, mx.abs(z) + 0.5, **k), 3),
    "kl_div_loss": (losses.kl_div_loss, 2),
    "smooth_l1_loss": (losses.smooth_l1_loss, 2),
    "huber_loss": (losses.huber_loss, 2),
    "log_cosh_loss": (losses.log_cosh_loss, 2),
    "hinge_loss": (losses.hinge_loss, 2),
    "triplet_loss": (losses.triplet_loss, 3),
    "cosine_similarity_loss": (losses.cosine_similarity_loss, 2),
    "margin_ranking_loss": (lambda x, y, z, **k: losses.margin_ranking_loss(x, y, mx.sign(z), **k), 3),
}


def test_every_loss_is_in_both_tables():
    public = {name for name in vars(losses) if name.endswith(("_loss", "_entropy"))}
    assert public == OF_ARRAYS.keys() == {name.split()[0] for name in LOSSES}


@pytest.mark.parametrize(("dtype", "tolerance"), [(mx.float16, 1e-2), (mx.bfloat16, 8e-2)])
@pytest.mark.parametrize("name", OF_ARRAYS)
def test_half_precision_is_kept(name, dtype, tolerance):
    loss, count = OF_ARRAYS[name]
    half = [mx.array(array).astype(dtype) for array in (A, B, C)[:count]]
    for reduction in ("none", "mean", "sum"):
        mine = loss(*half, reduction=reduction)
        wide = loss(*[x.astype(mx.float32) for x in half], reduction=reduction)
        assert (mine.dtype, wide.dtype) == (dtype, mx.float32)
        np.testing.assert_allclose(mine.astype(mx.float32), wide, rtol=tolerance, atol=tolerance)
        gradient = mx.grad(lambda *xs: loss(*xs, reduction="sum"))(*half)
        assert gradient.dtype == dtype
        assert mx.isfinite(gradient).all().item()


@pytest.mark.parametrize("name", OF_ARRAYS)
def test_an_empty_batch(name):
    loss, count = OF_ARRAYS[name]
    none = [mx.zeros((0, 4)) for _ in range(count)]
    by_row = name in ("cross_entropy", "nll_loss", "kl_div_loss", "triplet_loss", "cosine_similarity_loss")
    assert loss(*none, reduction="none").shape == ((0,) if by_row else (0, 4))
    assert loss(*none, reduction="sum").item() == 0
    assert math.isnan(loss(*none, reduction="mean").item())
    assert mx.grad(lambda *xs: loss(*xs, reduction="sum"))(*none).shape == (0, 4)


def test_triplet_loss_has_a_gradient_where_points_coincide():
    x = mx.ones((1, 2))
    grad = mx.grad(lambda x: losses.triplet_loss(x, mx.ones((1, 2)), mx.zeros((1, 2)), reduction="sum"))(x)
    assert mx.all(mx.isfinite(grad)).item()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.cross_entropy(mx.zeros((2, 3)), mx.array([0, 1, 2])), r"targets of shape \(3,\)"),
        (lambda: losses.cross_entropy(mx.zeros((2, 3)), mx.zeros((2, 4))), r"targets of shape \(2, 4\)"),
        (lambda: losses.cross_entropy(mx.zeros((2, 3)), mx.zeros((1, 2, 3))), "targets of shape"),
        (
            lambda: losses.cross_entropy(mx.zeros((2, 3)), mx.array([0, 1]), label_smoothing=1.0),
            "label_smoothing must be at least 0 and less than 1",
        ),
        (
            lambda: losses.cross_entropy(mx.zeros((2, 3)), mx.array([0, 1]), weights=mx.ones(3)),
            r"weights must have the shape of the unreduced loss, \(2,\), got \(3,\)",
        ),
        (
            lambda: losses.binary_cross_entropy(mx.zeros(3), mx.zeros(3), weights=mx.ones(2)),
            "weights must have the shape",
        ),
        (lambda: losses.binary_cross_entropy(mx.zeros((2, 1)), mx.zeros(2)), "Shapes must be the same"),
        (lambda: losses.l1_loss(mx.zeros((2, 1)), mx.zeros(2)), r"predictions \(2, 1\), targets \(2,\)"),
        (lambda: losses.mse_loss(mx.zeros((2, 1)), mx.zeros(2)), r"\[mse_loss\] Shapes must be the same"),
        (lambda: losses.smooth_l1_loss(mx.zeros((2, 1)), mx.zeros(2)), "Shapes must be the same"),
        (lambda: losses.gaussian_nll_loss(mx.zeros(2), mx.zeros(2), mx.zeros(1)), r"vars \(1,\)"),
        (lambda: losses.margin_ranking_loss(mx.zeros(2), mx.zeros(2), mx.zeros(1)), r"targets \(1,\)"),
        (
            lambda: losses.cross_entropy(mx.zeros((2, 3)), mx.zeros(2)),
            r"\[cross_entropy\] .* targets.astype\(mx.int32\)",
        ),
        (lambda: losses.nll_loss(mx.zeros((2, 3)), mx.zeros(2)), r"\[nll_loss\] .* integers, got mlx.core.float32"),
        (lambda: losses.nll_loss(mx.zeros((2, 3)), mx.array([0, 1, 2])), r"\[nll_loss\] .* of shape \(2,\)"),
        (lambda: losses.nll_loss(mx.zeros((2, 3)), mx.array([[0, 1]])), r"\[nll_loss\] targets of shape \(1, 2\)"),
    ],
)
def test_arguments_that_do_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call()


SHAPED = mx.zeros((2, 3)), mx.zeros((2, 4))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.kl_div_loss(*SHAPED), "kl_div_loss] .* got inputs (2, 3), targets (2, 4)."),
        (lambda: losses.huber_loss(*SHAPED), "huber_loss] .* got inputs (2, 3), targets (2, 4)."),
        (lambda: losses.log_cosh_loss(*SHAPED), "log_cosh_loss] .* got inputs (2, 3), targets (2, 4)."),
        (lambda: losses.hinge_loss(*SHAPED), "hinge_loss] .* got inputs (2, 3), targets (2, 4)."),
        (lambda: losses.cosine_similarity_loss(*SHAPED), "cosine_similarity_loss] .* got x1 (2, 3), x2 (2, 4)."),
        (
            lambda: losses.triplet_loss(*SHAPED, SHAPED[0]),
            "triplet_loss] .* got anchors (2, 3), positives (2, 4), negatives (2, 3).",
        ),
    ],
)
def test_shapes_that_do_not_combine(call, message):
    before, after = message.split(".*")
    pattern = rf"^\[{re.escape(before)}Shapes must be the same or broadcast,{re.escape(after)}$"
    with pytest.raises(ValueError, match=pattern):
        call()


def test_shapes_that_combine():
    rows, row = mx.array([[1.0, -2.0], [0.5, 3.0]]), mx.array([1.0, -1.0])
    assert losses.huber_loss(rows, row).tolist() == [[0.0, 0.5], [0.125, 3.5]]
    assert losses.hinge_loss(rows, row).tolist() == [[0.0, 0.0], [0.5, 4.0]]
    assert losses.hinge_loss(rows, 1.0).tolist() == [[0.0, 3.0], [0.5, 0.0]]


def test_class_indices_of_length_one_stand_for_all():
    assert losses.nll_loss(mx.array([[1.0, 2.0], [3.0, 4.0]]), mx.array([1])).tolist() == [-2, -4]


@pytest.mark.parametrize(
    "call",
    [
        lambda: losses.cross_entropy(mx.zeros((2, 3)), mx.zeros((2, 3)), axis=2),
        lambda: losses.nll_loss(mx.zeros((2, 3)), mx.array([0, 1]), axis=-3),
        lambda: losses.kl_div_loss(mx.zeros((2, 3)), mx.zeros((2, 3)), axis=2),
        lambda: losses.cosine_similarity_loss(mx.zeros(3), mx.zeros(3)),
        lambda: losses.triplet_loss(mx.zeros(3), mx.zeros(3), mx.zeros(3), axis=1),
    ],
)
def test_axes_that_do_not_exist(call):
    with pytest.raises(IndexError, match=r"^\[\w+(loss|entropy)\] Invalid axis -?\d for \w+ of shape"):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.cross_entropy(mx.zeros((1, 3)), [0]), r"\[cross_entropy\] targets must be an array, got list"),
        (lambda: losses.nll_loss(mx.zeros((1, 3)), np.array([0])), r"\[nll_loss\] targets must be an mx.array"),
        (lambda: losses.l1_loss(mx.zeros(3), 0.5), r"\[l1_loss\] targets must be an array, got float"),
        (lambda: losses.cross_entropy(mx.zeros((1, 3)), mx.array([0]), weights=2.0), "weights must be an array"),
    ],
)
def test_what_is_no_array(call, message):
    with pytest.raises(TypeError, match=message):
        call()

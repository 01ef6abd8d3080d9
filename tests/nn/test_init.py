"""Initialisers and the first parameters of layers: numbers for a fixed seed, distributions, shapes that do not fit."""

import math
from pathlib import Path

import numpy as np
import pytest
from reference_initialisers import DTYPES, INITIALISERS
from reference_initialisers import draw as draw_stored

import mlx.core as mx
import mlx.nn as nn
from mlx.nn import init
from mlx.utils import tree_flatten

STORED = mx.load(str(Path(__file__).parent / "fixtures" / "initialisers.safetensors"))

# For a matrix of shape (2, 3) after mx.random.seed(3).
DRAWN = {
    "normal": (
        init.normal(1.0, 2.0),
        [[3.49271178, -0.14448464, -1.96740985], [1.27475071, -1.75914121, 1.63747168]],
    ),
    "uniform": (
        init.uniform(-1.0, 2.0),
        [[1.68104935, -0.14926338, -0.79316926], [0.66389871, -0.74842179, 0.87510967]],
    ),
    "glorot_normal": (
        init.glorot_normal(),
        [[0.78826469, -0.36191782, -0.93837738], [0.08688378, -0.87251705, 0.20158623]],
    ),
    "glorot_uniform": (
        init.glorot_uniform(),
        [[0.8625164, -0.47415495, -0.94439733], [0.11969471, -0.91171837, 0.2739414]],
    ),
    "he_normal": (
        init.he_normal(),
        [[0.71958387, -0.33038425, -0.85661739], [0.07931368, -0.79649544, 0.1840222]],
    ),
    "he_uniform": (
        init.he_uniform(),
        [[0.78736615, -0.43284225, -0.86211288], [0.1092658, -0.83228117, 0.25007308]],
    ),
    "sparse": (init.sparse(0.5), [[0.33540574, 0.0, 0.0], [0.0, 0.0, -0.68305916]]),
    "orthogonal": (
        init.orthogonal(2.0),
        [[-0.95921493, 0.12377872, -1.75059557], [-1.51251113, -1.07011998, 0.75309663]],
    ),
}


@pytest.mark.parametrize("name", DRAWN)
def test_numbers_for_a_seed(name):
    initializer, expected = DRAWN[name]
    mx.random.seed(3)
    np.testing.assert_allclose(initializer(mx.zeros((2, 3))), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", INITIALISERS)
def test_numbers_are_those_of_the_reference_for_a_seed(name, dtype):
    mine, expected = draw_stored(name, dtype), STORED[f"{name}/{dtype}"]
    assert (mine.shape, mine.dtype) == (expected.shape, expected.dtype)
    # A unit in the last place, and what single precision leaves of an orthogonal matrix.
    tolerance = max(float(mx.finfo(mine.dtype).eps), 2e-6)
    np.testing.assert_allclose(
        mine.astype(mx.float32), expected.astype(mx.float32), rtol=tolerance, atol=tolerance if "orth" in name else 1e-7
    )


def test_every_initialiser_has_stored_numbers():
    public = {name for name, value in vars(init).items() if getattr(value, "__module__", "") == init.__name__}
    makers = {name for name in public if not name.startswith("_")} - {"Initializer"}
    assert makers == {name.split()[0] for name in INITIALISERS}
    assert STORED.keys() == {f"{name}/{dtype}" for name in INITIALISERS for dtype in DTYPES}


def check_uniform(values, low, high):
    """Within its bounds and close to them, with the moments of a uniform distribution."""
    values = np.array(values, np.float64)
    low, high = float(np.float32(low)), float(np.float32(high))
    width = high - low
    gap = 10 / values.size * width  # between a bound and the nearest value: greater once in exp(10) times
    assert low <= values.min() < low + gap
    assert high - gap < values.max() <= high
    error = 4 / math.sqrt(values.size)  # four standard errors
    assert values.mean() == pytest.approx((low + high) / 2, abs=error * width / math.sqrt(12))
    assert values.var() == pytest.approx(width**2 / 12, rel=error)


def check_normal(values, mean, std):
    """The first four moments of a normal distribution."""
    scaled = (np.array(values, np.float64) - mean) / std
    error = 4 / math.sqrt(scaled.size)
    assert scaled.mean() == pytest.approx(0, abs=error)
    assert scaled.var() == pytest.approx(1, abs=error * math.sqrt(2))
    assert (scaled**3).mean() == pytest.approx(0, abs=error * math.sqrt(15))
    assert (scaled**4).mean() == pytest.approx(3, abs=error * math.sqrt(96))


LARGE = (50, 5, 20)  # a kernel of length 5, from 20 channels to 50: fans of 100 and 250


@pytest.mark.parametrize(
    ("initialiser", "check", "first", "second"),
    [
        (init.normal(0.5, 3.0), check_normal, 0.5, 3.0),
        (init.glorot_normal(), check_normal, 0.0, math.sqrt(2 / 350)),
        (lambda a: init.glorot_normal()(a, 2.0), check_normal, 0.0, 2 * math.sqrt(2 / 350)),
        (init.he_normal(), check_normal, 0.0, 0.1),
        (lambda a: init.he_normal()(a, "fan_out"), check_normal, 0.0, math.sqrt(1 / 250)),
        (init.uniform(), check_uniform, 0.0, 1.0),
        (init.uniform(-0.5, 3.0), check_uniform, -0.5, 3.0),
        (init.glorot_uniform(), check_uniform, -math.sqrt(6 / 350), math.sqrt(6 / 350)),
        (lambda a: init.glorot_uniform()(a, 2.0), check_uniform, -2 * math.sqrt(6 / 350), 2 * math.sqrt(6 / 350)),
        (init.he_uniform(), check_uniform, -math.sqrt(3 / 100), math.sqrt(3 / 100)),
        (
            lambda a: init.he_uniform()(a, "fan_out", 2.0),
            check_uniform,
            -2 * math.sqrt(3 / 250),
            2 * math.sqrt(3 / 250),
        ),
    ],
)
def test_distributions(initialiser, check, first, second):
    mx.random.seed(4)
    values = initialiser(mx.zeros(LARGE))
    assert values.shape == LARGE
    check(values, first, second)


def test_what_sparse_leaves_is_normal():
    mx.random.seed(4)
    values = np.array(init.sparse(0.3, 1.0, 2.0)(mx.zeros((50, 100))))
    kept = values[values != 0]
    assert kept.size == 50 * 70
    check_normal(kept, 1.0, 2.0)


def test_zeros_of_sparse_are_anywhere():
    mx.random.seed(4)
    where = np.array(init.sparse(0.5)(mx.zeros((400, 10)))) == 0
    np.testing.assert_allclose(where.mean(0), 0.5, atol=0.1)  # four standard errors


# layer -> for each of its first parameters the range of a uniform distribution, or ("normal", deviation), or a value
ROOT = 1 / math.sqrt(40)
FIRST = {
    "Linear": (lambda: nn.Linear(40, 300), {"weight": ROOT, "bias": ROOT}),
    "Bilinear": (lambda: nn.Bilinear(40, 20, 300), {"weight": ROOT, "bias": ROOT}),
    "Embedding": (lambda: nn.Embedding(300, 40), {"weight": ("normal", ROOT)}),
    "Conv1d": (lambda: nn.Conv1d(80, 300, 5, groups=10), {"weight": ROOT, "bias": 0}),
    "Conv2d": (lambda: nn.Conv2d(10, 300, 2), {"weight": ROOT, "bias": 0}),
    "Conv3d": (lambda: nn.Conv3d(5, 300, 2), {"weight": ROOT, "bias": 0}),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(8, 300, 5), {"weight": ROOT, "bias": 0}),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(10, 300, 2), {"weight": ROOT, "bias": 0}),
    "ConvTranspose3d": (lambda: nn.ConvTranspose3d(5, 300, 2), {"weight": ROOT, "bias": 0}),
    "RNN": (lambda: nn.RNN(30, 40), {"Wxh": ROOT, "Whh": ROOT}),
    "GRU": (lambda: nn.GRU(30, 40), {"Wx": ROOT, "Wh": ROOT}),
    "LSTM": (lambda: nn.LSTM(30, 40), {"Wx": ROOT, "Wh": ROOT}),
    "PReLU": (lambda: nn.PReLU(4, 0.5), {"weight": 0.5}),
    "LayerNorm": (lambda: nn.LayerNorm(4), {"weight": 1, "bias": 0}),
    "RMSNorm": (lambda: nn.RMSNorm(4), {"weight": 1}),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), {"weight": 1, "bias": 0}),
    "InstanceNorm": (lambda: nn.InstanceNorm(4, affine=True), {"weight": 1, "bias": 0}),
    "BatchNorm": (lambda: nn.BatchNorm(4), {"weight": 1, "bias": 0, "running_mean": 0, "running_var": 1}),
    "MultiHeadAttention": (
        lambda: nn.MultiHeadAttention(40, 2),
        {f"{part}_proj.weight": ROOT for part in ("query", "key", "value", "out")},
    ),
    "TransformerEncoderLayer": (
        lambda: nn.TransformerEncoderLayer(40, 2, 90),
        {"linear1.weight": ROOT, "linear2.weight": 1 / math.sqrt(90), "ln1.weight": 1, "ln2.bias": 0},
    ),
    "AllToShardedLinear": (lambda: nn.AllToShardedLinear(40, 300), {"weight": ROOT, "bias": ROOT}),
    "ShardedToAllLinear": (lambda: nn.ShardedToAllLinear(40, 300), {"weight": ROOT, "bias": ROOT}),
}


@pytest.mark.parametrize("name", FIRST)
def test_first_parameters_of_layers(name):
    make, expected = FIRST[name]
    mx.random.seed(6)
    with mx.engine("numpy"):
        parameters = dict(tree_flatten(make().parameters()))
        mx.eval(parameters)
    for path, wanted in expected.items():
        values = parameters[path]
        assert values.dtype == mx.float32
        if isinstance(wanted, float) and name != "PReLU":
            check_uniform(values, -wanted, wanted)
        elif isinstance(wanted, tuple):
            check_normal(values, 0.0, wanted[1])
        else:
            assert set(values.tolist()) == {wanted}


@pytest.mark.parametrize(
    "make",
    [
        lambda dtype: init.constant(5.0, dtype),
        lambda dtype: init.normal(dtype=dtype),
        lambda dtype: init.uniform(dtype=dtype),
        lambda dtype: init.identity(dtype),
        lambda dtype: init.glorot_normal(dtype),
        lambda dtype: init.glorot_uniform(dtype),
        lambda dtype: init.he_normal(dtype),
        lambda dtype: init.he_uniform(dtype),
        lambda dtype: init.sparse(0.5, dtype=dtype),
        lambda dtype: init.orthogonal(dtype=dtype),
    ],
)
@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16])
def test_shape_and_dtype(make, dtype):
    result = make(dtype)(mx.zeros((3, 3)))
    assert result.shape == (3, 3)
    assert result.dtype == dtype


def test_fixed_values():
    assert init.constant(0.5)(mx.zeros((1, 2))).tolist() == [[0.5, 0.5]]
    assert init.identity()(mx.zeros((2, 2))).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("make", "fans"),
    [
        (lambda a: init.glorot_normal()(a, gain=3.0), "both"),
        (lambda a: init.glorot_uniform()(a, gain=3.0), "both"),
        (lambda a: init.he_normal()(a, gain=3.0), "fan_in"),
        (lambda a: init.he_uniform()(a, "fan_out", 3.0), "fan_out"),
    ],
)
def test_standard_deviation_follows_the_fans(make, fans):
    fan_in, fan_out = 20 * 5, 40 * 5  # a kernel of length 5, from 20 channels to 40
    variance = {"both": 2 / (fan_in + fan_out), "fan_in": 1 / fan_in, "fan_out": 1 / fan_out}[fans]
    mx.random.seed(0)
    values = np.array(make(mx.zeros((40, 5, 20))))
    assert values.std() == pytest.approx(3.0 * math.sqrt(variance), rel=0.05)
    assert abs(values.mean()) < 0.1 * values.std()


@pytest.mark.parametrize(("sparsity", "zeros"), [(0.5, 5), (0.31, 4), (0.0, 0), (1.0, 10)])
def test_sparse_zeroes_part_of_every_row(sparsity, zeros):
    values = init.sparse(sparsity)(mx.zeros((6, 10)))
    assert mx.sum(values == 0, axis=1).tolist() == [zeros] * 6


@pytest.mark.parametrize("shape", [(4, 4), (6, 4), (4, 6)])
def test_orthogonal(shape):
    q = np.array(init.orthogonal(gain=2.0)(mx.zeros(shape)))
    product = q @ q.T if shape[0] <= shape[1] else q.T @ q
    np.testing.assert_allclose(product, 4 * np.eye(min(shape)), atol=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: init.identity()(mx.zeros((2, 3))), r"\[init.identity\] Expected a square matrix"),
        (lambda: init.glorot_normal()(mx.zeros((2,))), r"\[init.glorot_normal\] Expected at least 2"),
        (lambda: init.he_uniform()(mx.zeros(())), r"\[init.he_uniform\] Expected at least 2"),
        (lambda: init.he_normal()(mx.zeros((2, 3)), mode="out"), r"\[init.he_normal\] Invalid mode 'out'"),
        (lambda: init.sparse(0.5)(mx.zeros((3,))), r"\[init.sparse\] Expected a 2D array, got a 1D array"),
        (lambda: init.orthogonal()(mx.zeros((2, 3, 4))), r"\[init.orthogonal\] .* got a 3D array"),
    ],
)
def test_shapes_that_do_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""Initialisers: numbers for a fixed seed, distributions, shapes that do not fit."""

import math

import numpy as np
import pytest

import mlx.core as mx
from mlx.nn import init

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

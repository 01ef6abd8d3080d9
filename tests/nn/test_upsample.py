"""Upsample: against the formula on one axis, separability, gradients, dtypes, empty axes and errors."""

import math

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn


def places(n, m, scale, align_corners):
    if align_corners:
        return [i * (n - 1) / (m - 1) if m > 1 else 0.0 for i in range(m)]
    return [(n - 1) / 2 + (i - (m - 1) / 2) / scale for i in range(m)]


def kernel(mode, antialias, d):
    if mode == "linear":
        return max(0.0, 1 - d)
    a = -0.5 if antialias else -0.75
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else 0.0


def matrix(n, scale, mode, align_corners=False, antialias=False):
    """What one axis is multiplied by."""
    m = int(scale * n)
    weights = np.zeros((m, n))
    stretch = max(1.0, 1 / scale) if antialias else 1.0
    for i, place in enumerate(places(n, m, scale, align_corners)):
        for tap in range(math.floor(place - 3 * stretch), math.ceil(place + 3 * stretch) + 1):
            weight = kernel(mode, antialias, abs(tap - place) / stretch)
            if 0 <= tap < n or not antialias:
                weights[i, min(max(tap, 0), n - 1)] += weight
    return weights / weights.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("n", "scale"), [(4, 2.0), (5, 1.7), (10, 0.3), (7, 2.5), (9, 0.5), (1, 3.0), (6, 1.0)])
@pytest.mark.parametrize(
    ("mode", "align_corners", "antialias"),
    [(mode, *rest) for mode in ("linear", "cubic") for rest in ((False, False), (True, False), (False, True))],
)
def test_one_axis(n, scale, mode, align_corners, antialias):
    layer = nn.Upsample(scale, mode, align_corners, antialias)
    np.testing.assert_allclose(
        layer(mx.eye(n)[None])[0], matrix(n, scale, mode, align_corners, antialias), rtol=1e-4, atol=2e-6
    )


def test_numbers_of_pytorch():
    """torch.nn.functional.interpolate, 4 to 8 entries of the second unit vector."""
    x = mx.array([0.0, 1.0, 0.0, 0.0]).reshape(1, 4, 1)
    linear = [0, 0.25, 0.75, 0.75, 0.25, 0, 0, 0]
    cubic = [-0.10546875, 0.26171875, 0.87890625, 0.87890625, 0.26171875, -0.10546875, -0.03515625, 0]
    assert nn.Upsample(2.0, "linear")(x).flatten().tolist() == linear
    np.testing.assert_allclose(nn.Upsample(2.0, "cubic")(x).flatten(), cubic, atol=1e-6)


@pytest.mark.parametrize(
    ("n", "scale", "expected"),
    [
        (4, 2.0, [0, 0, 1, 1, 2, 2, 3, 3]),
        (4, 1.5, [0, 0, 1, 2, 2, 3]),
        (5, 1.7, [0, 0, 1, 2, 2, 3, 4, 4]),
        (10, 0.3, [0, 3, 6]),
        (10, 0.75, [0, 1, 2, 4, 5, 7, 8]),
        (6, 0.5, [0, 2, 4]),
        (4, 0.1, []),
    ],
)
def test_nearest(n, scale, expected):
    x = mx.arange(n).reshape(1, n, 1)
    y = nn.Upsample(scale)(x)
    assert y.dtype == x.dtype
    assert y.flatten().tolist() == expected


def test_axes_are_resized_one_after_the_other():
    x = mx.random.normal((2, 3, 4, 5, 2), key=mx.random.key(0))
    y = nn.Upsample((2.0, 0.5, 1.5), mode="cubic")(x)
    expected = np.array(x)
    for axis, (n, scale) in enumerate(((3, 2.0), (4, 0.5), (5, 1.5)), 1):
        expected = np.moveaxis(np.tensordot(matrix(n, scale, "cubic"), expected, (1, axis)), 0, axis)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["linear", "cubic"])
@pytest.mark.parametrize("engine", ["numpy", "xla"])
def test_the_gradient_is_the_transpose(mode, engine):
    x, g = mx.random.normal((1, 5, 1), key=mx.random.key(0)), mx.random.normal((1, 8, 1), key=mx.random.key(1))
    with mx.engine(engine):
        gradient = mx.grad(lambda x: (nn.Upsample(1.7, mode)(x) * g).sum())(x)
        expected = matrix(5, 1.7, mode).T @ np.array(g)[0]
        np.testing.assert_allclose(gradient[0], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float32])
def test_dtypes(dtype):
    x = mx.array([0.0, 1.0, 4.0]).astype(dtype).reshape(1, 3, 1)
    assert nn.Upsample(2, "nearest")(x).dtype == dtype
    for mode in ("linear", "cubic"):
        assert nn.Upsample(2, mode)(x).dtype == mx.float32
        assert mx.grad(lambda x, mode=mode: nn.Upsample(2, mode)(x).sum())(x).dtype == dtype
    assert nn.Upsample(2, "linear")(x).flatten().tolist() == [0, 0.25, 0.75, 1.75, 3.25, 4]
    assert nn.Upsample(2, "linear")(x.astype(mx.int32)).dtype == mx.float32


def test_empty_axes():
    for mode in ("nearest", "linear", "cubic"):
        assert nn.Upsample(2, mode)(mx.zeros((0, 3, 1))).shape == (0, 6, 1)
        assert nn.Upsample(0.1, mode)(mx.zeros((1, 4, 1))).shape == (1, 0, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale_factor": 2, "mode": "bilinear"}, "mode must be 'nearest', 'linear' or 'cubic', got 'bilinear'"),
        ({"scale_factor": 2, "antialias": True}, "antialias is for the modes"),
        ({"scale_factor": 2, "mode": "linear", "antialias": True, "align_corners": True}, "does not go with"),
        ({"scale_factor": (2, 0)}, "must be positive"),
        ({"scale_factor": -1.0}, "must be positive"),
    ],
)
def test_wrong_settings(arguments, message):
    with pytest.raises(ValueError, match=r"\[Upsample\].*" + message):
        nn.Upsample(**arguments)


def test_wrong_input():
    with pytest.raises(ValueError, match=r"at least one spatial axis and a channel axis, got shape \(4, 4\)"):
        nn.Upsample(2)(mx.ones((4, 4)))
    with pytest.raises(ValueError, match="one factor for each of the 1 spatial axes"):
        nn.Upsample((2, 2))(mx.ones((1, 4, 4)))


def test_repr():
    assert repr(nn.Upsample((2, 3))) == "Upsample(scale_factor=(2.0, 3.0), mode='nearest', align_corners=False)"

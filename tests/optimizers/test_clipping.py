"""Clipping by the global norm."""

import numpy as np
import pytest

import mlx.core as mx
import mlx.optimizers as optim


def test_clipping_scales_to_the_norm():
    grads = {"a": [mx.array([3.0, 0.0])], "b": mx.array([[4.0]])}
    clipped, norm = optim.clip_grad_norm(grads, 1.0)
    assert norm.item() == 5
    np.testing.assert_allclose(clipped["a"][0], [0.6, 0], rtol=1e-6)
    np.testing.assert_allclose(clipped["b"], [[0.8]], rtol=1e-6)
    assert grads["b"].item() == 4
    same, norm = optim.clip_grad_norm(grads, 10.0)
    assert same["a"][0].tolist() == [3, 0]
    assert same["b"].tolist() == [[4]]


def test_clipping_in_half_precision_does_not_overflow():
    clipped, norm = optim.clip_grad_norm({"w": mx.array([300.0, 400.0], mx.float16)}, 1.0)
    assert (norm.item(), norm.dtype) == (500, mx.float32)
    assert clipped["w"].dtype == mx.float16
    np.testing.assert_allclose(clipped["w"], [0.6, 0.8], rtol=1e-3)


def test_clipping_corner_cases():
    assert optim.clip_grad_norm({}, 1.0)[1].item() == 0
    assert optim.clip_grad_norm([mx.zeros(2)], 1.0)[0][0].tolist() == [0, 0]
    assert optim.clip_grad_norm((mx.array([3.0, 4.0]),), 0.0)[0][0].tolist() == [0, 0]
    integers, _ = optim.clip_grad_norm([mx.array([3, 4])], 2.5)
    np.testing.assert_allclose(integers[0], [1.5, 2.0], rtol=1e-6)
    assert optim.clip_grad_norm([mx.array([3 + 4j])], 1.0)[1].item() == 5
    with pytest.raises(ValueError, match="max_norm should be >=0"):
        optim.clip_grad_norm({}, -1.0)

"""`async_eval`: work is started, and Python runs on before it is done."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx

SIZE = 1100  # ten products of this size take a tenth of a second, in which Python gets to ask whether they are done


def dear(x: Any) -> Any:
    for _ in range(10):
        x = mx.tanh(x @ x * 1e-3)
    return x


def is_ready(x: mx.array) -> bool:
    return x._node.value.device.is_ready()


def started(x: mx.array) -> bool:
    return x._node.value is not None


@pytest.fixture(scope="module")
def point() -> mx.array:
    x = mx.array(np.random.default_rng(0).normal(size=(SIZE, SIZE)).astype(np.float32))
    with mx.engine("xla"):
        mx.eval(x, dear(x))  # compiles the program
    return x


@pytest.mark.parametrize("compiled", [False, True])
def test_it_returns_before_the_value_is_there(point: mx.array, compiled: bool) -> None:
    function = mx.compile(dear) if compiled else dear
    with mx.engine("xla"):
        expected = function(point)
        mx.eval(expected)
        y = function(point)
        assert not started(y)
        mx.async_eval(y)
        assert started(y)
        assert not is_ready(y)
        assert y[0, 0].item() == expected[0, 0].item()
        mx.eval(y)
        assert is_ready(y)


def test_what_depends_on_unfinished_work_is_queued(point: mx.array) -> None:
    with mx.engine("xla"):
        y = dear(point)
        mx.async_eval(y)
        z = dear(y)
        mx.async_eval({"z": [z, "no array"]})
        assert not is_ready(y)
        assert started(z)
        mx.synchronize()
        assert is_ready(z)
        np.testing.assert_allclose(np.array(z), np.array(dear(dear(point))), rtol=1e-4, atol=1e-6)


def test_small_programs_are_computed_at_once() -> None:
    with mx.engine("numpy"):
        x = mx.array([1.0, 2.0]) * 2
        mx.async_eval(x)
        assert started(x)
        assert x.tolist() == [2.0, 4.0]


def test_inside_a_transform_it_is_refused() -> None:
    def fun(x: Any) -> Any:
        y = x * 2
        mx.async_eval(y)
        return y

    for transformed in (mx.grad(fun), mx.vmap(fun), mx.compile(fun)):
        with pytest.raises(ValueError, match=r"\[async_eval\] Not allowed inside a graph transformation"):
            transformed(mx.ones(2))
    assert mx.grad(lambda x: x * x)(mx.array(3.0)).item() == 6.0

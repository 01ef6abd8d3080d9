"""`linearize`: the derivative at a point as a program that is applied many times."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import mlx.core as mx

ENGINES = ("numpy", "xla")


@pytest.mark.parametrize("engine", ENGINES)
def test_it_is_the_jacobian_vector_product(engine: str) -> None:
    runs = []

    def fun(x: Any, y: Any) -> Any:
        runs.append(1)
        return {"product": mx.sin(x) * y, "constant": mx.zeros(2, mx.float64), "sum": [x.sum()]}

    x, y = np.array([0.5, 1.0, -2.0]), np.array([2.0, 3.0, 4.0])
    with mx.engine(engine):
        outputs, push_forward = mx.linearize(fun, argnums=(0, 1))(mx.array(x, mx.float64), mx.array(y, mx.float64))
        np.testing.assert_allclose(np.array(outputs["product"]), np.sin(x) * y, rtol=1e-12)
        for seed in range(3):
            dx, dy = np.random.default_rng(seed).normal(size=(2, 3))
            pushed = push_forward((mx.array(dx, mx.float64), mx.array(dy, mx.float64)))
            np.testing.assert_allclose(np.array(pushed["product"]), np.cos(x) * dx * y + np.sin(x) * dy, rtol=1e-12)
            assert pushed["constant"].tolist() == [0.0, 0.0]
            assert pushed["sum"][0].item() == pytest.approx(dx.sum(), rel=1e-12)
    assert runs == [1]


def test_trees_names_and_dtypes() -> None:
    params = {"w": mx.array([1.0, 2.0], mx.float16), "b": [mx.array(3.0)]}
    outputs, push_forward = mx.linearize(lambda p, *, s: p["w"].sum() * p["b"][0] * s, argnames="s", argnums=0)(
        params, s=mx.array(2.0)
    )
    assert outputs.item() == 18.0
    tangents = ({"w": mx.array([1.0, 1.0]), "b": [mx.array(1.0)]}, {"s": mx.array(1.0)})
    assert push_forward(tangents).item() == 2 * 6 + 3 * 2 + 9


def test_the_point_is_looked_at_once() -> None:
    x = mx.array([1.0, 2.0])
    _, push_forward = mx.linearize(lambda x: x * x)(x)
    x += 100
    assert push_forward(mx.ones(2)).tolist() == [2.0, 4.0]


def test_its_derivative_is_transformed_like_any_function() -> None:
    x = mx.array([1.0, 2.0, 3.0])
    _, push_forward = mx.linearize(lambda x: x**3)(x)
    slopes = np.array([3.0, 12.0, 27.0])
    assert mx.grad(lambda t: push_forward(t).sum())(x).tolist() == slopes.tolist()
    np.testing.assert_allclose(np.array(mx.vmap(push_forward)(mx.eye(3))), np.diag(slopes), rtol=1e-6)
    np.testing.assert_allclose(np.array(mx.jacrev(push_forward)(x)), np.diag(slopes), rtol=1e-6)
    compiled = mx.compile(push_forward)
    for _ in range(2):
        assert compiled(mx.ones(3)).tolist() == slopes.tolist()
    _, (pushed,) = mx.jvp(push_forward, [x], [mx.ones(3)])
    assert pushed.tolist() == slopes.tolist()


@pytest.mark.parametrize("engine", ENGINES)
def test_inside_other_transforms(engine: str) -> None:
    def directional(x: Any) -> Any:
        """The derivative of x^4 along (1, 2), summed."""
        _, push_forward = mx.linearize(lambda x: x**4)(x)
        return push_forward(mx.array([1.0, 2.0], mx.float64)).sum()

    x = np.array([0.5, -1.5])
    points = mx.array(x, mx.float64)
    expected = 12 * x**2 * np.array([1.0, 2.0])
    with mx.engine(engine):
        for function in (mx.grad(directional), mx.compile(mx.grad(directional)), mx.grad(mx.compile(directional))):
            np.testing.assert_allclose(np.array(function(points)), expected, rtol=1e-12)
        _, (pushed,) = mx.jvp(directional, [points], [mx.ones(2, mx.float64)])
        assert pushed.item() == pytest.approx(expected.sum(), rel=1e-12)
        mapped = mx.vmap(directional)(mx.stack([points, points * 2]))
        values = [(4 * y**3 * np.array([1.0, 2.0])).sum() for y in (x, 2 * x)]
        np.testing.assert_allclose(np.array(mapped), values, rtol=1e-12)


def test_outputs_must_be_arrays() -> None:
    with pytest.raises(ValueError, match=r"\[linearize\] The function should .* but its result\[1\] is .* type int"):
        mx.linearize(lambda x: (x, 3))(mx.array(1.0))
    with pytest.raises(ValueError, match="Is a return statement missing"):
        mx.linearize(lambda x: None)(mx.array(1.0))


def test_nothing_in_place_of_positional_arguments_stays() -> None:
    gradient = mx.grad(lambda x, *, s: (x * s * s).sum(), argnames="s")
    (positional, named), push_forward = mx.linearize(gradient, argnames="s")(mx.array([1.0, 2.0]), s=mx.array(3.0))
    assert positional is None
    assert named["s"].item() == 18.0
    positional, named = push_forward((None, {"s": mx.array(2.0)}))
    assert positional is None
    assert named["s"].item() == 12.0


def test_complex_arguments() -> None:
    z, v = np.array([1 + 2j, -0.5 + 1j]), np.array([2 - 1j, 1j])
    outputs, push_forward = mx.linearize(lambda z: (z * z, mx.abs(z)))(mx.array(z, mx.complex64))
    squares, lengths = push_forward(mx.array(v, mx.complex64))
    np.testing.assert_allclose(np.array(outputs[0]), z * z, rtol=1e-5)
    np.testing.assert_allclose(np.array(squares), 2 * z * v, rtol=1e-5)
    np.testing.assert_allclose(np.array(lengths), (np.conj(z) * v).real / abs(z), rtol=1e-5)


@pytest.mark.parametrize("shape", [(), (0,), (2, 0)])
def test_scalars_and_empty_arrays(shape: tuple[int, ...]) -> None:
    outputs, push_forward = mx.linearize(lambda x: (x * x, x.sum()))(mx.full(shape, 3.0))
    np.testing.assert_array_equal(np.array(outputs[0]), np.full(shape, 9.0))
    pushed = push_forward(mx.full(shape, 2.0))
    np.testing.assert_array_equal(np.array(pushed[0]), np.full(shape, 12.0))
    assert pushed[1].item() == np.full(shape, 2.0).sum()


def test_memory_is_that_of_the_point() -> None:
    def chain(x: Any) -> Any:
        for _ in range(20):
            x = mx.sin(x)
        return x

    before = mx.get_active_memory()
    x = mx.ones((64, 64))
    outputs, push_forward = mx.linearize(chain)(x)
    mx.eval(outputs, push_forward(x))
    one = 64 * 64 * 4
    assert mx.get_active_memory() - before <= 23 * one
    gc.collect()
    gc.disable()  # nothing waits for a collection
    try:
        del push_forward
        assert mx.get_active_memory() - before <= 2 * one
    finally:
        gc.enable()


def test_what_the_program_does_not_need_is_not_kept() -> None:
    before = mx.get_active_memory()
    x = mx.ones((512, 512))
    outputs, push_forward = mx.linearize(lambda x: x.sum() * 2)(x)
    mx.eval(outputs)
    del x
    gc.collect()
    assert mx.get_active_memory() - before <= 64
    assert push_forward(mx.ones((512, 512))).item() == 2 * 512 * 512


def test_calls_without_evaluation_run_in_bounded_memory() -> None:
    _, push_forward = mx.linearize(lambda x: mx.sin(x) * 0.5)(mx.zeros((64, 64)))
    tangent = mx.ones((64, 64))
    mx.eval(tangent)
    before = mx.get_active_memory()
    for _ in range(100):
        tangent = push_forward(tangent)
    assert mx.get_active_memory() - before <= 6 * 64 * 64 * 4
    assert tangent[0, 0].item() == 0.5**100

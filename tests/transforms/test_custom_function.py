"""`custom_function`: each rule takes over its transform, alone, together and nested; wrong rules are named."""

from __future__ import annotations

from typing import Any

import pytest

import mlx.core as mx


def scaled_product() -> mx.custom_function:
    """x * sum(y) with a vjp rule that is off by a factor of 10, so that one sees which derivative is taken."""

    @mx.custom_function
    def f(x: Any, y: Any) -> Any:
        return x * y.sum()

    @f.vjp
    def f_vjp(primals: Any, cotangent: Any, output: Any) -> Any:
        x, y = primals
        return 10 * cotangent * y.sum(), 10 * (cotangent * x).sum() * mx.ones_like(y)

    return f


def test_without_rules_it_is_the_function() -> None:
    f = mx.custom_function(lambda x: x * x)
    assert f(mx.array(3.0)).item() == 9.0
    assert mx.grad(f)(mx.array(3.0)).item() == 6.0
    assert mx.jvp(f, [mx.array(3.0)], [mx.array(2.0)])[1][0].item() == 12.0
    assert mx.vmap(f)(mx.array([1.0, 2.0])).tolist() == [1.0, 4.0]


def test_the_vjp_rule_takes_over_reverse_mode_alone() -> None:
    f = scaled_product()
    x, y = mx.array(3.0), mx.array([1.0, 2.0])
    assert f(x, y).item() == 9.0
    gradients = mx.grad(f, argnums=(0, 1))(x, y)
    assert gradients[0].item() == 30.0
    assert gradients[1].tolist() == [30.0, 30.0]
    _, (tangent,) = mx.jvp(f, [x, y], [mx.array(1.0), mx.array([0.0, 0.0])])
    assert tangent.item() == 3.0


def test_the_vjp_rule_is_mapped_with_the_function() -> None:
    f = scaled_product()
    x, y = mx.array([1.0, 2.0]), mx.array([[1.0, 2.0], [3.0, 4.0]])

    def loss(x: Any, y: Any) -> Any:
        return mx.vmap(f)(x, y).sum()

    gradients = mx.grad(loss, argnums=(0, 1))(x, y)
    assert gradients[0].tolist() == [30.0, 70.0]
    assert gradients[1].tolist() == [[10.0, 10.0], [20.0, 20.0]]

    def shared(x: Any, y: Any) -> Any:
        return mx.vmap(f, in_axes=(0, None))(x, y).sum()

    gradients = mx.grad(shared, argnums=(0, 1))(x, y[0])
    assert gradients[0].tolist() == [30.0, 30.0]
    assert gradients[1].tolist() == [30.0, 30.0]
    per_example = mx.vmap(mx.grad(f))(x, y)
    assert per_example.tolist() == [30.0, 70.0]


def test_the_vjp_rule_is_differentiated_again() -> None:
    @mx.custom_function
    def cube(x: Any) -> Any:
        return x * x * x

    @cube.vjp
    def cube_vjp(x: Any, cotangent: Any, output: Any) -> Any:
        return cotangent * 5 * x * x

    assert mx.grad(mx.grad(cube))(mx.array(2.0)).item() == 20.0


def test_the_jvp_rule() -> None:
    f = mx.custom_function(lambda x: x * x)

    @f.jvp
    def f_jvp(x: Any, tangent: Any) -> Any:
        return 7 * tangent

    assert mx.jvp(f, [mx.array(3.0)], [mx.array(2.0)])[1][0].item() == 14.0
    assert mx.grad(f)(mx.array(3.0)).item() == 6.0
    _, (mapped,) = mx.jvp(mx.vmap(f), [mx.array([1.0, 2.0])], [mx.array([1.0, 10.0])])
    assert mapped.tolist() == [7.0, 70.0]


def test_the_vmap_rule() -> None:
    f = mx.custom_function(lambda x, y: x + y)
    seen = []

    @f.vmap
    def f_vmap(primals: Any, axes: Any) -> Any:
        x, y = primals
        seen.append(axes)
        return x + y + 100, axes[0]

    assert mx.vmap(f, in_axes=(0, None))(mx.array([1.0, 2.0]), mx.array(3.0)).tolist() == [104.0, 105.0]
    assert seen == [(0, None)]


def test_trees_several_outputs_and_other_arguments() -> None:
    @mx.custom_function
    def f(params: Any, power: int) -> Any:
        return {"a": params["x"] * power, "b": [params["y"] + 1, "label"]}

    @f.vjp
    def f_vjp(primals: Any, cotangents: Any, outputs: Any) -> Any:
        _, power = primals
        assert power == 3
        assert outputs["a"].item() == 6.0
        assert cotangents["b"][0].item() == 0.0
        return {"x": cotangents["a"] * 2, "y": None}, None

    gradient = mx.grad(lambda p: f(p, 3)["a"])({"x": mx.array(2.0), "y": mx.array(1.0)})
    assert gradient["x"].item() == 2.0
    assert gradient["y"].item() == 0.0
    assert f({"x": mx.array(2.0), "y": mx.array(1.0)}, 3)["b"][1] == "label"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (lambda x, g, out: (g, g), "vjp rule should return 1 values"),
        (lambda x, g, out: mx.ones((3,)), r"should have the shape \(\), but has \(3,\)"),
        (lambda x, g, out: 1.0, "should be an array, got float"),
    ],
)
def test_wrong_rules_are_named(rule: Any, words: str) -> None:
    f = mx.custom_function(lambda x: x * x)
    f.vjp(rule)
    with pytest.raises(ValueError, match=words):
        mx.grad(f)(mx.array(1.0))
    assert mx.grad(lambda x: x * x)(mx.array(2.0)).item() == 4.0


def test_calls_share_one_program() -> None:
    from mlx.runtime import evaluate

    def run() -> None:
        f = mx.custom_function(lambda x: x * 3)
        f.vjp(lambda x, g, out: g * 2)
        assert mx.grad(f)(mx.array(1.0)).item() == 2.0

    run()
    before = len(evaluate._programs)
    for _ in range(5):
        run()
    assert len(evaluate._programs) == before

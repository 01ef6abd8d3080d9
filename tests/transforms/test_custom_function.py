"""`custom_function`: each rule takes over its transform, alone, together and nested; wrong rules are named."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
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
        (
            lambda x, g, out: (g, g),
            "The cotangents that the vjp rule returned should be an array, got a value of type tup",
        ),
        (lambda x, g, out: mx.ones((3,)), r"should have the shape \(\), but has \(3,\)"),
        (lambda x, g, out: 1.0, "should be an array, got a value of type float"),
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


def with_rule(kind: str, rule: Any, function: Any = lambda p: {"a": p["w"] * 2, "b": [p["w"] + 1]}) -> Any:
    f = mx.custom_function(function)
    getattr(f, kind)(rule)
    return f


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (
            lambda p, g, out: g["a"],
            r"The cotangents that the vjp rule returned should be a dict with the keys \['w', 'n'\]",
        ),
        (lambda p, g, out: {"w": g["a"]}, r"but it is the keys \['w'\]"),
        (lambda p, g, out: {"w": g["a"].sum(), "n": None}, r"The cotangents\['w'\] that the vjp rule .* shape \(2,\)"),
        (lambda p, g, out: {"w": [1.0, 2.0], "n": None}, r"The cotangents\['w'\] .* should be an array, got"),
    ],
)
def test_cotangents_of_another_structure(rule: Any, words: str) -> None:
    f = with_rule("vjp", rule)
    with pytest.raises(ValueError, match=words):
        mx.grad(lambda w: f({"w": w, "n": 3})["a"].sum())(mx.array([1.0, 2.0]))


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (lambda p, t: t["w"], r"The tangents that the jvp rule returned should be a dict with the keys \['a', 'b'\]"),
        (lambda p, t: {"a": t["w"], "b": t["w"]}, r"The tangents\['b'\] .* should be a list of 1 entries"),
        (lambda p, t: {"a": t["w"], "b": [t["w"][0]]}, r"The tangents\['b'\]\[0\] .* should have the shape \(2,\)"),
        (lambda p, t: {"a": 1.0, "b": [t["w"]]}, r"The tangents\['a'\] .* should be an array"),
        (lambda p, t: None, r"The jvp rule returned None. Is a return statement missing\?"),
    ],
)
def test_tangents_of_another_structure(rule: Any, words: str) -> None:
    f = with_rule("jvp", rule)
    x = mx.array([1.0, 2.0])
    with pytest.raises(ValueError, match=words):
        mx.jvp(lambda w: f({"w": w, "n": 3})["a"], [x], [x])


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (lambda p, axes: p["w"], r"The vmap rule should return the outputs and their axes"),
        (lambda p, axes: ({"a": p["w"]}, axes), r"The outputs that the vmap rule .* keys \['a', 'b'\]"),
        (
            lambda p, axes: ({"a": p["w"], "b": [p["w"]]}, {"a": 0, "b": [5]}),
            r"The axes\['b'\]\[0\] .* should be None or an axis of an array of 2 axes, got 5",
        ),
        (
            lambda p, axes: ({"a": 3.0, "b": [p["w"]]}, {"a": 0, "b": [0]}),
            r"The outputs\['a'\] .* got a value of type flo",
        ),
    ],
)
def test_batched_outputs_of_another_structure(rule: Any, words: str) -> None:
    f = with_rule("vmap", rule)
    with pytest.raises(ValueError, match=words):
        mx.vmap(lambda w: f({"w": w, "n": 3})["a"])(mx.ones((2, 2)))


def test_keyword_arguments_reach_the_vjp_rule_by_name() -> None:
    f = mx.custom_function(lambda x, *, k, flag=True: x * k)
    seen = []

    @f.vjp
    def rule(x: Any, g: Any, out: Any, *, k: Any, flag: bool) -> Any:
        seen.append(flag)
        return (g * 5, {"k": (g * x).sum() * 9}) if flag else g * 7

    x, k = mx.array([1.0, 2.0]), mx.array(2.0)
    by_x, by_k = mx.grad(lambda x, k: f(x, k=k, flag=True).sum(), argnums=(0, 1))(x, k)
    assert (by_x.tolist(), by_k.item()) == ([5.0, 5.0], 27.0)
    by_x, by_k = mx.grad(lambda x, k: f(x, k=k, flag=False).sum(), argnums=(0, 1))(x, k)
    assert (by_x.tolist(), by_k.item()) == ([7.0, 7.0], 0.0)
    assert seen == [True, False]
    mapped = mx.vmap(mx.grad(lambda x, k: f(x, k=k, flag=True), argnums=(0, 1)), in_axes=(0, None))(x, k)
    assert (mapped[0].tolist(), mapped[1].tolist()) == ([5.0, 5.0], [9.0, 18.0])
    summed = mx.grad(lambda x, k: mx.vmap(lambda x: f(x, k=k, flag=True))(x).sum(), argnums=(0, 1))(x, k)
    assert (summed[0].tolist(), summed[1].item()) == ([5.0, 5.0], 27.0)


@pytest.mark.parametrize(
    ("kind", "run"), [("jvp", lambda f, x: mx.jvp(f, [x], [x])), ("vmap", lambda f, x: mx.vmap(f)(x))]
)
def test_rules_that_take_no_keyword_arguments_say_so(kind: str, run: Any) -> None:
    f = with_rule(kind, lambda *arguments: arguments[0], lambda x, *, k: x * k)
    with pytest.raises(
        ValueError, match=rf"a {kind} rule takes positional arguments only .* keyword arguments \['k'\]"
    ):
        run(lambda x: f(x, k=mx.array(2.0)), mx.ones(2))


@pytest.mark.parametrize("engine", ["numpy", "xla"])
def test_all_three_rules_nested(engine: str) -> None:
    """x^2 y whose rules multiply by 10 (vjp), 100 (jvp) and 1000 (vmap), so that one sees which was asked."""
    f = mx.custom_function(lambda x, y: (x * x * y, x + y))
    f.vjp(lambda p, g, out: (10 * g[0] * p[0] * p[1], 10 * g[0] * p[0]))
    f.jvp(lambda p, t: (100 * t[0] * p[0] * p[1], 100 * t[1]))
    f.vmap(lambda p, axes: ((1000 * p[0] * p[1], p[0]), (0, 0)))
    x, y = mx.array([1.0, 2.0]), mx.array([3.0, 4.0])
    with mx.engine(engine):
        first = lambda x, y: f(x, y)[0].sum()  # noqa: E731
        for transformed in (
            mx.grad(first, (0, 1)),
            mx.compile(mx.grad(first, (0, 1))),
            mx.grad(mx.compile(first), (0, 1)),
        ):
            by_x, by_y = transformed(x, y)
            assert (by_x.tolist(), by_y.tolist()) == ([30.0, 80.0], [10.0, 20.0])
        _, (one, two) = mx.jvp(f, [x, y], [mx.ones(2), mx.ones(2)])
        assert (one.tolist(), two.tolist()) == ([300.0, 800.0], [100.0, 100.0])
        assert mx.vmap(f)(x, y)[0].tolist() == [3000.0, 8000.0]
        each = mx.vmap(mx.grad(lambda x, y: f(x, y)[0], (0, 1)))(x, y)
        assert (each[0].tolist(), each[1].tolist()) == ([30.0, 80.0], [10.0, 20.0])
        around = mx.grad(lambda x: mx.vmap(f)(x, y)[0].sum())(x)
        assert around.tolist() == [30.0, 80.0]
        _, (pushed,) = mx.jvp(lambda x: mx.vmap(f)(x, y)[0], [x], [mx.ones(2)])
        assert pushed.tolist() == [300.0, 800.0]
        second = mx.grad(lambda x: mx.grad(first)(x, y).sum())(x)  # of 10 x y, by ordinary rules
        assert second.tolist() == [30.0, 40.0]


def test_nested_custom_functions() -> None:
    inner = mx.custom_function(lambda x: x * 2)
    inner.vjp(lambda x, g, out: g * 3)
    outer = mx.custom_function(lambda x: inner(x) + 1)
    assert mx.grad(outer)(mx.array(1.0)).item() == 3.0
    outer.vjp(lambda x, g, out: mx.grad(lambda x: inner(x) * 5)(x) * g)
    assert mx.grad(outer)(mx.array(1.0)).item() == 15.0


def test_captured_arrays_are_constants_to_a_vjp_rule() -> None:
    def loss(w: Any) -> Any:
        f = mx.custom_function(lambda x: x * w)
        f.vjp(lambda x, g, out: g * w)
        return f(mx.array(2.0) + w)

    assert mx.grad(loss)(mx.array(3.0)).item() == 3.0


@pytest.mark.parametrize("engine", ["numpy", "xla"])
def test_shapeless_compile(engine: str) -> None:
    f = mx.custom_function(lambda x: mx.sin(x))
    f.vjp(lambda x, g, out: 2 * g * mx.cos(x))
    compiled = mx.compile(f, shapeless=True)
    with mx.engine(engine):
        for size in (2, 3):
            x = mx.ones(size)
            np.testing.assert_allclose(np.array(mx.grad(lambda x: compiled(x).sum())(x)), 2 * np.cos(1.0), rtol=1e-6)


# For x^2 with rules that are wrong by factors: what each transform gives at x, with and without the rule that it asks.
RULES: dict[str, Any] = {
    "vjp": lambda x, g, out: 10 * g * x,
    "jvp": lambda x, t: 100 * t * x,
    "vmap": lambda x, axis: (1000 * x, axis),
}


def _jvp_of(f: Any) -> Any:
    return lambda x: mx.jvp(f, [x], [mx.ones_like(x)])[1][0]


def _sum_of(f: Any) -> Any:
    return lambda x: f(x).sum()


@pytest.mark.parametrize("engine", ["numpy", "xla"])
@pytest.mark.parametrize(
    "kinds", [(), ("vjp",), ("jvp",), ("vmap",), ("vjp", "jvp"), ("vjp", "vmap"), ("jvp", "vmap"), tuple(RULES)]
)
def test_every_set_of_rules_under_every_pair_of_transforms(kinds: tuple[str, ...], engine: str) -> None:
    f = mx.custom_function(lambda x: x * x)
    for kind in kinds:
        getattr(f, kind)(RULES[kind])
    x = np.array([3.0, -2.0])
    vjp, jvp, batched = ("vjp" in kinds), ("jvp" in kinds), ("vmap" in kinds)
    slope_of_batched = np.full(2, 1000.0) if batched else 2 * x
    expected = [
        (mx.grad(_sum_of(f)), 10 * x if vjp else 2 * x),
        (_jvp_of(f), 100 * x if jvp else 2 * x),
        (mx.vmap(f), 1000 * x if batched else x * x),
        (mx.vmap(mx.grad(f)), 10 * x if vjp else 2 * x),
        (mx.grad(_sum_of(mx.vmap(f))), 10 * x if vjp else slope_of_batched),
        (mx.vmap(_jvp_of(f)), 100 * x if jvp else 2 * x),
        (_jvp_of(mx.vmap(f)), 100 * x if jvp else slope_of_batched),
        (_jvp_of(mx.grad(_sum_of(f))), np.full(2, 10.0 if vjp else 2.0)),
        (mx.grad(_sum_of(_jvp_of(f))), np.full(2, 100.0 if jvp else 2.0)),
        (mx.grad(_sum_of(mx.grad(_sum_of(f)))), np.full(2, 10.0 if vjp else 2.0)),
        (mx.grad(_sum_of(mx.checkpoint(f))), 10 * x if vjp else 2 * x),
        (mx.grad(_sum_of(mx.compile(mx.vmap(f)))), 10 * x if vjp else slope_of_batched),
        (mx.grad(_sum_of(mx.vmap(mx.compile(f)))), 10 * x if vjp else slope_of_batched),
    ]
    with mx.engine(engine):
        found = [np.array(function(mx.array(x, mx.float64))) for function, _ in expected]
    for position, (value, (_, wanted)) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_allclose(value, wanted, rtol=1e-12, err_msg=str(position))


def test_a_rule_can_have_the_name_of_the_function() -> None:
    @mx.custom_function
    def f(x: Any) -> Any:
        return x * x

    @f.vjp
    def f(x: Any, g: Any, out: Any) -> Any:
        return 5 * g

    @f.vmap
    def f(x: Any, axis: Any) -> Any:
        return 7 * x, axis

    assert mx.grad(f)(mx.array(2.0)).item() == 5.0
    assert mx.vmap(f)(mx.array([1.0, 2.0])).tolist() == [7.0, 14.0]


@pytest.mark.parametrize("kind", ["vjp", "jvp", "vmap"])
def test_a_rule_is_a_function(kind: str) -> None:
    f = mx.custom_function(lambda x: x * x)
    with pytest.raises(TypeError, match=f"The {kind} rule must be a function, got int"):
        getattr(f, kind)(3)


def test_what_a_jvp_rule_gets_for_arguments_without_a_tangent() -> None:
    seen = []

    def rule(primals: Any, tangents: Any) -> Any:
        seen.append([t if t is None else t.item() for t in tangents])
        return tangents[0] * primals[1]

    f = with_rule("jvp", rule, lambda x, y, power: x * y)
    _, (pushed,) = mx.jvp(lambda x: f(x, mx.array(5.0), 3), [mx.array(2.0)], [mx.array(7.0)])
    assert pushed.item() == 35.0
    assert seen == [[7.0, 0.0, None]]


def test_none_is_a_zero_tangent() -> None:
    f = with_rule("jvp", lambda x, t: (None, 3 * t), lambda x: (x * x, x + 1))
    for function in (f, mx.vmap(f)):
        _, (first, second) = mx.jvp(function, [mx.array([2.0])], [mx.array([1.0])])
        assert (first.tolist(), second.tolist()) == ([0.0], [3.0])


def test_a_vjp_rule_without_a_return_statement_is_told() -> None:
    f = with_rule("vjp", lambda x, g, out: None, lambda x: x * x)
    with pytest.raises(ValueError, match=r"The vjp rule returned None. Is a return statement missing\?"):
        mx.grad(f)(mx.array(2.0))


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (lambda x, axis: (mx.ones((3, 2)), 0), r"The outputs .* should have the shape \(4, 2\), but has \(3, 2\)"),
        (lambda x, axis: (mx.ones((4, 2, 1)), 0), r"should have the shape \(4, 2\), but has \(4, 2, 1\)"),
        (lambda x, axis: (mx.ones((4, 2)), -1), r"should have the shape \(2, 4\), but has \(4, 2\)"),
        (lambda x, axis: (mx.ones((4, 2)), None), r"should have the shape \(2,\), but has \(4, 2\)"),
        (lambda x, axis: (mx.ones((4, 2)), 2), r"The axes .* should be None or an axis of an array of 2 axes, got 2"),
        (lambda x, axis: (mx.ones((4, 2)), "0"), r"The axes .* got '0'"),
    ],
)
def test_batched_outputs_of_another_shape(rule: Any, words: str) -> None:
    f = with_rule("vmap", rule, lambda x: x * x)
    with pytest.raises(ValueError, match=words):
        mx.vmap(f)(mx.ones((4, 2)))


def test_what_a_vmap_rule_returns_becomes_the_functions_dtype() -> None:
    f = with_rule("vmap", lambda x, axis: (mx.ones((2,), mx.int32), axis), lambda x: x * x)
    assert mx.vmap(f)(mx.ones(2)).dtype == mx.float32
    assert mx.grad(lambda x: (mx.vmap(f)(x) * x).sum())(mx.ones(2)).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("kind", ["vjp", "jvp", "vmap"])
def test_an_axis_that_only_a_captured_array_has(kind: str) -> None:
    """The rule would not know of it, so that the results are those of the function."""

    def scaled(scale: Any, x: Any) -> Any:
        f = mx.custom_function(lambda x: x * scale)
        getattr(f, kind)(RULES[kind])
        return f(x)

    scales, x = mx.array([1.0, 2.0]), mx.array(3.0)
    mapped = mx.vmap(scaled, in_axes=(0, None))
    assert mapped(scales, x).tolist() == [3.0, 6.0]
    _, (pushed,) = mx.jvp(lambda x: mapped(scales, x), [x], [mx.array(1.0)])
    assert pushed.tolist() == ([300.0, 300.0] if kind == "jvp" else [1.0, 2.0])
    gradient = mx.grad(lambda x: mapped(scales, x).sum())(x)
    assert gradient.item() == (60.0 if kind == "vjp" else 3.0)


@pytest.mark.parametrize("engine", ["numpy", "xla"])
def test_programs_do_not_hold_what_rules_capture(engine: str) -> None:
    def run(function: Any) -> weakref.ref[mx.array]:
        captured = mx.array([1.0, 2.0, 3.0])
        f = mx.custom_function(lambda x: x * 3)
        f.vjp(lambda x, g, out: g * captured)
        value, gradient = function(mx.value_and_grad(lambda x: f(x).sum()))(mx.ones(3))
        assert (value.item(), gradient.tolist()) == (9.0, [1.0, 2.0, 3.0])
        return weakref.ref(captured)

    with mx.engine(engine):
        for function in (lambda step: step, mx.compile):
            captured = run(function)
            gc.collect()
            assert captured() is None

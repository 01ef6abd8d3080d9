"""Gradients at singular points: finite and right behind `where` and `maximum` to third order, infinite where they are.

The expected numbers are derivatives by hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mlx.core as mx

ENGINES = ("numpy", "xla")


def slope(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The derivative of a function of one number, by forward mode."""
    return lambda x: mx.jvp(function, [x], [mx.array(1.0)])[1][0]


# How each of the three derivatives is taken, the innermost first.
MODES = {
    "reverse": (mx.grad, mx.grad, mx.grad),
    "forward": (slope, slope, slope),
    "forward over reverse": (mx.grad, slope, slope),
    "reverse over forward": (slope, mx.grad, mx.grad),
}
each_mode_and_engine = pytest.mark.parametrize(("mode", "engine"), [(m, e) for m in MODES for e in ENGINES])


def derivatives(function: Callable[[Any], Any], x: float, mode: str, engine: str) -> list[float]:
    """The first three derivatives of a function of one number."""
    values = []
    with mx.engine(engine):
        for differentiate in MODES[mode]:
            function = differentiate(function)
            values.append(function(mx.array(x)).item())
    return values


def guarded(inside: Callable[[Any], Any], taken: Callable[[Any], Any], otherwise: float = 0.0) -> Callable[[Any], Any]:
    return lambda x: mx.where(taken(x), inside(x), otherwise)


SINGULAR = {
    "sqrt": (guarded(mx.sqrt, lambda x: x > 0), 0.0),
    "sqrt of a negative number": (guarded(mx.sqrt, lambda x: x > 0), -1.0),
    "rsqrt": (guarded(mx.rsqrt, lambda x: x > 0), 0.0),
    "log": (guarded(mx.log, lambda x: x > 0), 0.0),
    "log2": (guarded(mx.log2, lambda x: x > 0), 0.0),
    "log10": (guarded(mx.log10, lambda x: x > 0), 0.0),
    "log1p": (guarded(mx.log1p, lambda x: x > -1), -1.0),
    "x log x": (guarded(lambda x: x * mx.log(x), lambda x: x > 0), 0.0),
    "1 / x": (guarded(lambda x: 1 / x, lambda x: x != 0), 0.0),
    "sin(x) / x": (guarded(lambda x: mx.sin(x) / x, lambda x: x != 0, 1.0), 0.0),
    "reciprocal": (guarded(mx.reciprocal, lambda x: x != 0), 0.0),
    "x**0.5": (guarded(lambda x: x**0.5, lambda x: x > 0), 0.0),
    "x**-1.5": (guarded(lambda x: x**-1.5, lambda x: x > 0), 0.0),
    "x**-2": (guarded(lambda x: x**-2, lambda x: x != 0), 0.0),
    "x**x": (guarded(lambda x: x**x, lambda x: x > 0), 0.0),
    "x**x of a negative number": (guarded(lambda x: x**x, lambda x: x > 0), -1.5),
    "arccos": (guarded(mx.arccos, lambda x: mx.abs(x) < 1), 1.0),
    "arccos at -1": (guarded(mx.arccos, lambda x: mx.abs(x) < 1), -1.0),
    "arcsin": (guarded(mx.arcsin, lambda x: mx.abs(x) < 1), 1.0),
    "arcsin outside": (guarded(mx.arcsin, lambda x: mx.abs(x) < 1), 2.0),
    "arctanh": (guarded(mx.arctanh, lambda x: mx.abs(x) < 1), 1.0),
    "arccosh": (guarded(mx.arccosh, lambda x: x > 1), 1.0),
    "arctan2": (guarded(lambda x: mx.arctan2(x, x), lambda x: x != 0), 0.0),
    "erfinv": (guarded(mx.erfinv, lambda x: mx.abs(x) < 1), 1.0),
    "exp overflows": (guarded(mx.exp, lambda x: x < 50), 1000.0),
    "a quotient of overflows": (guarded(lambda x: mx.exp(x) / mx.exp(x), lambda x: x < 50), 1000.0),
    "sqrt below a maximum": (lambda x: mx.maximum(mx.sqrt(x), 1.0), 0.0),
    "log below a maximum": (lambda x: mx.maximum(mx.log(x), -10.0), 0.0),
    "division above a minimum": (lambda x: mx.minimum(1 / x, 5.0), 0.0),
    "sqrt of a maximum": (lambda x: mx.sqrt(mx.maximum(x, 0.0)), -1.0),
    "log of a maximum": (lambda x: mx.maximum(mx.log(mx.maximum(x, 0.0)), -5.0), -1.0),
    "sqrt of a clip": (lambda x: mx.sqrt(mx.clip(x, 0.0, 1.0)), -1.0),
    "sqrt of a where": (lambda x: mx.sqrt(mx.where(x > 0, x, 0.0)), -1.0),
}


@each_mode_and_engine
@pytest.mark.parametrize("name", SINGULAR)
def test_a_branch_not_taken_passes_nothing(name: str, mode: str, engine: str) -> None:
    function, x = SINGULAR[name]
    assert derivatives(function, x, mode, engine) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("engine", ENGINES)
def test_in_one_array_the_elements_taken_keep_their_gradients(engine: str) -> None:
    def loss(x: Any) -> Any:
        return mx.where(x > 0, x * mx.log(x) + mx.sqrt(x), 0.0).sum()

    x = mx.array([0.0, 1.0, 4.0, -1.0])
    with mx.engine(engine):
        first = mx.grad(loss)(x)
        second = mx.grad(lambda x: mx.grad(loss)(x).sum())(x)
        third = mx.grad(lambda x: mx.grad(lambda x: mx.grad(loss)(x).sum())(x).sum())(x)
    # x log x: log x + 1, 1/x, -1/x^2; sqrt x: 1/2 x^-1/2, -1/4 x^-3/2, 3/8 x^-5/2
    np.testing.assert_allclose(np.array(first), [0, 1.5, math.log(4) + 1.25, 0], rtol=1e-6)
    np.testing.assert_allclose(np.array(second), [0, 0.75, 0.25 - 1 / 32, 0], rtol=1e-6)
    np.testing.assert_allclose(np.array(third), [0, -0.625, -1 / 16 + 3 / 256, 0], rtol=1e-6)


ORDINARY = {
    # name: function, point, first, second and third derivative
    "(sqrt(x) - 1)^2 at 1": (lambda x: (mx.sqrt(x) - 1) ** 2, 1.0, [0.0, 0.5, -0.75]),
    "log(x)^2 at 1": (lambda x: mx.log(x) ** 2, 1.0, [0.0, 2.0, -6.0]),
    "(x - 1) sqrt(x) at 1": (lambda x: (x - 1) * mx.sqrt(x), 1.0, [1.0, 1.0, -0.75]),
    "square of a product at 0": (lambda x: mx.square(x * x), 0.0, [0.0, 0.0, 0.0]),
    "x^2 at 0": (lambda x: x**2, 0.0, [0.0, 2.0, 0.0]),
    "x^3 at 0": (lambda x: x**3, 0.0, [0.0, 0.0, 6.0]),
    "x^3 at -2": (lambda x: x**3, -2.0, [12.0, -12.0, 6.0]),
    "x^4 at 0": (lambda x: x**4, 0.0, [0.0, 0.0, 0.0]),
    "x^1 at 0": (lambda x: x**1, 0.0, [1.0, 0.0, 0.0]),
    "x^0 at 0": (lambda x: x**0 + 0 * x, 0.0, [0.0, 0.0, 0.0]),
    "x^-2 at -1": (lambda x: x**-2, -1.0, [2.0, 6.0, 24.0]),
    "x^2.0 at -3": (lambda x: x**2.0, -3.0, [-6.0, 2.0, 0.0]),
    "x^array(2) at 0": (lambda x: x ** mx.array(2.0), 0.0, [0.0, 2.0, 0.0]),
    "x^array(1) at 0": (lambda x: x ** mx.array(1.0), 0.0, [1.0, 0.0, 0.0]),
    "x^array(0) at 0": (lambda x: x ** mx.array(0.0), 0.0, [0.0, 0.0, 0.0]),
    "x^array(3) at -2": (lambda x: x ** mx.array(3.0), -2.0, [12.0, -12.0, 6.0]),
    "x^12 at 0": (lambda x: x**12, 0.0, [0.0, 0.0, 0.0]),
    "0^x at 2": (lambda x: mx.array(0.0) ** x, 2.0, [0.0, 0.0, 0.0]),
    "sigmoid at 1000": (mx.sigmoid, 1000.0, [0.0, 0.0, 0.0]),
    "sigmoid at -1000": (mx.sigmoid, -1000.0, [0.0, 0.0, 0.0]),
    "logaddexp(x, -inf)": (lambda x: mx.logaddexp(x, -math.inf), 2.0, [1.0, 0.0, 0.0]),
    "logaddexp(-inf, x)": (lambda x: mx.logaddexp(-math.inf, x), 2.0, [1.0, 0.0, 0.0]),
    "logaddexp(x, x)": (lambda x: mx.logaddexp(x, x), 2.0, [1.0, 0.0, 0.0]),
    "logaddexp(x, 0) at 0": (lambda x: mx.logaddexp(x, 0.0), 0.0, [0.5, 0.25, 0.0]),
    "logaddexp(x, 0) at 1000": (lambda x: mx.logaddexp(x, 0.0), 1000.0, [1.0, 0.0, 0.0]),
    "logaddexp(x, -inf) at -inf": (lambda x: mx.logaddexp(x, -math.inf), -math.inf, [0.5, 0.0, 0.0]),
    "tanh at 100": (mx.tanh, 100.0, [0.0, 0.0, 0.0]),
    "expm1 at -1000": (mx.expm1, -1000.0, [0.0, 0.0, 0.0]),
    "log1p at 0": (mx.log1p, 0.0, [1.0, -1.0, 2.0]),
    "abs at 0": (mx.abs, 0.0, [0.0, 0.0, 0.0]),
    "erf at 0": (mx.erf, 0.0, [2 / math.sqrt(math.pi), 0.0, -4 / math.sqrt(math.pi)]),
}


@each_mode_and_engine
@pytest.mark.parametrize("name", ORDINARY)
def test_derivatives_at_points_where_a_factor_vanishes(name: str, mode: str, engine: str) -> None:
    function, x, expected = ORDINARY[name]
    assert derivatives(function, x, mode, engine) == pytest.approx(expected, rel=1e-5, abs=1e-6)


TRUE_INFINITIES = {
    "sqrt": (mx.sqrt, 0.0, math.inf),
    "log": (mx.log, 0.0, math.inf),
    "x**0.5": (lambda x: x**0.5, 0.0, math.inf),
    "1 / x": (lambda x: 1 / x, 0.0, -math.inf),
    "arcsin": (mx.arcsin, 1.0, math.inf),
    "arccos": (mx.arccos, 1.0, -math.inf),
    "arctanh": (mx.arctanh, 1.0, math.inf),
    "log1p": (mx.log1p, -1.0, math.inf),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", TRUE_INFINITIES)
def test_true_infinities_stay(name: str, engine: str) -> None:
    function, x, expected = TRUE_INFINITIES[name]
    with mx.engine(engine):
        assert mx.grad(function)(mx.array(x)).item() == expected
        assert slope(function)(mx.array(x)).item() == expected


@pytest.mark.parametrize("engine", ENGINES)
def test_at_a_tie_the_second_input_gets_the_cotangent(engine: str) -> None:
    with mx.engine(engine):
        for function in (mx.maximum, mx.minimum):
            da, db = mx.grad(function, [0, 1])(mx.array(2.0), mx.array(2.0))
            assert (da.item(), db.item()) == (0.0, 1.0)
        # clip is minimum(maximum(a, low), high): at the lower limit the limit wins, inside the array
        slopes = mx.grad(lambda x: mx.clip(x, 0.0, 1.0).sum())(mx.array([-1.0, 0.0, 0.5, 1.0, 2.0]))
        assert slopes.tolist() == [0.0, 0.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_hessian_survives_a_first_cotangent_that_is_zero(engine: str) -> None:
    """The second derivative of a loss at its minimum, where every first cotangent is zero."""

    def loss(w: Any) -> Any:
        residual = mx.sqrt(w) - mx.array([1.0, 2.0])
        return (residual * residual).sum()

    def directional(w: Any) -> Any:
        return mx.grad(loss)(w).sum()

    with mx.engine(engine):
        at_minimum = mx.array([1.0, 4.0])
        assert mx.grad(loss)(at_minimum).tolist() == [0.0, 0.0]
        # d2/dw2 (sqrt(w) - c)^2 = c / (2 w^(3/2))
        assert mx.grad(directional)(at_minimum).tolist() == pytest.approx([0.5, 0.125])

"""The table of transforms: how each wraps a function, and what value that has to give.

What is transformed is a function of one number. A transform here makes from such a function another one, whose value
follows in closed form from the derivatives of the first, of all orders: so it can be transformed again, and the value
that is expected owes nothing to the code under test.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx

Function = Callable[[Any], Any]  # from an array of shape () to one
Derivative = Callable[[int, float], float]  # from an order, 0 for the value, and a point

POINT = 0.7


def function(x: Any) -> Any:
    return mx.sin(x) + x * x * x


def derivative_of_function(order: int, x: float) -> float:
    cubic = (x**3, 3 * x**2, 6 * x, 6.0)
    return math.sin(x + order * math.pi / 2) + (cubic[order] if order < 4 else 0)


# ---------------------------------------------------------------------- the transforms


@dataclass(frozen=True)
class Transform:
    """How a function is wrapped, and the derivatives of what comes out, given those of what went in."""

    wrap: Callable[[Function], Function]
    derivative: Callable[[Derivative], Derivative]


def same(d: Derivative) -> Derivative:
    return d


def order(raised: int, factor: float = 1) -> Callable[[Derivative], Derivative]:
    """A multiple of the derivative of some order."""
    return lambda d: lambda k, x: factor * d(k + raised, x)


def value_and_slope(factor: float) -> Callable[[Derivative], Derivative]:
    return lambda d: lambda k, x: d(k, x) + factor * d(k + 1, x)


def at_two_points(raised: int) -> Callable[[Derivative], Derivative]:
    """The sum of a derivative at x and at x / 2."""
    return lambda d: lambda k, x: d(k + raised, x) + 0.5**k * d(k + raised, x / 2)


def doubled_slope(d: Derivative) -> Derivative:
    return lambda k, x: d(k, x) if k == 0 else 2 * d(k, x)


def two_points(x: Any) -> Any:
    return mx.stack([x, x * 0.5])


def with_value_and_grad(f: Function) -> Function:
    return lambda x: sum(mx.value_and_grad(f)(x))


def with_vjp(f: Function) -> Function:
    def transformed(x: Any) -> Any:
        (output,), (cotangent,) = mx.vjp(f, [x], [mx.array(3.0, x.dtype)])
        return output + cotangent

    return transformed


def with_jvp(f: Function) -> Function:
    def transformed(x: Any) -> Any:
        (output,), (tangent,) = mx.jvp(f, [x], [mx.array(2.0, x.dtype)])
        return output + tangent

    return transformed


def with_compile(f: Function) -> Function:
    """Called twice: the second call is served by the trace of the first."""
    compiled = mx.compile(f)
    return lambda x: compiled(x) + compiled(x * 0.5)


def with_shapeless_compile(f: Function) -> Function:
    """Called for two sizes: the second is served by the trace of the first."""
    compiled = mx.compile(lambda v: f(v.sum()), shapeless=True)
    return lambda x: compiled(mx.stack([x, x * 0])) + compiled(mx.stack([x * 0.25, x * 0.25, x * 0]))


def with_slopes_doubled(f: Function) -> mx.custom_function:
    """Rules that say twice the derivative, so that it shows whether they are followed."""
    custom = mx.custom_function(f)
    custom.vjp(lambda x, cotangent, output: 2 * cotangent * mx.grad(f)(x))
    custom.jvp(lambda x, tangent: 2 * tangent * mx.grad(f)(x))
    return custom


def with_all_rules(f: Function) -> Function:
    custom = with_slopes_doubled(f)
    custom.vmap(lambda x, axis: (mx.vmap(with_slopes_doubled(f), in_axes=axis)(x), 0))
    return custom


def with_linearize(f: Function) -> Function:
    def transformed(x: Any) -> Any:
        output, push_forward = mx.linearize(f)(x)
        return output + push_forward(mx.array(2.0, x.dtype))

    return transformed


def through_a_file(f: Function) -> Function:
    def transformed(x: Any) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "function.mlxfn")
            mx.export_function(path, f, mx.array(0.0, x.dtype))
            return mx.import_function(path)(x)[0]

    return transformed


def with_scan(f: Function) -> Function:
    return lambda x: mx.scan(lambda total, entry: (total + f(entry), None), x * 0, two_points(x))[0]


def each_of_two(transform: Callable[[Function], Function]) -> Callable[[Function], Function]:
    """A transform of functions of vectors, on the function of each of two elements; sums what comes out."""
    return lambda f: lambda x: transform(lambda v: mx.stack([f(v[0]), f(v[1])]))(two_points(x)).sum()


TRANSFORMS = {
    "grad": Transform(lambda f: mx.grad(f), order(1)),
    "value_and_grad": Transform(with_value_and_grad, value_and_slope(1)),
    "vjp": Transform(with_vjp, value_and_slope(3)),
    "jvp": Transform(with_jvp, value_and_slope(2)),
    "vmap": Transform(lambda f: lambda x: mx.vmap(f)(two_points(x)).sum(), at_two_points(0)),
    "compile": Transform(with_compile, at_two_points(0)),
    "shapeless": Transform(with_shapeless_compile, at_two_points(0)),
    "checkpoint": Transform(lambda f: mx.checkpoint(f), same),
    "custom": Transform(lambda f: mx.custom_function(f), same),
    "custom_rules": Transform(with_all_rules, doubled_slope),
    "jacfwd": Transform(each_of_two(mx.jacfwd), at_two_points(1)),
    "jacrev": Transform(each_of_two(mx.jacrev), at_two_points(1)),
    "hessian": Transform(lambda f: mx.hessian(f), order(2)),
    "hvp": Transform(lambda f: lambda x: mx.hvp(f)(mx.array(2.0, x.dtype), x), order(2, 2)),
    "linearize": Transform(with_linearize, value_and_slope(2)),
    "export": Transform(through_a_file, same),
    "scan": Transform(with_scan, at_two_points(0)),
}

Nesting = tuple[str, ...]  # from the outermost transform to the innermost


def transformed(nesting: Nesting, f: Function = function) -> Function:
    for name in reversed(nesting):
        f = TRANSFORMS[name].wrap(f)
    return f


def expected(nesting: Nesting) -> float:
    d: Derivative = derivative_of_function
    for name in reversed(nesting):
        d = TRANSFORMS[name].derivative(d)
    return d(0, POINT)


def name_of(nesting: Nesting) -> str:
    return "-of-".join(nesting)

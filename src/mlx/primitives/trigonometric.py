"""Trigonometric and hyperbolic functions and their inverses, for real and complex numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlx.ir.node import Node
from mlx.primitives.arithmetic import RSQRT, SQUARE
from mlx.primitives.cpu_trigonometric import arccosine, arcsine, arctangent, arctangent_of_two, cosine, sine, tangent
from mlx.primitives.elementwise import Elementwise, cut_along_the_real_axis


def _complement(x: Node) -> Node:
    return 1.0 - SQUARE(x)


def _arccosh_slope(out: Node, x: Node) -> Node:
    if x.dtype.is_complex:  # a product of roots, for it has the branch that the root of the product lacks
        return RSQRT(x - 1.0) * RSQRT(x + 1.0)
    return RSQRT(SQUARE(x) - 1.0)


SIN = Elementwise("sin", 1, np.sin, sine, (lambda out, x: COS(x),), nanoseconds=1.0)
COS = Elementwise("cos", 1, np.cos, cosine, (lambda out, x: -SIN(x),), nanoseconds=1.0)
TAN = Elementwise("tan", 1, np.tan, tangent, (lambda out, x: 1.0 + SQUARE(out),), nanoseconds=2.0)

ARCSIN = Elementwise(
    "arcsin",
    1,
    np.arcsin,
    arcsine,
    (lambda out, x: RSQRT(_complement(x)),),
    nanoseconds=2.0,
)
ARCCOS = Elementwise(
    "arccos",
    1,
    np.arccos,
    arccosine,
    (lambda out, x: -RSQRT(_complement(x)),),
    nanoseconds=2.0,
)
ARCTAN = Elementwise("arctan", 1, np.arctan, arctangent, (lambda out, x: 1.0 / (1.0 + SQUARE(x)),), nanoseconds=2.0)


def _squared_distance(a: Node, b: Node) -> Node:
    return SQUARE(a) + SQUARE(b)


ARCTAN2 = Elementwise(
    "arctan2",
    2,
    np.arctan2,
    arctangent_of_two,
    (
        lambda out, a, b: b / _squared_distance(a, b),
        lambda out, a, b: -(a / _squared_distance(a, b)),
    ),
    nanoseconds=4.0,
)

SINH = Elementwise("sinh", 1, np.sinh, "sinh", (lambda out, x: COSH(x),), nanoseconds=2.0)
COSH = Elementwise("cosh", 1, np.cosh, "cosh", (lambda out, x: SINH(x),), nanoseconds=2.0)
TANH = Elementwise("tanh", 1, np.tanh, "tanh", (lambda out, x: 1.0 - SQUARE(out),), nanoseconds=1.0)


def _arcsinh_xla(xla: Any, x: Any) -> Any:
    """Right on both sides of the cut along the imaginary axis, where XLA takes the real part -0.0 for 0.0."""
    lax = xla.lax
    if x.dtype.kind != "c":
        return lax.asinh(x)
    real = lax.real(x)
    left = (real == 0) & xla.jnp.signbit(real)
    out = lax.asinh(lax.select(left, -lax.conj(x), x))
    return lax.select(left, -lax.conj(out), out)


ARCSINH = Elementwise("arcsinh", 1, np.arcsinh, _arcsinh_xla, (lambda out, x: RSQRT(1.0 + SQUARE(x)),), nanoseconds=4.0)
ARCCOSH = Elementwise("arccosh", 1, np.arccosh, cut_along_the_real_axis("acosh"), (_arccosh_slope,), nanoseconds=4.0)
ARCTANH = Elementwise("arctanh", 1, np.arctanh, "atanh", (lambda out, x: 1.0 / _complement(x),), nanoseconds=4.0)

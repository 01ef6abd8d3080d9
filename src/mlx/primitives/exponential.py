"""Exponentials, logarithms and the sigmoid. Hyperbolic functions live in `trigonometric`, erf in `error_function`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mlx.ir.node import Node
from mlx.primitives.arithmetic import EQUAL
from mlx.primitives.bitwise import LOGICAL_AND
from mlx.primitives.classification import ISNAN
from mlx.primitives.cpu_exponential import logarithm_of_one_plus
from mlx.primitives.elementwise import SELECT, Elementwise

EXP = Elementwise("exp", 1, np.exp, "exp", (lambda out, x: out,), nanoseconds=1.0)
EXPM1 = Elementwise("expm1", 1, np.expm1, "expm1", (lambda out, x: out + 1,), nanoseconds=2.0)
LOG = Elementwise("log", 1, np.log, "log", (lambda out, x: 1.0 / x,), nanoseconds=1.0)
LOG1P = Elementwise("log1p", 1, np.log1p, logarithm_of_one_plus, (lambda out, x: 1.0 / (x + 1.0),), nanoseconds=2.0)


def _logarithm(name: str, kernel: Any, base: float) -> Elementwise:
    scale = 1.0 / math.log(base)

    def lowered(xla: Any, x: Any) -> Any:
        lax, out = xla.lax, xla.lax.log(x)
        if x.dtype.kind != "c":
            return out * xla.jnp.asarray(scale, x.dtype)
        factor = np.float32(scale)  # by parts, since an infinite part times the scale's imaginary 0 would be NaN
        return lax.complex(lax.real(out) * factor, lax.imag(out) * factor)

    return Elementwise(
        name,
        1,
        kernel,
        lowered,
        (lambda out, x: scale / x,),
        nanoseconds=4.0,
    )


LOG2 = _logarithm("log2", np.log2, 2.0)
LOG10 = _logarithm("log10", np.log10, 10.0)

SIGMOID = Elementwise(
    "sigmoid",
    1,
    lambda x: 1 / (1 + np.exp(-x)),  # exp overflows to infinity, of which 0 is the right reciprocal
    "logistic",
    (lambda out, x: out * (1.0 - out),),
    nanoseconds=4.0,
)


def _logaddexp(a: Any, b: Any) -> Any:
    if a.dtype.kind != "c":
        return np.logaddexp(a, b)
    swapped = a.real < b.real
    larger, smaller = np.where(swapped, b, a), np.where(swapped, a, b)
    return larger + np.log1p(np.exp(smaller - larger))


def _logaddexp_xla(xla: Any, a: Any, b: Any) -> Any:
    lax = xla.lax
    if a.dtype.kind == "c":
        swapped = lax.real(a) < lax.real(b)
        larger, smaller = lax.select(swapped, b, a), lax.select(swapped, a, b)
        return larger + lax.log1p(lax.exp(smaller - larger))
    difference = a - b
    sum_of_infinities = a + b  # equal infinities and NaN, where there is no difference
    finite = lax.max(a, b) + lax.log1p(lax.exp(-lax.abs(difference)))
    return lax.select(difference != difference, sum_of_infinities, finite)


def _share(out: Node, a: Node, b: Node) -> Node:
    """exp(a) / (exp(a) + exp(b)); one half between equal infinities."""
    difference = a - b
    if a.dtype.is_complex:
        return EXP(a - out)
    tie = LOGICAL_AND(EQUAL(a, b), ISNAN(difference))
    return SIGMOID(SELECT(tie, 0, difference))


LOGADDEXP = Elementwise(
    "logaddexp",
    2,
    _logaddexp,
    _logaddexp_xla,
    (_share, lambda out, a, b: _share(out, b, a)),
    nanoseconds=20.0,
)

"""Arithmetic: sums, products, quotients, powers, extrema, rounding and sign; and the operators of nodes."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlx.ir.node import Node
from mlx.ir.primitive import SCALAR, scalar_node
from mlx.primitives.elementwise import DEAD, SELECT, Elementwise, boolean, conjugate, real_part_dtype, weigh

ADD = Elementwise("add", 2, np.add, "add", (1, 1))
SUBTRACT = Elementwise("subtract", 2, np.subtract, "sub", (1, -1))
NEGATIVE = Elementwise("negative", 1, np.negative, "neg", (-1,))
MULTIPLY = Elementwise("multiply", 2, np.multiply, "mul", (lambda out, a, b: b, lambda out, a, b: a))


def reciprocal(x: Node) -> Node:
    if x.primitive is SCALAR and x.params[0]:
        return scalar_node(1.0 / x.params[0], x.dtype)  # type: ignore[operator]
    return 1.0 / x


DIVIDE = Elementwise(
    "divide",
    2,
    np.divide,
    "div",
    (lambda out, a, b: reciprocal(b), lambda out, a, b: -(out / b)),
)


def _bind_operators() -> None:
    """Give nodes the operators that rules are written with."""
    forward = {"add": ADD, "sub": SUBTRACT, "mul": MULTIPLY, "truediv": DIVIDE}
    for name, primitive in forward.items():
        setattr(Node, f"__{name}__", lambda self, other, primitive=primitive: primitive(self, other))
        setattr(Node, f"__r{name}__", lambda self, other, primitive=primitive: primitive(other, self))
    setattr(Node, "__neg__", lambda self: NEGATIVE(self))


_bind_operators()

EQUAL = Elementwise("equal", 2, np.equal, "eq", dtype=boolean)
NOT_EQUAL = Elementwise("not_equal", 2, np.not_equal, "ne", dtype=boolean)
LESS = Elementwise("less", 2, np.less, "lt", dtype=boolean)
LESS_EQUAL = Elementwise("less_equal", 2, np.less_equal, "le", dtype=boolean)
GREATER = Elementwise("greater", 2, np.greater, "gt", dtype=boolean)
GREATER_EQUAL = Elementwise("greater_equal", 2, np.greater_equal, "ge", dtype=boolean)


def indicator(condition: Node, like: Node) -> Node:
    """1 where `condition` holds and 0 elsewhere, in the dtype of `like`."""
    return SELECT(condition, scalar_node(1, like.dtype), scalar_node(0, like.dtype))


# At a tie the second input gets the whole cotangent.
MAXIMUM = Elementwise(
    "maximum",
    2,
    np.maximum,
    "max",
    (lambda out, a, b: indicator(GREATER(a, b), a), lambda out, a, b: indicator(LESS_EQUAL(a, b), b)),
)
MINIMUM = Elementwise(
    "minimum",
    2,
    np.minimum,
    "min",
    (lambda out, a, b: indicator(LESS(a, b), a), lambda out, a, b: indicator(GREATER_EQUAL(a, b), b)),
)


def _sign(x: Any) -> Any:
    return np.sign(x)


SIGN = Elementwise("sign", 1, _sign, "sign", (None,))
ABS = Elementwise("abs", 1, np.abs, "abs", (lambda out, x: SIGN(x),), dtype=real_part_dtype)
SQUARE = Elementwise("square", 1, np.square, "square", (lambda out, x: x * 2,))
SQRT = Elementwise("sqrt", 1, np.sqrt, "sqrt", (lambda out, x: 0.5 / out,), nanoseconds=1.0)
RSQRT = Elementwise(
    "rsqrt", 1, lambda x: 1 / np.sqrt(x), "rsqrt", (lambda out, x: -0.5 * (out / x),), nanoseconds=1.5
)


def _power_exponent(out: Node, a: Node, b: Node) -> Node:
    """d a**b / db = log(a) a**b, which at a = 0 is 0 wherever a**b is."""
    from mlx.primitives.exponential import LOG

    zero = EQUAL(a, 0)
    return SELECT(zero, 0, out * LOG(SELECT(zero, 1, a)))


POWER = Elementwise(
    "power",
    2,
    np.power,
    "pow",
    (lambda out, a, b: weigh(b, POWER(a, b - 1)), _power_exponent),
    nanoseconds=10.0,
)

"""Arithmetic: sums, products, quotients, comparisons, extrema, sign, modulus and powers; and the operators of nodes.

Rounding and what is built on it (floor division, remainder) lives in `rounding`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlx.ir.node import Node, record
from mlx.ir.primitive import SCALAR, Primitive, broadcast_shape, scalar_node
from mlx.ir.sizes import depends_on_sizes
from mlx.primitives.complex import REAL
from mlx.primitives.cpu_exponential import power
from mlx.primitives.elementwise import (
    SELECT,
    Elementwise,
    boolean,
    conjugate,
    cut_along_the_real_axis,
    real_part_dtype,
    weigh,
)
from mlx.primitives.shape import broadcast, unbroadcast
from mlx.primitives.structure import cast

# ---------------------------------------------------------------------- the four operations


def _or_on_booleans(function: str, on_booleans: str) -> Callable[..., Any]:
    """Lowering of a function of numbers that XLA does not define on booleans."""

    def lowered(xla: Any, a: Any, b: Any) -> Any:
        return getattr(xla.lax, on_booleans if a.dtype == bool else function)(a, b)

    return lowered


def _subtract(a: Any, b: Any) -> Any:
    return np.logical_xor(a, b) if a.dtype == bool else np.subtract(a, b)


ADD = Elementwise("add", 2, np.add, _or_on_booleans("add", "bitwise_or"), (1, 1))
SUBTRACT = Elementwise("subtract", 2, _subtract, _or_on_booleans("sub", "bitwise_xor"), (1, -1))
NEGATIVE = Elementwise("negative", 1, np.negative, "neg", (-1,))
MULTIPLY = Elementwise(
    "multiply",
    2,
    np.multiply,
    _or_on_booleans("mul", "bitwise_and"),
    (lambda out, a, b: b, lambda out, a, b: a),
)


DIVIDE = Elementwise(
    "divide",
    2,
    np.divide,
    "div",
    (lambda out, a, b: 1.0 / b, lambda out, a, b: -(out / b)),
)


def _operator(primitive: Primitive, fold: Callable[[Any, Any], Any]) -> Callable[[Node, Any], Node]:
    """An operator of nodes of one dtype. Derivative rules are made of them, so it records without detours."""

    def recorded(a: Node, b: Node | complex) -> Node:
        if type(b) is not Node:
            b = scalar_node(b, a.dtype)  # type: ignore[arg-type]
        if a.primitive is SCALAR and b.primitive is SCALAR and not depends_on_sizes((a.params, b.params)):
            return scalar_node(fold(a.params[0], b.params[0]), a.dtype)
        shape = a.shape
        if shape != b.shape:
            shape = broadcast_shape(shape, b.shape)
        return record(primitive, (a, b), (), shape, a.dtype)

    return recorded


def _quotient(a: complex, b: complex) -> complex:
    with np.errstate(all="ignore"):
        return np.divide(a, b).item()


def _bind_operators() -> None:
    """Give nodes the operators that rules are written with."""
    for name, primitive, fold in (
        ("add", ADD, operator.add),
        ("sub", SUBTRACT, operator.sub),
        ("mul", MULTIPLY, operator.mul),
        ("truediv", DIVIDE, _quotient),
    ):
        forward = _operator(primitive, fold)
        setattr(Node, f"__{name}__", forward)
        setattr(Node, f"__r{name}__", lambda b, a, forward=forward: forward(scalar_node(a, b.dtype), b))
    Node.__neg__ = lambda self: NEGATIVE(self)


_bind_operators()

# ---------------------------------------------------------------------- comparisons and extrema


def _ordered(function: str, strictly: str) -> Callable[..., Any]:
    """Lowering of a comparison; complex numbers are ordered by real part, then by imaginary part."""

    def lowered(xla: Any, a: Any, b: Any) -> Any:
        lax = xla.lax
        compare = getattr(lax, function)
        if a.dtype.kind != "c":
            return compare(a, b)
        real_a, real_b = lax.real(a), lax.real(b)
        return getattr(lax, strictly)(real_a, real_b) | ((real_a == real_b) & compare(lax.imag(a), lax.imag(b)))

    return lowered


EQUAL = Elementwise("equal", 2, np.equal, "eq", dtype=boolean)
NOT_EQUAL = Elementwise("not_equal", 2, np.not_equal, "ne", dtype=boolean)
LESS = Elementwise("less", 2, np.less, _ordered("lt", "lt"), dtype=boolean)
LESS_EQUAL = Elementwise("less_equal", 2, np.less_equal, _ordered("le", "lt"), dtype=boolean)
GREATER = Elementwise("greater", 2, np.greater, _ordered("gt", "gt"), dtype=boolean)
GREATER_EQUAL = Elementwise("greater_equal", 2, np.greater_equal, _ordered("ge", "gt"), dtype=boolean)


def indicator(condition: Node, like: Node) -> Node:
    """1 where `condition` holds and 0 elsewhere, in the dtype of `like`."""
    return SELECT(condition, scalar_node(1, like.dtype), scalar_node(0, like.dtype))


def _extremum(function: Any, better: Any) -> Callable[..., Any]:
    def kernel(a: Any, b: Any) -> Any:
        return function(a, b) if a.dtype.kind != "c" else np.where(np.isnan(a) | better(a, b), a, b)

    return kernel


def _lowered_extremum(function: str, better: str) -> Callable[..., Any]:
    better_than = _ordered(better, better)

    def lowered(xla: Any, a: Any, b: Any) -> Any:
        if a.dtype.kind != "c":
            return getattr(xla.lax, function)(a, b)
        return xla.lax.select((a != a) | better_than(xla, a, b), a, b)

    return lowered


def _extremum_rules(first: Elementwise) -> dict[str, Any]:
    """Derivatives of max and min, where `first` tells which elements come from the first input; ties do not.

    They select and do not multiply, so that an infinite cotangent of an element not taken is dropped as well:
    sqrt(max(x, 0)) has derivative 0 at -1.
    """

    def tangent(tangents: Sequence[Node | None], out: Node, a: Node, b: Node) -> Node:
        of_a, of_b = (0 if t is None else t for t in tangents)
        return broadcast(SELECT(first(a, b), of_a, of_b), out.shape)

    return {
        "vjp": (
            lambda g, out, a, b: unbroadcast(SELECT(first(a, b), g, 0), a.shape),
            lambda g, out, a, b: unbroadcast(SELECT(first(a, b), 0, g), b.shape),
        ),
        "jvp": tangent,
    }


MAXIMUM = Elementwise(
    "maximum", 2, _extremum(np.maximum, np.greater), _lowered_extremum("max", "gt"), **_extremum_rules(GREATER)
)
MINIMUM = Elementwise(
    "minimum", 2, _extremum(np.minimum, np.less), _lowered_extremum("min", "lt"), **_extremum_rules(LESS)
)

# ---------------------------------------------------------------------- sign and modulus


def _sign(x: Any) -> Any:
    if x.dtype.kind == "c":
        return np.sign(x)
    positive = np.greater(x, 0).astype(x.dtype)
    return positive if x.dtype.kind == "u" else positive - np.less(x, 0).astype(x.dtype)


def _sign_xla(xla: Any, x: Any) -> Any:
    if x.dtype.kind in "uc":
        return xla.lax.sign(x)
    return (x > 0).astype(x.dtype) - (x < 0).astype(x.dtype)  # 0 for NaN


def _sign_cotangent(g: Node, out: Node, z: Node) -> Node | None:
    """Zero for real numbers. z / |z| turns by the part of its argument's change that is perpendicular to it."""
    if not z.dtype.is_complex:
        return None
    along = cast(REAL(conjugate(out) * g), z.dtype)
    return weigh(g - out * along, cast(1.0 / ABS(z), z.dtype))


SIGN = Elementwise(
    "sign",
    1,
    _sign,
    _sign_xla,
    vjp=(_sign_cotangent,),
    jvp=lambda tangents, out, z: _sign_cotangent(tangents[0], out, z),  # the derivative is symmetric
)


def _abs_cotangent(g: Node, out: Node, z: Node) -> Node:
    return weigh(cast(g, z.dtype), SIGN(z))


def _abs_tangent(tangents: Sequence[Node], out: Node, z: Node) -> Node:
    tangent = weigh(tangents[0], conjugate(SIGN(z)))
    return REAL(tangent) if z.dtype.is_complex else tangent


ABS = Elementwise(
    "abs",
    1,
    np.abs,
    lambda xla, x: x if x.dtype.kind in "bu" else xla.lax.abs(x),
    dtype=real_part_dtype,
    vjp=(_abs_cotangent,),
    jvp=_abs_tangent,
)

# ---------------------------------------------------------------------- powers

SQUARE = Elementwise("square", 1, np.square, "square", (lambda out, x: x * 2,))
SQRT = Elementwise("sqrt", 1, np.sqrt, cut_along_the_real_axis("sqrt"), (lambda out, x: 0.5 / out,), nanoseconds=1.0)
RSQRT = Elementwise("rsqrt", 1, lambda x: 1 / np.sqrt(x), "rsqrt", (lambda out, x: -0.5 * (out / x),), nanoseconds=1.5)


def integer_power(x: Node, n: int) -> Node:
    """`x` to a power known while recording, so that its derivative n x**(n - 1) holds at every x and to any order."""
    if n == 0:
        return broadcast(scalar_node(1, x.dtype), x.shape)
    if n == 1:
        return x
    if n == 2:
        return SQUARE(x)
    if n == -1:
        return 1.0 / x
    return INTEGER_POWER(x, n)


def _integer_power(x: Any, n: int) -> Any:
    power, square, rest = 1, x, abs(n)
    while rest:
        if rest & 1:
            power = power * square
        rest >>= 1
        if rest:
            square = square * square
    return power if n > 0 else 1 / power


def _integer_power_cotangent(g: Node, out: Node, x: Node, n: int) -> Node:
    return weigh(g, conjugate(integer_power(x, n - 1) * n))


def _integer_power_tangent(tangents: Sequence[Node], out: Node, x: Node, n: int) -> Node:
    return weigh(tangents[0], integer_power(x, n - 1) * n)


INTEGER_POWER = Primitive(
    "integer_power",
    arity=1,
    shape=lambda x, n: (x.shape, x.dtype),
    kernel=_integer_power,
    lower=lambda xla, x, n: xla.lax.integer_pow(x, n),
    vjp=(_integer_power_cotangent,),
    jvp=_integer_power_tangent,
    batch=lambda inputs, dims, n: (INTEGER_POWER(inputs[0], n), dims[0]),
    nanoseconds=1.5,
)


def _power(a: Any, b: Any) -> Any:
    if a.dtype == bool:
        return a | ~b
    if a.dtype.kind == "i":
        return np.where(b < 0, np.zeros_like(b), np.power(a, np.maximum(b, 0)))
    return np.power(a, b)


def _power_xla(xla: Any, a: Any, b: Any) -> Any:
    if a.dtype.kind == "b":
        return a | ~b
    if a.dtype.kind in "iu":
        return _power_of_integers(xla, a, b)
    if a.dtype.kind == "c":  # XLA knows no 0 ** 0 here
        return xla.lax.select(b == 0, xla.jnp.ones_like(a), xla.lax.pow(a, b))
    return power(xla, a, b)


def _power_of_integers(xla: Any, a: Any, b: Any) -> Any:
    """By squaring, modulo the width; 0 for a negative exponent."""
    lax, jnp = xla.lax, xla.jnp
    one = jnp.ones_like(a)

    def square_once(state: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        power, square, rest = state
        odd = (rest & one) != 0
        return lax.select(odd, power * square, power), square * square, rest >> one

    start = (one, a, lax.max(b, jnp.zeros_like(b)))
    power, _, _ = lax.while_loop(lambda state: jnp.any(state[2] != 0), square_once, start)
    return lax.select(b < 0, jnp.zeros_like(a), power)


def _power_exponent(out: Node, a: Node, b: Node) -> Node:
    """d a**b / db = log(a) a**b, which at a = 0 is 0 wherever a**b is."""
    from mlx.primitives.exponential import LOG

    zero = EQUAL(a, 0)
    return SELECT(zero, 0, out * LOG(SELECT(zero, 1, a)))


POWER = Elementwise(
    "power",
    2,
    _power,
    _power_xla,
    (lambda out, a, b: weigh(b, POWER(a, b - 1)), _power_exponent),
    nanoseconds=10.0,
)

"""Elementwise primitives: arithmetic, powers, exponentials, trigonometry, rounding, comparisons, bits, complex."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from case import ALL, FLOATS, INTEGERS, Case, sample

import mlx.core as mx
from mlx.arrays.array import wrap
from mlx.primitives.elementwise import DEAD, WEIGH

INEXACT = (*FLOATS, "complex64")
NUMBERS = (*INTEGERS, *INEXACT)
SIGNED = ("int8", "int16", "int32", "int64")
REAL = ("bool", *INTEGERS, *FLOATS)
BITS = ("bool", *INTEGERS)

X = sample(3, 4, seed=1)
POSITIVE = sample(3, 4, seed=2, low=0.3, high=3.0)
UNIT = sample(3, 4, seed=3, low=-0.9, high=0.9)
ROW = sample(4, seed=4, low=-1.7, high=2.1)
POSITIVE_ROW = sample(4, seed=5, low=0.4, high=2.0)
SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 1e30, -1e30], np.float32)
COMPLEX = (sample(3, 4, seed=6) + 1j * sample(3, 4, seed=7)).astype(np.complex64)
COMPLEX_ROW = (sample(4, seed=8) - 1j * sample(4, seed=9)).astype(np.complex64)


def layouts(function: Callable[[Any], Any], library: Any) -> Callable[[Any], Any]:
    """`function` of a matrix as it lies, transposed, strided, without axes and without elements, in one vector."""

    def everywhere(x: Any) -> Any:
        parts = [x, x.T, x[::2, 1], x[1, 2], x[:, :0]]
        return library.concatenate([function(part).reshape(-1) for part in parts])

    return everywhere


def pair_layouts(function: Callable[[Any, Any], Any], library: Any) -> Callable[[Any, Any], Any]:
    """The same for two operands, a matrix and a row, that broadcast."""

    def everywhere(a: Any, b: Any) -> Any:
        pairs = [(a, b), (b, a), (a.T, b[1:]), (a[1, 2], b), (a[:, ::2], b[1]), (a[:0], b)]
        return library.concatenate([function(*pair).reshape(-1) for pair in pairs])

    return everywhere


def unary(
    name: str,
    reference: Callable[[Any], Any] | None,
    x: np.ndarray = X,
    function: Callable[[Any], Any] | None = None,
    dtypes: Sequence[str] = INEXACT,
    **options: Any,
) -> Case:
    function = function or getattr(mx, name)
    return Case(
        name,
        layouts(function, mx),
        [x],
        reference=reference and layouts(reference, np),
        dtypes=dtypes,
        **options,
    )


def binary(
    name: str,
    reference: Callable[[Any, Any], Any] | None,
    a: np.ndarray = X,
    b: np.ndarray = ROW,
    function: Callable[[Any, Any], Any] | None = None,
    dtypes: Sequence[str] = INEXACT,
    wrt: tuple[int, ...] = (0, 1),
    **options: Any,
) -> Case:
    function = function or getattr(mx, name)
    return Case(
        name,
        pair_layouts(function, mx),
        [a, b],
        wrt=wrt,
        reference=reference and pair_layouts(reference, np),
        dtypes=dtypes,
        **options,
    )


def at_special_points(name: str, function: Callable[..., Any] | None = None, dtypes: Sequence[str] = FLOATS) -> Case:
    return Case(name, function or getattr(mx, name), [SPECIAL], wrt=(), dtypes=dtypes, label="special points")


def at_special_pairs(name: str, function: Callable[..., Any] | None = None, dtypes: Sequence[str] = FLOATS) -> Case:
    def all_pairs(x: Any) -> Any:
        return (function or getattr(mx, name))(x[:, None], x[None, :])

    return Case(name, all_pairs, [SPECIAL], wrt=(), dtypes=dtypes, label="special pairs")


def erf(x: Any) -> Any:
    return np.vectorize(math.erf, otypes=[float])(x)


def sign(x: Any) -> Any:
    return np.sign(x) if x.dtype != bool else x


def wrapped(primitive: Any) -> Callable[..., Any]:
    return lambda *inputs: wrap(primitive(*[x._node for x in inputs]))


ARITHMETIC = [
    binary("add", np.add, dtypes=ALL),
    binary("subtract", np.subtract, dtypes=NUMBERS),
    binary("subtract", np.not_equal, dtypes=("bool",), wrt=(), label="booleans"),
    binary("multiply", np.multiply, dtypes=ALL),
    binary("divide", np.divide, b=POSITIVE_ROW, a=POSITIVE),
    unary("negative", np.negative, dtypes=NUMBERS),
    unary("abs", np.abs, dtypes=ALL),
    unary("sign", sign, dtypes=ALL),
    binary("maximum", np.maximum, dtypes=ALL),
    binary("minimum", np.minimum, dtypes=ALL),
    unary("square", np.square, dtypes=NUMBERS),
    unary("sqrt", np.sqrt, POSITIVE),
    unary("rsqrt", lambda x: 1 / np.sqrt(x), POSITIVE),
    binary("power", np.power, POSITIVE, POSITIVE_ROW),
    binary(
        "power",
        lambda a, b: np.where(b < 0, 0, np.power(a, np.maximum(b, 0))),
        np.arange(-6, 6).reshape(3, 4),
        np.array([3, 0, 5, -2]),
        dtypes=("int8", "int32", "int64"),
        wrt=(),
        label="integers",
    ),
    binary("power", lambda a, b: a | ~b, dtypes=("bool",), wrt=(), label="booleans"),
    *(
        unary(
            "integer_power", lambda x, n=n: x.astype(np.result_type(x, 1.0)) ** n, X, lambda x, n=n: x**n, label=str(n)
        )
        for n in (3, 8, -5)
    ),
    *(at_special_pairs(name) for name in ("multiply", "divide", "maximum", "minimum", "power")),
    *(at_special_points(name) for name in ("abs", "sign", "square", "sqrt", "rsqrt")),
    binary("multiply", np.multiply, COMPLEX, COMPLEX_ROW, dtypes=("complex64",), wrt=(), label="complex"),
    binary("divide", np.divide, COMPLEX, COMPLEX_ROW, dtypes=("complex64",), wrt=(), label="complex"),
    binary("power", np.power, COMPLEX, COMPLEX_ROW, dtypes=("complex64",), wrt=(), label="complex"),
    binary("maximum", np.maximum, COMPLEX, COMPLEX_ROW, dtypes=("complex64",), wrt=(), label="complex"),
    binary("minimum", np.minimum, COMPLEX, COMPLEX_ROW, dtypes=("complex64",), wrt=(), label="complex"),
]

ROUNDING = [
    unary("floor", np.floor, dtypes=FLOATS),
    unary("ceil", np.ceil, dtypes=FLOATS),
    unary("trunc", np.trunc, dtypes=FLOATS),
    unary("round", np.round),
    *(at_special_points(name) for name in ("floor", "ceil", "trunc", "round")),
    Case("round", mx.round, [np.array([0.5, 1.5, 2.5, -0.5, -1.5, 3.5])], wrt=(), reference=np.round, label="halves"),
    binary("floor_divide", np.floor_divide, 3 * X, POSITIVE_ROW, dtypes=FLOATS),
    binary("remainder", np.remainder, 3 * X, POSITIVE_ROW, dtypes=FLOATS),
    *(
        binary(
            name,
            lambda a, b, of_zero=of_zero, by=by: np.where(b == 0, of_zero * a, by(a, np.where(b == 0, 1, b))),
            np.arange(-6, 6).reshape(3, 4),
            np.array([3, -2, 0, 5]),
            dtypes=INTEGERS,
            wrt=(),
            label="integers",
        )
        for name, by, of_zero in (("floor_divide", np.floor_divide, 0), ("remainder", np.remainder, 1))
    ),
    *(at_special_pairs(name) for name in ("floor_divide", "remainder")),
]

EXPONENTIAL = [
    unary("exp", np.exp),
    unary("expm1", np.expm1, dtypes=FLOATS),
    unary("log", np.log, POSITIVE),
    unary("log2", np.log2, POSITIVE),
    unary("log10", np.log10, POSITIVE),
    unary("log1p", np.log1p, POSITIVE),
    unary("sigmoid", lambda x: 1 / (1 + np.exp(-x)), dtypes=FLOATS),
    unary("erf", erf, dtypes=FLOATS),
    unary("erfinv", None, UNIT, dtypes=FLOATS),
    unary("erfinv", lambda x: x, UNIT, lambda x: mx.erfinv(mx.erf(x)), dtypes=("float64",), label="inverts erf"),
    binary("logaddexp", lambda a, b: np.log(np.exp(a) + np.exp(b))),
    *(
        unary(name, getattr(np, name), COMPLEX, dtypes=("complex64",), wrt=(), label="complex")
        for name in ("exp", "log", "log2", "log10", "log1p")
    ),
    binary(
        "logaddexp",
        lambda a, b: np.log(np.exp(a) + np.exp(b)),
        0.5 * COMPLEX,
        0.5 * COMPLEX_ROW,
        dtypes=("complex64",),
        wrt=(),
        label="complex",
    ),
    *(
        at_special_points(name)
        for name in ("exp", "expm1", "log", "log2", "log10", "log1p", "sigmoid", "erf", "erfinv")
    ),
    at_special_pairs("logaddexp"),
]

NAMES_OF_NUMPY = {
    "sin": X,
    "cos": X,
    "tan": 0.6 * X,
    "arcsin": UNIT,
    "arccos": UNIT,
    "arctan": X,
    "sinh": X,
    "cosh": X,
    "tanh": X,
    "arcsinh": X,
    "arccosh": 1.0 + POSITIVE,
    "arctanh": UNIT,
}

TRIGONOMETRIC = [
    *(unary(name, getattr(np, name), x) for name, x in NAMES_OF_NUMPY.items()),
    *(
        unary(name, getattr(np, name), COMPLEX, dtypes=("complex64",), wrt=(), label="complex")
        for name in NAMES_OF_NUMPY
    ),
    *(at_special_points(name) for name in NAMES_OF_NUMPY if name not in ("sin", "cos", "tan")),
    binary("arctan2", np.arctan2, dtypes=FLOATS),
    at_special_pairs("arctan2"),
]

COMPARISONS = [
    *(
        binary(name, getattr(np, name), np.round(X), np.round(ROW), dtypes=ALL, wrt=())
        for name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
    ),
    *(
        binary(
            name, getattr(np, name), np.round(COMPLEX), np.round(COMPLEX_ROW), None, ("complex64",), (), label="complex"
        )
        for name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
    ),
    *(at_special_pairs(name) for name in ("equal", "not_equal", "less", "greater_equal")),
    *(unary(name, getattr(np, name), dtypes=ALL, wrt=()) for name in ("isnan", "isinf", "isfinite")),
    *(
        Case(
            name, getattr(mx, name), [SPECIAL], (), dtypes=INEXACT, reference=getattr(np, name), label="special points"
        )
        for name in ("isnan", "isinf", "isfinite")
    ),
]

WORDS = np.array([[0, 1, 2, 3], [5, 100, -1, -7], [-100, 127, -128, 64]])
COUNTS = np.array([1, 0, 7, 3])

LOGICAL = [
    *(
        binary(name, getattr(np, name), np.round(X), np.round(ROW), dtypes=ALL, wrt=())
        for name in ("logical_and", "logical_or")
    ),
    unary("logical_not", np.logical_not, np.round(X), dtypes=ALL, wrt=()),
    *(
        binary(name, getattr(np, name), WORDS, COUNTS, dtypes=BITS, wrt=())
        for name in ("bitwise_and", "bitwise_or", "bitwise_xor")
    ),
    unary("bitwise_invert", np.invert, WORDS, dtypes=BITS, wrt=()),
    *(
        Case(name, getattr(mx, name), [WORDS, COUNTS], (), INTEGERS, reference=getattr(np, name))
        for name in ("left_shift", "right_shift")
    ),
    *(
        Case(name, getattr(mx, name), [WORDS, np.array([8, 16, 33, 65])], (), INTEGERS, label="past the width")
        for name in ("left_shift", "right_shift")
    ),
]

CONDITION = X > 0.1

SELECTION = [
    Case(
        "select",
        mx.where,
        [CONDITION, X, ROW],
        wrt=(1, 2),
        cast=(1, 2),
        dtypes=ALL,
        reference=np.where,
    ),
    Case("select", mx.where, [CONDITION[:, :1], X[:, 1], ROW[2]], (1, 2), label="broadcast", reference=np.where),
    Case("select", mx.where, [CONDITION[:0], X[:0], ROW], (), label="empty", reference=np.where),
    binary("weigh", np.multiply, function=wrapped(WEIGH)),
    at_special_pairs("weigh", wrapped(WEIGH)),
    Case(
        "dead",
        wrapped(DEAD),
        [np.zeros((5, 1)), SPECIAL],
        (),
        INEXACT,
        reference=lambda g, d: (g == 0) & ~np.isfinite(d),
    ),
    binary("dead", lambda g, d: (g == 0) & ~np.isfinite(d), dtypes=INEXACT, wrt=(), function=wrapped(DEAD)),
]


def of_complex(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A quadratic function of real numbers by way of complex ones: central differences of it are exact."""

    def through(x: Any) -> Any:
        z = x.astype(mx.complex64) * (1 + 2j)
        return function(z * z + z * 1j).astype(x.dtype)

    return through


COMPLEX_PARTS = [
    Case("real", of_complex(mx.real), [X], label="derivative", coarse=True),
    Case("imag", of_complex(mx.imag), [X], label="derivative", coarse=True),
    Case("conjugate", of_complex(lambda z: mx.imag(mx.conjugate(z) * 2j)), [X], label="derivative", coarse=True),
    unary("real", np.real, COMPLEX, dtypes=("complex64",), wrt=()),
    unary("imag", np.imag, COMPLEX, dtypes=("complex64",), wrt=()),
    unary("conjugate", np.conjugate, COMPLEX, dtypes=("complex64",), wrt=()),
    unary("abs", np.abs, COMPLEX, dtypes=("complex64",), wrt=(), label="complex"),
    unary("sign", np.sign, COMPLEX, dtypes=("complex64",), wrt=(), label="complex"),
]

CASES = [
    *ARITHMETIC,
    *ROUNDING,
    *EXPONENTIAL,
    *TRIGONOMETRIC,
    *COMPARISONS,
    *LOGICAL,
    *SELECTION,
    *COMPLEX_PARTS,
]

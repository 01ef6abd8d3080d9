"""What every function computes, as tables: its name, how NumPy says it, the dtype of its result, its arguments.

References get what the dtype holds in NumPy's widest type of its kind (float64, complex128; integers and booleans in
their own), so that a result may differ by the rounding of its own dtype alone. `test_every_function.py` runs them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import special

Reference = Callable[..., Any]

BOOL = ("bool",)
UNSIGNED = ("uint8", "uint16", "uint32", "uint64")
SIGNED = ("int8", "int16", "int32", "int64")
INTEGERS = UNSIGNED + SIGNED
FLOATS = ("float16", "bfloat16", "float32", "float64")
COMPLEX = ("complex64",)
REAL = BOOL + INTEGERS + FLOATS
ALL = REAL + COMPLEX
BITS = BOOL + INTEGERS
NUMBERS = INTEGERS + FLOATS + COMPLEX

# The dtype of an operation between arrays of two dtypes, as MLX 0.32.4 gives it.
_PROMOTED = """
    b  u1 u2 u4 u8 i1 i2 i4 i8 f2 g2 f4 f8 c8
    u1 u1 u2 u4 u8 i2 i2 i4 i8 f2 g2 f4 f8 c8
    u2 u2 u2 u4 u8 i4 i4 i4 i8 f2 g2 f4 f8 c8
    u4 u4 u4 u4 u8 i8 i8 i8 i8 f2 g2 f4 f8 c8
    u8 u8 u8 u8 u8 f4 f4 f4 f4 f2 g2 f4 f8 c8
    i1 i2 i4 i8 f4 i1 i2 i4 i8 f2 g2 f4 f8 c8
    i2 i2 i4 i8 f4 i2 i2 i4 i8 f2 g2 f4 f8 c8
    i4 i4 i4 i8 f4 i4 i4 i4 i8 f2 g2 f4 f8 c8
    i8 i8 i8 i8 f4 i8 i8 i8 i8 f2 g2 f4 f8 c8
    f2 f2 f2 f2 f2 f2 f2 f2 f2 f2 f4 f4 f8 c8
    g2 g2 g2 g2 g2 g2 g2 g2 g2 f4 g2 f4 f8 c8
    f4 f4 f4 f4 f4 f4 f4 f4 f4 f4 f4 f4 f8 c8
    f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 c8
    c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8
"""
_LINES = [line.split() for line in _PROMOTED.split("\n")[1:-1]]
_NAMED = dict(zip(_LINES[0], ALL, strict=True))  # the first line, of booleans, names every dtype as it is
PROMOTED = {(a, b): _NAMED[_LINES[i][j]] for i, a in enumerate(ALL) for j, b in enumerate(ALL)}

# What a Python number does to the dtype of an array that it meets.
WITH_NUMBER: dict[bool | int | float | complex, dict[str, str]] = {
    True: {},
    3: {"bool": "int32"},
    1.5: dict.fromkeys(BITS, "float32"),
    2j: dict.fromkeys(REAL, "complex64"),
}

# The dtype of a result by the dtype of what is given; one that a rule does not name stays.
RULES: dict[str, dict[str, str]] = {
    "same": {},
    "float": dict.fromkeys(BITS, "float32"),
    "real": {"complex64": "float32"},
    "real float": {**dict.fromkeys(BITS, "float32"), "complex64": "float32"},
    "bool": dict.fromkeys(ALL, "bool"),
    "position": dict.fromkeys(ALL, "uint32"),
    "count": dict.fromkeys(ALL, "int32"),
    "sum": {"bool": "int32", "int8": "int32", "int16": "int32", "uint8": "uint32", "uint16": "uint32"},
    "running sum": {"bool": "int32"},
    "shift": {"bool": "uint8"},
}


# ---------------------------------------------------------------------- one array in, one of its shape out


class Elementwise(NamedTuple):
    """A function of every element: dtypes that `takes` leaves out raise `refusal`."""

    name: str
    reference: Reference
    result: str
    takes: tuple[str, ...] = ALL
    refusal: type[Exception] = ValueError


def _sign(x: Any) -> Any:
    if np.iscomplexobj(x):
        return np.where(x == 0, 0, x / np.where(x == 0, 1, np.abs(x)))
    return x if x.dtype == bool else np.sign(x)


UNARY = [
    Elementwise("abs", np.abs, "real"),
    Elementwise("arccos", np.arccos, "float"),
    Elementwise("arccosh", np.arccosh, "float"),
    Elementwise("arcsin", np.arcsin, "float"),
    Elementwise("arcsinh", np.arcsinh, "float"),
    Elementwise("arctan", np.arctan, "float"),
    Elementwise("arctanh", np.arctanh, "float"),
    Elementwise("bitwise_invert", np.invert, "same", BITS),
    Elementwise("ceil", np.ceil, "same", REAL),
    Elementwise("conj", np.conj, "same"),
    Elementwise("conjugate", np.conj, "same"),
    Elementwise("contiguous", lambda x: x, "same"),
    Elementwise("cos", np.cos, "float"),
    Elementwise("cosh", np.cosh, "float"),
    Elementwise("degrees", lambda x: x * (180 / np.pi), "float"),
    Elementwise("erf", special.erf, "float", REAL),
    Elementwise("erfinv", special.erfinv, "float", REAL),
    Elementwise("exp", np.exp, "float"),
    Elementwise("expm1", np.expm1, "float", REAL),
    Elementwise("floor", np.floor, "same", REAL),
    Elementwise("imag", np.imag, "real"),
    Elementwise("isfinite", np.isfinite, "bool"),
    Elementwise("isinf", np.isinf, "bool"),
    Elementwise("isnan", np.isnan, "bool"),
    Elementwise("isneginf", lambda x: x == -np.inf, "bool"),
    Elementwise("isposinf", lambda x: x == np.inf, "bool"),
    Elementwise("log", np.log, "float"),
    Elementwise("log10", np.log10, "float"),
    Elementwise("log1p", np.log1p, "float"),
    Elementwise("log2", np.log2, "float"),
    Elementwise("logical_not", np.logical_not, "bool"),
    Elementwise("nan_to_num", np.nan_to_num, "same", REAL),
    Elementwise("negative", np.negative, "same", NUMBERS),
    Elementwise("ones_like", np.ones_like, "same"),
    Elementwise("positive", lambda x: x, "same"),
    Elementwise("radians", lambda x: x * (np.pi / 180), "float"),
    Elementwise("real", np.real, "real"),
    Elementwise("reciprocal", lambda x: 1 / x, "float"),
    Elementwise("round", np.round, "same"),
    Elementwise("rsqrt", lambda x: 1 / np.sqrt(x), "float"),
    Elementwise("sigmoid", lambda x: 1 / (1 + np.exp(-x)), "float", REAL),
    Elementwise("sign", _sign, "same"),
    Elementwise("sin", np.sin, "float"),
    Elementwise("sinh", np.sinh, "float"),
    Elementwise("sqrt", np.sqrt, "float"),
    Elementwise("square", lambda x: x * x, "same"),
    Elementwise("stop_gradient", lambda x: x, "same"),
    Elementwise("tan", np.tan, "float"),
    Elementwise("tanh", np.tanh, "float"),
    Elementwise("trunc", np.trunc, "same", REAL),
    Elementwise("zeros_like", np.zeros_like, "same"),
    Elementwise("empty_like", np.zeros_like, "same"),
]

# Those that take Python numbers too; the others want arrays.
ARRAYS_ONLY = {"contiguous", "empty_like", "ones_like", "positive", "stop_gradient", "trunc", "zeros_like"}


# ---------------------------------------------------------------------- two arrays in


class Binary(NamedTuple):
    """A function of two operands that promote and broadcast; `operand` says what the second one may be.

    Dtypes that `takes` leaves out raise `refusal`, or are tested elsewhere for None.
    """

    name: str
    reference: Reference
    result: str = "same"
    takes: tuple[str, ...] = ALL
    operand: str = "any"
    refusal: type[Exception] | None = ValueError


def _floor_divide(x: Any, y: Any) -> Any:
    return x / y if np.iscomplexobj(x + y) else np.floor_divide(x, y)


BINARY = [
    Binary("add", np.add),
    Binary("subtract", np.subtract),
    Binary("multiply", np.multiply),
    Binary("divide", np.true_divide, "float", operand="not zero"),
    Binary("floor_divide", _floor_divide, operand="not zero"),
    Binary("remainder", np.remainder, takes=REAL, operand="not zero"),
    Binary("divmod", np.divmod, takes=REAL, operand="not zero"),
    Binary("power", np.power, operand="not negative"),
    Binary("maximum", np.maximum),
    Binary("minimum", np.minimum),
    Binary("logaddexp", np.logaddexp, "float", REAL, refusal=None),  # complex ones have a test of their own
    Binary("arctan2", np.arctan2, "float", REAL),
    Binary("equal", np.equal, "bool"),
    Binary("not_equal", np.not_equal, "bool"),
    Binary("less", np.less, "bool"),
    Binary("less_equal", np.less_equal, "bool"),
    Binary("greater", np.greater, "bool"),
    Binary("greater_equal", np.greater_equal, "bool"),
    Binary("isclose", np.isclose, "bool"),
    Binary("logical_and", np.logical_and, "bool"),
    Binary("logical_or", np.logical_or, "bool"),
    Binary("logical_xor", np.logical_xor, "bool"),
    Binary("bitwise_and", np.bitwise_and, takes=BITS, refusal=RuntimeError),
    Binary("bitwise_or", np.bitwise_or, takes=BITS, refusal=RuntimeError),
    Binary("bitwise_xor", np.bitwise_xor, takes=BITS, refusal=RuntimeError),
    Binary("left_shift", np.left_shift, "shift", BITS, "not negative", RuntimeError),
    Binary("right_shift", np.right_shift, "shift", BITS, "not negative", RuntimeError),
]

# Extents that broadcast.
PAIRS_OF_SHAPES = [
    ((3, 4), (4,)),
    ((3, 1), (1, 4)),
    ((), (5,)),
    ((5,), ()),
    ((), ()),
    ((0, 3), (1, 3)),
    ((2, 1, 3), (4, 1)),
]


# ---------------------------------------------------------------------- reductions and scans


class Reduction(NamedTuple):
    """A function that takes `axis` and `keepdims`; of no elements it `holds` a value or raises a ValueError."""

    name: str
    reference: Reference
    result: str
    of_nothing: bool = True
    options: tuple[dict[str, Any], ...] = ({},)
    single_axis: bool = False


def _logsumexp(x: Any, axis: Any, keepdims: bool) -> Any:
    return np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))


def _both(x: Any, axis: Any, keepdims: bool) -> Any:
    return np.min(x, axis=axis, keepdims=keepdims), np.max(x, axis=axis, keepdims=keepdims)


def _count(x: Any, axis: Any, keepdims: bool) -> Any:
    return np.sum(x != 0, axis=axis, keepdims=keepdims)


SPREADS = ({}, {"correction": 1}, {"ddof": 3})
REDUCTIONS = [
    Reduction("sum", np.sum, "sum"),
    Reduction("prod", np.prod, "sum"),
    Reduction("mean", np.mean, "float"),
    Reduction("var", np.var, "real float", options=SPREADS),
    Reduction("std", np.std, "real float", options=SPREADS),
    Reduction("min", np.min, "same", of_nothing=False),
    Reduction("max", np.max, "same", of_nothing=False),
    Reduction("minmax", _both, "same", of_nothing=False),
    Reduction("median", np.median, "float", of_nothing=False),
    Reduction("all", np.all, "bool"),
    Reduction("any", np.any, "bool"),
    Reduction("count_nonzero", _count, "count"),
    Reduction("logsumexp", _logsumexp, "float", of_nothing=False),
    Reduction("argmin", np.argmin, "position", of_nothing=False, single_axis=True),
    Reduction("argmax", np.argmax, "position", of_nothing=False, single_axis=True),
]

AXES = [None, 0, -1, 1, (0, 1), [-1, 0], (-2,), ()]


class Scan(NamedTuple):
    """A running reduction; `border` is what an exclusive one starts with."""

    name: str
    reference: Reference
    result: str
    border: Callable[[str], Any]
    takes: tuple[str, ...] = ALL


def _lowest(dtype: str) -> Any:
    least = {"bool": False, "complex64": complex(-np.inf, -np.inf)}
    return least.get(dtype, np.iinfo(dtype).min if dtype in INTEGERS else -np.inf)


def _highest(dtype: str) -> Any:
    most = {"bool": True, "complex64": complex(np.inf, np.inf)}
    return most.get(dtype, np.iinfo(dtype).max if dtype in INTEGERS else np.inf)


SCANS = [
    Scan("cumsum", np.cumsum, "running sum", lambda dtype: 0),
    Scan("cumprod", np.cumprod, "same", lambda dtype: 1),
    Scan("cummax", np.maximum.accumulate, "same", _lowest),
    Scan("cummin", np.minimum.accumulate, "same", _highest),
    Scan("logcumsumexp", lambda x, axis: np.log(np.cumsum(np.exp(x), axis=axis)), "float", lambda dtype: -np.inf, REAL),
]


# ---------------------------------------------------------------------- one array in, in another shape or order


class Movement(NamedTuple):
    """A call on an array of one shape, written once for both where NumPy has the function (`m` is `mx` or `np`)."""

    name: str
    shape: tuple[int, ...]
    call: Callable[[Any, Any], Any]
    reference: Callable[[Any], Any] | None = None
    result: str = "same"
    takes: tuple[str, ...] = ALL


def _softmax(x: Any, axis: Any) -> Any:
    grown = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return grown / np.sum(grown, axis=axis, keepdims=True)


def _place(x: Any, at: Any, values: Any, axis: int) -> Any:
    out = x.copy()
    np.put_along_axis(out, at, values, axis)
    return out


def _row_major(x: Any, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> Any:
    flat = np.ascontiguousarray(x).reshape(-1)
    return np.array([flat[offset + np.dot(at, strides)] for at in np.ndindex(*shape)], flat.dtype).reshape(shape)


def _written(x: Any, values: Any, *window: slice) -> Any:
    out = x.copy()
    out[window] = values
    return out


MATRIX, CUBE, LINE, POINT, NOTHING = (3, 4), (2, 3, 4), (6,), (), (0, 3)
AT = np.array([[2, 0, 1, -1]], np.int32)  # one of three rows for each of four columns
IN_LINE = np.array([3, 0, -1], np.int32)

MOVEMENTS = [
    Movement("reshape", MATRIX, lambda m, x: m.reshape(x, (2, -1))),
    Movement("reshape", NOTHING, lambda m, x: m.reshape(x, (3, 0, 2))),
    Movement("reshape", POINT, lambda m, x: m.reshape(x, (1, -1))),
    Movement("flatten", CUBE, lambda m, x: m.flatten(x), lambda x: x.reshape(-1)),
    Movement("flatten", CUBE, lambda m, x: m.flatten(x, 1), lambda x: x.reshape(2, 12)),
    Movement("flatten", CUBE, lambda m, x: m.flatten(x, 0, -2), lambda x: x.reshape(6, 4)),
    Movement("flatten", POINT, lambda m, x: m.flatten(x), lambda x: x.reshape(1)),
    Movement("unflatten", MATRIX, lambda m, x: m.unflatten(x, -1, (2, -1)), lambda x: x.reshape(3, 2, 2)),
    Movement("transpose", CUBE, lambda m, x: m.transpose(x)),
    Movement("transpose", CUBE, lambda m, x: m.transpose(x, (-1, 0, 1))),
    Movement("permute_dims", CUBE, lambda m, x: m.permute_dims(x, (1, 2, 0)), lambda x: x.transpose(1, 2, 0)),
    Movement("matrix_transpose", CUBE, lambda m, x: m.matrix_transpose(x), lambda x: x.swapaxes(1, 2)),
    Movement("moveaxis", CUBE, lambda m, x: m.moveaxis(x, 0, -1)),
    Movement("swapaxes", CUBE, lambda m, x: m.swapaxes(x, -1, 0)),
    Movement("squeeze", (1, 3, 1), lambda m, x: m.squeeze(x)),
    Movement("squeeze", (1, 3, 1), lambda m, x: m.squeeze(x, -1)),
    Movement("squeeze", (1, 3, 1), lambda m, x: m.squeeze(x, (0, 2))),
    Movement("expand_dims", MATRIX, lambda m, x: m.expand_dims(x, -1)),
    Movement("expand_dims", POINT, lambda m, x: m.expand_dims(x, (0, 1))),
    Movement("broadcast_to", (3, 1), lambda m, x: m.broadcast_to(x, (2, 3, 4))),
    Movement("broadcast_arrays", (3, 1), lambda m, x: m.broadcast_arrays(x, x[:, 0])),
    Movement("atleast_1d", POINT, lambda m, x: m.atleast_1d(x)),
    Movement("atleast_2d", LINE, lambda m, x: m.atleast_2d(x)),
    Movement("atleast_3d", MATRIX, lambda m, x: m.atleast_3d(x)),
    Movement("flip", CUBE, lambda m, x: m.flip(x)),
    Movement("flip", CUBE, lambda m, x: m.flip(x, (0, -1))),
    Movement("roll", CUBE, lambda m, x: m.roll(x, 5)),
    Movement("roll", CUBE, lambda m, x: m.roll(x, (1, -2), (0, -1))),
    Movement("roll", NOTHING, lambda m, x: m.roll(x, 1, 0)),
    Movement("tile", MATRIX, lambda m, x: m.tile(x, (2, 1, 3))),
    Movement("tile", POINT, lambda m, x: m.tile(x, 3)),
    Movement("repeat", MATRIX, lambda m, x: m.repeat(x, 2)),
    Movement("repeat", MATRIX, lambda m, x: m.repeat(x, 3, -1)),
    Movement("repeat", MATRIX, lambda m, x: m.repeat(x, 0, 0)),
    Movement("pad", MATRIX, lambda m, x: m.pad(x, ((1, 2), (0, 3)))),
    Movement("pad", MATRIX, lambda m, x: m.pad(x, 1, "constant", 1), lambda x: np.pad(x, 1, constant_values=1)),
    Movement("pad", MATRIX, lambda m, x: m.pad(x, (2, 1), "edge")),
    Movement("pad", MATRIX, lambda m, x: m.pad(x, ((2, 5), (0, 3)), "reflect")),
    Movement("pad", MATRIX, lambda m, x: m.pad(x, ((4, 1), (9, 0)), "symmetric")),
    Movement("pad", NOTHING, lambda m, x: m.pad(x, 1)),
    Movement("split", MATRIX, lambda m, x: m.split(x, 2, -1)),
    Movement("split", LINE, lambda m, x: m.split(x, [1, 4])),
    Movement("unstack", CUBE, lambda m, x: m.unstack(x, axis=1), lambda x: [x[:, i] for i in range(3)]),
    Movement("concatenate", MATRIX, lambda m, x: m.concatenate([x, x[:1]])),
    Movement("concatenate", MATRIX, lambda m, x: m.concatenate([x, x[:, 1:]], -1)),
    Movement("concatenate", MATRIX, lambda m, x: m.concatenate([x, x], None)),
    Movement("concat", NOTHING, lambda m, x: m.concat([x, x], 0), lambda x: np.concatenate([x, x])),
    Movement("stack", MATRIX, lambda m, x: m.stack([x, x])),
    Movement("stack", MATRIX, lambda m, x: m.stack([x, x], -1)),
    Movement("meshgrid", LINE, lambda m, x: m.meshgrid(x, x[:2])),
    Movement("meshgrid", LINE, lambda m, x: m.meshgrid(x, x[:2], sparse=True, indexing="ij")),
    Movement("tril", CUBE, lambda m, x: m.tril(x, -1)),
    Movement("triu", CUBE, lambda m, x: m.triu(x, 1)),
    Movement("diag", LINE, lambda m, x: m.diag(x, -2)),
    Movement("diag", MATRIX, lambda m, x: m.diag(x, 1)),
    Movement("diagonal", CUBE, lambda m, x: m.diagonal(x)),
    Movement("diagonal", CUBE, lambda m, x: m.diagonal(x, -1, 2, 1)),
    Movement("trace", CUBE, lambda m, x: m.trace(x, 1, -1, 0), lambda x: _sum_of(x.diagonal(1, -1, 0)), "sum"),
    Movement(
        "as_strided",
        MATRIX,
        lambda m, x: m.as_strided(x, (2, 3), (1, 3), 2),
        lambda x: _row_major(x, (2, 3), (1, 3), 2),
    ),
    Movement("diff", MATRIX, lambda m, x: m.diff(x, 2, 0), lambda x: np.diff(x, 2, 0)),
    Movement("diff", LINE, lambda m, x: m.diff(x)),
    Movement("kron", MATRIX, lambda m, x: m.kron(x, x[:2])),
    Movement("sort", CUBE, lambda m, x: m.sort(x, 1)),
    Movement("sort", CUBE, lambda m, x: m.sort(x, None)),
    Movement("sort", NOTHING, lambda m, x: m.sort(x)),
    Movement("argsort", CUBE, lambda m, x: m.argsort(x), lambda x: np.argsort(x, -1, stable=True), "position"),
    Movement("topk", CUBE, lambda m, x: m.topk(x, 2, 1), lambda x: np.sort(x, 1)[:, 1:]),
    Movement("partition", MATRIX, lambda m, x: m.partition(x, 2)[:, 2], lambda x: np.sort(x)[:, 2]),
    Movement(
        "argpartition",
        MATRIX,
        lambda m, x: m.take_along_axis(x, m.argpartition(x, -2, 0), 0)[-2],
        lambda x: np.sort(x, 0)[-2],
    ),
    Movement(
        "searchsorted",
        LINE,
        lambda m, x: m.searchsorted(m.sort(x), x, side="right"),
        lambda x: np.searchsorted(np.sort(x), x, side="right"),
        "position",
    ),
    Movement("softmax", MATRIX, lambda m, x: m.softmax(x, -1), lambda x: _softmax(x, -1), "float"),
    Movement("softmax", CUBE, lambda m, x: m.softmax(x, (0, -1)), lambda x: _softmax(x, (0, -1)), "float"),
    Movement("take", MATRIX, lambda m, x: m.take(x, 1, 0)),
    Movement("take", MATRIX, lambda m, x: m.take(x, m.array(IN_LINE))),
    Movement("take", CUBE, lambda m, x: m.take(x, m.array(AT[:, :3]), axis=-1)),
    Movement("take_along_axis", MATRIX, lambda m, x: m.take_along_axis(x, m.array(AT), 0)),
    Movement("take_along_axis", LINE, lambda m, x: m.take_along_axis(x, m.array(IN_LINE), None)),
    Movement(
        "put_along_axis",
        MATRIX,
        lambda m, x: m.put_along_axis(x, m.array(AT), x[:1], 0),
        lambda x: _place(x, AT, x[:1], 0),
    ),
    Movement("slice", MATRIX, lambda m, x: m.slice(x, m.array([1, 2]), (0, 1), (2, 2)), lambda x: x[1:3, 2:4]),
    Movement(
        "slice_update",
        MATRIX,
        lambda m, x: m.slice_update(x, x[:2, :1], m.array([1]), (0,)),
        lambda x: _written(x, x[:2, :1], slice(1, 3), slice(0, 1)),
    ),
    Movement("where", MATRIX, lambda m, x: m.where(x, x, x[:, :1])),
    Movement(
        "clip",
        MATRIX,
        lambda m, x: m.clip(x, x[:1], x[1:2]),
        lambda x: np.minimum(np.maximum(x, x[:1]), x[1:2]),
    ),
    Movement("array_equal", MATRIX, lambda m, x: m.array_equal(x, x), result="bool"),
    Movement("allclose", MATRIX, lambda m, x: m.allclose(x, x[:1]), result="bool"),
    Movement("full_like", MATRIX, lambda m, x: m.full_like(x, 1)),
    Movement("median", CUBE, lambda m, x: m.median(x, (0, 2)), result="float"),
]


def _sum_of(x: Any) -> Any:
    return np.sum(x, axis=-1)


# ---------------------------------------------------------------------- arrays from numbers


class Creation(NamedTuple):
    """A call that makes an array of any of the dtypes `takes` (None: of its default dtype alone)."""

    name: str
    call: Callable[[Any, Any], Any]
    reference: Callable[[], Any]
    takes: tuple[str, ...] | None = ALL
    default: str = "float32"


CREATIONS = [
    Creation("zeros", lambda mx, d: mx.zeros((2, 3), **d), lambda: np.zeros((2, 3))),
    Creation("zeros", lambda mx, d: mx.zeros(0, **d), lambda: np.zeros(0)),
    Creation("ones", lambda mx, d: mx.ones([2, 0], **d), lambda: np.ones((2, 0))),
    Creation("ones", lambda mx, d: mx.ones((), **d), lambda: np.ones(())),
    Creation("empty", lambda mx, d: mx.empty((3,), **d), lambda: np.zeros(3)),
    Creation("full", lambda mx, d: mx.full((2, 2), 3, **d), lambda: np.full((2, 2), 3), default="int32"),
    Creation("full", lambda mx, d: mx.full(3, 1.75, **d), lambda: np.full(3, 1.75)),
    Creation("arange", lambda mx, d: mx.arange(5, **d), lambda: np.arange(5), NUMBERS, "int32"),
    Creation("arange", lambda mx, d: mx.arange(7, 1, -2, **d), lambda: np.arange(7, 1, -2), NUMBERS, "int32"),
    Creation("arange", lambda mx, d: mx.arange(0, 1, 0.25, **d), lambda: np.arange(0, 1, 0.25), FLOATS),
    Creation("arange", lambda mx, d: mx.arange(3, 3, **d), lambda: np.arange(3, 3), NUMBERS, "int32"),
    Creation("linspace", lambda mx, d: mx.linspace(0, 8, 5, **d), lambda: np.linspace(0, 8, 5)),
    Creation("linspace", lambda mx, d: mx.linspace(0, 8, 4, False, **d), lambda: np.linspace(0, 8, 4, False)),
    Creation("linspace", lambda mx, d: mx.linspace(3, 5, 1, **d), lambda: np.linspace(3, 5, 1)),
    Creation("eye", lambda mx, d: mx.eye(3, 4, 1, **d), lambda: np.eye(3, 4, 1)),
    Creation("identity", lambda mx, d: mx.identity(3, **d), lambda: np.identity(3)),
    Creation("tri", lambda mx, d: mx.tri(3, 4, -1, **d), lambda: np.tri(3, 4, -1)),
    Creation("bartlett", lambda mx, d: mx.bartlett(7), lambda: np.bartlett(7), None),
    Creation("blackman", lambda mx, d: mx.blackman(8), lambda: np.maximum(np.blackman(8), 0), None),
    Creation("hamming", lambda mx, d: mx.hamming(1), lambda: np.hamming(1), None),
    Creation("hanning", lambda mx, d: mx.hanning(0), lambda: np.hanning(0), None),
    Creation("hanning", lambda mx, d: mx.hanning(5), lambda: np.hanning(5), None),
]


# ---------------------------------------------------------------------- convolutions


class Convolution(NamedTuple):
    """A call of a convolution: the shapes of input and weight, its options, and what the reference does with them."""

    name: str
    input: tuple[int, ...]
    weight: tuple[int, ...]
    options: dict[str, Any]


CONVOLUTIONS = [
    Convolution("conv1d", (2, 9, 4), (6, 3, 4), {}),
    Convolution("conv1d", (2, 9, 4), (6, 3, 2), {"stride": 2, "padding": 1, "dilation": 2, "groups": 2}),
    Convolution("conv2d", (1, 5, 6, 2), (4, 3, 2, 2), {"stride": (1, 2), "padding": (1, 0), "dilation": (1, 2)}),
    Convolution("conv2d", (1, 5, 6, 4), (4, 3, 2, 1), {"groups": 4}),
    Convolution("conv3d", (1, 4, 3, 4, 2), (3, 2, 2, 3, 2), {"padding": 1}),
    Convolution("conv_transpose1d", (2, 4, 3), (5, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
    Convolution("conv_transpose1d", (2, 4, 3), (5, 3, 3), {"stride": 3, "padding": 3}),
    Convolution("conv_transpose2d", (1, 3, 2, 4), (4, 2, 3, 2), {"stride": (2, 1), "dilation": (1, 2), "groups": 2}),
    Convolution("conv_transpose3d", (1, 2, 3, 2, 2), (3, 2, 2, 2, 2), {"stride": 2}),
    Convolution("conv_general", (1, 5, 6, 2), (4, 3, 2, 2), {"padding": ([1, 0], [0, 2]), "input_dilation": (1, 2)}),
    Convolution("conv_general", (1, 7, 2), (3, 3, 2), {"stride": 2, "kernel_dilation": 2, "flip": True, "padding": 3}),
]


def convolution_reference(case: Convolution, x: Any, w: Any) -> Any:
    """The sum over the window and the channels, written out for every position of the output."""
    rank = x.ndim - 2

    def each(name: str, default: int) -> tuple[int, ...]:
        value = case.options.get(name, default)
        return (value,) * rank if isinstance(value, int) else tuple(value)

    stride, groups = each("stride", 1), case.options.get("groups", 1)
    dilation = each("dilation" if "dilation" in case.options else "kernel_dilation", 1)
    flip = case.options.get("flip", False)
    spread = each("input_dilation", 1)
    padding = case.options.get("padding", 0)
    low, high = padding if isinstance(padding, tuple) and isinstance(padding[0], list) else (each("padding", 0),) * 2
    if "transpose" in case.name:
        reach = [step * (extent - 1) for step, extent in zip(dilation, w.shape[1:-1], strict=True)]
        low = [span - cut for span, cut in zip(reach, each("padding", 0), strict=True)]
        high = [before + more for before, more in zip(low, each("output_padding", 0), strict=True)]
        stride, spread, flip = (1,) * rank, stride, True
    if flip:
        w = np.flip(w, tuple(range(1, rank + 1)))
    extents = [gap * (extent - 1) + 1 for gap, extent in zip(spread, x.shape[1:-1], strict=True)]
    wide = np.zeros((x.shape[0], *extents, x.shape[-1]))
    wide[(slice(None), *(slice(None, None, gap) for gap in spread))] = x
    kept = [
        slice(max(-before, 0), extent - max(-after, 0))
        for before, after, extent in zip(low, high, extents, strict=True)
    ]
    sides = [(max(before, 0), max(after, 0)) for before, after in zip(low, high, strict=True)]
    wide = np.pad(wide[(slice(None), *kept)], [(0, 0), *sides, (0, 0)])
    span = [step * (extent - 1) + 1 for step, extent in zip(dilation, w.shape[1:-1], strict=True)]
    out = np.zeros(
        (
            x.shape[0],
            *((extent - reach) // step + 1 for extent, reach, step in zip(wide.shape[1:-1], span, stride, strict=True)),
            w.shape[0],
        )
    )
    into, outof = x.shape[-1] // groups, w.shape[0] // groups
    for at in np.ndindex(*out.shape[1:-1]):
        window = tuple(
            slice(place * step, place * step + reach, gap)
            for place, step, reach, gap in zip(at, stride, span, dilation, strict=True)
        )
        seen = wide[(slice(None), *window)]
        for group in range(groups):
            part = seen[..., group * into : (group + 1) * into]
            filters = w[group * outof : (group + 1) * outof]
            sums = np.tensordot(part, filters, axes=(range(1, rank + 2), range(1, rank + 2)))
            out[(slice(None), *at, slice(group * outof, (group + 1) * outof))] = sums
    return out


# ---------------------------------------------------------------------- wrong arguments


ERRORS: list[tuple[Callable[[Any, Any], Any], type[Exception], str]] = [
    # x is an array of zeros of shape (3, 4)
    (lambda mx, x: mx.can_cast(None, mx.float32), TypeError, "[can_cast] Expected an array or a dtype"),
    (lambda mx, x: mx.can_cast("a", mx.float32), ValueError, "[can_cast] Expected arrays and dtypes"),
    (lambda mx, x: mx.can_cast(x, "float32"), TypeError, "[can_cast] Expected a dtype"),
    (lambda mx, x: mx.reshape(x, (5, 2)), ValueError, "[reshape] Cannot reshape"),
    (lambda mx, x: mx.reshape(x, (-1, -1)), ValueError, "[reshape] Can only infer one"),
    (lambda mx, x: mx.reshape(x, (2.0, 6)), TypeError, "[reshape] shape must be a sequence of ints"),
    (lambda mx, x: mx.reshape(x, (2**31, 0)), OverflowError, "[reshape] Shape dimension"),
    (lambda mx, x: mx.reshape(1, (1,)), TypeError, "[reshape] a must be an mx.array"),
    (lambda mx, x: mx.flatten(x, 1, 0), ValueError, "[flatten] start_axis must be"),
    (lambda mx, x: mx.flatten(x, None), TypeError, "[flatten] start_axis must be an int"),
    (lambda mx, x: mx.unflatten(x, 0, (2, 2)), ValueError, "[unflatten] Cannot reshape"),
    (lambda mx, x: mx.unflatten(x, 5, (3,)), IndexError, "[unflatten] Invalid axis 5"),
    (lambda mx, x: mx.transpose(x, (0, 0)), ValueError, "[transpose] Received duplicate"),
    (lambda mx, x: mx.transpose(x, (0, 2)), IndexError, "[transpose] Invalid axis 2"),
    (lambda mx, x: mx.transpose(x, (0,)), ValueError, "[transpose] Received 1 axes"),
    (lambda mx, x: mx.permute_dims(x, (1.0, 0)), TypeError, "[transpose] axes must be a sequence of ints"),
    (lambda mx, x: mx.matrix_transpose(x[0]), ValueError, "[matrix_transpose] Input array must"),
    (lambda mx, x: mx.moveaxis(x, 0, 2), IndexError, "[moveaxis] Invalid axis 2"),
    (lambda mx, x: mx.moveaxis(x, 0, None), TypeError, "[moveaxis] destination must be an int"),
    (lambda mx, x: mx.swapaxes(x, 0, -3), IndexError, "[swapaxes] Invalid axis -3"),
    (lambda mx, x: mx.squeeze(x, 0), ValueError, "[squeeze] Cannot squeeze axis 0"),
    (lambda mx, x: mx.squeeze(x, 2), IndexError, "[squeeze] Invalid axis 2"),
    (lambda mx, x: mx.expand_dims(x, (0, 0)), ValueError, "[expand_dims] Received duplicate"),
    (lambda mx, x: mx.expand_dims(x, 4), IndexError, "[expand_dims] Invalid axis 4"),
    (lambda mx, x: mx.broadcast_to(x, (2, 4)), ValueError, "[broadcast_shapes] Shapes"),
    (lambda mx, x: mx.broadcast_arrays(x, 1), TypeError, "[broadcast_arrays] arrays[1] must be an mx.array"),
    (lambda mx, x: mx.broadcast_shapes(), ValueError, "[broadcast_shapes] Must provide at least one"),
    (lambda mx, x: mx.atleast_1d(1), TypeError, "[atleast_1d] arys[0] must be an mx.array"),
    (lambda mx, x: mx.atleast_2d(1), TypeError, "[atleast_2d] arys[0] must be an mx.array"),
    (lambda mx, x: mx.atleast_3d(1), TypeError, "[atleast_3d] arys[0] must be an mx.array"),
    (lambda mx, x: mx.flip(x, 2), IndexError, "[flip] Invalid axis 2"),
    (lambda mx, x: mx.roll(x, 1.5), TypeError, "[roll] shift must be a sequence of ints"),
    (lambda mx, x: mx.roll(x, (1,), (0, 1)), ValueError, "[roll] At least one shift"),
    (lambda mx, x: mx.roll(x, 1, axis=2), IndexError, "[roll] Invalid axis 2"),
    (lambda mx, x: mx.tile(x, -1), ValueError, "[tile] Numbers of repetitions cannot be negative"),
    (lambda mx, x: mx.repeat(x, -1), ValueError, "[repeat] Number of repeats cannot be negative"),
    (lambda mx, x: mx.repeat(x, 2.0), TypeError, "[repeat] repeats must be an int"),
    (lambda mx, x: mx.pad(x, -1), ValueError, "[pad] Widths must not be negative"),
    (lambda mx, x: mx.pad(x, (1, 2, 3)), TypeError, "[pad] pad_width must be one number"),
    (lambda mx, x: mx.pad(x, [(1, 1)] * 3), ValueError, "[pad] Got 3 pairs of widths"),
    (lambda mx, x: mx.pad(x, 1, "wrap"), ValueError, "[pad] Invalid padding mode 'wrap'"),
    (lambda mx, x: mx.pad(x, 1, 1.0), TypeError, "[pad] mode must be a string"),
    (lambda mx, x: mx.pad(x[:0], 1, "edge"), ValueError, "[pad] Cannot pad empty axis"),
    (lambda mx, x: mx.split(x, 2), ValueError, "[split] Array split does not result in"),
    (lambda mx, x: mx.split(x, 0), ValueError, "[split] The number of parts must be positive"),
    (lambda mx, x: mx.split(x, 1.5), TypeError, "[split] indices_or_sections must be"),
    (lambda mx, x: mx.unstack(x, axis=2), IndexError, "[unstack] Invalid axis 2"),
    (lambda mx, x: mx.concatenate([]), ValueError, "[concatenate] No arrays provided"),
    (lambda mx, x: mx.concatenate([x, x[0]]), ValueError, "[concatenate] All the input array dimensions"),
    (lambda mx, x: mx.concatenate([x, 1]), TypeError, "[concatenate] arrays[1] must be an mx.array"),
    (lambda mx, x: mx.concat(3), TypeError, "[concatenate] arrays must be a list"),
    (lambda mx, x: mx.stack([x, x[0]]), ValueError, "[stack] All arrays must have the same shape"),
    (lambda mx, x: mx.stack([x], 5), IndexError, "[stack] Invalid axis 5"),
    (lambda mx, x: mx.meshgrid(x, indexing="yx"), ValueError, "[meshgrid] Invalid indexing value"),
    (lambda mx, x: mx.meshgrid(x, sparse=1), TypeError, "[meshgrid] sparse must be True or False"),
    (lambda mx, x: mx.tril(x[0]), ValueError, "[tril] array must be at least 2-D"),
    (lambda mx, x: mx.triu(x, 1.0), TypeError, "[triu] k must be an int"),
    (lambda mx, x: mx.diag(mx.zeros((1, 1, 1))), ValueError, "[diag] array must be 1-D or 2-D"),
    (lambda mx, x: mx.diagonal(x, 0, 1, -1), ValueError, "[diagonal] axis1 and axis2 cannot be the same"),
    (lambda mx, x: mx.trace(x[0]), ValueError, "[trace] Array must have at least two"),
    (lambda mx, x: mx.trace(x, dtype="int8"), TypeError, "[trace] dtype must be a Dtype"),
    (lambda mx, x: mx.as_strided(x, (3, 4), (4, 2)), ValueError, "[as_strided] shape"),
    (lambda mx, x: mx.contiguous(x, None), TypeError, "[contiguous] allow_col_major must be True or False"),
    (lambda mx, x: mx.view(x, mx.complex64)[0].view("int8"), TypeError, "[view] dtype must be a Dtype"),
    (lambda mx, x: mx.view(x[:, :3], mx.float64), ValueError, "[view] The 12 bytes of the last axis"),
    (lambda mx, x: mx.diff(x, -1), ValueError, "[diff] The order n must be non-negative"),
    (lambda mx, x: mx.diff(x, 1, 2), IndexError, "[diff] Invalid axis 2"),
    (lambda mx, x: mx.kron(x, x[:0]), ValueError, "[kron] Input arrays cannot be empty"),
    (lambda mx, x: mx.sort(x, 2), IndexError, "[sort] Invalid axis 2"),
    (lambda mx, x: mx.argsort(x, "a"), TypeError, "[argsort] axis must be an int"),
    (lambda mx, x: mx.topk(x, 5), ValueError, "[topk] Received invalid k=5"),
    (lambda mx, x: mx.topk(x, None), TypeError, "[topk] k must be an int"),
    (lambda mx, x: mx.partition(x, 4), ValueError, "[partition] Received invalid kth 4"),
    (lambda mx, x: mx.argpartition(x, 1.0), TypeError, "[argpartition] kth must be an int"),
    (lambda mx, x: mx.searchsorted(x, x), ValueError, "[searchsorted] The sorted sequence must be 1-D"),
    (lambda mx, x: mx.searchsorted(x[0], x, "middle"), ValueError, "[searchsorted] Invalid side"),
    (lambda mx, x: mx.searchsorted(x[0], x, 1), TypeError, "[searchsorted] side must be a string"),
    (lambda mx, x: mx.softmax(x, 2), IndexError, "[softmax] Invalid axis 2"),
    (lambda mx, x: mx.softmax(x, precise=1), TypeError, "[softmax] precise must be True or False"),
    (lambda mx, x: mx.var(x, ddof=1.5), TypeError, "[var] ddof must be an int"),
    (lambda mx, x: mx.cumsum(x, dtype="int8"), TypeError, "[cumsum] dtype must be an mlx Dtype"),
    (lambda mx, x: mx.take(x, 3, 0), IndexError, "[take] Index 3 is out of range"),
    (lambda mx, x: mx.take(x, [0], 5), TypeError, "[take] indices must be an mx.array"),
    (lambda mx, x: mx.take(x, mx.array(0.5)), ValueError, "[take] indices must be integers"),
    (lambda mx, x: mx.take(x[:0], mx.array([0]), 0), ValueError, "[take] Cannot do a non-empty take"),
    (lambda mx, x: mx.take_along_axis(x, mx.array([0])), ValueError, "[take_along_axis] Indices of dimension 1"),
    (lambda mx, x: mx.take_along_axis(x, mx.array([[0]]), 2), IndexError, "[take_along_axis] Invalid axis 2"),
    (
        lambda mx, x: mx.put_along_axis(x, mx.array([[0]]), 7, 0),
        TypeError,
        "[put_along_axis] values must be an mx.array",
    ),
    (lambda mx, x: mx.slice(x, mx.array([0]), (0,), (4, 4)), ValueError, "[slice] Invalid slice size"),
    (lambda mx, x: mx.slice(x, mx.array([0]), (0,), 4), TypeError, "[slice] slice_size must be a sequence of ints"),
    (lambda mx, x: mx.slice(x, mx.array([0.0]), (0,), (1, 4)), ValueError, "[slice] Start indices must be integers"),
    (lambda mx, x: mx.slice_update(x, x, mx.array([0, 1]), (0,)), ValueError, "[slice_update] Number of starting"),
    (lambda mx, x: mx.where(x, x, x[0, :3]), ValueError, "[broadcast_shapes] Shapes"),
    (lambda mx, x: mx.where(None, 1, 2), TypeError, "[where] condition must be an array"),
    (lambda mx, x: mx.clip(x, None, None), ValueError, "[clip] At most one"),
    (lambda mx, x: mx.clip("a", 0, 1), TypeError, "[clip] a must be an mx.array"),
    (lambda mx, x: mx.round(x, 1.5), TypeError, "[round] decimals must be an int"),
    (lambda mx, x: mx.nan_to_num(x, "a"), TypeError, "[nan_to_num] nan must be a real number"),
    (lambda mx, x: mx.isclose(x, x, equal_nan=1), TypeError, "[isclose] equal_nan must be True or False"),
    (lambda mx, x: mx.allclose(x, "a"), TypeError, "[isclose] b must be an mx.array"),
    (lambda mx, x: mx.array_equal(x, x, 1), TypeError, "[array_equal] equal_nan must be True or False"),
    (lambda mx, x: mx.astype(x, "float16"), TypeError, "[astype] dtype must be"),
    (lambda mx, x: mx.zeros((-1,)), ValueError, "[zeros] Negative dimensions"),
    (lambda mx, x: mx.ones((2**33,)), OverflowError, "[ones] Shape dimension"),
    (lambda mx, x: mx.empty((1,), "float32"), TypeError, "[empty] dtype must be a Dtype"),
    (lambda mx, x: mx.zeros_like(x, x), TypeError, "[zeros_like] dtype must be a Dtype"),
    (lambda mx, x: mx.full((2,), x), ValueError, "[broadcast_shapes] Shapes"),
    (lambda mx, x: mx.full((2,), 1, "float32"), TypeError, "[full] dtype must be a Dtype"),
    (lambda mx, x: mx.full_like(x, 2**40, mx.int8), ValueError, "[full_like] Converting 1099511627776 to int8"),
    (lambda mx, x: mx.arange(5, 0, 0), ValueError, "[arange] step must be nonzero"),
    (lambda mx, x: mx.arange(0, np.inf), ValueError, "[arange] Cannot compute length"),
    (lambda mx, x: mx.arange("a"), TypeError, "[arange] stop must be an int or a float"),
    (lambda mx, x: mx.linspace(0, 1, -1), ValueError, "[linspace] number of samples"),
    (lambda mx, x: mx.linspace("a", 1), TypeError, "[linspace] start must be a real number"),
    (lambda mx, x: mx.linspace(0, 1, endpoint=2), TypeError, "[linspace] endpoint must be True or False"),
    (lambda mx, x: mx.eye(-1), ValueError, "[eye] Negative dimensions"),
    (lambda mx, x: mx.identity(2.0), TypeError, "[identity] n must be an int"),
    (lambda mx, x: mx.tri(3, 3, 1.0), TypeError, "[tri] k must be an int"),
    (lambda mx, x: mx.hanning(2.5), TypeError, "[hanning] M must be an int"),
    (lambda mx, x: mx.conv1d(x, x), ValueError, "[conv] Only works for inputs with 1-3 spatial"),
    (lambda mx, x: mx.conv2d(x[None], x[None]), ValueError, "[conv2d] input must have 4 dimensions"),
    (lambda mx, x: mx.conv1d(x[None], x[None, :, :3]), ValueError, "[conv] Expect the input channels"),
    (lambda mx, x: mx.conv1d(x[None], x[None], 0), ValueError, "[conv] Stride sizes must be positive"),
    (lambda mx, x: mx.conv1d(x[None], x[None], groups=3), ValueError, "[conv] The input channels must be divisible"),
    (lambda mx, x: mx.conv1d(x[None], x[None], 1.5), TypeError, "[conv1d] stride must be an int"),
    (lambda mx, x: mx.conv_general(x[None], x[None], flip=1), TypeError, "[conv_general] flip must be True or False"),
    (lambda mx, x: mx.conv_transpose1d(x[None], 1), TypeError, "[conv_transpose1d] weight must be an mx.array"),
    (lambda mx, x: mx.convolve(x, x[0]), ValueError, "[convolve] Inputs must be 1D"),
    (lambda mx, x: mx.convolve(x[0], x[0], "most"), ValueError, "[convolve] Invalid mode"),
    (lambda mx, x: mx.convolve(x[0], x[0], None), TypeError, "[convolve] mode must be a string"),
]

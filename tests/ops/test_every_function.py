"""Every function of the array API against NumPy: all dtypes, axes, keepdims, empty and zero-dimensional input,
broadcasting, views that are not contiguous, and the error of each wrong argument. The tables: `every_function.py`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import every_function as tables
import numpy as np
import pytest
from every_function import ALL, BITS, COMPLEX, FLOATS, INTEGERS, PROMOTED, RULES

import mlx.core as mx

TOLERANCES = {"float16": 4e-3, "bfloat16": 3e-2, "float32": 2e-5, "float64": 1e-12, "complex64": 4e-5}
FAMILIES = """
    arithmetic comparison convolution creation diagonals elementwise exponential indexing joining logical padding ranges
    reductions rounding scans shape slices sorting trigonometric views windows
"""
OUTCOMES_ON_XLA = 2  # of a row, since every one costs compiling; tests/primitives compares the engines on all dtypes
TESTED_BY_NAME = {"astype", "view", "broadcast_shapes", "convolve"}
pytestmark = pytest.mark.filterwarnings("ignore:(Mean of empty slice|Degrees of freedom):RuntimeWarning")  # NumPy's


class Outcome(NamedTuple):
    """What a call gave, what it should have given, and the dtype it should have."""

    call: str
    result: Any
    expected: Any
    dtype: str


def dtype_named(name: str) -> Any:
    return mx.bool_ if name == "bool" else getattr(mx, name)


def values(dtype: str, shape: tuple[int, ...], salt: int = 0) -> Any:
    """Small numbers that every dtype holds exactly, in NumPy's widest type of the kind."""
    draw = np.random.default_rng(salt + 7 * len(shape) + sum(shape))
    if dtype in BITS:
        return draw.integers(0 if dtype.startswith("u") else -5, 6, shape).astype(bool if dtype == "bool" else dtype)
    real = draw.integers(-12, 13, shape) / 4
    return real + 1j * draw.integers(-12, 13, shape) / 4 if dtype in COMPLEX else real


def wide(x: Any, dtype: str) -> Any:
    """`x` in NumPy's widest type of the kind of `dtype`."""
    values = x.__array__() if isinstance(x, mx.array) else np.asarray(x)  # which from Python 3.12 on takes no bfloat16
    return values.astype(dtype if dtype in BITS else np.complex128 if dtype in COMPLEX else np.float64)


def layouts(dtype: str, shape: tuple[int, ...]) -> Iterator[tuple[Any, Any]]:
    """The same values contiguous, as a transposed view, and as a view with negative steps; beside them NumPy's."""
    x = values(dtype, shape)
    made = dtype_named(dtype)
    yield mx.array(x, made), x
    if len(shape) > 1:
        yield mx.transpose(mx.array(np.ascontiguousarray(x.T), made)), x
    if shape:
        yield mx.array(np.repeat(x[::-1], 2, axis=0), made)[::-2], x


def flat(result: Any) -> list[Any]:
    return list(result) if isinstance(result, list | tuple) else [result]


def check(outcomes: Iterable[Outcome]) -> None:
    """All evaluated as one program, then one by one."""
    outcomes = list(outcomes)
    mx.eval([outcome.result for outcome in outcomes])
    for call, result, expected, dtype in outcomes:
        assert result.dtype == dtype_named(dtype), f"{call} is {result.dtype}, not {dtype}"
        assert result.shape == np.shape(expected), f"{call} has shape {result.shape}, not {np.shape(expected)}"
        with np.errstate(all="ignore"):
            if dtype in BITS:
                np.testing.assert_array_equal(np.array(result), np.asarray(expected).astype(dtype), call)
            else:
                tolerance = TOLERANCES[dtype]
                narrowed = np.asarray(expected).astype(
                    dtype_named(dtype).numpy
                )  # which overflows where the result does
                near = np.isclose(wide(result, dtype), wide(narrowed, dtype), tolerance, tolerance, equal_nan=True)
                assert np.all(near), f"{call} is\n{result}\nnot\n{expected}"


def outcomes_of(call: str, result: Any, expected: Any, dtype: str) -> Iterator[Outcome]:
    results, wanted = flat(result), flat(expected)
    assert len(results) == len(wanted), call
    yield from (Outcome(call, r, e, dtype) for r, e in zip(results, wanted, strict=True))


def result_dtype(rule: str, dtype: str) -> str:
    return RULES[rule].get(dtype, dtype)


def working(rule: str, x: Any) -> Any:
    """What the reference gets: floating functions of integers and booleans get floats."""
    return x.astype(np.float64) if "float" in rule and x.dtype.kind in "biu" else x


# ---------------------------------------------------------------------- the outcomes of each kind of row


def unary(row: tables.Elementwise, dtypes: Iterable[str]) -> Iterator[Outcome]:
    function = getattr(mx, row.name)
    for dtype in dtypes:
        for shape in ((3, 4), (), (0, 3)):
            for x, reference in layouts(dtype, shape):
                with np.errstate(all="ignore"):
                    expected = row.reference(working(row.result, reference))
                yield Outcome(f"{row.name} of {dtype}{shape}", function(x), expected, result_dtype(row.result, dtype))


def binary_reference(row: tables.Binary, x: Any, y: Any, dtype: str) -> Any:
    x, y = wide(x, dtype), wide(y, dtype)
    if dtype == "bool" and row.result in ("same", "shift"):  # NumPy has no difference, quotient or power of booleans
        x, y = x.astype(np.int64), y.astype(np.int64)
        outs = [out if row.result == "shift" else out != 0 for out in flat(row.reference(x, y))]
        return outs if len(outs) > 1 else outs[0]
    return row.reference(working(row.result, x), working(row.result, y))


def second_operand(row: tables.Binary, dtype: str, shape: tuple[int, ...]) -> Any:
    y = values(dtype, shape, salt=1)
    if row.operand == "not negative":
        return np.abs(y).astype(y.dtype)
    return np.where(y == 0, 1, y).astype(y.dtype) if row.operand == "not zero" else y


def binary(row: tables.Binary, dtypes: Iterable[str]) -> Iterator[Outcome]:
    function = getattr(mx, row.name)
    takes = [dtype for dtype in dtypes if dtype in row.takes]
    shapes = tables.PAIRS_OF_SHAPES if len(takes) > 1 else tables.PAIRS_OF_SHAPES[:3]
    pairs = [(a, b, (6,), (6,)) for a in takes for b in takes if PROMOTED[a, b] in row.takes]
    pairs += [(dtype, dtype, left, right) for dtype in takes for left, right in shapes]
    for a, b, left, right in pairs:
        x, y, promoted = values(a, left), second_operand(row, b, right), PROMOTED[a, b]
        with np.errstate(all="ignore"):
            expected = binary_reference(row, x, y, promoted)
        result = function(mx.array(x, dtype_named(a)), mx.array(y, dtype_named(b)))
        yield from outcomes_of(
            f"{row.name}({a}{left}, {b}{right})", result, expected, result_dtype(row.result, promoted)
        )


def with_numbers(row: tables.Binary, dtypes: Iterable[str]) -> Iterator[Outcome]:
    """Python numbers on either side, which take the array's dtype where its kind holds them."""
    function = getattr(mx, row.name)
    for dtype in dtypes:
        for number, becomes in tables.WITH_NUMBER.items():
            promoted = becomes.get(dtype, dtype)
            if dtype not in row.takes or promoted not in row.takes:
                continue
            x = second_operand(row, dtype, (6,))
            with np.errstate(all="ignore"):
                right = binary_reference(row, x, number, promoted)
                left = binary_reference(row, number, x, promoted)
            given, wanted = mx.array(x, dtype_named(dtype)), result_dtype(row.result, promoted)
            yield from outcomes_of(f"{row.name}({dtype}, {number})", function(given, number), right, wanted)
            yield from outcomes_of(f"{row.name}({number}, {dtype})", function(number, given), left, wanted)


def reductions(row: tables.Reduction, dtypes: Iterable[str]) -> Iterator[Outcome]:
    function = getattr(mx, row.name)
    for dtype in dtypes:
        for shape in ((3, 4), (), (0, 3)) if row.of_nothing else ((3, 4), ()):
            for x, reference in layouts(dtype, shape):
                for axis in tables.AXES:
                    if (axis not in (None, ()) and not shape) or (row.single_axis and isinstance(axis, tuple | list)):
                        continue
                    for keepdims in (False, True):
                        for options in row.options:
                            yield from reduction(row, function, x, reference, dtype, axis, keepdims, options)


def reduction(
    row: Any, function: Any, x: Any, reference: Any, dtype: str, axis: Any, keepdims: bool, options: Any
) -> Any:
    given = dict.fromkeys(["ddof"], max(options.values())) if options else {}  # what `correction` is called there
    with np.errstate(all="ignore"):
        along = tuple(axis) if isinstance(axis, list) else axis
        expected = row.reference(working(row.result, reference), axis=along, keepdims=keepdims, **given)
    result = function(x, axis=axis, keepdims=keepdims, **options)
    call = f"{row.name}({dtype}{reference.shape}, axis={axis}, keepdims={keepdims}, {options})"
    return outcomes_of(call, result, expected, result_dtype(row.result, dtype))


def scans(row: tables.Scan, dtypes: Iterable[str]) -> Iterator[Outcome]:
    function = getattr(mx, row.name)
    for dtype in dtypes:
        wanted = result_dtype(row.result, dtype)
        for shape in ((3, 4), (0, 3), (1,)):
            for x, reference in layouts(dtype, shape):
                for axis in (None, 0, -1):
                    for reverse in (False, True):
                        for inclusive in (False, True):
                            line = working(row.result, wide(reference, wanted) if row.result != "float" else reference)
                            expected = scan_reference(row, line, wanted, axis, reverse, inclusive)
                            result = function(x, axis, reverse=reverse, inclusive=inclusive)
                            call = f"{row.name}({dtype}{shape}, {axis}, reverse={reverse}, inclusive={inclusive})"
                            yield Outcome(call, result, expected, wanted)


def scan_reference(row: tables.Scan, x: Any, dtype: str, axis: Any, reverse: bool, inclusive: bool) -> Any:
    if axis is None:
        x, axis = x.reshape(-1), 0
    x = np.flip(x, axis) if reverse else x
    with np.errstate(all="ignore"):
        out = np.asarray(row.reference(x, axis=axis))
    if not inclusive and x.shape[axis]:
        border = np.full_like(out.take([0], axis), row.border(dtype))
        out = np.concatenate([border, out.take(range(out.shape[axis] - 1), axis)], axis)
    return np.flip(out, axis) if reverse else out


def movements(row: tables.Movement, dtypes: Iterable[str]) -> Iterator[Outcome]:
    for dtype in dtypes:
        for x, reference in layouts(dtype, row.shape):
            given = working(row.result, reference)
            with np.errstate(all="ignore"):
                expected = row.call(np, given) if row.reference is None else row.reference(given)
            call = f"{row.name} of {dtype}{row.shape}"
            yield from outcomes_of(call, row.call(mx, x), expected, result_dtype(row.result, dtype))


def creations(row: tables.Creation, dtypes: Iterable[str]) -> Iterator[Outcome]:
    expected = row.reference()
    yield Outcome(row.name, row.call(mx, {}), expected, row.default)
    for dtype in dtypes:
        if dtype in (row.takes or ()):
            kept = np.trunc(expected) if dtype in INTEGERS else expected != 0 if dtype == "bool" else expected
            yield Outcome(f"{row.name} in {dtype}", row.call(mx, {"dtype": dtype_named(dtype)}), kept, dtype)


def convolutions(row: tables.Convolution, dtypes: Iterable[str]) -> Iterator[Outcome]:
    for dtype in dtypes:
        if dtype in FLOATS:
            w = values(dtype, row.weight, salt=1)
            for x, reference in layouts(dtype, row.input):
                result = getattr(mx, row.name)(x, mx.array(w, dtype_named(dtype)), **row.options)
                expected = tables.convolution_reference(row, reference, w)
                yield Outcome(f"{row.name}({dtype}, {row.options})", result, expected, dtype)


TABLES: dict[str, tuple[Any, list[Any]]] = {
    "unary": (unary, tables.UNARY),
    "binary": (binary, tables.BINARY),
    "numbers": (with_numbers, tables.BINARY),
    "reductions": (reductions, tables.REDUCTIONS),
    "scans": (scans, tables.SCANS),
    "movements": (movements, tables.MOVEMENTS),
    "creations": (creations, tables.CREATIONS),
    "convolutions": (convolutions, tables.CONVOLUTIONS),
}
ROWS = [pytest.param(kind, row, id=f"{kind}-{row.name}") for kind, (_, rows) in TABLES.items() for row in rows]


@pytest.mark.parametrize(("kind", "row"), ROWS)
def test_it_is_what_numpy_gives_on_every_dtype(kind: str, row: Any) -> None:
    with mx.engine("numpy"):
        check(TABLES[kind][0](row, getattr(row, "takes", ALL) or ()))


@pytest.mark.parametrize("kind", TABLES)
def test_xla_gives_it_too(kind: str) -> None:
    outcomes, rows = TABLES[kind]
    some: list[Outcome] = []
    for row in rows:
        takes = getattr(row, "takes", ALL) or ()
        every = list(outcomes(row, ["float32" if "float32" in takes else "int32"]))
        some += every[:: -(-len(every) // OUTCOMES_ON_XLA)]
    with mx.engine("xla"):
        check(some)


def test_no_function_is_missing() -> None:
    named = {row.name for _, rows in TABLES.values() for row in rows} | TESTED_BY_NAME
    public = {name for family in FAMILIES.split() for name in importlib.import_module(f"mlx.ops.{family}").__all__}
    assert public - named == set()
    assert all(hasattr(mx, name) for name in named)


# ---------------------------------------------------------------------- what fits no table


@pytest.mark.parametrize("to", ALL)
def test_astype_is_a_cast_of_every_dtype(to: str) -> None:
    def outcomes() -> Iterator[Outcome]:
        for dtype in ALL:
            for x, reference in layouts(dtype, (3, 4)):
                real = reference.real if to not in (*COMPLEX, "bool") else reference
                kept = np.trunc(real).astype(np.int64) if to in INTEGERS else real
                yield Outcome(f"{dtype} as {to}", mx.astype(x, dtype_named(to)), kept, to)
                yield Outcome(f"{dtype} as {to}", x.astype(dtype_named(to)), kept, to)

    with mx.engine("numpy"):
        check(outcomes())


@pytest.mark.parametrize("engine", ["numpy", "xla"])
def test_view_reads_the_same_bytes(engine: Any) -> None:
    for dtype, to in (("float32", "int32"), ("float32", "uint8"), ("int16", "float16"), ("complex64", "float32")):
        for x, _ in layouts(dtype, (3, 4)):
            with mx.engine(engine):
                viewed = np.array(mx.view(x, dtype_named(to)))
            assert viewed.tobytes() == np.ascontiguousarray(np.array(x)).tobytes()
            assert viewed.dtype == to


def test_broadcast_shapes() -> None:
    for shapes in (((2, 1), (3,)), ((),), ((4,), ()), ((0, 3), (1, 1)), ((5, 1, 2), (1, 7, 1), (2,))):
        assert mx.broadcast_shapes(*shapes) == np.broadcast_shapes(*shapes)


def test_logarithms_of_sums_of_complex_numbers() -> None:
    """Their imaginary part is known but for multiples of 2 pi."""
    for x, reference in layouts("complex64", (3, 4)):
        powers = np.exp(reference)
        running, pairs = np.array(mx.logcumsumexp(x, 1)), np.array(mx.logaddexp(x, x[:1]))
        np.testing.assert_allclose(np.exp(running), np.cumsum(powers, 1), 1e-5, 1e-5)
        np.testing.assert_allclose(np.exp(pairs), powers + powers[:1], 1e-5, 1e-5)


def test_convolve_is_numpys() -> None:
    a, v = values("float32", (6,)), values("float32", (4,))
    for mode in ("full", "same", "valid"):
        for x, y in ((a, v), (v, a), (a, a)):
            result = mx.convolve(mx.array(x, mx.float32), mx.array(y, mx.float32), mode)
            np.testing.assert_allclose(np.array(result), np.convolve(x, y, mode), 1e-5, 1e-5)  # type: ignore[arg-type]


@pytest.mark.parametrize("engine", ["numpy", "xla"])
def test_extremes(engine: Any) -> None:
    """NaN, infinities, and the ends of the integers."""
    inf, nan = np.inf, np.nan
    x = np.array([nan, inf, -inf, 0.0, -1.5, 2.5, 3.4e38])
    low, high = np.iinfo(np.int32).min, np.iinfo(np.int32).max
    i = np.array([low, high, 0, -1], np.int32)
    f, n, u = mx.array(x, mx.float32), mx.array(i), mx.array([255, 1, 0], mx.uint8)
    wanted = [
        (mx.max(f), nan), (mx.min(f), nan), (mx.max(f[1:]), inf), (mx.sum(f[1:3]), nan), (mx.argmax(f), 0),
        (mx.sort(f), [-inf, -1.5, 0, 2.5, 3.4e38, inf, nan]), (mx.maximum(f, 1), [nan, inf, 1, 1, 1, 2.5, 3.4e38]),
        (mx.isfinite(f), [0, 0, 0, 1, 1, 1, 1]), (mx.sign(f[1:]), [1, -1, 0, -1, 1, 1]), (f[:3] == f[:3], [0, 1, 1]),
        (mx.cummax(f[1:4]), [inf, inf, inf]), (mx.cummax(f[:2]), [nan, nan]), (mx.clip(f[:3], -1, 1), [nan, 1, -1]),
        (mx.nan_to_num(f[:3], 7, 8, 9), [7, 8, 9]), (mx.array_equal(f, f), False), (mx.exp(f[1:3]), [inf, 0]),
        (mx.array_equal(f, f, equal_nan=True), True), (mx.floor(f[:3]), [nan, inf, -inf]), (mx.tanh(f[1:3]), [1, -1]),
        (mx.logsumexp(f[2:4]), 0), (mx.softmax(f[3:]), [0, 0, 0, 1]), (mx.logaddexp(f[1:3], f[1:3]), [inf, -inf]),
        (mx.isclose(f[:3], f[:3]), [0, 1, 1]), (mx.isclose(f[1:3], f[3:5]), [0, 0]), (mx.median(f[:2]), nan),
        (mx.round(f, 2), [nan, inf, -inf, 0, -1.5, 2.5, 3.4e38]), (mx.round(f, -1)[-1], 3.4e38),
        (mx.round(mx.array([65504.0, 1234.5], mx.float16), -1), [65504, 1230]), (mx.searchsorted(f[3:], f[:1]), 4),
        (n + 1, [low + 1, low, 1, 0]), (-n, [low, -high, 0, 1]), (mx.abs(n), [low, high, 0, 1]),
        (n * 2, [0, -2, 0, -2]), (~u, [0, 254, 255]),
        (n // 0, [0, 0, 0, 0]), (n % 0, i), (mx.divide(n[2:], 0), [nan, -inf]), (mx.sum(n), -2),
        (mx.sort(n), [low, -1, 0, high]), (mx.square(n), [0, 1, 0, 1]), (u + 1, [0, 2, 1]), (-u, [1, 255, 0]),
        (u - 2, [253, 255, 254]), (mx.sum(u), 256), (mx.mean(u), 256 / 3), (mx.power(u, 2), [1, 1, 0]),
        (mx.left_shift(u, 9), [0, 0, 0]), (mx.right_shift(n, 31), [-1, 0, 0, -1]), (mx.cumsum(u), [255, 0, 0]),
        (mx.arange(0, 2**33, 2**31, dtype=mx.float16), [0, inf, inf, inf]),
    ]  # fmt: skip
    with mx.engine(engine):
        mx.eval([result for result, _ in wanted])
    for at, (result, expected) in enumerate(wanted):
        np.testing.assert_allclose(np.array(result), np.float32(expected), 1e-6, err_msg=f"number {at}")


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize("row", tables.UNARY, ids=lambda row: row.name)
def test_unary_functions_refuse(row: tables.Elementwise) -> None:
    function = getattr(mx, row.name)
    for dtype in set(ALL) - set(row.takes):
        with pytest.raises(row.refusal, match=rf"^\[{row.name}\] "):
            function(mx.zeros((2,), dtype_named(dtype)))
    if row.name not in tables.ARRAYS_ONLY:
        assert function(3).shape == ()
    for wrong in (None, "a", [1, 2], object()):
        with pytest.raises((TypeError, ValueError), match=rf"^\[{row.name}\] "):
            function(wrong)
    if row.name in tables.ARRAYS_ONLY:
        with pytest.raises(TypeError, match=rf"^\[{row.name}\] a must be an mx.array"):
            function(3)


@pytest.mark.parametrize("row", tables.BINARY, ids=lambda row: row.name)
def test_binary_functions_refuse(row: tables.Binary) -> None:
    function = getattr(mx, row.name)
    for dtype in set(ALL) - set(row.takes if row.refusal else ALL):
        with pytest.raises(row.refusal or (), match=rf"^\[{row.name}\] "):
            mx.eval(function(mx.zeros((2,), dtype_named(dtype)), mx.zeros((2,), dtype_named(dtype))))
    with pytest.raises(ValueError, match="broadcast"):
        function(mx.zeros((2,), mx.int32), mx.zeros((3,), mx.int32))
    for wrong in ("a", [1, 2], object(), None):
        with pytest.raises((TypeError, ValueError), match=rf"^\[{row.name}\] "):
            function(mx.zeros((2,), mx.int32), wrong)


WITH_AXES = [*tables.REDUCTIONS, *tables.SCANS]


@pytest.mark.parametrize("row", WITH_AXES, ids=lambda row: row.name)
def test_functions_of_axes_refuse(row: Any) -> None:
    function = getattr(mx, row.name)
    x = mx.zeros((3, 4))
    for axis in (2, -3, 10):
        with pytest.raises(IndexError, match=r"Invalid axis"):
            function(x, axis=axis)
    for axis in (1.0, "a", object()):
        with pytest.raises(TypeError):
            function(x, axis=axis)
    with pytest.raises(TypeError, match=rf"^\[{row.name}\] a must be an mx.array"):
        function([1.0, 2.0])
    if isinstance(row, tables.Scan):
        for flag in ("reverse", "inclusive"):
            with pytest.raises(TypeError, match=rf"^\[{row.name}\] {flag} must be True or False"):
                function(x, 0, **{flag: 1})
        return
    with pytest.raises(TypeError, match="keepdims must be True or False"):
        function(x, axis=0, keepdims=1)
    if not row.single_axis:
        with pytest.raises(ValueError, match="duplicate"):
            function(x, axis=(0, -2))
    if not row.of_nothing:
        with pytest.raises(ValueError, match=rf"^\[{row.name}\] .*(empty|size 0|zero size)"):
            function(mx.zeros((0, 3)))


@pytest.mark.parametrize(("call", "error", "message"), tables.ERRORS, ids=[message for _, _, message in tables.ERRORS])
def test_wrong_arguments_are_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        call(mx, mx.zeros((3, 4)))
    assert str(caught.value).startswith(message), str(caught.value)


def test_integers_of_numpy_and_arrays_of_one_are_integers() -> None:
    x = mx.zeros((2, 3))
    for one in (np.int64(1), np.int8(1), mx.array(1)):
        assert mx.sum(x, axis=one).shape == (2,)
        assert mx.expand_dims(x, one).shape == (2, 1, 3)
        assert mx.flip(x, one).shape == mx.roll(x, one, axis=one).shape == (2, 3)
        assert mx.squeeze(mx.zeros((2, 1)), one).shape == (2,)
        assert mx.pad(x, one).shape == (4, 5)
        assert mx.tile(x, one).shape == mx.repeat(x, one, one).shape == (2, 3)
        assert len(mx.split(x, one)) == 1
        assert mx.conv1d(mx.zeros((1, 5, 1)), mx.zeros((1, 3, 1)), one, one).shape == (1, 5, 1)

"""Indexing against NumPy over random shapes and keys; then errors, handles, gradients, batching, compiling."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given, settings

import mlx.core as mx
from mlx.ir.dtypes import ALL_DTYPES
from mlx.primitives.indexing import SCATTER
from mlx.runtime.compiler import Compiled

ENGINES = ("numpy", "xla")
SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
many = settings(max_examples=200, deadline=None)
few = settings(max_examples=15, deadline=None)  # each is compiled


def numbered(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(int(np.prod(shape)), dtype=np.int32).reshape(shape)


def to_mx(key: Any) -> Any:
    """A NumPy key with its index arrays as ours."""
    entries = [mx.array(entry) if isinstance(entry, np.ndarray) else entry for entry in key]
    return entries[0] if len(entries) == 1 else tuple(entries)


@st.composite
def basic(draw: Any) -> tuple[np.ndarray, Any]:
    x = numbered(draw(SHAPES))
    key = draw(arrays.basic_indices(x.shape, allow_newaxis=True, max_dims=6))
    return x, key if isinstance(key, tuple) else (key,)


@st.composite
def advanced(draw: Any) -> tuple[np.ndarray, Any]:
    """Index arrays that broadcast, among slices, integers, new axes and an ellipsis."""
    shape = draw(arrays.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=4))
    indexed = draw(st.integers(1, len(shape)))
    base = draw(arrays.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3))
    key: list[Any] = []
    for extent in shape[:indexed]:
        kind = draw(st.sampled_from(["array", "array", "slice", "integer"]))
        if kind == "integer":
            key.append(draw(st.integers(-extent, extent - 1)))
        elif kind == "slice":
            key.append(draw(st.slices(extent)))
        else:
            ones = draw(st.integers(0, len(base)))
            part = (*(1,) * ones, *base[ones:]) if draw(st.booleans()) else base[ones:]
            key.append(draw(arrays.arrays(np.int64, part, elements=st.integers(-extent, extent - 1))))
    assume(any(isinstance(entry, np.ndarray) for entry in key))
    if draw(st.booleans()):
        key.insert(draw(st.integers(0, len(key))), None)
    if indexed < len(shape) and draw(st.booleans()):
        key.append(Ellipsis)
    return numbered(shape), tuple(key)


def assigned(x: np.ndarray, key: Any, value: np.ndarray) -> np.ndarray:
    """What `x[key] = value` makes of x, one place after the other."""
    out = x.copy().reshape(-1)
    places = numbered(x.shape)[key]
    for place, number in zip(places.reshape(-1), np.broadcast_to(value, places.shape).reshape(-1), strict=True):
        out[place] = number
    return out.reshape(x.shape)


def added(x: np.ndarray, key: Any, value: np.ndarray) -> np.ndarray:
    out = x.copy()
    np.add.at(out, key, np.broadcast_to(value, x[key].shape))
    return out


def check_reading(x: np.ndarray, key: Any) -> None:
    expected = x[key]
    read = mx.array(x)[to_mx(key)]
    assert read.shape == expected.shape
    np.testing.assert_array_equal(np.array(read), expected)


def check_writing(x: np.ndarray, key: Any) -> None:
    shape = x[key].shape
    for value in (numbered(shape) + 100, numbered(shape[1:]) + 100):
        ours = mx.array(x)
        ours[to_mx(key)] = mx.array(value)
        np.testing.assert_array_equal(np.array(ours), assigned(x, key, value))
        np.testing.assert_array_equal(np.array(mx.array(x).at[to_mx(key)].add(mx.array(value))), added(x, key, value))


@many
@given(basic())
def test_basic_keys_read_as_in_numpy(case: tuple[np.ndarray, Any]) -> None:
    check_reading(*case)


@many
@given(basic())
def test_basic_keys_write_as_in_numpy(case: tuple[np.ndarray, Any]) -> None:
    check_writing(*case)


@many
@given(advanced())
def test_index_arrays_read_as_in_numpy(case: tuple[np.ndarray, Any]) -> None:
    check_reading(*case)


@many
@given(advanced())
def test_index_arrays_write_as_in_numpy(case: tuple[np.ndarray, Any]) -> None:
    check_writing(*case)


@few
@given(st.one_of(basic(), advanced()))
def test_xla_reads_and_writes_as_numpy(case: tuple[np.ndarray, Any]) -> None:
    with mx.engine("xla"):
        check_reading(*case)
        check_writing(*case)


@many
@given(basic(), st.data())
def test_masks_write_as_in_numpy(case: tuple[np.ndarray, Any], data: Any) -> None:
    x, _ = case
    mask = data.draw(arrays.arrays(bool, x.shape[: data.draw(st.integers(0, x.ndim))]))
    count = int(mask.sum())
    rest = x.shape[mask.ndim :]
    for value in (np.int32(7), numbered(rest) + 100, numbered((count + 1, *rest)) + 100):
        ours, expected = mx.array(x), x.copy()
        ours[mx.array(mask)] = mx.array(value)
        expected[mask] = value if np.ndim(value) <= len(rest) else value[:count]
        np.testing.assert_array_equal(np.array(ours), expected)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_dtype_is_read_and_written(engine: str) -> None:
    with mx.engine(engine):
        for dtype in ALL_DTYPES:
            x = mx.array([[0, 1, 1], [1, 0, 0]]).astype(dtype)
            i = mx.array([1, 0, 1])
            y, z = mx.array(x), mx.array(x)
            y[:, 1] = 1
            z[i, i] = mx.array([0, 1, 1])
            results = [x[1], x[::-1, 1:], x[..., None, 0], x[i], y, z, mx.take(x, 2, axis=1)]
            assert all(result.dtype == dtype for result in results)
            assert [result.astype(mx.int32).tolist() for result in results] == [
                [1, 0, 0],
                [[0, 0], [1, 1]],
                [[0], [1]],
                [[1, 0, 0], [0, 1, 1], [1, 0, 0]],
                [[0, 1, 1], [1, 1, 0]],
                [[1, 1, 1], [1, 1, 0]],
                [1, 0],
            ]


# ---------------------------------------------------------------------- keys and values that NumPy does not take


@pytest.mark.parametrize("engine", ENGINES)
def test_index_arrays_outside_mean_the_end_when_read_and_nothing_when_written(engine: str) -> None:
    with mx.engine(engine):
        x = mx.array([1, 2, 3])
        outside = mx.array([5, -7, 1])
        assert x[outside].tolist() == [3, 1, 2]
        assert x.at[outside].add(10).tolist() == [1, 12, 3]
        x[outside] = 0
        assert x.tolist() == [1, 0, 3]
        assert mx.zeros((0, 2))[mx.array([0, 1])].tolist() == [[0, 0], [0, 0]]
        empty = mx.zeros((0, 2))
        empty[mx.array([0, 1])] = 1
        assert empty.shape == (0, 2)


def test_integers_outside_write_nothing() -> None:
    x = mx.array([[1, 2], [3, 4]])
    x[2] = 9
    x[0, -3] = 9
    x[mx.array([0]), 5] = 9
    assert x.at[7].multiply(3).tolist() == x.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("key", [2, -3, (0, 2), (..., -3), (slice(None), 9), 2**40])
def test_integers_outside_cannot_be_read(key: Any) -> None:
    for error in (IndexError, ValueError):
        with pytest.raises(error, match=r"^\[index\] Index .* is out of range"):
            mx.zeros((2, 2))[key]


def test_what_stands_for_integers() -> None:
    x = mx.array([1, 2, 3])
    assert (
        x[np.int64(1)].item() == x[np.array(1)].item() == x[mx.array(1)].item() == x[mx.array(-2, mx.int8)].item() == 2
    )
    assert x[[2, 0]].tolist() == x[np.array([2, 0])].tolist() == x[[mx.array(2), 0]].tolist() == [3, 1]
    assert x[np.int64(1) :].tolist() == [2, 3]


def test_masks_of_other_kinds() -> None:
    for mask in ([True, False, True], np.array([True, False, True])):
        x = mx.array([1, 2, 3])
        x[mask] = mx.array([7, 8])
        assert x.tolist() == [7, 2, 8]
    x = mx.array([1, 2])
    x[False] = 9
    assert x.tolist() == [1, 2]
    x[True] = 9
    assert x.tolist() == [9, 9]


def test_values_are_cast_to_the_arrays_dtype() -> None:
    x = mx.array([1, 2, 3])
    x[0], x[1], x[2] = 2.7, True, mx.array(-1.5)
    assert (x.tolist(), x.dtype) == ([2, 1, -1], mx.int32)
    assert x.at[0].add(1.9).tolist() == [3, 1, -1]
    x[:] = 3 + 4j
    assert x.tolist() == [3, 3, 3]
    wraps = mx.zeros(1, mx.uint8)
    wraps[0] = mx.array(300)
    assert wraps.item() == 44
    half = mx.zeros(2, mx.float16)
    half[0] = np.array([1.5])
    assert half.tolist() == [1.5, 0]


def test_leading_axes_of_extent_1_are_taken_from_values() -> None:
    x = mx.zeros(3)
    x[1:] = mx.array([[[1, 2]]])
    x[0] = mx.array([3])
    assert x.tolist() == [3, 1, 2]


@pytest.mark.parametrize(
    ("key", "value", "error", "message"),
    [
        (0, [1, 2], ValueError, "list for a value"),
        (0, None, TypeError, "got None"),
        (0, "a", ValueError, "str"),
        (0, mx.zeros(2), ValueError, r"shape \(2,\) into shape \(3,\)"),
        (slice(None), mx.zeros((3, 3)), ValueError, r"\(3, 3\) into shape \(2, 3\)"),
        (mx.array([0, 1]), mx.zeros((3, 3)), ValueError, "broadcast"),
        (mx.array([True]), 1, ValueError, "first axes"),
        (mx.array([True, False]), mx.zeros((1, 1, 3)), ValueError, "mask must have shape"),
        (mx.array([True, True]), mx.zeros((1, 3)), RuntimeError, "2 places for 1 values"),
        ((0, mx.array([True, False])), 1, ValueError, "Boolean"),
        ((0, 0, 0), 1, ValueError, "Too many"),
        (mx.array([1.0]), 1, ValueError, "integral"),
        (1.0, 1, ValueError, "Cannot index"),
    ],
)
def test_errors_of_writing(key: Any, value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mx.zeros((2, 3))[key] = value
    if not isinstance(key, mx.array) or key.dtype != mx.bool_:
        with pytest.raises(error, match=message):
            mx.zeros((2, 3)).at[key].add(value)


def test_numbers_that_do_not_fit_are_refused() -> None:
    for number in (256, -1):
        with pytest.raises(ValueError, match="uint8"):
            mx.zeros(2, mx.uint8)[0] = number


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (True, "Boolean"),
        (mx.array([True, False]), "Boolean"),
        ([True, False], "Boolean"),
        ((slice(None), np.bool_(True)), "Boolean"),
        (mx.array([1.0]), "integral"),
        ([], "integral"),
        ("a", "str"),
        (0.5, "float"),
        ((0, 0, 0), "Too many indices for array with 2 dimensions"),
        ((..., ...), "single ellipsis"),
        (slice(None, None, 0), "step"),
        (slice(0.5, 2), "integers or None"),
        (slice(2**40), "32-bit"),
        ((mx.array([0, 1]), mx.array([0, 1, 0])), "broadcast"),
    ],
)
def test_errors_of_reading(key: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mx.zeros((2, 2))[key]
    for key in (0, slice(None), mx.array([0])):
        with pytest.raises(ValueError, match="Too many"):
            mx.array(1)[key]


def test_at_needs_an_index_and_no_booleans_to_subtract() -> None:
    with pytest.raises(ValueError, match=r"x\.at\[index\]\.add"):
        mx.zeros(2).at.add(1)
    with pytest.raises(ValueError, match="bool"):
        mx.array([True]).at[0].subtract(True)
    with pytest.raises(ValueError, match="Boolean"):
        mx.zeros(2).at[mx.array([True, False])].add(1)


UFUNCS = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
}


@many
@given(st.one_of(basic(), advanced()), st.sampled_from(sorted(UFUNCS)), st.sampled_from(["u1", "u4", "i2", "f2", "f4"]))
def test_at_updates_as_the_methods_at_of_numpy(case: tuple[np.ndarray, Any], method: str, dtype: str) -> None:
    values, key = case
    expected = values.astype(np.float64)
    update = (np.arange(expected[key].size) % 5 + 1).reshape(expected[key].shape).astype(dtype)
    UFUNCS[method].at(expected, key, update.astype(np.float64))
    updated = getattr(mx.array(values.astype(np.float32)).at[to_mx(key)], method)(mx.array(update))
    assert updated.dtype is mx.float32
    np.testing.assert_allclose(np.array(updated), expected, rtol=1e-5)


def test_bounds_of_slices_may_be_arrays_of_one_integer() -> None:
    x = mx.arange(6)
    assert x[mx.array(1) : mx.array(5) : mx.array(2)].tolist() == [1, 3]
    for key in (slice(mx.array(1.0), None), slice(None, None, mx.array(0)), slice(mx.array([1]), None)):
        with pytest.raises(ValueError, match=r"\[index\] (Slice indices must be integers|The step of a slice)"):
            x[key]


def test_integers_are_divided_and_truncated() -> None:
    x = mx.array([-7, 7, 2**30 + 1])
    assert x.at[mx.array([0, 1, 1, 2])].divide(mx.array([2, 2, 2, 1])).tolist() == [-3, 1, 2**30 + 1]
    assert x.at[:2].divide(2).tolist() == [-3, 3, 2**30 + 1]


# ---------------------------------------------------------------------- handles


def test_assignment_rebinds_one_handle() -> None:
    x = mx.array([1, 2, 3])
    same, copy = x, mx.array(x)
    node_before = x[:]
    x[0] = 9
    assert same.tolist() == [9, 2, 3]
    assert copy.tolist() == node_before.tolist() == [1, 2, 3]
    x[1:] += 1
    assert x.tolist() == [9, 3, 4]
    i = mx.array([0, 0])
    x[i] += 1  # reads once, writes twice
    assert x.tolist() == [10, 3, 4]


def test_batches_of_a_data_set_compile_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compilations = []
    compile_ = Compiled._compile

    def counted(program: Compiled, arguments: Any) -> Any:
        compilations.append(program)
        return compile_(program, arguments)

    monkeypatch.setattr(Compiled, "_compile", counted)
    data = mx.array(np.arange(40.0).reshape(20, 2))
    cache = mx.zeros((20, 2))
    mx.eval(cache)
    with mx.engine("xla"):
        for i in range(0, 20, 2):
            cache[i : i + 2] = data[i : i + 2] * data[i]
            mx.eval(cache)
    assert len(compilations) == 2  # once with the starts as constants, once with them as operands
    rows = np.arange(40.0).reshape(20, 2)
    np.testing.assert_array_equal(np.array(cache), rows * rows[::2].repeat(2, axis=0))


# ---------------------------------------------------------------------- derivatives


def pulled(function: Any, primals: list[Any], cotangent: Any) -> list[Any]:
    _, gradients = mx.vjp(function, [mx.array(x) for x in primals], [mx.array(cotangent)])
    return [gradient.tolist() for gradient in gradients]


def replaced(x: Any, value: Any) -> Any:
    x = x * 1
    x[mx.array([0, 0, 1])] = value
    return x


@pytest.mark.parametrize("engine", ENGINES)
def test_an_embeddings_gradient_adds_up(engine: str) -> None:
    with mx.engine(engine):
        table = mx.zeros((4, 2))
        words = mx.array([[1, 3], [1, -4]])
        gradient = mx.grad(lambda t: (t[words] * mx.array([[[1.0], [2.0]], [[4.0], [8.0]]])).sum())(table)
        assert gradient.tolist() == [[8, 8], [5, 5], [0, 0], [2, 2]]
        fine = mx.grad(lambda t: (t[mx.zeros(4096, mx.int32)] * 2**-8).sum())(mx.zeros(2, mx.bfloat16))
        assert fine.tolist() == [16, 0]  # summed in float32: in bfloat16 it would stop at 1


@pytest.mark.parametrize("engine", ENGINES)
def test_only_the_last_of_equal_writes_gets_a_cotangent(engine: str) -> None:
    with mx.engine(engine):
        assert pulled(replaced, [[1.0, 2, 3], [4.0, 5, 6]], [1.0, 10, 100]) == [[0, 0, 100], [0, 1, 10]]


@pytest.mark.parametrize("engine", ENGINES)
def test_dropped_writes_get_no_cotangent(engine: str) -> None:
    outside = mx.array([7, 1])
    with mx.engine(engine):
        for method, expected in (("add", 1), ("multiply", 2), ("maximum", 1)):

            def function(x: Any, u: Any, method: str = method) -> Any:
                return getattr(x.at[outside], method)(u)

            assert pulled(function, [[1.0, 2], [3.0, 4]], [1.0, 1])[1] == [0, expected]


def test_ties_of_extrema_all_get_the_cotangent() -> None:
    i = mx.array([0, 0, 1])
    x, update = pulled(lambda x, u: x.at[i].maximum(u), [[1.0, 2, 3], [1.0, 1, 0]], [1.0, 10, 100])
    assert (x, update) == ([1, 10, 100], [1, 1, 0])


def test_products_with_zeros_have_finite_derivatives() -> None:
    i = mx.array([0, 0, 1, 2, 2])

    def product(x: Any, u: Any) -> Any:
        return x.at[i].multiply(u)

    x, update = pulled(product, [[2.0, 3, 5], [0.0, 7, 0, 0, 0]], [1.0, 10, 100])
    assert (x, update) == ([0, 0, 0], [14, 0, 30, 0, 0])
    # d2 / dx du, of the first factor of each place
    slope = mx.grad(lambda x: mx.grad(lambda u: product(x, u).sum())(mx.array([0.0, 7, 0, 1, 1]))[0])
    assert slope(mx.array([2.0, 3, 5])).tolist() == [7, 0, 0]


def test_masked_assignment_is_differentiated() -> None:
    def masked(x: Any, value: Any) -> Any:
        x = x * 1
        x[mx.array([True, False, True])] = value
        return x

    assert pulled(masked, [[1.0, 2, 3], [4.0, 5, 6]], [1.0, 10, 100]) == [[0, 10, 0], [1, 100, 0]]


def test_arguments_may_be_assigned_to() -> None:
    def function(x: Any, value: Any) -> Any:
        x[2::-2] = value
        return x

    x, value, v = [1.0, 2, 3, 4], [5.0, 6], [1.0, 10, 100, 1000]
    assert pulled(function, [x, value], v) == [[0, 10, 0, 1000], [100, 1]]
    _, (pushed,) = mx.jvp(function, [mx.array(x), mx.array(value)], [mx.array(v), mx.array([7.0, 8])])
    assert pushed.tolist() == [8, 10, 7, 1000]
    gradients = mx.grad(lambda *a: (function(*a) * mx.array(v)).sum(), (0, 1))(mx.array(x), mx.array(value))
    assert [g.tolist() for g in gradients] == [[0, 10, 0, 1000], [100, 1]]


# ---------------------------------------------------------------------- batching


@pytest.mark.parametrize(
    "mapped", [(0, None, None), (None, 0, None), (None, None, 0), (None, 0, 0), (1, None, 1), (-1, -1, -1)]
)
def test_vmap_of_each_operand(mapped: tuple[int | None, ...]) -> None:
    def function(x: Any, i: Any, u: Any) -> Any:
        y = x.at[:, i].add(u)
        y[i, 1:3] = u[:, None]
        return y * 2 + x[i, None, 0].sum()

    shapes = ((4, 3), (2,), (2,))
    rng = np.random.default_rng(0)
    batched, entries = [], []
    for position, (shape, axis) in enumerate(zip(shapes, mapped, strict=True)):
        values = rng.integers(-3, 3, (5, *shape))
        if axis is None:
            values[:] = values[0]
        values = values if position == 1 else values.astype(np.float32)
        batched.append(mx.array(values[0] if axis is None else np.moveaxis(values, 0, axis)))
        entries.append(values)
    out = mx.vmap(function, in_axes=mapped)(*batched)
    looped = [np.array(function(*map(mx.array, entry))) for entry in zip(*entries, strict=True)]
    np.testing.assert_array_equal(np.array(out), np.stack(looped))


def test_vmap_of_masks_and_lines() -> None:
    def function(x: Any, mask: Any, values: Any) -> Any:
        x[mask] = values
        return x

    out = mx.vmap(function)(
        mx.zeros((2, 3)), mx.array([[True, False, True], [False, True, True]]), mx.array([[1.0, 2], [3, 4]])
    )
    assert out.tolist() == [[1, 0, 2], [0, 3, 4]]
    lines = mx.vmap(lambda x, i: mx.take_along_axis(x, i, axis=0))(
        mx.array([[1, 2, 3], [4, 5, 6]]), mx.array([[2], [0]])
    )
    assert lines.tolist() == [[3], [4]]


# ---------------------------------------------------------------------- accelerators


@pytest.mark.parametrize("clamp", [False, True])
def test_where_xla_orders_no_updates_losers_are_left_out(clamp: bool) -> None:
    """The lowering for accelerators, run on the CPU."""
    import jax

    accelerator = SimpleNamespace(lax=jax.lax, jnp=jax.numpy, platform="gpu")
    x = np.zeros((3, 2), np.float32)
    rows, columns = np.array([2, 0, 2, 9]), np.array([-1, 0, 1, 1])
    out = SCATTER.lower(accelerator, [x, np.array([1.0, 2, 3, 4], np.float32), rows, columns], (0, 1), 0, clamp)
    assert out.tolist() == [[2, 0], [0, 0], [0, 4 if clamp else 3]]

"""Functions that change shapes and move elements: values by hand or by NumPy, dtypes, errors, edge cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx
from mlx.runtime.compiler import Compiled

X = np.arange(24).reshape(2, 3, 4)


def same(actual: Any, expected: Any) -> None:
    expected = np.asarray(expected)
    assert actual.shape == expected.shape
    np.testing.assert_array_equal(np.array(actual), expected)


def a(shape: tuple[int, ...]) -> Any:
    return mx.zeros(shape)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: mx.reshape(x, (6, -1)), X.reshape(6, 4)),
        (lambda x: mx.reshape(x, [4, 3, 2]), X.reshape(4, 3, 2)),
        (lambda x: mx.flatten(x), X.ravel()),
        (lambda x: mx.flatten(x, 1), X.reshape(2, 12)),
        (lambda x: mx.flatten(x, -3, -2), X.reshape(6, 4)),
        (lambda x: mx.flatten(x, -9, 9), X.ravel()),
        (lambda x: mx.unflatten(x, -1, (2, -1)), X.reshape(2, 3, 2, 2)),
        (lambda x: mx.transpose(x), X.T),
        (lambda x: mx.transpose(x, (0, -1, 1)), X.transpose(0, 2, 1)),
        (lambda x: mx.permute_dims(x, [2, 0, 1]), X.transpose(2, 0, 1)),
        (lambda x: mx.matrix_transpose(x), X.swapaxes(1, 2)),
        (lambda x: mx.swapaxes(x, 0, -1), X.swapaxes(0, 2)),
        (lambda x: mx.moveaxis(x, 0, -1), np.moveaxis(X, 0, -1)),
        (lambda x: mx.expand_dims(x, (0, -1)), X[None, ..., None]),
        (lambda x: mx.expand_dims(x, ()), X),
        (lambda x: mx.squeeze(mx.expand_dims(x, (0, 2))), X),
        (lambda x: mx.squeeze(mx.expand_dims(x, (0, 2)), -3), X[None]),
        (lambda x: mx.broadcast_to(x, (2, 2, 3, 4)), np.broadcast_to(X, (2, 2, 3, 4))),
        (lambda x: mx.flip(x), np.flip(X)),
        (lambda x: mx.flip(x, [1, -1]), np.flip(X, (1, 2))),
        (lambda x: mx.flip(x, (0, 0)), np.flip(X, 0)),
        (lambda x: mx.roll(x, 5), np.roll(X, 5)),
        (lambda x: mx.roll(x, (1, 2)), np.roll(X, 3)),
        (lambda x: mx.roll(x, -7, 2), np.roll(X, -7, 2)),
        (lambda x: mx.roll(x, 1, (0, 1)), np.roll(X, (1, 1), (0, 1))),
        (lambda x: mx.roll(x, (1, 2), -1), np.roll(X, 3, -1)),
        (lambda x: mx.roll(x, (1, 2, 3), (0, 1)), np.roll(X, (1, 2), (0, 1))),
        (lambda x: mx.roll(x, (1, 2), (1, 1)), np.roll(X, 3, 1)),
        (lambda x: mx.roll(x, [], []), X),
        (lambda x: mx.repeat(x, 2), np.repeat(X, 2)),
        (lambda x: mx.repeat(x, 3, -2), np.repeat(X, 3, 1)),
        (lambda x: mx.repeat(x, 0, 0), np.repeat(X, 0, 0)),
        (lambda x: mx.repeat(x, 1), X.ravel()),
        (lambda x: mx.tile(x, 2), np.tile(X, 2)),
        (lambda x: mx.tile(x, (2, 1, 3)), np.tile(X, (2, 1, 3))),
        (lambda x: mx.tile(x, (2, 1, 1, 2)), np.tile(X, (2, 1, 1, 2))),
        (lambda x: mx.tile(x, ()), X),
        (lambda x: mx.tile(x, (1, 1, 1, 1)), X[None]),
        (lambda x: mx.tile(x, (0, 1)), np.tile(X, (0, 1))),
        (lambda x: mx.concatenate([x, x], -1), np.concatenate([X, X], -1)),
        (lambda x: mx.concatenate((x, x), None), np.concatenate([X, X], None)),
        (lambda x: mx.concat([x]), X),
        (lambda x: mx.stack([x, x], -1), np.stack([X, X], -1)),
        (lambda x: mx.stack([x, x], None), np.stack([X, X])),
        (lambda x: mx.stack([x]), X[None]),
        (lambda x: mx.pad(x, 1), np.pad(X, 1)),
        (lambda x: mx.pad(x, (1,)), np.pad(X, 1)),
        (lambda x: mx.pad(x, [1, 2]), np.pad(X, (1, 2))),
        (lambda x: mx.pad(x, [(1, 2)]), np.pad(X, (1, 2))),
        (lambda x: mx.pad(x, ((0, 1), (2, 0), (0, 0))), np.pad(X, ((0, 1), (2, 0), (0, 0)))),
        (lambda x: mx.pad(x, 1, constant_values=2.7), np.pad(X, 1, constant_values=2)),
        (lambda x: mx.pad(x, 1, constant_values=mx.array([5.5])), np.pad(X, 1, constant_values=5)),
        (lambda x: mx.pad(x, 0), X),
        (lambda x: mx.diff(x), np.diff(X)),
        (lambda x: mx.diff(x, 2, 1), np.diff(X, 2, 1)),
        (lambda x: mx.diff(x, 0), X),
        (lambda x: mx.diff(x, 9), np.diff(X, 9)),
        (lambda x: mx.kron(x, mx.array([1, 10])), np.kron(X, [1, 10])),
        (lambda x: mx.kron(x, x), np.kron(X, X)),
        (lambda x: mx.kron(mx.array(2), x), np.kron(2, X)),
        (lambda x: mx.as_strided(x), X),
        (lambda x: mx.as_strided(x, (3, 2)), X.ravel()[:6].reshape(3, 2)),
        (lambda x: mx.as_strided(mx.transpose(x), (3,), (1,)), X.T.ravel()[:3]),
        (lambda x: mx.contiguous(mx.transpose(x)), X.T),
    ],
)
@pytest.mark.parametrize("engine", ["numpy", "xla"])
def test_values(function: Any, expected: Any, engine: Any) -> None:
    with mx.engine(engine):
        actual = function(mx.array(X))
        mx.eval(actual)
    same(actual, expected)


@pytest.mark.parametrize("mode", ["edge", "reflect", "symmetric"])
@pytest.mark.parametrize("widths", [1, (2, 0), ((0, 3), (1, 1)), (5, 7), (13, 0)])
def test_pad_continues_as_numpy_does(mode: Any, widths: Any) -> None:
    x = np.arange(6).reshape(2, 3)
    same(mx.pad(mx.array(x), widths, mode), np.pad(x, widths, mode=mode))


def test_padding_with_a_number_in_double_precision() -> None:
    assert mx.pad(mx.array([1.0], mx.float64), 1, constant_values=0.1).tolist() == [0.1, 1.0, 0.1]
    for dtype in (mx.int32, mx.float16, mx.float32):
        assert mx.pad(mx.array([1]).astype(dtype), 1, constant_values=0.5).dtype == dtype


def test_pad_of_one_element_repeats_it() -> None:
    for mode in ("edge", "reflect", "symmetric"):
        same(mx.pad(mx.array([7]), (2, 3), mode), [7] * 6)


def test_shapes_with_nothing_in_them() -> None:
    empty = a((0, 3))
    assert mx.reshape(empty, (-1, 3)).shape == (0, 3)
    assert mx.reshape(empty, (5, 0, 2)).shape == (5, 0, 2)
    assert mx.flatten(empty).shape == (0,)
    assert mx.flatten(mx.array(1)).shape == (1,)
    assert mx.roll(empty, 1).shape == (0, 3)
    assert mx.repeat(empty, 2, 0).shape == (0, 3)
    assert mx.pad(empty, 1).shape == (2, 5)
    assert mx.pad(mx.array(1), 1).shape == ()
    assert mx.concatenate([empty, empty]).shape == (0, 3)
    assert [part.shape for part in mx.split(a((0,)), 2)] == [(0,), (0,)]
    assert mx.unstack(empty) == ()
    assert mx.as_strided(empty, (0, 5), (1, 1)).shape == (0, 5)
    assert mx.view(a((3, 0)), mx.int64).shape == (3, 0)
    assert mx.broadcast_to(mx.array(1), (0,)).shape == (0,)
    assert mx.diff(a((0,))).shape == (0,)


def test_atleast() -> None:
    number, vector, matrix = a(()), a((3,)), a((3, 2))
    assert mx.atleast_1d(number).shape == (1,)
    assert mx.atleast_2d(vector).shape == (1, 3)
    assert mx.atleast_3d(number).shape == (1, 1, 1)
    assert mx.atleast_3d(vector).shape == (1, 3, 1)
    assert mx.atleast_3d(matrix).shape == (3, 2, 1)
    assert mx.atleast_1d() == []
    both = mx.atleast_2d(number, matrix)
    assert [x.shape for x in both] == [(1, 1), (3, 2)]


def test_broadcasting_shapes_and_arrays() -> None:
    assert mx.broadcast_shapes((2, 1), [3], (1, 1, 1)) == (1, 2, 3)
    assert mx.broadcast_shapes((1,), (0,)) == (0,)
    x, y = mx.broadcast_arrays(a((3, 1, 2)), mx.ones((4, 1), mx.int8))
    assert x.shape == y.shape == (3, 4, 2)
    assert (x.dtype, y.dtype) == (mx.float32, mx.int8)
    assert mx.broadcast_arrays() == []


@pytest.mark.parametrize(
    ("indices", "expected"),
    [
        (3, [[0, 1], [2, 3], [4, 5]]),
        ((2, 4), [[0, 1], [2, 3], [4, 5]]),
        ([], [[0, 1, 2, 3, 4, 5]]),
        ((2, 10), [[0, 1], [2, 3, 4, 5], []]),
        ((4, 2), [[0, 1, 2, 3], [], [2, 3, 4, 5]]),
        ((-1,), [[0, 1, 2, 3, 4], [5]]),
        ((-9,), [[], [0, 1, 2, 3, 4, 5]]),
        ((-2, 2), [[0, 1, 2, 3], [], [2, 3, 4, 5]]),
    ],
)
def test_split(indices: Any, expected: Any) -> None:
    assert [part.tolist() for part in mx.split(mx.array([0, 1, 2, 3, 4, 5]), indices)] == expected


def test_split_along_another_axis_and_unstack() -> None:
    for part, expected in zip(mx.split(mx.array(X), 2, -1), np.split(X, 2, -1), strict=True):
        same(part, expected)
    parts = mx.unstack(mx.array(X), axis=1)
    assert isinstance(parts, tuple)
    for i, part in enumerate(parts):
        same(part, X[:, i])


def test_joining_promotes() -> None:
    halves = [mx.zeros((2,), mx.float16), mx.zeros((2,), mx.bfloat16)]
    assert mx.concatenate(halves).dtype == mx.float32
    assert mx.concatenate([mx.zeros((2,)), mx.array([1, 2])]).dtype == mx.float32
    assert mx.stack([mx.array([1], mx.uint8), mx.array([1], mx.int8)]).dtype == mx.int16
    assert mx.stack([mx.array([1]), mx.array([1j])]).dtype == mx.complex64
    assert mx.concatenate([mx.array([True]), mx.array([False])]).dtype == mx.bool_


def test_kron_and_diff_dtypes() -> None:
    assert mx.kron(mx.array([1], mx.uint8), mx.array([1.5])).dtype == mx.float32
    assert mx.diff(mx.array([1, 0, 3], mx.uint8)).tolist() == [255, 3]
    differences = mx.diff(mx.array([True, False, True, True]))
    assert differences.dtype == mx.bool_
    assert differences.tolist() == [True, True, False]


def test_view() -> None:
    assert mx.view(mx.array([1.0, 2.0]), mx.int16).tolist() == [0, 16256, 0, 16384]
    assert mx.view(mx.array([[1, 2], [3, 4]]), mx.int64).tolist() == [[8589934593], [17179869187]]
    assert mx.view(1.0, mx.int32).item() == 1065353216
    assert mx.view(mx.array([True, False, True, True]), mx.int32).tolist() == [16842753]
    assert mx.view(mx.array([1 + 2j]), mx.float32).tolist() == [1.0, 2.0]
    assert mx.view(mx.array([1.0, 2.0]), mx.complex64).tolist() == [1 + 2j]
    assert mx.view(mx.array([1.0, 2.0], mx.bfloat16), mx.float16).tolist() == [1.875, 2.0]
    assert mx.view(mx.array([2, 0, 1], mx.uint8), mx.bool_).tolist() == [True, False, True]
    assert mx.view(mx.transpose(mx.array([[0, 1], [2, 3]])), mx.int16).tolist() == [[0, 0, 2, 0], [1, 0, 3, 0]]


def test_view_as_its_own_dtype_passes_the_gradient() -> None:
    assert mx.grad(lambda x: mx.view(x, mx.float32).sum())(mx.array([1.0])).tolist() == [1.0]


def test_slices_at_computed_starts() -> None:
    x = mx.array(X)
    same(mx.slice(x, mx.array([1, 2, 3]), (0, 1, 2), (1, 1, 1)), X[1:2, 2:3, 3:4])
    same(mx.slice(x, mx.array(1), (-2,), (2, 2, 4)), X[:, 1:3])
    same(mx.slice(x, mx.array([9], mx.uint8), (2,), (2, 3, 2)), X[:, :, 2:])
    same(mx.slice(x, mx.array([2, 1]), (2, 1), (1, 2, 2)), X[:1, 1:3, 2:])
    out = X.copy()
    out[:, 1:3, :] = 7
    same(mx.slice_update(x, mx.full((2, 2, 4), 7.9), mx.array([1]), [1]), out)


def test_updates_with_fewer_axes() -> None:
    x = mx.zeros((3, 4), mx.int32)
    row = mx.array([1, 2])
    assert mx.slice_update(x, row, mx.array([1]), [1]).tolist() == [[0, 1, 2, 0]] * 3
    assert mx.slice_update(x, row, mx.array([1]), [0]).tolist() == [[0] * 4, [1, 2, 0, 0], [0] * 4]
    assert mx.slice_update(x, mx.array(5), mx.array([1, 2]), [0, 1]).tolist() == [[0] * 4, [0, 0, 5, 0], [0] * 4]
    assert mx.slice_update(x, mx.array(5), mx.array([2]), [1]).tolist() == [[0, 0, 5, 0]] * 3


def test_batched_starts_are_each_their_own() -> None:
    x = mx.array(np.arange(12.0).reshape(2, 6))
    starts = mx.array([[1], [3]])

    def window(row: Any, start: Any) -> Any:
        return mx.slice(row, start, (0,), (2,))

    for engine in ("numpy", "xla"):
        with mx.engine(engine):
            assert mx.vmap(window)(x, starts).tolist() == [[1, 2], [9, 10]]
            assert mx.vmap(window, in_axes=(None, 0))(x[0], starts).tolist() == [[1, 2], [3, 4]]
            written = mx.vmap(lambda row, start: mx.slice_update(row, mx.zeros((2,)), start, (0,)))(x, starts)
            assert written.tolist() == [[0, 0, 0, 3, 4, 5], [6, 7, 8, 0, 0, 11]]


def test_overlapping_windows_add_their_gradients() -> None:
    weight = mx.array(np.arange(9.0).reshape(3, 3))
    gradient = mx.grad(lambda x: (mx.as_strided(x, (3, 3), (1, 1)) * weight).sum())(mx.zeros((6,)))
    assert gradient.tolist() == [0.0, 4.0, 12.0, 12.0, 8.0, 0.0]


def test_gradients_go_where_elements_came_from() -> None:
    x = mx.array([1.0, 2.0, 3.0])
    assert mx.grad(lambda x: (mx.tile(x, 2) * mx.array([1.0, 2, 3, 4, 5, 6])).sum())(x).tolist() == [5, 7, 9]
    assert mx.grad(lambda x: (mx.repeat(x, 2) * mx.array([1.0, 2, 3, 4, 5, 6])).sum())(x).tolist() == [3, 7, 11]
    assert mx.grad(lambda x: (mx.pad(x, 1, "reflect") * mx.array([1.0, 2, 3, 4, 5])).sum())(x).tolist() == [2, 9, 4]
    assert mx.grad(lambda x: (mx.pad(x, 2, "edge") * mx.array([1.0, 2, 3, 4, 5, 6, 7])).sum())(x).tolist() == [6, 4, 18]
    assert mx.grad(lambda c: mx.pad(x, (1, 2), constant_values=c).sum())(mx.array(5.0)).item() == 3
    assert mx.grad(lambda x: mx.diff(x).sum())(x).tolist() == [-1, 0, 1]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: mx.reshape(a((6,)), (4, -1)), ValueError, r"\[reshape\] Cannot reshape array of size 6 into"),
        (lambda: mx.reshape(a((6,)), (2, 2)), ValueError, r"\[reshape\] Cannot reshape"),
        (lambda: mx.reshape(a((6,)), (-2, -3)), ValueError, r"\[reshape\] Cannot reshape"),
        (lambda: mx.reshape(a((6,)), (-1, -1)), ValueError, r"\[reshape\] Can only infer one dimension"),
        (lambda: mx.reshape(a((0,)), (0, -1)), ValueError, r"\[reshape\] Cannot infer"),
        (lambda: mx.reshape(a((6,)), 6), TypeError, r"\[reshape\] shape must be a sequence of ints"),
        (lambda: mx.reshape(a((6,)), (2.0, 3)), TypeError, r"\[reshape\] shape must be a sequence of ints"),
        (lambda: mx.reshape([1, 2], (2, 1)), TypeError, r"\[reshape\] a must be an mx.array, got list"),
        (lambda: mx.reshape(a((4,)), (2**31,)), OverflowError, "2147483648"),
        (lambda: mx.flatten(a((2, 3)), 1, 0), ValueError, r"\[flatten\] start_axis must be less"),
        (lambda: mx.unflatten(a((2, 6)), 1, (4, -1)), ValueError, r"\[unflatten\]"),
        (lambda: mx.unflatten(a((2, 6)), 1, ()), ValueError, r"\[unflatten\]"),
        (lambda: mx.unflatten(a((2, 6)), 2, (2, 3)), IndexError, r"\[unflatten\] Invalid axis 2"),
        (lambda: mx.transpose(a((2, 3)), (0,)), ValueError, r"\[transpose\] Received 1 axes"),
        (lambda: mx.transpose(a((2, 3)), (0, 0)), ValueError, r"\[transpose\] Received duplicate axes"),
        (lambda: mx.transpose(a((2, 3)), (0, 5)), IndexError, r"\[transpose\] Invalid axis 5"),
        (lambda: mx.matrix_transpose(a((2,))), ValueError, r"\[matrix_transpose\]"),
        (lambda: mx.moveaxis(a((2, 3)), 0, 2), IndexError, r"\[moveaxis\] Invalid axis 2"),
        (lambda: mx.swapaxes(a((2, 3)), 0, 7), IndexError, r"\[swapaxes\] Invalid axis 7"),
        (lambda: mx.expand_dims(a((2,)), (0, 0)), ValueError, r"\[expand_dims\] Received duplicate axes"),
        (lambda: mx.expand_dims(a((2,)), 5), IndexError, r"\[expand_dims\] Invalid axis 5"),
        (lambda: mx.squeeze(a((1, 2)), 1), ValueError, r"\[squeeze\] Cannot squeeze axis 1 with size 2"),
        (lambda: mx.squeeze(a((1, 2)), (0, -2)), ValueError, r"\[squeeze\] Received duplicate axes"),
        (lambda: mx.squeeze(a((1, 2)), 3), IndexError, r"\[squeeze\] Invalid axis 3"),
        (lambda: mx.broadcast_to(a((3,)), (2, 4)), ValueError, r"cannot be broadcast"),
        (lambda: mx.broadcast_to(a((2, 3)), (3,)), ValueError, r"\[broadcast_to\] Cannot broadcast"),
        (lambda: mx.broadcast_to(a((1,)), (-1,)), ValueError, r"\[broadcast_to\] Negative dimensions"),
        (lambda: mx.broadcast_to([1, 2], (2,)), ValueError, r"\[broadcast_to\] a must be an array or a number"),
        (lambda: mx.broadcast_shapes(), ValueError, r"\[broadcast_shapes\] Must provide"),
        (lambda: mx.broadcast_shapes((2,), (3,)), ValueError, r"\[broadcast_shapes\] Shapes"),
        (lambda: mx.broadcast_arrays(a((2,)), 3), TypeError, r"\[broadcast_arrays\] arrays\[1\]"),
        (lambda: mx.concatenate([]), ValueError, r"\[concatenate\] No arrays"),
        (lambda: mx.concatenate([a((2, 3)), a((2, 4))]), ValueError, r"\[concatenate\] All the input array dim"),
        (lambda: mx.concatenate([a((2, 3)), a((4,))]), ValueError, r"\[concatenate\]"),
        (lambda: mx.concatenate([a((2,)), a((2,))], 1), IndexError, r"\[concatenate\] Invalid axis 1"),
        (lambda: mx.concatenate([a(()), a(())]), IndexError, r"\[concatenate\] Invalid axis 0"),
        (lambda: mx.concatenate([a((2,)), [1.0]]), TypeError, r"\[concatenate\] arrays\[1\]"),
        (lambda: mx.concatenate([a((2**30,))] * 3), OverflowError, "3221225472"),
        (lambda: mx.stack([]), ValueError, r"\[stack\] No arrays"),
        (lambda: mx.stack([a((2,)), a((3,))]), ValueError, r"\[stack\] All arrays must have the same shape"),
        (lambda: mx.stack([a((2,)), a((2,))], 2), IndexError, r"\[stack\] Invalid axis 2"),
        (lambda: mx.unstack(a(())), IndexError, r"\[unstack\] Invalid axis 0"),
        (lambda: mx.split(a((6,)), 4), ValueError, r"\[split\] Array split does not result in"),
        (lambda: mx.split(a((6,)), 0), ValueError, r"\[split\] The number of parts"),
        (lambda: mx.split(a((6,)), 2, 1), IndexError, r"\[split\] Invalid axis 1"),
        (lambda: mx.repeat(a((6,)), -1), ValueError, r"\[repeat\] Number of repeats"),
        (lambda: mx.repeat(a((6,)), 2, 1), IndexError, r"\[repeat\] Invalid axis 1"),
        (lambda: mx.repeat(a((2**30,)), 2), OverflowError, "2147483648"),
        (lambda: mx.tile(a((6,)), -1), ValueError, r"\[tile\] Numbers of repetitions"),
        (lambda: mx.roll(a((2, 3)), (1,), (0, 1)), ValueError, r"\[roll\] At least one shift value per axis"),
        (lambda: mx.roll(a((2, 3)), 1, 2), IndexError, r"\[roll\] Invalid axis 2"),
        (lambda: mx.flip(a((2, 3)), 2), IndexError, r"\[flip\] Invalid axis 2"),
        (lambda: mx.pad(a((3,)), -1), ValueError, r"\[pad\] Widths must not be negative"),
        (lambda: mx.pad(a((3,)), [(1, 2)] * 3), ValueError, r"\[pad\] Got 3 pairs of widths"),
        (lambda: mx.pad(a((3,)), (1, 2, 3)), TypeError, r"\[pad\] pad_width must be"),
        (lambda: mx.pad(a((3,)), [(1,), (2,)]), TypeError, r"\[pad\] pad_width must hold pairs"),
        (lambda: mx.pad(a((3,)), 1, "wrap"), ValueError, r"\[pad\] Invalid padding mode 'wrap'"),
        (lambda: mx.pad(a((0,)), 1, "reflect"), ValueError, r"\[pad\] Cannot pad empty axis 0"),
        (lambda: mx.pad(a((3,)), 1, constant_values=a((2,))), ValueError, r"\[pad\] constant_values"),
        (lambda: mx.diff(a((3,)), -1), ValueError, r"\[diff\] The order n"),
        (lambda: mx.diff(a(())), IndexError, r"\[diff\] Invalid axis -1"),
        (lambda: mx.kron(a((0,)), a((2,))), ValueError, r"\[kron\] Input arrays cannot be empty"),
        (lambda: mx.kron(2, a((2,))), TypeError, r"\[kron\] a must be an mx.array"),
        (lambda: mx.kron(a((2**16,)), a((2**16,))), OverflowError, "4294967296"),
        (lambda: mx.view(a((3,)), mx.int64), ValueError, r"\[view\] The 12 bytes of the last axis"),
        (lambda: mx.view(a(()), mx.int64), ValueError, r"\[view\] An array without axes"),
        (lambda: mx.view(a((3,)), None), TypeError, r"\[view\] dtype must be a Dtype"),
        (lambda: mx.as_strided(a((5,)), (3, 3), (1, 2)), ValueError, r"\[as_strided\] .* to 6, but the array has 5"),
        (lambda: mx.as_strided(a((5,)), (2,), (-1,)), ValueError, r"\[as_strided\] .* from position -1"),
        (lambda: mx.as_strided(a((5,)), (2, 2), (1,)), ValueError, r"\[as_strided\] Got 1 strides"),
        (lambda: mx.slice(a((3, 4)), mx.array([1]), [0], [2]), ValueError, r"\[slice\] Invalid slice size"),
        (lambda: mx.slice(a((3, 4)), mx.array([1]), [0], [4, 2]), ValueError, r"\[slice\] Invalid slice size"),
        (lambda: mx.slice(a((3, 4)), mx.array([1]), [2], [2, 2]), IndexError, r"\[slice\] Invalid axis 2"),
        (lambda: mx.slice(a((3, 4)), mx.array([1, 1]), [0], [2, 2]), ValueError, r"\[slice\] Number of starting"),
        (lambda: mx.slice(a((3, 4)), mx.array([1, 1]), [0, 0], [2, 2]), ValueError, r"\[slice\] .* duplicate"),
        (lambda: mx.slice(a((3, 4)), mx.array([1.0]), [0], [2, 2]), ValueError, r"\[slice\] Start indices must be int"),
        (lambda: mx.slice(a((3, 4)), mx.array([[1]]), [0], [2, 2]), ValueError, r"\[slice\] Start indices must have"),
        (lambda: mx.slice(a((3, 4)), [1], [0], [2, 2]), TypeError, r"\[slice\] start_indices must be an mx.array"),
        (lambda: mx.slice_update(a((2,)), a((3,)), mx.array([0]), [0]), ValueError, r"\[slice_update\] Invalid"),
    ],
)
def test_errors(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_an_axis_out_of_range_is_an_index_error_and_a_value_error() -> None:
    for error in (IndexError, ValueError):
        with pytest.raises(error, match=r"\[flip\] Invalid axis 2 for array with 1 dimensions"):
            mx.flip(a((3,)), 2)


def count_compilations(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    compiled: list[Any] = []
    compile_once = Compiled._compile

    def counted(self: Compiled, arguments: list[Any]) -> Any:
        compiled.append(self)
        return compile_once(self, arguments)

    monkeypatch.setattr(Compiled, "_compile", counted)
    return compiled


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x, i: mx.split(x, [i, i + 3], 1)[1], lambda x, i: x[:, i : i + 3]),
        (lambda x, i: mx.roll(x, (i, -i), (0, 1)), lambda x, i: np.roll(x, (i, -i), (0, 1))),
        (lambda x, i: mx.pad(x, ((i, 9 - i), (9 - i, i))), lambda x, i: np.pad(x, ((i, 9 - i), (9 - i, i)))),
        (
            lambda x, i: mx.grad(lambda x: (mx.split(x, [i, i + 3], 1)[1] * 2.5).sum())(x),
            lambda x, i: np.pad(np.full((4, 3), 2.5), ((0, 0), (i, 7 - i))),
        ),
    ],
)
def test_changing_numbers_compile_at_most_twice(function: Any, expected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = count_compilations(monkeypatch)
    x = np.arange(40, dtype=np.float32).reshape(4, 10)
    with mx.engine("xla"):
        for i in range(1, 7):
            actual = function(mx.array(x), i)
            mx.eval(actual)
            same(actual, expected(x, i))
    assert len(compiled) <= 2

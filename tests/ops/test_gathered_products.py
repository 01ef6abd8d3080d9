"""Products of matrices that indices pick from stacks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx
from mlx.primitives import gathered_matmul

ENGINES = ("numpy", "xla")


def numbers(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def picked_product(a: Any, b: Any, lhs: Any, rhs: Any) -> Any:
    """The definition, with copies of all that is picked."""
    a, b = a.reshape(-1, *a.shape[-2:]), b.reshape(-1, *b.shape[-2:])
    lhs, rhs = np.broadcast_arrays(lhs, rhs)
    return np.take(a, lhs, 0) @ np.take(b, rhs, 0)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("columns", [2, 5])
def test_both_operands_are_picked(engine: str, columns: int) -> None:
    a, b = numbers(4, 2, 3, 6), numbers(4, 1, 6, columns, seed=1)
    lhs, rhs = np.array([[7, 6], [4, 1], [0, 2]]), np.array([[2], [0], [1]])
    with mx.engine(engine):
        out = mx.gather_mm(mx.array(a), mx.array(b), mx.array(lhs, mx.uint32), mx.array(rhs, mx.int8))
        np.testing.assert_allclose(out, picked_product(a, b, lhs, rhs), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_without_indices_batch_axes_pick(engine: str) -> None:
    a, b = numbers(2, 1, 3, 6), numbers(3, 6, 4, seed=1)
    with mx.engine(engine):
        np.testing.assert_allclose(mx.gather_mm(mx.array(a), mx.array(b)), a @ b, rtol=1e-5, atol=1e-5)
        out = mx.gather_mm(mx.array(a), mx.array(b), None, mx.array([[0, 2], [1, 1]]))
        expected = picked_product(a, b, np.array([[0], [1]]), np.array([[0, 2], [1, 1]]))
        np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


def test_indices_count_from_the_end_and_stop_at_the_ends() -> None:
    a, b = numbers(4, 3, 5), numbers(6, 5, 2, seed=1)
    out = mx.gather_mm(mx.array(a), mx.array(b), mx.array([-1, 9]), mx.array([-6, -9]))
    np.testing.assert_allclose(out, a[[3, 3]] @ b[[0, 0]], rtol=1e-5, atol=1e-5)


def test_vectors() -> None:
    a, b = numbers(5), numbers(6, 5, 2, seed=1)
    index = mx.array([4, 0, 0])
    np.testing.assert_allclose(mx.gather_mm(mx.array(a), mx.array(b), None, index), a @ b[[4, 0, 0]], rtol=1e-5)
    stack = mx.array(b).swapaxes(-1, -2)
    np.testing.assert_allclose(mx.gather_mm(stack, mx.array(a), index), (a @ b[[4, 0, 0]]), rtol=1e-5)


def test_shapes_and_dtypes() -> None:
    a, b, index = mx.ones((4, 3, 5)), mx.ones((6, 5, 2)), mx.array([0, 1])
    assert mx.gather_mm(a, b, index[:, None], index).shape == (2, 2, 3, 2)
    assert mx.gather_mm(a, b, mx.array(0), mx.array(1)).shape == (3, 2)
    assert mx.gather_mm(a, b, index[:0], index[:0]).shape == (0, 3, 2)
    for left, right, expected in [
        (mx.float16, mx.float16, mx.float16),
        (mx.float16, mx.float32, mx.float32),
        (mx.int32, mx.bfloat16, mx.bfloat16),
    ]:
        assert mx.gather_mm(a.astype(left), b.astype(right), index, index).dtype == expected


@pytest.mark.parametrize("engine", ENGINES)
def test_gradients_are_those_of_the_definition(engine: str) -> None:
    a, b = mx.array(numbers(9, 1, 6)), mx.array(numbers(4, 6, 5, seed=1))
    index = mx.array([3, 0, 3, 1, 1, 3, 0, 0, 3])
    cotangent = mx.array(numbers(9, 1, 5, seed=2))
    with mx.engine(engine):
        _, expected = mx.vjp(lambda a, b: a @ b[index], [a, b], [cotangent])
        for order in (False, True):
            where = mx.argsort(index) if order else mx.arange(9)
            _, pulled = mx.vjp(
                lambda a, b: mx.gather_mm(a[where], b, None, index[where], sorted_indices=order),  # noqa: B023
                [a, b],
                [cotangent[where]],
            )
            for mine, theirs in zip(pulled, expected, strict=True):
                np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_chunks_of_entries_give_the_same(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathered_matmul, "_CHUNK_BYTES", 4 * 4 * 6 * 7)  # four entries of the nine
    a, b = mx.array(numbers(9, 2, 6)), mx.array(numbers(5, 6, 7, seed=1))
    index = mx.array([3, 0, 4, 1, 1, 3, 0, 0, 3])
    with mx.engine(engine):
        out, (da, db) = mx.vjp(lambda a, b: mx.gather_mm(a, b, None, index), [a, b], [mx.ones((9, 2, 7))])
        expected, (ea, eb) = mx.vjp(lambda a, b: a @ b[index], [a, b], [mx.ones((9, 2, 7))])
        for mine, theirs in [(out[0], expected[0]), (da, ea), (db, eb)]:
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)


def test_one_trace_serves_other_sizes() -> None:
    b, index = mx.array(numbers(4, 8, 16)), mx.array([0, 3, 2, 3])
    calls = []

    @mx.compile
    def never_shapeless(x: Any) -> Any:
        return mx.gather_mm(x, b, index, index)

    def product(x: Any) -> Any:
        calls.append(x.shape)
        return mx.gather_mm(x, b, index, index)

    compiled = mx.compile(product, shapeless=True)
    for rows in (4, 8, 11):
        x = mx.array(numbers(4, rows, 8, seed=rows))
        np.testing.assert_allclose(compiled(x), never_shapeless(x), rtol=1e-5, atol=1e-5)
    assert len(calls) == 1


def test_vmap_over_every_operand() -> None:
    a, b = mx.array(numbers(3, 4, 2, 6)), mx.array(numbers(3, 5, 6, 7, seed=1))
    index = mx.array([[0, 4, 1, 1], [2, 2, 2, 3], [4, 3, 0, -1]])

    def product(a: Any, b: Any, i: Any) -> Any:
        return mx.gather_mm(a, b, None, i)

    for axes in [(0, None, None), (None, 0, None), (None, None, 0), (0, 0, None), (0, 0, 0)]:
        arguments = [x if axis == 0 else x[0] for x, axis in zip((a, b, index), axes, strict=True)]
        expected = [
            product(*(x[k] if axis == 0 else x for x, axis in zip(arguments, axes, strict=True))) for k in range(3)
        ]
        np.testing.assert_allclose(mx.vmap(product, axes)(*arguments), mx.stack(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"rhs_indices": mx.array([0.0])}, ValueError, "Indices must be integral"),
        ({"rhs_indices": mx.array([True])}, ValueError, "Indices must be integral"),
        ({"rhs_indices": [0, 1]}, TypeError, "rhs_indices must be an mx.array"),
        ({"lhs_indices": mx.array([0, 1]), "rhs_indices": mx.array([0, 1, 2])}, ValueError, "cannot be broadcast"),
        ({}, ValueError, "cannot be broadcast"),
        ({"b": mx.ones((6, 4, 2))}, ValueError, "must match second to last"),
        ({"a": mx.array(1.0)}, ValueError, "has no axes"),
        ({"a": mx.ones((4, 3, 5), mx.int32), "b": mx.ones((6, 5, 2), mx.int32)}, ValueError, "int32"),
        ({"a": mx.ones((4, 3, 5), mx.complex64)}, ValueError, "complex64"),
        ({"b": mx.ones((0, 5, 2)), "rhs_indices": mx.array([0])}, ValueError, "empty"),
    ],
)
def test_bad_arguments(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments = {"a": mx.ones((4, 3, 5)), "b": mx.ones((6, 5, 2)), **change}
    with pytest.raises(error, match=message) as caught:
        mx.gather_mm(arguments.pop("a"), arguments.pop("b"), **arguments)
    assert str(caught.value).startswith(("[gather_mm]", "[broadcast_shapes]"))

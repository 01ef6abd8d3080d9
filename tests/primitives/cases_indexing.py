"""Gather, the scatters and assignment by masks: through indexing, `.at` and the functions along an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from case import ALL, Case, sample

import mlx.core as mx

X = sample(3, 4, 2)
ROW = np.array([2, 0, -1])
PAIRS = np.array([[0, -1], [1, 1]])
NONE = np.zeros((0,), np.int64)
REPEATED = np.array([1, -2, 1, 0])  # for an axis of extent 3: places 1, 1, 1, 0
DISTINCT = np.array([2, -3])
NUMBERS = tuple(dtype for dtype in ALL if dtype != "bool")


def assign(key: Callable[..., Any]) -> Callable[..., Any]:
    """`x[key(*indices)] = value` as a function of x, value and the indices."""

    def function(x: Any, value: Any, *indices: Any) -> Any:
        x = x.copy() if isinstance(x, np.ndarray) else mx.array(x)
        x[key(*indices)] = value
        return x

    return function


def update(method: str, ufunc: Any, key: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """`x.at[key(*indices)].method(value)` and what it means in NumPy, likewise."""

    def reference(x: np.ndarray, value: np.ndarray, *indices: np.ndarray) -> np.ndarray:
        x = np.array(x)
        ufunc.at(x, key(*indices), value)
        return x

    return {
        "function": lambda x, value, *indices: getattr(x.at[key(*indices)], method)(value),
        "reference": reference,
    }


def put(x: np.ndarray, indices: np.ndarray, values: np.ndarray) -> np.ndarray:
    x = x.copy()
    np.put_along_axis(x, indices, values, 1)
    return x


def masked(x: np.ndarray, values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    x = x.copy()
    x[mask] = values[: mask.sum()]
    return x


GATHERS = [
    Case("gather", lambda x, i: x[i], (X, PAIRS), dtypes=ALL, cast=(0,), reference=lambda x, i: x[i]),
    Case("gather", lambda x, i: x[:, i], (X, ROW), dtypes=ALL, cast=(0,), reference=lambda x, i: x[:, i], label="axis"),
    Case(
        "gather",
        lambda x, i, j: x[i, 1:3, j],
        (X, PAIRS, DISTINCT - 1),
        cast=(0,),
        reference=lambda x, i, j: x[i, 1:3, np.clip(j, -2, 1)],
        label="apart and clamped",
    ),
    Case(
        "gather",
        lambda x, i, j: x[::-1, i, None, j[:, None]],
        (sample(2, 3, 4), ROW, np.array([1, 0])),
        cast=(0,),
        reference=lambda x, i, j: x[::-1, i, None, j[:, None]],
        label="broadcast",
    ),
    Case(
        "gather",
        lambda x, i: x.transpose(2, 0, 1)[0, i],
        (X, np.array(2)),
        cast=(0,),
        reference=lambda x, i: x.transpose(2, 0, 1)[0, i],
        label="0-d and strided",
    ),
    Case(
        "gather",
        lambda x, i: mx.take_along_axis(x, i, 1),
        (X, np.array([[[0, -1], [2, 3], [3, 2]]])),
        dtypes=ALL,
        cast=(0,),
        reference=lambda x, i: np.take_along_axis(x, np.broadcast_to(i, (3, 3, 2)), 1),
        label="along",
    ),
    Case(
        "gather",
        lambda x, i: x[:, i],
        (X, NONE),
        dtypes=ALL,
        cast=(0,),
        reference=lambda x, i: x[:, i],
        label="of none",
    ),
    Case(
        "gather",
        lambda x, i: x[i],
        (np.zeros((3, 0)), ROW),
        wrt=(),
        cast=(0,),
        reference=lambda x, i: x[i],
        label="of empty rows",
    ),
    Case(
        "gather",
        lambda x, i: x[i],
        (X, np.array([1, 2, 0])),
        wrt=(),
        cast=(1,),
        dtypes=("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
        reference=lambda x, i: x[i],
        label="index dtypes",
    ),
    Case(
        "gather",
        lambda x, i: x[i],
        (X, np.array([2, -1, -3])),
        wrt=(),
        cast=(1,),
        dtypes=("int8", "int16", "int32", "int64"),
        reference=lambda x, i: x[i],
        label="negative index dtypes",
    ),
    Case(
        "gather",
        lambda x, i: (x * x)[i],
        (X, np.array([7, -9, 1])),
        cast=(0,),
        reference=lambda x, i: (x * x)[np.clip(i, -3, 2)],
        label="outside",
    ),
]

SETS = [
    Case(
        "scatter",
        assign(lambda i: (slice(None), i)),
        (X, sample(3, 4, 2, seed=1), np.array([1, -3, 0, 1])),
        wrt=(0, 1),
        dtypes=ALL,
        cast=(0, 1),
        reference=assign(lambda i: (slice(None), i)),
        label="the last counts",
    ),
    Case(
        "scatter",
        assign(lambda i, j: (i, slice(None, None, -2), j)),
        (X, sample(2, 2, seed=1), DISTINCT, np.array([0, 1])),
        wrt=(0, 1),
        cast=(0, 1),
        reference=assign(lambda i, j: (i, slice(None, None, -2), j)),
        label="apart",
    ),
    Case(
        "scatter",
        assign(lambda i: i),
        (X, sample(4, 2, seed=1), np.array(1)),
        wrt=(0, 1),
        cast=(0, 1),
        reference=assign(lambda i: i),
        label="0-d",
    ),
    Case(
        "scatter",
        assign(lambda i: i),
        (sample(3), sample(4, seed=1), np.array([5, 1, -4, 0])),
        wrt=(0, 1),
        cast=(0, 1),
        reference=lambda x, u, i: np.array([u[3], u[1], x[2]]),
        label="outside",
    ),
    Case(
        "scatter",
        lambda x, i, v: mx.put_along_axis(x, i, v, 1),
        (X, np.array([[[0, 3], [-1, 3]], [[2, 0], [1, 1]], [[0, 1], [0, 1]]]), sample(3, 2, 2, seed=1)),
        wrt=(0, 2),
        dtypes=ALL,
        cast=(0, 2),
        reference=put,
        label="along",
    ),
    Case(
        "scatter",
        assign(lambda i: i),
        (X, np.zeros((0, 4, 2)), NONE),
        wrt=(0, 1),
        cast=(0, 1),
        reference=lambda x, u, i: x,
        label="of none",
    ),
]

COMBINING = [
    Case(
        primitive,
        **update(method, ufunc, lambda i: (slice(None), i)),
        inputs=(sample(2, 3, 2), sample(2, 4, 2, seed=1), REPEATED),
        wrt=(0, 1),
        dtypes=ALL,
        cast=(0, 1),
        label="repeated",
    )
    for primitive, method, ufunc in (
        ("scatter_add", "add", np.add),
        ("scatter_multiply", "multiply", np.multiply),
        ("scatter_maximum", "maximum", np.maximum),
        ("scatter_minimum", "minimum", np.minimum),
    )
]

APART = update("add", np.add, lambda i, j: (i, slice(1, 3), j))
LONE = update("multiply", np.multiply, lambda i: (i, 2))
EMPTY = update("maximum", np.maximum, lambda i: i)

OTHERS = [
    Case(
        "scatter_add",
        **APART,
        inputs=(X, sample(2, 2, 2, seed=1), PAIRS, np.array([0, 1])),
        wrt=(0, 1),
        cast=(0, 1),
        label="apart",
    ),
    Case(
        "scatter_multiply",
        **LONE,
        inputs=(X, sample(2, seed=1), np.array(-2)),
        wrt=(0, 1),
        cast=(0, 1),
        label="0-d",
    ),
    Case(
        "scatter_maximum",
        **EMPTY,
        inputs=(X, np.zeros((0, 4, 2)), NONE),
        wrt=(0, 1),
        cast=(0, 1),
        label="of none",
    ),
    Case(
        "scatter_add",
        lambda x, u, i: x.at[i].subtract(u),
        (X, sample(3, 4, 2, seed=1), np.array([0, 0, 1])),
        wrt=(0, 1),
        dtypes=NUMBERS,
        cast=(0, 1),
        reference=lambda x, u, i: np.stack([x[0] - u[0] - u[1], x[1] - u[2], x[2]]),
        label="subtract",
    ),
    Case(
        "scatter_multiply",
        lambda x, u, i: x.at[i].divide(u),
        (X, sample(3, 4, 2, seed=1, low=1.0, high=3.0), np.array([0, 0, 1])),
        wrt=(0, 1),
        dtypes=("float16", "bfloat16", "float32", "float64", "complex64"),
        cast=(0, 1),
        reference=lambda x, u, i: np.stack([x[0] / u[0] / u[1], x[1] / u[2], x[2]]),
        label="divide",
    ),
    Case(
        "scatter_add",
        lambda x, u, i: x.at[i].add(u),
        (sample(3), sample(4, seed=1), np.array([5, 1, -4, 1])),
        wrt=(0, 1),
        cast=(0, 1),
        reference=lambda x, u, i: np.array([x[0], x[1] + u[1] + u[3], x[2]]),
        label="outside",
    ),
    Case(
        "select",
        lambda x, values, mask: assign(lambda m: m)(x, values, mask),
        (X, sample(8, 2, seed=1), np.array([[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 1]], bool)),
        wrt=(),
        dtypes=ALL,
        cast=(0, 1),
        reference=masked,
        label="assigned by a mask in every dtype",
    ),
    Case(
        "select",
        assign(lambda mask: mask),
        (X, sample(8, 2, seed=1), np.array([[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 1]], bool)),
        wrt=(0, 1),
        cast=(0, 1),
        reference=masked,
        label="assigned by a mask",
    ),
]

CASES = [*GATHERS, *SETS, *COMBINING, *OTHERS]

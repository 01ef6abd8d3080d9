"""Cases of sorting, of the positions that sort, of the largest elements and of search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from case import ALL, FLOATS, Case, sample
from cases_reductions import INEXACT, SMALL
from cases_shape import flat, flat_numpy

import mlx.core as mx

EMPTY = np.zeros((0, 3))
SPECIAL = np.array([[np.nan, 1.0, -np.inf, -0.0], [np.inf, np.nan, 0.0, np.nan], [-0.0, 0.0, -1.0, 1.0]])
LONG = np.random.default_rng(3).integers(0, 60, (2, 90))


def ordered(arrange: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, empty: flat(
        arrange(x), arrange(x, 0), arrange(x.T), arrange(x[::2, 1:], 0), arrange(x, None), arrange(empty, 0)
    )


def ordered_numpy(arrange: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, empty: flat_numpy(
        arrange(x), arrange(x, 0), arrange(x.T), arrange(x[::2, 1:], 0), arrange(x, None), arrange(empty, 0)
    )


def sort_numpy(x: Any, axis: Any = -1) -> Any:
    return np.sort(x, axis)


def argsort_numpy(x: Any, axis: Any = -1) -> Any:
    return np.argsort(x, axis, kind="stable")


def largest(x: Any, empty: Any) -> Any:
    return flat(mx.topk(x, 2), mx.topk(x, 3, 0), mx.topk(x.T, 1), mx.topk(x, 4, None), mx.topk(empty, 0, 0))


def largest_numpy(x: Any, empty: Any) -> Any:
    return flat_numpy(
        np.sort(x)[:, -2:], np.sort(x, 0)[-3:], np.sort(x, 0)[-1], np.sort(x, None)[-4:]
    )  # where one is taken, its axis is lost without harm


def medians(x: Any) -> Any:
    return flat(mx.median(x), mx.median(x, 0), mx.median(x[:, 1:], -1, True), mx.median(x[:2], (1, 0)))


def medians_numpy(x: Any) -> Any:
    x = np.asarray(x, np.float64)
    return flat_numpy(np.median(x), np.median(x, 0), np.median(x[:, 1:], -1), np.median(x[:2]))


def searches(line: Any, values: Any) -> Any:
    return flat(
        mx.searchsorted(line, values),
        mx.searchsorted(line, values.T, side="right"),
        mx.searchsorted(line[:0], values[0]),
        mx.searchsorted(line, values[:0]),
    )


def searches_numpy(line: Any, values: Any) -> Any:
    return flat_numpy(
        np.searchsorted(line, values),
        np.searchsorted(line, values.T, "right"),
        np.zeros(values.shape[1]),
    )


CASES = [
    Case("sort", ordered(mx.sort), [SMALL, EMPTY], wrt=(), dtypes=ALL, reference=ordered_numpy(sort_numpy)),
    Case("sort", lambda x, empty: ordered(mx.sort)(x * x * x, empty), [sample(3, 4), EMPTY], label="derivative"),
    Case("sort", medians, [sample(3, 4)], dtypes=FLOATS, reference=medians_numpy, label="median"),
    Case(
        "sort",
        ordered(mx.sort),
        [SPECIAL, EMPTY],
        wrt=(),
        dtypes=INEXACT,
        reference=ordered_numpy(sort_numpy),
        label="special",
    ),
    Case("argsort", ordered(mx.argsort), [SMALL, EMPTY], wrt=(), dtypes=ALL, reference=ordered_numpy(argsort_numpy)),
    Case(
        "argsort",
        ordered(mx.argsort),
        [SPECIAL, EMPTY],
        wrt=(),
        dtypes=INEXACT,
        reference=ordered_numpy(argsort_numpy),
        label="special",
    ),
    Case("argtopk", largest, [SMALL, EMPTY], wrt=(), dtypes=ALL, reference=largest_numpy),
    Case(
        "argtopk",
        lambda x: mx.topk(x, 5),
        [LONG],
        wrt=(),
        dtypes=("uint8", "int32", "int64", *INEXACT),
        reference=lambda x: np.sort(x)[:, -5:],
        label="few-of-many",
    ),
    Case(
        "argtopk",
        lambda x: flat(mx.topk(x, 2), mx.topk(mx.concatenate([x] * 8, 1), 3)),
        [SPECIAL],
        wrt=(),
        dtypes=FLOATS,
        reference=lambda x: flat_numpy(np.sort(x)[:, -2:], np.sort(np.concatenate([x] * 8, 1))[:, -3:]),
        label="special",
    ),
    Case(
        "argtopk",
        lambda x: mx.grad(lambda y: mx.topk(y, 3).sum())(x.astype(mx.float32)),
        [LONG],
        wrt=(),
        dtypes=("int32",),
        reference=lambda x: first_of_the_largest(x, 3),
        label="ties",
    ),
    Case(
        "searchsorted",
        searches,
        [np.array([0, 1, 1, 2, 3]), SMALL],
        wrt=(),
        dtypes=ALL,
        reference=searches_numpy,
    ),
    Case(
        "searchsorted",
        searches,
        [np.array([-np.inf, 0.0, 2.0, np.inf, np.nan, np.nan]), SPECIAL],
        wrt=(),
        dtypes=FLOATS,
        reference=searches_numpy,
        label="special",
    ),
    Case(
        "searchsorted",
        lambda values: mx.searchsorted(mx.array([-1.0, 0.0, 0.5, 1.5]), values),
        [sample(2, 5)],
        wrt=(),
        reference=lambda values: np.searchsorted([-1.0, 0.0, 0.5, 1.5], values),
        label="values",
    ),
]


def first_of_the_largest(x: Any, k: int) -> Any:
    """1 at the k largest along the last axis, of equal elements at the first."""
    out = np.zeros(x.shape)
    np.put_along_axis(out, np.argsort(-x, kind="stable")[:, :k], 1, -1)
    return out

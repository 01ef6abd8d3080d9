"""Cases of the reductions: sums, products, extrema and their positions, means, norms, softmax and logsumexp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from case import ALL, FLOATS, Case, sample
from cases_shape import flat, flat_numpy

import mlx.core as mx
from mlx.arrays.array import wrap
from mlx.primitives.reductions import ROOT
from mlx.primitives.softmax import EXP_DIFFERENCE, LOGSUMEXP_WEIGHTS

SMALL = np.array([[3, 1, 0, 2, 1, 1], [1, 2, 2, 1, 3, 2], [2, 3, 1, 1, 2, 3], [1, 1, 3, 3, 2, 1]])
EMPTY = np.zeros((0, 3))
WITH_ZEROS = np.array([[0.5, 0.0, -1.5, 2.0], [0.0, 0.7, 0.0, 1.1], [1.3, -0.4, 0.9, 0.6]])
SPECIAL = np.array([[1.0, np.nan, 3.0], [np.inf, 2.0, 5.0], [-np.inf, -np.inf, -np.inf], [4.0, 7.0, -np.inf]])
INEXACT = (*FLOATS, "complex64")
ORDERED = tuple(dtype for dtype in ALL if dtype != "complex64")
REAL_NUMBERS = tuple(dtype for dtype in ORDERED if dtype != "bool")


def over_axes(reduce: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction over every kind of axes: all, one, kept, of strided and transposed arrays, none, of a number."""

    def function(x: Any) -> Any:
        return flat(
            reduce(x),
            reduce(x, 0),
            reduce(x, -1, True),
            reduce(x.T, 0),
            reduce(x[::2, 1:], (1, 0)),
            reduce(mx.expand_dims(x, 0), (0, 2)),
            reduce(x, ()),
            reduce(x[0, 0]),
        )

    return function


def over_axes_numpy(reduce: Callable[..., Any]) -> Callable[..., Any]:
    def function(x: Any) -> Any:
        return flat_numpy(
            reduce(x, axis=None),
            reduce(x, axis=0),
            reduce(x, axis=-1, keepdims=True),
            reduce(x.T, axis=0),
            reduce(x[::2, 1:], axis=(1, 0)),
            reduce(x, axis=1),
            reduce(x, axis=()),
            reduce(x[0, 0], axis=()),
        )

    return function


def over_some_axes(reduce: Callable[..., Any]) -> Callable[..., Any]:
    """What derivatives need to be checked on."""
    return lambda x: flat(reduce(x), reduce(x, 0), reduce(x.T[1:], (1,), True))


def of_nothing(reduce: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: flat(reduce(x), reduce(x, 0), reduce(x, 1, True), reduce(x.T, 1))


def softmax_numpy(x: Any, axis: Any) -> Any:
    powers = np.exp(x - np.max(x.real, axis=axis, keepdims=True))
    return powers / powers.sum(axis=axis, keepdims=True)


@np.errstate(divide="ignore")
def logsumexp_numpy(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return np.log(np.exp(x).sum(axis=axis, keepdims=keepdims))


def softmaxes(x: Any) -> Any:
    return flat(mx.softmax(x), mx.softmax(x, 0), mx.softmax(x.T, 0), mx.softmax(x[::2], (0, 1)), mx.softmax(x[0, 0]))


def softmaxes_numpy(x: Any) -> Any:
    return flat_numpy(
        softmax_numpy(x, None),
        softmax_numpy(x, 0),
        softmax_numpy(x.T, 0),
        softmax_numpy(x[::2], (0, 1)),
        np.ones((), x.dtype),
    )


def positions(find: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: flat(find(x), find(x, 0), find(x, -1, True), find(x.T, 0), find(x[::2, 1:], 1), find(x[0, 0]))


def positions_numpy(find: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: flat_numpy(
        find(x), find(x, 0), find(x, -1), find(x.T, 0), find(x[::2, 1:], 1), np.zeros((), np.intp)
    )


def spreads(x: Any) -> Any:
    return flat(mx.mean(x), mx.mean(x, 0, True), mx.var(x, 1), mx.var(x.T, ddof=1), mx.std(x, 0), mx.std(x[::2], -1))


def spreads_numpy(x: Any) -> Any:
    return flat_numpy(
        x.mean(), x.mean(0), x.var(1), x.var(ddof=1), x.std(0), x[::2].std(-1)
    )  # in float64 whatever the dtype


def norms(x: Any) -> Any:
    inf = float("inf")
    return flat(
        mx.norm(x),
        mx.norm(x, axis=0),
        mx.norm(x, 1, 1),
        mx.norm(x, 3, 0, True),
        mx.norm(x, -2.5, 0),
        mx.norm(x, inf, 1),
        mx.norm(x, -inf, 0),
        mx.norm(x, 1),
        mx.norm(x, -inf, [1, 0]),
        mx.norm(x, 0, 1),
    )


def norms_numpy(x: Any) -> Any:
    norm = np.linalg.norm
    x = np.asarray(x, np.float64)
    return flat_numpy(
        norm(x),
        norm(x, axis=0),
        norm(x, 1, 1),
        norm(x, 3, 0),
        norm(x, -2.5, 0),
        norm(x, np.inf, 1),
        norm(x, -np.inf, 0),
        norm(x, 1),
        norm(x, -np.inf, (1, 0)),
        norm(x, 0, 1),
    )


CASES = [
    Case("sum", over_axes(mx.sum), [SMALL], wrt=(), dtypes=ALL, reference=over_axes_numpy(np.sum), label="dtypes"),
    Case("sum", lambda x: over_some_axes(mx.sum)(x * x), [sample(3, 4)]),
    Case("sum", of_nothing(mx.sum), [EMPTY], dtypes=ALL, reference=lambda x: np.zeros(7), label="empty"),
    Case("prod", over_axes(mx.prod), [SMALL], wrt=(), dtypes=ALL, reference=over_axes_numpy(np.prod), label="dtypes"),
    Case("prod", over_some_axes(mx.prod), [sample(3, 4, low=0.5)]),
    Case("prod", over_some_axes(mx.prod), [WITH_ZEROS], label="zeros"),
    Case("prod", of_nothing(mx.prod), [EMPTY], dtypes=ALL, reference=lambda x: np.ones(7), label="empty"),
    Case("max", over_axes(mx.max), [SMALL], wrt=(), dtypes=ALL, reference=over_axes_numpy(np.max), label="dtypes"),
    Case("max", lambda x: over_some_axes(mx.max)(x * x * x), [sample(4, 6)]),
    Case(
        "max",
        lambda x, empty: flat(mx.max(x), mx.max(x, 0), mx.max(x, 1), mx.max(empty, 1)),
        [SPECIAL, EMPTY],
        wrt=(),
        dtypes=FLOATS,
        reference=lambda x, empty: flat_numpy(x.max(), x.max(0), x.max(1)),
        label="special",
    ),
    Case("min", over_axes(mx.min), [SMALL], wrt=(), dtypes=ALL, reference=over_axes_numpy(np.min), label="dtypes"),
    Case("min", lambda x: over_some_axes(mx.min)(x * x * x), [sample(4, 6)]),
    Case(
        "min",
        lambda x, empty: flat(mx.min(x), mx.min(x, 0), mx.min(x, 1), mx.min(empty, 1)),
        [SPECIAL, EMPTY],
        wrt=(),
        dtypes=FLOATS,
        reference=lambda x, empty: flat_numpy(x.min(), x.min(0), x.min(1)),
        label="special",
    ),
    Case("argmax", positions(mx.argmax), [SMALL], wrt=(), dtypes=ALL, reference=positions_numpy(np.argmax)),
    Case(
        "argmax",
        positions(mx.argmax),
        [SPECIAL],
        wrt=(),
        dtypes=INEXACT,
        reference=positions_numpy(np.argmax),
        label="special",
    ),
    Case("argmin", positions(mx.argmin), [SMALL], wrt=(), dtypes=ALL, reference=positions_numpy(np.argmin)),
    Case(
        "argmin",
        positions(mx.argmin),
        [SPECIAL],
        wrt=(),
        dtypes=INEXACT,
        reference=positions_numpy(np.argmin),
        label="special",
    ),
    Case(
        "all",
        lambda x, empty: flat(over_axes(mx.all)(x), of_nothing(mx.all)(empty)),
        [SMALL, EMPTY],
        wrt=(),
        dtypes=ALL,
        reference=lambda x, empty: flat_numpy(over_axes_numpy(np.all)(x), np.ones(7)),
    ),
    Case(
        "any",
        lambda x, empty: flat(over_axes(mx.any)(x - x[:, 2:3]), of_nothing(mx.any)(empty)),
        [SMALL, EMPTY],
        wrt=(),
        dtypes=REAL_NUMBERS,
        reference=lambda x, empty: flat_numpy(over_axes_numpy(np.any)(x - x[:, 2:3]), np.zeros(7)),
    ),
    Case("root", lambda x: wrap(ROOT(x._node)), [sample(3, 4, low=0.5)], dtypes=FLOATS, reference=np.sqrt),
    Case("root", spreads, [sample(4, 6)], dtypes=FLOATS, reference=spreads_numpy, smooth=1e-6, label="spread"),
    Case("root", norms, [sample(4, 6)], dtypes=FLOATS, reference=norms_numpy, smooth=2e-6, label="norm"),
    Case("softmax", softmaxes, [sample(3, 4)], dtypes=INEXACT, reference=softmaxes_numpy, smooth=1e-6),
    Case("softmax", lambda x: mx.softmax(x * 500, -1), [sample(3, 4)], wrt=(), dtypes=FLOATS, label="large"),
    Case("softmax", lambda x: flat(mx.softmax(x), mx.softmax(x, 1)), [EMPTY], dtypes=INEXACT, label="empty"),
    Case("softmax", lambda x: mx.softmax(x, 1), [SPECIAL], wrt=(), dtypes=FLOATS, label="special"),
    Case(
        "logsumexp",
        over_axes(mx.logsumexp),
        [sample(4, 6)],
        dtypes=INEXACT,
        reference=over_axes_numpy(logsumexp_numpy),
        smooth=1e-6,
    ),
    Case(
        "logsumexp",
        lambda x: flat(mx.logsumexp(x, 1), mx.logsumexp(x, 0), mx.logsumexp(x)),
        [SPECIAL],
        wrt=(),
        dtypes=FLOATS,
        reference=lambda x: flat_numpy(logsumexp_numpy(x, 1), logsumexp_numpy(x, 0), logsumexp_numpy(x)),
        label="special",
    ),
    Case(
        "logsumexp_weights",
        lambda x: wrap(LOGSUMEXP_WEIGHTS(x._node, (1,))),
        [sample(3, 4)],
        dtypes=INEXACT,
        reference=lambda x: softmax_numpy(x, 1),
        smooth=1e-6,
    ),
    Case(
        "logsumexp_weights",
        lambda x: wrap(LOGSUMEXP_WEIGHTS(x._node, (1,))),
        [SPECIAL],
        wrt=(),
        dtypes=FLOATS,
        reference=lambda x: np.stack([np.full(3, np.nan), [1, 0, 0], np.zeros(3), softmax_numpy(x[3], 0)]),
        label="special",
    ),
    Case(
        "exp_difference",
        lambda a, b: wrap(EXP_DIFFERENCE(a._node, b._node)),
        [sample(3, 4), sample(4, seed=1)],
        wrt=(0, 1),
        dtypes=INEXACT,
        reference=lambda a, b: np.exp(a - b),
        smooth=1e-6,
    ),
    Case(
        "exp_difference",
        lambda a, b: wrap(EXP_DIFFERENCE(a._node, b._node)),
        [np.array([np.inf, -np.inf, 1.0, -np.inf, np.inf]), np.array([np.inf, -np.inf, np.inf, 2.0, -np.inf])],
        wrt=(),
        dtypes=FLOATS,
        reference=lambda a, b: np.array([1.0, 0.0, 0.0, 0.0, np.inf]),
        label="special",
    ),
]

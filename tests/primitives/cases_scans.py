"""Cases of the scans: cumulative sums, products, extrema, logarithms of sums of exponentials, and the recurrence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from case import ALL, FLOATS, Case, sample
from cases_reductions import INEXACT, SMALL, WITH_ZEROS
from cases_shape import flat, flat_numpy

import mlx.core as mx
from mlx.arrays.array import wrap
from mlx.primitives.scans import RECURRENCE

EMPTY = np.zeros((0, 3))
LONG = sample(37)
NAN_INSIDE = np.array([[1.0, 2.0, np.nan, 3.0], [np.inf, -np.inf, 1.0, 2.0], [-np.inf, -np.inf, 0.5, np.inf]])


def scans(scan: Callable[..., Any]) -> Callable[..., Any]:
    """A scan in both directions along every kind of axis, inclusive and exclusive, of strided and empty arrays."""

    def function(x: Any, empty: Any) -> Any:
        return flat(
            scan(x),
            scan(x.T, 1, reverse=True),
            scan(x[::2, 1:], -1, inclusive=False),
            scan(x, 0, reverse=True, inclusive=False),
            scan(x[0, 0]),
            scan(empty, 0),
            scan(empty, 1, inclusive=False),
        )

    return function


def scans_numpy(ufunc: Any, start: Any) -> Callable[..., Any]:
    def accumulated(x: Any, axis: int) -> Any:
        return ufunc.accumulate(x, axis=axis, dtype=x.dtype)

    def exclusive(x: Any, axis: int) -> Any:
        out = np.roll(accumulated(x, axis), 1, axis)
        out[(slice(None),) * axis + (0,)] = start(x.dtype) if callable(start) else start
        return out

    def function(x: Any, empty: Any) -> Any:
        return flat_numpy(
            accumulated(x.ravel(), 0),
            accumulated(x[::-1], 0)[::-1].T,
            exclusive(x[::2, 1:], 1),
            exclusive(x[::-1], 0)[::-1],
            x[0, 0],
        )

    return function


def lowest(dtype: np.dtype) -> Any:
    return -np.inf if dtype.kind == "f" else np.iinfo(dtype).min if dtype.kind in "iu" else False


def highest(dtype: np.dtype) -> Any:
    return np.inf if dtype.kind == "f" else np.iinfo(dtype).max if dtype.kind in "iu" else True


def in_int32(ufunc: Callable[..., Any]) -> Callable[..., Any]:
    """Booleans are summed in int32."""
    return lambda x, empty: ufunc(x.astype(np.int32) if x.dtype == bool else x, empty)


def recurrence(axis: int, reverse: bool) -> Callable[..., Any]:
    return lambda a, b: wrap(RECURRENCE(a._node, b._node, axis, reverse))


def recurrence_numpy(axis: int, reverse: bool) -> Callable[..., Any]:
    def function(a: Any, b: Any) -> Any:
        a, b = np.moveaxis(np.array(a), axis, 0), np.moveaxis(np.array(b), axis, 0)
        if reverse:
            a, b = a[::-1], b[::-1]
        out = b.copy()
        for k in range(1, len(b)):
            out[k] = a[k] * out[k - 1] + b[k]
        return np.moveaxis(out[::-1] if reverse else out, 0, axis)

    return function


def apart(x: Any, empty: Any) -> Any:
    """Away from the infinite starts of exclusive scans, which have no finite differences."""
    return flat(
        mx.cummax(x),
        mx.cummax(x, 0, reverse=True),
        mx.cummax(x.T, -1, inclusive=False)[:, 1:],
        mx.cummin(x, 1),
        mx.cummin(x, 0, reverse=True, inclusive=False)[:-1],
        mx.cummin(empty, 0),
    )


@np.errstate(invalid="ignore")
def logaddexps_numpy(x: Any, empty: Any) -> Any:
    accumulate = np.logaddexp.accumulate
    return flat_numpy(accumulate(x.ravel()), accumulate(x[:, ::-1], 1)[:, ::-1])


def logcumsumexps(x: Any) -> Any:
    return flat(
        mx.logcumsumexp(x),
        mx.logcumsumexp(x, 0, reverse=True),
        mx.logcumsumexp(x.T, -1, inclusive=False)[:, 1:],
        mx.logcumsumexp(x[:, ::2], 1),
    )


def logcumsumexps_numpy(x: Any) -> Any:
    def scan(y: Any, axis: int) -> Any:
        return np.log(np.cumsum(np.exp(y), axis))

    return flat_numpy(scan(x.ravel(), 0), scan(x[::-1], 0)[::-1], scan(x.T, 1)[:, :-1], scan(x[:, ::2], 1))


ORDERED = tuple(dtype for dtype in ALL if dtype != "complex64")

CASES = [
    Case(
        "cumsum",
        scans(mx.cumsum),
        [SMALL, EMPTY],
        wrt=(),
        dtypes=ALL,
        reference=in_int32(scans_numpy(np.add, 0)),
        label="dtypes",
    ),
    Case("cumsum", lambda x, empty: scans(mx.cumsum)(x * x, empty), [sample(3, 4), EMPTY]),
    Case("cumsum", lambda x: mx.cumsum(x), [LONG], dtypes=FLOATS, reference=np.cumsum, label="long"),
    Case(
        "cumprod",
        scans(mx.cumprod),
        [SMALL[:2, :4] + (SMALL[:2, :4] == 0), EMPTY],
        wrt=(),
        dtypes=ALL,
        reference=scans_numpy(np.multiply, 1),
        label="dtypes",
    ),
    Case("cumprod", scans(mx.cumprod), [sample(3, 4, low=0.5), EMPTY]),
    Case("cumprod", scans(mx.cumprod), [WITH_ZEROS, EMPTY], label="zeros"),
    Case("cummax", apart, [sample(3, 4), EMPTY]),
    Case(
        "cummax",
        scans(mx.cummax),
        [SMALL, EMPTY],
        wrt=(),
        dtypes=ORDERED,
        reference=scans_numpy(np.maximum, lowest),
        label="dtypes",
    ),
    Case(
        "cummax",
        lambda x: flat(mx.cummax(x), mx.cummax(x, 1, reverse=True)),
        [NAN_INSIDE],
        wrt=(),
        dtypes=INEXACT,
        reference=lambda x: flat_numpy(np.maximum.accumulate(x.ravel()), np.maximum.accumulate(x[:, ::-1], 1)[:, ::-1]),
        label="special",
    ),
    Case("cummin", apart, [sample(3, 4, seed=5), EMPTY]),
    Case(
        "cummin",
        scans(mx.cummin),
        [SMALL, EMPTY],
        wrt=(),
        dtypes=ORDERED,
        reference=scans_numpy(np.minimum, highest),
        label="dtypes",
    ),
    Case(
        "cummin",
        lambda x: flat(mx.cummin(x), mx.cummin(x, 1, reverse=True)),
        [NAN_INSIDE],
        wrt=(),
        dtypes=INEXACT,
        reference=lambda x: flat_numpy(np.minimum.accumulate(x.ravel()), np.minimum.accumulate(x[:, ::-1], 1)[:, ::-1]),
        label="special",
    ),
    Case("logcumsumexp", logcumsumexps, [sample(3, 4)], dtypes=INEXACT, reference=logcumsumexps_numpy, smooth=1e-6),
    Case(
        "logcumsumexp",
        lambda x, empty: flat(mx.logcumsumexp(x), mx.logcumsumexp(x, 1, reverse=True), mx.logcumsumexp(empty, 0)),
        [NAN_INSIDE, EMPTY],
        wrt=(),
        dtypes=FLOATS,
        reference=logaddexps_numpy,
        label="special",
    ),
    Case(
        "recurrence",
        recurrence(1, False),
        [sample(3, 5), sample(3, 5, seed=1)],
        wrt=(0, 1),
        dtypes=INEXACT,
        reference=recurrence_numpy(1, False),
    ),
    Case(
        "recurrence",
        recurrence(0, True),
        [sample(5, 2, seed=2), sample(5, 2, seed=3)],
        wrt=(0, 1),
        dtypes=INEXACT,
        reference=recurrence_numpy(0, True),
        label="reverse",
    ),
    Case(
        "recurrence",
        recurrence(0, False),
        [np.zeros((0, 2)), np.zeros((0, 2))],
        wrt=(),
        dtypes=INEXACT,
        reference=lambda a, b: b,
        label="empty",
    ),
]

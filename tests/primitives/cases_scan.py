"""Cases of the loop over entries: carries, outputs, constants, integers, directions, draws and loops in loops."""

from __future__ import annotations

from typing import Any

import numpy as np
from case import FLOATS, Case, sample

import mlx.core as mx


def _recurrent(w: Any, h: Any, xs: Any) -> Any:
    last, states = mx.scan(lambda h, x: (mx.tanh(h @ w + x), h * x), h, xs)
    return mx.concatenate([states, last[None]])


def _recurrent_numpy(w: Any, h: Any, xs: Any) -> Any:
    states = []
    for x in xs:
        states.append(h * x)
        h = np.tanh(h @ w + x)
    return np.stack([*states, h])


def _backwards(h: Any, xs: Any) -> Any:
    """Horner's rule from the last coefficient to the first, with a counter that is carried along."""

    def step(carry: Any, x: Any) -> Any:
        value, count = carry
        return (value * h + x, count + 1), value * count.astype(value.dtype)

    (value, _), partial = mx.scan(step, (mx.zeros_like(h), mx.array(1)), xs, reverse=True)
    return partial + value


def _backwards_numpy(h: Any, xs: Any) -> Any:
    value, partial = np.zeros_like(h), np.zeros_like(xs)
    for count, position in enumerate(reversed(range(len(xs))), 1):
        partial[position] = value * count
        value = value * h + xs[position]
    return partial + value


def _repeated(x: Any) -> Any:
    """Newton's iteration for the square root, without entries."""
    return mx.scan(lambda y, _: ((y + x / y) / 2, None), mx.ones_like(x), length=4)[0]


def _nested(xs: Any) -> Any:
    def row(total: Any, x: Any) -> Any:
        inner = mx.scan(lambda t, e: (t * 0.5 + mx.sin(e), None), total, x)[0]
        return inner, inner * total

    return mx.scan(row, mx.zeros_like(xs[0, 0]), xs)[1]


CASES = [
    Case(
        "scan",
        _recurrent,
        [sample(3, 3), sample(3, seed=1), sample(4, 3, seed=2)],
        wrt=(0, 1, 2),
        dtypes=FLOATS,
        reference=_recurrent_numpy,
        smooth=1e-6,
        label="recurrent",
    ),
    Case(
        "scan", _backwards, [sample(2), sample(3, 2, seed=1)], wrt=(0, 1), reference=_backwards_numpy, label="reverse"
    ),
    Case("scan", _repeated, [sample(3, low=0.5, high=3.0)], dtypes=("float32", "float64"), smooth=1e-6, label="repeat"),
    Case("scan", _nested, [sample(3, 4)], dtypes=("float32", "bfloat16"), smooth=1e-6, label="nested"),
    Case("scan", _recurrent, [sample(2, 2), sample(2, seed=1), np.zeros((0, 2))], wrt=(0, 1), label="empty"),
    Case(
        "scan",
        lambda xs: mx.scan(lambda s, x: (s ^ x, s * x), xs[0], xs)[1],
        [np.arange(1, 6)],
        wrt=(),
        dtypes=("int32", "uint8"),
        label="integers",
    ),
]

"""Cases of the recurrence of matrices behind the gated delta rule."""

from __future__ import annotations

from typing import Any

import numpy as np
from case import FLOATS, Case, sample
from cases_shape import flat, flat_numpy

import mlx.core as mx
from mlx.arrays.array import wrap
from mlx.primitives.gated_delta import STATE_RECURRENCE


def states(a: Any, b: Any, reverse: bool = False) -> Any:
    return wrap(STATE_RECURRENCE(a._node, b._node, reverse))


def states_numpy(a: Any, b: Any, reverse: bool = False) -> Any:
    out, state = np.zeros_like(b), np.zeros_like(b[0])
    for step in reversed(range(len(b))) if reverse else range(len(b)):
        out[step] = state = state @ a[step] + b[step]
    return out


def both_ways(a: Any, b: Any) -> Any:
    return flat(states(a, b), states(a, b, reverse=True))


def both_ways_numpy(a: Any, b: Any) -> Any:
    return flat_numpy(states_numpy(a, b), states_numpy(a, b, reverse=True))


def turned(a: Any, b: Any) -> Any:
    """On views whose matrices are not contiguous."""
    return both_ways(mx.swapaxes(a, 0, 1), mx.swapaxes(b, 0, 1)[..., ::-1, :])


def turned_numpy(a: Any, b: Any) -> Any:
    return both_ways_numpy(np.swapaxes(a, 0, 1), np.swapaxes(b, 0, 1)[..., ::-1, :])


FACTORS = sample(4, 2, 3, 3, low=-0.8, high=0.8)
TERMS = sample(4, 2, 2, 3, seed=1)

CASES = [
    Case(
        "state_recurrence",
        both_ways,
        [FACTORS, TERMS],
        wrt=(0, 1),
        dtypes=FLOATS,
        reference=both_ways_numpy,
    ),
    Case("state_recurrence", turned, [FACTORS, TERMS], wrt=(), reference=turned_numpy, label="strided"),
    Case("state_recurrence", both_ways, [FACTORS[:1, 0], TERMS[:1, 0]], wrt=(0, 1), label="one"),
    Case("state_recurrence", both_ways, [FACTORS[:0], TERMS[:0]], wrt=(), label="none", reference=None),
]

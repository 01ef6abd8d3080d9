"""What vmap makes of every primitive's cases, compiled by XLA, against a Python loop on NumPy.

The interpreter's side of the same comparison, with more choices of what is mapped, is in `test_table`. Cases are
compiled together, many to a program.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from test_table import BATCHED, numpy_of, stacked

import mlx.core as mx

PER_PROGRAM = 12
PER_PRIMITIVE = 2
CASES = [
    case
    for _, cases in itertools.groupby(BATCHED, lambda case: case.primitive)
    for case in itertools.islice(cases, PER_PRIMITIVE)
]
GROUPS = [CASES[start : start + PER_PROGRAM] for start in range(0, len(CASES), PER_PROGRAM)]


@functools.cache
def mapped_and_looped(group: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each case of a group what is mapped over the last axis, and what a loop gives."""
    mapped, looped = [], []
    for case in GROUPS[group]:
        batched, entries, axes = stacked(case, -1)
        mapped.append(mx.vmap(case.function, in_axes=tuple(axes))(*batched))
        looped.append([case.function(*entry) for entry in entries])
    with mx.engine("numpy"):
        mx.eval(looped)
    with mx.engine("xla"):
        mx.eval(mapped)
    return [
        (numpy_of(x), np.stack([numpy_of(entry) for entry in loop])) for x, loop in zip(mapped, looped, strict=True)
    ]


@pytest.mark.parametrize("position", range(len(CASES)), ids=[str(case) for case in CASES])
def test_batching_is_a_loop(position: int) -> None:
    group, place = divmod(position, PER_PROGRAM)
    mapped, looped = mapped_and_looped(group)[place]
    tolerance = 2e-5 + CASES[position].smooth
    np.testing.assert_allclose(mapped, looped, rtol=tolerance, atol=tolerance)

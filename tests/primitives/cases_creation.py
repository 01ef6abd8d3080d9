"""Cases of the primitives that make arrays from nothing but numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from case import ALL, Case
from cases_shape import flat, flat_numpy

import mlx.core as mx
from mlx.arrays.array import wrap
from mlx.primitives.creation import ARANGE


def ranges(like: Any) -> Any:
    dtype = like.dtype
    return flat(
        mx.arange(5, dtype=dtype), mx.arange(2, 100, 7, dtype=dtype), mx.arange(9, 1, -2, dtype=dtype), mx.arange(0)
    )


def from_arrays(start: Any, step: Any) -> Any:
    """A range whose numbers are arrays, which can be mapped over."""
    return wrap(ARANGE(start._node, step._node, 4))


CASES = [
    Case(
        "arange",
        from_arrays,
        [np.array(1.5), np.array(-0.25)],
        wrt=(),
        dtypes=("float32", "int32"),
        reference=lambda start, step: start + step * np.arange(4),
        label="of arrays",
    ),
    Case(
        "arange",
        ranges,
        [np.zeros(1)],
        wrt=(),
        dtypes=tuple(dtype for dtype in ALL if dtype != "bool"),
        reference=lambda x: flat_numpy(np.arange(5), np.arange(2, 100, 7), np.arange(9, 1, -2)),
    ),
    Case(
        "arange",
        lambda x: flat(mx.arange(0.5, 3, 0.3), mx.arange(-5, 1e-3, 0.25), mx.linspace(-3.3, 2.7, 7)),
        [np.zeros(1)],
        wrt=(),
        reference=lambda x: flat_numpy(np.arange(0.5, 3, 0.3), np.arange(-5, 1e-3, 0.25), np.linspace(-3.3, 2.7, 7)),
        label="fractions",
    ),
    Case(
        "eye",
        lambda x: flat(
            mx.eye(4, dtype=x.dtype), mx.eye(3, 5, 2, x.dtype), mx.eye(5, 3, -1, x.dtype), mx.eye(2, 0, 0, x.dtype)
        ),
        [np.zeros(1)],
        wrt=(),
        dtypes=ALL,
        reference=lambda x: flat_numpy(np.eye(4), np.eye(3, 5, 2), np.eye(5, 3, -1)),
    ),
    Case(
        "tri",
        lambda x: flat(
            mx.tri(4, dtype=x.dtype), mx.tri(3, 5, 2, x.dtype), mx.tri(5, 3, -1, x.dtype), mx.tri(2, 0, 0, x.dtype)
        ),
        [np.zeros(1)],
        wrt=(),
        dtypes=ALL,
        reference=lambda x: flat_numpy(np.tri(4), np.tri(3, 5, 2), np.tri(5, 3, -1)),
    ),
]

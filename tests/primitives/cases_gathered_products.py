"""Cases of products whose matrices an index picks, sorted or not, with matrices that nobody picks."""

from __future__ import annotations

from typing import Any

import numpy as np
from case import FLOATS, Case, sample

import mlx.core as mx
from mlx.arrays.array import wrap
from mlx.primitives.gathered_matmul import GATHERED_MATMUL, GROUPED_PRODUCT

INDEX = np.array([3, 1, 1, 0, 3], np.int32)  # of four matrices: the third is not picked
SORTED = np.sort(INDEX)
NONE = np.array([], np.int32)


def gathered(a: Any, b: Any, index: Any) -> Any:
    return wrap(GATHERED_MATMUL(a._node, b._node, index._node))


def gathered_numpy(a: Any, b: Any, index: Any) -> Any:
    return a @ b[index]


def grouped(a: Any, g: Any, index: Any) -> Any:
    return wrap(GROUPED_PRODUCT(a._node, g._node, index._node, 4))


def grouped_numpy(a: Any, g: Any, index: Any) -> Any:
    out = np.zeros((4, a.shape[2], g.shape[2]))
    for left, right, picked in zip(a, g, index, strict=True):
        out[picked] += left.T @ right
    return out


def pick(label: str, a: Any, b: Any, index: Any, **options: Any) -> Case:
    return Case("gathered_matmul", gathered, (a, b, index), **_common(label, gathered_numpy, options))


def group(label: str, a: Any, g: Any, index: Any, **options: Any) -> Case:
    return Case("grouped_product", grouped, (a, g, index), **_common(label, grouped_numpy, options))


def _common(label: str, reference: Any, options: dict[str, Any]) -> dict[str, Any]:
    return {"wrt": (0, 1), "dtypes": FLOATS, "cast": (0, 1), "reference": reference, "label": label, **options}


def strided(a: Any, b: Any, index: Any) -> Any:
    return gathered(mx.transpose(a, (2, 1, 0)), mx.transpose(b, (0, 2, 1))[::-1], index[::2])


def strided_numpy(a: Any, b: Any, index: Any) -> Any:
    return gathered_numpy(a.transpose(2, 1, 0), b.transpose(0, 2, 1)[::-1], index[::2])


CASES = [
    pick("unsorted", sample(5, 2, 3), sample(4, 3, 2, seed=1), INDEX),
    pick("sorted", sample(5, 1, 3), sample(4, 3, 4, seed=1), SORTED),
    pick("no-entries", sample(0, 2, 3), sample(4, 3, 2, seed=1), NONE, wrt=(), batched=False),
    pick("nothing-to-sum", sample(5, 2, 0), sample(4, 0, 2), INDEX, wrt=(), batched=False),
    Case(
        "gathered_matmul",
        strided,
        (sample(3, 2, 3), sample(4, 2, 3, seed=1), INDEX),
        **_common("strided", strided_numpy, {}),
    ),
    group("unsorted", sample(5, 2, 3), sample(5, 2, 4, seed=1), INDEX),
    group("sorted", sample(5, 1, 3), sample(5, 1, 2, seed=1), SORTED),
    group("no-entries", sample(0, 2, 3), sample(0, 2, 4), NONE, wrt=(), batched=False),
    group("no-rows", sample(5, 0, 3), sample(5, 0, 4), INDEX, wrt=(), batched=False),
]

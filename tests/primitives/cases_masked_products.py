"""Cases of products over segments: empty, overlapping, apart, out of order, longer and shorter than XLA's pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
from case import FLOATS, Case, sample

import mlx.core as mx
from mlx.arrays.array import wrap
from mlx.primitives.segmented_matmul import SEGMENTED_PRODUCT

SEGMENTS = np.array([[0, 2], [4, 7], [3, 3], [1, 6], [6, 7]], np.int32)
LONG = np.array([[0, 33], [33, 34], [40, 70], [5, 65]], np.int32)  # of 70, in pieces of 17
NONE = np.zeros((0, 2), np.int32)


def segmented_numpy(a: Any, b: Any, segments: Any) -> Any:
    products = [a[:, i:j] @ b[i:j] for i, j in segments]
    return np.stack(products) if products else np.zeros((0, a.shape[0], b.shape[1]))


def product(g: Any, b: Any, segments: Any) -> Any:
    if g.shape[::2] != (segments.shape[0], b.shape[1]):
        raise ValueError("shapes do not fit")
    return wrap(SEGMENTED_PRODUCT(g._node, b._node, segments._node))


def product_numpy(g: Any, b: Any, segments: Any) -> Any:
    out = np.zeros((g.shape[1], b.shape[0]))
    for weights, (i, j) in zip(g, segments, strict=True):
        out[:, i:j] += weights @ b[i:j].T
    return out


def strided(a: Any, b: Any, segments: Any) -> Any:
    return mx.segmented_mm(a.T[::2], mx.transpose(b)[:, ::-1], segments[::2])


def strided_numpy(a: Any, b: Any, segments: Any) -> Any:
    return segmented_numpy(a.T[::2], b.T[:, ::-1], segments[::2])


def case(primitive: str, label: str, x: Any, y: Any, segments: Any, **options: Any) -> Case:
    function, reference = {
        "segmented_matmul": (mx.segmented_mm, segmented_numpy),
        "segmented_product": (product, product_numpy),
    }[primitive]
    common = {"wrt": (0, 1), "dtypes": FLOATS, "cast": (0, 1), "reference": reference, "label": label}
    return Case(primitive, function, (x, y, segments), **{**common, **options})


NOTHING = {"wrt": (), "batched": False}

CASES = [
    case("segmented_matmul", "short", sample(3, 7), sample(7, 2, seed=1), SEGMENTS),
    case("segmented_matmul", "long", sample(2, 70), sample(70, 3, seed=1), LONG, dtypes=("float32", "float64")),
    case("segmented_matmul", "no-segments", sample(3, 7), sample(7, 2), NONE, **NOTHING),
    case("segmented_matmul", "nothing-to-sum", sample(3, 0), sample(0, 2), 0 * SEGMENTS, **NOTHING),
    Case(
        "segmented_matmul",
        strided,
        (sample(7, 4), sample(2, 7, seed=1), SEGMENTS),
        wrt=(0, 1),
        dtypes=FLOATS,
        cast=(0, 1),
        reference=strided_numpy,
        label="strided",
    ),
    case("segmented_product", "short", sample(5, 3, 2), sample(7, 2, seed=1), SEGMENTS),
    case("segmented_product", "long", sample(4, 2, 3), sample(70, 3, seed=1), LONG, dtypes=("float32", "float64")),
    case("segmented_product", "no-segments", sample(0, 3, 2), sample(7, 2), NONE, **NOTHING),
    case("segmented_product", "nothing-to-sum", sample(5, 3, 2), sample(0, 2), 0 * SEGMENTS, **NOTHING),
]

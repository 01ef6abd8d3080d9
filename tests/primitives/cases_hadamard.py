"""Cases of the Walsh-Hadamard transform: one small matrix, several, each base, and its transpose."""

from __future__ import annotations

from functools import partial, reduce
from typing import Any

import numpy as np
from case import FLOATS, Case, sample

import mlx.core as mx
from mlx.arrays.array import wrap
from mlx.primitives.hadamard import HADAMARD, factors

BOTH = (*FLOATS, "complex64")


def transform(x: Any, transposed: bool) -> Any:
    return wrap(HADAMARD(x._node, transposed))


def transform_numpy(x: Any, transposed: bool) -> Any:
    matrix: Any = reduce(np.kron, factors(x.shape[-1]))
    return x @ (matrix if transposed else matrix.T)


def case(label: str, x: Any, transposed: bool = False, **options: Any) -> Case:
    function, reference = (partial(f, transposed=transposed) for f in (transform, transform_numpy))
    return Case("hadamard", function, (x,), label=label, reference=reference, **{"dtypes": BOTH, **options})


CASES = [
    case("vector", sample(8)),
    case("twenty-transposed", sample(2, 20), transposed=True),
    case("two-factors", sample(1, 256), dtypes=("float32", "float64"), second=False),
    case("three-factors", sample(2, 112 * 128, low=-0.1, high=0.1), wrt=(), dtypes=("float32", "float64")),
    case("no-rows", sample(0, 12), wrt=(), batched=False),
    Case(
        "hadamard",
        lambda x: transform(mx.transpose(x)[::-1], False),
        (sample(24, 3),),
        dtypes=BOTH,
        reference=lambda x: transform_numpy(x.T[::-1], False),
        label="strided",
    ),
]

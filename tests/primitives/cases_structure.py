"""Primitives that hold programs together: the tracer, stopped gradients, casts."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from case import ALL, Case, sample

import mlx.core as mx

X = sample(3, 4, seed=11)
WHOLE = np.array([[0.0, 1.0, -1.0, 2.5], [100.0, -100.25, 200.0, 255.5]])
OUT_OF_RANGE = np.array([300.7, -300.7, 70000.5, np.nan, np.inf, -np.inf, 3e9, -3e9, 1e12, 5e18, 1e19, -1e19, 1e20])
HUGE = np.array([0, 1, -1, 255, 256, 2**31 - 1, -(2**31), 2**40 + 3])


def inner_gradient(x: Any) -> Any:
    """A gradient inside the function leaves a tracer in the middle of the recorded graph."""
    return mx.grad(lambda y: (y * y * y).sum())(x)


def to_every_dtype(x: Any) -> Any:
    """What every cast makes of `x`, seen through float64."""
    casts = [x.astype(getattr(mx, "bool_" if name == "bool" else name)) for name in ALL]
    return mx.stack([mx.real(cast).astype(mx.float64) for cast in casts])


def numpy_casts(x: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        casts = [x.astype(ml_dtypes.bfloat16 if name == "bfloat16" else name) for name in ALL]
        return np.stack([np.real(cast).astype(np.float64) for cast in casts])


CASES = [
    Case("tracer", inner_gradient, [X], reference=lambda x: 3 * x * x),
    Case("stop_gradient", mx.stop_gradient, [X], wrt=(), dtypes=ALL, reference=lambda x: x),
    Case("cast", lambda x: (x.astype(mx.float32) * 2).astype(mx.float64), [X], label="derivative", coarse=True),
    Case(
        "cast",
        to_every_dtype,
        [np.abs(WHOLE)],
        wrt=(),
        dtypes=("float32", "float64", "int32", "uint16"),
        reference=numpy_casts,
    ),
    Case(
        "cast",
        to_every_dtype,
        [OUT_OF_RANGE],
        wrt=(),
        dtypes=("float16", "bfloat16", "float32", "float64"),
        label="too large",
    ),
    Case(
        "cast", to_every_dtype, [HUGE], wrt=(), dtypes=("int64", "uint64", "int32", "uint8"), label="integers that wrap"
    ),
    Case("cast", to_every_dtype, [WHOLE[:, :0]], wrt=(), dtypes=ALL, label="empty"),
    Case("cast", to_every_dtype, [X.astype(np.complex64) * (1 + 2j)], wrt=(), label="complex", dtypes=("complex64",)),
    Case("cast", lambda x: x.T[::2].astype(mx.float16), [X], wrt=(), dtypes=("float32",), label="strided"),
]

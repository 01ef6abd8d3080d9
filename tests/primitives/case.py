"""One entry of the table of primitives: how to exercise it, and on what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

FLOATS = ("float16", "bfloat16", "float32", "float64")
INTEGERS = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
ALL = ("bool", *INTEGERS, *FLOATS, "complex64")


@dataclass(frozen=True)
class Case:
    """A function of arrays that records the primitive, with inputs.

    Args:
        primitive: its name in `mlx.ir.primitive.PRIMITIVES`.
        function: public functions applied to arrays (and constants); returns one array.
        inputs: NumPy arrays. Those at `wrt` are differentiated in float64 and must lie at smooth points, away
            from ties and singular points by more than 1e-3.
        wrt: positions of the inputs to differentiate; () where no derivative exists.
        dtypes: dtypes to which inputs (those of `cast`) are cast when the two engines are compared, and the
            result compared with `reference` where that is given.
        cast: positions of the inputs that `dtypes` applies to; all by default.
        reference: the same function on NumPy arrays (computed in the dtype's own arithmetic, or wider).
        label: tells cases of one primitive apart.
        second: whether the second derivative exists and is checked.
        batched: whether the function can be mapped over its arrays (it does not look at their values).
        coarse: computed in float32 on the way and at most quadratic, so that central differences step far.
        smooth: an additional relative tolerance for the engines' comparison (transcendental functions differ).
    """

    primitive: str
    function: Callable[..., Any]
    inputs: Sequence[Any]
    wrt: tuple[int, ...] = (0,)
    dtypes: Sequence[str] = ("float32",)
    cast: tuple[int, ...] | None = None
    reference: Callable[..., Any] | None = None
    label: str = ""
    second: bool = True
    smooth: float = 0.0
    batched: bool = True
    coarse: bool = False

    def __str__(self) -> str:
        return f"{self.primitive}-{self.label}" if self.label else self.primitive


def sample(*shape: int, seed: int = 0, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    """Well separated numbers in [low, high): no two closer than half a step, so that there are no ties."""
    count = int(np.prod(shape))
    rng = np.random.default_rng(seed)
    grid = low + (high - low) * (np.arange(count) + 0.25 + 0.5 * rng.random(count)) / max(count, 1)
    return rng.permutation(grid).reshape(shape)

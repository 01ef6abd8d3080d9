"""Tests of single elements: NaN, infinite, finite. None of them passes a derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlx.primitives.elementwise import Elementwise, boolean


def _of_parts(
    test: Callable[[Any, Any], Any], together: Callable[[Any, Any], Any], of_integers: bool
) -> Callable[..., Any]:
    """Lowering of a test of floats; of complex numbers both parts are tested, and integers all pass or all fail."""

    def lowered(xla: Any, x: Any) -> Any:
        if x.dtype.kind in "biu":
            return xla.lax.full(x.shape, of_integers, bool)
        if x.dtype.kind == "c":
            return together(test(xla, xla.lax.real(x)), test(xla, xla.lax.imag(x)))
        return test(xla, x)

    return lowered


ISNAN = Elementwise("isnan", 1, np.isnan, lambda xla, x: x != x, dtype=boolean)
ISINF = Elementwise(
    "isinf",
    1,
    np.isinf,
    _of_parts(lambda xla, x: xla.lax.abs(x) == np.inf, lambda real, imag: real | imag, of_integers=False),
    dtype=boolean,
)
ISFINITE = Elementwise(
    "isfinite",
    1,
    np.isfinite,
    _of_parts(lambda xla, x: xla.lax.is_finite(x), lambda real, imag: real & imag, of_integers=True),
    dtype=boolean,
)

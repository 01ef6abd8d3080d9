"""Cases of the primitives that transforms record."""

from __future__ import annotations

import mlx.core as mx
from case import FLOATS, Case, sample


def _with_true_rule() -> mx.custom_function:
    f = mx.custom_function(lambda x, y: mx.sin(x) * y)
    f.vjp(lambda primals, g, out: (g * mx.cos(primals[0]) * primals[1], g * mx.sin(primals[0])))
    return f


CASES = [
    Case("custom", _with_true_rule(), [sample(2, 3), sample(2, 3, seed=1)], wrt=(0, 1), dtypes=FLOATS),
]

"""Cases of the primitives that transforms record."""

from __future__ import annotations

from typing import Any

from case import FLOATS, Case, sample

import mlx.core as mx


def _with_true_rule() -> mx.custom_function:
    f = mx.custom_function(lambda x, y: mx.sin(x) * y)
    f.vjp(lambda primals, g, out: (g * mx.cos(primals[0]) * primals[1], g * mx.sin(primals[0])))
    return f


def _behind_a_barrier(x: Any, y: Any) -> Any:
    return mx.depends([mx.sin(x), y], [y * y])[0] * y


_recomputed = mx.checkpoint(lambda x, y: mx.sin(x) * y)

CASES = [
    Case("checkpoint", _recomputed, [sample(2, 3), sample(2, 3, seed=1)], wrt=(0, 1), dtypes=FLOATS),
    Case("custom", _with_true_rule(), [sample(2, 3), sample(2, 3, seed=1)], wrt=(0, 1), dtypes=FLOATS),
    Case("barrier", _behind_a_barrier, [sample(2, 3), sample(2, 3, seed=1)], wrt=(0, 1), dtypes=FLOATS),
]

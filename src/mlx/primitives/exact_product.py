"""The product that is rounded before something is added to it.

XLA's CPU compiler contracts a product and a sum to one operation that rounds once. That is more accurate but not what
the reference computes: random integers would differ now and then, and zeros of quantised arrays would not come out as
zeros.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mlx.primitives.elementwise import Elementwise


def _exact_product_xla(xla: Any, a: Any, b: Any) -> Any:
    product = xla.lax.mul(a, b)
    return xla.lax.select(xla.jnp.isnan(product), a + b, product)  # which the compiler cannot look through


EXACT_PRODUCT = Elementwise(
    "exact_product",
    2,
    np.multiply,
    _exact_product_xla,
    (lambda out, a, b: b, lambda out, a, b: a),
)

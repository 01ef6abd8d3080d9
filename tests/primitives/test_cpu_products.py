"""Products of the layouts that are lowered in a way of their own on CPUs, compiled, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx

# Contracted axes come first, last, in between and in different orders; some have no extent.
EXTENTS = {"b": 3, "t": 8, "i": 96, "o": 80, "k": 512, "n": 0}
PRODUCTS = [
    "bti,io->bto",
    "bti,oi->bto",
    "bti,bto->io",  # a weight's gradient: two axes, first in both
    "ibt,obt->io",
    "bti,obt->io",
    "ibt,bto->io",
    "bti,tbo->io",
    "bit,bto->io",
    "ik,ok->io",  # rows that lie 2048 bytes apart: copied where the product is large
    "ki,ok->io",
    "ibk,obk->io",
    "i,io->o",
    "oi,i->o",
    "bt,bt->",
    "i,i->",
    "in,no->io",
    "ni,io->no",
    "nt,nt->",
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.complex64])
@pytest.mark.parametrize("subscripts", PRODUCTS)
def test_values(subscripts: str, dtype: Any) -> None:
    rng = np.random.default_rng(0)
    shapes = [tuple(EXTENTS[label] for label in labels) for labels in subscripts.split("->")[0].split(",")]
    a, b = (rng.standard_normal(shape) for shape in shapes)
    if dtype is np.complex64:
        a, b = a + 1j * rng.standard_normal(a.shape), b - 1j * rng.standard_normal(b.shape)
    a, b = a.astype(dtype), b.astype(dtype)
    with mx.engine("xla"), mx.stream(mx.cpu):
        product = np.array(mx.einsum(subscripts, *(mx.array(x, getattr(mx, x.dtype.name)) for x in (a, b))))
    exact = np.einsum(subscripts, *(x.astype(np.result_type(dtype, np.float64)) for x in (a, b)))
    assert product.dtype == dtype
    assert product.shape == exact.shape
    close = {np.float16: 2e-3, np.float64: 1e-12}.get(dtype, 1e-5) * 30
    np.testing.assert_allclose(product, exact, rtol=close, atol=close)

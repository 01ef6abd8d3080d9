"""Weights that MLX quantised, from a file that MLX wrote: they load, dequantise and multiply to the numbers it found.

`fixtures/quantized.safetensors` was written with mlx 0.32.4 (`pip install "mlx[cpu]==0.32.4"`) by this program:

    import mlx.core as mx
    def weights(rows, dtype=mx.float32):
        i = mx.arange(rows * 128)
        return ((i * 7919 % 1009 - 504) / 256).reshape(rows, 128).astype(dtype)
    arrays = {}
    for mode, size, bits, dtype in FORMATS:  # those below
        name, options = f"{mode}-{size}-{bits}-{dtype}", {"group_size": size, "bits": bits, "mode": mode}
        parts = mx.quantize(weights(2, getattr(mx, dtype)), **options)
        for part, value in zip(("weight", "scales", "biases"), parts):
            arrays[f"{name}.{part}"] = value
        arrays[f"{name}.dequantized"] = mx.dequantize(*parts, **options, dtype=mx.float32)
        arrays[f"{name}.product"] = mx.quantized_matmul(weights(2), *parts, **options)
        arrays[f"{name}.plain_product"] = mx.quantized_matmul(weights(1)[:, :2], *parts, transpose=False, **options)
    mx.save_safetensors("tests/ops/fixtures/quantized.safetensors", arrays)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn

FILE = str(Path(__file__).parent / "fixtures" / "quantized.safetensors")
FORMATS = [
    *(("affine", size, bits, "float32") for size in (32, 64, 128) for bits in (1, 2, 3, 4, 5, 6, 8)),
    *((mode, size, bits, "float32") for mode, size, bits in (("mxfp4", 32, 4), ("mxfp8", 32, 8), ("nvfp4", 16, 4))),
    *(("affine", 64, bits, dtype) for bits in (4, 8) for dtype in ("float16", "bfloat16")),
    *((mode, size, 4, "bfloat16") for mode, size in (("mxfp4", 32), ("nvfp4", 16))),
]


def weights(rows: int, dtype: Any = mx.float32) -> mx.array:
    i = np.arange(rows * 128)
    return mx.array(((i * 7919 % 1009 - 504) / 256).reshape(rows, 128), mx.float32).astype(dtype)


@pytest.fixture(scope="module")
def written() -> dict[str, Any]:
    loaded: Any = mx.load(FILE)
    return loaded


@pytest.mark.parametrize("engine", ["numpy", "xla"])
@pytest.mark.parametrize(("mode", "size", "bits", "dtype"), FORMATS)
def test_written_weights(written: dict[str, Any], mode: str, size: int, bits: int, dtype: str, engine: Any) -> None:
    name, options = f"{mode}-{size}-{bits}-{dtype}", {"group_size": size, "bits": bits, "mode": mode}
    names = ("weight", "scales", "biases") if mode == "affine" else ("weight", "scales")
    parts = [written[f"{name}.{part}"] for part in names]
    with mx.engine(engine):
        for mine, theirs in zip(mx.quantize(weights(2, getattr(mx, dtype)), **options), parts, strict=True):
            assert mine.dtype == theirs.dtype
            assert mx.array_equal(mine, theirs)
        full = mx.dequantize(*parts, **options, dtype=mx.float32)
        assert mx.array_equal(full, written[f"{name}.dequantized"])
        product = mx.quantized_matmul(weights(2), *parts, **options)
        np.testing.assert_allclose(product, written[f"{name}.product"], rtol=1e-5, atol=1e-4)
        plain = mx.quantized_matmul(weights(1)[:, :2], *parts, transpose=False, **options)
        np.testing.assert_allclose(plain, written[f"{name}.plain_product"], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("mode", "size", "bits", "dtype"), FORMATS)
def test_layers_hold_written_weights(written: dict[str, Any], mode: str, size: int, bits: int, dtype: str) -> None:
    name = f"{mode}-{size}-{bits}-{dtype}"
    model = nn.Sequential(nn.Linear(128, 2, bias=False))
    nn.quantize(model, size, bits, mode=mode)
    names = ("weight", "scales", "biases") if mode == "affine" else ("weight", "scales")
    model.load_weights([(f"layers.0.{part}", written[f"{name}.{part}"]) for part in names])
    np.testing.assert_allclose(model(weights(2)), written[f"{name}.product"], rtol=1e-5, atol=1e-4)
    table = nn.QuantizedEmbedding(2, 128, size, bits, mode=mode)
    table.load_weights([(part, written[f"{name}.{part}"]) for part in names])
    rows = table(mx.array([1, 0])).astype(mx.float32)
    np.testing.assert_allclose(rows, np.array(written[f"{name}.dequantized"])[[1, 0]], rtol=2.0**-7)
    np.testing.assert_allclose(table.as_linear(weights(2)), written[f"{name}.product"], rtol=1e-5, atol=1e-4)

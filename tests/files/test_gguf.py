"""GGUF: files by its own library and by MLX, quantised tensors, and metadata of every type."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import gguf as library
import numpy as np
import pytest
from formats import entry, gguf, same, tensor, text
from gguf import quants

import mlx.core as mx

Type = library.GGMLQuantizationType
Value = library.GGUFValueType

# ---------------------------------------------------------------------- tensors


def written_by_the_library(path: Path, data: np.ndarray, kind: Any = None, alignment: int | None = None) -> None:
    writer = library.GGUFWriter(path, "test")
    if alignment is not None:
        writer.add_custom_alignment(alignment)
    writer.add_tensor("layer.weight", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("alignment", [None, 8, 256])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8, np.int16, np.int32, np.int64])
def test_plain_tensors_by_the_library(dtype: Any, alignment: int | None, tmp_path: Path) -> None:
    value = np.arange(-3, 3).reshape(2, 3).astype(dtype)
    written_by_the_library(tmp_path / "x.gguf", value, alignment=alignment)
    loaded = mx.load(tmp_path / "x.gguf")["layer.weight"]
    assert loaded.dtype.numpy == dtype
    np.testing.assert_array_equal(np.array(loaded), value)


@pytest.mark.parametrize("dtype", [mx.float16, mx.float32, mx.int8, mx.int16, mx.int32])
def test_files_for_the_library(dtype: Any, tmp_path: Path) -> None:
    arrays = {
        "table": mx.arange(6).reshape(3, 2).astype(dtype),
        "row": mx.arange(5).astype(dtype),
        "empty": mx.zeros((0, 4), dtype),
    }
    mx.save_gguf(tmp_path / "x.gguf", arrays, {"general.name": "tiny", "general.alignment": mx.array(64, mx.uint32)})
    reader = library.GGUFReader(tmp_path / "x.gguf")
    assert reader.fields["general.name"].contents() == "tiny"
    assert [(found.name, found.shape.tolist()) for found in reader.tensors] == [
        ("table", [2, 3]),
        ("row", [5]),
        ("empty", [4, 0]),
    ]
    assert all(found.data_offset % 64 == 0 for found in reader.tensors)
    for found in reader.tensors[:2]:
        np.testing.assert_array_equal(found.data, np.array(arrays[found.name]))
    assert (tmp_path / "x.gguf").stat().st_size % 64 == 0  # llama.cpp reads the padding as well


def test_files_by_mlx() -> None:
    path = Path(__file__).parent / "fixtures" / "mlx.gguf"
    loaded, metadata = mx.load(path, return_metadata=True)
    assert same(loaded["h"], mx.array([[1.5, -2.0]], mx.float16))
    assert same(loaded["i"], mx.array([[1, 2], [3, 4], [5, 6]], mx.int16))
    assert same(loaded["s"], mx.array(-7, mx.int32))
    assert metadata["l"] == ["a", "bc"]
    assert metadata["name"] == "tiny"
    assert same(metadata["n"], mx.array(3, mx.uint8))
    assert same(metadata["x"], mx.array([0.5, 1.5]))


def test_shapes() -> None:
    for shape in ((), (1,), (0,), (3, 0, 2), (1, 2, 1, 2, 1, 3, 1, 2)):
        file = io.BytesIO()
        mx.save_gguf(file, {"x": mx.ones(shape), "y": mx.array([1, 2], mx.int8)})
        file.seek(0)
        loaded = mx.load(file, format="gguf")
        assert same(loaded["x"], mx.ones(shape))
        assert loaded["y"].tolist() == [1, 2]


@pytest.mark.parametrize(("name", "bits"), [("Q4_0", 4), ("Q4_1", 4), ("Q8_0", 8)])
@pytest.mark.parametrize("shape", [(64,), (3, 256), (2, 3, 32)])
def test_tensors_that_stay_quantised(name: str, bits: int, shape: tuple[int, ...], tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    data = quants.quantize(values, Type[name])
    written_by_the_library(tmp_path / "x.gguf", data, Type[name])
    loaded = mx.load(tmp_path / "x.gguf")
    assert set(loaded) == {"layer.weight", "layer.scales", "layer.biases"}
    groups = (*shape[:-1], shape[-1] // 32)
    assert (loaded["layer.weight"].dtype, loaded["layer.weight"].shape) == (
        mx.uint32,
        (*shape[:-1], shape[-1] * bits // 32),
    )
    assert all(
        (loaded[f"layer.{part}"].dtype, loaded[f"layer.{part}"].shape) == (mx.float16, groups)
        for part in ("scales", "biases")
    )
    wide = {part: x if x.dtype is mx.uint32 else x.astype(mx.float32) for part, x in loaded.items()}
    if len(shape) > 1:
        whole = mx.dequantize(
            wide["layer.weight"], wide["layer.scales"], wide["layer.biases"], group_size=32, bits=bits
        )
        np.testing.assert_allclose(np.array(whole), quants.dequantize(data, Type[name]), rtol=1e-6, atol=1e-6)


def test_bits_of_packed_weights() -> None:
    """A block of Q4_0 with the numbers 0 to 15, twice, and one of Q8_0 with -128 to -97, as they lie in words."""
    nibbles = bytes(i | i << 4 for i in range(16))
    eights = bytes((i - 128) % 256 for i in range(32))
    half = np.float16(0.5).tobytes()
    tensors = [tensor(b"a.weight", (32,), 2, 0), tensor(b"b", (32,), 8, 32)]
    file = io.BytesIO(gguf((), tensors, half + nibbles + bytes(14) + half + eights))
    loaded = mx.load(file, format="gguf")
    assert loaded["a.weight"].tolist() == [0x76543210, 0xFEDCBA98] * 2
    assert (loaded["a.scales"].tolist(), loaded["a.biases"].tolist()) == ([0.5], [-4.0])
    assert loaded["b"].tolist()[:2] == [0x03020100, 0x07060504]
    assert (loaded["b.scales"].tolist(), loaded["b.biases"].tolist()) == ([0.5], [-64.0])


@pytest.mark.parametrize("name", ["Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"])
def test_tensors_that_become_float16(name: str, tmp_path: Path) -> None:
    size, nbytes = library.GGML_QUANT_SIZES[Type[name]]
    data = np.random.default_rng(1).integers(0, 60, (3, 512 // size * nbytes), dtype=np.uint8)
    written_by_the_library(tmp_path / "x.gguf", data, Type[name])
    loaded = mx.load(tmp_path / "x.gguf")
    assert list(loaded) == ["layer.weight"]
    assert loaded["layer.weight"].dtype is mx.float16
    expected = quants.dequantize(data, Type[name]).astype(np.float16)
    np.testing.assert_array_equal(np.array(loaded["layer.weight"]), expected)


def test_more_blocks_than_are_computed_at_once(tmp_path: Path) -> None:
    data = np.random.default_rng(2).integers(0, 60, (5000, 22), dtype=np.uint8)
    written_by_the_library(tmp_path / "x.gguf", data, Type.Q5_0)
    loaded = mx.load(tmp_path / "x.gguf")["layer.weight"]
    np.testing.assert_array_equal(np.array(loaded), quants.dequantize(data, Type.Q5_0).astype(np.float16))


def test_bfloat16_becomes_float16() -> None:
    """As in MLX: what is too large becomes infinite."""
    bits = np.array([0x3FC0, 0xC000, 0x4974, 0x7FC0, 0x8000], np.uint16)
    loaded = mx.load(io.BytesIO(gguf((), [tensor(b"x", (5,), 30, 0)], bits.tobytes())), format="gguf")["x"]
    assert loaded.dtype is mx.float16
    np.testing.assert_array_equal(np.array(loaded), np.array([1.5, -2.0, np.inf, np.nan, -0.0], np.float16))


# ---------------------------------------------------------------------- metadata

NUMBERS = {
    "UINT8": (mx.uint8, 200),
    "INT8": (mx.int8, -100),
    "UINT16": (mx.uint16, 60_000),
    "INT16": (mx.int16, -30_000),
    "UINT32": (mx.uint32, 2**32 - 1),
    "INT32": (mx.int32, -(2**31)),
    "UINT64": (mx.uint64, 2**64 - 1),
    "INT64": (mx.int64, -(2**63)),
    "FLOAT32": (mx.float32, 1.5),
    "FLOAT64": (mx.float64, 0.1),
    "BOOL": (mx.bool_, True),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers(name: str, tmp_path: Path) -> None:
    dtype, number = NUMBERS[name]
    writer = library.GGUFWriter(tmp_path / "x.gguf", "test")
    writer.add_key_value("one", number, Value[name])
    writer.add_key_value("several", [number, number], Value.ARRAY, Value[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    arrays, metadata = mx.load(tmp_path / "x.gguf", return_metadata=True)
    assert arrays == {}
    assert metadata.pop("general.architecture") == "test"
    assert same(metadata["one"], mx.array(np.array(number, dtype.numpy), dtype))
    assert same(metadata["several"], mx.array(np.array([number, number], dtype.numpy), dtype))
    mx.save_gguf(tmp_path / "y.gguf", {}, metadata)
    fields = library.GGUFReader(tmp_path / "y.gguf").fields
    assert fields["one"].types == [Value[name]]
    assert fields["several"].types == [Value.ARRAY, Value[name]]
    assert fields["one"].contents() == number
    assert fields["several"].contents() == [number, number]


def test_strings(tmp_path: Path) -> None:
    metadata = {"one": "héllo\0x", "empty": "", "several": ["a", "", "ü"], "none": []}
    mx.save_gguf(tmp_path / "x.gguf", {}, metadata)
    assert mx.load(tmp_path / "x.gguf", return_metadata=True) == ({}, metadata)
    mx.save_gguf(tmp_path / "y.gguf", {}, {"pair": ("a", "b")})
    assert mx.load(tmp_path / "y.gguf", return_metadata=True)[1] == {"pair": ["a", "b"]}


def test_empty_arrays_and_version_2() -> None:
    entries = [entry(b"n", 9, b"\5\0\0\0" + bytes(8)), entry(b"s", 8, text(b"x"))]
    file = io.BytesIO(gguf(entries, [tensor(b"a", (2,), 0, 0)], beginning=b"GGUF\2\0\0\0"))
    loaded, metadata = mx.load(file, format="gguf", return_metadata=True)
    assert loaded["a"].tolist() == [0.0, 0.0]
    assert same(metadata["n"], mx.zeros((0,), mx.int32))
    assert metadata["s"] == "x"


def test_many_strings(tmp_path: Path) -> None:
    tokens = [f"token {i}" for i in range(50_000)]
    mx.save_gguf(tmp_path / "x.gguf", {"w": mx.ones(3)}, {"tokenizer.ggml.tokens": tokens})
    assert mx.load(tmp_path / "x.gguf", return_metadata=True)[1]["tokenizer.ggml.tokens"] == tokens

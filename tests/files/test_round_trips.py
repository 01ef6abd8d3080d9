"""What is written reads back, here and by NumPy, safetensors and MLX; and what these write reads here."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from formats import SAVERS, by_format, only, same
from hypothesis import given, settings
from hypothesis import strategies as st

import mlx.core as mx
from mlx.ir.dtypes import ALL_DTYPES, Dtype

by_name = pytest.mark.parametrize("dtype", ALL_DTYPES, ids=lambda dtype: dtype.name)
SHAPES = ((), (1,), (2, 3), (0,), (3, 0, 2), (40, 50))
FIXTURES = Path(__file__).parent / "fixtures"


def arrays_of(dtype: Dtype) -> list[mx.array]:
    return [(mx.arange(int(np.prod(shape))) % 2).reshape(shape).astype(dtype) for shape in SHAPES]


@by_name
def test_npy(dtype: Dtype, tmp_path: Path) -> None:
    for x in arrays_of(dtype):
        mx.save(tmp_path / "x.npy", x)
        assert same(mx.load(tmp_path / "x.npy"), x)
        by_numpy = np.load(tmp_path / "x.npy")
        if dtype is mx.bfloat16:
            by_numpy = by_numpy.view(ml_dtypes.bfloat16)
        assert by_numpy.dtype == dtype.numpy
        assert by_numpy.tolist() == x.tolist()


@by_name
@pytest.mark.parametrize("save", [mx.savez, mx.savez_compressed])
def test_npz(dtype: Dtype, save: Any, tmp_path: Path) -> None:
    first, *rest = arrays_of(dtype)
    save(tmp_path / "x.npz", *rest, named=first)
    loaded = mx.load(tmp_path / "x.npz")
    assert set(loaded) == {"named", *(f"arr_{i}" for i in range(len(rest)))}
    assert same(loaded["named"], first)
    assert all(same(loaded[f"arr_{i}"], x) for i, x in enumerate(rest))
    with np.load(tmp_path / "x.npz") as by_numpy:
        assert by_numpy["arr_1"].shape == (2, 3)


@by_name
def test_safetensors(dtype: Dtype, tmp_path: Path) -> None:
    tensors = {f"layer.{i}": x for i, x in enumerate(arrays_of(dtype))}
    mx.save_safetensors(tmp_path / "x.safetensors", tensors, {"epoch": "3", "é": "ü"})
    loaded, metadata = mx.load(tmp_path / "x.safetensors", return_metadata=True)
    assert metadata == {"epoch": "3", "é": "ü"}
    assert set(loaded) == set(tensors)
    assert all(same(loaded[name], x) for name, x in tensors.items())


def test_safetensors_by_the_library(tmp_path: Path) -> None:
    values = {
        "w": np.arange(6, dtype=np.float32).reshape(2, 3),
        "flags": np.array([True, False, True]),
        "half": np.ones(5, np.float16),
        "long": np.array(7),
        "empty": np.zeros((0, 2), np.uint8),
    }
    mx.save_safetensors(tmp_path / "ours.safetensors", {name: mx.array(value) for name, value in values.items()})
    theirs = safetensors.numpy.load_file(tmp_path / "ours.safetensors")
    for name, value in values.items():
        assert theirs[name].dtype == value.dtype
        np.testing.assert_array_equal(theirs[name], value)
    safetensors.numpy.save_file(values, tmp_path / "theirs.safetensors", {"a": "b"})
    ours, metadata = mx.load(tmp_path / "theirs.safetensors", return_metadata=True)
    assert metadata == {"a": "b"}
    for name, value in values.items():
        np.testing.assert_array_equal(np.array(ours[name]), value)


def test_safetensors_start_at_multiples_of_their_item_size() -> None:
    file = io.BytesIO()
    mx.save_safetensors(file, {"a": mx.array([1], mx.uint8), "b": mx.array([1.0]), "c": mx.array([1], mx.int64)})
    data = file.getvalue()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    assert length % 8 == 0
    assert [header[name]["data_offsets"][0] for name in "cba"] == [0, 8, 12]


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E8M0"])
def test_eight_bit_floats_are_read_as_bits(dtype: str) -> None:
    header = b'{"x":{"dtype":"%s","shape":[3],"data_offsets":[0,3]}}' % dtype.encode()
    file = io.BytesIO(len(header).to_bytes(8, "little") + header + bytes([0, 0x7E, 0xFE]))
    loaded = mx.load(file, format="safetensors")
    assert (loaded["x"].dtype, loaded["x"].tolist()) == (mx.uint8, [0, 126, 254])


def test_files_by_mlx() -> None:
    assert same(mx.load(FIXTURES / "mlx.npy"), mx.array([[1.5, -2.0]], mx.bfloat16))
    archive = mx.load(FIXTURES / "mlx.npz")
    assert (archive["arr_0"].tolist(), archive["w"].tolist()) == ([1, 2], 0.5)
    loaded, metadata = mx.load(FIXTURES / "mlx.safetensors", return_metadata=True)
    assert metadata == {}
    assert same(loaded["b"], mx.array([[1.5, -2.0]], mx.bfloat16))
    assert same(loaded["c"], mx.array([1 + 2j]))
    assert same(loaded["t"], mx.array([True, False]))
    assert same(loaded["e"], mx.zeros((0, 2)))
    assert same(loaded["s"], mx.array(7, mx.int64))
    loaded, metadata = mx.load(FIXTURES / "mlx_metadata.safetensors", return_metadata=True)
    assert (loaded["s"].item(), metadata) == (7, {"epoch": "3"})


@pytest.mark.parametrize(
    "value",
    [
        np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
        np.asfortranarray(np.arange(3000, dtype=np.float32).reshape(3, 10, 100)),
        np.arange(3, dtype=">i4"),
        np.arange(3, dtype=">f8"),
        np.arange(1000, dtype=">f2"),
        np.asfortranarray(np.arange(6, dtype=">c8").reshape(3, 2)),
        np.array(1.5),
        np.zeros((0, 3), order="F"),
        np.array([True, False]),
    ],
)
def test_npy_files_by_numpy(value: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", value)
    for file in (tmp_path / "x.npy", io.BytesIO((tmp_path / "x.npy").read_bytes())):
        loaded = mx.load(file, format="npy")
        assert loaded.dtype.numpy == value.dtype.newbyteorder("=")
        np.testing.assert_array_equal(np.array(loaded), value)


def test_newer_headers_of_npy() -> None:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.arange(3.0), version=(2, 0))
    file.seek(0)
    assert mx.load(file, format="npy").tolist() == [0.0, 1.0, 2.0]


def test_bfloat16_as_the_reference_writes_it() -> None:
    header = b"{'descr': '<V2', 'fortran_order': True, 'shape': (2, )}    \n"
    file = io.BytesIO(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\xc0? @")
    loaded = mx.load(file, format="npy")
    assert (loaded.dtype, loaded.tolist()) == (mx.bfloat16, [1.5, 2.5])


@by_format
def test_arrays_that_are_views(kind: str) -> None:
    table = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    x = mx.array(table)
    for view, expected in (
        (x.transpose(2, 0, 1), table.transpose(2, 0, 1)),
        (mx.broadcast_to(x[:, :1], (2, 5, 4)), np.broadcast_to(table[:, :1], (2, 5, 4))),
        (x[:, ::-2, 1:3], table[:, ::-2, 1:3]),
    ):
        file = io.BytesIO()
        SAVERS[kind](file, {"w": view})
        file.seek(0)
        np.testing.assert_array_equal(np.array(only(mx.load(file, format=kind))), expected)


def test_names_in_npz(tmp_path: Path) -> None:
    arrays = {"a/b": mx.array(1), "c.d": mx.array(2), "layers.0.weight": mx.array(3), "ä": mx.array(4)}
    mx.savez(tmp_path / "x.npz", mx.array(0), **arrays)
    loaded = mx.load(tmp_path / "x.npz")
    assert {name: x.item() for name, x in loaded.items()} == {
        "arr_0": 0,
        "a/b": 1,
        "c.d": 2,
        "layers.0.weight": 3,
        "ä": 4,
    }
    mx.savez(tmp_path / "none.npz")
    assert mx.load(tmp_path / "none.npz") == {}


@settings(max_examples=50, deadline=None)
@given(
    arrays=st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=8).filter(lambda name: name != "__metadata__"),
        st.lists(st.integers(-100, 100), max_size=400),
        max_size=5,
    ),
    metadata=st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")), max_size=5),
)
@pytest.mark.parametrize("kind", ["safetensors", "gguf"])
def test_any_names_and_metadata(kind: str, arrays: dict[str, list[int]], metadata: dict[str, str]) -> None:
    file = io.BytesIO()
    save: Any = {"safetensors": mx.save_safetensors, "gguf": mx.save_gguf}[kind]
    save(file, {name: mx.array(values, mx.int16) for name, values in arrays.items()}, metadata)
    file.seek(0)
    loaded, told = mx.load(file, format=kind, return_metadata=True)
    assert {name: x.tolist() for name, x in loaded.items()} == arrays
    assert told == metadata

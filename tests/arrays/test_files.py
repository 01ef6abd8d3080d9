"""Files: what is written reads back, here and by NumPy and safetensors; failed saves leave the old file; and damaged
files are refused before memory is set aside for them.
"""

from __future__ import annotations

import io
import json
import os
import stat
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

import mlx.core as mx
from mlx.ir.dtypes import ALL_DTYPES, Dtype

by_name = pytest.mark.parametrize("dtype", ALL_DTYPES, ids=lambda dtype: dtype.name)
SHAPES = ((), (1,), (2, 3), (0,), (3, 0, 2), (40, 50))


def arrays_of(dtype: Dtype) -> list[mx.array]:
    return [(mx.arange(int(np.prod(shape))) % 2).reshape(shape).astype(dtype) for shape in SHAPES]


def same(a: mx.array, b: mx.array) -> bool:
    return a.dtype is b.dtype and a.shape == b.shape and a.tolist() == b.tolist()


SAVERS: dict[str, Callable[[Any, dict[str, mx.array]], None]] = {
    "npy": lambda file, values: mx.save(file, values["w"]),
    "npz": lambda file, values: mx.savez(file, **values),
    "safetensors": lambda file, values: mx.save_safetensors(file, values),
}
by_format = pytest.mark.parametrize("kind", SAVERS)

# ---------------------------------------------------------------------- round trips


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


def test_eight_bit_floats_are_read_as_bits() -> None:
    header = b'{"x":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[0,3]}}'
    file = io.BytesIO(len(header).to_bytes(8, "little") + header + bytes([0, 0x7E, 0xFE]))
    loaded = mx.load(file, format="safetensors")
    assert (loaded["x"].dtype, loaded["x"].tolist()) == (mx.uint8, [0, 126, 254])


@pytest.mark.parametrize(
    "value",
    [
        np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
        np.arange(3, dtype=">i4"),
        np.arange(3, dtype=">f8"),
        np.array(1.5),
    ],
)
def test_npy_files_by_numpy(value: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", value)
    loaded = mx.load(tmp_path / "x.npy")
    assert loaded.dtype.numpy == value.dtype.newbyteorder("=")
    np.testing.assert_array_equal(np.array(loaded), value)


def test_bfloat16_as_the_reference_writes_it() -> None:
    header = b"{'descr': '<V2', 'fortran_order': True, 'shape': (2, )}    \n"
    file = io.BytesIO(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + b"\xc0? @")
    loaded = mx.load(file, format="npy")
    assert (loaded.dtype, loaded.tolist()) == (mx.bfloat16, [1.5, 2.5])


# ---------------------------------------------------------------------- paths and open files


@by_format
def test_names_get_their_suffix(kind: str, tmp_path: Path) -> None:
    values = {"w": mx.array([1.0, 2.0])}
    for name in ("plain", f"whole.{kind}", "other.bin"):
        SAVERS[kind](str(tmp_path / name), values)
        SAVERS[kind](tmp_path / name, values)
    assert sorted(os.listdir(tmp_path)) == sorted([f"plain.{kind}", f"whole.{kind}", f"other.bin.{kind}"])
    loaded = mx.load(str(tmp_path / f"plain.{kind}"))
    assert same(loaded if kind == "npy" else loaded["w"], values["w"])


class Unseekable(io.RawIOBase):
    """A stream such as a pipe: it only goes forward, and hands out what it has in small pieces."""

    def __init__(self, data: bytes) -> None:
        self.rest = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self.rest.read(size)


class OnlyReads:
    """The least that a file can be."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)
        self.read, self.seek, self.tell = self.file.read, self.file.seek, self.file.tell

    def seekable(self) -> bool:
        return True


@by_format
@pytest.mark.parametrize("reopen", [io.BytesIO, Unseekable, OnlyReads])
def test_open_files(kind: str, reopen: Any, tmp_path: Path) -> None:
    values = {"w": mx.arange(10_000).astype(mx.float32), "b": mx.array([1.5], mx.bfloat16)}
    memory = io.BytesIO()
    SAVERS[kind](memory, values)
    with open(tmp_path / "file", "wb") as file:
        SAVERS[kind](file, values)
    assert (tmp_path / "file").read_bytes() == memory.getvalue()
    if reopen is OnlyReads and kind == "npz":
        return  # zip files are read by the standard library, which asks for more
    loaded = mx.load(reopen(memory.getvalue()), format=kind)
    assert same(loaded if kind == "npy" else loaded["w"], values["w"])
    assert kind == "npy" or same(loaded["b"], values["b"])


def test_files_one_after_the_other() -> None:
    file = io.BytesIO()
    mx.save(file, mx.array([1, 2]))
    mx.save(file, mx.array(0.5))
    file.seek(0)
    assert mx.load(file, format="npy").tolist() == [1, 2]
    assert mx.load(file, format="npy").tolist() == 0.5


def test_open_files_tell_their_format_by_name(tmp_path: Path) -> None:
    mx.save(tmp_path / "x.npy", mx.array([1, 2]))
    with open(tmp_path / "x.npy", "rb") as file:
        assert mx.load(file).tolist() == [1, 2]
    with pytest.raises(ValueError, match=r"\[load\] This file has no name that tells its format: pass format="):
        mx.load(io.BytesIO())


# ---------------------------------------------------------------------- saving is all or nothing


class FullDisk:
    """Stands for a file on a disk that has no room beyond the first bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        if size > self.room:
            raise OSError(28, "No space left on device")
        self.room -= size
        return self.file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> FullDisk:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.file.close()


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    room = [100]
    real_open = open

    def open_on_a_full_disk(path: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        file = real_open(path, mode, *rest, **options)
        return FullDisk(file, room[0]) if "x" in mode else file

    monkeypatch.setattr("mlx.arrays.files.open", open_on_a_full_disk, raising=False)
    return room


@by_format
def test_a_failed_save_leaves_the_old_file(kind: str, tmp_path: Path, full_disk: list[int]) -> None:
    path = tmp_path / f"weights.{kind}"
    path.write_bytes(b"the old file")
    for room in (0, 5, 100, 300):
        full_disk[0] = room
        with pytest.raises(OSError, match="No space left"):
            SAVERS[kind](path, {"w": mx.zeros(5000)})
    assert path.read_bytes() == b"the old file"
    assert os.listdir(tmp_path) == [path.name]
    full_disk[0] = 10**6
    SAVERS[kind](path, {"w": mx.zeros(5000)})
    assert os.listdir(tmp_path) == [path.name]


@by_format
def test_values_that_fail_leave_the_old_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights.{kind}"
    path.write_bytes(b"the old file")

    def save(x: mx.array) -> mx.array:
        SAVERS[kind](path, {"w": x})
        return x

    with pytest.raises(ValueError, match="vmap"):
        mx.vmap(save)(mx.zeros(3))
    assert path.read_bytes() == b"the old file"
    assert os.listdir(tmp_path) == [path.name]


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        mx.save(tmp_path / "missing" / "x.npy", mx.array(1))


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are POSIX's")
def test_permissions_and_links(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        mx.save(tmp_path / "new.npy", mx.array(1))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.npy").stat().st_mode) == 0o640
    (tmp_path / "new.npy").chmod(0o600)
    (tmp_path / "link.npy").symlink_to(tmp_path / "new.npy")
    mx.save(tmp_path / "link.npy", mx.array(2))
    assert (tmp_path / "link.npy").is_symlink()
    assert mx.load(tmp_path / "new.npy").item() == 2
    assert stat.S_IMODE((tmp_path / "new.npy").stat().st_mode) == 0o600


def test_a_saved_file_can_be_saved_again(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    mx.savez(path, x=mx.array([1.0]))
    for _ in range(3):
        loaded = mx.load(path)
        mx.savez(path, x=loaded["x"] * 2)
    assert mx.load(path)["x"].tolist() == [8.0]


# ---------------------------------------------------------------------- damaged files


def refused(data: bytes, kind: str) -> Exception:
    """The error of loading `data`, for which hardly any memory may be set aside."""
    tracemalloc.start()
    try:
        with pytest.raises((RuntimeError, ValueError), match=r"^\[load\] Cannot read BytesIO: ") as error:
            mx.load(io.BytesIO(data), format=kind)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()
    return error.value


def saved(kind: str) -> bytes:
    file = io.BytesIO()
    SAVERS[kind](file, {"w": mx.arange(8), "b": mx.array([1.0, 2.0])})
    return file.getvalue()


@by_format
def test_files_cut_short(kind: str) -> None:
    data = saved(kind)
    for length in range(len(data)):
        error = refused(data[:length], kind)
        assert type(error) is (ValueError if kind == "npz" else RuntimeError)


@by_format
def test_files_of_something_else(kind: str) -> None:
    for data in (b"garbage" * 20, b"\0" * 100, b"\xff" * 100, saved("npz" if kind != "npz" else "npy")):
        refused(data, kind)


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


@pytest.mark.parametrize(
    "shape", ["(1000000000000,)", "(1000000, 1000000, 1000000, 1000000)", "(-1,)", "(2, -3)", "(1.5,)", "('a',)", "3"]
)
def test_npy_headers_that_lie(shape: str) -> None:
    refused(npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}", b"\0" * 64), "npy")


@pytest.mark.parametrize("descr", ["'|O'", "'<U3'", "'<c16'", "[('a', '<i4')]", "'nonsense'", "7"])
def test_npy_dtypes_without_counterpart(descr: str) -> None:
    refused(npy(f"{{'descr': {descr}, 'fortran_order': False, 'shape': (2,)}}", b"\0" * 64), "npy")


def test_pickles_are_never_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "exploded"),)

    file = io.BytesIO()
    np.save(file, np.array([Bomb()], dtype=object), allow_pickle=True)
    refused(file.getvalue(), "npy")
    file = io.BytesIO()
    np.savez(file, x=np.array([Bomb()], dtype=object))
    refused(file.getvalue(), "npz")
    assert os.listdir(tmp_path) == []


def tensors(entry: Any, data: bytes = b"\0" * 8) -> bytes:
    header = json.dumps(entry if isinstance(entry, list) else {"x": entry}).encode()
    return len(header).to_bytes(8, "little") + header + data


GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def test_safetensors_headers_that_lie() -> None:
    assert mx.load(io.BytesIO(tensors(GOOD)), format="safetensors")["x"].tolist() == [0.0, 0.0]
    for change in (
        {"shape": [3]},
        {"shape": [-2]},
        {"shape": [2.0]},
        {"shape": [True, 2]},
        {"shape": 2},
        {"shape": [10**12], "data_offsets": [0, 4 * 10**12]},
        {"data_offsets": [4, 12]},
        {"data_offsets": [-8, 0]},
        {"data_offsets": [8, 0]},
        {"data_offsets": [0]},
        {"data_offsets": None},
    ):
        assert type(refused(tensors(GOOD | change), "safetensors")) is RuntimeError
    for entry in (3, None, {}, [1]):
        assert type(refused(tensors(entry), "safetensors")) is RuntimeError
    assert type(refused(tensors(GOOD | {"dtype": "Q3"}), "safetensors")) is ValueError
    assert type(refused((10**15).to_bytes(8, "little") + b"{}", "safetensors")) is RuntimeError
    deep = b"[" * 100_000
    assert type(refused(len(deep).to_bytes(8, "little") + deep, "safetensors")) is RuntimeError


def test_npz_members_that_lie() -> None:
    data = bytearray(saved("npz"))
    entry = data.index(b"PK\x01\x02")
    for field, size in ((24, 4), (20, 4)):  # the sizes with and without compression in the directory
        changed = bytearray(data)
        changed[entry + field : entry + field + size] = (2**31 - 1).to_bytes(4, "little")
        refused(bytes(changed), "npz")
    flipped = bytearray(data)
    flipped[data.index(b"NUMPY") + 130] ^= 1  # in the values, which the check sum covers
    refused(bytes(flipped), "npz")


def test_npz_with_other_members() -> None:
    for content in (b"some text", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", b"\0" * 8)):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("x.npy", content)
        refused(file.getvalue(), "npz")


# ---------------------------------------------------------------------- arguments


def test_arguments_of_load(tmp_path: Path) -> None:
    mx.save(tmp_path / "x.npy", mx.array(1))
    with pytest.raises(RuntimeError, match=r"\[load\] Failed to open file .*missing.npy: No such file"):
        mx.load(tmp_path / "missing.npy")
    with pytest.raises(ValueError, match=r"\[load\] Unknown file format txt; npy, npz and safetensors are known"):
        mx.load("x.txt")
    with pytest.raises(ValueError, match=r"\[load\] Unknown file format exe"):
        mx.load(tmp_path / "x.npy", format="exe")
    with pytest.raises(ValueError, match=r"\[load\] The name .*plain does not tell the format"):
        mx.load("plain")
    with pytest.raises(ValueError, match=r"\[load\] metadata not supported for format npy"):
        mx.load(tmp_path / "x.npy", return_metadata=True)
    for file in (3, None, [1]):
        with pytest.raises(ValueError, match=r"\[load\] Expected a path or a file open for reading"):
            mx.load(file)


def test_arguments_of_save(tmp_path: Path) -> None:
    x = mx.array([1.0])
    path = tmp_path / "x"
    for call in (
        lambda: mx.save(path, [1.0]),  # type: ignore[arg-type]
        lambda: mx.save(path, np.ones(2)),  # type: ignore[arg-type]
        lambda: mx.savez(path, x, 3),  # type: ignore[arg-type]
        lambda: mx.savez_compressed(path, a=None),  # type: ignore[arg-type]
        lambda: mx.save_safetensors(path, {"a": 1}),  # type: ignore[dict-item]
        lambda: mx.save_safetensors(path, [x]),  # type: ignore[arg-type]
        lambda: mx.save_safetensors(path, {1: x}),  # type: ignore[dict-item]
        lambda: mx.save(3, x),
        lambda: mx.save_safetensors(None, {"a": x}),
    ):
        with pytest.raises(TypeError, match=r"^\[save\w*\] "):
            call()
    with pytest.raises(ValueError, match=r"\[savez\] The name arr_0 is given"):
        mx.savez(path, x, arr_0=x)
    with pytest.raises(ValueError, match=r"\[save_safetensors\] metadata must map strings to strings"):
        mx.save_safetensors(path, {"a": x}, {"epoch": 3})  # type: ignore[dict-item]
    assert os.listdir(tmp_path) == []

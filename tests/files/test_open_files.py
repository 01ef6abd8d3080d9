"""Paths and open files: suffixes, streams that only go forward, what is left of a file, and how its format is told."""

from __future__ import annotations

import gzip
import io
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from formats import SAVERS, by_format, only, same

import mlx.core as mx


@by_format
def test_names_get_their_suffix(kind: str, tmp_path: Path) -> None:
    values = {"w": mx.array([1.0, 2.0])}
    for name in ("plain", f"whole.{kind}", "other.bin"):
        SAVERS[kind](str(tmp_path / name), values)
        SAVERS[kind](tmp_path / name, values)
    assert sorted(os.listdir(tmp_path)) == sorted([f"plain.{kind}", f"whole.{kind}", f"other.bin.{kind}"])
    assert same(only(mx.load(str(tmp_path / f"plain.{kind}"))), values["w"])


class Unseekable(io.RawIOBase):
    """A stream such as a pipe: it only goes forward, and hands out what it has in small pieces."""

    def __init__(self, data: bytes) -> None:
        self.rest = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self.rest.read(1000 if size < 0 else min(size, 1000))


class OnlyReads:
    """The least that a file can be."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)
        self.read, self.seek, self.tell = self.file.read, self.file.seek, self.file.tell

    def seekable(self) -> bool:
        return True


class OnlyWrites:
    """A file that takes little at once, as a socket does, and says how much."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: Any) -> int:
        piece = bytes(data)[:100]
        self.data += piece
        return len(piece)


VALUES = {"w": mx.arange(10_000).astype(mx.float32), "b": mx.array([1.5], mx.float16)}


@by_format
@pytest.mark.parametrize("reopen", [io.BytesIO, Unseekable, OnlyReads])
def test_open_files(kind: str, reopen: Any, tmp_path: Path) -> None:
    memory = io.BytesIO()
    SAVERS[kind](memory, VALUES)
    with open(tmp_path / "file", "wb") as file:
        SAVERS[kind](file, VALUES)
        assert not file.closed
        assert file.tell() == len(memory.getvalue())
    assert (tmp_path / "file").read_bytes() == memory.getvalue()
    if reopen is OnlyReads and kind == "npz":
        return  # zip files are read by the standard library, which asks for more
    loaded = mx.load(reopen(memory.getvalue()), format=kind)
    assert same(only(loaded), VALUES["w"])
    assert kind == "npy" or same(loaded["b"], VALUES["b"])


@by_format
def test_files_that_take_little_at_once(kind: str) -> None:
    socket = OnlyWrites()
    SAVERS[kind](socket, VALUES)
    loaded = mx.load(io.BytesIO(socket.data), format=kind)
    assert same(only(loaded), VALUES["w"])
    assert kind == "npy" or same(loaded["b"], VALUES["b"])


@by_format
def test_packed_files(kind: str, tmp_path: Path) -> None:
    memory = io.BytesIO()
    SAVERS[kind](memory, VALUES)
    (tmp_path / "x.gz").write_bytes(gzip.compress(memory.getvalue()))
    with gzip.open(tmp_path / "x.gz", "rb") as file:
        assert same(only(mx.load(file, format=kind)), VALUES["w"])


@by_format
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX's")
def test_pipes(kind: str, tmp_path: Path) -> None:
    pipe = tmp_path / f"pipe.{kind}"
    os.mkfifo(pipe)
    if kind == "npz":
        return  # the standard library needs to seek in what it reads from a path
    writer = threading.Thread(target=SAVERS[kind], args=(pipe, VALUES))
    writer.start()
    assert same(only(mx.load(pipe)), VALUES["w"])
    writer.join()
    assert pipe.is_fifo()


@by_format
def test_what_is_left_of_a_file(kind: str, tmp_path: Path) -> None:
    """A file is left open, after what was read."""
    memory = io.BytesIO()
    SAVERS[kind](memory, VALUES)
    end = len(memory.getvalue())
    (tmp_path / "x").write_bytes(memory.getvalue())
    for mode in ("rb", "r+b"):
        with open(tmp_path / "x", mode) as file:
            mx.load(file, format=kind)
            assert not file.closed
            assert file.tell() == end
    memory.seek(0)
    mx.load(memory, format=kind)
    assert memory.tell() == end


@pytest.mark.parametrize("buffering", [-1, 0])
def test_files_one_after_the_other(buffering: int, tmp_path: Path) -> None:
    with open(tmp_path / "x", "wb", buffering=buffering) as file:
        mx.save(file, mx.arange(1000))
        mx.save(file, mx.array(0.5))
        file.write(b"the end")
    for mode in ("rb", "r+b"):
        with open(tmp_path / "x", mode, buffering=buffering) as file:
            first, second = mx.load(file, format="npy"), mx.load(file, format="npy")
            assert file.read() == b"the end"
        assert (first.tolist(), second.tolist()) == (list(range(1000)), 0.5)
    stream = Unseekable((tmp_path / "x").read_bytes())
    assert mx.load(stream, format="npy").shape == (1000,)
    assert mx.load(stream, format="npy").item() == 0.5
    assert stream.read() == b"the end"


def test_later_parts_of_a_file(tmp_path: Path) -> None:
    for kind in ("safetensors", "gguf"):
        with open(tmp_path / "x", "wb") as file:
            file.write(b"something else")
            SAVERS[kind](file, VALUES)
        with open(tmp_path / "x", "rb") as file:
            file.seek(len(b"something else"))
            loaded = mx.load(file, format=kind)
        assert same(loaded["w"], VALUES["w"])


def test_open_files_tell_their_format_by_name(tmp_path: Path) -> None:
    mx.save(tmp_path / "x.npy", mx.array([1, 2]))
    with open(tmp_path / "x.npy", "rb") as file:
        assert mx.load(file).tolist() == [1, 2]
    with pytest.raises(ValueError, match=r"\[load\] This file has no name that tells its format: pass format="):
        mx.load(io.BytesIO())
    with open(tmp_path / "x.npy") as file, pytest.raises(ValueError, match=r"\[load\] Expected a path or a file open"):
        mx.load(file)


def test_arguments_of_load(tmp_path: Path) -> None:
    mx.save(tmp_path / "x.npy", mx.array(1))
    for kind, refusal in (
        ("npy", RuntimeError),
        ("safetensors", RuntimeError),
        ("npz", ValueError),
        ("gguf", ValueError),
    ):
        with pytest.raises(refusal, match=rf"\[load\] Failed to open file .*missing.{kind}: No such file"):
            mx.load(tmp_path / f"missing.{kind}")
    with pytest.raises(RuntimeError, match=r"\[load\] Failed to open file .*: Is a directory"):
        mx.load(tmp_path, format="npy")
    with pytest.raises(ValueError, match=r"\[load\] Unknown file format txt; npy, npz, safetensors and gguf are known"):
        mx.load("x.txt")
    with pytest.raises(ValueError, match=r"\[load\] Unknown file format exe"):
        mx.load(tmp_path / "x.npy", format="exe")
    with pytest.raises(ValueError, match=r"\[load\] The name .*plain does not tell the format"):
        mx.load("plain")
    for kind in ("npy", "npz"):
        with pytest.raises(ValueError, match=rf"\[load\] metadata not supported for format {kind}"):
            mx.load(tmp_path / f"x.{kind}", return_metadata=True)
    for file in (3, None, [1], b"x.npy"):
        with pytest.raises(ValueError, match=r"\[load\] Expected a path or a file open for reading"):
            mx.load(file)


@pytest.mark.parametrize("kind", ["safetensors", "gguf"])
def test_metadata_come_only_when_asked_for(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{kind}"
    SAVERS[kind](path, {"w": mx.array([1.0])})
    assert list(mx.load(path)) == ["w"]
    arrays, metadata = mx.load(path, return_metadata=True)
    assert (list(arrays), metadata) == (["w"], {})

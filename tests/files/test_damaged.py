"""Damaged files and files that lie are refused, naming the file and the fault, before memory is set aside for them."""

from __future__ import annotations

import contextlib
import io
import os
import random
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from formats import by_format, entry, gguf, npy, only, safetensors, saved, tensor, text

import mlx.core as mx


def refused(data: bytes, kind: str, fault: str = "") -> Exception:
    """The error of loading `data`, for which hardly any memory may be set aside."""
    tracemalloc.start()
    try:
        with pytest.raises((RuntimeError, ValueError), match=rf"^\[load\] Cannot read BytesIO: .*{fault}") as error:
            mx.load(io.BytesIO(data), format=kind)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()
    return error.value


@by_format
def test_files_cut_short(kind: str) -> None:
    data = saved(kind)
    for length in range(len(data) - (24 if kind == "gguf" else 0)):  # which ends with padding
        error = refused(data[:length], kind)
        assert type(error) is (ValueError if kind == "npz" else RuntimeError)


@by_format
def test_files_cut_short_by_path(kind: str, tmp_path: Path) -> None:
    """The error names the file. Of values that are missing in a npy file it comes when they are needed."""
    data, path = saved(kind), tmp_path / f"short.{kind}"
    for length in (0, 1, 10, len(data) // 2, len(data) - 26):
        path.write_bytes(data[:length])
        with pytest.raises((RuntimeError, ValueError), match=rf"^\[load\] Cannot read .*short\.{kind}: "):
            mx.eval(only(mx.load(path)))


def test_missing_values_of_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(1000.0))
    os.truncate(tmp_path / "x.npy", 5000)
    x = mx.load(tmp_path / "x.npy")
    for ask in (lambda: mx.eval(x), lambda: (x + 1).tolist(), lambda: mx.save(tmp_path / "y.npy", x)):
        with pytest.raises(RuntimeError, match=r"^\[load\] Cannot read .*x\.npy: cut short: .* takes 8000 bytes, 4872"):
            ask()
    assert os.listdir(tmp_path) == ["x.npy"]


@by_format
def test_files_of_something_else(kind: str) -> None:
    others = [saved(other) for other in ("npy", "npz", "safetensors", "gguf") if other != kind]
    for data in (b"", b"garbage" * 20, b"\0" * 100, b"\xff" * 100, *others):
        refused(data, kind)


@by_format
def test_any_damage(kind: str, tmp_path: Path) -> None:
    """Bytes that are not as they were give an error of load or other values, and nothing else."""
    data, chance = saved(kind), random.Random(3)
    for _ in range(400):
        damaged = bytearray(data)
        for _ in range(chance.choice((1, 1, 2, 8))):
            damaged[chance.randrange(len(data))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        with contextlib.suppress(_Refused):
            loaded = _loaded_or_refused(bytes(damaged), kind)
            assert isinstance(loaded, mx.array | dict)


class _Refused(Exception):
    """A file was refused as it should be."""


def _loaded_or_refused(data: bytes, kind: str) -> Any:
    try:
        return mx.load(io.BytesIO(data), format=kind)
    except (RuntimeError, ValueError) as error:
        if str(error).startswith("[load] Cannot read BytesIO: "):
            raise _Refused from error
        raise


# ---------------------------------------------------------------------- npy


@pytest.mark.parametrize(
    "shape",
    [
        "(1000000000000,)",
        "(1000000, 1000000, 1000000, 1000000)",
        "(4294967296, 4294967296)",
        "(0, 4294967296)",
        "(0, 1000000000, 1000000000, 1000000000)",
        "(-1,)",
        "(2, -3)",
        "(1.5,)",
        "('a',)",
        "3",
        "(" + 65 * "1," + ")",
        "(" + 3000 * "(",
        "(" + 3000 * "9" + ",)",
    ],
)
def test_npy_headers_that_lie(shape: str, tmp_path: Path) -> None:
    data = npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}", b"\0" * 64)
    assert type(refused(data, "npy")) is RuntimeError
    (tmp_path / "x.npy").write_bytes(data)
    with pytest.raises(RuntimeError, match=r"^\[load\] Cannot read .*x\.npy: "):
        mx.load(tmp_path / "x.npy")


def test_npy_values_that_are_not_there(tmp_path: Path) -> None:
    """Also in a stream that cannot tell how much is left."""
    data = npy("{'descr': '<f4', 'fortran_order': True, 'shape': (1000000000, 200)}", b"\0" * 64)
    refused(data, "npy", "cut short: .* takes 800000000000 bytes, 64 are left")

    class Stream(io.RawIOBase):
        rest = io.BytesIO(data)

        def read(self, size: int = -1) -> bytes:
            return self.rest.read(size)

    with pytest.raises(RuntimeError, match=r"^\[load\] Cannot read Stream: cut short: .*, 64 are left"):
        mx.load(Stream(), format="npy")
    (tmp_path / "x.npy").write_bytes(data)
    x = mx.load(tmp_path / "x.npy")
    with pytest.raises(RuntimeError, match=r"^\[load\] Cannot read .*x\.npy: cut short"):
        mx.eval(x + 1)


@pytest.mark.parametrize(
    "descr", ["'|O'", "'<U3'", "'<c16'", "'<M8[D]'", "'<f16'", "'|V3'", "[('a', '<i4')]", "('<f4', (2,))"]
)
def test_npy_dtypes_without_counterpart(descr: str) -> None:
    data = npy(f"{{'descr': {descr}, 'fortran_order': False, 'shape': (2,)}}", b"\0" * 64)
    assert type(refused(data, "npy", "has no counterpart here")) is ValueError


@pytest.mark.parametrize("descr", ["'nonsense'", "7", "'f4" + 200 * "x" + "'"])
def test_npy_dtypes_that_are_none(descr: str) -> None:
    refused(npy(f"{{'descr': {descr}, 'fortran_order': False, 'shape': (2,)}}", b"\0" * 64), "npy")


def test_versions_of_npy() -> None:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.arange(3.0), version=(3, 0))
    refused(file.getvalue(), "npy", r"version 3\.0 of the format")


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


def test_booleans_of_any_byte() -> None:
    data = b"\0\1\2\xff"
    file = io.BytesIO(npy("{'descr': '|b1', 'fortran_order': False, 'shape': (4,)}", data))
    assert np.array(mx.load(file, format="npy")).view(np.uint8).tolist() == [0, 1, 1, 1]
    header = {"x": {"dtype": "BOOL", "shape": [4], "data_offsets": [0, 4]}}
    loaded = mx.load(io.BytesIO(safetensors(header, data)), format="safetensors")
    assert np.array(loaded["x"]).view(np.uint8).tolist() == [0, 1, 1, 1]


# ---------------------------------------------------------------------- safetensors

GOOD = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def test_safetensors_headers_that_lie() -> None:
    assert mx.load(io.BytesIO(safetensors({"x": GOOD})), format="safetensors")["x"].tolist() == [0.0, 0.0]
    for change in (
        {"shape": [3]},
        {"shape": [-2]},
        {"shape": [2.0]},
        {"shape": [True, 2]},
        {"shape": 2},
        {"shape": {"2": 2}},
        {"shape": [1] * 65 + [2]},
        {"shape": [10**12], "data_offsets": [0, 4 * 10**12]},
        {"shape": [2**31, 2**33], "data_offsets": [0, 0]},
        {"shape": [2**40, 2**40], "data_offsets": [0, 0]},
        {"shape": [2**62, 0], "data_offsets": [0, 0]},
        {"shape": [10**300] * 1000},
        {"shape": [500_000_000], "data_offsets": [0, 2_000_000_000]},
        {"data_offsets": [4, 12]},
        {"data_offsets": [2**63, 2**63 + 8]},
        {"data_offsets": [-8, 0]},
        {"data_offsets": [8, 0]},
        {"data_offsets": [0.0, 8.0]},
        {"data_offsets": [0]},
        {"data_offsets": None},
        {"dtype": "Q3"},
        {"dtype": "F8_E5M2", "shape": [8]},
        {"dtype": ["F32"]},
        {"dtype": None},
    ):
        assert type(refused(safetensors({"x": GOOD | change}), "safetensors", "tensor 'x'")) is RuntimeError
    for value in (3, None, {}, [1], "F32"):
        assert type(refused(safetensors({"x": value}), "safetensors", "tensor 'x'")) is RuntimeError


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 2**40, 100_000_001, 10**15, 3])
def test_lengths_of_safetensors_headers(length: int) -> None:
    assert type(refused(length.to_bytes(8, "little") + b"{}", "safetensors", "header")) is RuntimeError


def test_long_safetensors_headers(tmp_path: Path) -> None:
    """What is longer than those that the format's own library reads is not parsed."""
    with open(tmp_path / "x.safetensors", "wb") as file:
        file.write((100_000_001).to_bytes(8, "little"))
        file.truncate(200_000_000)
    with pytest.raises(RuntimeError, match=r"x\.safetensors: its header has 100000001 bytes"):
        mx.load(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    "header",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[1]",
        b"null",
        b"{" + b" " * 20,
        b'{"x": 1} trailing',
        '{"x": {}}'.encode("utf-16"),
        b'{"\xff": 1}',
        b'{"x": {"shape": ' + b"9" * 5000 + b"}}",
    ],
)
def test_safetensors_headers_that_are_none(header: bytes) -> None:
    assert type(refused(safetensors(header), "safetensors")) is RuntimeError


def test_safetensors_names_that_come_twice() -> None:
    twice = b'{"x":%b,"x":%b}' % ((b'{"dtype":"F32","shape":[2],"data_offsets":[0,8]}',) * 2)
    refused(safetensors(twice), "safetensors", "the name 'x' comes twice")
    inside = b'{"x":{"dtype":"F32","dtype":"I32","shape":[2],"data_offsets":[0,8]}}'
    refused(safetensors(inside), "safetensors", "the name 'dtype' comes twice")


def test_safetensors_that_overlap() -> None:
    for second in ([0, 8], [4, 12], [7, 15]):
        header = {"x": GOOD, "y": GOOD | {"data_offsets": second}}
        refused(safetensors(header, b"\0" * 16), "safetensors", "tensors 'x' and 'y' overlap")
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [4, 4]}
    loaded = mx.load(io.BytesIO(safetensors({"x": GOOD, "e": empty})), format="safetensors")
    assert loaded["e"].shape == (0,)


@pytest.mark.parametrize("metadata", [3, [], "text", {"a": 3}, {"a": None}, {"a": {"b": "c"}}])
def test_safetensors_metadata_that_are_none(metadata: Any) -> None:
    if metadata == []:
        metadata = [1]
    refused(safetensors({"__metadata__": metadata, "x": GOOD}), "safetensors", "do not map strings to strings")


# ---------------------------------------------------------------------- npz


def test_npz_members_that_lie() -> None:
    data = bytearray(saved("npz"))
    place = data.index(b"PK\x01\x02")
    for field, size in ((24, 4), (20, 4)):  # the sizes with and without compression in the directory
        changed = bytearray(data)
        changed[place + field : place + field + size] = (2**31 - 1).to_bytes(4, "little")
        refused(bytes(changed), "npz")
    flipped = bytearray(data)
    flipped[data.index(b"NUMPY") + 130] ^= 1  # in the values, which the check sum covers
    refused(bytes(flipped), "npz", "CRC")


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as target:
        for name, content in members.items():
            target.writestr(name, content)
    return file.getvalue()


def test_npz_with_other_members() -> None:
    for content in (b"some text", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,)}", b"\0" * 8)):
        refused(archive({"x.npy": content}), "npz", r"its member x\.npy")


def test_npz_headers_that_lie() -> None:
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 1000)}"
    refused(archive({"x.npy": npy(header, b"\0" * 100)}), "npz", "cut short")


def test_npz_members_that_share_their_bytes() -> None:
    """Many entries of the directory for one large member."""
    content = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (100000,)}", bytes(400_000))
    data = archive({"x.npy": content}, zipfile.ZIP_STORED)
    place, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    directory = data[place:end] * 1000
    tail = bytearray(data[end:])
    tail[8:12] = (1000).to_bytes(2, "little") * 2
    tail[12:16] = len(directory).to_bytes(4, "little")
    refused(data[:place] + directory + bytes(tail), "npz", "its members claim more than")


def test_npz_methods_that_unpack_without_limit() -> None:
    content = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000,)}", bytes(4_000_000))
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        refused(archive({"x.npy": content}, method), "npz", "is compressed by method")


def test_npz_members_that_are_encrypted() -> None:
    data = bytearray(saved("npz"))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    data[6] |= 1
    refused(bytes(data), "npz", "is encrypted")


# ---------------------------------------------------------------------- gguf

FLOATS = tensor(b"a", (4,), 0, 0)
ALIGNMENT = b"general.alignment"


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (gguf(beginning=b"GGUX\3\0\0\0"), "does not begin with"),
        (gguf(beginning=b"GGUF\1\0\0\0"), "it has version 1 of the format"),
        (gguf(beginning=b"GGUF\4\0\0\0"), "it has version 4 of the format"),
        (gguf(beginning=b"GGUF\0\0\0\3"), "its numbers are big endian"),
        (gguf(counts=(2**63, 0)), "it claims 9223372036854775808 tensors"),
        (gguf(counts=(0, 2**63)), "it claims 9223372036854775808 entries of metadata"),
        (gguf(counts=(9, 0)), "it claims 9 tensors, and has"),
        (gguf(tensors=[tensor(b"a", (4,), 0, 64)]), "cut short: tensor 'a' ends at"),
        (gguf(tensors=[tensor(b"a", (2**20,), 0, 0)]), "cut short: tensor 'a' ends at"),
        (gguf(tensors=[tensor(b"a", (4,), 0, 2**63)]), "cut short: tensor 'a' ends at"),
        (gguf(tensors=[tensor(b"a", (4,), 0, 4)]), "tensor 'a' begins at byte 4, which is no multiple of 32"),
        (gguf(tensors=[tensor(b"a", (2**32, 2**32), 0, 0)]), "tensor 'a': 4294967296 is no extent"),
        (gguf(tensors=[tensor(b"a", (2**31 - 1,) * 8, 0, 0)]), "tensor 'a': no memory holds"),
        (gguf(tensors=[tensor(b"a", (1,) * 9, 0, 0)]), "tensor 'a' has 9 axes"),
        (gguf(tensors=[text(b"a") + b"\xff\xff\xff\xff"]), "axes of tensor 'a'"),
        (gguf(tensors=[tensor(b"a", (4,), 200, 0)]), "tensor 'a': numbers of type 200"),
        (gguf(tensors=[tensor(b"a", (256,), 16, 0)]), "tensor 'a': numbers of type 16"),
        (gguf(tensors=[tensor(b"a", (33,), 2, 0)]), r"its shape \(33,\) does not consist of blocks of 32"),
        (gguf(tensors=[tensor(b"a", (), 8, 0)]), r"its shape \(\) does not consist of blocks of 32"),
        (gguf(tensors=[FLOATS, FLOATS]), "the name 'a' comes twice"),
        (gguf(tensors=[FLOATS, tensor(b"b", (4,), 0, 0)]), "tensors 'a' and 'b' overlap"),
        (
            gguf(tensors=[tensor(b"a.weight", (32,), 2, 0), tensor(b"a.scales", (4,), 0, 32)]),
            "the name 'a.scales' comes twice",
        ),
        (gguf(tensors=[tensor(b"\xff", (4,), 0, 0)]), "the name of a tensor at byte 32 is no UTF-8"),
        (gguf([entry(b"k", 13, b"")] * 2), "the metadata 'k' have the type 13"),
        (gguf([entry(b"k", 9, b"\x0d\0\0\0" + bytes(8))]), "the metadata 'k' have the type 13"),
        (gguf([entry(b"k", 9, b"\x05\0\0\0" + b"\xff" * 8)]), "it claims 18446744073709551615 numbers in the metadata"),
        (gguf([entry(b"k", 9, b"\x08\0\0\0" + b"\xff" * 8)]), "it claims 18446744073709551615 strings in the metadata"),
        (gguf([entry(b"k", 8, b"\xff" * 8)]), "cut short: the metadata 'k' takes 18446744073709551615 bytes"),
        (gguf([entry(b"k", 8, text(b"\xff"))]), "the metadata 'k' at byte .* is no UTF-8"),
        (gguf([b"\xff" * 30]), "cut short: the name of an entry"),
        (gguf([entry(b"k", 0, b"\1"), entry(b"k", 0, b"\2")]), "metadata 'k' come twice"),
        (gguf([entry(ALIGNMENT, 4, b"\0\0\0\0")]), "its general.alignment must be a multiple of 8"),
        (gguf([entry(ALIGNMENT, 4, b"\7\0\0\0")]), "its general.alignment must be a multiple of 8"),
        (gguf([entry(ALIGNMENT, 8, text(b"32"))]), "its general.alignment must be a multiple of 8"),
    ],
)
def test_gguf_files_that_lie(data: bytes, fault: str) -> None:
    assert type(refused(data, "gguf", fault)) is RuntimeError


def test_gguf_alignment_that_reaches_past_the_end() -> None:
    lied = gguf([entry(ALIGNMENT, 4, b"\xf8\xff\xff\xff")], [FLOATS])
    refused(lied, "gguf", "cut short: tensor 'a' ends at byte 4294967304")


def test_gguf_arrays_of_arrays() -> None:
    nested = entry(b"k", 9, b"\x09\0\0\0\1\0\0\0\0\0\0\0" + b"\5\0\0\0\1\0\0\0\0\0\0\0" + bytes(4))
    assert type(refused(gguf([nested]), "gguf", "an array of arrays")) is ValueError

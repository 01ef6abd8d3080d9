"""What the tests of all formats share: how each saves, and files whose headers say what a test wants them to say."""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Callable, Sequence
from typing import Any

import pytest

import mlx.core as mx

SAVERS: dict[str, Callable[[Any, dict[str, mx.array]], None]] = {
    "npy": lambda file, values: mx.save(file, values["w"]),
    "npz": lambda file, values: mx.savez(file, **values),
    "safetensors": lambda file, values: mx.save_safetensors(file, values),
    "gguf": lambda file, values: mx.save_gguf(file, values),
}
by_format = pytest.mark.parametrize("kind", SAVERS)
LAZY = ("npy", "safetensors", "gguf")


def only(loaded: Any) -> mx.array:
    """The array "w" of what was loaded."""
    return loaded if isinstance(loaded, mx.array) else loaded["w"]


def same(a: mx.array, b: mx.array) -> bool:
    return a.dtype is b.dtype and a.shape == b.shape and a.tolist() == b.tolist()


def saved(kind: str) -> bytes:
    file = io.BytesIO()
    SAVERS[kind](file, {"w": mx.arange(8), "b": mx.array([1.0, 2.0])})
    return file.getvalue()


def npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def safetensors(header: Any, data: bytes = b"\0" * 8) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


# ---------------------------------------------------------------------- gguf


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def entry(name: bytes, kind: int, value: bytes) -> bytes:
    """An entry of the metadata."""
    return text(name) + struct.pack("<I", kind) + value


def tensor(name: bytes, extents: Sequence[int], kind: int, place: int) -> bytes:
    """The description of a tensor, whose last axis comes first."""
    return text(name) + struct.pack(f"<I{len(extents)}QIQ", len(extents), *extents, kind, place)


def gguf(
    entries: Sequence[bytes] = (),
    tensors: Sequence[bytes] = (),
    data: bytes = b"\0" * 64,
    *,
    beginning: bytes = b"GGUF\3\0\0\0",
    counts: tuple[int, int] | None = None,
    alignment: int = 32,
) -> bytes:
    head = beginning + struct.pack("<QQ", *(counts or (len(tensors), len(entries))))
    head += b"".join(entries) + b"".join(tensors)
    return head + bytes(-len(head) % alignment) + data

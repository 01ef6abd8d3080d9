"""The format GGUF: metadata, the names, shapes and types of tensors, and their bytes at aligned places.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

The library of that name takes paths alone, imports a client for the network, and believes what a file says of its
sizes; so the format is read and written here. How quantised tensors are unpacked is said in `gguf_blocks`.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from mlx.arrays.conversion import converted_copy
from mlx.files.gguf_blocks import BLOCKS, PACKED, biases, halves, packed_weights, scales
from mlx.files.stored import Array, Stored, check_apart, checked_shape
from mlx.files.writing import write_all, write_values
from mlx.ir.dtypes import (
    Dtype,
    bfloat16,
    bool_,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from mlx.ir.node import Shape

MAGIC = b"GGUF"
VERSION = 3
MOST_AXES = 8  # that the reference reads; llama.cpp reads 4

_VERSIONS = (2, 3)
ALIGNMENT = "general.alignment"
_DEFAULT_ALIGNMENT = 32
_GROUP = 32  # numbers that share a scale

# Types of metadata, by the numbers that stand for them.
_VALUES = {
    0: uint8,
    1: int8,
    2: uint16,
    3: int16,
    4: uint32,
    5: int32,
    6: float32,
    7: bool_,
    10: uint64,
    11: int64,
    12: float64,
}
METADATA_DTYPES = tuple(_VALUES.values())
_STRING, _ARRAY = 8, 9
_VALUE_TYPES = {dtype: number for number, dtype in _VALUES.items()}
_LEAST_ENTRY = 8 + 4 + 1  # bytes of the shortest entry of the metadata: name, type and value
_LEAST_TENSOR = 8 + 4 + 4 + 8  # bytes of the shortest description of a tensor

# Types of tensors that are arrays as they stand. The reference writes the first five.
_TENSORS = {0: float32, 1: float16, 24: int8, 25: int16, 26: int32, 27: int64, 28: float64}
WRITABLE = (float32, float16, int8, int16, int32)
_TENSOR_TYPES = {dtype: number for number, dtype in _TENSORS.items()}
_BFLOAT16 = 30

Value = Array | str | list[str]

# ---------------------------------------------------------------------- writing


def write_gguf(file: Any, arrays: Mapping[str, tuple[Array, Dtype]], metadata: Mapping[str, Value]) -> None:
    """Write arrays and metadata by name.

    Args:
        arrays: values of dtypes in `WRITABLE`.
        metadata: strings, lists of them, and values of dtypes in `METADATA_DTYPES` with one axis at most. The alignment
            among them is one.
    """
    alignment = int(metadata.get(ALIGNMENT, _DEFAULT_ALIGNMENT))  # type: ignore[arg-type]
    head = bytearray(MAGIC + struct.pack("<IQQ", VERSION, len(arrays), len(metadata)))
    for name, value in metadata.items():
        head += _encoded_string(name) + _encoded_value(value)
    place = 0
    for name, (value, dtype) in arrays.items():
        extents = value.shape[::-1]
        head += _encoded_string(name)
        head += struct.pack(f"<I{len(extents)}QIQ", len(extents), *extents, _TENSOR_TYPES[dtype], place)
        place += value.nbytes + -value.nbytes % alignment
    write_all(file, bytes(head) + bytes(-len(head) % alignment))
    for value, _ in arrays.values():
        write_values(file, value)
        write_all(file, bytes(-value.nbytes % alignment))


def _encoded_string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _encoded_value(value: Value) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _encoded_string(value)
    if isinstance(value, list):
        return struct.pack("<IIQ", _ARRAY, _STRING, len(value)) + b"".join(_encoded_string(text) for text in value)
    kind = next(number for number, dtype in _VALUES.items() if dtype.numpy == value.dtype)
    if value.ndim == 0:
        return struct.pack("<I", kind) + value.tobytes()
    return struct.pack("<IIQ", _ARRAY, kind, len(value)) + value.tobytes()


# ---------------------------------------------------------------------- reading


class Cursor:
    """A place in the contents of a file, which moves over what is read."""

    def __init__(self, data: memoryview) -> None:
        self.data, self.place = data, 0

    def take(self, count: int, what: str) -> memoryview:
        """The next bytes; RuntimeError if there are not so many."""
        if count > len(self.data) - self.place:
            raise RuntimeError(
                f"cut short: {what} takes {count} bytes at byte {self.place}, and the file ends at {len(self.data)}"
            )
        self.place += count
        return self.data[self.place - count : self.place]

    def number(self, code: str, what: str) -> int:
        return struct.unpack(f"<{code}", self.take(struct.calcsize(code), what))[0]

    def count(self, code: str, least: int, what: str) -> int:
        """How many of something follow, each of which takes at least so many bytes."""
        count = self.number(code, f"the number of {what}")
        if count * least > len(self.data) - self.place:
            raise RuntimeError(f"it claims {count} {what}, and has {len(self.data) - self.place} bytes left")
        return count

    def string(self, what: str) -> str:
        data = self.take(self.number("Q", f"the length of {what}"), what)
        try:
            return str(data, "utf-8")
        except UnicodeDecodeError as error:
            raise RuntimeError(f"{what} at byte {self.place - len(data)} is no UTF-8 text: {error}") from error


def parse_gguf(data: memoryview) -> tuple[dict[str, Stored], dict[str, Value]]:
    """The arrays and the metadata in the contents of a file, by name.

    A quantised tensor "layer.weight" gives "layer.weight", "layer.scales" and "layer.biases" for `mx.dequantize`.

    Raises:
        RuntimeError: it is no GGUF file, or cut short, or tensors overlap, or are of a type without counterpart.
        ValueError: metadata are nested more deeply than lists.
    """
    cursor = Cursor(data)
    _check_beginning(cursor)
    tensors = cursor.count("Q", _LEAST_TENSOR, "tensors")
    entries = cursor.count("Q", _LEAST_ENTRY, "entries of metadata")
    metadata: dict[str, Value] = {}
    for _ in range(entries):
        name = cursor.string("the name of an entry of the metadata")
        if name in metadata:
            raise RuntimeError(f"metadata {name!r} come twice")
        metadata[name] = _parse_value(cursor, name)
    alignment = _read_alignment(metadata)
    described = [_parse_tensor(cursor) for _ in range(tensors)]
    start = cursor.place + -cursor.place % alignment
    return _arrays(described, start, alignment, len(data)), metadata


def _check_beginning(cursor: Cursor) -> None:
    if bytes(cursor.data[:4]) != MAGIC:
        raise RuntimeError("not a GGUF file: it does not begin with these letters")
    cursor.place = 4
    version = cursor.number("I", "the version")
    if version not in _VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        reason = "its numbers are big endian" if swapped in _VERSIONS else f"it has version {version} of the format"
        raise RuntimeError(f"{reason}; versions 2 and 3 in little endian can be read")


def _parse_value(cursor: Cursor, name: str) -> Value:
    what = f"the metadata {name!r}"
    kind = cursor.number("I", what)
    if kind == _STRING:
        return cursor.string(what)
    if kind != _ARRAY:
        return _parse_numbers(cursor, kind, None, what)
    kind = cursor.number("I", what)
    if kind == _ARRAY:
        raise ValueError(f"{what} are an array of arrays, and only arrays of numbers or strings are read")
    if kind == _STRING:
        return [cursor.string(what) for _ in range(cursor.count("Q", 8, f"strings in {what}"))]
    if kind not in _VALUES:
        raise RuntimeError(f"{what} have the type {kind}, which is unknown")
    return _parse_numbers(cursor, kind, cursor.count("Q", _VALUES[kind].size, f"numbers in {what}"), what)


def _parse_numbers(cursor: Cursor, kind: int, count: int | None, what: str) -> Array:
    """One number, as an array without axes, or `count` of them."""
    dtype = _VALUES.get(kind)
    if dtype is None:
        raise RuntimeError(f"{what} have the type {kind}, which is unknown")
    data = cursor.take(dtype.size * (1 if count is None else count), what)
    values = np.frombuffer(bytes(data), np.uint8 if dtype is bool_ else dtype.numpy)
    return converted_copy(values.reshape(() if count is None else (count,)), dtype)


def _read_alignment(metadata: Mapping[str, Value]) -> int:
    if ALIGNMENT not in metadata:
        return _DEFAULT_ALIGNMENT
    value = metadata[ALIGNMENT]
    if not is_alignment(value):
        raise RuntimeError(f"its {ALIGNMENT} must be a multiple of 8 as a uint32, not {str(value)[:40]}")
    return int(value)  # type: ignore[arg-type]


def is_alignment(value: Value) -> bool:
    if not isinstance(value, np.ndarray) or value.shape != () or value.dtype != np.uint32:
        return False
    return int(value) > 0 and int(value) % 8 == 0


def _parse_tensor(cursor: Cursor) -> tuple[str, Shape, int, int]:
    """Name, shape, type and place of a tensor. Its last axis comes first in the file."""
    name = cursor.string("the name of a tensor")
    axes = cursor.count("I", 8, f"axes of tensor {name!r}")
    if axes > MOST_AXES:
        raise RuntimeError(f"tensor {name!r} has {axes} axes, and at most {MOST_AXES} are read")
    extents = struct.unpack(f"<{axes}Q", cursor.take(8 * axes, f"the shape of tensor {name!r}"))
    kind = cursor.number("I", f"the type of tensor {name!r}")
    return name, extents[::-1], kind, cursor.number("Q", f"the place of tensor {name!r}")


def _arrays(described: list[tuple[str, Shape, int, int]], start: int, alignment: int, size: int) -> dict[str, Stored]:
    arrays: dict[str, Stored] = {}
    tensors: dict[str, Stored] = {}
    for name, shape, kind, place in described:
        if place % alignment:
            raise RuntimeError(f"tensor {name!r} begins at byte {place}, which is no multiple of {alignment}")
        try:
            parts = _parts(name, shape, kind, start + place)
        except RuntimeError as error:
            raise RuntimeError(f"tensor {name!r}: {error}") from error
        for part, stored in parts.items():
            if part in arrays:
                raise RuntimeError(f"the name {part!r} comes twice, perhaps as a part of a quantised tensor")
            arrays[part] = stored
        tensors[name] = parts[name]
    check_apart(tensors, size)
    return arrays


def _parts(name: str, shape: Shape, kind: int, place: int) -> dict[str, Stored]:
    """What a tensor is read as, by name."""
    if kind in _TENSORS:
        dtype = _TENSORS[kind]
        shape, nbytes = checked_shape(shape, dtype.size)
        return {name: Stored(place, nbytes, shape, dtype)}
    if kind == _BFLOAT16:
        shape, nbytes = checked_shape(shape, 2)
        return {name: Stored(place, nbytes, shape, float16, partial(_half_of_bfloat16, shape))}
    block = BLOCKS.get(kind)
    if block is None:
        raise RuntimeError(f"numbers of type {kind} have no counterpart here; requantise it, to Q8_0 say")
    if not shape or shape[-1] % block.numbers:
        raise RuntimeError(f"its shape {shape} does not consist of blocks of {block.numbers} numbers ({block.name})")
    checked_shape(shape, 4)
    rows, nbytes = checked_shape((*shape[:-1], shape[-1] // block.numbers), block.nbytes)
    if block.name not in PACKED:
        return {name: Stored(place, nbytes, shape, float16, partial(halves, block, shape))}
    bits = PACKED[block.name]
    words = (*shape[:-1], shape[-1] * bits // 32)
    prefix = name.removesuffix(".weight")
    return {
        name: Stored(place, nbytes, words, uint32, partial(packed_weights, block, words)),
        f"{prefix}.scales": Stored(place, nbytes, rows, float16, partial(scales, block, rows)),
        f"{prefix}.biases": Stored(place, nbytes, rows, float16, partial(biases, block, rows)),
    }


def _half_of_bfloat16(shape: Shape, data: Array) -> Array:
    return converted_copy(data.view(bfloat16.numpy).reshape(shape), float16)

"""The format safetensors: the length of a header (8 bytes, little endian), the header, and the arrays' bytes.

The header is JSON that says dtype, shape and place of each array by name:
https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, BinaryIO

from mlx.files.contents import InMemory
from mlx.files.stored import Array, Stored, check_apart, checked_shape
from mlx.files.writing import write_all, write_values
from mlx.ir.dtypes import (
    Dtype,
    bfloat16,
    bool_,
    complex64,
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
from mlx.ir.node import Node

METADATA = "__metadata__"  # the entry of the header that is no array

_LONGEST_HEADER = 100_000_000  # bytes, as in the format's own library
_DTYPES = {
    "BOOL": bool_,
    "U8": uint8,
    "U16": uint16,
    "U32": uint32,
    "U64": uint64,
    "I8": int8,
    "I16": int16,
    "I32": int32,
    "I64": int64,
    "F16": float16,
    "BF16": bfloat16,
    "F32": float32,
    "F64": float64,
    "C64": complex64,
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
# No dtype here has 8 bits and a fraction or only an exponent: such numbers are read as their bits. Those of the first
# kind `mx.from_fp8` decodes, those of the second are scales of quantised weights.
_READABLE = {**_DTYPES, "F8_E4M3": uint8, "F8_E8M0": uint8}


def write_safetensors(file: Any, arrays: Mapping[str, tuple[Array, Dtype]], metadata: Mapping[str, str]) -> None:
    """Write arrays by name; `metadata` are strings by name."""
    header: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    # Wide numbers first: then each array starts at a multiple of the size of its numbers.
    names = sorted(arrays, key=lambda name: (-arrays[name][1].size, name))
    place = 0
    for name in names:
        value, dtype = arrays[name]
        offsets = [place, place + value.nbytes]
        header[name] = {"dtype": _NAMES[dtype], "shape": list(value.shape), "data_offsets": offsets}
        place += value.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    write_all(file, len(text).to_bytes(8, "little") + text)
    for name in names:
        write_values(file, arrays[name][0])


def read_safetensors(file: BinaryIO, available: int) -> tuple[dict[str, Node], dict[str, str]]:
    """The nodes of the arrays in a file of which `available` bytes are left, by name, and the metadata.

    Raises:
        RuntimeError: it is no safetensors file, or damaged.
    """
    contents = InMemory(file.read(available), "")
    arrays, metadata = parse_safetensors(contents.data)
    return {name: contents.node(stored) for name, stored in arrays.items()}, metadata


def parse_safetensors(data: memoryview) -> tuple[dict[str, Stored], dict[str, str]]:
    """The arrays by name and the metadata in the contents of a file.

    Raises:
        RuntimeError: it is no safetensors file, or cut short, or arrays overlap, or have a dtype without counterpart.
    """
    header, start = _parse_header(data)
    metadata = header.pop(METADATA, None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise RuntimeError(f"not a safetensors file: its {METADATA} do not map strings to strings")
    arrays = {name: _parse_entry(name, entry, start) for name, entry in header.items()}
    check_apart(arrays, len(data))
    return arrays, metadata


def _parse_header(data: memoryview) -> tuple[dict[str, Any], int]:
    """The header, and where it ends."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > len(data) - 8:
        raise RuntimeError(f"not a safetensors file: its header claims {length} bytes, and it has {len(data)} in all")
    if length > _LONGEST_HEADER:
        raise RuntimeError(f"its header has {length} bytes, and {_LONGEST_HEADER} are the most that is read")
    try:
        text = str(data[8 : 8 + length], "utf-8")
        header = json.loads(text, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError) as error:
        raise RuntimeError(f"not a safetensors file: {error}") from error
    if not isinstance(header, dict):
        raise RuntimeError("not a safetensors file: its header is no JSON object")
    return header, 8 + length


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, in which no name may come twice: whoever checks one of the two might be shown the other."""
    entries = dict(pairs)
    if len(entries) < len(pairs):
        ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the name {name!r} comes twice")
    return entries


def _parse_entry(name: str, entry: Any, start: int) -> Stored:
    """What the header says of an array, whose bytes are counted from `start`."""
    try:
        dtype_name, shape, (begin, end) = entry["dtype"], list(entry["shape"]), entry["data_offsets"]
        dtype = _READABLE.get(dtype_name)
    except (KeyError, TypeError, ValueError) as error:
        raise RuntimeError(f"not a safetensors file: the entry of tensor {name!r} is {str(entry)[:200]}") from error
    if dtype is None:
        raise RuntimeError(f"tensor {name!r} has the dtype {dtype_name}, which has no counterpart here")
    try:
        shape, nbytes = checked_shape(shape, dtype.size)
    except RuntimeError as error:
        raise RuntimeError(f"tensor {name!r}: {error}") from error
    if type(begin) is not int or type(end) is not int or begin < 0 or end - begin != nbytes:
        raise RuntimeError(
            f"tensor {name!r} of shape {shape} takes {nbytes} bytes, and its data_offsets are {str((begin, end))[:60]}"
        )
    return Stored(start + begin, nbytes, shape, dtype, _truth_values(shape) if dtype is bool_ else None)


def _truth_values(shape: tuple[int, ...]) -> Any:
    """What decodes booleans: a byte of a file need not be 0 or 1."""
    return lambda data: (data != 0).reshape(shape)

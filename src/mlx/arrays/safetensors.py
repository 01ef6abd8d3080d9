"""The format safetensors: how arrays are read from and written to open files. Paths belong to `files`.

A file is the length of its header (8 bytes, little endian), the header, JSON that says dtype, shape and place of each
array by name, and the arrays' bytes one after the other: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from typing import Any, BinaryIO

import numpy as np

from mlx.arrays.npy import read_values
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
from mlx.ir.primitive import data_node

_METADATA = "__metadata__"
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
# No dtype here has 8 bits and a fraction: such numbers are read as their bits, which mx.from_fp8 decodes.
_READABLE = {**_DTYPES, "F8_E4M3": uint8}


def write_safetensors(
    file: Any, arrays: Mapping[str, tuple[np.ndarray[Any, Any], Dtype]], metadata: Mapping[str, str]
) -> None:
    """Write arrays by name; `metadata` are strings by name."""
    header: dict[str, Any] = {_METADATA: dict(metadata)} if metadata else {}
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
    file.write(len(text).to_bytes(8, "little"))
    file.write(text)
    for name in names:
        file.write(arrays[name][0].reshape(-1).view(np.uint8).data)


def read_safetensors(file: BinaryIO, available: int) -> tuple[dict[str, Node], dict[str, str]]:
    """The nodes of the arrays in a file of which `available` bytes are left, by name, and the metadata.

    Raises:
        RuntimeError: it is no safetensors file, or cut short.
        ValueError: it holds numbers of a dtype that has no counterpart.
    """
    header, length = _read_header(file, available)
    metadata = header.pop(_METADATA, {})
    available -= 8 + length
    start = file.tell()
    nodes = {}
    entries = {name: _parsed(name, entry) for name, entry in header.items()}
    if sum(prod(shape) * dtype.size for dtype, shape, _ in entries.values()) > available:
        raise RuntimeError(f"cut short, or its arrays overlap: they take more than the {available} bytes that are left")
    for name, (dtype, shape, place) in entries.items():
        file.seek(start + place)
        try:
            nodes[name] = data_node(read_values(file, shape, dtype.numpy, available - place), dtype)
        except RuntimeError as error:
            raise RuntimeError(f"tensor {name!r} is {error}") from error
    return nodes, metadata


def _read_header(file: BinaryIO, available: int) -> tuple[dict[str, Any], int]:
    """The header and its length in bytes."""
    length = int.from_bytes(file.read(8), "little")
    if available < 8 or length > available - 8:
        raise RuntimeError(f"not a safetensors file: its header claims {length} bytes, and it has {available} in all")
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError) as error:
        raise RuntimeError(f"not a safetensors file: {error}") from error
    if not isinstance(header, dict):
        raise RuntimeError("not a safetensors file: its header is no JSON object")
    return header, length


def _parsed(name: str, entry: Any) -> tuple[Dtype, tuple[int, ...], int]:
    """Dtype, shape and place of a tensor, as the header says."""
    try:
        shape = tuple(entry["shape"])
        begin, end = entry["data_offsets"]
        dtype_name = entry["dtype"]
        sound = all(type(number) is int and number >= 0 for number in (*shape, begin, end))
    except (KeyError, TypeError, ValueError) as error:
        raise RuntimeError(f"not a safetensors file: the entry of tensor {name!r} is {entry!r}") from error
    dtype = _READABLE.get(dtype_name)
    if dtype is None:
        raise ValueError(f"tensor {name!r} has the dtype {dtype_name}, which has no counterpart here")
    if not sound or end - begin != prod(shape) * dtype.size:
        raise RuntimeError(f"not a safetensors file: the entry of tensor {name!r} is {entry!r}")
    return dtype, shape, begin

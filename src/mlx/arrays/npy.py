"""The formats npy and npz: how arrays are read from and written to open files. Paths belong to `files`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format

from mlx.arrays.conversion import aligned_empty, converted_copy
from mlx.ir.dtypes import Dtype, bfloat16, dtype_of_numpy
from mlx.ir.node import Node
from mlx.ir.primitive import data_node

Array = np.ndarray[Any, Any]

_OPAQUE_BFLOAT16 = np.dtype("V2")  # what NumPy, which has no bfloat16, can write down and read back
_CHUNK = 2**24  # bytes read at once from a file that cannot read into memory that is there already
_DEFLATE_RATIO = 1032  # no member of a zip file unpacks to more than this many times its size


def write_npy(file: Any, value: Array) -> None:
    npy_format.write_array(file, _writable(value), allow_pickle=False)


def write_npz(file: Any, values: Mapping[str, Array], *, compressed: bool) -> None:
    import zipfile

    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, value in values.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                write_npy(member, value)


def _writable(value: Array) -> Array:
    return value.view(_OPAQUE_BFLOAT16) if value.dtype == bfloat16.numpy else value


def read_npy(file: BinaryIO, available: int) -> Node:
    """The node of the array in a npy file of which `available` bytes are left.

    Raises:
        RuntimeError: it is no npy file, or cut short.
        ValueError: it holds numbers of a dtype that has no counterpart.
    """
    start = file.tell()
    try:
        version = npy_format.read_magic(file)
        read_header = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}[version]
        shape, fortran_order, stored = read_header(file)
    except (ValueError, KeyError, TypeError, SyntaxError) as error:
        raise RuntimeError(f"not a npy file: {error}") from error
    if any(extent < 0 for extent in shape):
        raise RuntimeError(f"not a npy file: it has the shape {shape}")
    dtype: Dtype | None = bfloat16 if stored == _OPAQUE_BFLOAT16 else dtype_of_numpy(stored)
    if dtype is None:
        raise ValueError(f"NumPy's dtype {stored} has no counterpart here")
    stored = bfloat16.numpy if dtype is bfloat16 else stored
    available -= file.tell() - start
    if not fortran_order and stored == dtype.numpy:
        return data_node(read_values(file, shape, dtype.numpy, available), dtype)
    value = read_values(file, shape[::-1] if fortran_order else shape, stored, available)
    return data_node(converted_copy(value.T if fortran_order else value, dtype), dtype)


def read_npz(file: BinaryIO, available: int) -> dict[str, Node]:
    """The nodes of the arrays in a npz file of `available` bytes, by name.

    Raises:
        ValueError: it is no zip file of npy files, or damaged.
    """
    import zipfile
    import zlib

    nodes = {}
    try:
        with zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                _check_size(info, available)
                with archive.open(info) as member:
                    nodes[info.filename.removesuffix(".npy")] = read_npy(member, info.file_size)  # type: ignore[arg-type]
                    if member.read(1):  # which also compares the check sum
                        raise ValueError(f"{info.filename} holds more than one array")
    except (zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError, EOFError) as error:
        raise ValueError(f"not a npz file: {error}") from error
    return nodes


def _check_size(info: Any, available: int) -> None:
    """ValueError for a member that says it is larger than it can be: memory is set aside by what it says."""
    ratio = {0: 1, 8: _DEFLATE_RATIO}.get(info.compress_type)
    if info.compress_size > available or (ratio and info.file_size > ratio * info.compress_size):
        raise ValueError(f"{info.filename} claims {info.file_size} bytes and cannot hold them")


def read_values(file: BinaryIO, shape: tuple[int, ...], dtype: np.dtype[Any], available: int) -> Array:
    """The next bytes of a file as an array in memory of its own; RuntimeError if fewer are `available`."""
    nbytes = dtype.itemsize
    for extent in shape:
        nbytes *= extent
    if nbytes > available:
        raise RuntimeError(f"cut short: an array of shape {shape} takes {nbytes} bytes, {available} are left")
    value = aligned_empty(shape, dtype)
    rest = value.reshape(-1).view(np.uint8).data
    while rest:
        count = _read_into(file, rest)
        if not count:
            raise RuntimeError(f"cut short: {len(rest)} bytes of an array of shape {shape} are missing")
        rest = rest[count:]
    return value


def _read_into(file: Any, memory: memoryview) -> int:
    if hasattr(file, "readinto"):
        return file.readinto(memory)
    data = file.read(min(len(memory), _CHUNK))
    memory[: len(data)] = data
    return len(data)

"""The format npy: a header that says dtype, shape and order, and the values.

https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
from numpy.lib import format as npy_format

from mlx.arrays.conversion import converted_copy
from mlx.arrays.memory import aligned_empty
from mlx.files.stored import Array, Stored, checked_shape
from mlx.files.writing import write_all, write_values
from mlx.ir.dtypes import Dtype, bfloat16, bool_, dtype_of_numpy
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import data_node

LONGEST_HEADER = 2**16  # bytes; those of arrays without fields are far shorter

_OPAQUE_BFLOAT16 = np.dtype("V2")  # what NumPy, which has no bfloat16, can write down and read back
_PIECE = 2**24  # bytes read at once where it is not known how many there are
_READ_HEADER = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}


def write_npy(file: Any, value: Array) -> None:
    stored = value.view(_OPAQUE_BFLOAT16) if value.dtype == bfloat16.numpy else value
    descr = npy_format.dtype_to_descr(stored.dtype)
    header = {"descr": descr, "fortran_order": False, "shape": value.shape}
    text = BytesIO()
    npy_format.write_array_header_1_0(text, header)
    write_all(file, text.getvalue())
    write_values(file, value)


def parse_npy(data: memoryview) -> Stored:
    """The array in the contents of a npy file.

    Raises:
        RuntimeError: it is no npy file.
        ValueError: it holds what has no counterpart here.
    """
    header = BytesIO(bytes(data[:LONGEST_HEADER]))
    return _parse_header(header)._replace(place=header.tell())


def read_npy(file: Any, available: int | None) -> Node:
    """The node of the array that comes next in a stream. It has `available` bytes, if that is known.

    Raises:
        RuntimeError: there is no npy file, or one that is cut short.
        ValueError: it holds what has no counterpart here.
    """
    counted = _Counted(file)
    stored = _parse_header(counted)
    if available is not None and stored.nbytes > available - counted.count:
        raise _cut_short(stored, available - counted.count)
    memory = _read_known(file, stored) if available is not None else _read_unknown(file, stored)
    if stored.decode is not None:
        return data_node(stored.decode(memory), stored.dtype)
    return data_node(memory.view(stored.dtype.numpy).reshape(stored.shape), stored.dtype)


class _Counted:
    """A stream that counts what was read of it, since it need not know its position."""

    def __init__(self, file: Any) -> None:
        self.file, self.count = file, 0

    def read(self, size: int) -> bytes:
        piece = self.file.read(size) or b""
        self.count += len(piece)
        return piece


def _parse_header(file: Any) -> Stored:
    """What the header says, of which a stream has been read then; the place is not known."""
    try:
        version = npy_format.read_magic(file)
        if version not in _READ_HEADER:
            raise ValueError(f"version {version[0]}.{version[1]} of the format; 1.0 and 2.0 are known")
        shape, fortran_order, numpy_dtype = _READ_HEADER[version](file)
    except OSError:
        raise
    except Exception as error:  # whatever Python's parser and NumPy make of a header
        raise RuntimeError(f"not a npy file: {str(error)[:200]}") from error
    dtype: Dtype | None = bfloat16 if numpy_dtype == _OPAQUE_BFLOAT16 else dtype_of_numpy(numpy_dtype)
    if dtype is None:
        raise ValueError(f"NumPy's dtype {str(numpy_dtype)[:60]} has no counterpart here")
    shape, nbytes = checked_shape([int(extent) for extent in shape], dtype.size)
    native = dtype.numpy if dtype is bfloat16 else numpy_dtype
    if dtype is bool_:
        native = np.dtype(np.uint8)  # a byte of a file need not be 0 or 1
    plain = native == dtype.numpy and not fortran_order
    return Stored(0, nbytes, shape, dtype, None if plain else partial(_decoded, shape, fortran_order, native, dtype))


def _decoded(shape: Shape, fortran_order: bool, stored: np.dtype[Any], dtype: Dtype, data: Array) -> Array:
    values = data.view(stored)
    return converted_copy(values.reshape(shape, order="F" if fortran_order else "C"), dtype)


def _read_known(file: Any, stored: Stored) -> Array:
    memory = aligned_empty((stored.nbytes,), np.dtype(np.uint8))
    rest = memory.data if stored.nbytes else memoryview(b"")
    while rest:
        count = _read_into(file, rest)
        if not count:
            raise _cut_short(stored, stored.nbytes - len(rest))
        rest = rest[count:]
    return memory


def _read_into(file: Any, memory: memoryview) -> int:
    if hasattr(file, "readinto"):
        return file.readinto(memory) or 0
    piece = file.read(min(len(memory), _PIECE)) or b""
    memory[: len(piece)] = piece
    return len(piece)


def _read_unknown(file: Any, stored: Stored) -> Array:
    """Read from a stream that may end early: memory grows with what comes."""
    memory = bytearray()
    while len(memory) < stored.nbytes:
        piece = file.read(min(_PIECE, stored.nbytes - len(memory)))
        if not piece:
            raise _cut_short(stored, len(memory))
        memory += piece
    return np.frombuffer(memory, np.uint8)


def _cut_short(stored: Stored, available: int) -> RuntimeError:
    return RuntimeError(
        f"cut short: an array of shape {stored.shape} takes {stored.nbytes} bytes, {max(available, 0)} are left"
    )

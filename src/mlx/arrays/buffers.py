"""The buffer protocol, by which `memoryview(x)` and C libraries see an array's memory from Python 3.12 on."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np

from mlx.arrays.sharing import view_of
from mlx.ir.dtypes import Dtype, bfloat16, int64, uint64

if TYPE_CHECKING:
    from mlx.arrays.array import array

WRITABLE = 1  # inspect.BufferFlags.WRITABLE

# How another dtype is seen where NumPy has two that look alike: `q` says 64 bits on every system, `l` does not.
_SEEN_AS: dict[Dtype, Any] = {int64: np.longlong, uint64: np.ulonglong, bfloat16: np.uint16}
_BFLOAT16_FORMAT = b"bfloat16"


class _Buffer(ctypes.Structure):
    """CPython's Py_buffer."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.c_void_p),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


_get_buffer = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.POINTER(_Buffer), ctypes.c_int)(
    ("PyObject_GetBuffer", ctypes.pythonapi)
)
_release_buffer = ctypes.PYFUNCTYPE(None, ctypes.POINTER(_Buffer))(("PyBuffer_Release", ctypes.pythonapi))
_memoryview_from = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.POINTER(_Buffer))(
    ("PyMemoryView_FromBuffer", ctypes.pythonapi)
)
_WITH_ALL = 0x011C  # PyBUF_FULL_RO: shape, strides and format

_of_bfloat16: dict[int, _Buffer] = {}  # what views hold until they are released, by the view's id


def memory_of(x: array, flags: int) -> memoryview:
    """The memory of an array, which can be written to.

    Raises:
        BufferError: it is to be written to, and several elements share one place in it.
    """
    memory = view_of(x)
    if flags & WRITABLE and not memory.flags.writeable:
        raise BufferError("[array] The elements of a broadcast array share memory, which cannot be written to.")
    view = memory.view(_SEEN_AS.get(x.dtype, memory.dtype)).data
    return _named_bfloat16(view) if x.dtype is bfloat16 else view


def release(view: memoryview) -> None:
    """Let go of what `memory_of` gave."""
    held = _of_bfloat16.pop(id(view), None)
    view.release()
    if held is not None:
        _release_buffer(held)


def _named_bfloat16(view: memoryview) -> memoryview:
    """The same memory with the format "bfloat16", which is none of Python's and hence not NumPy's to give."""
    buffer = _Buffer()
    _get_buffer(view, buffer, _WITH_ALL)
    buffer.format = _BFLOAT16_FORMAT
    named = _memoryview_from(buffer)
    _of_bfloat16[id(named)] = buffer
    return named

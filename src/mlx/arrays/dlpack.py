"""DLPack: how arrays of other libraries come in and ours go out, sharing memory. Only host memory speaks it here.

NumPy makes and reads the capsules. It knows no bfloat16: such arrays pass through it as uint16, and the dtype is
written into the capsule.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np

from mlx.arrays.sharing import view_of
from mlx.ir.dtypes import bfloat16

if TYPE_CHECKING:
    from mlx.arrays.array import array

Array = np.ndarray[Any, Any]

CPU = (1, 0)
_UNSIGNED, _BFLOAT = 1, 4  # DLPack's codes of kinds of dtypes


class _Tensor(ctypes.Structure):
    """The start of DLPack's DLTensor, up to the dtype."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
    )


class _Versioned(ctypes.Structure):
    """The start of DLManagedTensorVersioned, which an older capsule does not have: that one begins with the tensor."""

    _fields_ = (
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("context", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    )


_pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
_name_of = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", ctypes.pythonapi))


def _tensor_in(capsule: Any) -> _Tensor:
    name = _name_of(capsule)
    pointer = _pointer_of(capsule, name)
    if name == b"dltensor_versioned":
        return _Versioned.from_address(pointer).tensor
    return _Tensor.from_address(pointer)


def exported(x: array, max_version: Any, device: Any, copy: Any) -> Any:
    """A capsule over the memory of an array, or over a copy of it."""
    if copy is not None and not isinstance(copy, bool):
        raise TypeError(f"[dlpack] copy must be a bool or None, got {copy!r}.")
    if device is not None and not (isinstance(device, tuple) and len(device) == 2):
        raise TypeError(f"[dlpack] dl_device must be a tuple of a device type and a number, got {device!r}.")
    if device is not None and (int(device[0]), device[1]) != CPU:
        raise BufferError(
            f"[dlpack] Arrays are handed over in host memory, {CPU}, not on device {tuple(map(int, device))}; the "
            f"consumer can move it there."
        )
    memory = np.array(x._numpy()) if copy else view_of(x)
    if not memory.flags.writeable:  # one place for several elements
        if copy is False:
            raise BufferError("[dlpack] The elements of a broadcast array share memory: leave copy out, to copy it.")
        memory = memory.copy()
    if memory.dtype != bfloat16.numpy:
        return memory.__dlpack__(max_version=max_version)
    capsule = memory.view(np.uint16).__dlpack__(max_version=max_version)
    _tensor_in(capsule).code = _BFLOAT
    return capsule


def imported(value: Any) -> Array:
    """A NumPy view of another library's array.

    Raises:
        BufferError, RuntimeError, TypeError, AttributeError: NumPy cannot reach it, or does not know its dtype.
    """
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError):
        if tuple(value.__dlpack_device__()) != CPU:
            raise
        capsule = value.__dlpack__()
        tensor = _tensor_in(capsule)
        if (tensor.code, tensor.bits, tensor.lanes) != (_BFLOAT, 16, 1):
            raise
        tensor.code = _UNSIGNED
        return np.from_dlpack(_Capsule(capsule)).view(bfloat16.numpy)


class _Capsule:
    """What NumPy takes a capsule from."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return CPU

    def __dlpack__(self, **kwargs: Any) -> Any:
        return self._capsule

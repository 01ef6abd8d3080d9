"""The buffer protocol, by which `memoryview(x)` and C libraries see an array's memory from Python 3.12 on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlx.arrays.sharing import view_of
from mlx.ir.dtypes import Dtype, bfloat16, int64, uint64

if TYPE_CHECKING:
    from mlx.arrays.array import array

WRITABLE = 1  # inspect.BufferFlags.WRITABLE

# How another dtype is seen where NumPy has two that look alike: `q` says 64 bits on every system, `l` does not.
_SEEN_AS: dict[Dtype, Any] = {int64: np.longlong, uint64: np.ulonglong}


def memory_of(x: array, flags: int) -> memoryview:
    """The memory of an array, which can be written to.

    Raises:
        BufferError: the dtype is bfloat16, which no format describes; NumPy then asks for an array of ml_dtypes. Or it
            is to be written to, and several elements share one place in it.
    """
    if x.dtype is bfloat16:
        raise BufferError("[array] Buffers have no format for bfloat16; use numpy.asarray(x), or x.view(mx.uint16).")
    memory = view_of(x)
    if flags & WRITABLE and not memory.flags.writeable:
        raise BufferError("[array] The elements of a broadcast array share memory, which cannot be written to.")
    return memory.view(_SEEN_AS.get(x.dtype, memory.dtype)).data

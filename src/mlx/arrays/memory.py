"""Host memory for arrays: at addresses that XLA can use in place, and copies that keep a layout."""

from __future__ import annotations

from ctypes import addressof, c_char
from math import prod
from typing import Any

import numpy as np

ALIGNMENT = 64  # bytes; XLA takes host memory without a copy only from such an address
WIDEST_GAPS = 2  # times the size of the values that copied memory may have with the gaps between them

Array = np.ndarray[Any, Any]


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Uninitialised memory for an array, at an address that XLA can use in place."""
    memory = np.empty(prod(shape) * dtype.itemsize + ALIGNMENT, np.uint8)
    address = addressof(c_char.from_buffer(memory.data))  # five times as fast as `memory.ctypes.data`
    return np.ndarray(shape, dtype, memory, -address % ALIGNMENT)


def copy_with_layout(source: Array) -> Array:
    """A copy with the strides of `source`, where the gaps between its elements do not take too much memory."""
    span = source.itemsize
    for extent, stride in zip(source.shape, source.strides, strict=True):
        if stride < 0 or stride % source.itemsize:
            span = 0
            break
        span += (extent - 1) * stride
    if not source.size or not 0 < span <= WIDEST_GAPS * source.nbytes:
        return _contiguous_copy(source)
    count = span // source.itemsize
    memory = aligned_empty((count,), source.dtype)
    memory[...] = np.lib.stride_tricks.as_strided(source, (count,), (source.itemsize,), writeable=False)
    return np.ndarray(source.shape, source.dtype, memory, 0, source.strides)


def _contiguous_copy(source: Array) -> Array:
    copy = aligned_empty(source.shape, source.dtype)
    copy[...] = source
    return copy

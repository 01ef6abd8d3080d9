"""Conversion between arrays and the rest of Python: numbers, sequences, NumPy, DLPack, pickles."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype, complex64, default_dtype_of, dtype_of_numpy, float32
from mlx.ir.node import Node
from mlx.ir.primitive import data_node
from mlx.primitives.structure import cast

ALIGNMENT = 64  # bytes; XLA takes host memory without a copy only from such an address


def aligned_copy(source: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """A C-contiguous copy of `source` in `dtype`, at an address that XLA can use in place."""
    memory = np.empty(source.size * dtype.itemsize + ALIGNMENT, np.uint8)
    offset = -memory.ctypes.data % ALIGNMENT
    copy = memory[offset : offset + source.size * dtype.itemsize].view(dtype).reshape(source.shape)
    copy[...] = source
    return copy


def node_from(value: Any, dtype: Dtype | None) -> Node:
    """The node of what was passed to `mx.array`, copied."""
    node = getattr(value, "_node", None)
    if type(node) is Node:
        return node if dtype is None else cast(node, dtype)
    if isinstance(value, bool | int | float | complex) and not isinstance(value, np.generic):
        dtype = dtype or default_dtype_of(value)
        return data_node(np.array(value, dtype.numpy), dtype)
    if isinstance(value, list | tuple):
        value = np.array(value)
        if value.dtype == np.float64:
            value = value.astype(np.float32)
        elif value.dtype == np.int64:
            value = value.astype(np.int32)
    return node_from_numpy(np.asarray(value), dtype)


def node_from_numpy(value: np.ndarray[Any, Any], dtype: Dtype | None) -> Node:
    own = dtype_of_numpy(value.dtype)
    if own is None:
        own = {np.dtype(np.complex128): complex64}.get(value.dtype)
    if own is None:
        raise ValueError(f"[array] NumPy arrays of dtype {value.dtype} have no counterpart; convert it first.")
    if value.dtype == np.float64 and dtype is None:
        own = float32
    dtype = dtype or own
    return data_node(aligned_copy(value, dtype.numpy), dtype)

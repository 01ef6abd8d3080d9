"""Conversion between arrays and the rest of Python: numbers, sequences, NumPy, DLPack, pickles."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from mlx.ir.dtypes import (
    Dtype,
    bfloat16,
    bool_,
    complex64,
    default_dtype_of,
    dtype_of_numpy,
    float32,
    int32,
    int64,
    promote_types,
)
from mlx.ir.node import Node
from mlx.ir.primitive import data_node
from mlx.primitives.structure import cast

ALIGNMENT = 64  # bytes; XLA takes host memory without a copy only from such an address
_DLPACK_CPU = 1

Array = np.ndarray[Any, Any]


# ---------------------------------------------------------------------- into arrays


def node_from(value: Any, dtype: Dtype | None) -> Node:
    """The node of what was passed to `mx.array`, copied."""
    if dtype is not None and not isinstance(dtype, Dtype):
        raise TypeError(f"[array] dtype must be an mlx Dtype such as mx.float32, got {dtype!r}")
    node = getattr(value, "_node", None)
    if type(node) is Node:
        return node if dtype is None else cast(node, dtype)
    if isinstance(value, np.ndarray | np.generic):
        return node_from_numpy(np.asarray(value), dtype)
    if isinstance(value, bool | int | float | complex):
        return data_node(_filled(value, (), dtype or default_dtype_of(value)), dtype or default_dtype_of(value))
    if isinstance(value, list | tuple):
        return _node_from_sequence(value, dtype)
    if hasattr(value, "__mlx_array__"):
        return node_from(value.__mlx_array__(), dtype)
    if hasattr(value, "__dlpack__") or hasattr(value, "__array_interface__"):
        return node_from_numpy(foreign_to_numpy(value), dtype)
    try:
        view = memoryview(value)
    except TypeError:
        pass
    else:
        return node_from_numpy(np.asarray(view), dtype)
    error = TypeError if value is None else ValueError
    raise error(
        f"[array] Invalid type {type(value).__name__} received in array initialization; expected a number, a list or "
        f"tuple of numbers, or an array."
    )


def node_from_numpy(value: Array, dtype: Dtype | None) -> Node:
    """The node of a copy of a NumPy array; float64 becomes float32 and complex128 complex64 unless `dtype` is given."""
    own = float32 if value.dtype == np.float64 else complex64 if value.dtype == np.complex128 else None
    own = own or dtype_of_numpy(value.dtype)
    if own is None:
        raise ValueError(
            f"[array] NumPy arrays of dtype {value.dtype} have no counterpart; convert to a numeric dtype first."
        )
    dtype = dtype or own
    return data_node(aligned_copy(value, dtype.numpy), dtype)


def aligned_copy(source: Array, dtype: np.dtype[Any]) -> Array:
    """A C-contiguous copy of `source` in `dtype`, at an address that XLA can use in place."""
    nbytes = source.size * dtype.itemsize
    if nbytes <= 4096:  # so little is handed over by copying anyway
        return np.array(source, dtype=dtype, order="C", copy=True)
    memory = np.empty(nbytes + ALIGNMENT, np.uint8)
    offset = -memory.ctypes.data % ALIGNMENT
    copy = memory[offset : offset + nbytes].view(dtype).reshape(source.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        copy[...] = source
    return copy


def foreign_to_numpy(value: Any) -> Array:
    """A NumPy view or copy of another library's array on the host."""
    if hasattr(value, "__array_interface__"):
        return np.asarray(value)
    try:
        return np.from_dlpack(value)
    except (BufferError, RuntimeError, TypeError):
        if hasattr(value, "__array__"):
            return np.asarray(value)
        raise


def _filled(value: complex, shape: tuple[int, ...], dtype: Dtype) -> Array:
    if dtype.scalar_limits is not None and isinstance(value, int):
        low, high = dtype.scalar_limits
        value = (value - low) % (high - low + 1) + low  # wraps as a cast does
    return np.full(shape, value, dtype.numpy)


def _node_from_sequence(value: list[Any] | tuple[Any, ...], dtype: Dtype | None) -> Node:
    leaves: list[Any] = []
    shape = _shape_of(value, leaves)
    if leaves and all(type(leaf) is int or type(leaf) is float or type(leaf) is bool for leaf in leaves):
        own = dtype or _common_dtype(leaves)
        if own.is_integer and not all(type(leaf) is int for leaf in leaves):
            leaves = [int(leaf) for leaf in leaves]
        return data_node(_from_numbers(leaves, own).reshape(shape), own)
    nodes = [getattr(leaf, "_node", None) for leaf in leaves]
    if any(type(node) is Node for node in nodes):
        return _stacked(leaves, shape, dtype)
    own = dtype or (_common_dtype(leaves) if leaves else float32)
    return data_node(_from_numbers([_number(leaf) for leaf in leaves], own).reshape(shape), own)


def _shape_of(value: Any, leaves: list[Any]) -> tuple[int, ...]:
    """The shape of nested sequences; fills `leaves` with what they hold."""
    if not isinstance(value, list | tuple):
        leaves.append(value)
        return ()
    shapes = [_shape_of(child, leaves) for child in value]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError("[array] Initialization encountered non-uniform length.")
    return (len(value), *(shapes[0] if shapes else ()))


def _common_dtype(numbers: list[Any]) -> Dtype:
    common = bool_
    for number in numbers:
        mine = default_dtype_of(_number(number))
        if mine is not common:
            common = promote_types(common, mine)
    return common


def _number(leaf: Any) -> complex:
    if isinstance(leaf, bool | int | float | complex):
        return leaf
    raise ValueError(
        f"[array] Invalid type {type(leaf).__name__} received in array initialization; lists may hold numbers and arrays."
    )


def _from_numbers(numbers: list[Any], dtype: Dtype) -> Array:
    limits = dtype.scalar_limits
    if limits is not None:
        low, high = limits
        if any(not low <= number <= high for number in numbers):
            span = high - low + 1
            numbers = [(int(number) - low) % span + low for number in numbers]
    if dtype in (int32, int64, float32) or not numbers:
        return np.array(numbers, dtype.numpy)
    with np.errstate(over="ignore"):
        return np.array(numbers).astype(dtype.numpy)


def _stacked(leaves: list[Any], shape: tuple[int, ...], dtype: Dtype | None) -> Node:
    """Nested sequences that hold arrays: stacked, so that they stay part of the recorded program."""
    from mlx.arrays.array import array, wrap
    from mlx.ops import reshape, stack

    handles = [leaf if isinstance(leaf, array) else wrap(node_from(_number(leaf), None)) for leaf in leaves]
    inner = handles[0].shape
    if any(handle.shape != inner for handle in handles):
        raise ValueError("[array] Initialization encountered non-uniform length.")
    node = reshape(stack(handles), (*shape, *inner))._node
    return node if dtype is None else cast(node, dtype)


# ---------------------------------------------------------------------- out of arrays


def python_values(value: Array) -> Any:
    """Nested lists of Python numbers."""
    if value.dtype == bfloat16.numpy:
        value = value.astype(np.float32)
    return value.tolist()


def to_numpy(value: Array, dtype: Any, copy: bool | None) -> Array:
    """What `numpy.array(x)` and `numpy.asarray(x)` get: a copy, which NumPy may write to."""
    if copy is False:
        if dtype is not None and np.dtype(dtype) != value.dtype:
            raise ValueError(f"[array] a {value.dtype} array cannot be seen as {np.dtype(dtype)} without a copy")
        return value
    return np.array(value, dtype=dtype, copy=True)


def array_namespace(api_version: str | None) -> Any:
    """The module whose functions take arrays, as the array API standard asks for it."""
    if api_version is not None and api_version not in ("2021.12", "2022.12", "2023.12", "2024.12"):
        raise ValueError(f"[array] array API version {api_version} is not known; 2024.12 is")
    return sys.modules["mlx.core"]


def to_dlpack(
    value: Array,
    max_version: tuple[int, int] | None,
    device: tuple[int, int] | None,
    copy: bool | None,
) -> Any:
    """A DLPack capsule over the host memory of an array."""
    if device not in (None, (_DLPACK_CPU, 0)):
        raise BufferError(f"[array] DLPack device {device} is not available; the data lies on the host, (1, 0)")
    if value.dtype == bfloat16.numpy:
        raise BufferError("[array] NumPy's DLPack knows no bfloat16; cast to float32 first")
    exported = value.copy() if copy else value
    if max_version is None:  # such a consumer cannot be told that memory is read-only
        exported = exported if exported.flags.writeable else exported.copy()
        return exported.__dlpack__()
    return exported.__dlpack__(max_version=max_version)


def dlpack_device() -> tuple[int, int]:
    return (_DLPACK_CPU, 0)


def to_memoryview(value: Array) -> memoryview:
    """The value as a buffer; bfloat16, which the protocol has no code for, as unsigned 16-bit integers."""
    return memoryview(value.view(np.uint16) if value.dtype == bfloat16.numpy else value)


def to_pickle(value: Array, dtype: Dtype) -> tuple[Any, ...]:
    return dtype, value.shape, value.tobytes()


def from_pickle(dtype: Dtype, shape: tuple[int, ...], data: bytes) -> Any:
    from mlx.arrays.array import wrap

    return wrap(data_node(aligned_copy(np.frombuffer(data, dtype.numpy).reshape(shape), dtype.numpy), dtype))


# ---------------------------------------------------------------------- evaluation of trees


def evaluated_nodes(trees: tuple[Any, ...]) -> Iterator[Node]:
    """The nodes of every array in nested containers; anything else in them is passed over."""
    stack = list(trees)
    while stack:
        tree = stack.pop()
        node = getattr(tree, "_node", None)
        if type(node) is Node:
            yield node
        elif isinstance(tree, dict):
            stack.extend(tree.values())
        elif isinstance(tree, list | tuple):
            stack.extend(tree)



"""Conversion between arrays and the rest of Python: numbers, sequences, NumPy, DLPack and buffers."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from mlx.arrays import dlpack
from mlx.arrays.memory import aligned_empty, copy_with_layout
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
    uint32,
    uint64,
)
from mlx.ir.node import Node
from mlx.ir.primitive import data_node
from mlx.primitives.structure import CAST, cast

SMALL = 4096  # bytes; so little is handed over by copying anyway
LONGEST_AXIS = 2**31 - 1

Array = np.ndarray[Any, Any]


class NoCounterpart(RuntimeError, ValueError):
    """A dtype of NumPy's that arrays cannot have: MLX raises RuntimeError, other wrong values are a ValueError."""


# ---------------------------------------------------------------------- into arrays


def node_from(value: Any, dtype: Dtype | None) -> Node:
    """The node of what was passed to `mx.array`, copied.

    Raises:
        TypeError: `dtype` is no Dtype, or `value` is None.
        ValueError: `value` is no number, sequence or array, or a ragged sequence.
        RuntimeError: an int is out of range, or NumPy's dtype has no counterpart.
    """
    if dtype is not None and type(dtype) is not Dtype:
        raise TypeError(f"[array] dtype must be an mlx dtype such as mx.float32, got {dtype!r}")
    kind = type(value)
    if kind is np.ndarray:
        return node_from_numpy(value, dtype)
    if kind is float or kind is int or kind is bool or kind is complex:
        return _node_from_number(value, dtype)
    if kind is list or kind is tuple:
        return _node_from_sequence(value, dtype)
    node = getattr(value, "_node", None)
    if type(node) is Node:
        return node if dtype is None else cast(node, dtype)
    if isinstance(value, bool | int | float | complex):
        return _node_from_number(value, dtype)
    if isinstance(value, list | tuple):
        return _node_from_sequence(value, dtype)
    if hasattr(value, "__mlx_array__"):
        return node_from(_array_of(value), dtype)
    foreign = foreign_to_numpy(value)
    if foreign is not None:
        return node_from_numpy(foreign, dtype)
    raise (TypeError if value is None else ValueError)(
        f"[array] Invalid type {kind.__name__} received in array initialization: expected a number, a list or tuple "
        f"of numbers, an array, or an object with __dlpack__, __array__ or the buffer protocol."
    )


def node_from_numpy(value: Array, dtype: Dtype | None) -> Node:
    """The node of a copy of a NumPy array; float64 becomes float32 and complex128 complex64 unless `dtype` is given."""
    own = _DTYPE_OF_ARRAY.get(value.dtype)
    if own is None:
        own = _dtype_of_array(value.dtype)
    dtype = dtype or own
    return data_node(converted_copy(value, dtype), dtype)


def _array_of(value: Any) -> Any:
    own = value.__mlx_array__()
    if type(getattr(own, "_node", None)) is not Node:
        raise RuntimeError(
            f"[array] {type(value).__name__}.__mlx_array__ must return an array, got {type(own).__name__}."
        )
    return own


def node_from_state(state: Any) -> Node:
    """The node of what an array gave to be pickled."""
    if not (isinstance(state, tuple) and [type(part) for part in state] == [np.ndarray, Dtype]):
        raise TypeError(f"[array] A pickled array has its values and its dtype as state, got {state!r}.")
    return node_from_numpy(*state)


def node_with_layout(source: Array) -> Node:
    """The node of a copy of a NumPy array that has its strides, where the dtype stays the same."""
    dtype = _DTYPE_OF_ARRAY.get(source.dtype) or _dtype_of_array(source.dtype)
    if source.flags.c_contiguous or dtype.numpy != source.dtype:
        return node_from_numpy(source, dtype)
    return data_node(copy_with_layout(source), dtype)


# What NumPy computes with by default is twice as wide as what programs compute with here.
_DTYPE_OF_ARRAY = {np.dtype(np.float64): float32, np.dtype(np.complex128): complex64}


def _dtype_of_array(numpy_dtype: np.dtype[Any]) -> Dtype:
    own = _DTYPE_OF_ARRAY.get(numpy_dtype.newbyteorder("=")) or dtype_of_numpy(numpy_dtype)
    if own is None:
        raise NoCounterpart(
            f"[array] NumPy arrays of dtype {numpy_dtype} have no counterpart here; convert to a numeric dtype first."
        )
    _DTYPE_OF_ARRAY[numpy_dtype] = own
    return own


def converted_copy(source: Array, dtype: Dtype) -> Array:
    """A C-contiguous copy of `source`, at an address that XLA can use in place, cast as `astype` casts.

    Only complex numbers are treated in another way: to booleans, too, they pass their real part.
    """
    given = source.dtype
    if source.size > LONGEST_AXIS:
        _check_axes(source.shape)
    if given is dtype.numpy:
        return _aligned_copy(source, given)
    with np.errstate(all="ignore"):
        if given.kind == "c" and not dtype.is_complex:
            source = source.real
        if dtype.is_integer and given.kind in "fcV":
            return CAST.kernel(source, dtype)  # type: ignore[misc]
        if dtype.is_half and source.dtype == np.float64:
            source = source.astype(np.float32)  # as the reference rounds: twice
        return _aligned_copy(source, dtype.numpy)


def _check_axes(shape: tuple[int, ...]) -> None:
    if max(shape) > LONGEST_AXIS:
        raise OverflowError(
            f"[array] An axis of extent {max(shape)} is too long: positions are counted in 32 bits, so that an axis "
            f"may have up to {LONGEST_AXIS} entries. Split it into several axes."
        )


def _aligned_copy(source: Array, dtype: np.dtype[Any]) -> Array:
    if source.size * dtype.itemsize <= SMALL:
        return np.array(source, dtype, order="C")
    copy = aligned_empty(source.shape, dtype)
    copy[...] = source
    return copy


def foreign_to_numpy(value: Any) -> Array | None:
    """A NumPy view or copy of another library's array, or of an object with the buffer protocol; None if it is neither.

    Raises:
        ValueError: it is such an array, but NumPy can neither take nor reach its values.
    """
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value)
    if hasattr(value, "__dlpack__"):
        try:
            return dlpack.imported(value)
        except (AttributeError, BufferError, RuntimeError, TypeError) as error:
            return _by_array_protocol(value, error)
    if isinstance(value, str):
        return None
    try:
        return np.asarray(memoryview(value))
    except TypeError:
        return np.asarray(value.__array__()) if hasattr(type(value), "__array__") else None


def _by_array_protocol(value: Any, refusal: Exception) -> Array:
    try:
        return np.asarray(value.__array__())
    except (AttributeError, RuntimeError, TypeError, ValueError) as error:
        reason = refusal if isinstance(error, AttributeError) else error
        raise ValueError(
            f"[array] Cannot read a {type(value).__module__}.{type(value).__name__}: {reason} Convert it there to a "
            f"detached array in host memory, of a dtype that NumPy has, first."
        ) from error


# ---------------------------------------------------------------------- numbers and sequences


def _node_from_number(value: complex, dtype: Dtype | None) -> Node:
    dtype = dtype or default_dtype_of(value)
    if type(value) is float and dtype is float32 and -_LARGE < value < _LARGE:  # no conversion that NumPy warns of
        return data_node(np.array(value, dtype.numpy), dtype)
    if isinstance(value, int) and not isinstance(value, bool):
        return data_node(_from_ints(value, value, value, dtype, int64), dtype)
    return data_node(_from_numbers(value, dtype), dtype)


def _node_from_sequence(value: list[Any] | tuple[Any, ...], dtype: Dtype | None) -> Node:
    leaves: list[Any] = []
    kinds: set[type] = set()
    shape = _flatten(value, leaves, kinds)
    if shape is None:
        return _stacked(value, dtype)
    widest = _widest(kinds)
    if widest is not int:
        dtype = dtype or _DEFAULT_DTYPE[widest]
        return data_node(_from_numbers(leaves, dtype).reshape(shape), dtype)
    low, high = min(leaves), max(leaves)
    if dtype is None:
        dtype = int32 if low >= -(2**31) and high < 2**31 else int64
    least = dtype if dtype is uint32 or dtype is uint64 else int32
    return data_node(_from_ints(leaves, low, high, dtype, least).reshape(shape), dtype)


_LARGE = 1e38
_DEFAULT_DTYPE = {bool: bool_, float: float32, complex: complex64}
_NUMBERS = {bool, int, float, complex}


def _flatten(value: list[Any] | tuple[Any, ...], leaves: list[Any], kinds: set[type]) -> tuple[int, ...] | None:
    """The shape of nested sequences of numbers, collected in `leaves`; None if there are arrays among them."""
    mine = set(map(type, value))
    if mine <= _NUMBERS:
        leaves.extend(value)
        kinds |= mine
        return (len(value),)
    shapes = set()
    for child in value:
        if isinstance(child, list | tuple):
            shapes.add(_flatten(child, leaves, kinds))
        elif isinstance(child, bool | int | float | complex):  # NumPy's float64 is a float
            leaves.append(child)
            kinds.add(type(child))
            shapes.add(())
        elif type(getattr(child, "_node", None)) is Node:
            return None
        else:
            raise ValueError(
                f"[array] Invalid type {type(child).__name__} received in array initialization: lists may hold "
                f"numbers and mx.arrays. A list of NumPy arrays or scalars goes through mx.array(np.array(values))."
            )
    if None in shapes:
        return None
    if len(shapes) > 1:
        raise ValueError("[array] Initialization encountered non-uniform length: the lists at one depth differ in it.")
    return (len(value), *shapes.pop())


def _widest(kinds: set[type]) -> type:
    """Which of Python's numbers holds all of these kinds; float if there are none."""
    for number in (complex, float, int, bool):
        if any(issubclass(kind, number) and (number is not int or not issubclass(kind, bool)) for kind in kinds):
            return number
    return float


def _from_numbers(numbers: Any, dtype: Dtype) -> Array:
    """A number, or a list of them, as a NumPy array."""
    wide = np.array(numbers)
    if wide.dtype.kind in "iuO":  # very large ints among the floats
        wide = wide.astype(np.float64)
    return converted_copy(wide, dtype)


def _from_ints(numbers: Any, low: int, high: int, dtype: Dtype, least: Dtype) -> Array:
    """An int, or a list of them from `low` to `high`, as a NumPy array; what fits in `least` is cast to `dtype`."""
    if dtype.is_inexact:
        return converted_copy(np.array(numbers, np.float64), dtype)
    for limits in (dtype.scalar_limits, least.scalar_limits):
        if limits is not None and limits[0] <= low and high <= limits[1]:
            return converted_copy(np.array(numbers, np.uint64 if high >= 2**63 else np.int64), dtype)
    wrong = low if low < 0 else high
    raise RuntimeError(f"[array] {wrong} is out of range for {dtype.name}; pass a wider dtype, or a float.")


def _stacked(value: list[Any] | tuple[Any, ...], dtype: Dtype | None) -> Node:
    """Nested sequences that hold arrays: stacked, so that they stay part of the recorded program."""
    from mlx.arrays.array import wrap
    from mlx.ops import stack

    if any(child is None for child in value):
        raise ValueError("[array] Invalid type NoneType received in array initialization.")
    handles = [wrap(node_from(child, None)) for child in value]
    if any(handle.shape != handles[0].shape for handle in handles):
        shapes = " and ".join(sorted({str(handle.shape) for handle in handles}))
        raise ValueError(f"[array] Initialization encountered non-uniform length: entries have the shapes {shapes}.")
    node = stack(handles)._node
    return node if dtype is None else cast(node, dtype)


# ---------------------------------------------------------------------- out of arrays


def python_values(value: Array) -> Any:
    """Nested lists of Python numbers."""
    if value.dtype == bfloat16.numpy:
        value = value.astype(np.float32)
    return value.tolist()


def with_values(tree: Any) -> Any:
    """Nested lists, tuples and dicts with NumPy arrays, which are copies, in place of arrays."""
    if type(getattr(tree, "_node", None)) is Node:
        return np.array(tree._numpy())
    if isinstance(tree, dict):
        return {key: with_values(child) for key, child in tree.items()}
    if type(tree) in (list, tuple):
        return type(tree)(with_values(child) for child in tree)
    return tree


def array_namespace(api_version: str | None) -> Any:
    """The module whose functions take arrays, as the array API standard asks for it."""
    if api_version is not None and not isinstance(api_version, str):
        raise TypeError(f"[array] api_version must be a string such as '2024.12', got {api_version!r}.")
    if api_version is not None and api_version not in ("2021.12", "2022.12", "2023.12", "2024.12"):
        raise ValueError(f"[array] array API version {api_version} is not known; 2024.12 is")
    return sys.modules["mlx.core"]

"""Operands of operations: from what users pass (arrays, numbers, NumPy arrays) to nodes of one dtype."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlx.arrays import conversion
from mlx.ir.dtypes import Dtype, default_dtype_of, dtype_with_scalar, promote_types, uint64
from mlx.ir.node import Node
from mlx.ir.primitive import scalar_node
from mlx.primitives.structure import cast

_PYTHON_NUMBERS = (bool, int, float, complex)
_NUMPY = (np.ndarray, np.generic)


def is_number(value: Any) -> bool:
    """Whether `value` is a Python number, which takes the dtype of the array that it meets."""
    return isinstance(value, _PYTHON_NUMBERS)


def is_operand(value: Any) -> bool:
    """Whether an operator of arrays takes `value` as its other operand."""
    return (
        isinstance(value, _PYTHON_NUMBERS)
        or hasattr(value, "_node")
        or hasattr(value, "__mlx_array__")
        or _is_foreign(value)
    )


def number_node(value: complex, dtype: Dtype, function: str = "array") -> Node:
    """The node of a Python number in `dtype`; ValueError where the dtype's range does not hold it."""
    limits = dtype.scalar_limits
    if limits is not None and not limits[0] <= value <= limits[1]:  # type: ignore[operator]
        if dtype is uint64 and isinstance(value, int) and -(2**63) <= value < 0:
            return scalar_node(value % 2**64, dtype)
        raise ValueError(
            f"[{function}] Converting {value} to {dtype.name} would result in overflow. Cast the array to a wider type "
            f"first."
        )
    return scalar_node(value, dtype)


def node_of(value: Any, function: str, argument: str = "a") -> Node:
    """The node of an array, a Python number or anything that `mx.array` takes but sequences.

    Raises:
        TypeError: `value` is None.
        ValueError: `value` is anything else that is none of these.
    """
    node = getattr(value, "_node", None)
    if type(node) is Node:
        return node
    if isinstance(value, _PYTHON_NUMBERS):
        return number_node(value, default_dtype_of(value), function)
    if hasattr(value, "__mlx_array__") or _is_foreign(value):
        return conversion.node_from(value, None)
    raise (TypeError if value is None else ValueError)(
        f"[{function}] {argument} must be an array or a number, got {type(value).__name__}. "
        f"Convert it with mx.array first."
    )


def operand_pair(function: str, a: Any, b: Any) -> tuple[Node, Node]:
    """The nodes of two operands, cast to the dtype that both promote to.

    Python numbers take the array's dtype where its category can hold them, another library's arrays take it always.
    """
    if isinstance(b, _PYTHON_NUMBERS):
        if isinstance(a, _PYTHON_NUMBERS):
            dtype = promote_types(default_dtype_of(a), default_dtype_of(b))
            return number_node(a, dtype, function), number_node(b, dtype, function)
        left = node_of(a, function, "a")
        dtype = dtype_with_scalar(left.dtype, b)
        return cast(left, dtype), number_node(b, dtype, function)
    if isinstance(a, _PYTHON_NUMBERS):
        right = node_of(b, function, "b")
        dtype = dtype_with_scalar(right.dtype, a)
        return number_node(a, dtype, function), cast(right, dtype)
    if hasattr(a, "_node") and _is_foreign(b):
        left = node_of(a, function, "a")
        return left, conversion.node_from(b, left.dtype)
    if hasattr(b, "_node") and _is_foreign(a):
        right = node_of(b, function, "b")
        return conversion.node_from(a, right.dtype), right
    left, right = node_of(a, function, "a"), node_of(b, function, "b")
    if left.dtype is right.dtype:
        return left, right
    dtype = promote_types(left.dtype, right.dtype)
    return cast(left, dtype), cast(right, dtype)


def _is_foreign(value: Any) -> bool:
    """Whether `value` is an array of NumPy or of another library, or memory that can be seen as one."""
    if isinstance(value, _NUMPY):
        return True
    if hasattr(value, "_node"):
        return False
    if hasattr(value, "__dlpack__"):
        return True
    try:
        memoryview(value)
    except TypeError:
        return False
    return True

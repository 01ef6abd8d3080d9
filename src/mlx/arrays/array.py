"""Class `array`: a handle on a node, with the operators and methods that users write.

Methods forward to the public functions in `mlx.ops`, which share this layer. Indexing, conversion and printing have
files of their own beside this one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlx.arrays import conversion
from mlx.arrays.operands import operand_pair
from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, Shape, hooks, record
from mlx.ir.primitive import Primitive, broadcast_shape
from mlx.primitives import arithmetic

Axes = int | Sequence[int] | None

_new = object.__new__


def wrap(node: Node) -> array:
    """The handle on a node."""
    handle = _new(array)
    handle._node = node
    return handle


def _binary(primitive: Primitive, name: str, boolean: Dtype | None = None) -> Callable[[Any, Any], Any]:
    """The operator of an elementwise primitive whose operands are promoted to one dtype."""

    def operator(self: array, other: Any) -> Any:
        a = self._node
        if type(other) is array:
            b = other._node
            if a.dtype is not b.dtype:
                a, b = operand_pair(name, self, other)
        else:
            a, b = operand_pair(name, self, other)
        shape = a.shape
        if shape != b.shape:
            shape = broadcast_shape(shape, b.shape)
        handle = _new(array)
        handle._node = record(primitive, (a, b), (), shape, boolean or a.dtype)
        return handle

    return operator


class array:
    """A multi-dimensional array of one dtype whose value is computed when it is asked for.

    Args:
        val: a Python number, a (nested) sequence of numbers or arrays, a NumPy array, another array, or an object
            with `__array__` or `__dlpack__`. It is copied.
        dtype: the element type; by default that of `val`, where Python floats become float32 and ints int32.

    Example:
        >>> import mlx.core as mx
        >>> mx.array([[1, 2], [3, 4]]) * 0.5
        array([[0.5, 1],
               [1.5, 2]], dtype=float32)
    """

    __slots__ = ("__weakref__", "_node")

    _node: Node

    def __init__(self, val: Any, dtype: Dtype | None = None) -> None:
        self._node = conversion.node_from(val, dtype)

    # What it is.

    @property
    def shape(self) -> Shape:
        return self._node.shape

    @property
    def dtype(self) -> Dtype:
        return self._node.dtype

    @property
    def ndim(self) -> int:
        return len(self._node.shape)

    @property
    def size(self) -> int:
        return self._node.size

    @property
    def itemsize(self) -> int:
        return self._node.dtype.size

    @property
    def nbytes(self) -> int:
        return self._node.nbytes

    # Its value.

    def _numpy(self) -> np.ndarray[Any, Any]:
        """The value as a NumPy array that must not be written to."""
        node = self._node
        if node.value is None:
            hooks.evaluate([node])
        assert node.value is not None
        return node.value.numpy()

    def item(self) -> Any:
        """The value of an array of one element as a Python number.

        Raises:
            ValueError: the array has more than one element or none.
        """
        if self.size != 1:
            raise ValueError(f"[item] item can only be called on arrays of size 1, this one has shape {self.shape}.")
        return self._numpy().item()

    __add__ = _binary(arithmetic.ADD, "addition")
    __sub__ = _binary(arithmetic.SUBTRACT, "subtraction")
    __mul__ = _binary(arithmetic.MULTIPLY, "multiplication")


import mlx.ops as ops  # noqa: E402  (needs the class above)

"""Class `array`: a handle on a node, with the operators and methods that users write.

Methods forward to the public functions in `mlx.ops`, which share this layer. Indexing, conversion and printing have
files of their own beside this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from mlx.arrays import buffers, conversion, dlpack, indexing, printing, sharing
from mlx.arrays.habits import FOREIGN_HABITS
from mlx.arrays.operators import (
    bitwise,
    elementwise,
    forwarded,
    in_place,
    in_place_division,
    matrix_product,
    power,
    reflected,
)
from mlx.ir.changes import note_update
from mlx.ir.dtypes import Dtype, bool_
from mlx.ir.node import Node, Shape, hooks, record
from mlx.ir.sizes import fixed, open_sizes, plain
from mlx.primitives import arithmetic

Axes = int | Sequence[int] | None
StreamOrDevice = Any

_new = object.__new__


def wrap(node: Node) -> array:
    """The handle on a node."""
    handle = _new(array)
    handle._node = node
    return handle


class array:
    """A multi-dimensional array of one dtype whose value is computed when it is asked for.

    Values never change: `x[0] = 1` and `x += y` give `x` a new one. Only what is written to memory that came from
    `numpy.asarray(x)`, `memoryview(x)` or DLPack changes the value itself, and no derivative follows it. An operator
    between an array and one of NumPy's gives an array, whichever comes first, so that derivatives pass through it.

    NumPy has no bfloat16: from Python 3.12 on, where it looks at the memory of arrays first, `numpy.array(x)` raises
    ValueError. `x.__array__()` has the dtype of that name from ml_dtypes, `x.astype(mx.float32)` is for everyone.

    Args:
        val: a Python number, a (nested) list or tuple of numbers or arrays, a NumPy array, another array, or an object
            with `__mlx_array__`, `__dlpack__`, `__array__` or the buffer protocol. It is copied.
        dtype: the element type; by default that of `val`, where Python floats become float32 and ints int32.

    Raises:
        ValueError: `val` is of another type, or a ragged list.
        TypeError: `dtype` is no Dtype, or `val` is None.
        RuntimeError: an int is out of range, or a dtype of NumPy's has no counterpart.

    Example:
        >>> import mlx.core as mx
        >>> mx.array([[1, 2], [3, 4]]) * 0.5
        array([[0.5, 1],
               [1.5, 2]], dtype=float32)
    """

    __slots__ = ("__weakref__", "_node")
    # So that NumPy leaves `ndarray + array` to us, and derivatives pass through it.
    __array_priority__ = 1000

    _node: Node

    def __init__(self, val: Any, dtype: Dtype | None = None) -> None:
        self._node = conversion.node_from(val, dtype)

    # ------------------------------------------------------------------ what it is

    @property
    def shape(self) -> Shape:
        """The extents of the axes."""
        shape = self._node.shape
        return plain(shape) if open_sizes else shape

    @property
    def dtype(self) -> Dtype:
        """The element type."""
        return self._node.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._node.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return prod(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self._node.dtype.size

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return prod(self.shape) * self._node.dtype.size

    @property
    def T(self) -> array:
        """The array with its axes reversed."""
        return ops.transpose(self)

    @property
    def mT(self) -> array:
        """The array with its last two axes exchanged."""
        return ops.matrix_transpose(self)

    @property
    def real(self) -> array:
        """The real part."""
        return ops.real(self)

    @property
    def imag(self) -> array:
        """The imaginary part."""
        return ops.imag(self)

    @property
    def at(self) -> indexing.ArrayAt:
        """Functional updates that accumulate over repeated indices: `x.at[i].add(y)`."""
        return indexing.ArrayAt(self)

    def __len__(self) -> int:
        if not self._node.shape:
            raise TypeError("len() 0-dimensional array.")
        return self.shape[0]

    def __iter__(self) -> Iterator[array]:
        if not self._node.shape:
            raise TypeError("[iter] A 0-dimensional array cannot be iterated.")
        return ArrayIterator(self)

    def __hash__(self) -> int:
        return id(self)

    def __getattr__(self, name: str) -> Any:
        hint = FOREIGN_HABITS.get(name)
        if hint is None and name in ops.__dict__ and callable(ops.__dict__[name]):
            hint = f"use mx.{name}(x)"
        raise AttributeError(f"'array' object has no attribute '{name}'" + (f": {hint}" if hint else ""))

    # ------------------------------------------------------------------ its value

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
            ValueError: the array has more elements or none.

        Example:
            >>> import mlx.core as mx
            >>> mx.array([1.5]).item()
            1.5
        """
        node = self._node
        if node.shape and node.size != 1:
            raise ValueError(
                f"[convert] Only length-1 arrays can be converted to Python scalars, got shape {node.shape}."
            )
        value = self._numpy().item()
        return float(value) if node.dtype.is_half else value

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers; a number for an array without axes.

        Example:
            >>> import mlx.core as mx
            >>> mx.array([[1, 2], [3, 4]]).tolist()
            [[1, 2], [3, 4]]
        """
        return conversion.python_values(self._numpy())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if not self._node.dtype.is_integer or self._node.shape:
            raise TypeError("[index] Only 0-dimensional integer arrays can be converted to an index.")
        return self.item()

    def __format__(self, specification: str) -> str:
        if not self._node.shape:
            return format(self.item(), specification)
        if specification:
            raise TypeError(f"[format] Only 0-dimensional arrays take a format specification, got {specification!r}.")
        return str(self)

    def __repr__(self) -> str:
        return printing.render(self._numpy(), self._node.dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return sharing.to_numpy(self, dtype, copy)

    def __array_function__(self, func: Callable[..., Any], types: Any, args: Any, kwargs: Any) -> Any:
        """NumPy's functions compute with the values and return what they return: `numpy.sum(x)` is a NumPy number."""
        return func(*conversion.with_values(args), **conversion.with_values(kwargs))

    def __array_namespace__(self, api_version: str | None = None) -> Any:
        return conversion.array_namespace(api_version)

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        return dlpack.exported(self, max_version, dl_device, copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.CPU

    def __buffer__(self, flags: int) -> memoryview:  # asked for by Python 3.12 and newer
        return buffers.memory_of(self, flags)

    def __bytes__(self) -> bytes:
        return self._numpy().tobytes()

    def __getstate__(self) -> tuple[np.ndarray[Any, Any], Dtype]:
        return self._numpy(), self._node.dtype

    def __setstate__(self, state: tuple[np.ndarray[Any, Any], Dtype]) -> None:
        self._node = conversion.node_from_state(state)

    def __copy__(self) -> array:
        return wrap(self._node)

    def __deepcopy__(self, memo: dict[int, Any]) -> array:
        return wrap(self._node)

    # ------------------------------------------------------------------ indexing

    def __getitem__(self, key: Any) -> array:
        return indexing.get_item(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        node = indexing.set_item(self, key, value)
        note_update(self)
        self._node = node

    # ------------------------------------------------------------------ operators

    __add__ = elementwise(arithmetic.ADD, "add")
    __sub__ = elementwise(arithmetic.SUBTRACT, "subtract")
    __mul__ = elementwise(arithmetic.MULTIPLY, "multiply")
    __truediv__ = elementwise(arithmetic.DIVIDE, "divide", inexact=True)
    __floordiv__ = forwarded("floor_divide")
    __mod__ = forwarded("remainder")
    __pow__ = power(arithmetic.SQUARE)
    __matmul__ = matrix_product()
    __and__ = bitwise("bitwise_and")
    __or__ = bitwise("bitwise_or")
    __xor__ = bitwise("bitwise_xor")
    __lshift__ = bitwise("left_shift")
    __rshift__ = bitwise("right_shift")

    __radd__ = reflected(arithmetic.ADD, "add")
    __rsub__ = reflected(arithmetic.SUBTRACT, "subtract")
    __rmul__ = reflected(arithmetic.MULTIPLY, "multiply")
    __rtruediv__ = reflected(arithmetic.DIVIDE, "divide", inexact=True)
    __rfloordiv__ = forwarded("floor_divide", swapped=True)
    __rmod__ = forwarded("remainder", swapped=True)
    __rpow__ = forwarded("power", swapped=True)
    __rmatmul__ = matrix_product(swapped=True)
    __rand__ = bitwise("bitwise_and", swapped=True)
    __ror__ = bitwise("bitwise_or", swapped=True)
    __rxor__ = bitwise("bitwise_xor", swapped=True)
    __rlshift__ = bitwise("left_shift", swapped=True)
    __rrshift__ = bitwise("right_shift", swapped=True)

    __iadd__ = in_place(__add__)
    __isub__ = in_place(__sub__)
    __imul__ = in_place(__mul__)
    __itruediv__ = in_place_division(__truediv__)
    __ifloordiv__ = in_place(__floordiv__)
    __imod__ = in_place(__mod__)
    __ipow__ = in_place(__pow__)
    __imatmul__ = in_place(__matmul__)
    __iand__ = in_place(__and__)
    __ior__ = in_place(__or__)
    __ixor__ = in_place(__xor__)
    __ilshift__ = in_place(__lshift__)
    __irshift__ = in_place(__rshift__)

    __eq__ = elementwise(arithmetic.EQUAL, "equal", result=bool_, otherwise=False)
    __ne__ = elementwise(arithmetic.NOT_EQUAL, "not_equal", result=bool_, otherwise=True)
    __lt__ = elementwise(arithmetic.LESS, "less", result=bool_)
    __le__ = elementwise(arithmetic.LESS_EQUAL, "less_equal", result=bool_)
    __gt__ = elementwise(arithmetic.GREATER, "greater", result=bool_)
    __ge__ = elementwise(arithmetic.GREATER_EQUAL, "greater_equal", result=bool_)

    def __neg__(self) -> array:
        a = self._node
        if a.dtype is bool_:
            return ops.negative(self)
        handle = _new(array)
        handle._node = record(arithmetic.NEGATIVE, (a,), (), a.shape, a.dtype)
        return handle

    def __pos__(self) -> array:
        return self

    def __abs__(self) -> array:
        return ops.abs(self)

    def __invert__(self) -> array:
        return ops.bitwise_invert(self)

    # ------------------------------------------------------------------ methods

    def reshape(self, *shape: Any, stream: StreamOrDevice = None) -> array:
        """Same as `mx.reshape`; the extents are given one by one or as one sequence."""
        return ops.reshape(self, _spread(shape), stream=stream)

    def transpose(self, *axes: Any, stream: StreamOrDevice = None) -> array:
        """Same as `mx.transpose`; the axes are given one by one or as one sequence, none reverses them."""
        return ops.transpose(self, _spread(axes) if axes else None, stream=stream)

    def abs(self, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.abs`."""
        return ops.abs(self, stream=stream)

    def conj(self, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.conj`."""
        return ops.conj(self, stream=stream)

    def cos(self, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.cos`."""
        return ops.cos(self, stream=stream)

    def exp(self, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.exp`."""
        return ops.exp(self, stream=stream)

    def log(self, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.log`."""
        return ops.log(self, stream=stream)

    def log10(self, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.log10`."""
        return ops.log10(self, stream=stream)

    def log1p(self, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.log1p`."""
        return ops.log1p(self, stream=stream)

    def log2(self, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.log2`."""
        return ops.log2(self, stream=stream)

    def reciprocal(self, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.reciprocal`."""
        return ops.reciprocal(self, stream=stream)

    def rsqrt(self, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.rsqrt`."""
        return ops.rsqrt(self, stream=stream)

    def sin(self, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.sin`."""
        return ops.sin(self, stream=stream)

    def sqrt(self, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.sqrt`."""
        return ops.sqrt(self, stream=stream)

    def square(self, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.square`."""
        return ops.square(self, stream=stream)

    def all(self, axis: Axes = None, keepdims: bool = False, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.all`."""
        return ops.all(self, axis, keepdims, stream=stream)

    def any(self, axis: Axes = None, keepdims: bool = False, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.any`."""
        return ops.any(self, axis, keepdims, stream=stream)

    def logsumexp(self, axis: Axes = None, keepdims: bool = False, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.logsumexp`."""
        return ops.logsumexp(self, axis, keepdims, stream=stream)

    def max(self, axis: Axes = None, keepdims: bool = False, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.max`."""
        return ops.max(self, axis, keepdims, stream=stream)

    def mean(self, axis: Axes = None, keepdims: bool = False, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.mean`."""
        return ops.mean(self, axis, keepdims, stream=stream)

    def min(self, axis: Axes = None, keepdims: bool = False, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.min`."""
        return ops.min(self, axis, keepdims, stream=stream)

    def prod(self, axis: Axes = None, keepdims: bool = False, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.prod`."""
        return ops.prod(self, axis, keepdims, stream=stream)

    def sum(self, axis: Axes = None, keepdims: bool = False, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.sum`."""
        return ops.sum(self, axis, keepdims, stream=stream)

    def argmax(self, axis: int | None = None, keepdims: bool = False, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.argmax`."""
        return ops.argmax(self, axis, keepdims, stream=stream)

    def argmin(self, axis: int | None = None, keepdims: bool = False, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.argmin`."""
        return ops.argmin(self, axis, keepdims, stream=stream)

    def std(
        self,
        axis: Axes = None,
        keepdims: bool = False,
        ddof: int = 0,
        *,
        correction: int | None = None,
        stream: StreamOrDevice = None,
    ) -> array:
        """Same as `mx.std`; `correction` is another name for `ddof`."""
        return ops.std(self, axis, keepdims, ddof if correction is None else correction, stream=stream)

    def var(
        self,
        axis: Axes = None,
        keepdims: bool = False,
        ddof: int = 0,
        *,
        correction: int | None = None,
        stream: StreamOrDevice = None,
    ) -> array:
        """Same as `mx.var`; `correction` is another name for `ddof`."""
        return ops.var(self, axis, keepdims, ddof if correction is None else correction, stream=stream)

    def cummax(
        self, axis: int | None = None, *, reverse: bool = False, inclusive: bool = True, stream: StreamOrDevice = None
    ) -> array:
        """Same as `mx.cummax`."""
        return ops.cummax(self, axis, reverse=reverse, inclusive=inclusive, stream=stream)

    def cummin(
        self, axis: int | None = None, *, reverse: bool = False, inclusive: bool = True, stream: StreamOrDevice = None
    ) -> array:
        """Same as `mx.cummin`."""
        return ops.cummin(self, axis, reverse=reverse, inclusive=inclusive, stream=stream)

    def cumprod(
        self, axis: int | None = None, *, reverse: bool = False, inclusive: bool = True, stream: StreamOrDevice = None
    ) -> array:
        """Same as `mx.cumprod`."""
        return ops.cumprod(self, axis, reverse=reverse, inclusive=inclusive, stream=stream)

    def cumsum(
        self, axis: int | None = None, *, reverse: bool = False, inclusive: bool = True, stream: StreamOrDevice = None
    ) -> array:
        """Same as `mx.cumsum`."""
        return ops.cumsum(self, axis, reverse=reverse, inclusive=inclusive, stream=stream)

    def logcumsumexp(
        self, axis: int | None = None, *, reverse: bool = False, inclusive: bool = True, stream: StreamOrDevice = None
    ) -> array:
        """Same as `mx.logcumsumexp`."""
        return ops.logcumsumexp(self, axis, reverse=reverse, inclusive=inclusive, stream=stream)

    def round(self, decimals: int = 0, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.round`."""
        return ops.round(self, decimals, stream=stream)

    def astype(self, dtype: Dtype, stream: StreamOrDevice = None) -> array:
        """Same as `mx.astype`."""
        return ops.astype(self, dtype, stream=stream)

    def view(self, dtype: Dtype, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.view`."""
        return ops.view(self, dtype, stream=stream)

    def flatten(self, start_axis: int = 0, end_axis: int = -1, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.flatten`."""
        return ops.flatten(self, start_axis, end_axis, stream=stream)

    def squeeze(self, axis: Axes = None, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.squeeze`."""
        return ops.squeeze(self, axis, stream=stream)

    def moveaxis(self, source: int, destination: int, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.moveaxis`."""
        return ops.moveaxis(self, source, destination, stream=stream)

    def swapaxes(self, axis1: int, axis2: int, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.swapaxes`."""
        return ops.swapaxes(self, axis1, axis2, stream=stream)

    def split(
        self, indices_or_sections: int | Sequence[int], axis: int = 0, *, stream: StreamOrDevice = None
    ) -> list[array]:
        """Same as `mx.split`."""
        return ops.split(self, indices_or_sections, axis, stream=stream)

    def diag(self, k: int = 0, *, stream: StreamOrDevice = None) -> array:
        """Same as `mx.diag`."""
        return ops.diag(self, k, stream=stream)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1, stream: StreamOrDevice = None) -> array:
        """Same as `mx.diagonal`."""
        return ops.diagonal(self, offset, axis1, axis2, stream=stream)


class ArrayIterator:
    """Yields an array's entries along its first axis."""

    def __init__(self, source: array) -> None:
        self._source = source
        self._next = 0

    def __iter__(self) -> ArrayIterator:
        return self

    def __next__(self) -> array:
        if self._next >= fixed(self._source._node.shape[0]):
            raise StopIteration
        self._next += 1
        return self._source[self._next - 1]


def _spread(given: tuple[Any, ...]) -> Sequence[int]:
    """`(2, 3)` from `f(2, 3)` as well as from `f((2, 3))`."""
    if len(given) == 1 and not isinstance(given[0], int):
        return given[0]
    return given


import mlx.ops as ops  # noqa: E402  (the functions need the class above)

"""Class `array`: a handle on a node, with the operators and methods that users write.

Methods forward to the public functions in `mlx.ops`, which share this layer. Indexing, conversion and printing have
files of their own beside this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from mlx.arrays import conversion, indexing, printing
from mlx.arrays.operands import is_operand, operand_pair
from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, Shape, hooks, record
from mlx.ir.primitive import Primitive, broadcast_shape, scalar_node
from mlx.primitives import arithmetic

Axes = int | Sequence[int] | None
StreamOrDevice = Any

_new = object.__new__

# What people coming from other frameworks type, and what to write here.
_FOREIGN_HABITS = {
    "backward": "arrays carry no gradients: use mx.value_and_grad(loss_function)(params, ...)",
    "grad": "arrays carry no gradients: use mx.value_and_grad(loss_function)(params, ...)",
    "requires_grad": "every argument of mx.grad is differentiated; captured arrays are constants",
    "requires_grad_": "every argument of mx.grad is differentiated; captured arrays are constants",
    "detach": "use mx.stop_gradient(x)",
    "numpy": "use numpy.array(x)",
    "cpu": "arrays need no moving between devices",
    "cuda": "arrays need no moving between devices",
    "to": "use x.astype(dtype); arrays need no moving between devices",
    "float": "use x.astype(mx.float32)",
    "long": "use x.astype(mx.int64)",
    "permute": "use x.transpose(*axes)",
    "unsqueeze": "use mx.expand_dims(x, axis)",
    "dim": "use x.ndim",
    "copy": "use mx.array(x); arrays are never changed behind your back",
}


def wrap(node: Node) -> array:
    """The handle on a node."""
    handle = _new(array)
    handle._node = node
    return handle


def _binary(primitive: Primitive, doing: str) -> Callable[[array, Any], array]:
    """The operator of an elementwise primitive that promotes its operands to one dtype and keeps it."""

    def operator(self: array, other: Any) -> array:
        a = self._node
        kind = type(other)
        if kind is array and other._node.dtype is a.dtype:
            b = other._node
        elif (kind is float or kind is int) and a.dtype.is_inexact:
            b = scalar_node(other, a.dtype)
        elif is_operand(other):
            a, b = operand_pair(primitive.name, self, other)
        else:
            raise ValueError(f"Cannot perform {doing} on an mlx.core.array and {kind.__name__}")
        shape = a.shape
        if shape != b.shape:
            shape = broadcast_shape(shape, b.shape)
        handle = _new(array)
        handle._node = record(primitive, (a, b), (), shape, a.dtype)
        return handle

    return operator


def _forwarded(name: str, doing: str) -> Callable[[array, Any], array]:
    """The operator that is the public function `mx.<name>`."""

    def operator(self: array, other: Any) -> array:
        if not is_operand(other):
            raise ValueError(f"Cannot perform {doing} on an mlx.core.array and {type(other).__name__}")
        return getattr(ops, name)(self, other)

    return operator


def _reflected(name: str, doing: str) -> Callable[[array, Any], array]:
    """The operator that is `mx.<name>` with the operands exchanged."""

    def operator(self: array, other: Any) -> array:
        if not is_operand(other):
            raise ValueError(f"Cannot perform {doing} on {type(other).__name__} and an mlx.core.array")
        return getattr(ops, name)(other, self)

    return operator


def _in_place(operator: Callable[[array, Any], array]) -> Callable[[array, Any], array]:
    """The augmented assignment of an operator: it rebinds the handle, and every name of it sees the new value."""

    def assign(self: array, other: Any) -> array:
        self._node = operator(self, other)._node
        return self

    return assign


def _compared(name: str, doing: str, with_others: bool | None = None) -> Callable[[array, Any], Any]:
    """A comparison; `with_others` is the answer for objects that no array can be compared with."""

    def operator(self: array, other: Any) -> Any:
        if is_operand(other):
            return getattr(ops, name)(self, other)
        if with_others is None:
            raise ValueError(f"Cannot perform {doing} on an mlx.core.array and {type(other).__name__}")
        return with_others

    return operator


class array:
    """A multi-dimensional array of one dtype whose value is computed when it is asked for.

    Args:
        val: a Python number, a (nested) list or tuple of numbers or arrays, a NumPy array, another array, or an object
            with `__mlx_array__` or `__dlpack__`. It is copied.
        dtype: the element type; by default that of `val`, where Python floats become float32 and ints int32.

    Raises:
        ValueError: `val` is of another type, or a ragged list.
        TypeError: `dtype` is no Dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.array([[1, 2], [3, 4]]) * 0.5
        array([[0.5, 1],
               [1.5, 2]], dtype=float32)
    """

    __slots__ = ("__weakref__", "_node")
    __array_priority__ = 1000  # so that NumPy leaves `ndarray + array` to us

    _node: Node

    def __init__(self, val: Any, dtype: Dtype | None = None) -> None:
        self._node = conversion.node_from(val, dtype)

    # ------------------------------------------------------------------ what it is

    @property
    def shape(self) -> Shape:
        """The extents of the axes."""
        return self._node.shape

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
        return self._node.size

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self._node.dtype.size

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self._node.nbytes

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
        return self._node.shape[0]

    def __iter__(self) -> Iterator[array]:
        if not self._node.shape:
            raise TypeError("[iter] a 0-dimensional array cannot be iterated.")
        return ArrayIterator(self)

    def __hash__(self) -> int:
        return id(self)

    def __getattr__(self, name: str) -> Any:
        habit = _FOREIGN_HABITS.get(name)
        hint = f"; {habit}" if habit else ""
        raise AttributeError(f"'array' object has no attribute '{name}'{hint}")

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
        """
        if self._node.size != 1:
            raise ValueError("[convert] Only length-1 arrays can be converted to Python scalars.")
        return conversion.python_values(self._numpy().reshape(()))

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers; a number for an array without axes."""
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
        if not self._node.dtype.is_integer or self._node.size != 1:
            raise TypeError("only integer arrays of one element can be converted to an index")
        return self.item()

    def __format__(self, specification: str) -> str:
        if self._node.shape == () and specification:
            return format(self.item(), specification)
        return format(str(self), specification)

    def __repr__(self) -> str:
        return printing.render(self._numpy(), self._node.dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return conversion.to_numpy(self._numpy(), dtype, copy)

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
        return conversion.to_dlpack(self._numpy(), max_version, dl_device, copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        return conversion.dlpack_device()

    def __buffer__(self, flags: int) -> memoryview:
        return conversion.to_memoryview(self._numpy())

    def __reduce__(self) -> tuple[Any, ...]:
        return conversion.from_pickle, conversion.to_pickle(self._numpy(), self._node.dtype)

    def __copy__(self) -> array:
        return wrap(self._node)

    def __deepcopy__(self, memo: dict[int, Any]) -> array:
        return wrap(self._node)

    # ------------------------------------------------------------------ indexing

    def __getitem__(self, key: Any) -> array:
        return indexing.get_item(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._node = indexing.set_item(self, key, value)

    # ------------------------------------------------------------------ operators

    __add__ = _binary(arithmetic.ADD, "addition")
    __sub__ = _binary(arithmetic.SUBTRACT, "subtraction")
    __mul__ = _binary(arithmetic.MULTIPLY, "multiplication")
    __truediv__ = _forwarded("divide", "division")
    __floordiv__ = _forwarded("floor_divide", "floor division")
    __mod__ = _forwarded("remainder", "modulus")
    __pow__ = _forwarded("power", "power")
    __matmul__ = _forwarded("matmul", "matmul")
    __and__ = _forwarded("bitwise_and", "bitwise and")
    __or__ = _forwarded("bitwise_or", "bitwise or")
    __xor__ = _forwarded("bitwise_xor", "bitwise xor")
    __lshift__ = _forwarded("left_shift", "left shift")
    __rshift__ = _forwarded("right_shift", "right shift")

    __radd__ = _reflected("add", "addition")
    __rsub__ = _reflected("subtract", "subtraction")
    __rmul__ = _reflected("multiply", "multiplication")
    __rtruediv__ = _reflected("divide", "division")
    __rfloordiv__ = _reflected("floor_divide", "floor division")
    __rmod__ = _reflected("remainder", "modulus")
    __rpow__ = _reflected("power", "power")
    __rmatmul__ = _reflected("matmul", "matmul")
    __rand__ = _reflected("bitwise_and", "bitwise and")
    __ror__ = _reflected("bitwise_or", "bitwise or")
    __rxor__ = _reflected("bitwise_xor", "bitwise xor")
    __rlshift__ = _reflected("left_shift", "left shift")
    __rrshift__ = _reflected("right_shift", "right shift")

    __iadd__ = _in_place(__add__)
    __isub__ = _in_place(__sub__)
    __imul__ = _in_place(__mul__)
    __itruediv__ = _in_place(__truediv__)
    __ifloordiv__ = _in_place(__floordiv__)
    __imod__ = _in_place(__mod__)
    __ipow__ = _in_place(__pow__)
    __imatmul__ = _in_place(__matmul__)
    __iand__ = _in_place(__and__)
    __ior__ = _in_place(__or__)
    __ixor__ = _in_place(__xor__)
    __ilshift__ = _in_place(__lshift__)
    __irshift__ = _in_place(__rshift__)

    __eq__ = _compared("equal", "equal", with_others=False)  # type: ignore[assignment]
    __ne__ = _compared("not_equal", "not equal", with_others=True)  # type: ignore[assignment]
    __lt__ = _compared("less", "less than")
    __le__ = _compared("less_equal", "less than or equal")
    __gt__ = _compared("greater", "greater than")
    __ge__ = _compared("greater_equal", "greater than or equal")

    def __neg__(self) -> array:
        return ops.negative(self)

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

    def cummax(self, axis: int | None = None, *, reverse: bool = False, inclusive: bool = True, stream: StreamOrDevice = None) -> array:
        """Same as `mx.cummax`."""
        return ops.cummax(self, axis, reverse=reverse, inclusive=inclusive, stream=stream)

    def cummin(self, axis: int | None = None, *, reverse: bool = False, inclusive: bool = True, stream: StreamOrDevice = None) -> array:
        """Same as `mx.cummin`."""
        return ops.cummin(self, axis, reverse=reverse, inclusive=inclusive, stream=stream)

    def cumprod(self, axis: int | None = None, *, reverse: bool = False, inclusive: bool = True, stream: StreamOrDevice = None) -> array:
        """Same as `mx.cumprod`."""
        return ops.cumprod(self, axis, reverse=reverse, inclusive=inclusive, stream=stream)

    def cumsum(self, axis: int | None = None, *, reverse: bool = False, inclusive: bool = True, stream: StreamOrDevice = None) -> array:
        """Same as `mx.cumsum`."""
        return ops.cumsum(self, axis, reverse=reverse, inclusive=inclusive, stream=stream)

    def logcumsumexp(self, axis: int | None = None, *, reverse: bool = False, inclusive: bool = True, stream: StreamOrDevice = None) -> array:
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

    def split(self, indices_or_sections: int | Sequence[int], axis: int = 0, *, stream: StreamOrDevice = None) -> list[array]:
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
        if self._next >= len(self._source):
            raise StopIteration
        self._next += 1
        return self._source[self._next - 1]


def _spread(given: tuple[Any, ...]) -> Sequence[int]:
    """`(2, 3)` from `f(2, 3)` as well as from `f((2, 3))`."""
    if len(given) == 1 and not isinstance(given[0], int):
        return given[0]
    return given


import mlx.ops as ops  # noqa: E402  (the functions need the class above)

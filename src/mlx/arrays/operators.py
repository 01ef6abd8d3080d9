"""The operators of arrays: functions that class `array` binds to its special methods.

Each is its public function, `mx.add` for `+`, with a short way for what programs do all the time: arrays of one dtype,
and arrays with Python numbers. That way is the hot path of recording, hence flat.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from mlx.arrays.operands import is_operand, number_node
from mlx.ir.changes import note_update
from mlx.ir.dtypes import Dtype
from mlx.ir.node import record
from mlx.ir.primitive import Primitive, broadcast_shape, scalar_node

Operator = Callable[[Any, Any], Any]

_new = object.__new__


def elementwise(
    primitive: Primitive,
    name: str,
    *,
    inexact: bool = False,
    result: Dtype | None = None,
    otherwise: bool | None = None,
) -> Operator:
    """The operator of an elementwise function that promotes its operands to one dtype.

    Args:
        name: the public function, which takes everything that the short way does not.
        inexact: the function computes only with floating and complex numbers.
        result: the dtype of the result; by default that of the operands.
        otherwise: the answer for an object that no array can be compared with; an error by default.
    """

    def operator(self: Any, other: Any) -> Any:
        a = self._node
        dtype = a.dtype
        shape = a.shape
        kind = type(other)
        if kind is type(self) and other._node.dtype is dtype and (not inexact or dtype.is_inexact):
            b = other._node
            if shape != b.shape:
                shape = broadcast_shape(shape, b.shape)
        elif (kind is float or kind is int) and dtype.is_inexact:
            b = scalar_node(other, dtype)
        elif kind is int and dtype.is_integer and not inexact:
            b = number_node(other, dtype, name)
        elif is_operand(other):
            return _public(name)(self, other)
        elif otherwise is None:
            raise _refusal(name, other)
        else:
            return otherwise
        handle = _new(type(self))
        handle._node = record(primitive, (a, b), (), shape, result or dtype)
        return handle

    return operator


def reflected(primitive: Primitive, name: str, *, inexact: bool = False) -> Operator:
    """The operator that `elementwise` gives, with the operands exchanged: that of `2 - x`."""

    def operator(self: Any, other: Any) -> Any:
        b = self._node
        dtype = b.dtype
        kind = type(other)
        if (kind is float or kind is int) and dtype.is_inexact:
            a = scalar_node(other, dtype)
        elif kind is int and dtype.is_integer and not inexact:
            a = number_node(other, dtype, name)
        elif is_operand(other):
            return _public(name)(other, self)
        else:
            raise _refusal(name, other)
        handle = _new(type(self))
        handle._node = record(primitive, (a, b), (), b.shape, dtype)
        return handle

    return operator


def power(squared: Primitive) -> Operator:
    """The operator `**`, with a short way for squares."""

    def operator(self: Any, other: Any) -> Any:
        kind = type(other)
        if (kind is int or kind is float) and other == 2:
            a = self._node
            if a.dtype.is_inexact:
                handle = _new(type(self))
                handle._node = record(squared, (a,), (), a.shape, a.dtype)
                return handle
        elif kind is not type(self) and not is_operand(other):
            raise _refusal("power", other)
        return _public("power")(self, other)

    return operator


def forwarded(name: str, *, swapped: bool = False) -> Operator:
    """The operator that is a public function, called with the operands exchanged if `swapped`."""

    def operator(self: Any, other: Any) -> Any:
        if type(other) is not type(self) and not is_operand(other):
            raise _refusal(name, other)
        return _public(name)(other, self) if swapped else _public(name)(self, other)

    return operator


def bitwise(name: str, *, swapped: bool = False) -> Operator:
    """The operator of a function of bits: ValueError, where the function itself raises RuntimeError, for floats."""
    function = forwarded(name, swapped=swapped)

    def operator(self: Any, other: Any) -> Any:
        if is_operand(other) and (self.dtype.is_inexact or _is_inexact(other)):
            raise ValueError(f"[{name}] Floating point types have no bits to combine: cast them to an integer dtype.")
        return function(self, other)

    return operator


def _is_inexact(other: Any) -> bool:
    dtype = getattr(other, "dtype", None)
    return isinstance(other, float | complex) or (isinstance(dtype, Dtype) and dtype.is_inexact)


def matrix_product(*, swapped: bool = False) -> Operator:
    """The operator `@`: TypeError for what is no array."""

    def operator(self: Any, other: Any) -> Any:
        if type(other) is not type(self):
            if isinstance(other, bool | int | float | complex) or not is_operand(other):
                raise TypeError(f"[matmul] Both operands of @ must be arrays, got {type(other).__name__}.")
            other = type(self)(other, self.dtype)
        return _public("matmul")(other, self) if swapped else _public("matmul")(self, other)

    return operator


def in_place(operator: Operator) -> Operator:
    """The augmented assignment of an operator: it rebinds the handle, so that every name of it sees the new value."""

    def assign(self: Any, other: Any) -> Any:
        node = operator(self, other)._node
        note_update(self)
        self._node = node
        return self

    return assign


def in_place_division(division: Operator) -> Operator:
    """The augmented assignment of a division, which an array of integers cannot hold."""
    assign = in_place(division)

    def divide(self: Any, other: Any) -> Any:
        if not self.dtype.is_inexact:
            raise ValueError(
                f"[divide] In place division cannot turn {self.dtype.name} into a floating point dtype: "
                f"write x = x / y, or x //= y."
            )
        return assign(self, other)

    return divide


@cache
def _public(name: str) -> Callable[..., Any]:
    from mlx import ops  # which needs class `array`

    return getattr(ops, name)


def _refusal(name: str, other: Any) -> Exception:
    remedy = " Convert it with mx.array first." if isinstance(other, list | tuple) else ""
    error = TypeError if other is None else ValueError
    return error(f"[{name}] Expected an array or a number as the other operand, got {type(other).__name__}.{remedy}")

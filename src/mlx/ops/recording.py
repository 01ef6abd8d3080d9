"""How the public elementwise functions record: promote, broadcast, and make one node.

A function here serves all public functions with the same dtype rule. They are the hot path of recording, hence flat.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from mlx.arrays.array import array
from mlx.arrays.operands import node_of, operand_pair
from mlx.ir.dtypes import bool_, float32
from mlx.ir.node import Node, record
from mlx.ir.primitive import SCALAR, Primitive, broadcast_shape, scalar_node
from mlx.primitives.structure import cast

Scalar: TypeAlias = bool | int | float | complex

_new = object.__new__


def record_unary(primitive: Primitive, a: Any) -> array:
    """Apply `primitive`, which keeps shape and dtype."""
    x = a._node if type(a) is array else node_of(a, primitive.name)
    handle = _new(array)
    handle._node = record(primitive, (x,), (), x.shape, x.dtype)
    return handle


def record_floating(primitive: Primitive, a: Any) -> array:
    """Apply `primitive`, which takes floating and complex numbers; integers and booleans become float32."""
    x = a._node if type(a) is array else node_of(a, primitive.name)
    dtype = x.dtype
    if not dtype.is_inexact:
        x, dtype = cast(x, float32), float32
    handle = _new(array)
    handle._node = record(primitive, (x,), (), x.shape, dtype)
    return handle


def record_real(primitive: Primitive, a: Any) -> array:
    """Apply `primitive`, which takes floating numbers and no complex ones; integers and booleans become float32."""
    x = a._node if type(a) is array else node_of(a, primitive.name)
    dtype = x.dtype
    if not dtype.is_floating:
        refuse_complex(primitive.name, x)
        x, dtype = cast(x, float32), float32
    handle = _new(array)
    handle._node = record(primitive, (x,), (), x.shape, dtype)
    return handle


def record_test(primitive: Primitive, a: Any) -> array:
    """Apply `primitive`, which tells something about single elements."""
    x = a._node if type(a) is array else node_of(a, primitive.name)
    handle = _new(array)
    handle._node = record(primitive, (x,), (), x.shape, bool_)
    return handle


def record_binary(primitive: Primitive, a: Any, b: Any) -> array:
    """Apply `primitive` to two operands promoted to one dtype, which is that of the result."""
    if type(a) is array and type(b) is array and a._node.dtype is b._node.dtype:
        x, y = a._node, b._node
    else:
        x, y = operand_pair(primitive.name, a, b)
    shape = x.shape
    if shape != y.shape:
        shape = broadcast_shape(shape, y.shape)
    handle = _new(array)
    handle._node = record(primitive, (x, y), (), shape, x.dtype)
    return handle


def record_floating_binary(primitive: Primitive, a: Any, b: Any) -> array:
    """Apply `primitive`, which takes floating and complex numbers; a pair of integers or booleans becomes float32."""
    if type(a) is array and type(b) is array and a._node.dtype is b._node.dtype:
        x, y = a._node, b._node
    else:
        x, y = operand_pair(primitive.name, a, b)
    if not x.dtype.is_inexact:
        x, y = to_float32(x), to_float32(y)
    shape = x.shape
    if shape != y.shape:
        shape = broadcast_shape(shape, y.shape)
    handle = _new(array)
    handle._node = record(primitive, (x, y), (), shape, x.dtype)
    return handle


def record_comparison(primitive: Primitive, a: Any, b: Any) -> array:
    """Apply `primitive` to two operands promoted to one dtype; the result is boolean."""
    if type(a) is array and type(b) is array and a._node.dtype is b._node.dtype:
        x, y = a._node, b._node
    else:
        x, y = operand_pair(primitive.name, a, b)
    shape = x.shape
    if shape != y.shape:
        shape = broadcast_shape(shape, y.shape)
    handle = _new(array)
    handle._node = record(primitive, (x, y), (), shape, bool_)
    return handle


def to_float32(x: Node) -> Node:
    """`x` in float32; a Python number stays one."""
    return scalar_node(x.params[0], float32) if x.primitive is SCALAR else cast(x, float32)  # type: ignore[arg-type]


def refuse_complex(function: str, x: Node) -> None:
    """ValueError for complex numbers."""
    if x.dtype.is_complex:
        raise ValueError(f"[{function}] Not supported for complex64. Apply it to mx.real(a) and mx.imag(a).")

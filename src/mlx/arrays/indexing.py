"""Indexing: `x[key]`, `x[key] = value` and `x.at[key].add(value)`.

A key is parsed to a `Selection`: a slice of every axis, which costs one slice and one reshape, and index arrays into
that slice, which are gathered from or scattered to. The starts of slices are no part of a compiled program, so that
`X[i : i + size]` in a loop compiles once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mlx.arrays import conversion
from mlx.arrays.operands import number_node
from mlx.arrays.selection import Selection, index_of, out_of_range, selection_of, steps
from mlx.ir.dtypes import bool_, default_dtype_of, float64, int32
from mlx.ir.node import Node, Shape, record
from mlx.ir.primitive import Primitive, broadcast_shape, scalar_node
from mlx.ir.sizes import same_shape
from mlx.primitives.arithmetic import ADD, DIVIDE, MAXIMUM, MINIMUM, MULTIPLY, NEGATIVE
from mlx.primitives.elementwise import SELECT
from mlx.primitives.indexing import (
    GATHER,
    SCATTER,
    SCATTER_ADD,
    SCATTER_MAXIMUM,
    SCATTER_MINIMUM,
    SCATTER_MULTIPLY,
)
from mlx.primitives.scans import CUMSUM
from mlx.primitives.shape import RESHAPE, broadcast, reshape
from mlx.primitives.slicing import FLIP, SLICE, SLICE_UPDATE
from mlx.primitives.structure import cast

if TYPE_CHECKING:
    from mlx.arrays.array import array

_new = object.__new__


# ---------------------------------------------------------------------- reading and writing


def get_item(x: array, key: Any) -> array:
    """`x[key]`."""
    node = x._node
    kind = type(key)
    if kind is int and node.shape:
        out = _entry(node, key)
    elif kind is slice and node.shape:
        out = _slice_of_first_axis(node, key)
    elif kind is type(x) and node.shape:
        index = key._node
        shape = index.shape + node.shape[1:]
        if not index.dtype.is_integer:
            index_of(key)  # which knows why not
        out = record(GATHER, (node, index), ((0,), 0, True), shape, node.dtype)
    else:
        out = _read(node, selection_of(node.shape, key))
    handle = _new(type(x))
    handle._node = out
    return handle


def set_item(x: array, key: Any, value: Any) -> Node:
    """The node that `x` is after `x[key] = value`.

    Integers outside of their axis write nothing. Where an index array names a place more than once, the last value
    counts. A boolean mask takes a value for all its places, or one for each in order; if these are too few, an error
    is raised if the mask is known, and else the last one is repeated.
    """
    node = x._node
    update = _value_node(value, node)
    if isinstance(key, list | np.ndarray):
        key = conversion.node_from(key, None)
    elif isinstance(key, bool | np.bool_):
        if not key:
            return node
        key = ...
    mask = getattr(key, "_node", key)
    if type(mask) is Node and mask.dtype is bool_:
        return _write_masked(node, mask, update)
    selection = selection_of(node.shape, key)
    update = _fitted(update, selection.shape)
    if selection.outside is not None:
        return node
    if not selection.indices:
        return _write_back(node, selection, update)
    part = _view(node, selection)
    update = reshape(update, selection.gathered)
    written = SCATTER([part, update, *selection.indices], selection.axes, selection.position, False)
    return _write_back(node, selection, written)


class ArrayAt:
    """Updates of an array at an index: `x.at[key].add(value)` and its kin return a new array.

    Unlike `x[key] += value`, which writes each place once, an update is applied as often as the key names its place.
    All are differentiable. Integer arrays divide as numbers and are truncated.

    Example:
        >>> import mlx.core as mx
        >>> x = mx.array([1, 2, 3])
        >>> x.at[mx.array([0, 0, 2])].add(10)
        array([21, 2, 13], dtype=int32)
    """

    __slots__ = ("_key", "_source")

    def __init__(self, source: array, *key: Any) -> None:
        self._source = source
        self._key = key

    def __getitem__(self, indices: Any) -> ArrayAt:
        return ArrayAt(self._source, indices)

    def add(self, value: Any) -> array:
        """Add `value` at the index.

        Args:
            value: a number or an array that broadcasts to `x[key]`; it is cast to the dtype of `x`.

        Returns:
            An array of the shape and dtype of `x`.

        Example:
            >>> import mlx.core as mx
            >>> mx.zeros(3).at[1:].add(mx.array([1, 2]))
            array([0, 1, 2], dtype=float32)
        """
        return self._updated("add", value, ADD, SCATTER_ADD)

    def subtract(self, value: Any) -> array:
        """Subtract `value` at the index; arguments and result as those of `add`, but for booleans.

        Raises:
            ValueError: the array is boolean.

        Example:
            >>> import mlx.core as mx
            >>> mx.array([5, 6]).at[0].subtract(1)
            array([4, 6], dtype=int32)
        """
        if self._source.dtype is bool_:
            raise ValueError("[ArrayAt.subtract] Not supported for bool; use mx.where or cast to an integer type.")
        return self._updated("subtract", value, ADD, SCATTER_ADD)

    def multiply(self, value: Any) -> array:
        """Multiply with `value` at the index; arguments and result as those of `add`.

        Example:
            >>> import mlx.core as mx
            >>> mx.array([5, 6]).at[mx.array([0, 0])].multiply(2)
            array([20, 6], dtype=int32)
        """
        return self._updated("multiply", value, MULTIPLY, SCATTER_MULTIPLY)

    def divide(self, value: Any) -> array:
        """Divide by `value` at the index; arguments and result as those of `add`.

        Example:
            >>> import mlx.core as mx
            >>> mx.array([5.0, 6.0]).at[mx.array([0, 0])].divide(2)
            array([1.25, 6], dtype=float32)
        """
        return self._updated("divide", value, DIVIDE, SCATTER_MULTIPLY)

    def maximum(self, value: Any) -> array:
        """The larger of the array and `value` at the index; arguments and result as those of `add`.

        Example:
            >>> import mlx.core as mx
            >>> mx.array([5, 6]).at[mx.array([0, 0])].maximum(mx.array([7, 8]))
            array([8, 6], dtype=int32)
        """
        return self._updated("maximum", value, MAXIMUM, SCATTER_MAXIMUM)

    def minimum(self, value: Any) -> array:
        """The smaller of the array and `value` at the index; arguments and result as those of `add`.

        Example:
            >>> import mlx.core as mx
            >>> mx.array([5, 6]).at[0].minimum(3)
            array([3, 6], dtype=int32)
        """
        return self._updated("minimum", value, MINIMUM, SCATTER_MINIMUM)

    def _updated(self, method: str, value: Any, elementwise: Primitive, scatter: Primitive) -> array:
        if not self._key:
            raise ValueError(f"[ArrayAt.{method}] An index is missing: write x.at[index].{method}(value).")
        node = self._source._node
        update = _value_node(value, node)
        selection = selection_of(node.shape, self._key[0])
        update = _fitted(update, selection.shape)
        handle = _new(type(self._source))
        handle._node = node
        if selection.outside is None:
            if method == "subtract":
                update = NEGATIVE(update)
            part = _view(node, selection)
            if not selection.indices:
                update = reshape(update, part.shape)
                changed = _divided(part, update) if elementwise is DIVIDE else elementwise(part, update)
            else:
                update = reshape(update, selection.gathered)
                base = broadcast(scalar_node(1, part.dtype), part.shape) if elementwise is DIVIDE else part
                changed = scatter([base, update, *selection.indices], selection.axes, selection.position, False)
                if elementwise is DIVIDE:
                    changed = _divided(part, changed)
            handle._node = _write_back(node, selection, changed)
        return handle


def _divided(x: Node, by: Node) -> Node:
    if x.dtype.is_inexact:
        return DIVIDE(x, by)
    return cast(DIVIDE(cast(x, float64), cast(by, float64)), x.dtype)


# ---------------------------------------------------------------------- keys of one int or slice


def _entry(node: Node, i: int) -> Node:
    shape = node.shape
    extent = shape[0]
    start = i + extent if i < 0 else i
    if not 0 <= start < extent:
        raise out_of_range(i, 0, extent)
    rest = shape[1:]
    more = len(rest)
    sizes = (1, *rest)
    row = record(SLICE, (node,), ((start, *_ZEROS[:more]), sizes, _ONES[: more + 1]), sizes, node.dtype)
    return record(RESHAPE, (row,), (rest,), rest, node.dtype)


def _slice_of_first_axis(node: Node, key: slice) -> Node:
    shape = node.shape
    extent = shape[0]
    start, size, step = steps(key, extent)
    if step > 0 and same_shape((size,), shape[:1]):
        return node
    more = len(shape) - 1
    sizes = (size, *shape[1:])
    params = ((start, *_ZEROS[:more]), sizes, (abs(step), *_ONES[:more]))
    part = record(SLICE, (node,), params, sizes, node.dtype)
    return part if step > 0 else FLIP(part, (0,))


_ZEROS = (0,) * 64
_ONES = (1,) * 64


# ---------------------------------------------------------------------- selections at work


def _read(node: Node, selection: Selection) -> Node:
    if selection.outside is not None:
        raise out_of_range(*selection.outside)
    if not selection.indices:
        return _view(node, selection, selection.shape)
    part = _view(node, selection)
    params = (selection.axes, selection.position, True)
    out = record(GATHER, (part, *selection.indices), params, selection.gathered, node.dtype)
    return reshape(out, selection.shape)


def _view(node: Node, selection: Selection, shape: Shape | None = None) -> Node:
    """The slice that index arrays index, or reshaped to `shape`."""
    if not same_shape(selection.sizes, node.shape):
        params = (selection.starts, selection.sizes, selection.strides)
        node = record(SLICE, (node,), params, selection.sizes, node.dtype)
    if selection.flipped:
        node = FLIP(node, selection.flipped)
    return reshape(node, selection.view if shape is None else shape)


def _write_back(node: Node, selection: Selection, part: Node) -> Node:
    """`node` with the slice that `_view` reads replaced."""
    part = reshape(part, selection.sizes)
    if selection.flipped:
        part = FLIP(part, selection.flipped)
    if same_shape(selection.sizes, node.shape):
        return part
    params = (selection.starts, selection.sizes, selection.strides)
    return record(SLICE_UPDATE, (node, part), params, node.shape, node.dtype)


def _write_masked(node: Node, mask: Node, update: Node) -> Node:
    shape = node.shape
    if mask.shape != shape[: mask.ndim]:
        raise ValueError(
            f"[index] A boolean mask must have the shape of the array's first axes, got {mask.shape} for {shape}."
        )
    rest = shape[mask.ndim :]
    if update.ndim <= len(rest):
        picked = _fitted(update, rest)
    elif update.ndim == len(rest) + 1:
        count = update.shape[0]
        _check_enough(mask, count)
        ordinals = CUMSUM(cast(reshape(mask, (mask.size,)), int32), 0, False) - 1
        rows = _fitted(update, (count, *rest))
        picked = reshape(GATHER([rows, ordinals], (0,), 0, True), shape)
    else:
        raise ValueError(
            f"[index] Values for a boolean mask must have shape (count, *{rest}) or broadcast to {rest}, "
            f"got {update.shape}."
        )
    return SELECT(reshape(mask, (*mask.shape, *(1,) * len(rest))), picked, node)


def _check_enough(mask: Node, count: int) -> None:
    known = None if mask.value is None else mask.value.host
    if known is not None and np.count_nonzero(known) > count:
        raise RuntimeError(f"[index] The boolean mask has {np.count_nonzero(known)} places for {count} values.")


# ---------------------------------------------------------------------- values


def _value_node(value: Any, x: Node) -> Node:
    """What is to be written into `x`, in its dtype."""
    dtype = x.dtype
    node = getattr(value, "_node", None)
    if type(node) is Node:
        return cast(node, dtype)
    if isinstance(value, bool | int | float | complex):
        if dtype is bool_:
            return scalar_node(bool(value), dtype)
        if isinstance(value, int) or dtype.is_complex or (dtype.is_floating and isinstance(value, float)):
            return number_node(value, dtype, "index")
        return cast(scalar_node(value, default_dtype_of(value)), dtype)
    if value is None:
        raise TypeError("[index] A value to write must be a number or an array, got None.")
    if isinstance(value, list | tuple):
        raise ValueError(f"[index] Invalid type {type(value).__name__} for a value to write; use mx.array(value).")
    return cast(conversion.node_from(value, None), dtype)


def _fitted(update: Node, shape: Shape) -> Node:
    """`update` broadcast to `shape`; leading axes of extent 1 beyond it are taken away."""
    excess = update.ndim - len(shape)
    if excess > 0 and update.shape[:excess] == (1,) * excess:
        update = reshape(update, update.shape[excess:])
    if update.shape == shape:
        return update
    try:
        fits = broadcast_shape(update.shape, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"[index] Cannot broadcast a value of shape {update.shape} into shape {shape}.")
    return broadcast(update, shape)

"""What the public functions share for checking their arguments: arrays, integers, axes, shapes, dtypes and streams.

An axis out of range is NumPy's AxisError, which callers catch as an IndexError or as a ValueError.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.exceptions import AxisError

from mlx.ir.dtypes import Dtype, float32
from mlx.ir.node import Node, hooks
from mlx.ir.sizes import index, open_sizes
from mlx.primitives.structure import cast

# A Device, a Stream, or None. One device runs everything here, so the argument is checked and has no other effect.
StreamOrDevice: TypeAlias = Any
Axes: TypeAlias = int | Sequence[int] | None


def checked_axis(axis: int, ndim: int, function: str, argument: str = "axis") -> int:
    """The non-negative form of `axis`; AxisError out of range, TypeError for anything but an int."""
    axis = one_integer(axis, function, argument)
    if not -ndim <= axis < ndim:
        raise AxisError(f"[{function}] Invalid axis {axis} for array with {ndim} dimensions.")
    return axis + ndim if axis < 0 else axis


def checked_axes(axis: Axes, ndim: int, function: str) -> tuple[int, ...]:
    """Sorted non-negative axes, all of them for None; AxisError out of range, ValueError repeated."""
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int or not (isinstance(axis, Sequence) or getattr(axis, "ndim", 0) == 1):
        return (checked_axis(axis, ndim, function),)
    return tuple(sorted(axes_in_order(axis, ndim, function)))


def axes_in_order(axis: int | Sequence[int], ndim: int, function: str) -> tuple[int, ...]:
    """Non-negative axes in the order given; AxisError out of range, ValueError repeated."""
    axes = tuple([checked_axis(one, ndim, function) for one in one_or_more_integers(axis, function, "axis")])
    if len(set(axes)) != len(axes):
        raise ValueError(f"[{function}] Received duplicate axes {axis}.")
    return axes


def array_node(a: Any, function: str, argument: str = "a") -> Node:
    """The node of an array; TypeError for anything else."""
    node = getattr(a, "_node", None)
    if type(node) is Node:
        return node
    raise TypeError(
        f"[{function}] {argument} must be an mx.array, got {type(a).__name__}; convert it with mx.array first."
    )


def array_nodes(arrays: Any, function: str) -> list[Node]:
    """The nodes of a sequence of arrays (an array is one of its subarrays); TypeError for anything else."""
    try:
        members = list(arrays)
    except TypeError:
        raise TypeError(f"[{function}] arrays must be a list of arrays, got {type(arrays).__name__}.") from None
    return [array_node(a, function, f"arrays[{i}]") for i, a in enumerate(members)]


def integers(values: Sequence[int], function: str, argument: str) -> tuple[int, ...]:
    """A sequence of integers as Python ints; TypeError for anything else."""
    try:
        return tuple(map(index if open_sizes else operator.index, values))
    except TypeError:
        raise TypeError(f"[{function}] {argument} must be a sequence of ints, got {values!r}.") from None


def one_or_more_integers(values: int | Sequence[int], function: str, argument: str) -> tuple[int, ...]:
    """An integer or a sequence of them as a tuple of Python ints."""
    single = integer_or_none(values)
    return integers(values, function, argument) if single is None else (single,)  # type: ignore[arg-type]


def integer_or_none(value: Any) -> int | None:
    """The Python int of an integer, NumPy's and arrays of one included; None for anything else."""
    if isinstance(value, int):
        return int(value) if isinstance(value, bool) else value
    try:
        return operator.index(value)
    except TypeError:
        return None


def flag(value: bool, function: str, argument: str) -> bool:
    """A bool; TypeError for anything else, such as a second axis in the place of `keepdims`."""
    if value is True or value is False:
        return value
    if isinstance(value, np.bool_):
        return bool(value)
    raise TypeError(f"[{function}] {argument} must be True or False, got {value!r}.")


def word(value: str, function: str, argument: str) -> str:
    """A string; TypeError for anything else."""
    if isinstance(value, str):
        return value
    raise TypeError(f"[{function}] {argument} must be a string, got {value!r}.")


def one_integer(value: int, function: str, argument: str) -> int:
    """An integer as a Python int; TypeError for anything else."""
    try:
        return index(value) if open_sizes else operator.index(value)
    except TypeError:
        raise TypeError(f"[{function}] {argument} must be an int, got {value!r}.") from None


def real_number(value: float, function: str, argument: str) -> float:
    """A real number, arrays of one element included; TypeError for anything else."""
    if isinstance(value, int | float):
        return value
    if getattr(value, "size", 1) == 1 and not isinstance(value, str | bytes | bytearray | complex | np.complexfloating):
        try:
            return float(value)
        except TypeError:
            pass
    raise TypeError(f"[{function}] {argument} must be a real number, got {value!r}.")


LARGEST_EXTENT = 2**31 - 1


def checked_extent(extent: int, function: str) -> int:
    """An extent; OverflowError where it needs more than 32 bits."""
    if -LARGEST_EXTENT - 1 <= extent <= LARGEST_EXTENT:
        return extent
    raise OverflowError(f"[{function}] Shape dimension {extent} is outside the supported range of 32-bit integers.")


def checked_shape(shape: int | Sequence[int], function: str) -> tuple[int, ...]:
    """A shape; ValueError for a negative extent, OverflowError for one of more than 32 bits."""
    wanted = one_or_more_integers(shape, function, "shape")
    for extent in wanted:
        if not 0 <= extent <= LARGEST_EXTENT:
            checked_extent(extent, function)
            raise ValueError(f"[{function}] Negative dimensions not allowed, got shape {wanted}.")
    return wanted


def dtype_argument(dtype: Any, function: str) -> Dtype:
    """A dtype; TypeError for anything else."""
    if isinstance(dtype, Dtype):
        return dtype
    raise TypeError(f"[{function}] dtype must be a Dtype such as mx.float32, got {dtype!r}.")


def at_least_float(x: Node) -> Node:
    """`x`, cast to float32 where its dtype is boolean or an integer type."""
    return x if x.dtype.is_inexact else cast(x, float32)


def check_stream(stream: StreamOrDevice, function: str) -> None:
    """Raise for what is neither a device nor a stream, and for those that cannot be used here."""
    hooks.check_stream(stream, function)

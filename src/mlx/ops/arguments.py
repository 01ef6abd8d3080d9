"""What the public functions share for checking their arguments: axes, shapes and streams."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any, TypeAlias

from mlx.ir.dtypes import Dtype, float32
from mlx.ir.node import Node, Shape
from mlx.primitives.structure import cast

# A Device, a Stream, or None. One device runs everything here; the argument is taken for compatibility.
StreamOrDevice: TypeAlias = Any
Axes: TypeAlias = int | Sequence[int] | None


def checked_axis(axis: int, ndim: int, function: str) -> int:
    """The non-negative form of `axis`; IndexError out of range, TypeError for anything but an int."""
    try:
        axis = index(axis)
    except TypeError:
        raise TypeError(f"[{function}] axis must be an int, got {axis!r}.") from None
    if not -ndim <= axis < ndim:
        raise IndexError(f"[{function}] Invalid axis {axis} for array with {ndim} dimensions.")
    return axis + ndim if axis < 0 else axis


def checked_axes(axis: Axes, ndim: int, function: str) -> tuple[int, ...]:
    """Sorted non-negative axes, all of them for None; IndexError out of range, ValueError repeated."""
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is int or not isinstance(axis, Sequence):
        return (checked_axis(axis, ndim, function),)
    axes = sorted([checked_axis(one, ndim, function) for one in axis])
    if len(set(axes)) != len(axes):
        raise ValueError(f"[{function}] Duplicate axes in {tuple(axis)}.")
    return tuple(axes)


def checked_shape(shape: int | Sequence[int], function: str) -> Shape:
    """A shape as a tuple of Python ints; ValueError for a negative extent."""
    extents = (shape,) if isinstance(shape, int) else tuple(int(extent) for extent in shape)
    if any(extent < 0 for extent in extents):
        raise ValueError(f"[{function}] Negative dimensions not allowed, got shape {extents}.")
    return extents


def at_least_float(x: Node) -> Node:
    """`x`, cast to float32 where its dtype is boolean or an integer type."""
    return x if x.dtype.is_inexact else cast(x, float32)


def float_dtype(dtype: Dtype) -> Dtype:
    return dtype if dtype.is_inexact else float32

"""What a key of brackets selects: a slice of every axis, new axes, and index arrays. Nothing is recorded here."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlx.arrays import conversion
from mlx.ir.dtypes import bool_
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import broadcast_shape
from mlx.ir.sizes import Size, index

_LIMIT = 2**31
_WHOLE = slice(None)


class IndexOutOfRange(IndexError, ValueError):
    """An integer index outside of its axis: Python's sequences raise IndexError, MLX raises ValueError."""


class Selection:
    """What a key selects.

    Every axis of x is sliced by `starts`, `sizes` and `strides`; those in `flipped` run backwards. Without the axes
    that an integer picks from, the slice has shape `view`. `indices` are index arrays into the `axes` of that; what
    they gather has shape `gathered`, with the axes of the indices after the first `position` others. With new axes the
    result has shape `shape`. `outside` tells the index, axis and extent of an integer that is out of range.
    """

    __slots__ = (
        "axes",
        "flipped",
        "gathered",
        "indices",
        "outside",
        "position",
        "shape",
        "sizes",
        "starts",
        "strides",
        "view",
    )

    starts: tuple[int, ...]
    sizes: Shape
    strides: tuple[int, ...]
    flipped: tuple[int, ...]
    view: Shape
    indices: list[Node]
    axes: tuple[int, ...]
    position: int
    gathered: Shape
    shape: Shape
    outside: tuple[int, int, int] | None


def selection_of(shape: Shape, key: Any) -> Selection:
    """The selection that a key makes of an array of `shape`."""
    entries = _complete(key if type(key) is tuple else (key,), len(shape))
    starts: list[int] = []
    sizes: list[int] = []
    strides: list[int] = []
    flipped: list[int] = []
    view: list[int] = []  # without the axes that integers pick from
    indices: list[Node] = []
    axes: list[int] = []
    sliced: list[int] = []  # extents of the result but for the indices' own
    fresh: list[bool] = []  # which of them are new axes
    picked: list[tuple[int, int]] = []  # the integers and index arrays: place in the key, place in the result
    outside = None
    for place, entry in enumerate(entries):
        if entry is None:
            sliced.append(1)
            fresh.append(True)
            continue
        axis = len(starts)
        extent = shape[axis]
        if type(entry) is slice:
            start, size, step = steps(entry, extent)
            if step < 0:
                flipped.append(axis)
            view.append(size)
            sliced.append(size)
            fresh.append(False)
        else:
            picked.append((place, len(sliced)))
            start, size, step = 0, extent, 1
            if isinstance(entry, Node):
                indices.append(entry)
                axes.append(len(view))
                view.append(extent)
            else:
                start, size = entry + extent if entry < 0 else entry, 1
                if not 0 <= start < extent:
                    outside = outside or (entry, axis, extent)
                    start = 0
        starts.append(start)
        sizes.append(size)
        strides.append(abs(step))
    selection = Selection()
    selection.starts = tuple(starts)
    selection.sizes = tuple(sizes)
    selection.strides = tuple(strides)
    selection.flipped = tuple(flipped)
    selection.view = tuple(view)
    selection.indices = indices
    selection.axes = tuple(axes)
    selection.outside = outside
    selection.position = 0
    selection.shape = selection.gathered = tuple(sliced)
    if indices:
        index_shape: Shape = ()
        for node in indices:
            index_shape = broadcast_shape(index_shape, node.shape)
        # Index arrays that stand side by side are replaced by their axes, others come first; integers count as arrays.
        together = picked[-1][0] - picked[0][0] == len(picked) - 1
        insert = picked[0][1] if together else 0
        selection.position = fresh[:insert].count(False)
        selection.shape = (*sliced[:insert], *index_shape, *sliced[insert:])
        rest = [extent for extent, new in zip(sliced, fresh, strict=True) if not new]
        selection.gathered = (*rest[: selection.position], *index_shape, *rest[selection.position :])
    return selection


def _complete(key: tuple[Any, ...], ndim: int) -> list[Any]:
    """The entries of a key with slices for what it leaves out, integers as Python ints and index arrays as nodes."""
    entries: list[Any] = []
    place = None
    missing = ndim
    for entry in key:
        if entry is Ellipsis:
            if place is not None:
                raise ValueError("[index] An index can only have a single ellipsis (...).")
            place = len(entries)
            continue
        if entry is not None:
            missing -= 1
            kind = type(entry)
            if kind is not slice and kind is not int:
                entry = index_of(entry)
        entries.append(entry)
    if missing < 0:
        raise ValueError(f"[index] Too many indices for array with {ndim} dimensions.")
    if missing:
        place = len(entries) if place is None else place
        entries[place:place] = [_WHOLE] * missing
    return entries


def index_of(entry: Any) -> int | Node:
    """An integer, or the node of an index array."""
    node = getattr(entry, "_node", None)
    if type(node) is not Node:
        if isinstance(entry, Node):
            node = entry
        elif isinstance(entry, bool | np.bool_):
            raise _no_booleans()
        elif isinstance(entry, list) or (isinstance(entry, np.ndarray) and entry.ndim):
            node = conversion.node_from(entry, None)
        else:
            try:
                return index(entry)
            except TypeError:
                raise ValueError(
                    f"[index] Cannot index an array with {type(entry).__name__}; use integers, slices, ..., None "
                    f"or integer arrays."
                ) from None
    if node.dtype is bool_:
        raise _no_booleans()
    if not node.dtype.is_integer:
        raise ValueError(f"[index] Index arrays must be integral, got {node.dtype.name}; cast with astype(mx.int32).")
    return node


def _no_booleans() -> ValueError:
    return ValueError(
        "[index] Boolean indices are not supported here, since the shape of the result would depend on values. "
        "Select with mx.where(mask, x, other); only x[mask] = value takes a mask."
    )


def steps(key: slice, extent: int) -> tuple[int, int, int]:
    """The lowest element of a slice, how many there are, and the step, which is negative if it runs backwards."""
    start, stop, step = key.start, key.stop, key.step
    if start is None and stop is None and step is None:
        return 0, extent, 1
    try:
        for bound in (start, stop, step):
            if bound is not None and not -_LIMIT <= index(bound) < _LIMIT:
                raise ValueError("[index] Slice indices must be 32-bit integers.")
        if step is not None and index(step) == 0:
            raise ValueError(f"[index] The step of a slice must not be 0, got {key}.")
        start, stop, step = _bounds(key, extent) if type(extent) is Size else key.indices(extent)
    except TypeError:
        raise ValueError(f"[index] Slice indices must be integers or None, got {key}.") from None
    if step == 1:
        return start, max(stop - start, 0), 1
    if step > 0:
        return start, max((stop - start + step - 1) // step, 0), step
    size = max((start - stop - step - 1) // -step, 0)
    return start + (size - 1) * step if size else 0, size, step


def _bounds(key: slice, extent: int) -> tuple[int, int, int]:
    """`key.indices(extent)` by arithmetic, which follows an extent that is a size."""
    step = 1 if key.step is None else index(key.step)
    last = extent if step > 0 else extent - 1
    lowest = 0 if step > 0 else -1
    first, end = (lowest, last) if step > 0 else (last, lowest)
    if key.start is not None:
        first = _clamped(index(key.start), extent, lowest, last)
    if key.stop is not None:
        end = _clamped(index(key.stop), extent, lowest, last)
    return first, end, step


def _clamped(bound: int, extent: int, lowest: int, last: int) -> int:
    if bound < 0:
        bound = bound + extent
        return bound if bound >= lowest else lowest
    return bound if bound <= last else last


def out_of_range(i: int, axis: int, extent: int) -> IndexOutOfRange:
    return IndexOutOfRange(f"[index] Index {i} is out of range for axis {axis} with size {extent}.")

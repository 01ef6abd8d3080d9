"""Joining, splitting, repeating and moving elements: concatenate, stack, split, repeat, tile, roll, flip.

Padding has a file of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import promote_types
from mlx.ir.node import Node
from mlx.ir.sizes import fixed
from mlx.ops.arguments import (
    StreamOrDevice,
    array_node,
    array_nodes,
    check_stream,
    checked_axis,
    checked_extent,
    integer_or_none,
    integers,
    one_integer,
    one_or_more_integers,
)
from mlx.primitives.joining import CONCATENATE, ROLL
from mlx.primitives.shape import BROADCAST, reshape
from mlx.primitives.slicing import FLIP, slice_axis
from mlx.primitives.structure import cast

__all__ = [
    "concat",
    "concatenate",
    "flip",
    "repeat",
    "roll",
    "split",
    "stack",
    "tile",
    "unstack",
]


def _promoted(nodes: list[Node]) -> list[Node]:
    """The nodes, cast to the dtype that all of them promote to."""
    dtype = nodes[0].dtype
    for node in nodes:
        if node.dtype is not dtype:
            dtype = promote_types(dtype, node.dtype)
    return [cast(node, dtype) for node in nodes]


def concatenate(arrays: Sequence[array], axis: int | None = 0, *, stream: StreamOrDevice = None) -> array:
    """Join arrays along an axis that they have.

    Args:
        arrays: arrays whose shapes differ at most along `axis`; they are promoted to one dtype.
        axis: the axis; None flattens the arrays first.

    Returns:
        The joined array.

    Raises:
        ValueError: there are no arrays, or their shapes do not fit.
        IndexError: the axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.concatenate([mx.array([1, 2]), mx.array([3])])
        array([1, 2, 3], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "concatenate")
    nodes = array_nodes(arrays, "concatenate")
    if not nodes:
        raise ValueError("[concatenate] No arrays provided for concatenation.")
    if axis is None:
        nodes = [reshape(node, (node.size,)) for node in nodes]
        axis = 0
    if len(nodes) == 1:
        return wrap(nodes[0])
    shape = nodes[0].shape
    axis = checked_axis(axis, len(shape), "concatenate")
    rest = shape[:axis] + shape[axis + 1 :]
    total = 0
    for node in nodes:
        other = node.shape
        if len(other) != len(shape) or other[:axis] + other[axis + 1 :] != rest:
            raise ValueError(
                f"[concatenate] All the input array dimensions must match exactly except for the concatenation "
                f"axis {axis}, got the shapes {', '.join(str(node.shape) for node in nodes)}."
            )
        total += other[axis]
    checked_extent(total, "concatenate")
    return wrap(CONCATENATE(_promoted(nodes), axis))


def concat(arrays: Sequence[array], axis: int | None = 0, *, stream: StreamOrDevice = None) -> array:
    """Join arrays along an axis that they have: the array API's name of `concatenate`.

    Args:
        arrays: arrays whose shapes differ at most along `axis`; they are promoted to one dtype.
        axis: the axis; None flattens the arrays first.

    Returns:
        The joined array.

    Example:
        >>> import mlx.core as mx
        >>> mx.concat([mx.array([1, 2]), mx.array([3])])
        array([1, 2, 3], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "concat")
    return concatenate(arrays, axis)


def stack(arrays: Sequence[array], axis: int | None = 0, *, stream: StreamOrDevice = None) -> array:
    """Join arrays of one shape along a new axis.

    Args:
        arrays: arrays of one shape; they are promoted to one dtype.
        axis: where the new axis is in the result; None means 0.

    Returns:
        The stacked array.

    Raises:
        ValueError: there are no arrays, or their shapes differ.
        IndexError: the axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.stack([mx.array([1, 2]), mx.array([3, 4])], axis=1)
        array([[1, 3],
               [2, 4]], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "stack")
    nodes = array_nodes(arrays, "stack")
    if not nodes:
        raise ValueError("[stack] No arrays provided for stacking.")
    shape = nodes[0].shape
    if any(node.shape != shape for node in nodes):
        shapes = ", ".join(str(node.shape) for node in nodes)
        raise ValueError(f"[stack] All arrays must have the same shape, got {shapes}.")
    axis = checked_axis(0 if axis is None else axis, len(shape) + 1, "stack")
    raised = (*shape[:axis], 1, *shape[axis:])
    nodes = [reshape(node, raised) for node in _promoted(nodes)]
    return wrap(nodes[0] if len(nodes) == 1 else CONCATENATE(nodes, axis))


def split(
    a: array, /, indices_or_sections: int | Sequence[int], axis: int = 0, *, stream: StreamOrDevice = None
) -> list[array]:
    """Split an array into parts along an axis.

    Args:
        a: array of any dtype with at least one axis.
        indices_or_sections: the number of equal parts; or the indices at which the second, third and further parts
            begin, negative ones counted from the end. Part i ends where part i + 1 begins, and is empty where that
            is before its own beginning.
        axis: the axis.

    Returns:
        The parts.

    Raises:
        ValueError: the axis cannot be split into that many equal parts.
        IndexError: the axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.split(mx.array([1, 2, 3]), [1])
        [array([1], dtype=int32), array([2, 3], dtype=int32)]
    """
    if stream is not None:
        check_stream(stream, "split")
    x = array_node(a, "split")
    axis = checked_axis(axis, x.ndim, "split")
    extent = x.shape[axis]
    sections = integer_or_none(indices_or_sections)
    if sections is not None:
        if sections <= 0:
            raise ValueError(f"[split] The number of parts must be positive, got {sections}.")
        if extent % sections:
            raise ValueError(
                f"[split] Array split does not result in sub arrays with equal size: attempting {sections} splits "
                f"along axis {axis} for shape {x.shape}."
            )
        size = extent // sections
        return [wrap(slice_axis(x, axis, part * size, size)) for part in range(sections)]
    indices = integers(indices_or_sections, "split", "indices_or_sections")  # type: ignore[arg-type]
    bounds = [0, *(max(index + extent, 0) if index < 0 else min(index, extent) for index in indices), extent]
    return [wrap(slice_axis(x, axis, start, max(stop - start, 0))) for start, stop in pairwise(bounds)]


def unstack(x: array, /, *, axis: int = 0, stream: StreamOrDevice = None) -> tuple[array, ...]:
    """The subarrays along an axis: what `stack` joined.

    Args:
        x: array of any dtype with at least one axis.
        axis: the axis.

    Returns:
        As many arrays as the axis is long, without that axis.

    Raises:
        IndexError: the axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.unstack(mx.array([[1, 2], [3, 4]]))
        (array([1, 2], dtype=int32), array([3, 4], dtype=int32))
    """
    if stream is not None:
        check_stream(stream, "unstack")
    node = array_node(x, "unstack", "x")
    axis = checked_axis(axis, node.ndim, "unstack")
    rest = node.shape[:axis] + node.shape[axis + 1 :]
    return tuple(wrap(reshape(slice_axis(node, axis, i, 1), rest)) for i in range(fixed(node.shape[axis])))


def repeat(array: array, repeats: int, axis: int | None = None, *, stream: StreamOrDevice = None) -> array:
    """Repeat each element.

    Args:
        array: array of any shape and dtype.
        repeats: how often each element occurs in the result.
        axis: the axis along which elements are repeated; None flattens the array first.

    Returns:
        The array with that axis `repeats` times as long.

    Raises:
        ValueError: `repeats` is negative.
        IndexError: the axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.repeat(mx.array([1, 2]), 2)
        array([1, 1, 2, 2], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "repeat")
    x = array_node(array, "repeat", "array")
    repeats = one_integer(repeats, "repeat", "repeats")
    if axis is None:
        x = reshape(x, (x.size,))
        axis = 0
    axis = checked_axis(axis, x.ndim, "repeat")
    if repeats < 0:
        raise ValueError(f"[repeat] Number of repeats cannot be negative, got {repeats}.")
    front, extent, back = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    checked_extent(extent * repeats, "repeat")
    if repeats == 1:
        return wrap(x)
    each = reshape(x, (*front, extent, 1, *back))
    return wrap(reshape(BROADCAST(each, (*front, extent, repeats, *back)), (*front, extent * repeats, *back)))


def tile(a: array, reps: int | Sequence[int], /, *, stream: StreamOrDevice = None) -> array:
    """Repeat a whole array side by side.

    Args:
        a: array of any shape and dtype.
        reps: how often it is repeated along each of the last axes. More numbers than axes add axes in front.

    Returns:
        The tiled array.

    Raises:
        ValueError: a number of repetitions is negative.

    Example:
        >>> import mlx.core as mx
        >>> mx.tile(mx.array([1, 2]), (2, 2))
        array([[1, 2, 1, 2],
               [1, 2, 1, 2]], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "tile")
    x = array_node(a, "tile")
    counts = one_or_more_integers(reps, "tile", "reps")
    if any(count < 0 for count in counts):
        raise ValueError(f"[tile] Numbers of repetitions cannot be negative, got {counts}.")
    ndim = max(x.ndim, len(counts))
    shape = (*(1,) * (ndim - x.ndim), *x.shape)
    counts = (*(1,) * (ndim - len(counts)), *counts)
    tiled = tuple(checked_extent(count * extent, "tile") for count, extent in zip(counts, shape, strict=True))
    if all(count == 1 for count in counts):
        return wrap(reshape(x, shape))
    apart = [extent for extent in shape for extent in (1, extent)]
    repeated = [number for pair in zip(counts, shape, strict=True) for number in pair]
    return wrap(reshape(BROADCAST(reshape(x, tuple(apart)), tuple(repeated)), tiled))


def roll(
    a: array,
    shift: int | Sequence[int],
    axis: int | Sequence[int] | None = None,
    *,
    stream: StreamOrDevice = None,
) -> array:
    """Shift elements cyclically: those that leave at the end come back at the beginning.

    Args:
        a: array of any shape and dtype.
        shift: by how many places, to higher indices where positive. Several numbers belong to the axes one by one;
            for one axis or none they add up.
        axis: the axis or axes; None shifts the flattened array and gives it back in its shape.

    Returns:
        The shifted array.

    Raises:
        ValueError: there are fewer shifts than axes.
        IndexError: an axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.roll(mx.array([1, 2, 3]), 1)
        array([3, 1, 2], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "roll")
    x = array_node(a, "roll")
    shifts = one_or_more_integers(shift, "roll", "shift")
    if axis is None:
        flat = reshape(x, (x.size,))
        return wrap(reshape(_rolled(flat, (sum(shifts),), (0,)), x.shape))
    single = integer_or_none(axis)
    if single is not None:
        return wrap(_rolled(x, (sum(shifts),), (checked_axis(single, x.ndim, "roll"),)))
    axes = tuple(checked_axis(one, x.ndim, "roll") for one in one_or_more_integers(axis, "roll", "axis"))
    if integer_or_none(shift) is not None:
        shifts *= len(axes)
    if len(shifts) < len(axes):
        raise ValueError(
            f"[roll] At least one shift value per axis is required, {len(shifts)} provided for {len(axes)} axes."
        )
    return wrap(_rolled(x, shifts[: len(axes)], axes) if axes else x)


def _rolled(x: Node, shifts: tuple[int, ...], axes: tuple[int, ...]) -> Node:
    extents = [x.shape[axis] for axis in axes]
    within = tuple(shift % extent if extent else 0 for shift, extent in zip(shifts, extents, strict=True))
    return ROLL(x, within, axes)


def flip(a: array, /, axis: int | Sequence[int] | None = None, *, stream: StreamOrDevice = None) -> array:
    """Reverse the order of elements along axes.

    Args:
        a: array of any shape and dtype.
        axis: the axis or axes; all by default.

    Returns:
        The reversed array.

    Raises:
        IndexError: an axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.flip(mx.array([1, 2, 3]))
        array([3, 2, 1], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "flip")
    x = array_node(a, "flip")
    if axis is None:
        axes = tuple(range(x.ndim))
    else:
        within = (checked_axis(one, x.ndim, "flip") for one in one_or_more_integers(axis, "flip", "axis"))
        axes = tuple(sorted(set(within)))
    return wrap(FLIP(x, axes) if axes else x)

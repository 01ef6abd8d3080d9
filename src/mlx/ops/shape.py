"""Shapes: reshaping, axes in another order, added or taken away, broadcasting."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from mlx.arrays.array import array, wrap
from mlx.arrays.operands import node_of
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import broadcast_shape
from mlx.ir.sizes import Size, require_equal
from mlx.ops.arguments import (
    StreamOrDevice,
    array_node,
    axes_in_order,
    check_stream,
    checked_axis,
    checked_extent,
    checked_shape,
    integers,
    one_integer,
    one_or_more_integers,
)
from mlx.primitives import shape as primitives

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "broadcast_arrays",
    "broadcast_shapes",
    "broadcast_to",
    "expand_dims",
    "flatten",
    "matrix_transpose",
    "moveaxis",
    "permute_dims",
    "reshape",
    "squeeze",
    "swapaxes",
    "transpose",
    "unflatten",
]


def _complete(shape: Shape, size: int, function: str) -> Shape:
    """`shape` for `size` elements, a -1 in it replaced by the extent that follows from the others."""
    if -1 in shape:
        known = -prod(shape)
        if shape.count(-1) > 1:
            raise ValueError(f"[{function}] Can only infer one dimension, got shape {shape}.")
        if known == 0:
            raise ValueError(f"[{function}] Cannot infer the dimension -1 of an empty array in shape {shape}.")
        if known > 0 and size % known == 0:
            return tuple(size // known if extent == -1 else extent for extent in shape)
    if prod(shape) != size or (shape and min(shape) < 0):
        for extent in shape:
            checked_extent(extent, function)
        raise ValueError(f"[{function}] Cannot reshape array of size {size} into shape {shape}.")
    if size == 0:  # only without elements can an extent be out of range
        for extent in shape:
            checked_extent(extent, function)
    return shape


def _complete_for_any(shape: Shape, size: Size) -> Shape:
    """The same in a shapeless trace, of which the numbers in `shape` are constants: what does not fit is an error."""
    _complete(shape, size.plain(), "reshape")
    complaint = (
        f"[reshape] The array does not fit into shape {shape}, whose numbers became constants when the function was "
        f"traced. Let one be inferred by -1, use mx.flatten and mx.unflatten, or compile without shapeless."
    )
    known = prod(extent for extent in shape if extent != -1)
    if -1 not in shape:
        require_equal(size, known, complaint)
        return shape
    require_equal(size % known, 0, complaint)
    return tuple(size // known if extent == -1 else extent for extent in shape)


def reshape(a: array, /, shape: Sequence[int], *, stream: StreamOrDevice = None) -> array:
    """The same elements, in row-major order, in another shape.

    Args:
        a: array of any shape and dtype.
        shape: the new extents. One of them may be -1: it follows from the others.

    Returns:
        An array of that shape.

    Raises:
        ValueError: the shape does not hold as many elements as `a`.

    Example:
        >>> import mlx.core as mx
        >>> mx.reshape(mx.array([1, 2, 3, 4]), (2, -1))
        array([[1, 2],
               [3, 4]], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "reshape")
    x = array_node(a, "reshape")
    wanted, size = integers(shape, "reshape", "shape"), x.size
    wanted = _complete_for_any(wanted, size) if type(size) is Size else _complete(wanted, size, "reshape")
    return wrap(primitives.reshape(x, wanted))


def flatten(a: array, /, start_axis: int = 0, end_axis: int = -1, *, stream: StreamOrDevice = None) -> array:
    """Merge the axes from `start_axis` to `end_axis`, both included, into one.

    Args:
        a: array of any shape and dtype. One without axes becomes an array of one element.
        start_axis: the first axis, negative counted from the end; before the first axis means the first.
        end_axis: the last axis, likewise.

    Returns:
        The array with the merged axis.

    Raises:
        ValueError: `start_axis` comes after `end_axis`.

    Example:
        >>> import mlx.core as mx
        >>> mx.flatten(mx.array([[1, 2], [3, 4]]))
        array([1, 2, 3, 4], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "flatten")
    x = array_node(a, "flatten")
    start_axis, end_axis = (
        one_integer(start_axis, "flatten", "start_axis"),
        one_integer(end_axis, "flatten", "end_axis"),
    )
    if not x.shape:
        return wrap(primitives.reshape(x, (1,)))
    first = max(start_axis + x.ndim if start_axis < 0 else start_axis, 0)
    last = min(end_axis + x.ndim if end_axis < 0 else end_axis, x.ndim - 1)
    if first > last:
        raise ValueError(
            f"[flatten] start_axis must be less than or equal to end_axis, "
            f"got {start_axis} and {end_axis} for array with {x.ndim} dimensions."
        )
    merged = prod(x.shape[first : last + 1])
    return wrap(primitives.reshape(x, (*x.shape[:first], merged, *x.shape[last + 1 :])))


def unflatten(a: array, /, axis: int, shape: Sequence[int], *, stream: StreamOrDevice = None) -> array:
    """Split one axis into several.

    Args:
        a: array of any shape and dtype.
        axis: the axis to split.
        shape: the extents that it becomes. One of them may be -1.

    Returns:
        The array with `axis` replaced by the axes of `shape`.

    Raises:
        ValueError: `shape` is empty or does not hold the extent of the axis.

    Example:
        >>> import mlx.core as mx
        >>> mx.unflatten(mx.array([1, 2, 3, 4]), 0, (2, -1))
        array([[1, 2],
               [3, 4]], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "unflatten")
    x = array_node(a, "unflatten")
    parts = integers(shape, "unflatten", "shape")
    if not parts:
        raise ValueError("[unflatten] The shape to unflatten to cannot be empty.")
    axis = checked_axis(axis, x.ndim, "unflatten")
    parts = _complete(parts, x.shape[axis], "unflatten")
    return wrap(primitives.reshape(x, (*x.shape[:axis], *parts, *x.shape[axis + 1 :])))


def transpose(a: array, /, axes: Sequence[int] | None = None, *, stream: StreamOrDevice = None) -> array:
    """The axes in another order.

    Args:
        a: array of any shape and dtype.
        axes: axis i of the result is axis `axes[i]` of `a`. By default the order is reversed.

    Returns:
        The array with its axes permuted.

    Raises:
        ValueError: `axes` is no permutation of the axes of `a`.
        IndexError: an axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.transpose(mx.array([[1, 2, 3]]))
        array([[1],
               [2],
               [3]], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "transpose")
    x = array_node(a, "transpose")
    ndim = len(x.shape)
    if axes is None:
        order = tuple(range(ndim))[::-1]
    else:
        order = axes_in_order(integers(axes, "transpose", "axes"), ndim, "transpose")
        if len(order) != ndim:
            raise ValueError(f"[transpose] Received {len(order)} axes for array with {ndim} dimensions.")
    return wrap(primitives.transpose(x, order))


def permute_dims(a: array, /, axes: Sequence[int] | None = None, *, stream: StreamOrDevice = None) -> array:
    """The axes in another order: the array API's name of `transpose`.

    Args:
        a: array of any shape and dtype.
        axes: axis i of the result is axis `axes[i]` of `a`. By default the order is reversed.

    Returns:
        The array with its axes permuted.

    Example:
        >>> import mlx.core as mx
        >>> mx.permute_dims(mx.zeros((2, 3, 4)), (2, 0, 1)).shape
        (4, 2, 3)
    """
    if stream is not None:
        check_stream(stream, "permute_dims")
    return transpose(a, axes)


def matrix_transpose(a: array, /, *, stream: StreamOrDevice = None) -> array:
    """Exchange the last two axes.

    Args:
        a: array of shape (..., m, n) and any dtype.

    Returns:
        The transposed matrices, of shape (..., n, m).

    Raises:
        ValueError: `a` has fewer than two axes.

    Example:
        >>> import mlx.core as mx
        >>> mx.matrix_transpose(mx.zeros((5, 2, 3))).shape
        (5, 3, 2)
    """
    if stream is not None:
        check_stream(stream, "matrix_transpose")
    x = array_node(a, "matrix_transpose")
    if x.ndim < 2:
        raise ValueError(f"[matrix_transpose] Input array must have at least 2 dimensions, got shape {x.shape}.")
    return wrap(_exchange(x, x.ndim - 2, x.ndim - 1))


def _exchange(x: Node, first: int, second: int) -> Node:
    order = list(range(x.ndim))
    order[first], order[second] = second, first
    return primitives.transpose(x, tuple(order))


def swapaxes(a: array, /, axis1: int, axis2: int, *, stream: StreamOrDevice = None) -> array:
    """Exchange two axes.

    Args:
        a: array of any shape and dtype.
        axis1: one axis.
        axis2: the other.

    Returns:
        The array with the two axes exchanged.

    Raises:
        IndexError: an axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.swapaxes(mx.zeros((2, 3, 4)), 0, -1).shape
        (4, 3, 2)
    """
    if stream is not None:
        check_stream(stream, "swapaxes")
    x = array_node(a, "swapaxes")
    axis1, axis2 = one_integer(axis1, "swapaxes", "axis1"), one_integer(axis2, "swapaxes", "axis2")
    return wrap(_exchange(x, checked_axis(axis1, x.ndim, "swapaxes"), checked_axis(axis2, x.ndim, "swapaxes")))


def moveaxis(a: array, /, source: int, destination: int, *, stream: StreamOrDevice = None) -> array:
    """Move one axis to another place; the others keep their order.

    Args:
        a: array of any shape and dtype.
        source: the axis to move.
        destination: its place in the result.

    Returns:
        The array with the axis moved.

    Raises:
        IndexError: an axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.moveaxis(mx.zeros((2, 3, 4)), 0, -1).shape
        (3, 4, 2)
    """
    if stream is not None:
        check_stream(stream, "moveaxis")
    x = array_node(a, "moveaxis")
    source, to = one_integer(source, "moveaxis", "source"), one_integer(destination, "moveaxis", "destination")
    source = checked_axis(source, x.ndim, "moveaxis")
    return wrap(primitives.move_axis(x, source, checked_axis(to, x.ndim, "moveaxis")))


def expand_dims(a: array, /, axis: int | Sequence[int], *, stream: StreamOrDevice = None) -> array:
    """Add axes of extent 1.

    Args:
        a: array of any shape and dtype.
        axis: where the new axes are in the result, one or several.

    Returns:
        The array with the axes added.

    Raises:
        IndexError: an axis is out of range.
        ValueError: an axis is repeated.

    Example:
        >>> import mlx.core as mx
        >>> mx.expand_dims(mx.zeros((2, 3)), (0, -1)).shape
        (1, 2, 3, 1)
    """
    if stream is not None:
        check_stream(stream, "expand_dims")
    x = array_node(a, "expand_dims")
    given = one_or_more_integers(axis, "expand_dims", "axis")
    axes = axes_in_order(given, x.ndim + len(given), "expand_dims")
    shape = list(x.shape)
    for one in sorted(axes):
        shape.insert(one, 1)
    return wrap(primitives.reshape(x, tuple(shape)))


def squeeze(a: array, /, axis: int | Sequence[int] | None = None, *, stream: StreamOrDevice = None) -> array:
    """Take away axes of extent 1.

    Args:
        a: array of any shape and dtype.
        axis: the axes to take away, one or several; by default all of extent 1.

    Returns:
        The array without these axes.

    Raises:
        IndexError: an axis is out of range.
        ValueError: an axis is repeated or has another extent than 1.

    Example:
        >>> import mlx.core as mx
        >>> mx.squeeze(mx.zeros((1, 2, 1)), -1).shape
        (1, 2)
    """
    if stream is not None:
        check_stream(stream, "squeeze")
    x = array_node(a, "squeeze")
    if axis is None:
        return wrap(primitives.reshape(x, tuple(extent for extent in x.shape if extent != 1)))
    axes = axes_in_order(axis, x.ndim, "squeeze")
    for one in axes:
        if x.shape[one] != 1:
            raise ValueError(f"[squeeze] Cannot squeeze axis {one} with size {x.shape[one]} which is not equal to 1.")
    return wrap(primitives.reshape(x, primitives.reduced_shape(x.shape, axes, False)))


def broadcast_to(a: Any, /, shape: Sequence[int], *, stream: StreamOrDevice = None) -> array:
    """Repeat an array along new axes and axes of extent 1, as NumPy does.

    Args:
        a: array or Python number.
        shape: the extents of the result; the last ones equal those of `a` where these are not 1.

    Returns:
        An array of shape `shape` and the dtype of `a`.

    Raises:
        ValueError: the shapes do not fit.

    Example:
        >>> import mlx.core as mx
        >>> mx.broadcast_to(mx.array([1, 2]), (2, 2))
        array([[1, 2],
               [1, 2]], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "broadcast_to")
    x = node_of(a, "broadcast_to")
    wanted = checked_shape(integers(shape, "broadcast_to", "shape"), "broadcast_to")
    if x.shape != wanted and broadcast_shape(x.shape, wanted) != wanted:
        raise ValueError(f"[broadcast_to] Cannot broadcast array of shape {x.shape} into shape {wanted}.")
    return wrap(primitives.broadcast(x, wanted))


def broadcast_shapes(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape that several shapes broadcast to.

    Args:
        shapes: sequences of extents, at least one.

    Returns:
        The common shape.

    Raises:
        ValueError: the shapes do not fit, or there are none.

    Example:
        >>> import mlx.core as mx
        >>> mx.broadcast_shapes((2, 1), (3,))
        (2, 3)
    """
    if not shapes:
        raise ValueError("[broadcast_shapes] Must provide at least one shape.")
    common: Shape = ()
    for shape in shapes:
        common = broadcast_shape(common, integers(shape, "broadcast_shapes", "shapes"))
    return common


def broadcast_arrays(*arrays: array, stream: StreamOrDevice = None) -> list[array]:
    """Broadcast arrays to their common shape.

    Args:
        arrays: any number of arrays.

    Returns:
        The arrays in that shape, each with its own dtype.

    Raises:
        ValueError: the shapes do not fit.

    Example:
        >>> import mlx.core as mx
        >>> [x.shape for x in mx.broadcast_arrays(mx.zeros((2, 1)), mx.zeros((3,)))]
        [(2, 3), (2, 3)]
    """
    if stream is not None:
        check_stream(stream, "broadcast_arrays")
    nodes = [array_node(a, "broadcast_arrays", f"arrays[{i}]") for i, a in enumerate(arrays)]
    common: Shape = ()
    for node in nodes:
        common = broadcast_shape(common, node.shape)
    return [wrap(primitives.broadcast(node, common)) for node in nodes]


def _at_least(arrays: tuple[array, ...], function: str, shape_of: Any) -> Any:
    nodes = [array_node(a, function, f"arys[{i}]") for i, a in enumerate(arrays)]
    raised = [wrap(primitives.reshape(node, shape_of(node.shape))) for node in nodes]
    return raised[0] if len(raised) == 1 else raised


def atleast_1d(*arys: array, stream: StreamOrDevice = None) -> Any:
    """Arrays with at least one axis.

    Args:
        arys: arrays of any shape.

    Returns:
        The array, or a list where not exactly one was given; those without axes have one of extent 1.

    Example:
        >>> import mlx.core as mx
        >>> mx.atleast_1d(mx.array(3))
        array([3], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "atleast_1d")
    return _at_least(arys, "atleast_1d", lambda shape: shape or (1,))


def atleast_2d(*arys: array, stream: StreamOrDevice = None) -> Any:
    """Arrays with at least two axes: a vector becomes one row.

    Args:
        arys: arrays of any shape.

    Returns:
        The array, or a list where not exactly one was given; axes of extent 1 are added in front.

    Example:
        >>> import mlx.core as mx
        >>> mx.atleast_2d(mx.array([1, 2])).shape
        (1, 2)
    """
    if stream is not None:
        check_stream(stream, "atleast_2d")
    return _at_least(arys, "atleast_2d", lambda shape: (*(1,) * (2 - len(shape)), *shape))


def atleast_3d(*arys: array, stream: StreamOrDevice = None) -> Any:
    """Arrays with at least three axes: (n,) becomes (1, n, 1) and (m, n) becomes (m, n, 1).

    Args:
        arys: arrays of any shape.

    Returns:
        The array, or a list where not exactly one was given.

    Example:
        >>> import mlx.core as mx
        >>> mx.atleast_3d(mx.array([1, 2])).shape
        (1, 2, 1)
    """
    if stream is not None:
        check_stream(stream, "atleast_3d")
    return _at_least(arys, "atleast_3d", _three_axes)


def _three_axes(shape: Shape) -> Shape:
    if len(shape) == 2:
        return (*shape, 1)
    return shape if len(shape) > 2 else (1, *(shape or (1,)), 1)

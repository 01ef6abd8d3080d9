"""Arrays of one value, and grids of coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlx.arrays.array import array, wrap
from mlx.arrays.operands import is_number, node_of, number_node
from mlx.ir.dtypes import ALL_DTYPES, Dtype, default_dtype_of, dtype_with_scalar, float32
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import broadcast_shape, scalar_node
from mlx.ops.arguments import StreamOrDevice, array_node, check_stream, checked_shape, dtype_argument, flag, word
from mlx.primitives.shape import BROADCAST, broadcast, reshape
from mlx.primitives.structure import cast

__all__ = ["empty", "empty_like", "full", "full_like", "meshgrid", "ones", "ones_like", "zeros", "zeros_like"]

_ZEROS = {dtype: scalar_node(0, dtype) for dtype in ALL_DTYPES}
_ONES = {dtype: scalar_node(1, dtype) for dtype in ALL_DTYPES}


def _filled(scalars: dict[Dtype, Node], shape: Any, dtype: Any, function: str) -> array:
    scalar = scalars[float32 if dtype is None else dtype_argument(dtype, function)]
    return wrap(BROADCAST(scalar, checked_shape(shape, function)))


def zeros(shape: int | Sequence[int], dtype: Dtype | None = float32, *, stream: StreamOrDevice = None) -> array:
    """An array of zeros.

    Args:
        shape: the extents, or one for an array of one axis.
        dtype: the element type; None means float32.

    Returns:
        An array of that shape and dtype.

    Raises:
        ValueError: an extent is negative.

    Example:
        >>> import mlx.core as mx
        >>> mx.zeros((2, 2))
        array([[0, 0],
               [0, 0]], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "zeros")
    return _filled(_ZEROS, shape, dtype, "zeros")


def ones(shape: int | Sequence[int], dtype: Dtype | None = float32, *, stream: StreamOrDevice = None) -> array:
    """An array of ones.

    Args:
        shape: the extents, or one for an array of one axis.
        dtype: the element type; None means float32.

    Returns:
        An array of that shape and dtype.

    Raises:
        ValueError: an extent is negative.

    Example:
        >>> import mlx.core as mx
        >>> mx.ones(3, mx.int32)
        array([1, 1, 1], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "ones")
    return _filled(_ONES, shape, dtype, "ones")


def zeros_like(a: array, /, dtype: Dtype | None = None, *, stream: StreamOrDevice = None) -> array:
    """Zeros in the shape of another array.

    Args:
        a: the array whose shape is taken.
        dtype: the element type; by default that of `a`.

    Returns:
        An array of zeros.

    Example:
        >>> import mlx.core as mx
        >>> mx.zeros_like(mx.array([1, 2]))
        array([0, 0], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "zeros_like")
    x = array_node(a, "zeros_like")
    return _filled(_ZEROS, x.shape, x.dtype if dtype is None else dtype, "zeros_like")


def ones_like(a: array, /, dtype: Dtype | None = None, *, stream: StreamOrDevice = None) -> array:
    """Ones in the shape of another array.

    Args:
        a: the array whose shape is taken.
        dtype: the element type; by default that of `a`.

    Returns:
        An array of ones.

    Example:
        >>> import mlx.core as mx
        >>> mx.ones_like(mx.array([1.5, 2]))
        array([1, 1], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "ones_like")
    x = array_node(a, "ones_like")
    return _filled(_ONES, x.shape, x.dtype if dtype is None else dtype, "ones_like")


def empty(shape: int | Sequence[int], dtype: Dtype | None = float32, *, stream: StreamOrDevice = None) -> array:
    """An array whose values do not matter; they are zeros.

    Args:
        shape: the extents, or one for an array of one axis.
        dtype: the element type; None means float32.

    Returns:
        An array of that shape and dtype.

    Raises:
        ValueError: an extent is negative.

    Example:
        >>> import mlx.core as mx
        >>> mx.empty((2, 3)).shape
        (2, 3)
    """
    if stream is not None:
        check_stream(stream, "empty")
    return _filled(_ZEROS, shape, dtype, "empty")


def empty_like(a: array, /, dtype: Dtype | None = None, *, stream: StreamOrDevice = None) -> array:
    """An array in the shape of another one, whose values do not matter; they are zeros.

    Args:
        a: the array whose shape is taken.
        dtype: the element type; by default that of `a`.

    Returns:
        An array of that shape.

    Example:
        >>> import mlx.core as mx
        >>> mx.empty_like(mx.array([1, 2])).dtype
        mlx.core.int32
    """
    if stream is not None:
        check_stream(stream, "empty_like")
    x = array_node(a, "empty_like")
    return _filled(_ZEROS, x.shape, x.dtype if dtype is None else dtype, "empty_like")


def full(shape: int | Sequence[int], vals: Any, dtype: Dtype | None = None, *, stream: StreamOrDevice = None) -> array:
    """An array filled with a value.

    Args:
        shape: the extents, or one for an array of one axis.
        vals: a number, or an array that broadcasts to `shape`.
        dtype: the element type; by default that of `vals`.

    Returns:
        An array of that shape and dtype.

    Raises:
        ValueError: an extent is negative, `vals` does not broadcast to the shape, or is an integer that the dtype does
            not hold.

    Example:
        >>> import mlx.core as mx
        >>> mx.full((2, 2), 0.5)
        array([[0.5, 0.5],
               [0.5, 0.5]], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "full")
    return wrap(_full(checked_shape(shape, "full"), vals, dtype, "full"))


def full_like(a: array, vals: Any, dtype: Dtype | None = None, *, stream: StreamOrDevice = None) -> array:
    """An array in the shape of another one, filled with a value.

    Args:
        a: the array whose shape is taken.
        vals: a number, or an array that broadcasts to that shape.
        dtype: the element type; by default that of `a`.

    Returns:
        An array filled with `vals`.

    Raises:
        ValueError: `vals` does not broadcast to the shape, or is an integer that the dtype does not hold.

    Example:
        >>> import mlx.core as mx
        >>> mx.full_like(mx.array([1.5, 2.5]), 7)
        array([7, 7], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "full_like")
    x = array_node(a, "full_like")
    return wrap(_full(x.shape, vals, x.dtype if dtype is None else dtype, "full_like"))


def _full(shape: Shape, vals: Any, dtype: Dtype | None, function: str) -> Node:
    if dtype is not None:
        dtype_argument(dtype, function)
    if is_number(vals):
        # A number that is of no wider kind than the dtype is made in it, so that it stays one operand.
        own = default_dtype_of(vals) if dtype is None else dtype_with_scalar(dtype, vals)
        return BROADCAST(_as_given(number_node(vals, own, function), dtype), shape)
    value = _as_given(node_of(vals, function, "vals"), dtype)
    if value.shape != shape and broadcast_shape(value.shape, shape) != shape:
        raise ValueError(f"[{function}] Cannot broadcast vals of shape {value.shape} into shape {shape}.")
    return broadcast(value, shape)


def _as_given(x: Node, dtype: Dtype | None) -> Node:
    return x if dtype is None else cast(x, dtype)


def meshgrid(
    *arrays: array, sparse: bool | None = False, indexing: str | None = "xy", stream: StreamOrDevice = None
) -> tuple[array, ...]:
    """Grids of coordinates from the coordinates along each axis.

    Args:
        arrays: the coordinates; arrays of several axes are flattened.
        sparse: leave the grids with extent 1 along all axes but their own.
        indexing: "ij": the first array runs along the first axis; "xy": the first two axes are exchanged.

    Returns:
        As many arrays as were given, each with an axis for each.

    Raises:
        ValueError: another value of `indexing`.

    Example:
        >>> import mlx.core as mx
        >>> x, y = mx.meshgrid(mx.array([1, 2, 3]), mx.array([10, 20]))
        >>> x
        array([[1, 2, 3],
               [1, 2, 3]], dtype=int32)
        >>> y
        array([[10, 10, 10],
               [20, 20, 20]], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "meshgrid")
    indexing = "xy" if indexing is None else word(indexing, "meshgrid", "indexing")
    sparse = False if sparse is None else flag(sparse, "meshgrid", "sparse")
    if indexing not in ("xy", "ij"):
        raise ValueError(f"[meshgrid] Invalid indexing value {indexing!r}. Valid values are 'xy' and 'ij'.")
    nodes = [array_node(a, "meshgrid", f"arrays[{i}]") for i, a in enumerate(arrays)]
    axes = list(range(len(nodes)))
    if indexing == "xy" and len(nodes) > 1:
        axes[0], axes[1] = 1, 0
    shape = [0] * len(nodes)
    for node, axis in zip(nodes, axes, strict=True):
        shape[axis] = node.size
    grids = []
    for node, axis in zip(nodes, axes, strict=True):
        grid = reshape(node, (*(1,) * axis, node.size, *(1,) * (len(nodes) - axis - 1)))
        grids.append(wrap(grid if sparse else broadcast(grid, tuple(shape))))
    return tuple(grids)

"""The cross product of vectors (`mlx.core.linalg`)."""

from __future__ import annotations

from mlx.arrays.array import array, wrap
from mlx.arrays.operands import operand_pair
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import broadcast_shape
from mlx.ir.sizes import fixed
from mlx.ops.arguments import StreamOrDevice, array_node, check_stream, checked_axis
from mlx.primitives.joining import CONCATENATE
from mlx.primitives.slicing import slice_axis, zeros

__all__ = ["cross"]


def _components(x: Node, axis: int) -> list[Node]:
    return [slice_axis(x, axis, i, 1) for i in range(fixed(x.shape[axis]))]


def _minor(a: list[Node], b: list[Node], i: int, j: int) -> Node | None:
    """a_i b_j - a_j b_i, where components that are not there count as zero; None where all is."""
    plus = a[i] * b[j] if i < len(a) and j < len(b) else None
    minus = a[j] * b[i] if j < len(a) and i < len(b) else None
    if minus is None:
        return plus
    return 0 - minus if plus is None else plus - minus


def cross_product(x: Node, y: Node, x_axis: int, y_axis: int) -> Node:
    """The cross product of vectors of 2 or 3 components along an axis of each."""
    a, b = _components(x, x_axis), _components(y, y_axis)
    last = _minor(a, b, 0, 1)
    assert last is not None
    parts = [_minor(a, b, 1, 2), _minor(a, b, 2, 0), last]
    filled = [zeros(last.shape, last.dtype) if part is None else part for part in parts]
    return CONCATENATE(filled, x_axis if x.ndim >= y.ndim else y_axis)


def _with_extent(shape: Shape, axis: int, extent: int) -> Shape:
    return (*shape[:axis], extent, *shape[axis + 1 :])


def cross(a: array, b: array, axis: int = -1, *, stream: StreamOrDevice = None) -> array:
    """The cross product of vectors of 2 or 3 components; a missing third component is zero.

    Args:
        a: vectors along `axis`.
        b: vectors along `axis`; the other axes broadcast with those of `a`.
        axis: the axis of the components, in both arrays.

    Returns:
        The products, with 3 components along `axis`.

    Raises:
        IndexError: `axis` is out of range.
        ValueError: vectors have neither 2 nor 3 components, or the other axes do not broadcast.

    Example:
        >>> import mlx.core as mx
        >>> mx.linalg.cross(mx.array([1, 0, 0]), mx.array([0, 1, 0]))
        array([0, 0, 1], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "linalg.cross")
    array_node(a, "linalg.cross", "a")
    array_node(b, "linalg.cross", "b")
    x, y = operand_pair("linalg.cross", a, b)
    x_axis, y_axis = (checked_axis(axis, z.ndim, "linalg.cross") for z in (x, y))
    for name, extent in (("a", x.shape[x_axis]), ("b", y.shape[y_axis])):
        if extent not in (2, 3):
            raise ValueError(
                f"[linalg.cross] {name} must have 2 or 3 components along axis {axis}, got {extent} "
                f"(shape {x.shape if name == 'a' else y.shape})."
            )
    # So that the axes of the components meet: they do not where a positive axis is counted in arrays of unlike rank.
    broadcast_shape(*(_with_extent(z.shape, at, 3) for z, at in ((x, x_axis), (y, y_axis))))
    return wrap(cross_product(x, y, x_axis, y_axis))

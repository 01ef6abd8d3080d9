"""The different elements of an array."""

from __future__ import annotations

from typing import Any

from mlx.arrays.array import array, wrap
from mlx.arrays.operands import is_number, node_of, number_node
from mlx.ir.dtypes import Dtype, int32, uint32
from mlx.ir.node import Node
from mlx.ir.primitive import scalar_node
from mlx.ops.arguments import StreamOrDevice, array_node, check_stream, checked_extent, flag, one_integer
from mlx.primitives.arithmetic import LESS, MINIMUM, NOT_EQUAL
from mlx.primitives.elementwise import SELECT
from mlx.primitives.indexing import GATHER, SCATTER, counting
from mlx.primitives.joining import CONCATENATE
from mlx.primitives.scans import CUMSUM
from mlx.primitives.shape import broadcast, reshape
from mlx.primitives.slicing import slice_axis, zeros
from mlx.primitives.sorting import ARGSORT, SEARCHSORTED
from mlx.primitives.structure import cast

__all__ = ["unique"]


def unique(
    a: array,
    /,
    size: int,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    fill_value: Any = None,
    *,
    stream: StreamOrDevice = None,
) -> array | tuple[array, ...]:
    """The different elements of an array in ascending order, as many as asked for.

    How many there are is not looked up: where they are fewer than `size`, the last entries are a fill value with a
    count of 0; where they are more, the smallest are returned. So nothing is evaluated, and shapes are known.

    Args:
        a: array of any shape and dtype, ordered as in `mx.sort`. NaNs differ from each other.
        size: length of the result.
        return_index: return also where in the flattened array each element occurs first.
        return_inverse: return also the position of each element of `a` in the result: `values[inverse]` is `a`.
            Elements left out have the last position.
        return_counts: return also how often each element occurs.
        fill_value: number, or array of one element, for the entries that are left. By default the smallest element;
            required where `a` has none.

    Returns:
        Array of shape `(size,)` and the dtype of `a`; where more is asked for, a tuple of it and, in this order, the
        index (uint32, of shape `(size,)`; that of the smallest element where nothing is left), the inverse (uint32, of
        the shape of `a`) and the counts (int32, of shape `(size,)`). Gradients go to the first occurrences.

    Raises:
        TypeError: `size` is no int, or a flag no bool.
        ValueError: `size` is negative, `fill_value` has not one element, or `a` is empty and there is none.

    Example:
        >>> import mlx.core as mx
        >>> values, counts = mx.unique(mx.array([5, 2, 5, 3, 2]), 4, return_counts=True, fill_value=0)
        >>> values, counts
        (array([2, 3, 5, 0], dtype=int32), array([2, 1, 2, 0], dtype=int32))
    """
    if stream is not None:
        check_stream(stream, "unique")
    x = array_node(a, "unique")
    size = checked_extent(one_integer(size, "unique", "size"), "unique")
    if size < 0:
        raise ValueError(f"[unique] Received negative size {size}.")
    wants_index = flag(return_index, "unique", "return_index")
    wants_inverse = flag(return_inverse, "unique", "return_inverse")
    wants_counts = flag(return_counts, "unique", "return_counts")
    fill = None if fill_value is None else _fill(fill_value, x.dtype)
    if x.size == 0:
        values, index, inverse, counts = _of_nothing(x, size, fill)
    else:
        values, index, inverse, counts = _of_elements(x, size, fill)
    wanted = [values]
    wanted += [index] if wants_index else []
    wanted += [inverse] if wants_inverse else []
    wanted += [counts] if wants_counts else []
    return wrap(values) if len(wanted) == 1 else tuple(wrap(node) for node in wanted)


def _fill(value: Any, dtype: Dtype) -> Node:
    if is_number(value) and not isinstance(value, complex):
        return reshape(number_node(value, dtype, "unique"), (1,))
    node = cast(node_of(value, "unique", "fill_value"), dtype)
    if node.size != 1:
        raise ValueError(f"[unique] Fill value must have one element, but got shape {node.shape}.")
    return reshape(node, (1,))


def _of_nothing(x: Node, size: int, fill: Node | None) -> tuple[Node, Node, Node, Node]:
    if fill is None:
        if size:
            raise ValueError("[unique] A fill value is required for an empty input with a non-zero size.")
        fill = zeros((1,), x.dtype)
    nowhere = zeros((size,), uint32)
    return broadcast(fill, (size,)), nowhere, zeros(x.shape, uint32), zeros((size,), int32)


def _of_elements(x: Node, size: int, fill: Node | None) -> tuple[Node, Node, Node, Node]:
    """Values, index, inverse and counts: of sorted elements, in which equal ones are neighbours."""
    count = x.size
    flat = reshape(x, (count,))
    order = ARGSORT(flat, 0)
    ordered = GATHER([flat, order], (0,), 0, True)
    differs = NOT_EQUAL(slice_axis(ordered, 0, 1, count - 1), slice_axis(ordered, 0, 0, count - 1))
    ranks = CUMSUM(CONCATENATE([zeros((1,), int32), cast(differs, int32)], 0), 0, False)  # among different elements
    starts = cast(SEARCHSORTED(ranks, counting(size + 1), False), int32)  # of each element among the ordered ones
    first, after = slice_axis(starts, 0, 0, size), slice_axis(starts, 0, 1, size)
    is_there = LESS(first, scalar_node(count, int32))
    index = GATHER([order, SELECT(is_there, first, broadcast(scalar_node(0, int32), (size,)))], (0,), 0, True)
    values = GATHER([flat, index], (0,), 0, True)
    if fill is not None:
        values = SELECT(is_there, values, broadcast(fill, (size,)))
    kept = MINIMUM(ranks, scalar_node(max(size - 1, 0), int32))
    inverse = SCATTER([zeros((count,), uint32), cast(kept, uint32), order], (0,), 0, True)
    return values, index, reshape(inverse, x.shape), after - first

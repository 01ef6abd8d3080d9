"""Padding: an array with a border of a constant, of its edges, or of its mirror image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from mlx.arrays.array import array, wrap
from mlx.arrays.operands import node_of
from mlx.ir.node import Node
from mlx.ir.primitive import scalar_node
from mlx.ops.arguments import (
    StreamOrDevice,
    array_node,
    check_stream,
    checked_extent,
    one_or_more_integers,
    word,
)
from mlx.primitives.joining import CONCATENATE
from mlx.primitives.shape import BROADCAST, reshape
from mlx.primitives.slicing import FLIP, PAD, slice_axis
from mlx.primitives.structure import cast

__all__ = ["pad"]

Widths = list[tuple[int, int]]


def pad(
    a: array,
    pad_width: int | Sequence[int] | Sequence[Sequence[int]],
    mode: Literal["constant", "edge", "reflect", "symmetric"] = "constant",
    constant_values: Any = 0,
    *,
    stream: StreamOrDevice = None,
) -> array:
    """Add a border around an array.

    Args:
        a: array of any shape and dtype.
        pad_width: how many elements to add before and after, along each axis: a list of pairs; or one pair, or one
            number, that holds for all axes.
        mode: what to add. "constant": `constant_values`. "edge": the outermost elements. "reflect": the array
            mirrored at its outermost elements, "symmetric": mirrored beyond them, both again and again as needed.
        constant_values: a number or an array of one element; it is cast to the dtype of `a`.

    Returns:
        The larger array.

    Raises:
        ValueError: widths are negative or not one pair for each axis; the mode is unknown; there is nothing to
            continue along an empty axis.
        TypeError: the widths are neither numbers nor pairs of them, or the mode is no string.

    Example:
        >>> import mlx.core as mx
        >>> mx.pad(mx.array([1, 2]), (1, 2))
        array([0, 1, 2, 0, 0], dtype=int32)
        >>> mx.pad(mx.array([1, 2, 3]), (2, 0), mode="reflect")
        array([3, 2, 1, 2, 3], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "pad")
    x = array_node(a, "pad")
    widths = _checked_widths(pad_width, x)
    if word(mode, "pad", "mode") == "constant":
        return wrap(_pad_with_constant(x, widths, constant_values))
    if mode not in _CONTINUED:
        known = ", ".join(repr(name) for name in ("constant", *_CONTINUED))
        raise ValueError(f"[pad] Invalid padding mode {mode!r}; the modes are {known}.")
    for axis, (before, after) in enumerate(widths):
        if before or after:
            if x.shape[axis] == 0:
                raise ValueError(f"[pad] Cannot pad empty axis {axis} using mode {mode!r}.")
            x = CONCATENATE(_CONTINUED[mode](x, axis, before, after), axis)
    return wrap(x)


def _checked_widths(pad_width: Any, x: Node) -> Widths:
    """A pair of widths for every axis."""
    pairs_given = isinstance(pad_width, list | tuple) and any(isinstance(width, list | tuple) for width in pad_width)
    if not pairs_given:
        numbers = one_or_more_integers(pad_width, "pad", "pad_width")
        if not numbers and not x.ndim:
            return []
        if len(numbers) not in (1, 2):
            raise (TypeError if numbers else ValueError)(
                f"[pad] pad_width must be one number, a pair, or a list of pairs, got {pad_width}."
            )
        widths = [(numbers[0], numbers[-1])] * x.ndim
    else:
        pairs = [one_or_more_integers(pair, "pad", "pad_width") for pair in pad_width]
        if any(len(pair) != 2 for pair in pairs):
            raise TypeError(f"[pad] pad_width must hold pairs of widths, got {pad_width}.")
        widths = [(before, after) for before, after in pairs]
        if len(widths) == 1:
            widths *= x.ndim
    if len(widths) != x.ndim:
        raise ValueError(f"[pad] Got {len(widths)} pairs of widths for array with {x.ndim} dimensions.")
    for axis, (before, after) in enumerate(widths):
        if before < 0 or after < 0:
            raise ValueError(f"[pad] Widths must not be negative, got {(before, after)} for axis {axis}.")
        checked_extent(before + x.shape[axis] + after, "pad")
    return widths


def _pad_with_constant(x: Node, widths: Widths, constant: Any) -> Node:
    if (type(constant) is int and constant in (0, 1)) or (type(constant) is float and x.dtype.is_inexact):
        value = scalar_node(constant, x.dtype)
    else:
        value = node_of(constant, "pad", "constant_values")
        if value.size != 1:
            raise ValueError(f"[pad] constant_values must be one number, got an array of shape {value.shape}.")
        value = cast(reshape(value, ()), x.dtype)
    if not any(before or after for before, after in widths):
        return x
    starts = tuple(before for before, _ in widths)
    shape = tuple(before + extent + after for extent, (before, after) in zip(x.shape, widths, strict=True))
    return PAD(x, value, starts, shape, (1,) * x.ndim)


def _with_edges(x: Node, axis: int, before: int, after: int) -> list[Node]:
    last = x.shape[axis] - 1
    return [
        *([_repeated(x, axis, 0, before)] if before else []),
        x,
        *([_repeated(x, axis, last, after)] if after else []),
    ]


def _repeated(x: Node, axis: int, position: int, times: int) -> Node:
    shape = (*x.shape[:axis], times, *x.shape[axis + 1 :])
    return BROADCAST(slice_axis(x, axis, position, 1), shape)


def _reflected(x: Node, axis: int, before: int, after: int) -> list[Node]:
    if x.shape[axis] == 1:
        return _with_edges(x, axis, before, after)
    return [_mirrored_piece(x, axis, *piece) for piece in _pieces(x.shape[axis], before, after, 1)]


def _symmetric(x: Node, axis: int, before: int, after: int) -> list[Node]:
    return [_mirrored_piece(x, axis, *piece) for piece in _pieces(x.shape[axis], before, after, 0)]


def _mirrored_piece(x: Node, axis: int, start: int, size: int, backwards: bool) -> Node:
    piece = slice_axis(x, axis, start, size)
    return FLIP(piece, (axis,)) if backwards else piece


def _pieces(extent: int, before: int, after: int, shared: int) -> Iterator[tuple[int, int, bool]]:
    """The runs (start, size, backwards) that follow each other in an axis continued by its mirror images.

    The continued axis repeats with a period of one run forwards and one backwards; `shared` is 1 where the two have
    their outermost elements in common and 0 where these are repeated.
    """
    period = max(2 * (extent - shared), 1)
    position, end = -before, extent + after
    while position < end:
        phase = position % period
        if phase < extent:
            size = min(extent - phase, end - position)
            yield phase, size, False
        else:
            size = min(period - phase, end - position)
            yield period - phase + shared - size, size, True
        position += size


_CONTINUED = {"edge": _with_edges, "reflect": _reflected, "symmetric": _symmetric}

"""Sorting along an axis, the positions that sort, the largest few, and search in what is sorted.

NaNs come last, complex numbers are ordered by real part, then by imaginary part, and equal elements keep their order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype, uint32
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive
from mlx.primitives.indexing import SCATTER_ADD, along_axis, take_along_axis
from mlx.primitives.shape import Dims, batch_to_front, move_axis
from mlx.primitives.slicing import zeros

Array = Any


def _sort_cost(node: Node) -> float:
    return 5.0 * node.size * math.log2(max(node.shape[node.params[0]], 2)) if node.inputs else 0.0  # type: ignore[call-overload]


# ---------------------------------------------------------------------- NumPy


def _argsort(x: Array, axis: int) -> Array:
    if x.dtype.kind != "c":
        return np.argsort(x, axis, kind="stable").astype(np.uint32)
    undefined = np.isnan(x)
    number: Array = np.where(undefined, 0, x)
    return np.lexsort((number.imag, number.real, undefined), axis).astype(np.uint32)


def _sort(x: Array, axis: int) -> Array:
    if x.dtype.kind == "c":
        return np.take_along_axis(x, _argsort(x, axis).astype(np.intp), axis)
    return np.sort(x, axis)


def _argtopk(x: Array, k: int, axis: int) -> Array:
    rows = np.moveaxis(x, axis, -1)
    extent = rows.shape[-1]
    if k == 0 or x.size == 0:
        out = np.zeros((*rows.shape[:-1], k), np.uint32)
    elif x.dtype.kind == "c" or 8 * k > extent:
        out = _latest_first(rows)[..., extent - k :]
    else:
        chosen = _largest(rows, k)
        order = _latest_first(np.take_along_axis(rows, chosen, -1)).astype(np.intp)
        out = np.take_along_axis(chosen, order, -1)
    return np.moveaxis(out, -1, axis).astype(np.uint32)


def _latest_first(rows: Array) -> Array:
    """The positions that sort along the last axis, the later of equal elements first."""
    return rows.shape[-1] - 1 - _argsort(rows[..., ::-1], rows.ndim - 1)


def _largest(rows: Array, k: int) -> Array:
    """The positions of the k largest along the last axis, ascending; of equal elements the first are taken."""
    extent = rows.shape[-1]
    least = np.partition(rows, extent - k, -1)[..., extent - k, None]
    above, equal = rows > least, rows == least
    if rows.dtype.kind == "f":
        undefined = np.isnan(rows)
        above |= undefined & ~np.isnan(least)
        equal |= undefined & np.isnan(least)
    wanted = k - np.count_nonzero(above, axis=-1, keepdims=True)
    taken = above | (equal & (np.cumsum(equal, axis=-1) <= wanted))
    return np.nonzero(taken)[-1].reshape(*rows.shape[:-1], k)


# ---------------------------------------------------------------------- XLA


def _sort_xla(xla: Any, x: Array, axis: int) -> Array:
    lax = xla.lax
    if x.dtype == bool:
        return lax.sort(x.astype(np.uint8), axis).astype(bool)
    if x.dtype.kind == "c":
        return lax.sort((*_complex_keys(xla, x), x), axis, num_keys=3)[-1]
    if x.dtype.kind in "iu" or xla.platform != "cpu":
        return lax.sort(x, axis)
    wide = x.astype(np.float32) if x.dtype.itemsize == 2 else x
    return _from_key(xla, lax.sort(_integer_key(xla, wide), axis), wide.dtype).astype(x.dtype)


def _argsort_xla(xla: Any, x: Array, axis: int) -> Array:
    lax = xla.lax
    if x.dtype.kind != "c" and xla.platform == "cpu" and x.dtype.itemsize <= 4:
        return _packed_argsort(xla, x, axis)
    keys = _complex_keys(xla, x) if x.dtype.kind == "c" else (x,)
    position = lax.broadcasted_iota(np.uint32, x.shape, axis)
    return lax.sort((*keys, position), axis, num_keys=len(keys))[-1]


def _packed_argsort(xla: Any, x: Array, axis: int) -> Array:
    """By sorting 64-bit integers that hold an element above its position: on CPUs five times as fast as pairs."""
    lax = xla.lax
    if x.dtype.kind not in "iub":
        x = _integer_key(xla, x.astype(np.float32))
    if x.dtype == np.uint32:
        x = lax.bitcast_convert_type(x ^ np.uint32(2**31), np.int32)  # or the large ones would become negative
    bits = np.int64(32)
    packed = (x.astype(np.int64) << bits) | lax.broadcasted_iota(np.int64, x.shape, axis)
    return (lax.sort(packed, axis) & np.int64(2**32 - 1)).astype(np.uint32)


def _integer_key(xla: Any, x: Array) -> Array:
    """Integers in the order of the floats x, which XLA's CPU compiler sorts eight times as fast."""
    jnp, lax = xla.jnp, xla.lax
    integer = np.int32 if x.dtype.itemsize == 4 else np.int64
    x = jnp.where(x == 0, np.zeros((), x.dtype), x)  # one zero
    bits = lax.bitcast_convert_type(x, integer)
    highest = integer(np.iinfo(integer).max)
    return jnp.where(x != x, highest, jnp.where(bits < 0, bits ^ highest, bits))


def _from_key(xla: Any, key: Array, dtype: Any) -> Array:
    highest = key.dtype.type(np.iinfo(key.dtype).max)  # as a float it is a NaN
    return xla.lax.bitcast_convert_type(xla.jnp.where(key < 0, key ^ highest, key), dtype)


def _complex_keys(xla: Any, x: Array) -> tuple[Array, Array, Array]:
    undefined = x != x
    number = xla.lax.select(undefined, xla.jnp.zeros_like(x), x)
    return undefined.astype(np.uint8), number.real, number.imag


def _argtopk_xla(xla: Any, x: Array, k: int, axis: int) -> Array:
    lax, jnp = xla.lax, xla.jnp
    rows = jnp.moveaxis(x, axis, -1)
    if not x.size:
        out = jnp.zeros((*rows.shape[:-1], k), np.uint32)
    elif x.dtype.itemsize <= 2 or x.dtype == np.float32:
        rows = rows.astype(np.float32)
        rows = jnp.where(rows != rows, np.float32(np.nan), jnp.where(rows == 0, np.float32(0), rows))
        out = lax.rev(lax.top_k(rows, k)[1], (x.ndim - 1,))
    else:
        last, extent = x.ndim - 1, rows.shape[-1]
        order = _argsort_xla(xla, lax.rev(rows, (last,)), last)
        out = np.uint32(extent - 1) - lax.slice_in_dim(order, extent - k, extent, axis=last)
    return jnp.moveaxis(out, -1, axis).astype(np.uint32)


# ---------------------------------------------------------------------- primitives


def _batch_sort(inputs: Sequence[Node], dims: Dims, axis: int) -> tuple[Node, int]:
    return SORT(batch_to_front(inputs[0], dims[0], 1), axis + 1), 0


def _sort_cotangent(g: Node, out: Node, x: Node, axis: int) -> Node:
    places = along_axis(x.shape, ARGSORT(x, axis), axis)
    return SCATTER_ADD([zeros(x.shape, g.dtype), g, *places], tuple(range(x.ndim)), 0, True)


SORT = Primitive(
    "sort",
    arity=1,
    shape=lambda x, axis: (x.shape, x.dtype),
    kernel=_sort,
    lower=_sort_xla,
    vjp=(_sort_cotangent,),
    jvp=lambda tangents, out, x, axis: take_along_axis(tangents[0], ARGSORT(x, axis), axis),
    batch=_batch_sort,
    cost=_sort_cost,
    library_bound=True,
)

ARGSORT = Primitive(
    "argsort",
    arity=1,
    shape=lambda x, axis: (x.shape, uint32),
    kernel=_argsort,
    lower=_argsort_xla,
    batch=lambda inputs, dims, axis: (ARGSORT(batch_to_front(inputs[0], dims[0], 1), axis + 1), 0),
    cost=_sort_cost,
    library_bound=True,
)


def _argtopk_shape(x: Node, k: int, axis: int) -> tuple[Shape, Dtype]:
    return (*x.shape[:axis], k, *x.shape[axis + 1 :]), uint32


def _batch_argtopk(inputs: Sequence[Node], dims: Dims, k: int, axis: int) -> tuple[Node, int]:
    return ARGTOPK(batch_to_front(inputs[0], dims[0], 1), k, axis + 1), 0


# The positions of the k largest, from the smallest of them to the largest. Of equal elements the first are taken.
ARGTOPK = Primitive(
    "argtopk",
    arity=1,
    shape=_argtopk_shape,
    kernel=_argtopk,
    lower=_argtopk_xla,
    batch=_batch_argtopk,
    cost=lambda node: 4.0 * node.inputs[0].size if node.inputs else 0.0,
)

# ---------------------------------------------------------------------- search


def _searchsorted(line: Array, values: Array, right: bool) -> Array:
    if line.ndim == 1:
        return np.asarray(np.searchsorted(line, values, "right" if right else "left")).astype(np.uint32)

    def repeated(first: int, last: int, step: Callable[[Any, Any], Any], state: Any) -> Any:
        for i in range(first, last):
            state = step(i, state)
        return state

    return _bisected(np, repeated, line, values, right)


def _searchsorted_xla(xla: Any, line: Array, values: Array, right: bool) -> Array:
    return _bisected(xla.jnp, xla.lax.fori_loop, line, values, right)


def _bisected(library: Any, loop: Callable[..., Any], line: Array, values: Array, right: bool) -> Array:
    """By bisection, for all values at once: the answer lies between `low` and `high`.

    `library` is NumPy or its counterpart on XLA.
    """
    extent = line.shape[-1]
    if not values.size or not extent:
        return library.zeros(values.shape, np.uint32)
    rows = line.reshape(-1, extent)
    wanted = values.reshape(len(rows), -1)

    def halve(_: Any, bounds: Any) -> Any:
        low, high = bounds
        middle = (low + high) // np.int64(2)
        met = library.take_along_axis(rows, library.minimum(middle, np.int64(extent - 1)), 1)
        later = ~_precedes(wanted, met) if right else _precedes(met, wanted)
        later = later & (low < high)
        return library.where(later, middle + np.int64(1), low), library.where(later, high, middle)

    low = library.zeros(wanted.shape, np.int64)
    high = library.full(wanted.shape, extent, np.int64)
    low, _ = loop(0, extent.bit_length(), halve, (low, high))
    return low.astype(np.uint32).reshape(values.shape)


def _precedes(a: Array, b: Array) -> Array:
    """a < b, where NaN comes after all numbers."""
    if a.dtype.kind == "c":
        less = (a.real < b.real) | ((a.real == b.real) & (a.imag < b.imag))
        return ((a == a) & (b != b)) | (less & (a == a))
    return (a < b) | ((a == a) & (b != b))


def _batch_searchsorted(inputs: Sequence[Node], dims: Dims, right: bool) -> tuple[Node, int]:
    (line, values), (line_dim, values_dim) = inputs, dims
    lead = line.ndim - 1 - (line_dim is not None)
    if line_dim is None:
        assert values_dim is not None
        return SEARCHSORTED(line, move_axis(values, values_dim, lead), right), lead
    size = line.shape[line_dim]
    return SEARCHSORTED(move_axis(line, line_dim, 0), batch_to_front(values, values_dim, size), right), 0


# Where values would have to be inserted in a sorted line: before equal elements or, with `right`, after them. Batching
# gives the line leading axes, which the values have as well: each is looked up in the line of its own.
SEARCHSORTED = Primitive(
    "searchsorted",
    arity=2,
    shape=lambda line, values, right: (values.shape, uint32),
    kernel=_searchsorted,
    lower=_searchsorted_xla,
    batch=_batch_searchsorted,
    nanoseconds=50.0,
)

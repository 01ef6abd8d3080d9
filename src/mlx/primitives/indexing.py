"""Reading and writing at places that index arrays name: gather, and scatters that replace or combine.

An index array holds integers of any type; negative ones count from the end. Index arrays broadcast to one shape I.
`axes` are the axes of x that they index, in ascending order, one array each; what is gathered has the other axes of x
in their order, with those of I put in after the first `position` of them. An update that is scattered has that
shape too, so that scattering is the transpose of gathering.

Indices outside of their axis: with `clamp` they mean the nearest end; without, nothing is written at them and zeros
are read. Where several updates go to one place they are all applied; when they replace, the last one wins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod
from typing import Any, NoReturn

import numpy as np

from mlx.ir.dtypes import Dtype, int32
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive, broadcast_shape, scalar_node
from mlx.primitives.arithmetic import EQUAL
from mlx.primitives.creation import ARANGE
from mlx.primitives.elementwise import SELECT, conjugate, weigh
from mlx.primitives.shape import (
    Dims,
    align_batches,
    batch_size,
    batch_to_front,
    broadcast,
    inverse_permutation,
    move_axis,
    reshape,
)
from mlx.primitives.slicing import zeros

Axes = tuple[int, ...]
Array = Any

# ---------------------------------------------------------------------- shapes


def _index_shape(indices: Sequence[Node]) -> Shape:
    shape = indices[0].shape
    for index in indices[1:]:
        shape = broadcast_shape(shape, index.shape)
    return shape


def _rest(ndim: int, axes: Axes) -> Axes:
    """The axes that are not indexed."""
    return tuple(axis for axis in range(ndim) if axis not in axes)


def gathered_shape(x: Node, indices: Sequence[Node], axes: Axes, position: int) -> Shape:
    """The shape of what `GATHER` reads and the scatters write."""
    rest = tuple(x.shape[axis] for axis in _rest(x.ndim, axes))
    return (*rest[:position], *_index_shape(indices), *rest[position:])


def _gather_shape(inputs: Sequence[Node], axes: Axes, position: int, clamp: bool) -> tuple[Shape, Dtype]:
    x, *indices = inputs
    return gathered_shape(x, indices, axes, position), x.dtype


# ---------------------------------------------------------------------- kernels


def _native_position(axes: Axes) -> int:
    """Where NumPy puts the axes of the indices: in place of the indexed axes, or first if these are apart."""
    return axes[0] if all(right == left + 1 for left, right in pairwise(axes)) else 0


def _moved(x: Array, source: int, destination: int, count: int) -> Array:
    """`x` with `count` neighbouring axes moved as a block."""
    if source == destination or count == 0:
        return x
    order = [axis for axis in range(x.ndim) if not source <= axis < source + count]
    order[destination:destination] = range(source, source + count)
    return x.transpose(order)


def _within(index: Array, extent: int) -> tuple[Array, Array]:
    """An index array counted from the front and moved inside, and where it was inside."""
    index = np.where(index < 0, index + extent, index)
    return np.clip(index, 0, extent - 1), (index >= 0) & (index < extent)


def _gather(arrays: Sequence[Array], axes: Axes, position: int, clamp: bool) -> Array:
    x = arrays[0]
    indices = [np.asarray(index).astype(np.intp, copy=False) for index in arrays[1:]]
    try:
        out = _gather_inside(x, indices, axes)
        inside = None
    except IndexError:
        shape = np.broadcast_shapes(*(index.shape for index in indices))
        if any(x.shape[axis] == 0 for axis in axes):
            rest = [x.shape[axis] for axis in _rest(x.ndim, axes)]
            return np.zeros((*rest[:position], *shape, *rest[position:]), x.dtype)
        moved, masks = zip(*(_within(i, x.shape[axis]) for i, axis in zip(indices, axes, strict=True)), strict=True)
        out = _gather_inside(x, moved, axes)
        inside = None if clamp else np.broadcast_to(np.logical_and.reduce(np.broadcast_arrays(*masks)), shape)
    out = np.asarray(out)
    ndim = max(index.ndim for index in indices)
    out = _moved(out, _native_position(axes), position, ndim)
    if inside is not None:
        inside = inside.reshape(inside.shape + (1,) * (out.ndim - position - ndim))
        out = np.where(inside, out, np.zeros((), out.dtype))
    return out


def _gather_inside(x: Array, indices: Sequence[Array], axes: Axes) -> Array:
    if len(axes) == 1:
        return np.take(x, indices[0], axes[0])  # several times as fast as the general form
    key: list[Any] = [slice(None)] * x.ndim
    for axis, index in zip(axes, indices, strict=True):
        key[axis] = index
    return x[tuple(key)]


def _linear(indices: Sequence[Array], extents: Shape, clamp: bool) -> tuple[Array, Array | None]:
    """One index into the flattened indexed axes in place of several, and which of them to keep (None: all)."""
    linear: Array = 0
    inside: Array = True
    for index, extent in zip(indices, extents, strict=True):
        index, mine = _within(np.asarray(index).astype(np.intp, copy=False), extent)
        linear = linear * extent + index
        inside = inside & mine
    keep = None if clamp or np.all(inside) else np.broadcast_to(inside, linear.shape).reshape(-1)
    return linear.reshape(-1), keep


def _scatter_kernel(ufunc: np.ufunc | None) -> Callable[..., Array]:
    """The kernel that combines places and updates by `ufunc`; None replaces."""

    def kernel(arrays: Sequence[Array], axes: Axes, position: int, clamp: bool) -> Array:
        x, update, *indices = arrays
        extents = tuple(x.shape[axis] for axis in axes)
        if update.size == 0 or 0 in extents:
            return x
        order = axes + _rest(x.ndim, axes)
        moved = x.transpose(order)
        rows = np.array(moved.reshape(prod(extents), -1), order="C")
        places, keep = _linear(indices, extents, clamp)
        index_ndim = update.ndim - x.ndim + len(axes)
        updates = np.ascontiguousarray(_moved(update, position, 0, index_ndim).reshape(len(places), -1))
        if keep is not None:
            places, updates = places[keep], updates[keep]
        if ufunc is None:
            rows[places] = updates
        else:
            _accumulate(ufunc, rows, places, updates)
        return rows.reshape(moved.shape).transpose(inverse_permutation(order))

    return kernel


def _accumulate(ufunc: np.ufunc, rows: Array, places: Array, updates: Array) -> None:
    width = rows.shape[1]
    if width > 1:  # NumPy is fast at this on flat arrays only
        places = (places[:, None] * width + np.arange(width)).reshape(-1)
    ufunc.at(rows.reshape(-1), places, updates.reshape(-1))


# ---------------------------------------------------------------------- lowerings


def _index_vectors(xla: Any, x: Array, indices: Sequence[Array], axes: Axes) -> Array:
    """Index arrays as XLA wants them: counted from the front, side by side along a last axis."""
    wide = np.int64 if any(i.dtype.itemsize == 8 or i.dtype == np.uint32 for i in indices) else np.int32
    if max(x.shape) >= 2**31:
        wide = np.int64
    shape = np.broadcast_shapes(*(index.shape for index in indices))
    columns = []
    for index, axis in zip(indices, axes, strict=True):
        signed = index.dtype.kind == "i"
        index = index.astype(wide)
        if signed:
            index = xla.lax.select(index < 0, index + wide(x.shape[axis]), index)
        columns.append(xla.jnp.broadcast_to(index, shape)[..., None])
    return columns[0] if len(columns) == 1 else xla.lax.concatenate(columns, len(shape))


def _window_axes(ndim: int, index_ndim: int, position: int) -> Axes:
    return tuple(axis for axis in range(ndim) if not position <= axis < position + index_ndim)


def _gather_xla(xla: Any, arrays: Sequence[Array], axes: Axes, position: int, clamp: bool) -> Array:
    lax = xla.lax
    x, *indices = arrays
    index_shape = np.broadcast_shapes(*(index.shape for index in indices))
    rest = [x.shape[axis] for axis in _rest(x.ndim, axes)]
    shape = (*rest[:position], *index_shape, *rest[position:])
    if 0 in shape or 0 in x.shape:
        return xla.jnp.zeros(shape, x.dtype)
    numbers = lax.GatherDimensionNumbers(
        offset_dims=_window_axes(len(shape), len(index_shape), position),
        collapsed_slice_dims=axes,
        start_index_map=axes,
    )
    return lax.gather(
        x,
        _index_vectors(xla, x, indices, axes),
        numbers,
        tuple(1 if axis in axes else extent for axis, extent in enumerate(x.shape)),
        # XLA's gather itself moves indices inside, so asking for it would only do it twice.
        mode="promise_in_bounds" if clamp else "fill",
        fill_value=None if clamp else 0,
    )


def _scatter_lowering(name: str, on_booleans: str | None = None, widens: bool = False) -> Callable[..., Array]:
    """The lowering to one of XLA's scatters, or to another on booleans.

    `widens` computes half precision in float32, so that a sum is rounded once.
    """

    def lower(xla: Any, arrays: Sequence[Array], axes: Axes, position: int, clamp: bool) -> Array:
        lax = xla.lax
        x, update, *indices = arrays
        if 0 in update.shape or 0 in x.shape:
            return x
        dtype = x.dtype
        if widens and dtype.itemsize == 2 and dtype.kind in "fV":
            x, update = x.astype(np.float32), update.astype(np.float32)
        index_ndim = update.ndim - x.ndim + len(axes)
        numbers = lax.ScatterDimensionNumbers(
            update_window_dims=_window_axes(update.ndim, index_ndim, position),
            inserted_window_dims=axes,
            scatter_dims_to_operand_dims=axes,
        )
        vectors = _index_vectors(xla, x, indices, axes)
        if name == "scatter" and xla.platform != "cpu":
            vectors = _losers_outside(xla, x, vectors, axes, clamp)
        scatter = getattr(lax, on_booleans if on_booleans and dtype.kind == "b" else name)
        out = scatter(x, vectors, update, numbers, mode="clip" if clamp else "drop")
        return out.astype(dtype)

    return lower


def _losers_outside(xla: Any, x: Array, vectors: Array, axes: Axes, clamp: bool) -> Array:
    """Index vectors of which only the last of equal ones stays: XLA promises an order of updates on CPUs alone."""
    lax = xla.lax
    extents = [x.shape[axis] for axis in axes]
    index_shape = vectors.shape[:-1]
    ordinals = lax.iota(np.int32, prod(index_shape)).reshape(index_shape)
    if clamp:
        vectors = xla.jnp.clip(vectors, 0, np.asarray(extents, vectors.dtype) - 1)
    every = tuple(range(len(axes)))
    last = lax.scatter_max(
        xla.jnp.full(extents, -1, np.int32),
        vectors,
        ordinals,
        lax.ScatterDimensionNumbers((), every, every),
        mode="drop",
    )
    final = lax.gather(
        last,
        vectors,
        lax.GatherDimensionNumbers((), every, every),
        (1,) * len(axes),
        mode="fill",
        fill_value=-1,
    )
    outside = np.asarray(extents, vectors.dtype)
    return xla.jnp.where((final == ordinals)[..., None], vectors, outside)


# ---------------------------------------------------------------------- batching


def _batched_indices(indices: Sequence[Node], dims: Dims, size: int) -> list[Node]:
    """Index arrays with their batch axis first, and before them one that counts the entries of the batch."""
    aligned = align_batches(indices, dims)
    rank = max(index.ndim for index in aligned)
    return [reshape(counting(size), (size, *(1,) * (rank - 1))), *aligned]


def _shifted(axes: Axes) -> Axes:
    return tuple(axis + 1 for axis in axes)


def _batch_gather(inputs: Sequence[Node], dims: Dims, axes: Axes, position: int, clamp: bool) -> tuple[Node, int]:
    (x, *indices), (dim, *index_dims) = inputs, dims
    if all(index_dim is None for index_dim in index_dims):
        x = batch_to_front(x, dim, 1)
        return GATHER([x, *indices], _shifted(axes), position + 1, clamp), 0
    if dim is None:
        return GATHER([x, *align_batches(indices, index_dims)], axes, position, clamp), position
    size = batch_size(inputs, dims)
    indices = _batched_indices(indices, index_dims, size)
    return GATHER([batch_to_front(x, dim, size), *indices], (0, *_shifted(axes)), position, clamp), position


# ---------------------------------------------------------------------- derivatives


def counting(count: int) -> Node:
    """0, 1, ..., count - 1."""
    return ARANGE(scalar_node(0, int32), scalar_node(1, int32), count)


def _refuse_index() -> NoReturn:
    """Indices computed from floating numbers get a zero gradient; only integers that are differentiated come here."""
    raise ValueError(
        "[gather] Indices have no derivative: wrap them in mx.stop_gradient, or do not differentiate them."
    )


def _gather_cotangent(
    i: int, g: Node, out: Node, inputs: Sequence[Node], axes: Axes, position: int, clamp: bool
) -> Node | None:
    x, *indices = inputs
    if i > 0:
        _refuse_index()
    return SCATTER_ADD([zeros(x.shape, g.dtype), g, *indices], axes, position, clamp)


def _gather_tangent(
    tangents: Sequence[Node | None],
    out: Node,
    inputs: Sequence[Node],
    axes: Axes,
    position: int,
    clamp: bool,
) -> Node | None:
    return None if tangents[0] is None else GATHER([tangents[0], *inputs[1:]], axes, position, clamp)


def _set_cotangent(
    i: int, g: Node, out: Node, inputs: Sequence[Node], axes: Axes, position: int, clamp: bool
) -> Node | None:
    _, update, *indices = inputs
    if i == 0:
        return SCATTER([g, zeros(update.shape, g.dtype), *indices], axes, position, clamp)
    if i > 1:
        _refuse_index()
    read = GATHER([g, *indices], axes, position, clamp)
    shape = _index_shape(indices)
    if prod(shape) <= 1:
        return read
    won = reshape(_last(out, indices, axes, clamp), (*shape, *(1,) * (update.ndim - position - len(shape))))
    return SELECT(won, read, 0)


def _last(out: Node, indices: Sequence[Node], axes: Axes, clamp: bool) -> Node:
    """Of the shape of the indices: whether no later one of them names the same place."""
    shape = _index_shape(indices)
    extents = tuple(out.shape[axis] for axis in axes)
    every = tuple(range(len(axes)))
    ordinals = reshape(ARANGE(scalar_node(1, int32), scalar_node(1, int32), prod(shape)), shape)
    last = SCATTER_MAXIMUM([zeros(extents, int32), ordinals, *indices], every, 0, clamp)
    return EQUAL(GATHER([last, *indices], every, 0, clamp), ordinals)


def _add_cotangent(
    i: int, g: Node, out: Node, inputs: Sequence[Node], axes: Axes, position: int, clamp: bool
) -> Node | None:
    if i == 0:
        return g
    if i > 1:
        _refuse_index()
    return GATHER([g, *inputs[2:]], axes, position, clamp)


def _multiply_cotangent(
    i: int, g: Node, out: Node, inputs: Sequence[Node], axes: Axes, position: int, clamp: bool
) -> Node | None:
    """For an update, its cotangent times all other factors of its place.

    These are their product divided by the update, with factors of zero counted apart from it.
    """
    x, update, *indices = inputs
    where = (axes, position, clamp)
    if i == 0:
        ones = broadcast(scalar_node(1, x.dtype), x.shape)
        return weigh(g, conjugate(SCATTER_MULTIPLY([ones, update, *indices], *where)))
    if i > 1:
        _refuse_index()
    vanishes = EQUAL(update, 0)
    counted = SELECT(vanishes, scalar_node(1, int32), scalar_node(0, int32))
    factor = SELECT(vanishes, 1, update)
    product = SCATTER_MULTIPLY([x, factor, *indices], *where)
    vanishing = SCATTER_ADD([zeros(x.shape, int32), counted, *indices], *where)
    alone = EQUAL(GATHER([vanishing, *indices], *where), counted)
    others = SELECT(alone, GATHER([product, *indices], *where) / factor, 0)
    return weigh(GATHER([g, *indices], *where), conjugate(others))


def _extremum_cotangent(
    i: int, g: Node, out: Node, inputs: Sequence[Node], axes: Axes, position: int, clamp: bool
) -> Node | None:
    """Every operand that equals the result gets the whole cotangent."""
    x, update, *indices = inputs
    if i == 0:
        return SELECT(EQUAL(x, out), g, 0)
    if i > 1:
        _refuse_index()
    won = EQUAL(update, GATHER([out, *indices], axes, position, clamp))
    return SELECT(won, GATHER([g, *indices], axes, position, clamp), 0)


# ---------------------------------------------------------------------- primitives

GATHER = Primitive(
    "gather",
    arity=None,
    shape=_gather_shape,
    kernel=_gather,
    lower=_gather_xla,
    vjp=_gather_cotangent,
    jvp=_gather_tangent,
    batch=_batch_gather,
    moves_data=True,
)


class Scatter(Primitive):
    """A primitive of x, an update and index arrays that is x with the update put in or combined with it."""

    def __init__(
        self,
        name: str,
        ufunc: np.ufunc | None,
        lower: Callable[..., Array],
        vjp: Callable[..., Node | None],
        *,
        linear: bool = False,
    ) -> None:
        """Declare it; `linear` says that it is linear in x and the update together."""
        super().__init__(
            name,
            arity=None,
            shape=lambda inputs, axes, position, clamp: (inputs[0].shape, inputs[0].dtype),
            kernel=_scatter_kernel(ufunc),
            lower=lower,
            vjp=vjp,
            jvp=self._tangent if linear else None,
            batch=self._batch,
            moves_data=ufunc is None,
            cost=_scatter_cost,
        )

    def _tangent(
        self,
        tangents: Sequence[Node | None],
        out: Node,
        inputs: Sequence[Node],
        axes: Axes,
        position: int,
        clamp: bool,
    ) -> Node | None:
        moving, written = tangents[:2]
        if moving is None and written is None:
            return None
        moving = moving or zeros(out.shape, out.dtype)
        written = written or zeros(inputs[1].shape, out.dtype)
        return self([moving, written, *inputs[2:]], axes, position, clamp)

    def _batch(self, inputs: Sequence[Node], dims: Dims, axes: Axes, position: int, clamp: bool) -> tuple[Node, int]:
        size = batch_size(inputs, dims)
        x, update = (batch_to_front(inputs[i], dims[i], size) for i in (0, 1))
        indices, index_dims = inputs[2:], dims[2:]
        if all(dim is None for dim in index_dims):
            return self([x, update, *indices], _shifted(axes), position + 1, clamp), 0
        indices = _batched_indices(indices, index_dims, size)
        update = move_axis(update, 0, position)
        return self([x, update, *indices], (0, *_shifted(axes)), position, clamp), 0


def _scatter_cost(node: Node) -> float:
    return 0.5 * node.size + (3.0 * node.inputs[1].size if node.inputs else 0.0)


SCATTER = Scatter("scatter", None, _scatter_lowering("scatter"), _set_cotangent, linear=True)
SCATTER_ADD = Scatter(
    "scatter_add",
    np.add,
    _scatter_lowering("scatter_add", on_booleans="scatter_max", widens=True),
    _add_cotangent,
    linear=True,
)
SCATTER_MULTIPLY = Scatter(
    "scatter_multiply",
    np.multiply,
    _scatter_lowering("scatter_mul", on_booleans="scatter_min", widens=True),
    _multiply_cotangent,
)
SCATTER_MAXIMUM = Scatter("scatter_maximum", np.maximum, _scatter_lowering("scatter_max"), _extremum_cotangent)
SCATTER_MINIMUM = Scatter("scatter_minimum", np.minimum, _scatter_lowering("scatter_min"), _extremum_cotangent)


# ---------------------------------------------------------------------- along one axis


def along_axis(shape: Shape, indices: Node, axis: int) -> list[Node]:
    """Index arrays for every axis of an array of `shape` which select at `indices` along `axis`, line by line.

    `indices` has as many axes; where one of them or of the array has extent 1, it stands for all.
    """
    lines = [1] * len(shape)
    mesh = []
    for i, extent in enumerate(shape):
        if i == axis:
            mesh.append(indices)
        else:
            mesh.append(reshape(counting(extent), (*lines[:i], extent, *lines[i + 1 :])))
    return mesh


def take_along_axis(x: Node, indices: Node, axis: int) -> Node:
    """`x` at `indices` along `axis`, line by line; indices outside mean the nearest end."""
    return GATHER([x, *along_axis(x.shape, indices, axis)], tuple(range(x.ndim)), 0, True)

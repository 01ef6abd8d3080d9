"""Products of arrays: one primitive contracts and batches any axes of two; matrix products are a case.

Which axes are contracted and batched are parameters, and a transposed operand is absorbed into them. So the
derivatives of `x @ w.T`, which are products again, record no transposes that an engine would have to carry out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, Shape, record
from mlx.ir.primitive import Primitive
from mlx.ir.sizes import Size, broadcast_extent, open_sizes
from mlx.primitives.arithmetic import MULTIPLY
from mlx.primitives.elementwise import conjugate
from mlx.primitives.shape import BROADCAST, RESHAPE, TRANSPOSE, Dims, reshape, transpose

Axes = tuple[int, ...]
Labels = tuple[int, ...]

_PATTERNS_KEPT = 4096
_FLOPS_A_NANOSECOND = 30.0


class Contraction(NamedTuple):
    """The parameters of `DOT`: which axes of its operands a and b belong together."""

    contracted_a: Axes
    contracted_b: Axes
    batch_a: Axes
    batch_b: Axes


def _free_axes(ndim: int, contracted: Axes, batch: Axes) -> Axes:
    return tuple(axis for axis in range(ndim) if axis not in contracted and axis not in batch)


# ------------------------------------------------------------------ recording products of labelled arrays


def matmul(a: Node, b: Node) -> Node:
    """The matrix product of two arrays of one dtype, broadcast over batches as `numpy.matmul` does it.

    Both have one axis or more, and the extents have to fit.
    """
    return contract(a, b, *_matmul_labels(a.ndim, b.ndim))


@lru_cache(_PATTERNS_KEPT)
def _matmul_labels(a_ndim: int, b_ndim: int) -> tuple[Labels, Labels, Labels]:
    rank = max(a_ndim, b_ndim, 2)
    rows, columns, summed = rank - 2, rank - 1, rank
    a_batch = tuple(range(rank - a_ndim, rank - 2))
    b_batch = tuple(range(rank - b_ndim, rank - 2))
    a = (*a_batch, rows, summed) if a_ndim > 1 else (summed,)
    b = (*b_batch, summed, columns) if b_ndim > 1 else (summed,)
    return a, b, tuple(sorted({*a, *b} - {summed}))


def contract(a: Node, b: Node, a_labels: Labels, b_labels: Labels, out_labels: Labels) -> Node:
    """The sum over products of two arrays whose axes are labelled, as in `einsum`.

    Args:
        a, b: arrays of one dtype.
        a_labels, b_labels: a number for each axis, none twice. Axes that share one have the same extent, or one
            of them has extent 1 and the label is among `out_labels`.
        out_labels: the labels of the output's axes: all that only one operand has, and some that both have. The
            others are summed over.
    """
    a, a_labels = _behind_transposes(a, a_labels)
    b, b_labels = _behind_transposes(b, b_labels)
    if open_sizes:
        a, b = _broadcast_together(a, a_labels, b, b_labels, out_labels)
        pattern = _pattern.__wrapped__(a.shape, a_labels, b.shape, b_labels, out_labels)
    else:
        pattern = _pattern(a.shape, a_labels, b.shape, b_labels, out_labels)
    if pattern.a_shape is not None:
        a = RESHAPE(a, pattern.a_shape)
    if pattern.b_shape is not None:
        b = RESHAPE(b, pattern.b_shape)
    contraction = pattern.contraction
    if not contraction.contracted_a:
        return _outer(a, pattern.a_labels, b, pattern.b_labels, out_labels)
    operands = (b, a) if pattern.swapped else (a, b)
    product = record(DOT, operands, contraction, pattern.shape, a.dtype)
    return product if pattern.axes is None else TRANSPOSE(product, pattern.axes)


def _behind_transposes(x: Node, labels: Labels) -> tuple[Node, Labels]:
    """What `x` is a transpose of, with the labels of its axes."""
    while x.primitive is TRANSPOSE and x.inputs:
        labels = _permuted_back(labels, x.params[0])
        (x,) = x.inputs
    return x, labels


@lru_cache(_PATTERNS_KEPT)
def _permuted_back(labels: Labels, axes: Axes) -> Labels:
    original = [0] * len(axes)
    for label, axis in zip(labels, axes, strict=True):
        original[axis] = label
    return tuple(original)


class _Pattern(NamedTuple):
    """How to record one product: reshape the operands, exchange them, contract, transpose."""

    a_shape: Shape | None  # None: no axis is broadcast away
    b_shape: Shape | None
    a_labels: Labels
    b_labels: Labels
    swapped: bool
    contraction: Contraction
    shape: Shape
    axes: Axes | None  # None: the order is right


@lru_cache(_PATTERNS_KEPT)
def _pattern(a_shape: Shape, a_labels: Labels, b_shape: Shape, b_labels: Labels, out: Labels) -> _Pattern:
    """Choose the contraction. An axis that is broadcast becomes a free axis of the other operand alone."""
    a = dict(zip(a_labels, a_shape, strict=True))
    b = dict(zip(b_labels, b_shape, strict=True))
    kept_a = {x: extent for x, extent in a.items() if not (x in b and x in out and _is_one(extent))}
    kept_b = {x: extent for x, extent in b.items() if not (x in kept_a and x in out and _is_one(extent))}
    contracted = [x for x in kept_a if x in kept_b and x not in out]
    batch = [x for x in out if x in kept_a and x in kept_b]
    free_a = [x for x in kept_a if x not in kept_b]
    free_b = [x for x in kept_b if x not in kept_a]
    swapped = (*batch, *free_a, *free_b) != out and (*batch, *free_b, *free_a) == out
    first, second = (list(kept_b), list(kept_a)) if swapped else (list(kept_a), list(kept_b))
    order = (*batch, *free_b, *free_a) if swapped else (*batch, *free_a, *free_b)
    extents = {**kept_a, **kept_b}
    return _Pattern(
        a_shape=None if len(kept_a) == len(a) else tuple(kept_a.values()),
        b_shape=None if len(kept_b) == len(b) else tuple(kept_b.values()),
        a_labels=tuple(kept_a),
        b_labels=tuple(kept_b),
        swapped=swapped,
        contraction=Contraction(
            tuple(first.index(x) for x in contracted),
            tuple(second.index(x) for x in contracted),
            tuple(first.index(x) for x in batch),
            tuple(second.index(x) for x in batch),
        ),
        shape=tuple(extents[x] for x in order),
        axes=None if order == out else tuple(order.index(x) for x in out),
    )


def _is_one(extent: int) -> bool:
    """Whether an axis is broadcast away. One of unknown size is not: `_broadcast_together` has broadcast it."""
    return type(extent) is not Size and extent == 1


def _broadcast_together(a: Node, a_labels: Labels, b: Node, b_labels: Labels, out_labels: Labels) -> tuple[Node, Node]:
    """The operands with the same extents where they share a label of the output.

    While a shapeless trace is recorded it is not known which of them is to be broadcast.
    """
    extents = dict(zip(b_labels, b.shape, strict=True))
    for label, extent in zip(a_labels, a.shape, strict=True):
        if label in extents and label in out_labels:
            extents[label] = broadcast_extent(extent, extents[label])
    shared = {label for label in a_labels if label in b_labels and label in out_labels}
    return _with_extents(a, a_labels, extents, shared), _with_extents(b, b_labels, extents, shared)


def _with_extents(x: Node, labels: Labels, extents: dict[int, int], shared: set[int]) -> Node:
    shape = tuple(
        extents[label] if label in shared and not _is_one(extent) else extent
        for label, extent in zip(labels, x.shape, strict=True)
    )
    same = all(wanted is extent for wanted, extent in zip(shape, x.shape, strict=True))
    return x if same else BROADCAST(x, shape)


def _outer(a: Node, a_labels: Labels, b: Node, b_labels: Labels, out_labels: Labels) -> Node:
    """A product with nothing to sum over, which engines do best elementwise."""
    return MULTIPLY(_spread(a, a_labels, out_labels), _spread(b, b_labels, out_labels))


def _spread(x: Node, labels: Labels, out_labels: Labels) -> Node:
    """`x` with its axes in the order of `out_labels` and an axis of extent 1 for each label that it lacks."""
    mine = [label for label in out_labels if label in labels]
    x = transpose(x, tuple(labels.index(label) for label in mine))
    extents = iter(x.shape)
    return reshape(x, tuple(next(extents) if label in labels else 1 for label in out_labels))


# ------------------------------------------------------------------ the primitive


def _dot_shape(a: Node, b: Node, *params: Axes) -> tuple[Shape, Dtype]:
    contraction = Contraction(*params)
    free_a = _free_axes(a.ndim, contraction.contracted_a, contraction.batch_a)
    free_b = _free_axes(b.ndim, contraction.contracted_b, contraction.batch_b)
    extents = [a.shape[axis] for axis in contraction.batch_a + free_a] + [b.shape[axis] for axis in free_b]
    return tuple(extents), a.dtype


@lru_cache(_PATTERNS_KEPT)
def _dot_labels(a_ndim: int, b_ndim: int, *params: Axes) -> tuple[Labels, Labels, Labels]:
    """Labels of the operands and the output of `DOT`, as `contract` takes them."""
    contraction = Contraction(*params)
    a = tuple(range(a_ndim))
    b = list(range(a_ndim, a_ndim + b_ndim))
    for axis, partner in zip(contraction.contracted_b, contraction.contracted_a, strict=True):
        b[axis] = partner
    for axis, partner in zip(contraction.batch_b, contraction.batch_a, strict=True):
        b[axis] = partner
    free_a = _free_axes(a_ndim, contraction.contracted_a, contraction.batch_a)
    free_b = _free_axes(b_ndim, contraction.contracted_b, contraction.batch_b)
    return a, tuple(b), (*contraction.batch_a, *free_a, *(b[axis] for axis in free_b))


def _cotangent_a(g: Node, out: Node, a: Node, b: Node, *params: Axes) -> Node:
    a_labels, b_labels, out_labels = _dot_labels(a.ndim, b.ndim, *params)
    return contract(g, conjugate(b), out_labels, b_labels, a_labels)


def _cotangent_b(g: Node, out: Node, a: Node, b: Node, *params: Axes) -> Node:
    a_labels, b_labels, out_labels = _dot_labels(a.ndim, b.ndim, *params)
    return contract(conjugate(a), g, a_labels, out_labels, b_labels)


def _batch_dot(inputs: Sequence[Node], dims: Dims, *params: Axes) -> tuple[Node, int]:
    """The new axis is one more batch axis, or a free one of the only operand that has it."""
    a, b = inputs
    dim_a, dim_b = dims
    contraction = Contraction(*params)
    contracted_a, batch_a = _past(dim_a, contraction.contracted_a), _past(dim_a, contraction.batch_a)
    contracted_b, batch_b = _past(dim_b, contraction.contracted_b), _past(dim_b, contraction.batch_b)
    if dim_a is not None and dim_b is not None:
        return DOT(a, b, contracted_a, contracted_b, (dim_a, *batch_a), (dim_b, *batch_b)), 0
    out = DOT(a, b, contracted_a, contracted_b, batch_a, batch_b)
    free_a = _free_axes(a.ndim, contracted_a, batch_a)
    if dim_a is not None:
        return out, len(batch_a) + free_a.index(dim_a)
    assert dim_b is not None
    return out, len(batch_a) + len(free_a) + _free_axes(b.ndim, contracted_b, batch_b).index(dim_b)


def _past(dim: int | None, axes: Axes) -> Axes:
    """Axes as they are numbered once `dim` has been inserted."""
    return axes if dim is None else tuple(axis + (axis >= dim) for axis in axes)


@lru_cache(_PATTERNS_KEPT)
def _layout(a_ndim: int, b_ndim: int, *params: Axes) -> tuple[Axes, Axes, int, int, int]:
    """Permutations to (batch, free, contracted) and (batch, contracted, free); counts of batch and free axes."""
    contraction = Contraction(*params)
    contracted_a, contracted_b, batch_a, batch_b = contraction
    # Axes that are adjacent in memory are merged without a copy only in the order in which they lie there.
    order = sorted(range(len(contracted_a)), key=contracted_a.__getitem__)
    contracted_a = tuple(contracted_a[i] for i in order)
    contracted_b = tuple(contracted_b[i] for i in order)
    free_a = _free_axes(a_ndim, contracted_a, batch_a)
    free_b = _free_axes(b_ndim, contracted_b, batch_b)
    a_axes = (*batch_a, *free_a, *contracted_a)
    b_axes = (*batch_b, *contracted_b, *free_b)
    return a_axes, b_axes, len(batch_a), len(free_a), len(free_b)


def _dot_kernel(a: Any, b: Any, *params: Axes) -> Any:
    a_axes, b_axes, batch, free_a, free_b = _layout(a.ndim, b.ndim, *params)
    a = a.transpose(a_axes)
    b = b.transpose(b_axes)
    shape = a.shape[: batch + free_a] + b.shape[b.ndim - free_b :]
    if free_a != 1 or a.ndim != batch + 2:
        rows, summed = math.prod(a.shape[batch : batch + free_a]), math.prod(a.shape[batch + free_a :])
        a = a.reshape(*a.shape[:batch], rows, summed)
    if free_b != 1 or b.ndim != batch + 2:
        b = b.reshape(*b.shape[:batch], a.shape[-1], math.prod(shape[batch + free_a :]))
    return np.matmul(_for_blas(a), _for_blas(b)).reshape(shape)


def _for_blas(x: Any) -> Any:
    """`x` with matrices laid out by rows or by columns: others NumPy may multiply without its library."""
    *_, row, column = x.strides
    unit = x.itemsize
    if (column == unit and row >= unit * x.shape[-1]) or (row == unit and column >= unit * x.shape[-2]):
        return x
    return np.ascontiguousarray(x)


def _dot_xla(xla: Any, a: Any, b: Any, *params: Axes) -> Any:
    contraction = Contraction(*params)
    shape, _ = _dot_shape(a, b, *params)
    if xla.platform == "cpu" and not contraction.batch_a:
        a, b, contraction = _as_matrices(xla.lax, a, b, contraction)
    dimensions = (
        (contraction.contracted_a, contraction.contracted_b),
        (contraction.batch_a, contraction.batch_b),
    )
    wide = None if a.dtype.itemsize > 2 else np.float32
    return xla.lax.dot_general(a, b, dimensions, preferred_element_type=wide).astype(a.dtype).reshape(shape)


def _as_matrices(lax: Any, a: Any, b: Any, contraction: Contraction) -> tuple[Any, Any, Contraction]:
    """Operands as XLA multiplies them fastest on CPUs: with one axis to sum over, the first or the last, and one other.

    It would rearrange operands of more axes in memory, to put those that are summed over last. The one copy that pays
    (measured with jax 0.10.2) is that of an `a` whose rows are summed over, as in gradients of weights: its library
    for products, which takes a `b` of either order, multiplies by rows of `a`.
    """
    contracted_a, contracted_b, *_ = contraction
    order = sorted(range(len(contracted_a)), key=contracted_a.__getitem__)
    matrix_a = _as_matrix(a, tuple(contracted_a[i] for i in order))
    matrix_b = _as_matrix(b, tuple(contracted_b[i] for i in order))
    if matrix_a is None or matrix_b is None:
        return a, b, contraction
    (a, axis_a), (b, axis_b) = matrix_a, matrix_b
    if axis_a == 0 and a.size * b.shape[1 - axis_b] >= _WORTH_TRANSPOSING:
        a, axis_a = lax.optimization_barrier(lax.transpose(a, (1, 0))), 1
    return a, b, Contraction((axis_a,), (axis_b,), (), ())


_WORTH_TRANSPOSING = 1e6  # multiplications from which a product is worth a copy of an operand


def _as_matrix(x: Any, contracted: Axes) -> tuple[Any, int] | None:
    """`x` as a matrix, without moving anything, and its axis that is summed over; None where that cannot be."""
    summed = math.prod(x.shape[axis] for axis in contracted)
    free = math.prod(x.shape[axis] for axis in _free_axes(x.ndim, contracted, ()))
    if contracted == tuple(range(len(contracted))):
        return x.reshape(summed, free), 0
    if contracted == tuple(range(x.ndim - len(contracted), x.ndim)):
        return x.reshape(free, summed), 1
    return None


def _dot_cost(node: Node) -> float:
    if not node.inputs:
        return 0.0
    a, _ = node.inputs
    summed = math.prod(a.shape[axis] for axis in node.params[0])  # type: ignore[attr-defined]
    return 2.0 * node.size * summed / _FLOPS_A_NANOSECOND


# As XLA's dot_general: the output's axes are the batch, then the free axes of a, then those of b.
DOT = Primitive(
    "dot",
    arity=2,
    shape=_dot_shape,
    kernel=_dot_kernel,
    lower=_dot_xla,
    vjp=(_cotangent_a, _cotangent_b),
    linear=(0, 1),
    batch=_batch_dot,
    cost=_dot_cost,
    library_bound=True,
)

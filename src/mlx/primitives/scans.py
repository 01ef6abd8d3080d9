"""Scans along one axis: cumulative sums, products and extrema, and the linear recurrence that their derivatives are.

All of them are inclusive; `previous` makes exclusive ones of them. With `reverse` they run from the end to the start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from mlx.ir.node import Node
from mlx.ir.primitive import Primitive, Rule, scalar_node
from mlx.primitives.arithmetic import ADD, EQUAL, MAXIMUM, MINIMUM, MULTIPLY
from mlx.primitives.elementwise import SELECT, conjugate, weigh
from mlx.primitives.exponential import LOGADDEXP
from mlx.primitives.shape import Dims, batch_size, batch_to_front
from mlx.primitives.slicing import PAD, slice_axis
from mlx.primitives.softmax import EXP_DIFFERENCE

Array = Any


def previous(x: Node, axis: int, reverse: bool, border: complex) -> Node:
    """For each element along `axis` the one that a scan met before it, and `border` for the first."""
    extent = x.shape[axis]
    if extent == 0:
        return x
    starts = [0] * x.ndim
    starts[axis] = 0 if reverse else 1
    moved = slice_axis(x, axis, 1 if reverse else 0, extent - 1)
    return PAD(moved, border, tuple(starts), x.shape, (1,) * x.ndim)


def _in_order(x: Array, axis: int, reverse: bool) -> Array:
    """`x` with the axis of the scan first, in the order of the scan. For two such views this undoes itself."""
    moved = np.moveaxis(x, axis, 0)
    return moved[::-1] if reverse else moved


def _back_in_place(x: Array, axis: int, reverse: bool) -> Array:
    return np.moveaxis(x[::-1] if reverse else x, 0, axis)


def _scan_xla(xla: Any, combine: Callable[[Any, Any], Any], operands: Any, axis: int, reverse: bool) -> Any:
    """The scan of an associative function of trees of arrays.

    A loop is what CPUs run fastest and compile fastest; on devices of many cores the scan is a tree.
    """
    lax, jnp = xla.lax, xla.jnp
    if xla.platform != "cpu":
        return lax.associative_scan(combine, operands, reverse=reverse, axis=axis)
    leaves = [jnp.moveaxis(x, axis, 0) for x in operands]
    edge = -1 if reverse else 0
    rest = slice(None, -1) if reverse else slice(1, None)

    def step(carry: Any, row: Any) -> Any:
        carry = combine(carry, row)
        return carry, carry

    first = tuple(x[edge] for x in leaves)
    _, scanned = lax.scan(step, first, tuple(x[rest] for x in leaves), reverse=reverse)
    pieces = [(s, f[None]) if reverse else (f[None], s) for f, s in zip(first, scanned, strict=True)]
    return tuple(jnp.moveaxis(lax.concatenate(pair, 0), 0, axis) for pair in pieces)


_STRIPS = 8
_LEAST_EXTENT = 2**12  # elements of a line from which on it is scanned in strips


def _scan_in_strips(xla: Any, combine: Callable[[Any, Any], Any], x: Array, axis: int, reverse: bool) -> Array:
    """The scan of a few long lines on CPUs, each cut into strips that are scanned at the same time.

    A step need not wait for the one before, of another strip: the sum of 1e6 numbers takes 1.6 ms instead of 4.1.
    """
    lax, jnp = xla.lax, xla.jnp
    lines = jnp.moveaxis(x, axis, -1)
    last, extent = x.ndim - 1, x.shape[axis]
    length = -(-extent // _STRIPS)
    if reverse:
        lines = lax.rev(lines, (last,))
    padding = [(0, 0)] * last + [(0, _STRIPS * length - extent)]  # at the end, where it meets no element
    strips = jnp.pad(lines, padding).reshape(*lines.shape[:-1], _STRIPS, length)

    def step(i: Any, state: tuple[Array, Array]) -> tuple[Array, Array]:
        total, strips = state
        total = combine(total, lax.dynamic_slice_in_dim(strips, i, 1, last + 1))
        return total, lax.dynamic_update_slice_in_dim(strips, total, i, last + 1)

    totals, strips = lax.fori_loop(1, length, step, (strips[..., :1], strips))
    before = totals[..., 0, :]
    pieces = [strips[..., 0, :]]
    for i in range(1, _STRIPS):
        pieces.append(combine(jnp.broadcast_to(before, pieces[0].shape), strips[..., i, :]))
        before = combine(before, totals[..., i, :])
    out = lax.slice_in_dim(lax.concatenate(pieces, last), 0, extent, axis=last)
    return jnp.moveaxis(lax.rev(out, (last,)) if reverse else out, -1, axis)


class Scan(Primitive):
    """A primitive `f(x, axis, reverse)` of the shape and dtype of x."""

    def __init__(
        self,
        name: str,
        accumulate: Callable[[Array], Array],
        combine: Primitive,
        vjp: Rule,
        jvp: Rule | None = None,
        linear: bool = False,
        in_strips: bool = True,
        nanoseconds: float = 3.0,
    ) -> None:
        """Declare it by the NumPy function that accumulates along the first axis and the primitive of one step.

        Args:
            in_strips: whether results of parts of a line can be combined whatever the elements are.
        """

        def kernel(x: Array, axis: int, reverse: bool) -> Array:
            return _back_in_place(accumulate(_in_order(x, axis, reverse)), axis, reverse)

        def lower(xla: Any, x: Array, axis: int, reverse: bool) -> Array:
            if not x.size:
                return x
            wide = x.astype(np.float32) if x.dtype.kind in "fV" and x.dtype.itemsize == 2 else x

            def step(a: Any, b: Any) -> Any:
                return (combine.lower(xla, a[0], b[0]),)  # type: ignore[misc]

            extent = x.shape[axis]
            if in_strips and xla.platform == "cpu" and extent >= _LEAST_EXTENT and x.size < _STRIPS * extent:
                return _scan_in_strips(xla, partial(combine.lower, xla), wide, axis, reverse).astype(x.dtype)  # type: ignore[arg-type]
            return _scan_xla(xla, step, (wide,), axis, reverse)[0].astype(x.dtype)

        super().__init__(
            name,
            arity=1,
            shape=lambda x, axis, reverse: (x.shape, x.dtype),
            kernel=kernel,
            lower=lower,
            vjp=(vjp,),
            jvp=jvp,
            linear=(0,) if linear else (),
            batch=self._batch,
            nanoseconds=nanoseconds,
        )

    def _batch(self, inputs: Sequence[Node], dims: Dims, axis: int, reverse: bool) -> tuple[Node, int]:
        return self(batch_to_front(inputs[0], dims[0], 1), axis + 1, reverse), 0


def _by_ufunc(function: Any) -> Callable[[Array], Array]:
    return lambda x: function.accumulate(x, axis=0, dtype=x.dtype)


# ---------------------------------------------------------------------- the linear recurrence


def _recurrence(a: Array, b: Array, axis: int, reverse: bool) -> Array:
    """By doubling: after each pass an element holds what the last 1, 2, 4, ... terms contribute."""
    factor = _in_order(a, axis, reverse).copy()
    out = _in_order(b, axis, reverse).copy()
    span = 1
    while span < len(out):
        out[span:] = out[span:] + factor[span:] * out[:-span]
        factor[span:] = factor[span:] * factor[:-span]
        span *= 2
    return _back_in_place(out, axis, reverse)


def _recurrence_xla(xla: Any, a: Array, b: Array, axis: int, reverse: bool) -> Array:
    if not b.size:
        return b
    dtype = b.dtype
    if dtype.itemsize == 2:
        a, b = a.astype(np.float32), b.astype(np.float32)

    def combine(earlier: Any, later: Any) -> Any:
        (a1, b1), (a2, b2) = earlier, later
        return a1 * a2, a2 * b1 + b2

    return _scan_xla(xla, combine, (a, b), axis, reverse)[1].astype(dtype)


def _recurrence_cotangent(g: Node, a: Node, axis: int, reverse: bool) -> Node:
    """The cotangent of b: the recurrence run backwards."""
    return RECURRENCE(previous(conjugate(a), axis, not reverse, 0), g, axis, not reverse)


def _recurrence_factor_cotangent(g: Node, out: Node, a: Node, b: Node, axis: int, reverse: bool) -> Node:
    return weigh(_recurrence_cotangent(g, a, axis, reverse), conjugate(previous(out, axis, reverse, 0)))


def _recurrence_tangent(
    tangents: Sequence[Node | None], out: Node, a: Node, b: Node, axis: int, reverse: bool
) -> Node | None:
    factor, term = tangents
    if factor is not None:
        change = weigh(factor, previous(out, axis, reverse, 0))
        term = change if term is None else term + change
    return None if term is None else RECURRENCE(a, term, axis, reverse)


def _batch_recurrence(inputs: Sequence[Node], dims: Dims, axis: int, reverse: bool) -> tuple[Node, int]:
    size = batch_size(inputs, dims)
    a, b = (batch_to_front(x, dim, size) for x, dim in zip(inputs, dims, strict=True))
    return RECURRENCE(a, b, axis + 1, reverse), 0


# out[k] = a[k] out[k - 1] + b[k], the derivative of every scan and of itself: no step divides, so zeros do no harm.
RECURRENCE = Primitive(
    "recurrence",
    arity=2,
    shape=lambda a, b, axis, reverse: (b.shape, b.dtype),
    kernel=_recurrence,
    lower=_recurrence_xla,
    vjp=(
        _recurrence_factor_cotangent,
        lambda g, out, a, b, axis, reverse: _recurrence_cotangent(g, a, axis, reverse),
    ),
    jvp=_recurrence_tangent,
    batch=_batch_recurrence,
    nanoseconds=20.0,
)

# ---------------------------------------------------------------------- sums and products

CUMSUM = Scan(
    "cumsum",
    _by_ufunc(np.add),
    ADD,
    lambda g, out, x, axis, reverse: CUMSUM(g, axis, not reverse),
    linear=True,
)


def _cumprod_cotangent(g: Node, out: Node, x: Node, axis: int, reverse: bool) -> Node:
    """Factors before an element are their own product; those after it enter through the recurrence."""
    before = previous(out, axis, reverse, 1)
    return weigh(_recurrence_cotangent(g, x, axis, reverse), conjugate(before))


def _cumprod_tangent(tangents: Sequence[Node], out: Node, x: Node, axis: int, reverse: bool) -> Node:
    return RECURRENCE(x, weigh(tangents[0], previous(out, axis, reverse, 1)), axis, reverse)


CUMPROD = Scan(
    "cumprod",
    _by_ufunc(np.multiply),
    MULTIPLY,
    _cumprod_cotangent,
    _cumprod_tangent,
    in_strips=False,  # a part's product may be infinite where what comes before is zero
)

# ---------------------------------------------------------------------- extrema


def _reached(out: Node, x: Node) -> tuple[Node, Node]:
    """Where an element is the extremum so far, of equal ones the latest; and a factor that is 1 elsewhere."""
    reached = EQUAL(x, out)
    return reached, SELECT(reached, scalar_node(0, x.dtype), scalar_node(1, x.dtype))


def _extremum_cotangent(g: Node, out: Node, x: Node, axis: int, reverse: bool) -> Node:
    reached, stays = _reached(out, x)
    return SELECT(reached, _recurrence_cotangent(g, stays, axis, reverse), 0)


def _extremum_tangent(tangents: Sequence[Node], out: Node, x: Node, axis: int, reverse: bool) -> Node:
    reached, stays = _reached(out, x)
    return RECURRENCE(stays, SELECT(reached, tangents[0], 0), axis, reverse)


# From a NaN on, all is NaN.
CUMMAX = Scan("cummax", _by_ufunc(np.maximum), MAXIMUM, _extremum_cotangent, _extremum_tangent)
CUMMIN = Scan("cummin", _by_ufunc(np.minimum), MINIMUM, _extremum_cotangent, _extremum_tangent)

# ---------------------------------------------------------------------- sums of exponentials


def _logcumsumexp(x: Array) -> Array:
    if x.dtype.kind != "c":
        return np.logaddexp.accumulate(x, axis=0)
    out = x.copy()  # NumPy has no logaddexp of complex numbers: by doubling, as in the recurrence
    span = 1
    while span < len(out):
        out[span:] = LOGADDEXP.kernel(out[:-span], out[span:])  # type: ignore[misc]
        span *= 2
    return out


def _logcumsumexp_cotangent(g: Node, out: Node, x: Node, axis: int, reverse: bool) -> Node:
    """Every factor is an exponential of what is not positive, so that nothing overflows."""
    decay = EXP_DIFFERENCE(out, previous(out, axis, not reverse, float("inf")))
    later = RECURRENCE(conjugate(decay), g, axis, not reverse)
    return weigh(later, conjugate(EXP_DIFFERENCE(x, out)))


def _logcumsumexp_tangent(tangents: Sequence[Node], out: Node, x: Node, axis: int, reverse: bool) -> Node:
    decay = EXP_DIFFERENCE(previous(out, axis, reverse, float("-inf")), out)
    return RECURRENCE(decay, weigh(tangents[0], EXP_DIFFERENCE(x, out)), axis, reverse)


LOGCUMSUMEXP = Scan(
    "logcumsumexp",
    _logcumsumexp,
    LOGADDEXP,
    _logcumsumexp_cotangent,
    _logcumsumexp_tangent,
    nanoseconds=20.0,
)

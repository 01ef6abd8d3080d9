"""Elementwise primitives in general: declared by their partial derivatives. Also the three that rules are built on:
`weigh`, the product in which a zero cotangent annihilates, `select` and `conjugate`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype, bool_, float32
from mlx.ir.node import Node, Shape, record
from mlx.ir.primitive import SCALAR, Primitive, Rule, broadcast_shape
from mlx.primitives.shape import align_batches, broadcast, unbroadcast

Partial = Callable[..., Node] | float | None


def same_dtype(*inputs: Node) -> Dtype:
    return inputs[-1].dtype


def boolean(*inputs: Node) -> Dtype:
    return bool_


def real_part_dtype(*inputs: Node) -> Dtype:
    return float32 if inputs[0].dtype.is_complex else inputs[0].dtype


class Elementwise(Primitive):
    """An elementwise primitive whose inputs broadcast as in NumPy and have been promoted to one dtype.

    `partials` holds for each input the partial derivative of the output: a rule `d(out, *inputs)` that records it, a
    number where it is constant, or None where it is zero. Without partials it passes no derivative. From them follow
    cotangents (summed down to the input's shape) and tangents, to any order.
    """

    def __init__(
        self,
        name: str,
        arity: int,
        kernel: Callable[..., Any],
        lower: str | Callable[..., Any],
        partials: Sequence[Partial] | None = None,
        *,
        dtype: Callable[..., Dtype] = same_dtype,
        vjp: Sequence[Rule | None] | None = None,
        jvp: Rule | None = None,
        nanoseconds: float = 0.5,
        moves_data: bool = False,
    ) -> None:
        """Declare it; `vjp` and `jvp` replace the partials of a function that is not holomorphic in a complex input."""
        if isinstance(lower, str):
            lower = _lax_function(lower)
        if partials is not None:
            vjp = tuple(_cotangent_rule(i, d) for i, d in enumerate(partials))
            jvp = self._tangent
        super().__init__(
            name,
            arity=arity,
            shape=self._shape,
            kernel=kernel,
            lower=lower if arity == 1 else _broadcasting(lower),
            vjp=vjp,
            jvp=jvp,
            batch=self._batch,
            nanoseconds=nanoseconds,
            moves_data=moves_data,
        )
        self.partials = tuple(partials or ())
        self.output_dtype = dtype

    def _shape(self, *inputs: Node) -> tuple[Shape, Dtype]:
        shape = inputs[0].shape
        for operand in inputs[1:]:
            if operand.shape != shape:
                shape = broadcast_shape(shape, operand.shape)
        return shape, self.output_dtype(*inputs)

    def _tangent(self, tangents: Sequence[Node | None], out: Node, *inputs: Node) -> Node | None:
        total = None
        for tangent, partial in zip(tangents, self.partials, strict=True):
            if tangent is None or partial is None:
                continue
            term = _scaled(tangent, partial, out, inputs, conjugated=False)
            total = term if total is None else total + term
        return None if total is None else broadcast(total, out.shape)

    def _batch(self, inputs: Sequence[Node], dims: Sequence[int | None]) -> tuple[Node, int]:
        return self(*align_batches(inputs, dims)), 0


def _cotangent_rule(index: int, partial: Partial) -> Callable[..., Node] | None:
    if partial is None:
        return None

    def rule(g: Node, out: Node, *inputs: Node) -> Node:
        cotangent = _scaled(g, partial, out, inputs, conjugated=True)
        return unbroadcast(cotangent, inputs[index].shape)

    return rule


def _scaled(g: Node, partial: Partial, out: Node, inputs: Sequence[Node], conjugated: bool) -> Node:
    """The cotangent or tangent `g` times a partial derivative."""
    if callable(partial):
        local = partial(out, *inputs)
        return weigh(g, conjugate(local) if conjugated else local)
    assert partial is not None
    return g if partial == 1 else -g if partial == -1 else g * partial


def _lax_function(name: str) -> Callable[..., Any]:
    return lambda xla, *operands: getattr(xla.lax, name)(*operands)


def cut_along_the_real_axis(name: str) -> Callable[..., Any]:
    """XLA's function of that name, right on both sides of its branch cut.

    XLA takes the imaginary part -0.0 for 0.0, and so the lower side of the cut for the upper one. The function's value
    at the conjugate is the conjugate of its value.
    """

    def lowered(xla: Any, x: Any) -> Any:
        function = getattr(xla.lax, name)
        if x.dtype.kind != "c":
            return function(x)
        imaginary = xla.lax.imag(x)
        below = (imaginary == 0) & xla.jnp.signbit(imaginary)
        out = function(xla.lax.select(below, xla.lax.conj(x), x))
        return xla.lax.select(below, xla.lax.conj(out), out)

    return lowered


def _broadcasting(lower: Callable[..., Any]) -> Callable[..., Any]:
    def lowered(xla: Any, *operands: Any) -> Any:
        shape = np.broadcast_shapes(*(x.shape for x in operands))
        return lower(xla, *(x if x.shape == shape else xla.jnp.broadcast_to(x, shape) for x in operands))

    return lowered


def conjugate(x: Node) -> Node:
    return CONJUGATE(x) if x.dtype.is_complex else x


# The conjugate is not holomorphic: its cotangent is conj(g) in the convention dl/dx + i dl/dy, so no partial fits.
CONJUGATE = Primitive(
    "conjugate",
    arity=1,
    shape=lambda x: (x.shape, x.dtype),
    kernel=np.conjugate,
    lower=lambda xla, x: xla.lax.conj(x),
    vjp=(lambda g, out, x: conjugate(g),),
    linear=(0,),
    batch=lambda inputs, dims: (CONJUGATE(inputs[0]), dims[0]),
)


def _select(condition: Any, x: Any, y: Any) -> Any:
    return np.where(condition, x, y)


SELECT = Primitive(
    "select",
    arity=3,
    shape=lambda condition, x, y: (
        broadcast_shape(condition.shape, broadcast_shape(x.shape, y.shape)),
        (x if y.shape == () else y).dtype,
    ),
    kernel=_select,
    lower=_broadcasting(lambda xla, condition, x, y: xla.lax.select(condition, x, y)),
    vjp=(
        None,
        lambda g, out, condition, x, y: unbroadcast(SELECT(condition, g, 0), x.shape),
        lambda g, out, condition, x, y: unbroadcast(SELECT(condition, 0, g), y.shape),
    ),
    batch=lambda inputs, dims: (SELECT(*align_batches(inputs, dims)), 0),
    moves_data=True,
)


def _select_tangent(tangents: Sequence[Node | None], out: Node, condition: Node, x: Node, y: Node) -> Node | None:
    _, tangent_x, tangent_y = tangents
    if tangent_x is None and tangent_y is None:
        return None
    moved = SELECT(condition, 0 if tangent_x is None else tangent_x, 0 if tangent_y is None else tangent_y)
    return broadcast(moved, out.shape)


SELECT.jvp = _select_tangent


def weigh(g: Node, local: Node) -> Node:
    """The cotangent `g` times the partial derivative `local`, zero where `g` is zero whatever `local` is.

    So a branch that `where` did not take passes nothing on, even where its derivative is infinite there.
    """
    if local.primitive is SCALAR and np.isfinite(local.params[0]):  # type: ignore[arg-type]
        return g * local
    shape = g.shape if g.shape == local.shape else broadcast_shape(g.shape, local.shape)
    return record(WEIGH, (g, local), (), shape, g.dtype if local.shape == () else local.dtype)


def _weigh(g: Any, local: Any) -> Any:
    product = np.multiply(local, g)
    undefined = np.isnan(product)
    if undefined.any():
        product = np.where(undefined & np.equal(g, 0) & ~np.isfinite(local), np.zeros_like(product), product)
    return product


def _weigh_xla(xla: Any, g: Any, local: Any) -> Any:
    dead = _dead_xla(xla, g, local)
    return xla.lax.select(dead, xla.jnp.zeros_like(g), g * local)


def _dead_xla(xla: Any, g: Any, local: Any) -> Any:
    return (g == 0) & ~xla.jnp.isfinite(local)


# True where a zero cotangent meets a partial derivative that is not finite. Not differentiated itself, or second
# derivatives would lose what the first cotangent contributes where it happens to be zero.
DEAD = Elementwise(
    "dead",
    2,
    lambda g, local: np.equal(g, 0) & ~np.isfinite(local),
    _dead_xla,
    dtype=boolean,
)

WEIGH = Primitive(
    "weigh",
    arity=2,
    shape=lambda g, local: (broadcast_shape(g.shape, local.shape), g.dtype if local.shape == () else local.dtype),
    kernel=_weigh,
    lower=_broadcasting(_weigh_xla),
    vjp=(
        lambda u, out, g, local: unbroadcast(SELECT(DEAD(g, local), 0, WEIGH(u, conjugate(local))), g.shape),
        lambda u, out, g, local: unbroadcast(SELECT(DEAD(g, local), 0, WEIGH(u, conjugate(g))), local.shape),
    ),
    batch=lambda inputs, dims: (WEIGH(*align_batches(inputs, dims)), 0),
)


def _weigh_tangent(tangents: Sequence[Node | None], out: Node, g: Node, local: Node) -> Node | None:
    total = None
    for tangent, other in ((tangents[0], local), (tangents[1], g)):
        if tangent is not None:
            term = WEIGH(tangent, other)
            total = term if total is None else total + term
    return None if total is None else broadcast(SELECT(DEAD(g, local), 0, total), out.shape)


WEIGH.jvp = _weigh_tangent

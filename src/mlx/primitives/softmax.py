"""The softmax, the logarithm of a sum of exponentials, and the stable exponential of a difference that they share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive
from mlx.primitives.elementwise import Elementwise, conjugate, weigh
from mlx.primitives.shape import SUM, Dims, batch_to_front, reduced_shape, reshape

Axes = tuple[int, ...]


def _exp_difference(a: Any, b: Any) -> Any:
    out = np.exp(a - b)
    undefined = np.isnan(out)
    if undefined.any():
        out = np.where(undefined & np.equal(a, b), np.greater(a.real, 0).astype(out.dtype), out)
    return out


def _exp_difference_xla(xla: Any, a: Any, b: Any) -> Any:
    alike = (a == b) & ~xla.jnp.isfinite(a)
    return xla.lax.select(alike, (a.real > 0).astype(a.dtype), xla.lax.exp(a - b))


# exp(a - b), which for equal infinities is 1 (inf) or 0 (-inf): the share of one term in a sum that is infinite, and
# in a sum of nothing but zeros.
EXP_DIFFERENCE = Elementwise(
    "exp_difference",
    2,
    _exp_difference,
    _exp_difference_xla,
    (lambda out, a, b: out, lambda out, a, b: -out),
    nanoseconds=3.0,
)


def _widened(xla: Any, x: Any) -> Any:
    return x.astype(np.float32) if x.dtype.itemsize == 2 else x


def _softmax(x: Any, axes: Axes) -> Any:
    if not x.size:
        return x
    out = np.asarray(x - np.maximum.reduce(x.real, axis=axes, keepdims=True))
    np.exp(out, out=out)
    out /= np.add.reduce(out, axis=axes, keepdims=True)
    return out


def _softmax_xla(xla: Any, x: Any, axes: Axes) -> Any:
    if not x.size:
        return x
    wide = _widened(xla, x)
    powers = xla.lax.exp(wide - xla.jnp.max(wide.real, axis=axes, keepdims=True))
    return (powers / xla.jnp.sum(powers, axis=axes, keepdims=True)).astype(x.dtype)


def _softmax_cotangent(g: Node, out: Node, x: Node, axes: Axes) -> Node:
    return _softmax_derivative(g, conjugate(out), axes)


def _softmax_tangent(tangents: Sequence[Node], out: Node, x: Node, axes: Axes) -> Node:
    return _softmax_derivative(tangents[0], out, axes)


def _softmax_derivative(moved: Node, out: Node, axes: Axes) -> Node:
    """The derivative is symmetric: cotangents and tangents pass it in the same way."""
    return weigh(moved - SUM(weigh(moved, out), axes, True), out)


def _batch_softmax(inputs: Sequence[Node], dims: Dims, axes: Axes) -> tuple[Node, int]:
    return SOFTMAX(batch_to_front(inputs[0], dims[0], 1), tuple(axis + 1 for axis in axes)), 0


SOFTMAX = Primitive(
    "softmax",
    arity=1,
    shape=lambda x, axes: (x.shape, x.dtype),
    kernel=_softmax,
    lower=_softmax_xla,
    vjp=(_softmax_cotangent,),
    jvp=_softmax_tangent,
    batch=_batch_softmax,
    nanoseconds=4.0,
)


def _logsumexp_shape(x: Node, axes: Axes, keepdims: bool) -> tuple[Shape, Dtype]:
    return reduced_shape(x.shape, axes, keepdims), x.dtype


def _logsumexp(x: Any, axes: Axes, keepdims: bool) -> Any:
    largest = np.maximum.reduce(x.real, axis=axes, keepdims=True)
    largest = np.where(np.isfinite(largest), largest, np.zeros_like(largest))
    total = np.add.reduce(np.exp(x - largest), axis=axes, keepdims=True)
    out = np.log(total) + largest
    return out if keepdims else out.reshape(reduced_shape(x.shape, axes, False))


def _logsumexp_xla(xla: Any, x: Any, axes: Axes, keepdims: bool) -> Any:
    jnp, lax = xla.jnp, xla.lax
    wide = _widened(xla, x)
    largest = jnp.max(wide.real, axis=axes, keepdims=True)
    largest = lax.select(jnp.isfinite(largest), largest, jnp.zeros_like(largest))
    total = jnp.sum(lax.exp(wide - largest), axis=axes, keepdims=True)
    out = (lax.log(total) + largest).astype(x.dtype)
    return lax.reshape(out, reduced_shape(x.shape, axes, keepdims))


def _logsumexp_weights(out: Node, x: Node, axes: Axes) -> Node:
    return EXP_DIFFERENCE(x, reshape(out, reduced_shape(x.shape, axes, True)))


def _logsumexp_cotangent(g: Node, out: Node, x: Node, axes: Axes, keepdims: bool) -> Node:
    g = reshape(g, reduced_shape(x.shape, axes, True))
    return weigh(g, conjugate(_logsumexp_weights(out, x, axes)))


def _logsumexp_tangent(tangents: Sequence[Node], out: Node, x: Node, axes: Axes, keepdims: bool) -> Node:
    return SUM(weigh(tangents[0], _logsumexp_weights(out, x, axes)), axes, keepdims)


def _batch_logsumexp(inputs: Sequence[Node], dims: Dims, axes: Axes, keepdims: bool) -> tuple[Node, int]:
    return LOGSUMEXP(batch_to_front(inputs[0], dims[0], 1), tuple(axis + 1 for axis in axes), keepdims), 0


# Its derivative is the softmax, taken from the output instead of computed anew.
LOGSUMEXP = Primitive(
    "logsumexp",
    arity=1,
    shape=_logsumexp_shape,
    kernel=_logsumexp,
    lower=_logsumexp_xla,
    vjp=(_logsumexp_cotangent,),
    jvp=_logsumexp_tangent,
    batch=_batch_logsumexp,
    cost=lambda node: 4.0 * node.inputs[0].size if node.inputs else 0.0,
)

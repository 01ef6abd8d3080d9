"""The softmax, the logarithm of a sum of exponentials, and the exponential of a difference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive
from mlx.primitives.cpu_reductions import extremum_over, sum_over
from mlx.primitives.elementwise import Elementwise, conjugate, weigh
from mlx.primitives.shape import SUM, TRANSPOSE, Dims, batch_to_front, reduced_shape, reshape

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


# exp(a - b), which for equal infinities is 1 (inf) or 0 (-inf): in the derivatives of logarithms of sums the share of
# one term in a sum that is infinite, and in a sum of nothing but zeros.
EXP_DIFFERENCE = Elementwise(
    "exp_difference",
    2,
    _exp_difference,
    _exp_difference_xla,
    (lambda out, a, b: out, lambda out, a, b: -out),
    nanoseconds=3.0,
)


def _shifted(x: Any, axes: Axes) -> tuple[Any, Any, Any]:
    """The largest real part, exponentials of what lies below it (below 0 where it is infinite), and their sum."""
    largest = np.maximum.reduce(x.real, axis=axes, keepdims=True)
    powers = np.asarray(x - np.where(np.isinf(largest), np.zeros_like(largest), largest))
    np.exp(powers, out=powers)
    return largest, powers, np.add.reduce(powers, axis=axes, keepdims=True)


def _shifted_xla(xla: Any, x: Any, axes: Axes) -> tuple[Any, Any, Any]:
    jnp = xla.jnp
    if x.dtype.itemsize == 2:
        x = x.astype(np.float32)
    kept = reduced_shape(x.shape, axes, True)
    largest = extremum_over(xla, "max", x.real, axes).reshape(kept)
    powers = xla.lax.exp(x - jnp.where(jnp.isinf(largest), jnp.zeros_like(largest), largest))
    return largest, powers, sum_over(xla, powers, axes).reshape(kept)


# ---------------------------------------------------------------------- softmax


class Softmax(Primitive):
    """A primitive `f(x, axes)`, the softmax; where the largest element is infinite, `at_infinity(x, largest)`."""

    def __init__(self, name: str, at_infinity: Callable[[Any, Any], Any]) -> None:
        def kernel(x: Any, axes: Axes) -> Any:
            if not x.size:
                return x
            largest, out, total = _shifted(x, axes)
            out /= total
            infinite = np.isinf(largest)
            if infinite.any():
                out = np.where(infinite, at_infinity(x, largest), out).astype(x.dtype)
            return out

        def lower(xla: Any, x: Any, axes: Axes) -> Any:
            if not x.size:
                return x
            largest, powers, total = _shifted_xla(xla, x, axes)
            limit = xla.jnp.asarray(at_infinity(x, largest), powers.dtype)
            return xla.jnp.where(xla.jnp.isinf(largest), limit, powers / total).astype(x.dtype)

        super().__init__(
            name,
            arity=1,
            shape=lambda x, axes: (x.shape, x.dtype),
            kernel=kernel,
            lower=lower,
            vjp=(self._cotangent,),
            jvp=self._tangent,
            batch=self._batch,
            nanoseconds=4.0,
        )

    def _cotangent(self, g: Node, out: Node, x: Node, axes: Axes) -> Node:
        return _softmax_derivative(g, conjugate(out), axes)

    def _tangent(self, tangents: Sequence[Node], out: Node, x: Node, axes: Axes) -> Node:
        return _softmax_derivative(tangents[0], out, axes)

    def _batch(self, inputs: Sequence[Node], dims: Dims, axes: Axes) -> tuple[Node, int]:
        return self(batch_to_front(inputs[0], dims[0], 1), tuple(axis + 1 for axis in axes)), 0


def _softmax_derivative(moved: Node, out: Node, axes: Axes) -> Node:
    """The derivative is symmetric: cotangents and tangents pass it in the same way."""
    return weigh(moved - SUM(weigh(moved, out), axes, True), out)


SOFTMAX = Softmax("softmax", lambda x, largest: np.nan)


def softmax(x: Node, axes: Axes) -> Node:
    """The softmax; of a transposed array the transposed softmax, to the same bits as that of the array itself."""
    if x.primitive is not TRANSPOSE or not x.inputs:
        return SOFTMAX(x, axes)
    (order,), (source,) = x.params, x.inputs
    return TRANSPOSE(SOFTMAX(source, tuple(sorted([order[axis] for axis in axes]))), order)  # type: ignore[index]


# The derivative of logsumexp: 0 where all terms are zeros, 1 for terms that are infinite.
LOGSUMEXP_WEIGHTS = Softmax("logsumexp_weights", lambda x, largest: (x.real == largest) & (largest > 0))

# ---------------------------------------------------------------------- logsumexp


def _logsumexp_shape(x: Node, axes: Axes, keepdims: bool) -> tuple[Shape, Dtype]:
    return reduced_shape(x.shape, axes, keepdims), x.dtype


def _logsumexp(x: Any, axes: Axes, keepdims: bool) -> Any:
    largest, _, total = _shifted(x, axes)
    out = np.log(total) + np.where(np.isinf(largest), np.zeros_like(largest), largest)
    return out.reshape(reduced_shape(x.shape, axes, keepdims))


def _logsumexp_xla(xla: Any, x: Any, axes: Axes, keepdims: bool) -> Any:
    jnp = xla.jnp
    largest, _, total = _shifted_xla(xla, x, axes)
    out = xla.lax.log(total) + jnp.where(jnp.isinf(largest), jnp.zeros_like(largest), largest)
    return xla.lax.reshape(out.astype(x.dtype), reduced_shape(x.shape, axes, keepdims))


def _logsumexp_cotangent(g: Node, out: Node, x: Node, axes: Axes, keepdims: bool) -> Node:
    g = reshape(g, reduced_shape(x.shape, axes, True))
    return weigh(g, conjugate(LOGSUMEXP_WEIGHTS(x, axes)))


def _logsumexp_tangent(tangents: Sequence[Node], out: Node, x: Node, axes: Axes, keepdims: bool) -> Node:
    return SUM(weigh(tangents[0], LOGSUMEXP_WEIGHTS(x, axes)), axes, keepdims)


def _batch_logsumexp(inputs: Sequence[Node], dims: Dims, axes: Axes, keepdims: bool) -> tuple[Node, int]:
    return LOGSUMEXP(batch_to_front(inputs[0], dims[0], 1), tuple(axis + 1 for axis in axes), keepdims), 0


# Its derivative is computed anew instead of as exp(x - out), which is as wrong as large outputs are rounded; XLA finds
# that both share their largest element and their sum.
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

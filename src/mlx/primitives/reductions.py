"""Reductions: extrema and their positions, products, all and any. The sum lives in `shape`, logsumexp in `softmax`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype, uint32
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive, Rule
from mlx.primitives.arithmetic import EQUAL, indicator
from mlx.primitives.cpu_reductions import extremum_over
from mlx.primitives.elementwise import SELECT, Elementwise, conjugate, weigh
from mlx.primitives.scans import CUMPROD, previous
from mlx.primitives.shape import SUM, Dims, batch_to_front, inverse_permutation, reduced_shape, reshape, transpose

Axes = tuple[int, ...]


class Reduction(Primitive):
    """A primitive `f(x, axes, keepdims)` that keeps the dtype; `kernel` and `lower` reduce as their names say."""

    def __init__(
        self,
        name: str,
        kernel: Callable[..., Any],
        lower: Callable[..., Any],
        cotangent: Rule | None = None,
        nanoseconds: float = 0.5,
    ) -> None:
        super().__init__(
            name,
            arity=1,
            shape=lambda x, axes, keepdims: (reduced_shape(x.shape, axes, keepdims), x.dtype),
            kernel=kernel,
            lower=lower,
            vjp=None if cotangent is None else (cotangent,),
            batch=self._batch,
            cost=lambda node: nanoseconds * prod(node.inputs[0].shape) if node.inputs else 0.0,
        )

    def _batch(self, inputs: Sequence[Node], dims: Dims, axes: Axes, keepdims: bool) -> tuple[Node, int]:
        return self(batch_to_front(inputs[0], dims[0], 1), tuple(axis + 1 for axis in axes), keepdims), 0


def _by_ufunc(function: Any) -> Callable[..., Any]:
    return lambda x, axes, keepdims: function.reduce(x, axis=axes, keepdims=keepdims)


def _by_jnp(function: str) -> Callable[..., Any]:
    return lambda xla, x, axes, keepdims: getattr(xla.jnp, function)(x, axis=axes, keepdims=keepdims)


ALL = Reduction("all", _by_ufunc(np.logical_and), _by_jnp("all"))
ANY = Reduction("any", _by_ufunc(np.logical_or), _by_jnp("any"))

# ---------------------------------------------------------------------- extrema


def _extremum_cotangent(g: Node, out: Node, x: Node, axes: Axes, keepdims: bool) -> Node:
    """Elements that tie for the extremum share the cotangent equally."""
    kept = reduced_shape(x.shape, axes, True)
    chosen = indicator(EQUAL(x, reshape(out, kept)), x)
    share = weigh(reshape(g, kept), 1.0 / SUM(chosen, axes, True))
    return weigh(share, chosen)


def _lowered_extremum(function: str, better: str, worst: float) -> Callable[..., Any]:
    """Complex numbers are ordered by real part, then by imaginary part; a NaN is better than any number."""

    def lowered(xla: Any, x: Any, axes: Axes, keepdims: bool) -> Any:
        shape = reduced_shape(x.shape, axes, keepdims)
        if x.dtype.kind != "c":
            return extremum_over(xla, function, x, axes).reshape(shape)
        lax = xla.lax
        compare = getattr(lax, better)

        def choose(a: Any, b: Any) -> Any:
            real_a, real_b = lax.real(a), lax.real(b)
            ahead = compare(real_a, real_b) | ((real_a == real_b) & compare(lax.imag(a), lax.imag(b)))
            return lax.select(ahead | (a != a), a, b)

        out = lax.reduce(x, np.array(complex(worst, worst), x.dtype), choose, axes)
        return lax.reshape(out, shape)

    return lowered


# A NaN among the elements is the extremum.
MAX = Reduction("max", _by_ufunc(np.maximum), _lowered_extremum("max", "gt", -np.inf), _extremum_cotangent)
MIN = Reduction("min", _by_ufunc(np.minimum), _lowered_extremum("min", "lt", np.inf), _extremum_cotangent)


def _position_xla(extremum: Primitive) -> Callable[..., Any]:
    """The least position of the extremum, or of a NaN: two plain reductions run faster on CPUs than one of pairs."""

    def lowered(xla: Any, x: Any, axis: int) -> Any:
        best = extremum.lower(xla, x, (axis,), True)  # type: ignore[misc]
        position = xla.lax.broadcasted_iota(np.uint32, x.shape, axis)
        places = xla.jnp.where((x == best) | (x != x), position, np.uint32(x.shape[axis]))
        return extremum_over(xla, "min", places, (axis,))

    return lowered


class Position(Primitive):
    """The position along one axis, which it removes, of the extremum: the first of them, or the first NaN."""

    def __init__(self, name: str, kernel: Callable[..., Any], lower: Callable[..., Any]) -> None:
        super().__init__(
            name,
            arity=1,
            shape=self._shape,
            kernel=lambda x, axis: kernel(x, axis).astype(np.uint32),
            lower=lower,
            batch=self._batch,
            cost=lambda node: float(prod(node.inputs[0].shape)) if node.inputs else 0.0,
        )

    def _shape(self, x: Node, axis: int) -> tuple[Shape, Dtype]:
        return (*x.shape[:axis], *x.shape[axis + 1 :]), uint32

    def _batch(self, inputs: Sequence[Node], dims: Dims, axis: int) -> tuple[Node, int]:
        return self(batch_to_front(inputs[0], dims[0], 1), axis + 1), 0


ARGMAX = Position("argmax", np.argmax, _position_xla(MAX))
ARGMIN = Position("argmin", np.argmin, _position_xla(MIN))

# ---------------------------------------------------------------------- products


def _prod_xla(xla: Any, x: Any, axes: Axes, keepdims: bool) -> Any:
    wide = x.astype(np.float32) if x.dtype.kind in "fV" and x.dtype.itemsize == 2 else x
    return xla.jnp.prod(wide, axis=axes, keepdims=keepdims, dtype=wide.dtype).astype(x.dtype)


def _product_of_others(x: Node, axes: Axes) -> Node:
    """For each element the product of the others over `axes`: that of those before it times that of those after it.

    Unlike a quotient by the element it is right where elements are zero, and so are its own derivatives.
    """
    order = tuple(axis for axis in range(x.ndim) if axis not in axes) + axes
    moved = transpose(x, order)
    last = x.ndim - len(axes)
    line = reshape(moved, (*moved.shape[:last], prod(moved.shape[last:])))
    before = previous(CUMPROD(line, last, False), last, False, 1)
    after = previous(CUMPROD(line, last, True), last, True, 1)
    return transpose(reshape(before * after, moved.shape), inverse_permutation(order))


def _prod_cotangent(g: Node, out: Node, x: Node, axes: Axes, keepdims: bool) -> Node:
    g = reshape(g, reduced_shape(x.shape, axes, True))
    return weigh(g, conjugate(_product_of_others(x, axes)))


PROD = Reduction(
    "prod",
    lambda x, axes, keepdims: np.multiply.reduce(x, axis=axes, keepdims=keepdims, dtype=x.dtype),
    _prod_xla,
    _prod_cotangent,
)

# ---------------------------------------------------------------------- roots of sums of squares

# The square root of what is a sum of squares. Where that is 0, so are all its terms: the subgradient 0 is taken for the
# root, whose own derivative is infinite there.
ROOT = Elementwise(
    "root",
    1,
    np.sqrt,
    "sqrt",
    (lambda out, x: SELECT(EQUAL(x, 0), 0, 0.5 / out),),
    nanoseconds=1.0,
)

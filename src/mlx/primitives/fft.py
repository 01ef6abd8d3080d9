"""Discrete Fourier transforms over several axes: of complex numbers, of real ones, and back to real ones.

All compute in single precision. Along each of the axes y_k = sum over j of x_j exp(-+ 2 pi i j k / n), with a minus in
the forward direction. The norm names the direction that is divided by n, the product of the lengths; "ortho" divides
both by its root. Axes are cut or padded to other lengths before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import log2, prod
from typing import Any, Literal

import numpy as np

from mlx.ir.dtypes import Dtype, complex64, float32
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import PRIMITIVES, Primitive, scalar_node
from mlx.primitives.shape import Dims, batch_to_front, broadcast, inverse_permutation, reshape
from mlx.primitives.slicing import PAD

Axes = tuple[int, ...]
Norm = Literal["backward", "ortho", "forward"]

# The norm of a transform's adjoint, which runs in the other direction with the same scale.
ADJOINT: dict[Norm, Norm] = {"backward": "forward", "ortho": "ortho", "forward": "backward"}

# The power of n that the inverse transform is multiplied by beyond its usual 1 / n; the forward one is divided by it.
_POWER: dict[Norm, float] = {"backward": 0.0, "ortho": 0.5, "forward": 1.0}


def _with_extent(shape: Shape, axis: int, extent: int) -> Shape:
    return (*shape[:axis], extent, *shape[axis + 1 :])


def _extents(shape: Shape, axes: Axes) -> Shape:
    return tuple([shape[axis] for axis in axes])


# ---------------------------------------------------------------------- kernels


def _by_numpy(function: Callable[[Norm], Any], norm: Norm, unscaled: Norm, n: int) -> Any:
    """`function` for a norm. NumPy computes `unscaled` transforms in double precision, which takes far longer.

    A power of two is divided by and multiplied with again without rounding.
    """
    if norm != unscaled or n & (n - 1):
        return function(norm)
    out = function(ADJOINT[norm])
    out *= np.float32(n)
    return out


def _fft(x: Any, axes: Axes, inverse: bool, norm: Norm) -> Any:
    transform = np.fft.ifftn if inverse else np.fft.fftn
    unscaled: Norm = "forward" if inverse else "backward"
    return _by_numpy(lambda norm: transform(x, axes=axes, norm=norm), norm, unscaled, prod(_extents(x.shape, axes)))


def _rfft(x: Any, axes: Axes, norm: Norm) -> Any:
    return _by_numpy(
        lambda norm: np.fft.rfftn(x, axes=axes, norm=norm), norm, "backward", prod(_extents(x.shape, axes))
    )


def _irfft(x: Any, axes: Axes, n: int, norm: Norm) -> Any:
    lengths = (*_extents(x.shape, axes[:-1]), n)
    return _by_numpy(lambda norm: np.fft.irfftn(x, lengths, axes, norm=norm), norm, "forward", prod(lengths))


# ---------------------------------------------------------------------- lowerings

_TOGETHER = 3  # axes that XLA transforms at once


def _over_last_axes(xla: Any, x: Any, axes: Axes, kind: str, lengths: Shape) -> Any:
    """XLA's transform, which is over the last axes, over any."""
    order = (*[axis for axis in range(x.ndim) if axis not in axes], *axes)
    y = xla.lax.fft(xla.lax.transpose(x, order), kind, lengths)
    return xla.lax.transpose(y, inverse_permutation(order))


def _over_any_axes(xla: Any, x: Any, axes: Axes, kind: str) -> Any:
    for first in range(0, len(axes), _TOGETHER):
        group = axes[first : first + _TOGETHER]
        x = _over_last_axes(xla, x, group, kind, _extents(x.shape, group))
    return x


def _scaled(y: Any, n: int, inverse: bool, norm: Norm) -> Any:
    """A transform by XLA, which scales as "backward" does, with the scale of another norm."""
    power = _POWER[norm] if inverse else -_POWER[norm]
    return y * np.asarray(float(n) ** power, y.dtype) if power else y


def _fft_xla(xla: Any, x: Any, axes: Axes, inverse: bool, norm: Norm) -> Any:
    if 0 in x.shape:
        return x
    y = _over_any_axes(xla, x, axes, "IFFT" if inverse else "FFT")
    return _scaled(y, prod(_extents(x.shape, axes)), inverse, norm)


def _rfft_xla(xla: Any, x: Any, axes: Axes, norm: Norm) -> Any:
    n = x.shape[axes[-1]]
    if 0 in x.shape:
        return xla.jnp.zeros(_with_extent(x.shape, axes[-1], n // 2 + 1), np.complex64)
    y = _over_last_axes(xla, x, axes[-1:], "RFFT", (n,))
    return _scaled(_over_any_axes(xla, y, axes[:-1], "FFT"), prod(_extents(x.shape, axes)), False, norm)


def _irfft_xla(xla: Any, x: Any, axes: Axes, n: int, norm: Norm) -> Any:
    if 0 in x.shape:
        return xla.jnp.zeros(_with_extent(x.shape, axes[-1], n), np.float32)
    # The axes one after the other: libraries differ in what they make of several at once where the input is no
    # transform of real numbers.
    x = _over_any_axes(xla, x, axes[:-1], "IFFT")
    return _scaled(
        _over_last_axes(xla, x, axes[-1:], "IRFFT", (n,)), prod(_extents(x.shape, axes[:-1])) * n, True, norm
    )


# ---------------------------------------------------------------------- derivatives


def _weighted_bins(x: Node, axis: int, n: int, weight: float) -> Node:
    """`x` with the frequencies that stand for two of the `n` weighted: all but zero and, for an even n, the last."""
    inner = broadcast(scalar_node(weight, complex64), ((n - 1) // 2,))
    weights = PAD(inner, scalar_node(1, complex64), (1,), (n // 2 + 1,), (1,))
    return x * broadcast(reshape(weights, (n // 2 + 1, *(1,) * (x.ndim - axis - 1))), x.shape)


def _rfft_cotangent(g: Node, out: Node, x: Node, axes: Axes, norm: Norm) -> Node:
    """The real part of the adjoint, which takes the frequencies that are left out for zero.

    `IRFFT` takes them for the conjugates of the others, and so counts those twice.
    """
    n = x.shape[axes[-1]]
    return IRFFT(_weighted_bins(g, axes[-1], n, 0.5), axes, n, ADJOINT[norm])


def _irfft_cotangent(g: Node, out: Node, x: Node, axes: Axes, n: int, norm: Norm) -> Node:
    return _weighted_bins(RFFT(g, axes, ADJOINT[norm]), axes[-1], n, 2.0)


# ---------------------------------------------------------------------- primitives


def _batched(name: str) -> Callable[..., tuple[Node, int]]:
    """The batching rule of a primitive whose first parameter is its axes."""

    def batch(inputs: Sequence[Node], dims: Dims, axes: Axes, *params: Any) -> tuple[Node, int]:
        x = batch_to_front(inputs[0], dims[0], 1)
        return PRIMITIVES[name](x, tuple([axis + 1 for axis in axes]), *params), 0

    return batch


def _cost(node: Node) -> float:
    if not node.inputs:
        return 0.0
    shape: Shape = max(node.shape, node.inputs[0].shape)
    axes: Any = node.params[0]
    n = max(prod(_extents(shape, axes)), 2)
    return (0.5 if n & (n - 1) == 0 else 2.0) * log2(n) * prod(shape)


# From complex numbers to as many.
FFT = Primitive(
    "fft",
    arity=1,
    shape=lambda x, axes, inverse, norm: (x.shape, x.dtype),
    kernel=_fft,
    lower=_fft_xla,
    vjp=(lambda g, out, x, axes, inverse, norm: FFT(g, axes, not inverse, ADJOINT[norm]),),
    linear=(0,),
    batch=_batched("fft"),
    cost=_cost,
)


def _rfft_shape(x: Node, axes: Axes, norm: Norm) -> tuple[Shape, Dtype]:
    return _with_extent(x.shape, axes[-1], x.shape[axes[-1]] // 2 + 1), complex64


# The forward transform of real numbers: of its last axis the n // 2 + 1 frequencies that determine the others.
RFFT = Primitive(
    "rfft",
    arity=1,
    shape=_rfft_shape,
    kernel=_rfft,
    lower=_rfft_xla,
    vjp=(_rfft_cotangent,),
    linear=(0,),
    batch=_batched("rfft"),
    cost=_cost,
)

# The inverse transform to `n` real numbers in the last axis, from n // 2 + 1 frequencies there. Of those that have to
# be real in the transform of real numbers, after the other axes, the imaginary parts do not count.
IRFFT = Primitive(
    "irfft",
    arity=1,
    shape=lambda x, axes, n, norm: (_with_extent(x.shape, axes[-1], n), float32),
    kernel=_irfft,
    lower=_irfft_xla,
    vjp=(_irfft_cotangent,),
    linear=(0,),
    batch=_batched("irfft"),
    cost=_cost,
)

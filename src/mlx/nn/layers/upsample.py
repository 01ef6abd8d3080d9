"""Resizing of spatial axes by interpolation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import mlx.core as mx
from mlx.nn.layers.base import Module


class Upsample(Module):
    """Resizes the spatial axes of its input, of shape ``(N, ..., C)``.

    An axis of ``n`` entries gets ``int(scale * n)``. Entry i of the output lies at the place p_i of the input, and is

    - nearest: the entry next to p_i,
    - linear: between the two entries around p_i,
    - cubic: the cubic convolution of the four entries around p_i, with a = -0.75.

    With ``align_corners`` the first and last entries of input and output coincide. Without, their middles do:
    p_i = (n - 1) / 2 + (i - (m - 1) / 2) / scale. Beyond its ends the input continues with its end entries.

    The dtype is kept by nearest. The other modes have weights in float32, and give float32 where the input is narrower.

    Args:
        scale_factor: Factor for all spatial axes, or one for each.
        mode: ``'nearest'``, ``'linear'`` or ``'cubic'``.
        align_corners: Whether the corners coincide; ignored by ``'nearest'``.
        antialias: Whether the kernel is stretched when an axis shrinks, so that every entry of the input counts; the
            cubic kernel is then the one with a = -0.5. Not for ``'nearest'``, nor with ``align_corners``.

    Raises:
        ValueError: If ``mode`` is another, a factor is not positive, or ``antialias`` does not go with the rest.

    Example:
        >>> import mlx.core as mx
        >>> x = mx.array([1.0, 3.0]).reshape(1, 2, 1)
        >>> Upsample(2.0)(x).flatten()
        array([1, 1, 3, 3], dtype=float32)
        >>> Upsample(2.0, mode="linear")(x).flatten()
        array([1, 1.5, 2.5, 3], dtype=float32)
    """

    def __init__(
        self,
        scale_factor: float | tuple[float, ...],
        mode: Literal["nearest", "linear", "cubic"] = "nearest",
        align_corners: bool = False,
        antialias: bool = False,
    ) -> None:
        super().__init__()
        if mode not in ("nearest", "linear", "cubic"):
            raise ValueError(f"[Upsample] mode must be 'nearest', 'linear' or 'cubic', got {mode!r}.")
        if antialias and mode == "nearest":
            raise ValueError("[Upsample] antialias is for the modes 'linear' and 'cubic', not for 'nearest'.")
        if antialias and align_corners:
            raise ValueError("[Upsample] antialias does not go with align_corners; leave one of them out.")
        self.scale_factor = (
            tuple(map(float, scale_factor)) if isinstance(scale_factor, (list, tuple)) else float(scale_factor)
        )
        if not all(scale > 0 for scale in _scales(self.scale_factor, 1)):
            raise ValueError(f"[Upsample] scale_factor must be positive, got {scale_factor}.")
        self.mode = mode
        self.align_corners = align_corners
        self.antialias = antialias

    def _extra_repr(self) -> str:
        return f"scale_factor={self.scale_factor}, mode={self.mode!r}, align_corners={self.align_corners}"

    def __call__(self, x: mx.array) -> mx.array:
        spatial = x.ndim - 2
        if spatial < 1:
            raise ValueError(
                f"[Upsample] The input must have a batch axis, at least one spatial axis and a channel axis, got shape "
                f"{x.shape}."
            )
        scales = _scales(self.scale_factor, spatial)
        if len(scales) != spatial:
            raise ValueError(
                f"[Upsample] scale_factor must have one factor for each of the {spatial} spatial axes of an input of "
                f"shape {x.shape}, got {self.scale_factor}."
            )
        for axis, scale in enumerate(scales, 1):
            if self.mode == "nearest":
                x = mx.take(x, _nearest(x.shape[axis], scale), axis)
            else:
                x = self._interpolated(x, axis, scale)
        return x

    def _interpolated(self, x: mx.array, axis: int, scale: float) -> mx.array:
        entries = x.shape[axis]
        size = int(scale * entries)
        kernel, radius = KERNELS[self.mode, self.antialias]
        stretch = max(1.0, 1.0 / scale) if self.antialias else 1.0
        if not mx.issubdtype(x.dtype, mx.inexact):
            x = x.astype(mx.float32)

        places = _places(entries, size, scale, self.align_corners)
        first = mx.floor(places)
        column = [1] * x.ndim
        column[axis] = size
        taps, weights = [], []
        reach = math.ceil(radius * stretch)
        for offset in range(1 - reach, reach + 1):
            tap = first + offset
            weight = kernel(mx.abs(tap - places) / stretch)
            if self.antialias:  # beyond the ends there is nothing
                weight = mx.where((tap >= 0) & (tap < entries), weight, 0.0)
            taps.append(mx.clip(tap, 0, entries - 1).astype(mx.int32))
            weights.append(weight)
        if self.antialias:
            total = sum(weights[1:], weights[0])
            weights = [weight / total for weight in weights]
        terms = [mx.take(x, tap, axis) * weight.reshape(column) for tap, weight in zip(taps, weights, strict=True)]
        return sum(terms[1:], terms[0])


def _linear(distance: mx.array) -> mx.array:
    return mx.maximum(1 - distance, 0)


def _cubic(a: float) -> Callable[[mx.array], mx.array]:
    """The cubic convolution kernel: 1 at 0, and 0 at all other integers."""

    def kernel(d: mx.array) -> mx.array:
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = a * (((d - 5) * d + 8) * d - 4)
        return mx.where(d <= 1, near, mx.where(d < 2, far, 0.0))

    return kernel


# By mode and antialiasing: the weight of an entry by its distance, and the distance from which it is zero.
KERNELS = {
    ("linear", False): (_linear, 1),
    ("linear", True): (_linear, 1),
    ("cubic", False): (_cubic(-0.75), 2),
    ("cubic", True): (_cubic(-0.5), 2),
}


def _scales(scale_factor: float | tuple[float, ...], spatial: int) -> tuple[float, ...]:
    return scale_factor if isinstance(scale_factor, tuple) else (scale_factor,) * spatial


def _nearest(entries: int, scale: float) -> mx.array:
    """The entry of the input that each entry of the output is."""
    size = int(scale * entries)
    i = mx.arange(size, dtype=mx.float32)
    ratio = entries / size if size else 1.0
    places = mx.round((i + 0.5) * ratio - 0.5) if size > entries else mx.floor(i * ratio)
    return mx.clip(places, 0, entries - 1).astype(mx.int32)


def _places(entries: int, size: int, scale: float, align_corners: bool) -> mx.array:
    """Where in the input each entry of the output lies."""
    i = mx.arange(size, dtype=mx.float32)
    if align_corners:
        return i * ((entries - 1) / (size - 1)) if size > 1 else i
    return (entries - 1) / 2 + (i - (size - 1) / 2) / scale

"""Convolutions over one, two and three spatial axes, with channels last.

The kernel ``weight`` has shape ``(out_channels, *kernel_size, in_channels / groups)`` and starts uniform
between -s and s, with s = 1 / sqrt(number of inputs that an output sees). ``bias`` starts at 0.
"""

from __future__ import annotations

import math
from typing import SupportsIndex

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.nn.layers.checks import check_positive


def _as_tuple(value: int | tuple[int, ...], length: int) -> tuple[int, ...]:
    """One number for each spatial axis."""
    return (value.__index__(),) * length if isinstance(value, SupportsIndex) else tuple(value)


def _kernel(
    api: str, in_channels: int, out_channels: int, kernel_size: int | tuple[int, ...], spatial: int, groups: int = 1
) -> mx.array:
    sizes = _as_tuple(kernel_size, spatial)
    if len(sizes) != spatial or min(sizes) < 1:
        plural = "s" if spatial > 1 else ""
        raise ValueError(
            f"[{api}] kernel_size must be a positive integer or a tuple of {spatial} positive integer{plural}, "
            f"got {kernel_size}."
        )
    check_positive(api, "in_channels", in_channels)
    group_channels = in_channels // groups
    limit = math.sqrt(1 / (group_channels * math.prod(sizes)))
    return mx.random.uniform(-limit, limit, (out_channels, *sizes, group_channels))


def _check_groups(api: str, in_channels: int, out_channels: int, groups: int) -> None:
    if groups < 1 or in_channels % groups != 0 or out_channels % groups != 0:
        raise ValueError(
            f"[{api}] groups must divide in_channels and out_channels, "
            f"got groups={groups}, in_channels={in_channels} and out_channels={out_channels}."
        )


def _plus_bias(layer: Module, y: mx.array) -> mx.array:
    return y + layer.bias if "bias" in layer else y


class Conv1d(Module):
    """A convolution over one axis: y[n, i, o] = sum_k,c W[o, k, c] x[n, stride i + dilation k, c] + b[o].

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        kernel_size: Length of the kernel.
        stride: Step between neighbouring outputs.
        padding: Number of zeros added at each end.
        dilation: Step between neighbouring elements of the kernel.
        groups: Number of groups; each group of output channels sees one group of input channels.
        bias: Whether b is there.

    Raises:
        ValueError: If ``groups`` does not divide both numbers of channels, ``in_channels`` is not positive or
            ``kernel_size`` is not one positive number for each axis.

    Example:
        >>> import mlx.core as mx
        >>> Conv1d(3, 8, kernel_size=3, padding=1)(mx.zeros((2, 10, 3))).shape
        (2, 10, 8)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        _check_groups("Conv1d", in_channels, out_channels, groups)
        self.weight = _kernel("Conv1d", in_channels, out_channels, kernel_size, 1, groups)
        if bias:
            self.bias = mx.zeros((out_channels,))
        self.padding = padding
        self.dilation = dilation
        self.stride = stride
        self.groups = groups

    def _extra_repr(self) -> str:
        out_channels, kernel_size, group_channels = self.weight.shape
        return (
            f"{group_channels * self.groups}, {out_channels}, kernel_size={kernel_size}, "
            f"stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"groups={self.groups}, bias={'bias' in self}"
        )

    def __call__(self, x: mx.array) -> mx.array:
        y = mx.conv1d(x, self.weight, self.stride, self.padding, self.dilation, self.groups)
        return _plus_bias(self, y)


class Conv2d(Module):
    """A convolution over two axes of inputs ``(N, H, W, C)``, each treated as :class:`Conv1d` does.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        kernel_size: Height and width of the kernel, or one number for both.
        stride: Step between neighbouring outputs.
        padding: Number of zeros added at each end.
        dilation: Step between neighbouring elements of the kernel.
        groups: Number of groups; each group of output channels sees one group of input channels.
        bias: Whether a bias is added.

    Raises:
        ValueError: If ``groups`` does not divide both numbers of channels, ``in_channels`` is not positive or
            ``kernel_size`` is not one positive number for each axis.

    Example:
        >>> import mlx.core as mx
        >>> Conv2d(3, 8, kernel_size=3, stride=2)(mx.zeros((2, 9, 9, 3))).shape
        (2, 4, 4, 8)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        _check_groups("Conv2d", in_channels, out_channels, groups)
        self.weight = _kernel("Conv2d", in_channels, out_channels, kernel_size, 2, groups)
        if bias:
            self.bias = mx.zeros((out_channels,))
        self.padding = _as_tuple(padding, 2)
        self.stride = _as_tuple(stride, 2)
        self.dilation = dilation
        self.groups = groups

    def _extra_repr(self) -> str:
        out_channels, *kernel_size, group_channels = self.weight.shape
        return (
            f"{group_channels * self.groups}, {out_channels}, kernel_size={tuple(kernel_size)}, "
            f"stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"groups={self.groups}, bias={'bias' in self}"
        )

    def __call__(self, x: mx.array) -> mx.array:
        y = mx.conv2d(x, self.weight, self.stride, self.padding, self.dilation, self.groups)
        return _plus_bias(self, y)


class Conv3d(Module):
    """A convolution over three axes of inputs ``(N, D, H, W, C)``, each treated as :class:`Conv1d` does.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        kernel_size: Depth, height and width of the kernel, or one number for all.
        stride: Step between neighbouring outputs.
        padding: Number of zeros added at each end.
        dilation: Step between neighbouring elements of the kernel.
        bias: Whether a bias is added.

    Raises:
        ValueError: If ``in_channels`` is not positive or ``kernel_size`` is not one positive number for each axis.

    Example:
        >>> import mlx.core as mx
        >>> Conv3d(1, 4, kernel_size=2)(mx.zeros((2, 5, 5, 5, 1))).shape
        (2, 4, 4, 4, 4)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int, int],
        stride: int | tuple[int, int, int] = 1,
        padding: int | tuple[int, int, int] = 0,
        dilation: int | tuple[int, int, int] = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.weight = _kernel("Conv3d", in_channels, out_channels, kernel_size, 3)
        if bias:
            self.bias = mx.zeros((out_channels,))
        self.padding = _as_tuple(padding, 3)
        self.stride = _as_tuple(stride, 3)
        self.dilation = dilation

    def _extra_repr(self) -> str:
        out_channels, *kernel_size, in_channels = self.weight.shape
        return (
            f"{in_channels}, {out_channels}, kernel_size={tuple(kernel_size)}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, bias={'bias' in self}"
        )

    def __call__(self, x: mx.array) -> mx.array:
        y = mx.conv3d(x, self.weight, self.stride, self.padding, self.dilation)
        return _plus_bias(self, y)

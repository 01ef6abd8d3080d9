"""Transposed convolutions over one, two and three spatial axes, with channels last.

A transposed convolution is the linear map that carries gradients back through a convolution: every input
element adds a copy of the kernel to the output, copies being ``stride`` apart. Kernel and bias are as in a
convolution.
"""

from __future__ import annotations

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.nn.layers.convolution import _as_tuple, _kernel, _plus_bias


class ConvTranspose1d(Module):
    """A transposed convolution over one axis.

    Each input element x[n, i, c] adds W[o, k, c] x[n, i, c] to y[n, stride i + dilation k - padding, o].

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        kernel_size: Length of the kernel.
        stride: Step between the copies of the kernel.
        padding: Number of output elements removed at each end.
        dilation: Step between neighbouring elements of the kernel.
        output_padding: Number of output elements added at the far end.
        bias: Whether a bias is added.

    Raises:
        ValueError: If ``in_channels`` is not positive or ``kernel_size`` is not one positive number for each axis.

    Example:
        >>> import mlx.core as mx
        >>> ConvTranspose1d(3, 8, kernel_size=2, stride=2)(mx.zeros((2, 5, 3))).shape
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
        output_padding: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.weight = _kernel("ConvTranspose1d", in_channels, out_channels, kernel_size, 1)
        if bias:
            self.bias = mx.zeros((out_channels,))
        self.padding = padding
        self.dilation = dilation
        self.stride = stride
        self.output_padding = output_padding

    def _extra_repr(self) -> str:
        out_channels, kernel_size, in_channels = self.weight.shape
        return (
            f"{in_channels}, {out_channels}, kernel_size={kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, output_padding={self.output_padding}, "
            f"bias={'bias' in self}"
        )

    def __call__(self, x: mx.array) -> mx.array:
        y = mx.conv_transpose1d(x, self.weight, self.stride, self.padding, self.dilation, self.output_padding)
        return _plus_bias(self, y)


class _ConvTransposeNd(Module):
    """What two and three spatial axes have in common."""

    _spatial: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, ...],
        stride: int | tuple[int, ...],
        padding: int | tuple[int, ...],
        dilation: int | tuple[int, ...],
        output_padding: int | tuple[int, ...],
        bias: bool,
    ) -> None:
        super().__init__()
        self.weight = _kernel(type(self).__name__, in_channels, out_channels, kernel_size, self._spatial)
        if bias:
            self.bias = mx.zeros((out_channels,))
        self.padding = _as_tuple(padding, self._spatial)
        self.stride = _as_tuple(stride, self._spatial)
        self.output_padding = _as_tuple(output_padding, self._spatial)
        self.dilation = dilation

    def _extra_repr(self) -> str:
        out_channels, *kernel_size, in_channels = self.weight.shape
        return (
            f"{in_channels}, {out_channels}, kernel_size={tuple(kernel_size)}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, output_padding={self.output_padding}, "
            f"bias={'bias' in self}"
        )


class ConvTranspose2d(_ConvTransposeNd):
    """A transposed convolution over two axes, of inputs ``(N, H, W, C)``; see :class:`ConvTranspose1d`.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        kernel_size: Height and width of the kernel, or one number for both.
        stride: Step between the copies of the kernel.
        padding: Number of output elements removed at each end.
        dilation: Step between neighbouring elements of the kernel.
        output_padding: Number of output elements added at the far ends.
        bias: Whether a bias is added.

    Raises:
        ValueError: If ``in_channels`` is not positive or ``kernel_size`` is not one positive number for each axis.

    Example:
        >>> import mlx.core as mx
        >>> ConvTranspose2d(3, 8, kernel_size=2, stride=2)(mx.zeros((2, 5, 5, 3))).shape
        (2, 10, 10, 8)
    """

    _spatial = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        output_padding: int | tuple[int, int] = 0,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, bias)

    def __call__(self, x: mx.array) -> mx.array:
        y = mx.conv_transpose2d(x, self.weight, self.stride, self.padding, self.dilation, self.output_padding)
        return _plus_bias(self, y)


class ConvTranspose3d(_ConvTransposeNd):
    """A transposed convolution over three axes, of inputs ``(N, D, H, W, C)``; see :class:`ConvTranspose1d`.

    Args:
        in_channels: Number of input channels.
        out_channels: Number of output channels.
        kernel_size: Depth, height and width of the kernel, or one number for all.
        stride: Step between the copies of the kernel.
        padding: Number of output elements removed at each end.
        dilation: Step between neighbouring elements of the kernel.
        output_padding: Number of output elements added at the far ends.
        bias: Whether a bias is added.

    Raises:
        ValueError: If ``in_channels`` is not positive or ``kernel_size`` is not one positive number for each axis.

    Example:
        >>> import mlx.core as mx
        >>> ConvTranspose3d(3, 8, kernel_size=2, stride=2)(mx.zeros((2, 5, 5, 5, 3))).shape
        (2, 10, 10, 10, 8)
    """

    _spatial = 3

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int, int],
        stride: int | tuple[int, int, int] = 1,
        padding: int | tuple[int, int, int] = 0,
        dilation: int | tuple[int, int, int] = 1,
        output_padding: int | tuple[int, int, int] = 0,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, bias)

    def __call__(self, x: mx.array) -> mx.array:
        y = mx.conv_transpose3d(x, self.weight, self.stride, self.padding, self.dilation, self.output_padding)
        return _plus_bias(self, y)

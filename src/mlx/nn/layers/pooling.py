"""Pooling: the maximum or the mean of each window that slides over the spatial axes, channels last."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module

Window = int | Sequence[int]
"""One number for each spatial axis, or one for all of them."""


def _numbers(api: str, argument: str, value: Any, spatial: int, least: int) -> list[int]:
    """``value`` as one number for each spatial axis, checked."""
    plural = "s" if spatial > 1 else ""
    numbers = [value] * spatial if isinstance(value, int) else value
    if (
        not isinstance(numbers, (list, tuple))
        or len(numbers) != spatial
        or not all(isinstance(number, int) for number in numbers)
    ):
        raise ValueError(
            f"[{api}] '{argument}' must be an integer or a tuple of {spatial} integer{plural}, got {value!r}."
        )
    if min(numbers) < least:
        wanted = "positive" if least == 1 else "non-negative"
        raise ValueError(f"[{api}] '{argument}' must be {wanted}, got {tuple(numbers)}.")
    return list(numbers)


def _disjoint_windows(x: mx.array, kernel: list[int]) -> tuple[mx.array, tuple[int, ...]]:
    """Windows side by side, by a reshape; what is left over at the far ends is cut off.

    Returns x with each spatial axis split into (number of windows, position inside the window), and the axes
    of the positions. Written without the sizes themselves, so that it compiles for all that leave as much over.
    """
    windows = x[(slice(None), *(slice(-(size % k) or None) for size, k in zip(x.shape[1:-1], kernel, strict=True)))]
    for axis in range(len(kernel), 0, -1):
        windows = mx.unflatten(windows, axis, (-1, kernel[axis - 1]))
    return windows, tuple(range(2, 2 * len(kernel) + 1, 2))


def _overlapping_windows(x: mx.array, kernel: list[int], stride: list[int]) -> tuple[mx.array, tuple[int, ...]]:
    """Windows that may overlap: a strided slice of x for each position in the window, stacked.

    Slices have slices as their gradients, which every engine does well; gathering the windows by index
    would make the gradient a scatter.
    """
    slices = [
        x[(slice(None), *(slice(i, i - k + 1 or None, s) for i, k, s in zip(position, kernel, stride, strict=True)))]
        for position in itertools.product(*(range(k) for k in kernel))
    ]
    return mx.stack(slices, axis=0), (0,)


class _Pool(Module):
    """y = reduce(window of x), windows being ``stride`` apart after ``padding`` at each end."""

    _spatial: int

    def __init__(self, kernel_size: Window, stride: Window | None, padding: Window | None) -> None:
        super().__init__()
        api, spatial = type(self).__name__, self._spatial
        self._kernel_size = _numbers(api, "kernel_size", kernel_size, spatial, least=1)
        self._stride = self._kernel_size if stride is None else _numbers(api, "stride", stride, spatial, least=1)
        self._padding = _numbers(api, "padding", padding, spatial, least=0)

    def _extra_repr(self) -> str:
        return f"kernel_size={tuple(self._kernel_size)}, stride={tuple(self._stride)}, padding={tuple(self._padding)}"

    def _pool(
        self, x: mx.array, reduce: Callable[[mx.array, tuple[int, ...]], mx.array], padding_value: float
    ) -> mx.array:
        api, kernel, stride = type(self).__name__, self._kernel_size, self._stride
        if x.ndim != self._spatial + 2:
            raise ValueError(
                f"[{api}] Expected an example axis, {self._spatial} spatial and a channel axis, "
                f"got an input of shape {x.shape}."
            )
        if any(self._padding):
            pads = [(0, 0), *((p, p) for p in self._padding), (0, 0)]
            x = mx.pad(x, pads, constant_values=padding_value)
        if any(size < k for size, k in zip(x.shape[1:-1], kernel, strict=True)):
            raise ValueError(
                f"[{api}] A window of {tuple(kernel)} does not fit into an input that is, with its padding, "
                f"of shape {x.shape}."
            )
        if kernel == stride:
            windows, axes = _disjoint_windows(x, kernel)
        else:
            windows, axes = _overlapping_windows(x, kernel, stride)
        return reduce(windows, axes)


def _lowest(dtype: mx.Dtype) -> float:
    """The value of a dtype that no maximum prefers."""
    if mx.issubdtype(dtype, mx.integer):
        return mx.iinfo(dtype).min
    return False if dtype == mx.bool_ else -mx.inf


class _MaxPool(_Pool):
    def __call__(self, x: mx.array) -> mx.array:
        return self._pool(x, mx.max, _lowest(x.dtype))


class _AvgPool(_Pool):
    def __call__(self, x: mx.array) -> mx.array:
        return self._pool(x, mx.mean, 0)


class MaxPool1d(_MaxPool):
    """The maximum of each window over one axis of inputs ``(N, L, C)``.

    Where several elements share the maximum, its gradient is divided among them.

    Args:
        kernel_size: Length of the window.
        stride: Step between neighbouring windows; by default ``kernel_size``.
        padding: Number of elements added at each end, lower than all others.

    Raises:
        ValueError: If an argument is out of range, or, at the call, if the input has the wrong number of
            axes or is shorter than the window.

    Example:
        >>> import mlx.core as mx
        >>> MaxPool1d(2)(mx.array([1.0, 5.0, 3.0, 2.0]).reshape(1, 4, 1)).reshape(-1)
        array([5, 3], dtype=float32)
    """

    _spatial = 1

    def __init__(self, kernel_size: Window, stride: Window | None = None, padding: Window = 0) -> None:
        super().__init__(kernel_size, stride, padding)


class MaxPool2d(_MaxPool):
    """The maximum of each window over two axes of inputs ``(N, H, W, C)``; see :class:`MaxPool1d`.

    Args:
        kernel_size: Height and width of the window, or one number for both.
        stride: Step between neighbouring windows; by default ``kernel_size``.
        padding: Number of elements added at each end, lower than all others.

    Raises:
        ValueError: As :class:`MaxPool1d`.

    Example:
        >>> import mlx.core as mx
        >>> MaxPool2d(2)(mx.arange(16.0).reshape(1, 4, 4, 1)).reshape(2, 2)
        array([[5, 7],
               [13, 15]], dtype=float32)
    """

    _spatial = 2

    def __init__(self, kernel_size: Window, stride: Window | None = None, padding: Window | None = 0) -> None:
        super().__init__(kernel_size, stride, padding)


class MaxPool3d(_MaxPool):
    """The maximum of each window over three axes of inputs ``(N, D, H, W, C)``; see :class:`MaxPool1d`.

    Args:
        kernel_size: Depth, height and width of the window, or one number for all.
        stride: Step between neighbouring windows; by default ``kernel_size``.
        padding: Number of elements added at each end, lower than all others.

    Raises:
        ValueError: As :class:`MaxPool1d`.

    Example:
        >>> import mlx.core as mx
        >>> MaxPool3d(2)(mx.zeros((1, 4, 4, 4, 3))).shape
        (1, 2, 2, 2, 3)
    """

    _spatial = 3

    def __init__(self, kernel_size: Window, stride: Window | None = None, padding: Window | None = 0) -> None:
        super().__init__(kernel_size, stride, padding)


class AvgPool1d(_AvgPool):
    """The mean of each window over one axis of inputs ``(N, L, C)``; zeros of the padding count.

    Args:
        kernel_size: Length of the window.
        stride: Step between neighbouring windows; by default ``kernel_size``.
        padding: Number of zeros added at each end.

    Raises:
        ValueError: If an argument is out of range, or, at the call, if the input has the wrong number of
            axes or is shorter than the window.

    Example:
        >>> import mlx.core as mx
        >>> AvgPool1d(2)(mx.array([1.0, 5.0, 3.0, 2.0]).reshape(1, 4, 1)).reshape(-1)
        array([3, 2.5], dtype=float32)
    """

    _spatial = 1

    def __init__(self, kernel_size: Window, stride: Window | None = None, padding: Window = 0) -> None:
        super().__init__(kernel_size, stride, padding)


class AvgPool2d(_AvgPool):
    """The mean of each window over two axes of inputs ``(N, H, W, C)``; zeros of the padding count.

    Args:
        kernel_size: Height and width of the window, or one number for both.
        stride: Step between neighbouring windows; by default ``kernel_size``.
        padding: Number of zeros added at each end.

    Raises:
        ValueError: As :class:`AvgPool1d`.

    Example:
        >>> import mlx.core as mx
        >>> AvgPool2d(2)(mx.arange(16.0).reshape(1, 4, 4, 1)).reshape(2, 2)
        array([[2.5, 4.5],
               [10.5, 12.5]], dtype=float32)
    """

    _spatial = 2

    def __init__(self, kernel_size: Window, stride: Window | None = None, padding: Window | None = 0) -> None:
        super().__init__(kernel_size, stride, padding)


class AvgPool3d(_AvgPool):
    """The mean of each window over three axes of inputs ``(N, D, H, W, C)``; zeros of the padding count.

    Args:
        kernel_size: Depth, height and width of the window, or one number for all.
        stride: Step between neighbouring windows; by default ``kernel_size``.
        padding: Number of zeros added at each end.

    Raises:
        ValueError: As :class:`AvgPool1d`.

    Example:
        >>> import mlx.core as mx
        >>> AvgPool3d(2)(mx.zeros((1, 4, 4, 4, 3))).shape
        (1, 2, 2, 2, 3)
    """

    _spatial = 3

    def __init__(self, kernel_size: Window, stride: Window | None = None, padding: Window | None = 0) -> None:
        super().__init__(kernel_size, stride, padding)

"""Convolutions over one, two and three spatial axes, channels last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import promote_types
from mlx.ir.node import Node
from mlx.ir.sizes import index
from mlx.ops.arguments import StreamOrDevice, array_node, check_stream, flag, integer_or_none, one_integer, word
from mlx.primitives.convolution import CONVOLUTION, Window
from mlx.primitives.shape import reshape
from mlx.primitives.structure import cast

__all__ = [
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_general",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "convolve",
]

Axes = tuple[int, ...]

_MOST_SPATIAL_AXES = 3


# ------------------------------------------------------------------ arguments


def _for_each_axis(value: Any, rank: int, function: str, argument: str) -> Axes:
    """One int for each spatial axis, from an int for all of them or a sequence; TypeError for anything else."""
    single = integer_or_none(value)
    if single is not None:
        return (single,) * rank
    if not isinstance(value, list | tuple) or len(value) != rank:
        raise TypeError(f"[{function}] {argument} must be an int or {rank} of them, got {value!r}.")
    return _integers(value, function, argument)


def _integers(values: Sequence[Any], function: str, argument: str) -> Axes:
    try:
        return tuple(map(index, values))
    except TypeError:
        raise TypeError(f"[{function}] {argument} must be made of ints, got {values!r}.") from None


def _window_axes(value: Any, rank: int, argument: str) -> Axes:
    """The same for `conv_general`, which raises ValueError where their number is wrong."""
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, list | tuple) and len(value) != rank:
        raise ValueError(f"[conv] Invalid {argument} {tuple(value)} for {rank}D convolution.")
    return _for_each_axis(value, rank, "conv_general", argument)


def _both_paddings(padding: Any, rank: int) -> tuple[Axes, Axes]:
    """Padding before and after, from one or two of what `_window_axes` takes."""
    sides = isinstance(padding, list | tuple) and any(isinstance(side, list | tuple) for side in padding)
    if not sides:
        both = _window_axes(padding, rank, "padding")
        return both, both
    if len(padding) != 2:
        raise TypeError(f"[conv_general] padding must be an int, ints, or two lists of ints, got {padding!r}.")
    low, high = padding
    return _window_axes(low, rank, "padding"), _window_axes(high, rank, "padding")


def _arrays(input: Any, weight: Any, function: str, rank: int) -> tuple[Node, Node]:
    """The nodes of both arrays in their common floating dtype, with the spatial axes that `function` takes."""
    x, w = array_node(input, function, "input"), array_node(weight, function, "weight")
    dtype = promote_types(x.dtype, w.dtype)
    for node, name in ((x, "input"), (w, "weight")):
        if node.dtype.is_complex or (node is x and not node.dtype.is_floating):
            raise ValueError(
                f"[conv] Invalid {name} array with type {node.dtype.name}. Convolution supports only floating "
                f"point types: cast it with .astype(mx.float32)."
            )
    if not 1 <= x.ndim - 2 <= _MOST_SPATIAL_AXES:
        raise ValueError(
            f"[conv] Only works for inputs with 1-{_MOST_SPATIAL_AXES} spatial dimensions, in the format "
            f"[N, ..., C_in], got shape {x.shape}."
        )
    if rank > 1 and x.ndim - 2 != rank:  # MLX's conv1d takes inputs with more axes as conv_general does
        raise ValueError(f"[{function}] input must have {rank + 2} dimensions [N, ..., C_in], got shape {x.shape}.")
    if w.ndim != x.ndim:
        raise ValueError(
            f"[conv] Invalid weight array with {w.ndim} dimensions for {x.ndim - 2}D convolution. Expected an array "
            f"with {x.ndim} dimensions following the format [C_out, ..., C_in]."
        )
    return cast(x, dtype), cast(w, dtype)


def _convolution(x: Node, w: Node, window: Window) -> array:
    _check_positive(window.stride, "Stride sizes")
    _check_positive(window.kernel_dilation, "Kernel dilation sizes")
    _check_positive(window.input_dilation, "Input dilation sizes")
    _check_channels(x, w, window.groups)
    padded, reach = window.padded(x.shape[1:-1]), window.reach(w.shape[1:-1])
    for axis, (room, needed) in enumerate(zip(padded, reach, strict=True), 1):
        if room < needed or not needed:
            raise ValueError(
                f"[conv] Spatial dimensions of input after padding cannot be smaller than those of the weight. At "
                f"axis {axis} the input has {room} and the weight {needed}, with input of shape {x.shape}, padding "
                f"low {window.low}, padding high {window.high}, and weight of shape {w.shape}."
            )
    return wrap(CONVOLUTION(x, w, window))


def _check_positive(sizes: Axes, what: str) -> None:
    if min(sizes) <= 0:
        raise ValueError(f"[conv] {what} must be positive, got {sizes}.")


def _check_channels(x: Node, w: Node, groups: int) -> None:
    channels = x.shape[-1]
    if groups <= 0:
        raise ValueError(f"[conv] The number of groups must be positive, got {groups}.")
    if channels % groups:
        raise ValueError(
            f"[conv] The input channels must be divisible by the number of groups, got input of shape {x.shape} "
            f"and {groups} groups."
        )
    if w.shape[0] % groups:
        raise ValueError(
            f"[conv] The output channels must be divisible by the number of groups, got weight of shape {w.shape} "
            f"and {groups} groups."
        )
    if w.shape[-1] * groups != channels:
        raise ValueError(
            f"[conv] Expect the input channels of input and weight to match, {channels // groups} for each of "
            f"{groups} groups, but got shapes - input: {x.shape} and weight: {w.shape}."
        )


# ------------------------------------------------------------------ convolutions


def conv1d(
    input: array,
    weight: array,
    /,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
    *,
    stream: StreamOrDevice = None,
) -> array:
    """Convolution along one axis (cross-correlation: the kernel is not flipped).

    Args:
        input: array of shape `(N, L, C_in)` and a floating dtype.
        weight: array of shape `(C_out, K, C_in / groups)`.
        stride: step of the kernel, in input elements.
        padding: zeros put before and after; a negative number crops.
        dilation: distance of neighbouring kernel elements, in input elements.
        groups: groups of channels that are convolved separately.

    Returns:
        An array of shape `(N, (L + 2 * padding - dilation * (K - 1) - 1) // stride + 1, C_out)`.

    Raises:
        ValueError: the shapes do not fit, a size is not positive, or a dtype is not floating.

    Example:
        >>> import mlx.core as mx
        >>> x = mx.array([1.0, 2.0, 4.0, 8.0]).reshape(1, 4, 1)
        >>> mx.conv1d(x, mx.array([1.0, -1.0]).reshape(1, 2, 1)).flatten()
        array([-1, -2, -4], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "conv1d")
    return _symmetric(input, weight, stride, padding, dilation, groups, "conv1d", 1)


def conv2d(
    input: array,
    weight: array,
    /,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    *,
    stream: StreamOrDevice = None,
) -> array:
    """Convolution along two axes (cross-correlation: the kernel is not flipped).

    Args:
        input: array of shape `(N, H, W, C_in)` and a floating dtype.
        weight: array of shape `(C_out, KH, KW, C_in / groups)`.
        stride: step of the kernel, in input elements; one number for both axes or one for each.
        padding: zeros put before and after, likewise; a negative number crops.
        dilation: distance of neighbouring kernel elements, likewise.
        groups: groups of channels that are convolved separately.

    Returns:
        An array of shape `(N, H_out, W_out, C_out)`.

    Raises:
        ValueError: the shapes do not fit, a size is not positive, or a dtype is not floating.

    Example:
        >>> import mlx.core as mx
        >>> mx.conv2d(mx.ones((1, 28, 28, 3)), mx.ones((8, 3, 3, 3)), stride=2, padding=1).shape
        (1, 14, 14, 8)
    """
    if stream is not None:
        check_stream(stream, "conv2d")
    return _symmetric(input, weight, stride, padding, dilation, groups, "conv2d", 2)


def conv3d(
    input: array,
    weight: array,
    /,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    *,
    stream: StreamOrDevice = None,
) -> array:
    """Convolution along three axes (cross-correlation: the kernel is not flipped).

    Args:
        input: array of shape `(N, D, H, W, C_in)` and a floating dtype.
        weight: array of shape `(C_out, KD, KH, KW, C_in / groups)`.
        stride: step of the kernel, in input elements; one number for all axes or one for each.
        padding: zeros put before and after, likewise; a negative number crops.
        dilation: distance of neighbouring kernel elements, likewise.
        groups: groups of channels that are convolved separately.

    Returns:
        An array of shape `(N, D_out, H_out, W_out, C_out)`.

    Raises:
        ValueError: the shapes do not fit, a size is not positive, or a dtype is not floating.

    Example:
        >>> import mlx.core as mx
        >>> mx.conv3d(mx.ones((1, 8, 8, 8, 2)), mx.ones((4, 3, 3, 3, 2))).shape
        (1, 6, 6, 6, 4)
    """
    if stream is not None:
        check_stream(stream, "conv3d")
    return _symmetric(input, weight, stride, padding, dilation, groups, "conv3d", 3)


def _symmetric(
    input: Any, weight: Any, stride: Any, padding: Any, dilation: Any, groups: int, function: str, rank: int
) -> array:
    x, w = _arrays(input, weight, function, rank)
    rank = x.ndim - 2
    strides = _for_each_axis(stride, rank, function, "stride")
    around = _for_each_axis(padding, rank, function, "padding")
    dilations = _for_each_axis(dilation, rank, function, "dilation")
    return _convolution(
        x, w, Window(strides, around, around, dilations, (1,) * rank, one_integer(groups, function, "groups"), False)
    )


def conv_general(
    input: array,
    weight: array,
    /,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] | tuple[Sequence[int], Sequence[int]] = 0,
    kernel_dilation: int | Sequence[int] = 1,
    input_dilation: int | Sequence[int] = 1,
    groups: int = 1,
    flip: bool = False,
    *,
    stream: StreamOrDevice = None,
) -> array:
    """Convolution along one to three axes with every option.

    Args:
        input: array of shape `(N, spatial..., C_in)` and a floating dtype.
        weight: array of shape `(C_out, kernel..., C_in / groups)`.
        stride: step of the kernel, in elements of the dilated input; one number for all axes or one for each.
        padding: zeros put before and after, likewise; or two sequences, those before and those after. A negative
            number crops.
        kernel_dilation: distance of neighbouring kernel elements, likewise.
        input_dilation: distance that neighbouring input elements are spread to, likewise.
        groups: groups of channels that are convolved separately.
        flip: read the kernel backwards along its spatial axes, as the convolution of mathematics does.

    Returns:
        An array of shape `(N, positions..., C_out)`.

    Raises:
        ValueError: the shapes do not fit, a size is not positive, or a dtype is not floating.

    Example:
        >>> import mlx.core as mx
        >>> x = mx.array([1.0, 2.0, 3.0]).reshape(1, 3, 1)
        >>> w = mx.array([1.0, 10.0]).reshape(1, 2, 1)
        >>> mx.conv_general(x, w, padding=([1], [0])).flatten()
        array([10, 21, 32], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "conv_general")
    x, w = _arrays(input, weight, "conv_general", 1)
    rank = x.ndim - 2
    low, high = _both_paddings(padding, rank)
    window = Window(
        stride=_window_axes(stride, rank, "stride"),
        low=low,
        high=high,
        kernel_dilation=_window_axes(kernel_dilation, rank, "kernel_dilation"),
        input_dilation=_window_axes(input_dilation, rank, "input_dilation"),
        groups=one_integer(groups, "conv_general", "groups"),
        flip=flag(flip, "conv_general", "flip"),
    )
    return _convolution(x, w, window)


# ------------------------------------------------------------------ transposed convolutions


def conv_transpose1d(
    input: array,
    weight: array,
    /,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    output_padding: int = 0,
    groups: int = 1,
    *,
    stream: StreamOrDevice = None,
) -> array:
    """Transposed convolution along one axis: each input element adds a multiple of the kernel to the output.

    Args:
        input: array of shape `(N, L, C_in)` and a floating dtype.
        weight: array of shape `(C_out, K, C_in / groups)`.
        stride: distance of the kernels of neighbouring input elements, in output elements.
        padding: output elements cut off on both sides.
        dilation: distance of neighbouring kernel elements, in output elements.
        output_padding: elements added to the output on one side.
        groups: groups of channels that are convolved separately.

    Returns:
        An array of shape `(N, (L - 1) * stride - 2 * padding + dilation * (K - 1) + output_padding + 1, C_out)`.

    Raises:
        ValueError: the shapes do not fit, a size is not positive, or a dtype is not floating.

    Example:
        >>> import mlx.core as mx
        >>> x = mx.array([1.0, 2.0]).reshape(1, 2, 1)
        >>> mx.conv_transpose1d(x, mx.array([1.0, 10.0, 100.0]).reshape(1, 3, 1), stride=2).flatten()
        array([1, 10, 102, 20, 200], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "conv_transpose1d")
    return _transposed(input, weight, stride, padding, dilation, output_padding, groups, "conv_transpose1d", 1)


def conv_transpose2d(
    input: array,
    weight: array,
    /,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    *,
    stream: StreamOrDevice = None,
) -> array:
    """Transposed convolution along two axes: each input element adds a multiple of the kernel to the output.

    Args:
        input: array of shape `(N, H, W, C_in)` and a floating dtype.
        weight: array of shape `(C_out, KH, KW, C_in / groups)`.
        stride: distance of the kernels of neighbouring input elements, in output elements; one number for both axes
            or one for each.
        padding: output elements cut off on both sides, likewise.
        dilation: distance of neighbouring kernel elements, likewise.
        output_padding: elements added to the output on one side, likewise.
        groups: groups of channels that are convolved separately.

    Returns:
        An array of shape `(N, H_out, W_out, C_out)`.

    Raises:
        ValueError: the shapes do not fit, a size is not positive, or a dtype is not floating.

    Example:
        >>> import mlx.core as mx
        >>> mx.conv_transpose2d(mx.ones((1, 7, 7, 8)), mx.ones((3, 2, 2, 8)), stride=2).shape
        (1, 14, 14, 3)
    """
    if stream is not None:
        check_stream(stream, "conv_transpose2d")
    return _transposed(input, weight, stride, padding, dilation, output_padding, groups, "conv_transpose2d", 2)


def conv_transpose3d(
    input: array,
    weight: array,
    /,
    stride: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    output_padding: int | Sequence[int] = 0,
    groups: int = 1,
    *,
    stream: StreamOrDevice = None,
) -> array:
    """Transposed convolution along three axes: each input element adds a multiple of the kernel to the output.

    Args:
        input: array of shape `(N, D, H, W, C_in)` and a floating dtype.
        weight: array of shape `(C_out, KD, KH, KW, C_in / groups)`.
        stride: distance of the kernels of neighbouring input elements, in output elements; one number for all axes
            or one for each.
        padding: output elements cut off on both sides, likewise.
        dilation: distance of neighbouring kernel elements, likewise.
        output_padding: elements added to the output on one side, likewise.
        groups: groups of channels that are convolved separately.

    Returns:
        An array of shape `(N, D_out, H_out, W_out, C_out)`.

    Raises:
        ValueError: the shapes do not fit, a size is not positive, or a dtype is not floating.

    Example:
        >>> import mlx.core as mx
        >>> mx.conv_transpose3d(mx.ones((1, 4, 4, 4, 2)), mx.ones((3, 2, 2, 2, 2)), stride=2).shape
        (1, 8, 8, 8, 3)
    """
    if stream is not None:
        check_stream(stream, "conv_transpose3d")
    return _transposed(input, weight, stride, padding, dilation, output_padding, groups, "conv_transpose3d", 3)


def _transposed(
    input: Any,
    weight: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    output_padding: Any,
    groups: int,
    function: str,
    rank: int,
) -> array:
    """The convolution of the input, dilated by the stride, with the flipped kernel."""
    x, w = _arrays(input, weight, function, rank)
    rank = x.ndim - 2
    spread = _for_each_axis(stride, rank, function, "stride")
    cut = _for_each_axis(padding, rank, function, "padding")
    dilations = _for_each_axis(dilation, rank, function, "dilation")
    added = _for_each_axis(output_padding, rank, function, "output_padding")
    low = tuple(gap * (extent - 1) - less for gap, extent, less in zip(dilations, w.shape[1:-1], cut, strict=True))
    high = tuple(before + more for before, more in zip(low, added, strict=True))
    return _convolution(
        x, w, Window((1,) * rank, low, high, dilations, spread, one_integer(groups, function, "groups"), True)
    )


# ------------------------------------------------------------------ signals


def convolve(a: array, v: array, /, mode: str = "full", *, stream: StreamOrDevice = None) -> array:
    """The discrete convolution of two signals; the shorter one is flipped, as in signal processing.

    Args:
        a: array of shape `(n,)` and a floating dtype.
        v: array of shape `(m,)`.
        mode: "full" for every overlap, "same" for the middle `max(n, m)` of them, "valid" for complete ones only.

    Returns:
        An array of shape `(n + m - 1,)`, `(max(n, m),)` or `(abs(n - m) + 1,)`.

    Raises:
        ValueError: an array is empty or not one-dimensional, a dtype is not floating, or the mode is unknown.

    Example:
        >>> import mlx.core as mx
        >>> mx.convolve(mx.array([1.0, 2.0, 3.0]), mx.array([1.0, 10.0]))
        array([1, 12, 23, 30], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "convolve")
    x, w = array_node(a, "convolve", "a"), array_node(v, "convolve", "v")
    if x.ndim != 1 or w.ndim != 1:
        raise ValueError(f"[convolve] Inputs must be 1D, got shapes {x.shape} and {w.shape}.")
    if not x.size or not w.size:
        raise ValueError(f"[convolve] Inputs cannot be empty, got shapes {x.shape} and {w.shape}.")
    if x.size < w.size:
        x, w = w, x
    around = w.size - 1
    paddings = {"full": (around, around), "same": (around - around // 2, around // 2), "valid": (0, 0)}
    if word(mode, "convolve", "mode") not in paddings:
        raise ValueError(f"[convolve] Invalid mode {mode!r}; it must be 'full', 'same' or 'valid'.")
    low, high = paddings[mode]
    signal = conv_general(
        wrap(reshape(x, (1, x.size, 1))), wrap(reshape(w, (1, w.size, 1))), padding=([low], [high]), flip=True
    )
    return wrap(reshape(signal._node, (signal._node.size,)))

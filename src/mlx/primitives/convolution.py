"""Convolution: one trilinear form of input, weight and output, and a primitive for what each pair of them determines.

With x of shape (N, spatial..., C), w of shape (O, kernel..., C / groups) and y of shape (N, positions..., O), the form
is the sum over all products y[n, p, o] x[n, p stride + k dilation - low, c] w[o, k, c]. Each primitive is its
derivative with respect to the third array, so that the derivatives of each are the other two.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive
from mlx.primitives.shape import Dims, batch_size, move_axis, reshape
from mlx.primitives.slicing import zeros

Axes = tuple[int, ...]

_FLOPS_A_NANOSECOND = 30.0
_ELEMENTWISE_TAPS = 64  # kernel elements up to which a depthwise convolution is summed up elementwise on the CPU


class Window(NamedTuple):
    """How the kernel moves over the input: for each spatial axis a number, and the groups of channels.

    Padding may be negative, which crops. `flip` reads the kernel backwards along its spatial axes.
    """

    stride: Axes
    low: Axes
    high: Axes
    kernel_dilation: Axes
    input_dilation: Axes
    groups: int
    flip: bool

    def positions(self, spatial: Axes, kernel: Axes) -> Axes:
        """Where a kernel of these extents fits on an input of these extents: the output's spatial extents."""
        padded = self.padded(spatial)
        reach = self.reach(kernel)
        return tuple(
            max((p - r) // s + 1, 0) if p >= r else 0 for p, r, s in zip(padded, reach, self.stride, strict=True)
        )

    def padded(self, spatial: Axes) -> Axes:
        """The extents of the input once it is dilated and padded."""
        dilated = spread_extents(spatial, self.input_dilation)
        return tuple(
            max(extent + low + high, 0) for extent, low, high in zip(dilated, self.low, self.high, strict=True)
        )

    def reach(self, kernel: Axes) -> Axes:
        """The extents of the dilated kernel."""
        return spread_extents(kernel, self.kernel_dilation)


def spread_extents(extents: Axes, dilation: Axes) -> Axes:
    """Extents once `dilation - 1` gaps have been put between neighbours."""
    return tuple((extent - 1) * gap + 1 if extent else 0 for extent, gap in zip(extents, dilation, strict=True))


# ------------------------------------------------------------------ NumPy: patches times matrix


def _dilated_and_padded(x: Any, window: Window) -> Any:
    spatial = x.shape[1:-1]
    padded = window.padded(spatial)
    if padded == spatial and not any(window.low):
        return x
    out = np.zeros((x.shape[0], *padded, x.shape[-1]), x.dtype)
    source, target = _placement(spatial, padded, window)
    out[target] = x[source]
    return out


def _placement(spatial: Axes, padded: Axes, window: Window) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Which elements of the input end up where in the dilated and padded one."""
    source, target = [slice(None)], [slice(None)]
    for extent, length, low, gap in zip(spatial, padded, window.low, window.input_dilation, strict=True):
        first = max(-(low // gap), 0)  # the first one that negative padding does not crop
        last = min((length - 1 - low) // gap, extent - 1)
        count = max(last - first + 1, 0)
        source.append(slice(first, first + count))
        start = first * gap + low
        target.append(slice(start, start + (count - 1) * gap + 1 if count else start, gap))
    return tuple(source), tuple(target)


def _taps(window: Window, kernel: Axes, positions: Axes) -> Iterator[tuple[slice, ...]]:
    """For each kernel element in order, the part of the padded input that it meets."""
    for element in itertools.product(*(range(extent) for extent in kernel)):
        yield (
            slice(None),
            *(
                slice(k * gap, k * gap + (count - 1) * stride + 1 if count else k * gap, stride)
                for k, gap, count, stride in zip(element, window.kernel_dilation, positions, window.stride, strict=True)
            ),
        )


def _patches(x: Any, window: Window, kernel: Axes, positions: Axes) -> Any:
    """What each output position sees, as a matrix for each group: (groups, N * positions, kernel * C / groups)."""
    padded = _dilated_and_padded(x, window)
    channels = x.shape[-1] // window.groups
    rows = x.shape[0] * math.prod(positions)
    patches = np.empty((window.groups, x.shape[0], *positions, math.prod(kernel), channels), x.dtype)
    for element, part in enumerate(_taps(window, kernel, positions)):
        seen = padded[part]
        seen = seen.reshape(*seen.shape[:-1], window.groups, channels)
        patches[..., element, :] = np.moveaxis(seen, -2, 0)
    return patches.reshape(window.groups, rows, math.prod(kernel) * channels)


def _grouped_rows(y: Any, groups: int) -> Any:
    """(N, positions..., O) as (groups, N * positions, O / groups)."""
    channels = y.shape[-1] // groups
    return np.moveaxis(y.reshape(math.prod(y.shape[:-1]), groups, channels), 1, 0)


def _weight_matrix(w: Any, window: Window) -> Any:
    """(O, kernel..., C / groups) as (groups, O / groups, kernel * C / groups)."""
    return _flipped(w, window).reshape(window.groups, w.shape[0] // window.groups, math.prod(w.shape[1:]))


def _flipped(w: Any, window: Window) -> Any:
    return np.flip(w, tuple(range(1, w.ndim - 1))) if window.flip else w


def _output_kernel(x: Any, w: Any, window: Window) -> Any:
    kernel = w.shape[1:-1]
    positions = window.positions(x.shape[1:-1], kernel)
    product = _patches(x, window, kernel, positions) @ np.swapaxes(_weight_matrix(w, window), 1, 2)
    return np.moveaxis(product, 0, 1).reshape(x.shape[0], *positions, w.shape[0])


def _weight_kernel(x: Any, y: Any, window: Window, kernel: Axes) -> Any:
    patches = _patches(x, window, kernel, y.shape[1:-1])
    product = np.swapaxes(_grouped_rows(y, window.groups), 1, 2) @ patches
    return _flipped(product.reshape(y.shape[-1], *kernel, x.shape[-1] // window.groups), window)


def _input_kernel(y: Any, w: Any, window: Window, spatial: Axes) -> Any:
    groups, channels, kernel, positions = window.groups, w.shape[-1], w.shape[1:-1], y.shape[1:-1]
    product = _grouped_rows(y, groups) @ _weight_matrix(w, window)
    shares = product.reshape(groups, y.shape[0], *positions, math.prod(kernel), channels)
    extents = window.padded(spatial)
    padded = np.zeros((y.shape[0], *extents, groups, channels), product.dtype)
    for element, part in enumerate(_taps(window, kernel, positions)):
        padded[part] += np.moveaxis(shares[..., element, :], 0, -2)
    padded = padded.reshape(y.shape[0], *extents, groups * channels)
    if extents == spatial and not any(window.low):
        return padded
    out = np.zeros((y.shape[0], *spatial, groups * channels), product.dtype)
    source, target = _placement(spatial, extents, window)
    out[source] = padded[target]
    return out


# ------------------------------------------------------------------ XLA


def _output_xla(xla: Any, x: Any, w: Any, window: Window) -> Any:
    positions = window.positions(x.shape[1:-1], w.shape[1:-1])
    shape = (x.shape[0], *positions, w.shape[0])
    if window.flip:
        w = _reversed(xla, w)
    return _convolve(
        xla, x, w, shape, window, padding=tuple(zip(window.low, window.high, strict=True)), layout=("NC", "OI", "NC")
    )


def _input_xla(xla: Any, y: Any, w: Any, window: Window, spatial: Axes) -> Any:
    """The convolution of the output, dilated by the stride, with the reversed kernel."""
    groups, kernel = window.groups, w.shape[1:-1]
    shape = (y.shape[0], *spatial, groups * w.shape[-1])
    reach = window.reach(kernel)
    low = tuple(r - 1 - mine for r, mine in zip(reach, window.low, strict=True))
    length = spread_extents(spatial, window.input_dilation)
    taken = spread_extents(y.shape[1:-1], window.stride)
    high = tuple(n - t - a + r - 1 for n, t, a, r in zip(length, taken, low, reach, strict=True))
    if not window.flip:
        w = _reversed(xla, w)
    if groups > 1:  # (O, kernel..., C / groups) to (C, kernel..., O / groups)
        split = w.reshape(groups, w.shape[0] // groups, *w.shape[1:])
        w = xla.jnp.swapaxes(split, 1, -1).reshape(groups * w.shape[-1], *kernel, w.shape[0] // groups)
    mirrored = window._replace(stride=window.input_dilation, input_dilation=window.stride)
    layout = ("NC", "OI" if groups > 1 else "IO", "NC")
    return _convolve(xla, y, w, shape, mirrored, tuple(zip(low, high, strict=True)), layout)


def _weight_xla(xla: Any, x: Any, y: Any, window: Window, kernel: Axes) -> Any:
    """The convolution of the input with the output, dilated by the stride, in which samples act as channels."""
    groups, samples = window.groups, x.shape[0]
    shape = (y.shape[-1], *kernel, x.shape[-1] // groups)
    length = spread_extents(x.shape[1:-1], window.input_dilation)
    taken = spread_extents(y.shape[1:-1], window.stride)
    reach = window.reach(kernel)
    high = tuple(r - 1 + t - n - a for r, t, n, a in zip(reach, taken, length, window.low, strict=True))
    mirrored = window._replace(stride=window.kernel_dilation, kernel_dilation=window.stride)
    layout = ("CN", "IO", "CN")
    batch_groups = 1
    if groups > 1 and xla.platform == "cpu" and x.size:
        # Grouped by channels this is 20 to 50 times as fast on a CPU as grouped by the batch.
        split = x.reshape(*x.shape[:-1], groups, x.shape[-1] // groups)
        axes = (split.ndim - 1, *range(1, split.ndim - 2), split.ndim - 2, 0)
        x = split.transpose(axes).reshape(x.shape[-1] // groups, *x.shape[1:-1], groups * samples)
        layout = ("NC", "IO", "CN")
    elif groups > 1:
        batch_groups = groups
        mirrored = mirrored._replace(groups=1)
    padding = tuple(zip(window.low, high, strict=True))
    out = _convolve(xla, x, y, shape, mirrored, padding, layout, batch_groups)
    return _reversed(xla, out) if window.flip else out


def _reversed(xla: Any, w: Any) -> Any:
    return xla.lax.rev(w, tuple(range(1, w.ndim - 1)))


def _convolve(
    xla: Any,
    x: Any,
    w: Any,
    shape: Shape,
    window: Window,
    padding: tuple[tuple[int, int], ...],
    layout: tuple[str, str, str],
    batch_groups: int = 1,
) -> Any:
    """XLA's convolution of shape `shape`.

    `layout` names the first and the last axis of the input, the kernel and the output: batch N, channels C, and
    output and input channels O and I.
    """
    if 0 in shape or 0 in x.shape or 0 in w.shape:
        return xla.jnp.zeros(shape, x.dtype)
    dtype = x.dtype
    on_cpu = xla.platform == "cpu"
    if on_cpu and dtype.itemsize == 2:
        x, w = x.astype(np.float32), w.astype(np.float32)
    kernel = w.shape[1:-1]
    depthwise = window.groups > 1 and window.groups == x.shape[-1] and layout == ("NC", "OI", "NC")
    if on_cpu and depthwise and math.prod(kernel) <= _ELEMENTWISE_TAPS:
        return _depthwise(xla, x, w, shape, window, padding).astype(dtype)
    spatial = "DHW"[-len(kernel) :]
    specification = tuple(name[0] + spatial + name[1] for name in layout)
    out = xla.lax.conv_general_dilated(
        x,
        w,
        window.stride,
        padding,
        lhs_dilation=window.input_dilation,
        rhs_dilation=window.kernel_dilation,
        dimension_numbers=specification,
        feature_group_count=window.groups,
        batch_group_count=batch_groups,
    )
    return out.astype(dtype)


def _depthwise(xla: Any, x: Any, w: Any, shape: Shape, window: Window, padding: tuple[tuple[int, int], ...]) -> Any:
    """The convolution of each channel with kernels of its own, one multiplication by each kernel element.

    XLA's CPU convolution takes about 20 times as long.
    """
    channels = x.shape[-1]
    gaps = (
        (0, 0, 0),
        *((a, b, gap - 1) for (a, b), gap in zip(padding, window.input_dilation, strict=True)),
        (0, 0, 0),
    )
    padded = xla.lax.pad(x, xla.jnp.zeros((), x.dtype), gaps)
    weights = w.reshape(channels, w.shape[0] // channels, -1)
    total = None
    for element, part in enumerate(_taps(window, w.shape[1:-1], shape[1:-1])):
        term = padded[part][..., None] * weights[:, :, element]
        total = term if total is None else total + term
    assert total is not None
    return total.reshape(shape)


# ------------------------------------------------------------------ batches


# Into which axis of an array a new batch axis is merged, by which arrays have one (the result always has): the axis and
# whether it goes inside the groups. Where all three have one it makes more groups.
_MERGED: dict[frozenset[str], dict[str, tuple[int, bool]]] = {
    frozenset("xy"): {"x": (0, False), "y": (0, False)},
    frozenset("wy"): {"w": (0, True), "y": (-1, True)},
    frozenset("xw"): {"x": (-1, True), "w": (-1, False)},
    frozenset("xwy"): {"x": (-1, False), "w": (0, False), "y": (-1, False)},
}


def _batching_rule(operands: str, result: str) -> Callable[..., tuple[Node, int]]:
    """The batching rule of the primitive that computes the array named `result` from those named in `operands`."""

    def rule(inputs: Sequence[Node], dims: Dims, window: Window, *extents: Axes) -> tuple[Node, int]:
        batched = {name: dim for name, dim in zip(operands, dims, strict=True) if dim is not None}
        merged = _MERGED[frozenset({*batched, result})]
        arrays = dict(zip(operands, inputs, strict=True))
        size = batch_size(inputs, dims)
        primitive = PRIMITIVE_OF[result]
        if size == 0:  # nothing can be told apart in an axis without elements
            return _of_no_entries(primitive, inputs, dims, window, *extents), 0
        for name, dim in batched.items():
            axis, inside = merged[name]
            arrays[name] = _merge(arrays[name], dim, axis, window.groups if inside else 1)
        groups = window.groups * size if len(batched) == 2 else window.groups
        out = primitive(*arrays.values(), window._replace(groups=groups), *extents)
        axis, inside = merged[result]
        return _split(out, axis, window.groups if inside else 1, size)

    return rule


def _of_no_entries(primitive: Primitive, inputs: Sequence[Node], dims: Dims, *params: Any) -> Node:
    """The result of a batch without entries."""
    examples = tuple(
        x if dim is None else zeros((*x.shape[:dim], *x.shape[dim + 1 :]), x.dtype)
        for x, dim in zip(inputs, dims, strict=True)
    )
    shape, dtype = primitive.infer(examples, params)
    return zeros((0, *shape), dtype)


def _merge(x: Node, dim: int, axis: int, groups: int) -> Node:
    """`x` with its batch axis `dim` made part of another axis (0 or -1 of what remains), inside `groups` groups."""
    x = move_axis(x, dim, 0)
    size, *rest = x.shape
    axis %= len(rest)
    before, extent, after = rest[:axis], rest[axis], rest[axis + 1 :]
    x = reshape(x, (size, *before, groups, extent // groups, *after))
    return reshape(move_axis(x, 0, axis + 1), (*before, size * extent, *after))


def _split(x: Node, axis: int, groups: int, size: int) -> tuple[Node, int]:
    """The inverse of `_merge`: `x` with a batch axis of its own, and where that is."""
    axis %= x.ndim
    before, extent, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
    x = reshape(x, (*before, groups, size, extent // (groups * size), *after))
    return reshape(move_axis(x, axis + 1, 0), (size, *before, extent // size, *after)), 0


# ------------------------------------------------------------------ the primitives


def _cost(y: Shape, w: Shape, groups: int) -> float:
    """Nanoseconds for the products, and for the patches that are copied for them."""
    patches = math.prod(y[:-1]) * math.prod(w[1:])
    return 2.0 * patches * y[-1] / _FLOPS_A_NANOSECOND + 0.5 * patches * groups


def _groups(node: Node) -> int:
    window = node.params[0]
    assert isinstance(window, Window)
    return window.groups


def _output_cost(node: Node) -> float:
    return _cost(node.shape, node.inputs[1].shape, _groups(node)) if node.inputs else 0.0


def _input_cost(node: Node) -> float:
    return _cost(node.inputs[0].shape, node.inputs[1].shape, _groups(node)) if node.inputs else 0.0


def _weight_cost(node: Node) -> float:
    return _cost(node.inputs[1].shape, node.shape, _groups(node)) if node.inputs else 0.0


CONVOLUTION = Primitive(
    "convolution",
    arity=2,
    shape=lambda x, w, window: (
        (x.shape[0], *window.positions(x.shape[1:-1], w.shape[1:-1]), w.shape[0]),
        x.dtype,
    ),
    kernel=_output_kernel,
    lower=_output_xla,
    vjp=(
        lambda g, out, x, w, window: CONVOLUTION_INPUT(g, w, window, x.shape[1:-1]),
        lambda g, out, x, w, window: CONVOLUTION_WEIGHT(x, g, window, w.shape[1:-1]),
    ),
    linear=(0, 1),
    batch=_batching_rule("xw", "y"),
    reads_memory=True,
    cost=_output_cost,
)

# The derivative of `sum(convolution(x, w) * y)` with respect to x, whose spatial extents are the last parameter.
CONVOLUTION_INPUT = Primitive(
    "convolution_input",
    arity=2,
    shape=lambda y, w, window, spatial: ((y.shape[0], *spatial, w.shape[-1] * window.groups), y.dtype),
    kernel=_input_kernel,
    lower=_input_xla,
    vjp=(
        lambda g, out, y, w, window, spatial: CONVOLUTION(g, w, window),
        lambda g, out, y, w, window, spatial: CONVOLUTION_WEIGHT(g, y, window, w.shape[1:-1]),
    ),
    linear=(0, 1),
    batch=_batching_rule("yw", "x"),
    reads_memory=True,
    cost=_input_cost,
)

# The same with respect to w, whose spatial extents are the last parameter.
CONVOLUTION_WEIGHT = Primitive(
    "convolution_weight",
    arity=2,
    shape=lambda x, y, window, kernel: ((y.shape[-1], *kernel, x.shape[-1] // window.groups), x.dtype),
    kernel=_weight_kernel,
    lower=_weight_xla,
    vjp=(
        lambda g, out, x, y, window, kernel: CONVOLUTION_INPUT(y, g, window, x.shape[1:-1]),
        lambda g, out, x, y, window, kernel: CONVOLUTION(x, g, window),
    ),
    linear=(0, 1),
    batch=_batching_rule("xy", "w"),
    reads_memory=True,
    cost=_weight_cost,
)

PRIMITIVE_OF = {"x": CONVOLUTION_INPUT, "w": CONVOLUTION_WEIGHT, "y": CONVOLUTION}

"""What primitives demand of their operands and parameters, where their shape rules take it for granted.

Public functions and derivative rules see to it, so that recording need not check it again. A program that comes from a
file may say anything: its kernels would compute other shapes than its nodes have, fail in the middle of a run, or read
memory that is not theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from mlx.ir.body import Body
from mlx.ir.dtypes import Dtype, bfloat16, bool_, complex64, float16, float32, float64, uint32
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive, broadcast_shape
from mlx.ir.trace import placeholder
from mlx.primitives.convolution import Window
from mlx.primitives.elementwise import Elementwise
from mlx.primitives.fft import ADJOINT
from mlx.primitives.flash_attention import wide_dtype
from mlx.primitives.hadamard import base_order
from mlx.primitives.indexing import gathered_shape
from mlx.primitives.quantization import ENCODERS, LARGEST, VALUES, WORD

Numbers = tuple[int, ...]


def check_demands(primitive: Primitive, inputs: Sequence[Node], params: Sequence[Any]) -> None:
    """ValueError unless the operands and parameters, of the right number and kinds, are ones that it can compute with.

    Other exceptions mean the same: demands are not written for arguments that nothing has checked.
    """
    if isinstance(primitive, Elementwise):
        sound = _is_elementwise(primitive, inputs)
    else:
        demand = DEMANDS[primitive.name]
        sound = demand(inputs, *params) if primitive.arity is None else demand(*inputs, *params)
    if not sound:
        operands = ", ".join(f"{x.dtype.name}{list(x.shape)}" for x in inputs)
        raise ValueError(f"{primitive.name} cannot be computed of ({operands}) with the parameters {tuple(params)}")


# ---------------------------------------------------------------------- elementwise primitives


def _is_elementwise(primitive: Elementwise, inputs: Sequence[Node]) -> bool:
    dtypes = [x.dtype for x in inputs]
    return _have_one_dtype(*inputs) and _computes(primitive, tuple(dtypes), primitive.output_dtype(*inputs))


@cache
def _computes(primitive: Elementwise, dtypes: tuple[Dtype, ...], output: Dtype) -> bool:
    """Whether the kernel takes these dtypes and gives that one: found by trying it on one element."""
    assert primitive.kernel is not None
    with np.errstate(all="ignore"):
        try:
            value = primitive.kernel(*[np.ones(1, _computed_in(dtype).numpy) for dtype in dtypes])
        except TypeError:
            return False
    return value.dtype == _computed_in(output).numpy


def _computed_in(dtype: Dtype) -> Dtype:
    """Kernels get half precision as float32."""
    return float32 if dtype.is_half else dtype


# ---------------------------------------------------------------------- parts of demands


def _anything(*arguments: Any) -> bool:
    return True


def _have_one_dtype(*inputs: Node) -> bool:
    return all(x.dtype is inputs[0].dtype for x in inputs)


def _are_integers(*inputs: Node) -> bool:
    return all(x.dtype.is_integer for x in inputs)


def _are_axes(axes: Numbers, ndim: int, first: int = 0) -> bool:
    return len(set(axes)) == len(axes) and all(first <= axis < ndim for axis in axes)


def _at(x: Node, axes: Numbers) -> Shape:
    return tuple(x.shape[axis] for axis in axes)


def _fit(shape: Shape, starts: Numbers, sizes: Shape, strides: Numbers) -> bool:
    """Whether a slice lies inside an array."""
    return len(shape) == len(starts) == len(sizes) == len(strides) and all(
        start >= 0 and size >= 0 and stride > 0 and start + ((size - 1) * stride + 1 if size else 0) <= extent
        for extent, start, size, stride in zip(shape, starts, sizes, strides, strict=True)
    )


def _broadcasts(x: Node, shape: Shape) -> bool:
    return len(shape) >= x.ndim and broadcast_shape(x.shape, shape) == shape


def _runs_foreign_code(inputs: Sequence[Node], *params: Any) -> bool:
    raise ValueError(
        "[cuda_kernel] A program in a file cannot bring a CUDA kernel along: whoever reads it would run foreign "
        "code on a GPU. Write the function with mx operations."
    )


# ---------------------------------------------------------------------- demands by family


def _reduces(x: Node, axes: Numbers, keepdims: bool) -> bool:
    return _are_axes(axes, x.ndim)


def _finds(x: Node, axes: Numbers, keepdims: bool = False) -> bool:
    """No elements have no extremum."""
    return _are_axes(axes, x.ndim) and 0 not in _at(x, axes)


def _weighs_exponentials(x: Node, axes: Numbers) -> bool:
    return _are_axes(axes, x.ndim) and x.dtype.is_inexact


def _sums_exponentials(x: Node, axes: Numbers, keepdims: bool) -> bool:
    return _finds(x, axes) and x.dtype.is_inexact  # relative to the largest


def _scans(x: Node, axis: int, reverse: bool) -> bool:
    return 0 <= axis < x.ndim


def _selects(condition: Node, x: Node, y: Node) -> bool:
    return condition.dtype is bool_ and _have_one_dtype(x, y)


def _pads(x: Node, value: Node, starts: Numbers, shape: Shape, strides: Numbers) -> bool:
    return value.shape == () and _have_one_dtype(x, value) and _fit(shape, starts, x.shape, strides)


def _updates(x: Node, update: Node, starts: Numbers, sizes: Shape, strides: Numbers) -> bool:
    return update.shape == sizes and _have_one_dtype(x, update) and _fit(x.shape, starts, sizes, strides)


def _slices_dynamically(x: Node, start: Node, axes: Numbers, sizes: Shape) -> bool:
    """One start for each leading subarray, with an entry for each of `axes`."""
    lead = start.ndim - 1
    return (
        _are_integers(start)
        and start.shape[-1] == len(axes)
        and _are_axes(axes, x.ndim, lead)
        and x.shape[:lead] == sizes[:lead] == start.shape[:-1]
        and _fit(x.shape, (0,) * x.ndim, sizes, (1,) * x.ndim)
    )


def _indexes(x: Node, indices: Sequence[Node], axes: Numbers, position: int) -> bool:
    return (
        len(indices) == len(axes) > 0
        and _are_integers(*indices)
        and _are_axes(axes, x.ndim)
        and all(left < right for left, right in pairwise(axes))
        and 0 <= position <= x.ndim - len(axes)
    )


def _picks(x: Node, index: Node) -> bool:
    return x.ndim > 0 and index.shape == x.shape[:-1] and _are_integers(index) and x.shape[-1] > 0


def _scatters(inputs: Sequence[Node], axes: Numbers, position: int, clamp: bool) -> bool:
    x, update, *indices = inputs
    return (
        _indexes(x, indices, axes, position)
        and _have_one_dtype(x, update)
        and update.shape == gathered_shape(x, indices, axes, position)
    )


def _concatenates(inputs: Sequence[Node], axis: int) -> bool:
    first = inputs[0]
    return (
        _have_one_dtype(*inputs)
        and 0 <= axis < first.ndim
        and all(
            x.ndim == first.ndim
            and x.shape[:axis] == first.shape[:axis]
            and x.shape[axis + 1 :] == first.shape[axis + 1 :]
            for x in inputs
        )
    )


def _contracts(
    a: Node, b: Node, contracted_a: Numbers, contracted_b: Numbers, batch_a: Numbers, batch_b: Numbers
) -> bool:
    return (
        _have_one_dtype(a, b)
        and a.dtype.is_inexact
        and _are_axes(contracted_a + batch_a, a.ndim)
        and _are_axes(contracted_b + batch_b, b.ndim)
        and _at(a, contracted_a) == _at(b, contracted_b)
        and _at(a, batch_a) == _at(b, batch_b)
    )


def _multiplies_gathered(a: Node, b: Node, index: Node) -> bool:
    return (
        _have_one_dtype(a, b)
        and _are_integers(index)
        and a.ndim == b.ndim == 3
        and index.shape == a.shape[:1]
        and a.shape[2] == b.shape[1]
        and (b.shape[0] > 0 or not index.size)
    )


def _multiplies_groups(a: Node, g: Node, index: Node, count: int) -> bool:
    return (
        _have_one_dtype(a, g)
        and _are_integers(index)
        and a.ndim == g.ndim == 3
        and index.shape == a.shape[:1]
        and a.shape[:2] == g.shape[:2]
        and (count > 0 or not index.size)
    )


def _multiplies_segments(a: Node, b: Node, segments: Node) -> bool:
    return _are_segmented(a, b, segments) and a.ndim == 2 and a.shape[1] == b.shape[0]


def _adds_segments(g: Node, b: Node, segments: Node) -> bool:
    return (
        _are_segmented(g, b, segments) and g.ndim == 3 and g.shape[2] == b.shape[1] and g.shape[0] == segments.shape[0]
    )


def _are_segmented(x: Node, b: Node, segments: Node) -> bool:
    return (
        _have_one_dtype(x, b)
        and x.dtype.is_floating
        and b.ndim == 2
        and _are_integers(segments)
        and segments.ndim == 2
        and segments.shape[1] == 2
    )


# ---------------------------------------------------------------------- convolution


def _is_window(window: Window, ndim: int) -> bool:
    steps = window.stride + window.kernel_dilation + window.input_dilation
    return len(window.stride) == ndim - 2 > 0 and all(step > 0 for step in steps) and window.groups > 0


def _convolves(window: Window, x: Shape, w: Shape, y: Shape) -> bool:
    """Whether shapes of the input, the weight and the output belong together."""
    return (
        len(x) == len(w) == len(y)
        and _is_window(window, len(x))
        and y == (x[0], *window.positions(x[1:-1], w[1:-1]), w[0])
        and x[-1] == w[-1] * window.groups
        and w[0] % window.groups == 0
    )


def _gives_output(x: Node, w: Node, window: Window) -> bool:
    if not _is_window(window, x.ndim):
        return False
    y = (x.shape[0], *window.positions(x.shape[1:-1], w.shape[1:-1]), w.shape[0])
    return _are_convolved(x, w) and _convolves(window, x.shape, w.shape, y)


def _gives_input(y: Node, w: Node, window: Window, spatial: Shape) -> bool:
    x = (y.shape[0], *spatial, w.shape[-1] * window.groups)
    return _are_convolved(y, w) and _convolves(window, x, w.shape, y.shape)


def _gives_weight(x: Node, y: Node, window: Window, kernel: Shape) -> bool:
    w = (y.shape[-1], *kernel, x.shape[-1] // window.groups)
    return _are_convolved(x, y) and _convolves(window, x.shape, w, y.shape)


def _are_convolved(a: Node, b: Node) -> bool:
    return _have_one_dtype(a, b) and a.dtype.is_inexact


# ---------------------------------------------------------------------- matrices


def _is_matrix(a: Node) -> bool:
    return a.ndim >= 2 and a.dtype.is_inexact and not a.dtype.is_half


def _is_square(a: Node) -> bool:
    return _is_matrix(a) and a.shape[-1] == a.shape[-2]


def _is_symmetric(a: Node) -> bool:
    return _is_square(a) and a.dtype.is_floating


def _solves(a: Node, b: Node, *params: Any) -> bool:
    return _is_square(a) and b.ndim == a.ndim and a.shape[:-1] == b.shape[:-1] and _have_one_dtype(a, b)


def _recurs_in_matrices(a: Node, b: Node, reverse: bool) -> bool:
    return (
        _have_one_dtype(a, b)
        and a.dtype.is_inexact
        and a.ndim == b.ndim >= 3
        and a.shape[:-2] == b.shape[:-2]
        and a.shape[-1] == a.shape[-2] == b.shape[-1]
    )


def _changes_root(r: Node, c: Node) -> bool:
    return _is_symmetric(r) and r.shape == c.shape and np.result_type(r.dtype.numpy, c.dtype.numpy) == c.dtype.numpy


def _changes_cofactor(a: Node, g: Node) -> bool:
    return _is_symmetric(a) and a.shape == g.shape and _have_one_dtype(a, g)


# ---------------------------------------------------------------------- Fourier transforms


def _transforms(dtype: Dtype) -> Callable[..., bool]:
    return lambda x, axes, *params: x.dtype is dtype and _are_transformed(x, axes) and params[-1] in ADJOINT


def _are_transformed(x: Node, axes: Numbers) -> bool:
    return len(axes) > 0 and _are_axes(axes, x.ndim) and 0 not in _at(x, axes)


def _transforms_back(x: Node, axes: Numbers, n: int, norm: str) -> bool:
    return _transforms(complex64)(x, axes, norm) and n > 0 and x.shape[axes[-1]] == n // 2 + 1


# ---------------------------------------------------------------------- attention


def _has_scores(inputs: Sequence[Node], masked: bool, rows: int, columns: int) -> bool:
    """Whether the first inputs are queries, keys, values and, if so, a mask that belong together."""
    q, k, v = inputs[:3]
    if not (
        _have_one_dtype(q, k, v)
        and q.dtype.is_floating
        and q.ndim == k.ndim == v.ndim >= 3
        and q.shape[:-3] == k.shape[:-3] == v.shape[:-3]
        and q.shape[-1] == k.shape[-1]
        and k.shape[-3:-1] == v.shape[-3:-1]
        and k.shape[-3] > 0
        and q.shape[-3] % k.shape[-3] == 0
        and min(rows, columns) > 0
    ):
        return False
    return not masked or (
        inputs[3].dtype in (bool_, q.dtype) and _is_repeated(inputs[3].shape, (*q.shape[:-1], k.shape[-2]))
    )


def _is_repeated(shape: Shape, whole: Shape) -> bool:
    """Whether a shape has the extents of another, or 1."""
    return len(shape) == len(whole) and all(mine in (1, extent) for mine, extent in zip(shape, whole, strict=True))


def _attends(inputs: Sequence[Node], causal: bool, masked: bool, has_sinks: bool, rows: int, columns: int) -> bool:
    if len(inputs) != 3 + masked + has_sinks or not _has_scores(inputs, masked, rows, columns):
        return False
    q, sinks = inputs[0], inputs[-1]
    whole = q.shape[:-2]
    return not has_sinks or (
        sinks.dtype is wide_dtype(q.dtype) and _is_repeated(sinks.shape, whole) and sinks.shape[-1] == whole[-1]
    )


def _pulls_attention_back(
    inputs: Sequence[Node], causal: bool, masked: bool, of_mask: bool, rows: int, columns: int
) -> bool:
    if len(inputs) != 7 + masked or not _has_scores(inputs, masked, rows, columns):
        return False
    q, _, v = inputs[:3]
    g, *normalisers = inputs[3 + masked :]
    return (
        g.dtype is q.dtype
        and g.shape == (*q.shape[:-1], v.shape[-1])
        and all(x.dtype is wide_dtype(q.dtype) and x.shape == q.shape[:-1] for x in normalisers)
        and not (of_mask and (not masked or inputs[3].dtype is bool_))
    )


# ---------------------------------------------------------------------- numbers of few bits, random numbers


def _fills_groups(w: Node, group_size: int, bits: int) -> bool:
    if w.ndim == 0 or not w.dtype.is_floating or group_size <= 0 or not 0 < bits <= 8:
        return False
    return w.shape[-1] % group_size == 0 and group_size * bits % WORD == 0


def _are_formats(bits: int, element: str, scale: str) -> bool:
    return element in LARGEST and scale in ENCODERS and len(VALUES[element]) == 2**bits


def _quantizes_to_floats(w: Node, unit: Node, group_size: int, bits: int, element: str, scale: str) -> bool:
    return (
        _fills_groups(w, group_size, bits)
        and _are_formats(bits, element, scale)
        and unit.dtype is float32
        and (unit.ndim == 0 or (unit.ndim == w.ndim and broadcast_shape(w.shape, unit.shape) == w.shape))
        and unit.shape[-1:] in ((), (1,))
    )


def _multiplies_quantized(
    x: Node, packed: Node, scales: Node, element: str, group_size: int, bits: int, transposed: bool
) -> bool:
    return (
        _is_filled(packed, bits)
        and x.dtype is scales.dtype
        and x.dtype in (float32, float64)
        and x.ndim == packed.ndim == scales.ndim == 2
        and group_size > 0
        and packed.shape[0] == scales.shape[0]
        and packed.shape[1] * WORD == scales.shape[1] * group_size * bits
        and x.shape[1] == (scales.shape[1] * group_size if transposed else packed.shape[0])
        and (not element or (element in LARGEST and len(VALUES[element]) == 2**bits))
    )


def _is_filled(packed: Node, bits: int) -> bool:
    return packed.dtype is uint32 and packed.ndim > 0 and 0 < bits <= 8 and packed.shape[-1] * WORD % bits == 0


def _draws(*dtypes: Dtype) -> Callable[..., bool]:
    return lambda key, shape, dtype: _is_key(key) and dtype in dtypes


def _is_key(key: Node) -> bool:
    return key.dtype is uint32 and key.shape[-1:] == (2,)


# ---------------------------------------------------------------------- other primitives


def _searches(line: Node, values: Node, right: bool) -> bool:
    lead = line.ndim - 1
    return lead >= 0 and _have_one_dtype(line, values) and values.shape[:lead] == line.shape[:lead]


def _views(x: Node, dtype: Dtype) -> bool:
    return x.dtype.size == dtype.size or (x.ndim > 0 and x.shape[-1] * x.dtype.size % dtype.size == 0)


def _loops(inputs: Sequence[Node], body: Body, carried: int, scanned: int, length: int, reverse: bool) -> bool:
    first = len(inputs) - carried - scanned
    if min(first, carried, scanned, length) < 0 or len(inputs) != len(body.inputs):
        return False
    if body.kinds[:carried] != list(body.inputs[first : first + carried]):
        return False
    for number, (x, (shape, dtype)) in enumerate(zip(inputs, body.inputs, strict=True)):
        if x.dtype is not dtype or x.shape != (shape if number < first + carried else (length, *shape)):
            return False
    values = [placeholder("import_function", shape, dtype) for shape, dtype in body.values]
    for step in body.steps:
        check_demands(step.primitive, [values[operand] for operand in step.operands], step.params)
    return True


_DRAWN = (float16, bfloat16, float32)

# What is demanded of the inputs and parameters of every primitive that is not elementwise.
DEMANDS: dict[str, Callable[..., bool]] = {
    "add_strided": lambda g, size, strides, offset: size >= 0 and len(strides) == g.ndim,
    "all": lambda x, axes, keepdims: _are_axes(axes, x.ndim) and x.dtype is bool_,
    "any": lambda x, axes, keepdims: _are_axes(axes, x.ndim) and x.dtype is bool_,
    "arange": lambda start, step, count: start.shape == step.shape == () and _have_one_dtype(start, step),
    "argmax": lambda x, axis: _finds(x, (axis,)),
    "argmin": lambda x, axis: _finds(x, (axis,)),
    "argsort": lambda x, axis: 0 <= axis < x.ndim,
    "argtopk": lambda x, k, axis: 0 <= axis < x.ndim and 0 <= k <= x.shape[axis],
    "as_strided": lambda x, shape, strides, offset: x.ndim == 1 and len(shape) == len(strides),
    "attention": _attends,
    "attention_gradient": _pulls_attention_back,
    "barrier": _anything,
    "broadcast": _broadcasts,
    "cast": _anything,
    "checkpoint": _anything,
    "cholesky": _is_square,
    "cofactor": _is_square,
    "cofactor_change": _changes_cofactor,
    "concatenate": _concatenates,
    "conjugate": lambda x: x.dtype is not bool_,
    "convolution": _gives_output,
    "convolution_input": _gives_input,
    "convolution_weight": _gives_weight,
    "cummax": _scans,
    "cummin": _scans,
    "cumprod": _scans,
    "cumsum": _scans,
    "custom": _anything,
    "dead_matrix": lambda g, x: x.ndim >= 2 and g.ndim >= 2 and g.shape[:-2] == x.shape[:-2],
    "cuda_kernel": _runs_foreign_code,
    "decode": lambda codes, format: format in VALUES and _are_integers(codes),
    "determinant": _is_square,
    "dot": _contracts,
    "dynamic_slice": _slices_dynamically,
    "dynamic_update": lambda x, update, start, axes: (
        _have_one_dtype(x, update) and _slices_dynamically(x, start, axes, update.shape)
    ),
    "eig": _is_square,
    "eigh": _is_square,
    "eigvalsh": _is_square,
    "encode": lambda x, format: format in VALUES and x.dtype.is_floating,
    "eye": _anything,
    "fft": _transforms(complex64),
    "flip": lambda x, axes: _are_axes(axes, x.ndim),
    "gather": lambda inputs, axes, position, clamp: _indexes(inputs[0], inputs[1:], axes, position),
    "gathered_matmul": _multiplies_gathered,
    "grouped_product": _multiplies_groups,
    "hadamard": lambda x, transposed: x.ndim > 0 and x.dtype.is_inexact and base_order(x.shape[-1]) is not None,
    "imag": lambda z: z.dtype.is_complex,
    "integer_power": lambda x, n: n != 0 and x.dtype.is_inexact,
    "inverse": _is_square,
    "irfft": _transforms_back,
    "log_determinant": lambda a: _is_square(a) and a.dtype.is_floating,
    "logcumsumexp": lambda x, axis, reverse: 0 <= axis < x.ndim and x.dtype.is_inexact,
    "logsumexp": _sums_exponentials,
    "logsumexp_weights": _weighs_exponentials,
    "lu": lambda a: _is_matrix(a) and a.dtype.is_floating,
    "matrix_root": _is_symmetric,
    "max": _finds,
    "metal_kernel": _anything,
    "min": _finds,
    "pad": _pads,
    "pick": _picks,
    "prod": _reduces,
    "project": _anything,
    "pseudo_inverse": _is_matrix,
    "put": lambda g, index, count: g.shape == index.shape and _are_integers(index) and count > 0,
    "qr": lambda a: _is_matrix(a) and a.shape[-2] >= a.shape[-1],
    "quantize_to_floats": _quantizes_to_floats,
    "quantize_to_integers": _fills_groups,
    "quantized_matmul": _multiplies_quantized,
    "random_bits": _draws(uint32),
    "random_normal": _draws(*_DRAWN, float64),
    "random_uniform": _draws(*_DRAWN),
    "real": lambda z: z.dtype.is_complex,
    "recurrence": lambda a, b, axis, reverse: a.shape == b.shape and _have_one_dtype(a, b) and 0 <= axis < b.ndim,
    "reshape": lambda x, shape: all(extent >= 0 for extent in shape) and prod(shape) == x.size,
    "rfft": _transforms(float32),
    "roll": lambda x, shifts, axes: len(shifts) == len(axes) and all(0 <= axis < x.ndim for axis in axes),
    "root_change": _changes_root,
    "scan": _loops,
    "scatter": _scatters,
    "scatter_add": _scatters,
    "scatter_maximum": _scatters,
    "scatter_minimum": _scatters,
    "scatter_multiply": _scatters,
    "searchsorted": _searches,
    "segmented_matmul": _multiplies_segments,
    "segmented_product": _adds_segments,
    "select": _selects,
    "singular_values": _is_matrix,
    "slice": lambda x, starts, sizes, strides: _fit(x.shape, starts, sizes, strides),
    "slice_update": _updates,
    "softmax": _weighs_exponentials,
    "solve": _solves,
    "solve_triangular": _solves,
    "sort": lambda x, axis: 0 <= axis < x.ndim,
    "split_key": _is_key,
    "state_recurrence": _recurs_in_matrices,
    "stop_gradient": _anything,
    "sum": _reduces,
    "svd": _is_matrix,
    "tracer": _anything,
    "transpose": lambda x, axes: sorted(axes) == list(range(x.ndim)),
    "tri": _anything,
    "unpack": _is_filled,
    "view": _views,
    "weigh": lambda g, local: _have_one_dtype(g, local),
}

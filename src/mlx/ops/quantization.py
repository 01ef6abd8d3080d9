"""Arrays of few bits an element: groups of neighbours share a scale, and a bias in the affine mode.

Products with them are in `mlx.ops.quantized_products`.
"""

from __future__ import annotations

from typing import NamedTuple, NoReturn

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import Dtype, bfloat16, float32, promote_types, uint8, uint32
from mlx.ir.node import Node
from mlx.ir.primitive import scalar_node
from mlx.ops.arguments import StreamOrDevice, array_node, check_stream, dtype_argument, one_integer, word
from mlx.primitives.exact_product import EXACT_PRODUCT
from mlx.primitives.group_quantization import QUANTIZE_TO_FLOATS, QUANTIZE_TO_INTEGERS
from mlx.primitives.quantization import DECODE, E2M1, E4M3, E8M0, LARGEST, UNPACK, WORD
from mlx.primitives.shape import reshape
from mlx.primitives.structure import PROJECT, cast

__all__ = ["dequantize", "quantize"]


class Mode(NamedTuple):
    """A way to quantise; the first group size and the first count of bits are the defaults."""

    group_sizes: tuple[int, ...]
    bits: tuple[int, ...]
    element: str = ""  # the format of an element, or "" for integers
    scale: str = ""  # the format of a scale, or "" for that of the array


MODES = {
    "affine": Mode((64, 32, 128), (4, 1, 2, 3, 5, 6, 8)),
    "mxfp4": Mode((32,), (4,), E2M1, E8M0),
    "mxfp8": Mode((32,), (8,), E4M3, E8M0),
    "nvfp4": Mode((16,), (4,), E2M1, E4M3),
}

_NVFP4_LARGEST = LARGEST[E2M1] * LARGEST[E4M3]  # what an element times a scale can be


class _Format(NamedTuple):
    """A mode with its numbers chosen."""

    name: str
    mode: Mode
    group_size: int
    bits: int


def _format(function: str, mode: str, group_size: int | None, bits: int | None) -> _Format:
    if word(mode, function, "mode") not in MODES:
        raise ValueError(f"[{function}] Invalid quantization mode {mode!r}. The modes are {', '.join(MODES)}.")
    known = MODES[mode]
    size = known.group_sizes[0] if group_size is None else one_integer(group_size, function, "group_size")
    width = known.bits[0] if bits is None else one_integer(bits, function, "bits")
    if size not in known.group_sizes:
        supported = ", ".join(map(str, sorted(known.group_sizes)))
        raise ValueError(
            f"[{function}] The requested group size {size} is not supported in mode {mode!r}. The supported group "
            f"sizes are: {supported}."
        )
    if width not in known.bits:
        supported = ", ".join(map(str, sorted(known.bits)))
        raise ValueError(
            f"[{function}] The requested number of bits {width} is not supported in mode {mode!r}. The supported bits "
            f"are: {supported}."
        )
    return _Format(mode, known, size, width)


def _checked_scale(function: str, value: array | None, mode: str) -> Node | None:
    if value is None:
        return None
    if mode != "nvfp4":
        raise ValueError(f"[{function}] Global scale is only supported for 'nvfp4' quantization mode, not {mode!r}.")
    node = array_node(value, function, "global_scale")
    if node.dtype is not float32:
        raise ValueError(f"[{function}] Global scale must have dtype float32 but got {node.dtype.name}.")
    return node


def _global_scale(function: str, value: array | None, mode: str) -> Node | None:
    node = _checked_scale(function, value, mode)
    if node is None:
        return None
    if node.size != 1:
        raise ValueError(f"[{function}] Global scale must be a scalar but got shape {node.shape}.")
    return reshape(node, ())


def _scale_of_each(function: str, value: array | None, mode: str, packed: Node) -> Node | None:
    """Global scales of the matrices of a stack."""
    node = _checked_scale(function, value, mode)
    lead = packed.shape[:-2]
    if node is None:
        return None
    if node.shape != lead:
        raise ValueError(
            f"[{function}] Global scale must have one entry per matrix with shape {lead} but got {node.shape}."
        )
    return reshape(node, (*lead, 1, 1))


def refuse_dtype(function: str, what: str) -> NoReturn:
    raise ValueError(f"[{function}] Only real floating types are supported but {what}.")


def is_real_floating(dtype: Dtype) -> bool:
    return dtype.is_inexact and not dtype.is_complex


# ---------------------------------------------------------------------- quantising


def quantize(
    w: array,
    /,
    group_size: int | None = None,
    bits: int | None = None,
    mode: str = "affine",
    global_scale: array | None = None,
    *,
    stream: StreamOrDevice = None,
) -> tuple[array, ...]:
    """Quantise the elements of an array in groups along its last axis.

    In the affine mode an element w becomes the integer round((w - bias) / scale), where scale and bias are chosen so
    that the integers span those of `bits` bits; that element of the group which is largest in magnitude is exactly a
    multiple of the scale (not with 1 bit). The other modes round w / scale to a floating-point format of `bits` bits.

    In the affine mode NaN counts as nothing and becomes the bias; an infinity makes its whole group NaN. In the other
    modes infinities become the largest number of the format or infinite again, and NaN makes its group NaN.

    ======  ============  ===================  ======================
    mode    group_size    bits                 scales
    ======  ============  ===================  ======================
    affine  32, 64, 128   1, 2, 3, 4, 5, 6, 8  dtype of w, and biases
    mxfp4   32            4 (e2m1)             powers of two (e8m0)
    mxfp8   32            8 (e4m3)             powers of two (e8m0)
    nvfp4   16            4 (e2m1)             e4m3
    ======  ============  ===================  ======================

    Args:
        w: array of shape (..., n) with two axes or more, of real floating numbers; `group_size` divides n.
        group_size: how many neighbours share a scale, by default 64 or the only size of the mode.
        bits: bits an element, by default 4, or 8 in mode "mxfp8".
        mode: a row of the table.
        global_scale: float32 scalar, for "nvfp4" only: the largest magnitude in `w`, by which all is scaled first.

    Returns:
        The integers or codes, packed into uint32 words from the lowest bits on, of shape (..., n * bits / 32); scales
        of shape (..., n / group_size), as uint8 codes but in the affine mode; in that mode biases of the same shape.

    Raises:
        ValueError: shape, dtype, mode, group size or bits are none of these.

    Example:
        >>> import mlx.core as mx
        >>> w = mx.concatenate([mx.arange(16.0), mx.arange(16.0) / 15], axis=0).reshape(1, 32)
        >>> packed, scales, biases = mx.quantize(w, group_size=32)
        >>> packed.shape, packed.dtype, scales.shape
        ((1, 4), mlx.core.uint32, (1, 1))
        >>> mx.dequantize(packed, scales, biases, group_size=32)[0, 12:20]
        array([12, 13, 14, ..., 0, 0, 0], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "quantize")
    return quantized("quantize", array_node(w, "quantize", "w"), group_size, bits, mode, global_scale)


def quantized(
    function: str, node: Node, group_size: int | None, bits: int | None, mode: str, global_scale: array | None
) -> tuple[array, ...]:
    """The parts of the quantised array, for a public function."""
    if not is_real_floating(node.dtype):
        raise ValueError(f"[{function}] Only real floating types can be quantized but w has type {node.dtype.name}.")
    chosen = _format(function, mode, group_size, bits)
    scaled_by = _global_scale(function, global_scale, mode)
    if node.ndim < 2:
        raise ValueError(
            f"[{function}] The matrix to be quantized must have at least 2 dimension but it has {node.ndim}."
        )
    last = node.shape[-1]
    if last % chosen.group_size != 0:
        raise ValueError(
            f"[{function}] The last dimension of the matrix needs to be divisible by the quantization group size "
            f"{chosen.group_size}. However the provided matrix has shape {node.shape}."
        )
    if chosen.mode.element:
        unit = scalar_node(1.0, float32) if scaled_by is None else _NVFP4_LARGEST / scaled_by
        formats = chosen.mode.element, chosen.mode.scale
        parts = QUANTIZE_TO_FLOATS(node, unit, chosen.group_size, chosen.bits, *formats)
    else:
        parts = QUANTIZE_TO_INTEGERS(node, chosen.group_size, chosen.bits)
    return tuple([wrap(PROJECT(parts, index)) for index in range(len(parts.shape))])


# ---------------------------------------------------------------------- dequantising


class Quantized(NamedTuple):
    """The parts of a quantised array, checked."""

    format: _Format
    packed: Node
    scales: Node
    biases: Node | None
    global_scale: Node | None

    @property
    def dtype(self) -> Dtype | None:
        """That of the scales and biases, where these have one."""
        return None if self.biases is None else promote_types(self.scales.dtype, self.biases.dtype)


def quantized_parts(
    function: str,
    w: array,
    scales: array,
    biases: array | None,
    group_size: int | None,
    bits: int | None,
    mode: str,
    global_scale: array | None = None,
    *,
    of_each: bool = False,
) -> Quantized:
    """Checked parts of one matrix, or of a stack of them with a global scale of each."""
    chosen = _format(function, mode, group_size, bits)
    packed, scale = array_node(w, function, "w"), array_node(scales, function, "scales")
    bias = None if biases is None else array_node(biases, function, "biases")
    if packed.dtype is not uint32:
        raise ValueError(
            f"[{function}] The weight matrix should be uint32 but received {packed.dtype.name}: w is the first "
            f"result of mx.quantize."
        )
    if chosen.mode.scale:
        if bias is not None:
            raise ValueError(
                f"[{function}] Biases must be null for quantization mode {mode!r}: leave biases out, or use the mode "
                f"that w was quantized with."
            )
        if scale.dtype is not uint8:
            raise ValueError(
                f"[{function}] Scale type must be uint8 but received type {scale.dtype.name}: scales are the second "
                f"result of mx.quantize with mode={mode!r}."
            )
    elif bias is None:
        raise ValueError(
            f"[{function}] Biases must be provided for affine quantization: they are the third result of mx.quantize. "
            f"For weights of another format give its mode."
        )
    elif not is_real_floating(promote_types(scale.dtype, bias.dtype)):
        refuse_dtype(function, f"scales have type {scale.dtype.name} and biases {bias.dtype.name}")
    if packed.ndim < 2:
        raise ValueError(f"[{function}] The quantized matrix must have at least 2 dimensions but has {packed.ndim}.")
    fits = packed.shape[:-1] == scale.shape[:-1] and (bias is None or bias.shape == scale.shape)
    if not fits or packed.shape[-1] * WORD != scale.shape[-1] * (chosen.group_size * chosen.bits):
        raise ValueError(
            f"[{function}] Shape of scales and biases does not match the matrix given the quantization parameters: "
            f"the matrix has shape {packed.shape}, scales {scale.shape}"
            + ("" if bias is None else f", biases {bias.shape}")
            + f", with group_size={chosen.group_size} and bits={chosen.bits}."
        )
    if of_each:
        scaled_by = _scale_of_each(function, global_scale, mode, packed)
    else:
        scaled_by = _global_scale(function, global_scale, mode)
    return Quantized(chosen, packed, scale, bias, scaled_by)


def decoded_scales(w: Quantized) -> Node:
    """The float32 numbers that the codes of scales stand for, times the global scale."""
    scales = DECODE(w.scales, w.format.mode.scale)
    return scales if w.global_scale is None else scales * (w.global_scale / _NVFP4_LARGEST)


def dequantized(w: Quantized, dtype: Dtype) -> Node:
    """The array that `w` stands for, computed in `dtype`."""
    _, mode, group_size, bits = w.format
    *lead, groups = w.scales.shape
    numbers = reshape(UNPACK(w.packed, bits), (*lead, groups, group_size))
    per_group = (*lead, groups, 1)
    if w.biases is not None:
        scales, biases = (reshape(cast(x, dtype), per_group) for x in (w.scales, w.biases))
        out = EXACT_PRODUCT(cast(numbers, dtype), scales) + biases
    else:
        scales = reshape(decoded_scales(w), per_group)
        out = cast(DECODE(numbers, mode.element) * scales, dtype)
    return reshape(out, (*lead, groups * group_size))


def dequantize(
    w: array,
    /,
    scales: array,
    biases: array | None = None,
    group_size: int | None = None,
    bits: int | None = None,
    mode: str = "affine",
    global_scale: array | None = None,
    dtype: Dtype | None = None,
    *,
    stream: StreamOrDevice = None,
) -> array:
    """The array that a quantised one stands for: in the affine mode, its integers times the scales plus the biases.

    Args:
        w: uint32 array of shape (..., n * bits / 32), as `mx.quantize` packs it.
        scales: array of shape (..., n / group_size).
        biases: likewise, in the affine mode.
        group_size, bits, mode, global_scale: as they were given to `mx.quantize`.
        dtype: of the result, by default that of scales and biases, and bfloat16 (with a global scale float32) where
            these are codes.

    Returns:
        Array of shape (..., n).

    Raises:
        ValueError: shapes, dtypes or parameters do not fit.

    Example:
        >>> import mlx.core as mx
        >>> w = mx.array([[1.0, -2.0, 0.5, 3.0] * 8])
        >>> mx.dequantize(*mx.quantize(w, mode="mxfp4"), mode="mxfp4")[0, :4]
        array([1, -2, 0.5, 3], dtype=bfloat16)
    """
    if stream is not None:
        check_stream(stream, "dequantize")
    parts = quantized_parts("dequantize", w, scales, biases, group_size, bits, mode, global_scale)
    own = parts.dtype or (bfloat16 if parts.global_scale is None else float32)
    wanted = own if dtype is None else dtype_argument(dtype, "dequantize")
    if not is_real_floating(wanted):
        refuse_dtype("dequantize", f"output dtype is {wanted.name}")
    computed = own if parts.biases is not None else wanted
    return wrap(cast(dequantized(parts, computed), wanted))

"""Products with quantised matrices: those with the matrices that they stand for."""

from __future__ import annotations

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import Dtype, float32, float64, promote_types
from mlx.ir.node import Node
from mlx.ir.primitive import broadcast_shape
from mlx.ops.arguments import StreamOrDevice, array_node, check_stream, flag, word
from mlx.ops.gathered_products import gathered_product
from mlx.ops.quantization import (
    Quantized,
    decoded_scales,
    dequantized,
    is_real_floating,
    quantized,
    quantized_parts,
    refuse_dtype,
)
from mlx.primitives.matmul import matmul
from mlx.primitives.quantized_matmul import QUANTIZED_MATMUL
from mlx.primitives.shape import SUM, broadcast, reshape
from mlx.primitives.shape import transpose as transposed_node
from mlx.primitives.structure import STOP_GRADIENT, cast

__all__ = ["gather_qmm", "gather_qqmm", "qqmm", "quantized_matmul"]


def _product_dtype(function: str, x: Node, w: Quantized) -> Dtype:
    dtype = x.dtype if w.dtype is None else promote_types(x.dtype, w.dtype)
    if x.dtype.is_complex or not is_real_floating(dtype):
        refuse_dtype(function, f"x has type {x.dtype.name}")
    return dtype


def _check_product(function: str, x: Node, w: Quantized, transposed: bool) -> None:
    rows, columns = w.packed.shape[-2], w.scales.shape[-1] * w.format.group_size
    if x.ndim < 1:
        raise ValueError(f"[{function}] x has no axes, but it must be a vector or have more axes.")
    if x.shape[-1] != (columns if transposed else rows):
        raise ValueError(
            f"[{function}] Last dimension of first input with shape {x.shape} does not match the expanded quantized "
            f"matrix of shape {(rows, columns)} with transpose={transposed}."
        )


def _last_two_swapped(x: Node) -> Node:
    axes = tuple(range(x.ndim))
    return transposed_node(x, (*axes[:-2], axes[-1], axes[-2]))


def quantized_matmul(
    x: array,
    w: array,
    /,
    scales: array,
    biases: array | None = None,
    transpose: bool = True,
    group_size: int | None = None,
    bits: int | None = None,
    mode: str = "affine",
    *,
    stream: StreamOrDevice = None,
) -> array:
    """The product of an array with a quantised matrix: `x @ w.T`, or `x @ w`.

    Args:
        x: array of shape (..., m, k), or a vector of shape (k,).
        w: uint32 array that `mx.quantize` packed, standing for one of shape (..., n, k), or (..., k, n) where it is not
            transposed. Batch axes broadcast with those of `x`.
        scales, biases: the other results of `mx.quantize`.
        transpose: whether to multiply with the transposed matrix.
        group_size, bits, mode: as they were given to `mx.quantize`.

    Returns:
        Array of shape (..., m, n).

    Raises:
        ValueError: shapes, dtypes or parameters do not fit.

    Example:
        >>> import mlx.core as mx
        >>> w = mx.array([[1.0] * 32, [-2.0] * 32])
        >>> mx.quantized_matmul(mx.ones((1, 32)), *mx.quantize(w, group_size=32), group_size=32)
        array([[32, -64]], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "quantized_matmul")
    node = array_node(x, "quantized_matmul", "x")
    flag(transpose, "quantized_matmul", "transpose")
    parts = quantized_parts("quantized_matmul", w, scales, biases, group_size, bits, mode)
    dtype = _product_dtype("quantized_matmul", node, parts)
    _check_product("quantized_matmul", node, parts, transpose)
    broadcast_shape(node.shape[:-2], parts.packed.shape[:-2])
    if parts.packed.ndim == 2:
        return wrap(cast(_product(node, parts, transpose, dtype), dtype))
    matrices = dequantized(parts, dtype)
    return wrap(matmul(cast(node, dtype), _last_two_swapped(matrices) if transpose else matrices))


def _product(x: Node, w: Quantized, transposed: bool, dtype: Dtype) -> Node:
    """The product with one matrix, in single precision at least."""
    wide = float64 if dtype is float64 else float32
    _, mode, group_size, bits = w.format
    lead, inner = x.shape[:-1], x.shape[-1]
    count = 1
    for extent in lead:
        count *= extent
    rows = cast(reshape(x, (count, inner)), wide)
    scales = cast(w.scales, wide) if w.biases is not None else cast(decoded_scales(w), wide)
    out = QUANTIZED_MATMUL(rows, w.packed, scales, mode.element, group_size, bits, transposed)
    if w.biases is not None:
        biases = cast(w.biases, wide)
        if transposed:
            sums = SUM(reshape(rows, (count, inner // group_size, group_size)), (2,), False)
            out = out + matmul(sums, _last_two_swapped(biases))
        else:
            groups = biases.shape[1]
            spread = broadcast(reshape(matmul(rows, biases), (count, groups, 1)), (count, groups, group_size))
            out = out + reshape(spread, out.shape)
    return reshape(out, (*lead, out.shape[1]))


def gather_qmm(
    x: array,
    w: array,
    /,
    scales: array,
    biases: array | None = None,
    lhs_indices: array | None = None,
    rhs_indices: array | None = None,
    transpose: bool = True,
    group_size: int | None = None,
    bits: int | None = None,
    mode: str = "affine",
    global_scale: array | None = None,
    *,
    sorted_indices: bool = False,
    stream: StreamOrDevice = None,
) -> array:
    """Products of matrices picked from a stack with quantised ones picked from another: `mx.gather_mm` for these.

    Args:
        x: array of shape (..., m, k).
        w: uint32 array that `mx.quantize` packed, standing for matrices of shape (..., n, k), or (..., k, n) where they
            are not transposed.
        scales, biases: the other results of `mx.quantize`.
        lhs_indices, rhs_indices: which matrices of `x` and of `w` to multiply, as in `mx.gather_mm`.
        transpose: whether to multiply with the transposed matrices.
        group_size, bits, mode: as they were given to `mx.quantize`.
        global_scale: float32 array of the shape of the stack of `w`, for "nvfp4" only: the global scale of each matrix.
        sorted_indices: a promise that the indices ascend, which is not needed here.

    Returns:
        Array of the shape to which the indices broadcast, followed by (m, n).

    Raises:
        ValueError: shapes, dtypes or parameters do not fit, or indices are no integers.

    Example:
        >>> import mlx.core as mx
        >>> experts = mx.stack([mx.full((1, 32), 1.0), mx.full((1, 32), -2.0)])
        >>> packed = mx.quantize(experts, group_size=32)
        >>> mx.gather_qmm(mx.ones((1, 32)), *packed, rhs_indices=mx.array([1, 0]), group_size=32)
        array([[[-64]],
               [[32]]], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "gather_qmm")
    node = array_node(x, "gather_qmm", "x")
    flag(transpose, "gather_qmm", "transpose")
    flag(sorted_indices, "gather_qmm", "sorted_indices")
    parts = quantized_parts("gather_qmm", w, scales, biases, group_size, bits, mode, global_scale, of_each=True)
    dtype = _product_dtype("gather_qmm", node, parts)
    if node.ndim < 2:
        raise ValueError(f"[gather_qmm] Input must have at least two dimensions but got input with shape {node.shape}.")
    _check_product("gather_qmm", node, parts, transpose)
    matrices = dequantized(parts, dtype)
    if transpose:
        matrices = _last_two_swapped(matrices)
    return wrap(gathered_product(cast(node, dtype), matrices, lhs_indices, rhs_indices, "gather_qmm"))


# ---------------------------------------------------------------------- both operands quantised

_MODES_OF_BOTH = ("nvfp4", "mxfp8")


def qqmm(
    x: array,
    w: array,
    scales: array | None = None,
    group_size: int | None = None,
    bits: int | None = None,
    mode: str = "nvfp4",
    global_scale_x: array | None = None,
    global_scale_w: array | None = None,
    *,
    stream: StreamOrDevice = None,
) -> array:
    """The product `x @ w.T` of an array that is quantised first with a matrix that is, or is quantised as well.

    What is quantised here passes its gradient on as if it had not been (a straight-through estimator), so that
    networks can be trained for such products.

    Args:
        x: array of shape (..., m, k), or a vector, of real floating numbers.
        w: array of shape (..., n, k) of real floating numbers; or, with `scales`, one that `mx.quantize` packed.
        scales: the scales of a packed `w`.
        group_size, bits: as for `mx.quantize`; the modes have one of each.
        mode: "nvfp4" or "mxfp8".
        global_scale_x, global_scale_w: the global scales of "nvfp4"; both or neither.

    Returns:
        Array of shape (..., m, n) of the dtype of `x`.

    Raises:
        ValueError: shapes, dtypes or parameters do not fit.

    Example:
        >>> import mlx.core as mx
        >>> mx.qqmm(mx.full((1, 32), 0.5), mx.full((2, 32), 3.0), mode="mxfp8")
        array([[48, 48]], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "qqmm")
    node, matrix = _both_dequantized("qqmm", x, w, scales, group_size, bits, mode, global_scale_x, global_scale_w)
    broadcast_shape(node.shape[:-2], matrix.shape[:-2])
    return wrap(matmul(node, _last_two_swapped(matrix)))


def gather_qqmm(
    x: array,
    w: array,
    /,
    scales: array | None = None,
    lhs_indices: array | None = None,
    rhs_indices: array | None = None,
    group_size: int | None = None,
    bits: int | None = None,
    mode: str = "nvfp4",
    global_scale_x: array | None = None,
    global_scale_w: array | None = None,
    *,
    sorted_indices: bool = False,
    stream: StreamOrDevice = None,
) -> array:
    """Products of matrices picked from two stacks, both quantised: `mx.gather_mm` for `mx.qqmm`.

    Args:
        x: array of shape (..., m, k) of real floating numbers.
        w, scales: as for `mx.qqmm`.
        lhs_indices, rhs_indices: which matrices of `x` and of `w` to multiply, as in `mx.gather_mm`.
        group_size, bits, mode, global_scale_x, global_scale_w: as for `mx.qqmm`.
        sorted_indices: a promise that the indices ascend, which is not needed here.

    Returns:
        Array of the shape to which the indices broadcast, followed by (m, n), of the dtype of `x`.

    Raises:
        ValueError: shapes, dtypes or parameters do not fit, or indices are no integers.

    Example:
        >>> import mlx.core as mx
        >>> experts = mx.stack([mx.full((1, 32), 1.0), mx.full((1, 32), -2.0)])
        >>> mx.gather_qqmm(mx.ones((1, 32)), experts, rhs_indices=mx.array([1, 0]), mode="mxfp8")
        array([[[-64]],
               [[32]]], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "gather_qqmm")
    flag(sorted_indices, "gather_qqmm", "sorted_indices")
    node, matrices = _both_dequantized(
        "gather_qqmm", x, w, scales, group_size, bits, mode, global_scale_x, global_scale_w
    )
    if node.ndim < 2:
        raise ValueError(
            f"[gather_qqmm] Input must have at least two dimensions but got input with shape {node.shape}."
        )
    return wrap(gathered_product(node, _last_two_swapped(matrices), lhs_indices, rhs_indices, "gather_qqmm"))


def _both_dequantized(
    function: str,
    x: array,
    w: array,
    scales: array | None,
    group_size: int | None,
    bits: int | None,
    mode: str,
    global_scale_x: array | None,
    global_scale_w: array | None,
) -> tuple[Node, Node]:
    """What the operands stand for once they are quantised, in the dtype of `x`."""
    if word(mode, function, "mode") not in _MODES_OF_BOTH:
        raise ValueError(
            f"[{function}] Both operands can be quantized in the modes nvfp4 and mxfp8 only, got {mode!r}."
        )
    if (global_scale_x is None) != (global_scale_w is None):
        missing = "global_scale_x" if global_scale_x is None else "global_scale_w"
        raise ValueError(
            f"[{function}] Either both global_scale_x and global_scale_w must be provided, or neither, but "
            f"{missing} is missing."
        )
    node = array_node(x, function, "x")
    if not is_real_floating(node.dtype):
        refuse_dtype(function, f"x has type {node.dtype.name}")
    if scales is None:
        weights = array_node(w, function, "w")
        if not is_real_floating(weights.dtype):
            refuse_dtype(function, f"w has type {weights.dtype.name} and no scales are given")
        matrix = cast(_rounded(function, weights, group_size, bits, mode, global_scale_w), node.dtype)
    else:
        parts = quantized_parts(function, w, scales, None, group_size, bits, mode, global_scale_w)
        matrix = dequantized(parts, node.dtype)
    if node.ndim < 1 or matrix.ndim < 2 or node.shape[-1] != matrix.shape[-1]:
        raise ValueError(
            f"[{function}] Last dimension of first input with shape {node.shape} does not match that of the weights, "
            f"which stand for an array of shape {matrix.shape}."
        )
    return _rounded(function, node, group_size, bits, mode, global_scale_x), matrix


def _rounded(
    function: str, x: Node, group_size: int | None, bits: int | None, mode: str, global_scale: array | None
) -> Node:
    """What `x` becomes by quantising, which the gradient passes as if it were `x`."""
    rows = reshape(x, (1, *x.shape)) if x.ndim == 1 else x
    packed, scales = quantized(function, rows, group_size, bits, mode, global_scale)
    parts = quantized_parts(function, packed, scales, None, group_size, bits, mode, global_scale)
    value = reshape(STOP_GRADIENT(dequantized(parts, x.dtype)), x.shape)
    return value + (x - STOP_GRADIENT(x))

"""Products with matrices of numbers of few bits, which are decoded a piece at a time: none is ever stored decoded.

A packed matrix Q has scales for groups of neighbours in its rows. Biases are left to the caller, since they take part
in the sums over groups alone: x @ (Q + repeat(biases)).T = x @ Q.T + sums(x) @ biases.T.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive
from mlx.primitives.matmul import matmul
from mlx.primitives.quantization import DECODE, UNPACK, VALUES, WORD, unpack, unpack_xla
from mlx.primitives.shape import SUM, Dims, batch_size, batch_to_front, move_axis, reshape, transpose
from mlx.primitives.structure import cast

Array = Any

_PIECE_NUMPY = 2**18  # elements that are decoded at a time, so that they stay in the cache
_PIECE_XLA = 2**19
_FLOPS_A_NANOSECOND = 30.0
_DECODING = 1.5  # nanoseconds an element


def numbers_of(packed: Node, element: str, bits: int, dtype: Dtype) -> Node:
    """The numbers that words hold: integers, or those that codes of the format `element` stand for."""
    numbers = UNPACK(packed, bits)
    return cast(DECODE(numbers, element) if element else numbers, dtype)


def _swapped(x: Node) -> Node:
    axes = tuple(range(x.ndim))
    return transpose(x, (*axes[:-2], axes[-1], axes[-2]))


# ---------------------------------------------------------------------- kernel


def _decoded(packed: Array, scales: Array, element: str, bits: int) -> Array:
    numbers = unpack(packed, bits)
    values = VALUES[element][numbers] if element else numbers
    groups = values.reshape(*scales.shape, -1) * scales[..., None]
    return groups.reshape(numbers.shape)


def _kernel(
    x: Array, packed: Array, scales: Array, element: str, group_size: int, bits: int, transposed: bool
) -> Array:
    rows, columns = packed.shape[0], scales.shape[1] * group_size
    out = np.zeros((x.shape[0], rows if transposed else columns), x.dtype)
    if not columns:
        return out
    step = max(1, _PIECE_NUMPY // columns)
    for start in range(0, rows, step):
        piece = slice(start, start + step)
        matrix = _decoded(packed[piece], scales[piece], element, bits)
        if transposed:
            np.matmul(x, matrix.T, out=out[:, piece])
        else:
            out += x[:, piece] @ matrix
    return out


# ---------------------------------------------------------------------- lowering


def _lower(
    xla: Any, x: Array, packed: Array, scales: Array, element: str, group_size: int, bits: int, transposed: bool
) -> Array:
    lax = xla.lax
    rows, columns = packed.shape[0], scales.shape[1] * group_size
    shape = x.shape[0], rows if transposed else columns
    if 0 in shape or not rows or not columns:
        return xla.jnp.zeros(shape, x.dtype)

    def decoded(packed: Array, scales: Array) -> Array:
        numbers = unpack_xla(xla, packed, bits)
        if element:
            values = xla.jnp.asarray(VALUES[element])[numbers].astype(x.dtype)
        else:
            values = numbers.astype(np.int32).astype(x.dtype)
        return (values.reshape(*scales.shape, group_size) * scales[..., None]).reshape(numbers.shape)

    # The transposed product comes out of a faster loop where `x` has few rows, and its transpose costs nothing.
    def by_rows(packed: Array, scales: Array) -> Array:
        return lax.dot_general(decoded(packed, scales), x, (((1,), (1,)), ((), ())))

    def by_columns(x: Array, packed: Array, scales: Array) -> Array:
        return lax.dot_general(decoded(packed, scales), x, (((0,), (1,)), ((), ())))

    step = max(1, _PIECE_XLA // columns)
    pieces = rows // step if xla.platform == "cpu" else 0
    if pieces < 2:
        return (by_rows(packed, scales) if transposed else by_columns(x, packed, scales)).T

    def split(matrix: Array) -> tuple[Array, Array]:
        """Pieces of `step` rows, and the rows that are left over."""
        body = matrix[: pieces * step]
        return body.reshape(pieces, step, *matrix.shape[1:]), matrix[pieces * step :]

    (packs, last_pack), (scaling, last_scales) = split(packed), split(scales)
    if transposed:
        _, out = lax.scan(lambda carry, piece: (carry, by_rows(*piece)), None, (packs, scaling))
        out = out.reshape(pieces * step, x.shape[0])
        if last_pack.shape[0]:
            out = lax.concatenate((out, by_rows(last_pack, last_scales)), 0)
        return out.T
    parts, last = split(x.T)
    total = xla.jnp.zeros((columns, x.shape[0]), x.dtype)
    total, _ = lax.scan(
        lambda total, piece: (total + by_columns(piece[0].T, *piece[1:]), None), total, (parts, packs, scaling)
    )
    if last_pack.shape[0]:
        total = total + by_columns(last.T, last_pack, last_scales)
    return total.T


# ---------------------------------------------------------------------- rules


def _shape(
    x: Node, packed: Node, scales: Node, element: str, group_size: int, bits: int, transposed: bool
) -> tuple[Shape, Dtype]:
    return (x.shape[0], packed.shape[0] if transposed else scales.shape[1] * group_size), x.dtype


def _cotangent_of_x(
    g: Node,
    out: Node,
    x: Node,
    packed: Node,
    scales: Node,
    element: str,
    group_size: int,
    bits: int,
    transposed: bool,
) -> Node:
    return QUANTIZED_MATMUL(g, packed, scales, element, group_size, bits, not transposed)


def _cotangent_of_scales(
    g: Node,
    out: Node,
    x: Node,
    packed: Node,
    scales: Node,
    element: str,
    group_size: int,
    bits: int,
    transposed: bool,
) -> Node:
    of_matrix = matmul(_swapped(g), x) if transposed else matmul(_swapped(x), g)
    terms = of_matrix * numbers_of(packed, element, bits, x.dtype)
    return SUM(reshape(terms, (*scales.shape, group_size)), (2,), False)


def _batch(
    inputs: Sequence[Node], dims: Dims, element: str, group_size: int, bits: int, transposed: bool
) -> tuple[Node, int]:
    x, packed, scales = inputs
    size = batch_size(inputs, dims)
    if dims[1] is None and dims[2] is None:  # more rows for the same matrix
        assert dims[0] is not None
        x = move_axis(x, dims[0], 0)
        rows = x.shape[1]
        x = reshape(x, (size * rows, x.shape[2]))
        out = QUANTIZED_MATMUL(x, packed, scales, element, group_size, bits, transposed)
        return reshape(out, (size, rows, out.shape[1])), 0
    x, packed, scales = (batch_to_front(x, dim, size) for x, dim in zip(inputs, dims, strict=True))
    numbers = numbers_of(packed, element, bits, x.dtype)
    groups = reshape(numbers, (*scales.shape, group_size)) * reshape(scales, (*scales.shape, 1))
    matrices = reshape(groups, numbers.shape)
    return matmul(x, _swapped(matrices) if transposed else matrices), 0


def _cost(node: Node) -> float:
    if not node.inputs:
        return 0.0
    x, packed, _ = node.inputs
    elements = packed.size * WORD // node.params[2]  # type: ignore[operator]
    return elements * (_DECODING + 2.0 * x.shape[0] / _FLOPS_A_NANOSECOND)


# x @ Q.T, or x @ Q, of matrices in single or double precision; Q has packed.shape[0] rows.
QUANTIZED_MATMUL = Primitive(
    "quantized_matmul",
    arity=3,
    shape=_shape,
    kernel=_kernel,
    lower=_lower,
    vjp=(_cotangent_of_x, None, _cotangent_of_scales),
    linear=(0, 2),
    batch=_batch,
    cost=_cost,
)

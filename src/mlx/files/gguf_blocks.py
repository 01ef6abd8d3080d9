"""Quantised tensors of GGUF: how the blocks that they consist of are laid out, and what they are read as.

Blocks of the types Q4_0, Q4_1 and Q8_0 are what `mx.quantize` makes, with groups of 32, but for the order of the bits:
they become packed weights, scales and biases. What the others hold is computed, in float16.

https://github.com/ggml-org/llama.cpp/wiki/Tensor-Encoding-Schemes
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from mlx.arrays.memory import aligned_empty
from mlx.files.stored import Array
from mlx.ir.node import Shape

_BLOCKS_AT_ONCE = 4096  # that are computed in float32 before they are rounded


class Block(NamedTuple):
    """A type of block: the fields of its bytes, and how numbers are computed of them, as (blocks, numbers) in float32.

    Types whose integers stay packed compute none.
    """

    name: str
    numbers: int
    fields: np.dtype
    values: Callable[[Array], Array] | None

    @property
    def nbytes(self) -> int:
        return self.fields.itemsize


def packed_weights(block: Block, shape: Shape, data: Array) -> Array:
    """The integers of blocks in words of 32 bits, the first number in the lowest bits."""
    quants = data.view(block.fields)["q"]
    if block.name == "Q8_0":
        ordered = quants ^ 0x80  # -128, the least, becomes 0
    else:
        numbers = _low_then_high(quants)
        ordered = numbers[:, 0::2] | numbers[:, 1::2] << 4
    words = aligned_empty(shape, np.dtype(np.uint32))
    words.reshape(-1).view(np.uint8)[...] = ordered.reshape(-1)
    return words


def scales(block: Block, shape: Shape, data: Array) -> Array:
    """The scale of each block."""
    return data.view(block.fields)["d"].copy().reshape(shape)


def biases(block: Block, shape: Shape, data: Array) -> Array:
    """What is added to the scaled integers of each block."""
    fields = data.view(block.fields)
    if block.name == "Q4_1":
        return fields["m"].copy().reshape(shape)
    with np.errstate(over="ignore"):
        return (fields["d"] * np.float16(-128 if block.name == "Q8_0" else -8)).reshape(shape)


def halves(block: Block, shape: Shape, data: Array) -> Array:
    """The numbers of blocks, rounded to float16."""
    assert block.values is not None
    fields = data.view(block.fields)
    out = aligned_empty((len(fields), block.numbers), np.dtype(np.float16))
    with np.errstate(all="ignore"):
        for first in range(0, len(fields), _BLOCKS_AT_ONCE):
            part = slice(first, first + _BLOCKS_AT_ONCE)
            out[part] = block.values(fields[part])
    return out.reshape(shape)


# ---------------------------------------------------------------------- numbers of blocks


def _low_then_high(nibbles: Array) -> Array:
    """The lower halves of bytes, then their upper halves."""
    return np.concatenate([nibbles & 15, nibbles >> 4], axis=-1)


def _pairs(data: Array) -> Array:
    """Two bits of each byte: the lowest of all bytes, then the next."""
    return np.stack([data >> shift & 3 for shift in (0, 2, 4, 6)], axis=-2)


def _column(values: Array) -> Array:
    return values.astype(np.float32)[..., None]


def _fifth_bits(fields: Array) -> Array:
    bits = fields["h"][:, None] >> np.arange(32, dtype=np.uint32) & 1
    return (bits << 4).astype(np.int32)


def _values_of_q5_0(fields: Array) -> Array:
    return _column(fields["d"]) * (_low_then_high(fields["q"]) + _fifth_bits(fields) - 16)


def _values_of_q5_1(fields: Array) -> Array:
    return _column(fields["d"]) * (_low_then_high(fields["q"]) + _fifth_bits(fields)) + _column(fields["m"])


def _values_of_q2_k(fields: Array) -> Array:
    quants = _pairs(fields["q"].reshape(-1, 2, 32)).reshape(-1, 16, 16)
    scale = _column(fields["d"]) * (fields["s"] & 15)
    least = _column(fields["m"]) * (fields["s"] >> 4)
    return (scale[..., None] * quants - least[..., None]).reshape(-1, 256)


def _values_of_q3_k(fields: Array) -> Array:
    low = _pairs(fields["q"].reshape(-1, 2, 32)).reshape(-1, 16, 16).astype(np.int32)
    high = np.stack([fields["h"] >> bit & 1 for bit in range(8)], axis=1).reshape(-1, 16, 16)
    packed = fields["s"]
    lower = _low_then_high(packed[:, :8])
    upper = _pairs(packed[:, 8:]).reshape(-1, 16)
    scale = _column(fields["d"]) * ((lower | upper << 4).astype(np.int32) - 32)
    return (scale[..., None] * (low + (high.astype(np.int32) << 2) - 4)).reshape(-1, 256)


def _scales_and_minima(fields: Array) -> tuple[Array, Array]:
    """Eight scales and eight minima of six bits each, of which twelve bytes hold both."""
    first, second, third = fields["s"][:, 0:4], fields["s"][:, 4:8], fields["s"][:, 8:12]
    scale = np.concatenate([first & 63, third & 15 | first >> 6 << 4], axis=1)
    least = np.concatenate([second & 63, third >> 4 | second >> 6 << 4], axis=1)
    return _column(fields["d"]) * scale, _column(fields["m"]) * least


def _values_of_q4_k(fields: Array) -> Array:
    quants = _low_then_high(fields["q"].reshape(-1, 4, 32)).reshape(-1, 8, 32)
    scale, least = _scales_and_minima(fields)
    return (scale[..., None] * quants - least[..., None]).reshape(-1, 256)


def _values_of_q5_k(fields: Array) -> Array:
    low = _low_then_high(fields["q"].reshape(-1, 4, 32)).reshape(-1, 8, 32)
    high = np.stack([fields["h"] >> bit & 1 for bit in range(8)], axis=1)
    scale, least = _scales_and_minima(fields)
    return (scale[..., None] * (low | high << 4) - least[..., None]).reshape(-1, 256)


def _values_of_q6_k(fields: Array) -> Array:
    low = _low_then_high(fields["q"].reshape(-1, 2, 64)).reshape(-1, 16, 16)
    high = _pairs(fields["h"].reshape(-1, 2, 32)).reshape(-1, 16, 16)
    scale = _column(fields["d"]) * fields["s"]
    return (scale[..., None] * ((low | high << 4).astype(np.int32) - 32)).reshape(-1, 256)


def _fields(**parts: tuple[str, int] | str) -> np.dtype:
    return np.dtype([(name, *part) if isinstance(part, tuple) else (name, part) for name, part in parts.items()])


# How many bits a number has in the types that become packed weights.
PACKED = {"Q4_0": 4, "Q4_1": 4, "Q8_0": 8}

# By the numbers that stand for the types. Fields: d scale, m minimum, s scales in a block, h high bits, q low bits.
BLOCKS = {
    2: Block("Q4_0", 32, _fields(d="<f2", q=("u1", 16)), None),
    3: Block("Q4_1", 32, _fields(d="<f2", m="<f2", q=("u1", 16)), None),
    6: Block("Q5_0", 32, _fields(d="<f2", h="<u4", q=("u1", 16)), _values_of_q5_0),
    7: Block("Q5_1", 32, _fields(d="<f2", m="<f2", h="<u4", q=("u1", 16)), _values_of_q5_1),
    8: Block("Q8_0", 32, _fields(d="<f2", q=("u1", 32)), None),
    10: Block("Q2_K", 256, _fields(s=("u1", 16), q=("u1", 64), d="<f2", m="<f2"), _values_of_q2_k),
    11: Block("Q3_K", 256, _fields(h=("u1", 32), q=("u1", 64), s=("u1", 12), d="<f2"), _values_of_q3_k),
    12: Block("Q4_K", 256, _fields(d="<f2", m="<f2", s=("u1", 12), q=("u1", 128)), _values_of_q4_k),
    13: Block("Q5_K", 256, _fields(d="<f2", m="<f2", s=("u1", 12), h=("u1", 32), q=("u1", 128)), _values_of_q5_k),
    14: Block("Q6_K", 256, _fields(q=("u1", 128), h=("u1", 64), s=("i1", 16), d="<f2"), _values_of_q6_k),
}

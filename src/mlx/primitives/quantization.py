"""Numbers of few bits: packing them into words, and the small floating-point formats that stand for some of them.

How arrays are quantised with them, which is ordinary arithmetic on groups of elements, is in `mlx.ops.quantization`.
Numbers of b bits follow each other from the lowest bit of the first word on, across the ends of words.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Any, NoReturn

import numpy as np

from mlx.ir.dtypes import Dtype, float32, uint8, uint32
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive
from mlx.primitives.elementwise import Elementwise
from mlx.primitives.shape import Dims, batch_to_front

Array = Any

WORD = 32


def _layout(bits: int) -> tuple[int, int]:
    """The smallest count of numbers that fill words exactly, and the count of these words."""
    common = gcd(bits, WORD)
    return WORD // common, bits // common


# ---------------------------------------------------------------------- the quotient that is rounded once


def _exact_quotient_xla(xla: Any, a: Array, b: Array) -> Array:
    # XLA multiplies by the reciprocal of a divisor that is broadcast, which rounds twice. It does not see that this is.
    return xla.lax.div(a, xla.jnp.where(xla.jnp.isnan(a), a, b))


# The quotient of real numbers, to the last bit on both engines: the integer that an element becomes depends on it.
EXACT_QUOTIENT = Elementwise(
    "exact_quotient",
    2,
    np.divide,
    _exact_quotient_xla,
    (lambda out, a, b: 1 / b, lambda out, a, b: -(out / b)),
    nanoseconds=1.0,
)


# ---------------------------------------------------------------------- packing


def _pack(numbers: Array, bits: int) -> Array:
    """Word by word, from the numbers of all blocks that have the same place in it."""
    count, words = _layout(bits)
    lead, blocks = numbers.shape[:-1], numbers.shape[-1] // count
    numbers = numbers.reshape(*lead, blocks, count).astype(np.uint32)
    packed = np.zeros((*lead, blocks, words), np.uint32)
    for position in range(count):
        word, offset = divmod(position * bits, WORD)
        number = numbers[..., position]
        packed[..., word] |= number << np.uint32(offset)
        if offset + bits > WORD:
            packed[..., word + 1] |= number >> np.uint32(WORD - offset)
    return packed.reshape(*lead, blocks * words)


def _unpack(packed: Array, bits: int) -> Array:
    """Place by place, from words or, where numbers cross their ends, from groups of octets that hold eight."""
    lead, size = packed.shape[:-1], packed.shape[-1] * WORD // bits
    count = WORD // bits if WORD % bits == 0 else 8
    if WORD % bits:
        octets = np.ascontiguousarray(packed, "<u4").view(np.uint8).reshape(*lead, size // count, bits)
        packed = np.zeros(octets.shape[:-1], np.uint64)
        for place in range(bits):
            packed |= octets[..., place].astype(np.uint64) << np.uint64(8 * place)
    numbers = np.empty((*lead, size // count, count), np.uint8)
    mask = packed.dtype.type(2**bits - 1)
    for position in range(count):
        numbers[..., position] = (packed >> packed.dtype.type(position * bits)) & mask
    return numbers.reshape(*lead, size)


def _pack_xla(xla: Any, numbers: Array, bits: int) -> Array:
    count, words = _layout(bits)
    lead, blocks = numbers.shape[:-1], numbers.shape[-1] // count
    numbers = numbers.reshape(*lead, blocks, count).astype(np.uint32)
    starts = np.arange(count) * bits
    packed = []
    for word in range(words):
        offsets = starts - word * WORD  # of the numbers' lowest bits in this word
        left = numbers << np.clip(offsets, 0, WORD - 1).astype(np.uint32)
        right = numbers >> np.clip(-offsets, 0, WORD - 1).astype(np.uint32)
        parts = xla.jnp.where(offsets >= 0, left, right)
        parts = xla.jnp.where((offsets > -bits) & (offsets < WORD), parts, np.uint32(0))
        packed.append(xla.jnp.sum(parts, axis=-1, dtype=np.uint32))
    return xla.jnp.stack(packed, -1).reshape(*lead, blocks * words)


def _unpack_xla(xla: Any, packed: Array, bits: int) -> Array:
    jnp = xla.jnp
    lead, size = packed.shape[:-1], packed.shape[-1] * WORD // bits
    mask = np.uint32(2**bits - 1)
    if WORD % bits == 0:
        numbers = (packed[..., None] >> np.arange(0, WORD, bits, dtype=np.uint32)) & mask
        return numbers.astype(np.uint8).reshape(*lead, size)
    if not packed.size:
        return jnp.zeros((*lead, size), np.uint8)
    starts = jnp.arange(size, dtype=np.int64) * np.int64(bits)
    word, offset = starts // np.int64(WORD), (starts % np.int64(WORD)).astype(np.uint32)
    low = jnp.take(packed, word, axis=-1, mode="clip") >> offset
    high = jnp.take(packed, word + np.int64(1), axis=-1, mode="clip") << ((np.uint32(WORD) - offset) % np.uint32(WORD))
    high = jnp.where(offset == 0, np.uint32(0), high)
    return ((low | high) & mask).astype(np.uint8)


def _packed_shape(numbers: Node, bits: int) -> tuple[Shape, Dtype]:
    *lead, last = numbers.shape
    return (*lead, last * bits // WORD), uint32


def _unpacked_shape(packed: Node, bits: int) -> tuple[Shape, Dtype]:
    *lead, last = packed.shape
    return (*lead, last * WORD // bits), uint8


def _batch_pack(inputs: Sequence[Node], dims: Dims, bits: int) -> tuple[Node, int]:
    return PACK(batch_to_front(inputs[0], dims[0], 1), bits), 0


def _batch_unpack(inputs: Sequence[Node], dims: Dims, bits: int) -> tuple[Node, int]:
    return UNPACK(batch_to_front(inputs[0], dims[0], 1), bits), 0


# Numbers below 2^bits along the last axis, of which whole words can be filled, as uint32 words; and back, as uint8.
PACK = Primitive(
    "pack",
    arity=1,
    shape=_packed_shape,
    kernel=_pack,
    lower=_pack_xla,
    batch=_batch_pack,
    moves_data=True,
    cost=lambda node: 4.0 * node.inputs[0].size if node.inputs else 0.0,
)
UNPACK = Primitive(
    "unpack",
    arity=1,
    shape=_unpacked_shape,
    kernel=_unpack,
    lower=_unpack_xla,
    batch=_batch_unpack,
    moves_data=True,
    nanoseconds=2.0,
)


# ---------------------------------------------------------------------- small floating-point formats


def _small_floats(exponent_bits: int, fraction_bits: int, bias: int) -> np.ndarray[Any, Any]:
    """The values of all codes: sign, exponent and fraction, with no infinities."""
    magnitudes = np.arange(2 ** (exponent_bits + fraction_bits))
    exponent, fraction = magnitudes >> fraction_bits, magnitudes & (2**fraction_bits - 1)
    implicit = np.where(exponent > 0, 2**fraction_bits, 0)
    values = np.ldexp(fraction + implicit, np.maximum(exponent, 1) - bias - fraction_bits)
    return np.concatenate([values, -values]).astype(np.float32)


E2M1 = "e2m1"  # 4 bits: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives
E4M3 = "e4m3"  # 8 bits: up to 448; the largest code is NaN
E8M0 = "e8m0"  # 8 bits without a sign: powers of two from 2^-127

VALUES = {
    E2M1: _small_floats(2, 1, 1),
    E4M3: _small_floats(4, 3, 7),
    E8M0: np.append(np.ldexp(np.float32(1), np.arange(255) - 127), np.float32(np.inf)),
}
VALUES[E4M3][[127, 255]] = np.nan
LARGEST = {E2M1: 6.0, E4M3: 448.0}

_E2M1_MIDPOINTS = (VALUES[E2M1][:7] + VALUES[E2M1][1:8]) / 2
_E4M3_LOWEST_EXPONENT = -6
_E4M3_FRACTION_BITS = 3


def _encode_e2m1(library: Any, x: Array) -> Array:
    """To the nearest; halfway to the smaller magnitude. What becomes zero has no sign."""
    magnitude = abs(x)
    code = sum((magnitude > midpoint).astype(np.uint8) for midpoint in _E2M1_MIDPOINTS)
    return library.where((x < 0) & (code > 0), code | np.uint8(8), code)


def _encode_e4m3(library: Any, x: Array) -> Array:
    """To the nearest, halfway to the even one; beyond the largest to the largest."""
    magnitude = library.minimum(abs(x), np.float32(LARGEST[E4M3]))
    magnitude = library.where(library.isnan(x), np.float32(0), magnitude)
    _, exponent = library.frexp(magnitude)  # of a fraction from 0.5 to 1
    lowest = np.int32(_E4M3_LOWEST_EXPONENT)
    exponent = library.maximum(library.where(magnitude > 0, exponent.astype(np.int32) - np.int32(1), lowest), lowest)
    steps = library.rint(library.ldexp(magnitude, np.int32(_E4M3_FRACTION_BITS) - exponent)).astype(np.int32)
    # Codes count the steps; each exponent has 8 of them. Rounding up to the next exponent carries by itself.
    code = (exponent - lowest) * np.int32(2**_E4M3_FRACTION_BITS) + steps
    code = library.where(library.isnan(x), np.int32(127), code)
    return library.where(library.signbit(x), code | np.int32(128), code).astype(np.uint8)


def _encode_e8m0(library: Any, x: Array) -> Array:
    """The next power of two that is no smaller; 1 for zero."""
    fraction, exponent = library.frexp(x)
    exponent = exponent.astype(np.int32) - (fraction == 0.5).astype(np.int32)
    return library.where(x > 0, library.clip(exponent + np.int32(127), 0, 254), np.int32(127)).astype(np.uint8)


_ENCODE = {E2M1: _encode_e2m1, E4M3: _encode_e4m3, E8M0: _encode_e8m0}


def _refuse_codes(*arguments: Any) -> NoReturn:
    """Codes computed from numbers get a zero gradient; only integers that are differentiated come here."""
    raise ValueError(
        "[dequantize, from_fp8] Codes of a small floating-point format have no derivative: wrap them in "
        "mx.stop_gradient or do not differentiate them; the affine mode of mx.quantize has scales that can be."
    )


# Real numbers as codes of a small format, and the float32 values of codes.
ENCODE = Primitive(
    "encode",
    arity=1,
    shape=lambda x, format: (x.shape, uint8),
    kernel=lambda x, format: _ENCODE[format](np, x),
    lower=lambda xla, x, format: _ENCODE[format](xla.jnp, x),
    batch=lambda inputs, dims, format: (ENCODE(inputs[0], format), dims[0]),
    nanoseconds=15.0,
)
DECODE = Primitive(
    "decode",
    arity=1,
    shape=lambda codes, format: (codes.shape, float32),
    kernel=lambda codes, format: VALUES[format][codes],
    lower=lambda xla, codes, format: xla.jnp.asarray(VALUES[format])[codes],
    vjp=(_refuse_codes,),
    jvp=_refuse_codes,
    batch=lambda inputs, dims, format: (DECODE(inputs[0], format), dims[0]),
    moves_data=True,
    nanoseconds=2.0,
)

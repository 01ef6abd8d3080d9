"""Numbers of few bits: packing them into words, and the small floating-point formats that stand for some of them.

How the groups of an array are quantised with them is in `group_quantization`.
Numbers of b bits follow each other from the lowest bit of the first word on, across the ends of words.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Any, NoReturn

import numpy as np

from mlx.ir.dtypes import Dtype, float32, uint8
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive
from mlx.primitives.shape import Dims, batch_to_front

Array = Any

WORD = 32
OCTET = 8


def _layout(bits: int) -> tuple[int, int]:
    """The smallest count of numbers that fill words exactly, and the count of these words."""
    common = gcd(bits, WORD)
    return WORD // common, bits // common


# ---------------------------------------------------------------------- packing


def pack(numbers: Array, bits: int) -> Array:
    """Numbers below 2^bits along the last axis, of which whole words can be filled, as uint32 words."""
    if OCTET % bits:
        return _pack_across(numbers, bits)
    octets = numbers.astype(np.uint8, copy=False)
    while bits < OCTET:  # two neighbours become one number of twice the width
        octets = octets[..., 0::2] | octets[..., 1::2] << np.uint8(bits)
        bits *= 2
    return np.ascontiguousarray(octets).view("<u4").astype(np.uint32, copy=False)


def _pack_across(numbers: Array, bits: int) -> Array:
    """The same where numbers cross the ends of words: from the numbers of all blocks that have the same place."""
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


def unpack(packed: Array, bits: int) -> Array:
    """The numbers that words hold, as uint8."""
    lead, size = packed.shape[:-1], packed.shape[-1] * WORD // bits
    octets = np.ascontiguousarray(packed, "<u4").view(np.uint8)
    if bits == OCTET:
        return octets
    if OCTET % bits == 0:
        pieces, count = octets, OCTET // bits
    else:  # eight numbers lie in as many octets as one has bits
        octets = octets.reshape(*lead, size // OCTET, bits)
        pieces, count = np.zeros(octets.shape[:-1], np.uint64), OCTET
        for place in range(bits):
            pieces |= octets[..., place].astype(np.uint64) << np.uint64(OCTET * place)
    numbers = np.empty((*pieces.shape, count), np.uint8)
    kind = pieces.dtype.type
    for position in range(count):
        np.copyto(numbers[..., position], (pieces >> kind(position * bits)) & kind(2**bits - 1), casting="unsafe")
    return numbers.reshape(*lead, size)


def pack_xla(xla: Any, numbers: Array, bits: int) -> Array:
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


def unpack_xla(xla: Any, packed: Array, bits: int) -> Array:
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


def _unpacked_shape(packed: Node, bits: int) -> tuple[Shape, Dtype]:
    *lead, last = packed.shape
    return (*lead, last * WORD // bits), uint8


def _batch_unpack(inputs: Sequence[Node], dims: Dims, bits: int) -> tuple[Node, int]:
    return UNPACK(batch_to_front(inputs[0], dims[0], 1), bits), 0


# The numbers of b bits that uint32 words along the last axis hold, as uint8.
UNPACK = Primitive(
    "unpack",
    arity=1,
    shape=_unpacked_shape,
    kernel=unpack,
    lower=unpack_xla,
    batch=_batch_unpack,
    moves_data=True,
    nanoseconds=1.0,
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
    """The next power of two that is no smaller; 1 for zero, the largest for infinity, and a code of its own for NaN."""
    fraction, exponent = library.frexp(x)
    exponent = exponent.astype(np.int32) - (fraction == 0.5).astype(np.int32)
    code = library.where(x > 0, library.clip(exponent + np.int32(127), 0, 254), np.int32(127))
    code = library.where(x == np.inf, np.int32(254), code)
    return library.where(library.isnan(x), np.int32(255), code).astype(np.uint8)


ENCODERS = {E2M1: _encode_e2m1, E4M3: _encode_e4m3, E8M0: _encode_e8m0}


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
    kernel=lambda x, format: ENCODERS[format](np, x),
    lower=lambda xla, x, format: ENCODERS[format](xla.jnp, x),
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

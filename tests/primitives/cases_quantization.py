"""Cases of packed numbers and small floating-point formats; the formats' tables are ml_dtypes'."""

from __future__ import annotations

from functools import partial
from typing import Any

import ml_dtypes
import numpy as np
from case import FLOATS, Case, sample

import mlx.core as mx
from mlx.arrays.array import wrap
from mlx.primitives.quantization import DECODE, E2M1, E4M3, E8M0, ENCODE, EXACT_QUOTIENT, PACK, UNPACK

ALL_BITS = (1, 2, 3, 4, 5, 6, 8)
WORDS = np.random.default_rng(0).integers(0, 2**32, (2, 30), np.uint32)


def pack(x: Any, bits: int) -> Any:
    return wrap(PACK(x._node, bits))


def pack_numpy(x: Any, bits: int) -> Any:
    """The numbers' bits one after the other, lowest first."""
    stream = (x.astype(np.uint8)[..., None] >> np.arange(bits)) & 1
    return np.packbits(stream.reshape(*x.shape[:-1], -1), axis=-1, bitorder="little").view(np.uint32)


def unpack(x: Any, bits: int) -> Any:
    return wrap(UNPACK(x._node, bits))


def unpack_numpy(x: Any, bits: int) -> Any:
    stream = np.unpackbits(x.astype(np.uint32).view(np.uint8), axis=-1, bitorder="little")
    return stream.reshape(*x.shape[:-1], -1, bits) @ (1 << np.arange(bits))


def encode(x: Any, format: str) -> Any:
    return wrap(ENCODE(x._node, format))


def decode(x: Any, format: str) -> Any:
    return wrap(DECODE(x._node, format))


def encode_e4m3_numpy(x: Any) -> Any:
    return np.clip(x, -448, 448).astype(ml_dtypes.float8_e4m3fn).view(np.uint8)


def decode_numpy(x: Any, dtype: Any) -> Any:
    return x.astype(np.uint8).view(dtype).astype(np.float32)


def quotient(a: Any, b: Any) -> Any:
    return wrap(EXACT_QUOTIENT(a._node, b._node))


def rest(case_function: Any, bits: int) -> Any:
    """Rows of an array that lies otherwise in memory, and nothing at all."""
    return lambda x: mx.concatenate([case_function(x.T, bits), case_function(x[:, :0].T, bits)], 0)


def packing(bits: int) -> list[Case]:
    numbers = np.random.default_rng(bits).integers(0, 2**bits, (3, 96)).astype(np.uint8)
    where = {"wrt": (), "dtypes": ("uint8",), "label": f"{bits}-bits"}
    return [
        Case("pack", partial(pack, bits=bits), (numbers,), reference=partial(pack_numpy, bits=bits), **where),
        Case(
            "unpack",
            partial(unpack, bits=bits),
            (WORDS,),
            **{**where, "dtypes": ("uint32",)},
            reference=partial(unpack_numpy, bits=bits),
        ),
        Case("pack", rest(pack, bits), (numbers.T,), **{**where, "label": f"{bits}-bits-strided"}),
        Case(
            "unpack",
            rest(unpack, bits),
            (np.ascontiguousarray(WORDS.T),),
            **{**where, "dtypes": ("uint32",), "label": f"{bits}-bits-strided"},
        ),
    ]


MIDPOINTS = np.array([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0])
E2M1_POINTS = np.concatenate([MIDPOINTS, -MIDPOINTS, MIDPOINTS + 0.0625, MIDPOINTS - 0.0625, [0, -0.1, 7, -9]])
E2M1_CODES = [*range(7), 0, *range(9, 15), *range(1, 8), *range(7), 0, 0, 7, 15]
E8M0_POINTS = np.array([0, 1, 1.0625, 0.5, 0.53125, 2, 3, 4, 384, 2.0**-14])
E8M0_CODES = [127, 127, 128, 126, 127, 128, 129, 129, 136, 113]
E4M3_POINTS = np.concatenate([sample(60, low=-500, high=500), sample(60, low=-0.1, high=0.1), np.arange(-9, 9) / 1024])

FLOATS_ONLY = {"wrt": (), "dtypes": FLOATS}

CASES = [
    *(case for bits in ALL_BITS for case in packing(bits)),
    Case(
        "encode",
        partial(encode, format=E2M1),
        (E2M1_POINTS,),
        reference=lambda x: E2M1_CODES,
        label=E2M1,
        **FLOATS_ONLY,
    ),
    Case(
        "encode", partial(encode, format=E4M3), (E4M3_POINTS,), reference=encode_e4m3_numpy, label=E4M3, **FLOATS_ONLY
    ),
    Case(
        "encode",
        partial(encode, format=E8M0),
        (E8M0_POINTS,),
        reference=lambda x: E8M0_CODES,
        label=E8M0,
        **FLOATS_ONLY,
    ),
    Case(
        "decode",
        partial(decode, format=E2M1),
        (np.arange(16).reshape(2, 8),),
        wrt=(),
        dtypes=("uint8",),
        reference=partial(decode_numpy, dtype=ml_dtypes.float4_e2m1fn),
        label=E2M1,
    ),
    Case(
        "decode",
        partial(decode, format=E4M3),
        (np.arange(256),),
        wrt=(),
        dtypes=("uint8",),
        reference=partial(decode_numpy, dtype=ml_dtypes.float8_e4m3fn),
        label=E4M3,
    ),
    Case(
        "decode",
        partial(decode, format=E8M0),
        (np.arange(1, 254),),
        wrt=(),
        dtypes=("uint8",),
        reference=partial(decode_numpy, dtype=ml_dtypes.float8_e8m0fnu),
        label=E8M0,
    ),
    Case(
        "exact_quotient",
        quotient,
        (sample(3, 4), sample(3, 1, low=0.5, high=2.0)),
        (0, 1),
        FLOATS,
        reference=lambda a, b: a / b,
    ),
    Case(
        "exact_quotient",
        lambda a, b: quotient(a.T[::2], b) + quotient(a[:0], b).sum(),
        (sample(3, 4), np.array(7.0)),
        (0, 1),
        FLOATS,
        reference=lambda a, b: a.T[::2] / b,
        label="strided",
    ),
]

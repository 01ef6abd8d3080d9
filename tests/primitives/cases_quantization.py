"""Cases of packed numbers and small floating-point formats; the formats' tables are ml_dtypes'."""

from __future__ import annotations

from functools import partial
from typing import Any

import ml_dtypes
import numpy as np
from case import FLOATS, Case, sample

import mlx.core as mx
from mlx.arrays.array import wrap
from mlx.primitives.exact_product import EXACT_PRODUCT
from mlx.primitives.group_quantization import QUANTIZE_TO_FLOATS, QUANTIZE_TO_INTEGERS
from mlx.primitives.quantization import DECODE, E2M1, E4M3, E8M0, ENCODE, UNPACK
from mlx.primitives.quantized_matmul import QUANTIZED_MATMUL
from mlx.primitives.structure import PROJECT

ALL_BITS = (1, 2, 3, 4, 5, 6, 8)
WORDS = np.random.default_rng(0).integers(0, 2**32, (2, 30), np.uint32)


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


def exact(a: Any, b: Any) -> Any:
    return wrap(EXACT_PRODUCT(a._node, b._node))


def parts(x: Any, bits: int) -> list[Any]:
    """Words, scales and biases of groups of 32."""
    node = QUANTIZE_TO_INTEGERS(x._node, 32, bits)
    return [wrap(PROJECT(node, index)) for index in range(3)]


def scales_and_biases(x: Any, bits: int) -> Any:
    _, scales, biases = parts(x, bits)
    return scales * 2 + biases * biases


def integers(x: Any, bits: int) -> Any:
    return parts(x, bits)[0]


def floats(x: Any, unit: Any, mode: tuple[Any, ...], index: int) -> Any:
    return wrap(PROJECT(QUANTIZE_TO_FLOATS(x._node, unit._node, *mode), index))


def product(x: Any, packed: Any, scales: Any, element: str, bits: int, transposed: bool) -> Any:
    a, q, s = x._node, packed._node, scales._node
    rows, groups = s.shape
    if q.shape != (rows, groups * bits) or a.shape[1] != (groups * 32 if transposed else rows):
        raise ValueError(f"no product of {a.shape} with a matrix of {q.shape} and scales of {s.shape}")
    return wrap(QUANTIZED_MATMUL(a, q, s, element, 32, bits, transposed))


def product_numpy(x: Any, packed: Any, scales: Any, element: str, bits: int, transposed: bool) -> Any:
    numbers = unpack_numpy(packed, bits)
    if element:
        numbers = decode_numpy(numbers, ml_dtypes.float4_e2m1fn if bits == 4 else ml_dtypes.float8_e4m3fn)
    matrix = numbers * np.repeat(scales, 32, axis=1)
    return x @ (matrix.T if transposed else matrix)


def product_case(element: str, bits: int, transposed: bool) -> Case:
    packed = np.random.default_rng(bits).integers(0, 2**32, (5, 3 * bits), np.uint32)
    if element:
        packed &= np.uint32(0x77777777 if bits == 4 else 0x3F3F3F3F)  # no NaN, and no numbers too large for differences
    options = {"element": element, "bits": bits, "transposed": transposed}
    return Case(
        "quantized_matmul",
        partial(product, **options),
        (sample(4, 96 if transposed else 5), packed, sample(5, 3, seed=1)),
        (0, 2),
        ("float32", "float64"),
        (0, 2),
        reference=partial(product_numpy, **options),
        label=f"{element or 'integers'}-{bits}-{'transposed' if transposed else 'plain'}",
        coarse=True,
    )


WEIGHTS = sample(3, 64) * np.array([[1.0], [0.1], [3.0]])
MODES = {"mxfp4": (32, 4, E2M1, E8M0), "mxfp8": (32, 8, E4M3, E8M0), "nvfp4": (16, 4, E2M1, E4M3)}


def rest(case_function: Any, bits: int) -> Any:
    """Rows of an array that lies otherwise in memory, and nothing at all."""
    return lambda x: mx.concatenate([case_function(x.T, bits), case_function(x[:, :0].T, bits)], 0)


def packing(bits: int) -> list[Case]:
    where = {"wrt": (), "dtypes": ("uint32",), "label": f"{bits}-bits"}
    return [
        Case(
            "quantize_to_integers",
            partial(scales_and_biases, bits=bits),
            (WEIGHTS,),
            dtypes=FLOATS,
            label=f"{bits}-bits",
        ),
        Case(
            "quantize_to_integers",
            rest(integers, bits),
            (np.ascontiguousarray(WEIGHTS.T),),
            wrt=(),
            dtypes=FLOATS,
            label=f"{bits}-bits-packed",
        ),
        Case("unpack", partial(unpack, bits=bits), (WORDS,), reference=partial(unpack_numpy, bits=bits), **where),
        Case(
            "unpack",
            rest(unpack, bits),
            (np.ascontiguousarray(WORDS.T),),
            **{**where, "label": f"{bits}-bits-strided"},
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
        "exact_product",
        exact,
        (sample(3, 4), sample(3, 1, seed=1)),
        (0, 1),
        FLOATS,
        reference=lambda a, b: a * b,
    ),
    Case(
        "exact_product",
        lambda a, b: exact(a.T[::2], b) + exact(a[:0], b).sum(),
        (sample(3, 4), np.array(7.0)),
        (0, 1),
        FLOATS,
        reference=lambda a, b: a.T[::2] * b,
        label="strided",
    ),
    *(
        Case(
            "quantize_to_floats",
            partial(floats, mode=mode, index=index),
            (WEIGHTS, np.array(2.0)),
            (),
            FLOATS,
            (0,),
            label=f"{name}-{index}",
        )
        for name, mode in MODES.items()
        for index in (0, 1)
    ),
    *(product_case("", bits, transposed) for bits in ALL_BITS for transposed in (True, False)),
    *(product_case(*kind, transposed) for kind in ((E2M1, 4), (E4M3, 8)) for transposed in (True, False)),
]

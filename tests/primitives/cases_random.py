"""Cases of random words and numbers, against Threefry-2x32 in plain Python, and of the root of symmetric matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from case import Case, sample
from cases_shape import flat, flat_numpy
from scipy.special import erfinv

import mlx.core as mx
from mlx.arrays.array import wrap
from mlx.primitives.matrix_root import MATRIX_ROOT, ROOT_CHANGE
from mlx.primitives.random import RANDOM_BITS, RANDOM_NORMAL, RANDOM_UNIFORM, SPLIT_KEY
from mlx.primitives.structure import PROJECT

KEY = np.array([0x12345678, 0x9ABCDEF0], np.uint32)
SHAPES = ((), (1,), (2,), (7,), (3, 5), (0,), (2, 0), (513,), (2, 1000))  # few words and many, even and odd counts
WORD = 2**32 - 1


def enciphered(k0: int, k1: int, x0: int, x1: int) -> tuple[int, int]:
    keys = (k0, k1, k0 ^ k1 ^ 0x1BD11BDA)
    x0, x1 = (x0 + k0) & WORD, (x1 + k1) & WORD
    for group in range(5):
        for rotation in ((13, 15, 26, 6), (17, 29, 16, 24))[group % 2]:
            x0 = (x0 + x1) & WORD
            x1 = ((x1 << rotation) & WORD | x1 >> (32 - rotation)) ^ x0
        x0, x1 = (x0 + keys[(group + 1) % 3]) & WORD, (x1 + keys[(group + 2) % 3] + group + 1) & WORD
    return x0, x1


def words(key: Any, shape: tuple[int, ...]) -> np.ndarray:
    size = math.prod(shape)
    half = (size + 1) // 2
    k0, k1 = (int(word) for word in key)
    blocks = [enciphered(k0, k1, i, half + i if half + i < size else 0) for i in range(half)]
    drawn = [first for first, _ in blocks] + [second for _, second in blocks]
    return np.array(drawn[:size], np.uint32).reshape(shape)


def bytes_of(x: Any) -> Any:
    """The bytes of words, which the comparison's relative tolerance leaves exact."""
    return flat((x & 0xFF), (x >> 8) & 0xFF, (x >> 16) & 0xFF, x >> 24)


def bytes_of_numpy(x: Any) -> np.ndarray:
    return flat_numpy(x & 0xFF, (x >> 8) & 0xFF, (x >> 16) & 0xFF, x >> 24)


def drawn(primitive: Any, key: Any, dtype: Any) -> Any:
    return flat(*(wrap(primitive(key._node, shape, dtype)) for shape in SHAPES))


def units(key: Any) -> np.ndarray:
    return flat_numpy(*(words(key, shape) for shape in SHAPES)) * 2.0**-32


def split(key: Any) -> Any:
    pair = SPLIT_KEY(key._node)
    return mx.stack([wrap(PROJECT(pair, 0)), wrap(PROJECT(pair, 1))])


def definite(x: Any) -> Any:
    """A symmetric positive definite matrix: the eigenvalues of the sample are below 4."""
    return x + mx.swapaxes(x, -1, -2) + 10 * mx.eye(x.shape[-1], dtype=x.dtype)


def root(x: Any) -> Any:
    return wrap(MATRIX_ROOT(definite(x)._node))


def root_change(x: Any, c: Any) -> Any:
    return wrap(ROOT_CHANGE(definite(x)._node, c._node))


def squared_root(x: Any) -> Any:
    r = root(x)
    return r @ r


def solved_equation(x: Any, c: Any) -> Any:
    r = definite(x)
    change = wrap(ROOT_CHANGE(r._node, c._node))
    return r @ change + change @ r


CASES = [
    Case(
        "random_bits",
        lambda key: bytes_of(drawn(RANDOM_BITS, key, mx.uint32)),
        [KEY],
        wrt=(),
        dtypes=("uint32",),
        reference=lambda key: bytes_of_numpy(flat_numpy(*(words(key, shape) for shape in SHAPES))),
    ),
    Case(
        "random_bits",
        lambda keys: bytes_of(wrap(RANDOM_BITS(keys[::-1, ::2]._node, (3,), mx.uint32))),
        [np.stack([KEY, KEY * 3 + 1, KEY * 5 + 2], axis=1).repeat(2, axis=0)],
        wrt=(),
        dtypes=("uint32",),
        label="many keys",
        reference=lambda keys: bytes_of_numpy(np.stack([words(key, (3,)) for key in keys[::-1, ::2]])),
    ),
    Case(
        "split_key",
        lambda key: bytes_of(split(key)),
        [KEY],
        wrt=(),
        dtypes=("uint32",),
        reference=lambda key: bytes_of_numpy(words(key, (2, 2))),
    ),
    *(
        Case(
            "random_uniform",
            lambda key, dtype=dtype: drawn(RANDOM_UNIFORM, key, dtype).astype(mx.float32),
            [KEY],
            wrt=(),
            dtypes=("uint32",),
            label=dtype.name,
            reference=units,
            smooth=rounding,
        )
        for dtype, rounding in ((mx.float32, 0.0), (mx.float16, 1e-3), (mx.bfloat16, 8e-3))
    ),
    *(
        Case(
            "random_normal",
            lambda key, dtype=dtype: drawn(RANDOM_NORMAL, key, dtype).astype(mx.float64),
            [KEY],
            wrt=(),
            dtypes=("uint32",),
            label=dtype.name,
            reference=lambda key: erfinv(2.0 * units(key) - 1.0),
            smooth=rounding,
        )
        for dtype, rounding in ((mx.float32, 0.0), (mx.float64, 0.0), (mx.float16, 1e-3), (mx.bfloat16, 8e-3))
    ),
    Case("matrix_root", root, [sample(3, 3)], dtypes=("float32", "float64")),
    Case("matrix_root", root, [np.zeros((2, 2))], label="equal eigenvalues"),
    Case(
        "matrix_root",
        squared_root,
        [sample(2, 1, 3, 3)],
        dtypes=("float32", "float64"),
        label="squared",
        reference=lambda x: x + np.swapaxes(x, -1, -2) + 10 * np.eye(3),
    ),
    Case("matrix_root", root, [np.zeros((0, 2, 2))], wrt=(), label="empty"),
    Case("root_change", root_change, [sample(3, 3), sample(3, 3, seed=1)], wrt=(0, 1)),
    Case(
        "root_change",
        solved_equation,
        [sample(2, 3, 3), sample(2, 3, 3, seed=1)],
        wrt=(1,),
        dtypes=("float32", "float64"),
        label="solves",
        reference=lambda x, c: c,
    ),
]

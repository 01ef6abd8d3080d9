"""Random numbers: the words of Threefry-2x32, splitting of keys, and the uniform and normal numbers made of the words.

Threefry-2x32 with 20 rounds is from Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3"
(2011). A key is two words of 32 bits. Draws are functions of their key alone, so nothing here has a derivative;
distributions with parameters are compositions of these with ordinary primitives and live in `mlx.ops.random`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype, float32, float64, uint32
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive
from mlx.primitives.error_function import ERFINV
from mlx.primitives.shape import move_axis

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))  # of the rounds between two additions of the key, by turns
PARITY = 0x1BD11BDA
_WORD = 0xFFFFFFFF

_CHUNK = 8192  # blocks enciphered at a time, so that the temporaries stay in the cache
_FEW = 256  # blocks up to which the lanes of one large integer are faster than NumPy's calls


# ---------------------------------------------------------------------- the cipher, on three kinds of numbers


def _schedule(k0: Any, k1: Any, parity: Any) -> tuple[Any, Any, Any]:
    return k0, k1, k0 ^ k1 ^ parity


def _encipher_lanes(k0: int, k1: int, x0: int, x1: int, ones: int) -> tuple[int, int]:
    """Threefry-2x32 of blocks that lie in the 64-bit lanes of Python integers; `ones` has a 1 in every lane.

    A lane is wide enough for what 20 additions carry beyond 32 bits, so words are masked where they are rotated.
    """
    keys = [word * ones for word in _schedule(k0, k1, PARITY)]
    mask = _WORD * ones
    x0 += keys[0]
    x1 = (x1 + keys[1]) & mask
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            x0 += x1
            x1 = ((x1 << rotation | x1 >> 32 - rotation) ^ x0) & mask
        x0 += keys[(group + 1) % 3]
        x1 = (x1 + keys[(group + 2) % 3] + (group + 1) * ones) & mask
    return x0 & mask, x1


def _encipher_in_place(k0: Any, k1: Any, x0: Any, x1: Any) -> None:
    """Threefry-2x32 of blocks that lie in two NumPy arrays, which it overwrites."""
    keys = _schedule(k0, k1, np.uint32(PARITY))
    high = np.empty_like(x1)
    x0 += k0
    x1 += k1
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            x0 += x1
            np.left_shift(x1, np.uint32(rotation), out=high)
            np.right_shift(x1, np.uint32(32 - rotation), out=x1)
            x1 |= high
            x1 ^= x0
        x0 += keys[(group + 1) % 3]
        x1 += keys[(group + 2) % 3] + np.uint32(group + 1)


def _encipher_xla(lax: Any, k0: Any, k1: Any, x0: Any, x1: Any) -> tuple[Any, Any]:
    """Threefry-2x32 of traced blocks."""
    keys = _schedule(k0, k1, np.uint32(PARITY))
    x0 = x0 + k0
    x1 = x1 + k1
    for group in range(5):
        for rotation in ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = lax.shift_left(x1, np.uint32(rotation)) | lax.shift_right_logical(x1, np.uint32(32 - rotation))
            x1 = x1 ^ x0
        x0 = x0 + keys[(group + 1) % 3]
        x1 = x1 + (keys[(group + 2) % 3] + np.uint32(group + 1))
    return x0, x1


# ---------------------------------------------------------------------- words
#
# n words come from h = ceil(n / 2) blocks: block i enciphers the counters (i, h + i), the last counter of an odd n
# being 0; its first result is word i, its second word h + i.


def _words(key: Any, shape: Shape) -> Any:
    """Words of 32 bits, `shape` for each key."""
    size = math.prod(shape)
    half = (size + 1) // 2
    if key.ndim == 1 and half <= _FEW:
        return _few_words(key, size).reshape(shape)
    keys = key.reshape(-1, 2, 1)
    blocks = np.empty((len(keys), 2 * half), np.uint32)
    rows = max(1, _CHUNK // max(half, 1))
    for row in range(0, len(keys), rows):
        k0, k1 = keys[row : row + rows, 0], keys[row : row + rows, 1]
        for start in range(0, half, _CHUNK):
            stop = min(start + _CHUNK, half)
            x0, x1 = blocks[row : row + rows, start:stop], blocks[row : row + rows, half + start : half + stop]
            x0[:] = np.arange(start, stop, dtype=np.uint32)
            np.add(x0, np.uint32(half), out=x1)
            if size % 2 and stop == half:
                x1[:, -1] = 0
            _encipher_in_place(k0, k1, x0, x1)
    return blocks[:, :size].reshape(*key.shape[:-1], *shape)


def _few_words(key: Any, size: int) -> Any:
    half = (size + 1) // 2
    counters = np.arange(2 * half, dtype=np.uint64)
    if size % 2:
        counters[-1] = 0
    ones = _integer(np.ones(half, np.uint64))
    results = _encipher_lanes(int(key[0]), int(key[1]), _integer(counters[:half]), _integer(counters[half:]), ones)
    lanes = b"".join(number.to_bytes(8 * half, "little") for number in results)
    return np.frombuffer(lanes, "<u8").astype(np.uint32)[:size]


def _integer(lanes: Any) -> int:
    return int.from_bytes(lanes.tobytes(), "little")


_TWO_LANES = 1 | 1 << 64


def split_in_two(key: Any) -> tuple[Any, Any]:
    """Two keys from one, at once: NumPy arrays of shape (2,)."""
    a, b = _encipher_lanes(int(key[0]), int(key[1]), 0 | 1 << 64, 2 | 3 << 64, _TWO_LANES)
    return np.array((a & _WORD, a >> 64), np.uint32), np.array((b & _WORD, b >> 64), np.uint32)


_QUICKLY_COMPILED = 2**16  # words up to which compiling costs more than enciphering each block twice


def _words_xla(xla: Any, key: Any, size: int) -> Any:
    """`size` words for each key."""
    lax, jnp = xla.lax, xla.jnp
    half = (size + 1) // 2
    lead = key.shape[:-1]
    count = size if size <= _QUICKLY_COMPILED else half
    position = lax.broadcasted_iota(np.uint32, (*lead, count), len(lead))
    in_first_half = position < np.uint32(half)
    x0 = position if count == half else jnp.where(in_first_half, position, position - np.uint32(half))
    x1 = x0 + np.uint32(half)
    if size % 2:
        x1 = lax.select(x0 == np.uint32(half - 1), jnp.zeros_like(x1), x1)
    k0 = jnp.broadcast_to(key[..., 0:1], x0.shape)
    k1 = jnp.broadcast_to(key[..., 1:2], x0.shape)
    first, second = _encipher_xla(lax, k0, k1, x0, x1)
    if count == size:
        # One elementwise expression: joining two halves would compile the rounds twice.
        return jnp.where(in_first_half, first, second)
    return lax.slice_in_dim(lax.concatenate((first, second), len(lead)), 0, size, axis=len(lead))


_EARNS_COMPILING = 2**17  # numbers


def _cost(nanoseconds: float) -> Any:
    """A draw takes a tenth of a second to compile, so it is a reason to compile only where it is large."""
    return lambda node: nanoseconds * node.size if node.size >= _EARNS_COMPILING else 0.0


def _draws(name: str, kernel: Any, lower: Any, nanoseconds: float) -> Primitive:
    """A primitive of a key (or an array of keys) that draws `shape` numbers of `dtype` for each.

    `lower` draws a number of them: along short rows the compiler for CPUs would do it one by one. Unless they are kept
    apart, it enciphers anew in each step that uses them.
    """

    def lower_apart(xla: Any, key: Any, shape: Shape, dtype: Dtype) -> Any:
        numbers = lower(xla, key, math.prod(shape), dtype)
        if xla.platform == "cpu":
            numbers = xla.lax.optimization_barrier(numbers)
        return xla.lax.reshape(numbers, (*key.shape[:-1], *shape))

    def batch(inputs: Sequence[Node], dims: Sequence[int | None], *params: Any) -> tuple[Node, int]:
        (key,), (dim,) = inputs, dims
        assert dim is not None
        return primitive(move_axis(key, dim, 0), *params), 0

    primitive = Primitive(
        name,
        arity=1,
        shape=lambda key, shape, dtype: ((*key.shape[:-1], *shape), dtype),
        kernel=kernel,
        lower=lower_apart,
        batch=batch,
        moves_data=True,  # the kernels round to half precision themselves
        cost=_cost(nanoseconds),
    )
    return primitive


RANDOM_BITS = _draws(
    "random_bits",
    lambda key, shape, dtype: _words(key, shape),
    lambda xla, key, size, dtype: _words_xla(xla, key, size),
    nanoseconds=9.0,
)

# ---------------------------------------------------------------------- splitting


def _split(key: Any) -> tuple[Any, Any]:
    if key.ndim == 1:
        return split_in_two(key)
    words = _words(key, (2, 2))
    return words[..., 0, :], words[..., 1, :]


def _split_xla(xla: Any, key: Any) -> tuple[Any, Any]:
    words = _words_xla(xla, key, 4)
    return words[..., :2], words[..., 2:]


def _batch_split(inputs: Sequence[Node], dims: Sequence[int | None]) -> tuple[Node, tuple[int, int]]:
    (key,), (dim,) = inputs, dims
    assert dim is not None
    return SPLIT_KEY(move_axis(key, dim, 0)), (0, 0)


# Two keys from one: what a draw does to a state whose value is not known yet.
SPLIT_KEY = Primitive(
    "split_key",
    arity=1,
    shape=lambda key: ((key.shape, key.shape), (uint32, uint32)),
    kernel=_split,
    lower=_split_xla,
    batch=_batch_split,
    many=True,
    moves_data=True,
    cost=lambda node: 0.0,  # a few microseconds, which no compilation of a chain of them would earn back
)

# ---------------------------------------------------------------------- numbers


def below_one(dtype: Dtype) -> float:
    """The largest number of a floating dtype below 1."""
    return 1.0 - {"float32": 2.0**-24, "float16": 2.0**-11, "bfloat16": 2.0**-8}[dtype.name]


def _uniform(words: Any, dtype: Dtype) -> Any:
    """Words as numbers in [0, 1): those that round to 1 become the largest number below it."""
    unit = words.astype(np.float32) * np.float32(2.0**-32)
    return np.minimum(unit.astype(dtype.numpy), np.asarray(below_one(dtype), dtype.numpy))


def _uniform_xla(xla: Any, words: Any, dtype: Dtype) -> Any:
    unit = words.astype(np.float32) * np.float32(2.0**-32)
    return xla.lax.min(unit.astype(dtype.numpy), xla.jnp.asarray(below_one(dtype), dtype.numpy))


RANDOM_UNIFORM = _draws(
    "random_uniform",
    lambda key, shape, dtype: _uniform(_words(key, shape), dtype),
    lambda xla, key, size, dtype: _uniform_xla(xla, _words_xla(xla, key, size), dtype),
    nanoseconds=14.0,
)

LOWEST = np.float32(2.0**-24 - 1.0)  # the smallest float32 above -1


def _normal(words: Any, dtype: Dtype) -> Any:
    """By inversion: erfinv(u) with u in (-1, 1), drawn in float32 whatever `dtype` is."""
    unit = _uniform(words, float32) * np.float32(2) + LOWEST
    kernel = ERFINV.kernel
    assert kernel is not None
    return kernel(unit.astype(np.float64)) if dtype is float64 else kernel(unit).astype(dtype.numpy)


def _normal_xla(xla: Any, words: Any, dtype: Dtype) -> Any:
    unit = _uniform_xla(xla, words, float32) * np.float32(2) + LOWEST
    return xla.lax.erf_inv(unit.astype(np.float64)) if dtype is float64 else xla.lax.erf_inv(unit).astype(dtype.numpy)


# Normal numbers of variance 1/2: a scale is multiplied by sqrt(2) first, as the reference does it, and the parts of
# complex normal numbers of variance 1 need none.
RANDOM_NORMAL = _draws(
    "random_normal",
    lambda key, shape, dtype: _normal(_words(key, shape), dtype),
    lambda xla, key, size, dtype: _normal_xla(xla, _words_xla(xla, key, size), dtype),
    nanoseconds=45.0,
)

"""Cases of the primitives that move elements: reshape, transpose, broadcast, slices, joining, views."""

from __future__ import annotations

from typing import Any

import numpy as np
from case import ALL, Case, sample

import mlx.core as mx
from mlx.arrays.array import wrap
from mlx.primitives.slicing import PAD, SLICE, SLICE_UPDATE
from mlx.primitives.views import ADD_STRIDED

ORDINALS = np.arange(24.0).reshape(4, 6)
EMPTY = np.zeros((0, 3))
NUMBERS = tuple(dtype for dtype in ALL if dtype != "bool")


def flat(*arrays: Any) -> Any:
    """Several results as one array."""
    return mx.concatenate([mx.flatten(x) for x in arrays])


def flat_numpy(*arrays: Any) -> Any:
    return np.concatenate([np.ravel(x) for x in arrays])


def sliced(x: Any, starts: Any, sizes: Any, strides: Any) -> Any:
    return wrap(SLICE(x._node, starts, sizes, strides))


def padded(x: Any, value: Any, starts: Any, shape: Any, strides: Any) -> Any:
    return wrap(PAD(x._node, value._node, starts, shape, strides))


def updated(x: Any, update: Any, starts: Any, sizes: Any, strides: Any) -> Any:
    return wrap(SLICE_UPDATE(x._node, update._node, starts, sizes, strides))


def pad_numpy(x: Any, value: Any, selection: Any, shape: Any) -> Any:
    out = np.full(shape, value, np.asarray(x).dtype)
    out[selection] = x
    return out


def update_numpy(x: Any, update: Any, selection: Any) -> Any:
    out = np.array(x)
    out[selection] = update
    return out


def roll_both(x: Any) -> Any:
    return flat(mx.roll(x, 2), mx.roll(x, (1, -2), (0, 1)), mx.roll(x.T, 7, 0), mx.roll(x, (1, 2), (1, 1)))


def add_strided(g: Any, size: int, strides: Any, offset: int) -> Any:
    return wrap(ADD_STRIDED(g._node, size, strides, offset))


def add_strided_numpy(g: Any, size: int, strides: Any, offset: int) -> Any:
    out = np.zeros(size, np.asarray(g).dtype)
    for index in np.ndindex(np.shape(g)):
        out[offset + np.dot(index, strides)] += g[index]
    return out


START = np.array([1, 2], np.int32)
WINDOWS = ((3, 2, 4), (6, 3, 1), 2)

CASES = [
    Case(
        "reshape",
        lambda x: flat(mx.reshape(x * x, (3, -1)), mx.reshape(x.T, (2, 3, 4)), mx.squeeze(mx.expand_dims(x, (0, 2)))),
        [sample(4, 6)],
    ),
    Case(
        "reshape",
        lambda x, empty, number: flat(
            mx.reshape(x.T, (2, 3, 4)), mx.reshape(empty, (3, 5, 0)), mx.reshape(number, (1, 1)), mx.flatten(x, 1)
        ),
        [ORDINALS, EMPTY, np.array(1.0)],
        wrt=(),
        dtypes=ALL,
        reference=lambda x, empty, number: flat_numpy(x.T, number, x),
        label="dtypes",
    ),
    Case("transpose", lambda x: mx.transpose(x * x, (2, 0, 1)), [sample(2, 3, 4)]),
    Case(
        "transpose",
        lambda x, empty: flat(
            mx.transpose(x), mx.swapaxes(x, 0, 1), mx.moveaxis(mx.reshape(x, (2, 2, 6)), 0, -1), mx.transpose(empty)
        ),
        [ORDINALS, EMPTY],
        wrt=(),
        dtypes=ALL,
        reference=lambda x, empty: flat_numpy(x.T, x.T, np.moveaxis(x.reshape(2, 2, 6), 0, -1)),
        label="dtypes",
    ),
    Case("broadcast", lambda x: mx.broadcast_to(x * x, (2, 3, 4)), [sample(3, 1)]),
    Case(
        "broadcast",
        lambda x, empty, number: flat(
            mx.broadcast_to(x, (2, 4, 6)),
            mx.broadcast_to(mx.expand_dims(x.T, 1), (6, 2, 4)),
            mx.broadcast_to(empty, (2, 0, 3)),
            mx.broadcast_to(number, (3,)),
            mx.broadcast_to(number, (0,)),
        ),
        [ORDINALS, EMPTY, np.array(1.0)],
        wrt=(),
        dtypes=ALL,
        reference=lambda x, empty, number: flat_numpy(x, x, np.repeat(x.T, 2, axis=0), number, number, number),
        label="dtypes",
    ),
    Case(
        "slice",
        lambda x: flat(
            sliced(x * x, (1, 0), (2, 3), (2, 2)), sliced(x, (0, 5), (4, 1), (1, 1)), sliced(x, (2, 2), (0, 2), (1, 3))
        ),
        [sample(4, 6)],
    ),
    Case(
        "slice",
        lambda x, empty: flat(
            sliced(x, (1, 0), (2, 3), (2, 2)),
            sliced(x.T, (5, 3), (1, 1), (4, 4)),
            sliced(x, (4, 6), (0, 0), (3, 1)),
            sliced(empty, (0, 1), (0, 2), (1, 1)),
            *mx.split(x, [1, 4], axis=1),
        ),
        [ORDINALS, EMPTY],
        wrt=(),
        dtypes=ALL,
        reference=lambda x, empty: flat_numpy(x[1:4:2, 0:5:2], x[3, 5], *np.split(x, [1, 4], axis=1)),
        label="dtypes",
    ),
    Case(
        "pad",
        lambda x, value: flat(
            padded(x * x, value * value, (1, 2), (7, 9), (2, 1)), mx.pad(x, ((0, 1), (2, 0)), constant_values=value)
        ),
        [sample(3, 4), np.array(0.7)],
        wrt=(0, 1),
    ),
    Case(
        "pad",
        lambda x, empty, value: flat(
            padded(x, value, (1, 2), (9, 18), (2, 3)),
            padded(x.T, value, (0, 0), (6, 4), (1, 1)),
            padded(empty, value, (1, 2), (1, 8), (4, 2)),
            mx.pad(x, 1, constant_values=value),
            mx.pad(value, 2),
        ),
        [ORDINALS, EMPTY, np.array(1.0)],
        wrt=(),
        dtypes=ALL,
        reference=lambda x, empty, value: flat_numpy(
            pad_numpy(x, value, np.s_[1:8:2, 2:18:3], (9, 18)),
            x.T,
            np.full((1, 8), value),
            np.pad(x, 1, constant_values=value),
            value,
        ),
        label="dtypes",
    ),
    Case(
        "slice_update",
        lambda x, update: flat(
            updated(x * x, update * update, (1, 1), (2, 3), (2, 2)), updated(x, update, (0, 2), (2, 3), (1, 1))
        ),
        [sample(4, 6), sample(2, 3, seed=1)],
        wrt=(0, 1),
    ),
    Case(
        "slice_update",
        lambda x, update: flat(
            updated(x, update, (1, 1), (2, 3), (2, 2)),
            updated(x.T, update.T, (3, 2), (3, 2), (1, 1)),
            updated(x, mx.zeros((0, 6), x.dtype), (1, 0), (0, 6), (1, 1)),
            updated(update, update + update, (0, 0), (2, 3), (1, 1)),
        ),
        [ORDINALS, np.arange(6.0).reshape(2, 3)],
        wrt=(),
        dtypes=ALL,
        reference=lambda x, update: flat_numpy(
            update_numpy(x, update, np.s_[1:4:2, 1:6:2]),
            update_numpy(x.T, update.T, np.s_[3:6, 2:4]),
            x,
            update + update,
        ),
        label="dtypes",
    ),
    Case("flip", lambda x: flat(mx.flip(x * x, 1), mx.flip(x)), [sample(3, 4)]),
    Case(
        "flip",
        lambda x, empty, number: flat(mx.flip(x), mx.flip(x.T, 0), mx.flip(empty, 1), mx.flip(number)),
        [ORDINALS, EMPTY, np.array(1.0)],
        wrt=(),
        dtypes=ALL,
        reference=lambda x, empty, number: flat_numpy(np.flip(x), np.flip(x.T, 0), number),
        label="dtypes",
    ),
    Case(
        "concatenate",
        lambda x, y: flat(mx.concatenate([x * x, y, x], 1), mx.stack([x, x * x], -1)),
        [sample(2, 3), sample(2, 1, seed=1)],
        wrt=(0, 1),
    ),
    Case(
        "concatenate",
        lambda x, y: flat(
            mx.concatenate([x, y.T, x], 1), mx.concatenate([mx.zeros((0, 4), y.dtype), y]), mx.stack([x.T, y], 1)
        ),
        [ORDINALS, np.arange(24.0).reshape(6, 4)],
        wrt=(),
        dtypes=ALL,
        reference=lambda x, y: flat_numpy(np.concatenate([x, y.T, x], 1), y, np.stack([x.T, y], 1)),
        label="dtypes",
    ),
    Case("roll", lambda x: roll_both(x * x), [sample(3, 4)]),
    Case(
        "roll",
        lambda x, empty, number: flat(roll_both(x), mx.roll(empty, 1, 0), mx.roll(number, 3)),
        [ORDINALS, EMPTY, np.array(1.0)],
        wrt=(),
        dtypes=ALL,
        reference=lambda x, empty, number: flat_numpy(
            np.roll(x, 2), np.roll(x, (1, -2), (0, 1)), np.roll(x.T, 7, 0), np.roll(x, 3, 1), number
        ),
        label="dtypes",
    ),
    Case("dynamic_slice", lambda x, start: mx.slice(x * x, start, (0, 1), (2, 3)), [sample(4, 6), START], cast=(0,)),
    Case(
        "dynamic_slice",
        lambda x, start: flat(
            mx.slice(x, start, (0, 1), (2, 3)),
            mx.slice(x.T, start, (1, 0), (2, 4)),
            mx.slice(x, start + 9, (0, 1), (2, 3)),
            mx.slice(x, start - 9, (0, 1), (2, 3)),
            mx.slice(x, start, (0, 1), (0, 3)),
        ),
        [ORDINALS, START],
        wrt=(),
        cast=(0,),
        dtypes=ALL,
        reference=lambda x, start: flat_numpy(x[1:3, 2:5], x.T[2:4, 0:4], x[2:4, 3:6], x[:2, :3]),
        label="dtypes",
    ),
    Case(
        "dynamic_update",
        lambda x, update, start: mx.slice_update(x * x, update * update, start, (0, 1)),
        [sample(4, 6), sample(2, 3, seed=1), START],
        wrt=(0, 1),
        cast=(0, 1),
    ),
    Case(
        "dynamic_update",
        lambda x, update, start: flat(
            mx.slice_update(x, update, start, (0, 1)),
            mx.slice_update(x.T, update.T, start, (1, 0)),
            mx.slice_update(x, update, start + 9, (0, 1)),
            mx.slice_update(x, mx.zeros((0, 2)), start, (0, 1)),
        ),
        [ORDINALS, np.arange(6.0).reshape(2, 3), START],
        wrt=(),
        cast=(0, 1),
        dtypes=ALL,
        reference=lambda x, update, start: flat_numpy(
            update_numpy(x, update, np.s_[1:3, 2:5]),
            update_numpy(x.T, update.T, np.s_[2:5, 1:3]),
            update_numpy(x, update, np.s_[2:4, 3:6]),
            x,
        ),
        label="dtypes",
    ),
    Case(
        "as_strided",
        lambda x: flat(mx.as_strided(x * x, (3, 4), (1, 2), 1), mx.as_strided(x, (4, 2), (-2, 0), 9)),
        [sample(10)],
    ),
    Case(
        "as_strided",
        lambda x, number: flat(
            mx.as_strided(x, (3, 4), (1, 2), 1),
            mx.as_strided(x.T, (6,), (4,), 1),
            mx.as_strided(x, (3,), (-7,), 23),
            mx.as_strided(number, (2, 2), (0, 0)),
            mx.as_strided(x, (0, 4), (1, 2), 1),
        ),
        [ORDINALS, np.array(1.0)],
        wrt=(),
        dtypes=ALL,
        reference=lambda x, number: flat_numpy(
            x.ravel()[np.add.outer(np.arange(3), 2 * np.arange(4)) + 1], x[1], x.ravel()[[23, 16, 9]], [number] * 4
        ),
        label="dtypes",
    ),
    Case("add_strided", lambda x: add_strided(x * x, 26, *WINDOWS[1:]), [sample(3, 2, 4)]),
    Case(
        "add_strided",
        lambda x: flat(
            add_strided(mx.reshape(x, (3, 2, 4)), 26, *WINDOWS[1:]),
            add_strided(x.T, 30, (-4, 1), 22),
            add_strided(mx.zeros((0, 2), x.dtype), 3, (1, 1), 0),
        ),
        [ORDINALS],
        wrt=(),
        dtypes=NUMBERS,
        reference=lambda x: flat_numpy(
            add_strided_numpy(x.reshape(3, 2, 4), 26, *WINDOWS[1:]), add_strided_numpy(x.T, 30, (-4, 1), 22), [0] * 3
        ),
        label="dtypes",
    ),
    *(
        Case(
            "view",
            lambda x, names=names: flat(
                *(mx.view(y, getattr(mx, name)) for name in names for y in (x, x.T, mx.zeros((0, 8), x.dtype)))
            ),
            [np.arange(64.0).reshape(8, 8)],
            wrt=(),
            dtypes=ALL,
            label=names[0],
        )
        for names in (("uint8", "int8"), ("int16", "uint16"), ("int32",), ("uint64", "int64"), ("bool_",))
    ),
    Case(
        "view",
        lambda x: flat(mx.view(mx.view(x, mx.uint8), mx.float32), mx.view(mx.view(x, mx.int64), mx.complex64)),
        [np.arange(8.0).reshape(2, 4)],
        wrt=(),
        reference=lambda x: flat_numpy(x, x.ravel()[::2] + 1j * x.ravel()[1::2]),
        label="floats",
    ),
]

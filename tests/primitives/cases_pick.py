"""Cases of picking one element from each row, and of putting one into each."""

from __future__ import annotations

from typing import Any

import numpy as np
from case import ALL, Case, sample
from cases_shape import flat, flat_numpy

import mlx.core as mx
from mlx.arrays.array import wrap
from mlx.primitives.pick import PICK, PUT

COUNT = 5


def pick(x: Any, index: Any) -> Any:
    return wrap(PICK(x._node, index._node))


def put(g: Any, index: Any) -> Any:
    return wrap(PUT(g._node, index._node, COUNT))


def pick_numpy(x: Any, index: Any) -> Any:
    return np.take_along_axis(x, np.clip(index, 0, x.shape[-1] - 1)[..., None], -1)[..., 0]


def put_numpy(g: Any, index: Any) -> Any:
    return np.where(np.arange(COUNT) == np.clip(index, 0, COUNT - 1)[..., None], g[..., None], 0).astype(g.dtype)


X, G = sample(2, 3, COUNT), sample(2, 3, seed=1)
INDEX = np.array([[0, 4, 2], [-1, 7, 2]])

CASES = [
    Case("pick", pick, [X, INDEX], dtypes=ALL, cast=(0,), reference=pick_numpy),
    Case("pick", lambda x, i: pick(x * x, i), [X, INDEX], label="squares", cast=(0,)),
    Case(
        "pick",
        lambda x, i: flat(pick(mx.swapaxes(x, 0, 1)[..., ::-1], mx.transpose(i)), pick(x[:0], i[:0])),
        [X, INDEX],
        wrt=(),
        cast=(0,),
        reference=lambda x, i: flat_numpy(pick_numpy(np.swapaxes(x, 0, 1)[..., ::-1], i.T)),
        label="strided",
        batched=False,
    ),
    Case("put", put, [G, INDEX], dtypes=ALL, cast=(0,), reference=put_numpy),
    Case("put", lambda g, i: put(g * g, i), [G[0, :1], INDEX[1, :1]], label="squares", cast=(0,)),
    Case("put", lambda g, i: put(g[0, 0], i[1, 1]), [G, INDEX], wrt=(), cast=(0,), label="one", batched=False),
]

"""Cases of attention by blocks, with blocks that end inside and outside of the array."""

from __future__ import annotations

from typing import Any

import numpy as np
from case import FLOATS, Case, sample
from cases_shape import flat, flat_numpy

import mlx.core as mx
from mlx.arrays.array import wrap
from mlx.primitives.flash_attention import ATTENTION, ATTENTION_GRADIENT
from mlx.primitives.structure import PROJECT

ROWS, COLUMNS = 2, 3


def outputs(node: Any) -> list[Any]:
    return [wrap(PROJECT(node, index)) for index in range(len(node.shape))]


def of_one_dtype(*arrays: Any) -> list[Any]:
    """Arrays of numbers as the primitives take them; None and truth values stay as they are."""
    given = [x for x in arrays if x is not None and x.dtype != mx.bool_]
    dtype = mx.result_type(*given)
    return [x.astype(dtype) if any(x is y for y in given) else x for x in arrays]


def wide(x: Any) -> Any:
    return x.astype(mx.float64 if x.dtype == mx.float64 else mx.float32)


def attend(q: Any, k: Any, v: Any, mask: Any = None, sinks: Any = None, causal: bool = False) -> Any:
    q, k, v, mask, sinks = of_one_dtype(q, k, v, mask, sinks)
    inputs = [x._node for x in (q, k, v, mask, None if sinks is None else wide(sinks)) if x is not None]
    out, log_total, shift = outputs(ATTENTION(inputs, causal, mask is not None, sinks is not None, ROWS, COLUMNS))
    return flat(out, (log_total + shift).astype(out.dtype))


def scores_numpy(q: Any, k: Any, mask: Any, causal: bool) -> tuple[Any, Any]:
    """Scores of repeated keys, and what is seen."""
    k = np.repeat(k, q.shape[-3] // k.shape[-3], -3)
    s = q @ np.swapaxes(k, -1, -2)
    length, keys = s.shape[-2:]
    seen = np.ones(s.shape, bool)
    if causal:
        seen = seen & (np.arange(keys) <= np.arange(length)[:, None] + keys - length)
    if mask is not None and mask.dtype == bool:
        seen = seen & mask
    elif mask is not None:
        s = s + mask
    return s, seen


def attend_numpy(q: Any, k: Any, v: Any, mask: Any = None, sinks: Any = None, causal: bool = False) -> Any:
    s, seen = scores_numpy(q, k, mask, causal)
    weights = np.where(seen, np.exp(s), 0)
    total = weights.sum(-1)
    if sinks is not None:
        total = total + np.exp(sinks)[..., None]
    out = weights / total[..., None] @ np.repeat(v, q.shape[-3] // v.shape[-3], -3)
    return flat_numpy(out, np.log(total))


def pull_back(q: Any, k: Any, v: Any, mask: Any, g: Any, t: Any, m: Any, d: Any, causal: bool, of_mask: bool) -> Any:
    q, k, v, mask, g, t, m, d = of_one_dtype(q, k, v, mask, g, t, m, d)
    inputs = [x._node for x in (q, k, v, mask, g, *map(wide, (t, m, d))) if x is not None]
    return flat(*outputs(ATTENTION_GRADIENT(inputs, causal, mask is not None, of_mask, ROWS, COLUMNS)))


def pull_back_numpy(
    q: Any, k: Any, v: Any, mask: Any, g: Any, t: Any, m: Any, d: Any, causal: bool, of_mask: bool
) -> Any:
    groups, shared = k.shape[-3], q.shape[-3] // k.shape[-3]
    s, seen = scores_numpy(q, k, mask, causal)
    p = np.where(seen, np.exp(s - (m + t)[..., None]), 0)
    z = p * (g @ np.swapaxes(np.repeat(v, shared, -3), -1, -2) - d[..., None])

    def of_keys(x: Any) -> Any:
        return x.reshape(*x.shape[:-3], groups, shared, *x.shape[-2:]).sum(-3)

    found = [z @ np.repeat(k, shared, -3), of_keys(np.swapaxes(z, -1, -2) @ q), of_keys(np.swapaxes(p, -1, -2) @ g)]
    if of_mask:
        axes = tuple(axis for axis, extent in enumerate(mask.shape) if extent == 1)
        found.append(z.sum(axes, keepdims=True))
    return flat_numpy(*found)


def small(*shape: int, seed: int) -> np.ndarray:
    return sample(*shape, seed=seed, low=-1, high=1)


Q, K, V = small(2, 4, 5, 2, seed=0), small(2, 2, 7, 2, seed=1), small(2, 2, 7, 3, seed=2)
ADDED, SINKS = small(1, 4, 5, 7, seed=3), small(1, 4, seed=4)
OF_KEYS = small(2, 1, 1, 7, seed=5)  # added alike to all rows of all heads
SEEN = sample(2, 1, 5, 7, seed=6) > 0.4
SEEN[..., 2] = True
ONE = [x[:, :2] for x in (Q, K[:, :1], V[:, :1])]
G, T, M, D = small(2, 4, 5, 3, seed=7), *(small(2, 4, 5, seed=seed) for seed in (8, 9, 10))
PARTS = (Q, K, V, ADDED, G, T, M, D)


def causal_with_sinks(of: Any) -> Any:
    return lambda q, k, v, sinks: of(q, k, v, None, sinks, True)


def of_gradient(of: Any, causal: bool, of_mask: bool) -> Any:
    return lambda *parts: of(*parts, causal, of_mask)


def without_mask(of: Any) -> Any:
    return lambda q, k, v, *rest: of(q, k, v, None, *rest, True, False)


CASES = [
    Case("attention", attend, [Q, K, V], wrt=(0, 1, 2), dtypes=FLOATS, reference=attend_numpy, smooth=1e-2),
    Case(
        "attention",
        causal_with_sinks(attend),
        [Q, K, V, SINKS],
        wrt=(0, 1, 2, 3),
        dtypes=FLOATS,
        reference=causal_with_sinks(attend_numpy),
        smooth=1e-2,
        label="causal",
    ),
    Case(
        "attention",
        attend,
        [*ONE, ADDED[:, :2], SINKS[:, :2]],
        wrt=(0, 1, 2, 3, 4),
        reference=attend_numpy,
        label="added",
    ),
    Case("attention", attend, [Q, K, V, OF_KEYS], wrt=(3,), reference=attend_numpy, label="added alike"),
    Case(
        "attention",
        lambda q, k, v, seen: attend(q, k, v, seen, causal=True),
        [Q, K, V, SEEN],
        wrt=(0, 1, 2),
        cast=(0, 1, 2),
        reference=lambda q, k, v, seen: attend_numpy(q, k, v, seen, causal=True),
        label="seen",
    ),
    Case(
        "attention",
        lambda q, k, v: attend(mx.swapaxes(q, 1, 2), k[:, :, ::-1], mx.swapaxes(v, 2, 3)[..., ::-1, :], causal=True),
        [np.swapaxes(Q, 1, 2), K, np.swapaxes(V, 2, 3)],
        wrt=(),
        reference=lambda q, k, v: attend_numpy(
            np.swapaxes(q, 1, 2), k[:, :, ::-1], np.swapaxes(v, 2, 3)[..., ::-1, :], causal=True
        ),
        label="strided",
        batched=False,
    ),
    Case(
        "attention_gradient",
        of_gradient(pull_back, False, True),
        PARTS,
        wrt=(0, 1, 2, 3, 4, 5, 7),
        dtypes=FLOATS,
        reference=of_gradient(pull_back_numpy, False, True),
        smooth=2e-2,
    ),
    Case(
        "attention_gradient",
        without_mask(pull_back),
        [Q, K, V, G, T, M, D],
        wrt=(0, 1, 2, 3, 4, 6),
        reference=without_mask(pull_back_numpy),
        label="causal",
    ),
    Case(
        "attention_gradient",
        of_gradient(pull_back, False, False),
        [Q, K, V, SEEN, G, T, M, D],
        wrt=(0, 1, 2),
        cast=(0, 1, 2, 4, 5, 6, 7),
        reference=of_gradient(pull_back_numpy, False, False),
        label="seen",
    ),
    Case(
        "attention_gradient",
        of_gradient(pull_back, False, True),
        [Q, K, V, OF_KEYS, G, T, M, D],
        wrt=(3,),
        reference=of_gradient(pull_back_numpy, False, True),
        label="added alike",
    ),
]

"""The gated delta rule: `mx.fast.gated_delta_update`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx
from mlx.primitives.gated_delta import CHUNK

ENGINES = ("numpy", "xla")
update = mx.fast.gated_delta_update
Array = np.ndarray[Any, Any]


def numbers(batch: int, length: int, heads: int, shared: int, keys: int, values: int, seed: int = 0) -> list[Array]:
    """q, k, v, gamma, beta and a state."""
    rng = np.random.default_rng(seed)
    all_heads = heads * shared
    k = rng.standard_normal((batch, length, heads, keys))
    return [
        rng.standard_normal((batch, length, heads, keys)),
        k / np.linalg.norm(k, axis=-1, keepdims=True),
        rng.standard_normal((batch, length, all_heads, values)),
        rng.uniform(0.5, 1, (batch, length, all_heads)),
        rng.uniform(0, 1, (batch, length, all_heads)),
        rng.standard_normal((batch, all_heads, values, keys)),
    ]


def step_by_step(
    q: Array, k: Array, v: Array, gamma: Array, beta: Array, state: Array, mask: Array | None = None
) -> tuple[Array, Array]:
    """The definition, in doubles."""
    shared = v.shape[2] // q.shape[2]
    q, k = (np.repeat(x, shared, 2) for x in (q, k))
    outputs = np.zeros(v.shape)
    for t in range(q.shape[1]):
        faded = state * gamma[:, t, :, None, None]
        held = np.einsum("bhvk,bhk->bhv", faded, k[:, t])
        written = beta[:, t, :, None] * (v[:, t] - held)
        after = faded + written[..., None] * k[:, t, :, None, :]
        here = np.ones(len(q), bool) if mask is None else mask[:, t]
        state = np.where(here[:, None, None, None], after, state)
        outputs[:, t] = np.where(here[:, None, None], np.einsum("bhvk,bhk->bhv", state, q[:, t]), 0)
    return outputs, state


def doubles(parts: list[Array]) -> list[Any]:
    return [mx.array(x, mx.float64) for x in parts]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("length", [1, 5, CHUNK + 3])
def test_it_is_the_recurrence(length: int, engine: str) -> None:
    parts = numbers(2, length, 2, 3, 5, 4)
    outputs, state = step_by_step(*parts)
    with mx.engine(engine):
        found = update(*doubles(parts))
        np.testing.assert_allclose(found[0], outputs, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(found[1], state, rtol=1e-10, atol=1e-10)
        from_zero = step_by_step(*parts[:5], np.zeros_like(parts[5]))
        for mine, expected in zip(update(*doubles(parts[:5])), from_zero, strict=True):
            np.testing.assert_allclose(mine, expected, rtol=1e-10, atol=1e-10)


def test_the_state_carries_a_sequence_on() -> None:
    parts = numbers(1, 7, 1, 2, 4, 3)
    whole, last = update(*doubles(parts))
    first, state = update(*doubles([x[:, :3] for x in parts[:5]]), mx.array(parts[5], mx.float64))
    rest, state = update(*doubles([x[:, 3:] for x in parts[:5]]), state)
    np.testing.assert_allclose(mx.concatenate([first, rest], 1), whole, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(state, last, rtol=1e-10, atol=1e-10)


def test_a_memory_that_forgets_everything() -> None:
    """Where gamma is zero, in the value and in its derivative."""
    parts = numbers(1, 4, 1, 1, 3, 2)
    parts[3][:, 1:3] = 0
    outputs, _ = step_by_step(*parts)
    np.testing.assert_allclose(update(*doubles(parts))[0], outputs, rtol=1e-10, atol=1e-10)

    def loss(gamma: Any) -> Any:
        return update(*doubles(parts[:3]), gamma, *doubles(parts[4:]))[0].sum()

    gradient = np.array(mx.grad(loss)(mx.array(parts[3], mx.float64)))
    for t in range(4):
        ends = []
        for sign in (1, -1):
            moved = parts[3].copy()
            moved[0, t, 0] += sign * 1e-6
            ends.append(step_by_step(*parts[:3], moved, *parts[4:])[0].sum())
        assert gradient[0, t, 0] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("engine", ENGINES)
def test_masked_steps_are_not_there(engine: str) -> None:
    parts = numbers(2, 6, 2, 2, 4, 3)
    mask = np.array([[1, 1, 0, 1, 0, 0], [0, 1, 1, 1, 1, 1]], bool)
    outputs, state = step_by_step(*parts, mask=mask)
    for part in parts[:5]:
        part[~mask] = np.nan
    with mx.engine(engine):
        for given in (mask, mask.astype(np.int32)):
            found = update(*doubles(parts), mask=mx.array(given))
            np.testing.assert_allclose(found[0], outputs, rtol=1e-10, atol=1e-10)
            np.testing.assert_allclose(found[1], state, rtol=1e-10, atol=1e-10)


def weighted(parts: list[Array], mask: Any = None) -> Any:
    """A scalar function of all inputs, of outputs and state."""
    rng = np.random.default_rng(9)
    of_outputs = mx.array(rng.standard_normal(parts[2].shape), mx.float64)
    of_state = mx.array(rng.standard_normal(parts[5].shape), mx.float64)

    def loss(*moving: Any) -> Any:
        outputs, state = update(*moving, mask=mask)
        return (mx.sin(outputs) * of_outputs).sum() + (state.square() * of_state).sum()

    return loss


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("masked", [False, True])
def test_derivatives_in_every_input(masked: bool, engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlx.primitives.gated_delta.CHUNK", 2)
    parts = numbers(2, 5, 1, 2, 3, 2)
    loss = weighted(parts, mx.array([[True, True, False, True, True], [True] * 5]) if masked else None)
    rng = np.random.default_rng(1)
    v, u = ([rng.standard_normal(x.shape) for x in parts] for _ in range(2))
    argnums = tuple(range(6))

    def along(gradients: Any, direction: list[Array]) -> Any:
        return sum((g * d).sum() for g, d in zip(gradients, doubles(direction), strict=True))

    def slope(*moving: Any) -> Any:
        return along(mx.grad(loss, argnums)(*moving), v)

    def difference(function: Any, direction: list[Array]) -> float:
        step = 1e-5
        ends = [
            function(*doubles([x + sign * step * d for x, d in zip(parts, direction, strict=True)])).item()
            for sign in (1, -1)
        ]
        return (ends[0] - ends[1]) / (2 * step)

    point = doubles(parts)
    with mx.engine(engine):
        first = slope(*point).item()
    with mx.engine("numpy"):
        assert first == pytest.approx(difference(loss, v), rel=1e-6)
        if engine == "xla":
            return
        second = along(mx.grad(slope, argnums)(*point), u).item()
        assert second == pytest.approx(difference(slope, u), rel=1e-6)
        pushed = mx.jvp(loss, point, doubles(v))[1][0].item()
        assert pushed == pytest.approx(first, rel=1e-9)


def test_mapped_and_for_other_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlx.primitives.gated_delta.CHUNK", 4)
    batches = [doubles(numbers(2, 6, 2, 2, 4, 3, seed)) for seed in (0, 1)]
    stacked = [mx.stack(list(pair)) for pair in zip(*batches, strict=True)]
    mapped = mx.vmap(update)(*stacked)
    for i, batch in enumerate(batches):
        for mine, expected in zip(mapped, update(*batch), strict=True):
            np.testing.assert_allclose(mine[i], expected, rtol=1e-10, atol=1e-10)
    compiled = mx.compile(update, shapeless=True)
    for batch, length in ((2, 6), (1, 9), (3, 4), (2, 3)):
        given = doubles(numbers(batch, length, 2, 2, 4, 3))
        for mine, expected in zip(compiled(*given), update(*given), strict=True):
            np.testing.assert_allclose(mine, expected, rtol=1e-10, atol=1e-10)


def test_a_long_sequence_is_a_short_program() -> None:
    parts = [mx.array(x, mx.float32) for x in numbers(1, 5000, 1, 1, 4, 4)]
    outputs = update(*parts)[0]
    nodes = 0

    def count(*parts: Any) -> Any:
        nonlocal nodes
        out = mx.grad(lambda *parts: update(*parts)[0].sum(), tuple(range(6)))(*parts)
        seen, pending = set(), [x._node for x in out]
        while pending:
            node = pending.pop()
            if node not in seen:
                seen.add(node)
                pending.extend(node.inputs)
        nodes = len(seen)
        return out

    mx.compile(count)(*parts)
    assert nodes < 400
    expected, _ = step_by_step(*[np.array(x, np.float64) for x in parts])
    np.testing.assert_allclose(outputs, expected, rtol=1e-3, atol=1e-3)


def test_dtypes() -> None:
    half, whole, double = mx.float16, mx.int32, mx.float64
    f32 = mx.float32
    for dtypes, state, expected, expected_state in [
        ([f32] * 5, None, f32, f32),
        ([half] * 5, half, half, f32),
        ([mx.bfloat16] * 3 + [f32] * 2, None, mx.bfloat16, f32),
        ([mx.bfloat16, half, half, f32, f32], None, f32, f32),
        ([f32, f32, f32, half, half], f32, f32, f32),
        ([whole] * 5, None, f32, f32),
        ([double, f32, f32, f32, f32], None, double, double),
        ([f32, f32, f32, double, f32], None, f32, f32),
    ]:
        parts = numbers(1, 3, 1, 1, 2, 2)
        arrays = [mx.array(x).astype(dtype) for x, dtype in zip(parts, dtypes, strict=False)]
        memory = None if state is None else mx.array(parts[5]).astype(state)
        outputs, last = update(*arrays, initial_state=memory)
        assert (outputs.dtype, last.dtype) == (expected, expected_state)


def test_half_precision() -> None:
    parts = numbers(2, 40, 2, 2, 16, 8)
    arrays = [mx.array(x).astype(mx.float16) for x in parts]
    exact = step_by_step(*[np.array(x.astype(mx.float32), np.float64) for x in arrays])
    np.testing.assert_allclose(np.array(update(*arrays)[0]), exact[0], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("sizes", [(0, 3, 1, 2, 2, 2), (2, 0, 1, 2, 2, 2), (1, 3, 1, 1, 0, 2), (1, 3, 1, 1, 2, 0)])
def test_empty(sizes: tuple[int, ...]) -> None:
    parts = numbers(*sizes)
    outputs, state = update(*doubles(parts))
    assert outputs.shape == parts[2].shape
    np.testing.assert_array_equal(state, parts[5])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"q": mx.ones((3, 1, 2))}, "q must have 4 dimensions"),
        ({"gamma": mx.ones((2, 3, 2, 4))}, "gamma must have 3 dimensions"),
        ({"k": mx.ones((2, 3, 1, 5))}, "q and k must have the same shape"),
        ({"v": mx.ones((2, 4, 2, 3))}, "v must have the batch and length of q"),
        ({"q": mx.ones((2, 3, 4, 4)), "k": mx.ones((2, 3, 4, 4))}, "must be a multiple of those of q and k"),
        ({"beta": mx.ones((2, 3, 1))}, r"beta must have shape \(2, 3, 2\)"),
        ({"initial_state": mx.ones((2, 2, 4, 3))}, r"initial_state must have shape \(2, 2, 3, 4\)"),
        ({"mask": mx.ones((2, 4))}, r"mask must have shape \(2, 3\)"),
        ({"q": mx.ones((2, 3, 1, 4), mx.complex64)}, "unsupported type complex64 for q"),
    ],
)
def test_bad_arguments(change: dict[str, Any], message: str) -> None:
    arguments = {
        "q": mx.ones((2, 3, 1, 4)),
        "k": mx.ones((2, 3, 1, 4)),
        "v": mx.ones((2, 3, 2, 3)),
        "gamma": mx.ones((2, 3, 2)),
        "beta": mx.ones((2, 3, 2)),
        **change,
    }
    with pytest.raises(ValueError, match=rf"^\[gated_delta_update\].*{message}"):
        update(**arguments)

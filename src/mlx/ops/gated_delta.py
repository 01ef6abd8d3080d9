"""The gated delta rule of linear attention: `mx.fast.gated_delta_update`."""

from __future__ import annotations

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import bool_, float32, promote_types
from mlx.ir.node import Node
from mlx.ops.arguments import StreamOrDevice, array_node, check_stream
from mlx.primitives.elementwise import SELECT
from mlx.primitives.gated_delta import gated_delta
from mlx.primitives.shape import broadcast, reshape
from mlx.primitives.slicing import zeros
from mlx.primitives.structure import cast

__all__ = ["gated_delta_update"]

_NAME = "gated_delta_update"


def gated_delta_update(
    q: array,
    k: array,
    v: array,
    gamma: array,
    beta: array,
    initial_state: array | None = None,
    mask: array | None = None,
    stream: StreamOrDevice = None,
) -> list[array]:
    """Read from and write to a memory, the matrix S, at every step of a sequence.

    Each step lets the memory fade and replaces what it holds for a key by a value:

        S[t] = gamma[t] S[t-1] + beta[t] (v[t] - gamma[t] S[t-1] k[t]) k[t]^T,    y[t] = S[t] q[t].

    Yang et al. 2024, "Gated Delta Networks: Improving Mamba2 with Delta Rule". It is worked out in chunks of steps, and
    can be differentiated in everything but the mask.

    Args:
        q: queries of shape (B, T, Hk, Dk).
        k: keys of shape (B, T, Hk, Dk), usually of length one.
        v: values of shape (B, T, Hv, Dv), where Hk divides Hv: so many heads of values share a head of keys.
        gamma: what is left of the memory after a step, from 0 to 1, of shape (B, T, Hv).
        beta: how far a value replaces another, from 0 to 1, of shape (B, T, Hv).
        initial_state: the memory before the first step, of shape (B, Hv, Dv, Dk); None for zeros.
        mask: which steps there are, of shape (B, T). Others leave the memory alone, and their output is zero.

    Returns:
        The outputs y of shape (B, T, Hv, Dv), of the dtype that queries, keys and values promote to (float32 for
        integers), and the memory after the last step of shape (B, Hv, Dv, Dk), in float32 at least.

    Raises:
        ValueError: shapes or dtypes do not fit.

    Example:
        >>> import mlx.core as mx
        >>> key = mx.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]).reshape(1, 3, 1, 2)
        >>> value = mx.array([5.0, 7.0, 9.0]).reshape(1, 3, 1, 1)
        >>> ones = mx.ones((1, 3, 1))
        >>> y, state = mx.fast.gated_delta_update(key, key, value, ones, ones)
        >>> state.reshape(2)
        array([9, 7], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "gated_delta_update")
    given = (("q", q), ("k", k), ("v", v), ("gamma", gamma), ("beta", beta))
    nodes = {name: array_node(x, _NAME, name) for name, x in given}
    _check_shapes(nodes)
    dtype = promote_types(promote_types(nodes["q"].dtype, nodes["k"].dtype), nodes["v"].dtype)
    dtype = dtype if dtype.is_inexact else float32
    wide = float32 if dtype.is_half else dtype
    for name, node in nodes.items():
        if node.dtype.is_complex:
            raise ValueError(f"[{_NAME}] Received unsupported type {node.dtype.name} for {name}: it must be real.")
    wide_nodes = {name: cast(node, wide) for name, node in nodes.items()}
    batch, length, heads, features = nodes["q"].shape
    value_heads, value_features = nodes["v"].shape[2:]
    shared = value_heads // heads
    state = _state(initial_state, (batch, value_heads, value_features, features))
    state = zeros((batch, value_heads, value_features, features), wide) if state is None else cast(state, wide)
    present = _present(mask, batch, length)
    if present is not None:
        fillers = {"k": 0, "v": 0, "gamma": 1, "beta": 0}
        for name, filler in fillers.items():
            node = wide_nodes[name]
            where = reshape(present, (batch, length, *(1,) * (node.ndim - 2)))
            wide_nodes[name] = SELECT(where, node, filler)
    if 0 in (batch, length, heads, shared, features, value_features):
        outputs = zeros((batch, length, value_heads, value_features), wide)
    else:
        q_heads, k_heads = (reshape(wide_nodes[x], (batch, length, heads, 1, features)) for x in ("q", "k"))
        v_heads = reshape(wide_nodes["v"], (batch, length, heads, shared, value_features))
        gammas, betas = (reshape(wide_nodes[x], (batch, length, heads, shared, 1)) for x in ("gamma", "beta"))
        state = reshape(state, (batch, heads, shared, value_features, features))
        outputs, state = gated_delta(q_heads, k_heads, v_heads, gammas, betas, state)
    outputs = reshape(outputs, (batch, length, value_heads, value_features))
    if present is not None:
        outputs = SELECT(reshape(present, (batch, length, 1, 1)), outputs, 0)
    state = reshape(state, (batch, value_heads, value_features, features))
    return [wrap(cast(outputs, dtype)), wrap(state)]


def _check_shapes(nodes: dict[str, Node]) -> None:
    q, k, v = nodes["q"], nodes["k"], nodes["v"]
    for name, rank in (("q", 4), ("k", 4), ("v", 4), ("gamma", 3), ("beta", 3)):
        if nodes[name].ndim != rank:
            raise ValueError(f"[{_NAME}] {name} must have {rank} dimensions but has shape {nodes[name].shape}.")
    if q.shape != k.shape:
        raise ValueError(f"[{_NAME}] q and k must have the same shape but have {q.shape} and {k.shape}.")
    if v.shape[:2] != q.shape[:2]:
        raise ValueError(f"[{_NAME}] v must have the batch and length of q, {q.shape[:2]}, but has shape {v.shape}.")
    if q.shape[2] == 0 or v.shape[2] % q.shape[2]:
        raise ValueError(
            f"[{_NAME}] The heads of v must be a multiple of those of q and k, found {v.shape[2]} and {q.shape[2]}."
        )
    for name in ("gamma", "beta"):
        if nodes[name].shape != v.shape[:3]:
            raise ValueError(f"[{_NAME}] {name} must have shape {v.shape[:3]} but has {nodes[name].shape}.")


def _state(initial_state: array | None, shape: tuple[int, ...]) -> Node | None:
    if initial_state is None:
        return None
    node = array_node(initial_state, _NAME, "initial_state")
    if node.shape != shape:
        raise ValueError(f"[{_NAME}] initial_state must have shape {shape} but has {node.shape}.")
    if node.dtype.is_complex:
        raise ValueError(f"[{_NAME}] Received unsupported type {node.dtype.name} for initial_state: it must be real.")
    return node


def _present(mask: array | None, batch: int, length: int) -> Node | None:
    """The mask as truth values of shape (B, T)."""
    if mask is None:
        return None
    node = array_node(mask, _NAME, "mask")
    if node.ndim != 2 or node.shape[0] not in (1, batch) or node.shape[1] != length:
        raise ValueError(f"[{_NAME}] mask must have shape {(batch, length)} but has {node.shape}.")
    return broadcast(cast(node, bool_), (batch, length))

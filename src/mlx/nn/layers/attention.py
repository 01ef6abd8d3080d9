"""Scaled dot-product attention with several heads."""

from __future__ import annotations

import math

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.nn.layers.checks import go_together
from mlx.nn.layers.linear import Linear


def apply_mask(scores: mx.array, mask: mx.array | str | None) -> mx.array:
    """Lower the scores of what must not be attended to.

    Args:
        scores: Array of shape ``(..., queries, keys)``.
        mask: Array that broadcasts to ``scores``: of booleans, False where attention is forbidden, or of
            numbers that are added; or ``"causal"``, which lets each query see no key after it, the last
            query being level with the last key; or None.

    Returns:
        Scores of the same shape and dtype. Forbidden ones are the dtype's lowest finite number, so that a
        query that may see nothing gets an average of everything and not NaN.

    Raises:
        ValueError: If ``mask`` is another string or of a shape that does not go with the scores.
        TypeError: If ``mask`` is something else.
    """
    if mask is None:
        return scores
    if isinstance(mask, str):
        if mask != "causal":
            raise ValueError(f"[MultiHeadAttention] mask must be an array, 'causal' or None, got '{mask}'.")
        mask = _causal_mask(*scores.shape[-2:])
    if not isinstance(mask, mx.array):
        raise TypeError(
            f"[MultiHeadAttention] mask must be an array, 'causal' or None, got {type(mask).__name__}; convert it with "
            "mx.array."
        )
    if not go_together(mask.shape, scores.shape):
        raise ValueError(
            f"[MultiHeadAttention] mask of shape {mask.shape} does not broadcast to the scores, one for each example, "
            f"head, query and key: {scores.shape}."
        )
    if mask.dtype == mx.bool_:
        return mx.where(mask, scores, mx.array(mx.finfo(scores.dtype).min, scores.dtype))
    return scores + mask.astype(scores.dtype)


def _causal_mask(queries: int, keys: int) -> mx.array:
    return mx.arange(keys) <= mx.arange(keys - queries, keys)[:, None]


class MultiHeadAttention(Module):
    """Attention with several heads: y = concat_h(softmax(q_h k_h^T / sqrt(d) + mask) v_h) W_out^T.

    q, k and v are linear maps of the queries, keys and values, each split into ``num_heads`` heads, d is the
    size of a query head (Vaswani et al. 2017).

    Args:
        dims: Size of all query heads together.
        num_heads: Number of heads; it divides ``dims`` and ``value_dims``.
        query_input_dims: Size of the last axis of the queries; by default ``dims``.
        key_input_dims: Size of the last axis of the keys; by default ``dims``.
        value_input_dims: Size of the last axis of the values; by default ``key_input_dims``.
        value_dims: Size of all value heads together; by default ``dims``.
        value_output_dims: Size of the last axis of the result; by default ``dims``.
        bias: Whether the linear maps have a bias.

    Raises:
        ValueError: If ``num_heads`` does not divide ``dims`` and ``value_dims``.

    Example:
        >>> import mlx.core as mx
        >>> attention = MultiHeadAttention(8, num_heads=2)
        >>> x = mx.zeros((1, 5, 8))
        >>> mask = MultiHeadAttention.create_additive_causal_mask(5)
        >>> attention(x, x, x, mask).shape
        (1, 5, 8)
    """

    def __init__(
        self,
        dims: int,
        num_heads: int,
        query_input_dims: int | None = None,
        key_input_dims: int | None = None,
        value_input_dims: int | None = None,
        value_dims: int | None = None,
        value_output_dims: int | None = None,
        bias: bool = False,
    ) -> None:
        super().__init__()
        if num_heads < 1 or dims % num_heads != 0:
            raise ValueError(
                f"[MultiHeadAttention] num_heads must divide dims, got num_heads={num_heads} and dims={dims}."
            )
        query_input_dims = query_input_dims or dims
        key_input_dims = key_input_dims or dims
        value_input_dims = value_input_dims or key_input_dims
        value_dims = value_dims or dims
        value_output_dims = value_output_dims or dims
        if value_dims % num_heads != 0:
            raise ValueError(
                f"[MultiHeadAttention] num_heads must divide value_dims, got num_heads={num_heads} and "
                f"value_dims={value_dims}."
            )
        self.num_heads = num_heads
        self.query_proj = Linear(query_input_dims, dims, bias=bias)
        self.key_proj = Linear(key_input_dims, dims, bias=bias)
        self.value_proj = Linear(value_input_dims, value_dims, bias=bias)
        self.out_proj = Linear(value_dims, value_output_dims, bias=bias)

    def __call__(
        self, queries: mx.array, keys: mx.array, values: mx.array, mask: mx.array | str | None = None
    ) -> mx.array:
        """Let each query average the values whose keys are like it.

        Args:
            queries: Array of shape ``(N, L, query_input_dims)``.
            keys: Array of shape ``(N, S, key_input_dims)``.
            values: Array of shape ``(N, S, value_input_dims)``.
            mask: Optional array that broadcasts to ``(N, num_heads, L, S)``: booleans, False where attention
                is forbidden, or numbers that are added to the scores; or ``"causal"``.

        Returns:
            Array of shape ``(N, L, value_output_dims)``.

        Raises:
            ValueError: If queries, keys or values do not have three axes or shapes that go together, or the mask does
                not go with them.
        """
        if not queries.ndim == keys.ndim == values.ndim == 3:
            raise ValueError(
                "[MultiHeadAttention] queries, keys and values must be of shape (N, L, dims), "
                f"got {queries.shape}, {keys.shape} and {values.shape}."
            )
        if keys.shape[1] != values.shape[1] or not go_together(queries.shape[:1], keys.shape[:1], values.shape[:1]):
            raise ValueError(
                "[MultiHeadAttention] queries, keys and values must have the same first axis, and keys and values the "
                f"same second, got {queries.shape}, {keys.shape} and {values.shape}."
            )
        q = self._split_heads(self.query_proj(queries))
        k = self._split_heads(self.key_proj(keys))
        v = self._split_heads(self.value_proj(values))
        scale = 1 / math.sqrt(q.shape[-1])
        scores = apply_mask((q * scale) @ k.swapaxes(-1, -2), mask)
        y = mx.softmax(scores, axis=-1, precise=True) @ v
        return self.out_proj(self._join_heads(y))

    def _split_heads(self, x: mx.array) -> mx.array:
        """(N, L, num_heads * d) -> (N, num_heads, L, d)"""
        return mx.unflatten(x, -1, (self.num_heads, -1)).swapaxes(1, 2)

    def _join_heads(self, x: mx.array) -> mx.array:
        """(N, num_heads, L, d) -> (N, L, num_heads * d)"""
        return x.swapaxes(1, 2).flatten(-2)

    @staticmethod
    def create_additive_causal_mask(N: int, dtype: mx.Dtype = mx.float32) -> mx.array:
        """Return a mask that lets each position see itself and those before it.

        Args:
            N: Number of positions.
            dtype: Dtype of the mask.

        Returns:
            Array of shape ``(N, N)``: 0 on and below the diagonal, the dtype's lowest finite number above.

        Example:
            >>> MultiHeadAttention.create_additive_causal_mask(2) == 0
            array([[True, False],
                   [True, True]], dtype=bool)
        """
        positions = mx.arange(N)
        is_later = positions[:, None] < positions[None]
        return mx.where(is_later, mx.array(mx.finfo(dtype).min, dtype), mx.array(0, dtype))

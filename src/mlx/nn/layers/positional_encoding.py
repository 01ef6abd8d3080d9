"""Ways to tell a model that treats positions alike where in the sequence each one is."""

from __future__ import annotations

import math
from typing import Any

import mlx.core as mx
from mlx.nn.layers.attention import apply_mask
from mlx.nn.layers.base import Module


class RoPE(Module):
    """Rotary encoding: turns pairs of features by an angle that grows with the position.

    Feature pair i at position t is turned by (t + offset) * scale * base^(-2 i / dims), so that the scalar
    product of a query and a key depends on the distance of their positions (Su et al. 2021).

    Args:
        dims: Number of features to turn, even; those after them are returned as they are.
        traditional: Whether neighbours (2 i, 2 i + 1) are a pair; otherwise (i, i + dims / 2) are.
        base: Ratio of the slowest to the fastest turning, nearly.
        scale: Factor for the positions.

    Raises:
        ValueError: At the call, if ``dims`` is odd or exceeds the last axis, or the input has fewer than
            three axes or is not of a floating dtype.

    Example:
        >>> import mlx.core as mx
        >>> rope = RoPE(4)
        >>> x = mx.ones((1, 3, 4))
        >>> mx.array_equal(rope(x, offset=2)[:, 0], rope(x)[:, 2]).item()
        True
    """

    def __init__(self, dims: int, traditional: bool = False, base: float = 10000, scale: float = 1.0) -> None:
        super().__init__()
        self.dims = dims
        self.traditional = traditional
        self.base = base
        self.scale = scale

    def _extra_repr(self) -> str:
        return f"{self.dims}, traditional={self.traditional}"

    def __call__(self, x: mx.array, offset: int | mx.array = 0) -> mx.array:
        """Turn the features of each position.

        Args:
            x: Array of shape ``(N, ..., L, features)``.
            offset: Position of the first element, one number or an array of shape ``(N,)``.

        Returns:
            Array of the shape and dtype of x.
        """
        self._check(x)
        half = self.dims // 2
        turned, kept = x[..., : self.dims].astype(mx.float32), x[..., self.dims :]
        if self.traditional:
            first, second = turned[..., 0::2], turned[..., 1::2]
        else:
            first, second = turned[..., :half], turned[..., half:]
        angles = self._angles(x, offset)
        cos, sin = mx.cos(angles), mx.sin(angles)
        first, second = first * cos - second * sin, first * sin + second * cos
        if self.traditional:
            turned = mx.stack([first, second], axis=-1).reshape(turned.shape)
        else:
            turned = mx.concatenate([first, second], axis=-1)
        turned = turned.astype(x.dtype)
        return mx.concatenate([turned, kept], axis=-1) if kept.shape[-1] else turned

    def _angles(self, x: mx.array, offset: int | mx.array) -> mx.array:
        """Angles of shape (L, dims / 2), or (N, 1, ..., L, dims / 2) if each example has its own offset."""
        half = self.dims // 2
        frequencies = mx.exp(mx.arange(half) * (-math.log(self.base) / half))
        positions = mx.arange(x.shape[-2])
        if isinstance(offset, mx.array) and offset.ndim:
            offset = offset.reshape(-1, *[1] * (x.ndim - 2))
        positions = (positions + offset).astype(mx.float32) * self.scale
        return positions[..., None] * frequencies

    def _check(self, x: mx.array) -> None:
        if x.ndim < 3:
            raise ValueError(f"[RoPE] Expected at least 3 dimensions, got an input of shape {x.shape}.")
        if not mx.issubdtype(x.dtype, mx.floating):
            raise ValueError(f"[RoPE] Expected an input of a floating dtype, got {x.dtype}.")
        if self.dims % 2 or self.dims > x.shape[-1]:
            raise ValueError(
                f"[RoPE] dims must be even and at most the size of the last axis, got dims={self.dims} "
                f"and an input of shape {x.shape}."
            )


class SinusoidalPositionalEncoding(Module):
    """Vectors of sines and cosines of the position: y = scale * concat(sin(w x), cos(w x)).

    The ``dims / 2`` frequencies w fall in equal ratios from ``max_freq`` to ``min_freq`` (Vaswani et al.
    2017).

    Args:
        dims: Size of the vectors, even.
        min_freq: Lowest frequency.
        max_freq: Highest frequency.
        scale: Factor; by default sqrt(2 / dims), which gives vectors of length 1.
        cos_first: Whether the cosines come before the sines.
        full_turns: Whether frequencies are in turns and not in radians.

    Raises:
        ValueError: If ``dims`` is odd or not positive.

    Example:
        >>> import mlx.core as mx
        >>> SinusoidalPositionalEncoding(4, scale=1.0)(mx.array([0]))
        array([[0, 0, 1, 1]], dtype=float32)
    """

    def __init__(
        self,
        dims: int,
        min_freq: float = 0.0001,
        max_freq: float = 1,
        scale: float | None = None,
        cos_first: bool = False,
        full_turns: bool = False,
    ) -> None:
        super().__init__()
        if dims < 1 or dims % 2 != 0:
            raise ValueError(f"[SinusoidalPositionalEncoding] dims must be positive and even, got {dims}.")
        half = dims // 2
        position = mx.arange(half) / max(half - 1, 1)  # 0 for max_freq, 1 for min_freq
        log_frequencies = (1 - position) * math.log(max_freq / min_freq) + math.log(min_freq)
        # The underscore keeps the frequencies out of the parameters.
        self._sigmas = mx.exp(log_frequencies) * (2 * math.pi if full_turns else 1)
        self.scale = scale if scale is not None else math.sqrt(2 / dims)
        self.cos_first = cos_first

    def __call__(self, x: mx.array) -> mx.array:
        angles = x[..., None] * self._sigmas
        sin, cos = mx.sin(angles), mx.cos(angles)
        return mx.concatenate([cos, sin] if self.cos_first else [sin, cos], axis=-1) * self.scale


class ALiBi(Module):
    """Attention with linear biases: y = scores - slope_h |i - j| for query i and key j in head h.

    The further a key, the lower its score (Press et al. 2021).

    Example:
        >>> import mlx.core as mx
        >>> ALiBi()(mx.zeros((1, 2, 2, 2)))[0, 0]
        array([[0, -0.0625],
               [-0.0625, 0]], dtype=float32)
    """

    @staticmethod
    def create_alibi_matrix(
        q_sequence_length: int,
        k_sequence_length: int,
        num_heads: int,
        offset: int = 0,
        dtype: mx.Dtype = mx.float32,
    ) -> mx.array:
        """Return the biases -slope_h |i - j|.

        Args:
            q_sequence_length: Position after the last query.
            k_sequence_length: Number of keys.
            num_heads: Number of heads.
            offset: Position of the first query.
            dtype: Dtype of the biases.

        Returns:
            Array of shape ``(1, num_heads, q_sequence_length - offset, k_sequence_length)``.
        """
        queries = mx.arange(offset, q_sequence_length)
        keys = mx.arange(k_sequence_length)
        distances = mx.abs(queries[:, None] - keys[None])
        slopes = ALiBi.create_alibi_slope(num_heads, dtype)
        return -(slopes * distances.astype(dtype))[None]

    @staticmethod
    def create_alibi_slope(num_heads: int, dtype: mx.Dtype = mx.float32) -> mx.array:
        """Return the slope of each head: 2^(-8 / n), 2^(-16 / n), ... for a power of two n of heads.

        For other numbers of heads, the slopes for the next lower power of two are followed by every other
        one of the slopes for the next higher.

        Args:
            num_heads: Number of heads.
            dtype: Dtype of the slopes.

        Returns:
            Array of shape ``(num_heads, 1, 1)``.

        Example:
            >>> ALiBi.create_alibi_slope(3).reshape(-1)
            array([0.0625, 0.00390625, 0.25], dtype=float32)
        """

        def geometric(heads: int) -> list[float]:
            return [2 ** (-8 * (head + 1) / heads) for head in range(heads)]

        lower = 2 ** math.floor(math.log2(num_heads))
        slopes = geometric(lower) + geometric(2 * lower)[0::2][: num_heads - lower]
        return mx.array(slopes, dtype)[:, None, None]

    def __call__(self, attention_scores: mx.array, offset: int = 0, mask: Any = None) -> mx.array:
        """Add the biases to attention scores.

        Args:
            attention_scores: Array of shape ``(N, heads, queries, keys)``.
            offset: Position of the first query.
            mask: Optional mask as in :class:`MultiHeadAttention`.

        Returns:
            Array of the shape and dtype of ``attention_scores``.
        """
        biases = ALiBi.create_alibi_matrix(
            q_sequence_length=attention_scores.shape[-2] + offset,
            k_sequence_length=attention_scores.shape[-1],
            num_heads=attention_scores.shape[1],
            offset=offset,
            dtype=attention_scores.dtype,
        )
        return apply_mask(attention_scores + biases, mask)

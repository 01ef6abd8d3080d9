"""The transformer of Vaswani et al. 2017: encoder, decoder, and both together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx
from mlx.nn.layers.activations import relu
from mlx.nn.layers.attention import MultiHeadAttention
from mlx.nn.layers.base import Module
from mlx.nn.layers.dropout import Dropout
from mlx.nn.layers.linear import Linear
from mlx.nn.layers.normalization import LayerNorm
from mlx.nn.utils import checkpoint as checkpointed

Activation = Callable[[Any], Any]


class TransformerEncoderLayer(Module):
    """Self-attention, then a network of two linear layers, each added to what it sees.

    With ``norm_first``, x = x + attention(ln1(x)), then y = x + mlp(ln2(x)); without it,
    x = ln1(x + attention(x)), then y = ln2(x + mlp(x)). Attention and the hidden layer of
    mlp(x) = linear2(activation(linear1(x))) are followed by dropout.

    Args:
        dims: Size of the last axis of input and output.
        num_heads: Number of attention heads; it divides ``dims``.
        mlp_dims: Size of the hidden layer; by default ``4 * dims``.
        dropout: Probability of zero.
        activation: Activation function of the hidden layer.
        norm_first: Whether to normalise before and not after each part.

    Example:
        >>> import mlx.core as mx
        >>> TransformerEncoderLayer(8, num_heads=2)(mx.zeros((1, 5, 8)), mask=None).shape
        (1, 5, 8)
    """

    def __init__(
        self,
        dims: int,
        num_heads: int,
        mlp_dims: int | None = None,
        dropout: float = 0.0,
        activation: Activation = relu,
        norm_first: bool = True,
    ) -> None:
        super().__init__()
        mlp_dims = mlp_dims or 4 * dims
        self.attention = MultiHeadAttention(dims, num_heads)
        self.ln1 = LayerNorm(dims)
        self.ln2 = LayerNorm(dims)
        self.linear1 = Linear(dims, mlp_dims)
        self.linear2 = Linear(mlp_dims, dims)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = activation
        self.norm_first = norm_first

    def __call__(self, x: mx.array, mask: mx.array | None) -> mx.array:
        if self.norm_first:
            x = x + self._attend(self.ln1(x), mask)
            return x + self._mlp(self.ln2(x))
        x = self.ln1(x + self._attend(x, mask))
        return self.ln2(x + self._mlp(x))

    def _attend(self, x: mx.array, mask: mx.array | None) -> mx.array:
        return self.dropout1(self.attention(x, x, x, mask))

    def _mlp(self, x: mx.array) -> mx.array:
        return self.linear2(self.dropout2(self.activation(self.linear1(x))))


class TransformerEncoder(Module):
    """A stack of :class:`TransformerEncoderLayer`, with a layer normalisation at the end.

    Args:
        num_layers: Number of layers.
        dims: Size of the last axis of input and output.
        num_heads: Number of attention heads; it divides ``dims``.
        mlp_dims: Size of the hidden layers; by default ``4 * dims``.
        dropout: Probability of zero.
        activation: Activation function of the hidden layers.
        norm_first: Whether layers normalise before and not after each part.
        checkpoint: Whether to recompute each layer in the backward pass, which takes less memory and more
            time.

    Example:
        >>> import mlx.core as mx
        >>> TransformerEncoder(num_layers=2, dims=8, num_heads=2)(mx.zeros((1, 5, 8)), mask=None).shape
        (1, 5, 8)
    """

    def __init__(
        self,
        num_layers: int,
        dims: int,
        num_heads: int,
        mlp_dims: int | None = None,
        dropout: float = 0.0,
        activation: Activation = relu,
        norm_first: bool = True,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        self.layers = [
            TransformerEncoderLayer(dims, num_heads, mlp_dims, dropout, activation, norm_first)
            for _ in range(num_layers)
        ]
        self.ln = LayerNorm(dims)
        self.checkpoint = checkpoint

    def __call__(self, x: mx.array, mask: mx.array | None) -> mx.array:
        for layer in self.layers:
            run = checkpointed(layer) if self.checkpoint else layer
            x = run(x, mask)
        return self.ln(x)


class TransformerDecoderLayer(Module):
    """Self-attention, attention to a memory, then a network of two linear layers, each added to what it sees.

    With ``norm_first``, x = x + attention(ln1(x)), then x = x + attention(ln2(x), memory), then
    y = x + mlp(ln3(x)); without it the normalisations follow the sums, as in
    :class:`TransformerEncoderLayer`.

    Args:
        dims: Size of the last axis of input, memory and output.
        num_heads: Number of attention heads; it divides ``dims``.
        mlp_dims: Size of the hidden layer; by default ``4 * dims``.
        dropout: Probability of zero.
        activation: Activation function of the hidden layer.
        norm_first: Whether to normalise before and not after each part.

    Example:
        >>> import mlx.core as mx
        >>> layer = TransformerDecoderLayer(8, num_heads=2)
        >>> layer(mx.zeros((1, 3, 8)), mx.zeros((1, 5, 8)), x_mask=None, memory_mask=None).shape
        (1, 3, 8)
    """

    def __init__(
        self,
        dims: int,
        num_heads: int,
        mlp_dims: int | None = None,
        dropout: float = 0.0,
        activation: Activation = relu,
        norm_first: bool = True,
    ) -> None:
        super().__init__()
        mlp_dims = mlp_dims or 4 * dims
        self.self_attention = MultiHeadAttention(dims, num_heads)
        self.cross_attention = MultiHeadAttention(dims, num_heads)
        self.ln1 = LayerNorm(dims)
        self.ln2 = LayerNorm(dims)
        self.ln3 = LayerNorm(dims)
        self.linear1 = Linear(dims, mlp_dims)
        self.linear2 = Linear(mlp_dims, dims)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)
        self.activation = activation
        self.norm_first = norm_first

    def __call__(
        self, x: mx.array, memory: mx.array, x_mask: mx.array | None, memory_mask: mx.array | None
    ) -> mx.array:
        if self.norm_first:
            x = x + self._attend_self(self.ln1(x), x_mask)
            x = x + self._attend_memory(self.ln2(x), memory, memory_mask)
            return x + self._mlp(self.ln3(x))
        x = self.ln1(x + self._attend_self(x, x_mask))
        x = self.ln2(x + self._attend_memory(x, memory, memory_mask))
        return self.ln3(x + self._mlp(x))

    def _attend_self(self, x: mx.array, mask: mx.array | None) -> mx.array:
        return self.dropout1(self.self_attention(x, x, x, mask))

    def _attend_memory(self, x: mx.array, memory: mx.array, mask: mx.array | None) -> mx.array:
        return self.dropout2(self.cross_attention(x, memory, memory, mask))

    def _mlp(self, x: mx.array) -> mx.array:
        return self.linear2(self.dropout3(self.activation(self.linear1(x))))


class TransformerDecoder(Module):
    """A stack of :class:`TransformerDecoderLayer`, with a layer normalisation at the end.

    Args:
        num_layers: Number of layers.
        dims: Size of the last axis of input, memory and output.
        num_heads: Number of attention heads; it divides ``dims``.
        mlp_dims: Size of the hidden layers; by default ``4 * dims``.
        dropout: Probability of zero.
        activation: Activation function of the hidden layers.
        norm_first: Whether layers normalise before and not after each part.
        checkpoint: Whether to recompute each layer in the backward pass, which takes less memory and more
            time.

    Example:
        >>> import mlx.core as mx
        >>> decoder = TransformerDecoder(num_layers=2, dims=8, num_heads=2)
        >>> decoder(mx.zeros((1, 3, 8)), mx.zeros((1, 5, 8)), x_mask=None, memory_mask=None).shape
        (1, 3, 8)
    """

    def __init__(
        self,
        num_layers: int,
        dims: int,
        num_heads: int,
        mlp_dims: int | None = None,
        dropout: float = 0.0,
        activation: Activation = relu,
        norm_first: bool = True,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        self.layers = [
            TransformerDecoderLayer(dims, num_heads, mlp_dims, dropout, activation, norm_first)
            for _ in range(num_layers)
        ]
        self.ln = LayerNorm(dims)
        self.checkpoint = checkpoint

    def __call__(
        self, x: mx.array, memory: mx.array, x_mask: mx.array | None, memory_mask: mx.array | None
    ) -> mx.array:
        for layer in self.layers:
            run = checkpointed(layer) if self.checkpoint else layer
            x = run(x, memory, x_mask, memory_mask)
        return self.ln(x)


class Transformer(Module):
    """An encoder that turns a source into a memory, and a decoder that attends to it.

    Args:
        dims: Size of the last axis of source, target and output.
        num_heads: Number of attention heads; it divides ``dims``.
        num_encoder_layers: Number of layers of the encoder.
        num_decoder_layers: Number of layers of the decoder.
        mlp_dims: Size of the hidden layers; by default ``4 * dims``.
        dropout: Probability of zero.
        activation: Activation function of the hidden layers.
        custom_encoder: Module to use as the encoder, called with the source and its mask.
        custom_decoder: Module to use as the decoder, called with target, memory and their masks.
        norm_first: Whether layers normalise before and not after each part.
        checkpoint: Whether to recompute each layer in the backward pass, which takes less memory and more
            time.

    Example:
        >>> import mlx.core as mx
        >>> model = Transformer(8, num_heads=2, num_encoder_layers=1, num_decoder_layers=1)
        >>> source, target = mx.zeros((1, 5, 8)), mx.zeros((1, 3, 8))
        >>> model(source, target, src_mask=None, tgt_mask=None, memory_mask=None).shape
        (1, 3, 8)
    """

    def __init__(
        self,
        dims: int = 512,
        num_heads: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        mlp_dims: int | None = None,
        dropout: float = 0.0,
        activation: Activation = relu,
        custom_encoder: Any | None = None,
        custom_decoder: Any | None = None,
        norm_first: bool = True,
        checkpoint: bool = False,
    ) -> None:
        super().__init__()
        settings = (dims, num_heads, mlp_dims, dropout, activation, norm_first, checkpoint)
        self.encoder = (
            custom_encoder if custom_encoder is not None else TransformerEncoder(num_encoder_layers, *settings)
        )
        self.decoder = (
            custom_decoder if custom_decoder is not None else TransformerDecoder(num_decoder_layers, *settings)
        )

    def __call__(
        self,
        src: mx.array,
        tgt: mx.array,
        src_mask: mx.array | None,
        tgt_mask: mx.array | None,
        memory_mask: mx.array | None,
    ) -> mx.array:
        memory = self.encoder(src, src_mask)
        return self.decoder(tgt, memory, tgt_mask, memory_mask)

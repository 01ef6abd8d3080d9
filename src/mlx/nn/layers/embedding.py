"""The table that maps tokens to vectors."""

from __future__ import annotations

import math

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.nn.layers.checks import check_last_axis, check_positive
from mlx.nn.layers.quantized import QuantizedEmbedding


class Embedding(Module):
    """A table of vectors, looked up by index: y = W[x].

    W (``weight``, shape ``(num_embeddings, dims)``) starts normal with standard deviation 1 / sqrt(dims).

    Args:
        num_embeddings: Number of vectors.
        dims: Size of each vector.

    Raises:
        ValueError: If ``dims`` is not positive.

    Example:
        >>> import mlx.core as mx
        >>> Embedding(10, 4)(mx.array([[1, 2, 3]])).shape
        (1, 3, 4)
    """

    def __init__(self, num_embeddings: int, dims: int) -> None:
        super().__init__()
        check_positive("Embedding", "dims", dims)
        self.weight = mx.random.normal((num_embeddings, dims), scale=math.sqrt(1 / dims))

    def _extra_repr(self) -> str:
        num_embeddings, dims = self.weight.shape
        return f"{num_embeddings}, {dims}"

    def __call__(self, x: mx.array) -> mx.array:
        return self.weight[x]

    def as_linear(self, x: mx.array) -> mx.array:
        """Return x W^T: how much each vector of the table is like x.

        Language models score the next token so, with the table that embeds the tokens.

        Args:
            x: Array whose last axis has size ``dims``.

        Returns:
            Array whose last axis has size ``num_embeddings``.

        Raises:
            ValueError: If the last axis of ``x`` has another size.
        """
        check_last_axis("Embedding.as_linear", "x", x, self.weight.shape[1])
        return x @ self.weight.T

    def to_quantized(
        self,
        group_size: int | None = None,
        bits: int | None = None,
        mode: str = "affine",
        quantize_input: bool = False,
    ) -> QuantizedEmbedding:
        """Return a layer whose entries take a few bits each.

        Args:
            group_size: How many neighbouring entries share a scale; see :func:`mlx.core.quantize`.
            bits: Bits an entry.
            mode: How to quantise.
            quantize_input: Not possible here, where the input is indices.

        Returns:
            The new layer.

        Raises:
            ValueError: If ``quantize_input`` is set, or the mode does not exist or does not fit ``dims``.

        Example:
            >>> Embedding(10, 64).to_quantized(mode="mxfp4")
            QuantizedEmbedding(10, 64, group_size=32, bits=4, mode=mxfp4)
        """
        if quantize_input:
            raise ValueError(
                "[Embedding.to_quantized] Quantized input is not supported: leave embeddings out with class_predicate."
            )
        return QuantizedEmbedding.from_embedding(self, group_size, bits, mode)

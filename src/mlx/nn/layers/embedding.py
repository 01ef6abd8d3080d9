"""The table that maps tokens to vectors."""

from __future__ import annotations

import math

import mlx.core as mx
from mlx.nn.layers.base import Module


class Embedding(Module):
    """A table of vectors, looked up by index: y = W[x].

    W (``weight``, shape ``(num_embeddings, dims)``) starts normal with standard deviation 1 / sqrt(dims).

    Args:
        num_embeddings: Number of vectors.
        dims: Size of each vector.

    Example:
        >>> import mlx.core as mx
        >>> Embedding(10, 4)(mx.array([[1, 2, 3]])).shape
        (1, 3, 4)
    """

    def __init__(self, num_embeddings: int, dims: int) -> None:
        super().__init__()
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
        """
        return x @ self.weight.T

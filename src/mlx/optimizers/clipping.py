"""Limits on gradients before an optimizer sees them."""

from typing import Any

import mlx.core as mx
from mlx.utils import tree_map, tree_reduce


def clip_grad_norm(grads: Any, max_norm: float) -> tuple[Any, mx.array]:
    r"""Scale gradients down so that their common norm is at most ``max_norm`` (Pascanu, Mikolov and Bengio,
    2013, On the difficulty of training recurrent neural networks).

    .. math::

        g \leftarrow g \cdot \min\left(1, \frac{\text{max\_norm}}{\lVert g \rVert + 10^{-6}}\right)

    where the norm is the Euclidean one of all leaves together.

    Args:
        grads: a tree of arrays of any shapes.
        max_norm: the largest norm that is let through, at least 0.

    Returns:
        The scaled gradients, a new tree of the same structure and dtypes, and the norm before scaling, a
        float32 scalar.

    Raises:
        ValueError: ``max_norm`` is negative.

    Example:
        >>> import mlx.core as mx
        >>> from mlx.optimizers import clip_grad_norm
        >>> clipped, norm = clip_grad_norm({"w": mx.array([3.0, 4.0])}, max_norm=1.0)
        >>> clipped, norm
        ({'w': array([0.6, 0.8], dtype=float32)}, array(5, dtype=float32))
    """
    if max_norm < 0:
        raise ValueError(f"[clip_grad_norm] max_norm should be >=0, got {max_norm}.")
    norm = mx.sqrt(tree_reduce(lambda total, leaf: total + _squared_norm(leaf), grads, mx.array(0.0)))
    scale = mx.minimum(max_norm / (norm + 1e-6), 1.0)
    return tree_map(lambda gradient: _scaled(gradient, scale), grads), norm


def _squared_norm(gradient: mx.array) -> mx.array:
    if mx.issubdtype(gradient.dtype, mx.complexfloating):
        gradient = mx.abs(gradient)
    # In float32, since squares of float16 numbers overflow from 256 on and sums of bfloat16 lose digits.
    if gradient.dtype != mx.float32:
        gradient = gradient.astype(mx.float32)
    return mx.square(gradient).sum()


def _scaled(gradient: mx.array, scale: mx.array) -> mx.array:
    scaled = gradient * scale
    if scaled.dtype != gradient.dtype and mx.issubdtype(gradient.dtype, mx.inexact):
        return scaled.astype(gradient.dtype)
    return scaled

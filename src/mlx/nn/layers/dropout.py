"""Dropout: in training, zero parts of the input at random and scale up the rest."""

from __future__ import annotations

from collections.abc import Sequence

import mlx.core as mx
from mlx.nn.layers.base import Module


class _Dropout(Module):
    """y = m x / (1 - p) with m drawn from {0, 1}, zero with probability p; y = x in evaluation mode.

    Subclasses say which elements share one draw. The factor keeps the expected value of y at x.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"[{type(self).__name__}] p must be at least 0 and less than 1, got {p}.")
        self._p_1 = 1 - p

    def _extra_repr(self) -> str:
        return f"p={1 - self._p_1}"

    def _mask_shape(self, x: mx.array) -> Sequence[int]:
        raise NotImplementedError

    def __call__(self, x: mx.array) -> mx.array:
        mask_shape = self._mask_shape(x)
        if self._p_1 == 1 or not self.training:
            return x
        mask = mx.random.bernoulli(self._p_1, mask_shape)
        return mask * x * (1 / self._p_1)


class Dropout(_Dropout):
    """In training, zero each element with probability p and divide the others by 1 - p.

    In evaluation mode it returns its input (Srivastava et al. 2014). It draws from the global random state, or in
    ``module.apply(params, x, key=key)`` from the key, and is a pure function then.

    Args:
        p: Probability of zero, at least 0 and less than 1.

    Raises:
        ValueError: If ``p`` is out of range.

    Example:
        >>> import mlx.core as mx
        >>> Dropout(0.5).eval()(mx.array([1.0, 2.0]))
        array([1, 2], dtype=float32)
    """

    def _mask_shape(self, x: mx.array) -> Sequence[int]:
        return x.shape


class Dropout2d(_Dropout):
    """In training, zero each channel of an image with probability p and divide the others by 1 - p.

    Neighbouring pixels are much alike, so that dropping single ones hides little (Tompson et al. 2015).
    In evaluation mode it returns its input.

    Args:
        p: Probability of zero, at least 0 and less than 1.

    Raises:
        ValueError: If ``p`` is out of range, or, at the call, if the input is not of shape ``(N, H, W, C)``
            or ``(H, W, C)``.

    Example:
        >>> import mlx.core as mx
        >>> Dropout2d(0.5)(mx.ones((2, 4, 4, 3))).shape
        (2, 4, 4, 3)
    """

    def _mask_shape(self, x: mx.array) -> Sequence[int]:
        return _channel_mask_shape("Dropout2d", x, spatial=2)


class Dropout3d(_Dropout):
    """In training, zero each channel of a volume with probability p and divide the others by 1 - p.

    In evaluation mode it returns its input.

    Args:
        p: Probability of zero, at least 0 and less than 1.

    Raises:
        ValueError: If ``p`` is out of range, or, at the call, if the input is not of shape
            ``(N, D, H, W, C)`` or ``(D, H, W, C)``.

    Example:
        >>> import mlx.core as mx
        >>> Dropout3d(0.5)(mx.ones((2, 4, 4, 4, 3))).shape
        (2, 4, 4, 4, 3)
    """

    def _mask_shape(self, x: mx.array) -> Sequence[int]:
        return _channel_mask_shape("Dropout3d", x, spatial=3)


def _channel_mask_shape(api: str, x: mx.array, spatial: int) -> Sequence[int]:
    """Shape of one draw for each channel, and each example if there is a batch axis."""
    if x.ndim not in (spatial + 1, spatial + 2):
        raise ValueError(
            f"[{api}] Expected {spatial + 1} or {spatial + 2} dimensions (channels last), "
            f"got an input of shape {x.shape}."
        )
    return (*x.shape[: -spatial - 1], *[1] * spatial, x.shape[-1])

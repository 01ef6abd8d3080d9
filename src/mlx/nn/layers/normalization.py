"""Layers that shift and scale their input to mean zero and variance one, or part of that.

Means and variances are computed in float32 for inputs of half precision.
"""

from __future__ import annotations

from typing import Any, Self

import mlx.core as mx
from mlx.nn.layers.base import Module


def _check_eps(api: str, eps: float) -> None:
    if not eps > 0:
        raise ValueError(f"[{api}] 'eps' must be positive, got {eps}; without it a constant input gives NaN.")


def _widened(x: mx.array) -> mx.array:
    """x in a dtype in which sums of many squares are exact enough and do not overflow."""
    return x if x.dtype in (mx.float32, mx.float64) else x.astype(mx.float32)


def _standardised(x: mx.array, axes: int | tuple[int, ...], eps: float) -> mx.array:
    """(x - mean(x)) / sqrt(var(x) + eps) over ``axes``."""
    centred = x - mx.mean(x, axis=axes, keepdims=True)
    variance = mx.mean(mx.square(centred), axis=axes, keepdims=True)
    return centred * mx.rsqrt(variance + eps)


def _scaled_and_shifted(layer: Module, normalised: mx.array, *inputs: mx.array) -> mx.array:
    """weight normalised + bias, as far as the layer has them, in the dtype that they and the inputs have."""
    parameters = [layer[name] for name in ("weight", "bias") if name in layer]
    y = normalised
    if "weight" in layer:
        y = layer.weight * y
    if "bias" in layer:
        y = y + layer.bias
    dtype = mx.result_type(*inputs, *parameters)
    return y.astype(dtype) if mx.issubdtype(dtype, mx.floating) else y


def _check_features(api: str, x: mx.array, dims: int) -> None:
    if x.ndim < 1 or x.shape[-1] != dims:
        raise ValueError(f"[{api}] Expected {dims} features in the last axis, got an input of shape {x.shape}.")


class LayerNorm(Module):
    """Normalises over the last axis: y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias.

    Ba et al. 2016. ``weight`` starts at 1 and ``bias`` at 0, both of shape ``(dims,)``.

    Args:
        dims: Size of the last axis.
        eps: Added to the variance; positive.
        affine: Whether there are ``weight`` and ``bias``.
        bias: Whether there is ``bias`` besides ``weight``.

    Raises:
        ValueError: If ``eps`` is not positive, or, at the call, if the last axis has another size.

    Example:
        >>> import mlx.core as mx
        >>> LayerNorm(2)(mx.array([[1.0, 3.0], [40.0, 20.0]]))
        array([[-0.999995, 0.999995],
               [1, -1]], dtype=float32)
    """

    def __init__(self, dims: int, eps: float = 1e-5, affine: bool = True, bias: bool = True) -> None:
        super().__init__()
        _check_eps("LayerNorm", eps)
        if affine:
            self.weight = mx.ones((dims,))
            if bias:
                self.bias = mx.zeros((dims,))
        self.eps = eps
        self.dims = dims

    def _extra_repr(self) -> str:
        return f"{self.dims}, eps={self.eps}, affine={'weight' in self}"

    def __call__(self, x: mx.array) -> mx.array:
        _check_features("LayerNorm", x, self.dims)
        return _scaled_and_shifted(self, _standardised(_widened(x), -1, self.eps), x)


class RMSNorm(Module):
    """Scales by the root mean square over the last axis: y = x / sqrt(E[x^2] + eps) * weight.

    Zhang and Sennrich 2019. ``weight`` starts at 1 and has shape ``(dims,)``.

    Args:
        dims: Size of the last axis.
        eps: Added to the mean square; positive.

    Raises:
        ValueError: If ``eps`` is not positive, or, at the call, if the last axis has another size.

    Example:
        >>> import mlx.core as mx
        >>> RMSNorm(2)(mx.array([3.0, -3.0]))
        array([0.999999, -0.999999], dtype=float32)
    """

    def __init__(self, dims: int, eps: float = 1e-5) -> None:
        super().__init__()
        _check_eps("RMSNorm", eps)
        self.weight = mx.ones((dims,))
        self.eps = eps

    def _extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, eps={self.eps}"

    def __call__(self, x: mx.array) -> mx.array:
        _check_features("RMSNorm", x, self.weight.shape[0])
        wide = _widened(x)
        mean_square = mx.mean(mx.square(wide), axis=-1, keepdims=True)
        return _scaled_and_shifted(self, wide * mx.rsqrt(mean_square + self.eps), x)


class InstanceNorm(Module):
    """Normalises each channel of each example: y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias.

    Mean and variance are over all axes between the first and the last (Ulyanov et al. 2016).

    Args:
        dims: Number of channels, the size of the last axis.
        eps: Added to the variance; positive.
        affine: Whether there are ``weight``, which starts at 1, and ``bias``, which starts at 0.

    Raises:
        ValueError: If ``eps`` is not positive, or, at the call, if the input has fewer than three axes or, where there
            are parameters, other than ``dims`` channels.

    Example:
        >>> import mlx.core as mx
        >>> InstanceNorm(1)(mx.array([[[1.0], [3.0]]]))
        array([[[-0.999995],
                [0.999995]]], dtype=float32)
    """

    def __init__(self, dims: int, eps: float = 1e-5, affine: bool = False) -> None:
        super().__init__()
        _check_eps("InstanceNorm", eps)
        if affine:
            self.weight = mx.ones((dims,))
            self.bias = mx.zeros((dims,))
        self.dims = dims
        self.eps = eps

    def _extra_repr(self) -> str:
        return f"{self.dims}, eps={self.eps}, affine={'weight' in self}"

    def __call__(self, x: mx.array) -> mx.array:
        if x.ndim < 3:
            raise ValueError(
                "[InstanceNorm] Expected an example axis, at least one spatial axis and a channel axis, "
                f"got an input of shape {x.shape}."
            )
        if "weight" in self:
            _check_features("InstanceNorm", x, self.dims)
        spatial = tuple(range(1, x.ndim - 1))
        return _scaled_and_shifted(self, _standardised(_widened(x), spatial, self.eps), x)


class GroupNorm(Module):
    """Normalises groups of channels: y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias.

    Mean and variance are over all axes between the first and the last and over the channels of a group
    (Wu and He 2018).

    Args:
        num_groups: Number of groups; it divides ``dims``.
        dims: Number of channels, the size of the last axis.
        eps: Added to the variance; positive.
        affine: Whether there are ``weight``, which starts at 1, and ``bias``, which starts at 0.
        pytorch_compatible: Whether a group is a run of neighbouring channels, as in PyTorch; otherwise
            group g holds the channels g, g + num_groups, g + 2 num_groups and so on.

    Raises:
        ValueError: If ``eps`` is not positive, ``num_groups`` does not divide ``dims``, or, at the call, if
            the last axis has another size.

    Example:
        >>> import mlx.core as mx
        >>> GroupNorm(2, 4, pytorch_compatible=True)(mx.array([[1.0, 3.0, 50.0, 30.0]]))
        array([[-0.999995, 0.999995, 1, -1]], dtype=float32)
    """

    def __init__(
        self,
        num_groups: int,
        dims: int,
        eps: float = 1e-5,
        affine: bool = True,
        pytorch_compatible: bool = False,
    ) -> None:
        super().__init__()
        _check_eps("GroupNorm", eps)
        if num_groups < 1 or dims < 1 or dims % num_groups != 0:
            raise ValueError(
                "[GroupNorm] num_groups and dims must be positive and num_groups must divide dims, "
                f"got num_groups={num_groups} and dims={dims}."
            )
        if affine:
            self.bias = mx.zeros((dims,))
            self.weight = mx.ones((dims,))
        self.num_groups = num_groups
        self.dims = dims
        self.eps = eps
        self.pytorch_compatible = pytorch_compatible

    def _extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.dims}, eps={self.eps}, affine={'weight' in self}, "
            f"pytorch_compatible={self.pytorch_compatible}"
        )

    def __call__(self, x: mx.array) -> mx.array:
        _check_features("GroupNorm", x, self.dims)
        group_size = self.dims // self.num_groups
        positions = range(1, x.ndim - 1)
        if self.pytorch_compatible:
            groups = mx.unflatten(_widened(x), -1, (self.num_groups, group_size))
            y = _standardised(groups, (*positions, x.ndim), self.eps)
        else:
            groups = mx.unflatten(_widened(x), -1, (group_size, self.num_groups))
            y = _standardised(groups, (*positions, x.ndim - 1), self.eps)
        return _scaled_and_shifted(self, y.flatten(-2), x)


class BatchNorm(Module):
    """Normalises each channel over the batch: y = (x - E[x]) / sqrt(Var[x] + eps) * weight + bias.

    In training, mean and variance are over all axes but the last, and the running ones move towards them:
    running = (1 - momentum) running + momentum current, with the unbiased variance. In evaluation the
    running ones are used (Ioffe and Szegedy 2015). The running mean starts at 0 and the running variance
    at 1; both are parameters that are never trained. A call in training assigns them; as a pure function,
    ``module.apply(params, x, state=module.frozen_parameters())``, it returns them with its output instead, which
    is what a function under ``mx.vmap`` needs. ``mx.scan`` carries them from step to step.

    Args:
        num_features: Number of channels, the size of the last axis.
        eps: Added to the variance; positive.
        momentum: How fast the running mean and variance follow.
        affine: Whether there are ``weight``, which starts at 1, and ``bias``, which starts at 0.
        track_running_stats: Whether there are running statistics; without them evaluation normalises as
            training does.

    Raises:
        ValueError: If ``eps`` is not positive, or, at the call, if the input does not have 2, 3 or 4 axes,
            the last with ``num_features`` channels, or if there is one value a channel in training.

    Example:
        >>> import mlx.core as mx
        >>> norm = BatchNorm(1)
        >>> norm(mx.array([[1.0], [3.0]]))
        array([[-0.999995],
               [0.999995]], dtype=float32)
        >>> norm.running_mean, norm.running_var
        (array([0.2], dtype=float32), array([1.1], dtype=float32))
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__()
        _check_eps("BatchNorm", eps)
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = mx.ones((num_features,))
            self.bias = mx.zeros((num_features,))
        if track_running_stats:
            self.running_mean = mx.zeros((num_features,))
            self.running_var = mx.ones((num_features,))
            self._freeze_running_stats()

    def _freeze_running_stats(self) -> None:
        self.freeze(keys=["running_mean", "running_var"], recurse=False)

    def unfreeze(self, *args: Any, **kwargs: Any) -> Self:
        """Unfreeze as :meth:`Module.unfreeze` does, but for the running statistics."""
        super().unfreeze(*args, **kwargs)
        if self.track_running_stats:
            self._freeze_running_stats()
        return self

    def _extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={'weight' in self}, "
            f"track_running_stats={self.track_running_stats}"
        )

    def __call__(self, x: mx.array) -> mx.array:
        if not 2 <= x.ndim <= 4:
            raise ValueError(f"[BatchNorm] Expected 2, 3 or 4 dimensions, got an input of shape {x.shape}.")
        _check_features("BatchNorm", x, self.num_features)
        wide = _widened(x)
        if self.training or not self.track_running_stats:
            mean, variance = self._batch_statistics(wide)
            normalised = (wide - mean) * mx.rsqrt(variance + self.eps)
            return _scaled_and_shifted(self, normalised, x)
        normalised = (wide - self.running_mean) * mx.rsqrt(_widened(self.running_var) + self.eps)
        return _scaled_and_shifted(self, normalised, x, self.running_mean)

    def _batch_statistics(self, x: mx.array) -> tuple[mx.array, mx.array]:
        """Mean and variance over the batch; in training the running ones move towards them."""
        axes = tuple(range(x.ndim - 1))
        mean = mx.mean(x, axis=axes)
        variance = mx.mean(mx.square(x - mean), axis=axes)
        if self.training and self.track_running_stats:
            count = x.size // self.num_features
            if count < 2:
                raise ValueError(
                    f"[BatchNorm] Training needs more than one value for each channel, got an input of shape {x.shape}."
                )
            unbiased = variance * (count / (count - 1))
            self.running_mean = self._moved(self.running_mean, mean)
            self.running_var = self._moved(self.running_var, unbiased)
        return mean, variance

    def _moved(self, running: mx.array, current: mx.array) -> mx.array:
        moved = (1 - self.momentum) * running + self.momentum * current
        return moved.astype(running.dtype)

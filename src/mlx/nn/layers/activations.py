"""Activation functions, and a layer for each.

The functions work elementwise and keep the dtype, except where they say otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.nn.layers.checks import check_last_axis


def sigmoid(x: mx.array) -> mx.array:
    """The logistic function 1 / (1 + exp(-x)).

    Example:
        >>> sigmoid(mx.array([0.0]))
        array([0.5], dtype=float32)
    """
    return mx.sigmoid(x)


def relu(x: mx.array) -> mx.array:
    """The positive part max(x, 0).

    Example:
        >>> relu(mx.array([-1.0, 2.0]))
        array([0, 2], dtype=float32)
    """
    return mx.maximum(x, 0)


def relu2(x: mx.array) -> mx.array:
    """The squared positive part max(x, 0)^2.

    Example:
        >>> relu2(mx.array([-1.0, 3.0]))
        array([0, 9], dtype=float32)
    """
    return mx.square(mx.maximum(x, 0))


def relu6(x: mx.array) -> mx.array:
    """The positive part, at most six: min(max(x, 0), 6).

    Example:
        >>> relu6(mx.array([-1.0, 3.0, 8.0]))
        array([0, 3, 6], dtype=float32)
    """
    return mx.minimum(mx.maximum(x, 0), 6.0)


def leaky_relu(x: mx.array, negative_slope: float = 0.01) -> mx.array:
    """x where positive, ``negative_slope`` x elsewhere.

    Example:
        >>> leaky_relu(mx.array([-1.0, 2.0]), negative_slope=0.5)
        array([-0.5, 2], dtype=float32)
    """
    return mx.maximum(negative_slope * x, x)


def prelu(x: mx.array, alpha: mx.array) -> mx.array:
    """x where positive, ``alpha`` x elsewhere, with an ``alpha`` that can be learned (He et al. 2015).

    Example:
        >>> prelu(mx.array([-1.0, 2.0]), mx.array([0.25, 0.5]))
        array([-0.25, 2], dtype=float32)
    """
    return mx.maximum(0, x) + alpha * mx.minimum(0, x)


def elu(x: mx.array, alpha: float = 1.0) -> mx.array:
    """x where positive, ``alpha`` (exp(x) - 1) elsewhere (Clevert et al. 2015).

    Example:
        >>> elu(mx.array([0.0, 2.0]))
        array([0, 2], dtype=float32)
    """
    return mx.where(x > 0, x, alpha * (mx.exp(x) - 1))


def celu(x: mx.array, alpha: float = 1.0) -> mx.array:
    """max(x, 0) + min(``alpha`` (exp(x / ``alpha``) - 1), 0), smooth for every ``alpha`` (Barron 2017).

    Example:
        >>> celu(mx.array([0.0, 2.0]), alpha=0.5)
        array([0, 2], dtype=float32)
    """
    return mx.maximum(x, 0.0) + alpha * (mx.exp(mx.minimum(x, 0.0) / alpha) - 1)


def selu(x: mx.array) -> mx.array:
    """1.0507 elu(x, 1.67326), which keeps mean 0 and variance 1 in deep networks (Klambauer et al. 2017).

    Example:
        >>> selu(mx.array([0.0]))
        array([0], dtype=float32)
    """
    return elu(x, 1.67326) * 1.0507


def silu(x: mx.array) -> mx.array:
    """x sigmoid(x), also called swish.

    Example:
        >>> silu(mx.array([0.0]))
        array([0], dtype=float32)
    """
    return x * mx.sigmoid(x)


def hardswish(x: mx.array) -> mx.array:
    """x relu6(x + 3) / 6, a piecewise polynomial like silu.

    Example:
        >>> hardswish(mx.array([0.0, 1.5, 3.0]))
        array([0, 1.125, 3], dtype=float32)
    """
    return x * relu6(x + 3) / 6


def mish(x: mx.array) -> mx.array:
    """x tanh(softplus(x)) (Misra 2019).

    Example:
        >>> mish(mx.array([0.0]))
        array([0], dtype=float32)
    """
    return x * mx.tanh(softplus(x))


def gelu(x: mx.array) -> mx.array:
    """x times the standard normal distribution function of x: x (1 + erf(x / sqrt(2))) / 2.

    Hendrycks and Gimpel 2016. :func:`gelu_approx` and :func:`gelu_fast_approx` come close without erf.

    Example:
        >>> gelu(mx.array([0.0]))
        array([0], dtype=float32)
    """
    return x * (1 + mx.erf(x / math.sqrt(2))) / 2


def gelu_approx(x: mx.array) -> mx.array:
    """x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, within 0.0005 of gelu.

    Example:
        >>> gelu_approx(mx.array([0.0]))
        array([0], dtype=float32)
    """
    return 0.5 * x * (1 + mx.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_fast_approx(x: mx.array) -> mx.array:
    """x sigmoid(1.702 x), within 0.025 of gelu.

    Example:
        >>> gelu_fast_approx(mx.array([0.0]))
        array([0], dtype=float32)
    """
    return x * mx.sigmoid(1.702 * x)


def glu(x: mx.array, axis: int = -1) -> mx.array:
    """Split x into halves a and b along ``axis`` and return a sigmoid(b) (Dauphin et al. 2017).

    Args:
        x: Array with an even number of elements along ``axis``.
        axis: The axis to split.

    Returns:
        Array with half as many elements along ``axis``.

    Raises:
        ValueError: If the number of elements is odd.

    Example:
        >>> glu(mx.array([3.0, 0.0]))
        array([1.5], dtype=float32)
    """
    a, b = mx.split(x, 2, axis=axis)
    return a * mx.sigmoid(b)


def step(x: mx.array, threshold: float = 0.0) -> mx.array:
    """1 where x is at least ``threshold``, 0 elsewhere, as int32.

    Example:
        >>> step(mx.array([-1.0, 0.0, 1.0]))
        array([0, 1, 1], dtype=int32)
    """
    return mx.where(x >= threshold, 1, 0)


def hard_tanh(x: mx.array, min_val: float = -1.0, max_val: float = 1.0) -> mx.array:
    """x, at least ``min_val`` and at most ``max_val``.

    Example:
        >>> hard_tanh(mx.array([-2.0, 0.5, 2.0]))
        array([-1, 0.5, 1], dtype=float32)
    """
    return mx.minimum(mx.maximum(x, min_val), max_val)


def hard_shrink(x: mx.array, lambd: float = 0.5) -> mx.array:
    """x where its absolute value exceeds ``lambd``, 0 elsewhere.

    Example:
        >>> hard_shrink(mx.array([-2.0, 0.5, 2.0]))
        array([-2, 0, 2], dtype=float32)
    """
    return mx.where(mx.abs(x) > lambd, x, 0)


def softshrink(x: mx.array, lambd: float = 0.5) -> mx.array:
    """x moved towards 0 by ``lambd``, and 0 where that would change its sign.

    Example:
        >>> softshrink(mx.array([-2.0, 0.5, 2.0]))
        array([-1.5, 0, 1.5], dtype=float32)
    """
    return mx.where(mx.abs(x) > lambd, x - mx.sign(x) * lambd, 0)


def tanh(x: mx.array) -> mx.array:
    """The hyperbolic tangent.

    Example:
        >>> tanh(mx.array([0.0]))
        array([0], dtype=float32)
    """
    return mx.tanh(x)


def softplus(x: mx.array) -> mx.array:
    """log(1 + exp(x)), a smooth relu.

    Example:
        >>> softplus(mx.array([-200.0, 200.0]))
        array([0, 200], dtype=float32)
    """
    return mx.logaddexp(x, 0)


def softsign(x: mx.array) -> mx.array:
    """x / (1 + abs(x)).

    Example:
        >>> softsign(mx.array([-1.0, 3.0]))
        array([-0.5, 0.75], dtype=float32)
    """
    return x / (1 + mx.abs(x))


def log_sigmoid(x: mx.array) -> mx.array:
    """log(sigmoid(x)), computed as -softplus(-x).

    Example:
        >>> log_sigmoid(mx.array([-200.0, 200.0]))
        array([-200, -0], dtype=float32)
    """
    return -softplus(-x)


def softmax(x: mx.array, axis: int = -1) -> mx.array:
    """exp(x) / sum(exp(x)) with the sum along ``axis``.

    Example:
        >>> softmax(mx.array([1.0, 1.0]))
        array([0.5, 0.5], dtype=float32)
    """
    return mx.softmax(x, axis=axis)


def softmin(x: mx.array, axis: int = -1) -> mx.array:
    """softmax(-x) along ``axis``.

    Example:
        >>> softmin(mx.array([1.0, 1.0]))
        array([0.5, 0.5], dtype=float32)
    """
    return mx.softmax(-x, axis=axis)


def log_softmax(x: mx.array, axis: int = -1) -> mx.array:
    """log(softmax(x)) along ``axis``, computed as x - logsumexp(x).

    Example:
        >>> log_softmax(mx.array([1e20, 1e20]))
        array([-0.693147, -0.693147], dtype=float32)
    """
    # Without the shift, log(n) drowns in the rounding error of large x.
    shifted = x - mx.stop_gradient(mx.max(x, axis=axis, keepdims=True))
    return shifted - mx.logsumexp(shifted, axis=axis, keepdims=True)


def _layer_of(function: Callable[[mx.array], mx.array]) -> Callable[[type[Module]], type[Module]]:
    """Make a module's call be ``function``."""

    def call(self: Module, x: mx.array) -> mx.array:
        return function(x)

    call.__name__, call.__doc__ = "__call__", function.__doc__

    def complete(layer: type[Module]) -> type[Module]:
        layer.__call__ = call
        return layer

    return complete


@_layer_of(sigmoid)
class Sigmoid(Module):
    """The layer form of :func:`sigmoid`."""


@_layer_of(relu)
class ReLU(Module):
    """The layer form of :func:`relu`."""


@_layer_of(relu2)
class ReLU2(Module):
    """The layer form of :func:`relu2`."""


@_layer_of(relu6)
class ReLU6(Module):
    """The layer form of :func:`relu6`."""


@_layer_of(selu)
class SELU(Module):
    """The layer form of :func:`selu`."""


@_layer_of(silu)
class SiLU(Module):
    """The layer form of :func:`silu`."""


@_layer_of(hardswish)
class Hardswish(Module):
    """The layer form of :func:`hardswish`."""


@_layer_of(mish)
class Mish(Module):
    """The layer form of :func:`mish`."""


@_layer_of(hard_tanh)
class HardTanh(Module):
    """The layer form of :func:`hard_tanh`, between -1 and 1."""


@_layer_of(tanh)
class Tanh(Module):
    """The layer form of :func:`tanh`."""


@_layer_of(softplus)
class Softplus(Module):
    """The layer form of :func:`softplus`."""


@_layer_of(softsign)
class Softsign(Module):
    """The layer form of :func:`softsign`."""


@_layer_of(log_sigmoid)
class LogSigmoid(Module):
    """The layer form of :func:`log_sigmoid`."""


@_layer_of(softmax)
class Softmax(Module):
    """The layer form of :func:`softmax` along the last axis."""


@_layer_of(softmin)
class Softmin(Module):
    """The layer form of :func:`softmin` along the last axis."""


@_layer_of(log_softmax)
class LogSoftmax(Module):
    """The layer form of :func:`log_softmax` along the last axis."""


class LeakyReLU(Module):
    """The layer form of :func:`leaky_relu`.

    Args:
        negative_slope: Slope for negative inputs.
    """

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self._negative_slope = negative_slope

    def __call__(self, x: mx.array) -> mx.array:
        return leaky_relu(x, self._negative_slope)


class PReLU(Module):
    """The layer form of :func:`prelu`, with the slopes as parameter ``weight``.

    Args:
        num_parameters: 1 for one slope in common, or the size of the last axis for a slope for each feature.
        init: First value of the slopes.

    Raises:
        ValueError: At the call, if there is a slope for each feature and the last axis has another size.
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        super().__init__()
        self.weight = mx.full((num_parameters,), init)

    def __call__(self, x: mx.array) -> mx.array:
        slopes = self.weight.shape[0]
        if slopes != 1:
            check_last_axis("PReLU", "x", x, slopes)
        return prelu(x, self.weight)


class ELU(Module):
    """The layer form of :func:`elu`.

    Args:
        alpha: The negative of the limit at minus infinity.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self._alpha = alpha

    def __call__(self, x: mx.array) -> mx.array:
        return elu(x, self._alpha)


class CELU(Module):
    """The layer form of :func:`celu`.

    Args:
        alpha: The negative of the limit at minus infinity.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self._alpha = alpha

    def __call__(self, x: mx.array) -> mx.array:
        return celu(x, self._alpha)


_GELU_FORMS: dict[str, Callable[[mx.array], mx.array]] = {
    "none": gelu,
    "precise": gelu_approx,
    "tanh": gelu_approx,
    "fast": gelu_fast_approx,
}


class GELU(Module):
    """The layer form of :func:`gelu` or one of its approximations.

    Args:
        approx: ``"none"`` for :func:`gelu`, ``"precise"`` or ``"tanh"`` for :func:`gelu_approx`, ``"fast"``
            for :func:`gelu_fast_approx`.

    Raises:
        ValueError: If ``approx`` is anything else.
    """

    def __init__(self, approx: str = "none") -> None:
        super().__init__()
        if approx not in _GELU_FORMS:
            raise ValueError(f"[GELU] approx must be one of {list(_GELU_FORMS)}, got '{approx}'.")
        self._approx = approx

    def __call__(self, x: mx.array) -> mx.array:
        return _GELU_FORMS[self._approx](x)


class GLU(Module):
    """The layer form of :func:`glu`.

    Args:
        axis: The axis to split.
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def __call__(self, x: mx.array) -> Any:
        return glu(x, self.axis)


class Step(Module):
    """The layer form of :func:`step`.

    Args:
        threshold: The smallest input that gives 1.
    """

    def __init__(self, threshold: float = 0.0) -> None:
        super().__init__()
        self.threshold = threshold

    def __call__(self, x: mx.array) -> mx.array:
        return step(x, self.threshold)


class Softshrink(Module):
    """The layer form of :func:`softshrink`.

    Args:
        lambd: How far inputs move towards 0.
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def __call__(self, x: mx.array) -> mx.array:
        return softshrink(x, self.lambd)


class HardShrink(Module):
    """The layer form of :func:`hard_shrink`.

    Args:
        lambd: Inputs up to this size give 0.
    """

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def __call__(self, x: mx.array) -> mx.array:
        return hard_shrink(x, self.lambd)

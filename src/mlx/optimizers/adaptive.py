"""Learning rates scaled for each coordinate by its past gradients: Adagrad, RMSprop, AdaDelta."""

import mlx.core as mx

from .base import LearningRate, Optimizer


def _check(optimizer: str, name: str, value: float, valid: bool, wanted: str) -> None:
    if not valid:
        raise ValueError(f"[{optimizer}] {name} should be {wanted}, got {value}.")


class Adagrad(Optimizer):
    r"""Adagrad (Duchi, Hazan and Singer, 2011, Adaptive subgradient methods for online learning and
    stochastic optimization).

    .. math::

        v_{t+1} &= v_t + g_t^2 \\
        w_{t+1} &= w_t - \lambda \frac{g_t}{\sqrt{v_{t+1}} + \epsilon}

    Args:
        learning_rate: :math:`\lambda`, a number or a schedule.
        eps: :math:`\epsilon`, above 0.

    Example:
        >>> import mlx.core as mx
        >>> from mlx.optimizers import Adagrad
        >>> Adagrad(0.1).update({"w": mx.array([1.0])}, {"w": mx.array([2.0])})
        {'w': array([0.9], dtype=float32)}
    """

    def __init__(self, learning_rate: LearningRate, eps: float = 1e-8) -> None:
        _check("Adagrad", "eps", eps, eps > 0, ">0")
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        self.eps = eps

    def init_single(self, parameter: mx.array, state: dict) -> None:
        """Start the sum of squares ``v`` at zero."""
        state["v"] = mx.zeros_like(parameter)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict) -> mx.array:
        """Return the updated parameter and store ``v``."""
        (learning_rate,) = self._scalars(gradient.dtype)
        v = state["v"] = state["v"] + mx.square(gradient)
        return parameter - learning_rate * gradient / (mx.sqrt(v) + self.eps)


class RMSprop(Optimizer):
    r"""RMSprop (Tieleman and Hinton, 2012, Neural networks for machine learning, lecture 6.5).

    .. math::

        v_{t+1} &= \alpha v_t + (1 - \alpha) g_t^2 \\
        w_{t+1} &= w_t - \lambda \frac{g_t}{\sqrt{v_{t+1}} + \epsilon}

    Args:
        learning_rate: :math:`\lambda`, a number or a schedule.
        alpha: :math:`\alpha`, the share of the past in the running average, at least 0.
        eps: :math:`\epsilon`, above 0.

    Example:
        >>> import mlx.core as mx
        >>> from mlx.optimizers import RMSprop
        >>> RMSprop(0.1, alpha=0.75).update({"w": mx.array([1.0])}, {"w": mx.array([2.0])})
        {'w': array([0.8], dtype=float32)}
    """

    def __init__(self, learning_rate: LearningRate, alpha: float = 0.99, eps: float = 1e-8) -> None:
        _check("RMSprop", "alpha", alpha, alpha >= 0, ">=0")
        _check("RMSprop", "eps", eps, eps > 0, ">0")
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        self.alpha = alpha
        self.eps = eps

    def init_single(self, parameter: mx.array, state: dict) -> None:
        """Start the running mean of squares ``v`` at zero."""
        state["v"] = mx.zeros_like(parameter)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict) -> mx.array:
        """Return the updated parameter and store ``v``."""
        (learning_rate,) = self._scalars(gradient.dtype)
        v = state["v"] = self.alpha * state["v"] + (1 - self.alpha) * mx.square(gradient)
        return parameter - learning_rate * gradient / (mx.sqrt(v) + self.eps)


class AdaDelta(Optimizer):
    r"""AdaDelta (Zeiler, 2012, ADADELTA: an adaptive learning rate method, arXiv:1212.5701).

    .. math::

        v_{t+1} &= \rho v_t + (1 - \rho) g_t^2 \\
        \Delta_{t+1} &= \frac{\sqrt{u_t + \epsilon}}{\sqrt{v_{t+1} + \epsilon}} g_t \\
        u_{t+1} &= \rho u_t + (1 - \rho) \Delta_{t+1}^2 \\
        w_{t+1} &= w_t - \lambda \Delta_{t+1}

    Args:
        learning_rate: :math:`\lambda`, a number or a schedule; 1 in the paper.
        rho: :math:`\rho`, the share of the past in the running averages, at least 0.
        eps: :math:`\epsilon`, above 0.

    Example:
        >>> import mlx.core as mx
        >>> from mlx.optimizers import AdaDelta
        >>> AdaDelta(1.0, rho=0.75, eps=1.0).update({"w": mx.array([1.0])}, {"w": mx.array([0.0])})
        {'w': array([1], dtype=float32)}
    """

    def __init__(self, learning_rate: LearningRate, rho: float = 0.9, eps: float = 1e-6) -> None:
        _check("AdaDelta", "rho", rho, rho >= 0, ">=0")
        _check("AdaDelta", "eps", eps, eps > 0, ">0")
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        self.rho = rho
        self.eps = eps

    def init_single(self, parameter: mx.array, state: dict) -> None:
        """Start the running means of squared gradients ``v`` and squared steps ``u`` at zero."""
        state["v"] = mx.zeros_like(parameter)
        state["u"] = mx.zeros_like(parameter)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict) -> mx.array:
        """Return the updated parameter and store ``v`` and ``u``."""
        (learning_rate,) = self._scalars(gradient.dtype)
        rho, eps, u = self.rho, self.eps, state["u"]
        v = state["v"] = rho * state["v"] + (1 - rho) * mx.square(gradient)
        delta = mx.sqrt(u + eps) / mx.sqrt(v + eps) * gradient
        state["u"] = rho * u + (1 - rho) * mx.square(delta)
        return parameter - learning_rate * delta

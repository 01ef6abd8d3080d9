"""Adam and its variants: AdamW with decoupled weight decay, Adamax with the infinity norm."""

from collections.abc import Sequence

import mlx.core as mx

from .base import LearningRate, Optimizer


class Adam(Optimizer):
    r"""Adam (Kingma and Ba, 2015, Adam: a method for stochastic optimization).

    .. math::

        m_{t+1} &= \beta_1 m_t + (1 - \beta_1) g_t \\
        v_{t+1} &= \beta_2 v_t + (1 - \beta_2) g_t^2 \\
        w_{t+1} &= w_t - \lambda \frac{m_{t+1}}{\sqrt{v_{t+1}} + \epsilon}

    With bias correction, :math:`m_{t+1} / (1 - \beta_1^{t+1})` and :math:`v_{t+1} / (1 - \beta_2^{t+1})` take
    the places of :math:`m_{t+1}` and :math:`v_{t+1}` in the last line.

    Args:
        learning_rate: :math:`\lambda`, a number or a schedule.
        betas: :math:`(\beta_1, \beta_2)`, each in [0, 1).
        eps: :math:`\epsilon`, at least 0.
        bias_correction: correct for both averages starting at zero.

    Example:
        >>> import mlx.core as mx
        >>> from mlx.optimizers import Adam
        >>> Adam(0.1, betas=(0.75, 0.75)).update({"w": mx.array([1.0])}, {"w": mx.array([2.0])})
        {'w': array([0.95], dtype=float32)}
    """

    def __init__(
        self,
        learning_rate: LearningRate,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        bias_correction: bool = False,
    ) -> None:
        name = type(self).__name__
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"[{name}] betas should be two numbers in [0, 1), got {betas}.")
        if eps < 0:
            raise ValueError(f"[{name}] eps should be >=0, got {eps}.")
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        self.betas = betas
        self.eps = eps
        self.bias_correction = bias_correction

    def init_single(self, parameter: mx.array, state: dict) -> None:
        """Start the running means of gradients ``m`` and of their squares ``v`` at zero."""
        state["m"] = mx.zeros_like(parameter)
        state["v"] = mx.zeros_like(parameter)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict) -> mx.array:
        """Return the updated parameter and store ``m`` and ``v``."""
        rate, root_scale = self._scalars(gradient.dtype)
        return parameter - self._displacement(gradient, state, rate, root_scale)

    def _displacement(self, gradient: mx.array, state: dict, rate: mx.array, root_scale: mx.array | None) -> mx.array:
        """What the gradient takes off a parameter; stores ``m`` and ``v``."""
        b1, b2 = self.betas
        m = state["m"] = b1 * state["m"] + (1 - b1) * gradient
        v = state["v"] = b2 * state["v"] + (1 - b2) * mx.square(gradient)
        root = mx.sqrt(v) if root_scale is None else mx.sqrt(v) * root_scale
        return rate * m / (root + self.eps)

    def _step_scalars(self, dtype: mx.Dtype) -> tuple:
        """The factor of ``m`` and, with bias correction, that of the root of ``v``."""
        learning_rate = self._learning_rate_as(dtype)
        if not self.bias_correction:
            return learning_rate, None
        b1, b2 = self.betas
        rate = (learning_rate / (1 - b1**self.step)).astype(dtype)
        root_scale = mx.rsqrt(1 - b2**self.step).astype(dtype)
        return rate, root_scale


class AdamW(Adam):
    r"""Adam with decoupled weight decay (Loshchilov and Hutter, 2019, Decoupled weight decay regularization).

    .. math::

        m_{t+1} &= \beta_1 m_t + (1 - \beta_1) g_t \\
        v_{t+1} &= \beta_2 v_t + (1 - \beta_2) g_t^2 \\
        w_{t+1} &= (1 - \lambda \gamma) w_t - \lambda \frac{m_{t+1}}{\sqrt{v_{t+1}} + \epsilon}

    Args:
        learning_rate: :math:`\lambda`, a number or a schedule.
        betas: :math:`(\beta_1, \beta_2)`, each in [0, 1).
        eps: :math:`\epsilon`, at least 0.
        weight_decay: :math:`\gamma`.
        bias_correction: correct for both averages starting at zero, as :class:`Adam` does.

    Example:
        >>> import mlx.core as mx
        >>> from mlx.optimizers import AdamW
        >>> AdamW(0.1, weight_decay=1.0).update({"w": mx.array([1.0])}, {"w": mx.array([0.0])})
        {'w': array([0.9], dtype=float32)}
    """

    def __init__(
        self,
        learning_rate: LearningRate,
        betas: Sequence[float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        bias_correction: bool = False,
    ) -> None:
        super().__init__(learning_rate, betas, eps, bias_correction)
        self.weight_decay = weight_decay

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict) -> mx.array:
        """Return the parameter decayed and updated as by Adam, and store ``m`` and ``v``."""
        rate, root_scale, decay = self._scalars(gradient.dtype)
        return parameter * decay - self._displacement(gradient, state, rate, root_scale)

    def _step_scalars(self, dtype: mx.Dtype) -> tuple:
        """Adam's two, then what the decay leaves of a parameter."""
        decay = 1 - self._learning_rate_as(dtype) * self.weight_decay
        return (*super()._step_scalars(dtype), decay)


class Adamax(Adam):
    r"""Adam with the infinity norm (Kingma and Ba, 2015, section 7.1), without bias correction.

    .. math::

        m_{t+1} &= \beta_1 m_t + (1 - \beta_1) g_t \\
        v_{t+1} &= \max(\beta_2 v_t, |g_t|) \\
        w_{t+1} &= w_t - \lambda \frac{m_{t+1}}{v_{t+1} + \epsilon}

    Args:
        learning_rate: :math:`\lambda`, a number or a schedule.
        betas: :math:`(\beta_1, \beta_2)`, each in [0, 1).
        eps: :math:`\epsilon`, at least 0.

    Example:
        >>> import mlx.core as mx
        >>> from mlx.optimizers import Adamax
        >>> Adamax(1.0, betas=(0.5, 0.9)).update({"w": mx.array([1.0])}, {"w": mx.array([2.0])})
        {'w': array([0.5], dtype=float32)}
    """

    def __init__(self, learning_rate: LearningRate, betas: Sequence[float] = (0.9, 0.999), eps: float = 1e-8) -> None:
        super().__init__(learning_rate, betas, eps)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict) -> mx.array:
        """Return the updated parameter and store ``m`` and ``v``."""
        b1, b2 = self.betas
        learning_rate, _ = self._scalars(gradient.dtype)
        m = state["m"] = b1 * state["m"] + (1 - b1) * gradient
        v = state["v"] = mx.maximum(b2 * state["v"], mx.abs(gradient))
        return parameter - learning_rate * m / (v + self.eps)

"""Stochastic gradient descent, with and without momentum."""

import mlx.core as mx

from .base import LearningRate, Optimizer


class SGD(Optimizer):
    r"""Stochastic gradient descent with momentum (Sutskever et al., 2013, On the importance of initialization
    and momentum in deep learning).

    .. math::

        g'_t &= g_t + \gamma w_t \\
        v_{t+1} &= \mu v_t + (1 - \tau) g'_t \\
        w_{t+1} &= w_t - \lambda v_{t+1}

    With Nesterov momentum the last line uses :math:`g'_t + \mu v_{t+1}`; without momentum, :math:`g'_t`.

    Args:
        learning_rate: :math:`\lambda`, a number or a schedule.
        momentum: :math:`\mu`.
        weight_decay: :math:`\gamma`, the strength of the L2 penalty.
        dampening: :math:`\tau`.
        nesterov: look ahead along the momentum.

    Raises:
        ValueError: ``nesterov`` without momentum or with dampening.

    Example:
        >>> import mlx.core as mx
        >>> from mlx.optimizers import SGD
        >>> SGD(0.1, momentum=0.9).update({"w": mx.array([1.0])}, {"w": mx.array([2.0])})
        {'w': array([0.8], dtype=float32)}
    """

    def __init__(
        self,
        learning_rate: LearningRate,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        dampening: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError(
                f"[SGD] nesterov needs a momentum above 0 and no dampening, got momentum={momentum} and "
                f"dampening={dampening}."
            )
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.dampening = dampening
        self.nesterov = nesterov

    def init_single(self, parameter: mx.array, state: dict) -> None:
        """Start the velocity ``v`` at zero."""
        state["v"] = mx.zeros_like(parameter)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict) -> mx.array:
        """Return the updated parameter and store ``v``."""
        if self.weight_decay != 0:
            gradient = gradient + self.weight_decay * parameter
        (learning_rate,) = self._scalars(gradient.dtype)
        if self.momentum <= 0:
            return parameter - learning_rate * gradient
        fresh = gradient if self.dampening <= 0 else (1 - self.dampening) * gradient
        velocity = state["v"] = self.momentum * state["v"] + fresh
        direction = gradient + self.momentum * velocity if self.nesterov else velocity
        return parameter - learning_rate * direction

"""Lion: steps along the sign of an interpolated momentum."""

from collections.abc import Sequence

import mlx.core as mx

from .base import LearningRate, Optimizer


class Lion(Optimizer):
    r"""Lion (Chen et al., 2023, Symbolic discovery of optimization algorithms, arXiv:2302.06675).

    .. math::

        c_{t+1} &= \beta_1 m_t + (1 - \beta_1) g_t \\
        m_{t+1} &= \beta_2 m_t + (1 - \beta_2) g_t \\
        w_{t+1} &= (1 - \eta \lambda) w_t - \eta \, \text{sign}(c_{t+1})

    Every coordinate moves by the full learning rate, so the paper advises one 3 to 10 times smaller than for
    :class:`AdamW`, with a weight decay larger by the same factor.

    Args:
        learning_rate: :math:`\eta`, a number or a schedule.
        betas: :math:`(\beta_1, \beta_2)`, each in [0, 1).
        weight_decay: :math:`\lambda`.

    Example:
        >>> import mlx.core as mx
        >>> from mlx.optimizers import Lion
        >>> Lion(0.1).update({"w": mx.array([1.0, 1.0])}, {"w": mx.array([2.0, -30.0])})
        {'w': array([0.9, 1.1], dtype=float32)}
    """

    def __init__(
        self, learning_rate: LearningRate, betas: Sequence[float] = (0.9, 0.99), weight_decay: float = 0.0
    ) -> None:
        if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"[Lion] betas should be two numbers in [0, 1), got {betas}.")
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        self.betas = betas
        self.weight_decay = weight_decay

    def init_single(self, parameter: mx.array, state: dict) -> None:
        """Start the momentum ``m`` at zero."""
        state["m"] = mx.zeros_like(parameter)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict) -> mx.array:
        """Return the updated parameter and store ``m``."""
        b1, b2 = self.betas
        learning_rate, decay = self._scalars(gradient.dtype)
        m = state["m"]
        c = b1 * m + (1 - b1) * gradient
        state["m"] = b2 * m + (1 - b2) * gradient
        if decay is not None:
            parameter = decay * parameter
        return parameter - learning_rate * mx.sign(c)

    def _step_scalars(self, dtype: mx.Dtype) -> tuple:
        """The learning rate, and what the decay leaves of a parameter."""
        learning_rate = self._learning_rate_as(dtype)
        return learning_rate, 1 - learning_rate * self.weight_decay if self.weight_decay > 0 else None

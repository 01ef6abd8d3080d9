"""Adafactor: second moments of matrices kept as a row and a column."""

from collections.abc import Sequence

import mlx.core as mx

from .base import LearningRate, Optimizer


class Adafactor(Optimizer):
    r"""Adafactor (Shazeer and Stern, 2018, Adaptive learning rates with sublinear memory cost,
    arXiv:1804.04235).

    .. math::

        \beta_t &= 1 - t^d \\
        v_t &= \beta_t v_{t-1} + (1 - \beta_t) (g_t^2 + \epsilon_1) \\
        u_t &= g_t / \sqrt{v_t} \\
        w_t &= w_{t-1} - \alpha_t \, u_t / \max(1, \text{RMS}(u_t) / c)

    Of parameters of two and more dimensions only the means of :math:`v_t` over the last axis and over the
    last but one are kept; :math:`v_t` is approximated by their outer product over the mean of the former.

    Args:
        learning_rate: the step :math:`\alpha_t`, a number or a schedule; used without ``relative_step`` only.
        eps: :math:`\epsilon_1`, added to squared gradients, and :math:`\epsilon_2`, the least scale of a
            parameter.
        clip_threshold: :math:`c`, above which the root mean square of an update is scaled down.
        decay_rate: :math:`d`, below 0.
        beta_1: the share of the past in a running average of updates; ``None`` for no average.
        weight_decay: the share of a parameter taken off at each step, times :math:`\alpha_t`.
        scale_parameter: multiply :math:`\alpha_t` by :math:`\max(\epsilon_2, \text{RMS}(w_{t-1}))`.
        relative_step: use :math:`\alpha_t = \min(10^{-2}, 1/\sqrt{t})`.
        warmup_init: with ``relative_step``, :math:`10^{-6} t` takes the place of :math:`10^{-2}`.

    Example:
        >>> import mlx.core as mx
        >>> from mlx.optimizers import Adafactor
        >>> Adafactor().update({"w": mx.ones((2,))}, {"w": mx.array([3.0, -3.0])})
        {'w': array([0.99, 1.01], dtype=float32)}
    """

    def __init__(
        self,
        learning_rate: LearningRate | None = None,
        eps: Sequence[float] = (1e-30, 1e-3),
        clip_threshold: float = 1.0,
        decay_rate: float = -0.8,
        beta_1: float | None = None,
        weight_decay: float = 0.0,
        scale_parameter: bool = True,
        relative_step: bool = True,
        warmup_init: bool = False,
    ) -> None:
        super().__init__()
        if learning_rate is not None:
            self._maybe_schedule("learning_rate", learning_rate)
        self.eps = eps
        self.clip_threshold = clip_threshold
        self.decay_rate = decay_rate
        self.beta_1 = beta_1
        self.weight_decay = weight_decay
        self.scale_parameter = scale_parameter
        self.relative_step = relative_step
        self.warmup_init = warmup_init

    def init_single(self, parameter: mx.array, state: dict) -> None:
        """Start the second moments, factored from two dimensions on, and the running average at zero."""
        shape, dtype = parameter.shape, parameter.dtype
        if parameter.ndim >= 2:
            state["exp_avg_sq_row"] = mx.zeros(shape[:-1], dtype)
            state["exp_avg_sq_col"] = mx.zeros(shape[:-2] + shape[-1:], dtype)
        else:
            state["exp_avg_sq"] = mx.zeros_like(parameter)
        if self.beta_1 is not None:
            state["exp_avg"] = mx.zeros_like(parameter)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict) -> mx.array:
        """Return the updated parameter and store the second moments and the running average."""
        step_size, beta_2 = self._scalars(parameter.dtype)
        if self.scale_parameter:
            step_size = mx.maximum(self.eps[1], _root_mean_square(parameter)) * step_size
        update = self._normalized(gradient, beta_2, state)
        update = update / mx.maximum(1.0, _root_mean_square(update) / self.clip_threshold)
        update = step_size * update
        if self.beta_1 is not None:
            update = state["exp_avg"] = self.beta_1 * state["exp_avg"] + (1 - self.beta_1) * update
        if self.weight_decay != 0:
            parameter = parameter + parameter * (-self.weight_decay * step_size)
        return parameter - update

    def _step_scalars(self, dtype: mx.Dtype) -> tuple:
        """The step before scaling by the parameter, and the share of the past in the second moments."""
        step = self.step
        beta_2 = 1.0 - (step**self.decay_rate).astype(dtype)
        if not self.relative_step:
            if "learning_rate" not in self.state:
                raise KeyError("[Adafactor] relative_step=False needs a learning_rate, none was given.")
            return self._learning_rate_as(dtype), beta_2
        ceiling = 1e-6 * step if self.warmup_init else 1e-2
        return mx.minimum(ceiling, mx.rsqrt(step)).astype(dtype), beta_2

    def _normalized(self, gradient: mx.array, beta_2: mx.array, state: dict) -> mx.array:
        """The gradient over the root of its second moment, which is stored."""
        square = mx.square(gradient) + self.eps[0]
        if gradient.ndim < 2:
            moment = state["exp_avg_sq"] = beta_2 * state["exp_avg_sq"] + (1 - beta_2) * square
            return mx.rsqrt(moment) * gradient
        row, col = state["exp_avg_sq_row"], state["exp_avg_sq_col"]
        row = state["exp_avg_sq_row"] = beta_2 * row + (1 - beta_2) * mx.mean(square, axis=-1)
        col = state["exp_avg_sq_col"] = beta_2 * col + (1 - beta_2) * mx.mean(square, axis=-2)
        return self._approximate_exp_moving_avg(row, col) * gradient

    def _approximate_exp_moving_avg(self, row: mx.array, col: mx.array) -> mx.array:
        """One over the root of the second moment that its row means and column means stand for."""
        row_factor = mx.rsqrt(row / mx.mean(row, axis=-1, keepdims=True))
        return mx.expand_dims(row_factor, -1) * mx.expand_dims(mx.rsqrt(col), -2)


def _root_mean_square(x: mx.array) -> mx.array:
    return mx.sqrt(mx.mean(mx.square(x)))

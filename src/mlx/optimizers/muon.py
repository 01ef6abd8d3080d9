"""Muon: momentum steps whose matrices are made orthogonal."""

import mlx.core as mx

from .base import LearningRate, Optimizer

# The quintic of the Newton-Schulz iteration, chosen by Muon's author for a steep slope at zero: singular
# values end up between about 0.7 and 1.2, and not at exactly 1.
_QUINTIC = (3.4445, -4.7750, 2.0315)


class Muon(Optimizer):
    r"""Muon, momentum orthogonalized by Newton-Schulz (Jordan, 2024, Muon: an optimizer for hidden layers in
    neural networks, https://kellerjordan.github.io/posts/muon/).

    .. math::

        g'_t &= g_t + \gamma w_t \\
        v_{t+1} &= \mu v_t + (1 - \mu) g'_t \\
        w_{t+1} &= w_t - \lambda \sqrt{\max(1, r / c)} \, \text{orthogonal}(v_{t+1})

    for matrices of r rows and c columns. With Nesterov momentum, :math:`\mu v_{t+1} + (1 - \mu) g'_t` takes
    the place of :math:`v_{t+1}` in the last line. Parameters of more than two dimensions become matrices by
    flattening all axes but the first, while r and c stay the lengths of their last two axes. Those of fewer
    than two are not orthogonalized; they, embeddings and the last layer are better left to another optimizer,
    see :class:`MultiOptimizer`.

    Args:
        learning_rate: :math:`\lambda`, a number or a schedule.
        momentum: :math:`\mu`.
        weight_decay: :math:`\gamma`, the strength of the L2 penalty.
        nesterov: look ahead along the momentum.
        ns_steps: number of Newton-Schulz iterations.

    Example:
        >>> import mlx.core as mx
        >>> from mlx.optimizers import Muon
        >>> Muon(0.1).update({"w": mx.zeros((4, 2))}, {"w": mx.ones((4, 2))})["w"].shape
        (4, 2)
    """

    def __init__(
        self,
        learning_rate: LearningRate,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
        nesterov: bool = True,
        ns_steps: int = 5,
    ) -> None:
        super().__init__()
        self._maybe_schedule("learning_rate", learning_rate)
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.nesterov = nesterov
        self.ns_steps = ns_steps

    def init_single(self, parameter: mx.array, state: dict) -> None:
        """Start the momentum ``v`` at zero."""
        state["v"] = mx.zeros_like(parameter)

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict) -> mx.array:
        """Return the updated parameter and store ``v``."""
        if self.weight_decay != 0:
            gradient = gradient + self.weight_decay * parameter
        (learning_rate,) = self._scalars(gradient.dtype)
        mu = self.momentum
        fresh = (1 - mu) * gradient
        v = state["v"] = mu * state["v"] + fresh
        update = fresh + mu * v if self.nesterov else v
        if update.ndim >= 2 and update.size > 0:
            *_, rows, columns = update.shape
            matrix = mx.flatten(update, 1)
            update = orthogonalized(matrix, self.ns_steps).reshape(update.shape)
            learning_rate = learning_rate * max(1, rows / columns) ** 0.5
        return parameter - learning_rate * update


def orthogonalized(X: mx.array, steps: int) -> mx.array:
    """The nearest matrix with orthonormal rows or columns, roughly, by Newton-Schulz iteration.

    Args:
        X: a matrix of floats.
        steps: number of iterations.
    """
    a, b, c = _QUINTIC
    tall = X.shape[0] > X.shape[1]
    if tall:
        X = X.T
    X = X / (mx.linalg.norm(X) + 1e-7)
    for _ in range(steps):
        A = X @ X.T
        X = mx.addmm(a * X, mx.addmm(b * A, A, A, alpha=c), X)
    return X.T if tall else X

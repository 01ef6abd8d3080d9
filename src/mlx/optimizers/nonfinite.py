"""Leaving out updates whose gradients are infinite or not a number."""

import copy
from typing import Any, Self

import mlx.core as mx
from mlx.core.changes import note_assignment, note_creation
from mlx.utils import tree_flatten

from .base import Optimizer
from .state_tree import StateLog, rebuilt


def skip_nonfinite(optimizer: Optimizer) -> "SkipNonFinite":
    """Make an optimizer skip a step when any gradient is infinite or not a number.

    The parameters and the state of the optimizer, its step count as well, are then what they were. Whether to skip is
    decided by a selection in the program, so nothing is evaluated for it. (A function, since programs take the classes
    of this package for optimizers that a learning rate makes.)

    Args:
        optimizer: what applies finite gradients.

    Returns:
        An optimizer whose ``skipped`` counts the steps left out, and whose state has them as well.

    Raises:
        TypeError: ``optimizer`` is no optimizer.

    Example:
        >>> import mlx.core as mx
        >>> from mlx.optimizers import SGD, skip_nonfinite
        >>> opt = skip_nonfinite(SGD(0.5))
        >>> params = {"w": mx.array([1.0, 2.0])}
        >>> opt.update(params, {"w": mx.array([1.0, float("nan")])})
        {'w': array([1, 2], dtype=float32)}
        >>> opt.update(params, {"w": mx.array([1.0, 0.0])})
        {'w': array([0.5, 2], dtype=float32)}
        >>> opt.skipped.item(), opt.step.item()
        (1, 1)
    """
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"[skip_nonfinite] optimizer must be an Optimizer, got {type(optimizer).__name__}.")
    return SkipNonFinite(optimizer)


class SkipNonFinite(Optimizer):
    """What :func:`skip_nonfinite` makes."""

    def __init__(self, optimizer: Optimizer) -> None:
        super().__init__()
        self.optimizer = optimizer
        self._state = {"skipped": mx.array(0, mx.uint64)}
        note_creation(self._state)

    def init(self, parameters: Any) -> dict:
        """Create the state of every parameter in the optimizer inside.

        Args:
            parameters: a tree of arrays.

        Returns:
            The state as a tree in containers of its own.
        """
        return {**self._state, "optimizer": self.optimizer.init(parameters)}

    def apply_gradients(self, gradients: Any, parameters: Any) -> Any:
        """Apply gradients if all are finite; return the new parameters in the structure of the gradients.

        Args:
            gradients: a tree of arrays.
            parameters: a tree of arrays, or a module, which holds a parameter for each gradient.
        """
        log = StateLog()
        log.save_tree([self.optimizer.state])
        try:
            before = self.optimizer.init(gradients)
            updated = self.optimizer.apply_gradients(gradients, parameters)
        except BaseException:
            log.restore()
            raise
        finite = _are_finite(gradients)
        _keep_unless(finite, self.optimizer.state, before)
        note_assignment(self._state)
        self._state["skipped"] = self._state["skipped"] + mx.logical_not(finite)
        return _selected(finite, updated, parameters)

    @property
    def skipped(self) -> mx.array:
        """The number of steps skipped so far, a uint64 scalar."""
        return self._state["skipped"]

    @property
    def state(self) -> dict:
        """``skipped``, and the state of the optimizer inside as ``optimizer``."""
        return {**self._state, "optimizer": self.optimizer.state}

    @state.setter
    def state(self, state: dict) -> None:
        self._check(state)
        self.optimizer.state = state["optimizer"]
        self._state = {"skipped": state["skipped"]}

    @property
    def step(self) -> mx.array:
        """The number of updates that were not skipped, a uint64 scalar."""
        return self.optimizer.step

    @property
    def learning_rate(self) -> mx.array:
        """The learning rate of the optimizer inside; can be set to a number."""
        return self.optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: float | mx.array) -> None:
        self.optimizer.learning_rate = learning_rate

    def _check(self, state: Any) -> None:
        if not isinstance(state, dict) or not {"skipped", "optimizer"} <= state.keys():
            raise ValueError("[skip_nonfinite] state must be what init or update returned, with 'skipped' in it.")

    def _on(self, state: dict) -> Self:
        self._check(state)
        other = copy.copy(self)
        other.optimizer = self.optimizer._on(state["optimizer"])
        other._state = {"skipped": state["skipped"]}
        return other


def _are_finite(gradients: Any) -> mx.array:
    finite = mx.array(True)
    for _, gradient in tree_flatten(gradients):
        finite = finite & mx.isfinite(gradient).all()
    return finite


def _selected(condition: mx.array, new: Any, old: Any) -> Any:
    """The leaves of ``new`` where the condition holds, or those at the same places of ``old``, which may have more."""
    if isinstance(new, mx.array):
        return mx.where(condition, new, old)
    if isinstance(new, dict):
        return {key: _selected(condition, child, old[key]) for key, child in new.items()}
    return rebuilt(new, [_selected(condition, child, before) for child, before in zip(new, old, strict=False)])


def _keep_unless(condition: mx.array, state: Any, before: Any) -> None:
    """Put the arrays of ``before`` back into the containers of ``state`` unless the condition holds."""
    for key, value in list(state.items() if isinstance(state, dict) else enumerate(state)):
        if isinstance(value, mx.array):
            if value is not before[key]:
                state[key] = mx.where(condition, value, before[key])
        elif isinstance(value, (dict, list)):
            _keep_unless(condition, value, before[key])

"""Different optimizers for different parts of one parameter tree."""

import copy
from collections.abc import Callable, Sequence
from typing import Any, Self

import mlx.core as mx

from .base import Optimizer
from .state_tree import StateLog, rebuilt

Filter = Callable[[str, mx.array], bool]


class MultiOptimizer(Optimizer):
    """Several optimizers, each for those parameters that its filter picks.

    Args:
        optimizers: the optimizers; the last takes what no filter picked.
        filters: one for each optimizer but the last, called as ``filter(path, array)`` with a path like
            ``"layers.0.weight"`` and the gradient (in ``init``, the parameter). The first that is true
            decides.

    Raises:
        ValueError: no optimizer, or not one filter fewer than optimizers.

    Example:
        >>> import mlx.core as mx
        >>> from mlx.optimizers import SGD, Lion, MultiOptimizer
        >>> optimizer = MultiOptimizer([SGD(0.5), Lion(0.5)], [lambda path, array: array.ndim > 0])
        >>> params = {"w": mx.array([1.0]), "b": mx.array(1.0)}
        >>> optimizer.update(params, {"w": mx.array([4.0]), "b": mx.array(4.0)})
        {'w': array([-1], dtype=float32), 'b': array(0.5, dtype=float32)}
    """

    def __init__(self, optimizers: Sequence[Optimizer], filters: Sequence[Filter] = ()) -> None:
        if not optimizers:
            raise ValueError("[MultiOptimizer] optimizers must hold at least one optimizer, got none.")
        if len(filters) != len(optimizers) - 1:
            raise ValueError(
                f"[MultiOptimizer] {len(optimizers)} optimizers need {len(optimizers) - 1} filters, "
                f"got {len(filters)}; the last optimizer has none."
            )
        super().__init__()
        self.optimizers = list(optimizers)
        self.filters = list(filters)

    def init(self, parameters: Any) -> dict:
        """Create the state of every parameter, in the optimizer that is responsible for it.

        Args:
            parameters: a tree of arrays.

        Returns:
            The states of the optimizers, in order: ``{"states": [...]}``, in containers of their own.
        """
        parts = self._parts(parameters)
        return {"states": [optimizer.init(part) for optimizer, part in zip(self.optimizers, parts, strict=True)]}

    def apply_gradients(self, gradients: Any, parameters: Any) -> Any:
        """Apply each optimizer to its gradients; return all new parameters in the structure of the gradients.

        Args:
            gradients: a tree of arrays.
            parameters: a tree of arrays, or a module, which holds a parameter for each gradient.
        """
        log = StateLog()
        log.save_tree([optimizer.state for optimizer in self.optimizers])
        try:
            updated = [
                optimizer.apply_gradients(part, parameters)
                for optimizer, part in zip(self.optimizers, self._parts(gradients), strict=True)
            ]
        except BaseException:
            log.restore()
            raise
        return _joined(gradients, updated)

    @property
    def state(self) -> dict:
        """The states of the optimizers, in order: ``{"states": [...]}``."""
        return {"states": [optimizer.state for optimizer in self.optimizers]}

    @state.setter
    def state(self, state: dict) -> None:
        for optimizer, its_state in zip(self.optimizers, self._states("state", state), strict=True):
            optimizer.state = its_state

    def _states(self, function: str, state: Any) -> Sequence[dict]:
        states = state.get("states", ()) if isinstance(state, dict) else ()
        if len(states) != len(self.optimizers):
            raise ValueError(
                f"[MultiOptimizer.{function}] state['states'] must hold {len(self.optimizers)} states, one for "
                f"each optimizer, got {len(states)}."
            )
        return states

    def _on(self, state: dict) -> Self:
        other = copy.copy(self)
        states = self._states("update", state)
        other.optimizers = [optimizer._on(its) for optimizer, its in zip(self.optimizers, states, strict=True)]
        return other

    @property
    def step(self) -> mx.array:
        """The number of updates so far, a uint64 scalar."""
        return self.optimizers[0].step

    @property
    def learning_rate(self) -> mx.array:
        """The learning rate of the first optimizer; setting it sets that of all."""
        return self.optimizers[0].learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: float | mx.array) -> None:
        for optimizer in self.optimizers:
            optimizer.learning_rate = learning_rate

    def _parts(self, tree: Any, path: str = "") -> list[Any]:
        """The tree once for each optimizer, with only those leaves that it is responsible for."""
        count = len(self.optimizers)
        if isinstance(tree, dict):
            parts: list[Any] = [{} for _ in range(count)]
            for key, child in tree.items():
                for part, child_part in zip(parts, self._parts(child, _below(path, key)), strict=True):
                    if not (isinstance(child_part, dict) and not child_part):
                        part[key] = child_part
            return parts
        if isinstance(tree, (list, tuple)):
            # Every part keeps the length, with empty dicts in the gaps: positions are names here.
            children = [self._parts(child, _below(path, index)) for index, child in enumerate(tree)]
            return [rebuilt(tree, (parts[owner] for parts in children)) for owner in range(count)]
        parts = [{} for _ in range(count)]
        parts[self._owner(path, tree)] = tree
        return parts

    def _owner(self, path: str, leaf: mx.array) -> int:
        for owner, picks in enumerate(self.filters):
            if picks(path, leaf):
                return owner
        return len(self.filters)


def _below(path: str, key: Any) -> str:
    return f"{path}.{key}" if path else str(key)


def _joined(gradients: Any, updated: list[Any]) -> Any:
    """What the optimizers updated, each its leaves, as one tree of the structure of ``gradients``."""
    if isinstance(gradients, dict):
        return {key: _joined(child, [part[key] for part in updated if key in part]) for key, child in gradients.items()}
    if isinstance(gradients, (list, tuple)):
        children = [_joined(child, [part[i] for part in updated]) for i, child in enumerate(gradients)]
        return rebuilt(gradients, children)
    return next(part for part in updated if isinstance(part, mx.array))

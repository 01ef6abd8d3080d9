"""Formulas: functions that are called with arrays of a few kinds again and again, such as an optimizer's."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from mlx.arrays.array import array, wrap
from mlx.ir.node import Node, recorder
from mlx.ir.primitive import SCALAR
from mlx.ir.sizes import open_sizes
from mlx.primitives.recipe import Recipe

KINDS_KEPT = 4096


class Formulas:
    """What formulas recorded, to record it again as one step where no transform is open.

    A formula is told by its key. What it computes has to depend on nothing but its key and the arrays that it is called
    with, which it must not update in place.
    """

    def __init__(self) -> None:
        self._recipes: dict[Hashable, Recipe | None] = {}

    def __call__(
        self, key: Hashable, arrays: Sequence[array], compute: Callable[[], Sequence[array]]
    ) -> Sequence[array]:
        """The results of a formula for these arrays: those of `compute`, where they are not known otherwise."""
        mine = recorder()
        if mine.open_transforms or open_sizes:
            return compute()
        nodes = [x._node for x in arrays]
        kind = key, tuple([node.shape for node in nodes]), tuple([node.dtype for node in nodes])
        recipe = self._recipes.get(kind)
        if recipe is not None:
            return [wrap(result) for result in recipe.call(nodes)]
        if kind in self._recipes or len(self._recipes) >= KINDS_KEPT:
            return compute()
        pending, length = mine.pending, len(mine.pending)
        results = compute()
        if mine.pending is pending and _are_told_apart(nodes):
            self._recipes[kind] = _recipe(nodes, pending[length:], results)
        return results

    def __deepcopy__(self, memo: dict[int, Any]) -> Formulas:
        return Formulas()

    def __reduce__(self) -> tuple[type[Formulas], tuple[()]]:
        return Formulas, ()


def _are_told_apart(nodes: list[Node]) -> bool:
    """Whether one can tell which of the nodes an operand is, and that no rule looked at its value."""
    return len(set(nodes)) == len(nodes) and all(node.primitive is not SCALAR for node in nodes)


def _recipe(sources: list[Node], recorded: list[Node], results: Sequence[array]) -> Recipe | None:
    """The recipe of what was recorded; None where it reads something else, which could be another one the next time."""
    try:
        return Recipe(sources, recorded, [result._node for result in results])
    except LookupError:
        return None

"""Recipes: recorded nodes as steps that can be recorded again on other operands of the same kinds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, Shape, record
from mlx.ir.outline import picker
from mlx.ir.primitive import SCALAR, Params, Primitive


class _Step(NamedTuple):
    primitive: Primitive
    operands: Callable[[Sequence[Node]], tuple[Node, ...]]
    params: Params
    shape: Shape
    dtype: Dtype


class Recipe:
    """The steps from some nodes, the sources, to results. It holds no node but Python numbers."""

    __slots__ = ("_numbers", "_results", "_steps")

    def __init__(self, sources: Sequence[Node], nodes: Sequence[Node], results: Sequence[Node | None]) -> None:
        """The steps that `nodes`, in recorded order, are; those that no result needs are left out.

        Raises:
            LookupError: an operand or a result is neither a source nor one of the nodes nor a Python number.
        """
        needed = {result for result in results if result is not None}
        for node in reversed(nodes):
            if node in needed:
                needed.update(node.inputs)
        steps = [node for node in nodes if node in needed]
        places = {node: place for place, node in enumerate(sources)}
        self._numbers = [node for node in needed if node.primitive is SCALAR and node not in places]
        for node in [*self._numbers, *steps]:
            places[node] = len(places)
        self._steps = [
            _Step(node.primitive, picker([places[x] for x in node.inputs]), node.params, node.shape, node.dtype)
            for node in steps
        ]
        self._results = [None if result is None else places[result] for result in results]

    def record(self, sources: list[Node]) -> list[Any]:
        """Record the steps on other sources; returns the results, None where there was none."""
        known = sources + self._numbers
        add = known.append
        for primitive, operands, params, shape, dtype in self._steps:
            add(record(primitive, operands(known), params, shape, dtype))
        return [None if place is None else known[place] for place in self._results]

"""Recipes: recorded nodes as steps that can be recorded again on other operands of the same kinds, or called as one.

A call is one node in place of many, recorded where no transform will look at it. The planner puts the steps in its
place when it meets it for the first time, so that engines know nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, Shape, record
from mlx.ir.outline import picker
from mlx.ir.primitive import SCALAR, Params, Primitive
from mlx.ir.walk import needed_by
from mlx.primitives.structure import PROJECT

# The steps of a recipe as one node, with an output for each that is a result; params are (recipe,).
CALL = Primitive("call", arity=None, many=True, listed=False)

Make = Callable[[Primitive, tuple[Node, ...], Params, Shape, Dtype], Node]


class _Step(NamedTuple):
    primitive: Primitive
    operands: Callable[[Sequence[Node]], tuple[Node, ...]]
    params: Params
    shape: Shape
    dtype: Dtype


class Recipe:
    """The steps from some nodes, the sources, to results. It holds no node but Python numbers."""

    __slots__ = ("_dtypes", "_numbers", "_outputs", "_read", "_results", "_shapes", "_steps")

    def __init__(self, sources: Sequence[Node], nodes: list[Node], results: Sequence[Node | None]) -> None:
        """The steps that `nodes`, in recorded order, are; those that no result needs are left out.

        Raises:
            LookupError: an operand or a result is neither a source nor one of the nodes nor a Python number.
        """
        steps = needed_by(nodes, results)
        read = {operand for node in steps for operand in node.inputs}
        given = {source: place for place, source in enumerate(sources)}
        used = [source for source in given if source in read]
        self._read = picker([given[source] for source in used])
        self._numbers = [node for node in read if node.primitive is SCALAR and node not in given]
        places = {node: place for place, node in enumerate([*used, *self._numbers, *steps])}
        self._steps = [
            _Step(node.primitive, picker([places[x] for x in node.inputs]), node.params, node.shape, node.dtype)
            for node in steps
        ]
        outputs = [node for node in steps if node in set(results)]
        self._outputs = picker([places[node] for node in outputs])
        self._shapes = tuple([node.shape for node in outputs])
        self._dtypes = tuple([node.dtype for node in outputs])
        ends = {node: place for place, node in enumerate([*outputs, *sources, None])}
        self._results = picker([ends[node] for node in results])

    def record(self, sources: list[Node]) -> list[Any]:
        """Record the steps on other sources; returns the results, None where there was none."""
        return self._from(sources, self.outputs(self._read(sources), record))

    def call(self, sources: list[Node]) -> list[Any]:
        """The same with one node for the steps and one for each result. Only where no transform is open."""
        if len(self._steps) <= len(self._shapes) + 1:
            return self.record(sources)
        call = record(CALL, self._read(sources), (self,), self._shapes, self._dtypes)  # type: ignore[arg-type]
        kinds = enumerate(zip(self._shapes, self._dtypes, strict=True))
        return self._from(sources, [record(PROJECT, (call,), (i,), shape, dtype) for i, (shape, dtype) in kinds])

    def outputs(self, read: Sequence[Node], make: Make) -> Sequence[Node]:
        """The nodes of the outputs, where `make` makes the node of each step; `read` are those that a call reads."""
        known = [*read, *self._numbers]
        add = known.append
        for primitive, operands, params, shape, dtype in self._steps:
            add(make(primitive, operands(known), params, shape, dtype))
        return self._outputs(known)

    def _from(self, sources: Sequence[Node], outputs: Sequence[Node]) -> list[Any]:
        return list(self._results([*outputs, *sources, None]))

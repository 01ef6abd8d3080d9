"""Reverse mode on the recorded graph: from cotangents of outputs to cotangents of inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlx.ir.node import Node
from mlx.ir.walk import ancestors, dependents
from mlx.primitives.structure import PROJECT


def backward(outputs: Sequence[Node], cotangents: Sequence[Node], tracers: Sequence[Node]) -> list[Node | None]:
    """The cotangents of `tracers`, given those of `outputs`; None where nothing arrives.

    Visits only what lies between: nodes recorded since the first tracer that depend on one and reach an output.
    Everything it records is ordinary nodes, so it can be differentiated again.
    """
    first = min((tracer.serial for tracer in tracers), default=0)
    between = dependents(ancestors(outputs, since=first), tracers)
    active = {*tracers, *between}
    arrived: dict[Node, Any] = {}
    for output, cotangent in zip(outputs, cotangents, strict=True):
        if output in active:
            _add(arrived, output, cotangent)
    for node in reversed(between):
        g = arrived.pop(node, None)
        if g is None:
            continue
        if node.primitive is PROJECT:
            _add_projected(arrived, node, g)
            continue
        wanted = [index for index, operand in enumerate(node.inputs) if operand in active]
        for index, cotangent in zip(wanted, node.primitive.pull_back(node, g, wanted), strict=True):
            if cotangent is not None:
                _add(arrived, node.inputs[index], cotangent)
    return [arrived.get(tracer) for tracer in tracers]


def _add(arrived: dict[Node, Any], node: Node, cotangent: Node) -> None:
    before = arrived.get(node)
    arrived[node] = cotangent if before is None else before + cotangent


def _add_projected(arrived: dict[Node, Any], node: Node, g: Node) -> None:
    """Put the cotangent of one output into the list that the node with many outputs collects."""
    (many,) = node.inputs
    (index,) = node.params
    collected = arrived.setdefault(many, [None] * len(many.shape))
    before = collected[index]
    collected[index] = g if before is None else before + g

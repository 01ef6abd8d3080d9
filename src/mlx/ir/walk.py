"""Walks over the recorded program. All are iterative, so that the depth of a graph is bounded by memory alone."""

from __future__ import annotations

from collections.abc import Iterable
from operator import attrgetter

from mlx.ir.node import Node

_serial = attrgetter("serial")


def in_recorded_order(nodes: Iterable[Node]) -> list[Node]:
    """Nodes in the order in which they were recorded, which is also an order of computation."""
    return sorted(nodes, key=_serial)


def ancestors(outputs: Iterable[Node], since: int = -1) -> list[Node]:
    """All nodes that `outputs` depend on, themselves included, in recorded order.

    Nodes recorded before serial number `since` are left out, and what lies behind them is not visited.
    """
    found: set[Node] = set()
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node.serial >= since and node not in found:
            found.add(node)
            stack.extend(node.inputs)
    return in_recorded_order(found)


def dependents(nodes: list[Node], sources: Iterable[Node]) -> list[Node]:
    """Those of `nodes` (in recorded order) that depend on `sources` through differentiable primitives.

    A step from floating numbers to integers or booleans (a cast, a rounding to an index) passes no derivative.
    """
    active = set(sources)
    between = []
    for node in nodes:
        if not node.primitive.differentiable or node in active:
            continue
        discrete = not node.primitive.many and not node.dtype.is_inexact
        for operand in node.inputs:
            if operand in active and not (discrete and (operand.primitive.many or operand.dtype.is_inexact)):
                active.add(node)
                between.append(node)
                break
    return between


def needed_by(nodes: list[Node], ends: Iterable[Node | None]) -> list[Node]:
    """Those of `nodes` (in an order of computation) that are among `ends` or that one of these needs."""
    needed = set(ends)
    for node in reversed(nodes):
        if node in needed:
            needed.update(node.inputs)
    return [node for node in nodes if node in needed]

"""Reverse mode on the recorded graph: from cotangents of outputs to cotangents of inputs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from mlx.ir.node import Node, recorder
from mlx.ir.outline import Outline, Outlines
from mlx.ir.primitive import Leaf
from mlx.ir.sizes import open_sizes
from mlx.ir.walk import ancestors, dependents
from mlx.primitives.recipe import Recipe
from mlx.primitives.structure import PROJECT


def backward(
    outputs: Sequence[Node], cotangents: Sequence[Node], tracers: Sequence[Node], is_last: bool = False
) -> list[Node | None]:
    """The cotangents of `tracers`, given those of `outputs`; None where nothing arrives.

    Everything it records is ordinary nodes, so it can be differentiated again. Where it finds what it found before, as
    in every step of a loop, it records what it recorded then, without asking the rules; and that as one step, if what
    calls it is the last to look at it and no other transform is open.
    """
    if not tracers or open_sizes:
        return _pull_back(outputs, cotangents, tracers)
    pending = recorder().pending
    first = min(tracer.serial for tracer in tracers)
    window = pending[bisect_left(pending, first, key=_serial) :]
    ends = (*outputs, *cotangents, *tracers)
    variants = _known.of(window)
    for known in variants.candidates:
        sources = _sources(known.outline, window, ends, first)
        if sources is not None:
            variants.fits()
            if is_last and recorder().open_transforms == 1:
                return known.recipe.call(sources)
            return known.recipe.record(sources)
    length = len(pending)
    products = _pull_back(outputs, cotangents, tracers)
    if variants.missed() and recorder().pending is pending:
        known = _learned(window, ends, first, pending[length:], products)
        if known is not None:
            _known.learn(variants, known)
    return products


class _Known(NamedTuple):
    """How the backward pass of nodes with an outline is recorded."""

    outline: Outline
    recipe: Recipe


_known: Outlines[_Known] = Outlines()
_serial = attrgetter("serial")


def _sources(outline: Outline, window: list[Node], ends: tuple[Node, ...], first: int) -> list[Node] | None:
    """The nodes that a backward pass reads, if those of the window have the outline.

    The window begins with serial number `first`. What was evaluated since then is not in it any more, though it may
    depend on a tracer.
    """
    leaves = outline.leaves(window, ends)
    if leaves is None or any(leaf.serial >= first and not isinstance(leaf.primitive, Leaf) for leaf in leaves):
        return None
    return window + leaves


def _learned(
    window: list[Node], ends: tuple[Node, ...], first: int, recorded: list[Node], products: list[Node | None]
) -> _Known | None:
    """The backward pass that was recorded, unless another one of nodes with this outline could be different."""
    if any(node.primitive.for_transforms for node in window):
        return None  # its rules are the user's
    outline = Outline(window, exact=True, ends=ends)
    sources = _sources(outline, window, ends, first)
    if sources is None:
        return None
    try:
        return _Known(outline, Recipe(sources, recorded, products))
    except LookupError:  # a rule reads something else
        return None


def _pull_back(outputs: Sequence[Node], cotangents: Sequence[Node], tracers: Sequence[Node]) -> list[Node | None]:
    """The backward pass by the rules of the primitives.

    Visits only what lies between: nodes recorded since the first tracer that depend on one and reach an output.
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

"""Which output of a program takes the memory of which donated leaf, and when that may be overwritten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlx.primitives.shape import RESHAPE, TRANSPOSE
from mlx.primitives.structure import STOP_GRADIENT, TRACER

if TYPE_CHECKING:
    from mlx.runtime.compiler import Step

Kind = tuple[int, Any]  # size and dtype

_SAME_MEMORY = (TRACER, STOP_GRADIENT, RESHAPE, TRANSPOSE)
_STEPS_OF_AN_UPDATE = 64  # that are looked at before an output


def read_again_by_products(steps: Sequence[Step], donated: set[int]) -> dict[int, int]:
    """By the number of a product or a convolution, the donated leaf that it reads and that another one has read before.

    Such as a weight that the gradient of a layer's input is computed with. Nothing says that this comes before the
    weight's update. So XLA's compiler for CPUs copies the weight at the start, unless the update is told.
    """
    source = {number: number for number in donated}
    seen: set[int] = set()
    again = {}
    for step in steps:
        if step.primitive in _SAME_MEMORY:
            (operand,) = step.operands
            if operand in source:
                source[step.number] = source[operand]
        elif step.primitive.reads_memory:
            for leaf in {source[operand] for operand in step.operands if operand in source}:
                if leaf in seen:
                    again[step.number] = leaf
                seen.add(leaf)
    return again


def order_of_outputs(
    steps: Sequence[Step], donated: Mapping[int, Kind], output_numbers: Sequence[int], kinds: Sequence[Kind]
) -> list[int]:
    """The positions of the outputs in an order in which each donated leaf gives its memory to what it is updated to.

    JAX pairs donated arguments and results of a kind in their order. Where gradients are results as well they would
    take the memory of the weights, the weights that of the optimizer's averages, and XLA would copy all of them first.

    Args:
        steps: the program.
        donated: size and dtype of the donated leaves, by their numbers, in the order of the arguments.
        output_numbers: the numbers of the outputs.
        kinds: their sizes and dtypes.
    """
    found = []
    by_number = {step.number: step for step in steps}
    for position, (number, kind) in enumerate(zip(output_numbers, kinds, strict=True)):
        for distance, leaf in enumerate(_elementwise_sources(number, by_number)):
            if donated.get(leaf) == kind:
                found.append((distance, position, leaf))
    taker: dict[int, int] = {}
    taken: set[int] = set()
    for _, position, leaf in sorted(found):
        if leaf not in taker and position not in taken:
            taker[leaf] = position
            taken.add(position)
    order = list(range(len(output_numbers)))
    for kind in dict.fromkeys(donated.values()):
        places = [position for position in order if kinds[position] == kind]
        others = [position for position in places if position not in taken]
        givers = [leaf for leaf, its in donated.items() if its == kind]
        first = [taker[leaf] if leaf in taker else others.pop(0) for leaf in givers if leaf in taker or others]
        for place, position in zip(places, [*first, *others], strict=True):
            order[place] = position
    return order


def _elementwise_sources(number: int, by_number: Mapping[int, Step]) -> list[int]:
    """What a value is computed from, the nearest first, up to products, which read their operands from memory."""
    sources = [number]
    for source in sources:  # grows on the way
        step = by_number.get(source)
        if step is not None and not step.primitive.reads_memory and len(sources) < _STEPS_OF_AN_UPDATE:
            sources.extend(operand for operand in step.operands if operand not in sources)
    return sources

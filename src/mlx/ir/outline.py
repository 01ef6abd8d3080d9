"""Outlines of recorded nodes: whether a sequence of nodes is the same program as an earlier one, told without a walk.

A loop records the same nodes in every step. What was worked out for them once (a plan, a backward pass) is kept with
their outline and filled in by position when nodes of the same outline come again. To find out means to compare a few
flat lists, which takes a fraction of the time of looking at each node.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from operator import itemgetter
from threading import Lock
from typing import Any, Generic, TypeVar

from mlx.ir.node import Node
from mlx.ir.primitive import SCALAR, Primitive, is_static

NODES_KEPT = 300_000  # of all sequences together, each counted once for itself and once for each of its variants
VARIANTS_KEPT = 8  # of one sequence
PATIENCE = 16  # misses in a row after which a sequence is seldom looked for

Known = TypeVar("Known")


class Outline:
    """The structure of a sequence of nodes, none of which it holds.

    Operands are known by their slot: the position of one of the nodes, or behind these, the position among the leaves,
    which are all other operands in order of first use.

    An exact outline tells nodes apart by all their parameters and Python numbers. One that is not leaves out what does
    not belong to the key of a program: see `Primitive.dynamic`, `Primitive.for_transforms` and `is_static`.
    """

    __slots__ = ("_are_numbers", "_exact", "_first_uses", "_kinds", "_operands", "_params", "_shortened", "_size")

    def __init__(self, nodes: Sequence[Node], exact: bool, ends: tuple[Node, ...] = ()) -> None:
        """Outline nodes, and other nodes `ends` that count as operands: which they are belongs to the outline."""
        self._exact = exact
        self._shortened = () if exact else [i for i, node in enumerate(nodes) if _is_shortened(node.primitive)]
        self._params = self._params_of(nodes)
        slots = {node: position for position, node in enumerate(nodes)}
        leaves: list[Node] = []
        first_uses: list[int] = []
        operands: list[int] = []
        for operand in _operands_of(nodes) + ends:
            slot = slots.get(operand)
            if slot is None:
                slot = slots[operand] = len(slots)
                first_uses.append(len(operands))
                leaves.append(operand)
            operands.append(slot)
        self._size = len(operands)
        self._operands = picker(operands)
        self._first_uses = picker(first_uses)
        self._are_numbers = [leaf.primitive is SCALAR for leaf in leaves]
        # A Python number stands for itself, since equal ones share a node. It holds no memory.
        self._kinds = [leaf if leaf.primitive is SCALAR else (leaf.dtype, leaf.shape) for leaf in leaves]

    def leaves(self, nodes: list[Node], ends: tuple[Node, ...] = ()) -> list[Node] | None:
        """The leaves of nodes of the same primitives, in order of first use; None if their outline is another one."""
        if self._params_of(nodes) != self._params:
            return None
        operands = _operands_of(nodes) + ends
        if len(operands) != self._size:
            return None
        leaves = list(self._first_uses(operands))
        if self._operands(nodes + leaves) != operands or len(set(leaves)) < len(leaves):
            return None
        if [leaf.primitive is SCALAR for leaf in leaves] != self._are_numbers:
            return None
        for leaf, kind in zip(leaves, self._kinds, strict=True):
            if leaf is not kind and (leaf.dtype, leaf.shape) != kind and not self._is_such_a_number(leaf, kind):
                return None
        return leaves

    def _params_of(self, nodes: Sequence[Node]) -> list[tuple[Hashable, ...]]:
        params = [node.params for node in nodes]
        for position in self._shortened:
            params[position] = params[position][1:]
        return params

    def _is_such_a_number(self, leaf: Node, kind: Any) -> bool:
        if leaf.primitive is not SCALAR or leaf.dtype is not kind.dtype:
            return False
        value, wanted = leaf.params[0], kind.params[0]
        if self._exact or is_static(wanted):
            return repr(value) == repr(wanted)  # as text, in which 0.0 is not -0.0 and nan is nan
        return not is_static(value)  # type: ignore[arg-type]


class Variants(Generic[Known]):
    """What is known of the outlines of one sequence of primitives, which differ in shapes and parameters."""

    __slots__ = ("_known", "_misses", "_streak", "length")

    def __init__(self, length: int) -> None:
        self.length = length
        self._known: list[Known] = []
        self._misses = 0
        self._streak = 0

    @property
    def weight(self) -> int:
        return self.length * (1 + len(self._known))

    @property
    def candidates(self) -> Sequence[Known]:
        """What to try. Where nothing has fitted for long, as with a cache that grows, that is mostly nothing."""
        if self._streak >= PATIENCE and not _is_power_of_two(self._streak):
            return ()
        return self._known

    def fits(self) -> None:
        """Say that a candidate fitted."""
        self._streak = 0

    def missed(self) -> bool:
        """Say that none did, and ask whether what fits should be learned.

        The first time it should not, since most programs never come again; later ever more seldom, for a sequence that
        always comes in other shapes.
        """
        self._streak += 1
        self._misses += 1
        return self._misses > 1 and _is_power_of_two(self._misses)

    def learn(self, known: Known) -> None:
        self._known.append(known)
        if len(self._known) > VARIANTS_KEPT:
            del self._known[0]


class Outlines(Generic[Known]):
    """What is known of sequences of nodes, by their primitives. The oldest are forgotten. Safe from several threads."""

    def __init__(self) -> None:
        self._sequences: dict[tuple[Primitive, ...], Variants[Known]] = {}
        self._weight = 0
        self._lock = Lock()

    def of(self, nodes: Sequence[Node]) -> Variants[Known]:
        primitives = tuple([node.primitive for node in nodes])
        variants = self._sequences.get(primitives)
        if variants is None:
            variants = Variants(len(primitives))
            with self._lock:
                if primitives not in self._sequences:
                    self._sequences[primitives] = variants
                    self._add(variants.weight)
        return variants

    def learn(self, variants: Variants[Known], known: Known) -> None:
        with self._lock:
            self._weight -= variants.weight
            variants.learn(known)
            self._add(variants.weight)

    def _add(self, weight: int) -> None:
        self._weight += weight
        while self._weight > NODES_KEPT and len(self._sequences) > 1:
            oldest = self._sequences.pop(next(iter(self._sequences)))
            self._weight -= oldest.weight
            oldest.length = 0  # for who still holds it and learns


def picker(positions: list[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """A function that picks what stands at some positions of a sequence."""
    if len(positions) > 1:
        return itemgetter(*positions)
    return lambda sequence: tuple([sequence[position] for position in positions])


def _is_power_of_two(count: int) -> bool:
    return count & (count - 1) == 0


def _operands_of(nodes: Sequence[Node]) -> tuple[Node, ...]:
    operands: list[Node] = []
    for node in nodes:
        operands += node.inputs  # twice as fast as a comprehension
    return tuple(operands)


def _is_shortened(primitive: Primitive) -> bool:
    return primitive.dynamic or primitive.for_transforms

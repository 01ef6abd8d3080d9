"""Plans of pending nodes that come again, as in every step of a training loop.

What a plan depends on, besides the outline of the pending nodes, is which of them something outside still holds. Equal
outlines count the same uses among themselves, so equal reference counts mean that the same nodes are held.
"""

from __future__ import annotations

from sys import getrefcount

from mlx.ir.node import Node, detached, recorder
from mlx.ir.outline import Outline, Outlines, Variants, picker
from mlx.runtime.plan import Plan

LEAST_NODES = 8  # below which planning takes no longer than to find out that it can be spared


class Draft:
    """What is noted of pending nodes before planning consumes their list. It holds none of them."""

    def __init__(self, variants: Variants[KnownPlan], pending: list[Node], roots: list[Node] | None) -> None:
        self._variants = variants
        self.counts = list(map(getrefcount, pending))
        self.outline = Outline(pending, exact=False)
        self.positions = {node.serial: position for position, node in enumerate(pending)}
        self.leaves = {node.serial: position for position, node in enumerate(self.outline.leaves(pending) or ())}
        self.roots = None if roots is None else [self.positions.get(root.serial, -1) for root in roots]

    def learn(self, plan: Plan, rest: list[Node]) -> None:
        """Keep the plan that was made of the pending nodes, and left `rest` of them pending."""
        _known.learn(self._variants, KnownPlan(self, plan, rest))


class KnownPlan:
    """A plan as positions among the pending nodes and their leaves.

    Of steps of recipes, which are not among the pending nodes, it keeps nodes without operands, and the numbers.
    """

    __slots__ = (
        "_counts",
        "_held",
        "_key",
        "_leaf_numbers",
        "_leaves",
        "_nodes",
        "_numbers",
        "_numbers_of_steps",
        "_outline",
        "_output_numbers",
        "_recorded",
        "_rest",
        "_roots",
        "_scalars",
        "_size",
        "_steps",
        "_uses",
    )

    def __init__(self, draft: Draft, plan: Plan, rest: list[Node]) -> None:
        self._outline = draft.outline
        self._counts = draft.counts
        self._roots = draft.roots
        self._leaf_numbers, self._output_numbers = plan.leaf_numbers, plan.output_numbers
        self._size, self._key = plan.size, plan.key
        self._uses = plan.count_uses(plan.recorded)

        positions = draft.positions
        self._recorded = picker([positions[node.serial] for node in plan.recorded])
        self._held = picker([positions[node.serial] for node in plan.held])
        self._rest = picker([positions[node.serial] for node in rest])
        self._steps: list[Node] = []
        places = []
        for node in plan.nodes:
            if node.serial in positions:
                places.append(positions[node.serial])
            else:
                places.append(len(positions) + len(self._steps))
                self._steps.append(detached(node.primitive, (), node.params, node.shape, node.dtype))
        self._nodes = picker(places)
        self._numbers = [place for place, node in enumerate(plan.nodes) if node.primitive.dynamic]

        leaves = draft.leaves
        self._leaves = picker([leaves[node.serial] for node in plan.leaves])
        self._numbers_of_steps = [node for node in plan.scalars if node.serial not in leaves]
        leaves = {**leaves, **{node.serial: len(leaves) + i for i, node in enumerate(self._numbers_of_steps)}}
        self._scalars = picker([leaves[node.serial] for node in plan.scalars])

    def plan(self, pending: list[Node], roots: list[Node] | None) -> Plan | None:
        """The plan of other pending nodes; None where it could be another one."""
        if list(map(getrefcount, pending)) != self._counts or not self._are_roots(pending, roots):
            return None
        leaves = self._outline.leaves(pending)
        if leaves is None:
            return None
        for leaf in leaves:
            if leaf.value is None:
                return None
        nodes = list(self._nodes(pending + self._steps))
        plan = Plan(nodes, list(self._held(pending)))
        plan.recorded = list(self._recorded(pending))
        plan.leaves, plan.scalars = list(self._leaves(leaves)), list(self._scalars(leaves + self._numbers_of_steps))
        plan.numbers = [nodes[place].params[0] for place in self._numbers]
        plan.leaf_numbers, plan.output_numbers = self._leaf_numbers, self._output_numbers
        plan.size, plan.key, plan.uses = self._size, self._key, self._uses
        recorder().pending = list(self._rest(pending))
        return plan

    def _are_roots(self, pending: list[Node], roots: list[Node] | None) -> bool:
        if roots is None or self._roots is None:
            return roots is self._roots
        return [pending[position] for position in self._roots] == roots


_known: Outlines[KnownPlan] = Outlines()


def plan_as_before(pending: list[Node], roots: list[Node] | None) -> tuple[Plan | None, Draft | None]:
    """The plan of pending nodes if it is known; otherwise a draft if it should be learned."""
    if len(pending) < LEAST_NODES or [node.value for node in pending].count(None) < len(pending):
        return None, None  # another thread computed some of them
    variants = _known.of(pending)
    for known in variants.candidates:
        plan = known.plan(pending, roots)
        if plan is not None:
            variants.fits()
            return plan, None
    if not variants.missed():
        return None, None
    draft = Draft(variants, pending, roots)
    return None, draft if draft.roots is None or -1 not in draft.roots else None

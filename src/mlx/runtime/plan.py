"""Plans: the nodes that one evaluation computes, in order, with what it reads, what it keeps and its canonical key."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from operator import add
from sys import getrefcount
from typing import Protocol

from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, Shape, detached
from mlx.ir.primitive import SCALAR, Params, Primitive, is_static
from mlx.ir.trace import Trace
from mlx.ir.walk import needed_by
from mlx.primitives.recipe import CALL
from mlx.primitives.structure import PROJECT


class Inputs(Protocol):
    """What a program is run on: leaves and Python numbers in the order of its plan, and the parameters of its steps."""

    leaves: list[Node]
    scalars: list[Node]
    numbers: list[Hashable]

    @property
    def params(self) -> Iterable[tuple[Hashable, ...]]: ...

    def releasable(self, least_bytes: int) -> set[int]:
        """Positions of leaves of some size that nothing but these inputs holds: their memory can be used again."""
        ...


class Key:
    """What makes two plans the same program. Its hash is computed once, for it is long and looked up in every step."""

    __slots__ = ("_hash", "parts")

    def __init__(self, parts: tuple[Hashable, ...]) -> None:
        self.parts = parts
        self._hash = hash(parts)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (type(other) is Key and self.parts == other.parts)


class Plan:
    """One evaluation: `nodes` in order, `leaves` in order of first use, `outputs` among the nodes.

    `recorded` and `held` are nodes and outputs as the program was recorded. `nodes` and `outputs` are the same ones,
    or, where calls of recipes were recorded, copies with the steps in place of the calls.

    Nodes, leaves and Python numbers share one numbering, kept in `Node.index` until `release`; `leaf_numbers` and
    `output_numbers` repeat it where it outlives that. `numbers` are the parameters that change values but no shapes
    (slice starts): they are no part of the key. `uses` says how often the nodes use each leaf, where it is known.
    """

    __slots__ = (
        "constants",
        "held",
        "key",
        "leaf_numbers",
        "leaves",
        "nodes",
        "numbers",
        "output_numbers",
        "outputs",
        "recorded",
        "scalars",
        "size",
        "uses",
    )

    def __init__(self, nodes: list[Node], outputs: list[Node]) -> None:
        self.nodes = self.recorded = nodes
        self.outputs = self.held = outputs
        self.leaves: list[Node] = []
        self.leaf_numbers: list[int] = []
        self.constants: list[Node] = []
        self.scalars: list[Node] = []
        self.output_numbers: list[int] = []
        self.numbers: list[Hashable] = []
        self.size = 0
        self.key: Hashable = None
        self.uses: list[int] | None = None

    @property
    def params(self) -> Iterable[tuple[Hashable, ...]]:
        return [node.params for node in self.nodes]

    def enter_leaf(self, leaf: Node, number: int, fixed: bool) -> Hashable:
        """Enter a leaf under its number, and return what the key says of it. A fixed program has no numbers to vary."""
        if leaf.primitive is not SCALAR:
            self.leaves.append(leaf)
            self.leaf_numbers.append(number)
            return leaf.dtype, leaf.shape
        if fixed:
            self.constants.append(leaf)
            return leaf.dtype, repr(leaf.params)  # as text, in which 0.0 is not -0.0 and nan is nan
        if is_static(leaf.params[0]):  # type: ignore[arg-type]
            self.constants.append(leaf)
            return leaf.dtype, leaf.params, True
        self.scalars.append(leaf)
        return leaf.dtype

    def releasable(self, least_bytes: int) -> set[int]:
        positions = [
            position
            for position, node in enumerate(self.leaves)
            if node.value is not None and node.value.nbytes >= least_bytes
        ]
        if not positions:
            return set()
        if self.uses is None:
            self.uses = self.count_uses(self.nodes)
            if self.recorded is not self.nodes:
                self.uses = list(map(add, self.uses, self.count_uses(self.recorded)))
        free = set()
        for position in positions:
            node = self.leaves[position]
            if getrefcount(node) == COUNT_WITHOUT_HOLDER + 1 + self.uses[position]:  # also in `leaves`
                free.add(position)
        return free

    def count_uses(self, nodes: list[Node]) -> list[int]:
        """How often nodes use each leaf."""
        uses = dict.fromkeys(self.leaves, 0)
        for node in nodes:
            for operand in node.inputs:
                if operand in uses:
                    uses[operand] += 1
        return list(uses.values())

    def numbered(self) -> Plan:
        """The same plan with numbers in its nodes, for who wants to read them there."""
        return self if self.nodes[0].index >= 0 else plan_of(self.recorded, self.held)

    def release(self) -> None:
        """Give back the planner's marks on nodes that outlive the plan."""
        for nodes in (self.nodes, self.leaves, self.constants, self.scalars):
            for node in nodes:
                node.index = -1


def plan_trace(trace: Trace) -> Plan:
    """Plan the program of a trace. Python numbers and parameters are constants of it, since they never change."""
    return number(trace.nodes, trace.computed, fixed=True)


def plan_of(recorded: list[Node], held: list[Node]) -> Plan:
    """The plan of nodes of the recorded program, of which some are held."""
    if all(node.primitive is not CALL for node in recorded):
        return number(recorded, held)
    nodes, outputs = _with_steps(recorded, held)
    plan = number(nodes, outputs)
    plan.recorded, plan.held = recorded, held
    return plan


def _with_steps(recorded: list[Node], held: list[Node]) -> tuple[list[Node], list[Node]]:
    """Copies of nodes with the steps of recipes in place of calls, as far as something held needs them.

    So the program is the same one as if the steps had been recorded. Copies have their original's serial number.
    """
    nodes: list[Node] = []
    copies: dict[Node, Node] = {}
    outputs: dict[Node, Sequence[Node]] = {}

    def make(primitive: Primitive, inputs: tuple[Node, ...], params: Params, shape: Shape, dtype: Dtype) -> Node:
        nodes.append(detached(primitive, inputs, params, shape, dtype))
        return nodes[-1]

    for node in recorded:
        operands = tuple([copies.get(operand, operand) for operand in node.inputs])
        if node.primitive is CALL:
            (recipe,) = node.params
            outputs[node] = recipe.outputs(operands, make)  # type: ignore[attr-defined]
        elif node.primitive is PROJECT and node.inputs[0] in outputs:
            copies[node] = outputs[node.inputs[0]][node.params[0]]  # type: ignore[index]
        else:
            copies[node] = make(node.primitive, operands, node.params, node.shape, node.dtype)
            copies[node].serial = node.serial
    ends = [copies[node] for node in held]
    return needed_by(nodes, ends), ends


def number(nodes: list[Node], outputs: list[Node], fixed: bool = False) -> Plan:
    """Number nodes and leaves in order and write down the canonical key.

    The key is flat, which is quickest to write and to hash: a primitive, its static parameters, the numbers of its
    operands with the kind of each leaf before its first use, and so on; at the end the numbers of the outputs.
    """
    plan = Plan(nodes, outputs)
    key: list[Hashable] = []
    write = key.append
    count = 0
    for node in nodes:
        primitive = node.primitive
        write(primitive)
        if primitive.dynamic and not fixed:
            plan.numbers.append(node.params[0])
            write(node.params[1:])
        elif primitive.for_transforms:
            write(node.params[1:])
        else:
            write(node.params)
        for operand in node.inputs:
            index = operand.index
            if index < 0:
                operand.uses = 0
                index = operand.index = count
                count += 1
                write(plan.enter_leaf(operand, index, fixed))
            write(index)
        node.index = count
        node.uses = 0
        count += 1
    plan.size = count
    plan.output_numbers = [node.index for node in outputs]
    write(None)  # or an output could be taken for an operand of the last step
    key.extend(plan.output_numbers)
    plan.key = Key(tuple(key))
    return plan


def _calibrate() -> int:
    """The reference count that `_sweep` sees for a node which only the pending list holds."""

    def probe(pending: list[object]) -> int:
        pop = pending.pop
        node = pop()
        return getrefcount(node)

    return probe([object()])


COUNT_WITHOUT_HOLDER = _calibrate()

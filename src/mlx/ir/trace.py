"""Traces: functions as recorded programs, with placeholders in place of their arguments, and calls of them.

A trace is recorded once and serves many calls. Outside of transforms a call is a single step, which the runtime runs as
one program; inside it is replayed, so that transforms see its primitives.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, OpenTransform, Shape, hooks, leaf, leaves_without_value, next_serial, record, recorder
from mlx.ir.primitive import PLACEHOLDER, SCALAR, Leaf, scalar_node
from mlx.ir.sizes import Sizes, depends_on_sizes, resolved
from mlx.ir.walk import in_recorded_order

RESULT = Leaf("result")  # an output of a call, whose value comes when the call is run; params are (call,) until then


def placeholder(transform: str, shape: Shape, dtype: Dtype) -> Node:
    """An argument of a function inside `transform`, which has no value while the function is traced."""
    return leaf(PLACEHOLDER, (transform,), shape, dtype, None)


class Trace:
    """A function as a program: `nodes`, in recorded order, compute `outputs` from `inputs` and from `captured`.

    Captured nodes were there before the function ran, or were computed while it ran; the program takes their values as
    constants. `programs` belongs to the runtime, which keeps there what it made of the trace.
    """

    __slots__ = (
        "_given",
        "_sources",
        "captured",
        "computed",
        "inputs",
        "leaves",
        "nodes",
        "outputs",
        "programs",
        "result_bytes",
        "result_kinds",
    )

    def __init__(
        self, inputs: Sequence[Node], outputs: Sequence[Node], since: int, dependent_only: bool = False
    ) -> None:
        """The program that was recorded since serial number `since`; only what depends on the inputs, if so wanted.

        What does not depend on them is a constant that is cheap to compute where a function's author wrote it (zeros,
        ranges), and may be dear where a transform did.
        """
        self.inputs = list(inputs)
        self.outputs = list(outputs)
        self.nodes = _recorded(outputs, since)
        if dependent_only:
            self.nodes = _depending(self.nodes, self.inputs)
        self.programs: dict[Any, Any] = {}
        made = set(self.nodes)
        given = {node: position for position, node in enumerate(self.inputs)}
        used = (operand for node in self.nodes for operand in node.inputs if operand not in made)
        # What the program reads, in order of first use, and for each the position among the inputs, if it is one.
        self.leaves = list(dict.fromkeys(operand for operand in used if operand.primitive is not SCALAR))
        self._sources = [given.get(node, -1) for node in self.leaves]
        known = made | given.keys()
        self.captured = list(dict.fromkeys(node for node in [*self.leaves, *self.outputs] if node not in known))
        self.computed = list(dict.fromkeys(output for output in self.outputs if output in made))
        self.result_bytes = [node.nbytes for node in self.computed]
        self.result_kinds = [(node.shape, node.dtype) for node in self.computed]
        computed = {node: position for position, node in enumerate(self.computed)}
        # Where each output comes from: a result of the program, or an input or captured node that is passed through.
        self._given = [(computed.get(node, -1), given.get(node, -1), node) for node in self.outputs]

    def replay(self, inputs: Sequence[Node]) -> list[Node]:
        """Record the program anew on other inputs of the same shapes and dtypes; returns its outputs."""
        new: dict[Node, Node] = dict(zip(self.inputs, inputs, strict=True))
        for node in self.nodes:
            operands = tuple([new.get(operand, operand) for operand in node.inputs])
            new[node] = record(node.primitive, operands, node.params, node.shape, node.dtype)
        return [new.get(output, output) for output in self.outputs]

    def call(self, inputs: Sequence[Node]) -> list[Node]:
        """Its outputs for other inputs of the same shapes and dtypes, to be computed in one step when asked for."""
        results: list[Node] = []
        if self.computed:
            mine = recorder()
            if mine.calls:  # one is waiting at most, so that a loop of calls runs in bounded memory
                hooks.run_calls()
            leaves = [
                inputs[position] if position >= 0 else node
                for position, node in zip(self._sources, self.leaves, strict=True)
            ]
            call = Call(self, leaves)
            results = call.results = leaves_without_value(RESULT, (call,), self.result_kinds)
            mine.calls.append(call)
        return [
            results[computed] if computed >= 0 else inputs[given] if given >= 0 else node
            for computed, given, node in self._given
        ]


class Call:
    """A run of a trace that is yet to come: what the program reads, and the nodes that wait for its results.

    Both lists are emptied when it has run, and then nobody holds the inputs on its behalf.
    """

    __slots__ = ("leaves", "results", "trace")

    def __init__(self, trace: Trace, leaves: list[Node]) -> None:
        self.trace = trace
        self.leaves = leaves
        self.results: list[Node] = []


def _recorded(outputs: Sequence[Node], since: int) -> list[Node]:
    """The nodes without a value that `outputs` need and that were recorded since serial number `since`."""
    found: set[Node] = set()
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node.serial >= since and node.value is None and node not in found and not isinstance(node.primitive, Leaf):
            found.add(node)
            stack.extend(node.inputs)
    return in_recorded_order(found)


def _depending(nodes: list[Node], inputs: Iterable[Node]) -> list[Node]:
    """Those of `nodes` (in recorded order) that depend on `inputs`."""
    active = set(inputs)
    for node in nodes:
        if not active.isdisjoint(node.inputs):
            active.add(node)
    return [node for node in nodes if node in active]


def set_apart(nodes: Iterable[Node], since: int) -> None:
    """Take `nodes`, and what was recorded since serial number `since` and depends on them, from what is pending.

    Placeholders and the program of a trace are never evaluated, so they need not be looked at again and again.
    """
    mine = recorder()
    dropped = set(nodes)
    kept = []
    for node in mine.pending:
        if node.serial >= since:
            if not dropped.isdisjoint(node.inputs):
                dropped.add(node)
            if node in dropped:
                continue
        kept.append(node)
    mine.pending[:] = kept


def specialised(trace: Trace, sizes: Sizes, shapes: Sequence[Shape]) -> Trace | None:
    """A trace for arguments of other shapes, made from one whose placeholders have sizes for extents.

    Returns None where decisions that were taken on the sizes come out differently for these.

    Raises:
        ValueError: the program does not work on these shapes.
    """
    values = sizes.values(shapes)
    return None if values is None else with_sizes(trace, values, shapes)


def with_sizes(trace: Trace, values: Sequence[int], shapes: Sequence[Shape]) -> Trace:
    """The trace with values for the sizes in its parameters, for arguments of the shapes given."""
    since = next_serial()
    with OpenTransform():
        inputs = [
            leaf(PLACEHOLDER, x.params, shape, x.dtype, None) for x, shape in zip(trace.inputs, shapes, strict=True)
        ]
        new: dict[Node, Node] = dict(zip(trace.inputs, inputs, strict=True))

        def counterpart(node: Node) -> Node:
            if node.primitive is SCALAR and node not in new and depends_on_sizes(node.params):
                new[node] = scalar_node(resolved(node.params[0], values), node.dtype)
            return new.get(node, node)

        for node in trace.nodes:
            operands = tuple([counterpart(operand) for operand in node.inputs])
            params = resolved(node.params, values)
            new[node] = record(node.primitive, operands, params, *node.primitive.infer(operands, params))
        special = Trace(inputs, [counterpart(output) for output in trace.outputs], since)
        set_apart([*special.inputs, *special.nodes], since)
    return special

"""`checkpoint`: differentiate a function by recomputing it, instead of keeping what it computed on the way.

A call records the function as it is, and after it one node that passes the results through. That node has what the
function read as inputs as well, and a copy of the program between the two on placeholders: its backward pass records
the program again, tied to the arriving cotangents, so that nothing of the first run need be kept.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from mlx.arrays.array import array, wrap
from mlx.ir.node import Node, OpenTransform, next_serial, record, recorder
from mlx.ir.primitive import SCALAR, Leaf, Primitive
from mlx.ir.sizes import resolved
from mlx.ir.trace import Trace, placeholder, set_apart, with_sizes
from mlx.ir.walk import in_recorded_order
from mlx.primitives.structure import PROJECT, TRACER, tied
from mlx.transforms.reverse import backward
from mlx.transforms.trees import leaves, map_plain
from mlx.transforms.vmap import vmap

Axes = tuple[int | None, ...]


def checkpoint(fun: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that recomputes its intermediate values when it is differentiated.

    Args:
        fun: a function whose results are arrays or trees of arrays. Gradients reach its arguments and the arrays that
            it captures. Python runs it once; the recomputation repeats what it recorded, with the same random numbers.

    Returns:
        A function of the same arguments and results. Its backward pass computes the recorded program again once the
        cotangents are there, so that between the passes only what `fun` read and returned takes memory.

    Example:
        >>> import mlx.core as mx
        >>> mx.grad(mx.checkpoint(lambda x: mx.sin(x) ** 2))(mx.array(0.0)).item()
        0.0
    """
    if not callable(fun):
        raise TypeError(f"[checkpoint] fun must be callable, got {type(fun).__name__}")

    @functools.wraps(fun, updated=())
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        if not recorder().open_transforms:
            return fun(*args, **kwargs)
        since = next_serial()
        results = fun(*args, **kwargs)
        outputs = [x._node for x in leaves(results) if isinstance(x, array)]
        read, program = _copied(outputs, since)
        if not read:
            return results
        node = CHECKPOINT([*read, *outputs], program, len(read))
        positions = iter(range(len(outputs)))
        return map_plain(lambda x: wrap(PROJECT(node, next(positions))) if isinstance(x, array) else x, results)

    return checkpointed


class _Program:
    """How to record the checkpointed program on other inputs: a trace, mapped over batch axes once for each vmap."""

    def __init__(self, trace: Trace, mapped: tuple[tuple[Axes, Axes], ...] = ()) -> None:
        self.trace = trace
        self.mapped = mapped

    def with_sizes(self, values: Sequence[int]) -> _Program:
        """The program for the sizes that a shapeless trace is used for."""
        shapes = [resolved(x.shape, values) for x in self.trace.inputs]
        return _Program(with_sizes(self.trace, values, shapes), self.mapped)

    def run(self, nodes: Sequence[Node]) -> list[Node]:
        """Its outputs for other inputs."""
        if not self.mapped:
            return self.trace.replay(nodes)
        in_axes, out_axes = self.mapped[-1]
        of_one = _Program(self.trace, self.mapped[:-1])

        def run_one(*arrays: array) -> tuple[array, ...]:
            return tuple([wrap(node) for node in of_one.run([x._node for x in arrays])])

        outputs = vmap(run_one, in_axes, out_axes)(*[wrap(node) for node in nodes])
        return [x._node for x in outputs]


def _copied(outputs: Sequence[Node], since: int) -> tuple[list[Node], _Program]:
    """What the program recorded since serial number `since` reads, and a copy of it.

    A copy, since the nodes themselves would otherwise be held, and values that are held are kept.
    """
    region = _region(outputs, since)
    made = set(region)
    operands = [*(operand for node in region for operand in node.inputs), *outputs]
    read = list(dict.fromkeys(x for x in operands if x not in made and x.primitive is not SCALAR))
    started = next_serial()
    inputs = [placeholder("checkpoint", x.shape, x.dtype) for x in read]
    new: dict[Node, Node] = dict(zip(read, inputs, strict=True))
    for node in region:
        copied = tuple([new.get(operand, operand) for operand in node.inputs])
        new[node] = record(node.primitive, copied, node.params, node.shape, node.dtype)
    trace = Trace(inputs, [new.get(output, output) for output in outputs], started)
    set_apart([*trace.inputs, *trace.nodes], started)
    return read, _Program(trace)


def _region(outputs: Sequence[Node], since: int) -> list[Node]:
    """The nodes, evaluated or not, that were recorded since serial number `since` and that `outputs` need."""
    found: set[Node] = set()
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node.serial >= since and node not in found and not isinstance(node.primitive, Leaf):
            found.add(node)
            stack.extend(node.inputs)
    return in_recorded_order(found)


class _Checkpoint(Primitive):
    """Passes results through; its inputs are what the program read and then what it returned."""

    def pull_back(self, node: Node, g: list[Node | None], wanted: Sequence[int]) -> list[Node | None]:
        program, count = node.params
        assert isinstance(program, _Program)
        assert isinstance(count, int)
        arrived = [c for c in g if c is not None]
        nodes = tied([*node.inputs[:count], *arrived])
        cotangents = iter(nodes[count:])
        with OpenTransform():
            tracers = [TRACER(x) for x in nodes[:count]]
            outputs = program.run(tracers)
            given = [(output, next(cotangents)) for output, c in zip(outputs, g, strict=True) if c is not None]
            pulled = backward([output for output, _ in given], [c for _, c in given], tracers)
        # Tied as well, or gradients of weights wait until the end, and what they are computed from with them.
        found = [(index, c) for index, c in enumerate(pulled) if index in wanted and c is not None]
        together = tied([c for _, c in found])
        results = {index: node for (index, _), node in zip(found, together, strict=True)}
        return [results.get(index) for index in wanted]


def _push(tangents: Sequence[Node | None], out: Node, inputs: Sequence[Node], program: _Program, count: int) -> Any:
    return tangents[count:]


def _batch(inputs: Sequence[Node], dims: Sequence[int | None], program: _Program, count: int) -> tuple[Any, Any]:
    axes, out_axes = tuple(dims[:count]), tuple(dims[count:])
    return CHECKPOINT(inputs, _Program(program.trace, (*program.mapped, (axes, out_axes))), count), out_axes


CHECKPOINT = _Checkpoint(
    "checkpoint",
    arity=None,
    shape=lambda inputs, program, count: (
        tuple(x.shape for x in inputs[count:]),
        tuple(x.dtype for x in inputs[count:]),
    ),
    kernel=lambda values, program, count: tuple(values[count:]),
    lower=lambda xla, values, program, count: tuple(values[count:]),
    vjp=lambda *arguments: None,  # `pull_back` does it for all inputs at once
    jvp=_push,
    batch=_batch,
    many=True,
    for_transforms=True,
    moves_data=True,
    cost=lambda node: 0.0,
)

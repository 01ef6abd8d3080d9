"""Bodies: programs as values, which a primitive can have for a parameter and repeat.

A body holds no nodes. Two bodies that compute the same are equal, so that what was compiled for one serves the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from mlx.ir.dtypes import Dtype
from mlx.ir.kernels import kernel_for
from mlx.ir.node import Node, OpenTransform, Shape, next_serial, record
from mlx.ir.primitive import SCALAR, Params, Primitive, is_static, scalar_node
from mlx.ir.sizes import open_sizes, resolved
from mlx.ir.trace import Trace, placeholder, set_apart

Kind = tuple[Shape, Dtype]


class Step(NamedTuple):
    """One application of a primitive to values of a body, which are numbered: inputs, Python numbers, steps."""

    primitive: Primitive
    operands: tuple[int, ...]
    params: Params
    shape: Any
    dtype: Any


class Body:
    """A program: `steps` compute the values numbered `outputs` from `inputs` and from `numbers`, Python numbers.

    Numbers are those that rules simplify on. Others are inputs, so that the program is the same when they change.
    `cost` is the estimated time of one run on NumPy, in nanoseconds.
    """

    def __init__(
        self,
        inputs: Sequence[Kind],
        numbers: Sequence[tuple[complex, Dtype]],
        steps: Sequence[Step],
        outputs: Sequence[int],
        cost: float,
    ) -> None:
        self.inputs = tuple(inputs)
        self.numbers = tuple(numbers)
        self.steps = tuple(steps)
        self.outputs = tuple(outputs)
        self.cost = cost

    @staticmethod
    def of(inputs: Sequence[Node], nodes: Sequence[Node], outputs: Sequence[Node]) -> Body:
        """The program of `nodes`, in recorded order, which read nothing but `inputs` and Python numbers."""
        operands = [*(operand for node in nodes for operand in node.inputs), *outputs]
        known = {*inputs, *nodes}
        scalars = list(dict.fromkeys(x for x in operands if x not in known))
        assert all(x.primitive is SCALAR for x in scalars)
        index = {node: number for number, node in enumerate([*inputs, *scalars, *nodes])}
        steps = [
            Step(node.primitive, tuple([index[x] for x in node.inputs]), node.params, node.shape, node.dtype)
            for node in nodes
        ]
        return Body(
            [(node.shape, node.dtype) for node in inputs],
            [(node.params[0], node.dtype) for node in scalars],  # type: ignore[misc]
            steps,
            [index[node] for node in outputs],
            # For any sizes it has no cost, and to ask for one would fix them.
            0.0 if open_sizes else sum(PER_STEP + node.primitive.cost(node) for node in nodes),
        )

    @cached_property
    def _key(self) -> Any:
        numbers = tuple([(repr(value), dtype) for value, dtype in self.numbers])  # in which 0.0 is not -0.0
        steps = tuple([step._replace(params=step.primitive.program_params(step.params)) for step in self.steps])
        return self.inputs, numbers, steps, self.outputs

    @cached_property
    def _hash(self) -> int:
        return hash(self._key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Body) and self._hash == other._hash and self._key == other._key)

    def __repr__(self) -> str:
        return f"body of {len(self.steps)} steps"

    @cached_property
    def values(self) -> list[tuple[Any, Any]]:
        """Shape and dtype of every value, in the order of their numbers."""
        numbers = [((), dtype) for _, dtype in self.numbers]
        return [*self.inputs, *numbers, *((step.shape, step.dtype) for step in self.steps)]

    @cached_property
    def kinds(self) -> list[Kind]:
        """Shape and dtype of every output."""
        return [self.values[number] for number in self.outputs]

    def with_outputs(self, outputs: Sequence[int]) -> Body:
        """The same program with other values for its outputs."""
        return Body(self.inputs, self.numbers, self.steps, outputs, self.cost)

    def read_by(self, outputs: Sequence[int]) -> set[int]:
        """The numbers of all values that some are computed from, and of those themselves."""
        first = len(self.inputs) + len(self.numbers)
        read = set(outputs)
        for number in reversed(range(first, first + len(self.steps))):
            if number in read:
                read.update(self.steps[number - first].operands)
        return read

    def part(self, inputs: Sequence[int], outputs: Sequence[int]) -> Body:
        """The program of some values, which reads no inputs but some."""
        first = len(self.inputs) + len(self.numbers)
        read = self.read_by(outputs)
        kept = [number for number in range(first, first + len(self.steps)) if number in read]
        numbers = [*inputs, *range(len(self.inputs), first), *kept]
        new = {number: position for position, number in enumerate(numbers)}
        steps = [self.steps[number - first] for number in kept]
        return Body(
            [self.inputs[number] for number in inputs],
            self.numbers,
            [step._replace(operands=tuple([new[i] for i in step.operands])) for step in steps],
            [new[number] for number in outputs],
            self.cost * len(steps) / max(len(self.steps), 1),
        )

    def without(self, passing: Sequence[Primitive]) -> Body:
        """The same program without primitives that pass through their inputs after the first `params[1]`."""
        first = len(self.inputs) + len(self.numbers)
        new = {number: number for number in range(first)}
        passed: dict[int, tuple[int, ...]] = {}
        steps: list[Step] = []
        for number, step in enumerate(self.steps, first):
            if step.primitive in passing:
                passed[number] = step.operands[step.params[1] :]  # type: ignore[misc]
            elif step.operands and step.operands[0] in passed:  # a projection
                new[number] = new[passed[step.operands[0]][step.params[0]]]  # type: ignore[index]
            else:
                new[number] = first + len(steps)
                steps.append(step._replace(operands=tuple([new[i] for i in step.operands])))
        return Body(self.inputs, self.numbers, steps, [new[number] for number in self.outputs], self.cost)

    def with_sizes(self, values: Sequence[int]) -> Body:
        """The program for the sizes that a shapeless trace is used for."""

        def again(inputs: list[Node]) -> list[Node]:
            known = [*inputs, *(scalar_node(value, dtype) for value, dtype in self.numbers)]
            for step in self.steps:
                operands, params = tuple([known[i] for i in step.operands]), resolved(step.params, values)
                known.append(record(step.primitive, operands, params, *step.primitive.infer(operands, params)))
            return [known[number] for number in self.outputs]

        body, captured = traced_body(
            "compile", again, [(resolved(shape, values), dtype) for shape, dtype in self.inputs]
        )
        assert not captured
        return body

    def record(self, inputs: Sequence[Node]) -> list[Node]:
        """Record the program on other inputs of the same shapes and dtypes; returns its outputs."""
        values = [*inputs, *(scalar_node(value, dtype) for value, dtype in self.numbers)]
        for primitive, operands, params, shape, dtype in self.steps:
            values.append(record(primitive, tuple([values[i] for i in operands]), params, shape, dtype))
        return [values[number] for number in self.outputs]

    @cached_property
    def _hosts(self) -> list[Any]:
        return [scalar_node(value, dtype).value.numpy() for value, dtype in self.numbers]  # type: ignore[union-attr]

    @cached_property
    def _kernels(self) -> list[tuple[Callable[..., Any], tuple[int, ...], Params]]:
        dtypes = [dtype for _, dtype in self.values]
        return [
            (kernel_for(primitive, [dtypes[i] for i in operands], dtype), operands, params)
            for primitive, operands, params, _, dtype in self.steps
        ]

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """The values of the outputs on NumPy."""
        values = [*inputs, *self._hosts]
        for kernel, operands, params in self._kernels:
            values.append(kernel(*[values[i] for i in operands], *params))
        return [values[number] for number in self.outputs]

    def lower(self, xla: Any, inputs: Sequence[Any]) -> list[Any]:
        """The outputs as traced arrays, for the compiler."""
        values = [*inputs, *(xla.jnp.asarray(host) for host in self._hosts)]
        for primitive, operands, params, _, _ in self.steps:
            assert primitive.lower is not None, primitive
            arguments = [values[i] for i in operands]
            lowered = (
                primitive.lower(xla, arguments, *params)
                if primitive.arity is None
                else primitive.lower(xla, *arguments, *params)
            )
            values.append(lowered)
        return [values[number] for number in self.outputs]


PER_STEP = 700.0  # nanoseconds that NumPy takes to call any kernel


def traced_body(
    transform: str, run: Callable[[list[Node]], Sequence[Node]], kinds: Sequence[Kind]
) -> tuple[Body, list[Node]]:
    """The program that `run` records on placeholders of such kinds, and what else it reads.

    What is read besides the placeholders, also what was computed on the way without them, and Python numbers that may
    change from one time to the next, comes first among the inputs of the body.
    """
    since = next_serial()
    with OpenTransform():
        inputs = [placeholder(transform, shape, dtype) for shape, dtype in kinds]
        try:
            outputs = run(inputs)
            trace = Trace(inputs, outputs, since, dependent_only=True)
        except BaseException:
            set_apart(inputs, since)
            raise
        captured = list(dict.fromkeys([*trace.captured, *_varying_numbers(trace.nodes)]))
        body = Body.of([*captured, *inputs], trace.nodes, outputs)
        set_apart([*inputs, *trace.nodes], since)
    return body, captured


def _varying_numbers(nodes: Sequence[Node]) -> list[Node]:
    numbers = [x for node in nodes for x in node.inputs if x.primitive is SCALAR]
    return [x for x in numbers if not is_static(x.params[0])]  # type: ignore[arg-type]

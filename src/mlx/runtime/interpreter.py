"""The NumPy engine: runs a plan's nodes one after the other. For programs too small to be worth compiling."""

from __future__ import annotations

from collections.abc import Callable
from sys import getrefcount
from typing import Any

import numpy as np

from mlx.ir.kernels import kernel_for
from mlx.primitives.structure import PROJECT
from mlx.runtime.engine import Candidate
from mlx.runtime.plan import Inputs, Plan

Array = np.ndarray[Any, Any]


def _kernels(plan: Plan) -> list[Callable[..., Any]]:
    """The kernel of every step."""
    read: dict[int, int] = {}  # how many outputs, the last one that is read included
    for node in plan.nodes:
        if node.primitive is PROJECT:
            source, count = node.inputs[0].index, node.params[0] + 1  # type: ignore[operator]
            read[source] = max(read.get(source, 0), count)
    kernels = []
    for node in plan.nodes:
        kernel = kernel_for(node.primitive, [x.dtype for x in node.inputs], node.dtype)
        kernels.append(node.primitive.reading_first(kernel, read.get(node.index, 0)) if node.primitive.many else kernel)
    return kernels


class Interpreted:
    """How to run one program on NumPy: the kernel and the operands of every step, and what it is the last to use."""

    device = None  # of JAX, that the values are on

    __slots__ = ("candidate", "constants", "leaf_numbers", "outputs", "overwritten", "scalar_numbers", "size", "steps")

    def __init__(self, plan: Plan, overwrites: bool = False, candidate: Candidate | None = None) -> None:
        """Prepare a plan's program. One that overwrites puts results where inputs lie that nothing else holds.

        One that is a candidate is compiled when it is due.
        """
        self.candidate = candidate
        last_use: dict[int, int] = {}
        operands = [tuple(operand.index for operand in node.inputs) for node in plan.nodes]
        for position, indices in enumerate(operands):
            for index in indices:
                last_use[index] = position
        kept = set(plan.output_numbers)
        dead: list[list[int]] = [[] for _ in plan.nodes]
        for index, position in last_use.items():
            if index not in kept:
                dead[position].append(index)
        self.steps = [
            (kernel, indices, node.index, tuple(gone))
            for kernel, node, indices, gone in zip(_kernels(plan), plan.nodes, operands, dead, strict=True)
        ]
        self.size = plan.size
        self.leaf_numbers = plan.leaf_numbers
        self.scalar_numbers = [node.index for node in plan.scalars]
        self.constants = [(node.index, node.value.numpy()) for node in plan.constants]  # type: ignore[union-attr]
        self.overwritten = _overwritten(plan, self.steps) if overwrites else []
        self.outputs = [(node.index, node.dtype.numpy) for node in plan.outputs]

    def run(self, inputs: Inputs) -> list[Array]:
        """The values of the program's outputs, as C-contiguous arrays."""
        values: list[Any] = [None] * self.size
        for number, host in self.constants:
            values[number] = host
        for nodes, numbers in ((inputs.leaves, self.leaf_numbers), (inputs.scalars, self.scalar_numbers)):
            for number, node in zip(numbers, nodes, strict=True):
                values[number] = node.value.numpy()  # type: ignore[union-attr]
            node = None  # or this name would count as a holder
        own = self._own_memory(values, inputs) if self.overwritten else None
        with np.errstate(all="ignore"):
            if own is not None:
                for target, (kernel, operands, number, _) in zip(self.overwritten, self.steps, strict=True):
                    out = values[target] if target in own else None
                    value = values[number] = kernel(*[values[index] for index in operands], out=out)
                    if type(value) is np.ndarray:
                        own.add(number)
                return [_settled(values[number], dtype) for number, dtype in self.outputs]
            for params, (kernel, operands, number, dead) in zip(inputs.params, self.steps, strict=True):
                values[number] = kernel(*[values[index] for index in operands], *params)
                for index in dead:
                    values[index] = None
        return [_settled(values[number], dtype) for number, dtype in self.outputs]

    def _own_memory(self, values: list[Any], inputs: Inputs) -> set[int] | None:
        """Numbers of leaves that the run may overwrite; None where there are none."""
        own = set()
        for position in inputs.releasable(0):
            number = self.leaf_numbers[position]
            host = values[number]
            # also in the leaf's buffer, in `values` and in the call that counts
            if host.flags.writeable and getrefcount(host) == 4 and _is_nobodys(host.base):
                own.add(number)
        return own or None


def _is_nobodys(base: Any) -> bool:
    """Whether only one array lies in this memory: the array that the caller got it from."""
    return base is None or (isinstance(base, np.ndarray) and base.base is None and getrefcount(base) == 3)


def _overwritten(plan: Plan, steps: list[Any]) -> list[int]:
    """For each step of an elementwise program the operand whose memory its result can take, or -1.

    Empty where some step is more than one ufunc: its result could be a view of an operand, and it could fail after
    another step had overwritten a leaf.
    """
    if not all(isinstance(kernel, np.ufunc) for kernel, *_ in steps):
        return []
    targets = []
    for node, (_, _, _, dead) in zip(plan.nodes, steps, strict=True):
        fitting = [x.index for x in node.inputs if x.index in dead and (x.shape, x.dtype) == (node.shape, node.dtype)]
        targets.append(fitting[0] if fitting else -1)
    return targets


def _settled(value: Any, dtype: Any) -> Array:
    """An output as an array of its own: contiguous, and not a small part that would keep a large array alive."""
    value = np.asarray(value, dtype=dtype)
    if not value.flags.c_contiguous or (value.base is not None and _is_small_part(value)):
        return value.copy(order="C")
    return value


def _is_small_part(value: Array) -> bool:
    base = value.base
    return isinstance(base, np.ndarray) and base.nbytes > 2 * value.nbytes

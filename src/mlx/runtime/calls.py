"""Programs of traces, which calls of compiled and imported functions run. When they run is decided in `evaluate`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from sys import getrefcount
from typing import Any

from mlx.ir.node import Node
from mlx.ir.trace import Call, Trace
from mlx.runtime import engine
from mlx.runtime.compiler import Compiled
from mlx.runtime.devices import default_device
from mlx.runtime.engine import Candidate
from mlx.runtime.interpreter import Interpreted
from mlx.runtime.plan import COUNT_WITHOUT_HOLDER, plan_trace

# Programs live as long as a trace that uses them. Some more are kept, for functions that are traced again.
PROGRAMS_KEPT = 64

_kept: OrderedDict[Hashable, Program] = OrderedDict()


class Program:
    """What runs a trace on an engine."""

    __slots__ = ("_params", "candidate", "device", "is_light", "program")

    def __init__(self, trace: Trace, key: Hashable, due: Candidate | None = None) -> None:
        """Look up or make the program. One that is due is to be compiled now."""
        plan = plan_trace(trace)
        try:
            known = _kept.get((key, plan.key))
            if known is not None and (due is None or known.candidate is not due):
                self.program, self.candidate = known.program, known.candidate
            elif due is not None:
                self.program, self.candidate = Compiled(plan, due), None
            else:
                chosen, candidate = engine.choose(plan, at_once=True)
                if chosen == "xla":
                    self.program, self.candidate = Compiled(plan, candidate), None
                else:
                    self.program, self.candidate = Interpreted(plan, overwrites=True), candidate
        finally:
            plan.release()
        self.device = self.program.device
        self.is_light = isinstance(self.program, Compiled) and self.program.is_light
        self._params = [node.primitive.program_params(node.params) for node in plan.nodes]
        _kept[key, plan.key] = self
        _kept.move_to_end((key, plan.key))
        if len(_kept) > PROGRAMS_KEPT:
            _kept.popitem(last=False)

    def run(self, leaves: list[Node]) -> list[Any]:
        """The values of the trace's computed nodes."""
        return self.program.run(CallInputs(leaves, self._params))


def kept_programs() -> list[Program]:
    """The programs that are kept, in the order of their last making."""
    return list(_kept.values())


class CallInputs:
    """What a call's program is run on. Parameters and Python numbers are constants of it."""

    __slots__ = ("leaves", "params")

    numbers: list[Hashable] = []  # noqa: RUF012  (never changed)
    scalars: list[Node] = []  # noqa: RUF012

    def __init__(self, leaves: list[Node], params: Iterable[tuple[Hashable, ...]]) -> None:
        self.leaves = leaves
        self.params = params

    def releasable(self, least_bytes: int) -> set[int]:
        free = set()
        for position in range(len(self.leaves)):  # an iterator that pairs them would hold the node as well
            node = self.leaves[position]
            if node.value.nbytes >= least_bytes and getrefcount(node) == COUNT_WITHOUT_HOLDER + 1:  # type: ignore[union-attr]
                free.add(position)  # only `leaves` holds it
        return free


def program_of(trace: Trace) -> Program:
    """The program of a trace on the default device, and on the engine that is asked for or worth it."""
    key = engine.pinned(), default_device().type
    program = trace.programs.get(key)
    if program is None:
        program = trace.programs[key] = Program(trace, key)
    elif program.candidate is not None and program.candidate.is_due():
        program = trace.programs[key] = Program(trace, key, program.candidate)
    return program


def is_light(call: Call) -> bool:
    """Whether a call can be run at once and takes so little memory that there is no reason to wait.

    What is known by then is its program and all that it reads. Programs of arrays that may give their memory to results
    wait until the caller has let go of them.
    """
    program = call.trace.programs.get((engine.pinned(), default_device().type))
    return program is not None and program.is_light and None not in [node.value for node in call.leaves]


def is_awaited(call: Call) -> bool:
    """Whether something holds a result of the call."""
    results = call.results
    position = len(results)
    while position:
        position -= 1
        node = results[position]
        if getrefcount(node) > COUNT_WITHOUT_HOLDER + 1:  # also in `results`
            return True
    return False

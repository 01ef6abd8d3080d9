"""Evaluation: plan, choose an engine, run, store the values, free the graph. Safe from several threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np

from mlx.ir.buffer import Buffer, Part, Unread, buffers_on, meter
from mlx.ir.node import FIRST_LIMIT, Node, hooks, recorder
from mlx.ir.primitive import SCALAR
from mlx.ir.trace import RESULT, Call
from mlx.ir.walk import in_recorded_order
from mlx.primitives.shape import BROADCAST, TRANSPOSE
from mlx.runtime import engine
from mlx.runtime.calls import is_awaited, is_light, program_of
from mlx.runtime.compiler import Compiled, wait_for_all
from mlx.runtime.devices import DeviceType, default_device
from mlx.runtime.engine import Candidate
from mlx.runtime.interpreter import Interpreted
from mlx.runtime.plan import Plan
from mlx.runtime.planning import drop_dead, plan_everything_held, plan_for, plan_recurring

STEPS_KEPT = 500_000  # of all programs together; one that is interpreted takes about half a kB a step


class Programs(OrderedDict[tuple[str | None, DeviceType, Hashable], "Interpreted | Compiled"]):
    """What runs plans, by engine, device and the plan's key. Those that ran last are kept."""

    steps = 0

    def add(self, key: tuple[str | None, DeviceType, Hashable], program: Interpreted | Compiled) -> None:
        self[key] = program
        self.steps += len(program.steps)
        while self.steps > STEPS_KEPT and len(self) > 1:
            _, oldest = self.popitem(last=False)
            self.steps -= len(oldest.steps)


_lock = threading.RLock()
_programs = Programs()


def evaluate(nodes: list[Node]) -> None:
    """Compute the values of `nodes`, and of held pending nodes that share unevaluated ancestors with them."""
    with _lock:
        run_calls()
        for node in nodes:
            if node.primitive is RESULT and node.value is None:  # of a call that another thread made
                run_call(node.params[0])  # type: ignore[arg-type]
        plan = plan_for(nodes)
        if plan is not None:
            _run(plan)


def evaluate_held() -> None:
    """Compute all that this thread has pending and something still holds."""
    with _lock:
        run_calls()
        plan = plan_everything_held()
        if plan is not None:
            _run(plan)
        else:
            recorder().limit = FIRST_LIMIT


def sweep() -> None:
    """Bound the pending list: called by the recorder when it has grown past its limit.

    While a transform is open nothing is evaluated, for what it follows should become one program.
    """
    with _lock:
        mine = recorder()
        if mine.open_transforms:
            drop_dead()
            mine.retained_bytes = 0
        else:
            run_calls()
            plan = plan_recurring()
            if plan is not None:
                _run(plan)
        mine.limit = max(FIRST_LIMIT, 2 * len(mine.pending))


def forget_dead() -> None:
    """Let go of what this thread recorded and nothing needs any more, with the memory that only it still held."""
    with _lock:
        drop_dead()


def run_calls() -> None:
    """Run the calls that this thread made and that something still waits for."""
    with _lock:
        mine = recorder()
        while mine.calls:
            call = mine.calls.pop(0)
            try:
                run_call(call)
            except BaseException:
                if call.results:
                    mine.calls.insert(0, call)
                raise


def start_calls() -> None:
    """Run the calls that this thread made where nothing is gained by waiting until a result is asked for."""
    calls = recorder().calls
    if calls and all(map(is_light, calls)):
        run_calls()


def run_call(call: Call) -> None:
    """Compute the results of a call, unless they are there or nobody waits for them."""
    with _lock:
        if is_awaited(call):
            unknown = [node for node in call.leaves if node.value is None]
            if unknown:
                evaluate(unknown)
                unknown.clear()
            if meter.unread:
                _read(call.leaves)
            program = program_of(call.trace)
            values = program.run(call.leaves)
            sizes = call.trace.result_bytes
            if program.device is None:
                buffers = [Buffer(value, None, nbytes) for value, nbytes in zip(values, sizes, strict=True)]
            else:
                buffers = buffers_on(program.device, values, sizes)
            for node, buffer in zip(call.results, buffers, strict=True):
                node.value = buffer
        for node in call.results:
            node.params = ()
        call.leaves, call.results = [], []


def _run(plan: Plan) -> None:
    try:
        if meter.unread:
            _read_leaves(plan)
        program = _program(plan)
        values = program.run(plan)
    except BaseException:
        plan.release()
        _put_back(plan.recorded)
        raise
    if isinstance(program, Compiled):
        _store(plan, buffers_on(program.device, values, program.output_bytes))
    else:
        _store(plan, map(_host_buffer, plan.held, values))
    plan.release()
    # What a loop records next is probably as much again, and to sweep in the middle of it would be in vain.
    recorder().limit = max(FIRST_LIMIT, 2 * len(plan.recorded))
    if recorder().open_transforms:
        _put_back([node for node in plan.recorded if node.value is None])


def _read(leaves: list[Node]) -> None:
    """Read the values of leaves that still lie in files."""
    for leaf in leaves:
        if type(leaf.value) is Unread:  # of others this would make a copy on the host, and nothing be donated
            leaf.value.numpy()


def _read_leaves(plan: Plan) -> None:
    """Read the leaves whose values still lie in files; those that no array holds are not counted as arrays."""
    alone = plan.releasable(0)
    for position, leaf in enumerate(plan.leaves):
        buffer = leaf.value
        if type(buffer) is Unread:
            if position in alone:
                leaf.value = buffer.read_apart()
            else:
                buffer.numpy()


def _put_back(nodes: list[Node]) -> None:
    """Make nodes pending again that still have no value."""
    mine = recorder()
    mine.pending = in_recorded_order(nodes + mine.pending)


def _program(plan: Plan) -> Interpreted | Compiled:
    key = (engine.pinned(), default_device().type, plan.key)
    program = _programs.get(key)
    if program is None:
        program = _new_program(plan.numbered())
        _programs.add(key, program)
    elif type(program) is Interpreted and program.candidate is not None and program.candidate.is_due():
        program = _programs[key] = _new_program(plan.numbered(), program.candidate)
    _programs.move_to_end(key)
    return program


def _new_program(plan: Plan, due: Candidate | None = None) -> Interpreted | Compiled:
    """What runs a plan: on the engine that is chosen for it, or compiled where it is due."""
    try:
        chosen, candidate = ("xla", due) if due is not None else engine.choose(plan)
        return (Compiled if chosen == "xla" else Interpreted)(plan, candidate=candidate)
    finally:
        plan.release()


def _store(plan: Plan, buffers: Iterable[Buffer]) -> None:
    mine = recorder()
    first_open = mine.first_open_serial if mine.open_transforms else None
    for node, buffer in zip(plan.held, buffers, strict=True):
        node.value = buffer
        if first_open is not None and node.serial >= first_open:
            mine.evaluated_inside.append(node)
        else:
            node.inputs = ()


_VIEWS = (TRANSPOSE, BROADCAST)


def _host_buffer(node: Node, value: Any) -> Buffer:
    """The buffer of a value that the interpreter computed; those of the outputs before it are stored."""
    if node.primitive in _VIEWS:
        value = _view_of_operand(node, value)
    return Buffer(value, None, value.nbytes) if value.base is None else _buffer_of_view(node, value)


def _view_of_operand(node: Node, value: Any) -> Any:
    """The value of a transpose or broadcast as a view of its operand, where that has memory, or else `value`."""
    (operand,) = node.inputs
    if operand.primitive is SCALAR or operand.value is None or operand.value.host is None:
        return value
    return node.primitive.kernel(operand.value.numpy(), *node.params)  # type: ignore[misc]


def _buffer_of_view(node: Node, value: Any) -> Buffer:
    """The buffer of a value that may lie in the memory of what it is a rearrangement of."""
    source = node
    while source.value is None and source.inputs and source.primitive.moves_data:
        source = source.inputs[0]
    whole = source.value
    if whole is not None and whole.host is not None and np.may_share_memory(value, whole.host):
        return Part(value, whole)
    return Buffer(value, None, value.nbytes)


hooks.evaluate = evaluate
hooks.evaluate_held = evaluate_held
hooks.run_call = run_call
hooks.run_calls = run_calls
hooks.start_calls = start_calls
hooks.sweep = sweep
hooks.synchronize = wait_for_all

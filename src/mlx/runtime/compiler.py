"""The XLA engine: turns a plan into one executable, once for each canonical key, and calls it.

jax is imported when the first program is compiled. It serves as compiler and device runtime.
"""

from __future__ import annotations

import ctypes
import gc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, cached_property
from typing import Any

import numpy as np

from mlx.ir.body import Body
from mlx.ir.buffer import Buffer
from mlx.ir.node import Node
from mlx.ir.primitive import Leaf
from mlx.primitives.shape import BROADCAST, RESHAPE, TRANSPOSE
from mlx.primitives.structure import BARRIER, PROJECT, STOP_GRADIENT, TRACER
from mlx.runtime.devices import DeviceType, default_device, gpu_is_available
from mlx.runtime.donation import order_of_outputs, read_again_by_products
from mlx.runtime.engine import Candidate
from mlx.runtime.plan import Inputs, Plan

DONATED_ON_CPU = 65536  # bytes from which an input that nothing else holds gives its memory to an output
DONATIONS_MISSED = 3  # runs that could have donated more than the executable takes, before it is compiled again
HANDED_OVER_ON_CPU = 65536  # bytes up to which a host array is copied at each call rather than once for all calls
HANDED_OVER = 4096
HANDED_OVER_TIMES = 16  # after which it is put on the device nevertheless, which takes as long as 20 copies
LEAVES_MUCH_MEMORY = 100  # steps of a program whose compilation is worth ten milliseconds for the memory it has freed
LIGHT = 65536  # bytes of results below which a call need not wait until one is asked for


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Collect no garbage inside a `with` block.

    What is imported or compiled there makes many objects that stay; looking through them again and again takes a tenth
    of the first step.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class Xla:
    """What lowerings are written with: `lax`, `jnp` and the platform that the program is compiled for."""

    @cached_property
    def jax(self) -> Any:
        with collector_at_rest():
            import jax

        return jax

    @cached_property
    def lax(self) -> Any:
        return self.jax.lax

    @cached_property
    def jnp(self) -> Any:
        return self.jax.numpy

    @property
    def device(self) -> Any:
        """JAX's device for the default device of this process."""
        return self._cpu if default_device().type is DeviceType.cpu else self._accelerator

    @property
    def platform(self) -> str:
        return self.device.platform

    @cached_property
    def _cpu(self) -> Any:
        return self.jax.local_devices(backend="cpu")[0]

    @cached_property
    def _accelerator(self) -> Any:
        return self.jax.local_devices()[0]


xla = Xla()


@cache
def compiler_options(platform: str, saves_memory: bool = False, has_loops: bool = False) -> dict[str, Any]:
    """Options for a platform, as the compiler of jax 0.10 knows them.

    By default the compiler for CPUs drops barriers half-way. They stay to the end here, for what they keep apart: what
    products and other steps share, parts of lowerings, and what a checkpoint computes again, which would otherwise be
    found to be there already. A program that saves memory is scheduled for memory as well, or it would compute again
    early. The gradient of six transformer blocks takes 508 MB without checkpoints; with them 514 by default, 363 in
    that order alone, and 101 with both.

    A small loop is made one kernel, and what makes it ends the process at a barrier. So a program with loops drops its
    barriers, unless it saves memory: then it has no such kernels.
    """
    options: dict[str, Any] = {
        # A cast to half precision and back rounds, also where the compiler could leave it out.
        "xla_allow_excess_precision": False,
    }
    if platform == "cpu":
        # Its library multiplies faster than the compiler's own kernels, but slows down what it takes along by default.
        options["xla_cpu_experimental_ynn_fusion_type"] = "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"
        if saves_memory and has_loops:
            options["xla_disable_hlo_passes"] = "cse_barrier_expander,small-while-loop-hoisting"
        elif not has_loops:
            options["xla_disable_hlo_passes"] = "cse_barrier_expander"
        if saves_memory:
            options["xla_cpu_scheduler_type"] = "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"
    return options


_unknown_options: set[str] = set()


def _compile_lowered(lowered: Any, options: dict[str, Any]) -> Callable[..., Any]:
    """Compile with those of the options that the installed compiler knows.

    They are looked at one by one only after it refused: a trivial program for each would be a tenth of the first step.
    """
    options = {name: value for name, value in options.items() if name not in _unknown_options}
    try:
        return lowered.compile(compiler_options=options)
    except xla.jax.errors.JaxRuntimeError:
        known = {name: value for name, value in options.items() if _is_known(name, value)}
        if known == options:
            raise
        executable = lowered.compile(compiler_options=known)
        _unknown_options.update(options.keys() - known.keys())
        return executable


def _give_back_free_memory() -> None:
    """Return to the system what the compiler has freed and the C library keeps: 100 MB for a transformer's step."""
    trim = _trim()
    if trim is not None:
        trim(0)


@cache
def _trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # not glibc
        return None


def _is_known(option: str, value: Any) -> bool:
    trivial = xla.jax.jit(lambda x: x).lower(np.float32(0))
    try:
        trivial.compile(compiler_options={option: value})
    except xla.jax.errors.JaxRuntimeError:
        return False
    return True


def _directly(executable: Any) -> Callable[[list[Any]], list[Any]]:
    """What runs an executable on arrays that lie on its device.

    Its own call looks at each of them anew, which takes a fifth of the time: with 64 small arrays 92 microseconds, and
    74 past it. The way past it is not public in jax. Where that has changed, or where running means more than computing
    on one device, the call is the executable's own.
    """

    def call(arguments: list[Any]) -> list[Any]:
        return executable(*arguments)

    try:
        inside = executable._executable.unsafe_call
        does_more = inside.ordered_effects or inside.has_unordered_effects or inside.has_host_callbacks or inside.mut
        if does_more or executable._params.const_args or len(inside.xla_executable.local_devices()) > 1:
            return call
        execute = inside.xla_executable.execute_sharded
        handlers = inside.out_handler.handlers
    except AttributeError:
        return call
    return lambda arguments: execute(arguments).consume_with_handlers(handlers)


class Step:
    """One node of a program without the node: what remains in a compiled program's recipe."""

    __slots__ = ("number", "operands", "params", "primitive")

    def __init__(self, node: Node) -> None:
        self.primitive = node.primitive
        self.operands = tuple(operand.index for operand in node.inputs)
        self.params = node.primitive.program_params(node.params)
        self.number = node.index


class Compiled:
    """The executables of one program.

    Parameters that change values but no shapes (slice starts) are constants of the first executable. Those that
    turn out to vary become operands of the next.
    """

    def __init__(self, plan: Plan, candidate: Candidate | None = None) -> None:
        self.shapes = None if candidate is None else candidate.shapes
        if candidate is not None:
            candidate.note_compiled()
        self.steps = [Step(node) for node in plan.nodes]
        self.leaf_numbers = plan.leaf_numbers
        self.constants = [(node.index, node.value.numpy()) for node in plan.constants]  # type: ignore[union-attr]
        self.scalar_groups = _group_scalars(plan)
        self.output_numbers = plan.output_numbers
        self.numbers = list(plan.numbers)
        self.varying: list[int] = []
        self.scalar_values: tuple[Any, ...] | None = None
        self.scalar_vectors: list[Any] = []
        self.executable: Any = None
        self.execute: Callable[[list[Any]], list[Any]] = list
        self.outputs = [(node.size, node.dtype) for node in plan.outputs]
        self.output_bytes = [node.nbytes for node in plan.outputs]
        # A compiler for GPUs was seen to overwrite an input before it had copied it to where it is returned.
        self.donates = not any(_is_passed_through(node) for node in plan.outputs)
        self.donated: set[int] = set()
        self.returned = list(range(len(self.outputs)))  # the outputs in the order in which the executable returns them
        self.in_order = True
        self.missed = 0
        self.device = xla.device
        on_cpu = xla.platform == "cpu"
        self.handed_over = HANDED_OVER_ON_CPU if on_cpu else HANDED_OVER
        # A GPU replays its launches from a graph as long as inputs and outputs stay where they are.
        self.donated_from = DONATED_ON_CPU if on_cpu else 1
        self.is_light = all(node.nbytes < self.donated_from for node in plan.leaves) and sum(self.output_bytes) < LIGHT

    def run(self, inputs: Inputs) -> list[Any]:
        """The device arrays of the program's outputs, possibly still being computed."""
        if self.shapes is not None:
            self.shapes.runs += 1
        if inputs.numbers != self.numbers:
            self._adapt(inputs.numbers)
        free = inputs.releasable(self.donated_from) if self.donates else set()
        self._choose_donations(inputs, free)
        arguments = self._arguments_at_hand(inputs, free)
        if arguments is not None and self.executable is not None:
            outputs = self.execute(arguments)
        else:
            with xla.jax.enable_x64(True), xla.jax.default_device(self.device):
                arguments = self._arguments(inputs, free)
                if self.executable is None:
                    self.executable = self._compile(arguments)
                    self.execute = _directly(self.executable)
                outputs = self.executable(*arguments)
        for position in self.donated & free:
            buffer = inputs.leaves[position].value
            if buffer is not None and buffer.host is None:
                buffer.give_up()
        if self.in_order:
            return outputs
        in_order = list(outputs)
        for position, output in zip(self.returned, outputs, strict=True):
            in_order[position] = output
        return in_order

    def _choose_donations(self, inputs: Inputs, free: set[int]) -> None:
        """Decide which leaves the executable may overwrite: free ones that have the size of an output."""
        if self.executable is not None:
            self.missed = self.missed + 1 if len(free) > len(self.donated) else 0
            if self.missed != DONATIONS_MISSED:
                return
        wanted = Counter(self.outputs)
        donated = set()
        for position in sorted(free):
            kind = inputs.leaves[position].size, inputs.leaves[position].dtype
            if wanted[kind] > 0:
                wanted[kind] -= 1
                donated.add(position)
        if donated != self.donated:
            self.donated = donated
            self.executable = None

    def _adapt(self, numbers: Sequence[Any]) -> None:
        """Make operands of the parameters that differ from those of the last executable."""
        known = set(self.varying)
        new = [i for i, value in enumerate(numbers) if i not in known and value != self.numbers[i]]
        if new:
            self.varying = sorted([*self.varying, *new])
            self.executable = None

    def _arguments_at_hand(self, inputs: Inputs, free: set[int]) -> list[Any] | None:
        """The arguments where all lie on the device already; None where some have to be put there or copied."""
        if self.varying or not self.donated <= free or self._has_other_scalars(inputs):
            return None
        arguments = list(self.scalar_vectors)
        device = self.device
        for node in inputs.leaves:
            buffer = node.value.as_it_is()  # type: ignore[union-attr]
            if buffer.place is not device:
                return None
            arguments.append(buffer.device)
        for position in self.donated:
            if inputs.leaves[position].value.host is not None:  # type: ignore[union-attr]
                return None
        return arguments

    def _has_other_scalars(self, inputs: Inputs) -> bool:
        values = tuple([node.params[0] for node in inputs.scalars])
        return values != self.scalar_values or any(value != value for value in values)

    def _arguments(self, inputs: Inputs, free: set[int]) -> list[Any]:
        if self._has_other_scalars(inputs):
            self.scalar_values = tuple([node.params[0] for node in inputs.scalars])
            hosts = [node.value.numpy() for node in inputs.scalars]  # type: ignore[union-attr]
            self.scalar_vectors = [
                xla.jax.device_put(np.array([hosts[i] for i in members], dtype=dtype.numpy))
                for dtype, members, _ in self.scalar_groups
            ]
        arguments = list(self.scalar_vectors)
        if self.varying:
            flat = [number for i in self.varying for number in inputs.numbers[i]]  # type: ignore[attr-defined]
            arguments.append(np.array(flat, dtype=np.int32))
        first = len(arguments)
        for node in inputs.leaves:
            buffer = node.value.as_it_is()  # type: ignore[union-attr]
            device = buffer.device
            if device is None or buffer.place is not self.device:
                device = self._device_value(buffer)
            arguments.append(device)
        for position in self.donated:  # what somebody still holds, or sees through NumPy, is not overwritten
            buffer = inputs.leaves[position].value
            if position not in free or buffer.host is not None:  # type: ignore[union-attr]
                arguments[first + position] = xla.jnp.array(arguments[first + position], copy=True)
        return arguments

    def _device_value(self, buffer: Buffer) -> Any:
        """The value on this program's device, to which it is moved once.

        What lies where XLA can use it stays on the host, and so does what is small, unless it is used again and again.
        """
        value = buffer.device
        if value is None:
            on_cpu = self.device.platform == "cpu"
            host = buffer.numpy()
            if buffer.nbytes > self.handed_over:
                stays = on_cpu and _is_aligned(host)
            else:
                times = buffer.place or 0
                stays, buffer.place = times < HANDED_OVER_TIMES, times + 1
            if stays:
                return host
            value = buffer.device = xla.jax.device_put(host)
            buffer.place = self.device
            if on_cpu:  # NumPy can look at XLA's copy, so the other one need not stay
                buffer.host = None
        elif buffer.place is not self.device:
            if gpu_is_available() and value.device != self.device:
                value = buffer.device = xla.jax.device_put(value, self.device)
            buffer.place = self.device
        return value

    def _compile(self, arguments: list[Any]) -> Callable[..., Any]:
        first = len(arguments) - len(self.leaf_numbers)
        donated = tuple(first + position for position in sorted(self.donated))
        given = {self.leaf_numbers[at]: _kind(arguments[first + at]) for at in sorted(self.donated)}
        kinds = [(size, np.dtype(dtype.numpy)) for size, dtype in self.outputs]
        self.returned = order_of_outputs(self.steps, given, self.output_numbers, kinds)
        self.in_order = self.returned == list(range(len(kinds)))
        program = xla.jax.jit(self._trace, keep_unused=True, donate_argnums=donated)
        saves_memory = any(step.primitive is BARRIER for step in self.steps)
        has_loops = any(isinstance(parameter, Body) for step in self.steps for parameter in step.params)
        options = compiler_options(self.device.platform, saves_memory, has_loops)
        with collector_at_rest():
            executable = _compile_lowered(program.lower(*arguments), options)
        if len(self.steps) >= LEAVES_MUCH_MEMORY:
            _give_back_free_memory()
        return executable

    def _trace(self, *arguments: Any) -> list[Any]:
        """The program on traced arrays: what XLA compiles."""
        values: dict[int, Any] = {}
        rest = iter(arguments)
        for _, _, indices in self.scalar_groups:
            vector = next(rest)
            for position, index in enumerate(indices):
                values[index] = vector[position]
        traced_numbers = iter(next(rest)) if self.varying else iter(())
        for index, host in self.constants:
            values[index] = xla.jnp.asarray(host)
        values.update(zip(self.leaf_numbers, rest, strict=True))
        on_cpu = self.device.platform == "cpu"
        kept_apart = _shared_with_products(self.steps) if on_cpu else ()
        donated = {self.leaf_numbers[position] for position in self.donated} if on_cpu else set()
        read_again = read_again_by_products(self.steps, donated)
        afterwards: dict[int, Any] = {}  # by its number, what a donated leaf is once products have read it
        dynamic = 0
        for step in self.steps:
            primitive, params = step.primitive, step.params
            if primitive.dynamic:
                if dynamic in self.varying:
                    params = (tuple(next(traced_numbers) for _ in params[0]), *params[1:])  # type: ignore[attr-defined]
                dynamic += 1
            operands = [values[index] for index in step.operands]
            if afterwards and not primitive.reads_memory:
                operands = [afterwards.get(index, x) for index, x in zip(step.operands, operands, strict=True)]
            if primitive.arity is None:
                values[step.number] = primitive.lower(xla, operands, *params)  # type: ignore[misc]
            else:
                values[step.number] = primitive.lower(xla, *operands, *params)  # type: ignore[misc]
            if step.number in kept_apart:
                values[step.number] = xla.lax.optimization_barrier(values[step.number])
            if step.number in read_again:
                leaf = read_again[step.number]
                values[step.number], afterwards[leaf] = xla.lax.optimization_barrier(
                    (values[step.number], afterwards.get(leaf, values[leaf]))
                )
        return [values[self.output_numbers[position]] for position in self.returned]


_PASSING = (TRACER, STOP_GRADIENT, RESHAPE, BROADCAST, TRANSPOSE)  # without computing, or not always


def _shared_with_products(steps: list[Step]) -> set[int]:
    """The numbers of values that a product or a convolution reads from memory and that other steps use as well.

    Unless they are kept apart, XLA's compiler for CPUs computes them anew in each of these steps, with all that leads
    to them: below a stack of residual blocks the gradients of all the blocks above.
    """
    by_number = {step.number: step for step in steps}
    uses = Counter(operand for step in steps for operand in step.operands)
    shared = set()
    for step in steps:
        if step.primitive.reads_memory:
            for number in step.operands:
                is_shared = uses[number] > 1
                while number in by_number and by_number[number].primitive in (TRACER, RESHAPE, STOP_GRADIENT):
                    (number,) = by_number[number].operands
                    is_shared = is_shared or uses[number] > 1
                if is_shared and number in by_number and not by_number[number].primitive.reads_memory:
                    shared.add(number)
    return shared


def _kind(argument: Any) -> tuple[int, Any]:
    return argument.size, argument.dtype


def _is_passed_through(node: Node) -> bool:
    """Whether an output is an input as it is, or in another shape."""
    while node.value is None and node.inputs:
        primitive = node.primitive
        if primitive is PROJECT and node.inputs[0].primitive.moves_data:  # its outputs are its last inputs
            many = node.inputs[0]
            node = many.inputs[len(many.inputs) - len(many.shape) + node.params[0]]  # type: ignore[operator]
        elif primitive in _PASSING:
            node = node.inputs[0]
        else:
            return False
    return node.value is not None or isinstance(node.primitive, Leaf)


def _group_scalars(plan: Plan) -> list[tuple[Any, list[int], list[int]]]:
    """Python numbers by dtype: (dtype, positions among the plan's scalars, their numbers in the program)."""
    groups: dict[Any, tuple[list[int], list[int]]] = {}
    for position, node in enumerate(plan.scalars):
        members, indices = groups.setdefault(node.dtype, ([], []))
        members.append(position)
        indices.append(node.index)
    return [(dtype, members, indices) for dtype, (members, indices) in groups.items()]


def _is_aligned(host: Any) -> bool:
    """Whether XLA can use a host array where it lies."""
    return host.flags.c_contiguous and host.__array_interface__["data"][0] % 64 == 0


def wait_for_all() -> None:
    """Return when everything that was started on the devices has been computed."""
    if "jax" in vars(xla):
        for value in xla.jax.live_arrays():
            value.block_until_ready()

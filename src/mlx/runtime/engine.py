"""Which engine runs a program: an estimate of what NumPy would take, and the ways to pin the choice."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from mlx.ir.primitive import Primitive
from mlx.runtime.devices import DeviceType, default_device
from mlx.runtime.plan import Plan

Engine = Literal["numpy", "xla"]

STEP_NANOSECONDS = 1_500.0  # what a NumPy call costs however small its arrays are
WORTH_COMPILING = 150_000.0  # nanoseconds on NumPy from which a program is compiled
LEAST_WORK_A_NODE = 700.0  # nanoseconds a node, besides its call, below which compiling takes longer than it saves
COMPILING_A_NODE = 20_000.0  # nanoseconds a node on NumPy below which a very long program is not compiled
LONG_PROGRAM = 1_000  # nodes
RUNS_A_SHAPE = 8  # that have to be seen of the compiled shapes, on average, before another one is compiled
SHAPES_AT_SIGHT = 8  # variants of one structure that are compiled before they have been seen often themselves
IDLE_AT_SIGHT = 4  # structures of the same primitives that are compiled at sight though they have not run so often
ASKED_AT_ONCE = 8  # shapes, and idle structures, of functions that the user compiles
EARNED_A_NODE = 5_000_000.0  # nanoseconds on NumPy, for each node, from which on compiling takes less than it saved
NODES_COMPILED = 32_768  # in all the programs that earned it on CPUs; an executable takes about 16 kB a node


class Shapes:
    """The shapes of one structure of programs that are compiled, and how often these ran."""

    __slots__ = ("compiled", "runs")

    def __init__(self) -> None:
        self.compiled = 0
        self.runs = 0

    @property
    def have_run(self) -> bool:
        """Whether those that are compiled were worth it."""
        return self.runs >= RUNS_A_SHAPE * self.compiled


class Family:
    """Structures of the same primitives, by the hash of their order: loops of other lengths, among others."""

    __slots__ = ("compiled", "structures")

    def __init__(self) -> None:
        self.structures: defaultdict[int, Shapes] = defaultdict(Shapes)
        self.compiled: list[Shapes] = []

    def has_idle(self, number: int) -> bool:
        """Whether so many structures are compiled that have not run since."""
        return sum(not shapes.have_run for shapes in self.compiled) >= number


_families: defaultdict[frozenset[Primitive], Family] = defaultdict(Family)


class Candidate:
    """A program worth compiling, if it is not one of ever other shapes or lengths that come once.

    Where these come, as with growing caches, they would spend their time compiling. So a program is compiled at sight
    while those like it that are compiled do run, and else when it has itself been interpreted for as long as it takes
    to compile it: whatever comes in which order, compiling takes no more time than the work.
    """

    __slots__ = ("cost", "family", "nodes", "shapes", "spent")

    compiled_nodes = 0  # in all, that earned it

    def __init__(self, family: Family, shapes: Shapes, nodes: int, cost: float) -> None:
        self.family = family
        self.shapes = shapes
        self.nodes = nodes
        self.cost = cost
        self.spent = 0.0

    def is_due_at_once(self) -> bool:
        """Whether the program, if the user asked for it, should be compiled before it has run."""
        return self.shapes.compiled < ASKED_AT_ONCE and not self.family.has_idle(ASKED_AT_ONCE)

    def is_due(self) -> bool:
        """Count a run of the program, and tell whether it should be compiled for it."""
        shapes = self.shapes
        if shapes.have_run and shapes.compiled < SHAPES_AT_SIGHT and not self.family.has_idle(IDLE_AT_SIGHT):
            return True
        self.spent += self.cost
        if self.spent < EARNED_A_NODE * self.nodes:
            return False
        if Candidate.compiled_nodes + self.nodes > NODES_COMPILED and default_device().type is DeviceType.cpu:
            return False
        Candidate.compiled_nodes += self.nodes
        return True

    def note_compiled(self) -> None:
        if not self.shapes.compiled:
            self.family.compiled.append(self.shapes)
        self.shapes.compiled += 1


def _from_environment() -> Engine | None:
    name = os.environ.get("MLX_XLA_ENGINE", "auto")
    known: dict[str, Engine | None] = {"auto": None, "numpy": "numpy", "xla": "xla"}
    if name not in known:
        raise ValueError(f"the environment variable MLX_XLA_ENGINE must be auto, numpy or xla, not {name!r}")
    return known[name]


class _Pin(threading.local):
    """The engine that this thread asked for."""

    default: Engine | None = _from_environment()

    def __init__(self) -> None:
        self.choice: Engine | None = self.default


_pin = _Pin()


def pinned() -> Engine | None:
    """The engine that the caller asked for, by `engine` or by MLX_XLA_ENGINE; None where it is chosen by cost."""
    return _pin.choice


@contextmanager
def engine(name: Literal["numpy", "xla", "auto"]) -> Iterator[None]:
    """Evaluate on one engine inside a `with` block, in this thread.

    Args:
        name: "numpy" interprets every program, "xla" compiles every program, "auto" chooses by estimated cost.

    Raises:
        ValueError: another name.

    Example:
        >>> import mlx.core as mx
        >>> with mx.engine("numpy"):
        ...     print(mx.array([1, 2]) + 1)
        array([2, 3], dtype=int32)
    """
    if name not in ("numpy", "xla", "auto"):
        raise ValueError(f"[engine] name must be 'numpy', 'xla' or 'auto', got {name!r}")
    before = _pin.choice
    _pin.choice = None if name == "auto" else name
    try:
        yield
    finally:
        _pin.choice = before


def choose(plan: Plan, at_once: bool = False) -> tuple[Engine, Candidate | None]:
    """The engine for a program that is seen for the first time, and the candidate that it is if it is worth compiling.

    With "numpy" that means that it is to be compiled as soon as it is due. What the user asked to be compiled, that is
    `at_once`, does not wait for other shapes to run.
    """
    asked = pinned()
    if asked is not None:
        return asked, None
    work = 0.0
    dearest_in_library = 0.0
    on_cpu = default_device().type is DeviceType.cpu
    for node in plan.nodes:
        mine = node.primitive.cost(node)
        work += mine
        if node.primitive.library_bound and on_cpu:
            dearest_in_library = max(dearest_in_library, mine)
    cost = work + STEP_NANOSECONDS * len(plan.nodes)
    if cost - dearest_in_library < WORTH_COMPILING or work < LEAST_WORK_A_NODE * len(plan.nodes):
        return "numpy", None
    if len(plan.nodes) > LONG_PROGRAM and cost < COMPILING_A_NODE * len(plan.nodes):
        return "numpy", None
    primitives = tuple(node.primitive for node in plan.nodes)
    family = _families[frozenset(primitives)]
    candidate = Candidate(family, family.structures[hash(primitives)], len(primitives), cost)
    is_due = ((at_once or not on_cpu) and candidate.is_due_at_once()) or candidate.is_due()
    return "xla" if is_due else "numpy", candidate

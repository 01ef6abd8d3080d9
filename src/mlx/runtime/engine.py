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
SHAPES_COMPILED = 8  # variants in shape of one structure that are compiled; further ones are interpreted
RUNS_A_SHAPE = 8  # that have to be seen of the compiled shapes, on average, before another one is compiled
DEAR_TO_INTERPRET = 50_000_000.0  # nanoseconds on NumPy from which another shape is compiled at once


class Shapes:
    """The shapes of one structure of programs that are compiled, and how often these ran.

    A structure that comes in ever other shapes, as with growing caches, would spend its time compiling.
    """

    __slots__ = ("compiled", "runs")

    def __init__(self) -> None:
        self.compiled = 0
        self.runs = 0

    @property
    def earned_another(self) -> bool:
        return self.compiled < SHAPES_COMPILED and self.runs >= RUNS_A_SHAPE * self.compiled


_shapes: defaultdict[tuple[Primitive, ...], Shapes] = defaultdict(Shapes)


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


def choose(plan: Plan, at_once: bool = False) -> tuple[Engine, Shapes | None]:
    """The engine for a program that is seen for the first time, and the shapes of its structure if these matter.

    With "numpy" they mean that the program is to be compiled when they have earned it. It is not put off where the
    user asked for a compiled function, that is `at_once`.
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
    shapes = _shapes[tuple(node.primitive for node in plan.nodes)]
    if shapes.compiled >= SHAPES_COMPILED:
        return "numpy", None
    if at_once or not on_cpu or cost >= DEAR_TO_INTERPRET or shapes.earned_another:
        return "xla", shapes
    return "numpy", shapes

"""Nodes of the recorded program and the recorder that makes them.

A node is one application of a primitive. It is immutable as a value: what changes is only whether that value has
been computed yet. Arrays are handles on nodes and live elsewhere.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING

from mlx.ir.buffer import Buffer
from mlx.ir.dtypes import Dtype

if TYPE_CHECKING:
    from mlx.ir.primitive import Primitive
    from mlx.ir.trace import Call

Shape = tuple[int, ...]

next_serial = itertools.count().__next__
_new = object.__new__


class Node:
    """One application of a primitive: what it computes, from what, and the value once it is known.

    `index` and `uses` belong to the planner and are -1 and 0 outside of it. A node whose value is known has no
    inputs, so that the graph behind it is freed; while a transform is open it keeps them (see `OpenTransform`).
    """

    __slots__ = ("dtype", "index", "inputs", "params", "primitive", "serial", "shape", "uses", "value")

    primitive: Primitive
    inputs: tuple[Node, ...]
    params: tuple[Hashable, ...]
    shape: Shape
    dtype: Dtype
    serial: int
    value: Buffer | None
    index: int
    uses: int

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        size = 1
        for extent in self.shape:
            size *= extent
        return size

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.size

    if TYPE_CHECKING:
        # Bound by primitives/arithmetic.py, so that derivative rules read as formulas.
        def __add__(self, other: Node | complex) -> Node: ...
        def __radd__(self, other: complex) -> Node: ...
        def __sub__(self, other: Node | complex) -> Node: ...
        def __rsub__(self, other: complex) -> Node: ...
        def __mul__(self, other: Node | complex) -> Node: ...
        def __rmul__(self, other: complex) -> Node: ...
        def __truediv__(self, other: Node | complex) -> Node: ...
        def __rtruediv__(self, other: complex) -> Node: ...
        def __neg__(self) -> Node: ...


class Recorder:
    """What one thread has recorded and not yet evaluated, calls that it has not run, and the transforms open in it."""

    __slots__ = (
        "calls",
        "evaluated_inside",
        "first_open_serial",
        "limit",
        "open_transforms",
        "pending",
        "pending_before",
        "retained_bytes",
    )

    def __init__(self) -> None:
        self.pending: list[Node] = []
        self.calls: list[Call] = []
        self.limit = FIRST_LIMIT
        self.retained_bytes = 0
        self.open_transforms = 0
        self.pending_before = 0
        self.first_open_serial = 0
        self.evaluated_inside: list[Node] = []


FIRST_LIMIT = 1024  # pending nodes at which the recorder asks for a sweep
RETAINED_LIMIT = 512 * 2**20  # bytes of leaves recorded since the last sweep, likewise

_thread = threading.local()


def recorder() -> Recorder:
    """The recorder of this thread."""
    try:
        return _thread.recorder
    except AttributeError:
        _thread.recorder = Recorder()
        return _thread.recorder


class Hooks:
    """What the runtime fills in, so that nodes and arrays reach it without importing it."""

    check_stream: Callable[[object, str], None]
    evaluate: Callable[[list[Node]], None]
    evaluate_held: Callable[[], None]
    run_call: Callable[[Call], None]
    run_calls: Callable[[], None]
    start_calls: Callable[[], None]
    sweep: Callable[[], None]
    synchronize: Callable[[], None]


hooks = Hooks()


def record(
    primitive: Primitive, inputs: tuple[Node, ...], params: tuple[Hashable, ...], shape: Shape, dtype: Dtype
) -> Node:
    """Record one application of a primitive whose shape and dtype are already known.

    The hot path of the whole library: an attribute more here is felt in every program.
    """
    node = _new(Node)
    node.primitive = primitive
    node.inputs = inputs
    node.params = params
    node.shape = shape
    node.dtype = dtype
    node.serial = next_serial()
    node.value = None
    node.index = -1
    node.uses = 0
    try:
        mine = _thread.recorder
    except AttributeError:
        mine = recorder()
    mine.pending.append(node)
    if len(mine.pending) >= mine.limit:
        hooks.sweep()
    return node


def detached(
    primitive: Primitive, inputs: tuple[Node, ...], params: tuple[Hashable, ...], shape: Shape, dtype: Dtype
) -> Node:
    """A node that is not recorded: part of a program that the planner writes down."""
    node = _new(Node)
    node.primitive = primitive
    node.inputs = inputs
    node.params = params
    node.shape = shape
    node.dtype = dtype
    node.serial = -1
    node.value = None
    node.index = -1
    node.uses = 0
    return node


def leaf(primitive: Primitive, params: tuple[Hashable, ...], shape: Shape, dtype: Dtype, value: Buffer | None) -> Node:
    """A node without inputs: data that the user gave, or a transform's placeholder (`value` is None)."""
    node = detached(primitive, (), params, shape, dtype)
    node.serial = next_serial()
    node.value = value
    if value is not None and value.nbytes > 4096:
        mine = recorder()
        mine.retained_bytes += value.nbytes
        if mine.retained_bytes > RETAINED_LIMIT:
            hooks.sweep()
    return node


def leaves_without_value(
    primitive: Primitive, params: tuple[Hashable, ...], kinds: Iterable[tuple[Shape, Dtype]]
) -> list[Node]:
    """Leaves whose values come later, of shapes and dtypes given: what `leaf` does, for many at once."""
    leaves = []
    for shape, dtype in kinds:
        node = _new(Node)
        node.primitive = primitive
        node.inputs = ()
        node.params = params
        node.shape = shape
        node.dtype = dtype
        node.serial = next_serial()
        node.value = None
        node.index = -1
        node.uses = 0
        leaves.append(node)
    return leaves


class OpenTransform:
    """Marks that a transform follows what this thread records: evaluation then keeps the graph behind its values.

    When the outermost transform closes, nodes that were evaluated inside drop their inputs. Leaving by an exception
    closes it as well.
    """

    def __enter__(self) -> OpenTransform:
        mine = recorder()
        if mine.open_transforms == 0:
            mine.first_open_serial = next_serial()
            mine.pending_before = len(mine.pending)
        mine.open_transforms += 1
        return self

    def __exit__(self, *exception: object) -> None:
        mine = recorder()
        mine.open_transforms -= 1
        if mine.open_transforms == 0:
            for node in mine.evaluated_inside:
                node.inputs = ()
            mine.evaluated_inside.clear()
            # What follows, an optimizer's update, belongs to the same program and is of that order of size. What was
            # pending before does not count, or a loop over a transform would raise the limit for ever.
            mine.limit = max(mine.limit, 3 * (len(mine.pending) - mine.pending_before))

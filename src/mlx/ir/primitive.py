"""What a primitive declares: shape rule, NumPy kernel, XLA lowering, derivative and batching rules, and its cost.

The declarations themselves live in `mlx.primitives`, a file per family. Rules receive and return nodes; a derivative is
again recorded, so that it can be differentiated again. Arguments of every rule are the primitive's inputs followed by
its static parameters; a primitive of any number of inputs (`arity=None`) gets them as one list.

    shape(*inputs, *params)           -> (shape, dtype); tuples of them for a primitive with many outputs
    kernel(*arrays, *params)          -> NumPy array (or tuple of them)
    lower(xla, *arrays, *params)      -> traced array; `xla` has `lax`, `jnp` and `platform`
    vjp[i](g, out, *inputs, *params)  -> cotangent of input i, or None where it is zero
    vjp(i, g, out, inputs, *params)   -> the same for arity None
    jvp(tangents, out, *inputs, *params) -> tangent of the output; derived where it is not given
    batch(inputs, dims, *params)      -> (output, dim); dims[i] is the batch axis of inputs[i] or None

A primitive with many outputs is one node whose `shape` and `dtype` are tuples; `PROJECT` picks from it, and its rules
receive the list of the outputs' cotangents, None for those that nothing reached, as `g`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from mlx.ir.buffer import Buffer
from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, Shape, leaf, record
from mlx.ir.sizes import Size

Params = tuple[Hashable, ...]
Rule = Callable[..., Any]

PRIMITIVES: dict[str, Primitive] = {}


class Primitive:
    """One operation that the library knows how to compute, differentiate and batch."""

    def __init__(
        self,
        name: str,
        *,
        arity: int | None,
        shape: Rule | None = None,
        kernel: Rule | None = None,
        lower: Rule | None = None,
        vjp: Sequence[Rule | None] | Rule | None = None,
        jvp: Rule | None = None,
        linear: tuple[int, ...] = (),
        batch: Rule | None = None,
        many: bool = False,
        dynamic: bool = False,
        for_transforms: bool = False,
        moves_data: bool = False,
        library_bound: bool = False,
        reads_memory: bool = False,
        cost: Callable[[Node], float] | None = None,
        nanoseconds: float = 0.5,
        listed: bool = True,
    ) -> None:
        """Declare a primitive and enter it in `PRIMITIVES`.

        Args:
            arity: number of inputs; None when it takes any number.
            vjp: a rule for each input, or one rule for all where `arity` is None. None: passes no derivative.
            linear: the inputs in each of which it is linear, for which the tangent is derived by applying it.
            many: has several outputs.
            dynamic: its first parameter is a tuple of integers that change values but no shape (slice starts); the
                compiler may hand it over as traced integers.
            for_transforms: its first parameter (rules, a program to repeat) is read by transforms alone. Programs
                are kept for long and do without it.
            moves_data: copies elements and never computes with them, so half precision needs no widening.
            library_bound: spends its time in a library that NumPy calls and no compiler beats, so a program that is
                little more than one of these is not worth compiling.
            reads_memory: its operands lie in memory also where a compiler fuses what it can, as those of the
                `library_bound` do.
            cost: estimated nanoseconds of the NumPy kernel for a node, where `nanoseconds` an output element is wrong.
            listed: stands for an operation. What only planning knows is not entered.
        """
        self.name = name
        self.arity = arity
        self.shape = shape
        self.kernel = kernel
        self.lower = lower
        self.vjp = vjp
        self.jvp = jvp
        self.linear = linear
        self.batch = batch
        self.many = many
        self.dynamic = dynamic
        self.for_transforms = for_transforms
        self.moves_data = moves_data
        self.library_bound = library_bound
        self.reads_memory = reads_memory or library_bound
        self.nanoseconds = nanoseconds
        self.cost = cost or self._cost_by_elements
        self.differentiable = vjp is not None
        if listed:
            if name in PRIMITIVES:
                raise ValueError(f"primitive {name} is declared twice")
            PRIMITIVES[name] = self

    def __repr__(self) -> str:
        return self.name

    def __call__(self, *arguments: Any) -> Node:
        """Record this primitive on nodes (or Python numbers, which take the other input's dtype) and parameters."""
        if self.arity is None:
            inputs, params = tuple(arguments[0]), arguments[1:]
        else:
            inputs, params = arguments[: self.arity], arguments[self.arity :]
        for operand in inputs:
            if type(operand) is not Node:
                inputs = _with_scalar_nodes(inputs)
                break
        shape, dtype = self.infer(inputs, params)
        return record(self, inputs, params, shape, dtype)

    def infer(self, inputs: tuple[Node, ...], params: Params) -> tuple[Any, Any]:
        """Shape and dtype of the output."""
        assert self.shape is not None
        if self.arity is None:
            return self.shape(inputs, *params)
        return self.shape(*inputs, *params)

    def program_params(self, params: Params) -> Params:
        """What a program keeps of the parameters."""
        return (None, *params[1:]) if self.for_transforms else params

    def reading_first(self, kernel: Callable[..., Any], count: int) -> Callable[..., Any]:
        """`kernel` where only the first `count` of many outputs are read; it need not give the others."""
        return kernel

    def pull_back(self, node: Node, g: Any, wanted: Sequence[int]) -> list[Node | None]:
        """The cotangents of the inputs `wanted` of `node`, given the cotangent `g` of its output."""
        if callable(self.vjp):
            return [self.vjp(index, g, node, node.inputs, *node.params) for index in wanted]
        assert self.vjp is not None
        rules = [self.vjp[index] for index in wanted]
        return [None if rule is None else rule(g, node, *node.inputs, *node.params) for rule in rules]

    def _cost_by_elements(self, node: Node) -> float:
        return self.nanoseconds * node.size


class Leaf(Primitive):
    """A primitive without inputs whose value is given or never known: it is neither computed nor differentiated."""

    def __init__(self, name: str) -> None:
        super().__init__(name, arity=0)


DATA = Leaf("data")  # memory that the user handed over
SCALAR = Leaf("scalar")  # a Python number; params are (value,)
PLACEHOLDER = Leaf("placeholder")  # an argument of a transform that has no value; params are (transform name,)

_scalars: dict[tuple[complex, Dtype], Node] = {}
_SCALARS_KEPT = 4096


def data_node(host: np.ndarray[Any, Any], dtype: Dtype) -> Node:
    """A node that holds `host`, whose memory it takes over."""
    return leaf(DATA, (), host.shape, dtype, Buffer(host, None, host.nbytes))


def scalar_node(value: complex, dtype: Dtype) -> Node:
    """A node of shape () for a Python number. Equal numbers share one, since programs repeat them every step."""
    if type(value) is Size:
        return leaf(SCALAR, (value,), (), dtype, Buffer(np.array(value.plain(), dtype.numpy), None, 0))
    shared = value or type(value) is int or _is_positive_zero(value)
    if shared:
        node = _scalars.get((value, dtype))
        if node is not None:
            return node
    with np.errstate(over="ignore"):  # a number too large for the dtype is infinite in it
        host = np.array(float(value) if type(value) is int and dtype.is_inexact else value, dtype.numpy)
    node = leaf(SCALAR, (host.item(),), (), dtype, Buffer(host, None, 0))
    if shared:
        if len(_scalars) >= _SCALARS_KEPT:
            _scalars.clear()
        _scalars[value, dtype] = node
    return node


def is_static(value: complex) -> bool:
    """Whether rules simplify on a Python number. It is a constant of programs then, and otherwise an operand."""
    return type(value) is not Size and value in (0, 1, -1) and (value != 0 or not str(value).startswith("-"))


def _is_positive_zero(value: complex) -> bool:
    """Whether a zero is 0.0, which equals -0.0 but is another number."""
    return type(value) is float and math.copysign(1.0, value) > 0


def _with_scalar_nodes(inputs: tuple[Node | complex, ...]) -> tuple[Node, ...]:
    # The last one: the condition of a select comes first and is no number.
    dtype = next(operand.dtype for operand in reversed(inputs) if isinstance(operand, Node))
    return tuple(x if isinstance(x, Node) else scalar_node(x, dtype) for x in inputs)


def broadcast_shape(a: Shape, b: Shape) -> Shape:
    """The shape that `a` and `b` broadcast to; ValueError where they do not fit."""
    if a == b or not b:
        return a
    if not a:
        return b
    if len(a) < len(b):
        a, b = b, a
    lead = len(a) - len(b)
    out = list(a)
    for axis, extent in enumerate(b, lead):
        mine = a[axis]
        if mine != extent:
            if mine == 1:
                out[axis] = extent
            elif extent != 1:
                raise ValueError(f"[broadcast_shapes] Shapes {a} and {b} cannot be broadcast.")
    return tuple(out)

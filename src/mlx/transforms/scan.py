"""`scan`: a loop over the entries of arrays that is recorded as one node, whatever its length.

The function of one step is recorded once, as the body of the node. Derivatives and batches of a loop are loops: each
rule records what it needs of one step as the body of another node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlx.arrays.array import array, wrap
from mlx.ir.body import Body, Kind, traced_body
from mlx.ir.changes import Changes
from mlx.ir.node import Node, recorder
from mlx.ir.primitive import SCALAR, Primitive
from mlx.ir.sizes import require_equal
from mlx.ops.arguments import flag, one_integer
from mlx.ops.random_state import thread_state
from mlx.primitives.shape import batch_size, batch_to_front, move_axis
from mlx.primitives.slicing import zeros
from mlx.primitives.structure import PROJECT
from mlx.transforms.differentiated import describe
from mlx.transforms.forward import push_forward
from mlx.transforms.loop_step import Place, Step, check_leaves
from mlx.transforms.reverse import backward
from mlx.transforms.tracing import filled, template
from mlx.transforms.trees import leaves_with_paths
from mlx.transforms.vmap import vmap


def scan(
    fun: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    *,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """Run a function step by step over the leading axis of arrays, carrying a value from each step to the next.

    It computes what this loop does, but is recorded and compiled as a single step, however long it is:

        carry, ys = init, []
        for x in xs:
            carry, y = fun(carry, x)
            ys.append(y)
        return carry, mx.stack(ys)

    Args:
        fun: a function of the carry and of one entry of `xs` that returns the next carry and an output. Python runs it
            once on arrays without values, or twice if it draws random numbers or changes something besides its
            arguments. What it changes goes from step to step, as in the loop: arrays that it updates in place, and
            arrays that modules and optimizers assign to what they hold, such as running statistics and moments. All
            else that it reads is the same in all steps.
        init: the first carry, an array or a tree of arrays. Each next one has its structure, shapes and dtypes.
        xs: an array or a tree of arrays of shape (length, ...) to go through; None where there are none.
        length: the number of steps, which `xs` tells where there are some.
        reverse: go from the last entry to the first. `ys` stay in the order of `xs`.

    Returns:
        The last carry, and the outputs of all steps stacked along a new leading axis, in the structure that `fun`
        returns. Gradients reach `init`, `xs` and what `fun` reads besides; they keep the carries of all steps
        where they read them. Random numbers differ from step to step.

    Raises:
        TypeError: `fun` is not callable, a leaf is no array, or `reverse` no bool.
        ValueError: lengths differ, `fun` does not return a pair, a carry differs in structure, shape or dtype, so does
            what `fun` changes besides, or it makes the random state depend on its arguments. What it changed is then
            as it was.

    Example:
        >>> import mlx.core as mx
        >>> total, partial = mx.scan(lambda s, x: (s + x, s + x), mx.array(0), mx.array([1, 2, 3]))
        >>> total.item(), partial.tolist()
        (6, [1, 3, 6])
    """
    if not callable(fun):
        raise TypeError(f"[scan] fun must be callable, got {describe(fun)}.")
    entries = _nodes("xs", xs)
    steps = _length(xs, entries, length)
    backwards = flag(reverse, "scan", "reverse")
    check_leaves("init", init)
    step = Step(fun, init, xs)
    kinds = [(x.shape[1:], x.dtype) for x in entries]
    key = thread_state()[0]
    with Changes() as changes:
        try:
            body, captured = traced_body("scan", step.run, [*_kinds(step.carries), *kinds])
            drawn = thread_state()[0]
            draws = drawn is not key
            if draws or step.changed:  # the random state, and what else it changes, must be given to the body
                thread_state()[0] = key
                again = Step(fun, init, xs, step.changed)
                again.made |= step.made
                run = again.run_drawing if draws else again.run
                if draws:
                    kinds.append((key._node.shape, key._node.dtype))
                body, captured = traced_body("scan", run, [*_kinds(again.carries), *kinds])
                _check_changed(step.changed, again.changed)
                step = again
        except BaseException:
            changes.restore()  # what the first run made
            raise
        finally:
            thread_state()[0] = key
    carries = step.carries
    if draws:
        last, keys = _random_states(body, captured, key._node, steps, backwards)
        only_first_draws = body.outputs[-1] == len(body.inputs) - 1  # what it keeps: the state is the same after others
        body = body.part(range(len(body.inputs)), body.outputs[:-1])
        entries = [*entries, keys]
        thread_state()[0] = drawn if only_first_draws else wrap(last)
    if recorder().open_transforms:  # a backward pass reads the carries
        first = len(captured)
        body = body.with_outputs([*body.outputs, *range(first, first + len(carries))])
    node = SCAN([*captured, *carries, *entries], body, len(carries), len(entries), steps, backwards)
    outputs = [PROJECT(node, position) for position in range(len(body.outputs))]
    return step.put(outputs), filled(step.output, outputs)


def _kinds(nodes: Sequence[Node]) -> list[Kind]:
    return [(x.shape, x.dtype) for x in nodes]


def _check_changed(first: Sequence[Place], second: Sequence[Place]) -> None:
    """Refuse a function that changes other things outside when it is run again."""
    known = {place.identity for place in first}
    for place in second:
        if place.identity not in known:
            raise ValueError(
                f"[scan] fun changes {place.name}, which it did not, or which was not there, when it was run before: "
                "put an array there before the first step, or carry it."
            )


def _random_states(body: Body, captured: Sequence[Node], key: Node, length: int, reverse: bool) -> tuple[Node, Node]:
    """The random state after a loop, and those that its steps start with, stacked.

    They come from a loop of their own: the state must not depend on arguments of a transform, which it outlives.
    """
    position, after = len(body.inputs) - 1, body.outputs[-1]
    read = body.read_by([after])
    if not read.isdisjoint(range(len(captured), position)):
        raise ValueError("[scan] fun must not make the random state depend on its arguments; carry a key instead.")
    constants = [i for i in range(len(captured)) if i in read]
    advance = body.part([*constants, position], [after, position])
    node = SCAN([*(captured[i] for i in constants), key], advance, 1, 0, length, reverse)
    return PROJECT(node, 0), PROJECT(node, 1)


def _nodes(path: str, tree: Any) -> list[Node]:
    check_leaves(path, tree)
    nodes: list[Node] = []
    template(tree, nodes)
    return nodes


def _length(xs: Any, entries: Sequence[Node], length: int | None) -> int:
    paths = [path for path, value in leaves_with_paths(xs, "xs") if value is not None]
    for path, node in zip(paths, entries, strict=True):
        if not node.shape:
            raise ValueError(f"[scan] {path} is a scalar, which has no entries to go through.")
    if isinstance(length, bool):  # which Python takes for 0 or 1
        raise TypeError(f"[scan] length must be an int, got {length}.")
    if not entries:
        if length is None:
            raise ValueError("[scan] Say how many steps there are with length, as xs has no arrays.")
        steps = one_integer(length, "scan", "length")
        if steps < 0:
            raise ValueError(f"[scan] length must not be negative, got {length}.")
        return steps
    first = entries[0].shape[0]
    for path, node in zip(paths[1:], entries[1:], strict=True):
        other = node.shape[0]
        require_equal(first, other, f"[scan] {paths[0]} has {first} entries, but {path} has {other}.")
    if length is not None:
        require_equal(first, one_integer(length, "scan", "length"), f"[scan] length is {length}, but xs has {first}.")
    return first


# ---------------------------------------------------------------------- the primitive
#
# Its inputs are what every step reads (constants), the first carries, and the arrays that are gone through. The body's
# inputs are the constants, the carries and one entry of each array; its outputs the next carries and the outputs. A
# body that gives its carries as outputs as well has them saved.


def _split(values: Sequence[Any], carried: int, scanned: int) -> tuple[list[Any], list[Any], list[Any]]:
    """Constants, carries and entries."""
    first = len(values) - carried - scanned
    return list(values[:first]), list(values[first : first + carried]), list(values[first + carried :])


def _shape(
    inputs: Sequence[Node], body: Body, carried: int, scanned: int, length: int, reverse: bool
) -> tuple[Any, Any]:
    kinds = body.kinds
    shapes = [shape if number < carried else (length, *shape) for number, (shape, _) in enumerate(kinds)]
    return tuple(shapes), tuple([dtype for _, dtype in kinds])


def _kernel(
    values: Sequence[Any],
    body: Body,
    carried: int,
    scanned: int,
    length: int,
    reverse: bool,
    read: int | None = None,
) -> Any:
    """The last carries, and of the outputs those up to number `read`: saved carries come last and may have no use."""
    constants, carry, entries = _split(values, carried, scanned)
    stacked = [np.empty((length, *shape), dtype.numpy) for shape, dtype in body.kinds[carried:read]]
    for position in reversed(range(length)) if reverse else range(length):
        outputs = body.run([*constants, *carry, *[x[position] for x in entries]])
        carry = outputs[:carried]
        for store, value in zip(stacked, outputs[carried:read], strict=True):
            store[position] = value
    return (*carry, *stacked)


def _lower(xla: Any, values: Sequence[Any], body: Body, carried: int, scanned: int, length: int, reverse: bool) -> Any:
    constants, first, entries = _split(values, carried, scanned)

    def step(carry: Any, entry: Any) -> Any:
        outputs = body.lower(xla, [*constants, *carry, *entry])
        return tuple(outputs[:carried]), tuple(outputs[carried:])

    carry, stacked = xla.lax.scan(step, tuple(first), tuple(entries), length=length, reverse=reverse)
    return (*carry, *stacked)


def _saved(node: Node, body: Body, carried: int, scanned: int, length: Any, reverse: Any) -> list[Node]:
    """The carries that every step of a scan started with, stacked."""
    first = len(node.inputs) - carried - scanned
    carries = list(range(first, first + carried))
    outputs = list(body.outputs)
    if not set(carries) <= set(outputs[carried:]):
        outputs += carries
        node = SCAN(node.inputs, body.with_outputs(outputs), carried, scanned, length, reverse)
    return [PROJECT(node, outputs.index(number, carried)) for number in carries]


class _Scan(Primitive):
    """A loop; its parameters are the body, the numbers of carries and of arrays gone through, length and direction."""

    def reading_first(self, kernel: Callable[..., Any], count: int) -> Callable[..., Any]:
        return lambda *arguments: kernel(*arguments, count)

    def pull_back(self, node: Node, g: list[Node | None], wanted: Sequence[int]) -> list[Node | None]:
        body, carried, scanned, length, reverse = node.params
        assert isinstance(body, Body)
        assert isinstance(carried, int)
        assert isinstance(scanned, int)
        inputs = node.inputs
        first = len(inputs) - carried - scanned
        carries = [i for i in range(first, first + carried) if inputs[i].dtype.is_inexact]
        constants = [i for i in wanted if i < first and inputs[i].dtype.is_inexact]
        entries = [i for i in wanted if i >= first + carried and inputs[i].dtype.is_inexact]
        outputs = [position for position in range(carried, len(g)) if g[position] is not None]
        through = [i - first for i in carries]

        def step(nodes: list[Node]) -> list[Node]:
            """From cotangents of the next carries and of the outputs to those of this step's inputs."""
            read, sums, arriving, states, rest = _parts(nodes, first, len(constants), len(carries), carried)
            values, given = rest[:scanned], rest[scanned:]
            sources = [*read, *states, *values]
            results = body.record(sources)
            moving = [sources[i] for i in (*constants, *carries, *entries)]
            pulled = backward([results[i] for i in (*through, *outputs)], [*arriving, *given], moving)
            of_constants, of_others = pulled[: len(constants)], pulled[len(constants) :]
            return [
                *(total if c is None else total + c for total, c in zip(sums, of_constants, strict=True)),
                *(_or_zeros(c, x) for c, x in zip(of_others, moving[len(constants) :], strict=True)),
            ]

        sums = [_or_zeros(None, inputs[i]) for i in constants]
        arriving = [_or_zeros(g[position], inputs[i]) for i, position in zip(carries, through, strict=True)]
        saved = _saved(node, body, carried, scanned, length, reverse)
        stacked = [*saved, *inputs[first + carried :], *(g[position] for position in outputs)]
        looped = _loop(step, inputs[:first], [*sums, *arriving], stacked, length, not reverse)
        cotangents = dict(zip((*constants, *carries, *entries), looped, strict=True))
        return [cotangents.get(index) for index in wanted]


def _or_zeros(x: Node | None, like: Node) -> Node:
    return zeros(like.shape, like.dtype) if x is None else x


def _parts(nodes: Sequence[Node], *counts: int) -> list[list[Node]]:
    """The first so many nodes, the next so many, ..., and the rest."""
    parts, start = [], 0
    for count in counts:
        parts.append(list(nodes[start : start + count]))
        start += count
    return [*parts, list(nodes[start:])]


def _loop(
    step: Callable[[list[Node]], list[Node]],
    constants: Sequence[Any],
    carries: Sequence[Any],
    entries: Sequence[Any],
    length: Any,
    reverse: bool,
) -> list[Node]:
    """A scan whose step is given on nodes, and its outputs.

    Python numbers among the constants are given to the step as such, since rules simplify on them. Entries that the
    step does not read, such as the carries of a linear recurrence, are not kept for it.
    """
    read = [x for x in constants if x.primitive is not SCALAR]

    def run(nodes: list[Node]) -> list[Node]:
        given = iter(nodes)
        return step([*(x if x.primitive is SCALAR else next(given) for x in constants), *given])

    kinds = [(x.shape, x.dtype) for x in (*read, *carries)] + [(x.shape[1:], x.dtype) for x in entries]
    body, captured = traced_body("scan", run, kinds)
    others = [*captured, *read, *carries]
    used = body.read_by(body.outputs)
    places = [place for place in range(len(others), len(body.inputs)) if place in used]
    body = body.part([*range(len(others)), *places], body.outputs)
    kept = [entries[place - len(others)] for place in places]
    node = SCAN([*others, *kept], body, len(carries), len(kept), length, reverse)
    return [PROJECT(node, position) for position in range(len(body.outputs))]


def _push(
    tangents: Sequence[Node | None],
    out: Node,
    inputs: Sequence[Node],
    body: Body,
    carried: int,
    scanned: int,
    length: int,
    reverse: bool,
) -> list[Node | None]:
    first = len(inputs) - carried - scanned
    carries = [i for i in range(first, first + carried) if inputs[i].dtype.is_inexact]
    constants = [i for i in range(first) if tangents[i] is not None]
    entries = [i for i in range(first + carried, len(inputs)) if tangents[i] is not None]
    outputs = [i - first for i in carries]
    outputs += [position for position in range(carried, len(body.outputs)) if body.kinds[position][1].is_inexact]

    def step(nodes: list[Node]) -> list[Node]:
        """The tangents of the next carries and of the outputs."""
        read, pushed, moving, states, rest = _parts(nodes, first, len(constants), len(carries), carried)
        sources = [*read, *states, *rest[:scanned]]
        recorded = body.record(sources)
        results = [recorded[i] for i in outputs]
        given = [*pushed, *moving, *rest[scanned:]]
        found = push_forward(results, [sources[i] for i in (*constants, *carries, *entries)], given)
        return [_or_zeros(tangent, x) for x, tangent in zip(results, found, strict=True)]

    starting = [_or_zeros(tangents[i], inputs[i]) for i in carries]
    saved = _saved(out, body, carried, scanned, length, reverse)
    stacked = [*saved, *inputs[first + carried :], *(tangents[i] for i in entries)]
    looped = _loop(step, [*inputs[:first], *(tangents[i] for i in constants)], starting, stacked, length, reverse)
    products = dict(zip(outputs, looped, strict=True))
    return [products.get(position) for position in range(len(body.outputs))]


def _batch(
    inputs: Sequence[Node],
    dims: Sequence[int | None],
    body: Body,
    carried: int,
    scanned: int,
    length: int,
    reverse: bool,
) -> tuple[Node, tuple[int, ...]]:
    size = batch_size(inputs, dims)
    first = len(inputs) - carried - scanned
    moved: list[Node] = []
    axes: list[int | None] = []
    for index, (x, dim) in enumerate(zip(inputs, dims, strict=True)):
        if first <= index < first + carried:  # one of them may come to depend on what is mapped
            moved.append(batch_to_front(x, dim, size))
            axes.append(0)
        else:
            is_entry = index >= first
            moved.append(x if dim is None else move_axis(x, dim, 1 if is_entry else 0))
            axes.append(None if dim is None else 0)

    def step(nodes: list[Node]) -> list[Node]:
        def of_one(*arrays: array) -> list[array]:
            return [wrap(node) for node in body.record([x._node for x in arrays])]

        return [x._node for x in vmap(of_one, tuple(axes))(*map(wrap, nodes))]

    kinds = [(x.shape if index < first + carried else x.shape[1:], x.dtype) for index, x in enumerate(moved)]
    batched, captured = traced_body("scan", step, kinds)
    node = SCAN([*captured, *moved], batched, carried, scanned, length, reverse)
    return node, tuple([0 if position < carried else 1 for position in range(len(body.outputs))])


SCAN = _Scan(
    "scan",
    arity=None,
    shape=_shape,
    kernel=_kernel,
    lower=_lower,
    vjp=lambda *arguments: None,  # `pull_back` does it for all inputs at once
    jvp=_push,
    batch=_batch,
    many=True,
    moves_data=True,  # a body widens half precision where it computes
    cost=lambda node: node.params[3] * node.params[0].cost,  # type: ignore[operator,union-attr]
)

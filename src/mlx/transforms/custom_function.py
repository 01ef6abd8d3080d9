"""`custom_function`: a function whose derivative or batching rule its author gives.

A call records the function as it is, and after it one node that passes the outputs through. That node has the call's
arguments as inputs as well, so that a rule, where one is given, takes the derivative past the recorded function.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from mlx.arrays.array import array, wrap
from mlx.ir.node import Node
from mlx.ir.primitive import Primitive
from mlx.primitives.slicing import zeros
from mlx.primitives.structure import PROJECT, cast
from mlx.transforms.differentiated import describe
from mlx.transforms.tracing import Slot, filled, template
from mlx.transforms.trees import map_plain
from mlx.transforms.vmap import vmap

Rule = Callable[..., Any]


class custom_function:
    """A function with rules of its own for differentiation and batching.

    Each rule is optional and set by a decorator; without one the function is transformed as it is recorded.
    `primals` is the positional argument, or the tuple of them where there are several.

    - `vjp(primals, cotangents, outputs, **kwargs)` returns the cotangents in the structure of `primals`, None for
      zero; where the call had keyword arguments, that or the pair of it and a dict of theirs;
    - `jvp(primals, tangents)` returns the tangents in the structure of the outputs;
    - `vmap(primals, axes)` returns the batched outputs and their axes, both in the structure of the outputs; `axes`
      has the structure of `primals`, None for what is not mapped.

    What a rule returns of another structure, type or shape is a ValueError that names the rule and the entry. With a
    vjp rule, derivatives reach the arguments alone: arrays that the function captures are constants to it.

    Example:
        >>> import mlx.core as mx
        >>> @mx.custom_function
        ... def straight_through(x):
        ...     return mx.round(x)
        >>> @straight_through.vjp
        ... def straight_through_vjp(x, cotangent, output):
        ...     return cotangent
        >>> mx.grad(straight_through)(mx.array(1.7)).item()
        1.0
    """

    def __init__(self, f: Callable[..., Any]) -> None:
        if not callable(f):
            raise TypeError(f"[custom_function] expected a function, got {type(f).__name__}")
        self._function = f
        self._rules: dict[str, Rule] = {}
        functools.update_wrapper(self, f, updated=())

    def vjp(self, f: Rule) -> Rule:
        """Set the rule for reverse mode."""
        self._rules["vjp"] = f
        return f

    def jvp(self, f: Rule) -> Rule:
        """Set the rule for forward mode."""
        self._rules["jvp"] = f
        return f

    def vmap(self, f: Rule) -> Rule:
        """Set the rule for batching."""
        self._rules["vmap"] = f
        return f

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        outputs = self._function(*args, **kwargs)
        if not self._rules:
            return outputs
        inputs: list[Node] = []
        results: list[Node] = []
        primals = template(args[0] if len(args) == 1 else args, inputs)
        named = template(kwargs, inputs)
        call = _Call(dict(self._rules), primals, named, template(outputs, results))
        node = CUSTOM([*inputs, *results], call, len(inputs))
        return filled(call.outputs, [PROJECT(node, index) for index in range(len(results))])


class _Call:
    """One call: the rules as they were and the structure of its arguments and outputs, with slots for the arrays.

    Only rules look at it, so that to the cache of programs all calls are the same. It holds no arrays, since values
    that are held are kept.
    """

    def __init__(self, rules: dict[str, Rule], primals: Any, named: dict[str, Any], outputs: Any) -> None:
        self.rules = rules
        self.primals = primals
        self.named = named
        self.outputs = outputs

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Call)

    def __hash__(self) -> int:
        return hash(_Call)

    def without_names(self, rule: str) -> None:
        if self.named:
            raise ValueError(
                f"[custom_function] A function with a {rule} rule takes positional arguments only under {rule}, but "
                f"was called with the keyword arguments {sorted(self.named)}."
            )

    def cotangents(self, returned: Any, arguments: Sequence[Node]) -> list[Node | None]:
        """The nodes that the vjp rule returned, one for each argument; None for zeros."""
        named: dict[str, Any] = {}
        if self.named and isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[1], dict):
            returned, named = returned
        entries: list[tuple[str, Any]] = []
        _match("The cotangents", self.primals, returned, entries, "vjp")
        _match("The cotangents", self.named, {**dict.fromkeys(self.named), **named}, entries, "vjp")
        return _nodes("vjp", entries, arguments, zero=True)

    def tangents(self, returned: Any, results: Sequence[Node]) -> list[Node | None]:
        """The nodes that the jvp rule returned, one for each output."""
        entries: list[tuple[str, Any]] = []
        _match("The tangents", self.outputs, returned, entries, "jvp")
        return _nodes("jvp", entries, results, zero=False)


def _match(path: str, like: Any, returned: Any, entries: list[tuple[str, Any]], rule: str) -> None:
    """Add what a rule returned for each slot of a template, with its path; None stands for all below it."""
    if type(like) is Slot:
        single = isinstance(returned, list | tuple) and len(returned) == 1
        entries.append((path, returned[0] if single else returned))
    elif isinstance(like, dict):
        if returned is not None and (not isinstance(returned, dict) or returned.keys() != like.keys()):
            what = f"the keys {sorted(returned)}" if isinstance(returned, dict) else describe(returned)
            raise ValueError(
                f"[custom_function] {path} that the {rule} rule returned should be a dict with the keys {list(like)}, "
                f"but it is {what}."
            )
        for key, child in like.items():
            _match(f"{path}[{key!r}]", child, None if returned is None else returned[key], entries, rule)
    elif isinstance(like, list | tuple):
        if returned is not None and (not isinstance(returned, list | tuple) or len(returned) != len(like)):
            what = f"one of {len(returned)}" if isinstance(returned, list | tuple) else describe(returned)
            raise ValueError(
                f"[custom_function] {path} that the {rule} rule returned should be a {type(like).__name__} of "
                f"{len(like)} entries, but it is {what}."
            )
        for index, child in enumerate(like):
            _match(f"{path}[{index}]", child, None if returned is None else returned[index], entries, rule)


def _nodes(rule: str, entries: list[tuple[str, Any]], like: Sequence[Node], zero: bool) -> list[Node | None]:
    """The nodes of what a rule returned, checked against those that they belong to."""
    nodes: list[Node | None] = []
    for (path, value), node in zip(entries, like, strict=True):
        if value is None and zero:
            nodes.append(None)
        elif not isinstance(value, array):
            raise ValueError(
                f"[custom_function] {path} that the {rule} rule returned should be an array, got {describe(value)}."
            )
        elif value._node.shape != node.shape:
            raise ValueError(
                f"[custom_function] {path} that the {rule} rule returned should have the shape {node.shape}, but has "
                f"{value._node.shape}."
            )
        else:
            nodes.append(cast(value._node, node.dtype))
    return nodes


class _Custom(Primitive):
    """Passes results through; its inputs are the call's arguments and then the results of the recorded function."""

    def pull_back(self, node: Node, g: list[Node | None], wanted: Sequence[int]) -> list[Node | None]:
        call, count = node.params
        assert isinstance(call, _Call)
        assert isinstance(count, int)
        if "vjp" not in call.rules:
            return [None if index < count else g[index - count] for index in wanted]
        arguments, results = list(node.inputs[:count]), list(node.inputs[count:])
        cotangents = [zeros(x.shape, x.dtype) if c is None else c for c, x in zip(g, results, strict=True)]
        returned = call.rules["vjp"](
            filled(call.primals, arguments),
            filled(call.outputs, cotangents),
            filled(call.outputs, results),
            **filled(call.named, arguments),
        )
        pulled = call.cotangents(returned, arguments)
        return [pulled[index] if index < count else None for index in wanted]


def _push(tangents: Sequence[Node | None], out: Node, inputs: Sequence[Node], call: _Call, count: int) -> Any:
    if "jvp" not in call.rules:
        return tangents[count:]
    call.without_names("jvp")
    arguments = list(inputs[:count])
    known = [zeros(x.shape, x.dtype) if t is None else t for t, x in zip(tangents[:count], arguments, strict=True)]
    returned = call.rules["jvp"](filled(call.primals, arguments), filled(call.primals, known))
    return call.tangents(returned, inputs[count:])


def _batch(inputs: Sequence[Node], dims: Sequence[int | None], call: _Call, count: int) -> tuple[Any, Any]:
    if "vmap" in call.rules:
        call.without_names("vmap")
        arguments = list(inputs[:count])
        returned = call.rules["vmap"](filled(call.primals, arguments), _axes(call.primals, dims[:count]))
        if not isinstance(returned, list | tuple) or len(returned) != 2:
            raise ValueError(
                f"[custom_function] The vmap rule should return the outputs and their axes, got {describe(returned)}."
            )
        outputs: list[tuple[str, Any]] = []
        out_axes: list[tuple[str, Any]] = []
        _match("The outputs", call.outputs, returned[0], outputs, "vmap")
        _match("The axes", call.outputs, returned[1], out_axes, "vmap")
        results = [_batched_output(path, x, axis) for (path, x), (_, axis) in zip(outputs, out_axes, strict=True)]
        out_dims = [None if axis is None else axis % x.ndim for (_, axis), x in zip(out_axes, results, strict=True)]
    else:
        results, out_dims = list(inputs[count:]), list(dims[count:])
    batched = _Call(_batched_rules(call, dims[:count], out_dims), call.primals, call.named, call.outputs)
    return CUSTOM([*inputs[:count], *results], batched, count), out_dims


def _batched_output(path: str, x: Any, axis: Any) -> Node:
    if not isinstance(x, array):
        raise ValueError(f"[custom_function] {path} that the vmap rule returned should be an array, got {describe(x)}.")
    if axis is not None and (not isinstance(axis, int) or not -x.ndim <= axis < x.ndim):
        raise ValueError(
            f"[custom_function] {path} and their axes that the vmap rule returned do not fit: {axis!r} is neither "
            f"None nor an axis of an array of shape {x.shape}."
        )
    return x._node


def _axes(tree: Any, dims: Sequence[int | None]) -> Any:
    """A template's tree with batch axes in its slots, and None for what is no array."""
    return map_plain(lambda x: dims[x.index] if type(x) is Slot else None, tree)


def _batched_rules(call: _Call, dims: Sequence[int | None], out_dims: Sequence[int | None]) -> dict[str, Rule]:
    """The derivative rules of a call, mapped over the axes that its arguments and outputs were batched along."""
    axes, named_axes, out_axes = _axes(call.primals, dims), _axes(call.named, dims), _axes(call.outputs, out_dims)
    rules: dict[str, Rule] = {}

    def cotangents(primals: Any, given: Any, outputs: Any, named: dict[str, Any]) -> list[array]:
        arguments: list[Node] = []
        template((primals, named), arguments)
        pulled = call.cotangents(call.rules["vjp"](primals, given, outputs, **named), arguments)
        return [wrap(zeros(x.shape, x.dtype) if c is None else c) for c, x in zip(pulled, arguments, strict=True)]

    def batched_vjp(primals: Any, given: Any, outputs: Any, **named: Any) -> Any:
        mapped = vmap(cotangents, in_axes=(axes, out_axes, out_axes, named_axes))(primals, given, outputs, named)
        nodes = [
            (pulled.sum(axis=0) if dim is None else pulled.moveaxis(0, dim))._node
            for pulled, dim in zip(mapped, dims, strict=True)
        ]
        by_position = filled(call.primals, nodes)
        return (by_position, filled(call.named, nodes)) if call.named else by_position

    if "vjp" in call.rules:
        rules["vjp"] = batched_vjp
    if "jvp" in call.rules:
        rules["jvp"] = vmap(call.rules["jvp"], in_axes=(axes, axes), out_axes=out_axes)
    return rules


CUSTOM = _Custom(
    "custom",
    arity=None,
    shape=lambda inputs, call, count: (
        tuple(x.shape for x in inputs[count:]),
        tuple(x.dtype for x in inputs[count:]),
    ),
    kernel=lambda values, call, count: tuple(values[count:]),
    lower=lambda xla, values, call, count: tuple(values[count:]),
    vjp=lambda *arguments: None,  # `pull_back` does it for all inputs at once
    jvp=_push,
    batch=_batch,
    many=True,
    moves_data=True,
    cost=lambda node: 0.0,
)

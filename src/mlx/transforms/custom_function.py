"""`custom_function`: a function whose derivative or batching rule its author gives.

A call records the function as it is, and after it one node that passes the outputs through. That node has the call's
arguments as inputs as well, so that a rule, where one is given, takes the derivative past the recorded function.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import Dtype, bool_
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive
from mlx.primitives.slicing import zeros
from mlx.primitives.structure import PROJECT, cast
from mlx.transforms.differentiated import describe
from mlx.transforms.tracing import Slot, filled, template
from mlx.transforms.trees import map_plain
from mlx.transforms.vmap import vmap

Rule = Callable[..., Any]


class _Example(NamedTuple):
    """Shape and dtype of what belongs to one entry of a batch."""

    shape: Shape
    dtype: Dtype


class custom_function:
    """A function with rules of its own for differentiation and batching.

    Each rule is optional and set by a decorator; without one the function is transformed as it is recorded.
    `primals` is the positional argument, or the tuple of them where there are several.

    - `vjp(primals, cotangents, outputs, **kwargs)` returns the cotangents in the structure of `primals`; where the
      call had keyword arguments, that or the pair of it and a dict of theirs;
    - `jvp(primals, tangents)` returns the tangents in the structure of the outputs; `tangents` has that of `primals`,
      zeros for arrays that are not differentiated and None for what is no array;
    - `vmap(primals, axes)` returns the batched outputs and their axes, both in the structure of the outputs; `axes`
      has the structure of `primals`, None for what is not mapped.

    Among the cotangents and tangents that are returned, None is zero. What a rule returns of another structure, type
    or shape is a ValueError that names the rule and the entry. A rule knows the arguments alone: arrays that the
    function captures are constants to its vjp and jvp rules, and a rule cannot use them where they are mapped over.

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

    def vjp(self, f: Rule) -> custom_function:
        """Set the rule for reverse mode; returns this function, so that the rule can have its name."""
        return self._with_rule("vjp", f)

    def jvp(self, f: Rule) -> custom_function:
        """Set the rule for forward mode; returns this function."""
        return self._with_rule("jvp", f)

    def vmap(self, f: Rule) -> custom_function:
        """Set the rule for batching; returns this function."""
        return self._with_rule("vmap", f)

    def _with_rule(self, kind: str, rule: Rule) -> custom_function:
        if not callable(rule):
            raise TypeError(f"[custom_function] The {kind} rule must be a function, got {type(rule).__name__}")
        self._rules[kind] = rule
        return self

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

    It holds no arrays, since values that are held are kept.
    """

    def __init__(self, rules: dict[str, Rule], primals: Any, named: dict[str, Any], outputs: Any) -> None:
        self.rules = rules
        self.primals = primals
        self.named = named
        self.outputs = outputs

    def without_names(self, rule: str) -> None:
        if self.named:
            raise ValueError(
                f"[custom_function] A function with a {rule} rule takes positional arguments only under {rule}, but "
                f"was called with the keyword arguments {sorted(self.named)}."
            )

    def cotangents(self, returned: Any, arguments: Sequence[Node]) -> list[Node | None]:
        """The nodes that the vjp rule returned, one for each argument; None for zeros."""
        _check_returned("vjp", returned)
        named: dict[str, Any] = {}
        if self.named and isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[1], dict):
            returned, named = returned
        entries: list[tuple[str, Any]] = []
        _match("The cotangents", self.primals, returned, entries, "vjp")
        _match("The cotangents", self.named, {**dict.fromkeys(self.named), **named}, entries, "vjp")
        return _nodes("vjp", entries, arguments)

    def tangents(self, returned: Any, results: Sequence[Node | _Example]) -> list[Node | None]:
        """The nodes that the jvp rule returned, one for each output; None for zeros."""
        _check_returned("jvp", returned)
        entries: list[tuple[str, Any]] = []
        _match("The tangents", self.outputs, returned, entries, "jvp")
        return _nodes("jvp", entries, results)


def _check_returned(rule: str, returned: Any) -> None:
    if returned is None:
        raise ValueError(f"[custom_function] The {rule} rule returned None. Is a return statement missing?")


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


def _nodes(rule: str, entries: list[tuple[str, Any]], like: Sequence[Node | _Example]) -> list[Node | None]:
    """The nodes of what a rule returned, checked against those that they belong to."""
    nodes: list[Node | None] = []
    for (path, value), node in zip(entries, like, strict=True):
        nodes.append(None if value is None else _checked(rule, path, value, node.shape, node.dtype))
    return nodes


def _checked(rule: str, path: str, value: Any, shape: Shape, dtype: Dtype) -> Node:
    """The node of an array that a rule returned, as `dtype`."""
    if not isinstance(value, array):
        raise ValueError(
            f"[custom_function] {path} that the {rule} rule returned should be an array, got {describe(value)}."
        )
    if value._node.shape != shape:
        raise ValueError(
            f"[custom_function] {path} that the {rule} rule returned should have the shape {shape}, but has "
            f"{value._node.shape}."
        )
    return cast(value._node, dtype)


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
    of_arrays = map_plain(lambda x: x if type(x) is Slot else None, call.primals)
    returned = call.rules["jvp"](filled(call.primals, arguments), filled(of_arrays, known))
    return call.tangents(returned, inputs[count:])


def _batch(inputs: Sequence[Node], dims: Sequence[int | None], call: _Call, count: int) -> tuple[Any, Any]:
    results, out_dims = list(inputs[count:]), list(dims[count:])
    size = next(x.shape[dim] for x, dim in zip(inputs, dims, strict=True) if dim is not None)
    examples = [_Example(_without(x.shape, dim), x.dtype) for x, dim in zip(results, out_dims, strict=True)]
    # Where only what the function captured is mapped, the rule does not know it, but the results do.
    if "vmap" in call.rules and any(dim is not None for dim in dims[:count]):
        results, out_dims = _batched_by_rule(call, inputs[:count], dims[:count], size, examples)
    rules = _batched_rules(call, dims[:count], out_dims, size, examples)
    return CUSTOM([*inputs[:count], *results], _Call(rules, call.primals, call.named, call.outputs), count), out_dims


def _without(shape: Shape, dim: int | None) -> Shape:
    return shape if dim is None else shape[:dim] + shape[dim + 1 :]


def _batched_by_rule(
    call: _Call, arguments: Sequence[Node], dims: Sequence[int | None], size: int, examples: Sequence[_Example]
) -> tuple[list[Node], list[int | None]]:
    """The outputs that the vmap rule returned and their batch axes, checked against the outputs of one entry."""
    call.without_names("vmap")
    returned = call.rules["vmap"](filled(call.primals, list(arguments)), _axes(call.primals, dims))
    if not isinstance(returned, list | tuple) or len(returned) != 2:
        raise ValueError(
            f"[custom_function] The vmap rule should return the outputs and their axes, got {describe(returned)}."
        )
    outputs: list[tuple[str, Any]] = []
    axes: list[tuple[str, Any]] = []
    _match("The outputs", call.outputs, returned[0], outputs, "vmap")
    _match("The axes", call.outputs, returned[1], axes, "vmap")
    results: list[Node] = []
    out_dims: list[int | None] = []
    for (path, x), (axis_path, axis), example in zip(outputs, axes, examples, strict=True):
        shape, dim, ndim = example.shape, axis, len(example.shape) + 1
        if axis is not None:
            if not isinstance(axis, int) or not -ndim <= axis < ndim:
                raise ValueError(
                    f"[custom_function] {axis_path} that the vmap rule returned should be None or an axis of an array "
                    f"of {ndim} axes, got {axis!r}."
                )
            dim = axis % ndim
            shape = (*shape[:dim], size, *shape[dim:])
        results.append(_checked("vmap", path, x, shape, example.dtype))
        out_dims.append(dim)
    return results, out_dims


def _axes(tree: Any, dims: Sequence[int | None]) -> Any:
    """A template's tree with batch axes in its slots, and None for what is no array."""
    return map_plain(lambda x: dims[x.index] if type(x) is Slot else None, tree)


def _batched_rules(
    call: _Call, dims: Sequence[int | None], out_dims: Sequence[int | None], size: int, examples: Sequence[_Example]
) -> dict[str, Rule]:
    """The derivative rules of a call, mapped over the axes that its arguments and outputs were batched along."""
    axes, named_axes, out_axes = _axes(call.primals, dims), _axes(call.named, dims), _axes(call.outputs, out_dims)
    rules: dict[str, Rule] = {}

    def cotangents(primals: Any, given: Any, outputs: Any, named: dict[str, Any], entry: array) -> list[array]:
        arguments: list[Node] = []
        template((primals, named), arguments)
        pulled = call.cotangents(call.rules["vjp"](primals, given, outputs, **named), arguments)
        return _with_zeros(pulled, arguments)

    def batched_vjp(primals: Any, given: Any, outputs: Any, **named: Any) -> Any:
        in_axes = (axes, out_axes, out_axes, named_axes, 0)
        mapped = vmap(cotangents, in_axes)(primals, given, outputs, named, _entries(size))
        nodes = [
            (pulled.sum(axis=0) if dim is None else pulled.moveaxis(0, dim))._node
            for pulled, dim in zip(mapped, dims, strict=True)
        ]
        by_position = filled(call.primals, nodes)
        return (by_position, filled(call.named, nodes)) if call.named else by_position

    def tangents(primals: Any, given: Any, entry: array) -> list[array]:
        return _with_zeros(call.tangents(call.rules["jvp"](primals, given), examples), examples)

    def batched_jvp(primals: Any, given: Any) -> Any:
        pushed = vmap(tangents, (axes, axes, 0), list(out_dims))(primals, given, _entries(size))
        return filled(call.outputs, [x._node for x in pushed])

    if "vjp" in call.rules:
        rules["vjp"] = batched_vjp
    if "jvp" in call.rules:
        rules["jvp"] = batched_jvp
    return rules


def _entries(size: int) -> array:
    """Something to map over, where nothing that a rule gets is mapped."""
    return wrap(zeros((size,), bool_))


def _with_zeros(nodes: Sequence[Node | None], like: Sequence[Node | _Example]) -> list[array]:
    return [wrap(zeros(x.shape, x.dtype) if node is None else node) for node, x in zip(nodes, like, strict=True)]


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
    for_transforms=True,
    moves_data=True,
    cost=lambda node: 0.0,
)

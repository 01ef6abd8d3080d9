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
from mlx.transforms.trees import leaves, map_plain
from mlx.transforms.vmap import vmap

Rule = Callable[..., Any]


class custom_function:
    """A function with rules of its own for differentiation and batching.

    Each rule is optional and set by a decorator; without one the function is transformed as it is recorded.
    `primals` is the argument, or the tuple of them where there are several.

    - `vjp(primals, cotangents, outputs)` returns the cotangents in the structure of `primals`, None for zero;
    - `jvp(primals, tangents)` returns the tangents in the structure of the outputs;
    - `vmap(primals, axes)` returns the batched outputs and their axes, both in the structure of the outputs; `axes`
      has the structure of `primals`, None for what is not mapped.

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
        call = _Call(
            dict(self._rules), args[0] if len(args) == 1 and not kwargs else (*args, *kwargs.values()), outputs
        )
        node = CUSTOM([*call.arguments, *call.results], call, len(call.arguments))
        positions = iter(range(len(call.results)))
        return map_plain(lambda x: wrap(PROJECT(node, next(positions))) if isinstance(x, array) else x, outputs)


class _Call:
    """One call: the rules as they were and the structure of its arguments and outputs.

    Only rules look at it, so that to the cache of programs all calls are the same.
    """

    def __init__(self, rules: dict[str, Rule], primals: Any, outputs: Any) -> None:
        self.rules = rules
        self.primals = primals
        self.outputs = outputs
        self.arguments = [x._node for x in leaves(primals) if isinstance(x, array)]
        self.results = [x._node for x in leaves(outputs) if isinstance(x, array)]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Call)

    def __hash__(self) -> int:
        return hash(_Call)

    def filled(self, tree: Any, values: Sequence[Any]) -> Any:
        """`primals` or `outputs` with other values in the places of the arrays, None elsewhere."""
        rest = iter(values)
        return map_plain(lambda x: next(rest) if isinstance(x, array) else None, tree)

    def with_arrays(self, tree: Any, nodes: Sequence[Node]) -> Any:
        """`primals` or `outputs` with other arrays, everything else as it was."""
        rest = iter(nodes)
        return map_plain(lambda x: wrap(next(rest)) if isinstance(x, array) else x, tree)

    def checked(self, rule: str, like: Any, arrays: Sequence[Node], returned: Any, zero: bool) -> list[Node | None]:
        """The nodes that a rule returned for each array of `like`; None, where `zero` allows it, stands for zeros.

        `arrays` are those of `like` as they are now: a program that is used for other sizes keeps the call it recorded.
        """
        expected, got = leaves(like), leaves(returned)
        present = iter(arrays)
        if len(expected) != len(got):
            raise ValueError(
                f"[custom_function] The {rule} rule should return {len(expected)} values, in the structure of the "
                f"{'outputs' if like is self.outputs else 'primals'}, but returned {len(got)}."
            )
        nodes: list[Node | None] = []
        for position, (x, value) in enumerate(zip(expected, got, strict=True)):
            if not isinstance(x, array):
                continue
            now = next(present)
            if value is None and zero:
                nodes.append(None)
            elif not isinstance(value, array):
                raise ValueError(
                    f"[custom_function] Value {position} that the {rule} rule returned should be an array, "
                    f"got {type(value).__name__}."
                )
            elif value._node.shape != now.shape:
                raise ValueError(
                    f"[custom_function] Value {position} that the {rule} rule returned should have the shape "
                    f"{now.shape}, but has {value.shape}."
                )
            else:
                nodes.append(cast(value._node, now.dtype))
        return nodes


class _Custom(Primitive):
    """Passes results through; its inputs are the call's arguments and then the results of the recorded function."""

    def pull_back(self, node: Node, g: list[Node | None], wanted: Sequence[int]) -> list[Node | None]:
        call, count = node.params
        assert isinstance(call, _Call)
        assert isinstance(count, int)
        if "vjp" not in call.rules:
            return [None if index < count else g[index - count] for index in wanted]
        arguments, results = node.inputs[:count], node.inputs[count:]
        cotangents = [zeros(x.shape, x.dtype) if c is None else c for c, x in zip(g, results, strict=True)]
        returned = call.rules["vjp"](
            call.with_arrays(call.primals, arguments),
            call.with_arrays(call.outputs, cotangents),
            call.with_arrays(call.outputs, results),
        )
        pulled = call.checked("vjp", call.primals, arguments, returned, zero=True)
        return [pulled[index] if index < count else None for index in wanted]


def _push(tangents: Sequence[Node | None], out: Node, inputs: Sequence[Node], call: _Call, count: int) -> Any:
    if "jvp" not in call.rules:
        return tangents[count:]
    known = [zeros(x.shape, x.dtype) if t is None else t for t, x in zip(tangents[:count], inputs[:count], strict=True)]
    returned = call.rules["jvp"](
        call.with_arrays(call.primals, inputs[:count]),
        call.filled(call.primals, [wrap(t) for t in known]),
    )
    return call.checked("jvp", call.outputs, inputs[count:], returned, zero=False)


def _batch(inputs: Sequence[Node], dims: Sequence[int | None], call: _Call, count: int) -> tuple[Any, Any]:
    if "vmap" in call.rules:
        axes = call.filled(call.primals, dims[:count])
        outputs, out_axes = call.rules["vmap"](call.with_arrays(call.primals, inputs[:count]), axes)
        results = [x._node for x in leaves(outputs) if isinstance(x, array)]
        out_dims = leaves(out_axes)
        if not len(call.results) == len(results) == len(out_dims):
            raise ValueError(
                f"[custom_function] The vmap rule should return {len(call.results)} outputs and as many axes, but "
                f"returned {len(results)} and {len(out_dims)}."
            )
    else:
        results, out_dims = list(inputs[count:]), list(dims[count:])
    batched = _Call(
        _batched_rules(call, dims[:count], out_dims),
        call.with_arrays(call.primals, inputs[:count]),
        call.with_arrays(call.outputs, results),
    )
    return CUSTOM([*inputs[:count], *results], batched, count), out_dims


def _batched_rules(call: _Call, dims: Sequence[int | None], out_dims: Sequence[int | None]) -> dict[str, Rule]:
    """The derivative rules of a call, mapped over the axes that its arguments and outputs were batched along."""
    axes, out_axes = call.filled(call.primals, dims), call.filled(call.outputs, out_dims)
    rules: dict[str, Rule] = {}

    def cotangents(*of_one: Any) -> list[array]:
        arguments = [x._node for x in leaves(of_one[0]) if isinstance(x, array)]
        pulled = call.checked("vjp", call.primals, arguments, call.rules["vjp"](*of_one), zero=True)
        return [wrap(zeros(x.shape, x.dtype) if c is None else c) for c, x in zip(pulled, arguments, strict=True)]

    def batched_vjp(primals: Any, given: Any, outputs: Any) -> Any:
        pulled = vmap(cotangents, in_axes=(axes, out_axes, out_axes))(primals, given, outputs)
        moved = [c.sum(axis=0) if dim is None else c.moveaxis(0, dim) for c, dim in zip(pulled, dims, strict=True)]
        return call.filled(call.primals, moved)

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

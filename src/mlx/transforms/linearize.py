"""`linearize`: the outputs of a function at a point, and its derivative there as a linear program."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from mlx.ir.node import Node, OpenTransform, next_serial, recorder
from mlx.ir.trace import Trace, placeholder, set_apart
from mlx.primitives.slicing import zeros
from mlx.primitives.structure import cast
from mlx.transforms.differentiated import Argnames, Argnums, Selection, TangentStructure, begin
from mlx.transforms.forward import push_forward
from mlx.transforms.jacobian import checked_outputs
from mlx.transforms.tracing import filled, template


def linearize(fun: Callable[..., Any], argnums: Argnums = None, argnames: Argnames = ()) -> Callable[..., Any]:
    """Make a function that returns the outputs of `fun` and its derivative at the arguments, to be applied many times.

    Args:
        fun: a function that returns an array or a tree of arrays.
        argnums: the positional arguments to differentiate, as in `value_and_grad`.
        argnames: the keyword arguments to differentiate.

    Returns:
        A function of the same arguments that returns `(outputs, push_forward)`. `push_forward(tangents)` takes tangents
        in the structure and shapes of what `grad` returns, and gives those of the outputs, in their structure, without
        running `fun` again; what it needs of the point is computed once. It can be transformed like any function.

    Raises:
        ValueError: an output is no array; the structure or a shape of the tangents is another one; what `grad` raises.
        TypeError: what `grad` raises.

    Example:
        >>> import mlx.core as mx
        >>> outputs, push_forward = mx.linearize(mx.sin)(mx.array(0.0))
        >>> [push_forward(mx.array(t)).item() for t in (1.0, 2.0)]
        [1.0, 2.0]
    """
    selection = Selection("linearize", fun, argnums, argnames)

    @functools.wraps(fun, updated=())
    def linearize_fun(*args: Any, **kwargs: Any) -> tuple[Any, Callable[[Any], Any]]:
        begin()
        with OpenTransform():
            value, inputs = selection.run(args, kwargs)
            checked_outputs("linearize", value)
            outputs: list[Node] = []
            structure = template(value, outputs)
            since = next_serial()
            tangents = [placeholder("linearize", tracer.shape, tracer.dtype) for tracer in inputs.tracers]
            pushed = push_forward(outputs, inputs.tracers, tangents)
            products = [
                zeros(output.shape, output.dtype) if product is None else cast(product, output.dtype)
                for product, output in zip(pushed, outputs, strict=True)
            ]
            trace = Trace(tangents, products, since, dependent_only=True)
            set_apart([*trace.inputs, *trace.nodes], since)

        wanted = TangentStructure(selection, inputs)  # rather than the inputs, which the program may not need

        def push_forward_fun(tangents: Any) -> Any:
            nodes = wanted.nodes(tangents)
            results = trace.replay(nodes) if recorder().open_transforms else trace.call(nodes)
            return filled(structure, results)

        return value, push_forward_fun

    return linearize_fun

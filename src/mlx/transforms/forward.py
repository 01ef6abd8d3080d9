"""Forward mode: `jvp` replays the recorded graph with the primitives' derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import bool_, float32
from mlx.ir.node import Node, OpenTransform
from mlx.ir.primitive import scalar_node
from mlx.ir.walk import ancestors, dependents
from mlx.primitives.shape import broadcast
from mlx.primitives.slicing import zeros
from mlx.primitives.structure import PROJECT, TRACER, cast
from mlx.transforms.differentiated import begin, tracer_of
from mlx.transforms.reverse import backward
from mlx.transforms.value_and_grad import checked_arrays, checked_function, function_outputs

Tangents = Sequence[Node | None]


def jvp(
    fun: Callable[..., Any], primals: Sequence[array], tangents: Sequence[array]
) -> tuple[list[array], list[array]]:
    """The outputs of `fun` at `primals`, and the Jacobian-vector products of `tangents`.

    Args:
        fun: a function of as many arrays as there are primals that returns an array or a sequence of them.
        primals: the arrays at which it is evaluated.
        tangents: one for each primal, of its shape.

    Returns:
        The list of outputs and the list of products, one for each output.

    Raises:
        ValueError: number or shape of tangents and primals differ.

    Example:
        >>> import mlx.core as mx
        >>> outputs, products = mx.jvp(lambda x: x**2, [mx.array(3.0)], [mx.array(2.0)])
        >>> products[0].item()
        12.0
    """
    checked_function("jvp", fun)
    checked_arrays("jvp", "primals", primals)
    checked_arrays("jvp", "tangents", tangents)
    if len(primals) != len(tangents):
        raise ValueError(
            f"[jvp] Number of inputs ({len(primals)}) does not match number of tangents ({len(tangents)})."
        )
    for primal, tangent in zip(primals, tangents, strict=True):
        if primal._node.shape != tangent._node.shape:
            raise ValueError(f"[jvp] Input shape {primal.shape} does not match tangent shape {tangent.shape}.")
    begin()
    with OpenTransform():
        tracers = [tracer_of(primal) for primal in primals]
        sources = [tracer._node for tracer in tracers]  # before the function assigns to its arguments
        outputs = function_outputs("jvp", fun(*tracers))
        products = push_forward(
            [output._node for output in outputs],
            sources,
            [cast(t._node, primal.dtype) for t, primal in zip(tangents, primals, strict=True)],
        )
    return outputs, [
        wrap(_zero_tangent(output) if product is None else product)
        for product, output in zip(products, outputs, strict=True)
    ]


def _zero_tangent(output: array) -> Node:
    """Zeros of the output's shape; of float32 for a truth value, with which tangents cannot be computed on."""
    dtype = float32 if output.dtype is bool_ else output.dtype
    return zeros(output._node.shape, dtype)


def push_forward(outputs: Sequence[Node], tracers: Sequence[Node], tangents: Sequence[Node]) -> list[Node | None]:
    """The tangents of `outputs`, given those of `tracers`; None where nothing arrives."""
    first = min((tracer.serial for tracer in tracers), default=0)
    known: dict[Node, Any] = dict(zip(tracers, tangents, strict=True))
    for node in dependents(ancestors(outputs, since=first), tracers):
        arriving = [known.get(operand) for operand in node.inputs]
        if any(tangent is not None for tangent in arriving):
            known[node] = _push(node, arriving)
    return [known.get(output) for output in outputs]


def _push(node: Node, tangents: Tangents) -> Any:
    """The tangent of a node, a list of them where it has many outputs; None where it is zero."""
    primitive = node.primitive
    if primitive is PROJECT:
        (of_many,) = tangents
        return of_many[node.params[0]]  # type: ignore[index]
    if primitive.jvp is not None:
        inputs = (node.inputs,) if primitive.arity is None else node.inputs
        return primitive.jvp(tangents, node, *inputs, *node.params)
    if primitive.linear:
        return _push_linear(node, tangents)
    return _push_by_transposition(node, tangents)


def _push_linear(node: Node, tangents: Tangents) -> Node | None:
    """A primitive that is linear in some inputs, one at a time, applied to the tangent of each.

    One of any number of inputs is linear in all of them together.
    """
    primitive = node.primitive
    if primitive.arity is None:
        filled = [zeros(x.shape, x.dtype) if t is None else t for t, x in zip(tangents, node.inputs, strict=True)]
        return primitive(filled, *node.params)
    total = None
    for index in primitive.linear:
        tangent = tangents[index]
        if tangent is not None:
            inputs = list(node.inputs)
            inputs[index] = tangent
            term = primitive(*inputs, *node.params)
            total = term if total is None else total + term
    return total


def _push_by_transposition(node: Node, tangents: Tangents) -> Any:
    """The tangent of a primitive that only declares its cotangents: the transpose of that linear map.

    The map is recorded on a cotangent of ones (not of zeros, which would annihilate infinite derivatives).
    """
    many = node.primitive.many
    shapes, dtypes = (node.shape, node.dtype) if many else ((node.shape,), (node.dtype,))
    cotangents = [
        TRACER(broadcast(scalar_node(1, dtype), shape))
        for shape, dtype in zip(shapes, dtypes, strict=True)  # type: ignore[arg-type]
    ]
    moving = [index for index, tangent in enumerate(tangents) if tangent is not None]
    pieces = node.primitive.pull_back(node, cotangents if many else cotangents[0], moving)
    pulled, arriving = [], []
    for index, piece in zip(moving, pieces, strict=True):
        if piece is not None:
            pulled.append(piece)
            arriving.append(tangents[index])
    pushed = backward(pulled, arriving, cotangents)
    return pushed if many else pushed[0]

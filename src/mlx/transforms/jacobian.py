"""Whole Jacobians and Hessians, and products with a Hessian, from reverse mode, forward mode and `vmap`.

A function is traced once; its pull-back (push-forward) is mapped over a basis of cotangents (tangents).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from typing import Any

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, OpenTransform, Shape
from mlx.ops.diagonals import eye
from mlx.primitives.shape import move_axis, reshape
from mlx.primitives.slicing import zeros
from mlx.primitives.structure import cast
from mlx.transforms.differentiated import Selection, TracedInputs, begin, describe, gradient_leaf
from mlx.transforms.forward import push_forward
from mlx.transforms.reverse import backward
from mlx.transforms.trees import leaves_with_paths, map_plain
from mlx.transforms.value_and_grad import grad
from mlx.transforms.vmap import vmap

Argnums = int | Sequence[int] | None
Argnames = str | Collection[str]


def jacrev(fun: Callable[..., Any], argnums: Argnums = None, argnames: Argnames = ()) -> Callable[..., Any]:
    """Make a function that returns the Jacobian of `fun`, by reverse mode: best where it has fewer outputs than inputs.

    Args:
        fun: a function that returns an array or a tree of arrays.
        argnums: the positional arguments to differentiate, as in `value_and_grad`.
        argnames: the keyword arguments to differentiate.

    Returns:
        A function of the same arguments. It returns the structure of the outputs with, in place of each array, what
        `grad` returns for a scalar: the structure of the differentiated arguments. Each leaf has the shape
        `output.shape + argument.shape` and the dtype of its argument.

    Raises:
        ValueError: an output is no array or is complex, or an argument is complex; and what `grad` raises.
        TypeError: what `grad` raises.

    Example:
        >>> import mlx.core as mx
        >>> mx.jacrev(lambda x: x**2)(mx.array([1.0, 2.0]))
        array([[2, 0],
               [0, 4]], dtype=float32)
    """
    selection = Selection("jacrev", fun, argnums, argnames)

    @functools.wraps(fun, updated=())
    def jacrev_fun(*args: Any, **kwargs: Any) -> Any:
        begin()
        with OpenTransform():
            value, inputs = selection.run(args, kwargs)
            _check_inputs("jacrev", inputs)

            def of_output(output: array) -> Any:
                def pull_back(cotangent: array) -> list[array]:
                    products = backward([output._node], [cotangent._node], inputs.tracers)
                    return [
                        gradient_leaf(product, tracer.shape, tracer.dtype)
                        for product, tracer in zip(products, inputs.tracers, strict=True)
                    ]

                rows = vmap(pull_back)(_basis(output._node.shape, output.dtype))
                shape = output._node.shape
                blocks = [
                    wrap(reshape(row._node, shape + tracer.shape))
                    for row, tracer in zip(rows, inputs.tracers, strict=True)
                ]
                return selection.joined(inputs.trees(blocks.__getitem__))

            return _over_outputs("jacrev", value, of_output)

    return jacrev_fun


def jacfwd(fun: Callable[..., Any], argnums: Argnums = None, argnames: Argnames = ()) -> Callable[..., Any]:
    """Make a function that returns the Jacobian of `fun`, by forward mode: best where it has fewer inputs than outputs.

    Arguments, structure of the result and errors are those of `jacrev`; each leaf has the dtype of its output.

    Example:
        >>> import mlx.core as mx
        >>> jacobian = mx.jacfwd(lambda x, y: {"sum": x + y, "product": x * y}, argnums=(0, 1))
        >>> jacobian(mx.array(2.0), mx.array(3.0))["product"]
        (array(3, dtype=float32), array(2, dtype=float32))
    """
    selection = Selection("jacfwd", fun, argnums, argnames)

    @functools.wraps(fun, updated=())
    def jacfwd_fun(*args: Any, **kwargs: Any) -> Any:
        begin()
        with OpenTransform():
            value, inputs = selection.run(args, kwargs)
            _check_inputs("jacfwd", inputs)
            outputs: list[Node] = []
            positions = _over_outputs("jacfwd", value, lambda output: _entered(outputs, output._node))
            columns = [_columns(outputs, tracer) for tracer in inputs.tracers]

            def of_output(position: int) -> Any:
                return selection.joined(inputs.trees(lambda number: columns[number][position]))

            return map_plain(lambda position: None if position is None else of_output(position), positions)

    return jacfwd_fun


def hessian(fun: Callable[..., Any], argnums: Argnums = None, argnames: Argnames = ()) -> Callable[..., Any]:
    """Make a function that returns the second derivatives of `fun`: forward mode over reverse mode.

    Args:
        fun: a function that returns an array or a tree of arrays, usually a scalar.
        argnums: the positional arguments to differentiate, as in `value_and_grad`.
        argnames: the keyword arguments to differentiate.

    Returns:
        A function of the same arguments, that returns the structure of `jacrev` with the structure of the
        differentiated arguments once more in place of each array: for one array of shape `s` and a scalar result an
        array of shape `s + s`.

    Raises:
        ValueError, TypeError: what `jacrev` raises.

    Example:
        >>> import mlx.core as mx
        >>> mx.hessian(lambda x: x[0] ** 2 * x[1])(mx.array([1.0, 2.0]))
        array([[4, 2],
               [2, 0]], dtype=float32)
    """
    return jacfwd(jacrev(fun, argnums, argnames), argnums, argnames)


def hvp(fun: Callable[..., Any], argnums: Argnums = None, argnames: Argnames = ()) -> Callable[..., Any]:
    """Make a function that multiplies the Hessian of `fun` with tangents, without forming it.

    Args:
        fun: a function that returns a scalar array.
        argnums: the positional arguments to differentiate, as in `grad`.
        argnames: the keyword arguments to differentiate.

    Returns:
        A function `hvp_fun(tangents, *args, **kwargs)`. The tangents have the structure and shapes of what `grad`
        returns, and so have the products, which take about four times as long as `fun`.

    Raises:
        ValueError: the structure or a shape of the tangents is another one; and what `grad` raises.
        TypeError: what `grad` raises.

    Example:
        >>> import mlx.core as mx
        >>> mx.hvp(lambda x: (x**3).sum())(mx.array([1.0, 0.0]), mx.array([2.0, 5.0]))
        array([12, 0], dtype=float32)
    """
    selection = Selection("hvp", grad(fun, argnums, argnames), argnums, argnames)

    @functools.wraps(fun, updated=())
    def hvp_fun(tangents: Any, *args: Any, **kwargs: Any) -> Any:
        begin()
        with OpenTransform():
            gradients, inputs = selection.run(args, kwargs)
            given = tangents_of("hvp", selection, inputs, tangents)
            found = [leaf._node for _, leaf in leaves_with_paths(gradients, "") if leaf is not None]
            pushed = push_forward(found, inputs.tracers, given)
            return selection.joined(inputs.gradients(pushed))

    return hvp_fun


def tangents_of(transform: str, selection: Selection, inputs: TracedInputs, tangents: Any) -> list[Node]:
    """The nodes of tangents, checked against the arrays that they belong to and cast to their dtypes."""
    expected = selection.joined(inputs.trees(lambda number: inputs.tracers[number]))
    wanted = dict(leaves_with_paths(expected, "tangents"))
    given = dict(leaves_with_paths(tangents, "tangents"))
    if wanted.keys() != given.keys():
        odd = sorted(wanted.keys() ^ given.keys())[0]
        what = "is missing" if odd in wanted else "belongs to no differentiated array"
        raise ValueError(
            f"[{transform}] The tangents should have the structure of the differentiated arguments, but {odd} {what}."
        )
    nodes = []
    for path, tracer in wanted.items():
        tangent = given[path]
        if tracer is None:
            continue
        if not isinstance(tangent, array):
            raise ValueError(f"[{transform}] {path} should be an array, got {describe(tangent)}.")
        if tangent._node.shape != tracer.shape:
            raise ValueError(
                f"[{transform}] {path} should have the shape {tracer.shape} of its argument, but has {tangent.shape}."
            )
        nodes.append(cast(tangent._node, tracer.dtype))
    return nodes


def checked_output(transform: str, path: str, output: Any) -> None:
    """Raise ValueError where an output is no array."""
    if not isinstance(output, array):
        raise ValueError(
            f"[{transform}] The function should return an array or a tree of arrays, but {path} is {describe(output)}."
        )


def _over_outputs(transform: str, value: Any, of_output: Callable[[array], Any]) -> Any:
    """The structure of the outputs with something for each of them. None, where nothing is selected, stays."""
    for path, output in leaves_with_paths(value, "its result"):
        if output is None:
            continue
        checked_output(transform, path, output)
        if output.dtype.is_complex:
            raise ValueError(
                f"[{transform}] A Jacobian of complex outputs is not supported, and {path} is complex: return its real "
                "and imaginary part."
            )
    return map_plain(lambda output: None if output is None else of_output(output), value)


def _check_inputs(transform: str, inputs: TracedInputs) -> None:
    if any(tracer.dtype.is_complex for tracer in inputs.tracers):
        raise ValueError(
            f"[{transform}] A Jacobian with respect to complex arguments is not supported: pass the real and the "
            "imaginary part."
        )


def _entered(outputs: list[Node], output: Node) -> int:
    outputs.append(output)
    return len(outputs) - 1


def _columns(outputs: list[Node], tracer: Node) -> list[array]:
    """The derivatives of all outputs with respect to one input, each of shape output.shape + tracer.shape."""

    def push(tangent: array) -> list[array]:
        pushed = push_forward(outputs, [tracer], [tangent._node])
        return [
            wrap(zeros(output.shape, output.dtype) if product is None else cast(product, output.dtype))
            for product, output in zip(pushed, outputs, strict=True)
        ]

    columns = vmap(push)(_basis(tracer.shape, tracer.dtype))
    return [
        wrap(reshape(move_axis(column._node, 0, len(output.shape)), output.shape + tracer.shape))
        for column, output in zip(columns, outputs, strict=True)
    ]


def _basis(shape: Shape, dtype: Dtype) -> array:
    """Arrays of a shape that are one at one place each, stacked along a new first axis."""
    size = 1
    for extent in shape:
        size *= extent
    return wrap(reshape(eye(size, dtype=dtype)._node, (size, *shape)))

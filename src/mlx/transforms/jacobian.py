"""Whole Jacobians and Hessians, and products with a Hessian, from reverse mode, forward mode and `vmap`.

A function is traced once; its pull-back (push-forward) is mapped over a basis of cotangents (tangents).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import count
from typing import Any

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, OpenTransform, Shape
from mlx.ops.diagonals import eye
from mlx.primitives.shape import move_axis, reshape
from mlx.primitives.slicing import zeros
from mlx.primitives.structure import cast
from mlx.transforms.differentiated import (
    Argnames,
    Argnums,
    Selection,
    TangentStructure,
    TracedInputs,
    begin,
    describe,
    gradient_leaf,
)
from mlx.transforms.forward import push_forward
from mlx.transforms.reverse import backward
from mlx.transforms.trees import leaves, leaves_with_paths, map_plain
from mlx.transforms.value_and_grad import Gradient, habit
from mlx.transforms.vmap import vmap


def jacrev(fun: Callable[..., Any], argnums: Argnums = None, argnames: Argnames = ()) -> Callable[..., Any]:
    """Make a function that returns the Jacobian of `fun`, by reverse mode: best where it has fewer outputs than inputs.

    Args:
        fun: a function that returns an array or a tree of arrays.
        argnums: the positional arguments to differentiate, as in `value_and_grad`.
        argnames: the keyword arguments to differentiate.

    Returns:
        A function of the same arguments. It returns the structure of the outputs with, in place of each array, what
        `grad` returns for a scalar: the structure of the differentiated arguments. Each leaf has the shape
        `output.shape + argument.shape` and the dtype of its argument, so that derivatives with respect to integers
        are cut off, as in `grad`; cast those arguments before. None inside the tree of outputs stays None.

    Raises:
        ValueError: an output is no array or is complex, or an argument is complex; and what `grad` raises.
        TypeError: what `grad` raises.

    Example:
        >>> import mlx.core as mx
        >>> mx.jacrev(lambda x: x**2)(mx.array([1.0, 2.0]))
        array([[2, 0],
               [0, 4]], dtype=float32)
    """
    return _by_reverse_mode("jacrev", fun, argnums, argnames)


def jacfwd(fun: Callable[..., Any], argnums: Argnums = None, argnames: Argnames = ()) -> Callable[..., Any]:
    """Make a function that returns the Jacobian of `fun`, by forward mode: best where it has fewer inputs than outputs.

    Arguments, structure of the result and errors are those of `jacrev`; each leaf has the dtype of its output, so that
    derivatives with respect to integers are whole where the output is of a floating-point type.

    Example:
        >>> import mlx.core as mx
        >>> jacobian = mx.jacfwd(lambda x, y: {"sum": x + y, "product": x * y}, argnums=(0, 1))
        >>> jacobian(mx.array(2.0), mx.array(3.0))["product"]
        (array(3, dtype=float32), array(2, dtype=float32))
    """
    return _by_forward_mode("jacfwd", fun, argnums, argnames)


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
    gradients = _by_reverse_mode("hessian", fun, argnums, argnames)
    return _by_forward_mode("hessian", gradients, argnums, argnames)


def hvp(fun: Callable[..., Any], argnums: Argnums = None, argnames: Argnames = ()) -> Callable[..., Any]:
    """Make a function that multiplies the Hessian of `fun` with tangents, without forming it.

    Args:
        fun: a function that returns a scalar array.
        argnums: the positional arguments to differentiate, as in `grad`.
        argnames: the keyword arguments to differentiate.

    Returns:
        A function `hvp_fun(tangents, *args, **kwargs)`. The tangents have the structure and shapes of what `grad`
        returns, and so have the products, which take about twice as long as `grad`.

    Raises:
        ValueError: the structure or a shape of the tangents is another one; and what `grad` raises.
        TypeError: what `grad` raises.

    Example:
        >>> import mlx.core as mx
        >>> mx.hvp(lambda x: (x**3).sum())(mx.array([1.0, 0.0]), mx.array([2.0, 5.0]))
        array([12, 0], dtype=float32)
    """
    selection = Selection("hvp", Gradient("hvp", fun, argnums, argnames).grad, argnums, argnames)

    # It takes one argument more than `fun`, so it does not pass for it as the functions of other transforms do.
    def hvp_fun(tangents: Any, /, *args: Any, **kwargs: Any) -> Any:
        begin()
        with OpenTransform():
            gradients, inputs = selection.run(args, kwargs)
            given = TangentStructure(selection, inputs).nodes(tangents)
            found = [leaf._node for leaf in leaves(gradients) if leaf is not None]
            pushed = push_forward(found, inputs.tracers, given)
            return selection.joined(inputs.gradients(pushed))

    return hvp_fun


def _by_reverse_mode(
    transform: str, fun: Callable[..., Any], argnums: Argnums, argnames: Argnames
) -> Callable[..., Any]:
    """The Jacobian, a row at a time: the pull-back of every output, mapped over the places of the output."""
    selection = Selection(transform, fun, argnums, argnames)

    @functools.wraps(fun, updated=())
    def jacrev_fun(*args: Any, **kwargs: Any) -> Any:
        begin()
        with OpenTransform():
            value, inputs = selection.run(args, kwargs)
            _check_real(transform, value, inputs)

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

            return _for_each(of_output, value)

    return jacrev_fun


def _by_forward_mode(
    transform: str, fun: Callable[..., Any], argnums: Argnums, argnames: Argnames
) -> Callable[..., Any]:
    """The Jacobian, a column at a time: the push-forward of every input, mapped over the places of the input."""
    selection = Selection(transform, fun, argnums, argnames)

    @functools.wraps(fun, updated=())
    def jacfwd_fun(*args: Any, **kwargs: Any) -> Any:
        begin()
        with OpenTransform():
            value, inputs = selection.run(args, kwargs)
            _check_real(transform, value, inputs)
            outputs = [output._node for output in leaves(value) if output is not None]
            columns = [_columns(outputs, tracer) for tracer in inputs.tracers]
            positions = count()

            def of_output(_: array) -> Any:
                position = next(positions)
                return selection.joined(inputs.trees(lambda number: columns[number][position]))

            return _for_each(of_output, value)

    return jacfwd_fun


def checked_outputs(transform: str, outputs: Any) -> None:
    """Raise ValueError where an output is no array. Inside a tree None may stand, as in gradients by name alone."""
    for path, output in leaves_with_paths(outputs, "its result"):
        if not isinstance(output, array) and (output is not None or outputs is None):
            raise ValueError(
                f"[{transform}] The function should return an array or a tree of arrays, but {path} is "
                f"{describe(output)}.{habit(output)}"
            )


def _check_real(transform: str, outputs: Any, inputs: TracedInputs) -> None:
    """Raise ValueError where an output is no array, or where an output or an input is complex."""
    checked_outputs(transform, outputs)
    for path, output in leaves_with_paths(outputs, "its result"):
        if output is not None and output.dtype.is_complex:
            raise ValueError(
                f"[{transform}] Derivatives of complex outputs are not supported, and {path} is complex: return its "
                "real and imaginary part."
            )
    if any(tracer.dtype.is_complex for tracer in inputs.tracers):
        raise ValueError(
            f"[{transform}] Derivatives with respect to complex arguments are not supported: pass the real and the "
            "imaginary part."
        )


def _for_each(function: Callable[[array], Any], outputs: Any) -> Any:
    """The structure of the outputs with what the function makes of each array in it, called in their order."""
    return map_plain(lambda output: None if output is None else function(output), outputs)


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

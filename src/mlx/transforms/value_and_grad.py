"""`value_and_grad`, `grad` and `vjp`: functions of functions by reverse mode."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from typing import Any

from mlx.arrays.array import array
from mlx.ir.node import Node, OpenTransform
from mlx.ir.primitive import scalar_node
from mlx.primitives.shape import broadcast
from mlx.primitives.structure import cast
from mlx.transforms.differentiated import Argnames, Argnums, Selection, begin, describe, gradient_leaf, tracer_of
from mlx.transforms.reverse import backward


def value_and_grad(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] | None = None,
    argnames: str | Collection[str] = (),
) -> Callable[..., tuple[Any, Any]]:
    """Make a function that returns what `fun` returns, and the gradient of its (first) result.

    Args:
        fun: a function that returns a scalar array, or a tuple whose first element is one. The rest of the tuple can
            be anything and comes back as it is.
        argnums: the positional arguments to differentiate: an index or several. Each is a tree (list, tuple, dict,
            module) of arrays. Default: argument 0, unless `argnames` is given.
        argnames: names of keyword arguments to differentiate.

    Returns:
        A function of the same arguments that returns `(value, gradient)`. The gradient has the structure of the
        argument, and each leaf the shape and dtype of its parameter; for several positional arguments it is a tuple
        in ascending order of index; with `argnames` it is `(positional or None, {name: gradient})`.

    Raises:
        ValueError: a negative or duplicate index, nothing to differentiate, a leaf that is no array, a result that is
            no scalar array.
        TypeError: `argnums` that are no ints, `argnames` that are no strings.

    Example:
        >>> import mlx.core as mx
        >>> def mse(params, inputs, targets):
        ...     return ((inputs @ params["w"] + params["b"] - targets) ** 2).mean()
        >>> params = {"w": mx.array([1.0, 2.0]), "b": mx.array(0.5)}
        >>> value, grads = mx.value_and_grad(mse)(params, mx.array([[1.0, 1.0], [0.0, 1.0]]), mx.array([3.0, 2.0]))
        >>> value.item(), grads["b"].item()
        (0.25, 1.0)
    """
    return Gradient("value_and_grad", fun, argnums, argnames).value_and_grad


def grad(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] | None = None,
    argnames: str | Collection[str] = (),
) -> Callable[..., Any]:
    """Make a function that returns the gradient of `fun`, which must return a scalar array.

    Arguments, structure of the gradient and errors are those of `value_and_grad`.

    Example:
        >>> import mlx.core as mx
        >>> mx.grad(mx.grad(lambda x: x**3))(mx.array(2.0)).item()
        12.0
    """
    return Gradient("grad", fun, argnums, argnames).grad


def vjp(
    fun: Callable[..., Any], primals: Sequence[array], cotangents: Sequence[array]
) -> tuple[list[array], list[array]]:
    """The outputs of `fun` at `primals`, and the vector-Jacobian products of `cotangents`.

    Args:
        fun: a function of as many arrays as there are primals that returns an array or a sequence of them.
        primals: the arrays at which it is evaluated.
        cotangents: one for each output, of its shape.

    Returns:
        The list of outputs and the list of products, one for each primal.

    Raises:
        ValueError: number or shape of cotangents and outputs differ.

    Example:
        >>> import mlx.core as mx
        >>> outputs, products = mx.vjp(mx.sin, [mx.array(0.0)], [mx.array(2.0)])
        >>> products[0].item()
        2.0
    """
    checked_function("vjp", fun)
    checked_arrays("vjp", "primals", primals)
    checked_arrays("vjp", "cotangents", cotangents)
    begin()
    with OpenTransform():
        tracers = [tracer_of(primal) for primal in primals]
        sources = [tracer._node for tracer in tracers]  # before the function assigns to its arguments
        outputs = function_outputs("vjp", fun(*tracers))
        if len(outputs) != len(cotangents):
            raise ValueError(
                f"[vjp] Number of outputs to compute gradients for ({len(outputs)}) does not match number of "
                f"cotangents ({len(cotangents)})."
            )
        for output, cotangent in zip(outputs, cotangents, strict=True):
            if output._node.shape != cotangent._node.shape:
                raise ValueError(
                    f"[vjp] Output shape {output.shape} does not match cotangent shape {cotangent.shape}."
                    " If you are using grad your function must return a scalar."
                )
        products = backward(
            [output._node for output in outputs],
            [cast(g._node, output.dtype) for g, output in zip(cotangents, outputs, strict=True)],
            sources,
            is_last=True,
        )
    return outputs, [
        gradient_leaf(product, primal._node.shape, primal.dtype)
        for product, primal in zip(products, primals, strict=True)
    ]


class Gradient:
    """`value_and_grad` or `grad` of a function; errors name the transform that is built on it."""

    def __init__(
        self,
        transform: str,
        fun: Callable[..., Any],
        argnums: Argnums,
        argnames: Argnames,
    ) -> None:
        self.transform = transform
        self.selection = Selection(transform, fun, argnums, argnames)

    @property
    def value_and_grad(self) -> Callable[..., tuple[Any, Any]]:
        @functools.wraps(self.selection.fun, updated=())
        def value_and_grad_fun(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
            return self._differentiate(args, kwargs)

        return value_and_grad_fun

    @property
    def grad(self) -> Callable[..., Any]:
        @functools.wraps(self.selection.fun, updated=())
        def grad_fun(*args: Any, **kwargs: Any) -> Any:
            return self._differentiate(args, kwargs)[1]

        return grad_fun

    def _differentiate(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        begin()
        with OpenTransform():
            value, inputs = self.selection.run(args, kwargs)
            loss = self._checked_loss(value)
            one = broadcast(scalar_node(1, loss.dtype), loss.shape)
            products = backward([loss], [one], inputs.tracers, is_last=True)
        return value, self.selection.joined(inputs.gradients(products))

    def _checked_loss(self, value: Any) -> Node:
        """The node of the scalar that is differentiated."""
        loss = value
        allowed = "a scalar array"
        if self.transform == "value_and_grad":
            allowed = "either a scalar array or a tuple whose first value is a scalar array"
            if isinstance(value, tuple) and value:
                loss = value[0]
        message = (
            f"[{self.transform}] The return value of the function whose gradient we want to compute should be {allowed}"
        )
        if not isinstance(loss, array):
            raise ValueError(f"{message}; but {describe(loss)} was returned.{habit(loss)}")
        if loss.ndim:
            raise ValueError(
                f"{message}; but an array of shape {loss.shape} was returned. Reduce it to one number, for example "
                f"with mx.mean."
            )
        return loss._node


def checked_function(transform: str, fun: Any) -> None:
    if not callable(fun):
        raise TypeError(f"[{transform}] fun must be callable, got {describe(fun)}.")


def checked_arrays(transform: str, argument: str, given: Any) -> None:
    if not isinstance(given, list | tuple) or not all(isinstance(x, array) for x in given):
        raise TypeError(f"[{transform}] {argument} must be a list of arrays, got {describe(given)}")


def function_outputs(transform: str, results: Any) -> list[array]:
    """What a transformed function returned, an array or a sequence of arrays, as a list."""
    outputs = [results] if isinstance(results, array) else results
    if not isinstance(outputs, list | tuple) or not all(isinstance(x, array) for x in outputs):
        raise ValueError(
            f"[{transform}] The function should return an array or a sequence of arrays, got {describe(results)}."
        )
    return list(outputs)


def habit(value: Any) -> str:
    """What to write instead, where the habit behind a wrong result is known."""
    if type(value).__module__ == "numpy":
        return " Use the functions of mx inside it; NumPy's leave the recorded program."
    if isinstance(value, int | float):
        return " Return the array itself, without .item() or float()."
    if isinstance(value, list):
        return " Return a tuple."
    if value is None:
        return " Is a return statement missing?"
    return ""

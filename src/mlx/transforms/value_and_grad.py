"""`value_and_grad`, `grad` and `vjp`: functions of functions by reverse mode."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Any

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, OpenTransform, Shape, hooks, record, recorder
from mlx.ir.primitive import scalar_node
from mlx.primitives.shape import broadcast
from mlx.primitives.slicing import zeros
from mlx.primitives.structure import TRACER, cast
from mlx.transforms.reverse import backward
from mlx.transforms.trees import entries, is_container, leaves_with_paths, map_plain, rebuild_tuple


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
    return _Gradient("value_and_grad", fun, argnums, argnames).value_and_grad


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
    return _Gradient("grad", fun, argnums, argnames).grad


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
        )
    return outputs, [
        _gradient_leaf(product, primal._node.shape, primal.dtype)
        for product, primal in zip(products, primals, strict=True)
    ]


class _Gradient:
    """A function and the arguments of it to differentiate, checked once."""

    def __init__(
        self,
        transform: str,
        fun: Callable[..., Any],
        argnums: int | Sequence[int] | None,
        argnames: str | Collection[str],
    ) -> None:
        self.transform = transform
        if not callable(fun):
            raise TypeError(f"[{transform}] fun must be callable, got {_describe(fun)}")
        self.fun = fun
        self.names = self._checked_names(argnames)
        if argnums is None:
            argnums = () if self.names else (0,)
        self.positions = self._checked_positions(argnums)
        if not self.positions and not self.names:
            raise ValueError(f"[{transform}] Gradient wrt no argument requested: give argnums or argnames")

    def _checked_names(self, argnames: str | Collection[str]) -> list[str]:
        names = [argnames] if isinstance(argnames, str) else argnames
        if not isinstance(names, Collection) or not all(isinstance(name, str) for name in names):
            raise TypeError(f"[{self.transform}] argnames must be a string or strings, got {argnames!r}")
        names = list(names)
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"[{self.transform}] Duplicate keyword argument {name!r} is not allowed.")
        return names

    def _checked_positions(self, argnums: int | Sequence[int]) -> list[int]:
        if isinstance(argnums, int) and not isinstance(argnums, bool):
            argnums = (argnums,)
        if not isinstance(argnums, Sequence) or any(not isinstance(i, int) or isinstance(i, bool) for i in argnums):
            raise TypeError(f"[{self.transform}] argnums must be an int or a sequence of ints, got {argnums!r}")
        positions = sorted(argnums)
        for i in positions:
            if i < 0:
                raise ValueError(f"[{self.transform}] Can't compute the gradient of negative argument index {i}")
            if positions.count(i) > 1:
                raise ValueError(f"[{self.transform}] Duplicate argument index {i} is not allowed.")
        return positions

    @property
    def value_and_grad(self) -> Callable[..., tuple[Any, Any]]:
        @functools.wraps(self.fun, updated=())
        def value_and_grad_fun(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
            return self._differentiate(args, kwargs)

        return value_and_grad_fun

    @property
    def grad(self) -> Callable[..., Any]:
        @functools.wraps(self.fun, updated=())
        def grad_fun(*args: Any, **kwargs: Any) -> Any:
            return self._differentiate(args, kwargs)[1]

        return grad_fun

    def _differentiate(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        self._check_call(args, kwargs)
        begin()
        with OpenTransform():
            inputs = _TracedInputs()
            try:
                traced_args, traced_kwargs = list(args), dict(kwargs)
                for i in self.positions:
                    traced_args[i] = inputs.add(args[i])
                for name in self.names:
                    traced_kwargs[name] = inputs.add(kwargs[name])
                value = self.fun(*traced_args, **traced_kwargs)
            except _NotAnArray:
                raise ValueError(self._leaf_complaint(args, kwargs)) from None
            finally:
                inputs.restore()
            loss = self._checked_loss(value)
            one = broadcast(scalar_node(1, loss.dtype), loss.shape)
            products = backward([loss], [one], inputs.tracers)
        gradients = inputs.gradients(products)
        positional = gradients[: len(self.positions)]
        by_position: Any = tuple(positional) if len(positional) > 1 else positional[0] if positional else None
        if not self.names:
            return value, by_position
        return value, (by_position, dict(zip(self.names, gradients[len(self.positions) :], strict=True)))

    def _check_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self.positions and self.positions[-1] >= len(args):
            raise ValueError(
                f"[{self.transform}] Can't compute the gradient of argument index {self.positions[-1]} because the "
                f"function is called with only {len(args)} positional arguments."
            )
        for name in self.names:
            if name not in kwargs:
                raise ValueError(
                    f"[{self.transform}] Can't compute the gradient of keyword argument {name!r} because the "
                    f"function is called with the keyword arguments {sorted(kwargs)}; pass it by name."
                )

    def _leaf_complaint(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """Which leaf of a differentiated argument is no array."""
        names = _parameter_names(self.fun)
        trees = [(names[i] if i < len(names) else f"args[{i}]", args[i]) for i in self.positions]
        trees += [(name, kwargs[name]) for name in self.names]
        for root, tree in trees:
            for path, leaf in leaves_with_paths(tree, root):
                if not isinstance(leaf, array):
                    return (
                        f"[{self.transform}] The argument should contain only arrays, but {path} is "
                        f"{_describe(leaf)}. Make it an mx.array, or pass it in an argument that is not "
                        f"differentiated."
                    )
        raise AssertionError("every leaf is an array")

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
            raise ValueError(f"{message}; but {_describe(loss)} was returned.{_habit(loss)}")
        if loss.ndim:
            raise ValueError(
                f"{message}; but an array of shape {loss.shape} was returned. Reduce it to one number, for example "
                f"with mx.mean."
            )
        return loss._node


class _NotAnArray(Exception):
    """A leaf of a differentiated argument is no array."""


class _TracedInputs:
    """The caller's own containers, filled with tracers while the function runs.

    `restore` puts the original arrays back wherever the function did not assign something itself. The structure of
    each argument is noted when it is filled, in plain containers, since the function may change it.
    """

    def __init__(self) -> None:
        self.tracers: list[Node] = []
        self._structures: list[Any] = []
        self._changes: list[tuple[Any, Any, Any, Any]] = []

    def add(self, tree: Any) -> Any:
        """One more argument: what the function is called with in its place."""
        filled, structure = self._fill(tree)
        self._structures.append(structure)
        return filled

    def _fill(self, tree: Any) -> tuple[Any, Any]:
        """A tree with tracers for leaves, and the same in plain containers with their numbers for leaves."""
        if isinstance(tree, array):
            tracer = tracer_of(tree)
            self.tracers.append(tracer._node)
            return tracer, len(self.tracers) - 1
        if isinstance(tree, tuple):
            pairs = [self._fill(child) for child in tree]
            return rebuild_tuple(tree, [f for f, _ in pairs]), rebuild_tuple(tree, [s for _, s in pairs])
        if not is_container(tree):
            raise _NotAnArray
        structures = []
        for key, child in entries(tree):
            filled, structure = self._fill(child)
            structures.append(structure)
            if filled is not child:
                tree[key] = filled
                self._changes.append((tree, key, child, filled))
        return tree, dict(zip(tree, structures, strict=True)) if isinstance(tree, dict) else structures

    def gradients(self, products: Sequence[Node | None]) -> list[Any]:
        """The gradient of every argument, in its structure."""

        def leaf(number: int) -> array:
            tracer = self.tracers[number]
            return _gradient_leaf(products[number], tracer.shape, tracer.dtype)

        return [map_plain(leaf, structure) for structure in self._structures]

    def restore(self) -> None:
        for container, key, original, filled in reversed(self._changes):
            try:
                if container[key] is filled:
                    container[key] = original
            except LookupError:  # the function removed it
                pass
        self._changes.clear()


def checked_arrays(transform: str, argument: str, given: Any) -> None:
    if not isinstance(given, list | tuple) or not all(isinstance(x, array) for x in given):
        raise TypeError(f"[{transform}] {argument} must be a list of arrays, got {_describe(given)}")


def function_outputs(transform: str, results: Any) -> list[array]:
    """What a transformed function returned, an array or a sequence of arrays, as a list."""
    outputs = [results] if isinstance(results, array) else results
    if not isinstance(outputs, list | tuple) or not all(isinstance(x, array) for x in outputs):
        raise ValueError(
            f"[{transform}] The function should return an array or a sequence of arrays, got {_describe(results)}."
        )
    return list(outputs)


def begin() -> None:
    """Evaluate what an outermost transform finds pending, so that each training step is one program."""
    if recorder().open_transforms == 0:
        hooks.evaluate_held()


def tracer_of(x: array) -> array:
    node = x._node
    return wrap(record(TRACER, (node,), (), node.shape, node.dtype))


def _gradient_leaf(product: Node | None, shape: Shape, dtype: Dtype) -> array:
    if product is None:
        return wrap(zeros(shape, dtype))
    return wrap(cast(product, dtype))


def _describe(value: Any) -> str:
    return f"a value of type {type(value).__module__}.{type(value).__qualname__}".replace("builtins.", "")


def _habit(value: Any) -> str:
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


def _parameter_names(fun: Callable[..., Any]) -> list[str]:
    try:
        parameters = inspect.signature(fun).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]

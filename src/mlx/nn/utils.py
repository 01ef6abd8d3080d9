"""Functions that connect modules with the function transforms of ``mlx.core``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.nn.layers.matching import match_parameters
from mlx.utils import tree_flatten


def value_and_grad(model: Module, fn: Callable[..., Any]) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """Transform ``fn`` into a function of its value and its gradient in the model's trainable parameters.

    Args:
        model: The module to differentiate in. It keeps its own arrays, also if ``fn`` raises; what ``fn``
            itself assigns to the model stays.
        fn: Function that uses ``model`` and returns a scalar array, or a tuple that starts with one.

    Returns:
        A function of the arguments of ``fn`` that returns what ``fn`` returns and the gradient, a tree like
        ``model.trainable_parameters()``.

    Raises:
        TypeError: If ``model`` is no module or ``fn`` cannot be called.
        ValueError: At the call, if all parameters are frozen or there are none.

    Example:
        >>> import mlx.core as mx, mlx.nn as nn
        >>> model = nn.Linear(2, 1)
        >>> def loss_fn(x, y):
        ...     return nn.losses.mse_loss(model(x), y)
        >>> step = nn.value_and_grad(model, loss_fn)
        >>> loss, grads = step(mx.ones((4, 2)), mx.zeros((4, 1)))
        >>> loss.shape, grads["weight"].shape, grads["bias"].shape
        ((), (1, 2), (1,))
    """
    if not isinstance(model, Module):
        raise TypeError(
            f"[nn.value_and_grad] model must be a Module, got {type(model).__name__}; "
            "the order is nn.value_and_grad(model, fn)."
        )
    if not callable(fn):
        raise TypeError(f"[nn.value_and_grad] fn must be a function, got {type(fn).__name__}.")

    def call(parameters: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        return _with_parameters(model, parameters, lambda: fn(*args, **kwargs))

    transformed = mx.value_and_grad(call)

    @functools.wraps(fn)
    def value_and_grad_fn(*args: Any, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        parameters = model.trainable_parameters()
        if not tree_flatten(parameters):
            raise ValueError(
                "[nn.value_and_grad] The model has no trainable parameters; if they are frozen, call model.unfreeze()."
            )
        return transformed(parameters, *args, **kwargs)

    return value_and_grad_fn


def checkpoint(module: Module, fn: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """Return ``fn`` as a function that recomputes its intermediate values in the backward pass.

    Args:
        module: The module whose parameters ``fn`` uses. Gradients reach them, as all that ``fn`` captures.
        fn: The function; by default the module itself.

    Returns:
        A function with the arguments and results of ``fn`` that stores less for differentiation.
    """
    return mx.checkpoint(module if fn is None else fn)


def _with_parameters(model: Module, parameters: dict[str, Any], run: Callable[[], Any]) -> Any:
    """``run()`` while the model holds ``parameters``; afterwards it has back what ``run`` did not assign."""
    matches = match_parameters(model, parameters, "nn.value_and_grad")
    own = [container[key] for container, key, _ in matches]
    try:
        for container, key, array in matches:
            container[key] = array
        return run()
    finally:
        for (container, key, swapped), array in zip(matches, own, strict=True):
            if _holds(container, key, swapped):
                container[key] = array


def _holds(container: Any, key: Any, array: mx.array) -> bool:
    if isinstance(container, dict):
        return container.get(key) is array
    return key < len(container) and container[key] is array

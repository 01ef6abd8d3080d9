"""Functions that connect modules with the function transforms of ``mlx.core``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import mlx.core as mx
from mlx.core.changes import Changes
from mlx.nn.layers.base import Module
from mlx.nn.layers.functional import put
from mlx.nn.layers.matching import match_parameters
from mlx.utils import tree_flatten, tree_map, tree_map_with_path, tree_reduce


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

    def call(parameters: dict[str, Any], /, *args: Any, **kwargs: Any) -> Any:
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
    changes = Changes()
    try:
        put(matches)
        with changes:
            return run()
    finally:
        for (container, key, swapped), array in zip(matches, own, strict=True):
            if _holds(container, key, swapped) and not changes.is_updated(swapped):
                container[key] = array


def _holds(container: Any, key: Any, array: mx.array) -> bool:
    if isinstance(container, dict):
        return container.get(key) is array
    return key < len(container) and container[key] is array


def average_gradients(
    gradients: Any,
    group: mx.distributed.Group | None = None,
    all_reduce_size: int = 32 * 2**20,
    communication_stream: mx.Stream | None = None,
) -> Any:
    """Average gradients over the processes of a group.

    Small arrays are joined and sent together.

    Args:
        gradients: Tree of arrays of the same structure and shapes in all processes.
        group: The processes that take part; all, by default.
        all_reduce_size: Bytes up to which arrays are joined; with 0 or less each is sent by itself.
        communication_stream: The stream to communicate on.

    Returns:
        A tree of the same structure.

    Example:
        >>> import mlx.core as mx
        >>> average_gradients({"w": mx.array([1.0, 2.0])})
        {'w': array([1, 2], dtype=float32)}
    """
    group = group if group is not None else mx.distributed.init()
    if group.size() == 1:
        return gradients

    def averaged(array: mx.array) -> mx.array:
        return mx.distributed.all_sum(array, group=group, stream=communication_stream) / group.size()

    pairs = tree_flatten(gradients)
    results: dict[str, mx.array] = {}
    for batch in _batches(pairs, all_reduce_size):
        together = averaged(mx.concatenate([array.flatten() for _, array in batch]))
        start = 0
        for path, array in batch:
            results[path] = together[start : start + array.size].reshape(array.shape)
            start += array.size
    return tree_map_with_path(lambda path, array: results[path], gradients)


def _batches(pairs: list[tuple[str, mx.array]], limit: int) -> list[list[tuple[str, mx.array]]]:
    """Neighbours of one dtype in batches of up to so many bytes, each of one array at least."""
    batches: list[list[tuple[str, mx.array]]] = []
    size = 0
    for path, array in pairs:
        joins = batches and batches[-1][0][1].dtype == array.dtype and size + array.nbytes <= limit
        if joins:
            batches[-1].append((path, array))
            size += array.nbytes
        else:
            batches.append([(path, array)])
            size = array.nbytes
    return batches


def clip_grad_norm_sharded(
    gradients: Any, max_norm: float, group: mx.distributed.Group | None = None
) -> tuple[Any, mx.array]:
    """Scale gradients whose parts lie with the processes of a group down to a common norm of at most ``max_norm``.

    It is :func:`mlx.optimizers.clip_grad_norm` for the gradients of :func:`mlx.nn.fully_shard`.

    Args:
        gradients: Tree of arrays, this process's parts.
        max_norm: The largest norm that is let through, at least 0.
        group: The processes that hold the parts; all, by default.

    Returns:
        The scaled parts, a new tree of the same structure and dtypes, and the norm of all parts together before
        scaling, a float32 scalar.

    Raises:
        ValueError: If ``max_norm`` is negative.

    Example:
        >>> import mlx.core as mx
        >>> clip_grad_norm_sharded({"w": mx.array([3.0, 4.0])}, max_norm=1.0)
        ({'w': array([0.6, 0.8], dtype=float32)}, array(5, dtype=float32))
    """
    if max_norm < 0:
        raise ValueError(f"[nn.utils.clip_grad_norm_sharded] max_norm must not be negative, got {max_norm}.")
    # In float32, since squares of float16 numbers overflow from 256 on.
    own = tree_reduce(lambda total, x: total + mx.abs(x).astype(mx.float32).square().sum(), gradients, mx.array(0.0))
    norm = mx.sqrt(mx.distributed.all_sum(own, group=group))
    scale = mx.minimum(max_norm / (norm + 1e-6), 1.0)
    return tree_map(lambda x: (x * scale).astype(x.dtype), gradients), norm

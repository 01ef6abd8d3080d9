"""`checkpoint`: differentiate a function by recomputing it, instead of keeping what it computed on the way."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from mlx.arrays.array import array, wrap
from mlx.ir.node import OpenTransform
from mlx.primitives.structure import TRACER, tied
from mlx.transforms.custom_function import custom_function
from mlx.transforms.reverse import backward
from mlx.transforms.trees import leaves, map_plain


def checkpoint(fun: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that recomputes its intermediate values when it is differentiated.

    Args:
        fun: a function of arrays and trees of arrays. Gradients reach its arguments; arrays that it captures count as
            constants.

    Returns:
        A function of the same arguments and results. Its backward pass runs `fun` again, tied to the arriving
        cotangents so that the first run's values need not be kept.

    Example:
        >>> import mlx.core as mx
        >>> mx.grad(mx.checkpoint(lambda x: mx.sin(x) ** 2))(mx.array(0.0)).item()
        0.0
    """
    if not callable(fun):
        raise TypeError(f"[checkpoint] fun must be callable, got {type(fun).__name__}")

    @functools.wraps(fun, updated=())
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        count = len(args)

        def positional(*given: Any) -> Any:
            return fun(*given[:count], **dict(zip(kwargs, given[count:], strict=True)))

        recomputed = custom_function(positional)
        recomputed.vjp(functools.partial(_recompute, positional, count + len(kwargs) == 1))
        return recomputed(*args, *kwargs.values())

    return checkpointed


def _recompute(fun: Callable[..., Any], single: bool, primals: Any, cotangents: Any, outputs: Any) -> Any:
    """The cotangents of `primals`, from a second run of `fun` that waits for the first cotangent."""
    arguments = [x for x in leaves(primals) if isinstance(x, array)]
    arriving = [x for x in leaves(cotangents) if isinstance(x, array)]
    nodes = tied([x._node for x in (*arguments, *arriving)])
    with OpenTransform():
        tracers = [TRACER(node) for node in nodes[: len(arguments)]]
        fresh = iter([wrap(tracer) for tracer in tracers])
        again = map_plain(lambda x: next(fresh) if isinstance(x, array) else x, primals)
        results = fun(again) if single else fun(*again)
        pulled = backward([x._node for x in leaves(results) if isinstance(x, array)], nodes[len(arguments) :], tracers)
    found = iter(pulled)

    def cotangent(x: Any) -> Any:
        node = next(found) if isinstance(x, array) else None
        return None if node is None else wrap(node)

    return map_plain(cotangent, primals)

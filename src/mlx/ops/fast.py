"""Functions of networks that other implementations have kernels of their own for. Here they are compositions, which
XLA fuses; half precision is computed in float32 and rounded once.
"""

from __future__ import annotations

from typing import Any

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import Dtype, float32, promote_types
from mlx.ir.node import Node
from mlx.ir.primitive import scalar_node
from mlx.ops.arguments import StreamOrDevice, array_node, check_stream, real_number
from mlx.ops.reductions import mean
from mlx.primitives.arithmetic import RSQRT, SQUARE
from mlx.primitives.gathered_matmul import index_within
from mlx.primitives.pick import PICK
from mlx.primitives.softmax import LOGSUMEXP
from mlx.primitives.structure import cast

__all__ = ["cross_entropy", "layer_norm", "rms_norm"]


def cross_entropy(logits: array, targets: array, *, stream: StreamOrDevice = None) -> array:
    """What each target costs under a softmax of logits: logsumexp(logits) - logits[target], over the last axis.

    Args:
        logits: array of shape (..., classes) of real floating numbers.
        targets: integers of shape (...): the index of the class.

    Returns:
        float32 array of the shape of `targets`, computed in float32 at least.

    Raises:
        ValueError: shapes or dtypes do not fit, or there are no classes.

    Example:
        >>> import mlx.core as mx
        >>> mx.fast.cross_entropy(mx.array([[0.0, 0.0], [50.0, 0.0]]), mx.array([1, 1]))
        array([0.693147, 50], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "cross_entropy")
    node, classes = array_node(logits, "cross_entropy", "logits"), array_node(targets, "cross_entropy", "targets")
    if node.ndim < 1:
        raise ValueError("[cross_entropy] logits must have at least 1 dimension but got input with 0 dimensions.")
    if not node.dtype.is_inexact or node.dtype.is_complex:
        raise ValueError(f"[cross_entropy] Received unsupported logits type {node.dtype.name}.")
    if not classes.dtype.is_integer:
        raise ValueError(f"[cross_entropy] targets must be integer class indices but got {classes.dtype.name}.")
    if classes.shape != node.shape[:-1]:
        raise ValueError(
            f"[cross_entropy] targets shape {classes.shape} does not match logits shape {node.shape} with the last "
            f"axis removed."
        )
    if node.shape[-1] == 0:
        raise ValueError("[cross_entropy] There are no classes: the last axis of logits is empty.")
    wide = cast(node, float32) if node.dtype.is_half else node
    axis = node.ndim - 1
    chosen = PICK(wide, index_within(classes, node.shape[axis]))
    return wrap(cast(LOGSUMEXP(wide, (axis,), False) - chosen, float32))


def layer_norm(
    x: array, weight: array | None, bias: array | None, eps: float, *, stream: StreamOrDevice = None
) -> array:
    """Shift and scale the last axis to mean zero and variance one: (x - E[x]) / sqrt(Var[x] + eps) * weight + bias.

    Ba et al. 2016, "Layer Normalization".

    Args:
        x: array of shape (..., n) of real floating numbers.
        weight: array of shape (n,) that scales the result, or None.
        bias: array of shape (n,) that is added to it, or None.
        eps: added to the variance.

    Returns:
        Array of the shape of `x`, of the dtype that all of them promote to.

    Raises:
        ValueError: shapes do not fit, or that dtype is no real floating one.

    Example:
        >>> import mlx.core as mx
        >>> mx.fast.layer_norm(mx.array([[1.0, 3.0]]), mx.array([2.0, 2.0]), None, eps=0.0)
        array([[-2, 2]], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "layer_norm")
    node, scale, shift, dtype = _normalised_arguments("layer_norm", x, weight, bias)
    centred = node - _mean(node)
    out = centred * RSQRT(_mean(SQUARE(centred)) + _number(eps, node, "layer_norm"))
    out = out if scale is None else out * scale
    return wrap(cast(out if shift is None else out + shift, dtype))


def rms_norm(x: array, weight: array | None, eps: float, *, stream: StreamOrDevice = None) -> array:
    """Scale the last axis by its root mean square: x / sqrt(E[x^2] + eps) * weight.

    Zhang and Sennrich 2019, "Root Mean Square Layer Normalization".

    Args:
        x: array of shape (..., n) of real floating numbers.
        weight: array of shape (n,) that scales the result, or None.
        eps: added to the mean square.

    Returns:
        Array of the shape of `x`, of the dtype that both promote to.

    Raises:
        ValueError: shapes do not fit, or that dtype is no real floating one.

    Example:
        >>> import mlx.core as mx
        >>> mx.fast.rms_norm(mx.array([3.0, -3.0]), mx.array([1.0, 2.0]), eps=0.0)
        array([1, -2], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "rms_norm")
    node, scale, _, dtype = _normalised_arguments("rms_norm", x, weight, None)
    out = node * RSQRT(_mean(SQUARE(node)) + _number(eps, node, "rms_norm"))
    return wrap(cast(out if scale is None else out * scale, dtype))


def _mean(x: Node) -> Node:
    return mean(wrap(x), -1, True)._node


def _number(eps: float, like: Node, function: str) -> Node:
    return scalar_node(real_number(eps, function, "eps"), like.dtype)


def _normalised_arguments(
    function: str, x: array, weight: array | None, bias: array | None
) -> tuple[Node, Node | None, Node | None, Dtype]:
    """What a normalisation computes with, in a dtype in which it is exact enough, and the dtype of its result."""
    node = array_node(x, function, "x")
    if node.ndim < 1:
        raise ValueError(f"[{function}] Input must have at least 1 dimension but got input with 0 dimensions.")
    scale, shift = (_parameter(function, node, p, name) for p, name in ((weight, "weight"), (bias, "bias")))
    dtype = node.dtype
    for parameter in (scale, shift):
        if parameter is not None:
            dtype = promote_types(dtype, parameter.dtype)
    if not dtype.is_inexact or dtype.is_complex:
        raise ValueError(f"[{function}] Received unsupported type {dtype.name}: cast x with .astype(mx.float32).")
    wide = float32 if dtype.is_half else dtype
    scale, shift = (None if p is None else cast(p, wide) for p in (scale, shift))
    return cast(node, wide), scale, shift, dtype


def _parameter(function: str, x: Node, parameter: Any, name: str) -> Node | None:
    if parameter is None:
        return None
    node = array_node(parameter, function, name)
    if node.ndim != 1:
        raise ValueError(f"[{function}] {name} must have 1 dimension but has {node.ndim} dimensions.")
    if node.shape[0] != x.shape[-1]:
        raise ValueError(
            f"[{function}] {name} must have the same size as the last dimension of x but has {node.shape[0]} elements "
            f"and x has shape {x.shape}."
        )
    return node

"""Layers whose parameters are divided among the processes of a group.

A matrix W of shape (outputs, inputs) is divided either by rows, which makes a part of the output from all of the input
("all-to-sharded"), or by columns, which makes a summand of the output from a part of the input ("sharded-to-all"). One
after the other they need to communicate once, for the sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.nn.layers.quantized import QuantizedLinear
from mlx.utils import tree_flatten, tree_map, tree_map_with_path

Group = mx.distributed.Group
Segments = int | list[int]
Sharding = str | Callable[[str, mx.array], int | tuple[int, Segments] | None]

# By kind of sharding: the axis along which an array is divided, given its number of axes; None keeps it whole.
_AXES: dict[str, Callable[[int], int | None]] = {
    "all-to-sharded": lambda ndim: max(ndim - 2, 0),
    "sharded-to-all": lambda ndim: ndim - 1 if ndim > 1 else None,
}


class AllToShardedLinear(Module):
    """Rows of an affine map: each process has part of the output, y = x W^T + b, made from all of the input.

    The gradient for x is summed over the group. W (``weight``, shape ``(output_dims / size, input_dims)``) and b
    (``bias``, ``(output_dims / size,)``) start as in :class:`Linear`.

    Args:
        input_dims: Size of the last axis of x.
        output_dims: Size of the last axis of y in all processes together.
        bias: Whether b is there.
        group: The processes that share the layer; all, by default.

    Raises:
        ValueError: If ``output_dims`` cannot be divided among the processes.

    Example:
        >>> import mlx.core as mx
        >>> AllToShardedLinear(4, 3)(mx.zeros((2, 4))).shape
        (2, 3)
    """

    def __init__(self, input_dims: int, output_dims: int, bias: bool = True, group: Group | None = None) -> None:
        super().__init__()
        self.group = _group(group)
        outputs = _part("AllToShardedLinear", "output_dims", output_dims, self.group)
        limit = math.sqrt(1.0 / input_dims)
        self.weight = mx.random.uniform(-limit, limit, (outputs, input_dims))
        if bias:
            self.bias = mx.random.uniform(-limit, limit, (outputs,))

    def _extra_repr(self) -> str:
        outputs, inputs = self.weight.shape
        return f"input_dims={inputs}, output_dims={outputs * self.group.size()}, bias={'bias' in self}"

    def __call__(self, x: mx.array) -> mx.array:
        x = sum_gradients(self.group)(x)
        return mx.addmm(self.bias, x, self.weight.T) if "bias" in self else x @ self.weight.T

    @classmethod
    def from_linear(cls, linear_layer: Module, *, segments: Segments = 1, group: Group | None = None) -> Self:
        """Return this process's part of a :class:`Linear` layer.

        Args:
            linear_layer: The layer, which stays as it is.
            segments: Number of matrices that are stacked in its weights (3 for queries, keys and values), or the rows
                where they end; each is divided by itself.
            group: The processes that share the layer; all, by default.

        Returns:
            The new layer.
        """
        return _sharded_copy(cls, linear_layer, "all-to-sharded", segments, group)


class ShardedToAllLinear(Module):
    """Columns of an affine map: each process has part of the input, and all get the sum of its parts, y = x W^T + b.

    W (``weight``, shape ``(output_dims, input_dims / size)``) and b (``bias``, ``(output_dims,)``) start as in
    :class:`Linear`.

    Args:
        input_dims: Size of the last axis of x in all processes together.
        output_dims: Size of the last axis of y.
        bias: Whether b is there.
        group: The processes that share the layer; all, by default.

    Raises:
        ValueError: If ``input_dims`` cannot be divided among the processes.

    Example:
        >>> import mlx.core as mx
        >>> ShardedToAllLinear(4, 3)(mx.zeros((2, 4))).shape
        (2, 3)
    """

    def __init__(self, input_dims: int, output_dims: int, bias: bool = True, group: Group | None = None) -> None:
        super().__init__()
        self.group = _group(group)
        inputs = _part("ShardedToAllLinear", "input_dims", input_dims, self.group)
        limit = math.sqrt(1.0 / input_dims)
        self.weight = mx.random.uniform(-limit, limit, (output_dims, inputs))
        if bias:
            self.bias = mx.random.uniform(-limit, limit, (output_dims,))

    def _extra_repr(self) -> str:
        outputs, inputs = self.weight.shape
        return f"input_dims={inputs * self.group.size()}, output_dims={outputs}, bias={'bias' in self}"

    def __call__(self, x: mx.array) -> mx.array:
        y = mx.distributed.all_sum(x @ self.weight.T, group=self.group)
        return y + self.bias if "bias" in self else y

    @classmethod
    def from_linear(cls, linear_layer: Module, *, segments: Segments = 1, group: Group | None = None) -> Self:
        """Return this process's part of a :class:`Linear` layer.

        Args:
            linear_layer: The layer, which stays as it is.
            segments: Number of matrices that stand side by side in its weights, or the columns where they end; each
                is divided by itself.
            group: The processes that share the layer; all, by default.

        Returns:
            The new layer.
        """
        return _sharded_copy(cls, linear_layer, "sharded-to-all", segments, group)


class QuantizedAllToShardedLinear(QuantizedLinear):
    """:class:`AllToShardedLinear` with weights of a few bits each, as in :class:`QuantizedLinear`; they start frozen.

    Args:
        input_dims: Size of the last axis of x.
        output_dims: Size of the last axis of y in all processes together.
        bias: Whether there is a bias.
        group_size: How many neighbouring weights share a scale; see :func:`mlx.core.quantize`.
        bits: Bits a weight.
        mode: How to quantise.
        group: The processes that share the layer; all, by default.

    Example:
        >>> import mlx.core as mx
        >>> QuantizedAllToShardedLinear(64, 32)(mx.zeros((2, 64))).shape
        (2, 32)
    """

    def __init__(
        self,
        input_dims: int,
        output_dims: int,
        bias: bool = True,
        group_size: int = 64,
        bits: int = 4,
        mode: str = "affine",
        group: Group | None = None,
    ) -> None:
        shared = _group(group)
        outputs = _part("QuantizedAllToShardedLinear", "output_dims", output_dims, shared)
        super().__init__(input_dims, outputs, bias, group_size, bits, mode)
        self.group = shared

    def _extra_repr(self) -> str:
        outputs, inputs = self._shape
        dims = f"input_dims={inputs}, output_dims={outputs * self.group.size()}"
        return f"{dims}, bias={'bias' in self}, {self._settings_repr}"

    def __call__(self, x: mx.array) -> mx.array:
        return super().__call__(sum_gradients(self.group)(x))

    @classmethod
    def from_quantized_linear(
        cls, quantized_linear_layer: Module, *, segments: Segments = 1, group: Group | None = None
    ) -> Self:
        """Return this process's part of a :class:`QuantizedLinear` layer; arguments as of ``from_linear``."""
        return _sharded_copy(cls, quantized_linear_layer, "all-to-sharded", segments, group).freeze()


class QuantizedShardedToAllLinear(QuantizedLinear):
    """:class:`ShardedToAllLinear` with weights of a few bits each, as in :class:`QuantizedLinear`; they start frozen.

    Args:
        input_dims: Size of the last axis of x in all processes together.
        output_dims: Size of the last axis of y.
        bias: Whether there is a bias.
        group_size: How many neighbouring weights share a scale; see :func:`mlx.core.quantize`.
        bits: Bits a weight.
        mode: How to quantise.
        group: The processes that share the layer; all, by default.

    Example:
        >>> import mlx.core as mx
        >>> QuantizedShardedToAllLinear(64, 32)(mx.zeros((2, 64))).shape
        (2, 32)
    """

    def __init__(
        self,
        input_dims: int,
        output_dims: int,
        bias: bool = True,
        group_size: int = 64,
        bits: int = 4,
        mode: str = "affine",
        group: Group | None = None,
    ) -> None:
        shared = _group(group)
        inputs = _part("QuantizedShardedToAllLinear", "input_dims", input_dims, shared)
        super().__init__(inputs, output_dims, bias, group_size, bits, mode)
        self.group = shared

    def _extra_repr(self) -> str:
        outputs, inputs = self._shape
        dims = f"input_dims={inputs * self.group.size()}, output_dims={outputs}"
        return f"{dims}, bias={'bias' in self}, {self._settings_repr}"

    def __call__(self, x: mx.array) -> mx.array:
        y = mx.quantized_matmul(x, *self._parts, transpose=True, **self._options)
        y = mx.distributed.all_sum(y, group=self.group)
        return y + self.bias if "bias" in self else y

    @classmethod
    def from_quantized_linear(
        cls, quantized_linear_layer: Module, *, segments: Segments = 1, group: Group | None = None
    ) -> Self:
        """Return this process's part of a :class:`QuantizedLinear` layer; arguments as of ``from_linear``."""
        return _sharded_copy(cls, quantized_linear_layer, "sharded-to-all", segments, group).freeze()


class FullyShardedModule(Module):
    """A module of whose parameters each process keeps a part, along their first axes.

    The whole parameters are gathered for a call. The gradients that come back are summed over the group and each
    process gets those of its part, so that it stores and updates no more than that.

    Args:
        module: The module, whose parameters are replaced by this process's parts.
        group: The processes that share the module; all, by default.
        compute_dtype: What the gathered trainable parameters are cast to for the call; by default they are not.

    Raises:
        ValueError: If a parameter cannot be divided among the processes. The module is then left as it was.

    Example:
        >>> import mlx.core as mx, mlx.nn as nn
        >>> FullyShardedModule(nn.Linear(4, 3))(mx.zeros((2, 4))).shape
        (2, 3)
    """

    def __init__(self, module: Module, group: Group | None = None, compute_dtype: mx.Dtype | None = None) -> None:
        super().__init__()
        self.module = module
        self._group = _group(group)
        self._compute_dtype = compute_dtype
        shard_inplace(module, lambda path, array: 0, group=self._group)

    def _extra_repr(self) -> str:
        return f"num_sharded_params={len(tree_flatten(self.module.parameters()))}"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(None, args, kwargs)

    def as_linear(self, *args: Any, **kwargs: Any) -> Any:
        """Call ``as_linear`` of the module, for example of an :class:`Embedding`, likewise."""
        return self._call("as_linear", args, kwargs)

    def _call(self, method: str | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        module, dtype = self.module, self._compute_dtype
        gather = _gathered(self._group)

        def gathered(array: mx.array) -> mx.array:
            whole = gather(array)
            return whole if dtype is None or not mx.issubdtype(whole.dtype, mx.floating) else whole.astype(dtype)

        # What a call updates, such as running statistics, is frozen, and a part of it comes back.
        params = tree_map(gathered, module.trainable_parameters())
        state = tree_map(gather, module.frozen_parameters())
        result, state = module.apply(params, *args, method=method, state=state, **kwargs)
        module.update(_sharded(state, lambda path, array: 0, 1, self._group))
        return result


def fully_shard(module: Module, *, group: Group | None = None, compute_dtype: mx.Dtype | None = None) -> Module:
    """Divide a module among the processes of a group; see :class:`FullyShardedModule`.

    Args:
        module: The module.
        group: The processes that share it; all, by default.
        compute_dtype: What the gathered parameters are cast to for a call.

    Returns:
        A :class:`FullyShardedModule`, or in a group of one the module itself.
    """
    return module if _group(group).size() == 1 else FullyShardedModule(module, group, compute_dtype)


def shard_linear(module: Module, sharding: str, *, segments: Segments = 1, group: Group | None = None) -> Module:
    """Return this process's part of a linear layer, quantised or not, as a layer that communicates.

    Args:
        module: The layer, which stays as it is.
        sharding: ``'all-to-sharded'`` or ``'sharded-to-all'``.
        segments: Number of matrices that are stacked in the weights, or where they end.
        group: The processes that share the layer; all, by default.

    Returns:
        The new layer.

    Raises:
        ValueError: If ``sharding`` is another.
    """
    _check_sharding(sharding)
    to_sharded = sharding == "all-to-sharded"
    if isinstance(module, QuantizedLinear):
        quantized = QuantizedAllToShardedLinear if to_sharded else QuantizedShardedToAllLinear
        return quantized.from_quantized_linear(module, segments=segments, group=group)
    plain = AllToShardedLinear if to_sharded else ShardedToAllLinear
    return plain.from_linear(module, segments=segments, group=group)


def shard_inplace(module: Module, sharding: Sharding, *, segments: Segments = 1, group: Group | None = None) -> None:
    """Replace the parameters of a module by this process's parts. What the module computes does not change with them.

    Args:
        module: The module.
        sharding: ``'all-to-sharded'``, ``'sharded-to-all'``, or a function of path and array that returns the axis to
            divide along, a pair of that and segments, or None where the array stays whole.
        segments: Number of matrices that are stacked in the weights, or where they end.
        group: The processes that share the module; all, by default.

    Raises:
        ValueError: If ``sharding`` is another, or a parameter cannot be divided. The module is then left as it was.
    """
    module.update(_sharded(module.parameters(), sharding, segments, _group(group)))


def sum_gradients(group: Group) -> Callable[[mx.array], mx.array]:
    """Make the identity function whose gradient is summed over a group."""
    if group.size() == 1:
        return lambda x: x

    @mx.custom_function
    def identity(x: mx.array) -> mx.array:
        return x

    @identity.vjp
    def summed(x: mx.array, cotangent: mx.array, _: mx.array) -> mx.array:
        return mx.distributed.all_sum(cotangent, group=group)

    return identity


def _gathered(group: Group) -> Callable[[mx.array], mx.array]:
    """Make the function that joins the parts of an array, whose gradient is summed and divided again."""
    if group.size() == 1:
        return lambda x: x

    @mx.custom_function
    def gather(x: mx.array) -> mx.array:
        return mx.distributed.all_gather(x, group=group)

    @gather.vjp
    def scattered(x: mx.array, cotangent: mx.array, _: mx.array) -> mx.array:
        return mx.distributed.sum_scatter(cotangent, group=group)

    return gather


def _group(group: Group | None) -> Group:
    return group if group is not None else mx.distributed.init()


def _part(layer: str, name: str, dims: int, group: Group) -> int:
    """How much of an axis one process gets."""
    if dims % group.size():
        raise ValueError(
            f"[{layer}] {name} must be a multiple of the {group.size()} processes of the group, got {dims}."
        )
    return dims // group.size()


def _check_sharding(sharding: Any) -> None:
    if sharding not in _AXES:
        raise ValueError(f"[shard] sharding must be 'all-to-sharded' or 'sharded-to-all', got {sharding!r}.")


def _sharded_copy(cls: type[Any], layer: Module, sharding: str, segments: Segments, group: Group | None) -> Any:
    """A layer of another class with the settings of ``layer`` and this process's parts of its parameters."""
    new: Any = dict.__new__(cls)
    new.__dict__.update({**layer.__dict__, "_no_grad": set(layer._no_grad), "group": _group(group)})
    dict.update(new, _sharded(layer.parameters(), sharding, segments, new.group))
    return new


def _sharded(parameters: Any, sharding: Sharding, segments: Segments, group: Group) -> Any:
    """This process's parts of a tree of arrays."""
    if not callable(sharding):
        _check_sharding(sharding)

    def part(path: str, array: mx.array) -> mx.array:
        chosen = sharding(path, array) if callable(sharding) else _AXES[sharding](array.ndim)
        axis, mine = chosen if isinstance(chosen, tuple) else (chosen, segments)
        return array if axis is None else _divided(path, array, axis, mine, group)

    return tree_map_with_path(part, parameters)


def _divided(path: str, array: mx.array, axis: int, segments: Segments, group: Group) -> mx.array:
    if group.size() == 1:
        return array
    try:
        pieces = [mx.split(piece, group.size(), axis)[group.rank()] for piece in mx.split(array, segments, axis)]
    except ValueError:
        raise ValueError(
            f"[shard] '{path}' of shape {array.shape} cannot be divided into {group.size()} equal parts along axis "
            f"{axis} with segments {segments}."
        ) from None
    return mx.concatenate(pieces, axis)

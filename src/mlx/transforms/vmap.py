"""`vmap`: replays the recorded graph of a function of one example with the primitives' batching rules."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from numpy.exceptions import AxisError

from mlx.arrays.array import array, wrap
from mlx.ir.node import Node, OpenTransform, record
from mlx.ir.primitive import PLACEHOLDER, leaf
from mlx.ir.walk import ancestors
from mlx.primitives.shape import BROADCAST, move_axis
from mlx.primitives.structure import PROJECT
from mlx.transforms.trees import entries, is_container, leaves, rebuild_tuple

Batched = tuple[Any, Any]  # a node and its batch axis; for a node with many outputs, the sequence of their axes


def vmap(fun: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """Make a function that applies `fun` to every entry along an axis of its arguments, all at once.

    Args:
        fun: a function of arrays, or trees of arrays.
        in_axes: the axis of each argument that is mapped over: an int for all, or a tuple with an entry for each
            argument, which is an int, None (the argument is the same for all) or a tree of these of its structure.
            A dict is taken for the axes of a single argument.
        out_axes: where the mapped axis goes in the results, likewise.

    Returns:
        A function of the same positional arguments with the mapped axis added. It can be mapped again.

    Raises:
        ValueError: extents of mapped axes differ, no axis is mapped, the structure of `in_axes` or `out_axes` does not
            match, or `fun` returns something else than arrays.
        AxisError: an axis is out of range; it is an IndexError and a ValueError.
        TypeError: `fun` is not callable, or the function that is returned is called with keyword arguments.

    Example:
        >>> import mlx.core as mx
        >>> mx.vmap(lambda x, y: (x * y).sum())(mx.array([[1, 2], [3, 4]]), mx.array([[1, 1], [2, 2]]))
        array([3, 14], dtype=int32)
    """
    if not callable(fun):
        raise TypeError(f"[vmap] fun must be callable, got {type(fun).__name__}")

    @functools.wraps(fun, updated=())
    def vmap_fun(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            raise TypeError(
                f"[vmap] Keyword arguments are not supported, got {sorted(kwargs)}: pass them by position, or fix them "
                "with functools.partial."
            )
        mapping = _Mapping()
        with OpenTransform():
            results = fun(*mapping.placeholders("in_axes", args, in_axes))
            mapping.replay(results)
        return mapping.results("out_axes", results, out_axes)

    return vmap_fun


class _Mapping:
    """The arguments that one call maps over, and the batched counterpart of every node that depends on them."""

    def __init__(self) -> None:
        self.size: int | None = None
        self.batched: dict[Node, Batched] = {}

    def placeholders(self, path: str, tree: Any, axes: Any) -> Any:
        """The arguments of one example: placeholders in place of the arrays that are mapped over."""
        if len(tree) == 1 and isinstance(axes, dict):  # those of the only argument
            axes = (axes,)
        filled = tuple(
            self._placeholder(f"{path}[{i}]", argument, axis)
            for i, (argument, axis) in enumerate(zip(tree, _children(path, axes, tree), strict=True))
        )
        if self.size is None:
            raise ValueError("[vmap] At least one of in_axes must be non-None and belong to an array.")
        return filled

    def _placeholder(self, path: str, tree: Any, axis: Any) -> Any:
        if is_container(tree):
            axes = _children(path, axis, tree)
            children = [
                self._placeholder(f"{path}[{key!r}]", child, mine)
                for (key, child), mine in zip(entries(tree), axes, strict=True)
            ]
            if isinstance(tree, dict):
                return dict(zip(tree, children, strict=True))
            return rebuild_tuple(tree, children) if isinstance(tree, tuple) else children
        axis = _unwrapped(axis)
        if axis is None:
            return tree
        if not isinstance(axis, int):
            raise ValueError(f"[vmap] {path} must be an int or None for an array, got {axis!r}.")
        if not isinstance(tree, array):
            raise ValueError(f"[vmap] {path} maps over a value of type {type(tree).__name__}; only arrays can be.")
        node = tree._node
        if not -node.ndim <= axis < node.ndim:
            raise AxisError(f"[vmap] {path} is {axis}, invalid for an array of shape {node.shape}.")
        axis %= node.ndim
        extent = node.shape[axis]
        if self.size is None:
            self.size = extent
        elif self.size != extent:
            raise ValueError(
                f"[vmap] Inconsistent axis sizes: {path} maps over {extent} entries, others over {self.size}."
            )
        shape = node.shape[:axis] + node.shape[axis + 1 :]
        placeholder = leaf(PLACEHOLDER, ("vmap",), shape, node.dtype, None)
        self.batched[placeholder] = node, axis
        return wrap(placeholder)

    def replay(self, results: Any) -> None:
        """Compute the batched counterpart of everything that `results` need."""
        first = min(placeholder.serial for placeholder in self.batched)
        outputs = [x._node for x in leaves(results) if isinstance(x, array)]
        for node in ancestors(outputs, since=first):
            if node not in self.batched and any(operand in self.batched for operand in node.inputs):
                self.batched[node] = self._replayed(node)

    def _replayed(self, node: Node) -> Batched:
        pairs = [self.batched.get(operand, (operand, None)) for operand in node.inputs]
        primitive = node.primitive
        if primitive is PROJECT:
            (many, dims), (index,) = pairs[0], node.params
            return PROJECT(many, index), dims[index]
        if all(dim is None for _, dim in pairs):  # projected from a node of whose outputs only others are batched
            operands = tuple([x for x, _ in pairs])
            unbatched = (None,) * len(node.shape) if primitive.many else None
            return record(primitive, operands, node.params, node.shape, node.dtype), unbatched
        if primitive.batch is None:
            raise ValueError(f"[vmap] The primitive {primitive} has no batching rule; loop over the entries instead.")
        return primitive.batch([x for x, _ in pairs], [dim for _, dim in pairs], *node.params)

    def results(self, path: str, tree: Any, axes: Any) -> Any:
        """The batched results, their mapped axes where `axes` wants them."""
        if is_container(tree):
            children = [
                self.results(f"{path}[{key!r}]", child, axis)
                for (key, child), axis in zip(entries(tree), _children(path, axes, tree), strict=True)
            ]
            if isinstance(tree, dict):
                return dict(zip(tree, children, strict=True))
            return rebuild_tuple(tree, children) if isinstance(tree, tuple) else children
        if not isinstance(tree, array):
            raise ValueError(f"[vmap] The function should return arrays, but {path} belongs to {type(tree).__name__}.")
        axes = _unwrapped(axes)
        node, dim = self.batched.get(tree._node, (tree._node, None))
        if axes is None:
            if dim is not None:
                raise ValueError(f"[vmap] {path} is None, but that result differs between the entries.")
            return wrap(node)
        if not isinstance(axes, int):
            raise ValueError(f"[vmap] {path} must be an int or None for an array, got {axes!r}.")
        if dim is None:
            assert self.size is not None
            node, dim = BROADCAST(node, (self.size, *node.shape)), 0
        if not -node.ndim <= axes < node.ndim:
            raise AxisError(f"[vmap] {path} is {axes}, invalid for a result of shape {node.shape}.")
        return wrap(move_axis(node, dim, axes % node.ndim))


def _unwrapped(axis: Any) -> Any:
    """The axis of a single array, which may be given as a sequence of one."""
    return axis[0] if isinstance(axis, list | tuple) and len(axis) == 1 else axis


def _children(path: str, axes: Any, tree: Any) -> Sequence[Any]:
    """The axes of a container's children: the same for all, or one each."""
    if axes is None or isinstance(axes, int):
        return [axes] * len(tree)
    if isinstance(tree, dict):
        if isinstance(axes, dict) and axes.keys() == tree.keys():
            return [axes[key] for key in tree]
    elif isinstance(axes, list | tuple) and len(axes) == len(tree):
        return axes
    raise ValueError(
        f"[vmap] The structure of {path} does not match: {axes!r} for a {type(tree).__name__} of {len(tree)}."
    )

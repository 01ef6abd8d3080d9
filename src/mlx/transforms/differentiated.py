"""The arguments that a function is differentiated by: which they are, filled with tracers while it runs, and the
structure of what belongs to them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Any

from mlx.arrays.array import array, wrap
from mlx.ir.changes import note_assignment
from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, Shape, hooks, record, recorder
from mlx.primitives.slicing import zeros
from mlx.primitives.structure import TRACER, cast
from mlx.transforms.trees import entries, is_container, leaves_with_paths, map_plain, rebuild_tuple

Argnums = int | Sequence[int] | None
Argnames = str | Collection[str]


class Selection:
    """A function and the arguments of it to differentiate, checked once.

    Raises:
        TypeError: the function cannot be called, `argnums` are no ints or `argnames` no strings.
        ValueError: a negative or duplicate index, a duplicate name, or nothing to differentiate.
    """

    def __init__(
        self,
        transform: str,
        fun: Callable[..., Any],
        argnums: Argnums,
        argnames: Argnames,
    ) -> None:
        self.transform = transform
        if not callable(fun):
            raise TypeError(f"[{transform}] fun must be callable, got {describe(fun)}")
        self.fun = fun
        self.names = self._checked_names(argnames)
        if argnums is None:
            argnums = () if self.names else (0,)
        self.positions = self._checked_positions(argnums)
        if not self.positions and not self.names:
            raise ValueError(f"[{transform}] Gradient wrt no argument requested: give argnums or argnames")

    def _checked_names(self, argnames: Argnames) -> list[str]:
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

    def run(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, TracedInputs]:
        """What the function returns for tracers in place of the differentiated arguments, and these.

        Raises:
            ValueError: an argument is missing from the call, or has a leaf that is no array.
        """
        self._check_call(args, kwargs)
        inputs = TracedInputs()
        try:
            traced_args, traced_kwargs = list(args), dict(kwargs)
            for i in self.positions:
                traced_args[i] = inputs.add(args[i])
            for name in self.names:
                traced_kwargs[name] = inputs.add(kwargs[name])
            return self.fun(*traced_args, **traced_kwargs), inputs
        except _NotAnArray:
            raise ValueError(self._leaf_complaint(args, kwargs)) from None
        finally:
            inputs.restore()

    def joined(self, trees: Sequence[Any]) -> Any:
        """One tree of those that belong to each argument: as `grad` returns it."""
        positional = trees[: len(self.positions)]
        by_position: Any = tuple(positional) if len(positional) > 1 else positional[0] if positional else None
        if not self.names:
            return by_position
        return by_position, dict(zip(self.names, trees[len(self.positions) :], strict=True))

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
                        f"{describe(leaf)}. Make it an mx.array, or pass it in an argument that is not "
                        f"differentiated."
                    )
        raise AssertionError("every leaf is an array")


class _NotAnArray(Exception):
    """A leaf of a differentiated argument is no array."""


class TracedInputs:
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
        note_assignment(tree)
        for key, child in entries(tree):
            filled, structure = self._fill(child)
            structures.append(structure)
            if filled is not child:
                tree[key] = filled
                self._changes.append((tree, key, child, filled))
        return tree, dict(zip(tree, structures, strict=True)) if isinstance(tree, dict) else structures

    def trees(self, leaf: Callable[[int], Any]) -> list[Any]:
        """A tree for every argument, in its structure, with `leaf(number)` for each of its arrays."""
        return [map_plain(leaf, structure) for structure in self._structures]

    def gradients(self, products: Sequence[Node | None]) -> list[Any]:
        """The gradient of every argument."""

        def leaf(number: int) -> array:
            tracer = self.tracers[number]
            return gradient_leaf(products[number], tracer.shape, tracer.dtype)

        return self.trees(leaf)

    def restore(self) -> None:
        for container, key, original, filled in reversed(self._changes):
            try:
                if container[key] is filled:
                    container[key] = original
            except LookupError:  # the function removed it
                pass
        self._changes.clear()


class TangentStructure:
    """What tangents of the differentiated arguments must be: the path of each, and its shape and dtype.

    It holds no array, so that it can outlive the arguments.
    """

    def __init__(self, selection: Selection, inputs: TracedInputs) -> None:
        self._transform = selection.transform
        tracers = selection.joined(inputs.trees(inputs.tracers.__getitem__))
        self._wanted: dict[str, tuple[Shape, Dtype] | None] = {
            path: None if tracer is None else (tracer.shape, tracer.dtype)  # None in place of no positional argument
            for path, tracer in leaves_with_paths(tracers, "tangents")
        }

    def nodes(self, tangents: Any) -> list[Node]:
        """The nodes of tangents, in the order of the arguments' arrays and of their dtypes.

        Raises:
            ValueError: the structure or a shape is another one, or a leaf is no array.
        """
        given = dict(leaves_with_paths(tangents, "tangents"))
        missing = [path for path in self._wanted if path not in given]
        if missing or len(given) > len(self._wanted):
            odd = missing[0] if missing else next(path for path in given if path not in self._wanted)
            what = "is missing" if missing else "belongs to no differentiated array"
            raise ValueError(
                f"[{self._transform}] The tangents should have the structure of the differentiated arguments, but "
                f"{odd} {what}."
            )
        nodes = []
        for path, wanted in self._wanted.items():
            if wanted is None:
                continue
            tangent = given[path]
            shape, dtype = wanted
            if not isinstance(tangent, array):
                raise ValueError(f"[{self._transform}] {path} should be an array, got {describe(tangent)}.")
            if tangent._node.shape != shape:
                raise ValueError(
                    f"[{self._transform}] {path} should have the shape {shape} of its argument, but has "
                    f"{tangent.shape}."
                )
            nodes.append(cast(tangent._node, dtype))
        return nodes


def begin() -> None:
    """Evaluate what an outermost transform finds pending, so that each training step is one program."""
    if recorder().open_transforms == 0:
        hooks.evaluate_held()


def tracer_of(x: array) -> array:
    node = x._node
    return wrap(record(TRACER, (node,), (), node.shape, node.dtype))


def gradient_leaf(product: Node | None, shape: Shape, dtype: Dtype) -> array:
    if product is None:
        return wrap(zeros(shape, dtype))
    return wrap(cast(product, dtype))


def describe(value: Any) -> str:
    """What a value is, in words, for an error."""
    if isinstance(value, array):
        return f"an array of shape {value.shape}"
    return f"a value of type {type(value).__module__}.{type(value).__qualname__}".replace("builtins.", "")


def _parameter_names(fun: Callable[..., Any]) -> list[str]:
    try:
        parameters = inspect.signature(fun).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]

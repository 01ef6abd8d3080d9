"""`compile`: Python runs once for each signature of a function's arguments; every later call is one step."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Hashable, Iterable
from typing import Any

from mlx.arrays.array import array
from mlx.ir.node import Node, hooks, recorder
from mlx.ir.sizes import Size, open_sizes
from mlx.ops.arguments import flag
from mlx.transforms.tracing import Traced, filled, trace_function, write_back

SIGNATURES_KEPT = 512  # traces of one function; the oldest goes first
VARIANTS_KEPT = 16  # shapeless traces for one signature, which differ in what sizes decided

_CONSTANTS = (int, float, bool, str, type(None))


class _Switch:
    enabled = os.environ.get("MLX_DISABLE_COMPILE", "0").lower() in ("", "0", "false", "off")


def disable_compile() -> None:
    """Call the functions that `compile` made as they are, everywhere. MLX_DISABLE_COMPILE=1 does the same at the start.

    Example:
        >>> import mlx.core as mx
        >>> mx.disable_compile()
        >>> mx.compile(lambda x: x + 1)(mx.array(1)).item()
        2
        >>> mx.enable_compile()
    """
    _Switch.enabled = False


def enable_compile() -> None:
    """Undo `disable_compile` and MLX_DISABLE_COMPILE."""
    _Switch.enabled = True


def compile(
    fun: Callable[..., Any], inputs: object | None = None, outputs: object | None = None, shapeless: bool = False
) -> Callable[..., Any]:
    """Make a function that runs `fun` in Python once for each signature and from then on runs the program it recorded.

    The signature is the structure of the arguments, shapes and dtypes of their arrays, and their constants. What else
    `fun` reads (globals, attributes, sizes of arrays as Python numbers) is constant from its first run on. Programs
    that are small run on NumPy, others are compiled as a whole. Inside another transform the call is replayed, so it
    can be differentiated and mapped.

    Args:
        fun: a function of trees (lists, tuples, dicts, modules) of arrays and constants (int, float, bool, str, None).
            It returns a tree of arrays and any other objects, which come back as they are.
        inputs: a tree of arrays that `fun` reads besides its arguments, such as `[model.state, mx.random.state]`. It is
            looked at anew in every call; whether a module trains is part of the signature.
        outputs: a tree of lists and dicts that `fun` changes; after every call they hold the new arrays. Arrays that
            are in `inputs` too give their memory to the new ones.
        shapeless: keep the program for arrays of other sizes with the same number of axes. It is recorded anew only
            where a size decides what is to be done (for example whether an axis of one element is broadcast, or how
            often a loop over an array runs). Numbers that `fun` reads with `x.shape`, `x.size` or `len(x)` remain those
            of the arrays that it was recorded for: write `mx.mean(x)` for `x.sum() / x.size`, and `mx.flatten` or a
            -1 for a computed extent.

    Returns:
        A function of the same arguments, with name, documentation and signature of `fun`.

    Raises:
        TypeError: `fun` is not callable.
        ValueError: an argument is no tree of arrays and constants; `fun` evaluates an array that depends on its
            arguments; or it uses an argument's array that it did not get as its argument. A shapeless program: an array
            does not fit into the shape that `fun` reshapes it to.

    Example:
        >>> import mlx.core as mx
        >>> @mx.compile
        ... def gelu(x):
        ...     return x * (1 + mx.erf(x / 2**0.5)) / 2
        >>> gelu(mx.array([-1.0, 0.0, 1.0]))
        array([-0.158655, 0, 0.841345], dtype=float32)
    """
    if not callable(fun):
        raise TypeError(f"[compile] fun must be callable, got {type(fun).__name__}.")
    compiled = _Compiled(fun, inputs, outputs, flag(shapeless, "compile", "shapeless"))

    @functools.wraps(fun, updated=())
    def compiled_fun(*args: Any, **kwargs: Any) -> Any:
        return compiled(args, kwargs) if _Switch.enabled else fun(*args, **kwargs)

    return compiled_fun


Key = list[Hashable]


def _enter(tree: Any, nodes: list[Node], key: Key, captured: bool = False) -> None:
    """Add the nodes of a tree's arrays to `nodes`, and everything else that its trace depends on to `key`.

    In captured state other leaves than arrays and constants are passed over; a module's attributes are looked at in
    arguments only.
    """
    kind = type(tree)
    children: Iterable[Any]
    if kind is dict or isinstance(tree, dict):
        key += (kind, tuple(tree))
        if kind is not dict:
            key += (getattr(tree, "training", None),) if captured else filter(_is_hashable, vars(tree).values())
        children = tree.values()
    elif kind is list or isinstance(tree, list | tuple):
        key += (kind, len(tree))
        children = tree
    elif kind is float:  # by its bits, since 0.0 is not -0.0, and nan is nan
        key.append(tree.hex())
        return
    elif isinstance(tree, _CONSTANTS):
        key += (kind, tree)
        return
    elif captured:
        return
    else:
        raise ValueError(
            "[compile] Function arguments must be trees of arrays or constants (floats, ints, strings, or None), "
            f"but received type {kind.__name__}. Capture it in the function instead."
        )
    for child in children:
        if type(child) is array:
            node = child._node
            nodes.append(node)
            key.append((node.shape, node.dtype))
        else:
            _enter(child, nodes, key, captured)


def _is_hashable(value: Any) -> bool:
    return isinstance(value, Hashable)


def _without_sizes(nodes: list[Node], key: tuple[Hashable, ...]) -> tuple[Hashable, ...]:
    """A key with numbers of axes in place of shapes."""
    pairs = {(node.shape, node.dtype): (node.ndim, node.dtype) for node in nodes}
    return tuple([pairs.get(entry, entry) if type(entry) is tuple else entry for entry in key])


def _has_sizes(nodes: list[Node]) -> bool:
    """Whether an argument comes from a shapeless trace that is being recorded."""
    return any(type(extent) is Size for node in nodes for extent in node.shape)


# While a function is traced, captured state holds placeholders. One lock for all, since traces nest in any order.
_tracing = threading.RLock()


class _Compiled:
    """A function with the traces made of it, by signature."""

    def __init__(self, fun: Callable[..., Any], inputs: Any, outputs: Any, shapeless: bool) -> None:
        self.fun = fun
        self.inputs = inputs
        self.outputs = outputs
        self.shapeless = shapeless
        self.traces: dict[tuple[Hashable, ...], Traced] = {}
        self.shapeless_traces: dict[tuple[Hashable, ...], list[Traced]] = {}

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.inputs is None and self.outputs is None:
            return self._call(args, kwargs)
        with _tracing:
            return self._call(args, kwargs)

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        nodes: list[Node] = []
        entries: Key = []
        _enter(args, nodes, entries)
        if kwargs:
            _enter(kwargs, nodes, entries)
        if self.inputs is not None:
            _enter((self.inputs,), nodes, entries, captured=True)
        key = tuple(entries)
        # Inside of a shapeless trace: what depends on its sizes is of use to it alone.
        traced = None if open_sizes and _has_sizes(nodes) else self.traces.get(key)
        if traced is None:
            with _tracing:
                traced = self._new(key, nodes, args, kwargs)
        if recorder().open_transforms:
            results = traced.trace.replay(nodes)
        else:
            results = traced.trace.call(nodes)
            hooks.start_calls()
        if self.outputs is not None:
            write_back(self.outputs, traced.state, results)
        return filled(traced.result, results)

    def _new(
        self, key: tuple[Hashable, ...], nodes: list[Node], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Traced:
        """The trace for a signature that has not been called before."""
        has_sizes = _has_sizes(nodes)
        if self.shapeless and not has_sizes:
            traced = self._of_any_size(key, nodes, args, kwargs)
        else:
            traced = trace_function("compile", self.fun, args, kwargs, self.inputs, self.outputs)
        if not has_sizes and not _depends_on_open_transform(traced):
            _keep(self.traces, key, traced)
        return traced

    def _of_any_size(
        self, key: tuple[Hashable, ...], nodes: list[Node], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Traced:
        """The trace for a signature, made from one that was recorded for other sizes where that serves."""
        key = _without_sizes(nodes, key)
        shapes = [node.shape for node in nodes]
        refusal = None
        for known in self.shapeless_traces.get(key, ()):
            try:
                special = known.specialised(shapes)
            except ValueError as error:
                refusal = refusal or error
            else:
                if special is not None:
                    return special
        if refusal is not None:
            raise refusal
        traced = trace_function("compile", self.fun, args, kwargs, self.inputs, self.outputs, shapeless=True)
        if not _depends_on_open_transform(traced):
            _keep(self.shapeless_traces, key, [traced, *self.shapeless_traces.get(key, ())][:VARIANTS_KEPT])
        special = traced.specialised(shapes)
        assert special is not None
        return special


def _keep(kept: dict[tuple[Hashable, ...], Any], key: tuple[Hashable, ...], value: Any) -> None:
    """Enter what was made for a signature; the oldest goes where there are too many."""
    if len(kept) >= SIGNATURES_KEPT:
        del kept[next(iter(kept))]
    kept[key] = value


def _depends_on_open_transform(traced: Traced) -> bool:
    """Whether the function captured what an open transform follows: then its program is another one the next time."""
    mine = recorder()
    return mine.open_transforms > 0 and any(
        node.value is None and node.serial >= mine.first_open_serial for node in traced.trace.captured
    )

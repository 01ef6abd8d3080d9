"""`export_function` and `exporter`: a function's programs in a file, or handed to a callback step by step."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from mlx.arrays.array import array, wrap
from mlx.files.writing import opened_to_write
from mlx.ir.changes import Changes
from mlx.ir.names import event
from mlx.ir.node import Node
from mlx.ir.render import letters
from mlx.ir.sizes import plain
from mlx.primitives.structure import PROJECT
from mlx.transforms.program_file import Exported, Listing, write_program
from mlx.transforms.tracing import Slot, trace_function


def export_function(
    file_or_callback: Any,
    fun: Callable[..., Any],
    *args: Any,
    shapeless: bool = False,
    metadata: str | None = None,
    **kwargs: Any,
) -> None:
    """Write the program of a function to a file, from which `import_function` makes a function again.

    What `fun` reads besides its arguments (weights of a module, the random key) is stored with it. Rules that
    `custom_function` was given are Python and are not, and `checkpoint` leaves no trace: an imported function is
    differentiated as it was recorded.

    Args:
        file_or_callback: a path, or a function that is called with a dict for each part of the program: its "type" is
            "inputs", "keyword_inputs", "outputs", "constants" or, for each step, "primitive".
        fun: a function of arrays that returns an array, or a tuple or list of arrays.
        *args: example arrays, or a tuple or list of them and a dict of those by keyword. Their shapes and dtypes are
            those that the imported function takes.
        shapeless: the imported function takes arrays of other sizes with the same number of axes, as long as nothing
            that `fun` decided on a size comes out differently. Numbers that it read from a shape stay as they are.
        metadata: text to keep in the file.
        **kwargs: example arrays by keyword.

    Raises:
        TypeError: `fun` is not callable, `metadata` no text, or `file_or_callback` neither a path nor a function.
        ValueError: an argument or a result is no array, or `metadata` are given with a callback.
        RuntimeError: the file cannot be written; what was there before is still there.

    Example:
        >>> import mlx.core as mx
        >>> from tempfile import TemporaryDirectory
        >>> def scaled(x, factor):
        ...     return mx.exp(x) * factor
        >>> with TemporaryDirectory() as folder:
        ...     mx.export_function(f"{folder}/scaled.mlxfn", scaled, mx.zeros(2), factor=mx.array(2.0))
        ...     imported = mx.import_function(f"{folder}/scaled.mlxfn")
        >>> imported(mx.array([0.0, 1.0]), factor=mx.array(3.0))
        (array([3, 8.15485], dtype=float32),)
    """
    if callable(file_or_callback):
        if metadata is not None:
            raise ValueError("[export_function] metadata are kept in a file; with a callback there is none.")
        exported, _ = trace_to_export("export_function", fun, args, kwargs, shapeless)
        _announce(file_or_callback, exported)
        return
    with FunctionExporter(file_or_callback, fun, shapeless, metadata, "export_function") as exporter:
        exporter(*args, **kwargs)


def exporter(
    file: Any, fun: Callable[..., Any], *, shapeless: bool = False, metadata: str | None = None
) -> FunctionExporter:
    """Make an object that writes several programs of a function to one file: every call adds one.

    Args:
        file: a path.
        fun: a function of arrays that returns an array, or a tuple or list of arrays.
        shapeless, metadata: as for `export_function`.

    Returns:
        A context manager, at whose end the file is written. Constants that programs share are stored once.

    Raises:
        TypeError: `file` is no path, `fun` not callable or `metadata` no text.
        RuntimeError: there is no such folder.

    Example:
        >>> import mlx.core as mx
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with mx.exporter(f"{folder}/total.mlxfn", lambda *arrays: sum(arrays)) as exporter:
        ...         exporter(mx.array(1))
        ...         exporter(mx.array(1), mx.array(1))
        ...     total = mx.import_function(f"{folder}/total.mlxfn")
        >>> total(mx.array(2)), total(mx.array(2), mx.array(3))
        ((array(2, dtype=int32),), (array(5, dtype=int32),))
    """
    return FunctionExporter(file, fun, shapeless, metadata)


class FunctionExporter:
    """Collects programs of a function for different arguments, and writes them to a file when it is closed.

    `mx.exporter` makes one. As a context manager it is closed at the end; an exception leaves the old file.

    Example:
        >>> import mlx.core as mx
        >>> isinstance(mx.exporter("never_written.mlxfn", mx.abs), mx.FunctionExporter)
        True
    """

    def __init__(
        self, file: Any, fun: Callable[..., Any], shapeless: bool, metadata: str | None, function: str = "exporter"
    ) -> None:
        if not isinstance(file, str | os.PathLike):
            raise TypeError(f"[{function}] The file must be given by its path, got {type(file).__name__}.")
        _check_function(fun, function)
        if metadata is not None and not isinstance(metadata, str):
            raise TypeError(
                f"[{function}] metadata must be text, got {type(metadata).__name__}: json.dumps makes text of it."
            )
        folder = os.path.dirname(os.path.abspath(file))
        if not os.path.isdir(folder):
            raise RuntimeError(f"[{function}] Failed to open {os.fspath(file)}: there is no folder {folder}.")
        self._file = file
        self._fun = fun
        self._shapeless = shapeless
        self._metadata = metadata or ""
        self._function = function
        self._traces: list[Exported] = []
        self._is_closed = False

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Add the program for arguments of these shapes and dtypes.

        Raises:
            RuntimeError: the exporter is closed, or has a program for such arguments.
            ValueError: an argument or a result is no array.
        """
        if self._is_closed:
            raise RuntimeError(f"[{self._function}] This exporter is closed; make another one with mx.exporter.")
        exported, _ = trace_to_export("export_function", self._fun, args, kwargs, self._shapeless)
        shapes = [shape for shape, _ in exported.inputs]
        for known in self._traces:
            if known.takes(exported.trace.inputs, exported.keywords) and known.trace_for(shapes) is not None:
                raise RuntimeError(
                    f"[{self._function}] The function has been exported for arguments of these shapes and dtypes."
                )
        self._traces.append(exported)

    def close(self) -> None:
        """Write the file. Closing again does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            with opened_to_write(self._file, "", self._function) as target:
                write_program(target, self._traces, self._metadata)
        except OSError as error:
            path = os.fspath(self._file)
            raise RuntimeError(f"[{self._function}] Failed to write {path}: {error.strerror}.") from error
        finally:
            self._traces.clear()

    def __enter__(self) -> FunctionExporter:
        return self

    def __exit__(self, exc_type: object = None, exc_value: object = None, traceback: object = None) -> None:
        if exc_type is None:
            self.close()
        self._is_closed = True


def _check_function(fun: Any, function: str) -> None:
    if not callable(fun):
        raise TypeError(f"[{function}] fun must be callable, got {type(fun).__name__}.")


# ---------------------------------------------------------------------- tracing


def arguments_of(function: str, args: Sequence[Any], kwargs: dict[str, Any]) -> tuple[list[array], dict[str, array]]:
    """Positional arrays and those by keyword, in alphabetical order, in whichever way they are given."""
    positional, named = list(args), dict(kwargs)
    if positional and isinstance(positional[-1], dict) and len(positional) <= 2:
        named = {**positional.pop(), **named}
        if positional and not isinstance(positional[0], list | tuple):
            _refuse_arguments(function)
    if len(positional) == 1 and isinstance(positional[0], list | tuple):
        positional = list(positional[0])
    if not all(isinstance(x, array) for x in [*positional, *named.values()]):
        _refuse_arguments(function)
    if not all(isinstance(name, str) for name in named):
        _refuse_arguments(function)
    return positional, dict(sorted(named.items()))


def _refuse_arguments(function: str) -> None:
    raise ValueError(
        f"[{function}] Inputs can be any number of positional and keyword arrays, or a tuple or list of arrays, a "
        "dict of arrays, or both of these in this order."
    )


def trace_to_export(
    function: str, fun: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any], shapeless: bool = False
) -> tuple[Exported, Any]:
    """The program of a function for example arguments, and its result with slots in place of arrays."""
    _check_function(fun, function)
    positional, named = arguments_of(function, args, kwargs)
    with Changes() as changes:
        try:
            traced = trace_function(function, fun, positional, named, shapeless=shapeless)
        finally:
            changes.restore()  # what a model would keep from a call: this is none
    result = traced.result
    slots = result if isinstance(result, list | tuple) else [result]
    if not all(type(slot) is Slot for slot in slots):
        raise ValueError(f"[{function}] The function must return one array, or a tuple or list of arrays.")
    return Exported(traced.trace, list(named), traced.sizes), result


# ---------------------------------------------------------------------- the callback

Description = tuple[str, tuple[int, ...], Any]


def _announce(callback: Callable[[dict[str, Any]], object], exported: Exported) -> None:
    """Tell a callback of a program: what goes in and comes out, then every step."""
    listing = Listing(exported.trace)
    names: dict[Node, str] = {}

    def name_of(node: Node) -> str:
        return names.setdefault(node, letters(len(names)).upper())

    def described(node: Node) -> Description:
        return name_of(node), plain(node.shape), node.dtype

    projected: dict[Node, dict[int, Node]] = {}
    for node, operands in listing.nodes:
        if node.primitive is PROJECT:
            projected.setdefault(operands[0], {})[node.params[0]] = node  # type: ignore[index]

    def outputs_of(node: Node) -> list[Description]:
        if not node.primitive.many:
            return [described(node)]
        found = projected.get(node, {})
        pairs = zip(node.shape, node.dtype, strict=True)  # type: ignore[call-overload]
        return [
            described(found[index]) if index in found else (f"{name_of(node)}{index}", plain(shape), dtype)
            for index, (shape, dtype) in enumerate(pairs)
        ]

    inputs = [described(node) for node in listing.inputs]
    positional = len(inputs) - len(exported.keywords)
    keywords = [(name, inputs[positional + index][0]) for index, name in enumerate(exported.keywords)]
    callback({"type": "inputs", "inputs": inputs})
    callback({"type": "keyword_inputs", "keywords": keywords})
    callback({"type": "outputs", "outputs": [described(node) for node in listing.outputs]})
    constants = [*listing.constants, *listing.scalars]
    callback({"type": "constants", "constants": [(name_of(node), wrap(node)) for node in constants]})
    for node, operands in listing.nodes:
        if node.primitive is not PROJECT:
            name, arguments = event(node.primitive.name, node.params)
            callback(
                {
                    "type": "primitive",
                    "name": name,
                    "arguments": arguments,
                    "inputs": [described(x) for x in operands],
                    "outputs": outputs_of(node),
                }
            )

"""`import_function`: a function made of the programs in a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, Shape, recorder
from mlx.ir.sizes import settled
from mlx.ir.trace import Trace
from mlx.transforms.export import arguments_of
from mlx.transforms.program_file import Exported, read_program

SHAPES_KEPT = 512  # programs that one imported function made for other shapes; the oldest goes first


def import_function(file: Any, return_metadata: bool = False) -> Any:
    """Make a function of a file that `export_function` or `exporter` wrote.

    Nothing in the file is executed; it is checked as a whole before it is used.

    Args:
        file: a path.
        return_metadata: also return the text that was kept in the file, "" where none was.

    Returns:
        A function that takes arrays of the shapes and dtypes that were exported, positional and by keyword, or one
        tuple and one dict of them, and returns a tuple of arrays. All transforms apply to it. With `return_metadata` a
        pair of it and the text.

    Raises:
        TypeError: `file` is no path.
        RuntimeError: the file cannot be read, was written by MLX itself, or is damaged.

    Example:
        >>> import mlx.core as mx
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     mx.export_function(f"{folder}/square.mlxfn", mx.square, mx.array(1.0), metadata="x to x * x")
        ...     square, text = mx.import_function(f"{folder}/square.mlxfn", return_metadata=True)
        >>> mx.grad(lambda x: square(x)[0])(mx.array(3.0)).item(), text
        (6.0, 'x to x * x')
    """
    if not isinstance(file, str | os.PathLike):
        raise TypeError(f"[import_function] The file must be given by its path, got {type(file).__name__}.")
    path = os.fspath(file)
    try:
        with open(path, "rb") as source:
            exported, metadata = read_program(source, os.fstat(source.fileno()).st_size)
    except OSError as error:
        raise RuntimeError(f"[import_function] Failed to open {path}: {error.strerror}.") from error
    except Exception as error:  # whatever the contents of a damaged file lead to
        raise RuntimeError(
            f"[import_function] Cannot read {path}, which is damaged or no exported function: {error}"
        ) from error
    function = ImportedFunction(exported)
    return (function, metadata) if return_metadata else function


class ImportedFunction:
    """A function made of exported programs: a call runs the one for its arguments."""

    def __init__(self, exported: list[Exported]) -> None:
        self._exported = exported
        self._traces: dict[Any, Trace] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[array, ...]:
        positional, named = arguments_of("import_function::call", args, kwargs)
        nodes = [x._node for x in [*positional, *named.values()]]
        trace = self._trace(nodes, tuple(named))
        results = trace.replay(nodes) if recorder().open_transforms else trace.call(nodes)
        return tuple([wrap(node) for node in results])

    def _trace(self, nodes: list[Node], keywords: tuple[str, ...]) -> Trace:
        shapes = [settled(node.shape) for node in nodes]
        key = (keywords, tuple([(shape, node.dtype) for shape, node in zip(shapes, nodes, strict=True)]))
        trace = self._traces.get(key)
        if trace is None:
            trace = self._new_trace(nodes, shapes, keywords)
            if len(self._traces) >= SHAPES_KEPT:
                self._traces.pop(next(iter(self._traces)), None)
            self._traces[key] = trace
        return trace

    def _new_trace(self, nodes: list[Node], shapes: list[Shape], keywords: tuple[str, ...]) -> Trace:
        for exported in self._exported:
            if exported.takes(nodes, keywords):
                trace = exported.trace_for(shapes)
                if trace is not None:
                    return trace
        lines = ["[import_function::call] No exported program fits the arguments. The function was exported for"]
        for number, exported in enumerate(self._exported, 1):
            where = "any sizes of" if exported.sizes is not None else "arguments"
            lines.append(f"  {number}. {where} {_signature(exported.inputs, exported.keywords)}")
        came = [(shape, node.dtype) for shape, node in zip(shapes, nodes, strict=True)]
        raise ValueError("\n".join([*lines, f"and was called with {_signature(came, keywords)}."]))


def _signature(inputs: Sequence[tuple[Shape, Dtype]], keywords: Sequence[str]) -> str:
    """(float32[2, 3], int32[], scale=float32[])"""
    words = [f"{dtype.name}{list(shape)}" for shape, dtype in inputs]
    first = len(words) - len(keywords)
    return "(" + ", ".join([*words[:first], *map("=".join, zip(keywords, words[first:], strict=True))]) + ")"

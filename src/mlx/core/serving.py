"""Functions for serving without this library: as StableHLO text, and as artifacts of `jax.export`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from mlx.files.writing import opened_to_write
from mlx.ir.trace import Trace
from mlx.runtime.serving import PLATFORMS, serialized, stablehlo_text
from mlx.transforms.export import trace_to_export


def export_to_stablehlo(file: Any, fun: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
    """Write a function as a StableHLO module, the text that XLA, IREE and other compilers read.

    What `fun` reads besides its arguments is a constant in the module, and lowered for the default device.

    Args:
        file: a path, or a file open for writing text.
        fun: a function of arrays that returns an array, or a tuple or list of arrays.
        *args: example arrays, or a tuple or list of them and a dict of those by keyword. The module takes arrays of
            their shapes and dtypes: the positional ones, then those by keyword in alphabetical order.
        **kwargs: example arrays by keyword.

    Raises:
        TypeError: `fun` is not callable, or `file` neither a path nor a file.
        ValueError: an argument or a result is no array.
        RuntimeError: the file cannot be written; what was there before is still there.

    Example:
        >>> import mlx.core as mx
        >>> from io import StringIO
        >>> file = StringIO()
        >>> mx.export_to_stablehlo(file, mx.tanh, mx.zeros((2, 3)))
        >>> "stablehlo.tanh" in file.getvalue()
        True
    """
    trace, keywords, restore = _traced("export_to_stablehlo", file, fun, args, kwargs)
    text = stablehlo_text(trace, keywords, restore)
    _write(file, text if hasattr(file, "write") else text.encode(), "export_to_stablehlo")


def export_to_jax(
    file: Any, fun: Callable[..., Any], /, *args: Any, platforms: Sequence[str] | None = None, **kwargs: Any
) -> None:
    """Write a function as an artifact of `jax.export`, which JAX loads and calls without this library.

    In the serving process: `jax.export.deserialize(open(path, "rb").read()).call(x, y=y)`. It takes arrays of the
    shapes and dtypes of the examples and returns what `fun` returns. What `fun` reads besides its arguments is a
    constant in the artifact. Arrays of 64 bits need `jax.config.update("jax_enable_x64", True)` there.

    Args:
        file: a path, or a file open for writing bytes.
        fun: a function of arrays that returns an array, or a tuple or list of arrays.
        *args: example arrays, or a tuple or list of them and a dict of those by keyword.
        platforms: where it can run, of "cpu", "cuda", "rocm" and "tpu"; by default the platform of the default device.
            They need not be there.
        **kwargs: example arrays by keyword.

    Raises:
        TypeError: `fun` is not callable, or `file` neither a path nor a file.
        ValueError: an argument or a result is no array, or a platform is unknown.
        RuntimeError: the file cannot be written; what was there before is still there.

    Example:
        >>> import mlx.core as mx
        >>> from io import BytesIO
        >>> from jax import export
        >>> file = BytesIO()
        >>> mx.export_to_jax(file, lambda x, scale: mx.tanh(x) * scale, mx.zeros(3), scale=mx.array(2.0))
        >>> export.deserialize(file.getvalue()).in_avals
        (ShapedArray(float32[3]), ShapedArray(float32[]))
    """
    if platforms is not None:
        if isinstance(platforms, str) or not platforms or not all(platform in PLATFORMS for platform in platforms):
            raise ValueError(
                f"[export_to_jax] platforms must be a sequence of {', '.join(map(repr, PLATFORMS))}, got {platforms!r}."
            )
        platforms = tuple(dict.fromkeys(platforms))
    trace, keywords, restore = _traced("export_to_jax", file, fun, args, kwargs)
    _write(file, serialized(trace, keywords, restore, platforms), "export_to_jax")


def _traced(
    function: str, file: Any, fun: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[Trace, list[str], Callable[[list[Any]], Any]]:
    """The trace, the names of its last inputs, and what makes the function's result of the list of its outputs."""
    if not isinstance(file, str | os.PathLike) and not hasattr(file, "write"):
        raise TypeError(f"[{function}] Expected a path or a file open for writing, got {type(file).__name__}.")
    exported, result = trace_to_export(function, fun, args, kwargs)
    if isinstance(result, list):
        restore = list
    else:
        restore = tuple if isinstance(result, tuple) else _only
    return exported.trace, exported.keywords, restore


def _only(outputs: list[Any]) -> Any:
    return outputs[0]


def _write(file: Any, content: str | bytes, function: str) -> None:
    try:
        with opened_to_write(file, "", function) as target:
            target.write(content)
    except OSError as error:
        raise RuntimeError(f"[{function}] Failed to write the file: {error}.") from error

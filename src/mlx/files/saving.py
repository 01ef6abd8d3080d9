"""`mx.save` and its relatives. Writing to a path is atomic: a failed save leaves the old file.

What the formats look like inside lives in a module for each.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mlx.arrays.array import array
from mlx.files.npy import write_npy
from mlx.files.npz import write_npz
from mlx.files.stored import Array
from mlx.files.writing import is_path, opened_to_write

__all__ = [
    "save",
    "savez",
    "savez_compressed",
    "save_safetensors",
    "save_gguf",
]


def save(file: Any, arr: array) -> None:
    """Write an array to a `.npy` file.

    Args:
        file: a path, to which `.npy` is added where it is missing, or a file open for writing bytes.
        arr: array of any dtype. NumPy has no bfloat16: it is written as two opaque bytes that `load` recognises.

    Raises:
        TypeError: `arr` is no array.
        ValueError: `file` is neither a path nor a file.
        RuntimeError: the file cannot be opened.
        OSError: the file cannot be written; what was there before is still there.

    Example:
        >>> import mlx.core as mx
        >>> from io import BytesIO
        >>> file = BytesIO()
        >>> mx.save(file, mx.array([1, 2, 3]))
        >>> position = file.seek(0)
        >>> mx.load(file, format="npy")
        array([1, 2, 3], dtype=int32)
    """
    value = _value(arr, "save", "arr")
    with _target(file, ".npy", "save", RuntimeError) as target:
        write_npy(target, value)


def savez(file: Any, *args: array, **kwargs: array) -> None:
    """Write arrays to an uncompressed `.npz` file; those without a name are called `arr_0`, `arr_1` and so on.

    Args:
        file: a path, to which `.npz` is added where it is missing, or a file open for writing bytes.
        *args: arrays of any dtype.
        **kwargs: arrays by name.

    Raises:
        TypeError: a value is no array.
        ValueError: a name is given twice, or `file` is neither a path nor a file.
        OSError: the file cannot be opened or written; what was there before is still there.

    Example:
        >>> import mlx.core as mx
        >>> from io import BytesIO
        >>> file = BytesIO()
        >>> mx.savez(file, mx.array([1, 2]), bias=mx.array(0.5))
        >>> sorted(mx.load(file, format="npz"))
        ['arr_0', 'bias']
    """
    values = _named(args, kwargs, "savez")
    with _target(file, ".npz", "savez") as target:
        write_npz(target, values, compressed=False)


def savez_compressed(file: Any, *args: array, **kwargs: array) -> None:
    """Write arrays to a compressed `.npz` file; arguments and errors are those of `savez`.

    Example:
        >>> import mlx.core as mx
        >>> from io import BytesIO
        >>> file = BytesIO()
        >>> mx.savez_compressed(file, x=mx.zeros(1000))
        >>> mx.load(file, format="npz")["x"].shape
        (1000,)
    """
    values = _named(args, kwargs, "savez_compressed")
    with _target(file, ".npz", "savez_compressed") as target:
        write_npz(target, values, compressed=True)


def save_safetensors(file: Any, arrays: dict[str, array], metadata: dict[str, str] | None = None) -> None:
    """Write a dict of arrays to a `.safetensors` file.

    Args:
        file: a path, to which `.safetensors` is added where it is missing, or a file open for writing bytes.
        arrays: arrays of any dtype by name.
        metadata: strings by name.

    Raises:
        TypeError: `arrays` is no dict of arrays by name, or `metadata` is no dict.
        ValueError: `metadata` does not map strings to strings, or `file` is neither a path nor a file.
        RuntimeError: the file cannot be opened, or an array has the name "__metadata__", which the format reserves.
        OSError: the file cannot be written; what was there before is still there.

    Example:
        >>> import mlx.core as mx
        >>> from io import BytesIO
        >>> file = BytesIO()
        >>> mx.save_safetensors(file, {"bias": mx.array(0.5)}, {"epoch": "3"})
        >>> position = file.seek(0)
        >>> mx.load(file, format="safetensors", return_metadata=True)
        ({'bias': array(0.5, dtype=float32)}, {'epoch': '3'})
    """
    from mlx.files.safetensors import METADATA, write_safetensors

    values = _by_name(arrays, "save_safetensors")
    if METADATA in values:
        raise RuntimeError(f"[save_safetensors] No array may be named {METADATA}: the format reserves the name.")
    for key, text in _checked_metadata(metadata, "save_safetensors").items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise ValueError(f"[save_safetensors] metadata must map strings to strings, got {key!r}: {text!r}.")
    stored = {name: (value, arrays[name].dtype) for name, value in values.items()}
    with _target(file, ".safetensors", "save_safetensors", RuntimeError) as target:
        write_safetensors(target, stored, metadata or {})


def save_gguf(file: Any, arrays: dict[str, array], metadata: dict[str, array | str | list[str]] | None = None) -> None:
    """Write a dict of arrays to a `.gguf` file.

    Args:
        file: a path, to which `.gguf` is added where it is missing, or a file open for writing bytes.
        arrays: arrays of float16, float32, int8, int16 or int32 with up to 8 axes, by name.
        metadata: strings, lists of strings, and arrays with at most one axis, by name. An array has any dtype but
            float16, bfloat16 and complex64. "general.alignment", a multiple of 8 as a uint32, says where arrays start.

    Raises:
        TypeError: `arrays` is no dict of arrays by name, or `metadata` is no dict.
        ValueError: metadata have a dtype or an alignment that they cannot have, or `file` is neither a path nor a file.
        RuntimeError: the file cannot be opened, an array has a dtype that is not written or too many axes, or a value
            of the metadata is of another type, empty or of more than one axis.
        OSError: the file cannot be written; what was there before is still there.

    Example:
        >>> import mlx.core as mx
        >>> from io import BytesIO
        >>> file = BytesIO()
        >>> mx.save_gguf(file, {"bias": mx.array(0.5)}, {"general.name": "tiny", "epoch": mx.array(3)})
        >>> position = file.seek(0)
        >>> mx.load(file, format="gguf", return_metadata=True)
        ({'bias': array(0.5, dtype=float32)}, {'general.name': 'tiny', 'epoch': array(3, dtype=int32)})
    """
    from mlx.files.gguf import ALIGNMENT, MOST_AXES, WRITABLE, is_alignment, write_gguf

    values = _by_name(arrays, "save_gguf")
    for name, x in arrays.items():
        if x.dtype not in WRITABLE:
            known = ", ".join(dtype.name for dtype in WRITABLE)
            raise RuntimeError(
                f"[save_gguf] dtype {x.dtype.name} of arrays[{name!r}] is not supported: cast it to one of {known}."
            )
        if x.ndim > MOST_AXES:
            raise RuntimeError(f"[save_gguf] arrays[{name!r}] has {x.ndim} axes, and the format has {MOST_AXES}.")
    given = _checked_metadata(metadata, "save_gguf")
    described = {key: _gguf_metadata(key, value) for key, value in given.items()}
    if ALIGNMENT in described and not is_alignment(described[ALIGNMENT]):
        raise ValueError(
            f"[save_gguf] metadata[{ALIGNMENT!r}] must be a multiple of 8 as a uint32, got {given[ALIGNMENT]!r}."
        )
    stored = {name: (value, arrays[name].dtype) for name, value in values.items()}
    with _target(file, ".gguf", "save_gguf", RuntimeError) as target:
        write_gguf(target, stored, described)


# ---------------------------------------------------------------------- arguments


@contextmanager
def _target(file: Any, suffix: str, function: str, refusal: type[Exception] = OSError) -> Iterator[Any]:
    """The file to write to, with the errors that the reference raises."""
    if not is_path(file) and (not hasattr(file, "write") or isinstance(file, io.TextIOBase)):
        raise ValueError(f"[{function}] Expected a path or a file open for writing bytes, got {type(file).__name__}.")
    with opened_to_write(file, suffix, function, refusal) as target:
        yield target


def _value(x: Any, function: str, argument: str) -> Array:
    if not isinstance(x, array):
        raise TypeError(f"[{function}] {argument} must be an array, got {type(x).__name__}; convert it with mx.array.")
    return x._numpy()


def _named(args: tuple[array, ...], kwargs: Mapping[str, array], function: str) -> dict[str, Array]:
    named = {name: _value(x, function, name) for name, x in kwargs.items()}
    for position, x in enumerate(args):
        name = f"arr_{position}"
        if name in named:
            raise ValueError(f"[{function}] The name {name} is given to an argument and by its position.")
        named[name] = _value(x, function, name)
    return named


def _by_name(arrays: Any, function: str) -> dict[str, Array]:
    if not isinstance(arrays, dict):
        raise TypeError(f"[{function}] arrays must be a dict of arrays by name, got {type(arrays).__name__}.")
    for name in arrays:
        if not isinstance(name, str):
            raise TypeError(f"[{function}] arrays must be named by strings, got {name!r}.")
    return {name: _value(x, function, f"arrays[{name!r}]") for name, x in arrays.items()}


def _checked_metadata(metadata: Any, function: str) -> dict[Any, Any]:
    if metadata is None:
        return {}
    if not isinstance(metadata, dict):
        raise TypeError(f"[{function}] metadata must be a dict, got {type(metadata).__name__}.")
    return metadata


def _gguf_metadata(key: Any, value: Any) -> Array | str | list[str]:
    from mlx.files.gguf import METADATA_DTYPES

    argument = f"metadata[{key!r}]"
    if not isinstance(key, str):
        raise RuntimeError(f"[save_gguf] metadata must be named by strings, got {key!r}.")
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and all(isinstance(text, str) for text in value):
        return list(value)
    if not isinstance(value, array):
        raise RuntimeError(
            f"[save_gguf] Received unexpected type in metadata: {argument} must be a string, a list of strings or an "
            f"array, got {type(value).__name__}; mx.array({value!r}) for a number."
        )
    if value.dtype not in METADATA_DTYPES:
        raise ValueError(f"[save_gguf] {argument} has dtype {value.dtype.name}, which metadata cannot have.")
    if value.ndim > 1 or value.size == 0:
        raise RuntimeError(f"[save_gguf] {argument} has shape {value.shape}, and needs one axis at most and a value.")
    return value._numpy()

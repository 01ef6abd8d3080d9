"""Arrays in files: npy, npz and safetensors. Writing is atomic: a failed save leaves the old file.

What the formats look like inside lives in `npy` and `safetensors`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

import numpy as np

from mlx.arrays.array import array, wrap
from mlx.arrays.npy import read_npy, read_npz, write_npy, write_npz

__all__ = [
    "save",
    "savez",
    "savez_compressed",
    "save_safetensors",
    "load",
]


def save(file: Any, arr: array) -> None:
    """Write an array to a `.npy` file.

    Args:
        file: a path, to which `.npy` is added where it is missing, or a file open for writing bytes.
        arr: array of any dtype. NumPy has no bfloat16: it is written as two opaque bytes that `load` recognises.

    Raises:
        TypeError: `arr` is no array, or `file` neither a path nor a file.
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
    with opened_to_write(file, ".npy", "save") as target:
        write_npy(target, value)


def savez(file: Any, *args: array, **kwargs: array) -> None:
    """Write arrays to an uncompressed `.npz` file; those without a name are called `arr_0`, `arr_1` and so on.

    Args:
        file: a path, to which `.npz` is added where it is missing, or a file open for writing bytes.
        *args: arrays of any dtype.
        **kwargs: arrays by name.

    Raises:
        TypeError: a value is no array, or `file` neither a path nor a file.
        ValueError: a name is given twice.
        OSError: the file cannot be written; what was there before is still there.

    Example:
        >>> import mlx.core as mx
        >>> from io import BytesIO
        >>> file = BytesIO()
        >>> mx.savez(file, mx.array([1, 2]), bias=mx.array(0.5))
        >>> sorted(mx.load(file, format="npz"))
        ['arr_0', 'bias']
    """
    values = _named(args, kwargs, "savez")
    with opened_to_write(file, ".npz", "savez") as target:
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
    with opened_to_write(file, ".npz", "savez_compressed") as target:
        write_npz(target, values, compressed=True)


def save_safetensors(file: Any, arrays: dict[str, array], metadata: dict[str, str] | None = None) -> None:
    """Write a dict of arrays to a `.safetensors` file.

    Args:
        file: a path, to which `.safetensors` is added where it is missing, or a file open for writing bytes.
        arrays: arrays of any dtype by name.
        metadata: strings by name.

    Raises:
        TypeError: `arrays` is no dict of arrays by name, or `file` neither a path nor a file.
        ValueError: `metadata` does not map strings to strings.
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
    from mlx.arrays.safetensors import write_safetensors

    if not isinstance(arrays, dict):
        raise TypeError(f"[save_safetensors] arrays must be a dict of arrays by name, got {type(arrays).__name__}.")
    for name in arrays:
        if not isinstance(name, str):
            raise TypeError(f"[save_safetensors] arrays must be named by strings, got {name!r}.")
    for key, text in (metadata or {}).items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise ValueError(f"[save_safetensors] metadata must map strings to strings, got {key!r}: {text!r}.")
    values = {name: (_value(x, "save_safetensors", f"arrays[{name!r}]"), x.dtype) for name, x in arrays.items()}
    with opened_to_write(file, ".safetensors", "save_safetensors") as target:
        write_safetensors(target, values, metadata or {})


def load(file: Any, /, format: str | None = None, return_metadata: bool = False, *, stream: Any = None) -> Any:
    """Read arrays from a `.npy`, `.npz` or `.safetensors` file.

    What a file says of itself is checked against its size before memory is set aside for it.

    Args:
        file: a path, or a file open for reading bytes.
        format: "npy", "npz" or "safetensors"; by default told by the end of the file's name.
        return_metadata: also return the metadata (safetensors only).

    Returns:
        An array for npy, a dict of arrays otherwise; with `return_metadata` a pair of it and the metadata.

    Raises:
        ValueError: the format is unknown or has no metadata, a dtype has no counterpart, or a npz file is damaged.
        RuntimeError: there is no such file, or a npy or safetensors file is damaged.

    Example:
        >>> import mlx.core as mx
        >>> from io import BytesIO
        >>> file = BytesIO()
        >>> mx.save(file, mx.array([1.5, 2.5], mx.bfloat16))
        >>> position = file.seek(0)
        >>> mx.load(file, format="npy")
        array([1.5, 2.5], dtype=bfloat16)
    """
    if not _is_path(file) and not hasattr(file, "read"):
        raise ValueError(f"[load] Expected a path or a file open for reading bytes, got {type(file).__name__}.")
    kind = format or _kind_of(file)
    if kind not in ("npy", "npz", "safetensors"):
        raise ValueError(f"[load] Unknown file format {kind}; npy, npz and safetensors are known.")
    if return_metadata and kind != "safetensors":
        raise ValueError(f"[load] metadata not supported for format {kind}: only safetensors has them.")
    with _opened_to_read(file) as source:
        try:
            return _loaded(source, kind, return_metadata)
        except (RuntimeError, ValueError) as error:
            kind_of_error = RuntimeError if isinstance(error, RuntimeError) else ValueError
            raise kind_of_error(f"[load] Cannot read {_name(file)}: {error}") from error


def _loaded(source: BinaryIO, kind: str, return_metadata: bool) -> Any:
    source, available = _sized(source)
    if kind == "npy":
        return wrap(read_npy(source, available))
    if kind == "npz":
        return {name: wrap(node) for name, node in read_npz(source, source.tell() + available).items()}
    from mlx.arrays.safetensors import read_safetensors

    nodes, metadata = read_safetensors(source, available)
    loaded = {name: wrap(node) for name, node in nodes.items()}
    return (loaded, metadata) if return_metadata else loaded


# ---------------------------------------------------------------------- arguments


def _value(x: Any, function: str, argument: str) -> np.ndarray[Any, Any]:
    if not isinstance(x, array):
        raise TypeError(f"[{function}] {argument} must be an array, got {type(x).__name__}; convert it with mx.array.")
    return x._numpy()


def _named(args: tuple[array, ...], kwargs: Mapping[str, array], function: str) -> dict[str, np.ndarray[Any, Any]]:
    named = {name: _value(x, function, name) for name, x in kwargs.items()}
    for position, x in enumerate(args):
        name = f"arr_{position}"
        if name in named:
            raise ValueError(f"[{function}] The name {name} is given to an argument and by its position.")
        named[name] = _value(x, function, name)
    return named


def _is_path(file: Any) -> bool:
    return isinstance(file, str | os.PathLike)


def _name(file: Any) -> str:
    return os.fspath(file) if _is_path(file) else str(getattr(file, "name", type(file).__name__))


def _kind_of(file: Any) -> str:
    if not _is_path(file) and not hasattr(file, "name"):
        raise ValueError("[load] This file has no name that tells its format: pass format=.")
    kind = os.path.splitext(_name(file))[1]
    if not kind:
        raise ValueError(f"[load] The name {_name(file)} does not tell the format: pass format=.")
    return kind[1:]


# ---------------------------------------------------------------------- files


@contextmanager
def _opened_to_read(file: Any) -> Iterator[BinaryIO]:
    if not _is_path(file):
        yield file
        return
    with _opened(file) as source:
        yield source


def _opened(path: str | os.PathLike[str]) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise RuntimeError(f"[load] Failed to open file {_name(path)}: {error.strerror}.") from error


def _sized(source: BinaryIO) -> tuple[BinaryIO, int]:
    """A file that can be read at any place, and how many bytes it has from here on."""
    if not (hasattr(source, "seekable") and source.seekable()):
        from io import BytesIO

        source = BytesIO(source.read())
    position = source.tell()
    available = source.seek(0, os.SEEK_END) - position
    source.seek(position)
    return source, available


@contextmanager
def opened_to_write(file: Any, suffix: str, function: str) -> Iterator[Any]:
    """A file to write to. One that is given by its path takes the place of the old one when it is complete."""
    if not _is_path(file):
        if not hasattr(file, "write"):
            raise TypeError(
                f"[{function}] Expected a path or a file open for writing bytes, got {type(file).__name__}."
            )
        yield file
        return
    path = os.fspath(file)
    path = os.path.realpath(path if path.endswith(suffix) else path + suffix)
    if os.path.exists(path) and not os.path.isfile(path):  # a device or a pipe, whose place no file should take
        with open(path, "wb") as target:
            yield target
        return
    unfinished = os.path.join(os.path.dirname(path), f".{os.urandom(8).hex()}.part")
    try:
        with open(unfinished, "xb") as target:
            yield target
        if os.path.exists(path):
            os.chmod(unfinished, os.stat(path).st_mode)
        os.replace(unfinished, path)
    except BaseException:
        if os.path.exists(unfinished):
            os.unlink(unfinished)
        raise

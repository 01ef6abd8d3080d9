"""Arrays in files: npy, npz and safetensors. Writing is atomic: a failed save leaves the old file."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile

import numpy as np

from mlx.arrays.array import array, wrap
from mlx.arrays.conversion import converted_copy
from mlx.ir.dtypes import ALL_DTYPES, Dtype, bfloat16, dtype_of_numpy
from mlx.ir.primitive import data_node

_SAFETENSORS_NAMES = {
    "bool": "BOOL",
    "uint8": "U8",
    "uint16": "U16",
    "uint32": "U32",
    "uint64": "U64",
    "int8": "I8",
    "int16": "I16",
    "int32": "I32",
    "int64": "I64",
    "float16": "F16",
    "bfloat16": "BF16",
    "float32": "F32",
    "float64": "F64",
    "complex64": "C64",
}
_SAFETENSORS_DTYPES = {_SAFETENSORS_NAMES[dtype.name]: dtype for dtype in ALL_DTYPES}


def save(file: Any, arr: array) -> None:
    """Write an array to a `.npy` file.

    Args:
        file: a path, to which `.npy` is added where it is missing, or a file open for writing bytes.
        arr: the array. NumPy has no bfloat16: it is written as two opaque bytes that `load` recognises.

    Raises:
        TypeError: `arr` is no array.
    """
    value = _value(arr, "save", "arr")
    _write(file, ".npy", lambda stream: np.save(stream, value, allow_pickle=False))


def savez(file: Any, *args: array, **kwargs: array) -> None:
    """Write arrays to an uncompressed `.npz` file; those without a name are called `arr_0`, `arr_1` and so on.

    Args:
        file: a path, to which `.npz` is added where it is missing, or a file open for writing bytes.

    Raises:
        TypeError: a value is no array.
        ValueError: a name is given twice.
    """
    named = _named(args, kwargs, "savez")
    _write(file, ".npz", lambda stream: np.savez(stream, **named))


def savez_compressed(file: Any, *args: array, **kwargs: array) -> None:
    """Write arrays to a compressed `.npz` file; arguments and errors are those of `savez`."""
    named = _named(args, kwargs, "savez_compressed")
    _write(file, ".npz", lambda stream: np.savez_compressed(stream, **named))


def save_safetensors(file: Any, arrays: dict[str, array], metadata: dict[str, str] | None = None) -> None:
    """Write a dict of arrays to a `.safetensors` file.

    Args:
        file: a path, to which `.safetensors` is added where it is missing, or a file open for writing bytes.
        arrays: arrays by name.
        metadata: strings by name.

    Raises:
        TypeError: a value is no array, or metadata are no strings.
    """
    from safetensors.numpy import save as serialized

    for key, text in (metadata or {}).items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise TypeError(f"[save_safetensors] metadata must map strings to strings, got {key!r}: {text!r}")
    tensors = {name: _value(x, "save_safetensors", name) for name, x in arrays.items()}
    data = serialized(tensors, metadata)
    _write(file, ".safetensors", lambda stream: stream.write(data))


def load(file: Any, /, format: str | None = None, return_metadata: bool = False, *, stream: Any = None) -> Any:
    """Read arrays from a `.npy`, `.npz` or `.safetensors` file.

    Args:
        file: a path, or a file open for reading bytes.
        format: "npy", "npz" or "safetensors"; by default told by the file's name.
        return_metadata: also return the metadata (safetensors only).

    Returns:
        An array for npy, a dict of arrays otherwise; with `return_metadata` a pair of it and the metadata.

    Raises:
        ValueError: the format is unknown or has no metadata.
        RuntimeError: the file is not what its format says.
        FileNotFoundError: there is no such file.
    """
    kind = format or _kind_of(file)
    readers = {"npy": _load_npy, "npz": _load_npz, "safetensors": _load_safetensors}
    if kind not in readers:
        raise ValueError(f"[load] Unknown file format {kind}; npy, npz and safetensors are known.")
    if return_metadata and kind != "safetensors":
        raise ValueError(f"[load] metadata not supported for format {kind}")
    with _opened(file) as source:
        try:
            loaded, metadata = readers[kind](source)
        except (ValueError, EOFError, OSError, KeyError, BadZipFile) as error:
            raise RuntimeError(f"[load] Invalid {kind} file {_name(file)}: {error}") from error
    return (loaded, metadata) if return_metadata else loaded


def _load_npy(source: BinaryIO) -> tuple[array, None]:
    return _array(np.load(source, allow_pickle=False)), None


def _load_npz(source: BinaryIO) -> tuple[dict[str, array], None]:
    archive = np.load(source, allow_pickle=False)
    if isinstance(archive, np.ndarray):
        raise ValueError("it holds a single array; load it as npy")
    return {name: _array(archive[name]) for name in archive.files}, None


def _load_safetensors(source: BinaryIO) -> tuple[dict[str, array], dict[str, str]]:
    from safetensors import SafetensorError, deserialize

    data = source.read()
    try:
        tensors = deserialize(data)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    loaded = {}
    for name, tensor in tensors:
        dtype = _SAFETENSORS_DTYPES.get(tensor["dtype"])
        if dtype is None:
            raise ValueError(f"tensor {name} has the dtype {tensor['dtype']}, which has no counterpart")
        value = np.frombuffer(tensor["data"], dtype.numpy).reshape(tensor["shape"])
        loaded[name] = wrap(data_node(converted_copy(value, dtype), dtype))
    return loaded, _safetensors_metadata(data)


def _safetensors_metadata(data: bytes) -> dict[str, str]:
    import json

    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return header.get("__metadata__", {})


def _array(value: np.ndarray[Any, Any]) -> array:
    if value.dtype == np.dtype("V2"):
        value = value.view(bfloat16.numpy)
    dtype: Dtype | None = dtype_of_numpy(value.dtype)
    if dtype is None:
        raise ValueError(f"the dtype {value.dtype} has no counterpart")
    return wrap(data_node(converted_copy(value, dtype), dtype))


def _value(x: Any, function: str, argument: str) -> np.ndarray[Any, Any]:
    if not isinstance(x, array):
        raise TypeError(f"[{function}] {argument} must be an array, got {type(x).__name__}")
    return x._numpy()


def _named(args: tuple[array, ...], kwargs: Mapping[str, array], function: str) -> dict[str, np.ndarray[Any, Any]]:
    named = {name: _value(x, function, name) for name, x in kwargs.items()}
    for position, x in enumerate(args):
        name = f"arr_{position}"
        if name in named:
            raise ValueError(f"[{function}] The name {name} is given twice.")
        named[name] = _value(x, function, name)
    return named


def _name(file: Any) -> str:
    return str(file) if isinstance(file, str | os.PathLike) else getattr(file, "name", "object")


def _kind_of(file: Any) -> str:
    return Path(_name(file)).suffix.removeprefix(".")


@contextmanager
def _opened(file: Any) -> Iterator[BinaryIO]:
    if isinstance(file, str | os.PathLike):
        with open(file, "rb") as source:
            yield source
    else:
        yield file


def _write(file: Any, suffix: str, write: Callable[[Any], Any]) -> None:
    """Write to a file object, or to a path by way of a temporary file beside it."""
    if not isinstance(file, str | os.PathLike):
        memory = io.BytesIO()
        write(memory)
        file.write(memory.getvalue())
        return
    path = Path(file)
    if path.suffix != suffix:
        path = path.with_name(path.name + suffix)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            write(stream)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise

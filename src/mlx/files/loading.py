"""`mx.load`: arrays from files of every format. What the formats look like inside lives in a module for each."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from mlx.arrays.array import array, wrap
from mlx.files.contents import Contents, contents_of_file, contents_of_path, is_mappable, rest_of
from mlx.files.npy import parse_npy, read_npy
from mlx.files.npz import read_npz
from mlx.files.writing import is_path
from mlx.ir.dtypes import dtype_of_numpy
from mlx.ir.primitive import data_node
from mlx.ops.arguments import check_stream

__all__ = ["load"]

_WITHOUT_METADATA = ("npy", "npz")
_WITH_METADATA = ("safetensors", "gguf")
_CANNOT_OPEN = {"npz": ValueError, "gguf": ValueError}  # what the reference raises; for others a RuntimeError


def load(file: Any, /, format: str | None = None, return_metadata: bool = False, *, stream: Any = None) -> Any:
    """Read arrays from a `.npy`, `.npz`, `.safetensors` or `.gguf` file.

    The values in npy, safetensors and gguf files are read when they are needed, and take no memory before: of a file
    given by its path, or open for reading alone. Such a file may be replaced meanwhile, which saving to its path does;
    if it was written to in place, asking for a value is an error. What a file says of itself is checked against its
    size before memory is set aside for it.

    Tensors of a gguf file that are quantised as Q4_0, Q4_1 or Q8_0 become three arrays: "layer.weight" (packed),
    "layer.scales" and "layer.biases", for `mx.dequantize` and `mx.quantized_matmul` with groups of 32. Those in other
    blocks (Q2_K to Q6_K, Q5_0, Q5_1) and bfloat16 become float16. Numbers of 8 bits in a safetensors file (F8_E4M3,
    F8_E8M0) become uint8; `mx.from_fp8` decodes the first.

    Args:
        file: a path, or a file open for reading bytes, which is left open, after what was read.
        format: "npy", "npz", "safetensors" or "gguf"; by default told by the end of the file's name.
        return_metadata: also return the metadata (safetensors and gguf only).
        stream: taken for compatibility.

    Returns:
        An array for npy, a dict of arrays otherwise; with `return_metadata` a pair of it and the metadata: strings by
        name, in gguf files also lists of strings, and arrays.

    Raises:
        ValueError: the format is unknown or has no metadata, a dtype has no counterpart, a npz file is damaged, or
            there is no npz or gguf file of that name.
        RuntimeError: there is no other file of that name, or a npy, safetensors or gguf file is damaged. That values of
            a npy file are missing shows only when they are needed.

    Example:
        >>> import mlx.core as mx
        >>> from io import BytesIO
        >>> file = BytesIO()
        >>> mx.save(file, mx.array([1.5, 2.5], mx.bfloat16))
        >>> position = file.seek(0)
        >>> mx.load(file, format="npy")
        array([1.5, 2.5], dtype=bfloat16)
    """
    if stream is not None:
        check_stream(stream, "load")
    if not is_path(file) and (not hasattr(file, "read") or isinstance(file, io.TextIOBase)):
        raise ValueError(f"[load] Expected a path or a file open for reading bytes, got {type(file).__name__}.")
    kind = format or _kind_of(file)
    if kind not in _WITHOUT_METADATA + _WITH_METADATA:
        raise ValueError(f"[load] Unknown file format {kind}; npy, npz, safetensors and gguf are known.")
    if return_metadata and kind in _WITHOUT_METADATA:
        raise ValueError(f"[load] metadata not supported for format {kind}: safetensors and gguf have them.")
    with _naming(file):
        if kind in _WITH_METADATA:
            arrays, metadata = _named_arrays(_contents(file, kind), kind)
            return (arrays, metadata) if return_metadata else arrays
        return _array(file) if kind == "npy" else _archive(file)


# ---------------------------------------------------------------------- formats


def _named_arrays(contents: Contents, kind: str) -> tuple[dict[str, array], dict[str, Any]]:
    if kind == "safetensors":
        from mlx.files.safetensors import parse_safetensors as parse
    else:
        from mlx.files.gguf import parse_gguf as parse
    arrays, metadata = parse(contents.data)
    loaded = {name: wrap(contents.node(stored)) for name, stored in arrays.items()}
    return loaded, {name: _metadata_value(value) for name, value in metadata.items()}


def _metadata_value(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    dtype = dtype_of_numpy(value.dtype)
    assert dtype is not None
    return wrap(data_node(value, dtype))


def _array(file: Any) -> array:
    if not is_path(file) and not is_mappable(file):
        return wrap(read_npy(file, _available(file)))
    position = None if is_path(file) else file.tell()
    contents = _contents(file, "npy")
    stored = parse_npy(contents.data)
    if position is not None:
        file.seek(position + stored.place + stored.nbytes)
    return wrap(contents.node(stored))


def _archive(file: Any) -> dict[str, array]:
    if is_path(file):
        try:
            source = open(file, "rb")  # noqa: SIM115  (closed below)
        except OSError as error:
            raise _cannot_open(file, "npz", error) from error
        with source:
            return _archive(source)
    available = _available(file)
    source = io.BytesIO(rest_of(file)) if available is None else file
    size = len(source.getbuffer()) if available is None else source.tell() + available
    arrays = {name: wrap(node) for name, node in read_npz(source, size).items()}
    source.seek(0, os.SEEK_END)
    return arrays


# ---------------------------------------------------------------------- files


def _contents(file: Any, kind: str) -> Contents:
    if not is_path(file):
        return contents_of_file(file, _name(file))
    try:
        return contents_of_path(os.fspath(file))
    except OSError as error:
        raise _cannot_open(file, kind, error) from error


def _cannot_open(path: Any, kind: str, error: OSError) -> Exception:
    refusal = _CANNOT_OPEN.get(kind, RuntimeError)
    return refusal(f"[load] Failed to open file {_name(path)}: {error.strerror}.")


def _available(file: Any) -> int | None:
    """How many bytes a file has from here on; None where only reading it would tell."""
    if not (hasattr(file, "seekable") and file.seekable()):
        return None
    position = file.tell()
    available = file.seek(0, os.SEEK_END) - position
    file.seek(position)
    return available


def _name(file: Any) -> str:
    return os.fspath(file) if is_path(file) else str(getattr(file, "name", type(file).__name__))


def _kind_of(file: Any) -> str:
    if not is_path(file) and not hasattr(file, "name"):
        raise ValueError("[load] This file has no name that tells its format: pass format=.")
    kind = os.path.splitext(_name(file))[1]
    if not kind:
        raise ValueError(f"[load] The name {_name(file)} does not tell the format: pass format=.")
    return kind[1:]


@contextmanager
def _naming(file: Any) -> Iterator[None]:
    """Say in errors which file is meant."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        if str(error).startswith("[load] "):
            raise
        kind = RuntimeError if isinstance(error, RuntimeError) else ValueError
        raise kind(f"[load] Cannot read {_name(file)}: {error}") from error

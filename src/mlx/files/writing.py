"""Writing to files: all or nothing where a path is given, and to the last byte where a file is."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from mlx.files.contents import let_go_of
from mlx.files.stored import Array


@contextmanager
def opened_to_write(file: Any, suffix: str, function: str, refusal: type[Exception] = OSError) -> Iterator[Any]:
    """A file to write to. One that is given by its path takes the place of the old one when it is complete.

    Raises:
        TypeError: it is neither a path nor a file.
        refusal: it cannot be opened; with the default the system's own error.
    """
    if not is_path(file):
        if not hasattr(file, "write"):
            raise TypeError(
                f"[{function}] Expected a path or a file open for writing bytes, got {type(file).__name__}."
            )
        yield file
        return
    path = os.fspath(file)
    path = os.path.realpath(path if path.endswith(suffix) else path + suffix)
    in_place = os.path.exists(path) and not os.path.isfile(path)  # a device or a pipe, which no file should replace
    unfinished = path if in_place else os.path.join(os.path.dirname(path), f".{os.urandom(8).hex()}.part")
    try:
        if os.path.exists(path) and not os.access(path, os.W_OK):  # which replacing it would not ask for
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        opener = None if in_place else partial(_opened_like, path)
        target = open(unfinished, "wb" if in_place else "xb", opener=opener)  # noqa: SIM115  (closed below)
    except OSError as error:
        if refusal is OSError:
            raise
        raise refusal(f"[{function}] Failed to open file {path}: {error.strerror}.") from error
    try:
        with target:
            yield target
        if not in_place:
            _replace(unfinished, path)
    except BaseException:
        if not in_place and os.path.exists(unfinished):
            os.unlink(unfinished)
        raise


def _opened_like(path: str, unfinished: str, flags: int) -> int:
    """Open a new file, which nobody may read meanwhile who may not read the old one."""
    return os.open(unfinished, flags, stat.S_IMODE(os.stat(path).st_mode) if os.path.exists(path) else 0o666)


def _replace(unfinished: str, path: str) -> None:
    if os.path.exists(path):
        os.chmod(unfinished, os.stat(path).st_mode)
    try:
        os.replace(unfinished, path)
    except PermissionError:  # Windows does not replace a file that is open or mapped
        if not let_go_of(path):
            raise
        os.replace(unfinished, path)


def is_path(file: Any) -> bool:
    return isinstance(file, str) or (isinstance(file, os.PathLike) and isinstance(os.fspath(file), str))


def write_values(file: Any, value: Array) -> None:
    """Write the values of an array in C order."""
    write_all(file, np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)


def write_all(file: Any, data: bytes | memoryview) -> None:
    """Write all of `data`, also to files that take less at once and say how much."""
    rest = memoryview(data)
    while rest:
        count = file.write(rest)
        if type(count) is not int or count >= len(rest):
            return
        rest = rest[count:]

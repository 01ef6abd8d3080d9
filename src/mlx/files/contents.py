"""The bytes of a file that is being loaded: mapped, so that they are read when they are needed, or in memory.

The values of arrays are copied out of a mapping when they are used for the first time, so that they never change: what
was written to the file meanwhile is noticed before. A file that `mx.save` or its relatives replaced stays what it was.
"""

from __future__ import annotations

import io
import mmap
import os
import stat
import threading
import weakref
from typing import Any, Protocol

import numpy as np

from mlx.arrays.memory import aligned_empty
from mlx.files.stored import Array, Stored
from mlx.ir.buffer import Unread
from mlx.ir.node import Node, leaf
from mlx.ir.primitive import DATA, data_node

AT_ONCE = 1024  # bytes up to which values are read when the file is loaded
MOST_MAPPED = 128  # files: a process may have few open, so that the values of further ones are read at once


class Contents(Protocol):
    """The bytes of a file from some place on."""

    name: str

    @property
    def data(self) -> memoryview: ...

    def node(self, stored: Stored) -> Node:
        """The node of an array whose place is counted from the start of these bytes."""
        ...


class InMemory:
    """Bytes that were read from a stream. Values are copies, and made at once."""

    def __init__(self, data: bytes, name: str) -> None:
        self.data = memoryview(data)
        self.name = name

    def node(self, stored: Stored) -> Node:
        return data_node(values_in(self.data, stored), stored.dtype)


class Mapped:
    """A file in the address space of the process. It stays open as long as there are arrays that were not used yet."""

    def __init__(self, descriptor: int, start: int, name: str) -> None:
        """Map a regular file, whose descriptor then belongs to this object; `start` is where its contents begin."""
        self.name = name
        self._descriptor: int | None = descriptor
        self._start = start
        self._state = _state(descriptor)
        self._map = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
        self._bytes = memoryview(self._map)
        self._lock = threading.Lock()
        _mapped.add(self)

    @property
    def data(self) -> memoryview:
        return self._bytes[self._start :]

    def node(self, stored: Stored) -> Node:
        if stored.nbytes <= AT_ONCE and stored.place + stored.nbytes <= len(self.data):
            return data_node(values_in(self.data, stored), stored.dtype)
        return leaf(DATA, (), stored.shape, stored.dtype, Unread(lambda: self._values(stored)))

    def _values(self, stored: Stored) -> Array:
        with self._lock:
            if self._descriptor is not None and _state(self._descriptor) != self._state:
                raise RuntimeError(
                    f"[load] Cannot read {self.name}: it was written to before the values of an array in it were "
                    f"needed. Load it again, and call mx.eval on what is needed before others write there."
                )
            try:
                return values_in(self.data, stored)
            except RuntimeError as error:
                raise RuntimeError(f"[load] Cannot read {self.name}: {error}") from error

    def is_at(self, path: str) -> bool:
        """Whether the file that is mapped is the one at `path`."""
        return self._descriptor is not None and os.path.samestat(os.fstat(self._descriptor), os.stat(path))

    def let_go(self) -> None:
        """Read what is left, and close the file."""
        with self._lock:
            if self._descriptor is None:
                return
            own = memoryview(bytes(self._bytes))
            self._bytes.release()
            self._bytes = own
            self._map.close()
            self._close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __del__(self) -> None:
        self._close()


_mapped: weakref.WeakSet[Mapped] = weakref.WeakSet()


def contents_of_path(path: str) -> Contents:
    """The bytes of the file at `path`; OSError where it cannot be opened."""
    with open(path, "rb") as file:
        return contents_of_file(file, path)


def contents_of_file(file: Any, name: str) -> Contents:
    """The bytes that an open file has left, and which count as read then."""
    if is_mappable(file) and os.fstat(file.fileno()).st_size and len(_mapped) < MOST_MAPPED:
        position = file.tell()
        file.seek(0, os.SEEK_END)
        return Mapped(os.dup(file.fileno()), position, name)
    return InMemory(rest_of(file), name)


def let_go_of(path: str) -> bool:
    """Close what is mapped of the file at `path`, so that it can be replaced; False if nothing was."""
    mine = [mapped for mapped in list(_mapped) if mapped.is_at(path)]
    for mapped in mine:
        mapped.let_go()
    return bool(mine)


def values_in(data: memoryview, stored: Stored) -> Array:
    """The values of an array, in memory of their own; RuntimeError if they are not all there."""
    if stored.place + stored.nbytes > len(data):
        raise RuntimeError(
            f"cut short: an array of shape {stored.shape} takes {stored.nbytes} bytes, "
            f"{max(len(data) - stored.place, 0)} are left"
        )
    view = np.frombuffer(data, np.uint8, stored.nbytes, stored.place) if stored.nbytes else np.empty(0, np.uint8)
    if stored.decode is not None:
        return stored.decode(view)
    memory = aligned_empty((stored.nbytes,), np.dtype(np.uint8))
    memory[...] = view
    return memory.view(stored.dtype.numpy).reshape(stored.shape)


def _state(descriptor: int) -> tuple[int, int]:
    """What changes when a file is written to."""
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns


def is_mappable(file: Any) -> bool:
    """Whether an open file is a regular one of the system's, for reading alone: what it holds can be read later."""
    raw = file.raw if type(file) is io.BufferedReader else file
    return type(raw) is io.FileIO and not raw.writable() and _is_regular(raw)


def _is_regular(file: Any) -> bool:
    return stat.S_ISREG(os.fstat(file.fileno()).st_mode)


def rest_of(file: Any) -> bytes:
    """What is left of a file, some of which hand out less than they were asked for."""
    pieces = []
    while piece := file.read():
        pieces.append(piece)
    return b"".join(pieces)

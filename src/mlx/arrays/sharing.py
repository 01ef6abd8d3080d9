"""Views of arrays that NumPy and others may write to: what `numpy.asarray(x)`, `memoryview(x)` and DLPack give.

A write is seen by the array, and by every name of the same value. It is not seen by what has been computed already, nor
does it change memory that another value shares: programs are given a value as it is when they start.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from sys import getrefcount
from typing import TYPE_CHECKING, Any

import numpy as np

from mlx.arrays.memory import copy_with_layout
from mlx.ir.buffer import Buffer, Meter, meter
from mlx.ir.primitive import SCALAR, data_node

if TYPE_CHECKING:
    from mlx.arrays.array import array

Array = np.ndarray[Any, Any]

_lock = threading.RLock()


def view_of(x: array) -> Array:
    """A NumPy array over the memory of an array, which keeps the array alive.

    It can be written to, unless several of its elements are one place in memory.
    """
    x._numpy()  # computes the value
    if x._node.primitive is SCALAR:  # equal numbers share one node
        x._node = data_node(x._numpy().copy(), x._node.dtype)
    node = x._node
    with _lock:
        if not isinstance(node.value, SharedBuffer):
            node.value = SharedBuffer(node.value)  # type: ignore[arg-type]
        return node.value.view(x)


class Export:
    """What a view keeps alive: its memory, and the array that it is a view of. It tells the buffer when it is gone."""

    __slots__ = ("__array_interface__", "buffer", "memory", "owner")

    def __init__(self, buffer: SharedBuffer, memory: Array, owner: array) -> None:
        self.buffer = buffer
        self.memory = memory
        self.owner = owner
        interface = memory.__array_interface__
        address, read_only = interface["data"]
        self.__array_interface__ = {
            "version": 3,
            "shape": memory.shape,
            "strides": memory.strides,
            "typestr": interface["typestr"],
            "data": (address, read_only or _overlaps(memory)),
        }

    def __del__(self, is_finalizing: Callable[[], bool] = sys.is_finalizing) -> None:
        if not is_finalizing():
            self.buffer.close_view()


class SharedBuffer(Buffer):
    """A buffer whose memory others may write to as long as there are views of it.

    `memory` is what they see, `known` the value when it was last asked for. Programs get the latter, so that nothing
    changes under them; it is replaced when `memory` is found to differ.
    """

    __slots__ = ("_counted", "_known", "_memory", "_views")

    def __init__(self, value: Buffer) -> None:
        self._views = 0
        self._counted = 0
        self._known: Buffer | None = value
        self._memory: Array | None = None
        self.nbytes = value.nbytes
        del value  # or this name would count as a holder
        self._open()

    def view(self, owner: array) -> Array:
        """A NumPy array over the memory."""
        with _lock:
            self._views += 1  # first, since what is allocated here may collect other views, the last ones so far
            if self._memory is None:
                self._open()
            assert self._memory is not None
            export = Export(self, self._memory, owner)
            return np.asarray(export).view(self._memory.dtype)

    def close_view(self) -> None:
        """Forget a view. The last one gives back the memory that only views had use for."""
        with _lock:
            self._views -= 1
            if not self._views:
                self.as_it_is()

    def _open(self) -> None:
        """Find memory that may be written to: that of the value if nothing else sees it, or else a copy."""
        assert self._known is not None
        if _is_sole_holder(self._known):
            self._memory = self._known.host
            self._count(self.nbytes)
            self._known = None  # and is counted no more
        else:
            self._memory = copy_with_layout(self._known.numpy())
            self._count(self.nbytes)
            meter.peak = max(meter.peak, meter.active)

    def as_it_is(self) -> Buffer:
        """A buffer of the value now, which no write changes. When the last view has gone, it lies in their memory."""
        with _lock:
            memory, known, in_view = self._memory, self._known, self._views > 0
            if memory is not None:
                if known is None or not _same_bits(memory, known.numpy()):
                    known = Buffer(copy_with_layout(memory) if in_view else memory, None, memory.nbytes)
                    self._known = known
                if not in_view:
                    self._memory = None
                    self._count(0)
            assert known is not None
            return known

    def _count(self, nbytes: int, meter: Meter = meter) -> None:
        """Count the memory that views see; the value as it was last known counts itself."""
        meter.active += nbytes - self._counted
        self._counted = nbytes

    def __del__(self, meter: Meter = meter) -> None:
        meter.active -= self._counted

    @property
    def host(self) -> Array | None:
        return self.as_it_is().host

    @property
    def device(self) -> Any:
        return self.as_it_is().device

    @property
    def place(self) -> Any:
        return self.as_it_is().place

    def numpy(self) -> Array:
        return self.as_it_is().numpy()

    def give_up(self) -> None:
        self.nbytes = 0
        self.as_it_is().give_up()

    def wait(self) -> None:
        self.as_it_is().wait()


def _is_sole_holder(buffer: Buffer) -> bool:
    """Whether nothing but `buffer` sees its memory, which can be written to."""
    memory: Any = buffer.host
    if memory is None or buffer.device is not None or not memory.flags.writeable:
        return False
    while isinstance(memory, np.ndarray):
        if getrefcount(memory) > _COUNT_WITH_ONE_HOLDER:
            return False
        memory = memory.base
    return memory is None


def _calibrate() -> int:
    """The reference count that `_is_sole_holder` sees of memory which one object holds."""
    holder = np.empty(1)[:]
    memory = holder.base
    return getrefcount(memory)


_COUNT_WITH_ONE_HOLDER = _calibrate()


def _overlaps(memory: Array) -> bool:
    return any(stride == 0 and extent > 1 for extent, stride in zip(memory.shape, memory.strides, strict=True))


def _same_bits(a: Array, b: Array) -> bool:
    bits = f"u{a.itemsize}"
    return np.array_equal(a.view(bits), b.view(bits))


def to_numpy(x: array, dtype: Any, copy: bool | None) -> Array:
    """What `numpy.array(x)` and `numpy.asarray(x)` get: a view if no copy is asked for and the dtype is the same."""
    if copy is not None and not isinstance(copy, bool):
        raise TypeError(f"[array] copy must be a bool or None, got {copy!r}.")
    own = x.dtype.numpy
    wanted = own if dtype is None else np.dtype(dtype)
    if copy is False and wanted != own:
        raise ValueError(f"[array] A {own} array cannot be seen as {wanted} without a copy.")
    if copy or wanted != own:
        return np.array(x._numpy(), dtype=wanted, copy=True)
    return view_of(x)

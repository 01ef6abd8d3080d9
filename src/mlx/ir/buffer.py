"""Buffers: the memory behind a known value, on the host, on a device, or both. Who computes it lives in the runtime."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np


class Meter:
    """Bytes held by all buffers: now, and the most since the last reset; and how many buffers are still unread."""

    __slots__ = ("active", "peak", "unread")

    def __init__(self) -> None:
        self.active = 0
        self.peak = 0
        self.unread = 0


meter = Meter()
_new = object.__new__


class Buffer:
    """One value's memory: a NumPy array, a device array of the runtime, or both views of the same value.

    `place` is the device that the latter is on, where that is known; as long as there is none, how often a program was
    given the value. Buffers are immutable: whoever makes one hands its memory over.
    """

    __slots__ = ("device", "host", "nbytes", "place")

    def __init__(self, host: np.ndarray[Any, Any] | None, device: Any, nbytes: int, place: Any = None) -> None:
        self.host = host
        self.device = device
        self.nbytes = nbytes
        self.place = place
        meter.active += nbytes
        if meter.active > meter.peak:
            meter.peak = meter.active

    def __del__(self, meter: Meter = meter) -> None:  # held, since modules are emptied before the last buffers go
        meter.active -= self.nbytes

    def numpy(self) -> np.ndarray[Any, Any]:
        """The value as a NumPy array that must not be written to; waits for a device that is still computing."""
        host = self.host
        if host is None:
            host = self.host = np.asarray(self.device)
        return host

    def as_it_is(self) -> Buffer:
        """A buffer whose value does not change: this one, unless others write to its memory."""
        return self

    def give_up(self) -> None:
        """Forget memory that was handed over to another value."""
        meter.active -= self.nbytes
        self.nbytes = 0
        self.device = None

    def wait(self) -> None:
        """Return when the value has been computed."""
        if self.device is not None:
            self.device.block_until_ready()


def buffers_on(place: Any, values: Iterable[Any], sizes: Iterable[int]) -> list[Buffer]:
    """Buffers of device arrays of the sizes given, in bytes, on one device."""
    buffers = []
    total = 0
    for value, nbytes in zip(values, sizes, strict=True):
        buffer = _new(Buffer)
        buffer.host = None
        buffer.device = value
        buffer.nbytes = nbytes
        buffer.place = place
        total += nbytes
        buffers.append(buffer)
    meter.active += total
    if meter.active > meter.peak:
        meter.peak = meter.active
    return buffers


class Part(Buffer):
    """A value that lies in the memory of another one, which counts it for both."""

    __slots__ = ("whole",)

    def __init__(self, host: np.ndarray[Any, Any], whole: Buffer) -> None:
        self.host = host
        self.device = None
        self.nbytes = host.nbytes
        self.place = None
        self.whole = whole

    def __del__(self, meter: Meter = meter) -> None:
        pass

    def give_up(self) -> None:
        self.nbytes = 0
        self.device = None


class Unread(Buffer):
    """A value that lies in a file until it is asked for. It takes no memory before."""

    __slots__ = ("_read",)

    def __init__(self, read: Callable[[], np.ndarray[Any, Any]]) -> None:
        super().__init__(None, None, 0)
        self._read: Callable[[], np.ndarray[Any, Any]] | None = read
        meter.unread += 1

    def __del__(self, meter: Meter = meter) -> None:
        if self._read is not None:
            meter.unread -= 1
        super().__del__()

    def numpy(self) -> np.ndarray[Any, Any]:
        if self._read is not None:
            with _reading:
                if self._read is not None:  # no other thread was quicker
                    self.host = self._read()
                    self._read = None
                    self.nbytes = self.host.nbytes
                    meter.unread -= 1
                    meter.active += self.nbytes
                    meter.peak = max(meter.peak, meter.active)
        return super().numpy()

    def read_apart(self) -> Buffer:
        """A buffer of the same value that is not counted: for a program that alone has use for it."""
        read = self._read
        return Buffer(self.numpy() if read is None else read(), None, 0)

    def wait(self) -> None:
        self.numpy()
        super().wait()


_reading = threading.Lock()

"""Buffers: the memory behind a known value, on the host, on a device, or both. Who computes it lives in the runtime."""

from __future__ import annotations

from typing import Any

import numpy as np


class Meter:
    """Bytes held by all buffers: now, and the most since the last reset."""

    __slots__ = ("active", "peak")

    def __init__(self) -> None:
        self.active = 0
        self.peak = 0


meter = Meter()


class Buffer:
    """One value's memory: a NumPy array, a device array of the runtime, or both views of the same value.

    `place` is the device that the latter is on, where that is known. Buffers are immutable: whoever makes one hands its
    memory over.
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

    def give_up(self) -> None:
        """Forget memory that was handed over to another value."""
        meter.active -= self.nbytes
        self.nbytes = 0
        self.device = None

    def wait(self) -> None:
        """Return when the value has been computed."""
        if self.device is not None:
            self.device.block_until_ready()

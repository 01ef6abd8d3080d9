"""Devices and streams as programs name them.

One device computes at a time here: XLA's default one, an accelerator where its plugin is installed and present. Streams
order nothing (XLA does); they are kept for programs that pass them.
"""

from __future__ import annotations

import enum
import itertools
import os
import threading
from functools import cache
from operator import index as index_of
from typing import Any

from mlx.ir.node import hooks

__all__ = [
    "Device",
    "DeviceType",
    "Stream",
    "StreamContext",
    "ThreadLocalStream",
    "clear_streams",
    "cpu",
    "default_device",
    "default_stream",
    "device_count",
    "device_info",
    "gpu",
    "is_available",
    "new_stream",
    "new_thread_local_stream",
    "new_thread_unsafe_stream",
    "set_default_device",
    "set_default_stream",
    "stream",
]


class DeviceType(enum.Enum):
    """The kinds of device: `mx.cpu` and `mx.gpu`."""

    cpu = 0
    gpu = 1

    def __repr__(self) -> str:
        return f"DeviceType.{self.name}"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Device):
            return other == self
        return self is other

    __hash__ = enum.Enum.__hash__


cpu = DeviceType.cpu
gpu = DeviceType.gpu


class Device:
    """A device by type and index. `Device(mx.cpu) == mx.cpu`.

    Args:
        type: `mx.cpu` or `mx.gpu`.
        index: which one of several, from 0.

    Raises:
        TypeError: `type` is no DeviceType, or `index` no int.

    Example:
        >>> import mlx.core as mx
        >>> mx.Device(mx.gpu, 1)
        Device(gpu, 1)
    """

    __slots__ = ("index", "type")

    def __init__(self, type: DeviceType, index: int = 0) -> None:
        if not isinstance(type, DeviceType):
            raise TypeError(f"[Device] type must be mx.cpu or mx.gpu, got {type!r}.")
        try:
            self.index = index_of(index)
        except TypeError:
            raise TypeError(f"[Device] index must be an int, got {index!r}.") from None
        self.type = type

    def __repr__(self) -> str:
        return f"Device({self.type.name}, {self.index})"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, DeviceType):
            return self.type is other and self.index == 0
        return isinstance(other, Device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))


class Stream:
    """A named order of work on a device, made by `new_stream`; it belongs to the thread that made it."""

    __slots__ = ("_thread", "device", "index")

    def __init__(self, device: Device, index: int, thread: int | None) -> None:
        self.device = device
        self.index = index
        self._thread = thread

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.device}, {self.index})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and (self.device, self.index) == (other.device, other.index)

    def __hash__(self) -> int:
        return hash((self.device, self.index))

    def check_thread(self) -> None:
        """RuntimeError in another thread than the one that made this stream."""
        if self._thread not in (None, threading.get_ident()):
            raise RuntimeError(f"There is no {self} in current thread; use mx.new_thread_local_stream.")


class ThreadLocalStream(Stream):
    """A stream that every thread may use."""

    __slots__ = ()


class _Defaults(threading.local):
    def __init__(self) -> None:
        self.streams: dict[DeviceType, Stream] = {}


class _ProcessDefault:
    device: Device | None = None


_defaults = _Defaults()
_process_default = _ProcessDefault()
_stream_numbers = itertools.count(1)


@cache
def gpu_is_available() -> bool:
    """Whether an accelerator's plugin is installed and its driver present, told without loading jax."""
    return cuda_is_available() or _tpu_is_available()


def cuda_is_available() -> bool:
    """Whether an NVIDIA GPU, its driver and JAX's plugin for it (the extra `cuda13`) are present."""
    if _only_the_cpu_is_wanted() or not os.path.exists("/dev/nvidiactl"):
        return False
    from importlib.util import find_spec

    return any(find_spec(f"jax_cuda{version}_plugin") for version in (12, 13, 14))


def _tpu_is_available() -> bool:
    if _only_the_cpu_is_wanted() or not os.path.exists("/dev/accel0"):
        return False
    from importlib.util import find_spec

    return find_spec("libtpu") is not None


def _only_the_cpu_is_wanted() -> bool:
    return os.environ.get("JAX_PLATFORMS", "").split(",")[0] == "cpu"


def is_available(device: Device | DeviceType) -> bool:
    """Whether programs can run on a device.

    Args:
        device: a device, or `mx.cpu` or `mx.gpu` for the first of them.

    Raises:
        TypeError: `device` is none of these.

    Example:
        >>> import mlx.core as mx
        >>> mx.is_available(mx.cpu), mx.is_available(mx.Device(mx.cpu, 7))
        (True, False)
    """
    wanted = _device(device, "is_available")
    return 0 <= wanted.index < device_count(wanted.type)


def device_count(device_type: DeviceType) -> int:
    """The number of devices of a type that programs can run on.

    Args:
        device_type: `mx.cpu` or `mx.gpu`.

    Raises:
        TypeError: `device_type` is neither.

    Example:
        >>> import mlx.core as mx
        >>> mx.device_count(mx.cpu)
        1
    """
    if not isinstance(device_type, DeviceType):
        raise TypeError(f"[device_count] Expected mx.cpu or mx.gpu, got {device_type!r}.")
    return 1 if device_type is cpu or gpu_is_available() else 0


def default_device() -> Device:
    """The device that programs run on: an accelerator where there is one, unless another was set.

    Example:
        >>> import mlx.core as mx
        >>> mx.set_default_device(mx.cpu)
        >>> mx.default_device()
        Device(cpu, 0)
    """
    if _process_default.device is None:
        _process_default.device = Device(gpu if gpu_is_available() else cpu)
    return _process_default.device


def set_default_device(device: Device | DeviceType) -> None:
    """Set the device that programs run on, in all threads.

    Args:
        device: a device, or `mx.cpu` or `mx.gpu` for the first of them.

    Raises:
        ValueError: the device is not available.
        TypeError: `device` is none of these.

    Example:
        >>> import mlx.core as mx
        >>> mx.set_default_device(mx.cpu)
    """
    _process_default.device = _available(device, "set_default_device", "set that device")


def default_stream(device: Device | DeviceType) -> Stream:
    """The stream that work on a device goes to in this thread, unless another is named.

    Args:
        device: a device, or `mx.cpu` or `mx.gpu` for the first of them.

    Raises:
        ValueError: the device is not available.
        TypeError: `device` is none of these.

    Example:
        >>> import mlx.core as mx
        >>> mx.default_stream(mx.cpu).device
        Device(cpu, 0)
    """
    wanted = _available(device, "default_stream", "get a stream")
    return _defaults.streams.setdefault(wanted.type, Stream(wanted, 0, None))


def set_default_stream(stream: Stream) -> None:
    """Set the stream that work on its device goes to in this thread.

    Args:
        stream: the stream.

    Raises:
        TypeError: `stream` is no stream.
        RuntimeError: the stream belongs to another thread.

    Example:
        >>> import mlx.core as mx
        >>> mx.set_default_stream(mx.new_stream(mx.cpu))
        >>> mx.clear_streams()
    """
    if not isinstance(stream, Stream):
        raise TypeError(f"[set_default_stream] Expected a stream, as mx.new_stream makes it, got {stream!r}.")
    stream.check_thread()
    _defaults.streams[stream.device.type] = stream


def new_stream(device: Device | DeviceType) -> Stream:
    """A new stream for use in this thread.

    Args:
        device: a device, or `mx.cpu` or `mx.gpu` for the first of them.

    Raises:
        ValueError: the device is not available.
        TypeError: `device` is none of these.

    Example:
        >>> import mlx.core as mx
        >>> mx.new_stream(mx.cpu) == mx.new_stream(mx.cpu)
        False
    """
    return Stream(_available(device, "new_stream", "make a stream"), next(_stream_numbers), threading.get_ident())


def new_thread_local_stream(device: Device | DeviceType) -> ThreadLocalStream:
    """A new stream that every thread may use; arguments and errors are those of `new_stream`.

    Example:
        >>> import mlx.core as mx
        >>> isinstance(mx.new_thread_local_stream(mx.cpu), mx.ThreadLocalStream)
        True
    """
    wanted = _available(device, "new_thread_local_stream", "make a stream")
    return ThreadLocalStream(wanted, next(_stream_numbers), None)


def new_thread_unsafe_stream(device: Device | DeviceType) -> Stream:
    """A new stream that any thread may use; keeping its work in order is up to the caller.

    Arguments and errors are those of `new_stream`.

    Example:
        >>> import mlx.core as mx
        >>> mx.new_thread_unsafe_stream(mx.cpu).device
        Device(cpu, 0)
    """
    return Stream(_available(device, "new_thread_unsafe_stream", "make a stream"), next(_stream_numbers), None)


def clear_streams() -> None:
    """Forget the streams that this thread made its default ones.

    Example:
        >>> import mlx.core as mx
        >>> stream = mx.new_stream(mx.cpu)
        >>> mx.set_default_stream(stream)
        >>> mx.clear_streams()
        >>> mx.default_stream(mx.cpu) == stream
        False
    """
    _defaults.streams.clear()


class StreamContext:
    """Makes a stream, or a device, the default one inside a `with` block.

    Args:
        s: a stream, or a device for its default stream.

    Raises:
        TypeError: `s` is none of these.
        ValueError: on entering, the device is not available.
        RuntimeError: on entering, the stream belongs to another thread.

    Example:
        >>> import mlx.core as mx
        >>> with mx.StreamContext(mx.cpu):
        ...     x = mx.array(1) + 1
    """

    def __init__(self, s: Stream | Device | DeviceType) -> None:
        if not isinstance(s, Stream | Device | DeviceType):
            raise TypeError(f"[stream] Expected a Stream, a Device, or mx.cpu or mx.gpu, got {s!r}.")
        self._entering = s
        self._before: tuple[Device, Stream] | None = None

    def __enter__(self) -> None:
        entering = self._entering
        stream = entering if isinstance(entering, Stream) else default_stream(entering)
        stream.check_thread()
        self._before = default_device(), default_stream(stream.device)
        set_default_device(stream.device)
        set_default_stream(stream)

    def __exit__(self, exc_type: Any = None, exc_value: Any = None, traceback: Any = None) -> None:
        assert self._before is not None
        device, stream = self._before
        set_default_device(device)
        _defaults.streams[stream.device.type] = stream


def stream(s: Stream | Device | DeviceType) -> StreamContext:
    """A context in which a stream, or the default stream of a device, is the default one.

    Args:
        s: a stream, or a device for its default stream.

    Raises:
        TypeError: `s` is none of these.
        ValueError: on entering, the device is not available.
        RuntimeError: on entering, the stream belongs to another thread.

    Example:
        >>> import mlx.core as mx
        >>> with mx.stream(mx.cpu):
        ...     x = mx.array(1) + 1
    """
    return StreamContext(s)


def check_stream(stream: Any, function: str) -> None:
    """Check what was passed as `stream` to a public function."""
    if isinstance(stream, Stream):
        stream.check_thread()
    elif isinstance(stream, Device | DeviceType):
        _available(stream, function, "run")
    else:
        raise TypeError(f"[{function}] stream must be a Stream, a Device, or mx.cpu or mx.gpu, got {stream!r}.")


hooks.check_stream = check_stream


def device_info(d: Device | DeviceType | None = None) -> dict[str, str | int]:
    """What is known of a device: `device_name` and `architecture`; nothing of one that is not available.

    Args:
        d: the device; by default the one that programs run on.

    Raises:
        TypeError: `d` is no device.

    Example:
        >>> import mlx.core as mx
        >>> sorted(mx.device_info(mx.cpu))
        ['architecture', 'device_name']
    """
    device = default_device() if d is None else _device(d, "device_info")
    if not is_available(device):
        return {}
    if device.type is cpu:
        import platform

        return {"device_name": _processor_name() or platform.processor(), "architecture": platform.machine()}
    from mlx.runtime.compiler import xla

    kind = xla.jax.devices()[device.index].device_kind
    return {"device_name": kind, "architecture": xla.platform}


def _processor_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:  # not Linux
        pass
    return ""


def _device(device: Device | DeviceType, function: str) -> Device:
    wanted = Device(device) if isinstance(device, DeviceType) else device
    if not isinstance(wanted, Device):
        raise TypeError(f"[{function}] Expected a Device, or mx.cpu or mx.gpu, got {wanted!r}.")
    return wanted


def _available(device: Device | DeviceType, function: str, doing: str) -> Device:
    wanted = _device(device, function)
    if not is_available(wanted):
        raise ValueError(
            f"[{function}] Cannot {doing} without {wanted.type.name} backend: {wanted} is not available. NVIDIA GPUs "
            f"need the extra cuda13, TPUs the extra tpu."
        )
    return wanted

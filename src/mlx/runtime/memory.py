"""How much memory arrays hold. The system's allocator and XLA keep caches of their own, so limits are only noted.

What is counted are the values that arrays hold, on the host or on a device. What an engine uses for itself while it
computes (intermediate values, workspaces) is not, nor are executables.
"""

from __future__ import annotations

import os
from operator import index

from mlx.ir.buffer import meter
from mlx.runtime.evaluate import forget_dead

__all__ = [
    "get_active_memory",
    "get_peak_memory",
    "reset_peak_memory",
    "get_cache_memory",
    "clear_cache",
    "get_memory_limit",
    "set_memory_limit",
    "set_cache_limit",
    "set_wired_limit",
]


class _Limits:
    memory: int | None = None
    cache = 0
    wired = 0


_limits = _Limits()


def get_active_memory() -> int:
    """Bytes that the values of arrays take now. Memory that several arrays lie in, as reshaped ones do, counts once.

    Example:
        >>> import mlx.core as mx
        >>> before = mx.get_active_memory()
        >>> x = mx.zeros((1024, 256))
        >>> mx.get_active_memory() - before  # nothing has been computed yet
        0
        >>> mx.eval(x)
        >>> mx.get_active_memory() - before
        1048576
    """
    forget_dead()
    return meter.active


def get_peak_memory() -> int:
    """The most bytes that the values of arrays held since the start or the last `reset_peak_memory`.

    Intermediate values that never belonged to an array are not counted.

    Example:
        >>> import mlx.core as mx
        >>> mx.reset_peak_memory()
        >>> x = mx.array([0.0] * 1000)
        >>> mx.get_peak_memory() >= 4000
        True
    """
    forget_dead()
    return meter.peak


def reset_peak_memory() -> None:
    """Start to measure the peak anew: it is 0 until the next value is computed.

    Example:
        >>> import mlx.core as mx
        >>> mx.reset_peak_memory()
        >>> mx.get_peak_memory()
        0
    """
    forget_dead()
    meter.peak = 0


def get_cache_memory() -> int:
    """Bytes kept for reuse by this library: none, since the allocators below keep their own.

    Example:
        >>> import mlx.core as mx
        >>> mx.get_cache_memory()
        0
    """
    return 0


def clear_cache() -> None:
    """Give back memory kept for reuse; there is none here.

    Example:
        >>> import mlx.core as mx
        >>> mx.clear_cache()
    """


def get_memory_limit() -> int:
    """The limit last set, by default the machine's memory in bytes.

    Example:
        >>> import mlx.core as mx
        >>> mx.get_memory_limit() > 0
        True
    """
    if _limits.memory is None:
        _limits.memory = _physical_memory()
    return _limits.memory


def set_memory_limit(limit: int) -> int:
    """Note a limit in bytes and return the one before. It is not enforced.

    What XLA takes of a GPU is limited by the environment variable XLA_PYTHON_CLIENT_MEM_FRACTION.

    Args:
        limit: bytes.

    Raises:
        TypeError: `limit` is no int, negative, or of more than 64 bits.

    Example:
        >>> import mlx.core as mx
        >>> before = mx.set_memory_limit(2**30)
        >>> mx.set_memory_limit(before)
        1073741824
    """
    before, _limits.memory = get_memory_limit(), _checked(limit, "set_memory_limit")
    return before


def set_cache_limit(limit: int) -> int:
    """Note a limit of the cache in bytes and return the one before. There is no cache here.

    Arguments and errors are those of `set_memory_limit`.

    Example:
        >>> import mlx.core as mx
        >>> before = mx.set_cache_limit(2**20)
        >>> mx.set_cache_limit(before)
        1048576
    """
    before, _limits.cache = _limits.cache, _checked(limit, "set_cache_limit")
    return before


def set_wired_limit(limit: int) -> int:
    """Note a limit of wired memory in bytes and return the one before. Memory is not wired here.

    Arguments and errors are those of `set_memory_limit`.

    Example:
        >>> import mlx.core as mx
        >>> before = mx.set_wired_limit(2**20)
        >>> mx.set_wired_limit(before)
        1048576
    """
    before, _limits.wired = _limits.wired, _checked(limit, "set_wired_limit")
    return before


def _checked(limit: int, function: str) -> int:
    try:
        limit = index(limit)
    except TypeError:
        raise TypeError(f"[{function}] limit must be a number of bytes, got {limit!r}") from None
    if limit < 0:
        raise TypeError(f"[{function}] limit must not be negative, got {limit}")
    if limit >= 2**64:
        raise TypeError(f"[{function}] limit must fit in 64 bits, got {limit}")
    return limit


def _physical_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # not a POSIX system
        return 2**63 - 1

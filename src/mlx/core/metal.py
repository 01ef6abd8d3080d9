"""Apple's graphics interface: never available here. The memory functions are those of `mlx.core`."""

from mlx.runtime.memory import (
    clear_cache,
    get_active_memory,
    get_cache_memory,
    get_peak_memory,
    reset_peak_memory,
    set_cache_limit,
    set_memory_limit,
    set_wired_limit,
)


def is_available() -> bool:
    """Whether Metal can be used: no. NVIDIA GPUs are reached through `mx.gpu` with the extra `cuda13`.

    Example:
        >>> import mlx.core as mx
        >>> mx.metal.is_available()
        False
    """
    return False


def device_info() -> dict[str, str | int]:
    """What Metal says of its device: nothing here. Use `mx.device_info`.

    Example:
        >>> import mlx.core as mx
        >>> mx.metal.device_info()
        {}
    """
    return {}


def start_capture(path: str) -> None:
    """Start to record what Metal does: it does nothing here, so that no file is written.

    `jax.profiler.trace` records what XLA does.

    Args:
        path: the file that Metal would write to.

    Raises:
        TypeError: `path` is no string.

    Example:
        >>> import mlx.core as mx
        >>> mx.metal.start_capture("mlx.gputrace")
        >>> mx.metal.stop_capture()
    """
    if not isinstance(path, str):
        raise TypeError(f"[metal.start_capture] path must be a string, got {path!r}.")


def stop_capture() -> None:
    """Stop what `start_capture` started: nothing here."""


__all__ = [
    "clear_cache",
    "device_info",
    "get_active_memory",
    "get_cache_memory",
    "get_peak_memory",
    "is_available",
    "reset_peak_memory",
    "set_cache_limit",
    "set_memory_limit",
    "set_wired_limit",
    "start_capture",
    "stop_capture",
]

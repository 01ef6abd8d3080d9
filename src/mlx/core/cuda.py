"""NVIDIA GPUs: whether programs run on one."""

from mlx.runtime.devices import gpu_is_available


def is_available() -> bool:
    """Whether an NVIDIA GPU, its driver and JAX's plugin for it (the extra `cuda13`) are present."""
    return gpu_is_available()


__all__ = ["is_available"]

"""NVIDIA GPUs: whether programs run on one."""

from mlx.runtime.devices import cuda_is_available as is_available

__all__ = ["is_available"]

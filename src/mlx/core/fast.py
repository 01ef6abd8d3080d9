"""Functions of networks in one step, and kernels of one's own: `mx.fast`. It only re-exports."""

from mlx.ops.fast import layer_norm, metal_kernel, rms_norm

__all__ = ["layer_norm", "metal_kernel", "rms_norm"]

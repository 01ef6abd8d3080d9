"""Functions of networks in one step, and kernels of one's own: `mx.fast`. It only re-exports."""

import mlx.runtime.cuda_kernels as _cuda_kernels  # noqa: F401  # pyright: ignore  (fills in how they are launched)
from mlx.ops.attention import rope, scaled_dot_product_attention
from mlx.ops.cuda_kernels import cuda_kernel, precompiled_cuda_kernel
from mlx.ops.custom_kernels import metal_kernel
from mlx.ops.fast import cross_entropy, layer_norm, rms_norm
from mlx.ops.gated_delta import gated_delta_update

__all__ = [
    "cross_entropy",
    "cuda_kernel",
    "gated_delta_update",
    "layer_norm",
    "metal_kernel",
    "precompiled_cuda_kernel",
    "rms_norm",
    "rope",
    "scaled_dot_product_attention",
]

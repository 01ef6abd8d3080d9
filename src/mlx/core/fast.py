"""Functions of networks in one step, and kernels of one's own: `mx.fast`. It only re-exports."""

from mlx.ops.attention import rope, scaled_dot_product_attention
from mlx.ops.custom_kernels import metal_kernel
from mlx.ops.fast import cross_entropy, layer_norm, rms_norm
from mlx.ops.gated_delta import gated_delta_update

__all__ = [
    "cross_entropy",
    "gated_delta_update",
    "layer_norm",
    "metal_kernel",
    "rms_norm",
    "rope",
    "scaled_dot_product_attention",
]

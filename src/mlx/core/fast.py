"""Functions of networks in one step, and kernels of one's own: `mx.fast`. It only re-exports."""

from mlx.ops.fast import cross_entropy, layer_norm, metal_kernel, rms_norm, rope, scaled_dot_product_attention

__all__ = ["cross_entropy", "layer_norm", "metal_kernel", "rms_norm", "rope", "scaled_dot_product_attention"]

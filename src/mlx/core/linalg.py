"""Linear algebra of the public face: `mx.linalg`. It only re-exports."""

from mlx.ops.linalg import (
    cholesky,
    cholesky_inv,
    cross,
    det,
    inv,
    qr,
    slogdet,
    solve,
    solve_triangular,
    svd,
    tri_inv,
)
from mlx.ops.norms import norm

__all__ = [
    "cholesky",
    "cholesky_inv",
    "cross",
    "det",
    "inv",
    "norm",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "tri_inv",
]

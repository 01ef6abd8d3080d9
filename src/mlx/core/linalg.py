"""Linear algebra of the public face: `mx.linalg`. It only re-exports."""

from mlx.ops.cross import cross
from mlx.ops.decompositions import cholesky, lu, lu_factor, qr, svd
from mlx.ops.determinants import det, slogdet
from mlx.ops.eigen import eig, eigh, eigvals, eigvalsh
from mlx.ops.linalg import cholesky_inv, inv, pinv, solve, solve_triangular, tri_inv
from mlx.ops.norms import norm

__all__ = [
    "cholesky",
    "cholesky_inv",
    "cross",
    "det",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "inv",
    "lu",
    "lu_factor",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "tri_inv",
]

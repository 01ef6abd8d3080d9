"""Cases of eigenvalues and eigenvectors.

Vectors are compared by what does not depend on their signs and phases. Complex numbers are computed in complex64, so
their derivatives are those of linear and quadratic functions of the matrix, made of its eigenvalues and eigenvectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from case import Case, sample
from cases_linalg import REAL, SMOOTH, hollow, strided
from cases_shape import flat, flat_numpy

import mlx.core as mx
from mlx.arrays.array import wrap
from mlx.primitives.linalg import INVERSE

DTYPES = ("float32", "float64", "complex64")


def apart(*shape: int, step: float = 1.5) -> np.ndarray:
    """Matrices, not symmetric, whose eigenvalues keep apart; so do those of either triangle mirrored."""
    order = shape[-1]
    return sample(*shape, seed=4, low=-0.3, high=0.3) + step * np.diag(np.arange(1.0, order + 1))


def weights_like(w: Any) -> Any:
    return mx.cumsum(mx.ones_like(w), -1)[..., None, :]


def spectral(x: Any, triangle: str = "L") -> Any:
    """Eigenvalues, and a sum of the projections on their vectors with other weights."""
    w, v = mx.linalg.eigh(x, triangle)
    projections = (v * weights_like(w)) @ mx.conj(mx.swapaxes(v, -1, -2))
    return flat(w, mx.linalg.eigvalsh(x, triangle), mx.real(projections) if x.dtype == mx.complex64 else projections)


def spectral_numpy(x: Any, triangle: Any = "L") -> Any:
    w, v = np.linalg.eigh(x, triangle)
    projections = (v * np.arange(1, w.shape[-1] + 1)) @ np.conj(np.swapaxes(v, -1, -2))
    return flat_numpy(w, w, np.real(projections))


def parts_of(x: Any) -> list[Any]:
    return [x, strided(x), x[..., :2, :2], x[..., :1, :1], x[0]]


def parts_of_numpy(x: Any) -> list[Any]:
    return [x, x, x[..., :2, :2], x[..., :1, :1], x[0]]


def complex_of(pair: Any) -> Any:
    """A complex matrix with the two real ones as its parts."""
    return pair[0] + 1j * pair[1]


def parts_flat(*values: Any) -> Any:
    return flat(*(part for z in values for part in (mx.real(z), mx.imag(z))))


def parts_flat_numpy(*values: Any) -> Any:
    return flat_numpy(*(part(z) for z in values for part in (np.real, np.imag)))


def rebuilt_hermitian(pair: Any) -> Any:
    """The matrix and its square, from eigenvalues and eigenvectors, and from the eigenvalues alone their traces."""
    z = complex_of(pair)
    w, v = mx.linalg.eigh(z)
    values = mx.linalg.eigvalsh(z)
    adjoint = mx.conj(v.T)
    return mx.concatenate([parts_flat((v * w) @ adjoint, (v * w**2) @ adjoint), flat(values.sum(), (values**2).sum())])


def rebuilt_hermitian_numpy(pair: Any) -> Any:
    lower = np.tril(complex_of(pair), -1)
    z = lower + np.conj(lower.T) + np.diag(np.diag(pair[0]))
    traces = flat_numpy(np.trace(z).real, np.trace(z @ z).real)
    return np.concatenate([parts_flat_numpy(z, z @ z), traces])


def rebuilt(x: Any) -> Any:
    """The same of matrices in general."""
    w, v = mx.linalg.eig(x)
    values = mx.linalg.eigvals(x)
    inverse = wrap(INVERSE(v._node))
    scaled = v * w[..., None, :]
    squared = scaled * w[..., None, :]
    return parts_flat(scaled @ inverse, squared @ inverse, values.sum(-1), (values * values).sum(-1))


def rebuilt_numpy(x: Any) -> Any:
    trace = [np.trace(y, axis1=-2, axis2=-1) for y in (x, x @ x)]
    return parts_flat_numpy(x, x @ x, *trace)


def general(x: Any) -> Any:
    return mx.concatenate([*(rebuilt(part) for part in parts_of(x)), *hollow(rebuilt, x)])


def general_numpy(x: Any) -> Any:
    return np.concatenate([rebuilt_numpy(part) for part in parts_of_numpy(x)] + [np.zeros(16)])


TURNING = np.array([[1.0, -4.0, 0.3], [4.0, 1.5, -0.2], [0.1, 0.4, 8.0]])  # two complex eigenvalues and a real one
PAIR = np.stack([apart(3, 3, step=3.0), sample(3, 3, seed=6, low=-0.4, high=0.4)])

CASES = [
    Case("eigh", spectral, [apart(3, 3)], dtypes=DTYPES, smooth=SMOOTH, reference=spectral_numpy),
    Case(
        "eigh",
        lambda x: spectral(x, "U"),
        [apart(2, 3, 3)],
        dtypes=DTYPES,
        smooth=SMOOTH,
        reference=lambda x: spectral_numpy(x, "U"),
        label="upper",
    ),
    Case(
        "eigh",
        lambda x: mx.concatenate([*map(spectral, parts_of(x)), *hollow(spectral, x)]),
        [apart(2, 3, 3)],
        wrt=(),
        dtypes=DTYPES,
        smooth=SMOOTH,
        reference=lambda x: np.concatenate([*map(spectral_numpy, parts_of_numpy(x))]),
        label="shapes",
    ),
    Case(
        "eigh",
        rebuilt_hermitian,
        [PAIR],
        dtypes=REAL,
        smooth=SMOOTH,
        reference=rebuilt_hermitian_numpy,
        label="complex",
        coarse=True,
    ),
    Case("eigvalsh", mx.linalg.eigvalsh, [apart(2, 3, 3)], dtypes=DTYPES, smooth=SMOOTH, reference=np.linalg.eigvalsh),
    Case("eig", rebuilt, [TURNING], dtypes=DTYPES, smooth=SMOOTH, reference=rebuilt_numpy, coarse=True),
    Case(
        "eig",
        lambda pair: rebuilt(complex_of(pair)),
        [PAIR],
        dtypes=REAL,
        smooth=SMOOTH,
        reference=lambda pair: rebuilt_numpy(complex_of(pair)),
        label="complex",
        coarse=True,
    ),
    Case(
        "eig",
        general,
        [apart(2, 3, 3)],
        wrt=(),
        dtypes=DTYPES,
        smooth=SMOOTH,
        reference=general_numpy,
        label="shapes",
    ),
]

"""The error function and its inverse, with NumPy kernels that are accurate to rounding in float32 and float64.

NumPy has no error function, so two Chebyshev series stand for it. Their coefficients were computed in 40 digits by
interpolating what they stand for at Chebyshev points. Two more of single precision stand for its inverse, which normal
random numbers are made with.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mlx.primitives.arithmetic import SQUARE
from mlx.primitives.elementwise import Elementwise
from mlx.primitives.exponential import EXP

# erf(x) / x for |x| <= 1, in t = 2 x**2 - 1
_NEAR = (
    0.9754769393826541,
    -0.14226120510371365,
    0.010035582187599796,
    -0.0005768764699767485,
    2.741993125219606e-05,
    -1.1043175507344507e-06,
    3.8488755420345036e-08,
    -1.1808582533875466e-09,
    3.2334215826050907e-11,
    -7.991015947004549e-13,
    1.7990725113961456e-14,
    -3.718635487818693e-16,
)

# (1 + 2 x) exp(x**2) erfc(x) for x >= 0, in t = (x - 3) / (x + 3)
_FAR = (
    1.17756257419656,
    0.005353904539615676,
    -0.09377550342284209,
    0.05436652555744322,
    -0.018976596707845208,
    0.004453426061462713,
    -0.0006335531710553147,
    1.7661719523171593e-05,
    1.2841532864056671e-05,
    -2.0072285659059913e-06,
    -1.807522790414837e-07,
    7.549828343825093e-08,
    1.885668523838603e-09,
    -2.699519049798364e-09,
    -1.460079119939105e-11,
    1.0361607445969489e-10,
    1.475715976623473e-12,
    -4.277340064396911e-12,
    -2.07922492859799e-13,
    1.8134502003176963e-13,
    1.973425574544739e-14,
    -7.287943737592673e-15,
    -1.5169878690228116e-15,
    2.3514112258781403e-16,
    1.0006111691821667e-16,
)
_NEAR_TERMS = {4: 8, 8: len(_NEAR)}  # by bytes of the dtype
_FAR_TERMS = {4: 14, 8: len(_FAR)}


# erfinv(y) / y in w = -log(1 - y**2): for w <= 5 in t = 2 w / 5 - 1, beyond it in the square root of w from sqrt(5) to
# 4, as far as single precision goes
_INVERSE_NEAR = (
    1.49129894,
    0.6017563034,
    -0.0091705595,
    -0.004962635327,
    0.0009153796704,
    -3.889560706e-06,
    -2.4202619e-05,
    3.266583816e-06,
    2.781864078e-07,
    -1.330960683e-07,
)
_INVERSE_FAR = (
    2.955168741,
    0.8814662615,
    0.004219521969,
    -0.001386059029,
    0.0003952078057,
    -9.427627677e-05,
    1.534531037e-05,
    -5.651067507e-07,
    -5.223752982e-07,
    1.630157336e-07,
)
_WHERE_FAR = 5.0


_SLOPE = 2 / math.sqrt(math.pi)  # of erf at 0


def _chebyshev(coefficients: tuple[float, ...], t: Any) -> Any:
    """The sum of a Chebyshev series at `t`, by Clenshaw's recurrence."""
    twice = t + t
    following, current = 0.0, coefficients[-1]
    for coefficient in reversed(coefficients[1:-1]):
        following, current = current, coefficient + twice * current - following
    return coefficients[0] + t * current - following


def _erfc(x: Any) -> Any:
    """1 - erf(x) for x >= 0, accurate relative to itself."""
    terms = _FAR_TERMS[x.dtype.itemsize]
    return np.exp(-x * x) * _chebyshev(_FAR[:terms], (x - 3) / (x + 3)) / (1 + 2 * x)


def _erf(x: Any) -> Any:
    size = np.minimum(np.abs(x), 10)  # beyond, erf is 1 to the last bit; NaN stays
    near = np.minimum(size, 1)
    inner = near * _chebyshev(_NEAR[: _NEAR_TERMS[x.dtype.itemsize]], 2 * near * near - 1)
    return np.copysign(np.where(size < 1, inner, 1 - _erfc(size)), x)


def _erfinv(y: Any) -> Any:
    return _erfinv_single(y) if y.dtype == np.float32 else _erfinv_double(y)


def _erfinv_single(y: Any) -> Any:
    y = np.asarray(y)
    w = -np.log((1 - y) * (1 + y))
    ratio = np.asarray(_chebyshev(_INVERSE_NEAR, (2 / _WHERE_FAR) * w - 1))
    far = w > _WHERE_FAR
    if far.any():
        start = math.sqrt(_WHERE_FAR)
        ratio[far] = _chebyshev(_INVERSE_FAR, (np.sqrt(w[far]) - start) * (2 / (4 - start)) - 1)
        ratio[np.isposinf(w)] = np.inf
    return y * ratio


def _erfinv_double(wide: Any) -> Any:
    """A closed approximation, then two steps of Halley's method on erfc, which keeps its digits near 1."""
    size = np.abs(wide)
    rest = 1 - size  # exact for size >= 1/2
    small = size < 0.5
    log = np.log(rest * (1 + size))
    a = 0.147
    b = 2 / (math.pi * a) + log / 2
    x = np.where(small, size * (1 + size * size / 4) / _SLOPE, np.sqrt(np.sqrt(b * b - log / a) - b))
    for _ in range(2):
        excess = np.where(small, size - _erf(x), _erfc(x) - rest)
        step = excess * np.exp(x * x) / _SLOPE
        x = x + step / (1 - x * step)
    x = np.where(size == 1, np.inf, x)
    return np.copysign(x, wide)


ERF = Elementwise("erf", 1, _erf, "erf", (lambda out, x: EXP(-SQUARE(x)) * _SLOPE,), nanoseconds=40.0)
ERFINV = Elementwise(
    "erfinv", 1, _erfinv, "erf_inv", (lambda out, y: EXP(SQUARE(out)) * (1 / _SLOPE),), nanoseconds=60.0
)

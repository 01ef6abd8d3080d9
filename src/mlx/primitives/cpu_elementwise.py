"""What elementwise functions in single precision have in common where they are computed by vectors on CPUs.

XLA's compiler for CPUs calls the C library for one element after the other where it knows no better. Functions that are
written out, without branches and tables, become vector instructions. Their polynomials were fitted by least squares at
800 Chebyshev points, with more weight where errors were larger until the largest relative error was least.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

Array = Any

# Elements from which on a function is worth its compilation of 5 to 15 ms; calls of the C library take next to none.
_LEAST_SIZE = 2**14

SIGN = np.uint32(1 << 31)


def in_single_precision(function: Callable[..., Array], elsewhere: Callable[..., Array] | str) -> Callable[..., Array]:
    """The lowering that is `function(xla, *operands)` of float32 on CPUs.

    On other platforms, for few elements, in double precision and for complex numbers it is `elsewhere`, a lowering or
    the name of a function of `xla.lax`. Half precision is cast.
    """
    traced: Any = None  # a program that calls it a hundred times traces it once for each shape

    def lowered(xla: Any, *operands: Array) -> Array:
        nonlocal traced
        dtype = operands[0].dtype
        is_single = dtype.kind in "fV" and dtype.itemsize in (2, 4)
        if xla.platform != "cpu" or not is_single or operands[0].size < _LEAST_SIZE:
            return getattr(xla.lax, elsewhere)(*operands) if isinstance(elsewhere, str) else elsewhere(xla, *operands)
        traced = traced or xla.jax.jit(partial(function, xla))
        return traced(*[x.astype(np.float32) for x in operands]).astype(dtype)

    return lowered


def polynomial(coefficients: Sequence[float], x: Array) -> Array:
    """By Horner's rule, in the dtype of `x`; the coefficient of the lowest power comes first."""
    out = x.dtype.type(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        out = out * x + x.dtype.type(coefficient)
    return out


def bits_of(xla: Any, x: Array, dtype: Any = np.uint32) -> Array:
    return xla.lax.bitcast_convert_type(x, dtype)


def sign_of(xla: Any, x: Array) -> Array:
    """The sign bit alone."""
    return bits_of(xla, x) & SIGN


def flip(xla: Any, x: Array, signs: Array) -> Array:
    """`x` with its sign changed where the sign bit of `signs` is set."""
    return bits_of(xla, bits_of(xla, x) ^ signs, np.float32)

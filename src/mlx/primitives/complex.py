"""The real and the imaginary part. The conjugate, which every rule needs, lives in `elementwise`.

Neither part is holomorphic: cotangents follow the convention dl/dx + i dl/dy for a real loss l and z = x + iy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlx.ir.dtypes import complex64, float32
from mlx.ir.node import Node
from mlx.ir.primitive import Primitive
from mlx.primitives.structure import cast


def _part(name: str, kernel: Callable[[Any], Any], cotangent: Callable[..., Node]) -> Primitive:
    part = Primitive(
        name,
        arity=1,
        shape=lambda z: (z.shape, float32),
        kernel=kernel,
        lower=lambda xla, z: getattr(xla.lax, name)(z),
        vjp=(cotangent,),
        linear=(0,),
        batch=lambda inputs, dims: (part(inputs[0]), dims[0]),
        moves_data=True,
    )
    return part


REAL = _part("real", np.real, lambda g, out, z: cast(g, complex64))
IMAG = _part("imag", np.imag, lambda g, out, z: cast(g, complex64) * 1j)

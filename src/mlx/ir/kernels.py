"""NumPy kernels as they are run: half precision is computed in float32, where NumPy is fast and rounds once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype
from mlx.ir.primitive import Primitive


def kernel_for(primitive: Primitive, operands: Sequence[Dtype], dtype: Any) -> Callable[..., Any]:
    """What computes a primitive of operands of some dtypes, called with them one by one and then its parameters."""
    kernel = primitive.kernel
    assert kernel is not None, primitive
    count = len(operands)
    if primitive.arity is None:
        kernel = _gathering(kernel, count)
    if primitive.moves_data or not any(operand.is_half for operand in operands):
        return kernel
    return _widening(kernel, count, dtype if primitive.many else dtype.numpy)


def _gathering(kernel: Callable[..., Any], count: int) -> Callable[..., Any]:
    """A kernel that takes its inputs as one sequence, called with them one by one."""
    return lambda *arguments: kernel(arguments[:count], *arguments[count:])


def _widening(kernel: Callable[..., Any], count: int, dtype: Any) -> Callable[..., Any]:
    def widened(*arguments: Any) -> Any:
        wide = [_wide(x) for x in arguments[:count]]
        return _narrow(kernel(*wide, *arguments[count:]), dtype)

    return widened


def _wide(x: Any) -> Any:
    return x.astype(np.float32) if x.dtype.kind in "fV" and x.dtype.itemsize == 2 else x


def _narrow(value: Any, dtype: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(np.asarray(v, dtype=d.numpy) for v, d in zip(value, dtype, strict=True))
    return np.asarray(value, dtype=dtype)

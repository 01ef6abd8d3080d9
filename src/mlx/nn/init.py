"""Initialisers: functions that return a function from an array to random or fixed values of its shape.

``model.apply(init.he_normal())`` would start all parameters anew; a filter picks those it suits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import mlx.core as mx

Initializer = Callable[[mx.array], mx.array]
"""A function from an array to another of its shape."""


def constant(value: float, dtype: mx.Dtype = mx.float32) -> Initializer:
    """Return an initialiser with one value everywhere.

    Args:
        value: The value.
        dtype: Dtype of the results.

    Example:
        >>> import mlx.core as mx
        >>> constant(0.5)(mx.zeros((2,)))
        array([0.5, 0.5], dtype=float32)
    """

    def initializer(a: mx.array) -> mx.array:
        return mx.full(a.shape, value, dtype=dtype)

    return initializer


def normal(mean: float = 0.0, std: float = 1.0, dtype: mx.Dtype = mx.float32) -> Initializer:
    """Return an initialiser that draws from a normal distribution.

    Args:
        mean: Mean of the distribution.
        std: Standard deviation of the distribution.
        dtype: Dtype of the results.

    Example:
        >>> import mlx.core as mx
        >>> normal(std=0.02)(mx.zeros((2, 3))).shape
        (2, 3)
    """

    def initializer(a: mx.array) -> mx.array:
        return mx.random.normal(a.shape, dtype=dtype, loc=mean, scale=std)

    return initializer


def uniform(low: float = 0.0, high: float = 1.0, dtype: mx.Dtype = mx.float32) -> Initializer:
    """Return an initialiser that draws uniformly between two bounds.

    Args:
        low: Lower bound.
        high: Upper bound.
        dtype: Dtype of the results.

    Example:
        >>> import mlx.core as mx
        >>> uniform(-0.1, 0.1)(mx.zeros((2, 3))).shape
        (2, 3)
    """

    def initializer(a: mx.array) -> mx.array:
        return mx.random.uniform(low, high, a.shape, dtype=dtype)

    return initializer


def identity(dtype: mx.Dtype = mx.float32) -> Initializer:
    """Return an initialiser that makes identity matrices.

    It raises ValueError for arrays that are not square matrices.

    Args:
        dtype: Dtype of the results.

    Example:
        >>> import mlx.core as mx
        >>> identity()(mx.zeros((2, 2)))
        array([[1, 0],
               [0, 1]], dtype=float32)
    """

    def initializer(a: mx.array) -> mx.array:
        if a.ndim != 2 or a.shape[0] != a.shape[1]:
            raise ValueError(f"[init.identity] Expected a square matrix, got an array of shape {a.shape}.")
        return mx.eye(a.shape[0], dtype=dtype)

    return initializer


def _fan_in_and_out(api: str, a: mx.array) -> tuple[int, int]:
    """Number of inputs that an output of a layer with weight ``a`` sees, and the other way round."""
    if a.ndim < 2:
        raise ValueError(f"[{api}] Expected at least 2 dimensions, got an array of shape {a.shape}.")
    out_features, *kernel, in_features = a.shape
    kernel_size = math.prod(kernel)
    return in_features * kernel_size, out_features * kernel_size


def _fan(api: str, a: mx.array, mode: str) -> int:
    fans = dict(zip(("fan_in", "fan_out"), _fan_in_and_out(api, a), strict=True))
    if mode not in fans:
        raise ValueError(f"[{api}] Invalid mode '{mode}'; it must be one of {list(fans)}.")
    return fans[mode]


def glorot_normal(dtype: mx.Dtype = mx.float32) -> Callable[..., mx.array]:
    """Return an initialiser f(a, gain=1.0): normal with std gain sqrt(2 / (fan_in + fan_out)).

    Glorot and Bengio 2010. It raises ValueError for arrays of fewer than two dimensions.

    Args:
        dtype: Dtype of the results.

    Example:
        >>> import mlx.core as mx
        >>> glorot_normal()(mx.zeros((2, 3))).shape
        (2, 3)
    """

    def initializer(a: mx.array, gain: float = 1.0) -> mx.array:
        fan_in, fan_out = _fan_in_and_out("init.glorot_normal", a)
        std = gain * math.sqrt(2.0 / (fan_in + fan_out))
        return mx.random.normal(a.shape, dtype=dtype, scale=std)

    return initializer


def glorot_uniform(dtype: mx.Dtype = mx.float32) -> Callable[..., mx.array]:
    """Return an initialiser f(a, gain=1.0): uniform within gain sqrt(6 / (fan_in + fan_out)) of 0.

    Glorot and Bengio 2010. It raises ValueError for arrays of fewer than two dimensions.

    Args:
        dtype: Dtype of the results.

    Example:
        >>> import mlx.core as mx
        >>> glorot_uniform()(mx.zeros((2, 3))).shape
        (2, 3)
    """

    def initializer(a: mx.array, gain: float = 1.0) -> mx.array:
        fan_in, fan_out = _fan_in_and_out("init.glorot_uniform", a)
        limit = gain * math.sqrt(6.0 / (fan_in + fan_out))
        return mx.random.uniform(-limit, limit, a.shape, dtype=dtype)

    return initializer


def he_normal(dtype: mx.Dtype = mx.float32) -> Callable[..., mx.array]:
    """Return an initialiser f(a, mode="fan_in", gain=1.0): normal with std gain / sqrt(fan).

    He et al. 2015. ``mode`` says which fan, ``"fan_in"`` or ``"fan_out"``. It raises ValueError for arrays
    of fewer than two dimensions.

    Args:
        dtype: Dtype of the results.

    Example:
        >>> import mlx.core as mx
        >>> he_normal()(mx.zeros((2, 3)), mode="fan_out", gain=1.4).shape
        (2, 3)
    """

    def initializer(a: mx.array, mode: Literal["fan_in", "fan_out"] = "fan_in", gain: float = 1.0) -> mx.array:
        std = gain / math.sqrt(_fan("init.he_normal", a, mode))
        return mx.random.normal(a.shape, dtype=dtype, scale=std)

    return initializer


def he_uniform(dtype: mx.Dtype = mx.float32) -> Callable[..., mx.array]:
    """Return an initialiser f(a, mode="fan_in", gain=1.0): uniform within gain sqrt(3 / fan) of 0.

    He et al. 2015. ``mode`` says which fan, ``"fan_in"`` or ``"fan_out"``. It raises ValueError for arrays
    of fewer than two dimensions.

    Args:
        dtype: Dtype of the results.

    Example:
        >>> import mlx.core as mx
        >>> he_uniform()(mx.zeros((2, 3)), mode="fan_out").shape
        (2, 3)
    """

    def initializer(a: mx.array, mode: Literal["fan_in", "fan_out"] = "fan_in", gain: float = 1.0) -> mx.array:
        limit = gain * math.sqrt(3.0 / _fan("init.he_uniform", a, mode))
        return mx.random.uniform(-limit, limit, a.shape, dtype=dtype)

    return initializer


def sparse(sparsity: float, mean: float = 0.0, std: float = 1.0, dtype: mx.Dtype = mx.float32) -> Initializer:
    """Return an initialiser that draws from a normal distribution and zeroes part of each row.

    It raises ValueError for arrays that are no matrices.

    Args:
        sparsity: Part of each row, rounded up to whole elements, that is zero.
        mean: Mean of the distribution.
        std: Standard deviation of the distribution.
        dtype: Dtype of the results.

    Example:
        >>> import mlx.core as mx
        >>> mx.sum(sparse(0.5)(mx.zeros((2, 4))) == 0, axis=1)
        array([2, 2], dtype=int32)
    """

    def initializer(a: mx.array) -> mx.array:
        if a.ndim != 2:
            raise ValueError(f"[init.sparse] Expected a 2D array, got a {a.ndim}D array.")
        zeros = math.ceil(sparsity * a.shape[1])
        order = mx.argsort(mx.random.uniform(shape=a.shape), axis=1)
        values = mx.random.normal(a.shape, dtype=dtype, loc=mean, scale=std)
        return mx.put_along_axis(values, order[:, :zeros], mx.array(0, dtype), axis=1)

    return initializer


def orthogonal(gain: float = 1.0, dtype: mx.Dtype = mx.float32) -> Initializer:
    """Return an initialiser that makes matrices with orthonormal rows or columns, times ``gain``.

    Saxe et al. 2013. It raises ValueError for arrays that are no matrices.

    Args:
        gain: Length of the rows or columns.
        dtype: Dtype of the results.

    Example:
        >>> import mlx.core as mx
        >>> q = orthogonal()(mx.zeros((3, 3)))
        >>> mx.allclose(q @ q.T, mx.eye(3), atol=1e-5).item()
        True
    """

    def initializer(a: mx.array) -> mx.array:
        if a.ndim != 2:
            raise ValueError(f"[init.orthogonal] Expected a 2D array, got a {a.ndim}D array.")
        rows, columns = a.shape
        size = max(rows, columns)
        q, r = mx.linalg.qr(mx.random.normal((size, size)), stream=mx.cpu)
        # A factorisation with a positive diagonal is unique, which makes all rotations equally likely.
        q = q * mx.where(mx.diagonal(r) < 0, -1.0, 1.0)
        return (gain * q[:rows, :columns]).astype(dtype)

    return initializer

"""Random numbers: the distributions. Keys and the state of the thread live in `random_state`.

The same seed gives the numbers that MLX gives: bit for bit where words or integers are drawn, within rounding
elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from mlx.arrays.array import array, wrap
from mlx.arrays.operands import is_number, node_of
from mlx.ir.dtypes import Dtype, bool_, complex64, float32, float64, int32, uint32
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import SCALAR, broadcast_shape, scalar_node
from mlx.ops.arguments import (
    StreamOrDevice,
    check_stream,
    checked_axis,
    dtype_argument,
    integer_or_none,
    one_integer,
    real_number,
)
from mlx.ops.indexing import take
from mlx.ops.random_state import checked_draw_shape, draw_key
from mlx.primitives.arithmetic import ABS, EQUAL, LESS, MAXIMUM, MINIMUM, NOT_EQUAL, SIGN
from mlx.primitives.bitwise import LOGICAL_AND, LOGICAL_OR
from mlx.primitives.elementwise import SELECT
from mlx.primitives.error_function import ERF, ERFINV
from mlx.primitives.exact_product import EXACT_PRODUCT
from mlx.primitives.exponential import EXP, LOG, LOG1P
from mlx.primitives.matmul import matmul
from mlx.primitives.matrix_root import MATRIX_ROOT
from mlx.primitives.random import LOWEST, RANDOM_BITS, RANDOM_NORMAL, RANDOM_UNIFORM
from mlx.primitives.reductions import ARGMAX, MAX
from mlx.primitives.rounding import FLOOR
from mlx.primitives.scans import CUMSUM
from mlx.primitives.shape import reshape
from mlx.primitives.slicing import slice_axis
from mlx.primitives.sorting import ARGSORT, SEARCHSORTED
from mlx.primitives.structure import cast
from mlx.primitives.views import VIEW

__all__ = [
    "bernoulli",
    "categorical",
    "gumbel",
    "laplace",
    "multivariate_normal",
    "normal",
    "permutation",
    "randint",
    "truncated_normal",
    "uniform",
]

Scalar: TypeAlias = bool | int | float | complex

_ROOT_OF_2 = math.sqrt(2.0)

# ---------------------------------------------------------------------- what distributions share


def _floating(dtype: Dtype | None, function: str) -> Dtype:
    """`dtype`, float32 for None; an error where it is no floating one."""
    if dtype is None:
        return float32
    if not dtype_argument(dtype, function).is_floating:
        raise ValueError(f"[{function}] Can only generate numbers of a real floating point type, got {dtype.name}.")
    return dtype


def _single_or_half(dtype: Dtype | None, function: str) -> Dtype:
    dtype = _floating(dtype, function)
    if dtype is float64:
        raise RuntimeError(f"[{function}] Unsupported type float64. Draw in float32 and use astype(mx.float64).")
    return dtype


def _parameter(value: Scalar | array, dtype: Dtype, function: str, name: str) -> Node:
    """A parameter of a distribution in the dtype of the draw; a Python number stays one."""
    if is_number(value):
        number: Any = value
        return scalar_node(number if dtype.is_complex else number.real, dtype)
    return cast(node_of(value, function, name), dtype)


def _uniform_between(low: Node, high: Node, shape: Shape, key: array | None, function: str) -> Node:
    """Uniform numbers of `shape` in the dtype of the bounds, which broadcast to it."""
    dtype = high.dtype
    if low.shape or high.shape:
        broadcasted = broadcast_shape(shape, broadcast_shape(low.shape, high.shape))
        if broadcasted != shape:
            raise ValueError(
                f"[{function}] Cannot generate random values of shape {shape} from broadcasted shape {broadcasted}."
            )
    x = RANDOM_UNIFORM(draw_key(key), shape, dtype)
    if low.primitive is SCALAR and high.primitive is SCALAR:
        with np.errstate(invalid="ignore"):  # between infinite bounds it is NaN
            width = float(high.value.numpy() - low.value.numpy())  # type: ignore[union-attr]
        if width != 1:
            x = EXACT_PRODUCT(x, scalar_node(width, dtype))
        return x + low if low.params[0] else x
    return EXACT_PRODUCT(x, high - low) + low


# ---------------------------------------------------------------------- distributions


def uniform(
    low: Scalar | array = 0,
    high: Scalar | array = 1,
    shape: Sequence[int] = [],
    dtype: Dtype | None = float32,
    key: array | None = None,
    stream: StreamOrDevice = None,
) -> array:
    """Numbers that are uniform in the half-open interval [low, high).

    Args:
        low: lower bound, a number or an array that broadcasts to `shape`.
        high: upper bound, likewise.
        shape: shape of the result.
        dtype: float32, float16 or bfloat16; None is float32.
        key: key to draw from; by default the thread's state.

    Returns:
        Array of `shape`. Differentiable in `low` and `high`.

    Raises:
        ValueError: `dtype` is not floating, the bounds do not broadcast to `shape`, or an extent is negative.
        RuntimeError: `dtype` is float64.

    Example:
        >>> import mlx.core as mx
        >>> mx.random.uniform(shape=(2,), key=mx.random.key(0))
        array([0.216295, 0.804124], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "uniform")
    dtype = _single_or_half(dtype, "uniform")
    first, last = _parameter(low, dtype, "uniform", "low"), _parameter(high, dtype, "uniform", "high")
    return wrap(_uniform_between(first, last, checked_draw_shape(shape, "uniform"), key, "uniform"))


def normal(
    shape: Sequence[int] = [],
    dtype: Dtype | None = float32,
    loc: Scalar | array | None = None,
    scale: Scalar | array | None = None,
    key: array | None = None,
    stream: StreamOrDevice = None,
) -> array:
    """Numbers of the normal distribution, by inversion of its distribution function.

    Args:
        shape: shape of the result.
        dtype: a floating dtype, or complex64 for numbers whose real and imaginary parts have variance 1/2 each; None is
            float32.
        loc: mean, a number or an array that broadcasts to `shape`; 0 by default.
        scale: standard deviation, likewise; 1 by default.
        key: key to draw from; by default the thread's state.

    Returns:
        Array of `shape`. Differentiable in `loc` and `scale`.

    Raises:
        ValueError: `dtype` is not floating or complex, `loc` or `scale` do not broadcast to `shape`, or an extent is
            negative.

    Example:
        >>> import mlx.core as mx
        >>> mx.random.normal((2,), key=mx.random.key(0))
        array([-0.784766, 0.856445], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "normal")
    if dtype is None:
        dtype = float32
    elif not dtype_argument(dtype, "normal").is_inexact:
        raise ValueError(f"[normal] Only floating point and complex64 types are supported, got {dtype!r}.")
    extents = checked_draw_shape(shape, "normal")
    if dtype is complex64:
        x = reshape(VIEW(RANDOM_NORMAL(draw_key(key), (*extents, 2), float32), complex64), extents)
    else:
        x = RANDOM_NORMAL(draw_key(key), extents, dtype)
        scale = 1 if scale is None else scale
    if scale is not None:
        width = _parameter(scale, dtype, "normal", "scale")
        x = x * (width if dtype is complex64 else _times_root_of_2(width))
    if loc is not None:
        x = x + _parameter(loc, dtype, "normal", "loc")
    return wrap(x)


def _times_root_of_2(width: Node) -> Node:
    """`width` sqrt(2), rounded to its dtype."""
    root = scalar_node(_ROOT_OF_2, width.dtype)
    if width.primitive is not SCALAR:
        return width * root
    if width.params[0] == 1:
        return root
    return scalar_node(float(width.value.numpy() * root.value.numpy()), width.dtype)  # type: ignore[union-attr]


def truncated_normal(
    lower: Scalar | array,
    upper: Scalar | array,
    shape: Sequence[int] | None = None,
    dtype: Dtype | None = float32,
    key: array | None = None,
    stream: StreamOrDevice = None,
) -> array:
    """Numbers of the standard normal distribution under the condition that they lie between two bounds.

    Args:
        lower: lower bound, a number or an array that broadcasts to `shape`.
        upper: upper bound, likewise.
        shape: shape of the result; by default that of the two bounds together.
        dtype: float32, float16 or bfloat16; None is float32.
        key: key to draw from; by default the thread's state.

    Returns:
        Array of `shape`; `lower` where the bounds are in the wrong order. Bounds further than 5 from 0 are beyond
        single precision: what lies between them comes out as one of the two.

    Raises:
        ValueError: `dtype` is not floating, the bounds do not broadcast to `shape`, or an extent is negative.
        RuntimeError: `dtype` is float64.

    Example:
        >>> import mlx.core as mx
        >>> mx.random.truncated_normal(-1, 1, (2,), key=mx.random.key(0))
        array([-0.506315, 0.546452], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "truncated_normal")
    dtype = _single_or_half(dtype, "truncated_normal")
    low, high = (
        _parameter(lower, dtype, "truncated_normal", "lower"),
        _parameter(upper, dtype, "truncated_normal", "upper"),
    )
    extents = broadcast_shape(low.shape, high.shape) if shape is None else checked_draw_shape(shape, "truncated_normal")
    root = scalar_node(_ROOT_OF_2, dtype)
    unit = _uniform_between(ERF(low / root), ERF(high / root), extents, key, "truncated_normal")
    return wrap(MAXIMUM(MINIMUM(ERFINV(unit) * root, high), low))


def gumbel(
    shape: Sequence[int] = [],
    dtype: Dtype | None = float32,
    key: array | None = None,
    stream: StreamOrDevice = None,
) -> array:
    """Numbers of the standard Gumbel distribution, exp(-exp(-x)).

    Args:
        shape: shape of the result.
        dtype: float32, float16 or bfloat16; None is float32.
        key: key to draw from; by default the thread's state.

    Returns:
        Array of `shape`.

    Raises:
        ValueError: `dtype` is not floating, or an extent is negative.
        RuntimeError: `dtype` is float64.

    Example:
        >>> import mlx.core as mx
        >>> mx.random.gumbel((2,), key=mx.random.key(0))
        array([-0.425993, 1.52325], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "gumbel")
    return wrap(_gumbel(checked_draw_shape(shape, "gumbel"), _single_or_half(dtype, "gumbel"), key))


def _gumbel(shape: Shape, dtype: Dtype, key: array | None) -> Node:
    return -LOG(-LOG(RANDOM_UNIFORM(draw_key(key), shape, dtype)))


def laplace(
    shape: Sequence[int] = [],
    dtype: Dtype | None = float32,
    loc: float = 0.0,
    scale: float = 1.0,
    key: array | None = None,
    stream: StreamOrDevice = None,
) -> array:
    """Numbers of the Laplace distribution, whose density is exp(-|x - loc| / scale) / (2 scale).

    Args:
        shape: shape of the result.
        dtype: a floating dtype; None is float32.
        loc: mean, a number.
        scale: mean distance from `loc`, a number.
        key: key to draw from; by default the thread's state.

    Returns:
        Array of `shape`.

    Raises:
        ValueError: `dtype` is not floating, or an extent is negative.
        TypeError: `loc` or `scale` is no number.

    Example:
        >>> import mlx.core as mx
        >>> mx.random.laplace((2,), key=mx.random.key(0))
        array([0.837963, -0.937127], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "laplace")
    center, width = real_number(loc, "laplace", "loc"), real_number(scale, "laplace", "scale")
    dtype = _floating(dtype, "laplace")
    unit = RANDOM_UNIFORM(draw_key(key), checked_draw_shape(shape, "laplace"), float32) * 2 + float(LOWEST)
    if dtype is float64:
        unit = cast(unit, float64)
    x = cast(SIGN(unit) * LOG1P(-ABS(unit)), dtype)
    if width != 1:
        x = x * width
    return wrap(x + center if center else x)


def bernoulli(
    p: Scalar | array = 0.5,
    shape: Sequence[int] | None = None,
    key: array | None = None,
    stream: StreamOrDevice = None,
) -> array:
    """Booleans that are True with probability `p`.

    Args:
        p: probability, a floating number or an array of them that broadcasts to `shape`.
        shape: shape of the result; by default that of `p`.
        key: key to draw from; by default the thread's state.

    Returns:
        Boolean array of `shape`.

    Raises:
        ValueError: `p` is not floating or does not broadcast to `shape`, or an extent is negative.

    Example:
        >>> import mlx.core as mx
        >>> mx.random.bernoulli(0.5, (4,), key=mx.random.key(0))
        array([False, True, False, True], dtype=bool)
    """
    if stream is not None:
        check_stream(stream, "bernoulli")
    chance = node_of(p, "bernoulli", "p")
    if not chance.dtype.is_floating:
        raise ValueError(
            f"[bernoulli] bernoulli probability `p` must be a float type, got {chance.dtype.name}. Write 1.0 for 1."
        )
    extents = chance.shape if shape is None else checked_draw_shape(shape, "bernoulli")
    if broadcast_shape(extents, chance.shape) != extents:
        raise ValueError(f"[bernoulli] shape {chance.shape} of `p` is incompatible with argument `shape`, {extents}.")
    unit = RANDOM_UNIFORM(draw_key(key), extents, float32)
    if chance.dtype is float64:
        return wrap(LESS(cast(unit, float64), chance))
    return wrap(LESS(unit, cast(chance, float32)))


def randint(
    low: Scalar | array,
    high: Scalar | array,
    shape: Sequence[int] = [],
    dtype: Dtype | None = int32,
    key: array | None = None,
    stream: StreamOrDevice = None,
) -> array:
    """Integers that are uniform in the half-open interval [low, high).

    They are made of float32 numbers: of an interval of more than 2**24 integers some are never drawn.

    Args:
        low: lower bound, a number or an array that broadcasts to `shape`.
        high: upper bound, likewise.
        shape: shape of the result.
        dtype: an integer dtype or bool_; None is int32.
        key: key to draw from; by default the thread's state.

    Returns:
        Array of `shape`; `low` where the bounds are in the wrong order.

    Raises:
        ValueError: `dtype` is no integer type or bool_, the bounds do not broadcast to `shape`, or an extent is
            negative.
        TypeError: `dtype` is no dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.random.randint(0, 10, (5,), key=mx.random.key(0))
        array([5, 0, 3, 8, 5], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "randint")
    dtype = int32 if dtype is None else dtype_argument(dtype, "randint")
    if not (dtype.is_integer or dtype is bool_):
        raise ValueError(f"[randint] randint only accepts integer dtypes and bool, got {dtype!r}.")
    first, last = node_of(low, "randint", "low"), node_of(high, "randint", "high")
    extents = checked_draw_shape(shape, "randint")
    x = FLOOR(_uniform_between(_to(first, float32), _to(last, float32), extents, key, "randint"))
    if dtype is bool_:  # the bounds of truth values are no smaller integers than those that the user gave
        return wrap(LOGICAL_OR(LOGICAL_AND(NOT_EQUAL(x, 0), NOT_EQUAL(last, 1)), NOT_EQUAL(first, 0)))
    least, most = cast(first, dtype), cast(last, dtype) - 1
    return wrap(MAXIMUM(MINIMUM(cast(x, dtype), most), least))


def _to(bound: Node, dtype: Dtype) -> Node:
    """`bound` in `dtype`; a Python number stays one."""
    if bound.primitive is SCALAR:
        number: Any = bound.params[0]
        return scalar_node(number.real, dtype)
    return cast(bound, dtype)


def categorical(
    logits: array,
    axis: int = -1,
    shape: Sequence[int] | None = None,
    num_samples: int | None = None,
    key: array | None = None,
    stream: StreamOrDevice = None,
) -> array:
    """Positions along an axis, drawn with the probabilities softmax(logits).

    The position of the largest of logits plus Gumbel numbers has that distribution. Several draws from a single
    distribution look uniform numbers up in its cumulative probabilities instead. There, infinite logits share all
    probability, and logits that are all minus infinity are as likely as each other.

    Args:
        logits: array of logarithms of probabilities, up to a constant.
        axis: the axis along which the probabilities of one distribution lie.
        shape: shape of the result, to which that of `logits` without `axis` broadcasts; by default that shape itself.
        num_samples: how many to draw from each distribution, along a new last axis. At most one of `shape` and
            `num_samples` can be given.
        key: key to draw from; by default the thread's state.

    Returns:
        Array of uint32.

    Raises:
        IndexError: `axis` is out of range.
        ValueError: both `shape` and `num_samples` are given, `shape` does not fit, there is nothing to draw from, or
            `logits` are complex.
        TypeError: `logits` is no array, or `axis` or `num_samples` no integer.

    Example:
        >>> import mlx.core as mx
        >>> logits = mx.log(mx.array([0.1, 0.2, 0.7]))
        >>> mx.random.categorical(logits, num_samples=5, key=mx.random.key(0))
        array([2, 0, 2, 2, 2], dtype=uint32)
    """
    if stream is not None:
        check_stream(stream, "categorical")
    if not isinstance(logits, array):
        raise TypeError(f"[categorical] logits must be an array, got {type(logits).__name__}.")
    count = () if num_samples is None else (one_integer(num_samples, "categorical", "num_samples"),)
    x = logits._node
    axis = checked_axis(axis, x.ndim, "categorical")
    wanted = None if shape is None else checked_draw_shape(shape, "categorical")
    if wanted is not None and count:
        raise ValueError("[categorical] At most one of shape or num_samples can be specified.")
    if x.dtype.is_complex:
        raise ValueError("[categorical] logits must be real. Take their real part with mx.real.")
    entries = x.shape[axis]
    if not entries:
        raise ValueError(f"[categorical] logits of shape {x.shape} have no entry along axis {axis} to draw.")
    extents = (*x.shape[:axis], *x.shape[axis + 1 :])
    if count:
        extents += checked_draw_shape(count, "categorical")
        x = reshape(x, (*x.shape, 1))
    elif wanted is not None:
        reduced, extents = extents, wanted
        if broadcast_shape(extents, reduced) != extents:
            raise ValueError(
                f"[categorical] Requested shape {extents} is not broadcast compatible with reduced logits shape "
                f"{reduced}."
            )
        axis += len(extents) - len(reduced)
    x = cast(x, float64 if x.dtype is float64 else float32)
    if extents and x.size == entries:
        return wrap(_position_by_inversion(reshape(x, (entries,)), extents, key))
    noise = _gumbel((*extents[:axis], entries, *extents[axis:]), float32, key)
    return wrap(ARGMAX(x + cast(noise, x.dtype), axis))


def _position_by_inversion(logits: Node, shape: Shape, key: array | None) -> Node:
    """Where uniform numbers fall among the cumulative probabilities of one distribution: one number a draw."""
    largest = MAX(logits, (0,), True)
    # An infinite logit less itself is NaN.
    cumulative = CUMSUM(EXP(SELECT(EQUAL(logits, largest), 0, logits - largest)), 0, False)
    total = slice_axis(cumulative, 0, logits.size - 1, 1)
    unit = cast(RANDOM_UNIFORM(draw_key(key), shape, float32), logits.dtype)
    return MINIMUM(SEARCHSORTED(cumulative, unit * total, True), logits.size - 1)


def permutation(x: int | array, axis: int = 0, key: array | None = None, stream: StreamOrDevice = None) -> array:
    """The integers from 0 to `x` - 1 in random order, or the entries of an array along an axis in random order.

    Args:
        x: an integer or an array.
        axis: the axis along which an array is permuted; the same permutation serves all other axes.
        key: key to draw from; by default the thread's state.

    Returns:
        Array (x,) of uint32, or an array of the shape and dtype of `x`.

    Raises:
        TypeError: `x` is neither an integer nor an array, or `axis` no integer.
        IndexError: `axis` is out of range.
        ValueError: `x` is negative.

    Example:
        >>> import mlx.core as mx
        >>> mx.random.permutation(5, key=mx.random.key(0))
        array([1, 2, 0, 4, 3], dtype=uint32)
    """
    if stream is not None:
        check_stream(stream, "permutation")
    if isinstance(x, array):
        along = checked_axis(axis, x.ndim, "permutation")
        return take(x, wrap(_permutation(x._node.shape[along], key)), along)
    one_integer(axis, "permutation", "axis")
    extent = integer_or_none(x)
    if extent is None:
        raise TypeError(f"[permutation] x must be an integer or an array, got {type(x).__name__}.")
    return wrap(_permutation(extent, key))


def _permutation(extent: int, key: array | None) -> Node:
    shape = checked_draw_shape((extent,), "permutation")
    return ARGSORT(RANDOM_BITS(draw_key(key), shape, uint32), 0)


def multivariate_normal(
    mean: array,
    cov: array,
    shape: Sequence[int] = [],
    dtype: Dtype | None = float32,
    key: array | None = None,
    stream: StreamOrDevice = None,
) -> array:
    """Vectors of jointly normal numbers with a given mean and covariance.

    Args:
        mean: array (..., n).
        cov: array (..., n, n) of symmetric positive semi-definite matrices, which is not checked.
        shape: shape of the result without the axis n; the leading axes of `mean` and `cov` and it broadcast together.
        dtype: float32 or None.
        key: key to draw from; by default the thread's state.

    Returns:
        Array (..., n) of float32, of float64 where `mean` is. Differentiable in `mean` and `cov`.

    Raises:
        ValueError: the shapes do not fit, or `dtype` is not float32.
        TypeError: `mean` or `cov` is no array, or `dtype` no dtype.

    Example:
        >>> import mlx.core as mx
        >>> mean, cov = mx.array([1.0, 2.0]), mx.array([[4.0, 0.0], [0.0, 9.0]])
        >>> mx.random.multivariate_normal(mean, cov, key=mx.random.key(0))
        array([-0.569531, 4.56934], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "multivariate_normal")
    if not isinstance(mean, array) or not isinstance(cov, array):
        raise TypeError(
            f"[multivariate_normal] mean and cov must be arrays, got {type(mean).__name__} and {type(cov).__name__}."
        )
    if dtype is not None and dtype_argument(dtype, "multivariate_normal") is not float32:
        raise ValueError(f"[multivariate_normal] dtype must be float32, got {dtype!r}.")
    center, spread = mean._node, cov._node
    _check_moments(center, spread)
    lead = broadcast_shape(center.shape[:-1], spread.shape[:-2])
    extents = broadcast_shape(checked_draw_shape(shape, "multivariate_normal"), lead)
    order = center.shape[-1]
    x = RANDOM_NORMAL(draw_key(key), (*extents, 1, order), float32) * _ROOT_OF_2
    x = matmul(x, MATRIX_ROOT(cast(spread, float32)))
    kind = float64 if center.dtype is float64 else float32
    return wrap(cast(reshape(x, (*extents, order)), kind) + cast(center, kind))


def _check_moments(center: Node, spread: Node) -> None:
    if center.ndim < 1:
        raise ValueError("[multivariate_normal] mean must have at least one dimension.")
    if spread.ndim < 2:
        raise ValueError("[multivariate_normal] cov must have at least two dimensions.")
    if spread.shape[-1] != spread.shape[-2]:
        raise ValueError(f"[multivariate_normal] last two dimensions of cov must be equal, got shape {spread.shape}.")
    if center.shape[-1] != spread.shape[-1]:
        raise ValueError(
            f"[multivariate_normal] mean and cov must have compatible shapes, got {center.shape} and {spread.shape}."
        )
    if center.dtype.is_complex or spread.dtype.is_complex:
        raise ValueError("[multivariate_normal] mean and cov must be real.")

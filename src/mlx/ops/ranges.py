"""Ranges: numbers in equal steps."""

from __future__ import annotations

from math import ceil, isfinite, isinf
from typing import Any, overload

import numpy as np

from mlx.arrays.array import array, wrap
from mlx.arrays.operands import is_operand, node_of
from mlx.ir.dtypes import Dtype, bool_, default_dtype_of, float32, float64, promote_types
from mlx.ir.node import Node
from mlx.ir.primitive import scalar_node
from mlx.ops.arguments import LARGEST_EXTENT, StreamOrDevice, check_stream, dtype_argument, flag, one_integer
from mlx.primitives.creation import ARANGE
from mlx.primitives.shape import reshape
from mlx.primitives.structure import cast

__all__ = ["arange", "linspace"]

Number = int | float


@overload
def arange(
    start: Number,
    stop: Number | None,
    step: Number | None = None,
    dtype: Dtype | None = None,
    *,
    stream: StreamOrDevice = None,
) -> array: ...
@overload
def arange(
    stop: Number, step: Number | None = None, dtype: Dtype | None = None, *, stream: StreamOrDevice = None
) -> array: ...
def arange(  # pyright: ignore[reportInconsistentOverload]  (names that the two forms share are sorted out below)
    *numbers: Any,
    start: Any = None,
    stop: Any = None,
    step: Any = None,
    dtype: Any = None,
    stream: StreamOrDevice = None,
) -> array:
    """Numbers from `start` (included) to `stop` (not included) in steps of `step`.

    Called as `arange(stop, step=1, dtype=None)` or `arange(start, stop, step=1, dtype=None)`.

    Args:
        start: the first number, 0 by default.
        stop: the end of the range.
        step: the distance between numbers, 1 by default; as in NumPy, what is added is
            `dtype(start + step) - dtype(start)`.
        dtype: the element type. By default int32 where all are integers of 32 bits, int64 where they are longer,
            float32 where one is a float.

    Returns:
        An array of one axis.

    Raises:
        TypeError: `stop` is missing, or an argument is no number.
        ValueError: the step is zero, the dtype boolean, or the length not finite or too large.

    Example:
        >>> import mlx.core as mx
        >>> mx.arange(2, 10, 3)
        array([2, 5, 8], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "arange")
    given = {"start": start, "stop": stop, "step": step, "dtype": dtype}
    for name, number in zip(_positional_names(numbers, stop), numbers, strict=True):
        if given[name] is not None:
            raise TypeError(f"[arange] {name} was given twice.")
        given[name] = number
    if given["stop"] is None and numbers:
        given.update(start=None, stop=given["start"])
    if given["stop"] is None:
        raise TypeError("[arange] stop is missing; call arange(stop) or arange(start, stop, step).")
    bounds = [given[name] for name in ("start", "stop", "step") if given[name] is not None]
    if given["dtype"] is None and all(isinstance(bound, bool) for bound in bounds):
        raise ValueError("[arange] bool is not supported, use integers.")
    return _arange(
        _real_number(given["start"], "start", 0),
        _real_number(given["stop"], "stop", 0),
        _real_number(given["step"], "step", 1),
        given["dtype"],
    )


def _positional_names(numbers: tuple[Any, ...], stop: Any) -> tuple[str, ...]:
    """What the positional arguments are: two forms of the call share them."""
    if len(numbers) == 3 and isinstance(numbers[2], Dtype):
        return "stop", "step", "dtype"
    if len(numbers) == 1 and stop is None:
        return ("stop",)
    if len(numbers) > 4:
        raise TypeError(f"[arange] takes at most 4 positional arguments, got {len(numbers)}.")
    return ("start", "stop", "step", "dtype")[: len(numbers)]


def _real_number(number: Any, name: str, default: int) -> Number:
    if number is None:
        return default
    if isinstance(number, np.integer | np.floating):
        return number.item()
    if not isinstance(number, int | float):
        raise TypeError(f"[arange] {name} must be an int or a float, got {type(number).__name__}.")
    return number


def _arange(start: Number, stop: Number, step: Number, dtype: Dtype | None) -> array:
    if dtype is None:
        of_start, of_stop, of_step = (default_dtype_of(number) for number in (start, stop, step))
        dtype = promote_types(promote_types(of_start, of_stop), of_step)
    if dtype_argument(dtype, "arange") is bool_:
        raise ValueError("[arange] dtype bool is not supported, use an integer type.")
    if step == 0:
        raise ValueError("[arange] step must be nonzero.")
    count = _range_length(start, stop, step)
    first = _held_by(start, dtype)
    distance = _held_by(_held_by(start + step, dtype) - first, dtype) if count > 1 else 0
    if dtype.is_floating and isinf(distance):  # 0 times it would be NaN where the start belongs
        ends = scalar_node(float(start), float64), scalar_node(float(step), float64)
        return wrap(cast(ARANGE(*ends, count), dtype))
    return wrap(ARANGE(scalar_node(first, dtype), scalar_node(distance, dtype), count))


def _range_length(start: Number, stop: Number, step: Number) -> int:
    if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int):
        count = -((start - stop) // step)
    else:
        length = (stop - start) / step
        if not isfinite(length):
            raise ValueError(f"[arange] Cannot compute length of the range from {start} to {stop} by {step}.")
        # An infinite step leaves the first number, where the range goes its way.
        count = int((stop - start) * step > 0) if isinf(step) else ceil(length)
    if count > LARGEST_EXTENT:
        raise ValueError(f"[arange] Maximum size exceeded: {count} numbers.")
    return max(count, 0)


def _held_by(number: Number, dtype: Dtype) -> Any:
    """`number` as `dtype` holds it, as a Python number; integers wrap around."""
    if not dtype.is_integer:
        with np.errstate(over="ignore"):
            return np.asarray(number, dtype.numpy).item()
    lowest, highest = dtype.scalar_limits  # type: ignore[misc]
    return (int(number) - lowest) % (highest - lowest + 1) + lowest


def linspace(
    start: Any,
    stop: Any,
    num: int | None = 50,
    endpoint: bool = True,
    dtype: Dtype | None = float32,
    stream: StreamOrDevice = None,
) -> array:
    """Evenly spaced numbers over an interval.

    Args:
        start: the first number; a number or an array of one element.
        stop: the last number, likewise.
        num: how many numbers.
        endpoint: whether `stop` is one of them; if not, they are spaced as if it were the one after the last.
        dtype: the element type; None means float32.

    Returns:
        An array of shape (num,).

    Raises:
        ValueError: `num` is negative.

    Example:
        >>> import mlx.core as mx
        >>> mx.linspace(0, 1, 5)
        array([0, 0.25, 0.5, 0.75, 1], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "linspace")
    count = one_integer(num, "linspace", "num")  # type: ignore[arg-type]
    if count < 0:
        raise ValueError(f"[linspace] number of samples, {count}, must be non-negative.")
    dtype = float32 if dtype is None else dtype_argument(dtype, "linspace")
    wide = float64 if dtype is float64 else float32
    first, last = (_end_of_interval(end, name, wide) for end, name in ((start, "start"), (stop, "stop")))
    steps = max(count - 1, 1) if flag(endpoint, "linspace", "endpoint") else count
    fraction = ARANGE(scalar_node(0, wide), scalar_node(1, wide), count) / (steps or 1)
    return wrap(cast(first * (1 - fraction) + last * fraction, dtype))


def _end_of_interval(end: Any, name: str, dtype: Dtype) -> Node:
    if isinstance(end, int | float):
        return scalar_node(float(end), dtype)
    if is_operand(end):
        x = node_of(end, "linspace", name)
        if x.size == 1 and not x.dtype.is_complex:
            return cast(reshape(x, ()), dtype)
    raise TypeError(f"[linspace] {name} must be a real number, got {end!r}.")

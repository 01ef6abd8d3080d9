"""How arrays print: as the reference does, six significant digits, the middle of long axes left out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from operator import index
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype

__all__ = [
    "PrintOptions",
    "get_printoptions",
    "set_printoptions",
    "printoptions",
]

EDGE = 3  # entries shown at each end of an axis that is longer than twice that
_LARGEST = 2**31 - 1
SHORTEST = -1  # the precision that stands for up to six significant digits, as few as say the number


class PrintOptions:
    """How arrays print.

    Args:
        precision: digits after the point of floating values; -1 prints up to six significant digits and no trailing
            zeros.

    Raises:
        TypeError: `precision` is no int of 32 bits.

    Example:
        >>> import mlx.core as mx
        >>> mx.PrintOptions(precision=3).precision
        3
    """

    __slots__ = ("precision",)

    def __init__(self, precision: int = SHORTEST) -> None:
        self.precision = _checked(precision, "PrintOptions")

    def __repr__(self) -> str:
        return f"PrintOptions(precision={self.precision})"


def _checked(precision: Any, function: str) -> int:
    try:
        if -_LARGEST <= (digits := index(precision)) <= _LARGEST:
            return digits
    except TypeError:
        pass
    raise TypeError(f"[{function}] precision must be an int of 32 bits, got {precision!r}.")


_options = PrintOptions()


def get_printoptions() -> PrintOptions:
    """The print options of this process.

    Example:
        >>> import mlx.core as mx
        >>> mx.get_printoptions()
        PrintOptions(precision=-1)
    """
    return PrintOptions(_options.precision)


def set_printoptions(precision: int = SHORTEST) -> None:
    """Set how arrays print in this process.

    Args:
        precision: digits after the point of floating values; -1 prints up to six significant ones.

    Raises:
        TypeError: `precision` is no int of 32 bits.

    Example:
        >>> import mlx.core as mx
        >>> mx.set_printoptions(precision=2)
        >>> mx.array(1 / 3)
        array(0.33, dtype=float32)
        >>> mx.set_printoptions()
        >>> mx.array(1 / 3)
        array(0.333333, dtype=float32)
    """
    _options.precision = _checked(precision, "set_printoptions")


def printoptions(precision: int = SHORTEST) -> AbstractContextManager[PrintOptions]:
    """Print with other options inside a `with` block.

    Args:
        precision: digits after the point of floating values; -1 prints up to six significant ones.

    Raises:
        TypeError: `precision` is no int of 32 bits.

    Example:
        >>> import mlx.core as mx
        >>> with mx.printoptions(precision=3):
        ...     print(mx.array([1 / 3, 2]))
        array([0.333, 2.000], dtype=float32)
    """
    return _printing_with(_checked(precision, "printoptions"))


@contextmanager
def _printing_with(precision: int) -> Iterator[PrintOptions]:
    before = _options.precision
    _options.precision = precision
    try:
        yield get_printoptions()
    finally:
        _options.precision = before


def render(value: np.ndarray[Any, Any], dtype: Dtype) -> str:
    """The text of an array, for example `array([1, 2], dtype=int32)`."""
    return f"array({_body(value, dtype, len('array('))}, dtype={dtype.name})"


def _body(value: np.ndarray[Any, Any], dtype: Dtype, indent: int) -> str:
    if value.ndim == 0:
        return _element(float(value) if dtype.is_half else value.item(), dtype)
    count = len(value)
    if count > 2 * EDGE:
        shown = [*range(EDGE), None, *range(count - EDGE, count)]
    else:
        shown = list(range(count))
    parts = ["..." if i is None else _body(value[i, ...], dtype, indent + 1) for i in shown]
    separator = ", " if value.ndim == 1 else ",\n" + " " * (indent + 1)
    return "[" + separator.join(parts) + "]"


def _element(value: Any, dtype: Dtype) -> str:
    if dtype.is_complex:
        sign = "" if value.imag < 0 else "+"
        return f"{_number(value.real)}{sign}{_number(value.imag)}j"
    return _number(value) if dtype.is_floating else str(value)


def _number(value: float) -> str:
    precision = _options.precision
    return f"{value:.6g}" if precision < 0 else f"{value:.{precision}f}"

"""How arrays print: as the reference does, six significant digits, the middle of long axes left out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype

EDGE = 3  # entries shown at each end of an axis that is longer than twice that


class PrintOptions:
    """How arrays print: `precision` is the number of significant digits of floating values."""

    def __init__(self, precision: int = 6) -> None:
        self.precision = precision

    def __repr__(self) -> str:
        return f"PrintOptions(precision={self.precision})"


class _Options(threading.local):
    precision = 6


_options = _Options()


def get_printoptions() -> PrintOptions:
    """The print options of this thread."""
    return PrintOptions(_options.precision)


def set_printoptions(precision: int = 6) -> None:
    """Set how many significant digits of floating values are printed.

    Raises:
        ValueError: `precision` is negative.
    """
    if precision < 0:
        raise ValueError(f"[set_printoptions] precision must not be negative, got {precision}")
    _options.precision = int(precision)


@contextmanager
def printoptions(precision: int = 6) -> Iterator[None]:
    """Print with other options inside a `with` block.

    Example:
        >>> import mlx.core as mx
        >>> with mx.printoptions(precision=3):
        ...     print(mx.array(1 / 3))
        array(0.333, dtype=float32)
    """
    before = _options.precision
    set_printoptions(precision)
    try:
        yield
    finally:
        _options.precision = before


def render(value: np.ndarray[Any, Any], dtype: Dtype) -> str:
    """The text of an array, for example `array([1, 2], dtype=int32)`."""
    return f"array({_body(value, dtype, len('array('))}, dtype={dtype.name})"


def _body(value: np.ndarray[Any, Any], dtype: Dtype, indent: int) -> str:
    if value.ndim == 0:
        return _element(value.item() if dtype.size != 2 or not dtype.is_floating else float(value), dtype)
    count = len(value)
    if count > 2 * EDGE:
        shown = [*range(EDGE), None, *range(count - EDGE, count)]
    else:
        shown = list(range(count))
    parts = ["..." if i is None else _body(value[i], dtype, indent + 1) for i in shown]
    separator = ", " if value.ndim == 1 else ",\n" + " " * (indent + 1)
    return "[" + separator.join(parts) + "]"


def _element(value: Any, dtype: Dtype) -> str:
    if dtype.is_complex:
        return f"{_number(value.real)}{_number(value.imag) if value.imag < 0 else '+' + _number(value.imag)}j"
    return _number(value) if dtype.is_floating else str(value)


def _number(value: float) -> str:
    return f"{value:.{_options.precision}g}"

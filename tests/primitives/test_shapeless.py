"""Shapeless compile of every primitive: a trace made for some sizes gives for others what the function itself gives.

The cases are those of the table; each is traced on some of the sizes below and called with all the others. Where the
function refuses sizes, so must its compiled form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from case import Case
from test_table import BATCHED, CASES, DIFFERENTIABLE, numpy_of, real_part

import mlx.core as mx

Resize = Callable[[int, int], int]  # from an axis and its extent to its new extent

SIZES: dict[str, Resize] = {
    "as given": lambda axis, extent: extent,
    "twice": lambda axis, extent: 2 * extent,
    "longer first axis": lambda axis, extent: extent + 2 if axis == 0 and extent > 1 else extent,
    "one less": lambda axis, extent: extent - 1 if extent > 2 else extent,
    "ones enlarged": lambda axis, extent: 3 if extent == 1 else extent,
    "all ones": lambda axis, extent: min(extent, 1),
    "empty": lambda axis, extent: 0,
}
TRACED = ("as given", "twice", "all ones")  # the sizes of the traces

# Called past the checks of public functions, these leave what they compute for these sizes undefined.
UNDEFINED = {"gathered_matmul-strided": ("twice",)}

# What may be traced anew when all sizes double: where the parity of a number decides, where a matrix becomes high that
# was wide, where the factors of an extent matter, where the case slices by one, and where a constant of the case meets
# its inputs.
RETRACED = ("hadamard", "lu-shapes", "qr", "svd", "matrix_root", "root_change", "sort-median")


def resized(x: Any, resize: Resize) -> Any:
    """An input with axes of other extents: repeated or cut, and floats moved a little so that there are no ties."""
    if not isinstance(x, np.ndarray) or not x.ndim:
        return x
    shape = tuple(resize(axis, extent) for axis, extent in enumerate(x.shape))
    if shape == x.shape or 0 in shape:
        return x if shape == x.shape else np.zeros(shape, x.dtype)
    index = np.ix_(*(np.arange(extent) % max(old, 1) for extent, old in zip(shape, x.shape, strict=True)))
    out = x[index] if x.size else np.zeros(shape, x.dtype)
    if x.dtype.kind != "f":
        return out
    out = out + 1e-2 * np.random.default_rng(5).random(shape)
    if len(shape) > 1 and shape[-1] == shape[-2]:
        out = out + np.eye(shape[-1])  # a repeated matrix is singular
    return out.astype(x.dtype)


def inputs_of(case: Case, resize: Resize, dtype: Any = None) -> list[Any]:
    return [
        (mx.array(y) if dtype is None or i not in case.wrt else mx.array(y, dtype)) if isinstance(y, np.ndarray) else y
        for i, y in enumerate(resized(x, resize) for x in case.inputs)
    ]


class Refused:
    """What a function gives that raises."""

    def __init__(self, error: Exception) -> None:
        self.error = repr(error)  # its traceback would hold what was not computed
        # Only known masks can be counted, which those of a program are not.
        self.depends_on_values = "mask has" in str(error)


def outcome(function: Callable[..., Any], inputs: Sequence[Any]) -> Any:
    """What a function gives: its result as a list of arrays, or how it was refused."""
    try:
        with np.errstate(all="ignore"):
            result = function(*inputs)
            mx.eval(result)
    except (ValueError, IndexError, RuntimeError, TypeError, OverflowError) as error:
        return Refused(error)
    return list(result) if isinstance(result, list | tuple) else [] if result is None else [result]


def check_every_size(function: Callable[..., Any], inputs_at: dict[str, list[Any]]) -> list[tuple[str, str]]:
    """Trace `function` for some sizes and compare on all; returns from which to which it was traced anew."""
    expected = {name: outcome(function, inputs) for name, inputs in inputs_at.items()}
    again = []
    runs = [0]

    def counted(*inputs: Any) -> Any:
        runs[0] += 1
        return function(*inputs)

    for first in TRACED:
        if first not in expected or isinstance(expected[first], Refused):
            continue
        compiled = None
        for name, inputs in inputs_at.items():
            if name == first:
                continue
            if compiled is None:
                compiled = mx.compile(counted, shapeless=True)
                compare(outcome(compiled, inputs_at[first]), expected[first], f"traced for {first}")
            runs[0] = 0
            compare(outcome(compiled, inputs), expected[name], f"traced for {first}, called with {name}")
            if runs[0]:  # the next sizes are to meet the first trace again
                compiled = None
                if not isinstance(expected[name], Refused):
                    again.append((first, name))
    return again


def compare(got: Any, expected: Any, message: str) -> None:
    if isinstance(expected, Refused):
        assert isinstance(got, Refused) or expected.depends_on_values, f"{message}: no {expected.error}"
        return
    assert not isinstance(got, Refused), f"{message}: {got.error}"
    for result, value in zip(got, expected, strict=True):
        assert result.shape == value.shape, message
        assert result.dtype == value.dtype, message
        np.testing.assert_allclose(numpy_of(result), numpy_of(value), rtol=1e-5, atol=1e-6, err_msg=message)


def sizes_of(case: Case) -> dict[str, Resize]:
    return {name: resize for name, resize in SIZES.items() if name not in UNDEFINED.get(str(case), ())}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values(case: Case) -> None:
    with mx.engine("numpy"):
        again = check_every_size(
            case.function, {name: inputs_of(case, resize) for name, resize in sizes_of(case).items()}
        )
    assert ("as given", "twice") not in again or str(case).startswith(RETRACED)


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=str)
def test_gradients(case: Case) -> None:
    def loss(*inputs: Any) -> Any:
        return mx.sin(real_part(case.function(*inputs))).sum()

    gradient = mx.grad(loss, case.wrt)
    with mx.engine("numpy"):
        again = check_every_size(
            gradient, {name: inputs_of(case, resize, mx.float64) for name, resize in sizes_of(case).items()}
        )
    assert ("as given", "twice") not in again or str(case).startswith(RETRACED)


@pytest.mark.parametrize("case", BATCHED, ids=str)
def test_batching(case: Case) -> None:
    axes = tuple(0 if isinstance(x, np.ndarray) else None for x in case.inputs)
    mapped = mx.vmap(case.function, in_axes=axes)

    def stacked(resize: Resize, size: int) -> list[Any]:
        return [mx.stack([x] * size) if isinstance(x, mx.array) else x for x in inputs_of(case, resize)]

    with mx.engine("numpy"):
        inputs_at = {name: stacked(resize, 3 if name == "twice" else 2) for name, resize in sizes_of(case).items()}
        check_every_size(mapped, inputs_at)

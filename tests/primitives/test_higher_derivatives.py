"""Second and third derivatives of elementwise primitives, and the symmetry of every Hessian.

Each derivative is compared with differences of the one below it, in float64, by reverse mode alone and by forward mode
over reverse mode. The functions and the points are those of the table.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from case import Case
from test_table import DIFFERENTIABLE, along, arrays_of, directions, scalar_loss

import mlx.core as mx
from mlx.ir.primitive import PRIMITIVES
from mlx.primitives.elementwise import Elementwise

NAMES = {name for name, primitive in PRIMITIVES.items() if isinstance(primitive, Elementwise)}
MORE = {"conjugate", "imag", "integer_power", "real", "select", "weigh"}  # elementwise, with rules of their own
ELEMENTWISE = [case for case in DIFFERENTIABLE if case.primitive in NAMES | MORE and case.second and not case.coarse]
PER_PROGRAM = 12  # cases that XLA compiles together

# From the function's own arrays to a number.
Scalar = Callable[..., Any]


def test_no_elementwise_primitive_is_missing() -> None:
    declared = {name for name in NAMES | MORE if PRIMITIVES[name].differentiable}
    assert declared - {case.primitive for case in ELEMENTWISE} == {"conjugate", "imag", "real"}  # linear, of float32


def slope(function: Scalar, direction: list[np.ndarray]) -> Scalar:
    """The derivative along a direction, by reverse mode."""
    argnums = list(range(len(direction)))

    def sloped(*moving: Any) -> Any:
        gradients = mx.grad(function, argnums)(*moving)
        return along(gradients if len(argnums) > 1 else [gradients], direction)

    return sloped


def pushed(function: Scalar, direction: list[np.ndarray]) -> Scalar:
    """The same by forward mode."""

    def sloped(*moving: Any) -> Any:
        _, (tangent,) = mx.jvp(function, list(moving), [mx.array(v, mx.float64) for v in direction])
        return tangent

    return sloped


class Derivatives:
    """The first three derivatives of a case's loss along three directions, and what differences make of them."""

    def __init__(self, case: Case) -> None:
        loss, self.points = scalar_loss(case, arrays_of(case))
        self.directions = [directions(self.points, seed) for seed in (11, 12, 13)]
        first = slope(loss, self.directions[0])
        second = slope(first, self.directions[1])
        third = slope(second, self.directions[2])
        mixed = pushed(pushed(first, self.directions[1]), self.directions[2])
        self.below = [first, second]
        self.functions = [second, third, mixed]

    def recorded(self) -> list[Any]:
        """The second derivative, the third, and the third by forward mode twice over reverse mode."""
        moving = [mx.array(x, mx.float64) for x in self.points]
        return [function(*moving) for function in self.functions]

    @functools.cached_property
    def expected(self) -> list[float]:
        second, third = (
            self.difference(function, direction)
            for function, direction in zip(self.below, self.directions[1:], strict=True)
        )
        return [second, third, third]

    def difference(self, function: Scalar, direction: list[np.ndarray], step: float = 2e-4) -> float:
        """A derivative by central differences of fourth order."""
        moved = [
            function(*(mx.array(x + sign * step * v, mx.float64) for x, v in zip(self.points, direction, strict=True)))
            for sign in (-2, -1, 1, 2)
        ]
        with mx.engine("numpy"):
            mx.eval(moved)
        values = [x.item() for x in moved]
        return (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)


@functools.cache
def derivatives_of(position: int) -> Derivatives:
    return Derivatives(ELEMENTWISE[position])


@functools.cache
def compiled_together(group: int) -> list[list[float]]:
    """The derivatives of a group of cases, computed by one program."""
    positions = range(group * PER_PROGRAM, min((group + 1) * PER_PROGRAM, len(ELEMENTWISE)))
    recorded = [derivatives_of(position).recorded() for position in positions]
    with mx.engine("xla"):
        mx.eval(recorded)
    return [[x.item() for x in each] for each in recorded]


def check(position: int, values: list[float]) -> None:
    np.testing.assert_allclose(values, derivatives_of(position).expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("position", range(len(ELEMENTWISE)), ids=[str(case) for case in ELEMENTWISE])
def test_second_and_third_derivatives(position: int) -> None:
    with mx.engine("numpy"):
        values = [x.item() for x in derivatives_of(position).recorded()]
    check(position, values)


@pytest.mark.parametrize("position", range(len(ELEMENTWISE)), ids=[str(case) for case in ELEMENTWISE])
def test_second_and_third_derivatives_compiled(position: int) -> None:
    group, place = divmod(position, PER_PROGRAM)
    check(position, compiled_together(group)[place])


@pytest.mark.parametrize("case", [case for case in DIFFERENTIABLE if case.second and not case.coarse], ids=str)
def test_hessians_are_symmetric(case: Case) -> None:
    loss, points = scalar_loss(case, arrays_of(case))
    argnums = tuple(range(len(points)))
    moving = [mx.array(x, mx.float64) for x in points]
    with mx.engine("numpy"):
        blocks = mx.hessian(loss, argnums)(*moving)
        mx.eval(blocks)
    rows = blocks if len(argnums) > 1 else ((blocks,),)
    hessian = np.block(
        [
            [np.array(block).reshape(x.size, y.size) for block, y in zip(row, points, strict=True)]
            for row, x in zip(rows, points, strict=True)
        ]
    )
    np.testing.assert_allclose(hessian, hessian.T, rtol=1e-9, atol=1e-9 * float(np.abs(hessian).max(initial=1.0)))

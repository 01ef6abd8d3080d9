"""Every transform inside every other, and a sample of three inside each other, on both engines.

The transforms and the values that are expected come from `transform_table`. A test is named after its nesting:
`grad-of-vmap` differentiates a mapped function.
"""

from __future__ import annotations

import functools
import itertools
import random
from typing import Any

import pytest
from transform_table import POINT, TRANSFORMS, Nesting, expected, name_of, transformed

import mlx.core as mx
from mlx.ir.node import recorder

ENGINES = ("numpy", "xla")

SINGLE = [(name,) for name in TRANSFORMS]
PAIRS = list(itertools.product(TRANSFORMS, repeat=2))
TRIPLES = random.Random(0).sample(list(itertools.product(TRANSFORMS, repeat=3)), 96)
COMPILED_TRIPLES = TRIPLES[:32]


def recorded(nesting: Nesting) -> Any:
    """The value of a nesting, not yet evaluated; or the error that it raises."""
    try:
        return transformed(nesting)(mx.array(POINT, mx.float64))
    except Exception as error:
        return error


@functools.cache
def values(engine: str, nestings: tuple[Nesting, ...]) -> dict[Nesting, float | Exception]:
    """The values of some nestings, evaluated as one program."""
    with mx.engine(engine):
        outputs = {nesting: recorded(nesting) for nesting in nestings}
        mx.eval([output for output in outputs.values() if isinstance(output, mx.array)])
        return {
            nesting: output if isinstance(output, Exception) else output.item() for nesting, output in outputs.items()
        }


def check(engine: str, nesting: Nesting, together: list[Nesting]) -> None:
    """Compare one nesting; it is evaluated together with all that have the same outermost transform."""
    value = values(engine, tuple(other for other in together if other[0] == nesting[0]))[nesting]
    if isinstance(value, Exception):
        raise value
    assert value == pytest.approx(expected(nesting), rel=1e-12)
    assert recorder().open_transforms == 0


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("nesting", SINGLE, ids=name_of)
def test_alone(nesting: Nesting, engine: str) -> None:
    check(engine, nesting, SINGLE)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("nesting", PAIRS, ids=name_of)
def test_pairs(nesting: Nesting, engine: str) -> None:
    check(engine, nesting, PAIRS)


@pytest.mark.parametrize("nesting", TRIPLES, ids=name_of)
def test_triples(nesting: Nesting) -> None:
    check("numpy", nesting, TRIPLES)


@pytest.mark.parametrize("nesting", COMPILED_TRIPLES, ids=name_of)
def test_triples_on_xla(nesting: Nesting) -> None:
    check("xla", nesting, COMPILED_TRIPLES)

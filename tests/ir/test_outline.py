"""Outlines: which sequences of nodes count as the same program, and how many are remembered."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

import mlx.ir.outline as outlines
from mlx.ir.dtypes import float32
from mlx.ir.node import Node, recorder
from mlx.ir.outline import Outline, Outlines
from mlx.ir.primitive import PLACEHOLDER, leaf, scalar_node
from mlx.primitives.arithmetic import ADD, MULTIPLY
from mlx.primitives.shape import RESHAPE

Build = Callable[[Node, Node], list[Node]]


def placeholder(*shape: int) -> Node:
    return leaf(PLACEHOLDER, ("test",), shape, float32, None)


@pytest.fixture(autouse=True)
def nothing_pending() -> None:
    recorder().pending.clear()


def chain(first: Node, second: Node) -> list[Node]:
    total = ADD(first, second)
    product = MULTIPLY(total, second)
    return [total, product, ADD(product, total)]


def test_the_same_steps_on_other_operands_have_the_same_outline() -> None:
    outline = Outline(chain(placeholder(2), placeholder(2)), exact=True)
    x, y = placeholder(2), placeholder(2)
    assert outline.leaves(chain(x, y)) == [x, y]


def test_operands_in_other_places_do_not() -> None:
    outline = Outline(chain(placeholder(2), placeholder(2)), exact=True)

    def other(first: Node, second: Node) -> list[Node]:
        total = ADD(first, second)
        product = MULTIPLY(total, first)
        return [total, product, ADD(product, total)]

    def crossed(first: Node, second: Node) -> list[Node]:
        total = ADD(first, second)
        product = MULTIPLY(total, second)
        return [total, product, ADD(total, product)]

    for build in (other, crossed):
        assert outline.leaves(build(placeholder(2), placeholder(2))) is None


def test_shapes_of_leaves_and_parameters_count() -> None:
    def build(x: Node, shape: tuple[int, ...]) -> list[Node]:
        return [RESHAPE(x, shape)]

    outline = Outline(build(placeholder(4), (2, 2)), exact=True)
    x = placeholder(4)
    assert outline.leaves(build(x, (2, 2))) == [x]
    assert outline.leaves(build(placeholder(4), (4, 1))) is None
    assert outline.leaves([RESHAPE(placeholder(2, 2), (2, 2))]) is None


@pytest.mark.parametrize(
    ("before", "now", "exactly", "roughly"),
    [
        (2.0, 2.0, True, True),
        (2.0, 3.0, False, True),
        (2.0, math.nan, False, True),
        (1.0, 1.0, True, True),
        (2.0, 1.0, False, False),  # rules simplify a factor of one
        (0.0, -0.0, False, False),
        (math.nan, math.nan, True, True),
    ],
)
def test_python_numbers_count_where_rules_look_at_them(before: float, now: float, exactly: bool, roughly: bool) -> None:
    def build(number: float) -> list[Node]:
        return [MULTIPLY(placeholder(2), scalar_node(number, float32))]

    for exact, same in ((True, exactly), (False, roughly)):
        assert (Outline(build(before), exact).leaves(build(now)) is not None) is same


def test_a_number_is_no_array_without_axes() -> None:
    number, array = scalar_node(2.0, float32), placeholder()
    x = placeholder(2)
    assert Outline([MULTIPLY(x, number)], exact=False).leaves([MULTIPLY(x, array)]) is None
    assert Outline([MULTIPLY(x, array)], exact=False).leaves([MULTIPLY(x, number)]) is None


def test_ends_count_as_operands() -> None:
    def build() -> tuple[list[Node], Node]:
        nodes = chain(placeholder(2), placeholder(2))
        return nodes, placeholder(2)

    nodes, other = build()
    outline = Outline(nodes, exact=True, ends=(nodes[2], other))
    nodes, other = build()
    leaves = outline.leaves(nodes, (nodes[2], other))
    assert leaves is not None
    assert leaves[2] is other
    assert outline.leaves(nodes, (nodes[1], other)) is None
    assert outline.leaves(nodes, (nodes[2],)) is None


def test_what_comes_again_is_learned_and_what_always_differs_ever_more_seldom() -> None:
    known: Outlines[int] = Outlines()
    nodes = chain(placeholder(2), placeholder(2))
    variants = known.of(nodes)
    assert known.of(chain(placeholder(3), placeholder(3))) is variants
    learned = [variants.missed() for _ in range(100)]
    assert [number for number, should in enumerate(learned, 1) if should] == [2, 4, 8, 16, 32, 64]


def test_what_has_not_fitted_for_long_is_seldom_tried() -> None:
    known: Outlines[int] = Outlines()
    variants = known.of(chain(placeholder(2), placeholder(2)))
    known.learn(variants, 1)
    tried = []
    for _ in range(100):
        tried.append(bool(variants.candidates))
        variants.missed()
    assert tried[: outlines.PATIENCE] == [True] * outlines.PATIENCE
    assert [number for number, was in enumerate(tried) if was and number >= outlines.PATIENCE] == [16, 32, 64]
    assert not variants.candidates
    variants.fits()
    assert variants.candidates


def test_variants_and_nodes_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlines, "NODES_KEPT", 30)
    known: Outlines[int] = Outlines()
    first = known.of(chain(placeholder(2), placeholder(2)))
    for number in range(20):
        known.learn(first, number)
    assert first.candidates == list(range(20 - outlines.VARIANTS_KEPT, 20))

    nodes = chain(placeholder(2), placeholder(2))
    sequences = [known.of(nodes * count) for count in range(2, 5)]  # 6 + 9 + 12 nodes beside the 27 of the first
    assert known.of(nodes) is not first
    assert known.of(nodes * 4) is sequences[-1]
    for _ in range(100):
        known.learn(first, 0)  # it is forgotten, and counts no more
    assert known.of(nodes * 4) is sequences[-1]

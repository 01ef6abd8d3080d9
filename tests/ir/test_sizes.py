"""Sizes: integers that remember their arithmetic, and the decisions taken on them."""

from __future__ import annotations

import operator
from math import prod
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlx.arrays.selection import steps
from mlx.ir.primitive import broadcast_shape
from mlx.ir.sizes import Size, Sizes, broadcast_extent, depends_on_sizes, fixed, index, require_equal, resolved, settled

EXTENTS = st.integers(0, 12)
OPERATIONS = (operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod, max, min)


def traced(*shape: int) -> tuple[Sizes, tuple[int, ...]]:
    sizes = Sizes()
    return sizes, sizes.of_input(0, shape)


@given(EXTENTS, EXTENTS, EXTENTS, EXTENTS, st.lists(st.tuples(st.sampled_from(OPERATIONS), st.booleans()), max_size=6))
def test_arithmetic_is_repeated_for_other_sizes(a: int, b: int, c: int, d: int, program: Any) -> None:
    """What a trace made for (a, b) computes for (c, d) is what plain integers give, unless it does not serve them."""

    def run(x: Any, y: Any) -> Any:
        for operation, with_constant in program:
            x = operation(x, 3 if with_constant else y)
        return x

    def plainly(x: int, y: int) -> Any:
        try:
            return run(x, y)
        except ZeroDivisionError:
            return ZeroDivisionError

    sizes, shape = traced(a, b)
    with sizes:
        result = plainly(*shape)
    assert result == plainly(a, b)
    values = sizes.values([(c, d)])
    if result is not ZeroDivisionError and values is not None:
        assert resolved(result, values) == plainly(c, d)
    assert sizes.values([(a, b)]) is not None


def test_decisions_tell_which_sizes_a_trace_serves() -> None:
    sizes, (n,) = traced(4)
    with sizes:
        assert n > 2
        assert n != 7
    assert sizes.values([(3,)]) is not None
    assert sizes.values([(2,)]) is None
    assert sizes.values([(7,)]) is None


def test_a_comparison_of_a_size_with_itself_decides_nothing() -> None:
    sizes, (n, m) = traced(4, 4)
    with sizes:
        assert n + 1 == n + 1
        assert n * m <= n * m
    assert not sizes.decisions
    with sizes:
        assert n == m
    assert sizes.values([(5, 5)]) is not None
    assert sizes.values([(5, 6)]) is None


@pytest.mark.parametrize(
    "use",
    [int, float, hash, lambda n: n / 3, lambda n: n**2, lambda n: round(n), lambda n: {n: 1}, fixed, lambda n: n + 0.5],
    ids=["int", "float", "hash", "quotient", "power", "round", "key", "fixed", "float on the right"],
)
def test_what_cannot_be_written_down_fixes_the_size(use: Any) -> None:
    sizes, (n,) = traced(4)
    with sizes:
        assert type(n) is Size
        assert use(n) == use(4)
    assert sizes.values([(4,)]) is not None
    assert sizes.values([(5,)]) is None


def test_nothing_is_noted_once_the_trace_is_recorded() -> None:
    sizes, (n,) = traced(4)
    with sizes:
        pass
    assert type(n + 1) is int
    assert n == 4
    assert not sizes.decisions


def test_sums_products_and_indices_keep_the_sizes() -> None:
    sizes, shape = traced(2, 3)
    with sizes:
        computed = (prod(shape), sum(shape), index(shape[0]), -shape[1], divmod(shape[1], 2), True)
    values = sizes.values([(5, 7)])
    assert values is not None
    assert depends_on_sizes(computed)
    assert resolved(computed, values) == (35, 12, 5, -7, (3, 1), True)
    assert not sizes.decisions


def test_settling_fixes_all_sizes_of_a_parameter() -> None:
    sizes, (n, _) = traced(2, 3)
    with sizes:
        plain = settled(((n, 5), "text"))
    assert plain == ((2, 5), "text")
    assert type(plain[0][0]) is int
    assert sizes.values([(2, 9)]) is not None
    assert sizes.values([(3, 3)]) is None


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_broadcasting_without_decisions(a: int, b: int, c: int, d: int) -> None:
    def expected(x: int, y: int) -> int | None:
        try:
            return broadcast_shape((x,), (y,))[0]
        except ValueError:
            return None

    sizes, (n, m) = traced(a, b)
    with sizes:
        if expected(a, b) is None:
            with pytest.raises(ValueError, match="broadcast"):
                broadcast_extent(n, m)
            return
        result = broadcast_extent(n, m)
    assert result == expected(a, b)
    assert not sizes.decisions
    values = sizes.values([(c, d)])
    assert (None if values is None else resolved(result, values)) == expected(c, d)


def test_requirements_are_errors_where_they_are_not_met() -> None:
    sizes, (n,) = traced(6)
    with sizes:
        require_equal(n % 3, 0, "three do not fit")
        with pytest.raises(ValueError, match="never"):
            require_equal(n, 5, "never")
    assert sizes.values([(9,)]) is not None
    with pytest.raises(ValueError, match="three do not fit"):
        sizes.values([(10,)])


def test_sizes_of_an_outer_trace_are_fixed_where_they_meet_those_of_an_inner_one() -> None:
    outer, (n,) = traced(4)
    inner, (m,) = traced(4)
    with outer, inner:
        total = m + n
    values = inner.values([(7,)])
    assert values is not None
    assert resolved(total, values) == 11
    assert outer.values([(5,)]) is None


@given(
    st.integers(-6, 6) | st.none(),
    st.integers(-6, 6) | st.none(),
    st.integers(-3, 3).filter(bool) | st.none(),
    st.integers(0, 7),
    st.integers(0, 7),
)
def test_slices_follow_the_extent(
    start: int | None, stop: int | None, step: int | None, first: int, other: int
) -> None:
    key = slice(start, stop, step)

    def expected(extent: int) -> tuple[int, int, int]:
        chosen = range(*key.indices(extent))
        return min(chosen[0], chosen[-1]) if chosen else -1, len(chosen), chosen.step

    def comparable(found: tuple[int, int, int]) -> tuple[int, int, int]:
        lowest, count, step = found
        return lowest if count else -1, count, step

    assert comparable(steps(key, first)) == expected(first)
    sizes, (n,) = traced(first)
    with sizes:
        found = steps(key, n)
    assert comparable(found) == expected(first)
    values = sizes.values([(other,)])
    if values is not None:
        assert comparable(resolved(found, values)) == expected(other)

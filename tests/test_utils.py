"""The tree functions: properties that hold for every tree, exact results, and errors that name the place."""

from collections import OrderedDict
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlx.utils import (
    tree_flatten,
    tree_map,
    tree_map_with_path,
    tree_merge,
    tree_reduce,
    tree_unflatten,
)


class Point(NamedTuple):
    x: Any
    y: Any


class Vector(tuple):
    pass


class Row(list):
    pass


names = st.text("abc_-é", min_size=1, max_size=3)


def trees(leaves: st.SearchStrategy, *, tuples: bool) -> st.SearchStrategy:
    """Trees without empty containers, whose keys have no dots and are no numbers."""

    def containers(children: st.SearchStrategy) -> st.SearchStrategy:
        lists = st.lists(children, min_size=1, max_size=3)
        kinds = [lists, st.dictionaries(names, children, min_size=1, max_size=3)]
        if tuples:
            kinds += [lists.map(tuple), lists.map(Row), lists.map(Vector), st.builds(Point, children, children)]
        return st.one_of(kinds)

    return st.recursive(leaves, containers, max_leaves=12)


integers = st.integers(-9, 9)


@given(trees(integers, tuples=False))
def test_flatten_and_unflatten_are_inverse(tree):
    assert tree_unflatten(tree_flatten(tree)) == tree
    assert tree_unflatten(tree_flatten(tree, destination={})) == tree


@given(trees(integers, tuples=True))
def test_map_keeps_structure_and_types(tree):
    mapped = tree_map(lambda leaf: leaf, tree)
    assert mapped == tree
    assert repr(mapped) == repr(tree)


@given(trees(integers, tuples=True))
def test_maps_compose(tree):
    twice = tree_map(lambda leaf: leaf + 1, tree_map(lambda leaf: leaf * 2, tree))
    assert twice == tree_map(lambda leaf: leaf * 2 + 1, tree)


@given(trees(integers, tuples=True))
def test_map_over_several_trees_meets_equal_places(tree):
    negative = tree_map(lambda leaf: -leaf, tree)
    sums = tree_map(lambda a, b, c: a + b + c, tree, negative, tree)
    assert sums == tree


@given(trees(integers, tuples=True))
def test_paths_are_those_of_flatten(tree):
    paths = tree_map_with_path(lambda path, leaf: (path or "") + "!", tree, is_leaf=None)
    assert [f"{path}!" for path, _ in tree_flatten(tree)] == [leaf for _, leaf in tree_flatten(paths)]


@given(trees(integers, tuples=True))
def test_reduce_combines_what_flatten_lists(tree):
    assert tree_reduce(lambda seen, leaf: [*seen, leaf], tree, []) == [leaf for _, leaf in tree_flatten(tree)]


@given(trees(integers, tuples=True))
def test_merge_puts_parts_together(tree):
    even = tree_map(lambda leaf: leaf if leaf % 2 == 0 else None, tree)
    odd = tree_map(lambda leaf: leaf if leaf % 2 else None, tree)
    assert tree_merge(even, odd, lambda a, b: pytest.fail("no place is taken twice")) == tree
    assert tree_merge(tree, tree, lambda a, b: a + b) == tree_map(lambda leaf: 2 * leaf, tree)


def test_flatten_names_leaves_by_their_paths():
    tree = [[1, {"a": (2, 3)}], Point(4, 5), "text", None, {}, [], {"empty": ()}]
    assert tree_flatten(tree) == [
        ("0.0", 1),
        ("0.1.a.0", 2),
        ("0.1.a.1", 3),
        ("1.0", 4),
        ("1.1", 5),
        ("2", "text"),
        ("3", None),
    ]
    assert tree_flatten(3) == [("", 3)]
    assert tree_flatten({1: 2, "b": 3}) == [("1", 2), ("b", 3)]


def test_flatten_drops_the_first_character_of_the_prefix():
    assert tree_flatten({"a": [1]}, prefix=".model") == [("model.a.0", 1)]
    assert tree_flatten(1, prefix=".model") == [("model", 1)]


def test_flatten_adds_to_a_destination():
    pairs = [("z", 0)]
    assert tree_flatten({"a": 1}, destination=pairs) is pairs
    assert pairs == [("z", 0), ("a", 1)]
    by_path = OrderedDict(z=0)
    assert tree_flatten({"a": [1]}, destination=by_path) is by_path
    assert dict(by_path) == {"z": 0, "a.0": 1}
    with pytest.raises(ValueError, match=r"\[tree_flatten\] destination must be a list, a dict or None"):
        tree_flatten({}, destination=())


def test_is_leaf_stops_every_walk():
    tree = {"a": [1, 2], "b": [[3]]}

    def is_numbers(node):
        return isinstance(node, list) and isinstance(node[0], int)

    assert tree_flatten(tree, is_leaf=is_numbers) == [("a", [1, 2]), ("b.0", [3])]
    assert tree_map(len, tree, is_leaf=is_numbers) == {"a": 2, "b": [1]}
    assert tree_map_with_path(lambda path, leaf: path, tree, is_leaf=is_numbers) == {"a": "a", "b": ["b.0"]}
    assert tree_reduce(lambda total, leaf: total + len(leaf), tree, 0, is_leaf=is_numbers) == 3


def test_map_turns_dictionaries_into_plain_ones_and_keeps_other_types():
    mapped = tree_map(lambda leaf: leaf, OrderedDict(b=Row([1]), a=Vector([2])))
    assert type(mapped) is dict
    assert list(mapped) == ["b", "a"]
    assert type(mapped["b"]) is Row
    assert type(mapped["a"]) is Vector


def test_map_reads_only_what_the_first_tree_has():
    assert tree_map(lambda a, b: (a, b), {"a": 1}, {"a": {"deep": 2}, "b": 3}) == {"a": (1, {"deep": 2})}
    assert tree_map(lambda a, b: (a, b), [1], (2, 3)) == [(1, 2)]


@pytest.mark.parametrize(
    ("other", "error"),
    [({"a": [1]}, IndexError), ({"b": [1, 2]}, KeyError), ({"a": 1}, TypeError)],
)
@pytest.mark.parametrize("walk", [tree_map, tree_map_with_path])
def test_map_names_the_place_that_another_tree_lacks(walk, other, error):
    with pytest.raises(error, match=rf"\[{walk.__name__}\] The first tree has an entry at 'a"):
        walk(lambda *leaves: leaves, {"a": [1, 2]}, other)


def test_map_with_path_starts_at_the_given_path():
    def path_of(path, leaf):
        return path

    assert tree_map_with_path(path_of, {"a": [1, {2: 3}]}) == {"a": ["a.0", {2: "a.1.2"}]}
    assert tree_map_with_path(path_of, {"a": 1}, path="root") == {"a": "root.a"}
    assert tree_map_with_path(path_of, {"a": 1}, path="") == {"a": "a"}
    assert tree_map_with_path(path_of, 1) is None
    assert tree_map_with_path(path_of, 1, path="root") == "root"


@pytest.mark.parametrize(
    ("pairs", "tree"),
    [
        ([], []),
        ({}, []),
        ([("", 1)], 1),
        ([("a.0", 1), ("a.1", 2), ("b.c", 3)], {"a": [1, 2], "b": {"c": 3}}),
        ((("1", "b"), ("0", "a")), ["a", "b"]),
        ([("2", 1)], [{}, {}, 1]),
        ([("0", 1), ("a", 2)], {"0": 1, "a": 2}),
        ([("01", 1), ("1", 2)], {"01": 1, "1": 2}),
        ([("-1", 1), ("0", 2)], {"-1": 1, "0": 2}),
        ([("²", 1)], {"²": 1}),
        ([("a", 1), ("a.b", 2)], {"a": {"": 1, "b": 2}}),
    ],
)
def test_unflatten_makes_lists_of_plain_numbers_only(pairs, tree):
    assert tree_unflatten(pairs) == tree


def test_unflatten_refuses_what_it_would_lose():
    with pytest.raises(ValueError, match=r"\[tree_unflatten\] 2 leaves have the path 'a\.b'"):
        tree_unflatten([("a.b", 1), ("a.b", 2)])
    with pytest.raises(ValueError, match="2 leaves"):
        tree_unflatten([("", 1), ("", 2)])
    with pytest.raises(TypeError, match=r"\[tree_unflatten\] Paths must be strings, but that of entry 1 is 7"):
        tree_unflatten([("a", 1), (7, 2)])
    with pytest.raises(TypeError, match=r"\[tree_unflatten\] Expected \(path, leaf\) pairs or a dict .*, got int"):
        tree_unflatten(5)
    for entry in (("a",), ("a", 1, 2), "ab", 3):
        with pytest.raises(ValueError, match=r"\[tree_unflatten\] Expected \(path, leaf\) pairs, but entry 1 is"):
            tree_unflatten([("b", 1), entry])


def test_reduce_starts_with_the_first_leaf_or_the_initializer():
    assert tree_reduce(lambda total, leaf: total + leaf, {"a": [1, 2], "b": 3}) == 6
    assert tree_reduce(lambda total, leaf: total + leaf, {"a": [1, 2], "b": 3}, 10) == 16
    assert tree_reduce(lambda total, leaf: total + leaf, {}) is None
    assert tree_reduce(lambda total, leaf: total + leaf, [], 5) == 5


@pytest.mark.parametrize(
    ("a", "b", "merged"),
    [
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ([1, None], [None, 2, 3], [1, 2, 3]),
        ([{"a": 1}, {}], [{"b": 2}, {}], [{"a": 1, "b": 2}, {}]),
        ({"a": {}}, {"b": {}}, {"a": {}, "b": {}}),
        ({"a": []}, {"a": [1]}, {"a": [1]}),
        ({"a": 1}, {"a": {}}, {"a": 1}),
        ((1,), (None, 2), (1, 2)),
        (Point(1, None), (None, 2), Point(1, 2)),
        ({}, {}, {}),
        ((), (), ()),
        (None, 1, 1),
        ({}, None, {}),
    ],
)
def test_merge(a, b, merged):
    assert tree_merge(a, b) == merged
    assert type(tree_merge(a, b)) is type(merged)


def test_merge_refuses_what_it_cannot_combine():
    with pytest.raises(ValueError, match=r"\[tree_merge\] Both trees hold an entry at 'a\.1'"):
        tree_merge({"a": [1, 2]}, {"a": [None, 3]})
    with pytest.raises(ValueError, match="at the root"):
        tree_merge(1, 2)
    with pytest.raises(ValueError, match=r"Cannot merge dict with list at 'a'"):
        tree_merge({"a": {}}, {"a": []})


def test_merge_function_sees_leaves_and_subtrees():
    assert tree_merge({"a": 1}, {"a": {"b": 2}}, lambda a, b: (a, b)) == {"a": (1, {"b": 2})}
    assert tree_merge([1, 2], [3, None], lambda a, b: a + b) == [4, 2]

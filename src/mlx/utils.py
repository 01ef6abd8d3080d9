"""Functions over trees: nested lists, tuples, named tuples and dictionaries, with anything else as leaves.

The parameters of a model, their gradients and the state of an optimizer are such trees. Nothing here knows
what a leaf is, so nothing here imports arrays.

A leaf is named by its path, the keys and indices that lead to it joined by dots: the 3 in
``{"layers": [{"width": 3}]}`` is ``layers.0.width``. Lists, tuples and named tuples that are rebuilt keep
their type; dictionaries of every kind, modules among them, come back as plain ``dict``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

__all__ = [
    "tree_flatten",
    "tree_map",
    "tree_map_with_path",
    "tree_merge",
    "tree_reduce",
    "tree_unflatten",
]

# A path is built at every step of a walk but rarely read, so it is a chain of (path of the parent, key) pairs
# that costs one small tuple a step; the root is ().
Path = tuple[Any, ...]


def format_path(path: Path) -> str:
    """Join the keys of a path with dots."""
    keys: list[str] = []
    while path:
        path, key = path
        keys.append(str(key))
    return ".".join(reversed(keys))


def _entries(tree: Any) -> Iterable[tuple[Any, Any]] | None:
    """The (key, child) pairs of a container, or None for a leaf."""
    if isinstance(tree, (list, tuple)):
        return enumerate(tree)
    if isinstance(tree, dict):
        return tree.items()
    return None


def _rebuild(tree: Any, children: list[Any]) -> Any:
    """A container like ``tree`` that holds ``children``."""
    if isinstance(tree, dict):
        return dict(zip(tree, children, strict=True))
    if hasattr(tree, "_fields"):
        return type(tree)(*children)
    return type(tree)(children)


def _child(tree: Any, key: Any, path: Path, api: str) -> Any:
    """``tree[key]``, where a tree that has no such child is an error that names the place."""
    try:
        return tree[key]
    except (IndexError, KeyError, TypeError) as error:
        place = format_path((path, key))
        raise type(error)(
            f"[{api}] The first tree has an entry at '{place}', but another tree holds only "
            f"{_describe(tree)} there; pass trees that share the first one's structure."
        ) from None


def _describe(tree: Any) -> str:
    if isinstance(tree, (list, tuple)):
        return f"a {type(tree).__name__} of length {len(tree)}"
    if isinstance(tree, dict):
        return f"a {type(tree).__name__} with keys {list(tree)}"
    return f"a leaf of type {type(tree).__name__}"


def _map(
    on_leaf: Callable[[Path, Any, list[Any]], Any],
    tree: Any,
    rest: list[Any],
    is_leaf: Callable[[Any], bool] | None,
    path: Path,
    api: str,
) -> Any:
    entries = None if is_leaf is not None and is_leaf(tree) else _entries(tree)
    if entries is None:
        return on_leaf(path, tree, rest)
    children = [
        _map(on_leaf, child, [_child(r, key, path, api) for r in rest], is_leaf, (path, key), api)
        for key, child in entries
    ]
    return _rebuild(tree, children)


def tree_map(fn: Callable[..., Any], tree: Any, *rest: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """Apply ``fn`` to every leaf of ``tree`` and return the results in a tree of the same structure.

    Args:
        fn: Function of one leaf of ``tree`` and the entries at the same place in each of ``rest``.
        tree: The tree that sets the structure.
        *rest: Trees with at least the entries of ``tree``; entries that ``tree`` lacks are ignored.
        is_leaf: Optional function of a subtree; where it returns true the subtree is treated as a leaf.

    Returns:
        The tree of results. Tuples and lists keep their type, dictionaries become ``dict``.

    Raises:
        IndexError, KeyError, TypeError: If a tree in ``rest`` lacks an entry of ``tree``.

    Example:
        >>> tree_map(lambda a, b: a + b, {"x": 1, "y": [2, 3]}, {"x": 10, "y": [20, 30]})
        {'x': 11, 'y': [22, 33]}
    """
    return _map(lambda path, leaf, others: fn(leaf, *others), tree, list(rest), is_leaf, (), "tree_map")


def tree_map_with_path(
    fn: Callable[..., Any],
    tree: Any,
    *rest: Any,
    is_leaf: Callable[[Any], bool] | None = None,
    path: Any | None = None,
) -> Any:
    """Apply ``fn`` to the path and the value of every leaf of ``tree``.

    Args:
        fn: Function of the path (a string such as ``"layers.0.weight"``), the leaf, and the entries at the
            same place in each of ``rest``.
        tree: The tree that sets the structure.
        *rest: Trees with at least the entries of ``tree``.
        is_leaf: Optional function of a subtree; where it returns true the subtree is treated as a leaf.
        path: Optional prefix of all paths. A ``tree`` that is itself a leaf has this path.

    Returns:
        The tree of results, as :func:`tree_map` builds it.

    Raises:
        IndexError, KeyError, TypeError: If a tree in ``rest`` lacks an entry of ``tree``.

    Example:
        >>> tree_map_with_path(lambda path, leaf: f"{path}={leaf}", {"x": 1, "y": [2, 3]})
        {'x': 'x=1', 'y': ['y.0=2', 'y.1=3']}
    """

    def on_leaf(place: Path, leaf: Any, others: list[Any]) -> Any:
        if not place:
            return fn(path, leaf, *others)
        name = format_path(place)
        return fn(f"{path}.{name}" if path else name, leaf, *others)

    return _map(on_leaf, tree, list(rest), is_leaf, (), "tree_map_with_path")


def tree_flatten(
    tree: Any,
    prefix: str = "",
    is_leaf: Callable[[Any], bool] | None = None,
    destination: list[tuple[str, Any]] | dict[str, Any] | None = None,
) -> Any:
    """List the leaves of a tree together with their paths.

    Args:
        tree: The tree to flatten. Empty containers contribute nothing.
        prefix: Start of every path. Its first character is dropped, so give it as ``".model"``.
        is_leaf: Optional function of a subtree; where it returns true the subtree is treated as a leaf.
        destination: A list or a dictionary to add the leaves to; by default a new list.

    Returns:
        ``destination``: a list of ``(path, leaf)`` pairs or a dictionary from path to leaf, in the order
        of the tree.

    Raises:
        ValueError: If ``destination`` is neither a list nor a dictionary.

    Example:
        >>> tree_flatten({"x": 1, "y": [2, (3, 4)]})
        [('x', 1), ('y.0', 2), ('y.1.0', 3), ('y.1.1', 4)]
        >>> tree_flatten({"x": 1, "y": [2]}, destination={})
        {'x': 1, 'y.0': 2}
    """
    if destination is None:
        destination = []
    if isinstance(destination, list):
        pairs = destination
        _flatten(tree, prefix, is_leaf, lambda path, leaf: pairs.append((path, leaf)))
    elif isinstance(destination, dict):
        _flatten(tree, prefix, is_leaf, destination.__setitem__)
    else:
        raise ValueError(
            f"[tree_flatten] destination must be a list, a dict or None, got {type(destination).__name__}."
        )
    return destination


def _flatten(tree: Any, path: str, is_leaf: Callable[[Any], bool] | None, add: Callable[[str, Any], None]) -> None:
    """Call ``add`` with path and value of every leaf; paths carry a leading dot until they are added."""
    entries = None if is_leaf is not None and is_leaf(tree) else _entries(tree)
    if entries is None:
        add(path[1:], tree)
        return
    for key, child in entries:
        _flatten(child, f"{path}.{key}", is_leaf, add)


def tree_unflatten(tree: Any) -> Any:
    """Rebuild a tree from paths and leaves, the inverse of :func:`tree_flatten`.

    Keys that are all written as plain numbers (``0``, ``12``; not ``01``) make a list, in which missing
    numbers hold ``{}``; other keys make a dictionary. Tuples are not recovered: they come back as lists.

    Args:
        tree: ``(path, leaf)`` pairs, or a dictionary from path to leaf.

    Returns:
        The tree. Without any pair it is ``[]``; a single pair whose path is empty gives its leaf.

    Raises:
        ValueError: If two pairs have the same path, or an entry is no pair.
        TypeError: If ``tree`` cannot be gone through, or a path is not a string.

    Example:
        >>> tree_unflatten([("x", 1), ("y.0", 2), ("y.1", 3)])
        {'x': 1, 'y': [2, 3]}
    """
    pairs: list[Any] = list(tree.items()) if isinstance(tree, dict) else _listed(tree)
    for position, pair in enumerate(pairs):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise ValueError(f"[tree_unflatten] Expected (path, leaf) pairs, but entry {position} is {pair!r}.")
        if not isinstance(pair[0], str):
            raise TypeError(f"[tree_unflatten] Paths must be strings, but that of entry {position} is {pair[0]!r}.")
    return _unflatten(pairs, ())


def _listed(pairs: Any) -> list[Any]:
    try:
        return list(pairs)
    except TypeError:
        raise TypeError(
            f"[tree_unflatten] Expected (path, leaf) pairs or a dict from path to leaf, got {type(pairs).__name__}."
        ) from None


def _unflatten(pairs: list[tuple[str, Any]], path: Path) -> Any:
    if len(pairs) == 1 and pairs[0][0] == "":
        return pairs[0][1]
    groups: dict[str, list[tuple[str, Any]]] = {}
    for name, leaf in pairs:
        key, _, remainder = name.partition(".")
        groups.setdefault(key, []).append((remainder, leaf))
    if len(pairs) > 1 and len(groups) == 1 and all(name == "" for name, _ in pairs):
        raise ValueError(f"[tree_unflatten] {len(pairs)} leaves have the path '{format_path(path)}'.")
    children = {key: _unflatten(group, (path, key)) for key, group in groups.items()}
    if all(_is_index(key) for key in children):
        by_index = {int(key): child for key, child in children.items()}
        return [by_index.get(i, {}) for i in range(max(by_index, default=-1) + 1)]
    return children


def _is_index(key: str) -> bool:
    return key.isascii() and key.isdigit() and (key == "0" or key[0] != "0")


def tree_reduce(
    fn: Callable[[Any, Any], Any],
    tree: Any,
    initializer: Any = None,
    is_leaf: Callable[[Any], bool] | None = None,
) -> Any:
    """Combine all leaves of a tree from left to right.

    Args:
        fn: Function of the value so far and a leaf that returns the next value.
        tree: The tree to reduce.
        initializer: First value; by default the first leaf.
        is_leaf: Optional function of a subtree; where it returns true the subtree is treated as a leaf.

    Returns:
        The last value; ``initializer`` if the tree has no leaves.

    Example:
        >>> tree_reduce(lambda total, leaf: total + leaf, {"x": 1, "y": [2, 3]}, 10)
        16
    """
    total = initializer
    for _, leaf in tree_flatten(tree, is_leaf=is_leaf):
        total = leaf if total is None else fn(total, leaf)
    return total


def tree_merge(tree_a: Any, tree_b: Any, merge_fn: Callable[[Any, Any], Any] | None = None) -> Any:
    """Merge two trees into one that holds the entries of both.

    None and empty containers stand for "nothing here": whatever the other tree holds at that place is taken.
    Two empty containers must be of the same kind.

    Args:
        tree_a: First tree; its containers set the types in the result.
        tree_b: Second tree.
        merge_fn: Optional function of two entries at the same place, of which at least one is a leaf.

    Returns:
        The merged tree.

    Raises:
        ValueError: If both trees have a leaf at the same place and there is no ``merge_fn``, or if
            containers of different kinds meet.

    Example:
        >>> tree_merge({"x": [1, None]}, {"x": [None, 2], "y": 3})
        {'x': [1, 2], 'y': 3}
        >>> tree_merge({"x": 1}, {"x": 2}, lambda a, b: a + b)
        {'x': 3}
    """
    return _merge(tree_a, tree_b, merge_fn, ())


def _is_empty(tree: Any) -> bool:
    return isinstance(tree, (list, tuple, dict)) and len(tree) == 0


def _merge(a: Any, b: Any, merge_fn: Callable[[Any, Any], Any] | None, path: Path) -> Any:
    if _is_empty(a) and _is_empty(b) and _kind(a) is not _kind(b):
        raise ValueError(f"[tree_merge] Cannot merge {type(a).__name__} with {type(b).__name__}{_at(path)}.")
    if (a is None or _is_empty(a)) and b is not None:
        return b
    if (b is None or _is_empty(b)) and a is not None:
        return a
    if isinstance(a, dict) and isinstance(b, dict):
        keys = [*a, *(key for key in b if key not in a)]
        return {key: _merge_entry(a, b, key, merge_fn, path) for key in keys}
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        length = max(len(a), len(b))
        padded_a, padded_b = ([*tree, *[None] * (length - len(tree))] for tree in (a, b))
        return _rebuild(a, [_merge_entry(padded_a, padded_b, i, merge_fn, path) for i in range(length)])
    if merge_fn is None:
        raise ValueError(
            f"[tree_merge] Both trees hold an entry{_at(path)}: {_describe(a)} and {_describe(b)}; "
            "pass merge_fn to say how to combine them."
        )
    return merge_fn(a, b)


def _merge_entry(a: Any, b: Any, key: Any, merge_fn: Callable[[Any, Any], Any] | None, path: Path) -> Any:
    if isinstance(a, dict):
        if key not in b:
            return a[key]
        if key not in a:
            return b[key]
    return _merge(a[key], b[key], merge_fn, (path, key))


def _kind(tree: Any) -> type | None:
    return next((kind for kind in (dict, list, tuple) if isinstance(tree, kind)), None)


def _at(path: Path) -> str:
    return f" at '{format_path(path)}'" if path else " at the root"

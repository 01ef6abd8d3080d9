"""Finding the places inside a module where the leaves of a tree belong, and saying what does not fit.

Nothing is changed here: callers get all places first, so that a tree that does not fit changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

import mlx.core as mx
from mlx.utils import Path, format_path


def match_parameters(module: Any, parameters: Any, api: str, strict: bool = True) -> list[tuple[Any, Any, mx.array]]:
    """Find the place in a module of every array in a tree.

    Args:
        module: The module.
        parameters: Tree of arrays with the structure of ``module.parameters()``, or part of it.
        api: Name that errors start with.
        strict: Whether what does not fit is an error; otherwise it is skipped.

    Returns:
        Triples of a container inside the module, a key into it, and the array that belongs there.

    Raises:
        ValueError: If ``strict`` and something does not fit.
    """
    return _match_leaves(module, parameters, mx.array, api, "parameter", strict)


def match_modules(
    module: Any, modules: Any, module_type: type, api: str, strict: bool = True
) -> list[tuple[Any, Any, Any]]:
    """Find the place in a module of every module in a tree; otherwise as :func:`match_parameters`."""
    return _match_leaves(module, modules, module_type, api, "sub-module", strict)


def _match_leaves(owner: Any, tree: Any, leaf: type, api: str, noun: str, strict: bool) -> list[tuple[Any, Any, Any]]:
    matching = _Matching(leaf, api, noun, strict)
    matching.match(owner, tree, ())
    return matching.found


class _Matching:
    """One walk over a module and a tree. (Functions that close over each other would be a cycle and hold on to the
    arrays that they found until the garbage collector comes.)
    """

    def __init__(self, leaf: type, api: str, noun: str, strict: bool) -> None:
        self.leaf = leaf
        self.api = api
        self.noun = noun
        self.strict = strict
        self.found: list[tuple[Any, Any, Any]] = []

    def match(self, owner: Any, tree: Any, path: Path) -> None:
        if isinstance(tree, dict) and isinstance(owner, dict):
            for name, value in tree.items():
                if name in owner:
                    self.match_entry(owner, name, value, path)
                elif self.strict:
                    _fail_unknown(self.api, self.noun, owner, name, path)
        elif isinstance(tree, list) and isinstance(owner, list):
            for i, value in enumerate(tree):
                if i < len(owner):
                    self.match_entry(owner, i, value, path)
                elif self.strict:
                    _fail_length(self.api, owner, tree, path)
        elif self.strict and not _is_nothing(tree, owner, self.leaf):
            _fail_type(self.api, self.noun, owner, tree, path)

    def match_entry(self, owner: Any, key: Any, value: Any, path: Path) -> None:
        if isinstance(value, self.leaf) and isinstance(owner[key], self.leaf):
            self.found.append((owner, key, value))
        else:
            self.match(owner[key], value, (path, key))


def _is_nothing(tree: Any, owner: Any, leaf: type) -> bool:
    """Whether an entry of a tree stands for "nothing here": ``parameters`` gives {} for what has none."""
    is_empty = type(tree) in (dict, list) and not tree
    return is_empty and not (leaf is mx.array and isinstance(owner, leaf))


def _fail_unknown(api: str, noun: str, owner: dict[str, Any], name: str, path: Path) -> NoReturn:
    kinds = (mx.array, dict, list) if noun == "parameter" else (dict, list)
    known = [key for key, value in owner.items() if isinstance(value, kinds)]
    place = format_path((path, name))
    raise ValueError(f"[{api}] The module has no {noun} named '{place}'.{nearest(str(name), known)}")


def _fail_length(api: str, owner: list[Any], tree: list[Any], path: Path) -> NoReturn:
    raise ValueError(
        f"[{api}] '{format_path(path)}' has {len(owner)} entries in the module, got a list of {len(tree)}."
    )


def _fail_type(api: str, noun: str, owner: Any, tree: Any, path: Path) -> NoReturn:
    if isinstance(owner, mx.array):
        holds = "an array"
    elif isinstance(owner, list):
        holds = "a list"
    elif isinstance(owner, dict):
        holds = "a dictionary" if type(owner) is dict else "a module"
    else:
        holds = f"{type(owner).__name__}, which is no {noun}"
    place = f"'{format_path(path)}'" if path else "the root"
    raise ValueError(f"[{api}] Received invalid type {type(tree).__name__} at {place}, where the module holds {holds}.")


def nearest(name: str, names: Iterable[Any]) -> str:
    """A sentence that offers the names most like ``name``, or all of them if none is alike."""
    import difflib  # here and not above: only errors need it

    known = sorted(str(n) for n in names if not str(n).startswith("_"))
    alike = difflib.get_close_matches(name, known, n=3)
    if alike:
        return " Did you mean " + " or ".join(f"'{match}'" for match in alike) + "?"
    return f" It has {', '.join(known)}." if known else ""

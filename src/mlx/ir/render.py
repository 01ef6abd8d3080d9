"""The recorded program as text, for people: one line a node, in recorded order."""

from __future__ import annotations

from collections.abc import Sequence

from mlx.ir.node import Node
from mlx.ir.primitive import SCALAR
from mlx.ir.walk import ancestors


def as_text(outputs: Sequence[Node]) -> str:
    """What `outputs` are computed from.

    Example:
        >>> import mlx.core as mx
        >>> from mlx.ir.render import as_text
        >>> print(as_text([(mx.array([1.0, 2.0]) * 2.5)._node]))
        a: float32[2] = data
        b: float32[2] = multiply a 2.5
        return b
    """
    names: dict[Node, str] = {}
    lines = []
    for node in ancestors(outputs):
        if node.primitive is SCALAR:
            names[node] = str(node.params[0])
            continue
        names[node] = _letters(sum(name.isalpha() for name in names.values()))
        words = [node.primitive.name, *(names[operand] for operand in node.inputs), *map(str, node.params)]
        lines.append(f"{names[node]}: {_type_of(node)} = {' '.join(words)}")
    return "\n".join([*lines, "return " + " ".join(names[output] for output in outputs)])


def _type_of(node: Node) -> str:
    if node.primitive.many:
        return ", ".join(f"{dtype.name}{list(shape)}" for shape, dtype in zip(node.shape, node.dtype, strict=True))  # type: ignore[attr-defined,call-overload]
    return f"{node.dtype.name}{list(node.shape)}"


def _letters(number: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    name = ""
    number += 1
    while number:
        number, letter = divmod(number - 1, 26)
        name = chr(ord("a") + letter) + name
    return name

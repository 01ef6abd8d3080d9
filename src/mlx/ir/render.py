"""The recorded program for people: as text, one line a node in recorded order, and as a graph to be drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count

from mlx.ir.names import label
from mlx.ir.node import Node
from mlx.ir.primitive import SCALAR, Leaf
from mlx.ir.trace import RESULT, Call
from mlx.ir.walk import ancestors, in_recorded_order


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
        names[node] = letters(sum(name.isalpha() for name in names.values()))
        words = [node.primitive.name, *(names[operand] for operand in node.inputs), *map(str, node.params)]
        lines.append(f"{names[node]}: {_type_of(node)} = {' '.join(words)}")
    return "\n".join([*lines, "return " + " ".join(names[output] for output in outputs)])


def _type_of(node: Node) -> str:
    if node.primitive.many:
        return ", ".join(f"{dtype.name}{list(shape)}" for shape, dtype in zip(node.shape, node.dtype, strict=True))  # type: ignore[attr-defined,call-overload]
    return f"{node.dtype.name}{list(node.shape)}"


def letters(number: int) -> str:
    """a, b, ..., z, aa, ab, ..."""
    name = ""
    number += 1
    while number:
        number, letter = divmod(number - 1, 26)
        name = chr(ord("a") + letter) + name
    return name


SHOWN_IN_CALL = 16  # primitives of a compiled call that its label spells out


def as_dot(outputs: Sequence[Node], names: Mapping[Node, str]) -> str:
    """What `outputs` wait for, in the language of Graphviz: a box for each primitive, an ellipse for each array.

    A call of a compiled function that has not run is one box, named after its primitives. Arrays that `names` does
    not name get letters, and Python numbers are shown as they are.

    Example:
        >>> import mlx.core as mx
        >>> from mlx.ir.render import as_dot
        >>> x = mx.array([1.0, 2.0])
        >>> print(as_dot([mx.abs(x)._node], {x._node: "x"}))
        digraph {
          { rank=source; "x"; }
          1 [label="Abs", shape=rectangle];
          "x" -> 1;
          { rank=sink; "A"; }
          1 -> "A";
        }
    """
    steps: dict[Node | Call, list[Node]] = {}  # what is computed together, and the arrays that come out of it
    sources = []
    for node in _waited_for(outputs):
        step = _step_of(node)
        if step is None:
            sources.append(node)
        elif isinstance(step, Call):
            steps.setdefault(step, list(step.results))
        else:
            arrays = steps.setdefault(step, [])
            if not node.primitive.many:
                arrays.append(node)
    used = {operand for step in steps for operand in _operands(step)}
    shown = _named([*sources, *(node for arrays in steps.values() for node in arrays)], names)
    lines = [f"  {{ rank=source; {shown[node]}; }}" for node in sources]
    for number, (step, arrays) in enumerate(steps.items(), 1):
        lines.append(f'  {number} [label="{_label(step)}", shape=rectangle];')
        lines += [f"  {shown[operand]} -> {number};" for operand in _operands(step)]
        for node in arrays:
            lines.append(f"  {{ {'' if node in used else 'rank=sink; '}{shown[node]}; }}")
            lines.append(f"  {number} -> {shown[node]};")
    return "\n".join(["digraph {", *lines, "}"])


def _waited_for(outputs: Sequence[Node]) -> list[Node]:
    """The nodes behind `outputs` up to those whose value is known; those that a waiting call reads are among them."""
    found: set[Node] = set()
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            step = _step_of(node)
            if step is not None:
                stack.extend(_operands(step))
                stack.extend(node.inputs)
    return in_recorded_order(found)


def _step_of(node: Node) -> Node | Call | None:
    """The box that an array comes from: a node, for one of many outputs the node that has them all, or a call."""
    if node.value is not None:
        return None
    if node.primitive is RESULT:
        return node.params[0]  # type: ignore[return-value]
    if isinstance(node.primitive, Leaf):
        return None
    return node.inputs[0] if node.primitive.name == "project" else node


def _operands(step: Node | Call) -> Sequence[Node]:
    return step.leaves if isinstance(step, Call) else step.inputs


def _label(step: Node | Call) -> str:
    if isinstance(step, Node):
        return label(step.primitive.name)
    shown = [label(node.primitive.name) for node in step.trace.nodes if node.primitive.name != "project"]
    return "Compiled" + "".join(shown[:SHOWN_IN_CALL]) + ("..." if len(shown) > SHOWN_IN_CALL else "")


def _named(nodes: Sequence[Node], names: Mapping[Node, str]) -> dict[Node, str]:
    taken = set(names.values())
    free = (name for name in map(str.upper, map(letters, count())) if name not in taken)
    shown = {}
    for node in nodes:
        if node in names:
            name = names[node]
        else:
            name = str(node.params[0]) if node.primitive is SCALAR else next(free)
        shown[node] = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return shown

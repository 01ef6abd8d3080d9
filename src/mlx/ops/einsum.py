"""Einstein summation: subscripts are read here, and carried out as sums and contractions of two arrays at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import promote_types
from mlx.ir.node import Node, Shape
from mlx.ir.sizes import open_sizes, plain
from mlx.ops.arguments import StreamOrDevice, array_node, check_stream, word
from mlx.ops.diagonals import diagonal
from mlx.ops.products import product_dtype
from mlx.ops.reductions import sum
from mlx.primitives.matmul import contract
from mlx.primitives.shape import reshape, transpose
from mlx.primitives.structure import cast

__all__ = ["einsum", "einsum_path"]

# Letters are labelled by their code points. The axes of an ellipsis count from its end: ..., -2, -1. So ascending order
# is the order of an implicit output.
Labels = tuple[int, ...]

_ELLIPSIS = "..."


class _Expression(NamedTuple):
    """Subscripts applied to shapes: a label for each axis of the operands and of the output, and their extents."""

    operands: tuple[Labels, ...]
    output: Labels
    extents: dict[int, int]


def einsum(subscripts: str, *operands: array, stream: StreamOrDevice = None) -> array:
    """The sum over products of arrays that subscripts describe, in the notation of Einstein.

    A letter names an axis. Axes of one name run together, those that the output does not name are summed over, and a
    name that an operand repeats takes its diagonal. `...` stands for axes that are broadcast. Without `->` the output
    has the names that occur once, in alphabetical order.

    Args:
        subscripts: the names of each operand's axes, separated by commas, and after `->` those of the output.
        operands: arrays. Those that are summed over together must promote to a floating or complex dtype.

    Returns:
        An array with the axes of the output.

    Raises:
        ValueError: subscripts are malformed, do not fit the operands, or the operands' extents differ.

    Example:
        >>> import mlx.core as mx
        >>> a = mx.array([[1.0, 2.0], [3.0, 4.0]])
        >>> mx.einsum("ij,kj->ik", a, a)
        array([[5, 11],
               [11, 25]], dtype=float32)
        >>> mx.einsum("ii", a)
        array(5, dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "einsum")
    nodes = _nodes(subscripts, operands, "einsum")
    read = _read.__wrapped__ if open_sizes else _read  # sizes of a shapeless trace are not for other programs
    expression = read(subscripts, tuple(node.shape for node in nodes), "einsum")
    terms = [_simplified(node, labels, expression) for node, labels in zip(nodes, expression.operands, strict=True)]
    for pair in _path(expression):
        a, b = (terms[position] for position in pair)
        terms = [term for position, term in enumerate(terms) if position not in pair]
        wanted = {*expression.output, *(label for _, labels in terms for label in labels)}
        terms.append(_product(a, b, None if terms else expression.output, wanted))
    ((node, labels),) = terms
    node, labels = _summed(node, labels, set(expression.output))
    return wrap(transpose(node, tuple(labels.index(label) for label in expression.output)))


def einsum_path(subscripts: str, *operands: array) -> tuple[list[tuple[int, ...]], str]:
    """The order in which `einsum` contracts its operands.

    Args:
        subscripts: as for `einsum`.
        operands: arrays, of which only the shapes matter.

    Returns:
        A list with the positions of the operands that each step replaces by their product, which goes to the end of the
        list of operands; and a description of what that costs.

    Raises:
        ValueError: as for `einsum`.

    Example:
        >>> import mlx.core as mx
        >>> path, _ = mx.einsum_path("ij,jk,kl->il", mx.ones((2, 8)), mx.ones((8, 8)), mx.ones((8, 3)))
        >>> path
        [(0, 1), (0, 1)]
    """
    import opt_einsum

    shapes = [node.shape for node in _nodes(subscripts, operands, "einsum_path")]
    shapes = [plain(shape) for shape in shapes]
    _read(subscripts, tuple(shapes), "einsum_path")
    path, description = opt_einsum.contract_path(subscripts, *shapes, shapes=True, optimize="greedy")
    return [tuple(step) for step in path], str(description)


# ------------------------------------------------------------------ reading subscripts


def _nodes(subscripts: Any, operands: Sequence[Any], function: str) -> list[Node]:
    word(subscripts, function, "subscripts")
    if not operands:
        raise ValueError(f"[{function}] At least one operand is required.")
    return [array_node(operand, function, f"operands[{i}]") for i, operand in enumerate(operands)]


@lru_cache(maxsize=1024)
def _read(subscripts: str, shapes: tuple[Shape, ...], function: str) -> _Expression:
    """Match subscripts with the shapes of operands; ValueError where they are malformed or do not fit."""
    left, arrow, right = subscripts.replace(" ", "").partition("->")
    inputs = left.split(",")
    for term in [*inputs, right]:
        _check_letters(term, function)
    if len(inputs) != len(shapes):
        raise ValueError(
            f"[{function}] Number of operands, {len(shapes)}, does not match number of input subscripts, {len(inputs)}."
        )
    operands = tuple(
        _labelled(term, shape, i, function) for i, (term, shape) in enumerate(zip(inputs, shapes, strict=True))
    )
    extents = _common_extents(operands, shapes, function)
    broadcast = tuple(sorted(label for label in extents if label < 0))
    output = _expanded(right, broadcast) if arrow else _implicit_output(operands)
    if len(set(output)) != len(output):
        raise ValueError(f"[{function}] Repeat indices not allowed in output, got {right!r}.")
    missing = [label for label in output if label not in extents]
    if missing:
        raise ValueError(f"[{function}] The output has subscript {chr(missing[0])!r}, which no input has.")
    return _Expression(operands, output, extents)


def _check_letters(term: str, function: str) -> None:
    if term.count(_ELLIPSIS) > 1:
        raise ValueError(f"[{function}] Only one ellipsis per subscript is allowed but found more in {term!r}.")
    for character in term.replace(_ELLIPSIS, "", 1):
        if not (character.isascii() and character.isalpha()):
            raise ValueError(f"[{function}] Subscripts must be letters, but got {character!r}.")


def _labelled(term: str, shape: Shape, position: int, function: str) -> Labels:
    letters = len(term.replace(_ELLIPSIS, ""))
    broadcast = len(shape) - letters
    if broadcast < 0 or (broadcast and _ELLIPSIS not in term):
        raise ValueError(
            f"[{function}] Invalid number of subscripts {letters} for input {position} with {len(shape)} dimensions."
        )
    return _expanded(term, tuple(range(-broadcast, 0)))


def _expanded(term: str, broadcast: Labels) -> Labels:
    before, ellipsis, after = term.partition(_ELLIPSIS)
    return (*map(ord, before), *(broadcast if ellipsis else ()), *map(ord, after))


def _implicit_output(operands: Sequence[Labels]) -> Labels:
    count = Counter(label for labels in operands for label in labels)
    return tuple(sorted(label for label, times in count.items() if times == 1 or label < 0))


def _common_extents(operands: Sequence[Labels], shapes: Sequence[Shape], function: str) -> dict[int, int]:
    """The extent of each label, to which operands with extent 1 are broadcast."""
    extents: dict[int, int] = {}
    for position, (labels, shape) in enumerate(zip(operands, shapes, strict=True)):
        own: dict[int, int] = {}
        for axis, (label, extent) in enumerate(zip(labels, shape, strict=True)):
            if own.setdefault(label, extent) != extent:
                raise ValueError(
                    f"[{function}] Dimensions of repeated subscripts do not have the same size "
                    f"({own[label]} != {extent}) in input {position} with shape {shape}."
                )
            known = extents.setdefault(label, extent)
            if known == 1:
                extents[label] = extent
            elif extent not in (1, known):
                raise ValueError(
                    f"[{function}] Cannot broadcast dimension {axis} of input {position} with shape {shape} to size "
                    f"{known}."
                )
    return extents


# ------------------------------------------------------------------ carrying them out


@lru_cache(maxsize=1024)
def _greedy_path(terms: tuple[Labels, ...], output: Labels, shapes: tuple[Shape, ...]) -> list[tuple[int, ...]]:
    import opt_einsum  # its import takes longer than all else that is needed for two operands

    symbols: dict[int, str] = {}
    for label in (label for labels in terms for label in labels):
        symbols.setdefault(label, opt_einsum.get_symbol(len(symbols)))
    written = ["".join(symbols[label] for label in labels) for labels in (*terms, output)]
    equation = ",".join(written[:-1]) + "->" + written[-1]
    path, _ = opt_einsum.contract_path(equation, *shapes, shapes=True, optimize="greedy")
    return [tuple(step) for step in path]


def _path(expression: _Expression) -> list[tuple[int, ...]]:
    """Which two terms each step replaces by their product."""
    count = len(expression.operands)
    if count <= 2:
        return [(0, 1)] * (count - 1)
    # Every path gives the same sums, so that of these sizes serves for others.
    shapes = tuple(plain(tuple(expression.extents[label] for label in labels)) for labels in expression.operands)
    return _greedy_path(expression.operands, expression.output, shapes)


def _simplified(node: Node, labels: Labels, expression: _Expression) -> tuple[Node, Labels]:
    """An operand without repeated labels, without axes that are broadcast, and without those that only it has and that
    are summed over.
    """
    node, labels = _diagonals(node, labels)
    kept = [i for i, label in enumerate(labels) if node.shape[i] == expression.extents[label]]
    node = reshape(node, tuple(node.shape[i] for i in kept))
    labels = tuple(labels[i] for i in kept)
    count = Counter(label for own in expression.operands for label in set(own))
    return _summed(node, labels, {*expression.output, *(label for label in labels if count[label] > 1)})


def _diagonals(node: Node, labels: Labels) -> tuple[Node, Labels]:
    while len(set(labels)) < len(labels):
        label = next(label for label in labels if labels.count(label) > 1)
        first = labels.index(label)
        second = labels.index(label, first + 1)
        node = diagonal(wrap(node), 0, first, second)._node
        labels = (*(other for i, other in enumerate(labels) if i not in (first, second)), label)
    return node, labels


def _summed(node: Node, labels: Labels, wanted: set[int]) -> tuple[Node, Labels]:
    """A term without the axes that nothing else asks for."""
    axes = [i for i, label in enumerate(labels) if label not in wanted]
    if not axes:
        return node, labels
    return sum(wrap(node), axis=axes)._node, tuple(label for label in labels if label in wanted)


def _product(
    a: tuple[Node, Labels], b: tuple[Node, Labels], output: Labels | None, wanted: set[int]
) -> tuple[Node, Labels]:
    """The product of two terms, summed over what is not wanted; its axes are those of `output` where that is given."""
    x, x_labels = _summed(*a, wanted | set(b[1]))
    y, y_labels = _summed(*b, wanted | set(x_labels))
    dtype = promote_types(x.dtype, y.dtype)
    summed = {label for label in x_labels if label in y_labels and label not in wanted}
    if summed:
        dtype = product_dtype((x.dtype, y.dtype), "einsum")
    if output is None:
        shared = [label for label in x_labels if label in y_labels and label in wanted]
        free = [label for label in x_labels + y_labels if label not in shared and label not in summed]
        output = (*shared, *free)
    return contract(cast(x, dtype), cast(y, dtype), x_labels, y_labels, output), output

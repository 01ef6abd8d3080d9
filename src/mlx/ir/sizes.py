"""Sizes of a shapeless trace: integers that remember how they were computed from the shapes of the arguments.

While a function is traced for any sizes, the shapes of its placeholders consist of these. The rules that compute with
shapes do so with ordinary arithmetic, and parameters that they derive can be computed again for other shapes. A
comparison decides what is recorded, so it is noted with its outcome: where it comes out differently, the trace does not
serve. So does a computation that cannot be written down, such as a division: it notes the size itself.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from mlx.ir.node import Shape

Term = tuple[str, int, int]  # an operation and the numbers of two terms; see `Sizes`


def _broadcast(left: int, right: int) -> int:
    """The extent that two extents broadcast to."""
    if left != right and 1 not in (left, right):
        raise ValueError(f"[broadcast_shapes] Axes of {left} and {right} elements cannot be broadcast.")
    return right if left == 1 else left


ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "broadcast": _broadcast,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "%": operator.mod,
}
COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

LARGEST = 2**63  # no array has more elements

open_sizes: list[Sizes] = []  # of the shapeless traces being recorded, in all threads


class Sizes:
    """The sizes of one trace: terms, numbered in order, and the decisions taken on them.

    A term is ("size", input, axis), ("constant", value, 0) or (an operation of `ARITHMETIC`, left term, right term); a
    decision is (a comparison, left term, right term). A requirement names two terms that have to be equal, and says
    what is wrong where they are not.
    """

    def __init__(self) -> None:
        self.terms: list[Term] = []
        self.decisions: dict[Term, bool] = {}
        self.requirements: dict[tuple[int, int], str] = {}
        self._numbers: dict[Term, int] = {}
        self.is_open = False

    def __enter__(self) -> Sizes:
        self.is_open = True
        open_sizes.append(self)
        return self

    def __exit__(self, *exception: object) -> None:
        self.is_open = False
        open_sizes.remove(self)

    def of_input(self, position: int, shape: Shape) -> Shape:
        """The shape of an argument, made of sizes."""
        return tuple([Size(extent, self, ("size", position, axis)) for axis, extent in enumerate(shape)])

    def number(self, term: Term) -> int:
        """The number of a term, entered where it is new."""
        number = self._numbers.get(term)
        if number is None:
            number = self._numbers[term] = len(self.terms)
            self.terms.append(term)
        return number

    def number_of(self, value: int) -> int:
        if type(value) is Size:
            if value.sizes is self:
                return value.number
            value = value.fixed()  # of another trace, around this one
        return self.number(("constant", int.__int__(value), 0))

    def decide(self, comparison: str, left: int, right: int, outcome: bool) -> None:
        """Note a decision."""
        if self.is_open:
            self.decisions[comparison, self.number_of(left), self.number_of(right)] = outcome

    def values(self, shapes: Sequence[Shape]) -> list[int] | None:
        """The value of every term for arguments of these shapes; None where the trace does not serve them.

        Raises:
            ValueError: a requirement is not met.
        """
        values: list[int] = []
        for operation, left, right in self.terms:
            if operation == "size":
                values.append(shapes[left][right])
            elif operation == "constant":
                values.append(left)
            else:
                try:
                    values.append(ARITHMETIC[operation](values[left], values[right]))
                except (ZeroDivisionError, ValueError):
                    return None
                if abs(values[-1]) > LARGEST:  # products of products: an exported program can have any terms
                    return None
        for (comparison, left, right), outcome in self.decisions.items():
            if COMPARISONS[comparison](values[left], values[right]) is not outcome:
                return None
        for (left, right), complaint in self.requirements.items():
            if values[left] != values[right]:
                raise ValueError(complaint)
        return values


class Size(int):
    """One size: an int with the term that it was computed by."""

    sizes: Sizes
    number: int

    def __new__(cls, value: int, sizes: Sizes, term: Term) -> Size:
        self = int.__new__(cls, value)
        self.sizes = sizes
        self.number = sizes.number(term)
        return self

    def plain(self) -> int:
        return int.__int__(self)

    def fixed(self) -> int:
        """The value as a plain int, after noting that the trace serves no other."""
        value = int.__int__(self)
        self.sizes.decide("==", self, value, True)
        return value

    __int__ = __trunc__ = fixed

    def __hash__(self) -> int:
        """Fixed as well: what a set or a cache finds unequal by its hash is never compared."""
        return hash(self.fixed())

    def __index__(self) -> int:
        return self

    def __floor__(self) -> int:
        return self

    def __ceil__(self) -> int:
        return self

    def __pos__(self) -> int:
        return self

    def __neg__(self) -> int:
        return 0 - self

    def __abs__(self) -> int:
        return self if self >= 0 else -self

    def __bool__(self) -> bool:
        return self != 0

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __reduce__(self) -> Any:
        return int, (self.plain(),)


def _arithmetic(symbol: str, function: Callable[[Any, Any], Any], reflected: bool) -> Callable[[Size, Any], Any]:
    def operation(self: Size, other: Any) -> Any:
        if not isinstance(other, int):
            return NotImplemented if type(other) is not float else _ordered(function, self.fixed(), other, reflected)
        sizes = self.sizes
        value = _ordered(function, self.plain(), other.plain() if type(other) is Size else other, reflected)
        if not sizes.is_open:
            return value
        left, right = (other, self) if reflected else (self, other)
        return Size(value, sizes, (symbol, sizes.number_of(left), sizes.number_of(right)))

    return operation


def _ordered(function: Callable[[Any, Any], Any], mine: Any, other: Any, reflected: bool) -> Any:
    return function(other, mine) if reflected else function(mine, other)


def _comparison(symbol: str, function: Callable[[Any, Any], bool]) -> Callable[[Size, Any], Any]:
    same = function(0, 0)

    def compare(self: Size, other: Any) -> Any:
        if not isinstance(other, int):
            return function(self.fixed(), other) if type(other) is float else NotImplemented
        if type(other) is Size:
            if other.sizes is self.sizes and other.number == self.number:
                return same
            outcome = function(self.plain(), other.plain())
        else:
            outcome = function(self.plain(), other)
        self.sizes.decide(symbol, self, other, outcome)
        return outcome

    return compare


def _fixing(name: str) -> Callable[..., Any]:
    of_int = getattr(int, name)

    def operation(self: Size, *others: Any) -> Any:
        return of_int(self.fixed(), *[other.fixed() if type(other) is Size else other for other in others])

    return operation


def _bind() -> None:
    for symbol, name in (("+", "add"), ("-", "sub"), ("*", "mul"), ("//", "floordiv"), ("%", "mod")):
        setattr(Size, f"__{name}__", _arithmetic(symbol, ARITHMETIC[symbol], False))
        setattr(Size, f"__r{name}__", _arithmetic(symbol, ARITHMETIC[symbol], True))
    for symbol, name in (("==", "eq"), ("!=", "ne"), ("<", "lt"), ("<=", "le"), (">", "gt"), (">=", "ge")):
        setattr(Size, f"__{name}__", _comparison(symbol, COMPARISONS[symbol]))
    for name in ("truediv", "pow", "and", "or", "xor", "lshift", "rshift"):
        setattr(Size, f"__{name}__", _fixing(f"__{name}__"))
        setattr(Size, f"__r{name}__", _fixing(f"__r{name}__"))
    for name in ("__float__", "__invert__", "__round__"):
        setattr(Size, name, _fixing(name))


_bind()


def plain(shape: Shape) -> Shape:
    """A shape as plain integers, for which a trace that reads it is recorded."""
    return tuple([extent.plain() if type(extent) is Size else extent for extent in shape])


def index(value: Any) -> int:
    """`operator.index`, which makes a plain integer of a size, but for sizes."""
    return value if type(value) is Size else operator.index(value)


def fixed(extent: int) -> int:
    """An extent as a plain integer that the trace serves alone, for loops that run so often."""
    return extent.fixed() if type(extent) is Size else extent


def same_shape(a: Shape, b: Shape) -> bool:
    """Whether two shapes are equal; in a shapeless trace, whether they are so for all sizes, without a decision."""
    if not open_sizes:
        return a == b
    return len(a) == len(b) and all(map(_is_same, a, b))


def _is_same(a: int, b: int) -> bool:
    if type(a) is not Size or type(b) is not Size:
        return type(a) is type(b) and a == b
    return a.number == b.number and a.sizes is b.sizes


def require_equal(left: int, right: int, complaint: str) -> None:
    """Raise ValueError where two extents differ; a trace for which they are equal does so for other sizes."""
    if int.__int__(left) != int.__int__(right):
        raise ValueError(complaint)
    sizes = left.sizes if type(left) is Size else right.sizes if type(right) is Size else None
    if sizes is not None and sizes.is_open:
        sizes.requirements[sizes.number_of(left), sizes.number_of(right)] = complaint


def broadcast_extent(left: int, right: int) -> int:
    """The extent that two extents broadcast to, of which one may be a size; no decision is taken on it."""
    if type(left) is not Size:
        left, right = right, left
    if type(left) is not Size or not left.sizes.is_open:
        return _broadcast(left, right)
    if type(right) is Size:
        if left.number == right.number:
            return left
    elif right == 1:
        return left
    sizes = left.sizes
    value = _broadcast(int.__int__(left), int.__int__(right))
    return Size(value, sizes, ("broadcast", sizes.number_of(left), sizes.number_of(right)))


class Sized(Protocol):
    """A parameter that holds sizes in a way of its own."""

    def with_sizes(self, values: Sequence[int]) -> Any:
        """The same with values for the sizes in it."""
        ...


def resolved(value: Any, values: Sequence[int]) -> Any:
    """A parameter with the values of its sizes: integers, tuples of them, and what is `Sized`."""
    return _replaced(value, lambda size: values[size.number], lambda sized: sized.with_sizes(values))


def settled(value: Any) -> Any:
    """A parameter, or a shape, with its sizes fixed."""
    return _replaced(value, Size.fixed, lambda sized: sized)


def _replaced(value: Any, number_for: Callable[[Size], int], sized: Callable[[Sized], Any]) -> Any:
    if type(value) is Size:
        return number_for(value)
    if isinstance(value, tuple):
        parts = [_replaced(part, number_for, sized) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    return sized(value) if hasattr(value, "with_sizes") else value


def depends_on_sizes(value: Any) -> bool:
    """Whether a parameter contains sizes."""
    if isinstance(value, tuple):
        return any(map(depends_on_sizes, value))
    return type(value) is Size

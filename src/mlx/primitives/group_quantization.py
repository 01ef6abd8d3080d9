"""Quantising: what turns the groups of an array into packed numbers with a scale, and in the affine mode a bias, each.

One primitive for each kind of format, since weights are quantised once: a program of the dozens of steps that this
takes would cost more to compile than NumPy takes to run it. Both engines share the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlx.ir.dtypes import Dtype, float32, float64, uint8, uint32
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive
from mlx.primitives.arithmetic import ABS, EQUAL, GREATER, MAXIMUM
from mlx.primitives.elementwise import SELECT
from mlx.primitives.quantization import ENCODERS, LARGEST, VALUES, WORD, pack, pack_xla
from mlx.primitives.reductions import MAX, MIN
from mlx.primitives.rounding import ROUND
from mlx.primitives.shape import Dims, batch_size, batch_to_front, move_axis, reshape
from mlx.primitives.structure import cast

Array = Any
Divide = Callable[[Array, Array], Array]

_LEAST_SCALE = 1e-7  # so that constant groups divide by something
_CHUNK = 2**16  # elements that NumPy works on at a time, so that the temporaries stay in the cache
_EARNS_COMPILING = 2**22  # elements
_NANOSECONDS = 12.0  # an element


# ---------------------------------------------------------------------- what both kinds share


def _grouped(x: Array, group_size: int) -> Array:
    return x.reshape(*x.shape[:-1], x.shape[-1] // group_size, group_size)


def _wide(dtype: Any) -> Any:
    """The dtype to compute in."""
    return np.promote_types(np.float32, dtype) if dtype.kind == "f" else np.dtype(np.float32)


def _divide_xla(xla: Any) -> Divide:
    """A quotient that is rounded once: the number that an element becomes depends on its last bit.

    XLA multiplies by the reciprocal of a divisor that is broadcast, which rounds twice. It does not see that this is.
    """

    def divide(a: Array, b: Array) -> Array:
        return a / xla.jnp.where(xla.jnp.isnan(a), a, b)

    return divide


def _shapes(w: Node, group_size: int, bits: int) -> tuple[Shape, Shape]:
    *lead, last = w.shape
    return (*lead, last * bits // WORD), (*lead, last // group_size)


def _cost(node: Node) -> float:
    size = node.inputs[0].size if node.inputs else 0
    return _NANOSECONDS * size if size >= _EARNS_COMPILING else 0.0


def _in_chunks(quantize: Callable[[Array], tuple[Array, ...]], w: Array, group_size: int) -> tuple[Array, ...]:
    """The results of a function of groups, which fill whole words, for as many at a time as stay in the cache."""
    if w.size <= _CHUNK:
        return quantize(w)
    rows = w.reshape(-1, group_size)
    step = max(1, _CHUNK // group_size)
    parts = [quantize(rows[start : start + step]) for start in range(0, len(rows), step)]
    return tuple(np.concatenate(part).reshape(*w.shape[:-1], -1) for part in zip(*parts, strict=True))


def _in_halves_xla(
    xla: Any, quantize: Callable[[Array], tuple[Array, ...]], w: Array, group_size: int
) -> tuple[Array, ...]:
    """The same of traced groups on CPUs: in a loop over two halves, into which what computes `w` is not fused.

    Otherwise `w` would be computed once for each end of a group and again for its elements: drawing 4 million normal
    numbers and quantising them takes 100 ms then, and 30 so. Some such programs, of groups of 32, take the compiler
    minutes. A barrier would do as much, but is dropped from programs with loops.
    """
    if xla.platform != "cpu" or not w.size:
        return quantize(w)
    rows = w.reshape(-1, group_size)
    missing = rows.shape[0] % 2
    if missing:
        rows = xla.jnp.concatenate([rows, rows[:1]])
    _, halves = xla.lax.scan(lambda carry, half: (carry, quantize(half)), None, rows.reshape(2, -1, group_size))
    parts = [part.reshape(len(rows), -1)[: len(rows) - missing] for part in halves]
    return tuple(part.reshape(*w.shape[:-1], -1) for part in parts)


# ---------------------------------------------------------------------- integers, scales and biases


def _to_integers(library: Any, divide: Divide, groups: Array, low: Array, high: Array, bits: int) -> tuple[Array, ...]:
    """Integers of groups whose extremes are known, with their scales and biases."""
    count = 2**bits - 1
    scale = library.maximum(divide(high - low, groups.dtype.type(count)), groups.dtype.type(_LEAST_SCALE))
    if bits == 1:
        bias = low
    else:
        # The end of larger magnitude, with steps towards the other one, is moved so that zero lies on a step.
        is_low = abs(low) > abs(high)
        scale, edge = library.where(is_low, scale, -scale), library.where(is_low, low, high)
        steps = library.rint(edge / scale)
        scale = library.where(steps == 0, scale, edge / library.where(steps == 0, library.ones_like(steps), steps))
        bias = library.where(steps == 0, library.zeros_like(edge), edge)
    numbers = library.rint(divide(groups - bias, scale))
    numbers = library.where(numbers > 0, library.minimum(numbers, groups.dtype.type(count)), numbers.dtype.type(0))
    return numbers.astype(np.uint8), scale[..., 0], bias[..., 0]


def _affine(w: Array, group_size: int, bits: int) -> tuple[Array, ...]:
    return _in_chunks(lambda part: _affine_part(part, group_size, bits), w, group_size)


def _affine_part(w: Array, group_size: int, bits: int) -> tuple[Array, ...]:
    groups = _grouped(w, group_size)
    low, high = (extreme.reduce(groups, axis=-1, keepdims=True) for extreme in (np.minimum, np.maximum))
    if np.isnan(low).any():
        low = np.fmin.reduce(groups, axis=-1, keepdims=True, initial=np.inf)
        high = np.fmax.reduce(groups, axis=-1, keepdims=True, initial=-np.inf)
    numbers, scales, biases = _to_integers(np, np.divide, groups, low, high, bits)
    return pack(numbers.reshape(w.shape), bits), scales, biases


def _extreme_xla(lax: Any, better: Callable[[Array, Array], Array], groups: Array, worst: float) -> Array:
    """The smallest or largest of each group, which NaN never is.

    Removing NaN before would take five times as long in groups of 64 and more.
    """
    found = lax.reduce(
        groups, groups.dtype.type(worst), lambda a, b: lax.select(better(b, a), b, a), (groups.ndim - 1,)
    )
    return found[..., None]


def _affine_xla(xla: Any, w: Array, group_size: int, bits: int) -> tuple[Array, ...]:
    def quantize(part: Array) -> tuple[Array, ...]:
        groups = _grouped(part, group_size).astype(_wide(w.dtype))
        low = _extreme_xla(xla.lax, xla.lax.lt, groups, np.inf)
        high = _extreme_xla(xla.lax, xla.lax.gt, groups, -np.inf)
        numbers, scales, biases = _to_integers(xla.jnp, _divide_xla(xla), groups, low, high, bits)
        return pack_xla(xla, numbers.reshape(part.shape), bits), scales.astype(w.dtype), biases.astype(w.dtype)

    return _in_halves_xla(xla, quantize, w, group_size)


def _affine_cotangent(g: Sequence[Node | None], out: Node, w: Node, group_size: int, bits: int) -> Node | None:
    """Through the ends of a group, on which its scale and bias depend; numbers are constant almost everywhere."""
    if g[1] is None and g[2] is None:
        return None
    wide = float64 if w.dtype is float64 else float32
    *lead, last = w.shape
    groups = cast(reshape(w, (*lead, last // group_size, group_size)), wide)
    axes = (groups.ndim - 1,)
    low, high = MIN(groups, axes, True), MAX(groups, axes, True)
    zero = low - low
    g_scale, g_bias = (zero if x is None else cast(reshape(x, low.shape), wide) for x in g[1:])
    count = 2**bits - 1
    step = (high - low) / count
    of_step = SELECT(GREATER(step, _LEAST_SCALE), g_scale, 0) / count
    if bits == 1:
        of_low, of_high = g_bias - of_step, of_step
    else:
        is_low = GREATER(ABS(low), ABS(high))
        step = MAXIMUM(step, _LEAST_SCALE)
        steps = ROUND(SELECT(is_low, low, -high) / step)
        at_zero = EQUAL(steps, 0)
        of_edge = SELECT(at_zero, 0, g_scale / SELECT(at_zero, 1, steps) + g_bias)
        of_step = SELECT(at_zero, SELECT(is_low, of_step, -of_step), 0)
        of_low = SELECT(is_low, of_edge, 0) - of_step
        of_high = SELECT(is_low, 0, of_edge) + of_step
    total = None
    for end, cotangent in ((low, of_low), (high, of_high)):
        (term,) = end.primitive.pull_back(end, cotangent, (0,))
        total = term if total is None or term is None else total + term
    return None if total is None else cast(reshape(total, w.shape), w.dtype)


def _affine_shape(w: Node, group_size: int, bits: int) -> tuple[tuple[Shape, ...], tuple[Dtype, ...]]:
    packed, groups = _shapes(w, group_size, bits)
    return (packed, groups, groups), (uint32, w.dtype, w.dtype)


def _batch_affine(inputs: Sequence[Node], dims: Dims, *params: int) -> tuple[Node, tuple[int, ...]]:
    return QUANTIZE_TO_INTEGERS(batch_to_front(inputs[0], dims[0], 1), *params), (0, 0, 0)


# Words of integers, the scales and the biases of groups along the last axis.
QUANTIZE_TO_INTEGERS = Primitive(
    "quantize_to_integers",
    arity=1,
    shape=_affine_shape,
    kernel=_affine,
    lower=_affine_xla,
    vjp=(_affine_cotangent,),
    batch=_batch_affine,
    many=True,
    cost=_cost,
)


# ---------------------------------------------------------------------- small floating-point numbers and scales


def _to_floats(
    library: Any, divide: Divide, values: dict[str, Array], w: Array, unit: Array, group_size: int, formats: list[str]
) -> tuple[Array, Array]:
    """Codes of elements and of scales. Quotients are rounded to the dtype of `w` on the way, as the formats' are."""
    element, scale_format = formats
    groups = _grouped(w, group_size).astype(_wide(w.dtype))
    largest = library.max(abs(groups), axis=-1, keepdims=True)
    wanted = divide(largest, groups.dtype.type(LARGEST[element])).astype(w.dtype).astype(np.float32)
    unit = unit[..., None] if unit.ndim else unit
    scales = ENCODERS[scale_format](library, wanted * unit)
    divisor = values[scale_format][scales].astype(groups.dtype)
    quotient = divide(groups, library.where(divisor == 0, library.ones_like(divisor), divisor)).astype(w.dtype)
    quotient = library.where(divisor == 0, np.float32(0), quotient.astype(np.float32))
    return ENCODERS[element](library, quotient * unit).reshape(w.shape), scales[..., 0]


def _floats(w: Array, unit: Array, group_size: int, bits: int, *formats: str) -> tuple[Array, ...]:
    def quantize(part: Array) -> tuple[Array, ...]:
        codes, scales = _to_floats(np, np.divide, VALUES, part, unit, group_size, list(formats))
        return pack(codes, bits), scales

    return _in_chunks(quantize, w, group_size) if np.ndim(unit) == 0 else quantize(w)


def _floats_xla(xla: Any, w: Array, unit: Array, group_size: int, bits: int, *formats: str) -> tuple[Array, ...]:
    values = {format: xla.jnp.asarray(VALUES[format]) for format in formats}

    def quantize(part: Array) -> tuple[Array, ...]:
        codes, scales = _to_floats(xla.jnp, _divide_xla(xla), values, part, unit, group_size, list(formats))
        return pack_xla(xla, codes, bits), scales

    return _in_halves_xla(xla, quantize, w, group_size) if unit.ndim == 0 else quantize(w)


def _floats_shape(
    w: Node, unit: Node, group_size: int, bits: int, *formats: str
) -> tuple[tuple[Shape, ...], tuple[Dtype, ...]]:
    return _shapes(w, group_size, bits), (uint32, uint8)


def _batch_floats(inputs: Sequence[Node], dims: Dims, *params: Any) -> tuple[Node, tuple[int, int]]:
    size = batch_size(inputs, dims)
    w, unit = batch_to_front(inputs[0], dims[0], size), inputs[1]
    if dims[1] is not None:
        unit = move_axis(unit, dims[1], 0)
        inner = unit.shape[1:] or (1,) * (w.ndim - 1)
        unit = reshape(unit, (size, *inner))
    elif unit.ndim:
        unit = reshape(unit, (1, *unit.shape))
    return QUANTIZE_TO_FLOATS(w, unit, *params), (0, 0)


# Words of codes, and the codes of the scales; all is multiplied by `unit` first: one number, or as many axes as `w`.
QUANTIZE_TO_FLOATS = Primitive(
    "quantize_to_floats",
    arity=2,
    shape=_floats_shape,
    kernel=_floats,
    lower=_floats_xla,
    batch=_batch_floats,
    many=True,
    moves_data=True,  # the kernel needs to know the dtype
    cost=_cost,
)

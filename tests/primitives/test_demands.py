"""Demands of primitives: what meets them gives the shapes and dtypes of the shape rules, and all that transforms
record meets them.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np
import pytest
from case import Case
from test_table import CASES, arrays_of, cast_inputs, scalar_loss, stacked

import mlx.core as mx
from mlx.ir import dtypes
from mlx.ir.body import Body
from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node
from mlx.ir.primitive import PRIMITIVES, Leaf
from mlx.ir.trace import placeholder
from mlx.primitives.convolution import Window
from mlx.primitives.elementwise import Elementwise
from mlx.transforms.demands import DEMANDS, check_demands
from mlx.transforms.parameters import check_parameters
from mlx.transforms.tracing import trace_function

TABLE = [case for case in CASES if case.primitive not in ("cuda_kernel", "metal_kernel")]
# Halves are computed in float32; what the engine does for that is none of the kernels' business.
DTYPES = [x for x in vars(dtypes).values() if isinstance(x, Dtype) and not x.is_half]
MUTANTS = 12  # of each node of a case's program
ELEMENTS = 10**5


def nodes_of(function: Any, arguments: list[Any]) -> list[Node]:
    nodes = trace_function("export_function", function, arguments, {}).trace.nodes
    return [node for node in nodes if node.primitive.name not in ("custom", "checkpoint", "project", "barrier")]


def recorded(case: Case) -> list[Node]:
    return recorded_on(case, arrays_of(case))


def recorded_on(case: Case, inputs: list[Any]) -> list[Node]:
    places = [i for i, x in enumerate(inputs) if isinstance(x, mx.array)]

    def function(*arrays: Any) -> Any:
        replaced = dict(zip(places, arrays, strict=True))
        return case.function(*(replaced.get(i, x) for i, x in enumerate(inputs)))

    return nodes_of(function, [inputs[i] for i in places])


# ---------------------------------------------------------------------- what is recorded meets the demands


def test_every_primitive_has_its_demands_declared() -> None:
    others = {name for name, x in PRIMITIVES.items() if not isinstance(x, Leaf | Elementwise)}
    assert set(DEMANDS) == others


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_what_transforms_record_meets_the_demands(case: Case) -> None:
    nodes = recorded(case)
    if case.wrt:
        loss, points = scalar_loss(case, arrays_of(case))
        argnums = list(range(len(points)))
        nodes += nodes_of(mx.grad(loss, argnums), [mx.array(x, mx.float64) for x in points])
    if case.batched and any(isinstance(x, np.ndarray) for x in case.inputs):
        batched, _, axes = stacked(case, -1)
        inputs = [mx.array(x) if isinstance(x, np.ndarray) else x for x in batched]
        places = [i for i, x in enumerate(inputs) if isinstance(x, mx.array)]

        def mapped(*arrays: Any) -> Any:
            replaced = dict(zip(places, arrays, strict=True))
            arguments = [replaced.get(i, x) for i, x in enumerate(inputs)]
            return mx.vmap(case.function, in_axes=tuple(axes))(*arguments)

        nodes += nodes_of(mapped, [inputs[i] for i in places])
    for node in nodes:
        check_demands(node.primitive, node.inputs, node.params)


@pytest.mark.parametrize("case", TABLE, ids=str)
def test_what_is_recorded_of_every_dtype_meets_the_demands(case: Case) -> None:
    for dtype in case.dtypes:
        for node in recorded_on(case, cast_inputs(case, dtype)):
            check_demands(node.primitive, node.inputs, node.params)


# ---------------------------------------------------------------------- what meets the demands is computed


def mutated(value: Any, rng: random.Random) -> Any:
    """A parameter of the same kind that is another."""
    if type(value) is bool:
        return not value
    if type(value) is int:
        return rng.choice([value + 1, value - 1, -value, 2 * value, 0, 1, 2, 3, 7, -1, -5, 40])
    if type(value) is str:
        return rng.choice(["", "e2m1", "other"])
    if type(value) is Dtype:
        return rng.choice(DTYPES)
    if isinstance(value, Body):
        return value.with_outputs(rng.choice([value.outputs[:-1], value.outputs[::-1], value.outputs * 2]))
    parts = list(value)
    if isinstance(value, Window):
        field = rng.randrange(len(parts))
        parts[field] = mutated(parts[field], rng)
        return Window(*parts)
    place = rng.randrange(len(parts) + 1)
    action = rng.randrange(3)
    if action == 0 or place == len(parts):
        parts.insert(place, rng.choice([-1, 0, 1, 2, 3]))
    elif action == 1:
        del parts[place]
    else:
        parts[place] = mutated(parts[place], rng)
    return tuple(parts)


def mutated_shape(shape: tuple[int, ...], rng: random.Random) -> tuple[int, ...]:
    extents = list(shape)
    place = rng.randrange(len(extents) + 1)
    action = rng.randrange(4)
    if action == 0 or place == len(extents):
        extents.insert(place, rng.choice([0, 1, 2, 3]))
    elif action == 1:
        del extents[place]
    elif action == 2:
        rng.shuffle(extents)
    else:
        extents[place] = rng.choice([0, 1, 2, 3, 4, extents[place] + 1])
    return tuple(extents)


def mutants(node: Node, rng: random.Random) -> Iterator[tuple[list[Any], tuple[Any, ...]]]:
    """Operands' shapes and dtypes, and parameters, with one or two of them changed."""
    for _ in range(MUTANTS):
        operands, params = [(x.shape, x.dtype) for x in node.inputs], list(node.params)
        for _ in range(rng.choice((1, 1, 2))):
            part = rng.randrange(len(operands) + len(params))
            if part >= len(operands):
                params[part - len(operands)] = mutated(params[part - len(operands)], rng)
            else:
                shape, dtype = operands[part]
                changed = (mutated_shape(shape, rng), dtype), (shape, rng.choice(DTYPES))
                operands[part] = rng.choice(changed)
        yield operands, tuple(params)


def accepted(node: Node, operands: list[Any], params: tuple[Any, ...]) -> list[Any] | None:
    """The shapes and dtypes that the shape rule says, or None where the demands are not met."""
    inputs = tuple(placeholder("import_function", shape, dtype) for shape, dtype in operands)
    try:
        check_parameters(node.primitive.name, params)
        shapes, kinds = node.primitive.infer(inputs, params)
        check_demands(node.primitive, inputs, params)
    except Exception:
        return None
    return list(zip(shapes, kinds, strict=True)) if node.primitive.many else [(shapes, kinds)]


def computed(node: Node, operands: list[Any], params: tuple[Any, ...]) -> list[Any]:
    """The shapes and dtypes that the kernel gives for small positive numbers."""
    numbers = np.random.default_rng(0)
    arrays = [np.abs(numbers.normal(size=shape)).astype(dtype.numpy) for shape, dtype in operands]
    if node.primitive.name == "grouped_product":  # which picks rows by values
        arrays[2] = arrays[2] % params[0]
    kernel = node.primitive.kernel
    assert kernel is not None
    with np.errstate(all="ignore"):
        out = kernel(arrays, *params) if node.primitive.arity is None else kernel(*arrays, *params)
    return [(np.asarray(x).shape, np.asarray(x).dtype) for x in (out if node.primitive.many else (out,))]


def test_a_view_never_leaves_its_array_whatever_its_node_says() -> None:
    kernel = PRIMITIVES["as_strided"].kernel
    assert kernel is not None
    x = np.arange(6.0).reshape(2, 3)
    assert kernel(x, (2, 2), (2, 1), 2).tolist() == [[2, 3], [4, 5]]
    for shape, strides, offset in (((7,), (1,), 0), ((2,), (1,), 5), ((2,), (-1,), 0), ((2, 2), (5, 1), 0)):
        with pytest.raises(ValueError, match="reaches beyond its array of 6 elements"):
            kernel(x, shape, strides, offset)


@pytest.mark.parametrize("case", TABLE, ids=str)
@pytest.mark.filterwarnings("ignore")
def test_what_meets_the_demands_is_computed_as_declared(case: Case) -> None:
    rng = random.Random(zlib.crc32(str(case).encode()))
    for node in recorded(case):
        if not node.inputs and not node.params:
            continue
        for operands, params in mutants(node, rng):
            declared = accepted(node, operands, params)
            if declared is None or any(min(shape, default=0) < 0 or prod(shape) > ELEMENTS for shape, _ in declared):
                continue
            wanted = [(shape, dtype.numpy) for shape, dtype in declared]
            assert computed(node, operands, params) == wanted, (node.primitive.name, operands, params)

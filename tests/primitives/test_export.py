"""Every primitive through a file: what is imported computes what was exported, and so do its derivatives."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from case import Case
from test_table import CASES, arrays_of

import mlx.core as mx
from mlx.ir.primitive import PRIMITIVES, Leaf
from mlx.transforms.parameters import PARAMETERS
from mlx.transforms.tracing import trace_function

RUNNABLE = [case for case in CASES if case.primitive not in ("cuda_kernel", "metal_kernel")]


def split(case: Case) -> tuple[Any, list[Any]]:
    """The case as a function of its arrays, and these; what is no array stays constant."""
    inputs = arrays_of(case)
    places = [i for i, x in enumerate(inputs) if isinstance(x, mx.array)]

    def function(*arrays: Any) -> Any:
        full = list(inputs)
        for i, x in zip(places, arrays, strict=True):
            full[i] = x
        return case.function(*full)

    return function, [inputs[i] for i in places]


def same(x: Any, y: Any) -> bool:
    x, y = x._numpy(), y._numpy()
    return x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()


def summed(out: Any) -> Any:
    return (out.real if out.dtype == mx.complex64 else out).sum()


@pytest.mark.parametrize("case", RUNNABLE, ids=str)
def test_round_trip(case: Case, tmp_path: Path) -> None:
    function, arrays = split(case)
    path = tmp_path / "function.mlxfn"
    with mx.engine("numpy"):
        mx.export_function(path, function, *arrays)
        (imported,) = mx.import_function(path)(*arrays)
        assert same(imported, mx.compile(function)(*arrays))


@pytest.mark.parametrize("case", [case for case in RUNNABLE if case.wrt], ids=str)
def test_round_trip_of_the_gradient(case: Case, tmp_path: Path) -> None:
    function, arrays = split(case)
    places = [i for i, x in enumerate(arrays_of(case)) if isinstance(x, mx.array)]
    argnums = [places.index(i) for i in case.wrt]

    def loss(*moving: Any) -> Any:
        return summed(function(*moving))

    def gradient(*moving: Any) -> Any:
        return mx.grad(loss, argnums)(*moving)

    path = tmp_path / "gradient.mlxfn"
    with mx.engine("numpy"):
        expected = mx.compile(gradient)(*arrays)
        expected = expected if isinstance(expected, list | tuple) else [expected]
        mx.export_function(path, gradient, *arrays)
        for x, y in zip(mx.import_function(path)(*arrays), expected, strict=True):
            assert same(x, y)
        mx.export_function(path, function, *arrays)
        imported = mx.import_function(path)
        derived = mx.grad(lambda *moving: summed(imported(*moving)[0]), argnums)(*arrays)
        for x, y in zip(derived if isinstance(derived, list | tuple) else [derived], expected, strict=True):
            assert np.allclose(x._numpy(), y._numpy(), rtol=1e-6, atol=1e-9, equal_nan=True)


def test_parameters_are_declared_as_the_shape_rules_take_them() -> None:
    for name, primitive in PRIMITIVES.items():
        if isinstance(primitive, Leaf) or name in ("custom", "checkpoint", "cuda_kernel", "metal_kernel"):
            continue
        assert primitive.shape is not None
        arguments = inspect.signature(primitive.shape).parameters
        if not any(x.kind is x.VAR_POSITIONAL for x in arguments.values()):
            assert len(arguments) - (1 if primitive.arity is None else primitive.arity) == len(PARAMETERS.get(name, ()))


def test_the_table_reaches_every_primitive() -> None:
    reached = set()
    for case in RUNNABLE:
        function, arrays = split(case)
        reached |= {node.primitive.name for node in trace_function("export_function", function, arrays, {}).trace.nodes}
    assert reached >= {case.primitive for case in RUNNABLE if not case.wrt}

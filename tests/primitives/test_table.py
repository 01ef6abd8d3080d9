"""Every primitive, from one table: derivatives against central differences, NumPy against XLA, batching against a loop.

The table is made of the `CASES` of the modules `cases_*` beside this one.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from case import Case

import mlx.core as mx
from mlx.ir.primitive import PRIMITIVES, Leaf

HERE = Path(__file__).parent
MODULES = sorted(module.name for module in pkgutil.iter_modules([str(HERE)]) if module.name.startswith("cases_"))
CASES: list[Case] = [case for name in MODULES for case in importlib.import_module(name).CASES]
DIFFERENTIABLE = [case for case in CASES if case.wrt]
BATCHED = [case for case in CASES if case.batched and any(isinstance(x, np.ndarray) for x in case.inputs)]
SEVERAL = [case for case in BATCHED if sum(isinstance(x, np.ndarray) for x in case.inputs) > 1]
ENGINES = ("numpy", "xla")
FIRST = list({case.primitive: case for case in reversed(CASES) if case.dtypes}.values())  # the first of each primitive
TOGETHER = 16  # cases that make up one compiled function
REFUSE = {"cuda_kernel", "decode", "metal_kernel"}  # asked for a derivative, they raise an error

TOLERANCE = {"float16": 4e-3, "bfloat16": 3e-2, "float32": 2e-5, "float64": 1e-10, "complex64": 2e-5}


def test_no_primitive_is_missing() -> None:
    covered = {case.primitive for case in CASES}
    declared = {name for name, primitive in PRIMITIVES.items() if not isinstance(primitive, Leaf)}
    assert declared - covered == set()
    assert covered - declared == set()


def test_differentiable_primitives_are_differentiated() -> None:
    covered = {case.primitive for case in DIFFERENTIABLE}
    declared = {name for name, primitive in PRIMITIVES.items() if primitive.differentiable} - REFUSE
    assert declared - covered == set()


def test_every_primitive_with_inputs_can_be_batched() -> None:
    inputless = {name for name, primitive in PRIMITIVES.items() if primitive.arity == 0}
    without_rule = {name for name, primitive in PRIMITIVES.items() if primitive.batch is None}
    assert without_rule - inputless == {"project"}  # which vmap handles itself


def arrays_of(case: Case) -> list[Any]:
    return [
        mx.array(x, mx.float64) if i in case.wrt else mx.array(x) if isinstance(x, np.ndarray) else x
        for i, x in enumerate(case.inputs)
    ]


def real_part(x: Any) -> Any:
    return x.real if x.dtype == mx.complex64 else x


def scalar_loss(case: Case, inputs: list[Any]) -> tuple[Any, list[np.ndarray]]:
    """A scalar function of the differentiated inputs: the output weighted with fixed random numbers."""
    with mx.engine("numpy"):
        shape = case.function(*inputs).shape
    weight = mx.array(np.random.default_rng(7).uniform(0.5, 1.5, shape), mx.float64)

    def loss(*moving: Any) -> Any:
        full = list(inputs)
        for i, x in zip(case.wrt, moving, strict=True):
            full[i] = x
        return (real_part(case.function(*full)) * weight).sum()

    return loss, [np.asarray(case.inputs[i], np.float64) for i in case.wrt]


def directions(points: list[np.ndarray], seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.uniform(0.5, 1.0, x.shape) * rng.choice([-1, 1], x.shape) for x in points]


def along(gradients: Any, direction: list[np.ndarray]) -> Any:
    total = mx.array(0.0, mx.float64)
    for g, v in zip(gradients, direction, strict=True):
        total = total + (g * mx.array(v, mx.float64)).sum()
    return total


def central_difference(function: Any, points: list[np.ndarray], direction: list[np.ndarray], step: float) -> float:
    values = []
    with mx.engine("numpy"):
        for sign in (1, -1):
            moved = [mx.array(x + sign * step * v, mx.float64) for x, v in zip(points, direction, strict=True)]
            values.append(function(*moved).item())
    return (values[0] - values[1]) / (2 * step)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=str)
def test_first_and_second_derivatives(case: Case, engine: str) -> None:
    inputs = arrays_of(case)
    loss, points = scalar_loss(case, inputs)
    argnums = list(range(len(points)))
    v, u = directions(points, 1), directions(points, 2)

    def slope(*moving: Any) -> Any:
        gradients = mx.grad(loss, argnums)(*moving)
        return along(gradients if len(argnums) > 1 else [gradients], v)

    def curvature(*moving: Any) -> Any:
        gradients = mx.grad(slope, argnums)(*moving)
        return along(gradients if len(argnums) > 1 else [gradients], u)

    moving = [mx.array(x, mx.float64) for x in points]
    with mx.engine(engine):
        first = slope(*moving).item()
        second = curvature(*moving).item() if case.second else None
    step, tolerance = (0.25, 1e-4) if case.coarse else (1e-5, 2e-6)
    expected = central_difference(loss, points, v, step)
    assert first == pytest.approx(expected, rel=tolerance, abs=tolerance)
    if second is not None:
        expected = central_difference(slope, points, u, step)
        assert second == pytest.approx(expected, rel=tolerance, abs=tolerance)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=str)
def test_forward_mode_is_the_transpose_of_reverse_mode(case: Case, engine: str) -> None:
    inputs = arrays_of(case)

    def function(*moving: Any) -> Any:
        full = list(inputs)
        for i, x in zip(case.wrt, moving, strict=True):
            full[i] = x
        return case.function(*full)

    points = [np.asarray(case.inputs[i], np.float64) for i in case.wrt]
    moving = [mx.array(x, mx.float64) for x in points]
    tangents = [mx.array(v, mx.float64) for v in directions(points, 3)]
    with mx.engine(engine):
        (output,), (pushed,) = mx.jvp(function, moving, tangents)
        assert pushed.shape == output.shape
        assert pushed.dtype == output.dtype
        cotangent = mx.array(np.random.default_rng(4).uniform(0.5, 1.5, output.shape), mx.float64)
        _, pulled = mx.vjp(function, moving, [cotangent])
        forward = (cotangent * real_part(pushed)).sum().item()
        backward = sum((p * t).sum().item() for p, t in zip(pulled, tangents, strict=True))
    tolerance = 1e-5 if case.coarse else 1e-9
    assert forward == pytest.approx(backward, rel=tolerance, abs=tolerance)


def stacked(case: Case, axis: int) -> tuple[list[Any], list[list[Any]], list[int | None]]:
    """Arguments with a batch of two along a new axis, the two lists of arguments, and the axes."""
    entries: list[list[Any]] = [[], []]
    batched, axes = [], []
    for i, x in enumerate(case.inputs):
        if not isinstance(x, np.ndarray):
            values, axes_i, joined = [x, x], None, x
        else:
            moved = x * 0.75 if i in case.wrt else x
            values = [mx.array(x), mx.array(np.asarray(moved, x.dtype, order="C"))]
            axes_i = axis if axis == 0 or x.ndim == 0 else x.ndim
            axes_i = 0 if x.ndim == 0 else axes_i
            joined = mx.array(np.stack([x, np.asarray(moved).astype(x.dtype)], axis=axes_i))
        entries[0].append(values[0])
        entries[1].append(values[1])
        batched.append(joined)
        axes.append(axes_i)
    return batched, entries, axes


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("case", BATCHED, ids=str)
def test_batching_is_a_loop(case: Case, axis: int) -> None:
    batched, entries, axes = stacked(case, axis)
    with mx.engine("numpy"):
        mapped = mx.vmap(case.function, in_axes=tuple(axes))(*batched)
        looped = [numpy_of(case.function(*entry)) for entry in entries]
    np.testing.assert_allclose(numpy_of(mapped), np.stack(looped), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("case", SEVERAL, ids=str)
def test_batching_some_inputs_is_a_loop(case: Case) -> None:
    """Every choice of inputs that are mapped, where the others are the same for all entries."""
    positions = [i for i, x in enumerate(case.inputs) if isinstance(x, np.ndarray)]
    batched, entries, axes = stacked(case, -1)
    for count in range(1, len(positions)):
        for mapped in itertools.combinations(positions, count):
            inputs = [x if i in mapped else entries[0][i] for i, x in enumerate(batched)]
            in_axes = tuple(axis if i in mapped else None for i, axis in enumerate(axes))
            loop = [[x if i in mapped else entries[0][i] for i, x in enumerate(entry)] for entry in entries]
            with mx.engine("numpy"):
                result = numpy_of(mx.vmap(case.function, in_axes=in_axes)(*inputs))
                looped = np.stack([numpy_of(case.function(*entry)) for entry in loop])
            np.testing.assert_allclose(result, looped, rtol=2e-5, atol=2e-5, err_msg=f"mapped: {mapped}")


@pytest.mark.parametrize("case", [case for case in BATCHED if case.wrt], ids=str)
def test_gradients_of_a_batch_are_a_loop(case: Case) -> None:
    """By a mapped gradient, a gradient of the mapped function, and products of tangents both ways round."""
    entries = [arrays_of(case), arrays_of(case)]
    loss, points = scalar_loss(case, entries[0])
    argnums = tuple(range(len(points)))
    batch = [mx.array(np.stack([x, x * 0.75]), mx.float64) for x in points]
    tangents = [mx.array(np.stack([v, -2 * v]), mx.float64) for v in directions(points, 5)]

    def gradients(*moving: Any) -> Any:
        found = mx.grad(loss, argnums)(*moving)
        return list(found) if len(argnums) > 1 else [found]

    def product(moving: Any, pushed: Any) -> Any:
        return mx.jvp(loss, moving, pushed)[1][0]

    def of_batch(*moving: Any) -> Any:
        return mx.vmap(loss)(*moving)

    with mx.engine("numpy"):
        mapped = mx.vmap(gradients)(*batch)
        summed = mx.grad(lambda *moving: of_batch(*moving).sum(), argnums)(*batch)
        looped = [gradients(*[x[i] for x in batch]) for i in range(2)]
        for position, expected in enumerate(zip(*looped, strict=True)):
            outer = summed[position] if len(argnums) > 1 else summed
            for result in (mapped[position], outer):
                np.testing.assert_allclose(
                    numpy_of(result), np.stack([numpy_of(x) for x in expected]), rtol=1e-5, atol=1e-8
                )
        products = [product([x[i] for x in batch], [t[i] for t in tangents]).item() for i in range(2)]
        np.testing.assert_allclose(numpy_of(mx.vmap(product)(batch, tangents)), products, rtol=1e-5, atol=1e-8)
        np.testing.assert_allclose(numpy_of(mx.jvp(of_batch, batch, tangents)[1][0]), products, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("case", BATCHED, ids=str)
def test_a_batch_of_no_entries_has_none(case: Case) -> None:
    batched, entries, axes = stacked(case, 0)
    empty = [x if axis is None else x[:0] for x, axis in zip(batched, axes, strict=True)]
    with mx.engine("numpy"):
        one = case.function(*entries[0])
        mapped = mx.vmap(case.function, in_axes=tuple(axes))(*empty)
        assert numpy_of(mapped).shape == (0, *one.shape)
    assert mapped.dtype == one.dtype


def cast_inputs(case: Case, dtype: str) -> list[Any]:
    cast = range(len(case.inputs)) if case.cast is None else case.cast
    mx_dtype = getattr(mx, "bool_" if dtype == "bool" else dtype)
    return [
        mx.array(x).astype(mx_dtype) if i in cast else mx.array(x) if isinstance(x, np.ndarray) else x
        for i, x in enumerate(case.inputs)
    ]


def numpy_of(x: Any) -> Any:
    value = np.array(x.astype(mx.float32)) if x.dtype == mx.bfloat16 else np.array(x)
    return value.astype(np.float64) if value.dtype.kind == "f" else value


@pytest.mark.parametrize("case", CASES, ids=str)
def test_engines_agree(case: Case) -> None:
    variants = [cast_inputs(case, dtype) for dtype in case.dtypes]
    mx.eval(variants)
    results = {}
    for engine in ENGINES:
        with mx.engine(engine):
            outputs = [case.function(*inputs) for inputs in variants]
            mx.eval(outputs)
            results[engine] = outputs
    for dtype, inputs, interpreted, compiled in zip(
        case.dtypes, variants, results["numpy"], results["xla"], strict=True
    ):
        assert interpreted.dtype == compiled.dtype
        assert interpreted.shape == compiled.shape
        tolerance = TOLERANCE.get(dtype, 2e-5) + case.smooth
        left, right = numpy_of(interpreted), numpy_of(compiled)
        np.testing.assert_allclose(left, right, rtol=tolerance, atol=tolerance, err_msg=f"{case} {dtype}")
        if case.reference is not None:
            expected = case.reference(*(numpy_of(x) if isinstance(x, mx.array) else x for x in inputs))
            np.testing.assert_allclose(left, expected, rtol=tolerance, atol=tolerance, err_msg=f"{case} {dtype}")


def arrays_alone(case: Case) -> tuple[Callable[..., Any], list[int]]:
    """The case's function of its arrays alone, and their positions."""
    positions = [i for i, x in enumerate(case.inputs) if isinstance(x, np.ndarray)]

    def function(*arrays: Any) -> Any:
        full = list(case.inputs)
        for i, x in zip(positions, arrays, strict=True):
            full[i] = x
        return case.function(*full)

    return function, positions


def check_compiled(case: Case, dtype: str, result: Any, expected: Any) -> None:
    tolerance = TOLERANCE.get(dtype, 2e-5) + case.smooth
    assert result.dtype == expected.dtype
    assert result.shape == expected.shape
    np.testing.assert_allclose(numpy_of(result), numpy_of(expected), rtol=tolerance, atol=tolerance, err_msg=dtype)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_compiled_functions_give_what_they_give_undecorated(case: Case) -> None:
    function, positions = arrays_alone(case)
    compiled = mx.compile(function)
    for dtype in case.dtypes:
        variant = cast_inputs(case, dtype)
        inputs = [variant[i] for i in positions]
        with mx.engine("numpy"):
            expected = function(*inputs)
            for _ in range(2):  # the second call is served by the trace of the first
                check_compiled(case, dtype, compiled(*inputs), expected)


@functools.cache
def compiled_together(group: int) -> list[Any]:
    """What a group of cases gives in their first dtype, as one compiled function on XLA."""
    cases = FIRST[group * TOGETHER : (group + 1) * TOGETHER]
    functions = [arrays_alone(case) for case in cases]
    variants = [cast_inputs(case, case.dtypes[0]) for case in cases]
    inputs = [[variant[i] for i in positions] for variant, (_, positions) in zip(variants, functions, strict=True)]
    mx.eval(inputs)
    compiled = mx.compile(
        lambda inputs: [function(*mine) for (function, _), mine in zip(functions, inputs, strict=True)]
    )
    with mx.engine("xla"):
        results = compiled(inputs)
        mx.eval(results)
    return results


@pytest.mark.parametrize("position", range(len(FIRST)), ids=[str(case) for case in FIRST])
def test_functions_compiled_together_give_what_they_give_undecorated(position: int) -> None:
    case = FIRST[position]
    group, place = divmod(position, TOGETHER)
    with mx.engine("numpy"):
        expected = case.function(*cast_inputs(case, case.dtypes[0]))
        mx.eval(expected)
    check_compiled(case, case.dtypes[0], compiled_together(group)[place], expected)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_exported_and_imported_functions_give_what_they_gave(case: Case, tmp_path: Path) -> None:
    function, positions = arrays_alone(case)
    path = str(tmp_path / "function.mlxfn")
    for dtype in case.dtypes:
        variant = cast_inputs(case, dtype)
        inputs = [variant[i] for i in positions]
        mx.export_function(path, function, *inputs)
        with mx.engine("numpy"):
            (result,) = mx.import_function(path)(*inputs)
            expected = function(*inputs)
            assert result.dtype == expected.dtype
            assert result.shape == expected.shape
            np.testing.assert_array_equal(numpy_of(result), numpy_of(expected), err_msg=dtype)


@pytest.mark.parametrize("case", [case for case in DIFFERENTIABLE if case.primitive != "custom"], ids=str)
def test_gradients_of_imported_functions(case: Case, tmp_path: Path) -> None:
    inputs = arrays_of(case)
    loss, points = scalar_loss(case, inputs)
    path = str(tmp_path / "function.mlxfn")
    moving = [mx.array(x, mx.float64) for x in points]
    mx.export_function(path, loss, *moving)
    imported = mx.import_function(path)
    argnums = tuple(range(len(points)))
    with mx.engine("numpy"):
        result = mx.grad(lambda *moving: imported(*moving)[0], argnums)(*moving)
        expected = mx.grad(loss, argnums)(*moving)
        for mine, other in zip(result, expected, strict=True) if len(argnums) > 1 else [(result, expected)]:
            np.testing.assert_allclose(numpy_of(mine), numpy_of(other), rtol=1e-12, atol=1e-12)

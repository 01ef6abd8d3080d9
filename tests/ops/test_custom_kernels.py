"""Kernels in Metal's language: they are checked and recorded, and refused where they would have to run."""

from __future__ import annotations

from typing import Any

import pytest

import mlx.core as mx


def kernel(**options: Any) -> Any:
    return mx.fast.metal_kernel("copy", ["a"], ["out", "twice"], "out[0] = a[0]; twice[0] = 2 * a[0];", **options)


def launch(a: Any, **changes: Any) -> Any:
    arguments = {
        "inputs": [a],
        "output_shapes": [a.shape, (3, 1)],
        "output_dtypes": [a.dtype, mx.int32],
        "grid": (a.size, 1, 1),
        "threadgroup": (min(a.size, 256), 1, 1),
        "stream": mx.gpu,
    }
    return kernel()(**{**arguments, **changes})


def test_it_has_nothing_to_run_on() -> None:
    with pytest.raises(RuntimeError, match=r"^\[metal_kernel\] No Metal back-end\. .*mx operations"):
        launch(mx.ones((2, 2)))


@pytest.mark.parametrize("engine", ["numpy", "xla"])
def test_neither_engine_runs_what_a_transform_recorded(engine: str) -> None:
    with mx.engine(engine), pytest.raises(RuntimeError, match="No Metal back-end"):
        mx.eval(mx.compile(lambda a: launch(a)[1])(mx.ones(2)))
    assert mx.array(1.0).item() == 1.0


def test_outputs_have_the_shapes_and_dtypes_asked_for() -> None:
    seen = []

    def call(a: Any) -> Any:
        out, twice = launch(a, template=[("T", mx.float16), ("N", 3), ("flag", True)], init_value=0)
        seen.append((out.shape, out.dtype, twice.shape, twice.dtype))
        return (a * 2).sum()

    mx.grad(call)(mx.ones((2, 2), mx.float16))
    assert seen == [((2, 2), mx.float16, (3, 1), mx.int32)]


def test_it_has_no_derivative() -> None:
    for transform in (mx.grad(lambda a: launch(a)[0].sum()), lambda a: mx.jvp(lambda a: launch(a)[0], [a], [a])):
        with pytest.raises(ValueError, match="no derivative"):
            transform(mx.ones(2))


def test_it_has_no_batching_rule() -> None:
    with pytest.raises(ValueError, match="'copy' cannot be mapped"):
        mx.vmap(lambda a: launch(a)[0])(mx.ones((2, 3)))


def test_custom_function_gives_it_a_derivative() -> None:
    doubled = mx.custom_function(lambda a: launch(a)[0])

    @doubled.vjp
    def pull_back(primals: Any, cotangent: Any, output: Any) -> Any:
        return cotangent * 2

    assert mx.grad(lambda a: doubled(a).sum())(mx.ones(2)).tolist() == [2, 2]


@pytest.mark.parametrize("options", [{"math_mode": mode} for mode in ("safe", "relaxed", "fast")])
def test_math_modes(options: dict[str, str]) -> None:
    assert kernel(compile_options=options, header="// none", atomic_outputs=True, ensure_row_contiguous=False)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"compile_options": {"foo": 1}}, ValueError, "Unknown compile option `foo`"),
        ({"compile_options": {"math_mode": "foo"}}, ValueError, "Expected math_mode to be"),
        ({"output_names": []}, ValueError, "at least one output"),
        ({"input_names": "ab"}, TypeError, "input_names must be a sequence of str"),
        ({"source": b"x"}, TypeError, "source must be a str"),
    ],
)
def test_bad_definitions(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    definition = {"name": "k", "input_names": ["a"], "output_names": ["o"], "source": "", **arguments}
    with pytest.raises(error, match=message):
        mx.fast.metal_kernel(**definition)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"inputs": []}, ValueError, "Expected `inputs` to have size 1 but got size 0"),
        ({"output_shapes": [(2,)]}, ValueError, "Expected `output_shapes` to have size 2 but got size 1"),
        ({"output_dtypes": [mx.int8]}, ValueError, "Expected `output_dtypes` to have size 2 but got size 1"),
        ({"output_shapes": [(2,), (-1,)]}, ValueError, "Negative dimensions"),
        ({"output_dtypes": ["int8", "int8"]}, TypeError, "dtype must be a Dtype"),
        ({"grid": (1, 1)}, TypeError, "grid must be three ints"),
        ({"threadgroup": (1, 1, 0.5)}, TypeError, "threadgroup must be a sequence of ints"),
        ({"template": [("T", 0.5)]}, TypeError, "template must hold names"),
        ({"stream": mx.cpu}, ValueError, "Only supports the GPU"),
        ({"stream": mx.new_stream(mx.cpu)}, ValueError, "Only supports the GPU"),
    ],
)
def test_bad_launches(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mx.compile(lambda a: launch(a, **arguments))(mx.ones(2))

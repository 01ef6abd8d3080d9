"""Kernels in CUDA's language where there is no GPU: what is checked and recorded, and the source to be compiled.

What they compute is tested in `tests/gpu`.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest

import mlx.core as mx
from mlx.primitives.cuda import CudaCall, launcher
from mlx.runtime import cuda_kernels, devices
from mlx.runtime.compiler import xla


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were one, as long as nothing is launched."""
    monkeypatch.setattr(launcher, "is_available", lambda: True)
    monkeypatch.setattr(devices, "is_available", lambda device: True)


def launch(a: Any, **changes: Any) -> Any:
    kernel = mx.fast.cuda_kernel("copy", ["a"], ["out", "twice"], "out[0] = a[0]; twice[0] = 2 * a[0];")
    arguments = {
        "inputs": [a],
        "output_shapes": [a.shape, (3, 1)],
        "output_dtypes": [a.dtype, mx.int32],
        "grid": (a.size, 1, 1),
        "threadgroup": (min(a.size, 256), 1, 1),
        "stream": mx.gpu,
    }
    return kernel(**{**arguments, **changes})


PRECOMPILED = {
    "name": "scaled",
    "compiled_source": b"ptx",
    "inputs": [1.0],
    "output_shapes": [(1,)],
    "output_dtypes": [mx.float32],
    "scalars": [1, 2.5, True],
    "grid": (1, 1, 1),
    "threadgroup": (1, 1, 1),
}


def test_without_a_gpu_the_error_says_so_and_names_the_alternative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "is_available", lambda: False)
    for function, make in (
        ("cuda_kernel", lambda: mx.fast.cuda_kernel("k", ["a"], ["b"], "")),
        ("precompiled_cuda_kernel", lambda: mx.fast.precompiled_cuda_kernel(**PRECOMPILED)),
    ):
        with pytest.raises(RuntimeError, match=rf"^\[{function}\] No CUDA back-end\. .*mx operations.*custom_function"):
            make()


@pytest.mark.usefixtures("gpu")
def test_outputs_have_the_shapes_and_dtypes_asked_for() -> None:
    out, twice = launch(mx.ones((2, 2), mx.float16), template=[("T", mx.float16)], init_value=0)
    assert (out.shape, out.dtype, twice.shape, twice.dtype) == ((2, 2), mx.float16, (3, 1), mx.int32)
    (y,) = mx.fast.precompiled_cuda_kernel(**PRECOMPILED)
    assert (y.shape, y.dtype) == ((1,), mx.float32)


@pytest.mark.usefixtures("gpu")
def test_programs_on_the_cpu_cannot_launch() -> None:
    with mx.engine("xla"), pytest.raises(RuntimeError, match=r"runs on the CPU.*set_default_device"):
        mx.eval(launch(mx.ones(2))[0])
    assert mx.array(1.0).item() == 1.0


@pytest.mark.usefixtures("gpu")
def test_it_has_no_derivative_and_no_batching_rule() -> None:
    for transform in (mx.grad(lambda a: launch(a)[0].sum()), lambda a: mx.jvp(lambda a: launch(a)[0], [a], [a])):
        with pytest.raises(ValueError, match="no derivative"):
            transform(mx.ones(2))
    with pytest.raises(ValueError, match="'copy' cannot be mapped"):
        mx.vmap(lambda a: launch(a)[0])(mx.ones((2, 3)))


@pytest.mark.usefixtures("gpu")
def test_a_file_cannot_bring_code_along(tmp_path: Any) -> None:
    path = str(tmp_path / "program.mlxfn")
    with pytest.raises(ValueError, match=r"^\[cuda_kernel\] A program in a file cannot bring a CUDA kernel along"):
        mx.export_function(path, lambda a: launch(a)[0], mx.ones(2))


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"output_names": []}, ValueError, "at least one output"),
        ({"input_names": "ab"}, TypeError, "input_names must be a sequence of str"),
        ({"source": b"x"}, TypeError, "source must be a str"),
        ({"shared_memory": 0.5}, TypeError, "shared_memory must be an int"),
    ],
)
def test_bad_definitions(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    definition = {"name": "k", "input_names": ["a"], "output_names": ["o"], "source": "", **arguments}
    with pytest.raises(error, match=rf"^\[cuda_kernel\] {message}|^\[cuda_kernel\] .*{message}"):
        mx.fast.cuda_kernel(**definition)


@pytest.mark.usefixtures("gpu")
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
    with pytest.raises(error, match=rf"^\[cuda_kernel\] .*{message}|^\[cuda_kernel\] {message}"):
        launch(mx.ones(2), **arguments)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"compiled_source": "ptx"}, TypeError, "compiled_source must be bytes"),
        ({"scalars": ["x"]}, TypeError, "scalars must be bools, ints or floats"),
        ({"output_dtypes": []}, ValueError, "Expected `output_dtypes` to have size 1 but got size 0"),
        ({"stream": mx.cpu}, ValueError, "Only supports the GPU"),
    ],
)
def test_bad_precompiled_launches(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=rf"^\[precompiled_cuda_kernel\] .*{message}|{message}"):
        mx.fast.precompiled_cuda_kernel(**{**PRECOMPILED, **arguments})


@pytest.mark.usefixtures("gpu")
def test_verbose_prints_the_whole_source(capsys: pytest.CaptureFixture[str]) -> None:
    kernel = mx.fast.cuda_kernel("shown", ["a", "b"], ["y"], "  y[0] = a_shape[1] + b[0] + b_ndim;", header="// header")
    kernel(
        inputs=[mx.ones((2, 3), mx.bfloat16), 7],
        template=[("T", mx.int8), ("N", 4), ("flag", False)],
        output_shapes=[(1,)],
        output_dtypes=[mx.float16],
        grid=(1, 1, 1),
        threadgroup=(1, 1, 1),
        verbose=True,
    )
    printed = capsys.readouterr().out
    end = """// header

extern "C" __global__ void custom_kernel_shown(
    const __nv_bfloat16* a,
    const __grid_constant__ Extents<int, 2> a_shape,
    const int* b,
    __half* y) {
  constexpr int b_ndim = 0;
  using T = signed char;
  constexpr int N = 4;
  constexpr bool flag = false;
  y[0] = a_shape[1] + b[0] + b_ndim;
}
"""
    assert end in printed


class _Sum:
    """In place of a launch: adds two arrays of six numbers where they lie."""

    inputs = 2

    def start(self, addresses: list[int], stream: int | None) -> None:
        first, second, out = (np.ctypeslib.as_array((ctypes.c_float * 6).from_address(x)) for x in addresses)
        out[:] = first + second


class _Failing:
    inputs = 2

    def start(self, addresses: list[int], stream: int | None) -> None:
        raise RuntimeError("[cuda_kernel] said by the launch")


def test_xla_calls_the_handler(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU, where XLA has no stream to give: what XLA hands over, and errors that it raises."""
    monkeypatch.setattr(cuda_kernels, "_launches", [_Sum(), _Failing()])
    monkeypatch.setattr(cuda_kernels, "_stream", lambda frame: None)
    monkeypatch.setattr(cuda_kernels, "_TARGET", "mlx_cuda_kernel_tried_on_cpu")
    monkeypatch.setattr(cuda_kernels, "_handler", None)
    cuda_kernels._register("cpu")
    x = np.arange(6, dtype=np.float32).reshape(2, 3)

    def called(number: int) -> Any:
        call = xla.jax.ffi.ffi_call("mlx_cuda_kernel_tried_on_cpu", [xla.jax.ShapeDtypeStruct((2, 3), np.float32)])
        return xla.jax.jit(lambda a, b: call(a, b, launch=np.int64(number))[0] * 2)(x, x + 1)

    np.testing.assert_array_equal(called(0), 4 * x + 2)
    with pytest.raises(Exception, match="said by the launch"):
        called(1)
    keep = cuda_kernels._handler
    assert keep is not None
    _kept.append(keep)  # XLA keeps its address


_kept: list[Any] = []


def test_blocks_cover_the_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_kernels, "_image", lambda *arguments: b"")
    fields = dict.fromkeys(CudaCall._fields, ())
    for grid, group, blocks, block in [
        ((1000, 1, 1), (256, 1, 1), (4, 1, 1), (256, 1, 1)),
        ((18, 3, 1), (256, 2, 1), (1, 2, 1), (18, 2, 1)),
        ((0, 1, 1), (8, 1, 1), (0, 1, 1), (1, 1, 1)),
    ]:
        call = CudaCall(**{**fields, "grid": grid, "threadgroup": group, "name": "k", "is_compiled": False})
        made = cuda_kernels.Launch(call, [], [])
        assert (made.grid, made.block) == (blocks, block)

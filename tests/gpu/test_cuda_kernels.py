"""Kernels of one's own on an NVIDIA GPU, alone and inside of compiled programs, on both engines."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx

pytestmark = pytest.mark.skipif(not mx.cuda.is_available(), reason="needs an NVIDIA GPU")

ENGINES = ("xla", "numpy")
RANK = "auto i = cooperative_groups::this_grid().thread_rank();"


def launched(source: str, inputs: list[Any], shape: Any = None, dtype: Any = None, **options: Any) -> Any:
    names = [f"x{i}" for i in range(len(inputs))]
    definition = {key: options.pop(key) for key in ("header", "shared_memory") if key in options}
    kernel = mx.fast.cuda_kernel(options.pop("name", "tried"), names, ["y"], source, **definition)
    shape = inputs[0].shape if shape is None else shape
    size = int(np.prod(shape))
    arguments = {"grid": (size, 1, 1), "threadgroup": (min(size, 256), 1, 1), **options}
    return kernel(
        inputs=inputs, output_shapes=[shape], output_dtypes=[inputs[0].dtype if dtype is None else dtype], **arguments
    )[0]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "dtype",
    [
        *(mx.float32, mx.float16, mx.bfloat16, mx.float64, mx.complex64),
        *(mx.bool_, mx.int8, mx.int16, mx.int32, mx.int64, mx.uint8, mx.uint16, mx.uint32, mx.uint64),
    ],
)
def test_every_dtype_is_copied(dtype: Any, engine: str) -> None:
    x = mx.array(np.arange(64).reshape(2, 32) % 7).astype(dtype)
    with mx.engine(engine):
        y = launched(f"{RANK} y[i] = x0[i];", [x])
        assert (y.shape, y.dtype) == (x.shape, dtype)
        assert mx.array_equal(y, x).item()


@pytest.mark.parametrize("engine", ENGINES)
def test_numbers_templates_and_several_outputs(engine: str) -> None:
    kernel = mx.fast.cuda_kernel(
        "several",
        ["a", "n"],
        ["sum", "rounded"],
        f"{RANK} sum[i] = twice(a[i]) + n[0] + (flag ? offset : 0); T t = a[i]; rounded[i] = (int)(float)t;",
        header="template <typename U> __device__ U twice(U x) { return 2 * x; }",
    )
    a = mx.array([1.5, 2.25, -3.0, 7.0])
    with mx.engine(engine):
        total, rounded = kernel(
            inputs=[a, 0.25],
            template=[("T", mx.float16), ("offset", 3), ("flag", True)],
            output_shapes=[(2, 2), (4,)],
            output_dtypes=[mx.float32, mx.int32],
            grid=(4, 1, 1),
            threadgroup=(2, 1, 1),
            stream=mx.gpu,
        )
        assert total.tolist() == [[6.25, 7.75], [-2.75, 17.25]]
        assert rounded.tolist() == [1, 2, -3, 7]


@pytest.mark.parametrize("engine", ENGINES)
def test_shapes_and_strides(engine: str) -> None:
    x = mx.arange(24).reshape(2, 3, 4).astype(mx.float32)
    source = f"{RANK} y[i] = x0[elem_to_loc(i, x0_shape.data(), x0_strides.data(), x0_ndim)] + x0_shape[2] * WARP_SIZE;"
    with mx.engine(engine):
        turned = mx.transpose(x, (2, 0, 1))
        expected = np.transpose(np.arange(24.0).reshape(2, 3, 4), (2, 0, 1)) + 3 * 32
        np.testing.assert_array_equal(launched(source, [turned]), expected)
        assert launched("y[0] = x0_ndim + x0[0];", [mx.array(2.5)]).item() == 2.5


@pytest.mark.parametrize("engine", ENGINES)
def test_no_more_threads_than_the_grid_where_it_is_smaller_than_a_block(engine: str) -> None:
    with mx.engine(engine):
        y = launched("y[threadIdx.x] = blockDim.x;", [mx.zeros(3, mx.int32)], grid=(3, 1, 1), threadgroup=(256, 1, 1))
        assert y.tolist() == [3, 3, 3]
        source = (
            "int i = blockIdx.x * blockDim.x + threadIdx.x, j = blockIdx.y * blockDim.y + threadIdx.y;"
            "if (i < 5 && j < 3) y[j * 5 + i] = x0[j * 5 + i] + 100 * blockIdx.y + gridDim.x;"
        )
        x = mx.arange(15).reshape(3, 5)
        y = launched(source, [x], grid=(5, 3, 1), threadgroup=(4, 2, 1))
        np.testing.assert_array_equal(y, np.arange(15).reshape(3, 5) + np.array([0, 0, 100])[:, None] + 2)


@pytest.mark.parametrize("engine", ENGINES)
def test_outputs_can_start_with_a_number(engine: str) -> None:
    with mx.engine(engine):
        y = launched(
            "atomicAdd(&y[0], x0[threadIdx.x]);",
            [mx.arange(8).astype(mx.float32)],
            (3,),
            init_value=0.5,
            grid=(8, 1, 1),
            threadgroup=(8, 1, 1),
        )
        assert y.tolist() == [28.5, 0.5, 0.5]


@pytest.mark.parametrize("size", [1024, 100_000])
def test_dynamic_shared_memory(size: int) -> None:
    """Also more than a kernel gets without asking."""
    source = """
        extern __shared__ float held[];
        int last = x0_shape[0] - 1;
        for (int i = threadIdx.x; i <= last; i += blockDim.x) held[i] = x0[i];
        __syncthreads();
        for (int i = threadIdx.x; i <= last; i += blockDim.x) y[i] = held[last - i];
    """
    x = mx.arange(size // 4).astype(mx.float32)
    y = launched(source, [x], shared_memory=size, grid=(128, 1, 1), threadgroup=(128, 1, 1))
    np.testing.assert_array_equal(y, np.arange(size // 4)[::-1])


def test_in_a_compiled_program() -> None:
    @mx.compile
    def both(x: Any, w: Any) -> Any:
        h = x @ w
        y = launched(f"{RANK} y[i] = x0[i] > 0 ? x0[i] : 0;", [h])
        return mx.sin(y).sum(1), launched(f"{RANK} y[i] = x0[i] + 1;", [y])

    rng = np.random.default_rng(0)
    for _ in range(3):
        x, w = rng.integers(-3, 4, (256, 128)), rng.integers(-3, 4, (128, 64))
        total, more = both(mx.array(x, mx.float32), mx.array(w, mx.float32))
        hidden = np.maximum(x @ w, 0)
        np.testing.assert_allclose(total, np.sin(hidden).sum(1), rtol=1e-3, atol=1e-3)
        np.testing.assert_array_equal(more, hidden + 1)


def test_many_shapes_of_one_program() -> None:
    """More than are compiled: the rest is run on the interpreter, which launches kernels as well."""
    for n in range(1, 13):
        x = mx.arange(n * 10).astype(mx.float32)
        np.testing.assert_array_equal(launched(f"{RANK} y[i] = 3 * x0[i];", [x + 1]), 3 * (np.arange(n * 10) + 1))


def test_one_name_for_two_sources() -> None:
    x = mx.arange(32).astype(mx.float32)
    doubled, more = (launched(f"{RANK} y[i] = {what};", [x], name="same") for what in ("2 * x0[i]", "x0[i] + 100"))
    mx.eval(doubled, more)
    np.testing.assert_array_equal(doubled, 2 * np.arange(32))
    np.testing.assert_array_equal(more, np.arange(32) + 100)


def test_a_gradient_by_custom_function() -> None:
    doubled = mx.custom_function(lambda x: launched(f"{RANK} y[i] = 2 * x0[i];", [x]))

    @doubled.vjp
    def pull_back(primals: Any, cotangent: Any, output: Any) -> Any:
        return launched(f"{RANK} y[i] = 2 * x0[i];", [cotangent])

    value, gradient = mx.value_and_grad(lambda x: (doubled(x) ** 2).sum())(mx.array([1.0, -3.0]))
    assert value.item() == 40
    assert gradient.tolist() == [8, -24]


def test_no_elements() -> None:
    assert launched(f"{RANK} y[i] = x0[i];", [mx.zeros((0, 3))], grid=(0, 1, 1), threadgroup=(1, 1, 1)).shape == (0, 3)


def test_compilers_words_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match=r"^\[cuda_kernel\] The kernel does not compile:(.|\n)*undefined_name"):
        mx.eval(launched("y[0] = undefined_name;", [mx.ones(1)]))
    mx.eval(launched("y[0] = x0[0];", [mx.ones(1)], verbose=True))
    assert 'extern "C" __global__ void custom_kernel_tried' in capsys.readouterr().out


def test_programs_for_the_cpu_cannot_launch() -> None:
    mx.set_default_device(mx.cpu)
    try:
        with pytest.raises(RuntimeError, match="set_default_device"):
            mx.eval(launched("y[0] = x0[0];", [mx.ones(1)]))
    finally:
        mx.set_default_device(mx.gpu)


PTX = b"""
.version 7.0
.target sm_70
.address_size 64
.visible .entry scaled(.param .u64 x, .param .u64 y, .param .f32 factor, .param .u32 count, .param .u8 doubled)
{
  .reg .pred %p<3>; .reg .f32 %f<4>; .reg .b32 %r<4>; .reg .b64 %rd<6>; .reg .u16 %h<2>;
  ld.param.u64 %rd1, [x];
  ld.param.u64 %rd2, [y];
  ld.param.f32 %f1, [factor];
  ld.param.u32 %r1, [count];
  ld.param.u8 %h1, [doubled];
  mov.u32 %r2, %tid.x;
  setp.ge.u32 %p1, %r2, %r1;
  @%p1 bra done;
  cvta.to.global.u64 %rd1, %rd1;
  cvta.to.global.u64 %rd2, %rd2;
  mul.wide.u32 %rd3, %r2, 4;
  add.s64 %rd4, %rd1, %rd3;
  add.s64 %rd5, %rd2, %rd3;
  ld.global.f32 %f2, [%rd4];
  mul.f32 %f2, %f2, %f1;
  setp.ne.u16 %p2, %h1, 0;
  @%p2 add.f32 %f2, %f2, %f2;
  st.global.f32 [%rd5], %f2;
done:
  ret;
}
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_a_precompiled_kernel(engine: str) -> None:
    with mx.engine(engine):
        (y,) = mx.fast.precompiled_cuda_kernel(
            name="scaled",
            compiled_source=PTX,
            inputs=[mx.arange(6).astype(mx.float32)],
            output_shapes=[(6,)],
            output_dtypes=[mx.float32],
            scalars=[2.5, 4, True],
            grid=(6, 1, 1),
            threadgroup=(32, 1, 1),
            init_value=-1.0,
        )
        assert y.tolist() == [0, 5, 10, 15, -1, -1]


def test_what_is_no_module_is_refused() -> None:
    arguments = {"inputs": [mx.ones(1)], "output_shapes": [(1,)], "output_dtypes": [mx.float32], "scalars": []}
    for name, source in (("scaled", b"nonsense"), ("missing", PTX)):
        with pytest.raises(Exception, match="CUDA driver says"):
            mx.eval(
                mx.fast.precompiled_cuda_kernel(
                    name=name, compiled_source=source, grid=(1, 1, 1), threadgroup=(1, 1, 1), **arguments
                )
            )


def test_a_stream_of_the_cpu_is_refused() -> None:
    with pytest.raises(ValueError, match="Only supports the GPU"):
        launched("y[0] = x0[0];", [mx.ones(1)], stream=mx.cpu)

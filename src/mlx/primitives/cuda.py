"""A kernel that a program wrote for NVIDIA's GPUs, in CUDA's language or compiled. The runtime knows how to run it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive


class CudaCall(NamedTuple):
    """The parameters of `CUDA_KERNEL`: a kernel and how it is launched."""

    name: str
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    source: str  # the body of a function; of a compiled kernel its bytes in base 64
    header: str
    is_compiled: bool
    shared_memory: int
    grid: tuple[int, ...]  # in threads
    threadgroup: tuple[int, ...]
    template: tuple[tuple[str, bool | int | Dtype], ...]
    scalars: tuple[str, ...]  # further arguments of a compiled kernel, as Python writes them
    init_value: str  # of a number, in decimal; "" where outputs start undefined
    output_shapes: tuple[Shape, ...]
    output_dtypes: tuple[Dtype, ...]


class Launcher:
    """What the runtime fills in, so that the primitive reaches it without importing it."""

    is_available: Callable[[], bool]
    lower: Callable[[Any, CudaCall, Sequence[Any]], Sequence[Any]]
    run: Callable[[CudaCall, Sequence[Any]], Sequence[Any]]
    source_of: Callable[[CudaCall, Sequence[Node]], str]


launcher = Launcher()


def _shape(inputs: Sequence[Node], *params: Any) -> tuple[tuple[Shape, ...], tuple[Dtype, ...]]:
    call = CudaCall(*params)
    return call.output_shapes, call.output_dtypes


def _kernel(arrays: Sequence[Any], *params: Any) -> tuple[Any, ...]:
    return tuple(launcher.run(CudaCall(*params), arrays))


def _lower(xla: Any, arrays: Sequence[Any], *params: Any) -> tuple[Any, ...]:
    return tuple(launcher.lower(xla, CudaCall(*params), arrays))


def _refuse_to_batch(inputs: Sequence[Node], dims: Sequence[int | None], *params: Any) -> NoReturn:
    raise ValueError(
        f"[vmap] The CUDA kernel {CudaCall(*params).name!r} cannot be mapped: nothing is known of what it computes. "
        f"Give the function that calls it a rule with mx.custom_function."
    )


def _refuse_to_differentiate(*arguments: Any) -> NoReturn:
    raise ValueError(
        "[cuda_kernel] A CUDA kernel has no derivative: nothing is known of what it computes. Give the function that "
        "calls it a rule with mx.custom_function."
    )


CUDA_KERNEL = Primitive(
    "cuda_kernel",
    arity=None,
    shape=_shape,
    kernel=_kernel,
    lower=_lower,
    batch=_refuse_to_batch,
    many=True,
    moves_data=True,
    cost=lambda node: 1e12,  # it runs where arrays are on the GPU
)
# The walks of both modes visit it and get this error: without a rule, its inputs would silently get no gradient.
CUDA_KERNEL.vjp = CUDA_KERNEL.jvp = _refuse_to_differentiate
CUDA_KERNEL.differentiable = True

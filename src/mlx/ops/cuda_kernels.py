"""Kernels of one's own for NVIDIA's GPUs: `mx.fast.cuda_kernel` and `mx.fast.precompiled_cuda_kernel`."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from mlx.arrays.array import array, wrap
from mlx.arrays.operands import node_of
from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node
from mlx.ops.arguments import StreamOrDevice, check_stream, checked_shape, dtype_argument, one_integer
from mlx.ops.custom_kernels import check_counts, check_texts, checked_names, is_cpu, template_arguments, three
from mlx.primitives.cuda import CUDA_KERNEL, CudaCall, launcher
from mlx.primitives.structure import PROJECT

__all__ = ["CudaKernel", "cuda_kernel", "precompiled_cuda_kernel"]


class CudaKernel:
    """A kernel for NVIDIA's GPUs, made by `mx.fast.cuda_kernel`. Calling it records one launch."""

    def __init__(
        self,
        name: str,
        input_names: tuple[str, ...],
        output_names: tuple[str, ...],
        source: str,
        header: str,
        shared_memory: int,
    ) -> None:
        self._name = name
        self._input_names = input_names
        self._output_names = output_names
        self._source = source
        self._header = header
        self._shared_memory = shared_memory

    def __call__(
        self,
        *,
        inputs: Sequence[Any],
        output_shapes: Sequence[Sequence[int]],
        output_dtypes: Sequence[Dtype],
        grid: tuple[int, int, int],
        threadgroup: tuple[int, int, int],
        template: Sequence[tuple[str, bool | int | Dtype]] | None = None,
        init_value: float | None = None,
        verbose: bool = False,
        stream: StreamOrDevice = None,
    ) -> list[array]:
        """Record a launch of the kernel.

        Args:
            inputs: an array or a number for each of the input names.
            output_shapes: a shape for each of the output names.
            output_dtypes: a dtype for each of the output names.
            grid: how many threads there are along each of three axes. They are started in whole blocks: where
                `threadgroup` does not divide `grid`, a kernel has to look whether it is one too many.
            threadgroup: how many threads a block has along each axis; no more than `grid` are started.
            template: names that the source uses, with the bool, int or dtype that each stands for.
            init_value: what the outputs are filled with at first; None leaves them undefined.
            verbose: print the whole source.
            stream: where to run it; it has to be on a GPU.

        Returns:
            An array for each output.

        Raises:
            ValueError: an argument does not fit the kernel's names, or the stream is one of the CPU.
            RuntimeError: the source does not compile (raised where the outputs are evaluated).
        """
        check_counts("cuda_kernel", self._input_names, self._output_names, inputs, output_shapes, output_dtypes)
        call = CudaCall(
            name=self._name,
            input_names=self._input_names,
            output_names=self._output_names,
            source=self._source,
            header=self._header,
            is_compiled=False,
            shared_memory=self._shared_memory,
            grid=three(grid, "cuda_kernel", "grid"),
            threadgroup=three(threadgroup, "cuda_kernel", "threadgroup"),
            template=template_arguments(template or (), "cuda_kernel"),
            scalars=(),
            init_value=_number(init_value),
            output_shapes=tuple(checked_shape(shape, "cuda_kernel") for shape in output_shapes),
            output_dtypes=tuple(dtype_argument(dtype, "cuda_kernel") for dtype in output_dtypes),
        )
        nodes = [node_of(x, "cuda_kernel", f"inputs[{i}]") for i, x in enumerate(inputs)]
        if verbose:
            print(launcher.source_of(call, nodes))
        return _launched(call, nodes, "cuda_kernel", stream)


def cuda_kernel(
    name: str,
    input_names: Sequence[str],
    output_names: Sequence[str],
    source: str,
    header: str = "",
    ensure_row_contiguous: bool = True,
    shared_memory: int = 0,
) -> CudaKernel:
    """A kernel for NVIDIA's GPUs from the body of a function in CUDA C++.

    The function gets a pointer for each input (to const) and output, of the type of its elements: `float`, `__half`,
    `__nv_bfloat16`, `int`, `bool`, `cuFloatComplex` and so on. Where the source mentions them, it also gets
    `name_shape` and `name_strides` (with `[i]` and `.data()`) and `name_ndim` for an input `name`;
    `elem_to_loc(element, shape, strides, ndim)` gives the place of an element. `threadIdx`, `blockIdx` and
    `cooperative_groups` say which thread it is, and `WARP_SIZE` is 32. It is compiled on first use, and can be part of
    compiled programs. It has no derivative and cannot be mapped: see `mx.custom_function` for both.

    Args:
        name: the kernel's name.
        input_names: the names that the source has for its inputs.
        output_names: the names that the source has for its outputs.
        source: the body of the function.
        header: source that comes before the function.
        ensure_row_contiguous: inputs lie row by row. They always do here.
        shared_memory: bytes of dynamic shared memory.

    Returns:
        The kernel, to be called with `inputs`, `output_shapes`, `output_dtypes`, `grid` and `threadgroup`.

    Raises:
        RuntimeError: there is no NVIDIA GPU, or JAX's plugin for it is not installed.
        ValueError: there is no output.

    Example:
        >>> import mlx.core as mx
        >>> def doubled(x):
        ...     if not mx.cuda.is_available():
        ...         return 2 * x
        ...     kernel = mx.fast.cuda_kernel(
        ...         "doubled", ["x"], ["y"], "auto i = blockIdx.x * blockDim.x + threadIdx.x; y[i] = 2 * x[i];"
        ...     )
        ...     launch = {"grid": (x.size, 1, 1), "threadgroup": (x.size, 1, 1)}
        ...     return kernel(inputs=[x], output_shapes=[x.shape], output_dtypes=[x.dtype], **launch)[0]
        >>> doubled(mx.array([1.0, 2.0]))
        array([2, 4], dtype=float32)
    """
    _require_gpu("cuda_kernel")
    inputs = checked_names(input_names, "cuda_kernel", "input_names")
    outputs = checked_names(output_names, "cuda_kernel", "output_names")
    if not outputs:
        raise ValueError("[cuda_kernel] Must specify at least one output.")
    check_texts("cuda_kernel", name=name, source=source, header=header)
    return CudaKernel(name, inputs, outputs, source, header, one_integer(shared_memory, "cuda_kernel", "shared_memory"))


def precompiled_cuda_kernel(
    *,
    name: str,
    compiled_source: bytes,
    inputs: Sequence[Any],
    output_shapes: Sequence[Sequence[int]],
    output_dtypes: Sequence[Dtype],
    scalars: Sequence[bool | int | float],
    grid: tuple[int, int, int],
    threadgroup: tuple[int, int, int],
    shared_memory: int = 0,
    init_value: float | None = None,
    ensure_row_contiguous: bool = False,
    stream: StreamOrDevice = None,
) -> list[array]:
    """Launch a kernel that was compiled elsewhere, from PTX or a cubin.

    Its arguments are pointers to the inputs, pointers to the outputs and the scalars, in this order.

    Args:
        name: the function's name in the compiled module.
        compiled_source: the module, PTX or cubin.
        inputs: arrays or numbers; they lie row by row.
        output_shapes: a shape for each output.
        output_dtypes: a dtype for each output.
        scalars: further arguments: a bool is passed as one, an int as a C int, a float as a C float.
        grid: how many threads there are along each of three axes. They are started in whole blocks.
        threadgroup: how many threads a block has along each axis; no more than `grid` are started.
        shared_memory: bytes of dynamic shared memory.
        init_value: what the outputs are filled with at first; None leaves them undefined.
        ensure_row_contiguous: inputs lie row by row. They always do here.
        stream: where to run it; it has to be on a GPU.

    Returns:
        An array for each output.

    Raises:
        RuntimeError: there is no NVIDIA GPU, or JAX's plugin for it is not installed; or the module cannot be loaded or
            lacks the function (raised where the outputs are evaluated).
        ValueError: outputs have another number of shapes than of dtypes, or the stream is one of the CPU.
        TypeError: an argument is of another type.

    Example:
        >>> import mlx.core as mx
        >>> if mx.cuda.is_available():
        ...     with open("kernels.ptx", "rb") as file:  # doctest: +SKIP
        ...         (y,) = mx.fast.precompiled_cuda_kernel(
        ...             name="scaled",
        ...             compiled_source=file.read(),
        ...             inputs=[mx.ones(32)],
        ...             output_shapes=[(32,)],
        ...             output_dtypes=[mx.float32],
        ...             scalars=[2.5],
        ...             grid=(32, 1, 1),
        ...             threadgroup=(32, 1, 1),
        ...         )
    """
    function = "precompiled_cuda_kernel"
    _require_gpu(function)
    check_texts(function, name=name)
    if not isinstance(compiled_source, bytes):
        raise TypeError(f"[{function}] compiled_source must be bytes, got {type(compiled_source).__name__}.")
    for scalar in scalars:
        if not isinstance(scalar, bool | int | float):
            raise TypeError(f"[{function}] scalars must be bools, ints or floats, got {scalar!r}.")
    nodes = [node_of(x, function, f"inputs[{i}]") for i, x in enumerate(inputs)]
    names = tuple(f"output{i}" for i in range(len(output_shapes)))
    check_counts(function, [""] * len(nodes), names, nodes, output_shapes, output_dtypes)
    call = CudaCall(
        name=name,
        input_names=("",) * len(nodes),
        output_names=names,
        source=base64.b64encode(compiled_source).decode(),
        header="",
        is_compiled=True,
        shared_memory=one_integer(shared_memory, function, "shared_memory"),
        grid=three(grid, function, "grid"),
        threadgroup=three(threadgroup, function, "threadgroup"),
        template=(),
        scalars=tuple(repr(scalar) for scalar in scalars),
        init_value=_number(init_value),
        output_shapes=tuple(checked_shape(shape, function) for shape in output_shapes),
        output_dtypes=tuple(dtype_argument(dtype, function) for dtype in output_dtypes),
    )
    return _launched(call, nodes, function, stream)


def _require_gpu(function: str) -> None:
    if not launcher.is_available():
        raise RuntimeError(
            f"[{function}] No CUDA back-end. Kernels in CUDA's language need an NVIDIA GPU and JAX's plugin for it "
            f"(pip install 'mlx-xla[cuda13]'). Elsewhere write the function with mx operations, which are compiled "
            f"into one program, and give it derivatives of its own with mx.custom_function where you need them."
        )


def _number(value: float | None) -> str:
    return "" if value is None else repr(float(value))


def _launched(call: CudaCall, nodes: Sequence[Node], function: str, stream: StreamOrDevice) -> list[array]:
    if stream is not None:
        check_stream(stream, function)
    if is_cpu(stream):
        raise ValueError(f"[{function}] Only supports the GPU: pass stream=mx.gpu.")
    launch: Node = CUDA_KERNEL(nodes, *call)
    return [wrap(PROJECT(launch, index)) for index in range(len(call.output_names))]

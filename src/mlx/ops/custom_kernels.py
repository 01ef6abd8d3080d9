"""Kernels in the language of one vendor's GPUs. They can be made, recorded and exported here, but not run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlx.arrays.array import array, wrap
from mlx.arrays.operands import node_of
from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, Shape, recorder
from mlx.ops.arguments import StreamOrDevice, checked_shape, dtype_argument, integers
from mlx.primitives.metal import METAL_KERNEL, MetalCall, refuse_to_run
from mlx.primitives.structure import PROJECT

_MATH_MODES = ("safe", "relaxed", "fast")


class MetalKernel:
    """A kernel for Apple's GPUs, made by `mx.fast.metal_kernel`. Calling it records one launch."""

    def __init__(
        self,
        name: str,
        input_names: tuple[str, ...],
        output_names: tuple[str, ...],
        source: str,
        header: str,
        ensure_row_contiguous: bool,
        atomic_outputs: bool,
        math_mode: str,
    ) -> None:
        self._input_names = input_names
        self._output_names = output_names
        self._definition = (
            name,
            input_names,
            output_names,
            source,
            header,
            ensure_row_contiguous,
            atomic_outputs,
            math_mode,
        )

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
        """Record a launch of the kernel inside a transform, where it can be exported.

        Args:
            inputs: an array or a number for each of the input names.
            output_shapes: a shape for each of the output names.
            output_dtypes: a dtype for each of the output names.
            grid: how many threads there are along each of three axes.
            threadgroup: how many of them work together along each axis.
            template: names that the source uses, with the bool, int or dtype that each stands for.
            init_value: what the outputs are filled with at first; None leaves them undefined.
            verbose: print the source that would be compiled; nothing is compiled here.
            stream: where to run it; it has to be on a GPU.

        Returns:
            An array for each output.

        Raises:
            ValueError: an argument does not fit the kernel's names, or the stream is one of the CPU.
            RuntimeError: outside of a transform, where it would have to be run.
        """
        check_counts("metal_kernel", self._input_names, self._output_names, inputs, output_shapes, output_dtypes)
        call = MetalCall(
            *self._definition,
            grid=three(grid, "metal_kernel", "grid"),
            threadgroup=three(threadgroup, "metal_kernel", "threadgroup"),
            template=template_arguments(template or (), "metal_kernel"),
            init_value="" if init_value is None else repr(float(init_value)),
            output_shapes=tuple(checked_shape(shape, "metal_kernel") for shape in output_shapes),
            output_dtypes=tuple(dtype_argument(dtype, "metal_kernel") for dtype in output_dtypes),
        )
        nodes = [node_of(x, "metal_kernel", f"inputs[{i}]") for i, x in enumerate(inputs)]
        if not recorder().open_transforms:
            refuse_to_run()
        if is_cpu(stream):
            raise ValueError("[metal_kernel] Only supports the GPU: pass stream=mx.gpu.")
        launch: Node = METAL_KERNEL(nodes, *call)
        return [wrap(PROJECT(launch, index)) for index in range(len(self._output_names))]


def metal_kernel(
    name: str,
    input_names: Sequence[str],
    output_names: Sequence[str],
    source: str,
    header: str = "",
    ensure_row_contiguous: bool = True,
    atomic_outputs: bool = False,
    compile_options: dict[str, str] | None = None,
) -> MetalKernel:
    """A kernel for Apple's GPUs from the body of a Metal function.

    Programs that contain it can be traced and exported for use there. Running it here raises a RuntimeError.

    Args:
        name: the kernel's name.
        input_names: the names that the source has for its inputs.
        output_names: the names that the source has for its outputs.
        source: the body of the function.
        header: source that comes before the function.
        ensure_row_contiguous: copy inputs that are not laid out row by row.
        atomic_outputs: declare outputs as atomic.
        compile_options: `{"math_mode": mode}` with "safe" (the default), "relaxed" or "fast".

    Returns:
        The kernel, to be called with `inputs`, `output_shapes`, `output_dtypes`, `grid` and `threadgroup`.

    Raises:
        ValueError: there is no output, or an unknown option.

    Example:
        >>> import mlx.core as mx
        >>> kernel = mx.fast.metal_kernel("copy", ["a"], ["out"], "out[0] = a[0];")
        >>> kernel(
        ...     inputs=[mx.ones(1)],
        ...     output_shapes=[(1,)],
        ...     output_dtypes=[mx.float32],
        ...     grid=(1, 1, 1),
        ...     threadgroup=(1, 1, 1),
        ... )
        Traceback (most recent call last):
        ...
        RuntimeError: [metal_kernel] No Metal back-end. ...
    """
    inputs = checked_names(input_names, "metal_kernel", "input_names")
    outputs = checked_names(output_names, "metal_kernel", "output_names")
    if not outputs:
        raise ValueError("[metal_kernel] Must specify at least one output.")
    options = dict(compile_options or {})
    math_mode = options.pop("math_mode", "safe")
    if options:
        raise ValueError(f"[metal_kernel] Unknown compile option `{next(iter(options))}`: there is `math_mode`.")
    if math_mode not in _MATH_MODES:
        raise ValueError(f"[metal_kernel] Expected math_mode to be 'safe', 'relaxed', or 'fast', got {math_mode!r}.")
    check_texts("metal_kernel", name=name, source=source, header=header)
    return MetalKernel(
        name, inputs, outputs, source, header, bool(ensure_row_contiguous), bool(atomic_outputs), math_mode
    )


# ---------------------------------------------------------------------- what kernels of all vendors are checked for


def checked_names(names: Sequence[str], function: str, argument: str) -> tuple[str, ...]:
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"[{function}] {argument} must be a sequence of str, got {names!r}.")
    return tuple(names)


def check_texts(function: str, **texts: str) -> None:
    for argument, text in texts.items():
        if not isinstance(text, str):
            raise TypeError(f"[{function}] {argument} must be a str, got {type(text).__name__}.")


def check_counts(
    function: str,
    input_names: Sequence[str],
    output_names: Sequence[str],
    inputs: Sequence[Any],
    output_shapes: Sequence[Any],
    output_dtypes: Sequence[Any],
) -> None:
    """ValueError unless there is an input, and a shape and a dtype of an output, for each name."""
    expected = (
        ("inputs", inputs, input_names),
        ("output_shapes", output_shapes, output_names),
        ("output_dtypes", output_dtypes, output_names),
    )
    for argument, given, names in expected:
        if len(given) != len(names):
            raise ValueError(
                f"[{function}] Expected `{argument}` to have size {len(names)} but got size {len(given)}: one for each "
                f"of {list(names)}."
            )


def three(extents: Sequence[int], function: str, argument: str) -> Shape:
    checked = integers(extents, function, argument)
    if len(checked) != 3:
        raise TypeError(f"[{function}] {argument} must be three ints, got {extents!r}.")
    return checked


def template_arguments(entries: Sequence[tuple[str, Any]], function: str) -> tuple[tuple[str, Any], ...]:
    for entry in entries:
        if not (len(entry) == 2 and isinstance(entry[0], str) and isinstance(entry[1], bool | int | Dtype)):
            raise TypeError(f"[{function}] template must hold names with a bool, int or dtype each, got {entry!r}.")
    return tuple((name, value) for name, value in entries)


def is_cpu(stream: Any) -> bool:
    """Whether a device, a kind of device or a stream is the CPU."""
    device = getattr(stream, "device", stream)
    return getattr(getattr(device, "type", device), "name", None) == "cpu"

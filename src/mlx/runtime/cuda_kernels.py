"""Kernels of one's own on NVIDIA's GPUs: their source is completed, compiled once and launched in JAX's stream.

A compiled program contains a call that XLA makes through its foreign function interface. The handler is a Python
function behind a C pointer: it reads where the buffers are and which stream is meant, and launches the kernel there, so
that nothing is copied and nothing waits. Layouts of the interface's structures are those of XLA's header c_api.h.
"""

from __future__ import annotations

import ast
import base64
import ctypes
import os
import re
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from mlx.ir import dtypes
from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node
from mlx.primitives.cuda import CudaCall, launcher
from mlx.runtime import cuda_driver
from mlx.runtime.compiler import xla
from mlx.runtime.devices import cuda_is_available

# ---------------------------------------------------------------------- source

C_TYPES: dict[Dtype, str] = {
    dtypes.bool_: "bool",
    dtypes.uint8: "unsigned char",
    dtypes.uint16: "unsigned short",
    dtypes.uint32: "unsigned int",
    dtypes.uint64: "unsigned long long",
    dtypes.int8: "signed char",
    dtypes.int16: "short",
    dtypes.int32: "int",
    dtypes.int64: "long long",
    dtypes.float16: "__half",
    dtypes.bfloat16: "__nv_bfloat16",
    dtypes.float32: "float",
    dtypes.float64: "double",
    dtypes.complex64: "cuFloatComplex",
}

_PREAMBLE = """#include <cooperative_groups.h>
#include <cuComplex.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#define WARP_SIZE 32

template <typename T, int N>
struct Extents {
  T values[N];
  __host__ __device__ const T* data() const { return values; }
  __host__ __device__ T operator[](int axis) const { return values[axis]; }
  __host__ __device__ int size() const { return N; }
};

// Where the element of a number in row-major order lies.
template <typename Number>
__device__ long long elem_to_loc(Number element, const int* shape, const long long* strides, int ndim) {
  long long rest = element, place = 0;
  for (int axis = ndim - 1; axis >= 0; --axis) {
    place += (rest % shape[axis]) * strides[axis];
    rest /= shape[axis];
  }
  return place;
}
"""


def _extra_arguments(call: CudaCall) -> list[tuple[bool, bool, bool]]:
    """For each input whether its source mentions `name_shape`, `name_strides` and `name_ndim`."""
    return [
        (f"{name}_shape" in call.source, f"{name}_strides" in call.source, f"{name}_ndim" in call.source)
        for name in call.input_names
    ]


def complete_source(call: CudaCall, ranks: Sequence[int], kinds: Sequence[Dtype]) -> str:
    """The whole source: what kernels can use, the header, and a function with the body that the program gave."""
    arguments, constants = [], []
    for name, rank, kind, extra in zip(call.input_names, ranks, kinds, _extra_arguments(call), strict=True):
        arguments.append(f"const {C_TYPES[kind]}* {name}")
        wants_shape, wants_strides, wants_ndim = extra
        if wants_shape:
            arguments.append(f"const __grid_constant__ Extents<int, {max(rank, 1)}> {name}_shape")
        if wants_strides:
            arguments.append(f"const __grid_constant__ Extents<long long, {max(rank, 1)}> {name}_strides")
        if wants_ndim:
            constants.append(f"constexpr int {name}_ndim = {rank};")
    for name, kind in zip(call.output_names, call.output_dtypes, strict=True):
        arguments.append(f"{C_TYPES[kind]}* {name}")
    for name, value in call.template:
        if isinstance(value, Dtype):
            constants.append(f"using {name} = {C_TYPES[value]};")
        elif isinstance(value, bool):
            constants.append(f"constexpr bool {name} = {str(value).lower()};")
        else:
            constants.append(f"constexpr int {name} = {value};")
    signature = ",\n    ".join(arguments)
    beginning = "\n".join(f"  {line}" for line in constants)
    return (
        f'{_PREAMBLE}\n{call.header}\n\nextern "C" __global__ void {_function_name(call)}(\n    {signature}) {{\n'
        f"{beginning}\n{call.source}\n}}\n"
    )


def _function_name(call: CudaCall) -> str:
    return call.name if call.is_compiled else f"custom_kernel_{call.name}"


# ---------------------------------------------------------------------- launches

_images: dict[str, bytes] = {}


def _image(call: CudaCall, ranks: Sequence[int], kinds: Sequence[Dtype]) -> bytes:
    if call.is_compiled:
        return base64.b64decode(call.source) + b"\0"  # text has to end for the driver
    source = complete_source(call, ranks, kinds)
    if source not in _images:
        _images[source] = cuda_driver.compile_source(source, cuda_driver.architecture())
    return _images[source]


class Launch:
    """One kernel for inputs of certain shapes and dtypes, ready to be started at any addresses."""

    def __init__(self, call: CudaCall, shapes: Sequence[tuple[int, ...]], kinds: Sequence[Dtype]) -> None:
        self.image = _image(call, [len(shape) for shape in shapes], kinds)
        self.name = _function_name(call)
        self.shared_memory = call.shared_memory
        self.threads = call.grid
        self.block = tuple(max(1, min(group, total)) for group, total in zip(call.threadgroup, call.grid, strict=True))
        self.grid = tuple(-(-total // group) for total, group in zip(call.grid, self.block, strict=True))
        self.after_input = [
            _extents(shape, wanted) for shape, wanted in zip(shapes, _extra_arguments(call), strict=True)
        ]
        self.inputs = len(shapes)
        self.scalars = [_scalar(text) for text in call.scalars]
        self.functions: dict[int, ctypes.c_void_p] = {}  # by device

    def start(self, addresses: Sequence[int], stream: int | None) -> None:
        """Launch on the addresses of the inputs and then of the outputs."""
        if 0 in self.threads:
            return
        cuda_driver.enter_context(0)
        device = cuda_driver.current_device()
        function = self.functions.get(device)
        if function is None:
            function = cuda_driver.load_function(self.image, self.name, self.shared_memory)
            self.functions[device] = function
        arguments: list[Any] = []
        for position, address in enumerate(addresses):
            arguments.append(ctypes.c_void_p(address))
            if position < self.inputs:
                arguments += self.after_input[position]
        arguments += self.scalars
        cuda_driver.launch(function, self.grid, self.block, self.shared_memory, stream, arguments)


def _extents(shape: tuple[int, ...], wanted: tuple[bool, bool, bool]) -> list[Any]:
    """Shape and strides, in elements, as the kernel's arguments; arrays arrive row by row."""
    strides, step = [], 1
    for extent in reversed(shape):
        strides.insert(0, step)
        step *= extent
    both = ((ctypes.c_int, shape or (1,)), (ctypes.c_longlong, strides or [1]))
    return [(kind * len(values))(*values) for (kind, values), is_wanted in zip(both, wanted, strict=False) if is_wanted]


def _scalar(text: str) -> Any:
    value = ast.literal_eval(text)
    return (ctypes.c_bool if type(value) is bool else ctypes.c_int if type(value) is int else ctypes.c_float)(value)


_launches: list[Launch] = []
_numbers: dict[Any, int] = {}
_lock = threading.Lock()


def _number_of(call: CudaCall, shapes: Sequence[tuple[int, ...]], kinds: Sequence[Dtype]) -> int:
    """The number under which a launch is kept, for as long as the process lives."""
    key = call, tuple(shapes), tuple(kinds)
    with _lock:
        if key not in _numbers:
            _launches.append(Launch(call, shapes, kinds))
            _numbers[key] = len(_launches) - 1
        return _numbers[key]


def _kinds(arrays: Sequence[Any]) -> list[Dtype]:
    by_name = {kind.numpy: kind for kind in C_TYPES}
    return [by_name[np.dtype(x.dtype)] for x in arrays]


# ---------------------------------------------------------------------- on NumPy arrays


def run(call: CudaCall, arrays: Sequence[Any]) -> list[Any]:
    """Copy inputs to the GPU, launch there, and copy the outputs back."""
    launch = _launches[_number_of(call, [x.shape for x in arrays], _kinds(arrays))]
    cuda_driver.enter_context(0)
    start = float(call.init_value) if call.init_value else 0
    outputs = [
        np.full(shape, start, kind.numpy) for shape, kind in zip(call.output_shapes, call.output_dtypes, strict=True)
    ]
    hosts = [*(np.ascontiguousarray(x) for x in arrays), *outputs]
    addresses: list[ctypes.c_void_p] = []
    try:
        for host in hosts:
            address = ctypes.c_void_p()
            cuda_driver.call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(max(host.nbytes, 1)))
            addresses.append(address)
            _copy("cuMemcpyHtoD_v2", address, ctypes.c_void_p(host.ctypes.data), host.nbytes)
        launch.start([address.value or 0 for address in addresses], None)
        for host, address in zip(outputs, addresses[len(arrays) :], strict=True):
            _copy("cuMemcpyDtoH_v2", ctypes.c_void_p(host.ctypes.data), address, host.nbytes)
    finally:
        for address in addresses:
            cuda_driver.call("cuMemFree_v2", address)
    return outputs


def _copy(function: str, target: ctypes.c_void_p, source: ctypes.c_void_p, size: int) -> None:
    if size:
        cuda_driver.call(function, target, source, ctypes.c_size_t(size))


# ---------------------------------------------------------------------- in XLA's programs

_TARGET = "mlx_cuda_kernel"
_NUMBER = b"launch"
_METADATA = 1  # the kind of extension by which XLA asks a handler for its version
_EXECUTE = 3  # the stage at which a handler is to work
_INTERNAL = 13  # XLA's code for errors of this kind


class _Base(ctypes.Structure):
    """What every structure of the interface begins with; a link of a chain of extensions also has a kind."""

    _fields_ = [("size", ctypes.c_size_t), ("extension", ctypes.c_void_p)]


class _Extension(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("kind", ctypes.c_int), ("next", ctypes.c_void_p)]


class _Version(ctypes.Structure):
    _fields_ = [("base", _Base), ("major", ctypes.c_int), ("minor", ctypes.c_int)]


class _Metadata(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("version", _Version), ("traits", ctypes.c_uint32)]


class _MetadataExtension(ctypes.Structure):
    _fields_ = [("base", _Extension), ("metadata", ctypes.POINTER(_Metadata))]


class _Buffer(ctypes.Structure):
    _fields_ = [("base", _Base), ("dtype", ctypes.c_int), ("data", ctypes.c_void_p)]


class _Operands(ctypes.Structure):
    _fields_ = [
        ("base", _Base),
        ("count", ctypes.c_int64),
        ("kinds", ctypes.c_void_p),
        ("buffers", ctypes.POINTER(ctypes.POINTER(_Buffer))),
    ]


class _Scalar(ctypes.Structure):
    _fields_ = [("dtype", ctypes.c_int), ("value", ctypes.POINTER(ctypes.c_int64))]


class _Name(ctypes.Structure):
    _fields_ = [("text", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class _Attributes(ctypes.Structure):
    _fields_ = [
        ("base", _Base),
        ("count", ctypes.c_int64),
        ("kinds", ctypes.c_void_p),
        ("names", ctypes.POINTER(ctypes.POINTER(_Name))),
        ("values", ctypes.POINTER(ctypes.POINTER(_Scalar))),
    ]


class _StreamRequest(ctypes.Structure):
    _fields_ = [("base", _Base), ("context", ctypes.c_void_p), ("stream", ctypes.c_void_p)]


class _ErrorRequest(ctypes.Structure):
    _fields_ = [("base", _Base), ("message", ctypes.c_char_p), ("code", ctypes.c_int)]


_GetStream = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.POINTER(_StreamRequest))
_MakeError = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.POINTER(_ErrorRequest))


class _Interface(ctypes.Structure):
    """XLA's functions, up to the last that is used here."""

    _fields_ = [
        ("base", _Base),
        ("version", _Version),
        ("internal", ctypes.c_void_p),
        ("make_error", _MakeError),
        ("error_message", ctypes.c_void_p),
        ("destroy_error", ctypes.c_void_p),
        ("register", ctypes.c_void_p),
        ("get_stream", _GetStream),
    ]


class _Frame(ctypes.Structure):
    """What a handler is called with."""

    _fields_ = [
        ("base", _Base),
        ("interface", ctypes.POINTER(_Interface)),
        ("context", ctypes.c_void_p),
        ("stage", ctypes.c_int),
        ("inputs", _Operands),
        ("outputs", _Operands),
        ("attributes", _Attributes),
    ]


def _handle(frame_pointer: Any) -> int | None:
    frame = frame_pointer.contents
    try:
        if _answers_for_version(frame) or frame.stage != _EXECUTE:
            return None
        launch = _launches[_launch_number(frame.attributes)]
        outputs = [frame.outputs.buffers[i].contents.data or 0 for i in range(frame.outputs.count)]
        inputs = [frame.inputs.buffers[i].contents.data or 0 for i in range(launch.inputs)]
        launch.start(inputs + outputs, _stream(frame))
    except Exception as error:  # nothing can be raised through XLA: it raises what it is told
        request = _ErrorRequest()
        request.base.size = ctypes.sizeof(request)
        request.message = str(error).encode()
        request.code = _INTERNAL
        return frame.interface.contents.make_error(ctypes.byref(request))
    return None


def _stream(frame: Any) -> int | None:
    """The stream on which XLA runs the program."""
    request = _StreamRequest()
    request.base.size = ctypes.sizeof(request)
    request.context = frame.context
    if frame.interface.contents.get_stream(ctypes.byref(request)):
        raise RuntimeError("[cuda_kernel] XLA gives no stream to launch on.")
    return request.stream


def _answers_for_version(frame: Any) -> bool:
    """Answer XLA's question for which version of the interface the handler was made: the one that is installed."""
    if not frame.base.extension:
        return False
    extension = _MetadataExtension.from_address(frame.base.extension)
    if extension.base.kind != _METADATA:
        return False
    version = extension.metadata.contents.version
    version.major, version.minor = _interface_version()
    return True


@cache
def _interface_version() -> tuple[int, ...]:
    with open(os.path.join(xla.jax.ffi.include_dir(), "xla", "ffi", "api", "c_api.h")) as file:
        header = file.read()
    return tuple(int(re.findall(rf"#define XLA_FFI_API_{part} (\d+)", header)[0]) for part in ("MAJOR", "MINOR"))


def _launch_number(attributes: Any) -> int:
    for i in range(attributes.count):
        name = attributes.names[i].contents
        if ctypes.string_at(name.text, name.length) == _NUMBER:
            return attributes.values[i].contents.value.contents.value
    raise RuntimeError("[cuda_kernel] XLA passed no number of a launch.")


_handler: Any = None


def _register(platform: str) -> None:
    """Make the handler known to XLA, once."""
    global _handler
    with _lock:
        if _handler is None:
            _handler = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.POINTER(_Frame))(_handle)
            ffi = xla.jax.ffi
            ffi.register_ffi_target(_TARGET, ffi.pycapsule(_handler), platform=platform)


def lower(compiler: Any, call: CudaCall, arrays: Sequence[Any]) -> Sequence[Any]:
    """The call of a kernel in a program for a GPU."""
    if compiler.platform not in ("gpu", "cuda"):
        raise RuntimeError(
            "[cuda_kernel] The program runs on the CPU, where CUDA kernels cannot: mx.set_default_device(mx.gpu)."
        )
    number = _number_of(call, [x.shape for x in arrays], _kinds(arrays))
    _register("CUDA")
    outputs = list(zip(call.output_shapes, call.output_dtypes, strict=True))
    aliases, filled = {}, []
    if call.init_value:
        filled = [xla.jnp.full(shape, float(call.init_value), kind.numpy) for shape, kind in outputs]
        aliases = {len(arrays) + i: i for i in range(len(filled))}
    results = [xla.jax.ShapeDtypeStruct(shape, kind.numpy) for shape, kind in outputs]
    custom_call = xla.jax.ffi.ffi_call(_TARGET, results, input_output_aliases=aliases)
    return custom_call(*arrays, *filled, **{_NUMBER.decode(): np.int64(number)})


def source_of(call: CudaCall, inputs: Sequence[Node]) -> str:
    return complete_source(call, [x.ndim for x in inputs], [x.dtype for x in inputs])


launcher.is_available = cuda_is_available
launcher.lower = lower
launcher.run = run
launcher.source_of = source_of

"""The parts of NVIDIA's driver and runtime compiler that kernels of one's own need, by ctypes. No toolkit is needed."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path  # with ctypes.util a tenth of the time that importing mlx.core would take

_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR = 75, 76  # attributes of a device
_LARGEST_DYNAMIC_SHARED_MEMORY = 8  # attribute of a function
SHARED_MEMORY_GRANTED = 48 * 1024  # bytes; more is to be asked for


@cache
def driver() -> Any:
    """The driver's library, initialised."""
    library = ctypes.CDLL("libcuda.so.1")
    _check(library, library.cuInit(0))
    return library


def _check(library: Any, status: int) -> None:
    if status:
        text = ctypes.c_char_p()
        library.cuGetErrorString(status, ctypes.byref(text))
        raise RuntimeError(f"[cuda_kernel] The CUDA driver says: {(text.value or b'unknown error').decode()}.")


def call(function: str, *arguments: Any) -> None:
    """Call a function of the driver; RuntimeError where it fails."""
    library = driver()
    _check(library, getattr(library, function)(*arguments))


def enter_context(device: int) -> None:
    """Make the context that JAX uses on a device the current one of this thread, unless it has one."""
    current = ctypes.c_void_p()
    call("cuCtxGetCurrent", ctypes.byref(current))
    if not current.value:
        context = ctypes.c_void_p()
        call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        call("cuCtxSetCurrent", context)


def current_device() -> int:
    device = ctypes.c_int()
    call("cuCtxGetDevice", ctypes.byref(device))
    return device.value


def architecture(device: int = 0) -> str:
    """The kind of a device, such as sm_90."""
    version = []
    for attribute in (_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR):
        value = ctypes.c_int()
        call("cuDeviceGetAttribute", ctypes.byref(value), attribute, device)
        version.append(value.value)
    return f"sm_{version[0]}{version[1]}"


def load_function(image: bytes, name: str, shared_memory: int) -> ctypes.c_void_p:
    """A function of a compiled module, loaded into the current context."""
    module, function = ctypes.c_void_p(), ctypes.c_void_p()
    call("cuModuleLoadData", ctypes.byref(module), ctypes.c_char_p(image))
    call("cuModuleGetFunction", ctypes.byref(function), module, name.encode())
    if shared_memory > SHARED_MEMORY_GRANTED:
        call("cuFuncSetAttribute", function, _LARGEST_DYNAMIC_SHARED_MEMORY, shared_memory)
    return function


def launch(
    function: ctypes.c_void_p,
    grid: Sequence[int],
    block: Sequence[int],
    shared_memory: int,
    stream: int | None,
    arguments: Sequence[Any],
) -> None:
    """Start a function; its arguments are ctypes values, which the driver copies."""
    pointers = (ctypes.c_void_p * max(len(arguments), 1))(*[ctypes.addressof(x) for x in arguments])
    call("cuLaunchKernel", function, *grid, *block, shared_memory, ctypes.c_void_p(stream), pointers, None)


# ---------------------------------------------------------------------- compiling


def _folders(kind: str) -> list[Path]:
    """Where the packages that come with JAX, or a toolkit, keep libraries or headers."""
    from importlib.util import find_spec
    from pathlib import Path

    found = []
    spec = find_spec("nvidia")
    for root in (spec.submodule_search_locations or []) if spec else []:
        found += sorted(Path(root).glob(f"*/{kind}"))
    toolkit = Path(os.environ.get("CUDA_HOME", "/usr/local/cuda"))
    return [*found, *(toolkit / name for name in (kind, f"{kind}64"))]


@cache
def _compiler() -> Any:
    """The runtime compiler's library."""
    from ctypes.util import find_library

    for folder in _folders("lib"):
        for path in sorted(folder.glob("libnvrtc.so.*")):
            if "builtins" not in path.name and ".alt." not in path.name:
                return ctypes.CDLL(str(path))
    try:
        return ctypes.CDLL(find_library("nvrtc") or "libnvrtc.so")
    except OSError:
        raise RuntimeError(
            "[cuda_kernel] CUDA's runtime compiler was not found. It comes with JAX's plugin: "
            "pip install 'jax[cuda13]'."
        ) from None


@cache
def _header_options() -> tuple[bytes, ...]:
    folders = [folder for folder in _folders("include") if (folder / "cuda_fp16.h").exists()]
    nested = [folder / "cccl" for folder in folders]  # where newer packages keep the C++ library
    return tuple(f"-I{folder}".encode() for folder in [*folders, *nested] if folder.exists())


def compile_source(source: str, target: str) -> bytes:
    """Machine code for CUDA C++; RuntimeError with the compiler's words where it does not compile."""
    library = _compiler()
    program = ctypes.c_void_p()
    library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None)
    options = [f"--gpu-architecture={target}".encode(), b"--std=c++17", b"-default-device", *_header_options()]
    try:
        status = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        if status:
            log = _text(library.nvrtcGetProgramLogSize, library.nvrtcGetProgramLog, program)
            raise RuntimeError(
                f"[cuda_kernel] The kernel does not compile:\n{log.decode(errors='replace')}\nIts source:\n{source}"
            )
        return _text(library.nvrtcGetCUBINSize, library.nvrtcGetCUBIN, program)
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _text(size_of: Any, fill: Any, program: ctypes.c_void_p) -> bytes:
    size = ctypes.c_size_t()
    size_of(program, ctypes.byref(size))
    text = ctypes.create_string_buffer(size.value)
    fill(program, text)
    return text.raw

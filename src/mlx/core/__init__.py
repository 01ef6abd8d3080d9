"""The public face `mx`: it only re-exports. Importing it loads NumPy and ml_dtypes and nothing heavier."""

from math import e, inf, nan, pi

import mlx.primitives
import mlx.runtime.evaluate
from mlx.arrays.array import ArrayIterator, array
from mlx.arrays.evaluation import async_eval, eval, get_array_buffer_size, synchronize
from mlx.arrays.files import load, save, save_safetensors, savez, savez_compressed
from mlx.arrays.indexing import ArrayAt
from mlx.arrays.interchange import ArrayLike, asarray, can_cast, from_dlpack, isdtype, result_type
from mlx.arrays.printing import PrintOptions, get_printoptions, printoptions, set_printoptions
from mlx.core import cuda, metal
from mlx.core.standard import *
from mlx.core.version import __version__
from mlx.ir.dtypes import (
    Dtype,
    DtypeCategory,
    bfloat16,
    bool_,
    complex64,
    finfo,
    float16,
    float32,
    float64,
    iinfo,
    int8,
    int16,
    int32,
    int64,
    issubdtype,
    uint8,
    uint16,
    uint32,
    uint64,
)
from mlx.ops import *
from mlx.runtime.devices import (
    Device,
    DeviceType,
    Stream,
    StreamContext,
    ThreadLocalStream,
    clear_streams,
    cpu,
    default_device,
    default_stream,
    device_count,
    device_info,
    gpu,
    is_available,
    new_stream,
    new_thread_local_stream,
    new_thread_unsafe_stream,
    set_default_device,
    set_default_stream,
    stream,
)
from mlx.runtime.engine import engine
from mlx.runtime.memory import (
    clear_cache,
    get_active_memory,
    get_cache_memory,
    get_memory_limit,
    get_peak_memory,
    reset_peak_memory,
    set_cache_limit,
    set_memory_limit,
    set_wired_limit,
)
from mlx.transforms.checkpoint import checkpoint
from mlx.transforms.custom_function import custom_function
from mlx.transforms.forward import jvp
from mlx.transforms.value_and_grad import grad, value_and_grad, vjp
from mlx.transforms.vmap import vmap

# After the star import, which brings the modules of mlx.ops along.
from mlx.core import linalg, random  # isort: skip

complexfloating = DtypeCategory.complexfloating
floating = DtypeCategory.floating
inexact = DtypeCategory.inexact
signedinteger = DtypeCategory.signedinteger
unsignedinteger = DtypeCategory.unsignedinteger
integer = DtypeCategory.integer
number = DtypeCategory.number
generic = DtypeCategory.generic

euler_gamma = 0.5772156649015329
newaxis = None

del mlx  # the package, which the imports above leave behind

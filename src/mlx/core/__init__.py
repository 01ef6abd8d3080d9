"""The public face `mx`: it only re-exports. Importing it loads NumPy and ml_dtypes and nothing heavier."""

import mlx.primitives
import mlx.runtime.evaluate  # noqa: F401  (fills in the hooks by which arrays get their values)
from mlx.arrays.array import ArrayIterator, array
from mlx.arrays.evaluation import async_eval, eval
from mlx.arrays.indexing import ArrayAt
from mlx.arrays.printing import PrintOptions, get_printoptions, printoptions, set_printoptions
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
from mlx.runtime.engine import engine
from mlx.transforms.forward import jvp
from mlx.transforms.value_and_grad import grad, value_and_grad, vjp
from mlx.transforms.vmap import vmap

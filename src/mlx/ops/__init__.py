"""The public functions by family: they check arguments, promote dtypes, broadcast, record primitives. No numerics."""

from types import ModuleType

from mlx.ops.arithmetic import *
from mlx.ops.comparison import *
from mlx.ops.convolution import *
from mlx.ops.creation import *
from mlx.ops.dependencies import *
from mlx.ops.diagonals import *
from mlx.ops.einsum import *
from mlx.ops.elementwise import *
from mlx.ops.exponential import *
from mlx.ops.fp8 import *
from mlx.ops.gathered_products import *
from mlx.ops.hadamard import *
from mlx.ops.indexing import *
from mlx.ops.joining import *
from mlx.ops.logical import *
from mlx.ops.masked_products import *
from mlx.ops.norms import *
from mlx.ops.padding import *
from mlx.ops.products import *
from mlx.ops.quantization import *
from mlx.ops.quantized_products import *
from mlx.ops.ranges import *
from mlx.ops.reductions import *
from mlx.ops.rounding import *
from mlx.ops.scans import *
from mlx.ops.shape import *
from mlx.ops.slices import *
from mlx.ops.sorting import *
from mlx.ops.trigonometric import *
from mlx.ops.unique import *
from mlx.ops.views import *
from mlx.ops.windows import *

# The functions; not the modules that importing them binds as well.
__all__ = [  # pyright: ignore[reportUnsupportedDunderAll]
    name for name, value in globals().items() if not (name.startswith("_") or isinstance(value, ModuleType | type))
]

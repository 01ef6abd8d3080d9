"""The public functions by family: they check arguments, promote dtypes, broadcast, and record primitives. No numerics."""

from mlx.ops.elementwise import *
from mlx.ops.products import *
from mlx.ops.reductions import *
from mlx.ops.shape import *

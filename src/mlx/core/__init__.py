"""The public face `mx`: it only re-exports."""
import mlx.runtime.evaluate
import mlx.primitives
from mlx.runtime.engine import engine
from mlx.arrays.array import array
from mlx.ops import *
from mlx.transforms.value_and_grad import grad, value_and_grad, vjp
from mlx.ir.dtypes import *

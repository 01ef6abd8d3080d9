"""The public face `mx`: it only re-exports. Importing it loads NumPy and ml_dtypes and nothing heavier."""

from math import e as e
from math import inf as inf
from math import nan as nan
from math import pi as pi

import mlx.primitives  # pyright: ignore[reportUnusedImport]  (so that all are declared)
import mlx.runtime.evaluate  # pyright: ignore[reportUnusedImport]  (fills in how arrays get their values)
from mlx.arrays.array import ArrayIterator as ArrayIterator
from mlx.arrays.array import array as array
from mlx.arrays.evaluation import *
from mlx.arrays.indexing import ArrayAt as ArrayAt
from mlx.arrays.interchange import *
from mlx.arrays.printing import *
from mlx.core import cuda as cuda
from mlx.core import distributed as distributed
from mlx.core import fast as fast
from mlx.core import fft as fft
from mlx.core import linalg as linalg
from mlx.core import metal as metal
from mlx.core import random as random
from mlx.core.serving import export_to_jax as export_to_jax
from mlx.core.serving import export_to_stablehlo as export_to_stablehlo
from mlx.core.standard import *
from mlx.core.version import __version__ as __version__
from mlx.files.loading import *
from mlx.files.saving import *
from mlx.ir.dtypes import *
from mlx.ir.dtypes import DtypeCategory as DtypeCategory
from mlx.ops import *
from mlx.runtime.devices import *
from mlx.runtime.engine import engine as engine
from mlx.runtime.memory import *
from mlx.transforms.checkpoint import checkpoint as checkpoint
from mlx.transforms.compile import compile as compile
from mlx.transforms.compile import disable_compile as disable_compile
from mlx.transforms.compile import enable_compile as enable_compile
from mlx.transforms.custom_function import custom_function as custom_function
from mlx.transforms.drawing import export_to_dot as export_to_dot
from mlx.transforms.export import FunctionExporter as FunctionExporter
from mlx.transforms.export import export_function as export_function
from mlx.transforms.export import exporter as exporter
from mlx.transforms.forward import jvp as jvp
from mlx.transforms.imported import import_function as import_function
from mlx.transforms.jacobian import hessian as hessian
from mlx.transforms.jacobian import hvp as hvp
from mlx.transforms.jacobian import jacfwd as jacfwd
from mlx.transforms.jacobian import jacrev as jacrev
from mlx.transforms.linearize import linearize as linearize
from mlx.transforms.scan import scan as scan
from mlx.transforms.value_and_grad import grad as grad
from mlx.transforms.value_and_grad import value_and_grad as value_and_grad
from mlx.transforms.value_and_grad import vjp as vjp
from mlx.transforms.vmap import vmap as vmap

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

"""Neural networks: modules, layers, losses and initialisers, written against ``mlx.core`` like a user's code.

Optimizers live in ``mlx.optimizers``, functions over trees of parameters in ``mlx.utils``.
"""

from mlx.nn import init as init
from mlx.nn import layers as layers
from mlx.nn import losses as losses
from mlx.nn.layers import *
from mlx.nn.layers import activations as activations
from mlx.nn.utils import average_gradients as average_gradients
from mlx.nn.utils import value_and_grad as value_and_grad

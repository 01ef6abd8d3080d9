"""Random numbers, drawn from a key or from the state of the thread, which `seed` sets and every draw without key moves.

`state` is a list that holds the key of this thread. It can be read, evaluated, saved and assigned, as a whole or its
one element: `mx.random.state = saved` continues where `saved = list(mx.random.state)` was taken.
"""

import sys
from types import ModuleType
from typing import Any

from mlx.arrays.array import array
from mlx.ops.random import (
    bernoulli,
    categorical,
    gumbel,
    laplace,
    multivariate_normal,
    normal,
    permutation,
    randint,
    truncated_normal,
    uniform,
)
from mlx.ops.random_state import key, random_state, seed, set_state, split

state: list[array]


class _RandomModule(ModuleType):
    """The module, with `state` as an attribute that reaches the state of the thread which asks."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"Module 'random' has no attribute '{name}'")

    def __dir__(self) -> list[str]:
        return [*__all__, "state"]

    @property
    def state(self) -> list[array]:
        return random_state

    @state.setter
    def state(self, value: Any) -> None:
        set_state(value)


sys.modules[__name__].__class__ = _RandomModule

__all__ = [
    "bernoulli",
    "categorical",
    "gumbel",
    "key",
    "laplace",
    "multivariate_normal",
    "normal",
    "permutation",
    "randint",
    "seed",
    "split",
    "truncated_normal",
    "uniform",
]

"""Modules that only call other modules."""

from __future__ import annotations

from collections.abc import Callable

import mlx.core as mx
from mlx.nn.layers.base import Module


class Sequential(Module):
    """Calls its layers one after the other: y = f_n(... f_2(f_1(x))).

    Args:
        *modules: Modules or functions of one array; they are in the list ``layers``.

    Example:
        >>> import mlx.core as mx, mlx.nn as nn
        >>> Sequential(nn.Linear(4, 8), nn.relu, nn.Linear(8, 2))(mx.zeros((3, 4))).shape
        (3, 2)
    """

    def __init__(self, *modules: Callable[[mx.array], mx.array]) -> None:
        super().__init__()
        self.layers = list(modules)

    def __call__(self, x: mx.array) -> mx.array:
        for layer in self.layers:
            x = layer(x)
        return x

"""Recurrent layers: RNN, GRU and LSTM.

Each multiplies the whole sequence by its input weights at once and then scans over time, so that a long sequence is as
small a program as a short one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import mlx.core as mx
from mlx.nn.layers.activations import tanh
from mlx.nn.layers.base import Module
from mlx.nn.layers.checks import check_last_axis, check_positive, go_together


class RNN(Module):
    """An Elman network: h_t = f(W_xh x_t + W_hh h_(t-1) + b).

    W_xh (``Wxh``, shape ``(hidden_size, input_size)``), W_hh (``Whh``, ``(hidden_size, hidden_size)``) and b
    (``bias``, ``(hidden_size,)``) start uniform between -1 / sqrt(hidden_size) and 1 / sqrt(hidden_size).

    Args:
        input_size: Size of the last axis of the input.
        hidden_size: Size of the hidden state.
        bias: Whether b is there.
        nonlinearity: f, a function of arrays; by default tanh.

    Raises:
        ValueError: If ``nonlinearity`` is not callable or ``hidden_size`` is not positive.

    Example:
        >>> import mlx.core as mx
        >>> RNN(4, 3)(mx.zeros((2, 5, 4))).shape
        (2, 5, 3)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: Callable[[mx.array], mx.array] | None = None,
    ) -> None:
        super().__init__()
        self.nonlinearity = nonlinearity if nonlinearity is not None else tanh
        if not callable(self.nonlinearity):
            raise ValueError(f"[RNN] nonlinearity must be callable, got {nonlinearity!r}.")
        self.hidden_size = hidden_size
        limit = _limit("RNN", hidden_size)
        self.Wxh = mx.random.uniform(-limit, limit, (hidden_size, input_size))
        self.Whh = mx.random.uniform(-limit, limit, (hidden_size, hidden_size))
        self.bias = mx.random.uniform(-limit, limit, (hidden_size,)) if bias else None

    def _extra_repr(self) -> str:
        return (
            f"input_dims={self.Wxh.shape[1]}, hidden_size={self.hidden_size}, "
            f"nonlinearity={self.nonlinearity}, bias={self.bias is not None}"
        )

    def __call__(self, x: mx.array, hidden: mx.array | None = None) -> mx.array:
        """Run over a sequence.

        Args:
            x: Array of shape ``(..., length, input_size)``.
            hidden: The state before the first step, of shape ``(..., hidden_size)``; by default zeros.

        Returns:
            The states after every step, of shape ``(..., length, hidden_size)``.
        """
        projected = _projected("RNN", x, self.Wxh, self.bias)
        weights = self.Whh.T

        def step(h: mx.array, p: mx.array) -> tuple[mx.array, mx.array]:
            h = self.nonlinearity(p + h @ weights)
            return h, h

        _, states = mx.scan(step, _start("RNN", "hidden", hidden, projected, self.hidden_size), projected)
        return mx.moveaxis(states, 0, -2)


class GRU(Module):
    """A gated recurrent unit:

        r_t = sigmoid(W_xr x_t + W_hr h_(t-1) + b_r)
        z_t = sigmoid(W_xz x_t + W_hz h_(t-1) + b_z)
        n_t = tanh(W_xn x_t + b_n + r_t * (W_hn h_(t-1) + b_hn))
        h_t = (1 - z_t) * n_t + z_t * h_(t-1)

    The weights are stacked in the order r, z, n: ``Wx`` of shape ``(3 * hidden_size, input_size)``, ``Wh`` of shape
    ``(3 * hidden_size, hidden_size)``, ``b`` of shape ``(3 * hidden_size,)``; b_hn is ``bhn``, ``(hidden_size,)``. All
    start uniform between -1 / sqrt(hidden_size) and 1 / sqrt(hidden_size).

    Args:
        input_size: Size of the last axis of the input.
        hidden_size: Size of the hidden state.
        bias: Whether ``b`` and ``bhn`` are there.

    Raises:
        ValueError: If ``hidden_size`` is not positive.

    Example:
        >>> import mlx.core as mx
        >>> GRU(4, 3)(mx.zeros((2, 5, 4))).shape
        (2, 5, 3)
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        limit = _limit("GRU", hidden_size)
        self.Wx = mx.random.uniform(-limit, limit, (3 * hidden_size, input_size))
        self.Wh = mx.random.uniform(-limit, limit, (3 * hidden_size, hidden_size))
        self.b = mx.random.uniform(-limit, limit, (3 * hidden_size,)) if bias else None
        self.bhn = mx.random.uniform(-limit, limit, (hidden_size,)) if bias else None

    def _extra_repr(self) -> str:
        return f"input_dims={self.Wx.shape[1]}, hidden_size={self.hidden_size}, bias={self.b is not None}"

    def __call__(self, x: mx.array, hidden: mx.array | None = None) -> mx.array:
        """Run over a sequence.

        Args:
            x: Array of shape ``(..., length, input_size)``.
            hidden: The state before the first step, of shape ``(..., hidden_size)``; by default zeros.

        Returns:
            The states after every step, of shape ``(..., length, hidden_size)``.
        """
        projected = _projected("GRU", x, self.Wx, self.b)
        weights = self.Wh.T

        def step(h: mx.array, p: mx.array) -> tuple[mx.array, mx.array]:
            p_r, p_z, p_n = mx.split(p, 3, axis=-1)
            h_r, h_z, h_n = mx.split(h @ weights, 3, axis=-1)
            if self.bhn is not None:
                h_n = h_n + self.bhn
            r = mx.sigmoid(p_r + h_r)
            z = mx.sigmoid(p_z + h_z)
            n = mx.tanh(p_n + r * h_n)
            h = (1 - z) * n + z * h
            return h, h

        _, states = mx.scan(step, _start("GRU", "hidden", hidden, projected, self.hidden_size), projected)
        return mx.moveaxis(states, 0, -2)


class LSTM(Module):
    """Long short-term memory:

        i_t = sigmoid(W_xi x_t + W_hi h_(t-1) + b_i)
        f_t = sigmoid(W_xf x_t + W_hf h_(t-1) + b_f)
        g_t = tanh(W_xg x_t + W_hg h_(t-1) + b_g)
        o_t = sigmoid(W_xo x_t + W_ho h_(t-1) + b_o)
        c_t = f_t * c_(t-1) + i_t * g_t
        h_t = o_t * tanh(c_t)

    The weights are stacked in the order i, f, g, o: ``Wx`` of shape ``(4 * hidden_size, input_size)``, ``Wh`` of shape
    ``(4 * hidden_size, hidden_size)``, ``bias`` of shape ``(4 * hidden_size,)``. All start uniform between
    -1 / sqrt(hidden_size) and 1 / sqrt(hidden_size).

    Args:
        input_size: Size of the last axis of the input.
        hidden_size: Size of the hidden state and of the cell.
        bias: Whether ``bias`` is there.

    Raises:
        ValueError: If ``hidden_size`` is not positive.

    Example:
        >>> import mlx.core as mx
        >>> hidden, cell = LSTM(4, 3)(mx.zeros((2, 5, 4)))
        >>> hidden.shape, cell.shape
        ((2, 5, 3), (2, 5, 3))
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        limit = _limit("LSTM", hidden_size)
        self.Wx = mx.random.uniform(-limit, limit, (4 * hidden_size, input_size))
        self.Wh = mx.random.uniform(-limit, limit, (4 * hidden_size, hidden_size))
        self.bias = mx.random.uniform(-limit, limit, (4 * hidden_size,)) if bias else None

    def _extra_repr(self) -> str:
        return f"input_dims={self.Wx.shape[1]}, hidden_size={self.hidden_size}, bias={self.bias is not None}"

    def __call__(
        self, x: mx.array, hidden: mx.array | None = None, cell: mx.array | None = None
    ) -> tuple[mx.array, mx.array]:
        """Run over a sequence.

        Args:
            x: Array of shape ``(..., length, input_size)``.
            hidden: The state before the first step, of shape ``(..., hidden_size)``; by default zeros.
            cell: The cell before the first step, likewise.

        Returns:
            The states and the cells after every step, each of shape ``(..., length, hidden_size)``.
        """
        projected = _projected("LSTM", x, self.Wx, self.bias)
        weights = self.Wh.T

        def step(
            carry: tuple[mx.array, mx.array], p: mx.array
        ) -> tuple[tuple[mx.array, mx.array], tuple[mx.array, mx.array]]:
            h, c = carry
            i, f, g, o = mx.split(p + h @ weights, 4, axis=-1)
            c = mx.sigmoid(f) * c + mx.sigmoid(i) * mx.tanh(g)
            h = mx.sigmoid(o) * mx.tanh(c)
            return (h, c), (h, c)

        h = _start("LSTM", "hidden", hidden, projected, self.hidden_size)
        c = _start("LSTM", "cell", cell, projected, self.hidden_size)
        h, c = _alike(h, c)
        _, (states, cells) = mx.scan(step, (h, c), projected)
        return mx.moveaxis(states, 0, -2), mx.moveaxis(cells, 0, -2)


def _limit(layer: str, hidden_size: int) -> float:
    """The range of the first weights."""
    check_positive(layer, "hidden_size", hidden_size)
    return 1.0 / math.sqrt(hidden_size)


def _projected(layer: str, x: mx.array, weights: mx.array, bias: mx.array | None) -> mx.array:
    """The input's part of every step, of shape ``(length, ..., gates * hidden_size)``."""
    if x.ndim < 2:
        raise ValueError(f"[{layer}] x must have the shape (..., length, {weights.shape[1]}), got {x.shape}.")
    if x.shape[-1] != weights.shape[1]:
        raise ValueError(f"[{layer}] The last axis of x must be of size {weights.shape[1]}, got shape {x.shape}.")
    projected = x @ weights.T if bias is None else mx.addmm(bias, x, weights.T)
    return mx.moveaxis(projected, -2, 0)


def _start(layer: str, name: str, given: mx.array | None, projected: mx.array, size: int) -> mx.array:
    """The first state, of the shape and dtype that the states after it have."""
    batch = projected.shape[1:-1]
    if given is None:
        return mx.zeros((*batch, size), projected.dtype)
    check_last_axis(layer, name, given, size)
    if not go_together(given.shape[:-1], batch):
        raise ValueError(
            f"[{layer}] The axes of {name} but the last must go with {batch}, those of x but the last two, got shape "
            f"{given.shape}."
        )
    shape = mx.broadcast_shapes(given.shape[:-1], batch)
    return mx.broadcast_to(given, (*shape, size)).astype(mx.result_type(given, projected))


def _alike(h: mx.array, c: mx.array) -> list[mx.array]:
    """Both with the shape and dtype that they come to have when they are combined."""
    shape, dtype = mx.broadcast_shapes(h.shape, c.shape), mx.result_type(h, c)
    return [mx.broadcast_to(x, shape).astype(dtype) for x in (h, c)]

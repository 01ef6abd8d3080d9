"""Layers that are linear maps: Identity, Linear, Bilinear."""

from __future__ import annotations

import math
from typing import Any

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.nn.layers.checks import check_last_axis, check_positive
from mlx.nn.layers.quantized import QQLinear, QuantizedLinear


class Identity(Module):
    """Returns its input: y = x. Arguments are accepted and ignored, so that it can stand for any layer.

    Example:
        >>> import mlx.core as mx
        >>> Identity()(mx.array([1.0]))
        array([1], dtype=float32)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()

    def __call__(self, x: mx.array) -> mx.array:
        return x


class Linear(Module):
    """An affine map of the last axis: y = x W^T + b.

    W (``weight``, shape ``(output_dims, input_dims)``) and b (``bias``, shape ``(output_dims,)``) start
    uniform between -1 / sqrt(input_dims) and 1 / sqrt(input_dims).

    Args:
        input_dims: Size of the last axis of x.
        output_dims: Size of the last axis of y.
        bias: Whether b is there.

    Raises:
        ValueError: If ``input_dims`` is not positive, or, at the call, if the last axis of x has another size.

    Example:
        >>> import mlx.core as mx
        >>> Linear(4, 3)(mx.zeros((2, 4))).shape
        (2, 3)
    """

    def __init__(self, input_dims: int, output_dims: int, bias: bool = True) -> None:
        super().__init__()
        check_positive("Linear", "input_dims", input_dims)
        limit = math.sqrt(1.0 / input_dims)
        self.weight = mx.random.uniform(-limit, limit, (output_dims, input_dims))
        if bias:
            self.bias = mx.random.uniform(-limit, limit, (output_dims,))

    def _extra_repr(self) -> str:
        output_dims, input_dims = self.weight.shape
        return f"input_dims={input_dims}, output_dims={output_dims}, bias={'bias' in self}"

    def __call__(self, x: mx.array) -> mx.array:
        weight = self.weight
        check_last_axis("Linear", "x", x, weight.shape[1])
        if "bias" in self:
            return mx.addmm(self.bias, x, weight.T)
        return x @ weight.T

    def to_quantized(
        self,
        group_size: int | None = None,
        bits: int | None = None,
        mode: str = "affine",
        quantize_input: bool = False,
    ) -> QuantizedLinear | QQLinear:
        """Return a layer whose weights take a few bits each.

        Args:
            group_size: How many neighbouring weights share a scale; see :func:`mlx.core.quantize`.
            bits: Bits a weight.
            mode: How to quantise.
            quantize_input: Whether to quantise x as well, for layers without a bias and the modes ``"nvfp4"`` and
                ``"mxfp8"``.

        Returns:
            A ``QuantizedLinear``, or a ``QQLinear`` where x is quantised as well.

        Raises:
            ValueError: If the mode does not exist, does not quantise inputs, or does not fit ``input_dims``.
            NotImplementedError: If x is to be quantised and there is a bias.

        Example:
            >>> Linear(64, 3).to_quantized(bits=8)
            QuantizedLinear(input_dims=64, output_dims=3, bias=True, group_size=64, bits=8, mode=affine)
        """
        if not quantize_input:
            return QuantizedLinear.from_linear(self, group_size, bits, mode)
        return QQLinear.from_linear(self, group_size, bits, mode)


class Bilinear(Module):
    """A bilinear map of the last axes: y_k = x1^T W_k x2 + b_k.

    W (``weight``, shape ``(output_dims, input2_dims, input1_dims)``) and b (``bias``, shape
    ``(output_dims,)``) start uniform between -1 / sqrt(input1_dims) and 1 / sqrt(input1_dims).

    Args:
        input1_dims: Size of the last axis of x1.
        input2_dims: Size of the last axis of x2.
        output_dims: Size of the last axis of y.
        bias: Whether b is there.

    Raises:
        ValueError: If ``input1_dims`` is not positive, or, at the call, if the last axes have other sizes.

    Example:
        >>> import mlx.core as mx
        >>> Bilinear(2, 3, 4)(mx.zeros((5, 2)), mx.zeros((5, 3))).shape
        (5, 4)
    """

    def __init__(self, input1_dims: int, input2_dims: int, output_dims: int, bias: bool = True) -> None:
        super().__init__()
        check_positive("Bilinear", "input1_dims", input1_dims)
        limit = math.sqrt(1.0 / input1_dims)
        self.weight = mx.random.uniform(-limit, limit, (output_dims, input2_dims, input1_dims))
        if bias:
            self.bias = mx.random.uniform(-limit, limit, (output_dims,))

    def _extra_repr(self) -> str:
        output_dims, input2_dims, input1_dims = self.weight.shape
        return f"input1_dims={input1_dims}, input2_dims={input2_dims}, output_dims={output_dims}, bias={'bias' in self}"

    def __call__(self, x1: mx.array, x2: mx.array) -> mx.array:
        output_dims, input2_dims, input1_dims = self.weight.shape
        check_last_axis("Bilinear", "x1", x1, input1_dims)
        check_last_axis("Bilinear", "x2", x2, input2_dims)
        # One product gives W_k x1 for every k, a batch of small ones the scalar products with x2.
        w_x1 = x1 @ self.weight.reshape(output_dims * input2_dims, input1_dims).T
        w_x1 = mx.unflatten(w_x1, -1, (output_dims, input2_dims))
        y = (w_x1 @ x2[..., None]).squeeze(-1)
        return y + self.bias if "bias" in self else y

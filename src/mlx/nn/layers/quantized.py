"""Layers whose weights take a few bits each, and ``quantize``, which puts them in place of those of a model."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

import mlx.core as mx
from mlx.nn.layers.base import Module
from mlx.utils import tree_map_with_path

# Modes that quantise activations as well as weights.
_MODES_OF_BOTH = ("nvfp4", "mxfp8")


def quantize(
    model: Module,
    group_size: int | None = None,
    bits: int | None = None,
    *,
    mode: str = "affine",
    quantize_input: bool = False,
    class_predicate: Callable[[str, Module], bool | dict[str, Any]] | None = None,
) -> None:
    """Replace layers inside a model, in place, by quantised ones.

    By default these are all layers with a method ``to_quantized``: ``Linear`` and ``Embedding``, and one's own. A
    layer that is itself the whole model stays as it is; call its ``to_quantized``.

    Args:
        model: The model.
        group_size: How many neighbouring weights share a scale; see :func:`mlx.core.quantize`.
        bits: Bits a weight.
        mode: How to quantise.
        quantize_input: Whether to quantise what the layers get as well, for ``Linear`` without a bias and the modes
            ``"nvfp4"`` and ``"mxfp8"``.
        class_predicate: Function of the path and the module of every layer that says whether to replace it, or, as a
            dictionary, with which arguments of ``to_quantized``.

    Raises:
        ValueError: If ``class_predicate`` chooses a layer that has no ``to_quantized`` or returns anything else, or a
            layer cannot be quantised like this. The model is then left as it was.

    Example:
        >>> import mlx.nn as nn
        >>> model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 8))
        >>> nn.quantize(model, bits=8, class_predicate=lambda path, layer: path == "layers.0")
        >>> model
        Sequential(
          (layers.0): QuantizedLinear(input_dims=64, output_dims=32, bias=True, group_size=64, bits=8, mode=affine)
          (layers.1): ReLU()
          (layers.2): Linear(input_dims=32, output_dims=8, bias=True)
        )
    """
    arguments: dict[str, Any] = {"group_size": group_size, "bits": bits, "mode": mode}
    if quantize_input:
        arguments["quantize_input"] = True
    wanted = class_predicate or _has_quantized_form

    def replaced(path: str, layer: Module) -> Module:
        chosen = wanted(path, layer)
        if not chosen:
            return layer
        if not isinstance(chosen, bool | dict):
            raise ValueError(
                f"[quantize] class_predicate must return a bool or a dict of arguments for to_quantized, got "
                f"{type(chosen).__name__} for '{path}'."
            )
        if not _has_quantized_form(path, layer):
            raise ValueError(f"[quantize] Unable to quantize '{path}': {type(layer).__name__} has no to_quantized.")
        return layer.to_quantized(**(chosen if isinstance(chosen, dict) else arguments))

    model.update_modules(tree_map_with_path(replaced, model.leaf_modules(), is_leaf=Module.is_module))


def _has_quantized_form(path: str, layer: Module) -> bool:
    return hasattr(layer, "to_quantized")


def _check_mode_of_both(mode: str) -> None:
    if mode not in _MODES_OF_BOTH:
        raise ValueError(f"[QQLinear] Quantized activations are only supported for nvfp4 and mxfp8 modes, got {mode}.")


class _Settings(Module):
    """A layer that knows how to quantise."""

    group_size: int
    bits: int
    mode: str

    def _quantized(self, weight: mx.array, group_size: int | None, bits: int | None, mode: str) -> tuple[mx.array, ...]:
        """What ``mx.quantize`` makes of the weights, after noting the settings, also those not given."""
        packed, scales, *biases = mx.quantize(weight, group_size, bits, mode)
        dims = weight.shape[-1]
        self.group_size, self.bits, self.mode = dims // scales.shape[-1], packed.shape[-1] * 32 // dims, mode
        return packed, scales, *biases

    @property
    def _options(self) -> dict[str, Any]:
        return {"group_size": self.group_size, "bits": self.bits, "mode": self.mode}

    @property
    def _settings_repr(self) -> str:
        return f"group_size={self.group_size}, bits={self.bits}, mode={self.mode}"


class _Packed(_Settings):
    """A layer with a quantised ``weight`` and its ``scales``, and ``biases`` in the affine mode. They start frozen."""

    def _store(self, weight: mx.array, group_size: int | None, bits: int | None, mode: str) -> None:
        self.weight, self.scales, *biases = self._quantized(weight, group_size, bits, mode)
        if biases:
            (self.biases,) = biases
        self.freeze()

    @property
    def _parts(self) -> tuple[mx.array, mx.array, mx.array | None]:
        return self.weight, self.scales, self.get("biases")

    @property
    def _shape(self) -> tuple[int, int]:
        """The shape of what ``weight`` stands for."""
        rows, words = self.weight.shape
        return rows, words * 32 // self.bits

    def unfreeze(self, *, recurse: bool = True, keys: str | list[str] | None = None, strict: bool = False) -> Self:
        """Undo :meth:`freeze`, save for the packed integers, which have no gradient.

        Args:
            recurse: Whether to unfreeze inside submodules, too.
            keys: Name or names to unfreeze; by default all parameters.
            strict: Whether a name that the layer does not have is an error.

        Returns:
            The layer.
        """
        super().unfreeze(recurse=recurse, keys=keys, strict=strict)
        self._no_grad.update(name for name in ("weight", "scales") if not mx.issubdtype(self[name].dtype, mx.floating))
        return self


class QuantizedLinear(_Packed):
    """A linear map whose weights take a few bits each: y = x W^T + b.

    ``weight``, ``scales`` and, in the affine mode, ``biases`` are what :func:`mlx.core.quantize` makes of W; ``bias``
    is b, which starts at 0. All start frozen, but for the bias that comes from a :class:`Linear` layer.

    Args:
        input_dims: Size of the last axis of x.
        output_dims: Size of the last axis of y.
        bias: Whether b is there.
        group_size: How many neighbouring weights share a scale; see :func:`mlx.core.quantize`.
        bits: Bits a weight.
        mode: How to quantise.

    Example:
        >>> import mlx.core as mx
        >>> layer = QuantizedLinear(64, 3, bits=8)
        >>> layer(mx.zeros((2, 64))).shape, layer.weight.shape
        ((2, 3), (3, 16))
    """

    def __init__(
        self,
        input_dims: int,
        output_dims: int,
        bias: bool = True,
        group_size: int | None = None,
        bits: int | None = None,
        mode: str = "affine",
    ) -> None:
        super().__init__()
        limit = math.sqrt(1 / input_dims)
        self._store(mx.random.uniform(-limit, limit, (output_dims, input_dims)), group_size, bits, mode)
        if bias:
            self.bias = mx.zeros((output_dims,))
            self.freeze()

    def _extra_repr(self) -> str:
        output_dims, input_dims = self._shape
        return f"input_dims={input_dims}, output_dims={output_dims}, bias={'bias' in self}, {self._settings_repr}"

    def __call__(self, x: mx.array) -> mx.array:
        y = mx.quantized_matmul(x, *self._parts, transpose=True, **self._options)
        return y + self.bias if "bias" in self else y

    @classmethod
    def from_linear(
        cls, linear_layer: Module, group_size: int | None = None, bits: int | None = None, mode: str = "affine"
    ) -> QuantizedLinear:
        """Return the quantised form of a :class:`Linear` layer.

        Args:
            linear_layer: The layer, which stays as it is.
            group_size: How many neighbouring weights share a scale; see :func:`mlx.core.quantize`.
            bits: Bits a weight.
            mode: How to quantise.

        Returns:
            The new layer.
        """
        layer = cls.__new__(cls)
        Module.__init__(layer)
        layer._store(linear_layer.weight, group_size, bits, mode)
        if "bias" in linear_layer:
            layer.bias = linear_layer.bias
        return layer


class QuantizedEmbedding(_Packed):
    """A table of vectors whose entries take a few bits each, looked up by index.

    ``weight``, ``scales`` and, in the affine mode, ``biases`` are what :func:`mlx.core.quantize` makes of the table.
    They start frozen.

    Args:
        num_embeddings: Number of vectors.
        dims: Size of each vector.
        group_size: How many neighbouring entries share a scale; see :func:`mlx.core.quantize`.
        bits: Bits an entry.
        mode: How to quantise.

    Example:
        >>> import mlx.core as mx
        >>> QuantizedEmbedding(10, 64)(mx.array([[1, 2, 3]])).shape
        (1, 3, 64)
    """

    def __init__(
        self,
        num_embeddings: int,
        dims: int,
        group_size: int | None = None,
        bits: int | None = None,
        mode: str = "affine",
    ) -> None:
        super().__init__()
        table = mx.random.normal((num_embeddings, dims), scale=math.sqrt(1 / dims))
        self._store(table, group_size, bits, mode)

    def _extra_repr(self) -> str:
        num_embeddings, dims = self._shape
        return f"{num_embeddings}, {dims}, {self._settings_repr}"

    def __call__(self, x: mx.array) -> mx.array:
        if x.ndim == 0:
            return self(x[None])[0]
        weight, scales, biases = self._parts
        picked = None if biases is None else biases[x]
        return mx.dequantize(weight[x], scales[x], picked, **self._options)

    def as_linear(self, x: mx.array) -> mx.array:
        """Return x W^T: how much each vector of the table is like x.

        Args:
            x: Array whose last axis has size ``dims``.

        Returns:
            Array whose last axis has size ``num_embeddings``.
        """
        return mx.quantized_matmul(x, *self._parts, transpose=True, **self._options)

    @classmethod
    def from_embedding(
        cls, embedding_layer: Module, group_size: int | None = None, bits: int | None = None, mode: str = "affine"
    ) -> QuantizedEmbedding:
        """Return the quantised form of an :class:`Embedding` layer.

        Args:
            embedding_layer: The layer, which stays as it is.
            group_size: How many neighbouring entries share a scale; see :func:`mlx.core.quantize`.
            bits: Bits an entry.
            mode: How to quantise.

        Returns:
            The new layer.
        """
        layer = cls.__new__(cls)
        Module.__init__(layer)
        layer._store(embedding_layer.weight, group_size, bits, mode)
        return layer


class QQLinear(_Settings):
    """A linear map of which both the weights and what it is applied to are quantised: y = x W^T.

    In training mode ``weight`` is W as it is, which is quantised at every call and gets a gradient as if it were not.
    ``eval`` packs it into ``weight`` and ``scales``; ``train`` unpacks it again, which does not bring back what
    quantising lost.

    Args:
        input_dims: Size of the last axis of x.
        output_dims: Size of the last axis of y.
        group_size: How many neighbouring numbers share a scale; see :func:`mlx.core.quantize`.
        bits: Bits a number.
        mode: ``"nvfp4"`` or ``"mxfp8"``.

    Raises:
        ValueError: If ``mode`` is another one.

    Example:
        >>> import mlx.core as mx
        >>> layer = QQLinear(64, 3)
        >>> layer(mx.zeros((2, 64))).shape, layer.weight.shape, layer.eval().weight.shape
        ((2, 3), (3, 64), (3, 8))
    """

    def __init__(
        self,
        input_dims: int,
        output_dims: int,
        group_size: int | None = None,
        bits: int | None = None,
        mode: str = "nvfp4",
    ) -> None:
        super().__init__()
        limit = math.sqrt(1 / input_dims)
        self._start(mx.random.uniform(-limit, limit, (output_dims, input_dims)), group_size, bits, mode)

    def _start(self, weight: mx.array, group_size: int | None, bits: int | None, mode: str) -> None:
        _check_mode_of_both(mode)
        self._quantized(weight, group_size, bits, mode)
        self.weight = weight

    def _extra_repr(self) -> str:
        output_dims, last = self.weight.shape
        input_dims = last * 32 // self.bits if "scales" in self else last
        return f"input_dims={input_dims}, output_dims={output_dims}, {self._settings_repr}"

    def quantize(self) -> None:
        """Pack the weights into ``weight`` and ``scales``, unless they are."""
        if "scales" not in self:
            self._dtype = self.weight.dtype
            self.weight, self.scales = mx.quantize(self.weight, **self._options)

    def dequantize(self) -> None:
        """Unpack the weights into ``weight``, unless they are."""
        if "scales" in self:
            self.weight = mx.dequantize(self.weight, self.scales, **self._options, dtype=self._dtype)
            del self.scales

    def _set_training_mode(self, mode: bool) -> None:
        super()._set_training_mode(mode)
        if mode:
            self.dequantize()
        else:
            self.quantize()

    def __call__(self, x: mx.array) -> mx.array:
        return mx.qqmm(x, self.weight, self.get("scales"), **self._options)

    @classmethod
    def from_linear(
        cls, linear_layer: Module, group_size: int | None = None, bits: int | None = None, mode: str = "nvfp4"
    ) -> QQLinear:
        """Return the form of a :class:`Linear` layer that quantises its input as well, in the mode that it is in.

        Args:
            linear_layer: The layer, which stays as it is.
            group_size: How many neighbouring numbers share a scale; see :func:`mlx.core.quantize`.
            bits: Bits a number.
            mode: ``"nvfp4"`` or ``"mxfp8"``.

        Returns:
            The new layer.

        Raises:
            NotImplementedError: If the layer has a bias.
            ValueError: If ``mode`` is another one.
        """
        _check_mode_of_both(mode)
        if "bias" in linear_layer:
            raise NotImplementedError(
                "[QQLinear] QQLinear has no bias, but the layer has one: make it with bias=False."
            )
        layer = cls.__new__(cls)
        Module.__init__(layer)
        layer._start(linear_layer.weight, group_size, bits, mode)
        return layer.train(linear_layer.training)

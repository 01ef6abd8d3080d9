"""A kernel that a program wrote for Apple's GPUs: recorded, so that it can be exported, but never run here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

from mlx.ir.dtypes import Dtype
from mlx.ir.node import Node, Shape
from mlx.ir.primitive import Primitive


class MetalCall(NamedTuple):
    """The parameters of `METAL_KERNEL`: a kernel and how it is launched."""

    name: str
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    source: str
    header: str
    ensure_row_contiguous: bool
    atomic_outputs: bool
    math_mode: str
    grid: tuple[int, ...]
    threadgroup: tuple[int, ...]
    template: tuple[tuple[str, bool | int | Dtype], ...]
    init_value: str  # of a number, in decimal; "" where outputs start undefined
    output_shapes: tuple[Shape, ...]
    output_dtypes: tuple[Dtype, ...]


def refuse_to_run(*arguments: Any) -> NoReturn:
    """Raise what every attempt to compute a Metal kernel ends with."""
    raise RuntimeError(
        "[metal_kernel] No Metal back-end. Kernels in Metal's language run on Apple's GPUs only: write the function "
        "with mx operations, which are compiled into one program, and give it derivatives of its own with "
        "mx.custom_function where you need them."
    )


def _shape(inputs: Sequence[Node], *params: Any) -> tuple[tuple[Shape, ...], tuple[Dtype, ...]]:
    call = MetalCall(*params)
    return call.output_shapes, call.output_dtypes


def _refuse_to_batch(inputs: Sequence[Node], dims: Sequence[int | None], *params: Any) -> NoReturn:
    raise ValueError(
        f"[vmap] The Metal kernel {MetalCall(*params).name!r} cannot be mapped: nothing is known of what it computes. "
        f"Give the function that calls it a rule with mx.custom_function."
    )


def _refuse_to_differentiate(*arguments: Any) -> NoReturn:
    raise ValueError(
        "[metal_kernel] A Metal kernel has no derivative: nothing is known of what it computes. Give the function that "
        "calls it a rule with mx.custom_function."
    )


METAL_KERNEL = Primitive(
    "metal_kernel",
    arity=None,
    shape=_shape,
    kernel=refuse_to_run,
    lower=refuse_to_run,
    batch=_refuse_to_batch,
    many=True,
    moves_data=True,
    cost=lambda node: 0.0,
)
# The walks of both modes visit it and get this error: without a rule, its inputs would silently get no gradient.
METAL_KERNEL.vjp = METAL_KERNEL.jvp = _refuse_to_differentiate
METAL_KERNEL.differentiable = True

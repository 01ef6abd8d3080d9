"""Checks of arguments that several layers share."""

from __future__ import annotations

import mlx.core as mx


def check_last_axis(api: str, name: str, x: mx.array, size: int) -> None:
    """Raise unless the last axis of an input has this size; what is no array is left to what follows."""
    shape = getattr(x, "shape", (size,))
    if shape[-1:] != (size,):
        raise ValueError(f"[{api}] The last axis of {name} must be of size {size}, got shape {shape}.")


def check_positive(api: str, name: str, size: int) -> None:
    """Raise unless there is something to map; the range of the first weights is one over the root of it."""
    if size < 1:
        raise ValueError(f"[{api}] {name} must be positive, got {size}.")


def go_together(*shapes: tuple[int, ...]) -> bool:
    """Whether shapes broadcast to a common one."""
    try:
        mx.broadcast_shapes(*shapes)
    except ValueError:
        return False
    return True

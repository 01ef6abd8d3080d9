"""Traces for other programs: as StableHLO text, and as artifacts of `jax.export`, which run without this library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from mlx.ir.node import Node
from mlx.ir.primitive import SCALAR
from mlx.ir.trace import Trace
from mlx.runtime.compiler import Xla, xla
from mlx.runtime.evaluate import evaluate

# The platforms of `jax.export`, and what lowerings know them as.
PLATFORMS = {"cpu": "cpu", "cuda": "gpu", "rocm": "gpu", "tpu": "tpu"}


class _Target(Xla):
    """What lowerings are written with, for a platform that need not be there."""

    def __init__(self, platform: str) -> None:
        self._platform = platform

    @property
    def platform(self) -> str:
        return self._platform


def stablehlo_text(trace: Trace, keywords: Sequence[str], restore: Callable[[list[Any]], Any]) -> str:
    """The module for the default device."""
    function = _function(trace, keywords, restore, [xla.platform])
    positional, named = _arguments(trace, keywords)
    with xla.jax.enable_x64(True), xla.jax.default_device(xla.device):
        return xla.jax.jit(function, keep_unused=True).lower(*positional, **named).as_text()


def serialized(
    trace: Trace, keywords: Sequence[str], restore: Callable[[list[Any]], Any], platforms: Sequence[str] | None
) -> bytes:
    """The bytes of a `jax.export.Exported` for these platforms, or for that of the default device.

    Its function takes the trace's inputs, the last of them by `keywords`, and returns what `restore` makes of the
    list of its outputs.
    """
    export = xla.jax.export
    wanted = list(platforms or [export.default_export_platform() if xla.platform != "cpu" else "cpu"])
    function = _function(trace, keywords, restore, [PLATFORMS[platform] for platform in wanted], wanted)
    positional, named = _arguments(trace, keywords)
    with xla.jax.enable_x64(True), xla.jax.default_device(xla.device):
        program = xla.jax.jit(function, keep_unused=True)
        return bytes(export.export(program, platforms=wanted)(*positional, **named).serialize())


def _arguments(trace: Trace, keywords: Sequence[str]) -> tuple[list[Any], dict[str, Any]]:
    """Shapes and dtypes of the inputs, by position and by name."""
    structures = [xla.jax.ShapeDtypeStruct(node.shape, node.dtype.numpy) for node in trace.inputs]
    count = len(structures) - len(keywords)
    return structures[:count], dict(zip(keywords, structures[count:], strict=True))


def _function(
    trace: Trace,
    keywords: Sequence[str],
    restore: Callable[[list[Any]], Any],
    lowered_for: Sequence[str],
    platforms: Sequence[str] = (),
) -> Callable[..., Any]:
    """The trace as a function of traced arrays. Lowerings may differ by platform: each platform gets its own."""
    unknown = [node for node in trace.captured if node.value is None]
    if unknown:
        evaluate(unknown)
    targets = [_Target(platform) for platform in lowered_for]

    def function(*positional: Any, **named: Any) -> Any:
        inputs = [*positional, *(named[name] for name in keywords)]
        constants = [xla.jnp.asarray(node.value.numpy()) for node in trace.captured]  # type: ignore[union-attr]
        if len(set(lowered_for)) == 1:
            return restore(_lowered(trace, targets[0], inputs, constants))
        branches = {
            platform: partial(_lowered, trace, target) for platform, target in zip(platforms, targets, strict=True)
        }
        return restore(xla.lax.platform_dependent(inputs, constants, **branches))

    return function


def _lowered(trace: Trace, target: Xla, inputs: Sequence[Any], constants: Sequence[Any]) -> list[Any]:
    """The outputs of the trace, computed by its primitives' lowerings for `target`."""
    values: dict[Node, Any] = dict(zip([*trace.inputs, *trace.captured], [*inputs, *constants], strict=True))

    def value_of(node: Node) -> Any:
        if node.primitive is SCALAR and node not in values:
            values[node] = target.jnp.asarray(node.value.numpy())  # type: ignore[union-attr]
        return values[node]

    for node in trace.nodes:
        operands = [value_of(operand) for operand in node.inputs]
        lower: Callable[..., Any] = node.primitive.lower  # type: ignore[assignment]
        if node.primitive.arity is None:
            values[node] = lower(target, operands, *node.params)
        else:
            values[node] = lower(target, *operands, *node.params)
    return [value_of(output) for output in trace.outputs]

"""Every public function that takes a `stream` refuses what is none, and takes devices and streams."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mlx.core as mx

LISTS = Path(__file__).parents[1] / "api"


def with_a_stream() -> dict[str, Callable[..., Any]]:
    """The functions of the lists whose documented parameters name `stream`."""
    functions: dict[str, Callable[..., Any]] = {}
    for line in (LISTS / "mlx-core.txt").read_text().splitlines():
        name, _, parameters = line.partition("(")
        if (
            line.startswith(" ")
            or "stream" not in parameters
            or name.endswith(("stream", "synchronize", "cuda_kernel"))
        ):
            continue  # the last asks for a GPU first
        module, _, function = name.rpartition(".")
        functions[name] = getattr(importlib.import_module(module), function)
    return functions


FUNCTIONS = with_a_stream()
METHODS = {
    name: method
    for name, method in inspect.getmembers(mx.array, inspect.isfunction)
    if not name.startswith("_") and "stream" in inspect.signature(method).parameters
}


def test_the_lists_name_them() -> None:
    assert len(FUNCTIONS) > 235
    assert len(METHODS) > 40
    for name in ("mlx.core.exp", "mlx.core.random.normal", "mlx.core.linalg.norm", "mlx.core.fast.rope"):
        assert name in FUNCTIONS


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_no_stream_is_refused(name: str) -> None:
    function = FUNCTIONS[name]
    parameters = inspect.signature(function).parameters.values()
    required = [parameter for parameter in parameters if parameter.default is parameter.empty]
    x = mx.ones((2, 2))
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    positional = [x for parameter in required if parameter.kind in by_position]
    named = {parameter.name: x for parameter in required if parameter.kind is parameter.KEYWORD_ONLY}
    for wrong in ("cpu", 0, x):
        with pytest.raises(TypeError, match=r"stream must be a Stream, a Device, or mx\.cpu or mx\.gpu"):
            function(*positional, **named, stream=wrong)


@pytest.mark.parametrize("name", METHODS)
def test_methods_refuse_it_too(name: str) -> None:
    given = {"astype": (mx.int8,), "view": (mx.int32,), "moveaxis": (0, 1), "swapaxes": (0, 1), "split": (2,)}
    x = mx.ones((2, 2))
    with pytest.raises(TypeError, match=r"stream must be a Stream, a Device"):
        METHODS[name](x, *given.get(name, ()), stream="cpu")


def test_devices_and_streams_are_taken() -> None:
    x = mx.array([1.0, 4.0])
    for stream in (
        None,
        mx.cpu,
        mx.Device(mx.cpu),
        mx.default_stream(mx.cpu),
        mx.new_stream(mx.cpu),
        mx.new_thread_local_stream(mx.cpu),
        mx.new_thread_unsafe_stream(mx.cpu),
    ):
        assert mx.sqrt(x, stream=stream).tolist() == [1.0, 2.0]
        assert x.sum(stream=stream).item() == 5
        assert mx.random.uniform(shape=(2,), stream=stream).shape == (2,)
        assert mx.linalg.norm(x, stream=stream).dtype is mx.float32
    with pytest.raises(ValueError, match=r"\[sqrt\] Cannot run .* is not available"):
        mx.sqrt(x, stream=mx.Device(mx.cpu, 5))

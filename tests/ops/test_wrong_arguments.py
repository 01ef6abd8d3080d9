"""Each argument of each function given something else: the error is of MLX's class and says which argument it is."""

from __future__ import annotations

import inspect
import re
from typing import Any

import numpy as np
import pytest
import wrong_arguments as table

import mlx.core as mx

ROWS = list(table.rows())
OUTSIDE = ("9", "-9", "(0, 0)", '"nonsense"')  # of these the message names the axis or the mode
OF_ANOTHER_NAME = """
    acos acosh asin asinh atan atan2 atanh bitwise_left_shift bitwise_right_shift cumulative_prod cumulative_sum
    norm pow
"""
# What they take is of no kind that the table knows; tests of each say what it refuses.
OF_OTHER_KINDS = """
    arange atleast_1d atleast_2d atleast_3d broadcast_arrays clip empty empty_like fast.precompiled_cuda_kernel
    gather_qmm gather_qqmm meshgrid qqmm
"""


@pytest.fixture(scope="module")
def named() -> dict[str, Any]:
    return table.environment(mx, np)


@pytest.mark.parametrize(("name", "parameters"), ROWS, ids=[name for name, _ in ROWS])
def test_each_argument_is_refused_by_its_name(name: str, parameters: Any, named: dict[str, Any]) -> None:
    for call in table.calls(name, parameters):
        with pytest.raises(call.error) as caught:
            pytest.fail(f"{call.text} gives {eval(call.text, dict(named))}")
        said = str(caught.value)
        assert re.match(r"\[[\w.:]+\] ", said), f"{call.text} says {said}"
        assert call.value in OUTSIDE or call.parameter in said, f"{call.text} says {said}"


@pytest.mark.parametrize(("name", "parameters"), ROWS, ids=[name for name, _ in ROWS])
def test_the_right_arguments_are_taken(name: str, parameters: Any, named: dict[str, Any]) -> None:
    given = [p for p in parameters if p.always or not p.by_keyword]
    text = ", ".join(f"{p.name}={p.value}" if p.by_keyword else p.value for p in given)
    eval(f"mx.{name}({text})", dict(named))


def test_no_function_of_arrays_is_missing() -> None:
    known = {name for name, _ in ROWS} | set(OF_ANOTHER_NAME.split()) | set(OF_OTHER_KINDS.split())
    for module in (mx, mx.linalg, mx.fft, mx.random, mx.fast):
        prefix = module.__name__.removeprefix("mlx.core").removeprefix(".")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__.startswith("mlx.ops") and "stream" in inspect.signature(function).parameters:
                assert (f"{prefix}.{name}" if prefix else name) in known

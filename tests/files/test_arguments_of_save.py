"""Wrong arguments of `mx.save` and its relatives: their errors, and that nothing is written."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from formats import SAVERS, by_format

import mlx.core as mx


def test_values_that_are_no_arrays(tmp_path: Path) -> None:
    x = mx.array([1.0])
    path = tmp_path / "x"
    for call in (
        lambda: mx.save(path, [1.0]),  # type: ignore[arg-type]
        lambda: mx.save(path, np.ones(2)),  # type: ignore[arg-type]
        lambda: mx.savez(path, x, 3),  # type: ignore[arg-type]
        lambda: mx.savez_compressed(path, a=None),  # type: ignore[arg-type]
        lambda: mx.save_safetensors(path, {"a": 1}),  # type: ignore[dict-item]
        lambda: mx.save_safetensors(path, [x]),  # type: ignore[arg-type]
        lambda: mx.save_safetensors(path, {1: x}),  # type: ignore[dict-item]
        lambda: mx.save_safetensors(path, {"a": x}, ["b"]),  # type: ignore[arg-type]
        lambda: mx.save_gguf(path, [x]),  # type: ignore[arg-type]
        lambda: mx.save_gguf(path, {"a": 1}),  # type: ignore[dict-item]
        lambda: mx.save_gguf(path, {"a": x}, "b"),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError, match=r"^\[save\w*\] "):
            call()
    assert os.listdir(tmp_path) == []


@by_format
@pytest.mark.parametrize("file", [3, None, b"x", ["x"], io.StringIO()])
def test_neither_path_nor_file(kind: str, file: Any) -> None:
    with pytest.raises(ValueError, match=r"^\[save\w*\] Expected a path or a file open for writing bytes"):
        SAVERS[kind](file, {"w": mx.array(1.0)})


@by_format
def test_a_missing_folder(kind: str, tmp_path: Path) -> None:
    refusal = FileNotFoundError if kind == "npz" else RuntimeError
    with pytest.raises(refusal, match="No such file or directory"):
        SAVERS[kind](tmp_path / "missing" / "x", {"w": mx.array(1.0)})


def test_names(tmp_path: Path) -> None:
    path, x = tmp_path / "x", mx.array([1.0])
    with pytest.raises(ValueError, match=r"\[savez\] The name arr_0 is given"):
        mx.savez(path, x, arr_0=x)
    with pytest.raises(RuntimeError, match=r"\[save_safetensors\] No array may be named __metadata__"):
        mx.save_safetensors(path, {"__metadata__": x})
    with pytest.raises(ValueError, match=r"\[save_safetensors\] metadata must map strings to strings"):
        mx.save_safetensors(path, {"a": x}, {"epoch": 3})  # type: ignore[dict-item]
    assert os.listdir(tmp_path) == []


def test_what_gguf_cannot_hold(tmp_path: Path) -> None:
    path, x = tmp_path / "x", mx.array([1.0])
    for dtype in (mx.bool_, mx.uint8, mx.uint32, mx.int64, mx.bfloat16, mx.complex64, mx.float64):
        with pytest.raises(RuntimeError, match=rf"\[save_gguf\] dtype {dtype.name} of arrays\['a'\] is not supported"):
            mx.save_gguf(path, {"a": mx.zeros(2, dtype)})
    with pytest.raises(RuntimeError, match=r"\[save_gguf\] arrays\['a'\] has 9 axes"):
        mx.save_gguf(path, {"a": mx.zeros((1,) * 9)})
    for value in (3, 1.5, True, None, [1, 2], ["a", 3], b"x", mx.zeros((1, 2)), mx.zeros(0)):
        with pytest.raises(RuntimeError, match=r"^\[save_gguf\] .*metadata"):
            mx.save_gguf(path, {"a": x}, {"k": value})  # type: ignore[dict-item]
    with pytest.raises(RuntimeError, match=r"\[save_gguf\] metadata must be named by strings"):
        mx.save_gguf(path, {"a": x}, {3: "v"})  # type: ignore[dict-item]
    for dtype in (mx.float16, mx.bfloat16, mx.complex64):
        with pytest.raises(ValueError, match=rf"\[save_gguf\] metadata\['k'\] has dtype {dtype.name}"):
            mx.save_gguf(path, {"a": x}, {"k": mx.array(1, dtype)})
    for value in (mx.array(7, mx.uint32), mx.array(0, mx.uint32), mx.array(64), "64", mx.array([32], mx.uint32)):
        with pytest.raises(ValueError, match=r"\[save_gguf\] .* must be a multiple of 8 as a uint32"):
            mx.save_gguf(path, {"a": x}, {"general.alignment": value})
    assert os.listdir(tmp_path) == []

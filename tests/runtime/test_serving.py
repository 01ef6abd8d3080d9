"""Functions for serving: a process that has JAX and not this library computes the same numbers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlx.core as mx

SERVE = """
import sys
import numpy as np
from jax import export
function = export.deserialize(bytearray(open(sys.argv[1], "rb").read()))
given = np.load(sys.argv[2])
results = function.call(given["x"], b=given["b"])
assert not any(name.split(".")[0] == "mlx" for name in sys.modules)
np.savez(sys.argv[3], kind=type(results).__name__, *[np.asarray(result) for result in results])
"""


def test_a_plain_jax_process_computes_the_same(tmp_path: Path) -> None:
    mx.random.seed(0)
    w = mx.random.normal((30, 40)) / 6

    def fun(x: Any, b: Any) -> Any:
        h = mx.sort(mx.tanh(x @ w + b), axis=-1)  # sorting is lowered differently by platform
        slope = mx.grad(lambda x: mx.sum(mx.tanh(x @ w) ** 2))(x)
        return h, slope, mx.argmax(h, axis=0)

    x, b = mx.random.normal((4, 30)), mx.random.normal((40,))
    np.savez(tmp_path / "given.npz", x=np.array(x), b=np.array(b))
    for platforms in (("cpu",), ("cpu", "cuda", "tpu")):
        mx.export_to_jax(tmp_path / "artifact", fun, x, b=b, platforms=platforms)
        files = [tmp_path / "artifact", tmp_path / "given.npz", tmp_path / "results.npz"]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        command = [sys.executable, "-I", "-c", SERVE, *map(str, files)]
        subprocess.run(command, check=True, env={**environment, "JAX_PLATFORMS": "cpu"}, timeout=120)
        results = np.load(tmp_path / "results.npz")
        assert str(results["kind"]) == "tuple"
        for position, expected in enumerate(fun(x, b)):
            assert results[f"arr_{position}"].dtype == np.array(expected).dtype
            assert np.allclose(results[f"arr_{position}"], np.array(expected), atol=1e-5)


def test_the_artifact_says_what_it_takes_and_where_it_runs() -> None:
    import jax.export

    file = BytesIO()
    mx.export_to_jax(file, lambda x, y: [x + y], mx.zeros((2, 3)), y=mx.zeros(3), platforms=["cuda", "cpu"])
    artifact = jax.export.deserialize(bytearray(file.getvalue()))
    assert artifact.platforms == ("cuda", "cpu")
    assert [(x.shape, x.dtype.name) for x in artifact.in_avals] == [((2, 3), "float32"), ((3,), "float32")]
    (result,) = artifact.call(np.ones((2, 3), np.float32), y=np.ones(3, np.float32))
    assert np.array_equal(result, np.full((2, 3), 2.0))


def test_one_array_comes_back_as_one_array() -> None:
    import jax.export

    file = BytesIO()
    mx.export_to_jax(file, mx.square, mx.zeros(2))
    result = jax.export.deserialize(bytearray(file.getvalue())).call(np.array([2.0, 3.0], np.float32))
    assert np.array_equal(result, [4, 9])


def test_stablehlo_has_arguments_results_and_constants(tmp_path: Path) -> None:
    w = mx.array([[1.0, 2.0], [3.0, 4.0]])
    mx.export_to_stablehlo(tmp_path / "module.mlir", lambda x, b: mx.tanh(x @ w) + b, mx.zeros((5, 2)), b=mx.zeros(2))
    text = (tmp_path / "module.mlir").read_text()
    signature = re.search(r"func\.func public @main\((.*)\) -> \((.*?) \{", text)
    assert signature is not None
    assert re.findall(r"tensor<[^>]*>", signature[1]) == ["tensor<5x2xf32>", "tensor<2xf32>"]
    assert signature[2] == "tensor<5x2xf32>"
    assert "dense<[[1.000000e+00, 2.000000e+00], [3.000000e+00, 4.000000e+00]]>" in text
    assert "stablehlo.tanh" in text
    file = StringIO()
    mx.export_to_stablehlo(file, lambda x, b: mx.tanh(x @ w) + b, (mx.zeros((5, 2)),), {"b": mx.zeros(2)})
    assert file.getvalue() == text


def test_bad_arguments(tmp_path: Path) -> None:
    x = mx.zeros(2)
    path = tmp_path / "artifact"
    for platforms in ("cpu", (), ("gpu",), ("cpu", "metal")):
        with pytest.raises(ValueError, match=r"\[export_to_jax\] platforms must be a sequence of 'cpu', 'cuda'"):
            mx.export_to_jax(path, mx.exp, x, platforms=platforms)
    for export in (mx.export_to_jax, mx.export_to_stablehlo):
        with pytest.raises(TypeError, match="Expected a path or a file"):
            export(3, mx.exp, x)
        with pytest.raises(TypeError, match="fun must be callable"):
            export(path, 3, x)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="Inputs can be"):
            export(path, mx.exp, 1.0)
        with pytest.raises(ValueError, match="The function must return"):
            export(path, lambda x: 1, x)
        with pytest.raises(RuntimeError, match="Failed to write"):
            export(tmp_path / "missing" / "artifact", mx.exp, x)
    assert not path.exists()

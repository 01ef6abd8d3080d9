"""Functions in files: what comes back, under every transform, and what is refused."""

from __future__ import annotations

import json
import math
import os
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn
from mlx.transforms.parameters import decoded, encoded


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "function.mlxfn"


def round_trip(path: Path, fun: Any, *args: Any, **kwargs: Any) -> Any:
    mx.export_function(path, fun, *args, **kwargs)
    return mx.import_function(path)


def header_of(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length])


def with_header(path: Path, header: dict[str, Any]) -> None:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


def with_program(path: Path, change: Any) -> None:
    header = header_of(path)
    program = json.loads(header["__metadata__"]["program"])
    change(program)
    header["__metadata__"]["program"] = json.dumps(program)
    with_header(path, header)


# ---------------------------------------------------------------------- what comes back


def test_an_imported_function_returns_a_tuple_of_arrays(path: Path) -> None:
    x = mx.array([1.0, 2.0])
    for fun in (mx.exp, lambda x: [mx.exp(x)], lambda x: (mx.exp(x),)):
        result = round_trip(path, fun, x)(x)
        assert type(result) is tuple
        assert np.allclose(np.array(result[0]), [math.e, math.e**2])
    assert round_trip(path, lambda x: [], x)(x) == ()


def test_arguments_come_in_any_of_the_documented_ways(path: Path) -> None:
    x, y = mx.array([1, 2, 3]), mx.array([10, 20, 30])
    f = round_trip(path, lambda x, y: x - y, (x,), {"y": y})
    for result in (f(x, y=y), f((x,), y=y), f([x], {"y": y}), f((x,), {"y": y})):
        assert result[0].tolist() == [-9, -18, -27]
    f = round_trip(path, lambda y, x: x - y, y=y, x=x)
    assert f(x=x, y=y)[0].tolist() == f({"y": y, "x": x})[0].tolist() == [-9, -18, -27]


@pytest.mark.parametrize(
    ("args", "kwargs"), [(("hi",), {}), ((1.0,), {}), (([[mx.array(1.0)]],), {}), ((mx.array(1), "hi"), {}),
                         ((mx.array(1),), {"y": 3}), ((mx.array(1), {"y": mx.array(1)}), {}), (([], []), {})]
)  # fmt: skip
def test_refuses_arguments_that_are_no_arrays(path: Path, args: Any, kwargs: Any) -> None:
    with pytest.raises(ValueError, match=r"\[export_function\] Inputs can be"):
        mx.export_function(path, lambda *args, **kwargs: mx.array(1), *args, **kwargs)
    f = round_trip(path, lambda: mx.array(1))
    with pytest.raises(ValueError, match=r"\[import_function::call\] Inputs can be"):
        f(*args, **kwargs)


@pytest.mark.parametrize("result", [3, None, {"a": mx.array(1)}, (mx.array(1), 1), (mx.array(1), [mx.array(1)])])
def test_refuses_results_that_are_no_arrays(path: Path, result: Any) -> None:
    with pytest.raises(ValueError, match=r"\[export_function\] The function must return"):
        mx.export_function(path, lambda: result)
    assert not path.exists()


def test_a_call_that_nothing_fits_says_what_was_exported_and_what_came(path: Path) -> None:
    f = round_trip(path, lambda x, scale: x * scale, mx.zeros((2, 3)), scale=mx.array(1.0))
    with pytest.raises(ValueError, match="No exported program fits") as error:
        f(mx.zeros((2, 4)), scale=mx.array(1))
    assert "1. arguments (float32[2, 3], scale=float32[])" in str(error.value)
    assert "was called with (float32[2, 4], scale=int32[])" in str(error.value)
    for args, kwargs in (
        ((), {}),
        ((mx.zeros((2, 3)), mx.array(1.0)), {}),
        ((mx.zeros((2, 3)),), {"y": mx.array(1.0)}),
    ):
        with pytest.raises(ValueError, match="No exported program fits"):
            f(*args, **kwargs)


def test_a_module_is_exported_with_its_weights(path: Path) -> None:
    mx.random.seed(3)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    x = mx.random.normal((5, 4))
    f = round_trip(path, net, x)
    expected = np.array(net(x))
    net.layers[0].weight = mx.zeros((8, 4))
    assert np.allclose(np.array(f(x)[0]), expected, atol=1e-6)


def test_constants_are_stored_once(path: Path) -> None:
    weight = mx.random.normal((200, 100))

    def fun(*args: Any) -> Any:
        return weight + sum(args)

    with mx.exporter(path, fun) as exporter:
        for count in range(5):
            exporter(*[mx.array(1.0)] * count)
    assert weight.nbytes < path.stat().st_size < weight.nbytes + 8192
    f = mx.import_function(path)
    assert np.allclose(np.array(f(*[mx.array(1.0)] * 3)[0]), np.array(weight) + 3)


def test_a_file_is_a_safetensors_file(path: Path) -> None:
    from safetensors import safe_open

    mx.export_function(path, lambda x: x @ mx.array([[1.0], [2.0]]), mx.zeros((1, 2)), metadata="hello")
    with safe_open(str(path), framework="numpy") as file:
        assert file.metadata()["format"] == "mlx-xla function"
        assert file.metadata()["metadata"] == "hello"
        assert [file.get_tensor(name).tolist() for name in file.keys()] == [[[1.0], [2.0]]]  # noqa: SIM118


def test_metadata(path: Path) -> None:
    text = json.dumps({"näme": "model\n", "lr": 0.1})
    mx.export_function(path, mx.abs, mx.array(1.0), metadata=text)
    assert mx.import_function(path, return_metadata=True)[1] == text
    mx.export_function(path, mx.abs, mx.array(1.0))
    assert mx.import_function(path, return_metadata=True)[1] == ""
    with pytest.raises(TypeError, match="metadata must be text, got dict"):
        mx.export_function(path, mx.abs, mx.array(1.0), metadata={})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="metadata are kept in a file"):
        mx.export_function(lambda part: None, mx.abs, mx.array(1.0), metadata=text)


@pytest.mark.parametrize(
    "value",
    [math.inf, -math.inf, -0.0, 5e-324, 0.1, 2**53 + 1, -(2**63), 2**64 - 1, True, None, "text", 1 - 2j, mx.bfloat16,
     ((), (1, (True, "x")))],
)  # fmt: skip
def test_parameters_survive_json(value: Any) -> None:
    back = decoded(json.loads(json.dumps(encoded(value), allow_nan=False)), None)
    assert back == value
    assert type(back) is type(value)
    assert str(back) == str(value)  # tells -0.0 from 0.0
    assert math.isnan(decoded(json.loads(json.dumps(encoded(math.nan))), None))


@pytest.mark.parametrize("number", [math.inf, -0.0, math.nan, 1e-45, 0.1])
def test_python_numbers_are_exact(path: Path, number: float) -> None:
    x = mx.array([1.0, 2.0])
    f = round_trip(path, lambda x: mx.where(x > 1.5, x, number), x)
    assert np.array(f(x)[0]).tobytes() == np.array([number, 2.0], np.float32).tobytes()
    big = mx.array(2**62 + 1, mx.int64)
    assert round_trip(path, lambda x: x + (2**53 + 1), big)(big)[0].item() == 2**62 + 2**53 + 2


def test_random_numbers_are_those_of_the_key_at_export(path: Path) -> None:
    mx.random.seed(5)
    f = round_trip(path, lambda: mx.random.uniform(shape=(3,)))
    mx.random.seed(5)
    expected = mx.random.uniform(shape=(3,)).tolist()
    assert f()[0].tolist() == f()[0].tolist() == expected


def test_a_custom_function_is_exported_without_its_rules(path: Path) -> None:
    @mx.custom_function
    def rounded(x: Any) -> Any:
        return mx.sin(x), x

    @rounded.vjp
    def rounded_vjp(x: Any, cotangents: Any, outputs: Any) -> Any:
        return cotangents[0] * 100

    x = mx.array(0.5)
    f = round_trip(path, lambda x: rounded(x)[0] * 2, x)
    assert f(x)[0].item() == pytest.approx(2 * math.sin(0.5))
    assert mx.grad(lambda x: f(x)[0])(x).item() == pytest.approx(2 * math.cos(0.5))


# ---------------------------------------------------------------------- transforms


def f_and_x(path: Path) -> tuple[Any, Any]:
    x = mx.array([0.3, -1.2, 2.0])
    return round_trip(path, lambda x: mx.sin(x) * x**3, x), x


def derivative(x: Any) -> Any:
    return np.cos(x) * x**3 + 3 * np.sin(x) * x**2


@pytest.mark.parametrize("engine", ["numpy", "xla"])
def test_all_transforms_apply(path: Path, engine: str) -> None:
    f, x = f_and_x(path)
    host = np.array(x)
    with mx.engine(engine):
        slope = np.array(mx.grad(lambda x: f(x)[0].sum())(x))
        assert np.allclose(slope, derivative(host), rtol=1e-5)
        _, tangents = mx.jvp(lambda x: f(x)[0], [x], [mx.ones(3)])
        assert np.allclose(np.array(tangents[0]), derivative(host), rtol=1e-5)
        rows = mx.stack([x, 2 * x])
        expected = np.sin(np.array(rows)) * np.array(rows) ** 3
        assert np.allclose(np.array(mx.vmap(lambda x: f(x)[0])(rows)), expected, rtol=1e-5)
        assert np.allclose(np.array(mx.compile(lambda x: f(x)[0] + 1)(x)), expected[0] + 1, rtol=1e-5)
        second = mx.grad(lambda x: mx.grad(lambda y: f(y)[0].sum())(x).sum())(x)
        curvature = -np.sin(host) * host**3 + 6 * np.cos(host) * host**2 + 6 * np.sin(host) * host
        assert np.allclose(np.array(second), curvature, rtol=1e-4, atol=1e-5)


def test_a_training_step_is_exported(path: Path) -> None:
    def step(w: Any, x: Any, y: Any) -> Any:
        loss, slope = mx.value_and_grad(lambda w: mx.mean((x @ w - y) ** 2))(w)
        return loss, w - 0.1 * slope

    x, y, w = mx.random.normal((8, 3)), mx.random.normal((8,)), mx.zeros(3)
    loss, new = round_trip(path, mx.compile(step), w, x, y)(w, x, y)
    assert loss.item() == pytest.approx(float(np.mean(np.array(y) ** 2)), rel=1e-5)
    expected = 0.1 * 2 / 8 * np.array(x).T @ np.array(y)
    assert np.allclose(np.array(new), expected, atol=1e-6)


def test_what_was_imported_is_exported_again(path: Path) -> None:
    f, x = f_and_x(path)
    again = round_trip(path, lambda x: f(x)[0] * 2, x)
    assert np.allclose(np.array(again(x)[0]), 2 * np.array(f(x)[0]))


# ---------------------------------------------------------------------- several traces, any sizes


def test_a_call_picks_the_trace_for_its_arguments(path: Path) -> None:
    with mx.exporter(str(path), lambda x, y=None: x * x.size if y is None else x + y) as exporter:
        exporter(mx.zeros(2))
        exporter(mx.zeros(3))
        exporter(mx.zeros(3), y=mx.zeros(3))
        with pytest.raises(RuntimeError, match="has been exported"):
            exporter(mx.ones(2))
    with pytest.raises(RuntimeError, match="closed"):
        exporter(mx.zeros(4))
    exporter.close()
    f = mx.import_function(str(path))
    assert f(mx.ones(2))[0].tolist() == [2, 2]
    assert f(mx.ones(3))[0].tolist() == [3, 3, 3]
    assert f(mx.ones(3), y=mx.ones(3))[0].tolist() == [2, 2, 2]


def test_a_shapeless_function_takes_other_sizes(path: Path) -> None:
    w = mx.random.normal((6, 2))

    def fun(x: Any) -> Any:
        h = mx.softmax(mx.flatten(x, 1) @ w, axis=-1)
        return mx.mean(h, axis=0), mx.concatenate([x, x], axis=0)[1:]

    f = round_trip(path, fun, mx.zeros((4, 3, 2)), shapeless=True)
    for rows in (4, 1, 7):
        x = mx.random.normal((rows, 3, 2))
        for result, expected in zip(f(x), fun(x), strict=True):
            assert result.shape == expected.shape
            assert np.allclose(np.array(result), np.array(expected), atol=1e-6)
    with pytest.raises(ValueError, match="any sizes of"):
        f(mx.zeros((4, 3)))
    with pytest.raises(ValueError, match="No exported program fits"):
        f(mx.zeros((4, 5, 2)))  # which does not fit the weight


def test_a_size_that_decides_is_not_forgotten(path: Path) -> None:
    def fun(x: Any) -> Any:
        total = mx.zeros(x.shape[1:])
        for row in x:
            total = 2 * total + row
        return total

    f = round_trip(path, fun, mx.zeros((2, 1)), shapeless=True)
    assert f(mx.array([[1.0], [2.0]]))[0].tolist() == [4]
    with pytest.raises(ValueError, match="No exported program fits"):
        f(mx.zeros((3, 1)))
    with mx.exporter(path, fun, shapeless=True) as exporter:
        exporter(mx.zeros((2, 1)))
        exporter(mx.zeros((3, 1)))
        with pytest.raises(RuntimeError, match="has been exported"):
            exporter(mx.zeros((3, 1)))
    f = mx.import_function(path)
    assert [f(mx.ones((n, 1)))[0].tolist() for n in (2, 3)] == [[3], [7]]


def test_a_shapeless_function_is_differentiated_and_traced_again(path: Path) -> None:
    f = round_trip(path, lambda x: mx.sum(x**2), mx.zeros((2, 2)), shapeless=True)
    assert mx.grad(lambda x: f(x)[0])(mx.ones((1, 3))).tolist() == [[2, 2, 2]]
    g = mx.compile(lambda x: f(x)[0] + x.sum(), shapeless=True)
    assert [g(mx.ones((n, 2))).item() for n in (1, 2, 3)] == [4, 8, 12]


# ---------------------------------------------------------------------- the callback


def test_a_callback_gets_the_program_in_parts() -> None:
    parts: list[dict[str, Any]] = []
    x = mx.array([1.0, 2.0, 3.0])
    mx.export_function(parts.append, lambda x, y: [mx.log(mx.abs(x - y)).astype(mx.int32), x + mx.array([5.0])], x, y=x)
    kind = {part["type"]: part for part in parts}
    assert kind["inputs"]["inputs"] == [("A", (3,), mx.float32), ("B", (3,), mx.float32)]
    assert kind["keyword_inputs"]["keywords"] == [("y", "B")]
    assert kind["outputs"]["outputs"] == [("C", (3,), mx.int32), ("D", (3,), mx.float32)]
    ((name, constant),) = kind["constants"]["constants"]
    assert (name, constant.tolist()) == ("E", [5.0])
    steps = [part for part in parts if part["type"] == "primitive"]
    named = [(step["name"], step["arguments"]) for step in steps]
    assert named == [("Subtract", []), ("Abs", []), ("Log", [2]), ("AsType", [mx.int32]), ("Add", [])]
    assert [x[0] for x in steps[0]["inputs"]] == ["A", "B"]
    assert steps[3]["outputs"] == [("C", (3,), mx.int32)]


def test_a_callback_gets_all_outputs_of_a_primitive() -> None:
    parts: list[dict[str, Any]] = []
    mx.export_function(parts.append, lambda x: mx.linalg.qr(x)[1], mx.eye(2))
    (step,) = [part for part in parts if part["type"] == "primitive"]
    assert step["name"] == "QRF"
    assert [shape for _, shape, _ in step["outputs"]] == [(2, 2), (2, 2)]
    assert step["outputs"][1][0] == parts[2]["outputs"][0][0]


def test_an_exception_of_the_callback_comes_through() -> None:
    def callback(part: Any) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        mx.export_function(callback, mx.abs, mx.array(1.0))


# ---------------------------------------------------------------------- files


def test_a_failed_export_leaves_the_old_file(path: Path) -> None:
    mx.export_function(path, mx.abs, mx.array(1.0))
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError):
        mx.export_function(path, lambda x: 1 / 0, mx.array(1.0))
    with pytest.raises(KeyError), mx.exporter(path, mx.abs) as exporter:
        raise KeyError(exporter(mx.array(2.0)))
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    assert mx.grad(mx.sin)(mx.array(0.0)).item() == 1.0  # no transform was left open


def test_refuses_what_is_no_path_and_no_function(path: Path) -> None:
    for call in (mx.export_function, mx.exporter):
        with pytest.raises(TypeError, match="fun must be callable"):
            call(path, 3)  # type: ignore[arg-type]
        with pytest.raises(RuntimeError, match="Failed to open"):
            call(path.parent / "missing" / "f.mlxfn", lambda: mx.array(1))
    with pytest.raises(TypeError, match="by its path"):
        mx.exporter(lambda part: None, mx.abs)
    with pytest.raises(TypeError, match="by its path"):
        mx.import_function(3)
    with pytest.raises(RuntimeError, match="Failed to open"):
        mx.import_function(path)


def test_a_file_of_mlx_itself_is_named(path: Path) -> None:
    path.write_bytes(struct.pack("<Q", 6) + b"0.32.4" + bytes(200))
    with pytest.raises(RuntimeError, match="written by MLX itself"):
        mx.import_function(path)


# ---------------------------------------------------------------------- files that lie


def hostile(path: Path, change: Any) -> None:
    """Export, change the program, and expect the file to be refused."""
    w = mx.array([[1.0, 2.0], [3.0, 4.0]])
    mx.export_function(path, lambda x: mx.tanh(x @ w)[:1] * 2.5, mx.zeros((3, 2)))
    header = header_of(path)
    program = json.loads(header["__metadata__"]["program"])
    change(header, program[0])
    header["__metadata__"]["program"] = json.dumps(program)
    with_header(path, header)
    with pytest.raises(RuntimeError, match=r"^\[import_function\] Cannot read "):
        mx.import_function(path)


NODE = {"primitive": 0, "operands": 1, "params": 2, "shape": 3, "dtype": 4}


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("primitive", "os.system"),
        ("primitive", "custom"),
        ("primitive", "data"),
        ("primitive", ["tanh"]),
        ("operands", [99]),
        ("operands", [-1]),
        ("operands", [0, 0, 0]),
        ("operands", [True]),
        ("operands", "0"),
        ("params", [1]),
        ("params", [{"float": "1"}]),
        ("params", {"__reduce__": []}),
        ("shape", [2, 3]),
        ("shape", [{"size": 0}, 2]),
        ("dtype", "float16"),
        ("dtype", "object"),
    ],
)
def test_a_node_that_is_not_as_it_should_be(path: Path, part: str, value: Any) -> None:
    def change(header: Any, trace: Any) -> None:
        names = [node[0] for node in trace["nodes"]]
        trace["nodes"][names.index("tanh")][NODE[part]] = value

    hostile(path, change)


def test_a_node_that_reads_itself_or_a_later_one(path: Path) -> None:
    def change(header: Any, trace: Any) -> None:
        first = len(trace["inputs"]) + len(trace["constants"]) + len(trace["scalars"])
        trace["nodes"][0][1][0] = first

    hostile(path, change)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("inputs", [[[2**40, 2**40], "float32"]]),
        ("inputs", [[[-3, 2], "float32"]]),
        ("inputs", [[[3, 2], "str"]]),
        ("inputs", []),
        ("inputs", None),
        ("keywords", ["a", "b"]),
        ("keywords", [3]),
        ("constants", ["7"]),
        ("constants", []),
        ("scalars", [["2.5", "float32"]]),
        ("scalars", [[2, "float32"]]),
        ("scalars", [[2**70, "int32"]]),
        ("outputs", [99]),
        ("outputs", ["0"]),
        ("sizes", {"terms": [["size", 9, 9]], "decisions": [], "requirements": []}),
        ("sizes", {"terms": [["*", 0, 0]], "decisions": [], "requirements": []}),
        ("sizes", {"terms": [["constant", 2, 0]], "decisions": [["==", 0, 5, True]], "requirements": []}),
        ("sizes", {"terms": [["constant", 2, 0]], "decisions": [["<", 0, 0, True]], "requirements": []}),
        ("sizes", []),
    ],
)
def test_a_trace_that_is_not_as_it_should_be(path: Path, key: str, value: Any) -> None:
    def change(header: Any, trace: Any) -> None:
        trace[key] = value

    hostile(path, change)


def test_numbers_that_grow_beyond_bounds(path: Path) -> None:
    terms = [["constant", 3, 0], *(["*", i, i] for i in range(200))]

    def change(header: Any, trace: Any) -> None:
        trace["sizes"] = {"terms": terms, "decisions": [], "requirements": []}

    hostile(path, change)


def test_other_versions_and_other_files(path: Path) -> None:
    for key, value in (("version", "2"), ("format", "pt"), ("program", "[" * 100000), ("program", "{}")):
        mx.export_function(path, mx.abs, mx.array(1.0))
        header = header_of(path)
        header["__metadata__"][key] = value
        with_header(path, header)
        with pytest.raises(RuntimeError, match=r"\[import_function\] Cannot read"):
            mx.import_function(path)
    mx.save_safetensors(str(path) + ".safetensors", {"x": mx.array(1)})
    with pytest.raises(RuntimeError, match="no exported function"):
        mx.import_function(str(path) + ".safetensors")


def test_a_view_beyond_its_array_is_refused(path: Path) -> None:
    for value in ([[4], [1], 5], [[4], [9], 0], [[2], [-1], 0], [[4], [1, 1], 0]):
        mx.export_function(path, lambda x: mx.as_strided(x, (4,), (1,), 0), mx.zeros(8))
        header = header_of(path)
        program = json.loads(header["__metadata__"]["program"])
        (node,) = [node for node in program[0]["nodes"] if node[0] == "as_strided"]
        node[2], node[3] = value, value[0]
        header["__metadata__"]["program"] = json.dumps(program)
        with_header(path, header)
        with pytest.raises(RuntimeError, match="Cannot read"):
            mx.import_function(path)


def test_a_slice_beyond_its_array_is_refused(path: Path) -> None:
    """Shape rules believe the sizes of a slice; a view of it would show other memory of the process."""
    mx.export_function(path, lambda x: mx.as_strided(x[1:2], (1,), (1,), 0), mx.zeros(4))

    def change(program: Any) -> None:
        for node in program[0]["nodes"]:
            node[2:4] = [[[0], [4096], [1]] if node[0] == "slice" else [[4096], [1], 0], [4096]]

    with_program(path, change)
    with pytest.raises(RuntimeError, match="slice cannot be computed of"):
        mx.import_function(path)


@pytest.mark.parametrize("kept", ["decisions", "requirements", None])
def test_a_shapeless_program_is_checked_for_every_shape(path: Path, kept: str | None) -> None:
    """Which sizes it serves is what the file says, so it may leave something out."""
    mx.export_function(path, lambda x: mx.concatenate([x[:3], x[2:]]) + 1, mx.zeros(5), shapeless=True)

    def change(program: Any) -> None:
        for part in ("decisions", "requirements"):
            if part != kept:
                program[0]["sizes"][part] = []

    with_program(path, change)
    f = mx.import_function(path)
    assert f(mx.zeros(4))[0].tolist() == [1, 1, 1, 1, 1]
    for size in (2, 1, 0):  # which have no three elements to read, and then fewer than none are left
        with pytest.raises(ValueError, match="No exported program fits"):
            f(mx.zeros(size))


def test_sizes_that_grow_with_the_arguments_are_bounded(path: Path) -> None:
    mx.export_function(path, lambda x: mx.broadcast_to(x, (2, *x.shape)), mx.zeros(4), shapeless=True)

    def change(program: Any) -> None:
        program[0]["sizes"] = {
            "terms": [["size", 0, 0], *(["*", i, i] for i in range(4))],
            "decisions": [],
            "requirements": [],
        }
        (node,) = program[0]["nodes"]
        node[2:4] = [[[{"size": 4}, {"size": 0}]], [{"size": 4}, {"size": 0}]]

    with_program(path, change)
    f = mx.import_function(path)
    with pytest.raises(ValueError, match="No exported program fits"):
        f(mx.zeros(64))  # an axis of 2^96 elements


def fuzzed_functions(path: Path) -> None:
    w = mx.array(np.arange(12, dtype=np.float32).reshape(4, 3))

    def fun(x: Any) -> Any:
        h = mx.softmax(x @ w, axis=-1)
        return mx.conv1d(h[None], mx.ones((2, 3, 3)), padding=1).astype(mx.float16), mx.pad(h, 1).reshape(-1) + 1.5

    with mx.exporter(path, fun, shapeless=True) as exporter:
        exporter(mx.zeros((5, 4)))


def imports_or_refuses(path: Path, data: bytes) -> None:
    """What is imported computes arrays of the shapes that it says, or refuses the arguments."""
    path.write_bytes(data)
    complaint = ""
    try:
        f = mx.import_function(path)
    except RuntimeError as error:
        complaint = str(error)
    assert not complaint or complaint.startswith("[import_function] Cannot read ")
    if complaint:
        return
    with mx.engine("numpy"):
        for rows in (5, 1, 0):
            results = ()
            try:
                results = f(mx.ones((rows, 4)))
            except ValueError as error:
                complaint = str(error)
            assert not complaint or complaint.startswith("[import_function::call] No exported program fits")
            assert [np.array(result).shape for result in results] == [result.shape for result in results]


def test_flipped_bytes_and_truncations(path: Path) -> None:
    fuzzed_functions(path)
    data = path.read_bytes()
    rng = random.Random(0)
    for _ in range(300):
        changed = bytearray(data)
        for _ in range(rng.choice((1, 1, 4))):
            changed[rng.randrange(len(data))] = rng.randrange(256)
        imports_or_refuses(path, bytes(changed))
    for length in rng.sample(range(len(data)), 60):
        imports_or_refuses(path, data[:length])


def places(tree: Any) -> list[tuple[Any, Any]]:
    """Every container of a JSON tree with each of its keys."""
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    found = [(tree, key) for key in keys]
    return found + [place for key in keys for place in places(tree[key])]


def test_mutated_programs(path: Path) -> None:
    fuzzed_functions(path)
    header = header_of(path)
    original = header["__metadata__"]["program"]
    rng = random.Random(1)
    odd = [None, True, -1, 0, 1, 7, 2**31, 2**70, 0.5, "", "x", "sum", "float64", [], [1], [[1]], {}, {"size": 3}]
    for _ in range(600):
        program = json.loads(original)
        for _ in range(rng.choice((1, 1, 2))):
            container, key = rng.choice(places(program))
            other, other_key = rng.choice(places(program))
            action = rng.randrange(4)
            if action == 0 and isinstance(container, list) and key < len(container):
                del container[key]
            elif action == 1:
                container[key] = json.loads(json.dumps(other[other_key]))
            else:
                container[key] = rng.choice(odd)
        header["__metadata__"]["program"] = json.dumps(program)
        path.write_bytes(b"")
        fresh = json.dumps(header).encode()
        imports_or_refuses(path, struct.pack("<Q", len(fresh)) + fresh + bytes(4 * (12 + 18)))
    assert mx.grad(mx.sin)(mx.array(0.0)).item() == 1.0

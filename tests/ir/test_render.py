"""The recorded program as text and as a graph: what is shown, under which names."""

from __future__ import annotations

import re
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

import mlx.core as mx
from mlx.ir.names import EVENTS, LABELS, event, label
from mlx.ir.primitive import PRIMITIVES
from mlx.ir.render import as_text


def dot(*arrays: Any, **named: Any) -> str:
    file = StringIO()
    mx.export_to_dot(file, *arrays, **named)
    return file.getvalue()


def labels(text: str) -> list[str]:
    return re.findall(r'label="([^"]*)"', text)


def edges(text: str) -> set[tuple[str, str]]:
    return set(re.findall(r'^  (\d+|"[^"]*") -> (\d+|"[^"]*");$', text, re.MULTILINE))


def test_text_names_nodes_in_recorded_order() -> None:
    x = mx.array([[1, 2, 3], [4, 5, 6]])
    y = mx.sum(x.T, axis=0) + 10
    assert as_text([y._node]) == (
        "a: int32[2, 3] = data\n"
        "b: int32[3, 2] = transpose a (1, 0)\n"
        "c: int32[2] = sum b (0,) False\n"
        "d: int32[2] = add c 10\n"
        "return d"
    )


def test_an_array_with_a_value_is_a_source() -> None:
    assert dot(mx.array(1.0)) == 'digraph {\n  { rank=source; "A"; }\n}\n'
    y = mx.array(1.0) + 1
    mx.eval(y)
    assert labels(dot(y)) == []


def test_edges_lead_from_inputs_through_the_primitive_to_its_output() -> None:
    x, w = mx.array([1.0, 2.0]), mx.array([3.0, 4.0])
    text = dot(x=x, w=w, y=mx.exp(x * w))
    assert labels(text) == ["Multiply", "Exp"]
    assert edges(text) == {('"x"', "1"), ('"w"', "1"), ("1", '"A"'), ('"A"', "2"), ("2", '"y"')}
    assert '{ rank=sink; "y"; }' in text


def test_all_outputs_of_one_primitive_come_from_one_box() -> None:
    text = dot(*mx.linalg.qr(mx.array([[1.0, 2.0], [3.0, 5.0]])))
    assert labels(text) == ["QRF"]
    assert edges(text) == {('"A"', "1"), ("1", '"B"'), ("1", '"C"')}


def test_a_call_that_has_not_run_is_one_box() -> None:
    step = mx.compile(lambda x, w: (mx.tanh(x @ w), mx.sum(x)))
    x = mx.array([[1.0, 2.0], [3.0, 5.0]])
    w = x + 1
    h, total = step(x, w)
    text = dot(x=x, w=w, h=h, total=total)
    assert labels(text) == ["Add", "CompiledMatmulTanhSum"]
    assert {('"x"', "2"), ('"w"', "2"), ("2", '"h"'), ("2", '"total"')} <= edges(text)
    mx.eval(h, total)
    assert labels(dot(h, total)) == []


def test_the_label_of_a_long_call_is_bounded() -> None:
    def long(x: Any) -> Any:
        for _ in range(100):
            x = mx.sin(x)
        return x

    assert labels(dot(mx.compile(long)(mx.array(1.0)))) == ["Compiled" + 16 * "Sin" + "..."]


def test_names_are_quoted_and_never_given_twice() -> None:
    x = mx.array(1.0)
    assert '"a\\"b\\\\"' in dot(**{'a"b\\': x})
    y = x + mx.array(2.0)
    assert edges(dot(A=y)) == {('"B"', "1"), ('"C"', "1"), ("1", '"A"')}


def test_trees_of_arrays_and_paths(tmp_path: Path) -> None:
    x = mx.array([1.0])
    path = tmp_path / "graph.dot"
    for file in (path, str(path)):
        mx.export_to_dot(file, {"a": [mx.sin(x)]}, (mx.cos(x),))
        assert labels(path.read_text()) == ["Sin", "Cos"]


def test_refuses_what_is_no_array_or_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"\[export_to_dot\] The arguments should contain arrays only, got int"):
        mx.export_to_dot(tmp_path / "graph.dot", 3)
    with pytest.raises(ValueError, match=r"\[export_to_dot\] Expected a path or a file open for writing text, got int"):
        mx.export_to_dot(3, mx.array(1))
    assert not (tmp_path / "graph.dot").exists()


def test_a_graph_deeper_than_recursion_bears_is_drawn() -> None:
    x = mx.array(1.0)
    for _ in range(1020):
        x = x + 1
    assert len(labels(dot(x))) == 1020


def test_names_are_of_primitives_that_exist() -> None:
    assert set(LABELS) - set(PRIMITIVES) == set()
    assert set(EVENTS) - set(PRIMITIVES) == set()


# What MLX 0.32 names them: in a graph, and in a callback with its arguments.
@pytest.mark.parametrize(
    ("primitive", "params", "drawn", "called"),
    [
        ("subtract", (), "Subtract", ("Subtract", [])),
        ("log10", (), "Log10", ("Log", [1])),
        ("rsqrt", (), "Rsqrt", ("Sqrt", [True])),
        ("all", ((1,), False), "And", ("Reduce", [0, [1]])),
        ("argmin", (1,), "ArgReduce", ("ArgReduce", [0, 1])),
        ("cumsum", (1, True), "CumSum", ("Scan", [2, 1, True, True])),
        ("right_shift", (), "RightShift", ("BitwiseBinary", [4])),
        ("transpose", ((1, 0),), "Transpose", ("Transpose", [[1, 0]])),
        ("concatenate", (1,), "Concatenate", ("Concatenate", [1])),
        ("slice", ((1, 0), (2, 6), (3, 1)), "Slice", ("Slice", [(1, 0), (5, 6), (3, 1)])),
        ("slice", ((2,), (0,), (3,)), "Slice", ("Slice", [(2,), (2,), (3,)])),
        ("slice_update", ((1,), (2,), (2,)), "SliceUpdate", ("SliceUpdate", [4, (1,), (4,), (2,)])),
        ("dynamic_update", ((0,),), "DynamicSliceUpdate", ("DynamicSliceUpdate", [[0]])),
    ],
)
def test_names(primitive: str, params: tuple[Any, ...], drawn: str, called: tuple[str, list[Any]]) -> None:
    assert label(primitive) == drawn
    assert event(primitive, params) == called

"""Exported functions in files: the format, how it is written, and how it is read without trusting it.

A file is a safetensors file (https://github.com/huggingface/safetensors#format). Its tensors, named "0", "1" and so on,
are the constants of the function. Its `__metadata__` are four strings:
    format    "mlx-xla function"
    version   "1"
    metadata  whatever the user wanted to say
    program   JSON: a list of traces, of which a call runs the one that fits its arguments

A trace is an object:
    inputs     [[shape, dtype], ...]    the positional arguments, then those by keyword
    keywords   [name, ...]              of the last inputs, in alphabetical order
    constants  [name, ...]              the tensors that this trace reads
    scalars    [[value, dtype], ...]    Python numbers, arrays of shape [] in the program
    nodes      [[primitive, operands, parameters, shape, dtype], ...]
    outputs    [number, ...]
    sizes      null, or for a trace that serves other shapes {"terms": ..., "decisions": ..., "requirements": ...}

Values are numbered: the inputs, the constants, the scalars and the nodes, in this order. An operand is the number of a
value before the node itself. A primitive with many outputs has a list of shapes and one of dtypes; `project` picks from
it. How values of parameters are written is said in `parameters`, which primitives there are in `mlx.primitives`.

In a shapeless trace an extent can be {"size": n}, the value of term n. A term is ["size", input, axis], ["constant",
value, 0] or [operation, left term, right term]; a decision [comparison, left term, right term, outcome] has to come out
the same for the shapes of a call, and a requirement [left term, right term, complaint] names terms that must be equal.

Whatever a file says is checked before it is believed: every node's shape and dtype are inferred again and compared, its
operands and parameters are ones that its primitive can compute with (`demands`), also for every shape that a shapeless
trace is called with, and nothing is allocated but what the tensors take, which is no more than the file has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from math import prod
from typing import Any, BinaryIO

from mlx.files.safetensors import read_safetensors, write_safetensors
from mlx.ir.body import Body, Step, traced_body
from mlx.ir.dtypes import Dtype, bool_
from mlx.ir.node import Node, OpenTransform, Shape, hooks, next_serial, record
from mlx.ir.primitive import PRIMITIVES, SCALAR, Leaf, Primitive, scalar_node
from mlx.ir.sizes import ARITHMETIC, COMPARISONS, Size, Sizes, plain
from mlx.ir.trace import Trace, placeholder, set_apart, specialised
from mlx.primitives.structure import PROJECT
from mlx.transforms.checkpoint import CHECKPOINT
from mlx.transforms.custom_function import CUSTOM
from mlx.transforms.demands import check_demands
from mlx.transforms.parameters import DTYPES, check_parameters, decoded, encoded

FORMAT = "mlx-xla function"
VERSION = "1"
PASSING = (CUSTOM, CHECKPOINT)  # pass through the inputs after the first `params[1]`, and keep rules or programs
LARGEST = 2**48  # bytes of an array that a program may compute; no processor addresses more


class Exported:
    """One trace of a function: its program, the names of its last inputs, and its sizes where it serves any."""

    def __init__(self, trace: Trace, keywords: Sequence[str], sizes: Sizes | None) -> None:
        self.trace = trace
        self.keywords = list(keywords)
        self.sizes = sizes

    @property
    def inputs(self) -> list[tuple[Shape, Dtype]]:
        return [(plain(node.shape), node.dtype) for node in self.trace.inputs]

    def takes(self, nodes: Sequence[Node], keywords: Sequence[str]) -> bool:
        """Whether it is for such arguments; for which sizes a shapeless one serves is seen when it is specialised."""
        inputs = self.trace.inputs
        if len(nodes) != len(inputs) or list(keywords) != self.keywords:
            return False
        if self.sizes is None:
            return all(x.shape == mine.shape and x.dtype is mine.dtype for x, mine in zip(nodes, inputs, strict=True))
        return all(x.ndim == mine.ndim and x.dtype is mine.dtype for x, mine in zip(nodes, inputs, strict=True))

    def trace_for(self, shapes: Sequence[Shape]) -> Trace | None:
        """The program for arguments of these shapes; None where it does not serve them."""
        if self.sizes is None:
            return self.trace
        try:
            trace = specialised(self.trace, self.sizes, shapes)
            for node in trace.nodes if trace is not None else ():
                _check_node(node.primitive, node.inputs, node.params, (node.shape, node.dtype))
        except Exception:  # whatever rules do with extents that a file asks for: it need not name all requirements
            return None
        return trace


class Listing:
    """A trace as it is exported: what it reads, and its nodes with their operands.

    What a custom or checkpointed function computes is in the program; rules and ways to recompute it stay behind.
    """

    def __init__(self, trace: Trace) -> None:
        passed: dict[Node, Node] = {}
        self.nodes: list[tuple[Node, list[Node]]] = []
        for node in trace.nodes:
            if node.primitive is PROJECT and node.inputs[0].primitive in PASSING:
                passing, (index,) = node.inputs[0], node.params
                result: Node = passing.inputs[passing.params[1] + index]  # type: ignore[operator]
                passed[node] = passed.get(result, result)
            elif node.primitive not in PASSING:
                self.nodes.append((node, [passed.get(x, x) for x in node.inputs]))
        self.inputs = trace.inputs
        self.outputs = [passed.get(x, x) for x in trace.outputs]
        computed = {*self.inputs, *(node for node, _ in self.nodes)}
        read = [*(x for _, operands in self.nodes for x in operands), *self.outputs]
        given = dict.fromkeys(x for x in read if x not in computed)
        self.constants = [x for x in given if x.primitive is not SCALAR]
        self.scalars = [x for x in given if x.primitive is SCALAR]
        unknown = [x for x in self.constants if x.value is None]
        if unknown:
            hooks.evaluate(unknown)


# ---------------------------------------------------------------------- writing


def write_program(file: Any, traces: Sequence[Exported], metadata: str) -> None:
    """Write the traces of a function; a constant that several of them read is written once."""
    names: dict[Node, str] = {}
    program = [_encoded_trace(exported, names) for exported in traces]
    constants = {name: (node.value.numpy(), node.dtype) for node, name in names.items()}  # type: ignore[union-attr]
    text = json.dumps(program, separators=(",", ":"), allow_nan=False)
    header = {"format": FORMAT, "version": VERSION, "metadata": metadata, "program": text}
    write_safetensors(file, constants, header)


def _encoded_trace(exported: Exported, names: dict[Node, str]) -> dict[str, Any]:
    listing = Listing(exported.trace)
    for constant in listing.constants:
        names.setdefault(constant, str(len(names)))
    values = [*listing.inputs, *listing.constants, *listing.scalars, *(node for node, _ in listing.nodes)]
    numbers = {node: number for number, node in enumerate(values)}
    return {
        "inputs": [[list(shape), dtype.name] for shape, dtype in exported.inputs],
        "keywords": exported.keywords,
        "constants": [names[constant] for constant in listing.constants],
        "scalars": [[encoded(node.params[0]), node.dtype.name] for node in listing.scalars],
        "nodes": [_encoded_node(node, [numbers[x] for x in operands]) for node, operands in listing.nodes],
        "outputs": [numbers[output] for output in listing.outputs],
        "sizes": None if exported.sizes is None else _encoded_sizes(exported.sizes),
    }


def _encoded_node(node: Node, operands: list[int]) -> list[Any]:
    check_parameters(node.primitive.name, node.params)
    check_demands(node.primitive, node.inputs, node.params)
    dtype = [part.name for part in node.dtype] if node.primitive.many else node.dtype.name  # type: ignore[attr-defined]
    return [node.primitive.name, operands, _encoded_parameters(node.params), encoded(node.shape), dtype]


def _encoded_parameters(params: Sequence[Any]) -> list[Any]:
    return [{"body": _encoded_body(value)} if type(value) is Body else encoded(value) for value in params]


def _encoded_body(body: Body) -> dict[str, Any]:
    body = body.without(PASSING)
    return {
        "inputs": [[encoded(shape), dtype.name] for shape, dtype in body.inputs],
        "scalars": [[encoded(value), dtype.name] for value, dtype in body.numbers],
        "nodes": [_encoded_step(step) for step in body.steps],
        "outputs": list(body.outputs),
    }


def _encoded_step(step: Step) -> list[Any]:
    dtype = [part.name for part in step.dtype] if step.primitive.many else step.dtype.name
    return [step.primitive.name, list(step.operands), _encoded_parameters(step.params), encoded(step.shape), dtype]


def _encoded_sizes(sizes: Sizes) -> dict[str, Any]:
    return {
        "terms": [[operation, encoded(left), right] for operation, left, right in sizes.terms],
        "decisions": [[*decision, outcome] for decision, outcome in sizes.decisions.items()],
        "requirements": [[left, right, complaint] for (left, right), complaint in sizes.requirements.items()],
    }


# ---------------------------------------------------------------------- reading


def read_program(file: BinaryIO, available: int) -> tuple[list[Exported], str]:
    """The traces in a file of which `available` bytes are left, and the user's metadata.

    Raises:
        Exception: something in the file is not as it should be. Whoever calls this catches whatever its contents lead
            to, since shape rules are not written for arguments that nothing has checked.
    """
    start = file.tell()
    beginning = file.read(24)
    if re.match(rb"[0-9]+\.[0-9]+\.[0-9]+", beginning[8:]):
        raise ValueError(
            "it was written by MLX itself, in a format that only MLX reads: export the function with this library"
        )
    file.seek(start)
    constants, header = read_safetensors(file, available)
    _expect(isinstance(header, dict) and header.get("format") == FORMAT, "it is no exported function")
    version = header.get("version")
    _expect(version == VERSION, f"it has version {version!r} of the format, and {VERSION!r} can be read")
    metadata = header.get("metadata")
    _expect(isinstance(metadata, str), "its metadata are no text")
    traces = json.loads(header["program"])
    _expect(isinstance(traces, list), "its program is no list of traces")
    return [_decoded_trace(trace, constants) for trace in traces], metadata  # type: ignore[return-value]


def _expect(condition: bool, complaint: str) -> None:
    if not condition:
        raise ValueError(complaint)


def _decoded_trace(stored: dict[str, Any], constants: dict[str, Node]) -> Exported:
    inputs = [(_shape(shape), DTYPES[dtype]) for shape, dtype in stored["inputs"]]
    for shape, dtype in inputs:
        _check_size(shape, dtype)
    keywords = stored["keywords"]
    _expect(all(type(name) is str for name in keywords), "a keyword is no text")
    _expect(keywords == sorted(set(keywords)) and len(keywords) <= len(inputs), "the keywords are out of order")
    sizes = None if stored["sizes"] is None else _decoded_sizes(stored["sizes"], [shape for shape, _ in inputs])
    return Exported(_rebuilt(stored, inputs, constants, sizes), keywords, sizes)


def _rebuilt(
    stored: dict[str, Any], inputs: list[tuple[Shape, Dtype]], constants: dict[str, Node], sizes: Sizes | None
) -> Trace:
    """The program of a stored trace. Nothing of it stays pending, also when something is wrong with it."""
    size = None if sizes is None else _SizeByNumber(sizes, [shape for shape, _ in inputs])
    since = next_serial()
    values: list[Node] = []
    with OpenTransform():
        try:
            for position, (shape, dtype) in enumerate(inputs):
                extents = shape if sizes is None else sizes.of_input(position, shape)
                values.append(placeholder("import_function", extents, dtype))
            placeholders = list(values)
            values += [constants[name] for name in stored["constants"]]
            values += [_decoded_scalar(value, DTYPES[dtype], size) for value, dtype in stored["scalars"]]
            for entry in stored["nodes"]:
                values.append(_decoded_node(entry, values, size))
            outputs = [_value(number, values) for number in stored["outputs"]]
            _expect(not any(output.primitive.many for output in outputs), "an output is not one array")
            trace = Trace(placeholders, outputs, since)
        finally:
            set_apart(values, since)
    return trace


def _decoded_node(entry: list[Any], values: list[Node], size: _SizeByNumber | None) -> Node:
    name, operands, parameters, shape, dtype = entry
    primitive = PRIMITIVES.get(name)
    if primitive is None or isinstance(primitive, Leaf) or primitive in PASSING:
        raise ValueError(f"there is no primitive {name!r}")
    inputs = tuple([_value(number, values) for number in operands])
    _expect(primitive.arity is None or len(inputs) == primitive.arity, f"{name} has {len(inputs)} operands")
    _expect(
        primitive is PROJECT or not any(operand.primitive.many for operand in inputs),
        f"an operand of {name} is not one array",
    )
    params = tuple([_decoded_parameter(value, size) for value in parameters])
    check_parameters(name, params)
    if primitive is PROJECT:
        _expect(inputs[0].primitive.many and 0 <= params[0] < len(inputs[0].shape), "nothing is there to project")
    inferred = primitive.infer(inputs, params)
    _check_inferred(primitive, inferred, decoded(shape, size), dtype)
    _check_node(primitive, inputs, params, inferred)
    return record(primitive, inputs, params, decoded(shape, size), inferred[1])


def _decoded_parameter(value: Any, size: _SizeByNumber | None) -> Any:
    return _decoded_body(value["body"], size) if type(value) is dict and "body" in value else decoded(value, size)


def _decoded_body(stored: dict[str, Any], size: _SizeByNumber | None) -> Body:
    kinds = [(decoded(shape, size), DTYPES[dtype]) for shape, dtype in stored["inputs"]]
    for shape, dtype in kinds:
        _check_size(plain(shape), dtype)

    def run(inputs: list[Node]) -> list[Node]:
        values = [*inputs, *(_decoded_scalar(value, DTYPES[dtype], size) for value, dtype in stored["scalars"])]
        for entry in stored["nodes"]:
            values.append(_decoded_node(entry, values, size))
        outputs = [_value(number, values) for number in stored["outputs"]]
        _expect(not any(output.primitive.many for output in outputs), "an output is not one array")
        return outputs

    body, captured = traced_body("import_function", run, kinds)
    _expect(not captured, "a program in it computes what does not depend on its inputs")
    return body


def _check_inferred(primitive: Primitive, inferred: tuple[Any, Any], shape: Any, dtype: Any) -> None:
    """Compare what the shape rule says with what is stored."""
    shapes, dtypes = inferred if primitive.many else ((inferred[0],), (inferred[1],))
    stored_shapes, stored_dtypes = (shape, dtype) if primitive.many else ((shape,), [dtype])
    names = [dtype.name for dtype in dtypes]
    _expect(
        [plain(shape) for shape in shapes] == [plain(shape) for shape in stored_shapes] and names == stored_dtypes,
        f"{primitive.name} gives {names} of shapes {shapes}, not {stored_dtypes} of shapes {stored_shapes}",
    )


def _check_node(primitive: Primitive, inputs: Sequence[Node], params: Sequence[Any], inferred: tuple[Any, Any]) -> None:
    """Check what shape rules take for granted, and that what they say is the shape of an array."""
    check_demands(primitive, inputs, params)
    shapes, dtypes = inferred if primitive.many else ((inferred[0],), (inferred[1],))
    for shape, dtype in zip(shapes, dtypes, strict=True):
        _check_size(plain(shape), dtype)


def _value(number: Any, values: list[Node]) -> Node:
    _expect(type(number) is int and 0 <= number < len(values), f"there is no value {number!r} before this one")
    return values[number]


def _decoded_scalar(value: Any, dtype: Dtype, size: _SizeByNumber | None) -> Node:
    number = decoded(value, size)
    kind = bool if dtype is bool_ else complex if dtype.is_complex else float if dtype.is_floating else int
    _expect(type(number) is kind or type(number) is Size, f"{value!r} is no number of type {dtype.name}")
    return scalar_node(number, dtype)


def _shape(stored: Any) -> Shape:
    _expect(isinstance(stored, list) and all(type(extent) is int for extent in stored), f"{stored!r} is no shape")
    return tuple(stored)


def _check_size(shape: Shape, dtype: Dtype) -> None:
    _expect(all(extent >= 0 for extent in shape), f"{shape} is no shape")
    _expect(prod(shape) * dtype.size <= LARGEST, f"an array of shape {shape} is too large")


class _SizeByNumber:
    """The sizes of a trace that is read, by the number of their term."""

    def __init__(self, sizes: Sizes, shapes: Sequence[Shape]) -> None:
        self.sizes = sizes
        values = sizes.values(shapes)
        if values is None:
            raise ValueError("the trace does not serve its own shapes")
        self.values = values

    def __call__(self, number: int) -> Size:
        _expect(0 <= number < len(self.values), f"there is no term {number}")
        return Size(self.values[number], self.sizes, self.sizes.terms[number])


def _decoded_sizes(stored: dict[str, Any], shapes: list[Shape]) -> Sizes:
    sizes = Sizes()
    for operation, left, right in stored["terms"]:
        left = decoded(left, None)
        known = len(sizes.terms)
        _expect(type(left) is int and type(right) is int, "a term does not consist of numbers")
        if operation == "size":
            _expect(0 <= left < len(shapes) and 0 <= right < len(shapes[left]), "a term names no axis of an input")
        elif operation != "constant":
            _expect(operation in ARITHMETIC and 0 <= left < known and 0 <= right < known, "a term is unknown")
        _expect(sizes.number((operation, left, right)) == known, "a term comes twice")
    known = len(sizes.terms)
    for comparison, left, right, outcome in stored["decisions"]:
        _expect(comparison in COMPARISONS and type(outcome) is bool, "a decision is unknown")
        _check_terms(left, right, known)
        sizes.decisions[comparison, left, right] = outcome
    for left, right, complaint in stored["requirements"]:
        _expect(type(complaint) is str, "a requirement is unknown")
        _check_terms(left, right, known)
        sizes.requirements[left, right] = complaint
    return sizes


def _check_terms(left: Any, right: Any, known: int) -> None:
    sound = type(left) is int and type(right) is int and 0 <= left < known and 0 <= right < known
    _expect(sound, "a decision names no term")

"""Parameters of primitives in files: what each primitive has, and how values are written as JSON.

A value is written as
    null, true, false, text     None, booleans, strings
    17                          an integer; one beyond 2^53 as {"int": "9007199254740993"}, which other readers round
    {"float": "0x1.8p+0"}       a float, by its bits in hexadecimal; also "inf", "-inf", "nan"
    {"complex": [re, im]}       a complex number, its parts in the same way
    {"dtype": "float32"}        an element type
    {"size": 3}                 in shapeless programs: an integer that is computed from the shapes of the inputs
    [...]                       a tuple
    {"Window": [...]}           a record of `RECORDS` with its fields in order
    {"body": {...}}             a program: as a trace is written, without keywords, constants and sizes
Nothing else is written, and reading builds nothing but these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlx.ir import dtypes
from mlx.ir.body import Body
from mlx.ir.dtypes import Dtype
from mlx.ir.sizes import Size
from mlx.primitives.convolution import Window

EXACT = 2**53  # integers up to here survive every reader of JSON
RECORDS: dict[str, type] = {"Window": Window}
DTYPES: dict[str, Dtype] = {value.name: value for value in vars(dtypes).values() if isinstance(value, Dtype)}


class Kind:
    """What a parameter can be."""

    def __init__(self, name: str, accepts: Callable[[Any], bool]) -> None:
        self.name = name
        self.accepts = accepts

    def __repr__(self) -> str:
        return self.name


def _is_int(value: Any) -> bool:
    return type(value) is int or type(value) is Size


def _are_ints(value: Any) -> bool:
    return type(value) is tuple and all(map(_is_int, value))


def _is_window(value: Any) -> bool:
    if type(value) is not Window or not _is_int(value.groups) or type(value.flip) is not bool:
        return False
    return all(map(_are_ints, value[:5])) and len({len(axes) for axes in value[:5]}) == 1


def _all_of(accepts: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: type(value) is tuple and all(map(accepts, value))


def _is_template(value: Any) -> bool:
    return (
        type(value) is tuple and len(value) == 2 and type(value[0]) is str and isinstance(value[1], bool | int | Dtype)
    )


INT = Kind("an integer", _is_int)
INTS = Kind("integers", _are_ints)
BOOL = Kind("a boolean", lambda value: type(value) is bool)
TEXT = Kind("text", lambda value: type(value) is str)
TEXTS = Kind("texts", _all_of(TEXT.accepts))
DTYPE = Kind("an element type", lambda value: type(value) is Dtype)
WINDOW = Kind("a window", _is_window)
BODY = Kind("a program", lambda value: type(value) is Body)
SHAPES = Kind("shapes", _all_of(_are_ints))
DTYPES_OF = Kind("element types", _all_of(DTYPE.accepts))
TEMPLATES = Kind("template arguments", _all_of(_is_template))

# The parameters of every primitive that has any.
PARAMETERS: dict[str, tuple[Kind, ...]] = {
    "add_strided": (INT, INTS, INT),
    "all": (INTS, BOOL),
    "any": (INTS, BOOL),
    "arange": (INT,),
    "argmax": (INT,),
    "argmin": (INT,),
    "argsort": (INT,),
    "argtopk": (INT, INT),
    "as_strided": (INTS, INTS, INT),
    "attention": (BOOL, BOOL, BOOL, INT, INT),
    "attention_gradient": (BOOL, BOOL, BOOL, INT, INT),
    "broadcast": (INTS,),
    "cast": (DTYPE,),
    "concatenate": (INT,),
    "convolution": (WINDOW,),
    "convolution_input": (WINDOW, INTS),
    "convolution_weight": (WINDOW, INTS),
    "cuda_kernel": (
        *(TEXT, TEXTS, TEXTS, TEXT, TEXT, BOOL, INT),
        *(INTS, INTS, TEMPLATES, TEXTS, TEXT, SHAPES, DTYPES_OF),
    ),
    "cummax": (INT, BOOL),
    "cummin": (INT, BOOL),
    "cumprod": (INT, BOOL),
    "cumsum": (INT, BOOL),
    "decode": (TEXT,),
    "dot": (INTS, INTS, INTS, INTS),
    "dynamic_slice": (INTS, INTS),
    "dynamic_update": (INTS,),
    "encode": (TEXT,),
    "eye": (INT, INT, INT, DTYPE),
    "fft": (INTS, BOOL, TEXT),
    "flip": (INTS,),
    "gather": (INTS, INT, BOOL),
    "grouped_product": (INT,),
    "hadamard": (BOOL,),
    "integer_power": (INT,),
    "irfft": (INTS, INT, TEXT),
    "logcumsumexp": (INT, BOOL),
    "logsumexp": (INTS, BOOL),
    "logsumexp_weights": (INTS,),
    "max": (INTS, BOOL),
    "metal_kernel": (
        *(TEXT, TEXTS, TEXTS, TEXT, TEXT, BOOL, BOOL, TEXT),
        *(INTS, INTS, TEMPLATES, TEXT, SHAPES, DTYPES_OF),
    ),
    "min": (INTS, BOOL),
    "pad": (INTS, INTS, INTS),
    "prod": (INTS, BOOL),
    "project": (INT,),
    "quantize_to_floats": (INT, INT, TEXT, TEXT),
    "quantize_to_integers": (INT, INT),
    "quantized_matmul": (TEXT, INT, INT, BOOL),
    "put": (INT,),
    "random_bits": (INTS, DTYPE),
    "random_normal": (INTS, DTYPE),
    "random_uniform": (INTS, DTYPE),
    "recurrence": (INT, BOOL),
    "reshape": (INTS,),
    "rfft": (INTS, TEXT),
    "roll": (INTS, INTS),
    "scan": (BODY, INT, INT, INT, BOOL),
    "scatter": (INTS, INT, BOOL),
    "scatter_add": (INTS, INT, BOOL),
    "scatter_maximum": (INTS, INT, BOOL),
    "scatter_minimum": (INTS, INT, BOOL),
    "scatter_multiply": (INTS, INT, BOOL),
    "searchsorted": (BOOL,),
    "slice": (INTS, INTS, INTS),
    "slice_update": (INTS, INTS, INTS),
    "softmax": (INTS,),
    "solve_triangular": (BOOL,),
    "sort": (INT,),
    "state_recurrence": (BOOL,),
    "sum": (INTS, BOOL),
    "transpose": (INTS,),
    "tri": (INT, INT, INT),
    "unpack": (INT,),
    "view": (DTYPE,),
}


def check_parameters(primitive: str, params: tuple[Any, ...]) -> None:
    """ValueError unless the parameters are as many and of such kinds as the primitive has."""
    kinds = PARAMETERS.get(primitive, ())
    if len(params) != len(kinds) or not all(kind.accepts(value) for kind, value in zip(kinds, params, strict=True)):
        raise ValueError(f"the primitive {primitive} has the parameters {kinds}, not {params!r}")


def encoded(value: Any) -> Any:
    """A parameter as a value of JSON."""
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is Size:
        return {"size": value.number}
    if kind is int:
        return value if abs(value) <= EXACT else {"int": str(value)}
    if kind is float:
        return {"float": value.hex()}
    if kind is complex:
        return {"complex": [value.real.hex(), value.imag.hex()]}
    if kind is Dtype:
        return {"dtype": value.name}
    if kind is tuple:
        return [encoded(part) for part in value]
    if RECORDS.get(kind.__name__) is kind:
        return {kind.__name__: [encoded(part) for part in value]}
    raise TypeError(f"parameters of type {kind.__name__} cannot be exported")


def decoded(value: Any, sizes: Callable[[int], Size] | None) -> Any:
    """The parameter that a value of JSON stands for; `sizes` gives a shapeless program's size by its number.

    Raises:
        Exception: it stands for none. Whoever reads a file catches whatever its contents lead to.
    """
    kind = type(value)
    if value is None or kind is bool or kind is str or kind is int:
        return value
    if kind is list:
        return tuple([decoded(part, sizes) for part in value])
    if kind is not dict or len(value) != 1:
        raise ValueError(f"{value!r} is no parameter")
    ((tag, content),) = value.items()
    if tag == "size" and sizes is not None and type(content) is int:
        return sizes(content)
    if tag == "int" and type(content) is str:
        return int(content)
    if tag == "float" and type(content) is str:
        return float.fromhex(content)
    if tag == "complex":
        real, imaginary = content
        return complex(float.fromhex(real), float.fromhex(imaginary))
    if tag == "dtype":
        return DTYPES[content]
    if tag in RECORDS:
        return RECORDS[tag](*[decoded(part, sizes) for part in content])
    raise ValueError(f"{value!r} is no parameter")

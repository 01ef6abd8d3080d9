"""The names that MLX gives to primitives, for what programs written for it read: drawn graphs and export callbacks.

Where MLX's name is not ours in camel case, it is in a table. Drawn graphs tell the members of a family apart; callbacks
get the family's name and a number among its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

LABELS = {
    "all": "And",
    "any": "Or",
    "arccos": "ArcCos",
    "arccosh": "ArcCosh",
    "arcsin": "ArcSin",
    "arcsinh": "ArcSinh",
    "arctan": "ArcTan",
    "arctan2": "ArcTan2",
    "arctanh": "ArcTanh",
    "argmax": "ArgReduce",
    "argmin": "ArgReduce",
    "argsort": "ArgSort",
    "argtopk": "ArgPartition",
    "barrier": "Depends",
    "cast": "AsType",
    "checkpoint": "CustomTransforms",
    "cummax": "CumMax",
    "cummin": "CumMin",
    "cumprod": "CumProd",
    "cumsum": "CumSum",
    "custom": "CustomTransforms",
    "dot": "Matmul",
    "dynamic_update": "DynamicSliceUpdate",
    "erfinv": "ErfInv",
    "integer_power": "Power",
    "logaddexp": "LogAddExp",
    "logcumsumexp": "CumLogAddExp",
    "logsumexp": "LogSumExp",
    "qr": "QRF",
    "scan": "Loop",
    "searchsorted": "SearchSorted",
    "tracer": "Copy",
    "weigh": "Multiply",
}

Arguments = Callable[..., list[Any]]


def _reduction(kind: int) -> tuple[str, Arguments]:
    return "Reduce", lambda axes, keepdims: [kind, list(axes)]


def _arg_reduction(kind: int) -> tuple[str, Arguments]:
    return "ArgReduce", lambda axis: [kind, axis]


def _scan(kind: int) -> tuple[str, Arguments]:
    return "Scan", lambda axis, reverse: [kind, axis, reverse, True]


def _constant(name: str, *arguments: Any) -> tuple[str, Arguments]:
    return name, lambda *params: list(arguments)


def _ends(starts: Sequence[int], sizes: Sequence[int], strides: Sequence[int]) -> tuple[int, ...]:
    """Where slices end that have these sizes."""
    return tuple(
        start + ((size - 1) * stride + 1 if size else 0)
        for start, size, stride in zip(starts, sizes, strides, strict=True)
    )


# Our name -> the name in a callback and its arguments, made of our parameters.
EVENTS: dict[str, tuple[str, Arguments]] = {
    "log": _constant("Log", 2),
    "log10": _constant("Log", 1),
    "log2": _constant("Log", 0),
    "sqrt": _constant("Sqrt", False),
    "rsqrt": _constant("Sqrt", True),
    "equal": _constant("Equal", False),
    "bitwise_and": _constant("BitwiseBinary", 0),
    "bitwise_or": _constant("BitwiseBinary", 1),
    "bitwise_xor": _constant("BitwiseBinary", 2),
    "left_shift": _constant("BitwiseBinary", 3),
    "right_shift": _constant("BitwiseBinary", 4),
    "all": _reduction(0),
    "any": _reduction(1),
    "sum": _reduction(2),
    "prod": _reduction(3),
    "min": _reduction(4),
    "max": _reduction(5),
    "argmin": _arg_reduction(0),
    "argmax": _arg_reduction(1),
    "cummax": _scan(0),
    "cummin": _scan(1),
    "cumsum": _scan(2),
    "cumprod": _scan(3),
    "dot": _constant("Matmul"),
    "logsumexp": _constant("LogSumExp"),
    "scan": ("Loop", lambda body, carried, scanned, length, reverse: [length, reverse]),
    "slice": ("Slice", lambda starts, sizes, strides: [starts, _ends(starts, sizes, strides), strides]),
    "slice_update": ("SliceUpdate", lambda starts, sizes, strides: [4, starts, _ends(starts, sizes, strides), strides]),
    "dynamic_update": ("DynamicSliceUpdate", lambda axes: [list(axes)]),
    "softmax": _constant("Softmax", False),
    "transpose": ("Transpose", lambda axes: [list(axes)]),
    "arange": ("Arange", lambda size: [0.0, float(size), 1.0]),
    "convolution": (
        "Convolution",
        lambda window: [
            list(window.stride),
            list(window.low),
            list(window.high),
            list(window.kernel_dilation),
            list(window.input_dilation),
            window.groups,
            window.flip,
        ],
    ),
}


def label(primitive: str) -> str:
    """The name of a primitive in a drawn graph.

    Example:
        >>> from mlx.ir.names import label
        >>> label("logical_or"), label("cast")
        ('LogicalOr', 'AsType')
    """
    return LABELS.get(primitive) or "".join(word.capitalize() for word in primitive.split("_"))


def event(primitive: str, params: Sequence[Any]) -> tuple[str, list[Any]]:
    """The name of a primitive in an export callback, and its arguments.

    Example:
        >>> from mlx.ir.names import event
        >>> event("sum", ((0, 1), True))
        ('Reduce', [2, [0, 1]])
    """
    if primitive not in EVENTS:
        return label(primitive), list(params)
    name, arguments = EVENTS[primitive]
    return name, arguments(*params)

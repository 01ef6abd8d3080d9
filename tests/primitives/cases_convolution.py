"""Cases of convolution: forward, and the two primitives that its derivatives consist of."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from case import FLOATS, Case, sample

from mlx.arrays.array import wrap
from mlx.primitives.convolution import CONVOLUTION, CONVOLUTION_INPUT, CONVOLUTION_WEIGHT, Window


def window(rank: int, **changes: Any) -> Window:
    plain = Window((1,) * rank, (0,) * rank, (0,) * rank, (1,) * rank, (1,) * rank, 1, False)
    return plain._replace(**changes)


def form(x: np.ndarray, w: np.ndarray, y: np.ndarray, frame: Window) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The derivatives of the trilinear form with respect to x, w and y, term by term."""
    gradients = np.zeros(x.shape), np.zeros(w.shape), np.zeros(y.shape)
    outputs = w.shape[0] // frame.groups
    inputs = w.shape[-1]
    for place in np.ndindex(*y.shape[1:-1]):
        for element in np.ndindex(*w.shape[1:-1]):
            source = []
            for axis, (position, k) in enumerate(zip(place, element, strict=True)):
                k = w.shape[1 + axis] - 1 - k if frame.flip else k
                spot = position * frame.stride[axis] + k * frame.kernel_dilation[axis] - frame.low[axis]
                index, rest = divmod(spot, frame.input_dilation[axis])
                source.append(index if rest == 0 and 0 <= index < x.shape[1 + axis] else None)
            if None in source:
                continue
            for group in range(frame.groups):
                o = slice(group * outputs, (group + 1) * outputs)
                c = slice(group * inputs, (group + 1) * inputs)
                seen, kernel, out = (slice(None), *source, c), (o, *element), (slice(None), *place, o)
                gradients[0][seen] += y[out] @ w[kernel]
                gradients[1][kernel] += y[out].T @ x[seen]
                gradients[2][out] += x[seen] @ w[kernel].T
    return gradients


def three_cases(label: str, x: tuple[int, ...], w: tuple[int, ...], frame: Window) -> list[Case]:
    """The form's three derivatives for an input of shape `x` and a weight of shape `w`."""
    y = (x[0], *frame.positions(x[1:-1], w[1:-1]), w[0])
    a, b, c = sample(*x), sample(*w, seed=1), sample(*y, seed=2)
    spatial, kernel = x[1:-1], w[1:-1]
    none = {"x": np.zeros(x), "w": np.zeros(w), "y": np.zeros(y)}

    def case(primitive: str, function: Any, inputs: tuple[Any, Any], reference: Any) -> Case:
        return Case(primitive, function, inputs, (0, 1), FLOATS, reference=reference, label=label)

    return [
        case(
            "convolution",
            lambda x, w: wrap(CONVOLUTION(x._node, w._node, frame)),
            (a, b),
            lambda x, w: form(x, w, none["y"], frame)[2],
        ),
        case(
            "convolution_input",
            lambda y, w: wrap(CONVOLUTION_INPUT(y._node, w._node, frame, spatial)),
            (c, b),
            lambda y, w: form(none["x"], w, y, frame)[0],
        ),
        case(
            "convolution_weight",
            lambda x, y: wrap(CONVOLUTION_WEIGHT(x._node, y._node, frame, kernel)),
            (a, c),
            lambda x, y: form(x, none["w"], y, frame)[1],
        ),
    ]


SHAPES: list[tuple[str, tuple[int, ...], tuple[int, ...], Window]] = [
    ("1d", (2, 5, 2), (3, 2, 2), window(1)),
    ("2d-padded", (1, 4, 3, 2), (2, 3, 2, 2), window(2, stride=(2, 1), low=(1, 0), high=(2, 1))),
    ("3d", (1, 3, 2, 3, 1), (2, 2, 1, 2, 1), window(3, stride=(1, 1, 2), low=(1, 0, 0))),
    ("cropped", (1, 7, 1), (2, 2, 1), window(1, low=(-1,), high=(-2,), stride=(2,))),
    ("dilated", (1, 6, 5, 1), (1, 2, 2, 1), window(2, kernel_dilation=(2, 3), input_dilation=(1, 2), low=(0, 1))),
    ("cropped-dilated", (2, 5, 1), (1, 2, 1), window(1, input_dilation=(3,), low=(-2,), high=(-4,), flip=True)),
    ("unused-rest", (1, 6, 1), (1, 2, 1), window(1, stride=(3,))),
    ("grouped", (2, 4, 4), (6, 2, 2), window(1, groups=2, low=(1,))),
    ("grouped-flipped", (1, 3, 4, 4), (4, 2, 2, 2), window(2, groups=2, stride=(1, 2), high=(1, 1), flip=True)),
    ("depthwise", (2, 4, 3), (3, 2, 1), window(1, groups=3, stride=(2,), low=(1,), high=(1,))),
    ("depthwise-multiple", (1, 4, 3, 2), (4, 2, 2, 1), window(2, groups=2, input_dilation=(2, 1))),
    ("no-batch", (0, 4, 2), (3, 2, 2), window(1)),
    ("no-channels", (2, 4, 0), (3, 2, 0), window(1)),
    ("no-outputs", (2, 4, 2), (0, 2, 2), window(1)),
]

CASES = list(itertools.chain.from_iterable(three_cases(*shape) for shape in SHAPES))

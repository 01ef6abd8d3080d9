"""Cases of the Fourier transforms: over every choice of axes, with every norm, to odd and even lengths.

They compute in single precision. Derivatives are those of products of two parts of the transforms.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from case import ALL, Case, sample
from cases_linalg import empty
from cases_shape import flat, flat_numpy

import mlx.core as mx

NORMS = ("backward", "ortho", "forward")
SMOOTH = 2e-5


def products(*transforms: Any) -> Any:
    """Functions of the second degree of both parts."""
    return flat(*(mx.real(y) * (mx.real(y) + 0.5 * mx.imag(y)) for y in transforms))


def products_numpy(*transforms: Any) -> Any:
    return flat_numpy(*(y.real * (y.real + 0.5 * y.imag) for y in transforms))


def parts(*transforms: Any) -> Any:
    return flat(*(part for y in transforms for part in (mx.real(y), mx.imag(y))))


def parts_numpy(*transforms: Any) -> Any:
    return flat_numpy(*(part for y in transforms for part in (y.real, y.imag)))


def complex_of(x: Any) -> Any:
    """Complex numbers from real ones."""
    return x + 1j * x[..., ::-1]


def of_complex(fft: Any, z: Any) -> list[Any]:
    """Transforms both ways with each norm, along one axis and along several, of an array of three axes."""
    return [
        *(transform(z, norm=norm) for norm in NORMS for transform in (fft.fft, fft.ifft)),
        *(transform(z, axes=(2, 0), norm=norm) for norm in NORMS for transform in (fft.fftn, fft.ifftn)),
        fft.fft2(z),
        fft.ifftn(z, axes=(0, 1, 2)),
        fft.fft(z, axis=1),
    ]


def of_real(fft: Any, x: Any) -> list[Any]:
    return [
        *(fft.rfft(x, norm=norm) for norm in NORMS),
        *(fft.rfftn(x, axes=(2, 0), norm=norm) for norm in NORMS),
        fft.rfft(x, axis=0),
        fft.rfft2(x),
        fft.rfftn(x, axes=(2, 1, 0)),
    ]


def to_real(fft: Any, z: Any) -> list[Any]:
    """To even numbers of elements, which are the usual ones, and to odd ones."""
    return [
        *(fft.irfft(z, norm=norm) for norm in NORMS),
        *(fft.irfftn(z, axes=(2, 0), norm=norm) for norm in NORMS),
        fft.irfft2(z),
        fft.irfft(z, axis=1),
        fft.irfft(z, 23),
        fft.irfftn(z, (9, 23), axes=(1, 2), norm="ortho"),
    ]


def to_real_squared(x: Any) -> Any:
    return flat(*(y * y for y in to_real(mx.fft, complex_of(x))))


def cut(fft: Any, x: Any) -> list[Any]:
    """Lengths less than those of the axes and more."""
    return [
        fft.fft(x, 2, norm="ortho"),
        fft.ifft(x, 11, axis=0),
        fft.fft2(x, (11, 2)),
        fft.rfft(x, 1),
        fft.rfft(x, 12, axis=0, norm="forward"),
        fft.rfft2(x, (2, 11)),
    ]


def cut_back(fft: Any, z: Any) -> list[Any]:
    return [fft.irfft(z, 1), fft.irfft(z, 2), fft.irfft(z, 3, axis=0), fft.irfft(z, 24), fft.irfft2(z, (2, 23))]


def of_all_shapes(x: Any) -> Any:
    """No transforms, one, those of views, and over more axes than one call of a library takes."""
    z = x + 0 if x.dtype == mx.complex64 else x.astype(mx.float32)
    deep = mx.reshape(z, (2, 1, 3, 2, 2))
    transposed = mx.transpose(z, (2, 0, 1))[::-1, :, ::2]
    return parts(
        mx.fft.fft(empty(x, 0, 3)),
        mx.fft.rfft(empty(x, 3, 0, 2)),
        mx.fft.irfft(empty(x, 0, 3)),
        *(mx.fft.fftn(deep), mx.fft.ifftn(deep), mx.fft.rfftn(deep), mx.fft.irfftn(deep, (2, 1, 3, 2, 3), range(5))),
        *(mx.fft.fft(transposed, axis=0), mx.fft.rfft(transposed), mx.fft.irfftn(transposed)),
        *(mx.fft.fft(mx.broadcast_to(z[0, 0], (3, 4))), mx.fft.fft(z[:, :, :1]), mx.fft.rfft(z[:, :, :1])),
    )


def of_all_shapes_numpy(x: Any) -> Any:
    real = x.real
    deep, transposed = np.reshape(x, (2, 1, 3, 2, 2)), np.transpose(x, (2, 0, 1))[::-1, :, ::2]
    return parts_numpy(
        np.fft.fftn(deep),
        np.fft.ifftn(deep),
        np.fft.rfftn(deep.real),
        np.fft.irfftn(deep, (2, 1, 3, 2, 3), range(5)),
        np.fft.fft(transposed, axis=0),
        np.fft.rfft(transposed.real),
        np.fft.irfftn(transposed),
        np.fft.fft(np.broadcast_to(x[0, 0], (3, 4))),
        x[:, :, :1],
        real[:, :, :1],
    )


CASES = [
    Case(
        "fft", lambda x: products(*of_complex(mx.fft, complex_of(x))), [sample(2, 3, 5)], label="complex", coarse=True
    ),
    Case("fft", lambda x: products(*of_complex(mx.fft, x)), [sample(3, 2, 4)], label="real", coarse=True),
    Case("rfft", lambda x: products(*of_real(mx.fft, x)), [sample(2, 3, 5)], label="odd", coarse=True),
    Case("rfft", lambda x: products(*of_real(mx.fft, x)), [sample(3, 2, 4)], label="even", coarse=True),
    Case("irfft", to_real_squared, [sample(2, 3, 5)], label="odd", coarse=True),
    Case("irfft", to_real_squared, [sample(3, 2, 4)], label="even", coarse=True),
    Case("rfft", lambda x: products(*cut(mx.fft, x)), [sample(5, 4)], label="cut", coarse=True),
    Case(
        "irfft",
        lambda x: flat(*(y * y for y in cut_back(mx.fft, complex_of(x)))),
        [sample(5, 4)],
        label="cut",
        coarse=True,
    ),
    *(
        Case(
            "fft",
            lambda x: parts(*of_complex(mx.fft, x)),
            [sample(*shape, low=0, high=5)],
            wrt=(),
            dtypes=ALL,
            smooth=SMOOTH,
            reference=lambda x: parts_numpy(*of_complex(np.fft, x)),
            label=label,
        )
        for label, shape in (("values-odd", (3, 4, 7)), ("values-even", (2, 4, 8)))
    ),
    *(
        Case(
            "rfft",
            lambda x: parts(*of_real(mx.fft, x)),
            [sample(*shape, low=0, high=5)],
            wrt=(),
            dtypes=ALL,
            smooth=SMOOTH,
            reference=lambda x: parts_numpy(*of_real(np.fft, x.real)),
            label=label,
        )
        for label, shape in (("values-odd", (3, 4, 7)), ("values-even", (2, 4, 8)))
    ),
    Case(
        "irfft",
        lambda x: flat(*to_real(mx.fft, x)),
        [sample(3, 4, 5, low=0, high=5)],
        wrt=(),
        dtypes=ALL,
        smooth=SMOOTH,
        reference=lambda x: flat_numpy(*to_real(np.fft, x)),
        label="values",
    ),
    Case(
        "irfft",
        lambda x: flat(*to_real(mx.fft, complex_of(x)), *cut_back(mx.fft, complex_of(x))),
        [sample(3, 4, 5, low=0, high=5)],
        wrt=(),
        smooth=SMOOTH,
        reference=lambda x: flat_numpy(*to_real(np.fft, complex_of(x)), *cut_back(np.fft, complex_of(x))),
        label="not-hermitian",
    ),
    Case(
        "fft",
        of_all_shapes,
        [sample(2, 3, 4, low=0, high=5)],
        wrt=(),
        dtypes=("float32", "complex64", "bfloat16"),
        smooth=SMOOTH,
        reference=of_all_shapes_numpy,
        label="shapes",
    ),
]

"""What a file says of an array before its values are read, and the checks of it that all formats share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from mlx.arrays.conversion import LONGEST_AXIS
from mlx.ir.dtypes import Dtype
from mlx.ir.node import Shape

Array = np.ndarray[Any, Any]

MOST_AXES = 64  # of NumPy
MOST_BYTES = 2**62


class Stored(NamedTuple):
    """An array in a file: its bytes, and how values are made of them where they are not the values as they stand.

    `decode` gets the bytes as an array of uint8 and returns an array of `shape` and `dtype` in memory of its own.
    """

    place: int
    nbytes: int
    shape: Shape
    dtype: Dtype
    decode: Callable[[Array], Array] | None = None


def checked_shape(shape: Sequence[Any], itemsize: int) -> tuple[Shape, int]:
    """The shape that a file gives an array, and the bytes which that takes.

    Raises:
        RuntimeError: no array can have it.
    """
    if len(shape) > MOST_AXES:
        raise RuntimeError(f"an array has {len(shape)} axes, and at most {MOST_AXES} are possible")
    nbytes = itemsize
    for extent in shape:
        if type(extent) is not int or not 0 <= extent <= LONGEST_AXIS:
            raise RuntimeError(f"{str(extent)[:40]} is no extent that an axis can have")
        nbytes *= extent or 1
    if nbytes > MOST_BYTES:
        raise RuntimeError(f"no memory holds an array of shape {tuple(shape)}")
    return tuple(shape), 0 if 0 in shape else nbytes


def check_apart(arrays: dict[str, Stored], size: int) -> None:
    """Check that the bytes of arrays lie in a file of `size` bytes, and not on top of each other.

    Raises:
        RuntimeError: they do not.
    """
    end, before = 0, ""
    for name, stored in sorted(arrays.items(), key=lambda item: (item[1].place, item[1].nbytes)):
        if stored.place + stored.nbytes > size:
            raise RuntimeError(
                f"cut short: tensor {name!r} ends at byte {stored.place + stored.nbytes}, and the file at {size}"
            )
        if stored.nbytes and stored.place < end:
            raise RuntimeError(f"tensors {before!r} and {name!r} overlap")
        end, before = max(end, stored.place + stored.nbytes), name

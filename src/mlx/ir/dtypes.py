"""The element types, their categories and promotion. What an array holds, not how it is computed."""

from __future__ import annotations

import enum
from typing import Any

import ml_dtypes
import numpy as np

__all__ = [
    "Dtype",
    "DtypeCategory",
    "bool_",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "issubdtype",
    "finfo",
    "iinfo",
]


class DtypeCategory(enum.Enum):
    """The groups of dtypes that `issubdtype` tells apart, from `generic` (all) downwards."""

    complexfloating = 0
    floating = 1
    inexact = 2
    signedinteger = 3
    unsignedinteger = 4
    integer = 5
    number = 6
    generic = 7

    def __repr__(self) -> str:
        return f"DtypeCategory.{self.name}"


_PARENT = {
    DtypeCategory.complexfloating: DtypeCategory.inexact,
    DtypeCategory.floating: DtypeCategory.inexact,
    DtypeCategory.inexact: DtypeCategory.number,
    DtypeCategory.signedinteger: DtypeCategory.integer,
    DtypeCategory.unsignedinteger: DtypeCategory.integer,
    DtypeCategory.integer: DtypeCategory.number,
    DtypeCategory.number: DtypeCategory.generic,
    DtypeCategory.generic: None,
}


class Dtype:
    """An element type. There is one object of each, so that `is` compares them."""

    __slots__ = (
        "category",
        "is_complex",
        "is_floating",
        "is_half",
        "is_inexact",
        "is_integer",
        "name",
        "numpy",
        "scalar_limits",
        "size",
    )

    name: str
    numpy: np.dtype[Any]
    size: int
    category: DtypeCategory
    is_complex: bool
    is_floating: bool
    is_inexact: bool
    is_integer: bool
    is_half: bool
    scalar_limits: tuple[int, int] | None

    def __init__(self, name: str, numpy_dtype: Any, category: DtypeCategory) -> None:
        numpy = np.dtype(numpy_dtype)
        is_complex = category is DtypeCategory.complexfloating
        is_floating = category is DtypeCategory.floating
        is_integer = category in (DtypeCategory.signedinteger, DtypeCategory.unsignedinteger)
        facts = {
            "name": name,
            "numpy": numpy,
            "size": numpy.itemsize,
            "category": category,
            "is_complex": is_complex,
            "is_floating": is_floating,
            "is_inexact": is_complex or is_floating,
            "is_integer": is_integer,
            "is_half": is_floating and numpy.itemsize == 2,
            "scalar_limits": (int(np.iinfo(numpy).min), int(np.iinfo(numpy).max)) if is_integer else None,
        }
        for fact, value in facts.items():
            object.__setattr__(self, fact, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"[Dtype] {self!r} is the one object of its kind, and cannot be changed.")

    def __repr__(self) -> str:
        return f"mlx.core.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return dtype_named, (self.name,)

    def __copy__(self) -> Dtype:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Dtype:
        return self


bool_ = Dtype("bool", np.bool_, DtypeCategory.generic)
uint8 = Dtype("uint8", np.uint8, DtypeCategory.unsignedinteger)
uint16 = Dtype("uint16", np.uint16, DtypeCategory.unsignedinteger)
uint32 = Dtype("uint32", np.uint32, DtypeCategory.unsignedinteger)
uint64 = Dtype("uint64", np.uint64, DtypeCategory.unsignedinteger)
int8 = Dtype("int8", np.int8, DtypeCategory.signedinteger)
int16 = Dtype("int16", np.int16, DtypeCategory.signedinteger)
int32 = Dtype("int32", np.int32, DtypeCategory.signedinteger)
int64 = Dtype("int64", np.int64, DtypeCategory.signedinteger)
float16 = Dtype("float16", np.float16, DtypeCategory.floating)
bfloat16 = Dtype("bfloat16", ml_dtypes.bfloat16, DtypeCategory.floating)
float32 = Dtype("float32", np.float32, DtypeCategory.floating)
float64 = Dtype("float64", np.float64, DtypeCategory.floating)
complex64 = Dtype("complex64", np.complex64, DtypeCategory.complexfloating)

ALL_DTYPES = (
    bool_,
    uint8,
    uint16,
    uint32,
    uint64,
    int8,
    int16,
    int32,
    int64,
    float16,
    bfloat16,
    float32,
    float64,
    complex64,
)

_BY_NAME = {dtype.name: dtype for dtype in ALL_DTYPES}
_BY_NUMPY = {dtype.numpy: dtype for dtype in ALL_DTYPES}


def dtype_named(name: str) -> Dtype:
    """The dtype of that name; KeyError for a name that is none."""
    return _BY_NAME[name]


def dtype_of_numpy(numpy_dtype: np.dtype[Any]) -> Dtype | None:
    """The dtype that holds what `numpy_dtype` holds, or None where there is none (strings, objects, complex128)."""
    return _BY_NUMPY.get(numpy_dtype.newbyteorder("=") if numpy_dtype.byteorder == ">" else numpy_dtype)


def _promote(a: Dtype, b: Dtype) -> Dtype:
    if a is b or b is bool_:
        return a
    if a is bool_:
        return b
    if a.is_complex or b.is_complex:
        return complex64
    if a.is_floating and b.is_floating:
        if a.size == b.size:  # float16 with bfloat16: neither holds the other
            return float32
        return a if a.size > b.size else b
    if a.is_floating or b.is_floating:
        return a if a.is_floating else b
    if a.category is b.category:
        return a if a.size > b.size else b
    signed, unsigned = (a, b) if a.category is DtypeCategory.signedinteger else (b, a)
    if unsigned.size < signed.size:
        return signed
    return {1: int16, 2: int32, 4: int64, 8: float32}[unsigned.size]


_PROMOTED = {(a, b): _promote(a, b) for a in ALL_DTYPES for b in ALL_DTYPES}


def promote_types(a: Dtype, b: Dtype) -> Dtype:
    """The dtype of an operation between arrays of dtypes `a` and `b`."""
    return _PROMOTED[a, b]


def dtype_with_scalar(dtype: Dtype, scalar: Any) -> Dtype:
    """The dtype of an operation between an array of `dtype` and a Python number.

    Python numbers are weak: they take the array's dtype where its category can hold them.
    """
    kind = type(scalar)
    if kind is float:
        return dtype if dtype.is_inexact else float32
    if kind is bool:
        return dtype
    if kind is int:
        return int32 if dtype is bool_ else dtype
    if kind is complex:
        return complex64
    for base, representative in ((bool, True), (int, 1), (float, 1.0), (complex, 1j)):
        if isinstance(scalar, base):  # a subclass of Python's numbers, numpy.float64 among them
            return dtype_with_scalar(dtype, representative)
    raise TypeError(f"not a Python number: {scalar!r}")


def default_dtype_of(scalar: complex) -> Dtype:
    """The dtype of `mx.array(scalar)` for a Python number."""
    if isinstance(scalar, bool):
        return bool_
    if isinstance(scalar, int):
        return int32 if -(2**31) <= scalar < 2**31 else int64
    return float32 if isinstance(scalar, float) else complex64


def issubdtype(arg1: Dtype | DtypeCategory, arg2: Dtype | DtypeCategory) -> bool:
    """Whether `arg1` is `arg2` or lies below it in the tree of dtypes and categories.

    Args:
        arg1: a dtype or a category of dtypes.
        arg2: likewise.

    Raises:
        ValueError: an argument is neither.
        TypeError: an argument is None.

    Example:
        >>> import mlx.core as mx
        >>> mx.issubdtype(mx.float32, mx.floating), mx.issubdtype(mx.int8, mx.inexact)
        (True, False)
    """
    for argument in (arg1, arg2):
        if not isinstance(argument, Dtype | DtypeCategory):
            raise (TypeError if argument is None else ValueError)(
                f"[issubdtype] Expected a dtype such as mx.float32 or a category such as mx.floating, got {argument!r}."
            )
    if isinstance(arg2, Dtype):
        return arg1 is arg2
    category = arg1.category if isinstance(arg1, Dtype) else arg1
    while category is not None:
        if category is arg2:
            return True
        category = _PARENT[category]
    return False


class finfo:
    """Limits of a floating dtype: `dtype`, `bits`, `min`, `max`, `eps`, `smallest_normal`.

    `eps` is the distance from 1 to the next larger number. The limits of a complex dtype are those of its parts.

    Args:
        dtype: a floating or complex dtype.

    Raises:
        ValueError: `dtype` is neither floating nor complex.
        TypeError: `dtype` is no Dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.finfo(mx.float16)
        finfo(min=-65504, max=65504, dtype=float16)
        >>> mx.finfo(mx.complex64).dtype
        mlx.core.float32
    """

    __slots__ = ("bits", "dtype", "eps", "max", "min", "smallest_normal")

    def __init__(self, dtype: Dtype) -> None:
        _check_dtype(dtype, "finfo")
        if not dtype.is_inexact:
            raise ValueError(f"[finfo] dtype must be floating or complex, got {dtype}; mx.iinfo takes integer dtypes.")
        self.dtype = float32 if dtype.is_complex else dtype
        info = ml_dtypes.finfo(self.dtype.numpy)
        self.bits = int(info.bits)
        self.min = float(info.min)
        self.max = float(info.max)
        self.eps = float(info.eps)
        self.smallest_normal = float(info.smallest_normal)

    def __repr__(self) -> str:
        return f"finfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype.name})"


class iinfo:
    """Limits of an integer dtype: `dtype`, `bits`, `min`, `max`.

    Args:
        dtype: an integer dtype.

    Raises:
        ValueError: `dtype` is no integer dtype.
        TypeError: `dtype` is no Dtype.

    Example:
        >>> import mlx.core as mx
        >>> mx.iinfo(mx.int8)
        iinfo(min=-128, max=127, dtype=int8)
    """

    __slots__ = ("bits", "dtype", "max", "min")

    def __init__(self, dtype: Dtype) -> None:
        _check_dtype(dtype, "iinfo")
        if dtype.scalar_limits is None:
            raise ValueError(f"[iinfo] dtype must be an integer dtype, got {dtype}; mx.finfo takes floating dtypes.")
        self.dtype = dtype
        self.bits = 8 * dtype.size
        self.min, self.max = dtype.scalar_limits

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype.name})"


def _check_dtype(dtype: Any, function: str) -> None:
    if not isinstance(dtype, Dtype):
        raise TypeError(f"[{function}] Expected a dtype such as mx.float32, got {dtype!r}.")

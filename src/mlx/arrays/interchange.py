"""Arrays from other libraries, and questions about dtypes that take arrays as well."""

from __future__ import annotations

from typing import Any

from mlx.arrays.array import array, wrap
from mlx.arrays.conversion import foreign_to_numpy, node_from_numpy
from mlx.ir.dtypes import Dtype, DtypeCategory, bool_, issubdtype, promote_types

_KINDS = {
    "bool": lambda dtype: dtype is bool_,
    "signed integer": lambda dtype: issubdtype(dtype, DtypeCategory.signedinteger),
    "unsigned integer": lambda dtype: issubdtype(dtype, DtypeCategory.unsignedinteger),
    "integral": lambda dtype: issubdtype(dtype, DtypeCategory.integer),
    "real floating": lambda dtype: issubdtype(dtype, DtypeCategory.floating),
    "complex floating": lambda dtype: issubdtype(dtype, DtypeCategory.complexfloating),
    "numeric": lambda dtype: issubdtype(dtype, DtypeCategory.number),
}


def asarray(a: Any, dtype: Dtype | None = None, *, copy: bool | None = None) -> array:
    """An array of `a`, which is returned as it is where it already is one of the wanted dtype.

    Args:
        a: anything that `mx.array` takes.
        dtype: the element type; by default that of `a`.
        copy: True copies always, None where needed, False never.

    Raises:
        ValueError: `copy=False` and a copy is needed.

    Example:
        >>> import mlx.core as mx
        >>> mx.asarray([1, 2], mx.float16)
        array([1, 2], dtype=float16)
    """
    if isinstance(a, array) and (dtype is None or a.dtype is dtype):
        return wrap(a._node)  # values never change, so a copy and the original cannot be told apart
    if copy is False:
        raise ValueError("[asarray] Unable to avoid copy while creating an array as requested; pass copy=None.")
    return array(a, dtype)


def from_dlpack(x: Any, /, *, copy: bool | None = None) -> array:
    """An array of the values of another library's array that speaks DLPack.

    Args:
        x: an object with `__dlpack__` and `__dlpack_device__`.
        copy: False refuses to copy, which is always needed here.

    Raises:
        ValueError: `copy=False`.
        TypeError: `x` does not speak DLPack.
    """
    if copy is False:
        raise ValueError("[from_dlpack] Cannot import an array without a copy; pass copy=None.")
    if not hasattr(x, "__dlpack__"):
        raise TypeError(f"[from_dlpack] expected an object with __dlpack__, got {type(x).__name__}")
    return wrap(node_from_numpy(foreign_to_numpy(x), None))


def result_type(*arrays_and_dtypes: array | Dtype) -> Dtype:
    """The dtype of an operation between these arrays and dtypes.

    Example:
        >>> import mlx.core as mx
        >>> mx.result_type(mx.array(1), mx.float16)
        mlx.core.float16
    """
    if not arrays_and_dtypes:
        raise ValueError("[result_type] At least one array or dtype is required.")
    common, *rest = [_dtype_of(x, "result_type") for x in arrays_and_dtypes]
    for dtype in rest:
        common = promote_types(common, dtype)
    return common


def can_cast(from_: array | Dtype, to: Dtype) -> bool:
    """Whether an operation between `from_` and `to` has the dtype `to`.

    Example:
        >>> import mlx.core as mx
        >>> mx.can_cast(mx.int32, mx.float16), mx.can_cast(mx.uint8, mx.int8)
        (True, False)
    """
    return promote_types(_dtype_of(from_, "can_cast"), to) is to


def isdtype(dtype: Dtype, kind: Dtype | str | tuple[Dtype | str, ...]) -> bool:
    """Whether a dtype is of a kind, as the array API standard names kinds.

    Args:
        kind: a dtype, "bool", "signed integer", "unsigned integer", "integral", "real floating", "complex floating",
            "numeric", or a tuple of these.

    Raises:
        ValueError: an unknown kind.

    Example:
        >>> import mlx.core as mx
        >>> mx.isdtype(mx.int8, ("integral", "bool"))
        True
    """
    if isinstance(kind, tuple):
        return any([isdtype(dtype, one) for one in kind])
    if isinstance(kind, Dtype):
        return dtype is kind
    if kind not in _KINDS:
        raise ValueError(f"[isdtype] Unknown data type kind: {kind!r}. Known are {', '.join(_KINDS)}.")
    return _KINDS[kind](dtype)


def _dtype_of(x: array | Dtype, function: str) -> Dtype:
    if isinstance(x, Dtype):
        return x
    if isinstance(x, array):
        return x.dtype
    raise TypeError(f"[{function}] expected arrays and dtypes, got {type(x).__name__}")

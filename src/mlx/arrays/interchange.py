"""Arrays from other libraries, and questions about dtypes that take arrays as well."""

from __future__ import annotations

from typing import Any, Protocol

from mlx.arrays import conversion
from mlx.arrays.array import array, wrap
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

__all__ = [
    "ArrayLike",
    "asarray",
    "from_dlpack",
    "result_type",
    "can_cast",
    "isdtype",
]


class ArrayLike(Protocol):
    """An object that says which array it is: functions and operators take it in the place of one.

    Example:
        >>> import mlx.core as mx
        >>> class Temperature:
        ...     def __mlx_array__(self):
        ...         return mx.array([20.0, 22.0])
        >>> mx.maximum(Temperature(), 21) + Temperature()
        array([41, 44], dtype=float32)
    """

    def __mlx_array__(self) -> array: ...


def asarray(a: Any, dtype: Dtype | None = None, *, copy: bool | None = None) -> array:
    """An array of `a`.

    Args:
        a: anything that `mx.array` takes.
        dtype: the element type; by default that of `a`.
        copy: True and None copy; False, which forbids it, is refused, since arrays own their memory.

    Raises:
        ValueError: `copy=False`, or `a` is of another type.

    Example:
        >>> import mlx.core as mx
        >>> mx.asarray([1, 2], mx.float16)
        array([1, 2], dtype=float16)
    """
    _refuse_sharing(copy, "asarray")
    return array(a, dtype)


def from_dlpack(x: Any, /, *, copy: bool | None = None) -> array:
    """An array of the values of another library's array that speaks DLPack.

    The layout is kept, so that a transposed or broadcast array is seen as one in `memoryview(result)`.

    Args:
        x: an object with `__dlpack__` and `__dlpack_device__`.
        copy: True and None copy; False, which forbids it, is refused, since arrays own their memory.

    Raises:
        ValueError: `copy=False`, an axis that runs backwards in memory, or values that cannot be read: they are not in
            host memory, or of a dtype that has no counterpart here.
        TypeError: `x` does not speak DLPack.

    Example:
        >>> import mlx.core as mx
        >>> import numpy as np
        >>> mx.from_dlpack(np.arange(3, dtype=np.int8))
        array([0, 1, 2], dtype=int8)
    """
    if not hasattr(x, "__dlpack__"):
        raise TypeError(f"[from_dlpack] Expected an object with __dlpack__, got {type(x).__name__}.")
    _refuse_sharing(copy, "from_dlpack")
    if isinstance(x, array):
        return array(x)
    source = conversion.foreign_to_numpy(x)
    assert source is not None
    if any(stride < 0 for stride in source.strides):
        raise ValueError(
            f"[from_dlpack] An axis runs backwards in memory: the strides are {source.strides} bytes. Use mx.array(x)."
        )
    return wrap(conversion.node_with_layout(source))


def _refuse_sharing(copy: bool | None, function: str) -> None:
    if copy is not None and not isinstance(copy, bool):
        raise TypeError(f"[{function}] copy must be True, False or None, got {copy!r}.")
    if copy is False:
        raise ValueError(f"[{function}] Cannot make an array without a copy; leave copy out.")


def result_type(*arrays_and_dtypes: array | Dtype) -> Dtype:
    """The dtype of an operation between these arrays and dtypes.

    Raises:
        ValueError: there is none of them, or something else among them.

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

    Args:
        from_: an array or a dtype.
        to: a dtype.

    Raises:
        ValueError: `from_` is neither an array nor a dtype.
        TypeError: `to` is no dtype, or `from_` is None.

    Example:
        >>> import mlx.core as mx
        >>> mx.can_cast(mx.int32, mx.float16), mx.can_cast(mx.uint8, mx.int8)
        (True, False)
    """
    if from_ is None:
        raise TypeError("[can_cast] Expected an array or a dtype such as mx.float32 for `from_`, got None.")
    source = _dtype_of(from_, "can_cast")
    if not isinstance(to, Dtype):
        raise TypeError(f"[can_cast] Expected a dtype such as mx.float32 for `to`, got {to!r}.")
    return promote_types(source, to) is to


def isdtype(dtype: Dtype, kind: Dtype | str | tuple[Dtype | str, ...]) -> bool:
    """Whether a dtype is of a kind, as the array API standard names kinds.

    Args:
        dtype: the dtype in question.
        kind: a dtype, "bool", "signed integer", "unsigned integer", "integral", "real floating", "complex floating",
            "numeric", or a tuple of these.

    Raises:
        TypeError: `dtype` is no dtype, or `kind` is None.
        ValueError: an unknown kind.

    Example:
        >>> import mlx.core as mx
        >>> mx.isdtype(mx.int8, ("integral", "bool"))
        True
    """
    if not isinstance(dtype, Dtype):
        raise TypeError(f"[isdtype] Expected a dtype such as mx.float32, got {type(dtype).__name__}.")
    return any(_is_of_kind(dtype, one) for one in (kind if isinstance(kind, tuple) else (kind,)))


def _is_of_kind(dtype: Dtype, kind: Any) -> bool:
    if isinstance(kind, Dtype):
        return dtype is kind
    if not isinstance(kind, str) or kind not in _KINDS:
        raise (TypeError if kind is None else ValueError)(
            f"[isdtype] Unknown kind of dtypes {kind!r}. Known are {', '.join(_KINDS)}."
        )
    return _KINDS[kind](dtype)


def _dtype_of(x: array | Dtype, function: str) -> Dtype:
    if isinstance(x, Dtype):
        return x
    if isinstance(x, array):
        return x.dtype
    raise ValueError(f"[{function}] Expected arrays and dtypes, got {type(x).__name__}.")

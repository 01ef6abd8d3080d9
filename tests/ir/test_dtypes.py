"""The element types: promotion written down from the reference, limits from NumPy and ml_dtypes, and errors."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import mlx.core as mx
from mlx.ir.dtypes import ALL_DTYPES, Dtype

by_name = pytest.mark.parametrize("dtype", ALL_DTYPES, ids=lambda dtype: dtype.name)

# As NumPy writes them, but for bfloat16.
CODES = {"b2": mx.bfloat16} | {dtype.numpy.str[1:].replace("b1", "?"): dtype for dtype in ALL_DTYPES}
PROMOTED = """
    ?  u1 u2 u4 u8 i1 i2 i4 i8 f2 b2 f4 f8 c8
    u1 u1 u2 u4 u8 i2 i2 i4 i8 f2 b2 f4 f8 c8
    u2 u2 u2 u4 u8 i4 i4 i4 i8 f2 b2 f4 f8 c8
    u4 u4 u4 u4 u8 i8 i8 i8 i8 f2 b2 f4 f8 c8
    u8 u8 u8 u8 u8 f4 f4 f4 f4 f2 b2 f4 f8 c8
    i1 i2 i4 i8 f4 i1 i2 i4 i8 f2 b2 f4 f8 c8
    i2 i2 i4 i8 f4 i2 i2 i4 i8 f2 b2 f4 f8 c8
    i4 i4 i4 i8 f4 i4 i4 i4 i8 f2 b2 f4 f8 c8
    i8 i8 i8 i8 f4 i8 i8 i8 i8 f2 b2 f4 f8 c8
    f2 f2 f2 f2 f2 f2 f2 f2 f2 f2 f4 f4 f8 c8
    b2 b2 b2 b2 b2 b2 b2 b2 b2 f4 b2 f4 f8 c8
    f4 f4 f4 f4 f4 f4 f4 f4 f4 f4 f4 f4 f8 c8
    f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 f8 c8
    c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8 c8
"""


def test_promotion() -> None:
    rows = [line.split() for line in PROMOTED.split("\n") if line.strip()]
    for a, row in zip(ALL_DTYPES, rows, strict=True):
        for b, code in zip(ALL_DTYPES, row, strict=True):
            expected = CODES[code]
            assert mx.result_type(a, b) is expected, (a, b)
            assert mx.result_type(mx.zeros(2, a), mx.zeros((), b)) is expected, (a, b)
            assert (mx.zeros(2, a) + mx.zeros(2, b)).dtype is expected, (a, b)
            assert mx.can_cast(a, b) is (expected is b), (a, b)


@by_name
def test_dtypes_are_one_object_each(dtype: Dtype) -> None:
    assert str(dtype) == repr(dtype) == f"mlx.core.{dtype.name}"
    assert dtype.size == np.dtype(dtype.numpy).itemsize
    assert copy.copy(dtype) is copy.deepcopy(dtype) is pickle.loads(pickle.dumps(dtype)) is dtype
    assert {dtype: 1}[dtype] == 1
    with pytest.raises(AttributeError, match=r"\[Dtype\] .* cannot be changed"):
        dtype.size = 3


CHAINS = {
    "bool": (mx.generic,),
    "uint": (mx.unsignedinteger, mx.integer, mx.number, mx.generic),
    "int": (mx.signedinteger, mx.integer, mx.number, mx.generic),
    "float": (mx.floating, mx.inexact, mx.number, mx.generic),
    "bfloat": (mx.floating, mx.inexact, mx.number, mx.generic),
    "complex": (mx.complexfloating, mx.inexact, mx.number, mx.generic),
}


@by_name
def test_categories(dtype: Dtype) -> None:
    chain = CHAINS[dtype.name.rstrip("0123456789")]
    for category in mx.DtypeCategory:
        assert mx.issubdtype(dtype, category) is (category in chain)
        assert mx.issubdtype(category, dtype) is False
    for position, lower in enumerate(chain):
        assert mx.issubdtype(lower, chain[-1])
        assert [mx.issubdtype(lower, upper) for upper in chain] == [at >= position for at in range(len(chain))]
    assert [mx.issubdtype(dtype, other) for other in ALL_DTYPES] == [dtype is other for other in ALL_DTYPES]


def test_list_of_categories() -> None:
    names = "complexfloating floating inexact signedinteger unsignedinteger integer number generic"
    assert " ".join(category.name for category in mx.DtypeCategory) == names
    assert [category.value for category in mx.DtypeCategory] == list(range(8))
    assert repr(mx.floating) == str(mx.floating) == "DtypeCategory.floating"
    assert mx.DtypeCategory["floating"] is mx.floating
    assert pickle.loads(pickle.dumps(mx.inexact)) is mx.inexact


KINDS: dict[str, str] = {
    "bool": "?",
    "signed integer": "i1 i2 i4 i8",
    "unsigned integer": "u1 u2 u4 u8",
    "integral": "u1 u2 u4 u8 i1 i2 i4 i8",
    "real floating": "f2 b2 f4 f8",
    "complex floating": "c8",
    "numeric": "u1 u2 u4 u8 i1 i2 i4 i8 f2 b2 f4 f8 c8",
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds(kind: str) -> None:
    members = [CODES[code] for code in KINDS[kind].split()]
    for dtype in ALL_DTYPES:
        assert mx.isdtype(dtype, kind) is (dtype in members)
        assert mx.isdtype(dtype, (kind, mx.bool_)) is (dtype in members or dtype is mx.bool_)
        assert mx.isdtype(dtype, dtype)
        assert not mx.isdtype(dtype, ())


@by_name
def test_limits(dtype: Dtype) -> None:
    if mx.issubdtype(dtype, mx.inexact):
        own = mx.float32 if dtype is mx.complex64 else dtype
        expected = ml_dtypes.finfo(own.numpy)
        info = mx.finfo(dtype)
        assert info.dtype is own
        assert info.bits == 8 * own.size
        for name in ("min", "max", "eps", "smallest_normal"):
            value = getattr(info, name)
            assert type(value) is float
            assert value == float(getattr(expected, name))
    elif dtype is not mx.bool_:
        expected = np.iinfo(dtype.numpy)
        info = mx.iinfo(dtype)
        assert (info.dtype, info.bits, info.min, info.max) == (dtype, 8 * dtype.size, expected.min, expected.max)
        assert repr(info) == f"iinfo(min={expected.min}, max={expected.max}, dtype={dtype.name})"


def test_limits_as_text() -> None:
    assert repr(mx.finfo(mx.bfloat16)) == "finfo(min=-3.38953e+38, max=3.38953e+38, dtype=bfloat16)"
    assert repr(mx.finfo(mx.complex64)) == "finfo(min=-3.40282e+38, max=3.40282e+38, dtype=float32)"
    assert repr(mx.finfo(mx.float64)) == "finfo(min=-1.79769e+308, max=1.79769e+308, dtype=float64)"


NO_DTYPES: list[Any] = [None, 1, "float32", np.float32, mx.floating]


@pytest.mark.parametrize("wrong", NO_DTYPES)
def test_what_is_no_dtype(wrong: Any) -> None:
    for function in (mx.finfo, mx.iinfo):
        with pytest.raises(TypeError, match=r"info\] Expected a dtype such as mx\.float32"):
            function(wrong)
    with pytest.raises(TypeError, match=r"\[can_cast\] Expected a dtype"):
        mx.can_cast(mx.int8, wrong)
    with pytest.raises(ValueError, match=r"\[result_type\] Expected arrays and dtypes"):
        mx.result_type(mx.int8, wrong)
    with pytest.raises(TypeError, match=r"\[isdtype\] Expected a dtype"):
        mx.isdtype(wrong, "bool")
    if wrong is not mx.floating:
        for arguments in ((wrong, mx.floating), (mx.int8, wrong)):
            with pytest.raises(TypeError if wrong is None else ValueError, match=r"\[issubdtype\] Expected a dtype"):
                mx.issubdtype(*arguments)


NO_KINDS: list[Any] = [None, "whole", ["bool"], (("bool",),), ("whole", "bool"), 1, mx.floating]


@pytest.mark.parametrize("wrong", NO_KINDS)
def test_what_is_no_kind(wrong: Any) -> None:
    with pytest.raises(
        {type(None): TypeError}.get(type(wrong), ValueError), match=r"\[isdtype\] Unknown kind of dtypes"
    ):
        mx.isdtype(mx.int8, wrong)


def test_dtypes_without_limits_of_that_sort() -> None:
    with pytest.raises(ValueError, match=r"\[finfo\] dtype must be floating or complex.*mx\.iinfo"):
        mx.finfo(mx.int8)
    with pytest.raises(ValueError, match=r"\[iinfo\] dtype must be an integer dtype.*mx\.finfo"):
        mx.iinfo(mx.float16)
    for function in (mx.finfo, mx.iinfo):
        with pytest.raises(ValueError, match="dtype must be"):
            function(mx.bool_)

"""Memory that NumPy and others share with arrays: who sees what is written, who does not, and how long it lives."""

from __future__ import annotations

import gc
import inspect
import sys
import weakref
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest

import mlx.core as mx
from mlx.arrays.memory import copy_with_layout
from mlx.ir.dtypes import ALL_DTYPES, Dtype

by_name = pytest.mark.parametrize("dtype", ALL_DTYPES, ids=lambda dtype: dtype.name)

VIEWS = [
    lambda x: np.asarray(x),
    lambda x: np.array(x, copy=False),
    lambda x: x.__array__(),
    lambda x: np.from_dlpack(x),
    lambda x: np.asarray(x.__buffer__(0)),
]
by_view = pytest.mark.parametrize("view_of", VIEWS)


def address(view: np.ndarray) -> int:
    return view.__array_interface__["data"][0]


# ---------------------------------------------------------------------- what a write changes


@by_view
def test_writes_are_seen_by_the_array_and_by_names_of_the_same_value(view_of: Callable[[Any], np.ndarray]) -> None:
    x = mx.array([1.0, 2.0, 3.0])
    same = mx.array(x)
    view = view_of(x)
    assert view.flags.writeable
    assert not view.flags.owndata
    view[0] = 9
    assert x.tolist() == same.tolist() == [9, 2, 3]
    assert (x + 1).tolist() == [10, 3, 4]
    view[1] = 7
    assert (x + 1).tolist() == [10, 8, 4]
    del view
    assert x.tolist() == [9, 7, 3]


@pytest.mark.parametrize("engine", ["numpy", "xla"])
@pytest.mark.parametrize("size", [6, 60_000])
def test_writes_change_nothing_that_was_computed_before(engine: str, size: int) -> None:
    with mx.engine(engine):  # type: ignore[arg-type]
        x = mx.arange(size, dtype=mx.float32) * 2
        others = [x.reshape(2, -1), x[: size // 2], x + 0, x.reshape(2, -1).T, mx.broadcast_to(x, (3, size))]
        mx.eval(x, others)
        before = [np.array(other.tolist()) for other in others]
        view = np.asarray(x)
        later = [x.reshape(2, -1), x.reshape(2, -1).T, mx.broadcast_to(x, (3, size))]
        mx.eval(later)
        now = [np.array(other.tolist()) for other in later]
        view[...] = -1
        for other, values in zip(others + later, before + now, strict=True):
            np.testing.assert_array_equal(np.array(other.tolist()), values)
        assert x[1].item() == -1


def test_what_is_moved_to_a_device_is_not_taken_for_what_was_written_meanwhile() -> None:
    x = mx.array([1.0, 2.0])
    view = np.asarray(x)
    value: Any = x._node.value
    given = value.as_it_is()
    view[0] = 9
    given.device = "where [1, 2] was moved to"
    assert given.numpy().tolist() == [1, 2]
    assert value.device is None
    assert value.numpy().tolist() == [9, 2]


def test_writes_do_not_reach_numbers_that_programs_share() -> None:
    x = mx.zeros(())
    np.asarray(x)[...] = 4
    assert x.item() == 4
    assert mx.zeros(()).item() == 0
    assert (mx.array([1.0]) + 0.0).tolist() == [1]


def test_a_view_outlives_changes_of_the_array() -> None:
    x = mx.array([1, 2, 3])
    view = np.asarray(x)
    x += 1
    mx.eval(x)
    view[0] = 8
    assert x.tolist() == [2, 3, 4]
    del x
    gc.collect()
    assert view.tolist() == [8, 2, 3]


def test_looking_at_an_array_inside_of_a_transform_cuts_no_gradient() -> None:
    def loss(x: mx.array) -> mx.array:
        seen.append(np.asarray(x * 1).tolist())
        return (x * x).sum()

    seen: list[Any] = []
    assert mx.grad(loss)(mx.array([1.0, 2.0])).tolist() == [2, 4]
    assert seen == [[1, 2]]


def test_two_views_see_each_other() -> None:
    x = mx.array([1, 2, 3])
    first, second = np.asarray(x), np.asarray(x)
    first[0] = 5
    assert second[0] == 5
    assert address(first) == address(second)


def test_memory_that_only_the_array_holds_is_not_copied() -> None:
    x = mx.array(np.zeros(50_000, np.float32))
    before = mx.get_active_memory()
    first = address(np.asarray(x))
    assert mx.get_active_memory() == before
    assert address(np.asarray(x)) == first
    x.sum().item()
    assert address(np.asarray(x)) == first


def test_memory_is_counted_and_given_back() -> None:
    gc.collect()
    before = mx.get_active_memory()
    x = mx.array(np.zeros(50_000, np.float32))
    same = x.reshape(2, -1)
    mx.eval(same)
    shared = mx.get_active_memory()
    view = np.asarray(x)  # `same` lies in the memory, so that the view gets a copy
    assert mx.get_active_memory() == shared + x.nbytes
    del view
    assert mx.get_active_memory() == shared
    del x, same
    assert mx.get_active_memory() == before


def test_copies_for_numpy_leave_no_memory_behind() -> None:
    with mx.engine("xla"):
        x = mx.ones(50_000) * 2
        mx.eval(x)
        gc.collect()
        before = mx.get_active_memory()
        for copied in (np.array(x), np.asarray(x).copy(), np.array(x, np.float64)):
            assert copied.sum() == 100_000
        assert mx.get_active_memory() == before


# ---------------------------------------------------------------------- how long it lives


@by_view
def test_a_view_keeps_its_array_alive(view_of: Callable[[Any], np.ndarray]) -> None:
    x = mx.arange(3)
    alive = weakref.ref(x)
    view = view_of(x)
    part = view[1:]
    del x, view
    assert alive() is not None
    del part
    assert alive() is None


# ---------------------------------------------------------------------- layout


def test_evaluated_transposes_and_broadcasts_lie_in_their_operands_memory() -> None:
    x = mx.array(np.arange(6, dtype=np.int32).reshape(2, 3))
    turned, wide = x.T, mx.broadcast_to(x, (4, 2, 3))
    mx.eval(turned, wide)
    assert np.asarray(turned).strides == (4, 12)
    seen = np.array(wide, copy=False)
    assert seen.strides == (0, 12, 4)
    assert not seen.flags.writeable  # one place for four elements
    assert turned.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert wide.tolist() == [[[0, 1, 2], [3, 4, 5]]] * 4


def test_a_program_overwrites_no_memory_that_a_transpose_shares() -> None:
    compiled = mx.compile(lambda x: mx.sin(x) + 1)
    for view in (lambda x: x.reshape(3, 2), lambda x: x.reshape(2, 3).T):
        x = mx.arange(6, dtype=mx.float32) * 1
        mx.eval(x)
        y = view(x)
        mx.eval(y)
        out = compiled(y)
        del y
        mx.eval(out)
        assert x.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "source",
    [
        np.arange(12, dtype=np.float32).reshape(3, 4).T,
        np.arange(20, dtype=np.int32)[2:10:2],
        np.broadcast_to(np.array([7], np.int32), (3,)),
        np.arange(24, dtype=np.int16).reshape(2, 3, 4).transpose(1, 2, 0)[:, 1:3],
    ],
)
def test_from_dlpack_keeps_the_layout(source: np.ndarray) -> None:
    x = mx.from_dlpack(source)
    assert x.tolist() == source.tolist()
    assert np.asarray(x).strides == source.strides
    with mx.engine("xla"):
        assert (x + 1).tolist() == (source + 1).tolist()


def test_large_gaps_are_not_copied() -> None:
    source = np.arange(1000, dtype=np.int32)[::100]
    assert copy_with_layout(source).strides == (4,)
    assert np.asarray(mx.from_dlpack(source)).tolist() == list(range(0, 1000, 100))


def test_from_dlpack_refuses_axes_that_run_backwards() -> None:
    source = np.arange(5, dtype=np.float32)[::-1]
    with pytest.raises(ValueError, match=r"\[from_dlpack\] An axis runs backwards in memory.*mx\.array"):
        mx.from_dlpack(source)
    assert mx.array(source).tolist() == [4, 3, 2, 1, 0]


# ---------------------------------------------------------------------- DLPack


@by_name
def test_dlpack_to_numpy(dtype: Dtype) -> None:
    x = mx.array([0, 1, 1], dtype)
    assert x.__dlpack_device__() == (1, 0)
    if dtype is mx.bfloat16:  # which NumPy does not read
        with pytest.raises((BufferError, RuntimeError), match="Unsupported dtype"):
            np.from_dlpack(x)
        return
    for made in (np.from_dlpack(x), np.from_dlpack(x, copy=False), np.from_dlpack(x, copy=True)):
        assert (made.dtype, made.tolist()) == (dtype.numpy, [0, 1, 1])
    made[0] = 1
    assert x.tolist() == [0, 1, 1]


@by_name
def test_dlpack_to_and_from_jax(dtype: Dtype) -> None:
    x = mx.array([0, 1, 1], dtype)
    with jax.enable_x64(True):
        made = jnp.from_dlpack(x)
        assert (made.dtype, made.tolist()) == (dtype.numpy, [0, 1, 1])
        back = mx.from_dlpack(made)
    wide = {mx.float64: mx.float32}.get(dtype, dtype)
    assert (back.dtype, back.tolist()) == (wide, [0, 1, 1])


def test_dlpack_of_older_consumers() -> None:
    x = mx.array([1.5, 2.0], mx.bfloat16)
    assert '"dltensor"' in repr(x.__dlpack__())
    assert '"dltensor_versioned"' in repr(x.__dlpack__(max_version=(1, 0)))

    class Older:
        def __dlpack_device__(self) -> tuple[int, int]:
            return x.__dlpack_device__()

        def __dlpack__(self) -> Any:
            return x.__dlpack__()

    assert mx.from_dlpack(Older()).tolist() == [1.5, 2.0]
    assert mx.from_dlpack(Older()).dtype is mx.bfloat16


def test_dlpack_arguments() -> None:
    x = mx.array([1, 2])
    assert x.__dlpack__(dl_device=(1, 0), stream=None) is not None
    with pytest.raises(BufferError, match=r"host memory, \(1, 0\), not on device \(2, 0\)"):
        x.__dlpack__(dl_device=(2, 0))
    with pytest.raises(TypeError, match="copy must be a bool"):
        x.__dlpack__(copy=1)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="dl_device must be a tuple"):
        x.__dlpack__(dl_device=1)  # pyright: ignore[reportArgumentType]
    wide = mx.broadcast_to(x, (2, 2))
    mx.eval(wide)
    assert np.from_dlpack(wide).tolist() == [[1, 2], [1, 2]]
    with pytest.raises(BufferError, match="share memory: leave copy out"):
        wide.__dlpack__(copy=False)


# ---------------------------------------------------------------------- the buffer protocol


def test_a_buffer_of_a_broadcast_array_cannot_be_written_to() -> None:
    wide = mx.broadcast_to(mx.array([1, 2]), (2, 2))
    mx.eval(wide)
    assert wide.__buffer__(0).readonly
    with pytest.raises(BufferError, match="share memory"):
        wide.__buffer__(1)


FORMATS = {
    "bool": "?",
    "uint8": "B",
    "uint16": "H",
    "uint32": "I",
    "uint64": "Q",
    "int8": "b",
    "int16": "h",
    "int32": "i",
    "int64": "q",
    "float16": "e",
    "float32": "f",
    "float64": "d",
    "complex64": "Zf",
}


@pytest.mark.parametrize("dtype", [getattr(mx, name.replace("bool", "bool_")) for name in FORMATS], ids=list(FORMATS))
def test_formats_of_buffers(dtype: Dtype) -> None:
    x = mx.array([[0, 1, 1], [1, 0, 1]], dtype)
    view = x.__buffer__(0)
    assert (view.format, view.shape, view.itemsize) == (FORMATS[dtype.name], (2, 3), dtype.size)
    assert (view.strides, view.readonly) == ((3 * dtype.size, dtype.size), False)
    assert view.tobytes() == np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype.numpy).tobytes()


def test_no_format_describes_bfloat16() -> None:
    x = mx.array([1.5, 2], mx.bfloat16)
    with pytest.raises(BufferError, match="no format for bfloat16"):
        x.__buffer__(0)
    assert np.array(x).dtype == ml_dtypes.bfloat16
    assert np.asarray(x, np.float32).tolist() == [1.5, 2]
    assert bytes(x) == np.array([1.5, 2], ml_dtypes.bfloat16).tobytes()


if sys.version_info >= (3, 12):  # from where on Python asks classes for their buffers

    def test_memoryview() -> None:
        x = mx.array([1, 2, 3])
        alive = weakref.ref(x)
        view = memoryview(x)
        view[1] = 9
        assert x.tolist() == [1, 9, 3]
        del x
        assert alive() is not None
        del view
        assert alive() is None

    def test_buffer_to_write_to() -> None:
        x = mx.zeros(4, mx.uint8)
        assert x.__buffer__(inspect.BufferFlags.WRITABLE).readonly is False
        memoryview(x)[:2] = b"ab"
        assert x.tolist() == [97, 98, 0, 0]

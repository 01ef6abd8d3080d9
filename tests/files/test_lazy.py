"""Values in files are read when they are needed: what that costs, and what happens if the file changes before."""

from __future__ import annotations

import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from formats import LAZY, SAVERS, only

import mlx.core as mx
from mlx.files import contents

lazily = pytest.mark.parametrize("kind", LAZY)


def resident_memory() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@lazily
def test_values_take_memory_when_they_are_used(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{kind}"
    SAVERS[kind](path, {"w": mx.ones((64, 1024, 64))})  # 16 MiB
    gc.collect()
    before = mx.get_active_memory()
    x = only(mx.load(path))
    assert (x.shape, x.dtype) == ((64, 1024, 64), mx.float32)
    assert mx.get_active_memory() == before
    mx.eval(x)
    assert mx.get_active_memory() == before + 2**24
    assert x[3, 5, 7].item() == 1.0


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is measured as on Linux")
@pytest.mark.parametrize("as_path", [True, False])
def test_a_file_larger_than_memory(as_path: bool, tmp_path: Path) -> None:
    """A safetensors file of 400 GiB, which takes no room on the disk either, since hardly anything was written."""
    path = tmp_path / "x.safetensors"
    count, axis = 100, 2**30
    entries = [
        f'"w{i}":{{"dtype":"F32","shape":[{axis}],"data_offsets":[{4 * axis * i},{4 * axis * (i + 1)}]}}'
        for i in range(count)
    ]
    small = f'"s":{{"dtype":"F32","shape":[4096],"data_offsets":[{4 * axis * count},{4 * axis * count + 16384}]}}'
    header = ("{" + ",".join([*entries, small]) + "}").encode()
    with open(path, "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.seek(4 * axis * count, os.SEEK_CUR)
        file.write(np.arange(4096, dtype=np.float32).tobytes())
    before = resident_memory()
    if as_path:
        loaded = mx.load(path)
    else:
        with open(path, "rb") as file:
            loaded = mx.load(file)
    assert loaded["w99"].shape == (axis,)
    assert loaded["s"].sum().item() == 4096 * 4095 / 2
    assert resident_memory() - before < 2**26


@lazily
@pytest.mark.parametrize("write", ["truncate", "change", "grow"])
def test_files_that_were_written_to(kind: str, write: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{kind}"
    SAVERS[kind](path, {"w": mx.ones(5000)})
    os.utime(path, ns=(0, 0))  # since clocks of files are coarse
    x = only(mx.load(path))
    y = x + 1
    with open(path, "r+b") as file:
        if write == "truncate":
            file.truncate(100)
        elif write == "change":
            file.seek(5000)
            file.write(b"\1")
        else:
            file.seek(0, os.SEEK_END)
            file.write(b"\1")
    for ask in (lambda: mx.eval(x), lambda: x.tolist(), lambda: mx.eval(y), lambda: np.array(y)):
        with pytest.raises(RuntimeError, match=rf"^\[load\] Cannot read .*x\.{kind}: it was written to before"):
            ask()


@lazily
def test_values_that_were_used_stay(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{kind}"
    SAVERS[kind](path, {"w": mx.ones(5000)})
    x = only(mx.load(path))
    mx.eval(x)
    path.write_bytes(b"\0" * path.stat().st_size)
    assert mx.all(x == 1).item()


@lazily
def test_files_are_closed_when_nothing_waits_for_them(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{kind}"
    SAVERS[kind](path, {"w": mx.ones(5000)})
    gc.collect()
    before = len(contents._mapped)
    kept = [mx.load(path) for _ in range(5)]
    assert len(contents._mapped) == before + 5
    for loaded in kept[1:]:
        mx.eval(loaded)
    assert len(contents._mapped) == before + 1
    kept.clear()
    assert len(contents._mapped) == before
    SAVERS[kind](path, {"w": mx.ones(5)})
    few = mx.load(path)
    assert len(contents._mapped) == before  # read at once
    assert only(few).tolist() == [1.0] * 5


def test_many_files(tmp_path: Path) -> None:
    """More than a process may have open."""
    mx.save(tmp_path / "x.npy", mx.ones(1000))
    loaded = [mx.load(tmp_path / "x.npy") for _ in range(2000)]
    assert len(contents._mapped) <= contents.MOST_MAPPED
    assert sum(x.sum().item() for x in loaded) == 2_000_000


def test_in_programs_and_transforms(tmp_path: Path) -> None:
    w = np.linspace(-1, 1, 3000, dtype=np.float32).reshape(3, 1000)
    for engine in ("numpy", "xla"):
        with mx.engine(engine):
            mx.save_safetensors(tmp_path / "w.safetensors", {"w": mx.array(w), "b": mx.ones(1000)})
            loaded = mx.load(tmp_path / "w.safetensors")
            np.testing.assert_allclose(np.array((loaded["w"] * loaded["w"]).sum()), (w * w).sum(), rtol=1e-5)
            loaded = mx.load(tmp_path / "w.safetensors")
            gradient = mx.grad(lambda w, other=loaded["b"]: (w * w * other).sum())(loaded["w"])
            np.testing.assert_allclose(np.array(gradient), 2 * w, rtol=1e-6)
            loaded = mx.load(tmp_path / "w.safetensors")
            rows = mx.vmap(lambda row, other=loaded["b"]: (row * other).sum())(loaded["w"])
            np.testing.assert_allclose(np.array(rows), w.sum(1), atol=1e-4)
            loaded = mx.load(tmp_path / "w.safetensors")
            compiled = mx.compile(lambda w, other=loaded["b"]: w @ other)
            np.testing.assert_allclose(np.array(compiled(loaded["w"])), w.sum(1), atol=1e-4)


def test_from_several_threads(tmp_path: Path) -> None:
    mx.save(tmp_path / "x.npy", mx.arange(100_000))
    for _ in range(20):
        x = mx.load(tmp_path / "x.npy")
        together = threading.Barrier(4)

        def last(x: mx.array = x, together: threading.Barrier = together) -> float:
            together.wait()
            return x.tolist()[-1]

        with ThreadPoolExecutor(4) as pool:
            assert [task.result() for task in [pool.submit(last) for _ in range(4)]] == [99_999] * 4


def test_memory_of_a_program_on_loaded_values(tmp_path: Path) -> None:
    """What no array holds is not counted, as with other intermediate values."""
    mx.save(tmp_path / "x.npy", mx.ones(100_000))
    gc.collect()
    mx.reset_peak_memory()
    start = mx.get_active_memory()
    y = mx.load(tmp_path / "x.npy") * 2.0
    mx.eval(y)
    assert mx.get_active_memory() - start == 400_000
    assert mx.get_peak_memory() - start == 400_000

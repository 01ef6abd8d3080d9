"""Saving to a path is all or nothing, and what was loaded from the file before stays what it was."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from formats import LAZY, SAVERS, by_format, only, same

import mlx.core as mx
from mlx.files import contents


class FullDisk:
    """Stands for a file on a disk that has no room beyond the first bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        if size > self.room:
            raise OSError(28, "No space left on device")
        self.room -= size
        return self.file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def __enter__(self) -> FullDisk:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.file.close()


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    room = [100]
    real_open = open

    def open_on_a_full_disk(path: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        file = real_open(path, mode, *rest, **options)
        return FullDisk(file, room[0]) if "x" in mode else file

    monkeypatch.setattr("mlx.files.writing.open", open_on_a_full_disk, raising=False)
    return room


@by_format
def test_a_failed_save_leaves_the_old_file(kind: str, tmp_path: Path, full_disk: list[int]) -> None:
    path = tmp_path / f"weights.{kind}"
    path.write_bytes(b"the old file")
    for room in (0, 5, 100, 300):
        full_disk[0] = room
        with pytest.raises(OSError, match="No space left"):
            SAVERS[kind](path, {"w": mx.zeros(5000)})
    assert path.read_bytes() == b"the old file"
    assert os.listdir(tmp_path) == [path.name]
    full_disk[0] = 10**6
    SAVERS[kind](path, {"w": mx.zeros(5000)})
    assert os.listdir(tmp_path) == [path.name]


@by_format
def test_values_that_fail_leave_the_old_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights.{kind}"
    path.write_bytes(b"the old file")

    def save(x: mx.array) -> mx.array:
        SAVERS[kind](path, {"w": x})
        return x

    with pytest.raises(ValueError, match="vmap"):
        mx.vmap(save)(mx.zeros(3))
    assert path.read_bytes() == b"the old file"
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are POSIX's")
@by_format
def test_permissions_and_links(kind: str, tmp_path: Path) -> None:
    new, link = tmp_path / f"new.{kind}", tmp_path / f"link.{kind}"
    before = os.umask(0o027)
    try:
        SAVERS[kind](new, {"w": mx.array(1.0)})
    finally:
        os.umask(before)
    assert stat.S_IMODE(new.stat().st_mode) == 0o640
    new.chmod(0o600)
    link.symlink_to(new)
    SAVERS[kind](link, {"w": mx.array(2.0)})
    assert link.is_symlink()
    assert only(mx.load(new)).item() == 2
    assert stat.S_IMODE(new.stat().st_mode) == 0o600


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_a_private_file_is_private_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(b"")
    path.chmod(0o600)
    modes = []
    real_open = open

    def watched_open(path: Any, *rest: Any, **options: Any) -> Any:
        file = real_open(path, *rest, **options)
        modes.append(stat.S_IMODE(os.stat(path).st_mode))
        return file

    monkeypatch.setattr("mlx.files.writing.open", watched_open, raising=False)
    mx.save(path, mx.array([1.0]))
    assert modes == [0o600]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights on Windows")
def test_links_that_lead_nowhere_yet(tmp_path: Path) -> None:
    (tmp_path / "link.npy").symlink_to(tmp_path / "target.npy")
    mx.save(tmp_path / "link.npy", mx.array(3))
    assert (tmp_path / "link.npy").is_symlink()
    assert mx.load(tmp_path / "target.npy").item() == 3


@by_format
def test_files_that_may_not_be_written_to(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"kept.{kind}"
    path.write_bytes(b"the old file")
    monkeypatch.setattr("os.access", lambda path, mode: mode != os.W_OK)  # since root may write to any file
    refusal = PermissionError if kind == "npz" else RuntimeError
    with pytest.raises(refusal, match="Permission denied"):
        SAVERS[kind](path, {"w": mx.array(1.0)})
    assert path.read_bytes() == b"the old file"
    assert os.listdir(tmp_path) == [path.name]


@by_format
def test_a_saved_file_can_be_saved_again(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{kind}"
    SAVERS[kind](path, {"w": mx.full((1000,), 1.0)})
    for _ in range(3):
        SAVERS[kind](path, {"w": only(mx.load(path)) * 2})
    assert mx.all(only(mx.load(path)) == 8).item()


@by_format
def test_what_was_loaded_stays_when_the_file_is_replaced(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{kind}"
    first, second = mx.arange(10_000).astype(mx.float32), mx.zeros(20_000)
    SAVERS[kind](path, {"w": first})
    loaded = only(mx.load(path))
    SAVERS[kind](path, {"w": second})
    again = only(mx.load(path))
    path.unlink()
    assert same(loaded, first)
    assert same(again, second)


@pytest.mark.parametrize("kind", LAZY)
def test_where_mapped_files_cannot_be_replaced(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows: what is left of them is read first."""
    path = tmp_path / f"x.{kind}"
    first, second = mx.arange(10_000).astype(mx.float32), mx.zeros(20_000)
    SAVERS[kind](path, {"w": first})
    loaded = only(mx.load(path))
    replace, refused = os.replace, []

    def replace_what_is_not_open(source: str, target: str) -> None:
        if any(mapped.is_at(target) for mapped in contents._mapped):
            refused.append(target)
            raise PermissionError(13, "Access is denied", target)
        replace(source, target)

    monkeypatch.setattr("os.replace", replace_what_is_not_open)
    SAVERS[kind](path, {"w": second})
    assert refused == [str(path)]
    assert same(only(mx.load(path)), second)
    assert same(loaded, first)


def test_where_another_process_has_the_file_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.npy"
    mx.save(path, mx.array(1))

    def refuse(source: str, target: str) -> None:
        raise PermissionError(13, "Access is denied", target)

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(PermissionError, match=r"Access is denied: .*x\.npy"):
        mx.save(path, mx.array(2))
    assert os.listdir(tmp_path) == ["x.npy"]
    assert mx.load(path).item() == 1

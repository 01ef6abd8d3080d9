"""The format npz: a zip file with a npy file for each array.

Members are read one after the other and at once, since their check sums can only be compared with all that they hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlx.files.npy import read_npy, write_npy
from mlx.files.stored import Array
from mlx.files.writing import write_all
from mlx.ir.node import Node

_STORED, _DEFLATED = 0, 8
_MOST_EXPANSION = {_STORED: 1, _DEFLATED: 1032}  # how many times its size a member can unpack to, by method


def write_npz(file: Any, values: Mapping[str, Array], *, compressed: bool) -> None:
    import zipfile

    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(_Whole(file), "w", method) as archive:  # type: ignore[arg-type]
        for name, value in values.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                write_npy(member, value)


class _Whole:
    """A file that takes all that it is given, since `zipfile` does not ask how much it took."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, data: Any) -> int:
        write_all(self._file, data)
        return len(data)

    def flush(self) -> None:
        if hasattr(self._file, "flush"):
            self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def read_npz(file: Any, size: int) -> dict[str, Node]:
    """The nodes of the arrays in a npz file of `size` bytes, by name. Of several of a name the last one counts.

    Raises:
        ValueError: it is no zip file, or damaged, or holds what has no counterpart here.
        RuntimeError: a member is no npy file.
    """
    import zipfile
    import zlib

    nodes = {}
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            _check_sizes(members, size)
            for member in members:
                nodes[member.filename.removesuffix(".npy")] = _read_member(archive, member)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError) as error:
        raise ValueError(f"not a npz file: {error}") from error
    return nodes


def _read_member(archive: Any, member: Any) -> Node:
    if member.flag_bits & 1:
        raise ValueError(f"its member {member.filename} is encrypted")
    with archive.open(member) as file:
        try:
            node = read_npy(file, member.file_size)
        except (RuntimeError, ValueError) as error:
            raise type(error)(f"its member {member.filename} is {error}") from error
        if file.read(1):  # which also compares the check sum
            raise ValueError(f"its member {member.filename} holds more than one array")
    return node


def _check_sizes(members: list[Any], size: int) -> None:
    """ValueError where members say that they are larger than they can be: memory is set aside by what they say."""
    for member in members:
        expansion = _MOST_EXPANSION.get(member.compress_type)
        if expansion is None:
            raise ValueError(f"its member {member.filename} is compressed by method {member.compress_type}")
        if member.file_size > expansion * member.compress_size:
            raise ValueError(
                f"its member {member.filename} claims {member.file_size} bytes, which "
                f"{member.compress_size} compressed ones cannot hold"
            )
    if sum(member.compress_size for member in members) > size:
        raise ValueError(f"its members claim more than its {size} bytes")

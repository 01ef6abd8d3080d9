"""Communication between processes: in a group of one, where every collective gives back what it was given.

One process drives all of its devices here, and a program that is written for a group of any size runs unchanged in a
group of one. Groups of several processes are not supported yet: `init(strict=True)` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from mlx.arrays.array import array, wrap
from mlx.arrays.operands import node_of
from mlx.ir.dtypes import Dtype
from mlx.ops.arguments import StreamOrDevice, check_stream, checked_shape, dtype_argument, one_integer

BACKENDS = ("any", "mpi", "nccl", "jaccl", "ring")


class Group:
    """Processes that communicate with each other, made by `init`: this process alone.

    Example:
        >>> import mlx.core as mx
        >>> group = mx.distributed.init()
        >>> group.rank(), group.size()
        (0, 1)
    """

    __slots__ = ()

    def __init__(self) -> None:
        raise TypeError("[Group] A group cannot be constructed; write mx.distributed.init().")

    def rank(self) -> int:
        """The number of this process in the group: 0."""
        return 0

    def size(self) -> int:
        """How many processes the group has: 1."""
        return 1

    def split(self, color: int, key: int = -1) -> Group:
        """The group of those processes that give the same color: again this process alone.

        Args:
            color: which processes belong together.
            key: orders the processes of the new group; negative means by their rank in this one.
        """
        one_integer(color, "Group.split", "color")
        one_integer(key, "Group.split", "key")
        return self


WORLD = Group.__new__(Group)


def is_available(backend: str = "any") -> bool:
    """Whether several processes can communicate through a backend: not yet, through none.

    Args:
        backend: 'mpi', 'nccl', 'jaccl', 'ring', or 'any' of them.
    """
    return False


def init(
    strict: bool = False,
    backend: str = "any",
    *,
    all_gather_factory: Callable[[int, int], Callable[[bytes, int], bytes]] | None = None,
) -> Group:
    """The group of all processes that were launched together: this process alone.

    Args:
        strict: raise instead of giving a group of one where no backend is available.
        backend: 'mpi', 'nccl', 'jaccl', 'ring', or 'any' of them.
        all_gather_factory: how 'jaccl' exchanges addresses; not used here.

    Raises:
        ValueError: for another backend.
        RuntimeError: if strict, because there is no backend.

    Example:
        >>> import mlx.core as mx
        >>> mx.distributed.init().size()
        1
    """
    if backend not in BACKENDS:
        expected = ", ".join(map(repr, BACKENDS))
        raise ValueError(f"[distributed] backend must be one of {expected}, got {backend!r}.")
    if strict:
        raise RuntimeError(
            f"[distributed] No backend is available for {backend!r}: groups of several processes are not supported "
            f"yet. Write mx.distributed.init() for a group of this process alone."
        )
    return WORLD


def _of_one(x: Any, group: Group | None, function: str) -> array:
    """What every collective gives in a group of one: the values of `x`."""
    _check_group(group, function)
    return wrap(node_of(x, function, "x"))


def _check_group(group: Group | None, function: str) -> None:
    if group is not None and not isinstance(group, Group):
        raise TypeError(
            f"[{function}] group must be a Group (mx.distributed.init()) or None, got {type(group).__name__}."
        )


def _no_other(function: str, argument: str, rank: int, group: Group | None) -> NoReturn:
    _check_group(group, function)
    rank = one_integer(rank, function, argument)
    raise ValueError(f"[{function}] {argument} is {rank}, but the group has one process: there is no other to reach.")


def all_sum(x: array, *, group: Group | None = None, stream: StreamOrDevice = None) -> array:
    """The sum of the arrays of all processes.

    Args:
        x: array of any shape and dtype, of the same in all processes.
        group: the processes that take part; all, by default.

    Returns:
        Array of the shape and dtype of `x`, the same in all processes.

    Example:
        >>> import mlx.core as mx
        >>> mx.distributed.all_sum(mx.array([1, 2]))
        array([1, 2], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "all_sum")
    return _of_one(x, group, "all_sum")


def all_max(x: array, *, group: Group | None = None, stream: StreamOrDevice = None) -> array:
    """The elementwise maximum of the arrays of all processes; arguments as of `all_sum`."""
    if stream is not None:
        check_stream(stream, "all_max")
    return _of_one(x, group, "all_max")


def all_min(x: array, *, group: Group | None = None, stream: StreamOrDevice = None) -> array:
    """The elementwise minimum of the arrays of all processes; arguments as of `all_sum`."""
    if stream is not None:
        check_stream(stream, "all_min")
    return _of_one(x, group, "all_min")


def all_gather(x: array, *, group: Group | None = None, stream: StreamOrDevice = None) -> array:
    """The arrays of all processes, joined along the first axis; arguments as of `all_sum`.

    Returns:
        Array of shape (size * x.shape[0], *x.shape[1:]), the same in all processes.
    """
    if stream is not None:
        check_stream(stream, "all_gather")
    return _of_one(x, group, "all_gather")


def sum_scatter(x: array, *, group: Group | None = None, stream: StreamOrDevice = None) -> array:
    """This process's part, along the first axis, of the sum of the arrays of all; arguments as of `all_sum`.

    Returns:
        Array of shape (x.shape[0] // size, *x.shape[1:]).
    """
    if stream is not None:
        check_stream(stream, "sum_scatter")
    return _of_one(x, group, "sum_scatter")


def send(x: array, dst: int, *, group: Group | None = None, stream: StreamOrDevice = None) -> array:
    """Send an array to another process.

    Args:
        x: array of any shape and dtype.
        dst: the rank of the process that receives.
        group: the processes that `dst` counts; all, by default.

    Raises:
        ValueError: in a group of one, which has no other process.
    """
    if stream is not None:
        check_stream(stream, "send")
    node_of(x, "send", "x")
    _no_other("send", "dst", dst, group)


def recv(
    shape: Sequence[int], dtype: Dtype, src: int, *, group: Group | None = None, stream: StreamOrDevice = None
) -> array:
    """Receive an array from another process.

    Args:
        shape: the shape of the array that is sent.
        dtype: its dtype.
        src: the rank of the process that sends.
        group: the processes that `src` counts; all, by default.

    Raises:
        ValueError: in a group of one, which has no other process.
    """
    if stream is not None:
        check_stream(stream, "recv")
    checked_shape(shape, "recv")
    dtype_argument(dtype, "recv")
    _no_other("recv", "src", src, group)


def recv_like(x: array, src: int, *, group: Group | None = None, stream: StreamOrDevice = None) -> array:
    """Receive an array of the shape and dtype of `x` from another process; arguments as of `recv`.

    Raises:
        ValueError: in a group of one, which has no other process.
    """
    if stream is not None:
        check_stream(stream, "recv_like")
    node_of(x, "recv_like", "x")
    _no_other("recv_like", "src", src, group)

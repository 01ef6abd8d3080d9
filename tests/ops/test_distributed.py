"""`mx.distributed` in a group of one: collectives are identities, other processes do not exist."""

import pytest

import mlx.core as mx

COLLECTIVES = [
    mx.distributed.all_sum,
    mx.distributed.all_max,
    mx.distributed.all_min,
    mx.distributed.all_gather,
    mx.distributed.sum_scatter,
]


def test_the_group_is_this_process():
    group = mx.distributed.init()
    assert (group.rank(), group.size()) == (0, 1)
    assert mx.distributed.init(backend="ring").size() == 1
    half = group.split(color=3, key=1)
    assert (half.rank(), half.size()) == (0, 1)


@pytest.mark.parametrize("collective", COLLECTIVES)
def test_collectives_give_back_their_input(collective):
    for x in (mx.array([[1, 2], [3, 4]]), mx.array(2.5, mx.bfloat16), mx.zeros((0, 3)), mx.array([True])):
        given = collective(x, group=mx.distributed.init())
        assert given is not x
        assert given.dtype == x.dtype
        assert given.tolist() == x.tolist()


@pytest.mark.parametrize("collective", COLLECTIVES)
def test_collectives_can_be_transformed(collective):
    x = mx.array([1.0, 2.0])
    assert mx.grad(lambda x: (collective(x) ** 2).sum())(x).tolist() == [2.0, 4.0]
    assert mx.vmap(collective)(x).tolist() == [1.0, 2.0]
    assert mx.compile(lambda x: collective(x) + 1)(x).tolist() == [2.0, 3.0]


@pytest.mark.parametrize("collective", COLLECTIVES)
def test_a_group_is_a_group(collective):
    with pytest.raises(TypeError, match=r"group must be a Group \(mx\.distributed\.init\(\)\) or None, got int"):
        collective(mx.array([1.0]), group=1)
    with pytest.raises(TypeError, match=r"x must be"):
        collective(None)


def test_no_backend_is_available():
    assert not mx.distributed.is_available()
    assert not mx.distributed.is_available("mpi")
    with pytest.raises(RuntimeError, match="groups of several processes are not supported yet"):
        mx.distributed.init(strict=True, backend="mpi")
    with pytest.raises(ValueError, match=r"must be one of 'any', 'mpi'.*got 'gossip'"):
        mx.distributed.init(backend="gossip")


def test_there_is_nobody_to_send_to():
    x = mx.array([1.0])
    with pytest.raises(ValueError, match=r"\[send\] dst is 1, but the group has one process"):
        mx.distributed.send(x, 1)
    with pytest.raises(ValueError, match=r"\[recv\] src is 0, but the group has one process"):
        mx.distributed.recv((2,), mx.float32, 0)
    with pytest.raises(ValueError, match=r"\[recv_like\] src is 1, but the group has one process"):
        mx.distributed.recv_like(x, 1)


def test_a_group_is_made_by_init():
    with pytest.raises(TypeError, match=r"write mx\.distributed\.init\(\)"):
        mx.distributed.Group()

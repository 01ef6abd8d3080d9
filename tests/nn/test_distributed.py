"""Sharded layers: in a group of one they are what they divide; of two members, together they compute it.

The second member is simulated: every test computes both parts in one process and does by hand what a collective does.
"""

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn
from mlx.nn.layers.distributed import shard_inplace, shard_linear
from mlx.utils import tree_flatten, tree_map


class Member(mx.distributed.Group):
    """One of two processes."""

    def __init__(self, rank):
        self.number = rank

    def rank(self):
        return self.number

    def size(self):
        return 2


MEMBERS = [Member(0), Member(1)]
X = mx.random.normal((3, 8), key=mx.random.key(0))


def numbers(module):
    return {path: np.array(value) for path, value in tree_flatten(module.parameters())}


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (nn.AllToShardedLinear, "AllToShardedLinear(input_dims=8, output_dims=6, bias=True)"),
        (nn.ShardedToAllLinear, "ShardedToAllLinear(input_dims=8, output_dims=6, bias=True)"),
    ],
)
def test_in_a_group_of_one_a_part_is_the_whole(layer, name):
    linear = nn.Linear(8, 6)
    sharded = layer.from_linear(linear)
    assert repr(sharded) == name
    assert mx.array_equal(sharded(X), linear(X))
    fresh = layer(8, 6)
    assert repr(fresh) == name
    assert abs(fresh.weight).max().item() <= 8**-0.5
    assert "bias" not in layer(8, 6, bias=False)
    gradient = nn.value_and_grad(sharded, lambda x: sharded(x).sum())(X)[1]
    np.testing.assert_allclose(gradient["weight"], np.tile(np.array(X).sum(0), (6, 1)), rtol=1e-5)


@pytest.mark.parametrize("layer", [nn.QuantizedAllToShardedLinear, nn.QuantizedShardedToAllLinear])
def test_quantised_layers_in_a_group_of_one(layer):
    linear = nn.QuantizedLinear(64, 32, group_size=32, bits=8)
    linear.bias = mx.arange(32).astype(mx.float32)
    sharded = layer.from_quantized_linear(linear)
    x = mx.random.normal((3, 64), key=mx.random.key(1))
    assert mx.allclose(sharded(x), linear(x))
    assert sharded.trainable_parameters() == {}
    assert repr(sharded) == (
        f"{layer.__name__}(input_dims=64, output_dims=32, bias=True, group_size=32, bits=8, mode=affine)"
    )
    assert layer(64, 32, bias=False)(x).shape == (3, 32)


def test_rows_are_parts_of_the_output(monkeypatch):
    linear = nn.Linear(8, 6)
    parts = [nn.AllToShardedLinear.from_linear(linear, group=member) for member in MEMBERS]
    assert [part.weight.shape for part in parts] == [(3, 8), (3, 8)]
    assert repr(parts[0]) == "AllToShardedLinear(input_dims=8, output_dims=6, bias=True)"
    np.testing.assert_allclose(mx.concatenate([part(X) for part in parts], -1), linear(X), rtol=1e-5, atol=1e-6)
    # what the members send is summed: here each is asked for its own
    monkeypatch.setattr(mx.distributed, "all_sum", lambda x, *, group, stream=None: x)
    own = [mx.grad(lambda x, part=part: part(x).square().sum())(X) for part in parts]
    whole = mx.grad(lambda x: linear(x).square().sum())(X)
    np.testing.assert_allclose(own[0] + own[1], whole, rtol=1e-4, atol=1e-5)


def test_columns_are_summands_of_the_output(monkeypatch):
    linear = nn.Linear(8, 6, bias=False)
    monkeypatch.setattr(mx.distributed, "all_sum", lambda x, *, group, stream=None: x)
    parts = [nn.ShardedToAllLinear.from_linear(linear, group=member) for member in MEMBERS]
    assert [part.weight.shape for part in parts] == [(6, 4), (6, 4)]
    together = sum(part(x) for part, x in zip(parts, mx.split(X, 2, -1), strict=True))
    np.testing.assert_allclose(together, linear(X), rtol=1e-5, atol=1e-6)


def test_each_of_several_stacked_matrices_is_divided():
    linear = nn.Linear(8, 12)
    parts = [nn.AllToShardedLinear.from_linear(linear, segments=3, group=member) for member in MEMBERS]
    weight = np.array(linear.weight).reshape(3, 2, 2, 8)
    for rank, part in enumerate(parts):
        np.testing.assert_array_equal(part.weight, weight[:, rank].reshape(6, 8))
    uneven = nn.AllToShardedLinear.from_linear(linear, segments=[8], group=MEMBERS[1])
    np.testing.assert_array_equal(uneven.weight, np.array(linear.weight)[[4, 5, 6, 7, 10, 11]])


def test_quantised_weights_are_divided(monkeypatch):
    monkeypatch.setattr(mx.distributed, "all_sum", lambda x, *, group, stream=None: x)
    linear = nn.QuantizedLinear(64, 32, bias=False, group_size=32, bits=4)
    x = mx.random.normal((3, 64), key=mx.random.key(1))
    rows = [nn.QuantizedAllToShardedLinear.from_quantized_linear(linear, group=member) for member in MEMBERS]
    np.testing.assert_allclose(mx.concatenate([part(x) for part in rows], -1), linear(x), rtol=1e-4, atol=1e-5)
    columns = [nn.QuantizedShardedToAllLinear.from_quantized_linear(linear, group=member) for member in MEMBERS]
    together = sum(part(half) for part, half in zip(columns, mx.split(x, 2, -1), strict=True))
    np.testing.assert_allclose(together, linear(x), rtol=1e-4, atol=1e-5)
    assert repr(columns[0]).startswith("QuantizedShardedToAllLinear(input_dims=64, output_dims=32, bias=False")


def test_what_cannot_be_divided_is_named():
    with pytest.raises(ValueError, match=r"output_dims must be a multiple of the 2 processes of the group, got 5"):
        nn.AllToShardedLinear(8, 5, group=MEMBERS[0])
    with pytest.raises(ValueError, match=r"input_dims must be a multiple of the 2 processes"):
        nn.ShardedToAllLinear(7, 4, group=MEMBERS[0])
    linear = nn.Linear(8, 5)
    before = numbers(linear)
    with pytest.raises(
        ValueError, match=r"'weight' of shape \(5, 8\) cannot be divided into 2 equal parts along axis 0"
    ):
        shard_inplace(linear, "all-to-sharded", group=MEMBERS[0])
    assert all((before[name] == value).all() for name, value in numbers(linear).items())


def test_shard_linear_chooses_the_layer():
    quantized = nn.QuantizedLinear(64, 32)
    for sharding, plain, packed in (
        ("all-to-sharded", nn.AllToShardedLinear, nn.QuantizedAllToShardedLinear),
        ("sharded-to-all", nn.ShardedToAllLinear, nn.QuantizedShardedToAllLinear),
    ):
        assert type(shard_linear(nn.Linear(8, 6), sharding)) is plain
        assert type(shard_linear(quantized, sharding)) is packed
    with pytest.raises(ValueError, match="must be 'all-to-sharded' or 'sharded-to-all', got 'rows'"):
        shard_linear(nn.Linear(8, 6), "rows")


def test_shard_inplace_by_a_function():
    model = nn.Sequential(nn.Linear(8, 6), nn.LayerNorm(6))
    shard_inplace(model, lambda path, array: -1 if path == "layers.0.weight" else None, group=MEMBERS[1])
    shapes = {path: value.shape for path, value in numbers(model).items()}
    assert shapes["layers.0.weight"] == (6, 4)
    assert shapes["layers.0.bias"] == shapes["layers.1.weight"] == (6,)


def test_a_fully_sharded_module_gathers_its_parameters(monkeypatch):
    whole = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm(6))
    values = tree_map(lambda x: x, whole.parameters())
    members = []
    for member in MEMBERS:
        copy = nn.Sequential(nn.Linear(8, 6), nn.BatchNorm(6)).update(values)
        members.append(nn.FullyShardedModule(copy, member))
    assert {value.shape for value in numbers(members[0]).values()} == {(3, 8), (3,)}
    by_path = [numbers(member) for member in members]

    def all_gather(x, *, group, stream=None):
        """The other's part is found by the values of one's own."""
        mine = by_path[group.rank()]
        path = next(p for p, v in mine.items() if v.shape == x.shape and (v == np.array(x)).all() and p not in seen)
        seen.add(path)
        return mx.concatenate([mx.array(part[path]) for part in by_path], 0)

    monkeypatch.setattr(mx.distributed, "all_gather", all_gather)
    for rank, member in enumerate(members):
        seen: set = set()
        np.testing.assert_allclose(member(X), nn.Sequential(*whole.layers)(X), rtol=1e-4, atol=1e-5)
        half = slice(3 * rank, 3 * rank + 3)
        np.testing.assert_allclose(
            member.module.layers[1].running_mean, 0.1 * np.array(whole.layers[0](X)).mean(0)[half], rtol=1e-4, atol=1e-6
        )
        whole.update(values)


def test_in_a_group_of_one_full_sharding_changes_nothing():
    linear = nn.Linear(8, 6)
    assert nn.fully_shard(linear) is linear
    wrapped = nn.FullyShardedModule(linear, compute_dtype=mx.float16)
    assert repr(wrapped).startswith("FullyShardedModule(num_sharded_params=2")
    np.testing.assert_allclose(wrapped(X), linear(X), rtol=1e-2, atol=1e-2)
    assert linear.weight.dtype == mx.float32
    gradient = nn.value_and_grad(wrapped, lambda x: wrapped(x).sum())(X)[1]
    assert gradient["module"]["weight"].dtype == mx.float32
    embedding = nn.FullyShardedModule(nn.Embedding(5, 8))
    assert embedding.as_linear(X).shape == (3, 5)


def test_the_gradient_of_a_gathered_array_is_scattered(monkeypatch):
    monkeypatch.setattr(mx.distributed, "all_gather", lambda x, *, group, stream=None: mx.concatenate([x, x], 0))
    monkeypatch.setattr(mx.distributed, "sum_scatter", lambda x, *, group, stream=None: 2 * x[: x.shape[0] // 2])
    module = nn.FullyShardedModule(nn.Linear(8, 6, bias=False), MEMBERS[0])
    gradient = nn.value_and_grad(module, lambda x: module(x).sum())(X)[1]
    np.testing.assert_allclose(gradient["module"]["weight"], np.tile(2 * np.array(X).sum(0), (3, 1)), rtol=1e-5)


@pytest.mark.parametrize("size", [0, 12, 32 * 2**20])
def test_gradients_are_averaged_in_batches(monkeypatch, size):
    sent = []

    def all_sum(x, *, group, stream=None):
        sent.append(x.shape)
        return 3 * x  # as if the other had twice as much

    monkeypatch.setattr(mx.distributed, "all_sum", all_sum)
    gradients = {"a": mx.array([[1.0, 2.0]]), "b": [mx.array(3.0), mx.array([4.0], mx.float16)], "c": mx.zeros((0,))}
    averaged = nn.average_gradients(gradients, MEMBERS[0], all_reduce_size=size)
    assert averaged["a"].tolist() == [[1.5, 3.0]]
    assert averaged["b"][0].item() == 4.5
    assert averaged["b"][1].tolist() == [6.0]
    assert averaged["b"][1].dtype == mx.float16
    assert averaged["c"].shape == (0,)
    assert len(sent) == (4 if size == 0 else 3)
    assert nn.average_gradients(gradients) is gradients


def test_the_norm_of_all_parts_is_clipped(monkeypatch):
    own = {"w": mx.array([3.0, 0.0]), "b": [mx.array([300.0], mx.float16)]}
    others = 4.0**2 + 400.0**2
    monkeypatch.setattr(mx.distributed, "all_sum", lambda x, *, group, stream=None: x + others)
    clipped, norm = nn.utils.clip_grad_norm_sharded(own, 10.0, MEMBERS[0])
    wanted = np.sqrt(9.0 + 300.0**2 + others)
    assert norm.item() == pytest.approx(wanted, rel=1e-6)
    np.testing.assert_allclose(clipped["w"], [30.0 / wanted, 0.0], rtol=1e-5)
    assert clipped["b"][0].dtype == mx.float16
    np.testing.assert_allclose(clipped["b"][0], [3000.0 / wanted], rtol=1e-3)
    untouched, _ = nn.utils.clip_grad_norm_sharded(own, 1000.0, MEMBERS[0])
    assert untouched["w"].tolist() == [3.0, 0.0]


def test_in_a_group_of_one_the_norm_is_its_own():
    clipped, norm = nn.utils.clip_grad_norm_sharded({"w": mx.array([3.0, 4.0])}, 1.0)
    assert norm.item() == 5.0
    np.testing.assert_allclose(clipped["w"], [0.6, 0.8], rtol=1e-5)
    with pytest.raises(
        ValueError, match=r"\[nn\.utils\.clip_grad_norm_sharded\] max_norm must not be negative, got -1"
    ):
        nn.utils.clip_grad_norm_sharded({}, -1.0)
    assert nn.utils.clip_grad_norm_sharded({}, 1.0)[1].item() == 0.0


def test_gradients_are_sent_on_the_stream_that_is_asked_for(monkeypatch):
    streams = []

    def all_sum(x, *, group, stream=None):
        streams.append(stream)
        return 2 * x

    monkeypatch.setattr(mx.distributed, "all_sum", all_sum)
    stream = mx.new_stream(mx.cpu)
    averaged = nn.average_gradients((mx.array([1.0]), [mx.array(2.0)]), MEMBERS[1], communication_stream=stream)
    assert streams == [stream]
    assert isinstance(averaged, tuple)
    assert [averaged[0].tolist(), averaged[1][0].item()] == [[1.0], 2.0]

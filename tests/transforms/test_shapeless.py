"""Shapeless compile: public functions traced once for all sizes, and what such a trace may take for constant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn

Shapes = list[tuple[int, ...]]

PAIR = mx.array([1, 0])  # positions


class Use(NamedTuple):
    """A function, the shapes that it is traced for, and others."""

    name: str
    function: Callable[..., Any]
    first: Shapes
    others: list[Shapes]


def floats(shape: tuple[int, ...], seed: int = 0) -> mx.array:
    return mx.array(np.random.default_rng(seed).permutation(np.prod(shape, dtype=int)).reshape(shape) / 7 - 1.3)


def inputs_of(shapes: Shapes) -> list[mx.array]:
    return [floats(shape, seed) for seed, shape in enumerate(shapes)]


def of_one(name: str, function: Callable[..., Any]) -> Use:
    """A function of one matrix."""
    return Use(name, function, [(3, 4)], [[(5, 4)], [(3, 7)], [(6, 8)], [(4, 3)]])


def of_images(name: str, function: Callable[..., Any], *more: tuple[int, ...]) -> Use:
    """A function of images of shape (N, H, W, C) and of arrays whose shapes stay."""
    return Use(name, function, [(2, 6, 5, 4), *more], [[(3, 7, 9, 4), *more], [(1, 8, 5, 4), *more]])


def of_signals(name: str, function: Callable[..., Any], *more: tuple[int, ...]) -> Use:
    return Use(name, function, [(2, 6, 4), *more], [[(3, 9, 4), *more], [(1, 7, 4), *more]])


def of_squares(name: str, function: Callable[..., Any]) -> Use:
    return Use(name, function, [(4, 4)], [[(5, 5)], [(8, 8)]])


def put(x: mx.array) -> mx.array:
    return mx.put_along_axis(x, mx.argmin(x, -1, keepdims=True), mx.array(9.0), -1)


def assigned(x: mx.array) -> mx.array:
    y = x * 1
    y[1:, :-1] = 5.0
    y[-1] += 2
    y[:, 0] = y[:, -1]
    return y


def positive_definite(x: mx.array) -> mx.array:
    identity = mx.tril(mx.ones_like(x)) - mx.tril(mx.ones_like(x), -1)
    return 0.01 * x @ x.T + 3 * identity


def largest_of_rows(x: mx.array) -> mx.array:
    return mx.argmax(x, axis=-1)


def split_and_joined(x: mx.array) -> mx.array:
    left, middle, right = mx.split(x, [1, -1], axis=1)
    return mx.concatenate([right, middle, left], axis=1)


REDUCTIONS = [
    *(
        of_one(f"{function.__name__} over {axis}", lambda x, f=function, axis=axis: f(x, axis=axis))
        for function in (mx.sum, mx.mean, mx.var, mx.std, mx.prod, mx.max, mx.min, mx.logsumexp, mx.all, mx.any)
        for axis in (None, 0, -1)
    ),
    of_one("mean that keeps axes", lambda x: x - mx.mean(x, axis=1, keepdims=True)),
    of_one("variance with ddof", lambda x: mx.var(x, axis=0, ddof=1)),
    of_one("mean in half precision", lambda x: mx.mean(x.astype(mx.float16))),
    of_one("mean of integers", lambda x: mx.mean(x.astype(mx.int32), axis=0)),
    of_one("mean of complex numbers", lambda x: mx.mean(x.astype(mx.complex64))),
    of_one("argmax", lambda x: mx.argmax(x, axis=1)),
    of_one("argmin of all", mx.argmin),
    of_one("softmax", lambda x: mx.softmax(x, axis=-1)),
    of_one(
        "norms", lambda x: (mx.linalg.norm(x), mx.linalg.norm(x, axis=1), mx.linalg.norm(x, 1), mx.linalg.norm(x, 3, 0))
    ),
    of_one("scans", lambda x: (mx.cumsum(x), mx.cumsum(x, 1, reverse=True), mx.cumprod(x, 0), mx.logcumsumexp(x, 1))),
    of_one("exclusive scan", lambda x: mx.cummax(x, axis=1, inclusive=False)),
    Use("trace", mx.trace, [(3, 4)], [[(4, 5)], [(2, 9)]]),
    of_one("array_equal", lambda x: mx.array_equal(x, x * 1)),
    of_one("count_nonzero", lambda x: mx.count_nonzero(x > 0, axis=0)),
]

LIKE = [
    of_one("zeros_like", mx.zeros_like),
    of_one("ones_like", lambda x: mx.ones_like(x, dtype=mx.int32)),
    of_one("full_like", lambda x: mx.full_like(x, 2.5)),
    of_one("empty_like", lambda x: mx.empty_like(x) * 0),
    of_one("mean of zeros_like", lambda x: mx.mean(mx.zeros_like(x) + 1)),
    of_one("tril and triu", lambda x: (mx.tril(x), mx.triu(x, 1))),
    Use("diag", lambda x: (mx.diag(x), mx.diag(x, 2)), [(3,)], [[(5,)], [(4,)]]),
    of_one("diagonal", lambda x: mx.diagonal(x[:, :2])),
    Use("meshgrid", mx.meshgrid, [(3,), (4,)], [[(5,), (2,)], [(4,), (4,)]]),
    Use("linspace between arrays", lambda x: mx.linspace(x.min(), x.max(), 5), [(3,)], [[(8,)]]),
    of_one("sum with arange", lambda x: mx.cumsum(mx.ones_like(x), 1) * x),
]

SHAPES = [
    of_one("reshape with -1", lambda x: x.reshape(-1)),
    of_one("reshape with -1 and a constant", lambda x: x[:2].reshape(2, -1)),
    of_one("flatten", mx.flatten),
    Use("flatten some", lambda x: mx.flatten(x, 1), [(2, 3, 4)], [[(5, 6, 7)], [(2, 4, 3)]]),
    Use("unflatten", lambda x: mx.unflatten(x, -1, (2, -1)), [(3, 4)], [[(5, 6)], [(2, 8)]]),
    of_one("transposed", lambda x: (x.T, mx.swapaxes(x, 0, 1), mx.moveaxis(x, 0, -1))),
    of_one("expanded and squeezed", lambda x: mx.squeeze(x[None, :, None], (0, 2))),
    Use("squeezed", lambda x: mx.squeeze(x), [(1, 3)], [[(1, 5)], [(1, 2)]]),
    Use("broadcast together", lambda x, y: mx.broadcast_arrays(x, y), [(3, 1), (4,)], [[(5, 1), (6,)]]),
    of_one("at least 3", mx.atleast_3d),
    of_one("tile", lambda x: (mx.tile(x, 2), mx.tile(x, (2, 1, 3)))),
    of_one("repeat", lambda x: (mx.repeat(x, 3), mx.repeat(x, 2, axis=1))),
    of_one("pad", lambda x: (mx.pad(x, 1), mx.pad(x, [(0, 2), (1, 0)], constant_values=3.0))),
    of_one("pad with edges", lambda x: mx.pad(x, 2, mode="edge")),
    of_one("roll", lambda x: (mx.roll(x, 2), mx.roll(x, -1, 0), mx.roll(x, (1, 5), (0, 1)))),
    of_one("flip", lambda x: (mx.flip(x), mx.flip(x, 0))),
    of_one("stack", lambda x: mx.stack([x, x + 1], axis=1)),
    Use("concatenate", lambda x, y: mx.concatenate([x, y, x]), [(3, 4), (2, 4)], [[(5, 6), (1, 6)], [(2, 3), (7, 3)]]),
    of_one("concatenate flat", lambda x: mx.concatenate([x, x], axis=None)),
    Use("split evenly", lambda x: mx.split(x, 2, axis=1), [(3, 4)], [[(2, 6)], [(5, 8)]]),
    of_one("split at indices", split_and_joined),
    of_one("diff", lambda x: mx.diff(x, 2)),
    of_one("kron", lambda x: mx.kron(x, x[:2])),
    of_one("view", lambda x: mx.view(x, mx.int16)),
    of_one("array of arrays", lambda x: mx.array([x[0], x[-1]])),
]

INDEXING = [
    *(
        of_one(f"x[{key}]", lambda x, key=key: x[key])
        for key in (
            np.s_[:-1],
            np.s_[::2],
            np.s_[::-1],
            np.s_[-1],
            np.s_[1:3],
            np.s_[-2:],
            np.s_[..., 1:],
            np.s_[:, -1],
            np.s_[1::2, ::-2],
            np.s_[-1:0:-1],
            np.s_[None, :, None],
            np.s_[:1, 1],
        )
    ),
    of_one("index arrays", lambda x: (x[PAIR], x[:, PAIR], x[PAIR, PAIR], x[PAIR[:, None], PAIR])),
    of_one("index array that counts from the end", lambda x: x[mx.array([-1, 0])]),
    of_one("take", lambda x: (mx.take(x, PAIR, axis=1), mx.take(x, mx.array(-1)), mx.take(x, -1, axis=0))),
    of_one("take_along_axis", lambda x: mx.take_along_axis(x, mx.argsort(x, 1), 1)),
    of_one("put_along_axis", put),
    of_one("put_along_axis flat", lambda x: mx.put_along_axis(x, mx.array([1, 0]), mx.array([7.0, 8.0]), None)),
    of_one("assignment", assigned),
    of_one("at", lambda x: x.at[PAIR, 1:].add(x[:2, 1:]).at[-1].multiply(2).at[:, ::2].maximum(0)),
    of_one("assignment by a mask", lambda x: mx.where(x > 1, 0, x)),
    Use(
        "slice at an array",
        lambda x, s: mx.slice(x, s.astype(mx.int32), (0,), (2, 3)),
        [(3, 4), (1,)],
        [[(5, 6), (1,)]],
    ),
]

SORTING = [
    of_one("sort", lambda x: (mx.sort(x), mx.sort(x, 0), mx.sort(x, None), mx.argsort(x, 0))),
    of_one("topk", lambda x: mx.topk(x, 2, axis=1)),
    of_one("partition", lambda x: (mx.partition(x, 1, axis=0), mx.argpartition(x, -1))),
    Use("median", lambda x: mx.median(x, 0), [(4, 3)], [[(6, 5)], [(2, 2)]]),
    Use("searchsorted", lambda x, y: mx.searchsorted(mx.sort(x), y), [(5,), (3,)], [[(9,), (2,)], [(2,), (7,)]]),
]

PRODUCTS = [
    Use("matmul", lambda x, y: x @ y, [(3, 4), (4, 5)], [[(2, 6), (6, 7)], [(5, 3), (3, 2)]]),
    Use("matmul of batches", mx.matmul, [(2, 3, 4), (2, 4, 5)], [[(6, 2, 6), (6, 6, 7)], [(1, 5, 3), (1, 3, 2)]]),
    Use(
        "matmul of a batch and one", mx.matmul, [(2, 3, 4), (1, 4, 5)], [[(6, 2, 6), (1, 6, 7)], [(2, 5, 3), (2, 3, 2)]]
    ),
    Use("matmul with a vector", mx.matmul, [(3, 4), (4,)], [[(2, 6), (6,)]]),
    Use("addmm", mx.addmm, [(5,), (3, 4), (4, 5)], [[(7,), (2, 6), (6, 7)]]),
    Use("inner", mx.inner, [(3, 4), (5, 4)], [[(2, 6), (3, 6)]]),
    Use("outer", mx.outer, [(3,), (4,)], [[(5,), (2,)]]),
    Use(
        "tensordot", lambda x, y: mx.tensordot(x, y, [[0, 2], [1, 0]]), [(2, 3, 4), (4, 2, 5)], [[(3, 6, 5), (5, 3, 7)]]
    ),
    Use("einsum", lambda x, y: mx.einsum("bij,bjk->bik", x, y), [(2, 3, 4), (2, 4, 5)], [[(3, 6, 5), (3, 5, 7)]]),
    Use(
        "einsum of three",
        lambda x, y, z: mx.einsum("ij,jk,kl->il", x, y, z),
        [(3, 4), (4, 5), (5, 6)],
        [[(2, 7), (7, 3), (3, 8)]],
    ),
    Use("einsum of a diagonal", lambda x: mx.einsum("ii->i", x), [(3, 3)], [[(5, 5)]]),
    of_squares("inv", lambda x: mx.linalg.inv(positive_definite(x))),
    of_squares("cholesky", lambda x: mx.linalg.cholesky(positive_definite(x))),
    of_squares("det", lambda x: mx.linalg.det(positive_definite(x))),
    of_squares("qr", mx.linalg.qr),
    Use("solve", lambda a, b: mx.linalg.solve(positive_definite(a), b), [(4, 4), (4, 2)], [[(5, 5), (5, 3)]]),
    Use("cross", mx.linalg.cross, [(2, 3), (2, 3)], [[(5, 3), (5, 3)]]),
]

CONVOLUTIONS = [
    of_signals("conv1d", lambda x, w: mx.conv1d(x, w, stride=2, padding=1), (3, 2, 4)),
    of_images("conv2d", lambda x, w: mx.conv2d(x, w, stride=(2, 1), padding=1), (3, 2, 3, 4)),
    of_images("conv2d of groups", lambda x, w: mx.conv2d(x, w, groups=2, dilation=2), (4, 2, 2, 2)),
    of_images("conv_transpose2d", lambda x, w: mx.conv_transpose2d(x, w, stride=2, output_padding=1), (3, 2, 2, 4)),
    of_images("conv_general", lambda x, w: mx.conv_general(x, w, padding=([1, 0], [0, 1]), flip=True), (3, 2, 2, 4)),
    Use("convolve", mx.convolve, [(6,), (3,)], [[(9,), (3,)], [(8,), (5,)]]),
    of_images("gradient of conv2d", lambda x, w: mx.grad(lambda v: mx.sin(mx.conv2d(x, v)).mean())(w), (3, 2, 2, 4)),
]

RANDOM = [
    Use("bernoulli", lambda p: mx.random.bernoulli(mx.sigmoid(p), key=mx.random.key(1)), [(3, 4)], [[(5, 6)]]),
    Use("categorical", lambda x: mx.random.categorical(x, key=mx.random.key(1)), [(3, 4)], [[(5, 6)]]),
    Use("permutation", lambda x: mx.random.permutation(x, key=mx.random.key(1)), [(3, 4)], [[(5, 6)], [(9, 2)]]),
    Use("truncated_normal", lambda x: mx.random.truncated_normal(x, x + 1, key=mx.random.key(1)), [(3,)], [[(5,)]]),
]

LOSSES = [
    *(
        Use(
            name,
            lambda x, y, name=name: getattr(nn.losses, name)(x, y),
            [(3, 4), (3, 4)],
            [[(5, 6), (5, 6)], [(2, 7), (2, 7)]],
        )
        for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "log_cosh_loss", "hinge_loss")
    ),
    Use("mean of mse", lambda x, y: nn.losses.mse_loss(x, y, reduction="mean"), [(3, 4), (3, 4)], [[(5, 6), (5, 6)]]),
    of_one("cross_entropy", lambda x: nn.losses.cross_entropy(x, largest_of_rows(x * -1), reduction="mean")),
    of_one("smoothed cross_entropy", lambda x: nn.losses.cross_entropy(x, largest_of_rows(x), label_smoothing=0.1)),
    of_one("nll_loss", lambda x: nn.losses.nll_loss(x, largest_of_rows(-x))),
]

TRANSFORMS = [
    of_one("grad", mx.grad(lambda x: (mx.softmax(x) * x).mean())),
    of_one("grad of var", mx.grad(lambda x: mx.var(x[:, 1:], axis=1).sum() + mx.max(x, axis=0).mean())),
    of_one("grad of what is not used", mx.grad(lambda x: mx.zeros_like(x).sum())),
    of_one("jvp", lambda x: mx.jvp(lambda y: mx.cumsum(y * y, 1).mean(0), [x], [mx.ones_like(x)])[1][0]),
    of_one("jvp of a constant", lambda x: mx.jvp(lambda y: mx.ones_like(y), [x], [x])[1][0]),
    of_one("vjp", lambda x: mx.vjp(lambda y: y[:, ::2] * 2, [x], [x[:, ::2]])[1][0]),
    of_one("vmap", mx.vmap(lambda row: row - row.mean())),
    of_one("vmap over columns", mx.vmap(lambda x: mx.sort(x) / x.max(), in_axes=1, out_axes=1)),
    of_one("nested vmap", mx.vmap(mx.vmap(mx.sin), in_axes=1)),
    of_one("vmap of a constant", mx.vmap(lambda row: (row, mx.array([1.0, 2.0])))),
    of_one("grad of vmap", mx.grad(lambda x: mx.vmap(lambda row: (row * row).mean())(x).sum())),
    of_one("vmap of grad", mx.vmap(mx.grad(lambda row: mx.var(row)))),
    of_one("checkpoint", mx.grad(lambda x: mx.checkpoint(lambda y: mx.sin(y).mean())(x))),
    of_one("jacobian", mx.jacrev(lambda x: mx.mean(x * x, 1))),
    of_one("jacobian forwards", mx.jacfwd(lambda x: mx.mean(x * x, 1))),
    of_one("hessian", mx.hessian(lambda x: mx.mean(x**3))),
    of_one("compile inside", lambda x: mx.compile(lambda y: mx.mean(y, 0))(x) + 1),
    of_one("compile without shapes inside", lambda x: mx.compile(lambda y: mx.mean(y, 0), shapeless=True)(x) + 1),
    of_one("grad of compile inside", mx.grad(lambda x: mx.compile(lambda y: mx.var(y))(x))),
    of_one("stop_gradient", mx.grad(lambda x: (mx.stop_gradient(x) * x).mean())),
    of_one("depends", lambda x: mx.depends(x, [x.sum()]) * 2),
]

USES = [
    *REDUCTIONS,
    *LIKE,
    *SHAPES,
    *INDEXING,
    *SORTING,
    *PRODUCTS,
    *CONVOLUTIONS,
    *RANDOM,
    *LOSSES,
    *TRANSFORMS,
]


def listed(result: Any) -> list[mx.array]:
    if isinstance(result, mx.array):
        return [result]
    return [x for child in result for x in listed(child)]


def assert_same(got: Any, expected: Any) -> None:
    for x, y in zip(listed(got), listed(expected), strict=True):
        assert x.shape == y.shape
        assert x.dtype == y.dtype
        np.testing.assert_allclose(np.array(x), np.array(y), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("use", USES, ids=lambda use: use.name)
def test_one_trace_serves_all_sizes(use: Use) -> None:
    runs = [0]

    def counted(*inputs: mx.array) -> Any:
        runs[0] += 1
        return use.function(*inputs)

    compiled = mx.compile(counted, shapeless=True)
    with mx.engine("numpy"):
        for shapes in [use.first, *use.others, use.first]:
            inputs = inputs_of(shapes)
            assert_same(compiled(*inputs), use.function(*inputs))
    assert runs == [1]


@pytest.mark.parametrize("use", USES, ids=lambda use: use.name)
def test_axes_of_one_element_are_no_special_case(use: Use) -> None:
    """Traced for one element on every axis and called with more, and the other way round."""
    single = [tuple(1 for _ in shape) for shape in use.first]
    with mx.engine("numpy"):
        try:
            mx.eval(use.function(*inputs_of(single)))
        except (ValueError, IndexError):
            compiled = mx.compile(use.function, shapeless=True)
            compiled(*inputs_of(use.first))
            with pytest.raises((ValueError, IndexError)):
                mx.eval(compiled(*inputs_of(single)))
            return
        for shapes in ([single, use.first], [use.first, single]):
            compiled = mx.compile(use.function, shapeless=True)
            for inputs in map(inputs_of, shapes):
                assert_same(compiled(*inputs), use.function(*inputs))


SEQUENCES = [(2, 6, 4), (4, 3, 4), (3, 7, 4), (1, 12, 4)]
IMAGES = [(2, 6, 5, 4), (2, 8, 7, 4), (4, 6, 5, 4), (4, 3, 5, 4)]
LAYERS: list[tuple[str, nn.Module, list[tuple[int, ...]]]] = [
    ("Linear", nn.Linear(4, 3), SEQUENCES),
    ("LayerNorm", nn.LayerNorm(4), SEQUENCES),
    ("InstanceNorm", nn.InstanceNorm(4), SEQUENCES),
    ("BatchNorm", nn.BatchNorm(4), SEQUENCES),
    ("GroupNorm", nn.GroupNorm(2, 4), SEQUENCES),
    ("GroupNorm of neighbours", nn.GroupNorm(2, 4, pytorch_compatible=True), IMAGES),
    ("Conv2d", nn.Conv2d(4, 3, 2, padding=1), IMAGES),
    ("ConvTranspose2d", nn.ConvTranspose2d(4, 3, 2, stride=2), IMAGES),
    ("MaxPool1d", nn.MaxPool1d(2), SEQUENCES),
    ("MaxPool2d", nn.MaxPool2d(2), IMAGES),
    ("MaxPool2d that overlaps", nn.MaxPool2d(3, 1, padding=1), IMAGES),
    ("AvgPool2d", nn.AvgPool2d(3, 2), IMAGES),
    ("GLU", nn.GLU(), SEQUENCES),
    ("RoPE", nn.RoPE(4), SEQUENCES),
    ("Dropout", nn.Dropout(0.5), SEQUENCES),
]


@pytest.mark.parametrize(("layer", "shapes"), [case[1:] for case in LAYERS], ids=[name for name, *_ in LAYERS])
def test_layers_take_any_size(layer: nn.Module, shapes: list[tuple[int, ...]]) -> None:
    layer.train(not isinstance(layer, nn.BatchNorm | nn.Dropout))
    for first in shapes[:2]:
        compiled = mx.compile(layer, shapeless=True)
        compiled(floats(first))
        for shape in shapes:
            assert_same(compiled(floats(shape)), layer(floats(shape)))


@pytest.mark.parametrize("mask", [None, "causal"])
def test_attention_takes_any_size(mask: str | None) -> None:
    attention = nn.MultiHeadAttention(4, 2)
    compiled = mx.compile(lambda x, y: attention(x, y, y, mask=mask), shapeless=True)
    for queries, keys in (
        ((2, 6, 4), (2, 6, 4)),
        ((4, 3, 4), (4, 5, 4)),
        ((1, 12, 4), (1, 12, 4)),
        ((2, 7, 4), (2, 9, 4)),
    ):
        x, y = floats(queries), floats(keys, 1)
        assert_same(compiled(x, y), attention(x, y, y, mask=mask))


def counting(function: Callable[..., Any]) -> tuple[Callable[..., Any], list[int]]:
    """A shapeless program of a function, and how often that has run in Python."""
    runs = [0]

    def counted(*args: Any, **kwargs: Any) -> Any:
        runs[0] += 1
        return function(*args, **kwargs)

    return mx.compile(counted, shapeless=True), runs


# ------------------------------------------------------------------ what is constant


@pytest.mark.parametrize(
    "function",
    [lambda x: x.sum() / x.size, lambda x: x.sum() / x.shape[0], lambda x: x.sum() / len(x)],
    ids=["size", "shape", "len"],
)
def test_numbers_read_from_a_shape_are_constants(function: Callable[..., Any]) -> None:
    compiled, runs = counting(function)
    assert compiled(mx.array([0.0, 1.0])).item() == 0.5
    assert compiled(mx.array([0.0, 1.0, 2.0, 3.0])).item() == 3.0  # 6 / 2
    assert runs == [1]


def test_shapes_are_plain_numbers_inside() -> None:
    seen: list[Any] = []

    def function(x: mx.array) -> mx.array:
        seen.extend((x.shape, x.size, x.nbytes, len(x)))
        return x[1:]

    mx.compile(function, shapeless=True)(mx.zeros((3, 2)))
    assert seen == [(3, 2), 6, 24, 3]
    assert [type(extent) for extent in seen[0]] == [int, int]


def test_draws_of_the_shape_of_an_argument_keep_their_shape() -> None:
    key = mx.random.key(3)
    compiled, _ = counting(lambda x: mx.random.normal(x.shape, key=key))
    assert_same(compiled(mx.zeros(3)), mx.random.normal((3,), key=key))
    assert_same(compiled(mx.zeros(5)), mx.random.normal((3,), key=key))


def test_a_constant_of_the_first_shape_is_made_anew_where_it_does_not_fit() -> None:
    compiled, runs = counting(lambda x: x + mx.ones(x.shape))
    assert compiled(mx.zeros(3)).tolist() == [1, 1, 1]
    assert compiled(mx.zeros(5)).tolist() == [1, 1, 1, 1, 1]
    assert runs == [2]


def test_captured_arrays_are_constants() -> None:
    weight = mx.array([1.0, 2.0])
    holder = {"weight": weight}
    compiled, _ = counting(lambda x: x * holder["weight"])
    assert compiled(mx.ones((1, 2))).tolist() == [[1, 2]]
    holder["weight"] = weight + 5
    assert compiled(mx.ones((3, 2))).tolist() == [[1, 2]] * 3


def test_a_reshape_to_constants_refuses_what_does_not_fit() -> None:
    compiled, runs = counting(lambda x: x.reshape(x.shape[0] * x.shape[1], -1))
    assert compiled(mx.zeros((2, 3, 4))).shape == (6, 4)
    assert compiled(mx.zeros((2, 3, 8))).shape == (6, 8)
    with pytest.raises(ValueError, match=r"\[reshape\].*\(6, -1\)"):
        compiled(mx.zeros((5, 5, 5)))
    assert compiled(mx.zeros((4, 3, 2))).shape == (6, 4)
    assert runs == [1]


def test_unflattening_follows_the_axis() -> None:
    compiled, runs = counting(lambda x: mx.unflatten(x, 0, (2, -1)))
    assert compiled(mx.arange(6)).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert compiled(mx.arange(4)).tolist() == [[0, 1], [2, 3]]
    assert runs == [1]
    with pytest.raises(ValueError, match=r"\[unflatten\] Cannot reshape array of size 5 into shape \(2, -1\)"):
        compiled(mx.arange(5))


# ------------------------------------------------------------------ what is traced anew


def test_another_rank_or_dtype_is_another_signature() -> None:
    compiled, runs = counting(lambda x: x.sum(0))
    assert compiled(mx.array([1.0, 2.0])).item() == 3
    assert compiled(mx.array([[1.0, 2.0], [3.0, 4.0]])).tolist() == [4, 6]
    assert runs == [2]
    assert compiled(mx.array([1, 2])).dtype == mx.int32
    assert runs == [3]
    assert compiled(mx.ones((5, 7))).tolist() == [5] * 7
    assert compiled(mx.ones(9)).item() == 9
    assert runs == [3]


def test_constant_arguments_are_part_of_the_signature() -> None:
    compiled, runs = counting(lambda x, axis: x.sum(axis))
    for shape in ((2, 3), (4, 5)):
        assert compiled(mx.ones(shape), 0).tolist() == [shape[0]] * shape[1]
        assert compiled(mx.ones(shape), axis=1).tolist() == [shape[1]] * shape[0]
    assert runs == [2]


def test_broadcasting_follows_the_sizes() -> None:
    compiled, _ = counting(lambda x, y: x + y)
    for left, right in ([1, 3], [3, 3], [3, 1], [1, 1], [5, 1], [1, 5], [5, 5]):
        x, y = floats((left, 2)), floats((right, 2), 1)
        assert_same(compiled(x, y), x + y)
    with pytest.raises(ValueError, match="broadcast"):
        compiled(floats((2, 2)), floats((3, 2)))


def test_gradients_follow_what_is_broadcast() -> None:
    gradient = mx.grad(lambda x, y: (mx.sin(x) * y).sum(), (0, 1))
    compiled, _ = counting(gradient)
    for left, right in ([1, 3], [3, 3], [3, 1], [1, 1]):
        x, y = floats((left, 2)), floats((2, right, 2), 1)
        assert_same(compiled(x, y), gradient(x, y))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: sum(row * i for i, row in enumerate(x)),
        lambda x: mx.stack(list(x)[::-1]),
        lambda x: mx.stack(mx.unstack(x), axis=1),
        lambda x: mx.stack([*x, x[0]]),
    ],
    ids=["sum", "list", "unstack", "star"],
)
def test_loops_over_an_array_run_as_often_as_it_is_long(function: Callable[..., Any]) -> None:
    compiled, runs = counting(function)
    for count in (2, 4, 3):
        assert_same(compiled(floats((count, 3))), function(floats((count, 3))))
    assert runs == [3]
    assert_same(compiled(floats((2, 5))), function(floats((2, 5))))
    assert runs == [3]


def test_differences_of_a_higher_order_than_the_axis_is_long() -> None:
    compiled, _ = counting(lambda x: mx.diff(x, 5))
    for count in (3, 4, 9):
        assert_same(compiled(floats((count,))), mx.diff(floats((count,)), 5))


def test_slices_that_reach_over_the_end() -> None:
    compiled, _ = counting(lambda x: x[1:4])
    for count in (2, 3, 0, 1, 6, 4):
        assert compiled(mx.arange(count)).tolist() == list(range(count))[1:4]


def test_an_index_that_is_out_of_range_for_some_sizes() -> None:
    compiled, _ = counting(lambda x: x[2])
    assert compiled(mx.array([1, 2, 3])).item() == 3
    with pytest.raises(IndexError):
        compiled(mx.array([1, 2]))
    assert compiled(mx.array([1, 2, 3, 4])).item() == 3


def test_an_axis_that_becomes_empty() -> None:
    compiled, _ = counting(lambda x: mx.max(x, axis=0))
    assert compiled(mx.ones((2, 3))).tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match=r"\[max\]"):
        compiled(mx.ones((0, 3)))
    assert compiled(mx.ones((4, 0))).shape == (0,)


@pytest.mark.parametrize("engine", ["numpy", "xla"])
def test_values_that_are_asked_for_inside_belong_to_their_sizes(engine: str) -> None:
    def function(x: mx.array) -> mx.array:
        zeros = mx.zeros_like(x)
        mx.eval(zeros)
        counts = mx.cumsum(mx.ones_like(x))
        assert counts.tolist()[-1] == x.size
        return x + zeros + counts

    compiled, runs = counting(function)
    with mx.engine(engine):
        for count in (2, 5, 2):
            assert_same(compiled(mx.ones(count)), function(mx.ones(count)))
    assert runs == [2]


def test_a_failing_function_leaves_nothing_behind() -> None:
    def function(x: mx.array) -> mx.array:
        y = mx.zeros_like(x) + 1
        if x.shape[0] == 3:
            raise KeyError("three")
        return y

    compiled, runs = counting(function)
    with pytest.raises(KeyError):
        compiled(mx.ones(3))
    assert compiled(mx.ones(4)).tolist() == [1] * 4
    assert compiled(mx.ones(3)).tolist() == [1] * 3
    assert runs == [2]
    assert mx.ones(3).shape == (3,)


# ------------------------------------------------------------------ with other transforms, state and engines


def test_a_shapeless_program_is_differentiated_for_each_size() -> None:
    def loss(x: mx.array) -> mx.array:
        return mx.mean(mx.softmax(x) * x)

    compiled, runs = counting(loss)
    for count in (3, 5):
        assert_same(mx.grad(compiled)(floats((count,))), mx.grad(loss)(floats((count,))))
    assert runs == [1]


def test_a_shapeless_program_is_mapped_for_each_size() -> None:
    compiled, _ = counting(lambda x: x - mx.mean(x))
    for shape in ((2, 3), (4, 5)):
        x = floats(shape)
        assert_same(mx.vmap(compiled)(x), x - mx.mean(x, axis=1, keepdims=True))
        assert_same(mx.jvp(compiled, [x], [x])[1][0], x - mx.mean(x))


def test_custom_rules_inside_a_shapeless_program() -> None:
    double = mx.custom_function(lambda x: x * 2)
    double.vjp(lambda x, cotangent, output: cotangent * 2 + 0 * x)
    double.jvp(lambda x, tangent: tangent * 2)
    double.vmap(lambda x, axis: (x * 2, axis))

    def loss(x: mx.array) -> mx.array:
        return mx.mean(double(x) ** 2)

    compiled, _ = counting(loss)
    inside, _ = counting(mx.grad(loss))
    for count in (3, 5):
        x = floats((count,))
        expected = 8 * x / count
        assert_same(mx.grad(compiled)(x), expected)
        assert_same(inside(x), expected)
        assert_same(mx.jvp(compiled, [x], [mx.ones(count)])[1][0], expected.sum())
        rows = floats((2, count))
        assert_same(mx.vmap(compiled)(rows), mx.mean(4 * rows**2, axis=1))
        assert_same(mx.vmap(mx.grad(compiled))(rows), 8 * rows / count)


def test_checkpoints_inside_a_shapeless_program() -> None:
    def loss(x: mx.array) -> mx.array:
        return mx.checkpoint(lambda y: mx.mean(y**3 + mx.zeros_like(y)))(x)

    compiled, _ = counting(loss)
    for count in (3, 5):
        x, rows = floats((count,)), floats((2, count))
        assert_same(mx.grad(compiled)(x), 3 * x**2 / count)
        assert_same(mx.vmap(compiled)(rows), mx.mean(rows**3, axis=1))
        assert_same(mx.vmap(mx.grad(compiled))(rows), 3 * rows**2 / count)


def test_sizes_of_an_outer_trace_pass_through_an_inner_one() -> None:
    inner_runs = [0]

    def inner(x: mx.array, y: mx.array) -> mx.array:
        inner_runs[0] += 1
        return mx.mean(x) + y.sum()

    for options in ({}, {"shapeless": True}):
        helper = mx.compile(inner, **options)
        outer, runs = counting(lambda x, helper=helper: helper(x[1:], mx.array([1.0, 2.0])) + helper(x, x))
        for count in (3, 6, 4):
            x = floats((count,))
            assert_same(outer(x), x[1:].mean() + 3 + x.mean() + x.sum())
        assert runs == [1]


def test_an_inner_trace_that_reads_arrays_of_the_outer_one() -> None:
    outer, _ = counting(lambda x: mx.compile(lambda y: y * mx.mean(x) + mx.zeros_like(x).sum(), shapeless=True)(x + 1))
    for count in (3, 6):
        x = floats((count,))
        assert_same(outer(x), (x + 1) * mx.mean(x))


def test_state_is_captured_for_any_size() -> None:
    state = {"total": mx.array(0.0), "seen": [mx.zeros(2)]}
    runs = [0]

    def add(x: mx.array) -> mx.array:
        runs[0] += 1
        state["total"] = state["total"] + mx.mean(x)
        state["seen"][0] = mx.concatenate([state["seen"][0], x])
        return state["total"]

    compiled = mx.compile(add, inputs=[state], outputs=[state], shapeless=True)
    assert compiled(mx.array([1.0, 3.0])).item() == 2
    assert compiled(mx.array([5.0])).item() == 7
    assert compiled(mx.array([1.0, 2.0, 3.0])).item() == 9
    assert state["seen"][0].tolist() == [0, 0, 1, 3, 5, 1, 2, 3]
    assert runs == [1]


def test_a_training_step_takes_batches_of_any_size() -> None:
    def step(parameters: dict[str, mx.array], x: mx.array, y: mx.array) -> tuple[mx.array, dict[str, mx.array]]:
        def loss(parameters: dict[str, mx.array]) -> mx.array:
            hidden = mx.maximum(x @ parameters["w"] + parameters["b"], 0)
            return nn.losses.mse_loss(mx.mean(hidden, axis=1), y, reduction="mean")

        value, gradients = mx.value_and_grad(loss)(parameters)
        return value, {name: p - 0.1 * gradients[name] for name, p in parameters.items()}

    compiled, runs = counting(step)
    parameters = {"w": floats((4, 6)) / 5, "b": mx.zeros(6)}
    for count in (8, 5, 16, 2):
        x, y = floats((count, 4), 1), floats((count,), 2)
        got, expected = compiled(parameters, x, y), step(parameters, x, y)
        assert_same([got[0], *got[1].values()], [expected[0], *expected[1].values()])
    assert runs == [1]


@pytest.mark.parametrize("engine", ["numpy", "xla"])
def test_both_engines_run_shapeless_programs(engine: str) -> None:
    def function(x: mx.array, w: mx.array) -> mx.array:
        return mx.var(x[:, ::-1] @ w, axis=0) + mx.mean(mx.pad(x, 1)) + mx.cumsum(mx.ones_like(w), 0)[-1]

    compiled, runs = counting(function)
    for count in (3, 5):
        inputs = floats((count, 4)), floats((4, count), 1)
        with mx.engine(engine):
            got = compiled(*inputs)
            mx.eval(got)
        with mx.engine("numpy"):
            assert_same(got, function(*inputs))
    assert runs == [1]

"""Products with masked blocks and over segments, against their definitions in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx
from mlx.primitives import segmented_matmul

ENGINES = ("numpy", "xla")


def numbers(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def spread(mask: Any, size: int, rows: int, columns: int) -> Any:
    """A mask of blocks as one of elements."""
    return mask.repeat(size, -2).repeat(size, -1)[..., :rows, :columns]


def masked_product(a: Any, b: Any, size: int, out: Any = None, lhs: Any = None, rhs: Any = None) -> Any:
    if lhs is not None:
        a = a * spread(lhs, size, *a.shape[-2:])
    if rhs is not None:
        b = b * spread(rhs, size, *b.shape[-2:])
    product = a @ b
    return product if out is None else product * spread(out, size, *product.shape[-2:])


def masks(size: int, m: int, k: int, n: int, batch: tuple[int, ...] = ()) -> list[Any]:
    blocks = [-(-extent // size) for extent in (m, k, n)]
    shapes = ((blocks[0], blocks[2]), blocks[:2], blocks[1:])
    return [numbers(*batch, *shape, seed=i) for i, shape in enumerate(shapes)]


# ---------------------------------------------------------------------- masked blocks


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("size", "m", "k", "n"), [(32, 70, 50, 90), (64, 70, 130, 64), (32, 1, 33, 5)])
@pytest.mark.parametrize("which", [(0,), (1, 2), (0, 1, 2)])
def test_masks_of_every_kind(engine: str, size: int, m: int, k: int, n: int, which: tuple[int, ...]) -> None:
    a, b = numbers(m, k), numbers(k, n, seed=1)
    given = [mask if i in which else None for i, mask in enumerate(masks(size, m, k, n))]
    with mx.engine(engine):
        for kind in (lambda x: x > 0, lambda x: x, lambda x: x.astype(np.float16), lambda x: (3 * x).astype(np.int32)):
            mine = [None if mask is None else kind(mask) for mask in given]
            out = mx.block_masked_mm(mx.array(a), mx.array(b), size, *(x if x is None else mx.array(x) for x in mine))
            np.testing.assert_allclose(out, masked_product(a, b, size, *mine), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_batches(engine: str) -> None:
    a, b = numbers(1, 2, 40, 50), numbers(3, 1, 50, 33, seed=1)
    with mx.engine(engine):
        for batch in ((3, 2), (1, 2), ()):
            factors = masks(32, 40, 50, 33, batch)
            out = mx.block_masked_mm(mx.array(a), mx.array(b), 32, *map(mx.array, factors))
            np.testing.assert_allclose(out, masked_product(a, b, 32, *factors), rtol=1e-4, atol=1e-4)


def test_masks_broadcast_and_vectors_are_matrices() -> None:
    a, b = numbers(40, 50), numbers(50, 33, seed=1)
    out = mx.block_masked_mm(mx.array(a), mx.array(b), 32, mx.array([[True], [False]]), mx.array(2.0))
    expected = 2 * a @ b
    expected[32:] = 0
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)
    last = mx.array([False, True])
    expected = a[0] @ b
    expected[:32] = 0
    np.testing.assert_allclose(mx.block_masked_mm(mx.array(a[0]), mx.array(b), 32, last), expected, rtol=1e-4)
    assert mx.block_masked_mm(mx.array(a), mx.array(b[:, 0]), 32, mx.array(True)).shape == (40,)
    assert mx.block_masked_mm(mx.array(a[0]), mx.array(b[:, 0]), 32, mx.array(True)).shape == ()


def test_without_masks_it_is_the_matrix_product() -> None:
    a, b = mx.array(numbers(4, 5)), mx.array(numbers(5, 6, seed=1))
    np.testing.assert_allclose(mx.block_masked_mm(a, b, 7), a @ b)
    assert mx.block_masked_mm(a * 1j, b).dtype == mx.complex64


def test_what_a_boolean_mask_leaves_out_has_no_effect() -> None:
    a, b = numbers(64, 64), numbers(64, 64, seed=1)
    a[:32, :32] = np.nan
    lhs, out = np.array([[False, True], [True, True]]), np.array([[False, False], [True, True]])
    assert not mx.isnan(mx.block_masked_mm(mx.array(a), mx.array(b), 32, None, mx.array(lhs))).any().item()
    product = mx.block_masked_mm(mx.array(a), mx.array(b), 32, mx.array(out))
    assert not mx.isnan(product).any().item()
    assert not product[:32].any().item()
    assert mx.isnan(mx.block_masked_mm(mx.array(a), mx.array(b), 32, mx.array(1.0 * out))).any().item()


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float64])
def test_dtypes_of_masked_products(dtype: mx.Dtype) -> None:
    a, b = mx.array(numbers(40, 8)), mx.array(numbers(8, 40, seed=1))
    out = mx.block_masked_mm(a.astype(dtype), b.astype(dtype), 32, mx.eye(2))
    assert out.dtype == dtype
    expected = (np.array(a) @ np.array(b)) * spread(np.eye(2), 32, 40, 40)
    np.testing.assert_allclose(np.array(out.astype(mx.float32)), expected, rtol=0.05, atol=0.1)
    assert mx.block_masked_mm(a, b.astype(mx.int32), 32, mx.eye(2)).dtype == mx.float32


@pytest.mark.parametrize("engine", ENGINES)
def test_derivatives_reach_operands_and_masks(engine: str) -> None:
    arguments = [numbers(40, 34), numbers(34, 33, seed=1), *masks(32, 40, 34, 33)]

    def loss(a: Any, b: Any, *factors: Any) -> Any:
        return (mx.block_masked_mm(a, b, 32, *factors) ** 2).sum()

    def loss_numpy(*arguments: Any) -> Any:
        a, b, *factors = (x.astype(np.float64) for x in arguments)
        return (masked_product(a, b, 32, *factors) ** 2).sum()

    with mx.engine(engine):
        given = [mx.array(x, mx.float64) for x in arguments]
        gradients = mx.grad(loss, tuple(range(5)))(*given)
        _, (slope,) = mx.jvp(loss, given, [mx.ones_like(x) for x in given])
    total = 0.0
    for i, gradient in enumerate(gradients):
        direction = np.random.default_rng(i).standard_normal(gradient.shape)
        ends = [
            loss_numpy(*(x.astype(np.float64) + (step * direction if j == i else 0) for j, x in enumerate(arguments)))
            for step in (1e-5, -1e-5)
        ]
        np.testing.assert_allclose((np.array(gradient) * direction).sum(), (ends[0] - ends[1]) / 2e-5, rtol=1e-6)
        total += np.array(gradient).sum()
    np.testing.assert_allclose(slope, total, rtol=1e-9)


def test_vmap_of_masked_products() -> None:
    a, b, mask = mx.array(numbers(3, 40, 5)), mx.array(numbers(5, 40)), mx.array(numbers(3, 2, 2)) > 0
    out = mx.vmap(lambda a, mask: mx.block_masked_mm(a, b, 32, mask))(a, mask)
    expected = masked_product(np.array(a), np.array(b), 32, np.array(mask))
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"block_size": 16}, ValueError, "block_size must be 32 or 64, got 16"),
        ({"block_size": 0}, ValueError, "block_size must be 32 or 64, got 0"),
        ({"block_size": 32.0}, TypeError, "block_size must be an int"),
        ({"mask_out": mx.ones((3, 2))}, ValueError, r"mask_out of shape \(3, 2\) must broadcast to \(2, 2\)"),
        ({"mask_lhs": mx.ones((5, 2, 1))}, ValueError, r"mask_lhs of shape \(5, 2, 1\) must broadcast to \(2, 1\)"),
        ({"mask_rhs": mx.ones((2, 2))}, ValueError, r"mask_rhs of shape \(2, 2\) must broadcast to \(1, 2\)"),
        ({"mask_out": mx.ones((2, 2), mx.complex64)}, ValueError, "must be boolean or real"),
        ({"mask_out": np.ones((2, 2))}, TypeError, "mask_out must be an mx.array"),
        ({"a": mx.ones((40, 6))}, ValueError, "must match second to last"),
        ({"a": mx.array(1.0)}, ValueError, "a has no axes"),
        ({"a": mx.ones((40, 5), mx.int32), "b": mx.ones((5, 40), mx.int32)}, ValueError, "int32"),
        ({"a": mx.ones((40, 5), mx.complex64)}, ValueError, "complex64"),
    ],
)
def test_bad_arguments_of_masked_products(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments = {"a": mx.ones((40, 5)), "b": mx.ones((5, 40)), "block_size": 32, "mask_out": mx.ones((2, 2)), **change}
    with pytest.raises(error, match=message) as caught:
        mx.block_masked_mm(arguments.pop("a"), arguments.pop("b"), **arguments)
    assert str(caught.value).startswith("[block_masked_mm]")


# ---------------------------------------------------------------------- segments


def segmented_product(a: Any, b: Any, segments: Any) -> Any:
    products = [a[:, i:j] @ b[i:j] for i, j in segments.reshape(-1, 2)]
    return np.array(products).reshape(*segments.shape[:-1], a.shape[0], b.shape[1])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", [mx.uint8, mx.uint16, mx.uint32, mx.uint64, mx.int8, mx.int16, mx.int32, mx.int64])
def test_segments_of_any_dtype(engine: str, dtype: mx.Dtype) -> None:
    a, b = numbers(3, 100), numbers(100, 4, seed=1)
    segments = np.array([[0, 30], [30, 100], [50, 50], [20, 40], [99, 100], [0, 100]])
    with mx.engine(engine):
        out = mx.segmented_mm(mx.array(a), mx.array(b), mx.array(segments, dtype))
        np.testing.assert_allclose(out, segmented_product(a, b, segments), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_segments_mean_what_slices_mean(engine: str) -> None:
    a, b = numbers(3, 10), numbers(10, 4, seed=1)
    segments = np.array([[-4, -1], [-20, 3], [7, 50], [5, 2], [12, 15]])
    with mx.engine(engine):
        out = mx.segmented_mm(mx.array(a), mx.array(b), mx.array(segments))
        np.testing.assert_allclose(out, segmented_product(a, b, segments), rtol=1e-4, atol=1e-5)
        large = mx.array([[2, 2**63 + 5]], mx.uint64)
        out = mx.segmented_mm(mx.array(a), mx.array(b), large)[0]
        np.testing.assert_allclose(out, a[:, 2:] @ b[2:], rtol=1e-4, atol=1e-5)  # one sum is 0.00007 of terms of 1


@pytest.mark.parametrize("engine", ENGINES)
def test_shapes_of_segmented_products(engine: str) -> None:
    a, b = mx.array(numbers(3, 10)), mx.array(numbers(10, 4, seed=1))
    segments = np.sort(np.random.default_rng(0).integers(0, 11, (2, 3, 2)), -1)
    with mx.engine(engine):
        out = mx.segmented_mm(a.T.T, b, mx.array(segments))
        np.testing.assert_allclose(out, segmented_product(np.array(a), np.array(b), segments), rtol=1e-4, atol=1e-5)
        assert mx.segmented_mm(a, b, mx.array([2, 5])).shape == (3, 4)
        assert mx.segmented_mm(a, b, mx.zeros((0, 2), mx.int32)).shape == (0, 3, 4)
        nothing = mx.segmented_mm(a[:, :0], b[:0], mx.array([[0, 0], [0, 3]]))
        assert nothing.shape == (2, 3, 4)
        assert not nothing.any().item()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.float64])
def test_dtypes_of_segmented_products(engine: str, dtype: mx.Dtype) -> None:
    a, b = numbers(2, 90), numbers(90, 3, seed=1)
    segments = np.array([[0, 80], [80, 90]])
    with mx.engine(engine):
        out = mx.segmented_mm(mx.array(a).astype(dtype), mx.array(b).astype(dtype), mx.array(segments))
        assert out.dtype == dtype
        expected = segmented_product(a, b, segments)
        np.testing.assert_allclose(np.array(out.astype(mx.float32)), expected, rtol=0.05, atol=0.2)
        assert mx.segmented_mm(mx.array(a), mx.array(b).astype(dtype), mx.array(segments)).dtype == (
            mx.float64 if dtype == mx.float64 else mx.float32
        )


@pytest.mark.parametrize("engine", ENGINES)
def test_pieces_of_segments_do_not_read_beyond_them(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmented_matmul, "_LARGEST_PIECE", 16)
    a, b = numbers(2, 100), numbers(100, 3, seed=1)
    a[:, 60:], b[60:] = np.nan, np.inf
    segments = np.array([[0, 60], [59, 60], [16, 32], [3, 35]])
    with mx.engine(engine):
        out = mx.segmented_mm(mx.array(a), mx.array(b), mx.array(segments))
        np.testing.assert_allclose(out, segmented_product(a, b, segments), rtol=1e-4, atol=1e-5)
        slopes = mx.grad(lambda a, b: mx.segmented_mm(a, b, mx.array(segments)).sum(), (0, 1))(mx.array(a), mx.array(b))
    times = sum(np.isin(np.arange(100), np.arange(i, j)) for i, j in segments).astype(np.float32)
    np.testing.assert_allclose(slopes[0][0, :60], (times * np.nan_to_num(b).sum(1))[:60], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(slopes[1][:60, 0], (times * np.nan_to_num(a).sum(0))[:60], rtol=1e-4, atol=1e-5)
    assert not slopes[0][:, 60:].any().item()
    assert not slopes[1][60:].any().item()


def test_vmap_over_every_operand_of_segmented_products() -> None:
    a, b = mx.array(numbers(3, 2, 10)), mx.array(numbers(3, 10, 4, seed=1))
    segments = mx.array(np.sort(np.random.default_rng(0).integers(-3, 11, (3, 5, 2)), -1))
    for axes in [(0, None, None), (None, 0, None), (None, None, 0), (0, 0, None), (0, 0, 0)]:
        arguments = [x if axis == 0 else x[0] for x, axis in zip((a, b, segments), axes, strict=True)]
        expected = [
            mx.segmented_mm(*(x[k] if axis == 0 else x for x, axis in zip(arguments, axes, strict=True)))
            for k in range(3)
        ]
        out = mx.vmap(mx.segmented_mm, axes)(*arguments)
        np.testing.assert_allclose(out, mx.stack(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"segments": mx.array([[0.0, 1.0]])}, ValueError, "Segments must be integral"),
        ({"segments": mx.array([[True, False]])}, ValueError, "Segments must be integral"),
        ({"segments": mx.array([[0, 1, 2]])}, ValueError, "should have shape"),
        ({"segments": mx.array(3)}, ValueError, "should have shape"),
        ({"segments": [[0, 1]]}, TypeError, "segments must be an mx.array"),
        ({"a": mx.ones((2, 3, 5))}, ValueError, "Batched matmul not supported"),
        ({"b": mx.ones((5,))}, ValueError, "Batched matmul not supported"),
        ({"b": mx.ones((4, 2))}, ValueError, "must match first dimension"),
        ({"a": mx.ones((3, 5), mx.int32), "b": mx.ones((5, 4), mx.bool_)}, ValueError, "int32"),
        ({"a": mx.ones((3, 5), mx.complex64)}, ValueError, "complex64"),
    ],
)
def test_bad_arguments_of_segmented_products(change: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments = {"a": mx.ones((3, 5)), "b": mx.ones((5, 4)), "segments": mx.array([[0, 2]]), **change}
    with pytest.raises(error, match=message) as caught:
        mx.segmented_mm(*arguments.values())
    assert str(caught.value).startswith("[segmented_mm]")

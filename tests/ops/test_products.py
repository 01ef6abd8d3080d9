"""Products of matrices, vectors and tensors: values by NumPy, shapes, dtypes, what is recorded, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx
from mlx.ir.walk import ancestors

INEXACT = (mx.float16, mx.bfloat16, mx.float32, mx.float64, mx.complex64)


def sample(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def close(result: Any, expected: Any) -> None:
    assert result.shape == np.shape(expected)
    np.testing.assert_allclose(np.array(result), expected, rtol=1e-5, atol=1e-5)


def recorded(result: Any) -> list[str]:
    """The names of the primitives that a pending array waits for."""
    return sorted(node.primitive.name for node in ancestors([result._node]) if node.inputs)


SHAPES = [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3, 4)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (3,)),
    ((3,), (5, 3, 2)),
    ((5, 1, 2, 3), (4, 3, 2)),
    ((5, 4, 2, 3), (5, 4, 3, 2)),
    ((2, 1, 4, 3), (1, 6, 3, 5)),
    ((1, 3), (3, 1)),
    ((0, 3), (3, 2)),
    ((2, 0), (0, 2)),
    ((0, 2, 3), (3, 2)),
]


@pytest.mark.parametrize(("left", "right"), SHAPES, ids=str)
def test_matmul_broadcasts_like_numpy(left: Any, right: Any) -> None:
    a, b = sample(*left), sample(*right, seed=1)
    close(mx.matmul(mx.array(a), mx.array(b)), a @ b)
    close(mx.array(a) @ mx.array(b), a @ b)


@pytest.mark.parametrize(("left", "right"), [shapes for shapes in SHAPES if len(shapes[0]) > 1 and len(shapes[1]) > 1])
def test_matmul_of_transposed_operands(left: Any, right: Any) -> None:
    a, b = sample(*left), sample(*right, seed=1)
    x = mx.swapaxes(mx.array(np.swapaxes(a, -1, -2)), -1, -2)
    y = mx.swapaxes(mx.array(np.swapaxes(b, 0, -1)), 0, -1)
    close(x @ y, a @ b)


@pytest.mark.parametrize(("left", "right"), SHAPES, ids=str)
def test_vmap_of_matmul_over_either_operand(left: Any, right: Any) -> None:
    a, b = sample(*left, 2), sample(2, *right, seed=1)
    both = [a[..., i] @ b[i] for i in range(2)]
    close(mx.vmap(mx.matmul, in_axes=(-1, 0))(mx.array(a), mx.array(b)), np.stack(both))
    close(
        mx.vmap(mx.matmul, in_axes=(-1, None))(mx.array(a), mx.array(b[0])),
        np.stack([a[..., i] @ b[0] for i in (0, 1)]),
    )
    close(
        mx.vmap(mx.matmul, in_axes=(None, 0))(mx.array(a[..., 0]), mx.array(b)),
        np.stack([a[..., 0] @ b[i] for i in (0, 1)]),
    )


def test_a_transposed_weight_is_absorbed_forward_and_backward() -> None:
    x, w = mx.array(sample(8, 3)), mx.array(sample(4, 3, seed=1))
    assert recorded(x @ w.T) == ["dot"]
    _, (dx, dw) = mx.vjp(lambda x, w: x @ w.T, [x, w], [mx.array(sample(8, 4, seed=2))])
    assert "transpose" not in recorded(dx) + recorded(dw)
    close(dw, sample(8, 4, seed=2).T @ sample(8, 3))
    close(dx, sample(8, 4, seed=2) @ sample(4, 3, seed=1))


def test_weights_under_batches_get_one_product_as_gradient() -> None:
    x, w, g = sample(2, 5, 3), sample(3, 4, seed=1), sample(2, 5, 4, seed=2)
    _, (dw,) = mx.vjp(lambda w: mx.array(x) @ w, [mx.array(w)], [mx.array(g)])
    assert "sum" not in recorded(dw)
    close(dw, np.einsum("bti,bto->io", x, g))


@pytest.mark.parametrize("dtype", INEXACT, ids=lambda dtype: dtype.name)
def test_inexact_dtypes_are_kept(dtype: Any) -> None:
    ones = mx.ones((2, 3)).astype(dtype)
    result = ones @ ones.T
    assert result.dtype == dtype
    assert result.tolist() == [[3, 3], [3, 3]]


def test_half_precision_is_summed_in_single() -> None:
    for dtype in (mx.float16, mx.bfloat16):
        for engine in ("numpy", "xla"):
            with mx.engine(engine):
                ones = mx.ones((1, 4096)).astype(dtype)
                assert (ones @ ones.T).item() == 4096.0


def test_operands_are_promoted() -> None:
    i, f = mx.array([[1, 2], [3, 4]]), mx.array([[1.0, 0.5], [0.0, 1.0]])
    assert (i @ f).tolist() == [[1.0, 2.5], [3.0, 5.5]]
    assert (f.astype(mx.float16) @ f.astype(mx.bfloat16)).dtype == mx.float32
    assert (f @ f.astype(mx.complex64)).dtype == mx.complex64


def test_complex_gradients_conjugate_the_other_operand() -> None:
    a, b = np.array([[1 + 2j, 3 - 1j]], np.complex64), np.array([[2 - 1j], [1j]], np.complex64)
    _, (da, db) = mx.vjp(mx.matmul, [mx.array(a), mx.array(b)], [mx.array([[1 + 0j]])])
    close(da, b.conj().T)
    close(db, a.conj().T)


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        ((), (2,), "a has no axes"),
        ((2,), (), "b has no axes"),
        ((2, 3), (2, 3), "must match second to last"),
        ((2, 2, 3), (3, 3, 2), "cannot be broadcast"),
    ],
)
def test_matmul_refuses_shapes_that_do_not_fit(left: Any, right: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mx.matmul(mx.ones(left), mx.ones(right))


def test_matmul_refuses_integers_and_numbers() -> None:
    with pytest.raises(ValueError, match=r"\[matmul\] Only inexact types .* int32 and int32"):
        mx.matmul(mx.array([[1]]), mx.array([[1]]))
    with pytest.raises(ValueError, match=r"results in bool"):
        mx.matmul(mx.array([True]), mx.array([True]))
    with pytest.raises(TypeError, match=r"\[matmul\] b must be an mx.array"):
        mx.matmul(mx.ones((2, 2)), 2.0)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- addmm


def test_addmm() -> None:
    c, a, b = sample(4), sample(3, 2, seed=1), sample(2, 4, seed=2)
    close(mx.addmm(mx.array(c), mx.array(a), mx.array(b)), c + a @ b)
    close(mx.addmm(mx.array(c), mx.array(a), mx.array(b), 0.5, -2.0), 0.5 * (a @ b) - 2 * c)
    close(mx.addmm(mx.array(c[0]), mx.array(a[0]), mx.array(b[:, 0])), c[0] + a[0] @ b[:, 0])


def test_addmm_records_no_factor_of_one_and_no_term_of_zero() -> None:
    c, a, b = (mx.array(np.ones(shape, np.float32)) for shape in ((2,), (3, 2), (2, 2)))
    assert recorded(mx.addmm(c, a, b)) == ["add", "dot"]
    assert mx.addmm(mx.array([float("nan"), 1.0]), a, b, beta=0.0).tolist() == [[2.0, 2.0]] * 3


@pytest.mark.parametrize("engine", ["numpy", "xla"])
@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16])
def test_addmm_in_half_precision_scales_before_it_rounds(engine: Any, dtype: mx.Dtype) -> None:
    """The product, 102400, is beyond the range of float16."""
    a, b, c = mx.full((4, 512), 2.0, dtype), mx.full((512, 3), 100.0, dtype), mx.ones((3,), dtype)
    with mx.engine(engine):
        out = mx.addmm(c, a, b, 0.125, 0.0)
        assert out.dtype == dtype
        assert out.tolist() == [[12800.0] * 3] * 4
        _, gradients = mx.vjp(lambda c, a, b: mx.addmm(c, a, b, 0.125, 2.0), [c, a, b], [mx.ones((4, 3), dtype)])
    assert [g.dtype for g in gradients] == [dtype] * 3
    assert [g[(0,) * g.ndim].item() for g in gradients] == [8.0, 37.5, 1.0]


def test_addmm_differentiates_all_three() -> None:
    c, a, b = sample(4), sample(3, 2, seed=1), sample(2, 4, seed=2)
    inputs = [mx.array(c), mx.array(a), mx.array(b)]
    _, (dc, da, db) = mx.vjp(lambda c, a, b: mx.addmm(c, a, b, 2.0, 3.0), inputs, [mx.ones((3, 4))])
    close(dc, np.full(4, 9.0))
    close(da, 2 * np.ones((3, 4)) @ b.T)
    close(db, 2 * a.T @ np.ones((3, 4)))


def test_addmm_refuses_what_does_not_fit() -> None:
    a, b = mx.ones((2, 3)), mx.ones((3, 2))
    with pytest.raises(ValueError, match="cannot be broadcast"):
        mx.addmm(mx.ones((3,)), a, b)
    with pytest.raises(ValueError, match=r"\[addmm\] c of shape \(4, 2, 2\) must broadcast"):
        mx.addmm(mx.ones((4, 2, 2)), a, b)
    with pytest.raises(ValueError, match=r"\[addmm\] Last dimension"):
        mx.addmm(mx.ones((2,)), a, a)
    with pytest.raises(ValueError, match=r"\[addmm\] Only inexact types"):
        mx.addmm(mx.array([1]), mx.array([[1]]), mx.array([[1]]))
    with pytest.raises(TypeError, match=r"\[addmm\] c must be an mx.array"):
        mx.addmm(1.0, a, b)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- tensordot, inner, outer, vecdot


@pytest.mark.parametrize(
    ("left", "right", "axes"),
    [
        ((2, 3, 4), (3, 4, 5), 2),
        ((2, 3), (3, 4), 1),
        ((2, 3), (4,), 0),
        ((2, 3, 4), (4, 3, 5), [[1, 2], [1, 0]]),
        ((2, 3, 4), (4, 3, 5), ([2, 1], (0, 1))),
        ((2, 3), (5, 3), [[-1], [-1]]),
        ((2, 3), (2, 3), [(0, 1), (0, 1)]),
        ((2, 0), (0, 3), 1),
        ((2,), (3,), [[], []]),
    ],
    ids=str,
)
def test_tensordot(left: Any, right: Any, axes: Any) -> None:
    a, b = sample(*left), sample(*right, seed=1)
    close(mx.tensordot(mx.array(a), mx.array(b), axes), np.tensordot(a, b, axes))


@pytest.mark.parametrize(
    ("axes", "error", "message"),
    [
        (3, ValueError, "must not exceed"),
        (-1, ValueError, "greater or equal to 0"),
        (1, ValueError, "same shape on the contracted axes"),
        ([[0], [0, 1]], ValueError, "same size"),
        ([[0], [0], [0]], ValueError, "list of two lists"),
        ([[0, 0], [0, 0]], ValueError, "must not repeat"),
        ([[5], [0]], IndexError, "Invalid axis 5"),
        ([0, 0], TypeError, "an int or two lists"),
    ],
    ids=str,
)
def test_tensordot_refuses(axes: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=r"\[tensordot\].*" + message):
        mx.tensordot(mx.ones((2, 3)), mx.ones((2, 3)), axes)


def test_inner() -> None:
    a, b = sample(2, 4, 3), sample(5, 3, seed=1)
    close(mx.inner(mx.array(a), mx.array(b)), np.inner(a, b))
    close(mx.inner(mx.array(a), mx.array(2.0)), 2 * a)
    assert mx.inner(mx.array([1j, 2j]), mx.array([1j, 2j])).item() == -5
    with pytest.raises(ValueError, match="same last dimension"):
        mx.inner(mx.ones((2, 3)), mx.ones((2, 4)))
    with pytest.raises(ValueError, match="Only inexact"):
        mx.inner(mx.array([1]), mx.array([1]))


def test_outer_flattens_and_keeps_dtypes() -> None:
    a, b = sample(2, 3), sample(4, seed=1)
    close(mx.outer(mx.array(a), mx.array(b)), np.outer(a, b))
    assert mx.outer(mx.array([1, 2], mx.int8), mx.array([3], mx.int8)).dtype == mx.int8
    assert mx.outer(mx.array([True, False]), mx.array([True])).tolist() == [[True], [False]]
    assert mx.outer(mx.array(2.0), mx.array(3.0)).tolist() == [[6.0]]
    assert mx.outer(mx.ones((3,)), mx.ones((0,))).shape == (3, 0)


def test_vecdot() -> None:
    a, b = sample(4, 3), sample(4, 3, seed=1)
    close(mx.vecdot(mx.array(a), mx.array(b)), (a * b).sum(-1))
    close(mx.vecdot(mx.array(a), mx.array(b), axis=0), (a * b).sum(0))
    assert mx.vecdot(mx.array([1, 2], mx.int8), mx.array([3, 4], mx.int8)).dtype == mx.int32
    assert mx.vecdot(mx.array([1j, 2j]), mx.array([1.0, 2.0])).item() == -5j


@pytest.mark.parametrize(
    ("left", "right", "axis", "error"),
    [
        ((), (2,), -1, ValueError),
        ((2, 3), (2, 4), -1, ValueError),
        ((2, 3), (4, 3), -1, ValueError),
        ((2, 3), (3,), -1, ValueError),
        ((2, 3), (2, 3), 2, IndexError),
        ((2, 3), (2, 3), 2, ValueError),
    ],
)
def test_vecdot_refuses(left: Any, right: Any, axis: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        mx.vecdot(mx.ones(left), mx.ones(right), axis=axis)

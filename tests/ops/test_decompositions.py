"""QR, Cholesky, LU and singular values: values by hand, from NumPy and SciPy, singular matrices, gradients, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg

import mlx.core as mx

ENGINES = ("numpy", "xla")


def matrix(*rows: Any, dtype: Any = mx.float32) -> Any:
    return mx.array(list(rows), dtype)


def close(x: Any, expected: Any, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(np.array(x, np.float64), expected, rtol=tolerance, atol=tolerance)


REGULAR = matrix([2.0, 1.0], [1.0, 3.0])


# ---------------------------------------------------------------------- QR and Cholesky


@pytest.mark.parametrize("engine", ENGINES)
def test_qr_has_the_signs_of_lapack(engine: Any) -> None:
    with mx.engine(engine):
        q, r = mx.linalg.qr(REGULAR)
        close(q, [[-0.894427, -0.447214], [-0.447214, 0.894427]])
        close(r, [[-2.236068, -2.236068], [0.0, 2.236068]])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 5), (1, 4), (4, 1), (2, 5, 3), (2, 2, 2, 4)])
def test_qr_multiplies_back(shape: tuple[int, ...], engine: Any) -> None:
    a = np.random.default_rng(0).normal(size=shape)
    with mx.engine(engine):
        q, r = mx.linalg.qr(mx.array(a, mx.float64))
        close(q @ r, a, 1e-12)
    order = min(shape[-2:])
    assert q.shape == (*shape[:-1], order)
    assert r.shape == (*shape[:-2], order, shape[-1])
    close(mx.swapaxes(q, -1, -2) @ q, np.broadcast_to(np.eye(order), (*shape[:-2], order, order)), 1e-12)
    assert mx.array_equal(r, mx.triu(r)).item()
    expected_q, expected_r = np.linalg.qr(a)
    close(q, expected_q, 1e-12)
    close(r, expected_r, 1e-12)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shape", [(0, 0), (5, 0), (0, 5), (3, 0, 0), (0, 4, 4)])
def test_qr_without_elements(shape: tuple[int, ...], engine: Any) -> None:
    with mx.engine(engine):
        q, r = mx.linalg.qr(mx.zeros(shape))
        mx.eval(q, r)
    expected_q, expected_r = np.linalg.qr(np.zeros(shape))
    assert (q.shape, r.shape) == (expected_q.shape, expected_r.shape)


def test_one_output_evaluated_before_the_other() -> None:
    a = REGULAR * 1
    q, r = mx.linalg.qr(a)
    del r
    close(mx.abs(q[0]), [0.894427, 0.447214])

    def loss(x: Any) -> Any:
        q, r = mx.linalg.qr(x)
        assert q[0, 0].item() < 0
        return (q @ r * r).sum()

    at_once = mx.grad(lambda x: (mx.linalg.qr(x)[0] @ mx.linalg.qr(x)[1] * mx.linalg.qr(x)[1]).sum())
    close(mx.grad(loss)(a), np.array(at_once(a)))


@pytest.mark.parametrize("engine", ENGINES)
def test_cholesky_reads_one_triangle(engine: Any) -> None:
    a = matrix([4.0, 100.0], [2.0, 5.0])
    with mx.engine(engine):
        close(mx.linalg.cholesky(a), [[2, 0], [1, 2]])
        close(mx.linalg.cholesky(a.T, upper=True), [[2, 1], [0, 2]])
        close(mx.grad(lambda x: mx.linalg.cholesky(x).sum())(a), [[0.1875, 0], [0.25, 0.25]])


@pytest.mark.parametrize("engine", ENGINES)
def test_cholesky_of_indefinite_matrices(engine: Any) -> None:
    indefinite = [matrix([1.0, 2.0], [2.0, 1.0]), matrix([0.0, 1.0], [1.0, 0.0]), matrix([1.0, 0.0], [0.0, -1.0])]
    batch = mx.stack([*indefinite, matrix([4.0, 2.0], [2.0, 5.0])])
    with mx.engine(engine):
        factors = np.array(mx.linalg.cholesky(batch))
    for factor in factors[:3]:
        assert np.isnan(factor[np.tril_indices(2)]).all()
        assert factor[0, 1] == 0
    close(factors[3], [[2, 0], [1, 2]])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cholesky_of_semidefinite_matrices(dtype: str, engine: Any) -> None:
    rng = np.random.default_rng(0)
    halves = [rng.normal(size=(6, rank)) for rank in (0, 1, 3, 5)]
    batch = mx.array(np.stack([half @ half.T for half in halves]), getattr(mx, dtype))
    with mx.engine(engine):
        factors = mx.linalg.cholesky(batch)
        close(factors @ mx.swapaxes(factors, -1, -2), np.array(batch), 2e-5 if dtype == "float32" else 1e-13)
        close(mx.linalg.cholesky(mx.ones((3, 3))), [[1, 0, 0], [1, 0, 0], [1, 0, 0]], 0)


# ---------------------------------------------------------------------- LU


@pytest.mark.parametrize("engine", ENGINES)
def test_lu_by_hand(engine: Any) -> None:
    """The largest of the first column, 4, comes first; then 1 - 6 / 2 is left."""
    a = matrix([2.0, 1.0], [4.0, 6.0])
    with mx.engine(engine):
        rows, lower, upper = mx.linalg.lu(a)
        factors, pivots = mx.linalg.lu_factor(a)
        assert (rows.tolist(), pivots.tolist()) == ([1, 0], [1, 1])
        close(lower, [[1, 0], [0.5, 1]], 0)
        close(upper, [[4, 6], [0, -2]], 0)
        close(factors, [[4, 6], [0.5, -2]], 0)
    assert rows.dtype == pivots.dtype == mx.uint32


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (5, 3), (3, 5), (1, 4), (4, 1), (2, 5, 3), (2, 1, 2, 4), (70, 90)])
def test_lu_as_scipy(shape: tuple[int, ...], dtype: str, engine: Any) -> None:
    a = np.random.default_rng(0).normal(size=shape).astype(dtype)
    tolerance = 2e-4 if dtype == "float32" else 1e-12
    with mx.engine(engine):
        x = mx.array(a, getattr(mx, dtype))
        rows, lower, upper = mx.linalg.lu(x)
        factors, pivots = mx.linalg.lu_factor(x)
        close(mx.take_along_axis(lower, rows[..., None], axis=-2) @ upper, a, tolerance)
    order = min(shape[-2:])
    assert (rows.shape, lower.shape, upper.shape, factors.shape, pivots.shape) == (
        shape[:-1],
        (*shape[:-1], order),
        (*shape[:-2], order, shape[-1]),
        shape,
        (*shape[:-2], order),
    )
    for index in np.ndindex(*shape[:-2]):
        expected = scipy.linalg.lu(a[index], p_indices=True)
        for mine, other in zip((rows, lower, upper), expected, strict=True):
            close(np.array(mine)[index], other, tolerance)
        packed, exchanges = scipy.linalg.lu_factor(a[index])
        close(np.array(factors)[index], packed, tolerance)
        assert np.array(pivots)[index].tolist() == exchanges.tolist()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shape", [(0, 0), (5, 0), (0, 5), (3, 0, 0), (0, 4, 4)])
def test_lu_without_elements(shape: tuple[int, ...], engine: Any) -> None:
    order = min(shape[-2:])
    with mx.engine(engine):
        rows, lower, upper = mx.linalg.lu(mx.zeros(shape))
        factors, pivots = mx.linalg.lu_factor(mx.zeros(shape))
        mx.eval(rows, lower, upper, factors, pivots)
    assert rows.tolist() == np.broadcast_to(np.arange(shape[-2]), shape[:-1]).tolist()
    assert (lower.shape, upper.shape) == ((*shape[:-1], order), (*shape[:-2], order, shape[-1]))
    assert (factors.shape, pivots.shape) == (shape, (*shape[:-2], order))


@pytest.mark.parametrize("engine", ENGINES)
def test_lu_of_singular_matrices_and_ones_that_are_not_finite(engine: Any) -> None:
    batch = mx.stack([mx.zeros((2, 2)), matrix([1.0, 2.0], [2.0, 4.0]), matrix([np.nan, 1.0], [1.0, 2.0])])
    with mx.engine(engine):
        rows, lower, upper = mx.linalg.lu(batch)
        close(lower[0], np.eye(2), 0)
        close(upper[0], np.zeros((2, 2)), 0)
        close(lower[1], [[1, 0], [0.5, 1]], 0)
        close(upper[1], [[2, 4], [0, 0]], 0)
        assert rows[:2].tolist() == [[0, 1], [1, 0]]
        assert np.isnan(np.array(upper[2])).any()


def test_the_rows_of_lu_have_a_zero_gradient() -> None:
    gradient = mx.grad(lambda a: mx.linalg.lu(a)[0].astype(mx.float32).sum())(matrix([2.0, 1.0], [4.0, 6.0]))
    close(gradient, np.zeros((2, 2)), 0)


def test_the_determinant_by_lu_has_the_gradient_of_the_determinant() -> None:
    """Rows are exchanged twice, so the product of the pivots has its sign."""
    a = matrix([2.0, 1.0, 0.5], [4.0, 6.0, 1.0], [1.0, -1.0, 3.0], dtype=mx.float64)
    by_pivots = mx.grad(lambda a: mx.diagonal(mx.linalg.lu_factor(a)[0]).prod())(a)
    close(by_pivots, np.array(mx.grad(mx.linalg.det)(a)), 1e-12)


@pytest.mark.parametrize("name", ["lu", "lu_factor"])
def test_what_lu_refuses(name: str) -> None:
    function = getattr(mx.linalg, name)
    for x in (mx.array(0.0), mx.array([0.0, 1.0])):
        with pytest.raises(ValueError, match=rf"^\[linalg.{name}\] a must have at least two axes"):
            function(x)
    for dtype in (mx.bool_, mx.int32, mx.float16, mx.bfloat16, mx.complex64):
        with pytest.raises(ValueError, match=rf"^\[linalg.{name}\] a must have type float32 or float64"):
            function(mx.eye(2).astype(dtype))


# ---------------------------------------------------------------------- singular values


@pytest.mark.parametrize("engine", ENGINES)
def test_singular_values_by_hand(engine: Any) -> None:
    """The squares are the eigenvalues of [[25, 20], [20, 25]], with eigenvectors along the two diagonals."""
    with mx.engine(engine):
        u, s, vt = mx.linalg.svd(matrix([3.0, 0.0], [4.0, 5.0]))
        close(s, [45**0.5, 5**0.5])
        close(mx.abs(vt), np.full((2, 2), 0.5**0.5))
        close((u * s) @ vt, [[3, 0], [4, 5]])
        close(mx.linalg.svd(matrix([3.0, 0.0], [4.0, 5.0]), compute_uv=False), [45**0.5, 5**0.5])


@pytest.mark.parametrize("engine", ENGINES)
def test_a_matrix_that_is_not_finite_has_no_decomposition(engine: Any) -> None:
    both = mx.stack([matrix([np.nan, 1.0], [2.0, 3.0]), 2 * mx.eye(2)])
    with mx.engine(engine):
        u, s, vt = mx.linalg.svd(both)
        values = mx.linalg.svd(both, compute_uv=False)
        mx.eval(u, s, vt, values)
    for x in (u, s, vt, values):
        assert np.isnan(np.array(x[0])).all()
    close(s[1], [2, 2])
    close(values[1], [2, 2])
    close(u[1] @ vt[1], np.eye(2))


def test_equal_singular_values_have_a_derivative_that_does_not_tell_them_apart() -> None:
    """The nuclear norm of A at the identity, and the sum of squares anywhere: U V^T and 2 A."""
    close(mx.grad(lambda x: mx.linalg.norm(x, "nuc"))(mx.eye(3)), np.eye(3))
    close(mx.grad(lambda x: (mx.linalg.svd(x, compute_uv=False) ** 2).sum())(2 * mx.eye(3)), 4 * np.eye(3))
    close(mx.grad(lambda x: (mx.linalg.svd(x)[1] ** 2).sum())(mx.zeros((2, 3))), np.zeros((2, 3)))


def test_vectors_of_equal_singular_values_have_finite_gradients() -> None:
    for a in (mx.eye(2), mx.zeros((2, 2)), mx.zeros((2, 3)), mx.diag(mx.array([2.0, 0.0]))):
        for loss in (lambda a: (mx.linalg.svd(a)[0][:, 0] ** 3).sum(), lambda a: (mx.linalg.svd(a)[2][0] ** 3).sum()):
            assert np.isfinite(np.array(mx.grad(loss)(a))).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_the_orthogonal_factor_has_its_gradient_where_singular_values_coincide(engine: Any) -> None:
    """Of A = Q P with P = 2: the change of Q is the antisymmetric part of Q^T dA over P, turned by Q."""
    q, _ = np.linalg.qr(np.array([[0.3, -1.1, 0.7], [1.9, 0.4, -0.6], [-0.8, 1.3, 0.5]]))
    weight = np.array([[1.0, 2.0, -1.0], [0.5, -3.0, 1.5], [2.5, 0.1, 0.7]])

    def loss(a: Any) -> Any:
        u, _, vt = mx.linalg.svd(a)
        return (u @ vt * mx.array(weight, mx.float64)).sum()

    turned = q.T @ weight
    with mx.engine(engine):
        close(mx.grad(loss)(mx.array(2 * q, mx.float64)), q @ (turned - turned.T) / 4, 1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_decomposition_that_where_leaves_out_gets_no_nan(engine: Any) -> None:
    batch = mx.stack([mx.full((3, 2), float("nan")), matrix([3.0, 0.0], [4.0, 5.0], [0.0, 1.0])])

    def loss(a: Any) -> Any:
        u, s, vt = mx.linalg.svd(a)
        parts = (u[..., 0] ** 4).sum(-1) + (s**3).sum(-1) + (vt[..., 0, :] ** 4).sum(-1)
        values = mx.linalg.svd(a, compute_uv=False).sum(-1)
        return mx.where(mx.array([False, True]), parts + values, 0).sum()

    with mx.engine(engine):
        gradient = np.array(mx.grad(loss)(batch))
    assert (gradient[0] == 0).all()
    assert np.isfinite(gradient[1]).all()
    assert (gradient[1] != 0).any()


def test_phases_cost_a_complex_decomposition_no_derivative() -> None:
    """Re <W, U S V^H> is linear in A with the gradient W."""
    rng = np.random.default_rng(0)
    for shape in ((3, 2), (2, 3), (3, 3)):
        a, w = (mx.array((rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)) for _ in "aw")

        def product(x: Any, w: Any = w) -> Any:
            u, s, vt = mx.linalg.svd(x)
            k = s.shape[-1]
            return mx.real(mx.conj(w) * ((u[:, :k] * s) @ vt[:k])).sum()

        gradient = np.array(mx.grad(product)(a))
        np.testing.assert_allclose(gradient, np.array(w), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [mx.float16, mx.bfloat16, mx.int32, mx.bool_])
def test_other_dtypes_have_no_singular_values(dtype: Any) -> None:
    with pytest.raises(ValueError, match=r"\[linalg\.svd\] a must have type float32, float64 or complex64"):
        mx.linalg.svd(mx.ones((2, 2), dtype))
    with pytest.raises(ValueError, match=r"\[linalg\.svd\] a must have at least two axes"):
        mx.linalg.svd(mx.ones((2,)))

"""`mx.linalg`: values by hand and from NumPy, shapes, dtypes, matrices without a result, gradients, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx

ENGINES = ("numpy", "xla")
SQUARE_ONLY = ("cholesky", "cholesky_inv", "det", "inv", "slogdet", "tri_inv")
REAL_ONLY = ("cholesky", "cholesky_inv", "inv", "qr", "tri_inv")


def matrix(*rows: Any, dtype: Any = mx.float32) -> Any:
    return mx.array(list(rows), dtype)


def close(x: Any, expected: Any, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(np.array(x, np.float64), expected, rtol=tolerance, atol=tolerance)


SINGULAR = matrix([1.0, 2.0], [2.0, 4.0])
REGULAR = matrix([2.0, 1.0], [1.0, 3.0])
MIXED = mx.stack([SINGULAR, REGULAR])


def test_the_module_is_the_public_one() -> None:
    assert mx.linalg.__name__ == "mlx.core.linalg"
    assert set(mx.linalg.__all__) <= set(dir(mx.linalg))
    assert mx.linalg.norm(mx.array([3.0, 4.0])).item() == 5.0


# ---------------------------------------------------------------------- factorisations


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


# ---------------------------------------------------------------------- linear systems


@pytest.mark.parametrize("engine", ENGINES)
def test_inverse_of_a_batch_with_a_singular_matrix(engine: Any) -> None:
    with mx.engine(engine):
        inverses = np.array(mx.linalg.inv(MIXED))
        solutions = np.array(mx.linalg.solve(MIXED, mx.array([1.0, 2.0])))
    assert np.isnan(inverses[0]).all()
    close(inverses[1], [[0.6, -0.2], [-0.2, 0.4]])
    assert np.isnan(solutions[0]).all()
    close(solutions[1], [0.2, 0.6])


@pytest.mark.parametrize("engine", ENGINES)
def test_triangular_inverse(engine: Any) -> None:
    a = matrix([3.0, 2.0], [7.0, 5.0])
    with mx.engine(engine):
        close(mx.linalg.tri_inv(a), [[1 / 3, 0], [-7 / 15, 0.2]])
        close(mx.linalg.tri_inv(a, upper=True), [[1 / 3, -2 / 15], [0, 0.2]])
        close(mx.linalg.cholesky_inv(a), [[0.3288889, -0.0933333], [-0.0933333, 0.04]])
        close(mx.linalg.cholesky_inv(a, upper=True), [[0.1288889, -0.0266667], [-0.0266667, 0.04]])
        singular = np.array(mx.linalg.tri_inv(matrix([3.0, 2.0], [7.0, 0.0])))
    assert np.isnan(singular[np.tril_indices(2)]).all()
    assert singular[0, 1] == 0


def test_triangular_solutions_are_as_accurate_as_substitution() -> None:
    n = 40
    a = np.tril(np.full((n, n), -1.0), -1) + np.eye(n)  # its inverse has elements up to 2**38
    b = np.ones(n)
    close(mx.linalg.solve_triangular(mx.array(a, mx.float64), mx.array(b, mx.float64)), 2.0 ** np.arange(n), 0)


@pytest.mark.parametrize("function", ["solve", "solve_triangular"])
@pytest.mark.parametrize(
    ("a", "b", "shape"),
    [
        ((2, 2), (2,), (2,)),
        ((2, 2), (2, 5), (2, 5)),
        ((3, 2, 2), (2,), (3, 2)),
        ((3, 2, 2), (2, 5), (3, 2, 5)),
        ((2, 2), (3, 2, 5), (3, 2, 5)),
        ((3, 1, 2, 2), (4, 2, 5), (3, 4, 2, 5)),
        ((0, 0), (0, 3), (0, 3)),
        ((0, 2, 2), (0, 2, 3), (0, 2, 3)),
        ((2, 2), (2, 0), (2, 0)),
    ],
)
def test_right_hand_sides_broadcast(function: str, a: Any, b: Any, shape: Any) -> None:
    left = mx.broadcast_to(mx.eye(a[-1]) * 2, a)
    x = getattr(mx.linalg, function)(left, mx.ones(b))
    assert x.shape == shape
    close(x, np.full(shape, 0.5))


@pytest.mark.parametrize("function", ["solve", "solve_triangular"])
def test_systems_take_the_dtype_that_both_promote_to(function: str) -> None:
    solve = getattr(mx.linalg, function)
    b = mx.array([1, 2])
    assert solve(REGULAR, b).dtype == mx.float32
    assert solve(REGULAR.astype(mx.int32), b.astype(mx.float64)).dtype == mx.float64
    for a_dtype, b_dtype in ((mx.int32, mx.int32), (mx.float16, mx.float16), (mx.float32, mx.complex64)):
        with pytest.raises(ValueError, match=rf"^\[linalg.{function}\] a and b must promote"):
            solve(REGULAR.astype(a_dtype), b.astype(b_dtype))


# ---------------------------------------------------------------------- determinants


@pytest.mark.parametrize("engine", ENGINES)
def test_determinants(engine: Any) -> None:
    rng = np.random.default_rng(3)
    with mx.engine(engine):
        for shape in ((1, 1), (2, 2), (3, 3), (5, 5), (3, 4, 4), (2, 3, 3, 3)):
            a = rng.normal(size=shape)
            sign, logarithm = mx.linalg.slogdet(mx.array(a, mx.float64))
            close(mx.linalg.det(mx.array(a, mx.float64)), np.linalg.det(a), 1e-10)
            close(sign, np.linalg.slogdet(a)[0], 0)
            close(logarithm, np.linalg.slogdet(a)[1], 1e-10)


@pytest.mark.parametrize("engine", ENGINES)
def test_determinants_of_singular_matrices(engine: Any) -> None:
    with mx.engine(engine):
        for a in (SINGULAR, matrix([1.0, 2, 3], [4, 5, 6], [7, 8, 9]), mx.ones((4, 4)), mx.zeros((5, 5))):
            sign, logarithm = mx.linalg.slogdet(a)
            assert (mx.linalg.det(a).item(), sign.item(), logarithm.item()) == (0.0, 0.0, -np.inf)


def test_determinants_that_no_float_holds() -> None:
    sign, logarithm = mx.linalg.slogdet(0.1 * mx.eye(100))
    assert sign.item() == 1
    assert logarithm.item() == pytest.approx(100 * np.log(0.1), abs=1e-3)


def test_determinants_without_elements() -> None:
    assert mx.linalg.det(mx.zeros((0, 0))).item() == 1
    assert mx.linalg.det(mx.zeros((3, 0, 0))).tolist() == [1, 1, 1]
    sign, logarithm = mx.linalg.slogdet(mx.zeros((2, 0, 0)))
    assert (sign.tolist(), logarithm.tolist()) == ([1, 1], [0, 0])


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("bool_", "float32"),
        ("int32", "float32"),
        ("float16", "float16"),
        ("bfloat16", "bfloat16"),
        ("float64", "float64"),
    ],
)
@pytest.mark.parametrize("order", [3, 4])
def test_dtypes_of_determinants(dtype: str, expected: str, order: int) -> None:
    a = mx.eye(order).astype(getattr(mx, dtype))
    determinant, (sign, logarithm) = mx.linalg.det(a), mx.linalg.slogdet(a)
    assert {x.dtype for x in (determinant, sign, logarithm)} == {getattr(mx, expected)}
    assert (determinant.item(), sign.item(), logarithm.item()) == (1, 1, 0)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_determinant_has_a_gradient_where_it_is_zero(engine: Any) -> None:
    a = np.diag([1.0, 2.0, 0.0, 3.0])
    with mx.engine(engine):
        gradient = mx.grad(mx.linalg.det)(mx.array(a, mx.float64))
        close(gradient, np.diag([0.0, 0.0, 6.0, 0.0]), 1e-12)
        close(mx.grad(mx.linalg.det)(SINGULAR), [[4, -2], [-2, 1]])
        assert mx.grad(mx.linalg.det)(mx.ones((4, 4))).abs().max().item() < 1e-5


# ---------------------------------------------------------------------- gradients that nobody uses

OF_A_BATCH = {
    "inv": lambda a: mx.linalg.inv(a).sum((-1, -2)),
    "solve": lambda a: mx.linalg.solve(a, a + 1).sum((-1, -2)),
    "solve_triangular": lambda a: mx.linalg.solve_triangular(a, a + 1).sum((-1, -2)),
    "tri_inv": lambda a: mx.linalg.tri_inv(a, True).sum((-1, -2)),
    "cholesky": lambda a: mx.linalg.cholesky(a).sum((-1, -2)),
    "cholesky_inv": lambda a: mx.linalg.cholesky_inv(mx.linalg.cholesky(a)).sum((-1, -2)),
    "qr": lambda a: mx.linalg.qr(a)[0].sum((-1, -2)) + (mx.linalg.qr(a)[1] ** 2).sum((-1, -2)),
    "slogdet": lambda a: mx.linalg.slogdet(a)[1],
    "det": mx.linalg.det,
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", OF_A_BATCH)
def test_a_matrix_that_where_leaves_out_gets_no_nan(name: str, engine: Any) -> None:
    function, order = OF_A_BATCH[name], 4
    good = mx.eye(order) * 2 + mx.ones((order, order)) * 0.5
    batch = mx.stack([mx.zeros((order, order)), good])

    def loss(a: Any) -> Any:
        return mx.where(mx.array([False, True]), function(a), 0).sum()

    def curvature(a: Any) -> Any:
        return (mx.grad(loss)(a) ** 2).sum()

    with mx.engine(engine):
        alone = mx.grad(lambda a: function(a[None]).sum())
        gradient = mx.grad(loss)(batch)
        close(gradient[0], np.zeros((order, order)), 0)
        close(gradient[1], np.array(alone(good)), 1e-4)
        second = mx.grad(curvature)(batch)
        close(second[0], np.zeros((order, order)), 0)
        close(second[1], np.array(mx.grad(lambda a: (alone(a) ** 2).sum())(good)), 1e-3)


def test_an_output_that_nobody_uses_adds_nothing() -> None:
    sign_only = mx.grad(lambda a: mx.linalg.slogdet(a)[0])(mx.eye(4))
    close(sign_only, np.zeros((4, 4)), 0)
    close(mx.grad(lambda a: mx.linalg.qr(a)[1].sum() * 0)(mx.zeros((3, 3))), np.zeros((3, 3)), 0)


# ---------------------------------------------------------------------- transforms


def test_forward_mode_and_vmap_through_many_outputs() -> None:
    batch = mx.stack([REGULAR, REGULAR.T @ REGULAR], axis=1)
    q, r = mx.vmap(mx.linalg.qr, in_axes=1)(batch)
    close(q @ r, np.array(mx.swapaxes(batch, 0, 1)))
    (_, logarithm), (sign_moved, logarithm_moved) = mx.jvp(mx.linalg.slogdet, [mx.eye(4) * 2], [mx.eye(4)])
    assert logarithm.item() == pytest.approx(4 * np.log(2))
    assert (sign_moved.item(), logarithm_moved.item()) == (0.0, 2.0)
    gradients = mx.vmap(mx.grad(lambda a: mx.linalg.qr(a)[1][1, 1]), in_axes=1)(batch)
    close(gradients[0], np.array(mx.grad(lambda a: mx.linalg.qr(a)[1][1, 1])(REGULAR)))


def test_inverses_under_vmap_of_another_axis() -> None:
    a = mx.array(np.random.default_rng(1).normal(size=(4, 3, 4)), mx.float64)
    with pytest.raises(ValueError, match=r"^\[linalg.inv\] a must be square"):
        mx.linalg.inv(a)
    inverses = mx.vmap(mx.linalg.inv, in_axes=1)(a)
    close(inverses, np.linalg.inv(np.swapaxes(np.array(a), 0, 1)), 1e-10)


# ---------------------------------------------------------------------- the cross product


@pytest.mark.parametrize(
    ("a", "b", "axis", "expected"),
    [
        ([1, 2, 3], [0, 1, 4], -1, [5, -4, 1]),
        ([1, 2], [0, 1], -1, [0, 0, 1]),
        ([1, 2, 3], [0, 1], -1, [-3, 0, 1]),
        ([1, 2], [0, 1, 4], -1, [8, -4, 1]),
        ([[1, 2], [3, 4], [5, 6]], [[0, 1], [4, 9], [16, 25]], 0, [[28, 46], [-16, -44], [4, 14]]),
        ([[1, 2, 3], [4, 5, 6]], [0, 1, 4], -1, [[5, -4, 1], [14, -16, 4]]),
    ],
)
def test_cross(a: Any, b: Any, axis: int, expected: Any) -> None:
    x = mx.linalg.cross(mx.array(a), mx.array(b), axis)
    assert x.dtype == mx.int32
    assert x.tolist() == expected


def test_cross_broadcasts_and_promotes() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(5, 1, 3)), rng.normal(size=(4, 3))
    close(mx.linalg.cross(mx.array(a, mx.float64), mx.array(b, mx.float64)), np.cross(a, b), 1e-12)
    assert mx.linalg.cross(mx.array([1.0, 2.0, 3.0], mx.float16), mx.array([1, 2, 3])).dtype == mx.float16
    true = mx.array([True, True])
    assert mx.linalg.cross(true, mx.array([True, True, True])).tolist() == [True, True, False]
    assert mx.linalg.cross(mx.zeros((0, 3)), mx.zeros((0, 3))).shape == (0, 3)


@pytest.mark.parametrize(
    ("a", "b", "axis", "error"),
    [
        ((3,), (3,), 1, IndexError),
        ((3,), (3,), -2, IndexError),
        ((2, 3), (3,), 1, IndexError),
        ((4,), (4,), -1, ValueError),
        ((1,), (3,), -1, ValueError),
        ((4, 3), (5, 3), -1, ValueError),
        ((3, 2), (3,), 0, ValueError),
        ((3, 4), (5, 3, 4), 0, ValueError),
        ((3,), (3,), None, TypeError),
    ],
)
def test_cross_refuses(a: Any, b: Any, axis: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        mx.linalg.cross(mx.ones(a), mx.ones(b), axis)


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize("name", [*SQUARE_ONLY, "qr"])
def test_fewer_than_two_axes(name: str) -> None:
    for x in (mx.array(1.0), mx.array([1.0, 2.0])):
        with pytest.raises(ValueError, match=rf"^\[linalg.{name}\] a must have at least two axes"):
            getattr(mx.linalg, name)(x)
    with pytest.raises(TypeError, match=rf"^\[linalg.{name}\] a must be an mx.array, got list"):
        getattr(mx.linalg, name)([[1.0]])


@pytest.mark.parametrize("name", SQUARE_ONLY)
def test_matrices_that_are_not_square(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^\[linalg.{name}\] a must be square matrices, got shape \(2, 3\)"):
        getattr(mx.linalg, name)(mx.ones((2, 3)))


@pytest.mark.parametrize("name", REAL_ONLY)
@pytest.mark.parametrize("dtype", ["bool_", "int32", "float16", "bfloat16", "complex64"])
def test_other_dtypes(name: str, dtype: str) -> None:
    with pytest.raises(ValueError, match=rf"^\[linalg.{name}\] a must have type float32 or float64"):
        getattr(mx.linalg, name)(mx.eye(2).astype(getattr(mx, dtype)))


@pytest.mark.parametrize("name", ["det", "slogdet"])
@pytest.mark.parametrize("order", [2, 4])
def test_complex_determinants(name: str, order: int) -> None:
    with pytest.raises(ValueError, match=rf"^\[linalg.{name}\] Complex matrices are not supported"):
        getattr(mx.linalg, name)(mx.eye(order).astype(mx.complex64))


@pytest.mark.parametrize("name", ["solve", "solve_triangular"])
def test_systems_that_do_not_fit(name: str) -> None:
    solve = getattr(mx.linalg, name)
    for a, b in (((2, 2), (3,)), ((2, 2), (3, 2)), ((2, 2), ()), ((2,), (2,)), ((2, 3), (2,)), ((3, 2, 2), (4, 2, 5))):
        with pytest.raises(ValueError, match=r"^\[(linalg\.|broadcast_shapes)"):
            solve(mx.ones(a), mx.ones(b))
    with pytest.raises(TypeError, match=rf"^\[linalg.{name}\] b must be an mx.array, got float"):
        solve(mx.eye(2), 1.0)


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


def test_vectors_of_equal_singular_values_have_no_derivative() -> None:
    gradient = mx.grad(lambda x: (mx.linalg.svd(x)[0] * matrix([1.0, 2.0], [3.0, 5.0])).sum())(mx.eye(2))
    assert not np.isfinite(np.array(gradient)).any()


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

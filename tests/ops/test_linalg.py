"""Linear systems and inverses: values by hand and from NumPy, shapes, dtypes, singular matrices, gradients, errors.

Gradients that nobody uses, and errors, are tested of all factorisations and determinants together.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx

ENGINES = ("numpy", "xla")
SQUARE_ONLY = ("cholesky", "cholesky_inv", "det", "inv", "slogdet", "tri_inv")
REAL_ONLY = ("cholesky", "cholesky_inv", "inv", "pinv", "qr", "tri_inv")


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


# ---------------------------------------------------------------------- the pseudo-inverse


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (5, 3), (3, 5), (2, 4, 2), (2, 1, 2, 3)])
def test_pseudo_inverses_as_numpy(shape: tuple[int, ...], dtype: str, engine: Any) -> None:
    a = np.random.default_rng(0).normal(size=shape)
    with mx.engine(engine):
        inverse = mx.linalg.pinv(mx.array(a, getattr(mx, dtype)))
        close(inverse, np.linalg.pinv(a), 2e-4 if dtype == "float32" else 1e-11)
    assert inverse.dtype == getattr(mx, dtype)


@pytest.mark.parametrize("engine", ENGINES)
def test_pseudo_inverses_of_singular_matrices(engine: Any) -> None:
    """A rank of one, u v^T, has the pseudo-inverse v u^T / (|u|^2 |v|^2)."""
    with mx.engine(engine):
        close(mx.linalg.pinv(SINGULAR), [[0.04, 0.08], [0.08, 0.16]])
        close(mx.linalg.pinv(matrix([1.0, 1.0], [2.0, 2.0], [2.0, 2.0])), np.array([[1, 2, 2], [1, 2, 2]]) / 18)
        close(mx.linalg.pinv(mx.zeros((2, 3))), np.zeros((3, 2)), 0)
        both = mx.linalg.pinv(mx.stack([matrix([np.nan, 0.0], [0.0, 1.0]), REGULAR]))
        assert np.isnan(np.array(both[0])).all()
        close(both[1], [[0.6, -0.2], [-0.2, 0.4]])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("dtype", "unit"), [("float32", 2.0**-23), ("float64", 2.0**-52)])
def test_the_cutoff_of_pseudo_inverses(dtype: str, unit: float, engine: Any) -> None:
    """Singular values count above 10 max(m, n) units of rounding, relative to the largest: of MLX 0.32, measured."""
    for columns in (2, 5):
        for factor, counts in ((9.0, False), (11.0, True)):
            a = np.zeros((2, columns))
            a[0, 0], a[1, 1] = 100, 100 * factor * columns * unit
            with mx.engine(engine):
                inverse = mx.linalg.pinv(mx.array(a, getattr(mx, dtype)))
                assert (inverse[1, 1].item() != 0) == counts


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (0, 2, 2), (2, 0, 0), (0, 4, 3)])
def test_pseudo_inverses_without_elements(shape: tuple[int, ...], engine: Any) -> None:
    with mx.engine(engine):
        inverse = mx.linalg.pinv(mx.zeros(shape))
        mx.eval(inverse)
    assert inverse.shape == (*shape[:-2], shape[-1], shape[-2])


# ---------------------------------------------------------------------- many right-hand sides on XLA


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("order", [2, 33, 150])
@pytest.mark.parametrize("columns", [1, 12])
def test_systems_of_every_size_as_numpy(columns: int, order: int, dtype: str) -> None:
    """XLA's library takes few right-hand sides and large matrices, a loop the others."""
    rng = np.random.default_rng(order)
    a, b = rng.normal(size=(2, order, order)) + order * np.eye(order), rng.normal(size=(2, order, columns))
    x, y = (mx.array(part, getattr(mx, dtype)) for part in (a, b))
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    with mx.engine("xla"):
        close(mx.linalg.solve(x, y), np.linalg.solve(a, b), tolerance)
        close(mx.linalg.solve_triangular(x, y), np.linalg.solve(np.tril(a), b), tolerance)
        close(mx.linalg.solve_triangular(x, y, upper=True), np.linalg.solve(np.triu(a), b), tolerance)
        if columns == 1:
            close(mx.linalg.inv(x), np.linalg.inv(a), tolerance)


# ---------------------------------------------------------------------- gradients that nobody uses

OF_A_BATCH = {
    "inv": lambda a: mx.linalg.inv(a).sum((-1, -2)),
    "solve": lambda a: mx.linalg.solve(a, a + 1).sum((-1, -2)),
    "solve_triangular": lambda a: mx.linalg.solve_triangular(a, a + 1).sum((-1, -2)),
    "tri_inv": lambda a: mx.linalg.tri_inv(a, True).sum((-1, -2)),
    "cholesky": lambda a: mx.linalg.cholesky(a).sum((-1, -2)),
    "cholesky_inv": lambda a: mx.linalg.cholesky_inv(mx.linalg.cholesky(a)).sum((-1, -2)),
    "qr": lambda a: mx.linalg.qr(a)[0].sum((-1, -2)) + (mx.linalg.qr(a)[1] ** 2).sum((-1, -2)),
    "lu": lambda a: (mx.linalg.lu(a)[1] * mx.linalg.lu_factor(a)[0]).sum((-1, -2)),
    "pinv": lambda a: mx.linalg.pinv(a + mx.where(a == 0, mx.nan, 0)).sum((-1, -2)),
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


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize("name", [*SQUARE_ONLY, "pinv", "qr"])
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


@pytest.mark.parametrize("name", ["solve", "solve_triangular"])
def test_systems_that_do_not_fit(name: str) -> None:
    solve = getattr(mx.linalg, name)
    for a, b in (((2, 2), (3,)), ((2, 2), (3, 2)), ((2, 2), ()), ((2,), (2,)), ((2, 3), (2,)), ((3, 2, 2), (4, 2, 5))):
        with pytest.raises(ValueError, match=r"^\[(linalg\.|broadcast_shapes)"):
            solve(mx.ones(a), mx.ones(b))
    with pytest.raises(TypeError, match=rf"^\[linalg.{name}\] b must be an mx.array, got float"):
        solve(mx.eye(2), 1.0)

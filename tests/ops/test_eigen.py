"""Eigenvalues and eigenvectors: values by hand and from NumPy, shapes, dtypes, derivatives by differences, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mlx.core as mx
from mlx.primitives.eigen import EIG

ENGINES = ("numpy", "xla")
HERMITIAN = ("eigh", "eigvalsh")
GENERAL = ("eig", "eigvals")
DTYPES = ("float32", "float64", "complex64")
SHAPES = [(1, 1), (2, 2), (5, 5), (3, 4, 4), (2, 1, 3, 3)]
EMPTY = [(0, 0), (3, 0, 0), (0, 2, 2)]


@pytest.fixture(params=ENGINES)
def engine(request: Any) -> Any:
    with mx.engine(request.param):
        yield


def close(x: Any, expected: Any, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(np.array(x), expected, rtol=tolerance, atol=tolerance)


def numbers(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if dtype == "complex64" else x).astype(dtype)


def adjoint(x: np.ndarray) -> np.ndarray:
    return np.conj(np.swapaxes(x, -1, -2))


def ascending(w: Any) -> np.ndarray:
    """Eigenvalues in an order that does not depend on where they came from."""
    w = np.array(w)
    return np.take_along_axis(w, np.lexsort((w.imag.round(3), w.real.round(3))), -1)


# ---------------------------------------------------------------------- values


def test_eigenvalues_by_hand(engine: None) -> None:
    """[[2, 1], [1, 2]] stretches the diagonals by 3 and 1; a quarter turn has the eigenvalues i and -i."""
    w, v = mx.linalg.eigh(mx.array([[2.0, 1.0], [1.0, 2.0]]))
    close(w, [1, 3])
    close(mx.abs(v), np.full((2, 2), 0.5**0.5))
    close((v * w) @ v.T, [[2, 1], [1, 2]])
    w, v = mx.linalg.eig(mx.array([[0.0, -1.0], [1.0, 0.0]]))
    close(ascending(w), [-1j, 1j])
    close(mx.abs(v), np.full((2, 2), 0.5**0.5))
    close(mx.linalg.eigvals(mx.array([[3.0, 5.0], [0.0, 7.0]])).real.sum(), 10)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("triangle", ["L", "U"])
def test_hermitian_matrices_as_numpy(engine: None, triangle: Any, shape: tuple[int, ...], dtype: str) -> None:
    a = numbers(shape, dtype)  # the other triangle is not read
    x = mx.array(a, getattr(mx, dtype))
    w, v = mx.linalg.eigh(x, triangle)
    tolerance = 1e-11 if dtype == "float64" else 2e-5
    whole = np.tril(a, -1) if triangle == "L" else np.triu(a, 1)
    whole = whole + adjoint(whole) + np.einsum("...ii->...i", a).real[..., None] * np.eye(shape[-1])
    real = {"complex64": mx.float32}.get(dtype, getattr(mx, dtype))
    assert (w.dtype, v.dtype, w.shape, v.shape) == (real, getattr(mx, dtype), shape[:-1], shape)
    close(w, np.linalg.eigvalsh(a, triangle), tolerance)
    close(mx.linalg.eigvalsh(x, triangle), np.linalg.eigvalsh(a, triangle), tolerance)
    vectors = np.array(v)
    close((vectors * np.array(w)[..., None, :]) @ adjoint(vectors), whole, tolerance)
    close(adjoint(vectors) @ vectors, np.broadcast_to(np.eye(shape[-1]), shape), tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_general_matrices_as_numpy(engine: None, shape: tuple[int, ...], dtype: str) -> None:
    a = numbers(shape, dtype)
    x = mx.array(a, getattr(mx, dtype))
    w, v = mx.linalg.eig(x)
    assert (w.dtype, v.dtype, w.shape, v.shape) == (mx.complex64, mx.complex64, shape[:-1], shape)
    close(ascending(w), ascending(np.linalg.eigvals(a)), 5e-5)
    close(mx.linalg.eigvals(x), np.array(w))
    close(a @ np.array(v), np.array(v) * np.array(w)[..., None, :], 5e-5)
    close(np.linalg.norm(np.array(v), axis=-2), np.ones(shape[:-1]))
    largest = np.take_along_axis(np.array(v), np.abs(np.array(v)).argmax(-2)[..., None, :], -2)
    close(largest.imag, np.zeros_like(largest.imag))


@pytest.mark.parametrize("name", [*HERMITIAN, *GENERAL])
@pytest.mark.parametrize("shape", EMPTY)
def test_matrices_without_elements(engine: None, name: str, shape: tuple[int, ...]) -> None:
    parts = getattr(mx.linalg, name)(mx.zeros(shape))
    mx.eval(parts)
    assert [x.shape for x in (parts if isinstance(parts, tuple) else (parts,))] == [shape[:-1], shape][
        : 2 if isinstance(parts, tuple) else 1
    ]


def test_matrices_that_lie_apart_in_memory(engine: None) -> None:
    a = numbers((4, 6), "float32")
    part = mx.array(a)[::2, ::3].T
    close(mx.linalg.eigvalsh(part), np.linalg.eigvalsh(a[::2, ::3].T))
    close(ascending(mx.linalg.eigvals(part)), ascending(np.linalg.eigvals(a[::2, ::3].T)))


@pytest.mark.parametrize("name", [*HERMITIAN, *GENERAL])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_matrix_that_is_not_finite_leaves_the_others_alone(engine: None, name: str, bad: float) -> None:
    both = mx.array(np.stack([[[bad, 0.0], [1.0, 2.0]], 2 * np.eye(2)]), mx.float32)
    parts = getattr(mx.linalg, name)(both)
    for x in parts if isinstance(parts, tuple) else (parts,):
        assert np.isnan(np.array(x[0])).all()
        assert np.isfinite(np.array(x[1])).all()


# ---------------------------------------------------------------------- derivatives


def central(function: Callable[[np.ndarray], float], x: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """dl/dx + i dl/dy by central differences."""
    gradient = np.zeros(x.shape, x.dtype)
    for index in np.ndindex(*x.shape):
        for unit in (1, 1j) if np.iscomplexobj(x) else (1,):
            moved = np.zeros_like(x)
            moved[index] = step * unit
            gradient[index] += unit * (function(x + moved) - function(x - moved)) / (2 * step)
    return gradient


WEIGHT = np.array([[0.3, -1.1, 0.7], [1.9, 0.4, -0.6], [-0.8, 1.3, 0.5]])
TURNING = np.array([[1.0, -2.0, 0.3], [2.0, 1.5, -0.2], [0.1, 0.4, 4.0]])


def vectors_loss(library: Any, w: Any, v: Any, weight: Any) -> Any:
    """It depends on phases, too, and on eigenvalues not through polynomials."""
    values = library.exp(-(library.real(w) ** 2) / 9) + library.imag(w) ** 2
    mixed = library.real(v) * weight + library.imag(v) * weight[::-1] * library.abs(w)[None]
    return values.sum() + (mixed**2).sum()


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_gradients_of_eigenvectors_of_length_1_and_their_own_phase(engine: None, dtype: str) -> None:
    a = TURNING + 0.5j * WEIGHT if dtype == "complex64" else TURNING

    def expected(a: np.ndarray) -> float:
        w, v = np.linalg.eig(a)
        order = np.lexsort((w.imag, w.real))
        return vectors_loss(np, w[order], v[:, order], WEIGHT)

    def loss(a: Any) -> Any:
        w, v = mx.linalg.eig(a)
        order = mx.array(np.lexsort((np.array(w).imag.round(4), np.array(w).real.round(4))))
        return vectors_loss(mx, w[order], v[:, order], mx.array(WEIGHT, mx.float32))

    value, gradient = mx.value_and_grad(loss)(mx.array(a).astype(getattr(mx, dtype)))
    assert value.item() == pytest.approx(expected(a), rel=1e-4)
    assert gradient.dtype == getattr(mx, dtype)
    close(gradient, central(expected, a), 2e-3)


def test_gradients_of_hermitian_matrices_with_complex_vectors(engine: None) -> None:
    """A function of projections, which depends on no phase; only the lower triangle is read."""
    a = TURNING + 1j * WEIGHT

    def loss_of(library: Any, eigh: Any, a: Any, weight: Any) -> Any:
        w, v = eigh(a)
        return (library.abs(v) ** 2 * weight * library.exp(w / 4)[None]).sum()

    gradient = mx.grad(lambda a: loss_of(mx, mx.linalg.eigh, a, mx.array(WEIGHT, mx.float32)))(
        mx.array(a.astype(np.complex64))
    )
    expected = central(lambda a: loss_of(np, np.linalg.eigh, a, WEIGHT), a)
    close(gradient, expected, 2e-4)
    assert (np.array(gradient)[np.triu_indices(3, 1)] == 0).all()
    close(np.diag(np.array(gradient)).imag, np.zeros(3))


def test_gradients_read_the_triangle_that_was_chosen(engine: None) -> None:
    a = mx.array(TURNING, mx.float64)
    lower, upper = (np.array(mx.grad(lambda a, t=t: mx.linalg.eigvalsh(a, t)[0])(a)) for t in "LU")
    assert (np.triu(lower, 1) == 0).all()
    assert (np.tril(upper, -1) == 0).all()
    close(lower, central(lambda a: np.linalg.eigvalsh(a, "L")[0], TURNING), 1e-8)
    close(upper, central(lambda a: np.linalg.eigvalsh(a, "U")[0], TURNING), 1e-8)


@pytest.mark.parametrize("name", [*HERMITIAN, *GENERAL])
def test_symmetric_functions_of_coinciding_eigenvalues(engine: None, name: str) -> None:
    """The sum is the trace; the sum of squares has the gradient 2 A (lower triangles count twice)."""

    def values(a: Any) -> Any:
        out = getattr(mx.linalg, name)(a)
        return mx.real(out[0] if isinstance(out, tuple) else out)

    a = mx.diag(mx.array([2.0, 2.0, 2.0, 5.0]))
    close(mx.grad(lambda a: values(a).sum())(a), np.eye(4))
    close(mx.grad(lambda a: (values(a) ** 2).sum())(a), 2 * np.array(a))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["eigh", "eig"])
def test_the_space_of_coinciding_eigenvalues_has_the_derivative_of_its_projection(
    engine: None, name: str, dtype: str
) -> None:
    """With a twofold eigenvalue 3 along x and y and 1 along z, the entries (x, z) and (y, z) of A move those of the
    projection by 1 / (3 - 1) of what they change by, and the others not at all."""
    turn, _ = np.linalg.qr(WEIGHT)
    a = turn @ np.diag([3.0, 3.0, 1.0]) @ turn.T
    weight = WEIGHT @ WEIGHT.T

    def loss(a: Any) -> Any:
        a = (a + a.T) / 2
        w, v = getattr(mx.linalg, name)(a)
        largest = (mx.real(w) > 2).astype(mx.float32)
        inverse = mx.conj(v.T) if name == "eigh" else mx.linalg.inv(mx.real(v))
        projection = (mx.real(v) * largest) @ mx.real(inverse)
        return (projection * mx.array(weight, mx.float64)).sum()

    inner = turn.T @ weight @ turn
    moved = np.zeros((3, 3))
    moved[:2, 2] = inner[:2, 2] / 2
    moved[2, :2] = inner[2, :2] / 2
    expected = turn @ moved @ turn.T
    gradient = mx.grad(loss)(mx.array(a, getattr(mx, dtype)))
    close(gradient, expected, 1e-10 if (name, dtype) == ("eigh", "float64") else 3e-5)


@pytest.mark.parametrize("name", ["eigh", "eig"])
def test_gradients_of_single_vectors_of_coinciding_eigenvalues_are_finite(engine: None, name: str) -> None:
    gradient = mx.grad(lambda a: (mx.real(getattr(mx.linalg, name)(a)[1]) * mx.array(WEIGHT, mx.float32)).sum())
    assert np.isfinite(np.array(gradient(2 * mx.eye(3)))).all()
    assert np.isfinite(np.array(gradient(mx.zeros((3, 3))))).all()


def test_defective_matrices_have_no_finite_derivatives_of_eigenvalues() -> None:
    gradient = mx.grad(lambda a: (mx.linalg.eigvals(a).real ** 2 * mx.array([1.0, 2.0])).sum())
    shifted = np.array(gradient(mx.array([[1.0, 1.0], [0.0, 1.0]])))
    assert not np.isfinite(shifted).all() or np.abs(shifted).max() > 1e3


@pytest.mark.parametrize("name", [*HERMITIAN, *GENERAL])
def test_a_matrix_that_where_leaves_out_gets_no_nan(engine: None, name: str) -> None:
    good = mx.array(TURNING + TURNING.T, mx.float32)
    batch = mx.stack([mx.full((3, 3), float("nan")), good])

    def function(a: Any) -> Any:
        out = getattr(mx.linalg, name)(a)
        w, *vectors = out if isinstance(out, tuple) else (out,)
        return (mx.real(w) ** 2).sum(-1) + sum((mx.abs(v[..., 0]) ** 3).sum(-1) for v in vectors)

    def loss(a: Any) -> Any:
        return mx.where(mx.array([False, True]), function(a), 0).sum()

    gradient = mx.grad(loss)(batch)
    close(gradient[0], np.zeros((3, 3)), 0)
    close(gradient[1], np.array(mx.grad(lambda a: function(a[None]).sum())(good)), 1e-4)


def test_a_mapped_function_of_eigenvalues_is_a_loop() -> None:
    a = mx.array(numbers((3, 4, 3), "float32"))

    def loss(a: Any) -> Any:
        w, v = mx.linalg.eigh(a)
        return (v * w).sum() ** 2 + mx.abs(mx.linalg.eigvals(a)).sum()

    mapped = mx.vmap(mx.grad(loss), in_axes=1)(a[:, :3])
    for i in range(3):
        close(mapped[i], np.array(mx.grad(loss)(a[:, i])), 1e-4)


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize("name", [*HERMITIAN, *GENERAL])
def test_errors(name: str) -> None:
    function = getattr(mx.linalg, name)
    for x in (mx.array(1.0), mx.array([1.0, 2.0])):
        with pytest.raises(ValueError, match=rf"^\[linalg.{name}\] a must have at least two axes"):
            function(x)
    with pytest.raises(ValueError, match=rf"^\[linalg.{name}\] a must be square matrices, got shape \(3, 2\)"):
        function(mx.ones((3, 2)))
    for dtype in (mx.bool_, mx.int32, mx.float16, mx.bfloat16):
        with pytest.raises(ValueError, match=rf"^\[linalg.{name}\] a must have type float32, float64 or complex64"):
            function(mx.eye(2).astype(dtype))
    with pytest.raises(TypeError, match=rf"^\[linalg.{name}\] a must be an mx.array, got list"):
        function([[1.0]])


@pytest.mark.parametrize("name", HERMITIAN)
@pytest.mark.parametrize("triangle", ["l", "u", "", "lower"])
def test_other_triangles(name: str, triangle: str) -> None:
    with pytest.raises(ValueError, match=rf"^\[linalg.{name}\] UPLO must be 'L' for the lower triangle or 'U', got"):
        getattr(mx.linalg, name)(mx.eye(2), triangle)


def test_accelerators_without_eigenvalues_of_general_matrices() -> None:
    class Elsewhere:
        platform = "tpu"

    with pytest.raises(RuntimeError, match=r"^\[linalg.eig\] XLA has no eigenvalues of general matrices for tpu"):
        EIG.lower(Elsewhere(), np.eye(2))

"""Jacobians, Hessians and Hessian-vector products against closed forms, finite differences and each other."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn

ENGINES = ("numpy", "xla")
JACOBIANS = (mx.jacfwd, mx.jacrev)


def matrix_function(x: Any) -> Any:
    """R^3 -> R^(2, 2)."""
    return mx.stack([mx.stack([x[0] * x[1], mx.sin(x[2])]), mx.stack([x[0] ** 3, mx.exp(x[1]) * x[2]])])


def matrix_function_jacobian(x: np.ndarray) -> np.ndarray:
    a, b, c = x
    return np.array([[[b, a, 0], [0, 0, np.cos(c)]], [[3 * a * a, 0, 0], [0, np.exp(b) * c, np.exp(b)]]])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("jacobian", JACOBIANS)
def test_against_a_closed_form(jacobian: Any, engine: str) -> None:
    x = np.array([0.5, -1.2, 2.0])
    with mx.engine(engine):
        found = jacobian(matrix_function)(mx.array(x, mx.float64))
        assert found.shape == (2, 2, 3)
        assert found.dtype == mx.float64
        np.testing.assert_allclose(np.array(found), matrix_function_jacobian(x), rtol=1e-12)


class Pair(NamedTuple):
    a: Any
    b: Any


@pytest.mark.parametrize("jacobian", JACOBIANS)
def test_structure_of_outputs_and_arguments(jacobian: Any) -> None:
    def fun(params: Any, x: Any, *, scale: Any) -> Any:
        return {"y": params["w"] @ x * scale, "rest": Pair(params["b"][0] ** 2, [x.sum()])}

    params = {"w": mx.array([[1.0, 2.0], [3.0, 4.0]]), "b": [mx.array(3.0)]}
    x, scale = mx.array([5.0, 6.0]), mx.array(2.0)
    found = jacobian(fun)(params, x, scale=scale)
    assert list(found) == ["y", "rest"]
    assert isinstance(found["rest"], Pair)
    assert found["rest"].a["b"][0].item() == 6.0
    assert found["rest"].a["w"].tolist() == [[0, 0], [0, 0]]
    expected = np.zeros((2, 2, 2))
    expected[0, 0] = expected[1, 1] = [10.0, 12.0]
    np.testing.assert_array_equal(np.array(found["y"]["w"]), expected)

    by_two, by_name = jacobian(fun, argnums=(0, 1), argnames="scale")(params, x, scale=scale)["y"]
    assert np.array(by_two[1]).tolist() == [[2.0, 4.0], [6.0, 8.0]]
    assert np.array(by_name["scale"]).tolist() == [17.0, 39.0]
    positional, named = jacobian(fun, argnames=["scale"])(params, x, scale=scale)["rest"].b[0]
    assert positional is None
    assert named["scale"].item() == 0.0


@pytest.mark.parametrize("jacobian", JACOBIANS)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 3), (2, 0)])
def test_every_shape(jacobian: Any, shape: tuple[int, ...]) -> None:
    x = mx.arange(int(np.prod(shape)), dtype=mx.float32).reshape(shape)
    found = jacobian(lambda x: (x * x, x.sum()))(x)
    diagonal = np.zeros(shape + shape, np.float32)
    flat = np.array(x).ravel()
    diagonal.reshape(len(flat), len(flat))[np.arange(len(flat)), np.arange(len(flat))] = 2 * flat
    np.testing.assert_array_equal(np.array(found[0]), diagonal)
    np.testing.assert_array_equal(np.array(found[1]), np.ones(shape))


def test_dtypes() -> None:
    x = mx.array([1.0, 2.0], mx.float16)
    fun = lambda x: x.astype(mx.float32) * 3  # noqa: E731
    assert mx.jacrev(fun)(x).dtype == mx.float16
    assert mx.jacfwd(fun)(x).dtype == mx.float32
    for jacobian in JACOBIANS:
        assert jacobian(fun)(x).tolist() == [[3, 0], [0, 3]]
        assert jacobian(lambda x: mx.round(x).astype(mx.int32))(x).tolist() == [[0, 0], [0, 0]]


def test_integers_are_cut_off_in_reverse_mode_as_in_grad() -> None:
    x = mx.array([3, 4])
    assert mx.grad(lambda x: (x * 2.5).sum())(x).tolist() == [2, 2]
    assert mx.jacrev(lambda x: x * 2.5)(x).tolist() == [[2, 0], [0, 2]]
    assert mx.jacfwd(lambda x: x * 2.5)(x).tolist() == [[2.5, 0], [0, 2.5]]
    for jacobian in JACOBIANS:
        assert jacobian(lambda x: x * x)(x).tolist() == [[6, 0], [0, 8]]


@pytest.mark.parametrize("jacobian", [*JACOBIANS, mx.hessian])
def test_mistakes(jacobian: Any) -> None:
    x = mx.array([1.0, 2.0])
    name = rf"\[{jacobian.__name__}\]"
    with pytest.raises(ValueError, match=rf"{name} The function should .* but its result\['b'\] is .* type int"):
        jacobian(lambda x: {"a": x, "b": 3})(x)
    with pytest.raises(ValueError, match=rf"{name} .* is a value of type NoneType. Is a return statement missing"):
        jacobian(lambda x: None)(x)
    with pytest.raises(ValueError, match=rf"{name} .* Use the functions of mx inside it"):
        jacobian(lambda x: np.ones(2))(x)
    with pytest.raises(ValueError, match=rf"{name} Derivatives of complex outputs"):
        jacobian(lambda x: x.astype(mx.complex64) * 1j)(x)
    with pytest.raises(ValueError, match=rf"{name} Derivatives with respect to complex arguments"):
        jacobian(lambda x: mx.abs(x))(x.astype(mx.complex64))
    with pytest.raises(ValueError, match=rf"{name} .* only 1 positional arguments"):
        jacobian(lambda x: x, argnums=1)(x)
    with pytest.raises(ValueError, match=rf"{name} The argument should contain only arrays, but x\[1\]"):
        jacobian(lambda x: x[0].sum())([x, 3])
    with pytest.raises(ValueError, match=rf"{name} .* negative argument index"):
        jacobian(lambda x: x, argnums=-1)
    with pytest.raises(TypeError, match=rf"{name} fun must be callable"):
        jacobian(3)
    assert np.array(mx.jacrev(lambda x: x)(x)).tolist() == [[1, 0], [0, 1]]


BENDS = {
    "tanh": mx.tanh,
    "sin": mx.sin,
    "sigmoid": mx.sigmoid,
    "softplus": lambda x: mx.logaddexp(x, mx.zeros_like(x)),
    "bell": lambda x: mx.exp(-x * x),
    "root": lambda x: mx.sqrt(1 + x * x),
    "erf": mx.erf,
    "softmax": mx.softmax,
    "running sum": mx.cumsum,
    "quotient": lambda x: x / (2 + mx.cos(x)),
}
ENDS = {
    "norm": mx.linalg.norm,
    "logsumexp": mx.logsumexp,
    "product": mx.prod,
    "variance": mx.var,
    "cubes": lambda x: (x**3).sum(),
}


def random_function(seed: int) -> Any:
    """A smooth function R^4 -> R: two layers with random weights, and a quadratic form between them."""
    rng = np.random.default_rng(seed)
    w, u, a = (mx.array(rng.normal(size=size), mx.float64) for size in ((5, 4), (3, 5), (4, 4)))
    first, second = (list(BENDS.values())[i] for i in rng.integers(len(BENDS), size=2))
    end = list(ENDS.values())[rng.integers(len(ENDS))]
    return lambda x: end(second(u @ first(w @ x))) + mx.sin(x @ a @ x)


@pytest.mark.parametrize("seed", range(40))
def test_hessians_are_symmetric_and_agree(seed: int) -> None:
    fun = random_function(seed)
    rng = np.random.default_rng(100 + seed)
    x, v = rng.normal(size=4), rng.normal(size=4)
    with mx.engine("numpy"):
        point = mx.array(x, mx.float64)
        hessian = np.array(mx.hessian(fun)(point))
        np.testing.assert_allclose(hessian, hessian.T, rtol=1e-9, atol=1e-10)
        for other in (mx.jacrev(mx.jacfwd(fun)), mx.jacrev(mx.grad(fun)), mx.jacfwd(mx.grad(fun))):
            np.testing.assert_allclose(np.array(other(point)), hessian, rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(
            np.array(mx.hvp(fun)(mx.array(v, mx.float64), point)), hessian @ v, rtol=1e-9, atol=1e-10
        )
        step = 1e-5
        ahead, behind = (np.array(mx.grad(fun)(mx.array(x + s * step * v, mx.float64))) for s in (1, -1))
        np.testing.assert_allclose((ahead - behind) / (2 * step), hessian @ v, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_third_derivatives_are_symmetric_and_agree(seed: int) -> None:
    fun = random_function(seed)
    rng = np.random.default_rng(100 + seed)
    x, v = rng.normal(size=4), rng.normal(size=4)
    with mx.engine("numpy"):
        point = mx.array(x, mx.float64)
        third = np.array(mx.jacrev(mx.hessian(fun))(point))
        for order in ((0, 2, 1), (1, 0, 2), (2, 1, 0)):
            np.testing.assert_allclose(third, third.transpose(order), rtol=1e-8, atol=1e-8)
        for other in (mx.hessian(mx.grad(fun)), mx.jacfwd(mx.jacrev(mx.jacfwd(fun)))):
            np.testing.assert_allclose(np.array(other(point)), third, rtol=1e-8, atol=1e-8)
        step = 1e-5
        ahead, behind = (np.array(mx.hessian(fun)(mx.array(x + s * step * v, mx.float64))) for s in (1, -1))
        np.testing.assert_allclose((ahead - behind) / (2 * step), third @ v, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_second_and_third_derivatives(engine: str) -> None:
    with mx.engine(engine):
        x = mx.array([2.0, 3.0], mx.float64)
        fun = lambda x: x[0] ** 2 * x[1] ** 3  # noqa: E731
        np.testing.assert_allclose(np.array(mx.hessian(fun)(x)), [[2 * 27, 4 * 27], [4 * 27, 4 * 6 * 3]])
        third = np.array(mx.jacfwd(mx.hessian(fun))(x))
        np.testing.assert_allclose(third[0], [[0, 2 * 27], [2 * 27, 4 * 18]])
        np.testing.assert_allclose(third[1], [[2 * 27, 4 * 18], [4 * 18, 4 * 6]])


def test_hessian_of_trees() -> None:
    params = {"a": mx.array(2.0), "b": mx.array([3.0, 4.0])}
    hessian = mx.hessian(lambda p: p["a"] ** 2 * p["b"].sum())(params)
    assert hessian["a"]["a"].item() == 14.0
    assert hessian["a"]["b"].tolist() == [4.0, 4.0]
    assert hessian["b"]["a"].tolist() == [4.0, 4.0]
    assert hessian["b"]["b"].tolist() == [[0, 0], [0, 0]]


def test_hessian_vector_product_of_trees_and_names() -> None:
    fun = lambda p, q, *, r: p["a"] ** 2 * q * r  # noqa: E731
    p, q, r = {"a": mx.array(2.0)}, mx.array(3.0), mx.array(5.0)
    one = mx.array(1.0)
    (by_p, by_q), named = mx.hvp(fun, argnums=(0, 1), argnames="r")((({"a": one}, one), {"r": one}), p, q, r=r)
    assert by_p["a"].item() == 2 * 15 + 2 * 2 * 5 + 2 * 2 * 3
    assert by_q.item() == 2 * 2 * 5 + 4
    assert named["r"].item() == 2 * 2 * 3 + 4
    positional, named = mx.hvp(fun, argnames="r")((None, {"r": one}), p, q, r=r)
    assert positional is None
    assert named["r"].item() == 0.0


def test_a_module_is_a_tree() -> None:
    mx.random.seed(0)
    model = nn.Linear(2, 1)
    x = mx.array([[1.0, 2.0]])
    loss = lambda model: (model(x) ** 2).sum()  # noqa: E731
    product = mx.hvp(loss)({"weight": mx.array([[1.0, 0.0]]), "bias": mx.array([0.0])}, model)
    assert product["weight"].tolist() == [[2.0, 4.0]]
    assert product["bias"].tolist() == [2.0]
    assert mx.jacrev(lambda model: model(x))(model)["weight"].tolist() == [[[[1.0, 2.0]]]]


@pytest.mark.parametrize(
    ("tangents", "message"),
    [
        ({"a": mx.array(1.0)}, r"tangents\['b'\] is missing"),
        ({"a": mx.array(1.0), "b": mx.zeros(2), "c": mx.zeros(2)}, r"tangents\['c'\] belongs to no differentiated"),
        ({"a": mx.array(1.0), "b": mx.zeros(3)}, r"tangents\['b'\] should have the shape \(2,\)"),
        ({"a": 1.0, "b": mx.zeros(2)}, r"tangents\['a'\] should be an array, got a value of type float"),
    ],
)
def test_tangents_that_do_not_fit(tangents: Any, message: str) -> None:
    params = {"a": mx.array(2.0), "b": mx.array([3.0, 4.0])}
    fun = lambda p: p["a"] * (p["b"] ** 2).sum()  # noqa: E731
    with pytest.raises(ValueError, match=message):
        mx.hvp(fun)(tangents, params)
    with pytest.raises(ValueError, match=message):
        mx.linearize(fun)(params)[1](tangents)


def test_mistakes_in_hessian_vector_products() -> None:
    x = mx.array([1.0, 2.0])
    with pytest.raises(ValueError, match=r"\[hvp\] .* should be a scalar array; but an array of shape \(2,\)"):
        mx.hvp(lambda x: x)(x, x)
    with pytest.raises(ValueError, match=r"\[hvp\] .* negative argument index"):
        mx.hvp(lambda x: x.sum(), argnums=-1)
    with pytest.raises(TypeError, match=r"\[hvp\] fun must be callable"):
        mx.hvp(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'tangents'"):
        mx.hvp(lambda x: x.sum())()
    with pytest.raises(ValueError, match=r"\[hvp\] .* but tangents\['a'\] is missing"):
        mx.hvp(lambda p: p["a"].sum())(x, {"a": x})


def test_tangents_can_be_the_name_of_an_argument() -> None:
    product = mx.hvp(lambda x, *, tangents: (x**2).sum() * tangents)(mx.array([1.0, 0.0]), mx.zeros(2), tangents=3.0)
    assert product.tolist() == [6.0, 0.0]


def test_products_with_the_hessian_of_a_complex_argument() -> None:
    """The gradient of Re(z^3) is conj(3 z^2), whose derivative along v is conj(6 z v)."""
    z, v = np.array([1 + 2j, -0.5 + 1j]), np.array([2 - 1j, 1j])
    product = mx.hvp(lambda z: mx.real(z * z * z).sum())(mx.array(v, mx.complex64), mx.array(z, mx.complex64))
    np.testing.assert_allclose(np.array(product), np.conj(6 * z * v), rtol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_many_cotangents_at_once(engine: str) -> None:
    """What `jacrev` does, in a user's words: the pull-back under `vmap`."""
    x = np.array([0.5, -1.2, 2.0])
    cotangents = np.random.default_rng(0).normal(size=(5, 2, 2))
    expected = np.einsum("kij,ijl->kl", cotangents, matrix_function_jacobian(x))
    with mx.engine(engine):
        point = mx.array(x, mx.float64)
        pull_back = lambda g: mx.vjp(matrix_function, [point], [g])[1][0]  # noqa: E731
        found = mx.vmap(pull_back)(mx.array(cotangents, mx.float64))
        np.testing.assert_allclose(np.array(found), expected, rtol=1e-12)
        weighted = lambda g: mx.value_and_grad(lambda x: (g * matrix_function(x)).sum())(point)  # noqa: E731
        values, gradients = mx.vmap(weighted)(mx.array(cotangents, mx.float64))
        assert values.shape == (5,)
        np.testing.assert_allclose(np.array(gradients), expected, rtol=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
def test_inside_and_around_other_transforms(engine: str) -> None:
    x = np.array([[0.5, 1.0], [-1.0, 2.0]])
    points = mx.array(x, mx.float64)
    fun = lambda x: (x**3).sum()  # noqa: E731
    expected = np.stack([np.diag(6 * row) for row in x])
    with mx.engine(engine):
        for mapped in (mx.vmap(mx.hessian(fun)), mx.compile(mx.vmap(mx.compile(mx.hessian(fun))))):
            np.testing.assert_allclose(np.array(mapped(points)), expected, rtol=1e-12)
        trace = mx.grad(lambda x: mx.trace(mx.hessian(fun)(x)))(points[0])
        np.testing.assert_allclose(np.array(trace), [6.0, 6.0], rtol=1e-12)
        ones = mx.ones(2, mx.float64)
        _, (pushed,) = mx.jvp(mx.jacrev(lambda x: x**3), [points[0]], [ones])
        np.testing.assert_allclose(np.array(pushed), expected[0], rtol=1e-12)
        product = mx.vmap(mx.hvp(fun), in_axes=(None, 0))(ones, points)
        np.testing.assert_allclose(np.array(product), 6 * x, rtol=1e-12)
        gradient = mx.grad(lambda x: (mx.hvp(fun)(x, x) ** 2).sum())(points[0])  # of sum (6 x^2)^2
        np.testing.assert_allclose(np.array(gradient), 144 * x[0] ** 3, rtol=1e-12)
        gradient = mx.grad(lambda x: (mx.jacfwd(mx.jacrev(lambda x: x**3))(x)).sum())(points[0])  # of sum 6 x
        np.testing.assert_allclose(np.array(gradient), [6.0, 6.0], rtol=1e-12)


def test_python_runs_once() -> None:
    runs = []

    def fun(x: Any) -> Any:
        runs.append(1)
        return x * x

    for jacobian in JACOBIANS:
        runs.clear()
        jacobian(fun)(mx.zeros(50))
        assert len(runs) == 1

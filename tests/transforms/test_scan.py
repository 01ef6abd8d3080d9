"""`mx.scan`: what a loop in Python gives, its errors, its randomness, and that its length costs nothing to record."""

import tracemalloc

import numpy as np
import pytest

import mlx.core as mx
from mlx.ir.node import recorder
from mlx.runtime.compiler import Compiled


@pytest.fixture(params=["numpy", "xla"])
def engine(request):
    with mx.engine(request.param):
        yield request.param


def decayed(carry, x):
    """One step of a running mean, on trees."""
    mean = {"value": 0.5 * carry["value"] + x["value"], "count": carry["count"] + 1}
    return mean, (mean["value"], {"seen": mean["count"]})


def test_trees_are_carried_and_stacked(engine):
    first = {"value": mx.array([1.0, 2.0]), "count": mx.array(0)}
    last, (values, counts) = mx.scan(decayed, first, {"value": mx.array([[1.0, 0.0], [3.0, 1.0]])})
    assert last["value"].tolist() == [0.5 * 1.5 + 3.0, 0.5 * 1.0 + 1.0]
    assert last["count"].item() == 2
    assert values.tolist() == [[1.5, 1.0], [3.75, 1.5]]
    assert counts["seen"].tolist() == [1, 2]


def test_reverse_goes_from_the_end_and_keeps_the_order(engine):
    last, ys = mx.scan(lambda s, x: (s + x, s), mx.array(0), mx.array([1, 2, 4]), reverse=True)
    assert last.item() == 7
    assert ys.tolist() == [6, 4, 0]


def test_there_need_be_no_entries_no_output_and_no_step(engine):
    doubled, nothing = mx.scan(lambda x, _: (2 * x, None), mx.array(3), length=4)
    assert doubled.item() == 48
    assert nothing is None
    same, ys = mx.scan(lambda s, x: (s + x, s * x), mx.array([1.0]), mx.zeros((0, 1)))
    assert same.tolist() == [1.0]
    assert ys.shape == (0, 1)
    nothing, squares = mx.scan(lambda _, x: (None, x * x), None, mx.array([1, 2, 3]))
    assert nothing is None
    assert squares.tolist() == [1, 4, 9]


def test_the_carry_keeps_what_it_is_given(engine):
    half = mx.array([1.0, 2.0], mx.bfloat16)
    last, ys = mx.scan(lambda s, x: (s * x, s), half, mx.array([2.0, 3.0], mx.bfloat16))
    assert (last.dtype, ys.dtype) == (mx.bfloat16, mx.bfloat16)
    assert last.tolist() == [6.0, 12.0]


def test_gradients_reach_captured_arrays(engine):
    xs = mx.array([1.0, 2.0, 3.0])

    def loss(w):
        return mx.scan(lambda s, x: (s * w + x, None), mx.array(0.0), xs)[0]

    # ((0 w + 1) w + 2) w + 3 = w^2 + 2 w + 3
    assert mx.grad(loss)(mx.array(2.0)).item() == 6.0
    assert mx.grad(mx.grad(loss))(mx.array(2.0)).item() == 2.0
    assert mx.grad(mx.checkpoint(loss))(mx.array(2.0)).item() == 6.0
    assert mx.compile(mx.grad(loss))(mx.array(2.0)).item() == 6.0
    assert mx.vmap(mx.grad(loss))(mx.array([2.0, 0.0])).tolist() == [6.0, 2.0]
    assert mx.jvp(loss, [mx.array(2.0)], [mx.array(0.5)])[1][0].item() == 3.0
    assert mx.hessian(loss)(mx.array(2.0)).item() == 2.0


def test_steps_can_be_checkpointed_and_nested(engine):
    def row(total, x):
        inner, _ = mx.scan(mx.checkpoint(lambda t, e: (t + e * e * e, None)), mx.array(0.0), x)
        return total + inner, inner

    def loss(x):
        return mx.scan(row, mx.array(0.0), x)[0]

    x = mx.array([[1.0, 2.0], [3.0, -1.0]])
    assert loss(x).item() == 1 + 8 + 27 - 1
    assert mx.grad(loss)(x).tolist() == [[3.0, 12.0], [27.0, 3.0]]


@pytest.mark.parametrize("outer", [mx.checkpoint, lambda fun: fun], ids=["checkpointed", "plain"])
def test_small_loops_of_checkpointed_steps_are_compiled(engine, outer):
    """Barriers end what makes one kernel of a small loop, so there must be none in it."""

    def loss(x):
        return mx.scan(mx.checkpoint(lambda t, e: (t * mx.sin(e), t)), mx.ones((3,)), x)[0].sum()

    x = mx.array([[0.5, 1.0, 1.5], [2.0, 2.5, 3.0]])
    gradient = mx.grad(lambda x: outer(loss)(mx.square(x)))(x)
    a, b = np.square(np.array(x))
    expected = np.stack([np.cos(a) * np.sin(b), np.sin(a) * np.cos(b)]) * 2 * np.array(x)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)


def test_every_step_draws_other_numbers_as_a_loop_does(engine):
    def noisy(total, x):
        noise = mx.random.normal((2,))
        return total + x * noise, noise

    xs = mx.array([1.0, 2.0, 3.0])
    mx.random.seed(7)
    total, drawn = mx.zeros((2,)), []
    for x in xs:
        total, noise = noisy(total, x)
        drawn.append(noise)
    after = mx.random.normal((2,))
    mx.random.seed(7)
    scanned, noises = mx.scan(noisy, mx.zeros((2,)), xs)
    np.testing.assert_allclose(noises, mx.stack(drawn), rtol=1e-6)
    np.testing.assert_allclose(scanned, total, rtol=1e-5)
    np.testing.assert_allclose(mx.random.normal((2,)), after, rtol=1e-6)
    gradient = mx.grad(lambda xs: mx.scan(noisy, mx.zeros((2,)), xs)[0].sum())
    mx.random.seed(7)
    np.testing.assert_allclose(gradient(xs), mx.stack(drawn).sum(axis=1), rtol=1e-5)


@pytest.mark.parametrize("transform", [mx.vmap, mx.compile], ids=["vmap", "compile"])
def test_the_random_state_outlives_a_transform(engine, transform):
    def product(x):
        return mx.scan(lambda c, _: (c * mx.random.uniform(shape=()), None), x, length=3)[0]

    mx.random.seed(7)
    factors = [mx.random.uniform(shape=()).item() for _ in range(4)]
    mx.random.seed(7)
    np.testing.assert_allclose(
        transform(product)(mx.array([1.0, 2.0])), np.prod(factors[:3]) * np.array([1.0, 2.0]), rtol=1e-5
    )
    assert mx.random.uniform(shape=()).item() == pytest.approx(factors[3])


def test_the_random_state_does_not_depend_on_arguments():
    def reseeded(c, x):
        mx.random.state[0] = mx.random.state[0] + c
        return c, mx.random.uniform(shape=())

    with pytest.raises(ValueError, match=r"\[scan\] .*random state.*carry a key"):
        mx.scan(reseeded, mx.array(1, mx.uint32), length=2)


def test_a_failing_step_leaves_the_random_state():
    mx.random.seed(3)
    expected = mx.random.uniform().item()
    mx.random.seed(3)

    def failing(carry, x):
        mx.random.uniform()
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        mx.scan(failing, mx.array(0.0), mx.ones((2,)))
    assert mx.random.uniform().item() == expected


def test_python_runs_the_function_once_and_the_length_is_not_recorded():
    runs = []

    def step(s, x):
        runs.append(1)
        return mx.sin(s) + x, None

    def recorded(length):
        before = len(recorder().pending)
        loss = mx.grad(lambda xs: mx.scan(step, mx.array(0.0), xs)[0])(mx.ones((length,)))
        count = len(recorder().pending) - before
        mx.eval(loss)
        return count

    short = recorded(3)
    assert len(runs) == 1
    assert recorded(5000) == short


@pytest.mark.parametrize(
    "transform",
    [
        mx.compile,
        lambda fun: lambda c, xs: mx.vmap(fun)(c[None], xs[None])[0],
        lambda fun: fun,
    ],
    ids=["compile", "vmap", "plain"],
)
def test_carries_that_nothing_reads_are_not_kept(transform):
    last = transform(lambda c, xs: mx.scan(lambda c, x: (0.5 * c + x, None), c, xs)[0])
    value, peak = evaluated_with_peak(last, mx.zeros((5000,)), mx.ones((500,)))
    np.testing.assert_allclose(value, np.full(5000, 2.0), rtol=1e-6)
    assert peak < 2**21  # all of them would be 10 MB


@pytest.mark.parametrize("transform", [mx.compile, lambda fun: fun], ids=["compile", "plain"])
def test_the_gradient_of_a_linear_loop_needs_no_carries(transform):
    last = lambda c, xs: mx.scan(lambda c, x: (0.5 * c + x, None), c, xs)[0].mean()  # noqa: E731
    value, peak = evaluated_with_peak(transform(mx.grad(last, 1)), mx.zeros((5000,)), mx.ones((500,)))
    np.testing.assert_allclose(value, 0.5 ** np.arange(500)[::-1], rtol=1e-5, atol=1e-30)
    assert peak < 2**21


def evaluated_with_peak(function, *arguments):
    """What a function gives the second time, on NumPy, and the bytes that are in use meanwhile."""
    with mx.engine("numpy"):
        mx.eval(function(*arguments), *arguments)
        tracemalloc.start()
        try:
            value = function(*arguments)
            mx.eval(value)
            return value, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def test_the_same_loop_is_compiled_once(monkeypatch):
    compiled = []
    compile_program = Compiled._compile
    monkeypatch.setattr(Compiled, "_compile", lambda self, *a: compiled.append(1) or compile_program(self, *a))
    w = mx.array([[0.5, 0.25], [0.125, 1.0]])
    loss = mx.grad(lambda w, xs: mx.scan(lambda h, x: (mx.tanh(h @ w + x), h), mx.zeros((2,)), xs)[1].sum())
    with mx.engine("xla"):
        for seed in range(3):
            mx.eval(loss(w, mx.random.normal((20, 2), key=mx.random.key(seed))))
    # one for the draw, one for the loop and its derivative
    assert len(compiled) <= 2


def test_a_number_that_changes_counts(engine):
    for factor in (2.0, 3.0, -0.0, 0.0, 1.0, -1.0):
        last, _ = mx.scan(lambda s, x, factor=factor: (x * factor, None), mx.array(1.0), mx.array([5.0]))
        assert str(last.item()) == str(5.0 * factor)


def test_a_number_that_changes_compiles_nothing_new(monkeypatch):
    compiled = []
    compile_program = Compiled._compile
    monkeypatch.setattr(Compiled, "_compile", lambda self, *a: compiled.append(1) or compile_program(self, *a))

    def last_of_three(w, factor):
        return mx.scan(lambda s, x: (mx.square(s * factor) * w, None), w, length=3)[0]

    counts = []
    with mx.engine("xla"):
        for factor in (0.5, 0.75, 1.25):
            w = mx.array(2.0)
            first, second = mx.grad(last_of_three)(w, factor), mx.grad(mx.grad(last_of_three))(w, factor)
            mx.eval(first, second)  # of factor^14 w^15
            assert np.isclose(first.item(), 15 * 2.0**14 * factor**14, rtol=1e-5)
            assert np.isclose(second.item(), 15 * 14 * 2.0**13 * factor**14, rtol=1e-5)
            counts.append(len(compiled))
    assert 0 < counts[0] == counts[-1]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((None, mx.array(0.0), mx.ones((2,))), TypeError, "fun must be callable"),
        ((lambda c, x: c, mx.array(0.0), mx.ones((2,))), ValueError, r"must return a pair \(carry, output\)"),
        ((lambda c, x: (c, x), 0.0, mx.ones((2,))), TypeError, "init must be an array"),
        ((lambda c, x: (c, x), mx.array(0.0), [1.0]), TypeError, r"xs\[0\] must be an array"),
        ((lambda c, x: (c, x), mx.array(0.0), mx.array(1.0)), ValueError, "xs is a scalar"),
        ((lambda c, x: (c, x), mx.array(0.0)), ValueError, "how many steps"),
        ((lambda c, x: (c, x), mx.array(0.0), None, -1), ValueError, "must not be negative"),
        ((lambda c, x: (c, x), mx.array(0.0), mx.ones((2,)), 3), ValueError, "length is 3, but xs has 2"),
        (
            (lambda c, x: (c, x), mx.array(0.0), {"a": mx.ones((2,)), "b": mx.ones((3,))}),
            ValueError,
            r"xs\['a'\] has 2 entries, but xs\['b'\] has 3",
        ),
        (
            (lambda c, x: (c + x, x), mx.array(0), mx.ones((2,))),
            ValueError,
            "carry that fun returns is of shape .*float32",
        ),
        ((lambda c, x: ([c, c], x), [mx.array(0.0)], mx.ones((2,))), ValueError, "structure of init"),
        (
            (lambda c, x: ([1.0], x), [mx.array(0.0)], mx.ones((2,))),
            TypeError,
            r"carry\[0\] that fun returns must be an",
        ),
        ((lambda c, x: ([None], x), [mx.array(0.0)], mx.ones((2,))), ValueError, "None where it has None"),
        (
            (lambda c, x: ((c[0],), x), [mx.array(0.0)], mx.ones((2,))),
            ValueError,
            "carry that fun returns is a tuple, but that of init is a list",
        ),
        (
            (lambda c, x: ({"a": [c["a"][0], []]}, x), {"a": (mx.array(0.0), [])}, mx.ones((2,))),
            ValueError,
            r"carry\['a'\] that fun returns is a list, but that of init is a tuple",
        ),
        (
            (lambda c, x: ([c[0], ()], x), [mx.array(0.0), {}], mx.ones((2,))),
            ValueError,
            r"carry\[1\] that fun returns is a tuple, but that of init is a dict",
        ),
        ((lambda c, x: (c, x), mx.array(0.0), None, True), TypeError, "length must be an int, got True"),
        ((lambda c, x: (c, x), mx.array(0.0), mx.ones((1,)), True), TypeError, "length must be an int, got True"),
        ((lambda c, x: (c, x), mx.array(0.0), None, 2.0), TypeError, "length must be an int, got 2.0"),
        ((lambda c, x: (c, [x, 2.0]), mx.array(0.0), mx.ones((2,))), TypeError, r"output of fun\[1\] must be an array"),
    ],
)
def test_what_is_wrong_is_said(arguments, error, message):
    with pytest.raises(error, match=r"\[scan\].*" + message):
        mx.scan(*arguments)


def test_the_direction_is_a_bool():
    with pytest.raises(TypeError, match=r"\[scan\] reverse must be"):
        mx.scan(lambda c, x: (c, x), mx.array(0.0), mx.ones((2,)), reverse="no")


def test_a_value_inside_the_step_cannot_be_asked_for():
    with pytest.raises(ValueError, match=r"inside mx\.scan"):
        mx.scan(lambda c, x: (c if c.item() > 0 else -c, None), mx.array(0.0), mx.ones((2,)))

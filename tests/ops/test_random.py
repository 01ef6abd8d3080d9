"""Random numbers: the reference's streams, written down as numbers from mlx 0.32.4; state, shapes, dtypes, errors."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

import mlx.core as mx

KEY_SEED = 2**40 + 17


@pytest.fixture(params=["numpy", "xla"])
def engine(request: Any) -> Any:
    with mx.engine(request.param):
        yield request.param


on_both_engines = pytest.mark.usefixtures("engine")


def key() -> mx.array:
    return mx.random.key(KEY_SEED)


def close(result: mx.array, expected: Any, tolerance: float = 1e-6) -> None:
    assert result.shape == np.shape(expected)
    np.testing.assert_allclose(np.array(result.astype(mx.float32)), expected, rtol=tolerance, atol=tolerance)


# ---------------------------------------------------------------------- keys and the state


@pytest.mark.parametrize(
    ("seed", "words"),
    [(0, [0, 0]), (42, [0, 42]), (True, [0, 1]), (2**32 + 5, [1, 5]), (2**64 - 1, [4294967295, 4294967295])]
    + [(np.uint64(2**63), [2147483648, 0]), (np.int64(3), [0, 3]), (mx.array(3), [0, 3])],
)
def test_key(seed: int, words: list[int]) -> None:
    made = mx.random.key(seed)
    assert made.dtype == mx.uint32
    assert made.tolist() == words


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "1", None])
def test_seeds_are_integers_of_64_bits(seed: Any) -> None:
    with pytest.raises(TypeError, match=r"\[key\] seed"):
        mx.random.key(seed)
    with pytest.raises(TypeError, match=r"\[seed\] seed"):
        mx.random.seed(seed)


@on_both_engines
def test_split() -> None:
    assert mx.random.split(mx.random.key(0)).tolist() == [[4146024105, 967050713], [2718843009, 1272950319]]
    assert mx.random.split(key(), 1).tolist() == [[3417383460, 2776478190]]
    assert mx.random.split(key(), num=7).tolist() == [
        [1578505560, 794847051],
        [2518862984, 1412107757],
        [2735918102, 3542152588],
        [4076028709, 3742769637],
        [2461787041, 865274612],
        [3601500344, 573747836],
        [2821814408, 3106434367],
    ]
    assert mx.random.split(key(), 0).shape == (0, 2)
    for three in (np.int64(3), mx.array(3)):
        assert mx.random.split(key(), three).shape == (3, 2)  # type: ignore[arg-type]


@on_both_engines
def test_many_words() -> None:
    many = np.array(mx.random.split(key(), 50000))
    assert many.astype(np.uint64).sum() == 215635465893191
    assert np.bitwise_xor.reduce(many.reshape(-1)) == 2719099919
    assert np.bitwise_xor.reduce(np.array(mx.random.split(key(), 25001)).reshape(-1)) == 3473146807


@on_both_engines
def test_global_stream() -> None:
    mx.random.seed(12345)
    drawn = [mx.random.uniform().item() for _ in range(4)]
    assert drawn == [0.0023064410779625177, 0.026506897062063217, 0.21289467811584473, 0.41298460960388184]
    assert mx.random.state[0].tolist() == [2881488991, 3363195803]
    close(mx.random.normal((3,)), [0.5001619458198547, -0.5865375399589539, 0.7003768682479858])
    assert mx.random.state[0].tolist() == [921661137, 2846866536]


DRAWS = {
    "uniform": lambda: mx.random.uniform(shape=(3,)),
    "normal": lambda: mx.random.normal((3,), mx.complex64),
    "randint": lambda: mx.random.randint(0, 5, (3,)),
    "bernoulli": lambda: mx.random.bernoulli(shape=(3,)),
    "categorical": lambda: mx.random.categorical(mx.zeros((2, 3))),
    "categorical of one": lambda: mx.random.categorical(mx.zeros((3,)), num_samples=4),
    "truncated_normal": lambda: mx.random.truncated_normal(-1, 1),
    "permutation": lambda: mx.random.permutation(4),
    "gumbel": lambda: mx.random.gumbel(),
    "laplace": lambda: mx.random.laplace(),
    "multivariate_normal": lambda: mx.random.multivariate_normal(mx.zeros((2,)), mx.eye(2)),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS.keys())
def test_a_draw_splits_the_state_once(draw: Any) -> None:
    mx.random.seed(5)
    rest, _ = mx.random.split(mx.random.key(5))
    draw()
    assert mx.random.state[0].tolist() == rest.tolist()


def test_a_draw_with_a_key_leaves_the_state_alone() -> None:
    mx.random.seed(5)
    mx.random.normal((3,), key=key())
    assert mx.random.state[0].tolist() == [0, 5]


def test_a_failed_draw_leaves_the_state_alone() -> None:
    mx.random.seed(5)
    with pytest.raises(ValueError, match="Negative"):
        mx.random.uniform(shape=(2, -1))
    assert mx.random.state[0].tolist() == [0, 5]


def test_state_is_saved_and_assigned() -> None:
    mx.random.seed(3)
    mx.random.uniform()
    saved = list(mx.random.state)
    first = mx.random.uniform().item()
    mx.random.state = saved
    assert mx.random.uniform().item() == first
    mx.random.state[0] = saved[0]
    assert mx.random.uniform().item() == first
    assert len(mx.random.state) == 1
    mx.eval(mx.random.state)


@pytest.mark.parametrize("bad", [None, [], [1], mx.array([0, 1], mx.uint32)])
def test_a_state_is_a_list_of_one_key(bad: Any) -> None:
    mx.random.seed(3)
    with pytest.raises(ValueError, match=r"\[random.state\] must be a list of one key"):
        mx.random.state = bad
    with pytest.raises(ValueError, match=r"Expected key shape \(2\)"):
        mx.random.state = [mx.array([0], mx.uint32)]
    assert mx.random.state[0].tolist() == [0, 3]


@on_both_engines
def test_a_state_that_is_not_evaluated_yet_can_be_drawn_from() -> None:
    mx.random.state = [mx.random.key(12345) + mx.array(0, mx.uint32)]
    assert mx.random.uniform().item() == 0.0023064410779625177
    mx.random.state = [mx.random.key(12345) + mx.array(0, mx.uint32)]
    drawn = [mx.random.uniform() for _ in range(4)]
    assert [x.item() for x in drawn][2:] == [0.21289467811584473, 0.41298460960388184]


def test_unknown_names() -> None:
    with pytest.raises(AttributeError, match="Module 'random' has no attribute 'rand'"):
        mx.random.rand  # noqa: B018


def test_every_thread_has_a_state_of_its_own() -> None:
    mx.random.seed(3)
    expected = [mx.random.uniform().item() for _ in range(2)]
    mx.random.seed(3)
    mx.random.uniform()
    found: dict[str, Any] = {}

    def elsewhere() -> None:
        found["own"] = mx.random.state[0].tolist()
        mx.random.seed(3)
        found["drawn"] = mx.random.uniform().item()

    worker = threading.Thread(target=elsewhere)
    worker.start()
    worker.join()
    assert found["own"] not in ([0, 3], mx.random.state[0].tolist())
    assert found["drawn"] == expected[0]
    assert mx.random.uniform().item() == expected[1]


def test_processes_that_nobody_seeded_differ() -> None:
    program = "import mlx.core as mx; print(mx.random.state[0].tolist())"
    runs = {subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout for _ in range(2)}
    assert len(runs) == 2


BAD_KEYS = [
    (3, TypeError, r"\[random\] key must be an array"),
    (mx.array([0, 1]), ValueError, "Expected key type uint32 but received int32"),
    (mx.array([1], mx.uint32), ValueError, r"Expected key shape \(2\) but received \(1,\)"),
    (mx.zeros((4, 2), mx.uint32), ValueError, r"Expected key shape \(2\) but received \(4, 2\)"),
]


@pytest.mark.parametrize(("bad", "error", "message"), BAD_KEYS)
def test_bad_keys(bad: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mx.random.uniform(key=bad)
    with pytest.raises(error, match=message):
        mx.random.split(bad)


def test_split_needs_a_count() -> None:
    with pytest.raises(TypeError, match=r"\[split\] num must be an int"):
        mx.random.split(key(), 2.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\[split\] Negative"):
        mx.random.split(key(), -1)


# ---------------------------------------------------------------------- uniform


@on_both_engines
@pytest.mark.parametrize(
    "expected",
    [
        [0.8869567513465881],
        [0.7956715822219849, 0.6464492082595825],
        [0.7547182440757751, 0.3499275743961334, 0.474151611328125],
        [
            *(0.07287666201591492, 0.0630185455083847, 0.1743706464767456, 0.951023280620575),
            *(0.7533499598503113, 0.88400799036026, 0.8639806509017944),
        ],
    ],
)
def test_uniform(expected: list[float]) -> None:
    drawn = mx.random.uniform(shape=(len(expected),), key=key())
    assert drawn.dtype == mx.float32
    assert drawn.tolist() == expected


@on_both_engines
def test_uniform_between_bounds() -> None:
    close(
        mx.random.uniform(-3, 7, (2, 3), key=key()),
        [[3.2064671516418457, -1.192003846168518, 3.9167041778564453], [-0.1569280624, 5.599184989929199, 4.824215889]],
    )
    with_arrays = mx.random.uniform(mx.array([[-3], [0]]), mx.array([7, 8, 9]), (2, 3), key=key())
    unit = np.array(mx.random.uniform(shape=(2, 3), key=key()))
    low, high = np.array([[-3], [0]], np.float32), np.array([7, 8, 9], np.float32)
    close(with_arrays, unit * (high - low) + low)


@on_both_engines
def test_uniform_in_half_precision() -> None:
    half = mx.random.uniform(-3, 7, (5,), mx.float16, key=key())
    assert half.dtype == mx.float16
    close(half, [3.20703125, -1.1923828125, 4.171875, -0.15625, 5.6015625], 1e-3)
    brain = mx.random.uniform(-3, 7, (5,), mx.bfloat16, key=key())
    assert brain.dtype == mx.bfloat16
    close(brain, [3.21875, -1.1953125, 4.1875, -0.15625, 5.625], 8e-3)


@on_both_engines
@pytest.mark.parametrize("dtype", [mx.float32, mx.float16, mx.bfloat16])
def test_uniform_never_reaches_one(dtype: mx.Dtype) -> None:
    drawn = mx.random.uniform(shape=(2**18,), dtype=dtype, key=key())
    assert drawn.max().item() < 1
    assert drawn.min().item() >= 0
    assert abs(drawn.astype(mx.float32).mean().item() - 0.5) < 2e-3


def test_uniform_with_degenerate_bounds() -> None:
    assert mx.random.uniform(1, 1, (4,)).tolist() == [1.0] * 4
    drawn = mx.random.uniform(5, 3, (1000,))
    assert 3 < drawn.min().item() < drawn.max().item() <= 5
    assert mx.random.uniform(shape=(0, 3)).shape == (0, 3)
    assert mx.random.uniform(dtype=None).dtype == mx.float32


@pytest.mark.filterwarnings("error")
def test_uniform_between_infinite_bounds() -> None:
    inf = float("inf")
    assert np.isnan(np.array(mx.random.uniform(inf, inf, (2,)))).all()
    assert np.isnan(np.array(mx.random.uniform(-inf, inf, (2,)))).all()
    assert mx.random.uniform(0, inf, (2,)).tolist() == [inf, inf]


def test_uniform_is_differentiable_in_its_bounds() -> None:
    def total(low: mx.array, high: mx.array) -> mx.array:
        return mx.random.uniform(low, high, (3,), key=key()).sum()

    unit = sum([0.7547182440757751, 0.3499275743961334, 0.474151611328125])
    low, high = mx.grad(total, argnums=(0, 1))(mx.array(-1.0), mx.array(2.0))
    assert low.item() == pytest.approx(3 - unit, rel=1e-6)
    assert high.item() == pytest.approx(unit, rel=1e-6)


UNIFORM_ERRORS = [
    ({"dtype": mx.int32}, ValueError, "real floating point type, got int32"),
    ({"dtype": mx.complex64}, ValueError, "real floating point type, got complex64"),
    ({"dtype": mx.float64}, RuntimeError, r"\[uniform\] Unsupported type float64"),
    ({"dtype": "float32"}, TypeError, r"\[uniform\] dtype must be a Dtype"),
    ({"shape": 3}, TypeError, r"\[uniform\] shape must be a sequence of integers"),
    ({"shape": (2, 1.5)}, TypeError, r"\[uniform\] shape must be a sequence of integers"),
    ({"shape": (2, -3)}, ValueError, r"Negative dimensions not allowed"),
    ({"low": mx.array([1.0, 2.0])}, ValueError, r"of shape \(\) from broadcasted shape \(2,\)"),
    ({"low": mx.array([1.0, 2.0]), "shape": (3,)}, ValueError, "cannot be broadcast"),
    ({"low": "a"}, ValueError, r"\[uniform\] low must be an array or a number"),
    ({"high": [1.0]}, ValueError, r"\[uniform\] high must be an array or a number"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), UNIFORM_ERRORS)
def test_uniform_errors(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mx.random.uniform(**arguments)


# ---------------------------------------------------------------------- normal

NORMAL = [0.3071798086166382, -0.9123218059539795, 0.5005908608436584, -0.57009333372, 1.07995343208, 0.78039777279]


@on_both_engines
def test_normal() -> None:
    close(mx.random.normal((6,), key=key()), NORMAL)
    scaled = mx.random.normal((6,), loc=0.7, scale=0.3, key=key())
    close(scaled, 0.7 + 0.3 * np.array(NORMAL))
    wide = mx.random.normal((6,), mx.float64, loc=0.7, scale=0.3, key=key())
    assert wide.dtype == mx.float64
    close(wide, 0.7 + 0.3 * np.array(NORMAL))


@on_both_engines
@pytest.mark.parametrize(("dtype", "tolerance"), [(mx.float16, 1e-3), (mx.bfloat16, 8e-3)])
def test_normal_in_half_precision(dtype: mx.Dtype, tolerance: float) -> None:
    drawn = mx.random.normal((6,), dtype, key=key())
    assert drawn.dtype == dtype
    close(drawn, NORMAL, tolerance)
    close(mx.random.normal((6,), dtype, 0.7, 0.3, key=key()), 0.7 + 0.3 * np.array(NORMAL), tolerance)
    assert mx.isfinite(mx.random.normal((100_000,), dtype)).all().item()


def test_normal_in_half_precision_on_the_interpreter_bit_for_bit() -> None:
    with mx.engine("numpy"):
        half = mx.random.normal((6,), mx.float16, 0.7, 0.3, key=key())
        brain = mx.random.normal((6,), mx.bfloat16, 0.7, 0.3, key=key())
        assert half.tolist() == [0.79248046875, 0.426513671875, 0.8505859375, 0.529296875, 1.0244140625, 0.9345703125]
        assert brain.tolist() == [0.79296875, 0.423828125, 0.8515625, 0.52734375, 1.0234375, 0.93359375]


@on_both_engines
def test_complex_normal() -> None:
    real = [-1.0286256074905396, -0.6625826358795166, 0.4844173491001129, 0.7766717672348022]
    imaginary = [-1.0818151235580444, -0.3503037989139557, 0.8451792001724243, -0.8445932269096375]
    drawn = mx.random.normal((4,), mx.complex64, key=key())
    assert drawn.dtype == mx.complex64
    close(drawn.real, real)
    close(drawn.imag, imaginary)
    scaled = mx.random.normal((2, 2), mx.complex64, loc=0.7 + 0.1j, scale=0.3, key=key())
    close(scaled.real.flatten(), 0.7 + 0.3 * np.array(real))
    close(scaled.imag.flatten(), 0.1 + 0.3 * np.array(imaginary))


@on_both_engines
def test_normal_parameters_broadcast() -> None:
    drawn = mx.random.normal((2, 3), loc=mx.array([10.0, 20.0, 30.0]), scale=mx.array([[1.0], [2.0]]), key=key())
    standard = np.array(NORMAL).reshape(2, 3)
    close(drawn, standard * [[1], [2]] + [10, 20, 30])
    assert mx.random.normal((2,), scale=mx.ones((1, 2))).shape == (1, 2)
    half = mx.random.normal((3,), mx.float16, loc=mx.array([1.0, 2.0, 3.0]))
    assert half.dtype == mx.float16


def test_normal_is_differentiable_in_its_parameters() -> None:
    def total(loc: mx.array, scale: mx.array) -> mx.array:
        return mx.random.normal((6,), loc=loc, scale=scale, key=key()).square().sum()

    loc, scale = mx.grad(total, argnums=(0, 1))(mx.array(0.5), mx.array(2.0))
    x = 0.5 + 2.0 * np.array(NORMAL)
    assert loc.item() == pytest.approx(2 * x.sum(), rel=1e-5)
    assert scale.item() == pytest.approx(2 * (x * NORMAL).sum(), rel=1e-5)


def test_moments_of_normal() -> None:
    mx.random.seed(1)
    drawn = np.array(mx.random.normal((2**17,)), np.float64)
    assert abs(drawn.mean()) < 0.01
    assert abs(drawn.std() - 1) < 0.01
    assert abs((drawn**4).mean() - 3) < 0.1


def test_normal_errors() -> None:
    with pytest.raises(ValueError, match="Only floating point and complex64 types are supported"):
        mx.random.normal((2,), mx.int32)
    with pytest.raises(TypeError, match=r"\[normal\] dtype must be a Dtype"):
        mx.random.normal((2,), "float32")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cannot be broadcast"):
        mx.random.normal((2,), loc=mx.zeros((3,)))
    with pytest.raises(ValueError, match="Negative"):
        mx.random.normal((-2,))
    with pytest.raises(TypeError, match=r"\[normal\] shape"):
        mx.random.normal(3)  # type: ignore[arg-type]


# ---------------------------------------------------------------------- other continuous distributions


@on_both_engines
def test_truncated_normal() -> None:
    expected = [0.43085575103759766, -0.5053489804267883, 0.6614185571670532, -0.2757042050, 1.0919841527938843]
    close(mx.random.truncated_normal(-1, 2, (5,), key=key()), expected, 3e-6)
    close(
        mx.random.truncated_normal(mx.array([[0.0], [1.0]]), mx.array([2.0, 3.0, 4.0]), key=key()),
        [[0.8281370997, 0.22794559597969055, 1.0186409950256348], [1.1749044656, 1.9883675575256348, 1.8178336620]],
        3e-6,
    )


def test_truncated_normal_stays_between_its_bounds() -> None:
    drawn = mx.random.truncated_normal(-0.5, 2.0, (10000,))
    assert -0.5 <= drawn.min().item() < drawn.max().item() <= 2.0
    assert mx.random.truncated_normal(2.0, -2.0, (3,)).tolist() == [2.0] * 3
    assert mx.random.truncated_normal(mx.array([]), mx.array([])).shape == (0,)
    assert mx.random.truncated_normal(0, 1, dtype=mx.float16).dtype == mx.float16
    with pytest.raises(ValueError, match="cannot be broadcast"):
        mx.random.truncated_normal(mx.zeros((2,)), mx.zeros((3,)))
    with pytest.raises(ValueError, match="real floating point type"):
        mx.random.truncated_normal(0, 1, dtype=mx.int32)
    with pytest.raises(RuntimeError, match="Unsupported type float64"):
        mx.random.truncated_normal(0, 1, dtype=mx.float64)


@on_both_engines
def test_gumbel() -> None:
    expected = [0.7402529120445251, -0.53670734167099, 1.1018075942993164, -0.2292846292257309, 1.8910211324691772]
    close(mx.random.gumbel((5,), key=key()), expected)
    half = mx.random.gumbel((5,), mx.float16, key=key())
    assert half.dtype == mx.float16
    close(half, [0.740234375, -0.53662109375, 1.1015625, -0.2286376953125, 1.890625], 2e-3)
    with pytest.raises(ValueError, match="real floating point type"):
        mx.random.gumbel((2,), mx.int32)


@on_both_engines
def test_laplace() -> None:
    expected = [-0.2761402428150177, 1.0172185897827148, -0.5701996088027954, 0.56455272436, -1.2723841667175293]
    close(mx.random.laplace((5,), key=key()), expected)
    close(mx.random.laplace((5,), loc=0.7, scale=0.3, key=key()), 0.7 + 0.3 * np.array(expected))
    half = mx.random.laplace((5,), mx.float16, 0.7, 0.3, key=key())
    assert half.dtype == mx.float16
    close(half, [0.6171875, 1.005859375, 0.529296875, 0.86962890625, 0.318359375], 1e-3)
    close(mx.random.laplace((5,), mx.float64, key=key()), expected)
    for dtype in (mx.float16, mx.bfloat16):
        assert mx.isfinite(mx.random.laplace((100_000,), dtype)).all().item()
    with pytest.raises(TypeError, match=r"\[laplace\] loc must be a real number"):
        mx.random.laplace((2,), loc=1j)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"\[laplace\] scale must be a real number"):
        mx.random.laplace((2,), scale=mx.ones((2,)))  # type: ignore[arg-type]


@on_both_engines
def test_multivariate_normal() -> None:
    drawn = mx.random.multivariate_normal(mx.array([1.0, 2.0]), mx.array([[2.0, 1], [1, 3]]), (3,), key=key())
    close(drawn, [[1.1263654232, 0.547674417], [1.5037696361, 1.192751169], [2.7399950027, 3.6785900593]], 3e-6)
    mean = mx.array([[0.0, 0, 0], [1, 2, 3]])
    cov = mx.array([[1, -0.5, 0.2], [-0.5, 1, -0.3], [0.2, -0.3, 2]])
    expected = [[0.5650681853, -1.0134015083, 0.8350833058], [0.2302135825, 3.0889320374, 3.9289999008]]
    close(mx.random.multivariate_normal(mean, cov, key=key()), expected, 3e-6)


@on_both_engines
def test_leading_axes_of_multivariate_normal_broadcast_to_its_shape() -> None:
    mean, cov = mx.array([[0.0, 10], [20, 30], [40, 50]]), mx.array([[2.0, 1], [1, 3]])
    expected = [
        [[2.4717907906, 10.3602085114], [19.6380157471, 30.0855484009], [40.7395477295, 52.2562789917]],
        [[-0.9392312765, 8.4589796066], [19.5127811432, 29.9793243408], [41.1018676758, 49.9888038635]],
    ]
    close(mx.random.multivariate_normal(mean, cov, (2, 1), key=key()), expected, 3e-6)
    one = [[0.1263653934, 8.5476741791], [20.5037689209, 29.1927509308], [41.7399940491, 51.6785888672]]
    close(mx.random.multivariate_normal(mean, cov, (1,), key=key()), one, 3e-6)
    assert mx.random.multivariate_normal(mx.zeros((2, 1, 2)), cov, (0,)).shape == (2, 0, 2)
    wide = mx.random.multivariate_normal(mx.zeros((2,), mx.float64), cov, key=key())
    assert wide.dtype == mx.float64
    close(wide, [1.2593380213, 0.9077349901], 3e-6)


def test_moments_of_multivariate_normal() -> None:
    mean, cov = np.array([4.0, 7.0, 0.0]), np.array([[2, 0.5, 0], [0.5, 1, -0.5], [0, -0.5, 3]])
    drawn = np.array(mx.random.multivariate_normal(mx.array(mean), mx.array(cov), (50_000,), key=key()))
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.05)
    np.testing.assert_allclose(np.cov(drawn.T), cov, atol=0.1)


@on_both_engines
def test_multivariate_normal_is_differentiable() -> None:
    standard = np.array(mx.random.normal((2,), key=key()))

    def weighed(mean: mx.array, cov: mx.array) -> mx.array:
        return (mx.random.multivariate_normal(mean, cov, key=key()) * mx.array([1.0, 10.0])).sum()

    of_mean, of_cov = mx.grad(weighed, argnums=(0, 1))(mx.zeros((2,)), 4 * mx.eye(2))
    close(of_mean, [1.0, 10.0])
    change = np.outer([1.0, 10.0], standard)  # of the root 2 I, for which dR = dA / 4
    close(of_cov, change.T / 4, 1e-5)


MULTIVARIATE_ERRORS = [
    ((mx.zeros((2,)), mx.eye(2), (), mx.float16), ValueError, "dtype must be float32"),
    ((mx.zeros((2, 2)), mx.eye(2), (3,)), ValueError, "cannot be broadcast"),
    ((mx.zeros((2,)), mx.eye(2), (), "float32"), TypeError, "dtype must be a Dtype"),
    ((mx.zeros((3,)), mx.eye(2)), ValueError, "mean and cov must have compatible shapes"),
    ((mx.zeros((2,)), mx.zeros((2, 3))), ValueError, "last two dimensions of cov must be equal"),
    ((mx.array(0.0), mx.eye(2)), ValueError, "mean must have at least one dimension"),
    ((mx.zeros((2,)), mx.zeros((2,))), ValueError, "cov must have at least two dimensions"),
    (([0.0, 0.0], mx.eye(2)), TypeError, "mean and cov must be arrays"),
    ((mx.zeros((2,), mx.complex64), mx.eye(2)), ValueError, "must be real"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), MULTIVARIATE_ERRORS)
def test_multivariate_normal_errors(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mx.random.multivariate_normal(*arguments)


# ---------------------------------------------------------------------- integers and booleans


@on_both_engines
def test_randint() -> None:
    drawn = mx.random.randint(-50, 50, (12,), key=key())
    assert drawn.dtype == mx.int32
    assert drawn.tolist() == [46, -6, -12, 4, 9, 39, -19, -30, -15, 2, 29, -7]
    wide = mx.random.randint(-(2**20), 2**20, (5,), mx.int64, key=key())
    assert wide.dtype == mx.int64
    np.testing.assert_allclose(np.array(wide), [253014, -669412, 455697, -452341, 754803], atol=1)
    small = mx.random.randint(0, 200, (6,), mx.uint8, key=key())
    assert small.dtype == mx.uint8
    assert small.tolist() == [124, 36, 138, 56, 171, 156]
    truths = mx.random.randint(0, 2, (8,), mx.bool_, key=key())
    assert truths.tolist() == [False, False, False, False, True, True, True, False]


def test_randint_keeps_its_bounds() -> None:
    drawn = mx.random.randint(-5, 5, (5000,))
    assert sorted(set(drawn.tolist())) == list(range(-5, 5))
    assert mx.random.randint(10, -10, (3,)).tolist() == [10] * 3
    for dtype, low in ((mx.int32, 2**24), (mx.uint32, 2**24), (mx.int64, 2**40)):
        inside = mx.random.randint(low, low + 2, (1000,), dtype)
        assert low <= inside.min().item() <= inside.max().item() < low + 2
    low, high = mx.array([[0], [100]]), mx.array([10, 20])
    both = np.array(mx.random.randint(low, high + 100, (2, 2)))
    assert (both >= [[0], [100]]).all()
    assert (both < [[110, 120]]).all()
    assert mx.random.randint(0, 5, (2, 0)).shape == (2, 0)
    assert mx.random.randint(0, 5, dtype=None).dtype == mx.int32


@on_both_engines
def test_randint_to_the_last_one() -> None:
    # Computed with the reference. A product and a sum that are rounded together give 7 for one of them.
    drawn = np.array(mx.random.randint(-50, 50, (2**17 + 1,), key=key()), np.int64)
    assert drawn.sum() == -62892
    assert (drawn * np.arange(drawn.size)).sum() == -4108423014


@on_both_engines
@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 2**32, [True] * 6),
        (-50, 50, [True] * 6),
        (0.5, 7.9, [True] * 6),
        (0, 1, [False] * 6),
        (0, 3, [True, False, True, False, True, True]),
    ],
)
def test_randint_of_truth_values(low: float, high: float, expected: list[bool]) -> None:
    assert mx.random.randint(low, high, (6,), mx.bool_, key=key()).tolist() == expected


# Computed with the reference.
RANDINT_WIDE = [
    (0, 2**31 - 1, mx.int32, [1620745088, 579760064, 1018232832, 1364022016]),
    (-(2**31), 2**31 - 1, mx.int32, [1094006528, -987963520, -111017984, 580560384]),
    (
        *(-(2**63), 2**63 - 1, mx.int64),
        [4698722259370508288, -4243271008041041920, -476818610547851264, 2493487862633201664],
    ),
    (0, 2**63 - 1, mx.uint64, [6961047148112642048, 2490050514406866944, 4373276713153462272, 5858429949743988736]),
    (2**40, 2**40 + 5, mx.int64, [2**40] * 4),
    (0, 2**32, mx.uint32, [3241490176, 1159520128, 2036465664, 2728044032]),
    (-128, 127, mx.int8, [64, -60, -8, 33]),
]


@on_both_engines
@pytest.mark.parametrize(("low", "high", "dtype", "expected"), RANDINT_WIDE)
def test_randint_of_wide_intervals(low: int, high: int, dtype: mx.Dtype, expected: list[int]) -> None:
    assert mx.random.randint(low, high, (4,), dtype, key=key()).tolist() == expected


@on_both_engines
def test_uniform_to_the_last_bit() -> None:
    drawn = np.array(mx.random.uniform(-3, 7, (2**17 + 1,), key=key()))
    assert np.bitwise_xor.reduce(drawn.view(np.uint32)) == 3049262570
    bounded = mx.random.uniform(mx.array([[-3.0], [0]]), mx.array([2.0, 3, 4]), (2, 3), key=key())
    assert bounded.tolist() == [
        [0.10323357582092285, -1.915202260017395, 1.8416929244995117],
        [0.5686143636703491, 2.5797555446624756, 3.1296863555908203],
    ]


def test_randint_errors() -> None:
    with pytest.raises(ValueError, match="only accepts integer dtypes and bool"):
        mx.random.randint(0, 5, (2,), mx.float32)
    with pytest.raises(ValueError, match=r"of shape \(\) from broadcasted shape \(2,\)"):
        mx.random.randint(mx.array([0, 5]), 9)
    for no_dtype in ("int32", int, mx.integer):
        with pytest.raises(TypeError, match=r"\[randint\] dtype must be a Dtype"):
            mx.random.randint(0, 5, (2,), no_dtype)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\[randint\] low must be"):
        mx.random.randint("a", 9)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"\[randint\] shape"):
        mx.random.randint(0, 9, 3)  # type: ignore[arg-type]


@on_both_engines
def test_bernoulli() -> None:
    drawn = mx.random.bernoulli(0.3, (12,), key=key())
    assert drawn.dtype == mx.bool_
    assert [i for i, hit in enumerate(drawn.tolist()) if hit] == [7]
    assert mx.random.bernoulli(mx.array([0.1, 0.5, 0.9]), (4, 3), key=key()).tolist() == [
        [False, True, True],
        [False, False, True],
        [False, True, True],
        [False, False, True],
    ]
    assert mx.random.bernoulli(mx.array([2.0, -2.0])).tolist() == [True, False]
    assert mx.random.bernoulli().shape == ()
    share = mx.random.bernoulli(mx.array(0.3, mx.float16), (10_000,)).astype(mx.float32).mean().item()
    assert abs(share - 0.3) < 0.03


def test_bernoulli_errors() -> None:
    for bad in (0, True, 1j, mx.array([1, 0])):
        with pytest.raises(ValueError, match="probability `p` must be a float type"):
            mx.random.bernoulli(bad)
    with pytest.raises(ValueError, match="cannot be broadcast"):
        mx.random.bernoulli(mx.array([0.1, 0.2, 0.3]), (2,))
    with pytest.raises(ValueError, match="incompatible with argument `shape`"):
        mx.random.bernoulli(mx.array([0.1, 0.2, 0.3]), ())


# ---------------------------------------------------------------------- choices

LOGITS = np.arange(12, dtype=np.float32).reshape(3, 4) / 4


@on_both_engines
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [0, 1, 2]),
        ({"axis": 0}, [0, 1, 2, 2]),
        ({"num_samples": 5}, [[0, 3, 1, 0, 0], [0, 2, 3, 3, 2], [0, 2, 0, 1, 0]]),
        ({"axis": -2, "num_samples": 3}, [[2, 2, 2], [2, 2, 1], [2, 2, 2], [0, 1, 2]]),
        ({"axis": 1, "shape": (4, 3)}, [[3, 0, 1], [1, 3, 2], [0, 2, 1], [3, 3, 1]]),
        ({"axis": 0, "shape": (2, 4)}, [[1, 0, 0, 1], [2, 2, 2, 2]]),
    ],
)
def test_categorical(arguments: dict[str, Any], expected: list[Any]) -> None:
    drawn = mx.random.categorical(mx.array(LOGITS), key=key(), **arguments)
    assert drawn.dtype == mx.uint32
    assert drawn.tolist() == expected


@on_both_engines
def test_categorical_of_one_distribution() -> None:
    one = mx.array(LOGITS[2])
    expected = [1, 2, 2, 3, 0, 2, 2, 2, 3, 2]
    assert mx.random.categorical(one, num_samples=10, key=key()).tolist() == expected
    assert mx.random.categorical(one, shape=(2, 5), key=key()).tolist() == [expected[:5], expected[5:]]
    assert mx.random.categorical(one[:, None], 0, num_samples=10, key=key()).tolist() == [expected]
    assert mx.random.categorical(one[None], key=key()).tolist() == [3]
    assert mx.random.categorical(one, key=key()).item() == 3
    assert mx.random.categorical(one, num_samples=0).shape == (0,)


@on_both_engines
def test_categorical_of_infinite_logits() -> None:
    # Computed with the reference. Infinite ones share the probability of one distribution evenly.
    inf = float("inf")

    def draw(logits: Any, count: int) -> Any:
        return mx.random.categorical(mx.array(logits), num_samples=count, key=key()).tolist()

    assert draw([0.0, inf, inf, 1.0], 12) == [2, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 1]
    assert draw([-inf, -inf, -inf], 12) == [2, 1, 1, 1, 1, 2, 0, 0, 1, 1, 2, 1]
    assert draw([inf, 0.0], 3) == [0, 0, 0]
    assert draw([[0.0, inf], [-inf, 0.0]], 3) == [[1, 1, 1], [1, 1, 1]]


@on_both_engines
def test_choices_to_the_last_one() -> None:
    # Computed with the reference: sums of what is drawn, and of that times its position.
    chosen = np.array(mx.random.categorical(mx.array(LOGITS), num_samples=50_000, key=key()), np.int64)
    assert chosen.sum() == 271220
    assert (chosen * np.arange(chosen.size).reshape(chosen.shape) % 1000003).sum() == 20340262154
    order = np.array(mx.random.permutation(100_003, key=key()), np.int64)
    assert (order * np.arange(order.size)).sum() == 250038663669923
    hits = np.array(mx.random.bernoulli(0.3, (100_003,), key=key()), np.int64)
    assert (hits.sum(), (hits * np.arange(hits.size)).sum()) == (30136, 1510185594)


@pytest.mark.parametrize("rows", [1, 2])
def test_frequencies_of_categorical(rows: int) -> None:
    chances = np.array([0.1, 0.0, 0.6, 0.3], np.float32)
    logits = mx.log(mx.array(np.stack([chances] * rows)))
    drawn = np.array(mx.random.categorical(logits, num_samples=20_000, key=key()))
    for row in drawn:
        np.testing.assert_allclose(np.bincount(row, minlength=4) / 20_000, chances, atol=0.015)
        assert (row != 1).all()


@on_both_engines
def test_categorical_takes_any_dtype() -> None:
    for dtype in (mx.float16, mx.bfloat16, mx.float64, mx.int32):
        logits = mx.array([[0, 30, 0], [60, 0, 0]]).astype(dtype)
        assert mx.random.categorical(logits).tolist() == [1, 0]
        assert mx.random.categorical(logits[:1], num_samples=2).tolist() == [[1, 1]]


CATEGORICAL_ERRORS = [
    ((mx.zeros((3,)), 1), {}, IndexError, "Invalid axis 1 for array with 1 dimensions"),
    ((mx.array(1.0),), {}, IndexError, "Invalid axis -1 for array with 0 dimensions"),
    ((mx.zeros((3, 2)),), {"shape": [3], "num_samples": 4}, ValueError, "At most one of shape or num_samples"),
    ((mx.zeros((3, 2)),), {"shape": []}, ValueError, "not broadcast compatible with reduced logits shape"),
    ((mx.zeros((3, 2)),), {"shape": [2]}, ValueError, "cannot be broadcast"),
    ((mx.zeros((3, 2)),), {"num_samples": -1}, ValueError, "Negative"),
    ((mx.zeros((3, 0)),), {}, ValueError, "no entry along axis 1"),
    ((mx.zeros((2,), mx.complex64),), {}, ValueError, r"\[categorical\] logits must be real"),
    (([1.0, 2.0],), {}, TypeError, "logits must be an array"),
    ((mx.zeros((3,)), None), {}, TypeError, r"\[categorical\] axis must be an int"),
    ((mx.zeros((3,)), 1.0), {}, TypeError, r"\[categorical\] axis must be an int"),
    ((mx.zeros((3,)),), {"num_samples": 2.0}, TypeError, r"\[categorical\] num_samples must be an int"),
]


@pytest.mark.parametrize(("arguments", "named", "error", "message"), CATEGORICAL_ERRORS)
def test_categorical_errors(arguments: Any, named: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mx.random.categorical(*arguments, **named)


@on_both_engines
def test_permutation() -> None:
    order = mx.random.permutation(11, key=key())
    assert order.dtype == mx.uint32
    assert order.tolist() == [7, 6, 8, 2, 1, 9, 3, 4, 10, 5, 0]
    assert mx.random.permutation(1000, key=key())[:10].tolist() == [834, 893, 338, 921, 316, 705, 315, 997, 61, 186]
    table = mx.arange(12).reshape(3, 4)
    assert mx.random.permutation(table, 1, key=key()).tolist() == [[1, 2, 3, 0], [5, 6, 7, 4], [9, 10, 11, 8]]
    assert mx.random.permutation(table, -1, key=key()).tolist() == [[1, 2, 3, 0], [5, 6, 7, 4], [9, 10, 11, 8]]
    assert mx.random.permutation(mx.array([[1]])).tolist() == [[1]]
    assert mx.random.permutation(0).shape == (0,)
    assert mx.random.permutation(mx.zeros((0, 3))).shape == (0, 3)
    assert mx.random.permutation(mx.zeros((4,), mx.bfloat16)).dtype == mx.bfloat16


def test_permutation_passes_gradients() -> None:
    weights = mx.arange(11.0)
    gradient = mx.grad(lambda x: (mx.random.permutation(x, key=key()) * weights).sum())(mx.zeros((11,)))
    assert gradient.tolist() == [10.0, 4.0, 3.0, 6.0, 7.0, 9.0, 1.0, 0.0, 2.0, 5.0, 8.0]


def test_permutation_errors() -> None:
    with pytest.raises(ValueError, match="Negative"):
        mx.random.permutation(-1)
    with pytest.raises(TypeError, match="x must be an integer or an array"):
        mx.random.permutation(5.0)  # type: ignore[arg-type]
    for x in (5, mx.arange(5)):
        for axis in (None, 1.0, [0]):
            with pytest.raises(TypeError, match=r"\[permutation\] axis must be an int"):
                mx.random.permutation(x, axis)  # type: ignore[call-overload]
    with pytest.raises(IndexError, match="Invalid axis 1 for array with 1 dimensions"):
        mx.random.permutation(mx.arange(5), 1)
    with pytest.raises(IndexError, match="Invalid axis 0 for array with 0 dimensions"):
        mx.random.permutation(mx.array(5))


# ---------------------------------------------------------------------- transforms


@on_both_engines
def test_many_keys_at_once() -> None:
    keys = mx.random.split(key(), 3)
    expected = [
        [0.6501574516296387, 0.8838722705841064, 0.45492419600486755],
        [0.4236156642436981, 0.8170064091682434, 0.4054558277130127],
        [0.19072729349136353, 0.7437760233879089, 0.6312947273254395],
    ]
    close(mx.vmap(lambda k: mx.random.uniform(shape=(3,), key=k))(keys), expected)
    across = mx.vmap(lambda k: mx.random.uniform(shape=(3,), key=k), in_axes=1, out_axes=1)(keys.T)
    close(across, np.transpose(expected))
    assert mx.vmap(lambda k: mx.random.split(k, 2))(keys).tolist() == [
        [[2792404955, 2214537619], [1953884597, 453139432]],
        [[1819415454, 1183361943], [1741419500, 291450527]],
        [[819167472, 2751283219], [2711390084, 1969748346]],
    ]
    assert mx.vmap(lambda k: mx.random.permutation(6, key=k))(keys).tolist() == [
        [2, 3, 5, 1, 4, 0],
        [3, 5, 4, 0, 1, 2],
        [1, 3, 0, 5, 2, 4],
    ]


@on_both_engines
def test_many_keys_and_parameters_at_once() -> None:
    keys = mx.random.split(key(), 3)
    integers = mx.vmap(lambda k, high: mx.random.randint(0, high, (5,), key=k))(keys, mx.array([10, 100, 1000]))
    assert integers.tolist() == [[8, 6, 8, 4, 7], [72, 82, 14, 9, 62], [734, 474, 301, 488, 875]]
    logits = mx.array([[0.5, 1.0, -0.5], [-3.0, -6.0, 3.0], [1.0, 2.0, -1.0]])
    assert mx.vmap(lambda k, row: mx.random.categorical(row, key=k))(keys, logits).tolist() == [1, 2, 1]


@pytest.mark.parametrize(
    "draw",
    [
        lambda k: mx.random.normal((2,), mx.complex64, key=k).real,
        lambda k: mx.random.permutation(5, key=k),
        lambda k: mx.random.categorical(mx.arange(4.0), num_samples=6, key=k),
        lambda k: mx.random.categorical(mx.zeros((2, 4)), key=k),
        lambda k: mx.random.multivariate_normal(mx.zeros((2,)), mx.array([[2.0, 1], [1, 2]]), key=k),
        lambda k: mx.random.truncated_normal(mx.array([-1.0, 0.0]), 2.0, key=k),
    ],
)
def test_distributions_map_over_keys(draw: Any) -> None:
    keys = mx.random.split(key(), 3)
    looped = np.stack([np.array(draw(k)) for k in keys])
    np.testing.assert_allclose(np.array(mx.vmap(draw)(keys)), looped, rtol=1e-5, atol=1e-6)


def test_a_draw_is_a_constant_of_a_transform() -> None:
    def noisy(x: mx.array) -> mx.array:
        return (x * mx.random.uniform(shape=(3,), key=key())).sum()

    unit = [0.7547182440757751, 0.3499275743961334, 0.474151611328125]
    close(mx.grad(noisy)(mx.ones((3,))), unit)
    close(mx.vmap(noisy)(mx.ones((2, 3))), [sum(unit)] * 2)


def test_the_stream_moves_on_inside_a_transform() -> None:
    mx.random.seed(12345)
    mx.value_and_grad(lambda x: (x * mx.random.uniform()).sum())(mx.ones((3,)))
    assert mx.random.uniform().item() == 0.026506897062063217


@on_both_engines
def test_distributions_map_over_their_parameters() -> None:
    low, high = mx.array([0.0, -3.0, 5.0]), mx.array([1.0, 7.0, 6.0])
    draws = [
        lambda a, b: mx.random.uniform(a, b, (4,), key=key()),
        lambda a, b: mx.random.randint(a * 10, b * 10, (4,), key=key()),
        lambda a, b: mx.random.normal((4,), loc=a, scale=b, key=key()),
        lambda a, b: mx.random.truncated_normal(a, b, (4,), key=key()),
        lambda a, b: mx.random.bernoulli(a / b, (4,), key=key()),
        lambda a, b: mx.random.categorical(mx.stack([a, b, a]), num_samples=4, key=key()),
        lambda a, b: mx.random.categorical(mx.stack([a, b, a]), key=key()),
        lambda a, b: mx.random.permutation(mx.stack([a, b, a]), key=key()),
        lambda a, b: mx.random.multivariate_normal(mx.stack([a, b]), mx.eye(2) * b * b, key=key()),
    ]
    for draw in draws:
        looped = [np.array(draw(a, b)) for a, b in zip(low, high, strict=True)]
        np.testing.assert_allclose(np.array(mx.vmap(draw)(low, high)), np.stack(looped), rtol=1e-5, atol=1e-6)


def test_a_draw_from_the_state_is_the_same_for_all_of_a_batch() -> None:
    # As in the reference: a function that is mapped runs once.
    mx.random.seed(12345)
    drawn = mx.vmap(lambda x: x + mx.random.uniform())(mx.zeros((3,)))
    assert drawn.tolist() == [0.0023064410779625177] * 3
    assert mx.random.uniform().item() == 0.026506897062063217


@pytest.mark.parametrize("engine", ["numpy", "xla"])
def test_a_compiled_function_moves_the_state(engine: Any) -> None:
    with mx.engine(engine):
        mx.random.seed(12345)
        draw = mx.compile(lambda: mx.random.uniform(), inputs=mx.random.state, outputs=mx.random.state)
        drawn = [draw().item() for _ in range(4)]
        assert drawn == [0.0023064410779625177, 0.026506897062063217, 0.21289467811584473, 0.41298460960388184]
        assert mx.random.state[0].tolist() == [2881488991, 3363195803]


@on_both_engines
def test_gradients_to_bounds_and_parameters() -> None:
    unit = np.array([0.7547182440757751, 0.3499275743961334, 0.474151611328125])

    def spread(low: mx.array, high: mx.array) -> mx.array:
        return (mx.random.uniform(low, high, (3,), key=key()) * mx.array([1.0, 2.0, 3.0])).sum()

    low, high = mx.grad(spread, (0, 1))(mx.array([0.0, 1, 2]), mx.array(5.0))
    close(low, (1 - unit) * [1, 2, 3])
    assert high.item() == pytest.approx((unit * [1, 2, 3]).sum(), rel=1e-6)

    def clipped(lower: mx.array) -> mx.array:
        return mx.random.truncated_normal(lower, 1.5, (5,), key=key()).sum()

    step = 2.0**-6
    slope = (clipped(mx.array(-1 + step)) - clipped(mx.array(-1 - step))).item() / (2 * step)
    assert mx.grad(clipped)(mx.array(-1.0)).item() == pytest.approx(slope, rel=1e-3)
    chances = mx.grad(lambda p: mx.random.bernoulli(p, (3,), key=key()).astype(mx.float32).sum())(mx.array(0.3))
    assert chances.item() == 0

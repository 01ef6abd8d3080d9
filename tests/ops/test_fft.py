"""`mx.fft` but for `stft`: against NumPy and SciPy on every dtype, axis, norm and length; gradients, shapes, errors."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.fft

import mlx.core as mx

ENGINES = ("numpy", "xla")
NORMS = ("backward", "ortho", "forward")
ONE_AXIS = ("fft", "ifft", "rfft", "irfft")
SEVERAL = ("fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn")
DTYPES = (
    *("bool_", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "bfloat16", "float32", "float64", "complex64"),
)
# One, two, powers of two, small and large primes, products of several primes.
LENGTHS = (1, 2, 3, 4, 5, 7, 8, 13, 16, 30, 31, 64, 77, 97, 100, 128, 1009, 1024)


def numbers(*shape: int, kind: str = "complex", seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    real = rng.standard_normal(shape).astype(np.float32)
    return real if kind == "real" else (real + 1j * rng.standard_normal(shape)).astype(np.complex64)


def taken_by(name: str) -> str:
    return "real" if name.startswith("rfft") else "complex"


def close(x: Any, expected: Any, tolerance: float = 2e-6) -> None:
    """Relative to the largest element, as rounding errors of a transform are."""
    x = np.array(x)
    assert x.shape == np.shape(expected)
    assert np.abs(x - expected).max(initial=0) <= tolerance * max(np.abs(expected).max(initial=0), 1e-30)


def test_the_module_is_the_public_one() -> None:
    assert mx.fft.__name__ == "mlx.core.fft"
    assert {*ONE_AXIS, *SEVERAL, "fftfreq", "rfftfreq", "fftshift", "ifftshift", "stft", "istft"} == set(mx.fft.__all__)


# ---------------------------------------------------------------------- values


@pytest.mark.parametrize("engine", ENGINES)
def test_by_hand(engine: Any) -> None:
    with mx.engine(engine):
        x = mx.array([1.0, 2.0, 3.0, 4.0])
        assert mx.fft.fft(x).tolist() == [10, -2 + 2j, -2, -2 - 2j]
        assert mx.fft.rfft(x).tolist() == [10, -2 + 2j, -2]
        assert mx.fft.ifft(mx.array([0, 4, 0, 0])).tolist() == [1, 1j, -1, -1j]
        assert mx.fft.irfft(mx.array([10, -2 + 2j, -2])).tolist() == [1, 2, 3, 4]
        assert mx.fft.fft(x, norm="forward").tolist() == [2.5, -0.5 + 0.5j, -0.5, -0.5 - 0.5j]
        assert mx.fft.fft(x, norm="ortho").tolist() == [5, -1 + 1j, -1, -1 - 1j]
        assert mx.fft.ifft(x, norm="forward").tolist() == [10, -2 - 2j, -2, -2 + 2j]
        assert mx.fft.fft(x, 2).tolist() == [3, -1]
        assert mx.fft.rfft(x[:1], 4).tolist() == [1, 1, 1]
        assert mx.fft.fft2(mx.array([[1.0, 2.0], [3.0, 4.0]])).tolist() == [[10, -2], [-4, 0]]


@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("name", ONE_AXIS)
def test_every_length(name: str, n: int) -> None:
    x = numbers(3, n // 2 + 1 if name == "irfft" else n, kind=taken_by(name))
    length = (n,) if name == "irfft" else ()
    for norm in NORMS:
        expected = getattr(np.fft, name)(
            x.astype(np.complex128 if np.iscomplexobj(x) else np.float64), *length, norm=norm
        )
        y = getattr(mx.fft, name)(mx.array(x), *length, norm=norm)
        assert y.dtype == (mx.float32 if name == "irfft" else mx.complex64)
        with mx.engine("numpy"):
            close(y, expected)
        close(y, getattr(scipy.fft, name)(x, *length, norm=norm))


def test_every_length_on_xla() -> None:
    """All in one program."""
    inputs, outputs, expected = [], [], []
    for name, n in itertools.product(ONE_AXIS, LENGTHS):
        x = numbers(2, n // 2 + 1 if name == "irfft" else n, kind=taken_by(name))
        length = (n,) if name == "irfft" else ()
        inputs.append(mx.array(x))
        outputs.append(getattr(mx.fft, name)(inputs[-1], *length))
        expected.append(getattr(np.fft, name)(x, *length))
    with mx.engine("xla"):
        mx.eval(outputs)
    for y, wanted in zip(outputs, expected, strict=True):
        close(y, wanted)


@pytest.mark.parametrize("name", ONE_AXIS)
def test_every_axis_cut_or_padded(name: str) -> None:
    x = numbers(3, 4, 5, kind=taken_by(name))
    for axis, n, norm in itertools.product(range(-3, 3), (None, 1, 2, 3, 6, 9), NORMS):
        expected = getattr(np.fft, name)(x, n, axis, norm)
        close(getattr(mx.fft, name)(mx.array(x), n, axis, norm), expected)
        close(getattr(mx.fft, name)(mx.array(x), n=n, axis=axis, norm=norm), expected)


@pytest.mark.parametrize("name", SEVERAL)
def test_every_choice_of_axes(name: str) -> None:
    x = numbers(3, 4, 5, kind=taken_by(name))
    theirs, ours = getattr(np.fft, name), getattr(mx.fft, name)
    for count in (1, 2, 3):
        for axes in itertools.permutations((0, -2, 2), count):
            for s in (None, (2, 3, 4)[:count], (5, 7, 9)[:count], (1,) * count):
                close(ours(mx.array(x), s, axes, "ortho"), theirs(x, s, axes, "ortho"))
    for norm in NORMS:
        close(ours(mx.array(x), norm=norm), theirs(x, norm=norm))
        close(ours(mx.array(x), axes=[0, 1], norm=norm), theirs(x, axes=(0, 1), norm=norm))
    close(ours(mx.array(x), axes=None), getattr(np.fft, name[:-1] + "n")(x, axes=(0, 1, 2)))


@pytest.mark.parametrize("name", [*ONE_AXIS, "fftn", "rfft2", "irfftn"])
def test_every_dtype(name: str) -> None:
    for dtype in DTYPES:
        x = mx.array([[1, 2, 3, 0], [4, 0, 5, 6]]).astype(getattr(mx, dtype))
        y = getattr(mx.fft, name)(x)
        assert y.dtype == (mx.float32 if name.startswith("irfft") else mx.complex64)
        values = np.array([[1, 2, 3, 0], [4, 0, 5, 6]]) != 0 if dtype == "bool_" else [[1, 2, 3, 0], [4, 0, 5, 6]]
        close(y, getattr(np.fft, name)(np.array(values, np.float64)))


def test_the_real_part_of_complex_input_is_transformed_by_rfft() -> None:
    z = numbers(3, 5)
    close(mx.fft.rfft(mx.array(z)), np.fft.rfft(z.real))
    close(mx.fft.rfftn(mx.array(z)), np.fft.rfftn(z.real))


def test_no_axes_leave_the_array_as_it_is() -> None:
    for name, dtype in itertools.product(("fft2", "ifftn", "rfftn", "irfftn"), (mx.int32, mx.complex64)):
        x = mx.array([[1, 2], [3, 4]], dtype)
        y = getattr(mx.fft, name)(x, axes=())
        assert y.dtype == dtype
        assert mx.array_equal(x, y).item()


@pytest.mark.parametrize("engine", ENGINES)
def test_arrays_of_no_elements(engine: Any) -> None:
    with mx.engine(engine):
        assert mx.fft.fft(mx.zeros((0, 3))).shape == (0, 3)
        assert mx.fft.rfft(mx.zeros((0, 3))).shape == (0, 2)
        assert mx.fft.irfft(mx.zeros((0, 3))).shape == (0, 4)
        assert mx.fft.irfftn(mx.zeros((3, 0, 2)), axes=(0, 2)).shape == (3, 0, 2)
        assert mx.fft.fft(mx.zeros((0,)), 3).tolist() == [0, 0, 0]
        assert mx.fft.irfft(mx.zeros((2, 0)), 3).tolist() == [[0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("engine", ENGINES)
def test_views(engine: Any) -> None:
    x = numbers(6, 8)
    with mx.engine(engine):
        a = mx.array(x)
        close(mx.fft.fft(a[:, ::2]), np.fft.fft(x[:, ::2]))
        close(mx.fft.fft(a[::-2, ::-1]), np.fft.fft(x[::-2, ::-1]))
        close(mx.fft.ifft(a.T), np.fft.ifft(x.T))
        close(mx.fft.irfft2(mx.broadcast_to(a[0], (3, 8))), np.fft.irfft2(np.broadcast_to(x[0], (3, 8))))


def test_more_axes_than_xla_transforms_at_once() -> None:
    x = numbers(2, 3, 2, 3, 2)
    with mx.engine("xla"):
        close(mx.fft.fftn(mx.array(x)), np.fft.fftn(x))
        close(mx.fft.rfftn(mx.array(x.real)), np.fft.rfftn(x.real))
        close(mx.fft.irfftn(mx.array(x)), np.fft.irfftn(x))


def test_imaginary_parts_that_real_signals_have_not_do_not_count() -> None:
    z = mx.array([1 + 5j, 2 + 3j, 4 + 7j])
    for engine in ENGINES:
        with mx.engine(engine):
            close(mx.fft.irfft(z), [2.25, -2.25, 0.25, 0.75], 1e-6)
            close(mx.fft.irfft(z), mx.fft.irfft(mx.array([1, 2 + 3j, 4])).tolist(), 1e-6)


@pytest.mark.parametrize("size", [(8, 512), (5, 300), (1, 4099), (2, 1 << 15)])
def test_single_precision_is_kept(size: tuple[int, int]) -> None:
    z = numbers(*size)
    exact = np.fft.fft(z.astype(np.complex128))
    for engine in ENGINES:
        with mx.engine(engine):
            close(mx.fft.fft(mx.array(z)), exact, 1e-6)
            close(mx.fft.ifft(mx.fft.fft(mx.array(z))), z, 1e-6)
            close(mx.fft.irfft(mx.fft.rfft(mx.array(z.real)), size[1]), z.real, 1e-6)


# ---------------------------------------------------------------------- frequencies and shifts


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 9, 100, 4097])
def test_frequencies(n: int) -> None:
    for d in (1.0, 0.25, -0.5, 0.1, 1 / 44100, 3):
        for name in ("fftfreq", "rfftfreq"):
            frequencies = getattr(mx.fft, name)(n, d)
            assert frequencies.dtype == mx.float32
            np.testing.assert_allclose(np.array(frequencies), getattr(np.fft, name)(n, d), rtol=2e-7)
    close(mx.fft.fftfreq(n), np.fft.fftfreq(n))


def test_frequencies_by_hand() -> None:
    assert mx.fft.fftfreq(5).tolist() == mx.array([0, 0.2, 0.4, -0.4, -0.2]).tolist()
    assert mx.fft.fftfreq(4, d=0.5).tolist() == [0, 0.5, -1, -0.5]
    assert mx.fft.rfftfreq(5, d=0.5).tolist() == mx.array([0, 0.4, 0.8]).tolist()
    assert mx.fft.rfftfreq(4, d=-2).tolist() == [0, -0.125, -0.25]


def test_frequencies_of_extreme_spacings() -> None:
    assert mx.fft.fftfreq(4, float("inf")).tolist() == [0, 0, 0, 0]
    assert all(np.isnan(mx.fft.rfftfreq(4, float("nan")).tolist()))
    assert mx.fft.fftfreq(True).tolist() == [0]


@pytest.mark.parametrize("shape", [(6,), (5, 4), (1, 3, 2), (0, 3)])
def test_shifts(shape: tuple[int, ...]) -> None:
    x = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    choices: list[Any] = [None, (), *range(-len(shape), len(shape))]
    choices += [[0, -1], [0, 0]] if len(shape) > 1 else []
    for axes, dtype in itertools.product(choices, ("int32", "float16", "complex64")):
        for name in ("fftshift", "ifftshift"):
            shifted = getattr(mx.fft, name)(mx.array(x).astype(getattr(mx, dtype)), axes)
            assert shifted.dtype == getattr(mx, dtype)
            np.testing.assert_array_equal(np.array(shifted), getattr(np.fft, name)(x, axes))
    assert mx.array_equal(mx.fft.ifftshift(mx.fft.fftshift(mx.array(x))), mx.array(x)).item()


def test_numbers_have_nothing_to_shift() -> None:
    assert mx.fft.fftshift(mx.array(3)).item() == mx.fft.ifftshift(mx.array(3)).item() == 3


def test_shifts_are_differentiated() -> None:
    weights = mx.array([1.0, 10.0, 100.0])
    assert mx.grad(lambda x: (mx.fft.fftshift(x) * weights).sum())(mx.zeros(3)).tolist() == [10, 100, 1]
    assert mx.grad(lambda x: (mx.fft.ifftshift(x) * weights).sum())(mx.zeros(3)).tolist() == [100, 1, 10]


# ---------------------------------------------------------------------- derivatives


def matrix_of(function: Callable[[Any], Any], size: int, unit: complex = 1.0) -> Any:
    """What a linear function makes of each unit vector (times `unit`), as columns."""
    return np.stack(
        [np.array(function(mx.array((unit * np.eye(size)[j]).astype(np.complex64)))) for j in range(size)], -1
    )


@pytest.mark.parametrize("n", [1, 2, 5, 6])
@pytest.mark.parametrize("norm", NORMS)
def test_complex_gradients_conjugate_the_transform(n: int, norm: str) -> None:
    """Of a real loss l(y) they are F^H (dl/du + i dl/dv) for y = u + iv = F x."""
    for name in ("fft", "ifft"):
        transform = getattr(mx.fft, name)
        matrix = matrix_of(lambda x, f=transform: f(x, norm=norm), n)
        x, w = numbers(n), numbers(n, seed=1)

        def loss(x: Any, f: Any = transform, w: Any = w) -> Any:
            y = f(x, norm=norm)
            return (mx.real(y) * mx.array(w.real) + mx.imag(y) * mx.array(w.imag)).sum()

        close(mx.grad(loss)(mx.array(x)), matrix.conj().T @ w)


@pytest.mark.parametrize("n", [1, 2, 3, 6, 7])
@pytest.mark.parametrize("norm", NORMS)
def test_gradients_between_real_and_complex(n: int, norm: str) -> None:
    """By the effect of each real and imaginary part on its own: those that do not count have zero gradients."""
    w, bins = numbers(n, kind="real", seed=1), n // 2 + 1
    weights = numbers(bins, seed=2)

    def back(z: Any) -> Any:
        return mx.fft.irfft(z, n, norm=norm)

    def there(x: Any) -> Any:
        return mx.fft.rfft(x, norm=norm)

    def weighted(x: Any) -> Any:
        y = there(x)
        return (mx.real(y) * mx.array(weights.real) + mx.imag(y) * mx.array(weights.imag)).sum()

    z = numbers(bins)
    of_parts = [matrix_of(back, bins, unit).T @ w for unit in (1, 1j)]
    close(mx.grad(lambda z: (back(z) * mx.array(w)).sum())(mx.array(z)), of_parts[0] + 1j * of_parts[1])
    x = numbers(n, kind="real")
    close(mx.grad(weighted)(mx.array(x)), (matrix_of(there, n).conj().T @ weights).real)


def test_gradients_known_to_the_reference() -> None:
    z = mx.array([1 + 2j, 3 - 1j, 0.5 + 0.25j])
    weights = mx.array([1.0, 2.0, 3.0, 4.0])
    gradient = mx.grad(lambda z: (mx.fft.irfft(z) * weights).sum())(z)
    assert gradient.tolist() == [2.5, -1 + 1j, -0.5]
    gradient = mx.grad(lambda x: (mx.real(mx.fft.rfft(x)) * weights[:3]).sum())(weights)
    assert gradient.tolist() == [6, -2, 2, -2]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_gradients_have_the_dtype_of_the_input(dtype: str) -> None:
    x = mx.array([1.0, 2.0, 3.0, 4.0], getattr(mx, dtype))
    for function in (mx.fft.fft, mx.fft.rfft):
        gradient = mx.grad(lambda x, f=function: (mx.abs(f(x)) ** 2).sum())(x)
        assert gradient.dtype == x.dtype
    assert mx.grad(lambda x: (mx.abs(mx.fft.fft(x)) ** 2).sum())(x).tolist() == [8, 16, 24, 32]  # Parseval: 2 n x


def test_every_transform_is_its_own_tangent() -> None:
    for name in (*ONE_AXIS, *SEVERAL):
        function = getattr(mx.fft, name)
        x, t = (mx.array(numbers(3, 4, kind=taken_by(name), seed=seed)) for seed in (0, 1))
        close(mx.jvp(function, [x], [t])[1][0], np.array(function(t)))


# ---------------------------------------------------------------------- transforms of functions


def test_batches() -> None:
    for name in (*ONE_AXIS, *SEVERAL):
        function = getattr(mx.fft, name)
        x = mx.array(numbers(3, 4, 5, kind=taken_by(name)))
        looped = mx.stack([function(x[:, i]) for i in range(4)], axis=1)
        close(mx.vmap(function, in_axes=1, out_axes=1)(x), np.array(looped))


@pytest.mark.parametrize("engine", ENGINES)
def test_compiled_for_any_sizes(engine: Any) -> None:
    def function(x: Any) -> Any:
        spectrum = mx.fft.rfft(x)
        return mx.fft.irfft(spectrum * mx.conj(spectrum), norm="ortho"), mx.fft.fftshift(mx.fft.fft2(x, norm="ortho"))

    compiled = mx.compile(function, shapeless=True)
    with mx.engine(engine):
        for shape in ((4, 6), (3, 7), (2, 1024), (5, 1 << 5)):
            x = mx.array(numbers(*shape, kind="real"))
            for result, expected in zip(compiled(x), function(x), strict=True):
                close(result, np.array(expected))


def test_one_trace_serves_all_lengths() -> None:
    traced = []

    def loss(x: Any) -> Any:
        traced.append(1)
        return (mx.fft.irfft(mx.fft.rfft(x)[..., 1:]) ** 2).sum() + mx.abs(mx.fft.ifft(x)).sum()

    gradient = mx.compile(mx.grad(loss), shapeless=True)
    for n in (8, 9, 12, 31):
        x = mx.array(numbers(2, n, kind="real"))
        close(gradient(x), np.array(mx.grad(loss)(x)))
    assert len(traced) == 1 + 4


# ---------------------------------------------------------------------- errors


X = mx.zeros((2, 3, 4))
WRONG: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: mx.fft.fft(X, 0), ValueError, r"\[fft\] Invalid FFT output size requested \(0,\)"),
    (lambda: mx.fft.ifft(X, -1), ValueError, r"\[ifft\] Invalid FFT output size"),
    (lambda: mx.fft.rfft(mx.zeros((3, 0))), ValueError, r"\[rfft\] Invalid FFT output size"),
    (lambda: mx.fft.irfft(mx.zeros((1,))), ValueError, r"\[irfft\] Invalid FFT output size requested \(0,\)"),
    (lambda: mx.fft.fft(X, axis=3), IndexError, r"\[fft\] Invalid axis 3"),
    (lambda: mx.fft.fft(X, axis=-4), IndexError, r"\[fft\] Invalid axis -4"),
    (lambda: mx.fft.rfft(X, norm="unitary"), ValueError, r"\[rfft\] Invalid norm 'unitary'"),
    (lambda: mx.fft.rfft(X, norm=None), TypeError, r"\[rfft\] norm must be a string"),  # type: ignore[arg-type]
    (lambda: mx.fft.fft(X, 2.0), TypeError, r"\[fft\] n must be an int"),  # type: ignore[arg-type]
    (lambda: mx.fft.fft(X, axis=None), TypeError, r"\[fft\] axis must be an int"),  # type: ignore[arg-type]
    (lambda: mx.fft.fft(3), TypeError, r"\[fft\] a must be an mx.array"),  # type: ignore[arg-type]
    (lambda: mx.fft.fft(np.ones(3)), TypeError, r"\[fft\] a must be an mx.array"),  # type: ignore[arg-type]
    (lambda: mx.fft.fft(mx.array(1.0)), IndexError, r"\[fft\] Requires array with at least one dimension"),
    (lambda: mx.fft.fft(mx.array(1.0), 2), ValueError, r"\[fft\] Requires array with at least one dimension"),
    (lambda: mx.fft.irfftn(mx.array(1.0)), ValueError, r"\[irfftn\] Requires array with at least one dimension"),
    (lambda: mx.fft.fft2(mx.zeros(3)), IndexError, r"\[fft2\] Invalid axis -2"),
    (lambda: mx.fft.fftn(X, (2, 2)), ValueError, r"\[fftn\] axes must be given"),
    (lambda: mx.fft.rfft2(X, (2,), None), ValueError, r"\[rfft2\] axes must be given"),
    (lambda: mx.fft.ifft2(X, (2, 2, 2)), ValueError, r"\[ifft2\] Shape and axes have different sizes"),
    (lambda: mx.fft.irfftn(X, (2,), (0, 1)), ValueError, r"\[irfftn\] Shape and axes have different sizes"),
    (lambda: mx.fft.fftn(X, axes=(0, 0)), ValueError, r"\[fftn\] Received duplicate axes"),
    (lambda: mx.fft.fftn(X, axes=(0, -3)), ValueError, r"\[fftn\] Received duplicate axes"),
    (lambda: mx.fft.fftn(X, (2, 0), (0, 1)), ValueError, r"\[fftn\] Invalid FFT output size"),
    (lambda: mx.fft.fftn(X, 2), TypeError, r"\[fftn\] s must be a sequence"),  # type: ignore[arg-type]
    (lambda: mx.fft.fftn(X, axes=1), TypeError, r"\[fftn\] axes must be a sequence"),  # type: ignore[arg-type]
    (lambda: mx.fft.fft2(X, (None, 2)), TypeError, r"\[fft2\] s must be a sequence"),  # type: ignore[arg-type]
    (lambda: mx.fft.fft2(X, (2**31, 2)), OverflowError, r"\[fft2\]"),
    (lambda: mx.fft.fftfreq(0), ValueError, r"\[fftfreq\] n must be greater than 0"),
    (lambda: mx.fft.rfftfreq(-1), ValueError, r"\[rfftfreq\] n must be greater than 0"),
    (lambda: mx.fft.fftfreq(4, 0.0), ValueError, r"\[fftfreq\] d must be non-zero"),
    (lambda: mx.fft.rfftfreq(4, 0), ValueError, r"\[rfftfreq\] d must be non-zero"),
    (lambda: mx.fft.fftfreq(4.0), TypeError, r"\[fftfreq\] n must be an int"),  # type: ignore[arg-type]
    (lambda: mx.fft.fftfreq(4, None), TypeError, r"\[fftfreq\] d must be a real number"),  # type: ignore[arg-type]
    (lambda: mx.fft.fftshift(X, 3), IndexError, r"\[fftshift\] Invalid axis 3"),
    (lambda: mx.fft.ifftshift(X, [0, -4]), ValueError, r"\[ifftshift\] Invalid axis -4"),
    (lambda: mx.fft.fftshift(X, 1.0), TypeError, r"\[fftshift\] axes must be"),  # type: ignore[arg-type]
    (lambda: mx.fft.fftshift([1, 2]), TypeError, r"\[fftshift\] a must be an mx.array"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("index", range(len(WRONG)))
def test_errors(index: int) -> None:
    call, error, message = WRONG[index]
    with pytest.raises(error, match=message):
        call()

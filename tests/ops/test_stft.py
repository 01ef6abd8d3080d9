"""`mx.fft.stft` and its inverse: by hand, against NumPy and SciPy, there and back, gradients, shapes, errors."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.signal

import mlx.core as mx

ENGINES = ("numpy", "xla")
NORMS = ("backward", "ortho", "forward")


def signal(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def close(x: Any, expected: Any, tolerance: float = 3e-6) -> None:
    x = np.array(x)
    assert x.shape == np.shape(expected)
    assert np.abs(x - expected).max(initial=0) <= tolerance * max(np.abs(expected).max(initial=0), 1.0)


def centred(window: Any, n_fft: int) -> Any:
    out = np.zeros(n_fft)
    start = (n_fft - len(window)) // 2
    out[start : start + len(window)] = window
    return out


def spectra(x: Any, n_fft: int, hop: int, window: Any, norm: str = "backward", full: bool = False) -> Any:
    """The spectrum of one piece after the other, as columns."""
    weights = centred(window, n_fft)
    starts = range(0, x.shape[-1] - n_fft + 1, hop)
    transform = np.fft.fft if full else np.fft.rfft
    return np.stack([transform(x[..., i : i + n_fft] * weights, norm=norm) for i in starts], -1)


def resynthesis(spectrum: Any, n_fft: int, hop: int, window: Any, norm: str = "backward", full: bool = False) -> Any:
    weights = centred(window, n_fft)
    count = spectrum.shape[-1]
    total, mass = np.zeros((*spectrum.shape[:-2], n_fft + hop * (count - 1))), np.zeros(n_fft + hop * (count - 1))
    for i in range(count):
        column = spectrum[..., i]
        piece = np.fft.ifft(column, n_fft, norm=norm).real if full else np.fft.irfft(column, n_fft, norm=norm)
        total[..., i * hop : i * hop + n_fft] += piece * weights
        mass[i * hop : i * hop + n_fft] += weights**2
    return total / np.maximum(mass, 1e-8)


WINDOWS = {
    "all": None,
    "hann": np.hanning(17)[:16],
    "short": np.arange(1.0, 12.0),
    "shorter": np.arange(1.0, 11.0),
    "empty": np.zeros(0),
}


# ---------------------------------------------------------------------- there


@pytest.mark.parametrize("engine", ENGINES)
def test_by_hand(engine: Any) -> None:
    with mx.engine(engine):
        x = mx.array([1.0, 1.0, 2.0, 2.0, 4.0, 5.0])
        assert mx.fft.stft(x, 2, 2, center=False).tolist() == [[2, 4, 9], [0, 0, -1]]
        assert mx.fft.stft(x, 2, 3, center=False).tolist() == [[2, 6], [0, -2]]
        assert mx.fft.stft(x, 4, center=False, window=mx.array([1.0, 2.0])).tolist()[0] == [5, 6, 10]
        assert mx.fft.stft(x, 4, 4, pad_mode="constant").tolist()[0] == [2, 13]
        assert mx.fft.stft(x, 4, 4, pad_mode="edge").tolist()[0] == [4, 13]
        assert mx.fft.stft(x, 4, 4, pad_mode="reflect").tolist()[0] == [5, 13]


@pytest.mark.parametrize(("engine", "name"), [*(("numpy", name) for name in WINDOWS), ("xla", "short")])
def test_it_is_the_transform_of_each_piece(engine: Any, name: str) -> None:
    window = WINDOWS[name]
    given = None if window is None else mx.array(window.astype(np.float32))
    weights = np.ones(16) if window is None else window
    x = signal(2, 50)
    with mx.engine(engine):
        outputs, expected = [], []
        for hop, norm, full in itertools.product((1, 4, 5, 16, 21), NORMS, (False, True)):
            outputs.append(mx.fft.stft(mx.array(x), 16, hop, window=given, center=False, norm=norm, onesided=not full))
            expected.append(spectra(x, 16, hop, weights, norm, full))
        mx.eval(outputs)
    for y, wanted in zip(outputs, expected, strict=True):
        assert y.dtype == mx.complex64
        close(y, wanted)


@pytest.mark.parametrize("mode", ["reflect", "symmetric", "edge", "constant"])
def test_pieces_are_centred(mode: str) -> None:
    x = signal(50)
    for n_fft in (15, 16, 51, 98):
        padded = np.pad(x, n_fft // 2, mode)  # type: ignore[call-overload]
        close(mx.fft.stft(mx.array(x), n_fft, pad_mode=mode), spectra(padded, n_fft, n_fft // 4, np.ones(n_fft)))


def test_scipy_gives_the_same() -> None:
    x = signal(3, 400)
    window = scipy.signal.get_window("hann", 64)
    for centre in (True, False):
        _, _, expected = scipy.signal.stft(
            x, window=window, nperseg=64, noverlap=48, boundary="zeros" if centre else None, padded=False
        )
        mine = mx.fft.stft(mx.array(x), 64, 16, window=mx.array(window), center=centre, pad_mode="constant")
        close(mine, expected * window.sum())


def test_defaults() -> None:
    x = mx.array(signal(5000))
    close(mx.fft.stft(x), spectra(np.pad(np.array(x), 1024, "reflect"), 2048, 512, np.ones(2048)), 1e-5)


def test_win_length_is_a_window_of_ones() -> None:
    x = signal(50)
    for length in (0, 1, 10, 11, 16):
        close(mx.fft.stft(mx.array(x), 16, win_length=length, center=False), spectra(x, 16, 4, np.ones(length)))
    window = np.arange(1.0, 11.0)
    for length in (-1, 3, 100):  # where a window is given it does not count
        y = mx.fft.stft(mx.array(x), 16, win_length=length, window=mx.array(window), center=False)
        close(y, spectra(x, 16, 4, window))


def test_complex_signals_and_windows() -> None:
    z = signal(2, 50) + 1j * signal(2, 50, seed=1)
    window = np.arange(1, 17) * (1 - 0.5j)
    close(mx.fft.stft(mx.array(z), 16, center=False), spectra(z, 16, 4, np.ones(16), full=True))
    close(mx.fft.stft(mx.array(z), 16, center=False, onesided=True), spectra(z.real, 16, 4, np.ones(16)))
    pieces = np.stack([z[:, i : i + 16] * window for i in range(0, 35, 4)], -2)
    weighted = mx.fft.stft(mx.array(z), 16, center=False, window=mx.array(window.astype(np.complex64)))
    close(weighted, np.swapaxes(np.fft.fft(pieces), -1, -2))


@pytest.mark.parametrize("dtype", ["bool_", "uint8", "int32", "int64", "float16", "bfloat16", "float64"])
def test_every_dtype(dtype: str) -> None:
    x = np.arange(50) % 7
    expected = spectra(x != 0 if dtype == "bool_" else x, 16, 4, np.ones(16))
    y = mx.fft.stft(mx.array(x).astype(getattr(mx, dtype)), 16, center=False)
    assert y.dtype == mx.complex64
    close(y, expected)
    window = mx.array([1, 2, 3]).astype(getattr(mx, dtype) if dtype != "bool_" else mx.int8)
    close(mx.fft.stft(mx.array(x * 1.0), 16, window=window, center=False), spectra(x, 16, 4, np.arange(1, 4)))


def test_shapes() -> None:
    assert mx.fft.stft(mx.zeros((0, 50)), 16).shape == (0, 9, 13)
    assert mx.fft.stft(mx.zeros((2, 3, 50)), 16).shape == (2, 3, 9, 13)
    assert mx.fft.stft(mx.zeros(50), 16, 100).shape == (9, 1)
    assert mx.fft.stft(mx.ones(1), 16)[0].tolist() == [16]
    assert mx.fft.istft(mx.zeros((0, 9, 5))).shape == (0, 16)
    assert mx.fft.istft(mx.zeros((2, 3, 9, 5))).shape == (2, 3, 16)
    assert mx.fft.istft(mx.ones((9, 1))).shape == (0,)
    assert mx.fft.istft(mx.ones((9, 1)), center=False).tolist() == [1] + [0] * 15


# ---------------------------------------------------------------------- and back


@pytest.mark.parametrize(("engine", "name"), [*(("numpy", name) for name in WINDOWS), ("xla", "short")])
def test_pieces_are_averaged(engine: Any, name: str) -> None:
    window = WINDOWS[name]
    given = None if window is None else mx.array(window.astype(np.float32))
    weights = np.ones(16) if window is None else window
    rng = np.random.default_rng(0)
    z = (rng.standard_normal((2, 16, 7)) + 1j * rng.standard_normal((2, 16, 7))).astype(np.complex64)
    outputs, expected = [], []
    with mx.engine(engine):
        for hop, norm, full in itertools.product((1, 4, 5, 16, 21), NORMS, (False, True)):
            spectrum = z if full else z[:, :9]
            outputs.append(
                mx.fft.istft(mx.array(spectrum), None, hop, window=given, center=False, norm=norm, onesided=not full)
            )
            expected.append(resynthesis(spectrum, 16, hop, weights, norm, full))
        mx.eval(outputs)
    for y, wanted in zip(outputs, expected, strict=True):
        assert y.dtype == mx.float32
        # Between pieces, and at the foot of a window, nothing is known.
        close(y, wanted, 1e-5)


def test_length_and_number_of_frequencies() -> None:
    spectrum = spectra(signal(60), 16, 4, np.ones(16))
    whole = resynthesis(spectrum, 16, 4, np.ones(16))
    padded = np.pad(whole, (0, 100))
    assert whole.shape == (60,)
    close(mx.fft.istft(mx.array(spectrum)), whole[8:-8])
    for length in (0, 1, 44, 50, 52, 70):
        close(mx.fft.istft(mx.array(spectrum), length=length), padded[8 : 8 + length])
        close(mx.fft.istft(mx.array(spectrum), length=length, center=False), padded[:length])
    assert mx.fft.istft(mx.array(spectrum), length=-1).shape == (0,)
    for n_fft in (12, 15, 17, 20):
        expected = resynthesis(spectrum, n_fft, n_fft // 4, np.ones(n_fft))
        close(mx.fft.istft(mx.array(spectrum), n_fft, center=False), expected)


def test_values_of_the_reference() -> None:
    spectrum = mx.ones((9, 5))
    y = mx.fft.istft(spectrum)
    np.testing.assert_allclose(np.array(y), [1 / 3, 0, 0, 0, 0.25, 0, 0, 0, 0.25, 0, 0, 0, 0, 0, 0, 0][:16], atol=1e-7)
    tiny = mx.fft.istft(mx.fft.stft(mx.ones(32), 8), window=mx.full((8,), 1e-5))
    np.testing.assert_allclose(np.array(tiny[:4]), [3000, 3000, 4000, 4000], rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64", "int32", "complex64"])
def test_the_window_decides_on_the_dtype(dtype: str) -> None:
    window = mx.array([1, 2, 3, 4, 4, 3, 2, 1]).astype(getattr(mx, dtype))
    x = signal(40)
    y = mx.fft.istft(mx.fft.stft(mx.array(x), 8, window=window), window=window, length=40)
    assert y.dtype == getattr(mx, dtype if dtype in ("float64", "complex64") else "float32")
    close(y, x)


@pytest.mark.parametrize("n_fft", [4, 7, 16, 31])
@pytest.mark.parametrize("shape", [(50,), (2, 64), (1, 2, 101)])
def test_the_inverse_gives_the_signal_back(shape: tuple[int, ...], n_fft: int) -> None:
    x = signal(*shape)
    for hop, norm, full in itertools.product((None, 1, 3), NORMS, (False, True)):
        for window in (None, mx.array(0.5 + np.hanning(n_fft))):
            options = {"hop_length": hop, "window": window, "norm": norm, "onesided": not full}
            with mx.engine("numpy"):
                y = mx.fft.stft(mx.array(x), n_fft, **options)
                close(mx.fft.istft(y, n_fft, length=shape[-1], **options), x, 1e-5)


# ---------------------------------------------------------------------- derivatives and transforms


def losses() -> dict[str, Callable[[Any], Any]]:
    window = mx.array(np.hanning(9)[:8])
    power = mx.array(signal(5, 11, seed=3))

    def weighted(y: Any) -> Any:
        return (mx.real(y) * mx.imag(y) * power[:, : y.shape[-1]]).sum() + (mx.real(y) ** 2).sum()

    return {
        "stft": lambda x: weighted(mx.fft.stft(x, 8)),
        "stft-window": lambda x: weighted(mx.fft.stft(x, 8, 3, window=window, center=False)),
        "stft-of-window": lambda x: weighted(mx.fft.stft(mx.array(signal(30)), 8, 4, window=x[:6])),
        "istft": lambda x: (mx.fft.istft(mx.fft.stft(x, 8, 3) ** 2, window=window, hop_length=3) ** 2).sum(),
        "istft-full": lambda x: (
            mx.fft.istft(mx.fft.fft(mx.reshape(x[:16], (8, 2)) * (1 + 0.5j), axis=0), onesided=False, center=False)
            * mx.array(signal(10, seed=4))
        ).sum(),
    }


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", losses())
def test_gradients_are_slopes(name: str, engine: Any) -> None:
    loss = losses()[name]
    x, v = signal(20, seed=5), signal(20, seed=6)
    with mx.engine(engine):
        slope = (mx.grad(loss)(mx.array(x)) * mx.array(v)).sum().item()
        forward = mx.jvp(loss, [mx.array(x)], [mx.array(v)])[1][0].item()
        step = 2e-2
        values = [loss(mx.array(x + k * step * v)).item() for k in (-2, -1, 1, 2)]
    expected = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)  # exact to the fourth degree
    assert slope == pytest.approx(expected, rel=2e-3, abs=2e-3)
    assert forward == pytest.approx(slope, rel=1e-4, abs=1e-4)


def test_second_derivatives_of_a_quadratic_loss() -> None:
    def loss(x: Any) -> Any:
        return (mx.abs(mx.fft.stft(x, 8, 4, center=False)) ** 2).sum()

    x, v = mx.array(signal(20)), mx.array(signal(20, seed=1))
    curved = mx.grad(lambda x: (mx.grad(loss)(x) * v).sum())(x)
    close(curved, np.array(mx.grad(loss)(v)), 1e-5)


def test_gradients_pass_through_both() -> None:
    """They are inverse to each other, so their Jacobian is the identity."""
    v = mx.array(signal(50, seed=1))
    window = mx.array(0.1 + np.hanning(16))

    def there_and_back(x: Any) -> Any:
        return mx.fft.istft(mx.fft.stft(x, 16, window=window), window=window, length=50)

    _, (pulled,) = mx.vjp(there_and_back, [mx.array(signal(50))], [v])
    close(pulled, np.array(v), 1e-5)
    gradient = mx.grad(lambda w: (mx.fft.istft(mx.fft.stft(v, 16, window=w), window=w, length=50) ** 2).sum())(window)
    close(gradient, np.zeros(16), 2e-4)


@pytest.mark.parametrize("engine", ENGINES)
def test_batches_and_compiled_functions(engine: Any) -> None:
    def function(x: Any) -> Any:
        return mx.fft.istft(mx.fft.stft(x, 8, 3) * 2, hop_length=3)

    x = mx.array(signal(3, 40))
    with mx.engine(engine):
        expected = np.array(function(x))
        close(mx.vmap(function)(x), expected)
        close(mx.vmap(function, in_axes=1, out_axes=1)(x.T), expected.T)
        compiled = mx.compile(function, shapeless=True)
        for shape in ((3, 40), (2, 47), (5, 64)):
            other = mx.array(signal(*shape))
            close(compiled(other), np.array(function(other)))


# ---------------------------------------------------------------------- errors


X, S = mx.zeros(50), mx.zeros((9, 5))
WRONG: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: mx.fft.stft(X, 0), ValueError, r"\[stft\] n_fft must be positive"),
    (lambda: mx.fft.stft(X, 3), ValueError, r"\[stft\] hop_length must be positive"),
    (lambda: mx.fft.stft(X, 16, -1), ValueError, r"\[stft\] hop_length must be positive"),
    (lambda: mx.fft.stft(X, 16, win_length=17), ValueError, r"\[stft\] The window length must not exceed n_fft"),
    (lambda: mx.fft.stft(X, 16, win_length=-1), ValueError, r"\[stft\] win_length must not be negative"),
    (lambda: mx.fft.stft(X, 16, window=mx.ones(17)), ValueError, r"\[stft\] The window length must not exceed n_fft"),
    (lambda: mx.fft.stft(X, 16, window=mx.ones((4, 4))), ValueError, r"\[stft\] window must be a one-dimensional"),
    (lambda: mx.fft.stft(X, 16, window=mx.array(1.0)), ValueError, r"\[stft\] window must be a one-dimensional"),
    (lambda: mx.fft.stft(X, 16, window="hann"), TypeError, r"\[stft\] window must be an mx.array"),  # type: ignore[arg-type]
    (lambda: mx.fft.stft(X, 16, pad_mode="mirror"), ValueError, r"\[stft\] Invalid padding mode 'mirror'"),
    (lambda: mx.fft.stft(X, 16, norm="none"), ValueError, r"\[stft\] Invalid norm 'none'"),
    (lambda: mx.fft.stft(X, 51, center=False), ValueError, r"\[stft\] x has 50 elements, too short"),
    (lambda: mx.fft.stft(mx.array(1.0), 16), ValueError, r"\[stft\] x must have at least one dimension"),
    (lambda: mx.fft.stft(mx.zeros(0), 16, pad_mode="constant"), ValueError, r"\[stft\] x must not be empty"),
    (lambda: mx.fft.stft(3, 16), TypeError, r"\[stft\] x must be an mx.array"),  # type: ignore[arg-type]
    (lambda: mx.fft.stft(X, 16.0), TypeError, r"\[stft\] n_fft must be an int"),  # type: ignore[arg-type]
    (lambda: mx.fft.stft(X, None), TypeError, r"\[stft\] n_fft must be an int"),  # type: ignore[arg-type]
    (lambda: mx.fft.istft(mx.zeros(9)), ValueError, r"\[istft\] stft_matrix must have at least two dimensions"),
    (lambda: mx.fft.istft(mx.zeros((1, 5))), ValueError, r"\[istft\] n_fft must be positive"),
    (lambda: mx.fft.istft(S, -4), ValueError, r"\[istft\] n_fft must be positive"),
    (lambda: mx.fft.istft(mx.zeros((2, 5))), ValueError, r"\[istft\] hop_length must be positive"),
    (lambda: mx.fft.istft(S, hop_length=0), ValueError, r"\[istft\] hop_length must be positive"),
    (lambda: mx.fft.istft(S, win_length=17), ValueError, r"\[istft\] The window length must not exceed n_fft"),
    (lambda: mx.fft.istft(S, window=mx.ones((16, 1))), ValueError, r"\[istft\] window must be a one-dimensional"),
    (lambda: mx.fft.istft(S, norm="x"), ValueError, r"\[istft\] Invalid norm 'x'"),
    (lambda: mx.fft.istft(S, length=5.0), TypeError, r"\[istft\] length must be an int"),  # type: ignore[arg-type]
    (lambda: mx.fft.istft(mx.zeros((9, 0))), ValueError, r"\[istft\] stft_matrix must not be empty"),
]


@pytest.mark.parametrize("index", range(len(WRONG)))
def test_errors(index: int) -> None:
    call, error, message = WRONG[index]
    with pytest.raises(error, match=message):
        call()

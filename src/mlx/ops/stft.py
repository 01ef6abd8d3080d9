"""Transforms of short pieces of a signal, which overlap: the spectrum over time, and the signal from it."""

from __future__ import annotations

from typing import Any, NamedTuple

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import float32, promote_types
from mlx.ir.node import Node
from mlx.ir.primitive import scalar_node
from mlx.ops.arguments import StreamOrDevice, array_node, check_stream, flag, one_integer, word
from mlx.ops.fft import checked_norm, fft, ifft, irfft, rfft
from mlx.ops.padding import pad
from mlx.primitives.arithmetic import MAXIMUM
from mlx.primitives.complex import REAL
from mlx.primitives.shape import broadcast, move_axis, reshape
from mlx.primitives.slicing import PAD, slice_axis
from mlx.primitives.structure import cast
from mlx.primitives.views import ADD_STRIDED, AS_STRIDED

__all__ = ["istft", "stft"]

_PAD_MODES = ("constant", "edge", "reflect", "symmetric")
_SMALLEST_WEIGHT = 1e-8  # of the windows together; what they let pass less of is lost


class _Pieces(NamedTuple):
    """How a signal is cut: pieces of `size` elements that start every `hop`, weighted with `window`."""

    size: int
    hop: int
    window: Node


def _pieces(n_fft: int, hop_length: Any, win_length: Any, window: Any, function: str) -> _Pieces:
    if n_fft < 1:
        raise ValueError(f"[{function}] n_fft must be positive, got {n_fft}.")
    hop = n_fft // 4 if hop_length is None else one_integer(hop_length, function, "hop_length")
    if hop < 1:
        raise ValueError(f"[{function}] hop_length must be positive, got {hop}; by default it is n_fft // 4.")
    length = n_fft if win_length is None else one_integer(win_length, function, "win_length")
    if window is None:
        if length < 0:
            raise ValueError(f"[{function}] win_length must not be negative, got {length}.")
        weights = broadcast(scalar_node(1, float32), (length,))
    else:
        weights = array_node(window, function, "window")
        if weights.ndim != 1:
            raise ValueError(f"[{function}] window must be a one-dimensional array, got shape {weights.shape}.")
    return _Pieces(n_fft, hop, _centred(weights, n_fft, function))


def _centred(window: Node, size: int, function: str) -> Node:
    (length,) = window.shape
    if length > size:
        raise ValueError(f"[{function}] The window length must not exceed n_fft, got {length} and {size}.")
    return window if length == size else PAD(window, 0, ((size - length) // 2,), (size,), (1,))


def _product(x: Node, y: Node) -> Node:
    dtype = promote_types(x.dtype, y.dtype)
    return cast(x, dtype) * cast(y, dtype)


def _cut(x: Node, pieces: _Pieces) -> Node:
    """The pieces of the last axis, as rows."""
    *lead, length = x.shape
    count = (length - pieces.size) // pieces.hop + 1
    inner = (pieces.hop, 1)
    flat = reshape(x, (x.size,))
    if not lead:
        return AS_STRIDED(flat, (count, pieces.size), inner, 0)
    signals = x.size // length
    rows = AS_STRIDED(flat, (signals, count, pieces.size), (length, *inner), 0)
    return reshape(rows, (*lead, count, pieces.size))


def _joined(rows: Node, hop: int) -> Node:
    """The transpose of `_cut`: rows added up where they overlap."""
    *lead, count, size = rows.shape
    length = size + hop * (count - 1)
    if not lead:
        return ADD_STRIDED(rows, length, (hop, 1), 0)
    signals = 1
    for extent in lead:
        signals *= extent
    flat = ADD_STRIDED(reshape(rows, (signals, count, size)), signals * length, (length, hop, 1), 0)
    return reshape(flat, (*lead, length))


def stft(
    x: array,
    n_fft: int = 2048,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: array | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    norm: str = "backward",
    onesided: bool | None = None,
    stream: StreamOrDevice = None,
) -> array:
    """The short-time Fourier transform: the spectrum of each of the overlapping pieces of a signal.

    Args:
        x: array of shape (..., length) and any dtype.
        n_fft: number of elements of a piece.
        hop_length: how far pieces lie apart; n_fft // 4 by default.
        win_length: where no window is given, how many elements in the middle of a piece count; all by default.
        window: weights of shape (m,), m at most `n_fft`, for the middle of a piece; the rest does not count.
        center: pad `x` by n_fft // 2 on both sides, so that piece i is centred on x[i hop_length].
        pad_mode: what with: "reflect", "symmetric", "edge" or "constant" (zeros), as in `pad`.
        norm: how each transform is scaled, as in `fft`.
        onesided: leave out the negative frequencies. By default where `x` is real; of complex pieces the real part is
            transformed.

    Returns:
        Array of shape (..., frequencies, pieces), dtype complex64; there are n_fft // 2 + 1 or `n_fft` frequencies.

    Raises:
        ValueError: `x` has no axes, is empty or shorter than a piece; sizes that are not positive; a window with more
            or less than one axis or longer than a piece; an unknown norm or pad mode.

    Example:
        >>> import mlx.core as mx
        >>> mx.fft.stft(mx.array([1.0, 1.0, 2.0, 2.0, 4.0, 4.0]), n_fft=2, hop_length=2, center=False)
        array([[2+0j, 4+0j, 8+0j],
               [0+0j, 0+0j, 0+0j]], dtype=complex64)
    """
    if stream is not None:
        check_stream(stream, "stft")
    signal = array_node(x, "stft", "x")
    pieces = _pieces(one_integer(n_fft, "stft", "n_fft"), hop_length, win_length, window, "stft")
    norm = checked_norm(norm, "stft")
    mode = word(pad_mode, "stft", "pad_mode")
    is_centred = flag(center, "stft", "center")
    if not signal.ndim:
        raise ValueError("[stft] x must have at least one dimension.")
    if signal.shape[-1] == 0:
        raise ValueError("[stft] x must not be empty along its last axis.")
    if is_centred:
        if mode not in _PAD_MODES:
            raise ValueError(f"[stft] Invalid padding mode {mode!r}; the modes are {', '.join(_PAD_MODES)}.")
        border = pieces.size // 2
        padded: Any = pad(wrap(signal), [(0, 0)] * (signal.ndim - 1) + [(border, border)], mode)
        signal = padded._node
    if signal.shape[-1] < pieces.size:
        raise ValueError(f"[stft] x has {signal.shape[-1]} elements, too short for n_fft of {pieces.size}.")
    onesided = not signal.dtype.is_complex if onesided is None else flag(onesided, "stft", "onesided")
    rows = wrap(_product(_cut(signal, pieces), pieces.window))
    spectrum: Any = rfft(rows, norm=norm) if onesided else fft(rows, norm=norm)
    return wrap(_with_last_two_swapped(spectrum._node))


def _with_last_two_swapped(x: Node) -> Node:
    return move_axis(x, x.ndim - 1, x.ndim - 2)


def istft(
    stft_matrix: array,
    n_fft: int | None = None,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: array | None = None,
    center: bool = True,
    norm: str = "backward",
    onesided: bool | None = None,
    length: int | None = None,
    stream: StreamOrDevice = None,
) -> array:
    """The inverse of `stft`: pieces transformed back, weighted with the window again, added and divided by its squares.

    Griffin & Lim, "Signal estimation from modified short-time Fourier transform", 1984: it is the signal whose
    transform lies nearest.

    Args:
        stft_matrix: array of shape (..., frequencies, pieces).
        n_fft: number of elements of a piece. By default the even one for that many frequencies.
        hop_length: how far pieces lie apart; n_fft // 4 by default.
        win_length: as in `stft`.
        window: as in `stft`.
        center: the signal was padded by n_fft // 2 on both sides, which is taken away.
        norm: how `stft` scaled each transform.
        onesided: the negative frequencies are left out, which is so by default. Of full spectra the real part of the
            signal is returned.
        length: cut, or pad with zeros, the signal at its end to that many elements.

    Returns:
        Array of shape (..., length), dtype float32; float64 or complex64 where the window is. By default the length
        is what the pieces cover, less the padding. Elements that hardly any window covers are near zero.

    Raises:
        ValueError: `stft_matrix` has fewer than two axes or no pieces; sizes that are not positive; a window with more
            or less than one axis or longer than a piece; an unknown norm.

    Example:
        >>> import mlx.core as mx
        >>> x = mx.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        >>> mx.fft.istft(mx.fft.stft(x, n_fft=4), n_fft=4)
        array([1, 2, 3, 4, 5, 6], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "istft")
    spectrum = array_node(stft_matrix, "istft", "stft_matrix")
    if spectrum.ndim < 2:
        raise ValueError("[istft] stft_matrix must have at least two dimensions (frequencies, pieces).")
    onesided = onesided is None or flag(onesided, "istft", "onesided")
    is_centred = flag(center, "istft", "center")
    frequencies, count = spectrum.shape[-2:]
    if n_fft is None:
        n_fft = 2 * (frequencies - 1) if onesided else frequencies
    pieces = _pieces(one_integer(n_fft, "istft", "n_fft"), hop_length, win_length, window, "istft")
    norm = checked_norm(norm, "istft")
    wanted = None if length is None else max(one_integer(length, "istft", "length"), 0)
    if count == 0:
        raise ValueError("[istft] stft_matrix must not be empty along its last axis.")
    signal = _averaged(_rows_of(spectrum, pieces.size, norm, onesided), pieces)
    return wrap(_trimmed(signal, pieces.size // 2 if is_centred else 0, wanted))


def _rows_of(spectrum: Node, size: int, norm: str, onesided: bool) -> Node:
    """The pieces, as rows, that spectra in columns belong to."""
    transposed = wrap(_with_last_two_swapped(spectrum))
    if onesided:
        rows: Any = irfft(transposed, size, norm=norm)
        return rows._node
    rows = ifft(transposed, size, norm=norm)
    return REAL(rows._node)


def _averaged(rows: Node, pieces: _Pieces) -> Node:
    """The mean of what the pieces say of each element of the signal, by the squares of their weights."""
    weighted = _product(rows, pieces.window)
    window = cast(pieces.window, weighted.dtype)
    squares = broadcast(window * window, rows.shape[-2:])
    return _joined(weighted, pieces.hop) / MAXIMUM(_joined(squares, pieces.hop), _SMALLEST_WEIGHT)


def _trimmed(signal: Node, border: int, wanted: int | None) -> Node:
    """The signal without the border at its beginning; without that at its end, too, or as long as wanted."""
    axis = signal.ndim - 1
    available = signal.shape[-1] - border
    if wanted is None:
        return slice_axis(signal, axis, border, available - border)
    signal = slice_axis(signal, axis, border, available if available < wanted else wanted)
    if available >= wanted:
        return signal
    return PAD(signal, 0, (0,) * signal.ndim, (*signal.shape[:-1], wanted), (1,) * signal.ndim)

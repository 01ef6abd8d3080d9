"""Discrete Fourier transforms over one axis, two, and any.

Their frequencies and shifts of them live in `frequencies`, transforms of short pieces of a signal in `stft`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.exceptions import AxisError

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import complex64, float32
from mlx.ir.node import Node
from mlx.ir.sizes import same_shape
from mlx.ops.arguments import (
    StreamOrDevice,
    array_node,
    axes_in_order,
    check_stream,
    checked_extent,
    integers,
    one_integer,
)
from mlx.primitives.fft import ADJOINT, FFT, IRFFT, RFFT
from mlx.primitives.slicing import PAD, slice_axis
from mlx.primitives.structure import cast

__all__ = [
    "fft",
    "fft2",
    "fftn",
    "ifft",
    "ifft2",
    "ifftn",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftn",
]

Numbers = tuple[int, ...]

# ---------------------------------------------------------------------- arguments


def checked_norm(norm: str, function: str) -> str:
    """The name of a norm; ValueError for another text, TypeError for anything else."""
    if not isinstance(norm, str):
        raise TypeError(f"[{function}] norm must be a string, got {norm!r}.")
    if norm not in ADJOINT:
        raise ValueError(f"[{function}] Invalid norm {norm!r}; it must be 'backward', 'ortho' or 'forward'.")
    return norm


def _transformed_axes(x: Node, s: Numbers | None, axes: Any, function: str) -> Numbers:
    if not x.ndim:
        raise AxisError(f"[{function}] Requires array with at least one dimension.")
    if axes is None:
        if s is not None:
            raise ValueError(f"[{function}] axes must be given where s is given, one for each size.")
        return tuple(range(x.ndim))
    return axes_in_order(integers(axes, function, "axes"), x.ndim, function)


def _check_sizes(sizes: Numbers, axes: Numbers, function: str) -> None:
    if len(sizes) != len(axes):
        raise ValueError(f"[{function}] Shape and axes have different sizes: s is {sizes} for {len(axes)} axes.")
    for size in sizes:
        if size < 1:
            raise ValueError(f"[{function}] Invalid FFT output size requested {sizes}; sizes must be positive.")
        checked_extent(size, function)


def _fitted(x: Node, axis: int, size: int) -> Node:
    """`x` with an axis cut, or padded with zeros at its end, to a size."""
    extent = x.shape[axis]
    if same_shape((extent,), (size,)):
        return x
    if size <= extent:
        return slice_axis(x, axis, 0, size)
    return PAD(x, 0, (0,) * x.ndim, (*x.shape[:axis], size, *x.shape[axis + 1 :]), (1,) * x.ndim)


def _prepared(a: Any, s: Any, axes: Any, function: str, halved: bool = False) -> tuple[Node, Numbers, Numbers]:
    """What is transformed, with axes of the right lengths; the axes; the sizes of the result along them.

    `halved`: of the last axis the array has only the frequencies that are not negative.
    """
    x = array_node(a, function)
    given = None if s is None else integers(s, function, "s")
    over = _transformed_axes(x, given, axes, function)
    if given is None:
        sizes = [x.shape[axis] for axis in over]
        if halved and over:
            sizes[-1] = 2 * (sizes[-1] - 1)
        _check_sizes(tuple(sizes), over, function)
        return x, over, tuple(sizes)
    _check_sizes(given, over, function)
    for position, (axis, size) in enumerate(zip(over, given, strict=True), 1):
        x = _fitted(x, axis, size // 2 + 1 if halved and position == len(over) else size)
    return x, over, given


def _of_one_axis(n: int | None, axis: int, function: str) -> tuple[Numbers | None, Numbers]:
    """Sizes and axes of a transform over one axis."""
    sizes = None if n is None else (one_integer(n, function, "n"),)
    return sizes, (one_integer(axis, function, "axis"),)


# ---------------------------------------------------------------------- the three kinds of transforms


def _of_complex(a: Any, s: Any, axes: Any, norm: str, inverse: bool, function: str) -> array:
    norm = checked_norm(norm, function)
    x, over, _ = _prepared(a, s, axes, function)
    return wrap(FFT(cast(x, complex64), over, inverse, norm) if over else x)


def _of_real(a: Any, s: Any, axes: Any, norm: str, function: str) -> array:
    norm = checked_norm(norm, function)
    x, over, _ = _prepared(a, s, axes, function)
    return wrap(RFFT(cast(x, float32), over, norm) if over else x)


def _to_real(a: Any, s: Any, axes: Any, norm: str, function: str) -> array:
    norm = checked_norm(norm, function)
    x, over, sizes = _prepared(a, s, axes, function, halved=True)
    return wrap(IRFFT(cast(x, complex64), over, sizes[-1], norm) if over else x)


# ---------------------------------------------------------------------- over one axis


def fft(a: array, n: int | None = None, axis: int = -1, norm: str = "backward", stream: StreamOrDevice = None) -> array:
    """The discrete Fourier transform along one axis: y[k] = sum over j of a[j] exp(-2 pi i j k / n).

    Args:
        a: array of any dtype and at least one axis.
        n: length of the transform; the axis is cut or padded with zeros at its end to it. By default the axis as it is.
        axis: the axis to transform.
        norm: which direction is divided by n: "backward" (the inverse), "forward", or "ortho" (both by its root).

    Returns:
        Array of dtype complex64 with `n` frequencies along the axis, zero first, then positive, then negative ones.

    Raises:
        ValueError: `n` is less than one, or an unknown norm.
        IndexError: the axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.fft.fft(mx.array([1.0, 2.0, 3.0, 4.0]))
        array([10+0j, -2+2j, -2+0j, -2-2j], dtype=complex64)
    """
    if stream is not None:
        check_stream(stream, "fft")
    return _of_complex(a, *_of_one_axis(n, axis, "fft"), norm, False, "fft")


def ifft(
    a: array, n: int | None = None, axis: int = -1, norm: str = "backward", stream: StreamOrDevice = None
) -> array:
    """The inverse discrete Fourier transform along one axis: x[j] = 1/n sum over k of a[k] exp(2 pi i j k / n).

    Args:
        a: array of any dtype and at least one axis.
        n: length of the transform; the axis is cut or padded with zeros at its end to it. By default the axis as it is.
        axis: the axis to transform.
        norm: which direction is divided by n: "backward" (the inverse), "forward", or "ortho" (both by its root).

    Returns:
        Array of dtype complex64 with `n` elements along the axis.

    Raises:
        ValueError: `n` is less than one, or an unknown norm.
        IndexError: the axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.fft.ifft(mx.array([4.0, 0.0, 0.0, 0.0]))
        array([1+0j, 1+0j, 1+0j, 1+0j], dtype=complex64)
    """
    if stream is not None:
        check_stream(stream, "ifft")
    return _of_complex(a, *_of_one_axis(n, axis, "ifft"), norm, True, "ifft")


def rfft(
    a: array, n: int | None = None, axis: int = -1, norm: str = "backward", stream: StreamOrDevice = None
) -> array:
    """The discrete Fourier transform of real numbers along one axis, without the negative frequencies.

    Those are the conjugates of the positive ones.

    Args:
        a: array of at least one axis and any dtype; of complex numbers the real parts are taken.
        n: length of the transform; the axis is cut or padded with zeros at its end to it. By default the axis as it is.
        axis: the axis to transform.
        norm: which direction is divided by n: "backward" (the inverse), "forward", or "ortho" (both by its root).

    Returns:
        Array of dtype complex64 with n // 2 + 1 frequencies along the axis.

    Raises:
        ValueError: `n` is less than one, or an unknown norm.
        IndexError: the axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.fft.rfft(mx.array([1.0, 2.0, 3.0, 4.0]))
        array([10+0j, -2+2j, -2+0j], dtype=complex64)
    """
    if stream is not None:
        check_stream(stream, "rfft")
    return _of_real(a, *_of_one_axis(n, axis, "rfft"), norm, "rfft")


def irfft(
    a: array, n: int | None = None, axis: int = -1, norm: str = "backward", stream: StreamOrDevice = None
) -> array:
    """The inverse of `rfft`: real numbers along one axis from their non-negative frequencies.

    Args:
        a: array of any dtype and at least one axis. The imaginary part of frequency zero does not count, nor that of
            the last one where `n` is even.
        n: length of the result; the axis is cut or padded with zeros at its end to n // 2 + 1. By default it is the
            even one, 2 (m - 1) for m frequencies.
        axis: the axis to transform.
        norm: which direction is divided by n: "backward" (the inverse), "forward", or "ortho" (both by its root).

    Returns:
        Array of dtype float32 with `n` elements along the axis.

    Raises:
        ValueError: `n` is less than one, or an unknown norm.
        IndexError: the axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.fft.irfft(mx.array([10 + 0j, -2 + 2j, -2 + 0j]))
        array([1, 2, 3, 4], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "irfft")
    return _to_real(a, *_of_one_axis(n, axis, "irfft"), norm, "irfft")


# ---------------------------------------------------------------------- over two axes


def fft2(
    a: array,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = (-2, -1),
    norm: str = "backward",
    stream: StreamOrDevice = None,
) -> array:
    """The discrete Fourier transform over two axes; `fftn` with other default axes.

    Args:
        a: array of any dtype.
        s: length of the transform for each of the axes, which are cut or padded with zeros at their ends.
        axes: the axes to transform; all for None.
        norm: which direction is divided by the number of frequencies: "backward", "forward" or "ortho".

    Returns:
        Array of dtype complex64.

    Raises:
        ValueError: lengths that are less than one or not as many as axes, repeated axes, or an unknown norm.
        IndexError: an axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.fft.fft2(mx.array([[1.0, 2.0], [3.0, 4.0]]))
        array([[10+0j, -2+0j],
               [-4+0j, 0+0j]], dtype=complex64)
    """
    if stream is not None:
        check_stream(stream, "fft2")
    return _of_complex(a, s, axes, norm, False, "fft2")


def ifft2(
    a: array,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = (-2, -1),
    norm: str = "backward",
    stream: StreamOrDevice = None,
) -> array:
    """The inverse discrete Fourier transform over two axes; `ifftn` with other default axes.

    Args:
        a: array of any dtype.
        s: length of the transform for each of the axes, which are cut or padded with zeros at their ends.
        axes: the axes to transform; all for None.
        norm: which direction is divided by the number of frequencies: "backward", "forward" or "ortho".

    Returns:
        Array of dtype complex64.

    Raises:
        ValueError: lengths that are less than one or not as many as axes, repeated axes, or an unknown norm.
        IndexError: an axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.fft.ifft2(mx.array([[4.0, 0.0], [0.0, 0.0]]))
        array([[1+0j, 1+0j],
               [1+0j, 1+0j]], dtype=complex64)
    """
    if stream is not None:
        check_stream(stream, "ifft2")
    return _of_complex(a, s, axes, norm, True, "ifft2")


def rfft2(
    a: array,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = (-2, -1),
    norm: str = "backward",
    stream: StreamOrDevice = None,
) -> array:
    """The discrete Fourier transform of real numbers over two axes; `rfftn` with other default axes.

    Args:
        a: array of any dtype; of complex numbers the real parts are taken.
        s: length of the transform for each of the axes, which are cut or padded with zeros at their ends.
        axes: the axes to transform, the one with half of the frequencies last; all for None.
        norm: which direction is divided by the number of frequencies: "backward", "forward" or "ortho".

    Returns:
        Array of dtype complex64.

    Raises:
        ValueError: lengths that are less than one or not as many as axes, repeated axes, or an unknown norm.
        IndexError: an axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.fft.rfft2(mx.ones((2, 4)))
        array([[8+0j, 0+0j, 0+0j],
               [0+0j, 0+0j, 0+0j]], dtype=complex64)
    """
    if stream is not None:
        check_stream(stream, "rfft2")
    return _of_real(a, s, axes, norm, "rfft2")


def irfft2(
    a: array,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = (-2, -1),
    norm: str = "backward",
    stream: StreamOrDevice = None,
) -> array:
    """The inverse of `rfft2`; `irfftn` with other default axes.

    Args:
        a: array of any dtype.
        s: the lengths of the result along the axes. The last axis is cut or padded with zeros to s[-1] // 2 + 1,
            the others to their lengths.
        axes: the axes to transform, the one with half of the frequencies last; all for None.
        norm: which direction is divided by the number of frequencies: "backward", "forward" or "ortho".

    Returns:
        Array of dtype float32.

    Raises:
        ValueError: lengths that are less than one or not as many as axes, repeated axes, or an unknown norm.
        IndexError: an axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> x = mx.array([[1.0, 2.0, 3.0], [4.0, 5.0, 7.0]])
        >>> bool(mx.allclose(mx.fft.irfft2(mx.fft.rfft2(x), s=(2, 3)), x))
        True
    """
    if stream is not None:
        check_stream(stream, "irfft2")
    return _to_real(a, s, axes, norm, "irfft2")


# ---------------------------------------------------------------------- over any axes


def fftn(
    a: array,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
    stream: StreamOrDevice = None,
) -> array:
    """The discrete Fourier transform over several axes: `fft` along one after the other.

    Args:
        a: array of any dtype and at least one axis.
        s: length of the transform for each of the axes, which are cut or padded with zeros at their ends; the axes
            have to be given with it.
        axes: the axes to transform; all by default. For no axes the array comes back as it is.
        norm: which direction is divided by the number of frequencies: "backward" (the inverse), "forward", or
            "ortho" (both by its root).

    Returns:
        Array of dtype complex64.

    Raises:
        ValueError: lengths that are less than one or not as many as axes, repeated axes, or an unknown norm.
        IndexError: an axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.fft.fftn(mx.ones((2, 2)), norm="forward")
        array([[1+0j, 0+0j],
               [0+0j, 0+0j]], dtype=complex64)
    """
    if stream is not None:
        check_stream(stream, "fftn")
    return _of_complex(a, s, axes, norm, False, "fftn")


def ifftn(
    a: array,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
    stream: StreamOrDevice = None,
) -> array:
    """The inverse discrete Fourier transform over several axes: `ifft` along one after the other.

    Args:
        a: array of any dtype and at least one axis.
        s: length of the transform for each of the axes, which are cut or padded with zeros at their ends; the axes
            have to be given with it.
        axes: the axes to transform; all by default. For no axes the array comes back as it is.
        norm: which direction is divided by the number of frequencies: "backward" (the inverse), "forward", or
            "ortho" (both by its root).

    Returns:
        Array of dtype complex64.

    Raises:
        ValueError: lengths that are less than one or not as many as axes, repeated axes, or an unknown norm.
        IndexError: an axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.fft.ifftn(mx.array([[4.0, 0.0], [0.0, 0.0]]))
        array([[1+0j, 1+0j],
               [1+0j, 1+0j]], dtype=complex64)
    """
    if stream is not None:
        check_stream(stream, "ifftn")
    return _of_complex(a, s, axes, norm, True, "ifftn")


def rfftn(
    a: array,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
    stream: StreamOrDevice = None,
) -> array:
    """The discrete Fourier transform of real numbers over several axes: `rfft` along the last, `fft` along the others.

    Args:
        a: array of at least one axis and any dtype; of complex numbers the real parts are taken.
        s: length of the transform for each of the axes, which are cut or padded with zeros at their ends; the axes
            have to be given with it.
        axes: the axes to transform, the one with half of the frequencies last; all by default. For no axes the array
            comes back as it is.
        norm: which direction is divided by the number of frequencies: "backward" (the inverse), "forward", or
            "ortho" (both by its root).

    Returns:
        Array of dtype complex64, with n // 2 + 1 frequencies along the last of the axes for a length of n.

    Raises:
        ValueError: lengths that are less than one or not as many as axes, repeated axes, or an unknown norm.
        IndexError: an axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.fft.rfftn(mx.ones((2, 4))).shape
        (2, 3)
    """
    if stream is not None:
        check_stream(stream, "rfftn")
    return _of_real(a, s, axes, norm, "rfftn")


def irfftn(
    a: array,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str = "backward",
    stream: StreamOrDevice = None,
) -> array:
    """The inverse of `rfftn`: `ifft` along all axes but the last, then `irfft` along that.

    Args:
        a: array of any dtype and at least one axis.
        s: the lengths of the result along the axes, which have to be given with it. The last axis is cut or padded
            with zeros to s[-1] // 2 + 1, the others to their lengths. By default the last is even, 2 (m - 1) for m
            frequencies.
        axes: the axes to transform, the one with half of the frequencies last; all by default. For no axes the array
            comes back as it is.
        norm: which direction is divided by the number of frequencies: "backward" (the inverse), "forward", or
            "ortho" (both by its root).

    Returns:
        Array of dtype float32.

    Raises:
        ValueError: lengths that are less than one or not as many as axes, repeated axes, or an unknown norm.
        IndexError: an axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.fft.irfftn(mx.fft.rfftn(mx.array([[1.0, 2.0], [3.0, 4.0]])))
        array([[1, 2],
               [3, 4]], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "irfftn")
    return _to_real(a, s, axes, norm, "irfftn")

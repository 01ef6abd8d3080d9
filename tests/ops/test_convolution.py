"""Convolutions: values by hand, by NumPy and written down from PyTorch; shapes, dtypes, batching, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx

HALF_AND_WIDE = (mx.float16, mx.bfloat16, mx.float32, mx.float64)


def signal(*values: float) -> Any:
    """A signal of one channel."""
    return mx.array(values, mx.float32).reshape(1, -1, 1)


def sample(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def ramp(*shape: int) -> Any:
    return mx.arange(float(np.prod(shape))).reshape(shape)


def close(result: Any, expected: Any) -> None:
    assert result.shape == np.shape(expected)
    np.testing.assert_allclose(np.array(result), expected, rtol=1e-4, atol=1e-4)


# ---------------------------------------------------------------------- one axis, by hand


def test_conv1d_slides_the_kernel_without_flipping_it() -> None:
    x, w = signal(1, 2, 4, 8), signal(1, 10)
    assert mx.conv1d(x, w).flatten().tolist() == [21, 42, 84]
    assert mx.conv1d(x, w, padding=1).flatten().tolist() == [10, 21, 42, 84, 8]
    assert mx.conv1d(x, w, stride=2).flatten().tolist() == [21, 84]
    assert mx.conv1d(x, w, dilation=2).flatten().tolist() == [41, 82]
    assert mx.conv1d(x, w, padding=-1).flatten().tolist() == [42]


def test_conv_general_has_every_option() -> None:
    x, w = signal(1, 2, 4), signal(1, 10)
    assert mx.conv_general(x, w, padding=([1], [0])).flatten().tolist() == [10, 21, 42]
    assert mx.conv_general(x, w, padding=([0], [1])).flatten().tolist() == [21, 42, 4]
    assert mx.conv_general(x, w, padding=[[1], [-1]]).flatten().tolist() == [10, 21]
    assert mx.conv_general(x, w, flip=True).flatten().tolist() == [12, 24]
    assert mx.conv_general(x, w, input_dilation=2).flatten().tolist() == [1, 20, 2, 40]
    assert mx.conv_general(x, w, kernel_dilation=2, stride=[2]).flatten().tolist() == [41]


def test_conv_transpose1d_adds_up_kernels() -> None:
    x, w = signal(1, 2), signal(1, 10, 100)
    assert mx.conv_transpose1d(x, w).flatten().tolist() == [1, 12, 120, 200]
    assert mx.conv_transpose1d(x, w, stride=2).flatten().tolist() == [1, 10, 102, 20, 200]
    assert mx.conv_transpose1d(x, w, stride=2, padding=1).flatten().tolist() == [10, 102, 20]
    assert mx.conv_transpose1d(x, w, stride=2, output_padding=1).flatten().tolist() == [1, 10, 102, 20, 200, 0]
    assert mx.conv_transpose1d(x, w, dilation=2).flatten().tolist() == [1, 2, 10, 20, 100, 200]


def test_groups_convolve_their_own_channels() -> None:
    x = mx.array([[[1.0, 2.0], [3.0, 4.0]]])
    w = mx.array([[[1.0], [1.0]], [[1.0], [10.0]]])
    assert mx.conv1d(x, w, groups=2).tolist() == [[[4.0, 42.0]]]
    assert mx.conv_transpose1d(x, w, groups=2).tolist() == [[[1.0, 2.0], [4.0, 24.0], [3.0, 40.0]]]


# ---------------------------------------------------------------------- values written down from PyTorch


def test_conv2d_values() -> None:
    x, w = ramp(1, 3, 4, 2) - 10, ramp(2, 2, 2, 2) - 7
    assert mx.conv2d(x, w, stride=(1, 2), padding=(1, 0)).tolist() == [
        [
            [[56, -216], [32, -112]],
            [[200, -88], [88, 56]],
            [[-24, 200], [-136, 344]],
            [[-160, 80], [-248, 120]],
        ]
    ]


def test_conv_transpose2d_values() -> None:
    x, w = ramp(1, 2, 2, 2) - 3, ramp(1, 2, 2, 2) - 2
    result = mx.conv_transpose2d(x, w, stride=(2, 1), padding=(0, 1), output_padding=(1, 0))
    assert result.tolist() == [[[[0]], [[-24]], [[-8]], [[32]], [[0]]]]


def test_conv3d_values() -> None:
    x, w = ramp(1, 2, 3, 2, 1) - 5, ramp(2, 1, 2, 2, 1) - 3
    assert mx.conv3d(x, w, padding=(0, 1, 0)).tolist() == [
        [
            [[[5, -31]], [[26, -30]], [[14, -10]], [[3, -1]]],
            [[[-1, 11]], [[-10, 30]], [[-22, 50]], [[-27, 17]]],
        ]
    ]


# ---------------------------------------------------------------------- shapes and dtypes


def test_shapes() -> None:
    assert mx.conv2d(mx.ones((2, 28, 28, 3)), mx.ones((8, 5, 3, 3)), stride=2, padding=(2, 1)).shape == (2, 14, 14, 8)
    assert mx.conv2d(mx.ones((0, 4, 4, 1)), mx.ones((2, 3, 3, 1))).shape == (0, 2, 2, 2)
    assert mx.conv1d(mx.ones((1, 5, 5, 2)), mx.ones((3, 2, 2, 2))).shape == (1, 4, 4, 3)
    assert mx.conv3d(mx.ones((1, 3, 4, 5, 4)), mx.ones((6, 1, 2, 3, 2)), groups=2).shape == (1, 3, 3, 3, 6)
    assert mx.conv_transpose3d(mx.ones((1, 4, 4, 4, 2)), mx.ones((4, 2, 2, 2, 2)), stride=2).shape == (1, 8, 8, 8, 4)


@pytest.mark.parametrize("engine", ["numpy", "xla"])
@pytest.mark.parametrize("dtype", HALF_AND_WIDE, ids=lambda dtype: dtype.name)
def test_floating_dtypes_are_kept_and_halves_summed_in_single(dtype: Any, engine: Any) -> None:
    with mx.engine(engine):
        result = mx.conv1d(mx.ones((1, 4096, 1)).astype(dtype), mx.ones((1, 4096, 1)).astype(dtype))
        assert result.dtype == dtype
        assert result.item() == 4096.0


def test_operands_are_promoted() -> None:
    assert mx.conv1d(signal(1, 2).astype(mx.float16), signal(1)).dtype == mx.float32
    assert mx.conv1d(signal(1, 2), mx.array([[[3]]])).flatten().tolist() == [3.0, 6.0]
    assert mx.conv1d(signal(1, 2).astype(mx.bfloat16), signal(1).astype(mx.float16)).dtype == mx.float32


# ---------------------------------------------------------------------- batching


def batched(x: Any, entry: int, axis: int | None) -> Any:
    return x if axis is None else np.take(x, entry, axis)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("x_axis", "w_axis"), [(0, 0), (0, None), (None, 0), (3, 1), (None, 3), (2, None)])
def test_vmap_of_convolutions_and_of_their_gradients(x_axis: Any, w_axis: Any, groups: int) -> None:
    x, w = sample(2, 6, 4), sample(6, 3, 4 // groups, seed=1)
    if x_axis is not None:
        x = np.stack([x, sample(2, 6, 4, seed=2), sample(2, 6, 4, seed=3)], x_axis)
    if w_axis is not None:
        w = np.stack([w, sample(*w.shape, seed=4), sample(*w.shape, seed=5)], w_axis)

    def convolved(x: Any, w: Any) -> Any:
        return mx.conv1d(x, w, stride=2, padding=1, groups=groups)

    def gradients(x: Any, w: Any) -> Any:
        return mx.grad(lambda x, w: (convolved(x, w) ** 3).sum(), argnums=(0, 1))(x, w)

    entries = [(mx.array(batched(x, i, x_axis)), mx.array(batched(w, i, w_axis))) for i in range(3)]
    inputs = mx.array(x), mx.array(w)
    close(
        mx.vmap(convolved, in_axes=(x_axis, w_axis))(*inputs),
        np.stack([np.array(convolved(*entry)) for entry in entries]),
    )
    mapped = mx.vmap(gradients, in_axes=(x_axis, w_axis))(*inputs)
    looped = [gradients(*entry) for entry in entries]
    for which in (0, 1):
        close(mapped[which], np.stack([np.array(pair[which]) for pair in looped]))


# ---------------------------------------------------------------------- convolve


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize(("n", "m"), [(7, 3), (7, 4), (3, 7), (5, 5), (4, 1), (1, 1)])
def test_convolve_is_that_of_numpy(mode: Any, n: int, m: int) -> None:
    a, v = sample(n), sample(m, seed=1)
    close(mx.convolve(mx.array(a), mx.array(v), mode), np.convolve(a, v, mode))


def test_convolve_refuses() -> None:
    with pytest.raises(ValueError, match=r"\[convolve\] Invalid mode 'some'"):
        mx.convolve(mx.ones((2,)), mx.ones((2,)), "some")
    with pytest.raises(ValueError, match="must be 1D"):
        mx.convolve(mx.ones((2, 2)), mx.ones((2,)))
    with pytest.raises(ValueError, match="cannot be empty"):
        mx.convolve(mx.ones((2,)), mx.ones((0,)))
    with pytest.raises(ValueError, match="type int32"):
        mx.convolve(mx.array([1, 2]), mx.ones((2,)))


# ---------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("x", "w", "options", "message"),
    [
        ((2, 5, 4), (3, 3, 4), {"stride": 0}, "Stride sizes must be positive"),
        ((2, 5, 4), (3, 3, 4), {"stride": -1}, "Stride sizes must be positive"),
        ((2, 5, 4), (3, 3, 4), {"kernel_dilation": 0}, "Kernel dilation sizes must be positive"),
        ((2, 5, 4), (3, 3, 4), {"input_dilation": 0}, "Input dilation sizes must be positive"),
        ((2, 5, 4), (3, 3, 4), {"kernel_dilation": 3}, "cannot be smaller than those of the weight"),
        ((2, 2, 4), (3, 3, 4), {}, "cannot be smaller than those of the weight"),
        ((2, 5, 4), (3, 3, 4), {"padding": -2}, "cannot be smaller than those of the weight"),
        ((2, 5, 4), (3, 0, 4), {}, "cannot be smaller than those of the weight"),
        ((2, 5, 4), (3, 3, 2), {}, "input channels of input and weight to match"),
        ((2, 5, 4), (4, 3, 4), {"groups": 2}, "input channels of input and weight to match"),
        ((2, 5, 4), (3, 3, 2), {"groups": 2}, "output channels must be divisible"),
        ((2, 5, 4), (3, 3, 1), {"groups": 3}, "input channels must be divisible"),
        ((2, 5, 4), (3, 3, 4), {"groups": 0}, "number of groups must be positive"),
        ((5, 4), (3, 4), {}, "1-3 spatial dimensions"),
        ((1, 2, 2, 2, 2, 2), (3, 1, 1, 1, 1, 2), {}, "1-3 spatial dimensions"),
        ((2, 5, 4), (3, 4), {}, "Invalid weight array with 2 dimensions"),
        ((2, 5, 4), (3, 3, 4), {"stride": [1, 2]}, r"Invalid stride \(1, 2\) for 1D"),
        ((2, 5, 4), (3, 3, 4), {"padding": ([1, 2], [2, 2])}, r"Invalid padding \(1, 2\) for 1D"),
    ],
)
def test_conv_general_refuses(x: Any, w: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=r"\[conv\].*" + message):
        mx.conv_general(mx.ones(x), mx.ones(w), **options)


def test_only_floating_dtypes_are_convolved() -> None:
    for dtype in (mx.bool_, mx.int32, mx.complex64):
        with pytest.raises(ValueError, match=r"\[conv\] Invalid input array with type"):
            mx.conv1d(signal(1, 2).astype(dtype), signal(1))


def test_wrong_arguments() -> None:
    x, w = mx.ones((1, 4, 4, 1)), mx.ones((1, 2, 2, 1))
    with pytest.raises(TypeError, match=r"\[conv2d\] stride must be an int or 2 of them"):
        mx.conv2d(x, w, stride=(1, 2, 3))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"\[conv2d\] padding must be"):
        mx.conv2d(x, w, padding=1.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"\[conv1d\] weight must be an mx.array"):
        mx.conv1d(signal(1, 2), 2.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\[conv2d\] input must have 4 dimensions"):
        mx.conv2d(signal(1, 2), signal(1))
    with pytest.raises(TypeError, match=r"two lists of ints"):
        mx.conv_general(x, w, padding=([1, 1], [1, 1], [1, 1]))  # type: ignore[arg-type]

"""Products of matrices, vectors and tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlx.arrays.array import array, wrap
from mlx.ir.dtypes import Dtype, float32, promote_types
from mlx.ir.node import Node
from mlx.ir.primitive import broadcast_shape, scalar_node
from mlx.ir.sizes import broadcast_extent, open_sizes
from mlx.ops.arguments import (
    StreamOrDevice,
    array_node,
    check_stream,
    checked_axis,
    integer_or_none,
    integers,
    real_number,
)
from mlx.ops.reductions import sum
from mlx.primitives import matmul as primitives
from mlx.primitives.arithmetic import MULTIPLY
from mlx.primitives.elementwise import conjugate
from mlx.primitives.shape import reshape
from mlx.primitives.structure import cast

__all__ = ["addmm", "inner", "matmul", "outer", "tensordot", "vecdot"]


def product_dtype(dtypes: Sequence[Dtype], function: str) -> Dtype:
    """The dtype that operands of a product promote to; ValueError where it is boolean or an integer type."""
    dtype = dtypes[0]
    for other in dtypes[1:]:
        dtype = promote_types(dtype, other)
    if not dtype.is_inexact:
        given = " and ".join(other.name for other in dtypes)
        raise ValueError(
            f"[{function}] Only inexact types are supported but {given} were provided, which results in "
            f"{dtype.name}. Cast an operand with .astype(mx.float32)."
        )
    return dtype


def _operands(a: Any, b: Any, function: str) -> tuple[Node, Node]:
    """The nodes of two arrays, cast to the inexact dtype that both promote to."""
    x, y = array_node(a, function, "a"), array_node(b, function, "b")
    dtype = x.dtype
    if dtype is not y.dtype or not dtype.is_inexact:
        dtype = product_dtype((dtype, y.dtype), function)
        x, y = cast(x, dtype), cast(y, dtype)
    return x, y


def _check_matrices(x: Node, y: Node, function: str) -> None:
    a, b = x.shape, y.shape
    if not a or not b:
        name = "b" if a else "a"
        raise ValueError(
            f"[{function}] {name} has no axes, but inputs must have at least one dimension. "
            f"Multiply by a number with *."
        )
    if a[-1] != b[-2 if len(b) > 1 else 0]:
        raise ValueError(
            f"[{function}] Last dimension of first input with shape {a} must match second to last dimension "
            f"of second input with shape {b}."
        )
    if len(a) > 2 and len(b) > 2:
        if open_sizes:  # nothing is decided here that a product of other sizes would have to agree with
            for pair in zip(a[-3::-1], b[-3::-1], strict=False):
                broadcast_extent(*pair)
        elif a[:-2] != b[:-2]:
            broadcast_shape(a[:-2], b[:-2])


def matmul(a: array, b: array, /, *, stream: StreamOrDevice = None) -> array:
    """The matrix product, over batches of matrices where there are more than two axes.

    Args:
        a: array of shape `(..., m, k)`, or a vector of shape `(k,)`.
        b: array of shape `(..., k, n)`, or a vector of shape `(k,)`. Batch axes broadcast with those of `a`,
            and both are cast to the dtype that they promote to.

    Returns:
        The products, of shape `(..., m, n)`; without the axis `m` or `n` where the operand is a vector.

    Raises:
        ValueError: the shapes do not fit, an operand is a scalar, or neither dtype is inexact.

    Example:
        >>> import mlx.core as mx
        >>> mx.matmul(mx.array([[1.0, 2.0], [3.0, 4.0]]), mx.array([1.0, -1.0]))
        array([-1, -1], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "matmul")
    x, y = _operands(a, b, "matmul")
    _check_matrices(x, y, "matmul")
    return wrap(primitives.matmul(x, y))


def addmm(
    c: array,
    a: array,
    b: array,
    /,
    alpha: float = 1.0,
    beta: float = 1.0,
    *,
    stream: StreamOrDevice = None,
) -> array:
    """`alpha * (a @ b) + beta * c`.

    Args:
        c: array that broadcasts to the shape of `a @ b`.
        a: array of shape `(..., m, k)` or `(k,)`.
        b: array of shape `(..., k, n)` or `(k,)`.
        alpha: factor of the matrix product.
        beta: factor of `c`. Where it is 0, `c` is left out, even if it holds NaN.

    Returns:
        An array of the shape of `a @ b`.

    Raises:
        ValueError: the shapes do not fit, an operand of the product is a scalar, or no dtype is inexact.

    Example:
        >>> import mlx.core as mx
        >>> mx.addmm(mx.array([1.0, 2.0]), mx.ones((2, 3)), mx.ones((3, 2)), alpha=0.5, beta=2.0)
        array([[3.5, 5.5],
               [3.5, 5.5]], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "addmm")
    z, x, y = array_node(c, "addmm", "c"), array_node(a, "addmm", "a"), array_node(b, "addmm", "b")
    alpha, beta = real_number(alpha, "addmm", "alpha"), real_number(beta, "addmm", "beta")
    dtype = x.dtype
    if not (dtype is y.dtype is z.dtype and dtype.is_inexact):
        dtype = product_dtype((z.dtype, x.dtype, y.dtype), "addmm")
        z, x, y = cast(z, dtype), cast(x, dtype), cast(y, dtype)
    _check_matrices(x, y, "addmm")
    if dtype.is_half and alpha != 1:  # it may bring a product back into the range
        z, x, y = cast(z, float32), cast(x, float32), cast(y, float32)
    product = primitives.matmul(x, y)
    if z.shape != product.shape and broadcast_shape(z.shape, product.shape) != product.shape:
        raise ValueError(
            f"[addmm] c of shape {z.shape} must broadcast to the output shape {product.shape}, that of a @ b."
        )
    product = _scaled(product, alpha)
    return wrap(cast(product if beta == 0 else product + _scaled(z, beta), dtype))


def _scaled(x: Node, factor: float) -> Node:
    return x if factor == 1 else MULTIPLY(x, scalar_node(factor, x.dtype))


def tensordot(
    a: array, b: array, /, axes: int | Sequence[Sequence[int]] = 2, *, stream: StreamOrDevice = None
) -> array:
    """The sum of products of two arrays over several axes of each.

    Args:
        a: array of any shape.
        b: array of any shape.
        axes: how many of the last axes of `a` to sum over with as many first axes of `b`; or two sequences,
            the axes of `a` and those of `b`, of equal extents pair by pair.

    Returns:
        An array with the remaining axes of `a` followed by those of `b`.

    Raises:
        ValueError: the axes do not fit, or neither dtype is inexact.
        IndexError: an axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.tensordot(mx.ones((2, 3, 4)), mx.ones((4, 3, 5)), axes=[[1, 2], [1, 0]]).shape
        (2, 5)
    """
    if stream is not None:
        check_stream(stream, "tensordot")
    x, y = array_node(a, "tensordot", "a"), array_node(b, "tensordot", "b")
    a_axes, b_axes = _contracted_axes(axes, x.ndim, y.ndim)
    if [x.shape[axis] for axis in a_axes] != [y.shape[axis] for axis in b_axes]:
        raise ValueError(
            f"[tensordot] a and b must have the same shape on the contracted axes, but these are axes {a_axes} "
            f"of shape {x.shape} and axes {b_axes} of shape {y.shape}."
        )
    return wrap(_tensor_product(x, a_axes, y, b_axes, "tensordot"))


def _contracted_axes(axes: Any, a_ndim: int, b_ndim: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    count = integer_or_none(axes)
    if count is not None:
        if count < 0:
            raise ValueError(f"[tensordot] axes must be greater or equal to 0, got {axes}.")
        if count > min(a_ndim, b_ndim):
            raise ValueError(
                f"[tensordot] axes must not exceed the number of dimensions of a and b, which is {a_ndim} and "
                f"{b_ndim}, got {axes}."
            )
        return tuple(range(a_ndim - count, a_ndim)), tuple(range(count))
    if not isinstance(axes, list | tuple) or not all(isinstance(side, list | tuple) for side in axes):
        raise TypeError(f"[tensordot] axes must be an int or two lists of ints, got {axes!r}.")
    if len(axes) != 2:
        raise ValueError(f"[tensordot] axes must be a list of two lists, got {len(axes)}.")
    a_axes, b_axes = (integers(side, "tensordot", "axes") for side in axes)
    if len(a_axes) != len(b_axes):
        raise ValueError(f"[tensordot] axes must have the same size, got {len(a_axes)} and {len(b_axes)}.")
    return _within(a_axes, a_ndim), _within(b_axes, b_ndim)


def _within(axes: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    distinct = tuple(checked_axis(axis, ndim, "tensordot") for axis in axes)
    if len(set(distinct)) != len(distinct):
        raise ValueError(f"[tensordot] axes must not repeat, got {axes}.")
    return distinct


def _tensor_product(x: Node, x_axes: tuple[int, ...], y: Node, y_axes: tuple[int, ...], function: str) -> Node:
    dtype = product_dtype((x.dtype, y.dtype), function)
    x_labels = tuple(range(x.ndim))
    y_labels = list(range(x.ndim, x.ndim + y.ndim))
    for mine, other in zip(y_axes, x_axes, strict=True):
        y_labels[mine] = other
    free = [label for label in x_labels if label not in x_axes] + [label for label in y_labels if label >= x.ndim]
    return primitives.contract(cast(x, dtype), cast(y, dtype), x_labels, tuple(y_labels), tuple(free))


def inner(a: array, b: array, /, *, stream: StreamOrDevice = None) -> array:
    """The sums of products over the last axes.

    Args:
        a: array of shape `(..., k)`, or a scalar.
        b: array of shape `(..., k)`, or a scalar.

    Returns:
        An array with the other axes of `a` followed by those of `b`; `a * b` where one is a scalar.

    Raises:
        ValueError: the last extents differ, or neither dtype is inexact.

    Example:
        >>> import mlx.core as mx
        >>> mx.inner(mx.array([1.0, 2.0]), mx.array([[3.0, 4.0], [5.0, 6.0]]))
        array([11, 17], dtype=float32)
    """
    if stream is not None:
        check_stream(stream, "inner")
    x, y = array_node(a, "inner", "a"), array_node(b, "inner", "b")
    if not x.shape or not y.shape:
        return a * b
    if x.shape[-1] != y.shape[-1]:
        raise ValueError(f"[inner] a and b must have the same last dimension, got shapes {x.shape} and {y.shape}.")
    return wrap(_tensor_product(x, (x.ndim - 1,), y, (y.ndim - 1,), "inner"))


def outer(a: array, b: array, /, *, stream: StreamOrDevice = None) -> array:
    """Each element of one array times each of another.

    Args:
        a: array of m elements, flattened if it has more than one axis.
        b: array of n elements, likewise.

    Returns:
        An array of shape `(m, n)`.

    Example:
        >>> import mlx.core as mx
        >>> mx.outer(mx.array([1, 2]), mx.array([3, 4, 5]))
        array([[3, 4, 5],
               [6, 8, 10]], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "outer")
    x, y = array_node(a, "outer", "a"), array_node(b, "outer", "b")
    return wrap(reshape(x, (x.size, 1))) * wrap(reshape(y, (1, y.size)))


def vecdot(a: array, b: array, /, axis: int = -1, *, stream: StreamOrDevice = None) -> array:
    """The dot products of vectors along an axis, complex ones conjugated in `a`.

    Args:
        a: array of at least one axis.
        b: array that broadcasts with `a` and has the same extent along `axis`.
        axis: the axis of the vectors, the same one in both arrays; negative ones are counted from the end.

    Returns:
        An array without that axis.

    Raises:
        ValueError: an array is a scalar, the extents differ, or the shapes do not broadcast.
        IndexError: the axis is out of range.

    Example:
        >>> import mlx.core as mx
        >>> mx.vecdot(mx.array([[1, 2], [3, 4]]), mx.array([[5, 6], [7, 8]]))
        array([17, 53], dtype=int32)
    """
    if stream is not None:
        check_stream(stream, "vecdot")
    x, y = array_node(a, "vecdot", "a"), array_node(b, "vecdot", "b")
    if not x.shape or not y.shape:
        raise ValueError(f"[vecdot] inputs must be at least 1D, got shapes {x.shape} and {y.shape}.")
    along = checked_axis(axis, x.ndim, "vecdot")
    if not -y.ndim <= axis < y.ndim or along != axis % y.ndim:
        raise ValueError(
            f"[vecdot] axis {axis} is out of bounds: it must be the same axis of a and b, "
            f"which have shapes {x.shape} and {y.shape}."
        )
    if x.shape[axis] != y.shape[axis]:
        raise ValueError(
            f"[vecdot] a and b must have the same size along axis {axis}, got shapes {x.shape} and {y.shape}."
        )
    return sum(wrap(conjugate(x)) * b, axis=along)

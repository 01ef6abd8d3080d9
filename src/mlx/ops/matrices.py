"""Checking arrays of matrices, which the functions of linear algebra share."""

from __future__ import annotations

from mlx.arrays.array import array
from mlx.ir.dtypes import complex64, float32, float64
from mlx.ir.node import Node
from mlx.ops.arguments import array_node


def matrices(a: array, function: str, argument: str = "a") -> Node:
    """The node of an array of matrices; ValueError for fewer than two axes."""
    x = array_node(a, f"linalg.{function}", argument)
    if x.ndim < 2:
        raise ValueError(
            f"[linalg.{function}] {argument} must have at least two axes, which are matrices, got shape {x.shape}."
        )
    return x


def real_matrices(a: array, function: str) -> Node:
    """The same; ValueError for another dtype than float32 and float64."""
    x = matrices(a, function)
    if x.dtype is not float32 and x.dtype is not float64:
        raise ValueError(
            f"[linalg.{function}] a must have type float32 or float64, got {x.dtype.name}. "
            f"Cast it with .astype(mx.float32)."
        )
    return x


def inexact_matrices(a: array, function: str) -> Node:
    """The same; ValueError for another dtype than float32, float64 and complex64."""
    x = matrices(a, function)
    if x.dtype not in (float32, float64, complex64):
        raise ValueError(
            f"[linalg.{function}] a must have type float32, float64 or complex64, got {x.dtype.name}. "
            f"Cast it with .astype(mx.float32)."
        )
    return x


def square(x: Node, function: str, argument: str = "a") -> Node:
    """`x`; ValueError where its matrices are not square."""
    if x.shape[-1] != x.shape[-2]:
        raise ValueError(f"[linalg.{function}] {argument} must be square matrices, got shape {x.shape}.")
    return x

"""einsum: values by NumPy, what each step records, paths, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlx.core as mx
from mlx.ir.walk import ancestors


def samples(*shapes: tuple[int, ...]) -> list[Any]:
    return [np.random.default_rng(seed).standard_normal(shape).astype(np.float32) for seed, shape in enumerate(shapes)]


def einsum(subscripts: str, arrays: list[Any]) -> Any:
    return mx.einsum(subscripts, *map(mx.array, arrays))


CASES: list[tuple[str, tuple[tuple[int, ...], ...]]] = [
    ("ij,jk->ik", ((2, 3), (3, 4))),
    ("ij,jk", ((2, 3), (3, 4))),
    ("bA,Ac", ((2, 3), (3, 4))),
    (" i j , j k -> k i ", ((2, 3), (3, 4))),
    ("ii", ((3, 3),)),
    ("ii->i", ((3, 3),)),
    ("iijj->ji", ((2, 2, 3, 3),)),
    ("iij->j", ((2, 2, 3),)),
    ("iii->i", ((2, 2, 2),)),
    ("ji", ((2, 3),)),
    ("ij->", ((2, 3),)),
    ("ijk->ki", ((2, 3, 4),)),
    ("->", ((),)),
    ("", ((),)),
    (",", ((), ())),
    ("i,->i", ((3,), ())),
    ("i,i", ((3,), (3,))),
    ("i,j->ji", ((2,), (3,))),
    ("i,ij->", ((2,), (2, 3))),
    ("bhid,bhjd->bhij", ((2, 3, 4, 5), (2, 3, 6, 5))),
    ("bihd,bjhd->bhij", ((2, 4, 3, 5), (2, 6, 3, 5))),
    ("aib,bja->ij", ((2, 3, 4), (4, 5, 2))),
    ("ii,ij->j", ((2, 2), (2, 3))),
    ("...ij,...jk->...ik", ((4, 2, 3), (3, 2))),
    ("...ij,jk", ((4, 2, 3), (3, 2))),
    ("...i,...i->...", ((4, 1, 3), (2, 3))),
    ("a...b,b...->a...", ((2, 3, 4), (4, 3))),
    ("...ij->ij...", ((4, 2, 3),)),
    ("...,...", ((2, 3), (3,))),
    ("i...->...", ((2, 3),)),
    ("ij,ij->ij", ((2, 3), (1, 3))),
    ("ij,jk->ik", ((2, 1), (3, 2))),
    ("ij,ij->", ((2, 3), (2, 1))),
    ("i,i,i->i", ((3,), (3,), (3,))),
    ("ij,jk,kl->il", ((2, 3), (3, 4), (4, 5))),
    ("ijk,ilm,njm,nlk,abc->", ((2, 2, 2),) * 5),
    ("ab,b,cb->ac", ((2, 3), (3,), (4, 3))),
    ("i,i->", ((0,), (0,))),
    ("ij,jk->ik", ((2, 0), (0, 3))),
]


@pytest.mark.parametrize(("subscripts", "shapes"), CASES, ids=str)
def test_values_and_gradients(subscripts: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    arrays = samples(*shapes)
    expected = np.einsum(subscripts, *arrays)
    result = einsum(subscripts, arrays)
    assert result.shape == expected.shape
    np.testing.assert_allclose(np.array(result), expected, rtol=1e-4, atol=1e-5)

    # einsum is linear in each operand: the gradient's product with the operand is the value again.
    weight = np.random.default_rng(9).standard_normal(expected.shape).astype(np.float32)
    gradients = mx.grad(lambda xs: (mx.einsum(subscripts, *xs) * mx.array(weight)).sum())([mx.array(x) for x in arrays])
    for gradient, x in zip(gradients, arrays, strict=True):
        assert gradient.shape == x.shape
        np.testing.assert_allclose((np.array(gradient) * x).sum(), (expected * weight).sum(), rtol=1e-3, atol=1e-4)


def test_an_ellipsis_that_the_output_lacks_is_summed() -> None:
    (x,) = samples((2, 3, 4))
    np.testing.assert_allclose(np.array(einsum("...i->i", [x])), x.sum((0, 1)), rtol=1e-5)
    np.testing.assert_allclose(np.array(einsum("ij->...i", [x[0]])), x[0].sum(1), rtol=1e-5)


def test_attention_scores_are_one_contraction() -> None:
    q, k = samples((2, 4, 3, 5), (2, 6, 3, 5))
    scores = einsum("bihd,bjhd->bhij", [q, k])
    assert [node.primitive.name for node in ancestors([scores._node]) if node.inputs] == ["dot"]


def test_integers_may_be_multiplied_and_summed_but_not_contracted() -> None:
    i = mx.array([1, 2, 3])
    assert mx.einsum("i,i->i", i, i).tolist() == [1, 4, 9]
    assert mx.einsum("i,j->ij", i, i).dtype == mx.int32
    assert mx.einsum("i->", i.astype(mx.int8)).dtype == mx.int32
    assert mx.einsum("i,i->", i, i.astype(mx.float32)).item() == 14.0
    with pytest.raises(ValueError, match=r"\[einsum\] Only inexact types"):
        mx.einsum("i,i->", i, i)


@pytest.mark.parametrize(
    ("subscripts", "shapes", "message"),
    [
        ("ij,jk->iz", ((2, 3), (3, 2)), "'z', which no input has"),
        ("ij,jk->iki", ((2, 3), (3, 2)), "Repeat indices"),
        ("ij,jk->ik", ((2, 3),), "Number of operands, 1, does not match number of input subscripts, 2"),
        ("ij", ((2, 3), (2, 3)), "Number of operands, 2"),
        ("ijk", ((2, 3),), "Invalid number of subscripts 3 for input 0 with 2 dimensions"),
        ("...ijk", ((2, 3),), "Invalid number of subscripts 3"),
        ("ij,jk->ik", ((2, 3), (2, 2)), "Cannot broadcast dimension 0 of input 1"),
        ("ii", ((2, 3),), r"do not have the same size \(2 != 3\)"),
        ("i1->i", ((2, 3),), "must be letters, but got '1'"),
        ("i.j->i", ((2, 3),), r"must be letters, but got '\.'"),
        ("ij->->i", ((2, 3),), "must be letters, but got '-'"),
        ("...i...->i", ((2, 3),), "Only one ellipsis"),
        ("i", (), "At least one operand"),
    ],
)
@pytest.mark.parametrize("function", [mx.einsum, mx.einsum_path])
def test_errors(function: Any, subscripts: str, shapes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=rf"\[{function.__name__}\].*{message}"):
        function(subscripts, *map(mx.ones, shapes))


def test_type_errors() -> None:
    with pytest.raises(TypeError, match="subscripts must be a str"):
        mx.einsum(1, mx.ones((2,)))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"operands\[1\] must be an mx.array"):
        mx.einsum("i,i", mx.ones((2,)), 2.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("subscripts", "shapes", "path"),
    [
        ("ij->i", ((2, 3),), [(0,)]),
        ("ij,jk", ((2, 3), (3, 4)), [(0, 1)]),
        ("...ij,jk->...ik", ((2, 2, 3), (3, 4)), [(0, 1)]),
        ("ij,jk,kl->il", ((5, 8), (8, 3), (3, 7)), [(0, 1), (0, 1)]),
        ("ij,jk,kl->il", ((5, 8), (8, 10), (10, 7)), [(1, 2), (0, 1)]),
    ],
)
def test_paths(subscripts: str, shapes: Any, path: Any) -> None:
    found, description = mx.einsum_path(subscripts, *map(mx.ones, shapes))
    assert found == path
    assert "Complete contraction" in description


def test_a_chain_is_contracted_in_the_cheap_order() -> None:
    a, b, c = samples((50, 2), (2, 50), (50, 2))
    with mx.engine("numpy"):
        result = einsum("ij,jk,kl->il", [a, b, c])
    shapes = {node.shape for node in ancestors([result._node]) if node.primitive.name == "dot"}
    assert shapes == {(2, 2), (50, 2)}
    np.testing.assert_allclose(np.array(result), a @ (b @ c), rtol=1e-4, atol=1e-4)

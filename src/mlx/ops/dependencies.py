"""`depends`: values that are not available before others are."""

from __future__ import annotations

from collections.abc import Sequence

from mlx.arrays.array import array, wrap
from mlx.primitives.structure import tied

__all__ = ["depends"]


def depends(inputs: array | Sequence[array], dependencies: array | Sequence[array]) -> array | list[array]:
    """Return `inputs` as they are, but not computed before `dependencies` have been.

    Args:
        inputs: an array or several.
        dependencies: an array or several.

    Returns:
        An array, or a list of arrays, equal to `inputs`.

    Raises:
        TypeError: something else than arrays.

    Example:
        >>> import mlx.core as mx
        >>> mx.depends(mx.array(1.0), mx.array(2.0)).item()
        1.0
    """
    given = _listed(inputs, "inputs")
    before = _listed(dependencies, "dependencies")
    outputs = [wrap(node) for node in tied([x._node for x in (*given, *before)])[: len(given)]]
    return outputs[0] if isinstance(inputs, array) else outputs


def _listed(arrays: array | Sequence[array], argument: str) -> list[array]:
    listed = [arrays] if isinstance(arrays, array) else arrays
    if not isinstance(listed, list | tuple) or not all(isinstance(x, array) for x in listed):
        raise TypeError(f"[depends] {argument} must be an array or a sequence of arrays, got {type(arrays).__name__}")
    return list(listed)

"""`export_to_dot`: the recorded program behind arrays as a graph to be drawn."""

from __future__ import annotations

import os
from typing import Any

from mlx.arrays.array import array
from mlx.ir.render import as_dot
from mlx.transforms.trees import leaves


def export_to_dot(file: Any, *args: Any, **kwargs: Any) -> None:
    """Write the graph of what arrays wait for in the DOT language, which Graphviz draws.

    Args:
        file: a path, or a file open for writing text.
        *args: arrays, or trees of them.
        **kwargs: the same; an array that is given by keyword is shown with that name.

    Raises:
        ValueError: `file` is neither a path nor a file, or a leaf is no array.
        OSError: the file cannot be written.

    Example:
        >>> import mlx.core as mx
        >>> from io import StringIO
        >>> file = StringIO()
        >>> x = mx.array([1.0, 2.0])
        >>> mx.export_to_dot(file, x=x, y=mx.exp(x))
        >>> print(file.getvalue())
        digraph {
          { rank=source; "x"; }
          1 [label="Exp", shape=rectangle];
          "x" -> 1;
          { rank=sink; "y"; }
          1 -> "y";
        }
    """
    outputs = []
    for leaf in leaves((args, kwargs)):
        if not isinstance(leaf, array):
            raise ValueError(f"[export_to_dot] The arguments should contain arrays only, got {type(leaf).__name__}.")
        outputs.append(leaf._node)
    names = {value._node: name for name, value in kwargs.items() if isinstance(value, array)}
    text = as_dot(outputs, names) + "\n"
    if isinstance(file, str | os.PathLike):
        with open(file, "w", encoding="utf-8") as target:
            target.write(text)
    elif hasattr(file, "write"):
        file.write(text)
    else:
        raise ValueError(f"[export_to_dot] Expected a path or a file open for writing text, got {type(file).__name__}.")

"""Every public name of the API is there, callable as documented.

`tests/api/*.txt` list the names: `module.name`, for functions `module.name(parameters)` with the documented defaults,
for classes `class module.name` with their members indented below. A parameter may be more permissive than documented
(a positional-only one may have a name that can be passed), never less.
"""

import ast
import importlib
import inspect
import types
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import mlx.core as mx

LISTS = Path(__file__).parent / "api"

MODULES = (
    *("mlx.core.cuda", "mlx.core.distributed", "mlx.core.fast", "mlx.core.fft", "mlx.core.linalg", "mlx.core.metal"),
    *("mlx.core.random", "mlx.core", "mlx.nn.init", "mlx.nn.losses", "mlx.nn", "mlx.optimizers", "mlx.utils"),
)

# What this project has beyond the API, by module. Anything else that a module shows is a helper that leaked.
STANDARD = (  # the names of the Python array API standard
    "acos acosh asin asinh atan atan2 atanh bitwise_left_shift bitwise_right_shift cumulative_prod cumulative_sum "
    "empty empty_like pow"
)
BEYOND = {
    "mlx.core": {
        *STANDARD.split(),
        "engine",
        "export_to_jax",
        "export_to_stablehlo",
        "hessian",
        "hvp",
        "jacfwd",
        "jacrev",
        "linearize",
        "scan",
    },
    "mlx.core.random": {"state"},
    "mlx.optimizers": {"skip_nonfinite"},
}


class Name(NamedTuple):
    """One line of a list: its module, the path inside it, and how it is called (None: not a function)."""

    module: str
    path: str
    signature: str | None

    def __str__(self) -> str:
        return f"{self.module}.{self.path}"


def names(file: Path) -> Iterator[Name]:
    owner = ""
    for line in file.read_text().splitlines():
        if not line:
            continue
        text = line.strip().removeprefix("class ")
        path, parenthesis, rest = text.partition("(")
        if line.startswith(" "):
            path = owner + path
        elif line.startswith("class "):
            owner = path
        module = next(
            m for m in MODULES if path.startswith(m + ".") and "." not in path.removeprefix(m + ".").split(".")[0]
        )
        yield Name(module, path.removeprefix(module + "."), parenthesis + rest if parenthesis else None)


NAMES = [name for file in sorted(LISTS.glob("*.txt")) for name in names(file)]


def found(name: Name) -> object:
    value: object = importlib.import_module(name.module)
    for part in name.path.split("."):
        value = getattr(value, part)
    return value


def documented(signature: str) -> inspect.Signature:
    """The signature that a list writes, without annotations; defaults are looked up in `mx` (`float32`)."""
    arguments = ast.parse(f"def f{signature}: ...").body[0]
    assert isinstance(arguments, ast.FunctionDef)
    function: dict[str, object] = {}
    exec(compile(ast.Module([arguments], []), "<signature>", "exec"), dict(vars(mx)), function)
    made = function["f"]
    assert isinstance(made, types.FunctionType)
    return inspect.signature(made)


def bound(signature: inspect.Signature) -> inspect.Signature:
    """The signature of what is called, without the instance that it belongs to."""
    parameters = list(signature.parameters.values())
    if parameters and parameters[0].name in ("self", "_"):
        del parameters[0]
    return signature.replace(parameters=parameters)


def normalised(default: object) -> object:
    return tuple(default) if isinstance(default, list) else default


def complaints(ours: inspect.Signature, wanted: inspect.Signature) -> Iterator[str]:
    takes_any = {p.kind for p in ours.parameters.values()}
    positional = [p for p in ours.parameters.values() if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    for index, parameter in enumerate(wanted.parameters.values()):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            if parameter.kind not in takes_any:
                yield f"takes no {parameter}"
            continue
        by_position = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        by_keyword = parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        if by_position and parameter.VAR_POSITIONAL not in takes_any:
            at = positional[index].name if index < len(positional) else None
            if at != parameter.name and (by_keyword or at is None):
                yield f"parameter {index} is {at}, not {parameter.name}"
                continue
        mine = ours.parameters.get(parameter.name)
        if by_keyword and mine is None and parameter.VAR_KEYWORD not in takes_any:
            yield f"has no parameter {parameter.name}"
        if by_keyword and mine is not None and mine.kind is mine.POSITIONAL_ONLY:
            yield f"takes {parameter.name} by position only"
        is_optional = parameter.default not in (parameter.empty, ...)  # `...` stands for a function
        if mine is not None and is_optional and normalised(mine.default) != normalised(parameter.default):
            yield f"{parameter.name} is {mine.default!r} by default, not {parameter.default!r}"


def test_no_name_is_missing():
    missing = []
    for name in NAMES:
        try:
            found(name)
        except (AttributeError, ModuleNotFoundError):
            missing.append(str(name))
    assert missing == []


@pytest.mark.parametrize("name", [name for name in NAMES if name.signature is not None], ids=str)
def test_it_can_be_called_as_documented(name):
    # a function documented in several forms (`arange`) takes any arguments and tells the forms apart itself
    forms = [other for other in NAMES if other[:2] == name[:2]]
    ours = inspect.signature(found(name))
    if len(forms) > 1 and any(p.kind is p.VAR_POSITIONAL for p in ours.parameters.values()):
        return
    assert list(complaints(bound(ours), bound(documented(name.signature)))) == []


# The others are where functions are written, and import what they need for it.
@pytest.mark.parametrize("module", [m for m in MODULES if m not in ("mlx.nn.init", "mlx.nn.losses", "mlx.utils")])
def test_nothing_else_leaks_out(module):
    listed = {name.path.split(".")[0] for name in NAMES if name.module == module}
    shown = vars(importlib.import_module(module))
    names = {name for name in dir(importlib.import_module(module)) if not name.startswith("_")}
    helpers = {name for name in names if not isinstance(shown.get(name), types.ModuleType)}
    assert helpers - listed - BEYOND.get(module, set()) == set()

"""What tests of the runtime look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mlx.runtime.compiler import Compiled


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of the programs that are compiled from now on."""
    programs: list[str] = []
    compile_program: Callable[..., Any] = Compiled._compile

    def recorded(self: Any, arguments: Any) -> Any:
        executable = compile_program(self, arguments)
        programs.append(executable.as_text())
        return executable

    monkeypatch.setattr(Compiled, "_compile", recorded)
    return programs

"""What `mx.checkpoint` saves and costs: a deep network with and without it, each in a process of its own.

Prints, for each depth and engine, the memory that the gradient's program needs besides its inputs and results (as the
compiler reports it), the growth of the process while it runs, and the time of a gradient.

    python bench/checkpointing.py
"""

import argparse
import json
import subprocess
import sys
import time
from typing import Any

from rich.console import Console
from rich.table import Table

WIDTH, BATCH = 256, 4096
FORMS = ("undecorated", "compiled")


def block(x: Any, w: Any) -> Any:
    """A layer with several activations, which is what checkpoints are for."""
    import mlx.core as mx

    h = x @ w
    for _ in range(4):
        h = mx.tanh(h) * mx.sigmoid(h) + mx.sin(h)
    return x + h


def measure(engine: str, form: str, layers: int, checkpointed: bool) -> dict[str, float]:
    """One configuration, in this process."""
    import resource

    import numpy as np

    import mlx.core as mx
    from mlx.runtime import compiler

    temporary = [0]
    compile_plan = compiler.Compiled._compile

    def noted(self: Any, arguments: list[Any]) -> Any:
        executable = compile_plan(self, arguments)
        temporary.append(executable.memory_analysis().temp_size_in_bytes)
        return executable

    compiler.Compiled._compile = noted
    rng = np.random.default_rng(0)
    weights = [mx.array(rng.normal(size=(WIDTH, WIDTH)).astype(np.float32) * 0.05) for _ in range(layers)]
    x = mx.array(rng.normal(size=(BATCH, WIDTH)).astype(np.float32))
    layer = mx.checkpoint(block) if checkpointed else block

    def loss(weights: list[Any], x: Any) -> Any:
        for w in weights:
            x = layer(x, w)
        return (x * x).mean()

    gradient = mx.grad(loss)
    if form == "compiled":
        gradient = mx.compile(gradient)
    with mx.engine(engine):  # type: ignore[arg-type]
        mx.eval(weights, x, loss([w * 0 for w in weights[:1]], x[:1]))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        mx.eval(gradient(weights, x))
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        seconds = []
        for _ in range(5):
            start = time.perf_counter()
            mx.eval(gradient(weights, x))
            seconds.append(time.perf_counter() - start)
    return {"temporary": max(temporary), "growth": (after - before) * 1024, "seconds": min(seconds)}


def main() -> None:
    """Run every configuration and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, nargs="+", default=[4, 8, 16])
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        engine, form, layers, checkpointed = args.one
        print(json.dumps(measure(engine, form, int(layers), checkpointed == "True")))
        return
    table = Table("layers", "engine", "form", "checkpoint", "program's MB", "process grows by MB", "ms a gradient")
    for layers in args.layers:
        for engine in ("xla", "numpy"):
            for form in FORMS:
                for checkpointed in (False, True):
                    command = [sys.executable, __file__, "--one", engine, form, str(layers), str(checkpointed)]
                    done = subprocess.run(command, capture_output=True, text=True, check=True)
                    found = json.loads(done.stdout.splitlines()[-1])
                    mega = f"{found['temporary'] / 1e6:.0f}" if engine == "xla" else ""
                    table.add_row(
                        str(layers),
                        engine,
                        form,
                        "yes" if checkpointed else "no",
                        mega,
                        f"{found['growth'] / 1e6:.0f}",
                        f"{found['seconds'] * 1e3:.0f}",
                    )
        table.add_section()
    Console(width=120).print(table)


if __name__ == "__main__":
    main()

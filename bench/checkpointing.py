"""What a deep network's step takes of memory, and what lowers or raises it. Each figure is a process of its own.

Prints the largest size of the process for a training step (value and gradient, then AdamW) of a deep network: plain,
with `mx.checkpoint` around each layer, and with the parameters before the step held, so that they cannot give their
memory to the new ones; and for a pass through its layers that drops each activation or holds it. With a Python that
has PyTorch, the same there.

    python bench/checkpointing.py
    python bench/checkpointing.py --torch PATH --layers 24 48
    python bench/checkpointing.py --engines              # gradients alone, by engine and form

The last prints the memory that the gradient's program needs besides its inputs and results (as the compiler reports
it), the growth of the process while it runs, and the time of a gradient.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from common import peak_bytes

WIDTH, BATCH = 256, 4096
FORMS = ("undecorated", "compiled")
STEP_WIDTH, STEP_BATCH = 512, 512  # of the deep network's steps: an activation is as large as a layer's weights
STEPS = 4
WORK = {
    "idle": "parameters, before any step",
    "plain": "training step",
    "checkpoint": "training step, each layer under checkpoint",
    "held": "training step, what was before it held",
    "dropped": "pass, each activation dropped",
    "kept": "pass, each activation held",
}


def initial_values(layers: int) -> tuple[list[Any], Any]:
    """Weights and a batch, as NumPy arrays."""
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal((STEP_WIDTH, STEP_WIDTH), dtype=np.float32) * 0.02 for _ in range(layers)]
    return weights, rng.standard_normal((STEP_BATCH, STEP_WIDTH), dtype=np.float32)


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

    import mlx.core as mx
    from mlx.runtime import compiler

    temporary = [0]
    compile_plan: Any = compiler.Compiled._compile

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


def run_ours(work: str, layers: int) -> float:
    """Run the work in this process; the seconds of its last step."""
    import mlx.core as mx
    import mlx.optimizers as optim
    from mlx.utils import tree_map

    initial, batch = initial_values(layers)
    weights, x = [mx.array(w) for w in initial], mx.array(batch)
    del initial, batch
    mx.eval(mx.exp(mx.ones((1000, 1000))))  # starts the runtime
    layer = mx.checkpoint(block) if work == "checkpoint" else block
    optimizer = optim.AdamW(1e-4)

    def loss(weights: list[Any]) -> Any:
        y = x
        for w in weights:
            y = layer(y, w)
        return (y * y).mean()

    seconds = 0.0
    held: Any = None
    for _ in range(0 if work == "idle" else STEPS):
        start = time.perf_counter()
        if work in ("dropped", "kept"):
            held, y = [], x
            for w in weights:
                y = layer(y, w)
                mx.eval(y)
                if work == "kept":
                    held.append(y)
        else:
            if work == "held":
                held = weights, tree_map(lambda entry: entry, optimizer.state)
            _, gradients = mx.value_and_grad(loss)(weights)
            weights = optimizer.update(weights, gradients)
            del gradients
            mx.eval(weights, optimizer.state)
        seconds = time.perf_counter() - start
    return seconds


def run_torch(work: str, layers: int) -> float:
    """The same in PyTorch."""
    import torch
    from torch.utils.checkpoint import checkpoint

    initial, batch = initial_values(layers)
    weights, x = [torch.from_numpy(w).requires_grad_() for w in initial], torch.from_numpy(batch)
    optimizer = torch.optim.AdamW(weights, lr=1e-4)

    def layer(x: Any, w: Any) -> Any:
        h = x @ w
        for _ in range(4):
            h = torch.tanh(h) * torch.sigmoid(h) + torch.sin(h)
        return x + h

    seconds = 0.0
    for _ in range(0 if work == "idle" else STEPS):
        start = time.perf_counter()
        held, y = [], x
        if work in ("dropped", "kept"):
            with torch.no_grad():
                for w in weights:
                    y = layer(y, w)
                    if work == "kept":
                        held.append(y)
        else:
            for w in weights:
                y = checkpoint(layer, y, w, use_reentrant=False) if work == "checkpoint" else layer(y, w)
            loss = (y * y).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        seconds = time.perf_counter() - start
    return seconds


def print_steps(depths: list[int], torch: str | None) -> None:
    """The table of training steps and passes."""
    from rich.console import Console
    from rich.table import Table

    peers = {"mlx-xla": sys.executable} | ({"PyTorch": torch} if torch else {})
    table = Table("layers", "work", *[f"{peer}, {column}" for peer in peers for column in ("peak MB", "ms")])
    for layers in depths:
        for work, name in WORK.items():
            cells = []
            for peer, python in peers.items():
                if peer == "PyTorch" and work == "held":  # it updates in place
                    cells += ["", ""]
                    continue
                command = [python, Path(__file__).name, "--one-step", peer, work, str(layers)]
                done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
                found = json.loads(done.stdout.splitlines()[-1])
                cells += [f"{found['peak_bytes'] / 1e6:,.0f}", f"{found['seconds'] * 1e3:.0f}"]
            table.add_row(str(layers), name, *cells)
        table.add_section()
    Console(width=120).print(table)


def print_engines(depths: list[int]) -> None:
    """The table of gradients by engine and form."""
    from rich.console import Console
    from rich.table import Table

    table = Table("layers", "engine", "form", "checkpoint", "program's MB", "process grows by MB", "ms a gradient")
    for layers in depths:
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


def main() -> None:
    """Run every configuration and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, nargs="+", help="depths (default 48, by engine 4, 8 and 16)")
    parser.add_argument("--torch", metavar="PATH", help="a Python that has PyTorch, to measure it beside")
    parser.add_argument("--engines", action="store_true", help="gradients alone, by engine and form")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--one-step", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        engine, form, layers, checkpointed = args.one
        print(json.dumps(measure(engine, form, int(layers), checkpointed == "True")))
    elif args.one_step:
        peer, work, layers = args.one_step
        seconds = (run_torch if peer == "PyTorch" else run_ours)(work, int(layers))
        print(json.dumps({"seconds": seconds, "peak_bytes": peak_bytes()}))
    elif args.engines:
        print_engines(args.layers or [4, 8, 16])
    else:
        print_steps(args.layers or [48], args.torch)


if __name__ == "__main__":
    main()

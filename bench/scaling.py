"""How the cost of a training step grows with batch, depth, sequence, parameters and loops: a table and a plot.

Each point is a process of its own: the time of the first step, which compiles, the median of those that follow, and the
memory of the process. The step is the documented one: value and gradient, then AdamW, undecorated.

    python bench/scaling.py                                   # prints the table
    python bench/scaling.py --only depth loop --plot growth.png --json growth.json
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from common import peak_bytes

SECONDS = 2.0  # to spend on the steps after the first
TIME_LIMIT = 600

POINTS = {
    "batch": (1, 4, 16, 64, 256, 1024, 4096),
    "depth": (1, 3, 10, 30, 100, 300, 1000),
    "sequence": (64, 128, 256, 512, 1024, 2048, 4096),
    "parameters": (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000),
    "loop": (10, 50, 200, 1000, 5000),
    "scan": (10, 50, 200, 1000, 5000),
}
WHAT = {
    "batch": "MLP 784-512-512-10, by examples",
    "depth": "MLP of width 64, batch 64, by layers",
    "sequence": "transformer, 2 layers of 128, one sequence, by tokens",
    "parameters": "MLP of two hidden layers, batch 16, by parameters",
    "loop": "recurrence of width 16 unrolled in Python, batch 8, by steps",
    "scan": "the same recurrence with mx.scan, by steps",
}

Loss = Callable[[Any], Any]


def mlp(sizes: list[int], batch: int) -> tuple[Any, Loss]:
    """A network of such sizes and its mean squared error on random data."""
    import mlx.core as mx
    import mlx.nn as nn

    layers: list[Any] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    net = nn.Sequential(*layers[:-1])
    rng = np.random.default_rng(0)
    x = mx.array(rng.standard_normal((batch, sizes[0]), dtype=np.float32))
    y = mx.array(rng.standard_normal((batch, sizes[-1]), dtype=np.float32))
    return net.parameters(), lambda params: mx.mean((net.apply(params, x) - y) ** 2)


def sequence(length: int) -> tuple[Any, Loss]:
    """A transformer on one sequence of random features."""
    import mlx.core as mx
    import mlx.nn as nn

    net = nn.TransformerEncoder(2, 128, 4, norm_first=True)
    x = mx.array(np.random.default_rng(0).standard_normal((1, length, 128), dtype=np.float32))
    return net.parameters(), lambda params: mx.mean(net.apply(params, x, None) ** 2)


def recurrence(steps: int, scanned: bool) -> tuple[Any, Loss]:
    """h <- tanh(h W + x_t), the mean square of the last h."""
    import mlx.core as mx

    rng = np.random.default_rng(0)
    params = {"weight": mx.array(rng.standard_normal((16, 16), dtype=np.float32) * 0.3)}
    inputs = mx.array(rng.standard_normal((steps, 8, 16), dtype=np.float32))

    def loss(params: Any) -> Any:
        h = mx.zeros((8, 16))
        if scanned:
            h, _ = mx.scan(lambda h, x: (mx.tanh(h @ params["weight"] + x), None), h, inputs)
        else:
            for t in range(steps):
                h = mx.tanh(h @ params["weight"] + inputs[t])
        return mx.mean(h**2)

    return params, loss


def workload(axis: str, size: int) -> tuple[Any, Loss]:
    """Parameters, and the loss as a function of them."""
    if axis == "batch":
        return mlp([784, 512, 512, 10], size)
    if axis == "depth":
        return mlp([64] * (size + 1), 64)
    if axis == "sequence":
        return sequence(size)
    if axis == "parameters":
        width = round((size / 3) ** 0.5)
        return mlp([width] * 4, 16)
    return recurrence(size, scanned=axis == "scan")


def measure(axis: str, size: int) -> dict[str, float]:
    """One point, in this process."""
    import mlx.core as mx
    import mlx.optimizers as optim

    mx.eval(mx.exp(mx.ones((1000, 1000))))  # the runtime's start is not what grows
    params, loss = workload(axis, size)
    mx.eval(params)
    optimizer = optim.AdamW(1e-3)

    def step() -> None:
        nonlocal params
        _, grads = mx.value_and_grad(loss)(params)
        params = optimizer.update(params, grads)
        mx.eval(params)

    start = time.perf_counter()
    step()
    first = time.perf_counter() - start
    for _ in range(5):  # the program is compiled once more when it is known which memory it may overwrite
        step()
    seconds: list[float] = []
    while len(seconds) < 3 or sum(seconds) < SECONDS:
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return {"size": size, "first": first, "step": statistics.median(seconds), "peak_bytes": peak_bytes()}


def run(axis: str, size: int) -> dict[str, float]:
    """One point, in a process of its own; in place of its times the exit status or the time limit where it fails."""
    command = [sys.executable, __file__, "--one", axis, str(size)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        return {"size": size, "failed": TIME_LIMIT}
    if done.returncode:
        print(*done.stderr.strip().splitlines()[-1:], file=sys.stderr)  # nothing where the system ended it
        return {"size": size, "failed": done.returncode}
    return json.loads(done.stdout.splitlines()[-1])


def plot(results: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Step and first step against the size, a panel for each axis, both scales logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(2, (len(results) + 1) // 2, figsize=(12, 7), layout="constrained", squeeze=False)
    for panel, (axis, points) in zip(panels.flat, results.items(), strict=False):
        there = [point for point in points if "failed" not in point]
        sizes = [point["size"] for point in there]
        panel.loglog(sizes, [point["first"] for point in there], "o--", label="first step, compilation included")
        panel.loglog(sizes, [point["step"] for point in there], "o-", label="step")
        panel.set(title=WHAT[axis], xlabel=axis, ylabel="seconds")
        panel.title.set_fontsize("small")
        panel.grid(alpha=0.3)
    panels.flat[0].legend(fontsize="small")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure every point, print the table, write the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=POINTS, default=[*POINTS], metavar="AXIS", help=", ".join(POINTS))
    parser.add_argument("--plot", type=Path, help="also draw the growth into this file (needs matplotlib)")
    parser.add_argument("--json", type=Path, help="also write every point to this file")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one[0], int(args.one[1]))))
        return
    results: dict[str, list[dict[str, float]]] = {axis: [] for axis in args.only}
    points = [(axis, size) for axis in args.only for size in POINTS[axis]]
    for axis, size in track(points, "measuring", console=Console(stderr=True)):
        results[axis].append(run(axis, size))

    table = Table("axis", "size", "first step", "step", "times the step before", "memory")
    for axis, found in results.items():
        before = None
        for point in found:
            if "failed" in point:
                table.add_row(axis, f"{point['size']:,}", "failed")
                continue
            growth = "" if before is None else f"{point['step'] / before['step']:.1f}"
            growth += "" if before is None else f" for {point['size'] / before['size']:.1f} times the size"
            table.add_row(
                axis,
                f"{point['size']:,}",
                f"{point['first']:.2f} s",
                f"{point['step'] * 1e3:.3g} ms",
                growth,
                f"{point['peak_bytes'] / 1e6:,.0f} MB",
            )
            before = point
        table.add_section()
    Console(width=120).print(table)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))
    if args.plot:
        plot(results, args.plot)


if __name__ == "__main__":
    main()

"""Runs the same work in mlx-xla, MLX, JAX and PyTorch and prints medians and ratios in one table.

Each peer has a virtual environment of its own under .bench/. Each measurement is a process of its own; the
peers take turns, so that what else happens on the machine falls on all of them alike. A ratio is a time
divided by that of mlx-xla's undecorated form in the same run: above 1, mlx-xla is the faster.

    python bench/run.py --only documented mlp --peers ours torch --repeats 5
    python bench/run.py --python ours=python3 --source     # the checkout as it is, in an environment of yours
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import venv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
ENVIRONMENTS = ROOT / ".bench"
TIME_LIMIT = 300


@dataclass(frozen=True)
class Peer:
    """A framework: its program, what to install and to import, and its variants by row of the table."""

    program: str
    requirements: tuple[str, ...]
    imports: str
    variants: dict[str, str]


MLX_IMPORTS = "import mlx.core, mlx.nn, mlx.optimizers"
PEERS = {
    "ours": Peer(
        "peer_mlx.py",
        (str(ROOT),),
        MLX_IMPORTS,
        {
            "undecorated": "functional",
            "module form": "module",
            "compiled": "pipelined",
            "compiled, each step waited for": "compiled",
        },
    ),
    "mlx": Peer(
        "peer_mlx.py",
        ("mlx[cpu]==0.32.4", "numpy"),
        MLX_IMPORTS,
        {"undecorated": "module", "compiled": "compiled"},
    ),
    "jax": Peer(
        "peer_jax.py",
        ("jax", "optax"),
        "import jax, jax.numpy, optax",
        {"undecorated": "undecorated", "compiled": "jitted", "compiled, each step waited for": "waited"},
    ),
    "torch": Peer(
        "peer_torch.py",
        ("torch==2.13.0", "numpy"),
        "import torch",
        {"undecorated": "eager", "compiled": "compiled"},
    ),
}
FORMS = ("undecorated", "module form", "compiled", "compiled, each step waited for")
WORK = {
    "documented": "documented MLP step, 32-64-10, batch 128",
    "thousand": "a thousand documented steps, from the first",
    "process": "the same, process start to end",
    "mlp": "MLP 784-512-512-10, batch 256",
    "cnn": "CNN, 3x3 convolutions of 32 and 64, batch 64 of 28x28",
    "transformer": "transformer, 2 layers of 128, 8x128 tokens",
    "chain": "gradient of 20 elementwise operations, 1e6 numbers",
    "first_step": "cold start: process start to first documented step",
    "import": "import",
    "memory": "peak memory, MLP 784",
    "steady": "the same, once its steps are warm",
    "memory_transformer": "peak memory, transformer",
    "steady_transformer": "the same, once its steps are warm",
    "overhead": "recording, planning and calling",
}
TIMED = ("documented", "thousand", "mlp", "cnn", "transformer", "chain", "first_step")

MEMORY = {"mlp": ("memory", "steady"), "transformer": ("memory_transformer", "steady_transformer")}
DERIVED = {**MEMORY, "thousand": ("process",)}  # what is measured along with a workload

Results = dict[tuple[str, str, str], list[float]]  # by (work, form, peer): seconds, or bytes for memory


class Bench:
    """Runs the peers' programs and keeps what they print."""

    def __init__(self, pythons: dict[str, str], source: bool, seconds: float) -> None:
        self.pythons = pythons
        self.source = source
        self.seconds = seconds
        self.results: Results = defaultdict(list)
        self.versions: dict[str, str] = {}
        self.failures: dict[str, str] = {}

    def run(self, peer: str, *arguments: str) -> str | None:
        """What the peer's Python prints; None, with the reason kept, where it fails."""
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        if peer == "ours" and self.source:
            env["PYTHONPATH"] = str(ROOT / "src")
        command = [self.pythons[peer], *arguments]
        try:
            done = subprocess.run(command, env=env, cwd=HERE, capture_output=True, text=True, timeout=TIME_LIMIT)
        except subprocess.TimeoutExpired:
            self.failures[f"{peer} {' '.join(arguments)}"] = f"not done in {TIME_LIMIT} s"
            return None
        if done.returncode:
            self.failures[f"{peer} {' '.join(arguments)}"] = (done.stderr.strip() or "no message").splitlines()[-1]
            return None
        return done.stdout

    def measure(self, work: str, form: str, peer: str) -> None:
        """One process: one workload in one form of one peer."""
        program, variant = PEERS[peer].program, PEERS[peer].variants[form]
        started = time.time()
        printed = self.run(peer, program, work, f"--variant={variant}", f"--seconds={self.seconds}")
        if printed is None:
            return
        report = json.loads(printed.splitlines()[-1])
        self.versions[peer] = report["version"]
        seconds = [report["done_at"] - started] if work == "first_step" else report["seconds"]
        self.results[work, form, peer] += seconds
        if work in MEMORY:
            peak, steady = MEMORY[work]
            self.results[peak, form, peer].append(report["peak_bytes"])
            if report["steady_bytes"]:
                self.results[steady, form, peer].append(report["steady_bytes"])
        elif work == "thousand":
            self.results["process", form, peer].append(report["done_at"] - started)

    def measure_import(self, peer: str) -> None:
        """Seconds to import what a training program imports."""
        code = f"import time; t = time.perf_counter(); {PEERS[peer].imports}; print(time.perf_counter() - t)"
        printed = self.run(peer, "-c", code)
        if printed is not None:
            self.results["import", "undecorated", peer].append(float(printed))


def build(peer: str) -> str:
    """The Python of the peer's environment, made if it is not there yet; ours is reinstalled each time."""
    folder = ENVIRONMENTS / peer
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / "installed"
    wanted = "\n".join(PEERS[peer].requirements)
    install = [str(python), "-m", "pip", "install", "--quiet"]
    if not stamp.exists() or stamp.read_text() != wanted:
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([*install, *PEERS[peer].requirements], check=True)
        stamp.write_text(wanted)
    elif peer == "ours":
        subprocess.run([*install, "--no-deps", "--force-reinstall", *PEERS[peer].requirements], check=True)
    return str(python)


def schedule(works: list[str], peers: list[str], repeats: int) -> list[tuple[str, str, str]]:
    """The measurements in order: within one repeat of one workload, the peers take turns."""
    return [
        (work, form, peer)
        for work in works
        for _ in range(repeats)
        for form in FORMS
        for peer in peers
        if form in PEERS[peer].variants
    ]


def readable(work: str, value: float) -> str:
    """A time or a size with three digits and its unit."""
    if work.startswith(("memory", "steady")):
        return f"{value / 1e6:,.0f} MB"
    unit, factor = ("s", 1.0) if value >= 1 else ("ms", 1e3) if value >= 1e-3 else ("µs", 1e6)
    return f"{value * factor:#.3g} {unit}".replace(". ", " ")


def table(results: Results, works: list[str], peers: list[str]) -> Table:
    """Medians by work, form and peer, each with its ratio to ours, undecorated."""
    drawn = Table("work", "form", title="median, and how many times that of ours undecorated", title_style="")
    for peer in peers:
        drawn.add_column(peer, justify="right", no_wrap=True)
    for work in works:
        reference = statistics.median(results.get((work, "undecorated", "ours")) or [0.0])
        name = WORK[work]
        for form in FORMS:
            cells = []
            for peer in peers:
                values = results.get((work, form, peer))
                cell = readable(work, statistics.median(values)) if values else ""
                if values and reference:
                    cell += f" {statistics.median(values) / reference:7.2f}"
                cells.append(cell)
            if any(cells):
                drawn.add_row(name, form, *cells)
                name = ""
        drawn.add_section()
    return drawn


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="pip takes PyTorch's CPU build where PIP_EXTRA_INDEX_URL or PIP_FIND_LINKS names one.",
    )
    parser.add_argument("--only", nargs="+", choices=WORK, default=[*WORK], metavar="WORK", help=", ".join(WORK))
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=[*PEERS], metavar="PEER", help=", ".join(PEERS))
    parser.add_argument("--repeats", type=int, default=3, help="processes for each measurement (default 3)")
    parser.add_argument("--seconds", type=float, default=1.5, help="timed part of each process (default 1.5)")
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="PEER=PATH",
        help="use this Python for a peer instead of building an environment",
    )
    parser.add_argument("--source", action="store_true", help="run ours from src/ instead of the installed package")
    parser.add_argument("--no-build", action="store_true", help="use the environments under .bench/ as they are")
    parser.add_argument("--json", type=Path, help="also write every single measurement to this file")
    return parser.parse_args(argv)


def interpreters(args: argparse.Namespace) -> dict[str, str]:
    """The Python of each peer: the one given, or that of its environment."""
    given = dict(entry.split("=", 1) for entry in args.python)
    pythons = {}
    for peer in args.peers:
        if peer in given:
            pythons[peer] = given[peer]
        elif args.no_build:
            pythons[peer] = str(ENVIRONMENTS / peer / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
        else:
            print(f"building the environment of {peer}", file=sys.stderr)
            pythons[peer] = build(peer)
    return pythons


def main(argv: list[str] | None = None) -> int:
    """Measure and print; 1 if a measurement failed."""
    args = parse(argv)
    bench = Bench(interpreters(args), args.source, args.seconds)
    timed = [work for work in TIMED if work in args.only or set(DERIVED.get(work, ())) & {*args.only}]
    for work, form, peer in track(schedule(timed, args.peers, args.repeats), "measuring", console=Console(stderr=True)):
        bench.measure(work, form, peer)
    if "import" in args.only:
        for _ in range(args.repeats):
            for peer in args.peers:
                bench.measure_import(peer)

    console = Console(width=max(Console().width, 150))
    console.print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    console.print("; ".join(f"{peer}: {version}" for peer, version in bench.versions.items()))
    console.print(table(bench.results, args.only, args.peers))
    if "overhead" in args.only and "ours" in args.peers:
        console.print((bench.run("ours", "ours.py") or "").rstrip(), highlight=False)
    for what, why in bench.failures.items():
        console.print(f"failed: {what}: {why}", highlight=False, markup=False, soft_wrap=True)
    if args.json:
        rows = [{"work": w, "form": f, "peer": p, "values": v} for (w, f, p), v in bench.results.items()]
        args.json.write_text(json.dumps({"versions": bench.versions, "results": rows}, indent=1))
    return int(bool(bench.failures))


if __name__ == "__main__":
    raise SystemExit(main())

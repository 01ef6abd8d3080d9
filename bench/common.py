"""What every peer's program shares: sizes of the work, clock and report. No framework is imported here.

A peer's program `peer_X.py` gives, for each workload and variant, a `Work`: a step to repeat and a `finish`
that waits until everything asked for has been computed. It prints one line of JSON.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCUMENTED = {"inputs": 32, "hidden": 64, "outputs": 10, "batch": 128}
MLP = {"inputs": 784, "hidden": 512, "classes": 10, "batch": 256}
CNN = {"side": 28, "channels": (32, 64), "classes": 10, "batch": 64}
TRANSFORMER = {"vocabulary": 96, "width": 128, "heads": 4, "layers": 2, "batch": 8, "length": 128}
CHAIN_SIZE = 1_000_000
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.01

BLOCKS = 5
THOUSAND = 1000


@dataclass
class Work:
    """One workload of one peer, ready to run."""

    step: Callable[[], Any]
    finish: Callable[[], Any]


Maker = Callable[[str], Work]


def elementwise_chain(m: Any, x: Any) -> Any:
    """Twenty mixed elementwise operations on x, with the names that NumPy-like modules `m` share."""
    y = m.sin(x) * 0.5 + x
    y = m.tanh(y)
    y = m.sqrt(y * y + 1.0)
    y = m.exp(-m.log(y))
    y = m.cos(y) - x * 0.1
    y = m.abs(y) + 0.5
    y = y / (m.square(x) + 1.0)
    return m.log1p(y) * y


def time_blocks(work: Work, seconds: float) -> list[float]:
    """Seconds a step, in each of a few blocks that together take about the time given."""
    start = time.perf_counter()
    work.step()
    work.finish()
    once = time.perf_counter() - start
    steps = max(1, round(seconds / BLOCKS / once))
    blocks = []
    for _ in range(BLOCKS):
        start = time.perf_counter()
        for _ in range(steps):
            work.step()
        work.finish()
        blocks.append((time.perf_counter() - start) / steps)
    return blocks


def warm_up(work: Work) -> None:
    """Ten steps, or fewer (at least three) where ten would take more than five seconds."""
    start = time.perf_counter()
    for done in range(1, 11):
        work.step()
        work.finish()
        if done >= 3 and time.perf_counter() - start > 5:
            return


def time_thousand(work: Work) -> list[float]:
    """Seconds for a thousand steps from the first, compilation included."""
    start = time.perf_counter()
    for _ in range(THOUSAND):
        work.step()
    work.finish()
    return [time.perf_counter() - start]


def peak_bytes() -> int:
    """The largest resident size of this process so far; 0 where the system does not tell."""
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def forget_peak() -> bool:
    """Let `peak_bytes` tell of what comes from now on; whether the system can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def run_peer(workloads: dict[str, Maker], variants: tuple[str, ...], version: str) -> None:
    """The command line of a peer's program: run one workload and print what came out as JSON.

    `first_step` finishes a single step of `documented`; `thousand` runs a thousand of them from a fresh start. All
    report the wall-clock time at which they were done.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("workload", choices=[*workloads, "first_step", "thousand"])
    parser.add_argument("--variant", choices=variants, default=variants[0])
    parser.add_argument("--seconds", type=float, default=1.5, help="time to spend on the timed blocks")
    args = parser.parse_args()

    name = "documented" if args.workload in ("first_step", "thousand") else args.workload
    work = workloads[name](args.variant)
    report: dict[str, Any] = {"workload": args.workload, "variant": args.variant, "version": version}
    warm_peak = 0
    if args.workload == "first_step":
        work.step()
        work.finish()
    elif args.workload == "thousand":
        report["seconds"] = time_thousand(work)
    else:
        warm_up(work)
        warm_peak = peak_bytes()
        forgotten = forget_peak()
        report["seconds"] = time_blocks(work, args.seconds)
        report["steady_bytes"] = peak_bytes() if forgotten else 0
    report["done_at"] = time.time()
    report["peak_bytes"] = max(warm_peak, peak_bytes())
    print(json.dumps(report))

"""What shapes that change with every step cost: the same work at shapes that vary and at a fixed one of their mean.

Each figure is a process of its own: the first hundred steps, which compile, then the mean of the steps that follow.

    python bench/shapes.py                                          # mlx-xla alone
    python bench/shapes.py --python torch=PATH --python jax=PATH    # and peers, from environments that have them
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from shapes_common import FIRST

HERE = Path(__file__).parent
WORK = {
    "transformer": "training step, transformer of 2 layers of 128, 8 sequences of 16 to 256 tokens",
    "recurrent": "training step, LSTM of 128, 8 sequences of 16 to 256 tokens",
    "unrolled": "training step, recurrence of 128 that Python unrolls, 8 sequences of 8 to 64 tokens",
    "batches": "training step, MLP 784-512-512-10, nine batches of 256 and one of 96",
    "decoding": "a token, 4 layers of 256, a cache that grows from 128 to 512 by concatenation",
}
FORMS = {"ours": ("undecorated", "compiled", "shapeless"), "torch": ("eager",), "jax": ("jitted",)}
HAS_WORK = {"jax": ("transformer", "batches")}
TIME_LIMIT = 300


def measure(python: str, peer: str, work: str, form: str, shapes: str, seconds: float) -> dict[str, Any] | None:
    """One process; None, after a word of why, where it fails."""
    command = [python, f"shapes_{peer}.py", work, form, shapes, f"--seconds={seconds}"]
    try:
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        print(f"{peer} {work} {form}: not done in {TIME_LIMIT} s", file=sys.stderr)
        return None
    if done.returncode:
        print(f"{peer} {work} {form}:", *done.stderr.strip().splitlines()[-1:], file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def first_steps(report: dict[str, Any]) -> str:
    """How long the first steps took, and how many of them there was time for."""
    number = "" if report["first_steps"] == FIRST else f" for {report['first_steps']}"
    return f"{report['first_seconds']:.1f} s{number}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=WORK, default=[*WORK], metavar="WORK", help=", ".join(WORK))
    parser.add_argument("--forms", nargs="+", choices=FORMS["ours"], default=[*FORMS["ours"]], help="of mlx-xla")
    parser.add_argument("--python", action="append", default=[], metavar="PEER=PATH", help="the Python of torch or jax")
    parser.add_argument("--seconds", type=float, default=6.0, help="timed part of each process (default 6)")
    args = parser.parse_args()
    pythons = {"ours": sys.executable, **dict(entry.split("=", 1) for entry in args.python)}
    columns = ("fixed", "varying", "ratio", f"first {FIRST} steps, fixed", "varying", "compiled, fixed", "varying")
    table = Table("work", "form", *columns)
    for work in track(args.only, "measuring", console=Console(stderr=True)):
        name = WORK[work]
        for peer, python in pythons.items():
            if work not in HAS_WORK.get(peer, WORK):
                continue
            for form in args.forms if peer == "ours" else FORMS[peer]:
                reports = [measure(python, peer, work, form, shapes, args.seconds) for shapes in ("fixed", "varying")]
                fixed, varying = reports
                if fixed is None or varying is None:
                    continue
                table.add_row(
                    name,
                    form,
                    f"{fixed['step'] * 1e3:.3g} ms",
                    f"{varying['step'] * 1e3:.3g} ms",
                    f"{varying['step'] / fixed['step']:.2f}",
                    first_steps(fixed),
                    first_steps(varying),
                    *(f"{report['first_compilations']} + {report['compilations']}" for report in (fixed, varying)),
                )
                name = ""
        table.add_section()
    Console(width=150).print(table)


if __name__ == "__main__":
    main()

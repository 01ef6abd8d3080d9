"""What the programs of `shapes.py` share: the work, how its shapes change, clock and report. No framework here."""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

FIRST = 100  # steps before the steady state
VOCABULARY, WIDTH, HEADS, LAYERS = 96, 128, 4, 2
BATCH = 8
LENGTHS, LENGTH = (16, 256), 136  # tokens of a batch of sequences: at random, and their mean
TRANSFORMER = {"vocabulary": VOCABULARY, "width": WIDTH, "heads": HEADS, "layers": LAYERS, "length": LENGTHS[1]}
UNROLLED, STEPS = (8, 64), 36  # the same of a loop in Python
MLP_BATCH, LAST_BATCH, EPOCH = 256, 96, 10  # every tenth batch is a smaller one
DECODER_WIDTH, DECODER_LAYERS = 256, 4
CACHE, CACHE_LENGTH = (128, 512), 320  # tokens before it starts anew, and their mean


@dataclass
class Work:
    """A step to repeat, which returns when it is computed."""

    step: Callable[[], Any]


def token_batches(varying: bool, lengths: tuple[int, int] = LENGTHS, fixed: int = LENGTH) -> Iterator[Any]:
    """Tokens and the tokens after them, two arrays of shape (BATCH, length)."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(VOCABULARY, size=(BATCH, lengths[1] + 1), dtype=np.int32)
    while True:
        length = int(rng.integers(lengths[0], lengths[1] + 1)) if varying else fixed
        yield tokens[:, :length], tokens[:, 1 : length + 1]


def image_batches(varying: bool) -> Iterator[Any]:
    """Flat images and their classes; where they vary, the last batch of each epoch is smaller."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal((MLP_BATCH, 784), dtype=np.float32)
    classes = rng.integers(10, size=MLP_BATCH, dtype=np.int32)
    while True:
        for number in range(EPOCH):
            size = LAST_BATCH if varying and number == EPOCH - 1 else MLP_BATCH
            yield images[:size], classes[:size]


def run(makers: dict[str, Callable[[str, bool], Work]], compilations: Callable[[], int]) -> None:
    """The command line of a peer's program: one work in one form, and what came out as JSON.

    The first steps end early where they take longer than the limit; so do those of the steady state.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=makers)
    parser.add_argument("form")
    parser.add_argument("shapes", choices=("fixed", "varying"))
    parser.add_argument("--limit", type=float, default=40.0, help="seconds for the first steps")
    parser.add_argument("--seconds", type=float, default=6.0, help="for the steps after them")
    args = parser.parse_args()
    work = makers[args.work](args.form, args.shapes == "varying")
    before = compilations()
    start = time.perf_counter()
    first = 0
    while first < FIRST and time.perf_counter() - start < args.limit:
        work.step()
        first += 1
    then = time.perf_counter()
    compiled = compilations() - before
    steps = 0
    while steps < 3 or time.perf_counter() - then < args.seconds:
        work.step()
        steps += 1
    report = {
        "first_steps": first,
        "first_seconds": then - start,
        "first_compilations": compiled,
        "step": (time.perf_counter() - then) / steps,
        "steps": steps,
        "compilations": compilations() - before - compiled,
    }
    print(json.dumps(report))

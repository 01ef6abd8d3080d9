"""What the examples of this folder share: the data, and a command line."""

import argparse
from collections.abc import Callable
from time import perf_counter

import numpy as np
from sklearn.datasets import load_digits

import mlx.core as mx


def digits() -> tuple[mx.array, mx.array]:
    """The 1797 scans that scikit-learn ships: images (N, 8, 8) of numbers from 0 to 1, and labels (N,)."""
    data = load_digits()
    return mx.array((data.images / 16).astype(np.float32)), mx.array(data.target.astype(np.int32))


def batch(size: int, *arrays: mx.array) -> list[mx.array]:
    """The same randomly chosen entries of each array."""
    chosen = mx.random.randint(0, len(arrays[0]), (size,))
    return [array[chosen] for array in arrays]


def run(train: Callable[[int], list[float]], steps: int, goal: float, argv: list[str] | None = None) -> int:
    """Train and say what was reached; 1 if the mean of the last tenth of the losses is above the goal, else 0."""
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--steps", type=int, default=steps, help="updates of the parameters")
    parser.add_argument("--goal", type=float, default=goal, help="the loss to reach; above it the exit code is 1")
    parser.add_argument("--seed", type=int, default=0, help="of the parameters and the batches")
    args = parser.parse_args(argv)
    if args.steps < 10:
        parser.error("at least 10 steps are needed")
    mx.random.seed(args.seed)
    start = perf_counter()
    losses = train(args.steps)
    reached = float(np.mean(losses[-args.steps // 10 :]))
    print(f"loss {losses[0]:.4f} -> {reached:.4f} in {args.steps} steps, {perf_counter() - start:.1f} s")
    return int(not reached <= args.goal)

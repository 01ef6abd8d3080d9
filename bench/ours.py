"""What recording, planning and calling a compiled function cost in mlx-xla.

python bench/ours.py
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import mlx.core as mx
import mlx.runtime.calls as calls
import mlx.runtime.evaluate as evaluation

OPERATIONS = 1000  # recorded between two evaluations
BLOCKS = 20
STEPS = 200

PLANNERS = ("plan_for", "plan_everything_held", "plan_recurring")


def measure_recording() -> dict[str, float]:
    """Seconds an operation, by name: each block records a chain on small arrays and is evaluated untimed."""
    a, b = mx.array([0.1, 0.2]), mx.array([0.3, 0.4])
    seconds: dict[str, list[float]] = {"add": [], "multiply": [], "exp": []}
    for _ in range(BLOCKS):
        x, start = a, time.perf_counter()
        for _ in range(OPERATIONS):
            x = x + b
        seconds["add"].append((time.perf_counter() - start) / OPERATIONS)
        mx.eval(x)

        x, start = a, time.perf_counter()
        for _ in range(OPERATIONS):
            x = x * b
        seconds["multiply"].append((time.perf_counter() - start) / OPERATIONS)
        mx.eval(x)

        x, start = a, time.perf_counter()
        for _ in range(OPERATIONS):
            x = mx.exp(x)
        seconds["exp"].append((time.perf_counter() - start) / OPERATIONS)
        mx.eval(x)
    return {name: statistics.median(values) for name, values in seconds.items()}


def measure_planning() -> tuple[float, float]:
    """Seconds of planning a node, and nodes a step, in the documented training step."""
    from peer_mlx import documented

    work = documented("functional")
    for _ in range(10):
        work.step()
    work.finish()

    seconds, nodes = [], []
    planners = {name: getattr(evaluation, name) for name in PLANNERS}

    def timed(planner: Callable[..., Any]) -> Callable[..., Any]:
        def plan(*arguments: Any) -> Any:
            start = time.perf_counter()
            planned = planner(*arguments)
            if planned is not None:
                seconds.append(time.perf_counter() - start)
                nodes.append(len(planned.nodes))
            return planned

        return plan

    for name, planner in planners.items():
        setattr(evaluation, name, timed(planner))
    try:
        for _ in range(STEPS):
            work.step()
        work.finish()
    finally:
        for name, planner in planners.items():
            setattr(evaluation, name, planner)
    return sum(seconds) / sum(nodes), sum(nodes) / STEPS


def measure_calling(leaves: int) -> tuple[float, float]:
    """Seconds of a call of a compiled function of as many arrays in and out, and of its executable alone."""
    with mx.engine("xla"):
        function = mx.compile(lambda arrays: [x + 1 for x in arrays])
        state = [mx.ones((4,)) for _ in range(leaves)]

        def call() -> None:
            nonlocal state
            state = function(state)

        for _ in range(10):
            call()
        mx.eval(state)
        called = best(call)
        mx.eval(state)
        (program,) = [known.program for known in calls.kept_programs() if len(known.program.outputs) == leaves]
        arguments = [x._node.value.device for x in state]

        def execute() -> None:
            nonlocal arguments
            arguments = program.execute(arguments)

        return called, best(execute)


def best(function: Callable[[], None]) -> float:
    """The least mean of a few blocks of calls."""
    means = []
    for _ in range(BLOCKS):
        start = time.perf_counter()
        for _ in range(OPERATIONS):
            function()
        means.append((time.perf_counter() - start) / OPERATIONS)
    return min(means)


def main() -> None:
    """Print what was measured."""
    for name, seconds in measure_recording().items():
        print(f"recording {name}: {seconds * 1e9:.0f} ns")
    seconds, nodes = measure_planning()
    print(f"planning: {seconds * 1e9:.0f} ns a node; the documented step has {nodes:.0f}")
    for leaves in (1, 16, 64):
        called, executed = measure_calling(leaves)
        print(
            f"calling a compiled function of {leaves} arrays in and out: {called * 1e6:.0f} µs, of which its "
            f"executable {executed * 1e6:.0f}; above it {(called - executed) * 1e6:.0f}"
        )


if __name__ == "__main__":
    main()

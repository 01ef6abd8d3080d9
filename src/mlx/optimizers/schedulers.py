"""Learning-rate schedules: each function here makes a callable from the step to the learning rate.

They are partial functions, not closures, so that an optimizer can be pickled together with its schedules.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import mlx.core as mx


def exponential_decay(init: float, decay_rate: float) -> Callable:
    r"""Make a schedule :math:`\text{init} \cdot \text{decay\_rate}^t`.

    Args:
        init: the value at step 0.
        decay_rate: the factor from each step to the next.

    Example:
        >>> from mlx.optimizers import exponential_decay
        >>> exponential_decay(0.5, 0.5)(2)
        0.125
    """

    return partial(_exponential_decay, init, decay_rate)


def _exponential_decay(init: float, decay_rate: float, step: Any) -> Any:
    return init * decay_rate**step


def step_decay(init: float, decay_rate: float, step_size: int) -> Callable:
    r"""Make a schedule :math:`\text{init} \cdot \text{decay\_rate}^{\lfloor t / \text{step\_size} \rfloor}`.

    Args:
        init: the value of the first ``step_size`` steps.
        decay_rate: the factor applied every ``step_size`` steps.
        step_size: the number of steps between two decays, above 0.

    Example:
        >>> from mlx.optimizers import step_decay
        >>> step_decay(0.5, 0.5, 10)(25)
        0.125
    """
    _check_positive("step_decay", "step_size", step_size)

    return partial(_step_decay, init, decay_rate, step_size)


def _step_decay(init: float, decay_rate: float, step_size: int, step: Any) -> Any:
    return init * decay_rate ** (step // step_size)


def cosine_decay(init: float, decay_steps: int, end: float = 0.0) -> Callable:
    r"""Make a schedule that falls along half a cosine (Loshchilov and Hutter, 2017, SGDR).

    .. math::

        \text{end} + (\text{init} - \text{end}) \frac{1 + \cos(\pi \min(t, T) / T)}{2}

    Args:
        init: the value at step 0.
        decay_steps: :math:`T`, the number of steps of the fall, above 0.
        end: the value from step :math:`T` on.

    Example:
        >>> from mlx.optimizers import cosine_decay
        >>> cosine_decay(0.5, 10)(5)
        array(0.25, dtype=float32)
    """
    _check_positive("cosine_decay", "decay_steps", decay_steps)

    return partial(_cosine_decay, init, decay_steps, end)


def _cosine_decay(init: float, decay_steps: int, end: float, step: Any) -> mx.array:
    fallen = mx.minimum(step, decay_steps)
    share = 0.5 * (1.0 + mx.cos((math.pi / decay_steps) * fallen))
    return end + share * (init - end)


def linear_schedule(init: float, end: float, steps: int) -> Callable:
    r"""Make a schedule that moves along a line.

    .. math::

        \text{init} + (\text{end} - \text{init}) \frac{\min(t, T)}{T}

    Args:
        init: the value at step 0.
        end: the value from step :math:`T` on.
        steps: :math:`T`, the number of steps of the line, above 0.

    Example:
        >>> from mlx.optimizers import linear_schedule
        >>> linear_schedule(0.0, 1.0, 4)(3)
        array(0.75, dtype=float32)
    """
    _check_positive("linear_schedule", "steps", steps)

    return partial(_linear_schedule, init, end, steps)


def _linear_schedule(init: float, end: float, steps: int, step: Any) -> mx.array:
    return mx.minimum(step, steps) * ((end - init) / steps) + init


def join_schedules(schedules: Sequence[Callable], boundaries: Sequence[int]) -> Callable:
    """Make a schedule that follows several schedules one after the other.

    Args:
        schedules: at least one; each counts its steps from the boundary at which it takes over.
        boundaries: the step at which each schedule after the first takes over.

    Raises:
        ValueError: no schedule, or not one boundary fewer than schedules.

    Example:
        >>> from mlx.optimizers import cosine_decay, join_schedules, linear_schedule
        >>> warm_up = join_schedules([linear_schedule(0.0, 0.5, 10), cosine_decay(0.5, 20)], [10])
        >>> warm_up(5), warm_up(20)
        (array(0.25, dtype=float32), array(0.25, dtype=float32))
    """
    if not schedules:
        raise ValueError("[join_schedules] schedules must hold at least one schedule, got none.")
    if len(boundaries) != len(schedules) - 1:
        raise ValueError(
            f"[join_schedules] {len(schedules)} schedules need {len(schedules) - 1} boundaries, got {len(boundaries)}."
        )

    return partial(_join_schedules, tuple(schedules), tuple(boundaries))


def _join_schedules(schedules: Sequence[Callable], boundaries: Sequence[int], step: Any) -> Any:
    value = schedules[0](step)
    for boundary, following in zip(boundaries, schedules[1:], strict=True):
        value = mx.where(step < boundary, value, following(step - boundary))
    return value


def _check_positive(function: str, name: str, value: int) -> None:
    if value <= 0:
        raise ValueError(f"[{function}] {name} must be greater than 0, got {value}.")

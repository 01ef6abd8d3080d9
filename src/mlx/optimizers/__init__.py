"""Optimizers: formulas that turn gradients into new parameters, schedules for their learning rates, clipping.

Everything here is written against the public ``mlx.core``, like a user's code. Layers and losses live in
``mlx.nn``, walks over trees in general in ``mlx.utils``.
"""

from . import schedulers
from .adafactor import Adafactor
from .adam import Adam, Adamax, AdamW
from .adaptive import AdaDelta, Adagrad, RMSprop
from .base import Optimizer
from .clipping import clip_grad_norm
from .lion import Lion
from .multi import MultiOptimizer
from .muon import Muon
from .nonfinite import skip_nonfinite
from .schedulers import cosine_decay, exponential_decay, join_schedules, linear_schedule, step_decay
from .sgd import SGD

__all__ = [
    "Optimizer",
    "MultiOptimizer",
    "SGD",
    "RMSprop",
    "Adagrad",
    "AdaDelta",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Adafactor",
    "Muon",
    "exponential_decay",
    "step_decay",
    "cosine_decay",
    "linear_schedule",
    "join_schedules",
    "schedulers",
    "clip_grad_norm",
    "skip_nonfinite",
]

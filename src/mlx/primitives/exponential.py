"""Exponentials, logarithms, trigonometric and hyperbolic functions, the sigmoid and the error function."""

from __future__ import annotations

import numpy as np

from mlx.primitives.arithmetic import RSQRT, SQUARE
from mlx.primitives.elementwise import Elementwise

EXP = Elementwise("exp", 1, np.exp, "exp", (lambda out, x: out,), nanoseconds=2.0)
LOG = Elementwise("log", 1, np.log, "log", (lambda out, x: 1.0 / x,), nanoseconds=2.0)
SIN = Elementwise("sin", 1, np.sin, "sin", (lambda out, x: COS(x),), nanoseconds=4.0)
COS = Elementwise("cos", 1, np.cos, "cos", (lambda out, x: -SIN(x),), nanoseconds=4.0)
TANH = Elementwise("tanh", 1, np.tanh, "tanh", (lambda out, x: 1.0 - SQUARE(out),), nanoseconds=4.0)

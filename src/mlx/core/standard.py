"""The names of the Python array API standard for functions that have older ones here."""

from mlx.ops import (
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    cumprod,
    cumsum,
    left_shift,
    power,
    right_shift,
)

acos = arccos
acosh = arccosh
asin = arcsin
asinh = arcsinh
atan = arctan
atan2 = arctan2
atanh = arctanh
bitwise_left_shift = left_shift
bitwise_right_shift = right_shift
cumulative_prod = cumprod
cumulative_sum = cumsum
pow = power

__all__ = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "bitwise_left_shift",
    "bitwise_right_shift",
    "cumulative_prod",
    "cumulative_sum",
    "pow",
]

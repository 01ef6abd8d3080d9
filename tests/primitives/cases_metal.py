"""The Metal kernel, which neither engine runs: `tests/ops/test_custom_kernels.py` shows that both refuse it."""

from case import Case

CASES = [Case("metal_kernel", lambda: None, (), wrt=(), dtypes=(), batched=False)]

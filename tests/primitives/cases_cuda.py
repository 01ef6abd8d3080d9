"""The CUDA kernel, which has no value without a GPU: `tests/ops/test_cuda_kernels.py` shows what it does there."""

from case import Case

CASES = [Case("cuda_kernel", lambda: None, (), wrt=(), dtypes=(), batched=False)]

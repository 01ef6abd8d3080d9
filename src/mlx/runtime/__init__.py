"""From recorded program to numbers: planning, the NumPy interpreter, the XLA compiler, devices and memory.

The only place that knows jax, and only once a program is compiled.
"""

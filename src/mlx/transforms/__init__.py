"""Functions of functions: they record what a function does and derive another program from it. No numerics."""

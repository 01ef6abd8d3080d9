"""For classes that call the same formula for many arrays in every step: how it is recorded as one step.

`mlx.optimizers` does it with the formulas of its own classes.
"""

from mlx.transforms.formulas import Formulas as Formulas

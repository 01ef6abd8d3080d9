"""For classes that keep arrays: how they say what they are about to change, so that transforms can carry it.

`mlx.nn` and `mlx.optimizers` do, and so can any other class whose objects are dicts or lists of arrays.
"""

from mlx.ir.changes import Changes as Changes
from mlx.ir.changes import note_assignment as note_assignment
from mlx.ir.changes import note_creation as note_creation
from mlx.ir.changes import unnoted as unnoted

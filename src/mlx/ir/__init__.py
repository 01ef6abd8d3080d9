"""The recorded program: dtypes, nodes, what a primitive declares, walks over the graph. No numerics, no array class."""

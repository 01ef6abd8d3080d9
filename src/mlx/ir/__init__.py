"""The recorded program: dtypes, nodes, primitives as declarations, walks over the graph. No numerics, no array class."""

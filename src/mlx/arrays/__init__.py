"""Class `array`: a handle on a node of the recorded program. Operators, indexing, conversion and printing."""

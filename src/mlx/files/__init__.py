"""Arrays in files: what `mx.save` and its relatives write and `mx.load` reads, a module for each format."""

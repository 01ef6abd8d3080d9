"""Every primitive, declared once: shape rule, derivative, batching rule, NumPy kernel and XLA lowering side by side.

A file per family. Nothing here knows the array class; rules work on nodes. Importing this package declares them all.
"""

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

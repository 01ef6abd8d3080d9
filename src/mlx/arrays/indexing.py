"""Indexing (draft until the family lands)."""

class ArrayAt:
    def __init__(self, x):
        self.x = x

def get_item(x, key):
    raise NotImplementedError

def set_item(x, key, value):
    raise NotImplementedError

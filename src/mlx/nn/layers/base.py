"""``Module``, the container of parameters that every layer and model derives from.

What lives here: how a module stores parameters and submodules, and how they are walked, replaced, frozen,
saved and loaded. What a layer computes lives in the other files of this folder.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self, overload

import mlx.core as mx
from mlx.core.changes import note_assignment, note_creation
from mlx.nn.layers.functional import call_with, put
from mlx.nn.layers.matching import match_modules, match_parameters, nearest
from mlx.utils import tree_flatten, tree_map_with_path

ModuleFilter = Callable[["Module", str, Any], bool]
"""A function of the module, the path inside the module and the value there."""

# Names that users of other libraries reach for, and what stands in their place here.
_HABITS = {
    "forward": "define __call__ and call the module itself: model(x)",
    "named_parameters": "mlx.utils.tree_flatten(model.parameters()) lists names and arrays",
    "state_dict": "mlx.utils.tree_flatten(model.parameters(), destination={}) maps names to arrays",
    "load_state_dict": "model.load_weights takes a file or (name, array) pairs",
    "zero_grad": "gradients are values that value_and_grad returns; there is nothing to reset",
    "requires_grad_": "use model.freeze() and model.unfreeze()",
    "register_buffer": "assign the array and leave it out of training with model.freeze(keys=[name])",
    "register_parameter": "assign the array: model.name = array",
    "add_module": "assign the module: model.name = module",
    "to": "use model.set_dtype(dtype); arrays are not tied to a device",
    "half": "use model.set_dtype(mx.float16)",
}


class Module(dict):
    """A dictionary of arrays and other modules that can be called.

    Attributes that are arrays, modules, dictionaries, lists or tuples are the dictionary's entries; all
    others are ordinary attributes. The parameters are the arrays among the entries whose names do not start
    with an underscore, also inside lists and dictionaries (not tuples) and inside submodules.

    Raises:
        AttributeError: If an array or a container is assigned to a name that the class has for something else, such
            as ``items`` or ``values``, which are methods of ``dict``. A property with a setter gets it instead.

    Example:
        >>> import mlx.core as mx
        >>> class Scale(Module):
        ...     def __init__(self, dims):
        ...         super().__init__()
        ...         self.weight = mx.ones((dims,))
        ...
        ...     def __call__(self, x):
        ...         return self.weight * x
        >>> Scale(3).parameters()
        {'weight': array([1, 1, 1], dtype=float32)}
    """

    __call__: Callable[..., Any]

    def __init__(self) -> None:
        note_creation(self)
        self._no_grad: set[str] = set()
        self._training = True

    # Attributes

    def __getattr__(self, name: str) -> Any:
        try:
            value = self[name]
        except KeyError:
            if hasattr(type(self), name):  # a property that failed: let it say with what
                return super().__getattribute__(name)
            raise AttributeError(_missing_attribute(self, name)) from None
        if type(value) is list or type(value) is dict:
            note_assignment(value)  # who reads it may replace entries
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, (mx.array, dict, list, tuple)):
            if name not in self and hasattr(type(self), name) and _is_taken(type(self), name):
                super().__setattr__(name, value)  # by a property, which has a setter
                return
            self[name] = value
            self.__dict__.pop(name, None)
        else:
            note_assignment(self)
            super().__setattr__(name, value)
            self.pop(name, None)

    def __setitem__(self, name: str, value: Any) -> None:
        note_assignment(self)
        super().__setitem__(name, value)

    def __delattr__(self, name: str) -> None:
        note_assignment(self)
        if name in self:
            del self[name]
        else:
            super().__delattr__(name)

    def __repr__(self) -> str:
        children = tree_flatten(self.children(), is_leaf=self.is_module)
        lines = "\n".join(f"({name}): {child!r}" for name, child in children)
        body = self._extra_repr()
        if lines:
            body += "\n" + textwrap.indent(lines, "  ") + "\n"
        return f"{type(self).__name__}({body})"

    def _extra_repr(self) -> str:
        """What ``repr`` shows between the brackets; layers show their settings."""
        return ""

    @property
    def training(self) -> bool:
        """Whether the module is in training mode; see :meth:`train`."""
        return self._training

    @property
    def state(self) -> Self:
        """The module itself, as the dictionary of everything that it stores."""
        return self

    # Walks

    def filter_and_map(
        self,
        filter_fn: ModuleFilter,
        map_fn: Callable[[Any], Any] | None = None,
        is_leaf_fn: ModuleFilter | None = None,
    ) -> dict[str, Any]:
        """Walk the module's entries and return a tree of those that pass a filter.

        Args:
            filter_fn: Function of the module that owns an entry, the entry's path inside that module and its
                value. Entries that fail are left out, or are ``{}`` inside lists and dictionaries.
            map_fn: Optional function that is applied to every leaf.
            is_leaf_fn: Optional function like ``filter_fn`` that says where to stop. By default everything
                but modules, dictionaries and lists is a leaf.

        Returns:
            The tree of leaves.

        Raises:
            RuntimeError: If ``is_leaf_fn`` rejects a value that has nothing inside.

        Example:
            >>> import mlx.nn as nn
            >>> nn.Linear(2, 3).filter_and_map(nn.Module.valid_parameter_filter, lambda array: array.shape)
            {'weight': (3, 2), 'bias': (3,)}
        """
        on_leaf = map_fn if map_fn is not None else _identity
        is_leaf = is_leaf_fn if is_leaf_fn is not None else _is_no_container
        return {
            key: _filter_and_map(self, key, value, filter_fn, on_leaf, is_leaf)
            for key, value in self.items()
            if filter_fn(self, key, value)
        }

    def parameters(self) -> dict[str, Any]:
        """Return the tree of all arrays whose names do not start with an underscore."""
        return self.filter_and_map(self.valid_parameter_filter)

    def trainable_parameters(self) -> dict[str, Any]:
        """Return the tree of all parameters that are not frozen."""
        return self.filter_and_map(self.trainable_parameter_filter)

    def frozen_parameters(self) -> dict[str, Any]:
        """Return the tree of all parameters that are frozen, which :meth:`trainable_parameters` leaves out."""

        def is_frozen(module: Module, key: str, value: Any) -> bool:
            if not isinstance(value, mx.array):
                return self.valid_parameter_filter(module, key, value)
            return not key.startswith("_") and any(_is_inside(key, name) for name in module._no_grad)

        return self.filter_and_map(is_frozen)

    def children(self) -> dict[str, Any]:
        """Return the tree of the modules directly inside this one."""
        return self.filter_and_map(self.valid_child_filter, is_leaf_fn=_is_module_entry)

    def leaf_modules(self) -> dict[str, Any]:
        """Return the tree of the submodules, at any depth, that hold no modules themselves."""
        return self.filter_and_map(self.valid_child_filter, is_leaf_fn=_is_leaf_module)

    def modules(self) -> list[Module]:
        """Return this module and all modules inside it."""
        return [module for _, module in self.named_modules()]

    def named_modules(self) -> list[tuple[str, Module]]:
        """Return this module and all modules inside it with their paths; this module's path is ``""``."""
        found: list[tuple[str, Module]] = []
        pending: list[tuple[str, Module]] = [("", self)]
        while pending:
            path, module = pending.pop()
            found.append((path, module))
            prefix = f".{path}" if path else ""
            pending.extend(tree_flatten(module.children(), prefix=prefix, is_leaf=self.is_module))
        return found

    @staticmethod
    def is_module(value: Any) -> bool:
        """Whether ``value`` is a module."""
        return isinstance(value, Module)

    @staticmethod
    def valid_child_filter(module: Module, key: str, value: Any) -> bool:
        """Whether an entry may hold modules."""
        return isinstance(value, (dict, list))

    @staticmethod
    def valid_parameter_filter(module: Module, key: str, value: Any) -> bool:
        """Whether an entry is a parameter or may hold some."""
        return isinstance(value, (mx.array, dict, list)) and not key.startswith("_")

    @staticmethod
    def trainable_parameter_filter(module: Module, key: str, value: Any) -> bool:
        """Whether an entry is a parameter that is not frozen, or may hold some."""
        return Module.valid_parameter_filter(module, key, value) and key not in module._no_grad

    # Replacing parameters and modules

    def update(self, parameters: dict[str, Any], strict: bool = True) -> Self:  # type: ignore[override]
        """Replace parameters by those of a tree.

        Args:
            parameters: Tree of arrays with the structure of :meth:`parameters`, or part of it.
            strict: Whether names that the module does not have, and values that are no arrays, are errors;
                otherwise they are skipped.

        Returns:
            The module.

        Raises:
            ValueError: If ``strict`` and the tree does not fit. The module is then left as it was.

        Example:
            >>> import mlx.core as mx, mlx.nn as nn
            >>> layer = nn.Linear(2, 1).update({"bias": mx.array([5.0])})
            >>> layer.bias
            array([5], dtype=float32)
        """
        put(match_parameters(self, parameters, "Module.update", strict))
        return self

    @overload
    def apply(
        self,
        map_fn: dict[str, Any],
        /,
        *args: Any,
        method: str | Callable[..., Any] | None = None,
        state: dict[str, Any] | None = None,
        key: mx.array | None = None,
        **kwargs: Any,
    ) -> Any: ...

    @overload
    def apply(self, map_fn: Callable[[mx.array], mx.array], filter_fn: ModuleFilter | None = None) -> Self: ...

    def apply(
        self,
        map_fn: Any,
        *args: Any,
        method: str | Callable[..., Any] | None = None,
        state: dict[str, Any] | None = None,
        key: mx.array | None = None,
        **kwargs: Any,
    ) -> Any:
        """Call the module with other parameters, or replace parameters by a function of them.

        ``module.apply(params, *args, **kwargs)`` is ``module(*args, **kwargs)`` as it were if ``params`` were its
        parameters, which makes a function of the parameters that can be differentiated, mapped and compiled.
        Parameters that ``params`` lacks are the module's own. Afterwards, also after an exception, the module's own
        arrays are back in their places.

        Some layers do more than compute. With ``state`` and ``key`` the call is a pure function of what it is given:

        - :class:`BatchNorm` updates its running statistics, which are frozen parameters. With ``state`` the result is
          a pair ``(output, new_state)`` and the module stays as it was. Without, what a call assigns to the module
          stays there, as far as it is not among ``params``.
        - :class:`Dropout` draws random numbers. With ``key`` they come from it; without, from the global state.

        ``module.apply(map_fn, filter_fn)`` replaces every parameter by ``map_fn(parameter)`` and returns the
        module; ``filter_fn`` selects the parameters, by default all.

        Args:
            map_fn: Tree of arrays as :meth:`parameters` returns it, or part of one; or a function from array
                to array.
            *args: The arguments of the call, or ``filter_fn``.
            method: Name of the method to call instead of the module itself, or a function that is called with the
                module before ``args``.
            state: Tree of those parameters that the call may update, for example :meth:`frozen_parameters`.
            key: Random key, of shape (2,).
            **kwargs: The keyword arguments of the call, or ``filter_fn``.

        Returns:
            The result of the call, with ``state`` a pair of it and the new state; or the module.

        Raises:
            ValueError: If a tree has a name that the module does not have, or something that is no array; if with
                ``state`` the call assigns an array that is not in it.
            TypeError: If the first argument is neither a dictionary nor a function.

        Example:
            >>> import mlx.core as mx, mlx.nn as nn
            >>> layer = nn.Linear(2, 1)
            >>> params = {"weight": mx.array([[1.0, 2.0]]), "bias": mx.array([0.5])}
            >>> layer.apply(params, mx.array([10.0, 20.0]))
            array([50.5], dtype=float32)
            >>> mx.grad(lambda p: layer.apply(p, mx.array([10.0, 20.0])).sum())(params)["weight"]
            array([[10, 20]], dtype=float32)
            >>> layer.apply(lambda array: array.astype(mx.float16)).weight.dtype
            mlx.core.float16
            >>> norm = nn.BatchNorm(1)
            >>> params, state = norm.trainable_parameters(), norm.frozen_parameters()
            >>> y, state = norm.apply(params, mx.array([[1.0], [3.0]]), state=state)
            >>> state["running_mean"].item(), norm.running_mean.item()
            (0.2..., 0.0)
        """
        if isinstance(map_fn, dict):
            return call_with(self, map_fn, args, kwargs, method, state, key)
        if callable(map_fn):
            return self._map_parameters("Module.apply", map_fn, *args, **kwargs)
        raise TypeError(
            "[Module.apply] The first argument must be a tree of arrays (a dict, as module.parameters() "
            f"returns it) or a function from array to array, got {type(map_fn).__name__}."
        )

    def _map_parameters(self, api: str, map_fn: Callable[..., Any], filter_fn: ModuleFilter | None = None) -> Self:
        selected = filter_fn if filter_fn is not None else Module.valid_parameter_filter
        put(match_parameters(self, self.filter_and_map(selected, map_fn), api))
        return self

    def update_modules(self, modules: dict[str, Any], strict: bool = True) -> Self:
        """Replace submodules by those of a tree.

        Args:
            modules: Tree of modules with the structure of :meth:`children` or :meth:`leaf_modules`, or part
                of it; ``{}`` leaves the module at its place as it is.
            strict: Whether names that the module does not have, and values that are no modules, are errors;
                otherwise they are skipped.

        Returns:
            The module.

        Raises:
            ValueError: If ``strict`` and the tree does not fit. The module is then left as it was.

        Example:
            >>> import mlx.nn as nn
            >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
            >>> model.update_modules({"layers": [{}, nn.Tanh()]})
            Sequential(
              (layers.0): Linear(input_dims=2, output_dims=3, bias=True)
              (layers.1): Tanh()
            )
        """
        for container, key, module in match_modules(self, modules, Module, "Module.update_modules", strict):
            container[key] = module
        return self

    def apply_to_modules(self, apply_fn: Callable[[str, Module], Any]) -> Self:
        """Call a function with the path and the value of this module and every module inside it.

        Args:
            apply_fn: Function of path and module; what it returns is ignored.

        Returns:
            The module.
        """
        for path, module in self.named_modules():
            apply_fn(path, module)
        return self

    # Freezing

    def freeze(self, *, recurse: bool = True, keys: str | list[str] | None = None, strict: bool = False) -> Self:
        """Leave parameters out of :meth:`trainable_parameters`.

        Args:
            recurse: Whether to freeze inside submodules, too.
            keys: Name or names to freeze in each module; by default all parameters.
            strict: Whether a name that no module has is an error.

        Returns:
            The module.

        Raises:
            KeyError: If ``strict`` and a name is found nowhere. The module is then left as it was.

        Example:
            >>> import mlx.nn as nn
            >>> sorted(nn.Linear(2, 3).freeze(keys="bias").trainable_parameters())
            ['weight']
        """
        names = self._checked_keys(keys, recurse, strict, "Module.freeze")
        if recurse:
            for module in self.modules():
                module.freeze(recurse=False, keys=names)
        else:
            # A new set, since a shallow copy of the module shares the old one.
            self._no_grad = self._no_grad.union(names if names is not None else self._local_parameter_paths())
        return self

    def unfreeze(self, *, recurse: bool = True, keys: str | list[str] | None = None, strict: bool = False) -> Self:
        """Undo :meth:`freeze`.

        Args:
            recurse: Whether to unfreeze inside submodules, too.
            keys: Name or names to unfreeze in each module; by default all parameters.
            strict: Whether a name that no module has is an error.

        Returns:
            The module.

        Raises:
            KeyError: If ``strict`` and a name is found nowhere. The module is then left as it was.
        """
        names = self._checked_keys(keys, recurse, strict, "Module.unfreeze")
        if recurse:
            for module in self.modules():
                module.unfreeze(recurse=False, keys=names)
        else:
            self._no_grad = set() if names is None else self._no_grad.difference(names)
        return self

    def _checked_keys(self, keys: str | list[str] | None, recurse: bool, strict: bool, api: str) -> list[str] | None:
        if keys is None:
            return None
        if not isinstance(keys, Iterable):
            raise TypeError(f"[{api}] keys must be a name or a list of names, got {type(keys).__name__}.")
        names = [keys] if isinstance(keys, str) else list(keys)
        modules = self.modules() if recurse else [self]
        for name in names if strict else ():
            if not any(name in module for module in modules):
                known = {key for module in modules for key in module}
                raise KeyError(f"[{api}] No module has a member '{name}'.{nearest(name, known)}")
        return names

    def _local_parameter_paths(self) -> list[str]:
        """Paths of this module's own parameters, without those of submodules."""

        def is_local(module: Module, key: str, value: Any) -> bool:
            return not isinstance(value, Module) and self.valid_parameter_filter(module, key, value)

        return [path for path, _ in tree_flatten(self.filter_and_map(is_local))]

    # Modes

    def train(self, mode: bool = True) -> Self:
        """Set this module and all modules inside it to training mode.

        Dropout and batch normalisation compute different things in training and in evaluation.

        Args:
            mode: True for training, False for evaluation.

        Returns:
            The module.
        """
        for module in self.modules():
            module._set_training_mode(mode)
        return self

    def _set_training_mode(self, mode: bool) -> None:
        """Note the mode. Layers that keep other arrays in each of them exchange these here."""
        self._training = mode

    def eval(self) -> Self:
        """Set this module and all modules inside it to evaluation mode; see :meth:`train`."""
        return self.train(False)

    def set_dtype(
        self,
        dtype: mx.Dtype,
        predicate: Callable[[mx.Dtype], bool] | None = lambda dtype: mx.issubdtype(dtype, mx.floating),
    ) -> Self:
        """Cast the parameters to a dtype.

        Args:
            dtype: The dtype to cast to.
            predicate: Function of a parameter's dtype that says whether to cast it; by default floating
                point parameters are cast. None casts all.

        Returns:
            The module.

        Raises:
            TypeError: If ``dtype`` is no dtype.

        Example:
            >>> import mlx.core as mx, mlx.nn as nn
            >>> nn.Linear(2, 3).set_dtype(mx.bfloat16).weight.dtype
            mlx.core.bfloat16
        """

        if not isinstance(dtype, mx.Dtype):
            raise TypeError(f"[Module.set_dtype] dtype must be a Dtype such as mx.float16, got {dtype!r}.")

        def cast(array: mx.array) -> mx.array:
            return array.astype(dtype) if predicate is None or predicate(array.dtype) else array

        return self._map_parameters("Module.set_dtype", cast)

    # Files

    def save_weights(self, file: str | os.PathLike[str]) -> None:
        """Write all parameters, named by their paths, to a file.

        Args:
            file: Name of the file; it ends in ``.npz`` or ``.safetensors``, which selects the format.

        Raises:
            ValueError: If the name ends in anything else.
        """
        name = os.fspath(file)
        weights = tree_flatten(self.parameters(), destination={})
        if name.endswith(".npz"):
            mx.savez(name, **weights)
        elif name.endswith(".safetensors"):
            mx.save_safetensors(name, weights)
        else:
            raise ValueError(
                f"[Module.save_weights] The name of the file must end in .npz or .safetensors, got '{name}'."
            )

    def load_weights(
        self,
        file_or_weights: str | os.PathLike[str] | Iterable[tuple[str, mx.array]] | Mapping[str, mx.array],
        strict: bool = True,
    ) -> Self:
        """Replace parameters by those of a file or a list.

        Args:
            file_or_weights: Name of a file that :meth:`save_weights` or another program wrote, or
                ``(path, array)`` pairs, or a dictionary from path to array.
            strict: Whether every parameter must be given with its shape, and nothing else; otherwise what
                the module does not have is skipped and what is not given is kept.

        Returns:
            The module.

        Raises:
            ValueError: If ``strict`` and names or shapes differ. The module is then left as it was.
            TypeError: If ``file_or_weights`` is none of these.

        Example:
            >>> import mlx.core as mx, mlx.nn as nn
            >>> layer = nn.Linear(2, 1).load_weights([("weight", mx.ones((1, 2)))], strict=False)
            >>> layer.weight
            array([[1, 1]], dtype=float32)
        """
        if isinstance(file_or_weights, (str, os.PathLike)):
            weights: Any = mx.load(os.fspath(file_or_weights))
        else:
            weights = file_or_weights
        pairs = _pairs(weights)
        own = self.parameters()
        if strict:
            _check_weights(pairs, tree_flatten(own, destination={}))
        given = {path: array for path, array in pairs if isinstance(array, mx.array)}
        return self.update(tree_map_with_path(lambda path, array: given.get(path, array), own))


def _is_inside(path: str, name: str) -> bool:
    return path == name or path.startswith(f"{name}.")


def _identity(value: Any) -> Any:
    return value


def _is_no_container(module: Module, key: str, value: Any) -> bool:
    return not isinstance(value, (dict, list))


def _is_module_entry(module: Module, key: str, value: Any) -> bool:
    return isinstance(value, Module)


def _is_leaf_module(module: Module, key: str, value: Any) -> bool:
    return isinstance(value, Module) and not tree_flatten(value.children(), is_leaf=Module.is_module)


def _filter_and_map(
    module: Module,
    key: str,
    value: Any,
    filter_fn: ModuleFilter,
    map_fn: Callable[[Any], Any],
    is_leaf_fn: ModuleFilter,
) -> Any:
    """The tree of what ``filter_fn`` selects in one entry of a module, which has passed the filter itself."""

    def descend(path: str, child: Any) -> Any:
        if not filter_fn(module, path, child):
            return {}
        return _filter_and_map(module, path, child, filter_fn, map_fn, is_leaf_fn)

    if is_leaf_fn(module, key, value):
        return map_fn(value)
    if isinstance(value, Module):
        return value.filter_and_map(filter_fn, map_fn, is_leaf_fn)
    if isinstance(value, dict):
        return {name: descend(f"{key}.{name}", child) for name, child in value.items()}
    if isinstance(value, list):
        return [descend(f"{key}.{i}", child) for i, child in enumerate(value)]
    raise RuntimeError(
        f"[Module.filter_and_map] is_leaf_fn rejects '{key}', a {type(value).__name__} that holds "
        "no entries; it may reject modules, dictionaries and lists only."
    )


def _pairs(weights: Any) -> list[tuple[str, Any]]:
    pairs: Any = weights.items() if isinstance(weights, Mapping) else weights
    if isinstance(pairs, Iterable):
        listed = list(pairs)
        if all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in listed):
            return [(path, array) for path, array in listed]
    raise TypeError(
        "[Module.load_weights] Expected the name of a file, (name, array) pairs or a dictionary from name to array, "
        f"got {type(weights).__name__}."
    )


def _check_weights(pairs: list[tuple[str, Any]], own: dict[str, mx.array]) -> None:
    """Raise unless ``pairs`` give every parameter in ``own`` once, with its shape, and nothing else."""
    given = dict(pairs)
    if len(given) < len(pairs):
        names = [path for path, _ in pairs]
        repeated = sorted({path for path in names if names.count(path) > 1})
        raise ValueError(f"[Module.load_weights] Received twice: {_listed(repeated)}.")
    if extra := sorted(given.keys() - own.keys()):
        hint = nearest(extra[0], own.keys() - given.keys())
        raise ValueError(
            f"[Module.load_weights] Received {len(extra)} parameters not in model: {_listed(extra)}.{hint}"
        )
    if missing := sorted(own.keys() - given.keys()):
        raise ValueError(
            f"[Module.load_weights] Missing {len(missing)} parameters: {_listed(missing)}. "
            "Pass strict=False to keep the module's own."
        )
    for path, array in pairs:
        if not isinstance(array, mx.array):
            raise ValueError(f"[Module.load_weights] Expected an array for '{path}', got {type(array).__name__}.")
        if array.shape != own[path].shape:
            raise ValueError(f"[Module.load_weights] Expected shape {own[path].shape} for '{path}', got {array.shape}.")


def _listed(names: list[str]) -> str:
    return ", ".join(names)


def _is_taken(kind: type, name: str) -> bool:
    """Whether a class has a property of this name that can be set; any other attribute of the class is an error.

    An entry of that name could not be read as an attribute of the module: that of the class would hide it.
    """
    owner = next((ancestor for ancestor in kind.__mro__ if name in vars(ancestor)), None)
    if owner is None:  # an attribute of the class of classes, which objects do not have
        return False
    attribute = vars(owner)[name]
    if hasattr(attribute, "__set__") and getattr(attribute, "fset", attribute) is not None:
        return True
    what = "a method of dict" if owner is dict else f"an attribute of the class {owner.__name__}"
    raise AttributeError(
        f"[{kind.__name__}] '{name}' cannot hold an array or a container, since {what} of that name would hide it; "
        "choose another name."
    )


def _missing_attribute(module: Module, name: str) -> str:
    message = f"'{type(module).__name__}' object has no attribute '{name}'"
    if name in ("_no_grad", "_training"):
        return f"{message}; call super().__init__() at the start of its __init__."
    if name in _HABITS:
        return f"{message}; {_HABITS[name]}."
    return message

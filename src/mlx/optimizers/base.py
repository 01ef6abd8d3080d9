"""What all optimizers share: state, step count, schedules, and updates of whole parameter trees."""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

import mlx.core as mx
from mlx.core.changes import note_assignment, note_creation, unnoted
from mlx.core.formulas import Formulas

from .state_tree import (
    Leaves,
    StateLog,
    TreeUpdate,
    arrange_state,
    check_arrays,
    completed_state,
    copied,
    with_arrays,
    with_untouched,
)

if TYPE_CHECKING:
    from mlx.nn import Module

Schedule = Callable[[mx.array], mx.array]
LearningRate = float | mx.array | Schedule

Tree = TypeVar("Tree")

# State of a tree whose root is no dict (a list of arrays, a bare array) lives under this name.
_ROOT = "parameters"

# What every state starts with.
_OWN_ENTRIES = ("step", "learning_rate")

# Attributes that a formula sees as arrays, or not at all.
_NO_SETTINGS = ("_formulas", "_initialized", "_scalar_cache", "_schedulers", "_state")


class Optimizer:
    """The base of all optimizers: one formula for a single parameter, applied to every leaf of a tree.

    A new optimizer implements :meth:`init_single` and :meth:`apply_single`, and calls
    ``self._maybe_schedule("learning_rate", learning_rate)`` in its constructor.

    Args:
        schedulers: maps names of state entries to schedules: callables from the step (a uint64 scalar) to the
            entry's value. Every update evaluates them anew, for the step that it performs.

    Example:
        >>> import mlx.core as mx
        >>> from mlx.optimizers import Optimizer
        >>> class SignDescent(Optimizer):
        ...     def __init__(self, learning_rate):
        ...         super().__init__()
        ...         self._maybe_schedule("learning_rate", learning_rate)
        ...
        ...     def init_single(self, parameter, state):
        ...         pass
        ...
        ...     def apply_single(self, gradient, parameter, state):
        ...         return parameter - self.learning_rate * mx.sign(gradient)
        >>> SignDescent(0.5).update({"w": mx.array([1.0, 2.0])}, {"w": mx.array([0.3, -7.0])})
        {'w': array([0.5, 2.5], dtype=float32)}
    """

    def __init__(self, schedulers: dict[str, Schedule] | None = None) -> None:
        self._initialized = False
        self._state: dict[Any, Any] = {"step": mx.array(0, mx.uint64)}
        note_creation(self._state)
        self._schedulers: dict[str, Schedule] = dict(schedulers or {})
        self._scalar_cache: dict[mx.Dtype, tuple] | None = None
        self._formulas = Formulas()

    @overload
    def update(self, model: "Module", gradients: Any) -> None: ...

    @overload
    def update(self, model: Tree, gradients: Any) -> Tree: ...

    @overload
    def update(self, model: Tree, gradients: Any, state: dict) -> tuple[Tree, dict]: ...

    def update(self, model: Any, gradients: Any, state: dict | None = None) -> Any:
        """Apply gradients to a module in place, or to a tree of arrays without changing it.

        With ``state`` it is a pure function: the optimizer's own state is neither read nor changed, and the new one is
        returned. It can be compiled, and mapped over trees whose arrays are stacked.

        Args:
            model: an ``nn.Module``, or a tree (dicts, lists, tuples) of arrays.
            gradients: a tree of arrays of the structure and shapes of the parameters, from which frozen
                parameters are left out.
            state: what :meth:`init` or an earlier call with a state returned.

        Returns:
            ``None`` for a module. For a tree, a new tree of its structure, in which parameters without a
            gradient are the same arrays as before; neither tree is changed. With ``state``, a pair of the new tree
            and the new state.

        Raises:
            ValueError: a gradient has no parameter, another shape than it has, or a dtype that does not go with it
                (integers; complex numbers for a real parameter). The parameters and the optimizer's state are then
                what they were before.
            TypeError: a leaf of ``gradients`` is not an array; a module is given with a state.

        Example:
            >>> import mlx.core as mx
            >>> from mlx.optimizers import SGD
            >>> params = {"w": mx.array([1.0, 2.0]), "b": mx.array(0.5)}
            >>> SGD(0.1).update(params, {"w": mx.array([1.0, -1.0])})
            {'w': array([0.9, 2.1], dtype=float32), 'b': array(0.5, dtype=float32)}
            >>> opt = SGD(0.1)
            >>> params, state = opt.update(params, {"b": mx.array(1.0)}, opt.init(params))
            >>> state["step"].item(), opt.step.item()
            (1, 0)
        """
        if state is not None:
            return self._updated_purely(model, gradients, state)
        updated = self.apply_gradients(gradients, model)
        if _is_module(model):
            model.update(updated)
            return None
        return with_untouched(updated, model)

    def _updated_purely(self, parameters: Any, gradients: Any, state: dict) -> tuple[Any, dict]:
        if _is_module(parameters):
            raise TypeError(
                f"[{type(self).__name__}.update] A module is updated in place, which does not go with state; pass a "
                "tree: model.trainable_parameters()."
            )
        on_state = self._on(state)
        with unnoted():
            updated = on_state.apply_gradients(gradients, parameters)
        return with_untouched(updated, parameters), on_state.state

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        other = memo[id(self)] = copy.copy(self)
        vars(other).update(copy.deepcopy(vars(self), memo))
        note_creation(other._state)
        return other

    def _on(self, state: dict) -> Self:
        """This optimizer, with a copy of another state."""
        own = {name for name, value in self._state.items() if isinstance(value, mx.array)}
        if not isinstance(state, dict) or not own <= state.keys():
            raise ValueError(
                f"[{type(self).__name__}.update] state must be what init or update returned, a dict with "
                f"{', '.join(map(repr, sorted(own)))} in it."
            )
        other = copy.copy(self)
        other._state = copied(state)
        other._initialized = True
        return other

    def init(self, parameters: Any) -> dict:
        """Create the state of every parameter that has none yet.

        Calling it is optional: an update initialises what it finds uninitialised. It is of use where the
        state must be complete beforehand, for example to compile a step, and where it is kept outside of the
        optimizer, see :meth:`update`.

        Args:
            parameters: a tree of arrays.

        Returns:
            The state as a tree in containers of its own, which later updates do not change.

        Raises:
            ValueError: a parameter at the root has the name of an entry of the optimizer's own state.
            TypeError: a leaf of ``parameters`` is not an array.

        Example:
            >>> import mlx.core as mx
            >>> from mlx.optimizers import Adam
            >>> optimizer = Adam(1e-3)
            >>> state = optimizer.init({"w": mx.zeros((2,))})
            >>> list(state), list(state["w"])
            (['step', 'learning_rate', 'w'], ['m', 'v'])
        """
        name = type(self).__name__
        state = self._state
        check_arrays(f"{name}.init", "parameters", parameters)
        note_assignment(state)
        if isinstance(parameters, dict):
            taken = {"step", "learning_rate", *self._schedulers}.intersection(parameters)
            if taken:
                raise ValueError(
                    f"[{name}.init] parameters[{min(taken)!r}] has the name of an entry of the optimizer's "
                    "own state; put the parameters one level down, as in {'model': parameters}."
                )
            if not self._initialized:
                self._arrange(parameters)
            completed_state(name, parameters, state, self.init_single, ())
        else:
            if not self._initialized:
                self._arrange({_ROOT: parameters})
            state[_ROOT] = completed_state(name, parameters, state.get(_ROOT), self.init_single, ())
        self._initialized = True
        return copied(state)

    def _arrange(self, parameters: dict) -> None:
        """Give state that was set from outside the order in which it is made here."""
        state = self._state
        own = [key for key in state if key not in parameters]
        own.sort(key=lambda entry: _OWN_ENTRIES.index(entry) if entry in _OWN_ENTRIES else len(_OWN_ENTRIES))
        for entry in own:
            state[entry] = state.pop(entry)
        arrange_state(type(self).__name__, parameters, state, self.init_single, ())

    def init_single(self, parameter: mx.array, state: dict) -> None:
        """Fill ``state``, an empty dict, for one parameter. To be implemented by each optimizer.

        Args:
            parameter: an array of the parameter's shape and dtype; where an update initialises, the gradient.
            state: where the parameter's state is to be put.
        """
        raise NotImplementedError(f"[{type(self).__name__}.init_single] is not implemented.")

    def apply_gradients(self, gradients: Any, parameters: Any) -> Any:
        """Apply gradients to parameters and return the new parameters, in the structure of the gradients.

        Args:
            gradients: a tree of arrays.
            parameters: a tree of arrays, or a module, which holds a parameter for each gradient and may hold
                more.

        Returns:
            New parameters in the structure of ``gradients``; neither tree is changed.

        Raises:
            ValueError: a gradient has no parameter, another shape than it has, or a dtype that does not go with it.
                The optimizer's state is then what it was before.
            TypeError: a leaf of ``gradients`` is not an array.

        Example:
            >>> import mlx.core as mx
            >>> from mlx.optimizers import SGD
            >>> params = {"w": mx.array([1.0, 2.0]), "b": mx.array(0.5)}
            >>> SGD(0.1).apply_gradients({"w": mx.array([1.0, -1.0])}, params)
            {'w': array([0.9, 2.1], dtype=float32)}
        """
        log = StateLog()
        log.save(self._state)
        was_initialized = self._initialized
        try:
            if not was_initialized:
                log.save_tree(self._state)
                check_arrays(f"{type(self).__name__}.update", "gradients", gradients)
                self.init(gradients)
                _evaluate(self._state)  # or the first step would be another program than all that follow
            return self._advanced(gradients, parameters, log)
        except BaseException:
            log.restore()
            self._initialized = was_initialized
            raise

    def apply_single(self, gradient: mx.array, parameter: mx.array, state: dict) -> mx.array:
        """Return one parameter's new value and store its new state. To be implemented by each optimizer.

        Args:
            gradient: the gradient, of the parameter's shape.
            parameter: the parameter.
            state: the parameter's state, as :meth:`init_single` and earlier calls left it.
        """
        raise NotImplementedError(f"[{type(self).__name__}.apply_single] is not implemented.")

    @property
    def state(self) -> dict:
        """``step``, ``learning_rate`` and, in the structure of the parameters, a dict for each of them."""
        note_assignment(self._state)  # who reads it may replace entries
        return self._state

    @state.setter
    def state(self, state: dict) -> None:
        self._initialized = False
        self._state = state

    @property
    def step(self) -> mx.array:
        """The number of updates so far, a uint64 scalar."""
        return self._state["step"]

    @property
    def learning_rate(self) -> mx.array:
        """The learning rate, on a schedule that of the last update; can be set to a number."""
        return self._state["learning_rate"]

    @learning_rate.setter
    def learning_rate(self, learning_rate: float | mx.array) -> None:
        note_assignment(self._state)
        self._state["learning_rate"] = self._as_array("learning_rate", learning_rate)

    def _maybe_schedule(self, name: str, value: LearningRate) -> None:
        """Store a number under ``name`` in the state, or put that entry on a schedule if it is a callable."""
        if callable(value):
            self._schedulers[name] = value
            value = value(self.step)
        self._state[name] = self._as_array(name, value)

    def _as_array(self, name: str, value: Any) -> mx.array:
        try:
            return mx.array(value)
        except (TypeError, ValueError) as error:
            raise type(error)(
                f"[{type(self).__name__}] {name} must be a number, a scalar array or a schedule (a callable) "
                f"but is of type {type(value).__name__}; parameters are passed to update, not here."
            ) from error

    def _advanced(self, gradients: Any, parameters: Any, log: StateLog) -> Any:
        """One step, on initialised state: schedules, the count, then every leaf."""
        state = self._state
        step = state["step"]
        for name, schedule in self._schedulers.items():
            value = schedule(step)
            state[name] = value if isinstance(value, mx.array) else self._as_array(name, value)
        state["step"] = step + 1
        if isinstance(gradients, dict):
            tree_state = state
        else:
            if _ROOT not in state:
                self.init(gradients)
            tree_state = state[_ROOT]
        self._scalar_cache = {}
        try:
            settings = self._settings()
            if settings is None:
                walk = TreeUpdate(type(self).__name__, self.init_single, self.apply_single, log)
                return walk.updated(gradients, parameters, tree_state, ())
            leaves = Leaves()
            walk = TreeUpdate(type(self).__name__, self.init_single, leaves.add, log)
            numbered = walk.updated(gradients, parameters, tree_state, ())
            return with_arrays(numbered, self._apply_formula(settings, leaves))
        finally:
            self._scalar_cache = None

    def _settings(self) -> tuple | None:
        """What this optimizer's formula depends on besides arrays; None where that cannot be told.

        The formulas of this package depend on their settings and the arrays that they get. Those of others may depend
        on anything.
        """
        if not type(self).__module__.startswith(f"{__package__}."):
            return None
        settings: list[Any] = [type(self)]
        for name, value in vars(self).items():
            if name not in _NO_SETTINGS:
                if not _is_plain(value):
                    return None
                settings.append((name, repr(value)))  # as text, in which 0.0 is not -0.0 and lists cannot change
        return tuple(settings)

    def _apply_formula(self, settings: tuple, leaves: Leaves) -> list[mx.array]:
        """``apply_single`` for all leaves, recorded as one step where it is known what it records."""

        def compute() -> list[mx.array]:
            return [x for leaf in leaves for x in (self.apply_single(*leaf), *leaf.state.values())]

        arrays: list[mx.array] = []
        names = []
        for gradient, parameter, state in leaves:
            arrays += (gradient, parameter, *state.values())
            names.append(tuple(state))
        for dtype in {x.dtype: None for x in arrays}:
            arrays += [scalar for scalar in self._scalars(dtype) if scalar is not None]
        results = iter(self._formulas((settings, tuple(names)), arrays, compute))
        updated = []
        for leaf, entries in zip(leaves, names, strict=True):
            updated.append(next(results))
            for name in entries:
                leaf.state[name] = next(results)
        return updated

    def _scalars(self, dtype: mx.Dtype) -> tuple:
        """The scalars of this step in a leaf's dtype, computed once for all leaves of that dtype."""
        cache = self._scalar_cache
        if cache is None:
            return self._step_scalars(dtype)
        scalars = cache.get(dtype)
        if scalars is None:
            scalars = cache[dtype] = self._step_scalars(dtype)
        return scalars

    def _step_scalars(self, dtype: mx.Dtype) -> tuple:
        """What the formula needs at each step and has in common for all leaves: here, the learning rate."""
        return (self._learning_rate_as(dtype),)

    def _learning_rate_as(self, dtype: mx.Dtype) -> mx.array:
        learning_rate = self._state["learning_rate"]
        return learning_rate if learning_rate.dtype == dtype else learning_rate.astype(dtype)


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str))


def _evaluate(state: dict) -> None:
    try:
        mx.eval(state)
    except ValueError:  # inside mx.compile, where there is nothing to evaluate
        pass


def _is_module(model: Any) -> bool:
    # Asked by attribute, not by class, so that optimizers need no import of mlx.nn.
    return type(model) is not dict and hasattr(model, "trainable_parameters")

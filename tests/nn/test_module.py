"""Module: what it stores, how it is walked, replaced, called with other parameters, frozen and saved."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

import mlx.core as mx
import mlx.nn as nn
from mlx.utils import tree_flatten, tree_map, tree_unflatten


class Mixed(nn.Module):
    """One entry of every kind that a module treats differently."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 3)
        self.weight = mx.zeros((2,))
        self._hidden = mx.ones((1,))
        self.parts = [nn.Linear(1, 1, bias=False), mx.zeros((1,)), 3, None]
        self.table = {"layer": nn.Identity(), "array": mx.zeros((4,)), "number": 4}
        self.pair = (mx.zeros((1,)), nn.ReLU())
        self.number = 3.0
        self.nothing = None

    def __call__(self, x):
        return self.linear(x) * self.parts[1]


def shapes(tree):
    return tree_map(lambda leaf: leaf.shape if isinstance(leaf, mx.array) else leaf, tree)


def two_layers():
    return nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))


def arrays_of(module):
    """Every array that the module holds, by path; arrays compare by identity here."""
    return {path: id(array) for path, array in tree_flatten(module.parameters())}


# Attributes


def test_containers_and_arrays_are_entries_and_the_rest_are_attributes():
    module = Mixed()
    assert list(module) == ["linear", "weight", "_hidden", "parts", "table", "pair"]
    assert module.number == 3.0
    assert module["linear"] is module.linear
    assert module.state is module


def test_assigning_another_kind_of_value_moves_an_attribute():
    module = Mixed()
    module.weight = 5
    assert "weight" not in module
    assert module.weight == 5
    module.weight = mx.ones((1,))
    assert "weight" in module
    assert "weight" not in vars(module)
    module.weight = None
    assert module.weight is None
    module.nothing = [1]
    assert module["nothing"] == [1]


def test_deleted_attributes_are_gone():
    module = Mixed()
    del module.weight
    del module.number
    assert not hasattr(module, "weight")
    assert not hasattr(module, "number")
    with pytest.raises(AttributeError):
        del module.weight


def test_missing_attributes_are_explained():
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'wieght'"):
        _ = nn.Linear(1, 1).wieght
    with pytest.raises(AttributeError, match=r"mlx\.utils\.tree_flatten\(model\.parameters\(\)\)"):
        _ = nn.Linear(1, 1).named_parameters

    class Forgetful(nn.Module):
        def __init__(self):
            self.weight = mx.zeros((1,))

    with pytest.raises(AttributeError, match=r"call super\(\).__init__\(\)"):
        Forgetful().trainable_parameters()


def test_a_property_that_fails_says_with_what():
    class Derived(nn.Module):
        @property
        def size(self):
            return self.weight.size

    with pytest.raises(AttributeError, match="has no attribute 'weight'"):
        _ = Derived().size


def test_training_has_no_setter():
    with pytest.raises(AttributeError):
        nn.Linear(1, 1).training = False


def test_repr_shows_the_tree_of_modules():
    assert repr(Mixed()) == (
        "Mixed(\n"
        "  (linear): Linear(input_dims=2, output_dims=3, bias=True)\n"
        "  (parts.0): Linear(input_dims=1, output_dims=1, bias=False)\n"
        "  (table.layer): Identity()\n"
        ")"
    )
    assert repr(nn.Sequential(nn.Sequential(nn.ReLU()))) == (
        "Sequential(\n  (layers.0): Sequential(\n    (layers.0): ReLU()\n  )\n)"
    )


def test_modules_copy_and_pickle():
    module = two_layers().freeze(keys="bias").eval()
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert twin is not module
        assert not twin.layers[0].training
        assert twin.layers[0]._no_grad == {"bias"}
        assert twin.layers[2].weight.tolist() == module.layers[2].weight.tolist()
        twin.layers[2].weight = mx.zeros((1, 3))
        assert mx.any(module.layers[2].weight != 0).item()


# Walks


def test_parameters_are_the_public_arrays_outside_tuples():
    assert shapes(Mixed().parameters()) == {
        "linear": {"weight": (3, 2), "bias": (3,)},
        "weight": (2,),
        "parts": [{"weight": (1, 1)}, (1,), {}, {}],
        "table": {"layer": {}, "array": (4,), "number": {}},
    }


def test_children_and_leaf_modules():
    module = Mixed()
    children = module.children()
    assert children["linear"] is module.linear
    assert children["parts"] == [module.parts[0], {}, {}, {}]
    assert children["table"] == {"layer": module.table["layer"], "array": {}, "number": {}}
    nested = nn.Sequential(two_layers(), nn.Sequential(nn.Identity()), mx.exp)
    leaves = tree_flatten(nested.leaf_modules(), is_leaf=nn.Module.is_module)
    assert [(path, type(leaf)) for path, leaf in leaves] == [
        ("layers.0.layers.0", nn.Linear),
        ("layers.0.layers.1", nn.ReLU),
        ("layers.0.layers.2", nn.Linear),
        ("layers.1.layers.0", nn.Identity),
    ]


def test_modules_are_listed_with_their_paths():
    module = Mixed()
    assert [path for path, _ in module.named_modules()] == ["", "table.layer", "parts.0", "linear"]
    assert module.modules() == [module, module.table["layer"], module.parts[0], module.linear]
    seen = []
    assert module.apply_to_modules(lambda path, child: seen.append((path, child))) is module
    assert seen == module.named_modules()


def test_filter_and_map_passes_paths_inside_the_owner():
    seen = []

    def record(module, path, value):
        seen.append((type(module).__name__, path))
        return not isinstance(value, mx.array) or value.size > 1

    tree = Mixed().filter_and_map(record, lambda leaf: leaf.size if isinstance(leaf, mx.array) else leaf)
    assert tree["linear"] == {"weight": 6, "bias": 3}
    assert tree["parts"] == [{}, {}, 3, None]
    assert "_hidden" not in tree
    assert ("Mixed", "table.array") in seen
    assert ("Linear", "weight") in seen
    with pytest.raises(RuntimeError, match=r"is_leaf_fn rejects 'weight', a array"):
        nn.Linear(1, 1).filter_and_map(lambda *_: True, is_leaf_fn=lambda *_: False)


# Update


def test_update_replaces_part_of_the_parameters_in_place():
    module = Mixed()
    parts, array = module.parts, mx.ones((1,))
    assert module.update({"parts": [{}, array], "linear": {"bias": mx.ones((3,))}}) is module
    assert module.parts is parts
    assert parts[1] is array
    assert module.linear.bias.tolist() == [1, 1, 1]


def test_update_accepts_what_parameters_returns():
    module = Mixed()
    assert module.update(module.parameters()) is module
    model = nn.Sequential(nn.Linear(1, 1), mx.exp)
    model.update(model.parameters())


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"wieght": mx.zeros(1)}, r"no parameter named 'wieght'\. Did you mean 'weight'\?"),
        ({"linear": {"bais": mx.zeros(1)}}, r"named 'linear\.bais'\. Did you mean 'bias'\?"),
        ({"linear": {"weight": 3}}, r"invalid type int at 'linear\.weight', where the module holds an array"),
        ({"linear": mx.zeros(1)}, "invalid type array at 'linear', where the module holds a module"),
        ({"parts": [{}, {}, 5]}, r"invalid type dict at 'parts\.1'"),
        ({"parts": [{}, mx.zeros(1), mx.zeros(1)]}, r"'parts\.2', where the module holds int"),
        ({"parts": [{}] * 5}, "invalid type dict"),
        ({"parts": {"0": {}}}, "invalid type dict at 'parts', where the module holds a list"),
        ({"table": {"other": mx.zeros(1)}}, r"named 'table\.other'"),
        ({"table": [mx.zeros(1)]}, "where the module holds a dictionary"),
        ({"pair": [mx.zeros(1)]}, "where the module holds tuple"),
        ({"number": mx.zeros(1)}, "named 'number'"),
        ({"weight": None}, "invalid type NoneType at 'weight'"),
        (mx.zeros(1), "at the root"),
    ],
)
def test_update_that_does_not_fit_changes_nothing(tree, message):
    module = Mixed()
    before = arrays_of(module)
    if isinstance(tree, dict):
        tree = {"_hidden": mx.zeros(1), **tree}
    hidden = module._hidden
    with pytest.raises(ValueError, match=r"^\[Module\.update\] .*" + message):
        module.update(tree)
    assert arrays_of(module) == before
    assert module._hidden is hidden


def test_update_that_is_not_strict_skips_what_does_not_fit():
    module = Mixed()
    module.update(
        {"weight": mx.ones((2,)), "linear": {"other": mx.ones(1)}, "parts": [{}, 5, 6, 7, 8], "new": 1},
        strict=False,
    )
    assert module.weight.tolist() == [1, 1]
    assert module.parts[1].tolist() == [0]
    assert "new" not in module
    assert list(module.linear) == ["weight", "bias"]


def test_update_modules():
    model = two_layers()
    replacement = nn.Linear(3, 5)
    assert model.update_modules({"layers": [{}, {}, replacement]}) is model
    assert model.layers[2] is replacement
    assert model.update_modules(model.children()) is model
    assert model.update_modules(model.leaf_modules()) is model
    model.update_modules({"layers": [{}, {}, {}, nn.ReLU()], "more": nn.ReLU()}, strict=False)
    assert len(model.layers) == 3


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"more": nn.ReLU()}, "no sub-module named 'more'"),
        ({"layers": [3]}, r"invalid type int at 'layers\.0'"),
        ({"layers": [{}, {}, {}, {}]}, "'layers' has 3 entries in the module, got a list of 4"),
        ({"layers": [{"weight": nn.ReLU()}]}, r"at 'layers\.0\.weight', where the module holds an array"),
        ({"layers": [mx.exp]}, "invalid type"),
    ],
)
def test_update_modules_that_does_not_fit_changes_nothing(tree, message):
    model = two_layers()
    before = list(model.layers)
    with pytest.raises(ValueError, match=r"^\[Module\.update_modules\] .*" + message):
        model.update_modules(tree)
    assert all(a is b for a, b in zip(model.layers, before, strict=True))


# Apply


def test_apply_calls_with_other_parameters_and_leaves_the_module_alone():
    model = two_layers()
    before = arrays_of(model)
    x = mx.array([[1.0, -2.0]])
    params = tree_map(mx.ones_like, model.parameters())
    # hidden units: relu(1 - 2 + 1) = 0, output: 0 + 0 + 0 + 1
    assert model.apply(params, x).tolist() == [[1.0]]
    assert arrays_of(model) == before


def test_apply_with_part_of_the_parameters_uses_the_own_ones_for_the_rest():
    model = nn.Linear(2, 1)
    model.weight = mx.array([[1.0, 2.0]])
    x = mx.array([10.0, 20.0])
    assert model.apply({"bias": mx.array([0.5])}, x).tolist() == [50.5]
    assert model.apply({}, x).tolist() == model(x).tolist()
    nested = nn.Sequential(nn.Identity(), model)
    assert nested.apply(tree_unflatten([("layers.1.bias", mx.array([0.5]))]), x).tolist() == [50.5]


def test_apply_passes_arguments_on():
    class Affine(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = mx.array(1.0)

        def __call__(self, x, *, shift):
            return self.scale * x + shift, "extra"

    y, extra = Affine().apply({"scale": mx.array(3.0)}, mx.array(2.0), shift=0.5)
    assert (y.item(), extra) == (6.5, "extra")


def test_apply_restores_after_an_exception():
    class Failing(nn.Module):
        def __init__(self):
            super().__init__()
            self.weights = [mx.zeros((1,)), {"a": mx.zeros((1,))}]

        def __call__(self):
            assert self.weights[1]["a"].item() == 7
            raise RuntimeError("inside")

    module = Failing()
    before = arrays_of(module)
    with pytest.raises(RuntimeError, match="inside"):
        module.apply({"weights": [mx.ones((1,)), {"a": mx.array([7.0])}]})
    assert arrays_of(module) == before


def test_apply_refuses_unknown_names_and_leaves_the_module_alone():
    model = two_layers()
    before = arrays_of(model)
    weight = mx.zeros((3, 2))
    with pytest.raises(ValueError, match=r"^\[Module\.apply\] .*'layers\.0\.wieght'\. Did you mean 'weight'\?"):
        model.apply({"layers": [{"weight": weight, "wieght": weight}]}, mx.zeros((1, 2)))
    with pytest.raises(ValueError, match=r"^\[Module\.apply\] Received invalid type float at 'layers\.0\.bias'"):
        model.apply({"layers": [{"weight": weight, "bias": 1.0}]}, mx.zeros((1, 2)))
    assert arrays_of(model) == before
    with pytest.raises(TypeError, match=r"a tree of arrays .* or a function"):
        model.apply(3)


def test_apply_is_differentiable_and_pure():
    model = nn.Linear(2, 1)
    params = {"weight": mx.array([[1.0, 2.0]]), "bias": mx.array([0.5])}

    def loss_fn(params, x):
        return model.apply(params, x).square().sum()

    x = mx.array([[1.0, 1.0]])
    value, grads = mx.value_and_grad(loss_fn)(params, x)
    assert value.item() == 12.25
    assert grads["weight"].tolist() == [[7.0, 7.0]]
    assert grads["bias"].tolist() == [7.0]
    assert params["bias"].tolist() == [0.5]
    assert model.apply(params, x).tolist() == [[3.5]]


def test_apply_keeps_state_that_is_not_among_the_parameters_given():
    norm = nn.BatchNorm(1)
    x = mx.array([[1.0], [3.0]])
    norm.apply(norm.trainable_parameters(), x)
    assert norm.running_mean.tolist() == pytest.approx([0.2])
    before = arrays_of(norm)
    norm.apply(norm.parameters(), x)
    assert arrays_of(norm) == before


def test_apply_with_shared_submodules_restores_them():
    shared = nn.Linear(1, 1)
    model = nn.Sequential(shared, shared)
    weight = shared.weight
    model.apply(tree_map(mx.zeros_like, model.parameters()), mx.ones((1, 1)))
    assert shared.weight is weight


def test_apply_with_a_function_maps_the_parameters():
    model = two_layers()
    assert model.apply(lambda array: array.astype(mx.float16)) is model
    assert {array.dtype for _, array in tree_flatten(model.parameters())} == {mx.float16}

    def is_bias(module, path, value):
        return nn.Module.valid_parameter_filter(module, path, value) and path != "weight"

    model.apply(mx.zeros_like, is_bias)
    assert model.layers[0].bias.tolist() == [0, 0, 0]
    assert mx.any(model.layers[0].weight != 0).item()
    model.apply(map_fn=mx.ones_like, filter_fn=is_bias)
    assert model.layers[0].bias.tolist() == [1, 1, 1]


# Freezing and modes


def trainable_names(module):
    return {path for path, _ in tree_flatten(module.trainable_parameters())}


def test_freeze_and_unfreeze_everything():
    module = Mixed()
    assert module.freeze() is module
    assert trainable_names(module) == set()
    module.unfreeze(keys="weight")
    assert trainable_names(module) == {"linear.weight", "parts.0.weight", "weight"}
    module.unfreeze()
    assert trainable_names(module) == set(arrays_of(module))


def test_freeze_by_name_and_depth():
    module = Mixed()
    module.freeze(keys=["bias", "array"])
    assert "linear.bias" not in trainable_names(module)
    assert "linear.weight" in trainable_names(module)
    module.unfreeze()
    module.freeze(recurse=False)
    assert trainable_names(module) == {"linear.weight", "linear.bias", "parts.0.weight"}
    module.unfreeze(recurse=False)
    module.freeze(keys="linear")
    assert not any(name.startswith("linear") for name in trainable_names(module))


def test_strict_freeze_looks_in_all_modules():
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1))
    model.freeze(keys="bias", strict=True)
    assert trainable_names(model) == {"layers.0.weight", "layers.1.weight"}
    model.unfreeze(keys="bias", strict=True)
    for change in (model.freeze, model.unfreeze):
        with pytest.raises(KeyError, match=f"{change.__name__}.*No module has a member 'wieght'"):
            change(keys=["bias", "wieght"], strict=True)
        with pytest.raises(KeyError):
            change(keys="bias", strict=True, recurse=False)
    assert len(trainable_names(model)) == 3


def test_keys_to_freeze_are_names():
    for change in (nn.Linear(1, 1).freeze, nn.Linear(1, 1).unfreeze):
        with pytest.raises(TypeError, match=rf"\[Module\.{change.__name__}\] keys must be a name or a list of names"):
            change(keys=3)


def test_subclasses_can_keep_parameters_frozen():
    model = nn.Sequential(nn.BatchNorm(1))
    model.freeze().unfreeze()
    assert trainable_names(model) == {"layers.0.weight", "layers.0.bias"}


def test_train_and_eval_reach_all_modules():
    module = Mixed()
    assert module.eval() is module
    assert [child.training for child in module.modules()] == [False] * 4
    module.train()
    assert all(child.training for child in module.modules())
    module.train(False)
    assert not module.linear.training


def test_set_dtype_casts_floating_parameters():
    module = nn.Linear(1, 1)
    module.counts = mx.zeros((1,), mx.int32)
    assert module.set_dtype(mx.bfloat16) is module
    assert (module.weight.dtype, module.counts.dtype) == (mx.bfloat16, mx.int32)
    module.set_dtype(mx.int64, lambda dtype: dtype == mx.int32)
    assert (module.weight.dtype, module.counts.dtype) == (mx.bfloat16, mx.int64)
    module.set_dtype(mx.float32, predicate=None)
    assert module.counts.dtype == mx.float32


def test_set_dtype_refuses_what_is_no_dtype():
    with pytest.raises(TypeError, match=r"^\[Module\.set_dtype\] dtype must be a Dtype"):
        nn.Linear(1, 1).set_dtype("float16")


# Copies


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))], ids=["deepcopy", "pickle"]
)
def test_copies_are_independent(copied):
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm(2), nn.Dropout(0.25), Mixed())
    model.layers[0].freeze()
    model.eval()
    twin = copied(model)
    assert trainable_names(twin) == trainable_names(model)
    assert not any(module.training for module in twin.modules())
    assert [type(module) for module in twin.modules()] == [type(module) for module in model.modules()]
    assert twin.layers[3].number == 3.0
    assert type(twin.layers[3].pair) is tuple
    for (path, array), (_, other) in zip(
        tree_flatten(model.parameters()), tree_flatten(twin.parameters()), strict=True
    ):
        assert array is not other, path
        assert mx.array_equal(array, other), path
    before = arrays_of(model)
    twin.unfreeze().train()
    twin.apply(mx.zeros_like)
    twin.extra = mx.zeros(1)
    assert arrays_of(model) == before
    assert "layers.0.weight" not in trainable_names(model)
    assert not model.training


def test_a_shallow_copy_shares_what_the_module_holds():
    module = Mixed()
    twin = copy.copy(module)
    assert twin.linear is module.linear
    assert twin.parts is module.parts
    twin.weight = mx.ones((2,))
    assert module.weight.tolist() == [0, 0]


def test_copies_keep_sharing_inside():
    shared = nn.Linear(1, 1)
    twin = copy.deepcopy(nn.Sequential(shared, shared))
    assert twin.layers[0] is twin.layers[1]
    assert twin.layers[0] is not shared


# Files


@pytest.mark.parametrize("name", ["weights.npz", "weights.safetensors"])
def test_weights_survive_a_file(tmp_path, name):
    model, twin = Mixed(), Mixed()
    model.save_weights(str(tmp_path / name))
    assert twin.load_weights(str(tmp_path / name)) is twin
    for (path, array), (_, loaded) in zip(
        tree_flatten(model.parameters()), tree_flatten(twin.parameters()), strict=True
    ):
        np.testing.assert_array_equal(array, loaded, err_msg=path)
    model.save_weights(tmp_path / name)
    twin.load_weights(tmp_path / name)


def test_unknown_file_formats_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\[Module\.save_weights\] .* end in \.npz or \.safetensors"):
        nn.Linear(1, 1).save_weights(str(tmp_path / "weights.bin"))


def test_weights_load_from_pairs_and_dictionaries():
    layer = nn.Linear(2, 1)
    weight, bias = mx.array([[1.0, 2.0]]), mx.array([3.0])
    assert layer.load_weights([("weight", weight), ("bias", bias)]).bias is bias
    assert layer.load_weights({"weight": weight, "bias": mx.zeros((1,))}).weight is weight


@pytest.mark.parametrize("weights", [3, None, ["weight"], [("weight", mx.zeros(1), 1)]])
def test_weights_are_a_file_or_pairs(weights):
    with pytest.raises(
        TypeError, match=r"^\[Module\.load_weights\] Expected the name of a file, \(name, array\) pairs"
    ):
        nn.Linear(1, 1).load_weights(weights)


def test_weights_load_under_numeric_keys_of_a_dictionary():
    class Numbered(nn.Module):
        def __init__(self):
            super().__init__()
            self.weights = {"0": mx.zeros((1,)), "1": mx.zeros((1,))}

    module = Numbered().load_weights([("weights.0", mx.ones((1,)))], strict=False)
    assert module.weights["0"].tolist() == [1]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([("weight", mx.zeros((1, 2)))], "Missing 1 parameters: bias"),
        (
            [("weihgt", mx.zeros((1, 2))), ("bias", mx.zeros(1))],
            "not in model: weihgt. Did you mean 'weight'",
        ),
        ([("weight", mx.zeros((2, 1))), ("bias", mx.zeros(1))], r"Expected shape \(1, 2\) for 'weight'"),
        ([("weight", mx.zeros((1, 2))), ("bias", 3)], "Expected an array for 'bias', got int"),
        ([("bias", mx.zeros(1)), ("bias", mx.zeros(1)), ("weight", mx.zeros((1, 2)))], "twice: bias"),
    ],
)
def test_weights_that_do_not_fit_change_nothing(pairs, message):
    layer = nn.Linear(2, 1)
    before = arrays_of(layer)
    with pytest.raises(ValueError, match=r"^\[Module\.load_weights\] .*" + message):
        layer.load_weights(pairs)
    assert arrays_of(layer) == before


def test_loading_that_is_not_strict_takes_what_it_finds():
    model = nn.Sequential(nn.Linear(2, 1))
    model.load_weights([("layers.0.bias", mx.ones((1,))), ("layers.1.bias", mx.ones((1,)))], strict=False)
    assert model.layers[0].bias.tolist() == [1]
    assert len(model.layers) == 1
    model.load_weights([], strict=False)


def test_apply_lets_go_of_its_arguments_at_once() -> None:
    layer = nn.Linear(2, 2)
    weight = mx.zeros((2, 2))
    alive = weakref.ref(weight)
    gc.disable()  # a cycle would keep them until the collector comes
    try:
        layer.apply({"weight": weight}, mx.ones((1, 2)))
        del weight
        assert alive() is None
    finally:
        gc.enable()


def test_freezing_a_shallow_copy_leaves_the_original():
    module = nn.Linear(1, 1)
    twin = copy.copy(module)
    twin.freeze()
    assert trainable_names(module) == {"weight", "bias"}
    module.freeze(keys="bias")
    twin.unfreeze()
    assert trainable_names(module) == {"weight"}
    assert trainable_names(twin) == {"weight", "bias"}


# What fails changes nothing, wherever in the tree the mistake is


def deep():
    """Leaves in lists, dictionaries and modules; the last one is parts.1.table.last."""
    module = nn.Module()
    module.first = nn.Linear(2, 3)
    inner = nn.Module()
    inner.table = {"scale": mx.ones((2,)), "last": mx.zeros((2, 2))}
    module.parts = [mx.zeros((4,)), inner]
    module.first.freeze(keys="bias")
    return module


def snapshot(module):
    return arrays_of(module), trainable_names(module), [(path, id(child)) for path, child in module.named_modules()]


LAST = "parts.1.table.last"


@pytest.mark.parametrize("wrong", ["name", "type", "container"])
def test_an_update_with_a_mistake_in_its_last_leaf(wrong):
    module = deep()
    before = snapshot(module)
    tree = tree_map(lambda array: array + 1, module.parameters())
    table = tree["parts"][1]["table"]
    if wrong == "name":
        table["lats"] = table.pop("last")
        message = rf"no parameter named '{LAST[:-4]}lats'\. Did you mean 'last'\?"
    else:
        table["last"] = 3.0 if wrong == "type" else {"x": mx.zeros((2, 2))}
        message = f"invalid type {'float' if wrong == 'type' else 'dict'} at '{LAST}'"
    with pytest.raises(ValueError, match=r"^\[Module\.update\] .*" + message):
        module.update(tree)
    assert snapshot(module) == before


@pytest.mark.parametrize("source", ["pairs", "npz", "safetensors"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda weights: weights.update({LAST: mx.zeros((2, 3))}),
            rf"Expected shape \(2, 2\) for '{LAST}', got \(2, 3\)",
        ),
        (lambda weights: weights.pop(LAST), f"Missing 1 parameters: {LAST}"),
        (
            lambda weights: weights.update({f"{LAST}s": weights.pop(LAST)}),
            f"not in model: {LAST}s. Did you mean '{LAST}'",
        ),
    ],
    ids=["shape", "missing", "name"],
)
def test_weights_with_a_mistake_in_their_last_leaf(tmp_path, source, change, message):
    module = deep()
    before = snapshot(module)
    weights = {path: array + 1 for path, array in tree_flatten(module.parameters())}
    change(weights)
    given = weights
    if source != "pairs":
        given = str(tmp_path / f"weights.{source}")
        (mx.savez(given, **weights) if source == "npz" else mx.save_safetensors(given, weights))
    with pytest.raises(ValueError, match=r"^\[Module\.load_weights\] .*" + message):
        module.load_weights(given)
    assert snapshot(module) == before


@pytest.mark.parametrize("name", ["weights.npz", "weights.safetensors"])
def test_a_file_that_ends_too_early(tmp_path, name):
    module = deep()
    module.save_weights(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) * 2 // 3])
    before = snapshot(module)
    with pytest.raises((ValueError, RuntimeError), match=r"^\[load"):
        module.load_weights(tmp_path / name)
    assert snapshot(module) == before


@pytest.mark.parametrize("last", [None, 3.0, RuntimeError])
def test_a_function_of_parameters_that_fails_at_the_last_one(last):
    module = deep()
    before = snapshot(module)

    def doubled(array):
        if array.shape != (2, 2):
            return 2 * array
        if last is RuntimeError:
            raise RuntimeError("at the last")
        return last

    with pytest.raises(RuntimeError if last is RuntimeError else ValueError):
        module.apply(doubled)
    with pytest.raises(ZeroDivisionError):
        module.set_dtype(mx.float16, predicate=lambda dtype: 1 / 0)
    assert snapshot(module) == before


def test_modules_with_a_mistake_in_the_last_one():
    model = nn.Sequential(nn.Linear(1, 1), nn.Sequential(nn.ReLU(), nn.Linear(1, 1)))
    before = snapshot(model)
    with pytest.raises(ValueError, match=r"no sub-module named 'layers\.1\.layer'\. Did you mean 'layers'"):
        model.update_modules({"layers": [nn.Tanh(), {"layer": nn.Tanh()}]})
    with pytest.raises(ValueError, match=r"invalid type int at 'layers\.1\.layers\.1'"):
        model.update_modules({"layers": [nn.Tanh(), {"layers": [nn.Tanh(), 3]}]})
    assert snapshot(model) == before


def test_names_that_the_class_has_are_not_hidden_entries():
    class Named(nn.Module):
        limit = 5
        slot = None

        def __init__(self):
            super().__init__()
            self.mro = mx.zeros((1,))  # has only the class of classes

        @property
        def scale(self):
            return 2 * self.base

        @scale.setter
        def scale(self, value):
            self.base = value / 2

    module = Named()
    assert module.mro.tolist() == [0]
    module.scale = mx.array(6.0)
    assert list(module) == ["mro", "base"]
    assert (module.scale.item(), module.base.item()) == (6.0, 3.0)
    module.limit = 7
    assert module.limit == 7
    for name, what in (
        ("limit", "an attribute of the class Named"),
        ("slot", "an attribute of the class Named"),
        ("training", "an attribute of the class Module"),
        ("parameters", "an attribute of the class Module"),
        ("items", "a method of dict"),
    ):
        for value in (mx.zeros((1,)), [], nn.ReLU()):
            with pytest.raises(AttributeError, match=rf"^\[Named\] '{name}' cannot hold an array .*, since {what}"):
                setattr(module, name, value)
    assert list(module) == ["mro", "base"]

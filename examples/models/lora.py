"""Low-rank adaptation: a network that knows the digits learns them turned upside down, and only its adapters move."""

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from common import batch, digits, run
from mlx.utils import tree_flatten, tree_map_with_path


class LoRALinear(nn.Module):
    """A linear layer with a trainable change of low rank: y = W x + b + B A x, where B starts at zero."""

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__()
        outputs, inputs = linear.weight.shape
        self.linear = linear
        self.a = mx.random.normal((rank, inputs)) / inputs**0.5
        self.b = mx.zeros((outputs, rank))

    def __call__(self, x: mx.array) -> mx.array:
        return self.linear(x) + x @ self.a.T @ self.b.T


def adapted(model: nn.Module, rank: int) -> nn.Module:
    """The model with its linear layers adapted and all else frozen."""

    def replaced(path: str, layer: nn.Module) -> nn.Module:
        return LoRALinear(layer, rank) if isinstance(layer, nn.Linear) else layer

    model.freeze()
    return model.update_modules(tree_map_with_path(replaced, model.leaf_modules(), is_leaf=nn.Module.is_module))


def fit(model: nn.Module, images: mx.array, labels: mx.array, steps: int, rate: float) -> list[float]:
    def loss_fn(x: mx.array, y: mx.array) -> mx.array:
        return nn.losses.cross_entropy(model(x), y, reduction="mean")

    optimizer = optim.Adam(rate)
    losses = []
    for _ in range(steps):
        loss, grads = nn.value_and_grad(model, loss_fn)(*batch(128, images, labels))
        optimizer.update(model, grads)
        losses.append(loss)
    return mx.stack(losses).tolist()


def train(steps: int) -> list[float]:
    images, labels = digits()
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    fit(model, images.flatten(1), labels, steps, 3e-3)
    before = [array.tolist() for _, array in tree_flatten(model.parameters())]

    adapted(model, rank=8)
    turned = images[:, ::-1, ::-1].flatten(1)
    losses = fit(model, turned, labels, steps, 1e-2)

    frozen = [array.tolist() for _, array in tree_flatten(model.frozen_parameters())]
    assert sorted(map(str, frozen)) == sorted(map(str, before)), "the frozen weights moved"
    count = sum(array.size for _, array in tree_flatten(model.trainable_parameters()))
    print(
        f"{count} numbers were trained beside {sum(a.size for _, a in tree_flatten(model.frozen_parameters()))} frozen"
    )
    return losses


if __name__ == "__main__":
    raise SystemExit(run(train, steps=200, goal=0.25))

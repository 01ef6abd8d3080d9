"""A perceptron with two hidden layers, in the module form: `nn.value_and_grad` and an update in place."""

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from common import batch, digits, run


def train(steps: int) -> list[float]:
    images, labels = digits()
    images = images.flatten(1)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = optim.AdamW(3e-3)

    def loss_fn(x: mx.array, y: mx.array) -> mx.array:
        return nn.losses.cross_entropy(model(x), y, reduction="mean")

    loss_and_grads = nn.value_and_grad(model, loss_fn)
    losses = []
    for _ in range(steps):
        loss, grads = loss_and_grads(*batch(128, images, labels))
        optimizer.update(model, grads)
        losses.append(loss)
    return mx.stack(losses).tolist()


if __name__ == "__main__":
    raise SystemExit(run(train, steps=200, goal=0.15))

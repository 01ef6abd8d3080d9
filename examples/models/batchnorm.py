"""A convolutional network with batch normalisation and dropout, as a pure function.

The running statistics are part of a state that goes in and comes out, and dropout draws from a key, so the whole step
is one compiled function of its arguments.
"""

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from common import batch, digits, run


class Net(nn.Module):
    """Images (N, 8, 8, 1) to logits (N, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = [
            *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm(16), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm(32), nn.ReLU(), nn.MaxPool2d(2)),
        ]
        self.dropout = nn.Dropout(0.25)
        self.classifier = nn.Linear(4 * 32, 10)

    def __call__(self, x: mx.array) -> mx.array:
        for layer in self.layers:
            x = layer(x)
        return self.classifier(self.dropout(x.flatten(1)))


def train(steps: int) -> list[float]:
    images, labels = digits()
    images = images[..., None]
    net = Net()
    optimizer = optim.Adam(3e-3)

    def loss_fn(params: dict, state: dict, key: mx.array, x: mx.array, y: mx.array) -> tuple[mx.array, dict]:
        logits, state = net.apply(params, x, state=state, key=key)
        return nn.losses.cross_entropy(logits, y, reduction="mean"), state

    @mx.compile
    def step(params: dict, state: dict, opt_state: dict, key: mx.array, x: mx.array, y: mx.array) -> tuple:
        (loss, state), grads = mx.value_and_grad(loss_fn)(params, state, key, x, y)
        params, opt_state = optimizer.update(params, grads, opt_state)
        return loss, params, state, opt_state

    params, state = net.trainable_parameters(), net.frozen_parameters()
    opt_state = optimizer.init(params)
    losses = []
    for key in mx.random.split(mx.random.key(1), steps):
        loss, params, state, opt_state = step(params, state, opt_state, key, *batch(64, images, labels))
        losses.append(loss)

    net.update(params).update(state).eval()
    accuracy = (net(images).argmax(axis=1) == labels).astype(mx.float32).mean()
    print(f"accuracy with the running statistics: {accuracy.item():.1%}")
    return mx.stack(losses).tolist()


if __name__ == "__main__":
    raise SystemExit(run(train, steps=100, goal=0.4))

"""An LSTM that reads each digit pixel by pixel, 64 steps, and names it at the end."""

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from common import batch, digits, run


class Reader(nn.Module):
    """Sequences (N, L, D) to logits (N, 10)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(1, hidden)
        self.classifier = nn.Linear(hidden, 10)

    def __call__(self, x: mx.array) -> mx.array:
        states, _ = self.lstm(x)
        return self.classifier(states[:, -1])


def train(steps: int) -> list[float]:
    images, labels = digits()
    sequences = images.reshape(-1, 64, 1)
    model = Reader(64)
    optimizer = optim.Adam(5e-3)

    def loss_fn(params: dict, x: mx.array, y: mx.array) -> mx.array:
        return nn.losses.cross_entropy(model.apply(params, x), y, reduction="mean")

    params = model.parameters()
    losses = []
    for _ in range(steps):
        loss, grads = mx.value_and_grad(loss_fn)(params, *batch(64, sequences, labels))
        grads, _ = optim.clip_grad_norm(grads, 1.0)
        params = optimizer.update(params, grads)
        losses.append(loss)
    return mx.stack(losses).tolist()


if __name__ == "__main__":
    raise SystemExit(run(train, steps=300, goal=1.0))

"""Eight networks, each from its own start and with its own learning rate, trained as one by `vmap`."""

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from common import batch, digits, run
from mlx.utils import tree_map

MEMBERS = 8


def train(steps: int) -> list[float]:
    images, labels = digits()
    images = images.flatten(1)
    members = [nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)) for _ in range(MEMBERS)]
    net, optimizer = members[0], optim.Adam(0.0)

    def loss_fn(params: dict, x: mx.array, y: mx.array) -> mx.array:
        return nn.losses.cross_entropy(net.apply(params, x), y, reduction="mean")

    def step(params: dict, state: dict, x: mx.array, y: mx.array) -> tuple[mx.array, dict, dict]:
        loss, grads = mx.value_and_grad(loss_fn)(params, x, y)
        return loss, *optimizer.update(params, grads, state)

    steps_together = mx.compile(mx.vmap(step, in_axes=(0, 0, None, None)))
    params = tree_map(lambda *arrays: mx.stack(arrays), *(member.parameters() for member in members))
    state = mx.vmap(optimizer.init)(params)
    state["learning_rate"] = 10 ** mx.linspace(-4, -2, MEMBERS)
    losses = []
    for _ in range(steps):
        loss, params, state = steps_together(params, state, *batch(128, images, labels))
        losses.append(loss)

    logits = mx.vmap(net.apply, in_axes=(0, None))(params, images)
    agreed = (mx.softmax(logits, axis=-1).mean(axis=0).argmax(axis=-1) == labels).astype(mx.float32).mean()
    print("losses by learning rate:", " ".join(f"{x:.3f}" for x in losses[-1].tolist()))
    print(f"accuracy of the mean of all: {agreed.item():.1%}")
    return mx.stack(losses).min(axis=1).tolist()


if __name__ == "__main__":
    raise SystemExit(run(train, steps=200, goal=0.15))

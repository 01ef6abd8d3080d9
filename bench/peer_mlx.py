"""The workloads in MLX's API, for mlx-xla and for the reference alike: whichever `mlx` is installed runs.

Variants: `functional`, the form that mlx-xla documents (its own only); `module`, MLX's form with `mx.eval`
after each step; `compiled`, the module form under `mx.compile`, with the state as MLX's documentation has it;
`pipelined`, the same without `mx.eval` (mlx-xla only, where a compiled step runs without being asked for).
"""

import importlib.metadata
from collections.abc import Callable
from functools import partial

import numpy as np

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from common import (
    CHAIN_SIZE,
    CNN,
    DOCUMENTED,
    LEARNING_RATE,
    MLP,
    TRANSFORMER,
    WEIGHT_DECAY,
    Work,
    elementwise_chain,
    run_peer,
)

Call = Callable[[mx.array], mx.array]
Loss = Callable[..., mx.array]
Batch = Callable[[], tuple[mx.array, ...]]


class ConvNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        first, second = CNN["channels"]
        self.features = nn.Sequential(
            nn.Conv2d(1, first, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(first, second, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Linear(second * (CNN["side"] // 4) ** 2, CNN["classes"])

    def __call__(self, images: mx.array) -> mx.array:
        return self.classifier(self.features(images).flatten(1))


class LanguageModel(nn.Module):
    def __init__(self, size: dict[str, int]) -> None:
        super().__init__()
        width = size["width"]
        self.token = nn.Embedding(size["vocabulary"], width)
        self.position = nn.Embedding(size["length"], width)
        self.encoder = nn.TransformerEncoder(size["layers"], width, size["heads"], norm_first=True)
        self.output = nn.Linear(width, size["vocabulary"])

    def __call__(self, tokens: mx.array) -> mx.array:
        length = tokens.shape[1]
        mask = nn.MultiHeadAttention.create_additive_causal_mask(length)
        return self.output(self.encoder(self.token(tokens) + self.position(mx.arange(length)), mask))


def train(model: nn.Module, loss: Loss, batch: Batch, variant: str) -> Work:
    """Forward, backward and AdamW; `loss(call, *batch)` where `call` is the model with its parameters."""
    optimizer = optim.AdamW(LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    if variant == "functional":
        return functional(model, loss, batch, optimizer)
    loss_and_grads = nn.value_and_grad(model, partial(loss, model))
    state = [model.state, optimizer.state, mx.random.state]

    def update() -> mx.array:
        value, grads = loss_and_grads(*batch())
        optimizer.update(model, grads)
        return value

    if variant in ("compiled", "pipelined"):
        update = mx.compile(update, inputs=state, outputs=state)
    if variant == "pipelined":
        return Work(update, lambda: mx.eval(state))

    def step() -> None:
        mx.eval(update(), state)

    return Work(step, lambda: None)


def functional(model: nn.Module, loss: Loss, batch: Batch, optimizer: optim.Optimizer) -> Work:
    """The documented loop: parameters go in and come out, nothing is evaluated on the way."""
    params = model.parameters()
    value = mx.array(0.0)

    def loss_fn(params: dict, *data: mx.array) -> mx.array:
        return loss(partial(model.apply, params), *data)

    def step() -> None:
        nonlocal params, value
        value, grads = mx.value_and_grad(loss_fn)(params, *batch())
        params = optimizer.update(params, grads)

    return Work(step, lambda: (mx.eval(params), value.item()))


def mean_squared_error(call: Call, x: mx.array, y: mx.array) -> mx.array:
    return mx.mean((call(x) - y) ** 2)


def cross_entropy(call: Call, x: mx.array, labels: mx.array) -> mx.array:
    return nn.losses.cross_entropy(call(x), labels, reduction="mean")


def labelled(images: tuple[int, ...], classes: int) -> Batch:
    """The same random images and labels at each step."""
    rng = np.random.default_rng(0)
    x = mx.array(rng.standard_normal(images, dtype=np.float32))
    y = mx.array(rng.integers(classes, size=images[0], dtype=np.int32))
    return lambda: (x, y)


def documented(variant: str) -> Work:
    size = DOCUMENTED
    model = nn.Sequential(
        nn.Linear(size["inputs"], size["hidden"]), nn.ReLU(), nn.Linear(size["hidden"], size["outputs"])
    )

    def batch() -> tuple[mx.array, mx.array]:
        x = mx.random.normal((size["batch"], size["inputs"]))
        return x, mx.random.normal((size["batch"], size["outputs"]))

    return train(model, mean_squared_error, batch, variant)


def mlp(variant: str) -> Work:
    model = nn.Sequential(
        nn.Linear(MLP["inputs"], MLP["hidden"]),
        nn.ReLU(),
        nn.Linear(MLP["hidden"], MLP["hidden"]),
        nn.ReLU(),
        nn.Linear(MLP["hidden"], MLP["classes"]),
    )
    return train(model, cross_entropy, labelled((MLP["batch"], MLP["inputs"]), MLP["classes"]), variant)


def cnn(variant: str) -> Work:
    images = (CNN["batch"], CNN["side"], CNN["side"], 1)
    return train(ConvNet(), cross_entropy, labelled(images, CNN["classes"]), variant)


def transformer(variant: str) -> Work:
    size = (TRANSFORMER["batch"], TRANSFORMER["length"] + 1)
    tokens = mx.array(np.random.default_rng(0).integers(TRANSFORMER["vocabulary"], size=size, dtype=np.int32))
    return train(LanguageModel(TRANSFORMER), cross_entropy, lambda: (tokens[:, :-1], tokens[:, 1:]), variant)


def chain(variant: str) -> Work:
    x = mx.array(np.random.default_rng(0).standard_normal(CHAIN_SIZE, dtype=np.float32))
    gradient = mx.grad(lambda x: elementwise_chain(mx, x).sum())
    if variant in ("compiled", "pipelined"):
        gradient = mx.compile(gradient)
    return Work(lambda: mx.eval(gradient(x)), lambda: None)


WORKLOADS = {"documented": documented, "mlp": mlp, "cnn": cnn, "transformer": transformer, "chain": chain}


def version() -> str:
    for distribution in ("mlx-xla", "mlx"):
        try:
            return f"{distribution} {importlib.metadata.version(distribution)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return "a checkout on the path"


if __name__ == "__main__":
    run_peer(WORKLOADS, ("functional", "module", "compiled", "pipelined"), version())

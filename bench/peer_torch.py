"""The workloads in PyTorch. Variants: `eager`; `compiled`, model and optimizer step under torch.compile."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

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

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
Batch = Callable[[], tuple[torch.Tensor, torch.Tensor]]


class LanguageModel(nn.Module):
    def __init__(self, size: dict[str, int]) -> None:
        super().__init__()
        width = size["width"]
        self.token = nn.Embedding(size["vocabulary"], width)
        self.position = nn.Embedding(size["length"], width)
        layer = nn.TransformerEncoderLayer(
            width, size["heads"], 4 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(
            layer, size["layers"], norm=nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.output = nn.Linear(width, size["vocabulary"])

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        length = tokens.shape[1]
        mask = nn.Transformer.generate_square_subsequent_mask(length)
        x = self.token(tokens) + self.position(torch.arange(length))
        return self.output(self.encoder(x, mask=mask, is_causal=True))


def train(model: nn.Module, loss: Loss, batch: Batch, variant: str) -> Work:
    """Forward, backward and AdamW."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    forward: Loss = lambda x, y: loss(model(x), y)  # noqa: E731 - replaced by its compiled form below
    update = optimizer.step
    if variant == "compiled":
        forward, update = torch.compile(forward), torch.compile(update)

    def step() -> None:
        value = forward(*batch())
        optimizer.zero_grad()
        value.backward()
        update()

    return Work(step, lambda: None)


def labelled(images: tuple[int, ...], classes: int) -> Batch:
    """The same random images and labels at each step."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(images, generator=generator)
    y = torch.randint(classes, images[:1], generator=generator)
    return lambda: (x, y)


def documented(variant: str) -> Work:
    size = DOCUMENTED
    model = nn.Sequential(
        nn.Linear(size["inputs"], size["hidden"]), nn.ReLU(), nn.Linear(size["hidden"], size["outputs"])
    )

    def batch() -> tuple[torch.Tensor, torch.Tensor]:
        return torch.randn(size["batch"], size["inputs"]), torch.randn(size["batch"], size["outputs"])

    return train(model, lambda outputs, y: ((outputs - y) ** 2).mean(), batch, variant)


def mlp(variant: str) -> Work:
    model = nn.Sequential(
        nn.Linear(MLP["inputs"], MLP["hidden"]),
        nn.ReLU(),
        nn.Linear(MLP["hidden"], MLP["hidden"]),
        nn.ReLU(),
        nn.Linear(MLP["hidden"], MLP["classes"]),
    )
    batch = labelled((MLP["batch"], MLP["inputs"]), MLP["classes"])
    return train(model, functional.cross_entropy, batch, variant)


def cnn(variant: str) -> Work:
    first, second = CNN["channels"]
    model = nn.Sequential(
        nn.Conv2d(1, first, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(second * (CNN["side"] // 4) ** 2, CNN["classes"]),
    )
    batch = labelled((CNN["batch"], 1, CNN["side"], CNN["side"]), CNN["classes"])
    return train(model, functional.cross_entropy, batch, variant)


def transformer(variant: str) -> Work:
    size = (TRANSFORMER["batch"], TRANSFORMER["length"] + 1)
    tokens = torch.randint(TRANSFORMER["vocabulary"], size, generator=torch.Generator().manual_seed(0))

    def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())

    return train(LanguageModel(TRANSFORMER), loss, lambda: (tokens[:, :-1], tokens[:, 1:]), variant)


def chain(variant: str) -> Work:
    x = torch.randn(CHAIN_SIZE, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def total(x: torch.Tensor) -> torch.Tensor:
        return elementwise_chain(torch, x).sum()

    forward = torch.compile(total) if variant == "compiled" else total
    return Work(lambda: torch.autograd.grad(forward(x), x), lambda: None)


WORKLOADS = {"documented": documented, "mlp": mlp, "cnn": cnn, "transformer": transformer, "chain": chain}

if __name__ == "__main__":
    run_peer(WORKLOADS, ("eager", "compiled"), f"torch {torch.__version__}")

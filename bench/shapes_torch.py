"""The work of `shapes.py` in PyTorch, eager."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from peer_torch import LanguageModel
from shapes_common import (
    CACHE,
    CACHE_LENGTH,
    DECODER_LAYERS,
    DECODER_WIDTH,
    HEADS,
    STEPS,
    TRANSFORMER,
    UNROLLED,
    VOCABULARY,
    WIDTH,
    Work,
    image_batches,
    run,
    token_batches,
)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Embedding(VOCABULARY, WIDTH)
        self.lstm = nn.LSTM(WIDTH, WIDTH, batch_first=True)
        self.output = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.output(self.lstm(self.token(tokens))[0])


class Unrolled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Embedding(VOCABULARY, WIDTH)
        self.hidden = nn.Linear(WIDTH, WIDTH)
        self.output = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        inputs = self.token(tokens)
        hidden = torch.zeros(tokens.shape[0], WIDTH)
        states = []
        for position in range(tokens.shape[1]):
            hidden = torch.tanh(self.hidden(hidden) + inputs[:, position])
            states.append(hidden)
        return self.output(torch.stack(states, dim=1))


class DecoderLayer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.out = nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor, cache: Any) -> Any:
        y = self.norm1(x)
        query, key, value = (
            project(y).reshape(1, 1, HEADS, -1).transpose(1, 2) for project in (self.query, self.key, self.value)
        )
        keys, values = torch.cat([cache[0], key], dim=2), torch.cat([cache[1], value], dim=2)
        y = functional.scaled_dot_product_attention(query, keys, values)
        x = x + self.out(y.transpose(1, 2).reshape(1, 1, -1))
        return x + self.down(functional.relu(self.up(self.norm2(x)))), (keys, values)


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Embedding(VOCABULARY, DECODER_WIDTH)
        self.layers = nn.ModuleList(DecoderLayer(DECODER_WIDTH) for _ in range(DECODER_LAYERS))
        self.output = nn.Linear(DECODER_WIDTH, VOCABULARY)

    def forward(self, token: torch.Tensor, caches: list[Any]) -> tuple[torch.Tensor, list[Any]]:
        x = self.token(token)
        grown = []
        for layer, cache in zip(self.layers, caches, strict=True):
            x, cache = layer(x, cache)
            grown.append(cache)
        return self.output(x).argmax(-1), grown


def train(model: nn.Module, batches: Iterator[Any]) -> Work:
    """Forward, backward and AdamW."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step() -> None:
        inputs, targets = (torch.from_numpy(x) for x in next(batches))
        logits = model(inputs)
        loss = functional.cross_entropy(logits.flatten(0, -2), targets.flatten().long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return Work(step)


def transformer(form: str, varying: bool) -> Work:
    return train(LanguageModel(TRANSFORMER), token_batches(varying))


def recurrent(form: str, varying: bool) -> Work:
    return train(Recurrent(), token_batches(varying))


def unrolled(form: str, varying: bool) -> Work:
    return train(Unrolled(), token_batches(varying, UNROLLED, STEPS))


def batches(form: str, varying: bool) -> Work:
    layers = [nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)]
    return train(nn.Sequential(*layers), image_batches(varying))


def decoding(form: str, varying: bool) -> Work:
    """The next token, whose keys and values are concatenated to the cache."""
    model = Decoder()
    shape = (1, HEADS, CACHE[0] if varying else CACHE_LENGTH, DECODER_WIDTH // HEADS)
    start = [(torch.zeros(shape), torch.zeros(shape)) for _ in range(DECODER_LAYERS)]
    token, caches = torch.tensor([[1]]), start

    def step() -> None:
        nonlocal token, caches
        with torch.no_grad():
            token, grown = model(token, caches)
        token.item()
        if varying:
            caches = grown if grown[0][0].shape[2] < CACHE[1] else start

    return Work(step)


MAKERS = {
    "transformer": transformer,
    "recurrent": recurrent,
    "unrolled": unrolled,
    "batches": batches,
    "decoding": decoding,
}

if __name__ == "__main__":
    run(MAKERS, lambda: 0)

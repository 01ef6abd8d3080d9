"""The work of `shapes.py` in mlx-xla: `undecorated`, under `mx.compile`, and under `mx.compile(shapeless=True)`."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from peer_mlx import LanguageModel
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
        self.lstm = nn.LSTM(WIDTH, WIDTH)
        self.output = nn.Linear(WIDTH, VOCABULARY)

    def __call__(self, tokens: mx.array) -> mx.array:
        return self.output(self.lstm(self.token(tokens))[0])


class Unrolled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Embedding(VOCABULARY, WIDTH)
        self.hidden = nn.Linear(WIDTH, WIDTH)
        self.output = nn.Linear(WIDTH, VOCABULARY)

    def __call__(self, tokens: mx.array) -> mx.array:
        inputs = self.token(tokens)
        hidden = mx.zeros((tokens.shape[0], WIDTH))
        states = []
        for position in range(tokens.shape[1]):
            hidden = mx.tanh(self.hidden(hidden) + inputs[:, position])
            states.append(hidden)
        return self.output(mx.stack(states, axis=1))


class DecoderLayer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.out = nn.Linear(width, width, bias=False)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def __call__(self, x: mx.array, cache: tuple[mx.array, mx.array]) -> tuple[mx.array, tuple[mx.array, mx.array]]:
        y = self.norm1(x)
        query, key, value = (
            project(y).reshape(1, 1, HEADS, -1).transpose(0, 2, 1, 3) for project in (self.query, self.key, self.value)
        )
        keys = mx.concatenate([cache[0], key], axis=2)
        values = mx.concatenate([cache[1], value], axis=2)
        y = mx.fast.scaled_dot_product_attention(query, keys, values, scale=query.shape[-1] ** -0.5)
        x = x + self.out(y.transpose(0, 2, 1, 3).reshape(1, 1, -1))
        return x + self.down(nn.relu(self.up(self.norm2(x)))), (keys, values)


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Embedding(VOCABULARY, DECODER_WIDTH)
        self.layers = [DecoderLayer(DECODER_WIDTH) for _ in range(DECODER_LAYERS)]
        self.output = nn.Linear(DECODER_WIDTH, VOCABULARY)

    def __call__(self, token: mx.array, caches: list[Any]) -> tuple[mx.array, list[Any]]:
        x = self.token(token)
        grown = []
        for layer, cache in zip(self.layers, caches, strict=True):
            x, cache = layer(x, cache)
            grown.append(cache)
        return mx.argmax(self.output(x), axis=-1), grown


def in_form(form: str, fun: Any, **state: Any) -> Any:
    return fun if form == "undecorated" else mx.compile(fun, shapeless=form == "shapeless", **state)


def train(model: nn.Module, batches: Iterator[Any], form: str) -> Work:
    """Forward, backward and AdamW."""
    optimizer = optim.AdamW(1e-3)

    def loss(inputs: mx.array, targets: mx.array) -> mx.array:
        return nn.losses.cross_entropy(model(inputs), targets, reduction="mean")

    loss_and_gradients = nn.value_and_grad(model, loss)

    def update(inputs: mx.array, targets: mx.array) -> mx.array:
        value, gradients = loss_and_gradients(inputs, targets)
        optimizer.update(model, gradients)
        return value

    state = [model.state, optimizer.state]
    update = in_form(form, update, inputs=state, outputs=state)

    def step() -> None:
        inputs, targets = next(batches)
        mx.eval(update(mx.array(inputs), mx.array(targets)), state)

    return Work(step)


def transformer(form: str, varying: bool) -> Work:
    return train(LanguageModel(TRANSFORMER), token_batches(varying), form)


def recurrent(form: str, varying: bool) -> Work:
    return train(Recurrent(), token_batches(varying), form)


def unrolled(form: str, varying: bool) -> Work:
    return train(Unrolled(), token_batches(varying, UNROLLED, STEPS), form)


def batches(form: str, varying: bool) -> Work:
    layers = [nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)]
    return train(nn.Sequential(*layers), image_batches(varying), form)


def decoding(form: str, varying: bool) -> Work:
    """The next token, whose keys and values are concatenated to the cache."""
    model = Decoder()
    shape = (1, HEADS, CACHE[0] if varying else CACHE_LENGTH, DECODER_WIDTH // HEADS)
    start = [(mx.zeros(shape), mx.zeros(shape)) for _ in range(DECODER_LAYERS)]
    mx.eval(model.parameters(), start)
    decode = in_form(form, partial(model))
    token, caches = mx.array([[1]]), start

    def step() -> None:
        nonlocal token, caches
        token, grown = decode(token, caches)
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
    events: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, *_, **__: events.append(event))
    run(MAKERS, lambda: sum(event.endswith("backend_compile_duration") for event in events))

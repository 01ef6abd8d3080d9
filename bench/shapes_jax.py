"""The work of `shapes.py` in JAX, jitted: each shape is compiled. Works that `peer_jax` has the layers for."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import optax

import peer_jax
from peer_jax import apply_layers, apply_linear, apply_norm, apply_transformer_layer, cross_entropy, keys, linear, norm
from shapes_common import LAYERS, LENGTHS, VOCABULARY, WIDTH, Work, image_batches, run, token_batches


def train(params: Any, logits: Callable[[Any, jax.Array], jax.Array], batches: Iterator[Any]) -> Work:
    """Forward, backward and AdamW."""
    optimizer = optax.adamw(1e-3)
    state = optimizer.init(params)

    @jax.jit
    def update(params: Any, state: Any, inputs: jax.Array, targets: jax.Array) -> tuple[Any, Any, jax.Array]:
        def loss(params: Any) -> jax.Array:
            return cross_entropy(logits(params, inputs), targets)

        value, grads = jax.value_and_grad(loss)(params)  # noqa: TID251  (a user of JAX, as peer_jax.py)
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, value

    def step() -> None:
        nonlocal params, state
        params, state, value = update(params, state, *next(batches))
        jax.block_until_ready((params, state, value))

    return Work(step)


def transformer(form: str, varying: bool) -> Work:
    params = {
        "token": jax.random.normal(next(keys), (VOCABULARY, WIDTH)) / math.sqrt(WIDTH),
        "position": jax.random.normal(next(keys), (LENGTHS[1], WIDTH)) / math.sqrt(WIDTH),
        "layers": [peer_jax.transformer_layer(WIDTH) for _ in range(LAYERS)],
        "norm": norm(WIDTH),
        "output": linear(WIDTH, VOCABULARY),
    }

    def logits(p: Any, tokens: jax.Array) -> jax.Array:
        x = p["token"][tokens] + p["position"][jnp.arange(tokens.shape[1])]
        for layer in p["layers"]:
            x = apply_transformer_layer(layer, x)
        return apply_linear(p["output"], apply_norm(p["norm"], x))

    return train(params, logits, token_batches(varying))


def batches(form: str, varying: bool) -> Work:
    params = [linear(784, 512), linear(512, 512), linear(512, 10)]
    return train(params, apply_layers, image_batches(varying))


MAKERS = {"transformer": transformer, "batches": batches}

if __name__ == "__main__":
    events: list[str] = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, *_, **__: events.append(event))
    run(MAKERS, lambda: sum(event.endswith("backend_compile_duration") for event in events))

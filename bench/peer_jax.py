"""The workloads in JAX with optax.

Variants: `jitted`, the whole step under jax.jit; `waited`, the same with each step waited for; and `undecorated`.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import optax

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

Tree = Any
Loss = Callable[..., jax.Array]
Batch = Callable[[jax.Array], tuple[jax.Array, ...]]

keys = iter(jax.random.split(jax.random.key(0), 64))


def linear(inputs: int, outputs: int) -> Tree:
    bound = 1 / math.sqrt(inputs)
    return {
        "weight": jax.random.uniform(next(keys), (inputs, outputs), minval=-bound, maxval=bound),
        "bias": jnp.zeros(outputs),
    }


def convolution(inputs: int, outputs: int) -> Tree:
    bound = 1 / math.sqrt(9 * inputs)
    weight = jax.random.uniform(next(keys), (3, 3, inputs, outputs), minval=-bound, maxval=bound)
    return {"weight": weight, "bias": jnp.zeros(outputs)}


def norm(width: int) -> Tree:
    return {"weight": jnp.ones(width), "bias": jnp.zeros(width)}


def apply_linear(p: Tree, x: jax.Array) -> jax.Array:
    return x @ p["weight"] + p["bias"]


def apply_convolution(p: Tree, x: jax.Array) -> jax.Array:
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, p["weight"], (1, 1), "SAME", dimension_numbers=layout) + p["bias"]


def apply_norm(p: Tree, x: jax.Array) -> jax.Array:
    return jax.nn.standardize(x, epsilon=1e-5) * p["weight"] + p["bias"]


def max_pool(x: jax.Array) -> jax.Array:
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def apply_layers(p: list[Tree], x: jax.Array) -> jax.Array:
    for layer in p[:-1]:
        x = jax.nn.relu(apply_linear(layer, x))
    return apply_linear(p[-1], x)


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def train(params: Tree, loss: Loss, batch: Batch, variant: str) -> Work:
    """Forward, backward and AdamW; the batch is drawn inside the step, from a key."""
    optimizer = optax.adamw(LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    state = optimizer.init(params)
    key = jax.random.key(1)

    def update(params: Tree, state: Tree, key: jax.Array) -> tuple[Tree, Tree, jax.Array, jax.Array]:
        key, now = jax.random.split(key)
        value, grads = jax.value_and_grad(loss)(params, *batch(now))
        updates, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, updates), state, key, value

    if variant != "undecorated":
        update = jax.jit(update, donate_argnums=(0, 1))

    def step() -> None:
        nonlocal params, state, key
        params, state, key, _ = update(params, state, key)
        if variant == "waited":
            jax.block_until_ready((params, state))

    return Work(step, lambda: jax.block_until_ready((params, state)))


def labelled(images: tuple[int, ...], classes: int) -> Batch:
    """The same random images and labels at each step."""
    x = jax.random.normal(next(keys), images)
    y = jax.random.randint(next(keys), images[:1], 0, classes)
    return lambda _: (x, y)


def documented(variant: str) -> Work:
    size = DOCUMENTED
    params = [linear(size["inputs"], size["hidden"]), linear(size["hidden"], size["outputs"])]

    def batch(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        for_x, for_y = jax.random.split(key)
        x = jax.random.normal(for_x, (size["batch"], size["inputs"]))
        return x, jax.random.normal(for_y, (size["batch"], size["outputs"]))

    return train(params, lambda p, x, y: jnp.mean((apply_layers(p, x) - y) ** 2), batch, variant)


def mlp(variant: str) -> Work:
    sizes = (MLP["inputs"], MLP["hidden"], MLP["hidden"], MLP["classes"])
    params = [linear(i, o) for i, o in pairwise(sizes)]
    batch = labelled((MLP["batch"], MLP["inputs"]), MLP["classes"])
    return train(params, lambda p, x, y: cross_entropy(apply_layers(p, x), y), batch, variant)


def cnn(variant: str) -> Work:
    first, second = CNN["channels"]
    params = {
        "first": convolution(1, first),
        "second": convolution(first, second),
        "classifier": linear(second * (CNN["side"] // 4) ** 2, CNN["classes"]),
    }

    def loss(p: Tree, x: jax.Array, y: jax.Array) -> jax.Array:
        x = max_pool(jax.nn.relu(apply_convolution(p["first"], x)))
        x = max_pool(jax.nn.relu(apply_convolution(p["second"], x)))
        return cross_entropy(apply_linear(p["classifier"], x.reshape(len(x), -1)), y)

    return train(params, loss, labelled((CNN["batch"], CNN["side"], CNN["side"], 1), CNN["classes"]), variant)


def transformer_layer(width: int) -> Tree:
    return {
        "norm1": norm(width),
        "query": linear(width, width)["weight"],
        "key": linear(width, width)["weight"],
        "value": linear(width, width)["weight"],
        "out": linear(width, width)["weight"],
        "norm2": norm(width),
        "up": linear(width, 4 * width),
        "down": linear(4 * width, width),
    }


def apply_transformer_layer(p: Tree, x: jax.Array) -> jax.Array:
    y = apply_norm(p["norm1"], x)
    heads = (*x.shape[:2], TRANSFORMER["heads"], -1)
    query, key, value = ((y @ p[name]).reshape(heads) for name in ("query", "key", "value"))
    attended = jax.nn.dot_product_attention(query, key, value, is_causal=True)
    x = x + attended.reshape(x.shape) @ p["out"]
    y = jax.nn.relu(apply_linear(p["up"], apply_norm(p["norm2"], x)))
    return x + apply_linear(p["down"], y)


def transformer(variant: str) -> Work:
    vocabulary, width, length = TRANSFORMER["vocabulary"], TRANSFORMER["width"], TRANSFORMER["length"]
    params = {
        "token": jax.random.normal(next(keys), (vocabulary, width)) / math.sqrt(width),
        "position": jax.random.normal(next(keys), (length, width)) / math.sqrt(width),
        "layers": [transformer_layer(width) for _ in range(TRANSFORMER["layers"])],
        "norm": norm(width),
        "output": linear(width, vocabulary),
    }
    tokens = jax.random.randint(next(keys), (TRANSFORMER["batch"], length + 1), 0, vocabulary)

    def loss(p: Tree, inputs: jax.Array, targets: jax.Array) -> jax.Array:
        x = p["token"][inputs] + p["position"][jnp.arange(inputs.shape[1])]
        for layer in p["layers"]:
            x = apply_transformer_layer(layer, x)
        return cross_entropy(apply_linear(p["output"], apply_norm(p["norm"], x)), targets)

    return train(params, loss, lambda _: (tokens[:, :-1], tokens[:, 1:]), variant)


def chain(variant: str) -> Work:
    x = jax.random.normal(next(keys), (CHAIN_SIZE,))
    gradient = jax.grad(lambda x: elementwise_chain(jnp, x).sum())
    if variant != "undecorated":
        gradient = jax.jit(gradient)
    return Work(lambda: jax.block_until_ready(gradient(x)), lambda: None)


WORKLOADS = {"documented": documented, "mlp": mlp, "cnn": cnn, "transformer": transformer, "chain": chain}

if __name__ == "__main__":
    run_peer(WORKLOADS, ("jitted", "waited", "undecorated"), f"jax {jax.__version__}, optax {optax.__version__}")

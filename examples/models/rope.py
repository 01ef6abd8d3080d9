"""A transformer whose attention knows places by rotation (RoPE), predicting the next pixel of digits in 17 greys."""

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from common import batch, digits, run

GREYS = 17


class Block(nn.Module):
    """Causal attention and a gated perceptron, each behind a norm: (N, L, D) to (N, L, D)."""

    def __init__(self, dims: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.rope = nn.RoPE(dims // heads)
        self.attention_norm, self.perceptron_norm = nn.RMSNorm(dims), nn.RMSNorm(dims)
        self.queries_keys_values = nn.Linear(dims, 3 * dims, bias=False)
        self.output = nn.Linear(dims, dims, bias=False)
        self.up, self.down = nn.Linear(dims, 4 * dims, bias=False), nn.Linear(2 * dims, dims, bias=False)

    def __call__(self, x: mx.array) -> mx.array:
        x = x + self.attention(self.attention_norm(x))
        gate, value = mx.split(self.up(self.perceptron_norm(x)), 2, axis=-1)
        return x + self.down(nn.silu(gate) * value)

    def attention(self, x: mx.array) -> mx.array:
        heads = mx.unflatten(self.queries_keys_values(x), -1, (3, self.heads, -1)).transpose(2, 0, 3, 1, 4)
        q, k, v = self.rope(heads[0]), self.rope(heads[1]), heads[2]
        y = mx.fast.scaled_dot_product_attention(q, k, v, scale=q.shape[-1] ** -0.5, mask="causal")
        return self.output(y.swapaxes(1, 2).flatten(-2))


def train(steps: int) -> list[float]:
    images, _ = digits()
    pixels = mx.round(images.flatten(1) * (GREYS - 1)).astype(mx.int32)
    model = nn.Sequential(nn.Embedding(GREYS, 64), Block(64, 4), Block(64, 4), nn.RMSNorm(64), nn.Linear(64, GREYS))
    optimizer = optim.AdamW(optim.cosine_decay(5e-3, steps), bias_correction=True)

    def loss_fn(params: dict, tokens: mx.array) -> mx.array:
        logits = model.apply(params, tokens[:, :-1])
        return nn.losses.cross_entropy(logits, tokens[:, 1:], reduction="mean")

    params = model.parameters()
    losses = []
    for _ in range(steps):
        loss, grads = mx.value_and_grad(loss_fn)(params, *batch(32, pixels))
        params = optimizer.update(params, grads)
        losses.append(loss)
    return mx.stack(losses).tolist()


if __name__ == "__main__":
    raise SystemExit(run(train, steps=200, goal=1.5))

"""A variational autoencoder: digits to four numbers and back, with draws in between."""

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from common import batch, digits, run


class VAE(nn.Module):
    """Images (N, 64) to the mean and the log variance of a latent vector (N, Z), and back to logits of pixels."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, 128), nn.ReLU(), nn.Linear(128, 64))

    def __call__(self, x: mx.array) -> tuple[mx.array, mx.array, mx.array]:
        mean, log_variance = mx.split(self.encoder(x), 2, axis=-1)
        latent = mean + mx.exp(log_variance / 2) * mx.random.normal(mean.shape)
        return self.decoder(latent), mean, log_variance


def negative_elbo(model: VAE, params: dict, x: mx.array) -> mx.array:
    """The bound on the negative log likelihood of an image, in nats."""
    logits, mean, log_variance = model.apply(params, x)
    reconstruction = nn.losses.binary_cross_entropy(logits, x, reduction="none").sum(-1)
    divergence = 0.5 * (mean**2 + mx.exp(log_variance) - 1 - log_variance).sum(-1)
    return (reconstruction + divergence).mean()


def train(steps: int) -> list[float]:
    images, _ = digits()
    model = VAE(4)
    optimizer = optim.Adam(3e-3)
    params = model.parameters()
    losses = []
    for _ in range(steps):
        (x,) = batch(128, images.flatten(1))
        loss, grads = mx.value_and_grad(lambda p, x=x: negative_elbo(model, p, x))(params)
        params = optimizer.update(params, grads)
        losses.append(loss)
    return mx.stack(losses).tolist()


if __name__ == "__main__":
    raise SystemExit(run(train, steps=400, goal=25.0))

"""Train a small convolutional network to read handwritten digits, in the functional form.

The data are the 1797 scans of 8 x 8 pixels from the UCI repository that scikit-learn ships, so nothing
is downloaded. A fixed fifth of them is held out. The picture that is written shows the loss, the
held-out accuracy and the digits that the network got wrong.

    python examples/digits.py --epochs 30 --width 64
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import numpy as np
from matplotlib.figure import Figure
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sklearn.datasets import load_digits

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim

Split = tuple[np.ndarray, np.ndarray]


class DigitNet(nn.Module):
    """Two convolutions, pooling between them, and a linear layer: images (N, 8, 8, 1) to logits (N, 10)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, width, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=2),
            nn.Conv2d(width, 2 * width, kernel_size=3, padding=1),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(4 * 4 * 2 * width, 10)

    def __call__(self, images: mx.array) -> mx.array:
        return self.classifier(self.features(images).flatten(1))


def load() -> tuple[Split, Split]:
    """The training and the held-out (images, labels); which are held out never changes."""
    digits = load_digits()
    images = (digits.images[..., None] / 16).astype(np.float32)
    labels = digits.target.astype(np.int32)
    order = np.random.default_rng(0).permutation(len(labels))
    held_out, training = np.split(order, [len(order) // 5])
    return (images[training], labels[training]), (images[held_out], labels[held_out])


def batches(split: Split, size: int, rng: np.random.Generator) -> Iterator[tuple[mx.array, mx.array]]:
    """One pass over the data in random order, in batches that all have the same size."""
    images, labels = split
    whole = len(labels) // size * size
    for chosen in rng.permutation(len(labels))[:whole].reshape(-1, size):
        yield mx.array(images[chosen]), mx.array(labels[chosen])


def draw(path: Path, losses: list[float], accuracies: list[float], held_out: Split, read: np.ndarray) -> None:
    """Write the picture: loss of each step, accuracy after each epoch, the digits that were misread."""
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    curves, mistakes = figure.subfigures(2, 1, height_ratios=(2, 1))
    loss_axes, accuracy_axes = curves.subplots(1, 2)
    loss_axes.semilogy(losses, linewidth=0.8)
    loss_axes.set(title="training loss", xlabel="step")
    accuracy_axes.plot(range(1, len(accuracies) + 1), [100 * a for a in accuracies], marker=".")
    accuracy_axes.set(title=f"held-out accuracy: {accuracies[-1]:.1%}", xlabel="epoch", ylabel="%")
    accuracy_axes.xaxis.get_major_locator().set_params(integer=True)

    images, labels = held_out
    wrong = np.flatnonzero(read != labels)
    mistakes.suptitle(f"{len(wrong)} of {len(labels)} held-out digits misread")
    for axes in mistakes.subplots(1, 10):
        axes.axis("off")
    for axes, i in zip(mistakes.axes, wrong, strict=False):
        axes.imshow(images[i, ..., 0], cmap="gray_r")
        axes.set_title(f"{labels[i]}, read as {read[i]}", fontsize=8)
    figure.savefig(path, dpi=120)


def train(args: argparse.Namespace, training: Split, held_out: Split) -> tuple[list[float], list[float], np.ndarray]:
    """The loss of each step, the held-out accuracy after each epoch, and how the held-out digits are read."""
    mx.random.seed(args.seed)
    rng = np.random.default_rng(args.seed)
    steps = args.epochs * (len(training[1]) // args.batch)

    net = DigitNet(args.width)
    params = net.parameters()
    optimizer = optim.AdamW(optim.cosine_decay(args.lr, steps))

    def loss_fn(params: dict, images: mx.array, labels: mx.array) -> mx.array:
        return nn.losses.cross_entropy(net.apply(params, images), labels, reduction="mean")

    loss_and_grads = mx.value_and_grad(loss_fn)
    held_out_images = mx.array(held_out[0])
    losses: list[float] = []
    accuracies: list[float] = []
    read = np.empty(0)
    start = perf_counter()
    with Progress(BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn()) as bar:
        task = bar.add_task("", total=steps)
        for _ in range(args.epochs):
            for images, labels in batches(training, args.batch, rng):
                loss, grads = loss_and_grads(params, images, labels)
                params = optimizer.update(params, grads)
                losses.append(loss.item())
                rate = len(losses) * args.batch / (perf_counter() - start)
                bar.update(task, advance=1, description=f"loss {losses[-1]:.4f}  {rate:,.0f} digits/s")
            read = np.array(mx.argmax(net.apply(params, held_out_images), axis=1))
            accuracies.append(float(np.mean(read == held_out[1])))
    return losses, accuracies, read


def main(argv: list[str] | None = None) -> int:
    """Train, report and draw; 1 if the accuracy asked for by --require was not reached, else 0."""
    parser = argparse.ArgumentParser(
        description="Train a network to read handwritten digits.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--epochs", type=int, default=20, help="passes over the training digits")
    parser.add_argument("--width", type=int, default=32, help="channels of the first convolution")
    parser.add_argument("--batch", type=int, default=64, help="digits a step")
    parser.add_argument("--lr", type=float, default=5e-3, help="learning rate at the start; it decays to zero")
    parser.add_argument("--seed", type=int, default=0, help="of the parameters and of the order of the data")
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu", help="where to compute")
    parser.add_argument("--output", type=Path, default=Path("digits.png"), help="the picture to write")
    parser.add_argument("--require", type=float, default=0.0, help="fail below this accuracy, between 0 and 1")
    args = parser.parse_args(argv)
    training, held_out = load()
    if args.epochs < 1 or not 1 <= args.batch <= len(training[1]):
        parser.error(f"at least one epoch, and a batch of 1 to {len(training[1])} digits, are needed")

    mx.set_default_device(getattr(mx, args.device))
    losses, accuracies, read = train(args, training, held_out)
    draw(args.output, losses, accuracies, held_out, read)
    misread = int(np.sum(read != held_out[1]))
    print(f"held-out accuracy {accuracies[-1]:.2%} ({misread} of {len(read)} misread); picture: {args.output}")
    return int(accuracies[-1] < args.require)


if __name__ == "__main__":
    raise SystemExit(main())

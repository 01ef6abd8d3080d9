"""Train a character-level transformer on the documentation strings of Python's standard library.

The text is what `ast` finds in the .py files of the Python that runs this, so nothing is downloaded. The
network reads a window of characters and predicts the next one at each place; then it writes on its own.

    python examples/docstrings.py --steps 1000 --width 192
"""

import argparse
import ast
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim

VOCABULARY = "\n" + "".join(map(chr, range(ord(" "), ord("~") + 1)))
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


class CharacterModel(nn.Module):
    """A causal transformer: tokens (N, L) to the logits of each next token (N, L, vocabulary)."""

    def __init__(self, context: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.token = nn.Embedding(len(VOCABULARY), width)
        self.position = nn.Embedding(context, width)
        self.transformer = nn.TransformerEncoder(layers, width, heads, norm_first=True)
        self.output = nn.Linear(width, len(VOCABULARY))

    def __call__(self, tokens: mx.array) -> mx.array:
        length = tokens.shape[1]
        mask = nn.MultiHeadAttention.create_additive_causal_mask(length)
        x = self.token(tokens) + self.position(mx.arange(length))
        return self.output(self.transformer(x, mask))


def docstrings() -> Iterator[str]:
    """The documentation strings of the standard library, always in the same order."""
    library = Path(sysconfig.get_path("stdlib"))
    for path in sorted(library.rglob("*.py")):
        if {"site-packages", "test", "tests", "idlelib", "lib2to3"}.isdisjoint(path.relative_to(library).parts):
            for node in ast.walk(ast.parse(path.read_bytes())):
                if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)):
                    yield text


def encode(text: str) -> np.ndarray:
    """Indices into the vocabulary; characters that are not in it are left out."""
    index = {character: i for i, character in enumerate(VOCABULARY)}
    return np.array([index[c] for c in text if c in index], dtype=np.int32)


def load(characters: int) -> np.ndarray:
    """The first so many characters of the documentation strings, encoded."""
    texts: list[str] = []
    size = 0
    for text in docstrings():
        texts.append(text)
        size += len(text) + 2
        if size >= characters:
            break
    return encode("\n\n".join(texts)[:characters])


def train(args: argparse.Namespace, tokens: np.ndarray, net: CharacterModel) -> tuple[dict, list[float]]:
    """The trained parameters and the loss of each step, in nats a character."""
    rng = np.random.default_rng(args.seed)
    params = net.parameters()
    # Without the correction the first hundreds of steps would be three times as long, too long for attention to form.
    optimizer = optim.AdamW(optim.cosine_decay(args.lr, args.steps), bias_correction=True)

    def loss_fn(params: dict, inputs: mx.array, targets: mx.array) -> mx.array:
        return nn.losses.cross_entropy(net.apply(params, inputs), targets, reduction="mean")

    loss_and_grads = mx.value_and_grad(loss_fn)
    losses: list[float] = []
    start = perf_counter()
    with Progress(BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn()) as bar:
        task = bar.add_task("", total=args.steps)
        for _ in range(args.steps):
            starts = rng.integers(len(tokens) - args.context, size=(args.batch, 1))
            windows = mx.array(tokens[starts + np.arange(args.context + 1)])
            loss, grads = loss_and_grads(params, windows[:, :-1], windows[:, 1:])
            grads, _ = optim.clip_grad_norm(grads, 1.0)
            params = optimizer.update(params, grads)
            losses.append(loss.item())
            rate = len(losses) * args.batch * args.context / (perf_counter() - start)
            bar.update(task, advance=1, description=f"loss {losses[-1]:.3f}  {rate:,.0f} characters/s")
    return params, losses


def write(net: CharacterModel, params: dict, prompt: str, length: int, context: int, temperature: float) -> str:
    """Continue the prompt by that many characters, each drawn from the network's prediction."""
    written = [0] * context + encode(prompt).tolist()
    for _ in range(length):
        logits = net.apply(params, mx.array([written[-context:]]))[0, -1]
        written.append(mx.random.categorical(logits / temperature).item())
    return "".join(VOCABULARY[i] for i in written[context:])


def main(argv: list[str] | None = None) -> int:
    """Train and print a sample."""
    parser = argparse.ArgumentParser(
        description="Train a character-level transformer on Python's documentation strings.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--steps", type=int, default=800, help="training steps")
    parser.add_argument("--batch", type=int, default=16, help="windows a step")
    parser.add_argument("--context", type=int, default=64, help="characters a window")
    parser.add_argument("--width", type=int, default=128, help="of the transformer")
    parser.add_argument("--layers", type=int, default=2, help="of the transformer")
    parser.add_argument("--heads", type=int, default=4, help="of each layer")
    parser.add_argument("--characters", type=int, default=1_000_000, help="how much text to train on")
    parser.add_argument("--lr", type=float, default=2e-3, help="learning rate at the start; it decays to zero")
    parser.add_argument("--seed", type=int, default=0, help="of the parameters, the windows and the sample")
    parser.add_argument("--device", choices=["cpu", "gpu"], default="cpu", help="where to compute")
    parser.add_argument("--prompt", default="Return the ", help="what the sample begins with")
    parser.add_argument("--sample", type=int, default=400, help="characters to write after training")
    parser.add_argument("--temperature", type=float, default=0.7, help="of the sample: less is less daring")
    args = parser.parse_args(argv)
    if args.steps < 1 or args.batch < 1 or not 1 <= args.context < args.characters:
        parser.error("at least one step, one window and more characters than a window are needed")

    mx.set_default_device(getattr(mx, args.device))
    mx.random.seed(args.seed)
    tokens = load(args.characters)
    net = CharacterModel(args.context, args.width, args.layers, args.heads)
    params, losses = train(args, tokens, net)
    recent = losses[-20:]
    bits = sum(recent) / len(recent) / np.log(2)
    print(f"{len(tokens):,} characters read; {bits:.2f} bits a character over the last {len(recent)} steps\n")
    print(write(net, params, args.prompt, args.sample, args.context, args.temperature))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""The examples and the README's code run, learn and report; small sizes, in this process."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def example(name: str):
    return runpy.run_path(str(ROOT / "examples" / f"{name}.py"))


def test_digits_reads_most_digits_after_three_epochs(tmp_path, capsys):
    picture = tmp_path / "digits.png"
    code = example("digits")["main"](["--epochs=3", "--width=8", f"--output={picture}", "--require=0.85"])
    printed = capsys.readouterr().out
    assert code == 0, printed
    assert re.search(r"held-out accuracy \d\d\.\d\d% \(\d+ of 359 misread\)", printed)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_digits_returns_one_when_the_required_accuracy_is_missed(tmp_path):
    arguments = ["--epochs=1", "--width=2", "--lr=0", f"--output={tmp_path / 'digits.png'}", "--require=0.9"]
    assert example("digits")["main"](arguments) == 1


def test_digits_holds_out_the_same_fifth_every_time():
    load = example("digits")["load"]
    (training, training_labels), (held_out, held_out_labels) = load()
    assert training.shape == (1438, 8, 8, 1)
    assert held_out.shape == (359, 8, 8, 1)
    assert len(training_labels) + len(held_out_labels) == 1797
    assert (load()[1][1] == held_out_labels).all()


@pytest.mark.parametrize("arguments", [["--epochs=0"], ["--batch=0"], ["--batch=2000"]])
def test_digits_explains_impossible_sizes(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        example("digits")["main"](arguments)
    assert stop.value.code == 2
    assert "a batch of 1 to 1438 digits" in capsys.readouterr().err


def test_docstrings_learns_and_writes(capsys):
    arguments = "--steps=30 --batch=4 --context=32 --width=32 --heads=2 --characters=20000 --sample=50"
    assert example("docstrings")["main"]([*arguments.split(), "--prompt=Return the "]) == 0
    report, sample = capsys.readouterr().out.split("\n\n", 1)
    bits = float(re.search(r"([\d.]+) bits a character", report)[1])
    # 96 characters chosen evenly would cost log2(96) = 6.58 bits each.
    assert bits < 5.5
    assert sample.startswith("Return the ")
    assert len(sample) == len("Return the ") + 50 + len("\n")


def test_docstrings_text_is_the_standard_librarys_own():
    module = example("docstrings")
    text = "".join(module["VOCABULARY"][i] for i in module["load"](50_000))
    assert "Record of phased-in incompatible language changes." in text  # that of the module __future__
    assert module["encode"]("\n ~é").tolist() == [0, 1, 95]


def run_code_in(text: str) -> dict:
    """Run the blocks of Python in a document, one after the other; returns the names that they leave."""
    scope: dict = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, "<document>", "exec"), scope)
    return scope


def test_both_training_loops_learn():
    text = (ROOT / "docs" / "training_loops.md").read_text()
    for shown in (text.split("## Functions")[0], text):
        scope = run_code_in(shown)
        assert (scope["predicted"] - scope["y"]).square().mean().item() < 0.2
    assert "opt_state" in scope


def test_readme_code_runs():
    scope = run_code_in((ROOT / "README.md").read_text().replace("range(1000)", "range(20)"))
    assert scope["loss"].shape == ()
    assert scope["params"]["layers"][0]["weight"].shape == (64, 32)


# By name: steps to run, and the loss that they reach with room to spare.
MODELS = {
    "mlp": (100, 0.5),
    "batchnorm": (60, 0.7),
    "lstm": (60, 2.4),
    "rope": (20, 2.7),
    "vae": (100, 35.0),
    "ensemble": (60, 0.6),
    "lora": (100, 1.2),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_reach_their_loss(name, monkeypatch, capsys):
    monkeypatch.syspath_prepend(ROOT / "examples" / "models")
    steps, goal = MODELS[name]
    module = runpy.run_path(str(ROOT / "examples" / "models" / f"{name}.py"))
    assert module["run"](module["train"], steps, goal, []) == 0, capsys.readouterr().out


def test_models_say_what_they_missed(monkeypatch, capsys):
    monkeypatch.syspath_prepend(ROOT / "examples" / "models")
    module = runpy.run_path(str(ROOT / "examples" / "models" / "mlp.py"))
    assert module["run"](module["train"], 10, 1e-3, []) == 1
    with pytest.raises(SystemExit):
        module["run"](module["train"], 10, 1.0, ["--steps=3"])
    assert "at least 10 steps" in capsys.readouterr().err


def test_every_model_is_tested():
    scripts = {path.stem for path in (ROOT / "examples" / "models").glob("*.py")}
    assert scripts == {*MODELS, "common"}

"""`plot`: the points of each training's curve, one file, and one line for bad input."""

import json
from xml.etree import ElementTree

import pytest

from seq2seq_jax import config as configs
from seq2seq_jax.commands import plot
from seq2seq_jax.config import Config
from seq2seq_jax.errors import InputError
from seq2seq_jax.plots import curves

LINES = [
    {"step": 1, "split": "train", "loss": 3.0, "grad_norm": 1.0},
    {"step": 2, "split": "train", "loss": float("nan"), "grad_norm": 1.0},
    {"step": 2, "split": "dev", "loss": 2.5, "bleu": 10},
    {"step": 3, "split": "train", "loss": 2.0, "grad_norm": 2.0},
]


def workdir(folder, lines=LINES):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(configs.to_json(Config()), encoding="utf-8")
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (folder / "metrics.jsonl").write_text(text, encoding="utf-8")
    return folder


def refusal(*args):
    with pytest.raises(InputError) as refused:
        plot.main([*map(str, args)], "plot")
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_curves_are_the_finite_points_of_each_training(tmp_path, monkeypatch, capsys):
    one, two = workdir(tmp_path / "runs" / "$a$"), workdir(tmp_path / "runs" / "b")
    drawn = []
    real = curves.draw
    monkeypatch.setattr(curves, "draw", lambda *a: drawn.append(a[0]) or real(*a))
    path = tmp_path / "c.svg"
    args = "--value", "loss", "bleu", "-o", path, "--log"
    plot.main([*map(str, ("--workdir", one, two, *args))], "plot")
    assert capsys.readouterr().out == f"{path}\n"
    loss, bleu = drawn[0]["loss"], drawn[0]["bleu"]
    assert [(c.label, c.split, c.steps, c.values) for c in loss] == [
        (label, *rest)
        for label in ("$a$", "b")
        for rest in (("train", (1, 3), (3.0, 2.0)), ("dev", (2,), (2.5,)))
    ]
    assert [(c.split, c.values) for c in bleu] == [("dev", (10,))] * 2
    ElementTree.parse(path)
    first = path.read_bytes()
    plot.main([*map(str, ("--workdir", one, two, *args))], "plot")
    assert path.read_bytes() == first and len(list(tmp_path.iterdir())) == 2


def test_what_cannot_be_drawn_is_told_in_a_line(tmp_path):
    run, path = workdir(tmp_path / "run"), tmp_path / "c.png"
    ends = "--workdir", run, "-o"
    assert "did you mean 'loss'?" in refusal(*ends, path, "--value", "los")
    assert "expected one of pdf, png, svg" in refusal(*ends, tmp_path / "c.gif")
    assert "cannot be written" in refusal(*ends, tmp_path / "no" / "c.png")
    assert "names one twice" in refusal("--workdir", run, run, "-o", path)
    assert "does not exist" in refusal("--workdir", tmp_path / "no", "-o", path)
    none = workdir(tmp_path / "none", [])
    assert "has no metrics yet" in refusal("--workdir", none, "-o", path)
    torn = workdir(tmp_path / "torn", [*LINES, {"step": "3", "split": "dev"}])
    assert "line 5 is damaged" in refusal("--workdir", torn, "-o", path)
    assert not path.exists()

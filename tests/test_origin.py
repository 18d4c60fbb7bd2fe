"""A checkpoint is used with the config and the tokenisers of its training alone."""

import json
import shutil

import pytest
from test_damage import METADATA, change_notes
from tiny_runs import train

from seq2seq_jax import config as configs
from seq2seq_jax.data import tokenizers
from seq2seq_jax.errors import InputError
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.training import notes
from seq2seq_jax.training.averaging import average
from seq2seq_jax.training.report import CONFIG, digest, load_report

TEXTS = ["abcd", "dda", "b"]


@pytest.fixture
def run(whole, tmp_path):
    """A copy of a trained workdir."""
    return shutil.copytree(whole[1], tmp_path / "run")


def said(workdir, which="best", lines=None):
    warn = (lambda line: None) if lines is None else lines.append
    predictor = Predictor.load(workdir, which, warn=warn)
    return [(best.text, best.score) for best, *_ in predictor.translate(TEXTS)]


def change_config(workdir, field, value):
    path = workdir / "config.json"
    values = json.loads(path.read_text())
    section, name = field.split(".")
    assert values[section][name] != value
    values[section][name] = value
    path.write_text(json.dumps(values))


def reseal(workdir, change):
    """Change the notes of all checkpoints, as if they had been written so."""

    def change_and_seal(found):
        change(found)
        found.pop(notes.DIGEST)
        found.update(notes.seal(found))

    for path in (workdir / "checkpoints").iterdir():
        change_notes(path, change_and_seal)


@pytest.mark.parametrize("side", ["source", "target"])
def test_another_run_s_tokenizer_is_named(whole, run, side):
    own = tokenizers.load(run / "tokenizers", side)
    other = tokenizers.train("char", ["ddddcccbba"], 8)
    assert other.size == own.size and other.model != own.model
    other.save(run / "tokenizers", side)
    for act in (lambda: said(run), lambda: train(whole[0], run)):
        with pytest.raises(InputError, match=rf"tokenizers/{side}\.json is not"):
            act()
    assert not (run / "checkpoints" / "damaged").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [("model.attention", "scaled_dot"), ("data.max_length", 8), ("training.seed", 9)],
)
def test_another_config_is_named(run, field, value):
    change_config(run, field, value)
    with pytest.raises(InputError, match=rf"{field} is .* there, {value!r} in config"):
        said(run)


def test_what_a_resumed_run_may_change_and_moved_data_are_no_matter(run):
    before = said(run)
    change_config(run, "training.steps", 99)
    change_config(run, "data.train_tsv", "/moved/train.tsv")
    lines = []
    assert said(run, lines=lines) == before and not lines


@pytest.mark.parametrize("content", [None, "[]", '{"length_ratio": 0.1}'])
def test_lengths_that_are_lost_or_another_run_s_bound_nothing(run, content):
    before = Predictor.load(run).length_ratio
    (run / "lengths.json").unlink()
    if content is not None:
        (run / "lengths.json").write_text(content)
    assert Predictor.load(run).length_ratio == before


def test_a_checkpoint_of_another_run_is_stepped_over(tiny, run, tmp_path):
    train(tiny(seed=2), tmp_path / "other")
    shutil.rmtree(run / "checkpoints" / "12")
    shutil.copytree(tmp_path / "other/checkpoints/12", run / "checkpoints/12")
    lines = []
    assert said(run, "latest", lines) == said(run, 6)
    assert len(lines) == 1 and "checkpoint 12" in lines[0]
    assert "is of another run (training.seed is 2 there, 1 in config.json)" in lines[0]
    with pytest.raises(InputError, match="another run"):
        said(run, 12)


def test_checkpoints_of_an_older_version_are_used_with_a_line(whole, run):
    before = said(run)
    reseal(run, lambda found: found.pop(notes.ORIGIN))
    lines = []
    assert said(run, lines=lines) == before
    assert len(lines) == 1 and "an older version wrote it" in lines[0]
    reseal(run, lambda found: [found["bookkeeping"].pop(x) for x in NEW])
    report, lines = train(whole[0], run)
    assert report.status == "already done"
    assert sum("an older version wrote it" in line for line in lines) == 1


NEW = ("skipped", "skipped_in_row")


def test_other_data_is_told(run):
    before = said(run)
    path = run / "lengths.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"training_data": "0"}))
    lines = []
    assert said(run, lines=lines) == before
    assert len(lines) == 1 and "its train data is not that" in lines[0]


def test_a_mean_knows_its_run(run, tmp_path):
    average(run, tmp_path / "mean")
    before = said(tmp_path / "mean")
    (tmp_path / "mean" / "lengths.json").unlink()
    assert said(tmp_path / "mean") == before
    change_config(tmp_path / "mean", "model.attention", "scaled_dot")
    with pytest.raises(InputError, match=r"model\.attention"):
        said(tmp_path / "mean")
    change_config(run, "model.attention", "scaled_dot")
    with pytest.raises(InputError, match=r"model\.attention"):
        average(run, tmp_path / "another")


def test_a_report_that_is_not_what_was_written_is_made_again(run):
    path = run / "results.json"
    values = json.loads(path.read_text())
    content = json.loads((run / "checkpoints/12" / METADATA).read_bytes())
    own = content["custom_metadata"][notes.ORIGIN]
    config = digest(run / "config.json")
    assert load_report(path, own, config).metrics == values["metrics"]
    assert load_report(path, own | {"data": {"train": "0"}}, config) is None
    assert load_report(path, own, "another") is None
    path.write_text(json.dumps(values | {"best_step": 6}))
    assert load_report(path, own, config) is None
    for name in (notes.DIGEST, notes.ORIGIN, CONFIG):  # older versions wrote none
        values.pop(name)
    path.write_text(json.dumps(values))
    assert load_report(path, {}, config).metrics == values["metrics"]


def test_checkpoints_that_are_a_file_are_refused(whole, tmp_path):
    workdir = tmp_path / "run"
    workdir.mkdir()
    (workdir / "config.json").write_text(configs.to_json(whole[0]))
    (workdir / "checkpoints").write_text("")
    with pytest.raises(InputError, match="checkpoints is a file"):
        train(whole[0], workdir)

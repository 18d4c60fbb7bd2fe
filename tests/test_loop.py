"""The loop: what a training leaves, which checkpoint is best, when it stops."""

import io
import json
import os
from dataclasses import replace
from pathlib import Path

import jax
import matplotlib.image
import numpy as np
import pytest
from tiny_runs import STANDING_STILL, metrics, read_events, train

from seq2seq_jax import config as configs
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.training import loop, optimizer
from seq2seq_jax.training.checkpoints import Checkpoints
from seq2seq_jax.training.progress import Progress, decayed, evaluated, finished
from seq2seq_jax.training.reporting import Reporter, trim

SEARCH = {"beam_size": 2, "length_penalty": 0.2, "coverage_penalty": 0.3}


def test_a_run_leaves_all_that_is_needed_and_shows_results(whole):
    config, workdir, report, lines = whole
    assert report.status == "done" and report.exit_code == 0 and report.step == 12
    assert configs.load(workdir / "config.json") == config
    assert Checkpoints(workdir / "checkpoints").steps() == [6, 12]
    assert (workdir / report.alignment).stat().st_size > 1000
    assert list((workdir / "tensorboard").iterdir())
    assert set(report.metrics) == {"dev", "test"}
    assert set(report.samples[0]) == {"source", "reference", "hypothesis"}
    saved = json.loads((workdir / "results.json").read_text(encoding="utf-8"))
    assert saved["metrics"] == report.metrics
    text = "\n".join(lines)
    assert "step 6/12" in text and "tokens/s" in text and "exact match" in text
    assert "results.json" in text and "alignment.png" in text
    assert not list(workdir.rglob("*.new")) and not list(workdir.rglob("*tmp*"))


def test_the_metrics_file_has_a_line_a_report(whole):
    lines = metrics(whole[1])
    assert [(line["step"], line["split"]) for line in lines] == [
        (3, "train"),
        (6, "train"),
        (6, "dev"),
        (9, "train"),
        (12, "train"),
        (12, "dev"),
    ]
    training = whole[0].training
    rate = float(optimizer.learning_rate(training, 5))
    assert lines[1]["learning_rate"] == pytest.approx(rate)
    assert 0 < lines[0]["padding"] < 1 and lines[0]["grad_norm"] > 0
    assert lines[2]["perplexity"] == pytest.approx(np.exp(lines[2]["loss"]))


def test_the_workdir_is_all_that_inference_needs_wherever_it_is(whole, tmp_path):
    moved = tmp_path / "moved"
    for name in ("config.json", "lengths.json", "tokenizers", "checkpoints"):
        target = moved / name
        target.parent.mkdir(exist_ok=True)
        os.symlink(whole[1] / name, target)
    predictor = Predictor.load(moved)
    texts = [sample["source"] for sample in whole[2].samples]
    said = [best.text for best, *_ in predictor.translate(texts, beam_size=1)]
    assert said == [sample["hypothesis"] for sample in whole[2].samples]


def test_evaluations_search_as_they_are_told(tiny, tmp_path, monkeypatch):
    asked, translate = [], Predictor.translate

    def spy(self, texts, **options):
        asked.append({name: options[name] for name in SEARCH})
        return translate(self, texts, **options)

    monkeypatch.setattr(Predictor, "translate", spy)
    told = {f"eval_{name}": value for name, value in SEARCH.items()}
    train(tiny(steps=2, eval_every=2, **told), tmp_path / "run")
    assert asked and all(options == SEARCH for options in asked)


def test_patience_stops_and_says_why_and_more_patience_goes_on(tiny, tmp_path):
    values = STANDING_STILL | {"metric": "exact_match", "steps": 9}
    workdir = tmp_path / "run"
    report, lines = train(tiny(patience=2, **values), workdir)
    assert report.status == "stopped early" and report.step == 6
    reason = "stopped early at step 6: no better exact_match for 2 evaluations"
    assert any(line.startswith(reason) for line in lines)
    report, lines = train(tiny(patience=2, **values), workdir)
    assert report.status == "already stopped early"
    assert any(f"already {reason}" in line for line in lines)
    report, _ = train(tiny(patience=3, **values), workdir)
    assert report.step == 8


def test_the_best_checkpoint_is_measured_not_the_last(tiny, tmp_path):
    # The rate explodes at the end of a long warm-up: the last model is worse.
    config = tiny(
        optimizer="sgd",
        learning_rate=300.0,
        schedule="constant",
        warmup_steps=12,
        clip_norm=None,
        eval_every=2,
        keep_last=1,
        buckets=1,
    )
    report, _ = train(config, tmp_path / "run")
    losses = {
        line["step"]: line["loss"]
        for line in metrics(tmp_path / "run")
        if line["split"] == "dev"
    }
    assert report.best_step == min(losses, key=lambda step: losses[step]) != 12
    assert report.metrics["dev"]["loss"] == losses[report.best_step]


def test_over_three_epochs_a_step_compiles_at_most_once_a_shape(tiny, tmp_path):
    config, compiled = tiny(), []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: compiled.append(name) if "compile" in name else None
    )
    data = loop.prepare(config, tmp_path, lambda line: None)
    run = loop.Run(config, tmp_path, data, Reporter(tmp_path, 1, lambda line: None))
    state, at, shapes = run.initial_state(), [], set()
    for number in range(3 * len(run.plan)):
        before = len(compiled)
        state, _ = run.step(state, *run.cut(run.plan[number]))
        shapes.add(run.plan[number].source.shape)
        if len(compiled) > before:
            at.append(number)
    assert len(at) == len(shapes) == len(run.plan.shapes) == 2
    assert max(at) < len(run.plan)


def test_trimming_keeps_whole_lines_up_to_the_step(tmp_path):
    path = Path(tmp_path / "metrics.jsonl")
    trim(path, 3)
    assert not path.exists()
    path.write_text('{"step": 1}\n{"step": 3}\n{"step": 4}\nrubbish\n{"step": 2}')
    trim(path, 3)
    assert path.read_text() == '{"step": 1}\n{"step": 3}\n'


def test_patience_and_plateau_count_strictly_better_ones(tiny):
    training = tiny(schedule="plateau", plateau_patience=1, patience=1).training
    progress = evaluated(Progress(), 10, -2.0)
    assert (progress.best, progress.best_step, progress.waited) == (-2.0, 10, 0)
    assert finished(progress, training, 10) is None
    assert evaluated(progress, 20, float("nan")).waited == 1
    assert "no better loss" in finished(evaluated(progress, 20, -2.0), training, 11)
    progress, decays = decayed(Progress(), training, 2.0)
    assert not decays
    progress, decays = decayed(progress, training, 2.0)
    assert decays and progress.plateau_waited == 0
    constant = replace(training, schedule="constant")
    assert not decayed(progress, constant, 2.0)[1]


def test_tensorboard_gets_samples_and_pictures_of_the_same_source(tiny, tmp_path):
    from tensorboardX.proto import event_pb2

    train(tiny(eval_pictures=2), tmp_path)
    (path,) = (tmp_path / "tensorboard").iterdir()
    shown = {}
    for event in read_events(path, event_pb2.Event):
        for value in event.summary.value:
            if value.WhichOneof("value") != "simple_value":
                shown[event.step, value.tag] = value
    tags = ["dev/alignment/1", "dev/alignment/2", "dev/samples"]
    assert sorted(shown) == [(step, tag) for step in (6, 12) for tag in tags]
    for (_, tag), value in shown.items():
        if tag == "dev/samples":
            (text,) = value.tensor.string_val
            assert text.startswith(b"| source | reference | hypothesis |\n|---|")
        else:
            pixels = matplotlib.image.imread(
                io.BytesIO(value.image.encoded_image_string)
            )
            assert pixels.shape[:2] == (value.image.height, value.image.width)
    # As wide each time, since the columns are the source's.
    assert shown[6, tags[0]].image.width == shown[12, tags[0]].image.width

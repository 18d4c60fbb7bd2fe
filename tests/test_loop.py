"""The loop: resumed equals uninterrupted, nothing is lost, errors are lines."""

import errno
import json
import os
import signal
import warnings
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from seq2seq_jax import config as configs
from seq2seq_jax.errors import InputError, TrainingFailed
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.training import loop, optimizer
from seq2seq_jax.training.checkpoints import Checkpoints
from seq2seq_jax.training.progress import Progress, decayed, evaluated, finished
from seq2seq_jax.training.reporting import TIMING, Reporter, trim

# Updates that change no loss that float32 can tell: every evaluation waits.
STANDING_STILL = {
    "optimizer": "sgd",
    "learning_rate": 1e-12,
    "schedule": "plateau",
    "warmup_steps": 0,
    "plateau_patience": 2,
    "eval_every": 2,
    "log_every": 1,
    "buckets": 1,
}


class KilledError(BaseException):
    """Stands for the end of the process: nothing of ours catches it."""


def train(config, workdir):
    """Train; returns the report and all that was told."""
    lines = []
    return loop.train(config, workdir, log=lines.append), lines


def metrics(workdir):
    """The lines of the metrics file without what the clock decides."""
    lines = (workdir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [
        {name: x for name, x in json.loads(line).items() if name not in TIMING}
        for line in lines
    ]


def arrays(workdir, step):
    """All arrays of a checkpoint, and the JSON beside them but for the clock's."""
    from orbax.checkpoint import v1 as ocp

    path = workdir / "checkpoints" / str(step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # loading to no given place is fine here
        loaded = ocp.load_checkpointables(path, {"params": None, "training": None})
    notes = dict(ocp.checkpointables_metadata(path).custom_metadata)
    notes["bookkeeping"]["window"].pop("seconds", None)
    loaded["training"]["key"] = jax.random.key_data(loaded["training"]["key"])
    return loaded, notes


def assert_same_end(one, other, step):
    (ours, our_notes), (theirs, their_notes) = arrays(one, step), arrays(other, step)
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    assert our_notes == their_notes
    assert metrics(one) == metrics(other)
    assert points(one) == points(other) != {}


def at_step(monkeypatch, number, act):
    """Call `act` when the loop has dispatched a step, once."""
    done = []
    advance = Reporter.advance

    def hook(self, step):
        advance(self, step)
        if step == number and not done:
            done.append(step)
            act()

    monkeypatch.setattr(Reporter, "advance", hook)


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """A run of 12 steps, never interrupted: config, workdir, report, lines."""
    config, workdir = tiny(), tmp_path_factory.mktemp("whole") / "run"
    return config, workdir, *train(config, workdir)


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


@pytest.mark.parametrize(
    ("number", "name"), [(5, "SIGTERM"), (6, "SIGINT"), (11, "SIGINT")]
)
def test_a_signal_at_any_step_and_the_same_command_equal_no_signal(
    whole, tmp_path, monkeypatch, number, name
):
    config, workdir = whole[0], tmp_path / "run"
    signal_number = getattr(signal, name)
    at_step(monkeypatch, number, lambda: os.kill(os.getpid(), signal_number))
    report, lines = train(config, workdir)
    assert report.status == "interrupted" and report.exit_code == 75
    assert report.step == number
    assert any("run the same command to resume" in line for line in lines)
    assert signal.getsignal(signal_number) != signal.SIG_IGN
    report, lines = train(config, workdir)
    assert report.status == "done" and f"resumed at step {number}" in lines
    assert_same_end(workdir, whole[1], 12)
    assert report.metrics == whole[2].metrics


def test_killed_after_a_checkpoint_and_the_same_command_equal_no_kill(
    whole, tmp_path, monkeypatch
):
    def kill():
        raise KilledError

    at_step(monkeypatch, 11, kill)
    workdir = tmp_path / "run"
    with pytest.raises(KilledError):
        train(whole[0], workdir)
    assert metrics(workdir)[-1]["step"] == 9
    with (workdir / "metrics.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"step": 10, "half')
    report, lines = train(whole[0], workdir)
    assert "resumed at step 6" in lines and report.status == "done"
    assert_same_end(workdir, whole[1], 12)


def test_a_second_signal_quits_at_once(whole, tmp_path, monkeypatch):
    def twice():
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)

    at_step(monkeypatch, 8, twice)
    with pytest.raises(KeyboardInterrupt):
        train(whole[0], tmp_path / "run")
    assert Checkpoints(tmp_path / "run" / "checkpoints").steps() == [6]


def test_a_damaged_newest_checkpoint_costs_the_steps_since_the_one_before(
    whole, tmp_path, monkeypatch
):
    config, workdir = whole[0], tmp_path / "run"
    at_step(monkeypatch, 9, lambda: os.kill(os.getpid(), signal.SIGTERM))
    train(config, workdir)
    for path in (workdir / "checkpoints" / "9" / "training").rglob("*"):
        if path.is_file():
            os.truncate(path, path.stat().st_size // 2)
    report, lines = train(config, workdir)
    assert any("checkpoint 9" in line and "damaged" in line for line in lines)
    assert "resumed at step 6" in lines and report.status == "done"
    assert_same_end(workdir, whole[1], 12)


def test_a_finished_run_says_so_and_more_steps_go_on(whole, tiny, tmp_path):
    workdir = tmp_path / "run"
    train(tiny(steps=6), workdir)
    stamp = (workdir / "results.json").stat().st_mtime_ns
    report, lines = train(tiny(steps=6), workdir)
    assert report.status == "already done" and report.exit_code == 0
    assert any("already done at step 6 of 6" in line for line in lines)
    assert any("raise --training.steps" in line for line in lines)
    assert report.metrics and (workdir / "results.json").stat().st_mtime_ns == stamp
    report, lines = train(whole[0], workdir)
    assert report.status == "done" and report.step == 12
    assert "changed: training.steps: 6 -> 12" in lines
    assert configs.load(workdir / "config.json") == whole[0]
    assert_same_end(workdir, whole[1], 12)


def test_a_workdir_of_another_config_is_refused_saying_what_differs(whole):
    config, workdir = whole[0], whole[1]
    other = replace(config, model=replace(config.model, hidden_size=16))
    before = sorted(workdir.rglob("*"))
    with pytest.raises(InputError, match=r"model\.hidden_size: 8 -> 16"):
        train(other, workdir)
    assert sorted(workdir.rglob("*")) == before
    assert configs.load(workdir / "config.json") == config


@pytest.mark.parametrize(
    ("section", "changes", "words"),
    [
        ("training", {"optimizer": "adm"}, "training.optimizer"),
        ("training", {"schedule": "cosin"}, "training.schedule"),
        ("training", {"metric": "blue"}, "did you mean 'bleu'"),
        ("training", {"steps": 0}, "training.steps"),
        ("training", {"eval_beam_size": 500}, "vocabulary"),
        ("model", {"cell": "lstn"}, "model.cell"),
        ("model", {"decoder_hidden_size": 12}, "attention 'dot'"),
        ("data", {"train_tsv": "/nothing/there.tsv"}, "there.tsv"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_workdir(
    tiny, tmp_path, section, changes, words
):
    config = tiny()
    wrong = replace(getattr(config, section), **changes)
    workdir = tmp_path / "run"
    with pytest.raises(InputError) as caught:
        train(replace(config, **{section: wrong}), workdir)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert not (workdir / "config.json").exists()
    assert not (workdir / "tokenizers").exists()
    assert not (workdir / "checkpoints").exists()


def test_checkpoints_without_their_config_are_refused(tiny, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(InputError, match=r"no config\.json"):
        train(tiny(), tmp_path)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(tiny, tmp_path):
    config = tiny(
        optimizer="sgd",
        learning_rate=1e38,
        clip_norm=None,
        warmup_steps=0,
        schedule="constant",
        save_every=1,
        log_every=1,
        buckets=1,
    )
    with pytest.raises(TrainingFailed) as caught:
        train(config, tmp_path / "run")
    message = str(caught.value)
    stopped = int(message.split("at step ")[1].split(":")[0])
    kept = Checkpoints(tmp_path / "run" / "checkpoints")
    assert stopped > 1 and kept.steps()[-1] == stopped - 1
    assert str(kept.directory / str(stopped - 1)) in message and "\n" not in message


def test_a_full_disk_under_way_is_one_line(whole, tmp_path, monkeypatch):
    def full(self, step, split, values):
        if step > 6:
            raise OSError(errno.ENOSPC, "No space left on device", "metrics.jsonl")

    monkeypatch.setattr(Reporter, "record", full)
    with pytest.raises(InputError, match="No space left on device"):
        train(whole[0], tmp_path / "run")
    assert Checkpoints(tmp_path / "run" / "checkpoints").steps() == [6]


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
        schedule="cosine",
        warmup_steps=8,
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


def test_a_plateau_lowers_the_rate_and_a_resumed_run_goes_on_with_it(
    tiny, tmp_path, monkeypatch
):
    config = tiny(**STANDING_STILL)
    train(config, tmp_path / "whole")
    rates = [m["learning_rate"] for m in metrics(tmp_path / "whole") if "epoch" in m]
    assert rates[0] == pytest.approx(1e-12) and rates[6] == pytest.approx(5e-13)
    assert rates[-1] == pytest.approx(2.5e-13)
    at_step(monkeypatch, 7, lambda: os.kill(os.getpid(), signal.SIGTERM))
    train(config, tmp_path / "run")
    train(config, tmp_path / "run")
    assert_same_end(tmp_path / "run", tmp_path / "whole", 12)


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


def points(workdir):
    """The points of TensorBoard's curves as it shows them, resumed runs joined."""
    from tensorboardX.proto import event_pb2

    kept = {}
    for path in sorted((workdir / "tensorboard").iterdir(), key=os.path.getmtime):
        for event in read_events(path, event_pb2.Event):
            if event.WhichOneof("what") == "session_log":
                kept = {key: x for key, x in kept.items() if key[0] < event.step}
            for value in event.summary.value:
                if value.tag.split("/")[1] not in TIMING:
                    kept[event.step, value.tag] = value.simple_value
    return kept


def read_events(path, kind):
    """Length, its checksum, the event, its checksum; again and again."""
    data = path.read_bytes()
    while data:
        size = int.from_bytes(data[:8], "little")
        yield kind.FromString(data[12 : 12 + size])
        data = data[16 + size :]

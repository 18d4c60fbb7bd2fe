"""What a workdir tells of itself: its sessions, and the command `info`."""

import json
import os
import shutil
import signal

import jax
import pytest
from tiny_runs import at_step, train

from seq2seq_jax import cli
from seq2seq_jax.errors import InputError
from seq2seq_jax.training import sessions


def test_each_start_is_a_line_and_differences_are_told(whole, tmp_path, monkeypatch):
    workdir = tmp_path / "run"
    monkeypatch.setattr(sessions, "commit", lambda root: "4567")
    at_step(monkeypatch, 9, lambda: os.kill(os.getpid(), signal.SIGTERM))
    train(whole[0], workdir)
    path = workdir / sessions.NAME
    first = sessions.read(path)
    assert [session["step"] for session in first] == [0]
    assert first[0]["versions"]["jax"] == jax.__version__ and first[0]["seed"] == 1
    assert set(first[0]["data"]) == {"train", "dev", "test"}
    first[0]["versions"]["jax"] = "0.1"
    first[0]["devices"] |= {"platform": "tpu", "kind": "TPU v5 lite", "count": 512}
    first[0]["commit"] = "0123"
    first[0]["data"]["train"] = "0"
    path.write_text(json.dumps(first[0]) + '\n{"date": "half')
    _, lines = train(whole[0], workdir)
    warnings = [line for line in lines if line.startswith("warning: ")]
    assert warnings == [
        f"warning: jax is {jax.__version__}, in the session before it was 0.1",
        "warning: the platform is cpu, in the session before it was tpu",
        "warning: the kind of device is cpu, in the session before it was TPU v5 lite",
        f"warning: the number of devices is {jax.device_count()}, in the session "
        f"before it was 512",
        "warning: the commit is 4567, in the session before it was 0123",
        f"warning: the fingerprint of the train data is "
        f"{sessions.read(path)[-1]['data']['train']}, in the session before it was 0",
    ]
    assert [session["step"] for session in sessions.read(path)] == [0, 9]
    train(whole[0], workdir)
    assert len(sessions.read(path)) == 2, "a finished training does not start"


@pytest.mark.parametrize("kind", ["branch", "packed", "detached", "worktree", "none"])
def test_the_commit_of_a_checkout_is_read_without_git(tmp_path, kind):
    digits, git = "0123456789abcdef" * 2, tmp_path / ".git"
    ref = "refs/heads/main"
    git.mkdir()
    (git / "HEAD").write_text(digits if kind == "detached" else f"ref: {ref}\n")
    if kind == "packed":
        (git / "packed-refs").write_text(f"# pack-refs\n{digits} {ref}\n")
    else:
        (git / "refs" / "heads").mkdir(parents=True)
        (git / ref).write_text(digits + "\n")
    root = tmp_path
    if kind == "worktree":
        root, own = tmp_path / "tree", git / "worktrees" / "tree"
        root.mkdir()
        own.mkdir(parents=True)
        (own / "HEAD").write_text(f"ref: {ref}\n")
        (own / "commondir").write_text("../..\n")
        (root / ".git").write_text(f"gitdir: {own}\n")
    if kind == "none":
        shutil.rmtree(git)
    assert sessions.commit(root) == (None if kind == "none" else digits)


def info(workdir, capsys, *flags):
    cli.run_command(["info", "--workdir", str(workdir), *flags])
    return capsys.readouterr().out


def test_info_shows_what_there_is_and_what_is_damaged(whole, tmp_path, capsys):
    run = shutil.copytree(whole[1], tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    found = json.loads(info(run, capsys, "--json"))
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    assert found["config"]["model.hidden_size"] == 8 and found["problems"] == []
    told = [line for line in whole[3] if "parameters" in line]
    assert f"{found['parameters']:,} parameters" in told[0]
    assert [each["step"] for each in found["checkpoints"]] == [6, 12]
    assert [each["state"] for each in found["checkpoints"]] == ["whole", "whole"]
    assert found["newest"] == 12 and found["best"] == whole[2].best_step
    assert found["sessions"] == sessions.read(run / sessions.NAME)
    assert "score" in found["checkpoints"][1]["metrics"]
    for path in (run / "checkpoints" / "12" / "training").rglob("d/*"):
        os.truncate(path, path.stat().st_size // 2)
    (run / "tokenizers" / "source.json").write_text("{")
    said = info(run, capsys)
    assert "12  " in said and "damaged (" in said and "whole" in said
    assert "problem      the tokeniser" in said and "newest       6" in said
    assert jax.__version__ in said


def test_info_of_a_mean_and_of_no_workdir(whole, tmp_path, capsys):
    mean = tmp_path / "mean"
    cli.run_command(["average", "--workdir", str(whole[1]), "-o", str(mean)])
    said = info(mean, capsys)
    assert "mean of 6, 12" in said and "none are known" in said
    with pytest.raises(InputError, match=r"no config\.json"):
        info(tmp_path, capsys)

"""The file of docs/your-own-task.md does what the page says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "your-own-task.md").read_text(encoding="utf-8")


def run(folder, *command, text=""):
    """What a Python program prints, and what it complains of."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        input=text,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.slow
def test_a_task_in_one_file_trains_and_translates(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "clock.py").write_text(code, encoding="utf-8")
    assert run(tmp_path, "clock.py")[0] == 0
    flags = [
        "--workdir",
        "run",
        "--training.steps",
        "60",
        "--training.eval_every",
        "30",
    ]
    small = ["--model.hidden_size", "16", "--training.eval_examples", "20"]
    told = run(tmp_path, "clock.py", "train", "clock.py", *flags, *small)
    assert told[0] == 0, told[2]
    assert "near" in told[1] + told[2]
    line = "ten past nine in the morning\n"
    code, said, _ = run(
        tmp_path, "clock.py", "translate", "--workdir", "run", text=line
    )
    assert code == 0 and re.fullmatch(r"[\d:]*\n", said)
    code, _, refused = run(
        tmp_path, "-m", "seq2seq_jax.cli", "translate", "--workdir", "run", text=line
    )
    assert code == 2 and "model.attention is 'cosine'" in refused
    assert refused.count("\n") == 1

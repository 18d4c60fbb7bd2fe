"""The command line refuses what is wrong with one line, and reads all spellings."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
import tyro

from seq2seq_jax import flags
from seq2seq_jax.config import Config
from seq2seq_jax.errors import InputError


@dataclass(frozen=True)
class Inner:
    """Nested."""

    hidden_size: int = 4
    """units"""
    tied: bool = True
    """share them"""


@dataclass(frozen=True)
class Options:
    """Do something with files."""

    workdir: Path
    """where"""
    inner: Inner = field(default_factory=Inner)
    """the inside"""
    input: Annotated[str | None, tyro.conf.arg(aliases=["-i"])] = None
    """what to read"""
    rate: float = 0.5
    """how fast"""
    patience: int | None = 3
    """how long"""
    kind: Literal["png", "svg"] = "png"
    """which"""
    scores: flags.Switch = False
    """say how good"""
    reference: tuple[str, ...] = ()
    """files"""


def parse(text, default=None):
    return flags.parse(Options, text.split(), default, prog="prog")


def refusal(text, **kwargs):
    with pytest.raises(InputError) as error:
        parse(text, **kwargs)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_every_spelling_of_a_flag_sets_its_field():
    expected = Options(Path("d"), Inner(hidden_size=7))
    for flag in ("--inner.hidden_size 7", "--inner.hidden-size 7"):
        assert parse(f"--workdir d {flag}") == expected
        assert parse(f"--workdir=d {flag.replace(' ', '=')}") == expected


def test_values_of_every_type():
    made = parse(
        "--workdir d -i - --rate 1e-3 --patience None --kind svg --scores "
        "--inner.tied False --reference a b --reference=c"
    )
    assert made == Options(
        Path("d"), Inner(tied=False), "-", 1e-3, None, "svg", True, ("a", "b", "c")
    )


def test_a_negative_number_is_a_value_and_the_last_flag_wins():
    assert parse("--workdir d --rate -1.5").rate == -1.5
    assert parse("--workdir d --rate 1 --rate 2").rate == 2.0


def test_a_field_that_is_true_or_false_takes_either_word_or_none():
    for text, value in (
        ("", True),
        (" true", True),
        (" False", False),
        ("=false", False),
    ):
        assert parse(f"--workdir d --inner.tied{text}").inner.tied is value


def test_a_default_instance_gives_the_defaults_and_what_is_required():
    default = Options(flags.REQUIRED, Inner(hidden_size=99))
    assert parse("--workdir d", default).inner.hidden_size == 99
    assert "--workdir is missing" in refusal("", default=default)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "--inner.hiden_size 3",
            "unknown flag --inner.hiden_size; did you mean --inner.",
        ),
        (
            "--hidden_size 3",
            "unknown flag --hidden_size; did you mean --inner.hidden_size?",
        ),
        ("--iner.hidden-size 3", "did you mean --inner.hidden_size?"),
        ("--quite_another 3", "unknown flag --quite_another"),
        ("-x", "unknown flag -x"),
        ("--inner.hidden_size abc", "--inner.hidden_size is 'abc', expected int"),
        ("--inner.hidden_size 1.5", "--inner.hidden_size is '1.5', expected int"),
        ("--inner.hidden_size=", "--inner.hidden_size is '', expected int"),
        ("--patience x", "--patience is 'x', expected int or None"),
        ("--rate fast", "--rate is 'fast', expected float"),
        ("--kind jpg", "--kind is 'jpg', expected png or svg"),
        ("--scores=3", "--scores is '3', expected True or False"),
        ("--rate", "--rate has no value, expected --rate FLOAT"),
        ("--workdir --scores", "--workdir has no value, expected --workdir PATH"),
        ("", "--workdir is missing, expected --workdir PATH"),
        ("--workdir d more", "unexpected argument 'more'"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(text, message):
    assert message in refusal(text)


def test_every_field_of_the_config_is_a_flag_with_help(capsys):
    with pytest.raises(SystemExit) as end:
        flags.parse(Config, ["-h"], prog="train.py")
    assert end.value.code == 0
    shown = capsys.readouterr().out
    for name in flags.table_of(Config):
        assert name in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_help_wins_over_errors_elsewhere(capsys):
    with pytest.raises(SystemExit) as end:
        parse("--nonsense -h")
    assert end.value.code == 0
    assert "what to read" in capsys.readouterr().out


def test_split_parts_positional_arguments_from_flags():
    read = flags.split(Options, ["a", "--rate", "1", "b", "--scores", "c"])
    assert read.positional == ["a", "b", "c"]
    assert read.values == {"--rate": ["1"], "--scores": ["True"]}


def test_a_command_is_known_or_the_nearest_is_named():
    commands = {"translate": Options, "score": Inner}
    ask = {"commands": commands, "prog": "prog", "description": "It does things."}
    assert flags.command(["score", "-h"], **ask) == "score"
    with pytest.raises(InputError, match="did you mean 'translate'"):
        flags.command(["tranlate"], **ask)
    with pytest.raises(InputError, match="a command is missing"):
        flags.command([], **ask)


def run_process(body, **kwargs):
    code = f"from seq2seq_jax import program\nfrom seq2seq_jax.errors import *\n{body}"
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        **kwargs,
    )


def test_run_turns_a_users_mistake_into_one_line_and_code_2():
    done = run_process("def main(a): raise InputError('no\\nfile')\nprogram.run(main)")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "error: no file\n")


def test_run_tells_of_a_full_disk_in_one_line():
    body = "def main(a): raise OSError(28, 'No space left on device', 'out.txt')"
    done = run_process(f"{body}\nprogram.run(main)")
    assert done.returncode == 2
    assert done.stderr == "error: No space left on device: out.txt\n"


def test_run_keeps_the_traceback_of_a_defect():
    done = run_process("def main(a): raise KeyError('x')\nprogram.run(main)")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_run_ends_quietly_on_an_interrupt_and_a_closed_pipe():
    done = run_process("def main(a): raise KeyboardInterrupt\nprogram.run(main)")
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
    body = "def main(a):\n  for i in range(10**6): print(i)\nprogram.run(main)"
    code = f"from seq2seq_jax import program\n{body}"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141

"""What is said to each line, and a terminal in which somebody types."""

import os
import re
import select
import subprocess
import sys
import time

import numpy as np
import pytest
from command_line import ENVIRONMENT, ROOT, refusal
from predictors import predictor

from seq2seq_jax.commands.interactive import Options, Talk, drawn


def talk(**options):
    return Talk(predictor(), Options(workdir="unused", **options))


def test_a_line_is_answered_as_translate_does():
    asks = talk(n_best=2, beam_size=3)
    lines = list(asks.answer("abcd"))
    (best,) = predictor().translate(["abcd"], 3, 2)
    for number, one in enumerate(best, 1):
        assert lines[number - 1].startswith(f"{number}. {one.text}   (score ")
        assert f"log p {one.log_prob:.3f}" in lines[number - 1]
    assert lines[2].split() == best[0].source_pieces
    assert [line.split()[0] for line in lines[3:]] == best[0].pieces
    (scored, total) = asks.answer(f":score {best[0].text}")
    assert total == f"log p {best[0].log_prob:.3f} for 'abcd'"
    assert len(scored.split("  ")) == len(best[0].pieces)
    assert list(asks.answer("")) == list(asks.answer("  ")) == []
    assert next(asks.answer("::set")).startswith("1. ")  # a text, no command


def test_commands_change_the_search_and_refusals_are_lines():
    asks = talk()
    assert list(asks.answer(":set beam-size 4")) == ["beam_size 4"]
    assert list(asks.answer(":set n_best 1")) == ["n_best 1"]
    assert asks.options.beam_size == 4 and "n_best 1" in next(asks.answer(":set"))
    assert len([x for x in asks.answer("abc") if re.match(r"\d\. ", x)]) == 1
    for line, said in {
        ":score x": "no line yet" if asks.last is None else "log p",
        ":sett 3": "did you mean 'set'?",
        ":set beam 3": "expected one of beam_size",
        ":set beam_size five": "expected a number",
        ":set n_best 9": "at least as large a beam",
        ":set coverage_penalty -1": "coverage_penalty -1.0",
    }.items():
        assert said in list(asks.answer(line))[-1]
    assert list(asks.answer("abc")) == [
        "error: coverage_penalty is -1.0, expected a finite number, 0 or more"
    ]
    assert "there is no line yet" in next(talk().answer(":score x"))
    assert not asks.over and list(asks.answer(":quit")) == [] and asks.over


def test_shades_stand_below_the_tokens_that_were_looked_at():
    (best,) = predictor().translate(["ab"], 1)
    weights = np.array([[1.0, 0.0, 0.3]])
    one = best[0].__class__("x", [5], ["本"], 0, 0, weights, ["a", "日本", "</s>"])
    assert list(drawn(one)) == ["    a 日本 </s>", "本  █      ▒▒▒▒"]


@pytest.mark.slow
def test_somebody_types(whole):
    workdir = str(whole[1])
    # A process whose terminal is what another one, without JAX, forks for it.
    spawn = "import os, pty, sys; code = pty.spawn(sys.argv[1:]); "
    spawn += "sys.exit(os.waitstatus_to_exitcode(code))"
    command = [sys.executable, "-m", "seq2seq_jax.cli", "interactive"]
    process = subprocess.Popen(
        [sys.executable, "-c", spawn, *command, "--workdir", workdir],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | ENVIRONMENT,
        cwd=ROOT,
    )
    heard = b""

    def until(what):
        nonlocal heard
        start, end = len(heard), time.monotonic() + 120
        while what not in heard[start:] and time.monotonic() < end:
            if select.select([process.stdout], [], [], 1)[0]:
                heard += os.read(process.stdout.fileno(), 4096)
        assert what in heard[start:], heard

    until(b":help tells what can be asked\r\n> ")
    for typed, answer in (
        (b"ab\n", b"3. "),
        (b":nope\n", b"error: the command is 'nope'"),
        (b"abc\x03", b"\r\n> "),  # given up, not the end
        (b"\x04", b"\r\n"),
    ):
        process.stdin.write(typed)
        process.stdin.flush()
        until(answer)
    process.stdin.close()
    assert process.wait(60) == 0
    process.stdout.close()
    assert b"Traceback" not in heard
    assert "needs a terminal" in refusal("interactive", "--workdir", workdir)

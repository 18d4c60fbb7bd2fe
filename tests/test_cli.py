"""Every documented command, run as a process on a tiny model that a process trained."""

import json
import math
from pathlib import Path

from command_line import LINES, refusal, run, succeed


def test_translate_gives_a_line_for_every_line_in_order(capitals, trained):
    out = capitals / "out.txt"
    succeed("translate", "--workdir", trained, "-i", capitals / "in.txt", "-o", out)
    there = out.read_bytes().decode().split("\n")
    assert len(there) == len(LINES) + 1 and there[-1] == ""
    assert there[1] == ""
    assert there[0] == "A B C"
    backwards = "".join(f"{line}\r\n" for line in reversed(LINES))
    said = succeed("translate", "--workdir", trained, stdin="\ufeff" + backwards)
    assert said.split("\n")[:-1] == there[:-1][::-1]


def test_only_a_newline_ends_a_line(trained):
    said = succeed("translate", "--workdir", trained, stdin="a\u2028b\fc\x85d\na")
    assert said.count("\n") == 2


def test_scores_and_alignments_follow_a_tab(capitals, trained):
    flags = ["--scores", "--alignments", "--length-penalty", "0"]
    path = capitals / "in.txt"
    said = succeed("translate", "--workdir", trained, "-i", path, *flags)
    for line, source in zip(said.split("\n")[:-1], LINES, strict=True):
        text, score, alignment = line.split("\t")
        assert float(score) <= 0
        links = [tuple(map(int, link.split("-"))) for link in alignment.split()]
        assert [j for _, j in links] == list(range(len(text.split())))
        assert all(0 <= i < len(source) for i, _ in links)
    # Without a penalty the score is the log-probability that `score` tells.
    (capitals / "a.txt").write_text(LINES[0] + "\n", encoding="utf-8")
    text, score, _ = said.split("\n")[0].split("\t")
    (capitals / "b.txt").write_text(text + "\n", encoding="utf-8")
    files = ["--source", capitals / "a.txt", "--target", capitals / "b.txt"]
    told = float(succeed("score", "--workdir", trained, *files))
    assert math.isclose(told, float(score), abs_tol=1e-4)


def test_n_best_lists_have_numbered_lines_that_begin_with_the_best(capitals, trained):
    path = capitals / "in.txt"
    best = succeed("translate", "--workdir", trained, "-i", path, "--beam-size", 4)
    lists = succeed(
        "translate", "--workdir", trained, "-i", path, "--beam-size", 4, "--n-best", 3
    )
    found = {}
    for line in lists.split("\n")[:-1]:
        number, text, score = line.split(" ||| ")
        found.setdefault(int(number), []).append((float(score), text))
    assert list(found) == list(range(len(LINES)))
    assert [hypotheses[0][1] for hypotheses in found.values()] == best.split("\n")[:-1]
    for number, hypotheses in found.items():
        assert len(hypotheses) == (3 if LINES[number] else 1)
        assert sorted(hypotheses, key=lambda pair: -pair[0]) == hypotheses


def test_long_lines_are_cut_with_a_warning_that_counts_them(trained):
    done = run("translate", "--workdir", trained, stdin="a\n" + "ab" * 50 + "\n")
    assert done.returncode == 0
    assert done.stdout.count(b"\n") == 2
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("warning: 1 of 2 lines were cut to 10 tokens")


def test_perplexity_sums_up_the_scores(capitals, trained):
    files = ["--source", capitals / "dev.source", "--target", capitals / "dev.target"]
    said = succeed("score", "--workdir", trained, *files)
    scores = [float(line) for line in said.splitlines()]
    targets = (capitals / "dev.target").read_text("utf-8").splitlines()
    assert len(scores) == len(targets)
    tokens = sum(len(target.split()) + 1 for target in targets)
    perplexity = float(
        succeed("score", "--workdir", trained, *files, "--summary", "perplexity")
    )
    assert math.isclose(perplexity, math.exp(-sum(scores) / tokens), rel_tol=1e-4)


def test_evaluate_tells_every_metric_as_the_training_did(capitals, trained):
    files = [
        "--source",
        capitals / "dev.source",
        "--reference",
        capitals / "dev.target",
    ]
    said = json.loads(
        succeed("evaluate", "--workdir", trained, *files, "--json", "--beam-size", 1)
    )
    trained = json.loads((trained / "results.json").read_text("utf-8"))
    for name in ("exact_match", "token_error_rate", "word_error_rate", "chrf"):
        assert math.isclose(said[name], trained["metrics"]["dev"][name], abs_tol=1e-6)
    assert said["exact_match"] > 50
    assert said["lines"] == 20
    assert said["signatures"]["bleu"].startswith("nrefs:1|case:mixed")


def test_evaluate_takes_several_references_and_prints_a_line_a_metric(
    capitals, trained
):
    wrong = capitals / "wrong.txt"
    wrong.write_text("X\n" * 20, encoding="utf-8")
    said = succeed(
        *("evaluate", "--workdir", trained, "--source", capitals / "dev.source"),
        *("--reference", wrong, capitals / "dev.target", "--tokenize", "none"),
    )
    rows = {line.split("\t")[0]: line.split("\t")[1:] for line in said.splitlines()}
    assert float(rows["exact_match"][0]) > 50
    assert "nrefs:2" in rows["bleu"][1] and "tok:none" in rows["bleu"][1]


def test_evaluate_compares_with_the_beginning_of_the_source(capitals, trained):
    files = ["--source", capitals / "dev.source"]
    files += ["--reference", capitals / "dev.source", "--lead", 9, "--beam-size", 1]
    command = ["evaluate", "--workdir", trained, *files]
    rows = dict(line.split("\t")[:2] for line in succeed(*command).splitlines())
    assert float(rows["lead_exact_match"]) == 100 > float(rows["exact_match"])
    assert json.loads(succeed(*command, "--json"))["lead"]["exact_match"] == 100
    assert "1 or more" in refusal(*command, "--lead", 0)


def test_align_draws_a_picture_for_each_line_with_text(capitals, trained):
    source = ["align", "--workdir", trained, "-i", capitals / "in.txt"]
    said = succeed(*source, "-o", capitals / "pictures")
    names = [f"{n:05}.png" for n, line in enumerate(LINES, 1) if line]
    assert sorted(path.name for path in (capitals / "pictures").iterdir()) == names
    assert said.splitlines() == [str(capitals / "pictures" / name) for name in names]
    given = ["--target", capitals / "in.txt", "--format", "svg"]
    succeed(*source, *given, "-o", capitals / "given")
    assert len(list((capitals / "given").glob("*.svg"))) == len(names)


def test_a_checkpoint_is_named_by_best_latest_or_its_step(trained):
    wish = ["translate", "--workdir", trained]
    latest = succeed(*wish, "--checkpoint", "latest", stdin="abc\n")
    assert succeed(*wish, "--checkpoint", 60, stdin="abc\n") == latest
    assert "60" in refusal(*wish, "--checkpoint", 7, stdin="abc\n")


def test_help_and_version_come_from_every_program():
    for args in (["train.py", "configs/reversal.py"], ["translate"], ["score"]):
        assert "--workdir" in succeed(*args, "-h")
    listed = succeed("-h")
    for command in ("train", "translate", "score", "evaluate", "align"):
        assert command in listed
        assert max(map(len, succeed(command, "-h").splitlines())) <= 80
    assert succeed("--version").startswith("seq2seq-jax 0.")


def test_help_of_a_recipe_shows_its_own_values(capitals):
    recipe = capitals / "own.py"
    recipe.write_text(
        "from seq2seq_jax.config import Config, ModelConfig\n"
        "def get_config(size='77'):\n"
        "    return Config(model=ModelConfig(hidden_size=int(size)))\n"
    )
    assert "(default: 77)" in succeed("train.py", recipe, "-h")
    assert "(default: 88)" in succeed("train.py", f"{recipe}:88", "-h")


def test_an_output_may_be_a_device(capitals, trained):
    succeed(
        *("translate", "--workdir", trained, "-i", capitals / "in.txt"),
        "-o",
        "/dev/null",
    )
    assert not Path("/dev/null").is_file()

"""Every documented command, run as a process on a tiny model that a process trained."""

import json
import math
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LETTERS = "abcdé"
# Less optimised programs compile in half the time.
ENVIRONMENT = {"COLUMNS": "80", "TERM": "dumb", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
LINES = ["abc", "", "éd", "badcab", "xyz", "a"]  # an empty line, unknown letters


def run(*args, stdin=""):
    """`seq2seq-jax ARGS`, or `train.py ARGS` for a recipe."""
    program = ["-m", "seq2seq_jax.cli"] if args[0] != "train.py" else []
    return subprocess.run(
        [sys.executable, *program, *map(str, args)],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        cwd=ROOT,
        timeout=300,
        env=os.environ | ENVIRONMENT,
    )


def succeed(*args, stdin=""):
    """Stdout of a command that must end well."""
    done = run(*args, stdin=stdin)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def refusal(*args, stdin=""):
    """The one line that a command must refuse its arguments with."""
    done = run(*args, stdin=stdin)
    said = done.stderr.decode()
    assert done.returncode == 2, said
    assert "Traceback" not in said
    assert done.stdout == b""
    (line,) = said.splitlines()
    assert line.startswith("error: ")
    return line


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Pairs of words and their letters in capitals, as TSV and as parallel files."""
    folder = tmp_path_factory.mktemp("cli")
    draw = random.Random(0)
    for name, count in (("train", 300), ("dev", 20)):
        words = [
            "".join(draw.choices(LETTERS, k=draw.randint(3, 6))) for _ in range(count)
        ]
        targets = [" ".join(word.upper()) for word in words]
        columns = {"tsv": [f"{w}\t{t}" for w, t in zip(words, targets, strict=True)]}
        columns |= {"source": words, "target": targets}
        for kind, lines in columns.items():
            text = "".join(f"{line}\n" for line in lines)
            (folder / f"{name}.{kind}").write_text(text, encoding="utf-8")
    (folder / "in.txt").write_text("".join(f"{line}\n" for line in LINES), "utf-8")
    return folder


@pytest.fixture(scope="module")
def training(folder):
    """Arguments of `train.py` for a model that learns the capitals in seconds."""
    options = {
        "data.train_tsv": folder / "train.tsv",
        "data.dev_tsv": folder / "dev.tsv",
        "data.source_tokenizer": "char",
        "data.target_tokenizer": "word",
        "data.max_length": 10,
        "data.buckets": 1,
        "model.cell": "gru",
        "model.hidden_size": 24,
        "model.embedding_size": 12,
        "model.dropout": 0,
        "training.steps": 60,
        "training.eval_every": 60,
        "training.batch_tokens": 500,
        "training.learning_rate": 0.02,
        "training.warmup_steps": 5,
        "training.label_smoothing": 0,
    }
    flags = [text for name, value in options.items() for text in (f"--{name}", value)]
    return ["train.py", "configs/text.py", "--workdir", folder / "run", *flags]


@pytest.fixture(scope="module")
def workdir(folder, training):
    """What that training left, moved elsewhere; its data cache is deleted."""
    succeed(*training)
    assert "already done" in run(*training).stderr.decode()
    moved = folder / "moved"
    shutil.copytree(folder / "run", moved)
    shutil.rmtree(folder / "run" / "tokenizers")
    shutil.rmtree(moved / "data")
    return moved


def test_translate_gives_a_line_for_every_line_in_order(folder, workdir):
    out = folder / "out.txt"
    succeed("translate", "--workdir", workdir, "-i", folder / "in.txt", "-o", out)
    there = out.read_bytes().decode().split("\n")
    assert len(there) == len(LINES) + 1 and there[-1] == ""
    assert there[1] == ""
    assert there[0] == "A B C"
    backwards = "".join(f"{line}\r\n" for line in reversed(LINES))
    said = succeed("translate", "--workdir", workdir, stdin="\ufeff" + backwards)
    assert said.split("\n")[:-1] == there[:-1][::-1]


def test_only_a_newline_ends_a_line(workdir):
    said = succeed("translate", "--workdir", workdir, stdin="a\u2028b\fc\x85d\na")
    assert said.count("\n") == 2


def test_scores_and_alignments_follow_a_tab(folder, workdir):
    flags = ["--scores", "--alignments", "--length-penalty", "0"]
    path = folder / "in.txt"
    said = succeed("translate", "--workdir", workdir, "-i", path, *flags)
    for line, source in zip(said.split("\n")[:-1], LINES, strict=True):
        text, score, alignment = line.split("\t")
        assert float(score) <= 0
        links = [tuple(map(int, link.split("-"))) for link in alignment.split()]
        assert [j for _, j in links] == list(range(len(text.split())))
        assert all(0 <= i < len(source) for i, _ in links)
    # Without a penalty the score is the log-probability that `score` tells.
    (folder / "a.txt").write_text(LINES[0] + "\n", encoding="utf-8")
    text, score, _ = said.split("\n")[0].split("\t")
    (folder / "b.txt").write_text(text + "\n", encoding="utf-8")
    files = ["--source", folder / "a.txt", "--target", folder / "b.txt"]
    told = float(succeed("score", "--workdir", workdir, *files))
    assert math.isclose(told, float(score), abs_tol=1e-4)


def test_n_best_lists_have_numbered_lines_that_begin_with_the_best(folder, workdir):
    path = folder / "in.txt"
    best = succeed("translate", "--workdir", workdir, "-i", path, "--beam-size", 4)
    lists = succeed(
        "translate", "--workdir", workdir, "-i", path, "--beam-size", 4, "--n-best", 3
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


def test_long_lines_are_cut_with_a_warning_that_counts_them(workdir):
    done = run("translate", "--workdir", workdir, stdin="a\n" + "ab" * 50 + "\n")
    assert done.returncode == 0
    assert done.stdout.count(b"\n") == 2
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("warning: 1 of 2 lines were cut to 10 tokens")


def test_perplexity_sums_up_the_scores(folder, workdir):
    files = ["--source", folder / "dev.source", "--target", folder / "dev.target"]
    said = succeed("score", "--workdir", workdir, *files)
    scores = [float(line) for line in said.splitlines()]
    targets = (folder / "dev.target").read_text("utf-8").splitlines()
    assert len(scores) == len(targets)
    tokens = sum(len(target.split()) + 1 for target in targets)
    perplexity = float(
        succeed("score", "--workdir", workdir, *files, "--summary", "perplexity")
    )
    assert math.isclose(perplexity, math.exp(-sum(scores) / tokens), rel_tol=1e-4)


def test_evaluate_tells_every_metric_as_the_training_did(folder, workdir):
    files = ["--source", folder / "dev.source", "--reference", folder / "dev.target"]
    said = json.loads(
        succeed("evaluate", "--workdir", workdir, *files, "--json", "--beam-size", 1)
    )
    trained = json.loads((workdir / "results.json").read_text("utf-8"))
    for name in ("exact_match", "token_error_rate", "word_error_rate", "chrf"):
        assert math.isclose(said[name], trained["metrics"]["dev"][name], abs_tol=1e-6)
    assert said["exact_match"] > 50
    assert said["lines"] == 20
    assert said["signatures"]["bleu"].startswith("nrefs:1|case:mixed")


def test_evaluate_takes_several_references_and_prints_a_line_a_metric(folder, workdir):
    wrong = folder / "wrong.txt"
    wrong.write_text("X\n" * 20, encoding="utf-8")
    said = succeed(
        *("evaluate", "--workdir", workdir, "--source", folder / "dev.source"),
        *("--reference", wrong, folder / "dev.target", "--tokenize", "none"),
    )
    rows = {line.split("\t")[0]: line.split("\t")[1:] for line in said.splitlines()}
    assert float(rows["exact_match"][0]) > 50
    assert "nrefs:2" in rows["bleu"][1] and "tok:none" in rows["bleu"][1]


def test_align_draws_a_picture_for_each_line_with_text(folder, workdir):
    source = ["align", "--workdir", workdir, "-i", folder / "in.txt"]
    said = succeed(*source, "-o", folder / "pictures")
    names = [f"{n:05}.png" for n, line in enumerate(LINES, 1) if line]
    assert sorted(path.name for path in (folder / "pictures").iterdir()) == names
    assert said.splitlines() == [str(folder / "pictures" / name) for name in names]
    given = ["--target", folder / "in.txt", "--format", "svg"]
    succeed(*source, *given, "-o", folder / "given")
    assert len(list((folder / "given").glob("*.svg"))) == len(names)


def test_a_checkpoint_is_named_by_best_latest_or_its_step(workdir):
    wish = ["translate", "--workdir", workdir]
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


def test_help_of_a_recipe_shows_its_own_values(folder):
    recipe = folder / "own.py"
    recipe.write_text(
        "from seq2seq_jax.config import Config, ModelConfig\n"
        "def get_config(size='77'):\n"
        "    return Config(model=ModelConfig(hidden_size=int(size)))\n"
    )
    assert "(default: 77)" in succeed("train.py", recipe, "-h")
    assert "(default: 88)" in succeed("train.py", f"{recipe}:88", "-h")


BAD_RECIPES = {
    "config = 1\n": "has no function get_config",
    "def get_config(): return {}\n": "returned dict, expected seq2seq_jax.config.",
    "x = (\n": "line 1: SyntaxError",
    "import os\ndef get_config(): return 1 / 0\n": "line 2: ZeroDivisionError",
}


@pytest.mark.parametrize("code", BAD_RECIPES)
def test_a_recipe_that_cannot_be_used_is_refused(tmp_path, code):
    (tmp_path / "bad.py").write_text(code)
    said = refusal("train.py", tmp_path / "bad.py", "--workdir", tmp_path / "run")
    assert BAD_RECIPES[code] in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ("", "a recipe is missing"),
        ("configs/cmudct.py --workdir x", "did you mean configs/cmudict.py?"),
        ("cmudct --workdir x", "did you mean configs/cmudict.py?"),
        ("configs/text.py", "--workdir is missing"),
        (
            "configs/text.py --workdir x --model.hiden_size 3",
            "mean --model.hidden_size?",
        ),
        ("configs/text.py --workdir x --training.steps abc", "is 'abc', expected int"),
        ("configs/text.py --workdir x --training.steps 0", "training.steps is 0"),
        ("configs/text.py --workdir train.py", "is a file, expected a folder"),
        ("configs/text.py:big --workdir x", "has no variants"),
    ],
)
def test_train_refuses_what_is_wrong_with_its_arguments(args, message):
    assert message in refusal("train.py", *args.split())
    assert not (ROOT / "x").exists()


def test_train_refuses_impossible_pairs_and_data(folder, training, tmp_path):
    training = [*training[:3], tmp_path / "new", *training[4:]]
    dot = ["--model.attention", "dot", "--model.decoder_hidden_size", "7"]
    assert "dot" in refusal(*training, *dot)
    assert "missing.tsv" in refusal(*training, "--data.train_tsv", "missing.tsv")
    bad = tmp_path / "bad.tsv"
    for data, message in (
        (b"", "is empty"),
        (b"a\tb\nc\t\xff\n", "line 2 is not UTF-8"),
        (b"a\tb\nc\t \n", "line 2: the target is empty"),
        (b"a\tb\nc\n", "line 2 has 1 column"),
    ):
        bad.write_bytes(data)
        assert message in refusal(*training, "--data.train_tsv", bad)
    assert not (tmp_path / "new" / "config.json").exists()


def test_train_refuses_the_workdir_of_another_config(training, workdir):
    said = refusal(*training[:3], workdir, *training[4:], "--model.hidden_size", "25")
    assert "model.hidden_size: 24 -> 25" in said


def test_commands_refuse_what_is_no_workdir_or_has_no_checkpoint(workdir, tmp_path):
    assert "does not exist" in refusal("translate", "--workdir", tmp_path / "none")
    assert "has no config.json" in refusal("translate", "--workdir", tmp_path)
    assert "--workdir is missing" in refusal("translate")
    shutil.copytree(workdir, tmp_path / "new")
    shutil.rmtree(tmp_path / "new" / "checkpoints")
    assert "checkpoint" in refusal("translate", "--workdir", tmp_path / "new")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--beam_sise", "3"], "unknown flag --beam_sise; did you mean --beam-size?"),
        (["--n-best", "6"], "--n-best is 6, expected 1 to --beam-size (5)"),
        (["--beam-size", "1000"], "beam_size is 1000, expected 1 to "),
        (["--checkpoint", "bset"], "did you mean 'best'?"),
        (["-i", "missing.txt"], "missing.txt does not exist"),
        (["-i", "tests"], "tests is not a file"),
        (["-i", "BAD"], "line 2 is not UTF-8"),
        (["-i", "EMPTY"], "is empty"),
    ],
)
def test_translate_refuses_and_leaves_no_output(tmp_path, workdir, flags, message):
    (tmp_path / "BAD").write_bytes(b"ab\n\xff\xfe\n")
    (tmp_path / "EMPTY").write_bytes(b"")
    flags = [str(tmp_path / flag) if flag.isupper() else flag for flag in flags]
    out = tmp_path / "out.txt"
    said = refusal("translate", "--workdir", workdir, "-o", out, *flags, stdin="a\n")
    assert message in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["BAD", "EMPTY"]


def test_an_output_that_was_there_stays_when_a_line_cannot_be_read(tmp_path, workdir):
    out = tmp_path / "out.txt"
    out.write_text("precious\n")
    said = refusal("translate", "--workdir", workdir, "-o", out, stdin=b"ab\n\xff\n")
    assert "standard input, line 2 is not UTF-8" in said
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious\n"]


def test_an_output_must_be_a_new_file_in_a_folder_that_is_there(folder, workdir):
    path = folder / "in.txt"
    wish = ["translate", "--workdir", workdir, "-i", path]
    assert "is also the input" in refusal(*wish, "-o", folder / "x" / ".." / "in.txt")
    assert "is a folder" in refusal(*wish, "-o", folder)
    assert "its folder does not exist" in refusal(*wish, "-o", folder / "no" / "out")
    align = ["align", "--workdir", workdir, "-i", path]
    assert "is a file" in refusal(*align, "-o", path)
    assert "parent folder does not exist" in refusal(*align, "-o", folder / "no" / "o")
    assert path.read_text("utf-8").split("\n")[:-1] == LINES


def test_an_output_may_be_a_device(folder, workdir):
    succeed(
        *("translate", "--workdir", workdir, "-i", folder / "in.txt"), "-o", "/dev/null"
    )
    assert not Path("/dev/null").is_file()


def test_files_must_have_as_many_lines(folder, workdir):
    files = ["--source", folder / "in.txt", "--target", folder / "dev.target"]
    message = "has 6 lines and"
    assert message in refusal("score", "--workdir", workdir, *files)
    files = ["--source", folder / "in.txt", "--reference", folder / "dev.target"]
    assert message in refusal("evaluate", "--workdir", workdir, *files)
    files = ["-i", folder / "in.txt", "--target", folder / "dev.target"]
    out = folder / "unequal"
    assert message in refusal("align", "--workdir", workdir, *files, "-o", out)
    assert not out.exists()


def test_evaluate_refuses_an_unknown_tokenisation_at_once(folder, workdir):
    files = ["--source", folder / "dev.source", "--reference", folder / "dev.target"]
    said = refusal("evaluate", "--workdir", workdir, *files, "--tokenize", "13b")
    assert "did you mean '13a'?" in said

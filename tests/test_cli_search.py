"""Search, sampling and averaging, as processes on a model that a process trained.

The model says the letters of a word in capitals, but for X, which it does not know.
"""

import json
import os
import shutil

import numpy as np
import pytest
from command_line import refusal, run, succeed

WORDS = ["abc", "cab", "dada", "bx", "acb", "xd", "bad", "cad", "dab", "ba"] * 12
LINES = "dad\n\nbxc\ncaca\n"


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A model that knows no capital X, with three checkpoints."""
    folder = tmp_path_factory.mktemp("search")
    said = [" ".join(word.upper()) for word in WORDS]
    rows = [f"{w}\t{s}\n" for w, s in zip(WORDS, said, strict=True)]
    (folder / "train.tsv").write_text("".join(rows), encoding="utf-8")
    (folder / "dev.source").write_text("dad\nbxc\n", encoding="utf-8")
    (folder / "dev.target").write_text("D A D\nB X C\n", encoding="utf-8")
    options = {
        "data.train_tsv": folder / "train.tsv",
        "data.dev_source": folder / "dev.source",
        "data.dev_target": folder / "dev.target",
        "data.source_tokenizer": "char",
        "data.target_tokenizer": "word",
        "data.min_count": 25,
        "data.max_length": 10,
        "data.buckets": 1,
        "model.cell": "gru",
        "model.hidden_size": 24,
        "model.embedding_size": 12,
        "model.dropout": 0,
        "training.steps": 60,
        "training.eval_every": 20,
        "training.keep_last": 3,
        "training.batch_tokens": 500,
        "training.learning_rate": 0.02,
        "training.warmup_steps": 5,
        "training.label_smoothing": 0,
    }
    flags = [text for name, value in options.items() for text in (f"--{name}", value)]
    succeed("train.py", "configs/text.py", "--workdir", folder / "run", *flags)
    return folder / "run"


def fields(said):
    """Numbers, texts and scores of an n-best list."""
    rows = [line.split(" ||| ") for line in said.split("\n")[:-1]]
    return [(int(number), text, float(score)) for number, text, score, *_ in rows]


def test_penalties_change_the_scores(workdir):
    wish = ["translate", "--workdir", workdir, "--n-best", 3]
    plain = fields(succeed(*wish, stdin=LINES))
    both = ["--length-penalty", 0.2, "--coverage-penalty", 0.2]
    paper = fields(succeed(*wish, *both, "--alignments", stdin=LINES))
    mean = ["--length-penalty-kind", "average"]
    average = fields(succeed(*wish, *mean, stdin=LINES))
    for found in (plain, paper, average):
        assert [number for number, *_ in found] == [0, 0, 0, 1, 2, 2, 2, 3, 3, 3]
    assert len({found[0][2] for found in (plain, paper, average)}) == 3


def test_evaluate_tells_the_penalties_it_ranked_by(workdir):
    data = workdir.parent
    files = ["--source", data / "dev.source", "--reference", data / "dev.target"]
    flags = ["--coverage-penalty", 0.2, "--length-penalty-kind", "none", "--json"]
    said = json.loads(succeed("evaluate", "--workdir", workdir, *files, *flags))
    assert said["coverage_penalty"] == 0.2
    assert said["length_penalty_kind"] == "none"


def test_an_ensembles_links_are_measured(workdir, tmp_path):
    gold, data = tmp_path / "gold", workdir.parent
    gold.write_text("0-0 0-1 0-2\n0-0\n", encoding="utf-8")
    wish = ["aer", "--gold", gold, "--source", data / "dev.source"]
    wish += ["--target", data / "dev.target", "--workdir", workdir]
    assert succeed(*wish) == succeed(*wish, "--also", workdir)
    said = refusal("aer", "--gold", gold, "--alignments", gold, "--also", workdir)
    assert "--also is given, but --alignments too" in said


def test_outputs_hold_what_a_file_requires(workdir, tmp_path):
    file = tmp_path / "required"
    file.write_text("B\tC\n\nA B\n\n", encoding="utf-8")
    wish = ["translate", "--workdir", workdir]
    one, empty, other, free = succeed(
        *wish, "--required", file, stdin=LINES
    ).splitlines()
    assert {"B", "C"} <= set(one.split()) and not empty and "A B" in other
    assert free == succeed(*wish, stdin=LINES).splitlines()[3]
    file.write_text("b\n\n\n\n", encoding="utf-8")
    said = refusal(*wish, "--required", file, stdin=LINES)
    assert "line 1: 'b' cannot be required, it holds what the vocabulary lacks" in said
    said = refusal(*wish, "--required", file, "--beam-size", 1, stdin=LINES)
    assert "beam_size is 1" in said


def test_samples_are_drawn_by_their_seed(workdir):
    wish = ["translate", "--workdir", workdir, "--sample", "--temperature", 3]
    lists = [
        fields(succeed(*wish, "--n-best", n, "--seed", seed, stdin=LINES))
        for n, seed in ((4, 7), (4, 8), (2, 7))
    ]
    assert [number for number, *_ in lists[0]] == [0] * 4 + [1] + [2] * 4 + [3] * 4
    assert [text for _, text, _ in lists[0]] != [text for _, text, _ in lists[1]]
    firsts = [text for i, (_, text, _) in enumerate(lists[0]) if i in (0, 1, 4, 5, 6)]
    assert [text for _, text, _ in lists[2]][:5] == firsts
    cold = ["translate", "--workdir", workdir, "--sample", "--temperature", 0]
    greedy = ["translate", "--workdir", workdir, "--beam-size", 1]
    assert succeed(*cold, stdin=LINES) == succeed(*greedy, stdin=LINES)


def test_unknown_words_are_looked_up_or_copied(workdir, tmp_path):
    wish = ["translate", "--workdir", workdir]
    lines = "bxb\nxdx\n"
    plain = succeed(*wish, stdin=lines)
    assert "<unk>" in plain
    copied = succeed(*wish, "--replace-unk", stdin=lines)
    lexicon = tmp_path / "lexicon.tsv"
    letters = "".join(f"{letter}\tletter {letter}\n" for letter in "abcdx")
    lexicon.write_text(letters, encoding="utf-8")
    looked = ["--replace-unk", "--dictionary", lexicon]
    found = succeed(*wish, *looked, stdin=lines)
    counts = [text.count("letter ") for text in (plain, copied, found)]
    assert counts == [0, 0, plain.count("<unk>")]
    assert "<unk>" not in copied + found
    assert found.replace("letter ", "") == copied
    together = [*looked, "--n-best", 2, "--alignments", "--scores", "--sample"]
    assert "<unk>" not in succeed(*wish, *together, stdin=lines)
    data = workdir.parent
    files = ["--source", data / "dev.source", "--reference", data / "dev.target"]
    said = succeed("evaluate", "--workdir", workdir, *files, *looked, "--json")
    assert json.loads(said)["replace_unk"] is True


def test_a_bad_dictionary_is_refused_in_one_line(workdir, tmp_path):
    bad = tmp_path / "bad.tsv"
    bad.write_text("a\tb\nc\n", encoding="utf-8")
    wish = ["translate", "--workdir", workdir, "--dictionary", bad]
    assert "without --replace-unk, expected both" in refusal(*wish, stdin="a\n")
    wish.append("--replace-unk")
    assert f"{bad}, line 2 has 1 column" in refusal(*wish, stdin="a\n")
    missing = ["--dictionary", tmp_path / "none.tsv"]
    assert "none.tsv does not exist" in refusal(*wish, *missing, stdin="a\n")


def test_an_ensemble_writes_lists_that_score_reads(workdir, tmp_path):
    wish = ["translate", "--workdir", workdir, "--also", workdir, "--n-best", 2]
    flags = ["--format", "moses", "--alignments", "--length-penalty", 0]
    found = succeed(*wish, *flags, stdin="dad\ncab\n")
    files = tmp_path / "list", tmp_path / "sources"
    for path, text in zip(files, (found, "dad\ncab\n"), strict=True):
        path.write_text(text, encoding="utf-8")
    given = ["--nbest", files[0], "--source", files[1], "--rank", "feature"]
    said = succeed("score", "--workdir", workdir, *given)
    for old, new in zip(found.splitlines(), said.splitlines(), strict=True):
        ours, theirs = (line.split(" ||| ") for line in (old, new))
        assert ours[1] == theirs[1] and ours[4] == theirs[4]
        assert float(ours[3]) == pytest.approx(float(theirs[3]), abs=1e-3)
    mix = [*wish[:3], "--mix", "log_probabilities"]
    assert "--mix is given without --also" in refusal(*mix, stdin="a\n")
    assert "--target and --nbest are both missing" in refusal("score", *wish[1:3])


def test_the_mean_of_checkpoints_serves_every_command(workdir, tmp_path):
    mean = tmp_path / "mean"
    said = succeed("average", "--workdir", workdir, "--last", 2, "-o", mean)
    assert said == f"{mean}: mean of 2 checkpoints, steps 40, 60\n"
    found = succeed("translate", "--workdir", mean, "--n-best", 2, stdin=LINES)
    assert len(fields(found)) == 7
    data = workdir.parent
    files = ["--source", data / "dev.source"]
    target, reference = (
        [flag, data / "dev.target"] for flag in ("--target", "--reference")
    )
    assert len(succeed("score", "--workdir", mean, *files, *target).split()) == 2
    assert "exact_match" in succeed("evaluate", "--workdir", mean, *files, *reference)
    pictures = ["-i", data / "dev.source", "-o", tmp_path / "pictures"]
    assert len(succeed("align", "--workdir", mean, *pictures).split()) == 2
    best = tmp_path / "best"
    said = succeed("average", "--workdir", workdir, "--best", 2, "-o", best)
    assert said.startswith(f"{best}: mean of 2 checkpoints, steps ")
    one = tmp_path / "one"
    said = succeed("average", "--workdir", workdir, "--last", 1, "-o", one)
    assert said == f"{one}: mean of 1 checkpoint, step 60\n"


def test_what_cannot_be_averaged_is_refused_in_one_line(workdir, tmp_path):
    new = tmp_path / "mean"
    wish = ["average", "--workdir", workdir, "-o"]
    both = ["--last", 2, "--best", 2]
    assert "--last is 2 and --best is 2, expected one" in refusal(*wish, new, *both)
    assert "--last is 9, expected 1 to 3" in refusal(*wish, new, "--last", 9)
    assert "--best is 0, expected 1 to 3" in refusal(*wish, new, "--best", 0)
    assert "is already there" in refusal(*wish, workdir)
    assert "--output is missing" in refusal(*wish[:-1])
    assert "has no config.json" in refusal("average", "--workdir", tmp_path, "-o", new)
    shutil.copytree(workdir, tmp_path / "copy")
    for path in (tmp_path / "copy" / "checkpoints" / "40" / "params").rglob("*"):
        if path.parent.name == "d":
            os.truncate(path, path.stat().st_size // 2)
    said = refusal("average", "--workdir", tmp_path / "copy", "-o", new)
    assert "40 damaged" in said
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--coverage-penalty", "-1"], "coverage_penalty is -1.0, expected a finite"),
        (["--coverage-penalty", "x"], "--coverage-penalty is 'x', expected float"),
        (["--length-penalty", "nan"], "length_penalty is nan, expected a finite"),
        (["--length-penalty-kind", "mean"], "--length-penalty-kind is 'mean'"),
        (["--temperature", "0.5"], "--temperature is 0.5 without --sample"),
        (["--sample", "--beam-size", "3"], "--beam-size is 3, but with --sample"),
        (
            ["--length-penalty-kind", "none", "--length-penalty", "0.5"],
            "length_penalty is 0.5, but length_penalty_kind is 'none'",
        ),
        (["--seed", "3"], "--seed is 3 without --sample"),
        (["--sample", "--temperature", "-1"], "temperature is -1.0, expected a fin"),
        (["--sample", "--n-best", "0"], "n_best is 0, expected 1 or more samples"),
    ],
)
def test_bad_values_are_refused_in_one_line(workdir, flags, message):
    assert message in refusal("translate", "--workdir", workdir, *flags, stdin="a\n")


def test_vectors_are_written_whole_or_not_at_all(workdir, tmp_path):
    lines, path = tmp_path / "lines", tmp_path / "v.npy"
    lines.write_text("abc\n\nba\n", encoding="utf-8")
    succeed("encode", "--workdir", workdir, "-i", lines, "-o", path)
    found = np.load(path)
    assert found.shape[0] == 3 and found.dtype == np.float32
    assert "named .npy" in refusal("encode", "--workdir", workdir, "-o", tmp_path / "v")
    lines.write_bytes(b"abc\n\xff\n")
    wrong = refusal("encode", "--workdir", workdir, "-i", lines, "-o", path)
    assert "line 2 is not UTF-8" in wrong
    assert np.load(path).shape == found.shape
    assert sorted(x.name for x in tmp_path.iterdir()) == ["lines", "v.npy"]


def test_a_shortlist_is_made_and_searched_by(workdir, tmp_path):
    wish = ["translate", "--workdir", workdir, "--shortlist"]
    said = refusal(*wish, stdin=LINES)
    assert "has no shortlist.npz" in said and "seq2seq-jax shortlist" in said
    made = run("shortlist", "--workdir", workdir, "--frequent", 1, "--likely", 2)
    assert made.returncode == 0 and "from 120 pairs" in made.stderr.decode()
    plain = succeed("translate", "--workdir", workdir, stdin=LINES)
    assert succeed(*wish, stdin=LINES) == plain  # nothing that it says is left out
    both = tmp_path / "a.txt", tmp_path / "b.txt"
    both[0].write_text("dad\ncab\n", encoding="utf-8")
    both[1].write_text("D A D\nC A B\n", encoding="utf-8")
    files = ["--source", both[0], "--reference", both[1]]
    flags = ["--workdir", workdir, "--shortlist", "--json"]
    assert json.loads(succeed("evaluate", *flags, *files))["shortlist"] is True
    files = ["--source", both[0], "--target", both[1]]
    succeed("shortlist", "--workdir", workdir, *files, "--pairs", 1)
    assert "samples" in refusal(*wish, "--sample", stdin=LINES)
    make = ["shortlist", "--workdir", workdir]
    assert "--source" in refusal(*make, "--source", both[0])
    assert "--likely is 0" in refusal(*make, "--likely", 0)
    both[1].write_text("D A D\n", encoding="utf-8")
    assert "b.txt" in refusal(*make, *files)
    assert "no-such" in refusal("shortlist", "--workdir", "no-such")

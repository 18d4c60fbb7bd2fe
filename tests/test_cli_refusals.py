"""What the commands refuse: one line on stderr, and no file is touched."""

import shutil

import pytest
from command_line import LINES, ROOT, refusal

from seq2seq_jax import config as configs
from seq2seq_jax.commands import align
from seq2seq_jax.config import Config
from seq2seq_jax.errors import InputError

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


def test_train_refuses_impossible_pairs_and_data(
    capitals, training_arguments, tmp_path
):
    training_arguments = [
        *training_arguments[:3],
        tmp_path / "new",
        *training_arguments[4:],
    ]
    dot = ["--model.attention", "dot", "--model.decoder_hidden_size", "7"]
    assert "dot" in refusal(*training_arguments, *dot)
    assert "missing.tsv" in refusal(
        *training_arguments, "--data.train_tsv", "missing.tsv"
    )
    bad = tmp_path / "bad.tsv"
    for data, message in (
        (b"", "is empty"),
        (b"a\tb\nc\t\xff\n", "line 2 is not UTF-8"),
        (b"a\tb\nc\t \n", "line 2: the target is empty"),
        (b"a\tb\nc\n", "line 2 has 1 column"),
    ):
        bad.write_bytes(data)
        assert message in refusal(*training_arguments, "--data.train_tsv", bad)
    assert not (tmp_path / "new" / "config.json").exists()


def test_train_refuses_the_workdir_of_another_config(training_arguments, trained):
    said = refusal(
        *training_arguments[:3],
        trained,
        *training_arguments[4:],
        "--model.hidden_size",
        "25",
    )
    assert "model.hidden_size: 24 -> 25" in said


def test_commands_refuse_what_is_no_workdir_or_has_no_checkpoint(trained, tmp_path):
    assert "does not exist" in refusal("translate", "--workdir", tmp_path / "none")
    assert "has no config.json" in refusal("translate", "--workdir", tmp_path)
    assert "--workdir is missing" in refusal("translate")
    shutil.copytree(trained, tmp_path / "new")
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
def test_translate_refuses_and_leaves_no_output(tmp_path, trained, flags, message):
    (tmp_path / "BAD").write_bytes(b"ab\n\xff\xfe\n")
    (tmp_path / "EMPTY").write_bytes(b"")
    flags = [str(tmp_path / flag) if flag.isupper() else flag for flag in flags]
    out = tmp_path / "out.txt"
    said = refusal("translate", "--workdir", trained, "-o", out, *flags, stdin="a\n")
    assert message in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["BAD", "EMPTY"]


def test_an_output_that_was_there_stays_when_a_line_cannot_be_read(tmp_path, trained):
    out = tmp_path / "out.txt"
    out.write_text("precious\n")
    said = refusal("translate", "--workdir", trained, "-o", out, stdin=b"ab\n\xff\n")
    assert "standard input, line 2 is not UTF-8" in said
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious\n"]


def test_an_output_must_be_a_new_file_in_a_folder_that_is_there(capitals, trained):
    path = capitals / "in.txt"
    wish = ["translate", "--workdir", trained, "-i", path]
    assert "is also the input" in refusal(*wish, "-o", capitals / "x" / ".." / "in.txt")
    assert "is a folder" in refusal(*wish, "-o", capitals)
    assert "its folder does not exist" in refusal(*wish, "-o", capitals / "no" / "out")
    align = ["align", "--workdir", trained, "-i", path]
    assert "is a file" in refusal(*align, "-o", path)
    assert "parent folder does not exist" in refusal(
        *align, "-o", capitals / "no" / "o"
    )
    assert path.read_text("utf-8").split("\n")[:-1] == LINES


def test_files_must_have_as_many_lines(capitals, trained):
    files = ["--source", capitals / "in.txt", "--target", capitals / "dev.target"]
    message = "has 6 lines and"
    assert message in refusal("score", "--workdir", trained, *files)
    files = ["--source", capitals / "in.txt", "--reference", capitals / "dev.target"]
    assert message in refusal("evaluate", "--workdir", trained, *files)
    files = ["-i", capitals / "in.txt", "--target", capitals / "dev.target"]
    out = capitals / "unequal"
    assert message in refusal("align", "--workdir", trained, *files, "-o", out)
    assert not out.exists()


def test_evaluate_refuses_an_unknown_tokenisation_at_once(capitals, trained):
    files = [
        "--source",
        capitals / "dev.source",
        "--reference",
        capitals / "dev.target",
    ]
    said = refusal("evaluate", "--workdir", trained, *files, "--tokenize", "13b")
    assert "did you mean '13a'?" in said


def test_given_targets_are_not_searched_for(tmp_path):
    (tmp_path / "config.json").write_text(configs.to_json(Config()), encoding="utf-8")
    wish = ["--workdir", str(tmp_path), "--target", "y", "-o", "pictures"]
    with pytest.raises(InputError, match="--beam-size is 3, but --target is given"):
        align.main([*wish, "--beam-size", "3"], "prog")

"""Data and options that no corpus can be made of: one line, and nothing left."""

import dataclasses

import pytest
from pairs import ignore, make_config, refusal

from seq2seq_jax.data.pipeline import prepare
from seq2seq_jax.errors import InputError


@pytest.mark.parametrize(
    ("split", "line", "expected"),
    [
        ("train", b"a\t\n", "line 401: the target is empty"),
        ("train", b"a\n", "line 401 has 1 column"),
        ("train", b"\xff\ta\n", "line 401 is not UTF-8"),
        ("dev", b"\ta\n", "line 31: the source is empty"),
        ("dev", b"\xff\ta\n", "line 31 is not UTF-8"),
    ],
)
def test_bad_lines_end_in_one_line_and_leave_nothing(tmp_path, split, line, expected):
    config = make_config(tmp_path)
    with open(tmp_path / f"{split}.tsv", "ab") as file:
        file.write(line)
    message = refusal(config, tmp_path / "run")
    assert expected in message and f"{split}.tsv" in message


def test_uneven_files_end_in_one_line_and_leave_nothing(tmp_path):
    config = make_config(tmp_path)
    for side, text in (("source", "a\nb\n"), ("target", "A\nB\nC\n")):
        (tmp_path / side).write_text(text)
    data = dataclasses.replace(
        config.data,
        train_tsv=None,
        train_source=str(tmp_path / "source"),
        train_target=str(tmp_path / "target"),
    )
    message = refusal(dataclasses.replace(config, data=data), tmp_path / "run")
    assert "has 2 lines" in message and "has 3" in message


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("long_lines", "dorp", "did you mean 'drop'"),
        ("source_tokenizer", "chars", "did you mean 'char'"),
        ("target_tokenizer", "bpe", "expected one of byte, char, char_features, "),
        ("train_tsv", "/nowhere/f.tsv", "/nowhere/f.tsv does not exist"),
        ("dev_tsv", None, "no development data"),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path, field, value, expected):
    assert expected in refusal(
        make_config(tmp_path, **{field: value}), tmp_path / "run"
    )


@pytest.mark.parametrize("field", ["source_column", "target_column", "features_column"])
def test_a_column_of_no_table_is_refused(tmp_path, field):
    given = {f"{split}_tsv": None for split in ("train", "dev", "test")}
    given |= {"dataset": "reversal", field: 3}
    message = refusal(make_config(tmp_path, **given), tmp_path / "run")
    assert f"data.{field} is 3, but nothing reads it" in message


def test_tokenizers_of_another_kind_are_refused(ready):
    config, workdir, _ = ready
    data = dataclasses.replace(config.data, source_tokenizer="char")
    with pytest.raises(InputError, match="holds a word tokenizer for the source"):
        prepare(dataclasses.replace(config, data=data), workdir, ignore)

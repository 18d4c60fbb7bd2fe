"""Laws of reading pairs: what a line is, streams, and one clear line for bad input."""

import bz2
import gzip
import lzma
import tracemalloc
from pathlib import Path

import pytest

from seq2seq_jax.config import DataConfig
from seq2seq_jax.data import sources
from seq2seq_jax.data.sources import file_pairs, open_pairs, read_lines, tsv_pairs
from seq2seq_jax.errors import InputError


def write(path: Path, data: bytes | str) -> str:
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8"))
    return str(path)


def refusal(action) -> str:
    """The message of the InputError that an action must end in: one line."""
    with pytest.raises(InputError) as caught:
        action()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_only_newlines_end_a_line(tmp_path):
    odd = "a\u2028b\x0cc\x85d\x00e\u2029f\rg"
    path = write(tmp_path / "f", f"{odd}\nnext\r\nlast")
    assert list(read_lines(path)) == [odd, "next", "last"]


def test_a_byte_order_mark_is_no_text_but_only_at_the_start(tmp_path):
    path = write(tmp_path / "f", b"\xef\xbb\xbfone\n\xef\xbb\xbftwo\n")
    assert list(read_lines(path)) == ["one", "\ufefftwo"]


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [
        ("", bytes),
        (".gz", gzip.compress),
        (".bz2", bz2.compress),
        (".xz", lzma.compress),
    ],
)
def test_compressed_files_read_alike(tmp_path, suffix, compress):
    path = write(tmp_path / f"f.txt{suffix}", compress("ä b\nc\n".encode()))
    assert list(read_lines(path)) == ["ä b", "c"]


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)],
)
@pytest.mark.parametrize("damage", ["cut", "not compressed"])
def test_a_damaged_compressed_file_is_named(tmp_path, suffix, compress, damage):
    whole = compress(b"".join(b"line %d\n" % (n * n * n) for n in range(5000)))
    data = whole[: len(whole) // 2] if damage == "cut" else b"plain text\n"
    path = write(tmp_path / f"f{suffix}", data)
    assert f"{path} cannot be read after line" in refusal(
        lambda: list(read_lines(path))
    )


def test_pairs_can_be_read_again_and_again(tmp_path):
    pairs = file_pairs(write(tmp_path / "s", "a\nb\n"), write(tmp_path / "t", "A\nB\n"))
    assert list(pairs) == list(pairs) == [("a", "A"), ("b", "B")]


def test_tsv_columns_are_chosen_and_others_ignored(tmp_path):
    path = write(tmp_path / "f.tsv", "x\tsource a\ttarget\ty\r\n1\t2\t3\n")
    assert list(tsv_pairs(path, 2, 1)) == [("target", "source a"), ("3", "2")]


@pytest.mark.parametrize(
    ("source", "target"), [("a\nb\nc\nd\n", "A\n"), ("a\n", "A\nB")]
)
def test_files_of_different_lengths_are_both_counted(tmp_path, source, target):
    left, right = write(tmp_path / "s", source), write(tmp_path / "t", target)
    counts = [len(text.splitlines()) for text in (source, target)]
    message = refusal(lambda: list(file_pairs(left, right)))
    assert f"{left} has {counts[0]} lines and {right} has {counts[1]}" in message


def test_a_missing_file_is_refused_at_once(tmp_path):
    there, missing = write(tmp_path / "s", "a\n"), str(tmp_path / "none")
    assert f"{missing} does not exist" in refusal(lambda: file_pairs(there, missing))
    assert f"{missing} does not exist" in refusal(lambda: tsv_pairs(missing, 0, 1))
    assert "is not a file" in refusal(lambda: tsv_pairs(str(tmp_path), 0, 1))


@pytest.mark.parametrize("name", ["empty", "empty.gz"])
def test_an_empty_file_is_refused_at_once(tmp_path, name):
    empty = write(tmp_path / name, gzip.compress(b"") if ".gz" in name else b"")
    there = write(tmp_path / "s", "a\n")
    assert f"{empty} is empty" in refusal(lambda: file_pairs(there, empty))


def test_a_line_that_is_not_utf8_is_named_with_its_number(tmp_path):
    path = write(tmp_path / "f", b"gut\n" + "schön\n".encode("latin-1"))
    message = refusal(lambda: list(read_lines(path)))
    assert f"{path}, line 2 is not UTF-8 (byte 0xf6 at position 4)" in message


@pytest.mark.parametrize("blank", ["", "  ", "\t \u3000"])
def test_an_empty_side_is_named_with_file_and_line(tmp_path, blank):
    left = write(tmp_path / "s", "a\nb\nc\n")
    right = write(tmp_path / "t", f"A\n{blank}\nC\n")
    message = refusal(lambda: list(file_pairs(left, right)))
    assert right in message and "line 2: the target is empty" in message


def test_too_few_columns_are_named_with_file_and_line(tmp_path):
    path = write(tmp_path / "f.tsv", "a\tA\nb B\n")
    message = refusal(lambda: list(tsv_pairs(path, 0, 1)))
    assert f"{path}, line 2 has 1 column, expected at least 2" in message


def test_a_file_without_newlines_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "LONGEST_LINE", 1 << 10)
    path = write(tmp_path / "f", b"ok\n" + b"x" * 5000)
    assert f"{path}, line 2 is longer than" in refusal(lambda: list(read_lines(path)))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"train_source": "s"}, "data.train_source is given without data.train_target"),
        ({"train_target": "s"}, "data.train_target is given without data.train_source"),
        (
            {"train_tsv": "f", "train_source": "s"},
            "data.train_tsv and data.train_source",
        ),
        ({}, "no training data: give data.train_source"),
    ],
)
def test_options_half_given_are_refused(given, expected):
    assert expected in refusal(lambda: open_pairs(DataConfig(**given), "train"))


def test_development_data_is_needed_and_test_data_is_not(tmp_path):
    path = write(tmp_path / "f.tsv", "a\tA\n")
    data = DataConfig(train_tsv=path, dataset="reversal")
    assert open_pairs(data, "test") is None
    assert "give data.dev_source and data.dev_target" in refusal(
        lambda: open_pairs(data, "dev")
    )


def test_one_column_cannot_be_both_sides(tmp_path):
    path = write(tmp_path / "f.tsv", "a\tA\n")
    data = DataConfig(train_tsv=path, target_column=0)
    assert "both 0, expected two columns" in refusal(lambda: open_pairs(data, "train"))


def test_the_fingerprint_follows_the_file(tmp_path):
    path = write(tmp_path / "f.tsv", "a\tA\n")
    first = tsv_pairs(path, 0, 1).fingerprint
    assert tsv_pairs(path, 0, 1).fingerprint == first
    assert tsv_pairs(path, 1, 0).fingerprint != first
    write(tmp_path / "f.tsv", "a\tA\nb\tB\n")
    assert tsv_pairs(path, 0, 1).fingerprint != first


def test_memory_does_not_grow_with_the_file(tmp_path):
    def peak(lines: int) -> int:
        path = tmp_path / f"{lines}.tsv"
        path.write_text("".join(f"source {n}\ttarget {n}\n" for n in range(lines)))
        tracemalloc.start()
        total = sum(1 for _ in tsv_pairs(str(path), 0, 1))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert total == lines
        return used

    peak(10)
    assert peak(100_000) < peak(10_000) + 50_000


def test_features_stand_behind_the_source_and_a_tab(tmp_path):
    path = write(tmp_path / "f.tsv", "Haus\tN;PL\tHäuser\ngut\tADJ\tbesser\n")
    data = DataConfig(train_tsv=path, features_column=1, target_column=2)
    assert list(open_pairs(data, "train")) == [
        ("Haus\tN;PL", "Häuser"),
        ("gut\tADJ", "besser"),
    ]
    assert tsv_pairs(path, 0, 2, 1).fingerprint != tsv_pairs(path, 0, 2).fingerprint
    lacking = write(tmp_path / "g.tsv", "Haus\tN;PL\tHäuser\n\tADJ\tbesser\n")
    assert "line 2: the source is empty" in refusal(
        lambda: list(tsv_pairs(lacking, 0, 2, 1))
    )
    assert "data.source_column and data.features_column are both 0" in refusal(
        lambda: tsv_pairs(path, 0, 2, 0)
    )

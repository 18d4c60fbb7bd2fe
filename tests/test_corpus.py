"""The corpus: every pair that fits comes back, and memory does not grow with it."""

import dataclasses
import json
import tracemalloc

import numpy as np
from pairs import ignore, make_config, pairs_in, refusal

from seq2seq_jax.data import corpus as corpora
from seq2seq_jax.data import sequences
from seq2seq_jax.data.pipeline import prepare


def test_every_pair_comes_back_from_the_corpus(ready):
    config, _, prepared = ready
    corpus = prepared.train
    decoded = [
        (
            prepared.source_tokenizer.decode(corpus.source(i)),
            prepared.target_tokenizer.decode(corpus.target(i)),
        )
        for i in range(len(corpus))
    ]
    assert sorted(decoded) == pairs_in(config.data.train_tsv)
    lengths = [
        [len(corpus.source(i)) + 1, len(corpus.target(i)) + 1] for i in range(400)
    ]
    assert corpus.lengths.tolist() == lengths
    assert corpus.statistics["source_tokens"] == corpus.lengths[:, 0].sum()


def test_evaluation_data_keeps_its_exact_text(tmp_path):
    config = make_config(tmp_path, max_length=4)
    lines = ["A  b\u2028 ⁇\tT  t ", "one two three four five\tX y z a b c d"]
    (tmp_path / "dev.tsv").write_text("\n".join(lines) + "\n")
    said = []
    dev = prepare(config, tmp_path / "run", said.append).dev
    assert [
        f"{dev.source_text(i)}\t{dev.target_text(i)}" for i in range(len(dev))
    ] == lines
    assert dev.lengths.max() == 4
    assert any("dev: 2 pairs" in t and "1 over 4 tokens truncated" in t for t in said)


def test_lowercase_is_applied_to_references_too(tmp_path):
    config = make_config(tmp_path, lowercase=True)
    (tmp_path / "dev.tsv").write_text("W1 W2\tW1\n")
    prepared = prepare(config, tmp_path / "run", ignore)
    assert prepared.dev.target_text(0) == "w1"
    assert prepared.source_tokenizer.encode("W1") == prepared.source_tokenizer.encode(
        "w1"
    )


def test_a_shared_vocabulary_is_one(tmp_path):
    config = make_config(tmp_path, shared_vocab=True, lowercase=True)
    prepared = prepare(config, tmp_path / "run", ignore)
    text = "w1 w2 w3"
    assert prepared.source_tokenizer.encode(text) == prepared.target_tokenizer.encode(
        text
    )
    other = dataclasses.replace(config.data, target_tokenizer="char")
    message = refusal(dataclasses.replace(config, data=other), tmp_path / "other")
    assert "data.shared_vocab needs one kind" in message


def test_rare_units_are_left_out_only_where_a_tokenizer_counts_them(tmp_path):
    config = make_config(tmp_path, min_count=2)
    for kinds in (("byte", "sentencepiece"), ("byte", "byte")):
        names = dict(zip(("source_tokenizer", "target_tokenizer"), kinds, strict=True))
        data = dataclasses.replace(config.data, **names)
        message = refusal(dataclasses.replace(config, data=data), tmp_path / "run")
        assert "data.min_count is 2" in message and "char or word" in message


def test_the_lengths_that_inference_needs_are_saved(ready):
    _, workdir, prepared = ready
    values = json.loads((workdir / "lengths.json").read_text())
    source, target = prepared.train.lengths.T
    assert values["longest_source"] == source.max()
    assert values["longest_target"] == target.max()
    assert np.mean(target / source <= values["length_ratio"] + 1e-4) >= 0.999


def test_memory_does_not_grow_with_the_corpus(tmp_path, monkeypatch):
    monkeypatch.setattr(sequences, "BUFFERED", 1 << 12)

    def peak(lines: int) -> int:
        path = tmp_path / f"{lines}.tsv"
        with open(path, "w") as file:
            file.writelines(f"{'word ' * 20}\t{'word ' * 20}\n" for _ in range(lines))
        config = make_config(tmp_path, train_tsv=str(path))
        tracemalloc.start()
        assert len(prepare(config, tmp_path / f"run{lines}", ignore).train) == lines
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(100)
    small, large = peak(1_000), peak(11_000)
    # A pair is 200 bytes of text and 160 of Python integers; its lengths take some 25.
    assert large - small < 10_000 * 40


def test_a_large_vocabulary_takes_wide_ids(tmp_path):
    writer = corpora.CorpusWriter(tmp_path / "train-x", 70_000, keep_text=False)
    with writer:
        writer.add(([69_999], [4]), ("", ""))
        assert writer.finish({}).source(0).tolist() == [69_999]


# Long pairs


def test_long_training_pairs_are_dropped_and_counted(tmp_path):
    config = make_config(tmp_path, max_length=10)
    said = []
    prepared = prepare(config, tmp_path / "run", said.append)
    short = [p for p in pairs_in(config.data.train_tsv) if len(p[0].split()) < 10]
    assert len(prepared.train) == len(short) < 400
    assert prepared.train.statistics["dropped"] == 400 - len(short)
    assert any(f"{400 - len(short)} over 10 tokens dropped" in text for text in said)


def test_long_training_pairs_are_truncated_and_counted(tmp_path):
    config = make_config(tmp_path, max_length=10, long_lines="truncate")
    prepared = prepare(config, tmp_path / "run", ignore)
    long = [p for p in pairs_in(config.data.train_tsv) if len(p[0].split()) >= 10]
    assert len(prepared.train) == 400
    assert prepared.train.statistics["truncated"] == len(long)
    assert prepared.train.lengths.max() == 10


def test_long_training_pairs_are_refused_with_file_and_line(tmp_path):
    config = make_config(tmp_path, long_lines="error", max_length=40)
    with open(config.data.train_tsv, "a") as file:
        file.write("x " * 50 + "\ty\n")
    message = refusal(config, tmp_path / "run")
    assert (
        f"{config.data.train_tsv}, line 401: 51 source and 2 target tokens" in message
    )


def test_no_pair_left_is_refused(tmp_path):
    config = make_config(tmp_path, max_length=2)
    (tmp_path / "dev.tsv").write_text("a\ta\n")
    assert "no pair is left, all 400" in refusal(config, tmp_path / "run")

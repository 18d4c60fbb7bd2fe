"""Laws of the way from pairs to batches: nothing lost or twice, all repeatable."""

import dataclasses
import itertools
import json
import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq_jax.config import Config, DataConfig, TrainingConfig
from seq2seq_jax.data import corpus as corpora
from seq2seq_jax.data import sequences
from seq2seq_jax.data.buckets import assign, choose_edges, make_buckets
from seq2seq_jax.data.pipeline import batches, eval_batches, prepare
from seq2seq_jax.data.plan import BatchPlan
from seq2seq_jax.errors import InputError
from seq2seq_jax.types import BOS, EOS, PAD


def ignore(text: str) -> None:
    """A log that nobody reads."""


def write_pairs(path: Path, count: int) -> str:
    """Pairs of many lengths; the target is the source's first half, in capitals."""
    draw = np.random.RandomState(count)
    lines = []
    for number in range(count):
        words = [f"w{n}" for n in draw.randint(0, 50, draw.randint(1, 25))]
        target = " ".join(words[: (len(words) + 1) // 2]).upper()
        lines.append(f"{' '.join(words)} n{number}\t{target}\n")
    path.write_text("".join(lines))
    return str(path)


def make_config(folder: Path, train: int = 400, **data) -> Config:
    """A config for tiny files of words, written to the folder."""
    given = {
        "train_tsv": write_pairs(folder / "train.tsv", train),
        "dev_tsv": write_pairs(folder / "dev.tsv", 30),
        "source_tokenizer": "word",
        "target_tokenizer": "word",
    }
    return Config(
        data=DataConfig(**given | data), training=TrainingConfig(batch_tokens=400)
    )


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """A config, its workdir and what is prepared there."""
    folder = tmp_path_factory.mktemp("data")
    config = make_config(folder)
    return config, folder / "run", prepare(config, folder / "run", ignore)


def refusal(config: Config, workdir: Path) -> str:
    with pytest.raises(InputError) as caught:
        prepare(config, workdir, ignore)
    assert "\n" not in str(caught.value)
    assert not (workdir / "tokenizers").exists(), "something half-made is left"
    assert not list(workdir.glob("data/train-*")) and not list(
        workdir.glob("data/.tmp*")
    )
    return str(caught.value)


def equal(one, other) -> bool:
    return all(
        np.array_equal(getattr(one, f.name), getattr(other, f.name))
        for f in dataclasses.fields(one)
    )


def texts_of(prepared, batch) -> list[tuple[str, str]]:
    """The pairs of a batch, decoded, without rows that fill it up."""
    return [
        (prepared.source_tokenizer.decode(s), prepared.target_tokenizer.decode(t))
        for s, t, real in zip(
            batch.source, batch.target_out, batch.target_mask.any(1), strict=True
        )
        if real
    ]


def pairs_in(path: str) -> list[tuple[str, ...]]:
    return sorted(
        tuple(line.split("\t")) for line in Path(path).read_text().splitlines()
    )


# The corpus


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


def test_a_second_call_reads_what_the_first_made(ready, tmp_path):
    config, workdir, prepared = ready
    made = {path: path.stat().st_mtime_ns for path in workdir.glob("data/*/*")}
    again = prepare(config, workdir, ignore)
    assert {path: path.stat().st_mtime_ns for path in workdir.glob("data/*/*")} == made
    assert again.train.checksum == prepared.train.checksum
    fresh = prepare(config, tmp_path / "fresh", ignore)
    assert fresh.train.checksum == prepared.train.checksum


@pytest.mark.parametrize("name", ["source.ids", "target.offsets", "info.json"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
def test_a_damaged_cache_is_made_again(tmp_path, name, damage):
    config, workdir = make_config(tmp_path, train=60), tmp_path / "run"
    before = prepare(config, workdir, ignore).train.checksum
    (path,) = workdir.glob(f"data/train-*/{name}")
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 255
    path.unlink() if damage == "gone" else path.write_bytes(
        bytes(data[: len(data) // 2] if damage == "cut" else data)
    )
    said = []
    assert prepare(config, workdir, said.append).train.checksum == before
    assert any("is damaged: it is made again" in text for text in said)


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError(28, "No space left")])
def test_an_interrupted_run_leaves_no_half_cache(tmp_path, monkeypatch, failure):
    config, workdir = make_config(tmp_path), tmp_path / "run"
    whole = prepare(config, tmp_path / "whole", ignore).train.checksum
    calls = itertools.count()
    real = sequences.SequencesWriter.add

    def add(self, ids):
        if next(calls) == 700:
            raise failure
        real(self, ids)

    with monkeypatch.context() as patch:
        patch.setattr(sequences.SequencesWriter, "add", add)
        expected = InputError if isinstance(failure, OSError) else KeyboardInterrupt
        with pytest.raises(expected):
            prepare(config, workdir, ignore)
    assert not list(workdir.glob("data/train-*"))
    assert not list(workdir.glob("data/.tmp*"))
    assert prepare(config, workdir, ignore).train.checksum == whole


def test_what_a_killed_run_left_is_cleared_away(tmp_path):
    config, workdir = make_config(tmp_path), tmp_path / "run"
    dead, alive = (
        workdir / f"data/.tmp-train-abc-{n}" for n in (2**22 + 1, os.getppid())
    )
    for folder in (dead, alive, workdir / "data/train-old"):
        folder.mkdir(parents=True)
    prepare(config, workdir, ignore)
    left = {path.name for path in (workdir / "data").iterdir()}
    assert dead.name not in left and "train-old" not in left
    assert alive.name in left


def test_changed_data_is_read_again_and_said(tmp_path):
    config, workdir = make_config(tmp_path), tmp_path / "run"
    first = prepare(config, workdir, ignore)
    write_pairs(tmp_path / "train.tsv", 200)
    said = []
    second = prepare(config, workdir, said.append)
    assert len(second.train) == 200
    assert second.source_tokenizer.size == first.source_tokenizer.size
    assert any("training data is not what" in text for text in said)


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


# Bad input


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
        ("target_tokenizer", "bpe", "expected one of byte, char, sentencepiece, word"),
        ("train_tsv", "/nowhere/f.tsv", "/nowhere/f.tsv does not exist"),
        ("dev_tsv", None, "no development data"),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path, field, value, expected):
    assert expected in refusal(
        make_config(tmp_path, **{field: value}), tmp_path / "run"
    )


def test_tokenizers_of_another_kind_are_refused(ready):
    config, workdir, _ = ready
    data = dataclasses.replace(config.data, source_tokenizer="char")
    with pytest.raises(InputError, match="holds a word tokenizer for the source"):
        prepare(dataclasses.replace(config, data=data), workdir, ignore)


# Buckets


lengths_strategy = st.lists(
    st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=300
).map(np.array)


@settings(deadline=None)
@given(lengths_strategy, st.integers(1, 8), st.integers(60, 2000))
def test_buckets_hold_every_pair_once_within_the_budget(lengths, most, tokens):
    buckets = make_buckets(lengths, most, tokens)
    assert 1 <= len(buckets) <= most
    members = np.concatenate([bucket.members for bucket in buckets])
    assert sorted(members) == list(range(len(lengths)))
    for bucket in buckets:
        assert (lengths[bucket.members] <= [bucket.source, bucket.target]).all()
        assert 1 <= bucket.rows <= tokens // max(bucket.source, bucket.target)


@settings(deadline=None, max_examples=30)
@given(lengths_strategy)
def test_more_buckets_never_pad_more(lengths):
    def cells(most: int) -> int:
        edges = choose_edges(lengths, most)
        return edges[assign(lengths, edges)].sum()

    assert cells(1) == lengths.max(0).sum() * len(lengths)
    assert cells(1) >= cells(2) >= cells(6) * 0.98 >= lengths.sum() * 0.98


def test_two_kinds_of_pairs_get_a_bucket_each():
    lengths = np.array([[5, 40], [40, 5]] * 500)
    shapes = {(b.source, b.target) for b in make_buckets(lengths, 2, 400)}
    assert shapes == {(5, 40), (40, 5)}


# The plan


def test_batches_are_laid_out_as_types_says(ready):
    config, _, prepared = ready
    for batch in BatchPlan(prepared.train, config):
        rows, width = batch.target_out.shape
        assert batch.source.dtype == batch.target_in.dtype == np.int32
        assert batch.source_mask.dtype == batch.target_mask.dtype == bool
        assert batch.source_mask.shape == batch.source.shape
        real = batch.target_mask.any(1)
        assert (batch.source_mask.any(1) == real).all()
        assert (batch.source[~batch.source_mask] == PAD).all()
        assert (batch.target_in[~batch.target_mask] == PAD).all()
        assert (batch.target_out[~batch.target_mask] == PAD).all()
        assert (batch.target_in[real, 0] == BOS).all()
        for row in np.flatnonzero(real):
            source, target = batch.source_mask[row].sum(), batch.target_mask[row].sum()
            assert batch.source_mask[row, :source].all()
            assert batch.source[row, source - 1] == EOS
            assert batch.target_out[row, target - 1] == EOS
            heard, said = batch.target_in[row, 1:target], batch.target_out[row]
            assert (heard == said[: target - 1]).all()
        assert rows * width <= config.training.batch_tokens


def test_every_pair_comes_once_an_epoch(ready):
    config, _, prepared = ready
    plan = BatchPlan(prepared.train, config)
    expected = pairs_in(config.data.train_tsv)
    for epoch in range(3):
        numbers = range(epoch * len(plan), (epoch + 1) * len(plan))
        seen = [pair for i in numbers for pair in texts_of(prepared, plan[i])]
        assert sorted(seen) == expected


def test_a_batch_is_a_function_of_seed_and_number(ready):
    config, workdir, prepared = ready
    plan = BatchPlan(prepared.train, config)
    wanted = [5 * len(plan) + 3, 2, 0, 2 * len(plan), 1]
    first = [plan[i] for i in wanted]
    again = BatchPlan(prepare(config, workdir, ignore).train, config)
    assert all(
        equal(again[i], batch)
        for i, batch in sorted(zip(wanted, first, strict=True), key=lambda x: x[0])
    )
    training = dataclasses.replace(config.training, seed=2)
    other = BatchPlan(prepared.train, dataclasses.replace(config, training=training))
    assert [texts_of(prepared, b) for b in plan] != [
        texts_of(prepared, b) for b in other
    ]


def test_each_epoch_has_its_own_order(ready):
    config, _, prepared = ready
    plan = BatchPlan(prepared.train, config)
    orders = [
        [texts_of(prepared, plan[epoch * len(plan) + n]) for n in range(len(plan))]
        for epoch in range(2)
    ]
    assert orders[0] != orders[1]
    buckets = [plan[n].source.shape for n in range(len(plan))]
    assert buckets != sorted(buckets) and buckets != sorted(buckets, reverse=True)


def test_shapes_are_few_and_known_beforehand(ready):
    config, _, prepared = ready
    plan = BatchPlan(prepared.train, config)
    found = {
        (*plan[i].source.shape, plan[i].target_in.shape[1])
        for i in range(3 * len(plan))
    }
    assert found == set(plan.shapes)
    assert len(found) <= config.data.buckets


@pytest.mark.parametrize("count", [2, 3, 7])
def test_processes_share_the_rows_of_the_same_batch(ready, count):
    config, _, prepared = ready
    alone = BatchPlan(prepared.train, config)
    parts = [BatchPlan(prepared.train, config, p, count) for p in range(count)]
    assert {len(part) for part in parts} == {len(alone)}
    for index in (0, 3, len(alone) + 1):
        batch = alone[index]
        shares = [part[index] for part in parts]
        assert len({share.source.shape for share in shares}) == 1
        assert (
            shares[0].source.shape[0] == parts[0].shapes[0][0] or len(alone.shapes) > 1
        )
        for name in ("source", "source_mask", "target_in", "target_out", "target_mask"):
            whole = np.concatenate([getattr(share, name) for share in shares])
            rows = len(batch.source)
            assert np.array_equal(whole[:rows], getattr(batch, name))
            assert not whole[rows:].any()


def test_padding_is_what_the_masks_say(ready):
    config, _, prepared = ready
    plan = BatchPlan(prepared.train, config)
    masks = [mask for b in plan for mask in (b.source_mask, b.target_mask)]
    real, cells = sum(m.sum() for m in masks), sum(m.size for m in masks)
    assert plan.padding == pytest.approx(1 - real / cells)
    assert plan.padding < 0.3


def test_a_batch_before_the_first_is_refused(ready):
    config, _, prepared = ready
    with pytest.raises(IndexError):
        BatchPlan(prepared.train, config)[-1]


def test_evaluation_sees_every_pair_once_in_order(ready):
    config, _, prepared = ready
    first = list(eval_batches(prepared.dev, config))
    assert all(map(equal, first, eval_batches(prepared.dev, config)))
    seen = [pair for batch in first for pair in texts_of(prepared, batch)]
    assert len(seen) == 30
    for process in range(2):
        parts = list(eval_batches(prepared.dev, config, process, 2))
        assert len(parts) == len(first)


# The loader


@pytest.mark.parametrize("prefetch", [0, 1, 4])
def test_the_loader_gives_the_plan_from_any_position(ready, prefetch):
    config, _, prepared = ready
    plan = BatchPlan(prepared.train, config)
    for start in (0, 3, 2 * len(plan) - 1):
        for offset, batch in enumerate(
            itertools.islice(batches(plan, start, prefetch), len(plan) + 2)
        ):
            assert equal(batch, plan[start + offset])


def test_what_goes_wrong_in_the_loader_is_seen(ready):
    config, _, prepared = ready

    class Broken(BatchPlan):
        def __getitem__(self, index):
            if index == 2:
                raise InputError("train.tsv, line 7: broken")
            return super().__getitem__(index)

    loader = batches(Broken(prepared.train, config), 0, 4)
    next(loader), next(loader)
    with pytest.raises(InputError, match=r"train\.tsv, line 7"):
        next(loader)


def test_no_sequence_stands_in_an_empty_row():
    flat = sequences.Sequences(np.arange(10, 16), np.array([0, 2, 2, 6]))
    ids, lengths = flat.gather(np.array([2, -1, 1, 0]), 4)
    assert lengths.tolist() == [4, -1, 0, 2]
    assert ids.tolist() == [[12, 13, 14, 15], [0] * 4, [0] * 4, [10, 11, 0, 0]]


def test_a_large_vocabulary_takes_wide_ids(tmp_path):
    writer = corpora.CorpusWriter(tmp_path / "train-x", 70_000, keep_text=False)
    with writer:
        writer.add(([69_999], [4]), ("", ""))
        assert writer.finish({}).source(0).tolist() == [69_999]

"""Batches: a plan that a seed decides, and the loader that follows it anywhere."""

import dataclasses
import itertools

import numpy as np
import pytest
from pairs import ignore, pairs_in

from seq2seq_jax.data import sequences
from seq2seq_jax.data.pipeline import batches, eval_batches, prepare
from seq2seq_jax.data.plan import BatchPlan
from seq2seq_jax.errors import InputError
from seq2seq_jax.types import BOS, EOS, PAD


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


def test_no_sequence_stands_in_an_empty_row(tmp_path):
    dtype = np.dtype(np.uint16)
    writer = sequences.SequencesWriter(tmp_path / "some", dtype)
    for said in ([10, 11], [], [12, 13, 14, 15]):
        writer.add(said)
    some = sequences.open_sequences(tmp_path / "some", dtype, writer.finish())
    ids, lengths = some.gather(np.array([2, -1, 1, 0]), 4)
    assert lengths.tolist() == [4, -1, 0, 2]
    assert ids.tolist() == [[12, 13, 14, 15], [0] * 4, [0] * 4, [10, 11, 0, 0]]


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

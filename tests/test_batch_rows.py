"""Batches of a fixed number of pairs, as the papers count them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq_jax import limits
from seq2seq_jax.data.buckets import make_buckets
from seq2seq_jax.data.pipeline import eval_batches, prepare
from seq2seq_jax.data.plan import BatchPlan
from seq2seq_jax.errors import InputError

lengths_strategy = st.lists(
    st.tuples(st.integers(1, 60), st.integers(1, 60)), min_size=1, max_size=300
).map(np.array)


@settings(deadline=None)
@given(lengths_strategy, st.integers(1, 8), st.integers(1, 400))
def test_every_bucket_has_the_same_rows_whatever_its_lengths(lengths, most, size):
    buckets = make_buckets(lengths, most, 100, size)
    assert 1 <= len(buckets) <= most
    members = np.concatenate([bucket.members for bucket in buckets])
    assert sorted(members) == list(range(len(lengths)))
    for bucket in buckets:
        assert (lengths[bucket.members] <= [bucket.source, bucket.target]).all()
        assert bucket.rows == min(size, len(bucket.members))


@pytest.fixture(scope="module")
def ready(tiny, tmp_path_factory):
    """A config of 16 pairs an update, and its data."""
    config = tiny(batch_size=16, batch_tokens=9)
    workdir = tmp_path_factory.mktemp("rows") / "run"
    return config, prepare(config, workdir, lambda line: None)


def test_an_update_has_so_many_pairs_and_an_epoch_has_each_once(ready):
    config, data = ready
    plan = BatchPlan(data.train, config)
    assert {rows for rows, *_ in plan.shapes} == {16}
    counts = [int(batch.target_mask.any(1).sum()) for batch in plan]
    assert sum(counts) == len(data.train) == 90
    assert sum(count < 16 for count in counts) <= len(plan.buckets)


def test_processes_share_the_pairs_of_an_update(ready):
    config, data = ready
    alone, half = BatchPlan(data.train, config), BatchPlan(data.train, config, 1, 2)
    assert len(alone) == len(half) and {rows for rows, *_ in half.shapes} == {8}
    np.testing.assert_array_equal(half[3].source, alone[3].source[8:])


def test_evaluation_sees_every_pair_once(ready):
    config, data = ready
    batches = list(eval_batches(data.dev, config))
    assert sum(int(b.target_mask.any(1).sum()) for b in batches) == len(data.dev) == 12


def test_a_number_of_pairs_needs_no_budget_of_tokens(tiny):
    limits.validate(tiny(batch_size=16, batch_tokens=1))
    with pytest.raises(InputError, match=r"training\.batch_tokens is 1.*batch_size"):
        limits.validate(tiny(batch_tokens=1))
    with pytest.raises(InputError, match=r"training\.batch_size is 0, expected"):
        config = tiny()
        training = replace(config.training, batch_size=0)
        limits.validate(replace(config, training=training))

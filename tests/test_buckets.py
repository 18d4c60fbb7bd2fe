"""Buckets: every pair in one of them, within the budget, with little padding."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq_jax.data.buckets import assign, choose_edges, make_buckets

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

"""Every model comes back from its checkpoint bit for bit, and trains on as before."""

from functools import partial

import jax
import numpy as np
import pytest
from shard_maps import shard_mapped
from small import (
    SMOOTHING,
    TARGET_VOCAB,
    make_batch,
    params_of,
    quick_jit,
    source_size_of,
)
from sweeps import SWEEP, name

from seq2seq_jax import config as configs
from seq2seq_jax.config import Config, DataConfig, TrainingConfig
from seq2seq_jax.data import tokenizers
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.nn import model
from seq2seq_jax.nn.heads import HEADS
from seq2seq_jax.training import optimizer, parallel, step
from seq2seq_jax.training.checkpoints import Checkpoints
from seq2seq_jax.types import TrainState

DEVICES = parallel.local(jax.local_devices()[:1])


def tokenizer(size):
    """Of so many ids, four of them special."""
    return tokenizers.train("char", ["abcdefghijkl"[: size - 4]], size)


def same(one, other):
    """Bit for bit, keys included."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(lambda *leaves: assert_same_bits(*map(bits, leaves)), one, other)


def bits(leaf):
    is_key = jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(leaf) if is_key else leaf)


def assert_same_bits(one, other):
    assert one.dtype == other.dtype
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("config", SWEEP, ids=name)
def test_a_predictor_reads_the_very_parameters_that_were_saved(config, tmp_path):
    shared, params = config.tied_embeddings == "all", params_of(config)
    copies = HEADS[config.head].copies
    one_vocab = copies or config.tied_embeddings in ("input", "all")
    recipe = Config(DataConfig(shared_vocab=one_vocab), config)
    (tmp_path / "config.json").write_text(configs.to_json(recipe))
    source = TARGET_VOCAB if shared or copies else source_size_of(config)
    sizes = {"source": source, "target": TARGET_VOCAB}
    for side, size in sizes.items():
        tokenizer(size).save(tmp_path / "tokenizers", side)
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    state = TrainState(np.int32(1), params, {}, jax.random.key(0))
    checkpoints.save(1, jax.device_put(state, DEVICES.replicated), {})
    checkpoints.close()
    loaded = Predictor.load(tmp_path)
    assert loaded.config == config
    # Laid out for inference; their tables of shares are made of the same numbers.
    same(loaded.params, model.prepared(params, config))


# Of other structures each, with other optimisers' states.
TRAINED = {
    "adam": SWEEP[11],
    "adadelta": next(c for c in SWEEP if c.decoder == "cho"),
    "adamw": next(c for c in SWEEP if c.decoder == "gnmt"),
    "adam_l2": next(c for c in SWEEP if c.cell == "rnmt_lstm_capped"),
    "adagrad": next(c for c in SWEEP if c.decoder == "rnmt"),
    "sgd": next(c for c in SWEEP if c.attention == "location_sensitive"),
}


def test_every_optimizer_is_tried():
    assert set(TRAINED) == set(optimizer.OPTIMIZERS)


@pytest.mark.parametrize("kind", TRAINED)
def test_an_update_after_loading_is_the_one_that_would_have_been(kind, tmp_path):
    training = TrainingConfig(optimizer=kind, momentum=0.9, sgd_from=2, warmup_steps=0)
    tx, config, params = (
        optimizer.make(training),
        TRAINED[kind],
        params_of(TRAINED[kind]),
    )

    def loss(params, batch, keys, update):
        return model.loss(params, config, batch, SMOOTHING, keys)

    run = shard_mapped(partial(step.train_step, loss, tx), DEVICES, quick_jit)
    cut = parallel.shard_batch(make_batch(), 1)
    moments = quick_jit(tx.init)(params)
    state = TrainState(np.int32(0), params, moments, jax.random.key(1))
    first = jax.device_put(state, DEVICES.replicated)
    saved, _ = run(first, *cut)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, saved, {})
    checkpoints.close()
    loaded, _ = Checkpoints(tmp_path).restore(first)
    same(loaded, saved)
    found, expected = run(loaded, *cut), run(saved, *cut)
    same(found, expected)
    assert not np.array_equal(
        found[0].params["head"]["bias"], saved.params["head"]["bias"]
    )

"""Models drawn at random: each is refused in one line, or has a loss of its source."""

import dataclasses
import random

import jax
import pytest
from jax.interpreters import partial_eval
from small import SMOOTHING, TARGET_VOCAB, as_read, make_batch, row_keys, source_size_of

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.nn import checks, model
from seq2seq_jax.nn.encoder import ENCODERS
from seq2seq_jax.nn.heads import HEADS

DRAWN = 150
# What a field may be beside its default, and beside every entry of its table.
SMALL = {"hidden_size": 4, "embedding_size": 6}
NUMBERS = {
    "decoder_hidden_size": [6, 8],
    "encoder_layers": [2, 3],
    "decoder_layers": [2, 3],
    "bidirectional": [False],
    "bidirectional_layers": [1],
    "encoder_projection": [6],
    "reverse_source": [True],
    "residual_from": [1, 3],
    "attention_size": [3],
    "attention_heads": [2],
    "window": [1],
    "positions": [4],
    "input_feeding": [False],
    "readout_size": [5],
    "output_rank": [3],
    "attention_dropout": [0.2],
    "output_dropout": [0.2],
    "recurrent_dropout": [0.2],
    "zoneout": [0.2],
    "init_scale": [0.3],
    "unroll": [2],
}
CHOICES = {name: sorted(table) for name, table in checks.TABLES.items()} | NUMBERS
# Targets that are numbers are another batch's: `test_real_heads` has those heads.
CHOICES["head"] = [name for name in CHOICES["head"] if HEADS[name].width is None]


def draw(number):
    """A config of which two to nine fields are drawn."""
    rng = random.Random(number)
    fields = rng.sample(sorted(CHOICES), rng.randint(2, 9))
    drawn = {field: rng.choice(CHOICES[field]) for field in fields}
    return dataclasses.replace(ModelConfig(**SMALL), **drawn)


def unread_parts(config):
    """Parts of the parameters of which no number reaches the loss."""
    key, batch = jax.random.key(0), as_read(config, make_batch())
    size = TARGET_VOCAB if config.frontend == "tokens" else source_size_of(config)
    params = jax.eval_shape(lambda: model.init_params(key, config, size, TARGET_VOCAB))

    def loss(params):
        sums = model.loss(params, config, batch, SMOOTHING, row_keys())
        assert sums.loss.shape == ()
        return sums.loss

    program = jax.make_jaxpr(loss)(params)
    _, used = partial_eval.dce_jaxpr(program.jaxpr, [True])
    leaves = jax.tree_util.tree_leaves_with_path(params)
    parts = {path[0].key: False for path, _ in leaves}
    for (path, _), read in zip(leaves, used, strict=True):
        parts[path[0].key] |= read
    return [part for part, read in parts.items() if not read]


def test_a_model_is_refused_in_one_line_or_reads_all_of_its_parts():
    accepted = 0
    for number in range(DRAWN):
        config = draw(number)
        try:
            checks.check(config, shared_vocab=True)
        except InputError as error:
            assert str(error).startswith("model.") and "\n" not in str(error)
            continue
        accepted += 1
        assert unread_parts(config) == [], config
    assert accepted > DRAWN // 5


def test_a_part_that_is_not_read_is_found():
    config = ModelConfig(**SMALL, attention="none", bridge="zero", decoder="plain")
    assert unread_parts(config) == ["encoder", "source"]
    assert ENCODERS[config.encoder].reads
    with pytest.raises(InputError, match="learns nothing of the source"):
        checks.check(config)

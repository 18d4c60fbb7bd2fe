"""A model of a few lines, to test the training step without the real one."""

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax.types import Batch, Sums

VOCAB = 9


def params(seed: int = 0) -> dict:
    """A bag of words and a projection."""
    first, second = jax.random.split(jax.random.key(seed))
    return {
        "table": jax.random.normal(first, (VOCAB, 5)),
        "out": {
            "kernel": jax.random.normal(second, (5, VOCAB)),
            "bias": jnp.zeros(VOCAB),
        },
    }


def batch(rows: int, length: int = 6, seed: int = 0) -> Batch:
    """Rows of uneven lengths."""
    draw = np.random.default_rng(seed)
    ids = draw.integers(0, VOCAB, (rows, length)).astype(np.int32)
    mask = np.arange(length) < draw.integers(1, length + 1, (rows, 1))
    return Batch(ids, mask, ids, ids, mask)


def loss(params: dict, batch: Batch, keys, update=None) -> Sums:
    """Every target token is said from the mean source embedding; half of it dropped."""
    embedded = params["table"][batch.source]
    if keys is not None:
        drop = jax.vmap(lambda key: jax.random.bernoulli(key, 0.5, embedded.shape[1:]))
        embedded = embedded * drop(keys)
    bag = jnp.where(batch.source_mask[..., None], embedded, 0).sum(1)
    logits = bag @ params["out"]["kernel"] + params["out"]["bias"]
    log_probs = jax.nn.log_softmax(logits)
    said = jnp.take_along_axis(log_probs, batch.target_out, axis=1)
    nll = -jnp.where(batch.target_mask, said, 0).sum()
    right = (batch.target_out == logits.argmax(-1)[:, None]) & batch.target_mask
    weight = batch.target_mask.sum(dtype=jnp.float32)
    return Sums(nll, nll, right.sum(dtype=jnp.float32), weight)

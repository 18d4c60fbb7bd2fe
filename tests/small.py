"""Tiny models and one ragged batch that the tests of `nn` share, compiled once each."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from seq2seq_jax.nn import model
from seq2seq_jax.nn.heads import HEADS
from seq2seq_jax.types import Batch

SOURCE_VOCAB, TARGET_VOCAB = 11, 13
SMOOTHING = 0.1
# What stands for each id where a model reads numbers: F of them, for F a multiple of 3.
NUMBERS = np.random.default_rng(9).normal(0, 1, (SOURCE_VOCAB, 12)).astype(np.float32)
SOURCE_LENGTHS, TARGET_LENGTHS = (6, 3, 1, 0), (5, 2, 4, 0)  # the last row is empty


# Compiled without the costly optimisations: a tiny model's time is its compilation. The
# last two make XLA write less code, which was three quarters of that time.
QUICK = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_parallel_codegen_split_count": 1,
    "xla_cpu_use_fusion_emitters": False,
}


def is_known(option, value):
    """Whether this jaxlib's XLA has an option: they come and go."""
    try:
        jax.jit(lambda: 0, compiler_options={option: value})()
    except jax.errors.JaxRuntimeError:
        return False
    return True


QUICK = {option: value for option, value in QUICK.items() if is_known(option, value)}
quick_jit = partial(jax.jit, compiler_options=QUICK)


def params_of(config, seed=0, target_size=TARGET_VOCAB):
    """Random parameters with no zeros anywhere, biases included."""
    one = model.is_input_tied(config) or HEADS[config.head].copies
    source_size = target_size if one else source_size_of(config)
    shapes = jax.eval_shape(
        lambda key: model.init_params(key, config, source_size, target_size),
        jax.random.key(0),
    )
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: rng.uniform(-0.7, 0.7, leaf.shape).astype(np.float32), shapes
    )


def source_size_of(config):
    """Ids of a source, or numbers."""
    return SOURCE_VOCAB if config.frontend == "tokens" else NUMBERS.shape[1]


def as_read(config, batch):
    """The batch, with numbers in the place of source ids where a model reads them."""
    if config.frontend == "tokens":
        return batch
    return batch.replace(source=jnp.asarray(NUMBERS)[batch.source])


def make_batch(source_width=6, target_width=5, fill=0, seed=0):
    """The ragged batch; `fill` is the id that stands in padding."""
    rng = np.random.default_rng(seed)
    rows = len(SOURCE_LENGTHS)
    source = rng.integers(3, SOURCE_VOCAB, (rows, 6))
    target = rng.integers(3, TARGET_VOCAB, (rows, 5))
    source_mask = np.arange(source_width) < np.array(SOURCE_LENGTHS)[:, None]
    target_mask = np.arange(target_width) < np.array(TARGET_LENGTHS)[:, None]
    target_in = np.concatenate([np.ones((rows, 1), int), target[:, :-1]], axis=1)

    def padded(ids, mask):
        wide = np.full(mask.shape, fill)
        wide[:, : ids.shape[1]] = ids
        return np.where(mask, wide, fill).astype(np.int32)

    return Batch(
        source=padded(source, source_mask),
        source_mask=source_mask,
        target_in=padded(target_in, target_mask),
        target_out=padded(target, target_mask),
        target_mask=target_mask,
    )


@partial(quick_jit, static_argnums=1)
def forward(params, config, batch, keys=None):
    """Logits and attention weights."""
    return logits_and_weights(params, config, batch, keys)


def logits_and_weights(params, config, batch, keys=None):
    batch = as_read(config, batch)
    return model.logits_and_weights(params, config, batch, keys)


@partial(quick_jit, static_argnums=1)
def everything(params, config, batch, keys=None):
    """Logits, weights, sums and gradients of the summed loss, in one compilation."""

    def total(params):
        logits, weights = logits_and_weights(params, config, batch, keys)
        sums = model.loss(params, config, as_read(config, batch), SMOOTHING, keys)
        return sums.loss, {"logits": logits, "weights": weights, "sums": sums}

    (_, found), grads = jax.value_and_grad(total, has_aux=True)(params)
    return found | {"grads": grads}


def assert_close(actual, expected, tolerance=0.0):
    """Two trees agree: bit for bit, or to a tolerance relative to 1 and absolute."""
    for (path, a), b in zip(
        jax.tree_util.tree_leaves_with_path(actual),
        jax.tree.leaves(expected),
        strict=True,
    ):
        np.testing.assert_allclose(
            np.asarray(a, np.float64),
            np.asarray(b, np.float64),
            rtol=tolerance,
            atol=tolerance,
            err_msg=jax.tree_util.keystr(path),
        )


def row_keys(seed=0, rows=4):
    """One key a row."""
    return jax.random.split(jax.random.key(seed), rows)


def real(batch, outputs):
    """`[B, T, ...]` outputs, zero where the target is padding."""
    mask = jnp.asarray(batch.target_mask)
    return jnp.where(mask.reshape(*mask.shape, *[1] * (outputs.ndim - 2)), outputs, 0)

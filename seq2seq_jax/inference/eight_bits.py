"""A model whose products are of whole numbers of 8 bits, for inference."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.errors import choose
from seq2seq_jax.nn import checks, model
from seq2seq_jax.nn.heads import HEADS
from seq2seq_jax.nn.quantised import is_quantised, quantise
from seq2seq_jax.types import Params

INT8 = "int8"  # beside `checks.DTYPES`: no training has it
PARTS = ("layers", "own", "residuals", "output_factor")  # of the decoder


def prepared(
    params: Params, config: ModelConfig, dtype: str | None
) -> tuple[Params, ModelConfig]:
    """`model.prepared` for products of that type; None: as the config has them."""
    if dtype not in (None, INT8):
        named = choose((*checks.DTYPES, INT8), dtype, "dtype")
        config = dataclasses.replace(config, dtype=named)
    made = model.prepared(params, config)
    return quantised(made, config) if dtype == INT8 else (made, config)


def quantised(params: Params, config: ModelConfig) -> tuple[Params, ModelConfig]:
    """What `model.prepared` gave, with nearly all matrices in 8 bits.

    Those of attention and of the bridge stay: they are a small part of a search's
    products. Embeddings that are the output layer's matrix as well become two tables,
    of which the config tells, and layers are plain scans: other forms of them, and
    kernels, read arrays.
    """
    if HEADS[config.head].narrow is not None:
        ids = jnp.arange(len(params["head"]["bias"]))
        params, config = model.narrowed(params, config, ids)
    decoder = params["decoder"]
    made = {name: matrices(decoder[name]) for name in PARTS if name in decoder}
    if "shares" in params["target"]:  # they are what a search reads of it
        read = {"input": decoder["layers"][0]["input"]}
        made["layers"] = [made["layers"][0] | read, *made["layers"][1:]]
    eight = {
        "encoder": matrices(params["encoder"]),
        "decoder": decoder | made,
        "head": matrices(params["head"]),
    }
    return params | eight, dataclasses.replace(config, scan="plain", backend="scan")


def matrices(tree: Any) -> Any:
    """A tree with its matrices in 8 bits."""
    return jax.tree.map(lambda x: quantise(x) if x.ndim == 2 else x, tree)


def floats(params: Any) -> Any:
    """Those matrices as floats again: for what multiplies them as training does."""
    return jax.tree.map(
        lambda x: jnp.asarray(x) if is_quantised(x) else x, params, is_leaf=is_quantised
    )

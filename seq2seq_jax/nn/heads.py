"""Heads: from the readout to a distribution and its loss, by name in `HEADS`."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.nn import layers, real_heads
from seq2seq_jax.nn.candidates import sampled_cross_entropy
from seq2seq_jax.nn.losses import linear_cross_entropy
from seq2seq_jax.nn.pointer import pointer, pointer_init, pointer_loss
from seq2seq_jax.nn.shards import Shards
from seq2seq_jax.types import Array, Params, Sums


class Head(NamedTuple):
    """One kind of output.

    A head that copies has a `Looked` as the last argument of `apply` and of `loss`.

    Attributes:
        init: `(key, readout_size, target_size, initializers, tied) -> params`.
        apply: `(params, readout [..., R], table=None) -> outputs`; a `table [V, E]`
            takes the place of the head's own matrix (tied embeddings).
        loss: `(params, readout, targets, mask, label_smoothing, table=None,
            cut=None) -> Sums`; with `cut`, params and table are a device's part.
        sampled_loss: `(params, readout, targets, mask, negatives [k], dtype,
            table=None) -> Sums`, the target against sampled tokens alone; its params
            and table are float32, products are `dtype`. None: there is none.
        narrow: `(params, ids [N], table=None) -> params` of the head that says these
            tokens alone, as 0 to N - 1, with a matrix of its own. None: none can.
        copies: whether it may say a token of the source: `init` is also told how much
            wider than R the readout is, for its gate, and there is no `cut`.
        width: of a head that says numbers: `(config) -> W`, how many of each target;
            `init` is told it last, and outputs are `[..., M, W]`. None: it says tokens.
        point: `(outputs [..., M, W]) -> [..., M]`, what the decoder reads next.
        score: `(outputs, targets, mask) -> Sums`, the loss of outputs.
        settings: fields of the config that not every head reads.
    """

    init: Callable[..., Params]
    apply: Callable[..., jax.Array]
    loss: Callable[..., Sums]
    sampled_loss: Callable[..., Sums] | None = None
    narrow: Callable[..., Params] | None = None
    copies: bool = False
    width: Callable[[ModelConfig], int] | None = None
    point: Callable[[jax.Array], jax.Array] = real_heads.first
    score: Callable[..., Sums] | None = None
    settings: tuple[str, ...] = ()

    @property
    def hears(self) -> str:
        """The entry of `FRONTENDS` that makes vectors of what the decoder reads."""
        return "tokens" if self.width is None else "features"


def vocabulary_init(
    key: jax.Array,
    readout_size: int,
    target_size: int,
    inits: layers.Initializers,
    tied: bool,
) -> Params:
    """`[R, V]` and a bias; only the bias where the embeddings serve as the matrix."""
    params = layers.dense_init(key, readout_size, target_size, inits.output)
    return {"bias": params["bias"]} if tied else params


def vocabulary(params: Params, readout: Array, table: Array | None = None) -> jax.Array:
    """Logits `[..., V]` = readout W + b; tied: readout E^T + b (Press & Wolf 2017).

    >>> import jax.numpy as jnp
    >>> vocabulary({"bias": jnp.zeros(3)}, jnp.ones(2), table=jnp.ones((3, 2))).tolist()
    [2.0, 2.0, 2.0]
    """
    kernel = params["kernel"] if table is None else table.T
    return layers.matmul(readout, kernel) + params["bias"]


def vocabulary_narrow(params: Params, ids: Array, table: Array | None = None) -> Params:
    """The columns of W and b that say these ids.

    >>> import jax.numpy as jnp
    >>> whole = {"kernel": jnp.arange(6.0).reshape(2, 3), "bias": jnp.zeros(3)}
    >>> vocabulary_narrow(whole, jnp.array([2, 0]))["kernel"].tolist()
    [[2.0, 0.0], [5.0, 3.0]]
    """
    kernel = params["kernel"][:, ids] if table is None else table[ids].T
    return {"kernel": kernel, "bias": params["bias"][ids]}


def vocabulary_loss(
    params: Params,
    readout: Array,
    targets: Array,
    mask: Array,
    label_smoothing: float = 0.0,
    table: Array | None = None,
    cut: Shards | None = None,
) -> Sums:
    """Label-smoothed cross-entropy, without logits of all tokens at once.

    >>> import jax.numpy as jnp
    >>> params = {"kernel": jnp.zeros((2, 4)), "bias": jnp.zeros(4)}
    >>> real = jnp.array([True])
    >>> print(f"{vocabulary_loss(params, jnp.ones((1, 2)), real * 2, real).nll:.4f}")
    1.3863
    """
    kernel = params["kernel"] if table is None else table.T
    return linear_cross_entropy(
        readout, kernel, params["bias"], targets, mask, label_smoothing, cut
    )


def vocabulary_sampled_loss(
    params: Params,
    readout: Array,
    targets: Array,
    mask: Array,
    negatives: Array,
    dtype: str = "float32",
    table: Array | None = None,
) -> Sums:
    """Cross-entropy among the target and `negatives`: see `nn.candidates`.

    >>> import jax.numpy as jnp
    >>> params = {"kernel": jnp.zeros((2, 4)), "bias": jnp.zeros(4)}
    >>> real, ids = jnp.array([True]), jnp.arange(4)
    >>> sums = vocabulary_sampled_loss(params, jnp.ones((1, 2)), real * 2, real, ids)
    >>> print(f"{sums.nll:.4f}")
    1.3863
    """
    rows = params["kernel"].T if table is None else table
    return sampled_cross_entropy(
        readout, rows, params["bias"], targets, mask, negatives, dtype
    )


def real_head(
    apply: Callable[..., jax.Array],
    each: Callable[[jax.Array, jax.Array], jax.Array],
    width: Callable[[ModelConfig], int],
    point: Callable[[jax.Array], jax.Array] = real_heads.first,
    settings: tuple[str, ...] = (),
) -> Head:
    """A head that says numbers, from its outputs and a target's own loss."""
    score = real_heads.scores_of(each)
    return Head(
        real_heads.init,
        apply,
        real_heads.losses_of(apply, score),
        width=width,
        point=point,
        score=score,
        settings=settings,
    )


HEADS = {
    "vocabulary": Head(
        vocabulary_init,
        vocabulary,
        vocabulary_loss,
        vocabulary_sampled_loss,
        vocabulary_narrow,
    ),
    "pointer": Head(pointer_init, pointer, pointer_loss, copies=True),
    "mean": real_head(real_heads.mean, real_heads.squared_error, lambda config: 1),
    "gaussian": real_head(
        real_heads.gaussian, real_heads.gaussian_nll, lambda config: 2
    ),
    "quantiles": real_head(
        real_heads.quantiles,
        real_heads.pinball,
        lambda config: config.quantiles,
        real_heads.median,
        ("quantiles",),
    ),
}

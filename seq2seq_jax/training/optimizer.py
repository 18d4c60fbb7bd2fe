"""The optimiser: a clipped gradient, its scaling, and a learning rate by schedule.

The table `OPTIMIZERS` is the extension point: it maps a name to the scaling of the
gradient. A new one is a function and a line. The rate is in `schedules`.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from seq2seq_jax.config import TrainingConfig
from seq2seq_jax.errors import choose
from seq2seq_jax.training.anomalies import without_anomalies
from seq2seq_jax.training.schedules import SCHEDULES, WARMUPS, learning_rate
from seq2seq_jax.types import Array, Params


def is_matrix(params: Params) -> Params:
    """True for the leaves that weight decay pulls to zero: matrices and embeddings.

    Biases and other vectors hold offsets, not strengths of connections: pulling them to
    zero (an LSTM's forget bias of 1 among them) only moves the model's operating point.
    """
    return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def _adam(config: TrainingConfig) -> optax.GradientTransformation:
    """Kingma & Ba 2015, algorithm 1; the paper's epsilon is 1e-8."""
    epsilon = 1e-8 if config.epsilon is None else config.epsilon
    return optax.scale_by_adam(config.beta1, config.beta2, epsilon)


def _adamw(config: TrainingConfig) -> optax.GradientTransformation:
    """Loshchilov & Hutter 2019, algorithm 2: decay beside the gradient.

    It is scaled by the rate alone.
    """
    decay = optax.add_decayed_weights(config.weight_decay, mask=is_matrix)
    return optax.chain(_adam(config), decay)


def _adam_l2(config: TrainingConfig) -> optax.GradientTransformation:
    """Adam on the gradient of the loss and of weight_decay / 2 |W|^2.

    Chen et al. 2018 (RNMT+), section 4.2, by 1e-5 for English to German. It is added
    after clipping, and to matrices and embeddings alone, as in `adamw`.
    """
    decay = optax.add_decayed_weights(config.weight_decay, mask=is_matrix)
    return optax.chain(decay, _adam(config))


def _sgd(config: TrainingConfig) -> optax.GradientTransformation:
    """Plain gradient descent, with momentum where it is above 0."""
    return optax.trace(config.momentum) if config.momentum else optax.identity()


def _adagrad(config: TrainingConfig) -> optax.GradientTransformation:
    """Duchi et al. 2011: g / sqrt(a + sum g^2), with `initial_accumulator` as a.

    See et al. 2017 train with a rate of 0.15 and a = 0.1, which is TensorFlow's too.
    """
    epsilon = 0.0 if config.epsilon is None else config.epsilon
    return optax.scale_by_rss(config.initial_accumulator, epsilon)


def _adadelta(config: TrainingConfig) -> optax.GradientTransformation:
    """Zeiler 2012, algorithm 1: g sqrt(E[x^2] + eps) / sqrt(E[g^2] + eps).

    rho 0.95 and epsilon 1e-6, at a rate of 1, in Cho et al. and Bahdanau et al. 2014.
    """
    epsilon = 1e-6 if config.epsilon is None else config.epsilon
    return optax.scale_by_adadelta(rho=config.rho, eps=epsilon)


class Optimizer(NamedTuple):
    """One way to scale the gradient.

    Attributes:
        make: `(config) -> ` the optax transformation.
        settings: fields of the config that it reads and some other entries do not.
    """

    make: Callable[[TrainingConfig], optax.GradientTransformation]
    settings: tuple[str, ...] = ()


OPTIMIZERS = {
    "adam": Optimizer(_adam, ("beta1", "beta2", "epsilon")),
    "adamw": Optimizer(_adamw, ("beta1", "beta2", "epsilon", "weight_decay")),
    "adam_l2": Optimizer(_adam_l2, ("beta1", "beta2", "epsilon", "weight_decay")),
    "sgd": Optimizer(_sgd, ("momentum",)),
    "adagrad": Optimizer(_adagrad, ("initial_accumulator", "epsilon")),
    "adadelta": Optimizer(_adadelta, ("rho", "epsilon")),
}


class SwitchState(NamedTuple):
    """What `switched` remembers: updates made, and the states of both."""

    made: Array
    first: optax.OptState
    second: optax.OptState


def switched(
    first: optax.GradientTransformation,
    second: optax.GradientTransformation,
    after: int,
) -> optax.GradientTransformation:
    """`first` for the updates 1 to `after`, then `second` from its own first state.

    GNMT (Wu et al. 2016): Adam at 2e-4 for 60k updates, then plain SGD at 0.5, halved
    every 200k updates from 1.2M on. Which of them it is hangs on the count in the
    state, so it is saved and compiled with the step; what the other one remembers
    stands still.
    """

    def init(params: Params) -> SwitchState:
        return SwitchState(
            jnp.zeros((), jnp.int32), first.init(params), second.init(params)
        )

    def update(updates, state, params=None):
        def by_first():
            made, own = first.update(updates, state.first, params)
            return made, own, state.second

        def by_second():
            made, own = second.update(updates, state.second, params)
            return made, state.first, own

        made, *states = jax.lax.cond(state.made < after, by_first, by_second)
        return made, SwitchState(state.made + 1, *states)

    return optax.GradientTransformation(init, update)


def clip_by_told_norm(limit: float) -> optax.GradientTransformation:
    """`optax.clip_by_global_norm` of gradients of which each device has a part.

    Their norm is what `update` is given as `norm`; the state is that of optax.
    """

    def update(updates, state, params=None, *, norm, **_):
        within = norm < limit

        def clip(leaf: Array) -> Array:
            return jnp.where(within, leaf, leaf / norm.astype(leaf.dtype) * limit)

        return jax.tree.map(clip, updates), state

    init = optax.clip_by_global_norm(limit).init
    return optax.GradientTransformationExtraArgs(init, update)


class FactorState(NamedTuple):
    """What the plateau schedule remembers: all decays so far, multiplied."""

    factor: Array


def scale_by_factor() -> optax.GradientTransformation:
    """Multiply updates by a factor that lives in the state, for `set_factor` to change.

    A leaf of the state, not an argument of the schedule: it is saved with the
    checkpoint, and a change compiles nothing.
    """

    def init(params: Params) -> FactorState:
        return FactorState(jnp.ones((), jnp.float32))

    def update(updates, state, params=None):
        return jax.tree.map(lambda u: u * state.factor, updates), state

    return optax.GradientTransformation(init, update)


def check(config: TrainingConfig) -> None:
    """Refuse names that the tables do not have.

    Raises:
        InputError: naming the field, the choices and the nearest one.
    """
    choose(OPTIMIZERS, config.optimizer, "training.optimizer")
    choose(SCHEDULES, config.schedule, "training.schedule")
    choose(WARMUPS, config.warmup, "training.warmup")
    choose(("steps", "epochs"), config.decay_unit, "training.decay_unit")


def is_parted(config: TrainingConfig) -> bool:
    """Whether a device sees but a part of the gradient: see `training.exchange`."""
    return config.vocabulary_shards > 1 or config.shard_optimizer


def make(config: TrainingConfig) -> optax.GradientTransformation:
    """The whole chain: clip by global norm, scale, learning rate, plateau factor.

    Round all of it, where asked for, what leaves an update out.

    Args:
        config: the training section, its lengths in updates (`horizon.resolve`).

    Raises:
        InputError: an unknown optimiser or schedule.
    """
    check(config)
    parts = [OPTIMIZERS[config.optimizer].make(config)]
    if config.sgd_from is not None:
        parts = [switched(parts[0], _sgd(config), config.sgd_from)]
    if config.clip_norm is not None:
        clip = clip_by_told_norm if is_parted(config) else optax.clip_by_global_norm
        parts.insert(0, clip(config.clip_norm))
    parts.append(optax.scale_by_learning_rate(lambda step: learning_rate(config, step)))
    if config.schedule == "plateau":
        parts.append(scale_by_factor())
    chain = optax.chain(*parts)
    if config.clip_deviations is None:
        return chain
    return without_anomalies(chain, config.clip_deviations)


def left_out(opt_state: optax.OptState) -> int:
    """Updates that were not made for their gradient's norm; 0 where none may be."""
    return int(optax.tree_utils.tree_get(opt_state, "left_out", 0))


def get_factor(opt_state: optax.OptState) -> float:
    """The plateau factor in an optimiser state; 1 where the schedule has none."""
    return float(optax.tree_utils.tree_get(opt_state, "factor", 1.0))


def set_factor(opt_state: optax.OptState, factor: float) -> optax.OptState:
    """The optimiser state with another plateau factor, placed where the old one was."""
    old = optax.tree_utils.tree_get(opt_state, "factor")
    new = jax.device_put(jnp.asarray(factor, jnp.float32), old.sharding)
    return optax.tree_utils.tree_set(opt_state, factor=new)

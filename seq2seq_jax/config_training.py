"""The configuration of the training; see `config`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingConfig:
    """How the model is trained."""

    steps: int = 10_000
    """updates in all"""
    epochs: float | None = None
    """passes over the training data in all; None: `steps` says how long"""
    batch_tokens: int = 4096
    """padded tokens of the longer side in one update, over all devices"""
    batch_size: int | None = None
    """pairs in one update, over all devices; None: as many as batch_tokens lets in"""
    vocabulary_shards: int = 1
    """devices that share embeddings and output layer, each with some tokens' rows"""
    shard_optimizer: bool = False
    """each device keeps and updates a part of the optimizer's state, not all of it"""
    accumulate: int = 1
    """pieces that an update's batch is worked off in: less memory, same numbers"""
    normalize: str = "tokens"
    """what an update's summed loss is divided by: its target tokens or its sentences"""
    optimizer: str = "adam"
    """adam, adamw, adam_l2, sgd, adagrad or adadelta"""
    learning_rate: float = 1e-3
    """peak learning rate; rnmt: that of one replica"""
    sgd_from: int | None = None
    """updates after which plain SGD takes over from the optimizer; None: never"""
    sgd_learning_rate: float = 0.5
    """sgd_from: peak learning rate from there on"""
    schedule: str = "inverse_sqrt"
    """constant, inverse_sqrt, cosine, halving, plateau ...: the table SCHEDULES"""
    warmup_steps: int = 200
    """updates of warm-up"""
    warmup: str = "linear"
    """linear (from 0) or t2t (from a hundredth of the rate, exponentially)"""
    decay_start: float | None = None
    """halving: first update of the decay, or epochs before it; None: half of all"""
    decay_every: float | None = None
    """halving: updates or epochs between halvings; None: a tenth of all steps"""
    decay_unit: str = "steps"
    """what decay_start and decay_every count: steps or epochs"""
    replicas: int = 1
    """rnmt: n, replicas in step; the rate climbs to n times learning_rate"""
    decay_factor: float = 0.5
    """halving, plateau: factor of each decay"""
    plateau_patience: int = 2
    """plateau: evaluations without a better dev loss before a decay"""
    final_learning_rate: float = 0.0
    """cosine: the rate at the last step"""
    momentum: float = 0.0
    """sgd: momentum"""
    beta1: float = 0.9
    """adam, adamw, adam_l2: decay of the first moment"""
    beta2: float = 0.999
    """adam, adamw, adam_l2: decay of the second moment"""
    rho: float = 0.95
    """adadelta: decay of the mean squares"""
    initial_accumulator: float = 0.1
    """adagrad: what the sums of squares start from"""
    epsilon: float | None = None
    """all but sgd: added to a divisor; None: the paper's"""
    weight_decay: float = 0.01
    """decay of matrices: adamw beside the gradient, adam_l2 as part of it"""
    clip_norm: float | None = 5.0
    """largest global norm of the gradient; None: no clipping"""
    clip_deviations: float | None = None
    """gradients whose log norm is so many deviations over its mean are left out"""
    label_smoothing: float = 0.1
    """share of the target's probability spread evenly over the vocabulary"""
    coverage_loss: float = 0.0
    """weight of a loss for looking again where attention has been; 0: none"""
    doubly_stochastic: float = 0.0
    """weight of a loss for places looked at more, or less, than once in all; 0: none"""
    reinforce: float = 1.0
    """alignment hard: weight of what a drawn place learns from its reward"""
    attention_entropy: float = 0.01
    """alignment hard: weight of a reward for attention that is spread out"""
    sampled_softmax: int = 0
    """training's loss is over the target and so many sampled tokens; 0: over all"""
    scheduled_sampling: float = 0.0
    """probability that the decoder reads its own last token, or number, in training"""
    scheduled_sampling_steps: int = 0
    """updates in which that probability climbs from 0, in a straight line"""
    on_nan: str = "stop"
    """loss or gradient not finite, or over loss_limit: stop, or skip (leave it out)"""
    nan_limit: int = 10
    """on_nan skip: updates left out in a row at which the training stops"""
    loss_limit: float | None = None
    """loss a target token above which an update counts as not finite; None: no limit"""
    seed: int = 1
    """decides everything random: initial values, order, dropout"""
    init_from: str | None = None
    """workdir whose weights the training starts from; tokens keep their rows"""
    init_checkpoint: str = "best"
    """init_from: best, latest, or the number of a step"""
    init_partial: bool = False
    """init_from: what does not fit starts from the seed; False: it is refused"""
    freeze: tuple[str, ...] = ()
    """parameters that stay as they are, by patterns: encoder, source.table, *.bias"""
    ema: float = 0.0
    """decay of a moving average of the parameters, which is what is used; 0: none"""
    log_every: int = 50
    """updates between lines of metrics"""
    eval_every: int = 500
    """updates between evaluations on the development set"""
    patience: int | None = None
    """evaluations without a better metric before stopping; None: never"""
    metric: str = "loss"
    """what is best: loss, exact_match, token_error_rate, word_error_rate, bleu, chrf,
    rouge1, rouge2 or rougeL; of series mse, mae, rmse_units or mae_units"""
    eval_examples: int = 500
    """development examples decoded at an evaluation for the metrics and samples"""
    eval_beam_size: int = 1
    """beam of that decoding and of the report at the end"""
    eval_length_penalty: float = 1.0
    """its length penalty alpha (GNMT's); 0: none"""
    eval_coverage_penalty: float = 0.0
    """its coverage penalty beta (GNMT's)"""
    eval_pictures: int = 1
    """alignments drawn for TensorBoard at an evaluation, with samples; 0: neither"""
    save_every: int | None = None
    """updates between checkpoints; None: at each evaluation"""
    keep_last: int = 2
    """newest checkpoints kept"""
    keep_best: int = 1
    """best checkpoints kept"""
    prefetch: int = 8
    """batches made ahead by the loader"""

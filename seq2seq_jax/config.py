"""The configuration: frozen dataclasses, their checks, and their JSON form.

Every default stands here and nowhere else. `None` means off, or "found from the data".
The docstring below each field is the command line's help for it. Names that a table of
functions defines (cells, scores, tokenisers ...) are checked by the owner of the table.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

from seq2seq_jax.errors import InputError
from seq2seq_jax.fields import flatten as flatten
from seq2seq_jax.fields import from_dict


@dataclass(frozen=True)
class DataConfig:
    """Where the pairs come from and how they become batches of ids.

    Give files (`train_source` and `train_target`, or `train_tsv`; the same for dev and
    test), or the name of a TFDS data set (`dataset`). Files win over `dataset`.
    """

    train_source: str | None = None
    """training sources: a text file, one sequence a line (.gz, .bz2 and .xz too)"""
    train_target: str | None = None
    """training targets, line by line with train_source"""
    train_tsv: str | None = None
    """training pairs: one file, columns parted by tabs"""
    dev_source: str | None = None
    """development sources"""
    dev_target: str | None = None
    """development targets"""
    dev_tsv: str | None = None
    """development pairs"""
    test_source: str | None = None
    """test sources, reported at the end of the training"""
    test_target: str | None = None
    """test targets"""
    test_tsv: str | None = None
    """test pairs"""
    source_column: int = 0
    """column of a TSV that holds the source, counted from 0"""
    target_column: int = 1
    """column of a TSV that holds the target"""
    features_column: int | None = None
    """column of a TSV with features (`N;DAT;PL`) that stand behind a source and a tab:
    for the tokenizer char_features"""
    target_only: bool = False
    """there are no sources: targets alone, for a language model (model.encoder none)"""
    dataset: str | None = None
    """TFDS data set: cmudict, dates, reversal (ours), or any name[/config] of TFDS"""
    source_key: str = "source"
    """feature of the TFDS data set that holds the source"""
    target_key: str = "target"
    """feature of the TFDS data set that holds the target"""
    train_split: str = "train"
    """TFDS split to train on; slices such as train[:50%] work"""
    dev_split: str = "validation"
    """TFDS split for development"""
    test_split: str | None = "test"
    """TFDS split to report at the end; None: no report"""
    data_dir: str | None = None
    """where TFDS keeps prepared data; None: TFDS's own default"""
    source_tokenizer: str = "sentencepiece"
    """char, char_nfd (decomposed), char_features (behind a tab), byte, word (white
    space) or sentencepiece"""
    target_tokenizer: str = "sentencepiece"
    """char, byte, word (white space) or sentencepiece"""
    shared_vocab: bool = False
    """one vocabulary for both sides, built from both"""
    vocab_size: int = 8000
    """largest vocabulary of a side, special tokens included"""
    target_vocab_size: int | None = None
    """largest vocabulary of the target side; None: vocab_size"""
    source_vectors: str | None = None
    """word vectors that source embeddings start from: lines `token x1 x2 ...`"""
    target_vectors: str | None = None
    """word vectors that target embeddings start from"""
    min_count: int = 1
    """units seen fewer times in training become UNK (not for byte and sentencepiece)"""
    lowercase: bool = False
    """lower-case both sides before anything else"""
    max_length: int = 100
    """longest sequence in tokens, on either side, end marker included"""
    long_lines: str = "drop"
    """training pairs over max_length: drop, truncate or error; always counted"""
    buckets: int = 6
    """largest number of batch shapes"""


@dataclass(frozen=True)
class ModelConfig:
    """The shape of the model."""

    cell: str = "lstm"
    """rnn, lstm, clipped_lstm, layer_norm_lstm, rnmt_lstm, rnmt_lstm_capped, gru (reset
    after), gru_reset_before (z keeps), gru_bahdanau (z updates), nas, min_gru or
    min_lstm"""
    hidden_size: int = 256
    """units of each layer; of each direction in a bidirectional encoder"""
    decoder_hidden_size: int | None = None
    """units of a decoder layer; None: hidden_size"""
    embedding_size: int = 256
    """size of token embeddings"""
    encoder_layers: int = 1
    """layers of the encoder"""
    decoder_layers: int = 1
    """layers of the decoder"""
    encoder: str = "recurrent"
    """recurrent, stacks (its directions meet at the top) or none (a language model)"""
    bidirectional: bool = True
    """encoder layers read in both directions"""
    bidirectional_layers: int | None = None
    """how many of them do, from the bottom; None: all"""
    encoder_projection: int | None = None
    """size that the top encoder layer's outputs are projected to; None: as they are"""
    reverse_source: bool = False
    """read the source from its last token to its first, the end marker still last"""
    residual: str = "none"
    """none, add, highway or dense, over a layer, where its sizes agree"""
    residual_from: int = 2
    """first layer with a residual connection, counted from 1"""
    bridge: str = "dense"
    """encoder's last state -> decoder's first: the table BRIDGES"""
    attention: str = "general"
    """score: none, last, location, location_code, dot, scaled_dot, general, concat,
    scaled_general, additive, concat_code, normed_additive, coverage or
    location_sensitive"""
    attention_size: int | None = None
    """units of the scores with a tanh in each head; None: the query's size"""
    attention_heads: int = 1
    """attentions side by side, each on its own projection of query and annotations"""
    alignment: str = "global"
    """energies -> weights: global (a softmax over all), local_m, local_m_paper (in a
    window that moves on a position a step), local_p, local_p_paper (in one that is
    predicted), monotonic or monotonic_hard"""
    window: int = 10
    """local alignments and score location_sensitive: D, positions on each side"""
    positions: int = 100
    """scores location, location_code: longest source that they have weights for"""
    decoder: str = "luong"
    """luong, bahdanau, gnmt_paper, plain (no attention) ...: the table DECODERS"""
    input_feeding: bool = True
    """luong, luong_linear, luong_fed: the attentional vector is fed to the next step"""
    readout_size: int | None = None
    """units of a maxout readout (bahdanau, cho); None: embedding_size"""
    output_rank: int | None = None
    """rank of the output layer, a product of two matrices; None: one full matrix"""
    dropout: float = 0.2
    """share of units dropped at the input of every recurrent layer"""
    attention_dropout: float = 0.0
    """share of the attention's weights that a step's context is made without"""
    output_dropout: float = 0.0
    """share of units dropped before the output layer"""
    recurrent_dropout: float = 0.0
    """share of units of h_{t-1} dropped, the same ones at every step of a sequence"""
    zoneout: float = 0.0
    """share of state units that keep their last value at a step"""
    tied_embeddings: str = "none"
    """none, input (both sides' are one), output (the target's are its matrix) or all"""
    init: str = "default"
    """first weights: default, unit_rows, uniform ...: the table INITIALIZERS"""
    init_scale: float | None = None
    """width of init uniform (0.1) or gaussian (0.01); None: the one in brackets"""
    dtype: str = "float32"
    """type of the products: float32 or bfloat16; parameters stay float32"""
    scan: str = "deferred"
    """weights' gradients: deferred, a product after the loop, or plain, inside it"""
    unroll: int | None = None
    """steps in one turn of a loop; None: 12 on GPUs, elsewhere 1"""
    backend: str = "auto"
    """all steps of a layer by: scan, pallas (TPU), cudnn (NVIDIA); auto: by platform"""


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
    sampled_softmax: int = 0
    """training's loss is over the target and so many sampled tokens; 0: over all"""
    scheduled_sampling: float = 0.0
    """probability that the decoder reads its own last token in training"""
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
    rouge1, rouge2 or rougeL"""
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


@dataclass(frozen=True)
class Config:
    """A recipe: data, model and training."""

    data: DataConfig = field(default_factory=DataConfig)
    """the pairs"""
    model: ModelConfig = field(default_factory=ModelConfig)
    """the model"""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """the training"""


def to_json(config: Config) -> str:
    """The config as JSON text, one field a line."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def from_json(text: str, where: str = "config") -> Config:
    """The config that `to_json` wrote.

    >>> from_json(to_json(Config())) == Config()
    True
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:  # of syntax, or too long or too deep
        raise InputError(f"{where} is not JSON: {error}") from None
    return from_dict(Config, values, where)


def load(path: Path) -> Config:
    """Read a workdir's `config.json`.

    Raises:
        InputError: it cannot be read, or is no config.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    return from_json(text, str(path))

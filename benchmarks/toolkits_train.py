"""How each toolkit of `toolkits.py` is trained: its command, its files, its log.

All train the model that `config_of` describes, as near as they have it:

- OpenNMT-py has the same model; its encoder's last state goes to the decoder as it is,
  and so does ours.
- Marian's directions of the encoder are as wide as its decoder (`--marian-size`), which
  is a cell before and a cell after an additive attention, and reads out through a layer
  as small as an embedding. Its log tells hundredths of a second.
- Yoyodyne's attention is additive and reads the decoder's old state; so does ours in
  this task, which has Bahdanau's maxout readout besides. Its decoder starts from a
  learnt state, ours from zeros.

Batches hold equally many pairs. Ours, OpenNMT-py's and Marian's are of about equal
lengths, Yoyodyne's are not.
"""

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import sacrebleu
from toolkits_worker import model_of

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig, flatten
from seq2seq_jax.data.pipeline import Prepared
from seq2seq_jax.data.pipeline import prepare as read
from seq2seq_jax.data.plan import BatchPlan

if TYPE_CHECKING:
    from toolkits import Options

HERE = Path(__file__).resolve().parent
LONGEST = 40  # g2p: characters or phonemes of a sequence at most
TOLD = {"translation": ("sentence", "BLEU"), "g2p": ("word", "words right, %")}
DTYPES = {"ours": "float32", "ours_bfloat16": "bfloat16"}  # of ours, by kind
Intervals = list[tuple[int, float]]  # pairs and seconds, from the first update on


class Failed(Exception):
    """A toolkit did not do what it was asked to; its words."""


class Work(NamedTuple):
    """What everyone works on.

    Attributes:
        task: translation or g2p.
        folder: where everything is; it holds `test.source`, `test.target` and, for
            translation, `test.pieces`, `train.source`, `train.target` in pieces.
        config: ours.
        data: ours, with the tokens that are everyone's.
        threads: processors that may be used.
        every: updates of an interval.
        beam, marian_size: see `Options`.
    """

    task: str
    folder: Path
    config: Config
    data: Prepared
    threads: int
    every: int
    beam: int
    marian_size: int

    def lines(self, toolkit: "Toolkit") -> Path:
        """The file that it searches: ours cuts text into pieces for itself."""
        cut = self.task == "translation" and not toolkit.kind.startswith("ours")
        return self.folder / ("test.pieces" if cut else "test.source")

    def quality(self, outputs: list[list[str]]) -> float:
        """BLEU, or the share of words that are right, in percent."""
        wanted = lines_of(self.folder / "test.target")
        if self.task == "translation":
            texts = ["".join(pieces).replace("▁", " ").strip() for pieces in outputs]
            return sacrebleu.corpus_bleu(texts, [wanted]).score
        pairs = zip(outputs, wanted, strict=True)
        return 100 * sum(" ".join(o) == w for o, w in pairs) / len(wanted)


class Toolkit(NamedTuple):
    """One toolkit.

    Attributes:
        name: for the table.
        kind: of its loader in `toolkits_worker.py`, and its folder's name.
        train: `(python, work, folder) ->` the command that trains it, after it has
            written what that reads.
        intervals: `(work, folder) ->` what its log says of the time.
        python: its interpreter.
    """

    name: str
    kind: str
    train: Callable[[str, Work, Path], list[str]]
    intervals: Callable[[Work, Path], Intervals]
    python: str = ""


def prepare(options: "Options", folder: Path) -> Work:
    """Make the tokens, and write the files that more than one toolkit reads."""
    config = config_of(options)
    data = read(config, folder / "data", lambda line: print(line, file=sys.stderr))
    count = options.sentences
    if options.task == "translation":
        names = (f"{options.test}.{side}" for side in (options.source, options.target))
        sides = [lines_of(options.data / name)[:count] for name in names]
        cut = data.source_tokenizer.show
        write(folder / "test.pieces", map(parted, map(cut, sides[0])))
        for side in ("source", "target"):
            lines = lines_of(options.data / f"train.{getattr(options, side)}")
            write(folder / f"train.{side}", map(parted, map(cut, lines)))
    else:
        rows = [line.split("\t") for line in lines_of(options.data / "test.tsv")]
        sides = [list(side) for side in zip(*rows[:count], strict=True)]
    for side, lines in zip(("source", "target"), sides, strict=True):
        write(folder / f"test.{side}", lines)
    threads, every = len(os.sched_getaffinity(0)), config.training.log_every
    sizes = options.beam, options.marian_size
    return Work(options.task, folder, config, data, threads, every, *sizes)


def parted(pieces: list[str]) -> str:
    """Pieces between spaces; white space in a piece is told by its number.

    >>> parted(["▁a", "\\xa0"])
    '▁a <a0>'
    """
    seen = ((f"<{ord(c):x}>" if c.isspace() else c for c in piece) for piece in pieces)
    return " ".join(map("".join, seen))


def lines_of(path: Path) -> list[str]:
    """Lines of a text file; only line feeds part them."""
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def write(path: Path, lines: Any) -> None:
    """Write lines."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def config_of(options: "Options") -> Config:
    """Our recipe of the task."""
    base = options.data.resolve()
    training = TrainingConfig(
        steps=options.updates,
        batch_size=options.rows,
        schedule="constant",
        warmup_steps=0,
        log_every=max(1, options.updates // 6),
        eval_every=options.updates,
        eval_examples=10,
    )
    shared: dict[str, Any] = {
        "dropout": 0.2,
        "output_dropout": 0.2,
        "decoder_hidden_size": 512,
    }
    if options.task == "translation":
        files: dict[str, Any] = {
            f"{split}_{side}": str(base / f"{name}.{getattr(options, side)}")
            for split, name in (("train", "train"), ("dev", "val"))
            for side in ("source", "target")
        }
        data = DataConfig(shared_vocab=True, vocab_size=options.vocabulary, **files)
        model = ModelConfig(bridge="pass", **shared)
        return Config(data, model, training)
    data = DataConfig(
        train_tsv=str(base / "train.tsv"),
        dev_tsv=str(base / "dev.tsv"),
        source_tokenizer="char",
        target_tokenizer="word",
        max_length=LONGEST,
    )
    model = ModelConfig(
        hidden_size=512,
        embedding_size=128,
        decoder="bahdanau",
        attention="additive",
        bridge="zero",
        **shared,
    )
    return Config(data, model, training)


def train_ours(python: str, work: Work, folder: Path) -> list[str]:
    """`train.py` with the recipe `text`, which is all defaults, and flags."""
    usual, root = dict(flatten(Config())), HERE.parent
    told = dict(flatten(work.config)) | {"model.dtype": DTYPES[folder.name]}
    flags = [f"--{n}={v}" for n, v in told.items() if v != usual[n]]
    recipe = str(root / "configs" / "text.py")
    return [python, str(root / "train.py"), recipe, "--workdir=run", *flags]


def list_ours(python: str, work: Work, folder: Path) -> list[str]:
    """A shortlist for a model that is trained already."""
    run = work.folder / model_of(folder.name) / "run"
    return [python, "-m", "seq2seq_jax.cli", "shortlist", f"--workdir={run}"]


def our_intervals(work: Work, folder: Path) -> Intervals:
    """Seconds are those of `timings.jsonl`; pairs are counted in the plan."""
    folder = work.folder / model_of(folder.name)
    plan, found, last = BatchPlan(work.data.train, work.config), [], 0
    for line in lines_of(folder / "run" / "timings.jsonl"):
        values = json.loads(line)
        if values["split"] == "train":
            numbers = range(last, values["step"])
            pairs = sum(int((plan.rows(number)[1] >= 0).sum()) for number in numbers)
            found.append((pairs, values["seconds"]))
            last = values["step"]
    return found


def train_onmt(python: str, work: Work, folder: Path) -> list[str]:
    """`onmt_train`; its whole epoch is one bucket that batches are cut from."""
    model, training = work.config.model, work.config.training
    sides = [work.folder / f"train.{side}" for side in ("source", "target")]
    counts = Counter(" ".join(" ".join(lines_of(side)) for side in sides).split())
    write(folder / "vocab", (f"{p}\t{counts[p]}" for p in pieces_of(work)))
    corpus = {"path_src": str(sides[0]), "path_tgt": str(sides[1]), "transforms": []}
    # JSON is YAML.
    (folder / "data.yml").write_text(json.dumps({"data": {"corpus": corpus}}), "utf-8")
    flags = f"""--config data.yml --save_data data --save_model model
        --src_vocab vocab --tgt_vocab vocab --share_vocab --src_vocab_size 1000000
        --encoder_type brnn --decoder_type rnn --rnn_type LSTM --enc_layers 1
        --dec_layers 1 --global_attention general --input_feed 1
        --word_vec_size {model.embedding_size} --hidden_size {model.decoder_hidden_size}
        --dropout {model.dropout} --label_smoothing {training.label_smoothing}
        --optim adam --learning_rate {training.learning_rate}
        --max_grad_norm {training.clip_norm} --normalization tokens
        --batch_type sents --batch_size {training.batch_size}
        --bucket_size {len(work.data.train.lengths)} --num_workers 0
        --train_steps {training.steps} --save_checkpoint_steps {training.steps}
        --valid_steps {training.steps + 1} --report_every {work.every}
        --seed {training.seed}"""
    return [python, "-m", "onmt.bin.train", *flags.split()]


def pieces_of(work: Work) -> list[str]:
    """The joint vocabulary without its special tokens."""
    tokenizer = work.data.source_tokenizer
    return parted(tokenizer.pieces(range(4, tokenizer.size))).split()


def onmt_intervals(work: Work, folder: Path) -> Intervals:
    """Its log has a time with every line, to the millisecond."""
    form = r"^\[([^\]]+?) INFO\] (?:Step .*sents:\s*(\d+);|Start training loop)"
    log = (folder / "train.log").read_text(encoding="utf-8")
    found = re.findall(form, log, re.MULTILINE)
    times = [datetime.strptime(when, "%Y-%m-%d %H:%M:%S,%f") for when, _ in found]
    pairs = [int(count) for _, count in found[1:]]
    seconds = [(end - start).total_seconds() for start, end in pairwise(times)]
    return list(zip(pairs, seconds, strict=True))


def train_marian(python: str, work: Work, folder: Path) -> list[str]:
    """`marian train`; the threads share a batch, as its products use one thread."""
    model, training = work.config.model, work.config.training
    names = ["</s>", "<unk>", *pieces_of(work)]
    numbers = {name: number for number, name in enumerate(names)}
    text = json.dumps(numbers, ensure_ascii=False)
    (folder / "vocab.yml").write_text(text + "\n", encoding="utf-8")
    sides = [work.folder / f"train.{side}" for side in ("source", "target")]
    flags = f"""--model model.npz --type s2s --enc-cell lstm --dec-cell lstm
        --dim-emb {model.embedding_size} --dim-rnn {work.marian_size}
        --dropout-rnn {model.dropout} --label-smoothing {training.label_smoothing}
        --optimizer adam --learn-rate {training.learning_rate}
        --clip-norm {training.clip_norm} --cost-type ce-mean-words
        --mini-batch {training.batch_size} --sync-sgd --cpu-threads {work.threads}
        --max-length 100 --workspace 1024 --tempdir . --seed {training.seed}
        --after {training.steps}u --disp-freq {work.every}u
        --vocabs vocab.yml vocab.yml"""
    files = ["--train-sets", *map(str, sides)]
    return [python, "-m", "pymarian", "train", *flags.split(), *files]


def marian_intervals(work: Work, folder: Path) -> Intervals:
    """Its log counts an epoch's pairs, and tells the seconds of each interval."""
    form = r"Ep\. (\d+) : Up\. [\d,]+ : Sen\. ([\d,]+) : .*?: Time ([\d.]+)s"
    log = (folder / "train.log").read_text(encoding="utf-8")
    whole, last, intervals = len(work.data.train.lengths), 0, []
    for epoch, count, seconds in re.findall(form, log):
        seen = whole * (int(epoch) - 1) + int(count.replace(",", ""))
        intervals.append((seen - last, float(seconds)))
        last = seen
    return intervals


def train_yoyodyne(python: str, work: Work, folder: Path) -> list[str]:
    """`yoyodyne fit`, with a clock; no evaluations, no accuracy on the way."""
    training = work.config.training
    config = yoyodyne_config(work)
    config["model"]["init_args"]["beam_width"] = work.beam
    config["data"]["target_col"] = 0
    (folder / "search.yml").write_text(json.dumps(config, indent=1), "utf-8")
    config = yoyodyne_config(work)
    config["data"]["train"] = work.config.data.train_tsv
    config["checkpoint"] = {"dirpath": "checkpoint", "filename": "last"}
    config["trainer"] |= {"max_steps": training.steps, "limit_val_batches": 0}
    config["trainer"] |= {"gradient_clip_val": training.clip_norm}
    (folder / "train.yml").write_text(json.dumps(config, indent=1), "utf-8")
    worker = str(HERE / "toolkits_worker.py")
    return [python, worker, "yoyodyne", "train.yml", str(work.every), "clock.json"]


def yoyodyne_config(work: Work) -> dict[str, Any]:
    """What training and search have in common."""
    model, training = work.config.model, work.config.training
    sizes = {"embedding_size": model.embedding_size}
    encoder = {"hidden_size": model.hidden_size, "dropout": model.dropout} | sizes
    rate = {"lr": training.learning_rate}
    arguments = sizes | {
        "decoder_hidden_size": model.decoder_hidden_size,
        "decoder_dropout": model.dropout,
        "label_smoothing": training.label_smoothing,
        "compute_accuracy": False,
        "source_encoder": made("models.modules.LSTMEncoder", encoder),
        "optimizer": made("optimizers.Adam", rate),
    }
    data = {"model_dir": "model", "target_sep": " ", "tie_embeddings": False}
    data |= {"batch_size": training.batch_size}
    data |= dict.fromkeys(("max_source_length", "max_target_length"), LONGEST)
    quiet = {"accelerator": "cpu", "enable_progress_bar": False, "logger": False}
    return {
        "seed_everything": training.seed,
        "trainer": quiet,
        "data": data,
        "model": made("models.SoftAttentionLSTMModel", arguments),
    }


def made(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """How a configuration says that an object of Yoyodyne's is to be made."""
    return {"class_path": f"yoyodyne.{name}", "init_args": arguments}


def yoyodyne_intervals(work: Work, folder: Path) -> Intervals:
    """What the clock wrote."""
    path = folder / "clock.json"
    return [tuple(pair) for pair in json.loads(path.read_text(encoding="utf-8"))]

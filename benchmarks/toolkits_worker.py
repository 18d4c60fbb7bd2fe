"""What runs in a toolkit's own interpreter, for `toolkits.py`.

    OTHER/bin/python toolkits_worker.py search SPEC.json
    OTHER/bin/python toolkits_worker.py yoyodyne CONFIG.yml EVERY OUT.json

The first keeps a model loaded and searches the lines of a file whenever it is asked to:
`all` of them in batches, or the first few, `singles`, one at a time. The second is
Yoyodyne's training program with a clock in it, as its log tells no times. Nothing but
the standard library is imported before it is known which toolkit this is.
"""

import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

LONGEST = 40  # g2p: phonemes of an output at most
RATIO = 2  # translation: tokens of an output at most, for each of its source's
Spec = dict[str, Any]


class Model(NamedTuple):
    """A loaded model.

    Attributes:
        search: texts to their best outputs, in whatever form.
        pieces: of what `search` returns, the tokens of each output.
        parameters: how many it has.
        version: of its toolkit.
    """

    search: Callable[[list[str]], Any]
    pieces: Callable[[Any], list[list[str]]]
    parameters: int
    version: str


def main() -> None:
    """Be what the first argument says."""
    if sys.argv[1] == "yoyodyne":
        train_yoyodyne(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
    else:
        serve(json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")))


def serve(spec: Spec) -> None:
    """Load, say so, and answer each line of the standard input by one line of JSON."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    text = Path(spec["lines"]).read_text(encoding="utf-8")
    lines = text.removesuffix("\n").split("\n")
    singles = lines[: spec["singles"]]

    def say(what: dict[str, Any]) -> None:
        print(json.dumps(what), file=answer, flush=True)

    began = time.perf_counter()
    model = LOADERS[spec["toolkit"]](spec)
    loading = time.perf_counter() - began
    told = {"loading": loading, "version": model.version, "lines": len(lines)}
    say(told | {"parameters": model.parameters})
    for line in sys.stdin:
        if line.strip() == "singles":
            say({"seconds": [timed(model.search, [text])[0] for text in singles]})
            continue
        seconds, found = timed(model.search, lines)
        outputs = model.pieces(found)
        tokens = sum(map(len, outputs))
        say({"seconds": seconds, "tokens": tokens, "outputs": outputs})


def timed(call: Callable[[list[str]], Any], texts: list[str]) -> tuple[float, Any]:
    """Seconds that it takes, and its result."""
    began = time.perf_counter()
    result = call(texts)
    return time.perf_counter() - began, result


def model_of(kind: str) -> str:
    """The one of ours whose model it searches; others search their own."""
    return kind.removesuffix("_shortlist").removesuffix("_int8")


def load_ours(spec: Spec) -> Model:
    """This library, as `seq2seq-jax translate` runs it; batches are its own choice."""
    import jax

    import seq2seq_jax
    from seq2seq_jax.allocation import keep_freed_memory
    from seq2seq_jax.compilation import keep_compiled
    from seq2seq_jax.exporting.programs import plain
    from seq2seq_jax.inference.predictor import Predictor
    from seq2seq_jax.types import EOS

    keep_freed_memory()
    keep_compiled()
    kind = spec["toolkit"]
    predictor = Predictor.load(
        Path(spec["folder"]).with_name(model_of(kind)) / "run",
        "latest",
        dtype="int8" if "_int8" in kind else None,
        shortlist="_shortlist" in kind,
    )
    predictor.length_ratio = RATIO
    translation = spec["task"] == "translation"

    def search(texts: list[str]) -> list:
        found = predictor.translate(
            texts,
            beam_size=spec["beam"],
            length_penalty_kind="average" if translation else "none",
            # As the others of the task do.
            stop="first" if translation else "ended",
            max_output_length=None if translation else LONGEST,
            alignments=False,
        )
        return list(found)

    def pieces(found: list) -> list[list[str]]:
        best = [hypotheses[0] for hypotheses in found]
        return [
            [p for p, i in zip(one.pieces, one.tokens, strict=True) if i != EOS]
            for one in best
        ]

    parameters = sum(leaf.size for leaf in jax.tree.leaves(plain(predictor.params)))
    return Model(search, pieces, parameters, seq2seq_jax.__version__)


def load_onmt(spec: Spec) -> Model:
    """OpenNMT-py: the engine of `onmt_translate`, its model kept loaded."""
    from onmt.inference_engine import InferenceEnginePY
    from onmt.opts import translate_opts
    from onmt.utils.parse import ArgumentParser

    checkpoint = next(Path(spec["folder"]).glob("model_step_*.pt"))
    parser = ArgumentParser()
    translate_opts(parser)
    flags = {"model": checkpoint, "src": spec["lines"], "output": "out.txt"}
    flags |= {"beam_size": spec["beam"], "batch_size": spec["rows"]}
    flags |= {"length_penalty": "avg", "alpha": 1, "max_length_ratio": RATIO}
    parts = [part for name, value in flags.items() for part in (f"--{name}", value)]
    options = parser.parse_args(list(map(str, parts)))
    # As onmt.bin.translate does.
    ArgumentParser.validate_translate_opts(options)
    ArgumentParser._get_all_transform_translate(options)
    ArgumentParser._validate_transforms_opts(options)
    ArgumentParser.validate_translate_opts_dynamic(options)
    engine = InferenceEnginePY(options)
    parameters = sum(p.numel() for p in engine.translator.model.parameters())
    return Model(
        lambda texts: engine.infer_list(texts)[1],
        lambda found: [best[0].split() for best in found],
        parameters,
        importlib.metadata.version("OpenNMT-py"),
    )


def load_marian(spec: Spec) -> Model:
    """Marian's translator, by its bindings pymarian."""
    import numpy as np
    import pymarian

    path, vocabulary = f"{spec['folder']}/model.npz", f"{spec['folder']}/vocab.yml"
    translator = pymarian.Translator(
        models=path,
        vocabs=[vocabulary, vocabulary],
        cpu_threads=spec["threads"],
        beam_size=spec["beam"],
        normalize=1,
        max_length_factor=RATIO,
        mini_batch=spec["rows"],
        maxi_batch=100,
        maxi_batch_sort="src",
        quiet="",
        quiet_translation="",
    )
    with np.load(path) as arrays:
        names = [name for name in arrays.files if not name.startswith("special:")]
        parameters = sum(arrays[name].size for name in names)
    return Model(
        translator.translate,
        lambda found: [line.split() for line in found],
        parameters,
        importlib.metadata.version("pymarian"),
    )


def load_yoyodyne(spec: Spec) -> Model:
    """Yoyodyne: its model's `predict_step` on its own batches, without a trainer."""
    import torch
    from yoyodyne.data import Mapper, datasets

    cli = yoyodyne_cli(["--config", f"{spec['folder']}/search.yml"], run=False)
    model, data, mapper = cli.model, cli.datamodule, Mapper(cli.datamodule.index)
    path = f"{spec['folder']}/checkpoint/last.ckpt"
    saved = torch.load(path, map_location="cpu", weights_only=False)
    model.load_state_dict(saved["state_dict"])
    model.eval()

    def batch_of(texts: list[str]) -> Any:
        symbols = map(data.parser.source_symbols, texts)
        return data.collator([datasets.Item(mapper.encode_source(s)) for s in symbols])

    @torch.inference_mode()
    def search(texts: list[str]) -> list[list[str]]:
        outputs = []
        for start in range(0, len(texts), spec["rows"]):
            batch = batch_of(texts[start : start + spec["rows"]])
            beams, _ = model.predict_step(batch, 0)
            outputs += [mapper.decode_target(beam[0]) for beam in beams]
        return outputs

    parameters = sum(p.numel() for p in model.parameters())
    version = importlib.metadata.version("yoyodyne")
    return Model(search, lambda found: found, parameters, version)


def yoyodyne_cli(args: list[str], run: bool = True, callbacks: list | None = None):
    """Yoyodyne's command line as it makes it itself, with more callbacks."""
    from yoyodyne import data, models, trainers
    from yoyodyne.cli.main import YoyodyneCLI

    return YoyodyneCLI(
        models.BaseModel,
        data.DataModule,
        parser_kwargs={"parser_mode": "omegaconf"},
        save_config_callback=None,
        subclass_mode_model=True,
        trainer_class=trainers.Trainer,
        trainer_defaults={"callbacks": callbacks or [], "enable_model_summary": False},
        args=args,
        run=run,
    )


def train_yoyodyne(config: str, every: int, output: Path) -> None:
    """Train, and write pairs and seconds of every so many updates as JSON."""
    from lightning.pytorch import Callback

    intervals: list[tuple[int, float]] = []

    class Clock(Callback):
        """Reads the time after every so many updates."""

        pairs, updates, began = 0, 0, 0.0

        def on_train_start(self, *_: Any) -> None:
            """Before the first update."""
            self.began = time.perf_counter()

        def on_train_batch_end(
            self, trainer: Any, module: Any, outputs: Any, batch: Any, *_: Any
        ) -> None:
            """After each update."""
            self.updates, self.pairs = self.updates + 1, self.pairs + len(batch)
            if self.updates % every == 0:
                now = time.perf_counter()
                intervals.append((self.pairs, now - self.began))
                self.pairs, self.began = 0, now

    yoyodyne_cli(["fit", "--config", config], callbacks=[Clock()])
    output.write_text(json.dumps(intervals), encoding="utf-8")


LOADERS: dict[str, Callable[[Spec], Model]] = {
    "ours": load_ours,
    "ours_bfloat16": load_ours,
    "ours_int8": load_ours,
    "ours_shortlist": load_ours,
    "ours_bfloat16_shortlist": load_ours,
    "ours_int8_shortlist": load_ours,
    "onmt": load_onmt,
    "marian": load_marian,
    "yoyodyne": load_yoyodyne,
}


if __name__ == "__main__":
    main()

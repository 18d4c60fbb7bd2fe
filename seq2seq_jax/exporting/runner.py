"""Translate and score lines of text with an exported model.

    python translate.py < in.txt > out.txt
    python translate.py --scores --alignments < in.txt
    python translate.py --score in.txt out.txt

or, from Python with this folder on the path:

    import translate
    model = translate.load("DIR")
    for found in model.translate(["a line", "another"]):
        print(found[0]["text"], found[0]["score"])

It needs jax and numpy, and sentencepiece where a tokeniser is one; nothing else of
where the model was trained. Of the folder it runs cutter.py, which cuts texts into ids,
reader.py, which reads the programs, and these: StableHLO that calls nothing outside
itself.
"""

import argparse
import hashlib
import io
import json
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from itertools import islice
from pathlib import Path

import jax
import numpy as np
from jax import export

PAD, EOS = 0, 2
WINDOW = 4096  # lines read at once, sorted by length
FORMAT = 1
# What a manifest has, beside its format and files.
KINDS = {"jax": str, "platforms": list, "programs": list, "rows": int}
KINDS |= {"max_length": int, "alignments": bool}
EDGES = (8, 16, 32, 64, 128, 256, 512, 1024)  # padded lengths: each is compiled once


def beside(name):
    """The module of that name in this file's folder, wherever that is."""
    path = str(Path(__file__).with_name(f"{name}.py"))
    loader = SourceFileLoader(f"{__name__}_{name}", path)
    module = module_from_spec(ModuleSpec(loader.name, loader, origin=path))
    loader.exec_module(module)
    return module


reader, cutter = beside("reader"), beside("cutter")


class Failure(Exception):
    """What was given cannot be used; the message is one line."""


class Model:
    """The programs, the weights and the tokenisers of a folder."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.facts, self.files = self.read_manifest()
        for name in self.files:
            self.read(name)
        try:
            self.source = cutter.Tokenizer(self.read, "source")
            self.target = cutter.Tokenizer(self.read, "target")
        except ValueError as error:
            raise Failure(str(error)) from None
        self.rows, self.longest = self.facts["rows"], self.facts["max_length"]
        # On the device once, not at each call.
        data = io.BytesIO(self.read("weights.npz"))
        with np.load(data, allow_pickle=False) as stored:
            self.weights = jax.device_put({name: stored[name] for name in stored})
        self.calls = {}

    def read_manifest(self):
        """What the folder says of itself, and its files' checksums, once both agree."""
        try:
            text = (self.folder / "manifest.json").read_text(encoding="utf-8")
            facts = json.loads(text)
            digest = facts.pop("digest")
            if hashlib.sha256(canonical(facts)).hexdigest() != digest:
                raise ValueError("it does not agree with its own checksum")
            files = facts.pop("files")
            check_facts(facts, files)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            where = f"{self.folder} is no exported model"
            raise Failure(f"{where}: manifest.json: {error}") from None
        return facts, files

    def read(self, name):
        """The bytes of one of its files, if they are those that were exported."""
        try:
            data = (self.folder / name).read_bytes()
        except OSError as error:
            raise Failure(f"{name} cannot be read: {error.strerror}") from None
        if hashlib.sha256(data).hexdigest() != self.files.get(name):
            raise Failure(f"{name} is damaged: export the model again")
        return data

    def call(self, name, *arrays):
        """Run one of the programs; it is compiled for each shape once."""
        if name not in self.calls:
            if name not in self.facts["programs"]:
                raise Failure(f"{self.folder} has no program to {name}")
            here = export.default_export_platform()
            if here not in self.facts["platforms"]:
                those = ", ".join(self.facts["platforms"])
                raise Failure(f"jax runs on {here}, the model was exported for {those}")
            try:
                program = reader.program_of(name, self.read(f"{name}.bin"))
            except ValueError as error:
                raise Failure(f"{error}; jax {self.facts['jax']} wrote it") from None
            self.calls[name] = jax.jit(program.call)
        return self.calls[name](self.weights, *arrays)

    def translate(self, texts):
        """A list of hypotheses for each text, best first, in the texts' order.

        Each is a dict of text, tokens, score, log_prob and, where the model was
        exported with them, alignment [T, S]. A blank text has one, which is empty.
        """
        return self.in_windows(texts, self.translate_window)

    def score(self, sources, targets):
        """The log-probabilities of each target's tokens given its source."""
        return self.in_windows(zip(sources, targets, strict=True), self.score_window)

    def in_windows(self, items, work):
        """The results of `work` on lists of items, one after the other."""
        stream = iter(items)
        while window := list(islice(stream, WINDOW)):
            yield from work(window)

    def translate_window(self, texts):
        """What `translate` gives for a list of texts."""
        ids = [cut(self.source.encode(text), self.longest) for text in texts]
        nothing = {"text": "", "tokens": [], "score": 0.0, "log_prob": 0.0}
        if self.facts["alignments"]:
            nothing["alignment"] = np.zeros((0, 0), np.float32)
        found = [[dict(nothing)] for _ in texts]
        real = [n for n, text in enumerate(texts) if text.strip() and len(ids[n]) > 1]
        for places in self.batches(real, lambda n: len(ids[n])):
            arrays = self.padded([ids[n] for n in places])
            made = jax.device_get(self.call("translate", *arrays))
            for row, n in enumerate(places):
                found[n] = list(self.hypotheses(made, row, len(ids[n])))
        return found

    def hypotheses(self, made, row, source_length):
        """One text's hypotheses, without padding."""
        for n, length in enumerate(made["lengths"][row].tolist()):
            if length == 0:
                return
            tokens = [*made["tokens"][row, n, : length - 1].tolist(), EOS]
            one = {"text": self.target.decode(tokens), "tokens": tokens}
            one |= {"score": float(made["scores"][row, n])}
            one |= {"log_prob": float(made["log_probs"][row, n])}
            if "alignments" in made:
                one["alignment"] = made["alignments"][row, n, :length, :source_length]
            yield one

    def score_window(self, pairs):
        """What `score` gives for a list of pairs."""
        both = [
            (
                cut(self.source.encode(source), self.longest),
                cut(self.target.encode(target), self.longest),
            )
            for source, target in pairs
        ]
        found = [None] * len(both)
        for places in self.batches(range(len(both)), lambda n: max(map(len, both[n]))):
            sources, targets = zip(*(both[n] for n in places), strict=True)
            arrays = [*self.padded(sources), *self.padded(targets)]
            made = jax.device_get(self.call("score", *arrays))
            for row, n in enumerate(places):
                found[n] = made[row, : len(both[n][1])]
        return found

    def batches(self, places, length_of):
        """Places of items that are worked off together: long ones first."""
        order = sorted(places, key=lambda n: -length_of(n))
        for start in range(0, len(order), self.rows):
            yield order[start : start + self.rows]

    def padded(self, sequences):
        """Ids [rows, length] and lengths [rows], in one of few shapes."""
        rows = 1 if len(sequences) == 1 else self.rows
        most = max(map(len, sequences))
        width = next((edge for edge in EDGES if edge >= most), self.longest)
        ids = np.full((rows, min(width, self.longest)), PAD, np.int32)
        lengths = np.zeros(rows, np.int32)
        for row, sequence in enumerate(sequences):
            ids[row, : len(sequence)] = sequence
            lengths[row] = len(sequence)
        return ids, lengths


def load(folder):
    """The model of a folder; a `Failure` where it is none, or damaged."""
    return Model(folder)


def check_facts(facts, files):
    """Refuse a manifest that does not say what is needed: a `ValueError` tells why."""
    if facts["format"] != FORMAT:
        raise ValueError(f"its format is {facts['format']}, expected {FORMAT}")
    needed = {"weights.npz", "tokenizers/source.json", "tokenizers/target.json"}
    needed |= {f"{name}.bin" for name in facts["programs"]}
    if missing := needed - set(files):
        raise ValueError(f"it names no {min(missing)}")
    for name in files:
        if name.startswith("/") or ".." in name.split("/") or "\\" in name:
            raise ValueError(f"{name!r} is no file of the folder")
    for name, kind in KINDS.items():
        if not isinstance(facts[name], kind):
            raise ValueError(f"{name} is {facts[name]!r}, expected {kind}")
    if min(facts["rows"], facts["max_length"]) < 1:
        raise ValueError("rows and max_length are 1 or more")


def canonical(facts):
    """The bytes whose checksum a manifest has."""
    return json.dumps(facts, sort_keys=True, ensure_ascii=True).encode()


def cut(ids, longest):
    """The ids with EOS, at most `longest`."""
    return [*ids[: longest - 1], EOS]


def one_line(text):
    """A text as one line of output."""
    return text.replace("\r\n", " ").replace("\n", " ").replace("\r", " ")


def pharaoh(alignment):
    """`i-j`: source token i had the most attention for output token j."""
    if alignment.shape[1] < 2:
        return ""
    rows = enumerate(alignment[:-1, :-1])
    return " ".join(f"{row.argmax()}-{j}" for j, row in rows if row.any())


def lines_of(stream):
    """Lines of UTF-8; only a newline ends one."""
    for number, line in enumerate(stream):
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        try:
            yield line.decode("utf-8-sig" if number == 0 else "utf-8")
        except UnicodeDecodeError:
            raise Failure(f"line {number + 1} is not UTF-8") from None


def main():
    """The command line."""
    about = (__doc__ or "").split("\n\n")[0]
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--scores", action="store_true", help="add each score")
    parser.add_argument("--alignments", action="store_true", help="add i-j")
    parser.add_argument(
        "--score", nargs="+", metavar="FILE", help="sources (if it reads any), targets"
    )
    options = parser.parse_args()
    try:
        run(load(Path(__file__).resolve().parent), options)
    except (Failure, OSError) as error:
        sys.exit(f"error: {error}")


def run(model, options):
    """Print what the options ask for."""
    reads = "translate" in model.facts["programs"]
    if options.score:
        if len(options.score) != (2 if reads else 1):
            expected = "SOURCES TARGETS" if reads else "TARGETS: it reads no sources"
            raise Failure(f"expected --score {expected}")
        with open(options.score[0], "rb") as one, open(options.score[-1], "rb") as two:
            for each in model.score(lines_of(one), lines_of(two)):
                print(f"{each.sum():.6f}")
        return
    if not reads:
        raise Failure("a language model does not translate: give --score")
    if options.alignments and not model.facts["alignments"]:
        raise Failure("the model was exported without alignments")
    n_best = model.facts["search"]["n_best"]
    out = sys.stdout.buffer
    for number, found in enumerate(model.translate(lines_of(sys.stdin.buffer))):
        for one in found:
            parts = [one_line(one["text"])]
            if options.scores or n_best > 1:
                parts.append(f"{one['score']:.6f}")
            if options.alignments:
                parts.append(pharaoh(one["alignment"]))
            parts = [str(number), *parts] if n_best > 1 else parts
            line = (" ||| " if n_best > 1 else "\t").join(parts)
            out.write(f"{line}\n".encode())


if __name__ == "__main__":
    main()

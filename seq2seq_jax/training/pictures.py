"""What an evaluation shows beside its numbers: what is said, and where it looked."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from seq2seq_jax.nn.scores import SCORES
from seq2seq_jax.training.evaluate import Decoded

Picture = tuple[bytes, int, int]  # a PNG's bytes, its width and height

if TYPE_CHECKING:
    from seq2seq_jax.training.loop import Run

SAMPLES = 3  # told at each evaluation
READABLE = 24  # pieces a side of an alignment that a person still reads


def looks(run: "Run") -> bool:
    """Whether an evaluation's outputs are to have alignments."""
    config = run.config
    return config.training.eval_pictures > 0 and SCORES[config.model.attention].looks


def show(run: "Run", step: int, decoded: Decoded) -> None:
    """Log samples; for TensorBoard, the samples as text and pictures of alignments.

    The pictures are of the same sources each time, the longest ones that a person can
    read.
    """
    samples = decoded.samples[:SAMPLES]
    run.reporter.samples(samples)
    if not run.hosts.first or not run.config.training.eval_pictures:
        return
    count = run.config.training.eval_pictures
    pictures = run.kind.pictures(decoded.hypotheses, count)
    run.reporter.show(step, "dev", samples, pictures)


def alignments(hypotheses: list[Any], count: int) -> dict[str, Picture]:
    """Heat maps of the longest of some hypotheses that a person can read."""
    chosen = longest([one for one in hypotheses if has_alignment(one)])[:count]
    if not chosen:
        return {}
    from seq2seq_jax.plots import heatmap  # matplotlib

    return {
        str(number): heatmap.png(one.alignment, one.source_pieces, one.pieces)
        for number, one in enumerate(chosen, 1)
        if one.pieces
    }


def has_alignment(hypothesis: Any) -> bool:
    """Whether this process has a hypothesis, and it says where it looked."""
    return hypothesis is not None and hypothesis.alignment is not None


def draw_alignment(hypotheses: list[Any], folder: Path) -> str | None:
    """A heat map of the longest of some hypotheses that a person can read.

    Of several processes the first draws, one of those that it has.
    """
    hypotheses = [one for one in hypotheses if has_alignment(one)]
    if not hypotheses:
        return None

    def longest(hypothesis: Any) -> tuple[bool, int]:
        sides = len(hypothesis.pieces), len(hypothesis.source_pieces)
        return max(sides) <= READABLE, min(sides)

    best = max(hypotheses, key=longest)
    if not best.pieces:
        return None
    from seq2seq_jax.plots import heatmap  # matplotlib

    path = folder / "alignment.png"
    heatmap.draw(best.alignment, best.source_pieces, best.pieces, path)
    return path.name


def longest(hypotheses: list[Any]) -> list[Any]:
    """Those whose source a person can read, the longest first.

    Of several processes each has some, in whose places others have None.
    """
    own = [one for one in hypotheses if one is not None]
    fine = [one for one in own if len(one.source_pieces) <= READABLE]
    return sorted(fine or own, key=lambda one: -len(one.source_pieces))

"""What an evaluation shows beside its numbers: what is said, and where it looked."""

from typing import TYPE_CHECKING, Any

from seq2seq_jax.nn.scores import SCORES
from seq2seq_jax.training.evaluate import Decoded

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
    pictures = {}
    if looks(run):
        from seq2seq_jax.plots import heatmap  # matplotlib

        chosen = longest(decoded.hypotheses)[: run.config.training.eval_pictures]
        pictures = {
            str(number): heatmap.png(one.alignment, one.source_pieces, one.pieces)
            for number, one in enumerate(chosen, 1)
            if one.pieces
        }
    run.reporter.show(step, "dev", samples, pictures)


def longest(hypotheses: list[Any]) -> list[Any]:
    """Those whose source a person can read, the longest first.

    Of several processes each has some, in whose places others have None.
    """
    own = [one for one in hypotheses if one is not None]
    fine = [one for one in own if len(one.source_pieces) <= READABLE]
    return sorted(fine or own, key=lambda one: -len(one.source_pieces))

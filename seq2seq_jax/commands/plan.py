"""`plan`: what training a recipe's model takes of devices, before there are any."""

from collections.abc import Sequence
from dataclasses import dataclass

from seq2seq_jax import flags
from seq2seq_jax.commands import recipes
from seq2seq_jax.config import Config
from seq2seq_jax.planning import devices
from seq2seq_jax.planning.quiet import silence

DESCRIPTION = """Compile a recipe's training step and search for devices, there or not.

It tells memory, kernels, FLOPs and a predicted speed; no data is read, nothing trained.
The vocabularies are taken to be as large as data.vocab_size allows, and sequences as
long as data.max_length."""


@dataclass(frozen=True, kw_only=True)
class Options(Config):
    """Tell what training a recipe takes of devices: memory, time, the largest batch."""

    topology: str = "cpu"
    """cpu, a100:N, h100:N, or TPU chips in a grid: v5e:2x4, v6e:2x2, v5p:2x2x1"""
    beam_size: int = 4
    """beams of the search"""
    search: flags.Switch = True
    """plan the search too; False saves its compilation"""
    largest: flags.Switch = True
    """look for the largest batch that fits; False saves a second compilation"""
    json: flags.Switch = False
    """print JSON: bytes, seconds, and FLOPs of one device"""


def main(args: Sequence[str], prog: str) -> None:
    """Plan as the arguments say: `CONFIG [--topology T] [--section.field value ...]`.

    Raises:
        InputError: where the recipe, the flags or the devices cannot be used, or the
            compiler for the devices is not installed.
    """
    options, name = recipes.parse(
        Options, args, prog, DESCRIPTION, "configs/NAME.py --topology h100:8"
    )
    topology = devices.parse(options.topology)

    # Only now: it takes a second or two, which errors and help need not wait for.
    with silence():
        from seq2seq_jax.compilation import keep_compiled
        from seq2seq_jax.planning import report, targets, text
        from seq2seq_jax.training import parallel

    targets.prepare(topology)
    if topology.device.platform == "cpu":
        keep_compiled()
    config = Config(**recipes.sections(options))
    found = targets.devices(topology)
    report.check(config, options.beam_size, parallel.of_hosts(found).count)
    plan = report.make(
        config,
        topology,
        found,
        beam_size=options.beam_size,
        search=options.search,
        largest=options.largest,
    )
    print(text.to_json(plan, name) if options.json else text.table(plan, name), end="")

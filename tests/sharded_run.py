"""Run by test_shards in a process of its own with 8 host devices; prints JSON.

A training that goes on with its vocabularies and its optimiser's state cut over the
devices, and then without, beside one on which nothing was ever cut.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
from tiny_runs import metrics

from seq2seq_jax import config as configs
from seq2seq_jax.inference.predictor import Predictor
from seq2seq_jax.training import averaging, loop
from seq2seq_jax.training.checkpoints import Checkpoints

CUT = {"vocabulary_shards": 4, "shard_optimizer": True}
# Steps at which the run ends, and what is cut on the way there.
PARTS = ((4, {}), (8, CUT), (12, {}))
STEPS = [steps for steps, _ in PARTS]


def train(config, workdir, parts):
    """The curve and what was told, a text a part."""
    told = []
    for steps, settings in parts:
        lines = []
        training = replace(config.training, steps=steps, **settings)
        loop.train(replace(config, training=training), workdir, log=lines.append)
        told.append("\n".join(lines))
    return metrics(workdir), told


def saved(workdir, step):
    """Shapes and numbers of a checkpoint's parameters."""
    params = Checkpoints(workdir / "checkpoints").restore_params(step)
    leaves = jax.tree.leaves(params)
    numbers = np.concatenate([np.ravel(leaf) for leaf in leaves]).tolist()
    return {"shapes": [list(leaf.shape) for leaf in leaves], "numbers": numbers}


def said(workdir):
    """What the newest checkpoint says to some words."""
    predictor = Predictor.load(workdir, checkpoint="latest")
    return [best.text for best, *_ in predictor.translate(["abcd", "dca", "b"])]


def main(folder: str) -> None:
    """One training in parts, and one that is whole; both averaged."""
    where = Path(folder)
    config = configs.load(where / "config.json")
    found = {}
    for name, parts in {"cut": PARTS, "whole": PARTS[-1:]}.items():
        workdir = where / name
        curve, told = train(config, workdir, parts)
        averaging.average(workdir, where / f"{name}-average", last=2)
        found[name] = {
            "curve": curve,
            "told": told,
            "saved": {step: saved(workdir, step) for step in STEPS[1:]},
            "said": [said(workdir), said(where / f"{name}-average")],
        }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])

"""A training step has the collectives that docs/many-devices.md explains, no others.

Counted in the program that XLA compiles, on host devices and, where their compilers are
installed, for TPUs and GPUs that need not be there.
"""

import json
import math

import pytest
from collectives_afar import CONFIG, WAYS
from command_line import script

from seq2seq_jax.errors import InputError
from seq2seq_jax.planning import devices, targets

# Of a step: each `[opcode, within the loss's loop over chunks, devices, how many]`.
GATHERS = {"all-gather", "all-to-all", "collective-broadcast", "ragged-all-to-all"}


def expected(way, count):
    """The collectives of a step on so many devices, nothing of its state spread."""
    shards, _ = WAYS[way]
    if shards == 1:
        return [["all-reduce", False, count, 1]]  # gradient and sums
    return sorted(
        [
            ["all-reduce", False, count // shards, 1],  # gradient and sums
            ["all-reduce", False, count, 1],  # the number of chunks
            # Embeddings of both sides, the readouts' gradient, the gradient's norm.
            ["all-reduce", False, shards, 3],
            # A chunk's largest logits; its sums of exponentials and targets' logits.
            ["all-reduce", True, shards, 2],
        ]
    )


def counted(name, ways, **how):
    return json.loads(script("collectives_afar.py", name, *ways, **how))


def need(name):
    """Skip where the compiler for a topology is not installed."""
    try:
        targets.check_installed(devices.parse(name))
    except InputError as missing:
        pytest.skip(str(missing))


@pytest.mark.slow
def test_a_step_on_host_devices_has_those_that_the_design_explains():
    found = counted("cpu", WAYS, devices=8)
    for way in ("data", "vocabulary"):
        assert found[way] == expected(way, 8), way
    arrays = len(parameters())
    # Sums, and the gradient's norm; a part of each array's gradient, and its updates.
    assert found["spread"] == [
        ["all-gather", False, 8, arrays],
        ["all-reduce", False, 8, 2],
        ["reduce-scatter", False, 8, arrays],
    ]
    assert found["both"] == sorted(
        [
            ["all-gather", False, 2, arrays],
            ["reduce-scatter", False, 2, arrays],
            ["all-reduce", False, 2, 2],
            *expected("vocabulary", 8)[1:],
        ]
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["v5e:2x4", "v5e:4x8", "h100:8"])
def test_a_step_for_accelerators_has_them_too(name):
    need(name)
    count = math.prod(devices.parse(name).grid)
    found = counted(name, ["data", "vocabulary"])
    for way, collectives in found.items():
        assert collectives == expected(way, count), way


@pytest.mark.slow
def test_a_spread_state_never_leaves_its_row_of_a_pod():
    """TPUs' compiler writes small ones in other ways; of gathers, none is wider."""
    need("v5e:2x4")
    found = counted("v5e:2x4", ["spread", "both"])
    found["hosts"] = counted("v5e:4x8", ["spread"])["spread"]  # of 4 chips each
    for way, count in {"spread": 8, "both": 2, "hosts": 4}.items():
        gathers = [each for each in found[way] if each[0] in GATHERS]
        assert gathers and all(each[1:3] == [False, count] for each in gathers), way


def parameters():
    """The arrays of the model."""
    import jax

    from seq2seq_jax.planning import programs

    return jax.tree.leaves(programs.state_of(CONFIG).params)

"""N devices give the numbers of one, uneven rows included; nothing compiles twice."""

import json

import numpy as np
import pytest
from command_line import script

from seq2seq_jax.training.checkpoints import Checkpoints


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devices")
    told = script("several_devices.py", folder, devices=8)
    return json.loads(told) | {"folder": folder}


@pytest.mark.slow
@pytest.mark.parametrize("other", ["8", "2x3"])
def test_more_devices_and_pieces_give_the_losses_of_one(runs, other):
    np.testing.assert_allclose(
        runs[other]["losses"], runs["1"]["losses"], rtol=0, atol=1e-5
    )
    np.testing.assert_allclose(
        runs[other]["params"], runs["1"]["params"], rtol=0, atol=1e-5
    )


@pytest.mark.slow
def test_the_losses_fall(runs):
    losses = runs["1"]["losses"]
    assert np.mean(losses[-10:]) < np.mean(losses[:10])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["1", "8", "2x3"])
def test_a_step_compiles_once_a_shape(runs, name):
    assert runs[name]["compiled"] == 2


@pytest.mark.slow
def test_a_checkpoint_of_8_devices_is_read_on_2_and_on_1(runs):
    assert runs["restored"]["params"] == runs["8"]["params"]
    params = Checkpoints(runs["folder"]).restore_params("latest")
    assert sum(np.size(leaf) for leaf in leaves(params)) == len(runs["8"]["params"])


@pytest.mark.slow
def test_what_lies_in_the_host_is_saved_in_parts_where_it_can_be(runs):
    assert runs["spanned"] == {"wide": [3, 2], "odd": [3, 5], "one": []}


def leaves(tree):
    import jax

    return jax.tree.leaves(tree)

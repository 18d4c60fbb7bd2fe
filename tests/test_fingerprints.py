"""What is loaded is what was saved: flips and exchanges are noticed, or harmless."""

import json
import random
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import toy
from command_line import script
from test_checkpoints import assert_same, make_state, save

from seq2seq_jax.training import fingerprints, notes, stored
from seq2seq_jax.training.checkpoints import Checkpoints
from seq2seq_jax.training.damage import DamagedError

FLIPS = 60
METADATA = "_CHECKPOINT_METADATA"


def leaves(seed=0):
    """An array of every type that a state may hold, and some odd shapes."""
    draw = np.random.default_rng(seed)
    big = draw.normal(size=(3, 5, 7)).astype(np.float32)
    return {
        "float32": jnp.asarray(big),
        "bfloat16": jnp.asarray(big, jnp.bfloat16),
        "int8": jnp.arange(9, dtype=jnp.int8),
        "bool": jnp.asarray([True, False, True]),
        "scalar": jnp.int32(7),
        "empty": jnp.zeros((0, 3)),
        "key": jax.random.key(seed),
        "long": jnp.arange(fingerprints.BLOCK + 5),
    }


def test_the_host_and_the_device_find_the_same():
    plain = fingerprints.plain(leaves())
    on_device = jax.device_get(fingerprints.device_sums(plain))
    for name, leaf in plain.items():
        assert fingerprints.host_sums(np.asarray(leaf)) == list(on_device[name]), name


def test_a_changed_bit_or_place_is_another_fingerprint():
    array = np.arange(100, dtype=np.float32)
    found = {fingerprints.of(array)[""]}
    for place in range(array.size):
        other = array.copy()
        other.view(np.uint32)[place] ^= np.uint32(1 << place % 32)
        found.add(fingerprints.of(other)[""])
    for place in range(1, array.size):
        other = array.copy()
        other[[0, place]] = array[[place, 0]]
        found.add(fingerprints.of(other)[""])
    found.add(fingerprints.of(array.reshape(10, 10))[""])
    found.add(fingerprints.of(array.view(np.int32))[""])
    assert len(found) == 202


@pytest.mark.slow
def test_fingerprints_are_the_same_on_1_and_on_8_devices():
    alone, apart = (json.loads(script("marks_of.py", devices=n)) for n in (1, 8))
    assert apart.pop("devices") == 8 and alone.pop("devices") == 1
    assert len({json.dumps(found) for found in (*alone.values(), *apart.values())}) == 1


def flip(path, draw):
    """Flip a bit of a file somewhere; returns what undoes it."""
    content = path.read_bytes()
    changed = bytearray(content)
    changed[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(changed)
    return lambda: path.write_bytes(content)


def test_every_flipped_bit_is_noticed_or_harmless(tmp_path):
    save(tmp_path, {1: None, 2: None})
    files = [x for x in sorted((tmp_path / "2").rglob("*")) if x.is_file()]
    files = [path for path in files if path.stat().st_size]
    assert len(files) >= 12
    draw, lines = random.Random(0), []
    checkpoints = Checkpoints(tmp_path, log=lines.append)
    like = make_state(0)
    training = {"step": like.step, "opt_state": like.opt_state, "key": like.key}
    for number in range(FLIPS):
        path = files[number % len(files)]
        undo = flip(path, draw)
        lines.clear()
        params = checkpoints.restore_params("latest", like.params)
        assert_same(params, toy.params(1 if lines else 2))
        likes = {"params": like.params, "training": training}
        try:
            loaded, said = stored.load(tmp_path / "2", likes)
        except DamagedError as error:
            assert str(error)
        else:
            state = make_state(2).replace(params=loaded["params"], **loaded["training"])
            assert_same(state, make_state(2))
            assert said["bookkeeping"] == {"batch": 2}
        undo()
    assert stored.load(tmp_path / "2", likes)[1]["bookkeeping"] == {"batch": 2}


def test_a_flipped_bit_in_an_array_is_never_loaded(tmp_path):
    draw, lines, noticed = random.Random(1), [], 0
    params = [toy.params(n) | {"big": normal(n)} for n in range(3)]
    checkpoints = Checkpoints(tmp_path, log=lines.append)
    for step in (1, 2):
        checkpoints.save(step, make_state(step, params[step]), {})
    checkpoints.close()
    files = list((tmp_path / "2" / "params" / "ocdbt.process_0" / "d").iterdir())
    for _ in range(20):
        undo = flip(draw.choice(files), draw)
        lines.clear()
        found = checkpoints.restore_params("latest", params[0])
        assert_same(found, params[1 if lines else 2])
        noticed += bool(lines)
        undo()
    assert noticed >= 18  # the rest of a file is what Orbax does not read


def normal(seed):
    return jax.random.normal(jax.random.key(seed), (200, 100))


def exchange(one, other):
    one.rename(one.with_name("between"))
    other.rename(one)
    one.with_name("between").rename(other)


@pytest.mark.parametrize("what", ["params", "training", METADATA, ""])
def test_exchanged_folders_are_noticed(tmp_path, what):
    save(tmp_path, {1: 0.9, 2: 0.1, 3: 0.2}, keep_last=3)
    exchange(tmp_path / "1" / what, tmp_path / "3" / what)
    lines = []
    checkpoints = Checkpoints(tmp_path, log=lines.append)
    state, bookkeeping = checkpoints.restore(make_state(0))
    assert_same(state, make_state(2))
    assert bookkeeping == {"batch": 2}
    assert len(lines) == 1 and "checkpoint 3" in lines[0]
    if what == "":
        assert "it is checkpoint 1 under another name" in lines[0]


def test_a_copy_under_another_name_is_noticed(tmp_path):
    save(tmp_path, {1: None})
    shutil.copytree(tmp_path / "1", tmp_path / "2")
    lines = []
    assert_same(
        Checkpoints(tmp_path, log=lines.append).restore(make_state(0))[0], make_state(1)
    )
    assert "checkpoint 2" in lines[0]


def test_a_checkpoint_without_checksums_is_named_as_such(tmp_path):
    save(tmp_path, {1: None})
    content = json.loads((tmp_path / "1" / METADATA).read_bytes())
    del content["custom_metadata"][notes.DIGEST]
    (tmp_path / "1" / METADATA).write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match="of a version without checksums"):
        Checkpoints(tmp_path).restore(make_state(0))


def test_a_state_of_another_step_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="step is 4, but the state's is 3"):
        Checkpoints(tmp_path).save(4, make_state(3), {})
    assert Checkpoints(tmp_path).steps() == []

"""Checkpoints: whole or not there, the best kept, damage named and stepped over."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toy

from seq2seq_jax.errors import InputError
from seq2seq_jax.training import parallel, step
from seq2seq_jax.training.checkpoints import Checkpoints

DEVICES = parallel.local(jax.local_devices()[:1])
TX = optax.adam(0.1)
ROOT = Path(__file__).resolve().parent.parent


def make_state(seed=0, params=None):
    key = jax.random.key(seed)
    start = step.init_state(key, params or toy.params(seed), TX)
    return parallel.place(start.replace(step=jnp.int32(seed)), DEVICES)


def assert_same(one, two):
    def plain(leaf):
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return np.asarray(jax.random.key_data(leaf) if is_key else leaf)

    assert jax.tree.structure(one) == jax.tree.structure(two)
    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(plain(a), plain(b)), one, two
    )


def save(folder, scores, **keep):
    """Checkpoints at the steps of a dict; step s holds `make_state(s)`."""
    checkpoints = Checkpoints(folder, **keep)
    for number, score in scores.items():
        metrics = None if score is None else {"score": score, "loss": -score}
        checkpoints.save(number, make_state(number), {"batch": number}, metrics)
    checkpoints.close()
    return checkpoints


def cut_arrays(folder, item):
    """Cut the files that hold an item's arrays to half their length."""
    files = [path for path in (folder / item).rglob("*") if path.parent.name == "d"]
    assert files
    for path in files:
        os.truncate(path, path.stat().st_size // 2)


def test_what_is_restored_is_what_was_saved_bit_for_bit(tmp_path):
    bookkeeping = {"best": 0.1 + 0.2, "none": None, "window": {"loss": 1 / 3, "n": 7}}
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(5, make_state(5), bookkeeping, {"score": 1.0})
    checkpoints.close()
    state, restored = Checkpoints(tmp_path).restore(make_state(0))
    assert_same(state, make_state(5))
    assert restored == bookkeeping
    assert state.params["table"].sharding == make_state(0).params["table"].sharding


def test_a_state_may_be_donated_as_soon_as_save_returns(tmp_path):
    big = {"table": jnp.ones((500, 1000)), "out": jnp.ones((1000, 500))}
    state = make_state(1, big)
    add = jax.jit(lambda s: jax.tree.map(lambda x: x + 1, s), donate_argnums=0)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, state, {})
    params = state.params
    for _ in range(5):
        params = add(params)
    jax.block_until_ready(params)
    checkpoints.close()
    restored = Checkpoints(tmp_path).restore_params("latest", big)
    np.testing.assert_array_equal(restored["table"], 1.0)


def test_the_newest_and_the_best_are_kept(tmp_path):
    scores = {1: 0.5, 2: 0.9, 3: None, 4: 0.1, 5: float("nan"), 6: 0.3}
    save(tmp_path, scores, keep_last=2, keep_best=1)
    assert Checkpoints(tmp_path).steps() == [2, 5, 6]
    assert Checkpoints(tmp_path).candidates("best") == [2, 6, 5]
    assert_same(Checkpoints(tmp_path).restore_params("best"), toy.params(2))
    assert_same(Checkpoints(tmp_path).restore_params("latest"), toy.params(6))
    assert_same(Checkpoints(tmp_path).restore_params(5), toy.params(5))


def test_a_checkpoint_takes_the_place_of_one_of_its_step(tmp_path):
    checkpoints = save(tmp_path, {1: None, 2: None})
    checkpoints.save(2, make_state(2), {"batch": 9}, {"score": 1.0})
    checkpoints.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]
    assert checkpoints.restore(make_state(0))[1] == {"batch": 9}
    assert checkpoints.score(2) == 1.0


def test_who_is_killed_between_two_renames_has_the_new_one(tmp_path):
    checkpoints = save(tmp_path, {1: None, 2: None, 3: None})
    (tmp_path / "2").rename(tmp_path / "2.new")
    (tmp_path / "4.new").mkdir()  # of 4 the first rename was to come
    (tmp_path / "4").mkdir()
    checkpoints.settle()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["2", "3", "4"]
    assert_same(checkpoints.restore_params(2), toy.params(2))


def test_no_best_is_kept_where_none_is_asked_for(tmp_path):
    save(tmp_path, {1: 0.9, 2: 0.1, 3: 0.1}, keep_last=1, keep_best=0)
    assert Checkpoints(tmp_path).steps() == [3]


def cut_training(folder):
    cut_arrays(folder, "training")


def cut_params(folder):
    cut_arrays(folder, "params")


def cut_metadata(folder):
    os.truncate(folder / "_CHECKPOINT_METADATA", 40)


def lose_manifest(folder):
    (folder / "params" / "manifest.ocdbt").unlink()


def lose_everything(folder):
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


DAMAGES = [cut_training, cut_params, cut_metadata, lose_manifest, lose_everything]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_one_before_used(tmp_path, damage, capfd):
    save(tmp_path, {1: None, 2: None})
    damage(tmp_path / "2")
    lines = []
    checkpoints = Checkpoints(tmp_path, log=lines.append)
    state, bookkeeping = checkpoints.restore(make_state(0))
    assert bookkeeping == {"batch": 1}
    assert_same(state, make_state(1))
    assert len(lines) == 1 and "checkpoint 2" in lines[0] and "damaged" in lines[0]
    assert "\n" not in lines[0]
    # The training can write step 2 again, and nothing was deleted.
    assert checkpoints.steps() == [1] and (tmp_path / "damaged" / "2").exists()
    checkpoints.save(2, make_state(2), {"batch": 2})
    checkpoints.close()
    assert checkpoints.steps() == [1, 2]
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("damage", DAMAGES[1:])
def test_inference_steps_over_damage_and_moves_nothing(tmp_path, damage):
    save(tmp_path, {1: 0.1, 2: 0.9, 3: 0.5}, keep_last=3)
    damage(tmp_path / "2")
    lines = []
    checkpoints = Checkpoints(tmp_path, log=lines.append)
    assert_same(checkpoints.restore_params("best"), toy.params(3))
    assert "checkpoint 2" in lines[0]
    assert checkpoints.steps() == [1, 2, 3]
    with pytest.raises(InputError, match="damaged"):
        checkpoints.restore_params(2)


def test_where_all_are_damaged_nothing_is_moved(tmp_path):
    save(tmp_path, {1: None, 2: None})
    cut_training(tmp_path / "1")
    cut_training(tmp_path / "2")
    checkpoints = Checkpoints(tmp_path, log=lambda line: None)
    with pytest.raises(InputError, match="no whole checkpoint"):
        checkpoints.restore(make_state(0))
    assert checkpoints.steps() == [1, 2]


def test_another_model_is_no_damage(tmp_path):
    save(tmp_path, {1: None, 2: None})
    other = toy.params() | {"table": jnp.zeros((3, 5))}
    with pytest.raises(
        InputError, match=r"another model: .*table is float32\[9, 5\] there"
    ):
        Checkpoints(tmp_path).restore(make_state(0, other))
    with pytest.raises(InputError, match="missing"):
        Checkpoints(tmp_path).restore_params("best", {"table": jnp.zeros((9, 5))})
    assert Checkpoints(tmp_path).steps() == [1, 2]


def test_no_checkpoint_is_one_clear_line(tmp_path):
    with pytest.raises(InputError, match="no checkpoint in"):
        Checkpoints(tmp_path / "nothing").restore_params()
    with pytest.raises(InputError, match="no checkpoint in"):
        Checkpoints(tmp_path).restore(make_state(0))
    save(tmp_path, {4: None})
    with pytest.raises(InputError, match=r"no checkpoint 7 .*there are 4"):
        Checkpoints(tmp_path).restore_params(7)
    with pytest.raises(InputError, match="best, latest or a step"):
        Checkpoints(tmp_path).restore_params("first")


def test_reading_writes_nothing(tmp_path):
    folder = tmp_path / "checkpoints"
    assert Checkpoints(folder).steps() == []
    assert not folder.exists()


def run_script(script, *args, **kwargs):
    """Start a Python process that can import the project and the tests."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = os.environ | {"PYTHONPATH": path}
    command = [sys.executable, "-c", script, *map(str, args)]
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **kwargs,
    )


FULL_DISK = """
import resource, sys, types
from test_checkpoints import Checkpoints, InputError, make_state
import jax
params = {"table": jax.random.normal(jax.random.key(0), (300, 1000))}
checkpoints = Checkpoints(sys.argv[1])
checkpoints.save(1, make_state(1, params), {"batch": 1})
checkpoints.wait()
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    checkpoints.save(2, make_state(2, params), {"batch": 2})
    checkpoints.close()
except InputError as error:
    print(error)
checkpoints.close()
# What threads of a save that failed say of its event loop, now and then.
closed = RuntimeError("Event loop is closed")
sys.unraisablehook(types.SimpleNamespace(exc_value=closed))
"""


def test_a_disk_that_takes_no_more_is_one_line_and_older_ones_stay(tmp_path):
    process = run_script(FULL_DISK, tmp_path)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert len(out.splitlines()) == 1
    assert "checkpoint 2 could not be written" in out and "File too large" in out
    assert "checkpoint 1 is whole" in out
    assert "Traceback" not in err
    assert Checkpoints(tmp_path).steps() == [1]
    assert Checkpoints(tmp_path).restore_params()["table"].shape == (300, 1000)


SAVE_FOR_EVER = """
import itertools, sys
from test_checkpoints import Checkpoints, make_state
checkpoints = Checkpoints(sys.argv[1])
for number in itertools.count(1):
    checkpoints.save(number, make_state(number), {"batch": number})
    print(number, flush=True)
"""


@pytest.mark.slow
def test_killed_while_saving_the_newest_is_whole(tmp_path):
    for delay in (0.0, 0.02, 0.05):
        folder = tmp_path / str(delay)
        process = run_script(SAVE_FOR_EVER, folder)
        for line in process.stdout:
            if int(line) == 3:
                break
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=60)
        lines = []
        checkpoints = Checkpoints(folder, log=lines.append)
        state, bookkeeping = checkpoints.restore(make_state(0))
        number = bookkeeping["batch"]
        assert lines == [] and number == checkpoints.steps()[-1] >= 2
        assert_same(state, make_state(number))
        checkpoints.save(number + 1, make_state(number + 1), {"batch": number + 1})
        checkpoints.close()
        assert not list(folder.glob("*tmp*"))


def test_comparing_is_of_names_types_and_shapes():
    from seq2seq_jax.training.damage import difference

    key = {"key": jax.random.key(0)}
    assert difference({"key": "uint32[2] 00"}, key) == ""
    assert "b is missing there" in difference({}, {"b": jnp.zeros(1)})
    same = partial(difference, {"0.a": "float32[3] 00"})
    assert same([{"a": jax.ShapeDtypeStruct((3,), jnp.float32)}]) == ""
    assert "float32[3] there, int32[3] here" in same([{"a": jnp.zeros(3, int)}])

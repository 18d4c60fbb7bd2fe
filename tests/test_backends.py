"""Every way to compute a layer computes what the scan over its step computes."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import rnn
from small import assert_close, make_batch, params_of, quick_jit, row_keys
from sweeps import model_config

from seq2seq_jax.config import ModelConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.nn import backends, checks, cudnn, layers, model
from seq2seq_jax.nn.cells import CELLS
from seq2seq_jax.nn.pallas_gates import GATES
from seq2seq_jax.nn.pallas_sizes import suitable_rows, tile_rows

D, H, T, LEAD = 3, 5, 6, (2, 5)
LENGTHS = np.array([[6, 0, 4, 1, 6], [2, 6, 3, 5, 1]])
PREFIX = np.arange(T) < LENGTHS[..., None]
GAPS = PREFIX & (np.arange(T) != 1)


def config_of(kind, backend, **more):
    return ModelConfig(cell=kind, hidden_size=H, backend=backend, **more)


def made(kind, lead=LEAD, size=H):
    """`(params, carry, xs, drop)` of random numbers, the first carry's included."""
    cell, rng = CELLS[kind], np.random.default_rng(0)
    init = partial(
        cell.init, input_size=D, hidden_size=size, inits=layers.initializers()
    )
    params, carry, xs = jax.tree.map(
        lambda leaf: rng.normal(0, 0.7, leaf.shape).astype(np.float32),
        (
            jax.eval_shape(init, jax.random.key(0)),
            tuple(np.zeros((*lead, size)) for _ in range(cell.parts)),
            np.zeros((*lead, T, D)),
        ),
    )
    drop = (rng.random((*lead, size)) < 0.7) / np.float32(0.7)
    return params, carry, xs, drop.astype(np.float32)


@partial(quick_jit, static_argnums=(0, 1))
def run_and_slopes(config, reverse, mask, drop, params, carry, xs):
    """What a layer gives, and the gradients of a function of all of it."""

    def total(params, carry, xs):
        cast = layers.cast_kernels(params, config.dtype)
        last, outputs = backends.run(
            cast, config, carry, xs, mask, drop, reverse=reverse
        )
        phases = jnp.arange(outputs.size).reshape(outputs.shape)
        ends = sum(jnp.sum(jnp.cos(part)) for part in last)
        return ends + jnp.sum(jnp.sin(outputs + phases)), (last, outputs)

    return jax.value_and_grad(total, (0, 1, 2), has_aux=True)(params, carry, xs)


@pytest.fixture
def tiles_of_8(monkeypatch):
    """Ten rows are more than one tile, of which the second is not full."""
    monkeypatch.setattr("seq2seq_jax.nn.pallas_sizes.MOST_ROWS", 8)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", GATES)
def test_a_kernel_is_a_scan_over_the_step(kind, reverse, tiles_of_8):
    params, carry, xs, drop = made(kind)
    mask = None if reverse and kind == "gru" else GAPS  # one of them reads all

    def run(name, xs):
        config = config_of(kind, name)
        return run_and_slopes(config, reverse, mask, drop, params, carry, xs)

    found = run("pallas", xs)
    assert_close(found, run("scan", xs), 1e-5)
    (_, (last, outputs)), _ = found
    if mask is not None:
        # Padding changes no bit, an empty row's carry stands still, its output is 0.
        filled = np.where(mask[..., None], xs, np.float32(1e4))
        assert_close(run("pallas", filled), found)
        assert not np.asarray(outputs)[~mask].any()
        for part, first in zip(last, carry, strict=True):
            assert_close(part[0, 1], first[0, 1])


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_a_kernel_without_noise_and_masks_under_vmap(kind):
    params, carry, xs, _ = made(kind)

    def run(config, xs, carry):
        return backends.run(params, config, carry, xs)

    pallas, scan = (partial(run, config_of(kind, name)) for name in ("pallas", "scan"))
    assert_close(
        quick_jit(jax.vmap(pallas))(xs, carry), quick_jit(scan)(xs, carry), 1e-5
    )


def test_a_kernels_products_are_in_bfloat16_and_its_states_are_not():
    params, carry, xs, drop = made("lstm")
    pallas, scan, exact = (
        run_and_slopes(
            config_of("lstm", name, dtype=dtype), False, GAPS, drop, params, carry, xs
        )
        for name, dtype in (
            ("pallas", "bfloat16"),
            ("scan", "bfloat16"),
            ("scan", "float32"),
        )
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(pallas)} == {jnp.dtype("float32")}
    assert_close(pallas[0], scan[0], 1e-5)
    assert_close(pallas[1], scan[1], 0.03)
    assert_close(pallas[1], exact[1], 0.06)


@pytest.mark.parametrize(
    ("kind", "rows", "size", "bytes_each", "new", "old"),
    [
        ("lstm", 1, 1, 4, 8, 8),
        ("lstm", 5, 100, 4, 8, 8),
        ("gru", 13, 200, 2, 16, 16),
        ("lstm", 64, 512, 4, 64, 64),
        ("lstm", 300, 256, 4, 152, 152),  # two tiles of one size, 4 rows to spare
        ("gru", 5000, 128, 4, 256, 256),
        ("lstm", 64, 1024, 4, 64, 0),  # 16 MiB of weights
        ("lstm", 64, 1024, 2, 64, 0),
        ("gru", 64, 1024, 2, 64, 64),
        ("gru", 16, 1024, 4, 16, 16),
        ("gru", 17, 1024, 4, 24, 0),  # two tiles of so few rows
        ("lstm", 8, 2048, 4, 0, 0),
    ],
)
def test_a_kernel_takes_what_fits(kind, rows, size, bytes_each, new, old, monkeypatch):
    assert tile_rows(kind, rows, size, bytes_each) == new
    old_tpu = SimpleNamespace(device_kind="TPU v3")
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    monkeypatch.setattr(jax, "devices", lambda: [old_tpu])
    assert tile_rows(kind, rows, size, bytes_each) == old


def test_what_a_kernel_does_not_take_is_left_to_the_scan():
    params, carry, _, _ = made("lstm")
    projected = np.zeros((*LEAD, T, 4 * H), np.float32)
    assert suitable_rows("lstm", params, carry, projected) == 16
    assert not suitable_rows("rnn", params, carry, projected)
    assert not suitable_rows("lstm", params, carry, projected.astype(np.float64))
    assert not suitable_rows("lstm", params, carry, projected[:0])
    assert not suitable_rows("lstm", params, carry, projected[:, :, :0])
    half = params | {"recurrent": params["recurrent"].astype(np.float16)}
    assert not suitable_rows("lstm", half, carry, projected)
    (count,) = jax.export.symbolic_shape("b")
    unknown = jax.ShapeDtypeStruct((count, *projected.shape[1:]), np.float32)
    assert not suitable_rows("lstm", params, carry, unknown)


@pytest.mark.parametrize("kind", GATES)
def test_the_kernels_alone_are_compiled_for_a_tpu(kind):
    """Down to the program handed to the TPU's compiler, which is not here."""
    params, carry, xs, drop = made(kind, (16,), 128)
    config = replace(config_of(kind, "pallas"), hidden_size=128)
    slopes = run_and_slopes.trace(config, True, PREFIX[0, 0], drop, params, carry, xs)
    tpu, cpu = (
        slopes.lower(lowering_platforms=(name,)).as_text() for name in ("tpu", "cpu")
    )
    assert tpu.count("@tpu_custom_call") == 2 and "while" not in tpu
    assert "@tpu_custom_call" not in cpu and "while" in cpu


def test_auto_goes_by_the_platform(monkeypatch):
    params, carry, xs, drop = made("lstm")
    config = config_of("lstm", "auto")

    def texts():
        run = partial(backends.run, params, config)
        traced = jax.jit(run).trace(carry, xs, PREFIX, drop)
        for platform in ("cpu", "tpu"):
            yield traced.lower(lowering_platforms=(platform,)).as_text()

    assert not any("tpu_custom_call" in text for text in texts())
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    cpu, tpu = texts()  # a host with a TPU may still compile for its CPU
    assert "tpu_custom_call" not in cpu and "tpu_custom_call" in tpu


@partial(quick_jit, static_argnums=1)
def loss_and_slopes(params, config, batch, keys):
    return jax.value_and_grad(
        lambda params: model.loss(params, config, batch, 0.1, keys).loss
    )(params)


def test_a_model_is_the_same_by_kernels():
    """Both directions of an encoder, and a decoder's layers all steps at once."""
    config = model_config(
        "none", "plain", "gru", "dense", True, (1, 2), recurrent_dropout=0.2
    )
    pallas, scan = (
        loss_and_slopes(
            params_of(config), replace(config, backend=name), make_batch(), row_keys()
        )
        for name in ("pallas", "scan")
    )
    assert_close(pallas, scan, 1e-5)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"backend": "palas"}, ["'palas'", "pallas", "cudnn", "scan", "auto"]),
        ({"backend": "pallas", "cell": "rnn"}, ["'pallas'", "'rnn'", "lstm, gru"]),
        ({"backend": "pallas", "zoneout": 0.1}, ["zoneout 0", "auto"]),
        (
            {"backend": "pallas", "hidden_size": 2000},
            ["2000 units in float32", "auto"],
        ),
        ({"backend": "cudnn", "cell": "gru"}, ["'cudnn'", "model.cell lstm", "auto"]),
        ({"backend": "cudnn", "zoneout": 0.1}, ["zoneout 0.0"]),
        ({"backend": "cudnn", "recurrent_dropout": 0.1}, ["recurrent_dropout 0.0"]),
        ({"backend": "cudnn", "dtype": "bfloat16"}, ["model.dtype float32"]),
        ({"backend": "cudnn"}, ["needs a GPU", "'cpu'", "auto"]),
    ],
)
def test_backends_that_cannot_run_a_model_are_refused(values, says):
    with pytest.raises(InputError) as caught:
        checks.check(ModelConfig(**values))
    message = str(caught.value)
    assert "\n" not in message
    for part in says:
        assert part in message


def reference_lstm(x, h, c, weights, lengths, hidden):
    """cuDNN's LSTM as JAX transcribes it."""
    pieces = rnn.unpack_lstm_weights(weights, x.shape[-1], hidden, 1, False)
    return rnn.lstm_ref(x, h, c, *pieces, lengths, x.shape[-1], hidden, 1, 0.0, False)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("mask", [None, PREFIX], ids=["whole", "masked"])
def test_cudnns_lstm_is_ours(mask, reverse):
    params, carry, xs, _ = made("lstm")

    @quick_jit
    def run(params, carry, xs):
        return cudnn.run(params, carry, xs, mask, reverse, reference_lstm)

    expected = backends.run(
        params, config_of("lstm", "scan"), carry, xs, mask, reverse=reverse
    )
    assert_close(run(params, carry, xs), expected, 1e-5)


def test_cudnns_weights_are_ours_in_a_row():
    params = made("lstm")[0]
    flat = cudnn.flat_weights(params)
    assert flat.size == rnn.get_num_params_in_lstm(D, H, 1, False)
    assert_close(cudnn.params_of(flat, D, H), params)
    with pytest.raises(ValueError, match="an LSTM of 3 inputs and 4 units has"):
        cudnn.params_of(flat, D, H - 1)


def test_a_model_trained_by_cudnn_runs_without_a_gpu():
    params, carry, xs, _ = made("lstm")
    cudnns, scans = (
        run_and_slopes(config_of("lstm", name), False, PREFIX, None, params, carry, xs)
        for name in ("cudnn", "scan")
    )
    assert_close(cudnns, scans)

"""What a plan is made of: FLOPs, a compiled program's text, devices, shapes."""

import json
import sys
from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest
from command_line import script

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.planning import (
    costs,
    devices,
    hlo,
    memory,
    programs,
    report,
    roofline,
    targets,
    work,
)
from seq2seq_jax.training import parallel

# One loop of ten steps in which a fusion multiplies and another writes a row in place;
# then an all-reduce of what was written.
TEXT = """HloModule planned, is_scheduled=true

%multiply (a: f32[4,8], w: f32[8,6]) -> f32[4,6] {
  %a = f32[4,8]{1,0} parameter(0)
  %w = f32[8,6]{1,0} parameter(1)
  ROOT %d = f32[4,6]{1,0} dot(%a, %w), lhs_contracting_dims={1}, \
rhs_contracting_dims={0}
}

%store (rows: f32[10,4,6], row: f32[4,6], at: s32[]) -> f32[10,4,6] {
  %rows = f32[10,4,6]{2,1,0} parameter(0)
  %row = f32[4,6]{1,0} parameter(1)
  %at = s32[] parameter(2)
  %zero = s32[] constant(0)
  %one = f32[1,4,6]{2,1,0} bitcast(%row)
  ROOT %u = f32[10,4,6]{2,1,0} dynamic-update-slice(%rows, %one, %at, %zero, %zero)
}

%body (p: (s32[], f32[10,4,6], f32[4,8], f32[8,6])) -> (s32[], f32[10,4,6], f32[4,8], \
f32[8,6]) {
  %p = (s32[], f32[10,4,6]{2,1,0}, f32[4,8]{1,0}, /*index=3*/f32[8,6]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%p), index=0
  %b = f32[10,4,6]{2,1,0} get-tuple-element(%p), index=1
  %x = f32[4,8]{1,0} get-tuple-element(%p), index=2
  %k = f32[8,6]{1,0} get-tuple-element(%p), index=3
  %y = f32[4,6]{1,0} fusion(%x, %k), kind=kOutput, calls=%multiply
  %s = f32[10,4,6]{2,1,0} fusion(%b, %y, %i), kind=kLoop, calls=%store
  %c = s32[] constant(1)
  %n = s32[] add(%i, %c)
  ROOT %t = (s32[], f32[10,4,6]{2,1,0}, f32[4,8]{1,0}, f32[8,6]{1,0}) \
tuple(%n, %s, %x, %k)
}

%condition (q: (s32[], f32[10,4,6], f32[4,8], f32[8,6])) -> pred[] {
  %q = (s32[], f32[10,4,6]{2,1,0}, f32[4,8]{1,0}, f32[8,6]{1,0}) parameter(0)
  %j = s32[] get-tuple-element(%q), index=0
  %end = s32[] constant(10)
  ROOT %less = pred[] compare(%j, %end), direction=LT
}

ENTRY %main (g: (s32[], f32[10,4,6], f32[4,8], f32[8,6])) -> f32[10,4,6] {
  %g = (s32[], f32[10,4,6]{2,1,0}, f32[4,8]{1,0}, f32[8,6]{1,0}) parameter(0)
  %loop = (s32[], f32[10,4,6]{2,1,0}, f32[4,8]{1,0}, f32[8,6]{1,0}) while(%g), \
condition=%condition, body=%body, metadata={op_name="jit(f)/transpose(jvp())/while"}
  %h = f32[10,4,6]{2,1,0} get-tuple-element(%loop), index=1
  ROOT %r = f32[10,4,6]{2,1,0} all-reduce(%h), replica_groups={{0,1}}, to_apply=%sum
}
"""
TINY = Config(
    DataConfig(vocab_size=11, target_vocab_size=13, max_length=5, buckets=2),
    ModelConfig(
        cell="gru",
        hidden_size=3,
        embedding_size=4,
        bidirectional=False,
        attention="none",
        decoder="plain",
        bridge="pass",
        dropout=0.0,
    ),
    TrainingConfig(batch_size=2, label_smoothing=0.0),
)


def test_flops_of_loops_and_branches_are_a_hand_count():
    def function(x, w, flag):
        def step(h, _):
            return jnp.tanh(h @ w), None

        def many(h):
            return jax.lax.while_loop(lambda c: c.sum() < 9, lambda c: c @ w, h)

        h = jax.lax.scan(step, x, None, length=7)[0]
        h = jax.lax.cond(flag, lambda h: h @ w @ w, lambda h: h @ w, h)
        return jax.jit(many)(h)

    made = jax.make_jaxpr(function)(jnp.ones((2, 3)), jnp.ones((3, 3)), True)
    product = 2 * 2 * 3 * 3
    assert costs.flops(made.jaxpr, unknown=5) == (7 + 2 + 5) * product


def test_products_that_nothing_reads_are_not_counted():
    def function(x):
        jnp.dot(x, x)
        return x + 1

    assert costs.flops(jax.make_jaxpr(function)(jnp.ones((3, 3))).jaxpr) == 0


def test_a_loop_over_entries_is_as_long_as_what_it_reads():
    def function(xs, count):
        return jax.lax.fori_loop(0, count, lambda i, h: h @ xs[i], jnp.ones((2, 3)))

    jaxpr = jax.make_jaxpr(function)(jnp.ones((6, 3, 3)), 4).jaxpr
    assert costs.unknown_trips(jaxpr) == 6
    assert costs.flops(jaxpr) == 6 * 2 * 2 * 3 * 3


def test_a_loop_that_looks_up_many_rows_is_not_as_long_as_their_table():
    def function(table, ids):
        def step(h):
            return h @ h + table[ids]

        return jax.lax.while_loop(lambda h: h.sum() < 9, step, jnp.ones((3, 3)))

    jaxpr = jax.make_jaxpr(function)(jnp.ones((50, 3)), jnp.arange(3)).jaxpr
    assert costs.unknown_trips(jaxpr) is None
    assert costs.flops(jaxpr, unknown=4) == 4 * 2 * 3 * 3 * 3


@pytest.fixture(scope="module")
def compiled():
    """The tiny model's training step on one device, its shape and its jaxpr."""
    shape = programs.shapes(TINY)[-1]
    here = parallel.local(jax.devices("cpu")[:1])
    step, arguments = programs.train_step(TINY, here, shape)
    jaxpr = jax.make_jaxpr(step)(*arguments).jaxpr
    return shape, jaxpr, memory.compiled(step.lower(*arguments)), arguments


def test_a_training_steps_flops_are_a_hand_count(compiled):
    (rows, source, target), jaxpr, built, _ = compiled
    embedding, hidden, vocabulary = 4, 3, 13
    inputs = 2 * embedding * 3 * hidden  # of one token: the gates' share of its vector
    states = 2 * hidden * 3 * hidden
    logits = 2 * hidden * vocabulary
    # Forward once; backward twice as much, a product for the factor on either side.
    layers = rows * (source + target) * 3 * (inputs + states)
    chunks = rows * target * 3 * logits
    assert costs.flops(jaxpr) == layers + chunks
    items = work.items(hlo.parse(built.text), costs.unknown_trips(jaxpr) or 1)
    assert sum(item.times * item.flops for item in items) == layers + chunks


def test_a_compiled_step_runs_and_its_memory_covers_its_arguments(compiled):
    _, _, built, arguments = compiled
    assert built.memory.peak >= built.memory.arguments > programs.size_of(arguments[0])
    assert memory.timed(built.run, arguments) > 0


@pytest.mark.parametrize("cut", [False, True])
def test_a_step_that_no_cpu_waits_for_is_planned_too(compiled, monkeypatch, cut):
    """As it is for accelerators, whose compilers other tests need."""
    monkeypatch.setattr(parallel, "one_at_a_time", lambda run, devices: run)
    config = replace(TINY, training=replace(TINY.training, shard_optimizer=cut))
    here = parallel.local(jax.devices("cpu")[:1])
    site = report.Site(devices.DEVICES["h100"], here, "float32")
    assert report.plan_training(config, site, compiled[0]).flops == costs.flops(
        compiled[1]
    )


def test_a_programs_text_tells_its_loops_kernels_and_bytes():
    items = work.items(hlo.parse(TEXT), unknown=99)
    multiply, store, count, reduce = items
    assert (count.opcode, count.kernel) == ("add", False)
    assert (multiply.opcode, multiply.times, multiply.products) == ("fusion", 10, 1)
    assert multiply.flops == 2 * 4 * 8 * 6
    assert multiply.bytes == 4 * (4 * 8 + 8 * 6 + 4 * 6)
    assert multiply.loop.backward and multiply.loop.turns == 10
    # Of the rows that it updates in place, it writes one: and reads that, and a number.
    assert store.bytes == 4 * (4 * 6 + 4 * 6 + 1)
    assert (reduce.times, reduce.sent, reduce.bytes) == (1, 4 * 10 * 4 * 6, 0)
    assert report.loops(items) == [report.Loop(10, True, kernels=2, products=1)]


def test_products_of_libraries_and_of_tpus_have_their_flops():
    lines = [
        "%g = (f32[4,6]{1,0}, s8[9]{0}) custom-call(%a, %b), "
        'custom_call_target="__cublas$gemm", '
        'backend_config={"dot_dimension_numbers":{"lhs_batch_dimensions":[]}}',
        "%g = f32[4,6]{1,0} convolution(%a, %b), dim_labels=bf_io->bf",
    ]
    arrays = hlo.arrays("f32[4,8]{1,0}"), hlo.arrays("f32[8,6]{1,0}")
    for line in lines:
        read = hlo.read(line)
        flops = work.product_flops(arrays[0][0], arrays[1][0], read.shape[0], read)
        assert flops == 2 * 4 * 8 * 6
    batched = hlo.read(
        "%g = f32[5,4,6]{2,1,0} dot(%a, %b), lhs_batch_dims={0}, rhs_batch_dims={0}"
    )
    left, right = hlo.arrays("f32[5,4,8]{2,1,0}"), hlo.arrays("f32[5,8,6]{2,1,0}")
    flops = work.product_flops(left[0], right[0], batched.shape[0], batched)
    assert flops == 5 * 2 * 4 * 8 * 6


def test_a_roofline_adds_up_what_holds_each_operation_up():
    device = devices.Device(
        "d", "cuda", 0, 1.0, {"float32": 100.0}, ((0, 10.0), (50, 5.0)), 4.0, 0.5
    )
    item = work.Item("fusion", 2, None, 400, 30, 1, True, 0)
    slow = item._replace(flops=0, bytes=60, kernel=False)
    sent = slow._replace(bytes=0, sent=8)
    found = roofline.seconds([item, slow, sent], device, "float32", 2)
    assert found == roofline.Seconds(8.0, 24.0, 1.0, 4.0)
    assert found.all == 37.0


@pytest.mark.parametrize(
    "name, said",
    [
        ("h10:8", "did you mean 'h100'?"),
        ("v5:2x2", "did you mean 'v5"),
        ("h100:2x2", "expected a number, such as h100:8"),
        ("h100:0", "expected a number, such as h100:8"),
        ("h100:", "expected a number, such as h100:8"),
        ("v5e", "expected a grid of chips, such as v5e:2x2"),
        ("v5e:8", "expected a grid of chips, such as v5e:2x2"),
        ("v5p:2x2", "expected a grid of chips in 3 axes, such as v5p:2x2x1"),
        ("cpu:4", "expected cpu alone"),
        ("", "expected one of a100, cpu, h100"),
    ],
)
def test_a_topology_that_is_none_is_refused_with_the_nearest(name, said):
    with pytest.raises(InputError, match="topology") as refused:
        devices.parse(name)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "name, said",
    [
        ("v5e:2x2", "pip install 'jax[tpu]=="),
        ("h100", "pip install jax-cuda12-plugin=="),
    ],
)
def test_a_missing_compiler_is_told_with_pips_command(name, said, monkeypatch):
    monkeypatch.setattr(targets, "installed", lambda *modules: False)
    monkeypatch.setattr(targets.shutil, "which", lambda name: None)
    with pytest.raises(InputError) as refused:
        targets.check_installed(devices.parse(name))
    assert said in str(refused.value)


def test_every_gpu_has_the_facts_that_xla_asks_for():
    gpus = {name for name, d in devices.DEVICES.items() if d.platform == "cuda"}
    assert set(targets.GPUS) == gpus
    for name in gpus:
        assert str(devices.DEVICES[name].memory) in targets.target_config(name)


def test_shapes_are_those_that_the_plan_of_batches_would_choose():
    found = programs.shapes(TINY)
    assert found[-1] == programs.Shape(2, 5, 5)
    assert len(found) <= TINY.data.buckets
    language_model = replace(TINY, data=replace(TINY.data, target_only=True))
    assert programs.shapes(language_model)[-1] == programs.Shape(2, 1, 5)


def test_a_batch_is_cut_like_trainings():
    batch, rows = programs.batch_of(programs.Shape(10, 3, 4), devices=4, pieces=2)
    assert rows.shape == (4, 4)
    assert batch.source.shape == (4, 4, 3)
    assert batch.target_mask.shape == (4, 4, 4)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_peak_is_what_running_the_step_takes():
    told = json.loads(script("plan_memory.py"))
    assert abs(told["planned"] / told["grown"] - 1) < 0.25, told


def need(name):
    """Skip where the compiler for a topology is not installed."""
    try:
        targets.check_installed(devices.parse(name))
    except InputError as missing:
        pytest.skip(str(missing))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["v5e:2x4", "h100:8"])
def test_a_step_compiles_for_devices_that_are_not_there(name):
    need(name)
    told = json.loads(script("plan_afar.py", name))
    assert told["collectives"] >= 1
    assert told["sent"] >= told["parameter_bytes"]
    assert told["peak"] > told["parameter_bytes"]


@pytest.mark.slow
def test_a_step_of_a_loop_is_few_kernels_on_a_gpu():
    need("h100:1")
    told = json.loads(script("kernels_afar.py"))
    forward, backward = told["lstm"]
    assert forward <= 3 and backward <= 4, told
    assert told["luong"][0] <= 8, told


def test_a_plan_refuses_kernels_that_it_cannot_read():
    pallas = replace(TINY, model=replace(TINY.model, backend="pallas"))
    with pytest.raises(InputError, match="cannot read what a kernel"):
        report.check(pallas, 2)

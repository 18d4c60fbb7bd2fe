"""The step of a device under `jit(shard_map)`, called as the mapped ones are."""

import jax
import numpy as np

from seq2seq_jax.training import step


def shard_mapped(body, devices, jit=jax.jit):
    """`parallel.mapped_train_step` by other means, with its bookkeeping of variance."""
    mesh = jax.sharding.Mesh(np.array(devices.devices), (step.AXIS,))
    spec = jax.sharding.PartitionSpec
    run = jit(
        jax.shard_map(
            body,
            mesh=mesh,
            in_specs=(spec(), spec(step.AXIS), spec(step.AXIS)),
            out_specs=spec(),
        )
    )

    def call(state, cut, rows):
        whole = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (cut, rows))
        return jax.block_until_ready(run(state, *whole))

    return call

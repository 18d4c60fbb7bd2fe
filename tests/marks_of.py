"""Run by test_fingerprints with so many host devices; prints fingerprints as JSON."""

import json

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from seq2seq_jax.training import fingerprints

mesh = jax.make_mesh(
    (jax.device_count(),), ("data",), axis_types=(jax.sharding.AxisType.Auto,)
)
array = np.random.default_rng(0).normal(size=(16, 24)).astype(np.float32)
found = {}
for name, spec in {"whole": (), "rows": ("data",), "columns": (None, "data")}.items():
    place = NamedSharding(mesh, PartitionSpec(*spec))
    tree = {
        kind: jax.device_put(jnp.asarray(array, kind), place)
        for kind in ("float32", "bfloat16", "int32")
    }
    found[name] = fingerprints.of(tree)
    plain = fingerprints.plain(tree)
    sums = jax.device_get(fingerprints.device_sums(plain))
    found[f"{name} by jit"] = {
        leaf: f"{fingerprints.kind(plain[leaf])} {one:08x}{two:08x}"
        for leaf, (one, two) in sums.items()
    }
print(json.dumps(found | {"devices": jax.device_count()}))

"""Fingerprints of arrays, by which a checkpoint's weights are known from damaged ones.

A leaf's is `sum_i mix(bits_i ^ mix(i + seed))` modulo 2^32, for two seeds, with the
finaliser of MurmurHash3 as `mix`. It is one-to-one, so a change in one element always
shows; `i`, the place in the whole array, lets an exchange of two show. Sums of integers
depend on no order: how an array lies on devices and hosts changes nothing.

Arrays in the host's memory are summed there, which needs no compiling; others, where
they are.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

SEEDS = (0x9E3779B9, 0x7F4A7C15)
BLOCK = 1 << 15  # elements that NumPy works on at a time: they fit a core's cache
Tree = Any


def of(tree: Tree) -> dict[str, str]:
    """Type, shape and fingerprint of every leaf by its dotted path.

    >>> of({"a": jnp.zeros(2)})
    {'a': 'float32[2] 1b3522397937e62f'}
    """
    leaves = plain(tree)
    apart = {name: leaf for name, leaf in leaves.items() if not on_host(leaf)}
    sums = jax.device_get(device_sums(apart)) if apart else {}
    for name in leaves.keys() - apart.keys():
        sums[name] = host_sums(np.asarray(leaves[name]))
    return {
        name: f"{kind(leaf)} {''.join(f'{int(x):08x}' for x in sums[name])}"
        for name, leaf in leaves.items()
    }


def kinds(tree: Tree) -> dict[str, str]:
    """Type and shape of every leaf by its dotted path; of shapes alone too.

    >>> kinds({"a": [jnp.zeros((2, 3))]})
    {'a.0': 'float32[2, 3]'}
    """
    return {name: kind(leaf) for name, leaf in jax.eval_shape(plain, tree).items()}


def kind(leaf: Any) -> str:
    """Type and shape of an array in a few letters."""
    return f"{leaf.dtype}{list(leaf.shape)}"


def plain(tree: Tree) -> dict[str, Any]:
    """Leaves by their dotted paths; a typed key as its numbers."""
    found = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        found[dotted(path)] = leaf
    return found


def dotted(path: tuple) -> str:
    """The name of a leaf: its path in a tree, by dots.

    >>> jax.tree_util.tree_map_with_path(lambda path, _: dotted(path), {"a": [0]})
    {'a': ['a.0']}
    """
    return ".".join(jax.tree_util.keystr((part,), simple=True) for part in path)


def on_host(leaf: Any) -> bool:
    """Whether all of an array is in this host's memory."""
    if not isinstance(leaf, jax.Array):
        return True
    local = all(device.platform == "cpu" for device in leaf.devices())
    return local and leaf.is_fully_addressable


@jax.jit
def device_sums(leaves: dict[str, Any]) -> dict[str, list[jax.Array]]:
    """The sums of arrays by their names, on whatever devices they are."""

    def sums(leaf: Any) -> list[jax.Array]:
        bits = device_bits(leaf)
        place = jnp.uint32(0)
        for axis, _ in enumerate(bits.shape):
            stride = jnp.uint32(math.prod(bits.shape[axis + 1 :]) % 2**32)
            place += lax.broadcasted_iota(jnp.uint32, bits.shape, axis) * stride
        mixed = (mix(bits ^ mix(place + jnp.uint32(seed))) for seed in SEEDS)
        return [jnp.sum(x, dtype=jnp.uint32) for x in mixed]

    return {name: sums(leaf) for name, leaf in leaves.items()}


def device_bits(leaf: Any) -> jax.Array:
    """An array's bits as 32-bit numbers; wider elements become several."""
    if leaf.dtype == bool:
        return leaf.astype(jnp.uint32)
    size = min(8 * leaf.dtype.itemsize, 32)
    return lax.bitcast_convert_type(leaf, f"uint{size}").astype(jnp.uint32)


def host_sums(array: np.ndarray) -> list[int]:
    """The sums of an array, by NumPy."""
    flat = np.ascontiguousarray(array).reshape(-1)
    bits = flat.view(f"uint{min(8 * flat.dtype.itemsize, 32)}")
    places = np.arange(BLOCK, dtype=np.uint32)
    sums = [0 for _ in SEEDS]
    for start in range(0, bits.size, BLOCK):
        block = bits[start : start + BLOCK].astype(np.uint32)
        for number, seed in enumerate(SEEDS):
            first = np.uint32((start + seed) % 2**32)
            mixed = mix(block ^ mix(places[: block.size] + first))
            sums[number] += int(mixed.sum(dtype=np.uint64))
    return [x % 2**32 for x in sums]


def mix(x: Any) -> Any:
    """The finaliser of MurmurHash3, of each 32-bit number; NumPy's are changed."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x ^= x >> np.uint32(shift)
        x *= np.uint32(factor)
    x ^= x >> np.uint32(16)
    return x

"""Devices to compile for, whether or not they are there."""

import importlib.util
import os
import shutil
from typing import NamedTuple

import jax
from jax.experimental import topologies

from seq2seq_jax.errors import InputError
from seq2seq_jax.planning.devices import Topology
from seq2seq_jax.planning.quiet import silence


class Gpu(NamedTuple):
    """What XLA's GPU compiler asks about a device it cannot see.

    Attributes:
        capability: compute capability, major and minor.
        cores: streaming multiprocessors.
        fpus: float32 units of each.
        clock: GHz.
        shared, optin: bytes of shared memory of a core, and of a block that asks.
        cache: bytes of L2.
    """

    capability: tuple[int, int]
    cores: int
    fpus: int
    clock: float
    shared: int
    optin: int
    cache: int


# CUDA's programming guide, table of compute capabilities, and NVIDIA's data sheets.
GPUS = {
    "a100": Gpu((8, 0), 108, 64, 1.41, 167_936, 166_912, 41_943_040),
    "h100": Gpu((9, 0), 132, 128, 1.98, 233_472, 232_448, 52_428_800),
}
LIMITS = """threads_per_block_limit: 1024
threads_per_warp: 32
threads_per_core_limit: 2048
shared_memory_per_block: 49152
registers_per_core_limit: 65536
registers_per_block_limit: 65536
block_dim_limit_x: 2147483647
block_dim_limit_y: 65535
block_dim_limit_z: 65535
"""  # the same for all of them
CUDA_PLUGINS = ("jax_plugins.xla_cuda12", "jax_plugins.xla_cuda13")
NVCC = ("nvidia.cuda_nvcc", "nvidia.cu13")


def prepare(topology: Topology) -> None:
    """Let nothing look for devices that are there; call it before jax's first use."""
    # Compiling takes no chip, so that a training on the same machine need not end.
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    jax.config.update("jax_platforms", "cpu")
    if topology.device.platform != "cpu":
        # Programs for devices that are not there cannot be read back from a cache.
        jax.config.update("jax_enable_compilation_cache", False)
    check_installed(topology)
    with silence():
        jax.devices("cpu")


def check_installed(topology: Topology) -> None:
    """Refuse a topology whose compiler is not installed.

    Raises:
        InputError: with pip's command.
    """
    version, platform = jax.__version__, topology.device.platform
    if platform == "tpu" and not installed("libtpu"):
        raise InputError(
            f"--topology {topology.name} needs the package libtpu: "
            f"pip install 'jax[tpu]=={version}'"
        )
    if platform != "cuda":
        return
    missing = [] if installed(*CUDA_PLUGINS) else ["jax-cuda12-plugin and -pjrt"]
    if not installed(*NVCC) and not shutil.which("ptxas"):
        missing.append("nvidia-cuda-nvcc-cu12")
    if missing:
        raise InputError(
            f"--topology {topology.name} needs {' and '.join(missing)}: pip install "
            f"jax-cuda12-plugin=={version} jax-cuda12-pjrt=={version} "
            f"nvidia-cuda-nvcc-cu12"
        )


def installed(*modules: str) -> bool:
    """Whether one of the modules can be imported."""
    for module in modules:
        try:
            if importlib.util.find_spec(module):
                return True
        except ModuleNotFoundError:  # not even its package
            continue
    return False


def devices(topology: Topology) -> tuple[jax.Device, ...]:
    """The topology's devices; other than the CPU's, they can only be compiled for.

    Raises:
        InputError: a grid that there is none of.
    """
    with silence():
        match topology.device.platform:
            case "cpu":
                return tuple(jax.devices("cpu")[: topology.number])
            case "cuda":
                found = topologies.get_topology_desc(
                    platform="cuda",
                    topology=f"1x1x{topology.number}",
                    target_config=target_config(topology.kind),
                )
            case _:
                found = tpus(topology)
    return tuple(found.devices)


def tpus(topology: Topology) -> topologies.TopologyDescription:
    """A grid of TPU chips; one that fits a host is one host's."""
    grid = "x".join(map(str, topology.grid))
    chips = 8 if len(topology.grid) == 2 else 4  # of a host, at most
    bounds = topology.grid if topology.number <= chips else (2, 2)
    bounds = (*bounds, 1, 1)[:3]
    try:
        return topologies.get_topology_desc(
            f"{topology.kind}:{grid}", "tpu", chips_per_host_bounds=bounds
        )
    except jax.errors.JaxRuntimeError as error:
        said = str(error).partition("\n")[0]
        raise InputError(f"--topology {topology.name} cannot be: {said}") from None


def target_config(kind: str) -> str:
    """A GPU's facts as the text of XLA's message `GpuTargetConfigProto`."""
    gpu, device = GPUS[kind], Topology(kind, kind, (1,)).device
    major, minor = gpu.capability
    return f"""gpu_device_info {{
{LIMITS}shared_memory_per_core: {gpu.shared}
shared_memory_per_block_optin: {gpu.optin}
core_count: {gpu.cores}
fpus_per_core: {gpu.fpus}
clock_rate_ghz: {gpu.clock}
l2_cache_size: {gpu.cache}
memory_bandwidth: {int(device.rate(0))}
device_memory_size: {device.memory}
cuda_compute_capability {{ major: {major} minor: {minor} }}
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 8 }}
device_description_str: "{device.title}"
"""

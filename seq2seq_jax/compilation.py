"""Keep compiled programs on disk, so that a second run starts without compiling."""

import hashlib
import os
import platform
from pathlib import Path

import jax


def keep_compiled() -> Path | None:
    """Switch JAX's persistent compilation cache on; call it before the first compile.

    The folder is `~/.cache/seq2seq_jax/xla`, or what the environment variable
    `JAX_COMPILATION_CACHE_DIR` names (empty: no cache). Programs for the CPU hold
    instructions that another CPU may lack, so ours is parted by the host's kind.

    Returns:
        The folder, or None where there is none to write to.
    """
    folder: Path | None
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        named = os.environ["JAX_COMPILATION_CACHE_DIR"]
        folder = Path(named) if named else None
    else:
        folder = Path("~/.cache/seq2seq_jax/xla").expanduser() / _host_kind()
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        folder = None
    jax.config.update("jax_enable_compilation_cache", folder is not None)
    if folder is not None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        # Beam search and initialisation are many programs of less than a second each.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder


def _host_kind() -> str:
    """A name for the host's instruction set."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = [platform.processor()]
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    model = next((line for line in lines if line.startswith("model name")), "")
    kind = f"{platform.machine()} {model} {flags}"
    return hashlib.sha256(kind.encode()).hexdigest()[:12]

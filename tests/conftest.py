"""One cache of compiled programs for all tests, and what several files train on."""

import gc
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pytest

# Set before anything imports jax; processes that tests start inherit it.
CACHE = Path(__file__).resolve().parent.parent / ".pytest_cache" / "xla"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

# Most tests compile many tiny programs and run each once: compiling is what they wait
# for, and LLVM's optimisations take most of it. Without them, and without the emitters
# of fused loops (JAX 0.12 has no other), the same laws hold in less than half the time.
# XLA_FLAGS in the environment, be it empty, says otherwise; `make test` has the slow
# tests run with none, as a user's training does.
QUICK = "--xla_backend_optimization_level=0"
if metadata.version("jaxlib").startswith("0.10."):
    QUICK += " --xla_cpu_use_fusion_emitters=false"
os.environ.setdefault("XLA_FLAGS", QUICK)

# Two programs of two threads on two cores wait for each other most of the time: each of
# pytest-xdist's workers, and what it starts, gets a core of its own.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
if WORKER and hasattr(os, "sched_setaffinity"):
    CORES = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {CORES[int(WORKER) % len(CORES)]})

# Before their first import: their failures show values, as those of the tests do.
pytest.register_assert_rewrite("command_line", "pairs", "tiny_runs")

import command_line  # noqa: E402

from seq2seq_jax.config import (  # noqa: E402
    Config,
    DataConfig,
    ModelConfig,
    TrainingConfig,
)


@pytest.fixture(autouse=True, scope="module")
def programs_are_let_go() -> Iterator[None]:
    """Free what a file has compiled: a process may map only so many pieces of memory.

    The sweeps compile thousands of programs, each with some mappings; at Linux's limit
    of 65,530 the process would crash.
    """
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
        gc.collect()


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of `train.tsv`, `dev.tsv`, `test.tsv`: short words, and reversed."""
    folder = tmp_path_factory.mktemp("corpus")
    draw = random.Random(0)
    for name, count in (("train", 90), ("dev", 12), ("test", 8)):
        words = [
            "".join(draw.choices("abcd", k=draw.randint(1, 7))) for _ in range(count)
        ]
        text = "".join(f"{word}\t{word[::-1]}\n" for word in words)
        (folder / f"{name}.tsv").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny(corpus: Path) -> Callable[..., Config]:
    """Make the config of a training that takes a second; keywords change `training`."""

    def make(buckets: int = 2, **training: object) -> Config:
        data = DataConfig(
            train_tsv=str(corpus / "train.tsv"),
            dev_tsv=str(corpus / "dev.tsv"),
            test_tsv=str(corpus / "test.tsv"),
            source_tokenizer="char",
            target_tokenizer="char",
            max_length=9,
            buckets=buckets,
        )
        model = ModelConfig(
            cell="gru",
            hidden_size=8,
            embedding_size=6,
            bidirectional=False,
            input_feeding=False,
            attention="dot",
            bridge="pass",
        )
        values = {
            "steps": 12,
            "batch_tokens": 99,
            "learning_rate": 0.01,
            "warmup_steps": 4,
            "log_every": 3,
            "eval_every": 6,
            "prefetch": 2,
            "eval_pictures": 0,  # half a second each time
        }
        return Config(data, model, TrainingConfig(**values | training))  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory) -> tuple:
    """A config, its workdir and what is prepared there."""
    import pairs  # Grain is slow to load

    folder = tmp_path_factory.mktemp("data")
    config = pairs.make_config(folder)
    return config, folder / "run", pairs.prepare(config, folder / "run", pairs.ignore)


@pytest.fixture(scope="session")
def whole(
    tiny: Callable[..., Config], tmp_path_factory: pytest.TempPathFactory
) -> tuple:
    """A run of 12 steps, never interrupted: config, workdir, report, lines."""
    import tiny_runs  # Orbax is slow to load

    config, workdir = tiny(), tmp_path_factory.mktemp("whole") / "run"
    return config, workdir, *tiny_runs.train(config, workdir)


@pytest.fixture(scope="session")
def capitals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of words and their letters in capitals, and `in.txt` to translate."""
    folder = tmp_path_factory.mktemp("cli")
    command_line.write_capitals(folder)
    return folder


@pytest.fixture(scope="session")
def training_arguments(capitals: Path) -> list:
    """Arguments of `train.py` for a model that learns the capitals in seconds."""
    return command_line.training_arguments(capitals)


@pytest.fixture(scope="session")
def trained(capitals: Path, training_arguments: list) -> Path:
    """What that training left, moved elsewhere; its data cache is deleted."""
    command_line.succeed(*training_arguments)
    again = command_line.run(*training_arguments)
    assert "already done" in again.stderr.decode()
    moved = capitals / "moved"
    shutil.copytree(capitals / "run", moved)
    shutil.rmtree(capitals / "run" / "tokenizers")
    shutil.rmtree(moved / "data")
    return moved

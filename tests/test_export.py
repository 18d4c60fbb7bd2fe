"""An exported folder gives what the predictor gives, without this package."""

import dataclasses
import importlib.metadata
import json
import os
import random
import shutil
import subprocess
import sys
import venv

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from command_line import refusal, succeed
from predictors import TINY, predictor, texts
from sweeps import LANGUAGE_MODEL

from seq2seq_jax.data import tokenizers
from seq2seq_jax.exporting import cutter, folder, programs, reader, runner, weights
from seq2seq_jax.inference.options import Search

# What jax stands on; all that the new environment of a test has.
STACK = ("jax", "jaxlib", "numpy", "ml_dtypes", "opt_einsum", "scipy")
ABSENT = ("seq2seq_jax", "flax", "orbax", "optax", "sentencepiece", "flatbuffers")
CODE = """
import importlib.util, json, sys
sys.path.insert(0, sys.argv[1])
import translate
for name in sys.argv[2:]:
    assert importlib.util.find_spec(name) is None, name
model = translate.load(sys.argv[1])
texts = json.load(sys.stdin)
said = [[one | {"alignment": one["alignment"].tolist()} for one in found]
        for found in model.translate(texts)]
scores = [x.tolist() for x in model.score(texts, [found[0]["text"] for found in said])]
print(json.dumps([said, scores]))
"""


def search(beam_size=3, n_best=2, alignments=True):
    return Search(beam_size, n_best, 0.7, None, alignments)


def agree(model_, wanted, said, scores, lines, tolerance=1e-5):
    """All that was said is what the predictor says."""
    options = (wanted.beam_size, wanted.n_best, wanted.length_penalty)
    expected = list(model_.translate(lines, *options))
    assert len(said) == len(expected) == len(lines)
    for found, every in zip(said, expected, strict=True):
        assert [one["text"] for one in found] == [one.text for one in every]
        for one, other in zip(found, every, strict=True):
            assert one["tokens"] == other.tokens
            # Sums of float32: programs round each token's share in their own way.
            near = {"rel": tolerance, "abs": tolerance}
            assert one["score"] == pytest.approx(other.score, **near)
            assert one["log_prob"] == pytest.approx(other.log_prob, **near)
            looks = np.reshape(one["alignment"], other.alignment.shape)
            np.testing.assert_allclose(looks, other.alignment, atol=tolerance)
    best = [found[0]["text"] for found in said]
    for one, other in zip(scores, model_.score(lines, best), strict=True):
        np.testing.assert_allclose(one, other.token_log_probs, atol=tolerance)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A predictor, what is searched for, and the folder."""
    model_, path = predictor(), tmp_path_factory.mktemp("export") / "model"
    folder.write(path, model_, search())
    return model_, search(), path


def bare(path):
    """The Python of a new environment that has jax and what it stands on alone."""
    venv.create(path, with_pip=False, symlinks=True)
    (there,) = path.glob("lib/python*/site-packages")
    for name in STACK:
        every = importlib.metadata.files(name) or ()
        for top in {file.parts[0] for file in every} - {".."}:
            (there / top).symlink_to(
                importlib.metadata.distribution(name).locate_file(top)
            )
    return path / "bin" / "python"


@pytest.mark.slow
def test_it_runs_in_an_environment_without_this_package_flax_and_orbax(made, tmp_path):
    model_, wanted, path = made
    lines = [*texts(40), "", "a" * 40, "??"]
    done = subprocess.run(
        [bare(tmp_path / "new"), "-I", "-c", CODE, str(path), *ABSENT],
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with pytest.warns(UserWarning, match="cut to 16 tokens"):
        agree(model_, wanted, *json.loads(done.stdout), lines)


def run_here(model_, wanted, path, lines):
    """What the folder's script gives in this process."""
    model = runner.load(path)
    said = list(model.translate(lines))
    return said, list(model.score(lines, [found[0]["text"] for found in said]))


@pytest.mark.parametrize(
    "more",
    [
        {"decoder": "bahdanau", "attention": "additive", "cell": "gru"},
        {"decoder": "gnmt", "attention": "normed_additive", "decoder_layers": 2},
        {"cell": "min_gru", "alignment": "monotonic"},  # in parallel over time
    ],
    ids=lambda more: "-".join(map(str, more.values())),
)
def test_other_models_give_the_same_too(tmp_path, more):
    model_ = predictor(dataclasses.replace(TINY, **more))
    folder.write(tmp_path / "model", model_, search(), platforms=("cpu",))
    lines = texts(5)
    agree(
        model_, search(), *run_here(model_, search(), tmp_path / "model", lines), lines
    )


def test_a_language_model_scores_and_does_not_translate(tmp_path):
    model_, lines = predictor(LANGUAGE_MODEL), [*texts(5), ""]
    folder.write(tmp_path / "model", model_, None, platforms=("cpu",))
    assert not (tmp_path / "model" / "translate.bin").exists()
    scores = runner.load(tmp_path / "model").score(lines, lines)
    for one, other in zip(scores, model_.score(lines, lines), strict=True):
        np.testing.assert_allclose(one, other.token_log_probs, atol=1e-5)
    script = [sys.executable, tmp_path / "model" / "translate.py"]
    told = subprocess.run(script, input="a\n", capture_output=True, text=True)
    assert told.stderr == "error: a language model does not translate: give --score\n"
    assert told.returncode == 1 and not told.stdout


def test_one_program_serves_three_platforms_and_any_shape(made):
    _, _, path = made
    for name in ("translate", "score"):
        program = jax.export.deserialize(bytearray((path / f"{name}.bin").read_bytes()))
        assert program.platforms == ("cpu", "cuda", "tpu")
        rows, length = program.in_avals[-1].shape[0], program.in_avals[-2].shape[1]
        assert not isinstance(rows, int) and not isinstance(length, int)


@pytest.mark.parametrize("kind", tokenizers.TOKENIZERS)
@pytest.mark.parametrize("lowercase", [False, True])
def test_the_script_cuts_and_joins_text_as_this_package_does(tmp_path, kind, lowercase):
    draw = random.Random(0)
    letters = "abcd ABÉé  ß√\u00a0日本\t💥;;"
    lines = ["".join(draw.choices(letters, k=draw.randint(0, 20))) for _ in range(80)]
    lines = [line for line in lines if line.strip()]
    ours = tokenizers.train(kind, lines[:40], 60, lowercase=lowercase)
    ours.save(tmp_path / "tokenizers", "source")
    theirs = cutter.Tokenizer(lambda name: (tmp_path / name).read_bytes(), "source")
    for line in lines:
        ids = ours.encode(line)
        assert theirs.encode(line) == ids
        assert theirs.decode([1, *ids, 3, 2, 5]) == ours.decode([1, *ids, 3, 2, 5])


def test_weights_come_back_as_near_as_their_form_allows():
    params = jax.tree.map(np.asarray, programs.plain(predictor().params))
    for form in weights.FORMS:
        stored = weights.pack(params, form)
        back = weights.unpack(stored, params, form)
        assert jax.tree.structure(back) == jax.tree.structure(params)
        leaves = map(jax.tree.leaves, (params, back))
        for name, x, y in zip(weights.named(params), *leaves, strict=True):
            if form == "float32" or x.ndim < 2:
                np.testing.assert_array_equal(x, y)
            elif form == "bfloat16":
                np.testing.assert_allclose(x, y, rtol=2.0**-8)
            else:
                scale = stored[name + weights.SCALE]
                assert (np.abs(x - y) <= 0.5001 * scale).all()


@pytest.mark.parametrize("form", ["bfloat16", "int8"])
def test_smaller_weights_are_those_that_the_program_computes_with(tmp_path, form):
    model_ = predictor()
    path = tmp_path / "model"
    folder.write(path, model_, search(), form, platforms=("cpu",))
    own = programs.plain(model_.params)
    stored = weights.pack(jax.device_get(own), form)
    model_.params = weights.unpack(stored, own, form)
    lines = texts(5)
    agree(model_, search(), *run_here(model_, search(), path, lines), lines)


def test_a_damaged_folder_is_named(made, tmp_path):
    _, _, path = made
    for name in ("weights.npz", "translate.bin", "tokenizers/source.vocab"):
        copy = tmp_path / name.replace("/", "-")
        subprocess.run(["cp", "-r", path, copy], check=True)
        data = bytearray((copy / name).read_bytes())
        data[len(data) // 2] ^= 1
        (copy / name).write_bytes(data)
        with pytest.raises(runner.Failure, match=f"{name} is damaged"):
            runner.load(copy)
    text = (path / "manifest.json").read_text("utf-8")
    (copy / "manifest.json").write_text(text.replace('"rows": 32', '"rows": 33'))
    with pytest.raises(runner.Failure, match="its own checksum"):
        runner.load(copy)
    (copy / "manifest.json").unlink()
    with pytest.raises(runner.Failure, match="is no exported model"):
        runner.load(copy)


def vouched(path, **changed):
    """Write a manifest with other facts, and its own checksum as it should be."""
    facts = json.loads((path / "manifest.json").read_text("utf-8"))
    del facts["digest"]
    folder.write_manifest(path / "manifest.json", facts | changed)


def test_a_manifest_must_say_what_is_needed_and_name_no_file_elsewhere(made, tmp_path):
    _, _, path = made
    copy = shutil.copytree(path, tmp_path / "copy")
    files = json.loads((path / "manifest.json").read_text("utf-8"))["files"]
    without = {name: sum_ for name, sum_ in files.items() if name != "weights.npz"}
    for wrong, message in (
        ({"format": 2}, "format is 2, expected 1"),
        ({"rows": "32"}, "rows is '32'"),
        ({"max_length": 0}, "1 or more"),
        ({"files": without}, "names no weights.npz"),
        ({"files": files | {"../../x": ""}}, "no file of the folder"),
        ({"files": files | {"/etc/passwd": ""}}, "no file of the folder"),
    ):
        vouched(copy, **wrong)
        with pytest.raises(runner.Failure, match=message):
            runner.load(copy)
        shutil.copy(path / "manifest.json", copy)


def test_a_program_that_calls_code_outside_itself_is_not_run(made):
    _, _, path = made
    matrix = jax.ShapeDtypeStruct((3, 3), np.float32)
    outside = jax.export.export(jax.jit(jnp.linalg.cholesky), platforms=("cpu",))(
        matrix
    )
    with pytest.raises(ValueError, match="calls code outside itself"):
        reader.program_of("x", outside.serialize())
    whole = (path / "score.bin").read_bytes()
    for data in (b"", b"x" * 100, whole[: len(whole) // 2], whole[::-1]):
        with pytest.raises(ValueError, match="cannot read"):
            reader.program_of("x", data)


def test_programs_are_read_the_same_without_the_package_flatbuffers(made):
    _, _, path = made
    code = """
import sys
sys.modules["flatbuffers"] = None
from seq2seq_jax.exporting import reader
for path in sys.argv[1:]:
    program = reader.program_of(path, open(path, "rb").read())
    print(program.in_avals, program.out_avals, program.in_tree, program.platforms)
"""
    paths = [path / "score.bin", path / "translate.bin"]
    done = subprocess.run(
        [sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True
    )
    ours = [reader.program_of("x", path.read_bytes()) for path in paths]
    assert done.stdout.splitlines() == [
        f"{one.in_avals} {one.out_avals} {one.in_tree} {one.platforms}" for one in ours
    ]


@pytest.mark.slow
def test_the_commands_print_the_same_lines(capitals, trained, tmp_path):
    path, source = tmp_path / "model", capitals / "in.txt"
    flags = ["--beam-size", 4, "--n-best", 2]
    said = succeed("export", "--workdir", trained, "-o", path, *flags)
    assert "translate.bin" in said and "weights.npz" in said
    assert "is already there" in refusal("export", "--workdir", trained, "-o", path)
    printed = succeed("translate", "--workdir", trained, "-i", source, *flags)
    done = subprocess.run(
        [sys.executable, path / "translate.py"],
        stdin=source.open("rb"),
        capture_output=True,
        check=True,
    )
    ours, theirs = (
        [line.split(" ||| ") for line in text.split("\n")[:-1]]
        for text in (printed, done.stdout.decode())
    )
    assert [line[:2] for line in ours] == [line[:2] for line in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert float(one[2]) == pytest.approx(float(other[2]), abs=1e-5)


def test_a_manifest_tells_every_option_that_a_search_has_but_those_named():
    search = Search(4, 2, 0.5, None, alignments=True, places="lost", prune=3.0)
    told = folder.baked(search)
    every = {field.name for field in dataclasses.fields(Search)}
    assert told.keys() | set(folder.ELSEWHERE) == every
    assert not told.keys() & set(folder.ELSEWHERE)
    assert (told["places"], told["prune"], told["n_best"]) == ("lost", 3.0, 2)

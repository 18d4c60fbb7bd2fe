"""The command `plan` as a process: its table, its JSON, its help, its refusals."""

import json

import pytest
from command_line import refusal, succeed

TINY = {
    "data.max_length": 6,
    "data.vocab_size": 20,
    "data.buckets": 2,
    "model.cell": "gru",
    "model.hidden_size": 8,
    "model.embedding_size": 6,
    "model.bidirectional": "False",
    "training.batch_tokens": 60,
}
FLAGS = [text for name, value in TINY.items() for text in (f"--{name}", value)]


@pytest.fixture(scope="module")
def told():
    """What the command says of the tiny model on the CPU, as JSON."""
    return json.loads(
        succeed("plan", "configs/text.py", *FLAGS, "--json", "--beam-size", 2)
    )


def test_json_holds_the_numbers(told):
    assert told["recipe"] == "configs/text.py"
    assert told["topology"]["kind"] == "cpu"
    training = told["training"]
    assert training["shape"] == {"rows": 8, "source": 6, "target": 6}
    assert training["tokens"] == 48
    assert training["fits"] is True
    assert training["flops"] > 0 and training["measured"] > 0
    assert training["predicted_seconds"] == pytest.approx(
        sum(training["seconds"].values())
    )
    assert sum(loop["backward"] for loop in training["loops"]) >= 2
    assert told["search"]["loops"][-1]["turns"] == 6
    assert told["largest"] >= 60
    assert told["shapes"][-1] == training["shape"]


def test_parameters_are_those_that_the_command_parameters_counts(told):
    last = succeed("parameters", "configs/text.py", *FLAGS).splitlines()[-1]
    assert int(last.split()[1].replace(",", "")) == told["sizes"]["parameters"]


def test_the_table_tells_the_same():
    short = ["--search", "False", "--largest", "False"]
    said = succeed("plan", "configs/text.py", *FLAGS, *short)
    assert said.startswith("configs/text.py on cpu: ")
    for line in (
        "  parameters ",
        "  peak ",
        "  loops ",
        "  speed ",
        "  measured here ",
    ):
        assert line in said
    assert "search" not in said and "largest" not in said
    assert max(map(len, said.splitlines())) <= 100


def test_help_lists_the_devices_and_the_recipes_fields():
    said = succeed("plan", "configs/text.py", "-h")
    for word in ("--topology", "h100", "v5e", "--json", "--model.hidden_size"):
        assert word in said


@pytest.mark.parametrize(
    "flags, said",
    [
        (["--topology", "h10"], "did you mean 'h100'?"),
        (["--topolgy", "cpu"], "did you mean --topology?"),
        (["--model.cell", "lsmt"], "did you mean 'lstm'?"),
        (["--beam-size", "30", *FLAGS], "expected 1 to 20"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(flags, said):
    assert said in refusal("plan", "configs/text.py", *flags)


def test_a_recipe_must_be_named():
    assert "a recipe is missing" in refusal("plan")

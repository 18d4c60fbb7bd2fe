"""docs/from-tensorflow-nmt.md names what is there: fields, entries of tables, flags."""

import re
from pathlib import Path

from seq2seq_jax.cli import COMMANDS
from seq2seq_jax.config import Config, flatten
from seq2seq_jax.flags import table_of
from seq2seq_jax.nn.checks import TABLES

PAGE = Path(__file__).parent.parent / "docs" / "from-tensorflow-nmt.md"
ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]]
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("| `")
]
FIELDS = {name for name, _ in flatten(Config())}


def quoted(column):
    """What stands between backticks in a column of all rows, cut into words."""
    return [
        said.removeprefix("--" * ("." in said)).split()
        for row in ROWS
        for said in re.findall(r"`(.+?)`", row[column])
    ]


def test_each_flag_of_tensorflow_nmt_stands_there():
    assert len({name for name, *_ in quoted(0)}) >= 75


def test_fields_and_entries_exist():
    found = [words for words in quoted(1) if "." in words[0]]
    assert len(found) > 40
    for name, *values in found:
        if name.endswith("..."):
            assert any(field.startswith(name.removesuffix("...")) for field in FIELDS)
            continue
        assert name in FIELDS
        for value in values:
            assert value in TABLES.get(name.removeprefix("model."), {value}), name


def test_flags_of_commands_exist():
    flags = {
        name for command in COMMANDS.values() for name in table_of(command.Options)
    }
    said = {word for column in (1, 2) for words in quoted(column) for word in words}
    asked = {word.replace("-", "_") for word in said if word.startswith("-")}
    assert len(asked) >= 10
    assert asked <= {name.replace("-", "_") for name in flags}

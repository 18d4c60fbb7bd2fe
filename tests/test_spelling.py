"""Laws of slips of the keyboard, and of the data set that they make of a file."""

import random

import pytest

from seq2seq_jax.commands import recipes
from seq2seq_jax.config import DataConfig
from seq2seq_jax.data.builders import spelling
from seq2seq_jax.data.sources import open_pairs
from seq2seq_jax.errors import InputError
from seq2seq_jax.nn import checks
from seq2seq_jax.training import optimizer

SPLITS = ("train", "dev", "test")
TEXTS = [f"This line is number {n}, of some words." for n in range(150)]


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "my lines.txt"
    path.write_text("\n".join([*TEXTS, "", *TEXTS[:3]]) + "\n")
    return path


def read(path, split, folder):
    data = DataConfig(dataset=f"spelling/{path}", data_dir=str(folder))
    return list(open_pairs(data, split))


def distance(one, other):
    """Fewest insertions, deletions, substitutions and swaps of neighbours."""
    rows = [list(range(len(other) + 1))]
    for i, x in enumerate(one, 1):
        row = [i]
        for j, y in enumerate(other, 1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (x != y))
            if i > 1 and j > 1 and (x, one[i - 2]) == (other[j - 2], y):
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]


@pytest.mark.parametrize("slip", spelling.SLIPS)
def test_a_slip_is_one_error_in_a_word(slip):
    draw, changed = random.Random(1), 0
    for text in ("word", "a bc", "Zug fährt"):
        for at in [i for i, x in enumerate(text) if x != " "]:
            for _ in range(5):
                said = slip(text, at, draw)
                assert distance(said, text) <= 1
                assert len(said.split()) == len(text.split())
                changed += said != text
    assert changed > 20


def test_a_key_is_beside_those_that_it_is_beside():
    for key, around in spelling.NEAR.items():
        assert key not in around and all(key in spelling.NEAR[x] for x in around)
    assert set("qazp") <= set(spelling.NEAR) and len(spelling.NEAR) == 26
    draw = random.Random(1)
    assert {spelling.near("G", draw) for _ in range(90)} == set("FHTYVB")
    assert spelling.near("ж", draw) == "ж"


def test_a_share_of_the_lines_stays_and_others_have_few_slips():
    draw = random.Random(1)
    count = 2000
    kept = sum(
        spelling.misspelt("keyboards", draw) == "keyboards" for _ in range(count)
    )
    assert 0.19 < kept / count < 0.26  # two letters that are alike may change places
    text = "a line that has seven words altogether"
    assert max(distance(spelling.misspelt(text, draw), text) for _ in range(50)) == 3


def test_each_line_is_in_one_split_and_slips_depend_on_it_alone(lines, tmp_path):
    parts = [read(lines, split, tmp_path / "a") for split in SPLITS]
    targets = [{target for _, target in part} for part in parts]
    assert sorted(set.union(*targets)) == sorted(TEXTS)
    assert sum(map(len, targets)) == len(TEXTS)
    assert len(parts[0]) > 2 * len(targets[0]) and len(parts[1]) == len(targets[1])
    lines.write_text("\n".join(reversed(TEXTS)) + "\n")
    again = [read(lines, split, tmp_path / "a") for split in SPLITS]
    assert [sorted(part) for part in parts] == [sorted(part) for part in again]


def test_a_changed_file_is_prepared_again(lines, tmp_path):
    before = read(lines, "train", tmp_path)
    lines.write_text(lines.read_text() + "".join(f"And {n}.\n" for n in range(30)))
    assert len(read(lines, "train", tmp_path)) > len(before)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("spelling", "no file of words or texts is given: spelling/FILE"),
        ("spelling/none.txt", "none.txt does not exist"),
        ("spelling/{few}", "has 2 different lines, too few"),
    ],
)
def test_files_that_do_not_do_are_refused(name, expected, tmp_path):
    few = tmp_path / "few.txt"
    few.write_text("one\ntwo\n")
    data = DataConfig(dataset=name.format(few=few), data_dir=str(tmp_path))
    with pytest.raises(InputError, match=expected) as caught:
        list(open_pairs(data, "train"))
    assert "\n" not in str(caught.value)


def test_the_recipe_is_a_possible_model():
    config = recipes.load("spelling")
    checks.check(config.model, config.data.shared_vocab)
    optimizer.check(config.training)

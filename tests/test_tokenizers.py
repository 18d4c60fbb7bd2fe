"""Laws of every tokeniser: round trips, fixed vocabularies, damage that is noticed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq_jax.data import subwords, tokenizers, units, vocabulary
from seq2seq_jax.data.tokenizers import TOKENIZERS, load, train
from seq2seq_jax.errors import InputError
from seq2seq_jax.types import BOS, EOS, PAD, UNK

LINES = [
    "the cat sat on the mat",
    "the dog sat on the log",
    "a cat and a dog",
    "Grüße,  zwei  Leerzeichen ",
] * 5
TRAINED = {kind: train(kind, LINES, vocab_size=300) for kind in TOKENIZERS}
KINDS = sorted(TOKENIZERS)
SEEN = "".join(sorted(set("".join(LINES))))


@pytest.mark.parametrize("kind", KINDS)
def test_lines_of_the_training_text_come_back(kind):
    tokenizer = TRAINED[kind]
    for line in LINES:
        words = kind.startswith("word")
        expected = " ".join(line.split()) if words else line
        assert tokenizer.decode(tokenizer.encode(line)) == expected


@settings(deadline=None)
@given(st.text(alphabet=SEEN))
@pytest.mark.parametrize("kind", ["char", "sentencepiece"])
def test_any_text_of_known_characters_comes_back(kind, text):
    tokenizer = TRAINED[kind]
    assert tokenizer.decode(tokenizer.encode(text)) == text


@given(st.text(alphabet="ab\t;"))
def test_features_are_units_and_no_characters(text):
    made = units.cut_features(text)
    assert "".join(made) == text
    word, tab, features = text.partition("\t")
    assert made[: len(word)] == list(word)
    assert len(made) - len(word) == (features.count(";") + 1 if tab else 0)


@settings(deadline=None)
@given(st.text(alphabet="ab .'￭(é"))
def test_words_and_marks_bring_back_any_text_but_for_the_length_of_spaces(text):
    assert units.join_marks(units.cut_marks(text)) == " ".join(text.split())


@settings(deadline=None)
@given(st.text())
def test_bytes_bring_any_text_back(text):
    assert TRAINED["byte"].decode(TRAINED["byte"].encode(text)) == text


@settings(deadline=None)
@given(st.lists(st.text(min_size=1)))
def test_characters_bring_back_any_lines_they_were_trained_on(lines):
    tokenizer = train("char", ["x", *lines], vocab_size=10**6)
    assert [tokenizer.decode(tokenizer.encode(line)) for line in lines] == lines


@settings(deadline=None)
@given(st.text())
@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_in_range_and_each_has_a_printable_piece(kind, text):
    tokenizer = TRAINED[kind]
    ids = tokenizer.encode(text)
    assert all(UNK <= i < tokenizer.size for i in ids)
    pieces = tokenizer.pieces(ids)
    assert len(pieces) == len(ids)
    assert all(piece and piece.isprintable() for piece in pieces)


@pytest.mark.parametrize("kind", KINDS)
def test_special_ids_are_the_same_everywhere(kind):
    tokenizer = TRAINED[kind]
    assert tokenizer.pieces([PAD, BOS, EOS, UNK]) == ["<pad>", "<s>", "</s>", "<unk>"]
    ids = tokenizer.encode("the cat")
    assert tokenizer.decode([BOS, *ids, EOS, *ids, PAD]) == "the cat"
    assert tokenizer.decode([EOS]) == tokenizer.decode([]) == ""


@pytest.mark.parametrize(
    ("kind", "shown"), [("char", "⁇"), ("word", "<unk>"), ("sentencepiece", "⁇")]
)
def test_what_was_never_seen_is_unk_and_shows_as_such(kind, shown):
    tokenizer = TRAINED[kind]
    assert UNK in tokenizer.encode("龍")
    assert shown in tokenizer.decode(tokenizer.encode("龍"))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_shown_of_a_text_is_one_piece_for_each_id(kind):
    tokenizer, text = TRAINED[kind], "the 龍 cat"
    ids, shown = tokenizer.encode(text), tokenizer.show(text)
    known = [pair for pair in zip(ids, shown, strict=True) if pair[0] != UNK]
    assert [piece for _, piece in known] == tokenizer.pieces(i for i, _ in known)
    if kind != "byte":
        assert [p for i, p in zip(ids, shown, strict=True) if i == UNK] == ["龍"]


@pytest.mark.parametrize("kind", KINDS)
def test_units_are_one_for_each_id_and_join_to_the_text(kind):
    units = TRAINED[kind].units
    assert (units is None) == (kind in ("byte", "sentencepiece"))
    if units is not None:
        text = "the 龍 cat 龍龍"
        assert len(units.cut(text)) == len(TRAINED[kind].encode(text))
        assert units.join(units.cut(text)) == text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lowercase", [False, True])
def test_saved_and_loaded_is_the_same(kind, lowercase, tmp_path):
    tokenizer = train(kind, LINES, vocab_size=300, lowercase=lowercase)
    tokenizer.save(tmp_path, "source")
    again = load(tmp_path, "source")
    assert (again.kind, again.size, again.lowercase) == (
        kind,
        tokenizer.size,
        lowercase,
    )
    for line in [*LINES, "THE CAT 龍"]:
        assert again.encode(line) == tokenizer.encode(line)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("kind", KINDS)
def test_training_twice_gives_the_same_file(kind):
    dumps = [
        TOKENIZERS[kind].dump(train(kind, lines, vocab_size=60).model)
        for lines in (LINES, iter(LINES))
    ]
    assert dumps[0] == dumps[1]


@pytest.mark.parametrize("kind", ["char", "word"])
def test_the_most_frequent_units_come_first(kind):
    lines = ["b b b", "c c a a"] if kind == "word" else ["bbb", "ccaa"]
    tokenizer = train(kind, lines, vocab_size=6)
    assert tokenizer.size == 6
    assert tokenizer.pieces([4, 5]) == ["b", "a"]


def test_min_count_leaves_rare_units_out():
    tokenizer = train("word", ["x x y"], min_count=2)
    assert tokenizer.encode("x y") == [4, UNK]


@pytest.mark.parametrize("kind", ["char", "word", "sentencepiece"])
def test_vocab_size_is_never_exceeded(kind):
    assert train(kind, LINES, vocab_size=45).size <= 45


def test_a_small_text_gives_a_smaller_sentencepiece_vocabulary():
    tokenizer = train("sentencepiece", ["hello world"], vocab_size=8000)
    assert 10 < tokenizer.size < 100
    assert tokenizer.decode(tokenizer.encode("hello world")) == "hello world"


def test_more_characters_than_room_keeps_the_frequent_ones():
    lines = ["".join(chr(0x4E00 + n) for n in range(500)), "常常常用用用"]
    tokenizer = train("sentencepiece", lines, vocab_size=60)
    assert tokenizer.size <= 60
    assert tokenizer.decode(tokenizer.encode("常用")) == "常用"


@pytest.mark.parametrize("kind", ["char", "word", "sentencepiece"])
def test_a_vocabulary_without_room_is_refused(kind):
    with pytest.raises(InputError, match="vocab_size"):
        train(kind, LINES, vocab_size=4)


def test_an_unknown_kind_is_refused_with_the_nearest():
    with pytest.raises(InputError, match="did you mean 'word'"):
        train("words", LINES)


def test_lowercase_lives_in_the_tokenizer():
    tokenizer = train("word", ["The THE the"], lowercase=True)
    assert tokenizer.size == 5
    assert tokenizer.encode("tHE") == [4]
    assert tokenizer.normalize("ABC") == "abc"


@pytest.mark.parametrize("kind", ["char", "sentencepiece"])
@pytest.mark.parametrize("part", ["header", "model"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
def test_damage_is_noticed(kind, part, damage, tmp_path):
    TRAINED[kind].save(tmp_path, "x")
    suffix = ".json" if part == "header" else TOKENIZERS[kind].suffix
    path = tmp_path / f"x{suffix}"
    data = bytearray(path.read_bytes())
    data[data.index(b"kind") if part == "header" else len(data) // 2] ^= 1
    if damage == "cut":
        data = data[: len(data) // 2]
    path.unlink() if damage == "gone" else path.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"does not exist|is damaged"):
        load(tmp_path, "x")


def test_counting_units_takes_bounded_memory(monkeypatch):
    monkeypatch.setattr(vocabulary, "MOST_UNITS", 100)
    rare = ([f"rare{n}", "often"] for n in range(10_000))
    counts = vocabulary.count_units(rare)
    assert counts["often"] == 10_000
    assert len(counts) <= 100


def test_sampling_is_even_and_fixed():
    lines = [str(n) for n in range(10_000)]
    drawn = [int(line) for line in subwords.sample(iter(lines), 1000)]
    assert drawn == [int(line) for line in subwords.sample(lines, 1000)]
    assert len(set(drawn)) == 1000
    assert 4000 < sum(drawn) / 1000 < 6000


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    TRAINED["char"].save(tmp_path, "x")
    before = (tmp_path / "x.json").read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space"):
        TRAINED["word"].save(tmp_path, "x")
    assert (tmp_path / "x.json").read_bytes() == before
    assert tokenizers.load(tmp_path, "x").kind == "char"

"""The configuration of the data; see `config`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DataConfig:
    """Where the pairs come from and how they become batches of ids.

    Give files (`train_source` and `train_target`, or `train_tsv`; the same for dev and
    test), or the name of a TFDS data set (`dataset`). Files win over `dataset`.
    """

    train_source: str | None = None
    """training sources: a text file, one sequence a line (.gz, .bz2 and .xz too)"""
    train_target: str | None = None
    """training targets, line by line with train_source"""
    train_tsv: str | None = None
    """training pairs: one file, columns parted by tabs"""
    dev_source: str | None = None
    """development sources"""
    dev_target: str | None = None
    """development targets"""
    dev_tsv: str | None = None
    """development pairs"""
    test_source: str | None = None
    """test sources, reported at the end of the training"""
    test_target: str | None = None
    """test targets"""
    test_tsv: str | None = None
    """test pairs"""
    source_column: int = 0
    """column of a TSV that holds the source, counted from 0"""
    target_column: int = 1
    """column of a TSV that holds the target"""
    features_column: int | None = None
    """column of a TSV with features (`N;DAT;PL`) that stand behind a source and a tab:
    for the tokenizer char_features"""
    target_only: bool = False
    """there are no sources: targets alone, for a language model (model.encoder none)"""
    dataset: str | None = None
    """TFDS data set: cmudict, dates, drawn_out, reversal or spelling/FILE (ours), or
    any name[/config] of TFDS"""
    source_key: str = "source"
    """feature of the TFDS data set that holds the source: text, picture or numbers"""
    target_key: str = "target"
    """feature of the TFDS data set that holds the target; of captions/text, a
    sequence, each text is one"""
    train_split: str = "train"
    """TFDS split to train on; slices such as train[:50%] work"""
    dev_split: str = "validation"
    """TFDS split for development"""
    test_split: str | None = "test"
    """TFDS split to report at the end; None: no report"""
    data_dir: str | None = None
    """where TFDS keeps prepared data; None: TFDS's own default"""
    source_tokenizer: str = "sentencepiece"
    """char, char_nfd (decomposed), char_features (behind a tab), byte, word (white
    space), word_marks (punctuation apart) or sentencepiece; where a source is the path
    of a file, from its list's folder, features (.npy, .npz) or picture"""
    picture_size: int | None = None
    """source_tokenizer picture: pixels on each side that pictures are scaled to; None:
    they are as they are, all of one width"""
    target_tokenizer: str = "sentencepiece"
    """char, byte, word (white space) or sentencepiece"""
    shared_vocab: bool = False
    """one vocabulary for both sides, built from both"""
    vocab_size: int = 8000
    """largest vocabulary of a side, special tokens included"""
    target_vocab_size: int | None = None
    """largest vocabulary of the target side; None: vocab_size"""
    source_vectors: str | None = None
    """word vectors that source embeddings start from: lines `token x1 x2 ...`"""
    target_vectors: str | None = None
    """word vectors that target embeddings start from"""
    min_count: int = 1
    """units seen fewer times in training become UNK (not for byte and sentencepiece)"""
    lowercase: bool = False
    """lower-case both sides before anything else"""
    max_length: int = 100
    """longest sequence in tokens, on either side, end marker included"""
    long_lines: str = "drop"
    """training pairs over max_length: drop, truncate or error; always counted"""
    buckets: int = 6
    """largest number of batch shapes"""

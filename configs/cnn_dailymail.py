"""Summaries of news on CNN / Daily Mail, through TFDS (See et al. 2017).

    python train.py configs/cnn_dailymail.py:pointer --workdir runs/pointer \\
        --data.data_dir DIR
    python train.py configs/cnn_dailymail.py:coverage --workdir runs/coverage \\
        --training.init_from runs/pointer --training.init_partial True \\
        --data.data_dir DIR
    seq2seq-jax translate --workdir runs/coverage -i articles.txt --beam-size 4 \\
        --min-output-length 35 --length-penalty 1

DIR is a folder where TFDS has prepared `cnn_dailymail` as array_record. The variants
are `plain`, `pointer`, and `coverage`, which goes on from `pointer`. Not measured: its
authors had no machine to run it on. The paper has 31.3, 36.4 and 39.5 ROUGE-1, and 40.3
for an article's first three sentences.

Not See et al.'s, beside what the decoder `see` tells of itself:

- Words are runs of letters, and marks by themselves; theirs are Stanford's tokeniser's.
- One bound serves both sides, so summaries are cut after 400 units, and not after 100.
  Articles are 400 long from the start; they began shorter and let them grow.
- First weights are all uniform in +-0.02, as theirs are of LSTMs alone.
- Losses are divided by the words of a batch; theirs by those of each summary, first.
- The last phase takes weights alone from the one before, not Adagrad's sums.
- Highlights are one line, parted by spaces, and full stops part their sentences, so
  ROUGE-L is of whole summaries; theirs joins the sentences' own.
"""

from seq2seq_jax.config import Config, DataConfig, ModelConfig, TrainingConfig


def get_config(variant: str = "pointer") -> Config:
    """The sizes of the paper: 21 million parameters, for one GPU."""
    attention, head, steps, coverage = VARIANTS[variant]
    return Config(
        data=DataConfig(
            dataset="cnn_dailymail",
            source_key="article",
            target_key="highlights",
            source_tokenizer="word_marks",
            target_tokenizer="word_marks",
            shared_vocab=True,
            vocab_size=50_000,
            lowercase=True,
            max_length=401,
            long_lines="truncate",
        ),
        model=ModelConfig(
            hidden_size=256,
            embedding_size=128,
            attention=attention,
            attention_size=512,
            decoder="see",
            head=head,
            tied_embeddings="input",
            dropout=0.0,
            init="uniform",
            init_scale=0.02,
        ),
        training=TrainingConfig(
            steps=steps,
            batch_size=16,
            optimizer="adagrad",
            learning_rate=0.15,
            initial_accumulator=0.1,
            schedule="constant",
            warmup_steps=0,
            clip_norm=2.0,
            label_smoothing=0.0,
            coverage_loss=coverage,
            eval_every=500 if coverage else 5000,
            eval_beam_size=4,
            eval_examples=100,
        ),
    )


# Attention, head, updates, weight of the coverage loss.
VARIANTS = {
    "plain": ("additive", "vocabulary", 600_000, 0.0),
    "pointer": ("additive", "pointer", 230_000, 0.0),
    "coverage": ("coverage", "pointer", 3_000, 1.0),
}

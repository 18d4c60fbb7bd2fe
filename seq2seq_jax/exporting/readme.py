"""The README of an exported folder."""

from collections.abc import Iterable, Mapping
from typing import Any

TEXT = """# An exported model

Made with seq2seq_jax {seq2seq_jax} and jax {jax}. It runs without that package:

```
pip install {needs}
{usage}
```
{python}
| file | what |
|---|---|
{files}
| `weights.npz` | the weights: matrices in {weights}, vectors in float32 |
| `tokenizers/` | text to ids and back |
| `translate.py`, `reader.py`, `cutter.py` | run all of this |
| `manifest.json` | what is baked in; SHA-256 of each file, checked at each start |

Platforms: {platforms}. Rows and lengths of a batch are free; jax compiles for each
shape once. Texts are cut to {most} tokens, as the model was trained. {search}

jax reads programs that an older jax wrote, for six months at least, but not those of a
newer one: keep the training's folder, and export again.
"""
TRANSLATE = """python translate.py < in.txt > out.txt
python translate.py --scores{alignments} < in.txt
"""
SCORE = "python translate.py --score sources.txt targets.txt"
PYTHON = """
From Python, with this folder on the path:

```python
import translate

model = translate.load("path/to/this/folder")
for found in model.translate(["a line of text"]):
    print(found[0]["text"], found[0]["score"])
```
"""


def text(facts: Mapping[str, Any], kinds: Iterable[str]) -> str:
    """The README for a manifest's facts and the tokenisers' kinds."""
    translates = "translate" in facts["programs"]
    extra = ["sentencepiece"] if "sentencepiece" in set(kinds) else []
    alignments = " --alignments" if facts["alignments"] else ""
    search = ""
    if translates:
        values = (f"{name} {value}" for name, value in facts["search"].items())
        search = f"Baked in: {', '.join(values)}."
    what = {
        "translate": "the search: StableHLO, as `jax.export` writes it",
        "score": "log-probabilities of given targets: StableHLO too",
    }
    return TEXT.format(
        seq2seq_jax=facts["seq2seq_jax"],
        jax=facts["jax"],
        needs=" ".join(["jax", "numpy", *extra]),
        usage=(TRANSLATE.format(alignments=alignments) if translates else "") + SCORE,
        python=PYTHON if translates else "",
        files="\n".join(f"| `{n}.bin` | {what[n]} |" for n in facts["programs"]),
        weights=facts["weights"],
        platforms=", ".join(facts["platforms"]),
        most=facts["max_length"],
        search=search,
    )

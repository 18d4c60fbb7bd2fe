"""The configuration: frozen dataclasses, their checks, and their JSON form.

Each section has a file of its own. Every default stands there and nowhere else. `None`
means off, or "found from the data". The docstring below each field is the command
line's help for it. Names that a table of functions defines (cells, scores, tokenisers
...) are checked by the owner of the table.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

from seq2seq_jax.config_data import DataConfig as DataConfig
from seq2seq_jax.config_model import ModelConfig as ModelConfig
from seq2seq_jax.config_series import SeriesConfig as SeriesConfig
from seq2seq_jax.config_training import TrainingConfig as TrainingConfig
from seq2seq_jax.errors import InputError
from seq2seq_jax.fields import flatten as flatten
from seq2seq_jax.fields import from_dict


@dataclass(frozen=True)
class Config:
    """A recipe: data, model and training."""

    data: DataConfig = field(default_factory=DataConfig)
    """the pairs"""
    model: ModelConfig = field(default_factory=ModelConfig)
    """the model"""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """the training"""
    series: SeriesConfig = field(default_factory=SeriesConfig)
    """series of numbers, in place of pairs"""


def to_json(config: Config) -> str:
    """The config as JSON text, one field a line."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def from_json(text: str, where: str = "config") -> Config:
    """The config that `to_json` wrote.

    >>> from_json(to_json(Config())) == Config()
    True
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:  # of syntax, or too long or too deep
        raise InputError(f"{where} is not JSON: {error}") from None
    return from_dict(Config, values, where)


def load(path: Path) -> Config:
    """Read a workdir's `config.json`.

    Raises:
        InputError: it cannot be read, or is no config.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    return from_json(text, str(path))
